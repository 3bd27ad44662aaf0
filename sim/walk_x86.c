/* SPDX-License-Identifier: MIT */
/*
 * The x86 walker, from the Intel SDM, volume 3A, revision 081, chapter 4.
 *
 * One source for the three modes; which it is comes as a constant. Section numbers are the SDM's.
 */
#include "walk.h"

enum mode { LONG, PAE, TWO };

#define BIT(n) (UINT64_C(1) << (n))
/* Bits first to last, both inside. */
#define BITS(first, last) ((~UINT64_C(0) << (first)) & (~UINT64_C(0) >> (63 - (last))))

static inline unsigned span_of(enum mode mode, unsigned level)
{
	return mode == TWO ? 12 + 10 * level : 12 + 9 * level;
}

static inline unsigned index_of(enum mode mode, unsigned level, uint64_t va)
{
	if (mode == TWO)
		return (unsigned)(va >> (12 + 10 * level)) & 1023u;
	if (mode == PAE && level == 2)
		return (unsigned)(va >> 30) & 3u;
	return (unsigned)(va >> (12 + 9 * level)) & 511u;
}

/* 4.5.1: with 4 levels bits 63:47 agree, with 5 levels 63:56. The other modes: 32 bits. */
static inline enum sim_fault start(enum mode mode, const struct sim_registers *r, uint64_t va,
				   struct sim_walk *walk)
{
	*walk = (struct sim_walk){
		.va = va,
		.rights = SIM_RIGHT_WRITE | SIM_RIGHT_USER | SIM_RIGHT_EXEC,
	};
	if (mode == LONG) {
		unsigned sign = r->levels == 5 ? 56 : 47;
		uint64_t top = va >> sign;

		walk->level = (uint8_t)(r->levels - 1);
		if (top != 0 && top != (~UINT64_C(0) >> sign))
			return SIM_FAULT_ADDRESS;
	} else {
		walk->level = mode == PAE ? 2 : 1;
		if (va >> 32)
			return SIM_FAULT_ADDRESS;
	}
	walk->index = index_of(mode, walk->level, va);
	return SIM_FAULT_NONE;
}

/*
 * Bits that must be clear in a present entry. 4.5.4 and figure 4-11 for 4 and 5 levels; 4.4.2
 * and figure 4-7 for PAE; 4.3 and figure 4-4 for 32-bit paging.
 */
static inline uint64_t reserved_bits(enum mode mode, const struct sim_registers *r,
				     unsigned level, bool leaf)
{
	uint64_t wide = BITS(r->physical_bits, 51) & ~r->encryption_mask;
	uint64_t reserved = 0;

	if (r->physical_bits >= 52)
		wide = 0;
	switch (mode) {
	case LONG:
		reserved = wide | (r->nxe ? 0 : BIT(63));
		if (leaf && level == 1)
			reserved |= BITS(13, 20);
		if (leaf && level == 2)
			reserved |= BITS(13, 29);
		break;
	case PAE:
		reserved = wide | BITS(52, 62);
		if (level == 2) /* table 4-8: MOV to CR3 checks these */
			return reserved | BIT(63) | BITS(1, 2) | BITS(5, 8);
		reserved |= r->nxe ? 0 : BIT(63);
		if (leaf && level == 1)
			reserved |= BITS(13, 20);
		break;
	case TWO:
		/* Table 4-4: bits 20:13 are frame bits 39:32 as far as they exist; 21 is reserved. */
		if (leaf && level == 1)
			reserved = r->pse36 ? BIT(21) : BITS(13, 21);
		break;
	}
	return reserved;
}

static enum sim_type type_of(const struct sim_registers *r, unsigned index)
{
	switch ((r->pat >> (8 * index)) & 7u) { /* table 11-10 */
	case 0: return SIM_TYPE_DEVICE;
	case 1: return SIM_TYPE_WRITE_COMBINE;
	case 4: return SIM_TYPE_WRITE_THROUGH;
	case 5: return SIM_TYPE_WRITE_PROTECT;
	case 6: return SIM_TYPE_NORMAL;
	case 7: return SIM_TYPE_UNCACHED;
	default: return SIM_TYPE_RESERVED;
	}
}

static inline enum sim_step fault(struct sim_walk *walk, enum sim_fault what)
{
	/* 4.10.2.3: nothing is cached of an entry that is not present or has a reserved bit. */
	walk->fault = what;
	walk->fault_level = walk->level;
	walk->cacheable = false;
	return SIM_STEP_FAULT;
}

static inline enum sim_step step(enum mode mode, const struct sim_registers *r,
				 struct sim_walk *walk, uint64_t e)
{
	unsigned level = walk->level;
	unsigned span = span_of(mode, level);
	uint64_t address_bits = mode == TWO ? BITS(12, 31) : BITS(12, 51) & ~r->encryption_mask;
	bool leaf = level == 0;

	walk->entry = e;
	walk->shift = (uint8_t)span;
	walk->group = 0;
	if (!(e & BIT(0)))
		return fault(walk, SIM_FAULT_NOT_PRESENT);
	/* PS, bit 7: a leaf in a PDE; in a PDPTE with 1 GiB leaves; reserved above and in PDPTEs
	 * that cannot be leaves; ignored in a PDE without CR4.PSE (tables 4-5, 4-16, 4-15). */
	if (level > 0 && (e & BIT(7))) {
		if (mode == LONG) {
			if (level > 2 || (level == 2 && !r->gigabyte_leaves))
				return fault(walk, SIM_FAULT_RESERVED);
			leaf = true;
		} else if (mode == PAE) {
			leaf = level == 1;
		} else {
			leaf = r->pse;
		}
	}
	if (e & reserved_bits(mode, r, level, leaf))
		return fault(walk, SIM_FAULT_RESERVED);

	/* 4.6: a right holds when every level gives it. PDPTEs of PAE have none to give. */
	if (!(mode == PAE && level == 2)) {
		if (!(e & BIT(1)))
			walk->rights &= (uint8_t)~SIM_RIGHT_WRITE;
		if (!(e & BIT(2)))
			walk->rights &= (uint8_t)~SIM_RIGHT_USER;
		if (mode != TWO && r->nxe && (e & BIT(63)))
			walk->rights &= (uint8_t)~SIM_RIGHT_EXEC;
	}
	walk->cacheable = true;
	if (!leaf) {
		walk->table = e & address_bits;
		walk->level = (uint8_t)(level - 1);
		walk->index = index_of(mode, level - 1, walk->va);
		return SIM_STEP_TABLE;
	}
	walk->pa = e & address_bits & ~(BIT(span) - 1u);
	if (mode == TWO && level == 1)
		walk->pa = (e & BITS(22, 31)) | (r->pse36 ? (e & BITS(13, 20)) >> 13 << 32 : 0);
	walk->pa |= walk->va & (BIT(span) - 1u);
	/* 4.9.2: PAT index from PWT, PCD and the PAT bit, 7 in a PTE and 12 in a larger leaf. */
	walk->type = (uint8_t)type_of(r, (unsigned)((e >> 3) & 3u) |
					 (e & (level == 0 ? BIT(7) : BIT(12)) ? 4u : 0u));
	walk->global = r->pge && (e & BIT(8)); /* 4.10.2.4 */
	walk->accessed = e & BIT(5);
	walk->dirty = e & BIT(6);
	walk->key = mode == LONG ? (e >> 59) & 15u : 0;
	return SIM_STEP_LEAF;
}

/* 4.6.1 and 4.6.2. */
static inline enum sim_fault permit(enum mode mode, const struct sim_registers *r,
				    const struct sim_walk *walk, enum sim_access access,
				    enum sim_privilege privilege)
{
	bool user_address = walk->rights & SIM_RIGHT_USER;
	bool writable = walk->rights & SIM_RIGHT_WRITE;
	bool executable = walk->rights & SIM_RIGHT_EXEC;

	if (privilege == SIM_USER) {
		if (!user_address)
			return SIM_FAULT_PERMISSION;
		if (access == SIM_WRITE && !writable)
			return SIM_FAULT_PERMISSION;
		if (access == SIM_FETCH)
			return executable ? SIM_FAULT_NONE : SIM_FAULT_PERMISSION;
	} else if (access == SIM_FETCH) {
		if (user_address && r->smep)
			return SIM_FAULT_PERMISSION;
		return executable ? SIM_FAULT_NONE : SIM_FAULT_PERMISSION;
	} else {
		if (user_address && r->smap && !r->ac)
			return SIM_FAULT_PERMISSION;
		if (access == SIM_WRITE && r->wp && !writable)
			return SIM_FAULT_PERMISSION;
	}
	/* Data accesses: protection keys, with 4 and 5 levels only. */
	if (mode == LONG && (user_address ? r->pke : r->pks)) {
		unsigned rights = (user_address ? r->pkru : r->pkrs) >> (2 * walk->key) & 3u;

		if (rights & 1u)
			return SIM_FAULT_KEY;
		if (access == SIM_WRITE && (rights & 2u) && (privilege == SIM_USER || r->wp))
			return SIM_FAULT_KEY;
	}
	return SIM_FAULT_NONE;
}

/* 4.8: A in every entry used, D in the leaf on a write. PDPTEs of PAE have neither. */
static inline uint64_t touch(enum mode mode, unsigned level, uint64_t e, bool leaf,
			     enum sim_access access)
{
	if (mode == PAE && level == 2)
		return e;
	return e | BIT(5) | (leaf && access == SIM_WRITE ? BIT(6) : 0);
}

static inline unsigned entries(enum mode mode, unsigned level)
{
	return mode == TWO ? 1024 : mode == PAE && level == 2 ? 4 : 512;
}

/* SDM 4.4.1: the PDPTEs. */
static bool root_in_registers(const struct sim_registers *r)
{
	(void)r;
	return true;
}

static uint64_t table_size(const struct sim_registers *r)
{
	(void)r;
	return 4096;
}

static uint64_t hardware_bits(const struct sim_registers *r, unsigned level)
{
	(void)r, (void)level;
	return BIT(5) | BIT(6);
}

#define WALKER(name, mode, bytes, depth, registers)                                                           \
	static enum sim_fault name##_start(const struct sim_registers *r, uint64_t va,             \
					   struct sim_walk *walk)                                  \
	{                                                                                          \
		return start(mode, r, va, walk);                                                   \
	}                                                                                          \
	static enum sim_step name##_step(const struct sim_registers *r, struct sim_walk *walk,     \
					 uint64_t entry)                                           \
	{                                                                                          \
		return step(mode, r, walk, entry);                                                 \
	}                                                                                          \
	static enum sim_fault name##_permit(const struct sim_registers *r,                         \
					    const struct sim_walk *walk, enum sim_access access,   \
					    enum sim_privilege privilege)                          \
	{                                                                                          \
		return permit(mode, r, walk, access, privilege);                                   \
	}                                                                                          \
	static uint64_t name##_touch(const struct sim_registers *r, unsigned level, uint64_t e,    \
				     bool leaf, enum sim_access access)                            \
	{                                                                                          \
		(void)r;                                                                           \
		return touch(mode, level, e, leaf, access);                                        \
	}                                                                                          \
	static unsigned name##_span(const struct sim_registers *r, unsigned level)                 \
	{                                                                                          \
		(void)r;                                                                           \
		return span_of(mode, level);                                                       \
	}                                                                                          \
	static unsigned name##_entries(const struct sim_registers *r, unsigned level)              \
	{                                                                                          \
		(void)r;                                                                           \
		return entries(mode, level);                                                       \
	}                                                                                          \
	static unsigned name##_levels(const struct sim_registers *r, unsigned half)                \
	{                                                                                          \
		(void)r, (void)half;                                                               \
		return (depth) ? (depth) : r->levels;                                              \
	}                                                                                          \
	const struct sim_walker sim_walker_##name = {                                              \
		.width = bytes,                                                                    \
		.start = name##_start,                                                             \
		.step = name##_step,                                                               \
		.permit = name##_permit,                                                           \
		.touch = name##_touch,                                                             \
		.span = name##_span,                                                               \
		.entries = name##_entries,                                                         \
		.levels = name##_levels,                                                           \
		.table_size = table_size,                                                          \
		.hardware_bits = hardware_bits,                                                    \
		.root_in_registers = registers,                                                    \
	}

WALKER(x86_64, LONG, 8, 0, NULL);
WALKER(x86_pae, PAE, 8, 3, root_in_registers);
WALKER(x86_two_level, TWO, 4, 2, NULL);
