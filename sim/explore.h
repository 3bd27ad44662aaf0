/* SPDX-License-Identifier: MIT */
/*
 * explore: runs a small concurrent program under every schedule that can matter, or under many
 * sampled ones, with sequentially consistent, total-store-order or release/acquire memory.
 *
 * The program is 1 to EXPLORE_THREADS_MAX functions which share memory through the operations
 * below and nothing else. Each operation is a scheduling point; what lies between two of them
 * runs at once and must touch only what is private to the thread. The program runs again from
 * its setup for every schedule, so it must be deterministic: no time, no random numbers, no
 * addresses that differ from run to run.
 *
 * Outside a run (setup, finish, invariant) the operations act on memory at once.
 * One exploration at a time per host thread. docs/EXPLORER.md has the theory and the limits.
 */
#ifndef SIM_EXPLORE_H
#define SIM_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPLORE_THREADS_MAX 8
#define EXPLORE_ID_MAX 4096
#define EXPLORE_MESSAGE_MAX 256

enum explore_model {
	/* Every operation acts on memory at once. */
	EXPLORE_SC,
	/* x86: a store waits in its CPU's buffer and drains, in order, at any later time. */
	EXPLORE_TSO,
	/*
	 * C11 atomics by views (RC11): a load may read any store its thread has not been told is
	 * overwritten. Load buffering does not happen; see docs/EXPLORER.md.
	 */
	EXPLORE_RA,
};

enum explore_order {
	EXPLORE_RELAXED,
	EXPLORE_ACQUIRE,
	EXPLORE_RELEASE,
	EXPLORE_ACQ_REL,
	EXPLORE_SEQ_CST,
};

enum explore_search {
	EXPLORE_ALL,    /* every schedule, less those the reduction proves equal to another */
	EXPLORE_RANDOM, /* `schedules_max` schedules: every step picks evenly among what can run */
};

enum explore_reduction {
	/* Source-set partial-order reduction with sleep sets: all final states, all failures. */
	EXPLORE_DPOR,
	/* Sleep sets alone: also every global state in between. Used when there is an invariant. */
	EXPLORE_SLEEP,
	/* None. Always used when preemptions are limited: the reductions do not respect a limit. */
	EXPLORE_PLAIN,
};

/* All zero is a good start: SC, every schedule, reduced, default bounds, silent. */
struct explore_options {
	enum explore_model model;
	enum explore_search search;
	enum explore_reduction reduction;
	/* Schedules (run to their end or not) after which to give up; 0 = 10 million. */
	uint64_t schedules_max;
	/* Steps after which a schedule is cut; 0 = 2000. */
	uint32_t steps_max;
	/* Only schedules with at most preemptions_max switches away from a thread that can run on. */
	bool limit_preemptions;
	uint32_t preemptions_max;
	uint64_t seed;
	/* The id of one schedule: run that one and no other. */
	const char *replay;
	/* Where a failing schedule is printed; NULL: nowhere. */
	FILE *output;
	/* Print every schedule, not only the failing one. */
	bool trace_all;
	/* Do not look for a failing schedule with fewer preemptions than the one found. */
	bool keep_first_failure;
	/* Count failing schedules and go on; the first is the one reported. */
	bool count_failures;
};

struct explore_program {
	const char *name;
	void *context;
	uint32_t threads;
	void (*thread[EXPLORE_THREADS_MAX])(void *context);
	const char *thread_name[EXPLORE_THREADS_MAX]; /* NULL: "T0", ... */
	/* Makes the initial state. Runs before every schedule, or once if `state` is given. */
	void (*setup)(void *context);
	/*
	 * Memory that setup fills and the threads change: copied after the one setup, put back
	 * before every schedule. For programs whose setup is slow.
	 */
	void *state;
	size_t state_size;
	/* Called when all threads have ended and all stores are in memory. */
	void (*finish)(void *context);
	/* Called after every step. Looks at memory as it stands; only explore_check() allowed. */
	void (*invariant)(void *context);
	/* The handler of explore_interrupt_send(); runs on the stack of the thread interrupted. */
	void (*interrupt)(void *context, uint32_t thread);
};

enum explore_verdict {
	EXPLORE_PASSED,  /* no failure in any schedule that was run */
	EXPLORE_FAILED,
	EXPLORE_MISUSED, /* the program or the options cannot be explored: see message */
};

struct explore_result {
	enum explore_verdict verdict;
	/* Nothing was left out: no bound was met and the reduction lost nothing. */
	bool exhaustive;
	enum explore_reduction reduction; /* the one that was used */
	uint64_t schedules; /* run to their end, or to a failure */
	uint64_t failures;  /* of them; more than one only with count_failures */
	uint64_t pruned;    /* begun and given up: equal to one that was run */
	uint64_t cut;       /* met steps_max */
	uint64_t steps;     /* all of the search, repeated prefixes included */
	uint32_t longest;   /* steps of the longest schedule */
	double seconds;
	/* FAILED: what was wrong and which schedule shows it; replays with options.replay. */
	char message[EXPLORE_MESSAGE_MAX];
	char id[EXPLORE_ID_MAX];
	uint32_t failing_steps;
	uint32_t failing_preemptions;
};

/* Explores. Returns result->verdict. */
enum explore_verdict explore_run(const struct explore_options *options,
				 const struct explore_program *program,
				 struct explore_result *result);

/* One line for people: verdict, counts, complete or bounded, speed. */
void explore_report(FILE *output, const struct explore_program *program,
		    const struct explore_options *options, const struct explore_result *result);

/* ---- shared memory ------------------------------------------------------------------------ */

/*
 * Atomic operations on 1, 2, 4 or 8 aligned bytes. One address is always accessed with one
 * size. The initial value is what memory holds when the address is first used in a run.
 * The swap is strong; on failure *expected is what is there and `failure` is the order.
 */
uint64_t explore_load(const void *address, unsigned size, enum explore_order order);
void explore_store(void *address, unsigned size, uint64_t value, enum explore_order order);
bool explore_swap(void *address, unsigned size, uint64_t *expected, uint64_t desired,
		  enum explore_order success, enum explore_order failure);
/* Return the value before. */
uint64_t explore_exchange(void *address, unsigned size, uint64_t value, enum explore_order order);
uint64_t explore_add(void *address, unsigned size, uint64_t n, enum explore_order order);
uint64_t explore_or(void *address, unsigned size, uint64_t bits, enum explore_order order);
uint64_t explore_and(void *address, unsigned size, uint64_t bits, enum explore_order order);
void explore_fence(enum explore_order order);

/*
 * A counter: adding tells nothing and orders nothing, so two additions commute, which spares
 * many schedules. Reading gives the newest value, in every model. Not for addresses that the
 * operations above are used on.
 */
void explore_count_add(void *address, unsigned size, uint64_t n);
uint64_t explore_count_read(const void *address, unsigned size);

/*
 * Loads until (value & mask) == (wanted & mask), as one step that waits: what a spinning loop
 * is to be written as. All threads waiting for ever is a failure (deadlock).
 */
uint64_t explore_await(const void *address, unsigned size, uint64_t mask, uint64_t wanted,
		       enum explore_order order);
/* The same until (value & mask) != (unwanted & mask). */
uint64_t explore_await_not(const void *address, unsigned size, uint64_t mask, uint64_t unwanted,
			   enum explore_order order);
/* Waits until the value is `wanted` and swaps it for `desired`, as one step: a lock. */
void explore_await_swap(void *address, unsigned size, uint64_t wanted, uint64_t desired,
			enum explore_order order);

/*
 * Non-atomic accesses of memory that other threads may know of. Not scheduling points: two of
 * them (or one and an atomic), one a write, that no synchronisation orders are a failure (data
 * race), whatever their order in this schedule.
 */
uint64_t explore_plain_load(const void *address, unsigned size);
void explore_plain_store(void *address, unsigned size, uint64_t value);
/* `count` elements value, value + step, ... inside one region; the same rule for all of it. */
void explore_plain_fill(void *address, unsigned size, unsigned count, uint64_t value,
			uint64_t step);

/* Declares memory that has a name, and optionally a life. Only in setup. `name` must stay. */
void explore_region(void *base, size_t size, unsigned element_size, const char *name);
/* The same, not to be touched until somebody claims it. */
void explore_region_free(void *base, size_t size, unsigned element_size, const char *name);
/*
 * The end and the beginning of a region's life: touching it in between is a failure, and so is
 * an access which no synchronisation orders before the one or after the other. Scheduling points.
 * The contents stay; filling is the claimer's business.
 */
void explore_retire(void *base);
void explore_claim(void *base);
/* Between them? For finish and invariant. */
bool explore_is_live(const void *base);

/* ---- everything else that threads share ----------------------------------------------------- */

/*
 * A step on something that is not memory (a TLB, an allocator, a device), named by any address.
 * The code that follows, up to the next operation, belongs to the step and may touch it.
 */
void explore_step(const void *object, bool changes, const char *what);

/* Any of 0 .. count-1: all are explored. */
uint32_t explore_choose(uint32_t count, const char *what);

/*
 * Interrupts. A sent interrupt is taken by the thread between any two of its later operations
 * while it has interrupts on (as at its start), while it waits, or after its end. Sent twice
 * before it is taken, it is taken once. Sending is no barrier; the handler sees what a release
 * fence (TSO: a full fence) before the sending published.
 */
void explore_interrupt_send(uint32_t thread);
bool explore_interrupts_off(void); /* returns whether they were on */
void explore_interrupts_on(void);

/* The number of the calling thread; UINT32_MAX outside of one. */
uint32_t explore_self(void);

/* A line in the printed schedule. */
void explore_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the schedule as failed. */
_Noreturn void explore_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define explore_check(condition, ...)                                                              \
	do {                                                                                       \
		if (!(condition))                                                                  \
			explore_fail(__VA_ARGS__);                                                 \
	} while (0)

#endif
