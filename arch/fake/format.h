/* SPDX-License-Identifier: MIT */
/*
 * fake: the format of no machine. It exists for the tests.
 *
 * No two levels agree in anything: where the valid bit, the rights, the type and the address
 * lie, which rights are stored inverted, how many entries a table has, how a group is marked,
 * whether an invalid leaf's address is inverted. Code that takes an entry of one level for an
 * entry of another cannot get away with it. And what real machines differ in is chosen by the
 * config, so that every branch of the portable code can be reached without a real architecture.
 *
 *	level  entries  one spans  leaves  groups
 *	  0      256      4 KiB     yes    4, contiguous: each keeps its own frame
 *	  1      512      1 MiB     yes    8, NAPOT: low frame bits replaced by 100
 *	  2      128    512 MiB     yes    none
 *	  3       64     64 GiB     no
 *
 * Addresses have 42 translated bits, frames 44. An entry of 0 is NONE.
 */
#ifndef KELP_ARCH_FAKE_FORMAT_H
#define KELP_ARCH_FAKE_FORMAT_H

#include <kelp/format.h>

struct kelp_fake_config {
	unsigned bbm_level;      /* 0, 1, 2 with the meaning they have on arm64 */
	bool caches_invalid;     /* hardware caches entries that are not valid */
	bool root_in_registers;
	bool hardware_ad;        /* hardware sets accessed and dirty */
	bool hierarchical;       /* table entries deny rights to what is below them */
	bool groups;
	bool high_half;          /* translates the top of the address space instead of the bottom */
};

/* kelp_format.features. */
#define KELP_FAKE_AD           (UINT32_C(1) << 0)
#define KELP_FAKE_HIERARCHICAL (UINT32_C(1) << 1)

#define KELP_FAKE_LEVELS  4
#define KELP_FAKE_VA_BITS 42
#define KELP_FAKE_PA_BITS 44

/* Errors: ARGUMENT (bbm_level). After an error *format is unusable. */
enum kelp_status kelp_fake_format_init(struct kelp_format *format,
				       const struct kelp_fake_config *config) KELP_WARN_UNUSED;

/* The range operations of this format; see src/space_template.h. */
extern const struct kelp_space_ops kelp_fake_space_ops;

/* The bits of an entry that are not its address. */
enum kelp_fake_bit {
	KELP_FAKE_VALID,
	KELP_FAKE_IS_LEAF,
	KELP_FAKE_READ, /* from here to SOFT3: bits of leaves, one attribute each */
	KELP_FAKE_WRITE,
	KELP_FAKE_EXEC,
	KELP_FAKE_USER,
	KELP_FAKE_GLOBAL,
	KELP_FAKE_ACCESSED,
	KELP_FAKE_DIRTY,
	KELP_FAKE_SHARED,
	KELP_FAKE_SOFT0,
	KELP_FAKE_SOFT1,
	KELP_FAKE_SOFT2,
	KELP_FAKE_SOFT3,
	KELP_FAKE_TYPE0, /* the type: three bits, with the level's number added */
	KELP_FAKE_TYPE1,
	KELP_FAKE_TYPE2,
	KELP_FAKE_GROUP,
	KELP_FAKE_MARK,    /* leaf: invalid, of Kelp; table: owned */
	KELP_FAKE_IGNORED, /* hardware and library pass it by */
	KELP_FAKE_BITS,
};

/* Of tables, in the places of three bits of leaves. */
#define KELP_FAKE_DENY_WRITE KELP_FAKE_SOFT0
#define KELP_FAKE_DENY_EXEC  KELP_FAKE_SOFT1
#define KELP_FAKE_DENY_USER  KELP_FAKE_SOFT2

#define KELP_FAKE_FRAME_BITS (KELP_FAKE_PA_BITS - 12)
#define KELP_FAKE_FRAME_MASK ((UINT64_C(1) << KELP_FAKE_FRAME_BITS) - 1u)

/*
 * One level. VALID lies below bit 12 everywhere: the page-aligned address through which retired
 * tables are linked is then never valid.
 */
struct kelp_fake_level {
	uint8_t shift;
	uint8_t index_bits;
	uint8_t group_order;
	uint8_t frame_at;       /* lowest bit of the frame number */
	bool frame_inverted;    /* in an invalid leaf */
	uint32_t stored_inverted; /* rights (enum kelp_fake_bit) that a clear bit grants */
	uint8_t at[KELP_FAKE_BITS];
};

static const struct kelp_fake_level kelp_fake_level[KELP_FAKE_LEVELS] = {
	{12, 8, 2, 24, true, 0,
	 {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 63}},
	{20, 9, 3, 32, false, 1u << KELP_FAKE_WRITE,
	 {11, 9, 7, 5, 3, 1, 0, 2, 4, 6, 8, 10, 31, 30, 29, 28, 27, 26, 25, 24}},
	{29, 7, 0, 13, true, 1u << KELP_FAKE_EXEC | 1u << KELP_FAKE_READ,
	 {6, 63, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 0, 1, 2, 3, 4, 5, 7, 8}},
	{36, 6, 0, 28, false, 0,
	 {3, 60, 61, 62, 63, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
};

static inline uint64_t kelp_fake_bit(unsigned level, enum kelp_fake_bit bit)
{
	return UINT64_C(1) << kelp_fake_level[level].at[bit];
}

static inline bool kelp_fake_is(unsigned level, uint64_t e, enum kelp_fake_bit bit)
{
	bool set = e & kelp_fake_bit(level, bit);

	return set != !!(kelp_fake_level[level].stored_inverted >> bit & 1u);
}

static inline uint64_t kelp_fake_put(unsigned level, enum kelp_fake_bit bit, bool set)
{
	bool inverted = kelp_fake_level[level].stored_inverted >> bit & 1u;

	return set != inverted ? kelp_fake_bit(level, bit) : 0;
}

/* ---- the functions src/space_template.h is instantiated with; see there ---------------------- */

typedef uint64_t kelp_fake_slot_t;

static inline unsigned kelp_fake_levels(const struct kelp_format *f)
{
	(void)f;
	return KELP_FAKE_LEVELS;
}

static inline unsigned kelp_fake_shift(unsigned level)
{
	return kelp_fake_level[level].shift;
}

static inline unsigned kelp_fake_index(const struct kelp_format *f, unsigned level,
				       kelp_vaddr_t va)
{
	(void)f;
	return (unsigned)(va >> kelp_fake_shift(level)) &
	       ((1u << kelp_fake_level[level].index_bits) - 1u);
}

static inline bool kelp_fake_caches_invalid(const struct kelp_format *f)
{
	return f->caches_invalid;
}

static inline bool kelp_fake_demands_break(const struct kelp_format *f)
{
	(void)f;
	return true;
}

static inline unsigned kelp_fake_group_order(unsigned level)
{
	return kelp_fake_level[level].group_order;
}

static inline bool kelp_fake_leaf_ok(const struct kelp_format *f, unsigned level)
{
	(void)f;
	return level < 3;
}

static inline kelp_paddr_t kelp_fake_reach(const struct kelp_format *f, unsigned level)
{
	(void)f, (void)level;
	return (UINT64_C(1) << KELP_FAKE_PA_BITS) - 1u;
}

static inline enum kelp_entry_kind kelp_fake_kind(const struct kelp_format *f, unsigned level,
						  uint64_t e)
{
	bool leaf = kelp_fake_is(level, e, KELP_FAKE_IS_LEAF);

	if (e == 0)
		return KELP_ENTRY_NONE;
	if (kelp_fake_is(level, e, KELP_FAKE_VALID)) {
		if (leaf)
			return kelp_fake_leaf_ok(f, level) ? KELP_ENTRY_LEAF : KELP_ENTRY_OPAQUE;
		return level > 0 ? KELP_ENTRY_TABLE : KELP_ENTRY_OPAQUE;
	}
	if (leaf && kelp_fake_is(level, e, KELP_FAKE_MARK) && kelp_fake_leaf_ok(f, level))
		return KELP_ENTRY_INVALID;
	return KELP_ENTRY_OPAQUE;
}

static inline bool kelp_fake_grouped(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f;
	return kelp_fake_level[level].group_order && kelp_fake_is(level, e, KELP_FAKE_VALID) &&
	       kelp_fake_is(level, e, KELP_FAKE_IS_LEAF) &&
	       kelp_fake_is(level, e, KELP_FAKE_GROUP);
}

/* NAPOT, level 1: these bits of the frame number do not hold a frame but say how large. */
static inline uint64_t kelp_fake_napot_field(unsigned level)
{
	return level == 1 ? UINT64_C(7) << 8 : 0;
}

#define KELP_FAKE_NAPOT (UINT64_C(4) << 8)

/* Where a leaf keeps its own frame, as a mask over the frame number. */
static inline uint64_t kelp_fake_frame_bits(const struct kelp_format *f, unsigned level, uint64_t e)
{
	uint64_t low = (UINT64_C(1) << (kelp_fake_shift(level) - 12u)) - 1u;

	if (kelp_fake_grouped(f, level, e))
		low |= kelp_fake_napot_field(level);
	return KELP_FAKE_FRAME_MASK & ~low;
}

/* The bits of a frame number that tell frames of one group apart. */
static inline uint64_t kelp_fake_group_bits(unsigned level)
{
	return (UINT64_C(1) << (kelp_fake_shift(level) - 12u + kelp_fake_group_order(level))) - 1u;
}

static inline uint64_t kelp_fake_frame(unsigned level, uint64_t e)
{
	return e >> kelp_fake_level[level].frame_at & KELP_FAKE_FRAME_MASK;
}

static inline kelp_paddr_t kelp_fake_address(const struct kelp_format *f, unsigned level,
					     uint64_t e)
{
	uint64_t frame = kelp_fake_frame(level, e);

	if (!kelp_fake_is(level, e, KELP_FAKE_IS_LEAF))
		return frame << 12;
	if (!kelp_fake_is(level, e, KELP_FAKE_VALID) && kelp_fake_level[level].frame_inverted)
		frame = ~frame;
	frame &= kelp_fake_frame_bits(f, level, e);
	if (kelp_fake_grouped(f, level, e))
		frame &= ~kelp_fake_group_bits(level);
	return frame << 12;
}

static inline kelp_paddr_t kelp_fake_table_address(const struct kelp_format *f, unsigned level,
						   uint64_t e)
{
	return kelp_fake_address(f, level, e);
}

static inline uint64_t kelp_fake_entry(const struct kelp_format *f, unsigned level, uint64_t bits,
				       kelp_paddr_t pa)
{
	uint64_t frame = pa >> 12;

	if (!kelp_fake_is(level, bits, KELP_FAKE_VALID) && kelp_fake_level[level].frame_inverted)
		frame = ~frame;
	frame &= kelp_fake_frame_bits(f, level, bits);
	return bits | frame << kelp_fake_level[level].frame_at;
}

static inline uint64_t kelp_fake_strip(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return e & ~(kelp_fake_frame_bits(f, level, e) << kelp_fake_level[level].frame_at);
}

/* All but the group mark and the ignored bit. */
static inline uint64_t kelp_fake_modelled(const struct kelp_format *f, unsigned level)
{
	uint64_t bits = 0;

	(void)f;
	for (unsigned i = 0; i < KELP_FAKE_BITS; i++)
		if (i != KELP_FAKE_GROUP && i != KELP_FAKE_IGNORED)
			bits |= kelp_fake_bit(level, i);
	return bits;
}

/* Bit i of `attr` is bit KELP_FAKE_READ + i of an entry, in the order of kelp/types.h. */
static inline kelp_attr_t kelp_fake_attribute(unsigned bit)
{
	return bit >= KELP_FAKE_SOFT0 ? KELP_ATTR_SOFT0 << (bit - KELP_FAKE_SOFT0)
				      : KELP_ATTR_READ << (bit - KELP_FAKE_READ);
}

static inline enum kelp_status kelp_fake_encode(const struct kelp_format *f, unsigned level,
						kelp_attr_t attr, bool grouped, uint64_t *bits)
{
	unsigned type = f->type_to_index[(attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT];
	bool invalid = attr & KELP_ATTR_INVALID;
	uint64_t b = 0;

	if (attr & ~KELP_ATTR_ALL)
		return KELP_ERR_ARGUMENT;
	if (type == KELP_TYPE_ABSENT || !kelp_fake_leaf_ok(f, level))
		return KELP_ERR_UNSUPPORTED;
	if (grouped && (!f->groups || !kelp_fake_group_order(level) || invalid))
		return KELP_ERR_UNSUPPORTED;

	b |= kelp_fake_put(level, KELP_FAKE_VALID, !invalid);
	b |= kelp_fake_put(level, KELP_FAKE_MARK, invalid);
	b |= kelp_fake_put(level, KELP_FAKE_IS_LEAF, true);
	for (unsigned i = KELP_FAKE_READ; i <= KELP_FAKE_SOFT3; i++)
		b |= kelp_fake_put(level, i, attr & kelp_fake_attribute(i));
	for (unsigned i = 0; i < 3; i++)
		b |= kelp_fake_put(level, KELP_FAKE_TYPE0 + i, (type + level) >> i & 1u);
	b |= kelp_fake_put(level, KELP_FAKE_GROUP, grouped);
	if (grouped && kelp_fake_napot_field(level))
		b |= KELP_FAKE_NAPOT << kelp_fake_level[level].frame_at;
	*bits = b;
	return KELP_OK;
}

static inline kelp_attr_t kelp_fake_decode(const struct kelp_format *f, unsigned level, uint64_t e)
{
	kelp_attr_t attr = kelp_fake_is(level, e, KELP_FAKE_VALID) ? 0 : KELP_ATTR_INVALID;
	unsigned type = 0;

	for (unsigned i = KELP_FAKE_READ; i <= KELP_FAKE_SOFT3; i++)
		attr |= kelp_fake_is(level, e, i) ? kelp_fake_attribute(i) : 0;
	for (unsigned i = 0; i < 3; i++)
		type |= kelp_fake_is(level, e, KELP_FAKE_TYPE0 + i) ? 1u << i : 0;
	return attr | KELP_ATTR_TYPE(f->index_to_type[(type - level) & 7u]);
}

static inline uint64_t kelp_fake_table(const struct kelp_format *f, unsigned level,
				       kelp_paddr_t pa, bool owned)
{
	(void)f;
	return kelp_fake_put(level, KELP_FAKE_VALID, true) |
	       kelp_fake_put(level, KELP_FAKE_MARK, owned) |
	       pa >> 12 << kelp_fake_level[level].frame_at;
}

static inline bool kelp_fake_owned(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f;
	return kelp_fake_is(level, e, KELP_FAKE_MARK);
}

static inline kelp_attr_t kelp_fake_denied(const struct kelp_format *f, unsigned level, uint64_t e)
{
	kelp_attr_t denied = 0;

	if (!(f->features & KELP_FAKE_HIERARCHICAL))
		return 0;
	denied |= kelp_fake_is(level, e, KELP_FAKE_DENY_WRITE) ? KELP_ATTR_WRITE : 0;
	denied |= kelp_fake_is(level, e, KELP_FAKE_DENY_EXEC) ? KELP_ATTR_EXEC : 0;
	denied |= kelp_fake_is(level, e, KELP_FAKE_DENY_USER) ? KELP_ATTR_USER : 0;
	return denied;
}

static inline uint64_t kelp_fake_group(const struct kelp_format *f, unsigned level, uint64_t e)
{
	unsigned at = kelp_fake_level[level].frame_at;

	(void)f;
	e |= kelp_fake_bit(level, KELP_FAKE_GROUP);
	if (kelp_fake_napot_field(level))
		e = (e & ~(kelp_fake_napot_field(level) << at)) | KELP_FAKE_NAPOT << at;
	return e;
}

static inline uint64_t kelp_fake_ungroup(const struct kelp_format *f, unsigned level, uint64_t e,
					 unsigned position)
{
	unsigned at = kelp_fake_level[level].frame_at;

	(void)f;
	e &= ~kelp_fake_bit(level, KELP_FAKE_GROUP);
	if (kelp_fake_napot_field(level))
		e = (e & ~(kelp_fake_napot_field(level) << at)) | (uint64_t)position << 8 << at;
	return e;
}

/* The same leaf in the encoding of another level: every bit moves. */
static inline uint64_t kelp_fake_recode(const struct kelp_format *f, unsigned from, unsigned to,
					uint64_t e)
{
	uint64_t bits = 0;
	unsigned type = 0;

	for (unsigned i = 0; i < KELP_FAKE_BITS; i++) {
		bool set = kelp_fake_is(from, e, i);

		if (i >= KELP_FAKE_TYPE0 && i <= KELP_FAKE_TYPE2)
			type |= set ? 1u << (i - KELP_FAKE_TYPE0) : 0;
		else
			bits |= kelp_fake_put(to, i, set);
	}
	type = type - from + to;
	for (unsigned i = 0; i < 3; i++)
		bits |= kelp_fake_put(to, KELP_FAKE_TYPE0 + i, type >> i & 1u);
	return kelp_fake_entry(f, to, bits, kelp_fake_address(f, from, e));
}

static inline uint64_t kelp_fake_child(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_fake_recode(f, level, level - 1, e);
}

static inline uint64_t kelp_fake_parent(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_fake_recode(f, level - 1, level, e);
}

static inline bool kelp_fake_is_global(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f;
	return kelp_fake_is(level, e, KELP_FAKE_IS_LEAF) &&
	       kelp_fake_is(level, e, KELP_FAKE_GLOBAL);
}

static inline unsigned kelp_fake_type(unsigned level, uint64_t e)
{
	unsigned type = 0;

	for (unsigned i = 0; i < 3; i++)
		type |= kelp_fake_is(level, e, KELP_FAKE_TYPE0 + i) ? 1u << i : 0;
	return type;
}

/*
 * After arm64's rules: between two valid entries a table may become a leaf or the reverse only
 * at BBM level 2, a group mark may come or go from level 1 on, and another frame, another
 * memory type or another table is never reached without a break.
 */
static inline bool kelp_fake_can_replace(const struct kelp_format *f, unsigned level, uint64_t old,
					 uint64_t new)
{
	bool leaf = kelp_fake_is(level, old, KELP_FAKE_IS_LEAF);
	uint64_t before = kelp_fake_frame(level, old);
	uint64_t after = kelp_fake_frame(level, new);

	if (!kelp_fake_is(level, old, KELP_FAKE_VALID) ||
	    !kelp_fake_is(level, new, KELP_FAKE_VALID))
		return true;
	if (leaf != kelp_fake_is(level, new, KELP_FAKE_IS_LEAF))
		return f->bbm_level >= 2;
	if (!leaf)
		return before == after;
	if (kelp_fake_grouped(f, level, old) != kelp_fake_grouped(f, level, new)) {
		if (f->bbm_level < 1)
			return false;
		/* One knows its own frame; of the other only the group's may be told. */
		before &= ~kelp_fake_group_bits(level);
		after &= ~kelp_fake_group_bits(level);
	}
	return before == after && kelp_fake_type(level, old) == kelp_fake_type(level, new);
}

static inline bool kelp_fake_busy(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return (f->features & KELP_FAKE_AD) && kelp_fake_is(level, e, KELP_FAKE_VALID) &&
	       (!kelp_fake_is(level, e, KELP_FAKE_ACCESSED) ||
		(kelp_fake_is(level, e, KELP_FAKE_WRITE) &&
		 !kelp_fake_is(level, e, KELP_FAKE_DIRTY)));
}

static inline uint64_t kelp_fake_absorb(const struct kelp_format *f, unsigned level, uint64_t e,
					uint64_t other)
{
	(void)f;
	return e | (other & (kelp_fake_bit(level, KELP_FAKE_ACCESSED) |
			     kelp_fake_bit(level, KELP_FAKE_DIRTY)));
}

static inline uint64_t kelp_fake_neutral(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f;
	return e | kelp_fake_bit(level, KELP_FAKE_ACCESSED) |
	       kelp_fake_bit(level, KELP_FAKE_DIRTY);
}

static inline bool kelp_fake_well_formed(const struct kelp_format *f, unsigned level, uint64_t e)
{
	uint64_t known = KELP_FAKE_FRAME_MASK << kelp_fake_level[level].frame_at;
	uint64_t frame = kelp_fake_frame(level, e);

	if (!kelp_fake_is(level, e, KELP_FAKE_VALID))
		return true;
	if (kelp_fake_kind(f, level, e) == KELP_ENTRY_TABLE) {
		known |= kelp_fake_bit(level, KELP_FAKE_VALID) |
			 kelp_fake_bit(level, KELP_FAKE_MARK) |
			 kelp_fake_bit(level, KELP_FAKE_IGNORED);
		if (f->features & KELP_FAKE_HIERARCHICAL)
			known |= kelp_fake_bit(level, KELP_FAKE_DENY_WRITE) |
				 kelp_fake_bit(level, KELP_FAKE_DENY_EXEC) |
				 kelp_fake_bit(level, KELP_FAKE_DENY_USER);
		return !(e & ~known);
	}
	if (kelp_fake_kind(f, level, e) != KELP_ENTRY_LEAF)
		return false;
	for (unsigned i = 0; i < KELP_FAKE_BITS; i++)
		if (i != KELP_FAKE_GROUP || (f->groups && kelp_fake_group_order(level)))
			known |= kelp_fake_bit(level, i);
	if (e & ~known)
		return false;
	if (kelp_fake_grouped(f, level, e) && kelp_fake_napot_field(level)) {
		if ((frame & kelp_fake_napot_field(level)) != KELP_FAKE_NAPOT)
			return false;
		frame &= ~kelp_fake_napot_field(level);
	}
	return !(frame & ~kelp_fake_frame_bits(f, level, e));
}

#endif
