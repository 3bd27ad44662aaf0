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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_as_it_was),
		cmocka_unit_test(fits_when_memory_is_nearly_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
