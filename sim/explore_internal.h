/* SPDX-License-Identifier: MIT */
/*
 * What the explorer's files share: explore.c (the search), explore_memory.c (what an operation
 * does under each model), explore_program.c (the operations as the program calls them),
 * explore_trace.c (ids and printed schedules).
 *
 * An ACTOR is something that can be scheduled: thread i (actor i), or under TSO the draining of
 * its store buffer (actor EXPLORE_THREADS_MAX + i).
 *
 * An OBJECT is what operations can conflict over: a location, a region, an interrupt line, the
 * order of SC fences, whatever explore_step() named. Two operations commute unless both name one
 * object and do not both read it, or both add to it. All of the reduction rests on this.
 */
#ifndef SIM_EXPLORE_INTERNAL_H
#define SIM_EXPLORE_INTERNAL_H

#include "explore.h"
#include "explore_fiber.h"

#include <setjmp.h>

#define THREADS EXPLORE_THREADS_MAX
#define ACTORS (2 * THREADS)
#define NO_ACTOR 0xffu

#define LOCATIONS_MAX 2048u
#define LOCATION_SLOTS 8192u /* hash slots, a power of two */
#define OBJECTS_MAX 4096u
#define REGIONS_MAX 256u
#define HISTORY_MAX 62u /* stores one location can remember in one schedule */
#define MESSAGES_MAX 65535u
#define VIEW_POOL (1u << 22)
#define BUFFER_MAX 64u
#define FOOTPRINT_MAX 5u
#define STEPS_LIMIT 20000u
#define NOTES_MAX 160u

#define NO_REGION 0xffffu
#define INITIAL 0u /* message 0 stands for the initial value of any location */

enum op_kind {
	OP_LOAD,
	OP_STORE,
	OP_SWAP,
	OP_EXCHANGE,
	OP_ADD,
	OP_OR,
	OP_AND,
	OP_FENCE,
	OP_COUNT_ADD,
	OP_COUNT_READ,
	OP_AWAIT,
	OP_AWAIT_SWAP,
	OP_RETIRE,
	OP_CLAIM,
	OP_STEP,
	OP_CHOOSE,
	OP_SEND,
	OP_END,
	/* Not issued by programs: what else an event can be. */
	OP_DRAIN,
	OP_INTERRUPT,
};

/* What an operation does to an object. Equal ones commute, except CHANGES. */
enum touch {
	TOUCH_READS,
	TOUCH_ADDS,
	TOUCH_CHANGES,
};
#define TOUCHES_THAT_COMMUTE 2

struct footprint {
	uint16_t object;
	uint8_t touch;
};

struct op {
	uint8_t kind;
	uint8_t size;
	uint8_t order;
	uint8_t failure_order;
	bool negated; /* OP_AWAIT: until it differs */
	uint8_t footprints;
	uint16_t location;
	uint16_t region;
	struct footprint footprint[FOOTPRINT_MAX];
	void *address;
	uint64_t value;    /* to store, to add, wanted desired */
	uint64_t expected; /* SWAP, AWAIT_SWAP; AWAIT: the wanted value */
	uint64_t mask;     /* AWAIT */
	const char *what;
	/* Filled when it is performed. */
	uint64_t result;
	uint64_t newest; /* RA: the last store to the location, if `result` is an older one */
	bool stale;
	bool success;
	bool inserted; /* RA: stored before a store that is already there */
};

/* C11 happens-before: for each thread the last of its steps that is known. */
struct known {
	uint16_t step[THREADS];
};

/* RA: for each location the oldest message that may still be read. */
struct view {
	struct known known;
	uint32_t count; /* locations beyond it: INITIAL */
	uint16_t *message;
};

struct message {
	uint64_t value;
	uint16_t location;
	uint16_t rank; /* position in the modification order; the initial value has 0 */
	bool modifies; /* made by a read-modify-write: nothing may come between */
	uint8_t thread;
	struct view view;
};

struct location {
	uintptr_t address;
	uint8_t size;
	uint16_t object;
	uint16_t region;
	uint64_t initial;
	/* SC, TSO: what the last store published. */
	struct known sync;
	/* The last step in which each thread accessed it, for data races. */
	struct known atomic_read, atomic_write, plain_read, plain_write;
	/* RA: message numbers in modification order. */
	uint32_t history_count;
	uint16_t history[HISTORY_MAX];
	uint16_t last_message; /* in the order of the schedule */
	uint32_t last_event;   /* event + 1 that made it; 0: INITIAL */
};

struct region {
	uintptr_t base;
	size_t size;
	uint32_t element_size;
	const char *name;
	uint16_t object;
	bool live, free_at_start;
	uint8_t claimed_by;
	uint8_t retired_by;
	uint32_t retired_event;
	struct known touched;   /* any access */
	struct known exclusive; /* fill, claim, retire */
};

struct buffered {
	uintptr_t address;
	uint8_t size;
	uint16_t location;
	uint16_t region;
	uint64_t value;
	struct known sync;
	uint32_t event; /* that put it there */
};

struct line { /* an interrupt line */
	uint16_t object;
	bool pending;
	struct view view; /* RA: what the sender's release fence published */
};

struct thread {
	struct explore_fiber fiber;
	struct op *pending;
	bool ended;
	bool interrupts_on;
	bool take_interrupt;
	uint32_t interrupts_taken;
	/* What it knows now; what acquire fences will add; what the last release fence published. */
	struct view now, unacquired, released;
	/* TSO: a ring. */
	uint16_t buffer_object; /* "the buffer is empty" */
	uint32_t buffer_first, buffer_count;
	struct buffered buffer[BUFFER_MAX];
	struct line line;
};

/* Vector clock of the reduction: for each actor its last event known, plus one. */
struct clock {
	uint16_t event[ACTORS];
};

struct event {
	uint8_t actor;
	uint8_t kind; /* of op, or OP_DRAIN, OP_INTERRUPT */
	uint16_t choice;
	struct clock clock;
	struct op op;
};

/* A point of decision; survives from one schedule to the next. */
struct node {
	uint16_t enabled, sleep, todo, done;
	uint16_t choice, choices;
	uint64_t allowed; /* choices to be tried, if there are at most 64 */
	uint8_t actor;
	uint32_t preemptions; /* on the way here */
	uint32_t signature;   /* of what the actor does: must repeat */
};

struct object {
	uint32_t last_change; /* event + 1 */
	/* Since then, of each actor the last that reads, and the last that adds. */
	uint32_t last[TOUCHES_THAT_COMMUTE][ACTORS];
	uint16_t present[TOUCHES_THAT_COMMUTE]; /* masks of actors */
};

enum end { /* how a schedule ended */
	END_COMPLETE,
	END_PRUNED,
	END_CUT,
	END_FAILED,
	END_MISUSED,
};

struct explorer {
	struct explore_options options;
	const struct explore_program *program;
	struct explore_result *result;
	uint32_t steps_max;
	uint16_t thread_mask;
	enum explore_reduction reduction;

	/* The current schedule. */
	struct thread thread[THREADS];
	uint32_t self; /* running thread, or UINT32_MAX */
	uint32_t events;
	enum end end;
	char why[EXPLORE_MESSAGE_MAX]; /* END_FAILED, END_MISUSED */
	bool stopped; /* failed or misused: nobody runs on */
	bool in_setup;
	bool tracing;
	bool performing; /* event[events] is being performed */
	jmp_buf escape; /* for failures outside of a fiber */
	uint32_t last_event[ACTORS]; /* event + 1 */
	uint8_t last_thread;
	uint32_t preemptions;
	uint16_t next_sleep;

	/* Its memory. */
	uint32_t run; /* stamp of the hash slots */
	uint32_t locations, objects, regions, messages, view_used;
	uint32_t setup_regions;
	uint16_t fence_object;
	struct view fence_view;
	struct {
		uint32_t run;
		uint16_t location;
	} slot[LOCATION_SLOTS];
	struct {
		uint32_t run;
		uint16_t object;
		uintptr_t address;
	} named[1024];
	struct location location[LOCATIONS_MAX];
	struct object object[OBJECTS_MAX];
	struct region region[REGIONS_MAX];
	struct message *message;
	uint16_t *view_pool;
	uint16_t *thread_views;

	/* The search. */
	struct node *node;
	struct event *event;
	uint32_t depth;  /* nodes that exist */
	uint32_t replay; /* nodes whose decision is given */
	bool by_id;      /* ... by an id, not by the search */
	bool minimising;
	uint64_t random;
	void *snapshot;
	bool snapshot_taken;

	/* Notes of the schedule being printed. */
	struct {
		uint32_t event;
		uint8_t thread;
		char text[116];
	} note[NOTES_MAX];
	uint32_t notes;
};

/* The one that runs on this host thread. */
extern _Thread_local struct explorer *explore_current;

/* ---- explore.c ------------------------------------------------------------------------------ */

/* The program or the options are at fault, not what is explored. Does not return. */
_Noreturn void explore_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline unsigned actor_cpu(unsigned actor)
{
	return actor % THREADS;
}

/* ---- explore_memory.c ----------------------------------------------------------------------- */

void explore_memory_reset(struct explorer *x);
uint16_t explore_memory_object(struct explorer *x);
bool explore_memory_waits_for_buffer(const struct op *op);
/* The footprint of draining the oldest store of t; fills all of *op but what performing fills. */
void explore_memory_prepare_drain(struct explorer *x, uint32_t t, struct op *op);
uint16_t explore_memory_named(struct explorer *x, const void *address);
struct region *explore_memory_region(struct explorer *x, uintptr_t address);
/* Finds location, region and footprint of an operation about to be issued by thread t. */
void explore_memory_prepare(struct explorer *x, uint32_t t, struct op *op);
/* In how many ways the pending operation of t can be performed now; 0: it waits. */
uint32_t explore_memory_choices(struct explorer *x, uint32_t t);
/* RA: of these, as a mask, those that go on from the last store of the schedule; see docs. */
uint64_t explore_memory_newest(struct explorer *x, uint32_t t);
void explore_memory_perform(struct explorer *x, uint32_t t, struct op *op, uint32_t choice);
void explore_memory_drain(struct explorer *x, uint32_t t);
void explore_memory_take_interrupt(struct explorer *x, uint32_t t);
/* What thread t reads without a step. */
uint64_t explore_memory_plain_load(struct explorer *x, uint32_t t, uintptr_t address,
				   unsigned size);
void explore_memory_plain_store(struct explorer *x, uint32_t t, uintptr_t address, unsigned size,
				uint64_t value);
void explore_memory_plain_fill(struct explorer *x, uint32_t t, uintptr_t address, unsigned size,
			       unsigned count, uint64_t value, uint64_t step);
/* Memory as it stands. */
uint64_t explore_memory_raw_load(uintptr_t address, unsigned size);
void explore_memory_raw_store(uintptr_t address, unsigned size, uint64_t value);

/* ---- explore_program.c ------------------------------------------------------------------------ */

/* The body of a fiber: runs thread `t`, then waits for interrupts for ever. */
void explore_program_thread(void *argument);

/* ---- explore_trace.c ------------------------------------------------------------------------ */

void explore_trace_id(const struct explorer *x, char *id, size_t size);
/* Reads an id into nodes; returns NULL, or what is wrong with it. */
const char *explore_trace_parse(struct explorer *x, const char *id);
void explore_trace_print(const struct explorer *x, FILE *output);
const char *explore_trace_thread(const struct explorer *x, uint32_t t, char *text, size_t size);
void explore_trace_address(const struct explorer *x, uintptr_t address, char *text, size_t size);
const char *explore_model_name(enum explore_model model);

#endif
