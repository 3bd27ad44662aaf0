/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "exist.h"

static bool fails(struct exist *world, enum exist_hook hook)
{
	world->calls[hook]++;
	if (world->fail_at == 0 || --world->fail_at > 0)
		return false;
	if (world->fail_for_ever)
		world->fail_at = 1;
	world->failed++;
	world->failed_hook = hook;
	return true;
}

void exist_fail(struct exist *world, unsigned nth, bool for_ever)
{
	world->fail_at = nth;
	world->fail_for_ever = for_ever;
	world->failed = 0;
}

/* ---- the port and memory --------------------------------------------------------------------- */

static void on_panic(void *context, const char *what, const char *where)
{
	struct exist *world = context;

	if (!world->panic_armed) {
		fprintf(stderr, "kelp panic: %s (%s)\n", what, where);
		abort();
	}
	world->panic_armed = false;
	snprintf(world->panic_what, sizeof(world->panic_what), "%s", what);
	longjmp(world->panic_jump, 1);
}

static void *take(void *context, enum kelp_memmap_memory what, size_t size)
{
	struct exist *world = context;
	struct exist_block *block;

	if (fails(world, EXIST_TAKE))
		return NULL;
	block = calloc(1, sizeof(*block));
	if (!block)
		abort();
	block->what = what;
	block->size = size;
	block->memory = aligned_alloc(64, (size + 63u) & ~(size_t)63u);
	if (!block->memory)
		abort();
	memset(block->memory, 0xee, size);
	block->next = world->blocks;
	world->blocks = block;
	world->live++;
	world->bytes += size;
	return block->memory;
}

static void give(void *context, enum kelp_memmap_memory what, void *memory, size_t size)
{
	struct exist *world = context;
	struct exist_block **link = &world->blocks, *block;

	while (*link && (*link)->memory != memory)
		link = &(*link)->next;
	block = *link;
	assert_non_null(block);
	assert_int_equal(block->what, what);
	assert_int_equal(block->size, size);
	*link = block->next;
	world->live--;
	world->bytes -= size;
	memset(memory, 0xdd, size);
	free(memory);
	free(block);
}

static enum kelp_status array_back(void *context, void *at, size_t size, const kelp_pfn_t *host)
{
	struct exist *world = context;
	size_t first = ((size_t)((unsigned char *)at - world->array)) / sizeof(struct exist_page);

	(void)host;
	if (fails(world, EXIST_BACK))
		return KELP_ERR_NO_MEMORY;
	assert_int_equal(size % sizeof(struct exist_page), 0);
	for (size_t i = first; i < first + size / sizeof(struct exist_page); i++) {
		assert_int_equal(world->backed[i], 0);
		world->backed[i] = host ? 2 : 1;
	}
	memset(at, 0xee, size);
	return KELP_OK;
}

static void array_unback(void *context, void *at, size_t size, const kelp_pfn_t *host)
{
	struct exist *world = context;
	size_t first = ((size_t)((unsigned char *)at - world->array)) / sizeof(struct exist_page);

	for (size_t i = first; i < first + size / sizeof(struct exist_page); i++) {
		assert_int_equal(world->backed[i], host ? 2 : 1);
		world->backed[i] = 0;
	}
	memset(at, 0xdd, size);
}

static void initialise(void *context, void *pages, kelp_pfn_t first, uint64_t frames,
		       kelp_zone_t zone, bool device)
{
	struct exist *world = context;
	struct exist_page *page = pages;

	for (uint64_t i = 0; i < frames; i++) {
		if (!world->config.array)
			assert_int_equal(page[i].number[0], (uint32_t)(first.number + i));
		assert_int_equal(page[i].sane, 0);
		page[i].zone = zone;
		page[i].device = device;
		page[i].sane = EXIST_SANE ^ (uint32_t)(first.number + i);
	}
}

/* ---- the direct map ---------------------------------------------------------------------------- */

static enum kelp_status reach_add(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct exist *world = context;

	if (fails(world, EXIST_REACH_ADD))
		return KELP_ERR_NO_MEMORY;
	for (uint64_t i = first.number; i < first.number + frames && i < EXIST_FRAMES; i++) {
		assert_int_equal(world->reached[i], 0);
		world->reached[i] = 1;
	}
	return KELP_OK;
}

static enum kelp_status reach_remove(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct exist *world = context;

	if (fails(world, EXIST_REACH_REMOVE))
		return KELP_ERR_UNSUPPORTED;
	for (uint64_t i = first.number; i < first.number + frames && i < EXIST_FRAMES; i++) {
		assert_int_equal(world->reached[i], 1);
		assert_int_equal(world->owner[i], EXIST_NOBODY);
		world->reached[i] = 0;
	}
	return KELP_OK;
}

static void *pointer(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct exist *world = context;

	assert_true(first.number + frames <= EXIST_FRAMES);
	for (uint64_t i = first.number; i < first.number + frames; i++)
		assert_int_equal(world->reached[i], 1);
	return world->frames + first.number * world->page_size;
}

/* ---- the allocator ------------------------------------------------------------------------------ */

static enum kelp_status isolate(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct exist *world = context;

	if (fails(world, EXIST_ISOLATE))
		return KELP_ERR_BUSY;
	for (uint64_t i = first.number; i < first.number + frames; i++) {
		assert_int_equal(world->owner[i], EXIST_FREE);
		assert_true(kelp_pfn_online(&world->map, exist_pfn(i)));
		world->owner[i] = EXIST_ISOLATED;
	}
	return KELP_OK;
}

static enum kelp_status evacuate(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct exist *world = context;

	if (fails(world, EXIST_EVACUATE))
		return KELP_ERR_BUSY;
	for (uint64_t i = first.number; i < first.number + frames; i++) {
		/* Moving contents means holding the frame. */
		struct kelp_hold hold;

		assert_int_equal(world->owner[i], EXIST_ISOLATED);
		assert_int_equal(kelp_page_hold_online(&world->map, 0, exist_pfn(i), &hold),
				 KELP_OK);
		kelp_page_release(&world->map, 0, &hold);
		world->owner[i] = EXIST_NOBODY;
	}
	return KELP_OK;
}

static void give_back(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct exist *world = context;

	for (uint64_t i = first.number; i < first.number + frames; i++) {
		assert_true(i < EXIST_FRAMES);
		assert_int_not_equal(world->owner[i], EXIST_FREE);
		assert_true(kelp_pfn_online(&world->map, exist_pfn(i)));
		assert_false(kelp_pfn_hosts(&world->map, exist_pfn(i)));
		world->owner[i] = EXIST_FREE;
	}
}

/* ---- the world ----------------------------------------------------------------------------------- */

struct exist *exist_new(bool with_array, void (*change)(struct kelp_memmap_config *config))
{
	struct exist *world = calloc(1, sizeof(*world));

	if (!world)
		abort();
	world->page_size = 4096;
	world->port = (struct kelp_port){.context = world, .panic = on_panic};
	world->config = (struct kelp_memmap_config){
		.port = &world->port,
		.page_shift = 12,
		.physical_bits = 32,
		.section_shift = 20,
		.subsection_shift = 16,
		.descriptor_size = sizeof(struct exist_page),
		.frame_offset = offsetof(struct exist_page, number),
		.frame_bytes = 4,
		.holds = {.cpus = 2},
		.context = world,
		.take = take,
		.give = give,
		.array_back = array_back,
		.array_unback = array_unback,
		.initialise = initialise,
	};
	world->frames = malloc(EXIST_FRAMES * world->page_size);
	if (!world->frames)
		abort();
	if (with_array) {
		/* Only the first frames have a place: tests with an array stay there. */
		world->array = malloc(EXIST_FRAMES * sizeof(struct exist_page));
		world->backed = calloc(EXIST_FRAMES, 1);
		if (!world->array || !world->backed)
			abort();
		world->config.array = world->array;
		world->config.frame_bytes = 0;
	}
	if (change)
		change(&world->config);
	assert_int_equal(kelp_memmap_size(&world->config, &world->memory_size), KELP_OK);
	world->memory = aligned_alloc(64, (world->memory_size + 63u) & ~(size_t)63u);
	if (!world->memory)
		abort();
	memset(world->memory, 0xee, world->memory_size);
	world->config.memory = world->memory;
	assert_int_equal(kelp_memmap_init(&world->map, &world->config), KELP_OK);
	world->hooks = (struct kelp_hotplug_hooks){
		.context = world,
		.reach_add = reach_add,
		.reach_remove = reach_remove,
		.pointer = pointer,
		.isolate = isolate,
		.evacuate = evacuate,
		.give_back = give_back,
	};
	assert_int_equal(kelp_hotplug_init(&world->plug, &world->map, &world->hooks), KELP_OK);
	return world;
}

void exist_free(struct exist *world)
{
	kelp_memmap_destroy(&world->map);
	assert_int_equal(world->live, 0);
	assert_int_equal(world->bytes, 0);
	for (size_t i = 0; world->backed && i < EXIST_FRAMES; i++)
		assert_int_equal(world->backed[i], 0);
	free(world->memory);
	free(world->frames);
	free(world->array);
	free(world->backed);
	free(world);
}

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *byte = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t exist_hash(const struct exist *world)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325), blocks = 0;
	const struct kelp_memmap *map = &world->map;
	size_t counters = world->config.holds.cpus * map->holds.cpu_size;

	/* Counters of holds and their phases count what was done; they are no state. */
	hash = mix(hash, (const unsigned char *)world->memory + counters,
		   world->memory_size - counters);
	hash = mix(hash, &map->map_bytes, sizeof(map->map_bytes));
	for (const struct exist_block *block = world->blocks; block; block = block->next)
		/* In any order. */
		blocks += mix(mix(hash, &block->memory, sizeof(block->memory)), block->memory,
			      block->size);
	hash = mix(hash, &blocks, sizeof(blocks));
	hash = mix(hash, world->reached, sizeof(world->reached));
	hash = mix(hash, world->owner, sizeof(world->owner));
	for (size_t i = 0; world->backed && i < EXIST_FRAMES; i++) {
		hash = mix(hash, &world->backed[i], 1);
		if (world->backed[i])
			hash = mix(hash, world->array + i * sizeof(struct exist_page),
				   sizeof(struct exist_page));
	}
	/* Descriptors in the frames themselves. */
	for (uint64_t i = 0; i < EXIST_FRAMES; i++)
		if (kelp_pfn_hosts(map, exist_pfn(i)) && !world->array)
			hash = mix(hash, world->frames + i * world->page_size, world->page_size);
	return hash;
}

/* ---- checking from outside ---------------------------------------------------------------------- */

static bool is(const struct exist *world, enum kelp_frames which, kelp_pfn_t pfn)
{
	const struct kelp_memmap *map = &world->map;

	switch (which) {
	case KELP_FRAMES_VALID: return kelp_pfn_valid(map, pfn);
	case KELP_FRAMES_ACTIVE: return kelp_pfn_active(map, pfn);
	case KELP_FRAMES_ONLINE: return kelp_pfn_online(map, pfn);
	case KELP_FRAMES_DEVICE: return kelp_pfn_device(map, pfn);
	case KELP_FRAMES_OFFLINE: return kelp_pfn_valid(map, pfn) && !kelp_pfn_active(map, pfn);
	}
	return false;
}

static void check_walk(struct exist *world, enum kelp_frames which)
{
	uint64_t at = 0;

	while (at < EXIST_FRAMES) {
		kelp_pfn_t first, last;
		bool found = kelp_memmap_next(&world->map, which, exist_pfn(at), &first, &last);
		uint64_t end = found ? first.number : EXIST_FRAMES;

		for (; at < end && at < EXIST_FRAMES; at++)
			assert_false(is(world, which, exist_pfn(at)));
		if (!found)
			return;
		for (; at <= last.number && at < EXIST_FRAMES; at++)
			assert_true(is(world, which, exist_pfn(at)));
		/* As many as follow each other. */
		if (at < EXIST_FRAMES)
			assert_false(is(world, which, exist_pfn(at)));
	}
}

static void check_frame(struct exist *world, kelp_pfn_t pfn)
{
	struct kelp_memmap *map = &world->map;
	struct kelp_hold hold;
	enum kelp_status any = kelp_page_hold_any(map, 1, pfn, &hold);
	const struct exist_page *page;
	kelp_zone_t zone;

	assert_int_equal(any == KELP_OK, kelp_pfn_active(map, pfn));
	assert_true(!kelp_pfn_active(map, pfn) || kelp_pfn_valid(map, pfn));
	assert_int_equal(kelp_pfn_zone(map, pfn, &zone) == KELP_OK, kelp_pfn_valid(map, pfn));
	if (any != KELP_OK) {
		assert_int_equal(any, KELP_ERR_NO_FRAME);
		assert_int_equal(kelp_page_hold_online(map, 0, pfn, &hold), KELP_ERR_NO_FRAME);
		assert_int_equal(kelp_page_hold_device(map, 0, pfn, &hold), KELP_ERR_NO_FRAME);
		return;
	}
	/* INV-2.1 */
	page = kelp_hold_page(&hold);
	assert_int_equal(page->sane, EXIST_SANE ^ (uint32_t)pfn.number);
	assert_int_equal(page->device, kelp_pfn_device(map, pfn));
	assert_int_equal(page->zone, zone);
	assert_ptr_equal(kelp_pfn_to_page(map, pfn), page);
	assert_true(kelp_page_to_pfn(map, page).number == pfn.number);
	kelp_page_release(map, 0, &hold);
	if (kelp_page_hold_online(map, 0, pfn, &hold) == KELP_OK) {
		assert_true(kelp_pfn_online(map, pfn));
		kelp_page_release(map, 1, &hold);
	} else {
		assert_int_equal(kelp_page_hold_device(map, 0, pfn, &hold), KELP_OK);
		assert_true(kelp_pfn_device(map, pfn));
		kelp_page_release(map, 0, &hold);
	}
}

void exist_check(struct exist *world)
{
	for (uint64_t i = 0; i < EXIST_FRAMES; i++) {
		kelp_pfn_t pfn = exist_pfn(i);

		check_frame(world, pfn);
		if (world->owner[i] != EXIST_NOBODY)
			assert_true(kelp_pfn_online(&world->map, pfn));
	}
	for (unsigned which = KELP_FRAMES_VALID; which <= KELP_FRAMES_OFFLINE; which++)
		check_walk(world, (enum kelp_frames)which);
	for (uint32_t bucket = 0; bucket <= world->map.holds.bucket_mask; bucket++)
		assert_int_equal(kelp_holds_count(&world->map.holds, bucket), 0);
}
