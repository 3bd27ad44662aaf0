/* SPDX-License-Identifier: MIT */
/* Bugs that other projects had, each as a case of its own name. */
#include "cases.h"

/* Unmapping 4 KiB of a 2 MiB leaf dropped the leaf (seen in two libraries). */
static void four_kib_out_of_two_mib(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_paddr_t pa;

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va + 16 * page, page, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
	for (uint64_t at = 0; at < large; at += page) {
		enum kelp_status expected = at == 16 * page ? KELP_ERR_NOT_MAPPED : KELP_OK;

		assert_status(kelp_space_translate(&run->space, va + at, &pa), expected);
		if (expected == KELP_OK)
			assert_int_equal(pa, some_pa(f, 0) + at);
	}
}

/* A leaf put over a table lost the table page; and the way back. Again and again: no page more. */
static void table_to_leaf_and_back(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f), low = 0, high = 0;
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va + large, some_pa(f, 1), large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	for (unsigned i = 0; i < 5; i++) {
		assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
				     KELP_LEAF_SHIFT(f->page_shift) | KELP_REPLACE |
					     KELP_ALLOW_BREAK), KELP_OK);
		do_commit(run);
		assert_int_equal(shift_at(run, va), f->page_shift);
		if (i > 0)
			assert_int_equal(run->port->live, high);
		high = run->port->live;
		assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
				     KELP_LEAF_SHIFT(f->shift[level]) | KELP_REPLACE |
					     KELP_ALLOW_BREAK), KELP_OK);
		do_commit(run);
		assert_int_equal(shift_at(run, va), f->shift[level]);
		if (i > 0)
			assert_int_equal(run->port->live, low);
		low = run->port->live;
		assert_int_equal(high - low, level);
	}
}

/*
 * The accessed bit is set by the CPU between the sizing pass and the real one (EDK2 #10461):
 * here by a hook in the allocation that lies between the two.
 */
struct meddler {
	struct run *run;
	kelp_vaddr_t va;
	unsigned calls;
};

static void touch_meanwhile(void *context)
{
	struct meddler *meddler = context;
	struct run *run = meddler->run;
	struct raw_list list = {0};
	const struct raw_entry *leaf;

	raw_collect(&list, run->format, run->port, run->space.root);
	leaf = raw_leaf(&list, meddler->va);
	if (leaf && raw_touch(run->format, run->port, leaf, true))
		meddler->calls++;
	raw_free(&list);
}

static bool meddles(const struct kelp_format *f)
{
	return f->hardware_accessed && has_large(f);
}

/* Where a table becomes a leaf without a break: only there the old table is still walked. */
static bool merges_freely(const struct kelp_format *f)
{
	unsigned level = large_level(f);
	uint64_t leaf = 0;

	return meddles(f) && f->ops->leaf(f, level, 0, data_of(f), false, &leaf) == KELP_OK &&
	       f->ops->can_replace(f, level, f->ops->table(f, level, 0, true), leaf);
}

static void used_between_two_passes(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct meddler meddler = {.run = run, .va = va + large - page};
	struct kelp_mapping mapping;

	for (unsigned kind = 0; kind < 3; kind++) {
		enum kelp_status status = KELP_OK;

		assert_status(kelp_space_map(&run->flush, va, some_pa(f, 0), large, data_of(f),
					     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
		meddler.calls = 0;
		run->port->take_hook = touch_meanwhile;
		run->port->take_context = &meddler;
		switch (kind) {
		case 0:
			status = kelp_space_unmap(&run->flush, va, page, KELP_ALLOW_BREAK);
			break;
		case 1:
			status = kelp_space_protect(&run->flush, va, page, 0,
						    KELP_ATTR_WRITE | KELP_ATTR_DIRTY,
						    KELP_ALLOW_BREAK);
			break;
		case 2:
			status = kelp_space_split(&run->flush, va, page, f->page_shift,
						  KELP_ALLOW_BREAK);
			break;
		}
		run->port->take_hook = NULL;
		assert_status(status, KELP_OK);
		assert_true(meddler.calls > 0);
		assert_status(kelp_space_query(&run->space, va + large - page, &mapping), KELP_OK);
		assert_int_equal(mapping.pa + (va + large - page - mapping.va),
				 some_pa(f, 0) + large - page);
		assert_int_equal(mapping.attributes & KELP_ATTR_ACCESSED, KELP_ATTR_ACCESSED);
		if (f->hardware_dirty)
			assert_int_equal(mapping.attributes & KELP_ATTR_DIRTY, KELP_ATTR_DIRTY);
		assert_status(kelp_space_unmap(&run->flush, va, large, KELP_ALLOW_BREAK), KELP_OK);
		assert_status(kelp_space_release(&run->flush, va, large, NULL), KELP_OK);
		kelp_flush_now(&run->flush);
		judge_observe(&run->judge);
	}
}

/* Prepared; then hardware uses the leaf; then committed: the bits are kept. */
static void used_between_prepare_and_commit(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct meddler meddler = {.run = run, .va = va};
	struct kelp_change change = {.kind = KELP_CHANGE_UNMAP, .va = va + large - page,
				     .size = page, .flags = KELP_ALLOW_BREAK};
	struct kelp_mapping mapping;

	assert_status(kelp_space_map(&run->flush, va, some_pa(f, 0), large, data_of(f),
				     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	assert_status(kelp_space_prepare(&run->flush, &change), KELP_OK);
	touch_meanwhile(&meddler);
	assert_int_equal(meddler.calls, 1);
	kelp_space_commit(&change);
	assert_status(kelp_space_query(&run->space, va, &mapping), KELP_OK);
	assert_int_equal(mapping.attributes & KELP_ATTR_ACCESSED, KELP_ATTR_ACCESSED);
	assert_status(kelp_space_unmap(&run->flush, va, large, KELP_ALLOW_BREAK), KELP_OK);
	judge_observe(&run->judge);
}

/*
 * Coalescing: until the flush a CPU may write through the old table, and it notes that there.
 * The commit collects it; a page whose dirty bit is lost would never be written back.
 */
static void dirty_after_coalesce(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct raw_list old = {0};
	struct raw_entry leaf;

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	raw_copy(&old, &run->judge.now);
	leaf = *raw_leaf(&old, va + 5 * page);
	raw_free(&old);
	assert_status(do_coalesce(run, va, large, f->shift[level], 0), KELP_OK);
	assert_int_equal(leaf_of(run, va)->attributes & KELP_ATTR_DIRTY, 0);
	/* The CPU still has the pointer to the old table. */
	assert_true(raw_touch(f, run->port, &leaf, true));
	model_touch(&run->model, va, large, va, large,
		    KELP_ATTR_ACCESSED | (f->hardware_dirty ? KELP_ATTR_DIRTY : 0));
	kelp_flush_commit(&run->flush);
	kelp_flush_begin(&run->flush, &run->space);
	judge_check_clean(&run->judge);
	assert_int_equal(leaf_of(run, va)->attributes & KELP_ATTR_ACCESSED, KELP_ATTR_ACCESSED);
	if (f->hardware_dirty)
		assert_int_equal(leaf_of(run, va)->attributes & KELP_ATTR_DIRTY, KELP_ATTR_DIRTY);
}

/* The same, and the leaf was mapped anew meanwhile: not its dirt. */
static void dirty_of_somebody_else(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);
	struct raw_entry leaf;

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	leaf = *leaf_of(run, va);
	assert_status(do_coalesce(run, va, large, f->shift[level], 0), KELP_OK);
	assert_true(raw_touch(f, run->port, &leaf, true));
	assert_status(do_map(run, va, some_pa(f, 1), large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level]) | KELP_REPLACE | KELP_ALLOW_BREAK),
		      KELP_OK);
	do_commit(run);
	assert_int_equal(leaf_of(run, va)->attributes & MODEL_HARDWARE_BITS,
			 data_of(f) & MODEL_HARDWARE_BITS);
}

/* Dirty bits that differ do not keep leaves apart, and none is lost on the way up and down. */
static void dirty_up_and_down(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t bits = KELP_ATTR_ACCESSED | (f->hardware_dirty ? KELP_ATTR_DIRTY : 0);

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_touch(run, va + 3 * page, true);
	assert_int_equal(leaf_of(run, va + 3 * page)->attributes & bits, bits);
	assert_status(do_coalesce(run, va, large, f->shift[level], KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(shift_at(run, va), f->shift[level]);
	assert_int_equal(leaf_of(run, va)->attributes & bits, bits);
	do_commit(run);
	assert_status(do_split(run, va, large, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(leaf_of(run, va + 3 * page)->attributes & bits, bits);
}

/* The allocator is not entered again in mid-split (EDK2 #12391), nor after prepare. */
static void the_allocator_is_left_alone(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	struct kelp_change change = {.kind = KELP_CHANGE_PROTECT, .va = some_va(f, 0) + page,
				     .size = page, .clear = KELP_ATTR_WRITE | KELP_ATTR_DIRTY,
				     .flags = KELP_ALLOW_BREAK};

	assert_status(do_map(run, some_va(f, 0), some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	assert_status(kelp_space_prepare(&run->flush, &change), KELP_OK);
	run->port->forbid_take = true;
	kelp_space_commit(&change);
	run->port->forbid_take = false;
	model_protect(&run->model, change.va, page, 0, change.clear);
	run_compare(run);
	do_commit(run);
}

/* A table page was freed before the walk caches were flushed: the judge would say so; here it is
 * made to, so that it is known to look. */
static void the_judge_looks(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 2 * page, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	/* A translation is taken away and nobody is told. */
	raw_write(f, run->port, leaf_of(run, va)->table,
		  (unsigned)(va >> f->page_shift) & ((1u << f->index_bits[0]) - 1u), 0);
	judge_check_clean(&run->judge);
	assert_true(test_failed());
	test_report_reset();
	/* A table goes back while it is linked. */
	run->port->hooks.table_give(run->port, run->port->page_size, leaf_of(run, va + page)->table);
	assert_true(test_failed());
	test_report_reset();
	/* And the model: what is in the tables is not what was mapped. The space is lost. */
	judge_free(&run->judge);
	test_port_free(run->port);
	model_free(&run->model);
	run_begin(run, f, 0);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"4 KiB out of a 2 MiB leaf", four_kib_out_of_two_mib, 0, has_large},
		{"a table becomes a leaf and back, no page lost", table_to_leaf_and_back, 0,
		 has_large},
		{"accessed is set between two passes", used_between_two_passes, 0, meddles},
		{"accessed is set between prepare and commit", used_between_prepare_and_commit, 0,
		 meddles},
		{"dirty is set after coalescing", dirty_after_coalesce, 0, merges_freely},
		{"dirt of somebody else", dirty_of_somebody_else, 0, merges_freely},
		{"dirty up and down", dirty_up_and_down, 0, meddles},
		{"the allocator is left alone", the_allocator_is_left_alone, 0, has_large},
		{"the judge looks", the_judge_looks, 0, NULL},
	};

	return cases_run("bugs of the field", cases, COUNT_OF(cases));
}
