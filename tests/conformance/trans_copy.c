/* SPDX-License-Identifier: MIT */
/*
 * Transitional tables on every format: INV-5.1 and INV-5.2, copies against what hardware finds in
 * the source, tables built from frames against copies, and sizes against what is taken.
 */
#include <stdlib.h>
#include <string.h>

#include "../../arch/arm64/arm64.h"
#include "../../arch/fake/format.h"
#include "../../arch/riscv64/format.h"
#include "../../arch/x86_64/x86.h"
#include "cases.h"

#ifndef KELP_DEBUG
#define KELP_DEBUG 0
#endif

/* ---- what hardware must find ------------------------------------------------------------- */

/* Bits that a leaf must have and must not have so that hardware itself lets the kernel write. */
struct hardware {
	uint64_t set, clear;
};

static struct hardware writable_bits(const struct kelp_format *f, unsigned level)
{
	if (strncmp(f->name, "x86", 3) == 0)
		return (struct hardware){KELP_X86_P | KELP_X86_RW | KELP_X86_A | KELP_X86_D |
						 (f->features & KELP_X86_NX ? KELP_X86_XD : 0),
					 KELP_X86_US | KELP_X86_G};
	if (strncmp(f->name, "arm64", 5) == 0)
		return (struct hardware){
			KELP_ARM64_VALID | KELP_ARM64_AF | KELP_ARM64_PXN,
			KELP_ARM64_AP2 | KELP_ARM64_AP1};
	if (strncmp(f->name, "riscv", 5) == 0)
		return (struct hardware){KELP_RISCV64_V | KELP_RISCV64_R | KELP_RISCV64_W |
						 KELP_RISCV64_A | KELP_RISCV64_D,
					 KELP_RISCV64_X | KELP_RISCV64_U | KELP_RISCV64_G};
	assert_memory_equal(f->name, "fake", 4);
	{
		struct hardware bits = {0, 0};
		const enum kelp_fake_bit on[] = {KELP_FAKE_VALID, KELP_FAKE_READ, KELP_FAKE_WRITE,
						 KELP_FAKE_ACCESSED, KELP_FAKE_DIRTY};
		const enum kelp_fake_bit off[] = {KELP_FAKE_EXEC, KELP_FAKE_USER,
						  KELP_FAKE_GLOBAL};

		for (unsigned i = 0; i < COUNT_OF(on); i++) {
			bits.set |= kelp_fake_put(level, on[i], true);
			bits.clear |= kelp_fake_put(level, on[i], false);
		}
		for (unsigned i = 0; i < COUNT_OF(off); i++) {
			bits.set |= kelp_fake_put(level, off[i], false);
			bits.clear |= kelp_fake_put(level, off[i], true);
		}
		return bits;
	}
}

static void assert_writable(const struct kelp_format *f, const struct raw_entry *leaf)
{
	struct hardware bits = writable_bits(f, leaf->level);

	assert_int_equal(leaf->kind, KELP_ENTRY_LEAF);
	assert_int_equal(leaf->entry & bits.set, bits.set);
	assert_int_equal(leaf->entry & bits.clear, 0);
	/* Nor do the tables above take it away. */
	assert_true(leaf->attributes & KELP_ATTR_WRITE);
	assert_true(f->ops->well_formed(f, leaf->level, leaf->entry));
}

static bool is_leaf(const struct raw_entry *entry)
{
	return entry->kind == KELP_ENTRY_LEAF || entry->kind == KELP_ENTRY_INVALID;
}

/* The next leaf from *at on; NULL at the end. */
static const struct raw_entry *next_leaf(const struct raw_list *list, size_t *at)
{
	while (*at < list->count && !is_leaf(&list->items[*at]))
		(*at)++;
	return *at < list->count ? &list->items[(*at)++] : NULL;
}

#define KEPT (KELP_ATTR_TYPE_MASK | KELP_ATTR_SHARED)

/* One leaf of the source, cut to [first, last], against the leaves of the copy. */
static void compare_leaf(const struct kelp_format *f, const struct raw_entry *from,
			 kelp_vaddr_t first, kelp_vaddr_t last, const struct raw_list *copy,
			 size_t *at)
{
	kelp_vaddr_t va = from->va < first ? first : from->va;
	kelp_vaddr_t end = from->last > last ? last : from->last;
	kelp_vaddr_t group = from->va & ~((UINT64_C(1) << from->shift) - 1u);
	bool whole = va == from->va && end == from->last;
	bool group_whole = group >= first && group + ((UINT64_C(1) << from->shift) - 1u) <= last;

	for (;;) {
		const struct raw_entry *to = next_leaf(copy, at);

		assert_non_null(to);
		assert_int_equal(to->va, va);
		assert_int_equal(to->target, from->target + (va - from->va));
		assert_int_equal(to->attributes & KEPT, from->attributes & KEPT);
		assert_true(to->last <= end);
		assert_writable(f, to);
		if (whole)
			assert_int_equal(to->level, from->level);
		if (whole && group_whole)
			assert_int_equal(to->grouped, from->grouped);
		if (to->last == end)
			return;
		va = to->last + 1u;
	}
}

/* INV-5.1 in both directions: everything of the range is in the copy, and nothing else. */
static void assert_copied(const struct kelp_format *f, const struct raw_list *source,
			  const struct raw_list *copy, kelp_vaddr_t first, kelp_vaddr_t last)
{
	const struct raw_entry *from;
	size_t s = 0, c = 0;

	while ((from = next_leaf(source, &s)))
		if (from->last >= first && from->va <= last)
			compare_leaf(f, from, first, last, copy, &c);
	assert_null(next_leaf(copy, &c));
	for (size_t i = 0; i < copy->count; i++)
		assert_int_not_equal(copy->items[i].kind, KELP_ENTRY_OPAQUE);
}

/* ---- a source and its copy --------------------------------------------------------------- */

struct pair {
	const struct kelp_format *format;
	struct test_port *port; /* of the source */
	struct test_port *safe; /* of the copy */
	struct kelp_space space;
	struct kelp_trans trans;
	struct raw_list source, copy;
	uint64_t digest;
	kelp_vaddr_t va; /* of everything that is mapped */
	uint64_t size;
	/* The policy: frames from here to there are active. */
	uint64_t active_first, active_last;
	unsigned asked;
};

static bool is_active(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct pair *pair = context;

	pair->asked++;
	assert_true(frames > 0);
	return first.number >= pair->active_first &&
	       first.number + frames - 1u <= pair->active_last;
}

static struct kelp_trans_policy reviving(struct pair *pair)
{
	return (struct kelp_trans_policy){KELP_TRANS_REVIVE, pair, is_active};
}

static void pair_begin(struct pair *pair, struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	unsigned places = 6;

	memset(pair, 0, sizeof(*pair));
	pair->format = f;
	pair->port = bare->port;
	pair->safe = test_port_new(f);
	pair->active_last = UINT64_MAX;
	assert_status(kelp_space_init(&pair->space, f, &pair->port->hooks, 0), KELP_OK);
	assert_status(kelp_trans_init(&pair->trans, f, &pair->safe->hooks, 0), KELP_OK);
	pair->va = some_va(f, 0);
	pair->size = some_va(f, places) - pair->va;
	if (pair->va + (pair->size - 1u) > f->va_last[f->va_ranges - 1])
		pair->size = f->va_last[f->va_ranges - 1] - pair->va + 1u;
}

/* Gives the copy's pages back: all of them must come. */
static void drop_copy(struct pair *pair)
{
	test_port_fail(pair->safe, 0, false);
	kelp_trans_destroy(&pair->trans);
	assert_int_equal(pair->safe->live, 0);
	assert_int_equal(pair->safe->shootdowns, 0);
	assert_int_equal(pair->safe->waits, 0);
	assert_no_failure();
}

static void copy_again(struct pair *pair)
{
	drop_copy(pair);
	assert_status(kelp_trans_init(&pair->trans, pair->format, &pair->safe->hooks, 0), KELP_OK);
}

static void pair_end(struct pair *pair)
{
	drop_copy(pair);
	test_port_free(pair->safe);
	raw_free(&pair->source);
	raw_free(&pair->copy);
	kelp_space_destroy(&pair->space);
	assert_int_equal(pair->port->live, 0);
	assert_no_failure();
}

static void put(struct pair *pair, kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size,
		kelp_attr_t attributes, uint32_t flags)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, &pair->space);
	assert_status(kelp_space_map(&flush, va, pa, size, attributes, flags), KELP_OK);
	kelp_flush_commit(&flush);
}

static void see_both(struct pair *pair)
{
	raw_collect(&pair->source, pair->format, pair->port, pair->space.root);
	raw_collect(&pair->copy, pair->format, pair->safe, kelp_trans_root(&pair->trans));
	assert_no_failure();
}

/*
 * Copies [va, va + size) with every check: what is announced is what is taken, the source is only
 * read, and the copy says what the source says.
 */
static void copy_and_compare(struct pair *pair, kelp_vaddr_t va, uint64_t size,
			     const struct kelp_trans_policy *policy)
{
	unsigned takes = pair->port->takes;
	struct kelp_mapping where;
	uint64_t pages, digest;

	digest = raw_digest(pair->format, pair->port, pair->space.root);
	assert_int_equal(pair->safe->live, 1);
	assert_status(kelp_trans_size(&pair->space, va, size, policy, &pages, &where), KELP_OK);
	assert_int_equal(pair->safe->live, 1);
	pair->safe->takes = 1;
	assert_status(kelp_trans_copy(&pair->trans, &pair->space, va, size, policy), KELP_OK);
	assert_int_equal(pair->safe->takes, pages);
	assert_int_equal(pair->safe->live, pages);
	assert_int_equal(kelp_trans_pages(&pair->trans), pages);
	assert_int_equal(pair->port->takes, takes);
	assert_int_equal(raw_digest(pair->format, pair->port, pair->space.root), digest);
	see_both(pair);
	assert_copied(pair->format, &pair->source, &pair->copy, va, va + (size - 1u));
}

/* Leaves of every size, rights and type that the format has, holes between them. */
static void fill(struct pair *pair)
{
	const struct kelp_format *f = pair->format;
	uint64_t page = page_of(f), unit = UINT64_C(1) << f->shift[1];
	kelp_vaddr_t va = some_va(f, 1);
	kelp_paddr_t pa = some_pa(f, 1);
	kelp_attr_t user = kelp_format_closest(
		f, KELP_ATTR_READ | KELP_ATTR_EXEC | (f->attr_mask & KELP_ATTR_USER));

	put(pair, some_va(f, 0), some_pa(f, 0), some_va(f, 1) - some_va(f, 0), rodata_of(f), 0);
	put(pair, va, pa, page, text_of(f), 0);
	put(pair, va + page, pa + 7u * page, page,
	    data_of(f) | (f->attr_mask & KELP_ATTR_GLOBAL), 0);
	put(pair, va + 3u * page, pa + page, 2u * page, user, 0);
	for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++) {
		kelp_attr_t a = data_of(f) & ~KELP_ATTR_TYPE_MASK;

		if (f->type_to_index[type] != KELP_TYPE_ABSENT)
			put(pair, va + (8u + type) * page, pa + (8u + type) * page, page,
			    a | KELP_ATTR_TYPE(type), 0);
	}
	if (f->attr_mask & KELP_ATTR_SHARED)
		put(pair, va + 20u * page, pa + 20u * page, page, data_of(f) | KELP_ATTR_SHARED,
		    0);
	if (f->index_bits[0] > 6)
		put(pair, va + 32u * page, pa + 32u * page, 32u * page, data_of(f), 0);
	if (some_va(f, 2) - va >= 2u * unit)
		put(pair, va + unit, pa + unit, unit, data_of(f), 0);
	/* Small leaves where a large one would fit stay small. */
	put(pair, some_va(f, 2), some_pa(f, 2), unit, data_of(f), KELP_LEAF_SHIFT(f->page_shift));
}

/* ---- INV-5.1 ----------------------------------------------------------------------------- */

static void copies_what_is_translated(struct bare *bare)
{
	struct pair pair;

	pair_begin(&pair, bare);
	fill(&pair);
	copy_and_compare(&pair, pair.va, pair.size, NULL);
	/* Without group marks no leaf has one. */
	if (has_groups(bare->format)) {
		drop_copy(&pair);
		assert_status(kelp_trans_init(&pair.trans, bare->format, &pair.safe->hooks,
					      KELP_SPACE_NO_GROUPS), KELP_OK);
		assert_status(kelp_trans_copy(&pair.trans, &pair.space, pair.va, pair.size, NULL),
			      KELP_OK);
		see_both(&pair);
		for (size_t i = 0; i < pair.copy.count; i++)
			assert_false(pair.copy.items[i].grouped);
	}
	pair_end(&pair);
}

/* Ranges that cut large leaves, groups and tables at either end. */
static void cuts_at_the_ends_of_the_range(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f), unit = UINT64_C(1) << f->shift[1];
	const struct {
		kelp_vaddr_t va;
		uint64_t size;
	} ranges[] = {
		{some_va(f, 0), page},
		{some_va(f, 0) + page, 3u * page},
		{some_va(f, 0) + 3u * page, unit},
		{some_va(f, 1) - 5u * page, 38u * page},
		{some_va(f, 1) - page, 2u * page},
		{some_va(f, 2) + unit - page, page},
		{some_va(f, 2) + unit, page},
	};
	struct pair pair;

	pair_begin(&pair, bare);
	fill(&pair);
	for (unsigned i = 0; i < COUNT_OF(ranges); i++) {
		copy_and_compare(&pair, ranges[i].va, ranges[i].size, NULL);
		copy_again(&pair);
	}
	pair_end(&pair);
}

/* A table entry that takes rights away from all below it: the copy has them. */
static void tables_that_deny_are_not_copied(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	kelp_paddr_t table[KELP_LEVELS_MAX], limit = (UINT64_C(1) << f->pa_bits) - 1u;
	struct kelp_space adopted;
	struct pair pair;
	bool denies = false;
	uint64_t entry;

	if (f->entry_bytes == 4)
		limit = UINT32_MAX;
	pair_begin(&pair, bare);
	for (unsigned level = f->levels; level-- > 0;) {
		bool root = level + 1u == f->levels;

		table[level] = test_port_foreign(bare->port,
						 root && f->root_limit < limit ? f->root_limit
									       : limit);
		if (root)
			continue;
		entry = f->ops->table(f, level + 1u, table[level], false);
		/* One bit that denies WRITE, if the format has one. */
		for (unsigned bit = 0; bit < f->entry_bytes * 8u && !denies; bit++) {
			uint64_t with = entry ^ UINT64_C(1) << bit;

			if (f->ops->kind(f, level + 1u, with) == KELP_ENTRY_TABLE &&
			    f->ops->address(f, level + 1u, with) == table[level] &&
			    f->ops->well_formed(f, level + 1u, with) &&
			    (f->ops->denied(f, level + 1u, with) & KELP_ATTR_WRITE)) {
				entry = with;
				denies = true;
			}
		}
		raw_write(f, bare->port, table[level + 1u],
			  kelp_format_index(f, level + 1u, pair.va), entry);
	}
	assert_status(f->ops->leaf(f, 0, some_pa(f, 0), data_of(f), false, &entry), KELP_OK);
	raw_write(f, bare->port, table[0], kelp_format_index(f, 0, pair.va), entry);
	assert_status(kelp_space_adopt(&adopted, f, &bare->port->hooks, table[f->levels - 1u], 10,
				       0), KELP_OK);
	assert_status(kelp_trans_copy(&pair.trans, &adopted, pair.va, page_of(f), NULL), KELP_OK);
	raw_collect(&pair.source, f, bare->port, adopted.root);
	raw_collect(&pair.copy, f, pair.safe, kelp_trans_root(&pair.trans));
	assert_copied(f, &pair.source, &pair.copy, pair.va, pair.va + page_of(f) - 1u);
	for (size_t i = 0; i < pair.copy.count; i++)
		if (pair.copy.items[i].kind == KELP_ENTRY_TABLE)
			assert_int_equal(f->ops->denied(f, pair.copy.items[i].level,
							pair.copy.items[i].entry), 0);
	kelp_space_destroy(&adopted);
	pair_end(&pair);
}

/* Whatever random edits make of a space, any part of it is copied as it is. */
static void copies_random_spaces(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	unsigned rounds = KELP_DEBUG ? 3 : 6;
	struct random random = {UINT64_C(0x7a5) + f->va_bits};
	struct pair pair;
	struct run run;

	pair_begin(&pair, bare);
	for (unsigned round = 0; round < rounds; round++) {
		assert_true(run_begin(&run, f, 0));
		for (unsigned i = 0; i < 60; i++) {
			struct step step;

			step_random(&random, f, &step);
			step.fail_at = 0;
			/* Thousands of small leaves are no harder to copy than some. */
			if (step.size > UINT64_C(64) << f->shift[1])
				continue;
			if (!run_step(&run, &step))
				break;
		}
		assert_no_failure();
		for (unsigned i = 0; i < 4; i++) {
			struct kelp_trans_policy policy = reviving(&pair);
			struct step step;
			uint64_t pages, size;
			enum kelp_status status;

			do
				step_random(&random, f, &step);
			while (kelp_format_check_range(f, step.va, step.size) != KELP_OK);
			size = step.size;
			status = kelp_trans_size(&run.space, step.va, size, &policy, &pages, NULL);
			pair.safe->takes = 1;
			assert_status(kelp_trans_copy(&pair.trans, &run.space, step.va, size,
						      &policy), status);
			if (status == KELP_OK) {
				assert_int_equal(pair.safe->takes, pages);
				raw_collect(&pair.source, f, run.port, run.space.root);
				raw_collect(&pair.copy, f, pair.safe,
					    kelp_trans_root(&pair.trans));
				assert_copied(f, &pair.source, &pair.copy, step.va,
					      step.va + (size - 1u));
			}
			copy_again(&pair);
		}
		run_end(&run);
		assert_no_failure();
	}
	pair_end(&pair);
}

/* ---- INV-5.2 ----------------------------------------------------------------------------- */

static void take_away(struct pair *pair, kelp_vaddr_t va, uint64_t size)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, &pair->space);
	assert_status(kelp_space_protect(&flush, va, size, KELP_ATTR_INVALID, 0,
					 KELP_ALLOW_BREAK), KELP_OK);
	kelp_flush_commit(&flush);
}

/* What refuses says where, announces no size, and the copy can be given back. */
static void refuse(struct pair *pair, const struct kelp_trans_policy *policy,
		   enum kelp_status expected, kelp_vaddr_t va, uint64_t size)
{
	struct kelp_mapping where = {0};
	uint64_t pages = 1, digest = raw_digest(pair->format, pair->port, pair->space.root);

	assert_status(kelp_trans_size(&pair->space, pair->va, pair->size, policy, &pages, &where),
		      expected);
	assert_int_equal(pages, 0);
	assert_int_equal(where.va, va);
	assert_int_equal(where.size, size);
	assert_status(kelp_trans_copy(&pair->trans, &pair->space, pair->va, pair->size, policy),
		      expected);
	assert_int_equal(pair->trans.failed.va, va);
	assert_int_equal(pair->trans.failed.size, size);
	assert_int_equal(raw_digest(pair->format, pair->port, pair->space.root), digest);
	copy_again(pair);
}

/* The same for an invalid leaf of the level's size. */
static void revive_at(struct bare *bare, unsigned level)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f), size = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 1);
	kelp_paddr_t pa = some_pa(f, 1);
	struct kelp_trans_policy policy;
	struct pair pair;

	pair_begin(&pair, bare);
	policy = reviving(&pair);
	put(&pair, some_va(f, 0), some_pa(f, 0), page, data_of(f), 0);
	put(&pair, va, pa, size, rodata_of(f), KELP_LEAF_SHIFT(f->shift[level]));
	take_away(&pair, va, size);

	/* No policy, one without the flag, one that cannot ask, frames that are not all there. */
	refuse(&pair, NULL, KELP_ERR_NOT_MAPPED, va, size);
	policy.flags = 0;
	refuse(&pair, &policy, KELP_ERR_NOT_MAPPED, va, size);
	policy = reviving(&pair);
	policy.active = NULL;
	refuse(&pair, &policy, KELP_ERR_RESTRICTED, va, size);
	policy = reviving(&pair);
	pair.active_first = pa / page + 1u;
	refuse(&pair, &policy, KELP_ERR_RESTRICTED, va, size);
	pair.active_first = 0;
	pair.active_last = pa / page + size / page - 2u;
	refuse(&pair, &policy, KELP_ERR_RESTRICTED, va, size);
	policy.flags = 1u << 7;
	assert_status(kelp_trans_copy(&pair.trans, &pair.space, pair.va, pair.size, &policy),
		      KELP_ERR_ARGUMENT);

	/* All of them, and nothing but them. */
	policy = reviving(&pair);
	pair.active_first = pa / page;
	pair.active_last = pa / page + size / page - 1u;
	pair.asked = 0;
	copy_and_compare(&pair, pair.va, pair.size, &policy);
	assert_int_equal(pair.asked, 2);

	/* A range that holds a part of the leaf asks for that part only. */
	if (size > page) {
		copy_again(&pair);
		pair.active_last = pa / page;
		copy_and_compare(&pair, va, page, &policy);
	}
	pair_end(&pair);
}

static void invalid_pages_need_policy_and_frames(struct bare *bare)
{
	revive_at(bare, 0);
}

static void invalid_blocks_need_policy_and_frames(struct bare *bare)
{
	for (unsigned level = 1; level < bare->format->levels; level++)
		if (leaf_at(bare->format, level))
			revive_at(bare, level);
}

/* An entry that is neither a leaf nor a table stands for something that is not known. */
static void foreign_marks_are_refused(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_trans_policy policy;
	const struct raw_entry *leaf;
	struct pair pair;
	uint64_t mark = UINT64_C(1) << f->page_shift;

	pair_begin(&pair, bare);
	policy = reviving(&pair);
	put(&pair, some_va(f, 0), some_pa(f, 0), page_of(f), data_of(f),
	    KELP_LEAF_SHIFT(f->page_shift));
	raw_collect(&pair.source, f, pair.port, pair.space.root);
	leaf = raw_leaf(&pair.source, some_va(f, 0));
	assert_int_equal(f->ops->kind(f, 0, mark), KELP_ENTRY_OPAQUE);
	raw_write(f, pair.port, leaf->table, kelp_format_index(f, 0, leaf->va), mark);
	refuse(&pair, &policy, KELP_ERR_MALFORMED, leaf->va, page_of(f));
	pair_end(&pair);
}

/* ---- build ------------------------------------------------------------------------------- */

/* Frames in ranges: neighbours that share a large leaf, odd ends, single ones. */
static size_t frame_map(const struct kelp_format *f, struct kelp_trans_range *ranges)
{
	uint64_t page = page_of(f), unit = (UINT64_C(1) << f->shift[1]) / page;
	uint64_t first = some_pa(f, 0) / page;
	const uint64_t at[][2] = {
		{0, unit / 2u}, {unit / 2u, unit / 2u},  /* a whole leaf made of two ranges */
		{unit + 3u, 1}, {unit + 5u, 2u * unit},  /* odd ends */
		{4u * unit, unit},
	};

	for (size_t i = 0; i < COUNT_OF(at); i++)
		ranges[i] = (struct kelp_trans_range){.first = {first + at[i][0]},
						      .frames = at[i][1]};
	return COUNT_OF(at);
}

static void assert_same_tables(const struct raw_list *a, const struct raw_list *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct raw_entry *x = &a->items[i], *y = &b->items[i];

		assert_int_equal(x->va, y->va);
		assert_int_equal(x->level, y->level);
		assert_int_equal(x->kind, y->kind);
		if (x->kind != KELP_ENTRY_TABLE)
			assert_int_equal(x->entry, y->entry);
	}
}

/* The direct map of the same frames, as a kernel has it. */
static void direct_map(struct pair *pair, struct kelp_directmap *map,
		       const struct kelp_trans_range *ranges, size_t count)
{
	struct kelp_frame_range frames[8];
	struct kelp_directmap_config config = {
		.space = &pair->space,
		.base = some_va(pair->format, 0),
		.first = ranges[0].first,
		.frames = ranges[count - 1].first.number + ranges[count - 1].frames -
			  ranges[0].first.number,
		.attributes = kelp_format_closest(pair->format,
						  KELP_ATTR_READ | KELP_ATTR_WRITE),
	};

	for (size_t i = 0; i < count; i++)
		frames[i] = (struct kelp_frame_range){
			ranges[i].first, {ranges[i].first.number + ranges[i].frames - 1u}};
	/* Neighbours as one range: a direct map shares leaves within a range only. */
	frames[0].last = frames[1].last;
	memmove(&frames[1], &frames[2], (count - 2) * sizeof(frames[0]));
	assert_status(kelp_directmap_init(map, &config, frames, count - 1), KELP_OK);
}

static void building_equals_copying(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_trans_range ranges[8];
	size_t count = frame_map(f, ranges);
	uint64_t offset = some_va(f, 0) - some_pa(f, 0), pages;
	struct kelp_trans_policy policy;
	struct kelp_trans built;
	struct kelp_directmap map;
	struct raw_list list = {0};
	struct test_port *port = test_port_new(f);
	struct pair pair;

	pair_begin(&pair, bare);
	policy = reviving(&pair);
	direct_map(&pair, &map, ranges, count);
	copy_and_compare(&pair, pair.va, pair.size, &policy);
	assert_status(kelp_trans_init(&built, f, &port->hooks, 0), KELP_OK);
	assert_status(kelp_trans_build_size(f, offset, ranges, count, &pages, NULL), KELP_OK);
	assert_status(kelp_trans_build(&built, offset, ranges, count), KELP_OK);
	assert_int_equal(port->takes, pages);
	raw_collect(&list, f, port, kelp_trans_root(&built));
	assert_same_tables(&list, &pair.copy);

	/* Holes in the live tables: the copy has smaller leaves, and says the same. */
	copy_again(&pair);
	if (kelp_directmap_set_invalid(&map, (kelp_pfn_t){ranges[3].first.number + 7u}, 2) ==
	    KELP_OK) {
		size_t a = 0;
		const struct raw_entry *leaf;

		copy_and_compare(&pair, pair.va, pair.size, &policy);
		while ((leaf = next_leaf(&list, &a)))
			for (kelp_vaddr_t va = leaf->va; va < leaf->last; va += page_of(f)) {
				kelp_attr_t attributes;
				kelp_paddr_t pa;

				assert_true(raw_translate(f, pair.safe,
							  kelp_trans_root(&pair.trans), va, &pa,
							  &attributes));
				assert_int_equal(pa, leaf->target + (va - leaf->va));
				assert_int_equal(attributes, leaf->attributes);
			}
	}
	kelp_trans_destroy(&built);
	assert_int_equal(port->live, 0);
	test_port_free(port);
	raw_free(&list);
	pair_end(&pair);
}

static void frame_lists_are_checked(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t first = some_pa(f, 0) / page_of(f), offset = some_va(f, 0) - some_pa(f, 0);
	uint64_t end = UINT64_C(1) << (f->pa_bits - f->page_shift), pages;
	const struct {
		struct kelp_trans_range ranges[2];
		enum kelp_status status;
	} wrong[] = {
		{{{{first}, 1, 0}, {{first}, 1, 0}}, KELP_ERR_ARGUMENT},
		{{{{first + 1u}, 1, 0}, {{first}, 1, 0}}, KELP_ERR_ARGUMENT},
		{{{{first}, 1, 0}, {{first + 1u}, 0, 0}}, KELP_ERR_ARGUMENT},
		{{{{first}, 1, 0}, {{first + 1u}, 1, KELP_ATTR_USER}}, KELP_ERR_ARGUMENT},
		{{{{first}, 1, 0}, {{end}, 1, 0}}, KELP_ERR_ADDRESS},
		{{{{first}, 1, 0}, {{end - 1u}, 2, 0}}, KELP_ERR_ADDRESS},
		{{{{first}, 1, 0}, {{first + 1u}, UINT64_MAX, 0}}, KELP_ERR_ADDRESS},
	};
	struct pair pair;

	pair_begin(&pair, bare);
	for (unsigned i = 0; i < COUNT_OF(wrong); i++) {
		assert_status(kelp_trans_build_size(f, offset, wrong[i].ranges, 2, &pages, NULL),
			      wrong[i].status);
		assert_status(kelp_trans_build(&pair.trans, offset, wrong[i].ranges, 2),
			      wrong[i].status);
		copy_again(&pair);
	}
	pair_end(&pair);
}

/* ---- single pages, misuse ---------------------------------------------------------------- */

static void maps_a_page_of_code(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f);
	kelp_pfn_t code = {some_pa(f, 3) / page};
	kelp_attr_t attributes, rights;
	struct pair pair;
	kelp_paddr_t pa;

	pair_begin(&pair, bare);
	put(&pair, some_va(f, 0), some_pa(f, 0), page, data_of(f), 0);
	assert_status(kelp_trans_copy(&pair.trans, &pair.space, pair.va, pair.size, NULL), KELP_OK);
	rights = text_of(f);
	assert_status(kelp_trans_map_page(&pair.trans, some_va(f, 3), code, rights), KELP_OK);
	assert_true(raw_translate(f, pair.safe, kelp_trans_root(&pair.trans), some_va(f, 3), &pa,
				  &attributes));
	assert_int_equal(pa, code.number * page);
	assert_int_equal(attributes, rights | (f->attr_mask & KELP_ATTR_ACCESSED));
	/* What is there is not replaced. */
	assert_status(kelp_trans_map_page(&pair.trans, some_va(f, 0), code, rights),
		      KELP_ERR_EXISTS);
	assert_status(kelp_trans_copy(&pair.trans, &pair.space, pair.va, pair.size, NULL),
		      KELP_ERR_EXISTS);
	assert_int_equal(pair.trans.failed.va, some_va(f, 0));
	assert_status(kelp_trans_map_page(&pair.trans, some_va(f, 0) + 1u, code, rights),
		      KELP_ERR_ALIGNMENT);
	pair_end(&pair);
}

static void bad_arguments(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_format other = *f;
	struct kelp_trans trans;
	struct pair pair;

	pair_begin(&pair, bare);
	assert_status(kelp_trans_init(&trans, f, &pair.safe->hooks, KELP_SPACE_KEEP_ROOT),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_trans_copy(&pair.trans, &pair.space, pair.va, 0, NULL),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_trans_copy(&pair.trans, &pair.space, pair.va + 1u, page_of(f), NULL),
		      KELP_ERR_ALIGNMENT);
	pair.space.format = &other;
	assert_status(kelp_trans_copy(&pair.trans, &pair.space, pair.va, page_of(f), NULL),
		      KELP_ERR_ARGUMENT);
	pair.space.format = f;
	pair_end(&pair);
}

static bool is_checked_build(const struct kelp_format *format)
{
	(void)format;
	return KELP_DEBUG;
}

/* "Exactly one zeroed page": what else an allocator may give is noticed. */
static void a_page_that_is_not_zero_is_caught(struct bare *bare)
{
	struct pair pair;

	pair_begin(&pair, bare);
	put(&pair, some_va(bare->format, 0), some_pa(bare->format, 0), page_of(bare->format),
	    data_of(bare->format), 0);
	pair.safe->give_dirty = true;
	assert_true(test_panics(pair.safe, kelp_trans_copy(&pair.trans, &pair.space, pair.va,
							   pair.size, NULL) == KELP_OK));
	assert_non_null(strstr(pair.safe->panic_what, "not all zero"));
	test_port_free(pair.safe);
	kelp_space_destroy(&pair.space);
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"INV-5.1 what is translated is copied", copies_what_is_translated, NULL},
		{"INV-5.1 cut at the ends of the range", cuts_at_the_ends_of_the_range, NULL},
		{"INV-5.1 tables that deny are not copied", tables_that_deny_are_not_copied, NULL},
		{"INV-5.1 random spaces", copies_random_spaces, NULL},
		{"INV-5.2 invalid pages", invalid_pages_need_policy_and_frames, NULL},
		{"INV-5.2 invalid blocks", invalid_blocks_need_policy_and_frames, has_large},
		{"INV-5.2 foreign marks", foreign_marks_are_refused, NULL},
		{"INV-5.1 building equals copying", building_equals_copying, NULL},
		{"frame lists are checked", frame_lists_are_checked, NULL},
		{"maps a page of code", maps_a_page_of_code, NULL},
		{"bad arguments", bad_arguments, NULL},
		{"a page that is not zero is caught", a_page_that_is_not_zero_is_caught,
		 is_checked_build},
	};

	return bare_cases_run("trans_copy", cases, COUNT_OF(cases));
}
