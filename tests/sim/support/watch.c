/* SPDX-License-Identifier: MIT */
/*
 * Stands in front of the library for tests that were not written for the machine: the linker
 * leads their calls here (--wrap, sim/build.mk). The CPUs run on the space a test works on; each
 * gather is filled on a CPU of the machine's choice; after its commit every CPU accesses the
 * places that were edited, their ends and their neighbours, and each access is judged.
 *
 * No access is needed before an edit: the machine holds all that could have been cached.
 */
#include "sim_test_port.h"

#include <stdlib.h>
#include <string.h>

/* Of floor 3's long runs only so many commits are looked at one by one. */
#define LOOKS_ALWAYS 12u
#define LOOKS_EVERY 32u

static struct {
	bool registered;
	uint64_t commits, accesses, translated;
} looked;

static struct sim_test_port *port_of(const struct kelp_port *port)
{
	return port->context;
}

static struct sim_test_port *machine_of(const struct kelp_space *space)
{
	return port_of(space->port);
}

/* A run in which nothing was judged proves nothing. */
static void summary(void)
{
	printf("# %llu commits looked at, %llu accesses judged, %llu of them translated\n",
	       (unsigned long long)looked.commits, (unsigned long long)looked.accesses,
	       (unsigned long long)looked.translated);
	fflush(stdout);
	if (looked.translated < 100 || looked.accesses == looked.translated)
		_Exit(1);
}

unsigned (*sim_test_cpu)(void);

void sim_test_run_on(struct sim_test_port *machine, const struct kelp_space *space)
{
	if (machine->running == space || machine->parked)
		return;
	for (unsigned cpu = 0; cpu < sim_config(machine->sim)->cpus; cpu++)
		sim_kelp_enter(machine->sim, cpu, space);
	machine->running = space;
}

static void remember(const struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size)
{
	struct sim_test_port *machine = machine_of(flush->space);

	if (machine->nested || size == 0)
		return;
	machine->place[machine->places % SIM_TEST_PLACES] = (struct sim_test_place){va, size};
	machine->past[machine->places++ % SIM_TEST_PLACES] = (struct sim_test_place){va, size};
}

/* ---- looking ---------------------------------------------------------------------------------- */

/*
 * The access is judged and then undone: the test's model knows of no access but the test's own.
 * Hardware's stores of accessed bits are no part of the machine's history, so this leaves none
 * either. A store that would set any bit is not made.
 */
static void look_so(struct sim_test_port *machine, unsigned cpu, kelp_vaddr_t va,
		    enum sim_access access, enum sim_privilege privilege)
{
	const struct kelp_format *format = machine->test.format;
	struct sim_result result = sim_translate(machine->sim, cpu, va, access, privilege);

	if (access == SIM_WRITE && result.fault == SIM_FAULT_NONE &&
	    (~format->ops->attributes(format, result.level, result.entry) & format->attr_mask &
	     (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)))
		return;
	looked.accesses++;
	result = sim_access(machine->sim, cpu, va, access, privilege);
	if (result.fault != SIM_FAULT_NONE)
		return;
	looked.translated++;
	memcpy(sim_pointer(machine->sim, result.slot), &result.entry, format->entry_bytes);
}

static void look_at(struct sim_test_port *machine, kelp_vaddr_t va)
{
	if (!kelp_format_is_canonical(machine->test.format, va))
		return;
	if (machine->open == 0)
		sim_expect_settled(machine->sim, va);
	for (unsigned cpu = 0; cpu < sim_config(machine->sim)->cpus; cpu++)
		for (unsigned how = 0; how < 6; how++)
			look_so(machine, cpu, va, (enum sim_access)(how % 3u),
				(enum sim_privilege)(how / 3u));
}

static void look(struct sim_test_port *machine)
{
	uint64_t page = UINT64_C(1) << machine->test.format->page_shift;
	unsigned count = machine->places < SIM_TEST_PLACES ? machine->places : SIM_TEST_PLACES;

	looked.commits++;
	for (unsigned i = 0; i < count && sim_error(machine->sim) == SIM_OK; i++) {
		kelp_vaddr_t va = machine->place[i].va;
		uint64_t size = machine->place[i].size;

		look_at(machine, va);
		look_at(machine, va + size - 1u);
		look_at(machine, va + size / 2u);
		look_at(machine, va + sim_random(machine->sim) % size);
		look_at(machine, va - page);
		look_at(machine, va + size);
	}
}

/* Whatever stood at the last places of a space that is gone. */
static void look_back(struct sim_test_port *machine)
{
	for (unsigned i = 0; i < SIM_TEST_PLACES && sim_error(machine->sim) == SIM_OK; i++)
		if (machine->past[i].size)
			look_at(machine, machine->past[i].va);
	memset(machine->past, 0, sizeof(machine->past));
}

/* ---- spaces ------------------------------------------------------------------------------------ */

#define REAL(name) __real_kelp_##name
#define WRAP(name) __wrap_kelp_##name
/* What the linker calls the library's function and the one in front of it. */
#define IN_FRONT(type, name, ...)                                                                  \
	type REAL(name)(__VA_ARGS__);                                                              \
	type WRAP(name)(__VA_ARGS__);                                                              \
	type WRAP(name)(__VA_ARGS__)

static void made(struct sim_test_port *machine, struct kelp_space *space)
{
	if (!looked.registered)
		atexit(summary);
	looked.registered = true;
	kelp_space_set_asid(space, ++machine->asid);
	machine->running = NULL;
	sim_test_run_on(machine, space);
	machine->open = 0;
	machine->places = 0;
}

IN_FRONT(enum kelp_status, space_init, struct kelp_space *space, const struct kelp_format *format,
	 const struct kelp_port *port, uint32_t flags)
{
	enum kelp_status status = REAL(space_init)(space, format, port, flags);

	if (status == KELP_OK)
		made(port_of(port), space);
	return status;
}

IN_FRONT(enum kelp_status, space_adopt, struct kelp_space *space, const struct kelp_format *format,
	 const struct kelp_port *port, kelp_paddr_t root, uint64_t table_limit, uint32_t flags)
{
	enum kelp_status status = REAL(space_adopt)(space, format, port, root, table_limit, flags);

	if (status == KELP_OK)
		made(port_of(port), space);
	return status;
}

static void run_idle(struct sim_test_port *machine)
{
	if (!machine->idle.format &&
	    REAL(space_init)(&machine->idle, machine->test.format, &machine->kelp.port, 0) !=
		    KELP_OK)
		abort();
	sim_test_run_on(machine, &machine->idle);
}

void sim_test_park(struct sim_test_port *machine, bool parked)
{
	if (parked)
		run_idle(machine);
	machine->parked = parked;
}

/* Nobody runs on a space that is destroyed. */
IN_FRONT(void, space_destroy, struct kelp_space *space)
{
	struct sim_test_port *machine = machine_of(space);

	run_idle(machine);
	machine->nested++;
	REAL(space_destroy)(space);
	machine->nested--;
	/* Of what was global nothing is left in anybody's way. */
	look_back(machine);
}

/* ---- gathers ----------------------------------------------------------------------------------- */

/* What a CPU has stored is not moved to another one while a gather is open. */
IN_FRONT(void, flush_begin, struct kelp_flush *flush, struct kelp_space *space)
{
	struct sim_test_port *machine = machine_of(space);

	if (!machine->nested) {
		unsigned cpus = sim_config(machine->sim)->cpus;

		if (!machine->open)
			sim_kelp_run_as(machine->sim,
					sim_test_cpu ? sim_test_cpu()
						     : (unsigned)(sim_random(machine->sim) % cpus));
		machine->open++;
		sim_test_run_on(machine, space);
		/* Somebody walks the tables without a lock until the port waits for him. */
		if (!machine->readers) {
			machine->reader = (unsigned)(sim_random(machine->sim) % cpus);
			sim_reader_enter(machine->sim, machine->reader);
			machine->readers = 1;
		}
	}
	REAL(flush_begin)(flush, space);
}

/* While another gather is open its edits are not flushed, and rightly. */
IN_FRONT(void, flush_commit, struct kelp_flush *flush)
{
	const struct kelp_space *space = flush->space;
	struct sim_test_port *machine = machine_of(space);

	if (machine->nested) {
		REAL(flush_commit)(flush);
		return;
	}
	machine->nested++;
	REAL(flush_commit)(flush);
	machine->nested--;
	sim_test_readers_leave(machine);
	machine->open -= machine->open > 0;
	if (machine->open)
		return;
	machine->commits++;
	if (machine->running == space &&
	    (!sim_test_cpu || machine->commits < LOOKS_ALWAYS ||
	     machine->commits % LOOKS_EVERY == 0))
		look(machine);
	machine->places = 0;
}

IN_FRONT(void, flush_now, struct kelp_flush *flush)
{
	struct sim_test_port *machine = machine_of(flush->space);

	machine->nested++;
	REAL(flush_now)(flush);
	machine->nested--;
	if (!machine->nested && machine->open == 1 && machine->running == flush->space)
		look(machine);
}

/* ---- edits ------------------------------------------------------------------------------------- */

#define EDIT(call)                                                                                 \
	struct sim_test_port *machine = machine_of(flush->space);                                  \
	enum kelp_status status;                                                                   \
												   \
	remember(flush, va, size);                                                                 \
	machine->nested++;                                                                         \
	status = call;                                                                             \
	machine->nested--;                                                                         \
	return status

/* The slots of one CPU are nothing to the others, who may hold what was in them before: where floor
 * 3 makes and releases them, they are not looked at. */
#define EDIT_BUT_SLOTS(call)                                                                       \
	if (sim_test_cpu)                                                                          \
		return call;                                                                       \
	EDIT(call)

IN_FRONT(enum kelp_status, space_map, struct kelp_flush *flush, kelp_vaddr_t va, kelp_paddr_t pa,
	 uint64_t size, kelp_attr_t attributes, uint32_t flags)
{
	EDIT(REAL(space_map)(flush, va, pa, size, attributes, flags));
}

IN_FRONT(enum kelp_status, space_unmap, struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
	 uint32_t flags)
{
	EDIT(REAL(space_unmap)(flush, va, size, flags));
}

IN_FRONT(enum kelp_status, space_protect, struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
	 kelp_attr_t set, kelp_attr_t clear, uint32_t flags)
{
	EDIT(REAL(space_protect)(flush, va, size, set, clear, flags));
}

IN_FRONT(enum kelp_status, space_populate, struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
	 unsigned leaf_shift, uint32_t flags)
{
	EDIT_BUT_SLOTS(REAL(space_populate)(flush, va, size, leaf_shift, flags));
}

IN_FRONT(enum kelp_status, space_split, struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
	 unsigned leaf_shift, uint32_t flags)
{
	EDIT(REAL(space_split)(flush, va, size, leaf_shift, flags));
}

IN_FRONT(enum kelp_status, space_coalesce, struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
	 unsigned leaf_shift, uint32_t flags, uint64_t *merged)
{
	EDIT(REAL(space_coalesce)(flush, va, size, leaf_shift, flags, merged));
}

IN_FRONT(enum kelp_status, space_release, struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
	 uint64_t *released)
{
	EDIT_BUT_SLOTS(REAL(space_release)(flush, va, size, released));
}

IN_FRONT(enum kelp_status, space_share, struct kelp_flush *flush, const struct kelp_space *from,
	 kelp_vaddr_t va, uint64_t size)
{
	EDIT(REAL(space_share)(flush, from, va, size));
}

/* Whether it is committed or cancelled: what is looked at must be right. */
IN_FRONT(enum kelp_status, space_prepare, struct kelp_flush *flush, struct kelp_change *change)
{
	remember(flush, change->va, change->size);
	return REAL(space_prepare)(flush, change);
}
