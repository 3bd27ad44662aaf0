/* SPDX-License-Identifier: MIT */
/*
 * The functions that src/space_template.h asks of a format (see there for what each must do),
 * for one x86 paging mode: x86.h with the mode filled in. The including header defines
 *
 *	KELP_X86_FORMAT(name)  the prefix
 *	KELP_X86_FORMAT_MODE   enum kelp_x86_mode
 *	KELP_X86_FORMAT_SLOT   an entry in memory
 *
 * and all three are undefined again at the end.
 */
#ifndef KELP_X86_FORMAT
#error "define KELP_X86_FORMAT, KELP_X86_FORMAT_MODE and KELP_X86_FORMAT_SLOT first"
#endif

/* The range operations of this mode; see src/space_template.h. */
extern const struct kelp_space_ops KELP_X86_FORMAT(space_ops);

typedef KELP_X86_FORMAT_SLOT KELP_X86_FORMAT(slot_t);

static inline unsigned KELP_X86_FORMAT(levels)(const struct kelp_format *f)
{
	return kelp_x86_levels(f, KELP_X86_FORMAT_MODE);
}

static inline unsigned KELP_X86_FORMAT(shift)(unsigned level)
{
	return kelp_x86_shift(level, KELP_X86_FORMAT_MODE);
}

static inline unsigned KELP_X86_FORMAT(index)(const struct kelp_format *f, unsigned level,
					      kelp_vaddr_t va)
{
	(void)f;
	return kelp_x86_index(level, va, KELP_X86_FORMAT_MODE);
}

/* Entries that are not present are never cached (SDM 4.10.2.3). */
static inline bool KELP_X86_FORMAT(caches_invalid)(const struct kelp_format *f)
{
	(void)f;
	return false;
}

static inline kelp_paddr_t KELP_X86_FORMAT(table_address)(const struct kelp_format *f,
							  unsigned level, uint64_t e)
{
	(void)level;
	return e & f->address_mask;
}

static inline bool KELP_X86_FORMAT(demands_break)(const struct kelp_format *f)
{
	(void)f;
	return false;
}

/* No x86 mode has a group mark. */
static inline unsigned KELP_X86_FORMAT(group_order)(unsigned level)
{
	(void)level;
	return 0;
}

static inline bool KELP_X86_FORMAT(leaf_ok)(const struct kelp_format *f, unsigned level)
{
	return kelp_x86_leaf_ok(f, level, KELP_X86_FORMAT_MODE);
}

static inline kelp_paddr_t KELP_X86_FORMAT(reach)(const struct kelp_format *f, unsigned level)
{
	return kelp_x86_reach(f, level, KELP_X86_FORMAT_MODE);
}

static inline enum kelp_entry_kind KELP_X86_FORMAT(kind)(const struct kelp_format *f,
							 unsigned level, uint64_t e)
{
	return kelp_x86_kind(f, level, e, KELP_X86_FORMAT_MODE);
}

static inline kelp_paddr_t KELP_X86_FORMAT(address)(const struct kelp_format *f, unsigned level,
						    uint64_t e)
{
	return kelp_x86_address(f, level, e, KELP_X86_FORMAT_MODE);
}

static inline uint64_t KELP_X86_FORMAT(entry)(const struct kelp_format *f, unsigned level,
					      uint64_t bits, kelp_paddr_t pa)
{
	return kelp_x86_entry(f, level, bits, pa, KELP_X86_FORMAT_MODE);
}

static inline uint64_t KELP_X86_FORMAT(strip)(const struct kelp_format *f, unsigned level,
					      uint64_t e)
{
	return kelp_x86_strip(f, level, e, KELP_X86_FORMAT_MODE);
}

static inline uint64_t KELP_X86_FORMAT(modelled)(const struct kelp_format *f, unsigned level)
{
	return kelp_x86_modelled(f, level, KELP_X86_FORMAT_MODE);
}

static inline enum kelp_status KELP_X86_FORMAT(encode)(const struct kelp_format *f,
						       unsigned level, kelp_attr_t attr,
						       bool grouped, uint64_t *bits)
{
	if (grouped)
		return KELP_ERR_UNSUPPORTED;
	return kelp_x86_encode(f, level, attr, bits, KELP_X86_FORMAT_MODE);
}

static inline kelp_attr_t KELP_X86_FORMAT(decode)(const struct kelp_format *f, unsigned level,
						  uint64_t e)
{
	return kelp_x86_decode(f, level, e, KELP_X86_FORMAT_MODE);
}

static inline uint64_t KELP_X86_FORMAT(table)(const struct kelp_format *f, unsigned level,
					      kelp_paddr_t pa, bool owned)
{
	return kelp_x86_table(f, level, pa, owned, KELP_X86_FORMAT_MODE);
}

static inline bool KELP_X86_FORMAT(owned)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return kelp_x86_owned(e);
}

static inline kelp_attr_t KELP_X86_FORMAT(denied)(const struct kelp_format *f, unsigned level,
						  uint64_t e)
{
	return kelp_x86_denied(f, level, e, KELP_X86_FORMAT_MODE);
}

static inline bool KELP_X86_FORMAT(grouped)(const struct kelp_format *f, unsigned level,
					    uint64_t e)
{
	(void)f, (void)level, (void)e;
	return false;
}

static inline uint64_t KELP_X86_FORMAT(group)(const struct kelp_format *f, unsigned level,
					      uint64_t e)
{
	(void)f, (void)level;
	return e;
}

static inline uint64_t KELP_X86_FORMAT(ungroup)(const struct kelp_format *f, unsigned level,
						uint64_t e, unsigned position)
{
	(void)f, (void)level, (void)position;
	return e;
}

static inline uint64_t KELP_X86_FORMAT(child)(const struct kelp_format *f, unsigned level,
					      uint64_t e)
{
	return kelp_x86_child(f, level, e, KELP_X86_FORMAT_MODE);
}

static inline uint64_t KELP_X86_FORMAT(parent)(const struct kelp_format *f, unsigned level,
					       uint64_t e)
{
	return kelp_x86_parent(f, level, e, KELP_X86_FORMAT_MODE);
}

static inline bool KELP_X86_FORMAT(is_global)(const struct kelp_format *f, unsigned level,
					      uint64_t e)
{
	return kelp_x86_is_global(f, level, e, KELP_X86_FORMAT_MODE);
}

/*
 * x86 demands no break. Old and new translations may both be in use until the flush that ends
 * every change, page-size changes included (SDM 4.10.2.3, 4.10.4.2).
 */
static inline bool KELP_X86_FORMAT(can_replace)(const struct kelp_format *f, unsigned level,
						uint64_t old, uint64_t new)
{
	(void)f, (void)level, (void)old, (void)new;
	return true;
}

static inline bool KELP_X86_FORMAT(busy)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return kelp_x86_busy(e);
}

static inline uint64_t KELP_X86_FORMAT(absorb)(const struct kelp_format *f, unsigned level,
					       uint64_t e, uint64_t other)
{
	(void)f, (void)level;
	return kelp_x86_absorb(e, other);
}

static inline uint64_t KELP_X86_FORMAT(neutral)(const struct kelp_format *f, unsigned level,
						uint64_t e)
{
	(void)f, (void)level;
	return kelp_x86_neutral(e);
}

static inline bool KELP_X86_FORMAT(well_formed)(const struct kelp_format *f, unsigned level,
						uint64_t e)
{
	return kelp_x86_well_formed(f, level, e, KELP_X86_FORMAT_MODE);
}

#undef KELP_X86_FORMAT
#undef KELP_X86_FORMAT_MODE
#undef KELP_X86_FORMAT_SLOT
