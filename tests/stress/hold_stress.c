/* SPDX-License-Identifier: MIT */
/*
 * Holds with threads: readers that hold, nest, pass on and walk, beside a remover that sends
 * subsections through every state, RAM and device memory, and gives up now and then. Descriptors
 * are read and written with plain accesses, are poisoned when offline and freed when removed: a
 * hold that does not hold is a data race, a use after free, or poison. Meant for ThreadSanitizer
 * and AddressSanitizer, and right without them.
 *
 * Bad programs run in a child process, which must fail.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <kelp/hotplug.h>

#define READERS     3u
#define SUBSECTIONS 6u
#define SUB         16u /* frames */
#define CASE_TIME   300u /* milliseconds; times KELP_TEST_SCALE */
#define MAILBOXES   2u

struct page {
	uint32_t number;
	uint32_t sane; /* EXACTLY ^ number */
	/* By whoever holds the frame: one word per reader, so that they do not race. */
	uint32_t mine[READERS];
};

#define EXACTLY UINT32_C(0x5a11e57)

enum bug { BUG_NONE, BUG_NO_WAIT, BUG_NO_HOLD, BUG_LOOK_FIRST };

struct mail {
	struct kelp_hold hold;
	uint64_t pfn;
};

struct stress {
	struct kelp_port port;
	struct kelp_memmap map;
	struct kelp_hotplug plug;
	void *memory;
	enum bug bug;
	uint32_t flags;
	uint32_t stop;
	uint32_t failed;
	uint64_t held, missed, gave_up, cycles;
	struct mail *mailbox[MAILBOXES];
	bool interrupts;
	uint32_t interrupted;
};

static uint32_t random_next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

/* ---- the embedder ------------------------------------------------------------------------------ */

static void *take(void *context, enum kelp_memmap_memory what, size_t size)
{
	void *memory = aligned_alloc(64, (size + 63u) & ~(size_t)63u);

	(void)context, (void)what;
	if (!memory)
		abort();
	return memory;
}

static void give(void *context, enum kelp_memmap_memory what, void *memory, size_t size)
{
	(void)context, (void)what;
	memset(memory, 0xdd, size);
	free(memory);
}

static void initialise(void *context, void *pages, kelp_pfn_t first, uint64_t frames,
		       kelp_zone_t zone, bool device)
{
	struct page *page = pages;

	(void)context, (void)zone, (void)device;
	for (uint64_t i = 0; i < frames; i++)
		page[i].sane = EXACTLY ^ (uint32_t)(first.number + i);
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
	fprintf(stderr, "kelp panic: %s (%s)\n", what, where);
	abort();
}

static void barrier(void *context)
{
	(void)context;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
		abort();
}

static uintptr_t enter_nothing(void *context, uint32_t cpu)
{
	(void)context, (void)cpu;
	return 0;
}

static void leave_nothing(void *context, uint32_t cpu, uintptr_t cookie)
{
	(void)context, (void)cpu, (void)cookie;
}

static enum kelp_status wait_for_nothing(void *context, const struct kelp_hold_wait *wait)
{
	(void)context, (void)wait;
	return KELP_OK;
}

static const struct kelp_hold_domain bad_no_wait = {NULL, enter_nothing, leave_nothing,
						    wait_for_nothing};

/* ---- readers ----------------------------------------------------------------------------------- */

static void look(struct stress *s, unsigned me, struct page *page, uint64_t pfn)
{
	for (unsigned i = 0; i < 8; i++) {
		if (page->sane != (EXACTLY ^ (uint32_t)pfn))
			__atomic_store_n(&s->failed, 1, __ATOMIC_RELAXED);
		page->mine[me]++;
		/* A bad program is to be caught on a busy machine too: the window is wide. */
		if (s->bug != BUG_NONE && i == 3)
			sched_yield();
	}
}

/* The flag is read, and only then the hold begins. */
static void look_first(struct stress *s, unsigned me, kelp_pfn_t pfn)
{
	struct kelp_hold hold;

	if (!kelp_pfn_active(&s->map, pfn))
		return;
	sched_yield(); /* the window is wide here, too */
	kelp_hold_enter(&s->map.holds, me, (uint32_t)(pfn.number / SUB), pfn, &hold);
	look(s, me, kelp_pfn_to_page(&s->map, pfn), pfn.number);
	kelp_hold_leave(&s->map.holds, me, &hold);
}

static void read_one(struct stress *s, unsigned me, kelp_pfn_t pfn, uint64_t *seed)
{
	uint32_t cpu = s->flags & KELP_HOLDS_SHARED ? 0 : me;
	struct kelp_hold hold;
	enum kelp_status status;

	if (s->bug == BUG_NO_HOLD) {
		if (kelp_pfn_active(&s->map, pfn))
			look(s, me, kelp_pfn_to_page(&s->map, pfn), pfn.number);
		return;
	}
	if (s->bug == BUG_LOOK_FIRST) {
		look_first(s, me, pfn);
		return;
	}
	switch (random_next(seed) % 4) {
	case 0: status = kelp_page_hold_online(&s->map, cpu, pfn, &hold); break;
	case 1: status = kelp_page_hold_device(&s->map, cpu, pfn, &hold); break;
	default: status = kelp_page_hold_any(&s->map, cpu, pfn, &hold); break;
	}
	if (status != KELP_OK) {
		__atomic_add_fetch(&s->missed, 1, __ATOMIC_RELAXED);
		return;
	}
	__atomic_add_fetch(&s->held, 1, __ATOMIC_RELAXED);
	look(s, me, kelp_hold_page(&hold), pfn.number);
	if (random_next(seed) % 8 == 0) {
		/* Another one within, and off the CPU. */
		struct kelp_hold inner;

		if (kelp_page_hold_any(&s->map, cpu, pfn, &inner) == KELP_OK) {
			sched_yield();
			look(s, me, kelp_hold_page(&inner), pfn.number);
			kelp_page_release(&s->map, cpu, &inner);
		}
	}
	if (random_next(seed) % 8 == 0) {
		/* Passed on to whoever comes. */
		struct mail *mail = malloc(sizeof(*mail));

		if (!mail)
			abort();
		*mail = (struct mail){hold, pfn.number};
		mail = __atomic_exchange_n(&s->mailbox[random_next(seed) % MAILBOXES], mail,
					   __ATOMIC_ACQ_REL);
		if (mail) {
			look(s, me, kelp_hold_page(&mail->hold), mail->pfn);
			kelp_page_release(&s->map, cpu, &mail->hold);
			free(mail);
		}
		return;
	}
	kelp_page_release(&s->map, cpu, &hold);
}

static void walk(struct stress *s, unsigned me)
{
	uint32_t cpu = s->flags & KELP_HOLDS_SHARED ? 0 : me;
	kelp_pfn_t at = {0}, first, last;

	while (kelp_memmap_next(&s->map, KELP_FRAMES_ACTIVE, at, &first, &last)) {
		struct kelp_subsection_hold hold;

		at.number = (first.number | (SUB - 1u)) + 1u;
		if (s->bug == BUG_NO_HOLD || kelp_subsection_hold(&s->map, cpu, KELP_FRAMES_ACTIVE,
								   first, &hold) != KELP_OK)
			continue;
		for (unsigned i = 0; i < hold.frames; i++)
			look(s, me, (struct page *)kelp_hold_page(&hold.hold) + i,
			     hold.first.number + i);
		kelp_subsection_release(&s->map, cpu, &hold);
	}
}

struct thread {
	struct stress *stress;
	unsigned number;
	pthread_t thread;
};

static _Thread_local struct thread *this_thread;

/* A signal is this thread's interrupt: it holds and releases on the same CPU, at any instant. */
static void on_signal(int number)
{
	struct thread *t = this_thread;
	struct kelp_hold hold;

	(void)number;
	for (uint64_t i = 0; t && i < SUBSECTIONS * SUB; i += SUB / 2u) {
		const struct page *page;

		if (kelp_page_hold_any(&t->stress->map, t->number, (kelp_pfn_t){i}, &hold) !=
		    KELP_OK)
			continue;
		page = kelp_hold_page(&hold);
		if (page->sane != (EXACTLY ^ (uint32_t)i))
			__atomic_store_n(&t->stress->failed, 1, __ATOMIC_RELAXED);
		kelp_page_release(&t->stress->map, t->number, &hold);
		__atomic_add_fetch(&t->stress->interrupted, 1, __ATOMIC_RELAXED);
	}
}

static void *read_many(void *argument)
{
	struct thread *t = argument;
	uint64_t seed = 1000u + t->number;

	this_thread = t;

	while (!__atomic_load_n(&t->stress->stop, __ATOMIC_RELAXED)) {
		for (unsigned i = 0; i < 64; i++) {
			kelp_pfn_t pfn = {random_next(&seed) % (SUBSECTIONS * SUB)};

			read_one(t->stress, t->number, pfn, &seed);
		}
		walk(t->stress, t->number);
		/* On few CPUs the remover gets its turn. */
		sched_yield();
	}
	return NULL;
}

/* ---- the remover ---------------------------------------------------------------------------------- */

static void empty_mailboxes(struct stress *s)
{
	for (unsigned i = 0; i < MAILBOXES; i++) {
		struct mail *mail = __atomic_exchange_n(&s->mailbox[i], NULL, __ATOMIC_ACQ_REL);

		if (mail)
			kelp_page_release(&s->map, READERS, &mail->hold);
		free(mail);
	}
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

struct patience {
	struct stress *stress;
	uint32_t looks;
	uint64_t since; /* milliseconds */
};

/* A count that was lost is waited for in vain. */
#define IN_VAIN 60000u

static bool again(void *context, uint32_t looks)
{
	struct patience *p = context;

	/* What lies in a mailbox is held until somebody comes. */
	if (looks > 1)
		empty_mailboxes(p->stress);
	sched_yield();
	if (now_ms() - p->since > IN_VAIN) {
		fprintf(stderr, "the wait does not end\n");
		abort();
	}
	return looks < p->looks;
}

enum kind { ABSENT, OFFLINE, ONLINE, DEVICE };

static enum kind step(struct stress *s, uint64_t n, enum kind kind, uint64_t *seed)
{
	struct patience p = {s, random_next(seed) % 4 == 0 ? 1u : UINT32_MAX, now_ms()};
	const struct kelp_hold_wait wait = {&p, again};
	kelp_pfn_t first = {n * SUB};
	enum kelp_status status = KELP_OK;
	enum kind next = kind;

	switch (kind) {
	case ABSENT:
		next = random_next(seed) % 2 ? OFFLINE : DEVICE;
		status = next == OFFLINE ? kelp_hotplug_add(&s->plug, first, SUB, 0, 0)
					 : kelp_hotplug_attach(&s->plug, first, SUB, 0, 0);
		break;
	case OFFLINE:
		next = random_next(seed) % 2 ? ONLINE : ABSENT;
		status = next == ONLINE ? kelp_hotplug_online(&s->plug, first, SUB)
					: kelp_hotplug_remove(&s->plug, first, SUB);
		break;
	case ONLINE:
		next = OFFLINE;
		status = kelp_hotplug_offline(&s->plug, first, SUB, &wait);
		break;
	case DEVICE:
		next = ABSENT;
		status = kelp_hotplug_detach(&s->plug, first, SUB, &wait);
		break;
	}
	if (status == KELP_ERR_BUSY && p.looks == 1) {
		s->gave_up++;
		return kind;
	}
	if (status != KELP_OK) {
		fprintf(stderr, "step from %u to %u: %s\n", kind, next, kelp_status_name(status));
		abort();
	}
	s->cycles++;
	return next;
}

static void run(struct stress *s, unsigned ms)
{
	struct thread threads[READERS];
	enum kind kind[SUBSECTIONS] = {ABSENT};
	uint64_t seed = 7, end = now_ms() + ms;

	for (unsigned i = 0; i < READERS; i++) {
		threads[i] = (struct thread){.stress = s, .number = i};
		if (pthread_create(&threads[i].thread, NULL, read_many, &threads[i]) != 0)
			abort();
	}
	while (now_ms() < end && !__atomic_load_n(&s->failed, __ATOMIC_RELAXED)) {
		uint64_t n = random_next(&seed) % SUBSECTIONS;

		kind[n] = step(s, n, kind[n], &seed);
		for (unsigned i = 0; s->interrupts && i < READERS; i++)
			pthread_kill(threads[i].thread, SIGUSR1);
		if (random_next(&seed) % 4 == 0)
			sched_yield();
	}
	__atomic_store_n(&s->stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i].thread, NULL);
	empty_mailboxes(s);
}

/* ---- the cases -------------------------------------------------------------------------------------- */

static unsigned case_time(void)
{
	const char *scale = getenv("KELP_TEST_SCALE");

	return CASE_TIME * (scale ? (unsigned)atoi(scale) : 1u);
}

static void begin(struct stress *s, bool asymmetric, uint32_t flags, enum bug bug)
{
	const struct kelp_hotplug_hooks hooks = {.isolate = isolate, .give_back = give_back};
	struct kelp_memmap_config config = {
		.port = &s->port,
		.page_shift = 12,
		.physical_bits = 32,
		.section_shift = 18,
		.subsection_shift = 16,
		.descriptor_size = sizeof(struct page),
		.frame_offset = offsetof(struct page, number),
		.frame_bytes = 4,
		.holds = {.cpus = READERS + 1,
			  .flags = flags,
			  .barrier = asymmetric ? barrier : NULL,
			  .domain = bug == BUG_NO_WAIT ? &bad_no_wait : NULL},
		.take = take,
		.give = give,
		.initialise = initialise,
	};
	size_t size;

	memset(s, 0, sizeof(*s));
	s->port.panic = panic;
	s->bug = bug;
	s->flags = flags;
	if (kelp_memmap_size(&config, &size) != KELP_OK)
		abort();
	s->memory = config.memory = aligned_alloc(64, (size + 63u) & ~(size_t)63u);
	if (!s->memory || kelp_memmap_init(&s->map, &config) != KELP_OK ||
	    kelp_hotplug_init(&s->plug, &s->map, &hooks) != KELP_OK)
		abort();
}

static void end(struct stress *s)
{
	for (uint32_t bucket = 0; bucket <= s->map.holds.bucket_mask; bucket++)
		assert_int_equal(kelp_holds_count(&s->map.holds, bucket), 0);
	kelp_memmap_destroy(&s->map);
	free(s->memory);
}

static void good(bool asymmetric, uint32_t flags)
{
	struct stress s;

	begin(&s, asymmetric, flags, BUG_NONE);
	run(&s, case_time());
	print_message("%llu held, %llu refused, %llu steps, %llu given up\n",
		      (unsigned long long)s.held, (unsigned long long)s.missed,
		      (unsigned long long)s.cycles, (unsigned long long)s.gave_up);
	assert_int_equal(s.failed, 0);
	/* It did what it is for. */
	assert_true(s.held > 100 && s.cycles > 10);
	end(&s);
}

static void good_fence(void **state)
{
	(void)state;
	good(false, 0);
}

static void good_barrier(void **state)
{
	(void)state;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0) {
		print_message("skipped: this system has no membarrier()\n");
		skip();
	}
	good(true, 0);
}

/* All on one number: hints. */
static void good_shared(void **state)
{
	(void)state;
	good(false, KELP_HOLDS_SHARED);
}

/* Holds in the midst of holds' own additions: none may be lost. */
static void good_interrupts(void **state)
{
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	bool asymmetric = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
				  0) == 0;
	struct stress s;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	begin(&s, asymmetric, 0, BUG_NONE);
	s.interrupts = true;
	run(&s, case_time());
	print_message("%llu held, %u in interrupts\n", (unsigned long long)s.held, s.interrupted);
	assert_int_equal(s.failed, 0);
	assert_true(s.interrupted > 100);
	end(&s);
}

/* A child that must fail: by what it reads, by a sanitizer, or by a crash. */
static void bad(enum bug bug)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		struct stress s;

		if (!freopen("/dev/null", "w", stderr))
			_exit(0);
		begin(&s, false, 0, bug);
		run(&s, 20000); /* it ends when it fails */
		/* With exit handlers: sanitizers report there. */
		exit(s.failed ? 3 : 0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_not_equal(status, 0);
}

static void bad_without_wait(void **state)
{
	(void)state;
	bad(BUG_NO_WAIT);
}

static void bad_without_hold(void **state)
{
	(void)state;
	bad(BUG_NO_HOLD);
}

static void bad_flag_read_first(void **state)
{
	(void)state;
	bad(BUG_LOOK_FIRST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_fence),       cmocka_unit_test(good_barrier),
		cmocka_unit_test(good_shared),      cmocka_unit_test(good_interrupts),
		cmocka_unit_test(bad_without_wait), cmocka_unit_test(bad_without_hold),
		cmocka_unit_test(bad_flag_read_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
