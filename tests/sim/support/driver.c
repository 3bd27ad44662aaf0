/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

static bool fail(struct driver *d, const char *format, ...)
{
	va_list arguments;

	if (d->failed)
		return false;
	d->failed = true;
	va_start(arguments, format);
	vsnprintf(d->why, sizeof(d->why), format, arguments);
	va_end(arguments);
	return false;
}

bool driver_begin(struct driver *d, const struct kelp_format *format, uint64_t seed, unsigned cpus)
{
	*d = (struct driver){.format = format};
	d->sim = machine_new(format, seed, cpus);
	if (!d->sim)
		return fail(d, "the machine cannot be made");
	d->random.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1u;
	sim_kelp_port_init(&d->port, d->sim);
	if (kelp_space_init(&d->space, format, &d->port.port, 0) != KELP_OK ||
	    kelp_space_init(&d->other, format, &d->port.port, 0) != KELP_OK)
		return fail(d, "kelp_space_init");
	kelp_space_set_asid(&d->space, 1);
	kelp_space_set_asid(&d->other, 2);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		sim_kelp_enter(d->sim, cpu, &d->space);
	return true;
}

static enum kelp_status operate(struct driver *d, struct kelp_flush *flush, const struct step *s)
{
	struct kelp_change change = {
		.flags = s->flags, .va = s->va, .size = s->size, .pa = s->pa, .set = s->set,
		.clear = s->clear,
	};
	enum kelp_status status;

	switch (s->kind) {
	case STEP_MAP:
		change.kind = KELP_CHANGE_MAP;
		if (s->way == STEP_DIRECT)
			return kelp_space_map(flush, s->va, s->pa, s->size, s->set, s->flags);
		break;
	case STEP_UNMAP:
		change.kind = KELP_CHANGE_UNMAP;
		if (s->way == STEP_DIRECT)
			return kelp_space_unmap(flush, s->va, s->size, s->flags);
		break;
	case STEP_PROTECT:
		change.kind = KELP_CHANGE_PROTECT;
		if (s->way == STEP_DIRECT)
			return kelp_space_protect(flush, s->va, s->size, s->set, s->clear,
						  s->flags);
		break;
	case STEP_POPULATE:
		return kelp_space_populate(flush, s->va, s->size, s->leaf_shift, 0);
	case STEP_SPLIT:
		return kelp_space_split(flush, s->va, s->size, s->leaf_shift, s->flags);
	case STEP_COALESCE:
		return kelp_space_coalesce(flush, s->va, s->size, s->leaf_shift, s->flags, NULL);
	case STEP_RELEASE:
		return kelp_space_release(flush, s->va, s->size, NULL);
	case STEP_NOW:
		kelp_flush_now(flush);
		return KELP_OK;
	default:
		return KELP_OK;
	}
	status = kelp_space_prepare(flush, &change);
	if (status != KELP_OK)
		return status;
	if (s->way == STEP_PREPARED)
		kelp_space_commit(&change);
	else
		kelp_space_cancel(&change);
	(void)d;
	return KELP_OK;
}

static void remember(struct driver *d, kelp_vaddr_t va, uint64_t size)
{
	unsigned at = d->places++ % 16u;

	d->place[at].va = va;
	d->place[at].size = size;
}

/* Hardware's view of one address against the library's (INV-1.4). */
static bool compare(struct driver *d, unsigned cpu, kelp_vaddr_t va)
{
	const uint64_t page_mask = (UINT64_C(1) << d->format->page_shift) - 1u;
	struct kelp_mapping mapping;
	struct sim_result result;
	enum sim_privilege who;
	kelp_attr_t attr;
	kelp_paddr_t pa;

	if (kelp_space_query(&d->space, va & ~page_mask, &mapping) != KELP_OK)
		return true;
	attr = mapping.attributes;
	who = attr & KELP_ATTR_USER ? SIM_USER : SIM_SUPERVISOR;
	result = sim_translate(d->sim, cpu, va, SIM_READ, who);
	if (mapping.kind != KELP_ENTRY_LEAF || (attr & KELP_ATTR_INVALID)) {
		if (result.fault == SIM_FAULT_NOT_PRESENT || result.fault == SIM_FAULT_ADDRESS)
			return true;
		return fail(d, "0x%llx is no leaf to the library and %d to the walker",
			    (unsigned long long)va, result.fault);
	}
	if (!d->format->hardware_accessed && !(attr & KELP_ATTR_ACCESSED))
		return result.fault != SIM_FAULT_NONE ||
		       fail(d, "0x%llx is not accessed, and the walker did not fault",
			    (unsigned long long)va);
	pa = (mapping.pa + (va - mapping.va)) & ~d->format->encryption_bit;
	if ((result.fault == SIM_FAULT_NONE) != !!(attr & KELP_ATTR_READ))
		return fail(d, "0x%llx: attributes 0x%x, and reading gives fault %d",
			    (unsigned long long)va, attr, result.fault);
	if (result.fault == SIM_FAULT_NONE &&
	    (result.pa & ~d->format->encryption_bit) != pa)
		return fail(d, "0x%llx: the library says 0x%llx, the walker 0x%llx",
			    (unsigned long long)va, (unsigned long long)pa,
			    (unsigned long long)result.pa);
	if (result.fault == SIM_FAULT_NONE &&
	    result.type != (attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT)
		return fail(d, "0x%llx: memory type %u to the walker, attributes 0x%x",
			    (unsigned long long)va, result.type, attr);
	if (d->format->hardware_dirty || (attr & KELP_ATTR_DIRTY)) {
		result = sim_translate(d->sim, cpu, va, SIM_WRITE, who);
		if ((result.fault == SIM_FAULT_NONE) != !!(attr & KELP_ATTR_WRITE))
			return fail(d, "0x%llx: attributes 0x%x, and writing gives fault %d",
				    (unsigned long long)va, attr, result.fault);
	}
	result = sim_translate(d->sim, cpu, va, SIM_FETCH, who);
	if ((result.fault == SIM_FAULT_NONE) != !!(attr & KELP_ATTR_EXEC))
		return fail(d, "0x%llx: attributes 0x%x, and fetching gives fault %d",
			    (unsigned long long)va, attr, result.fault);
	return true;
}

static bool look(struct driver *d)
{
	unsigned cpus = sim_config(d->sim)->cpus;

	for (unsigned i = 0; i < 12 && d->places; i++) {
		unsigned at = (unsigned)random_below(&d->random, d->places < 16 ? d->places : 16);
		uint64_t page = UINT64_C(1) << d->format->page_shift;
		uint64_t size = d->place[at].size ? d->place[at].size : page;
		kelp_vaddr_t va = d->place[at].va;
		unsigned cpu = (unsigned)random_below(&d->random, cpus);

		switch (random_below(&d->random, 4)) {
		case 0: va += size - 1u; break;
		case 1: va += random_below(&d->random, size); break;
		case 2: va += random_below(&d->random, size / page + 1u) * page; break;
		default: break;
		}
		/* Under `other` nothing is mapped, and what is global would still be reached. */
		if (!kelp_format_is_canonical(d->format, va) || (d->away && cpu == 2))
			continue;
		sim_expect_settled(d->sim, va);
		sim_access(d->sim, cpu, va, (enum sim_access)random_below(&d->random, 3),
			   (enum sim_privilege)random_below(&d->random, 2));
		d->accesses++;
		if (sim_error(d->sim) != SIM_OK)
			return fail(d, "%s", sim_error_name(sim_error(d->sim)));
		if (!compare(d, cpu, va))
			return false;
	}
	return true;
}

/* The last CPU goes back and forth between two spaces. */
static void wander(struct driver *d)
{
	unsigned cpus = sim_config(d->sim)->cpus;

	if (cpus < 3 || !random_chance(&d->random, 30))
		return;
	d->away = random_chance(&d->random, 50);
	sim_kelp_enter(d->sim, 2, d->away ? &d->other : &d->space);
}

bool driver_round(struct driver *d)
{
	unsigned count = 1u + (unsigned)random_below(&d->random, 3);
	struct { kelp_paddr_t pa; uint64_t size; } freed[4];
	unsigned freed_count = 0;
	struct kelp_flush flush = {0};

	if (d->failed)
		return false;
	sim_kelp_run_as(d->sim, (unsigned)random_below(&d->random, 2) %
					sim_config(d->sim)->cpus);
	kelp_flush_begin(&flush, &d->space);
	for (unsigned i = 0; i < count; i++) {
		struct kelp_mapping before;
		struct step step;
		enum kelp_status status;

		step_random(&d->random, d->format, &step);
		if (step.kind >= STEP_KINDS || step.kind == STEP_COMMIT || step.kind == STEP_TOUCH ||
		    step.kind == STEP_LOOK)
			continue;
		if (step.kind == STEP_UNMAP && freed_count < 4 &&
		    !(step.va & ((UINT64_C(1) << d->format->page_shift) - 1u)) &&
		    kelp_format_is_canonical(d->format, step.va) &&
		    kelp_space_query(&d->space, step.va, &before) == KELP_OK &&
		    before.kind == KELP_ENTRY_LEAF) {
			freed[freed_count].pa = (before.pa + (step.va - before.va)) &
						~d->format->encryption_bit;
			freed[freed_count++].size = UINT64_C(1) << d->format->page_shift;
		}
		d->port.fail_at = step.fail_at;
		d->port.fail_for_ever = step.fail_for_ever;
		status = operate(d, &flush, &step);
		d->port.fail_at = 0;
		if (status == KELP_ERR_BBM) {
			step.flags |= KELP_ALLOW_BREAK;
			status = operate(d, &flush, &step);
		}
		d->operations++;
		d->done += status == KELP_OK;
		if (status == KELP_OK)
			remember(d, step.va, step.size);
	}
	kelp_flush_commit(&flush);
	for (unsigned i = 0; i < freed_count; i++)
		sim_frame_reuse(d->sim, sim_kelp_cpu(), freed[i].pa, freed[i].size);
	if (sim_error(d->sim) != SIM_OK)
		return fail(d, "%s", sim_error_name(sim_error(d->sim)));
	wander(d);
	return look(d);
}

bool driver_end(struct driver *d)
{
	unsigned cpus = sim_config(d->sim)->cpus;
	struct kelp_space idle;

	if (!d->failed && kelp_space_init(&idle, d->format, &d->port.port, 0) == KELP_OK) {
		kelp_space_set_asid(&idle, 3);
		for (unsigned cpu = 0; cpu < cpus; cpu++)
			sim_kelp_enter(d->sim, cpu, &idle);
		kelp_space_destroy(&d->space);
		kelp_space_destroy(&d->other);
		if (d->port.live != 1)
			fail(d, "%u table pages were not given back", d->port.live - 1u);
		if (sim_error(d->sim) != SIM_OK)
			fail(d, "%s", sim_error_name(sim_error(d->sim)));
	}
	if (d->failed && sim_error(d->sim) != SIM_OK)
		sim_report(d->sim, stdout);
	if (d->failed)
		printf("%s: seed %llu: %s\n", d->format->name,
		       (unsigned long long)sim_config(d->sim)->seed, d->why);
	sim_destroy(d->sim);
	d->sim = NULL;
	return !d->failed;
}
