/* SPDX-License-Identifier: MIT */
/*
 * format_golden: entries computed by hand from the manuals, so that a wrong bit position cannot
 * hide behind an encode and a decode that agree on it. After format_laws.h.
 */
#ifndef TESTS_UNIT_FORMAT_GOLDEN_H
#define TESTS_UNIT_FORMAT_GOLDEN_H

#include "format_laws.h"

struct golden {
	const char *instance;
	unsigned level;
	kelp_paddr_t pa;
	kelp_attr_t attr;
	bool grouped;
	uint64_t entry;
	const char *why;
};

static inline void check_golden(const struct golden *golden, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct golden *g = &golden[i];
		const struct kelp_format *f = test_format_named(g->instance);
		uint64_t entry = 0;

		assert_int_equal(f->ops->leaf(f, g->level, g->pa, g->attr, g->grouped, &entry),
				 KELP_OK);
		if (entry != g->entry)
			fail_msg("%s, %s: %#llx, by hand %#llx", g->instance, g->why,
				 (unsigned long long)entry, (unsigned long long)g->entry);
		assert_int_equal(f->ops->attributes(f, g->level, g->entry), g->attr);
	}
}

struct golden_table {
	const char *instance;
	unsigned level;
	kelp_paddr_t pa;
	bool owned;
	uint64_t entry;
};

static inline void check_golden_tables(const struct golden_table *golden, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct golden_table *g = &golden[i];
		const struct kelp_format *f = test_format_named(g->instance);

		assert_int_equal(f->ops->table(f, g->level, g->pa, g->owned), g->entry);
		assert_int_equal(f->ops->address(f, g->level, g->entry), g->pa);
	}
}

#endif
