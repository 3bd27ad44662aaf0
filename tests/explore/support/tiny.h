/* SPDX-License-Identifier: MIT */
/*
 * tiny: a table format for the explorer. Three levels of four entries, pages of 64 bytes: the
 * library's own code, in trees small enough that every schedule can be run.
 *
 *	level 2  4 entries of 1024 bytes   tables
 *	level 1  4 entries of  256 bytes   tables and leaves
 *	level 0  4 entries of   64 bytes   leaves
 */
#ifndef TESTS_EXPLORE_TINY_H
#define TESTS_EXPLORE_TINY_H

#include <kelp/kelp.h>

#define TINY_V     (UINT64_C(1) << 63)
#define TINY_LEAF  (UINT64_C(1) << 62)
#define TINY_MARK  (UINT64_C(1) << 61) /* table: owned; leaf: invalid */
#define TINY_W     (UINT64_C(1) << 60)
#define TINY_A     (UINT64_C(1) << 59)
#define TINY_D     (UINT64_C(1) << 58)
#define TINY_G     (UINT64_C(1) << 57)
#define TINY_FRAME UINT64_C(0xffffffc0)

#define TINY_PAGE    UINT64_C(64)
#define TINY_LARGE   UINT64_C(256)
#define TINY_HUGE    UINT64_C(1024)
#define TINY_LEVELS  3
#define TINY_ENTRIES 4

#define TINY_AD (UINT32_C(1) << 0) /* features: hardware sets accessed and dirty */

typedef uint64_t kelp_tiny_slot_t;

static inline unsigned kelp_tiny_levels(const struct kelp_format *f)
{
	(void)f;
	return TINY_LEVELS;
}

static inline bool kelp_tiny_caches_invalid(const struct kelp_format *f)
{
	return f->caches_invalid;
}

static inline bool kelp_tiny_demands_break(const struct kelp_format *f)
{
	(void)f;
	return false;
}

static inline unsigned kelp_tiny_shift(unsigned level)
{
	return 6u + 2u * level;
}

static inline unsigned kelp_tiny_index(const struct kelp_format *f, unsigned level, kelp_vaddr_t va)
{
	(void)f;
	return (unsigned)(va >> kelp_tiny_shift(level)) & 3u;
}

static inline unsigned kelp_tiny_group_order(unsigned level)
{
	(void)level;
	return 0;
}

static inline bool kelp_tiny_leaf_ok(const struct kelp_format *f, unsigned level)
{
	(void)f;
	return level < 2;
}

static inline kelp_paddr_t kelp_tiny_reach(const struct kelp_format *f, unsigned level)
{
	(void)f, (void)level;
	return UINT32_MAX;
}

static inline enum kelp_entry_kind kelp_tiny_kind(const struct kelp_format *f, unsigned level,
						  uint64_t e)
{
	(void)f;
	if (e == 0)
		return KELP_ENTRY_NONE;
	if (e & TINY_V) {
		if (e & TINY_LEAF)
			return level < 2 ? KELP_ENTRY_LEAF : KELP_ENTRY_OPAQUE;
		return level > 0 ? KELP_ENTRY_TABLE : KELP_ENTRY_OPAQUE;
	}
	return (e & TINY_LEAF) && (e & TINY_MARK) ? KELP_ENTRY_INVALID : KELP_ENTRY_OPAQUE;
}

static inline kelp_paddr_t kelp_tiny_address(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e & TINY_FRAME;
}

static inline kelp_paddr_t kelp_tiny_table_address(const struct kelp_format *f, unsigned level,
						   uint64_t e)
{
	(void)f, (void)level;
	return e & TINY_FRAME;
}

static inline uint64_t kelp_tiny_entry(const struct kelp_format *f, unsigned level, uint64_t bits,
				       kelp_paddr_t pa)
{
	(void)f, (void)level;
	return bits | pa;
}

static inline uint64_t kelp_tiny_strip(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e & ~TINY_FRAME;
}

static inline uint64_t kelp_tiny_modelled(const struct kelp_format *f, unsigned level)
{
	(void)f, (void)level;
	return TINY_V | TINY_LEAF | TINY_MARK | TINY_W | TINY_A | TINY_D | TINY_G;
}

static inline enum kelp_status kelp_tiny_encode(const struct kelp_format *f, unsigned level,
						kelp_attr_t attr, bool grouped, uint64_t *bits)
{
	if (grouped || !kelp_tiny_leaf_ok(f, level) || (attr & ~f->attr_mask) ||
	    (~attr & f->attr_always))
		return KELP_ERR_UNSUPPORTED;
	*bits = TINY_LEAF | (attr & KELP_ATTR_INVALID ? TINY_MARK : TINY_V) |
		(attr & KELP_ATTR_WRITE ? TINY_W : 0) | (attr & KELP_ATTR_ACCESSED ? TINY_A : 0) |
		(attr & KELP_ATTR_DIRTY ? TINY_D : 0) | (attr & KELP_ATTR_GLOBAL ? TINY_G : 0);
	return KELP_OK;
}

static inline kelp_attr_t kelp_tiny_decode(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return KELP_ATTR_READ | KELP_ATTR_EXEC | (e & TINY_V ? 0 : KELP_ATTR_INVALID) |
	       (e & TINY_W ? KELP_ATTR_WRITE : 0) | (e & TINY_A ? KELP_ATTR_ACCESSED : 0) |
	       (e & TINY_D ? KELP_ATTR_DIRTY : 0) | (e & TINY_G ? KELP_ATTR_GLOBAL : 0);
}

static inline uint64_t kelp_tiny_table(const struct kelp_format *f, unsigned level, kelp_paddr_t pa,
				       bool owned)
{
	(void)f, (void)level;
	return TINY_V | (owned ? TINY_MARK : 0) | pa;
}

static inline bool kelp_tiny_owned(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e & TINY_MARK;
}

static inline kelp_attr_t kelp_tiny_denied(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level, (void)e;
	return 0;
}

static inline bool kelp_tiny_grouped(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level, (void)e;
	return false;
}

static inline uint64_t kelp_tiny_group(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e;
}

static inline uint64_t kelp_tiny_ungroup(const struct kelp_format *f, unsigned level, uint64_t e,
					 unsigned position)
{
	(void)f, (void)level, (void)position;
	return e;
}

static inline uint64_t kelp_tiny_child(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e;
}

static inline uint64_t kelp_tiny_parent(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e;
}

static inline bool kelp_tiny_is_global(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e & TINY_G;
}

/* As arm64 has it: level 0 no change of size, level 1 and 2 may; never another frame. */
static inline bool kelp_tiny_can_replace(const struct kelp_format *f, unsigned level, uint64_t old,
					 uint64_t new)
{
	(void)level;
	if (f->bbm_level == 2 || !(old & TINY_V) || !(new & TINY_V))
		return true;
	if ((old ^ new) & TINY_LEAF)
		return f->bbm_level > 0;
	return (old & TINY_FRAME) == (new & TINY_FRAME);
}

static inline bool kelp_tiny_busy(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)level;
	return (f->features & TINY_AD) && (e & TINY_V) &&
	       (!(e & TINY_A) || ((e & TINY_W) && !(e & TINY_D)));
}

static inline uint64_t kelp_tiny_absorb(const struct kelp_format *f, unsigned level, uint64_t e,
					uint64_t other)
{
	(void)f, (void)level;
	return e | (other & (TINY_A | TINY_D));
}

static inline uint64_t kelp_tiny_neutral(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e | TINY_A | TINY_D;
}

static inline bool kelp_tiny_well_formed(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level, (void)e;
	return true;
}

/* The library's range operations for it. */
extern const struct kelp_space_ops kelp_tiny_space_ops;

/* An instance; `hardware_ad`: hardware sets accessed and dirty by itself. */
struct kelp_format tiny_format(unsigned bbm_level, bool hardware_ad);

#endif
