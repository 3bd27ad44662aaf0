/* SPDX-License-Identifier: MIT */
/*
 * The concurrency contract, with threads: lock-free readers beside a writer, and writers on
 * disjoint ranges, also within one table and within one large leaf. Meant for ThreadSanitizer,
 * and right without it. On every format; about ten seconds.
 *
 * Readers are in read sections of a simple epoch scheme, and pages that went back to the port are
 * poisoned at once: a table that is freed under a reader is seen.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <kelp/kelp.h>

#include "formats.h"

#define READERS      2
#define WRITERS      2
#define PAGES_MAX    2048u
/* Milliseconds per case; times KELP_TEST_SCALE. */
#define CASE_TIME    40u

/* ---- a port for threads ------------------------------------------------------------------ */

struct stress_port {
	struct kelp_port hooks;
	const struct kelp_format *format;
	size_t page_size;
	unsigned char *memory; /* all pages, side by side; physical address = offset + page size */
	pthread_mutex_t lock;
	unsigned free[PAGES_MAX];
	unsigned free_count;

	/* The epoch: odd while the reader is in a read section. */
	struct {
		uint32_t sequence;
		char apart[60];
	} reader[READERS];
};

static bool stress_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *page)
{
	struct stress_port *port = context;
	unsigned index = 0;
	bool taken = false;

	(void)size, (void)limit;
	pthread_mutex_lock(&port->lock);
	if (port->free_count > 0) {
		/* The oldest: whoever still looks at it looks at somebody else's table. */
		index = port->free[0];
		memmove(port->free, port->free + 1, --port->free_count * sizeof(port->free[0]));
		taken = true;
	}
	pthread_mutex_unlock(&port->lock);
	if (!taken)
		return false;
	/* With the library's own kind of access: a page that is still read is a race to be seen. */
	memset(port->memory + index * port->page_size, 0, port->page_size);
	*page = (index + 1u) * (uint64_t)port->page_size;
	return true;
}

static void stress_give(void *context, size_t size, kelp_paddr_t page)
{
	struct stress_port *port = context;
	unsigned index = (unsigned)(page / port->page_size) - 1u;

	memset(port->memory + index * port->page_size, 0xa5, size);
	pthread_mutex_lock(&port->lock);
	port->free[port->free_count++] = index;
	pthread_mutex_unlock(&port->lock);
}

static void stress_wait(void *context)
{
	struct stress_port *port = context;

	for (unsigned i = 0; i < READERS; i++) {
		uint32_t sequence = __atomic_load_n(&port->reader[i].sequence, __ATOMIC_SEQ_CST);

		while ((sequence & 1) &&
		       __atomic_load_n(&port->reader[i].sequence, __ATOMIC_ACQUIRE) == sequence)
			sched_yield();
	}
}

static void read_lock(struct stress_port *port, unsigned reader)
{
	__atomic_add_fetch(&port->reader[reader].sequence, 1, __ATOMIC_SEQ_CST);
}

static void read_unlock(struct stress_port *port, unsigned reader)
{
	__atomic_add_fetch(&port->reader[reader].sequence, 1, __ATOMIC_SEQ_CST);
}

static void stress_panic(void *context, const char *what, const char *where)
{
	(void)context;
	fprintf(stderr, "kelp panic: %s (%s)\n", what, where);
	abort();
}

static struct stress_port *port_new(const struct kelp_format *format)
{
	struct stress_port *port = calloc(1, sizeof(*port));
	size_t size = (size_t)1 << format->page_shift;

	if (!port)
		abort();
	port->format = format;
	port->page_size = size;
	port->memory = aligned_alloc(size, size * PAGES_MAX);
	if (!port->memory)
		abort();
	pthread_mutex_init(&port->lock, NULL);
	while (port->free_count < PAGES_MAX) {
		port->free[port->free_count] = port->free_count;
		port->free_count++;
	}
	port->hooks = (struct kelp_port){
		.context = port,
		/* The plain case: one addition. Wraps where that is what it takes. */
		.table_offset = (uint64_t)(uintptr_t)port->memory - size,
		.table_take = stress_take,
		.table_give = stress_give,
		.wait_for_readers = stress_wait,
		.panic = stress_panic,
	};
	return port;
}

static void port_free(struct stress_port *port)
{
	pthread_mutex_destroy(&port->lock);
	free(port->memory);
	free(port);
}

/* ---- what the threads share -------------------------------------------------------------- */

struct stress {
	const struct kelp_format *format;
	struct stress_port *port;
	struct kelp_space space;
	kelp_vaddr_t base; /* a large leaf's span, or a table's */
	uint64_t span;
	unsigned large_shift;
	kelp_paddr_t frame[2]; /* the states: each page is at one of these plus its offset, or none */
	kelp_attr_t attributes[2];
	bool stop;
	unsigned wrong;
	char what[256];
};

struct thread {
	struct stress *stress;
	unsigned number;
	uint64_t random;
	uint64_t rounds;
	/* Writers in parallel: which of its pages are mapped, and how. */
	uint8_t *state;
	unsigned pages;
};

static uint64_t next_random(struct thread *thread)
{
	uint64_t z = thread->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return z ^ z >> 29;
}

__attribute__((format(printf, 2, 3))) static void wrong(struct stress *stress, const char *text,
							...)
{
	va_list arguments;

	if (__atomic_fetch_add(&stress->wrong, 1, __ATOMIC_SEQ_CST) == 0) {
		va_start(arguments, text);
		vsnprintf(stress->what, sizeof(stress->what), text, arguments);
		va_end(arguments);
	}
	__atomic_store_n(&stress->stop, true, __ATOMIC_RELEASE);
}

static bool stopped(struct stress *stress)
{
	return __atomic_load_n(&stress->stop, __ATOMIC_ACQUIRE);
}

static uint64_t page_size(const struct stress *stress)
{
	return UINT64_C(1) << stress->format->page_shift;
}

/* ---- readers ----------------------------------------------------------------------------- */

/* One of the two states, whole: the frame of one with the rights of the other is neither. */
static void check_seen(struct stress *stress, const char *who, kelp_vaddr_t va, kelp_paddr_t pa,
		       kelp_attr_t attributes, bool with_attributes)
{
	const kelp_attr_t used = KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY;
	uint64_t offset = va - stress->base;

	for (unsigned s = 0; s < 2; s++)
		if (pa == stress->frame[s] + offset &&
		    (!with_attributes ||
		     (attributes & ~used) == (stress->attributes[s] & ~used)))
			return;
	wrong(stress, "%s sees 0x%llx -> 0x%llx with 0x%x, which never was", who,
	      (unsigned long long)va, (unsigned long long)pa, (unsigned)attributes);
}

static enum kelp_visit check_visit(void *context, const struct kelp_mapping *mapping)
{
	struct stress *stress = context;

	if (mapping->kind == KELP_ENTRY_LEAF)
		check_seen(stress, "walk", mapping->va, mapping->pa, mapping->attributes, true);
	else if (mapping->kind != KELP_ENTRY_INVALID)
		wrong(stress, "walk visits kind %u", mapping->kind);
	return KELP_VISIT_CONTINUE;
}

static void *reader(void *argument)
{
	struct thread *thread = argument;
	struct stress *stress = thread->stress;
	uint64_t pages = stress->span / page_size(stress);

	while (!stopped(stress)) {
		kelp_vaddr_t va = stress->base +
				  next_random(thread) % pages * page_size(stress) +
				  next_random(thread) % page_size(stress);
		struct kelp_mapping mapping;
		enum kelp_status status;
		kelp_paddr_t pa = 0;

		read_lock(stress->port, thread->number);
		status = kelp_space_translate(&stress->space, va, &pa);
		if (status == KELP_OK)
			check_seen(stress, "translate", va, pa, 0, false);
		else if (status != KELP_ERR_NOT_MAPPED)
			wrong(stress, "translate says %s", kelp_status_name(status));
		status = kelp_space_query(&stress->space, va, &mapping);
		if (status != KELP_OK)
			wrong(stress, "query says %s", kelp_status_name(status));
		else if (mapping.kind == KELP_ENTRY_LEAF)
			check_seen(stress, "query", mapping.va, mapping.pa, mapping.attributes,
				   true);
		else if (mapping.kind == KELP_ENTRY_TABLE || mapping.kind == KELP_ENTRY_OPAQUE)
			wrong(stress, "query sees kind %u", mapping.kind);
		read_unlock(stress->port, thread->number);

		if (thread->rounds++ % 64 == 0) {
			read_lock(stress->port, thread->number);
			status = kelp_space_walk(&stress->space, stress->base, stress->span,
						 KELP_WALK_RUNS, check_visit, stress);
			read_unlock(stress->port, thread->number);
			if (status != KELP_OK)
				wrong(stress, "walk says %s", kelp_status_name(status));
		}
	}
	return NULL;
}

/* ---- one writer that does everything ----------------------------------------------------- */

static enum kelp_status write_once(struct thread *thread, struct kelp_flush *flush)
{
	struct stress *stress = thread->stress;
	uint64_t page = page_size(stress), pages = stress->span / page;
	uint64_t first = next_random(thread) % pages * page;
	uint64_t size = (1u + next_random(thread) % 5u) * page;
	unsigned s = (unsigned)next_random(thread) & 1u;
	kelp_vaddr_t base = stress->base;

	if (first + size > stress->span)
		size = stress->span - first;
	switch (next_random(thread) % 9) {
	case 0: /* all of it with the largest leaf: what was there goes */
		return kelp_space_map(flush, base, stress->frame[s], stress->span,
				      stress->attributes[s], KELP_REPLACE | KELP_ALLOW_BREAK);
	case 1:
	case 2:
		return kelp_space_map(flush, base + first, stress->frame[s] + first, size,
				      stress->attributes[s], KELP_REPLACE | KELP_ALLOW_BREAK);
	case 3:
		return kelp_space_unmap(flush, base + first, size, KELP_ALLOW_BREAK);
	case 4:
		return kelp_space_unmap(flush, base, stress->span, KELP_ALLOW_BREAK);
	case 5:
		return kelp_space_split(flush, base, stress->span, stress->format->page_shift,
					KELP_ALLOW_BREAK);
	case 6:
		return kelp_space_coalesce(flush, base, stress->span, stress->large_shift,
					   KELP_ALLOW_BREAK, NULL);
	case 7:
		return kelp_space_protect(flush, base + first, size, KELP_ATTR_INVALID, 0,
					  KELP_ALLOW_BREAK | KELP_SKIP_HOLES);
	default:
		return kelp_space_protect(flush, base + first, size, 0, KELP_ATTR_INVALID,
					  KELP_ALLOW_BREAK | KELP_SKIP_HOLES);
	}
}

static void *writer_of_all(void *argument)
{
	struct thread *thread = argument;
	struct stress *stress = thread->stress;

	while (!stopped(stress)) {
		struct kelp_flush flush = {0};
		unsigned count = 1u + (unsigned)(next_random(thread) % 4u);

		kelp_flush_begin(&flush, &stress->space);
		while (count-- > 0) {
			enum kelp_status status = write_once(thread, &flush);

			if (status != KELP_OK)
				wrong(stress, "the writer gets %s", kelp_status_name(status));
		}
		kelp_flush_commit(&flush);
		thread->rounds++;
	}
	return NULL;
}

/* ---- writers side by side ---------------------------------------------------------------- */

/* Its pages are every WRITERSth block of four: neighbours in one table, parts of one leaf. */
static kelp_vaddr_t page_of_writer(const struct thread *thread, unsigned page)
{
	unsigned block = page / 4u * WRITERS + thread->number;

	return thread->stress->base + (block * 4u + page % 4u) * page_size(thread->stress);
}

static void *writer_of_some(void *argument)
{
	struct thread *thread = argument;
	struct stress *stress = thread->stress;
	uint64_t page = page_size(stress);
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, &stress->space);
	while (!stopped(stress)) {
		unsigned at = (unsigned)(next_random(thread) % thread->pages);
		unsigned s = (unsigned)next_random(thread) & 1u;
		kelp_vaddr_t va = page_of_writer(thread, at);
		uint64_t offset = va - stress->base;
		enum kelp_status status = KELP_OK;

		switch (next_random(thread) % 4) {
		case 0:
		case 1:
			status = kelp_space_map(&flush, va, stress->frame[s] + offset, page,
						stress->attributes[s],
						KELP_REPLACE | KELP_ALLOW_BREAK);
			thread->state[at] = (uint8_t)(1u + s);
			break;
		case 2:
			status = kelp_space_unmap(&flush, va, page, KELP_ALLOW_BREAK);
			thread->state[at] = 0;
			break;
		default:
			status = kelp_space_protect(&flush, va, page, 0, 0,
						    KELP_SKIP_HOLES | KELP_ALLOW_BREAK);
			break;
		}
		if (status != KELP_OK)
			wrong(stress, "writer %u gets %s", thread->number,
			      kelp_status_name(status));
		if (++thread->rounds % 16 == 0) {
			kelp_flush_commit(&flush);
			kelp_flush_begin(&flush, &stress->space);
		}
	}
	kelp_flush_commit(&flush);
	return NULL;
}

/* ---- cases ------------------------------------------------------------------------------- */

static unsigned milliseconds(void)
{
	const char *scale = getenv("KELP_TEST_SCALE");
	unsigned long factor = scale ? strtoul(scale, NULL, 10) : 1;

	return CASE_TIME * (unsigned)(factor ? factor : 1);
}

static void setup(struct stress *stress, const struct kelp_format *f)
{
	unsigned level = 1;
	uint64_t largest = UINT64_C(1) << (63 - __builtin_clzll(f->leaf_sizes));
	uint64_t start;

	memset(stress, 0, sizeof(*stress));
	stress->format = f;
	stress->port = port_new(f);
	stress->span = UINT64_C(1) << f->shift[level];
	stress->large_shift = f->leaf_sizes >> f->shift[level] & 1 ? f->shift[level]
								    : f->page_shift;
	start = largest > stress->span ? largest : stress->span;
	stress->base = f->va_first[f->va_ranges - 1] + start;
	stress->frame[0] = stress->span;
	stress->frame[1] = 2 * stress->span;
	stress->attributes[0] = kelp_format_closest(f, KELP_ATTR_READ | KELP_ATTR_WRITE);
	stress->attributes[1] = kelp_format_closest(f, KELP_ATTR_READ | KELP_ATTR_EXEC);
	assert_int_equal(kelp_space_init(&stress->space, f, &stress->port->hooks,
					 KELP_SPACE_NO_GROUPS), KELP_OK);
}

static void teardown(struct stress *stress)
{
	kelp_space_destroy(&stress->space);
	if (stress->port->free_count != PAGES_MAX)
		wrong(stress, "%u pages are lost", PAGES_MAX - stress->port->free_count);
	port_free(stress->port);
	if (stress->wrong)
		fail_msg("%s", stress->what);
}

static void sleep_for(unsigned duration)
{
	struct timespec time = {duration / 1000, (long)(duration % 1000) * 1000000};

	nanosleep(&time, NULL);
}

static void run_threads(struct stress *stress, void *(*writer)(void *), struct thread *writers,
			unsigned writer_count)
{
	pthread_t id[READERS + WRITERS];
	struct thread readers[READERS];
	unsigned started = 0;

	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct thread){.stress = stress, .number = i, .random = 100 + i};
		assert_int_equal(pthread_create(&id[started++], NULL, reader, &readers[i]), 0);
	}
	for (unsigned i = 0; i < writer_count; i++)
		assert_int_equal(pthread_create(&id[started++], NULL, writer, &writers[i]), 0);
	sleep_for(milliseconds());
	__atomic_store_n(&stress->stop, true, __ATOMIC_RELEASE);
	while (started > 0)
		pthread_join(id[--started], NULL);
	/* A test in which nobody ran is none. */
	for (unsigned i = 0; i < READERS; i++)
		assert_true(readers[i].rounds > 0);
	for (unsigned i = 0; i < writer_count; i++)
		assert_true(writers[i].rounds > 0);
}

static void readers_beside_a_writer(void **state)
{
	const struct test_format *entry = *state;
	struct stress stress;
	struct thread writer = {.stress = &stress, .random = 1};

	setup(&stress, &entry->format);
	run_threads(&stress, writer_of_all, &writer, 1);
	teardown(&stress);
}

/* At the end every page is what its writer left, and the others' pages never changed. */
static void compare_at_end(struct stress *stress, const struct thread *writers)
{
	for (unsigned w = 0; w < WRITERS; w++)
		for (unsigned i = 0; i < writers[w].pages; i++) {
			kelp_vaddr_t va = page_of_writer(&writers[w], i);
			unsigned s = writers[w].state[i];
			struct kelp_mapping mapping;

			assert_int_equal(kelp_space_query(&stress->space, va, &mapping), KELP_OK);
			assert_int_equal(mapping.kind, s ? KELP_ENTRY_LEAF : KELP_ENTRY_NONE);
			if (!s)
				continue;
			assert_int_equal(mapping.pa + (va - mapping.va),
					 stress->frame[s - 1u] + (va - stress->base));
			assert_int_equal(mapping.attributes & KELP_ATTR_WRITE,
					 stress->attributes[s - 1u] & KELP_ATTR_WRITE);
		}
}

static void writers_within_one_table(void **state)
{
	const struct test_format *entry = *state;
	struct stress stress;
	struct thread writers[WRITERS];
	unsigned blocks;

	setup(&stress, &entry->format);
	blocks = (unsigned)(stress.span / page_size(&stress) / 4u / WRITERS);
	if (blocks > 32)
		blocks = 32;
	for (unsigned w = 0; w < WRITERS; w++) {
		writers[w] = (struct thread){.stress = &stress, .number = w, .random = w,
					     .pages = 4 * blocks};
		writers[w].state = calloc(writers[w].pages, 1);
		assert_non_null(writers[w].state);
	}
	run_threads(&stress, writer_of_some, writers, WRITERS);
	if (!stress.wrong)
		compare_at_end(&stress, writers);
	for (unsigned w = 0; w < WRITERS; w++)
		free(writers[w].state);
	teardown(&stress);
}

/* ---- races for the first table ----------------------------------------------------------- */

/*
 * The moment in which two writers want the same table, or both split the same large leaf, is
 * short: many rounds, each begun together from fresh tables.
 */
struct race {
	struct stress *stress;
	uint32_t arrived; /* threads, counted over all rounds */
	bool from_a_large_leaf;
	bool over; /* the first thread's word, between meetings */
	uint64_t rounds;
};

struct racer {
	struct race *race;
	unsigned number;
};

/* Returns when both are here: spinning, because sleeping would part them again. */
static void meet(struct race *race, uint32_t *meetings)
{
	uint32_t target = WRITERS * ++*meetings;
	unsigned spins = 0;

	__atomic_add_fetch(&race->arrived, 1, __ATOMIC_ACQ_REL);
	while ((int32_t)(__atomic_load_n(&race->arrived, __ATOMIC_ACQUIRE) - target) < 0)
		if (++spins % 4096 == 0)
			sched_yield();
}

static void begin_round(struct race *race)
{
	struct stress *stress = race->stress;
	struct kelp_flush flush = {0};
	enum kelp_status status;
	/* Two writers may not break one leaf at once (CONCURRENCY in kelp/space.h); to split an
	 * invalid one takes no break. */
	kelp_attr_t invalid = stress->format->bbm_level < 2 ? KELP_ATTR_INVALID : 0;

	kelp_flush_begin(&flush, &stress->space);
	status = kelp_space_unmap(&flush, stress->base, stress->span, KELP_ALLOW_BREAK);
	if (status == KELP_OK)
		status = kelp_space_release(&flush, stress->base, stress->span, NULL);
	if (status == KELP_OK && race->from_a_large_leaf)
		status = kelp_space_map(&flush, stress->base, stress->frame[0], stress->span,
					stress->attributes[0] | invalid, 0);
	if (status != KELP_OK)
		wrong(stress, "a round begins with %s", kelp_status_name(status));
	kelp_flush_commit(&flush);
}

static kelp_vaddr_t page_of_racer(const struct race *race, unsigned number)
{
	/* Neighbours, in the same table at every level. */
	return race->stress->base + (3u + number) * page_size(race->stress);
}

static void end_round(struct race *race)
{
	struct stress *stress = race->stress;

	for (unsigned number = 0; number < WRITERS; number++) {
		kelp_vaddr_t va = page_of_racer(race, number);
		struct kelp_mapping mapping;

		if (kelp_space_query(&stress->space, va, &mapping) != KELP_OK ||
		    mapping.kind != KELP_ENTRY_LEAF ||
		    mapping.pa + (va - mapping.va) != stress->frame[1] + (va - stress->base))
			wrong(stress, "round %llu: what writer %u mapped is not there",
			      (unsigned long long)race->rounds, number);
	}
	race->rounds++;
}

static void *racer(void *argument)
{
	const struct racer *racer = argument;
	struct race *race = racer->race;
	struct stress *stress = race->stress;
	kelp_vaddr_t va = page_of_racer(race, racer->number);
	uint32_t meetings = 0;
	bool stop = false;

	while (!stop) {
		struct kelp_flush flush = {0};
		enum kelp_status status;

		if (racer->number == 0)
			begin_round(race);
		kelp_flush_begin(&flush, &stress->space);
		meet(race, &meetings);
		status = kelp_space_map(&flush, va, stress->frame[1] + (va - stress->base),
					page_size(stress), stress->attributes[1],
					KELP_REPLACE | KELP_ALLOW_BREAK);
		kelp_flush_commit(&flush);
		if (status != KELP_OK)
			wrong(stress, "racer %u gets %s", racer->number, kelp_status_name(status));
		meet(race, &meetings);
		if (racer->number == 0) {
			end_round(race);
			race->over = stopped(stress);
		}
		/* Both see the same answer, or one would wait for ever. */
		meet(race, &meetings);
		stop = race->over;
	}
	return NULL;
}

static void run_race(const struct kelp_format *f, bool from_a_large_leaf)
{
	struct stress stress;
	struct race race = {.stress = &stress, .from_a_large_leaf = from_a_large_leaf};
	struct racer racers[WRITERS];
	pthread_t id[WRITERS];

	setup(&stress, f);
	for (unsigned w = 0; w < WRITERS; w++) {
		racers[w] = (struct racer){&race, w};
		assert_int_equal(pthread_create(&id[w], NULL, racer, &racers[w]), 0);
	}
	sleep_for(milliseconds());
	__atomic_store_n(&stress.stop, true, __ATOMIC_RELEASE);
	for (unsigned w = 0; w < WRITERS; w++)
		pthread_join(id[w], NULL);
	assert_true(race.rounds > 0);
	teardown(&stress);
}

static void race_for_a_table(void **state)
{
	const struct test_format *entry = *state;

	run_race(&entry->format, false);
}

static void race_to_split(void **state)
{
	const struct test_format *entry = *state;

	run_race(&entry->format, true);
}

int main(void)
{
	const struct test_format *formats;
	size_t count = test_formats(&formats), n = 0;
	struct CMUnitTest *tests = calloc(4 * count, sizeof(*tests));
	char (*names)[128] = calloc(4 * count, sizeof(*names));
	int failed;

	if (!tests || !names)
		abort();
	for (size_t i = 0; i < count; i++) {
		static const struct {
			const char *name;
			CMUnitTestFunction body;
		} cases[] = {
			{"readers beside a writer", readers_beside_a_writer},
			{"writers within one table", writers_within_one_table},
			{"a race for a table", race_for_a_table},
			{"a race to split", race_to_split},
		};

		for (unsigned c = 0; c < 4; c++) {
			const struct kelp_format *f = &formats[i].format;

			if (c == 3 && !(f->leaf_sizes >> f->shift[1] & 1))
				continue;
			snprintf(names[n], sizeof(names[n]), "%s: %s", cases[c].name,
				 formats[i].name);
			tests[n] = (struct CMUnitTest){.name = names[n],
						       .test_func = cases[c].body,
						       .initial_state =
							       (void *)(uintptr_t)&formats[i]};
			n++;
		}
	}
	failed = _cmocka_run_group_tests("stress", tests, n, NULL, NULL);
	free(tests);
	free(names);
	return failed != 0;
}
