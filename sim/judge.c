/* SPDX-License-Identifier: MIT */
/*
 * Accesses: what the tables say, what hardware might do instead, and whether that is an error.
 */
#include "internal.h"

#include <string.h>

/* ---- what the tables say ----------------------------------------------------------------- */

/* The walk an access makes now, in memory as it stands. */
enum sim_fault sim_walk_now(const struct sim *sim, const struct sim_cpu *cpu, uint64_t va,
			    struct sim_walk *walk, uint64_t *slots, uint64_t *values,
			    unsigned *depth)
{
	enum sim_fault fault = sim->walker->start(&cpu->registers, va, walk);

	*depth = 0;
	if (fault == SIM_FAULT_NONE && !cpu->running[walk->half])
		fault = SIM_FAULT_NOT_PRESENT;
	if (fault != SIM_FAULT_NONE) {
		walk->fault = (uint8_t)fault;
		walk->fault_level = walk->level;
		return fault;
	}
	walk->table = cpu->root[walk->half];
	for (;;) {
		uint64_t slot = sim_walk_slot(walk, sim->width);
		uint64_t value = slot < sim->config.memory ? sim_peek(sim, slot, sim->width) : 0;

		slots[*depth] = slot;
		values[(*depth)++] = value;
		switch (sim->walker->step(&cpu->registers, walk, value)) {
		case SIM_STEP_TABLE:
			continue;
		case SIM_STEP_LEAF:
			return SIM_FAULT_NONE;
		case SIM_STEP_FAULT:
			return walk->fault;
		}
	}
}

struct sim_result sim_result_of(const struct sim_walk *walk, enum sim_fault fault)
{
	return (struct sim_result){
		.fault = fault,
		.level = fault != SIM_FAULT_NONE && walk->fault ? walk->fault_level : walk->level,
		.shift = walk->shift,
		.type = walk->type,
		.global = walk->global,
		.dirty = walk->dirty,
		.pa = walk->pa,
		.entry = walk->entry,
	};
}

struct sim_result sim_translate(struct sim *sim, unsigned number, uint64_t va,
				enum sim_access access, enum sim_privilege privilege)
{
	const struct sim_cpu *cpu = &sim->cpu[number];
	uint64_t slots[SIM_WALK_DEPTH] = {0}, values[SIM_WALK_DEPTH];
	struct sim_result result;
	struct sim_walk walk;
	enum sim_fault fault;
	unsigned depth;

	fault = sim_walk_now(sim, cpu, va, &walk, slots, values, &depth);
	if (fault == SIM_FAULT_NONE)
		fault = sim->walker->permit(&cpu->registers, &walk, access, privilege);
	result = sim_result_of(&walk, fault);
	result.slot = depth ? slots[depth - 1u] : 0;
	return result;
}

/* ---- what hardware might do instead ------------------------------------------------------- */

struct judgement {
	struct sim *sim;
	unsigned cpu;
	enum sim_access access;
	enum sim_privilege privilege;
	const struct sim_walk *walk; /* what the tables say */
	enum sim_fault fault;
	unsigned depth;
	const uint64_t *slots, *values;
	bool expecting; /* sim_expect: `pa` instead of the tables */
	uint64_t pa;
};

/* The very path the tables have now, under the root the CPU has now. */
static bool is_current(const struct judgement *j, const struct sim_member *member)
{
	if (member->stale_root || member->foreign_tag || member->depth != j->depth)
		return false;
	for (unsigned i = 0; i < member->depth; i++)
		if (member->record[i] != SIM_NONE || member->slot[i] != j->slots[i] ||
		    member->value[i] != j->values[i])
			return false;
	return true;
}

static void condemn(const struct judgement *j, const struct sim_member *member,
		    enum sim_fault found, enum sim_error error)
{
	struct sim_verdict verdict = {
		.error = error,
		.when = j->sim->now,
		.cpu = j->cpu,
		.holder = j->cpu,
		.va = j->walk->va,
		.access = (int)j->access,
		.expected = sim_result_of(j->walk, j->fault),
		.found = sim_result_of(member->walk, found),
	};

	if (j->depth)
		verdict.expected.slot = j->slots[j->depth - 1u];
	if (member->depth)
		verdict.found.slot = member->slot[member->depth - 1u];
	sim_diagnose(j->sim, j->cpu, member, &verdict);
	sim_fail(j->sim, &verdict);
}

/* A cached translation that permits less, or a fault that retrying heals: software that re-reads
 * the tables and returns loses nothing. */
static bool fault_is_benign(const struct judgement *j, const struct sim_member *member,
			    enum sim_fault found)
{
	if (j->sim->config.policy.no_spurious_faults || j->expecting)
		return false;
	if (member->step == SIM_STEP_FAULT)
		return false;
	return found == SIM_FAULT_PERMISSION || found == SIM_FAULT_KEY ||
	       found == SIM_FAULT_ACCESS_FLAG;
}

/* The rights that a translation gives, as far as hardware does not change them by itself. */
static unsigned lasting_rights(const struct sim_walk *walk)
{
	return walk->rights & ~(unsigned)SIM_RIGHT_DIRTY_MODIFIER;
}

/* Does a translation that is held differ from the tables in more than accessed and dirty? */
static bool judge_settled(void *context, const struct sim_member *member)
{
	struct judgement *j = context;
	const struct sim_walk *held = member->walk, *walk = j->walk;
	bool stays = false;

	/* What another root left here is no part of these tables. */
	if (is_current(j, member) || member->stale_root || member->foreign_tag)
		return false;
	if (member->step == SIM_STEP_FAULT || j->fault != SIM_FAULT_NONE)
		stays = member->step == SIM_STEP_FAULT && j->fault != SIM_FAULT_NONE;
	else
		stays = held->pa == walk->pa && held->type == walk->type &&
			held->shift == walk->shift && held->group == walk->group &&
			held->global == walk->global && held->key == walk->key &&
			lasting_rights(held) == lasting_rights(walk);
	if (stays)
		return false;
	condemn(j, member, (enum sim_fault)(member->step == SIM_STEP_FAULT ? held->fault : 0),
		SIM_OK);
	return true;
}

static bool judge_member(void *context, const struct sim_member *member)
{
	struct judgement *j = context;
	struct sim *sim = j->sim;
	const struct sim_walk *walk = member->walk;
	enum sim_fault found;

	if (is_current(j, member))
		return false;
	found = member->step == SIM_STEP_FAULT
			? (enum sim_fault)walk->fault
			: sim->walker->permit(&sim->cpu[j->cpu].registers, walk, j->access,
					      j->privilege);
	if (j->expecting) {
		if (found == SIM_FAULT_NONE && walk->pa == j->pa)
			return false;
	} else if (j->fault != SIM_FAULT_NONE) {
		if (found != SIM_FAULT_NONE)
			return false;
		/* An access flag or dirty bit that was cleared: software that ages pages does not
		 * always flush. A dirty bit that goes unrecorded is another matter. */
		if (j->fault == SIM_FAULT_ACCESS_FLAG && walk->pa == j->walk->pa) {
			if (j->access != SIM_WRITE || j->walk->dirty || !walk->dirty ||
			    !sim->config.policy.judge_dirty_flush)
				return false;
			condemn(j, member, found, SIM_DIRTY_UNFLUSHED);
			return true;
		}
	} else if (found == SIM_FAULT_NONE && walk->pa == j->walk->pa &&
		   walk->type == j->walk->type) {
		if (j->access == SIM_WRITE && walk->dirty && !j->walk->dirty &&
		    sim->walker->hardware_bits(&sim->cpu[j->cpu].registers, walk->level) &&
		    sim->config.policy.judge_dirty_flush && member->record[member->depth - 1u] !=
								    SIM_NONE) {
			condemn(j, member, found, SIM_DIRTY_UNFLUSHED);
			return true;
		}
		return false;
	}
	if (found != SIM_FAULT_NONE && fault_is_benign(j, member, found))
		return false;
	if (found != SIM_FAULT_NONE && member->step == SIM_STEP_LEAF) {
		condemn(j, member, found, SIM_SPURIOUS_FAULT);
		return true;
	}
	condemn(j, member, found, SIM_OK); /* the diagnosis names it */
	return true;
}

/* True when nothing but the current path can exist: no value on it ever changed, and the CPU
 * runs on one root only. */
static bool nothing_stale(const struct sim *sim, const struct sim_cpu *cpu,
			  const struct judgement *j)
{
	if (cpu->context_count > 1) {
		unsigned half = j->walk->half;

		for (uint32_t i = 0; i < cpu->context_count; i++) {
			const struct sim_context *c = &cpu->contexts[i];

			if (c->half == half && i != cpu->context_current[half] &&
			    (c->tag == cpu->asid || sim->any_global))
				return false;
		}
	}
	if (j->walk->group || sim_root_in_registers(sim))
		return false;
	for (unsigned i = 0; i < j->depth; i++) {
		const struct sim_block *block = sim_block_find(sim, j->slots[i]);
		const struct sim_slot *slot;

		if (!block)
			continue;
		slot = sim_slot_find(sim, &block->page[j->slots[i] >> 12 & 15u], j->slots[i]);
		if (slot && slot->records != SIM_NONE)
			return false;
	}
	return true;
}

/* ---- intent ------------------------------------------------------------------------------- */

static void fail_at(struct judgement *j, enum sim_error error, const char *text)
{
	struct sim_verdict verdict = {
		.error = error,
		.when = j->sim->now,
		.cpu = j->cpu,
		.holder = j->cpu,
		.va = j->walk->va,
		.access = (int)j->access,
		.expected = sim_result_of(j->walk, j->fault),
	};

	if (j->depth) {
		verdict.slot = j->slots[j->depth - 1u];
		verdict.current = j->values[j->depth - 1u];
		verdict.level = j->walk->level;
	}
	snprintf(verdict.missing, sizeof(verdict.missing), "%s", text);
	sim_fail(j->sim, &verdict);
}

/* Two mappings of a frame with different memory types, both live: accesses through one are not
 * coherent with those through the other. */
static void judge_type(struct judgement *j)
{
	struct sim *sim = j->sim;
	uint64_t pa = j->walk->pa;
	struct sim_block *block = sim_block_find(sim, pa);
	struct sim_page *page;

	if (pa >= sim->config.memory || (!block && j->walk->type == SIM_TYPE_NORMAL))
		return;
	if (!block)
		block = sim_block_at(sim, pa);
	page = sim_page_of(block, pa);
	if ((page->flags & SIM_PAGE_TYPED) && page->last_type != j->walk->type) {
		uint64_t slots[SIM_WALK_DEPTH], values[SIM_WALK_DEPTH];
		struct sim_walk other;
		unsigned depth;

		if (sim_walk_now(sim, &sim->cpu[page->last_cpu], page->last_va, &other, slots,
				 values, &depth) == SIM_FAULT_NONE &&
		    other.pa >> 12 == pa >> 12 && other.type == page->last_type) {
			char text[160];

			snprintf(text, sizeof(text),
				 "the alias at 0x%llx still maps the frame with memory type %u, this "
				 "one with %u: change both",
				 (unsigned long long)page->last_va, page->last_type,
				 j->walk->type);
			fail_at(j, SIM_TYPE_ALIAS, text);
			return;
		}
	}
	page->flags |= SIM_PAGE_TYPED;
	page->last_type = j->walk->type;
	page->last_va = j->walk->va;
	page->last_cpu = (uint16_t)j->cpu;
}

static void judge_forbidden(struct judgement *j)
{
	const struct sim_block *block = sim_block_find(j->sim, j->walk->pa);

	if (block && (block->page[j->walk->pa >> 12 & 15u].flags & SIM_PAGE_FORBID << j->access))
		fail_at(j, SIM_FORBIDDEN_FRAME,
			"the frame was declared out of reach for this kind of access, and this "
			"mapping still gives it: change every alias");
}

/* An address whose translation all roots share faults at the root: is it there elsewhere? */
static void judge_shared(struct judgement *j)
{
	struct sim *sim = j->sim;
	uint64_t va = j->walk->va;
	bool shared = false;

	for (unsigned i = 0; i < sim->shares; i++)
		shared |= va >= sim->shared[i].first && va <= sim->shared[i].last;
	if (!shared || j->depth != 1)
		return;
	for (unsigned c = 0; c < sim->agents; c++) {
		struct sim_cpu *cpu = &sim->cpu[c];

		for (uint32_t i = 0; i < cpu->context_count; i++) {
			const struct sim_context *context = &cpu->contexts[i];
			struct sim_walk walk;
			char text[160];

			if (sim->walker->start(&cpu->registers, va, &walk) != SIM_FAULT_NONE ||
			    context->half != walk.half ||
			    context->root == sim->cpu[j->cpu].root[walk.half])
				continue;
			walk.table = context->root;
			if (sim->walker->step(&cpu->registers, &walk,
					      sim_peek(sim, sim_walk_slot(&walk, sim->width),
						       sim->width)) == SIM_STEP_FAULT)
				continue;
			snprintf(text, sizeof(text),
				 "the root at 0x%llx has the entry, this CPU's root at 0x%llx does "
				 "not: a new root entry of a shared range goes into every root",
				 (unsigned long long)context->root,
				 (unsigned long long)sim->cpu[j->cpu].root[walk.half]);
			fail_at(j, SIM_ROOT_NOT_PROPAGATED, text);
			return;
		}
	}
}

/* ---- accesses ----------------------------------------------------------------------------- */

/* Hardware records the use. Its own stores are no news to it: no history. */
static void touch(struct sim *sim, const struct sim_cpu *cpu, unsigned number,
		  enum sim_access access, unsigned depth, const uint64_t *slots, uint64_t *values,
		  unsigned root_level)
{
	for (unsigned i = 0; i < depth; i++) {
		unsigned level = root_level - i;
		bool leaf = i == depth - 1u;
		uint64_t value = sim->walker->touch(&cpu->registers, level, values[i], leaf,
						    access);
		struct sim_event *event;
		struct sim_page *page;

		if (value == values[i])
			continue;
		sim_poke(sim, slots[i], value, sim->width);
		values[i] = value;
		event = sim_trace(sim, SIM_EVENT_HARDWARE, number);
		event->a = slots[i];
		event->b = value;
		page = sim_page_of(sim_block_at(sim, slots[i]), slots[i]);
		if (leaf && access == SIM_WRITE && (page->flags & SIM_PAGE_TABLE))
			sim_slot_make(sim, page, (unsigned)(slots[i] & 4095u) / sim->width)
				->unread_dirty = 1;
	}
}

/* SDM 4.10.4.1: a page fault removes what is cached for its address under the current PCID. */
static void fault_invalidates(struct sim *sim, unsigned cpu, uint64_t va)
{
	struct sim_invalidation what = {
		.time = sim->now,
		.va = va,
		.asid = sim->cpu[cpu].asid,
		.scope = SIM_SCOPE_PAGE,
		.tables = true,
		.globals = true,
		.level = 0xff,
	};
	uint32_t recent = sim->cpu[cpu].recent_next;
	struct sim_invalidation kept = sim->cpu[cpu].recent[recent % SIM_RECENT];

	sim_invalidate(sim, cpu, &what);
	/* Nobody issued it: it is no part of what a diagnosis looks at. */
	sim->cpu[cpu].recent[recent % SIM_RECENT] = kept;
	sim->cpu[cpu].recent_next = recent;
}

struct sim_result sim_access(struct sim *sim, unsigned number, uint64_t va,
			     enum sim_access access, enum sim_privilege privilege)
{
	struct sim_cpu *cpu = &sim->cpu[number];
	uint64_t slots[SIM_WALK_DEPTH] = {0}, values[SIM_WALK_DEPTH];
	struct sim_result result;
	struct sim_walk walk;
	unsigned depth;
	unsigned root_level;
	enum sim_fault fault;
	struct judgement j = {
		.sim = sim, .cpu = number, .access = access, .privilege = privilege,
	};
	struct sim_event *event;

	sim->steps++;
	fault = sim_walk_now(sim, cpu, va, &walk, slots, values, &depth);
	root_level = walk.level + depth - 1u;
	if (fault == SIM_FAULT_NONE)
		fault = sim->walker->permit(&cpu->registers, &walk, access, privilege);
	j.walk = &walk;
	j.fault = fault;
	j.depth = depth;
	j.slots = slots;
	j.values = values;
	event = sim_trace(sim, SIM_EVENT_ACCESS, number);
	event->a = va;
	event->b = fault == SIM_FAULT_NONE ? walk.pa : fault;
	event->d = (uint8_t)(access | privilege << 2 | (fault != SIM_FAULT_NONE) << 3);

	if (sim->verdict.error == SIM_OK) {
		if (!nothing_stale(sim, cpu, &j))
			sim_cache_members(sim, number, va, false, judge_member, &j);
		if (fault == SIM_FAULT_NONE) {
			if (!sim->config.policy.allow_type_aliases)
				judge_type(&j);
			if (sim->forbidden)
				judge_forbidden(&j);
		} else if (sim->shares) {
			judge_shared(&j);
		}
	}
	result = sim_result_of(&walk, fault);
	result.slot = depth ? slots[depth - 1u] : 0;
	if (fault == SIM_FAULT_NONE)
		touch(sim, cpu, number, access, depth, slots, values, root_level);
	else if (!sim->walker->invalidate_reaches_superpage && cpu->context_count)
		fault_invalidates(sim, number, va);
	return result;
}

struct sim_result sim_load(struct sim *sim, unsigned cpu, uint64_t va, unsigned size,
			   enum sim_privilege privilege, uint64_t *value)
{
	struct sim_result result = sim_access(sim, cpu, va, SIM_READ, privilege);

	*value = 0;
	if (result.fault == SIM_FAULT_NONE && result.pa < sim->config.memory)
		*value = sim_peek(sim, result.pa, size < 8 ? size : 8);
	return result;
}

struct sim_result sim_store(struct sim *sim, unsigned cpu, uint64_t va, unsigned size,
			    enum sim_privilege privilege, uint64_t value)
{
	struct sim_result result = sim_access(sim, cpu, va, SIM_WRITE, privilege);
	uint64_t slot = result.pa & ~(uint64_t)(sim->width - 1u);
	struct sim_page *page;

	if (result.fault != SIM_FAULT_NONE || result.pa >= sim->config.memory)
		return result;
	page = sim_page_of(sim_block_at(sim, result.pa), result.pa);
	if (page->flags & SIM_PAGE_TABLE) {
		/* A store into a live table is a write of the entry it falls into. */
		uint64_t entry = sim_peek(sim, slot, sim->width);

		memcpy((uint8_t *)&entry + (result.pa - slot), &value,
		       size < sim->width ? size : sim->width);
		sim_entry_write(sim, cpu, slot, entry, sim->width);
		return result;
	}
	sim_poke(sim, result.pa, value, size < 8 ? size : 8);
	return result;
}

void sim_expect(struct sim *sim, unsigned number, uint64_t va, enum sim_access access,
		enum sim_privilege privilege, uint64_t pa)
{
	struct sim_cpu *cpu = &sim->cpu[number];
	uint64_t slots[SIM_WALK_DEPTH] = {0}, values[SIM_WALK_DEPTH];
	struct sim_walk walk;
	unsigned depth;
	struct judgement j = {
		.sim = sim, .cpu = number, .access = access, .privilege = privilege,
		.walk = &walk, .slots = slots, .values = values, .expecting = true, .pa = pa,
	};

	if (sim->verdict.error != SIM_OK)
		return;
	sim->steps++;
	j.fault = sim_walk_now(sim, cpu, va, &walk, slots, values, &depth);
	j.depth = depth;
	if (j.fault == SIM_FAULT_NONE)
		j.fault = sim->walker->permit(&cpu->registers, &walk, access, privilege);
	if (j.fault != SIM_FAULT_NONE || walk.pa != pa) {
		char text[128];

		snprintf(text, sizeof(text), "0x%llx was to translate to 0x%llx at every instant",
			 (unsigned long long)va, (unsigned long long)pa);
		fail_at(&j, SIM_NOT_EXPECTED, text);
		return;
	}
	sim_cache_members(sim, number, va, false, judge_member, &j);
}

void sim_expect_settled(struct sim *sim, uint64_t va)
{
	for (unsigned number = 0; number < sim->agents && sim->verdict.error == SIM_OK; number++) {
		struct sim_cpu *cpu = &sim->cpu[number];
		uint64_t slots[SIM_WALK_DEPTH] = {0}, values[SIM_WALK_DEPTH];
		struct sim_walk walk;
		unsigned depth;
		struct judgement j = {
			.sim = sim, .cpu = number, .walk = &walk, .slots = slots,
			.values = values,
		};

		if (sim->walker->start(&cpu->registers, va, &walk) != SIM_FAULT_NONE ||
		    !cpu->running[walk.half])
			continue;
		sim->steps++;
		j.fault = sim_walk_now(sim, cpu, va, &walk, slots, values, &depth);
		j.depth = depth;
		if (!nothing_stale(sim, cpu, &j))
			sim_cache_members(sim, number, va, false, judge_settled, &j);
	}
}

int sim_watch(struct sim *sim, uint64_t va, enum sim_access access, enum sim_privilege privilege,
	      uint64_t pa)
{
	for (int i = 0; i < 64; i++) {
		if (sim->watch[i].used)
			continue;
		sim->watch[i] = (struct sim_watchpoint){
			.used = true, .va = va, .pa = pa,
			.access = (uint8_t)access, .privilege = (uint8_t)privilege,
		};
		sim->watches++;
		return i;
	}
	return -1;
}

void sim_unwatch(struct sim *sim, int watch)
{
	if (watch < 0 || watch >= 64 || !sim->watch[watch].used)
		return;
	sim->watch[watch].used = false;
	sim->watches--;
}

/* After a write to a live table: what was promised for every instant. The writer may still be
 * short of a barrier: what only it could see is judged on the others. */
void sim_judge_watches(struct sim *sim, unsigned writer)
{
	(void)writer;
	for (unsigned i = 0; i < 64; i++) {
		const struct sim_watchpoint *w = &sim->watch[i];

		if (!w->used)
			continue;
		for (unsigned cpu = 0; cpu < sim->config.cpus; cpu++) {
			unsigned half = 0;
			struct sim_walk walk;

			if (sim->walker->start(&sim->cpu[cpu].registers, w->va, &walk) ==
			    SIM_FAULT_NONE)
				half = walk.half;
			if (sim->cpu[cpu].running[half])
				sim_expect(sim, cpu, w->va, w->access, w->privilege, w->pa);
		}
	}
}
