/* SPDX-License-Identifier: MIT */
/*
 * The functions src/space_template.h is instantiated with (see there for what each must do), for
 * one granule. The including header defines KELP_ARM64(name) and KELP_ARM64_GRANULE; both are
 * undefined again at the end, so that one file can hold all three granules.
 */
#if !defined(KELP_ARM64) || !defined(KELP_ARM64_GRANULE)
#error "include arm64_4k.h, arm64_16k.h or arm64_64k.h instead"
#endif

typedef uint64_t KELP_ARM64(slot_t);

static inline unsigned KELP_ARM64(levels)(const struct kelp_format *f)
{
	return f->levels;
}

static inline unsigned KELP_ARM64(shift)(unsigned level)
{
	return kelp_arm64_shift(level, KELP_ARM64_GRANULE);
}

static inline unsigned KELP_ARM64(index)(const struct kelp_format *f, unsigned level,
					 kelp_vaddr_t va)
{
	return kelp_arm64_index(f, level, va, KELP_ARM64_GRANULE);
}

/* What faults is never cached: making an entry valid needs no TLB maintenance (IWZCBG). */
static inline bool KELP_ARM64(caches_invalid)(const struct kelp_format *f)
{
	(void)f;
	return false;
}

/* Whatever the BBM level, an output address is never changed live (D8.17). */
static inline bool KELP_ARM64(demands_break)(const struct kelp_format *f)
{
	(void)f;
	return true;
}

static inline unsigned KELP_ARM64(group_order)(unsigned level)
{
	return kelp_arm64_group_order(level, KELP_ARM64_GRANULE);
}

static inline bool KELP_ARM64(leaf_ok)(const struct kelp_format *f, unsigned level)
{
	return kelp_arm64_leaf_ok(f, level, KELP_ARM64_GRANULE);
}

static inline kelp_paddr_t KELP_ARM64(reach)(const struct kelp_format *f, unsigned level)
{
	(void)level;
	return (UINT64_C(1) << f->pa_bits) - 1u;
}

static inline enum kelp_entry_kind KELP_ARM64(kind)(const struct kelp_format *f, unsigned level,
						    uint64_t e)
{
	return kelp_arm64_kind(f, level, e, KELP_ARM64_GRANULE);
}

static inline kelp_paddr_t KELP_ARM64(address)(const struct kelp_format *f, unsigned level,
					       uint64_t e)
{
	return kelp_arm64_address(f, level, e, KELP_ARM64_GRANULE);
}

static inline kelp_paddr_t KELP_ARM64(table_address)(const struct kelp_format *f, unsigned level,
						     uint64_t e)
{
	(void)level;
	return kelp_arm64_unpack(f, e, KELP_ARM64_GRANULE) & f->address_mask;
}

static inline uint64_t KELP_ARM64(entry)(const struct kelp_format *f, unsigned level,
					 uint64_t bits, kelp_paddr_t pa)
{
	(void)level;
	return kelp_arm64_entry(f, bits, pa, KELP_ARM64_GRANULE);
}

static inline uint64_t KELP_ARM64(strip)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_arm64_strip(f, level, e, KELP_ARM64_GRANULE);
}

static inline uint64_t KELP_ARM64(modelled)(const struct kelp_format *f, unsigned level)
{
	(void)level;
	return kelp_arm64_modelled(f, KELP_ARM64_GRANULE);
}

static inline enum kelp_status KELP_ARM64(encode)(const struct kelp_format *f, unsigned level,
						  kelp_attr_t attr, bool grouped, uint64_t *bits)
{
	return kelp_arm64_encode(f, level, attr, grouped, bits, KELP_ARM64_GRANULE);
}

static inline kelp_attr_t KELP_ARM64(decode)(const struct kelp_format *f, unsigned level,
					     uint64_t e)
{
	(void)level;
	return kelp_arm64_decode(f, e);
}

static inline uint64_t KELP_ARM64(table)(const struct kelp_format *f, unsigned level,
					 kelp_paddr_t pa, bool owned)
{
	(void)level;
	return kelp_arm64_table(f, pa, owned, KELP_ARM64_GRANULE);
}

static inline bool KELP_ARM64(owned)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e & KELP_ARM64_MARK;
}

static inline kelp_attr_t KELP_ARM64(denied)(const struct kelp_format *f, unsigned level,
					     uint64_t e)
{
	(void)level;
	return kelp_arm64_denied(f, e);
}

static inline bool KELP_ARM64(grouped)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_arm64_grouped(f, level, e, KELP_ARM64_GRANULE);
}

static inline uint64_t KELP_ARM64(group)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return kelp_arm64_group(e);
}

static inline uint64_t KELP_ARM64(ungroup)(const struct kelp_format *f, unsigned level,
					   uint64_t e, unsigned position)
{
	return kelp_arm64_ungroup(f, level, e, position, KELP_ARM64_GRANULE);
}

static inline uint64_t KELP_ARM64(child)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_arm64_child(f, level, e, KELP_ARM64_GRANULE);
}

static inline uint64_t KELP_ARM64(parent)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_arm64_parent(f, level, e, KELP_ARM64_GRANULE);
}

static inline bool KELP_ARM64(is_global)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return kelp_arm64_is_global(e);
}

static inline bool KELP_ARM64(can_replace)(const struct kelp_format *f, unsigned level,
					   uint64_t old, uint64_t new)
{
	return kelp_arm64_can_replace(f, level, old, new, KELP_ARM64_GRANULE);
}

static inline bool KELP_ARM64(busy)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)level;
	return kelp_arm64_busy(f, e);
}

static inline uint64_t KELP_ARM64(absorb)(const struct kelp_format *f, unsigned level, uint64_t e,
					  uint64_t other)
{
	(void)level;
	return kelp_arm64_absorb(f, e, other);
}

static inline uint64_t KELP_ARM64(neutral)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)level;
	return kelp_arm64_neutral(f, e);
}

static inline bool KELP_ARM64(well_formed)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_arm64_well_formed(f, level, e, KELP_ARM64_GRANULE);
}

#undef KELP_ARM64
#undef KELP_ARM64_GRANULE
