/* SPDX-License-Identifier: MIT */
/*
 * The entries of all x86 paging modes: pure functions, no hardware.
 *
 * The three modes differ in few places, so each function takes the mode as its last argument,
 * a constant that folds away. Citations are to the Intel SDM, volume 3A, revision 081
 * (September 2023), chapter 4 "Paging"; AMD's APM volume 2, revision 3.41, chapter 5 agrees
 * except where said.
 */
#ifndef KELP_ARCH_X86_H
#define KELP_ARCH_X86_H

#include <kelp/format.h>

enum kelp_x86_mode {
	KELP_X86_LONG,      /* 4- and 5-level paging, section 4.5 */
	KELP_X86_PAE,       /* PAE paging, section 4.4 */
	KELP_X86_TWO_LEVEL, /* 32-bit paging, section 4.3 */
};

/* kelp_format.features. */
#define KELP_X86_NX         (UINT32_C(1) << 0) /* EFER.NXE is set: bit 63 is XD */
#define KELP_X86_LARGE_ROOT (UINT32_C(1) << 1) /* 1 GiB leaves (CPUID 80000001H:EDX[26]) */
#define KELP_X86_PSE        (UINT32_C(1) << 2) /* two-level: 4 MiB leaves (CR4.PSE) */
#define KELP_X86_PSE36      (UINT32_C(1) << 3) /* two-level: their frames reach 40 bits */
#define KELP_X86_SHARED_SET (UINT32_C(1) << 4) /* the encryption bit means SHARED (TDX) */

/* SDM tables 4-14 to 4-20; the same positions in 4.3 and 4.4. */
#define KELP_X86_P         (UINT64_C(1) << 0)
#define KELP_X86_RW        (UINT64_C(1) << 1)
#define KELP_X86_US        (UINT64_C(1) << 2)
#define KELP_X86_PWT       (UINT64_C(1) << 3)
#define KELP_X86_PCD       (UINT64_C(1) << 4)
#define KELP_X86_A         (UINT64_C(1) << 5)
#define KELP_X86_D         (UINT64_C(1) << 6)
#define KELP_X86_PS        (UINT64_C(1) << 7) /* levels above 0 */
#define KELP_X86_PAT_SMALL (UINT64_C(1) << 7) /* level 0: the same bit */
#define KELP_X86_G         (UINT64_C(1) << 8)
#define KELP_X86_SOFT0     (UINT64_C(1) << 9)
#define KELP_X86_SOFT1     (UINT64_C(1) << 10)
/*
 * Ignored by hardware in every entry of ordinary paging, PDPTEs of PAE included; Kelp's mark:
 * "owned" on a table, "invalid leaf" when P = 0. (Under a HLAT root it means "restart", SDM
 * 4.5.1: a hypervisor's HLAT tables are not for this format.)
 */
#define KELP_X86_MARK      (UINT64_C(1) << 11)
#define KELP_X86_PAT_LARGE (UINT64_C(1) << 12) /* levels above 0 */
#define KELP_X86_SOFT2     (UINT64_C(1) << 52)
#define KELP_X86_SOFT3     (UINT64_C(1) << 53)
#define KELP_X86_XD        (UINT64_C(1) << 63)

/*
 * Two-level 4 MiB leaves keep frame bits M-1:32 in bits M-20:13, where M is the physical width
 * and 40 at most (SDM 4.3, table 4-4). What is left up to bit 21 is reserved.
 */
#define KELP_X86_PSE36_SHIFT 13
#define KELP_X86_PSE36_BITS  40u

/* The PAT at power-on: WB, WT, UC-, UC, twice (SDM table 12-12). */
#define KELP_X86_PAT_POWER_ON UINT64_C(0x0007040600070406)

/*
 * Reads a PAT (SDM 12.12.2, table 12-10) into the type tables; 0 stands for its value at
 * power-on. An index whose encoding is reserved is read as DEVICE and never chosen. Of several
 * indexes with one type the lowest is used, so a CPU without a PAT, which has only the first
 * four, is served by the power-on value.
 */
static inline void kelp_x86_set_pat(struct kelp_format *f, uint64_t pat)
{
	static const uint8_t types[8] = {
		KELP_TYPE_DEVICE,        KELP_TYPE_WRITE_COMBINE, KELP_TYPE_ABSENT,
		KELP_TYPE_ABSENT,        KELP_TYPE_WRITE_THROUGH, KELP_TYPE_WRITE_PROTECT,
		KELP_TYPE_NORMAL,        KELP_TYPE_UNCACHED,
	};

	if (!pat)
		pat = KELP_X86_PAT_POWER_ON;
	for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++)
		f->type_to_index[type] = KELP_TYPE_ABSENT;
	for (unsigned i = 8; i-- > 0;) {
		unsigned field = (unsigned)(pat >> (8u * i)) & 0xffu;
		uint8_t type = field < 8 ? types[field] : KELP_TYPE_ABSENT;

		f->index_to_type[i] = type == KELP_TYPE_ABSENT ? KELP_TYPE_DEVICE : type;
		if (type != KELP_TYPE_ABSENT)
			f->type_to_index[type] = (uint8_t)i;
	}
}

static inline uint64_t kelp_x86_pat_bit(unsigned level)
{
	return level == 0 ? KELP_X86_PAT_SMALL : KELP_X86_PAT_LARGE;
}

static inline unsigned kelp_x86_levels(const struct kelp_format *f, enum kelp_x86_mode mode)
{
	if (mode == KELP_X86_LONG)
		return f->levels == 5 ? 5 : 4;
	return mode == KELP_X86_PAE ? 3 : 2;
}

static inline unsigned kelp_x86_shift(unsigned level, enum kelp_x86_mode mode)
{
	return 12u + (mode == KELP_X86_TWO_LEVEL ? 10u : 9u) * level;
}

static inline unsigned kelp_x86_index(unsigned level, kelp_vaddr_t va, enum kelp_x86_mode mode)
{
	unsigned mask = mode == KELP_X86_TWO_LEVEL ? 0x3ffu
		      : mode == KELP_X86_PAE && level == 2 ? 3u : 0x1ffu;

	return (unsigned)(va >> kelp_x86_shift(level, mode)) & mask;
}

/* PAE: PDPTEs never map (SDM table 4-8). Two-level: PDEs map only with CR4.PSE. */
static inline bool kelp_x86_leaf_ok(const struct kelp_format *f, unsigned level,
				    enum kelp_x86_mode mode)
{
	if (level == 0)
		return true;
	if (mode == KELP_X86_TWO_LEVEL)
		return level == 1 && (f->features & KELP_X86_PSE);
	if (level == 1)
		return true;
	return mode == KELP_X86_LONG && level == 2 && (f->features & KELP_X86_LARGE_ROOT);
}

/* Of an entry that is a table or a leaf, valid or not: is it a leaf? */
static inline bool kelp_x86_is_leaf(const struct kelp_format *f, unsigned level, uint64_t e,
				    enum kelp_x86_mode mode)
{
	return level == 0 || ((e & KELP_X86_PS) && kelp_x86_leaf_ok(f, level, mode));
}

static inline enum kelp_entry_kind kelp_x86_kind(const struct kelp_format *f, unsigned level,
						 uint64_t e, enum kelp_x86_mode mode)
{
	if (e & KELP_X86_P) {
		if (level == 0)
			return KELP_ENTRY_LEAF;
		if (mode == KELP_X86_PAE && level == 2)
			return KELP_ENTRY_TABLE; /* bit 7 is reserved there, not PS */
		if (!(e & KELP_X86_PS))
			return KELP_ENTRY_TABLE;
		if (kelp_x86_leaf_ok(f, level, mode))
			return KELP_ENTRY_LEAF;
		/* Without CR4.PSE bit 7 of a PDE is ignored (SDM table 4-5); elsewhere it is
		 * reserved and hardware faults instead of translating. */
		return mode == KELP_X86_TWO_LEVEL ? KELP_ENTRY_TABLE : KELP_ENTRY_OPAQUE;
	}
	if (e == 0)
		return KELP_ENTRY_NONE;
	if ((e & KELP_X86_MARK) && kelp_x86_is_leaf(f, level, e, mode))
		return KELP_ENTRY_INVALID;
	return KELP_ENTRY_OPAQUE;
}

/* Two-level with PSE-36: where a 4 MiB leaf keeps the frame bits above 31. */
static inline uint64_t kelp_x86_pse36_bits(const struct kelp_format *f)
{
	if (!(f->features & KELP_X86_PSE36))
		return 0;
	return ((UINT64_C(1) << (f->pa_bits - 32u)) - 1u) << KELP_X86_PSE36_SHIFT;
}

/* Where the frame address lies in a leaf of this level, as a mask over the entry. */
static inline uint64_t kelp_x86_address_bits(const struct kelp_format *f, unsigned level,
					     enum kelp_x86_mode mode)
{
	uint64_t mask = f->address_mask & ~((UINT64_C(1) << kelp_x86_shift(level, mode)) - 1u);

	if (mode == KELP_X86_TWO_LEVEL && level == 1)
		mask |= kelp_x86_pse36_bits(f);
	return mask;
}

/* The highest physical address that a leaf of this level can reach. */
static inline kelp_paddr_t kelp_x86_reach(const struct kelp_format *f, unsigned level,
					  enum kelp_x86_mode mode)
{
	if (mode == KELP_X86_TWO_LEVEL && level == 0)
		return UINT32_MAX;
	return (UINT64_C(1) << f->pa_bits) - 1u;
}

static inline uint64_t kelp_x86_pack(unsigned level, kelp_paddr_t pa, enum kelp_x86_mode mode)
{
	if (mode == KELP_X86_TWO_LEVEL && level == 1)
		return (pa & UINT32_MAX) | (pa >> 32 << KELP_X86_PSE36_SHIFT);
	return pa;
}

/*
 * The frame of a leaf or the table of a table entry. A leaf with P = 0 holds its address
 * inverted: speculation past the present bit (L1TF, CVE-2018-3620) then reaches no memory.
 */
static inline kelp_paddr_t kelp_x86_address(const struct kelp_format *f, unsigned level,
					    uint64_t e, enum kelp_x86_mode mode)
{
	uint64_t bits, high;

	if (!kelp_x86_is_leaf(f, level, e, mode))
		return e & f->address_mask;
	bits = (e & KELP_X86_P ? e : ~e) & kelp_x86_address_bits(f, level, mode);
	if (mode != KELP_X86_TWO_LEVEL || level == 0)
		return bits;
	high = bits & kelp_x86_pse36_bits(f);
	return (bits & ~high) | high >> KELP_X86_PSE36_SHIFT << 32;
}

static inline uint64_t kelp_x86_entry(const struct kelp_format *f, unsigned level, uint64_t bits,
				      kelp_paddr_t pa, enum kelp_x86_mode mode)
{
	uint64_t packed = kelp_x86_pack(level, pa, mode);

	if (!(bits & KELP_X86_P))
		packed = ~packed & kelp_x86_address_bits(f, level, mode);
	return bits | packed;
}

/* Everything of a leaf but its address. */
static inline uint64_t kelp_x86_strip(const struct kelp_format *f, unsigned level, uint64_t e,
				      enum kelp_x86_mode mode)
{
	return e & ~kelp_x86_address_bits(f, level, mode);
}

/* The bits of a leaf that kelp_attr_t speaks of. */
static inline uint64_t kelp_x86_modelled(const struct kelp_format *f, unsigned level,
					 enum kelp_x86_mode mode)
{
	uint64_t bits = KELP_X86_P | KELP_X86_RW | KELP_X86_US | KELP_X86_PWT | KELP_X86_PCD |
			KELP_X86_A | KELP_X86_D | KELP_X86_G | KELP_X86_SOFT0 | KELP_X86_SOFT1 |
			KELP_X86_MARK | kelp_x86_pat_bit(level) | f->encryption_bit;

	if (level > 0)
		bits |= KELP_X86_PS;
	if (mode != KELP_X86_TWO_LEVEL && (f->features & KELP_X86_NX))
		bits |= KELP_X86_XD;
	if (mode == KELP_X86_LONG)
		bits |= KELP_X86_SOFT2 | KELP_X86_SOFT3;
	return bits;
}

static inline enum kelp_status kelp_x86_encode(const struct kelp_format *f, unsigned level,
					       kelp_attr_t attr, uint64_t *bits,
					       enum kelp_x86_mode mode)
{
	unsigned index = f->type_to_index[(attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT];
	uint64_t b = 0;

	if (attr & ~KELP_ATTR_ALL)
		return KELP_ERR_ARGUMENT;
	if ((attr & ~(f->attr_mask | KELP_ATTR_TYPE_MASK)) || index == KELP_TYPE_ABSENT ||
	    (~attr & f->attr_always) || !kelp_x86_leaf_ok(f, level, mode))
		return KELP_ERR_UNSUPPORTED;

	b |= attr & KELP_ATTR_INVALID ? KELP_X86_MARK : KELP_X86_P;
	b |= attr & KELP_ATTR_WRITE ? KELP_X86_RW : 0;
	b |= attr & KELP_ATTR_USER ? KELP_X86_US : 0;
	b |= attr & KELP_ATTR_GLOBAL ? KELP_X86_G : 0;
	b |= attr & KELP_ATTR_ACCESSED ? KELP_X86_A : 0;
	b |= attr & KELP_ATTR_DIRTY ? KELP_X86_D : 0;
	b |= attr & KELP_ATTR_SOFT0 ? KELP_X86_SOFT0 : 0;
	b |= attr & KELP_ATTR_SOFT1 ? KELP_X86_SOFT1 : 0;
	if (mode == KELP_X86_LONG) {
		b |= attr & KELP_ATTR_SOFT2 ? KELP_X86_SOFT2 : 0;
		b |= attr & KELP_ATTR_SOFT3 ? KELP_X86_SOFT3 : 0;
	}
	if (mode != KELP_X86_TWO_LEVEL && (f->features & KELP_X86_NX))
		b |= attr & KELP_ATTR_EXEC ? 0 : KELP_X86_XD;
	/* The type is an index into the PAT made of three bits (SDM 4.9.2). */
	b |= index & 1 ? KELP_X86_PWT : 0;
	b |= index & 2 ? KELP_X86_PCD : 0;
	b |= index & 4 ? kelp_x86_pat_bit(level) : 0;
	if (level > 0)
		b |= KELP_X86_PS;
	if (!(attr & KELP_ATTR_SHARED) == !(f->features & KELP_X86_SHARED_SET))
		b |= f->encryption_bit;
	*bits = b;
	return KELP_OK;
}

static inline kelp_attr_t kelp_x86_decode(const struct kelp_format *f, unsigned level, uint64_t e,
					  enum kelp_x86_mode mode)
{
	unsigned index = (e & KELP_X86_PWT ? 1u : 0u) | (e & KELP_X86_PCD ? 2u : 0u) |
			 (e & kelp_x86_pat_bit(level) ? 4u : 0u);
	kelp_attr_t attr = KELP_ATTR_READ | KELP_ATTR_TYPE(f->index_to_type[index]);

	attr |= e & KELP_X86_P ? 0 : KELP_ATTR_INVALID;
	attr |= e & KELP_X86_RW ? KELP_ATTR_WRITE : 0;
	attr |= e & KELP_X86_US ? KELP_ATTR_USER : 0;
	attr |= e & KELP_X86_G ? KELP_ATTR_GLOBAL : 0;
	attr |= e & KELP_X86_A ? KELP_ATTR_ACCESSED : 0;
	attr |= e & KELP_X86_D ? KELP_ATTR_DIRTY : 0;
	attr |= e & KELP_X86_SOFT0 ? KELP_ATTR_SOFT0 : 0;
	attr |= e & KELP_X86_SOFT1 ? KELP_ATTR_SOFT1 : 0;
	if (mode == KELP_X86_LONG) {
		attr |= e & KELP_X86_SOFT2 ? KELP_ATTR_SOFT2 : 0;
		attr |= e & KELP_X86_SOFT3 ? KELP_ATTR_SOFT3 : 0;
	}
	if (mode == KELP_X86_TWO_LEVEL || !(f->features & KELP_X86_NX) || !(e & KELP_X86_XD))
		attr |= KELP_ATTR_EXEC;
	if (f->encryption_bit && !(e & f->encryption_bit) == !(f->features & KELP_X86_SHARED_SET))
		attr |= KELP_ATTR_SHARED;
	return attr;
}

/*
 * A pointer to a table: all rights, which the leaves then narrow; accessed is set so that
 * hardware never writes the entry. PDPTEs of PAE have no rights and no A bit (SDM table 4-8).
 */
static inline uint64_t kelp_x86_table(const struct kelp_format *f, unsigned level,
				      kelp_paddr_t pa, bool owned, enum kelp_x86_mode mode)
{
	uint64_t e = pa | KELP_X86_P | (owned ? KELP_X86_MARK : 0);

	if (!(mode == KELP_X86_PAE && level == 2))
		e |= KELP_X86_RW | KELP_X86_US | KELP_X86_A;
	if (!(f->features & KELP_X86_SHARED_SET))
		e |= f->encryption_bit;
	return e;
}

/* Rights are the AND, XD the OR over all levels (SDM 4.6). */
static inline kelp_attr_t kelp_x86_denied(const struct kelp_format *f, unsigned level, uint64_t e,
					  enum kelp_x86_mode mode)
{
	kelp_attr_t denied = 0;

	if (mode == KELP_X86_PAE && level == 2)
		return 0;
	denied |= e & KELP_X86_RW ? 0 : KELP_ATTR_WRITE;
	denied |= e & KELP_X86_US ? 0 : KELP_ATTR_USER;
	if (mode != KELP_X86_TWO_LEVEL && (f->features & KELP_X86_NX) && (e & KELP_X86_XD))
		denied |= KELP_ATTR_EXEC;
	return denied;
}

/* The first of the leaves one level down that together say what `e` says. */
static inline uint64_t kelp_x86_child(const struct kelp_format *f, unsigned level, uint64_t e,
				      enum kelp_x86_mode mode)
{
	uint64_t bits = kelp_x86_strip(f, level, e, mode) & ~KELP_X86_PS;

	/* PAT moves, and reserved bits between the flags and the frame do not become a frame. */
	bits &= ~(((UINT64_C(1) << kelp_x86_shift(level, mode)) - 1u) & ~UINT64_C(0xfff));
	if (level > 1)
		bits |= KELP_X86_PS;
	if (e & KELP_X86_PAT_LARGE)
		bits |= kelp_x86_pat_bit(level - 1);
	return kelp_x86_entry(f, level - 1, bits, kelp_x86_address(f, level, e, mode), mode);
}

/* The reverse: the leaf of `level` whose first part is `e`, a leaf one level down. */
static inline uint64_t kelp_x86_parent(const struct kelp_format *f, unsigned level, uint64_t e,
				       enum kelp_x86_mode mode)
{
	uint64_t pat = kelp_x86_pat_bit(level - 1);
	uint64_t bits = kelp_x86_strip(f, level - 1, e, mode) & ~pat;

	bits |= KELP_X86_PS | (e & pat ? KELP_X86_PAT_LARGE : 0);
	return kelp_x86_entry(f, level, bits, kelp_x86_address(f, level - 1, e, mode), mode);
}

static inline bool kelp_x86_owned(uint64_t e)
{
	return e & KELP_X86_MARK;
}

/* Of tables the bit is ignored (SDM 4.10.2.4). */
static inline bool kelp_x86_is_global(const struct kelp_format *f, unsigned level, uint64_t e,
				      enum kelp_x86_mode mode)
{
	return (e & KELP_X86_G) && kelp_x86_is_leaf(f, level, e, mode);
}

/*
 * Hardware sets A on any use and D on the first write through a writable leaf (SDM 4.8). That
 * writes need RW takes CR0.WP for granted.
 */
static inline bool kelp_x86_busy(uint64_t e)
{
	return (e & KELP_X86_P) &&
	       (!(e & KELP_X86_A) || ((e & KELP_X86_RW) && !(e & KELP_X86_D)));
}

static inline uint64_t kelp_x86_absorb(uint64_t e, uint64_t other)
{
	return e | (other & (KELP_X86_A | KELP_X86_D));
}

/* D regardless of RW: it stays behind when RW is taken away. A form to compare, not to write. */
static inline uint64_t kelp_x86_neutral(uint64_t e)
{
	return e | KELP_X86_A | KELP_X86_D;
}

/*
 * Reserved bits (SDM 4.4.2 and 4.5.4, figure 4-11; 4.3 for two levels): address bits beyond the
 * physical width, XD without EFER.NXE, the low frame bits of a large leaf, PS where no leaf may
 * be, and in PAE bits 62:52 and most of a PDPTE.
 */
static inline bool kelp_x86_well_formed(const struct kelp_format *f, unsigned level, uint64_t e,
					enum kelp_x86_mode mode)
{
	uint64_t reserved = 0;
	bool leaf;

	if (!(e & KELP_X86_P))
		return true;
	if (mode == KELP_X86_PAE && level == 2)
		return !(e & ~(f->address_mask | f->encryption_bit | KELP_X86_P | KELP_X86_PWT |
			       KELP_X86_PCD | UINT64_C(0xe00)));
	leaf = kelp_x86_kind(f, level, e, mode) == KELP_ENTRY_LEAF;
	if (mode != KELP_X86_TWO_LEVEL) {
		reserved = UINT64_C(0x000ffffffffff000) & ~f->address_mask & ~f->encryption_bit;
		if (mode == KELP_X86_PAE)
			reserved |= UINT64_C(0x7ff0000000000000);
		if (!(f->features & KELP_X86_NX))
			reserved |= KELP_X86_XD;
	}
	if (level > 0 && leaf) {
		reserved |= ((UINT64_C(1) << kelp_x86_shift(level, mode)) - 1u) &
			    ~UINT64_C(0x1fff);
		if (mode == KELP_X86_TWO_LEVEL)
			reserved &= ~kelp_x86_pse36_bits(f);
	} else if (level > 0 && mode != KELP_X86_TWO_LEVEL) {
		reserved |= KELP_X86_PS;
	}
	return !(e & reserved);
}

#endif
