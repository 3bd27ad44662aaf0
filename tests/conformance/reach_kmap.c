/* SPDX-License-Identifier: MIT */
/*
 * kmap on every format: INV-3.7 with nesting interrupts and context switches, INV-3.8 with a TLB
 * that forgets nothing by itself, the ends of every range, any number of CPUs.
 */
#include "reach.h"
#include "slot_double.h"

#include <stdlib.h>
#include <string.h>

#define GLOBAL_PAGES 16u

struct fixture {
	struct reach reach;
	struct kelp_directmap map;
	struct kelp_kmap kmap;
	struct kelp_kmap_config config;
	struct kelp_kmap_hooks hooks;
	struct kelp_kmap_page pages[GLOBAL_PAGES];
	struct kelp_kmap_cpu *cpu;
	uint64_t page;
	uint64_t low; /* frames in the direct map */
	bool locked;
	unsigned sleeps, wakes;
	kelp_vaddr_t unmap_in_sleep;
	enum kelp_status status;
};

static void lock(void *context)
{
	struct fixture *f = context;

	assert_false(f->locked);
	f->locked = true;
}

static void unlock(void *context)
{
	struct fixture *f = context;

	assert_true(f->locked);
	f->locked = false;
}

/* Somebody else gets to run and gives one up. */
static void sleep_hook(void *context)
{
	struct fixture *f = context;
	unsigned wakes = f->wakes;

	assert_true(f->locked);
	assert_true(++f->sleeps < 100);
	f->locked = false;
	if (f->sleeps % 2 == 0) {
		kelp_kunmap(&f->kmap, f->unmap_in_sleep);
		assert_int_equal(f->wakes, wakes + 1);
	}
	f->locked = true;
}

static void wake(void *context)
{
	struct fixture *f = context;

	assert_false(f->locked);
	f->wakes++;
}

static void configure(struct fixture *f, struct bare *bare, uint32_t cpus, uint32_t flags)
{
	const struct kelp_format *format = bare->format;
	struct kelp_frame_range range;
	struct kelp_directmap_config direct;

	memset(f, 0, sizeof(*f));
	reach_begin(&f->reach, bare);
	reach_dismiss_judge(&f->reach);
	f->page = page_of(format);
	f->low = 8;
	range = (struct kelp_frame_range){{2}, {2 + f->low - 1u}};
	direct = (struct kelp_directmap_config){
		.space = &f->reach.space,
		.base = some_va(format, 1),
		.first = {2},
		.frames = f->low,
		.attributes = data_of(format),
	};
	assert_status(kelp_directmap_init(&f->map, &direct, &range, 1), KELP_OK);
	f->hooks = (struct kelp_kmap_hooks){f, lock, unlock, sleep_hook, wake};
	f->cpu = calloc(cpus, sizeof(*f->cpu));
	assert_non_null(f->cpu);
	f->config = (struct kelp_kmap_config){
		.space = &f->reach.space,
		.directmap = &f->map,
		.attributes = kelp_format_closest(format, data_of(format) |
							   KELP_ATTR_GLOBAL),
		.flags = flags,
		/* Neither begins where a table does. */
		.local_base = some_va(format, 6) - 3u * f->page,
		.cpus = cpus,
		.cpu = f->cpu,
		.global_base = some_va(format, 4) - 5u * f->page,
		.pages = GLOBAL_PAGES,
		.page = f->pages,
		.hooks = &f->hooks,
	};
}

static void begin(struct fixture *f, struct bare *bare, uint32_t cpus, uint32_t flags)
{
	configure(f, bare, cpus, flags);
	assert_status(kelp_kmap_init(&f->kmap, &f->config), KELP_OK);
	/* Nothing from here on allocates. */
	bare->port->forbid_take = true;
}

static void end(struct fixture *f)
{
	uint64_t all = f->config.global_base;
	kelp_attr_t attributes;
	kelp_paddr_t pa;

	kelp_kmap_destroy(&f->kmap);
	for (unsigned i = 0; i < GLOBAL_PAGES; i++, all += f->page)
		assert_false(raw_translate(f->reach.format, f->reach.port, f->reach.space.root,
					   all, &pa, &attributes));
	f->reach.port->forbid_take = false;
	free(f->cpu);
	reach_end(&f->reach);
}

static kelp_pfn_t high(struct fixture *f, unsigned n)
{
	return (kelp_pfn_t){2u + f->low + n};
}

/* Reads the frame's own bytes through the address, as the CPU does. */
static bool shows(struct fixture *f, kelp_vaddr_t va, kelp_pfn_t pfn)
{
	return reach_access(&f->reach, va, true) == reach_frame(&f->reach, pfn.number * f->page);
}

/* ---- local ------------------------------------------------------------------------------- */

static void frames_in_the_direct_map_have_an_address(struct bare *bare)
{
	struct kelp_kmap_context context = {0};
	struct fixture f;
	kelp_vaddr_t va;
	kelp_pfn_t pfn;

	begin(&f, bare, 2, 0);
	/* Both ends of the window; nothing is written anywhere. */
	reach_save(&f.reach);
	for (unsigned i = 0; i < f.low; i++) {
		assert_status(kelp_kmap_local(&f.kmap, &context, 0, (kelp_pfn_t){2u + i}, &va),
			      KELP_OK);
		assert_int_equal(va, kelp_directmap_address(&f.map, (kelp_pfn_t){2u + i}));
		assert_int_equal(context.depth, 0);
		assert_false(kelp_is_kmap_address(&f.kmap, va));
		assert_status(kelp_kmap_to_frame(&f.kmap, va + 5u, &pfn), KELP_OK);
		assert_int_equal(pfn.number, 2u + i);
		kelp_kunmap_local(&f.kmap, &context, 0, va + f.page - 1u);
		assert_status(kelp_kmap(&f.kmap, (kelp_pfn_t){2u + i}, &va), KELP_OK);
		kelp_kunmap(&f.kmap, va);
	}
	assert_true(reach_is_as_saved(&f.reach));
	/* One below, one above. */
	assert_status(kelp_kmap_local(&f.kmap, &context, 0, (kelp_pfn_t){1}, &va), KELP_OK);
	assert_true(kelp_is_kmap_address(&f.kmap, va));
	kelp_kunmap_local(&f.kmap, &context, 0, va);
	assert_status(kelp_kmap_local(&f.kmap, &context, 0, high(&f, 0), &va), KELP_OK);
	assert_true(kelp_is_kmap_address(&f.kmap, va));
	assert_true(shows(&f, va, high(&f, 0)));
	kelp_kunmap_local(&f.kmap, &context, 0, va + 1u);
	end(&f);
}

static void local_maps_are_a_stack(struct bare *bare)
{
	struct kelp_kmap_context context = {0}, stranger = {0};
	kelp_vaddr_t va[KELP_KMAP_DEPTH], none;
	struct fixture f;
	unsigned shootdowns;
	kelp_pfn_t pfn;

	begin(&f, bare, 3, 0);
	shootdowns = bare->port->shootdowns;
	f.reach.cpu = 1;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < KELP_KMAP_DEPTH; i++) {
			assert_status(kelp_kmap_local(&f.kmap, &context, 1,
						      high(&f, round * 7u + i), &va[i]), KELP_OK);
			/* Another frame than in the last round: nothing stale. */
			assert_true(shows(&f, va[i], high(&f, round * 7u + i)));
			assert_status(kelp_kmap_to_frame(&f.kmap, va[i] + 3u, &pfn), KELP_OK);
			assert_int_equal(pfn.number, high(&f, round * 7u + i).number);
		}
		for (unsigned i = KELP_KMAP_DEPTH; i-- > 0;) {
			assert_true(shows(&f, va[i], high(&f, round * 7u + i)));
			kelp_kunmap_local(&f.kmap, &context, 1, va[i] + (f.page - 1u));
			/* INV-3.7: none after unmap, in the tables and for the CPU. */
			assert_null(reach_access(&f.reach, va[i], false));
			assert_status(kelp_kmap_to_frame(&f.kmap, va[i], &pfn),
				      KELP_ERR_NOT_MAPPED);
		}
	}
	assert_int_equal(bare->port->shootdowns, shootdowns);
	/* What is out of order is caught, and nothing has happened. */
	assert_true(test_panics(bare->port, kelp_kunmap_local(&f.kmap, &context, 1, va[0])));
	assert_status(kelp_kmap_local(&f.kmap, &context, 1, high(&f, 0), &va[0]), KELP_OK);
	assert_status(kelp_kmap_local(&f.kmap, &context, 1, high(&f, 1), &va[1]), KELP_OK);
	assert_true(test_panics(bare->port, kelp_kunmap_local(&f.kmap, &context, 1, va[0])));
	assert_true(test_panics(bare->port, kelp_kunmap_local(&f.kmap, &context, 0, va[1])));
	assert_true(test_panics(bare->port, f.status = kelp_kmap_local(&f.kmap, &context, 0,
								       high(&f, 2), &none)));
	assert_true(test_panics(bare->port, f.status = kelp_kmap_local(&f.kmap, &stranger, 3,
								       high(&f, 2), &none)));
	for (unsigned i = 2; i < KELP_KMAP_DEPTH; i++)
		assert_status(kelp_kmap_local(&f.kmap, &context, 1, high(&f, i), &va[i]), KELP_OK);
	assert_true(test_panics(bare->port, f.status = kelp_kmap_local(&f.kmap, &context, 1,
								       high(&f, 2), &none)));
	for (unsigned i = KELP_KMAP_DEPTH; i-- > 0;)
		kelp_kunmap_local(&f.kmap, &context, 1, va[i]);
	/* No such frame: refused, and the stack is as it was. */
	assert_status(kelp_kmap_local(&f.kmap, &context, 1, (kelp_pfn_t){UINT64_MAX}, &va[0]),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_kmap_local(&f.kmap, &context, 1,
				      (kelp_pfn_t){UINT64_C(1) << (bare->format->pa_bits -
								   bare->format->page_shift)},
				      &va[0]), KELP_ERR_ADDRESS);
	/* One whose address would be that of a frame in the direct map, did it fit. */
	assert_status(kelp_kmap_local(&f.kmap, &context, 1,
				      (kelp_pfn_t){(UINT64_C(1) << (64u - bare->format->page_shift)) +
						   3u}, &va[0]), KELP_ERR_ADDRESS);
	assert_false(kelp_directmap_has_frame(
		&f.map, (kelp_pfn_t){(UINT64_C(1) << (64u - bare->format->page_shift)) + 3u}));
	assert_int_equal(context.depth, 0);
	end(&f);
}

/* Threads that map, are interrupted, and are switched, in any order that can be. */
static void maps_survive_switches_and_interrupts(struct bare *bare)
{
	enum { THREADS = 3, CPUS = 2 };
	struct {
		struct kelp_kmap_context context;
		kelp_vaddr_t va[KELP_KMAP_DEPTH];
		kelp_pfn_t pfn[KELP_KMAP_DEPTH];
	} thread[CPUS][THREADS] = {0};
	unsigned running[CPUS] = {0};
	struct random random = {7};
	struct fixture f;

	begin(&f, bare, CPUS, KELP_KMAP_GUARDS);
	for (unsigned step = 0; step < 1200; step++) {
		uint32_t cpu = f.reach.cpu = (uint32_t)random_below(&random, CPUS);
		unsigned now = running[cpu];
		struct kelp_kmap_context *context = &thread[cpu][now].context;
		unsigned depth = context->depth;

		switch (random_below(&random, 5)) {
		case 0: case 1:
			if (depth == KELP_KMAP_DEPTH)
				break;
			thread[cpu][now].pfn[depth] = high(&f, (unsigned)random_below(&random, 30));
			assert_status(kelp_kmap_local(&f.kmap, context, cpu,
						      thread[cpu][now].pfn[depth],
						      &thread[cpu][now].va[depth]), KELP_OK);
			break;
		case 2:
			if (depth > 0)
				kelp_kunmap_local(&f.kmap, context, cpu,
						  thread[cpu][now].va[depth - 1]);
			break;
		case 3: /* an interrupt: maps two, unmaps both */
			for (unsigned i = 0; i < 2 && depth + i < KELP_KMAP_DEPTH; i++) {
				kelp_vaddr_t va;

				assert_status(kelp_kmap_local(&f.kmap, context, cpu,
							      high(&f, 31u + i), &va), KELP_OK);
				assert_true(shows(&f, va, high(&f, 31u + i)));
				kelp_kunmap_local(&f.kmap, context, cpu, va);
			}
			assert_int_equal(context->depth, depth);
			break;
		case 4:
			kelp_kmap_switch_out(&f.kmap, context);
			for (unsigned i = 0; i < depth; i++)
				assert_null(reach_access(&f.reach, thread[cpu][now].va[i], false));
			now = running[cpu] = (unsigned)random_below(&random, THREADS);
			context = &thread[cpu][now].context;
			kelp_kmap_switch_in(&f.kmap, context, cpu);
			break;
		}
		for (unsigned i = 0; i < context->depth; i++)
			if (!shows(&f, thread[cpu][now].va[i], thread[cpu][now].pfn[i]))
				fail_msg("step %u: map %u of the running thread is lost", step, i);
	}
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		f.reach.cpu = cpu;
		kelp_kmap_switch_out(&f.kmap, &thread[cpu][running[cpu]].context);
	}
	assert_true(reach_holds_nothing(&f.reach));
	/* It comes back on another CPU: a caller's bug, and said so. */
	thread[0][0].context.depth = 1;
	thread[0][0].context.cpu = 0;
	assert_true(test_panics(bare->port, kelp_kmap_switch_in(&f.kmap, &thread[0][0].context,
								1)));
	end(&f);
}

static void ranges_are_right_at_both_ends(struct bare *bare)
{
	static const uint32_t counts[] = {1, 8, 15, 16, 32, 33, 64, 512, 4096};

	for (size_t c = 0; c < 2u * COUNT_OF(counts); c++) {
		uint32_t cpus = counts[c / 2], flags = c % 2 ? KELP_KMAP_GUARDS : 0;
		uint32_t per_cpu = flags ? 33 : 16;
		uint32_t step = cpus > 64 ? cpus / 61u : 1;
		kelp_vaddr_t local, global, last;
		struct fixture f;

		begin(&f, bare, cpus, flags);
		local = f.config.local_base;
		global = f.config.global_base;
		last = local + (uint64_t)cpus * per_cpu * f.page - 1u;
		/* Slot 0 of CPU 0 included. */
		assert_true(kelp_is_kmap_address(&f.kmap, local));
		assert_false(kelp_is_kmap_address(&f.kmap, local - 1u));
		assert_true(kelp_is_kmap_address(&f.kmap, last));
		assert_false(kelp_is_kmap_address(&f.kmap, last + 1u));
		assert_true(kelp_is_kmap_address(&f.kmap, global));
		assert_false(kelp_is_kmap_address(&f.kmap, global - 1u));
		assert_true(kelp_is_kmap_address(&f.kmap, global + GLOBAL_PAGES * f.page - 1u));
		assert_false(kelp_is_kmap_address(&f.kmap, global + GLOBAL_PAGES * f.page));
		for (uint32_t cpu = 0; cpu < cpus; cpu += cpu + step < cpus || cpu == cpus - 1
							   ? step : cpus - 1 - cpu) {
			struct kelp_kmap_context context = {0};
			kelp_vaddr_t va[KELP_KMAP_DEPTH];
			kelp_attr_t attributes;
			kelp_paddr_t pa;

			f.reach.cpu = cpu;
			for (unsigned i = 0; i < KELP_KMAP_DEPTH; i++) {
				assert_status(kelp_kmap_local(&f.kmap, &context, cpu,
							      high(&f, (cpu + i) % 40u), &va[i]),
					      KELP_OK);
				assert_int_equal(va[i], local + ((uint64_t)cpu * per_cpu +
								 (flags ? 2u * i + 1u : i)) *
									f.page);
				assert_true(kelp_is_kmap_address(&f.kmap, va[i]));
				assert_true(shows(&f, va[i], high(&f, (cpu + i) % 40u)));
			}
			/* Nothing is ever mapped on either side of a slot. */
			for (unsigned i = 0; flags && i < KELP_KMAP_DEPTH; i++) {
				assert_false(raw_translate(bare->format, bare->port,
							   f.reach.space.root, va[i] - f.page,
							   &pa, &attributes));
				assert_false(raw_translate(bare->format, bare->port,
							   f.reach.space.root, va[i] + f.page,
							   &pa, &attributes));
			}
			for (unsigned i = KELP_KMAP_DEPTH; i-- > 0;)
				kelp_kunmap_local(&f.kmap, &context, cpu, va[i]);
		}
		assert_true(reach_holds_nothing(&f.reach));
		end(&f);
	}
}

static void force_maps_always(struct bare *bare)
{
	struct kelp_kmap_context context = {0};
	struct fixture f;
	kelp_vaddr_t va;
	kelp_pfn_t pfn;

	begin(&f, bare, 1, KELP_KMAP_FORCE);
	assert_status(kelp_kmap_local(&f.kmap, &context, 0, (kelp_pfn_t){3}, &va), KELP_OK);
	assert_true(kelp_is_kmap_address(&f.kmap, va));
	assert_true(shows(&f, va, (kelp_pfn_t){3}));
	kelp_kunmap_local(&f.kmap, &context, 0, va);
	/* Kept too long: it faults. */
	assert_null(reach_access(&f.reach, va, false));
	assert_status(kelp_kmap(&f.kmap, (kelp_pfn_t){3}, &va), KELP_OK);
	assert_true(kelp_is_kmap_address(&f.kmap, va));
	kelp_kunmap(&f.kmap, va);
	assert_status(kelp_kmap_to_frame(&f.kmap, f.map.offset + 3u * f.page, &pfn),
		      KELP_ERR_ADDRESS);
	end(&f);
}

/* ---- global ------------------------------------------------------------------------------ */

static void global_maps_are_counted_and_flushed_once_per_wrap(struct bare *bare)
{
	struct {
		kelp_pfn_t pfn;
		kelp_vaddr_t va;
	} held[40];
	struct random random = {11};
	struct fixture f;
	unsigned count = 0, shootdowns, distinct, maps = 0;

	begin(&f, bare, 1, 0);
	shootdowns = bare->port->shootdowns;
	for (unsigned step = 0; step < 3000; step++) {
		/* Half of the slots at most are in use, so that there is a wrap without a sleep. */
		if (count < 12 && random_chance(&random, 55)) {
			kelp_pfn_t pfn = high(&f, (unsigned)random_below(&random, 36));
			kelp_vaddr_t va;

			f.reach.cpu = (uint32_t)random_below(&random, 3);
			assert_status(kelp_kmap(&f.kmap, pfn, &va), KELP_OK);
			assert_true(kelp_is_kmap_address(&f.kmap, va));
			for (unsigned i = 0; i < count; i++)
				assert_int_equal(held[i].va == va,
						 held[i].pfn.number == pfn.number);
			held[count].pfn = pfn;
			held[count++].va = va;
			maps++;
		} else if (count) {
			unsigned i = (unsigned)random_below(&random, count);

			kelp_kunmap(&f.kmap, held[i].va + 7u);
			held[i] = held[--count];
		}
		/* INV-3.8: every CPU sees the right frame, whatever it has cached of the slot. */
		for (unsigned i = 0; i < count; i++) {
			f.reach.cpu = (uint32_t)random_below(&random, 3);
			assert_true(shows(&f, held[i].va, held[i].pfn));
		}
		distinct = bare->port->shootdowns - shootdowns;
		/* Where invalid entries are cached each new map is told, too. */
		if (bare->format->caches_invalid)
			assert_true(distinct >= f.kmap.wraps);
		else
			assert_int_equal(distinct, f.kmap.wraps);
	}
	/* Far fewer flushes than maps: about one for each time around. */
	assert_true(f.kmap.wraps > 10);
	assert_true(f.kmap.wraps <= maps / 4u);
	assert_false(f.locked);
	while (count)
		kelp_kunmap(&f.kmap, held[--count].va);
	end(&f);
}

static void global_maps_wait_when_full(struct bare *bare)
{
	kelp_vaddr_t va[GLOBAL_PAGES], extra;
	struct fixture f;
	kelp_pfn_t pfn;

	begin(&f, bare, 1, 0);
	for (unsigned i = 0; i < GLOBAL_PAGES; i++)
		assert_status(kelp_kmap(&f.kmap, high(&f, i), &va[i]), KELP_OK);
	/* The same frame again is no new slot. */
	assert_status(kelp_kmap(&f.kmap, high(&f, 3), &extra), KELP_OK);
	assert_int_equal(extra, va[3]);
	f.unmap_in_sleep = va[3];
	kelp_kunmap(&f.kmap, va[3]);
	f.unmap_in_sleep = va[5];
	/* It sleeps, wakes up for nothing once, and then finds the slot that was given up. */
	assert_true(shows(&f, va[5], high(&f, 5)));
	assert_status(kelp_kmap(&f.kmap, high(&f, 20), &extra), KELP_OK);
	assert_int_equal(f.sleeps, 2);
	assert_int_equal(f.wakes, 1);
	assert_int_equal(extra, va[5]);
	assert_true(shows(&f, extra, high(&f, 20)));
	/* With nobody who could wait. */
	f.kmap.hooks.sleep = NULL;
	assert_status(kelp_kmap(&f.kmap, high(&f, 21), &extra), KELP_ERR_BUSY);
	assert_false(f.locked);
	kelp_kunmap(&f.kmap, va[9]);
	/* Its address stays until the wrap; the frame itself comes back to it. */
	assert_status(kelp_kmap_to_frame(&f.kmap, va[9], &pfn), KELP_OK);
	assert_status(kelp_kmap(&f.kmap, high(&f, 9), &extra), KELP_OK);
	assert_int_equal(extra, va[9]);
	kelp_kunmap(&f.kmap, va[9]);
	assert_status(kelp_kmap(&f.kmap, (kelp_pfn_t){UINT64_MAX >> 8}, &extra),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_kmap(&f.kmap, high(&f, 9), &extra), KELP_OK);
	kelp_kunmap(&f.kmap, extra);
	/* One user too few. */
	f.locked = false;
	assert_true(test_panics(bare->port, kelp_kunmap(&f.kmap, extra)));
	f.locked = false;
	assert_true(test_panics(bare->port, kelp_kunmap(&f.kmap, f.config.global_base - 1u)));
	assert_true(test_panics(bare->port, kelp_kmap_destroy(&f.kmap)));
	for (unsigned i = 0; i < GLOBAL_PAGES; i++)
		if (i != 9)
			kelp_kunmap(&f.kmap, va[i]);
	end(&f);
}

static void init_is_all_or_nothing(struct bare *bare)
{
	enum kelp_status status;
	struct fixture f;
	unsigned n = 0;

	configure(&f, bare, 600, KELP_KMAP_GUARDS);
	reach_save(&f.reach);
	do {
		test_port_fail(bare->port, ++n, false);
		status = kelp_kmap_init(&f.kmap, &f.config);
		if (status != KELP_OK) {
			assert_status(status, KELP_ERR_NO_MEMORY);
			assert_true(reach_is_as_saved(&f.reach));
		}
	} while (status != KELP_OK);
	test_port_fail(bare->port, 0, false);
	assert_true(n >= 4);
	kelp_kmap_destroy(&f.kmap);
	assert_true(reach_is_as_saved(&f.reach));
	/* The ranges overlap what is there: the direct map. */
	f.config.global_base = f.map.offset + f.map.first - f.page;
	assert_status(kelp_kmap_init(&f.kmap, &f.config), KELP_ERR_EXISTS);
	assert_true(reach_is_as_saved(&f.reach));
	/* In the window, where no frame is: behind the direct map's last. */
	f.map.size += 64u * f.page;
	f.config.global_base = f.map.offset + f.map.first + (f.low + 1u) * f.page;
	assert_status(kelp_kmap_init(&f.kmap, &f.config), KELP_ERR_EXISTS);
	f.map.size -= 64u * f.page;
	/* Each other: by one page, at either end. */
	f.config.global_base = f.config.local_base - (GLOBAL_PAGES - 1u) * f.page;
	assert_status(kelp_kmap_init(&f.kmap, &f.config), KELP_ERR_ARGUMENT);
	f.config.global_base = f.config.local_base + (600u * 33u - 1u) * f.page;
	assert_status(kelp_kmap_init(&f.kmap, &f.config), KELP_ERR_ARGUMENT);
	assert_true(reach_is_as_saved(&f.reach));
	f.config.global_base += f.page;
	assert_status(kelp_kmap_init(&f.kmap, &f.config), KELP_OK);
	kelp_kmap_destroy(&f.kmap);
	f.config.global_base = f.config.local_base - 64u * f.page;
	f.config.pages = 12;
	assert_status(kelp_kmap_init(&f.kmap, &f.config), KELP_ERR_ARGUMENT);
	f.config.pages = 16;
	f.hooks.lock = NULL;
	assert_status(kelp_kmap_init(&f.kmap, &f.config), KELP_ERR_ARGUMENT);
	f.config.pages = 0;
	f.config.hooks = NULL;
	assert_status(kelp_kmap_init(&f.kmap, &f.config), KELP_OK);
	assert_status(kelp_kmap(&f.kmap, high(&f, 0), &f.config.local_base),
		      KELP_ERR_UNSUPPORTED);
	assert_false(kelp_is_kmap_address(&f.kmap, f.kmap.global_base));
	end(&f);
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"frames in the direct map have an address",
		 frames_in_the_direct_map_have_an_address, NULL},
		{"INV-3.7 local maps are a stack", local_maps_are_a_stack, NULL},
		{"INV-3.7 maps survive switches and interrupts",
		 maps_survive_switches_and_interrupts, NULL},
		{"INV-3.6 ranges are right at both ends", ranges_are_right_at_both_ends, NULL},
		{"force maps always", force_maps_always, NULL},
		{"INV-3.8 global maps are counted and flushed once per wrap",
		 global_maps_are_counted_and_flushed_once_per_wrap, NULL},
		{"INV-3.8 global maps wait when full", global_maps_wait_when_full, NULL},
		{"init is all or nothing", init_is_all_or_nothing, NULL},
	};

	return bare_cases_run("reach_kmap", cases, COUNT_OF(cases));
}
