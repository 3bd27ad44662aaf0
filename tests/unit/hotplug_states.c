/* SPDX-License-Identifier: MIT */
/*
 * Memory that comes and goes, step by step: what each step starts from and what it answers
 * otherwise, RAM and device memory side by side (INV-2.2), and where descriptors lie (INV-2.3).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "exist.h"

#define SUB EXIST_SMALL_SUBSECTION
#define P(n) exist_pfn((n) * SUB)

#define assert_status(call, expected) assert_int_equal((call), (expected))

static const bool ways[] = {false, true};

#define for_each_way(w)                                                                            \
	for (unsigned way = 0; way < 2; way++)                                                     \
		for (struct exist *w = exist_new(ways[way], NULL); w; exist_free(w), w = NULL)

static void ram_comes_and_goes(void **state)
{
	(void)state;
	for_each_way(w) {
		struct kelp_hotplug *plug = &w->plug;

		assert_status(kelp_hotplug_online(plug, P(3), SUB), KELP_ERR_NO_FRAME);
		assert_status(kelp_hotplug_add(plug, P(3), 2 * SUB, 7, 0), KELP_OK);
		assert_true(kelp_pfn_valid(&w->map, P(3)));
		assert_false(kelp_pfn_active(&w->map, P(3)));
		exist_check(w);
		assert_status(kelp_hotplug_add(plug, P(4), SUB, 7, 0), KELP_ERR_EXISTS);
		assert_status(kelp_hotplug_offline(plug, P(3), SUB, NULL), KELP_ERR_NO_FRAME);
		assert_status(kelp_hotplug_online(plug, P(3), 3 * SUB), KELP_ERR_NO_FRAME);
		assert_status(kelp_hotplug_online(plug, P(3), 2 * SUB), KELP_OK);
		assert_status(kelp_hotplug_online(plug, P(3), SUB), KELP_ERR_EXISTS);
		assert_true(kelp_pfn_online(&w->map, P(3)));
		assert_int_equal(w->owner[3 * SUB], EXIST_FREE);
		exist_check(w);
		assert_status(kelp_hotplug_remove(plug, P(3), 2 * SUB), KELP_ERR_BUSY);
		assert_status(kelp_hotplug_offline(plug, P(3), SUB, NULL), KELP_OK);
		assert_int_equal(w->owner[3 * SUB], EXIST_NOBODY);
		exist_check(w);
		assert_status(kelp_hotplug_remove(plug, P(3), 2 * SUB), KELP_ERR_BUSY);
		assert_status(kelp_hotplug_remove(plug, P(3), SUB), KELP_OK);
		assert_status(kelp_hotplug_remove(plug, P(3), SUB), KELP_ERR_NO_FRAME);
		assert_false(kelp_pfn_valid(&w->map, P(3)));
		assert_true(kelp_pfn_online(&w->map, P(4)));
		exist_check(w);
		/* Offline and back, without having been removed. */
		assert_status(kelp_hotplug_offline(plug, P(4), SUB, NULL), KELP_OK);
		assert_status(kelp_hotplug_online(plug, P(4), SUB), KELP_OK);
		exist_check(w);
		assert_status(kelp_hotplug_offline(plug, P(4), SUB, NULL), KELP_OK);
		assert_status(kelp_hotplug_remove(plug, P(4), SUB), KELP_OK);
		exist_check(w);
		for (unsigned i = 0; i < EXIST_FRAMES; i++)
			assert_int_equal(w->reached[i], 0);
	}
}

static void device_comes_and_goes(void **state)
{
	(void)state;
	for_each_way(w) {
		struct kelp_hotplug *plug = &w->plug;

		assert_status(kelp_hotplug_attach(plug, P(1), 2 * SUB, 9, 0), KELP_OK);
		assert_true(kelp_pfn_device(&w->map, P(1)));
		assert_false(kelp_pfn_online(&w->map, P(1)));
		assert_int_equal(w->owner[SUB], EXIST_NOBODY);
		exist_check(w);
		/* None of RAM's steps is for it. */
		assert_status(kelp_hotplug_online(plug, P(1), SUB), KELP_ERR_NO_FRAME);
		assert_status(kelp_hotplug_offline(plug, P(1), SUB, NULL), KELP_ERR_NO_FRAME);
		assert_status(kelp_hotplug_remove(plug, P(1), SUB), KELP_ERR_NO_FRAME);
		/* And none of device memory's for RAM. */
		assert_status(kelp_hotplug_add(plug, P(3), SUB, 9, 0), KELP_OK);
		assert_status(kelp_hotplug_detach(plug, P(3), SUB, NULL), KELP_ERR_NO_FRAME);
		assert_status(kelp_hotplug_online(plug, P(3), SUB), KELP_OK);
		assert_status(kelp_hotplug_detach(plug, P(2), 2 * SUB, NULL), KELP_ERR_NO_FRAME);
		assert_status(kelp_hotplug_detach(plug, P(1), SUB, NULL), KELP_OK);
		assert_false(kelp_pfn_valid(&w->map, P(1)));
		exist_check(w);
		assert_status(kelp_hotplug_detach(plug, P(2), SUB, NULL), KELP_OK);
		/* Memory that the CPU does not touch. */
		assert_status(kelp_hotplug_attach(plug, P(1), SUB, 9, KELP_HOTPLUG_NO_REACH),
			      KELP_OK);
		assert_int_equal(w->reached[SUB], 0);
		assert_status(kelp_hotplug_attach(plug, P(2), SUB, 9, 0), KELP_OK);
		assert_status(kelp_hotplug_detach(plug, P(1), 2 * SUB, NULL), KELP_ERR_ARGUMENT);
		assert_status(kelp_hotplug_detach(plug, P(1), SUB, NULL), KELP_OK);
		assert_status(kelp_hotplug_detach(plug, P(2), SUB, NULL), KELP_OK);
		exist_check(w);
	}
}

static void bad_arguments(void **state)
{
	struct exist *w = exist_new(false, NULL);
	struct kelp_hotplug *plug = &w->plug;
	const uint64_t all = UINT64_C(1) << 20; /* 2^32 bytes */

	(void)state;
	assert_status(kelp_hotplug_add(plug, P(1), 0, 0, 0), KELP_ERR_ARGUMENT);
	assert_status(kelp_hotplug_add(plug, exist_pfn(1), SUB, 0, 0), KELP_ERR_ALIGNMENT);
	assert_status(kelp_hotplug_add(plug, P(1), SUB - 1, 0, 0), KELP_ERR_ALIGNMENT);
	assert_status(kelp_hotplug_add(plug, exist_pfn(all), SUB, 0, 0), KELP_ERR_ADDRESS);
	assert_status(kelp_hotplug_add(plug, exist_pfn(all - SUB), 2 * SUB, 0, 0),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_hotplug_add(plug, exist_pfn(SUB), UINT64_MAX - SUB + 1, 0, 0),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_hotplug_add(plug, P(1), SUB, 0, KELP_HOTPLUG_NO_REACH),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_hotplug_attach(plug, P(1), SUB, 0, 4), KELP_ERR_ARGUMENT);
	assert_status(kelp_hotplug_add(plug, exist_pfn(all - SUB), SUB, 0, 0), KELP_OK);
	assert_true(kelp_pfn_valid(&w->map, exist_pfn(all - 1)));
	assert_false(kelp_pfn_valid(&w->map, exist_pfn(all)));
	assert_false(kelp_pfn_valid(&w->map, exist_pfn(UINT64_MAX)));
	exist_check(w);
	exist_free(w);
}

/* What is not online holds no sane descriptor, and is initialised again when it comes back. */
static void poisoned(void **state)
{
	(void)state;
	for_each_way(w) {
		struct exist_page *page;
		struct kelp_hold hold;

		assert_status(kelp_hotplug_add(&w->plug, P(2), SUB, 7, 0), KELP_OK);
		page = kelp_pfn_to_page(&w->map, P(2));
		for (unsigned i = 0; i < SUB; i++)
			assert_int_equal(page[i].sane, 0xa5a5a5a5);
		assert_status(kelp_hotplug_online(&w->plug, P(2), SUB), KELP_OK);
		for (unsigned i = 0; i < SUB; i++)
			page[i].users = 5;
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, NULL), KELP_OK);
		for (unsigned i = 0; i < SUB; i++)
			assert_int_equal(page[i].sane, 0xa5a5a5a5);
		assert_status(kelp_hotplug_online(&w->plug, P(2), SUB), KELP_OK);
		assert_status(kelp_page_hold_any(&w->map, 0, P(2), &hold), KELP_OK);
		assert_int_equal(page->users, 0);
		kelp_page_release(&w->map, 0, &hold);
		exist_check(w);
	}
}

/* ---- self-hosted ------------------------------------------------------------------------------- */

/* 24 bytes per frame of 4096: one frame hosts 170 descriptors, ten subsections and more. */
static void hosted(void **state)
{
	(void)state;
	for_each_way(w) {
		struct kelp_hotplug *plug = &w->plug;
		unsigned live;

		/* The section is the only memory it takes. */
		assert_status(kelp_hotplug_add(plug, P(40), SUB, 0, 0), KELP_OK);
		live = w->live;
		assert_status(kelp_hotplug_add(plug, P(32), 4 * SUB, 1, KELP_HOTPLUG_SELF_HOSTED),
			      KELP_OK);
		assert_int_equal(w->live, live);
		assert_true(kelp_pfn_hosts(&w->map, P(32)));
		assert_false(kelp_pfn_hosts(&w->map, exist_pfn(32 * SUB + 1)));
		assert_false(kelp_pfn_hosts(&w->map, P(33)));
		assert_status(kelp_hotplug_online(plug, P(32), 4 * SUB), KELP_OK);
		/* INV-2.3: the host is online like the others, and not the allocator's. */
		assert_true(kelp_pfn_online(&w->map, P(32)));
		assert_int_equal(w->owner[32 * SUB], EXIST_NOBODY);
		assert_int_equal(w->owner[32 * SUB + 1], EXIST_FREE);
		exist_check(w);
		assert_status(kelp_hotplug_offline(plug, P(32), 2 * SUB, NULL), KELP_OK);
		exist_check(w);
		/* The host stays while others live on it. */
		assert_status(kelp_hotplug_remove(plug, P(32), SUB), KELP_ERR_BUSY);
		assert_status(kelp_hotplug_remove(plug, P(32), 2 * SUB), KELP_ERR_BUSY);
		assert_status(kelp_hotplug_remove(plug, P(33), SUB), KELP_OK);
		exist_check(w);
		assert_status(kelp_hotplug_remove(plug, P(32), SUB), KELP_ERR_BUSY);
		/* What is gone may come back on its own, between the others. */
		assert_status(kelp_hotplug_attach(plug, P(33), SUB, 2, KELP_HOTPLUG_SELF_HOSTED),
			      KELP_OK);
		assert_true(kelp_pfn_hosts(&w->map, P(33)));
		exist_check(w);
		assert_status(kelp_hotplug_offline(plug, P(34), 2 * SUB, NULL), KELP_OK);
		assert_status(kelp_hotplug_detach(plug, P(33), SUB, NULL), KELP_OK);
		assert_status(kelp_hotplug_remove(plug, P(34), 2 * SUB), KELP_OK);
		assert_status(kelp_hotplug_remove(plug, P(32), SUB), KELP_OK);
		exist_check(w);
		assert_status(kelp_hotplug_remove(plug, P(40), SUB), KELP_OK);
		exist_check(w);
	}
}

/* Descriptors that fill more than a subsection, and those that would fill the range. */
static void large_descriptors(struct kelp_memmap_config *config)
{
	config->descriptor_size = 2048;
	config->initialise = NULL;
}

static void hosts_of_many(void **state)
{
	struct exist *w = exist_new(false, large_descriptors);
	struct kelp_hotplug *plug = &w->plug;

	(void)state;
	/* Half of the range hosts the other half: subsections 0 to 3 of 8. */
	assert_status(kelp_hotplug_add(plug, P(0), 8 * SUB, 0, KELP_HOTPLUG_SELF_HOSTED), KELP_OK);
	assert_status(kelp_hotplug_online(plug, P(0), 8 * SUB), KELP_OK);
	assert_true(kelp_pfn_hosts(&w->map, exist_pfn(4 * SUB - 1)));
	assert_false(kelp_pfn_hosts(&w->map, P(4)));
	assert_int_equal(w->owner[4 * SUB - 1], EXIST_NOBODY);
	assert_int_equal(w->owner[4 * SUB], EXIST_FREE);
	assert_status(kelp_hotplug_offline(plug, P(0), 8 * SUB, NULL), KELP_OK);
	assert_status(kelp_hotplug_remove(plug, P(2), 2 * SUB), KELP_ERR_BUSY);
	assert_status(kelp_hotplug_remove(plug, P(1), 7 * SUB), KELP_ERR_BUSY);
	assert_status(kelp_hotplug_remove(plug, P(7), SUB), KELP_OK);
	assert_status(kelp_hotplug_remove(plug, P(0), 7 * SUB), KELP_OK);
	exist_free(w);
}

static void too_large_descriptors(struct kelp_memmap_config *config)
{
	config->descriptor_size = 4096;
	config->initialise = NULL;
}

static void no_room_to_host(void **state)
{
	struct exist *w = exist_new(false, too_large_descriptors);
	uint64_t before = exist_hash(w);

	(void)state;
	assert_status(kelp_hotplug_add(&w->plug, P(0), 8 * SUB, 0, KELP_HOTPLUG_SELF_HOSTED),
		      KELP_ERR_ARGUMENT);
	assert_true(exist_hash(w) == before);
	w->plug.hooks.pointer = NULL;
	exist_free(w);
	w = exist_new(false, NULL);
	w->plug.hooks.pointer = NULL;
	assert_status(kelp_hotplug_add(&w->plug, P(0), SUB, 0, KELP_HOTPLUG_SELF_HOSTED),
		      KELP_ERR_ARGUMENT);
	exist_free(w);
}

/* ---- INV-2.2: neighbours --------------------------------------------------------------------------- */

enum kind { ABSENT, OFFLINE, ONLINE, DEVICE };

/* What a subsection is by the map, whatever frame of it is asked. */
static enum kind kind_of(struct exist *w, uint64_t s)
{
	enum kind kind = ABSENT;

	for (uint64_t i = s * SUB; i < (s + 1) * SUB; i++) {
		kelp_pfn_t pfn = exist_pfn(i);
		enum kind now = !kelp_pfn_valid(&w->map, pfn)  ? ABSENT
				: kelp_pfn_device(&w->map, pfn) ? DEVICE
				: kelp_pfn_online(&w->map, pfn) ? ONLINE
								: OFFLINE;

		if (i > s * SUB)
			assert_int_equal(kind, now);
		kind = now;
	}
	return kind;
}

static uint32_t random_next(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

/* One legal step of subsection s; flags at random. */
static enum kind step(struct exist *w, uint64_t s, enum kind kind, uint32_t choice)
{
	struct kelp_hotplug *plug = &w->plug;
	uint32_t flags = choice & 8 ? KELP_HOTPLUG_SELF_HOSTED : 0;

	switch (kind) {
	case ABSENT:
		if (choice & 1) {
			assert_status(kelp_hotplug_add(plug, P(s), SUB, (kelp_zone_t)s, flags),
				      KELP_OK);
			return OFFLINE;
		}
		assert_status(kelp_hotplug_attach(plug, P(s), SUB, (kelp_zone_t)s, flags), KELP_OK);
		return DEVICE;
	case OFFLINE:
		if (choice & 1) {
			assert_status(kelp_hotplug_online(plug, P(s), SUB), KELP_OK);
			return ONLINE;
		}
		assert_status(kelp_hotplug_remove(plug, P(s), SUB), KELP_OK);
		return ABSENT;
	case ONLINE:
		assert_status(kelp_hotplug_offline(plug, P(s), SUB, NULL), KELP_OK);
		return OFFLINE;
	case DEVICE:
		assert_status(kelp_hotplug_detach(plug, P(s), SUB, NULL), KELP_OK);
		return ABSENT;
	}
	return ABSENT;
}

/*
 * RAM and device memory in one section and the next, in any order, many times over: whatever is
 * done to one subsection, every other one answers as before, and nothing sticks.
 */
static void neighbours(void **state)
{
	enum { SUBSECTIONS = 20 }; /* a section of 16, and a part of the next */
	const char *scale = getenv("KELP_TEST_SCALE");
	unsigned rounds = 2000 * (scale ? (unsigned)atoi(scale) : 1u);

	(void)state;
	for_each_way(w) {
		enum kind kind[SUBSECTIONS] = {ABSENT};
		uint64_t seed = 42;

		for (unsigned round = 0; round < rounds; round++) {
			uint64_t s = random_next(&seed) % SUBSECTIONS;

			kind[s] = step(w, s, kind[s], random_next(&seed));
			for (uint64_t other = 0; other < SUBSECTIONS; other++) {
				kelp_zone_t zone;

				assert_int_equal(kind_of(w, other), kind[other]);
				if (kind[other] == ABSENT)
					continue;
				assert_status(kelp_pfn_zone(&w->map, P(other), &zone), KELP_OK);
				assert_int_equal(zone, other);
			}
			if (round % 256 == 0)
				exist_check(w);
		}
		/* The way back from wherever it stands leaves what was there at the start. */
		for (uint64_t s = 0; s < SUBSECTIONS; s++)
			while (kind[s] != ABSENT)
				kind[s] = step(w, s, kind[s], 0);
		exist_check(w);
		for (unsigned i = 0; i < EXIST_FRAMES; i++)
			assert_int_equal(w->reached[i] | w->owner[i], 0);
	}
}

/* The same frame may be RAM, then device memory, then RAM with its descriptors elsewhere. */
static void no_taint(void **state)
{
	static const struct kelp_subsection nothing;
	struct exist *w = exist_new(false, NULL);
	struct kelp_hotplug *plug = &w->plug;

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		uint32_t flags = round % 2 ? KELP_HOTPLUG_SELF_HOSTED : 0;

		assert_status(kelp_hotplug_attach(plug, P(2), SUB, 1, flags), KELP_OK);
		assert_status(kelp_hotplug_detach(plug, P(2), SUB, NULL), KELP_OK);
		assert_status(kelp_hotplug_add(plug, P(2), SUB, 2, flags), KELP_OK);
		assert_status(kelp_hotplug_online(plug, P(2), SUB), KELP_OK);
		assert_true(kelp_pfn_online(&w->map, P(2)));
		assert_false(kelp_pfn_device(&w->map, P(2)));
		assert_status(kelp_hotplug_offline(plug, P(2), SUB, NULL), KELP_OK);
		assert_status(kelp_hotplug_remove(plug, P(2), SUB), KELP_OK);
		assert_memory_equal(kelp_memmap_subsection(&w->map, P(2)), &nothing,
				    sizeof(nothing));
	}
	exist_check(w);
	/* A directory and a section stay, whatever was added how often. */
	assert_int_equal(w->live, 2);
	exist_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_comes_and_goes), cmocka_unit_test(device_comes_and_goes),
		cmocka_unit_test(bad_arguments),      cmocka_unit_test(hosted),
		cmocka_unit_test(hosts_of_many),      cmocka_unit_test(no_room_to_host),
		cmocka_unit_test(poisoned),           cmocka_unit_test(neighbours),
		cmocka_unit_test(no_taint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
