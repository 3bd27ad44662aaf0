/* SPDX-License-Identifier: MIT */
/*
 * The explorer itself: bounds, random search, replay, what it refuses, what it prints.
 */
#include "sim/explore.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct {
	uint64_t x, y, z;
	unsigned private_count; /* not reset: makes a program that is not deterministic */
	unsigned runs, setups;
} s;

static void setup(void *context)
{
	(void)context;
	s.x = s.y = s.z = 0;
	s.setups++;
	explore_region(&s.x, 8, 8, "x");
	explore_region(&s.y, 8, 8, "y");
	explore_region(&s.z, 8, 8, "z");
}

static void finish(void *context)
{
	(void)context;
	s.runs++;
}

static struct explore_result run(const struct explore_options *options,
				 const struct explore_program *program)
{
	struct explore_result result;

	explore_run(options, program, &result);
	return result;
}

/* ---- a failure that takes two preemptions ------------------------------------------------------ */

static void two_adds(void *context)
{
	(void)context;
	explore_store(&s.x, 8, explore_load(&s.x, 8, EXPLORE_RELAXED) + 1, EXPLORE_RELAXED);
	explore_store(&s.y, 8, explore_load(&s.y, 8, EXPLORE_RELAXED) + 1, EXPLORE_RELAXED);
}

static void finish_lost_twice(void *context)
{
	(void)context;
	explore_check(s.x == 2 || s.y == 2, "both counters lost an addition");
}

static const struct explore_program lost_twice = {
	.name = "lost twice",
	.threads = 2,
	.thread = {two_adds, two_adds},
	.setup = setup,
	.finish = finish_lost_twice,
};

static void fewest_preemptions(void **state)
{
	struct explore_options options = {.output = NULL};
	struct explore_result found = run(&options, &lost_twice), replayed;

	(void)state;
	assert_int_equal(found.verdict, EXPLORE_FAILED);
	assert_string_equal(found.message, "both counters lost an addition");
	/* 0*1.1*4.0*1 loses one; two need a switch back as well. */
	assert_int_equal(found.failing_preemptions, 2);
	options.replay = found.id;
	replayed = run(&options, &lost_twice);
	assert_int_equal(replayed.verdict, EXPLORE_FAILED);
	assert_string_equal(replayed.message, found.message);
	assert_string_equal(replayed.id, found.id);
	assert_int_equal(replayed.failing_steps, found.failing_steps);
}

static void limited_preemptions(void **state)
{
	struct explore_options options = {.limit_preemptions = true};
	struct explore_result result;
	uint64_t before = 0;

	(void)state;
	for (unsigned limit = 0; limit < 2; limit++) {
		options.preemptions_max = limit;
		result = run(&options, &lost_twice);
		assert_int_equal(result.verdict, EXPLORE_PASSED);
		assert_false(result.exhaustive);
		assert_int_equal(result.reduction, EXPLORE_PLAIN);
		assert_true(result.schedules > before);
		before = result.schedules;
	}
	options.preemptions_max = 2;
	assert_int_equal(run(&options, &lost_twice).verdict, EXPLORE_FAILED);
	/* No limit in a second way: as many as there are steps. All schedules of 4 + 4 steps. */
	options.preemptions_max = 8;
	options.count_failures = true;
	result = run(&options, &lost_twice);
	assert_int_equal(result.schedules, 70);
}

static void counted_failures(void **state)
{
	struct explore_options options = {.reduction = EXPLORE_PLAIN, .count_failures = true};
	struct explore_result result = run(&options, &lost_twice);
	uint64_t expected = 0;

	(void)state;
	/* By counting: of the 70 orders those in which both additions overlap. */
	for (unsigned order = 0; order < 256; order++) {
		unsigned step[2] = {0, 0}, seen[2][2] = {{0}}, value[2] = {0, 0};

		if (__builtin_popcount(order) != 4)
			continue;
		for (unsigned i = 0; i < 8; i++) {
			unsigned t = order >> i & 1u, counter = step[t] / 2;

			if (step[t]++ % 2 == 0)
				seen[t][counter] = value[counter];
			else
				value[counter] = seen[t][counter] + 1;
		}
		expected += value[0] != 2 && value[1] != 2;
	}
	assert_int_equal(result.verdict, EXPLORE_FAILED);
	assert_true(result.exhaustive);
	assert_int_equal(result.schedules, 70);
	assert_int_equal(result.failures, expected);
}

/* ---- random search --------------------------------------------------------------------------------- */

static void random_search(void **state)
{
	struct explore_options options = {.search = EXPLORE_RANDOM, .schedules_max = 1000,
					  .seed = 7};
	struct explore_result first = run(&options, &lost_twice), second;

	(void)state;
	assert_int_equal(first.verdict, EXPLORE_FAILED);
	second = run(&options, &lost_twice);
	assert_int_equal(second.schedules, first.schedules);
	assert_string_equal(second.id, first.id);
	options.replay = first.id;
	assert_int_equal(run(&options, &lost_twice).verdict, EXPLORE_FAILED);

	/* Without failures: as many as asked for, and never called exhaustive. */
	options = (struct explore_options){.search = EXPLORE_RANDOM, .schedules_max = 123,
					   .model = EXPLORE_RA};
	{
		struct explore_program passes = lost_twice;

		passes.finish = finish;
		second = run(&options, &passes);
		assert_int_equal(second.verdict, EXPLORE_PASSED);
		assert_int_equal(second.schedules, 123);
		assert_false(second.exhaustive);
	}
}

/* ---- bounds ----------------------------------------------------------------------------------------- */

static void spin(void *context)
{
	(void)context;
	while (explore_load(&s.x, 8, EXPLORE_ACQUIRE) == 0)
		;
}

static void store_x(void *context)
{
	(void)context;
	explore_store(&s.x, 8, 1, EXPLORE_RELEASE);
}

static void cut_schedules(void **state)
{
	struct explore_program program = {.name = "spin", .threads = 2, .thread = {spin, store_x},
					  .setup = setup, .finish = finish};
	struct explore_options options = {.steps_max = 12};
	struct explore_result result = run(&options, &program);

	(void)state;
	assert_int_equal(result.verdict, EXPLORE_PASSED);
	/* The store after 0 to 10 vain loads (then a load sees it), and the one that is cut. */
	assert_int_equal(result.schedules, 11);
	assert_true(result.cut > 0);
	assert_false(result.exhaustive);
	assert_int_equal(result.longest, 12);
	/* A bound on the number of schedules. */
	options = (struct explore_options){.schedules_max = 3, .steps_max = 12};
	result = run(&options, &program);
	assert_int_equal(result.schedules + result.pruned + result.cut, 3);
	assert_false(result.exhaustive);
}

static void await_instead(void *context)
{
	(void)context;
	explore_await(&s.x, 8, UINT64_MAX, 1, EXPLORE_ACQUIRE);
}

static void awaiting_is_finite(void **state)
{
	struct explore_program program = {.name = "await", .threads = 2,
					  .thread = {await_instead, store_x}, .setup = setup};
	struct explore_options options = {0};

	(void)state;
	for (unsigned model = 0; model < 3; model++) {
		struct explore_result result;

		options.model = (enum explore_model)model;
		result = run(&options, &program);
		assert_int_equal(result.verdict, EXPLORE_PASSED);
		assert_true(result.exhaustive);
		assert_int_equal(result.schedules, 1);
	}
}

static void deadlock(void **state)
{
	struct explore_program program = {.name = "deadlock", .threads = 2,
					  .thread = {await_instead, finish},
					  .thread_name = {"waiter", "other"}, .setup = setup};
	struct explore_options options = {0};
	struct explore_result result = run(&options, &program);

	(void)state;
	assert_int_equal(result.verdict, EXPLORE_FAILED);
	assert_string_equal(result.message, "all threads wait for ever: waiter for x");
}

/* ---- choices, invariants, state ------------------------------------------------------------------------ */

static void choose_twice(void *context)
{
	(void)context;
	explore_store(&s.x, 8, explore_choose(3, "first") + 10 * explore_choose(4, "second"),
		      EXPLORE_RELAXED);
}

static unsigned seen_choices;

static void finish_choices(void *context)
{
	(void)context;
	seen_choices |= 1u << (s.x % 10 * 4 + s.x / 10);
}

static void choices(void **state)
{
	struct explore_program program = {.name = "choices", .threads = 1,
					  .thread = {choose_twice}, .setup = setup,
					  .finish = finish_choices};
	struct explore_options options = {0};
	struct explore_result result = run(&options, &program);

	(void)state;
	assert_int_equal(result.schedules, 12);
	assert_int_equal(seen_choices, 0xfff);
}

static void store_y(void *context)
{
	(void)context;
	explore_store(&s.y, 8, 1, EXPLORE_RELEASE);
}

static void never_x_without_y(void *context)
{
	(void)context;
	explore_check(!s.x || s.y, "x is set and y is not");
}

/* The two stores commute, so one final state is all there is; the state in between is not. */
static void invariant_in_between(void **state)
{
	struct explore_program program = {.name = "invariant", .threads = 2,
					  .thread = {store_y, store_x}, .setup = setup,
					  .invariant = never_x_without_y};
	struct explore_options options = {0};
	struct explore_result result = run(&options, &program);

	(void)state;
	assert_int_equal(result.verdict, EXPLORE_FAILED);
	assert_int_equal(result.reduction, EXPLORE_SLEEP);
	assert_int_equal(result.failing_steps, 1);
}

static void state_is_put_back(void **state)
{
	struct explore_program program = lost_twice;
	struct explore_options options = {0};
	struct explore_result result;

	(void)state;
	program.finish = NULL;
	program.state = &s;
	program.state_size = sizeof(s.x) * 3;
	s.setups = 0;
	result = run(&options, &program);
	assert_int_equal(result.verdict, EXPLORE_PASSED);
	assert_true(result.schedules > 10);
	assert_int_equal(s.setups, 1);
}

/* ---- what it refuses -------------------------------------------------------------------------------------- */

static void not_deterministic(void *context)
{
	(void)context;
	explore_load(s.private_count++ % 3 ? &s.x : &s.y, 8, EXPLORE_RELAXED);
	explore_store(&s.z, 8, 1, EXPLORE_RELAXED);
}

static void two_sizes(void *context)
{
	(void)context;
	explore_load(&s.x, 8, EXPLORE_RELAXED);
	explore_load(&s.x, 4, EXPLORE_RELAXED);
}

static void overlap(void *context)
{
	(void)context;
	explore_load(&s.x, 8, EXPLORE_RELAXED);
	explore_load((char *)&s.x + 4, 4, EXPLORE_RELAXED);
}

static void misaligned(void *context)
{
	(void)context;
	explore_load((char *)&s.x + 2, 4, EXPLORE_RELAXED);
}

static void region_too_late(void *context)
{
	(void)context;
	explore_region(&s.x, 8, 8, "x");
}

static void send_without_handler(void *context)
{
	(void)context;
	explore_interrupt_send(0);
}

static void refused(void **state)
{
	static const struct {
		void (*thread)(void *context);
		const char *message;
	} cases[] = {
		{not_deterministic, "not deterministic"},
		{two_sizes, "with 8 and with 4 bytes"},
		{overlap, "overlaps"},
		{misaligned, "not aligned"},
		{region_too_late, "outside of setup"},
		{send_without_handler, "no handler"},
	};
	struct explore_options options = {0};
	struct explore_result result;
	struct explore_program program = {.name = "refused", .threads = 2, .setup = setup};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		program.thread[0] = program.thread[1] = cases[i].thread;
		result = run(&options, &program);
		assert_int_equal(result.verdict, EXPLORE_MISUSED);
		if (!strstr(result.message, cases[i].message)) {
			print_message("\"%s\" does not say \"%s\"\n", result.message, cases[i].message);
			fail();
		}
	}
	program.threads = 0;
	assert_int_equal(run(&options, &program).verdict, EXPLORE_MISUSED);
	program.threads = 9;
	assert_int_equal(run(&options, &program).verdict, EXPLORE_MISUSED);
	options.search = EXPLORE_RANDOM;
	assert_int_equal(run(&options, &lost_twice).verdict, EXPLORE_MISUSED);
}

static void bad_ids(void **state)
{
	static const char *const ids[] = {
		"", "sc", "tso/0", "sc/9", "sc/0:", "sc/0*", "sc/0:1", "sc/0.0.0.0.0.0", "sc/a",
		"sc/0*3000", "sc/0 1", "sc/2",
	};
	struct explore_options options = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct explore_result result;

		options.replay = ids[i];
		result = run(&options, &lost_twice);
		if (result.verdict != EXPLORE_MISUSED || !result.message[0]) {
			print_message("the id \"%s\" is accepted\n", ids[i]);
			fail();
		}
	}
	/* A prefix is an id too: the rest runs without switching. */
	options.replay = "sc/0.1";
	assert_int_equal(run(&options, &lost_twice).verdict, EXPLORE_PASSED);
}

/* ---- what it prints ----------------------------------------------------------------------------------------- */

static void reader(void *context)
{
	(void)context;
	if (explore_load(&s.y, 8, EXPLORE_ACQUIRE) == 1) {
		uint64_t x = explore_load(&s.x, 8, EXPLORE_RELAXED);

		explore_note("x is %llu", (unsigned long long)x);
		explore_check(x == 1, "y came before x");
	}
}

static void writer(void *context)
{
	(void)context;
	explore_store(&s.x, 8, 1, EXPLORE_RELAXED);
	explore_store(&s.y, 8, 1, EXPLORE_RELAXED);
}

static void printed_schedule(void **state)
{
	static const char expected[] =
		"message passing, ra, FAILED after 4 steps\n"
		"     1  writer  store     x = 0x1                              relaxed\n"
		"     2  writer  store     y = 0x1                              relaxed\n"
		"     3  reader  load      y -> 0x1                             acquire\n"
		"     4  reader  load      x -> 0                               relaxed, OLD: the "
		"newest is 0x1\n"
		"        reader  # x is 0\n"
		"  => y came before x\n"
		"  replay: ra/0*2.1.1:1\n";
	struct explore_program program = {.name = "message passing", .threads = 2,
					  .thread = {writer, reader},
					  .thread_name = {"writer", "reader"}, .setup = setup};
	char *text = NULL;
	size_t size = 0;
	struct explore_options options = {.model = EXPLORE_RA,
					  .output = open_memstream(&text, &size)};
	struct explore_result result;

	(void)state;
	assert_non_null(options.output);
	result = run(&options, &program);
	fclose(options.output);
	assert_int_equal(result.verdict, EXPLORE_FAILED);
	assert_string_equal(result.id, "ra/0*2.1.1:1");
	assert_string_equal(text, expected);
	free(text);
}

/* ---- memory that comes and goes -------------------------------------------------------------------------------- */

static uint64_t page[8];

static void setup_page(void *context)
{
	setup(context);
	page[0] = 0;
	explore_region_free(page, sizeof(page), 8, "page");
}

static void claim_use_retire(void *context)
{
	(void)context;
	explore_claim(page);
	explore_plain_fill(page, 8, 8, 5, 1);
	explore_check(explore_load(&page[3], 8, EXPLORE_RELAXED) == 8, "the fill is not seen");
	explore_retire(page);
	explore_claim(page);
	explore_plain_fill(page, 8, 8, 0, 0);
	explore_check(explore_load(&page[3], 8, EXPLORE_RELAXED) == 0,
		      "something of the former life is seen");
	explore_store(&page[3], 8, 9, EXPLORE_RELAXED);
	explore_check(explore_load(&page[3], 8, EXPLORE_RELAXED) == 9, "a store is not seen");
}

static void finish_page(void *context)
{
	(void)context;
	explore_check(explore_is_live(page) && page[3] == 9 && page[4] == 0, "the page is wrong");
}

static void retire_twice(void *context)
{
	(void)context;
	explore_claim(page);
	explore_retire(page);
	explore_retire(page);
}

static void touch_after(void *context)
{
	(void)context;
	explore_claim(page);
	explore_retire(page);
	explore_load(page, 8, EXPLORE_RELAXED);
}

static void lives(void **state)
{
	struct explore_program program = {.name = "lives", .threads = 1,
					  .thread = {claim_use_retire}, .setup = setup_page,
					  .finish = finish_page};
	struct explore_options options = {0};

	(void)state;
	for (unsigned model = 0; model < 3; model++) {
		struct explore_result result;

		options.model = (enum explore_model)model;
		program.thread[0] = claim_use_retire;
		result = run(&options, &program);
		if (result.verdict != EXPLORE_PASSED)
			print_message("%s\n", result.message);
		assert_int_equal(result.verdict, EXPLORE_PASSED);
		program.thread[0] = retire_twice;
		assert_string_equal(run(&options, &program).message,
				    "page is given back a second time");
		program.thread[0] = touch_after;
		assert_string_equal(run(&options, &program).message,
				    "page[0] is touched after its memory was given back");
	}
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(fewest_preemptions), cmocka_unit_test(limited_preemptions),
		cmocka_unit_test(counted_failures),   cmocka_unit_test(random_search),
		cmocka_unit_test(cut_schedules),      cmocka_unit_test(awaiting_is_finite),
		cmocka_unit_test(deadlock),	      cmocka_unit_test(choices),
		cmocka_unit_test(invariant_in_between), cmocka_unit_test(state_is_put_back),
		cmocka_unit_test(refused),	      cmocka_unit_test(bad_ids),
		cmocka_unit_test(printed_schedule),   cmocka_unit_test(lives),
	};

	return cmocka_run_group_tests_name("explore/explorer", all, NULL, NULL);
}
