/* SPDX-License-Identifier: MIT */
/*
 * The Nth failing hook of floor 2: every step, alone and over several subsections, with every
 * hook call failing in turn, once and for ever, until it succeeds. After an error all that can be
 * seen of the map, its memory, the direct map and the allocator is bit-identical; and the same
 * step without a failure then succeeds.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "exist.h"

#define SUB EXIST_SMALL_SUBSECTION
#define P(n) exist_pfn((n) * SUB)

/* Over the end of a section (16 subsections), so that more than one is reserved. */
#define FIRST 14u
#define COUNT 5u

static const struct kelp_memmap_range early[] = {
	{{3}, {200}, 1}, {{300}, {310}, 2}, {{0x40000}, {0x4004f}, 3},
};

static enum kelp_status do_early(struct exist *w, uint32_t flags)
{
	(void)flags;
	return kelp_memmap_add_early(&w->map, early, w->array ? 2 : 3);
}

static enum kelp_status do_add(struct exist *w, uint32_t flags)
{
	return kelp_hotplug_add(&w->plug, P(FIRST), COUNT * SUB, 3, flags);
}

static enum kelp_status do_attach(struct exist *w, uint32_t flags)
{
	return kelp_hotplug_attach(&w->plug, P(FIRST), COUNT * SUB, 3, flags);
}

static enum kelp_status do_online(struct exist *w, uint32_t flags)
{
	(void)flags;
	return kelp_hotplug_online(&w->plug, P(FIRST), COUNT * SUB);
}

static enum kelp_status do_offline(struct exist *w, uint32_t flags)
{
	(void)flags;
	return kelp_hotplug_offline(&w->plug, P(FIRST), COUNT * SUB, NULL);
}

static enum kelp_status do_remove(struct exist *w, uint32_t flags)
{
	(void)flags;
	return kelp_hotplug_remove(&w->plug, P(FIRST), COUNT * SUB);
}

static enum kelp_status do_detach(struct exist *w, uint32_t flags)
{
	(void)flags;
	return kelp_hotplug_detach(&w->plug, P(FIRST), COUNT * SUB, NULL);
}

/* Two ranges that host themselves: the allocator is asked for two runs. */
static enum kelp_status do_add_twice(struct exist *w, uint32_t flags)
{
	enum kelp_status status =
		kelp_hotplug_add(&w->plug, P(FIRST), 2 * SUB, 3, flags);

	return status != KELP_OK ? status
				 : kelp_hotplug_add(&w->plug, P(FIRST + 2), (COUNT - 2) * SUB, 3,
						    flags);
}

struct step {
	const char *name;
	/* Done before, with nothing failing. */
	enum kelp_status (*before[3])(struct exist *w, uint32_t flags);
	enum kelp_status (*act)(struct exist *w, uint32_t flags);
	uint32_t flags;
	unsigned least; /* hook calls that can fail: a test of the test */
};

static const struct step steps[] = {
	{"early", {NULL}, do_early, 0, 10},
	{"add", {NULL}, do_add, 0, 9},
	{"add, self-hosted", {NULL}, do_add, KELP_HOTPLUG_SELF_HOSTED, 4},
	{"attach", {NULL}, do_attach, 0, 9},
	{"attach, self-hosted", {NULL}, do_attach, KELP_HOTPLUG_SELF_HOSTED, 4},
	{"attach, not reachable", {NULL}, do_attach, KELP_HOTPLUG_NO_REACH, 8},
	{"online", {do_add}, do_online, 0, 0},
	{"offline", {do_add, do_online}, do_offline, 0, 2},
	{"offline, self-hosted", {do_add, do_online}, do_offline, KELP_HOTPLUG_SELF_HOSTED, 2},
	{"offline of two runs", {do_add_twice, do_online}, do_offline, KELP_HOTPLUG_SELF_HOSTED, 4},
	{"remove", {do_add}, do_remove, 0, 1},
	{"remove, self-hosted", {do_add}, do_remove, KELP_HOTPLUG_SELF_HOSTED, 1},
	{"remove, was online", {do_add, do_online, do_offline}, do_remove, 0, 1},
	{"detach", {do_attach}, do_detach, 0, 1},
	{"detach, self-hosted", {do_attach}, do_detach, KELP_HOTPLUG_SELF_HOSTED, 1},
};

static const enum kelp_status answers[EXIST_HOOKS] = {
	[EXIST_TAKE] = KELP_ERR_NO_MEMORY,	 [EXIST_BACK] = KELP_ERR_NO_MEMORY,
	[EXIST_REACH_ADD] = KELP_ERR_NO_MEMORY,  [EXIST_REACH_REMOVE] = KELP_ERR_UNSUPPORTED,
	[EXIST_ISOLATE] = KELP_ERR_BUSY,	 [EXIST_EVACUATE] = KELP_ERR_BUSY,
};

/* Returns whether the Nth call was reached. */
static bool nth(const struct step *step, bool with_array, unsigned n, bool for_ever)
{
	struct exist *w = exist_new(with_array, NULL);
	enum kelp_status status;
	uint64_t hash;
	unsigned live, failed;

	for (unsigned i = 0; i < 3 && step->before[i]; i++)
		assert_int_equal(step->before[i](w, step->flags), KELP_OK);
	hash = exist_hash(w);
	live = w->live;
	exist_fail(w, n, for_ever);
	status = step->act(w, step->flags);
	failed = w->failed;
	if (failed > 0) {
		/* For ever: the first answer, as nothing is tried twice. */
		assert_int_equal(failed, 1);
		assert_int_equal(status, answers[w->failed_hook]);
		assert_int_equal(w->live, live);
		assert_true(exist_hash(w) == hash);
		exist_check(w);
		exist_fail(w, 0, false);
		status = step->act(w, step->flags);
	}
	assert_int_equal(status, KELP_OK);
	exist_check(w);
	exist_free(w);
	return failed > 0;
}

static void every_hook(void **state)
{
	(void)state;
	for (unsigned s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
		for (unsigned array = 0; array < 2; array++)
			for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
				unsigned n = 1;

				while (nth(&steps[s], array, n, for_ever))
					n++;
				/* An array is backed at once. */
				if (!array && n - 1 < steps[s].least)
					fail_msg("%s: only %u hook calls", steps[s].name, n - 1);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_hook)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
