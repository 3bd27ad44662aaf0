/* SPDX-License-Identifier: MIT */
/*
 * Small protocols that are not Kelp's, right and wrong: good_* must pass in every schedule,
 * bad_* must be found. Locks, publication, lock-free lists, and page-table code with the
 * classical mistakes.
 */
#include "sim/explore.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SC  (1u << EXPLORE_SC)
#define TSO (1u << EXPLORE_TSO)
#define RA  (1u << EXPLORE_RA)
#define ALL (SC | TSO | RA)

#define LOAD(x, order)     explore_load(&(x), sizeof(x), EXPLORE_##order)
#define STORE(x, v, order) explore_store(&(x), sizeof(x), (v), EXPLORE_##order)
#define SEEN(x)            explore_plain_load(&(x), sizeof(x))
#define PUT(x, v)          explore_plain_store(&(x), sizeof(x), (v))

static struct {
	uint32_t flag[2], turn, lock, ready, sequence;
	uint64_t data, more;
	uint64_t head, freed;
	struct {
		uint64_t next, value;
	} node[4];
	uint64_t root[2];
	_Alignas(64) uint64_t table[3][2];
	uint32_t taken;
	unsigned popped[3];
} s;

static void setup(void *context)
{
	(void)context;
	memset(&s, 0, sizeof(s));
	explore_region(s.flag, sizeof(s.flag), 4, "flag");
	explore_region(&s.turn, 4, 4, "turn");
	explore_region(&s.lock, 4, 4, "lock");
	explore_region(&s.ready, 4, 4, "ready");
	explore_region(&s.sequence, 4, 4, "sequence");
	explore_region(&s.data, 8, 8, "data");
	explore_region(&s.more, 8, 8, "more");
	explore_region(&s.head, 8, 8, "head");
	explore_region(s.node, sizeof(s.node), 8, "node");
	explore_region(s.root, sizeof(s.root), 8, "root");
	for (unsigned i = 0; i < 3; i++)
		explore_region_free(s.table[i], sizeof(s.table[i]), 8,
				    i == 0 ? "table0" : i == 1 ? "table1" : "table2");
	explore_region(&s.taken, 4, 4, "taken");
}

/* What a lock protects: a plain counter. */
static void critical(void)
{
	PUT(s.data, SEEN(s.data) + 1);
}

static void finish_counted(void *context)
{
	(void)context;
	explore_check(s.data == 2, "the counter is %llu instead of 2", (unsigned long long)s.data);
}

/* ---- Peterson's lock: the flag must be seen before the other's flag is read -------------------------- */

enum turn { BY_STORE, BY_STORE_AND_FENCE, BY_EXCHANGE };

static void peterson(unsigned me, enum turn how)
{
	unsigned other = 1u - me;

	STORE(s.flag[me], 1, RELEASE);
	if (how == BY_EXCHANGE)
		explore_exchange(&s.turn, 4, other, EXPLORE_ACQ_REL);
	else
		STORE(s.turn, other, RELEASE);
	if (how == BY_STORE_AND_FENCE)
		explore_fence(EXPLORE_SEQ_CST);
	/* One look instead of a loop: who does not get in gives up. */
	if (LOAD(s.flag[other], ACQUIRE) == 0 || LOAD(s.turn, ACQUIRE) == me)
		critical();
	STORE(s.flag[me], 0, RELEASE);
}

static void peterson0(void *context) { (void)context; peterson(0, BY_EXCHANGE); }
static void peterson1(void *context) { (void)context; peterson(1, BY_EXCHANGE); }
static void peterson0_fenced(void *context) { (void)context; peterson(0, BY_STORE_AND_FENCE); }
static void peterson1_fenced(void *context) { (void)context; peterson(1, BY_STORE_AND_FENCE); }
static void peterson0_unfenced(void *context) { (void)context; peterson(0, BY_STORE); }
static void peterson1_unfenced(void *context) { (void)context; peterson(1, BY_STORE); }

/* ---- a spinning lock ------------------------------------------------------------------------------------ */

static void spin_lock(void *context)
{
	(void)context;
	explore_await_swap(&s.lock, 4, 0, 1, EXPLORE_ACQUIRE);
	critical();
	STORE(s.lock, 0, RELEASE);
}

static void spin_lock_relaxed_unlock(void *context)
{
	(void)context;
	explore_await_swap(&s.lock, 4, 0, 1, EXPLORE_ACQUIRE);
	critical();
	STORE(s.lock, 0, RELAXED);
}

/* Looks, then takes. */
static void spin_lock_not_atomic(void *context)
{
	(void)context;
	explore_await(&s.lock, 4, UINT64_MAX, 0, EXPLORE_ACQUIRE);
	STORE(s.lock, 1, RELAXED);
	critical();
	STORE(s.lock, 0, RELEASE);
}

/* ---- publication ------------------------------------------------------------------------------------------ */

static void publish(void *context)
{
	(void)context;
	PUT(s.data, 42);
	STORE(s.ready, 1, RELEASE);
}

static void publish_relaxed(void *context)
{
	(void)context;
	PUT(s.data, 42);
	STORE(s.ready, 1, RELAXED);
}

static void publish_early(void *context)
{
	(void)context;
	STORE(s.ready, 1, RELEASE);
	PUT(s.data, 42);
}

static void consume(void *context)
{
	(void)context;
	if (LOAD(s.ready, ACQUIRE))
		explore_check(SEEN(s.data) == 42, "the data is not there");
}

static void consume_relaxed(void *context)
{
	(void)context;
	if (LOAD(s.ready, RELAXED))
		explore_check(SEEN(s.data) == 42, "the data is not there");
}

/* ---- a sequence count ---------------------------------------------------------------------------------------- */

static void sequence_write(void *context)
{
	(void)context;
	STORE(s.sequence, 1, RELAXED);
	explore_fence(EXPLORE_RELEASE);
	STORE(s.data, 7, RELAXED);
	STORE(s.more, 7, RELAXED);
	STORE(s.sequence, 2, RELEASE);
}

/* Without the fence the data may be seen before the odd count. */
static void sequence_write_unfenced(void *context)
{
	(void)context;
	STORE(s.sequence, 1, RELAXED);
	STORE(s.data, 7, RELAXED);
	STORE(s.more, 7, RELAXED);
	STORE(s.sequence, 2, RELEASE);
}

static void sequence_read(void *context)
{
	uint64_t before = LOAD(s.sequence, ACQUIRE), data, more;

	(void)context;
	data = LOAD(s.data, RELAXED);
	more = LOAD(s.more, RELAXED);
	explore_fence(EXPLORE_ACQUIRE);
	if ((before & 1) == 0 && LOAD(s.sequence, RELAXED) == before)
		explore_check(data == more, "half of an update is seen");
}

/* ---- Treiber's stack: pop with a node that comes back (ABA) ------------------------------------------------------ */

/* head: node number + 1, and in the upper half a version that the good one counts. */
static void setup_stack(void *context)
{
	setup(context);
	s.node[0].next = 2;
	s.node[1].next = 3;
	s.head = 1;
}

static unsigned pop(bool versioned)
{
	uint64_t head = LOAD(s.head, ACQUIRE), next;

	do {
		if ((uint32_t)head == 0)
			return 0;
		next = LOAD(s.node[(uint32_t)head - 1].next, RELAXED);
		if (versioned)
			next |= ((head >> 32) + 1) << 32;
	} while (!explore_swap(&s.head, 8, &head, next, EXPLORE_ACQ_REL, EXPLORE_ACQUIRE));
	return (uint32_t)head;
}

static void push(unsigned node, bool versioned)
{
	uint64_t head = LOAD(s.head, ACQUIRE), next;

	do {
		STORE(s.node[node - 1].next, (uint32_t)head, RELAXED);
		next = node | (versioned ? ((head >> 32) + 1) << 32 : 0);
	} while (!explore_swap(&s.head, 8, &head, next, EXPLORE_ACQ_REL, EXPLORE_ACQUIRE));
}

static void pop_once(void *context) { (void)context; s.popped[0] = pop(false); }
static void pop_once_versioned(void *context) { (void)context; s.popped[0] = pop(true); }

static void pop_pop_push(bool versioned)
{
	unsigned first = pop(versioned);

	s.popped[1] = pop(versioned);
	if (first)
		push(first, versioned);
}

static void pop_pop_push_plain(void *context) { (void)context; pop_pop_push(false); }
static void pop_pop_push_versioned(void *context) { (void)context; pop_pop_push(true); }

/* Whoever popped a node owns it: it is in no other hand and not in the list. */
static void finish_stack(void *context)
{
	unsigned owners[4] = {0};

	(void)context;
	for (uint64_t n = (uint32_t)s.head; n; n = s.node[n - 1].next) {
		explore_check(++owners[n] < 2, "the list has a loop");
	}
	for (unsigned i = 0; i < 2; i++)
		if (s.popped[i])
			owners[s.popped[i]]++;
	for (unsigned n = 1; n < 4; n++)
		explore_check(owners[n] == 1, "node %u has %u owners", n, owners[n]);
}

/* ---- page-table code with the classical mistakes ------------------------------------------------------------------- */

#define PRESENT UINT64_C(1)

static unsigned take_table(void)
{
	unsigned i = explore_self();

	explore_claim(s.table[i]);
	explore_plain_fill(s.table[i], 8, 2, 0, 0);
	return i;
}

static uint64_t *table_of(uint64_t entry)
{
	return s.table[entry >> 4];
}

/* Maps entry `slot` of the table under root[0], with one of its own if none is there. */
static void map_entry(unsigned slot, bool plain_install, bool link_first)
{
	uint64_t entry = LOAD(s.root[0], ACQUIRE);

	if (!(entry & PRESENT)) {
		unsigned table = take_table();
		uint64_t link = (uint64_t)table << 4 | PRESENT;

		if (!link_first)
			explore_plain_fill(&s.table[table][slot], 8, 1, 0x100 + slot, 0);
		if (plain_install) {
			STORE(s.root[0], link, RELEASE);
			entry = link;
		} else if (explore_swap(&s.root[0], 8, &entry, link, EXPLORE_ACQ_REL,
					EXPLORE_ACQUIRE)) {
			entry = link;
		} else {
			explore_retire(s.table[table]);
		}
		if (link_first && entry == link)
			explore_plain_fill(&s.table[table][slot], 8, 1, 0x100 + slot, 0);
		if (entry == link)
			return;
	}
	STORE(table_of(entry)[slot], 0x100 + slot, RELEASE);
}

static void map_entry0(void *context) { (void)context; map_entry(0, false, false); }
static void map_entry1(void *context) { (void)context; map_entry(1, false, false); }
static void map_entry0_plain(void *context) { (void)context; map_entry(0, true, false); }
static void map_entry1_plain(void *context) { (void)context; map_entry(1, true, false); }
static void map_entry0_linked(void *context) { (void)context; map_entry(0, false, true); }

static void walk_entry0(void *context)
{
	uint64_t entry = LOAD(s.root[0], ACQUIRE);

	(void)context;
	if (entry & PRESENT) {
		entry = LOAD(table_of(entry)[0], ACQUIRE);
		explore_check(entry == 0x100 || entry == 0, "the walk reads %#llx",
			      (unsigned long long)entry);
	}
}

static void finish_mapped(void *context)
{
	(void)context;
	explore_check(s.root[0] & PRESENT, "there is no table");
	for (unsigned i = 0; i < 2; i++)
		explore_check(table_of(s.root[0])[i] == 0x100 + i, "entry %u is lost", i);
}

/* ---- the table of programs ------------------------------------------------------------------------------------------ */

struct protocol {
	const char *name;
	void (*setup)(void *context);
	void (*thread[3])(void *context);
	void (*finish)(void *context);
	unsigned passes; /* models in which no schedule fails; in the others one does */
	const char *why;
};

static const struct protocol protocols[] = {
	{"good_peterson", setup, {peterson0, peterson1}, NULL, ALL, NULL},
	/* Enough for x86; under C11 the two stores to `turn` synchronise nobody. */
	{"good_peterson_fenced", setup, {peterson0_fenced, peterson1_fenced}, NULL, SC | TSO,
	 "data race on data"},
	{"bad_peterson_unfenced", setup, {peterson0_unfenced, peterson1_unfenced}, NULL, SC,
	 "data race on data"},
	{"good_spin_lock", setup, {spin_lock, spin_lock}, finish_counted, ALL, NULL},
	/* On x86 every store releases; C11 calls it a race nevertheless. */
	{"bad_spin_lock_relaxed_unlock", setup, {spin_lock_relaxed_unlock, spin_lock_relaxed_unlock},
	 finish_counted, 0, "data race on data"},
	{"bad_spin_lock_not_atomic", setup, {spin_lock_not_atomic, spin_lock_not_atomic}, NULL, 0,
	 "data race on data"},
	{"good_publish", setup, {publish, consume}, NULL, ALL, NULL},
	{"bad_publish_relaxed", setup, {publish_relaxed, consume}, NULL, 0, "data race on data"},
	{"bad_publish_early", setup, {publish_early, consume}, NULL, 0, "data race on data"},
	{"bad_consume_relaxed", setup, {publish, consume_relaxed}, NULL, 0, "data race on data"},
	{"good_sequence_count", setup, {sequence_write, sequence_read}, NULL, ALL, NULL},
	{"bad_sequence_count_unfenced", setup, {sequence_write_unfenced, sequence_read}, NULL,
	 SC | TSO, "half of an update"},
	{"good_stack_versioned", setup_stack, {pop_once_versioned, pop_pop_push_versioned},
	 finish_stack, ALL, NULL},
	{"bad_stack_aba", setup_stack, {pop_once, pop_pop_push_plain}, finish_stack, 0, "owners"},
	{"good_install_table", setup, {map_entry0, map_entry1}, finish_mapped, ALL, NULL},
	{"good_install_table_walker", setup, {map_entry0, map_entry1, walk_entry0}, finish_mapped,
	 ALL, NULL},
	{"bad_install_by_store", setup, {map_entry0_plain, map_entry1_plain}, finish_mapped, 0, "lost"},
	{"bad_link_before_fill", setup, {map_entry0_linked, walk_entry0}, NULL, 0, "data race"},
};

static unsigned check(const struct protocol *p, enum explore_model model)
{
	struct explore_program program = {.name = p->name, .setup = p->setup, .finish = p->finish};
	struct explore_options options = {.model = model,
					  .output = getenv("EXPLORE_VERBOSE") ? stdout : NULL};
	bool passes = p->passes & (1u << model);
	struct explore_result result;

	for (; program.threads < 3 && p->thread[program.threads]; program.threads++)
		program.thread[program.threads] = p->thread[program.threads];
	explore_run(&options, &program, &result);
	explore_report(stdout, &program, &options, &result);
	if (passes && result.verdict == EXPLORE_PASSED && result.exhaustive)
		return 0;
	if (!passes && result.verdict == EXPLORE_FAILED && strstr(result.message, p->why))
		return 0;
	printf("   WRONG: it must %s%s\n", passes ? "pass" : "fail with ", passes ? "" : p->why);
	return 1;
}

static void run_protocols(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		for (unsigned model = 0; model < 3; model++)
			wrong += check(&protocols[i], (enum explore_model)model);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(run_protocols),
	};

	return cmocka_run_group_tests_name("explore/protocols", all, NULL, NULL);
}
