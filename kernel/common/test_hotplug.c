/* SPDX-License-Identifier: MIT */
/*
 * test_hotplug: memory that goes and comes back. Any RAM will do: a free range of what was there
 * at boot is taken offline and removed, and added again in the zone that a test needs; at its end
 * everything is as before. Then the devices that give memory, where there are some.
 */
#include <test.h>

#include <drivers/pmem.h>
#include <drivers/virtio_mem.h>

#include <cpu.h>
#include <frames.h>
#include <holds.h>
#include <hotplug.h>
#include <print.h>
#include <reach.h>
#include <thread.h>

#include "virtio_call.h"

#define UNITS 2u
#define SIZE  (UNITS * HOTPLUG_UNIT)
#define ORDER (MEMMAP_SUBSECTION_SHIFT - PAGE_SHIFT + 1u)

/* What the range was: it is so again at the end. */
static struct {
	kelp_paddr_t first;
	kelp_zone_t zone;
} range;

static kelp_pfn_t pfn(kelp_paddr_t address)
{
	return (kelp_pfn_t){address >> PAGE_SHIFT};
}

/* A free range of whole subsections in the direct map. False: skipped. */
static bool find_range(void)
{
	frames_drain();
	if (!frames_take(ORDER, FRAME_DIRECT, &range.first)) {
		test_skip("no 4 MiB in one piece");
		return false;
	}
	frames_give(ORDER, range.first);
	CHECK(kelp_pfn_zone(&kernel_memmap, pfn(range.first), &range.zone) == KELP_OK);
	return true;
}

static bool take_away(void)
{
	bool done = hotplug_offline(range.first, SIZE) == KELP_OK &&
		    hotplug_remove(range.first, SIZE) == KELP_OK;

	CHECK(done);
	return done;
}

static bool bring_back(unsigned zone, bool host)
{
	bool done = hotplug_add(range.first, SIZE, zone, host) == KELP_OK &&
		    hotplug_online(range.first, SIZE) == KELP_OK;

	CHECK(done);
	return done;
}

/* The range as memory of another zone, empty; false: skipped or failed. */
static bool find_range_in(unsigned zone, bool host)
{
	return find_range() && take_away() && bring_back(zone, host);
}

static void restore(void)
{
	if (take_away())
		(void)bring_back(range.zone, false);
}

static bool in_range(kelp_paddr_t address)
{
	return address - range.first < SIZE;
}

/* ---- states ------------------------------------------------------------------------------ */

enum answer { GONE, OFFLINE, ONLINE, DEVICE };

/* Every answer about the frame at one moment, held or not. */
static bool answers(kelp_paddr_t address, enum answer expected)
{
	const struct kelp_memmap *map = &kernel_memmap;
	struct kelp_hold hold;
	bool online = expected == ONLINE, device = expected == DEVICE, good;
	/* debug_pagealloc: what is free is absent. */
	bool hidden = online && kernel_direct.leaf_shift == PAGE_SHIFT;

	good = kelp_pfn_valid(map, pfn(address)) == (expected != GONE) &&
	       kelp_pfn_active(map, pfn(address)) == (online || device) &&
	       kelp_pfn_online(map, pfn(address)) == online &&
	       kelp_pfn_device(map, pfn(address)) == device &&
	       (hidden ||
		kelp_directmap_present(&kernel_direct, pfn(address)) == (expected != GONE));
	if ((frame_hold_online(address, &hold) == KELP_OK) != online)
		return false;
	if (online)
		frame_release(&hold);
	if ((frame_hold_device(address, &hold) == KELP_OK) != device)
		return false;
	if (device)
		frame_release(&hold);
	if (online || device) {
		if (frame_hold_any(address, &hold) != KELP_OK)
			return false;
		good &= !frames_check(kelp_hold_page(&hold), address >> PAGE_SHIFT);
		frame_release(&hold);
	}
	return good;
}

static bool all_answer(kelp_paddr_t first, uint64_t size, enum answer expected)
{
	for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
		test_note("address", first + at);
		if (!answers(first + at, expected))
			return false;
	}
	return true;
}

static void memory_goes_and_comes_back(void)
{
	struct frame_stats before, after;
	struct frame_look look;
	uint64_t value;

	if (!find_range())
		return;
	frames_stats(&before);
	CHECK(all_answer(range.first, SIZE, ONLINE));
	REQUIRE(hotplug_offline(range.first, SIZE) == KELP_OK);
	CHECK(hotplug_offline(range.first, SIZE) == KELP_ERR_NO_FRAME);
	CHECK(hotplug_add(range.first, SIZE, range.zone, false) == KELP_ERR_EXISTS);
	frames_stats(&after);
	CHECK(after.total == before.total - (SIZE >> PAGE_SHIFT) && after.isolated == 0);
	REQUIRE(hotplug_remove(range.first, SIZE) == KELP_OK);
	CHECK(all_answer(range.first, SIZE, GONE));
	CHECK(test_load(DIRECT_BASE + range.first, &value) == PROBE_NOT_PRESENT);
	CHECK(hotplug_online(range.first, SIZE) == KELP_ERR_NO_FRAME);
	REQUIRE(hotplug_add(range.first, SIZE, range.zone, false) == KELP_OK);
	CHECK(all_answer(range.first, SIZE, OFFLINE));
	REQUIRE(hotplug_online(range.first, SIZE) == KELP_OK);
	/* What was offline and what was gone come back in one piece. */
	REQUIRE(hotplug_offline(range.first, SIZE) == KELP_OK);
	REQUIRE(hotplug_remove(range.first, HOTPLUG_UNIT) == KELP_OK);
	REQUIRE(hotplug_add(range.first, HOTPLUG_UNIT, range.zone, false) == KELP_OK);
	REQUIRE(hotplug_online(range.first, SIZE) == KELP_OK);
	CHECK(all_answer(range.first, SIZE, ONLINE));
	/* INV-2.3: it is as any other memory. */
	frames_look(range.first + SIZE - PAGE_SIZE, &look);
	CHECK(look.use == FRAME_USE_FREE);
	frames_stats(&after);
	CHECK(after.total == before.total && after.free + after.cached == before.free + before.cached);
}

/* INV-2.2: one subsection is RAM, device, gone, while its neighbour is each of these. */
static void neighbours_do_not_notice(void)
{
	kelp_paddr_t unit[UNITS];

	if (!find_range() || !take_away())
		return;
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned i = 0; i < UNITS; i++)
			unit[i] = range.first + (round + i) % UNITS * HOTPLUG_UNIT;
		CHECK(hotplug_attach(unit[0], HOTPLUG_UNIT) == KELP_OK);
		CHECK(hotplug_add(unit[1], HOTPLUG_UNIT, FRAME_ZONE_MOVABLE, round & 2u) == KELP_OK);
		CHECK(answers(unit[0], DEVICE) && answers(unit[1], OFFLINE));
		CHECK(hotplug_online(unit[1], HOTPLUG_UNIT) == KELP_OK);
		CHECK(hotplug_online(unit[0], HOTPLUG_UNIT) != KELP_OK);
		CHECK(all_answer(unit[0], HOTPLUG_UNIT, DEVICE));
		CHECK(answers(unit[1] + HOTPLUG_UNIT - PAGE_SIZE, ONLINE));
		if (round & 1u) {
			CHECK(hotplug_detach(unit[0], HOTPLUG_UNIT) == KELP_OK);
			CHECK(answers(unit[0], GONE));
			CHECK(answers(unit[1] + HOTPLUG_UNIT - PAGE_SIZE, ONLINE));
		}
		CHECK(hotplug_unplug(unit[1], HOTPLUG_UNIT) == KELP_OK);
		CHECK(answers(unit[0], round & 1u ? GONE : DEVICE) && answers(unit[1], GONE));
		if (!(round & 1u))
			CHECK(hotplug_detach(unit[0], HOTPLUG_UNIT) == KELP_OK);
	}
	(void)bring_back(range.zone, false);
}

/* ---- what is in the way ------------------------------------------------------------------ */

/* The range is all there is in its zone, so that pages come from it. */
static bool zone_is_empty(void)
{
	struct frame_stats stats;

	frames_stats(&stats);
	if (memory_map_total(&boot_info.map, MEMORY_RAM) > UINT64_C(512) * MIB ||
	    stats.movable_total)
		test_skip("the pages would come from elsewhere");
	return memory_map_total(&boot_info.map, MEMORY_RAM) <= UINT64_C(512) * MIB &&
	       !stats.movable_total;
}

static void the_kernels_pages_stay(void)
{
	struct frame_stats before, after;
	kelp_paddr_t page;

	if (!zone_is_empty() || !find_range_in(FRAME_ZONE_HIGH, false))
		return;
	frames_drain();
	frames_stats(&before);
	REQUIRE(frames_take(1, FRAME_ANYWHERE, &page));
	CHECK(in_range(page));
	memset(direct_pointer(page), 0x35, 2 * PAGE_SIZE);
	CHECK(hotplug_unplug(range.first, SIZE) == KELP_ERR_BUSY);
	CHECK(all_answer(range.first, SIZE, ONLINE));
	CHECK(*(uint8_t *)direct_pointer(page + PAGE_SIZE) == 0x35);
	frames_give(1, page);
	frames_stats(&after);
	CHECK(after.free == before.free && after.isolated == 0 && after.total == before.total);
	for (unsigned order = 0; order < FRAME_ORDERS; order++)
		CHECK(after.blocks[order] == before.blocks[order]);
	restore();
}

static uint32_t given;

/* Some time after the range has been isolated. */
static void give_late(void *argument)
{
	thread_sleep(4000);
	__atomic_store_n(&given, 1, __ATOMIC_RELEASE);
	frames_give(ORDER, range.first);
	(void)argument;
}

/* A block that lies half in a range that is leaving, given back meanwhile: each half goes its way. */
static void blocks_are_cut_at_the_edge(void)
{
	struct frame_stats before, after;
	struct frame_look look;
	struct thread *thread;
	kelp_paddr_t block;

	if (!find_range())
		return;
	frames_stats(&before);
	REQUIRE(frames_take(ORDER, FRAME_DIRECT, &block));
	REQUIRE(block == range.first);
	given = 0;
	thread = thread_start("late", give_late, NULL, THREAD_ANY_CPU);
	REQUIRE(thread);
	CHECK(hotplug_offline(range.first + HOTPLUG_UNIT, HOTPLUG_UNIT) == KELP_OK);
	CHECK(__atomic_load_n(&given, __ATOMIC_ACQUIRE));
	thread_join(thread);
	CHECK(answers(range.first + HOTPLUG_UNIT - PAGE_SIZE, ONLINE));
	frames_look(range.first, &look);
	CHECK(look.use == FRAME_USE_FREE);
	CHECK(hotplug_online(range.first + HOTPLUG_UNIT, HOTPLUG_UNIT) == KELP_OK);
	frames_stats(&after);
	CHECK(after.total == before.total && after.isolated == 0);
	/* And they are one block again. */
	CHECK(frames_take(ORDER, FRAME_DIRECT, &block));
	frames_give(ORDER, block);
}

/* Pages that nobody uses, but that lie in a CPU's cache. */
static void caches_are_drained(void)
{
	kelp_paddr_t page[8];

	if (!zone_is_empty() || !find_range_in(FRAME_ZONE_HIGH, false))
		return;
	frames_drain();
	for (unsigned i = 0; i < ARRAY_COUNT(page); i++)
		CHECK(frames_take(0, FRAME_ANYWHERE, &page[i]) && in_range(page[i]));
	for (unsigned i = 0; i < ARRAY_COUNT(page); i++)
		frames_give(0, page[i]);
	restore();
}

static struct {
	kelp_paddr_t page[16];
	unsigned refuse; /* so many more times */
	unsigned moved;
} moving;

static bool move(const struct frame_owner *owner, uintptr_t cookie, kelp_paddr_t from,
		 kelp_paddr_t to)
{
	(void)owner;
	if (cookie >= ARRAY_COUNT(moving.page) || moving.page[cookie] != from) {
		test_fail(__FILE__, __LINE__, "somebody else's page was to be moved");
		return false;
	}
	if (moving.refuse) {
		moving.refuse--;
		return false;
	}
	memcpy(direct_pointer(to), direct_pointer(from), PAGE_SIZE);
	moving.page[cookie] = to;
	moving.moved++;
	return true;
}

static const struct frame_owner mover = {"a test", move};

static void take_movable(void)
{
	for (unsigned i = 0; i < ARRAY_COUNT(moving.page); i++) {
		REQUIRE(frames_take_movable(&mover, i, &moving.page[i]));
		CHECK(in_range(moving.page[i]));
		memset(direct_pointer(moving.page[i]), (int)i + 1, PAGE_SIZE);
	}
}

static void movable_pages_move(void)
{
	if (!zone_is_empty() || !find_range_in(FRAME_ZONE_MOVABLE, true))
		return;
	moving.moved = 0;
	take_movable();
	/* One who never lets go: all of it stays in use. */
	moving.refuse = UINT32_MAX;
	CHECK(hotplug_unplug(range.first, SIZE) == KELP_ERR_BUSY);
	CHECK(all_answer(range.first, SIZE, ONLINE) && moving.moved == 0);
	/* One who takes a little time. */
	moving.refuse = 5;
	CHECK(hotplug_unplug(range.first, SIZE) == KELP_OK);
	CHECK(moving.moved == ARRAY_COUNT(moving.page));
	for (unsigned i = 0; i < ARRAY_COUNT(moving.page); i++) {
		const uint8_t *bytes = direct_pointer(moving.page[i]);

		CHECK(!in_range(moving.page[i]));
		CHECK(bytes[0] == i + 1u && bytes[PAGE_SIZE - 1u] == i + 1u);
		frames_give(0, moving.page[i]);
	}
	(void)bring_back(range.zone, false);
}

/* The kernel's own pages never come from there, however little else there is. */
static void movable_memory_is_for_movable_pages(void)
{
	static kelp_paddr_t taken[64];
	unsigned count = 0;

	if (!zone_is_empty() || !find_range_in(FRAME_ZONE_MOVABLE, true))
		return;
	while (count < ARRAY_COUNT(taken) && frames_take(count % 9u, FRAME_ANYWHERE, &taken[count]))
		CHECK(!in_range(taken[count++]));
	while (count) {
		count--;
		frames_give(count % 9u, taken[count]);
	}
	restore();
}

/* ---- holds ------------------------------------------------------------------------------- */

static void a_hold_keeps_memory(void)
{
	uint64_t patience = hotplug_patience;
	struct kelp_hold hold, nested;

	if (!find_range())
		return;
	hotplug_patience = 20000;
	REQUIRE(frame_hold_online(range.first + HOTPLUG_UNIT, &hold) == KELP_OK);
	CHECK(hotplug_offline(range.first, SIZE) == KELP_ERR_BUSY);
	/* INV-2.1: neither the descriptor nor its frame's being online has changed. */
	CHECK(!frames_check(kelp_hold_page(&hold), (range.first + HOTPLUG_UNIT) >> PAGE_SHIFT));
	CHECK(all_answer(range.first, SIZE, ONLINE));
	REQUIRE(frame_hold_any(range.first, &nested) == KELP_OK);
	frame_release(&hold);
	CHECK(hotplug_offline(range.first, SIZE) == KELP_ERR_BUSY);
	frame_release(&nested);
	hotplug_patience = patience;
	restore();
}

static struct {
	uint32_t held, released;
	bool failed;
} sleeper;

/* Holds, sleeps, and lets go, on whatever CPU. */
static void hold_and_sleep(void *argument)
{
	struct kelp_hold hold;

	(void)argument;
	sleeper.failed = frame_hold_online(range.first + PAGE_SIZE, &hold) != KELP_OK;
	__atomic_store_n(&sleeper.held, 1, __ATOMIC_RELEASE);
	thread_sleep(30000);
	sleeper.failed |= frames_check(kelp_hold_page(&hold),
				       (range.first + PAGE_SIZE) >> PAGE_SHIFT) != NULL;
	__atomic_store_n(&sleeper.released, 1, __ATOMIC_RELEASE);
	frame_release(&hold);
}

static void a_holder_is_waited_for(void)
{
	struct thread *thread;

	if (!find_range())
		return;
	sleeper.held = sleeper.released = 0;
	thread = thread_start("holder", hold_and_sleep, NULL, THREAD_ANY_CPU);
	REQUIRE(thread);
	while (!__atomic_load_n(&sleeper.held, __ATOMIC_ACQUIRE))
		thread_yield();
	CHECK(hotplug_offline(range.first, SIZE) == KELP_OK);
	CHECK(__atomic_load_n(&sleeper.released, __ATOMIC_ACQUIRE));
	thread_join(thread);
	CHECK(!sleeper.failed);
	CHECK(hotplug_online(range.first, SIZE) == KELP_OK);
}

/* ---- requests ---------------------------------------------------------------------------- */

/* Registers in plain memory (V4.1.4.3), and a thread that plays the device. */
static struct {
	struct virtio_device device;
	struct virtio_call call;
	struct pci_device pci;
	uint8_t common[0x38];
	uint8_t notify[4];
	uint32_t written, id; /* what it says about its answer */
} fake __attribute__((aligned(8)));

static void play_device(void *argument)
{
	struct virtio_queue *queue = &fake.call.queue;
	uint8_t *page = direct_pointer(fake.call.page);

	(void)argument;
	while (!__atomic_load_n(&queue->available->index, __ATOMIC_ACQUIRE))
		thread_yield();
	/* One byte more than it was asked, in each of the bytes that it writes. */
	for (uint32_t i = 0; i < min_u64(fake.written, 8); i++)
		page[VIRTIO_CALL_BYTES + i] = (uint8_t)(page[i] + 1u);
	queue->used->ring[0] = (struct virtq_used_element){fake.id, fake.written};
	__atomic_store_n(&queue->used->index, 1, __ATOMIC_RELEASE);
}

/* A request of 8 bytes, an answer of 8, of which 2 must come. True: it was answered. */
static bool ask_fake(uint32_t id, uint32_t written, uint64_t *answer)
{
	const uint64_t request = UINT64_C(0x0807060504030201);
	const uint16_t size = 2;
	struct thread *thread;
	bool answered;

	memset(&fake, 0, sizeof(fake));
	fake.device.name = "a device made of memory (for this test)";
	fake.device.pci = &fake.pci;
	fake.device.common = fake.common;
	fake.device.notify = fake.notify;
	fake.device.notify_size = sizeof(fake.notify);
	fake.device.running = true;
	fake.call.lock.name = "fake";
	fake.common[0x12] = 1; /* queues */
	memcpy(&fake.common[0x18], &size, 2);
	fake.id = id;
	fake.written = written;
	if (!virtio_call_open(&fake.call, &fake.device))
		return false;
	thread = thread_start("device", play_device, NULL, THREAD_ANY_CPU);
	answered = thread && virtio_call(&fake.call, &request, sizeof(request), answer,
					 sizeof(*answer), 2, 10);
	if (thread)
		thread_join(thread);
	CHECK(fake.device.running == answered);
	frames_give(fake.call.queue.order, fake.call.queue.memory);
	frames_give(0, fake.call.page);
	return answered;
}

static void devices_that_lie_are_failed(void)
{
	uint64_t answer = 0, start;

	CHECK(ask_fake(0, 8, &answer) && answer == UINT64_C(0x0908070605040302));
	/* What a device leaves out reads as zero, but not all may be left out. */
	CHECK(ask_fake(0, 2, &answer) && answer == 0x0302);
	CHECK(!ask_fake(0, 1, &answer));
	CHECK(!ask_fake(0, 0, &answer));
	/* An answer to what it was not asked; then nothing is waited for any more. */
	start = time_microseconds();
	CHECK(!ask_fake(1, 8, &answer));
	CHECK(!ask_fake(77, 8, &answer));
	CHECK(time_microseconds() - start < 8000000);
}

/* ---- devices ----------------------------------------------------------------------------- */

static void devices_keep_their_memory(void)
{
	struct virtio_mem_info before, after;

	if (!virtio_mem_info(0, &before)) {
		test_skip("no virtio-mem device");
		return;
	}
	CHECK(virtio_mem_settle(10000));
	CHECK(virtio_mem_info(0, &before) && before.state == VIRTIO_MEM_RUNS);
	virtio_mem_stop();
	CHECK(virtio_mem_info(0, &after) && after.state == VIRTIO_MEM_STOPPED);
	CHECK(!before.used || !virtio_mem_require(before.first + before.size - before.unit, 1));
	CHECK(virtio_mem_restart());
	CHECK(virtio_mem_info(0, &after) && after.state == VIRTIO_MEM_RUNS);
	CHECK(after.used == before.used && after.plugged == before.plugged && !after.limbo);
	/* What is there is there; the host does not give more than it wants to. */
	CHECK(virtio_mem_require(before.first, before.used));
	CHECK(!virtio_mem_require(before.first, before.size));
	CHECK(virtio_mem_settle(10000));
}

static void persistent_memory(void)
{
	const struct pmem *pmem = pmem_device(0);
	uint64_t *word, saved, patience = hotplug_patience;
	struct kelp_hold hold;

	if (!pmem || !pmem_pointer(pmem, 0, 0)) {
		test_skip(pmem ? pmem->state : "no persistent memory");
		return;
	}
	CHECK(pmem_pointer(pmem, 0, pmem->size) && !pmem_pointer(pmem, 1, pmem->size) &&
	      !pmem_pointer(pmem, UINT64_MAX, 2));
	word = pmem_pointer(pmem, pmem->size - 8u, 8);
	REQUIRE(word);
	saved = *word;
	*word = ~saved;
	CHECK(pmem_flush(pmem));
	/* Who holds a frame keeps it, and its contents stay over a detach. */
	REQUIRE(frame_hold_device(pmem->first, &hold) == KELP_OK);
	hotplug_patience = 20000;
	CHECK(!pmem_detach(pmem));
	hotplug_patience = patience;
	frame_release(&hold);
	CHECK(pmem_detach(pmem) && !pmem_pointer(pmem, 0, 1));
	CHECK(answers(pmem->first, GONE));
	CHECK(pmem_attach(pmem) && answers(pmem->first, DEVICE));
	CHECK(*word == ~saved);
	*word = saved;
	CHECK(pmem_stop() && !pmem_flush(pmem));
	CHECK(pmem_restart() && pmem_flush(pmem) && *word == saved);
}

const struct test hotplug_tests[] = {
	{"hotplug: memory goes and comes back (INV-2.3)", memory_goes_and_comes_back, 0},
	{"hotplug: neighbours do not notice (INV-2.2)", neighbours_do_not_notice, 0},
	{"hotplug: the kernel's pages stay", the_kernels_pages_stay, 0},
	{"hotplug: caches are drained", caches_are_drained, 0},
	{"hotplug: blocks are cut at the edge", blocks_are_cut_at_the_edge, 0},
	{"hotplug: movable pages move", movable_pages_move, 0},
	{"hotplug: movable memory is for movable pages", movable_memory_is_for_movable_pages, 0},
	{"hotplug: a hold keeps memory (INV-2.1)", a_hold_keeps_memory, 0},
	{"hotplug: a holder is waited for (INV-2.1)", a_holder_is_waited_for, 0},
	{"hotplug: devices that lie are failed", devices_that_lie_are_failed, 0},
	{"hotplug: virtio-mem keeps its memory over a stop", devices_keep_their_memory, 0},
	{"hotplug: persistent memory", persistent_memory, 0},
};
const unsigned hotplug_test_count = ARRAY_COUNT(hotplug_tests);
