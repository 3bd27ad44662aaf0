/* SPDX-License-Identifier: MIT */
/*
 * The RISC-V walker, from the Privileged Architecture, version 1.13, sections "Sv32" (the
 * algorithm "Virtual Address Translation Process"), "Sv39", "Sv48", "Sv57", "Svnapot", "Svpbmt",
 * "Svadu". Step numbers are the algorithm's.
 */
#include "walk.h"

#define BIT(n) (UINT64_C(1) << (n))
#define BITS(first, last) ((~UINT64_C(0) << (first)) & (~UINT64_C(0) >> (63 - (last))))

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
#define N BIT(63)

static unsigned span(const struct sim_registers *r, unsigned level)
{
	(void)r;
	return 12 + 9 * level;
}

static unsigned index_of(unsigned level, uint64_t va)
{
	return (unsigned)(va >> (12 + 9 * level)) & 511u;
}

static enum sim_fault start(const struct sim_registers *r, uint64_t va, struct sim_walk *walk)
{
	unsigned sign = 12 + 9 * r->levels - 1;
	uint64_t top = va >> sign;

	*walk = (struct sim_walk){.va = va, .level = (uint8_t)(r->levels - 1)};
	walk->index = index_of(walk->level, va);
	/* Bits above the translated ones must all equal the highest of them, or it is a page
	 * fault. */
	return top != 0 && top != (~UINT64_C(0) >> sign) ? SIM_FAULT_ADDRESS : SIM_FAULT_NONE;
}

static enum sim_step fault(const struct sim_registers *r, struct sim_walk *walk,
			   enum sim_fault what)
{
	/* "Implementations may cache invalid entries"; with Svvptc an entry made valid is seen
	 * within bounded time without a fence. */
	walk->cacheable = !r->svvptc;
	walk->fault = (uint8_t)what;
	walk->fault_level = walk->level;
	return SIM_STEP_FAULT;
}

static enum sim_step step(const struct sim_registers *r, struct sim_walk *walk, uint64_t e)
{
	unsigned level = walk->level;
	unsigned shift = 12 + 9 * level;
	uint64_t frame = (e & BITS(10, 53)) << 2;
	bool leaf = e & (R | X);

	walk->entry = e;
	walk->shift = (uint8_t)shift;
	walk->group = 0;
	if (e & G) /* G on a pointer makes everything below it global */
		walk->global = true;
	/* Step 3. */
	if (!(e & V))
		return fault(r, walk, SIM_FAULT_NOT_PRESENT);
	if ((e & W) && !(e & R))
		return fault(r, walk, SIM_FAULT_RESERVED);
	if (e & BITS(54, 60))
		return fault(r, walk, SIM_FAULT_RESERVED);
	if (!r->svpbmt && (e & BITS(61, 62)))
		return fault(r, walk, SIM_FAULT_RESERVED);
	if ((e & BITS(61, 62)) == BITS(61, 62))
		return fault(r, walk, SIM_FAULT_RESERVED);
	if (!r->svnapot && (e & N))
		return fault(r, walk, SIM_FAULT_RESERVED);
	/* Step 4: a pointer. D, A and U of it, N and PBMT are reserved and must be clear. */
	if (!leaf) {
		if (level == 0 || (e & (A | D | U)) || (e & (N | BITS(61, 62))))
			return fault(r, walk, SIM_FAULT_RESERVED);
		walk->cacheable = true;
		walk->table = frame;
		walk->level = (uint8_t)(level - 1);
		walk->index = index_of(level - 1, walk->va);
		return SIM_STEP_TABLE;
	}
	/* Step 6: a superpage whose low frame bits are not zero. */
	if (frame & (BIT(shift) - 1u))
		return fault(r, walk, SIM_FAULT_RESERVED);
	if (e & N) {
		/* Table "Page table entry encodings when pte.N=1": 64 KiB at level 0 only. */
		if (level != 0 || (e >> 10 & 15u) != 8u)
			return fault(r, walk, SIM_FAULT_RESERVED);
		frame = (frame & ~UINT64_C(0xffff)) | (walk->va & UINT64_C(0xf000));
		walk->group = 4;
	}
	walk->cacheable = true;
	walk->rights = (uint8_t)((e & R ? SIM_RIGHT_READ : 0) | (e & W ? SIM_RIGHT_WRITE : 0) |
				 (e & X ? SIM_RIGHT_EXEC : 0) | (e & U ? SIM_RIGHT_USER : 0));
	walk->accessed = e & A;
	walk->dirty = e & D;
	switch (e >> 61 & 3u) {
	case 1: walk->type = SIM_TYPE_WRITE_COMBINE; break; /* NC */
	case 2: walk->type = SIM_TYPE_DEVICE; break;        /* IO */
	default: walk->type = SIM_TYPE_NORMAL; break;       /* PMA */
	}
	walk->pa = frame | (walk->va & (BIT(shift) - 1u));
	return SIM_STEP_LEAF;
}

static enum sim_fault permit(const struct sim_registers *r, const struct sim_walk *walk,
			     enum sim_access access, enum sim_privilege privilege)
{
	unsigned rights = walk->rights;
	bool user = rights & SIM_RIGHT_USER;
	bool readable = (rights & SIM_RIGHT_READ) || (r->mxr && (rights & SIM_RIGHT_EXEC));

	/* Step 5. */
	if (access == SIM_READ && !readable)
		return SIM_FAULT_PERMISSION;
	if (access == SIM_WRITE && !(rights & SIM_RIGHT_WRITE))
		return SIM_FAULT_PERMISSION;
	if (access == SIM_FETCH && !(rights & SIM_RIGHT_EXEC))
		return SIM_FAULT_PERMISSION;
	/* U, and SUM for S-mode; S-mode never executes user pages, whatever SUM says. */
	if (privilege == SIM_USER && !user)
		return SIM_FAULT_PERMISSION;
	if (privilege == SIM_SUPERVISOR && user && (access == SIM_FETCH || !r->sum))
		return SIM_FAULT_PERMISSION;
	/* Step 7. */
	if (!r->adue && (!walk->accessed || (access == SIM_WRITE && !walk->dirty)))
		return SIM_FAULT_ACCESS_FLAG;
	return SIM_FAULT_NONE;
}

static uint64_t touch(const struct sim_registers *r, unsigned level, uint64_t e, bool leaf,
		      enum sim_access access)
{
	(void)level;
	if (!leaf || !r->adue)
		return e;
	return e | A | (access == SIM_WRITE ? D : 0);
}

static unsigned entries(const struct sim_registers *r, unsigned level)
{
	(void)r, (void)level;
	return 512;
}

static unsigned group(const struct sim_registers *r, unsigned level)
{
	return r->svnapot && level == 0 ? 4 : 0;
}

static unsigned levels(const struct sim_registers *r, unsigned half)
{
	(void)half;
	return r->levels;
}

static uint64_t table_size(const struct sim_registers *r)
{
	(void)r;
	return 4096;
}

static uint64_t hardware_bits(const struct sim_registers *r, unsigned level)
{
	(void)level;
	return r->adue ? A | D : 0;
}

const struct sim_walker sim_walker_riscv = {
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
	.hardware_bits = hardware_bits,
};
