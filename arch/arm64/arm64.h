/* SPDX-License-Identifier: MIT */
/*
 * The entries of the arm64 stage 1 translation tables: pure functions, no hardware.
 *
 * The EL1&0 regime (EL2&0 with HCR_EL2.E2H is the same), VMSAv8-64 descriptors, Direct
 * permissions. The three granules differ in few places, so each function takes the granule's
 * log2 (12, 14 or 16) as its last argument, a constant that folds away. Citations are to the
 * Arm ARM, DDI 0487, issue M.b, chapter D8; a rule is named by its five letters.
 *
 * Kelp's level L is lookup level 3 - L: level 0 holds pages, lookup level -1 is level 4.
 *
 * Not modelled, and kept as they stand in an entry: NS, the guarded-page bit, PBHA (and with it
 * POIndex and AttrIndx[3]), nT. Indirect permissions (TCR2_EL1.PIE) give AP, UXN, PXN and DBM
 * another meaning: these formats are not for them.
 */
#ifndef KELP_ARCH_ARM64_H
#define KELP_ARCH_ARM64_H

#include <kelp/format.h>

/* One space covers one half of the address space: what TTBR0_EL1 or TTBR1_EL1 translates. */
enum kelp_arm64_half {
	KELP_ARM64_LOW,  /* TTBR0_EL1: from 0 upwards */
	KELP_ARM64_HIGH, /* TTBR1_EL1: up to the last address */
};

/* What the machine has and how the embedder programs TCR_EL1 and MAIR_EL1. */
struct kelp_arm64_config {
	enum kelp_arm64_half half;
	unsigned va_bits; /* 64 - TCR_EL1.TnSZ: 25 to 48, to 52 see `wide` */
	unsigned pa_bits; /* output address size, 32 to 48, with `wide` to 52; less shared_bit */
	/*
	 * Descriptors hold 52-bit addresses. 4K and 16K: TCR_EL1.DS (FEAT_LPA2), which va_bits
	 * beyond 48 need too. 64K: FEAT_LPA; there va_bits beyond 48 need FEAT_LVA only.
	 */
	bool wide;
	bool hardware_accessed; /* TCR_EL1.HA */
	bool hardware_dirty;    /* TCR_EL1.HD; needs HA */
	bool contiguous;        /* bit 52 is the contiguous hint: TCR2_EL1.PnCH is 0 */
	bool no_hierarchical;   /* TCR_EL1.HPDn: APTable, UXNTable, PXNTable are ignored */
	/*
	 * ID_AA64MMFR2_EL1.BBM, the lowest of all CPUs. 1 and 2 allow changes that may end in a
	 * TLB conflict abort until they are flushed (RFCPSG, IHYQMB): give what the kernel can
	 * stand, which is 0 unless it handles that abort or its CPUs never raise it.
	 */
	unsigned bbm_level;
	uint64_t mair;       /* MAIR_EL1; 0 = KELP_ARM64_MAIR_DEFAULT, for the embedder to set */
	unsigned shared_bit; /* Realm: position of the "unprotected" address bit; 0 = none */
};

/* Attr0 to Attr7: write-back, Device-nGnRE, non-cacheable, write-through, Device-nGnRnE. */
#define KELP_ARM64_MAIR_DEFAULT UINT64_C(0x00000000bb4404ff)

/* kelp_format.features. */
#define KELP_ARM64_WIDE            (UINT32_C(1) << 0)
#define KELP_ARM64_CONTIGUOUS      (UINT32_C(1) << 1)
#define KELP_ARM64_NO_HIERARCHICAL (UINT32_C(1) << 2)
#define KELP_ARM64_HIGH_HALF       (UINT32_C(1) << 3)

/* Tables D8-50 (table descriptors) and D8-52 (block and page descriptors). */
#define KELP_ARM64_VALID      (UINT64_C(1) << 0)
#define KELP_ARM64_TYPE       (UINT64_C(1) << 1) /* table, or page at level 0; 0 = block */
#define KELP_ARM64_ATTR_SHIFT 2
#define KELP_ARM64_ATTR_MASK  (UINT64_C(7) << KELP_ARM64_ATTR_SHIFT)
#define KELP_ARM64_NS         (UINT64_C(1) << 5)
#define KELP_ARM64_AP1        (UINT64_C(1) << 6) /* EL0 may do what AP[2] says */
#define KELP_ARM64_AP2        (UINT64_C(1) << 7) /* not writable, or with DBM: clean */
#define KELP_ARM64_SH_MASK    (UINT64_C(3) << 8)
#define KELP_ARM64_SH_INNER   (UINT64_C(3) << 8)
#define KELP_ARM64_AF         (UINT64_C(1) << 10)
#define KELP_ARM64_NG         (UINT64_C(1) << 11)
#define KELP_ARM64_NT         (UINT64_C(1) << 16) /* blocks only */
#define KELP_ARM64_GP         (UINT64_C(1) << 50)
#define KELP_ARM64_DBM        (UINT64_C(1) << 51)
#define KELP_ARM64_CONT       (UINT64_C(1) << 52)
#define KELP_ARM64_PXN        (UINT64_C(1) << 53)
#define KELP_ARM64_UXN        (UINT64_C(1) << 54)
/* Reserved for software in leaves, bits 58:53 ignored in tables. */
#define KELP_ARM64_SOFT_DIRTY (UINT64_C(1) << 55)
#define KELP_ARM64_SOFT0      (UINT64_C(1) << 56)
#define KELP_ARM64_SOFT1      (UINT64_C(1) << 57)
/* Kelp's mark: "owned" on a table, "invalid leaf" when VALID = 0. */
#define KELP_ARM64_MARK       (UINT64_C(1) << 58)
/* Leaves only: it is NSTable in a table. */
#define KELP_ARM64_SOFT2      (UINT64_C(1) << 63)

#define KELP_ARM64_PXN_TABLE (UINT64_C(1) << 59)
#define KELP_ARM64_UXN_TABLE (UINT64_C(1) << 60)
#define KELP_ARM64_AP_TABLE0 (UINT64_C(1) << 61) /* takes all data access from EL0 */
#define KELP_ARM64_AP_TABLE1 (UINT64_C(1) << 62) /* takes write access from all */

#define KELP_ARM64_SOFT (KELP_ARM64_SOFT0 | KELP_ARM64_SOFT1 | KELP_ARM64_SOFT2)

static inline unsigned kelp_arm64_shift(unsigned level, unsigned granule)
{
	return granule + (granule - 3u) * level;
}

static inline uint64_t kelp_arm64_low_bits(unsigned count)
{
	return (UINT64_C(1) << count) - 1u;
}

/* Only the root may be shorter than a page. */
static inline unsigned kelp_arm64_index(const struct kelp_format *f, unsigned level,
					kelp_vaddr_t va, unsigned granule)
{
	unsigned bits = level == 0 ? granule - 3u : f->index_bits[level];

	return (unsigned)(va >> kelp_arm64_shift(level, granule)) & ((1u << bits) - 1u);
}

/* Table D8-104. None at the levels whose blocks exist only with wide descriptors (RHMQXG). */
static inline unsigned kelp_arm64_group_order(unsigned level, unsigned granule)
{
	switch (granule) {
	case 12: return level <= 2 ? 4 : 0;
	case 14: return level == 0 ? 7 : level == 1 ? 5 : 0;
	default: return level <= 1 ? 5 : 0;
	}
}

/* Block sizes: table D8-52, bits [47:17]. */
static inline bool kelp_arm64_leaf_ok(const struct kelp_format *f, unsigned level,
				      unsigned granule)
{
	unsigned highest = granule == 12 ? 2 : 1;

	return level <= highest || (level == highest + 1u && (f->features & KELP_ARM64_WIDE));
}

/* With wide 4K and 16K descriptors bits 9:8 are address, and TCR_EL1.SHn tells (IHRNGF). */
static inline bool kelp_arm64_has_shareability(const struct kelp_format *f, unsigned granule)
{
	return granule == 16 || !(f->features & KELP_ARM64_WIDE);
}

/*
 * An address as it lies in an entry. Wide descriptors scatter it: 4K and 16K keep address bits
 * 51:50 in bits 9:8, 64K keeps 51:48 in bits 15:12 (tables D8-50 and D8-52).
 */
static inline uint64_t kelp_arm64_pack(const struct kelp_format *f, kelp_paddr_t pa,
				       unsigned granule)
{
	if (!(f->features & KELP_ARM64_WIDE))
		return pa;
	if (granule == 16)
		return (pa & UINT64_C(0x0000ffffffff0000)) | (pa >> 48 & 0xfu) << 12;
	return (pa & UINT64_C(0x0003fffffffff000)) | (pa >> 50 & 3u) << 8;
}

static inline kelp_paddr_t kelp_arm64_unpack(const struct kelp_format *f, uint64_t e,
					     unsigned granule)
{
	if (!(f->features & KELP_ARM64_WIDE))
		return e;
	if (granule == 16)
		return (e & UINT64_C(0x0000ffffffff0000)) | (e >> 12 & 0xfu) << 48;
	return (e & UINT64_C(0x0003fffffffff000)) | (e >> 8 & 3u) << 50;
}

/* Where the frame address lies in a leaf of this level, as a mask over the entry. */
static inline uint64_t kelp_arm64_address_bits(const struct kelp_format *f, unsigned level,
					       unsigned granule)
{
	uint64_t offset = kelp_arm64_low_bits(kelp_arm64_shift(level, granule));

	return kelp_arm64_pack(f, f->address_mask & ~offset, granule);
}

/*
 * Descriptor types: table D8-48. 0b01 at level 0, and a block where none may be, are treated as
 * invalid by hardware.
 */
static inline enum kelp_entry_kind kelp_arm64_kind(const struct kelp_format *f, unsigned level,
						   uint64_t e, unsigned granule)
{
	bool page_or_table = e & KELP_ARM64_TYPE;

	if (e & KELP_ARM64_VALID) {
		if (level == 0)
			return page_or_table ? KELP_ENTRY_LEAF : KELP_ENTRY_OPAQUE;
		if (page_or_table)
			return KELP_ENTRY_TABLE;
		return kelp_arm64_leaf_ok(f, level, granule) ? KELP_ENTRY_LEAF
							     : KELP_ENTRY_OPAQUE;
	}
	if (e == 0)
		return KELP_ENTRY_NONE;
	if ((e & KELP_ARM64_MARK) && page_or_table == (level == 0) &&
	    kelp_arm64_leaf_ok(f, level, granule))
		return KELP_ENTRY_INVALID;
	return KELP_ENTRY_OPAQUE;
}

static inline bool kelp_arm64_grouped(const struct kelp_format *f, unsigned level, uint64_t e,
				      unsigned granule)
{
	return kelp_arm64_group_order(level, granule) > 0 && (e & KELP_ARM64_VALID) &&
	       (e & KELP_ARM64_CONT) && (f->features & KELP_ARM64_CONTIGUOUS);
}

static inline kelp_paddr_t kelp_arm64_address(const struct kelp_format *f, unsigned level,
					      uint64_t e, unsigned granule)
{
	bool leaf = level == 0 || !(e & KELP_ARM64_TYPE);
	kelp_paddr_t pa = kelp_arm64_unpack(f, e, granule) & f->address_mask;
	unsigned shift = kelp_arm64_shift(level, granule);

	if (!leaf)
		return pa;
	if (kelp_arm64_grouped(f, level, e, granule))
		shift += kelp_arm64_group_order(level, granule);
	return pa & ~kelp_arm64_low_bits(shift);
}

static inline uint64_t kelp_arm64_entry(const struct kelp_format *f, uint64_t bits,
					kelp_paddr_t pa, unsigned granule)
{
	return bits | kelp_arm64_pack(f, pa, granule);
}

/* Everything of a leaf but its address. */
static inline uint64_t kelp_arm64_strip(const struct kelp_format *f, unsigned level, uint64_t e,
					unsigned granule)
{
	return e & ~kelp_arm64_address_bits(f, level, granule);
}

/* The bits of a leaf that kelp_attr_t speaks of. */
static inline uint64_t kelp_arm64_modelled(const struct kelp_format *f, unsigned granule)
{
	uint64_t bits = KELP_ARM64_VALID | KELP_ARM64_TYPE | KELP_ARM64_ATTR_MASK |
			KELP_ARM64_AP1 | KELP_ARM64_AP2 | KELP_ARM64_AF | KELP_ARM64_NG |
			KELP_ARM64_PXN | KELP_ARM64_UXN | KELP_ARM64_SOFT_DIRTY |
			KELP_ARM64_SOFT | KELP_ARM64_MARK | f->encryption_bit;

	if (kelp_arm64_has_shareability(f, granule))
		bits |= KELP_ARM64_SH_MASK;
	if (f->hardware_dirty)
		bits |= KELP_ARM64_DBM;
	return bits;
}

/* Device memory is outer shareable whatever SH says (RPYFVQ): bits stay 0 there. */
static inline bool kelp_arm64_is_device(unsigned type)
{
	return type == KELP_TYPE_DEVICE || type == KELP_TYPE_DEVICE_STRICT;
}

/*
 * AP[2:1] gives EL0 no more than EL1 has, and EL1 always reads (table D8-63). So a kernel leaf
 * has READ; a USER leaf has READ, or EXEC alone: AP[1] clear and UXN clear is execute-only.
 */
static inline bool kelp_arm64_rights_ok(kelp_attr_t attr)
{
	if (attr & KELP_ATTR_READ)
		return true;
	return (attr & KELP_ATTR_USER) && (attr & KELP_ATTR_EXEC) && !(attr & KELP_ATTR_WRITE);
}

/*
 * Rights, accessed and dirty. With hardware dirty (D8.5.2.1) writable-clean is DBM = 1 and
 * AP[2] = 1, writable-dirty is DBM = 1 and AP[2] = 0; the dirty state of a leaf that is not
 * writable, and without hardware dirty of any leaf, is a software bit.
 */
static inline uint64_t kelp_arm64_encode_rights(const struct kelp_format *f, kelp_attr_t attr)
{
	bool tracked = f->hardware_dirty && (attr & KELP_ATTR_WRITE);
	bool user = attr & KELP_ATTR_USER;
	bool exec = attr & KELP_ATTR_EXEC;
	uint64_t b = 0;

	b |= user && (attr & KELP_ATTR_READ) ? KELP_ARM64_AP1 : 0;
	b |= user && exec ? 0 : KELP_ARM64_UXN;
	b |= !user && exec ? 0 : KELP_ARM64_PXN;
	b |= attr & KELP_ATTR_ACCESSED ? KELP_ARM64_AF : 0;
	if (tracked) {
		b |= KELP_ARM64_DBM;
		b |= attr & KELP_ATTR_DIRTY ? 0 : KELP_ARM64_AP2;
	} else {
		b |= attr & KELP_ATTR_WRITE ? 0 : KELP_ARM64_AP2;
		b |= attr & KELP_ATTR_DIRTY ? KELP_ARM64_SOFT_DIRTY : 0;
	}
	return b;
}

static inline enum kelp_status kelp_arm64_encode(const struct kelp_format *f, unsigned level,
						 kelp_attr_t attr, bool grouped, uint64_t *bits,
						 unsigned granule)
{
	unsigned type = (attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;
	unsigned index = f->type_to_index[type];
	uint64_t b;

	if (attr & ~KELP_ATTR_ALL)
		return KELP_ERR_ARGUMENT;
	if ((attr & ~(f->attr_mask | KELP_ATTR_TYPE_MASK)) || index == KELP_TYPE_ABSENT ||
	    !kelp_arm64_rights_ok(attr) || !kelp_arm64_leaf_ok(f, level, granule))
		return KELP_ERR_UNSUPPORTED;
	if (grouped && (f->group_order[level] == 0 || (attr & KELP_ATTR_INVALID)))
		return KELP_ERR_UNSUPPORTED;

	b = kelp_arm64_encode_rights(f, attr) | (uint64_t)index << KELP_ARM64_ATTR_SHIFT;
	b |= attr & KELP_ATTR_INVALID ? KELP_ARM64_MARK : KELP_ARM64_VALID;
	b |= level == 0 ? KELP_ARM64_TYPE : 0;
	b |= attr & KELP_ATTR_GLOBAL ? 0 : KELP_ARM64_NG;
	b |= attr & KELP_ATTR_SOFT0 ? KELP_ARM64_SOFT0 : 0;
	b |= attr & KELP_ATTR_SOFT1 ? KELP_ARM64_SOFT1 : 0;
	b |= attr & KELP_ATTR_SOFT2 ? KELP_ARM64_SOFT2 : 0;
	b |= attr & KELP_ATTR_SHARED ? f->encryption_bit : 0;
	b |= grouped ? KELP_ARM64_CONT : 0;
	if (kelp_arm64_has_shareability(f, granule) && !kelp_arm64_is_device(type))
		b |= KELP_ARM64_SH_INNER;
	*bits = b;
	return KELP_OK;
}

static inline bool kelp_arm64_is_writable(const struct kelp_format *f, uint64_t e)
{
	return !(e & KELP_ARM64_AP2) || (f->hardware_dirty && (e & KELP_ARM64_DBM));
}

/* With hardware dirty a leaf with AP[2] clear was written, or is not tracked (DBM = 0). */
static inline bool kelp_arm64_is_dirty(const struct kelp_format *f, uint64_t e)
{
	return (e & KELP_ARM64_SOFT_DIRTY) || (f->hardware_dirty && !(e & KELP_ARM64_AP2));
}

/*
 * Execute-only for EL0 is read off UXN = 0 with PXN = 1. A leaf with AP[1] = 0 and both clear,
 * which careless boot code leaves, is read as the kernel's.
 */
static inline kelp_attr_t kelp_arm64_decode(const struct kelp_format *f, uint64_t e)
{
	unsigned index = (unsigned)(e >> KELP_ARM64_ATTR_SHIFT) & 7u;
	kelp_attr_t attr = KELP_ATTR_TYPE(f->index_to_type[index]);

	if (e & KELP_ARM64_AP1) {
		attr |= KELP_ATTR_USER | KELP_ATTR_READ;
		attr |= e & KELP_ARM64_UXN ? 0 : KELP_ATTR_EXEC;
	} else if ((e & (KELP_ARM64_UXN | KELP_ARM64_PXN | KELP_ARM64_AP2)) ==
		   (KELP_ARM64_PXN | KELP_ARM64_AP2) &&
		   !kelp_arm64_is_writable(f, e)) {
		attr |= KELP_ATTR_USER | KELP_ATTR_EXEC;
	} else {
		attr |= KELP_ATTR_READ;
		attr |= e & KELP_ARM64_PXN ? 0 : KELP_ATTR_EXEC;
	}
	attr |= kelp_arm64_is_writable(f, e) ? KELP_ATTR_WRITE : 0;
	attr |= kelp_arm64_is_dirty(f, e) ? KELP_ATTR_DIRTY : 0;
	attr |= e & KELP_ARM64_VALID ? 0 : KELP_ATTR_INVALID;
	attr |= e & KELP_ARM64_AF ? KELP_ATTR_ACCESSED : 0;
	attr |= e & KELP_ARM64_NG ? 0 : KELP_ATTR_GLOBAL;
	attr |= e & KELP_ARM64_SOFT0 ? KELP_ATTR_SOFT0 : 0;
	attr |= e & KELP_ARM64_SOFT1 ? KELP_ATTR_SOFT1 : 0;
	attr |= e & KELP_ARM64_SOFT2 ? KELP_ATTR_SOFT2 : 0;
	attr |= e & f->encryption_bit ? KELP_ATTR_SHARED : 0;
	return attr;
}

/*
 * A pointer to a table: all rights, which the leaves then narrow. AF is set so that hardware
 * that manages it in tables (FEAT_HAFT, D8.5.1.3) never writes the entry; others ignore it.
 * Tables of a Realm are private: the shared bit stays clear.
 */
static inline uint64_t kelp_arm64_table(const struct kelp_format *f, kelp_paddr_t pa, bool owned,
					unsigned granule)
{
	return kelp_arm64_pack(f, pa, granule) | KELP_ARM64_VALID | KELP_ARM64_TYPE |
	       KELP_ARM64_AF | (owned ? KELP_ARM64_MARK : 0);
}

/*
 * Hierarchical attributes (table D8-64 and D8.4.1.2). Execution is limited for EL0 and EL1
 * apart, while the answer must serve every leaf below: EXEC is denied when it is denied to the
 * privilege that the half is for, EL0 low and EL1 high. That is what kernels set: PXNTable above
 * user leaves and UXNTable above their own do not disturb them.
 */
static inline kelp_attr_t kelp_arm64_denied(const struct kelp_format *f, uint64_t e)
{
	uint64_t never = f->features & KELP_ARM64_HIGH_HALF ? KELP_ARM64_PXN_TABLE
							    : KELP_ARM64_UXN_TABLE;
	kelp_attr_t denied = 0;

	if (f->features & KELP_ARM64_NO_HIERARCHICAL)
		return 0;
	denied |= e & never ? KELP_ATTR_EXEC : 0;
	denied |= e & KELP_ARM64_AP_TABLE0 ? KELP_ATTR_USER : 0;
	denied |= e & KELP_ARM64_AP_TABLE1 ? KELP_ATTR_WRITE : 0;
	return denied;
}

/* Every member of a contiguous group keeps its own frame. */
static inline uint64_t kelp_arm64_group(uint64_t e)
{
	return e | KELP_ARM64_CONT;
}

static inline uint64_t kelp_arm64_ungroup(const struct kelp_format *f, unsigned level,
					  uint64_t e, unsigned position, unsigned granule)
{
	kelp_paddr_t pa = kelp_arm64_address(f, level, e, granule) +
			  ((uint64_t)position << kelp_arm64_shift(level, granule));
	uint64_t bits = kelp_arm64_strip(f, level, e, granule) & ~KELP_ARM64_CONT;

	return kelp_arm64_entry(f, bits, pa, granule);
}

/* The first of the leaves one level down that together say what `e` says. */
static inline uint64_t kelp_arm64_child(const struct kelp_format *f, unsigned level, uint64_t e,
					unsigned granule)
{
	uint64_t bits = kelp_arm64_strip(f, level, e, granule);

	/* nT and the reserved low bits of a block do not become a frame. */
	bits &= ~(kelp_arm64_low_bits(kelp_arm64_shift(level, granule)) & ~UINT64_C(0xfff));
	if (level == 1)
		bits |= KELP_ARM64_TYPE;
	return kelp_arm64_entry(f, bits, kelp_arm64_address(f, level, e, granule), granule);
}

/* The reverse: the leaf of `level` whose first part is `e`, a leaf one level down. */
static inline uint64_t kelp_arm64_parent(const struct kelp_format *f, unsigned level, uint64_t e,
					 unsigned granule)
{
	uint64_t bits = kelp_arm64_strip(f, level - 1, e, granule) & ~KELP_ARM64_TYPE;

	if (level > 1)
		bits &= ~KELP_ARM64_NT;
	return kelp_arm64_entry(f, bits, kelp_arm64_address(f, level - 1, e, granule), granule);
}

static inline bool kelp_arm64_is_global(uint64_t e)
{
	return !(e & KELP_ARM64_NG);
}

/*
 * May a table entry change to another in place? What lies below is not seen here, so the table
 * must stay the same; APTable needs a break by name (IYQWJF), and the other hierarchical fields
 * work the same way. What hardware ignores may change.
 */
static inline bool kelp_arm64_can_replace_table(const struct kelp_format *f, uint64_t old,
						uint64_t new, unsigned granule)
{
	/* 58:53, 51, AF, 11 and 7:2. */
	uint64_t ignored = UINT64_C(0x07e8000000000000) | KELP_ARM64_AF | UINT64_C(0x8fc);

	if (kelp_arm64_has_shareability(f, granule))
		ignored |= KELP_ARM64_SH_MASK;
	return !((old ^ new) & ~ignored);
}

/*
 * Break-before-make (D8.17.1, RWHZWS), INV-1.2. A valid leaf may keep its place while its
 * permissions, AF, DBM and software bits change. What may not change in place:
 *  - the output address, NS and the shared bit included (IWZRHR). The manual lets it change if
 *    neither entry is writable and both frames hold the same bytes; an entry does not tell.
 *    AF does not matter: with AF = 0 hardware may set it at any moment.
 *  - memory type, cacheability, shareability: AttrIndx, SH; bits 62:59 may be AttrIndx[3];
 *  - non-global to global. (Global to non-global is not on the list; its flush must reach the
 *    global entry.)
 *  - the size, table for block or block for table. FEAT_BBML2 alone allows it (RKFLJB), and then
 *    only if nothing else on this list changes with it: the caller sees to what the table holds.
 *    FEAT_BBML1 allows it through nT, which may itself fault (RMRRPW) and so does not keep
 *    INV-1.3: Kelp never sets nT, and level 1 is like level 0 here.
 *  - the contiguous bit, which FEAT_BBML1 allows without more (RKHRBC).
 */
static inline bool kelp_arm64_can_replace(const struct kelp_format *f, unsigned level,
					  uint64_t old, uint64_t new, unsigned granule)
{
	enum kelp_entry_kind was = kelp_arm64_kind(f, level, old, granule);
	enum kelp_entry_kind is = kelp_arm64_kind(f, level, new, granule);
	uint64_t free = KELP_ARM64_AP1 | KELP_ARM64_AP2 | KELP_ARM64_AF | KELP_ARM64_GP |
			KELP_ARM64_DBM | KELP_ARM64_PXN | KELP_ARM64_UXN |
			KELP_ARM64_SOFT_DIRTY | KELP_ARM64_SOFT | KELP_ARM64_MARK;

	if ((was != KELP_ENTRY_LEAF && was != KELP_ENTRY_TABLE) ||
	    (is != KELP_ENTRY_LEAF && is != KELP_ENTRY_TABLE))
		return true;
	if (was != is)
		return f->bbm_level >= 2;
	if (was == KELP_ENTRY_TABLE)
		return kelp_arm64_can_replace_table(f, old, new, granule);
	free |= new & KELP_ARM64_NG;
	if (f->bbm_level >= 1) {
		free |= f->group_order[level] ? KELP_ARM64_CONT : 0;
		free |= level > 0 ? KELP_ARM64_NT : 0;
	}
	return !((old ^ new) & ~free);
}

/* Hardware sets AF on any use, and clears AP[2] on the first write where DBM is set. */
static inline bool kelp_arm64_busy(const struct kelp_format *f, uint64_t e)
{
	if (!(e & KELP_ARM64_VALID))
		return false;
	if (f->hardware_accessed && !(e & KELP_ARM64_AF))
		return true;
	return f->hardware_dirty && (e & KELP_ARM64_DBM) && (e & KELP_ARM64_AP2);
}

static inline uint64_t kelp_arm64_make_dirty(const struct kelp_format *f, uint64_t e)
{
	if (f->hardware_dirty && (e & KELP_ARM64_DBM))
		return e & ~KELP_ARM64_AP2;
	if (f->hardware_dirty && !(e & KELP_ARM64_AP2))
		return e;
	return e | KELP_ARM64_SOFT_DIRTY;
}

static inline uint64_t kelp_arm64_absorb(const struct kelp_format *f, uint64_t e, uint64_t other)
{
	e |= other & KELP_ARM64_AF;
	return kelp_arm64_is_dirty(f, other) ? kelp_arm64_make_dirty(f, e) : e;
}

/* A writable leaf that also bears the software bit is dirty twice: one form for both. */
static inline uint64_t kelp_arm64_neutral(const struct kelp_format *f, uint64_t e)
{
	e = kelp_arm64_make_dirty(f, e | KELP_ARM64_AF);
	if (f->hardware_dirty && !(e & KELP_ARM64_AP2))
		e &= ~KELP_ARM64_SOFT_DIRTY;
	return e;
}

/*
 * Reserved (RES0) bits, tables D8-50 and D8-52: address bits beyond the output address size
 * (an Address size fault), bits below a block's frame, bit 50 of a table, the contiguous bit
 * where there are no groups; and the types that are no descriptor.
 */
static inline bool kelp_arm64_well_formed(const struct kelp_format *f, unsigned level, uint64_t e,
					  unsigned granule)
{
	bool wide = f->features & KELP_ARM64_WIDE;
	uint64_t page = kelp_arm64_low_bits(granule);
	uint64_t all = kelp_arm64_pack(f, kelp_arm64_low_bits(wide ? 52 : 48) & ~page, granule);
	uint64_t reserved = all & ~kelp_arm64_pack(f, f->address_mask, granule);
	enum kelp_entry_kind kind = kelp_arm64_kind(f, level, e, granule);
	uint64_t below = page;

	if (!(e & KELP_ARM64_VALID))
		return true;
	if (kind == KELP_ENTRY_OPAQUE)
		return false;
	if (granule == 16 || !wide)
		reserved |= UINT64_C(3) << 48;
	if (kind == KELP_ENTRY_TABLE) {
		reserved |= KELP_ARM64_GP;
	} else {
		below = kelp_arm64_low_bits(kelp_arm64_shift(level, granule));
		if (level > 0 && f->bbm_level >= 1)
			below &= ~KELP_ARM64_NT;
		if ((f->features & KELP_ARM64_CONTIGUOUS) && f->group_order[level] == 0)
			reserved |= KELP_ARM64_CONT;
	}
	below &= ~UINT64_C(0xfff);
	if (granule == 16 && wide)
		below &= ~UINT64_C(0xf000);
	return !(e & (reserved | below) & ~f->encryption_bit);
}

/* ---- operands of TLB maintenance, here because they are pure ------------------------------- */

/* D8.17.5.1: address bits 55:12 whatever the granule, no level hint, the ASID on top. */
static inline uint64_t kelp_arm64_tlbi_operand(kelp_vaddr_t va, uint32_t asid)
{
	return (uint64_t)(asid & 0xffffu) << 48 | (va >> 12 & kelp_arm64_low_bits(44));
}

/*
 * D8.17.5.2: one instruction for 2^order granules from `va`, 1 <= order <= 21: (NUM + 1) *
 * 2^(5 * SCALE + 1) granules. BaseADDR is in granules, or with TCR_EL1.DS in units of 64 KiB;
 * false when `va` cannot be named so. No level hint.
 */
static inline bool kelp_arm64_tlbi_range_operand(const struct kelp_format *f, kelp_vaddr_t va,
						 unsigned order, uint32_t asid,
						 uint64_t *operand)
{
	unsigned unit = f->features & KELP_ARM64_WIDE ? 16 : f->page_shift;
	uint64_t tg = f->page_shift == 12 ? 1 : f->page_shift == 14 ? 2 : 3;
	uint64_t scale = order > 15 ? 3 : order > 10 ? 2 : order > 5 ? 1 : 0;
	uint64_t num;

	if (order < 1 || order > 21 || (va & kelp_arm64_low_bits(unit)))
		return false;
	num = (UINT64_C(1) << (order - 1u - 5u * (unsigned)scale)) - 1u;
	*operand = (uint64_t)(asid & 0xffffu) << 48 | tg << 46 | scale << 44 | num << 39 |
		   (va >> unit & kelp_arm64_low_bits(37));
	return true;
}

/* ---- setting up ------------------------------------------------------------------------------ */

/*
 * What the three kelp_arm64_<granule>_format_init() share: everything but the ops. Reads
 * `config`, writes *format. Errors: ARGUMENT (a value outside the ranges above), UNSUPPORTED
 * (va_bits so small that one table would do: 16K up to 25, 64K up to 29).
 */
enum kelp_status kelp_arm64_configure(struct kelp_format *format,
				      const struct kelp_arm64_config *config,
				      unsigned granule) KELP_WARN_UNUSED;

#endif
