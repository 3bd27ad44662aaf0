/* SPDX-License-Identifier: MIT */
/*
 * Hotplug with a real direct map, on every format: it grows and shrinks with the memory, its tables
 * are bit for bit what they were when the memory is gone, and when the port has no table page the
 * step changes nothing. A subsection is what one table of pages spans, or 16 pages where that is
 * less than the largest leaf: then leaves are split for it.
 */
#include "reach.h"

#include <kelp/hotplug.h>

#include <stdlib.h>
#include <string.h>

#define SUBSECTIONS 8u

struct fixture {
	struct reach reach;
	struct kelp_directmap directmap;
	struct kelp_memmap map;
	struct kelp_hotplug plug;
	void *memory;
	void *hosted; /* what hosting frames hold */
	uint64_t first; /* frame */
	uint64_t sub;   /* frames */
	unsigned taken;
};

static void *take(void *context, enum kelp_memmap_memory what, size_t size)
{
	struct fixture *f = context;

	(void)what;
	f->taken++;
	return aligned_alloc(64, (size + 63u) & ~(size_t)63u);
}

static void give(void *context, enum kelp_memmap_memory what, void *memory, size_t size)
{
	struct fixture *f = context;

	(void)what, (void)size;
	f->taken--;
	free(memory);
}

static enum kelp_status reach_add(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct fixture *f = context;

	return kelp_directmap_add(&f->directmap, first, frames);
}

static enum kelp_status reach_remove(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct fixture *f = context;

	return kelp_directmap_remove(&f->directmap, first, frames);
}

static void *pointer(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct fixture *f = context;

	for (uint64_t i = 0; i < frames; i++)
		assert_true(kelp_directmap_present(&f->directmap, (kelp_pfn_t){first.number + i}));
	return f->hosted;
}

static enum kelp_status isolate(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)first, (void)frames;
	return KELP_OK;
}

static void give_back(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)first, (void)frames;
}

static const struct kelp_hotplug_hooks hooks = {
	.reach_add = reach_add,
	.reach_remove = reach_remove,
	.pointer = pointer,
	.isolate = isolate,
	.give_back = give_back,
};

static void begin(struct fixture *f, struct bare *bare, bool small)
{
	const struct kelp_format *format = bare->format;
	unsigned page = format->page_shift;
	unsigned shift = small ? page + 4u : format->shift[1];
	unsigned bits = format->pa_bits < 52 ? format->pa_bits : 52;
	/* No map has more than 2^31 subsections. */
	unsigned least = bits > 31 ? bits - 31 : 0;
	struct kelp_directmap_config config = {
		.space = &f->reach.space,
		.base = some_va(format, 0),
		.attributes = data_of(format) & ~(KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY),
		.quiesce = reach_quiesce,
		.quiesce_context = &f->reach,
	};
	struct kelp_memmap_config memmap = {
		.port = &bare->port->hooks,
		.page_shift = page,
		.physical_bits = bits,
		.section_shift = shift + 2u,
		.subsection_shift = shift,
		.descriptor_size = 8,
		.frame_bytes = 8,
		.holds = {.cpus = 1},
		.context = f,
		.take = take,
		.give = give,
	};
	struct kelp_hotplug_hooks own = hooks;
	size_t size;

	if (shift < least) {
		shift = least;
		memmap.subsection_shift = shift;
		memmap.section_shift = shift + 2u;
	}
	memset(f, 0, sizeof(*f));
	/* Few sections, so that their number stays within bounds. */
	while (bits - memmap.section_shift > 24u)
		memmap.section_shift++;
	reach_begin(&f->reach, bare);
	f->sub = UINT64_C(1) << (shift - page);
	f->first = some_pa(format, 0) >> page;
	config.first.number = f->first;
	config.frames = SUBSECTIONS * f->sub;
	if (memmap.section_shift > bits) {
		memmap.section_shift = bits;
		config.frames = f->sub;
	}
	assert_status(kelp_directmap_init(&f->directmap, &config, NULL, 0), KELP_OK);
	assert_status(kelp_memmap_size(&memmap, &size), KELP_OK);
	f->memory = memmap.memory = aligned_alloc(64, (size + 63u) & ~(size_t)63u);
	assert_non_null(f->memory);
	f->hosted = calloc(SUBSECTIONS * f->sub, 8);
	assert_non_null(f->hosted);
	assert_status(kelp_memmap_init(&f->map, &memmap), KELP_OK);
	own.context = f;
	assert_status(kelp_hotplug_init(&f->plug, &f->map, &own), KELP_OK);
	reach_settled(&f->reach);
}

static void end(struct fixture *f)
{
	kelp_memmap_destroy(&f->map);
	assert_int_equal(f->taken, 0);
	free(f->memory);
	free(f->hosted);
	reach_end(&f->reach);
}

static kelp_pfn_t at(const struct fixture *f, uint64_t subsection)
{
	return (kelp_pfn_t){f->first + subsection * f->sub};
}

/* Present in the direct map and valid, all of it, or neither. */
static void check(struct fixture *f, uint64_t subsection, bool there)
{
	kelp_pfn_t first = at(f, subsection);
	const uint64_t offsets[] = {0, 1, f->sub / 2, f->sub - 1};

	for (unsigned i = 0; i < 4; i++) {
		kelp_pfn_t pfn = {first.number + offsets[i]};

		assert_int_equal(kelp_pfn_valid(&f->map, pfn), there);
		assert_int_equal(kelp_directmap_present(&f->directmap, pfn), there);
	}
}

static void ram_and_device(struct fixture *f, struct bare *bare, uint32_t flags)
{
	(void)bare;
	/* A neighbour of each side stays. */
	assert_status(kelp_hotplug_add(&f->plug, at(f, 0), f->sub, 0, 0), KELP_OK);
	assert_status(kelp_hotplug_attach(&f->plug, at(f, 3), f->sub, 1, 0), KELP_OK);
	reach_settled(&f->reach);
	reach_save(&f->reach);
	for (unsigned round = 0; round < 2; round++) {
		assert_status(kelp_hotplug_add(&f->plug, at(f, 1), 2 * f->sub, 0, flags), KELP_OK);
		check(f, 1, true);
		check(f, 2, true);
		assert_status(kelp_hotplug_online(&f->plug, at(f, 1), 2 * f->sub), KELP_OK);
		assert_status(kelp_hotplug_offline(&f->plug, at(f, 1), 2 * f->sub, NULL), KELP_OK);
		assert_status(kelp_hotplug_remove(&f->plug, at(f, 2), f->sub), KELP_OK);
		check(f, 2, false);
		check(f, 3, true);
		assert_status(kelp_hotplug_attach(&f->plug, at(f, 2), f->sub, 0, flags), KELP_OK);
		check(f, 2, true);
		assert_status(kelp_hotplug_detach(&f->plug, at(f, 2), f->sub, NULL), KELP_OK);
		check(f, 1, true);
		assert_status(kelp_hotplug_remove(&f->plug, at(f, 1), f->sub), KELP_OK);
		check(f, 0, true);
		check(f, 1, false);
		check(f, 2, false);
		check(f, 3, true);
		reach_settled(&f->reach);
		assert_true(reach_is_as_saved(&f->reach));
	}
	assert_status(kelp_hotplug_remove(&f->plug, at(f, 0), f->sub), KELP_OK);
	assert_status(kelp_hotplug_detach(&f->plug, at(f, 3), f->sub, NULL), KELP_OK);
}

static void comes_and_goes(struct bare *bare)
{
	struct fixture f;

	for (unsigned small = 0; small < 2; small++)
		for (uint32_t flags = 0; flags < 2; flags++) {
			begin(&f, bare, small);
			ram_and_device(&f, bare, flags ? KELP_HOTPLUG_SELF_HOSTED : 0);
			end(&f);
		}
}

/* The Nth table page is not there: adding, and removing in the midst of a large leaf. */
static void no_table_page(struct bare *bare)
{
	struct fixture f;
	bool was_failed = true;

	for (unsigned n = 1; was_failed; n++) {
		unsigned taken;
		enum kelp_status status;

		begin(&f, bare, true);
		reach_save(&f.reach);
		taken = f.taken;
		test_port_fail(bare->port, n, false);
		status = kelp_hotplug_add(&f.plug, at(&f, 0), SUBSECTIONS * f.sub, 0, 0);
		was_failed = bare->port->failed > 0;
		test_port_fail(bare->port, 0, false);
		if (was_failed) {
			assert_status(status, KELP_ERR_NO_MEMORY);
			assert_int_equal(f.taken, taken);
			check(&f, 0, false);
			assert_true(reach_is_as_saved(&f.reach));
			status = kelp_hotplug_add(&f.plug, at(&f, 0), SUBSECTIONS * f.sub, 0, 0);
		}
		assert_status(status, KELP_OK);
		reach_settled(&f.reach);
		reach_save(&f.reach);
		test_port_fail(bare->port, 1, false);
		status = kelp_hotplug_remove(&f.plug, at(&f, 3), f.sub);
		/* Where nothing is split, nothing is taken. */
		if (bare->port->failed > 0) {
			assert_status(status, KELP_ERR_NO_MEMORY);
			check(&f, 3, true);
			assert_true(reach_is_as_saved(&f.reach));
			test_port_fail(bare->port, 0, false);
			status = kelp_hotplug_remove(&f.plug, at(&f, 3), f.sub);
		}
		test_port_fail(bare->port, 0, false);
		assert_status(status, KELP_OK);
		check(&f, 2, true);
		check(&f, 3, false);
		check(&f, 4, true);
		assert_status(kelp_hotplug_remove(&f.plug, at(&f, 0), 3 * f.sub), KELP_OK);
		assert_status(kelp_hotplug_remove(&f.plug, at(&f, 4), 4 * f.sub), KELP_OK);
		reach_settled(&f.reach);
		end(&f);
	}
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"INV-2.2 the direct map grows and shrinks with the memory", comes_and_goes, NULL},
		{"without a table page nothing changes", no_table_page, NULL},
	};

	return bare_cases_run("hotplug_directmap", cases, COUNT_OF(cases));
}
