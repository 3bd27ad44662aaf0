/* SPDX-License-Identifier: MIT */
/* Conformance: query, translate and walk say what the tables say, field by field. */
#include <string.h>

#include "cases.h"

#define VISITS_MAX 64

struct visits {
	struct kelp_mapping list[VISITS_MAX];
	unsigned count;
	unsigned stop_after;
};

static enum kelp_visit note(void *context, const struct kelp_mapping *mapping)
{
	struct visits *visits = context;

	if (visits->count < VISITS_MAX)
		visits->list[visits->count] = *mapping;
	visits->count++;
	return visits->stop_after && visits->count == visits->stop_after ? KELP_VISIT_STOP
									 : KELP_VISIT_CONTINUE;
}

static void walk(struct run *run, kelp_vaddr_t va, uint64_t size, uint32_t flags,
		 struct visits *visits)
{
	memset(visits, 0, sizeof(*visits));
	assert_status(kelp_space_walk(&run->space, va, size, flags, note, visits), KELP_OK);
	assert_true(visits->count <= VISITS_MAX);
}

static void assert_mapping(const struct kelp_mapping *mapping, enum kelp_entry_kind kind,
			   kelp_vaddr_t va, uint64_t size, kelp_paddr_t pa, kelp_attr_t attributes)
{
	assert_int_equal(mapping->kind, kind);
	assert_int_equal(mapping->va, va);
	assert_int_equal(mapping->size, size);
	assert_int_equal(mapping->pa, pa);
	assert_int_equal(mapping->attributes, attributes);
	assert_int_equal(mapping->reserved, 0);
}

/* A hole tells how far it reaches, within one table. */
static void query_of_holes(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned top = f->levels - 1u;
	uint64_t span = UINT64_C(1) << f->shift[top], page = page_of(f);
	kelp_vaddr_t va = f->va_first[0];
	struct kelp_mapping mapping;

	assert_status(kelp_space_query(&run->space, va + 3 * page + 1, &mapping), KELP_OK);
	assert_mapping(&mapping, KELP_ENTRY_NONE, va, span, 0, 0);
	assert_int_equal(mapping.level, top);
	assert_int_equal(mapping.shift, f->shift[top]);
	assert_int_equal(mapping.entry, 0);
	assert_status(do_map(run, va, 0, page, data_of(f), 0), KELP_OK);
	assert_status(kelp_space_query(&run->space, va + 3 * page + 1, &mapping), KELP_OK);
	assert_mapping(&mapping, KELP_ENTRY_NONE, va + 3 * page, page, 0, 0);
	assert_int_equal(mapping.level, 0);
	/* The last hole of the address space, whose end is the end. */
	assert_status(kelp_space_query(&run->space, f->va_last[f->va_ranges - 1], &mapping),
		      KELP_OK);
	assert_int_equal(mapping.va + (mapping.size - 1u), f->va_last[f->va_ranges - 1]);
}

static void query_of_a_large_leaf(struct run *run)
{
	const struct kelp_format *f = run->format;

	for (unsigned level = 1; level < f->levels; level++) {
		uint64_t large = UINT64_C(1) << f->shift[level];
		kelp_vaddr_t va = some_va(f, 0);
		struct kelp_mapping mapping;
		kelp_paddr_t pa;

		if (!leaf_at(f, level))
			continue;
		assert_status(do_map(run, va, some_pa(f, 0), large, text_of(f),
				     KELP_LEAF_SHIFT(f->shift[level]) | KELP_REPLACE |
					     KELP_ALLOW_BREAK), KELP_OK);
		assert_status(kelp_space_query(&run->space, va + large - 1u, &mapping), KELP_OK);
		assert_mapping(&mapping, KELP_ENTRY_LEAF, va, large, some_pa(f, 0), text_of(f));
		assert_int_equal(mapping.level, level);
		assert_int_equal(mapping.shift, f->shift[level]);
		assert_int_equal(mapping.entry, leaf_of(run, va)->entry);
		assert_status(kelp_space_translate(&run->space, va + large - 7u, &pa), KELP_OK);
		assert_int_equal(pa, some_pa(f, 0) + large - 7u);
	}
}

static void query_of_a_group(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), group = page << f->group_order[0];
	kelp_vaddr_t va = some_va(f, 0);
	struct kelp_mapping mapping;
	struct visits visits;

	assert_status(do_map(run, va, some_pa(f, 0), group, data_of(f), 0), KELP_OK);
	assert_status(kelp_space_query(&run->space, va + 3 * page + 2, &mapping), KELP_OK);
	assert_mapping(&mapping, KELP_ENTRY_LEAF, va, group, some_pa(f, 0), data_of(f));
	assert_int_equal(mapping.level, 0);
	assert_int_equal(mapping.shift, f->page_shift + f->group_order[0]);
	/* One visit for the group, also when the walk begins inside it. */
	walk(run, va + page, page, 0, &visits);
	assert_int_equal(visits.count, 1);
	assert_int_equal(visits.list[0].va, va);
	walk(run, va, group, 0, &visits);
	assert_int_equal(visits.count, 1);
	/* What hardware notes in any entry of it counts for all of it. */
	if (!f->hardware_accessed)
		return;
	do_touch(run, va + 2 * page, true);
	assert_status(kelp_space_query(&run->space, va, &mapping), KELP_OK);
	assert_int_equal(mapping.attributes & KELP_ATTR_ACCESSED, KELP_ATTR_ACCESSED);
	if (f->hardware_dirty)
		assert_int_equal(mapping.attributes & KELP_ATTR_DIRTY, KELP_ATTR_DIRTY);
}

static void walk_of_leaves(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	uint32_t small = KELP_LEAF_SHIFT(f->page_shift);
	struct visits visits;

	/* Three in a row, a hole, one with other rights, one with another frame, one invalid. */
	assert_status(do_map(run, va, some_pa(f, 0), 3 * page, data_of(f), small), KELP_OK);
	assert_status(do_map(run, va + 4 * page, some_pa(f, 0) + 4 * page, page, text_of(f), small),
		      KELP_OK);
	assert_status(do_map(run, va + 5 * page, some_pa(f, 1), page, text_of(f), small), KELP_OK);
	assert_status(do_map(run, va + 6 * page, some_pa(f, 1) + page, page,
			     text_of(f) | KELP_ATTR_INVALID, small), KELP_OK);

	walk(run, va, 8 * page, 0, &visits);
	assert_int_equal(visits.count, 6);
	for (unsigned i = 0; i < 3; i++) {
		assert_mapping(&visits.list[i], KELP_ENTRY_LEAF, va + i * page, page,
			       some_pa(f, 0) + i * page, data_of(f));
		assert_int_equal(visits.list[i].shift, f->page_shift);
		assert_int_equal(visits.list[i].entry, leaf_of(run, va + i * page)->entry);
	}
	assert_mapping(&visits.list[5], KELP_ENTRY_INVALID, va + 6 * page, page,
		       some_pa(f, 1) + page, text_of(f) | KELP_ATTR_INVALID);

	walk(run, va, 8 * page, KELP_WALK_RUNS, &visits);
	assert_int_equal(visits.count, 4);
	assert_mapping(&visits.list[0], KELP_ENTRY_LEAF, va, 3 * page, some_pa(f, 0), data_of(f));
	assert_int_equal(visits.list[0].shift, f->page_shift);
	assert_int_equal(visits.list[0].entry, leaf_of(run, va)->entry);
	assert_mapping(&visits.list[1], KELP_ENTRY_LEAF, va + 4 * page, page,
		       some_pa(f, 0) + 4 * page, text_of(f));
	assert_mapping(&visits.list[2], KELP_ENTRY_LEAF, va + 5 * page, page, some_pa(f, 1),
		       text_of(f));

	walk(run, va, 8 * page, KELP_WALK_RUNS | KELP_WALK_HOLES, &visits);
	assert_int_equal(visits.count, 6);
	assert_mapping(&visits.list[1], KELP_ENTRY_NONE, va + 3 * page, page, 0, 0);
	assert_int_equal(visits.list[1].entry, 0);
	assert_int_equal(visits.list[5].kind, KELP_ENTRY_NONE);
	assert_int_equal(visits.list[5].va, va + 7 * page);

	/* Part of a run. */
	walk(run, va + page, page, KELP_WALK_RUNS, &visits);
	assert_int_equal(visits.count, 1);
	assert_mapping(&visits.list[0], KELP_ENTRY_LEAF, va + page, page, some_pa(f, 0) + page,
		       data_of(f));

	/* Nothing there: nothing to visit. */
	walk(run, va + 3 * page, page, 0, &visits);
	assert_int_equal(visits.count, 0);
}

static void walk_of_tables(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct visits visits;

	assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
	walk(run, va, page, KELP_WALK_TABLES, &visits);
	assert_int_equal(visits.count, f->levels);
	for (unsigned i = 0; i + 1 < f->levels; i++) {
		unsigned level = f->levels - 1u - i;
		uint64_t span = UINT64_C(1) << f->shift[level];

		assert_int_equal(visits.list[i].kind, KELP_ENTRY_TABLE);
		assert_int_equal(visits.list[i].level, level);
		assert_int_equal(visits.list[i].va, va & ~(span - 1u));
		assert_int_equal(visits.list[i].size, span);
		assert_int_equal(visits.list[i].shift, f->shift[level]);
		assert_int_equal(test_port_state(run->port, visits.list[i].pa), TEST_PAGE_TAKEN);
		assert_int_equal(f->ops->address(f, level, visits.list[i].entry),
				 visits.list[i].pa);
	}
	assert_mapping(&visits.list[f->levels - 1u], KELP_ENTRY_LEAF, va, page, some_pa(f, 0),
		       data_of(f));
}

static void walk_stops(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), 5 * page, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	for (uint32_t flags = 0; flags < 8; flags++) {
		struct visits visits = {.stop_after = 1};

		assert_status(kelp_space_walk(&run->space, va, 5 * page, flags, note, &visits),
			      KELP_OK);
		assert_int_equal(visits.count, 1);
	}
}

/* The first and the last leaf may reach beyond the range. */
static void walk_shows_whole_leaves(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level], page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct visits visits;

	assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	walk(run, va + page, page, 0, &visits);
	assert_int_equal(visits.count, 1);
	assert_mapping(&visits.list[0], KELP_ENTRY_LEAF, va, large, some_pa(f, 0), data_of(f));
}

static void bad_arguments_of_looking(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct visits visits = {0};

	assert_status(kelp_space_walk(&run->space, va, 0, 0, note, &visits), KELP_ERR_ARGUMENT);
	assert_status(kelp_space_walk(&run->space, va, page, 8, note, &visits),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_space_walk(&run->space, va + 1, page, 0, note, &visits),
		      KELP_ERR_ALIGNMENT);
	assert_status(kelp_space_walk(&run->space, va, page + 1, 0, note, &visits),
		      KELP_ERR_ALIGNMENT);
	assert_status(kelp_space_walk(&run->space, f->va_last[0] + 1u - page, 2 * page, 0, note,
				      &visits), KELP_ERR_ADDRESS);
	assert_int_equal(visits.count, 0);
}

struct editing {
	struct run *run;
	unsigned visits;
};

/* A visitor that edits, behind the walk. */
static enum kelp_visit take_away(void *context, const struct kelp_mapping *mapping)
{
	struct editing *editing = context;
	kelp_vaddr_t va = mapping->va;

	if (mapping->kind == KELP_ENTRY_LEAF && editing->visits++ > 0) {
		va -= mapping->size;
		assert_status(kelp_space_unmap(&editing->run->flush, va, mapping->size,
					       KELP_STRICT), KELP_OK);
		model_unmap(&editing->run->model, va, mapping->size);
	}
	return KELP_VISIT_CONTINUE;
}

static void a_visitor_may_edit(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct editing editing = {.run = run};

	assert_status(do_map(run, va, some_pa(f, 0), 8 * page, data_of(f),
			     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	assert_status(kelp_space_walk(&run->space, va, 8 * page, 0, take_away, &editing), KELP_OK);
	assert_int_equal(editing.visits, 8);
	judge_observe(&run->judge);
	assert_null(leaf_of(run, va + 6 * page));
	assert_non_null(leaf_of(run, va + 7 * page));
	do_commit(run);
}

int main(void)
{
	static const struct test_case cases[] = {
		{"query of holes", query_of_holes, 0, NULL},
		{"query of a large leaf", query_of_a_large_leaf, 0, has_large},
		{"query of a group", query_of_a_group, 0, has_groups},
		{"walk of leaves, runs and holes", walk_of_leaves, 0, NULL},
		{"walk of tables", walk_of_tables, 0, NULL},
		{"walk stops", walk_stops, 0, NULL},
		{"walk shows whole leaves", walk_shows_whole_leaves, 0, has_large},
		{"bad arguments of query and walk", bad_arguments_of_looking, 0, NULL},
		{"a visitor may edit", a_visitor_may_edit, 0, NULL},
	};

	return cases_run("conformance: query, translate, walk", cases, COUNT_OF(cases));
}
