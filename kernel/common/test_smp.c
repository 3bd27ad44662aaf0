/* SPDX-License-Identifier: MIT */
/*
 * test_smp: stale translations looked for. Other CPUs hammer a page while it is replaced,
 * unmapped, protected, split; after each commit what they may still do is checked to the value.
 */
#include <test.h>

#include <cpu.h>
#include <frames.h>
#include <print.h>
#include <reach.h>
#include <thread.h>

#define RW (KELP_ATTR_READ | KELP_ATTR_WRITE)

/* Hosts have fewer processors than we emulate: each test lasts so long, not so many rounds. */
#define TEST_MICROSECONDS 250000u
#define HAMMERS_MAX TEST_HAMMERS

static struct {
	uint32_t published; /* rounds whose commit has returned */
	uint64_t successes, faults;
	unsigned count;
} shared;

static kelp_attr_t closest(kelp_attr_t attributes)
{
	return kelp_format_closest(&kernel_format, attributes);
}

static uint32_t published(void)
{
	return __atomic_load_n(&shared.published, __ATOMIC_ACQUIRE);
}

static void publish(uint32_t round)
{
	__atomic_store_n(&shared.published, round, __ATOMIC_RELEASE);
}

static void start_hammers(void (*hammer)(unsigned index))
{
	shared.published = 0;
	shared.successes = 0;
	shared.faults = 0;
	shared.count = test_hammers_start(hammer);
}

static void stop_hammers(void)
{
	test_hammers_stop();
}

static void count_access(enum probe_result result)
{
	/* Each has a count of its own that only grows: a difference of two would go back. */
	if (result == PROBE_OK) {
		__atomic_fetch_add(&shared.successes, 1, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_add(&shared.faults, 1, __ATOMIC_RELAXED);
	/* An emulator takes its one big lock for each fault: leave the others some of it. */
	for (unsigned i = 0; i < 200; i++)
		arch_relax();
}

static bool time_left(uint64_t start)
{
	return time_microseconds() - start < TEST_MICROSECONDS && !test_failed();
}

static uint64_t strikes(bool faulting)
{
	return __atomic_load_n(faulting ? &shared.faults : &shared.successes, __ATOMIC_RELAXED);
}

/*
 * Until the hammers have struck a few times in the way that is possible now: with a fault, or
 * without. A host with less processors than we have CPUs may take its time for that: with many
 * CPUs we do not insist.
 */
static void let_hammers_strike(bool faulting)
{
	uint64_t start = time_microseconds(), enough = strikes(faulting) + 4u * shared.count;
	bool many = shared.count > 3;

	while (strikes(faulting) < enough &&
	       time_microseconds() - start < (many ? 500000u : 10000000u))
		arch_relax();
	CHECK(strikes(faulting) >= enough || many);
}

/* ---- replaced ---------------------------------------------------------------------------- */

enum { FRAMES = 8 };

/* Round r shows frame r % FRAMES. What is seen was shown between two looks at the round. */
static void see_a_recent_frame(unsigned index)
{
	uint32_t first = published(), last;
	uint64_t value = 0;
	enum probe_result result = test_load(TEST_BASE, &value);

	(void)index;
	last = published() + 1u;
	count_access(result);
	if (result != PROBE_OK)
		test_fail(__FILE__, __LINE__, "a fault while a page is replaced");
	if (last - first >= FRAMES)
		return;
	for (uint32_t round = first; round <= last; round++)
		if (value == 9000 + round % FRAMES)
			return;
	test_note("value", value);
	test_fail(__FILE__, __LINE__, "a frame that had been replaced was seen");
}

static void replaced_frames_are_gone(void)
{
	kelp_paddr_t frame[FRAMES];
	uint64_t start;

	for (unsigned i = 0; i < FRAMES; i++) {
		frame[i] = test_frames(0);
		test_put(frame[i], 9000 + i);
	}
	REQUIRE(test_map(TEST_BASE, frame[0], PAGE_SIZE, closest(RW | KELP_ATTR_GLOBAL), 0) ==
		KELP_OK);
	start_hammers(see_a_recent_frame);
	start = time_microseconds();
	for (uint32_t round = 1; time_left(start); round++) {
		CHECK(test_map(TEST_BASE, frame[round % FRAMES], PAGE_SIZE,
			       closest(RW | KELP_ATTR_GLOBAL), KELP_REPLACE) == KELP_OK);
		publish(round);
	}
	stop_hammers();
	CHECK(shared.successes > 0);
}

/* ---- unmapped ---------------------------------------------------------------------------- */

#define HAMMERED UINT64_C(0x1111111111111111)
#define POISON   UINT64_C(0x7777777777777777)

static void store_and_never_see_poison(unsigned index)
{
	uint64_t value = 0;

	count_access(test_store(TEST_BASE + 8u * (index + 1u), HAMMERED));
	if (test_load(TEST_BASE, &value) == PROBE_OK && value == POISON)
		test_fail(__FILE__, __LINE__, "memory was reached after its unmap had returned");
}

static bool page_is_all(kelp_paddr_t frame, uint64_t value)
{
	const volatile uint64_t *word = kmap_local(frame);
	bool same = true;

	for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
		same &= word[i] == value;
	kunmap_local((const void *)word);
	return same;
}

static void fill_page(kelp_paddr_t frame, uint64_t value)
{
	volatile uint64_t *word = kmap_local(frame);

	for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
		word[i] = value;
	kunmap_local((const void *)word);
}

static void unmapped_frames_are_let_go(void)
{
	kelp_paddr_t frame = test_frames(0);
	uint64_t start;

	start_hammers(store_and_never_see_poison);
	start = time_microseconds();
	while (time_left(start)) {
		fill_page(frame, 0);
		CHECK(test_map(TEST_BASE, frame, PAGE_SIZE, closest(RW), 0) == KELP_OK);
		let_hammers_strike(false);
		CHECK(test_unmap(TEST_BASE, PAGE_SIZE, KELP_STRICT) == KELP_OK);
		/* From here on it is somebody else's memory. */
		fill_page(frame, POISON);
		let_hammers_strike(true);
		CHECK(page_is_all(frame, POISON));
	}
	stop_hammers();
	CHECK(shared.successes > 0 && shared.faults > 0);
}

/* The table page comes back to the allocator as well: it is filled with leaves that would show
 * poison to whoever still walks it. */
static void tables_are_let_go(void)
{
	kelp_paddr_t frame = test_frames(0), poison = test_frames(0);
	uint64_t start, span = kelp_format_span(&kernel_format, 1), leaf = 0;

	fill_page(poison, POISON);
	CHECK(kernel_format.ops->leaf(&kernel_format, 0, poison, closest(RW), false, &leaf) ==
	      KELP_OK);
	start_hammers(store_and_never_see_poison);
	start = time_microseconds();
	while (time_left(start)) {
		uint32_t tables = kernel_space.tables;
		kelp_paddr_t page;

		fill_page(frame, 0);
		CHECK(test_map(TEST_BASE, frame, PAGE_SIZE, closest(RW), 0) == KELP_OK);
		CHECK(kernel_space.tables > tables);
		let_hammers_strike(false);
		CHECK(test_unmap(TEST_BASE, span, 0) == KELP_OK);
		if (!frames_take(0, FRAME_DIRECT, &page))
			break;
		fill_page(page, leaf);
		let_hammers_strike(true);
		CHECK(page_is_all(page, leaf) && page_is_all(poison, POISON));
		frames_give(0, page);
		/* Tables further up go as well before the next round. */
		CHECK(test_unmap(TEST_BASE, TEST_SIZE, 0) == KELP_OK);
	}
	stop_hammers();
	CHECK(shared.successes > 0 && shared.faults > 0);
}

/* ---- protected --------------------------------------------------------------------------- */

static void store_if_possible(unsigned index)
{
	count_access(test_store(TEST_BASE + 8u * index, HAMMERED));
}

static void protected_pages_stay_as_they_are(void)
{
	kelp_paddr_t frame = test_frames(0);
	uint64_t start;

	REQUIRE(test_map(TEST_BASE, frame, PAGE_SIZE, closest(RW), 0) == KELP_OK);
	start_hammers(store_if_possible);
	start = time_microseconds();
	while (time_left(start)) {
		CHECK(test_protect(TEST_BASE, PAGE_SIZE, 0, KELP_ATTR_WRITE, 0) == KELP_OK);
		fill_page(frame, POISON);
		let_hammers_strike(true);
		CHECK(page_is_all(frame, POISON));
		CHECK(test_protect(TEST_BASE, PAGE_SIZE, KELP_ATTR_WRITE, 0, 0) == KELP_OK);
		let_hammers_strike(false);
	}
	stop_hammers();
	CHECK(shared.successes > 0 && shared.faults > 0);
}

/* ---- split and joined under use ---------------------------------------------------------- */

/* Each hammer counts in a page of its own: no count is lost, no access faults (INV-1.3). */
static uint64_t counted[HAMMERS_MAX];

static void count_in_own_page(unsigned index)
{
	kelp_vaddr_t va = TEST_BASE + (index + 1u) * 3u * PAGE_SIZE + 8u;
	uint64_t value = 0;

	if (test_load(va, &value) != PROBE_OK || value != counted[index])
		test_fail(__FILE__, __LINE__, "a load failed or saw another value during a split");
	counted[index]++;
	if (test_store(va, counted[index]) != PROBE_OK)
		test_fail(__FILE__, __LINE__, "a store failed during a split");
	count_access(PROBE_OK);
}

static void split_and_coalesced_under_use(void)
{
	uint64_t span = kelp_format_span(&kernel_format, 1), start, merged, rounds = 0;
	kelp_paddr_t block = test_frames(frames_order(span));

	memset(counted, 0, sizeof(counted));
	REQUIRE(test_map(TEST_BASE, block, span, closest(RW), 0) == KELP_OK);
	start_hammers(count_in_own_page);
	start = time_microseconds();
	for (; time_left(start); rounds++) {
		struct kelp_flush flush;

		kelp_flush_begin(&flush, &kernel_space);
		CHECK(kelp_space_split(&flush, TEST_BASE, span, PAGE_SHIFT, 0) == KELP_OK);
		vm_commit(&flush);
		CHECK(test_query(TEST_BASE).level == 0);
		kelp_flush_begin(&flush, &kernel_space);
		CHECK(kelp_space_coalesce(&flush, TEST_BASE, span, kernel_format.shift[1], 0,
					  &merged) == KELP_OK);
		vm_commit(&flush);
		CHECK(merged == 1 && test_query(TEST_BASE).level == 1);
	}
	stop_hammers();
	CHECK(rounds > 0);
	CHECK(test_query(TEST_BASE).attributes & KELP_ATTR_DIRTY);
}

/* ---- everybody edits --------------------------------------------------------------------- */

enum { OWN_PAGES = 4 };
static kelp_paddr_t own_frame[HAMMERS_MAX];
static uint64_t edits[HAMMERS_MAX];

/* Own pages, but in a table shared with all the others; each edit ends with a shootdown. */
static void edit_own_pages(unsigned index)
{
	kelp_vaddr_t va = TEST_BASE + (uint64_t)index * OWN_PAGES * PAGE_SIZE;
	uint64_t value = 0;

	if (test_map(va, own_frame[index], OWN_PAGES * PAGE_SIZE, closest(RW), 0) != KELP_OK ||
	    test_store(va + 8, edits[index]) != PROBE_OK ||
	    test_protect(va, PAGE_SIZE, 0, KELP_ATTR_WRITE, 0) != KELP_OK ||
	    test_store(va + 8, 99) != PROBE_DENIED ||
	    test_load(va + 8, &value) != PROBE_OK || value != edits[index] ||
	    test_unmap(va, OWN_PAGES * PAGE_SIZE, KELP_STRICT) != KELP_OK ||
	    test_load(va + 8, &value) != PROBE_NOT_PRESENT)
		test_fail(__FILE__, __LINE__, "an edit next to other CPUs' edits went wrong");
	edits[index]++;
}

static void everybody_edits(void)
{
	struct kelp_flush flush;
	uint64_t start;

	for (unsigned i = 0; i < HAMMERS_MAX; i++) {
		own_frame[i] = test_frames(2);
		edits[i] = 1;
	}
	/* Tables stay while pages come and go. */
	kelp_flush_begin(&flush, &kernel_space);
	CHECK(kelp_space_populate(&flush, TEST_BASE, kelp_format_span(&kernel_format, 1),
				  PAGE_SHIFT, 0) == KELP_OK);
	vm_commit(&flush);
	start_hammers(edit_own_pages);
	start = time_microseconds();
	while (time_left(start))
		thread_yield();
	stop_hammers();
	for (unsigned i = 0; i + 1u < cpu_count && i < HAMMERS_MAX; i++)
		CHECK(edits[i] > 1);
}

/* ---- threads ----------------------------------------------------------------------------- */

static void note_where(void *argument)
{
	uint64_t start = time_microseconds();

	while (time_microseconds() - start < 20000)
		__atomic_fetch_or((uint64_t *)argument, UINT64_C(1) << this_cpu()->index,
				  __ATOMIC_RELAXED);
}

static void threads_spread(void)
{
	struct thread *thread[8];
	uint64_t where = 0;

	for (unsigned i = 0; i < ARRAY_COUNT(thread); i++) {
		thread[i] = thread_start("spread", note_where, &where, THREAD_ANY_CPU);
		REQUIRE(thread[i]);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(thread); i++)
		thread_join(thread[i]);
	test_note("ran on CPUs", where);
	CHECK(where & (where - 1u));
}

const struct test smp_tests[] = {
	{"smp: replaced frames are gone", replaced_frames_are_gone, 2},
	{"smp: unmapped frames are let go", unmapped_frames_are_let_go, 2},
	{"smp: tables are let go", tables_are_let_go, 2},
	{"smp: protected pages stay as they are", protected_pages_stay_as_they_are, 2},
	{"smp: split and coalesced under use", split_and_coalesced_under_use, 2},
	{"smp: everybody edits", everybody_edits, 2},
	{"smp: threads spread", threads_spread, 2},
};
const unsigned smp_test_count = ARRAY_COUNT(smp_tests);
