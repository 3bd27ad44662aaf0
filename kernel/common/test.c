/* SPDX-License-Identifier: MIT */
/* test: the runner. */
#include <test.h>

#include <cpu.h>
#include <frames.h>
#include <lock.h>
#include <print.h>
#include <reach.h>
#include <thread.h>

static struct spinlock lock = SPINLOCK("test");
static unsigned failures;
static const char *skipped;
static struct {
	const char *what;
	uint64_t value;
} note;

#define HELD_MAX 64
static struct {
	kelp_paddr_t address;
	unsigned order;
} held[HELD_MAX];
static unsigned held_count;

/* More than this of one test is noise. */
#define FAILURES_SHOWN 8u

void test_fail(const char *file, int line, const char *what)
{
	unsigned long flags = spin_lock_irqsave(&lock);
	bool shown = failures++ < FAILURES_SHOWN;

	spin_unlock_irqrestore(&lock, flags);
	if (shown)
		kprintf("# %s:%d: %s (CPU %u; %s 0x%llx)\n", file, line, what, this_cpu()->index,
			note.what ? note.what : "no note", (unsigned long long)note.value);
}

void test_note(const char *what, uint64_t value)
{
	note.what = what;
	note.value = value;
}

void test_skip(const char *why)
{
	skipped = why;
}

bool test_failed(void)
{
	return failures != 0;
}

/* ---- help for tests ---------------------------------------------------------------------- */

enum kelp_status test_map(kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size, kelp_attr_t attributes,
			  uint32_t flags)
{
	enum kelp_status status;
	struct kelp_flush flush;

	kelp_flush_begin(&flush, &kernel_space);
	status = kelp_space_map(&flush, va, pa, size, attributes, flags);
	vm_commit(&flush);
	return status;
}

enum kelp_status test_unmap(kelp_vaddr_t va, uint64_t size, uint32_t flags)
{
	enum kelp_status status;
	struct kelp_flush flush;

	kelp_flush_begin(&flush, &kernel_space);
	status = kelp_space_unmap(&flush, va, size, flags);
	vm_commit(&flush);
	return status;
}

enum kelp_status test_protect(kelp_vaddr_t va, uint64_t size, kelp_attr_t set, kelp_attr_t clear,
			      uint32_t flags)
{
	enum kelp_status status;
	struct kelp_flush flush;

	kelp_flush_begin(&flush, &kernel_space);
	status = kelp_space_protect(&flush, va, size, set, clear, flags);
	vm_commit(&flush);
	return status;
}

static kelp_paddr_t hold_frames(unsigned order, kelp_paddr_t limit)
{
	kelp_paddr_t address;

	if (held_count == HELD_MAX || !frames_take_zeroed(order, limit, &address))
		panic("a test got no frames of order %u", order);
	held[held_count].address = address;
	held[held_count++].order = order;
	return address;
}

kelp_paddr_t test_frames(unsigned order)
{
	return hold_frames(order, FRAME_ANYWHERE);
}

kelp_paddr_t test_direct_frames(unsigned order)
{
	return hold_frames(order, FRAME_DIRECT);
}

uint64_t test_get(kelp_paddr_t address)
{
	const uint64_t *word = kmap_local(address);
	uint64_t value = *(const volatile uint64_t *)word;

	kunmap_local(word);
	return value;
}

void test_put(kelp_paddr_t address, uint64_t value)
{
	uint64_t *word = kmap_local(address);

	*(volatile uint64_t *)word = value;
	kunmap_local(word);
}

enum probe_result test_load(kelp_vaddr_t va, uint64_t *value)
{
	return arch_probe(PROBE_LOAD, (uintptr_t)va, 8, value).result;
}

enum probe_result test_store(kelp_vaddr_t va, uint64_t value)
{
	return arch_probe(PROBE_STORE, (uintptr_t)va, 8, &value).result;
}

enum probe_result test_fetch(kelp_vaddr_t va)
{
	return arch_probe(PROBE_FETCH, (uintptr_t)va, 0, NULL).result;
}

struct kelp_mapping test_query(kelp_vaddr_t va)
{
	struct kelp_mapping mapping = {0};

	CHECK(kelp_space_query(&kernel_space, va, &mapping) == KELP_OK);
	return mapping;
}

/* Marsaglia, "Xorshift RNGs", 2003. */
uint64_t test_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---- hammers ----------------------------------------------------------------------------- */

static struct {
	uint32_t stop;
	uint32_t running;
	void (*hammer)(unsigned index);
	struct thread *thread[TEST_HAMMERS];
	unsigned count;
} hammers;

static void run_hammer(void *argument)
{
	__atomic_fetch_add(&hammers.running, 1, __ATOMIC_RELAXED);
	while (!__atomic_load_n(&hammers.stop, __ATOMIC_RELAXED))
		hammers.hammer((unsigned)(uintptr_t)argument);
}

unsigned test_hammers_start(void (*hammer)(unsigned index))
{
	hammers.stop = 0;
	hammers.running = 0;
	hammers.count = 0;
	hammers.hammer = hammer;
	for (unsigned i = 0; i < cpu_count && hammers.count < TEST_HAMMERS; i++) {
		if (i == this_cpu()->index || !cpus[i]->online)
			continue;
		hammers.thread[hammers.count] = thread_start(
			"hammer", run_hammer, (void *)(uintptr_t)hammers.count, i);
		if (hammers.thread[hammers.count])
			hammers.count++;
	}
	CHECK(hammers.count > 0);
	while (__atomic_load_n(&hammers.running, __ATOMIC_RELAXED) < hammers.count)
		arch_relax();
	return hammers.count;
}

void test_hammers_stop(void)
{
	__atomic_store_n(&hammers.stop, 1, __ATOMIC_RELEASE);
	while (hammers.count)
		thread_join(hammers.thread[--hammers.count]);
}

/* ---- the runner -------------------------------------------------------------------------- */

/* Frames that are free, or in the tables of the kernel's space: constant over a test. */
static uint64_t frames_accounted(void)
{
	struct frame_stats stats;

	frames_stats(&stats);
	return stats.free + stats.cached + kernel_space.tables;
}

static void clean_up(void)
{
	CHECK(test_unmap(TEST_BASE, TEST_SIZE, 0) == KELP_OK);
	CHECK(test_unmap(USER_BASE, USER_SIZE, 0) == KELP_OK);
	while (held_count) {
		held_count--;
		frames_give(held[held_count].order, held[held_count].address);
	}
}

static unsigned cpus_online(void)
{
	unsigned online = 0;

	for (unsigned i = 0; i < cpu_count; i++)
		online += cpus[i]->online;
	return online;
}

static void run_one(const struct test *test, unsigned number, struct test_result *result)
{
	uint64_t before = frames_accounted(), start = arch_ticks();

	failures = 0;
	skipped = NULL;
	test_note(NULL, 0);
	if (test->cpus > cpus_online()) {
		skipped = "needs more CPUs";
	} else {
		test->run();
		clean_up();
		test_note("frames missing", before - frames_accounted());
		CHECK(frames_accounted() == before);
	}
	if (failures) {
		result->failed++;
		kprintf("not ok %u - %s # %u failures\n", number, test->name, failures);
	} else if (skipped) {
		result->skipped++;
		kprintf("ok %u - %s # SKIP %s\n", number, test->name, skipped);
	} else {
		result->passed++;
		kprintf("ok %u - %s # %u us\n", number, test->name,
			(unsigned)ticks_to_microseconds(arch_ticks() - start));
	}
}

static bool contains(const char *text, const char *part, size_t length)
{
	for (; *text; text++)
		if (strncmp(text, part, length) == 0)
			return true;
	return length == 0;
}

/* The filter names parts of names, with commas between them. */
static bool selected(const char *name, const char *filter)
{
	if (!filter)
		return true;
	for (;;) {
		size_t length = 0;

		while (filter[length] && filter[length] != ',')
			length++;
		if (contains(name, filter, length))
			return true;
		if (!filter[length])
			return false;
		filter += length + 1;
	}
}

struct test_result tests_run(const char *filter)
{
	const struct {
		const struct test *test;
		unsigned count;
	} list[] = {
		{kernel_tests, kernel_test_count},
		{mmu_tests, mmu_test_count},
		{space_tests, space_test_count},
		{smp_tests, smp_test_count},
		{reach_tests, reach_test_count},
		{kmap_tests, kmap_test_count},
		{highmem_tests, highmem_test_count},
		{hotplug_tests, hotplug_test_count},
		{device_tests, device_test_count},
		{disk_tests, disk_test_count},
		{kexec_tests, kexec_test_count},
#ifdef HOLDFAST_HIBERNATES
		{hibernate_tests, hibernate_test_count},
#endif
	};
	struct test_result result = {.first_microseconds = time_microseconds()};
	unsigned number = 0;

	for (unsigned i = 0; i < ARRAY_COUNT(list); i++)
		for (unsigned j = 0; j < list[i].count; j++)
			number += selected(list[i].test[j].name, filter);
	kprintf("TAP version 13\n1..%u\n# %u ms from power-on to the first test\n", number,
		(unsigned)(result.first_microseconds / 1000u));
	number = 0;
	for (unsigned i = 0; i < ARRAY_COUNT(list); i++)
		for (unsigned j = 0; j < list[i].count; j++)
			if (selected(list[i].test[j].name, filter))
				run_one(&list[i].test[j], ++number, &result);
	kprintf("# %u passed, %u failed, %u skipped\n", result.passed, result.failed,
		result.skipped);
	return result;
}
