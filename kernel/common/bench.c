/* SPDX-License-Identifier: MIT */
/*
 * bench: what the mapping operations cost on this machine. Under an emulator the numbers say
 * little of hardware; `make bench` measures the library on the host.
 */
#include <story.h>

#include <cpu.h>
#include <port.h>
#include <print.h>
#include <reach.h>
#include <test.h>
#include <thread.h>

#define PAGES 4096u
#define SIZE  (PAGES * PAGE_SIZE)

static void tell(const char *what, uint64_t ticks, uint64_t count)
{
	uint64_t picoseconds = ticks_to_nanoseconds(ticks * 1000u) / count;

	kprintf("  %-44s %8llu.%llu ns\n", what, (unsigned long long)(picoseconds / 1000u),
		(unsigned long long)(picoseconds % 1000u / 100u));
}

static void must(enum kelp_status status)
{
	if (status != KELP_OK)
		panic("bench: %s", kelp_status_text(status));
}

/* Through each of the ways to a frame; a store of 4 KiB tells what the bytes themselves cost. */
static void bench_reach(void)
{
	enum { ROUNDS = 1024 };
	kelp_paddr_t frame;
	uint64_t start;
	void *bytes;

	if (!frames_take(0, FRAME_DIRECT, &frame))
		return;
	start = arch_ticks();
	for (unsigned i = 0; i < ROUNDS; i++) {
		bytes = kmap_local(frame);
		__asm__ volatile("" ::"r"(bytes) : "memory");
		kunmap_local(bytes);
	}
	tell("kmap_local and back, as it comes", arch_ticks() - start, ROUNDS);
	start = arch_ticks();
	for (unsigned i = 0; i < ROUNDS; i++)
		kunmap_local_mapped(kmap_local_mapped(frame));
	tell("kmap_local and back, in a slot", arch_ticks() - start, ROUNDS);
	start = arch_ticks();
	for (unsigned i = 0; i < ROUNDS; i++)
		memset(direct_pointer(frame), 0, PAGE_SIZE);
	tell("zero a frame through the direct map", arch_ticks() - start, ROUNDS);
	start = arch_ticks();
	for (unsigned i = 0; i < ROUNDS; i++)
		copywin_zero(frame);
	tell("zero a frame through the copy window", arch_ticks() - start, ROUNDS);
	start = arch_ticks();
	for (unsigned i = 0; i < 64; i++) {
		unsigned long flags = direct_lock();

		must(kelp_directmap_set_invalid(&kernel_direct,
						(kelp_pfn_t){frame >> PAGE_SHIFT}, 1));
		must(kelp_directmap_set_default(&kernel_direct,
						(kelp_pfn_t){frame >> PAGE_SHIFT}, 1));
		direct_unlock(flags);
	}
	tell("a frame out of the direct map and back", arch_ticks() - start, 64);
	frames_give(0, frame);
}

void bench_run(void)
{
	kelp_attr_t rw = kelp_format_closest(&kernel_format, VM_DATA);
	struct kelp_flush flush;
	uint64_t start, value;
	kelp_paddr_t pa;

	kprintf("%u CPUs online; what is mapped is not touched\n", cpu_count);
	kelp_flush_begin(&flush, &kernel_space);
	start = arch_ticks();
	must(kelp_space_map(&flush, TEST_BASE, 0, SIZE, rw, KELP_LEAF_SHIFT(PAGE_SHIFT)));
	tell("map a range, per 4 KiB page", arch_ticks() - start, PAGES);

	start = arch_ticks();
	for (uint64_t at = 0; at < SIZE; at += PAGE_SIZE)
		must(kelp_space_translate(&kernel_space, TEST_BASE + at, &pa));
	tell("translate, per page", arch_ticks() - start, PAGES);

	start = arch_ticks();
	must(kelp_space_unmap(&flush, TEST_BASE, SIZE, 0));
	tell("unmap a range, per page, flush not counted", arch_ticks() - start, PAGES);
	start = arch_ticks();
	vm_commit(&flush);
	tell("its flush, with shootdown", arch_ticks() - start, 1);

	kelp_flush_begin(&flush, &kernel_space);
	start = arch_ticks();
	for (uint64_t at = 0; at < SIZE; at += PAGE_SIZE)
		must(kelp_space_map(&flush, TEST_BASE + at, at, PAGE_SIZE, rw, 0));
	tell("map page by page, per page", arch_ticks() - start, PAGES);
	must(kelp_space_unmap(&flush, TEST_BASE, SIZE, 0));
	vm_commit(&flush);

	start = arch_ticks();
	for (unsigned i = 0; i < 64; i++) {
		must(test_map(TEST_BASE, 0, PAGE_SIZE, rw, 0));
		must(test_unmap(TEST_BASE, PAGE_SIZE, 0));
	}
	tell("map and unmap one page, committed", arch_ticks() - start, 64);

	start = arch_ticks();
	for (unsigned i = 0; i < 64; i++)
		(void)test_load(TEST_BASE, &value);
	tell("a fault, resumed", arch_ticks() - start, 64);
	bench_reach();
	must(test_unmap(TEST_BASE, TEST_SIZE, 0));
}
