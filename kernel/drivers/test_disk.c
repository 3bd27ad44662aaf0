/* SPDX-License-Identifier: MIT */
/*
 * test_disk: the disks, for real. What writes does so only on a scratch disk, which the host has
 * marked as one (scratch.h): anybody else's data is safe.
 */
#include <test.h>

#include "scratch.h"

#include <drivers/block.h>
#include <drivers/wait.h>

#include <cpu.h>
#include <print.h>
#include <thread.h>

static struct scratch_header scratch;

#define BUFFER_ORDER 6u /* 256 KiB */
#define BUFFER_SIZE (PAGE_SIZE << BUFFER_ORDER)

/* The first scratch disk. NULL, and the test is skipped, when there is none. */
static struct block_device *scratch_disk(void)
{
	kelp_paddr_t page = test_direct_frames(0);
	struct block_device *disk;

	for (unsigned i = 0; (disk = block_device(i)); i++) {
		if (disk->read_only || block_read(disk, 0, page, PAGE_SIZE) != BLOCK_OK)
			continue;
		memcpy(&scratch, direct_pointer(page), sizeof(scratch));
		if (!memcmp(scratch.magic, SCRATCH_MAGIC, sizeof(scratch.magic)))
			return disk;
	}
	test_skip(block_device(0) ? "no disk is marked as a scratch disk, nothing is written"
				  : "there is no disk");
	return NULL;
}

static uint64_t block_at(const struct block_device *disk, uint64_t byte)
{
	return byte >> block_shift(disk->block_size);
}

static void fill(kelp_paddr_t address, uint64_t size, uint64_t seed, uint64_t byte)
{
	uint64_t *word = direct_pointer(address);

	for (uint64_t at = 0; at < size; at += 8)
		*word++ = scratch_word(seed, byte + at);
}

/* Where the memory differs from the pattern first; `size` when it does not. */
static uint64_t differs_at(kelp_paddr_t address, uint64_t size, uint64_t seed, uint64_t byte)
{
	const uint64_t *word = direct_pointer(address);

	for (uint64_t at = 0; at < size; at += 8)
		if (*word++ != scratch_word(seed, byte + at))
			return at;
	return size;
}

/* Reads an area and compares it with the pattern. */
static void check_area(struct block_device *disk, uint64_t first, uint64_t size, uint64_t seed)
{
	kelp_paddr_t buffer = test_direct_frames(BUFFER_ORDER);

	for (uint64_t at = 0; at < size; at += BUFFER_SIZE) {
		uint64_t piece = min_u64(BUFFER_SIZE, size - at), bad;

		REQUIRE(block_read(disk, block_at(disk, first + at), buffer, piece) == BLOCK_OK);
		bad = differs_at(buffer, piece, seed, first + at);
		test_note("byte of the disk", first + at + bad);
		REQUIRE(bad == piece);
	}
}

/* ---- reading ----------------------------------------------------------------------------- */

static void says_what_it_is(void)
{
	struct block_device *disk;

	if (!block_device(0))
		test_skip("there is no disk");
	for (unsigned i = 0; (disk = block_device(i)); i++) {
		CHECK(disk->block_size >= 512 && !(disk->block_size & (disk->block_size - 1u)));
		CHECK(disk->blocks > 0);
		CHECK(disk->segments_max > 0 && disk->segment_max >= disk->block_size);
	}
}

static void host_wrote_is_read(void)
{
	struct block_device *disk = scratch_disk();

	if (!disk)
		return;
	CHECK(scratch.host_first + scratch.host_size <= disk->blocks * disk->block_size);
	check_area(disk, scratch.host_first, scratch.host_size, scratch.seed);
}

/* ---- writing ----------------------------------------------------------------------------- */

#define FLIGHT 16u
#define PIECE (BUFFER_SIZE / FLIGHT)

/* FLIGHT pieces of the buffer in a shuffled order, all under way at once. */
static void fly(struct block_device *disk, enum block_operation operation, kelp_paddr_t buffer,
		uint64_t first)
{
	struct block_request request[FLIGHT];
	struct block_segment segment[FLIGHT];

	block_plug(disk);
	for (unsigned i = 0; i < FLIGHT; i++) {
		/* 7 and 16 have no common divisor: every piece comes once. */
		unsigned piece = i * 7u % FLIGHT;

		segment[i] = (struct block_segment){buffer + piece * PIECE, (uint32_t)PIECE};
		request[i] = (struct block_request){
			.operation = operation,
			.first = block_at(disk, first + piece * PIECE),
			.segment = &segment[i],
			.segments = 1,
		};
		CHECK(block_submit(disk, &request[i]) == BLOCK_PENDING);
	}
	/* The device has not been told of any: all are under way, or waiting for room. */
	test_note("in flight", disk->in_flight);
	CHECK(disk->in_flight > 1);
	CHECK(disk->in_flight == FLIGHT || disk->queue_first);
	block_unplug(disk);
	for (unsigned i = 0; i < FLIGHT; i++)
		CHECK(block_wait(disk, &request[i]) == BLOCK_OK);
}

static void several_in_flight(void)
{
	struct block_device *disk = scratch_disk();
	kelp_paddr_t buffer;

	if (!disk)
		return;
	buffer = test_direct_frames(BUFFER_ORDER);
	for (uint64_t round = 0; round < 3; round++) {
		uint64_t seed = scratch.seed ^ (round + 1u) << 32;
		uint64_t first = scratch.work_first + round * BUFFER_SIZE;

		fill(buffer, BUFFER_SIZE, seed, first);
		fly(disk, BLOCK_WRITE, buffer, first);
		memset(direct_pointer(buffer), 0, BUFFER_SIZE);
		fly(disk, BLOCK_READ, buffer, first);
		test_note("round", round);
		CHECK(differs_at(buffer, BUFFER_SIZE, seed, first) == BUFFER_SIZE);
	}
}

/* More requests than a queue has room for: none is lost, none is refused. */
#define CROWD 300u
static struct block_request crowd[CROWD];

static void more_than_fit(void)
{
	struct block_device *disk = scratch_disk();
	struct block_segment segment[2];
	kelp_paddr_t page;
	uint64_t waited;

	if (!disk)
		return;
	page = test_direct_frames(0);
	waited = disk->stats.waited_for_room;
	segment[0] = (struct block_segment){page, disk->block_size};
	segment[1] = segment[0];
	/* A device that is done with what was before does not look at its queue by itself. */
	thread_sleep(2000);
	block_plug(disk);
	for (unsigned i = 0; i < CROWD; i++) {
		crowd[i] = (struct block_request){
			.operation = BLOCK_READ,
			.first = i % 8u,
			.segment = segment,
			.segments = 1u + (i & 1u && disk->segments_max > 1),
		};
		(void)block_submit(disk, &crowd[i]);
	}
	block_unplug(disk);
	for (unsigned i = 0; i < CROWD; i++) {
		test_note("request", i);
		CHECK(block_wait(disk, &crowd[i]) == BLOCK_OK);
	}
	CHECK(disk->in_flight == 0);
	test_note("waited for room", disk->stats.waited_for_room - waited);
	CHECK(disk->stats.waited_for_room > waited);
}

/* One request from frames that do not follow each other, and from pieces of odd sizes. */
static void scattered_memory(void)
{
	struct block_device *disk = scratch_disk();
	enum { PAGES = 6 };
	struct block_segment segment[PAGES + 2];
	struct block_request request = {.operation = BLOCK_WRITE, .segment = segment};
	kelp_paddr_t page[PAGES], whole, odd;

	if (!disk)
		return;
	if (disk->segments_max < ARRAY_COUNT(segment)) {
		test_skip("the disk takes too few segments");
		return;
	}
	whole = test_direct_frames(3);
	odd = test_direct_frames(0);
	fill(whole, 7 * PAGE_SIZE, scratch.seed, scratch.work_first);
	for (unsigned i = 0; i < PAGES; i++) {
		page[i] = test_direct_frames(0);
		memcpy(direct_pointer(page[i]), direct_pointer(whole + i * PAGE_SIZE), PAGE_SIZE);
		segment[i] = (struct block_segment){page[i], (uint32_t)PAGE_SIZE};
	}
	memcpy(direct_pointer(odd), direct_pointer(whole + PAGES * PAGE_SIZE), PAGE_SIZE);
	segment[PAGES] = (struct block_segment){odd, 1001};
	segment[PAGES + 1] = (struct block_segment){odd + 1001, (uint32_t)PAGE_SIZE - 1001};
	request.first = block_at(disk, scratch.work_first);
	request.segments = ARRAY_COUNT(segment);
	(void)block_submit(disk, &request);
	CHECK(block_wait(disk, &request) == BLOCK_OK);
	memset(direct_pointer(whole), 0, 8 * PAGE_SIZE);
	CHECK(block_read(disk, request.first, whole, 7 * PAGE_SIZE) == BLOCK_OK);
	CHECK(differs_at(whole, 7 * PAGE_SIZE, scratch.seed, scratch.work_first) == 7 * PAGE_SIZE);
	CHECK(*(uint64_t *)direct_pointer(whole + 7 * PAGE_SIZE) == 0);
}

/* ---- many threads ------------------------------------------------------------------------ */

#define THREADS_MAX 8u
#define THREAD_AREA (16u * PAGE_SIZE)
#define THREAD_ROUNDS 6u

struct worker {
	struct block_device *disk;
	kelp_paddr_t buffer;
	uint64_t first;
	uint64_t seed;
	enum block_status status;
	bool differs;
};

static void work(void *argument)
{
	struct worker *w = argument;

	for (unsigned round = 0; round < THREAD_ROUNDS && w->status == BLOCK_OK; round++) {
		uint64_t seed = w->seed + round;

		fill(w->buffer, THREAD_AREA, seed, w->first);
		w->status = block_write(w->disk, block_at(w->disk, w->first), w->buffer,
					THREAD_AREA);
		memset(direct_pointer(w->buffer), 0xaa, THREAD_AREA);
		if (w->status == BLOCK_OK)
			w->status = block_read(w->disk, block_at(w->disk, w->first), w->buffer,
					       THREAD_AREA);
		w->differs |= differs_at(w->buffer, THREAD_AREA, seed, w->first) != THREAD_AREA;
		if (round % 3u == 2u && w->status == BLOCK_OK)
			w->status = block_flush(w->disk);
	}
}

static void many_threads(void)
{
	struct block_device *disk = scratch_disk();
	struct thread *thread[THREADS_MAX];
	struct worker worker[THREADS_MAX];
	unsigned count = (unsigned)min_u64(THREADS_MAX, cpu_count * 2u);

	if (!disk)
		return;
	REQUIRE(scratch.work_size >= THREADS_MAX * THREAD_AREA);
	for (unsigned i = 0; i < count; i++) {
		worker[i] = (struct worker){
			.disk = disk,
			.buffer = test_direct_frames(4),
			.first = scratch.work_first + i * THREAD_AREA,
			.seed = scratch.seed + 1000u * i,
		};
		thread[i] = thread_start("disk", work, &worker[i], i % cpu_count);
		REQUIRE(thread[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		thread_join(thread[i]);
		test_note("thread", i);
		CHECK(worker[i].status == BLOCK_OK && !worker[i].differs);
	}
}

/* ---- refusals ---------------------------------------------------------------------------- */

static enum block_status try_one(struct block_device *disk, enum block_operation operation,
				 uint64_t first, kelp_paddr_t page, uint32_t length)
{
	struct block_segment segment = {page, length};
	struct block_request request = {
		.operation = operation, .first = first, .segment = &segment, .segments = 1,
	};

	(void)block_submit(disk, &request);
	return block_wait(disk, &request);
}

static void refuses_nonsense(void)
{
	struct block_device *disk = block_device(0);
	kelp_paddr_t page = test_direct_frames(0);
	struct block_request none = {.operation = BLOCK_READ};
	uint32_t size;

	if (!disk) {
		test_skip("there is no disk");
		return;
	}
	size = disk->block_size;
	CHECK(try_one(disk, BLOCK_READ, disk->blocks - 1u, page, size) == BLOCK_OK);
	CHECK(try_one(disk, BLOCK_READ, disk->blocks, page, size) == BLOCK_RANGE);
	CHECK(try_one(disk, BLOCK_READ, disk->blocks - 1u, page, 2 * size) == BLOCK_RANGE);
	CHECK(try_one(disk, BLOCK_READ, UINT64_MAX, page, size) == BLOCK_RANGE);
	CHECK(try_one(disk, BLOCK_READ, 0, page, size - 1u) == BLOCK_ARGUMENT);
	CHECK(try_one(disk, BLOCK_READ, 0, page, 0) == BLOCK_ARGUMENT);
	CHECK(try_one(disk, BLOCK_FLUSH, 0, page, size) == BLOCK_ARGUMENT);
	CHECK(block_submit(disk, &none) == BLOCK_ARGUMENT);
	CHECK(block_read(disk, disk->blocks - 1u, page, 2 * size) == BLOCK_RANGE);
	CHECK(block_write(disk, disk->blocks, page, size) == BLOCK_RANGE);
	if (disk->read_only)
		CHECK(block_write(disk, 0, page, size) == BLOCK_READ_ONLY);
	CHECK(block_read(disk, 0, page, 0) == BLOCK_ARGUMENT);
}

/* The disk's own check, behind ours: its error comes back as an error, and it goes on. */
static void reports_errors(void)
{
	struct block_device *disk = scratch_disk();
	kelp_paddr_t page;
	uint64_t failures, blocks;

	if (!disk)
		return;
	page = test_direct_frames(0);
	failures = disk->stats.failures;
	blocks = disk->blocks;
	disk->blocks += 1024;
	CHECK(try_one(disk, BLOCK_READ, blocks + 8u, page, disk->block_size) == BLOCK_IO);
	CHECK(try_one(disk, BLOCK_WRITE, blocks + 8u, page, disk->block_size) == BLOCK_IO);
	disk->blocks = blocks;
	CHECK(disk->stats.failures == failures + 2u);
	CHECK(try_one(disk, BLOCK_READ, 0, page, disk->block_size) == BLOCK_OK);
}

/* A disk that takes requests and never ends them. */
static struct block_request *swallowed;

static bool swallow(struct block_device *device, struct block_request *request)
{
	(void)device;
	if (swallowed)
		return false;
	swallowed = request;
	return true;
}

static void do_nothing(struct block_device *device)
{
	(void)device;
}

static bool end_nothing(struct block_device *device)
{
	(void)device;
	return true;
}

static void stop_swallowing(struct block_device *device, enum block_status status)
{
	struct block_request *request = swallowed;

	swallowed = NULL;
	block_ended(device, request, status);
}

static void gives_up_on_a_dead_disk(void)
{
	static const struct block_driver driver = {
		.start = swallow, .notify = do_nothing, .reap = end_nothing,
		.stop = stop_swallowing,
	};
	struct block_device dead = {
		.block_size = 512, .blocks = 8, .segments_max = 1, .segment_max = 4096,
	};
	struct block_segment segment = {test_direct_frames(0), 512};
	struct block_request request[2];

	block_init(&dead, "a dead disk (made for this test)", &driver);
	dead.patience = 20;
	for (unsigned i = 0; i < 2; i++) {
		request[i] = (struct block_request){.segment = &segment, .segments = 1};
		CHECK(block_submit(&dead, &request[i]) == BLOCK_PENDING);
	}
	CHECK(block_wait(&dead, &request[0]) == BLOCK_TIMEOUT);
	/* The one that waited for room ends with it. */
	CHECK(block_wait(&dead, &request[1]) == BLOCK_TIMEOUT);
	CHECK(dead.in_flight == 0 && !dead.queue_first && dead.stats.failures == 2);
	CHECK(block_submit(&dead, &request[0]) == BLOCK_STOPPED);
	CHECK(block_stop(&dead) == BLOCK_STOPPED);
}

/* One that says itself that it is broken: nobody waits for the end of patience. */
static bool be_broken(struct block_device *device)
{
	(void)device;
	return false;
}

static void fails_with_a_broken_disk(void)
{
	static const struct block_driver driver = {
		.start = swallow, .notify = do_nothing, .reap = be_broken, .stop = stop_swallowing,
	};
	struct block_device broken = {
		.block_size = 512, .blocks = 8, .segments_max = 1, .segment_max = 4096,
	};
	struct block_segment segment = {test_direct_frames(0), 512};
	struct block_request request[2];

	block_init(&broken, "a broken disk (made for this test)", &driver);
	for (unsigned i = 0; i < 2; i++) {
		request[i] = (struct block_request){.segment = &segment, .segments = 1};
		CHECK(block_submit(&broken, &request[i]) == BLOCK_PENDING);
	}
	CHECK(block_wait(&broken, &request[1]) == BLOCK_IO);
	CHECK(block_wait(&broken, &request[0]) == BLOCK_IO);
	CHECK(broken.in_flight == 0 && broken.state == BLOCK_HAS_FAILED);
	CHECK(block_submit(&broken, &request[0]) == BLOCK_STOPPED);
}

/* ---- interrupts, stopping ---------------------------------------------------------------- */

static void works_with_interrupts_off(void)
{
	struct block_device *disk = scratch_disk();
	enum block_status written, flushed, read;
	kelp_paddr_t page;
	unsigned long flags;

	if (!disk)
		return;
	page = test_direct_frames(0);
	fill(page, PAGE_SIZE, scratch.seed + 77u, 0);
	flags = arch_irq_save();
	written = block_write(disk, block_at(disk, scratch.work_first), page, PAGE_SIZE);
	flushed = block_flush(disk);
	memset(direct_pointer(page), 0, PAGE_SIZE);
	read = block_read(disk, block_at(disk, scratch.work_first), page, PAGE_SIZE);
	arch_irq_restore(flags);
	CHECK(written == BLOCK_OK && flushed == BLOCK_OK && read == BLOCK_OK);
	CHECK(differs_at(page, PAGE_SIZE, scratch.seed + 77u, 0) == PAGE_SIZE);
}

static void interrupts_come(void)
{
	struct block_device *disk = block_device(0);
	kelp_paddr_t page = test_direct_frames(0);
	uint64_t before;

	if (!disk || !disk->interrupts) {
		test_skip(disk ? "the disk is polled" : "there is no disk");
		return;
	}
	before = disk->stats.interrupts;
	for (unsigned i = 0; i < 20; i++)
		CHECK(try_one(disk, BLOCK_READ, 0, page, disk->block_size) == BLOCK_OK);
	/* One may serve several, and the last may still be on its way. */
	thread_sleep(1000);
	test_note("interrupts", disk->stats.interrupts - before);
	CHECK(disk->stats.interrupts > before);
}

/* A disk that ends a request only when it is told to, from another thread. */
static bool slow_is_done;

static bool reap_slowly(struct block_device *device)
{
	struct block_request *request = swallowed;

	if (slow_is_done && request) {
		swallowed = NULL;
		block_ended(device, request, BLOCK_OK);
	}
	return true;
}

static void interrupt_later(void *argument)
{
	thread_sleep(3000);
	slow_is_done = true;
	block_interrupt(argument);
}

static void interrupts_wake(void)
{
	static const struct block_driver driver = {
		.start = swallow, .notify = do_nothing, .reap = reap_slowly,
		.stop = stop_swallowing,
	};
	struct block_device slow = {
		.block_size = 512, .blocks = 8, .segments_max = 1, .segment_max = 4096,
		.interrupts = true,
	};
	uint64_t usual = device_look_microseconds, start = arch_ticks();
	struct thread *thread;

	slow_is_done = false;
	block_init(&slow, "a slow disk (made for this test)", &driver);
	thread = thread_start("interrupt", interrupt_later, &slow, THREAD_ANY_CPU);
	REQUIRE(thread);
	/* Nobody looks for 20 s: only the interrupt ends the waiting sooner. */
	device_look_microseconds = 20000000;
	CHECK(try_one(&slow, BLOCK_READ, 0, test_direct_frames(0), 512) == BLOCK_OK);
	device_look_microseconds = usual;
	test_note("microseconds", ticks_to_microseconds(arch_ticks() - start));
	CHECK(ticks_to_microseconds(arch_ticks() - start) < 10000000);
	thread_join(thread);
}

static void stops_and_starts_again(void)
{
	struct block_device *disk = scratch_disk();
	uint64_t first;
	kelp_paddr_t page;

	if (!disk)
		return;
	page = test_direct_frames(0);
	first = block_at(disk, scratch.work_first);
	for (unsigned round = 0; round < 3; round++) {
		test_note("round", round);
		fill(page, PAGE_SIZE, scratch.seed + round, 0);
		CHECK(block_write(disk, first, page, PAGE_SIZE) == BLOCK_OK);
		CHECK(block_stop(disk) == BLOCK_OK);
		CHECK(block_read(disk, first, page, PAGE_SIZE) == BLOCK_STOPPED);
		CHECK(block_stop(disk) == BLOCK_STOPPED);
		REQUIRE(block_restart(disk));
		memset(direct_pointer(page), 0, PAGE_SIZE);
		CHECK(block_read(disk, first, page, PAGE_SIZE) == BLOCK_OK);
		CHECK(differs_at(page, PAGE_SIZE, scratch.seed + round, 0) == PAGE_SIZE);
	}
}

/* ---- the last: what the host will look for ----------------------------------------------- */

static void writes_for_the_host(void)
{
	struct block_device *disk = scratch_disk();
	struct scratch_receipt *receipt;
	kelp_paddr_t buffer;

	if (!disk)
		return;
	buffer = test_direct_frames(BUFFER_ORDER);
	for (uint64_t at = 0; at < scratch.kernel_size; at += BUFFER_SIZE) {
		uint64_t piece = min_u64(BUFFER_SIZE, scratch.kernel_size - at);
		uint64_t first = scratch.kernel_first + at;

		fill(buffer, piece, scratch.seed + 1u, first);
		REQUIRE(block_write(disk, block_at(disk, first), buffer, piece) == BLOCK_OK);
	}
	check_area(disk, scratch.kernel_first, scratch.kernel_size, scratch.seed + 1u);
	/* First all of it, then the word that it is there. */
	REQUIRE(!test_failed() && block_flush(disk) == BLOCK_OK);
	memset(direct_pointer(buffer), 0, PAGE_SIZE);
	receipt = direct_pointer(buffer);
	*receipt = (struct scratch_receipt){
		.seed = scratch.seed + 1u,
		.first = scratch.kernel_first,
		.size = scratch.kernel_size,
		.cpus = cpu_count,
	};
	memcpy(receipt->magic, SCRATCH_WRITTEN, sizeof(receipt->magic));
	CHECK(block_write(disk, block_at(disk, SCRATCH_RECEIPT), buffer, PAGE_SIZE) == BLOCK_OK);
	CHECK(block_flush(disk) == BLOCK_OK);
}

const struct test disk_tests[] = {
	{"disk: says what it is", says_what_it_is, 0},
	{"disk: what the host wrote is read", host_wrote_is_read, 0},
	{"disk: several requests in flight", several_in_flight, 0},
	{"disk: more requests than fit", more_than_fit, 0},
	{"disk: scattered memory, odd pieces", scattered_memory, 0},
	{"disk: many threads", many_threads, 0},
	{"disk: refuses nonsense", refuses_nonsense, 0},
	{"disk: reports errors and goes on", reports_errors, 0},
	{"disk: gives up on a dead one", gives_up_on_a_dead_disk, 0},
	{"disk: fails with a broken one", fails_with_a_broken_disk, 0},
	{"disk: works with interrupts off", works_with_interrupts_off, 0},
	{"disk: interrupts come", interrupts_come, 0},
	{"disk: interrupts wake those who wait", interrupts_wake, 0},
	{"disk: stops and starts again", stops_and_starts_again, 0},
	{"disk: writes what the host will look for", writes_for_the_host, 0},
};
const unsigned disk_test_count = ARRAY_COUNT(disk_tests);
