/* SPDX-License-Identifier: MIT */
/*
 * test_kmap: local and global maps in slots. The functions behind the compare are called
 * directly, so that the slots are used although the frames are in the direct map.
 */
#include <test.h>

#include <cpu.h>
#include <frames.h>
#include <print.h>
#include <reach.h>
#include <thread.h>

#define TEST_MICROSECONDS 200000u

/* ---- local ------------------------------------------------------------------------------- */

static void local_maps_nest(void)
{
	uint64_t *map[KELP_KMAP_DEPTH], value;
	kelp_paddr_t frame[KELP_KMAP_DEPTH];

	for (unsigned i = 0; i < KELP_KMAP_DEPTH; i++) {
		frame[i] = test_frames(0);
		test_put(frame[i] + 8 * i, 7000 + i);
	}
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < KELP_KMAP_DEPTH; i++) {
			kelp_pfn_t found;

			map[i] = kmap_local_mapped(frame[i] + 8 * i);
			CHECK(*map[i] == 7000 + i);
			CHECK(kelp_is_kmap_address(&kernel_kmap, (uintptr_t)map[i]));
			CHECK(kelp_kmap_to_frame(&kernel_kmap, (uintptr_t)map[i], &found) ==
				      KELP_OK && found.number == frame[i] >> PAGE_SHIFT);
			/* Pages between slots are never mapped. */
			CHECK(test_load(align_down((uintptr_t)map[i], PAGE_SIZE) - 8, &value) ==
			      PROBE_NOT_PRESENT);
		}
		for (unsigned i = KELP_KMAP_DEPTH; i-- > 0;) {
			*map[i] = 7000 + i;
			kunmap_local_mapped(map[i]);
			CHECK(test_load((uintptr_t)map[i], &value) == PROBE_NOT_PRESENT);
		}
	}
	CHECK(current_thread()->kmap.depth == 0);
}

/* Two threads on one CPU with all slots in use, and some that would like to move. */
enum { OWN = KELP_KMAP_DEPTH, THREADS = 12 };
static struct own {
	kelp_paddr_t frame[OWN];
	unsigned depth;
	bool sleeps;
} own[THREADS];

static void hold_maps(void *argument)
{
	struct own *me = argument;
	unsigned moved = 0;

	for (unsigned round = 0; round < 30; round++) {
		uint64_t *map[OWN];
		unsigned cpu;

		for (unsigned i = 0; i < me->depth; i++)
			map[i] = kmap_local_mapped(me->frame[i]);
		cpu = this_cpu()->index;
		for (unsigned turn = 0; turn < 4; turn++) {
			if (me->sleeps && turn == 1)
				thread_sleep(200u + 30u * me->depth);
			else
				thread_yield();
			moved += this_cpu()->index != cpu;
			for (unsigned i = 0; i < me->depth; i++) {
				if (*map[i] != me->frame[i] + round)
					test_fail(__FILE__, __LINE__,
						  "a map shows another thread's frame");
				__asm__ volatile("" ::: "memory");
			}
		}
		for (unsigned i = me->depth; i-- > 0;) {
			*map[i] += 1;
			kunmap_local_mapped(map[i]);
		}
	}
	if (moved)
		test_fail(__FILE__, __LINE__, "a thread changed CPUs while it held a map");
}

static void local_maps_stay_with_their_thread(void)
{
	struct thread *thread[THREADS];

	for (unsigned t = 0; t < THREADS; t++) {
		kelp_paddr_t block = test_frames(frames_order(OWN * PAGE_SIZE));

		own[t].depth = t < 2 ? OWN : t;
		own[t].sleeps = t % 3 == 2;
		for (unsigned i = 0; i < OWN; i++) {
			own[t].frame[i] = block + i * PAGE_SIZE;
			test_put(own[t].frame[i], own[t].frame[i]);
		}
	}
	for (unsigned t = 0; t < THREADS; t++) {
		thread[t] = thread_start("maps", hold_maps, &own[t],
					 t < 2 ? this_cpu()->index : THREAD_ANY_CPU);
		REQUIRE(thread[t]);
	}
	for (unsigned t = 0; t < THREADS; t++)
		thread_join(thread[t]);
}

static kelp_paddr_t interrupt_frame;
static uint64_t wrong_in_interrupt;

/* In an interrupt of whatever thread runs, with its stack of maps as deep as it may be. */
static void map_in_interrupt(void *argument)
{
	uint64_t *map[4];

	(void)argument;
	for (unsigned i = 0; i < ARRAY_COUNT(map); i++) {
		map[i] = kmap_local_mapped(interrupt_frame);
		if (*map[i] != 8888)
			__atomic_fetch_add(&wrong_in_interrupt, 1, __ATOMIC_RELAXED);
	}
	for (unsigned i = ARRAY_COUNT(map); i-- > 0;)
		kunmap_local_mapped(map[i]);
}

static void map_and_unmap(unsigned index)
{
	uint64_t *map[12];
	unsigned depth = 1u + (unsigned)(arch_ticks() >> 4) % ARRAY_COUNT(map);

	for (unsigned i = 0; i < depth; i++)
		map[i] = kmap_local_mapped(own[index % THREADS].frame[i]);
	for (unsigned i = depth; i-- > 0;) {
		if (*map[i] != own[index % THREADS].frame[i])
			test_fail(__FILE__, __LINE__, "an interrupt left another frame behind");
		kunmap_local_mapped(map[i]);
	}
}

static void local_maps_in_interrupts(void)
{
	uint64_t start = time_microseconds(), calls = 0;

	interrupt_frame = test_frames(0);
	test_put(interrupt_frame, 8888);
	wrong_in_interrupt = 0;
	for (unsigned t = 0; t < THREADS; t++) {
		kelp_paddr_t block = test_frames(frames_order(OWN * PAGE_SIZE));

		for (unsigned i = 0; i < OWN; i++) {
			own[t].frame[i] = block + i * PAGE_SIZE;
			test_put(own[t].frame[i], own[t].frame[i]);
		}
	}
	test_hammers_start(map_and_unmap);
	for (; time_microseconds() - start < TEST_MICROSECONDS && !test_failed(); calls++)
		cpus_call(map_in_interrupt, NULL);
	test_hammers_stop();
	CHECK(calls > 0 && wrong_in_interrupt == 0);
}

/* Slots are each CPU's own: on another CPU the same depth is another address. */
static kelp_vaddr_t local_address[CPUS_MAX];

static void note_local_address(void *argument)
{
	void *map = kmap_local_mapped(*(const kelp_paddr_t *)argument);

	local_address[this_cpu()->index] = (uintptr_t)map;
	kunmap_local_mapped(map);
}

static void local_maps_are_of_one_cpu(void)
{
	kelp_paddr_t frame = test_frames(0);

	cpus_call(note_local_address, &frame);
	note_local_address(&frame);
	for (unsigned i = 0; i < cpu_count; i++)
		for (unsigned j = 0; j < i; j++)
			if (cpus[i]->online && cpus[j]->online)
				CHECK(local_address[i] >> PAGE_SHIFT !=
				      local_address[j] >> PAGE_SHIFT);
}

/* ---- global ------------------------------------------------------------------------------ */

enum { FRAMES = 2 * KMAP_GLOBAL_PAGES };
static kelp_paddr_t global_block;

/* More frames than slots, one after the other, while others do the same. */
static void map_some(unsigned index)
{
	static uint32_t next[TEST_HAMMERS];
	uint64_t *map[5];
	unsigned first = next[index]++ * 7u + index * 64u;

	for (unsigned i = 0; i < ARRAY_COUNT(map); i++)
		map[i] = kmap_mapped(global_block + (first + i * 11u) % FRAMES * PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_COUNT(map); i++) {
		if (*map[i] != 6000u + (first + i * 11u) % FRAMES)
			test_fail(__FILE__, __LINE__, "a global map shows another frame");
		kunmap_mapped(map[i]);
	}
}

static void fill_global_block(void)
{
	global_block = test_frames(frames_order(FRAMES * PAGE_SIZE));
	for (unsigned i = 0; i < FRAMES; i++)
		test_put(global_block + i * PAGE_SIZE, 6000u + i);
}

static void global_maps_wrap(void)
{
	uint64_t wraps = kernel_kmap.wraps;

	fill_global_block();
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < FRAMES; i++) {
			uint64_t *map = kmap_mapped(global_block + i * PAGE_SIZE);
			uint64_t *again = kmap_mapped(global_block + i * PAGE_SIZE);

			CHECK(map == again && *map == 6000u + i);
			kunmap_mapped(map);
			kunmap_mapped(again);
		}
	}
	CHECK(kernel_kmap.wraps >= wraps + 2u * FRAMES / KMAP_GLOBAL_PAGES - 1u);
}

static void global_maps_on_all_cpus(void)
{
	uint64_t wraps = kernel_kmap.wraps, start, maps = 0;

	fill_global_block();
	test_hammers_start(map_some);
	start = time_microseconds();
	for (; time_microseconds() - start < TEST_MICROSECONDS && !test_failed(); maps++) {
		unsigned i = (unsigned)maps * 3u % FRAMES;
		uint64_t *map = kmap_mapped(global_block + i * PAGE_SIZE);

		CHECK(*map == 6000u + i);
		kunmap_mapped(map);
	}
	test_hammers_stop();
	/* A crowded host does not get around. */
	CHECK(kernel_kmap.wraps > wraps || maps < KMAP_GLOBAL_PAGES);
}

static volatile bool got_one;

static void want_one_more(void *argument)
{
	uint64_t *map = kmap_mapped(global_block + (FRAMES - 1u) * PAGE_SIZE);

	(void)argument;
	if (*map != 6000u + FRAMES - 1u)
		test_fail(__FILE__, __LINE__, "a map that was waited for shows another frame");
	kunmap_mapped(map);
	got_one = true;
}

/* All slots in use: the next to come sleeps until one is let go of. */
static void a_full_range_is_waited_for(void)
{
	static void *map[KMAP_GLOBAL_PAGES];
	struct thread *thread[2];

	fill_global_block();
	got_one = false;
	for (unsigned i = 0; i < KMAP_GLOBAL_PAGES; i++)
		map[i] = kmap_mapped(global_block + i * PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_COUNT(thread); i++) {
		thread[i] = thread_start("one more", want_one_more, NULL, THREAD_ANY_CPU);
		REQUIRE(thread[i]);
	}
	thread_sleep(10000);
	CHECK(!got_one);
	for (unsigned i = 0; i < KMAP_GLOBAL_PAGES; i++)
		CHECK(*(const uint64_t *)map[i] == 6000u + i);
	kunmap_mapped(map[17]);
	for (unsigned i = 0; i < ARRAY_COUNT(thread); i++)
		thread_join(thread[i]);
	CHECK(got_one);
	for (unsigned i = 0; i < KMAP_GLOBAL_PAGES; i++)
		if (i != 17)
			kunmap_mapped(map[i]);
}

const struct test kmap_tests[] = {
	{"kmap: local maps nest", local_maps_nest, 0},
	{"kmap: local maps stay with their thread", local_maps_stay_with_their_thread, 0},
	{"kmap: local maps in interrupts", local_maps_in_interrupts, 2},
	{"kmap: local maps are of one CPU", local_maps_are_of_one_cpu, 2},
	{"kmap: global maps wrap", global_maps_wrap, 0},
	{"kmap: global maps on all CPUs", global_maps_on_all_cpus, 2},
	{"kmap: a full range is waited for", a_full_range_is_waited_for, 0},
};
const unsigned kmap_test_count = ARRAY_COUNT(kmap_tests);
