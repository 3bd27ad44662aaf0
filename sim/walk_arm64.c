/* SPDX-License-Identifier: MIT */
/*
 * The arm64 walker: VMSAv8-64, stage 1 of EL1&0, from the Arm ARM DDI 0487 issue J.a, chapter D8.
 *
 * Levels count from the leaves here (0 holds pages), the manual counts from the root (3 does).
 */
#include "walk.h"

#define BIT(n) (UINT64_C(1) << (n))
#define BITS(first, last) ((~UINT64_C(0) << (first)) & (~UINT64_C(0) >> (63 - (last))))

#define VALID     BIT(0)
#define TABLE     BIT(1)
#define AP_USER   BIT(6)
#define AP_RDONLY BIT(7)
#define AF        BIT(10)
#define NG        BIT(11)
#define NT        BIT(16)
#define DBM       BIT(51)
#define CONT      BIT(52)
#define PXN       BIT(53)
#define UXN       BIT(54)
#define PXN_TABLE BIT(59)
#define UXN_TABLE BIT(60)
#define AP_TABLE_NO_USER  BIT(61)
#define AP_TABLE_NO_WRITE BIT(62)

static unsigned span(const struct sim_registers *r, unsigned level)
{
	return r->granule_shift + (r->granule_shift - 3) * level;
}

static unsigned va_bits(const struct sim_registers *r, unsigned half)
{
	return 64 - (half ? r->t1sz : r->t0sz);
}

/* D8.2.4: as many levels as the input address needs. */
static unsigned levels(const struct sim_registers *r, unsigned half)
{
	unsigned per_level = r->granule_shift - 3;

	return (va_bits(r, half) - r->granule_shift + per_level - 1) / per_level;
}

static unsigned index_of(const struct sim_registers *r, const struct sim_walk *walk,
			 unsigned level)
{
	unsigned bits = va_bits(r, walk->half);
	unsigned shift = span(r, level);
	unsigned width = r->granule_shift - 3;

	if (shift + width > bits) /* the root resolves what is left */
		width = bits - shift;
	return (unsigned)(walk->va >> shift) & ((1u << width) - 1u);
}

/* D8.2.1: bit 55 selects the half; the bits above the input size must agree with it. */
static enum sim_fault start(const struct sim_registers *r, uint64_t va, struct sim_walk *walk)
{
	unsigned half = va >> 55 & 1u;
	unsigned bits = va_bits(r, half);

	*walk = (struct sim_walk){
		.va = va,
		.half = (uint8_t)half,
		.rights = SIM_RIGHT_WRITE | SIM_RIGHT_USER | SIM_RIGHT_EXEC | SIM_RIGHT_PRIV_EXEC,
	};
	walk->level = (uint8_t)(levels(r, half) - 1);
	walk->index = index_of(r, walk, walk->level);
	return va >> bits != (half ? ~UINT64_C(0) >> bits : 0) ? SIM_FAULT_ADDRESS : SIM_FAULT_NONE;
}

static enum sim_step fault(struct sim_walk *walk, enum sim_fault what)
{
	/* D8.16: a translation that causes a Translation, Address size or Access flag fault is
	 * never held in a TLB. */
	walk->fault = (uint8_t)what;
	walk->fault_level = walk->level;
	walk->cacheable = false;
	return SIM_STEP_FAULT;
}

/* D8.3.1: where the output address lies in a descriptor. */
static uint64_t output_address(const struct sim_registers *r, uint64_t e, unsigned low)
{
	uint64_t pa;

	if (r->ds && r->granule_shift != 16) {
		pa = e & BITS(low, 49);
		return pa | (e >> 8 & 3u) << 50;
	}
	pa = e & BITS(low, 47);
	if (r->lpa && r->granule_shift == 16)
		pa |= (e >> 12 & 15u) << 48;
	return pa;
}

/* D8.3.1, table D8-..: at which levels a block may stand. */
static bool block_allowed(const struct sim_registers *r, unsigned level)
{
	switch (r->granule_shift) {
	case 12: return level == 1 || level == 2 || (level == 3 && r->ds);
	case 14: return level == 1 || (level == 2 && r->ds);
	default: return level == 1 || (level == 2 && r->lpa);
	}
}

static unsigned group_order(const struct sim_registers *r, unsigned level)
{
	switch (r->granule_shift) { /* D8.6.1, the Contiguous bit */
	case 12: return 4;
	case 14: return level == 0 ? 7 : 5;
	default: return 5;
	}
}

static enum sim_type type_of(const struct sim_registers *r, unsigned index)
{
	switch (r->mair >> (8 * index) & 0xffu) { /* D17.2.97, MAIR_EL1 */
	case 0x00: return SIM_TYPE_DEVICE_STRICT;  /* nGnRnE */
	case 0x04: return SIM_TYPE_DEVICE;         /* nGnRE */
	case 0x44: return SIM_TYPE_WRITE_COMBINE;  /* Normal, non-cacheable */
	case 0xbb: return SIM_TYPE_WRITE_THROUGH;  /* Normal, write-through */
	case 0xff: return SIM_TYPE_NORMAL;         /* Normal, write-back */
	case 0xf0: return SIM_TYPE_TAGGED;
	default: return SIM_TYPE_RESERVED;
	}
}

/* D8.4: what the leaf says, less what the tables above took away. */
static void leaf_rights(const struct sim_registers *r, struct sim_walk *walk, uint64_t e)
{
	unsigned rights = walk->rights;
	bool modifier = r->hd && (e & DBM);

	if (!(e & AP_USER))
		rights &= ~(unsigned)SIM_RIGHT_USER;
	if (!(rights & SIM_RIGHT_WRITE)) /* APTable[1] */
		rights |= SIM_RIGHT_READ_ONLY;
	else if ((e & AP_RDONLY) && modifier)
		rights |= SIM_RIGHT_DIRTY_MODIFIER;
	else if (e & AP_RDONLY)
		rights |= SIM_RIGHT_READ_ONLY;
	if (rights & SIM_RIGHT_READ_ONLY)
		rights &= ~(unsigned)SIM_RIGHT_WRITE;
	if (e & UXN)
		rights &= ~(unsigned)SIM_RIGHT_EXEC;
	if (e & PXN)
		rights &= ~(unsigned)SIM_RIGHT_PRIV_EXEC;
	walk->rights = (uint8_t)rights;
}

static enum sim_step step(const struct sim_registers *r, struct sim_walk *walk, uint64_t e)
{
	unsigned level = walk->level;
	unsigned shift = span(r, level);
	bool leaf = level == 0 || !(e & TABLE);
	/* The realm's shared bit is the top bit of the address and addresses nothing. */
	uint64_t limit = ~UINT64_C(0) << r->physical_bits & ~r->encryption_mask;

	walk->entry = e;
	walk->shift = (uint8_t)shift;
	walk->group = 0;
	if (!(e & VALID))
		return fault(walk, SIM_FAULT_NOT_PRESENT);
	if (level == 0 && !(e & TABLE)) /* the block encoding at the last level is reserved */
		return fault(walk, SIM_FAULT_NOT_PRESENT);
	if (leaf && level > 0 && !block_allowed(r, level))
		return fault(walk, SIM_FAULT_NOT_PRESENT);
	if (!leaf) {
		uint64_t table = output_address(r, e, r->granule_shift);

		if (table & limit)
			return fault(walk, SIM_FAULT_SIZE);
		/* D8.4.1, hierarchical permissions. */
		if (e & AP_TABLE_NO_USER)
			walk->rights &= (uint8_t)~SIM_RIGHT_USER;
		if (e & AP_TABLE_NO_WRITE)
			walk->rights &= (uint8_t)~SIM_RIGHT_WRITE;
		if (e & UXN_TABLE)
			walk->rights &= (uint8_t)~SIM_RIGHT_EXEC;
		if (e & PXN_TABLE)
			walk->rights &= (uint8_t)~SIM_RIGHT_PRIV_EXEC;
		walk->cacheable = true;
		walk->table = table;
		walk->level = (uint8_t)(level - 1);
		walk->index = index_of(r, walk, level - 1);
		return SIM_STEP_TABLE;
	}
	walk->pa = output_address(r, e, shift);
	if (walk->pa & limit)
		return fault(walk, SIM_FAULT_SIZE);
	if (!(e & AF) && !r->ha)
		return fault(walk, SIM_FAULT_ACCESS_FLAG);
	if (e & CONT) {
		walk->group = (uint8_t)group_order(r, level);
		/* The group translates as a whole: the address bits inside it come from va. */
		walk->pa &= ~(BIT(shift + walk->group) - 1u);
		walk->pa |= walk->va & (BIT(shift + walk->group) - 1u);
	}
	walk->pa |= walk->va & (BIT(shift) - 1u);
	leaf_rights(r, walk, e);
	walk->cacheable = true;
	walk->global = !(e & NG);
	walk->accessed = e & AF;
	walk->dirty = !(e & AP_RDONLY);
	walk->type = (uint8_t)type_of(r, (unsigned)(e >> 2) & 7u);
	return SIM_STEP_LEAF;
}

/* D8.4.2 data accesses, D8.4.3 PAN, D8.4.4 instruction fetches, WXN. */
static enum sim_fault permit(const struct sim_registers *r, const struct sim_walk *walk,
			     enum sim_access access, enum sim_privilege privilege)
{
	bool user = walk->rights & SIM_RIGHT_USER;
	bool writable = walk->rights & (SIM_RIGHT_WRITE | SIM_RIGHT_DIRTY_MODIFIER);

	if (access == SIM_FETCH) {
		/*
		 * EL0: UXN decides, whether EL0 may read or not (execute-only memory). EL1: PXN, and
		 * what EL0 may write EL1 never executes. WXN takes execution from whatever the
		 * exception level that fetches may write.
		 */
		bool execute = privilege == SIM_USER
				       ? (walk->rights & SIM_RIGHT_EXEC) && !(r->wxn && user && writable)
				       : (walk->rights & SIM_RIGHT_PRIV_EXEC) && !(user && writable) &&
						 !(r->wxn && writable);

		return execute ? SIM_FAULT_NONE : SIM_FAULT_PERMISSION;
	}
	if (privilege == SIM_USER && !user)
		return SIM_FAULT_PERMISSION;
	if (privilege == SIM_SUPERVISOR && user && r->pan)
		return SIM_FAULT_PERMISSION;
	if (access == SIM_WRITE && !writable)
		return SIM_FAULT_PERMISSION;
	return SIM_FAULT_NONE;
}

/* D8.5: hardware management of the Access flag and of dirty state. */
static uint64_t touch(const struct sim_registers *r, unsigned level, uint64_t e, bool leaf,
		      enum sim_access access)
{
	(void)level;
	if (!leaf)
		return e;
	if (r->ha)
		e |= AF;
	if (r->hd && access == SIM_WRITE && (e & DBM))
		e &= ~AP_RDONLY;
	return e;
}

static unsigned entries(const struct sim_registers *r, unsigned level)
{
	(void)level;
	return 1u << (r->granule_shift - 3);
}

static uint64_t table_size(const struct sim_registers *r)
{
	return UINT64_C(1) << r->granule_shift;
}

static bool live_leaf(const struct sim_registers *r, unsigned level, uint64_t e)
{
	return (e & VALID) && (level == 0 ? (e & TABLE) != 0 : !(e & TABLE)) &&
	       ((e & AF) || r->ha);
}

/*
 * D8.16.1, "Using break-before-make": demanded when a live entry changes its memory type or
 * cacheability, its output address, the size it translates, or from not global to global; and the
 * Contiguous bit counts as size. An entry with AF clear is in no TLB unless hardware sets AF.
 * FEAT_BBM level 1 lets the Contiguous bit change, and block against table while nT is set in the
 * block; level 2 lets both change without.
 */
static bool needs_break(const struct sim_registers *r, unsigned level, uint64_t old, uint64_t new)
{
	bool old_leaf = live_leaf(r, level, old), new_leaf = live_leaf(r, level, new);
	bool old_table = level > 0 && (old & (VALID | TABLE)) == (VALID | TABLE);
	bool new_table = level > 0 && (new & (VALID | TABLE)) == (VALID | TABLE);
	uint64_t shareability = r->ds && r->granule_shift != 16 ? 0 : BITS(8, 9);
	unsigned shift = span(r, level);

	if (old_leaf && new_leaf) {
		if (output_address(r, old, shift) != output_address(r, new, shift))
			return true;
		if ((old ^ new) & (BITS(2, 4) | shareability))
			return true;
		if ((old & NG) && !(new & NG))
			return true;
		return ((old ^ new) & CONT) && r->bbm_level == 0;
	}
	if ((old_leaf && new_table) || (old_table && new_leaf)) {
		uint64_t block = old_leaf ? old : new;

		if (r->bbm_level == 0)
			return true;
		if (r->bbm_level == 1 && !(block & NT))
			return true;
	}
	return false;
}

static uint64_t hardware_bits(const struct sim_registers *r, unsigned level)
{
	(void)level;
	return (r->ha ? AF : 0) | (r->hd ? AP_RDONLY : 0);
}

const struct sim_walker sim_walker_arm64 = {
	.width = 8,
	.invalidate_reaches_superpage = true,
	.start = start,
	.step = step,
	.permit = permit,
	.touch = touch,
	.span = span,
	.entries = entries,
	.levels = levels,
	.group = group_order,
	.table_size = table_size,
	.needs_break = needs_break,
	.hardware_bits = hardware_bits,
};
