/* SPDX-License-Identifier: MIT */
/* examples/simulated: the planted bug is found whatever the seed, and the fixed code passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "examples/simulated/harness.h"

static void planted_bug_is_found(void **state)
{
	char text[8192] = "";

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		FILE *file = fmemopen(text, sizeof(text), "w");

		assert_non_null(file);
		assert_int_equal(simulate(false, seed, file), SIM_TABLE_FREED);
		fclose(file);
		/* A verdict for people: what, who, when, and what is missing. */
		assert_non_null(strstr(text, "SIM_TABLE_FREED"));
		assert_non_null(strstr(text, "missing: INVLPG"));
		assert_non_null(strstr(text, "frees table page"));
		assert_non_null(strstr(text, "replay: seed"));
	}
}

static void one_seed_replays(void **state)
{
	char text[2][8192] = {"", ""};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		FILE *file = fmemopen(text[i], sizeof(text[i]), "w");

		simulate(false, 42, file);
		fclose(file);
	}
	assert_string_equal(text[0], text[1]);
}

static void fixed_code_passes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++)
		assert_int_equal(simulate(true, seed, stdout), SIM_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(planted_bug_is_found),
		cmocka_unit_test(one_seed_replays),
		cmocka_unit_test(fixed_code_passes),
	};

	return cmocka_run_group_tests_name("example", tests, NULL, NULL);
}
