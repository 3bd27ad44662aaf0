/* SPDX-License-Identifier: MIT */
/*
 * An interrupt between any two instructions of a hold and of a release: the processor's trap flag
 * gives one after each, and its handler holds and releases on the same CPU. No count is lost.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "exist.h"

#define SUB EXIST_SMALL_SUBSECTION

#if defined(__x86_64__) || defined(__i386__)

static struct exist *world;
static unsigned traps, refused;

static void barrier(void *context)
{
	(void)context;
}

/* One thread: nobody needs a fence. */
static void fast(struct kelp_memmap_config *config)
{
	config->holds.barrier = barrier;
}

static void with_fence(struct kelp_memmap_config *config)
{
	(void)config;
}

static void on_trap(int number)
{
	struct kelp_hold hold;

	(void)number;
	traps++;
	if (kelp_page_hold_any(&world->map, 0, exist_pfn(2 * SUB + 3), &hold) != KELP_OK)
		refused++;
	else
		kelp_page_release(&world->map, 0, &hold);
}

/* Signal handlers run with the flag clear, and it is set again when they return. */
static inline void trap_flag(uintptr_t set)
{
#if defined(__x86_64__)
	/* Not into the red zone. */
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\t"
			 "orq %0, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp"
			 : : "r"(set) : "memory", "cc");
#else
	__asm__ volatile("pushfl\n\tandl $~0x100, (%%esp)\n\torl %0, (%%esp)\n\tpopfl"
			 : : "r"(set) : "memory", "cc");
#endif
}

static uint32_t held(void)
{
	const struct kelp_hold_counters *counters = (const void *)world->map.holds.counters;
	uint32_t sum = 0;

	for (unsigned bucket = 0; bucket < 4; bucket++)
		sum += counters[bucket].held[0] + counters[bucket].held[1];
	return sum;
}

static void at_every_instruction(void **state)
{
	void (*const ways[])(struct kelp_memmap_config *) = {fast, with_fence};
	const struct sigaction action = {.sa_handler = on_trap};
	struct sigaction before;

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		uint32_t start;

		world = exist_new(false, ways[way]);
		assert_int_equal(kelp_hotplug_add(&world->plug, exist_pfn(2 * SUB), SUB, 0, 0),
				 KELP_OK);
		assert_int_equal(kelp_hotplug_online(&world->plug, exist_pfn(2 * SUB), SUB),
				 KELP_OK);
		assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
		traps = refused = 0;
		start = held();
		for (unsigned i = 0; i < 20; i++) {
			enum kelp_status status;
			struct kelp_hold hold;

			trap_flag(0x100);
			status = kelp_page_hold_online(&world->map, 0, exist_pfn(2 * SUB), &hold);
			kelp_page_release(&world->map, 0, &hold);
			trap_flag(0);
			assert_int_equal(status, KELP_OK);
		}
		assert_int_equal(sigaction(SIGTRAP, &before, NULL), 0);
		/* A hold and a release have more than ten instructions. */
		assert_true(traps > 20 * 10);
		assert_int_equal(refused, 0);
		assert_int_equal(held() - start, 20 + traps);
		assert_int_equal(kelp_holds_count(&world->map.holds, 2), 0);
		assert_int_equal(kelp_hotplug_offline(&world->plug, exist_pfn(2 * SUB), SUB, NULL),
				 KELP_OK);
		exist_free(world);
	}
}

#else

static void at_every_instruction(void **state)
{
	(void)state;
	print_message("skipped: this machine's trap flag is not known here\n");
	skip();
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(at_every_instruction)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
