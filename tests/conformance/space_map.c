/* SPDX-License-Identifier: MIT */
/* Conformance: map, and what it makes. */
#include "cases.h"

static void maps_one_page(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct kelp_mapping mapping;
	kelp_paddr_t pa;

	assert_status(do_map(run, va, some_pa(f, 3), page, data_of(f), 0), KELP_OK);
	assert_status(kelp_space_translate(&run->space, va + 5, &pa), KELP_OK);
	assert_int_equal(pa, some_pa(f, 3) + 5);
	assert_status(kelp_space_translate(&run->space, va + page, &pa), KELP_ERR_NOT_MAPPED);
	assert_status(kelp_space_query(&run->space, va + 5, &mapping), KELP_OK);
	assert_int_equal(mapping.va, va);
	assert_int_equal(mapping.size, page);
	assert_int_equal(mapping.pa, some_pa(f, 3));
	assert_int_equal(mapping.attributes, data_of(f));
	assert_int_equal(mapping.level, 0);
	assert_int_equal(mapping.shift, f->page_shift);
	assert_int_equal(mapping.kind, KELP_ENTRY_LEAF);
	assert_int_equal(mapping.entry, leaf_of(run, va)->entry);
}

/* One page, one large page, both, and every offset of the ends by a page. */
static void any_alignment_and_length(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << (level ? f->shift[level] : f->shift[1]);
	kelp_vaddr_t base = some_va(f, 0);

	for (unsigned before = 0; before < 3; before++)
		for (unsigned after = 0; after < 3; after++) {
			kelp_vaddr_t va = base + large - before * page;
			uint64_t size = large + (before + after) * page;
			kelp_paddr_t pa = some_pa(f, 0) + large - before * page;

			assert_status(do_map(run, va, pa, size, data_of(f), 0), KELP_OK);
			if (level)
				assert_int_equal(shift_at(run, base + large) >= f->shift[level], 1);
			assert_status(do_unmap(run, va, size, KELP_STRICT), KELP_OK);
			do_commit(run);
		}
	assert_int_equal(tables_of(run) <= 1u + f->levels, 1);
}

/* A frame that is out of step with the address: only small leaves fit. */
static void frame_out_of_step(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0) + page_of(f), large, data_of(f), 0), KELP_OK);
	assert_int_equal(shift_at(run, va), f->page_shift);
}

/* Every size of leaf in one call. */
static void mixed_sizes(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t largest = UINT64_C(1) << largest_shift(f), page = page_of(f);
	kelp_vaddr_t va = some_va(f, 1) - largest / 2 - page;
	uint64_t size = largest / 2 + page + largest + page;
	kelp_paddr_t pa = some_pa(f, 0) - largest / 2 - page;

	assert_status(do_map(run, va, pa, size, text_of(f), 0), KELP_OK);
	assert_int_equal(leaf_of(run, some_va(f, 1))->shift, largest_shift(f));
	assert_int_equal(shift_at(run, va), f->page_shift);
	assert_int_equal(shift_at(run, va + size - page), f->page_shift);
}

static void leaf_shift_limits(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_int_equal(shift_at(run, va), f->page_shift);
	assert_status(do_map(run, va + large, some_pa(f, 0) + large, large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	assert_int_equal(shift_at(run, va + large), f->shift[level]);
}

/* The first and the last page of each canonical range, and all that lies next to them. */
static void ends_of_the_address_space(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);

	for (unsigned r = 0; r < f->va_ranges; r++) {
		kelp_vaddr_t first = f->va_first[r], end = f->va_last[r] - (page - 1u);

		assert_status(do_map(run, first, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
		assert_status(do_map(run, end, some_pa(f, 1), page, text_of(f), 0), KELP_OK);
		assert_int_equal(leaf_of(run, f->va_last[r])->target, some_pa(f, 1));
		/* One page further is none: past the end, or around to zero. */
		assert_status(do_map(run, end, 0, 2 * page, data_of(f), KELP_REPLACE),
			      KELP_ERR_ADDRESS);
		assert_status(do_map(run, first - page, 0, 2 * page, data_of(f), KELP_REPLACE),
			      KELP_ERR_ADDRESS);
		assert_status(do_protect(run, end, 2 * page, KELP_ATTR_INVALID, 0,
					 KELP_SKIP_HOLES), KELP_ERR_ADDRESS);
		assert_status(do_unmap(run, first - page, 2 * page, 0), KELP_ERR_ADDRESS);
		assert_status(do_unmap(run, end, page, KELP_STRICT), KELP_OK);
		assert_status(do_unmap(run, first, page, KELP_STRICT), KELP_OK);
	}
}

/* A large leaf at the very top: its end is the end of everything. */
static void large_leaf_at_the_top(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t top = f->va_last[f->va_ranges - 1] - (large - 1u);

	assert_status(do_map(run, top, some_pa(f, 0), large, data_of(f), 0), KELP_OK);
	assert_int_equal(shift_at(run, top), f->shift[level]);
	assert_done(do_unmap(run, f->va_last[f->va_ranges - 1] - (page_of(f) - 1u), page_of(f),
			     KELP_ALLOW_BREAK));
	assert_int_equal(shift_at(run, top) < f->shift[level], 1);
	assert_null(leaf_of(run, f->va_last[f->va_ranges - 1]));
}

static void wrap_around_is_refused(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = f->va_first[0];

	assert_status(do_map(run, va, 0, 0 - page, data_of(f), 0), KELP_ERR_ADDRESS);
	assert_status(do_map(run, va + page, 0, 0 - page, data_of(f), 0), KELP_ERR_ADDRESS);
	assert_status(do_unmap(run, 0 - page, 2 * page, 0), KELP_ERR_ADDRESS);
	assert_status(do_map(run, va, 0 - page, 2 * page, data_of(f), 0), KELP_ERR_ADDRESS);
	assert_status(do_map(run, va, (UINT64_C(1) << f->pa_bits) - page, 2 * page, data_of(f), 0),
		      KELP_ERR_ADDRESS);
}

/* Between the two halves nothing is canonical, and no range may cross from one to the other. */
static void hole_of_the_address_space(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	struct kelp_mapping mapping;
	kelp_paddr_t pa;

	for (unsigned r = 0; r < f->va_ranges; r++) {
		kelp_vaddr_t outside[2] = {f->va_last[r] + 1u, f->va_first[r] - page};

		for (unsigned i = 0; i < 2; i++) {
			bool canonical = false;

			for (unsigned k = 0; k < f->va_ranges; k++)
				if (outside[i] >= f->va_first[k] && outside[i] <= f->va_last[k])
					canonical = true;
			assert_int_equal(kelp_format_is_canonical(f, outside[i]), canonical);
			if (canonical)
				continue;
			assert_status(do_map(run, outside[i], 0, page, data_of(f), 0),
				      KELP_ERR_ADDRESS);
			assert_status(do_populate(run, outside[i], page, f->page_shift),
				      KELP_ERR_ADDRESS);
			assert_status(kelp_space_query(&run->space, outside[i], &mapping),
				      KELP_ERR_ADDRESS);
			assert_status(kelp_space_translate(&run->space, outside[i], &pa),
				      KELP_ERR_ADDRESS);
		}
	}
	if (f->va_ranges == 2)
		assert_status(do_unmap(run, f->va_last[0] - (page - 1u),
				       f->va_first[1] - f->va_last[0] + 2 * page - 1u, 0),
			      KELP_ERR_ADDRESS);
}

static void what_exists_is_not_replaced_unasked(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va + 2 * page, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
	assert_status(do_map(run, va, some_pa(f, 1), 3 * page, data_of(f), 0), KELP_ERR_EXISTS);
	assert_status(do_map(run, va + 2 * page, some_pa(f, 1), 3 * page, data_of(f), 0),
		      KELP_ERR_EXISTS);
	/* The same frame with the same rights is still something. */
	assert_status(do_map(run, va + 2 * page, some_pa(f, 0), page, data_of(f), 0),
		      KELP_ERR_EXISTS);
	/* An invalid leaf is something too. */
	assert_done(do_protect(run, va + 2 * page, page, KELP_ATTR_INVALID, 0, 0));
	assert_status(do_map(run, va + 2 * page, some_pa(f, 1), page, data_of(f), 0),
		      KELP_ERR_EXISTS);
	assert_status(do_map(run, va + 2 * page, some_pa(f, 1), page, text_of(f), KELP_REPLACE),
		      KELP_OK);
	assert_int_equal(leaf_of(run, va + 2 * page)->target, some_pa(f, 1));
}

/* Replacing 4 KiB in the middle of a large leaf: the rest stays as it was. */
static void replaces_a_part_of_a_large_leaf(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f), 0), KELP_OK);
	assert_status(do_map(run, va + 7 * page, some_pa(f, 1), page, text_of(f),
			     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(leaf_of(run, va + 7 * page)->target, some_pa(f, 1));
	assert_int_equal(leaf_of(run, va + 6 * page)->target, some_pa(f, 0) + 6 * page);
	assert_int_equal(leaf_of(run, va + 8 * page)->target, some_pa(f, 0) + 8 * page);
	assert_int_equal(leaf_of(run, va + large - page)->target, some_pa(f, 0) + large - page);
}

/* A table makes room for a leaf; its page goes back to the port. */
static void replaces_a_table_by_a_leaf(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	unsigned before;

	assert_status(do_map(run, va + large, some_pa(f, 1), large, data_of(f), 0), KELP_OK);
	before = tables_of(run);
	assert_status(do_map(run, va + page, some_pa(f, 2), 3 * page, text_of(f), 0), KELP_OK);
	assert_int_equal(tables_of(run), before + level);
	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(shift_at(run, va), f->shift[level]);
	do_commit(run);
	assert_int_equal(tables_of(run), before);
	assert_int_equal(run->port->live, before);
}

/* An empty table that populate or unmap left is no obstacle. */
static void an_empty_table_is_nothing(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_populate(run, va, large, f->page_shift), KELP_OK);
	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f), 0), KELP_OK);
	do_commit(run);
}

static void bad_arguments(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = data_of(f);

	assert_status(do_map(run, va, 0, 0, attr, 0), KELP_ERR_ARGUMENT);
	assert_status(do_map(run, va, 0, page, attr, KELP_STRICT), KELP_ERR_ARGUMENT);
	assert_status(do_map(run, va, 0, page, attr, KELP_SKIP_HOLES), KELP_ERR_ARGUMENT);
	assert_status(do_map(run, va, 0, page, attr, 1u << 20), KELP_ERR_ARGUMENT);
	assert_status(do_map(run, va, 0, page, attr | UINT32_C(1) << 31, 0), KELP_ERR_ARGUMENT);
	assert_status(do_map(run, va, 0, page, attr | UINT32_C(1) << 9, 0), KELP_ERR_ARGUMENT);
	assert_status(do_map(run, va, 0, page, attr, KELP_LEAF_SHIFT(f->page_shift - 1u)),
		      KELP_ERR_ARGUMENT);
	assert_status(do_map(run, va + 1, 0, page, attr, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_map(run, va + page / 2, 0, page, attr, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_map(run, va, 1, page, attr, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_map(run, va, page / 2, page, attr, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_map(run, va, 0, page + 8, attr, 0), KELP_ERR_ALIGNMENT);
	assert_status(do_map(run, va, UINT64_C(1) << f->pa_bits, page, attr, 0),
		      KELP_ERR_ADDRESS);
	assert_status(do_map(run, va, UINT64_C(1) << 63, page, attr, 0), KELP_ERR_ADDRESS);
	assert_int_equal(tables_of(run), 1);
	assert_int_equal(run->port->takes, 1);
}

/* What the format cannot say exactly is refused; what closest() makes of it is not. */
static void attributes_are_exact(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), entry;
	kelp_vaddr_t va = some_va(f, 0);
	unsigned refused = 0, taken = 0;
	struct kelp_mapping mapping;

	for (unsigned i = 0; i < 16 * 8 * 16; i++) {
		kelp_attr_t rights = i & 15, type = KELP_ATTR_TYPE(i >> 4 & 7);
		kelp_attr_t more = (i >> 7 & 1 ? KELP_ATTR_GLOBAL : 0) |
				   (i >> 8 & 1 ? KELP_ATTR_SHARED : 0) |
				   (i >> 9 & 1 ? KELP_ATTR_INVALID : 0) |
				   (i >> 10 & 1 ? KELP_ATTR_ACCESSED | KELP_ATTR_SOFT3 : 0);
		kelp_attr_t attr = rights | type | more;
		enum kelp_status expected = f->ops->leaf(f, 0, 0, attr, false, &entry);
		enum kelp_status status =
			kelp_space_map(&run->flush, va, some_pa(f, 0), page, attr, 0);

		assert_status(status, expected);
		if (status != KELP_OK) {
			assert_true(status == KELP_ERR_UNSUPPORTED || status == KELP_ERR_ARGUMENT);
			refused++;
			continue;
		}
		taken++;
		assert_status(kelp_space_query(&run->space, va, &mapping), KELP_OK);
		assert_int_equal(mapping.attributes, attr);
		assert_int_equal(mapping.kind, attr & KELP_ATTR_INVALID ? KELP_ENTRY_INVALID
									: KELP_ENTRY_LEAF);
		assert_status(kelp_space_unmap(&run->flush, va, page, KELP_STRICT), KELP_OK);
	}
	assert_true(refused > 0 && taken > 0);
	judge_observe(&run->judge);
	do_commit(run);
}

/* Consecutive leaves bear the mark where alignment allows, and only there. */
static void groups_are_marked(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), group = page << f->group_order[0];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va + group - page, some_pa(f, 0) + group - page,
			     group + 2 * page, data_of(f), 0), KELP_OK);
	assert_false(leaf_of(run, va + group - page)->grouped);
	for (uint64_t at = 0; at < group; at += page)
		assert_true(leaf_of(run, va + group + at)->grouped);
	assert_false(leaf_of(run, va + 2 * group)->grouped);
	/* Out of step, invalid, or limited: no mark. */
	assert_status(do_map(run, va + 4 * group, some_pa(f, 0) + page, group, data_of(f), 0),
		      KELP_OK);
	assert_false(leaf_of(run, va + 4 * group)->grouped);
	assert_status(do_map(run, va + 5 * group, some_pa(f, 0), group,
			     data_of(f) | KELP_ATTR_INVALID, 0), KELP_OK);
	assert_false(leaf_of(run, va + 5 * group)->grouped);
	assert_status(do_map(run, va + 6 * group, some_pa(f, 0), group, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_false(leaf_of(run, va + 6 * group)->grouped);
}

static void no_groups_means_none(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t group = page_of(f) << f->group_order[0];

	assert_status(do_map(run, some_va(f, 0), some_pa(f, 0), 4 * group, data_of(f), 0), KELP_OK);
	for (uint64_t at = 0; at < 4 * group; at += page_of(f))
		assert_false(leaf_of(run, some_va(f, 0) + at)->grouped);
}

static bool has_wide_large_leaves(const struct kelp_format *f)
{
	return f->entry_bytes == 4 && f->pa_bits > 32;
}

/* PSE-36: frames beyond 4 GiB are for large leaves only. */
static void small_leaves_do_not_reach(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), large = UINT64_C(1) << f->shift[1];
	kelp_paddr_t far = UINT64_C(1) << 32;
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, far, page, data_of(f), 0), KELP_ERR_UNSUPPORTED);
	assert_status(do_map(run, va, far, large + page, data_of(f), 0), KELP_ERR_UNSUPPORTED);
	assert_status(do_map(run, va, far + page, large, data_of(f), 0), KELP_ERR_UNSUPPORTED);
	assert_status(do_map(run, va, far, large, data_of(f), KELP_LEAF_SHIFT(12)),
		      KELP_ERR_UNSUPPORTED);
	assert_status(do_map(run, va, far, 2 * large, data_of(f), 0), KELP_OK);
	assert_int_equal(leaf_of(run, va + large)->target, far + large);
	assert_status(do_unmap(run, va + page, page, 0), KELP_ERR_UNSUPPORTED);
	assert_status(do_split(run, va, large, 12, 0), KELP_ERR_UNSUPPORTED);
	assert_status(do_protect(run, va, page, 0, KELP_ATTR_WRITE, 0), KELP_ERR_UNSUPPORTED);
	assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f), KELP_REPLACE),
		      KELP_ERR_UNSUPPORTED);
	assert_status(do_protect(run, va, large, 0, KELP_ATTR_WRITE, 0), KELP_OK);
	assert_status(do_unmap(run, va, large, KELP_STRICT), KELP_OK);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"map one page", maps_one_page, 0, NULL},
		{"any alignment and length", any_alignment_and_length, 0, NULL},
		{"frame out of step", frame_out_of_step, 0, has_large},
		{"mixed sizes in one call", mixed_sizes, 0, has_large},
		{"LEAF_SHIFT limits", leaf_shift_limits, 0, has_large},
		{"both ends of the address space", ends_of_the_address_space, 0, NULL},
		{"a large leaf at the top", large_leaf_at_the_top, 0, has_large},
		{"wrap-around is refused", wrap_around_is_refused, 0, NULL},
		{"not canonical is refused", hole_of_the_address_space, 0, NULL},
		{"EXISTS unless REPLACE", what_exists_is_not_replaced_unasked, 0, NULL},
		{"REPLACE of a part of a large leaf", replaces_a_part_of_a_large_leaf, 0,
		 has_large},
		{"REPLACE of a table by a leaf", replaces_a_table_by_a_leaf, 0, has_large},
		{"an empty table is nothing", an_empty_table_is_nothing, 0, has_large},
		{"bad arguments of map", bad_arguments, 0, NULL},
		{"attributes are exact or refused", attributes_are_exact, 0, NULL},
		{"groups are marked", groups_are_marked, 0, has_groups},
		{"NO_GROUPS", no_groups_means_none, KELP_SPACE_NO_GROUPS, has_groups},
		{"frames beyond small leaves", small_leaves_do_not_reach, 0,
		 has_wide_large_leaves},
	};

	return cases_run("conformance: map", cases, COUNT_OF(cases));
}
