/* SPDX-License-Identifier: MIT */
/*
 * The library's range operations for the tiny format once more, with entries that are touched
 * wrongly: see enum sabotage. The code of the operations is the library's own.
 */
#include "sabotaged.h"

#include "src/entry.h"

enum sabotage sabotage;

/* FILL_LATE: what was to be filled before the next table is linked. */
static struct {
	void *table;
	unsigned index, count;
	uint64_t entry, step;
} late[8];
static unsigned late_count;

void sabotage_reset(enum sabotage how)
{
	sabotage = how;
	late_count = 0;
}

static void fill_late(void)
{
	for (unsigned i = 0; i < late_count; i++)
		kelp_entry_fill(late[i].table, late[i].index, late[i].count, late[i].entry,
				late[i].step, 8);
	late_count = 0;
}

static uint64_t sabotaged_load(const void *table, unsigned index, size_t width)
{
	if (sabotage == SABOTAGE_LOAD_RELAXED)
		return explore_load((const uint64_t *)table + index, 8, EXPLORE_RELAXED);
	return kelp_entry_load(table, index, width);
}

static void sabotaged_store(void *table, unsigned index, uint64_t entry, size_t width)
{
	if (sabotage == SABOTAGE_STORE_RELAXED)
		explore_store((uint64_t *)table + index, 8, entry, EXPLORE_RELAXED);
	else
		kelp_entry_store(table, index, entry, width);
	fill_late();
}

static bool sabotaged_swap(void *table, unsigned index, uint64_t *expected, uint64_t desired,
			   size_t width)
{
	uint64_t *slot = (uint64_t *)table + index;
	bool done;

	if (sabotage == SABOTAGE_SWAP_BY_STORE) {
		uint64_t is = kelp_entry_load(table, index, width);

		done = is == *expected;
		*expected = is;
		if (done)
			kelp_entry_store(table, index, desired, width);
	} else if (sabotage == SABOTAGE_SWAP_RELAXED) {
		done = explore_swap(slot, 8, expected, desired, EXPLORE_RELAXED, EXPLORE_RELAXED);
	} else {
		done = kelp_entry_swap(table, index, expected, desired, width);
	}
	fill_late();
	return done;
}

static void sabotaged_fill(void *table, unsigned index, unsigned count, uint64_t entry,
			   uint64_t step, size_t width)
{
	if (sabotage != SABOTAGE_FILL_LATE) {
		kelp_entry_fill(table, index, count, entry, step, width);
		return;
	}
	late[late_count].table = table;
	late[late_count].index = index;
	late[late_count].count = count;
	late[late_count].entry = entry;
	late[late_count++].step = step;
}

#define kelp_entry_load     sabotaged_load
#define kelp_entry_store    sabotaged_store
#define kelp_entry_swap     sabotaged_swap
#define kelp_entry_fill     sabotaged_fill
#define kelp_tiny_space_ops kelp_sabotaged_space_ops
#define KELP_FORMAT(name)   kelp_tiny_##name
#include "src/space_template.h"
