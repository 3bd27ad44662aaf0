/* SPDX-License-Identifier: MIT */
/*
 * Conformance: flushes, one place of the library at a time. Each case is the shortest way to
 * where exactly one flush, flag or barrier stands between the edit and an error. In the hosted
 * build the judge checks what was gathered; in the simulator (tests/sim) every CPU looks at what
 * was edited after each commit, through everything it may hold. tests/sim/mutate.sh takes the
 * flushes away one by one and expects these cases to fail.
 */
#include "cases.h"

static kelp_attr_t used(const struct kelp_format *f, kelp_attr_t attributes)
{
	return kelp_format_closest(f, attributes | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);
}

static kelp_attr_t global(const struct kelp_format *f, kelp_attr_t attributes)
{
	return kelp_format_closest(f, attributes | KELP_ATTR_GLOBAL);
}

static uint64_t span_of(const struct kelp_format *f, unsigned level)
{
	return UINT64_C(1) << f->shift[level];
}

/* A large leaf, committed. */
static uint64_t large_leaf(struct run *run, kelp_vaddr_t va, kelp_attr_t attributes)
{
	uint64_t size = span_of(run->format, large_level(run->format));

	assert_status(do_map(run, va, some_pa(run->format, 0), size, attributes, 0), KELP_OK);
	do_commit(run);
	return size;
}

/* ---- rows of single pages: the calls that neither walk nor encode --------------------------- */

static void rows(struct run *run, kelp_attr_t first, kelp_attr_t rest, unsigned order)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	for (unsigned i = 0; i < 8; i++) {
		assert_status(do_map(run, va + i * page, some_pa(f, 0) + i * page, page,
				     used(f, i < order ? first : rest), 0), KELP_OK);
		if (i % 3u == 2)
			do_commit(run);
	}
	do_commit(run);
	/* One walks, one begins a run, the others go on with it. */
	for (unsigned i = 0; i < 6; i++)
		assert_status(do_unmap(run, va + i * page, page, 0), KELP_OK);
	do_commit(run);
}

static void row_of_pages(struct run *run)
{
	rows(run, data_of(run->format), data_of(run->format), 0);
}

static void row_of_global_pages(struct run *run)
{
	kelp_attr_t attr = global(run->format, data_of(run->format));

	rows(run, attr, attr, 0);
}

static void row_that_turns_global(struct run *run)
{
	rows(run, data_of(run->format), global(run->format, data_of(run->format)), 3);
}

static void row_that_begins_global(struct run *run)
{
	rows(run, data_of(run->format), global(run->format, data_of(run->format)), 1);
}

/* The only global page is the one that begins the run. */
static void row_with_one_global(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	for (unsigned i = 0; i < 4; i++)
		assert_status(do_map(run, va + i * page, some_pa(f, 0) + i * page, page,
				     used(f, i == 1 ? global(f, data_of(f)) : data_of(f)), 0),
			      KELP_OK);
	do_commit(run);
	for (unsigned i = 0; i < 3; i++)
		assert_status(do_unmap(run, va + i * page, page, 0), KELP_OK);
	do_commit(run);
}

/* The pages of a row are not neighbours: each begins a run of its own, which ends the last one. */
static void scattered_pages(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	for (unsigned i = 0; i < 12; i++)
		assert_status(do_map(run, va + i * page, some_pa(f, 0) + i * page, page,
				     used(f, data_of(f)), 0), KELP_OK);
	do_commit(run);
	for (unsigned i = 0; i < 12; i += 2)
		assert_status(do_unmap(run, va + i * page, page, 0), KELP_OK);
	/* A run that is open when something else is gathered. */
	assert_status(do_unmap(run, va + 7u * page, 3u * page, 0), KELP_OK);
	do_commit(run);
}

/* ---- ranges -------------------------------------------------------------------------------- */

static void range_of(struct run *run, kelp_attr_t attributes)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 8u * page, used(f, attributes),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va + page, 2u * page, 0,
				 attributes & KELP_ATTR_WRITE, 0), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va + page, 2u * page,
				 used(f, attributes) & (KELP_ATTR_WRITE | KELP_ATTR_DIRTY), 0, 0),
		      KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va + 2u * page, 3u * page, 0), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va, 8u * page, 0), KELP_OK);
	do_commit(run);
}

static void range(struct run *run)
{
	range_of(run, data_of(run->format));
}

static void global_range(struct run *run)
{
	range_of(run, global(run->format, data_of(run->format)));
}

/* Nothing global is there until protect makes it so: what is unhooked later may hold it. */
static void made_global(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = used(f, data_of(f));

	assert_status(do_map(run, va, some_pa(f, 0), 2u * page, attr, 0), KELP_OK);
	do_commit(run);
	assert_done(do_protect(run, va, page, global(f, attr) & KELP_ATTR_GLOBAL, 0,
			       KELP_ALLOW_BREAK));
	do_commit(run);
	/* The whole table at once: nobody looks at its entries. */
	assert_status(do_unmap(run, va, UINT64_C(1) << f->shift[1], 0), KELP_OK);
	do_commit(run);
}

static void mapped_global(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 2u * page_of(f),
			     global(f, used(f, data_of(f))), 0), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va, UINT64_C(1) << f->shift[1], 0), KELP_OK);
	do_commit(run);
}

/* What is global outlives a change of the space: destroying one leaves nothing behind. */
static void destroyed_global(struct run *run)
{
	const struct kelp_format *f = run->format;

	assert_status(do_map(run, some_va(f, 0), some_pa(f, 0), 2u * page_of(f),
			     global(f, used(f, data_of(f))), 0), KELP_OK);
	do_commit(run);
}

/* A leaf that is not valid, and made so: where that is cached too, it is told. */
static void made_valid(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = used(f, data_of(f));

	assert_status(do_map(run, va, some_pa(f, 0), 4u * page, attr,
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va, 4u * page, KELP_ATTR_INVALID, 0, 0), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va + page, 2u * page, 0, KELP_ATTR_INVALID, 0), KELP_OK);
	do_commit(run);
	assert_status(do_map(run, va, some_pa(f, 0), page, attr, KELP_REPLACE), KELP_OK);
	do_commit(run);
}

/* ---- frames, types and sizes that change ----------------------------------------------------- */

static void other_frames(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = used(f, data_of(f));

	assert_status(do_map(run, va, some_pa(f, 0), 4u * page, attr, 0), KELP_OK);
	do_commit(run);
	assert_status(do_map(run, va, some_pa(f, 0) + 8u * page, 4u * page, attr,
			     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
}

/* A large leaf becomes pages of other frames; then these a large leaf again. */
static void large_becomes_pages(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = used(f, data_of(f));
	uint64_t size = large_leaf(run, va, attr);

	assert_status(do_map(run, va, some_pa(f, 1), size, attr,
			     KELP_REPLACE | KELP_ALLOW_BREAK | KELP_LEAF_SHIFT(f->page_shift)),
		      KELP_OK);
	do_commit(run);
	assert_status(do_map(run, va, some_pa(f, 0), size, attr, KELP_REPLACE | KELP_ALLOW_BREAK),
		      KELP_OK);
	do_commit(run);
}

/* The same frames: then only the size is another, and no access would notice. */
static void large_becomes_equal_pages(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = used(f, data_of(f));
	uint64_t size = large_leaf(run, va, attr);

	assert_status(do_map(run, va, some_pa(f, 0), size, attr,
			     KELP_REPLACE | KELP_ALLOW_BREAK | KELP_LEAF_SHIFT(f->page_shift)),
		      KELP_OK);
	do_commit(run);
}

static void split_and_coalesce(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);
	uint64_t size = large_leaf(run, va, used(f, data_of(f)));

	assert_status(do_split(run, va, size, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
	assert_status(do_coalesce(run, va, size, f->shift[large_level(f)], KELP_ALLOW_BREAK),
		      KELP_OK);
	do_commit(run);
}

/* A part is taken out of a large leaf: both ends are cut. */
static void part_of_large(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	large_leaf(run, va, used(f, data_of(f)));
	assert_status(do_unmap(run, va + 2u * page, 3u * page, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
}

/* An invalid large leaf is split, and only then a page of it is valid again. */
static void invalid_large_is_split(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	uint64_t size = large_leaf(run, va, used(f, data_of(f)));

	assert_status(do_protect(run, va, size, KELP_ATTR_INVALID, 0, 0), KELP_OK);
	do_commit(run);
	assert_status(do_split(run, va, size, f->page_shift, 0), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va + 3u * page, page, 0, KELP_ATTR_INVALID, 0), KELP_OK);
	do_commit(run);
}

/* The same in one gather: whoever holds the large leaf as invalid is told of the table. */
static void invalid_large_is_split_and_used(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	uint64_t size = large_leaf(run, va, used(f, data_of(f)));

	assert_status(do_protect(run, va, size, KELP_ATTR_INVALID, 0, 0), KELP_OK);
	do_commit(run);
	assert_status(do_split(run, va, size, f->page_shift, 0), KELP_OK);
	assert_status(do_protect(run, va + 3u * page, page, 0, KELP_ATTR_INVALID, 0), KELP_OK);
	do_commit(run);
}

static void tables_are_made_and_used(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_populate(run, va, page_of(f), f->page_shift), KELP_OK);
	assert_status(do_map(run, va, some_pa(f, 0), page_of(f), used(f, data_of(f)), 0), KELP_OK);
	do_commit(run);
}

static void type_changes(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 4u * page, used(f, data_of(f)),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va + page, 2u * page, KELP_ATTR_TYPE(KELP_TYPE_DEVICE),
				 KELP_ATTR_TYPE_MASK, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va + page, 2u * page, KELP_ATTR_TYPE(KELP_TYPE_NORMAL),
				 KELP_ATTR_TYPE_MASK, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
}

static bool has_device(const struct kelp_format *f)
{
	return f->type_to_index[KELP_TYPE_DEVICE] != KELP_TYPE_ABSENT;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void group_is_made_and_cut(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), size = page << f->group_order[0];
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = used(f, data_of(f));

	assert_status(do_map(run, va, some_pa(f, 0), size, attr, KELP_LEAF_SHIFT(f->page_shift)),
		      KELP_OK);
	do_commit(run);
	assert_status(do_coalesce(run, va, size, f->page_shift + f->group_order[0],
				  KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va, size, 0, KELP_ATTR_WRITE & attr, KELP_ALLOW_BREAK),
		      KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va + page, page, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
}

static void group_is_split(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), size = page << f->group_order[0];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), size, used(f, data_of(f)), 0), KELP_OK);
	do_commit(run);
	assert_status(do_split(run, va, size, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void tables_come_and_go(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	unsigned shift = f->shift[f->levels - 1u];
	kelp_vaddr_t va = some_va(f, 0) & ~((UINT64_C(1) << shift) - 1u);
	kelp_attr_t attr = used(f, data_of(f));

	/* The root's own entry: where it lives in a register, that is loaded. */
	assert_status(do_populate(run, va, page, f->page_shift), KELP_OK);
	do_commit(run);
	assert_status(do_map(run, va, some_pa(f, 0), page, attr, 0), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va, page, 0), KELP_OK);
	do_commit(run);
	assert_status(do_release(run, va, UINT64_C(1) << shift), KELP_OK);
	do_commit(run);
	assert_status(do_map(run, va, some_pa(f, 0), page, attr, 0), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va, UINT64_C(1) << shift, 0), KELP_OK);
	do_commit(run);
}

/* The same, and no flush grows into one of everything that would cover for others. */
static void root_goes_page_by_page(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned shift = f->shift[f->levels - 1u];
	kelp_vaddr_t va = some_va(f, 0) & ~((UINT64_C(1) << shift) - 1u);

	kelp_space_set_flush_threshold(&run->space, UINT32_MAX);
	assert_status(do_map(run, va, some_pa(f, 0), page_of(f), used(f, data_of(f)), 0), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va, UINT64_C(1) << shift, 0), KELP_OK);
	do_commit(run);
}

static bool has_small_root_in_registers(const struct kelp_format *f)
{
	/* Invalidating all pages that a root entry spans takes a while. */
	return f->root_in_registers && f->shift[f->levels - 1u] - f->page_shift <= 18;
}

static void table_of_one_level(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);

	kelp_space_set_flush_threshold(&run->space, UINT32_MAX);
	for (unsigned i = 0; i < 2; i++)
		assert_status(do_map(run, va + i * span_of(f, 1), some_pa(f, 0), page_of(f),
				     used(f, data_of(f)), 0), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va, page_of(f), 0), KELP_OK);
	do_commit(run);
	assert_status(do_release(run, va, span_of(f, 1)), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va + span_of(f, 1), span_of(f, 1), 0), KELP_OK);
	do_commit(run);
}

/* ---- a second edit of the same addresses in one gather (INV-1.2) ----------------------------- */

static void map_after_unmap(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = used(f, data_of(f));

	for (unsigned i = 0; i < 2; i++)
		assert_status(do_map(run, va + i * page, some_pa(f, 0) + i * page, page, attr, 0),
			      KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va, 2u * page, 0), KELP_OK);
	assert_status(do_map(run, va, some_pa(f, 0) + 8u * page, 2u * page, attr, 0), KELP_OK);
	do_commit(run);
}

/* What a row took away is pending too. */
static void map_after_row(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = used(f, data_of(f));

	assert_status(do_map(run, va, some_pa(f, 0), 4u * page, attr,
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	for (unsigned i = 0; i < 3; i++)
		assert_status(do_unmap(run, va + i * page, page, 0), KELP_OK);
	assert_status(do_map(run, va + page, some_pa(f, 0) + 8u * page, 2u * page, attr,
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
}

/* Pieces of the large leaf may be cached; a table stands there when the flush comes. */
static void pages_after_large(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	uint64_t size = large_leaf(run, va, used(f, data_of(f)));

	assert_status(do_unmap(run, va, size, 0), KELP_OK);
	assert_status(do_map(run, va, some_pa(f, 1), size / 2u, used(f, data_of(f)),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va, size / 2u - page, 0), KELP_OK);
	do_commit(run);
}

static void tables_after_large(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);
	uint64_t size = large_leaf(run, va, used(f, data_of(f)));

	assert_status(do_unmap(run, va, size, 0), KELP_OK);
	assert_status(do_populate(run, va, size, f->page_shift), KELP_OK);
	do_commit(run);
}

/* What was made invalid in this gather becomes valid as something else. */
static void valid_after_invalid(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 2u * page, used(f, data_of(f)), 0), KELP_OK);
	do_commit(run);
	assert_status(do_protect(run, va, page, KELP_ATTR_INVALID, 0, KELP_ALLOW_BREAK), KELP_OK);
	assert_status(do_protect(run, va, page, KELP_ATTR_TYPE(KELP_TYPE_DEVICE),
				 KELP_ATTR_INVALID | KELP_ATTR_TYPE_MASK, KELP_ALLOW_BREAK),
		      KELP_OK);
	do_commit(run);
}

/* A table takes the place of a large leaf that this gather has made invalid. */
static void split_after_invalid(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);
	uint64_t size = large_leaf(run, va, used(f, data_of(f)));

	assert_status(do_protect(run, va, size, KELP_ATTR_INVALID, 0, 0), KELP_OK);
	assert_status(do_split(run, va, size, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
}

static void cut_after_invalid(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	uint64_t size = large_leaf(run, va, used(f, data_of(f)));

	assert_status(do_protect(run, va, size, KELP_ATTR_INVALID, 0, 0), KELP_OK);
	assert_status(do_unmap(run, va + page, page, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
}

/* ---- what the format promises ------------------------------------------------------------------ */

/* gather_root() in the library leaves out the places where a leaf would stand in the root. */
static void no_leaf_in_registers(struct run *run)
{
	const struct kelp_format *f = run->format;

	assert_true(f->root_in_registers);
	assert_int_equal(leaf_at(f, f->levels - 1u), 0);
}

static bool has_root_in_registers(const struct kelp_format *f)
{
	return f->root_in_registers;
}

int main(void)
{
	static const struct test_case cases[] = {
		{"row of pages", row_of_pages, 0, NULL},
		{"row of global pages", row_of_global_pages, 0, NULL},
		{"row that turns global", row_that_turns_global, 0, NULL},
		{"row that begins global", row_that_begins_global, 0, NULL},
		{"row with one global page", row_with_one_global, 0, NULL},
		{"scattered pages", scattered_pages, 0, NULL},
		{"range", range, 0, NULL},
		{"global range", global_range, 0, NULL},
		{"made global", made_global, 0, NULL},
		{"mapped global", mapped_global, 0, NULL},
		{"destroyed global", destroyed_global, 0, NULL},
		{"made valid", made_valid, 0, NULL},
		{"other frames", other_frames, 0, NULL},
		{"large becomes pages", large_becomes_pages, 0, has_large},
		{"large becomes equal pages", large_becomes_equal_pages, 0, has_large},
		{"split and coalesce", split_and_coalesce, 0, has_large},
		{"part of large", part_of_large, 0, has_large},
		{"invalid large is split", invalid_large_is_split, 0, has_large},
		{"invalid large is split and used", invalid_large_is_split_and_used, 0, has_large},
		{"tables are made and used", tables_are_made_and_used, 0, NULL},
		{"type changes", type_changes, 0, has_device},
		{"group is made and cut", group_is_made_and_cut, 0, has_groups},
		{"group is split", group_is_split, 0, has_groups},
		{"tables come and go", tables_come_and_go, 0, NULL},
		{"root goes page by page", root_goes_page_by_page, 0, has_small_root_in_registers},
		{"table of one level", table_of_one_level, 0, NULL},
		{"map after unmap", map_after_unmap, 0, NULL},
		{"map after row", map_after_row, 0, NULL},
		{"pages after large", pages_after_large, 0, has_large},
		{"tables after large", tables_after_large, 0, has_large},
		{"valid after invalid", valid_after_invalid, 0, has_device},
		{"split after invalid", split_after_invalid, 0, has_large},
		{"cut after invalid", cut_after_invalid, 0, has_large},
		{"no leaf in registers", no_leaf_in_registers, 0, has_root_in_registers},
	};

	return cases_run("space_flush", cases, COUNT_OF(cases));
}
