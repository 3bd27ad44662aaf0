/* SPDX-License-Identifier: MIT */
/*
 * Snapshots on a disk whose power goes (INV-5.6): after every single write and flush of saving and
 * of resuming, then after every pair of them, with the cache kept, lost, torn and reordered. The
 * next boot finds the complete image or nothing to resume; control passes at most once.
 *
 * A failure prints its id: KELP_CUT=<scenario>,<cut>,<seed>,<cut>,<seed> runs that case alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sim/disk.h>

#include "machine.h"

#include <cmocka.h>

#define FRAMES 48u
#define SIZE   (80u * KELP_IMAGE_BLOCK)

/* What the disk held before. */
enum scenario {
	ON_A_NEW_DISK,
	AFTER_A_RESUME,
	OVER_AN_IMAGE, /* complete and never resumed */
	OVER_GARBAGE,
	SCENARIOS,
};

struct world {
	struct machine machine;
	struct sim_disk disk, start[SCENARIOS];
	uint8_t *class;          /* as it was when it was saved */
	uint8_t *image, *before; /* memory of the image under test, and of one before */
	char id[96];
	unsigned long checked;
};

static struct world world;

/* ---- the machine's life -------------------------------------------------------------------- */

static void put_back(struct world *w, const uint8_t *memory)
{
	memcpy(w->machine.memory, memory, FRAMES * MACHINE_PAGE);
	memcpy(w->machine.class, w->class, FRAMES);
	memset(w->machine.taken, 0, FRAMES);
}

static enum kelp_status hibernate(struct world *w, const uint8_t *memory)
{
	put_back(w, memory);
	return machine_save(&w->machine, NULL, NULL);
}

/* OK: control was passed; then *which tells whose memory is back: 1 new, 2 old, 0 neither. */
static enum kelp_status boot(struct world *w, unsigned *which)
{
	enum kelp_status status;

	memcpy(w->machine.class, w->class, FRAMES);
	machine_reset(&w->machine, 77, 8);
	status = machine_resume(&w->machine);
	*which = 0;
	if (status == KELP_OK && machine_compare(&w->machine, w->image, w->class) == FRAMES)
		*which = 1;
	else if (status == KELP_OK && machine_compare(&w->machine, w->before, w->class) == FRAMES)
		*which = 2;
	return status;
}

static void check(struct world *w, bool condition, const char *what)
{
	w->checked++;
	if (!condition)
		fail_msg("%s; replay with KELP_CUT=%s", what, w->id);
}

static void setup_world(struct world *w)
{
	unsigned which;

	memset(w, 0, sizeof(*w));
	machine_init(&w->machine, FRAMES, SIZE);
	w->machine.config.chunk_frames = 4;
	w->machine.config.io_size = 4096;
	machine_buffer(&w->machine);
	machine_fill(&w->machine, 9, 60);
	w->class = malloc(FRAMES);
	memcpy(w->class, w->machine.class, FRAMES);
	w->image = malloc(FRAMES * MACHINE_PAGE);
	memcpy(w->image, w->machine.memory, FRAMES * MACHINE_PAGE);
	machine_fill(&w->machine, 9, 60);
	for (uint32_t i = 0; i < FRAMES; i += 2)
		machine_scribble(machine_page(&w->machine, i), i + 1000);
	w->before = malloc(FRAMES * MACHINE_PAGE);
	memcpy(w->before, w->machine.memory, FRAMES * MACHINE_PAGE);
	w->machine.disk_hooks = (struct kelp_snapshot_disk){
		.context = &w->disk,
		.size = SIZE,
		.read = sim_disk_read,
		.write = sim_disk_write,
		.flush = sim_disk_flush,
	};
	sim_disk_init(&w->disk, SIZE);
	for (unsigned s = 0; s < SCENARIOS; s++) {
		sim_disk_init(&w->start[s], SIZE);
		if (s == AFTER_A_RESUME || s == OVER_AN_IMAGE)
			assert_int_equal(hibernate(w, w->before), KELP_OK);
		if (s == AFTER_A_RESUME)
			assert_int_equal(boot(w, &which), KELP_OK);
		if (s == OVER_GARBAGE)
			memset(w->disk.medium, 0xa5, SIZE);
		sim_disk_restart(&w->disk, SIM_DISK_LOSE_ALL);
		sim_disk_copy(&w->start[s], &w->disk);
		memset(w->disk.medium, 0, SIZE);
	}
}

/* ---- single cuts --------------------------------------------------------------------------- */

/* Operations that it takes when power stays. */
static uint64_t operations_of_hibernate(struct world *w, enum scenario s)
{
	sim_disk_copy(&w->disk, &w->start[s]);
	sim_disk_cut_after(&w->disk, UINT64_MAX);
	assert_int_equal(hibernate(w, w->image), KELP_OK);
	return w->disk.operations;
}

/* What the boot after a cut in hibernation must find. */
static enum kelp_status check_boot(struct world *w, enum scenario s, enum kelp_status saved)
{
	unsigned which, again;
	enum kelp_status status = boot(w, &which);

	check(w, status == KELP_OK || status == KELP_ERR_NO_IMAGE, kelp_status_name(status));
	check(w, status != KELP_OK || which == 1 || (which == 2 && s == OVER_AN_IMAGE),
	      "half a machine came back");
	check(w, saved != KELP_OK || (status == KELP_OK && which == 1),
	      "an image that was committed is gone");
	check(w, boot(w, &again) == KELP_ERR_NO_IMAGE, "control passed twice");
	return status;
}

static void cut_hibernation(struct world *w, enum scenario s, uint64_t cut, uint64_t seed)
{
	enum kelp_status saved;

	snprintf(w->id, sizeof(w->id), "%u,%llu,%llu", (unsigned)s, (unsigned long long)cut,
		 (unsigned long long)seed);
	sim_disk_copy(&w->disk, &w->start[s]);
	sim_disk_cut_after(&w->disk, cut);
	saved = hibernate(w, w->image);
	sim_disk_restart(&w->disk, seed);
	check_boot(w, s, saved);
}

static uint64_t seeds(void)
{
	const char *scale = getenv("KELP_TEST_SCALE");

	return SIM_DISK_RANDOM + 6u * (scale ? strtoul(scale, NULL, 10) : 1u);
}

/* Disks that tear within what others write as a whole: nothing relies on sectors. */
static void torn_within_sectors(void **state)
{
	uint64_t operations = operations_of_hibernate(&world, OVER_AN_IMAGE);

	(void)state;
	world.start[OVER_AN_IMAGE].sector = 8;
	for (uint64_t cut = 0; cut <= operations; cut++) {
		for (uint64_t seed = 0; seed < 2 * seeds(); seed++)
			cut_hibernation(&world, OVER_AN_IMAGE, cut, seed);
	}
	world.start[OVER_AN_IMAGE].sector = 512;
}

static void power_lost_while_saving(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SCENARIOS; s++) {
		uint64_t operations = operations_of_hibernate(&world, s);

		assert_in_range(operations, 12, 200);
		for (uint64_t cut = 0; cut <= operations; cut++) {
			for (uint64_t seed = 0; seed < seeds(); seed++)
				cut_hibernation(&world, s, cut, seed);
		}
	}
}

/* ---- pairs --------------------------------------------------------------------------------- */

/* The disk is as it was after a cut in saving; power goes again, in what comes next. */
static void cut_what_follows(struct world *w, const struct sim_disk *after, enum scenario s,
			     uint64_t cut, uint64_t seed)
{
	enum kelp_status first, second;
	unsigned which, again, passed;

	sim_disk_copy(&w->disk, after);
	sim_disk_cut_after(&w->disk, cut);
	first = boot(w, &which);
	passed = first == KELP_OK;
	check(w, !passed || which == 1 || (which == 2 && s == OVER_AN_IMAGE),
	      "half a machine came back");
	if (first == KELP_ERR_NO_IMAGE) {
		/* Nothing to resume: the machine works on and is saved once more. */
		first = hibernate(w, w->image);
		sim_disk_restart(&w->disk, seed);
		check_boot(w, ON_A_NEW_DISK, first);
		return;
	}
	check(w, first == KELP_OK || first == KELP_ERR_IO, kelp_status_name(first));
	sim_disk_restart(&w->disk, seed);
	second = boot(w, &again);
	passed += second == KELP_OK;
	check(w, passed <= 1, "control passed twice");
	check(w, second == KELP_OK || second == KELP_ERR_NO_IMAGE, kelp_status_name(second));
	check(w, second != KELP_OK || again == which || which == 0, "another machine came back");
	check(w, boot(w, &again) == KELP_ERR_NO_IMAGE, "control passed twice");
}

static void cut_twice(struct world *w, enum scenario s, uint64_t first_cut, uint64_t first_seed,
		      uint64_t second_seeds)
{
	struct sim_disk after;
	enum kelp_status saved;
	uint64_t operations;
	unsigned which;

	sim_disk_init(&after, SIZE);
	sim_disk_copy(&w->disk, &w->start[s]);
	sim_disk_cut_after(&w->disk, first_cut);
	saved = hibernate(w, w->image);
	sim_disk_restart(&w->disk, first_seed);
	sim_disk_copy(&after, &w->disk);
	(void)saved;
	/* How many operations does what follows take? */
	sim_disk_cut_after(&w->disk, UINT64_MAX);
	if (boot(w, &which) == KELP_ERR_NO_IMAGE)
		assert_int_equal(hibernate(w, w->image), KELP_OK);
	operations = w->disk.operations;
	for (uint64_t cut = 0; cut <= operations; cut++) {
		for (uint64_t seed = 0; seed < second_seeds; seed++) {
			snprintf(w->id, sizeof(w->id), "%u,%llu,%llu,%llu,%llu", (unsigned)s,
				 (unsigned long long)first_cut, (unsigned long long)first_seed,
				 (unsigned long long)cut, (unsigned long long)seed);
			cut_what_follows(w, &after, s, cut, seed);
		}
	}
	sim_disk_free(&after);
}

static void power_lost_twice(void **state)
{
	bool soak = getenv("KELP_TEST_SCALE");

	(void)state;
	for (unsigned s = 0; s < SCENARIOS; s++) {
		uint64_t operations = operations_of_hibernate(&world, s);

		for (uint64_t cut = 0; cut <= operations; cut++) {
			/* All seeds in a soak; else each cut has another one, the ends all. */
			bool end = cut + 4 >= operations || cut < 4;
			uint64_t step = soak || (end && s == OVER_AN_IMAGE) ? 1 : seeds();

			for (uint64_t seed = cut % step; seed < seeds(); seed += step)
				cut_twice(&world, s, cut, seed, soak ? seeds() : 3);
		}
	}
}

/* ---- resuming ------------------------------------------------------------------------------ */

static void power_lost_while_resuming(void **state)
{
	struct world *w = &world;
	uint64_t operations = operations_of_hibernate(w, ON_A_NEW_DISK);

	(void)state;
	for (uint64_t seed = 0; seed < seeds(); seed++)
		cut_twice(w, ON_A_NEW_DISK, operations, seed, seeds());
}

/* A bit of the state block that says CONSUMED goes bad later: no older COMPLETE comes to light. */
static void nothing_older_comes_to_light(void **state)
{
	struct world *w = &world;
	unsigned which;

	(void)state;
	for (uint32_t bit = 0; bit < 2 * KELP_IMAGE_BLOCK * 8; bit += bit < 8192 ? 1 : 97) {
		uint32_t byte = bit / 8;

		sim_disk_copy(&w->disk, &w->start[AFTER_A_RESUME]);
		w->disk.medium[byte] ^= (uint8_t)(1u << bit % 8);
		snprintf(w->id, sizeof(w->id), "bit %u", bit);
		check(w, boot(w, &which) == KELP_ERR_NO_IMAGE, "an image was resumed twice");
	}
}

/* ---- the disk itself ----------------------------------------------------------------------- */

static void disk_does_what_it_says(void **state)
{
	uint8_t block[1024], seen[1024];
	struct sim_disk disk;
	unsigned kept = 0, lost = 0, torn = 0;

	(void)state;
	sim_disk_init(&disk, 8192);
	memset(block, 1, sizeof(block));
	assert_true(sim_disk_write(&disk, 0, block, sizeof(block)));
	assert_true(sim_disk_flush(&disk));
	for (uint64_t seed = 0; seed < 100; seed++) {
		memset(block, (int)(2 + seed % 100), sizeof(block));
		sim_disk_cut_after(&disk, 1);
		assert_true(sim_disk_write(&disk, 1024, block, sizeof(block)));
		/* What is in the cache is read; what is beyond the end is not written. */
		assert_true(sim_disk_read(&disk, 1536, seen, 512));
		assert_memory_equal(seen, block, 512);
		assert_false(sim_disk_write(&disk, 8000, block, sizeof(block)));
		assert_false(sim_disk_flush(&disk));
		assert_false(sim_disk_read(&disk, 0, seen, 512));
		sim_disk_restart(&disk, seed);
		assert_true(sim_disk_read(&disk, 0, seen, 1));
		assert_int_equal(seen[0], 1);
		assert_true(sim_disk_read(&disk, 1024, seen, sizeof(seen)));
		kept += seen[0] == block[0] && seen[1023] == block[0];
		lost += seen[0] != block[0] && seen[1023] != block[0];
		torn += (seen[0] == block[0]) != (seen[1023] == block[0]);
	}
	assert_true(kept > 10 && lost > 10 && torn > 10);
	sim_disk_free(&disk);
}

static void replay(void **state)
{
	unsigned long long n[5] = {0};
	const char *id = getenv("KELP_CUT");
	char *end = (char *)(uintptr_t)id;
	unsigned count = 0;

	(void)state;
	while (end && *end && count < 5) {
		n[count++] = strtoull(end, &end, 10);
		end += *end == ',';
	}
	assert_true(count == 3 || count == 5);
	assert_true(n[0] < SCENARIOS);
	cut_hibernation(&world, (enum scenario)n[0], n[1], n[2]);
	if (count == 5) {
		struct sim_disk after;

		sim_disk_init(&after, SIZE);
		sim_disk_copy(&world.disk, &world.start[n[0]]);
		sim_disk_cut_after(&world.disk, n[1]);
		(void)!hibernate(&world, world.image);
		sim_disk_restart(&world.disk, n[2]);
		sim_disk_copy(&after, &world.disk);
		cut_what_follows(&world, &after, (enum scenario)n[0], n[3], n[4]);
		sim_disk_free(&after);
	}
}

static int set_up(void **state)
{
	(void)state;
	setup_world(&world);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SCENARIOS; s++)
		sim_disk_free(&world.start[s]);
	sim_disk_free(&world.disk);
	machine_free(&world.machine);
	free(world.class);
	free(world.image);
	free(world.before);
	printf("# %lu checks\n", world.checked);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disk_does_what_it_says),
		cmocka_unit_test(power_lost_while_saving),
		cmocka_unit_test(torn_within_sectors),
		cmocka_unit_test(power_lost_while_resuming),
		cmocka_unit_test(power_lost_twice),
		cmocka_unit_test(nothing_older_comes_to_light),
	};
	const struct CMUnitTest one[] = {cmocka_unit_test(replay)};

	if (getenv("KELP_CUT"))
		return cmocka_run_group_tests(one, set_up, tear_down);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
