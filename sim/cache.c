/* SPDX-License-Identifier: MIT */
/*
 * What a CPU may hold: enumerated from the histories, never stored.
 *
 * A translation for an address was inserted by some walk. The walk took the root at a moment when
 * the CPU ran on it, then one value per level, each at a moment when the slot had it, no moment
 * before the one above. Between two levels it may have waited in a paging-structure cache for as
 * long as that was not invalidated. The finished translation is still there if no invalidation
 * that reaches it came after.
 *
 * So after the entry of each level there is a span [lo, hi) of moments at which the next level
 * may be read:
 *	lo   the latest "from" on the way, moved to when the CPU ran under the tag
 *	hi   as long as the value can be taken afresh, or its walk-cache entry survives
 */
#include "internal.h"

struct search {
	struct sim *sim;
	struct sim_cpu *cpu;
	const struct sim_context *context;
	const struct sim_tag *tag;
	sim_member_fn *fn;
	void *fn_context;
	bool pointers;
	bool globals_only;
	bool stale_root;
	/* When the last pointer on the way was stored: what its writer had replaced in the tables
	 * below before that is not met behind it, whether a barrier followed or not. */
	uint64_t published;
	unsigned depth;
	uint64_t slot[SIM_WALK_DEPTH];
	uint64_t value[SIM_WALK_DEPTH];
	uint32_t record[SIM_WALK_DEPTH];
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool report(struct search *s, const struct sim_walk *walk, enum sim_step step,
		   bool cached_fault, bool pointer, uint64_t lo)
{
	struct sim_member member = {
		.walk = walk,
		.context = s->context,
		.asid = s->context->tag,
		.step = step,
		.cached_fault = cached_fault,
		.depth = s->depth,
		.slot = s->slot,
		.value = s->value,
		.record = s->record,
		.lo = lo,
		.pointer = pointer,
		.stale_root = s->stale_root,
		.foreign_tag = s->globals_only,
	};

	return s->fn(s->fn_context, &member);
}

static bool search_level(struct search *s, const struct sim_walk *walk, uint64_t lo, uint64_t hi);

/* An entry that was not valid became a pointer: is that a table's to invalidate? */
static bool became_pointer(const struct search *s, uint32_t record)
{
	return record != SIM_NONE && s->sim->walker->faults_of_pointers &&
	       s->sim->records[record].to_pointer;
}

/*
 * One value of the slot that `walk` reads next, alive over [from, to). `own`: the slot is the
 * address's own, not a neighbour's in a group.
 */
static bool try_value(struct search *s, const struct sim_walk *before, uint64_t slot,
		      uint64_t value, uint32_t record, uint64_t from, uint64_t to, uint64_t cut,
		      uint64_t lo, uint64_t hi, bool own)
{
	const struct sim_registers *r = &s->cpu->registers;
	uint64_t end = least(to, hi);
	struct sim_walk walk = *before;
	enum sim_step step;
	uint64_t time;
	bool stop;

	lo = sim_active_from(&s->tag->active, from > lo ? from : lo);
	if (lo >= end)
		return false;
	step = s->sim->walker->step(r, &walk, value);
	if (!own && (step != SIM_STEP_LEAF || !walk.group))
		return false;
	s->slot[s->depth] = slot;
	s->value[s->depth] = value;
	s->record[s->depth++] = record;
	stop = false;
	if (step == SIM_STEP_TABLE) {
		uint64_t next_hi = SIM_FOREVER, published = s->published;

		/* It can be taken afresh until `end`; what waits in the cache then, dies with the
		 * first invalidation after. */
		if (end != SIM_FOREVER)
			next_hi = sim_walk_invalidated(s->sim, s->cpu, s->context->tag,
						       walk.global, walk.va, walk.shift, end);
		next_hi = least(next_hi, cut);
		if (s->pointers && next_hi == SIM_FOREVER)
			stop = report(s, &walk, step, false, true, lo);
		if (from > published)
			s->published = from;
		if (!stop)
			stop = search_level(s, &walk, lo, next_hi);
		s->published = published;
	} else if (step == SIM_STEP_FAULT && walk.cacheable && became_pointer(s, record)) {
		if (sim_walk_invalidated(s->sim, s->cpu, s->context->tag, false, walk.va,
					 walk.shift, end) == SIM_FOREVER && !s->globals_only)
			stop = report(s, &walk, step, true, false, lo);
	} else if (step == SIM_STEP_FAULT && !walk.cacheable) {
		/* Faults are not cached: only a walk that happens now can meet it. */
		if (end == SIM_FOREVER && !s->globals_only)
			stop = report(s, &walk, step, false, false, lo);
	} else {
		bool global = walk.global && step == SIM_STEP_LEAF;

		if (!s->globals_only || global) {
			time = sim_leaf_invalidated(s->sim, s->cpu, s->context->tag, global,
						    walk.va, walk.shift);
			if (walk.group && s->sim->config.policy.invalidate_reaches_group) {
				uint64_t group = sim_leaf_invalidated(s->sim, s->cpu,
								      s->context->tag, global,
								      walk.va,
								      walk.shift + walk.group);

				time = group > time ? group : time;
			}
			if (sim_active_from(&s->tag->active, time > lo ? time : lo) < end)
				stop = report(s, &walk, step, step == SIM_STEP_FAULT, false, lo);
		}
	}
	s->depth--;
	return stop;
}

/* Every value that slot had or has. */
static bool try_slot(struct search *s, const struct sim_walk *walk, const struct sim_page *page,
		     uint64_t pa, uint64_t lo, uint64_t hi, bool own)
{
	struct sim *sim = s->sim;
	const struct sim_slot *slot = page ? sim_slot_find(sim, page, pa) : NULL;
	uint64_t from = slot ? slot->from : page ? page->born : 0;
	bool registers = s->depth == 0 && sim_root_in_registers(sim);

	/* A register has what memory had when it was loaded. */
	if (registers)
		from = sim_root_loaded(s->cpu, from);
	if (try_value(s, walk, pa, sim_peek(sim, pa, sim->width), SIM_NONE, from, SIM_FOREVER,
		      SIM_FOREVER, lo, hi, own))
		return true;
	for (uint32_t i = slot ? slot->records : SIM_NONE; i != SIM_NONE;
	     i = sim->records[i].older) {
		const struct sim_record *record = &sim->records[i];
		bool here = s->cpu == &sim->cpu[record->killer];
		uint64_t to = s->published > record->killed ? record->killed
			      : here			    ? record->to_here
							    : record->to;

		from = record->from;
		if (registers) {
			from = sim_root_loaded(s->cpu, from);
			to = sim_root_loaded(s->cpu, record->killed);
		}
		if (try_value(s, walk, pa, record->value, i, from, to, record->cut, lo, hi, own))
			return true;
	}
	return false;
}

/* Does the slot hold, or did it hold, a leaf with a group mark? Then the other entries of the
 * group serve this address too. */
static unsigned group_of(struct search *s, const struct sim_walk *walk,
			 const struct sim_page *page, uint64_t pa)
{
	struct sim *sim = s->sim;
	const struct sim_slot *slot = page ? sim_slot_find(sim, page, pa) : NULL;
	struct sim_walk look = *walk;

	if (sim->walker->step(&s->cpu->registers, &look, sim_peek(sim, pa, sim->width)) ==
		    SIM_STEP_LEAF && look.group)
		return look.group;
	for (uint32_t i = slot ? slot->records : SIM_NONE; i != SIM_NONE;
	     i = sim->records[i].older) {
		look = *walk;
		if (sim->walker->step(&s->cpu->registers, &look, sim->records[i].value) ==
			    SIM_STEP_LEAF && look.group)
			return look.group;
	}
	return 0;
}

static bool search_level(struct search *s, const struct sim_walk *walk, uint64_t lo, uint64_t hi)
{
	struct sim *sim = s->sim;
	uint64_t pa = sim_walk_slot(walk, sim->width);
	const struct sim_block *block = sim_block_find(sim, pa);
	const struct sim_page *page = block ? &block->page[pa >> 12 & 15u] : NULL;
	unsigned group;

	if (pa >= sim->config.memory) {
		/* A pointer to where no memory is: reads as zero. */
		return try_value(s, walk, pa, 0, SIM_NONE, 0, SIM_FOREVER, SIM_FOREVER, lo, hi,
				 true);
	}
	if (try_slot(s, walk, page, pa, lo, hi, true))
		return true;
	group = sim->walker->needs_break || sim->config.arch == SIM_RISCV
			? group_of(s, walk, page, pa)
			: 0;
	if (group) {
		uint64_t size = (uint64_t)sim->width << group;
		uint64_t first = pa & ~(size - 1u);

		for (uint64_t at = first; at < first + size; at += sim->width)
			if (at != pa && try_slot(s, walk, page, at, lo, hi, false))
				return true;
	}
	return false;
}

static bool search_context(struct search *s, uint64_t va)
{
	struct sim_walk walk;
	uint64_t lo;

	if (s->sim->walker->start(&s->cpu->registers, va, &walk) != SIM_FAULT_NONE)
		return false;
	if (walk.half != s->context->half)
		return false;
	walk.table = s->context->root;
	s->depth = 0;
	s->published = 0;
	s->tag = sim_tag_of(s->cpu, s->context->tag);
	/*
	 * The root register is read at any moment the CPU ran on it. What followed may have
	 * waited: the walk goes on whenever the CPU runs under the same tag.
	 */
	for (uint32_t i = 0; i < s->context->active.count; i++) {
		uint64_t end = s->context->active.end[i];

		lo = s->context->active.start[i];
		if (search_level(s, &walk, lo, end))
			return true;
	}
	return false;
}

bool sim_cache_members(struct sim *sim, unsigned number, uint64_t va, bool pointers,
		       sim_member_fn *fn, void *context)
{
	struct sim_cpu *cpu = &sim->cpu[number];
	struct search s = {
		.sim = sim, .cpu = cpu, .fn = fn, .fn_context = context, .pointers = pointers,
	};

	for (uint32_t i = 0; i < cpu->context_count; i++) {
		const struct sim_context *c = &cpu->contexts[i];

		s.context = c;
		s.stale_root = !cpu->running[c->half] || cpu->context_current[c->half] != i;
		s.globals_only = c->tag != cpu->asid && !pointers;
		if (s.globals_only && !sim->any_global)
			continue;
		if (search_context(&s, va))
			return true;
	}
	return false;
}

/* ---- may anything that came through a record still be held? ------------------------------ */

struct held {
	struct sim *sim;
	uint32_t record;
	uint64_t slot;
	uint64_t value;
	bool found;
};

static bool came_through(void *context, const struct sim_member *member)
{
	struct held *held = context;

	for (unsigned i = 0; i < member->depth; i++) {
		if (member->slot[i] != held->slot || member->record[i] != held->record)
			continue;
		/* A fault met by a walk of now is nothing held. */
		if (member->step == SIM_STEP_FAULT && !member->cached_fault)
			continue;
		held->found = true;
		return true;
	}
	return false;
}

/* Every address below the record at which some value was ever valid. */
static bool held_below(struct held *held, unsigned cpu, uint64_t table, unsigned level, uint64_t va,
		       unsigned *budget)
{
	struct sim *sim = held->sim;
	const struct sim_registers *r = &sim->config.registers;
	unsigned entries = sim->walker->entries(r, level);
	unsigned span = sim->walker->span(r, level);

	for (unsigned i = 0; i < entries && *budget; i++) {
		uint64_t pa = table + (uint64_t)i * sim->width;
		const struct sim_block *block = sim_block_find(sim, pa);
		const struct sim_slot *slot;
		uint64_t value = sim_peek(sim, pa, sim->width);
		uint64_t at = sim_canonical(sim, va + ((uint64_t)i << span));
		struct sim_walk walk = {.va = at, .level = (uint8_t)level, .rights = 0xff};

		if (!block)
			continue;
		slot = sim_slot_find(sim, &block->page[pa >> 12 & 15u], pa);
		if (value == 0 && (!slot || slot->records == SIM_NONE))
			continue;
		walk.half = at >> 63 & 1u;
		--*budget;
		if (sim_cache_members(sim, cpu, at, true, came_through, held))
			return true;
		if (level == 0 || sim->walker->step(r, &walk, value) != SIM_STEP_TABLE)
			continue;
		if (held_below(held, cpu, walk.table, level - 1, at, budget))
			return true;
	}
	return false;
}

bool sim_record_held(struct sim *sim, unsigned number, const struct sim_record *record)
{
	const struct sim_registers *r = &sim->config.registers;
	struct held held = {
		.sim = sim,
		.record = (uint32_t)(record - sim->records),
		.slot = record->slot,
		.value = record->value,
	};
	struct sim_walk walk = {.va = record->va, .level = record->level, .rights = 0xff,
				.half = record->va >> 63 & 1u};
	const struct sim_block *block = sim_block_find(sim, record->slot);
	const struct sim_page *page = &block->page[record->slot >> 12 & 15u];
	unsigned budget = 4096;

	if (sim->cpu[number].context_count == 0)
		return false;
	/* A shared table is reachable at several addresses. */
	if (sim_cache_members(sim, number, record->va, true, came_through, &held))
		return true;
	for (uint32_t i = page->roles; i != SIM_NONE; i = sim->roles[i].next) {
		const struct sim_role *role = &sim->roles[i];
		uint64_t index = (record->slot & 4095u) / sim->width;
		uint64_t va = sim_canonical(sim, role->va +
						 (index << sim->walker->span(r, role->level)));

		if (va != record->va &&
		    sim_cache_members(sim, number, va, true, came_through, &held))
			return true;
	}
	if (sim->walker->step(r, &walk, record->value) != SIM_STEP_TABLE)
		return false;
	return held_below(&held, number, walk.table, record->level - 1u, record->va, &budget);
}
