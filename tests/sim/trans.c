/* SPDX-License-Identifier: MIT */
/*
 * Transitional tables on the simulated machine: its own walkers, written from the manuals apart
 * from the library, run on a copy of tables that hold every kind of right and hole, with hardware
 * that sets neither accessed nor dirty bits where an architecture allows that. INV-5.1, INV-5.2:
 * everything that was mapped, valid or revived, can be stored to at the same frame; nothing can be
 * executed where that can be withheld; nothing else is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim/kelp_port.h"
#include "tests/common/formats.h"

#define PLACES 12u

struct place {
	kelp_vaddr_t va;
	kelp_paddr_t pa;
	uint64_t size;
};

struct machine {
	const struct kelp_format *format;
	struct sim *sim;
	struct sim_kelp_port port;
	struct kelp_space space;
	struct place place[PLACES];
	unsigned places;
};

static void machine_begin(struct machine *m, const struct kelp_format *format)
{
	struct sim_config config;

	*m = (struct machine){.format = format};
	assert_true(sim_kelp_config(&config, format));
	config.cpus = 1;
	config.seed = 7;
	/* The same frame is mapped by the source and by the copy. */
	config.policy.allow_type_aliases = true;
	/* Whoever left a bit to hardware is found out. */
	config.registers.ha = false;
	config.registers.hd = false;
	config.registers.adue = false;
	m->sim = sim_create(&config);
	assert_non_null(m->sim);
	sim_kelp_run_as(m->sim, 0);
	sim_kelp_port_init(&m->port, m->sim);
	assert_int_equal(kelp_space_init(&m->space, format, &m->port.port, 0), KELP_OK);
}

/* Where the machine has memory: half of the largest physical address. */
static void put(struct machine *m, kelp_vaddr_t va, uint64_t size, kelp_attr_t wanted,
		uint32_t flags)
{
	const struct kelp_format *f = m->format;
	struct place *place = &m->place[m->places++];
	struct kelp_flush flush = {0};

	assert_true(m->places <= PLACES);
	*place = (struct place){va, va & ((UINT64_C(1) << (f->pa_bits - 2u)) - 1u), size};
	kelp_flush_begin(&flush, &m->space);
	assert_int_equal(kelp_space_map(&flush, va, place->pa, size,
					kelp_format_closest(f, wanted), flags), KELP_OK);
	kelp_flush_commit(&flush);
}

static void fill(struct machine *m)
{
	const struct kelp_format *f = m->format;
	uint64_t page = UINT64_C(1) << f->page_shift, large = UINT64_C(1) << f->shift[1];
	kelp_vaddr_t va = f->va_first[f->va_ranges - 1];

	va = (va + 8u * large) & ~(8u * large - 1u);
	put(m, va, page, KELP_ATTR_READ, 0);
	put(m, va + 2u * page, page, KELP_ATTR_READ | KELP_ATTR_EXEC, 0);
	put(m, va + 3u * page, page, KELP_ATTR_READ | KELP_ATTR_WRITE, 0);
	put(m, va + 5u * page, page, KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_INVALID, 0);
	put(m, va + 8u * page, page, KELP_ATTR_READ | KELP_ATTR_GLOBAL, 0);
	put(m, va + 9u * page, page,
	    KELP_ATTR_READ | KELP_ATTR_EXEC | (f->attr_mask & KELP_ATTR_USER), 0);
	put(m, va + large, large, KELP_ATTR_READ, 0);
	put(m, va + 2u * large, large, KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_INVALID, 0);
	put(m, va + 4u * large, 32u * page, KELP_ATTR_READ | KELP_ATTR_WRITE, 0);
}

static bool all_are_active(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)first, (void)frames;
	return true;
}

/* Pages at both ends of a place and in its middle. */
static void use_place(struct machine *m, const struct place *place)
{
	uint64_t page = UINT64_C(1) << m->format->page_shift;
	const uint64_t at[] = {0, (place->size / 2u) & ~(page - 1u), place->size - page};
	bool always_executable = m->format->attr_always & KELP_ATTR_EXEC;

	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct sim_result result = sim_store(m->sim, 0, place->va + at[i], 4,
						     SIM_SUPERVISOR, 0x4b656c70);

		assert_int_equal(result.fault, SIM_FAULT_NONE);
		assert_int_equal(result.pa, place->pa + at[i]);
		assert_false(result.global);
		result = sim_translate(m->sim, 0, place->va + at[i], SIM_FETCH, SIM_SUPERVISOR);
		if (always_executable)
			assert_int_equal(result.fault, SIM_FAULT_NONE);
		else
			assert_int_equal(result.fault, SIM_FAULT_PERMISSION);
	}
}

static void nothing_at(struct machine *m, kelp_vaddr_t va)
{
	struct sim_result result = sim_translate(m->sim, 0, va, SIM_READ, SIM_SUPERVISOR);

	assert_int_equal(result.fault, SIM_FAULT_NOT_PRESENT);
}

static void check(void **state)
{
	const struct kelp_format *f = &((const struct test_format *)*state)->format;
	const struct kelp_trans_policy policy = {KELP_TRANS_REVIVE, NULL, all_are_active};
	uint64_t page = UINT64_C(1) << f->page_shift;
	kelp_vaddr_t first = f->va_first[f->va_ranges - 1], last = f->va_last[f->va_ranges - 1];
	struct kelp_trans trans;
	struct machine m;
	kelp_vaddr_t va;

	machine_begin(&m, f);
	fill(&m);
	assert_int_equal(kelp_trans_init(&trans, f, &m.port.port, 0), KELP_OK);
	assert_int_equal(kelp_trans_copy(&trans, &m.space, first, last - first + 1u, &policy),
			 KELP_OK);
	va = m.place[0].va;
	/* The code that does the overwriting. */
	assert_int_equal(kelp_trans_map_page(&trans, va + 12u * page, (kelp_pfn_t){3},
					     kelp_format_closest(f, KELP_ATTR_READ |
									    KELP_ATTR_EXEC)),
			 KELP_OK);
	sim_kelp_enter(m.sim, 0, &trans.space);
	for (unsigned i = 0; i < m.places; i++)
		use_place(&m, &m.place[i]);
	assert_int_equal(sim_access(m.sim, 0, va + 12u * page, SIM_FETCH, SIM_SUPERVISOR).fault,
			 SIM_FAULT_NONE);
	nothing_at(&m, va + page);
	nothing_at(&m, va + 4u * page);
	nothing_at(&m, va + 7u * page);
	nothing_at(&m, first);
	nothing_at(&m, last & ~(page - 1u));
	if (sim_error(m.sim) != SIM_OK)
		sim_report(m.sim, stdout);
	assert_int_equal(sim_error(m.sim), SIM_OK);
	sim_destroy(m.sim);
}

int main(void)
{
	static struct CMUnitTest tests[128];
	const struct test_format *formats;
	size_t count = test_formats(&formats);

	for (size_t i = 0; i < count && i < 128; i++)
		tests[i] = (struct CMUnitTest){
			.name = formats[i].name,
			.test_func = check,
			.initial_state = (void *)(uintptr_t)&formats[i],
		};
	return _cmocka_run_group_tests("trans", tests, count, NULL, NULL);
}
