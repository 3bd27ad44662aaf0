/* SPDX-License-Identifier: MIT */
/* The states of memory that comes and goes; INV-2.2, INV-2.3. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "exist.h"

#define SUB EXIST_SMALL_SUBSECTION

static const bool ways[] = {false, true};

static void ram_comes_and_goes(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct exist *w = exist_new(ways[way], NULL);
		kelp_pfn_t first = exist_pfn(3 * SUB);

		assert_int_equal(kelp_hotplug_add(&w->plug, first, 2 * SUB, 7, 0), KELP_OK);
		assert_true(kelp_pfn_valid(&w->map, first));
		assert_false(kelp_pfn_active(&w->map, first));
		exist_check(w);
		assert_int_equal(kelp_hotplug_online(&w->plug, first, 2 * SUB), KELP_OK);
		assert_true(kelp_pfn_online(&w->map, first));
		assert_int_equal(w->owner[3 * SUB], EXIST_FREE);
		exist_check(w);
		assert_int_equal(kelp_hotplug_remove(&w->plug, first, 2 * SUB), KELP_ERR_BUSY);
		assert_int_equal(kelp_hotplug_offline(&w->plug, first, SUB, NULL), KELP_OK);
		exist_check(w);
		assert_int_equal(kelp_hotplug_remove(&w->plug, first, SUB), KELP_OK);
		assert_false(kelp_pfn_valid(&w->map, first));
		assert_true(kelp_pfn_online(&w->map, exist_pfn(4 * SUB)));
		exist_check(w);
		exist_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
