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
 *  shift(level)            log2 of what one entry spans; constant per level
 *  index(f, level, va)     position in the table of this level
 *  group_order(level)      log2 of the entries that one group mark covers; 0 = no groups
 *  leaf_ok(f, level)       may a leaf stand at this level
 *  kind(f, level, e)       enum kelp_entry_kind
 *  address(f, level, e)    frame of a leaf (a grouped one: the group's first frame), or the table
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
