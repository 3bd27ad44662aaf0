/* SPDX-License-Identifier: MIT */
/*
 * Accesses of floor 3's tests on the simulated machine: reach->cpu is one of its CPUs, executes
 * the library's slot operations and invalidations, and each access is judged. More CPUs than the
 * machine has share one: that holds more, never less.
 */
#include "sim/hw.h"
#include "sim_test_port.h"
#include "tests/common/reach.h"

#include <string.h>

static struct reach *current;

static struct sim_test_port *machine_of(const struct reach *reach)
{
	return (struct sim_test_port *)reach->port;
}

static unsigned cpu_now(void)
{
	return current->cpu % sim_config(machine_of(current)->sim)->cpus;
}

static void become(void)
{
	if (current)
		sim_kelp_run_as(machine_of(current)->sim, cpu_now());
}

void reach_tlb_begin(struct reach *reach)
{
	current = reach;
	sim_test_cpu = cpu_now;
	become();
}

bool reach_holds_nothing(struct reach *reach)
{
	/* The accesses that follow show it. */
	return sim_error(machine_of(reach)->sim) == SIM_OK;
}

unsigned char *reach_access(struct reach *reach, kelp_vaddr_t va, bool write)
{
	struct sim_test_port *machine = machine_of(reach);
	uint64_t offset = va & (page_of(reach->format) - 1u);
	struct sim_result result;

	sim_test_run_on(machine, &reach->space);
	result = sim_access(machine->sim, cpu_now(), va, write ? SIM_WRITE : SIM_READ,
			    SIM_SUPERVISOR);
	if (result.fault != SIM_FAULT_NONE)
		return NULL;
	/* Tables are compared to the bit: what hardware noted is taken back. */
	memcpy(sim_pointer(machine->sim, result.slot), &result.entry, reach->format->entry_bytes);
	return reach_frame(reach, result.pa - offset) + offset;
}

static void forget(struct reach *reach, unsigned cpu)
{
	sim_kelp_run_as(machine_of(reach)->sim, cpu);
	sim_kelp_invalidate_begin();
	sim_kelp_invalidate_all(&reach->space,
				KELP_FLUSH_ALL | KELP_FLUSH_GLOBAL | KELP_FLUSH_ROOT);
	sim_kelp_invalidate_end();
}

/* Now and then every other CPU drops everything, for reasons of its own. */
static void others_forget(void)
{
	for (unsigned cpu = 0; cpu < sim_config(machine_of(current)->sim)->cpus; cpu++)
		if (cpu != cpu_now())
			forget(current, cpu);
}

/* ---- a quiet moment ------------------------------------------------------------------------ */

void reach_tlb_park(struct reach *reach)
{
	sim_test_park(machine_of(reach), true);
}

void reach_tlb_unpark(struct reach *reach)
{
	struct sim_test_port *machine = machine_of(reach);

	for (unsigned cpu = 0; cpu < sim_config(machine->sim)->cpus; cpu++)
		forget(reach, cpu);
	become();
	sim_test_park(machine, false);
	sim_test_run_on(machine, &reach->space);
}

/* ---- whose slots, whose invalidations -------------------------------------------------------- */

#define REAL(name) __real_kelp_##name
#define WRAP(name) __wrap_kelp_##name

enum kelp_status REAL(slot_set)(const struct kelp_slot *slot, kelp_paddr_t pa,
				kelp_attr_t attributes);
enum kelp_status WRAP(slot_set)(const struct kelp_slot *slot, kelp_paddr_t pa,
				kelp_attr_t attributes);
void REAL(slot_drop)(const struct kelp_slot *slot);
void WRAP(slot_drop)(const struct kelp_slot *slot);
void REAL(slot_clear)(const struct kelp_slot *slot);
void WRAP(slot_clear)(const struct kelp_slot *slot);
void REAL(slot_invalidate)(const struct kelp_space *space, kelp_vaddr_t first, kelp_vaddr_t last);
void WRAP(slot_invalidate)(const struct kelp_space *space, kelp_vaddr_t first, kelp_vaddr_t last);
void REAL(flush_execute)(const struct kelp_flush_request *request);
void WRAP(flush_execute)(const struct kelp_flush_request *request);

enum kelp_status WRAP(slot_set)(const struct kelp_slot *slot, kelp_paddr_t pa,
				kelp_attr_t attributes)
{
	static unsigned sets;

	/* Else the CPUs that are never told of a slot would hold all that was ever in it. */
	if (current && ++sets % 64u == 0)
		others_forget();
	become();
	return REAL(slot_set)(slot, pa, attributes);
}

void WRAP(slot_drop)(const struct kelp_slot *slot)
{
	become();
	REAL(slot_drop)(slot);
}

void WRAP(slot_clear)(const struct kelp_slot *slot)
{
	become();
	REAL(slot_clear)(slot);
}

void WRAP(slot_invalidate)(const struct kelp_space *space, kelp_vaddr_t first, kelp_vaddr_t last)
{
	become();
	REAL(slot_invalidate)(space, first, last);
}

void WRAP(flush_execute)(const struct kelp_flush_request *request)
{
	unsigned self = sim_kelp_cpu();
	struct sim *sim;

	REAL(flush_execute)(request);
	if (!current || self != cpu_now())
		return;
	current->local_flushes++;
	/* A machine that demands breaks broadcasts its invalidations (kelp/slot.h, FLUSH DUTY). */
	sim = machine_of(current)->sim;
	if (sim_config(sim)->arch != SIM_FAKE || !current->format->demands_break)
		return;
	for (unsigned cpu = 0; cpu < sim_config(sim)->cpus; cpu++) {
		sim_kelp_run_as(sim, cpu);
		if (cpu != self)
			REAL(flush_execute)(request);
	}
	sim_kelp_run_as(sim, self);
}
