/* SPDX-License-Identifier: MIT */
/*
 * Every hook of a snapshot fails, the first time, the second, ...: once, and for ever. After an
 * error no frame is lost, none that was in use has changed, and the disk is as INV-5.6 wants it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#include <cmocka.h>

#define FRAMES 160u
#define DISK   (2u << 20)

#define assert_status(status, expected)                                                            \
	assert_string_equal(kelp_status_name(status), kelp_status_name(expected))

static const char *const names[MACHINE_HOOKS] = {
	"read", "write", "flush", "start", "finish", "random",
	"take", "frame read", "frame write", "claim", "expand", "progress",
};

struct fixture {
	struct machine machine;
	uint8_t *class, *memory, *image; /* of the machine that is saved; the disk with it */
	uint8_t *reset, *reset_class;    /* of the one that resumes */
};

static void begin(struct fixture *f, bool asynchronous)
{
	struct machine *machine = &f->machine;

	memset(f, 0, sizeof(*f));
	machine_init(machine, FRAMES, DISK);
	machine->config.chunk_frames = 4;
	if (!asynchronous)
		machine->disk_hooks.start = NULL;
	machine_buffer(machine);
	machine_fill(machine, 14, 65);
	f->class = malloc(FRAMES);
	f->memory = malloc(FRAMES * MACHINE_PAGE);
	f->image = malloc(DISK);
	f->reset = malloc(FRAMES * MACHINE_PAGE);
	f->reset_class = malloc(FRAMES);
	memcpy(f->class, machine->class, FRAMES);
	memcpy(f->memory, machine->memory, FRAMES * MACHINE_PAGE);
	assert_status(machine_save(machine, NULL, NULL), KELP_OK);
	memcpy(f->image, machine->disk.bytes, DISK);
	memcpy(machine->class, f->class, FRAMES);
	machine_reset(machine, 3, 25);
	memcpy(f->reset, machine->memory, FRAMES * MACHINE_PAGE);
	memcpy(f->reset_class, machine->class, FRAMES);
}

static void end(struct fixture *f)
{
	free(f->class);
	free(f->memory);
	free(f->image);
	free(f->reset);
	free(f->reset_class);
	machine_free(&f->machine);
}

static void arm(struct fixture *f, enum machine_hook hook, uint64_t n, bool for_ever)
{
	struct machine *machine = &f->machine;

	memset(machine->calls, 0, sizeof(machine->calls));
	machine->fail_hook = hook;
	machine->fail_at = n;
	machine->fail_for_ever = for_ever;
	machine->failed = false;
}

static void assert_nothing_lost(struct fixture *f)
{
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_int_equal(f->machine.taken[i], 0);
	assert_false(f->machine.violated);
}

static void start_reset(struct fixture *f)
{
	memcpy(f->machine.memory, f->reset, FRAMES * MACHINE_PAGE);
	memcpy(f->machine.class, f->reset_class, FRAMES);
	memset(f->machine.taken, 0, FRAMES);
}

/* True when the hook was never called an nth time: the end of its row. */
static bool save_fails(struct fixture *f, enum machine_hook hook, uint64_t n, bool for_ever)
{
	struct machine *machine = &f->machine;
	enum kelp_status status;

	memcpy(machine->class, f->class, FRAMES);
	memcpy(machine->memory, f->memory, FRAMES * MACHINE_PAGE);
	memset(machine->taken, 0, FRAMES);
	/* The window alone reaches what HOT frames are copied to. */
	for (uint32_t i = 0; i < FRAMES; i++)
		machine->hidden[i] |= f->class[i] == KELP_SNAPSHOT_FREE;
	/* Over an image that was never resumed: what can go wrong most. */
	memcpy(machine->disk.bytes, f->image, DISK);
	arm(f, hook, n, for_ever);
	status = machine_save(machine, NULL, NULL);
	if (!machine->failed) {
		assert_status(status, KELP_OK);
		return true;
	}
	/* A state block that cannot be read is written anew. */
	if (status == KELP_OK && hook != MACHINE_DISK_READ)
		fail_msg("%s %llu failed and nobody noticed", names[hook], (unsigned long long)n);
	assert_nothing_lost(f);
	/* The old image, or none; the new one only when the last flush lied. */
	arm(f, hook, 0, false);
	start_reset(f);
	status = machine_resume(machine);
	if (status == KELP_OK)
		assert_int_equal(machine_compare(machine, f->memory, f->class), FRAMES);
	else
		assert_status(status, KELP_ERR_NO_IMAGE);
	return false;
}

static bool resume_fails(struct fixture *f, enum machine_hook hook, uint64_t n, bool for_ever)
{
	struct machine *machine = &f->machine;
	enum kelp_status status;

	start_reset(f);
	memcpy(machine->disk.bytes, f->image, DISK);
	arm(f, hook, n, for_ever);
	status = machine_resume(machine);
	if (!machine->failed) {
		assert_status(status, KELP_OK);
		return true;
	}
	/* The other state block said that there is an image, and no newer one can be lost. */
	if (status == KELP_OK && hook == MACHINE_DISK_READ && n <= 2 && !for_ever)
		return false;
	if (status == KELP_OK)
		fail_msg("%s %llu failed and nobody noticed", names[hook], (unsigned long long)n);
	assert_nothing_lost(f);
	/* What was in use is as it was. */
	for (uint32_t i = 0; i < FRAMES; i++) {
		if (f->reset_class[i] == KELP_SNAPSHOT_FREE)
			continue;
		assert_int_equal(machine->class[i], f->reset_class[i]);
		assert_memory_equal(machine_page(machine, i), f->reset + (size_t)i * MACHINE_PAGE,
				    MACHINE_PAGE);
	}
	arm(f, hook, 0, false);
	start_reset(f);
	status = machine_resume(machine);
	if (status == KELP_OK)
		assert_int_equal(machine_compare(machine, f->memory, f->class), FRAMES);
	else
		assert_status(status, KELP_ERR_NO_IMAGE);
	return false;
}

static void every_hook(bool asynchronous,
		       bool (*attempt)(struct fixture *f, enum machine_hook hook, uint64_t n,
				       bool for_ever),
		       uint64_t *failures)
{
	struct fixture f;

	begin(&f, asynchronous);
	for (unsigned hook = 0; hook < MACHINE_HOOKS; hook++) {
		for (uint64_t n = 1;; n++) {
			if (attempt(&f, hook, n, false))
				break;
			failures[hook]++;
			/* Giving back is allowed to fail quietly; nothing else is. */
			if (hook != MACHINE_FRAME_WRITE && n < 20)
				attempt(&f, hook, n, true);
			assert_true(n < 2000);
		}
	}
	end(&f);
}

static void saving(void **state)
{
	uint64_t failures[MACHINE_HOOKS] = {0};

	(void)state;
	every_hook(false, save_fails, failures);
	every_hook(true, save_fails, failures);
	for (unsigned hook = 0; hook < MACHINE_HOOKS; hook++) {
		if (hook != MACHINE_CLAIM && hook != MACHINE_EXPAND && !failures[hook])
			fail_msg("%s was never called", names[hook]);
	}
}

static void resuming(void **state)
{
	uint64_t failures[MACHINE_HOOKS] = {0};

	(void)state;
	every_hook(false, resume_fails, failures);
	every_hook(true, resume_fails, failures);
	for (unsigned hook = 0; hook < MACHINE_HOOKS; hook++) {
		if (hook != MACHINE_FRAME_READ && !failures[hook])
			fail_msg("%s was never called", names[hook]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(saving),
		cmocka_unit_test(resuming),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
