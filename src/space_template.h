/* SPDX-License-Identifier: MIT */
/*
 * The range operations of a space, written once and instantiated per format: the including file
 * defines KELP_FORMAT(name) and has included the format's header, so every function of the
 * format below is an inline with constants folded in.
 *
 * WHAT A FORMAT PROVIDES (f is its struct kelp_format, level 0 holds the smallest leaves, e is a
 * whole entry, "leaf" means LEAF or INVALID; every function is pure):
 *
 *  slot_t                  uint64_t or uint32_t: an entry in memory
 *  levels(f)               f->levels; a constant where the format knows it
 *  shift(level)            log2 of what one entry spans; constant per level
 *  index(f, level, va)     position in the table of this level
 *  caches_invalid(f)       f->caches_invalid; a constant where the format knows it
 *  demands_break(f)        f->demands_break; a constant where the format knows it
 *  group_order(level)      log2 of the entries that one group mark covers; 0 = no groups
 *  leaf_ok(f, level)       may a leaf stand at this level
 *  reach(f, level)         highest physical address that a leaf of this level can translate to
 *  kind(f, level, e)       enum kelp_entry_kind
 *  address(f, level, e)    frame of a leaf (a grouped one: the group's first frame), or the table
 *  table_address(f, level, e)  address() of what is known to be a table
 *  entry(f, level, bits, pa)  bits (from encode or strip) plus this entry's own frame
 *  strip(f, level, e)      a leaf without its address: everything else, modelled or not; of a
 *                          grouped leaf the mark stays
 *  modelled(f, level)      mask of the bits that encode() decides, group mark excluded
 *  encode(f, level, attr, grouped, &bits)  all of a leaf but the address
 *  decode(f, level, e)     attributes of a leaf; decode(entry(encode(a))) == a exactly
 *  table(f, level, pa, owned), owned(f, level, e)
 *  denied(f, level, e)     attributes that a table entry takes from what is below it
 *  grouped(f, level, e)    a leaf with the group mark. INVALID leaves never have it.
 *  group(f, level, e)      ungrouped leaf with its own frame -> the same with the mark
 *  ungroup(f, level, e, position)  grouped leaf at `position` in its group -> own frame, no mark
 *  child(f, level, e)      ungrouped leaf -> the first of the leaves of level - 1 that replace
 *                          it; all bits kept; valid stays valid and invalid invalid
 *  parent(f, level, e)     the reverse: first child (of level - 1) -> leaf of `level`
 *  is_global(f, level, e)
 *  can_replace(f, level, old, new)  see kelp_format_ops; old or new may be any kind
 *  busy(f, level, e)       hardware may still set accessed or dirty in this leaf by itself
 *  absorb(f, level, e, other)  leaf e with the accessed and dirty state of `other` added
 *  neutral(f, level, e)    leaf e with accessed and dirty set as far as its rights allow: two
 *                          leaves that differ in nothing else have equal neutral forms
 *  well_formed(f, level, e)
 */
#ifndef KELP_FORMAT
#error "define KELP_FORMAT(name) and include the format's header first"
#endif

#include "debug.h"
#include "entry.h"
#include "flush.h"
#include "pages.h"
#include "space_ops.h"

/* The format's functions and slot, short: this file is one format's private translation unit. */
#define F(name) KELP_FORMAT(name)
typedef F(slot_t) slot_t;

static inline uint64_t load(const void *table, unsigned index)
{
	return kelp_entry_load(table, index, sizeof(slot_t));
}

static inline void store(void *table, unsigned index, uint64_t entry)
{
	kelp_entry_store(table, index, entry, sizeof(slot_t));
}

static inline bool swap(void *table, unsigned index, uint64_t *expected, uint64_t desired)
{
	return kelp_entry_swap(table, index, expected, desired, sizeof(slot_t));
}

static inline uint64_t span(unsigned level)
{
	return UINT64_C(1) << F(shift)(level);
}

static inline kelp_vaddr_t first_of(unsigned level, kelp_vaddr_t va)
{
	return va & ~(span(level) - 1u);
}

static inline kelp_vaddr_t last_of(unsigned level, kelp_vaddr_t va)
{
	return va | (span(level) - 1u);
}

static inline unsigned root_level(const struct kelp_format *f)
{
	return F(levels)(f) - 1u;
}

static inline void *root_table(const struct kelp_space *space)
{
	return kelp_table_pointer(space, space->root);
}

static inline void *table_of(const struct kelp_space *space, unsigned level, uint64_t entry)
{
	return kelp_table_pointer(space, F(table_address)(space->format, level, entry));
}

static inline bool is_leaf(enum kelp_entry_kind kind)
{
	return kind == KELP_ENTRY_LEAF || kind == KELP_ENTRY_INVALID;
}

/* Rights that a table entry can deny to the leaves below it. */
#define DENIABLE (KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER)

static inline uint64_t group_span(unsigned level)
{
	return span(level) << F(group_order)(level);
}

static inline unsigned group_position(const struct kelp_format *f, unsigned level,
				      kelp_vaddr_t va)
{
	return F(index)(f, level, va) & ((1u << F(group_order)(level)) - 1u);
}

/* The frame of the leaf `entry` that translates `va`: its own, also inside a group. */
static inline kelp_paddr_t frame_at(const struct kelp_format *f, unsigned level, uint64_t entry,
				    kelp_vaddr_t va)
{
	kelp_paddr_t pa = F(address)(f, level, entry);

	if (F(group_order)(level) > 0 && F(grouped)(f, level, entry))
		pa += (uint64_t)group_position(f, level, va) << F(shift)(level);
	return pa;
}

/* The same leaf without a group mark, with its own frame. */
static inline uint64_t alone(const struct kelp_format *f, unsigned level, uint64_t entry,
			     kelp_vaddr_t va)
{
	if (F(group_order)(level) == 0 || !F(grouped)(f, level, entry))
		return entry;
	return F(ungroup)(f, level, entry, group_position(f, level, va));
}

/*
 * Fills `count` entries of a table that is not published yet with consecutive leaves from
 * `frame` on. Where the format scatters the address over the entry, equal steps may not do; that
 * the last one comes out right shows that they all do.
 */
static void fill_run(const struct kelp_format *f, void *table, unsigned level, unsigned index,
		     unsigned count, uint64_t bits, kelp_paddr_t frame)
{
	uint64_t first = F(entry)(f, level, bits, frame);
	uint64_t step = F(entry)(f, level, bits, frame + span(level)) - first;
	uint64_t final = F(entry)(f, level, bits, frame + (uint64_t)(count - 1u) * span(level));

	if (first + step * (count - 1u) == final) {
		kelp_entry_fill(table, index, count, first, step, sizeof(slot_t));
		return;
	}
	for (unsigned i = 0; i < count; i++)
		kelp_entry_fill(table, index + i, 1,
				F(entry)(f, level, bits, frame + i * span(level)), 0,
				sizeof(slot_t));
}

/*
 * A run of attribute changes meets few different entries: what the last one became. `flip` turns
 * an ungrouped entry into its new form, because a format packs an address the same way whatever
 * the attributes, or inverts all of it.
 */
struct memo {
	uint64_t from; /* the entry without its address */
	uint64_t to;
	uint64_t flip;
	bool known;
	bool grouped;
	bool busy;
	bool must_break;
	bool must_flush;
	bool global; /* before or after */
	enum kelp_status status;
};

/* One edit: what is asked, what preparing found out. */
struct edit {
	struct kelp_space *space;
	const struct kelp_format *format;
	struct kelp_flush *flush;
	struct kelp_change *change;
	kelp_vaddr_t va;
	kelp_vaddr_t last;
	uint64_t delta; /* map: pa - va, the same for every page */
	kelp_attr_t set;
	kelp_attr_t clear;
	uint32_t flags;
	uint64_t tables; /* pages that commit may take */
	uint64_t intact; /* tables that commit may retire with their contents */
	unsigned leafable;  /* bit per level: a covered entry becomes a leaf */
	unsigned groupable; /* bit per level: a covered group gets the mark */
	uint64_t full_need[KELP_LEVELS_MAX]; /* tables below one covered entry */
	uint64_t bits[KELP_LEVELS_MAX];
	uint64_t group_bits[KELP_LEVELS_MAX];
	struct memo memo[KELP_LEVELS_MAX];
};

static inline bool may_break(const struct edit *edit)
{
	return edit->flags & KELP_ALLOW_BREAK;
}

static inline bool covers(const struct edit *edit, kelp_vaddr_t first, kelp_vaddr_t last)
{
	return first >= edit->va && last <= edit->last;
}

static void edit_begin(struct edit *edit, struct kelp_flush *flush, struct kelp_change *change,
		       kelp_vaddr_t va, uint64_t size)
{
	*edit = (struct edit){
		.space = flush->space,
		.format = flush->space->format,
		.flush = flush,
		.change = change,
		.va = va,
		.last = va + (size - 1u),
		.flags = change->flags,
	};
}

/* The translation of a valid leaf may be cached, by leaves of 2^stride_shift bytes. */
static void gather_strides(struct edit *edit, unsigned level, kelp_vaddr_t va, uint64_t old,
			   unsigned stride_shift)
{
	uint32_t flags = F(is_global)(edit->format, level, old) ? KELP_FLUSH_GLOBAL : 0;
	kelp_vaddr_t first = first_of(level, va);

	kelp_flush_add(edit->flush, first, first + (span(level) - 1u), stride_shift, flags);
}

/* A valid leaf changed into another, or is gone. */
static void gather_leaf(struct edit *edit, unsigned level, kelp_vaddr_t va, uint64_t old)
{
	gather_strides(edit, level, va, old, F(shift)(level));
}

/* A valid leaf became a table: pieces of it may be cached. */
static void gather_split(struct edit *edit, unsigned level, kelp_vaddr_t va, uint64_t old)
{
	bool pages = edit->format->split_flushes_pages;

	gather_strides(edit, level, va, old, F(shift)(pages ? 0 : level));
}

/*
 * A table takes the place of what this gather may have taken away as one large leaf. Where pieces
 * of that may be cached, and an invalidation reaches what the tables hold by then, each piece is
 * invalidated by itself.
 */
static void gather_pieces(struct edit *edit, unsigned level, kelp_vaddr_t va)
{
	kelp_vaddr_t first = first_of(level, va), last = last_of(level, va);

	if (edit->format->split_flushes_pages && kelp_flush_overlaps(edit->flush, first, last))
		kelp_flush_add(edit->flush, first, last, F(shift)(0), 0);
}

/* An entry that was not valid became so: matters where that may be cached too. */
static void gather_made_valid(struct edit *edit, kelp_vaddr_t first, kelp_vaddr_t last,
			      unsigned level, uint32_t flags)
{
	if (F(caches_invalid)(edit->format))
		kelp_flush_add(edit->flush, first, last, F(shift)(level), flags);
}

/*
 * The entries of the root live in registers: every CPU must load them again. They are tables: no
 * format that keeps its root in registers has leaves there.
 */
static inline void gather_root(struct kelp_flush *flush, unsigned level)
{
	const struct kelp_format *f = flush->space->format;

	if (f->root_in_registers && level == root_level(f))
		flush->request.flags |= KELP_FLUSH_ROOT;
}

static bool holds_global(const struct kelp_space *space)
{
	return kelp_hw_load32(&space->holds_global);
}

/* A table with unknown leaves was unlinked from the entry of `level` at `va`. */
static void gather_table(struct kelp_flush *flush, unsigned level, kelp_vaddr_t va)
{
	struct kelp_space *space = flush->space;
	uint32_t flags = KELP_FLUSH_TABLES;
	kelp_vaddr_t first = first_of(level, va);

	if (holds_global(space))
		flags |= KELP_FLUSH_GLOBAL;
	kelp_flush_add(flush, first, first + (span(level) - 1u), F(shift)(0), flags);
}

/* Before the entry is written: a global leaf may now be anywhere in the tables. */
static void note_global(struct kelp_space *space, kelp_attr_t attributes)
{
	if ((attributes & KELP_ATTR_GLOBAL) && !holds_global(space))
		kelp_hw_store32(&space->holds_global, 1);
}

#include "space_cut.h"
#include "space_retire.h"
#include "space_map.h"
#include "space_edit.h"
#include "space_merge.h"
#include "space_look.h"
#include "space_entry_points.h"
