/* SPDX-License-Identifier: MIT */
/*
 * The walker of the format that no machine has: Kelp's test format, in which no two levels agree
 * in anything. Its "manual" is the table at the head of Kelp's arch/fake/format.h; this is a
 * second statement of it. Every rule a real machine has is a switch here, so that each branch of
 * portable code can be judged without a real architecture.
 */
#include "walk.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { VALID, LEAF, READ, WRITE, EXEC, USER, GLOBAL, ACCESSED, DIRTY, GROUP, TYPE, DENY_WRITE,
       DENY_EXEC, DENY_USER, FIELDS };

static const struct level {
	unsigned span, bits, group, frame;
	uint64_t granted_by_clear;         /* rights that a clear bit gives */
	int step_of_type;                  /* the type's three bits go up or down from TYPE */
	uint8_t at[FIELDS];
} level_of[4] = {
	{12, 8, 2, 24, 0, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 17, 14, 10, 11, 12}},
	{20, 9, 3, 32, BIT(5), -1, {11, 9, 7, 5, 3, 1, 0, 2, 4, 26, 29, 8, 10, 31}},
	{29, 7, 0, 13, BIT(46) | BIT(48), 1, {6, 63, 46, 47, 48, 49, 50, 51, 52, 5, 2, 54, 55, 0}},
	{36, 6, 0, 28, 0, 1, {3, 60, 61, 62, 63, 0, 1, 2, 4, 13, 10, 6, 7, 8}},
};

static bool has(unsigned level, uint64_t e, unsigned field)
{
	uint64_t bit = BIT(level_of[level].at[field]);

	return !(e & bit) == !!(level_of[level].granted_by_clear & bit);
}

static unsigned index_of(unsigned level, uint64_t va)
{
	return (unsigned)(va >> level_of[level].span) & ((1u << level_of[level].bits) - 1u);
}

static enum sim_fault start(const struct sim_registers *r, uint64_t va, struct sim_walk *walk)
{
	*walk = (struct sim_walk){
		.va = va,
		.level = 3,
		.index = index_of(3, va),
		.rights = SIM_RIGHT_READ | SIM_RIGHT_WRITE | SIM_RIGHT_EXEC | SIM_RIGHT_USER,
	};
	return va >> 42 != (r->fake_high_half ? ~UINT64_C(0) >> 42 : 0) ? SIM_FAULT_ADDRESS
									: SIM_FAULT_NONE;
}

static enum sim_step fault(const struct sim_registers *r, struct sim_walk *walk,
			   enum sim_fault what)
{
	walk->fault = (uint8_t)what;
	walk->fault_level = walk->level;
	walk->cacheable = !r->svvptc;
	return SIM_STEP_FAULT;
}

static void deny(struct sim_walk *walk, bool denied, unsigned right)
{
	if (denied)
		walk->rights &= (uint8_t)~right;
}

static enum sim_step step(const struct sim_registers *r, struct sim_walk *walk, uint64_t e)
{
	unsigned level = walk->level;
	const struct level *is = &level_of[level];
	uint64_t frame = e >> is->frame & 0xffffffffu;
	bool leaf = has(level, e, LEAF);
	unsigned type = 0;

	walk->entry = e;
	walk->shift = (uint8_t)is->span;
	walk->group = 0;
	if (e == 0 || !has(level, e, VALID))
		return fault(r, walk, SIM_FAULT_NOT_PRESENT);
	if (leaf ? level == 3 : level == 0)
		return fault(r, walk, SIM_FAULT_RESERVED);
	walk->cacheable = true;
	if (!leaf) {
		if (r->fake_hierarchical) {
			deny(walk, has(level, e, DENY_WRITE), SIM_RIGHT_WRITE);
			deny(walk, has(level, e, DENY_EXEC), SIM_RIGHT_EXEC);
			deny(walk, has(level, e, DENY_USER), SIM_RIGHT_USER);
		}
		walk->table = frame << 12;
		walk->level = (uint8_t)(level - 1);
		walk->index = index_of(level - 1, walk->va);
		return SIM_STEP_TABLE;
	}
	if (is->group && has(level, e, GROUP)) {
		walk->group = (uint8_t)is->group;
		/* Level 1: three bits say the size and hold no frame. */
		frame &= ~((BIT(is->span + is->group) - 1u) >> 12);
		walk->pa = frame << 12 | (walk->va & (BIT(is->span + is->group) - 1u));
	} else {
		frame &= ~((BIT(is->span) - 1u) >> 12);
		walk->pa = frame << 12 | (walk->va & (BIT(is->span) - 1u));
	}
	deny(walk, !has(level, e, READ), SIM_RIGHT_READ);
	deny(walk, !has(level, e, WRITE), SIM_RIGHT_WRITE);
	deny(walk, !has(level, e, EXEC), SIM_RIGHT_EXEC);
	deny(walk, !has(level, e, USER), SIM_RIGHT_USER);
	for (int i = 0; i < 3; i++)
		type |= e & BIT(is->at[TYPE] + is->step_of_type * i) ? 1u << i : 0;
	walk->type = (uint8_t)((type - level) & 7u);
	walk->global = has(level, e, GLOBAL);
	walk->accessed = has(level, e, ACCESSED);
	walk->dirty = has(level, e, DIRTY);
	return SIM_STEP_LEAF;
}

/* Rights are those of the privilege the leaf is for; the kernel may use user leaves. */
static enum sim_fault permit(const struct sim_registers *r, const struct sim_walk *walk,
			     enum sim_access access, enum sim_privilege privilege)
{
	static const unsigned needed[] = {
		[SIM_READ] = SIM_RIGHT_READ,
		[SIM_WRITE] = SIM_RIGHT_WRITE,
		[SIM_FETCH] = SIM_RIGHT_EXEC,
	};

	/* Software keeps the accessed bit: the first use faults, as on arm64. */
	if (!r->ha && !walk->accessed)
		return SIM_FAULT_ACCESS_FLAG;
	if (!(walk->rights & needed[access]))
		return SIM_FAULT_PERMISSION;
	if (privilege == SIM_USER && !(walk->rights & SIM_RIGHT_USER))
		return SIM_FAULT_PERMISSION;
	return SIM_FAULT_NONE;
}

static uint64_t touch(const struct sim_registers *r, unsigned level, uint64_t e, bool leaf,
		      enum sim_access access)
{
	if (!leaf || !r->ha)
		return e;
	e |= BIT(level_of[level].at[ACCESSED]);
	return e | (access == SIM_WRITE ? BIT(level_of[level].at[DIRTY]) : 0);
}

static unsigned span(const struct sim_registers *r, unsigned level)
{
	(void)r;
	return level_of[level].span;
}

static unsigned entries(const struct sim_registers *r, unsigned level)
{
	(void)r;
	return 1u << level_of[level].bits;
}

static unsigned group(const struct sim_registers *r, unsigned level)
{
	(void)r;
	return level_of[level].group;
}

static unsigned levels(const struct sim_registers *r, unsigned half)
{
	(void)r, (void)half;
	return 4;
}

static uint64_t table_size(const struct sim_registers *r)
{
	(void)r;
	return 4096;
}

/* As on arm64, except that another table never replaces a live one either, and that an entry may
 * become global. */
static bool needs_break(const struct sim_registers *r, unsigned level, uint64_t old, uint64_t new)
{
	const struct level *is = &level_of[level];
	bool old_leaf = has(level, old, LEAF), new_leaf = has(level, new, LEAF);
	struct sim_walk before = {.level = (uint8_t)level}, after = {.level = (uint8_t)level};

	if (old == 0 || new == 0 || !has(level, old, VALID) || !has(level, new, VALID))
		return false;
	if (old_leaf != new_leaf)
		return r->bbm_level < 2;
	if (!old_leaf)
		return (old ^ new) >> is->frame & 0xffffffffu;
	if (step(r, &before, old) != SIM_STEP_LEAF || step(r, &after, new) != SIM_STEP_LEAF)
		return false;
	if (before.group != after.group) {
		/* The frame of the group's first member, as far as the mark leaves it. */
		unsigned span_shift = is->span + is->group;

		return r->bbm_level < 1 || before.type != after.type ||
		       before.pa >> span_shift != after.pa >> span_shift;
	}
	return before.pa != after.pa || before.type != after.type;
}

static bool root_in_registers(const struct sim_registers *r)
{
	return r->fake_root_in_registers;
}

static uint64_t hardware_bits(const struct sim_registers *r, unsigned level)
{
	return r->ha ? BIT(level_of[level].at[ACCESSED]) | BIT(level_of[level].at[DIRTY]) : 0;
}

const struct sim_walker sim_walker_fake = {
	.width = 8,
	.caches_faults = true,
	.faults_of_pointers = true,
	.invalidate_reaches_superpage = true,
	.start = start,
	.step = step,
	.permit = permit,
	.touch = touch,
	.span = span,
	.entries = entries,
	.levels = levels,
	.group = group,
	.table_size = table_size,
	.root_in_registers = root_in_registers,
	.needs_break = needs_break,
	.hardware_bits = hardware_bits,
};
