/* SPDX-License-Identifier: MIT */
/*
 * The library under the oracle: random operations on every format, several CPUs, every access
 * judged, hardware's view compared with the library's.
 *
 *	library                          all formats
 *	library FORMAT SEED ROUNDS       one run, again
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/driver.h"
#include "tests/common/formats.h"

#define ROUNDS 150u
#define SEEDS 2u

static unsigned scale(void)
{
	const char *text = getenv("KELP_TEST_SCALE");
	long value = text ? strtol(text, NULL, 10) : 1;

	return value > 0 ? (unsigned)value : 1;
}

static bool run(const struct kelp_format *format, uint64_t seed, unsigned rounds, bool talk)
{
	struct driver driver;
	bool ok = driver_begin(&driver, format, seed, 3);
	unsigned round = 0;

	while (ok && round < rounds) {
		ok = driver_round(&driver);
		round++;
	}
	if (talk || !ok)
		printf("%s, seed %llu: %u rounds, %llu operations of which %llu were done, "
		       "%llu accesses\n",
		       format->name, (unsigned long long)seed, round,
		       (unsigned long long)driver.operations, (unsigned long long)driver.done,
		       (unsigned long long)driver.accesses);
	/* A run in which nothing happens proves nothing. */
	if (ok && rounds >= 100 && driver.done < rounds / 4) {
		printf("%s: hardly any operation succeeded\n", format->name);
		ok = false;
	}
	return driver_end(&driver) && ok;
}

static void check(void **state)
{
	const struct test_format *format = *state;

	for (uint64_t seed = 1; seed <= SEEDS * scale(); seed++)
		assert_true(run(&format->format, seed, ROUNDS, false));
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[128];
	const struct test_format *formats;
	size_t count = test_formats(&formats);

	if (argc == 4)
		return !run(test_format_named(argv[1]), strtoull(argv[2], NULL, 0),
			    (unsigned)strtoul(argv[3], NULL, 0), true);
	if (argc != 1) {
		fprintf(stderr, "usage: library [FORMAT SEED ROUNDS]\n");
		return 2;
	}
	for (size_t i = 0; i < count && i < 128; i++)
		tests[i] = (struct CMUnitTest){
			.name = formats[i].name,
			.test_func = check,
			.initial_state = (void *)(uintptr_t)&formats[i],
		};
	return _cmocka_run_group_tests("library", tests, count, NULL, NULL);
}
