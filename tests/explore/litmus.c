/* SPDX-License-Identifier: MIT */
/*
 * The litmus tests of the literature: one outcome each that a memory model allows or forbids.
 * Sources: x86: Owens, Sarkar, Sewell, "A Better x86 Memory Model: x86-TSO" (2009); C11: Lahav
 * et al., "Repairing Sequential Consistency in C/C++11" (2017); names as in Maranget, Sarkar,
 * Sewell, "A Tutorial Introduction to the ARM and POWER Relaxed Memory Models" (2012).
 */
#include "support/mini.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ANY 99u

struct litmus {
	struct mini mini;
	/* The outcome in question: registers, then final values; ANY where it does not matter. */
	unsigned reg[6];
	unsigned final[3];
	/* Is it possible? */
	bool sc, tso, ra;
	/* How many outcomes there are in all. */
	unsigned sc_count, tso_count, ra_count;
};

#define NO_FINAL {ANY, ANY, ANY}

static const struct litmus tests[] = {
	{
		{"SB", {{ST(X, 1, RELEASE), LD(0, Y, ACQUIRE)}, {ST(Y, 1, RELEASE), LD(1, X, ACQUIRE)}}},
		{0, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, true, true, 3, 4, 4,
	},
	{
		{"SB+fences",
		 {{ST(X, 1, RELAXED), FENCE(SEQ_CST), LD(0, Y, RELAXED)},
		  {ST(Y, 1, RELAXED), FENCE(SEQ_CST), LD(1, X, RELAXED)}}},
		{0, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 3, 3, 3,
	},
	{
		{"SB+one-fence",
		 {{ST(X, 1, RELAXED), FENCE(SEQ_CST), LD(0, Y, RELAXED)},
		  {ST(Y, 1, RELAXED), LD(1, X, RELAXED)}}},
		{0, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, true, true, 3, 4, 4,
	},
	{
		{"SB+sc", {{ST(X, 1, SEQ_CST), LD(0, Y, SEQ_CST)}, {ST(Y, 1, SEQ_CST), LD(1, X, SEQ_CST)}}},
		{0, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 3, 3, 3,
	},
	{
		{"SB+acq-rel-fences",
		 {{ST(X, 1, RELAXED), FENCE(ACQ_REL), LD(0, Y, RELAXED)},
		  {ST(Y, 1, RELAXED), FENCE(ACQ_REL), LD(1, X, RELAXED)}}},
		{0, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, true, true, 3, 4, 4,
	},
	{
		{"MP", {{ST(X, 1, RELAXED), ST(Y, 1, RELAXED)}, {LD(0, Y, RELAXED), LD(1, X, RELAXED)}}},
		{1, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, true, 3, 3, 4,
	},
	{
		{"MP+rel+acq", {{ST(X, 1, RELAXED), ST(Y, 1, RELEASE)}, {LD(0, Y, ACQUIRE), LD(1, X, RELAXED)}}},
		{1, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 3, 3, 3,
	},
	{
		{"MP+rel", {{ST(X, 1, RELAXED), ST(Y, 1, RELEASE)}, {LD(0, Y, RELAXED), LD(1, X, RELAXED)}}},
		{1, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, true, 3, 3, 4,
	},
	{
		{"MP+acq", {{ST(X, 1, RELAXED), ST(Y, 1, RELAXED)}, {LD(0, Y, ACQUIRE), LD(1, X, RELAXED)}}},
		{1, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, true, 3, 3, 4,
	},
	{
		{"MP+fences",
		 {{ST(X, 1, RELAXED), FENCE(RELEASE), ST(Y, 1, RELAXED)},
		  {LD(0, Y, RELAXED), FENCE(ACQUIRE), LD(1, X, RELAXED)}}},
		{1, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 3, 3, 3,
	},
	{
		{"MP+release-sequence", /* a relaxed add in between keeps what the store released */
		 {{ST(X, 1, RELAXED), ST(Y, 1, RELEASE)},
		  {ADD(0, Y, 1, RELAXED)},
		  {LD(1, Y, ACQUIRE), LD(2, X, RELAXED)}}},
		{1, 2, 0, ANY, ANY, ANY}, {1, 2, ANY}, false, false, false, 8, 8, 8,
	},
	{
		{"LB", /* load buffering: RA as modelled here does not have it */
		 {{LD(0, X, RELAXED), ST(Y, 1, RELAXED)}, {LD(1, Y, RELAXED), ST(X, 1, RELAXED)}}},
		{1, 1, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 3, 3, 3,
	},
	{
		{"IRIW",
		 {{ST(X, 1, RELEASE)}, {ST(Y, 1, RELEASE)},
		  {LD(0, X, ACQUIRE), LD(1, Y, ACQUIRE)}, {LD(2, Y, ACQUIRE), LD(3, X, ACQUIRE)}}},
		{1, 0, 1, 0, ANY, ANY}, NO_FINAL, false, false, true, 15, 15, 16,
	},
	{
		{"IRIW+fences",
		 {{ST(X, 1, RELEASE)}, {ST(Y, 1, RELEASE)},
		  {LD(0, X, ACQUIRE), FENCE(SEQ_CST), LD(1, Y, ACQUIRE)},
		  {LD(2, Y, ACQUIRE), FENCE(SEQ_CST), LD(3, X, ACQUIRE)}}},
		{1, 0, 1, 0, ANY, ANY}, NO_FINAL, false, false, false, 15, 15, 15,
	},
	{
		{"WRC",
		 {{ST(X, 1, RELAXED)}, {LD(0, X, RELAXED), ST(Y, 1, RELEASE)},
		  {LD(1, Y, ACQUIRE), LD(2, X, RELAXED)}}},
		{1, 1, 0, ANY, ANY, ANY}, NO_FINAL, false, false, false, 7, 7, 7,
	},
	{
		{"WRC+relaxed",
		 {{ST(X, 1, RELAXED)}, {LD(0, X, RELAXED), ST(Y, 1, RELAXED)},
		  {LD(1, Y, RELAXED), LD(2, X, RELAXED)}}},
		{1, 1, 0, ANY, ANY, ANY}, NO_FINAL, false, false, true, 7, 7, 8,
	},
	{
		{"ISA2",
		 {{ST(X, 1, RELAXED), ST(Y, 1, RELEASE)}, {LD(0, Y, ACQUIRE), ST(Z, 1, RELEASE)},
		  {LD(1, Z, ACQUIRE), LD(2, X, RELAXED)}}},
		{1, 1, 0, ANY, ANY, ANY}, NO_FINAL, false, false, false, 7, 7, 7,
	},
	{
		{"CoRR", {{ST(X, 1, RELAXED)}, {LD(0, X, RELAXED), LD(1, X, RELAXED)}}},
		{1, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 3, 3, 3,
	},
	{
		{"CoWR", {{ST(X, 1, RELAXED), LD(0, X, RELAXED)}, {ST(X, 2, RELAXED)}}},
		{0, ANY, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 3, 3, 3,
	},
	{
		{"CoRW", {{LD(0, X, RELAXED), ST(X, 1, RELAXED)}, {ST(X, 2, RELAXED)}}},
		{2, ANY, ANY, ANY, ANY, ANY}, {2, ANY, ANY}, false, false, false, 3, 3, 3,
	},
	{
		{"CoRR2", /* two readers agree on the order of two writers */
		 {{ST(X, 1, RELAXED)}, {ST(X, 2, RELAXED)},
		  {LD(0, X, RELAXED), LD(1, X, RELAXED)}, {LD(2, X, RELAXED), LD(3, X, RELAXED)}}},
		{1, 2, 2, 1, ANY, ANY}, NO_FINAL, false, false, false, 72, 72, 72,
	},
	{
		{"2+2W", {{ST(X, 1, RELAXED), ST(Y, 2, RELAXED)}, {ST(Y, 1, RELAXED), ST(X, 2, RELAXED)}}},
		{ANY, ANY, ANY, ANY, ANY, ANY}, {1, 1, ANY}, false, false, true, 3, 3, 4,
	},
	{
		{"2+2W+fences",
		 {{ST(X, 1, RELAXED), FENCE(SEQ_CST), ST(Y, 2, RELAXED)},
		  {ST(Y, 1, RELAXED), FENCE(SEQ_CST), ST(X, 2, RELAXED)}}},
		{ANY, ANY, ANY, ANY, ANY, ANY}, {1, 1, ANY}, false, false, false, 3, 3, 3,
	},
	{
		{"S", {{ST(X, 2, RELAXED), ST(Y, 1, RELAXED)}, {LD(0, Y, RELAXED), ST(X, 1, RELAXED)}}},
		{1, ANY, ANY, ANY, ANY, ANY}, {2, ANY, ANY}, false, false, true, 3, 3, 4,
	},
	{
		{"R", {{ST(X, 1, RELAXED), ST(Y, 1, RELAXED)}, {ST(Y, 2, RELAXED), LD(0, X, RELAXED)}}},
		{0, ANY, ANY, ANY, ANY, ANY}, {1, 2, ANY}, false, true, true, 3, 4, 4,
	},
	{
		{"n6", /* x86-TSO's example of reading one's own buffer */
		 {{ST(X, 1, RELAXED), LD(0, X, RELAXED), LD(1, Y, RELAXED)},
		  {ST(Y, 2, RELAXED), ST(X, 2, RELAXED)}}},
		{1, 0, ANY, ANY, ANY, ANY}, {1, 2, ANY}, false, true, true, 4, 5, 6,
	},
	{
		{"n5", /* forbidden in x86-TSO and by coherence */
		 {{ST(X, 1, RELAXED), LD(0, X, RELAXED)}, {ST(X, 2, RELAXED), LD(1, X, RELAXED)}}},
		{2, 1, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 4, 4, 4,
	},
	{
		{"RMW", /* atomic: two adds never read the same */
		 {{ADD(0, X, 1, RELAXED)}, {ADD(1, X, 1, RELAXED)}}},
		{0, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, false, 2, 2, 2,
	},
	{
		{"RMW+store", /* a store cannot come between what an add reads and what it writes */
		 {{ADD(0, X, 4, RELAXED)}, {ST(X, 1, RELAXED), LD(1, X, RELAXED)}}},
		{0, 4, ANY, ANY, ANY, ANY}, {4, ANY, ANY}, false, false, false, 3, 3, 3,
	},
	{
		{"SB+swaps", /* locked operations drain the store buffer; C11's acq_rel does not */
		 {{ST(X, 1, RELAXED), ADD(2, Z, 1, ACQ_REL), LD(0, Y, RELAXED)},
		  {ST(Y, 1, RELAXED), ADD(3, W, 1, ACQ_REL), LD(1, X, RELAXED)}}},
		{0, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, true, 3, 3, 4,
	},
	{
		{"stale-swap", /* a failing compare-and-swap may read an old value */
		 {{ST(X, 1, RELAXED), ST(Y, 1, RELAXED)}, {LD(0, Y, RELAXED), CAS(1, X, 1, 2, RELAXED)}}},
		{1, 0, ANY, ANY, ANY, ANY}, NO_FINAL, false, false, true, 3, 3, 4,
	},
};

static bool is_witness(const struct litmus *test, uint64_t outcome)
{
	for (unsigned i = 0; i < 6; i++)
		if (test->reg[i] != ANY && test->reg[i] != outcome_register(outcome, i))
			return false;
	for (unsigned i = 0; i < 3; i++)
		if (test->final[i] != ANY && test->final[i] != outcome_location(outcome, i))
			return false;
	return true;
}

static unsigned check(const struct litmus *test, enum explore_model model, bool expected,
		      unsigned count)
{
	static const enum explore_reduction reductions[] = {EXPLORE_DPOR, EXPLORE_SLEEP,
							    EXPLORE_PLAIN};
	static const char *const model_name[] = {"sc", "tso", "ra"};
	struct outcomes sets[3] = {0};
	struct explore_result result[3];
	unsigned wrong = 0;
	bool seen = false;

	for (unsigned r = 0; r < 3; r++) {
		struct explore_options options = {.model = model, .reduction = reductions[r]};

		if (mini_explore(&test->mini, &options, &sets[r], &result[r]) != EXPLORE_PASSED ||
		    !result[r].exhaustive) {
			print_message("%s, %s: not explored: %s\n", test->mini.name,
				      model_name[model], result[r].message);
			wrong++;
		}
	}
	for (size_t i = 0; i < sets[0].count; i++)
		seen |= is_witness(test, sets[0].value[i]);
	print_message("%-22s %-3s %s %2zu outcomes; schedules: %5llu dpor (+%llu pruned), %5llu "
		      "sleep (+%llu), %7llu in all\n", test->mini.name, model_name[model],
		      seen ? "allowed  " : "forbidden", sets[0].count,
		      (unsigned long long)result[0].schedules, (unsigned long long)result[0].pruned,
		      (unsigned long long)result[1].schedules, (unsigned long long)result[1].pruned,
		      (unsigned long long)result[2].schedules);
	if (seen != expected) {
		print_message("   WRONG: the outcome must be %s\n", expected ? "allowed" : "forbidden");
		wrong++;
	}
	if (sets[0].count != count) {
		print_message("   WRONG: there must be %u outcomes\n", count);
		wrong++;
	}
	if (!outcomes_equal(&sets[0], &sets[2]) || !outcomes_equal(&sets[1], &sets[2])) {
		print_message("   WRONG: the reductions change the outcomes\n");
		wrong++;
	}
	for (unsigned r = 0; r < 3; r++)
		outcomes_free(&sets[r]);
	return wrong;
}

static void litmus_tests(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		const struct litmus *test = &tests[i];

		wrong += check(test, EXPLORE_SC, test->sc, test->sc_count);
		wrong += check(test, EXPLORE_TSO, test->tso, test->tso_count);
		wrong += check(test, EXPLORE_RA, test->ra, test->ra_count);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(litmus_tests),
	};

	return cmocka_run_group_tests_name("explore/litmus", all, NULL, NULL);
}
