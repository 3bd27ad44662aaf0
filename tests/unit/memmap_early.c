/* SPDX-License-Identifier: MIT */
/* The map itself: shapes, early memory and its holes, walks, cost. */
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

#define assert_status(call, expected) assert_int_equal((call), (expected))

static const bool ways[] = {false, true};

#define for_each_way(w)                                                                            \
	for (unsigned way = 0; way < 2; way++)                                                     \
		for (struct exist *w = exist_new(ways[way], NULL); w; exist_free(w), w = NULL)

/* ---- early memory ------------------------------------------------------------------------------ */

static struct kelp_memmap_range range(uint64_t first, uint64_t last, kelp_zone_t zone)
{
	return (struct kelp_memmap_range){exist_pfn(first), exist_pfn(last), zone};
}

/* INV-2.2: a hole is not valid, be it one frame in a subsection. */
static void holes(void **state)
{
	const struct kelp_memmap_range ranges[] = {
		range(1, 8, 0),        /* not frame 0, not 9 */
		range(10, 15, 0),
		range(16, 47, 1),      /* whole subsections */
		range(50, 50, 2),
		range(5 * SUB, 6 * SUB + 3, 3), /* ends in the midst of one */
		range(300, 300, 4),    /* another section */
		range(136, 143, 5),    /* two that fill one together */
		range(128, 135, 5),
	};
	const unsigned count = sizeof(ranges) / sizeof(ranges[0]);

	(void)state;
	for_each_way(w) {
		assert_status(kelp_memmap_add_early(&w->map, ranges, count), KELP_OK);
		for (uint64_t i = 0; i < 512; i++) {
			kelp_pfn_t pfn = exist_pfn(i);
			bool there = false;
			kelp_zone_t zone = 99, found = 99;

			for (unsigned r = 0; r < count; r++)
				if (i >= ranges[r].first.number && i <= ranges[r].last.number) {
					there = true;
					zone = ranges[r].zone;
				}
			assert_int_equal(kelp_pfn_valid(&w->map, pfn), there);
			assert_int_equal(kelp_pfn_online(&w->map, pfn), there);
			if (kelp_pfn_zone(&w->map, pfn, &found) == KELP_OK)
				assert_int_equal(found, zone);
		}
		exist_check(w);
		/* What has holes stays; what has none is like memory added later (INV-2.3). */
		for (uint64_t i = 0; i < 512; i++)
			if (kelp_pfn_valid(&w->map, exist_pfn(i)))
				w->owner[i] = EXIST_FREE;
		memset(w->reached, 1, sizeof(w->reached));
		assert_status(kelp_hotplug_offline(&w->plug, exist_pfn(0), SUB, NULL),
			      KELP_ERR_UNSUPPORTED);
		assert_status(kelp_hotplug_offline(&w->plug, exist_pfn(16), 2 * SUB, NULL),
			      KELP_OK);
		exist_check(w);
		assert_status(kelp_hotplug_offline(&w->plug, exist_pfn(128), SUB, NULL), KELP_OK);
		assert_status(kelp_hotplug_remove(&w->plug, exist_pfn(128), SUB), KELP_OK);
		assert_status(kelp_hotplug_remove(&w->plug, exist_pfn(16), SUB), KELP_OK);
		assert_status(kelp_hotplug_online(&w->plug, exist_pfn(32), SUB), KELP_OK);
		assert_status(kelp_hotplug_attach(&w->plug, exist_pfn(16), SUB, 9, 0), KELP_OK);
		exist_check(w);
		/* Beside the holes nothing can be added: the subsection is taken. */
		assert_status(kelp_hotplug_add(&w->plug, exist_pfn(3 * SUB), SUB, 9, 0),
			      KELP_ERR_EXISTS);
	}
}

static void early_errors(void **state)
{
	static const struct {
		struct kelp_memmap_range a, b;
		enum kelp_status status;
	} cases[] = {
		{{{0}, {20}, 0}, {{20}, {30}, 0}, KELP_ERR_EXISTS},
		{{{0}, {31}, 0}, {{16}, {31}, 0}, KELP_ERR_EXISTS},
		{{{0}, {31}, 0}, {{20}, {20}, 0}, KELP_ERR_EXISTS},
		{{{20}, {20}, 0}, {{0}, {31}, 0}, KELP_ERR_EXISTS},
		{{{0}, {20}, 0}, {{21}, {30}, 1}, KELP_ERR_UNSUPPORTED},
		{{{0}, {20}, 0}, {{31}, {30}, 0}, KELP_ERR_ARGUMENT},
		{{{0}, {20}, 0}, {{31}, {UINT64_C(1) << 20}, 0}, KELP_ERR_ADDRESS},
		{{{0}, {20}, 0}, {{31}, {UINT64_MAX}, 0}, KELP_ERR_ADDRESS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for_each_way(w) {
			const struct kelp_memmap_range ranges[] = {cases[i].a, cases[i].b};
			uint64_t before = exist_hash(w);

			assert_status(kelp_memmap_add_early(&w->map, ranges, 2), cases[i].status);
			assert_int_equal(w->live, 0);
			assert_true(exist_hash(w) == before);
			assert_status(kelp_memmap_add_early(&w->map, ranges, 1), KELP_OK);
			before = exist_hash(w);
			assert_status(kelp_memmap_add_early(&w->map, ranges, 1), KELP_ERR_EXISTS);
			assert_true(exist_hash(w) == before);
		}
}

/* ---- shapes -------------------------------------------------------------------------------------- */

/* A config in which one thing is changed. */
static enum kelp_status try_config(struct exist *w, size_t offset, size_t size, uint64_t value)
{
	struct kelp_memmap_config config = w->config;
	struct kelp_memmap map;
	size_t bytes;

	memcpy((char *)&config + offset, &value, size);
	if (kelp_memmap_size(&config, &bytes) != KELP_OK)
		return KELP_ERR_ARGUMENT;
	config.memory = aligned_alloc(64, (bytes + 127u) & ~(size_t)63u);
	if (offset == offsetof(struct kelp_memmap_config, memory))
		config.memory = (char *)config.memory + value;
	enum kelp_status status = kelp_memmap_init(&map, &config);
	free((void *)((uintptr_t)config.memory & ~(uintptr_t)63u));
	return status;
}

#define TRY(w, field, value)                                                                       \
	try_config((w), offsetof(struct kelp_memmap_config, field),                                \
		   sizeof(((struct kelp_memmap_config *)0)->field), (value))

static void configs(void **state)
{
	struct exist *w = exist_new(false, NULL), *a = exist_new(true, NULL);

	(void)state;
	assert_status(TRY(w, page_shift, 12), KELP_OK);
	assert_status(TRY(w, page_shift, 17), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, physical_bits, 19), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, physical_bits, 20), KELP_OK);
	assert_status(TRY(w, physical_bits, 44), KELP_OK);
	/* 4 bytes hold no larger frame number; and 2^32 subsections of 64 KiB are too many. */
	assert_status(TRY(w, physical_bits, 45), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, physical_bits, 53), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, section_shift, 15), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, section_shift, 16), KELP_OK);
	assert_status(TRY(w, section_shift, 26), KELP_OK);
	assert_status(TRY(w, section_shift, 27), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, section_shift, 33), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, subsection_shift, 11), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, subsection_shift, 12), KELP_OK);
	assert_status(TRY(w, subsection_shift, 21), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, descriptor_size, 0), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, descriptor_size, 6), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, descriptor_size, 4), KELP_OK);
	assert_status(TRY(w, descriptor_size, 4096), KELP_OK);
	assert_status(TRY(w, descriptor_size, 4100), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, frame_bytes, 0), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, frame_bytes, 5), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, frame_bytes, 8), KELP_OK);
	assert_status(TRY(w, frame_offset, 2), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, frame_offset, 20), KELP_OK);
	assert_status(TRY(w, frame_offset, 24), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, port, 0), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, take, 0), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, give, 0), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, memory, 4), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, holds.cpus, 0), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, holds.buckets, 3), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, holds.buckets, 64), KELP_OK);
	assert_status(TRY(w, holds.buckets, 128), KELP_ERR_ARGUMENT);
	assert_status(TRY(w, holds.flags, 2), KELP_ERR_ARGUMENT);
	assert_status(TRY(a, frame_bytes, 4), KELP_ERR_ARGUMENT);
	assert_status(TRY(a, array_back, 0), KELP_ERR_ARGUMENT);
	exist_free(w);
	exist_free(a);
}

/* The usual shape, 52 bits wide. */
static void full_width(struct kelp_memmap_config *config)
{
	config->physical_bits = 52;
	config->section_shift = 0;
	config->subsection_shift = 0;
	config->frame_bytes = 8;
	config->initialise = NULL;
}

/* Neighbours of powers of two, where directories and summaries begin and end. */
static void sparse(void **state)
{
	const uint64_t top = UINT64_C(1) << 40, sub = 512;
	struct exist *w = exist_new(false, full_width);
	uint64_t places[128], at = 0;
	unsigned count = 0;
	kelp_pfn_t first, last;
	struct kelp_hold hold;

	(void)state;
	w->plug.hooks.reach_add = NULL;
	w->plug.hooks.reach_remove = NULL;
	for (unsigned bit = 10; bit < 40; bit++) {
		places[count++] = UINT64_C(1) << bit;
		/* Two in a row at the lower ones, a hole between them and the next at all. */
		if (bit > 12)
			places[count++] = (UINT64_C(1) << bit) + 2 * sub;
	}
	places[count++] = top - sub;
	for (unsigned i = count; i-- > 0;)
		assert_status(kelp_hotplug_attach(&w->plug, exist_pfn(places[i]), sub, 5, 0),
			      KELP_OK);
	for (unsigned i = 0; i < count; i++) {
		kelp_pfn_t pfn = exist_pfn(places[i] + 77);

		assert_true(kelp_memmap_next(&w->map, KELP_FRAMES_DEVICE, exist_pfn(at), &first,
					     &last));
		assert_true(first.number == places[i]);
		assert_true(last.number == places[i] + sub - 1);
		at = last.number + 1;
		assert_status(kelp_page_hold_device(&w->map, 0, pfn, &hold), KELP_OK);
		assert_true(kelp_page_to_pfn(&w->map, kelp_hold_page(&hold)).number == pfn.number);
		assert_ptr_equal(kelp_pfn_to_page(&w->map, pfn), kelp_hold_page(&hold));
		kelp_page_release(&w->map, 0, &hold);
		assert_false(kelp_pfn_valid(&w->map, exist_pfn(places[i] - 1)));
	}
	assert_false(kelp_memmap_next(&w->map, KELP_FRAMES_VALID, exist_pfn(top), &first, &last));
	/* From within a run. */
	assert_true(kelp_memmap_next(&w->map, KELP_FRAMES_VALID, exist_pfn(places[3] + 5), &first,
				     &last));
	assert_true(first.number == places[3] + 5);
	/* One by one they go, and no summary remembers them. */
	for (unsigned i = 0; i < count; i++) {
		assert_status(kelp_hotplug_detach(&w->plug, exist_pfn(places[i]), sub, NULL),
			      KELP_OK);
		assert_int_equal(kelp_memmap_next(&w->map, KELP_FRAMES_VALID, exist_pfn(0), &first,
						  &last), i + 1 < count);
		if (i + 1 < count)
			assert_true(first.number == places[i + 1]);
	}
	exist_free(w);
}

/* A run goes on over the ends of sections and directories. */
static void long_run(void **state)
{
	struct exist *w = exist_new(false, NULL);
	kelp_pfn_t first, last;

	(void)state;
	/* 256 frames a section, 64 sections a directory: frames 2560 to 7935. */
	w->plug.hooks.reach_add = NULL;
	w->plug.hooks.reach_remove = NULL;
	assert_status(kelp_hotplug_add(&w->plug, exist_pfn(2560), 5376, 0, 0), KELP_OK);
	assert_true(kelp_memmap_next(&w->map, KELP_FRAMES_OFFLINE, exist_pfn(0), &first, &last));
	assert_true(first.number == 2560 && last.number == 7935);
	assert_status(kelp_hotplug_add(&w->plug, exist_pfn(16384 - 256), 512, 0, 0), KELP_OK);
	assert_true(kelp_memmap_next(&w->map, KELP_FRAMES_OFFLINE, exist_pfn(7936), &first, &last));
	assert_true(first.number == 16384 - 256 && last.number == 16384 + 255);
	exist_check(w);
	exist_free(w);
}

static void cost(void **state)
{
	struct exist *w = exist_new(false, full_width);
	const struct kelp_memmap_range boot = {{0}, {(1u << 18) - 1}, 0}; /* 1 GiB */
	struct kelp_memmap_cost c;

	(void)state;
	assert_status(kelp_memmap_add_early(&w->map, &boot, 1), KELP_OK);
	/* A directory, eight sections, descriptors: nothing was asked for and given back. */
	assert_int_equal(w->live, 1 + 8 + 512);
	assert_int_equal(w->calls[EXIST_TAKE], w->live);
	kelp_memmap_cost(&w->map, &c);
	assert_true(c.frames == 1u << 18);
	assert_true(c.descriptors == (uint64_t)sizeof(struct exist_page) << 18);
	assert_true(c.map + c.counters + c.descriptors == w->bytes + w->memory_size);
	assert_true(c.per_gib > c.descriptors && c.per_gib <= c.descriptors + c.map + c.counters);
	printf("bytes per GiB: %llu, of which descriptors of %zu bytes %llu\n",
	       (unsigned long long)c.per_gib, sizeof(struct exist_page),
	       (unsigned long long)c.descriptors);
	w->plug.hooks.reach_add = NULL;
	w->plug.hooks.reach_remove = NULL;
	exist_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holes),  cmocka_unit_test(early_errors), cmocka_unit_test(configs),
		cmocka_unit_test(sparse), cmocka_unit_test(long_run),     cmocka_unit_test(cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
