/* SPDX-License-Identifier: MIT */
/*
 * riscv64: Sv39, Sv48 and Sv57 (The RISC-V Instruction Set Manual, volume II: Privileged
 * Architecture, version 20240411: sections "Sv32" (translation algorithm), "Sv39", "Sv48",
 * "Sv57", and the chapters of the extensions Svnapot, Svpbmt, Svade, Svadu, Svvptc).
 *
 * An entry with V = 0 is ignored by hardware whole, so Kelp's mark of an invalid leaf lies in a
 * bit that is reserved when V = 1. The mark of an owned table is an RSW bit of the pointer; of
 * leaves both RSW bits are the embedder's.
 *
 * Memory types: NORMAL is "what the physical memory attributes say" (PBMT = PMA), which is the
 * only type there is without Svpbmt; device registers are then strongly ordered by their PMA.
 */
#ifndef KELP_ARCH_RISCV64_FORMAT_H
#define KELP_ARCH_RISCV64_FORMAT_H

#include <kelp/format.h>

struct kelp_riscv64_config {
	unsigned levels;        /* 3: Sv39, 4: Sv48, 5: Sv57 */
	unsigned physical_bits; /* 32 to 56; 0 = 56, what an entry can hold */
	bool memory_types;      /* Svpbmt, enabled in menvcfg or henvcfg (PBMTE) */
	bool napot;             /* Svnapot: 64 KiB groups */
	bool hardware_ad;       /* Svadu, enabled (ADUE): hardware sets A and D; else faults do */
	/*
	 * Svvptc: an entry that becomes valid is seen within a bounded time without a fence. The
	 * embedder retries a page fault that comes before that. Without it a map must be flushed.
	 */
	bool prompt_valid;
};

/* kelp_format.features. */
#define KELP_RISCV64_PBMT  (UINT32_C(1) << 0)
#define KELP_RISCV64_NAPOT (UINT32_C(1) << 1)
#define KELP_RISCV64_ADUE  (UINT32_C(1) << 2)

/* Errors: ARGUMENT (a value outside the ranges above). After an error *format is unusable. */
enum kelp_status kelp_riscv64_format_init(struct kelp_format *format,
					  const struct kelp_riscv64_config *config)
	KELP_WARN_UNUSED;

/* The range operations of this format; see src/space_template.h. */
extern const struct kelp_space_ops kelp_riscv64_space_ops;

/* Bits of an entry (section "Sv39", figure "Sv39 page table entry"; Sv48 and Sv57 are alike). */
#define KELP_RISCV64_V        (UINT64_C(1) << 0)
#define KELP_RISCV64_R        (UINT64_C(1) << 1)
#define KELP_RISCV64_W        (UINT64_C(1) << 2)
#define KELP_RISCV64_X        (UINT64_C(1) << 3)
#define KELP_RISCV64_U        (UINT64_C(1) << 4)
#define KELP_RISCV64_G        (UINT64_C(1) << 5)
#define KELP_RISCV64_A        (UINT64_C(1) << 6)
#define KELP_RISCV64_D        (UINT64_C(1) << 7)
#define KELP_RISCV64_RSW0     (UINT64_C(1) << 8) /* leaf: SOFT0; table: owned */
#define KELP_RISCV64_RSW1     (UINT64_C(1) << 9) /* leaf: SOFT1 */
#define KELP_RISCV64_PPN      UINT64_C(0x003ffffffffffc00) /* 53:10 */
#define KELP_RISCV64_RESERVED UINT64_C(0x1fc0000000000000) /* 60:54 */
#define KELP_RISCV64_MARK     (UINT64_C(1) << 60) /* with V = 0: an invalid leaf */
#define KELP_RISCV64_PBMT_SHIFT 61
#define KELP_RISCV64_PBMT_MASK (UINT64_C(3) << KELP_RISCV64_PBMT_SHIFT)
#define KELP_RISCV64_N        (UINT64_C(1) << 63)

/* An address is shifted right by this to become the PPN field: 12 bits off, 10 bits up. */
#define KELP_RISCV64_PA_SHIFT 2

/* Svnapot: bits 3:0 of the PPN are 1000 in a 64 KiB group (chapter Svnapot, first table). */
#define KELP_RISCV64_NAPOT_ORDER 4
#define KELP_RISCV64_NAPOT_FIELD (UINT64_C(0xf) << 10)
#define KELP_RISCV64_NAPOT_64K   (UINT64_C(0x8) << 10)

/* ---- the functions src/space_template.h is instantiated with; see there ---------------------- */

typedef uint64_t kelp_riscv64_slot_t;

static inline unsigned kelp_riscv64_levels(const struct kelp_format *f)
{
	return f->levels;
}

static inline unsigned kelp_riscv64_shift(unsigned level)
{
	return 12u + 9u * level;
}

static inline unsigned kelp_riscv64_index(const struct kelp_format *f, unsigned level,
					  kelp_vaddr_t va)
{
	(void)f;
	return (unsigned)(va >> kelp_riscv64_shift(level)) & 0x1ffu;
}

static inline bool kelp_riscv64_caches_invalid(const struct kelp_format *f)
{
	return f->caches_invalid;
}

static inline bool kelp_riscv64_demands_break(const struct kelp_format *f)
{
	(void)f;
	return false;
}

static inline unsigned kelp_riscv64_group_order(unsigned level)
{
	return level == 0 ? KELP_RISCV64_NAPOT_ORDER : 0;
}

/* Any level may hold leaves, the root too (section "Sv39"). */
static inline bool kelp_riscv64_leaf_ok(const struct kelp_format *f, unsigned level)
{
	return level < f->levels;
}

static inline kelp_paddr_t kelp_riscv64_reach(const struct kelp_format *f, unsigned level)
{
	(void)level;
	return (UINT64_C(1) << f->pa_bits) - 1u;
}

static inline bool kelp_riscv64_grouped(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f;
	return level == 0 && (e & KELP_RISCV64_V) && (e & KELP_RISCV64_N);
}

static inline enum kelp_entry_kind kelp_riscv64_kind(const struct kelp_format *f, unsigned level,
						     uint64_t e)
{
	(void)f;
	if (!(e & KELP_RISCV64_V)) {
		if (e == 0)
			return KELP_ENTRY_NONE;
		return e & KELP_RISCV64_MARK ? KELP_ENTRY_INVALID : KELP_ENTRY_OPAQUE;
	}
	if (e & (KELP_RISCV64_R | KELP_RISCV64_X))
		return KELP_ENTRY_LEAF;
	/* W alone is reserved, and a pointer at the last level leads nowhere: both fault. */
	if ((e & KELP_RISCV64_W) || level == 0)
		return KELP_ENTRY_OPAQUE;
	return KELP_ENTRY_TABLE;
}

/* Where the frame address lies in a leaf, as a mask over the entry. */
static inline uint64_t kelp_riscv64_address_bits(const struct kelp_format *f, unsigned level,
						 uint64_t e)
{
	uint64_t low = (UINT64_C(1) << (kelp_riscv64_shift(level) - KELP_RISCV64_PA_SHIFT)) - 1u;

	if (kelp_riscv64_grouped(f, level, e))
		low |= KELP_RISCV64_NAPOT_FIELD;
	return f->address_mask & ~low;
}

static inline kelp_paddr_t kelp_riscv64_address(const struct kelp_format *f, unsigned level,
						uint64_t e)
{
	if (kelp_riscv64_kind(f, level, e) == KELP_ENTRY_TABLE)
		return (e & f->address_mask) << KELP_RISCV64_PA_SHIFT;
	return (e & kelp_riscv64_address_bits(f, level, e)) << KELP_RISCV64_PA_SHIFT;
}

static inline kelp_paddr_t kelp_riscv64_table_address(const struct kelp_format *f, unsigned level,
						      uint64_t e)
{
	(void)level;
	return (e & f->address_mask) << KELP_RISCV64_PA_SHIFT;
}

static inline uint64_t kelp_riscv64_entry(const struct kelp_format *f, unsigned level,
					  uint64_t bits, kelp_paddr_t pa)
{
	return bits | (pa >> KELP_RISCV64_PA_SHIFT & kelp_riscv64_address_bits(f, level, bits));
}

static inline uint64_t kelp_riscv64_strip(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return e & ~kelp_riscv64_address_bits(f, level, e);
}

static inline uint64_t kelp_riscv64_modelled(const struct kelp_format *f, unsigned level)
{
	(void)level;
	return KELP_RISCV64_V | KELP_RISCV64_R | KELP_RISCV64_W | KELP_RISCV64_X | KELP_RISCV64_U |
	       KELP_RISCV64_G | KELP_RISCV64_A | KELP_RISCV64_D | KELP_RISCV64_RSW0 |
	       KELP_RISCV64_RSW1 | KELP_RISCV64_MARK |
	       (f->features & KELP_RISCV64_PBMT ? KELP_RISCV64_PBMT_MASK : 0);
}

/*
 * A leaf needs R or X, else it would be a pointer, and W needs R (table "Encoding of PTE R/W/X
 * fields"). The same is asked of invalid leaves, so that each of them can be made valid.
 */
static inline enum kelp_status kelp_riscv64_encode(const struct kelp_format *f, unsigned level,
						   kelp_attr_t attr, bool grouped, uint64_t *bits)
{
	unsigned pbmt = f->type_to_index[(attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT];
	uint64_t b = 0;

	if (attr & ~KELP_ATTR_ALL)
		return KELP_ERR_ARGUMENT;
	if ((attr & ~(f->attr_mask | KELP_ATTR_TYPE_MASK)) || pbmt == KELP_TYPE_ABSENT ||
	    !(attr & (KELP_ATTR_READ | KELP_ATTR_EXEC)) ||
	    ((attr & KELP_ATTR_WRITE) && !(attr & KELP_ATTR_READ)) ||
	    !kelp_riscv64_leaf_ok(f, level))
		return KELP_ERR_UNSUPPORTED;
	if (grouped && (level != 0 || !f->groups || (attr & KELP_ATTR_INVALID)))
		return KELP_ERR_UNSUPPORTED;

	b |= attr & KELP_ATTR_INVALID ? KELP_RISCV64_MARK : KELP_RISCV64_V;
	b |= attr & KELP_ATTR_READ ? KELP_RISCV64_R : 0;
	b |= attr & KELP_ATTR_WRITE ? KELP_RISCV64_W : 0;
	b |= attr & KELP_ATTR_EXEC ? KELP_RISCV64_X : 0;
	b |= attr & KELP_ATTR_USER ? KELP_RISCV64_U : 0;
	b |= attr & KELP_ATTR_GLOBAL ? KELP_RISCV64_G : 0;
	b |= attr & KELP_ATTR_ACCESSED ? KELP_RISCV64_A : 0;
	b |= attr & KELP_ATTR_DIRTY ? KELP_RISCV64_D : 0;
	b |= attr & KELP_ATTR_SOFT0 ? KELP_RISCV64_RSW0 : 0;
	b |= attr & KELP_ATTR_SOFT1 ? KELP_RISCV64_RSW1 : 0;
	b |= (uint64_t)pbmt << KELP_RISCV64_PBMT_SHIFT;
	b |= grouped ? KELP_RISCV64_N | KELP_RISCV64_NAPOT_64K : 0;
	*bits = b;
	return KELP_OK;
}

static inline kelp_attr_t kelp_riscv64_decode(const struct kelp_format *f, unsigned level,
					      uint64_t e)
{
	kelp_attr_t attr = 0;

	(void)level;
	attr |= e & KELP_RISCV64_V ? 0 : KELP_ATTR_INVALID;
	attr |= e & KELP_RISCV64_R ? KELP_ATTR_READ : 0;
	attr |= e & KELP_RISCV64_W ? KELP_ATTR_WRITE : 0;
	attr |= e & KELP_RISCV64_X ? KELP_ATTR_EXEC : 0;
	attr |= e & KELP_RISCV64_U ? KELP_ATTR_USER : 0;
	attr |= e & KELP_RISCV64_G ? KELP_ATTR_GLOBAL : 0;
	attr |= e & KELP_RISCV64_A ? KELP_ATTR_ACCESSED : 0;
	attr |= e & KELP_RISCV64_D ? KELP_ATTR_DIRTY : 0;
	attr |= e & KELP_RISCV64_RSW0 ? KELP_ATTR_SOFT0 : 0;
	attr |= e & KELP_RISCV64_RSW1 ? KELP_ATTR_SOFT1 : 0;
	if (f->features & KELP_RISCV64_PBMT)
		attr |= KELP_ATTR_TYPE(f->index_to_type[(e & KELP_RISCV64_PBMT_MASK) >>
							KELP_RISCV64_PBMT_SHIFT]);
	return attr;
}

/* U, A and D of a pointer are reserved (section "Sv32"), so all of them stay clear. */
static inline uint64_t kelp_riscv64_table(const struct kelp_format *f, unsigned level,
					  kelp_paddr_t pa, bool owned)
{
	(void)f, (void)level;
	return pa >> KELP_RISCV64_PA_SHIFT | KELP_RISCV64_V | (owned ? KELP_RISCV64_RSW0 : 0);
}

static inline bool kelp_riscv64_owned(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e & KELP_RISCV64_RSW0;
}

/* Pointers carry no rights. */
static inline kelp_attr_t kelp_riscv64_denied(const struct kelp_format *f, unsigned level,
					      uint64_t e)
{
	(void)f, (void)level, (void)e;
	return 0;
}

static inline uint64_t kelp_riscv64_group(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return (e & ~KELP_RISCV64_NAPOT_FIELD) | KELP_RISCV64_N | KELP_RISCV64_NAPOT_64K;
}

static inline uint64_t kelp_riscv64_ungroup(const struct kelp_format *f, unsigned level,
					    uint64_t e, unsigned position)
{
	(void)f, (void)level;
	return (e & ~(KELP_RISCV64_N | KELP_RISCV64_NAPOT_FIELD)) | (uint64_t)position << 10;
}

/* A leaf looks the same at every level; only the alignment of its frame differs. */
static inline uint64_t kelp_riscv64_child(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e;
}

static inline uint64_t kelp_riscv64_parent(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e;
}

/* Of a pointer G makes everything below it global (section "Sv32"). */
static inline bool kelp_riscv64_is_global(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e & KELP_RISCV64_G;
}

/*
 * No break is demanded: between the store and the fence either translation may be used, page
 * sizes included, and every change is followed by the gather's fence (section "Supervisor
 * Memory-Management Fence Instruction"; chapter Svnapot says the same of groups).
 */
static inline bool kelp_riscv64_can_replace(const struct kelp_format *f, unsigned level,
					    uint64_t old, uint64_t new)
{
	(void)f, (void)level, (void)old, (void)new;
	return true;
}

static inline bool kelp_riscv64_busy(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)level;
	return (f->features & KELP_RISCV64_ADUE) && (e & KELP_RISCV64_V) &&
	       (!(e & KELP_RISCV64_A) || ((e & KELP_RISCV64_W) && !(e & KELP_RISCV64_D)));
}

static inline uint64_t kelp_riscv64_absorb(const struct kelp_format *f, unsigned level,
					   uint64_t e, uint64_t other)
{
	(void)f, (void)level;
	return e | (other & (KELP_RISCV64_A | KELP_RISCV64_D));
}

/* D regardless of W: it stays behind when W is taken away. */
static inline uint64_t kelp_riscv64_neutral(const struct kelp_format *f, unsigned level,
					    uint64_t e)
{
	(void)f, (void)level;
	return e | KELP_RISCV64_A | KELP_RISCV64_D;
}

/*
 * What makes the translation algorithm (section "Sv32", steps 3 to 6) raise a fault whatever the
 * access: reserved bits and encodings, a pointer at the last level, a frame that is not aligned
 * to its leaf. And an address beyond the physical width.
 */
static inline bool kelp_riscv64_well_formed(const struct kelp_format *f, unsigned level,
					    uint64_t e)
{
	uint64_t reserved = KELP_RISCV64_RESERVED | (KELP_RISCV64_PPN & ~f->address_mask);

	if (!(e & KELP_RISCV64_V))
		return true;
	switch (kelp_riscv64_kind(f, level, e)) {
	case KELP_ENTRY_TABLE:
		reserved |= KELP_RISCV64_U | KELP_RISCV64_A | KELP_RISCV64_D |
			    KELP_RISCV64_PBMT_MASK | KELP_RISCV64_N;
		return !(e & reserved);
	case KELP_ENTRY_LEAF:
		if (!(f->features & KELP_RISCV64_PBMT))
			reserved |= KELP_RISCV64_PBMT_MASK;
		else if ((e & KELP_RISCV64_PBMT_MASK) == KELP_RISCV64_PBMT_MASK)
			return false;
		if (level > 0)
			reserved |= KELP_RISCV64_PPN & ~kelp_riscv64_address_bits(f, level, e);
		if (level > 0 || !f->groups)
			reserved |= KELP_RISCV64_N;
		else if ((e & KELP_RISCV64_N) &&
			 (e & KELP_RISCV64_NAPOT_FIELD) != KELP_RISCV64_NAPOT_64K)
			return false;
		return !(e & reserved);
	default:
		return false;
	}
}

#endif
