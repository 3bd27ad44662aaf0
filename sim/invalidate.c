/* SPDX-License-Identifier: MIT */
/*
 * Invalidations: what each instruction of each architecture reaches, and when.
 *
 * An instruction becomes a struct sim_invalidation; sim_invalidate() enters it in the logs of one
 * CPU, or of all of them when hardware broadcasts it. The logs only say when a region was last
 * invalidated; cache.c compares that with when a value was replaced.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- the log: region and tag -> time ------------------------------------------------------ */

static struct sim_log_entry *log_find(const struct sim_log *log, uint64_t region, uint32_t tag)
{
	uint32_t mask = log->size - 1u;
	uint32_t i = (uint32_t)(sim_hash(region ^ (uint64_t)tag << 40)) & mask;

	while (log->entries[i].used &&
	       (log->entries[i].region != region || log->entries[i].tag != tag))
		i = (i + 1u) & mask;
	return &log->entries[i];
}

static void times_put(const struct sim *sim, struct sim_times *times, uint64_t time)
{
	uint64_t last = times->next ? times->kept[(times->next - 1u) % SIM_TIMES] : 0;

	if (time > times->latest)
		times->latest = time;
	if (last == 0 || (time > last && last <= sim->pointer_death))
		times->kept[times->next++ % SIM_TIMES] = time;
}

/* The first of the times that is not before `since`; SIM_FOREVER: none. */
static uint64_t times_first(const struct sim_times *times, uint64_t since)
{
	uint32_t oldest = times->next > SIM_TIMES ? times->next - SIM_TIMES : 0;

	if (times->latest < since)
		return SIM_FOREVER;
	for (uint32_t i = oldest; i < times->next; i++)
		if (times->kept[i % SIM_TIMES] >= since)
			return times->kept[i % SIM_TIMES];
	return times->latest;
}

/* Drops what no record is old enough for, and makes room. */
static void log_rehash(struct sim *sim, struct sim_log *log)
{
	struct sim_log_entry *old = log->entries;
	uint64_t oldest = log->size < 1024 ? 0 : sim_oldest_death(sim);
	uint32_t size = log->size, kept = 0;

	for (uint32_t i = 0; i < size; i++)
		kept += old[i].used && old[i].times.latest >= oldest;
	log->size = 64;
	while (log->size < 4 * kept)
		log->size *= 2;
	log->entries = calloc(log->size, sizeof(*log->entries));
	if (!log->entries) {
		fprintf(stderr, "sim: the host is out of memory\n");
		abort();
	}
	log->count = 0;
	for (uint32_t i = 0; i < size; i++) {
		if (!old[i].used || old[i].times.latest < oldest)
			continue;
		*log_find(log, old[i].region, old[i].tag) = old[i];
		log->count++;
	}
	free(old);
}

static void log_put(struct sim *sim, struct sim_log *log, uint64_t va, unsigned shift,
		    uint32_t tag, uint64_t time)
{
	uint64_t region = va >> shift << 6 | shift;
	struct sim_log_entry *entry;

	if (!log->size)
		log_rehash(sim, log);
	entry = log_find(log, region, tag);
	if (!entry->used) {
		if (2 * log->count >= log->size) {
			log_rehash(sim, log);
			entry = log_find(log, region, tag);
		}
		*entry = (struct sim_log_entry){.region = region, .tag = tag, .used = 1};
		log->count++;
	}
	times_put(sim, &entry->times, time);
}

static const struct sim_times *log_get(const struct sim_log *log, uint64_t va, unsigned shift,
				       uint32_t tag)
{
	static const struct sim_times never;
	const struct sim_log_entry *entry;

	if (!log->count)
		return &never;
	entry = log_find(log, va >> shift << 6 | shift, tag);
	return entry->used ? &entry->times : &never;
}

/* ---- who is reached ---------------------------------------------------------------------- */

struct reach {
	struct sim_times *all, *all_global;
	struct sim_log *log;
	struct sim_cpu *cpu; /* NULL: all CPUs */
};

static struct sim_tag *broadcast_tag(struct sim *sim, uint32_t asid)
{
	for (uint32_t i = 0; i < sim->broadcast_tag_count; i++)
		if (sim->broadcast_tags[i].asid == asid)
			return &sim->broadcast_tags[i];
	if (sim->broadcast_tag_count == sim->broadcast_tag_room) {
		sim->broadcast_tag_room = sim->broadcast_tag_room ? 2 * sim->broadcast_tag_room : 8;
		sim->broadcast_tags = realloc(sim->broadcast_tags, sim->broadcast_tag_room *
								   sizeof(*sim->broadcast_tags));
		if (!sim->broadcast_tags)
			abort();
	}
	sim->broadcast_tags[sim->broadcast_tag_count] = (struct sim_tag){.asid = asid};
	return &sim->broadcast_tags[sim->broadcast_tag_count++];
}

/* The level at which a walk for `va` ends now, at a leaf or at nothing: INVLPG's reach. */
static unsigned end_level(struct sim *sim, struct sim_cpu *cpu, uint64_t va)
{
	struct sim_walk walk;
	uint64_t slots[SIM_WALK_DEPTH], values[SIM_WALK_DEPTH];
	unsigned depth;

	if (sim->config.policy.invlpg_reaches_former_leaf)
		return 2;
	sim_walk_now(sim, cpu, va, &walk, slots, values, &depth);
	return depth == 0 ? 0 : walk.level;
}

static void invalidate_page(struct sim *sim, const struct reach *reach, struct sim_cpu *executing,
			    const struct sim_invalidation *what, uint64_t va)
{
	const struct sim_registers *r = &sim->config.registers;
	const struct sim_walker *walker = sim->walker;
	uint32_t tag = what->asid == SIM_ANY_TAG ? SIM_EVERY_TAG : what->asid;
	unsigned levels = walker->levels(r, va >> 63 & 1u);

	if (!walker->invalidate_reaches_superpage) {
		/*
		 * SDM 4.10.4.1: if a page larger than 4 KiB maps the address, all that is cached
		 * of the page goes; so too, as every kernel relies on, when the page was just
		 * unmapped. What is left of a larger page that was split is cached in pieces
		 * (4.10.2.3), and only the piece at this address goes. Smaller pages go one by one.
		 */
		unsigned highest = end_level(sim, executing, va);

		for (unsigned level = 0; level <= highest && level < 3; level++) {
			unsigned shift = walker->span(r, level);

			log_put(sim, reach->log, va, shift, tag, what->time);
			if (what->globals)
				log_put(sim, reach->log, va, shift, SIM_GLOBAL_TAG, what->time);
		}
		if (!what->tables)
			return;
		if (what->asid != SIM_ANY_TAG) {
			times_put(sim, &sim_tag_of(reach->cpu, what->asid)->walks, what->time);
			return;
		}
		for (uint32_t i = 0; i < reach->cpu->tag_count; i++)
			times_put(sim, &reach->cpu->tags[i].walks, what->time);
		return;
	}
	for (unsigned level = 0; level < levels; level++) {
		unsigned shift = walker->span(r, level);

		if (what->level == 0xff || what->level == level) {
			log_put(sim, reach->log, va, shift, tag, what->time);
			if (what->globals)
				log_put(sim, reach->log, va, shift, SIM_GLOBAL_TAG, what->time);
		}
		if (what->tables && level > 0)
			log_put(sim, reach->log, va, shift, tag | SIM_WALK_TAG, what->time);
		if (!sim->config.policy.invalidate_reaches_group || !walker->group ||
		    !walker->group(r, level))
			continue;
		shift += walker->group(r, level);
		log_put(sim, reach->log, va, shift, tag, what->time);
		if (what->globals)
			log_put(sim, reach->log, va, shift, SIM_GLOBAL_TAG, what->time);
	}
}

static void remember(struct sim *sim, unsigned cpu, const struct sim_invalidation *what)
{
	if (what->broadcast)
		sim->recent[sim->recent_next++ % SIM_RECENT] = *what;
	else
		sim->cpu[cpu].recent[sim->cpu[cpu].recent_next++ % SIM_RECENT] = *what;
}

/* Makes an invalidation effective. */
void sim_invalidate(struct sim *sim, unsigned number, const struct sim_invalidation *what)
{
	struct sim_cpu *cpu = &sim->cpu[number];
	struct reach reach = {&cpu->all, &cpu->all_global, &cpu->log, cpu};

	if (what->broadcast)
		reach = (struct reach){&sim->broadcast_all, &sim->broadcast_all_global,
				       &sim->broadcast_log, NULL};
	remember(sim, number, what);
	switch (what->scope) {
	case SIM_SCOPE_ALL:
		times_put(sim, what->globals ? reach.all_global : reach.all, what->time);
		break;
	case SIM_SCOPE_TAG:
		times_put(sim, reach.cpu ? &sim_tag_of(reach.cpu, what->asid)->all
				   : &broadcast_tag(sim, what->asid)->all,
			 what->time);
		break;
	case SIM_SCOPE_PAGE:
		invalidate_page(sim, &reach, cpu, what, what->va);
		break;
	case SIM_SCOPE_RANGE:
		for (uint64_t va = what->va;;
		     va += UINT64_C(1) << sim->config.registers.granule_shift) {
			invalidate_page(sim, &reach, cpu, what, va);
			if (what->last - va < UINT64_C(1) << sim->config.registers.granule_shift)
				break;
		}
		break;
	}
}

/* ---- what was reached --------------------------------------------------------------------- */

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What a CPU that has not synchronised itself (no ISB) may not rely on yet counts as not done. */
static uint64_t relied_on(const struct sim_cpu *cpu, uint64_t time)
{
	return time >= cpu->unsynchronised ? 0 : time;
}

static bool hears_broadcast(const struct sim *sim, const struct sim_cpu *cpu)
{
	return !cpu->device || sim->config.devices_snoop;
}

static const struct sim_tag *tag_find(const struct sim_tag *tags, uint32_t count, uint32_t asid)
{
	static const struct sim_tag none;

	for (uint32_t i = 0; i < count; i++)
		if (tags[i].asid == asid)
			return &tags[i];
	return &none;
}

static uint64_t log_latest(const struct sim *sim, const struct sim_log *log, uint32_t tag,
			   uint64_t va, unsigned shift)
{
	uint64_t time = 0;

	if (!log->count)
		return 0;
	if (sim->walker->invalidate_reaches_superpage)
		return log_get(log, va, shift, tag)->latest;
	/* x86: a large leaf may be cached in pieces, and then goes in pieces. */
	for (unsigned level = 0; level < 3; level++) {
		unsigned reach = sim->walker->span(&sim->config.registers, level);

		if (reach > shift)
			break;
		time = most(time, log_get(log, va, reach, tag)->latest);
	}
	return time;
}

/* When was a leaf of 2^shift bytes around `va`, cached under `asid`, last invalidated? */
uint64_t sim_leaf_invalidated(const struct sim *sim, const struct sim_cpu *cpu, uint32_t asid,
			      bool global, uint64_t va, unsigned shift)
{
	bool broadcast = hears_broadcast(sim, cpu);
	const struct sim_log *log = &sim->broadcast_log;
	uint64_t time = cpu->all_global.latest;

	if (broadcast)
		time = most(time, relied_on(cpu, sim->broadcast_all_global.latest));
	if (global) {
		time = most(time, log_latest(sim, &cpu->log, SIM_GLOBAL_TAG, va, shift));
		if (broadcast)
			time = most(time, relied_on(cpu, log_latest(sim, log, SIM_GLOBAL_TAG, va,
								    shift)));
		return time;
	}
	time = most(time, cpu->all.latest);
	time = most(time, tag_find(cpu->tags, cpu->tag_count, asid)->all.latest);
	if (cpu->log.count)
		time = most(time, most(log_latest(sim, &cpu->log, asid, va, shift),
				       log_latest(sim, &cpu->log, SIM_EVERY_TAG, va, shift)));
	if (!broadcast)
		return time;
	time = most(time, relied_on(cpu, sim->broadcast_all.latest));
	time = most(time, relied_on(cpu, tag_find(sim->broadcast_tags, sim->broadcast_tag_count,
						  asid)->all.latest));
	if (log->count) {
		time = most(time, relied_on(cpu, log_latest(sim, log, asid, va, shift)));
		time = most(time, relied_on(cpu, log_latest(sim, log, SIM_EVERY_TAG, va, shift)));
	}
	return time;
}

static uint64_t first_relied_on(const struct sim_cpu *cpu, const struct sim_times *times,
				uint64_t since, uint64_t first)
{
	uint64_t time = times_first(times, since);

	return time < first && time < cpu->unsynchronised ? time : first;
}

/*
 * A walk cache last read the table entry of 2^shift bytes around `va` before `since`: when was it
 * invalidated first from then on? SIM_FOREVER: not yet.
 */
uint64_t sim_walk_invalidated(const struct sim *sim, const struct sim_cpu *cpu, uint32_t asid,
			      bool global, uint64_t va, unsigned shift, uint64_t since)
{
	const struct sim_tag *tag = tag_find(cpu->tags, cpu->tag_count, asid);
	bool broadcast = hears_broadcast(sim, cpu);
	const struct sim_log *log = &sim->broadcast_log;
	uint64_t first = times_first(&cpu->all_global, since);

	if (broadcast)
		first = first_relied_on(cpu, &sim->broadcast_all_global, since, first);
	if (global) /* riscv, G in a pointer: no ASID's invalidation reaches it */
		return first;
	first = least(first, times_first(&cpu->all, since));
	first = least(first, least(times_first(&tag->all, since), times_first(&tag->walks, since)));
	if (cpu->log.count) {
		uint32_t any = SIM_EVERY_TAG | SIM_WALK_TAG;

		first = least(first, times_first(log_get(&cpu->log, va, shift,
							 asid | SIM_WALK_TAG), since));
		first = least(first, times_first(log_get(&cpu->log, va, shift, any), since));
	}
	if (!broadcast)
		return first;
	tag = tag_find(sim->broadcast_tags, sim->broadcast_tag_count, asid);
	first = first_relied_on(cpu, &sim->broadcast_all, since, first);
	first = first_relied_on(cpu, &tag->all, since, first);
	if (log->count) {
		uint32_t any = SIM_EVERY_TAG | SIM_WALK_TAG;

		first = first_relied_on(cpu, log_get(log, va, shift, asid | SIM_WALK_TAG), since,
					first);
		first = first_relied_on(cpu, log_get(log, va, shift, any), since, first);
	}
	return first;
}

/* ---- a root in registers ------------------------------------------------------------------- */

/* The CPU loads the entries of its root. Only loads that find another value than the one before
 * matter: those after a root was written. */
void sim_root_load(struct sim *sim, unsigned number)
{
	struct sim_times *loads = &sim->cpu[number].root_loads;
	uint64_t last = loads->next ? loads->kept[(loads->next - 1u) % SIM_TIMES] : 0;

	if (!sim_root_in_registers(sim))
		return;
	loads->latest = sim->now;
	if (last == 0 || last <= sim->root_change)
		loads->kept[loads->next++ % SIM_TIMES] = sim->now;
}

/*
 * When the CPU first loaded what stood in memory at `since`, or what came after it; SIM_FOREVER:
 * not yet. Of what is too long ago it is said that it was at once: nothing is accused in vain.
 */
uint64_t sim_root_loaded(const struct sim_cpu *cpu, uint64_t since)
{
	const struct sim_times *loads = &cpu->root_loads;
	uint32_t oldest = loads->next > SIM_TIMES ? loads->next - SIM_TIMES : 0;

	if (oldest > 0 && since < loads->kept[oldest % SIM_TIMES])
		return since;
	return times_first(loads, since);
}

/* ---- instructions ------------------------------------------------------------------------ */

static struct sim_invalidation begin(struct sim *sim, unsigned cpu, enum sim_scope scope,
				     const char *name)
{
	struct sim_event *event;

	sim->now++;
	sim->steps++;
	event = sim_trace(sim, SIM_EVENT_INVALIDATE, cpu);
	event->a = (uintptr_t)name;
	event->b = 0;
	event->c = 0;
	event->d = (uint8_t)scope;
	return (struct sim_invalidation){
		.time = sim->now,
		.scope = (uint8_t)scope,
		.asid = sim->cpu[cpu].asid,
		.level = 0xff,
		.cpu = (uint16_t)cpu,
	};
}

static void note(struct sim *sim, const struct sim_invalidation *what)
{
	struct sim_event *event = &sim->trace[(sim->trace_count - 1u) & (sim->trace_size - 1u)];

	event->b = what->va;
	event->c = what->asid;
}

/* SDM 4.10.4.1, MOV to CR3: without PCIDs everything that is not global goes; with PCIDs what
 * belongs to the new PCID, unless bit 63 is set. PAE: the four PDPTEs are loaded (4.4.1). */
void sim_x86_write_cr3(struct sim *sim, unsigned number, uint64_t cr3)
{
	struct sim_cpu *cpu = &sim->cpu[number];
	bool pcide = cpu->registers.pcide;
	uint32_t pcid = pcide ? cr3 & 0xfffu : 0;
	uint64_t root = cr3 & ~SIM_X86_CR3_NOFLUSH;
	struct sim_invalidation what;

	root &= sim->config.arch == SIM_X86_PAE ? ~UINT64_C(31) : ~UINT64_C(4095);
	sim_cpu_switch(sim, number, 0, root, pcid);
	sim_root_load(sim, number);
	if (pcide && (cr3 & SIM_X86_CR3_NOFLUSH))
		return;
	what = begin(sim, number, pcide ? SIM_SCOPE_TAG : SIM_SCOPE_ALL, "MOV CR3");
	what.tables = true;
	note(sim, &what);
	sim_invalidate(sim, number, &what);
}

/* SDM 4.10.4.1, INVLPG: the address's translations of the current PCID, global ones of any, and
 * all paging-structure caches of the current PCID whatever the address. */
void sim_x86_invlpg(struct sim *sim, unsigned cpu, uint64_t va)
{
	struct sim_invalidation what = begin(sim, cpu, SIM_SCOPE_PAGE, "INVLPG");

	what.va = va;
	what.tables = true;
	what.manual_globals = true;
	what.globals = !(sim->config.faulty.invlpg_keeps_globals &&
			 sim->cpu[cpu].registers.pcide);
	note(sim, &what);
	sim_invalidate(sim, cpu, &what);
}

void sim_x86_invpcid(struct sim *sim, unsigned cpu, unsigned type, unsigned pcid, uint64_t va)
{
	static const char *const names[] = {"INVPCID address", "INVPCID context", "INVPCID all",
					    "INVPCID all but globals"};
	struct sim_invalidation what = begin(sim, cpu,
					     type == 0   ? SIM_SCOPE_PAGE
					     : type == 1 ? SIM_SCOPE_TAG
							 : SIM_SCOPE_ALL,
					     names[type & 3u]);

	what.tables = true;
	what.va = va;
	what.globals = type == 2;
	what.asid = type < 2 ? pcid : SIM_ANY_TAG;
	note(sim, &what);
	sim_invalidate(sim, cpu, &what);
}

/* SDM 4.10.4.1, MOV to CR4 that changes PGE: everything, globals and all PCIDs included; 4.4.1:
 * with PAE paging it loads the PDPTEs too. */
void sim_x86_set_pge(struct sim *sim, unsigned cpu, bool pge)
{
	struct sim_invalidation what;

	if (sim->cpu[cpu].registers.pge == pge)
		return;
	sim->cpu[cpu].registers.pge = pge;
	what = begin(sim, cpu, SIM_SCOPE_ALL, "MOV CR4 (PGE)");
	what.asid = SIM_ANY_TAG;
	what.tables = what.globals = true;
	note(sim, &what);
	sim_invalidate(sim, cpu, &what);
	sim_root_load(sim, cpu);
}

void sim_arm64_write_ttbr(struct sim *sim, unsigned cpu, unsigned half, uint64_t root,
			  unsigned asid)
{
	sim_cpu_switch(sim, cpu, half, root, asid);
}

static void push(struct sim_invalidations *list, const struct sim_invalidation *what)
{
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 16;
		list->list = realloc(list->list, list->room * sizeof(*list->list));
		if (!list->list)
			abort();
	}
	list->list[list->count++] = *what;
}

/* C5.5: the operand's fields; D8.17.6: what each instruction removes. */
void sim_arm64_tlbi(struct sim *sim, unsigned cpu, enum sim_tlbi op, uint64_t operand,
		    bool inner_shareable)
{
	static const char *const names[] = {
		[SIM_TLBI_VMALLE1] = "TLBI VMALLE1", [SIM_TLBI_ASIDE1] = "TLBI ASIDE1",
		[SIM_TLBI_VAE1] = "TLBI VAE1",       [SIM_TLBI_VALE1] = "TLBI VALE1",
		[SIM_TLBI_VAAE1] = "TLBI VAAE1",     [SIM_TLBI_VAALE1] = "TLBI VAALE1",
		[SIM_TLBI_RVAE1] = "TLBI RVAE1",     [SIM_TLBI_RVALE1] = "TLBI RVALE1",
	};
	unsigned granule = sim->config.registers.granule_shift;
	bool range = op == SIM_TLBI_RVAE1 || op == SIM_TLBI_RVALE1;
	struct sim_invalidation what = begin(sim, cpu,
					     op == SIM_TLBI_VMALLE1  ? SIM_SCOPE_ALL
					     : op == SIM_TLBI_ASIDE1 ? SIM_SCOPE_TAG
					     : range		     ? SIM_SCOPE_RANGE
								     : SIM_SCOPE_PAGE,
					     names[op]);

	what.broadcast = inner_shareable;
	what.asid = (uint32_t)(operand >> 48);
	what.tables = op != SIM_TLBI_VALE1 && op != SIM_TLBI_VAALE1 && op != SIM_TLBI_RVALE1;
	what.globals = op != SIM_TLBI_ASIDE1;
	if (op == SIM_TLBI_VMALLE1 || op == SIM_TLBI_VAAE1 || op == SIM_TLBI_VAALE1)
		what.asid = SIM_ANY_TAG;
	if (range) {
		/* TG 47:46, SCALE 45:44, NUM 43:39, TTL 38:37, BaseADDR 36:0 in granules. */
		unsigned scale = operand >> 44 & 3u, num = operand >> 39 & 31u;

		what.va = (uint64_t)((int64_t)(operand << 27) >> 27) << granule;
		what.last = what.va + ((uint64_t)(num + 1u) << (5u * scale + 1u + granule)) - 1u;
		if ((operand >> 46 & 3u) != (granule == 12 ? 1u : granule == 14 ? 2u : 3u))
			return; /* another granule's: reaches nothing it may rely on */
	} else {
		unsigned ttl = operand >> 44 & 15u;

		/* VA[55:12], whatever the granule; bits below the granule are ignored. */
		what.va = (uint64_t)((int64_t)(operand << 20) >> 8) & ~UINT64_C(4095);
		what.va &= ~((UINT64_C(1) << granule) - 1u);
		/* TTL 0b00xx: no hint. Else the leaf's level, counted from the root. */
		if (ttl & 12u)
			what.level = (uint8_t)(3u - (ttl & 3u));
	}
	note(sim, &what);
	push(&sim->cpu[cpu].pending, &what);
}

static bool same_operation(const struct sim_invalidation *a, const struct sim_invalidation *b)
{
	return a->scope == b->scope && a->va == b->va && a->asid == b->asid &&
	       a->tables == b->tables && a->broadcast == b->broadcast;
}

/* A faulty machine: an operation counts when the same one completed before it. */
static bool repeated(struct sim_cpu *cpu, const struct sim_invalidation *what)
{
	for (uint32_t i = 0; i < cpu->half_done.count; i++) {
		if (!same_operation(&cpu->half_done.list[i], what))
			continue;
		cpu->half_done.list[i] = cpu->half_done.list[--cpu->half_done.count];
		return true;
	}
	push(&cpu->half_done, what);
	return false;
}

/* D8.16.5: a TLBI is complete for all CPUs it reaches when a DSB of the CPU that issued it is. */
void sim_invalidate_pending(struct sim *sim, unsigned number)
{
	struct sim_cpu *cpu = &sim->cpu[number];
	struct sim_invalidations pending = cpu->pending;

	cpu->pending = (struct sim_invalidations){0};
	for (uint32_t i = 0; i < pending.count; i++) {
		struct sim_invalidation *what = &pending.list[i];

		if (sim->config.faulty.tlbi_needs_repeating && !repeated(cpu, what)) {
			what->incomplete = true;
			remember(sim, number, what);
			continue;
		}
		if (sim->config.policy.strict_isb && what->time < cpu->unsynchronised)
			cpu->unsynchronised = what->time;
		sim_invalidate(sim, number, what);
	}
	free(pending.list);
}

static void barrier(struct sim *sim, unsigned cpu, uint8_t which)
{
	sim->now++;
	sim_trace(sim, SIM_EVENT_BARRIER, cpu)->d = which;
}

void sim_arm64_dsb(struct sim *sim, unsigned cpu)
{
	barrier(sim, cpu, 'D');
	sim_stores_seen(sim, cpu);
	sim_invalidate_pending(sim, cpu);
}

void sim_arm64_isb(struct sim *sim, unsigned cpu)
{
	barrier(sim, cpu, 'I');
	sim->cpu[cpu].unsynchronised = SIM_FOREVER;
}

void sim_riscv_write_satp(struct sim *sim, unsigned cpu, uint64_t root, unsigned asid)
{
	sim_cpu_switch(sim, cpu, 0, root, asid);
}

/*
 * "Supervisor Memory-Management Fence Instruction": with rs1 = x0 all levels, else leaf entries
 * for that address only; with rs2 = x0 all address spaces and globals, else that ASID's entries
 * that are not global.
 */
static struct sim_invalidation fence_vma(struct sim *sim, unsigned cpu, bool has_va, uint64_t va,
					 uint32_t asid, const char *name)
{
	bool all = asid == SIM_RISCV_ALL_ASIDS;
	struct sim_invalidation what = begin(sim, cpu,
					     has_va ? SIM_SCOPE_PAGE
					     : all  ? SIM_SCOPE_ALL
						    : SIM_SCOPE_TAG,
					     name);

	what.va = va;
	what.asid = all ? SIM_ANY_TAG : asid;
	what.globals = all;
	what.tables = !has_va;
	note(sim, &what);
	return what;
}

void sim_riscv_sfence_vma(struct sim *sim, unsigned cpu, bool has_va, uint64_t va, uint32_t asid)
{
	struct sim_invalidation what = fence_vma(sim, cpu, has_va, va, asid, "SFENCE.VMA");

	/* It orders for its own hart; before others are asked for theirs, a FENCE is due. */
	sim_stores_seen_here(sim, cpu);
	sim_invalidate(sim, cpu, &what);
}

/* Svinval: ordered after earlier stores by SFENCE.W.INVAL, effective with SFENCE.INVAL.IR. */
void sim_riscv_sinval_vma(struct sim *sim, unsigned cpu, bool has_va, uint64_t va, uint32_t asid)
{
	struct sim_invalidation what = fence_vma(sim, cpu, has_va, va, asid, "SINVAL.VMA");

	push(&sim->cpu[cpu].pending, &what);
}

void sim_riscv_sfence_w_inval(struct sim *sim, unsigned cpu)
{
	barrier(sim, cpu, 'W');
	sim_stores_seen_here(sim, cpu);
}

void sim_riscv_sfence_inval_ir(struct sim *sim, unsigned cpu)
{
	barrier(sim, cpu, 'R');
	sim_invalidate_pending(sim, cpu);
}

/* ---- the machine that is none, and devices ------------------------------------------------ */

void sim_fake_write_root(struct sim *sim, unsigned cpu, uint64_t root, unsigned asid)
{
	sim_cpu_switch(sim, cpu, 0, root, asid);
	sim_root_load(sim, cpu);
}

static void everything(struct sim *sim, unsigned agent, const char *name)
{
	struct sim_invalidation what = begin(sim, agent, SIM_SCOPE_ALL, name);

	what.asid = SIM_ANY_TAG;
	what.tables = what.globals = true;
	note(sim, &what);
	sim_invalidate(sim, agent, &what);
}

static void one_page(struct sim *sim, unsigned agent, uint64_t va, bool tables, const char *name)
{
	struct sim_invalidation what = begin(sim, agent, SIM_SCOPE_PAGE, name);

	what.va = va;
	what.asid = SIM_ANY_TAG;
	what.globals = true;
	what.tables = tables;
	note(sim, &what);
	sim_invalidate(sim, agent, &what);
}

void sim_fake_invalidate_page(struct sim *sim, unsigned cpu, uint64_t va)
{
	one_page(sim, cpu, va, true, "INVALIDATE page");
}

void sim_fake_invalidate_leaf(struct sim *sim, unsigned cpu, uint64_t va)
{
	one_page(sim, cpu, va, false, "INVALIDATE leaf");
}

void sim_fake_invalidate_all(struct sim *sim, unsigned cpu)
{
	everything(sim, cpu, "INVALIDATE all");
}

void sim_device_attach(struct sim *sim, unsigned device, unsigned half, uint64_t root,
		       unsigned asid)
{
	sim_cpu_switch(sim, sim->config.cpus + device, half, root, asid);
}

void sim_device_invalidate_page(struct sim *sim, unsigned device, uint64_t va)
{
	one_page(sim, sim->config.cpus + device, va, true, "device INVALIDATE page");
}

void sim_device_invalidate_all(struct sim *sim, unsigned device)
{
	everything(sim, sim->config.cpus + device, "device INVALIDATE all");
}
