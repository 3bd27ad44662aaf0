/* SPDX-License-Identifier: MIT */
/* test_hibernate: the machine stopped and carried over, without a disk. */
#include <test.h>

#include <cpu.h>
#include <hibernate.h>
#include <print.h>
#include <thread.h>

/* A chain that anybody can compute again: where it is says how far it must be. */
struct runner {
	struct thread *thread;
	uint64_t state, steps;
	bool stop;
};

static uint64_t chain(uint64_t steps)
{
	uint64_t state = 1;

	while (steps--)
		(void)test_random(&state);
	return state;
}

static void run(void *argument)
{
	struct runner *runner = argument;

	runner->state = 1;
	while (!__atomic_load_n(&runner->stop, __ATOMIC_ACQUIRE)) {
		(void)test_random(&runner->state);
		__atomic_fetch_add(&runner->steps, 1, __ATOMIC_RELEASE);
		if (runner->steps % 64u == 0)
			thread_sleep(500);
	}
}

static void threads_go_on(void)
{
	static struct runner runner[4];
	uint64_t before[4], tick = arch_ticks();

	memset(runner, 0, sizeof(runner));
	for (unsigned i = 0; i < 4; i++)
		runner[i].thread = thread_start("runner", run, &runner[i], THREAD_ANY_CPU);
	for (unsigned round = 0; round < 3; round++) {
		const char *why;

		thread_sleep(3000);
		for (unsigned i = 0; i < 4; i++)
			before[i] = __atomic_load_n(&runner[i].steps, __ATOMIC_ACQUIRE);
		why = hibernate_in_memory();
		if (why)
			kprintf("# %s\n", why);
		CHECK(!why);
		thread_sleep(20000);
		for (unsigned i = 0; i < 4; i++)
			CHECK(__atomic_load_n(&runner[i].steps, __ATOMIC_ACQUIRE) > before[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		__atomic_store_n(&runner[i].stop, true, __ATOMIC_RELEASE);
		thread_join(runner[i].thread);
		CHECK(runner[i].state == chain(runner[i].steps));
	}
	CHECK(arch_ticks() > tick && ticks_to_microseconds(arch_ticks() - tick) < 20000000u);
}

static void nop(void *argument)
{
	__atomic_fetch_add((unsigned *)argument, 1, __ATOMIC_RELAXED);
}

/* Every CPU answers, and shootdowns reach them, as before. */
static void cpus_come_back(void)
{
	unsigned answered = 0, online = 0;
	const char *why = hibernate_in_memory();

	CHECK(!why);
	for (unsigned i = 0; i < cpu_count; i++)
		online += cpus[i]->online;
	CHECK(cpus_call(nop, &answered) == online - 1u && answered == online - 1u);
}

const struct test hibernate_tests[] = {
	{"hibernate: the CPUs come back", cpus_come_back, 0},
	{"hibernate: threads go on where they were", threads_go_on, 0},
};
const unsigned hibernate_test_count = ARRAY_COUNT(hibernate_tests);
