/* SPDX-License-Identifier: MIT */
/* What a gather requests: ranges, steps and flags, exactly; and in which order it is done. */
#include "cases.h"

/* The request that committing what was gathered makes; the gather is open again afterwards. */
static const struct kelp_flush_request *request_of(struct run *run)
{
	unsigned before = run->port->shootdowns;

	do_commit(run);
	assert_int_equal(run->port->shootdowns, before + 1);
	return &run->port->last_request;
}

/* The flags of all requests since the last call: a break may have flushed before the commit. */
static uint32_t flags_of_all(struct run *run)
{
	uint32_t flags = 0;

	do_commit(run);
	for (size_t i = 0; i < run->port->event_count; i++)
		if (run->port->events[i].kind == TEST_SHOOTDOWN)
			flags |= run->port->events[i].request.flags;
	test_port_forget(run->port);
	return flags;
}

static void assert_nothing(struct run *run)
{
	unsigned before = run->port->shootdowns;

	assert_true(kelp_flush_is_empty(&run->flush));
	do_commit(run);
	assert_int_equal(run->port->shootdowns, before);
}

static void assert_range(const struct kelp_flush_request *request, kelp_vaddr_t first,
			 uint64_t size, unsigned stride_shift)
{
	assert_int_equal(request->count, 1);
	assert_int_equal(request->range[0].first, first);
	assert_int_equal(request->range[0].last, first + (size - 1u));
	assert_int_equal(request->range[0].stride_shift, stride_shift);
}

/* Tables and everything around are there: only leaves change from here. */
static kelp_vaddr_t prepared(struct run *run, unsigned pages, kelp_attr_t attributes)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), pages * page_of(f), attributes,
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	do_commit(run);
	return va;
}

static void a_map_into_nothing(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = prepared(run, 1, data_of(f));

	assert_status(do_map(run, va + page, some_pa(f, 1), 3 * page, data_of(f), 0), KELP_OK);
	if (f->caches_invalid) {
		const struct kelp_flush_request *request = request_of(run);

		assert_range(request, va + page, 3 * page, f->page_shift);
		assert_int_equal(request->flags, 0);
	} else {
		assert_nothing(run);
	}
}

static void an_unmap(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_attr_t attr = data_of(f);
	kelp_vaddr_t va = prepared(run, 9, attr);
	const struct kelp_flush_request *request;

	assert_status(do_unmap(run, va + 2 * page, 4 * page, 0), KELP_OK);
	assert_false(kelp_flush_is_empty(&run->flush));
	request = request_of(run);
	assert_range(request, va + 2 * page, 4 * page, f->page_shift);
	assert_int_equal(request->flags, attr & KELP_ATTR_GLOBAL ? KELP_FLUSH_GLOBAL : 0);
	assert_ptr_equal(request->space, &run->space);
	/* One call after the other, upwards and downwards: still one range. */
	assert_status(do_unmap(run, va + 7 * page, page, 0), KELP_OK);
	assert_status(do_unmap(run, va + 8 * page, page, 0), KELP_OK);
	assert_status(do_unmap(run, va + 6 * page, page, 0), KELP_OK);
	assert_range(request_of(run), va + 6 * page, 3 * page, f->page_shift);
	/* A hole is nothing. */
	assert_status(do_unmap(run, va + 2 * page, 4 * page, 0), KELP_OK);
	assert_nothing(run);
}

static void invalid_leaves_are_not_cached(struct run *run)
{
	const struct kelp_format *f = run->format;
	kelp_vaddr_t va = prepared(run, 1, data_of(f) | KELP_ATTR_INVALID);

	assert_status(do_unmap(run, va, page_of(f), 0), KELP_OK);
	assert_nothing(run);
}

static bool has_global(const struct kelp_format *f)
{
	uint64_t entry;

	return f->ops->leaf(f, 0, 0, data_of(f) | KELP_ATTR_GLOBAL, false, &entry) == KELP_OK &&
	       !(data_of(f) & KELP_ATTR_GLOBAL);
}

static void global_leaves(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = prepared(run, 4, data_of(f) | KELP_ATTR_GLOBAL);

	test_port_forget(run->port);
	assert_status(do_unmap(run, va, page, 0), KELP_OK);
	assert_int_equal(flags_of_all(run), KELP_FLUSH_GLOBAL);
	assert_status(do_protect(run, va + page, page, 0, KELP_ATTR_WRITE | KELP_ATTR_DIRTY,
				 KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(flags_of_all(run), KELP_FLUSH_GLOBAL);
	/* Global becomes not global: it was global. */
	assert_status(do_protect(run, va + page, page, 0, KELP_ATTR_GLOBAL, KELP_ALLOW_BREAK),
		      KELP_OK);
	assert_true(flags_of_all(run) & KELP_FLUSH_GLOBAL);
	assert_status(do_map(run, va + 3 * page, some_pa(f, 1), page, data_of(f),
			     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
	assert_true(flags_of_all(run) & KELP_FLUSH_GLOBAL);
	/* Not global any more: no need. */
	assert_status(do_unmap(run, va + 3 * page, page, 0), KELP_OK);
	assert_int_equal(flags_of_all(run) & KELP_FLUSH_GLOBAL, 0);
}

static void a_large_leaf(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);

	/* A neighbour keeps the tables; no group, so that the leaf stands for itself. */
	assert_status(do_map(run, va, some_pa(f, 0), 3 * large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, va + large, large, 0), KELP_OK);
	assert_range(request_of(run), va + large, large, f->shift[level]);
}

/* Unlinking a table: the walk caches too, and every leaf that it may have held. */
static void a_table(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t span = UINT64_C(1) << f->shift[1];
	kelp_vaddr_t va = prepared(run, 2, data_of(f));
	const struct kelp_flush_request *request;

	assert_status(do_unmap(run, va, span, 0), KELP_OK);
	request = request_of(run);
	assert_true(request->flags & KELP_FLUSH_TABLES);
	/* So many single steps that everything goes. */
	assert_true(request->flags & KELP_FLUSH_ALL);
	if (f->root_in_registers && f->levels == 2)
		assert_true(request->flags & KELP_FLUSH_ROOT);
}

static bool has_root_registers(const struct kelp_format *f)
{
	return f->root_in_registers;
}

/* PAE: even a new entry of the root is not seen before a reload. */
static void root_registers(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t span = UINT64_C(1) << f->shift[f->levels - 1u];
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), page_of(f), data_of(f), 0), KELP_OK);
	assert_true(request_of(run)->flags & KELP_FLUSH_ROOT);
	/* The root's entries do not change: no reload. */
	assert_status(do_map(run, va + page_of(f), some_pa(f, 0), page_of(f), data_of(f), 0),
		      KELP_OK);
	assert_true(!(run->flush.request.flags & KELP_FLUSH_ROOT));
	assert_status(do_unmap(run, va & ~(span - 1u), span, 0), KELP_OK);
	assert_true(request_of(run)->flags & KELP_FLUSH_ROOT);
	assert_status(do_populate(run, va, page_of(f), f->page_shift), KELP_OK);
	assert_true(request_of(run)->flags & KELP_FLUSH_ROOT);
	assert_status(do_release(run, va, page_of(f)), KELP_OK);
	assert_true(request_of(run)->flags & KELP_FLUSH_ROOT);
}

/* Rights that grow or shrink, and what no cache ever sees. */
static void attributes(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), entry;
	kelp_attr_t attr = kelp_format_closest(f, data_of(f) | KELP_ATTR_ACCESSED |
						  KELP_ATTR_DIRTY);
	kelp_vaddr_t va = prepared(run, 3, attr);

	assert_status(do_protect(run, va, 2 * page, 0, KELP_ATTR_WRITE | KELP_ATTR_DIRTY, 0),
		      KELP_OK);
	assert_range(request_of(run), va, 2 * page, f->page_shift);
	if (f->ops->leaf(f, 0, 0, attr | KELP_ATTR_SOFT0, false, &entry) == KELP_OK) {
		assert_status(do_protect(run, va + 2 * page, page, KELP_ATTR_SOFT0, 0, 0),
			      KELP_OK);
		assert_nothing(run);
	}
	/* Cleared, hardware must set them anew, so it must not remember. */
	if (f->hardware_dirty) {
		assert_status(do_protect(run, va + 2 * page, page, 0, KELP_ATTR_DIRTY, 0),
			      KELP_OK);
		assert_range(request_of(run), va + 2 * page, page, f->page_shift);
		assert_status(do_protect(run, va + 2 * page, page, KELP_ATTR_DIRTY, 0, 0),
			      KELP_OK);
		assert_nothing(run);
	}
}

/* Few single invalidations, or everything: on the edge. */
static void the_threshold(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = prepared(run, 60, data_of(f));

	kelp_space_set_flush_threshold(&run->space, 5);
	assert_status(do_unmap(run, va, 5 * page, 0), KELP_OK);
	assert_int_equal(request_of(run)->flags & KELP_FLUSH_ALL, 0);
	assert_status(do_unmap(run, va + 5 * page, 6 * page, 0), KELP_OK);
	assert_true(request_of(run)->flags & KELP_FLUSH_ALL);
	/* In several ranges: the sum counts. */
	assert_status(do_unmap(run, va + 20 * page, 3 * page, 0), KELP_OK);
	assert_status(do_unmap(run, va + 30 * page, 3 * page, 0), KELP_OK);
	assert_true(request_of(run)->flags & KELP_FLUSH_ALL);
	kelp_space_set_flush_threshold(&run->space, 0);
	assert_status(do_unmap(run, va + 40 * page, page, 0), KELP_OK);
	assert_true(request_of(run)->flags & KELP_FLUSH_ALL);
	kelp_space_set_flush_threshold(&run->space, UINT32_MAX);
	assert_status(do_unmap(run, va + 41 * page, 15 * page, 0), KELP_OK);
	assert_int_equal(request_of(run)->flags & KELP_FLUSH_ALL, 0);
}

static void the_default_threshold(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = prepared(run, 2 * KELP_FLUSH_THRESHOLD_DEFAULT + 1, data_of(f));

	assert_status(do_unmap(run, va, KELP_FLUSH_THRESHOLD_DEFAULT * page, 0), KELP_OK);
	assert_int_equal(request_of(run)->flags & KELP_FLUSH_ALL, 0);
	assert_status(do_unmap(run, va + KELP_FLUSH_THRESHOLD_DEFAULT * page,
			       (KELP_FLUSH_THRESHOLD_DEFAULT + 1u) * page, 0), KELP_OK);
	assert_true(request_of(run)->flags & KELP_FLUSH_ALL);
}

/* More places than ranges: the nearest are joined, and all are covered (the judge watches). */
static void more_places_than_ranges(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	unsigned places = 3 * KELP_FLUSH_RANGES;
	kelp_vaddr_t va = prepared(run, 3 * places, data_of(f));

	kelp_space_set_flush_threshold(&run->space, UINT32_MAX);
	/* From both ends towards the middle. */
	for (unsigned i = 0; i < places / 2; i++) {
		assert_status(do_unmap(run, va + 3 * i * page, page, 0), KELP_OK);
		assert_status(do_unmap(run, va + 3 * (places - 1u - i) * page, page, 0), KELP_OK);
	}
	assert_int_equal(request_of(run)->count, KELP_FLUSH_RANGES);
}

/* A range with small leaves is stepped through in small steps, whatever else is joined to it. */
static void mixed_strides(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	kelp_space_set_flush_threshold(&run->space, UINT32_MAX);
	for (unsigned i = 0; i < 12; i++)
		assert_status(do_map(run, va + i * large, some_pa(f, 0) + i * large,
				     i & 1 ? page : large, data_of(f),
				     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	do_commit(run);
	for (unsigned i = 0; i < 12; i++)
		assert_status(do_unmap(run, va + i * large, i & 1 ? page : large, 0), KELP_OK);
	do_commit(run);
}

/* The last page of the address space: no range may wrap. */
static void the_last_page(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t top = f->va_last[f->va_ranges - 1] - (page - 1u);

	assert_status(do_map(run, top - page, some_pa(f, 0), 2 * page, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_status(do_map(run, f->va_first[0], some_pa(f, 1), page, data_of(f), 0), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, top, page, 0), KELP_OK);
	assert_range(request_of(run), top, page, f->page_shift);
	/* First the last page, then the first of all: neighbours only by overflow. */
	assert_status(do_unmap(run, top - page, page, 0), KELP_OK);
	assert_status(do_unmap(run, f->va_first[0], page, 0), KELP_OK);
	assert_int_equal(request_of(run)->count, 2);
}

static void by_hand(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	const struct kelp_flush_request *request;

	assert_true(kelp_flush_is_empty(&run->flush));
	kelp_flush_add(&run->flush, va, va + page - 1u, f->page_shift, KELP_FLUSH_GLOBAL);
	assert_false(kelp_flush_is_empty(&run->flush));
	/* Inside what is there already, and next to it. */
	kelp_flush_add(&run->flush, va, va + page - 1u, f->page_shift, 0);
	kelp_flush_add(&run->flush, va + page, va + 2 * page - 1u, f->page_shift, 0);
	kelp_flush_add(&run->flush, va - page, va - 1u, f->page_shift, 0);
	request = request_of(run);
	assert_range(request, va - page, 3 * page, f->page_shift);
	assert_int_equal(request->flags, KELP_FLUSH_GLOBAL);
	kelp_flush_add(&run->flush, va, va + page - 1u, f->page_shift, KELP_FLUSH_TABLES);
	/* Where an address does not reach table pointers, everything is asked for. */
	assert_int_equal(request_of(run)->flags,
			 KELP_FLUSH_TABLES | (f->tables_flush_all ? KELP_FLUSH_ALL : 0));
	kelp_flush_add(&run->flush, 0, 0, f->page_shift, KELP_FLUSH_ALL);
	kelp_flush_add(&run->flush, va, va + page - 1u, f->page_shift, 0);
	assert_int_equal(request_of(run)->flags, KELP_FLUSH_ALL);
	/* A flag alone is something to do. */
	kelp_flush_add(&run->flush, va, va + page - 1u, f->page_shift, KELP_FLUSH_ROOT);
	assert_false(kelp_flush_is_empty(&run->flush));
	kelp_flush_now(&run->flush);
	assert_true(kelp_flush_is_empty(&run->flush));
}

/* Flush, then readers, then the pages; and nobody waits for readers where no table went. */
static void the_order(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t span = UINT64_C(1) << f->shift[f->levels - 1u];
	kelp_vaddr_t va = prepared(run, 3, data_of(f));
	unsigned waits = run->port->waits;

	assert_status(do_unmap(run, va, page_of(f), 0), KELP_OK);
	do_commit(run);
	assert_int_equal(run->port->waits, waits);
	test_port_forget(run->port);
	assert_status(do_unmap(run, va & ~(span - 1u), span, 0), KELP_OK);
	/* Nothing goes back before the commit. */
	assert_int_equal(run->port->event_count, 0);
	do_commit(run);
	assert_int_equal(run->port->events[0].kind, TEST_SHOOTDOWN);
	assert_int_equal(run->port->events[1].kind, TEST_WAIT);
	assert_int_equal(run->port->event_count, 2 + f->levels - 1u);
	for (size_t i = 2; i < run->port->event_count; i++)
		assert_int_equal(run->port->events[i].kind, TEST_GIVE);
}

/* now() leaves the gather open and empty. */
static void in_between(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = prepared(run, 4, data_of(f));

	assert_status(do_unmap(run, va, page, 0), KELP_OK);
	run_step(run, &(struct step){.kind = STEP_NOW});
	assert_no_failure();
	assert_range(&run->port->last_request, va, page, f->page_shift);
	assert_status(do_unmap(run, va + 2 * page, page, 0), KELP_OK);
	assert_range(request_of(run), va + 2 * page, page, f->page_shift);
}

static void asid_is_kept(struct bare *bare)
{
	struct kelp_space space;

	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks, 0), KELP_OK);
	kelp_space_set_asid(&space, 77);
	assert_int_equal(space.asid, 77);
	kelp_space_destroy(&space);
}

/* Ports without the optional hooks. */
static void without_hooks(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_space space;
	struct kelp_flush flush = {0};

	bare->port->hooks.shootdown = NULL;
	bare->port->hooks.wait_for_readers = NULL;
	bare->port->hooks.log = NULL;
	assert_status(kelp_space_init(&space, f, &bare->port->hooks, 0), KELP_OK);
	kelp_flush_begin(&flush, &space);
	assert_status(kelp_space_map(&flush, some_va(f, 0), some_pa(f, 0), page_of(f), data_of(f),
				     0), KELP_OK);
	assert_status(kelp_space_unmap(&flush, f->va_first[0], f->va_last[0] - f->va_first[0] + 1u,
				       0), KELP_OK);
	kelp_flush_commit(&flush);
	kelp_space_destroy(&space);
	assert_int_equal(bare->port->live, 0);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"a map into nothing", a_map_into_nothing, 0, NULL},
		{"an unmap", an_unmap, 0, NULL},
		{"invalid leaves are not cached", invalid_leaves_are_not_cached, 0, NULL},
		{"global leaves", global_leaves, 0, has_global},
		{"a large leaf", a_large_leaf, KELP_SPACE_NO_GROUPS, has_large},
		{"a table", a_table, 0, NULL},
		{"root registers", root_registers, 0, has_root_registers},
		{"attributes", attributes, 0, NULL},
		{"the threshold", the_threshold, 0, NULL},
		{"the default threshold", the_default_threshold, 0, NULL},
		{"more places than ranges", more_places_than_ranges, 0, NULL},
		{"mixed strides", mixed_strides, KELP_SPACE_NO_GROUPS, has_large},
		{"the last page", the_last_page, 0, NULL},
		{"by hand", by_hand, 0, NULL},
		{"the order", the_order, 0, NULL},
		{"in between", in_between, 0, NULL},
	};
	static const struct bare_case bare[] = {
		{"the tag is kept", asid_is_kept, NULL},
		{"without optional hooks", without_hooks, NULL},
	};
	int failed = cases_run("flush: the gather", cases, COUNT_OF(cases));

	return bare_cases_run("flush: the port", bare, COUNT_OF(bare)) || failed;
}
