/* SPDX-License-Identifier: MIT */
/*
 * Long random sequences on every format, against the model. A failure prints a short list of
 * calls that shows it, and how to run the same again.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "formats.h"

/* Under AddressSanitizer, and where 64 bits are two words, an operation takes ten times as long. */
#if defined(__SANITIZE_ADDRESS__) || UINTPTR_MAX == UINT32_MAX
#define SEQUENCES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SEQUENCES 1
#endif
#endif
/* Each step is looked at from every CPU of the simulated machine. */
#ifdef TESTS_ON_MACHINE
#define SEQUENCES 1
#define STEPS 300
#endif
#ifndef SEQUENCES
#define SEQUENCES 4
#endif
#ifndef STEPS
#define STEPS 600
#endif

static struct {
	uint64_t seed;
	unsigned long steps; /* per sequence */
	unsigned sequences;
	const char *format;
} options = {.seed = 1, .steps = STEPS, .sequences = SEQUENCES};

static const char usage[] =
	"Runs random operations on every format and compares with a model.\n"
	"  --seed N       where the random numbers start (default 1; or KELP_TEST_SEED)\n"
	"  --steps N      operations per sequence (default 600)\n"
	"  --sequences N  sequences per format (default 4; 1 under\n"
	"                 AddressSanitizer and on 32 bits; times KELP_TEST_SCALE)\n"
	"  --format NAME  only this format\n"
	"Exit status: 0 all agree, 1 a difference, 2 bad usage.\n";

static void random_sequence(const struct test_format *entry, uint64_t seed, uint32_t flags)
{
	const struct kelp_format *format = &entry->format;
	struct random random = {seed};
	struct step_list list = {.flush_threshold = seed % 2 ? 0 : UINT32_MAX};
	struct step last = {0};
	size_t failed_at;

	for (unsigned long i = 0; i < options.steps; i++) {
		struct step step;

		step_random_in_rows(&random, format, &step, &last);
		step_append(&list, &step);
	}
	if (!sequence_run(format, flags, &list, &failed_at)) {
		char first[512];

		snprintf(first, sizeof(first), "%s", test_failure());
		print_message("%s, step %zu: %s\n", entry->name, failed_at, first);
		print_message("again: --format %s --seed %" PRIu64 " --steps %lu --sequences 1\n",
			      entry->name, seed, options.steps);
		sequence_shrink(format, flags, &list);
		print_message("shrunk to %zu steps (space flags %u, flush threshold %u): %s\n",
			      list.count, (unsigned)flags, (unsigned)list.flush_threshold,
			      test_failure());
		for (size_t i = 0; i < list.count; i++) {
			fprintf(stderr, "\t");
			step_print(stderr, format, &list.steps[i]);
			fprintf(stderr, "\n");
		}
		step_list_free(&list);
		fail_msg("%s", first);
	}
	step_list_free(&list);
}

static void random_against_model(void **state)
{
	const struct test_format *entry = *state;

	for (unsigned i = 0; i < options.sequences; i++)
		random_sequence(entry, options.seed + i,
				(options.seed + i) % 4 == 3 ? KELP_SPACE_NO_GROUPS : 0);
}

/* The shrinker itself: of many steps only the guilty ones are left. */
static void shrinks_to_the_guilty_steps(void **state)
{
	const struct test_format *entry = *state;
	const struct kelp_format *format = &entry->format;
	uint64_t page = page_of(format);
	struct step_list list = {0};
	struct random random = {7};
	struct step step;

	for (unsigned i = 0; i < 40; i++) {
		step_random(&random, format, &step);
		step.kind = STEP_LOOK;
		step_append(&list, &step);
	}
	step = (struct step){.kind = STEP_MAP, .va = some_va(format, 1), .pa = some_pa(format, 1),
			     .size = page, .set = data_of(format)};
	list.steps[7] = step;
	/* A step that lies: hardware is said to have changed what the model does not know of. */
	step = (struct step){.kind = STEP_KINDS, .va = some_va(format, 1)};
	list.steps[31] = step;
	sequence_shrink(format, 0, &list);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.steps[0].kind, STEP_MAP);
	assert_int_equal(list.steps[1].kind, STEP_KINDS);
	assert_true(test_failed());
	step_list_free(&list);
	test_report_reset();
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (!*text || *end) {
		fprintf(stderr, "not a number: %s\n%s", text, usage);
		exit(2);
	}
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{"seed", required_argument, NULL, 's'}, {"steps", required_argument, NULL, 'n'},
		{"sequences", required_argument, NULL, 'q'},
		{"format", required_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {0},
	};
	const char *seed = getenv("KELP_TEST_SEED"), *scale = getenv("KELP_TEST_SCALE");
	int option;

	if (seed)
		options.seed = number(seed);
	if (scale)
		options.sequences *= (unsigned)number(scale);
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 's': options.seed = number(optarg); break;
		case 'n': options.steps = (unsigned long)number(optarg); break;
		case 'q': options.sequences = (unsigned)number(optarg); break;
		case 'f': options.format = optarg; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	const struct test_format *formats;
	size_t count = test_formats(&formats), n = 0;
	struct CMUnitTest *tests = calloc(count + 1, sizeof(*tests));
	char (*names)[96] = calloc(count + 1, sizeof(*names));
	int failed;

	if (!tests || !names)
		abort();
	parse(argc, argv);
	for (size_t i = 0; i < count; i++) {
		if (options.format && strcmp(options.format, formats[i].name) != 0)
			continue;
		snprintf(names[n], sizeof(names[n]), "random operations agree with the model: %s",
			 formats[i].name);
		tests[n] = (struct CMUnitTest){.name = names[n],
					       .test_func = random_against_model,
					       .initial_state = (void *)(uintptr_t)&formats[i]};
		n++;
	}
	if (n == 0) {
		fprintf(stderr, "no format is called %s\n", options.format);
		return 2;
	}
	tests[n++] = (struct CMUnitTest){.name = "a failing list is shrunk",
					 .test_func = shrinks_to_the_guilty_steps,
					 .initial_state = (void *)(uintptr_t)&formats[0]};
	failed = _cmocka_run_group_tests("space_model", tests, n, NULL, NULL);
	free(tests);
	free(names);
	return failed != 0;
}
