/* SPDX-License-Identifier: MIT */
/* test_kernel: what the other tests stand on: rights of the kernel itself, frames, threads. */
#include <test.h>

#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <lock.h>
#include <print.h>
#include <symbols.h>
#include <thread.h>

extern const char text_start[], rodata_start[], data_start[], boot_stack_guard[];

static bool no_execute(void)
{
	return !(kernel_format.attr_always & KELP_ATTR_EXEC);
}

/* ---- W^X, guard pages -------------------------------------------------------------------- */

static void image_rights(void)
{
	uint64_t value;

	CHECK(test_load((uintptr_t)text_start, &value) == PROBE_OK);
	CHECK(test_store((uintptr_t)text_start, 0) == PROBE_DENIED);
	CHECK(test_store((uintptr_t)rodata_start, 0) == PROBE_DENIED);
	CHECK(test_load((uintptr_t)data_start, &value) == PROBE_OK);
	CHECK(test_store((uintptr_t)data_start, value) == PROBE_OK);
	if (no_execute()) {
		CHECK(test_fetch((uintptr_t)arch_return_code) == PROBE_DENIED);
		CHECK(test_fetch((uintptr_t)data_start) == PROBE_DENIED);
	}
}

/* The image's second appearance, in the direct map, must not be a way around its rights. */
static void image_rights_in_direct_map(void)
{
	kelp_vaddr_t text = DIRECT_BASE + ((uintptr_t)text_start - IMAGE_BASE);
	kelp_vaddr_t rodata = DIRECT_BASE + ((uintptr_t)rodata_start - IMAGE_BASE);
	uint64_t value, same;

	CHECK(test_load(text, &value) == PROBE_OK);
	CHECK(test_load((uintptr_t)text_start, &same) == PROBE_OK && same == value);
	CHECK(test_store(text, 0) == PROBE_DENIED);
	CHECK(test_store(rodata, 0) == PROBE_DENIED);
	if (no_execute())
		CHECK(test_fetch(DIRECT_BASE + ((uintptr_t)arch_return_code - IMAGE_BASE)) ==
		      PROBE_DENIED);
}

static enum kelp_visit find_writable_executable(void *context, const struct kelp_mapping *m)
{
	const kelp_attr_t both = KELP_ATTR_WRITE | KELP_ATTR_EXEC;

	*(unsigned *)context += m->kind == KELP_ENTRY_LEAF && (m->attributes & both) == both;
	return KELP_VISIT_CONTINUE;
}

static void nothing_is_writable_and_executable(void)
{
	unsigned found = 0;

	if (!no_execute()) {
		test_skip("this CPU has no NX");
		return;
	}
	for (unsigned i = 0; i < kernel_format.va_ranges; i++)
		CHECK(kelp_space_walk(&kernel_space, kernel_format.va_first[i],
				      kernel_format.va_last[i] - kernel_format.va_first[i] + 1u, 0,
				      find_writable_executable, &found) == KELP_OK);
	CHECK(found == 0);
}

static void guard_pages(void)
{
	kelp_vaddr_t stack = (uintptr_t)current_thread()->stack;
	uint64_t value;

	CHECK(test_load((uintptr_t)boot_stack_guard, &value) == PROBE_NOT_PRESENT);
	CHECK(test_load(stack, &value) == PROBE_OK);
	CHECK(test_load(stack - 8, &value) == PROBE_NOT_PRESENT);
	CHECK(test_load(stack + THREAD_STACK, &value) == PROBE_NOT_PRESENT);
	for (unsigned i = 0; i < cpu_count; i++) {
		kelp_vaddr_t idle = (uintptr_t)cpus[i]->idle->stack;

		CHECK(test_store(idle - 8, 0) == PROBE_NOT_PRESENT);
	}
}

static void faults_are_survived(void)
{
	uint64_t value = 7;
	struct probe probe;

	CHECK(test_load(0, &value) == PROBE_NOT_PRESENT);
	CHECK(test_store(8, 1) == PROBE_NOT_PRESENT);
	CHECK(test_fetch(16) == PROBE_NOT_PRESENT);
	probe = arch_probe(PROBE_LOAD, TEST_BASE + 0x123458, 4, &value);
	CHECK(probe.result == PROBE_NOT_PRESENT && probe.address == TEST_BASE + 0x123458);
	/* Where addresses have a hole in their middle: no address at all, another kind of fault. */
	if (kernel_format.va_ranges > 1)
		CHECK(test_load(kernel_format.va_last[0] + 1u, &value) == PROBE_OTHER);
	CHECK(value == 7);
}

static void symbols_are_found(void)
{
	char text[SYMBOL_TEXT];

	CHECK(symbol_count() > 100);
	CHECK(strcmp(symbol_text(text, (uintptr_t)tests_run), "tests_run+0x0") == 0);
}

/* ---- the memory map -------------------------------------------------------------------------- */

static bool range_is(const struct memory_map *map, unsigned i, kelp_paddr_t first, uint64_t size,
		     enum memory_kind kind)
{
	const struct memory_range *range = &map->range[i];

	return i < map->count && range->first == first && range->size == size &&
	       range->kind == kind;
}

/* Unsorted, overlapping, touching, unaligned, empty, and up to the end of all addresses. */
static void memory_maps_are_made_clean(void)
{
	static struct memory_map map;

	map = (struct memory_map){0};
	memory_map_add(&map, 0x100000, 0x500000, MEMORY_RAM);
	memory_map_add(&map, 0x0, 0x9fc00, MEMORY_RAM);
	memory_map_add(&map, 0x9fc00, 0x400, MEMORY_RESERVED);
	memory_map_add(&map, 0x600000, 0x200000, MEMORY_RAM);
	memory_map_add(&map, 0x300800, 0x1000, MEMORY_ACPI);
	memory_map_add(&map, 0x300000, 0x1000, MEMORY_NVS);
	memory_map_add(&map, 0x400000, 0, MEMORY_UNUSABLE);
	memory_map_add(&map, 0x900800, 0x1000, MEMORY_RAM);
	memory_map_add(&map, UINT64_MAX - 0x1000, UINT64_MAX, MEMORY_RESERVED);
	memory_map_clean(&map);
	CHECK(range_is(&map, 0, 0, 0x9f000, MEMORY_RAM));
	CHECK(range_is(&map, 1, 0x9f000, 0x1000, MEMORY_RESERVED));
	CHECK(range_is(&map, 2, 0x100000, 0x200000, MEMORY_RAM));
	CHECK(range_is(&map, 3, 0x300000, 0x1000, MEMORY_NVS));
	CHECK(range_is(&map, 4, 0x301000, 0x1000, MEMORY_ACPI));
	CHECK(range_is(&map, 5, 0x302000, 0x4fe000, MEMORY_RAM));
	CHECK(map.count == 7 && map.range[6].kind == MEMORY_RESERVED);
	CHECK(memory_map_total(&map, MEMORY_RAM) == 0x9f000 + 0x200000 + 0x4fe000);
	CHECK(memory_map_limit(&map, 0x3fffff) == 0x400000);
	CHECK(range_is(&map, 5, 0x302000, 0xfe000, MEMORY_RAM));
}

static void more_ranges_than_fit(void)
{
	static struct memory_map map;

	map = (struct memory_map){0};
	for (unsigned i = 0; i < BOOT_RANGES + 3u; i++)
		memory_map_add(&map, i * 0x10000, 0x2000, MEMORY_RAM);
	CHECK(map.count == BOOT_RANGES && map.lost == 3);
	memory_map_clean(&map);
	CHECK(map.count == BOOT_RANGES && map.lost == 3);
}

/* ---- frames ------------------------------------------------------------------------------ */

static void frames_come_and_go(void)
{
	struct frame_stats before, after;
	kelp_paddr_t taken[FRAME_ORDERS] = {0};

	frames_stats(&before);
	for (unsigned order = 0; order <= 9; order++) {
		test_note("order", order);
		CHECK(frames_take(order, FRAME_BELOW_4G, &taken[order]));
		CHECK(taken[order] % (PAGE_SIZE << order) == 0);
		CHECK(taken[order] + (PAGE_SIZE << order) - 1u <= FRAME_BELOW_4G);
		for (uint64_t at = 0; at < PAGE_SIZE << order; at += PAGE_SIZE)
			test_put(taken[order] + at, order + 1);
	}
	/* Nobody's memory is anybody else's. */
	for (unsigned order = 0; order <= 9; order++) {
		for (uint64_t at = 0; at < PAGE_SIZE << order; at += PAGE_SIZE)
			CHECK(test_get(taken[order] + at) == order + 1);
		frames_give(order, taken[order]);
	}
	frames_stats(&after);
	CHECK(after.free + after.cached == before.free + before.cached);
}

/* Everything there is, in blocks that a small array can list; none of it is touched. */
static void frames_run_out(void)
{
	static kelp_paddr_t taken[512];
	struct frame_stats before, empty, after;
	unsigned order = 0, count = 0;

	frames_stats(&before);
	while (before.free >> order > ARRAY_COUNT(taken))
		order++;
	while (count < ARRAY_COUNT(taken) && frames_take(order, FRAME_ANYWHERE, &taken[count]))
		count++;
	frames_stats(&empty);
	test_note("blocks", count);
	CHECK(count < ARRAY_COUNT(taken) && empty.failures > before.failures);
	CHECK(((uint64_t)count << order) + empty.free + empty.cached ==
	      before.free + before.cached);
	for (unsigned i = order; i < FRAME_ORDERS; i++)
		CHECK(empty.blocks[i] == 0);
	while (count)
		frames_give(order, taken[--count]);
	frames_drain();
	frames_stats(&after);
	CHECK(after.free + after.cached == before.free + before.cached);
}

/* ---- threads ----------------------------------------------------------------------------- */

static volatile uint32_t counter;

static void count_up(void *argument)
{
	for (unsigned i = 0; i < 100; i++) {
		__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
		if (i % 10 == 0)
			thread_yield();
	}
	(void)argument;
}

static void threads_run_and_end(void)
{
	struct thread *thread[8];

	counter = 0;
	for (unsigned i = 0; i < ARRAY_COUNT(thread); i++) {
		thread[i] = thread_start("count", count_up, NULL, THREAD_ANY_CPU);
		REQUIRE(thread[i]);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(thread); i++)
		thread_join(thread[i]);
	CHECK(counter == 100 * ARRAY_COUNT(thread));
}

static void spin_until_told(void *argument)
{
	while (!__atomic_load_n((uint32_t *)argument, __ATOMIC_ACQUIRE))
		arch_relax();
}

static void tell(void *argument)
{
	__atomic_store_n((uint32_t *)argument, 1, __ATOMIC_RELEASE);
}

/* One that never gives the CPU away, and one that makes it stop, on the same CPU. */
static void threads_are_preempted(void)
{
	static uint32_t told;
	struct thread *spinner, *teller;

	told = 0;
	spinner = thread_start("spin", spin_until_told, &told, this_cpu()->index);
	REQUIRE(spinner);
	teller = thread_start("tell", tell, &told, this_cpu()->index);
	REQUIRE(teller);
	thread_join(spinner);
	thread_join(teller);
	CHECK(told == 1);
}

static void count_late(void *argument)
{
	(void)argument;
	thread_sleep(3000);
	__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
}

static void count_nothing(void *argument)
{
	(void)argument;
}

/* Nobody waits for them; the next start frees them, and the runner counts the frames. */
static void threads_end_alone(void)
{
	unsigned before = threads_existing();
	struct thread *thread;

	counter = 0;
	for (unsigned i = 0; i < 4; i++) {
		thread = thread_start("alone", count_late, NULL, THREAD_ANY_CPU);
		REQUIRE(thread);
		thread_detach(thread);
	}
	for (unsigned i = 0; i < 1000 && threads_existing() != before; i++) {
		thread_sleep(1000);
		thread = thread_start("last", count_nothing, NULL, this_cpu()->index);
		REQUIRE(thread);
		thread_join(thread);
	}
	CHECK(counter == 4);
	CHECK(threads_existing() == before);
}

static void threads_sleep(void)
{
	uint64_t start = time_microseconds(), slept;

	thread_sleep(5000);
	slept = time_microseconds() - start;
	test_note("microseconds", slept);
	CHECK(slept >= 5000);
	CHECK(slept < 5000000);
}

static struct spinlock shared_lock = SPINLOCK("test shared");
static uint64_t shared_a, shared_b, contended;

/* Tickets go round even to a CPU that its host does not run just now: it ends in time anyway. */
static void contend(void *argument)
{
	uint64_t start = time_microseconds();

	(void)argument;
	for (unsigned i = 0; i < 500 && time_microseconds() - start < 200000; i++) {
		spin_lock(&shared_lock);
		if (shared_a != shared_b)
			test_fail(__FILE__, __LINE__, "two holders of one lock");
		shared_a++;
		arch_relax();
		shared_b++;
		spin_unlock(&shared_lock);
		__atomic_fetch_add(&contended, 1, __ATOMIC_RELAXED);
	}
}

static void locks_exclude(void)
{
	struct thread *thread[8];
	unsigned count = (unsigned)min_u64(cpu_count * 2u, ARRAY_COUNT(thread));

	shared_a = shared_b = contended = 0;
	for (unsigned i = 0; i < count; i++) {
		thread[i] = thread_start("contend", contend, NULL, i % cpu_count);
		REQUIRE(thread[i]);
	}
	for (unsigned i = 0; i < count; i++)
		thread_join(thread[i]);
	CHECK(contended >= count && shared_a == contended && shared_b == shared_a);
}

static void note_cpu(void *argument)
{
	__atomic_fetch_or((uint64_t *)argument, UINT64_C(1) << this_cpu()->index, __ATOMIC_RELAXED);
}

static void every_cpu_answers(void)
{
	uint64_t seen = 0, expected = 0;

	for (unsigned i = 0; i < cpu_count; i++)
		expected |= cpus[i]->online && i != this_cpu()->index ? UINT64_C(1) << i : 0;
	for (unsigned round = 0; round < 20; round++) {
		seen = 0;
		cpus_call(note_cpu, &seen);
		CHECK(seen == expected);
	}
}

const struct test kernel_tests[] = {
	{"kernel: image rights", image_rights, 0},
	{"kernel: image rights in the direct map", image_rights_in_direct_map, 0},
	{"kernel: nothing is writable and executable", nothing_is_writable_and_executable, 0},
	{"kernel: guard pages", guard_pages, 0},
	{"kernel: faults are survived", faults_are_survived, 0},
	{"kernel: symbols are found", symbols_are_found, 0},
	{"boot: memory maps are made clean", memory_maps_are_made_clean, 0},
	{"boot: more ranges than fit", more_ranges_than_fit, 0},
	{"frames: come and go", frames_come_and_go, 0},
	{"frames: run out and come back", frames_run_out, 0},
	{"threads: run and end", threads_run_and_end, 0},
	{"threads: are preempted", threads_are_preempted, 0},
	{"threads: end alone", threads_end_alone, 0},
	{"threads: sleep", threads_sleep, 0},
	{"locks: exclude", locks_exclude, 0},
	{"cpus: every one answers", every_cpu_answers, 2},
};
const unsigned kernel_test_count = ARRAY_COUNT(kernel_tests);
