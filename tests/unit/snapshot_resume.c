/* SPDX-License-Identifier: MIT */
/* Saving and resuming: every class of frames, any number of workers, each answer that open() has. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sched.h>

#include "machine.h"

#include <cmocka.h>

#define FRAMES 600u
#define DISK   (4u << 20)

#define assert_status(status, expected)                                                            \
	assert_string_equal(kelp_status_name(status), kelp_status_name(expected))

static void *copy_of(const void *bytes, size_t size)
{
	void *copy = malloc(size);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	return copy;
}

/* ---- the whole way ------------------------------------------------------------------------- */

static void round_trip(uint64_t seed, unsigned percent, uint32_t used, bool asynchronous,
		       bool codec)
{
	struct kelp_image_totals totals;
	struct machine machine;
	uint8_t *before, *class;

	machine_init(&machine, FRAMES, DISK);
	if (!asynchronous)
		machine.disk_hooks.start = NULL;
	if (!codec)
		machine.config.codec = NULL;
	/* A cipher without the shortcut must do as well. */
	if (seed % 4 == 0)
		machine.cipher.check = NULL;
	machine_fill(&machine, seed, percent);
	before = malloc(FRAMES * MACHINE_PAGE);
	class = copy_of(machine.class, FRAMES);
	assert_status(machine_save(&machine, &totals, before), KELP_OK);
	assert_int_equal(totals.frames,
			 totals.zero_frames + totals.uniform_frames + totals.data_frames);
	machine_reset(&machine, seed, used);
	assert_status(machine_resume(&machine), KELP_OK);
	assert_int_equal(machine_compare(&machine, before, class), FRAMES);
	/* At most once (INV-5.6). */
	machine_reset(&machine, seed, used);
	assert_status(machine_resume(&machine), KELP_ERR_NO_IMAGE);
	assert_false(machine.violated);
	free(before);
	free(class);
	machine_free(&machine);
}

static void comes_back_as_it_was(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		round_trip(seed, 60, 30, seed & 1, seed % 3 != 0);
}

/* More than half of memory in use: 85 of 100 frames. */
static void fits_when_memory_is_nearly_full(void **state)
{
	(void)state;
	round_trip(21, 85, 15, true, true);
	round_trip(22, 85, 0, false, true);
	round_trip(23, 0, 0, false, true);
}

/* ---- workers ------------------------------------------------------------------------------- */

struct job {
	void *who;
	unsigned number;
	enum kelp_status (*work)(void *who, unsigned number);
	enum kelp_status status;
};

static enum kelp_status work_write(void *who, unsigned number)
{
	return kelp_snapshot_write(who, number);
}

static enum kelp_status work_verify(void *who, unsigned number)
{
	return kelp_snapshot_verify(who, number);
}

static enum kelp_status work_load(void *who, unsigned number)
{
	return kelp_snapshot_load(who, number);
}

static void *run_job(void *argument)
{
	struct job *job = argument;

	job->status = job->work(job->who, job->number);
	return NULL;
}

/* All of them return the same. */
static enum kelp_status run_workers(void *who, unsigned workers,
				    enum kelp_status (*work)(void *who, unsigned number))
{
	struct job job[8];
	pthread_t thread[8];

	for (unsigned i = 0; i < workers; i++) {
		job[i] = (struct job){.who = who, .number = i, .work = work};
		assert_int_equal(pthread_create(&thread[i], NULL, run_job, &job[i]), 0);
	}
	for (unsigned i = 0; i < workers; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 1; i < workers; i++)
		assert_status(job[i].status, job[0].status);
	return job[0].status;
}

static void relax(void *context)
{
	(void)context;
	sched_yield();
}

static void with_workers(struct machine *machine, unsigned workers)
{
	machine->config.workers = workers;
	machine->config.relax = relax;
	machine_buffer(machine);
}

static enum kelp_status save_with(struct machine *machine, unsigned workers)
{
	struct kelp_snapshot_writer writer;
	enum kelp_status status;

	with_workers(machine, workers);
	machine->random = 4711;
	status = kelp_snapshot_begin(&writer, &machine->config, "x", 1);
	assert_status(status, KELP_OK);
	assert_status(kelp_snapshot_freeze(&writer), KELP_OK);
	status = run_workers(&writer, workers, work_write);
	if (status == KELP_OK)
		status = kelp_snapshot_commit(&writer, NULL);
	kelp_snapshot_end(&writer);
	return status;
}

/* The same bytes, however many write; and any number can read them back. */
static void output_does_not_depend_on_workers(void **state)
{
	static const unsigned counts[] = {1, 2, 3, 7};
	struct machine machine;
	uint8_t *class, *before, *disk = NULL;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 31, 70);
	class = copy_of(machine.class, FRAMES);
	before = copy_of(machine.memory, FRAMES * MACHINE_PAGE);
	for (unsigned i = 0; i < 4; i++) {
		struct kelp_snapshot_reader reader;

		memcpy(machine.class, class, FRAMES);
		memcpy(machine.memory, before, FRAMES * MACHINE_PAGE);
		memset(machine.disk.bytes, 0, DISK);
		assert_status(save_with(&machine, counts[i]), KELP_OK);
		if (disk)
			assert_memory_equal(disk, machine.disk.bytes, DISK);
		else
			disk = copy_of(machine.disk.bytes, DISK);
		machine_reset(&machine, i, 40);
		with_workers(&machine, counts[3 - i]);
		assert_status(kelp_snapshot_open(&reader, &machine.config), KELP_OK);
		assert_int_equal(reader.payload_size, 1);
		assert_int_equal(reader.payload[0], 'x');
		machine.maps = realloc(machine.maps, reader.map_size);
		assert_status(kelp_snapshot_maps(&reader, machine.maps, reader.map_size), KELP_OK);
		assert_status(run_workers(&reader, counts[3 - i], work_verify), KELP_OK);
		assert_status(kelp_snapshot_claim(&reader), KELP_OK);
		assert_true(reader.relocations > 0);
		assert_status(kelp_snapshot_place(&reader, machine.list, FRAMES), KELP_OK);
		assert_status(run_workers(&reader, counts[3 - i], work_load), KELP_OK);
		assert_status(kelp_snapshot_consume(&reader), KELP_OK);
		for (uint64_t n = 0; n < reader.relocations; n++)
			memcpy(machine_page(&machine, reader.relocation[n].to.number),
			       machine_page(&machine, reader.relocation[n].from.number),
			       MACHINE_PAGE);
		assert_int_equal(machine_compare(&machine, before, class), FRAMES);
		assert_false(machine.violated);
	}
	free(class);
	free(before);
	free(disk);
	machine_free(&machine);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void assert_nothing_taken(const struct machine *machine)
{
	for (uint32_t i = 0; i < machine->frames; i++)
		assert_int_equal(machine->taken[i], 0);
	assert_false(machine->violated);
}

static void secrets_by_policy(void **state)
{
	struct machine machine;
	struct kelp_snapshot_counts counts;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 8, 50);
	machine.class[17] = KELP_SNAPSHOT_SECRET;
	machine.config.flags = KELP_SNAPSHOT_REFUSE_SECRET;
	assert_status(kelp_snapshot_plan(&machine.config, &counts), KELP_ERR_SECRET);
	assert_true(counts.of_class[KELP_SNAPSHOT_SECRET] > 0);
	assert_status(machine_save(&machine, NULL, NULL), KELP_ERR_SECRET);
	assert_int_equal(machine.disk.writes, 0);
	assert_nothing_taken(&machine);
	/* Saved: sealed. Its contents are nowhere on the disk. */
	machine.config.flags = 0;
	machine.config.codec = NULL;
	machine_scribble(machine_page(&machine, 17), 123456789);
	assert_status(machine_save(&machine, NULL, NULL), KELP_OK);
	for (uint64_t at = 0; at + 32 <= DISK; at++)
		assert_int_not_equal(
			memcmp(machine.disk.bytes + at, machine_page(&machine, 17), 32), 0);
	machine_free(&machine);
}

/* Which classes are in the image: free, no-save and device frames never. */
static void what_is_saved(void **state)
{
	struct kelp_snapshot_counts counts;
	struct kelp_image_totals totals;
	struct machine machine;
	uint64_t saved = 0;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 12, 60);
	assert_status(kelp_snapshot_plan(&machine.config, &counts), KELP_OK);
	for (uint32_t i = 0; i < FRAMES; i++)
		saved += machine.class[i] == KELP_SNAPSHOT_SAVE ||
			 machine.class[i] == KELP_SNAPSHOT_HOT ||
			 machine.class[i] == KELP_SNAPSHOT_SECRET;
	for (unsigned class = 0; class < KELP_SNAPSHOT_CLASSES; class++)
		assert_true(counts.of_class[class] > 0);
	assert_int_equal(counts.frames, saved);
	assert_status(machine_save(&machine, &totals, NULL), KELP_OK);
	assert_int_equal(totals.frames, saved);
	assert_true(totals.sealed_bytes + KELP_IMAGE_RECORDS <= counts.bytes_at_most);
	assert_true(totals.zero_frames > 0 && totals.uniform_frames > 0);
	assert_nothing_taken(&machine);
	machine_free(&machine);
}

/* Cancelled at every record; nothing is left of it, on the disk or off it. */
static void cancelled_anywhere(void **state)
{
	struct machine machine;
	uint64_t n = 0;
	enum kelp_status status;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	do {
		machine_fill(&machine, 5, 50);
		memset(machine.calls, 0, sizeof(machine.calls));
		machine.fail_hook = MACHINE_PROGRESS;
		machine.fail_at = ++n;
		machine.failed = false;
		status = machine_save(&machine, NULL, NULL);
		assert_status(status, machine.failed ? KELP_ERR_CANCELLED : KELP_OK);
		assert_nothing_taken(&machine);
		if (machine.failed)
			assert_status(machine_resume(&machine), KELP_ERR_NO_IMAGE);
	} while (status != KELP_OK);
	assert_true(n > 20);
	machine_free(&machine);
}

static void cancelled_between_steps(void **state)
{
	struct kelp_snapshot_writer writer;
	struct machine machine;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 5, 50);
	assert_status(kelp_snapshot_begin(&writer, &machine.config, NULL, 0), KELP_OK);
	assert_status(kelp_snapshot_freeze(&writer), KELP_OK);
	assert_status(kelp_snapshot_write(&writer, 0), KELP_OK);
	kelp_snapshot_cancel(&writer);
	assert_status(kelp_snapshot_commit(&writer, NULL), KELP_ERR_CANCELLED);
	kelp_snapshot_end(&writer);
	assert_nothing_taken(&machine);
	assert_status(machine_resume(&machine), KELP_ERR_NO_IMAGE);
	machine_free(&machine);
}

static void too_little_of_something(void **state)
{
	struct machine machine;
	size_t size;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 5, 50);
	/* The area: each size refuses, and none of them leaves an image. */
	for (machine.disk_hooks.size = 0; machine.disk_hooks.size < 100 * KELP_IMAGE_BLOCK;
	     machine.disk_hooks.size += 3 * KELP_IMAGE_BLOCK) {
		assert_status(machine_save(&machine, NULL, NULL), KELP_ERR_NO_SPACE);
		assert_nothing_taken(&machine);
		if (machine.disk_hooks.size >= KELP_IMAGE_RECORDS)
			assert_status(machine_resume(&machine), KELP_ERR_NO_IMAGE);
	}
	machine.disk_hooks.size = DISK;
	size = machine.config.buffer_size;
	machine.config.buffer_size = size - 1;
	assert_status(machine_save(&machine, NULL, NULL), KELP_ERR_NO_MEMORY);
	machine.config.buffer_size = size;
	machine.config.hot_capacity = 1;
	assert_status(machine_save(&machine, NULL, NULL), KELP_ERR_NO_MEMORY);
	assert_nothing_taken(&machine);
	machine.config.hot_capacity = 64;
	machine.config.chunk_frames = KELP_IMAGE_CHUNK_FRAMES_MAX + 1;
	assert_status(machine_save(&machine, NULL, NULL), KELP_ERR_ARGUMENT);
	machine.config.chunk_frames = 8;
	machine.config.io_size = 1000;
	assert_status(machine_save(&machine, NULL, NULL), KELP_ERR_ARGUMENT);
	machine.config.io_size = 8192;
	assert_status(machine_save(&machine, NULL, NULL), KELP_OK);
	/* A reader with less memory than the image's chunks need says so, and can be helped. */
	machine.config.chunk_frames = 1;
	machine_buffer(&machine);
	assert_status(machine_resume(&machine), KELP_ERR_NO_MEMORY);
	machine.config.chunk_frames = 8;
	machine_buffer(&machine);
	machine_reset(&machine, 5, 10);
	assert_status(machine_resume(&machine), KELP_OK);
	machine_free(&machine);
}

static void memory_that_is_not_there(void **state)
{
	struct machine machine;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 6, 70);
	machine.class[FRAMES - 1] = KELP_SNAPSHOT_SAVE;
	assert_status(machine_save(&machine, NULL, NULL), KELP_OK);
	machine_reset(&machine, 6, 10);
	machine.class[FRAMES - 1] = KELP_SNAPSHOT_NONE;
	assert_status(machine_resume(&machine), KELP_ERR_OTHER_MEMORY);
	assert_nothing_taken(&machine);
	machine.class[FRAMES - 1] = KELP_SNAPSHOT_FREE;
	assert_status(machine_resume(&machine), KELP_OK);
	machine_free(&machine);
}

/* Given up after load: what it had written is gone, and so are its frames; the image is not. */
static void given_up_late(void **state)
{
	static const uint8_t zero[MACHINE_PAGE];
	struct kelp_snapshot_reader reader;
	struct machine machine;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 6, 70);
	assert_status(machine_save(&machine, NULL, NULL), KELP_OK);
	machine_reset(&machine, 6, 10);
	assert_status(kelp_snapshot_open(&reader, &machine.config), KELP_OK);
	machine.maps = malloc(reader.map_size);
	assert_status(kelp_snapshot_maps(&reader, machine.maps, reader.map_size), KELP_OK);
	assert_status(kelp_snapshot_verify(&reader, 0), KELP_OK);
	assert_status(kelp_snapshot_claim(&reader), KELP_OK);
	assert_status(kelp_snapshot_place(&reader, machine.list, FRAMES), KELP_OK);
	assert_status(kelp_snapshot_load(&reader, 0), KELP_OK);
	for (uint32_t i = 0; i < FRAMES; i++) {
		bool home = kelp_snapshot_is_home(&reader, (kelp_pfn_t){i});

		machine.hidden[i] |= (uint8_t)(machine.taken[i] << 1 | home << 2);
	}
	kelp_snapshot_close(&reader);
	assert_nothing_taken(&machine);
	for (uint32_t i = 0; i < FRAMES; i++) {
		if (machine.hidden[i] & 2)
			assert_memory_equal(machine_page(&machine, i), zero, MACHINE_PAGE);
		machine.hidden[i] &= 1;
	}
	assert_status(machine_resume(&machine), KELP_OK);
	machine_free(&machine);
}

static void discarded(void **state)
{
	struct machine machine;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 6, 70);
	/* Of an area that never was one, too. */
	assert_status(kelp_snapshot_discard(&machine.config), KELP_OK);
	assert_status(machine_resume(&machine), KELP_ERR_NO_IMAGE);
	assert_status(machine_save(&machine, NULL, NULL), KELP_OK);
	assert_status(kelp_snapshot_discard(&machine.config), KELP_OK);
	assert_status(machine_resume(&machine), KELP_ERR_NO_IMAGE);
	/* The key of the records was in the header. */
	for (unsigned i = 0; i < KELP_IMAGE_BLOCK; i++)
		assert_int_equal(machine.disk.bytes[KELP_IMAGE_HEADER + i], 0);
	machine_free(&machine);
}

/* A disk that cannot read one of the state blocks, as after a write that was torn. */
static void a_state_block_is_unreadable(void **state)
{
	struct machine machine;
	struct kelp_image_state block;
	uint64_t complete;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 6, 70);
	assert_status(machine_save(&machine, NULL, NULL), KELP_OK);
	machine_reset(&machine, 6, 10);
	assert_status(kelp_image_decode_state(machine.disk.bytes, &block), KELP_OK);
	complete = block.kind == KELP_IMAGE_COMPLETE ? 1 : 2;
	machine.fail_hook = MACHINE_DISK_READ;
	/* The one that says so: nobody knows whether there is an image. */
	memset(machine.calls, 0, sizeof(machine.calls));
	machine.fail_at = complete;
	assert_status(machine_resume(&machine), KELP_ERR_IO);
	assert_nothing_taken(&machine);
	/* The other one: it could only be newer if nothing had been lost by it. */
	memset(machine.calls, 0, sizeof(machine.calls));
	machine.fail_at = 3 - complete;
	assert_status(machine_resume(&machine), KELP_OK);
	/* A writer makes both good. */
	machine_fill(&machine, 7, 70);
	memset(machine.calls, 0, sizeof(machine.calls));
	machine.fail_at = 1;
	assert_status(machine_save(&machine, NULL, NULL), KELP_OK);
	machine.fail_at = 0;
	machine_reset(&machine, 7, 10);
	assert_status(machine_resume(&machine), KELP_OK);
	machine_free(&machine);
}

/* ---- nonces and bindings ------------------------------------------------------------------- */

/* Stands before the machine's cipher and writes down what is sealed with what. */
struct spy {
	const struct kelp_snapshot_cipher *cipher;
	size_t count;
	struct {
		uint8_t key[KELP_IMAGE_KEY];
		uint8_t nonce[KELP_IMAGE_NONCE];
		uint8_t aad[64];
		size_t aad_size;
	} seen[512];
};

static void spy_seal(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		     size_t aad_size, void *data, size_t size, uint8_t *tag)
{
	struct spy *spy = context;

	assert_true(spy->count < 512);
	memcpy(spy->seen[spy->count].key, key, KELP_IMAGE_KEY);
	memcpy(spy->seen[spy->count].nonce, nonce, KELP_IMAGE_NONCE);
	memcpy(spy->seen[spy->count].aad, aad, aad_size < 64 ? aad_size : 64);
	spy->seen[spy->count++].aad_size = aad_size;
	spy->cipher->seal(spy->cipher->context, key, nonce, aad, aad_size, data, size, tag);
}

static bool spy_open(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		     size_t aad_size, void *data, size_t size, const uint8_t *tag)
{
	struct spy *spy = context;

	return spy->cipher->open(spy->cipher->context, key, nonce, aad, aad_size, data, size, tag);
}

static uint32_t field(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Over images, states, and attempts that failed: never the same key with the same nonce. */
static void no_nonce_comes_twice(void **state)
{
	static struct spy spy;
	struct kelp_snapshot_cipher cipher;
	struct machine machine;

	(void)state;
	machine_init(&machine, 200, DISK);
	cipher = machine.cipher;
	spy.cipher = &machine.cipher;
	cipher.context = &spy;
	cipher.seal = spy_seal;
	cipher.open = spy_open;
	machine.config.cipher = &cipher;
	for (unsigned n = 0; n < 6; n++) {
		machine_fill(&machine, 5, 50);
		memset(machine.calls, 0, sizeof(machine.calls));
		machine.fail_hook = MACHINE_DISK_FLUSH;
		machine.fail_at = n % 3;
		machine.failed = false;
		if (machine_save(&machine, NULL, NULL) != KELP_OK)
			continue;
		machine.fail_at = 0;
		machine_reset(&machine, 5, 5);
		assert_status(machine_resume(&machine), KELP_OK);
	}
	assert_in_range(spy.count, 60, 512);
	for (size_t i = 0; i < spy.count; i++) {
		for (size_t j = 0; j < i; j++)
			assert_false(memcmp(spy.seen[i].key, spy.seen[j].key, KELP_IMAGE_KEY) == 0 &&
				     memcmp(spy.seen[i].nonce, spy.seen[j].nonce,
					    KELP_IMAGE_NONCE) == 0);
	}
	machine_free(&machine);
}

/* What is authenticated with each record: its image, its header, its place, its whole head. */
static void records_are_bound(void **state)
{
	static struct spy spy;
	struct kelp_snapshot_cipher cipher;
	struct machine machine;
	struct kelp_image_header header;
	uint64_t at = KELP_IMAGE_RECORDS;
	size_t records = 0;

	(void)state;
	machine_init(&machine, 200, DISK);
	cipher = machine.cipher;
	spy.cipher = &machine.cipher;
	spy.count = 0;
	cipher.context = &spy;
	cipher.seal = spy_seal;
	cipher.open = spy_open;
	machine.config.cipher = &cipher;
	machine_fill(&machine, 5, 50);
	assert_status(machine_save(&machine, NULL, NULL), KELP_OK);
	assert_status(kelp_image_decode_header(machine.disk.bytes + KELP_IMAGE_HEADER, &header),
		      KELP_OK);
	for (size_t i = 0; i < spy.count; i++) {
		const uint8_t *aad = spy.seen[i].aad;

		if (spy.seen[i].aad_size != KELP_IMAGE_ID + KELP_IMAGE_TAG + KELP_IMAGE_RECORD_FIELDS)
			continue;
		assert_memory_equal(aad, header.image, KELP_IMAGE_ID);
		assert_memory_equal(aad + KELP_IMAGE_ID, header.tag, KELP_IMAGE_TAG);
		aad += KELP_IMAGE_ID + KELP_IMAGE_TAG;
		assert_memory_equal(aad, machine.disk.bytes + at, KELP_IMAGE_RECORD_FIELDS);
		assert_int_equal(field(aad), records);
		at += KELP_IMAGE_RECORD_HEAD + field(aad + 8);
		records++;
		/* The last one says so, and no other. */
		assert_int_equal(field(aad + 4), records == header.records);
	}
	assert_int_equal(records, header.records);
	machine_free(&machine);
}

/* ---- callers' mistakes --------------------------------------------------------------------- */

#define assert_panics(machine, statement)                                                          \
	do {                                                                                       \
		if (setjmp((machine)->panic_jump) == 0) {                                          \
			(machine)->panic_armed = true;                                             \
			(void)!(statement);                                                        \
			fail_msg("%s did not panic", #statement);                                  \
		}                                                                                  \
	} while (0)

static void steps_out_of_order(void **state)
{
	static struct kelp_snapshot_writer writer;
	static struct kelp_snapshot_reader reader;
	static struct machine machine;

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	machine_fill(&machine, 6, 70);
	assert_status(kelp_snapshot_begin(&writer, &machine.config, NULL, 0), KELP_OK);
	assert_panics(&machine, kelp_snapshot_write(&writer, 0));
	assert_panics(&machine, kelp_snapshot_commit(&writer, NULL));
	assert_status(kelp_snapshot_freeze(&writer), KELP_OK);
	assert_panics(&machine, kelp_snapshot_freeze(&writer));
	assert_panics(&machine, kelp_snapshot_commit(&writer, NULL));
	assert_status(kelp_snapshot_write(&writer, 1), KELP_ERR_ARGUMENT);
	assert_status(kelp_snapshot_write(&writer, 0), KELP_OK);
	assert_status(kelp_snapshot_commit(&writer, NULL), KELP_OK);
	kelp_snapshot_end(&writer);
	machine_reset(&machine, 6, 10);
	assert_status(kelp_snapshot_open(&reader, &machine.config), KELP_OK);
	assert_panics(&machine, kelp_snapshot_verify(&reader, 0));
	machine.maps = malloc(reader.map_size);
	assert_status(kelp_snapshot_maps(&reader, machine.maps, reader.map_size), KELP_OK);
	/* INV-5.5: nothing is claimed and nothing is loaded before all is verified. */
	assert_panics(&machine, kelp_snapshot_claim(&reader));
	assert_panics(&machine, kelp_snapshot_load(&reader, 0));
	assert_status(kelp_snapshot_verify(&reader, 0), KELP_OK);
	assert_status(kelp_snapshot_claim(&reader), KELP_OK);
	assert_panics(&machine, kelp_snapshot_load(&reader, 0));
	assert_status(kelp_snapshot_place(&reader, machine.list, FRAMES), KELP_OK);
	/* INV-5.6: not consumed before it is loaded. */
	assert_panics(&machine, kelp_snapshot_consume(&reader));
	kelp_snapshot_close(&reader);
	assert_nothing_taken(&machine);
	machine_free(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_as_it_was),
		cmocka_unit_test(fits_when_memory_is_nearly_full),
		cmocka_unit_test(output_does_not_depend_on_workers),
		cmocka_unit_test(what_is_saved),
		cmocka_unit_test(secrets_by_policy),
		cmocka_unit_test(cancelled_anywhere),
		cmocka_unit_test(cancelled_between_steps),
		cmocka_unit_test(too_little_of_something),
		cmocka_unit_test(memory_that_is_not_there),
		cmocka_unit_test(given_up_late),
		cmocka_unit_test(discarded),
		cmocka_unit_test(a_state_block_is_unreadable),
		cmocka_unit_test(no_nonce_comes_twice),
		cmocka_unit_test(records_are_bound),
		cmocka_unit_test(steps_out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
