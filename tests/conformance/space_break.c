/* SPDX-License-Identifier: MIT */
/*
 * Conformance: break-before-make (INV-1.2). Where the architecture demands a break, an edit says
 * so with KELP_ERR_BBM and changes nothing; with ALLOW_BREAK it breaks, flushes at once, and
 * makes. Where it demands none, none is made. What is demanded is asked of can_replace().
 */
#include "cases.h"

static uint64_t leaf_entry(const struct kelp_format *f, unsigned level, kelp_paddr_t pa,
			   kelp_attr_t attributes)
{
	uint64_t entry = 0;

	assert_status(f->ops->leaf(f, level, pa, attributes, false, &entry), KELP_OK);
	return entry;
}

/* An edit that turns entry `old` into `new` at `level`: the exact status, with no flush within;
 * then with ALLOW_BREAK: a flush within exactly if a break was demanded. */
static void assert_break(struct run *run, struct step step, bool demanded)
{
	unsigned requests;

	do_commit(run);
	requests = run->judge.requests;
	if (demanded) {
		run_step(run, &step);
		assert_no_failure();
		assert_status(run->last_status, KELP_ERR_BBM);
		assert_int_equal(run->judge.requests, requests);
		step.flags |= KELP_ALLOW_BREAK;
	}
	run_step(run, &step);
	assert_no_failure();
	assert_status(run->last_status, KELP_OK);
	if (demanded)
		assert_true(run->judge.requests > requests);
	else
		assert_int_equal(run->judge.requests, requests);
	do_commit(run);
}

static void another_frame(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = kelp_format_closest(f, data_of(f) | KELP_ATTR_ACCESSED |
						  KELP_ATTR_DIRTY);
	bool demanded = !f->ops->can_replace(f, 0, leaf_entry(f, 0, some_pa(f, 0), attr),
					     leaf_entry(f, 0, some_pa(f, 1), attr));

	assert_status(do_map(run, va, some_pa(f, 0), page, attr, 0), KELP_OK);
	assert_break(run, (struct step){.kind = STEP_MAP, .va = va, .pa = some_pa(f, 1),
					.size = page, .set = attr, .flags = KELP_REPLACE},
		     demanded);
}

/* Nothing is demanded and ALLOW_BREAK is given: it must not break in vain. */
static void the_same_again(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
	assert_break(run, (struct step){.kind = STEP_MAP, .va = va, .pa = some_pa(f, 0),
					.size = page, .set = data_of(f),
					.flags = KELP_REPLACE | KELP_ALLOW_BREAK}, false);
}

/* Rights, one by one, and memory types: exactly where can_replace() says. */
static void other_attributes(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f), entry, next;
	kelp_vaddr_t va = some_va(f, 0);
	unsigned demanded = 0, free_of_it = 0;

	for (unsigned i = 0; i < 16 + KELP_MEMORY_TYPES; i++) {
		kelp_attr_t from = data_of(f), to;
		kelp_attr_t set = i < 16 ? UINT32_C(1) << i : KELP_ATTR_TYPE(i - 16);
		kelp_attr_t clear = i < 16 ? 0 : KELP_ATTR_TYPE_MASK;
		bool must;

		if (i < 16 && (from & set)) {
			clear = set;
			set = 0;
		}
		to = (from & ~clear) | set;
		if ((set & ~KELP_ATTR_ALL) || to == from || (to & KELP_ATTR_INVALID) ||
		    f->ops->leaf(f, 0, some_pa(f, 0), to, false, &next) != KELP_OK)
			continue;
		entry = leaf_entry(f, 0, some_pa(f, 0), from);
		must = !f->ops->can_replace(f, 0, entry, next);
		demanded += must;
		free_of_it += !must;
		assert_status(do_map(run, va, some_pa(f, 0), page, from,
				     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
		assert_break(run, (struct step){.kind = STEP_PROTECT, .va = va, .size = page,
						.set = set, .clear = clear}, must);
	}
	assert_true(demanded + free_of_it > 0);
}

/* A leaf becomes a table. */
static void a_split(struct run *run)
{
	const struct kelp_format *f = run->format;

	for (unsigned level = 1; level < f->levels; level++) {
		uint64_t large = UINT64_C(1) << f->shift[level];
		kelp_vaddr_t va = some_va(f, 0);
		bool demanded;

		if (!leaf_at(f, level))
			continue;
		demanded = !f->ops->can_replace(f, level,
						leaf_entry(f, level, some_pa(f, 0), data_of(f)),
						f->ops->table(f, level, 0, true));
		assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
				     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
		assert_break(run, (struct step){.kind = STEP_SPLIT, .va = va + large / 2,
						.size = page_of(f),
						.leaf_shift = leaf_at(f, level - 1u)
								      ? f->shift[level - 1u]
								      : f->page_shift},
			     demanded);
		assert_status(do_unmap(run, va, large, KELP_ALLOW_BREAK), KELP_OK);
		/* The edits that imply a split. */
		for (unsigned kind = 0; kind < 2; kind++) {
			struct step step = {.kind = kind ? STEP_PROTECT : STEP_UNMAP,
					    .va = va + page_of(f), .size = page_of(f)};

			step.clear = kind ? KELP_ATTR_WRITE | KELP_ATTR_DIRTY : 0;
			assert_status(do_release(run, va, large), KELP_OK);
			do_commit(run);
			assert_status(do_map(run, va, some_pa(f, 0), large, data_of(f),
					     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
			assert_break(run, step, demanded);
			assert_status(do_unmap(run, va, large, KELP_ALLOW_BREAK), KELP_OK);
		}
		assert_status(do_release(run, va, large), KELP_OK);
		do_commit(run);
	}
}

/* A table becomes a leaf: by coalescing, which says the same, and by a map, which may not. */
static void a_merge(struct run *run)
{
	const struct kelp_format *f = run->format;
	unsigned level = large_level(f);
	uint64_t large = UINT64_C(1) << f->shift[level];
	kelp_vaddr_t va = some_va(f, 0);
	kelp_attr_t attr = kelp_format_closest(f, data_of(f) | KELP_ATTR_ACCESSED |
						  KELP_ATTR_DIRTY);
	bool shape = !f->ops->can_replace(f, level, f->ops->table(f, level, 0, true),
					  leaf_entry(f, level, some_pa(f, 0), attr));
	bool frame = !f->ops->can_replace(f, 0, leaf_entry(f, 0, some_pa(f, 0), attr),
					  leaf_entry(f, 0, some_pa(f, 1), attr));
	uint32_t small = KELP_LEAF_SHIFT(f->page_shift);

	assert_status(do_map(run, va, some_pa(f, 0), large, attr, small), KELP_OK);
	assert_break(run, (struct step){.kind = STEP_COALESCE, .va = va, .size = large,
					.leaf_shift = f->shift[level]}, shape);
	assert_int_equal(shift_at(run, va), f->shift[level]);
	assert_status(do_unmap(run, va, large, KELP_ALLOW_BREAK), KELP_OK);
	assert_status(do_release(run, va, large), KELP_OK);
	do_commit(run);
	/* Another frame behind it: even where sizes may change, frames may not. */
	assert_status(do_map(run, va, some_pa(f, 1), large, attr, small), KELP_OK);
	assert_break(run, (struct step){.kind = STEP_MAP, .va = va, .pa = some_pa(f, 0),
					.size = large, .set = attr,
					.flags = KELP_REPLACE |
						 KELP_LEAF_SHIFT(f->shift[level])}, frame);
	/* And the other way: a large leaf under small ones with other frames. */
	assert_status(do_unmap(run, va, large, KELP_ALLOW_BREAK), KELP_OK);
	assert_status(do_release(run, va, large), KELP_OK);
	assert_status(do_map(run, va, some_pa(f, 0), large, attr,
			     KELP_LEAF_SHIFT(f->shift[level])), KELP_OK);
	assert_break(run, (struct step){.kind = STEP_MAP, .va = va, .pa = some_pa(f, 1),
					.size = large, .set = attr, .flags = KELP_REPLACE | small},
		     frame || !f->ops->can_replace(f, level,
						   leaf_entry(f, level, some_pa(f, 0), attr),
						   f->ops->table(f, level, 0, true)));
}

/* Invalid leaves are nobody's translation: no change of them needs a break. */
static void invalid_leaves_never_break(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);

	assert_status(do_map(run, va, some_pa(f, 0), page, data_of(f) | KELP_ATTR_INVALID, 0),
		      KELP_OK);
	assert_break(run, (struct step){.kind = STEP_MAP, .va = va, .pa = some_pa(f, 1),
					.size = page, .set = text_of(f), .flags = KELP_REPLACE},
		     false);
	assert_break(run, (struct step){.kind = STEP_PROTECT, .va = va, .size = page,
					.set = KELP_ATTR_INVALID}, false);
	assert_break(run, (struct step){.kind = STEP_PROTECT, .va = va, .size = page,
					.clear = KELP_ATTR_INVALID}, false);
	assert_break(run, (struct step){.kind = STEP_UNMAP, .va = va, .size = page}, false);
}

static bool demands_breaks(const struct kelp_format *f)
{
	uint64_t a = 0, b = 0;

	return f->ops->leaf(f, 0, 0, data_of(f), false, &a) == KELP_OK &&
	       f->ops->leaf(f, 0, page_of(f), data_of(f), false, &b) == KELP_OK &&
	       !f->ops->can_replace(f, 0, a, b);
}

/* While it is broken nothing is there, and the flush comes between: seen from the shootdown. */
struct witness {
	struct run *run;
	kelp_vaddr_t va;
	void (*judge)(void *observer, const struct kelp_flush_request *request);
	unsigned seen;
	bool absent;
};

static struct witness witness;

static void look_during_shootdown(void *observer, const struct kelp_flush_request *request)
{
	kelp_paddr_t pa;
	kelp_attr_t attr;

	witness.seen++;
	if (!raw_translate(witness.run->format, witness.run->port, witness.run->space.root,
			   witness.va, &pa, &attr))
		witness.absent = true;
	witness.judge(observer, request);
}

static void the_flush_comes_between(struct run *run)
{
	const struct kelp_format *f = run->format;
	uint64_t page = page_of(f);

	witness = (struct witness){.run = run, .va = some_va(f, 0),
				   .judge = run->port->on_shootdown};
	assert_status(do_map(run, witness.va, some_pa(f, 0), page, data_of(f), 0), KELP_OK);
	do_commit(run);
	run->port->on_shootdown = look_during_shootdown;
	assert_status(do_map(run, witness.va, some_pa(f, 1), page, data_of(f),
			     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
	assert_int_equal(witness.seen, 1);
	assert_true(witness.absent);
	assert_int_equal(leaf_of(run, witness.va)->target, some_pa(f, 1));
	run->port->on_shootdown = witness.judge;
}

int main(void)
{
	static const struct test_case cases[] = {
		{"another frame", another_frame, 0, NULL},
		{"the same again", the_same_again, 0, NULL},
		{"other attributes", other_attributes, 0, NULL},
		{"a split", a_split, 0, has_large},
		{"a merge", a_merge, 0, has_large},
		{"a merge, no groups", a_merge, KELP_SPACE_NO_GROUPS, has_large},
		{"invalid leaves never break", invalid_leaves_never_break, 0, NULL},
		{"the flush comes between", the_flush_comes_between, 0, demands_breaks},
	};

	return cases_run("conformance: break-before-make", cases, COUNT_OF(cases));
}
