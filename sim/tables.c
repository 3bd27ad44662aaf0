/* SPDX-License-Identifier: MIT */
/*
 * Software's dealings with tables: entries read and written, table pages freed, frames given to a
 * new owner. Each is judged when it happens, by what CPUs may still hold at that moment.
 */
#include "internal.h"

#include <string.h>

static struct sim_verdict verdict_at(struct sim *sim, enum sim_error error, unsigned cpu)
{
	return (struct sim_verdict){
		.error = error, .when = sim->now, .cpu = cpu, .holder = cpu, .access = -1,
		.writer = cpu,
	};
}

static void fail_simple(struct sim *sim, enum sim_error error, unsigned cpu, uint64_t slot,
			uint64_t va, const char *text)
{
	struct sim_verdict verdict = verdict_at(sim, error, cpu);

	verdict.slot = slot;
	verdict.va = va;
	snprintf(verdict.missing, sizeof(verdict.missing), "%s", text);
	sim_fail(sim, &verdict);
}

/* ---- writes ------------------------------------------------------------------------------- */

static uint64_t role_va(const struct sim *sim, const struct sim_role *role, uint64_t pa)
{
	unsigned span = sim->walker->span(&sim->config.registers, role->level);

	return sim_canonical(sim, role->va + ((pa & 4095u) / sim->width << span));
}

/*
 * Break-before-make: the new entry is valid, and a CPU may still hold a value it must not meet.
 * That is the value it replaces, and every earlier one that was not invalidated.
 */
static void judge_break(struct sim *sim, unsigned cpu, struct sim_page *page, uint64_t pa,
			uint64_t value)
{
	unsigned level = sim->roles[page->roles].level;
	struct sim_slot *slot = sim_slot_find(sim, page, pa);
	struct sim_walk walk;

	if (sim_look(sim, sim->roles[page->roles].va, level, value, &walk) == SIM_STEP_FAULT)
		return;
	for (uint32_t i = slot->records; i != SIM_NONE; i = sim->records[i].older) {
		const struct sim_record *record = &sim->records[i];
		struct sim_verdict verdict;

		if (!record->cacheable ||
		    !sim->walker->needs_break(&sim->config.registers, level, record->value, value))
			continue;
		for (unsigned holder = 0; holder < sim->agents; holder++) {
			if (!sim_record_held(sim, holder, record))
				continue;
			verdict = verdict_at(sim, SIM_BREAK_BEFORE_MAKE, cpu);
			verdict.holder = holder;
			verdict.slot = pa;
			verdict.va = record->va;
			verdict.level = level;
			verdict.stale = record->value;
			verdict.current = value;
			verdict.cached_from = record->from;
			verdict.replaced_at = record->killed;
			verdict.writer = record->killer;
			snprintf(verdict.missing, sizeof(verdict.missing),
				 record->killed == sim->now
					 ? "a valid entry was replaced by a different valid one: write "
					   "an invalid entry, DSB, TLBI, DSB, and only then the new one"
					 : "the entry was made invalid, but CPU %u may still hold the old "
					   "one: TLBI and DSB must come between break and make",
				 holder);
			sim_fail(sim, &verdict);
			return;
		}
	}
}

/*
 * Hardware recorded a store through this entry, software has not looked since, and now writes
 * something that does not say so. Nothing is lost where software gave up what it says before: by
 * writing zero, or by taking out the pointer to the whole table.
 */
static void judge_dirty(struct sim *sim, unsigned cpu, struct sim_page *page, uint64_t pa,
			uint64_t old, uint64_t value)
{
	unsigned level = sim->roles[page->roles].level;
	uint64_t va = role_va(sim, &sim->roles[page->roles], pa);
	struct sim_slot *slot = sim_slot_find(sim, page, pa);
	struct sim_walk before, after;
	bool lost = slot && slot->unread_dirty && value != 0;
	enum sim_step step = sim_look(sim, va, level, old, &before);

	if (step != SIM_STEP_LEAF || page->unlinked > page->born)
		return;
	if (sim_look(sim, va, level, value, &after) == SIM_STEP_LEAF && after.dirty)
		return;
	if (!lost && sim->config.policy.judge_dirty_window && !before.dirty && value != old &&
	    (before.rights & (SIM_RIGHT_WRITE | SIM_RIGHT_DIRTY_MODIFIER)) &&
	    sim->walker->hardware_bits(&sim->config.registers, level))
		lost = true;
	if (lost)
		fail_simple(sim, SIM_DIRTY_LOST, cpu, pa, va,
			    "hardware may set the dirty bit between a read and a plain store: change "
			    "a live entry by compare-and-swap or exchange");
}

/* A pointer to a table went away: readers that came before may still stand in the table. */
static void unlinked(struct sim *sim, uint64_t table)
{
	if (table < sim->config.memory)
		sim_page_of(sim_block_at(sim, table), table)->unlinked = sim->now;
}

static void live_write(struct sim *sim, unsigned cpu, struct sim_page *page, uint64_t pa,
		       uint64_t old, uint64_t value, bool atomic)
{
	struct sim_walk walk;
	struct sim_slot *slot;
	unsigned chain = 0;

	if (sim->verdict.error == SIM_OK && !atomic)
		judge_dirty(sim, cpu, page, pa, old, value);
	if (old == value)
		return;
	sim_record_kill(sim, page, pa, old, cpu, !sim->lazy_stores);
	slot = sim_slot_find(sim, page, pa);
	slot->unread_dirty = 0;
	if (sim_look(sim, role_va(sim, &sim->roles[page->roles], pa),
		     sim->roles[page->roles].level, old, &walk) == SIM_STEP_TABLE)
		unlinked(sim, walk.table);
	sim_poke(sim, pa, value, sim->width);
	if (sim->walker->needs_break && sim->verdict.error == SIM_OK)
		judge_break(sim, cpu, page, pa, value);
	for (uint32_t i = page->roles; i != SIM_NONE; i = sim->roles[i].next) {
		struct sim_role role = sim->roles[i];
		uint64_t va = role_va(sim, &role, pa);

		switch (sim_look(sim, va, role.level, value, &walk)) {
		case SIM_STEP_TABLE:
			sim_table_register(sim, walk.table, role.level - 1u, va);
			if (slot->records != SIM_NONE && sim->records[slot->records].killed == sim->now)
				sim->records[slot->records].to_pointer = 1;
			break;
		case SIM_STEP_LEAF:
			sim->any_global |= walk.global;
			break;
		case SIM_STEP_FAULT:
			break;
		}
	}
	for (uint32_t i = slot->records; i != SIM_NONE; i = sim->records[i].older)
		chain++;
	if (chain >= 8 && !(chain & (chain - 1u)))
		sim_slot_prune(sim, page, pa);
	if (sim->records_live > sim->prune_at)
		sim_records_prune(sim);
	if (sim->watches && sim->verdict.error == SIM_OK)
		sim_judge_watches(sim, cpu);
}

static void write_entry(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t value, bool atomic)
{
	struct sim_block *block = sim_block_at(sim, pa);
	struct sim_page *page = sim_page_of(block, pa);
	uint64_t old = sim_peek(sim, pa, sim->width);
	struct sim_event *event;

	sim->now++;
	sim->steps++;
	event = sim_trace(sim, atomic ? SIM_EVENT_SWAP : SIM_EVENT_WRITE, cpu);
	event->a = pa;
	event->b = value;
	event->c = old;
	event->d = page->flags;
	if (page->flags & SIM_PAGE_FREED)
		fail_simple(sim, SIM_WALK_OF_FREED_TABLE, cpu, pa, 0,
			    "a write to a table page that was freed");
	if (page->flags & SIM_PAGE_TABLE)
		live_write(sim, cpu, page, pa, old, value, atomic);
	else if (page->slots)
		page->slots[(pa & 4095u) / sim->width].from = sim->now;
	sim_poke(sim, pa, value, sim->width);
}

void sim_entry_write(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t value, unsigned width)
{
	if (width != sim->width) {
		/* Two 32-bit stores into an 8-byte entry, or the like: word by word. */
		uint64_t slot = pa & ~(uint64_t)(sim->width - 1u);
		uint64_t entry = sim_peek(sim, slot, sim->width);

		if (width > sim->width) {
			write_entry(sim, cpu, slot, value & UINT32_MAX, false);
			write_entry(sim, cpu, slot + 4, value >> 32, false);
			return;
		}
		memcpy((uint8_t *)&entry + (pa - slot), &value, width);
		write_entry(sim, cpu, slot, entry, false);
		return;
	}
	write_entry(sim, cpu, pa, value, false);
}

void sim_entry_fill(struct sim *sim, unsigned cpu, uint64_t pa, unsigned count, uint64_t value,
		    uint64_t step, unsigned width)
{
	uint64_t last = pa + (uint64_t)(count - 1u) * width;
	bool simple = count > 0;

	for (uint64_t at = pa & ~UINT64_C(4095); simple && at <= last; at += 4096) {
		const struct sim_page *page = sim_page_of(sim_block_at(sim, at), at);

		simple = !page->slots && !(page->flags & (SIM_PAGE_TABLE | SIM_PAGE_FREED));
	}
	for (unsigned i = 0; i < count; i++) {
		if (simple)
			sim_poke(sim, pa + (uint64_t)i * width, value + step * i, width);
		else
			sim_entry_write(sim, cpu, pa + (uint64_t)i * width, value + step * i, width);
	}
	if (simple) {
		struct sim_event *event = sim_trace(sim, SIM_EVENT_WRITE, cpu);

		event->a = pa;
		event->b = value;
		event->c = 0;
		event->d = 0;
		sim->steps += count;
	}
}

uint64_t sim_entry_read(struct sim *sim, unsigned cpu, uint64_t pa, unsigned width)
{
	const struct sim_block *block = sim_block_find(sim, pa);
	const struct sim_page *page;

	if (!block)
		return 0;
	page = &block->page[pa >> 12 & 15u];
	if (page->flags & SIM_PAGE_FREED)
		fail_simple(sim, SIM_WALK_OF_FREED_TABLE, cpu, pa, 0,
			    "software walked into a table page that was freed: a walker must be in a "
			    "read section that the freeing waits for, or hold the lock of the tables");
	if (page->slots)
		page->slots[(pa & 4095u) / sim->width].unread_dirty = 0;
	return sim_peek(sim, pa, width);
}

bool sim_entry_swap(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t *expected,
		    uint64_t desired, unsigned width)
{
	uint64_t there = sim_peek(sim, pa, width);

	if (there != *expected) {
		*expected = sim_entry_read(sim, cpu, pa, width);
		return false;
	}
	write_entry(sim, cpu, pa, desired, true);
	return true;
}

/* ---- table pages given back ---------------------------------------------------------------- */

struct reach {
	struct sim *sim;
	uint64_t first, last;
	unsigned holder;
	bool found;
	bool current;    /* through the tables as they are */
	struct sim_verdict verdict;
};

static bool all_current(const struct sim_member *member)
{
	for (unsigned i = 0; i < member->depth; i++)
		if (member->record[i] != SIM_NONE)
			return false;
	return true;
}

static bool points_into(void *context, const struct sim_member *member)
{
	struct reach *reach = context;

	if (!member->pointer || member->walk->table < reach->first ||
	    member->walk->table > reach->last)
		return false;
	reach->found = true;
	reach->current = all_current(member) && !member->stale_root;
	sim_diagnose(reach->sim, reach->holder, member, &reach->verdict);
	return true;
}

/* May any CPU still walk the table page? */
static void judge_free(struct sim *sim, unsigned cpu, struct sim_page *page, uint64_t pa,
		       uint64_t size)
{
	for (uint32_t i = page->roles; i != SIM_NONE; i = sim->roles[i].next) {
		uint64_t va = sim_canonical(sim, sim->roles[i].va);

		for (unsigned holder = 0; holder < sim->agents; holder++) {
			const struct sim_cpu *c = &sim->cpu[holder];
			struct reach reach = {
				.sim = sim, .first = pa, .last = pa + size - 1u, .holder = holder,
				.verdict = verdict_at(sim, SIM_TABLE_FREED, cpu),
			};

			if ((c->running[0] && c->root[0] - pa < size) ||
			    (c->running[1] && c->root[1] - pa < size)) {
				fail_simple(sim, SIM_TABLE_LINKED, cpu, pa, va,
					    "a CPU runs on this root");
				return;
			}
			if (!c->context_count)
				continue;
			reach.verdict.va = va;
			reach.verdict.holder = holder;
			sim_cache_members(sim, holder, va, true, points_into, &reach);
			if (!reach.found)
				continue;
			reach.verdict.error = reach.current ? SIM_TABLE_LINKED : SIM_TABLE_FREED;
			sim_fail(sim, &reach.verdict);
			return;
		}
	}
}

/* What the page translated until now becomes history, and no walk gets into it any more. */
static void close_table(struct sim *sim, unsigned cpu, struct sim_page *page, uint64_t pa)
{
	uint64_t unlinked_at = 0;

	for (uint32_t i = sim_frame_chain(sim, pa, 0); i != SIM_NONE;
	     i = sim->records[i].next_of_frame)
		if (sim->records[i].pointer && sim->records[i].to > unlinked_at)
			unlinked_at = sim->records[i].to;
	/* Every CPU dropped everything since it was unlinked: nothing of it is left anywhere. */
	if (unlinked_at && unlinked_at <= sim_flushed_everywhere(sim)) {
		for (unsigned i = 0; page->slots && i < 4096 / sim->width; i++) {
			page->slots[i].from = sim->now;
			sim_slot_prune(sim, page, pa + (uint64_t)i * sim->width);
		}
		return;
	}
	for (unsigned i = 0; i < 4096 / sim->width; i++) {
		uint64_t slot = pa + (uint64_t)i * sim->width;
		uint64_t value = sim_peek(sim, slot, sim->width);

		if (value != 0)
			sim_record_kill(sim, page, slot, value, cpu, true);
		else if (page->slots)
			page->slots[i].from = sim->now;
	}
	for (uint32_t i = sim_frame_chain(sim, pa, 0); i != SIM_NONE;
	     i = sim->records[i].next_of_frame) {
		struct sim_record *record = &sim->records[i];
		struct sim_walk walk;

		if (record->pointer && record->cut == SIM_FOREVER &&
		    sim_look(sim, record->va, record->level, record->value, &walk) ==
			    SIM_STEP_TABLE &&
		    walk.table == pa)
			record->cut = sim->now;
	}
}

void sim_page_free(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t size)
{
	struct sim_event *event;
	struct sim_page *first;

	sim->now++;
	sim->steps++;
	event = sim_trace(sim, SIM_EVENT_FREE, cpu);
	event->a = pa;
	event->b = size;
	if (size < 4096)
		size = 4096;
	first = sim_page_of(sim_block_at(sim, pa), pa);
	if (first->flags & SIM_PAGE_FREED) {
		fail_simple(sim, SIM_WALK_OF_FREED_TABLE, cpu, pa, 0, "freed a second time");
		return;
	}
	if ((first->flags & SIM_PAGE_TABLE) && sim->verdict.error == SIM_OK) {
		judge_free(sim, cpu, first, pa, size);
		if (first->unlinked && sim_reader_active(sim, first->unlinked))
			fail_simple(sim, SIM_FREED_UNDER_READER, cpu, pa,
				    sim->roles[first->roles].va,
				    "a read section that began while the table was linked has not "
				    "ended: wait for readers before freeing");
	}
	for (uint64_t done = 0; done < size; done += 4096) {
		struct sim_page *page = sim_page_of(sim_block_at(sim, pa + done), pa + done);

		if (page->flags & SIM_PAGE_TABLE)
			close_table(sim, cpu, page, pa + done);
		page->flags |= SIM_PAGE_FREED;
		page->unlinked = 0;
	}
	sim_table_forget(sim, pa, size);
	sim_page_recycle(sim, pa, size);
}

/* ---- frames with a new owner ---------------------------------------------------------------- */

/* Do the tables of the member's own root lead to the same place? Then nothing about it is stale:
 * a large leaf may have been split into leaves that say the same. */
static bool still_says_so(struct sim *sim, const struct sim_cpu *cpu,
			  const struct sim_member *member)
{
	struct sim_walk walk;

	if (sim->walker->start(&cpu->registers, member->walk->va, &walk) != SIM_FAULT_NONE)
		return false;
	walk.table = member->context->root;
	for (;;) {
		uint64_t slot = sim_walk_slot(&walk, sim->width);
		uint64_t value = slot < sim->config.memory ? sim_peek(sim, slot, sim->width) : 0;

		switch (sim->walker->step(&cpu->registers, &walk, value)) {
		case SIM_STEP_TABLE:
			continue;
		case SIM_STEP_LEAF:
			return walk.pa == member->walk->pa;
		case SIM_STEP_FAULT:
			return false;
		}
	}
}

static bool leads_into(void *context, const struct sim_member *member)
{
	struct reach *reach = context;

	if (member->pointer || member->step != SIM_STEP_LEAF || member->walk->pa < reach->first ||
	    member->walk->pa > reach->last)
		return false;
	if (still_says_so(reach->sim, &reach->sim->cpu[reach->holder], member))
		return false;
	reach->found = true;
	sim_diagnose(reach->sim, reach->holder, member, &reach->verdict);
	return true;
}

/* May any CPU hold a translation of `va` into the frames that the tables no longer contain? */
static bool judge_stale_frame(struct sim *sim, unsigned cpu, uint64_t va, uint64_t pa,
			      uint64_t size)
{
	for (unsigned holder = 0; holder < sim->agents; holder++) {
		struct reach reach = {
			.sim = sim, .first = pa, .last = pa + size - 1u, .holder = holder,
			.verdict = verdict_at(sim, SIM_FRAME_REUSED, cpu),
		};

		reach.verdict.va = va;
		reach.verdict.holder = holder;
		if (!sim->cpu[holder].context_count)
			continue;
		sim_cache_members(sim, holder, va, true, leads_into, &reach);
		if (reach.found) {
			reach.verdict.error = SIM_FRAME_REUSED;
			sim_fail(sim, &reach.verdict);
			return true;
		}
	}
	return false;
}

static bool judge_record_frame(struct sim *sim, unsigned cpu, const struct sim_record *record,
			       uint64_t pa, uint64_t size)
{
	struct sim_walk walk;
	uint64_t span, frame, va;

	if (record->pointer ||
	    sim_look(sim, record->va, record->level, record->value, &walk) != SIM_STEP_LEAF)
		return false;
	span = UINT64_C(1) << walk.shift;
	frame = walk.pa & ~(span - 1u);
	if (frame > pa + size - 1u || frame + span - 1u < pa)
		return false;
	va = record->va + (pa > frame ? pa - frame : 0);
	return judge_stale_frame(sim, cpu, va, pa, size);
}

/* Leaves below a table that was unlinked: nobody wrote them, and they are stale all the same. */
static bool judge_orphans(struct sim *sim, unsigned cpu, uint64_t table, unsigned level,
			  uint64_t va, uint64_t pa, uint64_t size, unsigned *budget)
{
	const struct sim_registers *r = &sim->config.registers;
	unsigned entries = sim->walker->entries(r, level);
	unsigned span_shift = sim->walker->span(r, level);

	for (unsigned i = 0; i < entries && *budget; i++) {
		uint64_t value = sim_peek(sim, table + (uint64_t)i * sim->width, sim->width);
		uint64_t at = sim_canonical(sim, va + ((uint64_t)i << span_shift));
		uint64_t span = UINT64_C(1) << span_shift, frame;
		struct sim_walk walk;

		if (value == 0)
			continue;
		--*budget;
		switch (sim_look(sim, at, level, value, &walk)) {
		case SIM_STEP_TABLE:
			if (judge_orphans(sim, cpu, walk.table, level - 1u, at, pa, size, budget))
				return true;
			break;
		case SIM_STEP_LEAF:
			frame = walk.pa & ~(span - 1u);
			if (frame > pa + size - 1u || frame + span - 1u < pa)
				break;
			if (judge_stale_frame(sim, cpu, at + (pa > frame ? pa - frame : 0), pa,
					      size))
				return true;
			break;
		case SIM_STEP_FAULT:
			break;
		}
	}
	return false;
}

static void judge_reuse(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t size)
{
	const struct sim_registers *r = &sim->config.registers;
	unsigned levels = sim->walker->levels(r, 0);

	if (sim->records_live == 0)
		return;
	if (size <= 4096 && sim->records_live > 16) {
		for (unsigned level = 0; level < levels; level++) {
			unsigned shift = sim->walker->span(r, level);
			uint64_t frame = pa & ~((UINT64_C(1) << shift) - 1u);

			for (uint32_t i = sim_frame_chain(sim, frame, shift); i != SIM_NONE;
			     i = sim->records[i].next_of_frame)
				if (judge_record_frame(sim, cpu, &sim->records[i], pa, size))
					return;
		}
	} else {
		for (uint32_t i = 0; i < sim->record_count; i++)
			if (sim->records[i].live &&
			    judge_record_frame(sim, cpu, &sim->records[i], pa, size))
				return;
	}
	for (uint32_t i = 0; sim->pointer_records && i < sim->record_count; i++) {
		const struct sim_record *record = &sim->records[i];
		unsigned budget = 65536;
		struct sim_walk walk;

		if (!record->live || !record->pointer || record->cut != SIM_FOREVER)
			continue;
		sim_look(sim, record->va, record->level, record->value, &walk);
		if (judge_orphans(sim, cpu, walk.table, record->level - 1u, record->va, pa, size,
				  &budget))
			return;
	}
}

void sim_frame_reuse(struct sim *sim, unsigned cpu, uint64_t pa, uint64_t size)
{
	struct sim_event *event;

	sim->now++;
	sim->steps++;
	event = sim_trace(sim, SIM_EVENT_REUSE, cpu);
	event->a = pa;
	event->b = size;
	if (sim->verdict.error == SIM_OK)
		judge_reuse(sim, cpu, pa, size);
}

void sim_frame_forbid(struct sim *sim, uint64_t pa, uint64_t size, enum sim_access access)
{
	for (uint64_t done = 0; done < size; done += 4096)
		sim_page_of(sim_block_at(sim, pa + done), pa + done)->flags |=
			(uint8_t)(SIM_PAGE_FORBID << access);
	sim->forbidden++;
}

void sim_frame_permit(struct sim *sim, uint64_t pa, uint64_t size, enum sim_access access)
{
	for (uint64_t done = 0; done < size; done += 4096)
		sim_page_of(sim_block_at(sim, pa + done), pa + done)->flags &=
			(uint8_t)~(SIM_PAGE_FORBID << access);
}
