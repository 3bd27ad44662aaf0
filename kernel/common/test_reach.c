/* SPDX-License-Identifier: MIT */
/*
 * test_reach: the direct map changed under use, the copy window, the fixmap, and what
 * debug_pagealloc finds. Frames are reached at their direct address on purpose.
 */
#include <test.h>

#include <churn.h>
#include <cpu.h>
#include <fixmap.h>
#include <frames.h>
#include <port.h>
#include <print.h>
#include <reach.h>
#include <symbols.h>
#include <thread.h>

/*
 * Hosts have fewer processors than we emulate, and others to serve: a test lasts so long, or a few
 * rounds if they take longer, but not for ever.
 */
#define QUIET_MICROSECONDS 60000u
#define TEST_MICROSECONDS  250000u
#define LAST_MICROSECONDS  1500000u
#define FEW_ROUNDS         30u

static uint64_t span(void)
{
	return kelp_format_span(&kernel_format, 1);
}

static kelp_pfn_t pfn(kelp_paddr_t address)
{
	return (kelp_pfn_t){address >> PAGE_SHIFT};
}

static kelp_vaddr_t direct_va(kelp_paddr_t address)
{
	return DIRECT_BASE + address;
}

static enum kelp_status take_out(kelp_paddr_t address, uint64_t size)
{
	unsigned long flags = direct_lock();
	enum kelp_status status =
		kelp_directmap_set_invalid(&kernel_direct, pfn(address), size >> PAGE_SHIFT);

	direct_unlock(flags);
	return status;
}

static enum kelp_status give_back(kelp_paddr_t address, uint64_t size)
{
	unsigned long flags = direct_lock();
	enum kelp_status status =
		kelp_directmap_set_default(&kernel_direct, pfn(address), size >> PAGE_SHIFT);

	direct_unlock(flags);
	return status;
}

static struct kelp_directmap_statistics statistics(void)
{
	struct kelp_directmap_statistics s;
	unsigned long flags = vm_read_begin();

	kelp_directmap_statistics(&kernel_direct, &s);
	vm_read_end(flags);
	return s;
}

/* With debug_pagealloc other threads' memory comes and goes meanwhile. */
static bool same_leaves(const struct kelp_directmap_statistics *a,
			const struct kelp_directmap_statistics *b)
{
	return !memcmp(a->leaves, b->leaves, sizeof(a->leaves)) && a->frames == b->frames &&
	       (a->absent == b->absent || frames_debug);
}

/* ---- neighbours -------------------------------------------------------------------------- */

enum { VICTIM = 100 };

static struct {
	kelp_paddr_t block; /* two spans: small leaves' table and its neighbour */
	uint64_t counted[TEST_HAMMERS];
} neighbours;

/* What the CPU has cached of the page goes first: so it walks the tables as they are just now. */
static void count_at(kelp_vaddr_t va, uint64_t expected)
{
	uint64_t value = 0;

	kelp_slot_invalidate(&kernel_space, align_down(va, PAGE_SIZE), align_down(va, PAGE_SIZE));
	if (test_load(va, &value) != PROBE_OK || value != expected)
		test_fail(__FILE__, __LINE__, "a neighbour's load failed or saw another value");
	if (test_store(va, expected + 1u) != PROBE_OK)
		test_fail(__FILE__, __LINE__, "a neighbour's store failed");
}

/* One page next to the victim, and one in the next table's part of the same still larger leaf. */
static void hammer_neighbours(unsigned index)
{
	unsigned near = index % 2 ? VICTIM + 1u + index / 2u : VICTIM - 1u - index / 2u;
	kelp_vaddr_t base = direct_va(neighbours.block);

	count_at(base + near * PAGE_SIZE + 8u, neighbours.counted[index]);
	count_at(base + span() + (3u * index + 1u) * PAGE_SIZE, neighbours.counted[index]);
	neighbours.counted[index]++;
}

static uint64_t all_counted(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < TEST_HAMMERS; i++)
		sum += __atomic_load_n(&neighbours.counted[i], __ATOMIC_RELAXED);
	return sum;
}

/* From the others' interrupts. */
static void try_victim(void *argument)
{
	uint64_t value;

	if (test_load(direct_va(neighbours.block) + VICTIM * PAGE_SIZE, &value) == PROBE_OK)
		__atomic_fetch_add((uint64_t *)argument, 1, __ATOMIC_RELAXED);
}

static void out_and_back_once(unsigned round, unsigned level)
{
	kelp_paddr_t victim = neighbours.block + VICTIM * PAGE_SIZE;
	uint64_t value, seen = 0;

	CHECK(take_out(victim, PAGE_SIZE) == KELP_OK);
	CHECK(test_load(direct_va(victim), &value) == PROBE_NOT_PRESENT);
	if (round % 4 == 0) {
		cpus_call(try_victim, &seen);
		test_note("other CPUs that still reach an absent frame", seen);
		CHECK(seen == 0);
	}
	CHECK(test_query(direct_va(victim)).level == 0);
	CHECK(give_back(victim, PAGE_SIZE) == KELP_OK);
	CHECK(test_load(direct_va(victim), &value) == PROBE_OK && value == 4711);
	CHECK(test_query(direct_va(victim)).level == level);
	if (round % 4 == 2) {
		seen = 0;
		cpus_call(try_victim, &seen);
		CHECK(seen > 0);
	}
}

static bool go_on(uint64_t microseconds, uint64_t rounds)
{
	return !test_failed() &&
	       (microseconds < TEST_MICROSECONDS ||
		(rounds < FEW_ROUNDS && microseconds < LAST_MICROSECONDS));
}

/*
 * Splits and restorations of the leaf that other CPUs work in: never a fault, never a lost store,
 * and on the CPU that asks and on the others the frame is absent when the call has returned.
 */
static void neighbours_never_fault(void)
{
	struct kelp_directmap_statistics before, after;
	uint64_t quiet, busy, start, shootdowns, ticks, rounds = 0, hammers;
	unsigned level;

	memset(&neighbours, 0, sizeof(neighbours));
	neighbours.block = test_direct_frames(frames_order(2u * span()));
	test_put(neighbours.block + VICTIM * PAGE_SIZE, 4711);
	level = test_query(direct_va(neighbours.block)).level;
	CHECK(level > 0 || frames_debug);
	before = statistics();
	hammers = test_hammers_start(hammer_neighbours);
	quiet = all_counted();
	time_spin(QUIET_MICROSECONDS);
	quiet = all_counted() - quiet;
	shootdowns = port_stats.shootdowns;
	ticks = port_stats.shootdown_ticks;
	busy = all_counted();
	start = time_microseconds();
	while (go_on(time_microseconds() - start, rounds))
		out_and_back_once((unsigned)rounds++, level);
	start = time_microseconds() - start;
	busy = all_counted() - busy;
	shootdowns = port_stats.shootdowns - shootdowns;
	ticks = port_stats.shootdown_ticks - ticks;
	test_hammers_stop();
	after = statistics();
	CHECK(rounds > 0 && busy > 0 && shootdowns >= rounds);
	CHECK(same_leaves(&before, &after));
	/* What the others would have done in that time, and did not. */
	quiet = quiet * start / QUIET_MICROSECONDS;
	kprintf("# %llu rounds in a level %u leaf, %llu shootdowns: %llu ns of waiting each, "
		"%llu ns lost to each other CPU\n", (unsigned long long)rounds, level,
		(unsigned long long)shootdowns,
		(unsigned long long)(shootdowns ? ticks_to_nanoseconds(ticks) / shootdowns : 0),
		(unsigned long long)(shootdowns && quiet > busy && hammers
			? (quiet - busy) * start * 1000u / quiet / shootdowns : 0));
}

/* ---- all frames -------------------------------------------------------------------------- */

/* More than this takes long where a CPU is emulated. `churn=N` on the command line asks for N. */
#define CHURN_FRAMES 32768u

static void every_frame_out_and_back(void)
{
	static struct churn result;

	churn(command_line_number("churn=", CHURN_FRAMES), &result);
	churn_print(&result, "# ");
	if (result.failure)
		test_fail(__FILE__, __LINE__, result.failure);
	CHECK(result.frames > 0);
	CHECK(cpu_count == 1 || result.shootdowns > 0);
	/* Something was split to pieces, and came back. */
	CHECK(frames_debug || result.between.leaves[0] > result.before.leaves[0]);
	CHECK(frames_debug ||
	      result.after.counts.restorations > result.before.counts.restorations);
}

/* ---- refusals ---------------------------------------------------------------------------- */

extern const char text_start[];

static void the_image_is_pinned(void)
{
	kelp_paddr_t text = (uintptr_t)text_start - IMAGE_BASE;
	struct kelp_directmap_statistics before = statistics(), after;
	uint64_t value;

	CHECK(take_out(text, PAGE_SIZE) == KELP_ERR_UNSUPPORTED);
	/* One frame of it is enough. */
	CHECK(take_out(text - PAGE_SIZE, 2u * PAGE_SIZE) == KELP_ERR_UNSUPPORTED ||
	      test_query(direct_va(text - PAGE_SIZE)).kind == KELP_ENTRY_NONE);
	CHECK(give_back(text, PAGE_SIZE) == KELP_ERR_UNSUPPORTED);
	CHECK(test_load(direct_va(text), &value) == PROBE_OK);
	CHECK(test_store(direct_va(text), 0) == PROBE_DENIED);
	after = statistics();
	CHECK(same_leaves(&before, &after));
	CHECK(after.counts.refused >= before.counts.refused + 2u);
}

/* No table page for the split: nothing has changed, and the next attempt works. */
static void no_memory_changes_nothing(void)
{
	kelp_paddr_t block = test_direct_frames(frames_order(span()));
	struct kelp_directmap_statistics before = statistics(), after;
	uint64_t value;

	if (frames_debug) {
		test_skip("debug_pagealloc: there are no large leaves to split");
		return;
	}
	port_fail_after(0);
	CHECK(take_out(block + 7u * PAGE_SIZE, PAGE_SIZE) == KELP_ERR_NO_MEMORY);
	port_fail_after(PORT_NEVER_FAIL);
	after = statistics();
	CHECK(same_leaves(&before, &after));
	CHECK(test_load(direct_va(block + 7u * PAGE_SIZE), &value) == PROBE_OK);
	CHECK(take_out(block + 7u * PAGE_SIZE, PAGE_SIZE) == KELP_OK);
	/* Giving back what is in small leaves needs none. */
	port_fail_after(0);
	CHECK(give_back(block + 7u * PAGE_SIZE, PAGE_SIZE) == KELP_OK);
	port_fail_after(PORT_NEVER_FAIL);
	after = statistics();
	CHECK(same_leaves(&before, &after));
}

/* Taken away in one, a part of it needs a table to come back; all of it does not. */
static void a_large_leaf_taken_whole(void)
{
	kelp_paddr_t block = test_direct_frames(frames_order(span()));
	struct kelp_directmap_statistics before = statistics(), out, after;
	uint64_t value;

	if (frames_debug) {
		test_skip("debug_pagealloc: there are no large leaves");
		return;
	}
	CHECK(take_out(block, span()) == KELP_OK);
	CHECK(test_query(direct_va(block)).level == 1);
	CHECK(test_load(direct_va(block + span() - 8u), &value) == PROBE_NOT_PRESENT);
	out = statistics();
	CHECK(out.absent == before.absent + (span() >> PAGE_SHIFT));
	port_fail_after(0);
	CHECK(give_back(block + 3u * PAGE_SIZE, PAGE_SIZE) == KELP_ERR_NO_MEMORY);
	after = statistics();
	CHECK(same_leaves(&out, &after));
	CHECK(test_load(direct_va(block + 3u * PAGE_SIZE), &value) == PROBE_NOT_PRESENT);
	port_fail_after(PORT_NEVER_FAIL);
	CHECK(give_back(block + 3u * PAGE_SIZE, PAGE_SIZE) == KELP_OK);
	CHECK(test_load(direct_va(block + 3u * PAGE_SIZE), &value) == PROBE_OK);
	CHECK(test_load(direct_va(block + 4u * PAGE_SIZE), &value) == PROBE_NOT_PRESENT);
	CHECK(give_back(block, span()) == KELP_OK);
	after = statistics();
	CHECK(same_leaves(&before, &after));
}

/* ---- the copy window --------------------------------------------------------------------- */

static void copywin_reaches_absent_frames(void)
{
	kelp_paddr_t a = test_direct_frames(0), b = test_direct_frames(0);
	uint64_t value = 0;
	uint8_t bytes[64];

	test_put(a + 4088, 1111);
	CHECK(take_out(a, PAGE_SIZE) == KELP_OK && take_out(b, PAGE_SIZE) == KELP_OK);
	CHECK(test_load(direct_va(a), &value) == PROBE_NOT_PRESENT);
	/* INV-3.4: not a page of memory is needed, and nothing of the direct map changes. */
	port_fail_after(0);
	copywin_read(a + 4088, &value, sizeof(value));
	CHECK(value == 1111);
	copywin_copy(b, a);
	copywin_read(b + 4088, &value, sizeof(value));
	CHECK(value == 1111);
	value = 2222;
	copywin_write(b + 8, &value, sizeof(value));
	copywin_zero(a);
	copywin_read(a + 4032, bytes, sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		CHECK(bytes[i] == 0);
	port_fail_after(PORT_NEVER_FAIL);
	CHECK(test_load(direct_va(a), &value) == PROBE_NOT_PRESENT);
	CHECK(test_load(direct_va(b), &value) == PROBE_NOT_PRESENT);
	CHECK(give_back(a, PAGE_SIZE) == KELP_OK && give_back(b, PAGE_SIZE) == KELP_OK);
	CHECK(test_get(b + 8) == 2222 && test_get(b + 4088) == 1111 && test_get(a + 4088) == 0);
	/* Nothing stays mapped in the window. */
	for (unsigned i = 0; i < KELP_COPYWIN_PAGES(CPUS_MAX + 1u); i++)
		CHECK(test_query(COPYWIN_BASE + i * PAGE_SIZE).kind == KELP_ENTRY_NONE);
}

/* What all copy, one for each hammer, one for us. */
static kelp_paddr_t copied[2 + TEST_HAMMERS];

static void copy_to_own_frame(unsigned index)
{
	uint64_t value = index, read = 0;

	copywin_write(copied[1 + index] + 16, &value, sizeof(value));
	copywin_copy(copied[1 + index], copied[0]);
	copywin_read(copied[1 + index] + 16, &read, sizeof(read));
	if (read != 3333)
		test_fail(__FILE__, __LINE__, "another CPU's copy got in between");
}

static void copywin_on_every_cpu(void)
{
	for (unsigned i = 0; i < ARRAY_COUNT(copied); i++)
		copied[i] = test_direct_frames(0);
	test_put(copied[0] + 16, 3333);
	for (unsigned i = 0; i < ARRAY_COUNT(copied); i++)
		CHECK(take_out(copied[i], PAGE_SIZE) == KELP_OK);
	test_hammers_start(copy_to_own_frame);
	for (uint64_t start = time_microseconds(); time_microseconds() - start < 100000;)
		copy_to_own_frame(TEST_HAMMERS);
	test_hammers_stop();
	for (unsigned i = 0; i < ARRAY_COUNT(copied); i++)
		CHECK(give_back(copied[i], PAGE_SIZE) == KELP_OK);
}

/* ---- the fixmap -------------------------------------------------------------------------- */

static kelp_paddr_t fixed[CPUS_MAX];

/* On each CPU, in its interrupt: its own slot shows its own frame. */
static void look_through_own_slot(void *argument)
{
	uint32_t cpu = this_cpu()->index;
	const volatile uint64_t *word = fixmap_set_local(FIX_PEEK, fixed[cpu] + 24, VM_DATA);

	if (*word != 100u + cpu)
		__atomic_fetch_add((uint64_t *)argument, 1, __ATOMIC_RELAXED);
	fixmap_clear_local(FIX_PEEK);
}

static void fixmap_slots(void)
{
	uint64_t wrong = 0, value;
	unsigned long flags;

	for (unsigned i = 0; i < cpu_count; i++) {
		fixed[i] = test_frames(0);
		test_put(fixed[i] + 24, 100u + i);
	}
	cpus_call(look_through_own_slot, &wrong);
	flags = arch_irq_save();
	look_through_own_slot(&wrong);
	arch_irq_restore(flags);
	CHECK(wrong == 0);
	/* The page in front of the shared slots, and that in front of each bank. */
	CHECK(test_load(FIXMAP_BASE, &value) == PROBE_NOT_PRESENT);
	for (unsigned i = 0; i < cpu_count; i++) {
		kelp_vaddr_t slot = kelp_fixmap_cpu_address(&kernel_fixmap, FIX_PEEK, i);

		CHECK(test_load(slot - PAGE_SIZE, &value) == PROBE_NOT_PRESENT);
		CHECK(test_load(slot, &value) == PROBE_NOT_PRESENT);
	}
	/* The early slot was let go of before the switch. */
	for (unsigned i = 0; i < holdfast_fixmap_slot_count; i++) {
		kelp_vaddr_t va = kelp_fixmap_address(&kernel_fixmap, i);

		if (holdfast_fixmap_slots[i].kind == KELP_FIXMAP_EARLY)
			CHECK(test_query(va).kind == KELP_ENTRY_NONE);
	}
}

/* ---- debug page allocation --------------------------------------------------------------- */

/* Noinline: its name must be found in the report. */
static __attribute__((noinline)) void give_frame_away(kelp_paddr_t frame)
{
	frames_give(0, frame);
	__asm__ volatile("" ::: "memory");
}

static uint64_t reached;

static void try_freed(void *argument)
{
	uint64_t value;

	if (test_load(direct_va(*(const kelp_paddr_t *)argument), &value) == PROBE_OK)
		__atomic_fetch_add(&reached, 1, __ATOMIC_RELAXED);
}

static bool text_has(const char *text, const char *part)
{
	for (; *text; text++)
		if (!strncmp(text, part, strlen(part)))
			return true;
	return false;
}

static void use_after_free_is_found(void)
{
	char text[FRAMES_EXPLAIN];
	kelp_paddr_t frame;

	if (!frames_debug) {
		test_skip("without debug_pagealloc=on");
		return;
	}
	for (unsigned round = 0; round < 50; round++) {
		REQUIRE(frames_take(0, FRAME_DIRECT, &frame));
		CHECK(test_store(direct_va(frame), round) == PROBE_OK);
		/* Into every CPU's TLB. */
		reached = 0;
		cpus_call(try_freed, &frame);
		CHECK(reached + 1u >= min_u64(cpu_count, 2));
		give_frame_away(frame);
		reached = 0;
		cpus_call(try_freed, &frame);
		try_freed(&frame);
		CHECK(reached == 0);
	}
	CHECK(test_store(direct_va(frame), 1) == PROBE_NOT_PRESENT);
	REQUIRE(frames_explain_free(frame, text, sizeof(text)));
	CHECK(text_has(text, "give_frame_away") && text_has(text, "use_after_free_is_found"));
	CHECK(text_has(frames_state_text(frame), "free"));
	/* It can be written nonetheless, by who means to. */
	copywin_zero(frame);
}

static enum kelp_visit find_present(void *context, const struct kelp_mapping *m)
{
	uint64_t *present = context;

	if (m->kind != KELP_ENTRY_LEAF)
		return KELP_VISIT_CONTINUE;
	for (uint64_t at = 0; at < m->size; at += PAGE_SIZE)
		*present += !strncmp(frames_state_text(m->va + at - DIRECT_BASE), "free", 4);
	return KELP_VISIT_CONTINUE;
}

/* Every free frame is absent, every other one present. */
static void free_frames_are_absent(void)
{
	struct kelp_directmap_statistics direct;
	struct frame_stats stats;
	uint64_t present = 0;
	unsigned long flags;

	if (!frames_debug) {
		test_skip("without debug_pagealloc=on");
		return;
	}
	flags = vm_read_begin();
	CHECK(kelp_space_walk(&kernel_space, DIRECT_BASE, kernel_direct.size, KELP_WALK_RUNS,
			      find_present, &present) == KELP_OK);
	vm_read_end(flags);
	test_note("free frames that are present", present);
	CHECK(present == 0);
	frames_stats(&stats);
	direct = statistics();
	/* Where all RAM is in the direct map. */
	if (direct.frames << PAGE_SHIFT == memory_map_total(&boot_info.map, MEMORY_RAM))
		CHECK(direct.absent == stats.free + stats.cached);
}

const struct test reach_tests[] = {
	{"reach: neighbours never fault", neighbours_never_fault, 2},
	{"reach: every frame out and back", every_frame_out_and_back, 0},
	{"reach: the image is pinned", the_image_is_pinned, 0},
	{"reach: no memory changes nothing", no_memory_changes_nothing, 0},
	{"reach: a large leaf taken whole", a_large_leaf_taken_whole, 0},
	{"reach: the copy window reaches absent frames", copywin_reaches_absent_frames, 0},
	{"reach: the copy window on every CPU", copywin_on_every_cpu, 2},
	{"reach: slots of the fixmap", fixmap_slots, 0},
	{"reach: use after free is found", use_after_free_is_found, 0},
	{"reach: free frames are absent", free_frames_are_absent, 0},
};
const unsigned reach_test_count = ARRAY_COUNT(reach_tests);
