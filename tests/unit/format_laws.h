/* SPDX-License-Identifier: MIT */
/*
 * format_laws: what must hold of the pure functions of every format, checked over the whole
 * space of attributes, at every level, grouped and not, with random and boundary addresses.
 * One test program per format includes this file, after
 *
 *	#define LAWS(name)  kelp_<format>_##name     and the format's header
 *	#define LAWS_PREFIX "..."                    instances of tests/common/formats.c to take
 *
 *
 * and provides, written from the manual and not from the code under test:
 *
 *	laws_allowed()   may this leaf be encoded? (INV-1.4 both ways: what cannot be expressed
 *	                 is refused, and nothing else is)
 *	laws_reserved()  the bits that must not change in a leaf or table, or it is malformed
 *	laws_dropped()   bits that hardware ignores and that do not survive child() and parent()
 */
#ifndef TESTS_UNIT_FORMAT_LAWS_H
#define TESTS_UNIT_FORMAT_LAWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats.h"

static bool laws_allowed(const char *name, const struct kelp_format *f, unsigned level,
			 kelp_attr_t attr, bool grouped);
static uint64_t laws_reserved(const char *name, const struct kelp_format *f, unsigned level,
			      bool table, bool grouped);
static uint64_t laws_dropped(const char *name, unsigned level);

/* What is being looked at, for the message of a failure. */
static const char *at_name;
static unsigned at_level;
static kelp_attr_t at_attr;
static bool at_grouped;
static uint64_t at_entry;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_msg("%s level %u attributes %#x%s entry %#llx: %s", at_name,          \
				 at_level, at_attr, at_grouped ? " grouped" : "",                  \
				 (unsigned long long)at_entry, #condition);                        \
	} while (0)

#define AD (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)

/* The same sequence in every run. */
static uint64_t random_state = UINT64_C(0x9e3779b97f4a7c15);

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

/* The highest frame that a leaf of this level can hold; two-level x86 is the odd one. */
static uint64_t reach(const struct kelp_format *f, unsigned level)
{
	if (f->entry_bytes == 4 && level == 0)
		return UINT32_MAX;
	return (UINT64_C(1) << f->pa_bits) - 1u;
}

/* A frame for a leaf: the first, the last, each single bit, and random ones in turn. */
static kelp_paddr_t some_frame(const struct kelp_format *f, unsigned level, unsigned order)
{
	uint64_t limit = reach(f, level);
	uint64_t mask = limit & ~((UINT64_C(1) << (f->shift[level] + order)) - 1u);
	uint64_t dice = random64();

	switch (dice & 7u) {
	case 0: return 0;
	case 1: return mask;
	case 2: return mask & UINT64_C(1) << (dice >> 8 & 63u);
	case 3: return mask & ~(UINT64_C(1) << (dice >> 8 & 63u));
	default: return random64() & mask;
	}
}

static kelp_paddr_t some_table(const struct kelp_format *f)
{
	uint64_t limit = f->entry_bytes == 4 ? UINT32_MAX : (UINT64_C(1) << f->pa_bits) - 1u;

	limit &= ~((UINT64_C(1) << f->page_shift) - 1u);
	switch (random64() & 3u) {
	case 0: return limit;
	case 1: return limit & UINT64_C(1) << (random64() & 63u);
	default: return random64() & limit;
	}
}

/* The nth attribute set of all that exist: 2^16 of them. */
#define ATTR_SETS (1u << 16)

static kelp_attr_t nth_attr(unsigned n)
{
	return (n & 0x1ffu) | (n >> 9 & 0xfu) << 12 | (n >> 13) << KELP_ATTR_TYPE_SHIFT;
}

static void for_each_instance(void (*law)(const struct kelp_format *f))
{
	const struct test_format *formats;
	size_t count = test_formats(&formats);
	unsigned taken = 0;

	for (size_t i = 0; i < count; i++) {
		if (strncmp(formats[i].name, LAWS_PREFIX, strlen(LAWS_PREFIX)) != 0)
			continue;
		at_name = formats[i].name;
		at_level = 0;
		at_attr = 0;
		at_grouped = false;
		at_entry = 0;
		law(&formats[i].format);
		taken++;
	}
	assert_true(taken > 0);
}

/* ---- leaves ---------------------------------------------------------------------------------- */

/* The grouped position, when a law needs one: anything below 2^order. */
static unsigned order_of(const struct kelp_format *f, unsigned level)
{
	return f->groups ? f->group_order[level] : 0;
}

static uint64_t leaf_of(const struct kelp_format *f, unsigned level, kelp_attr_t attr,
			bool grouped, kelp_paddr_t pa)
{
	uint64_t bits = 0;

	CHECK(LAWS(encode)(f, level, attr, grouped, &bits) == KELP_OK);
	return LAWS(entry)(f, level, bits, pa);
}

static void check_kept_bits(const struct kelp_format *f, unsigned level, uint64_t e)
{
	uint64_t claimed = LAWS(modelled)(f, level);
	uint64_t bits = LAWS(strip)(f, level, e);

	/* Without the address and the modelled bits nothing is left. */
	if (!at_grouped)
		CHECK(!(bits & ~claimed));
	CHECK(!(e & ~bits & claimed));
}

static void check_leaf(const struct kelp_format *f, unsigned level, kelp_attr_t attr, bool grouped,
		       uint64_t bits)
{
	unsigned order = order_of(f, level);
	kelp_paddr_t group = some_frame(f, level, grouped ? order : 0);
	uint64_t position = grouped ? random64() & ((1u << order) - 1u) : 0;
	kelp_paddr_t pa = group + (position << f->shift[level]);
	uint64_t e = LAWS(entry)(f, level, bits, pa);
	bool invalid = attr & KELP_ATTR_INVALID;
	bool hardware = (f->hardware_accessed && !(attr & KELP_ATTR_ACCESSED)) ||
			(f->hardware_dirty && (attr & KELP_ATTR_WRITE) &&
			 !(attr & KELP_ATTR_DIRTY));

	at_entry = e;
	CHECK(e != 0);
	CHECK(f->entry_bytes == 8 || e >> 32 == 0);
	CHECK(LAWS(kind)(f, level, e) == (invalid ? KELP_ENTRY_INVALID : KELP_ENTRY_LEAF));
	CHECK(LAWS(decode)(f, level, e) == attr);
	CHECK(LAWS(address)(f, level, e) == group);
	CHECK(LAWS(strip)(f, level, e) == bits);
	CHECK(LAWS(entry)(f, level, LAWS(strip)(f, level, e), pa) == e);
	CHECK(LAWS(well_formed)(f, level, e));
	CHECK(LAWS(grouped)(f, level, e) == grouped);
	CHECK(LAWS(is_global)(f, level, e) == !!(attr & KELP_ATTR_GLOBAL));
	CHECK(LAWS(busy)(f, level, e) == (!invalid && hardware));
	CHECK(LAWS(can_replace)(f, level, e, e));
	CHECK(LAWS(can_replace)(f, level, 0, e));
	CHECK(LAWS(can_replace)(f, level, e, 0));
	check_kept_bits(f, level, e);
}

/* Accessed and dirty: absorbed exactly, and the only thing the neutral form forgets. */
static void check_history(const struct kelp_format *f, unsigned level, kelp_attr_t attr,
			  bool grouped, uint64_t bits)
{
	static const kelp_attr_t histories[] = {0, KELP_ATTR_ACCESSED, KELP_ATTR_DIRTY, AD};
	unsigned order = grouped ? order_of(f, level) : 0;
	unsigned shift = f->shift[level] + order;
	kelp_paddr_t pa = some_frame(f, level, order);
	uint64_t e = LAWS(entry)(f, level, bits, pa);
	uint64_t neutral = LAWS(neutral)(f, level, e);

	at_entry = e;
	CHECK(LAWS(neutral)(f, level, neutral) == neutral);
	CHECK((LAWS(decode)(f, level, neutral) | AD) == (attr | AD));
	CHECK(LAWS(address)(f, level, neutral) == LAWS(address)(f, level, e));
	CHECK(!LAWS(busy)(f, level, neutral));
	for (unsigned i = 0; i < 4; i++) {
		kelp_attr_t other = (attr & ~AD) | histories[i];
		uint64_t twin, sum;

		if (!laws_allowed(at_name, f, level, other, grouped))
			continue;
		twin = leaf_of(f, level, other, grouped, pa);
		CHECK(LAWS(neutral)(f, level, twin) == neutral);
		sum = LAWS(absorb)(f, level, e, twin);
		CHECK(LAWS(decode)(f, level, sum) == (attr | histories[i]));
		CHECK(LAWS(address)(f, level, sum) == LAWS(address)(f, level, e));
		CHECK(LAWS(kind)(f, level, sum) == LAWS(kind)(f, level, e));
		CHECK(LAWS(can_replace)(f, level, e, sum));
		/* A different leaf is not forgotten. */
		sum = leaf_of(f, level, other, grouped, pa ^ UINT64_C(1) << shift);
		CHECK(LAWS(neutral)(f, level, sum) != neutral);
	}
}

static void check_child(const struct kelp_format *f, unsigned level, kelp_attr_t attr,
			uint64_t bits)
{
	kelp_paddr_t pa = some_frame(f, level, 0) & reach(f, level - 1);
	uint64_t e = LAWS(entry)(f, level, bits, pa);
	uint64_t child = LAWS(child)(f, level, e);

	at_entry = e;
	CHECK(child == leaf_of(f, level - 1, attr, false, pa));
	CHECK(LAWS(kind)(f, level - 1, child) == LAWS(kind)(f, level, e));
	CHECK(LAWS(well_formed)(f, level - 1, child));
	CHECK(LAWS(parent)(f, level, child) == e);
}

static void check_group(const struct kelp_format *f, unsigned level, kelp_attr_t attr,
			uint64_t bits)
{
	unsigned order = order_of(f, level);
	kelp_paddr_t first = some_frame(f, level, order);
	unsigned position = (unsigned)random64() & ((1u << order) - 1u);
	kelp_paddr_t pa = first + ((uint64_t)position << f->shift[level]);
	uint64_t e = LAWS(entry)(f, level, bits, pa);
	uint64_t grouped = LAWS(group)(f, level, e);

	at_entry = e;
	CHECK(!LAWS(grouped)(f, level, e));
	CHECK(LAWS(grouped)(f, level, grouped));
	CHECK(grouped == leaf_of(f, level, attr, true, pa));
	CHECK(LAWS(ungroup)(f, level, grouped, position) == e);
	CHECK(LAWS(can_replace)(f, level, e, grouped) == (f->bbm_level >= 1));
	CHECK(LAWS(can_replace)(f, level, grouped, e) == (f->bbm_level >= 1));
}

static void law_leaves(const struct kelp_format *f)
{
	for (unsigned n = 0; n < ATTR_SETS * f->levels * 2u; n++) {
		unsigned level = n / (ATTR_SETS * 2u);
		kelp_attr_t attr = nth_attr(n % ATTR_SETS);
		bool grouped = n / ATTR_SETS & 1u;
		bool allowed = laws_allowed(at_name, f, level, attr, grouped);
		uint64_t bits = 0;

		at_level = level;
		at_attr = attr;
		at_grouped = grouped;
		at_entry = 0;
		CHECK(LAWS(encode)(f, level, attr, grouped, &bits) ==
		      (allowed ? KELP_OK : KELP_ERR_UNSUPPORTED));
		if (!allowed)
			continue;
		check_leaf(f, level, attr, grouped, bits);
		check_history(f, level, attr, grouped, bits);
		if (level > 0 && !grouped && LAWS(leaf_ok)(f, level - 1))
			check_child(f, level, attr, bits);
		if (order_of(f, level) && !grouped && !(attr & KELP_ATTR_INVALID))
			check_group(f, level, attr, bits);
	}
}

/* Bits that do not exist are an argument error everywhere, whatever else is asked. */
static void law_unknown_attributes(const struct kelp_format *f)
{
	for (unsigned level = 0; level < f->levels; level++) {
		for (unsigned bit = 0; bit < 32; bit++) {
			kelp_attr_t unknown = UINT32_C(1) << bit;
			uint64_t bits;

			if (unknown & KELP_ATTR_ALL)
				continue;
			at_level = level;
			at_attr = unknown | KELP_ATTR_READ | KELP_ATTR_EXEC;
			CHECK(LAWS(encode)(f, level, at_attr, false, &bits) == KELP_ERR_ARGUMENT);
		}
	}
}

/* ---- the bits of an entry ------------------------------------------------------------------ */

/*
 * Flips each bit of a well-formed entry. If it stays what it is, it is well-formed exactly when
 * the bit is not one of those that the manual reserves.
 */
static void check_each_bit(const struct kelp_format *f, unsigned level, bool table, bool grouped,
			   uint64_t e)
{
	uint64_t reserved = laws_reserved(at_name, f, level, table, grouped);

	for (unsigned bit = 0; bit < f->entry_bytes * 8u; bit++) {
		uint64_t flipped = e ^ UINT64_C(1) << bit;

		if (LAWS(kind)(f, level, flipped) != LAWS(kind)(f, level, e))
			continue;
		if (!table && LAWS(grouped)(f, level, flipped) != grouped)
			continue;
		at_entry = flipped;
		CHECK(LAWS(well_formed)(f, level, flipped) == !(reserved >> bit & 1u));
	}
}

/* An invalid leaf bears no group mark and no fault, whatever stands in it. */
static void check_each_bit_invalid(const struct kelp_format *f, unsigned level, uint64_t e)
{
	for (unsigned bit = 0; bit < f->entry_bytes * 8u; bit++) {
		at_entry = e ^ UINT64_C(1) << bit;
		if (LAWS(kind)(f, level, at_entry) != KELP_ENTRY_INVALID)
			continue;
		CHECK(!LAWS(grouped)(f, level, at_entry));
		CHECK(LAWS(well_formed)(f, level, at_entry));
		CHECK(!LAWS(busy)(f, level, at_entry));
	}
}

/* Some attribute sets with the first type of the format, so that no other encoding is made. */
static void law_reserved_bits(const struct kelp_format *f)
{
	for (unsigned level = 0; level < f->levels; level++) {
		at_level = level;
		for (unsigned n = 0; n < 1u << 13; n += 5) {
			for (unsigned grouped = 0; grouped < 2; grouped++) {
				kelp_attr_t attr = nth_attr(n) & ~KELP_ATTR_INVALID;
				kelp_paddr_t pa = some_frame(f, level, 0);

				at_attr = attr;
				at_grouped = grouped;
				if (!laws_allowed(at_name, f, level, attr, grouped))
					continue;
				if (!grouped)
					check_each_bit_invalid(f, level,
							       leaf_of(f, level,
								       attr | KELP_ATTR_INVALID,
								       false, pa));
				pa = some_frame(f, level, grouped ? order_of(f, level) : 0);
				check_each_bit(f, level, false, grouped,
					       leaf_of(f, level, attr, grouped, pa));
			}
		}
		at_attr = 0;
		at_grouped = false;
		for (unsigned n = 0; level > 0 && n < 16; n++)
			check_each_bit(f, level, true, false,
				       LAWS(table)(f, level, some_table(f), n & 1u));
	}
}

/* What the library does not model stays: through child and parent, group and ungroup. */
static void law_ignored_bits_stay(const struct kelp_format *f)
{
	kelp_attr_t attr = KELP_ATTR_READ | KELP_ATTR_EXEC | KELP_ATTR_WRITE;

	at_attr = attr;
	for (unsigned level = 0; level < f->levels; level++) {
		uint64_t e, known;

		at_level = level;
		if (!laws_allowed(at_name, f, level, attr, false))
			continue;
		e = leaf_of(f, level, attr, false, 0);
		/* Nothing modelled is reserved, but the mark, which no valid leaf bears. */
		known = leaf_of(f, level, attr | KELP_ATTR_INVALID, false, 0);
		CHECK(!(LAWS(modelled)(f, level) & ~LAWS(strip)(f, level, known) &
			laws_reserved(at_name, f, level, false, false)));
		CHECK(f->entry_bytes == 8 || LAWS(modelled)(f, level) >> 32 == 0);
		known = LAWS(modelled)(f, level) | e |
			leaf_of(f, level, attr, false,
				reach(f, level) & ~((UINT64_C(1) << f->shift[level]) - 1u));
		for (unsigned bit = 0; bit < f->entry_bytes * 8u; bit++) {
			uint64_t ignored = UINT64_C(1) << bit;
			uint64_t with = e | ignored;

			if ((known & ignored) || !LAWS(well_formed)(f, level, with) ||
			    LAWS(grouped)(f, level, with))
				continue;
			at_entry = with;
			CHECK(LAWS(decode)(f, level, with) == attr);
			CHECK(LAWS(address)(f, level, with) == 0);
			CHECK(LAWS(strip)(f, level, with) == with);
			CHECK(LAWS(neutral)(f, level, with) != LAWS(neutral)(f, level, e));
			if (order_of(f, level))
				CHECK(LAWS(ungroup)(f, level, LAWS(group)(f, level, with), 0) ==
				      with);
			if (level == 0 || (laws_dropped(at_name, level) & ignored))
				continue;
			CHECK(LAWS(parent)(f, level, LAWS(child)(f, level, with)) == with);
			CHECK(LAWS(child)(f, level, with) != LAWS(child)(f, level, e));
		}
	}
}

/* Retired tables are linked through their first entry: no page address may look alive. */
static void law_links_are_dead(const struct kelp_format *f)
{
	uint64_t width = f->entry_bytes == 4 ? UINT32_MAX : UINT64_MAX;

	for (unsigned level = 0; level < f->levels; level++) {
		at_level = level;
		CHECK(LAWS(kind)(f, level, 0) == KELP_ENTRY_NONE);
		for (unsigned n = 0; n < 20000; n++) {
			uint64_t link = n < 64 ? UINT64_C(1) << n
				      : n < 128 ? ~(UINT64_C(1) << (n - 64)) : random64();
			enum kelp_entry_kind kind;

			link &= width & ~UINT64_C(0xfff);
			at_entry = link;
			kind = LAWS(kind)(f, level, link);
			CHECK(kind != KELP_ENTRY_TABLE && kind != KELP_ENTRY_LEAF);
			/* One that an address can be is nothing of Kelp's at all. */
			if (link >> f->pa_bits == 0 && link != 0)
				CHECK(kind == KELP_ENTRY_OPAQUE);
		}
	}
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void law_tables(const struct kelp_format *f)
{
	for (unsigned n = 0; n < 20000; n++) {
		unsigned level = 1 + n % (f->levels - 1u);
		bool owned = n / f->levels & 1u;
		kelp_paddr_t pa = some_table(f);
		uint64_t e = LAWS(table)(f, level, pa, owned);

		at_level = level;
		at_entry = e;
		CHECK(f->entry_bytes == 8 || e >> 32 == 0);
		CHECK(LAWS(kind)(f, level, e) == KELP_ENTRY_TABLE);
		CHECK(LAWS(address)(f, level, e) == pa);
		CHECK(LAWS(table_address)(f, level, e) == pa);
		CHECK(LAWS(owned)(f, level, e) == owned);
		CHECK(LAWS(denied)(f, level, e) == 0);
		CHECK(LAWS(well_formed)(f, level, e));
		CHECK(LAWS(can_replace)(f, level, e, e));
		CHECK(LAWS(can_replace)(f, level, 0, e));
		CHECK(LAWS(can_replace)(f, level, e, 0));
	}
}

/* Between a leaf and a table, and between frames. */
static void law_break_before_make(const struct kelp_format *f)
{
	kelp_attr_t attr = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC;

	at_attr = attr;
	for (unsigned level = 0; level < f->levels; level++) {
		kelp_paddr_t pa = UINT64_C(1) << f->shift[level];
		uint64_t leaf, other, gone;

		at_level = level;
		if (!laws_allowed(at_name, f, level, attr, false) || pa > reach(f, level))
			continue;
		leaf = leaf_of(f, level, attr, false, 0);
		other = leaf_of(f, level, attr, false, pa);
		gone = leaf_of(f, level, attr | KELP_ATTR_INVALID, false, pa);
		CHECK(LAWS(can_replace)(f, level, leaf, gone));
		CHECK(LAWS(can_replace)(f, level, gone, leaf));
		CHECK(LAWS(can_replace)(f, level, leaf,
					leaf_of(f, level, attr & ~KELP_ATTR_WRITE, false, 0)));
		if (f->bbm_level < 2)
			CHECK(!LAWS(can_replace)(f, level, leaf, other));
		if (level > 0) {
			uint64_t table = LAWS(table)(f, level, some_table(f), true);

			CHECK(LAWS(can_replace)(f, level, leaf, table) == (f->bbm_level == 2));
			CHECK(LAWS(can_replace)(f, level, table, leaf) == (f->bbm_level == 2));
			CHECK(LAWS(can_replace)(f, level, gone, table));
			CHECK(LAWS(can_replace)(f, level, table, gone));
		}
	}
}

/* ---- the instance's data, and the table of functions ------------------------------------ */

static void law_data(const struct kelp_format *f)
{
	unsigned bits = f->page_shift;
	kelp_attr_t any = 0, all = KELP_ATTR_ALL;
	uint64_t sizes = 0;

	CHECK(f->levels >= 2 && f->levels <= KELP_LEVELS_MAX);
	for (unsigned level = 0; level < f->levels; level++) {
		at_level = level;
		CHECK(f->shift[level] == bits);
		CHECK(LAWS(shift)(level) == f->shift[level]);
		CHECK(f->index_bits[level] > 0);
		CHECK((uint64_t)f->entry_bytes << f->index_bits[level] <=
		      UINT64_C(1) << f->page_shift);
		bits += f->index_bits[level];
		/* A group that is larger than the table of a short root is none. */
		if (f->groups && LAWS(group_order)(level) <= f->index_bits[level])
			CHECK(f->group_order[level] == LAWS(group_order)(level));
		else
			CHECK(f->group_order[level] == 0);
		CHECK(LAWS(reach)(f, level) == reach(f, level));
		CHECK(LAWS(levels)(f) == f->levels);
		CHECK(LAWS(caches_invalid)(f) == f->caches_invalid);
		for (unsigned n = 0; n < ATTR_SETS; n++) {
			kelp_attr_t attr = nth_attr(n);

			if (!laws_allowed(at_name, f, level, attr, false))
				continue;
			any |= attr;
			all &= attr;
			sizes |= UINT64_C(1) << f->shift[level];
			if (laws_allowed(at_name, f, level, attr, true))
				sizes |= UINT64_C(1) << (f->shift[level] + f->group_order[level]);
		}
	}
	CHECK(bits == f->va_bits);
	CHECK((any & ~KELP_ATTR_TYPE_MASK) == f->attr_mask);
	CHECK((all & ~KELP_ATTR_TYPE_MASK) == f->attr_always);
	CHECK(sizes == f->leaf_sizes);
}

static void law_index(const struct kelp_format *f)
{
	for (unsigned n = 0; n < 20000; n++) {
		kelp_vaddr_t va = f->va_first[n % f->va_ranges] +
				  (random64() & (f->va_last[n % f->va_ranges] -
						 f->va_first[n % f->va_ranges]));
		kelp_vaddr_t sum = 0;

		at_entry = va;
		for (unsigned level = 0; level < f->levels; level++) {
			unsigned index = LAWS(index)(f, level, va);

			CHECK(index < kelp_format_entries(f, level));
			CHECK(index == kelp_format_index(f, level, va));
			sum += (uint64_t)index << f->shift[level];
		}
		sum += va & ((UINT64_C(1) << f->page_shift) - 1u);
		if (f->va_bits < 64)
			CHECK(sum == (va & ((UINT64_C(1) << f->va_bits) - 1u)));
	}
}

/* The functions reached through pointers are the inlines, and `leaf` checks its frame. */
static void law_ops(const struct kelp_format *f)
{
	for (unsigned n = 0; n < 20000; n++) {
		unsigned level = n % f->levels;
		bool grouped = n / f->levels % 4 == 3;
		kelp_attr_t attr = nth_attr((unsigned)random64() % ATTR_SETS);
		kelp_paddr_t pa = some_frame(f, level, grouped ? order_of(f, level) : 0);
		uint64_t span = UINT64_C(1) << f->shift[level];
		uint64_t e = 0;

		at_level = level;
		at_grouped = grouped;
		at_attr = attr;
		at_entry = random64() & (f->entry_bytes == 4 ? UINT32_MAX : UINT64_MAX);
		CHECK(f->ops->kind(f, level, at_entry) == LAWS(kind)(f, level, at_entry));
		CHECK(f->ops->well_formed(f, level, at_entry) ==
		      LAWS(well_formed)(f, level, at_entry));
		CHECK(f->ops->can_replace(f, level, at_entry, 1) ==
		      LAWS(can_replace)(f, level, at_entry, 1));
		if (!laws_allowed(at_name, f, level, attr, grouped)) {
			CHECK(f->ops->leaf(f, level, pa, attr, grouped, &e) ==
			      KELP_ERR_UNSUPPORTED);
			continue;
		}
		CHECK(f->ops->leaf(f, level, pa, attr, grouped, &e) == KELP_OK);
		at_entry = e;
		CHECK(e == leaf_of(f, level, attr, grouped, pa));
		CHECK(f->ops->attributes(f, level, e) == attr);
		CHECK(f->ops->address(f, level, e) == pa);
		CHECK(f->ops->grouped(f, level, e) == grouped);
		CHECK(f->ops->leaf(f, level, pa + 1, attr, grouped, &e) == KELP_ERR_ALIGNMENT);
		CHECK(f->ops->leaf(f, level, span / 2, attr, grouped, &e) == KELP_ERR_ALIGNMENT);
		CHECK(f->ops->leaf(f, level, (UINT64_C(1) << f->pa_bits), attr, grouped, &e) ==
		      KELP_ERR_ADDRESS);
		if (level == 0)
			continue;
		e = LAWS(table)(f, level, some_table(f), n & 1u);
		CHECK(f->ops->table(f, level, LAWS(address)(f, level, e), n & 1u) == e);
		CHECK(f->ops->owned(f, level, e) == !!(n & 1u));
		CHECK(f->ops->denied(f, level, e) == LAWS(denied)(f, level, e));
	}
}

static void test_leaves(void **state)
{
	(void)state;
	for_each_instance(law_leaves);
}

static void test_unknown_attributes(void **state)
{
	(void)state;
	for_each_instance(law_unknown_attributes);
}

static void test_reserved_bits(void **state)
{
	(void)state;
	for_each_instance(law_reserved_bits);
}

static void test_ignored_bits_stay(void **state)
{
	(void)state;
	for_each_instance(law_ignored_bits_stay);
}

static void test_links_are_dead(void **state)
{
	(void)state;
	for_each_instance(law_links_are_dead);
}

static void test_tables(void **state)
{
	(void)state;
	for_each_instance(law_tables);
}

static void test_break_before_make(void **state)
{
	(void)state;
	for_each_instance(law_break_before_make);
}

static void test_data(void **state)
{
	(void)state;
	for_each_instance(law_data);
}

static void test_index(void **state)
{
	(void)state;
	for_each_instance(law_index);
}

static void test_ops(void **state)
{
	(void)state;
	for_each_instance(law_ops);
}

#define LAWS_TESTS                                                                                 \
	cmocka_unit_test(test_leaves), cmocka_unit_test(test_unknown_attributes),                  \
		cmocka_unit_test(test_reserved_bits), cmocka_unit_test(test_ignored_bits_stay),    \
		cmocka_unit_test(test_links_are_dead), cmocka_unit_test(test_tables),              \
		cmocka_unit_test(test_break_before_make), cmocka_unit_test(test_data),             \
		cmocka_unit_test(test_index), cmocka_unit_test(test_ops)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Short names for golden entries. */
#define R    KELP_ATTR_READ
#define W    KELP_ATTR_WRITE
#define X    KELP_ATTR_EXEC
#define U    KELP_ATTR_USER
#define G    KELP_ATTR_GLOBAL
#define A    KELP_ATTR_ACCESSED
#define D    KELP_ATTR_DIRTY
#define S    KELP_ATTR_SHARED
#define I    KELP_ATTR_INVALID
#define T(t) KELP_ATTR_TYPE(KELP_TYPE_##t)

#endif
