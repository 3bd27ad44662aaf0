/* SPDX-License-Identifier: MIT */
/*
 * Holds beside memory that goes and comes back, every schedule: the library's own code. A
 * descriptor has a model whose life the explorer watches: it is claimed when its memory is taken,
 * filled when it is initialised, poisoned when its frame is offline, retired when its memory is
 * given back. Whoever holds a frame reads the model (INV-2.1).
 *
 * The remover looks at the counters once, twice or three times and then gives up: looking again
 * changes nothing, so whatever a longer wait can meet, one of these meets. That a wait ends when
 * the holders are gone has cases of its own ("waits").
 *
 * The bad programs break the protocol in one place, through the domain hook: an implementation of
 * the embedder's that is the library's but for that place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/explore.h"

#include "src/hold.h"
#include "src/memmap.h"

#include <kelp/hotplug.h>

#define WEAK ((1u << EXPLORE_TSO) | (1u << EXPLORE_RA))
#define CPUS 5u /* one per thread of each program, or where a reader is moved to */
#define BLOCKS 12u
#define SANE 0x51u
#define POISON 0x66u

/* One frame is a subsection, four are a section. */
struct descriptor {
	uint32_t number;
	uint32_t mine;
};

struct block {
	_Alignas(64) unsigned char memory[256];
	bool used;
};

enum bug {
	BUG_NONE,
	BUG_NO_WAIT,       /* the remover does not wait */
	BUG_ONE_PHASE,     /* it looks at the current phase alone, before it turns it over */
	BUG_HELD_FIRST,    /* it adds up `held` before `released` */
	BUG_NO_FENCE,      /* the reader has no fence, and there is no barrier */
	BUG_REMOVER_FENCE, /* the remover has none */
	BUG_RELEASE_EARLY, /* the reader releases, then reads */
	BUG_LOOK_FIRST,    /* it looks, then counts itself */
};

static struct world {
	struct kelp_port port;
	struct kelp_memmap map;
	struct kelp_hotplug plug;
	struct kelp_holds own; /* of the embedder's domain */
	_Alignas(64) unsigned char memory[(CPUS + 2) * 64];
	_Alignas(64) unsigned char own_memory[CPUS * 64];
	struct block block[BLOCKS];
	/* Of each block one: the explorer's view of the descriptor that lies in it. */
	_Alignas(8) uint64_t model[BLOCKS];
	_Alignas(8) uint64_t done[EXPLORE_THREADS_MAX]; /* threads that hold nothing any more */
	_Alignas(8) uint64_t acknowledged[EXPLORE_THREADS_MAX];
	struct kelp_hold passed; /* from one thread to the next */
	_Alignas(8) uint64_t passing;
	enum bug bug;
	uint32_t patience;   /* looks before it gives up; 0: waits for `readers` */
	uint32_t readers;    /* mask of threads */
	uint32_t interrupts; /* ... of those that are interrupted for a barrier */
} world;

/* ---- the embedder -------------------------------------------------------------------------------- */

static void *take(void *context, enum kelp_memmap_memory what, size_t size)
{
	(void)context;
	explore_check(size <= sizeof(world.block[0].memory), "a block of %zu bytes", size);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (world.block[i].used)
			continue;
		world.block[i].used = true;
		if (what == KELP_MEMMAP_DESCRIPTORS)
			explore_claim(&world.model[i]);
		return world.block[i].memory;
	}
	explore_fail("there is no block left");
}

static struct block *block_of(const void *memory)
{
	return &world.block[((uintptr_t)memory - (uintptr_t)world.block) / sizeof(struct block)];
}

static uint64_t *model_of(const void *page)
{
	return &world.model[block_of(page) - world.block];
}

/* Memory is not used again, so that a late reader is seen. */
static void give(void *context, enum kelp_memmap_memory what, void *memory, size_t size)
{
	(void)context, (void)size;
	if (what == KELP_MEMMAP_DESCRIPTORS)
		explore_retire(model_of(memory));
}

static void initialise(void *context, void *pages, kelp_pfn_t first, uint64_t frames,
		       kelp_zone_t zone, bool device)
{
	(void)context, (void)zone, (void)device, (void)frames;
	explore_plain_store(model_of(pages), 8, SANE + first.number);
}

static enum kelp_status isolate(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)first, (void)frames;
	return KELP_OK;
}

static void give_back(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)first, (void)frames;
}

static void panic(void *context, const char *what, const char *where)
{
	(void)context;
	explore_fail("%s (%s)", what, where);
}

/* An interrupt to each thread that may hold; its handler is a full fence. */
static void barrier(void *context)
{
	(void)context;
	for (uint32_t t = 0; t < EXPLORE_THREADS_MAX; t++)
		if (world.interrupts & (1u << t))
			explore_store(&world.acknowledged[t], 8, 0, EXPLORE_RELAXED);
	explore_fence(EXPLORE_SEQ_CST);
	for (uint32_t t = 0; t < EXPLORE_THREADS_MAX; t++)
		if (world.interrupts & (1u << t))
			explore_interrupt_send(t);
	for (uint32_t t = 0; t < EXPLORE_THREADS_MAX; t++)
		if (world.interrupts & (1u << t))
			explore_await(&world.acknowledged[t], 8, UINT64_MAX, 1, EXPLORE_ACQUIRE);
	explore_fence(EXPLORE_SEQ_CST);
}

static void on_barrier(void *context, uint32_t thread)
{
	(void)context;
	explore_fence(EXPLORE_SEQ_CST);
	explore_store(&world.acknowledged[thread], 8, 1, EXPLORE_RELEASE);
}

static void no_barrier(void *context)
{
	(void)context;
}

static bool again(void *context, uint32_t looks)
{
	(void)context;
	if (world.patience > 0)
		return looks < world.patience;
	explore_check(looks == 1, "the wait goes on when nobody holds");
	for (uint32_t t = 0; t < EXPLORE_THREADS_MAX; t++)
		if (world.readers & (1u << t))
			explore_await(&world.done[t], 8, UINT64_MAX, 1, EXPLORE_ACQUIRE);
	return true;
}

static const struct kelp_hold_wait waiting = {NULL, again};

/* ---- a domain of the embedder's, with bugs to choose from -------------------------------------------- */

static uintptr_t own_enter(void *context, uint32_t cpu)
{
	struct kelp_hold hold;

	(void)context;
	if (world.bug == BUG_LOOK_FIRST || world.bug == BUG_RELEASE_EARLY)
		return 0; /* the reader does it itself */
	kelp_hold_enter_fast(&world.own, cpu, 0, &hold);
	if (world.bug != BUG_NO_FENCE)
		kelp_hw_fence();
	return hold.cookie;
}

static void own_leave(void *context, uint32_t cpu, uintptr_t cookie)
{
	struct kelp_hold hold = {.cookie = cookie};

	(void)context;
	if (world.bug == BUG_LOOK_FIRST || world.bug == BUG_RELEASE_EARLY)
		return;
	kelp_hold_leave_fast(&world.own, cpu, &hold);
}

static uint32_t own_sum(uint32_t phase, bool released)
{
	uint32_t sum = 0;

	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		sum += kelp_shared_load(kelp_hold_counter(&world.own, cpu,
							  phase * 4u + (released ? 8u : 0)));
	return sum;
}

static bool own_drained(uint32_t phase)
{
	uint32_t held = 0, released;

	if (world.bug == BUG_HELD_FIRST)
		held = own_sum(phase, false);
	released = own_sum(phase, true);
	if (world.bug != BUG_HELD_FIRST)
		held = own_sum(phase, false);
	return held == released;
}

static enum kelp_status own_wait(void *context, const struct kelp_hold_wait *wait)
{
	uint32_t phase = kelp_shared_load(&world.own.phase[0]), looks = 0;

	(void)context;
	if (world.bug == BUG_NO_WAIT)
		return KELP_OK;
	if (world.bug != BUG_REMOVER_FENCE)
		kelp_hw_fence();
	while (world.bug != BUG_ONE_PHASE && !own_drained(phase ^ 1u))
		if (!wait->again(NULL, ++looks))
			return KELP_ERR_BUSY;
	kelp_shared_store(&world.own.phase[0], phase ^ 1u);
	while (!own_drained(phase))
		if (!wait->again(NULL, ++looks))
			return KELP_ERR_BUSY;
	return KELP_OK;
}

static const struct kelp_hold_domain own_domain = {NULL, own_enter, own_leave, own_wait};

/* ---- setup ---------------------------------------------------------------------------------------------- */

enum way { WITH_FENCE, WITH_BARRIER, WITHOUT_BARRIER, WITH_DOMAIN };

static void check(enum kelp_status status, const char *what)
{
	explore_check(status == KELP_OK, "%s: %s", what, kelp_status_name(status));
}

static const struct kelp_hotplug_hooks hooks = {.isolate = isolate, .give_back = give_back};

static void setup(enum way way, bool device)
{
	struct kelp_memmap_config config = {
		.port = &world.port,
		.page_shift = 12,
		.physical_bits = 15,
		.section_shift = 14,
		.subsection_shift = 12,
		.descriptor_size = sizeof(struct descriptor),
		.frame_bytes = 4,
		.memory = world.memory,
		.holds = {.cpus = CPUS, .buckets = 1},
		.take = take,
		.give = give,
		.initialise = initialise,
	};
	static char name[BLOCKS][16];
	size_t size;

	memset(&world, 0, sizeof(world));
	world.port.panic = panic;
	world.patience = 1;
	if (way == WITH_BARRIER)
		config.holds.barrier = barrier;
	if (way == WITHOUT_BARRIER)
		config.holds.barrier = no_barrier;
	if (way == WITH_DOMAIN) {
		struct kelp_holds_config own = {.port = &world.port, .cpus = CPUS, .buckets = 1,
						.memory = world.own_memory, .barrier = no_barrier};

		config.holds.domain = &own_domain;
		check(kelp_holds_init(&world.own, &own), "kelp_holds_init");
	}
	check(kelp_memmap_size(&config, &size), "kelp_memmap_size");
	explore_check(size <= sizeof(world.memory), "the map takes %zu bytes", size);
	for (unsigned i = 0; i < BLOCKS; i++) {
		snprintf(name[i], sizeof(name[i]), "descriptor%u", i);
		explore_region_free(&world.model[i], 8, 8, name[i]);
	}
	explore_region(world.done, sizeof(world.done), 8, "done");
	explore_region(world.memory, sizeof(world.memory), 4, "counters and root");
	explore_region(world.own_memory, sizeof(world.own_memory), 4, "own counters");
	explore_region(world.block, sizeof(world.block), 4, "records");
	check(kelp_memmap_init(&world.map, &config), "kelp_memmap_init");
	check(kelp_hotplug_init(&world.plug, &world.map, &hooks), "kelp_hotplug_init");
	if (device) {
		check(kelp_hotplug_attach(&world.plug, (kelp_pfn_t){1}, 1, 0, 0), "attach");
		return;
	}
	check(kelp_hotplug_add(&world.plug, (kelp_pfn_t){1}, 2, 0, 0), "add");
	check(kelp_hotplug_online(&world.plug, (kelp_pfn_t){1}, 2), "online");
}

#define SETUP(name, way, device, ...)                                                              \
	static void name(void *context)                                                            \
	{                                                                                          \
		(void)context;                                                                     \
		setup(way, device);                                                                \
		__VA_ARGS__;                                                                       \
	}

SETUP(setup_ram, WITH_FENCE, false)
SETUP(setup_device, WITH_FENCE, true)
SETUP(setup_two_looks, WITH_FENCE, false, world.patience = 2)
SETUP(setup_three_looks, WITH_FENCE, false, world.patience = 3)
SETUP(setup_waits, WITH_FENCE, false, world.patience = 0, world.readers = 2)
SETUP(setup_waits_2, WITH_FENCE, false, world.patience = 0, world.readers = 6)
SETUP(setup_barrier, WITH_BARRIER, false, world.interrupts = 2)
SETUP(setup_barrier_2, WITH_BARRIER, false, world.interrupts = 6)
SETUP(setup_no_barrier, WITHOUT_BARRIER, false)
SETUP(setup_domain, WITH_DOMAIN, false, world.patience = 2)
SETUP(setup_no_wait, WITH_DOMAIN, false, world.bug = BUG_NO_WAIT)
SETUP(setup_one_phase, WITH_DOMAIN, false, world.bug = BUG_ONE_PHASE)
SETUP(setup_held_first, WITH_DOMAIN, false, world.bug = BUG_HELD_FIRST)
SETUP(setup_no_fence, WITH_DOMAIN, false, world.bug = BUG_NO_FENCE)
SETUP(setup_remover_fence, WITH_DOMAIN, false, world.bug = BUG_REMOVER_FENCE)
SETUP(setup_release_early, WITH_DOMAIN, false, world.bug = BUG_RELEASE_EARLY)
SETUP(setup_look_first, WITH_DOMAIN, false, world.bug = BUG_LOOK_FIRST)

/* ---- readers --------------------------------------------------------------------------------------------- */

/* A CPU each, and one more for readers that are moved. */
static uint32_t this_cpu(void)
{
	return explore_self();
}

static uint32_t other_cpu(void)
{
	return explore_self() + 2u;
}

static void read_page(const struct kelp_hold *hold, uint64_t pfn)
{
	uint64_t value = explore_plain_load(model_of(kelp_hold_page(hold)), 8);

	explore_check(value == SANE + pfn, "a held descriptor holds %#llx",
		      (unsigned long long)value);
}

static void hold_frame(uint64_t number, uint32_t release_cpu)
{
	kelp_pfn_t pfn = {number};
	struct kelp_hold hold;

	if (kelp_page_hold_any(&world.map, this_cpu(), pfn, &hold) != KELP_OK)
		return;
	read_page(&hold, number);
	kelp_page_release(&world.map, release_cpu, &hold);
}

static void done(void)
{
	explore_store(&world.done[explore_self()], 8, 1, EXPLORE_RELEASE);
}

static void reader(void *context)
{
	(void)context;
	hold_frame(1, this_cpu());
	done();
}

static void reader_twice(void *context)
{
	(void)context;
	hold_frame(1, this_cpu());
	hold_frame(1, this_cpu());
	done();
}

/* One hold within another. */
static void reader_nested(void *context)
{
	kelp_pfn_t pfn = {1};
	struct kelp_hold hold;

	(void)context;
	if (kelp_page_hold_online(&world.map, this_cpu(), pfn, &hold) == KELP_OK) {
		hold_frame(1, this_cpu());
		read_page(&hold, 1);
		kelp_page_release(&world.map, this_cpu(), &hold);
	}
	done();
}

/* Moved to the other CPU while it holds. */
static void reader_migrates(void *context)
{
	(void)context;
	hold_frame(1, other_cpu());
	done();
}

/* A hold that another thread releases. */
static void reader_passes(void *context)
{
	kelp_pfn_t pfn = {1};

	(void)context;
	if (kelp_page_hold_any(&world.map, this_cpu(), pfn, &world.passed) == KELP_OK)
		explore_store(&world.passing, 8, 1, EXPLORE_RELEASE);
	else
		explore_store(&world.passing, 8, 2, EXPLORE_RELEASE);
	done();
}

static void reader_receives(void *context)
{
	(void)context;
	if (explore_await_not(&world.passing, 8, UINT64_MAX, 0, EXPLORE_ACQUIRE) == 1) {
		read_page(&world.passed, 1);
		kelp_page_release(&world.map, this_cpu(), &world.passed);
	}
	done();
}

static void reader_of_subsection(void *context)
{
	struct kelp_subsection_hold s;
	kelp_pfn_t pfn = {1};

	(void)context;
	if (kelp_subsection_hold(&world.map, this_cpu(), KELP_FRAMES_ONLINE, pfn, &s) == KELP_OK) {
		read_page(&s.hold, 1);
		kelp_subsection_release(&world.map, this_cpu(), &s);
	}
	done();
}

/* Of two frames: the other one stays. */
static void reader_of_neighbour(void *context)
{
	kelp_pfn_t pfn = {2};
	struct kelp_hold hold;

	(void)context;
	/* INV-2.2 */
	explore_check(kelp_page_hold_online(&world.map, this_cpu(), pfn, &hold) == KELP_OK,
		      "a neighbour of what goes cannot be held");
	read_page(&hold, 2);
	kelp_page_release(&world.map, this_cpu(), &hold);
	done();
}

/* Somebody interrupts the first reader, at any instant; the handler holds and releases. */
static void interrupter(void *context)
{
	(void)context;
	explore_interrupt_send(1);
}

static void on_hold(void *context, uint32_t thread)
{
	(void)context, (void)thread;
	hold_frame(1, this_cpu());
}

static void bad_reader(void *context)
{
	struct kelp_hold hold, own = {0};

	(void)context;
	if (world.bug == BUG_RELEASE_EARLY)
		kelp_hold_enter_fast(&world.own, this_cpu(), 0, &own);
	if (world.bug == BUG_RELEASE_EARLY)
		kelp_hw_fence();
	if (kelp_page_hold_any(&world.map, this_cpu(), (kelp_pfn_t){1}, &hold) == KELP_OK) {
		if (world.bug == BUG_RELEASE_EARLY)
			kelp_hold_leave_fast(&world.own, this_cpu(), &own);
		if (world.bug == BUG_LOOK_FIRST)
			kelp_hold_enter_fast(&world.own, this_cpu(), 0, &own);
		if (world.bug == BUG_LOOK_FIRST)
			kelp_hw_fence();
		read_page(&hold, 1);
		if (world.bug == BUG_LOOK_FIRST)
			kelp_hold_leave_fast(&world.own, this_cpu(), &own);
	} else if (world.bug == BUG_RELEASE_EARLY) {
		kelp_hold_leave_fast(&world.own, this_cpu(), &own);
	}
}

/* ---- removers ---------------------------------------------------------------------------------------------- */

/* What nobody may look at any more is written over. */
static void poison(uint64_t pfn)
{
	explore_plain_store(model_of(kelp_subsection_pages(kelp_memmap_record(&world.map, pfn))), 8,
			    POISON);
}

static bool offline(void)
{
	enum kelp_status status =
		kelp_hotplug_offline(&world.plug, (kelp_pfn_t){1}, 1, &waiting);

	explore_check(status == KELP_OK || (status == KELP_ERR_BUSY && world.patience > 0),
		      "offline: %s", kelp_status_name(status));
	if (status != KELP_OK) {
		explore_note("gives up");
		explore_check(kelp_pfn_online(&world.map, (kelp_pfn_t){1}),
			      "it gave up, and the frame is not online");
		return false;
	}
	poison(1);
	return true;
}

static void remover(void *context)
{
	(void)context;
	if (offline())
		check(kelp_hotplug_remove(&world.plug, (kelp_pfn_t){1}, 1), "remove");
}

/* Offline and back without having been removed. */
static void remover_cycles(void *context)
{
	(void)context;
	if (offline())
		check(kelp_hotplug_online(&world.plug, (kelp_pfn_t){1}, 1), "online");
}

/* Removed, and others come to its place: descriptors elsewhere. */
static void remover_replaces(void *context)
{
	(void)context;
	if (!offline())
		return;
	check(kelp_hotplug_remove(&world.plug, (kelp_pfn_t){1}, 1), "remove");
	check(kelp_hotplug_add(&world.plug, (kelp_pfn_t){1}, 1, 1, 0), "add");
	check(kelp_hotplug_online(&world.plug, (kelp_pfn_t){1}, 1), "online");
}

/* Twice: the phases have changed their meaning, or a wait was given up in between. */
static void remover_twice(void *context)
{
	(void)context;
	remover_cycles(NULL);
	remover_cycles(NULL);
}

static void detacher(void *context)
{
	enum kelp_status status =
		kelp_hotplug_detach(&world.plug, (kelp_pfn_t){1}, 1, &waiting);

	(void)context;
	explore_check(status == KELP_OK || status == KELP_ERR_BUSY, "detach: %s",
		      kelp_status_name(status));
	if (status == KELP_OK)
		check(kelp_hotplug_add(&world.plug, (kelp_pfn_t){1}, 1, 1, 0), "add");
}

static void finish(void *context)
{
	(void)context;
	explore_check(kelp_holds_count(world.map.holds.domain ? &world.own : &world.map.holds, 0) ==
			      0, "holds are left over");
}

/* ---- the cases ------------------------------------------------------------------------------------------------ */

struct hold_case {
	const char *name;
	void (*setup)(void *context);
	void (*thread[4])(void *context);
	const char *fails; /* NULL: passes */
	unsigned models;   /* 0: all */
	void (*interrupt)(void *context, uint32_t thread);
};

static const struct hold_case cases[] = {
	{"offline, removed", setup_ram, {remover, reader}, NULL, 0, NULL},
	{"offline, removed; two looks", setup_two_looks, {remover, reader}, NULL, 0, NULL},
	{"offline, removed; three looks", setup_three_looks, {remover, reader}, NULL, 0, NULL},
	{"offline, online", setup_ram, {remover_cycles, reader}, NULL, 0, NULL},
	{"offline, removed, added, online", setup_ram, {remover_replaces, reader}, NULL, 0, NULL},
	{"the same, read twice", setup_ram, {remover_replaces, reader_twice}, NULL, 0, NULL},
	{"the same, two readers", setup_ram, {remover_replaces, reader, reader}, NULL, 0, NULL},
	{"offline, online, twice", setup_ram, {remover_twice, reader}, NULL, 0, NULL},
	{"offline, online, twice; read twice", setup_ram, {remover_twice, reader_twice}, NULL, 0,
	 NULL},
	{"nested", setup_ram, {remover, reader_nested}, NULL, 0, NULL},
	{"migrates", setup_ram, {remover, reader_migrates}, NULL, 0, NULL},
	{"migrates, replaced", setup_ram, {remover_replaces, reader_migrates}, NULL, 0, NULL},
	{"whole subsection", setup_ram, {remover, reader_of_subsection}, NULL, 0, NULL},
	{"neighbour", setup_ram, {remover_replaces, reader_of_neighbour}, NULL, 0, NULL},
	{"device memory", setup_device, {detacher, reader}, NULL, 0, NULL},
	{"two readers", setup_ram, {remover, reader, reader}, NULL, 0, NULL},
	{"three readers", setup_ram, {remover, reader, reader, reader}, NULL, 0, NULL},
	{"an interrupt holds within", setup_ram, {remover, reader, interrupter}, NULL, 0, on_hold},
	{"passed on", setup_ram, {remover, reader_passes, reader_receives}, NULL, 0, NULL},
	{"waits", setup_waits, {remover, reader}, NULL, 0, NULL},
	{"waits, online, twice", setup_waits, {remover_twice, reader}, NULL, 0, NULL},
	{"waits, two readers", setup_waits_2, {remover, reader, reader}, NULL, 0, NULL},
	{"barrier by interrupt", setup_barrier, {remover, reader}, NULL, 0, on_barrier},
	{"barrier, replaced", setup_barrier, {remover_replaces, reader}, NULL, 0, on_barrier},
	{"barrier, migrates", setup_barrier, {remover, reader_migrates}, NULL, 0, on_barrier},
	{"barrier, two readers", setup_barrier_2, {remover, reader, reader}, NULL, 0, on_barrier},
	{"a domain of the embedder's", setup_domain, {remover_replaces, reader}, NULL, 0, NULL},

	{"bad: no wait", setup_no_wait, {remover, reader}, "descriptor", 0, NULL},
	{"bad: flag read, counted after", setup_look_first, {remover, bad_reader}, "descriptor", 0,
	 NULL},
	{"bad: released, then read", setup_release_early, {remover, bad_reader}, "descriptor", 0,
	 NULL},
	{"bad: one phase, after a wait given up", setup_one_phase, {remover_twice, reader},
	 "descriptor", 0, NULL},
	{"bad: held added up before released", setup_held_first, {remover, reader, reader},
	 "descriptor", 0, NULL},
	{"bad: no fence in the reader", setup_no_fence, {remover, reader}, "descriptor", WEAK,
	 NULL},
	{"good on SC: the same", setup_no_fence, {remover, reader}, NULL, 1u << EXPLORE_SC, NULL},
	{"bad: no fence in the remover", setup_remover_fence, {remover, reader}, "descriptor", WEAK,
	 NULL},
	{"bad: a barrier that does nothing", setup_no_barrier, {remover, reader}, "descriptor",
	 WEAK, NULL},
};

static unsigned run(const struct hold_case *c, enum explore_model model)
{
	struct explore_program program = {
		.name = c->name,
		.setup = c->setup,
		.finish = finish,
		.interrupt = c->interrupt,
		.state = &world,
		.state_size = sizeof(world),
		.thread_name = {"remover", "reader", "reader2", "reader3"},
	};
	struct explore_options options = {
		.model = model,
		.output = c->fails && !getenv("EXPLORE_VERBOSE") ? NULL : stdout,
	};
	struct explore_result result;

	for (; program.threads < 4 && c->thread[program.threads]; program.threads++)
		program.thread[program.threads] = c->thread[program.threads];
	explore_run(&options, &program, &result);
	explore_report(stdout, &program, &options, &result);
	if (!c->fails)
		return result.verdict != EXPLORE_PASSED || !result.exhaustive;
	if (result.verdict == EXPLORE_FAILED && strstr(result.message, c->fails))
		return 0;
	printf("   it must fail with \"%s\"\n", c->fails);
	return 1;
}

static void run_cases(void **state)
{
	const char *only = getenv("EXPLORE_ONLY");
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned model = 0; model < 3; model++)
			if ((!cases[i].models || (cases[i].models & (1u << model))) &&
			    (!only || strstr(cases[i].name, only)))
				wrong += run(&cases[i], (enum explore_model)model);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {cmocka_unit_test(run_cases)};

	return cmocka_run_group_tests_name("explore/hold_hotplug", all, NULL, NULL);
}
