/* SPDX-License-Identifier: MIT */
/*
 * Snapshots by several threads at once, cancelled at random moments from another one: under
 * ThreadSanitizer, too. What was not cancelled comes back as it was.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "machine.h"

#include <cmocka.h>

#define FRAMES  256u
#define DISK    (3u << 20)
#define THREADS 3u

#define assert_status(status, expected)                                                            \
	assert_string_equal(kelp_status_name(status), kelp_status_name(expected))

static struct machine machine;
static struct kelp_snapshot_writer writer;
static struct kelp_snapshot_reader reader;

static size_t (*ordinary_compress)(void *context, void *workspace, void *to, size_t room,
				   const void *from, size_t size);

struct job {
	enum kelp_status (*work)(unsigned number);
	unsigned number;
	enum kelp_status status;
};

static enum kelp_status work_write(unsigned number)
{
	return kelp_snapshot_write(&writer, number);
}

static enum kelp_status work_verify(unsigned number)
{
	return kelp_snapshot_verify(&reader, number);
}

static enum kelp_status work_load(unsigned number)
{
	return kelp_snapshot_load(&reader, number);
}

static void *run_job(void *argument)
{
	struct job *job = argument;

	job->status = job->work(job->number);
	return NULL;
}

/* With `pause` not 0 somebody cancels after about that long. */
static enum kelp_status run_workers(enum kelp_status (*work)(unsigned number), unsigned pause)
{
	struct job job[THREADS];
	pthread_t thread[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		job[i] = (struct job){.work = work, .number = i};
		assert_int_equal(pthread_create(&thread[i], NULL, run_job, &job[i]), 0);
	}
	for (unsigned i = 1; i < pause; i++)
		sched_yield();
	if (pause && work == work_write)
		kelp_snapshot_cancel(&writer);
	else if (pause)
		kelp_snapshot_reader_cancel(&reader);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 1; i < THREADS; i++)
		assert_status(job[i].status, job[0].status);
	return job[0].status;
}

static void relax(void *context)
{
	(void)context;
	sched_yield();
}

static enum kelp_status save(unsigned pause)
{
	enum kelp_status status = kelp_snapshot_begin(&writer, &machine.config, NULL, 0);

	assert_status(status, KELP_OK);
	assert_status(kelp_snapshot_freeze(&writer), KELP_OK);
	status = run_workers(work_write, pause);
	/* A cancellation may come too late for the workers; never for commit. */
	if (status == KELP_OK)
		status = kelp_snapshot_commit(&writer, NULL);
	kelp_snapshot_end(&writer);
	assert_status(status, pause ? KELP_ERR_CANCELLED : KELP_OK);
	return status;
}

static void resume(unsigned pause)
{
	enum kelp_status status = kelp_snapshot_open(&reader, &machine.config);

	assert_status(status, KELP_OK);
	machine.maps = realloc(machine.maps, reader.map_size);
	assert_status(kelp_snapshot_maps(&reader, machine.maps, reader.map_size), KELP_OK);
	status = run_workers(work_verify, pause & 1 ? pause : 0);
	if (status == KELP_OK) {
		assert_status(kelp_snapshot_claim(&reader), KELP_OK);
		assert_status(kelp_snapshot_place(&reader, machine.list, FRAMES), KELP_OK);
		status = run_workers(work_load, pause);
	}
	if (pause) {
		assert_true(status == KELP_OK || status == KELP_ERR_CANCELLED);
		kelp_snapshot_close(&reader);
		return;
	}
	assert_status(status, KELP_OK);
	assert_status(kelp_snapshot_consume(&reader), KELP_OK);
	for (uint64_t i = 0; i < reader.relocations; i++)
		memcpy(machine_page(&machine, reader.relocation[i].to.number),
		       machine_page(&machine, reader.relocation[i].from.number), MACHINE_PAGE);
}

/* One record in three takes longer than those behind it, so that they are finished before it. */
static size_t uneven_compress(void *context, void *workspace, void *to, size_t room,
			      const void *from, size_t size)
{
	static uint32_t calls;

	if (__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 3 == 0)
		usleep(400);
	return ordinary_compress(context, workspace, to, room, from, size);
}

static void threads_and_cancellations(void **state)
{
	const char *scale = getenv("KELP_TEST_SCALE");
	unsigned rounds = 12u * (scale ? (unsigned)atoi(scale) : 1u);
	uint8_t *before = malloc(FRAMES * MACHINE_PAGE), *class = malloc(FRAMES);

	(void)state;
	machine_init(&machine, FRAMES, DISK);
	ordinary_compress = machine.codec.compress;
	machine.codec.compress = uneven_compress;
	machine.config.workers = THREADS;
	machine.config.relax = relax;
	machine_buffer(&machine);
	for (unsigned round = 0; round < rounds; round++) {
		unsigned pause = round * 37u % 101u + 1u;

		machine_fill(&machine, round, 70);
		memcpy(class, machine.class, FRAMES);
		memcpy(before, machine.memory, FRAMES * MACHINE_PAGE);
		save(pause);
		memcpy(machine.class, class, FRAMES);
		assert_status(kelp_snapshot_open(&reader, &machine.config), KELP_ERR_NO_IMAGE);
		save(0);
		machine_reset(&machine, round, 20);
		resume(pause);
		resume(0);
		assert_int_equal(machine_compare(&machine, before, class), FRAMES);
		assert_false(machine.violated);
	}
	free(before);
	free(class);
	machine_free(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(threads_and_cancellations)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
