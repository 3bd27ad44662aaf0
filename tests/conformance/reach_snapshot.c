/* SPDX-License-Identifier: MIT */
/*
 * The shipped way of snapshots to frames, on every format: what the direct map translates at this
 * moment is handed out as a pointer, leaf by leaf; everything else goes through the window, and
 * the direct map stays as it is to the bit.
 */
#include "reach.h"
#include "slot_double.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
	struct reach reach;
	struct kelp_directmap map;
	struct kelp_copywin window;
	struct kelp_copywin_cpu cpu[2];
	struct kelp_copywin_access access;
	struct kelp_snapshot_reach snapshot;
	struct kelp_snapshot_memory hooks;
	uint64_t frames;
};

static void load(void *context, void *buffer, kelp_vaddr_t from, size_t size)
{
	struct fixture *f = context;

	memcpy(buffer, reach_access(&f->reach, from, false), size);
}

static void store_bytes(void *context, kelp_vaddr_t to, const void *buffer, size_t size)
{
	struct fixture *f = context;

	memcpy(reach_access(&f->reach, to, true), buffer, size);
}

static void begin(struct fixture *f, struct bare *bare)
{
	const struct kelp_format *format = bare->format;
	struct kelp_frame_range range = {{0}, {0}};
	struct kelp_directmap_config config;
	struct kelp_copywin_config window;

	memset(f, 0, sizeof(*f));
	reach_begin(&f->reach, bare);
	f->frames = UINT64_C(2) << (format->shift[1] - format->page_shift);
	range.last.number = f->frames - 1u;
	config = (struct kelp_directmap_config){
		.space = &f->reach.space,
		.base = some_va(format, 1),
		.frames = f->frames,
		.attributes = data_of(format),
		.quiesce = reach_quiesce,
		.quiesce_context = &f->reach,
	};
	assert_status(kelp_directmap_init(&f->map, &config, &range, 1), KELP_OK);
	f->access = (struct kelp_copywin_access){.context = f, .load = load, .store = store_bytes};
	window = (struct kelp_copywin_config){
		.space = &f->reach.space,
		.base = some_va(format, 6),
		.cpus = 2,
		.attributes = data_of(format),
		.cpu = f->cpu,
		.access = &f->access,
	};
	assert_status(kelp_copywin_init(&f->window, &window), KELP_OK);
	f->snapshot = (struct kelp_snapshot_reach){&f->map, &f->window};
	kelp_snapshot_reach_hooks(&f->snapshot, &f->hooks);
}

static void end(struct fixture *f)
{
	kelp_copywin_destroy(&f->window);
	reach_end(&f->reach);
}

/* How many frames one pointer is good for, and that it is the right one; 0: none. */
static uint64_t viewed(struct fixture *f, uint64_t frame, uint64_t wanted, bool write)
{
	kelp_pfn_t pfn = {frame};
	uint64_t got = wanted;
	const void *page = write ? f->hooks.view_writable(f->hooks.reach_context, pfn, &got)
				 : f->hooks.view(f->hooks.reach_context, pfn, &got);

	if (!page)
		return 0;
	assert_true((uintptr_t)page == (uintptr_t)kelp_directmap_address(&f->map, pfn));
	assert_in_range(got, 1, wanted);
	return got;
}

static void pointers_follow_the_direct_map(struct bare *bare)
{
	struct fixture f;
	uint64_t half;

	begin(&f, bare);
	half = f.frames / 2;
	/* A host of 32 bits, and addresses that its pointers do not hold. */
	if ((uintptr_t)some_va(bare->format, 1) != some_va(bare->format, 1)) {
		assert_int_equal(viewed(&f, 3, 4, false), 0);
		end(&f);
		return;
	}
	/* Some frame in the middle is absent, one may only be read. */
	assert_status(kelp_directmap_set_invalid(&f.map, (kelp_pfn_t){half + 5}, 1), KELP_OK);
	assert_status(kelp_directmap_protect(&f.map, (kelp_pfn_t){9}, 1, 0, KELP_ATTR_WRITE),
		      KELP_OK);
	for (uint64_t frame = 0; frame < f.frames; frame += frame < 20 ? 1 : 3) {
		uint64_t left = f.frames - frame;
		bool absent = frame == half + 5;

		assert_true((viewed(&f, frame, left, false) > 0) == !absent);
		assert_true((viewed(&f, frame, left, true) > 0) == (!absent && frame != 9));
		/* A run never reaches over what is not there. */
		if (frame < half + 5)
			assert_true(frame + viewed(&f, frame, left, false) <= half + 5);
		if (frame < 9)
			assert_true(frame + viewed(&f, frame, left, true) <= 9);
		assert_true(absent || viewed(&f, frame, 1, false) == 1);
	}
	assert_int_equal(viewed(&f, half + 5, 1, false), 0);
	/* Beyond the map, and so far that an address would wrap around. */
	assert_int_equal(viewed(&f, f.frames, 4, false), 0);
	assert_int_equal(viewed(&f, UINT64_MAX, 4, false), 0);
	/* With no direct map at all. */
	f.snapshot.directmap = NULL;
	assert_int_equal(viewed(&f, 3, 4, false), 0);
	assert_int_equal(viewed(&f, 3, 4, true), 0);
	reach_settled(&f.reach);
	end(&f);
}

static void the_window_reaches_the_others(struct bare *bare)
{
	size_t page = (size_t)page_of(bare->format);
	unsigned char *buffer = malloc(page);
	struct fixture f;
	uint64_t numbers[3];

	begin(&f, bare);
	numbers[0] = 3;
	numbers[1] = f.frames / 2 + 5;
	numbers[2] = f.frames + 100;
	assert_status(kelp_directmap_set_invalid(&f.map, (kelp_pfn_t){numbers[1]}, 1), KELP_OK);
	reach_settled(&f.reach);
	reach_save(&f.reach);
	/* With nothing left to allocate. */
	test_port_fail(bare->port, 1, true);
	bare->port->forbid_take = true;
	for (unsigned i = 0; i < 3; i++) {
		unsigned char *frame = reach_frame(&f.reach, numbers[i] * page);
		kelp_pfn_t pfn = {numbers[i]};

		f.reach.cpu = i % 2;
		memset(buffer, 0, page);
		assert_status(f.hooks.read(f.hooks.reach_context, i % 2, pfn, buffer), KELP_OK);
		assert_memory_equal(buffer, frame, page);
		memset(buffer, (int)(0xa0 + i), page);
		assert_status(f.hooks.write(f.hooks.reach_context, i % 2, pfn, buffer), KELP_OK);
		assert_memory_equal(frame, buffer, page);
		assert_true(reach_is_as_saved(&f.reach));
	}
	assert_status(f.hooks.read(f.hooks.reach_context, 2, (kelp_pfn_t){3}, buffer),
		      KELP_ERR_ARGUMENT);
	assert_status(f.hooks.read(f.hooks.reach_context, 0, (kelp_pfn_t){UINT64_MAX}, buffer),
		      KELP_ERR_ADDRESS);
	bare->port->forbid_take = false;
	test_port_fail(bare->port, 0, false);
	free(buffer);
	end(&f);
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"pointers follow the direct map", pointers_follow_the_direct_map, NULL},
		{"the window reaches the others", the_window_reaches_the_others, NULL},
	};

	return bare_cases_run("snapshot reach", cases, COUNT_OF(cases));
}
