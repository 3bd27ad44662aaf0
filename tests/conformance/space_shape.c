/* SPDX-License-Identifier: MIT */
/* Conformance: populate, split, coalesce, release: what changes tables and no translation. */
#include "cases.h"

/* ---- populate ---------------------------------------------------------------------------- */

/* After populate, mapping and unmapping and mapping again needs no memory. */
static void populated_needs_no_memory(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), span = UINT64_C(1) << f->shift[1];
	kelp_vaddr_t va = some_va(f, 1) - 4 * page;

	assert_status(do_populate(run, va, 8 * page, f->page_shift), KELP_OK);
	do_commit(run);
	run->port->forbid_take = true;
	for (unsigned i = 0; i < 3; i++) {
		assert_status(do_map(run, va, some_pa(f, 1) - 4 * page, 8 * page, data_of(f),
				     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
		assert_status(do_unmap(run, va, 8 * page, KELP_STRICT), KELP_OK);
		do_commit(run);
	}
	run->port->forbid_take = false;
	/* Unmapping the whole span takes the tables too. */
	assert_status(do_unmap(run, some_va(f, 1) - span, 2 * span, 0), KELP_OK);
	do_commit(run);
	assert_null(leaf_of(run, va));
}

static void populate_leaves_large_leaves(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	assert_status(do_populate(run, va - large, 3 * large, f->page_shift), KELP_OK);
	assert_int_equal(shift_at(run, va), f->shift[level]);
}

static void populate_every_size(struct run *run)
{
	const struct kelp_format *f = run->format;

	for (unsigned shift = 0; shift < 64; shift++) {
		kelp_vaddr_t va = some_va(f, 0);
		bool exists = f->leaf_sizes >> shift & 1, entry = false;

		for (unsigned level = 0; level < f->levels; level++)
			entry = entry || f->shift[level] == shift;
		if (entry && !exists)
			continue;
		assert_status(do_populate(run, va, page_of(f), shift),
			      exists ? KELP_OK : KELP_ERR_ARGUMENT);
	}
	do_commit(run);
}

static void bad_arguments_of_populate(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_populate(run, va, 0, f->page_shift), KELP_ERR_ARGUMENT);
	assert_status(do_populate(run, va, page, 0), KELP_ERR_ARGUMENT);
	assert_status(do_populate(run, va, page, 64), KELP_ERR_ARGUMENT);
	assert_status(do_populate(run, va, page, UINT32_MAX), KELP_ERR_ARGUMENT);
	assert_status(do_populate(run, va + 1, page, f->page_shift), KELP_ERR_ALIGNMENT);
	assert_status(kelp_space_populate(&run->flush, va, page, f->page_shift, KELP_REPLACE),
		      KELP_ERR_ARGUMENT);
	assert_int_equal(tables_of(run), 1);
}

/* ---- split ------------------------------------------------------------------------------- */

static void splits_level_by_level(struct run *run)
{
	const struct kelp_format *f = run->format;

	for (unsigned level = 1; level < f->levels; level++) {
		uint64_t large = UINT64_C(1) << f->shift[level];
		kelp_vaddr_t va = some_va(f, 0);

		if (!leaf_at(f, level))
			continue;
		assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
				     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
		do_commit(run);
		for (unsigned to = level; to-- > 0;) {
			if (!leaf_at(f, to))
				continue;
			assert_status(do_split(run, va + large / 2, page_of(f), f->shift[to],
					       KELP_ALLOW_BREAK), KELP_OK);
			assert_int_equal(shift_at(run, va + large / 2), f->shift[to]);
			do_commit(run);
		}
		/* What is small enough stays as it is. */
		assert_status(do_split(run, va, large, f->shift[level], 0), KELP_OK);
		assert_true(kelp_flush_is_empty(&run->flush));
		assert_status(do_unmap(run, va, large, KELP_ALLOW_BREAK), KELP_OK);
		do_commit(run);
	}
}

static void split_takes_off_groups(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t group = page_of(f) << f->group_order[0];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 3 * group, data_of(f), 0), KELP_OK);
	assert_status(do_split(run, va + group, page_of(f), f->page_shift, KELP_ALLOW_BREAK),
		      KELP_OK);
	assert_true(leaf_of(run, va)->grouped);
	assert_false(leaf_of(run, va + group)->grouped);
	assert_true(leaf_of(run, va + 2 * group)->grouped);
	/* To the size of the group is no split. */
	assert_status(do_split(run, va, group, f->page_shift + f->group_order[0], 0), KELP_OK);
	assert_true(leaf_of(run, va)->grouped);
}

static void bad_arguments_of_split(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_split(run, va, 0, f->page_shift, 0), KELP_ERR_ARGUMENT);
	assert_status(do_split(run, va, page, f->page_shift - 1u, 0), KELP_ERR_ARGUMENT);
	assert_status(do_split(run, va, page, 64, 0), KELP_ERR_ARGUMENT);
	assert_status(do_split(run, va, page, 200, 0), KELP_ERR_ARGUMENT);
	assert_status(do_split(run, va, page, f->page_shift, KELP_REPLACE), KELP_ERR_ARGUMENT);
	assert_status(do_split(run, va + 4, page, f->page_shift, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_split(run, f->va_last[0] + 1u - page, 2 * page, f->page_shift, 0),
		      KELP_ERR_ADDRESS);
	/* Nothing there: nothing to do. */
	assert_status(do_split(run, va, page, f->page_shift, 0), KELP_OK);
	assert_true(kelp_flush_is_empty(&run->flush));
	assert_int_equal(tables_of(run), 1);
}

/* ---- coalesce ---------------------------------------------------------------------------- */

/* Split, then coalesce: bit for bit what it was, for every size of leaf. */
static void coalesce_undoes_split(struct run *run)
{
	const struct kelp_format *f = run->format;

	for (unsigned level = 1; level < f->levels; level++) {
		uint64_t large = UINT64_C(1) << f->shift[level], entry;
		kelp_vaddr_t va = some_va(f, 0);
		/* Used already, so that hardware has nothing to add and the bits stay. */
		kelp_attr_t attr = kelp_format_closest(f, data_of(f) | KELP_ATTR_ACCESSED |
							  KELP_ATTR_DIRTY | KELP_ATTR_SOFT1);
		unsigned tables;

		if (!leaf_at(f, level))
			continue;
		assert_status(do_map(run, va, some_pa(f, 0), large, attr,
				     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
		entry = leaf_of(run, va)->entry;
		tables = tables_of(run);
		do_commit(run);
		assert_status(do_split(run, va, page_of(f), f->page_shift, KELP_ALLOW_BREAK),
			      KELP_OK);
		do_commit(run);
		assert_int_equal(shift_at(run, va), f->page_shift);
		assert_status(do_coalesce(run, va, large, f->shift[level], KELP_ALLOW_BREAK),
			      KELP_OK);
		assert_int_equal(run->last_count > 0, 1);
		do_commit(run);
		assert_int_equal(leaf_of(run, va)->entry, entry);
		assert_int_equal(tables_of(run), tables);
		assert_int_equal(run->port->live, tables);
		assert_status(do_unmap(run, va, large, KELP_ALLOW_BREAK), KELP_OK);
		/* Where a table must be broken to become a leaf, an empty one would stay. */
		assert_status(do_release(run, va, large), KELP_OK);
		do_commit(run);
	}
}

/* What differs in one attribute, or one frame, or has a hole, does not become one leaf. */
static void unequal_leaves_stay(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	uint32_t small = KELP_LEAF_SHIFT(f->page_shift);

	for (unsigned way = 0; way < 4; way++) {
		assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f), small), KELP_OK);
		switch (way) {
		case 0:
			assert_status(do_unmap(run, va + 5 * page, page, 0), KELP_OK);
			break;
		case 1:
			assert_status(do_protect(run, va + large - page, page, 0,
						 KELP_ATTR_WRITE | KELP_ATTR_DIRTY,
						 KELP_ALLOW_BREAK), KELP_OK);
			break;
		case 2:
			assert_status(do_map(run, va + 5 * page, some_pa(f, 1), page, data_of(f),
					     KELP_REPLACE | KELP_ALLOW_BREAK | small), KELP_OK);
			break;
		case 3:
			assert_status(do_protect(run, va, page, KELP_ATTR_INVALID, 0,
						 KELP_ALLOW_BREAK), KELP_OK);
			break;
		}
		do_commit(run);
		assert_status(do_coalesce(run, va, large, f->shift[level], KELP_ALLOW_BREAK),
			      KELP_OK);
		assert_int_equal(leaf_of(run, va + large / 2)->level, 0);
		assert_status(do_unmap(run, va, large, KELP_ALLOW_BREAK), KELP_OK);
		do_commit(run);
	}
	/* Frames in order, but the first not aligned to the large leaf. */
	assert_status(do_map(run, va, some_pa(f, 0) + page, large, data_of(f), small), KELP_OK);
	assert_status(do_coalesce(run, va, large, f->shift[level], KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(leaf_of(run, va)->level, 0);
}

static void invalid_leaves_coalesce(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f) | KELP_ATTR_INVALID,
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_status(do_coalesce(run, va, large, f->shift[level], KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(shift_at(run, va), f->shift[level]);
	assert_int_equal(leaf_of(run, va)->kind, KELP_ENTRY_INVALID);
	assert_int_equal(leaf_of(run, va)->target, some_pa(f, 0));
}

/* A range that holds the table only in part leaves it. */
static void a_table_at_the_edge_stays(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_status(do_coalesce(run, va + page, large - page, f->shift[level],
				  KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(leaf_of(run, va)->level, 0);
	assert_status(do_coalesce(run, va, large, f->shift[level], KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(shift_at(run, va), f->shift[level]);
	/* And no further than was asked. */
	assert_status(do_split(run, va, large, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	assert_status(do_coalesce(run, va, large, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(shift_at(run, va), f->page_shift);
}

static void groups_are_marked_again(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t group = page_of(f) << f->group_order[0];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), group, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_false(leaf_of(run, va)->grouped);
	assert_status(do_coalesce(run, va, group, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	assert_false(leaf_of(run, va)->grouped);
	assert_status(do_coalesce(run, va, group, f->page_shift + f->group_order[0],
				  KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(run->last_count, 1);
	for (uint64_t at = 0; at < group; at += page_of(f))
		assert_true(leaf_of(run, va + at)->grouped);
}

/* More tables at once than a gather has room for without a page of its own. */
static void many_tables_at_once(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	unsigned count = 3 * KELP_FLUSH_INTACT;
	kelp_vaddr_t va = some_va(f, 0);
	unsigned tables;

	if (f->page_shift > 14)
		count = KELP_FLUSH_INTACT + 2;
	assert_status(do_map(run, va, some_pa(f, 0), count * large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	tables = tables_of(run);
	assert_status(do_split(run, va, count * large, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
	assert_int_equal(tables_of(run) > tables + KELP_FLUSH_INTACT, 1);
	/* The record page cannot be had: nothing happens. */
	test_port_fail(run->port, 1, true);
	assert_status(kelp_space_coalesce(&run->flush, va, count * large, f->shift[level],
					  KELP_ALLOW_BREAK, NULL), KELP_ERR_NO_MEMORY);
	test_port_fail(run->port, 0, false);
	judge_observe(&run->judge);
	assert_int_equal(shift_at(run, va), f->page_shift);
	assert_status(do_coalesce(run, va, count * large, f->shift[level], KELP_ALLOW_BREAK),
		      KELP_OK);
	assert_int_equal(run->last_count >= count, 1);
	do_commit(run);
	assert_int_equal(tables_of(run), tables);
	assert_int_equal(run->port->live, tables);
}

static void bad_arguments_of_coalesce(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_coalesce(run, va, 0, f->page_shift, 0), KELP_ERR_ARGUMENT);
	assert_status(do_coalesce(run, va, page, 11, 0), KELP_ERR_ARGUMENT);
	assert_status(do_coalesce(run, va, page, 99, 0), KELP_ERR_ARGUMENT);
	assert_status(do_coalesce(run, va, page, f->page_shift, KELP_STRICT), KELP_ERR_ARGUMENT);
	assert_status(do_coalesce(run, va, page + 1, f->page_shift, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_coalesce(run, f->va_last[0] + 1u - page, 2 * page, f->page_shift, 0),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_space_coalesce(&run->flush, va, page, f->page_shift, 0, NULL), KELP_OK);
	assert_true(kelp_flush_is_empty(&run->flush));
}

/* ---- release ----------------------------------------------------------------------------- */

static void releases_what_is_empty(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0), full = some_va(f, 1);

	assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
	assert_status(do_map(run, full, some_pa(f, 1), page, data_of(f), 0), KELP_OK);
	assert_status(do_unmap(run, va, page, 0), KELP_OK);
	do_commit(run);
	assert_int_equal(tables_of(run) > f->levels, 1);
	assert_status(do_release(run, va, page), KELP_OK);
	assert_int_equal(run->last_count >= 1, 1);
	do_commit(run);
	assert_int_equal(tables_of(run), f->levels);
	assert_int_equal(run->port->live, f->levels);
	/* What is in use stays. */
	assert_status(do_release(run, full, page), KELP_OK);
	assert_int_equal(run->last_count, 0);
	assert_true(kelp_flush_is_empty(&run->flush));
	assert_status(do_release(run, full, page / 2), KELP_ERR_ALIGNMENT);
	assert_status(do_release(run, full, 0), KELP_ERR_ARGUMENT);
	assert_status(do_release(run, f->va_last[0] + 1u - page, 2 * page), KELP_ERR_ADDRESS);
	assert_status(kelp_space_release(&run->flush, full, page, NULL), KELP_OK);
}

/* Everything that was populated, in one go over the whole range. */
static void releases_everything(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned r = f->va_ranges - 1u;

	assert_status(do_populate(run, some_va(f, 0), page_of(f), f->page_shift), KELP_OK);
	assert_status(do_populate(run, f->va_last[r] - (page_of(f) - 1u), page_of(f),
				  f->page_shift), KELP_OK);
	assert_status(do_release(run, f->va_first[r], f->va_last[r] - f->va_first[r] + 1u),
		      KELP_OK);
	do_commit(run);
	assert_int_equal(tables_of(run), 1);
	assert_int_equal(run->port->live, 1);
}

/* KEEP_ROOT: the tables below the root's entries stay, whatever is taken out of them. */
static void keep_root_keeps(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), span = UINT64_C(1) << f->shift[f->levels - 1u];
	kelp_vaddr_t va = f->va_first[f->va_ranges - 1];
	uint64_t root;

	assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
	root = raw_read(f, run->port, run->space.root,
			(unsigned)(va >> f->shift[f->levels - 1u]) &
				((1u << f->index_bits[f->levels - 1u]) - 1u));
	assert_status(kelp_space_unmap(&run->flush, va, span, 0), KELP_OK);
	model_unmap(&run->model, va, span);
	assert_status(kelp_space_release(&run->flush, va, span, NULL), KELP_OK);
	judge_observe(&run->judge);
	do_commit(run);
	assert_int_equal(raw_read(f, run->port, run->space.root,
				  (unsigned)(va >> f->shift[f->levels - 1u]) &
					  ((1u << f->index_bits[f->levels - 1u]) - 1u)), root);
	assert_int_equal(tables_of(run), 2);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"populated needs no memory", populated_needs_no_memory, 0, NULL},
		{"populate leaves large leaves", populate_leaves_large_leaves, 0, has_large},
		{"populate to every size", populate_every_size, 0, NULL},
		{"bad arguments of populate", bad_arguments_of_populate, 0, NULL},
		{"split level by level", splits_level_by_level, 0, has_large},
		{"split takes off groups", split_takes_off_groups, 0, has_groups},
		{"bad arguments of split", bad_arguments_of_split, 0, NULL},
		{"coalesce undoes split", coalesce_undoes_split, 0, has_large},
		{"unequal leaves stay", unequal_leaves_stay, KELP_SPACE_NO_GROUPS, has_large},
		{"unequal leaves stay, groups", unequal_leaves_stay, 0, has_large},
		{"invalid leaves coalesce", invalid_leaves_coalesce, 0, has_large},
		{"a table at the edge stays", a_table_at_the_edge_stays, 0, has_large},
		{"groups are marked again", groups_are_marked_again, 0, has_groups},
		{"many tables at once", many_tables_at_once, 0, has_large},
		{"bad arguments of coalesce", bad_arguments_of_coalesce, 0, NULL},
		{"release", releases_what_is_empty, 0, NULL},
		{"release of everything", releases_everything, 0, NULL},
		{"KEEP_ROOT", keep_root_keeps, KELP_SPACE_KEEP_ROOT, NULL},
	};

	return cases_run("conformance: populate, split, coalesce, release", cases,
			 COUNT_OF(cases));
}
