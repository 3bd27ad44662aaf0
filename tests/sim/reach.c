/* SPDX-License-Identifier: MIT */
/*
 * Floor 3 on machines of 1 to 4096 CPUs, each of which uses its own slots: fixmap banks, kmap_local
 * and copy windows; and INV-3.5 through the eyes of the hardware: permanent slots are watched on
 * every CPU after every write of an entry, while the CPUs move from the early tables to the final
 * ones, one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "support/machine.h"
#include "tests/common/cases.h"
#include "tests/common/formats.h"

#define TEST_FIXMAP(X)               \
	X(FIX_CONSOLE, 1, PERMANENT) \
	X(FIX_CLOCK, 2, PERMANENT)   \
	X(FIX_EARLY_IO, 2, EARLY)    \
	X(FIX_PROBE, 2, PER_CPU)     \
	X(FIX_NMI, 1, PER_CPU)

KELP_FIXMAP(test_fixmap, TEST_FIXMAP);

/* A format of each kind. */
static const char *const names[] = {
	"x86_64-4level",   "x86_64-5level",	"x86_pae",	     "x86_two_level",
	"arm64-4k-48-low", "arm64-4k-39-low-bbm0", "arm64-16k-47-low", "arm64-64k-42-low",
	"riscv64-sv39",	   "riscv64-sv48-bare", "riscv64-sv57-svade",
};

static const uint32_t cpu_counts[] = {1, 8, 15, 16, 32, 33, 64, 512, 4096};

struct rig {
	const struct kelp_format *format;
	struct sim *sim;
	struct sim_kelp_port port;
	struct kelp_space space;
	uint64_t page;
	kelp_attr_t attributes;
	kelp_vaddr_t next; /* addresses that are nobody's yet */
};

static void rig_begin(struct rig *rig, const char *name, uint32_t cpus)
{
	const struct kelp_format *format = test_format_named(name);

	*rig = (struct rig){.format = format, .page = page_of(format),
			    .attributes = data_of(format)};
	rig->sim = machine_new(format, cpus, cpus);
	assert_non_null(rig->sim);
	sim_kelp_port_init(&rig->port, rig->sim);
	assert_status(kelp_space_init(&rig->space, format, &rig->port.port, 0), KELP_OK);
	kelp_space_set_asid(&rig->space, 1);
	for (uint32_t cpu = 0; cpu < cpus; cpu++)
		sim_kelp_enter(rig->sim, cpu, &rig->space);
	/* Three pages before the end of a table, and of all above it. */
	rig->next = some_va(format, 6) - 3u * rig->page;
}

static kelp_vaddr_t take_addresses(struct rig *rig, uint64_t bytes)
{
	kelp_vaddr_t va = rig->next;

	rig->next += bytes + 5u * rig->page;
	return va;
}

static void check(const struct rig *rig)
{
	if (sim_error(rig->sim) != SIM_OK)
		sim_report(rig->sim, stdout);
	assert_int_equal(sim_error(rig->sim), SIM_OK);
}

static void rig_end(struct rig *rig)
{
	check(rig);
	sim_destroy(rig->sim);
	sim_kelp_run_as(NULL, 0);
}

static bool reads(struct rig *rig, uint32_t cpu, kelp_vaddr_t va, kelp_paddr_t pa)
{
	struct sim_result result = sim_access(rig->sim, cpu, va, SIM_READ, SIM_SUPERVISOR);

	return result.fault == SIM_FAULT_NONE && result.pa == pa;
}

/* ---- each CPU its own --------------------------------------------------------------------- */

static void load(void *context, void *buffer, kelp_vaddr_t from, size_t size)
{
	struct rig *rig = context;
	uint64_t value;

	assert_int_equal(sim_load(rig->sim, sim_kelp_cpu(), from, (unsigned)size, SIM_SUPERVISOR,
				  &value).fault, SIM_FAULT_NONE);
	memcpy(buffer, &value, size);
}

static void store(void *context, kelp_vaddr_t to, const void *buffer, size_t size)
{
	struct rig *rig = context;
	uint64_t value = 0;

	memcpy(&value, buffer, size);
	assert_int_equal(sim_store(rig->sim, sim_kelp_cpu(), to, (unsigned)size, SIM_SUPERVISOR,
				   value).fault, SIM_FAULT_NONE);
}

struct floor {
	struct kelp_fixmap fixmap;
	struct kelp_kmap kmap;
	struct kelp_copywin window;
	struct kelp_kmap_cpu *kmap_cpu;
	struct kelp_copywin_cpu *window_cpu;
	struct kelp_copywin_access access;
};

static void floor_begin(struct floor *floor, struct rig *rig, uint32_t cpus)
{
	struct kelp_fixmap_config fixmap = {
		.space = &rig->space, .cpus = cpus, KELP_FIXMAP_OF(test_fixmap),
	};
	struct kelp_kmap_config kmap = {
		.space = &rig->space, .attributes = rig->attributes, .cpus = cpus,
	};
	struct kelp_copywin_config window = {
		.space = &rig->space, .attributes = rig->attributes, .cpus = cpus,
	};

	memset(floor, 0, sizeof(*floor));
	floor->kmap_cpu = calloc(cpus, sizeof(*floor->kmap_cpu));
	floor->window_cpu = calloc(cpus, sizeof(*floor->window_cpu));
	assert_true(floor->kmap_cpu && floor->window_cpu);
	floor->access = (struct kelp_copywin_access){.context = rig, .load = load, .store = store};
	fixmap.base = take_addresses(rig, kelp_fixmap_bytes(rig->format, &fixmap));
	kmap.cpu = floor->kmap_cpu;
	kmap.local_base = take_addresses(rig, (uint64_t)cpus * KELP_KMAP_DEPTH * rig->page);
	window.cpu = floor->window_cpu;
	window.access = &floor->access;
	window.base = take_addresses(rig, KELP_COPYWIN_PAGES((uint64_t)cpus) * rig->page);
	assert_status(kelp_fixmap_init(&floor->fixmap, &fixmap, cpus), KELP_OK);
	assert_status(kelp_kmap_init(&floor->kmap, &kmap), KELP_OK);
	assert_status(kelp_copywin_init(&floor->window, &window), KELP_OK);
}

static void use_own(struct floor *floor, struct rig *rig, uint32_t cpu)
{
	kelp_vaddr_t probe = kelp_fixmap_cpu_address(&floor->fixmap, FIX_PROBE, cpu);
	struct kelp_kmap_context context = {0};
	uint64_t number = 3u + cpu % 61u, value, again;
	kelp_vaddr_t outer, inner;

	sim_kelp_run_as(rig->sim, cpu);
	for (unsigned round = 0; round < 2; round++, number += 7u) {
		assert_status(kelp_fixmap_set(&floor->fixmap, FIX_PROBE, cpu, 0, 2,
					      number * rig->page, rig->attributes), KELP_OK);
		assert_true(reads(rig, cpu, probe + rig->page, (number + 1u) * rig->page));
		assert_status(kelp_fixmap_clear(&floor->fixmap, FIX_PROBE, cpu), KELP_OK);
		assert_false(reads(rig, cpu, probe + rig->page, (number + 1u) * rig->page));

		assert_status(kelp_kmap_local(&floor->kmap, &context, cpu, (kelp_pfn_t){number},
					      &outer), KELP_OK);
		assert_status(kelp_kmap_local(&floor->kmap, &context, cpu,
					      (kelp_pfn_t){number + 1u}, &inner), KELP_OK);
		assert_true(reads(rig, cpu, outer, number * rig->page));
		assert_true(reads(rig, cpu, inner + 9u, (number + 1u) * rig->page + 9u));
		kelp_kunmap_local(&floor->kmap, &context, cpu, inner);
		assert_false(reads(rig, cpu, inner, (number + 1u) * rig->page));
		kelp_kunmap_local(&floor->kmap, &context, cpu, outer);

		value = UINT64_C(0x1234567800000000) + cpu * 2u + round;
		assert_status(kelp_copywin_write(&floor->window, cpu, (kelp_pfn_t){number}, 16,
						 &value, 8), KELP_OK);
		assert_status(kelp_copywin_read(&floor->window, cpu, (kelp_pfn_t){number}, 16,
						&again, 8), KELP_OK);
		assert_int_equal(value, again);
	}
	check(rig);
}

static void each_cpu_its_own(void **state)
{
	(void)state;
	for (unsigned n = 0; n < COUNT_OF(names); n++)
		for (unsigned c = 0; c < COUNT_OF(cpu_counts); c++) {
			uint32_t cpus = cpu_counts[c];
			/* Of many a sample, the last one in it: 4096 CPUs hold what one leaves. */
			uint32_t step = cpus > 64 ? cpus / 31u : 1;
			struct floor floor;
			struct rig rig;

			rig_begin(&rig, names[n], cpus);
			floor_begin(&floor, &rig, cpus);
			/* Nothing from here on takes a page. */
			rig.port.fail_at = 1;
			rig.port.fail_for_ever = true;
			assert_status(kelp_fixmap_set(&floor.fixmap, FIX_CONSOLE, 0, 0, 1,
						      2u * rig.page, rig.attributes), KELP_OK);
			for (uint32_t i = 0; i <= (cpus - 1u) / step + (step > 1); i++) {
				uint32_t cpu = i * step < cpus ? i * step : cpus - 1u;

				use_own(&floor, &rig, cpu);
				assert_true(reads(&rig, cpu,
						  kelp_fixmap_address(&floor.fixmap, FIX_CONSOLE),
						  2u * rig.page));
			}
			assert_int_equal(rig.port.failed, 0);
			rig_end(&rig);
			free(floor.kmap_cpu);
			free(floor.window_cpu);
		}
}

/* ---- INV-3.5 ------------------------------------------------------------------------------- */

static void watch(struct rig *rig, kelp_vaddr_t va, kelp_paddr_t pa)
{
	assert_true(sim_watch(rig->sim, va, SIM_READ, SIM_SUPERVISOR, pa) >= 0);
	check(rig);
}

#define SWITCH_CPUS 5u

static void set(struct rig *rig, struct kelp_fixmap *fixmap, uint32_t slot, uint32_t cpu,
		kelp_paddr_t pa)
{
	sim_kelp_run_as(rig->sim, cpu);
	assert_status(kelp_fixmap_set(fixmap, slot, cpu, 0, 1, pa, rig->attributes), KELP_OK);
}

static void tables_are_switched(void **state)
{
	const struct kelp_fixmap_config config = {
		.cpus = SWITCH_CPUS, KELP_FIXMAP_OF(test_fixmap),
	};

	(void)state;
	for (unsigned n = 0; n < COUNT_OF(names); n++) {
		struct kelp_fixmap_config at = config;
		struct kelp_fixmap early, final;
		struct kelp_space space;
		kelp_vaddr_t console, clock;
		struct rig rig;

		rig_begin(&rig, names[n], SWITCH_CPUS);
		at.base = take_addresses(&rig, 0);
		at.space = &rig.space;
		assert_status(kelp_fixmap_init(&early, &at, SWITCH_CPUS), KELP_OK);
		console = kelp_fixmap_address(&early, FIX_CONSOLE);
		clock = kelp_fixmap_address(&early, FIX_CLOCK);
		set(&rig, &early, FIX_CONSOLE, 0, 32u * rig.page);
		watch(&rig, console, 32u * rig.page);
		set(&rig, &early, FIX_CLOCK, 0, 40u * rig.page);
		watch(&rig, clock, 40u * rig.page);
		/* The final tables, under the same tag: nothing is flushed on the way. */
		assert_status(kelp_space_init(&space, rig.format, &rig.port.port, 0), KELP_OK);
		kelp_space_set_asid(&space, 1);
		at.space = &space;
		assert_status(kelp_fixmap_init(&final, &at, SWITCH_CPUS), KELP_OK);
		assert_status(kelp_fixmap_carry(&early, &final), KELP_OK);
		check(&rig);
		for (uint32_t cpu = 0; cpu < SWITCH_CPUS; cpu++) {
			/* What is set while some CPUs are here and some there is there for all. */
			set(&rig, &early, FIX_NMI, cpu, (50u + cpu) * rig.page);
			sim_kelp_enter(rig.sim, cpu, &space);
			assert_true(reads(&rig, cpu, console, 32u * rig.page));
			assert_true(reads(&rig, cpu, clock, 40u * rig.page));
			assert_true(reads(&rig, cpu, kelp_fixmap_cpu_address(&final, FIX_NMI, cpu),
					  (50u + cpu) * rig.page));
			check(&rig);
		}
		kelp_fixmap_switched(&early);
		sim_kelp_run_as(rig.sim, 1);
		kelp_space_destroy(&rig.space);
		for (uint32_t cpu = 0; cpu < SWITCH_CPUS; cpu++)
			assert_true(reads(&rig, cpu, console, 32u * rig.page));
		rig_end(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpu_its_own),
		cmocka_unit_test(tables_are_switched),
	};

	return cmocka_run_group_tests_name("reach", tests, NULL, NULL);
}
