/* SPDX-License-Identifier: MIT */
/*
 * Lock-free readers beside one writer, as kelp/space.h promises them: what a reader sees is,
 * entry by entry, either the old or the new state, and it never touches a table that was given
 * back. Every schedule of the library's own code, under SC, TSO and RA.
 */
#include "support/world.h"

#define W KELP_ATTR_WRITE

/* ---- map: a fresh tree grows under the reader ---------------------------------------------------- */

static void setup_empty(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 2;
}

static void map_page(void *context)
{
	(void)context;
	map(0x40, FRAME(1), TINY_PAGE, W, 0);
}

static void look_twice(void *context)
{
	struct kelp_mapping first, second;

	(void)context;
	first = look(0x40);
	second = look(0x40);
	check_leaf_or_hole(&first, 0x40, FRAME(1));
	check_leaf_or_hole(&second, 0x40, FRAME(1));
	explore_check(first.kind == KELP_ENTRY_NONE || second.kind == KELP_ENTRY_LEAF,
		      "what was mapped is gone again");
}

static void finish_mapped(void *context)
{
	(void)context;
	check_final(0x40, FRAME(1));
	check_final(0x00, 0);
	check_pages(3);
}

/* ---- unmap: tables go -------------------------------------------------------------------------- */

static void setup_two_tables(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 2;
	map(0x000, FRAME(0), 2 * TINY_LARGE, W, KELP_LEAF_SHIFT(6));
}

static void unmap_first_table(void *context)
{
	(void)context;
	unmap(0x000, TINY_LARGE, 0);
}

static void look_first_table(void *context)
{
	struct kelp_mapping m = look(0x000);

	(void)context;
	check_leaf_or_hole(&m, 0x000, FRAME(0));
	m = look(0x0c0);
	check_leaf_or_hole(&m, 0x0c0, FRAME(0) + 0xc0);
}

static void finish_first_gone(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x100, FRAME(0) + 0x100);
	check_pages(3);
}

/* Two tables at once: the gather links them through their first entries. */
static void unmap_two_tables(void *context)
{
	(void)context;
	unmap(0x000, 2 * TINY_LARGE, 0);
}

static void look_second_table(void *context)
{
	struct kelp_mapping m = look(0x100);

	(void)context;
	check_leaf_or_hole(&m, 0x100, FRAME(0) + 0x100);
}

static void finish_two_gone(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x100, 0);
	check_pages(2);
}

/* A table of tables. */
static void setup_whole_entry(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 2;
	map(0x000, FRAME(0), TINY_HUGE, W, KELP_LEAF_SHIFT(6));
}

static void unmap_whole_entry(void *context)
{
	(void)context;
	unmap(0x000, TINY_HUGE, 0);
}

static void finish_empty(void *context)
{
	(void)context;
	check_final(0x000, 0);
	check_final(0x100, 0);
	check_pages(1);
}

/* ---- protect -------------------------------------------------------------------------------------- */

static void setup_pages(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 2;
	map(0x000, FRAME(0), TINY_LARGE, W, KELP_LEAF_SHIFT(6));
}

static void setup_pages_ad(void *context)
{
	(void)context;
	world_setup(2, true);
	world_readers = 2;
	map(0x000, FRAME(0), TINY_LARGE, W, KELP_LEAF_SHIFT(6));
}

static void protect_pages(void *context)
{
	(void)context;
	protect(0x40, 2 * TINY_PAGE, 0, W, 0);
}

static void look_protected(void *context)
{
	struct kelp_mapping first = look(0x40), second = look(0x40);

	(void)context;
	check_leaf(&first, 0x40, FRAME(0) + 0x40);
	check_leaf(&second, 0x40, FRAME(0) + 0x40);
	explore_check((first.attributes & W) || !(second.attributes & W),
		      "the right that was taken is back");
}

static void finish_protected(void *context)
{
	struct kelp_mapping m;

	(void)context;
	explore_check(kelp_space_query(&world.space, 0x40, &m) == KELP_OK &&
			      !(m.attributes & W), "the page is still writable");
	explore_check(kelp_space_query(&world.space, 0xc0, &m) == KELP_OK && (m.attributes & W),
		      "a neighbour lost the right");
	check_pages(3);
}

/* ---- split, coalesce, parts of a large leaf -------------------------------------------------------- */

static void setup_large(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 2;
	map(0x000, FRAME(0), TINY_LARGE, W, 0);
}

static void setup_large_ad(void *context)
{
	(void)context;
	world_setup(2, true);
	world_readers = 2;
	map(0x000, FRAME(0), TINY_LARGE, W, 0);
}

static void split_large(void *context)
{
	(void)context;
	split(0x000, TINY_LARGE, 0);
}

static void coalesce_pages(void *context)
{
	(void)context;
	coalesce(0x000, TINY_LARGE, 0);
}

/* INV-1.3: at every instant the same frame with the same attributes. */
static void look_unchanged(void *context)
{
	struct kelp_mapping m = look(0x80);
	kelp_paddr_t pa = 0;

	(void)context;
	check_leaf(&m, 0x80, FRAME(0) + 0x80);
	explore_check(m.attributes & W, "the right to write is gone");
	read_begin();
	explore_check(kelp_space_translate(&world.space, 0x91, &pa) == KELP_OK &&
			      pa == FRAME(0) + 0x91, "0x91 does not translate");
	read_end();
}

static void finish_split(void *context)
{
	(void)context;
	check_final(0x00, FRAME(0));
	check_final(0xc0, FRAME(0) + 0xc0);
	check_pages(3);
}

static void finish_coalesced(void *context)
{
	(void)context;
	check_final(0x00, FRAME(0));
	check_final(0xc0, FRAME(0) + 0xc0);
	check_pages(2);
}

static void unmap_middle(void *context)
{
	(void)context;
	unmap(0x40, TINY_PAGE, 0);
}

static void look_around_middle(void *context)
{
	struct kelp_mapping m = look(0x00);

	(void)context;
	check_leaf(&m, 0x00, FRAME(0));
	m = look(0x40);
	check_leaf_or_hole(&m, 0x40, FRAME(0) + 0x40);
	m = look(0x80);
	check_leaf(&m, 0x80, FRAME(0) + 0x80);
}

static void finish_middle(void *context)
{
	(void)context;
	check_final(0x00, FRAME(0));
	check_final(0x40, 0);
	check_final(0x80, FRAME(0) + 0x80);
	check_pages(3);
}

/* ---- replacing --------------------------------------------------------------------------------------- */

static void replace_by_large(void *context)
{
	(void)context;
	map(0x000, FRAME(3), TINY_LARGE, W, KELP_REPLACE);
}

static void replace_by_pages(void *context)
{
	(void)context;
	map(0x40, FRAME(3) + 0x40, 2 * TINY_PAGE, W, KELP_REPLACE);
}

static void look_replaced(void *context)
{
	struct kelp_mapping first = look(0x40), second = look(0x40);

	(void)context;
	if (first.kind != KELP_ENTRY_LEAF || frame_of(&first, 0x40) != FRAME(0) + 0x40) {
		check_leaf(&first, 0x40, FRAME(3) + 0x40);
		check_leaf(&second, 0x40, FRAME(3) + 0x40);
	} else if (frame_of(&second, 0x40) != FRAME(0) + 0x40) {
		check_leaf(&second, 0x40, FRAME(3) + 0x40);
	}
}

static void finish_replaced_large(void *context)
{
	(void)context;
	check_final(0x00, FRAME(3));
	check_final(0xc0, FRAME(3) + 0xc0);
	check_pages(2);
}

static void finish_replaced_pages(void *context)
{
	(void)context;
	check_final(0x00, FRAME(0));
	check_final(0x40, FRAME(3) + 0x40);
	check_final(0x80, FRAME(3) + 0x80);
	check_final(0xc0, FRAME(0) + 0xc0);
	check_pages(3);
}

/* ---- walk ---------------------------------------------------------------------------------------------- */

static enum kelp_visit visit_leaf(void *context, const struct kelp_mapping *m)
{
	unsigned *seen = context;

	explore_check(m->kind == KELP_ENTRY_LEAF && m->pa == FRAME(0) + m->va,
		      "the walk visits kind %u at %#llx", m->kind, (unsigned long long)m->va);
	++*seen;
	return KELP_VISIT_CONTINUE;
}

static void walk_pages(void *context)
{
	unsigned seen = 0;

	(void)context;
	read_begin();
	explore_check(kelp_space_walk(&world.space, 0x000, 2 * TINY_LARGE, 0, visit_leaf, &seen) ==
			      KELP_OK, "the walk fails");
	read_end();
	explore_check(seen >= 4, "the walk missed leaves nobody touched: %u seen", seen);
}

/* Attributes that differ do not coalesce; what the walk joins it may not invent. */
static enum kelp_visit visit_run(void *context, const struct kelp_mapping *m)
{
	uint64_t *next = context;

	explore_check(m->va == *next && m->kind == KELP_ENTRY_LEAF && m->pa == FRAME(0) + m->va,
		      "the walk visits kind %u at %#llx after %#llx", m->kind,
		      (unsigned long long)m->va, (unsigned long long)*next);
	*next = m->va + m->size;
	return KELP_VISIT_CONTINUE;
}

static void walk_runs(void *context)
{
	uint64_t next = 0;

	(void)context;
	read_begin();
	explore_check(kelp_space_walk(&world.space, 0x000, TINY_LARGE, KELP_WALK_RUNS, visit_run,
				      &next) == KELP_OK, "the walk fails");
	read_end();
	explore_check(next == TINY_LARGE, "the walk ends at %#llx", (unsigned long long)next);
}

/* ---- release ------------------------------------------------------------------------------------------- */

static void setup_empty_tables(void *context)
{
	(void)context;
	world_setup(2, false);
	world_readers = 2;
	map(0x000, FRAME(0), TINY_PAGE, W, 0);
	unmap(0x000, TINY_PAGE, 0);
}

static void release_tables(void *context)
{
	struct kelp_flush flush = {0};
	uint64_t released = 0;

	(void)context;
	kelp_flush_begin(&flush, &world.space);
	explore_check(kelp_space_release(&flush, 0x000, TINY_HUGE, &released) == KELP_OK &&
			      released == 2, "%llu tables are released",
		      (unsigned long long)released);
	kelp_flush_commit(&flush);
}

static void look_at_hole(void *context)
{
	struct kelp_mapping m = look(0x000);

	(void)context;
	check_hole(&m, 0x000);
}

/* ---- the hardware sets accessed and dirty meanwhile ------------------------------------------------------ */

static bool hardware_wrote;

/* A walker of hardware: a write through the leaf of 0x40 sets both bits, by compare-and-swap. */
static void hardware_write(void *context)
{
	(void)context;
	hardware_wrote = false;
	read_begin();
	for (;;) {
		kelp_paddr_t page = world.space.root;
		uint64_t *slot = NULL;
		uint64_t entry = 0;

		for (unsigned level = TINY_LEVELS; level-- > 0;) {
			slot = &world.page[(page - WORLD_TABLES) / 64u]
					 [kelp_tiny_index(&world.format, level, 0x40)];
			entry = explore_load(slot, 8, EXPLORE_ACQUIRE);
			if (kelp_tiny_kind(&world.format, level, entry) != KELP_ENTRY_TABLE)
				break;
			page = entry & TINY_FRAME;
		}
		if (!(entry & TINY_V) || !(entry & TINY_W))
			break; /* a fault */
		if (explore_swap(slot, 8, &entry, entry | TINY_A | TINY_D, EXPLORE_ACQ_REL,
				 EXPLORE_ACQUIRE)) {
			explore_note("hardware has written through the leaf");
			hardware_wrote = true;
			break;
		}
	}
	read_end();
}

static void unmap_last_page(void *context)
{
	(void)context;
	unmap(0xc0, TINY_PAGE, 0);
}

static void check_dirty_kept(void)
{
	struct kelp_mapping m;

	explore_check(kelp_space_query(&world.space, 0x40, &m) == KELP_OK, "a query fails");
	check_leaf(&m, 0x40, FRAME(0) + 0x40);
	explore_check(!hardware_wrote ||
			      (~m.attributes & (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)) == 0,
		      "the dirty bit that hardware set is lost");
}

static void finish_dirty_3(void *context)
{
	(void)context;
	check_dirty_kept();
	check_pages(3);
}

static void finish_dirty_2(void *context)
{
	(void)context;
	check_dirty_kept();
	check_pages(2);
}

/* ---- out of read sections: what must be caught ------------------------------------------------------------ */

static void look_without_section(void *context)
{
	struct kelp_mapping m;

	(void)context;
	explore_check(kelp_space_query(&world.space, 0x000, &m) == KELP_OK, "a query fails");
	check_leaf_or_hole(&m, 0x000, FRAME(0));
}

static void setup_no_wait(void *context)
{
	setup_two_tables(context);
	world.port.wait_for_readers = NULL;
}

/* The reader's flag after its first load instead of before. */
static void look_flag_late(void *context)
{
	uint64_t *slot = &world.page[(world.space.root - WORLD_TABLES) / 64u][0];
	uint64_t entry = explore_load(slot, 8, EXPLORE_ACQUIRE);

	(void)context;
	read_begin();
	for (unsigned level = 1; entry & TINY_V && !(entry & TINY_LEAF); level--) {
		slot = &world.page[((entry & TINY_FRAME) - WORLD_TABLES) / 64u][0];
		entry = explore_load(slot, 8, EXPLORE_ACQUIRE);
		if (level == 0)
			break;
	}
	read_end();
}

/* No fence between the reader's flag and the tables. */
static void look_without_fence(void *context)
{
	struct kelp_mapping m;

	(void)context;
	explore_store(&world.reading[explore_self()], 8, 1, EXPLORE_RELAXED);
	explore_check(kelp_space_query(&world.space, 0x000, &m) == KELP_OK, "a query fails");
	read_end();
}

static const struct world_case cases[] = {
	{"map beside query", setup_empty, {map_page, look_twice}, finish_mapped,
	 .thread_name = {"writer", "reader"}},
	{"unmap of a table beside query", setup_two_tables, {unmap_first_table, look_first_table},
	 finish_first_gone, .thread_name = {"writer", "reader"}},
	/* Readers may still be in a table whose first entry is already a link of the gather's list. */
	{"unmap of two tables beside query", setup_two_tables, {unmap_two_tables, look_second_table},
	 finish_two_gone, .thread_name = {"writer", "reader"}},
	{"unmap of a tree beside query", setup_whole_entry, {unmap_whole_entry, look_second_table},
	 finish_empty, .thread_name = {"writer", "reader"}},
	{"protect beside query", setup_pages, {protect_pages, look_protected}, finish_protected,
	 .thread_name = {"writer", "reader"}},
	{"protect of a large leaf, query", setup_large, {protect_pages, look_protected},
	 finish_protected, .thread_name = {"writer", "reader"}},
	{"split beside query", setup_large, {split_large, look_unchanged}, finish_split,
	 .thread_name = {"writer", "reader"}},
	{"coalesce beside query", setup_pages, {coalesce_pages, look_unchanged}, finish_coalesced,
	 .thread_name = {"writer", "reader"}},
	{"unmap of a part beside query", setup_large, {unmap_middle, look_around_middle},
	 finish_middle, .thread_name = {"writer", "reader"}},
	{"table replaced by leaf, query", setup_pages, {replace_by_large, look_replaced},
	 finish_replaced_large, .thread_name = {"writer", "reader"}},
	{"leaf replaced by pages, query", setup_large, {replace_by_pages, look_replaced},
	 finish_replaced_pages, .thread_name = {"writer", "reader"}},
	{"unmap beside walk", setup_two_tables, {unmap_first_table, walk_pages}, finish_first_gone,
	 .thread_name = {"writer", "walker"}},
	{"split beside walk", setup_large, {split_large, walk_runs}, finish_split,
	 .thread_name = {"writer", "walker"}},
	{"coalesce beside walk", setup_pages, {coalesce_pages, walk_runs}, finish_coalesced,
	 .thread_name = {"writer", "walker"}},
	{"release beside query", setup_empty_tables, {release_tables, look_at_hole}, finish_empty,
	 .thread_name = {"writer", "reader"}},
	{"split, hardware sets dirty", setup_large_ad, {split_large, hardware_write}, finish_dirty_3,
	 .thread_name = {"writer", "hardware"}},
	{"unmap of a part, hardware sets dirty", setup_large_ad, {unmap_last_page, hardware_write},
	 finish_dirty_3, .thread_name = {"writer", "hardware"}},
	{"protect, hardware sets dirty", setup_pages_ad, {protect_pages, hardware_write},
	 finish_dirty_3, .thread_name = {"writer", "hardware"}},
	{"coalesce, hardware sets dirty", setup_pages_ad, {coalesce_pages, hardware_write},
	 finish_dirty_2, .thread_name = {"writer", "hardware"}},

	{"bad: query outside a section", setup_two_tables, {unmap_first_table, look_without_section},
	 NULL, .fails = "back", .thread_name = {"writer", "reader"}},
	{"bad: nobody waits for readers", setup_no_wait, {unmap_first_table, look_first_table}, NULL,
	 .fails = "back", .thread_name = {"writer", "reader"}},
	{"bad: section begins late", setup_whole_entry, {unmap_whole_entry, look_flag_late}, NULL,
	 .fails = "back", .thread_name = {"writer", "reader"}},
	{"bad: section without a fence", setup_two_tables, {unmap_first_table, look_without_fence},
	 NULL, .fails = "back", .models = 1u << EXPLORE_TSO | 1u << EXPLORE_RA,
	 .thread_name = {"writer", "reader"}},
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

	return cmocka_run_group_tests_name("explore/query_beside_writer", all, NULL, NULL);
}
