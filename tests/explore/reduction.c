/* SPDX-License-Identifier: MIT */
/*
 * The reduction loses nothing: counts that are known, and random programs whose outcomes (and
 * deadlocks) must be the same with and without it; and the models contain each other as the
 * theory says.
 */
#include "support/mini.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- counts that are known -------------------------------------------------------------------- */

static uint64_t multinomial(unsigned threads, unsigned each)
{
	uint64_t count = 1;

	for (unsigned n = 1, t = 0; t < threads; t++)
		for (unsigned k = 1; k <= each; k++, n++)
			count = count * n / k;
	return count;
}

/* `threads` threads of `each` operations: on a location of their own, or all on one. */
static struct mini regular(unsigned threads, unsigned each, enum mini_kind kind, bool shared)
{
	struct mini mini = {.name = "regular"};

	for (unsigned t = 0; t < threads; t++)
		for (unsigned i = 0; i < each; i++)
			mini.op[t][i] = (struct mini_op){.kind = kind, .location = shared ? 0 : t,
							 .value = 1, .reg = t};
	return mini;
}

static struct explore_result explored(const struct mini *mini, enum explore_reduction reduction)
{
	struct explore_options options = {.reduction = reduction};
	struct explore_result result;
	struct outcomes outcomes = {0};

	assert_int_equal(mini_explore(mini, &options, &outcomes, &result), EXPLORE_PASSED);
	assert_true(result.exhaustive);
	assert_int_equal(result.schedules, outcomes.completed);
	outcomes_free(&outcomes);
	return result;
}

static void independent_operations(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= 4; threads++) {
		for (unsigned each = 1; each <= (threads == 4 ? 3 : 4); each++) {
			struct mini mini = regular(threads, each, MINI_STORE, false);
			struct explore_result none = explored(&mini, EXPLORE_PLAIN);
			struct explore_result sleep = explored(&mini, EXPLORE_SLEEP);
			struct explore_result dpor = explored(&mini, EXPLORE_DPOR);

			print_message("%u threads of %u independent stores: %llu, reduced %llu\n",
				      threads, each, (unsigned long long)none.schedules,
				      (unsigned long long)dpor.schedules);
			assert_int_equal(none.schedules, multinomial(threads, each));
			assert_int_equal(sleep.schedules, 1);
			assert_int_equal(dpor.schedules, 1);
			assert_int_equal(dpor.pruned, 0);
			assert_int_equal(dpor.steps, threads * each);
		}
	}
}

/* Additions to a counter commute. */
static void counters(void **state)
{
	struct mini adds = regular(3, 3, MINI_COUNT, true);
	struct mini read = regular(3, 3, MINI_COUNT, true);

	(void)state;
	assert_int_equal(explored(&adds, EXPLORE_DPOR).schedules, 1);
	/* Of two threads that add three times each, a reader sees 0 to 3 of each. */
	memset(read.op[2], 0, sizeof(read.op[2]));
	read.op[2][0] = (struct mini_op){.kind = MINI_COUNT_READ, .location = W, .reg = 0};
	assert_int_equal(explored(&read, EXPLORE_DPOR).schedules, 16);
}

/* Loads of one location commute; adds of one location do not: every order is another trace. */
static void dependent_operations(void **state)
{
	(void)state;
	for (unsigned threads = 2; threads <= 3; threads++) {
		for (unsigned each = 1; each <= 3; each++) {
			struct mini loads = regular(threads, each, MINI_LOAD, true);
			struct mini adds = regular(threads, each, MINI_ADD, true);

			assert_int_equal(explored(&loads, EXPLORE_DPOR).schedules, 1);
			assert_int_equal(explored(&adds, EXPLORE_DPOR).schedules,
					 multinomial(threads, each));
			assert_int_equal(explored(&adds, EXPLORE_SLEEP).schedules,
					 multinomial(threads, each));
		}
	}
}

/* One thread that writes what n others read: each reader sees it or not. */
static void readers_and_writer(void **state)
{
	struct mini mini = {.name = "readers",
			    .op = {{ST(X, 1, RELAXED)}, {LD(0, X, RELAXED)}, {LD(1, X, RELAXED)},
				   {LD(2, X, RELAXED)}}};
	struct explore_result dpor = explored(&mini, EXPLORE_DPOR);

	(void)state;
	assert_int_equal(dpor.schedules, 8);
	assert_int_equal(explored(&mini, EXPLORE_PLAIN).schedules, 24);
}

/* ---- random programs --------------------------------------------------------------------------- */

static uint64_t random_state;

static unsigned below(unsigned n)
{
	uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((z ^ (z >> 31)) % n);
}

static enum explore_order random_order(enum mini_kind kind, bool sc)
{
	static const enum explore_order load[] = {EXPLORE_RELAXED, EXPLORE_ACQUIRE, EXPLORE_SEQ_CST};
	static const enum explore_order store[] = {EXPLORE_RELAXED, EXPLORE_RELEASE, EXPLORE_SEQ_CST};
	static const enum explore_order modify[] = {EXPLORE_RELAXED, EXPLORE_ACQ_REL, EXPLORE_ACQUIRE,
						    EXPLORE_RELEASE, EXPLORE_SEQ_CST};
	static const enum explore_order fence[] = {EXPLORE_ACQUIRE, EXPLORE_RELEASE, EXPLORE_ACQ_REL,
						   EXPLORE_SEQ_CST, EXPLORE_SEQ_CST};
	unsigned less = sc ? 0 : 1;

	switch (kind) {
	case MINI_LOAD:
	case MINI_AWAIT: return load[below(3 - less)];
	case MINI_STORE: return store[below(3 - less)];
	case MINI_FENCE: return fence[below(5)];
	default: return modify[below(5 - less)];
	}
}

/* Puts interrupts into a program: a few sends, one thread with interrupts off for a while. */
static void add_interrupts(struct mini *mini)
{
	unsigned threads = 0, sends = 1 + below(2);

	while (threads < MINI_THREADS && mini->op[threads][0].kind != MINI_END)
		threads++;
	for (unsigned i = 0; i < sends; i++) {
		unsigned t = below(threads);
		unsigned at = below(4);

		for (unsigned j = 0; j < at; j++)
			if (mini->op[t][j].kind == MINI_END)
				at = j;
		if (mini->op[t][MINI_OPS - 2].kind != MINI_END)
			continue;
		memmove(&mini->op[t][at + 1], &mini->op[t][at],
			(MINI_OPS - 2 - at) * sizeof(mini->op[t][0]));
		mini->op[t][at] = (struct mini_op){.kind = MINI_SEND, .value = below(threads)};
	}
	if (below(2) == 0) {
		struct mini_op *op = mini->op[below(threads)];

		memmove(op + 1, op, (MINI_OPS - 2) * sizeof(*op));
		op[0] = (struct mini_op){.kind = MINI_OFF};
		op[MINI_OPS - 1].kind = MINI_END;
		if (op[3].kind == MINI_COUNT)
			op[3] = (struct mini_op){.kind = MINI_ON};
	}
}

/* `waiting`: with awaits and locks, so that it can deadlock. */
static struct mini random_mini(unsigned total, bool waiting, bool strong)
{
	struct mini mini = {.name = "random"};
	unsigned threads = 2 + below(2), locations = 1 + below(3), reg = 0;
	unsigned used[MINI_THREADS] = {0};

	if (below(8) == 0)
		threads = 4;
	for (unsigned i = 0; i < total; i++) {
		static const enum mini_kind kinds[] = {
			MINI_LOAD, MINI_LOAD,  MINI_LOAD,  MINI_STORE, MINI_STORE, MINI_STORE,
			MINI_ADD,  MINI_SWAP, MINI_FENCE, MINI_COUNT, MINI_COUNT_READ,
			MINI_AWAIT, MINI_LOCK,
		};
		unsigned t = i < threads ? i : below(threads);
		struct mini_op *op = &mini.op[t][used[t]];

		if (used[t] >= MINI_OPS - 1)
			continue;
		op->kind = kinds[below(waiting ? 13 : 11)];
		op->order = strong ? EXPLORE_SEQ_CST : random_order(op->kind, !strong && below(4) == 0);
		op->location = below(locations);
		op->value = 1 + below(3);
		op->expected = below(3);
		if (op->kind == MINI_ADD)
			op->value = 1;
		if (op->kind != MINI_STORE && op->kind != MINI_FENCE && op->kind != MINI_COUNT)
			op->reg = reg++ % 8;
		used[t]++;
	}
	return mini;
}

static void print_mini(const struct mini *mini)
{
	static const char *const kind[] = {"end", "load", "store", "swap", "add", "fence", "await",
					   "lock",  "count", "count-read", "send", "off", "on",
					   "choose"};

	for (unsigned t = 0; t < MINI_THREADS; t++)
		for (const struct mini_op *op = mini->op[t]; op->kind != MINI_END; op++)
			print_message("   T%u: r%u = %s loc%u value %u expected %u order %d\n", t,
				      op->reg, kind[op->kind], op->location, op->value, op->expected,
				      (int)op->order);
}

/* False: too large to be explored without reduction. */
static bool all_outcomes(const struct mini *mini, enum explore_model model,
			 enum explore_reduction reduction, struct outcomes *outcomes, bool *deadlock,
			 struct explore_result *result)
{
	struct explore_options options = {.model = model, .reduction = reduction,
					  .schedules_max = 20000, .count_failures = true,
					  .keep_first_failure = true};

	if (mini_explore(mini, &options, outcomes, result) == EXPLORE_MISUSED) {
		print_message("   %s\n", result->message);
		print_mini(mini);
		fail();
	}
	*deadlock = result->failures > 0;
	return result->exhaustive;
}

struct sums {
	uint64_t compared, skipped, deadlocks, plain, dpor, pruned;
};

/* One random program, without reduction and with each: the same outcomes. */
static void compare_reductions(unsigned seed, struct sums *sums)
{
	static const char *const model_name[] = {"sc", "tso", "ra"};
	enum explore_model model = (enum explore_model)(seed % 3);
	struct outcomes sets[3] = {0};
	struct explore_result result[3];
	struct mini mini;
	bool deadlock[3];

	random_state = seed;
	mini = random_mini(model == EXPLORE_TSO ? 4 + below(3) : 5 + below(3), seed & 8, false);
	if (seed % 4 == 1) {
		mini = random_mini(model == EXPLORE_TSO ? 3 + below(2) : 4 + below(2), seed & 8,
				   false);
		add_interrupts(&mini);
	}
	if (!all_outcomes(&mini, model, EXPLORE_PLAIN, &sets[0], &deadlock[0], &result[0])) {
		outcomes_free(&sets[0]);
		sums->skipped++;
		return;
	}
	for (unsigned r = 1; r < 3; r++) {
		bool all = all_outcomes(&mini, model, r == 1 ? EXPLORE_SLEEP : EXPLORE_DPOR, &sets[r],
					&deadlock[r], &result[r]);

		if (all && deadlock[r] == deadlock[0] && outcomes_equal(&sets[r], &sets[0]))
			continue;
		print_message("seed %u, %s, %s: %zu outcomes instead of %zu, deadlock %d instead of "
			      "%d\n", seed, model_name[model], r == 1 ? "sleep" : "dpor",
			      sets[r].count, sets[0].count, deadlock[r], deadlock[0]);
		print_mini(&mini);
		fail();
	}
	/* Each trace once: both run the same number to the end; under RA one of them takes more
	 * for the same. */
	if (model == EXPLORE_RA ? result[1].schedules < result[2].schedules
				: result[1].schedules != result[2].schedules) {
		print_message("seed %u, %s: %llu schedules by sleep sets, %llu by dpor\n", seed,
			      model_name[model], (unsigned long long)result[1].schedules,
			      (unsigned long long)result[2].schedules);
		print_mini(&mini);
		fail();
	}
	sums->compared++;
	sums->deadlocks += deadlock[0];
	sums->plain += result[0].schedules;
	sums->dpor += result[2].schedules;
	sums->pruned += result[2].pruned;
	for (unsigned r = 0; r < 3; r++)
		outcomes_free(&sets[r]);
}

static void reductions_keep_outcomes(void **state)
{
	/* Programs that once were counterexamples. */
	static const unsigned known[] = {6287, 16357};
	unsigned scale = getenv("KELP_TEST_SCALE") ? (unsigned)atoi(getenv("KELP_TEST_SCALE")) : 1;
	struct sums sums = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		compare_reductions(known[i], &sums);
	for (unsigned seed = 0; seed < 3000 * scale; seed++)
		compare_reductions(seed, &sums);
	print_message("%llu programs compared (%llu can deadlock), %llu too large; %llu schedules "
		      "in all, %llu reduced, %llu pruned\n", (unsigned long long)sums.compared,
		      (unsigned long long)sums.deadlocks, (unsigned long long)sums.skipped,
		      (unsigned long long)sums.plain, (unsigned long long)sums.dpor,
		      (unsigned long long)sums.pruned);
	assert_true(sums.skipped < sums.compared / 4);
}

/* ---- the models contain each other -------------------------------------------------------------- */

/* Outcomes of SC are outcomes of TSO; outcomes of TSO are outcomes of RA. */
static void models_are_nested(void **state)
{
	unsigned weaker = 0, weakest = 0, skipped = 0;

	(void)state;
	for (unsigned seed = 0; seed < 1000; seed++) {
		struct outcomes set[3] = {0};
		struct mini mini;
		bool deadlock, all = true;

		random_state = seed * 77u + 5u;
		mini = random_mini(7, false, false);
		for (unsigned m = 0; m < 3; m++) {
			struct explore_result result;

			all = all && all_outcomes(&mini, (enum explore_model)m, EXPLORE_DPOR,
						  &set[m], &deadlock, &result);
		}
		skipped += !all;
		if (all && (!outcomes_within(&set[0], &set[1]) || !outcomes_within(&set[1], &set[2]))) {
			print_message("seed %u: %zu, %zu, %zu outcomes are not nested\n", seed,
				      set[0].count, set[1].count, set[2].count);
			print_mini(&mini);
			fail();
		}
		weaker += set[1].count > set[0].count;
		weakest += set[2].count > set[1].count;
		for (unsigned m = 0; m < 3; m++)
			outcomes_free(&set[m]);
	}
	print_message("of 1000 programs %u have more outcomes under tso, %u more under ra; %u were "
		      "too large\n", weaker, weakest, skipped);
	assert_true(weaker > 15 && weakest > 25 && skipped < 20);
}

/* With a full fence between any two accesses nothing but SC is left, in any model. */
static void fences_restore_sc(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 500; seed++) {
		struct outcomes set[3] = {0};
		struct mini mini, fenced = {.name = "fenced"};
		bool deadlock;

		random_state = seed * 31u + 3u;
		mini = random_mini(6, false, false);
		for (unsigned t = 0; t < MINI_THREADS; t++) {
			unsigned to = 0;

			for (unsigned i = 0; mini.op[t][i].kind != MINI_END && to < MINI_OPS - 2; i++) {
				if (mini.op[t][i].kind == MINI_FENCE && to)
					continue;
				if (to)
					fenced.op[t][to++] =
						(struct mini_op){MINI_FENCE, EXPLORE_SEQ_CST, 0, 0, 0, 0};
				fenced.op[t][to++] = mini.op[t][i];
			}
		}
		for (unsigned m = 0; m < 3; m++) {
			struct explore_result result;

			all_outcomes(&fenced, (enum explore_model)m, EXPLORE_DPOR, &set[m], &deadlock,
				     &result);
		}
		if (!outcomes_equal(&set[0], &set[1]) || !outcomes_equal(&set[0], &set[2])) {
			print_message("seed %u: %zu, %zu, %zu outcomes\n", seed, set[0].count,
				      set[1].count, set[2].count);
			print_mini(&fenced);
			fail();
		}
		for (unsigned m = 0; m < 3; m++)
			outcomes_free(&set[m]);
	}
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(independent_operations),
		cmocka_unit_test(dependent_operations),
		cmocka_unit_test(counters),
		cmocka_unit_test(readers_and_writer),
		cmocka_unit_test(reductions_keep_outcomes),
		cmocka_unit_test(models_are_nested),
		cmocka_unit_test(fences_restore_sc),
	};

	return cmocka_run_group_tests_name("explore/reduction", all, NULL, NULL);
}
