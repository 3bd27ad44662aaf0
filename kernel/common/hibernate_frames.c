/* SPDX-License-Identifier: MIT */
/*
 * hibernate_frames: which frames belong to the machine that is saved, and which of them change
 * while it is being written.
 */
#include "hibernate_private.h"

#include <frames.h>
#include <print.h>
#include <reach.h>
#include <vm.h>

extern const char data_start[], data_end[];

/* ---- sets of frames ---------------------------------------------------------------------- */

bool frame_set_make(struct frame_set *set, uint64_t limit)
{
	uint64_t bytes = max_u64(align_up(limit, 64) / 8u, 8);
	kelp_paddr_t address;

	if (!held_take(bytes, &address))
		return false;
	set->bits = direct_pointer(address);
	set->limit = limit;
	memset(set->bits, 0, bytes);
	return true;
}

void frame_set_add(struct frame_set *set, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;

	assert(end <= set->limit && end >= first);
	for (; first < end && first % 64u; first++)
		set->bits[first / 64u] |= UINT64_C(1) << first % 64u;
	for (; end - first >= 64; first += 64)
		set->bits[first / 64u] = UINT64_MAX;
	for (; first < end; first++)
		set->bits[first / 64u] |= UINT64_C(1) << first % 64u;
}

/* ---- what there is ----------------------------------------------------------------------- */

/* The RAM at or behind a frame, memory that was added while we run too. False: there is none. */
bool frames_next_ram(uint64_t *first, uint64_t *end)
{
	kelp_pfn_t from, last;

	if (!kelp_memmap_next(&kernel_memmap, KELP_FRAMES_ONLINE, (kelp_pfn_t){*first}, &from, &last))
		return false;
	*first = from.number;
	*end = last.number + 1u;
	return true;
}

uint64_t frames_limit(void)
{
	uint64_t first = 0, end = 0;

	for (; frames_next_ram(&first, &end); first = end)
		;
	return end;
}

static bool in_boot_map(uint64_t first, uint64_t end)
{
	for (unsigned i = 0; i < boot_info.map.count; i++) {
		const struct memory_range *range = &boot_info.map.range[i];

		if (range->kind == MEMORY_RAM && range->first >> PAGE_SHIFT <= first &&
		    (range->first + range->size) >> PAGE_SHIFT >= end)
			return true;
	}
	return false;
}

bool frames_added(struct hibernate_range *range, unsigned limit, unsigned *count)
{
	uint64_t first = 0, end;

	memset(range, 0, limit * sizeof(*range));
	*count = 0;
	for (; frames_next_ram(&first, &end); first = end) {
		if (in_boot_map(first, end))
			continue;
		if (*count == limit)
			return false;
		range[*count].first = first << PAGE_SHIFT;
		range[(*count)++].size = (end - first) << PAGE_SHIFT;
	}
	return true;
}

/* ---- what is secret ---------------------------------------------------------------------- */

#define SECRETS_MAX 64u
static struct {
	uint64_t first, count; /* a count of 0: not in use */
} secret[SECRETS_MAX];
static unsigned secrets; /* entries up to the last in use */

bool hibernate_secret(kelp_paddr_t address, uint64_t frames)
{
	for (unsigned i = 0; i < SECRETS_MAX; i++) {
		if (secret[i].count)
			continue;
		secret[i].first = address >> PAGE_SHIFT;
		secret[i].count = frames;
		secrets = secrets > i + 1u ? secrets : i + 1u;
		return true;
	}
	return false;
}

void hibernate_secret_end(kelp_paddr_t address)
{
	for (unsigned i = 0; i < SECRETS_MAX; i++)
		if (secret[i].count && secret[i].first == address >> PAGE_SHIFT)
			secret[i].count = 0;
}

bool frames_secret(uint64_t frame)
{
	for (unsigned i = 0; i < secrets; i++)
		if (frame - secret[i].first < secret[i].count)
			return true;
	return false;
}

/* ---- what changes ------------------------------------------------------------------------ */

#define CHANGING_MAX 64u
static struct {
	kelp_paddr_t address;
	uint64_t size;
} changing[CHANGING_MAX];
static unsigned changing_count;

void hibernate_changing(kelp_paddr_t address, uint64_t size)
{
	assert(changing_count < CHANGING_MAX);
	changing[changing_count].address = address;
	changing[changing_count++].size = size;
}

static void add_bytes(struct frame_set *set, kelp_paddr_t address, uint64_t size)
{
	uint64_t first = address >> PAGE_SHIFT, end = (address + size + PAGE_SIZE - 1u) >> PAGE_SHIFT;

	frame_set_add(set, first, end - first);
}

/* Of the window everything that is RAM: stacks, CPUs' areas, what vm_allocate() gave. */
static enum kelp_visit add_leaf(void *context, const struct kelp_mapping *m)
{
	struct frame_set *set = context;

	if (m->kind == KELP_ENTRY_LEAF && (m->attributes & KELP_ATTR_WRITE) && frames_manages(m->pa))
		frame_set_add(set, m->pa >> PAGE_SHIFT, m->size >> PAGE_SHIFT);
	return KELP_VISIT_CONTINUE;
}

/* Frames without a leaf of the direct map are reached by writing to these tables. */
static enum kelp_visit add_table(void *context, const struct kelp_mapping *m)
{
	struct frame_set *set = context;

	if (m->kind == KELP_ENTRY_TABLE && m->level == 1)
		frame_set_add(set, m->pa >> PAGE_SHIFT, 1);
	return KELP_VISIT_CONTINUE;
}

bool frames_find_hot(struct frame_set *hot)
{
	unsigned long flags;
	enum kelp_status status;

	if (!frame_set_make(hot, frames_limit()))
		return false;
	add_bytes(hot, (uintptr_t)data_start - IMAGE_BASE, (uint64_t)(data_end - data_start));
	for (unsigned i = 0; i < changing_count; i++)
		add_bytes(hot, changing[i].address, changing[i].size);
	flags = vm_read_begin();
	status = kelp_space_walk(&kernel_space, WINDOW_BASE, WINDOW_SIZE, 0, add_leaf, hot);
	if (status == KELP_OK)
		status = kelp_space_walk(&kernel_space, COPYWIN_BASE,
					 KELP_COPYWIN_PAGES(kernel_copywin.cpus) * PAGE_SIZE,
					 KELP_WALK_TABLES, add_table, hot);
	vm_read_end(flags);
	return status == KELP_OK;
}
