/* SPDX-License-Identifier: MIT */
/*
 * test_highmem: memory beyond the direct map, reached through kmap alone: all of it, by all CPUs
 * at once, across switches of threads and from interrupts; global maps under contention. Where
 * the direct map has everything they are skipped, unless `kmap=force` keeps it out.
 */
#include <test.h>

#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <lock.h>
#include <print.h>
#include <reach.h>
#include <thread.h>

/* Hosts have fewer processors than we emulate: each test lasts so long, not so many rounds. */
#define TEST_MICROSECONDS 250000u

/* What a frame holds is different for every frame and every word of it. */
static uint64_t pattern(kelp_paddr_t address)
{
	return (address >> 3) * UINT64_C(0x9e3779b97f4a7c15) ^ address << 40;
}

/* A block of zeroed frames that kmap has to map; false, and the test is skipped: there is none. */
static bool take_high(unsigned order, kelp_paddr_t *block)
{
	struct frame_stats stats;

	frames_stats(&stats);
	if (!stats.high_free && !(kernel_kmap.flags & KELP_KMAP_FORCE)) {
		test_skip("all memory is in the direct map (try kmap=force)");
		return false;
	}
	/* Single pages may come from a CPU's cache, where there are low ones. */
	*block = test_frames(order ? order : 1);
	if (!kmap_is_direct(*block))
		return true;
	test_skip("no block of high memory is as large");
	return false;
}

/*
 * One thread on each CPU, bound to it, but on no more than `limit` of them, far apart; returns
 * when all have ended. A lock that goes round many CPUs takes its time on a host with few.
 */
static void run_on_cpus(unsigned limit, void (*function)(void *argument))
{
	struct thread *thread[CPUS_MAX] = {NULL};
	unsigned step = (cpu_count + limit - 1u) / limit;

	for (unsigned i = 0; i < cpu_count; i += step) {
		if (!cpus[i]->online)
			continue;
		thread[i] = thread_start("highmem", function, (void *)(uintptr_t)i, i);
		CHECK(thread[i]);
	}
	for (unsigned i = 0; i < cpu_count; i++)
		if (thread[i])
			thread_join(thread[i]);
}

static bool time_left(uint64_t start)
{
	return time_microseconds() - start < TEST_MICROSECONDS && !test_failed();
}

/* ---- who gets it ------------------------------------------------------------------------- */

enum { BLOCKS = 512 };
static struct {
	kelp_paddr_t address;
	unsigned order;
} blocks[BLOCKS];
static unsigned block_count;

static void give_blocks(void)
{
	while (block_count) {
		block_count--;
		frames_give(blocks[block_count].order, blocks[block_count].address);
	}
	frames_drain();
}

/* Everything that is free up to `limit`, the largest blocks first; `from`: nothing below. */
static uint64_t take_all(kelp_paddr_t from, kelp_paddr_t limit)
{
	uint64_t frames = 0;

	frames_drain();
	for (unsigned order = FRAME_ORDERS; order-- > 0 && block_count < BLOCKS;) {
		while (block_count < BLOCKS) {
			kelp_paddr_t address;

			if (!frames_take(order, limit, &address))
				break;
			if (address < from) {
				frames_give(order, address);
				break;
			}
			blocks[block_count].address = address;
			blocks[block_count++].order = order;
			frames += UINT64_C(1) << order;
		}
	}
	return frames;
}

static void low_and_high_are_apart(void)
{
	struct frame_stats stats;
	kelp_paddr_t address;
	uint64_t frames;

	frames_drain();
	frames_stats(&stats);
	if (stats.high_free <= stats.movable_free) {
		test_skip("all memory that stays where it is lies in the direct map");
		return;
	}
	/* The direct map's frames come last to those who take any. */
	REQUIRE(frames_take(1, FRAME_ANYWHERE, &address));
	CHECK(address > FRAME_DIRECT);
	frames_give(1, address);
	frames = take_all(0, FRAME_DIRECT);
	test_note("frames", frames);
	CHECK(frames > 0 && block_count < BLOCKS);
	for (unsigned i = 0; i < block_count; i++)
		CHECK(blocks[i].address + (PAGE_SIZE << blocks[i].order) - 1u <= FRAME_DIRECT);
	CHECK(!frames_take(0, FRAME_DIRECT, &address));
	if (frames_take(0, FRAME_ANYWHERE, &address)) {
		CHECK(address > FRAME_DIRECT);
		frames_give(0, address);
	} else {
		test_fail(__FILE__, __LINE__, "no high memory when low memory is gone");
	}
	frames_stats(&stats);
	CHECK(stats.free + stats.cached >= stats.high_free);
	give_blocks();
}

/* ---- all of it --------------------------------------------------------------------------- */

/*
 * Work is handed out in chunks of so many frames. Every `stride`th chunk is used, so that a host
 * which gives us memory when we touch it, 2 MiB at a time, need not give all; `highmem=all` on
 * the command line: every word of every frame.
 */
#define CHUNK_FRAMES 512u
#define CHUNKS_USED_MAX 64u

static struct {
	uint64_t frames, stride, used;
	uint32_t next_chunk;
	unsigned words; /* in a frame, evenly spread */
} all;

/* The n-th of all frames that were taken. */
static kelp_paddr_t nth_frame(uint64_t n)
{
	unsigned i = 0;

	while (n >> blocks[i].order) {
		n -= UINT64_C(1) << blocks[i].order;
		i++;
	}
	return blocks[i].address + (n << PAGE_SHIFT);
}

static void fill_frame(kelp_paddr_t frame)
{
	unsigned step = (unsigned)(PAGE_SIZE / 8u) / all.words;
	volatile uint64_t *word = kmap_local(frame);

	for (unsigned i = 0; i < PAGE_SIZE / 8u; i += step)
		word[i] = pattern(frame + 8u * i);
	kunmap_local((const void *)(uintptr_t)word);
}

static void check_frame(kelp_paddr_t frame)
{
	unsigned step = (unsigned)(PAGE_SIZE / 8u) / all.words, wrong = 0;
	const volatile uint64_t *word = kmap_local(frame);

	for (unsigned i = 0; i < PAGE_SIZE / 8u; i += step)
		wrong += word[i] != pattern(frame + 8u * i);
	kunmap_local((const void *)(uintptr_t)word);
	if (wrong) {
		test_note("frame", frame);
		test_fail(__FILE__, __LINE__, "a frame does not hold what was stored in it");
	}
}

static void for_every_frame(void (*function)(kelp_paddr_t frame))
{
	for (;;) {
		uint32_t chunk = __atomic_fetch_add(&all.next_chunk, 1, __ATOMIC_RELAXED);
		uint64_t first = chunk * all.stride * CHUNK_FRAMES;
		uint64_t end = min_u64(first + CHUNK_FRAMES, all.frames);

		if (first >= all.frames)
			return;
		for (uint64_t n = first; n < end; n++)
			function(nth_frame(n));
		__atomic_fetch_add(&all.used, end - first, __ATOMIC_RELAXED);
	}
}

static void fill_all(void *argument)
{
	(void)argument;
	for_every_frame(fill_frame);
}

static void check_all(void *argument)
{
	(void)argument;
	for_every_frame(check_frame);
}

/* A frame that is reached in another's place shows another's pattern, for all are stored first. */
static void filled_and_checked(void)
{
	bool whole = command_line_has("highmem=all", NULL, 0);
	kelp_paddr_t block;
	uint64_t used, start;

	if (!take_high(0, &block))
		return;
	all.frames = take_all(FRAME_DIRECT, FRAME_ANYWHERE);
	if (kernel_kmap.flags & KELP_KMAP_FORCE) {
		/* The threads' stacks come from what is left. */
		if (!frames_take(10, FRAME_ANYWHERE, &block)) {
			give_blocks();
			test_skip("there is no room for the threads' stacks");
			return;
		}
		all.frames += take_all(0, FRAME_ANYWHERE);
		frames_give(10, block);
	}
	all.stride = 1;
	while (!whole && all.frames / CHUNK_FRAMES / all.stride > CHUNKS_USED_MAX)
		all.stride++;
	all.words = whole ? PAGE_SIZE / 8u : 4;
	all.used = 0;
	all.next_chunk = 0;
	CHECK(block_count < BLOCKS);
	start = time_microseconds();
	run_on_cpus(CPUS_MAX, fill_all);
	used = all.used;
	all.used = 0;
	all.next_chunk = 0;
	run_on_cpus(CPUS_MAX, check_all);
	kprintf("# %llu of %llu frames of high memory, %u words each, stored and checked in %llu ms\n",
		(unsigned long long)used, (unsigned long long)all.frames, all.words,
		(unsigned long long)(time_microseconds() - start) / 1000u);
	CHECK(used > 0 && all.used == used);
	give_blocks();
}

/* ---- local maps -------------------------------------------------------------------------- */

static kelp_paddr_t nest_block;

/* All slots of this CPU at once. */
static void nest(void *argument)
{
	kelp_paddr_t mine = nest_block + (uintptr_t)argument * KELP_KMAP_DEPTH * PAGE_SIZE;
	uint64_t *word[KELP_KMAP_DEPTH], value;

	for (unsigned i = 0; i < KELP_KMAP_DEPTH; i++) {
		kelp_pfn_t frame = {0};

		word[i] = kmap_local(mine + i * PAGE_SIZE);
		*word[i] = mine + i;
		for (unsigned j = 0; j < i; j++)
			CHECK(word[i] != word[j] && *word[j] == mine + j);
		/* Beside the frame there is nothing: KELP_KMAP_GUARDS. */
		CHECK(test_load((uintptr_t)word[i] + PAGE_SIZE, &value) == PROBE_NOT_PRESENT);
		CHECK(test_load((uintptr_t)word[i] - 8u, &value) == PROBE_NOT_PRESENT);
		CHECK(kelp_is_kmap_address(&kernel_kmap, (uintptr_t)word[i]));
		CHECK(kelp_kmap_to_frame(&kernel_kmap, (uintptr_t)word[i], &frame) == KELP_OK &&
		      frame.number == (mine >> PAGE_SHIFT) + i);
	}
	for (unsigned i = KELP_KMAP_DEPTH; i-- > 0;) {
		CHECK(*word[i] == mine + i);
		kunmap_local(word[i]);
		CHECK(test_load((uintptr_t)word[i], &value) == PROBE_NOT_PRESENT);
	}
}

/* From CPU 0's first slot to the last CPU's last: the slots of 32 CPUs are in several tables. */
static void local_maps_nest(void)
{
	if (!take_high(frames_order(cpu_count * KELP_KMAP_DEPTH * PAGE_SIZE), &nest_block))
		return;
	run_on_cpus(CPUS_MAX, nest);
	for (unsigned i = 0; i < cpu_count * KELP_KMAP_DEPTH; i++)
		CHECK(!cpus[i / KELP_KMAP_DEPTH]->online ||
		      test_get(nest_block + i * PAGE_SIZE) ==
			      nest_block + (uint64_t)(i & ~(KELP_KMAP_DEPTH - 1u)) * PAGE_SIZE +
				      i % KELP_KMAP_DEPTH);
}

/* More threads than CPUs, each with frames of its own, all in the same slots of their CPU. */
enum { SWITCHERS = 8, HELD = 5 };
static kelp_paddr_t switch_block;
static uint64_t switches;

static void hold_over_switches(void *argument)
{
	unsigned me = (unsigned)(uintptr_t)argument;
	kelp_paddr_t mine = switch_block + (uint64_t)me * HELD * PAGE_SIZE;
	uint64_t start = time_microseconds();

	while (time_left(start)) {
		volatile uint64_t *word[HELD];
		unsigned cpu = UINT32_MAX;

		for (unsigned i = 0; i < HELD; i++) {
			word[i] = kmap_local(mine + i * PAGE_SIZE);
			*word[i] = 1000u * me + i;
			/* From the first map on it stays where it is. */
			if (cpu != UINT32_MAX && this_cpu()->index != cpu)
				test_fail(__FILE__, __LINE__, "a thread with a map changed CPUs");
			cpu = this_cpu()->index;
			thread_yield();
		}
		/* Whoever wakes it, and wherever there is nothing else to do: it comes back here. */
		thread_sleep(50u * (me + 1u));
		for (unsigned i = HELD; i-- > 0;) {
			for (unsigned j = 0; j <= i; j++)
				if (*word[j] != 1000u * me + j)
					test_fail(__FILE__, __LINE__,
						  "a map was another's after a switch");
			if (this_cpu()->index != cpu)
				test_fail(__FILE__, __LINE__, "a thread with a map changed CPUs");
			thread_yield();
			kunmap_local((const void *)(uintptr_t)word[i]);
		}
		__atomic_fetch_add(&switches, 1, __ATOMIC_RELAXED);
	}
}

/* INV-3.7, and that a map belongs to its thread. */
static void local_maps_over_switches(void)
{
	struct thread *thread[SWITCHERS];

	if (!take_high(frames_order(SWITCHERS * HELD * PAGE_SIZE), &switch_block))
		return;
	switches = 0;
	for (unsigned i = 0; i < SWITCHERS; i++) {
		/* At least two on the CPU that we are on. */
		thread[i] = thread_start("switch", hold_over_switches, (void *)(uintptr_t)i,
					 i < 2 ? this_cpu()->index : THREAD_ANY_CPU);
		CHECK(thread[i]);
	}
	for (unsigned i = 0; i < SWITCHERS; i++)
		if (thread[i])
			thread_join(thread[i]);
	test_note("rounds", switches);
	CHECK(switches >= SWITCHERS);
	for (unsigned i = 0; i < SWITCHERS * HELD && switches >= SWITCHERS; i++)
		CHECK(test_get(switch_block + i * PAGE_SIZE) == 1000u * (i / HELD) + i % HELD);
}

/* Maps made in interrupts, on top of those of whoever is interrupted. */
static kelp_paddr_t interrupt_block;
static uint32_t interrupted_stop;
static uint64_t interrupts_mapped, thread_maps;

static void map_in_interrupt(void *argument)
{
	/* A frame per CPU: nobody else stores there. */
	kelp_paddr_t frame = interrupt_block + this_cpu()->index * PAGE_SIZE;
	volatile uint64_t *word = kmap_local(frame + 8u), *again = kmap_local(frame + 8u);

	(void)argument;
	*word += 1;
	if (*again != *word || word == again)
		test_fail(__FILE__, __LINE__, "two maps of one frame in an interrupt differ");
	kunmap_local((const void *)(uintptr_t)again);
	kunmap_local((const void *)(uintptr_t)word);
	__atomic_fetch_add(&interrupts_mapped, 1, __ATOMIC_RELAXED);
}

static void map_and_be_interrupted(void *argument)
{
	kelp_paddr_t frame = interrupt_block + (CPUS_MAX + (uintptr_t)argument) * PAGE_SIZE;

	for (uint64_t n = 1; !__atomic_load_n(&interrupted_stop, __ATOMIC_ACQUIRE); n++) {
		volatile uint64_t *first = kmap_local(frame), *second = kmap_local(frame + 8u);

		*first = n;
		*second = ~n;
		arch_relax();
		if (*first != n || *second != ~n)
			test_fail(__FILE__, __LINE__, "an interrupt left a map changed");
		kunmap_local((const void *)(uintptr_t)second);
		kunmap_local((const void *)(uintptr_t)first);
		__atomic_fetch_add(&thread_maps, 1, __ATOMIC_RELAXED);
	}
}

static void local_maps_in_interrupts(void)
{
	struct thread *thread[CPUS_MAX] = {NULL};
	uint64_t start, calls = 0;

	if (!take_high(frames_order(2u * CPUS_MAX * PAGE_SIZE), &interrupt_block))
		return;
	interrupted_stop = 0;
	interrupts_mapped = thread_maps = 0;
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i] != this_cpu() && cpus[i]->online)
			thread[i] = thread_start("interrupted", map_and_be_interrupted,
						 (void *)(uintptr_t)i, i);
	start = time_microseconds();
	while (time_left(start))
		calls += cpus_call(map_in_interrupt, NULL);
	__atomic_store_n(&interrupted_stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < cpu_count; i++)
		if (thread[i])
			thread_join(thread[i]);
	test_note("calls", calls);
	CHECK(calls > 0 && interrupts_mapped == calls && thread_maps > 0);
	for (unsigned i = 0; i < cpu_count; i++)
		interrupts_mapped -= test_get(interrupt_block + i * PAGE_SIZE + 8u);
	CHECK(interrupts_mapped == 0);
}

/* ---- global maps ------------------------------------------------------------------------- */

/* Twice as many frames as there are slots: every slot is used for one frame after another. */
#define POOL_FRAMES (2u * KMAP_GLOBAL_PAGES)
enum { HELD_GLOBAL = 4, CONTENDERS = 8 };
static kelp_paddr_t pool;
static uint64_t stored;

/*
 * Each frame says at its start which it is; a translation that outlived its slot's last frame
 * shows another number, and what is added through it is missing where it belongs.
 */
static void use_global_maps(void *argument)
{
	uint64_t start = time_microseconds(), random = 88172645463325252u + (uintptr_t)argument;
	uint64_t added = 0;

	while (time_left(start)) {
		volatile uint32_t *word[HELD_GLOBAL];
		kelp_paddr_t frame[HELD_GLOBAL];

		for (unsigned i = 0; i < HELD_GLOBAL; i++) {
			frame[i] = pool + (test_random(&random) >> 16) % POOL_FRAMES * PAGE_SIZE;
			word[i] = kmap(frame[i]);
			if (word[i][0] != (uint32_t)(frame[i] >> PAGE_SHIFT))
				test_fail(__FILE__, __LINE__, "a global map shows another frame");
		}
		for (unsigned i = 0; i < HELD_GLOBAL; i++) {
			if (word[i][0] != (uint32_t)(frame[i] >> PAGE_SHIFT))
				test_fail(__FILE__, __LINE__, "a global map changed while it was held");
			__atomic_fetch_add(&word[i][1], 1, __ATOMIC_RELAXED);
			added++;
			kunmap((const void *)(uintptr_t)word[i]);
		}
	}
	__atomic_fetch_add(&stored, added, __ATOMIC_RELAXED);
}

/* INV-3.8 */
static void global_maps_wrap(void)
{
	uint64_t wraps = kernel_kmap.wraps, sum = 0;

	if (!take_high(frames_order(POOL_FRAMES * PAGE_SIZE), &pool))
		return;
	for (unsigned i = 0; i < POOL_FRAMES; i++)
		test_put(pool + i * PAGE_SIZE, (uint32_t)((pool >> PAGE_SHIFT) + i));
	stored = 0;
	run_on_cpus(CONTENDERS, use_global_maps);
	for (unsigned i = 0; i < POOL_FRAMES; i++)
		sum += test_get(pool + i * PAGE_SIZE) >> 32;
	test_note("stores", stored);
	CHECK(stored > 0 && sum == stored);
	/* A crowded host does not get around: half of the maps may find their frame mapped. */
	CHECK(kernel_kmap.wraps > wraps || stored < 2u * POOL_FRAMES);
	kprintf("# %llu maps, %llu wraps\n", (unsigned long long)stored,
		(unsigned long long)(kernel_kmap.wraps - wraps));
}

static uint32_t got_one;

static void wait_for_a_slot(void *argument)
{
	uint64_t *word = kmap(pool + KMAP_GLOBAL_PAGES * PAGE_SIZE);

	(void)argument;
	*word = 4711;
	__atomic_store_n(&got_one, 1, __ATOMIC_RELEASE);
	kunmap(word);
}

/* Every slot is in use: whoever wants another sleeps until one is let go of. */
static void a_full_range_waits(void)
{
	static uint64_t *word[KMAP_GLOBAL_PAGES];
	struct thread *thread;

	if (!take_high(frames_order(POOL_FRAMES * PAGE_SIZE), &pool))
		return;
	got_one = 0;
	for (unsigned i = 0; i < KMAP_GLOBAL_PAGES; i++) {
		word[i] = kmap(pool + i * PAGE_SIZE);
		*word[i] = i;
	}
	thread = thread_start("wait", wait_for_a_slot, NULL, THREAD_ANY_CPU);
	CHECK(thread);
	thread_sleep(5000);
	CHECK(!__atomic_load_n(&got_one, __ATOMIC_ACQUIRE));
	/* A frame that is mapped needs no slot. */
	CHECK(kmap(pool) == word[0]);
	kunmap(word[0]);
	kunmap(word[KMAP_GLOBAL_PAGES / 2]);
	if (thread)
		thread_join(thread);
	CHECK(got_one && test_get(pool + KMAP_GLOBAL_PAGES * PAGE_SIZE) == 4711);
	for (unsigned i = 0; i < KMAP_GLOBAL_PAGES; i++) {
		if (i == KMAP_GLOBAL_PAGES / 2)
			continue;
		CHECK(*word[i] == i);
		kunmap(word[i]);
	}
}

/* ---- entries of two words ---------------------------------------------------------------- */

/*
 * A CPU of 32 bits writes an entry of 64 while others walk and read it. Two frames whose addresses
 * differ in both halves take turns at one address; half of the one with half of the other would
 * lead to a third or a fourth frame, which are marked. (Seen to fail with loads of two halves
 * and with stores of two halves and a pause between them; without one, an emulator's two stores
 * follow each other too closely for another CPU to get in between.)
 */
static kelp_paddr_t turn[2];
static uint32_t turns_stop;
static uint64_t walks;

static bool is_taken(kelp_paddr_t address)
{
	for (unsigned i = 0; i < block_count; i++)
		if (address - blocks[i].address < PAGE_SIZE << blocks[i].order)
			return true;
	return false;
}

/* Two neighbours that we have taken, and those 4 GiB higher. */
static bool find_four(kelp_paddr_t *first)
{
	for (unsigned i = 0; i < block_count; i++) {
		*first = blocks[i].address;
		if (blocks[i].order && *first < 4u * GIB && is_taken(*first + 4u * GIB) &&
		    is_taken(*first + PAGE_SIZE + 4u * GIB))
			return true;
	}
	return false;
}

static void walk_all_the_time(void *argument)
{
	(void)argument;
	while (!__atomic_load_n(&turns_stop, __ATOMIC_ACQUIRE)) {
		uint64_t value = 0;
		kelp_paddr_t pa = 0;
		unsigned long section;

		/* Nothing cached: the CPU walks. */
		kelp_slot_invalidate(&kernel_space, TEST_BASE, TEST_BASE);
		if (test_load(TEST_BASE, &value) != PROBE_OK || (value != 1 && value != 2))
			test_fail(__FILE__, __LINE__, "the CPU walked half an entry");
		section = vm_read_begin();
		if (kelp_space_translate(&kernel_space, TEST_BASE, &pa) != KELP_OK ||
		    (pa != turn[0] && pa != turn[1]))
			test_fail(__FILE__, __LINE__, "a lookup read half an entry");
		vm_read_end(section);
		__atomic_fetch_add(&walks, 1, __ATOMIC_RELAXED);
	}
}

static void take_turns(void)
{
	kelp_attr_t rw = kelp_format_closest(&kernel_format, KELP_ATTR_READ | KELP_ATTR_WRITE);
	struct thread *thread[CPUS_MAX] = {NULL};
	uint64_t start, turns = 0;
	struct kelp_slot slot;

	REQUIRE(test_map(TEST_BASE, turn[0], PAGE_SIZE, rw, 0) == KELP_OK);
	REQUIRE(kelp_slot_find(&kernel_space, TEST_BASE, &slot) == KELP_OK);
	for (unsigned i = 0; i < cpu_count && i < CONTENDERS; i++)
		if (cpus[i] != this_cpu() && cpus[i]->online)
			thread[i] = thread_start("walk", walk_all_the_time, NULL, i);
	/* As a slot: nobody is told, and there are as many turns as can be. */
	start = time_microseconds();
	while (time_left(start))
		for (unsigned i = 0; i < 100; i++, turns++)
			CHECK(kelp_slot_set(&slot, turn[turns % 2u], rw) == KELP_OK);
	__atomic_store_n(&turns_stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < cpu_count; i++)
		if (thread[i])
			thread_join(thread[i]);
	kprintf("# %llu turns, %llu walks\n", (unsigned long long)turns, (unsigned long long)walks);
	CHECK(turns > 0 && walks > 0);
	CHECK(test_unmap(TEST_BASE, PAGE_SIZE, KELP_STRICT) == KELP_OK);
}

static void entries_change_whole(void)
{
	kelp_paddr_t first;

	if (!take_high(0, &first))
		return;
	/* Stacks come from what is left, as low memory is. */
	(void)take_all(FRAME_DIRECT < 4u * GIB ? FRAME_DIRECT : 4u * GIB, FRAME_ANYWHERE);
	turns_stop = 0;
	walks = 0;
	if (find_four(&first)) {
		turn[0] = first;
		turn[1] = first + PAGE_SIZE + 4u * GIB;
		test_put(turn[0], 1);
		test_put(turn[1], 2);
		test_put(first + PAGE_SIZE, 3);
		test_put(first + 4u * GIB, 4);
		take_turns();
	} else {
		test_skip("there is no high memory on both sides of 4 GiB");
	}
	give_blocks();
}

/* ---- the copy window --------------------------------------------------------------------- */

static void the_copy_window_reaches_it(void)
{
	kelp_paddr_t block;
	uint64_t word[4] = {1, 22, 333, 4444}, back[4] = {0};

	if (!take_high(2, &block))
		return;
	/* Over the border between two frames. */
	copywin_write(block + PAGE_SIZE - 16u, word, sizeof(word));
	CHECK(test_get(block + PAGE_SIZE - 8u) == 22 && test_get(block + PAGE_SIZE) == 333);
	copywin_read(block + PAGE_SIZE - 16u, back, sizeof(back));
	CHECK(!memcmp(word, back, sizeof(word)));
	copywin_copy(block + 2u * PAGE_SIZE, block + PAGE_SIZE);
	CHECK(test_get(block + 2u * PAGE_SIZE + 8u) == 4444);
	copywin_zero(block + PAGE_SIZE);
	CHECK(test_get(block + PAGE_SIZE + 8u) == 0 && test_get(block + PAGE_SIZE - 8u) == 22);
}

const struct test highmem_tests[] = {
	{"highmem: low and high are apart", low_and_high_are_apart, 0},
	{"highmem: filled and checked", filled_and_checked, 0},
	{"highmem: local maps nest", local_maps_nest, 0},
	{"highmem: local maps over switches", local_maps_over_switches, 0},
	{"highmem: local maps in interrupts", local_maps_in_interrupts, 2},
	{"highmem: global maps wrap", global_maps_wrap, 0},
	{"highmem: a full range waits", a_full_range_waits, 0},
	{"highmem: entries change whole", entries_change_whole, 2},
	{"highmem: the copy window reaches it", the_copy_window_reaches_it, 0},
};
const unsigned highmem_test_count = ARRAY_COUNT(highmem_tests);
