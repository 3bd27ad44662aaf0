/* SPDX-License-Identifier: MIT */
/* memmap: floor 2 of Kelp, set up once; what uses it is <frames.h> and <hotplug.h>. */
#ifndef HOLDFAST_MEMMAP_H
#define HOLDFAST_MEMMAP_H

#include <boot.h>

/* Memory comes and goes in pieces of this size. */
#define MEMMAP_SUBSECTION_SHIFT 21u

/*
 * A descriptor for every frame of RAM, from the early allocator's memory. frames_init() calls it.
 * Panics when memory does not suffice.
 */
void memmap_init(const struct boot_info *info);

/* Pages that were taken from the page allocator for the memmap, and not given back. */
uint64_t memmap_pages(void);

#endif
