/* SPDX-License-Identifier: MIT */
/*
 * The explorer's release/acquire model against a second, independent statement of it: the axioms
 * of RC11 (Lahav et al., "Repairing Sequential Consistency in C/C++11", 2017, section 4), without
 * sequentially consistent accesses, with release sequences as C20 has them. For random programs
 * every execution graph is enumerated (who reads from whom, in which order stores to a location
 * come) and those that satisfy the axioms give the outcomes that are allowed. The explorer must
 * find exactly these.
 */
#include "support/mini.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define EVENTS 20

struct event {
	const struct mini_op *op; /* NULL: the initial store */
	unsigned thread, location;
	bool reads, writes; /* writes: of a swap, in this execution */
	unsigned from;      /* event it reads from */
	unsigned read_value, value;
	unsigned rank; /* in the modification order */
};

/* Relations: row a has bit b when a is related to b. */
typedef uint32_t relation[EVENTS];

struct graph {
	struct event event[EVENTS];
	unsigned count, locations;
	relation po;
	struct outcomes *outcomes;
};

static void close(relation r, unsigned count)
{
	for (unsigned k = 0; k < count; k++)
		for (unsigned i = 0; i < count; i++)
			if (r[i] >> k & 1u)
				r[i] |= r[k];
}

static void compose(relation result, const relation a, const relation b, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		result[i] = 0;
		for (unsigned k = 0; k < count; k++)
			if (a[i] >> k & 1u)
				result[i] |= b[k];
	}
}

static bool irreflexive(const relation r, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (r[i] >> i & 1u)
			return false;
	return true;
}

static bool at_least(const struct event *e, bool release)
{
	enum explore_order order;

	if (!e->op)
		return false;
	order = e->op->order;
	/* A swap that fails has the order of a load. */
	if (e->op->kind == MINI_SWAP && !e->writes)
		order = mini_failure_order(order);
	return order == EXPLORE_ACQ_REL || order == EXPLORE_SEQ_CST ||
	       order == (release ? EXPLORE_RELEASE : EXPLORE_ACQUIRE);
}

static bool is_fence(const struct event *e)
{
	return e->op && e->op->kind == MINI_FENCE;
}

/* Synchronises-with: release (fence before) store, release sequence, read, acquire (fence). */
static void synchronises(const struct graph *g, relation sw)
{
	memset(sw, 0, sizeof(relation));
	for (unsigned r = 0; r < g->count; r++) {
		const struct event *reader = &g->event[r];
		unsigned w;

		if (!reader->reads)
			continue;
		/* Back along the release sequence: what it reads from, and what that reads from. */
		for (w = reader->from;; w = g->event[w].from) {
			for (unsigned a = 0; a < g->count; a++) {
				bool releases = at_least(&g->event[a], true) &&
						(a == w || (is_fence(&g->event[a]) &&
							    (g->po[a] >> w & 1u)));

				for (unsigned b = 0; releases && b < g->count; b++)
					if (at_least(&g->event[b], false) &&
					    (b == r || (is_fence(&g->event[b]) &&
							(g->po[r] >> b & 1u))))
						sw[a] |= 1u << b;
			}
			if (!g->event[w].reads)
				break;
		}
	}
}

static bool consistent(const struct graph *g)
{
	unsigned n = g->count;
	relation sw, hb, rf = {0}, mo = {0}, rb = {0}, eco, both, step, psc;

	for (unsigned a = 0; a < n; a++)
		for (unsigned b = 0; b < n; b++) {
			const struct event *x = &g->event[a], *y = &g->event[b];

			if (x->location != y->location || a == b)
				continue;
			if (y->reads && y->from == a)
				rf[a] |= 1u << b;
			if (x->writes && y->writes && x->rank < y->rank)
				mo[a] |= 1u << b;
			if (x->reads && y->writes && g->event[x->from].rank < y->rank)
				rb[a] |= 1u << b;
		}
	synchronises(g, sw);
	for (unsigned i = 0; i < n; i++) {
		hb[i] = g->po[i] | sw[i];
		eco[i] = rf[i] | mo[i] | rb[i];
		both[i] = g->po[i] | rf[i];
	}
	close(hb, n);
	close(eco, n);
	close(both, n);
	/* No load buffering. */
	if (!irreflexive(both, n) || !irreflexive(hb, n) || !irreflexive(eco, n))
		return false;
	/* Coherence. */
	compose(step, hb, eco, n);
	if (!irreflexive(step, n))
		return false;
	/* Atomicity: nothing between what a read-modify-write reads and what it writes. */
	for (unsigned i = 0; i < n; i++)
		if (g->event[i].reads && g->event[i].writes &&
		    g->event[g->event[i].from].rank + 1 != g->event[i].rank)
			return false;
	/* SC fences: [F]; (hb or hb; eco; hb); [F] has no cycle. */
	compose(psc, step, hb, n);
	for (unsigned i = 0; i < n; i++) {
		psc[i] |= hb[i];
		if (!is_fence(&g->event[i]) || g->event[i].op->order != EXPLORE_SEQ_CST)
			psc[i] = 0;
		for (unsigned k = 0; k < n; k++)
			if (!is_fence(&g->event[k]) || g->event[k].op->order != EXPLORE_SEQ_CST)
				psc[i] &= ~(1u << k);
	}
	close(psc, n);
	return irreflexive(psc, n);
}

static void record(const struct graph *g)
{
	unsigned reg[MINI_REGISTERS] = {0}, last[MINI_LOCATIONS] = {0};
	uint32_t location[MINI_LOCATIONS] = {0};

	for (unsigned i = 0; i < g->count; i++) {
		const struct event *e = &g->event[i];

		if (e->reads)
			reg[e->op->reg] = e->read_value;
		if (e->writes && e->rank >= last[e->location]) {
			last[e->location] = e->rank;
			location[e->location] = e->value;
		}
	}
	outcomes_add(g->outcomes, outcome_pack(reg, location));
}

/* All modification orders of location l and those after it. */
static void order_stores(struct graph *g, unsigned l)
{
	unsigned store[EVENTS], place[EVENTS], count = 0;

	if (l == g->locations) {
		if (consistent(g))
			record(g);
		return;
	}
	for (unsigned i = g->locations; i < g->count; i++)
		if (g->event[i].writes && g->event[i].location == l)
			store[count++] = i;
	/* Counting in the factorial system gives every order once. */
	memset(place, 0, sizeof(place));
	for (;;) {
		unsigned order[EVENTS], used = 0, i;

		for (i = 0; i < count; i++) {
			memmove(order + place[i] + 1, order + place[i],
				(used - place[i]) * sizeof(order[0]));
			order[place[i]] = store[i];
			used++;
		}
		for (i = 0; i < count; i++)
			g->event[order[i]].rank = i + 1;
		order_stores(g, l + 1);
		for (i = 0; i < count && ++place[i] > i; i++)
			place[i] = 0;
		if (i == count)
			return;
	}
}

/* Values follow from who reads from whom, in any order that is not circular. */
static bool evaluate(struct graph *g)
{
	bool known[EVENTS] = {false}, changed = true;
	unsigned left = 0;

	for (unsigned i = 0; i < g->count; i++) {
		known[i] = !g->event[i].reads;
		left += g->event[i].reads;
	}
	while (changed && left) {
		changed = false;
		for (unsigned i = 0; i < g->count; i++) {
			struct event *e = &g->event[i];

			if (known[i] || !known[e->from])
				continue;
			e->read_value = g->event[e->from].value;
			e->writes = e->op->kind == MINI_ADD ||
				    (e->op->kind == MINI_SWAP && e->read_value == e->op->expected);
			e->value = e->op->kind == MINI_ADD ? e->read_value + e->op->value
							   : e->op->value;
			known[i] = changed = true;
			left--;
		}
	}
	if (left)
		return false;
	/* Nobody reads from a swap that wrote nothing. */
	for (unsigned i = 0; i < g->count; i++)
		if (g->event[i].reads && !g->event[g->event[i].from].writes)
			return false;
	return true;
}

static void choose_sources(struct graph *g, unsigned i)
{
	while (i < g->count && !g->event[i].reads)
		i++;
	if (i == g->count) {
		if (evaluate(g))
			order_stores(g, 0);
		return;
	}
	for (unsigned w = 0; w < g->count; w++) {
		const struct event *e = &g->event[w];
		bool could_write = !e->op || e->op->kind == MINI_STORE || e->op->kind == MINI_ADD ||
				   e->op->kind == MINI_SWAP;

		if (w == i || !could_write || e->location != g->event[i].location)
			continue;
		g->event[i].from = w;
		choose_sources(g, i + 1);
	}
}

static void all_graphs(const struct mini *mini, unsigned locations, struct outcomes *outcomes)
{
	struct graph g = {.count = locations, .locations = locations, .outcomes = outcomes};

	for (unsigned l = 0; l < locations; l++)
		g.event[l] = (struct event){.thread = MINI_THREADS, .location = l, .writes = true};
	for (unsigned t = 0; t < MINI_THREADS; t++) {
		unsigned first = g.count;

		for (const struct mini_op *op = mini->op[t]; op->kind != MINI_END; op++) {
			struct event *e = &g.event[g.count];
			bool fence = op->kind == MINI_FENCE;

			*e = (struct event){.op = op, .thread = t, .value = op->value,
					    .location = fence ? MINI_LOCATIONS + g.count
							      : op->location};
			e->writes = op->kind == MINI_STORE;
			e->reads = !fence && op->kind != MINI_STORE;
			for (unsigned i = first; i < g.count; i++)
				g.po[i] |= 1u << g.count;
			g.count++;
		}
	}
	for (unsigned l = 0; l < locations; l++)
		g.po[l] = ((1u << g.count) - 1u) & ~((1u << locations) - 1u);
	choose_sources(&g, 0);
}

/* ---- random programs ------------------------------------------------------------------------------ */

static uint64_t random_state;

static unsigned below(unsigned n)
{
	uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((z ^ (z >> 31)) % n);
}

static struct mini random_mini(unsigned locations)
{
	static const enum mini_kind kinds[] = {MINI_LOAD, MINI_LOAD, MINI_LOAD, MINI_STORE,
					       MINI_STORE, MINI_STORE, MINI_FENCE, MINI_FENCE,
					       MINI_ADD, MINI_SWAP};
	static const enum explore_order orders[][4] = {
		[MINI_LOAD] = {EXPLORE_RELAXED, EXPLORE_ACQUIRE, EXPLORE_ACQUIRE, EXPLORE_RELAXED},
		[MINI_STORE] = {EXPLORE_RELAXED, EXPLORE_RELEASE, EXPLORE_RELEASE, EXPLORE_RELAXED},
		[MINI_ADD] = {EXPLORE_RELAXED, EXPLORE_ACQ_REL, EXPLORE_ACQUIRE, EXPLORE_RELEASE},
		[MINI_SWAP] = {EXPLORE_RELAXED, EXPLORE_ACQ_REL, EXPLORE_ACQUIRE, EXPLORE_RELEASE},
		[MINI_FENCE] = {EXPLORE_SEQ_CST, EXPLORE_SEQ_CST, EXPLORE_ACQUIRE, EXPLORE_RELEASE},
	};
	struct mini mini = {.name = "random"};
	/* Who may read from whom multiplies: fewer operations when some read and write. */
	bool modifies = below(2);
	unsigned threads = 2 + below(3), total = (modifies ? 4 : 6) + below(3), reg = 0;
	unsigned used[MINI_THREADS] = {0};

	for (unsigned i = 0; i < total; i++) {
		unsigned t = i < threads ? i : below(threads);
		struct mini_op *op = &mini.op[t][used[t]];

		if (used[t] >= MINI_OPS - 1)
			continue;
		used[t]++;
		op->kind = kinds[below(modifies ? 10 : 8)];
		op->order = orders[op->kind][below(4)];
		op->location = below(locations);
		op->value = 1 + below(3);
		op->expected = below(2);
		if (op->kind != MINI_STORE && op->kind != MINI_FENCE)
			op->reg = reg++;
	}
	return mini;
}

static void explorer_finds_what_axioms_allow(void **state)
{
	unsigned scale = getenv("KELP_TEST_SCALE") ? (unsigned)atoi(getenv("KELP_TEST_SCALE")) : 1;
	uint64_t weak = 0, outcomes = 0, schedules = 0;
	unsigned programs = 3000 * scale;

	(void)state;
	for (unsigned seed = 0; seed < programs; seed++) {
		struct explore_options options = {.model = EXPLORE_RA}, sc = {.model = EXPLORE_SC};
		struct outcomes explored = {0}, allowed = {0}, strong = {0};
		struct explore_result result;
		unsigned locations;
		struct mini mini;

		random_state = seed * UINT64_C(0x51ed2701);
		locations = 1 + below(3);
		mini = random_mini(locations);
		assert_int_equal(mini_explore(&mini, &options, &explored, &result), EXPLORE_PASSED);
		assert_true(result.exhaustive);
		schedules += result.schedules;
		assert_int_equal(mini_explore(&mini, &sc, &strong, &result), EXPLORE_PASSED);
		all_graphs(&mini, locations, &allowed);
		if (!outcomes_equal(&explored, &allowed)) {
			print_message("seed %u: %zu outcomes explored, %zu allowed\n", seed,
				      explored.count, allowed.count);
			for (unsigned t = 0; t < MINI_THREADS; t++)
				for (const struct mini_op *op = mini.op[t]; op->kind; op++)
					print_message("   T%u: kind %d order %d location %u value %u "
						      "expected %u reg %u\n", t, (int)op->kind,
						      (int)op->order, op->location, op->value,
						      op->expected, op->reg);
			fail();
		}
		weak += explored.count > strong.count;
		outcomes += explored.count;
		outcomes_free(&explored);
		outcomes_free(&allowed);
		outcomes_free(&strong);
	}
	print_message("%u programs, %llu outcomes, %llu schedules; %llu programs have more outcomes "
		      "than under sc\n", programs, (unsigned long long)outcomes,
		      (unsigned long long)schedules, (unsigned long long)weak);
	assert_true(weak > programs / 100);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(explorer_finds_what_axioms_allow),
	};

	return cmocka_run_group_tests_name("explore/axioms", all, NULL, NULL);
}
