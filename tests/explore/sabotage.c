/* SPDX-License-Identifier: MIT */
/*
 * Would the explorer notice? The library's own operations with one bug planted in how they touch
 * entries, and for each the programs and models that must find it. Without a bug all pass.
 */
#include "support/sabotaged.h"
#include "support/world.h"

#include "hw.h"

#define W KELP_ATTR_WRITE

#define SC  (1u << EXPLORE_SC)
#define TSO (1u << EXPLORE_TSO)
#define RA  (1u << EXPLORE_RA)
#define ALL (SC | TSO | RA)

static enum sabotage planted;

static void setup_empty(void *context)
{
	(void)context;
	world_setup(2, true);
	world_readers = 2;
	sabotage_reset(planted);
	world.space.ops = &kelp_sabotaged_space_ops;
}

static void setup_large(void *context)
{
	(void)context;
	world_setup(2, true);
	world_readers = 2;
	map(0x000, FRAME(0), TINY_LARGE, W, 0);
	sabotage_reset(planted);
	world.space.ops = &kelp_sabotaged_space_ops;
}

static void setup_pages(void *context)
{
	(void)context;
	world_setup(2, true);
	world_readers = 2;
	map(0x000, FRAME(0), TINY_LARGE, W, KELP_LEAF_SHIFT(6));
	sabotage_reset(planted);
	world.space.ops = &kelp_sabotaged_space_ops;
}

static void map_first(void *context) { (void)context; map(0x000, FRAME(0), TINY_PAGE, W, 0); }
static void map_second(void *context) { (void)context; map(0x040, FRAME(1), TINY_PAGE, W, 0); }
static void unmap_first(void *context) { (void)context; unmap(0x000, TINY_PAGE, 0); }
static void unmap_last(void *context) { (void)context; unmap(0x0c0, TINY_PAGE, 0); }
static void protect_two(void *context) { (void)context; protect(0x040, 2 * TINY_PAGE, 0, W, 0); }

/* A leaf gives way to a table of smaller ones. */
static void replace_by_pages(void *context)
{
	(void)context;
	map(0x000, FRAME(2), TINY_LARGE, W, KELP_REPLACE | KELP_LEAF_SHIFT(6));
}

static void query_old_or_new(void *context)
{
	struct kelp_mapping m = look(0x080);

	(void)context;
	check_leaf(&m, 0x080, (m.pa >= FRAME(2) ? FRAME(2) : FRAME(0)) + 0x80);
}

static void query_first(void *context)
{
	struct kelp_mapping m = look(0x000);

	(void)context;
	check_leaf_or_hole(&m, 0x000, FRAME(0));
}

static void query_kept(void *context)
{
	struct kelp_mapping m = look(0x080);

	(void)context;
	check_leaf(&m, 0x080, FRAME(0) + 0x80);
}

static void finish_mapped(void *context)
{
	(void)context;
	check_final(0x000, FRAME(0));
	check_final(0x040, FRAME(1));
	check_pages(3);
}

static void finish_one_mapped(void *context)
{
	(void)context;
	check_final(0x000, FRAME(0));
	check_pages(3);
}

static void finish_unmapped(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x080, FRAME(0) + 0x80);
	check_final(0x0c0, 0);
	check_pages(3);
}

static void finish_first_unmapped(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x080, FRAME(0) + 0x80);
	check_pages(3);
}

static void finish_replaced(void *context)
{
	(void)context;
	check_final(0x000, FRAME(2));
	check_final(0x080, FRAME(2) + 0x80);
	check_pages(3);
}

static bool hardware_wrote;

/* Hardware marks the page at 0x040 as written, if it may still be. */
static void hardware_write(void *context)
{
	uint64_t *slot = NULL, entry;

	(void)context;
	hardware_wrote = false;
	for (unsigned i = 0; i < WORLD_PAGES && !slot; i++)
		if ((world.page[i][1] & TINY_FRAME) == FRAME(0) + 0x40)
			slot = &world.page[i][1];
	read_begin();
	entry = explore_load(slot, 8, EXPLORE_ACQUIRE);
	while ((entry & TINY_W) && !hardware_wrote)
		hardware_wrote = explore_swap(slot, 8, &entry, entry | TINY_A | TINY_D,
					      EXPLORE_ACQ_REL, EXPLORE_ACQUIRE);
	read_end();
}

static void finish_dirty(void *context)
{
	struct kelp_mapping m;

	(void)context;
	explore_check(kelp_space_query(&world.space, 0x040, &m) == KELP_OK, "a query fails");
	explore_check(!hardware_wrote || (m.attributes & KELP_ATTR_DIRTY),
		      "the dirty bit that hardware set is lost");
}

static const struct {
	struct world_case program;
	/* For each bug, the models in which this program must find it. */
	unsigned found[SABOTAGE_FILL_LATE + 1];
} cases[] = {
	{{"two map", setup_empty, {map_first, map_second}, finish_mapped, .thread_name = {NULL}},
	 {[SABOTAGE_SWAP_BY_STORE] = ALL, [SABOTAGE_SWAP_RELAXED] = ALL,
	  [SABOTAGE_LOAD_RELAXED] = ALL}},
	{{"map beside query", setup_empty, {map_first, query_first}, finish_one_mapped,
	  .thread_name = {NULL}},
	 {[SABOTAGE_SWAP_RELAXED] = ALL, [SABOTAGE_LOAD_RELAXED] = ALL}},
	{{"two unmap parts of a leaf", setup_large, {unmap_first, unmap_last}, finish_unmapped,
	  .thread_name = {NULL}},
	 {[SABOTAGE_SWAP_BY_STORE] = ALL, [SABOTAGE_SWAP_RELAXED] = ALL,
	  [SABOTAGE_LOAD_RELAXED] = ALL, [SABOTAGE_FILL_LATE] = ALL}},
	{{"unmap of a part beside query", setup_large, {unmap_first, query_kept},
	  finish_first_unmapped, .thread_name = {NULL}},
	 {[SABOTAGE_SWAP_RELAXED] = ALL, [SABOTAGE_LOAD_RELAXED] = ALL,
	  [SABOTAGE_FILL_LATE] = ALL}},
	{{"leaf replaced by pages, query", setup_large, {replace_by_pages, query_old_or_new},
	  finish_replaced, .thread_name = {NULL}},
	 {[SABOTAGE_STORE_RELAXED] = ALL, [SABOTAGE_LOAD_RELAXED] = ALL,
	  [SABOTAGE_FILL_LATE] = ALL}},
	{{"protect, hardware sets dirty", setup_pages, {protect_two, hardware_write}, finish_dirty,
	  .thread_name = {NULL}},
	 {[SABOTAGE_SWAP_BY_STORE] = ALL}},
};

static const char *const sabotage_name[] = {
	"no bug", "swap by store", "swap relaxed", "store relaxed", "load relaxed", "fill late",
};

static void every_bug_is_found(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (unsigned how = 0; how <= SABOTAGE_FILL_LATE; how++) {
		planted = (enum sabotage)how;
		printf("-- %s\n", sabotage_name[how]);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			for (unsigned model = 0; model < 3; model++) {
				struct world_case c = cases[i].program;

				if (cases[i].found[how] & (1u << model))
					c.fails = "";
				wrong += world_run(&c, (enum explore_model)model);
			}
		}
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(every_bug_is_found),
	};

	return cmocka_run_group_tests_name("explore/sabotage", all, NULL, NULL);
}
