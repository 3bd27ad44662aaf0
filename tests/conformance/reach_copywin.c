/* SPDX-License-Identifier: MIT */
/*
 * The copy window on every format: INV-3.4 with no memory left, frames absent from the direct
 * map, and a TLB that forgets nothing by itself; and any number of CPUs.
 */
#include "reach.h"
#include "slot_double.h"

#include <stdlib.h>
#include <string.h>

struct fixture {
	struct reach reach;
	struct kelp_copywin window;
	struct kelp_copywin_config config;
	struct kelp_copywin_access access;
	struct kelp_copywin_cpu *cpu;
	unsigned loads, stores, copies, zeroes;
	bool panic_inside;
	enum kelp_status status;
};

/* ---- accesses as the CPU makes them ------------------------------------------------------ */

static unsigned char *reached(struct fixture *f, kelp_vaddr_t va, bool write)
{
	unsigned char *memory = reach_access(&f->reach, va, write);

	if (!memory)
		fail_msg("0x%llx is not %s", (unsigned long long)va,
			 write ? "writable" : "readable");
	return memory;
}

static void load(void *context, void *buffer, kelp_vaddr_t from, size_t size)
{
	struct fixture *f = context;

	f->loads++;
	memcpy(buffer, reached(f, from, false), size);
	/* A source cannot be written through. */
	assert_null(reach_access(&f->reach, from, true));
	if (f->panic_inside) {
		f->panic_inside = false;
		fail_msg("not a panic: %d",
			 kelp_copywin_zero(&f->window, f->reach.cpu, (kelp_pfn_t){1}));
	}
}

static void store_bytes(void *context, kelp_vaddr_t to, const void *buffer, size_t size)
{
	struct fixture *f = context;

	f->stores++;
	memcpy(reached(f, to, true), buffer, size);
}

static void copy(void *context, kelp_vaddr_t to, kelp_vaddr_t from, size_t size)
{
	struct fixture *f = context;

	f->copies++;
	memcpy(reached(f, to, true), reached(f, from, false), size);
}

static void zero(void *context, kelp_vaddr_t to, size_t size)
{
	struct fixture *f = context;

	f->zeroes++;
	memset(reached(f, to, true), 0, size);
}

static void begin(struct fixture *f, struct bare *bare, uint32_t cpus)
{
	memset(f, 0, sizeof(*f));
	reach_begin(&f->reach, bare);
	f->access = (struct kelp_copywin_access){f, load, store_bytes, copy, zero};
	f->cpu = calloc(cpus, sizeof(*f->cpu));
	assert_non_null(f->cpu);
	f->config = (struct kelp_copywin_config){
		.space = &f->reach.space,
		/* Three pages before the end of a table, and of all above it. */
		.base = some_va(bare->format, 6) - 3u * page_of(bare->format),
		.cpus = cpus,
		.attributes = data_of(bare->format),
		.cpu = f->cpu,
		.access = &f->access,
	};
	if (f->config.attributes != (f->config.attributes | KELP_ATTR_GLOBAL) &&
	    (bare->format->attr_mask & KELP_ATTR_GLOBAL))
		f->config.attributes |= KELP_ATTR_GLOBAL;
}

static void end(struct fixture *f)
{
	unsigned live;

	/* Nothing is left in the window, in the tables or in a TLB. */
	assert_true(reach_holds_nothing(&f->reach));
	live = f->reach.port->live;
	kelp_copywin_destroy(&f->window);
	assert_true(f->reach.port->live < live);
	free(f->cpu);
	reach_end(&f->reach);
}

/* A direct map of two tables whose frames the test takes away; the window must not care. */
static void make_directmap(struct fixture *f, struct kelp_directmap *map)
{
	const struct kelp_format *format = f->reach.format;
	uint64_t frames = UINT64_C(2) << (format->shift[1] - format->page_shift);
	struct kelp_frame_range range = {{0}, {frames - 1u}};
	struct kelp_directmap_config config = {
		.space = &f->reach.space,
		.base = some_va(format, 1),
		.frames = frames,
		.attributes = data_of(format),
		.quiesce = reach_quiesce,
		.quiesce_context = &f->reach,
	};

	assert_status(kelp_directmap_init(map, &config, &range, 1), KELP_OK);
	assert_status(kelp_directmap_set_invalid(map, (kelp_pfn_t){7}, 2), KELP_OK);
	assert_status(kelp_directmap_set_invalid(map, (kelp_pfn_t){frames / 2}, frames / 2),
		      KELP_OK);
}

/* ---- cases ------------------------------------------------------------------------------- */

static void reaches_any_frame_with_nothing_left(struct bare *bare)
{
	size_t page = (size_t)page_of(bare->format), n = 0;
	unsigned char *buffer = malloc(page);
	struct kelp_directmap map;
	uint64_t numbers[6];
	struct fixture f;
	unsigned shootdowns, flushes;
	kelp_attr_t attributes;
	kelp_paddr_t pa;
	uint64_t entry;

	begin(&f, bare, 4);
	make_directmap(&f, &map);
	assert_status(kelp_copywin_init(&f.window, &f.config), KELP_OK);
	reach_settled(&f.reach);
	reach_save(&f.reach);
	/* In the direct map; absent in a table; absent with a large leaf; outside; the last. */
	numbers[n++] = 3;
	numbers[n++] = 7;
	numbers[n++] = 8;
	numbers[n++] = (UINT64_C(1) << (bare->format->shift[1] - bare->format->page_shift)) + 1u;
	numbers[n++] = (UINT64_C(5) << bare->format->shift[1]) / page;
	numbers[n] = (UINT64_C(1) << (bare->format->pa_bits - bare->format->page_shift)) - 1u;
	if (bare->format->ops->leaf(bare->format, 0, numbers[n] * page, data_of(bare->format),
				    false, &entry) == KELP_OK)
		n++;
	assert_false(kelp_directmap_present(&map, (kelp_pfn_t){numbers[1]}));
	assert_false(kelp_directmap_present(&map, (kelp_pfn_t){numbers[3]}));
	/* The last free page is gone, for good; and nobody else is told of anything. */
	test_port_fail(bare->port, 1, true);
	bare->port->forbid_take = true;
	shootdowns = bare->port->shootdowns;
	flushes = f.reach.local_flushes;
	for (size_t i = 0; i < n; i++) {
		unsigned char *frame = reach_frame(&f.reach, numbers[i] * page);
		uint32_t cpu = f.reach.cpu = (uint32_t)(i % 4);
		kelp_pfn_t pfn = {numbers[i]}, other = {numbers[(i + 1) % n]};

		memset(buffer, 0, page);
		assert_status(kelp_copywin_read(&f.window, cpu, pfn, 0, buffer, page), KELP_OK);
		assert_memory_equal(buffer, frame, page);
		/* Another frame through the same page: the old translation must be gone. */
		assert_status(kelp_copywin_read(&f.window, cpu, other, 5, buffer, 9), KELP_OK);
		assert_memory_equal(buffer, reach_frame(&f.reach, other.number * page) + 5, 9);
		assert_status(kelp_copywin_write(&f.window, cpu, pfn, page - 4, "kelp", 4),
			      KELP_OK);
		assert_memory_equal(frame + page - 4, "kelp", 4);
		assert_status(kelp_copywin_copy(&f.window, cpu, other, pfn), KELP_OK);
		assert_memory_equal(reach_frame(&f.reach, other.number * page), frame, page);
		/* The target's page, too, reaches what it is now. */
		assert_status(kelp_copywin_write(&f.window, cpu, pfn, page - 4, "kelp", 4),
			      KELP_OK);
		assert_status(kelp_copywin_zero(&f.window, cpu, other), KELP_OK);
		memset(buffer, 0, page);
		assert_memory_equal(reach_frame(&f.reach, other.number * page), buffer, page);
		assert_memory_equal(frame + page - 4, "kelp", 4);
		/* INV-3.4: none before and after; the direct map is as it was, bit for bit. */
		assert_false(raw_translate(bare->format, bare->port, f.reach.space.root,
					   f.config.base + 2u * cpu * page, &pa, &attributes));
		assert_false(raw_translate(bare->format, bare->port, f.reach.space.root,
					   f.config.base + (2u * cpu + 1u) * page, &pa,
					   &attributes));
		assert_true(reach_is_as_saved(&f.reach));
	}
	/* Never skipped: each call moved its bytes. */
	assert_int_equal(f.loads, 2 * n);
	assert_int_equal(f.stores, 2 * n);
	assert_int_equal(f.copies, n);
	assert_int_equal(f.zeroes, n);
	assert_int_equal(bare->port->shootdowns, shootdowns);
	assert_true(f.reach.local_flushes - flushes >= 6 * n);
	assert_int_equal(bare->port->failed, 0);
	bare->port->forbid_take = false;
	test_port_fail(bare->port, 0, false);
	free(buffer);
	end(&f);
}

static void frames_that_cannot_exist_are_refused(struct bare *bare)
{
	size_t page = (size_t)page_of(bare->format);
	unsigned char byte;
	struct fixture f;
	uint64_t past = UINT64_C(1) << (bare->format->pa_bits - bare->format->page_shift);

	begin(&f, bare, 2);
	assert_status(kelp_copywin_init(&f.window, &f.config), KELP_OK);
	reach_save(&f.reach);
	assert_status(kelp_copywin_read(&f.window, 0, (kelp_pfn_t){past}, 0, &byte, 1),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_copywin_write(&f.window, 0, (kelp_pfn_t){UINT64_MAX}, 0, &byte, 1),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_copywin_copy(&f.window, 0, (kelp_pfn_t){past}, (kelp_pfn_t){1}),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_copywin_copy(&f.window, 0, (kelp_pfn_t){1}, (kelp_pfn_t){past}),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_copywin_zero(&f.window, 0, (kelp_pfn_t){past}), KELP_ERR_ADDRESS);
	assert_status(kelp_copywin_read(&f.window, 0, (kelp_pfn_t){1}, page, &byte, 1),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_copywin_read(&f.window, 0, (kelp_pfn_t){1}, 1, &byte, SIZE_MAX),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_copywin_read(&f.window, 2, (kelp_pfn_t){1}, 0, &byte, 1),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_copywin_zero(&f.window, 2, (kelp_pfn_t){1}), KELP_ERR_ARGUMENT);
	assert_int_equal(f.loads + f.stores + f.copies + f.zeroes, 0);
	assert_true(reach_is_as_saved(&f.reach));
	/* The CPU is not left inside. */
	assert_status(kelp_copywin_read(&f.window, 0, (kelp_pfn_t){1}, 0, &byte, 1), KELP_OK);
	/* Entering it twice is a caller's bug. */
	f.panic_inside = true;
	assert_true(test_panics(bare->port, f.status = kelp_copywin_read(&f.window, 0,
									 (kelp_pfn_t){1}, 0,
									 &byte, 1)));
	kelp_slot_clear(&f.cpu[0].from);
	end(&f);
}

static void any_number_of_cpus(struct bare *bare)
{
	static const uint32_t counts[] = {1, 8, 15, 16, 32, 33, 64, 512, 4096};
	uint64_t page = page_of(bare->format);

	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		uint32_t cpus = counts[i];
		struct fixture f;
		unsigned char byte;

		begin(&f, bare, cpus);
		assert_status(kelp_copywin_init(&f.window, &f.config), KELP_OK);
		for (uint32_t cpu = 0; cpu < cpus; cpu++) {
			f.reach.cpu = cpu;
			assert_status(kelp_copywin_read(&f.window, cpu, (kelp_pfn_t){cpu % 5u + 1u},
							3, &byte, 1), KELP_OK);
			assert_int_equal(byte,
					 reach_frame(&f.reach, (cpu % 5u + 1u) * page)[3]);
		}
		assert_true(reach_holds_nothing(&f.reach));
		end(&f);
	}
}

static void init_is_all_or_nothing(struct bare *bare)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;
	struct fixture f;
	unsigned n = 0;

	begin(&f, bare, 16);
	reach_save(&f.reach);
	do {
		test_port_fail(bare->port, ++n, false);
		status = kelp_copywin_init(&f.window, &f.config);
		if (status != KELP_OK) {
			assert_status(status, KELP_ERR_NO_MEMORY);
			assert_true(reach_is_as_saved(&f.reach));
		}
	} while (status != KELP_OK);
	test_port_fail(bare->port, 0, false);
	assert_true(n >= 3);
	kelp_copywin_destroy(&f.window);
	assert_true(reach_is_as_saved(&f.reach));
	/* Somebody has a page of it. */
	kelp_flush_begin(&flush, &f.reach.space);
	assert_status(kelp_space_map(&flush, f.config.base + 7u * page_of(bare->format),
				     some_pa(bare->format, 0), page_of(bare->format),
				     data_of(bare->format), 0), KELP_OK);
	kelp_flush_commit(&flush);
	reach_save(&f.reach);
	assert_status(kelp_copywin_init(&f.window, &f.config), KELP_ERR_EXISTS);
	assert_true(reach_is_as_saved(&f.reach));
	f.config.cpus = 0;
	assert_status(kelp_copywin_init(&f.window, &f.config), KELP_ERR_ARGUMENT);
	f.config.cpus = 1;
	f.config.base += 1;
	assert_status(kelp_copywin_init(&f.window, &f.config), KELP_ERR_ALIGNMENT);
	free(f.cpu);
	reach_end(&f.reach);
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"INV-3.4 reaches any frame with nothing left", reaches_any_frame_with_nothing_left,
		 NULL},
		{"frames that cannot exist are refused", frames_that_cannot_exist_are_refused,
		 NULL},
		{"INV-3.6 any number of CPUs", any_number_of_cpus, NULL},
		{"init is all or nothing", init_is_all_or_nothing, NULL},
	};

	return bare_cases_run("reach_copywin", cases, COUNT_OF(cases));
}
