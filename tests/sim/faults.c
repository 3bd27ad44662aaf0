/* SPDX-License-Identifier: MIT */
/*
 * The oracle must see what is left out: invalidations are weakened between the library and the
 * machine, one way at a time, and random operations run until the oracle objects. And the port's
 * hooks may fail or be slow without harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/driver.h"
#include "tests/common/formats.h"

static const struct {
	enum sim_kelp_fault fault;
	const char *name;
	const char *format;
} faults[] = {
	{SIM_KELP_SKIP_REMOTE, "no shootdown", "x86_64-4level"},
	{SIM_KELP_SKIP_REMOTE, "no shootdown", "riscv64-sv48"},
	{SIM_KELP_SKIP_REMOTE, "no shootdown", "x86_pae"},
	{SIM_KELP_SKIP_REMOTE, "no shootdown", "x86_two_level"},
	{SIM_KELP_SKIP_REMOTE, "no shootdown", "fake"},
	{SIM_KELP_SKIP_ONE_CPU, "one CPU forgotten", "x86_64-5level"},
	{SIM_KELP_SKIP_ONE_CPU, "one CPU forgotten", "riscv64-sv39"},
	{SIM_KELP_EARLY_RETURN, "shootdown returns early", "x86_64-4level"},
	{SIM_KELP_EARLY_RETURN, "shootdown returns early", "riscv64-sv57"},
	{SIM_KELP_SKIP_GLOBAL, "globals not flushed", "arm64-4k-48-low"},
	{SIM_KELP_SKIP_GLOBAL, "globals not flushed", "x86_64-4level"},
	{SIM_KELP_SKIP_BARRIER, "no barriers", "arm64-4k-48-low"},
	{SIM_KELP_SKIP_BARRIER, "no barriers", "arm64-64k-42-low"},
	{SIM_KELP_SKIP_BARRIER, "no barriers", "riscv64-sv48"},
	{SIM_KELP_HALF_RANGE, "every other page skipped", "x86_64-4level"},
	{SIM_KELP_HALF_RANGE, "every other page skipped", "arm64-16k-47-low"},
	{SIM_KELP_HALF_RANGE, "every other page skipped", "riscv64-sv48"},
};

#define FAULTS (sizeof(faults) / sizeof(faults[0]))
#define ROUNDS 600u

/* The rounds until the oracle objected; 0: it never did. */
static unsigned rounds_until_caught(size_t index, uint64_t seed, enum sim_error *error)
{
	struct driver driver;
	unsigned caught = 0;

	if (!driver_begin(&driver, test_format_named(faults[index].format), seed, 3))
		return 0;
	sim_kelp_set_fault(&driver.port, faults[index].fault);
	for (unsigned round = 1; round <= ROUNDS && !caught; round++) {
		driver_round(&driver);
		if (faults[index].fault == SIM_KELP_EARLY_RETURN)
			sim_kelp_deliver(&driver.port);
		if (sim_error(driver.sim) != SIM_OK)
			caught = round;
	}
	*error = sim_error(driver.sim);
	sim_destroy(driver.sim);
	return caught;
}

static void every_fault_is_caught(void **state)
{
	(void)state;
	for (size_t i = 0; i < FAULTS; i++) {
		enum sim_error error = SIM_OK;
		unsigned rounds = 0;

		for (uint64_t seed = 1; seed <= 8 && !rounds; seed++)
			rounds = rounds_until_caught(i, seed, &error);
		printf("# %-26s on %-18s %s after %u rounds\n", faults[i].name, faults[i].format,
		       sim_error_name(error), rounds);
		assert_true(rounds > 0);
	}
}

/* An empty table goes, and only last-level entries are invalidated. Such a flush is of so many
 * pages that it is one of everything, unless the threshold lies higher. */
static void walk_caches_not_flushed(void **state)
{
	for (unsigned weak = 0; weak < 2; weak++) {
		const struct kelp_format *format = test_format_named("arm64-4k-48-low");
		kelp_vaddr_t va = UINT64_C(0x123400000);
		struct kelp_flush flush = {0};
		uint64_t released = 0;
		struct driver driver;

		(void)state;
		assert_true(driver_begin(&driver, format, 7, 2));
		kelp_space_set_flush_threshold(&driver.space, 1024);
		kelp_flush_begin(&flush, &driver.space);
		assert_int_equal(kelp_space_map(&flush, va, 0x1000, 4096,
						KELP_ATTR_READ | KELP_ATTR_ACCESSED, 0),
				 KELP_OK);
		/* A neighbour keeps the table above. */
		assert_int_equal(kelp_space_map(&flush, va + (UINT64_C(2) << 20), 0x2000, 4096,
						KELP_ATTR_READ | KELP_ATTR_ACCESSED, 0),
				 KELP_OK);
		kelp_flush_now(&flush);
		assert_int_equal(kelp_space_unmap(&flush, va, 4096, 0), KELP_OK);
		kelp_flush_commit(&flush);
		if (weak)
			sim_kelp_set_fault(&driver.port, SIM_KELP_SKIP_TABLES);
		kelp_flush_begin(&flush, &driver.space);
		assert_int_equal(kelp_space_release(&flush, va, 4096, &released), KELP_OK);
		assert_true(released > 0);
		kelp_flush_commit(&flush);
		assert_int_equal(sim_error(driver.sim), weak ? SIM_TABLE_FREED : SIM_OK);
		sim_destroy(driver.sim);
	}
}

/* Between the acknowledgements of a shootdown the other CPUs go on: on what nobody changes they
 * must see nothing. */
struct bystander {
	struct driver *driver;
	kelp_vaddr_t va;
	unsigned looks;
};

static void look_between(void *context, unsigned next_cpu)
{
	struct bystander *bystander = context;

	sim_access(bystander->driver->sim, next_cpu, bystander->va, SIM_READ, SIM_SUPERVISOR);
	bystander->looks++;
}

static void slow_acknowledgements(void **state)
{
	const struct kelp_format *format = test_format_named("x86_64-4level");
	struct driver driver;
	struct bystander bystander = {.driver = &driver, .va = UINT64_C(0x123456000)};
	struct kelp_flush flush = {0};

	(void)state;
	assert_true(driver_begin(&driver, format, 7, 4));
	kelp_flush_begin(&flush, &driver.space);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(kelp_space_map(&flush, bystander.va + 4096u * i,
						UINT64_C(0x40000000) + 4096u * i, 4096,
						KELP_ATTR_READ | KELP_ATTR_WRITE, 0),
				 KELP_OK);
	kelp_flush_commit(&flush);
	driver.port.between = look_between;
	driver.port.between_context = &bystander;
	for (unsigned i = 1; i < 64; i++) {
		kelp_flush_begin(&flush, &driver.space);
		assert_int_equal(kelp_space_unmap(&flush, bystander.va + 4096u * i, 4096, 0),
				 KELP_OK);
		kelp_flush_commit(&flush);
	}
	assert_true(bystander.looks >= 63 * 3);
	assert_true(driver_end(&driver));
}

/*
 * INV-1.3: while a large leaf is split and joined again, every address leads, on every CPU, at
 * every instant and through every cache, to the same frame.
 */
static void instants(const char *name)
{
	const struct kelp_format *format = test_format_named(name);
	unsigned large = format->shift[1];
	kelp_vaddr_t va = format->va_first[0] + (UINT64_C(1) << 32 & format->va_last[0]);
	uint64_t size = UINT64_C(1) << large, page = UINT64_C(1) << format->page_shift;
	kelp_attr_t attributes = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_ACCESSED |
				 KELP_ATTR_DIRTY | format->attr_always;
	struct kelp_flush flush = {0};
	struct driver driver;
	int watches[4];

	assert_true(driver_begin(&driver, format, 3, 3));
	kelp_flush_begin(&flush, &driver.space);
	assert_int_equal(kelp_space_map(&flush, va, size, size, attributes, 0), KELP_OK);
	kelp_flush_commit(&flush);
	for (unsigned i = 0; i < 4; i++)
		watches[i] = sim_watch(driver.sim, va + i * page * 3, SIM_READ, SIM_SUPERVISOR,
				       size + i * page * 3);
	for (unsigned round = 0; round < 3; round++) {
		kelp_flush_begin(&flush, &driver.space);
		assert_int_equal(kelp_space_split(&flush, va, size, format->page_shift, 0),
				 KELP_OK);
		kelp_flush_commit(&flush);
		kelp_flush_begin(&flush, &driver.space);
		assert_int_equal(kelp_space_protect(&flush, va + page, page, 0, KELP_ATTR_WRITE, 0),
				 KELP_OK);
		kelp_flush_commit(&flush);
		kelp_flush_begin(&flush, &driver.space);
		assert_int_equal(kelp_space_protect(&flush, va + page, page, KELP_ATTR_WRITE, 0, 0),
				 KELP_OK);
		kelp_flush_commit(&flush);
		kelp_flush_begin(&flush, &driver.space);
		assert_int_equal(kelp_space_coalesce(&flush, va, size, large, 0, NULL), KELP_OK);
		kelp_flush_commit(&flush);
	}
	for (unsigned i = 0; i < 4; i++)
		sim_unwatch(driver.sim, watches[i]);
	assert_true(driver_end(&driver));
}

static void every_instant(void **state)
{
	(void)state;
	instants("x86_64-4level");
	instants("x86_64-5level");
	instants("x86_pae");
	instants("riscv64-sv48");
	instants("riscv64-sv39-svnapot-svadu");
	instants("arm64-4k-48-low");
	instants("arm64-16k-47-low");
	instants("arm64-64k-42-low");
	instants("fake");
}

/*
 * Who unmaps whole tables gives up what hardware noted in them, as with single entries. The link
 * of the gather's list overwrites an entry that hardware made dirty: no loss.
 */
static void dirty_pages_go_with_their_tables(void **state)
{
	const struct kelp_format *format = test_format_named("x86_64-4level");
	kelp_vaddr_t va = UINT64_C(0x40000000);
	const uint64_t table = UINT64_C(2) << 20;
	struct kelp_flush flush = {0};
	struct driver driver;

	(void)state;
	assert_true(driver_begin(&driver, format, 7, 2));
	kelp_flush_begin(&flush, &driver.space);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(kelp_space_map(&flush, va + i * table, 0x1000u * (i + 1u), 4096,
						KELP_ATTR_READ | KELP_ATTR_WRITE, 0), KELP_OK);
	kelp_flush_commit(&flush);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sim_store(driver.sim, 1, va + i * table, 8, SIM_SUPERVISOR, 5).fault,
				 SIM_FAULT_NONE);
	kelp_flush_begin(&flush, &driver.space);
	assert_int_equal(kelp_space_unmap(&flush, va, 2u * table, 0), KELP_OK);
	kelp_flush_commit(&flush);
	/* The third one goes with the space. */
	assert_true(driver_end(&driver));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_is_caught),
		cmocka_unit_test(walk_caches_not_flushed),
		cmocka_unit_test(slow_acknowledgements),
		cmocka_unit_test(every_instant),
		cmocka_unit_test(dirty_pages_go_with_their_tables),
	};

	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
