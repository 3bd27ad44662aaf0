/* SPDX-License-Identifier: MIT */
/*
 * Changes that meet: several in one gather, several spaces over one table, a caller's nonsense
 * right after something that was remembered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <kelp/kelp.h>

#include "arch/x86_64/format.h"
#include "kelp_hosted.h"

#define MIB  (UINT64_C(1) << 20)
#define VA   (UINT64_C(1) << 30)
#define PA   (UINT64_C(4) << 30)
#define RW   (KELP_ATTR_READ | KELP_ATTR_WRITE)
#define HALF UINT64_C(0xffff800000000000)

struct world {
	struct kelp_format format;
	struct kelp_hosted hosted;
	struct kelp_space space;
	struct kelp_flush flush;
};

static int begin(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct kelp_hosted_config config = {.pages = 256, .flags = KELP_HOSTED_POISON};
	struct kelp_x86_64_config machine = {
		.levels = 4, .physical_bits = 46, .no_execute = true, .gigabyte_leaves = true};

	assert_non_null(w);
	assert_int_equal(kelp_x86_64_format_init(&w->format, &machine), KELP_OK);
	assert_int_equal(kelp_hosted_init(&w->hosted, &config), KELP_OK);
	assert_int_equal(
		kelp_space_init(&w->space, &w->format, &w->hosted.port, KELP_SPACE_KEEP_ROOT),
		KELP_OK);
	*state = w;
	return 0;
}

static uint64_t in_use(struct world *w)
{
	struct kelp_hosted_counts counts;

	kelp_hosted_counts(&w->hosted, &counts);
	return counts.in_use;
}

static int end(void **state)
{
	struct world *w = *state;

	kelp_space_destroy(&w->space);
	assert_int_equal(in_use(w), 0);
	kelp_hosted_destroy(&w->hosted);
	free(w);
	return 0;
}

static void map(struct world *w, kelp_vaddr_t va, uint64_t size, kelp_attr_t attributes,
		uint32_t flags)
{
	kelp_flush_begin(&w->flush, &w->space);
	assert_int_equal(kelp_space_map(&w->flush, va, PA, size, attributes, flags), KELP_OK);
	kelp_flush_commit(&w->flush);
}

/* Each change retires six tables; together they need more records than a gather has room for. */
static void two_prepared(void **state)
{
	struct world *w = *state;
	struct kelp_change change[2];

	map(w, VA, 24 * MIB, RW, KELP_LEAF_SHIFT(12));
	kelp_flush_begin(&w->flush, &w->space);
	for (unsigned i = 0; i < 2; i++) {
		change[i] = (struct kelp_change){.kind = KELP_CHANGE_MAP,
						 .flags = KELP_REPLACE,
						 .va = VA + i * 12 * MIB,
						 .pa = PA + i * 12 * MIB,
						 .size = 12 * MIB,
						 .set = RW};
		assert_int_equal(kelp_space_prepare(&w->flush, &change[i]), KELP_OK);
	}
	kelp_space_commit(&change[0]);
	kelp_space_commit(&change[1]);
	kelp_flush_commit(&w->flush);
	assert_int_equal(in_use(w), w->space.tables);
}

/* The entry of `va` in the table of the lowest level, as hardware would write it. */
static uint64_t *entry_of(struct world *w, kelp_vaddr_t va)
{
	uint64_t *table = kelp_hosted_pointer(&w->hosted, w->space.root);

	for (unsigned level = 3; level > 0; level--)
		table = kelp_hosted_pointer(
			&w->hosted, table[kelp_format_index(&w->format, level, va)] &
					    w->format.address_mask);
	return &table[kelp_format_index(&w->format, 0, va)];
}

/* Hardware writes through the old table until the flush; by then its leaf is split again. */
static void dirty_after_coalesce_and_split(void **state)
{
	struct world *w = *state;
	struct kelp_mapping mapping;
	uint64_t *entry;

	map(w, VA, 2 * MIB, RW, KELP_LEAF_SHIFT(12));
	entry = entry_of(w, VA + 7 * 4096);
	kelp_flush_begin(&w->flush, &w->space);
	assert_int_equal(kelp_space_coalesce(&w->flush, VA, 2 * MIB, 21, 0, NULL), KELP_OK);
	*entry |= KELP_X86_A | KELP_X86_D;
	assert_int_equal(kelp_space_split(&w->flush, VA, 2 * MIB, 12, 0), KELP_OK);
	kelp_flush_commit(&w->flush);
	assert_int_equal(kelp_space_query(&w->space, VA + 7 * 4096, &mapping), KELP_OK);
	assert_int_equal(mapping.shift, 12);
	assert_true(mapping.attributes & KELP_ATTR_DIRTY);
}

/* No value of attributes is one that the library keeps for itself. */
static void attributes_of_all_ones(void **state)
{
	struct world *w = *state;

	map(w, VA, 8192, RW, 0);
	kelp_flush_begin(&w->flush, &w->space);
	assert_int_equal(kelp_space_unmap(&w->flush, VA, 4096, 0), KELP_OK);
	assert_int_equal(kelp_space_map(&w->flush, VA, PA, 4096, ~(kelp_attr_t)0, 0),
			 KELP_ERR_ARGUMENT);
	assert_int_equal(kelp_space_map(&w->flush, VA, PA, 4096, RW, 0), KELP_OK);
	kelp_flush_commit(&w->flush);
}

/* A kernel half in two roots: new entries appear in both, and destroying one leaves the other. */
static void shared_root_entries(void **state)
{
	struct world *w = *state;
	struct kelp_space process;
	struct kelp_flush flush = {0};
	kelp_paddr_t pa;
	uint64_t before;

	kelp_flush_begin(&w->flush, &w->space);
	assert_int_equal(kelp_space_populate(&w->flush, HALF, UINT64_C(1) << 40, 30, 0), KELP_OK);
	kelp_flush_commit(&w->flush);
	before = in_use(w);

	assert_int_equal(kelp_space_init(&process, &w->format, &w->hosted.port, 0), KELP_OK);
	kelp_flush_begin(&flush, &process);
	assert_int_equal(kelp_space_share(&flush, &w->space, HALF, UINT64_C(4) << 39),
			 KELP_ERR_NOT_MAPPED);
	assert_int_equal(kelp_space_share(&flush, &w->space, HALF, 4096), KELP_ERR_ALIGNMENT);
	assert_int_equal(kelp_space_share(&flush, &process, HALF, UINT64_C(1) << 39),
			 KELP_ERR_ARGUMENT);
	assert_int_equal(kelp_space_share(&flush, &w->space, HALF, UINT64_C(1) << 40), KELP_OK);
	/* Once more is no harm; over something else it is refused. */
	assert_int_equal(kelp_space_share(&flush, &w->space, HALF, UINT64_C(1) << 40), KELP_OK);
	assert_int_equal(kelp_space_map(&flush, VA, PA, 4096, RW, 0), KELP_OK);
	kelp_flush_commit(&flush);

	map(w, HALF + 5 * MIB, MIB, RW, 0);
	assert_int_equal(kelp_space_translate(&process, HALF + 5 * MIB + 1, &pa), KELP_OK);
	assert_int_equal(pa, PA + 1);
	kelp_space_destroy(&process);
	assert_int_equal(kelp_space_translate(&w->space, HALF + 5 * MIB + 1, &pa), KELP_OK);

	kelp_flush_begin(&w->flush, &w->space);
	assert_int_equal(kelp_space_unmap(&w->flush, HALF, UINT64_C(1) << 40, 0), KELP_OK);
	kelp_flush_commit(&w->flush);
	assert_int_equal(in_use(w), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(two_prepared, begin, end),
		cmocka_unit_test_setup_teardown(dirty_after_coalesce_and_split, begin, end),
		cmocka_unit_test_setup_teardown(attributes_of_all_ones, begin, end),
		cmocka_unit_test_setup_teardown(shared_root_entries, begin, end),
	};

	return cmocka_run_group_tests_name("space: changes that meet", tests, NULL, NULL);
}
