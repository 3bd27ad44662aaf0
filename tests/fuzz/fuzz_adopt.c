/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: bytes become somebody else's tables. Adopting them is refused as malformed, or they
 * can be walked, queried and edited, and are left as they were but for what was edited.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats.h"
#include "raw.h"
#include "report.h"
#include "test_port.h"

#define TABLES 12u
#define LIMIT  64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *data;
	size_t left;
};

static uint64_t next(struct bytes *bytes, unsigned count)
{
	uint64_t value = 0;

	while (count-- > 0) {
		value = value << 8 | (bytes->left ? *bytes->data : 0);
		if (bytes->left) {
			bytes->left--;
			bytes->data++;
		}
	}
	return value;
}

static void die(const char *format_name, const char *what)
{
	fprintf(stderr, "%s: %s; %s\n", format_name, what, test_failure());
	abort();
}

/*
 * Entries anywhere in a few tables: pointers to any of them (loops too), leaves, with any bits
 * flipped, and plain rubbish. A pointer out of the tables is refused by nobody but the machine,
 * so rubbish is kept only where it is no pointer.
 */
static void fill(struct bytes *bytes, const struct kelp_format *f, struct test_port *port,
		 const kelp_paddr_t *tables)
{
	while (bytes->left > 4) {
		unsigned what = (unsigned)next(bytes, 1), table = (unsigned)next(bytes, 1) % TABLES;
		unsigned level = (what >> 4) % f->levels;
		unsigned index = (unsigned)next(bytes, 2) & ((1u << f->index_bits[0]) - 1u);
		kelp_attr_t attributes =
			kelp_format_closest(f, (kelp_attr_t)next(bytes, 1) & 0xff);
		uint64_t entry = 0;

		switch (what & 3) {
		case 0:
		case 1:
			if (level > 0)
				entry = f->ops->table(f, level, tables[next(bytes, 1) % TABLES],
						      what & 8);
			break;
		case 2:
			if (f->ops->leaf(f, level, next(bytes, 1) << f->shift[level], attributes,
					 false, &entry) != KELP_OK)
				entry = 0;
			break;
		default:
			entry = next(bytes, 8);
			if (f->entry_bytes == 4)
				entry &= UINT32_MAX;
			break;
		}
		if (what & 4)
			entry ^= UINT64_C(1) << next(bytes, 1) % (f->entry_bytes * 8u);
		for (unsigned l = 1; l < f->levels; l++) {
			kelp_paddr_t target;

			if (f->ops->kind(f, l, entry) != KELP_ENTRY_TABLE ||
			    !f->ops->well_formed(f, l, entry))
				continue;
			target = f->ops->address(f, l, entry);
			if (test_port_state(port, target) != TEST_PAGE_FOREIGN)
				entry = 0;
		}
		if (index < 8 || what & 4)
			raw_write(f, port, tables[table], index % 8u, entry);
		else
			raw_write(f, port, tables[table], index, entry);
	}
}

struct visits {
	uint64_t count;
	kelp_vaddr_t last;
	bool wrong;
};

static enum kelp_visit visit(void *context, const struct kelp_mapping *mapping)
{
	struct visits *visits = context;

	if (mapping->kind == KELP_ENTRY_TABLE)
		return KELP_VISIT_CONTINUE;
	if (visits->count > 0 && mapping->va <= visits->last)
		visits->wrong = true;
	visits->last = mapping->va + (mapping->size - 1u);
	return ++visits->count > 20000 ? KELP_VISIT_STOP : KELP_VISIT_CONTINUE;
}

static void walk_all(const struct kelp_format *f, const struct kelp_space *space)
{
	for (uint32_t flags = 0; flags < 8; flags++)
		for (unsigned r = 0; r < f->va_ranges; r++) {
			struct visits visits = {0};

			if (kelp_space_walk(space, f->va_first[r],
					    f->va_last[r] - f->va_first[r] + 1u, flags, visit,
					    &visits) != KELP_OK || visits.wrong)
				die(f->name, "a walk of adopted tables");
		}
}

/* Query and translate agree with hardware's walk. */
static void look(struct bytes *bytes, const struct kelp_format *f, struct test_port *port,
		 const struct kelp_space *space)
{
	for (unsigned i = 0; i < 16; i++) {
		kelp_vaddr_t va = f->va_first[i % f->va_ranges] +
				  ((next(bytes, 1) % 8u) << f->shift[f->levels - 1u]) +
				  ((next(bytes, 1) % 8u) << f->shift[1]) +
				  ((next(bytes, 1) % 8u) << f->shift[0]);
		kelp_paddr_t pa = 0, raw_pa = 0;
		struct kelp_mapping mapping;
		kelp_attr_t attributes = 0;
		bool translated;

		if (!kelp_format_is_canonical(f, va))
			continue;
		translated = raw_translate(f, port, space->root, va, &raw_pa, &attributes);
		if ((kelp_space_translate(space, va, &pa) == KELP_OK) != translated ||
		    (translated && pa != raw_pa))
			die(f->name, "translate and hardware differ");
		if (kelp_space_query(space, va, &mapping) != KELP_OK ||
		    (mapping.kind == KELP_ENTRY_LEAF) != translated)
			die(f->name, "query and hardware differ");
		if (translated && (mapping.pa + (va - mapping.va) != raw_pa ||
				   (attributes & ~mapping.attributes)))
			die(f->name, "query and hardware see different leaves");
	}
}

/* Edits may be refused; what they do not refuse they must survive. */
static void edit(struct bytes *bytes, const struct kelp_format *f, struct kelp_space *space)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, space);
	for (unsigned i = 0; i < 6; i++) {
		unsigned what = (unsigned)next(bytes, 1);
		kelp_vaddr_t va = f->va_first[0] +
				  ((next(bytes, 1) % 4u) << f->shift[f->levels - 1u]) +
				  ((next(bytes, 1) % 4u) << f->shift[1]) +
				  ((next(bytes, 1) % 4u) << f->shift[0]);
		uint64_t size = UINT64_C(1) << f->shift[what >> 4 & 1];
		enum kelp_status status = KELP_OK;

		switch (what % 6u) {
		case 0:
			status = kelp_space_map(&flush, va, 0, size,
						kelp_format_closest(f, KELP_ATTR_READ),
						KELP_ALLOW_BREAK | (what & 0x80 ? KELP_REPLACE : 0));
			break;
		case 1:
			status = kelp_space_unmap(&flush, va, size, KELP_ALLOW_BREAK);
			break;
		case 2:
			status = kelp_space_protect(&flush, va, size, KELP_ATTR_INVALID, 0,
						    KELP_ALLOW_BREAK | KELP_SKIP_HOLES);
			break;
		case 3:
			status = kelp_space_split(&flush, va, size, f->page_shift,
						  KELP_ALLOW_BREAK);
			break;
		case 4:
			status = kelp_space_coalesce(&flush, va, size, f->page_shift,
						     KELP_ALLOW_BREAK, NULL);
			break;
		default:
			status = kelp_space_release(&flush, va, size, NULL);
			break;
		}
		(void)status;
	}
	kelp_flush_commit(&flush);
}

struct reached {
	kelp_paddr_t table[LIMIT + 1];
	unsigned count;
	bool twice;
};

static enum kelp_visit reach(void *context, const struct kelp_mapping *mapping)
{
	struct reached *reached = context;

	if (mapping->kind != KELP_ENTRY_TABLE)
		return KELP_VISIT_CONTINUE;
	for (unsigned i = 0; i < reached->count; i++)
		reached->twice = reached->twice || reached->table[i] == mapping->pa;
	if (reached->twice || reached->count > LIMIT)
		return KELP_VISIT_STOP;
	reached->table[reached->count++] = mapping->pa;
	return KELP_VISIT_CONTINUE;
}

/* A table that is reached twice is not a tree, and edits are for trees. */
static bool is_tree(const struct kelp_format *f, const struct kelp_space *space)
{
	struct reached reached = {.table = {space->root}, .count = 1};

	for (unsigned r = 0; r < f->va_ranges; r++)
		if (kelp_space_walk(space, f->va_first[r], f->va_last[r] - f->va_first[r] + 1u,
				    KELP_WALK_TABLES, reach, &reached) != KELP_OK)
			die(f->name, "a walk of the tables");
	return !reached.twice && reached.count <= LIMIT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = {data, size};
	const struct test_format *formats;
	size_t count = test_formats(&formats);
	const struct kelp_format *f;
	struct test_port *port;
	struct kelp_space space;
	kelp_paddr_t tables[TABLES];
	enum kelp_status status;

	if (size < 8 || size > 2048)
		return 0;
	f = &formats[next(&bytes, 1) % count].format;
	test_report_reset();
	port = test_port_new(f);
	for (unsigned i = 0; i < TABLES; i++)
		tables[i] = test_port_foreign(port, i == 0 || f->root_limit < UINT32_MAX ||
								    f->entry_bytes == 4
							    ? f->root_limit
							    : (UINT64_C(1) << f->pa_bits) - 1u);
	fill(&bytes, f, port, tables);
	bytes = (struct bytes){data, size};
	status = kelp_space_adopt(&space, f, &port->hooks, tables[0], LIMIT,
				  size & 1 ? KELP_SPACE_DISOWN : 0);
	if (status == KELP_OK) {
		walk_all(f, &space);
		look(&bytes, f, port, &space);
		if (is_tree(f, &space))
			edit(&bytes, f, &space);
		walk_all(f, &space);
		kelp_space_destroy(&space);
		if (port->live)
			die(f->name, "pages are lost");
	} else if (status != KELP_ERR_MALFORMED) {
		die(f->name, "neither adopted nor malformed");
	}
	if (test_failed())
		die(f->name, "the port complains");
	test_port_free(port);
	return 0;
}
