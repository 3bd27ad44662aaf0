/* SPDX-License-Identifier: MIT */
/*
 * mini: tiny programs as data, run by the explorer, and the set of outcomes they have.
 * An outcome is every register and the final value of every location, four bits each.
 */
#ifndef TESTS_EXPLORE_MINI_H
#define TESTS_EXPLORE_MINI_H

#include "sim/explore.h"

#include <stdlib.h>
#include <string.h>

#define MINI_THREADS 4
#define MINI_OPS 8
#define MINI_LOCATIONS 4
#define MINI_REGISTERS 11

enum mini_kind {
	MINI_END = 0,
	MINI_LOAD,  /* reg = loc */
	MINI_STORE, /* loc = value */
	MINI_SWAP,  /* reg = loc; if it is `expected`, loc = value */
	MINI_ADD,   /* reg = loc; loc = (loc + value) */
	MINI_FENCE,
	MINI_AWAIT, /* waits until loc is `expected`; reg = it */
	MINI_LOCK,  /* waits until loc is `expected`, swaps it for value */
	MINI_COUNT,      /* adds value to the counter, which is location 3 */
	MINI_COUNT_READ, /* reg = the counter */
	MINI_SEND,       /* interrupts thread `value`: it reads location 0 and adds to location 1 */
	MINI_OFF,        /* interrupts off, and on */
	MINI_ON,
	MINI_CHOOSE, /* reg = 0 or 1 */
};

struct mini_op {
	enum mini_kind kind;
	enum explore_order order;
	unsigned location, value, expected, reg;
};

struct mini {
	const char *name;
	struct mini_op op[MINI_THREADS][MINI_OPS];
};

struct outcomes {
	uint64_t *value;
	size_t count, room;
	uint64_t completed; /* schedules */
};

struct mini_run {
	const struct mini *mini;
	struct {
		uint32_t location[MINI_LOCATIONS];
	} state;
	unsigned reg[MINI_REGISTERS];
	struct outcomes *outcomes;
};

#define LD(r, loc, ord)     {MINI_LOAD, EXPLORE_##ord, loc, 0, 0, r}
#define ST(loc, val, ord)   {MINI_STORE, EXPLORE_##ord, loc, val, 0, 0}
#define CAS(r, loc, exp, val, ord) {MINI_SWAP, EXPLORE_##ord, loc, val, exp, r}
#define ADD(r, loc, val, ord) {MINI_ADD, EXPLORE_##ord, loc, val, 0, r}
#define FENCE(ord)          {MINI_FENCE, EXPLORE_##ord, 0, 0, 0, 0}
#define AWAIT(r, loc, exp, ord) {MINI_AWAIT, EXPLORE_##ord, loc, 0, exp, r}
#define LOCK(loc, exp, val, ord) {MINI_LOCK, EXPLORE_##ord, loc, val, exp, 0}

enum { X, Y, Z, W };

static inline int compare_values(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The set stays sorted: it is small. */
static inline bool outcomes_contain(const struct outcomes *set, uint64_t value)
{
	return set->count && bsearch(&value, set->value, set->count, sizeof(value), compare_values);
}

static inline void outcomes_add(struct outcomes *set, uint64_t value)
{
	size_t at = 0;

	if (outcomes_contain(set, value))
		return;
	if (set->count == set->room) {
		set->room = set->room ? 2 * set->room : 16;
		set->value = realloc(set->value, set->room * sizeof(value));
		if (!set->value)
			abort();
	}
	while (at < set->count && set->value[at] < value)
		at++;
	memmove(set->value + at + 1, set->value + at, (set->count - at) * sizeof(value));
	set->value[at] = value;
	set->count++;
}

static inline bool outcomes_equal(const struct outcomes *a, const struct outcomes *b)
{
	return a->count == b->count &&
	       (!a->count || !memcmp(a->value, b->value, a->count * sizeof(*a->value)));
}

static inline bool outcomes_within(const struct outcomes *a, const struct outcomes *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (!outcomes_contain(b, a->value[i]))
			return false;
	return true;
}

static inline void outcomes_free(struct outcomes *set)
{
	free(set->value);
	memset(set, 0, sizeof(*set));
}

/* Location i of an outcome, register i of an outcome. */
static inline unsigned outcome_location(uint64_t outcome, unsigned i)
{
	return (unsigned)(outcome >> (4 * i)) & 15u;
}

static inline unsigned outcome_register(uint64_t outcome, unsigned i)
{
	return (unsigned)(outcome >> (4 * (MINI_LOCATIONS + i))) & 15u;
}

static inline uint64_t outcome_pack(const unsigned *reg, const uint32_t *location)
{
	uint64_t outcome = 0;

	for (unsigned i = 0; i < MINI_LOCATIONS; i++)
		outcome |= (uint64_t)(location[i] & 15u) << (4 * i);
	for (unsigned i = 0; i < MINI_REGISTERS; i++)
		outcome |= (uint64_t)(reg[i] & 15u) << (4 * (MINI_LOCATIONS + i));
	return outcome;
}

static inline enum explore_order mini_failure_order(enum explore_order order)
{
	return order == EXPLORE_ACQ_REL || order == EXPLORE_ACQUIRE ? EXPLORE_ACQUIRE
	     : order == EXPLORE_SEQ_CST				    ? EXPLORE_SEQ_CST
								    : EXPLORE_RELAXED;
}

static inline void mini_thread(struct mini_run *run, unsigned t)
{
	for (const struct mini_op *op = run->mini->op[t]; op < run->mini->op[t] + MINI_OPS; op++) {
		uint32_t *p = &run->state.location[op->location];
		uint64_t value;

		switch (op->kind) {
		case MINI_END: return;
		case MINI_LOAD: run->reg[op->reg] = (unsigned)explore_load(p, 4, op->order); break;
		case MINI_STORE: explore_store(p, 4, op->value, op->order); break;
		case MINI_SWAP:
			value = op->expected;
			explore_swap(p, 4, &value, op->value, op->order,
				     mini_failure_order(op->order));
			run->reg[op->reg] = (unsigned)value;
			break;
		case MINI_ADD:
			run->reg[op->reg] = (unsigned)explore_add(p, 4, op->value, op->order);
			break;
		case MINI_FENCE: explore_fence(op->order); break;
		case MINI_AWAIT:
			run->reg[op->reg] = (unsigned)explore_await(p, 4, UINT64_MAX, op->expected,
								    op->order);
			break;
		case MINI_LOCK:
			explore_await_swap(p, 4, op->expected, op->value, op->order);
			break;
		case MINI_COUNT: explore_count_add(&run->state.location[W], 4, op->value); break;
		case MINI_COUNT_READ:
			run->reg[op->reg] = (unsigned)explore_count_read(&run->state.location[W], 4);
			break;
		case MINI_SEND: explore_interrupt_send(op->value); break;
		case MINI_OFF: explore_interrupts_off(); break;
		case MINI_ON: explore_interrupts_on(); break;
		case MINI_CHOOSE: run->reg[op->reg] = explore_choose(2, "a bit"); break;
		}
	}
}

static inline void mini_thread0(void *context) { mini_thread(context, 0); }
static inline void mini_thread1(void *context) { mini_thread(context, 1); }
static inline void mini_thread2(void *context) { mini_thread(context, 2); }
static inline void mini_thread3(void *context) { mini_thread(context, 3); }

/* Its register is 8 + the thread: what it read, and how often it ran. */
static inline void mini_interrupt(void *context, uint32_t t)
{
	struct mini_run *run = context;
	unsigned *reg = &run->reg[8 + t % 3];

	*reg = (*reg & 12u) + 4u;
	*reg |= (unsigned)explore_load(&run->state.location[X], 4, EXPLORE_ACQUIRE) & 3u;
	explore_add(&run->state.location[Y], 4, 1, EXPLORE_RELAXED);
}

static inline void mini_setup(void *context)
{
	struct mini_run *run = context;

	static const char *const name[MINI_LOCATIONS] = {"x", "y", "z", "w"};

	memset(&run->state, 0, sizeof(run->state));
	memset(run->reg, 0, sizeof(run->reg));
	for (unsigned i = 0; i < MINI_LOCATIONS; i++)
		explore_region(&run->state.location[i], 4, 4, name[i]);
}

static inline void mini_finish(void *context)
{
	struct mini_run *run = context;

	run->outcomes->completed++;
	outcomes_add(run->outcomes, outcome_pack(run->reg, run->state.location));
}

/* Explores; the outcomes are added to the set. A deadlock is a failure. */
static inline enum explore_verdict mini_explore(const struct mini *mini,
						const struct explore_options *options,
						struct outcomes *outcomes,
						struct explore_result *result)
{
	struct mini_run run = {.mini = mini, .outcomes = outcomes};
	struct explore_program program = {
		.name = mini->name,
		.context = &run,
		.thread = {mini_thread0, mini_thread1, mini_thread2, mini_thread3},
		.setup = mini_setup,
		.finish = mini_finish,
	};

	for (unsigned t = 0; t < MINI_THREADS; t++)
		for (const struct mini_op *op = mini->op[t]; op->kind != MINI_END; op++)
			if (op->kind == MINI_SEND)
				program.interrupt = mini_interrupt;
	while (program.threads < MINI_THREADS && mini->op[program.threads][0].kind != MINI_END)
		program.threads++;
	return explore_run(options, &program, result);
}

#endif
