/* SPDX-License-Identifier: MIT */
/*
 * The past: values that slots of live tables no longer have, for as long as any CPU may hold
 * something that came from them.
 */
#include "internal.h"

#include <stdlib.h>

#define INITIAL_FRAMES 1024u

static uint32_t *frame_head(const struct sim *sim, uint64_t frame, unsigned shift)
{
	return &sim->frames[sim_hash(frame >> 12 ^ (uint64_t)shift << 52) & (sim->frames_size - 1u)];
}

/* What an entry at one address of one level is, by itself. */
enum sim_step sim_look(const struct sim *sim, uint64_t va, unsigned level, uint64_t entry,
		       struct sim_walk *walk)
{
	/* The half only matters for how many bits the root's index has. */
	*walk = (struct sim_walk){
		.va = va, .level = (uint8_t)level, .rights = 0xff, .half = va >> 63 & 1u,
	};
	return sim->walker->step(&sim->config.registers, walk, entry);
}

/* What a record is indexed by: a leaf's frame and size, or the table it points to (shift 0). */
static bool key_of(const struct sim *sim, const struct sim_record *record, uint64_t *frame,
		   unsigned *shift, bool *pointer)
{
	struct sim_walk walk;

	switch (sim_look(sim, record->va, record->level, record->value, &walk)) {
	case SIM_STEP_LEAF:
		*shift = walk.shift;
		*frame = walk.pa & ~((UINT64_C(1) << walk.shift) - 1u);
		*pointer = false;
		return true;
	case SIM_STEP_TABLE:
		*shift = 0;
		*frame = walk.table;
		*pointer = true;
		return true;
	default:
		return false;
	}
}

static void index_frame(struct sim *sim, uint32_t index)
{
	struct sim_record *record = &sim->records[index];
	bool pointer = false;
	uint64_t frame;
	unsigned shift;
	uint32_t *head;

	record->indexed = key_of(sim, record, &frame, &shift, &pointer);
	record->pointer = pointer;
	if (!record->indexed)
		return;
	head = frame_head(sim, frame, shift);
	record->next_of_frame = *head;
	*head = index;
}

static void unindex_frame(struct sim *sim, uint32_t index)
{
	struct sim_record *record = &sim->records[index];
	bool pointer;
	uint64_t frame;
	unsigned shift;
	uint32_t *link;

	if (!record->indexed || !key_of(sim, record, &frame, &shift, &pointer))
		return;
	for (link = frame_head(sim, frame, shift); *link != SIM_NONE;
	     link = &sim->records[*link].next_of_frame) {
		if (*link == index) {
			*link = record->next_of_frame;
			return;
		}
	}
}

uint32_t sim_frame_chain(const struct sim *sim, uint64_t frame, unsigned shift)
{
	return sim->frames_size ? *frame_head(sim, frame, shift) : SIM_NONE;
}

static void grow(struct sim *sim)
{
	uint32_t room = sim->record_room ? 2 * sim->record_room : INITIAL_FRAMES;

	sim->records = realloc(sim->records, room * sizeof(*sim->records));
	free(sim->frames);
	sim->frames = malloc(room * sizeof(*sim->frames));
	if (!sim->records || !sim->frames) {
		fprintf(stderr, "sim: the host is out of memory\n");
		abort();
	}
	sim->record_room = room;
	sim->frames_size = room;
	for (uint32_t i = 0; i < room; i++)
		sim->frames[i] = SIM_NONE;
	for (uint32_t i = 0; i < sim->record_count; i++)
		if (sim->records[i].live)
			index_frame(sim, i);
}

uint32_t sim_record_add(struct sim *sim, const struct sim_record *record)
{
	uint32_t index = sim->record_free;

	if (index != SIM_NONE) {
		sim->record_free = sim->records[index].older;
	} else {
		if (sim->record_count == sim->record_room)
			grow(sim);
		index = sim->record_count++;
	}
	sim->records[index] = *record;
	sim->records[index].live = 1;
	sim->records_live++;
	index_frame(sim, index);
	sim->pointer_records += sim->records[index].pointer;
	return index;
}

static void drop(struct sim *sim, uint32_t index)
{
	unindex_frame(sim, index);
	sim->pointer_records -= sim->records[index].pointer;
	sim->records[index].live = 0;
	sim->records[index].indexed = 0;
	sim->records[index].pointer = 0;
	sim->records[index].older = sim->record_free;
	sim->record_free = index;
	sim->records_live--;
}

static bool is_root(const struct sim *sim, uint64_t va, unsigned level)
{
	return level + 1u == sim->walker->levels(&sim->config.registers, va >> 63 & 1u);
}

/*
 * The slot had the value `old` and gets another: if hardware may have cached anything of `old`, it
 * becomes history. `visible`: no walker reads the old value from now on; else not before the
 * writer's next barrier.
 */
void sim_record_kill(struct sim *sim, struct sim_page *page, uint64_t pa, uint64_t old,
		     unsigned cpu, bool visible)
{
	unsigned index = (unsigned)(pa & 4095u) / sim->width;
	struct sim_slot *slot = sim_slot_make(sim, page, index);
	const struct sim_role *role = &sim->roles[page->roles];
	struct sim_record record = {
		.slot = pa,
		.value = old,
		.from = slot->from,
		.to = visible ? sim->now : SIM_FOREVER,
		.to_here = visible ? sim->now : SIM_FOREVER,
		.killed = sim->now,
		.cut = SIM_FOREVER,
		.level = role->level,
		.killer = cpu,
		.older = slot->records,
	};
	struct sim_walk walk;
	bool in_register;

	record.va = sim_canonical(sim, role->va + ((uint64_t)index << sim->walker->span(
							   &sim->config.registers, role->level)));
	in_register = sim_root_in_registers(sim) && is_root(sim, record.va, role->level);
	sim_look(sim, record.va, role->level, old, &walk);
	record.cacheable = walk.cacheable;
	if (walk.cacheable || !visible || in_register) {
		uint32_t added = sim_record_add(sim, &record);

		slot->records = added;
		if (sim->records[added].pointer)
			sim->pointer_death = sim->now;
		if (!visible) {
			struct sim_cpu *writer = &sim->cpu[cpu];

			if (writer->unseen_count == writer->unseen_room) {
				writer->unseen_room = writer->unseen_room ? 2 * writer->unseen_room
									  : 64;
				writer->unseen = realloc(writer->unseen,
							 writer->unseen_room * sizeof(uint32_t));
				if (!writer->unseen)
					abort();
			}
			writer->unseen[writer->unseen_count++] = added;
		}
	}
	if (in_register)
		sim->root_change = sim->now;
	slot->from = sim->now;
	slot->writer = (uint16_t)cpu;
}

/* Takes a record out of its slot's list. */
void sim_record_release(struct sim *sim, uint32_t index)
{
	uint64_t pa = sim->records[index].slot;
	struct sim_slot *slot = sim_slot_find(sim, sim_page_of(sim_block_at(sim, pa), pa), pa);

	for (uint32_t *link = &slot->records; *link != SIM_NONE;
	     link = &sim->records[*link].older) {
		if (*link == index) {
			*link = sim->records[index].older;
			drop(sim, index);
			return;
		}
	}
}

/* Everything of every CPU was invalidated at or after this moment. */
uint64_t sim_flushed_everywhere(const struct sim *sim)
{
	uint64_t floor = SIM_FOREVER;

	for (unsigned i = 0; i < sim->agents; i++) {
		const struct sim_cpu *cpu = &sim->cpu[i];
		uint64_t time = cpu->all_global.latest;

		if (cpu->context_count == 0)
			continue;
		if (!cpu->device && sim->broadcast_all_global.latest > time)
			time = sim->broadcast_all_global.latest;
		if (time < floor)
			floor = time;
	}
	return floor;
}

/* True when no CPU can hold anything that came through the record. */
static bool dead(struct sim *sim, const struct sim_record *record, uint64_t flushed)
{
	if (record->to == SIM_FOREVER)
		return false;
	/* A register keeps it through an invalidation. */
	if (sim_root_in_registers(sim) && is_root(sim, record->va, record->level)) {
		for (unsigned cpu = 0; cpu < sim->agents; cpu++)
			if (sim->cpu[cpu].context_count &&
			    sim_root_loaded(&sim->cpu[cpu], record->killed) == SIM_FOREVER)
				return false;
	} else if (record->to <= flushed) {
		return true;
	}
	for (unsigned cpu = 0; cpu < sim->agents; cpu++)
		if (sim_record_held(sim, cpu, record))
			return false;
	return true;
}

/* Drops the records of one slot that nobody holds any more. */
static void prune(struct sim *sim, struct sim_page *page, uint64_t pa, uint64_t flushed)
{
	struct sim_slot *slot = sim_slot_find(sim, page, pa);
	uint32_t *link;

	if (!slot)
		return;
	for (link = &slot->records; *link != SIM_NONE;) {
		uint32_t index = *link;

		if (dead(sim, &sim->records[index], flushed)) {
			*link = sim->records[index].older;
			drop(sim, index);
		} else {
			link = &sim->records[index].older;
		}
	}
}

void sim_slot_prune(struct sim *sim, struct sim_page *page, uint64_t pa)
{
	prune(sim, page, pa, sim_flushed_everywhere(sim));
}

/* Drops every record that nobody holds any more, now and then. */
void sim_records_prune(struct sim *sim)
{
	uint64_t flushed = sim_flushed_everywhere(sim);

	for (uint32_t i = 0; i < sim->record_count; i++) {
		uint64_t slot = sim->records[i].slot;

		if (sim->records[i].live)
			prune(sim, sim_page_of(sim_block_at(sim, slot), slot), slot, flushed);
	}
	sim->prune_at = sim->records_live * 2u + 1024u;
}

/* No invalidation before this moment can matter to any record. */
uint64_t sim_oldest_death(const struct sim *sim)
{
	uint64_t oldest = sim->now;

	for (uint32_t i = 0; i < sim->record_count; i++)
		if (sim->records[i].live && sim->records[i].to < oldest)
			oldest = sim->records[i].to;
	return oldest;
}
