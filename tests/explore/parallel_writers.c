/* SPDX-License-Identifier: MIT */
/*
 * Writers in parallel on ranges that do not overlap, as kelp/space.h allows them: they share
 * tables that are missing, and large leaves that both must split. Nothing is lost, nothing
 * leaks, and readers beside them see old or new.
 */
#include "support/world.h"

#define W KELP_ATTR_WRITE

static void setup_empty(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 0;
}

static void setup_large(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 0;
	map(0x000, FRAME(0), TINY_LARGE, W, 0);
}

static void setup_large_ad(void *context)
{
	(void)context;
	world_setup(2, true);
	world_readers = 0;
	map(0x000, FRAME(0), TINY_LARGE, W, 0);
}

static void setup_large_bbm0(void *context)
{
	(void)context;
	world_setup(0, false);
	world_readers = 0;
	map(0x000, FRAME(0), TINY_LARGE, W, 0);
}

static void setup_large_read(void *context)
{
	setup_large(context);
	world_readers = 1u << 2;
}

static void setup_empty_read(void *context)
{
	setup_empty(context);
	world_readers = 1u << 2;
}

/* ---- map ------------------------------------------------------------------------------------------ */

static void map_first(void *context)
{
	(void)context;
	map(0x000, FRAME(0), TINY_PAGE, W, 0);
}

static void map_second(void *context)
{
	(void)context;
	map(0x040, FRAME(1), TINY_PAGE, W, 0);
}

static void map_third(void *context)
{
	(void)context;
	map(0x100, FRAME(2), 2 * TINY_PAGE, W, 0);
}

/* Reaches into the table of the first and needs one of its own. */
static void map_across(void *context)
{
	(void)context;
	map(0x0c0, FRAME(3), 2 * TINY_PAGE, W, 0);
}

static void populate_entry(void *context)
{
	struct kelp_flush flush = {0};

	(void)context;
	kelp_flush_begin(&flush, &world.space);
	explore_check(kelp_space_populate(&flush, 0x000, 2 * TINY_LARGE, 6, 0) == KELP_OK,
		      "populate fails");
	kelp_flush_commit(&flush);
}

static void finish_two_mapped(void *context)
{
	(void)context;
	check_final(0x000, FRAME(0));
	check_final(0x040, FRAME(1));
	check_final(0x080, 0);
	check_pages(3);
}

static void finish_three_mapped(void *context)
{
	(void)context;
	check_final(0x000, FRAME(0));
	check_final(0x040, FRAME(1));
	check_final(0x100, FRAME(2));
	check_pages(4);
}

static void finish_across(void *context)
{
	(void)context;
	check_final(0x000, FRAME(0));
	check_final(0x0c0, FRAME(3));
	check_final(0x100, FRAME(3) + 0x40);
	check_final(0x140, 0);
	check_pages(4);
}

static void finish_populated(void *context)
{
	(void)context;
	check_final(0x000, FRAME(0));
	check_final(0x040, 0);
	check_pages(4);
}

/* ---- both cut one large leaf ------------------------------------------------------------------------ */

static void unmap_first(void *context)
{
	(void)context;
	unmap(0x000, TINY_PAGE, 0);
}

static void unmap_last(void *context)
{
	(void)context;
	unmap(0x0c0, TINY_PAGE, 0);
}

static void unmap_first_break(void *context)
{
	(void)context;
	unmap(0x000, TINY_PAGE, KELP_ALLOW_BREAK);
}

static void unmap_last_break(void *context)
{
	(void)context;
	unmap(0x0c0, TINY_PAGE, KELP_ALLOW_BREAK);
}

static void protect_second(void *context)
{
	(void)context;
	protect(0x040, TINY_PAGE, 0, W, 0);
}

static void protect_last_break(void *context)
{
	(void)context;
	protect(0x0c0, TINY_PAGE, 0, W, KELP_ALLOW_BREAK);
}

static void replace_third(void *context)
{
	(void)context;
	map(0x080, FRAME(2), TINY_PAGE, W, KELP_REPLACE);
}

static void look_untouched(void *context)
{
	struct kelp_mapping m = look(0x080);

	(void)context;
	check_leaf(&m, 0x080, FRAME(0) + 0x80);
	explore_check(m.attributes & W, "the right to write is gone");
}

static void look_mapped(void *context)
{
	struct kelp_mapping m = look(0x040);

	(void)context;
	check_leaf_or_hole(&m, 0x040, FRAME(1));
}

static void check_writable(kelp_vaddr_t va, bool writable)
{
	struct kelp_mapping m;

	explore_check(kelp_space_query(&world.space, va, &m) == KELP_OK &&
			      !(m.attributes & W) == !writable,
		      "%#llx: the right to write is wrong", (unsigned long long)va);
}

static void finish_both_unmapped(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x040, FRAME(0) + 0x40);
	check_final(0x080, FRAME(0) + 0x80);
	check_final(0x0c0, 0);
	check_pages(3);
}

static void finish_unmapped_protected(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x040, FRAME(0) + 0x40);
	check_final(0x080, FRAME(0) + 0x80);
	check_writable(0x040, false);
	check_writable(0x080, true);
	check_pages(3);
}

static void finish_unmapped_protected_break(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x080, FRAME(0) + 0x80);
	check_final(0x0c0, FRAME(0) + 0xc0);
	check_writable(0x080, true);
	check_writable(0x0c0, false);
	check_pages(3);
}

static void finish_three_edits(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x040, FRAME(0) + 0x40);
	check_final(0x080, FRAME(2));
	check_final(0x0c0, FRAME(0) + 0xc0);
	check_writable(0x040, false);
	check_writable(0x0c0, true);
	check_pages(3);
}

/* ---- unmap takes tables beside other edits ------------------------------------------------------------ */

static void setup_tables(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 0;
	map(0x000, FRAME(0), 2 * TINY_LARGE, W, KELP_LEAF_SHIFT(6));
}

static void unmap_table(void *context)
{
	(void)context;
	unmap(0x000, TINY_LARGE, 0);
}

static void protect_next_table(void *context)
{
	(void)context;
	protect(0x100, TINY_PAGE, 0, W, 0);
}

static void unmap_next_table(void *context)
{
	(void)context;
	unmap(0x100, TINY_LARGE, 0);
}

/* Two calls with one gather: the second uses the cursor of the first. */
static void unmap_pages_by_cursor(void *context)
{
	struct kelp_flush flush = {0};

	(void)context;
	kelp_flush_begin(&flush, &world.space);
	explore_check(kelp_space_unmap(&flush, 0x100, TINY_PAGE, 0) == KELP_OK &&
			      kelp_space_unmap(&flush, 0x140, TINY_PAGE, 0) == KELP_OK &&
			      kelp_space_map(&flush, 0x100, FRAME(5), TINY_PAGE,
					     W | world.format.attr_always, 0) == KELP_OK,
		      "an edit fails");
	kelp_flush_commit(&flush);
}

/* A leaf takes the place of the first table. */
static void replace_table(void *context)
{
	(void)context;
	map(0x000, FRAME(4), TINY_LARGE, W, KELP_REPLACE);
}

static void finish_table_replaced(void *context)
{
	(void)context;
	check_final(0x000, FRAME(4));
	check_final(0x0c0, FRAME(4) + 0xc0);
	check_final(0x100, FRAME(0) + 0x100);
	check_writable(0x100, false);
	check_pages(3);
}

static void protect_end_of_first(void *context)
{
	(void)context;
	protect(0x080, 2 * TINY_PAGE, 0, W, 0);
}

static void unmap_begin_of_first(void *context)
{
	(void)context;
	unmap(0x000, 2 * TINY_PAGE, 0);
}

static void finish_first_shared(void *context)
{
	(void)context;
	check_final(0x040, 0);
	check_final(0x080, FRAME(0) + 0x80);
	check_writable(0x080, false);
	check_writable(0x100, true);
	check_pages(4);
}

static void finish_table_gone(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x100, FRAME(0) + 0x100);
	check_writable(0x100, false);
	check_pages(3);
}

static void finish_tables_gone(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x100, 0);
	check_pages(2);
}

static void finish_cursor(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x100, FRAME(5));
	check_final(0x140, 0);
	check_final(0x180, FRAME(0) + 0x180);
	check_pages(3);
}

static const struct world_case cases[] = {
	{"two map, tables missing", setup_empty, {map_first, map_second}, finish_two_mapped,
	 .thread_name = {NULL}},
	{"three map, tables missing", setup_empty, {map_first, map_second, map_third},
	 finish_three_mapped,
	 .thread_name = {NULL}},
	{"two map, across a table's end", setup_empty, {map_first, map_across}, finish_across,
	 .thread_name = {NULL}},
	{"map beside populate", setup_empty, {map_first, populate_entry}, finish_populated,
	 .thread_name = {NULL}},
	{"two map beside query", setup_empty_read, {map_first, map_second, look_mapped},
	 finish_two_mapped,
	 .thread_name = {NULL}},
	{"two unmap parts of a leaf", setup_large, {unmap_first, unmap_last}, finish_both_unmapped,
	 .thread_name = {NULL}},
	{"the same, accessed and dirty", setup_large_ad, {unmap_first, unmap_last},
	 finish_both_unmapped,
	 .thread_name = {NULL}},
	{"unmap and protect parts of a leaf", setup_large, {unmap_first, protect_second},
	 finish_unmapped_protected,
	 .thread_name = {NULL}},
	{"three edit parts of a leaf", setup_large, {unmap_first, protect_second, replace_third},
	 finish_three_edits,
	 .thread_name = {NULL}},
	{"two cut a leaf beside query", setup_large_read, {unmap_first, unmap_last, look_untouched},
	 finish_both_unmapped,
	 .thread_name = {NULL}},
	/*
	 * Callers' errors: where a leaf is broken its whole span counts as the range. What one has
	 * broken, the other takes for a leaf and splits; then it is lost.
	 */
	{"bad: two unmap parts, with a break", setup_large_bbm0, {unmap_first_break, unmap_last_break},
	 finish_both_unmapped,
	 .fails = "",
	 .thread_name = {NULL}},
	{"bad: unmap and protect, with a break", setup_large_bbm0,
	 {unmap_first_break, protect_last_break}, finish_unmapped_protected_break,
	 .fails = "",
	 .thread_name = {NULL}},
	{"unmap of a table beside protect", setup_tables, {unmap_table, protect_next_table},
	 finish_table_gone,
	 .thread_name = {NULL}},
	{"table replaced beside protect", setup_tables, {replace_table, protect_next_table},
	 finish_table_replaced,
	 .thread_name = {NULL}},
	{"two edit one table", setup_tables, {unmap_begin_of_first, protect_end_of_first},
	 finish_first_shared,
	 .thread_name = {NULL}},
	/* Cutting at the end of the range must not look into the neighbour's table. */
	{"two unmap a table each", setup_tables, {unmap_table, unmap_next_table}, finish_tables_gone,
	 .thread_name = {NULL}},
	{"unmap of a table beside a cursor", setup_tables, {unmap_table, unmap_pages_by_cursor},
	 finish_cursor,
	 .thread_name = {NULL}},
};

static void run_cases(void **state)
{
	(void)state;
	assert_int_equal(world_run_all(cases, sizeof(cases) / sizeof(cases[0])), 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(run_cases),
	};

	return cmocka_run_group_tests_name("explore/parallel_writers", all, NULL, NULL);
}
