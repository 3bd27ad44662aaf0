/* SPDX-License-Identifier: MIT */
/*
 * entry: the only code that touches an entry in memory. Everything above carries entries as
 * values; everything below is hw.h.
 *
 * `width` is the size of an entry in bytes, a constant wherever these are called.
 */
#ifndef KELP_SRC_ENTRY_H
#define KELP_SRC_ENTRY_H

#include <kelp/space.h>

#include "hw.h"

static inline void *kelp_table_pointer(const struct kelp_space *space, kelp_paddr_t table)
{
	if (space->pointer_hook)
		return space->pointer_hook(space->port->context, table);
	return (void *)(uintptr_t)(table + space->table_offset);
}

static inline uint64_t kelp_entry_load(const void *table, unsigned index, size_t width)
{
	if (width == sizeof(uint32_t))
		return kelp_hw_load32((const uint32_t *)table + index);
	return kelp_hw_load64((const uint64_t *)table + index);
}

static inline void kelp_entry_store(void *table, unsigned index, uint64_t entry, size_t width)
{
	if (width == sizeof(uint32_t))
		kelp_hw_store32((uint32_t *)table + index, (uint32_t)entry);
	else
		kelp_hw_store64((uint64_t *)table + index, entry);
}

/* On failure *expected is what stands there. */
static inline bool kelp_entry_swap(void *table, unsigned index, uint64_t *expected,
				   uint64_t desired, size_t width)
{
	uint32_t narrow;
	bool done;

	if (width != sizeof(uint32_t))
		return kelp_hw_swap64((uint64_t *)table + index, expected, desired);
	narrow = (uint32_t)*expected;
	done = kelp_hw_swap32((uint32_t *)table + index, &narrow, (uint32_t)desired);
	*expected = narrow;
	return done;
}

/* Into a table that nobody else can see yet: entry, entry + step, entry + 2 * step, ... */
static inline void kelp_entry_fill(void *table, unsigned index, unsigned count, uint64_t entry,
				   uint64_t step, size_t width)
{
	if (width == sizeof(uint32_t))
		kelp_hw_fill32((uint32_t *)table + index, count, (uint32_t)entry, (uint32_t)step);
	else
		kelp_hw_fill64((uint64_t *)table + index, count, entry, step);
}

#endif
