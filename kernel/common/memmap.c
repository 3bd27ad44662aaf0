/* SPDX-License-Identifier: MIT */
/*
 * memmap: the kernel's memmap (floor 2 of Kelp): what it is made of at boot, where its memory
 * comes from, and holds.
 */
#include "frames_private.h"

#include <arch.h>
#include <cpu.h>
#include <memmap.h>
#include <port.h>
#include <thread.h>
#include <vm.h>

struct kelp_memmap kernel_memmap;

/* Cuts at the end of the low zone: one subsection lies in one zone. */
static struct kelp_memmap_range ranges[BOOT_RANGES + 1];

/* So many holds of one CPU are known by name in a report. */
#define RECORDS 8u
static struct kelp_hold_record records[CPUS_MAX * RECORDS];

static bool early = true;
static uint64_t pages; /* under the memmap's lock */

uint64_t memmap_pages(void)
{
	return pages;
}

/* ---- memory for descriptors and sections ------------------------------------------------- */

static void *take(void *context, enum kelp_memmap_memory what, size_t size)
{
	kelp_paddr_t address;
	bool done;

	(void)context, (void)what;
	if (early)
		done = early_frames_take(size, PAGE_SIZE, FRAME_DIRECT, &address);
	else
		done = frames_take(frames_order(size), FRAME_DIRECT, &address);
	if (done && !early)
		pages += UINT64_C(1) << frames_order(size);
	return done ? direct_pointer(address) : NULL;
}

/* What the early allocator gave comes back page by page. */
static void give(void *context, enum kelp_memmap_memory what, void *memory, size_t size)
{
	kelp_paddr_t address = direct_address(memory);
	unsigned order = frames_order(size);

	(void)context, (void)what;
	if (early)
		return;
	if (frame_at(address >> PAGE_SHIFT)->owner) {
		frames_give(order, address);
		pages -= UINT64_C(1) << order;
		return;
	}
	for (uint64_t at = 0; at < size; at += PAGE_SIZE)
		frames_give(0, address + at);
}

/* ---- holds ------------------------------------------------------------------------------- */

static void nothing(void *argument)
{
	(void)argument;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* An interrupt to each is a fence on each. */
static void fence_everywhere(void *context)
{
	preempt_disable();
	nothing(context);
	cpus_call(nothing, NULL);
	nothing(context);
	preempt_enable();
}

static kelp_pfn_t pfn(kelp_paddr_t address)
{
	return (kelp_pfn_t){address >> PAGE_SHIFT};
}

/* ---- start ------------------------------------------------------------------------------- */

static void must(enum kelp_status status, const char *what)
{
	if (status != KELP_OK)
		panic("the memmap: %s: %s", what, kelp_status_text(status));
}

/* RAM by zones; the map is clean, so both are sorted. */
static unsigned list_ram(const struct boot_info *info)
{
	const kelp_paddr_t low_last = min_u64(FRAME_DIRECT, FRAME_BELOW_4G);
	unsigned count = 0;

	for (unsigned i = 0; i < info->map.count; i++) {
		const struct memory_range *range = &info->map.range[i];
		kelp_paddr_t first = range->first, last = range->first + range->size - 1u;

		if (range->kind != MEMORY_RAM)
			continue;
		if (first <= low_last) {
			ranges[count++] = (struct kelp_memmap_range){
				pfn(first), pfn(min_u64(last, low_last)), FRAME_ZONE_LOW};
			first = low_last + 1u;
		}
		if (last > low_last)
			ranges[count++] = (struct kelp_memmap_range){
				pfn(first), pfn(last), FRAME_ZONE_HIGH};
	}
	return count;
}

static void *early_memory(size_t size)
{
	kelp_paddr_t address;

	if (!early_frames_take(size, PAGE_SIZE, FRAME_DIRECT, &address))
		must(KELP_ERR_NO_MEMORY, "its own memory");
	return direct_pointer(address);
}

void memmap_init(const struct boot_info *info)
{
	struct kelp_memmap_config config = {
		.port = &kernel_port,
		.page_shift = PAGE_SHIFT,
		.physical_bits = kernel_format.pa_bits,
		.subsection_shift = MEMMAP_SUBSECTION_SHIFT,
		.descriptor_size = frame_size,
		.frame_offset = offsetof(struct frame, number),
		.frame_bytes = sizeof(((struct frame *)0)->number),
		.holds = {
			.port = &kernel_port,
			.cpus = CPUS_MAX,
			.barrier = fence_everywhere,
			.record = records,
			.records = RECORDS,
		},
		.take = take,
		.give = give,
		.initialise = frames_initialise,
	};
	size_t size;

	must(kelp_holds_size(&config.holds, &size), "the size of its counters");
	config.holds.memory = early_memory(size);
	must(kelp_memmap_size(&config, &size), "its size");
	config.memory = early_memory(size);
	must(kelp_memmap_init(&kernel_memmap, &config), "its configuration");
	must(kelp_memmap_add_early(&kernel_memmap, ranges, list_ram(info)),
	     "the descriptors of all frames");
	early = false;
}
