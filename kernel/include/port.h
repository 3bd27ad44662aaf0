/* SPDX-License-Identifier: MIT */
/* port: what Kelp's hooks have been asked for, and the hand-over between the allocators. */
#ifndef HOLDFAST_PORT_H
#define HOLDFAST_PORT_H

#include <base.h>

struct port_stats {
	uint64_t tables_taken;
	uint64_t tables_given;
	uint64_t shootdowns; /* that reached at least one other CPU */
	uint64_t shootdown_ticks;
	uint64_t ranges;
	uint64_t flushes_of_everything;
	uint64_t flushes_of_tables;
};
extern struct port_stats port_stats;

/* For tests: the hook that gives table pages fails after `n` more. */
#define PORT_NEVER_FAIL UINT32_MAX
void port_fail_after(uint32_t n);

/* Table pages come from the page allocator from now on. */
void port_use_page_allocator(void);

#endif
