/* SPDX-License-Identifier: MIT */
/* Conformance: unmap, protect, and the two halves of an edit. */
#include <string.h>

#include "cases.h"

/* ---- unmap ------------------------------------------------------------------------------- */

static void unmaps_what_is_there(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	unsigned before = tables_of(run);

	assert_status(do_map(run, va, some_pa(f, 0), 5 * page, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_status(do_unmap(run, va + page, 3 * page, 0), KELP_OK);
	assert_non_null(leaf_of(run, va));
	assert_null(leaf_of(run, va + page));
	assert_null(leaf_of(run, va + 3 * page));
	assert_non_null(leaf_of(run, va + 4 * page));
	/* Holes are passed over, and with STRICT named. */
	assert_status(do_unmap(run, va, 5 * page, KELP_STRICT), KELP_ERR_NOT_MAPPED);
	assert_status(do_unmap(run, va, 5 * page, 0), KELP_OK);
	assert_status(do_unmap(run, va, page, KELP_STRICT), KELP_ERR_NOT_MAPPED);
	assert_status(do_unmap(run, va, page, 0), KELP_OK);
	/* The tables that edits made stay until their whole span goes. */
	assert_status(do_unmap(run, f->va_first[f->va_ranges - 1],
			       f->va_last[f->va_ranges - 1] - f->va_first[f->va_ranges - 1] + 1u,
			       0), KELP_OK);
	do_commit(run);
	assert_int_equal(tables_of(run), before);
	assert_int_equal(run->port->live, before);
}

/* 4 KiB out of a large leaf of every size, at its start, in its middle, at its end. */
static void unmaps_a_page_of_a_large_leaf(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	unsigned place = 0;

	for (unsigned level = 1; level < f->levels; level++) {
		uint64_t large = UINT64_C(1) << f->shift[level];
		uint64_t offsets[] = {0, large / 2 - page, large - page};

		if (!leaf_at(f, level))
			continue;
		for (unsigned i = 0; i < 3; i++) {
			kelp_vaddr_t va = some_va(f, place), hole = va + offsets[i];
			kelp_paddr_t pa = some_pa(f, 0);

			assert_status(do_map(run, va, pa, large, data_of(f),
					     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
			assert_int_equal(shift_at(run, va), f->shift[level]);
			assert_status(do_unmap(run, hole, page, KELP_STRICT | KELP_ALLOW_BREAK),
				      KELP_OK);
			assert_null(leaf_of(run, hole));
			if (offsets[i] > 0)
				assert_int_equal(leaf_of(run, hole - page)->target +
							 (hole - page -
							  leaf_of(run, hole - page)->va),
						 pa + offsets[i] - page);
			if (offsets[i] < large - page)
				assert_int_equal(leaf_of(run, hole + page)->target,
						 pa + offsets[i] + page);
			do_commit(run);
			assert_status(do_unmap(run, va, large, KELP_ALLOW_BREAK), KELP_OK);
			do_commit(run);
		}
		place = (place + 1u) % 3u;
	}
}

static void unmaps_invalid_leaves(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 2 * page, data_of(f) | KELP_ATTR_INVALID, 0),
		      KELP_OK);
	assert_status(do_unmap(run, va, page, KELP_STRICT), KELP_OK);
	assert_null(leaf_of(run, va));
	assert_non_null(leaf_of(run, va + page));
}

static void bad_arguments_of_unmap(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_unmap(run, va, 0, 0), KELP_ERR_ARGUMENT);
	assert_status(do_unmap(run, va, page, KELP_REPLACE), KELP_ERR_ARGUMENT);
	assert_status(do_unmap(run, va, page, KELP_SKIP_HOLES), KELP_ERR_ARGUMENT);
	assert_status(do_unmap(run, va, page, KELP_LEAF_SHIFT(12)), KELP_ERR_ARGUMENT);
	assert_status(do_unmap(run, va + 1, page, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_unmap(run, va, page - 1u, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_unmap(run, f->va_last[0] + 1u - page, 2 * page, 0), KELP_ERR_ADDRESS);
}

/*
 * Single pages in a row go a faster way, which remembers their table. When the table goes, by
 * this gather or by another, the memory of it must go too.
 */
static void a_row_outlives_its_table(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), span = UINT64_C(1) << f->shift[1];
	kelp_vaddr_t va = some_va(f, 0);
	struct kelp_flush other = {0};

	for (unsigned way = 0; way < 4; way++) {
		for (unsigned i = 0; i < 4; i++)
			assert_status(do_map(run, va + i * page, some_pa(f, 0) + i * page, page,
					     data_of(f), 0), KELP_OK);
		if (way == 3)
			assert_status(do_unmap(run, va + 3 * page, page, 0), KELP_OK);
		switch (way) {
		case 0:
			assert_status(do_unmap(run, va, span, 0), KELP_OK);
			break;
		case 1:
			assert_status(do_unmap(run, va, 4 * page, 0), KELP_OK);
			assert_status(do_release(run, va, page), KELP_OK);
			break;
		default:
			kelp_flush_begin(&other, &run->space);
			assert_status(kelp_space_unmap(&other, va, span, 0), KELP_OK);
			model_unmap(&run->model, va, span);
			judge_observe(&run->judge);
			kelp_flush_commit(&other);
			break;
		}
		for (unsigned i = 3; i < 6; i++)
			assert_status(do_map(run, va + i * page, some_pa(f, 1), page, data_of(f),
					     0), KELP_OK);
		assert_null(leaf_of(run, va));
		assert_int_equal(leaf_of(run, va + 4 * page)->target, some_pa(f, 1));
		assert_status(do_unmap(run, va, span, KELP_ALLOW_BREAK), KELP_OK);
		do_commit(run);
	}
}

/* ---- protect ----------------------------------------------------------------------------- */

static void sets_and_clears(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 3 * page, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_status(do_protect(run, va + page, page, 0, KELP_ATTR_WRITE | KELP_ATTR_DIRTY, 0),
		      KELP_OK);
	assert_int_equal(leaf_of(run, va + page)->attributes & KELP_ATTR_WRITE, 0);
	assert_int_equal(leaf_of(run, va)->attributes & KELP_ATTR_WRITE, KELP_ATTR_WRITE);
	assert_int_equal(leaf_of(run, va + 2 * page)->attributes & KELP_ATTR_WRITE,
			 KELP_ATTR_WRITE);
	assert_status(do_protect(run, va, 3 * page, KELP_ATTR_WRITE,
				 0, 0), KELP_OK);
	assert_int_equal(leaf_of(run, va + page)->attributes & KELP_ATTR_WRITE, KELP_ATTR_WRITE);
	/* Holes. */
	assert_status(do_protect(run, va, 4 * page, 0, KELP_ATTR_WRITE, 0), KELP_ERR_NOT_MAPPED);
	assert_status(do_protect(run, va, 4 * page, 0, KELP_ATTR_WRITE | KELP_ATTR_DIRTY,
				 KELP_SKIP_HOLES), KELP_OK);
	assert_int_equal(leaf_of(run, va)->attributes & KELP_ATTR_WRITE, 0);
}

/* Taken away and given back: the address is still there, and so is everything else. */
static void an_invalid_leaf_keeps_its_address(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	/* Every bit of a frame's address, once. */
	kelp_paddr_t pa = ((UINT64_C(1) << f->pa_bits) - 1u) & ~(page - 1u);
	struct kelp_mapping before, mapping;
	kelp_paddr_t got;

	if (f->entry_bytes == 4)
		pa &= UINT32_MAX;
	assert_status(do_map(run, va, pa, page, text_of(f), 0), KELP_OK);
	assert_status(kelp_space_query(&run->space, va, &before), KELP_OK);
	assert_done(do_protect(run, va, page, KELP_ATTR_INVALID, 0, KELP_ALLOW_BREAK));
	assert_status(kelp_space_query(&run->space, va, &mapping), KELP_OK);
	assert_int_equal(mapping.kind, KELP_ENTRY_INVALID);
	assert_int_equal(mapping.pa, pa);
	assert_int_equal(mapping.attributes, before.attributes | KELP_ATTR_INVALID);
	assert_status(kelp_space_translate(&run->space, va, &got), KELP_ERR_NOT_MAPPED);
	do_commit(run);
	assert_done(do_protect(run, va, page, 0, KELP_ATTR_INVALID, KELP_ALLOW_BREAK));
	assert_status(kelp_space_query(&run->space, va, &mapping), KELP_OK);
	assert_memory_equal(&mapping, &before, sizeof(mapping));
}

static void invalid_large_leaf(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	assert_status(do_protect(run, va, large, KELP_ATTR_INVALID, 0, 0), KELP_OK);
	assert_int_equal(leaf_of(run, va)->kind, KELP_ENTRY_INVALID);
	assert_int_equal(shift_at(run, va), f->shift[level]);
	do_commit(run);
	/* Giving back one page of it: the others stay away. Nothing valid is cut: no break. */
	assert_status(do_protect(run, va + 3 * page, page, 0, KELP_ATTR_INVALID, 0), KELP_OK);
	assert_int_equal(leaf_of(run, va + 3 * page)->kind, KELP_ENTRY_LEAF);
	assert_int_equal(leaf_of(run, va + 3 * page)->target, some_pa(f, 0) + 3 * page);
	assert_int_equal(leaf_of(run, va + 2 * page)->kind, KELP_ENTRY_INVALID);
	assert_int_equal(leaf_of(run, va + 2 * page)->target, some_pa(f, 0) + 2 * page);
	assert_int_equal(leaf_of(run, va + large - page)->kind, KELP_ENTRY_INVALID);
}

/* A part of a large leaf: that part changes, the rest does not. */
static void protects_a_part_of_a_large_leaf(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = kelp_format_closest(f, data_of(f) | KELP_ATTR_SOFT0);

	assert_status(do_map(run, va, some_pa(f, 0), large, attr,
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	assert_status(do_protect(run, va + large / 2, 2 * page, 0,
				 KELP_ATTR_WRITE | KELP_ATTR_DIRTY, KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(leaf_of(run, va)->attributes & ~MODEL_HARDWARE_BITS,
			 attr & ~MODEL_HARDWARE_BITS);
	assert_int_equal(leaf_of(run, va + large / 2)->attributes & KELP_ATTR_WRITE, 0);
	assert_int_equal(leaf_of(run, va + large / 2 + 2 * page)->attributes & KELP_ATTR_WRITE,
			 KELP_ATTR_WRITE);
	assert_int_equal(leaf_of(run, va + large / 2)->target, some_pa(f, 0) + large / 2);
}

/* What the format cannot say is refused before anything changes, wherever in the range it is. */
static void inexpressible_is_refused(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), entry;
	kelp_vaddr_t va = some_va(f, 0);
	unsigned refused = 0;

	assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
	assert_status(do_map(run, va + page, some_pa(f, 1), page, text_of(f), 0), KELP_OK);
	for (unsigned bit = 0; bit < 16; bit++) {
		kelp_attr_t attr = UINT32_C(1) << bit;

		if (!(attr & KELP_ATTR_ALL) ||
		    f->ops->leaf(f, 0, 0, text_of(f) | attr, false, &entry) == KELP_OK)
			continue;
		assert_status(do_protect(run, va, 2 * page, attr, 0, KELP_ALLOW_BREAK),
			      f->ops->leaf(f, 0, 0, text_of(f) | attr, false, &entry));
		refused++;
	}
	for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++) {
		kelp_attr_t attr = (text_of(f) & ~KELP_ATTR_TYPE_MASK) | KELP_ATTR_TYPE(type);

		if (f->ops->leaf(f, 0, 0, attr, false, &entry) == KELP_OK)
			continue;
		assert_status(do_protect(run, va, 2 * page, KELP_ATTR_TYPE(type),
					 KELP_ATTR_TYPE_MASK, KELP_ALLOW_BREAK),
			      KELP_ERR_UNSUPPORTED);
		refused++;
	}
	if (f->attr_always) {
		assert_status(do_protect(run, va, 2 * page, 0, f->attr_always, KELP_ALLOW_BREAK),
			      KELP_ERR_UNSUPPORTED);
		refused++;
	}
	assert_true(refused > 0);
}

static void memory_type_is_a_field(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t base = data_of(f) & ~KELP_ATTR_TYPE_MASK;

	for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++) {
		uint64_t entry;

		if (f->ops->leaf(f, 0, 0, base | KELP_ATTR_TYPE(type), false, &entry) != KELP_OK)
			continue;
		assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f),
				     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
		assert_status(do_protect(run, va, page, KELP_ATTR_TYPE(type), KELP_ATTR_TYPE_MASK,
					 KELP_ALLOW_BREAK), KELP_OK);
		assert_int_equal(leaf_of(run, va)->attributes & KELP_ATTR_TYPE_MASK,
				 KELP_ATTR_TYPE(type));
		do_commit(run);
	}
}

static void bad_arguments_of_protect(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
	assert_status(do_protect(run, va, page, KELP_ATTR_WRITE, KELP_ATTR_WRITE, 0),
		      KELP_ERR_ARGUMENT);
	assert_status(do_protect(run, va, page, KELP_ATTR_TYPE(1), 0, 0), KELP_ERR_ARGUMENT);
	assert_status(do_protect(run, va, page, 0, KELP_ATTR_TYPE(1), 0), KELP_ERR_ARGUMENT);
	assert_status(do_protect(run, va, page, UINT32_C(1) << 30, 0, 0), KELP_ERR_ARGUMENT);
	assert_status(do_protect(run, va, page, 0, UINT32_C(1) << 30, 0), KELP_ERR_ARGUMENT);
	assert_status(do_protect(run, va, page, 0, KELP_ATTR_WRITE, KELP_REPLACE),
		      KELP_ERR_ARGUMENT);
	assert_status(do_protect(run, va, page, 0, KELP_ATTR_WRITE, KELP_STRICT),
		      KELP_ERR_ARGUMENT);
	assert_status(do_protect(run, va, 0, 0, KELP_ATTR_WRITE, 0), KELP_ERR_ARGUMENT);
	assert_status(do_protect(run, va + 8, page, 0, KELP_ATTR_WRITE, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_protect(run, va, page + 8, 0, KELP_ATTR_WRITE, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_protect(run, f->va_last[0] + 1u - page, 2 * page, 0, KELP_ATTR_WRITE,
				 KELP_SKIP_HOLES), KELP_ERR_ADDRESS);
	/* A change of nothing is allowed and does nothing. */
	do_commit(run);
	assert_status(do_protect(run, va, page, 0, 0, 0), KELP_OK);
	assert_true(kelp_flush_is_empty(&run->flush));
}

/* A group cut in its middle loses the mark everywhere, and nothing else. */
static void a_group_is_cut(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), group = page << f->group_order[0];
	kelp_vaddr_t va = some_va(f, 0);

	for (unsigned way = 0; way < 3; way++) {
		enum kelp_status status = KELP_OK;

		assert_status(do_map(run, va, some_pa(f, 0), 3 * group, data_of(f), 0), KELP_OK);
		assert_true(leaf_of(run, va + group)->grouped);
		do_commit(run);
		switch (way) {
		case 0:
			status = do_unmap(run, va + group + page, page, KELP_ALLOW_BREAK);
			break;
		case 1:
			status = do_protect(run, va + group + page, page, 0,
					    KELP_ATTR_WRITE | KELP_ATTR_DIRTY, KELP_ALLOW_BREAK);
			break;
		case 2:
			status = do_map(run, va + group + page, some_pa(f, 1), page, text_of(f),
					KELP_REPLACE | KELP_ALLOW_BREAK);
			break;
		}
		assert_status(status, KELP_OK);
		for (uint64_t at = group; at < 2 * group; at += page)
			if (leaf_of(run, va + at))
				assert_false(leaf_of(run, va + at)->grouped);
		assert_true(leaf_of(run, va)->grouped);
		assert_true(leaf_of(run, va + 2 * group)->grouped);
		do_commit(run);
		assert_status(do_unmap(run, va, 3 * group, KELP_ALLOW_BREAK), KELP_OK);
		do_commit(run);
	}
}

/* Whole groups keep the mark when their attributes change. */
static void a_whole_group_stays_one(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t group = page_of(f) << f->group_order[0];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 2 * group, data_of(f), 0), KELP_OK);
	assert_status(do_protect(run, va, group, 0, KELP_ATTR_WRITE | KELP_ATTR_DIRTY,
				 KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(leaf_of(run, va)->grouped, leaf_of(run, va + page_of(f))->grouped);
	assert_int_equal(leaf_of(run, va)->attributes & KELP_ATTR_WRITE, 0);
	assert_true(leaf_of(run, va + group)->grouped);
}

/* ---- prepare, commit, cancel ------------------------------------------------------------- */

static void the_two_halves(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	struct step map = {.kind = STEP_MAP, .way = STEP_CANCELLED, .va = some_va(f, 0),
			   .pa = some_pa(f, 0), .size = 3 * page, .set = data_of(f)};
	struct step unmap = {.kind = STEP_UNMAP, .way = STEP_CANCELLED, .va = map.va,
			     .size = page};
	struct step protect = {.kind = STEP_PROTECT, .way = STEP_CANCELLED, .va = map.va,
			       .size = 2 * page, .clear = KELP_ATTR_WRITE | KELP_ATTR_DIRTY};
	unsigned live = run->port->live;

	assert_true(run_step(run, &map));
	assert_int_equal(run->port->live, live);
	assert_true(kelp_flush_is_empty(&run->flush));
	map.way = STEP_PREPARED;
	assert_true(run_step(run, &map));
	assert_true(run_step(run, &unmap));
	assert_true(run_step(run, &protect));
	assert_non_null(leaf_of(run, map.va));
	unmap.way = protect.way = STEP_PREPARED;
	protect.flags = unmap.flags = KELP_ALLOW_BREAK;
	assert_true(run_step(run, &protect));
	assert_int_equal(leaf_of(run, map.va)->attributes & KELP_ATTR_WRITE, 0);
	assert_true(run_step(run, &unmap));
	assert_null(leaf_of(run, map.va));
	/* Errors come out of the first half. */
	map.va += page / 2;
	run_step(run, &map);
	assert_status(run->last_status, KELP_ERR_ALIGNMENT);
}

static void a_change_of_no_kind(struct run *run)
{
	struct kelp_change change = {.kind = (enum kelp_change_kind)77,
				     .va = some_va(run->format, 0), .size = page_of(run->format)};

	assert_status(kelp_space_prepare(&run->flush, &change), KELP_ERR_ARGUMENT);
}

/* Two changes prepared before either is committed: the second fails, both are off. */
static void two_changes_or_none(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	struct kelp_change first = {.kind = KELP_CHANGE_MAP, .va = some_va(f, 0),
				    .pa = some_pa(f, 0), .size = page, .set = data_of(f)};
	struct kelp_change second = first;
	uint64_t digest = raw_digest(f, run->port, run->space.root);

	second.va = some_va(f, 1);
	assert_status(kelp_space_prepare(&run->flush, &first), KELP_OK);
	test_port_fail(run->port, 1, true);
	assert_status(kelp_space_prepare(&run->flush, &second), KELP_ERR_NO_MEMORY);
	test_port_fail(run->port, 0, false);
	kelp_space_cancel(&first);
	assert_int_equal(run->port->live, 1);
	assert_int_equal(raw_digest(f, run->port, run->space.root), digest);
	assert_status(kelp_space_prepare(&run->flush, &first), KELP_OK);
	assert_status(kelp_space_prepare(&run->flush, &second), KELP_OK);
	run->port->forbid_take = true;
	kelp_space_commit(&second);
	kelp_space_commit(&first);
	run->port->forbid_take = false;
	model_map(&run->model, first.va, first.pa, page, data_of(f));
	model_map(&run->model, second.va, second.pa, page, data_of(f));
	run_compare(run);
	do_commit(run);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"unmap", unmaps_what_is_there, 0, NULL},
		{"a page out of a large leaf", unmaps_a_page_of_a_large_leaf, 0, has_large},
		{"unmap of invalid leaves", unmaps_invalid_leaves, 0, NULL},
		{"bad arguments of unmap", bad_arguments_of_unmap, 0, NULL},
		{"a row outlives its table", a_row_outlives_its_table, 0, NULL},
		{"protect sets and clears", sets_and_clears, 0, NULL},
		{"an invalid leaf keeps its address", an_invalid_leaf_keeps_its_address, 0, NULL},
		{"an invalid large leaf", invalid_large_leaf, 0, has_large},
		{"protect of a part of a large leaf", protects_a_part_of_a_large_leaf, 0,
		 has_large},
		{"protect to what cannot be said", inexpressible_is_refused, 0, NULL},
		{"the memory type is a field", memory_type_is_a_field, 0, NULL},
		{"bad arguments of protect", bad_arguments_of_protect, 0, NULL},
		{"a group is cut", a_group_is_cut, 0, has_groups},
		{"a whole group stays one", a_whole_group_stays_one, 0, has_groups},
		{"prepare, commit, cancel", the_two_halves, 0, NULL},
		{"a change of no kind", a_change_of_no_kind, 0, NULL},
		{"two changes or none", two_changes_or_none, 0, NULL},
	};

	return cases_run("conformance: unmap, protect, prepare", cases, COUNT_OF(cases));
}
