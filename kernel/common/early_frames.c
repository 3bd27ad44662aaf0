/* SPDX-License-Identifier: MIT */
/* early_frames: the allocator from the firmware's map, until the page allocator stands. */
#include "frames_private.h"

static const struct memory_map nothing;
static const struct memory_map *map = &nothing;
static struct memory_range taken[EARLY_TAKEN];
static unsigned taken_count;
static uint64_t taken_bytes;

/* Keeps `taken` sorted and joined; false when the table is full. */
static bool add_taken(kelp_paddr_t first, uint64_t size)
{
	unsigned at = taken_count;

	for (unsigned i = 0; i < taken_count; i++) {
		if (taken[i].first + taken[i].size == first) {
			taken[i].size += size;
			return true;
		}
	}
	if (taken_count == EARLY_TAKEN)
		return false;
	for (; at > 0 && taken[at - 1].first > first; at--)
		taken[at] = taken[at - 1];
	taken[at] = (struct memory_range){first, size, MEMORY_RESERVED};
	taken_count++;
	return true;
}

void early_frames_init(const struct boot_info *info)
{
	map = &info->map;
	taken_count = 0;
	taken_bytes = 0;
	for (unsigned i = 0; i < info->keep_count; i++) {
		uint64_t first = align_down(info->keep[i].first, PAGE_SIZE);
		uint64_t end = align_up(info->keep[i].first + info->keep[i].size, PAGE_SIZE);

		if (end > first)
			assert(add_taken(first, end - first));
	}
}

/* The lowest place in [at, end) that no taken range touches. */
static uint64_t skip_taken(uint64_t at, uint64_t size, uint64_t alignment)
{
	bool moved;

	at = align_up(at, alignment);
	do {
		moved = false;
		for (unsigned i = 0; i < taken_count; i++) {
			if (at < taken[i].first + taken[i].size && taken[i].first < at + size) {
				at = align_up(taken[i].first + taken[i].size, alignment);
				moved = true;
			}
		}
	} while (moved);
	return at;
}

bool early_frames_take(uint64_t size, uint64_t alignment, kelp_paddr_t limit,
		       kelp_paddr_t *address)
{
	size = align_up(size, PAGE_SIZE);
	alignment = max_u64(alignment, PAGE_SIZE);
	for (unsigned i = 0; i < map->count; i++) {
		const struct memory_range *range = &map->range[i];
		uint64_t end = range->first + range->size, at;

		if (range->kind != MEMORY_RAM)
			continue;
		/* Frame 0 is left alone: a physical address of 0 stays a mistake one can see. */
		at = skip_taken(max_u64(range->first, PAGE_SIZE), size, alignment);
		if (at >= end || end - at < size || at + size - 1u > limit)
			continue;
		if (!add_taken(at, size))
			return false;
		taken_bytes += size;
		*address = at;
		return true;
	}
	return false;
}

uint64_t early_frames_taken(void)
{
	return taken_bytes;
}

uint64_t early_frames_next_free(kelp_paddr_t at, kelp_paddr_t end, uint64_t *free_end)
{
	at = skip_taken(max_u64(at, PAGE_SIZE), PAGE_SIZE, PAGE_SIZE);
	*free_end = end;
	for (unsigned i = 0; i < taken_count; i++)
		if (taken[i].first >= at && taken[i].first < *free_end)
			*free_end = taken[i].first;
	return at;
}

void early_frames_end(void)
{
	map = &nothing;
}
