/* SPDX-License-Identifier: MIT */
/*
 * The Nth failing hook: every operation that allocates, on every format, with the first take
 * failing, then the second, and so on until it succeeds; each once and for ever. After an error
 * every byte of every table is what it was, the port has its pages back, and the gather works on.
 */
#include <string.h>

#include "cases.h"

/* A copy of every page that the library has. */
struct snapshot {
	struct {
		kelp_paddr_t page;
		unsigned char *bytes;
	} *pages;
	unsigned count;
	size_t size;
};

static void take_snapshot(struct snapshot *snapshot, struct run *run)
{
	const struct test_port *port = run->port;

	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->size = port->page_size;
	snapshot->pages = test_calloc(port->live + 1u, sizeof(*snapshot->pages));
	judge_observe(&run->judge);
	for (size_t i = 0; i <= run->judge.now.count; i++) {
		bool root = i == run->judge.now.count;
		kelp_paddr_t page = root ? run->space.root : run->judge.now.items[i].target;

		if (!root && run->judge.now.items[i].kind != KELP_ENTRY_TABLE)
			continue;
		snapshot->pages[snapshot->count].page = page;
		snapshot->pages[snapshot->count].bytes = test_malloc(snapshot->size);
		memcpy(snapshot->pages[snapshot->count].bytes, test_port_memory(run->port, page),
		       snapshot->size);
		snapshot->count++;
	}
}

static void assert_unchanged(const struct snapshot *snapshot, struct run *run)
{
	for (unsigned i = 0; i < snapshot->count; i++)
		assert_memory_equal(snapshot->pages[i].bytes,
				    test_port_memory(run->port, snapshot->pages[i].page),
				    snapshot->size);
}

static void drop_snapshot(struct snapshot *snapshot)
{
	for (unsigned i = 0; i < snapshot->count; i++)
		test_free(snapshot->pages[i].bytes);
	test_free(snapshot->pages);
}

static enum kelp_status attempt(struct run *run, const struct step *step)
{
	struct kelp_flush *flush = &run->flush;
	struct kelp_change change;
	enum kelp_status status;

	if (step->kind <= STEP_PROTECT && step->way == STEP_PREPARED) {
		change = (struct kelp_change){
			.kind = step->kind == STEP_MAP	     ? KELP_CHANGE_MAP
				: step->kind == STEP_UNMAP ? KELP_CHANGE_UNMAP
							   : KELP_CHANGE_PROTECT,
			.flags = step->flags, .va = step->va, .size = step->size, .pa = step->pa,
			.set = step->set, .clear = step->clear};
		status = kelp_space_prepare(flush, &change);
		if (status == KELP_OK)
			kelp_space_commit(&change);
		return status;
	}
	switch (step->kind) {
	case STEP_MAP:
		return kelp_space_map(flush, step->va, step->pa, step->size, step->set, step->flags);
	case STEP_UNMAP:
		return kelp_space_unmap(flush, step->va, step->size, step->flags);
	case STEP_PROTECT:
		return kelp_space_protect(flush, step->va, step->size, step->set, step->clear,
					  step->flags);
	case STEP_POPULATE:
		return kelp_space_populate(flush, step->va, step->size, step->leaf_shift, 0);
	case STEP_SPLIT:
		return kelp_space_split(flush, step->va, step->size, step->leaf_shift, step->flags);
	default:
		return kelp_space_coalesce(flush, step->va, step->size, step->leaf_shift,
					   step->flags, NULL);
	}
}

static void apply_to_model(struct run *run, const struct step *step)
{
	if (step->kind == STEP_MAP)
		model_map(&run->model, step->va, step->pa, step->size, step->set);
	if (step->kind == STEP_UNMAP)
		model_unmap(&run->model, step->va, step->size);
	if (step->kind == STEP_PROTECT)
		model_protect(&run->model, step->va, step->size, step->set, step->clear);
}

/*
 * Fails the 1st, 2nd, ... take of `step`, each once and then for ever, until one goes through.
 * Returns how many takes it needs. `pending` says how much is gathered before.
 */
static unsigned fail_each(struct run *run, const struct step *step)
{
	for (unsigned n = 1;; n++) {
		for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
			struct kelp_flush_request request = run->flush.request;
			unsigned live = run->port->live, tables = run->space.tables;
			struct snapshot before;
			enum kelp_status status;

			take_snapshot(&before, run);
			test_port_fail(run->port, n, for_ever);
			status = attempt(run, step);
			if (run->port->failed == 0) {
				test_port_fail(run->port, 0, false);
				drop_snapshot(&before);
				assert_status(status, KELP_OK);
				assert_int_equal(for_ever, 0);
				apply_to_model(run, step);
				run_compare(run);
				assert_no_failure();
				return n - 1u;
			}
			assert_status(status, KELP_ERR_NO_MEMORY);
			if (!for_ever)
				assert_int_equal(run->port->failed, 1);
			test_port_fail(run->port, 0, false);
			assert_unchanged(&before, run);
			drop_snapshot(&before);
			assert_int_equal(run->port->live, live);
			assert_int_equal(run->space.tables, tables);
			/* Nothing was gathered for what did not happen. */
			assert_int_equal(run->flush.request.count, request.count);
			assert_int_equal(run->flush.request.flags, request.flags);
			run_compare(run);
			assert_no_failure();
		}
		assert_true(n < 3000);
	}
}

/* Something is gathered already, and more can be while an operation failed. */
static void gather_something(struct run *run)
{
	const struct kelp_format *f = run->format;

	assert_status(do_map(run, some_va(f, 3), some_pa(f, 0), 2 * page_of(f), data_of(f),
			     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
	assert_status(do_unmap(run, some_va(f, 3), page_of(f), 0), KELP_OK);
}

static void finish(struct run *run)
{
	assert_status(do_unmap(run, some_va(run->format, 3) + page_of(run->format),
			       page_of(run->format), KELP_STRICT | KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
}

static void map_into_nothing(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), span = UINT64_C(1) << f->shift[1];

	for (unsigned way = 0; way < 2; way++) {
		struct step step = {.kind = STEP_MAP, .way = way ? STEP_PREPARED : STEP_DIRECT,
				    .va = some_va(f, 1) - 2 * page, .pa = some_pa(f, 1) - 2 * page,
				    .size = span + 4 * page, .set = data_of(f),
				    .flags = KELP_LEAF_SHIFT(f->page_shift)};

		gather_something(run);
		/* Two chains of tables, and one table between. */
		assert_true(fail_each(run, &step) >= 2);
		finish(run);
		for (unsigned r = 0; r < f->va_ranges; r++)
			assert_status(do_unmap(run, f->va_first[r],
					       f->va_last[r] - f->va_first[r] + 1u,
					       KELP_ALLOW_BREAK), KELP_OK);
		do_commit(run);
		assert_int_equal(run->port->live, 1);
	}
}

static void edits_of_large_leaves(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	unsigned shift = 0;

	/* The largest leaf that is not a group: the most tables to make. */
	for (unsigned level = 1; level < f->levels; level++)
		shift = leaf_at(f, level) ? leaf_at(f, level) : shift;
	for (unsigned kind = 0; kind < 8; kind++) {
		uint64_t large = UINT64_C(1) << shift;
		struct step step = {.way = kind & 1 ? STEP_PREPARED : STEP_DIRECT,
				    .va = some_va(f, 0) + large / 2 + page, .size = page,
				    .flags = KELP_ALLOW_BREAK, .leaf_shift = f->page_shift};

		switch (kind / 2) {
		case 0:
			step.kind = STEP_UNMAP;
			/* Two cuts, far apart. */
			step.va = some_va(f, 0) + page;
			step.size = large - 2 * page;
			break;
		case 1:
			step.kind = STEP_PROTECT;
			step.clear = KELP_ATTR_WRITE | KELP_ATTR_DIRTY;
			break;
		case 2:
			step.kind = STEP_MAP;
			step.flags |= KELP_REPLACE;
			step.set = text_of(f);
			step.pa = some_pa(f, 1);
			break;
		default:
			step.kind = STEP_SPLIT;
			break;
		}
		assert_status(do_map(run, some_va(f, 0), some_pa(f, 0), large, data_of(f),
				     KELP_LEAF_SHIFT(shift)), KELP_OK);
		assert_int_equal(shift_at(run, some_va(f, 0)), shift);
		gather_something(run);
		assert_true(fail_each(run, &step) >= 1);
		finish(run);
		assert_status(do_unmap(run, some_va(f, 0), large, KELP_ALLOW_BREAK), KELP_OK);
		assert_status(do_release(run, some_va(f, 0), large), KELP_OK);
		do_commit(run);
	}
}

static void populate(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	struct step step = {.kind = STEP_POPULATE, .va = some_va(f, 1) - page, .size = 2 * page,
			    .leaf_shift = f->page_shift};

	gather_something(run);
	assert_true(fail_each(run, &step) >= 1);
	finish(run);
}

/* Only very many tables at once take a page for records. */
static void coalesce(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned shift = f->shift[large_level(f)], count = KELP_FLUSH_INTACT + 3;
	uint64_t size = (uint64_t)count << shift;
	struct step step = {.kind = STEP_COALESCE, .va = some_va(f, 0), .size = size,
			    .leaf_shift = shift, .flags = KELP_ALLOW_BREAK};

	assert_status(do_map(run, some_va(f, 0), some_pa(f, 0), size, data_of(f),
			     KELP_LEAF_SHIFT(shift)), KELP_OK);
	assert_status(do_split(run, some_va(f, 0), size, f->page_shift, KELP_ALLOW_BREAK), KELP_OK);
	do_commit(run);
	model_blur(&run->model, some_va(f, 0), size);
	assert_int_equal(fail_each(run, &step), 1);
	assert_int_equal(shift_at(run, some_va(f, 0)), shift);
	do_commit(run);
}

/* Tables that large leaves take the place of need records too. */
static void replace_many_tables(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned shift = f->shift[large_level(f)], count = KELP_FLUSH_INTACT + 3;
	uint64_t size = (uint64_t)count << shift;
	struct step step = {.kind = STEP_MAP, .va = some_va(f, 0), .pa = some_pa(f, 0),
			    .size = size, .set = data_of(f),
			    .flags = KELP_REPLACE | KELP_ALLOW_BREAK | KELP_LEAF_SHIFT(shift)};

	for (unsigned i = 0; i < count; i++)
		assert_status(do_map(run, some_va(f, 0) + ((uint64_t)i << shift), some_pa(f, 1),
				     page_of(f), text_of(f), 0), KELP_OK);
	do_commit(run);
	assert_int_equal(fail_each(run, &step), 1);
	assert_int_equal(shift_at(run, some_va(f, 0)), shift);
	do_commit(run);
}

static void init_and_adopt(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_space space;
	struct kelp_flush flush = {0};
	kelp_paddr_t root;

	for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
		test_port_fail(bare->port, 1, for_ever);
		assert_status(kelp_space_init(&space, f, &bare->port->hooks, 0),
			      KELP_ERR_NO_MEMORY);
		assert_int_equal(bare->port->live, 0);
	}
	/* Adopting takes nothing, so nothing can fail; the first edit does. */
	root = test_port_foreign(bare->port, f->root_limit);
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root, 1, 0), KELP_OK);
	kelp_flush_begin(&flush, &space);
	assert_status(kelp_space_map(&flush, some_va(f, 0), some_pa(f, 0), page_of(f), data_of(f),
				     0), KELP_ERR_NO_MEMORY);
	test_port_fail(bare->port, 0, false);
	assert_status(kelp_space_map(&flush, some_va(f, 0), some_pa(f, 0), page_of(f), data_of(f),
				     0), KELP_OK);
	kelp_flush_commit(&flush);
	kelp_space_destroy(&space);
	assert_int_equal(bare->port->live, 0);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"map into nothing", map_into_nothing, 0, NULL},
		{"edits of large leaves", edits_of_large_leaves, 0, has_large},
		{"populate", populate, 0, NULL},
		{"coalesce", coalesce, 0, has_large},
		{"replace many tables", replace_many_tables, 0, has_large},
	};
	static const struct bare_case bare[] = {
		{"init and adopt", init_and_adopt, NULL},
	};
	int failed = cases_run("fault: the Nth take fails", cases, COUNT_OF(cases));

	return bare_cases_run("fault: init and adopt", bare, COUNT_OF(bare)) || failed;
}
