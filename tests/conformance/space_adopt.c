/* SPDX-License-Identifier: MIT */
/*
 * Conformance: init, adopt, destroy. Adopted tables are read, kept and never stomped; what is
 * malformed is refused before anything is changed.
 */
#include <string.h>

#include "cases.h"

/* A foreign tree: a root and a chain of tables down to level 0 for one address. */
struct foreign {
	const struct kelp_format *format;
	struct test_port *port;
	kelp_paddr_t table[KELP_LEVELS_MAX]; /* by level; [levels - 1] is the root */
	kelp_vaddr_t va;
};

static unsigned index_of(const struct kelp_format *f, unsigned level, kelp_vaddr_t va)
{
	return (unsigned)(va >> f->shift[level]) & ((1u << f->index_bits[level]) - 1u);
}

static kelp_paddr_t table_limit(const struct kelp_format *f)
{
	return f->entry_bytes == 4 ? UINT32_MAX : (UINT64_C(1) << f->pa_bits) - 1u;
}

static void make_foreign(struct foreign *foreign, const struct bare *bare)
{
	const struct kelp_format *f = bare->format;

	*foreign = (struct foreign){.format = f, .port = bare->port, .va = some_va(f, 0)};
	for (unsigned level = f->levels; level-- > 0;) {
		kelp_paddr_t limit = table_limit(f);

		if (level == f->levels - 1u && f->root_limit < limit)
			limit = f->root_limit;
		foreign->table[level] = test_port_foreign(bare->port, limit);
		if (level < f->levels - 1u)
			raw_write(f, bare->port, foreign->table[level + 1],
				  index_of(f, level + 1, foreign->va),
				  f->ops->table(f, level + 1, foreign->table[level], false));
	}
}

static kelp_paddr_t root_of(const struct foreign *foreign)
{
	return foreign->table[foreign->format->levels - 1u];
}

/* A leaf in the lowest foreign table. */
static uint64_t put_leaf(const struct foreign *foreign, unsigned offset, kelp_paddr_t pa,
			 kelp_attr_t attributes)
{
	const struct kelp_format *f = foreign->format;
	uint64_t entry = 0;

	assert_status(f->ops->leaf(f, 0, pa, attributes, false, &entry), KELP_OK);
	raw_write(f, foreign->port, foreign->table[0], index_of(f, 0, foreign->va) + offset,
		  entry);
	return entry;
}

static void end(struct bare *bare, struct kelp_space *space)
{
	kelp_space_destroy(space);
	assert_int_equal(bare->port->live, 0);
}

/* ---- init -------------------------------------------------------------------------------- */

static void init_takes_the_root_only(struct bare *bare)
{
	struct kelp_space space;

	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks, 0), KELP_OK);
	assert_int_equal(bare->port->takes, 1);
	assert_int_equal(kelp_space_root(&space), bare->port->last_page);
	assert_true(kelp_space_root(&space) + bare->port->page_size - 1u <=
		    bare->format->root_limit);
	end(bare, &space);
	assert_int_equal(bare->port->gives, 1);
	/* Flushed before it was freed. */
	assert_int_equal(bare->port->events[1].kind, TEST_SHOOTDOWN);
	assert_true(bare->port->events[1].request.flags & KELP_FLUSH_ALL);
	assert_true(bare->port->events[1].request.flags & KELP_FLUSH_GLOBAL);
	assert_int_equal(bare->port->events[bare->port->event_count - 1].kind, TEST_GIVE);
}

static void init_fails_cleanly(struct bare *bare)
{
	struct kelp_space space;

	test_port_fail(bare->port, 1, true);
	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks, 0),
		      KELP_ERR_NO_MEMORY);
	test_port_fail(bare->port, 0, false);
	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks, 1u << 16),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks,
				      KELP_SPACE_DISOWN), KELP_ERR_ARGUMENT);
	assert_int_equal(bare->port->live, 0);
}

/* ---- adopt ------------------------------------------------------------------------------- */

static void adopts_and_keeps(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f), kept[3];
	struct kelp_mapping mapping;
	struct kelp_space space;
	struct kelp_flush flush = {0};
	struct foreign foreign;
	unsigned char before[1u << 16];

	make_foreign(&foreign, bare);
	kept[0] = put_leaf(&foreign, 0, some_pa(f, 0), data_of(f));
	kept[1] = put_leaf(&foreign, 3, some_pa(f, 0) + page, text_of(f));
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign), 100, 0),
		      KELP_OK);
	assert_int_equal(bare->port->takes, 0);
	assert_int_equal(kelp_space_root(&space), root_of(&foreign));
	assert_status(kelp_space_query(&space, foreign.va + 3 * page, &mapping), KELP_OK);
	assert_int_equal(mapping.entry, kept[1]);
	assert_int_equal(mapping.pa, some_pa(f, 0) + page);
	assert_int_equal(mapping.attributes, text_of(f));

	/* What is there is not replaced unasked; next to it there is room. */
	kelp_flush_begin(&flush, &space);
	assert_status(kelp_space_map(&flush, foreign.va, 0, page, data_of(f), 0), KELP_ERR_EXISTS);
	assert_status(kelp_space_map(&flush, foreign.va + page, some_pa(f, 1), page, data_of(f),
				     0), KELP_OK);
	assert_int_equal(raw_read(f, bare->port, foreign.table[0], index_of(f, 0, foreign.va)),
			 kept[0]);
	assert_int_equal(bare->port->live, 0);

	/* Kelp's own tables next to it are its own. */
	assert_status(kelp_space_map(&flush, some_va(f, 1), some_pa(f, 1), page, data_of(f), 0),
		      KELP_OK);
	kelp_flush_commit(&flush);

	/* Unmapping everything leaves the foreign tables, empty, and takes Kelp's. */
	kelp_flush_begin(&flush, &space);
	for (unsigned r = 0; r < f->va_ranges; r++)
		assert_status(kelp_space_unmap(&flush, f->va_first[r],
					       f->va_last[r] - f->va_first[r] + 1u, 0), KELP_OK);
	kelp_flush_commit(&flush);
	assert_int_equal(bare->port->live, 0);
	assert_int_equal(space.tables, 0);
	for (unsigned level = 0; level < f->levels; level++)
		assert_int_equal(test_port_state(bare->port, foreign.table[level]),
				 TEST_PAGE_FOREIGN);
	assert_int_not_equal(raw_read(f, bare->port, root_of(&foreign),
				      index_of(f, f->levels - 1u, foreign.va)), 0);
	/* And destroy does not touch them. */
	memcpy(before, test_port_memory(bare->port, foreign.table[0]), bare->port->page_size);
	end(bare, &space);
	assert_memory_equal(before, test_port_memory(bare->port, foreign.table[0]),
			    bare->port->page_size);
}

/* Destroy takes Kelp's tables out of foreign ones, where they would dangle. */
static void destroy_leaves_nothing_dangling(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_space space;
	struct kelp_flush flush = {0};
	struct foreign foreign;
	struct raw_list list = {0};
	uint64_t digest;

	make_foreign(&foreign, bare);
	put_leaf(&foreign, 0, some_pa(f, 0), data_of(f));
	digest = raw_digest(f, bare->port, root_of(&foreign));
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign), 100, 0),
		      KELP_OK);
	kelp_flush_begin(&flush, &space);
	assert_status(kelp_space_map(&flush, some_va(f, 1), some_pa(f, 1), page_of(f), data_of(f),
				     0), KELP_OK);
	assert_status(kelp_space_map(&flush, some_va(f, 2), some_pa(f, 1), page_of(f), data_of(f),
				     0), KELP_OK);
	kelp_flush_commit(&flush);
	end(bare, &space);
	raw_collect(&list, f, bare->port, root_of(&foreign));
	assert_no_failure();
	/* Two levels: the new leaves share the foreign table, and leaves are not Kelp's to take. */
	for (size_t i = 0; i < list.count; i++)
		assert_false(list.items[i].kind == KELP_ENTRY_TABLE && list.items[i].owned);
	if (index_of(f, f->levels - 1u, some_va(f, 1)) != index_of(f, f->levels - 1u, foreign.va))
		assert_int_equal(raw_digest(f, bare->port, root_of(&foreign)), digest);
	raw_free(&list);
}

/* A foreign table is never merged into a leaf or given back as empty. */
static void foreign_tables_do_not_coalesce(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	unsigned entries = 1u << f->index_bits[0];
	uint64_t span = UINT64_C(1) << f->shift[1], released = 7, merged = 7;
	struct kelp_space space;
	struct kelp_flush flush = {0};
	struct foreign foreign;

	make_foreign(&foreign, bare);
	for (unsigned i = 0; i < entries; i++) {
		uint64_t entry = 0;

		assert_status(f->ops->leaf(f, 0, some_pa(f, 0) + i * page_of(f), data_of(f), false,
					   &entry), KELP_OK);
		raw_write(f, bare->port, foreign.table[0], i, entry);
	}
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign), 100,
				       KELP_SPACE_NO_GROUPS), KELP_OK);
	kelp_flush_begin(&flush, &space);
	assert_status(kelp_space_coalesce(&flush, foreign.va & ~(span - 1u), span,
					  f->shift[1] <= largest_shift(f) ? f->shift[1]
									  : f->page_shift,
					  KELP_ALLOW_BREAK, &merged), KELP_OK);
	assert_int_equal(merged, 0);
	assert_status(kelp_space_unmap(&flush, foreign.va & ~(span - 1u), span, KELP_STRICT),
		      KELP_OK);
	assert_status(kelp_space_release(&flush, foreign.va, page_of(f), &released), KELP_OK);
	assert_int_equal(released, 0);
	kelp_flush_commit(&flush);
	assert_int_equal(f->ops->address(f, 1, raw_read(f, bare->port, foreign.table[1],
							index_of(f, 1, foreign.va))),
			 foreign.table[0]);
	/* A large leaf does not take a foreign table's place either: small leaves fill it. */
	kelp_flush_begin(&flush, &space);
	assert_status(kelp_space_map(&flush, foreign.va & ~(span - 1u), some_pa(f, 0), span,
				     data_of(f), KELP_REPLACE | KELP_ALLOW_BREAK), KELP_OK);
	kelp_flush_commit(&flush);
	assert_int_equal(f->ops->address(f, 1, raw_read(f, bare->port, foreign.table[1],
							index_of(f, 1, foreign.va))),
			 foreign.table[0]);
	end(bare, &space);
}

/* ---- rights that tables above take away --------------------------------------------------- */

static kelp_attr_t deniable(const struct kelp_format *f, unsigned level, uint64_t *bits)
{
	uint64_t plain = f->ops->table(f, level, 0, false);

	/* Tries every bit: whichever makes the format say that something is denied. */
	for (unsigned bit = 0; bit < f->entry_bytes * 8u; bit++) {
		uint64_t entry = plain ^ UINT64_C(1) << bit;

		if (f->ops->kind(f, level, entry) != KELP_ENTRY_TABLE ||
		    !f->ops->well_formed(f, level, entry) ||
		    f->ops->address(f, level, entry) != f->ops->address(f, level, plain) ||
		    f->ops->owned(f, level, entry))
			continue;
		if (f->ops->denied(f, level, entry) & KELP_ATTR_WRITE) {
			*bits = UINT64_C(1) << bit;
			return f->ops->denied(f, level, entry);
		}
	}
	*bits = 0;
	return 0;
}

static bool has_hierarchy(const struct kelp_format *f)
{
	uint64_t bits;

	return deniable(f, 1, &bits) != 0;
}

/* What tables above deny is gone from what is read; what is inherited survives a split. */
static void inherited_rights(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f), bits;
	kelp_attr_t denied = deniable(f, 1, &bits);
	struct kelp_mapping mapping;
	struct kelp_space space;
	struct kelp_flush flush = {0};
	struct foreign foreign;
	kelp_paddr_t pa;
	kelp_attr_t attr;

	make_foreign(&foreign, bare);
	raw_write(f, bare->port, foreign.table[1], index_of(f, 1, foreign.va),
		  f->ops->table(f, 1, foreign.table[0], false) ^ bits);
	put_leaf(&foreign, 0, some_pa(f, 0), data_of(f));
	put_leaf(&foreign, 1, some_pa(f, 0) + page, rodata_of(f));
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign), 100, 0),
		      KELP_OK);
	assert_status(kelp_space_query(&space, foreign.va, &mapping), KELP_OK);
	assert_int_equal(mapping.attributes, data_of(f) & ~denied);
	assert_true(raw_translate(f, bare->port, space.root, foreign.va, &pa, &attr));
	assert_int_equal(mapping.attributes, attr);

	kelp_flush_begin(&flush, &space);
	/* Asking for what would be taken away is refused, with nothing changed. */
	assert_status(kelp_space_map(&flush, foreign.va + 2 * page, some_pa(f, 1), page,
				     data_of(f), 0), KELP_ERR_RESTRICTED);
	assert_status(kelp_space_map(&flush, foreign.va, some_pa(f, 1), page, data_of(f),
				     KELP_REPLACE | KELP_ALLOW_BREAK), KELP_ERR_RESTRICTED);
	assert_status(kelp_space_protect(&flush, foreign.va + page, page, KELP_ATTR_WRITE, 0,
					 KELP_ALLOW_BREAK), KELP_ERR_RESTRICTED);
	assert_int_equal(raw_read(f, bare->port, foreign.table[0],
				  index_of(f, 0, foreign.va) + 2), 0);
	/* What stays within is not. */
	assert_status(kelp_space_map(&flush, foreign.va + 2 * page, some_pa(f, 1), page,
				     rodata_of(f) & ~denied, 0),
		      f->ops->leaf(f, 0, 0, rodata_of(f) & ~denied, false, &bits));
	kelp_flush_commit(&flush);
	end(bare, &space);
}

static bool has_large_hierarchy(const struct kelp_format *f)
{
	uint64_t bits;

	return f->levels > 2 && leaf_at(f, 1) && deniable(f, 2, &bits) != 0;
}

/* A large leaf below a table that denies a right is split: still the same rights, no more. */
static void split_under_inherited_rights(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f), large = UINT64_C(1) << f->shift[1], bits, entry = 0;
	kelp_attr_t denied = deniable(f, 2, &bits), before, after;
	struct kelp_space space;
	struct kelp_flush flush = {0};
	struct foreign foreign;
	kelp_vaddr_t va;
	kelp_paddr_t pa;

	make_foreign(&foreign, bare);
	va = foreign.va & ~(large - 1u);
	raw_write(f, bare->port, foreign.table[2], index_of(f, 2, va),
		  f->ops->table(f, 2, foreign.table[1], false) ^ bits);
	assert_status(f->ops->leaf(f, 1, some_pa(f, 0), data_of(f), false, &entry), KELP_OK);
	raw_write(f, bare->port, foreign.table[1], index_of(f, 1, va), entry);
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign), 100, 0),
		      KELP_OK);
	assert_true(raw_translate(f, bare->port, space.root, va + large - page, &pa, &before));
	assert_int_equal(before & denied, 0);
	kelp_flush_begin(&flush, &space);
	assert_status(kelp_space_unmap(&flush, va + 3 * page, page, KELP_ALLOW_BREAK), KELP_OK);
	kelp_flush_commit(&flush);
	assert_true(raw_translate(f, bare->port, space.root, va + large - page, &pa, &after));
	assert_int_equal(after & ~MODEL_HARDWARE_BITS, before & ~MODEL_HARDWARE_BITS);
	assert_int_equal(pa, some_pa(f, 0) + large - page);
	/* The leaves themselves kept the right: the table is what takes it away. */
	raw_write(f, bare->port, foreign.table[2], index_of(f, 2, va),
		  f->ops->table(f, 2, foreign.table[1], false));
	assert_true(raw_translate(f, bare->port, space.root, va + large - page, &pa, &after));
	assert_int_equal(after & ~MODEL_HARDWARE_BITS, data_of(f) & ~MODEL_HARDWARE_BITS);
	end(bare, &space);
}

/* ---- marks of ownership ------------------------------------------------------------------- */

static void marks_of_another_kelp(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f);
	struct kelp_space first, second;
	struct kelp_flush flush = {0};
	struct raw_list list = {0};
	kelp_paddr_t pa;
	unsigned live;

	assert_status(kelp_space_init(&first, f, &bare->port->hooks, 0), KELP_OK);
	kelp_flush_begin(&flush, &first);
	assert_status(kelp_space_map(&flush, some_va(f, 0), some_pa(f, 0), page, data_of(f), 0),
		      KELP_OK);
	kelp_flush_commit(&flush);
	live = bare->port->live;
	assert_status(kelp_space_adopt(&second, f, &bare->port->hooks, first.root, 100, 0),
		      KELP_ERR_MALFORMED);
	assert_status(kelp_space_adopt(&second, f, &bare->port->hooks, first.root, 100,
				       KELP_SPACE_DISOWN), KELP_OK);
	raw_collect(&list, f, bare->port, second.root);
	assert_int_equal(raw_tables(&list, true), 0);
	assert_int_equal(raw_tables(&list, false), f->levels - 1u);
	raw_free(&list);
	assert_status(kelp_space_translate(&second, some_va(f, 0), &pa), KELP_OK);
	assert_int_equal(pa, some_pa(f, 0));
	kelp_space_destroy(&second);
	assert_int_equal(bare->port->live, live);
}

/* ---- malformed --------------------------------------------------------------------------- */

/* All entries of the foreign tables as one number. */
static uint64_t sum_of(const struct foreign *foreign)
{
	const struct kelp_format *f = foreign->format;
	uint64_t sum = 0;

	for (unsigned level = 0; level < f->levels; level++)
		for (unsigned i = 0; i < 1u << f->index_bits[level]; i++)
			sum = sum * 31 + raw_read(f, foreign->port, foreign->table[level], i);
	return sum;
}

static void assert_refused(struct bare *bare, const struct foreign *foreign, uint64_t limit)
{
	struct kelp_space space;
	uint64_t sum = sum_of(foreign);

	assert_status(kelp_space_adopt(&space, bare->format, &bare->port->hooks, root_of(foreign),
				       limit, KELP_SPACE_DISOWN), KELP_ERR_MALFORMED);
	assert_int_equal(sum_of(foreign), sum);
	assert_int_equal(bare->port->takes, 0);
}

static void a_loop_is_refused(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct foreign foreign;

	make_foreign(&foreign, bare);
	/* As many tables as there are is enough; one fewer is not. */
	assert_refused(bare, &foreign, f->levels - 1u);
	for (unsigned i = 0; i < 1u << f->index_bits[1]; i++)
		raw_write(f, bare->port, foreign.table[1], i,
			  f->ops->table(f, 1, foreign.table[1], false));
	assert_refused(bare, &foreign, 200);
}

static void reserved_bits_are_refused(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct foreign foreign;
	unsigned found = 0;

	make_foreign(&foreign, bare);
	for (unsigned level = 0; level < f->levels; level++) {
		unsigned index = index_of(f, level, foreign.va) ^ 1u;

		for (unsigned bit = 0; bit < f->entry_bytes * 8u; bit++) {
			uint64_t entry = 0, before;

			if (level == 0)
				assert_status(f->ops->leaf(f, 0, some_pa(f, 0), data_of(f), false,
							   &entry), KELP_OK);
			else
				entry = f->ops->table(f, level, foreign.table[level - 1], false);
			entry ^= UINT64_C(1) << bit;
			if (f->ops->well_formed(f, level, entry))
				continue;
			before = raw_read(f, bare->port, foreign.table[level], index);
			raw_write(f, bare->port, foreign.table[level], index, entry);
			assert_refused(bare, &foreign, 1000);
			raw_write(f, bare->port, foreign.table[level], index, before);
			found++;
		}
	}
	/* Two-level entries have no reserved bit but in large leaves. */
	if (f->entry_bytes > 4)
		assert_true(found > 0);
}

/* A group mark on some entries of a group, or on unequal ones, says nothing that can be kept. */
static void uneven_groups_are_refused(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	unsigned count = 1u << f->group_order[0];
	struct kelp_space space;
	struct foreign foreign;

	for (unsigned way = 0; way < 4; way++) {
		make_foreign(&foreign, bare);
		for (unsigned i = 0; i < count; i++) {
			uint64_t entry = 0;
			kelp_paddr_t pa = some_pa(f, way == 2 && i == 3 ? 1 : 0) + i * page_of(f);
			kelp_attr_t attributes = way == 3 && i == 3 ? text_of(f) : data_of(f);

			assert_status(f->ops->leaf(f, 0, pa, attributes, !(way == 1 && i == 3),
						   &entry), KELP_OK);
			raw_write(f, bare->port, foreign.table[0], index_of(f, 0, foreign.va) + i,
				  entry);
		}
		if (way > 0) {
			assert_refused(bare, &foreign, 100);
			continue;
		}
		assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign),
					       100, 0), KELP_OK);
		end(bare, &space);
	}
	/* Alone, first or last. */
	for (unsigned i = 0; i < count; i += count - 1u) {
		uint64_t entry = 0;

		make_foreign(&foreign, bare);
		assert_status(f->ops->leaf(f, 0, some_pa(f, 0) + i * page_of(f), data_of(f), true,
					   &entry), KELP_OK);
		raw_write(f, bare->port, foreign.table[0], index_of(f, 0, foreign.va) + i, entry);
		assert_refused(bare, &foreign, 100);
	}
}

static void bad_roots_are_refused(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_space space;
	struct foreign foreign;

	make_foreign(&foreign, bare);
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign) + 8, 10,
				       0), KELP_ERR_ALIGNMENT);
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks,
				       (f->root_limit + 1u) & ~(page_of(f) - 1u), 10, 0),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign), 10,
				       1u << 20), KELP_ERR_ARGUMENT);
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign), 0, 0),
		      KELP_ERR_MALFORMED);
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign),
				       f->levels, 0), KELP_OK);
	end(bare, &space);
}

/* An entry that is not ours to understand is kept, and stands in the way. */
static void opaque_entries_are_kept(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f), opaque = 0;
	struct kelp_mapping mapping;
	struct kelp_space space;
	struct kelp_flush flush = {0};
	struct foreign foreign;
	kelp_paddr_t pa;

	for (unsigned bit = 0; bit < f->entry_bytes * 8u && !opaque; bit++)
		if (f->ops->kind(f, 0, UINT64_C(1) << bit) == KELP_ENTRY_OPAQUE &&
		    f->ops->well_formed(f, 0, UINT64_C(1) << bit))
			opaque = UINT64_C(1) << bit;
	assert_int_not_equal(opaque, 0);
	make_foreign(&foreign, bare);
	raw_write(f, bare->port, foreign.table[0], index_of(f, 0, foreign.va), opaque);
	assert_status(kelp_space_adopt(&space, f, &bare->port->hooks, root_of(&foreign), 10, 0),
		      KELP_OK);
	assert_status(kelp_space_query(&space, foreign.va, &mapping), KELP_OK);
	assert_int_equal(mapping.kind, KELP_ENTRY_OPAQUE);
	assert_int_equal(mapping.entry, opaque);
	assert_status(kelp_space_translate(&space, foreign.va, &pa), KELP_ERR_NOT_MAPPED);
	kelp_flush_begin(&flush, &space);
	assert_status(kelp_space_map(&flush, foreign.va, some_pa(f, 0), page, data_of(f), 0),
		      KELP_ERR_EXISTS);
	assert_int_equal(raw_read(f, bare->port, foreign.table[0], index_of(f, 0, foreign.va)),
			 opaque);
	assert_status(kelp_space_map(&flush, foreign.va, some_pa(f, 0), page, data_of(f),
				     KELP_REPLACE), KELP_OK);
	kelp_flush_commit(&flush);
	end(bare, &space);
}

/* ---- destroy ----------------------------------------------------------------------------- */

static void destroy_leaves_no_page(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_space space;
	struct kelp_flush flush = {0};

	assert_status(kelp_space_init(&space, f, &bare->port->hooks, 0), KELP_OK);
	kelp_flush_begin(&flush, &space);
	for (unsigned i = 0; i < 3; i++)
		assert_status(kelp_space_map(&flush, some_va(f, i), some_pa(f, 0), 3 * page_of(f),
					     data_of(f), 0), KELP_OK);
	for (unsigned r = 0; r < f->va_ranges; r++)
		assert_status(kelp_space_map(&flush, f->va_last[r] - (page_of(f) - 1u), 0,
					     page_of(f), text_of(f), KELP_REPLACE), KELP_OK);
	kelp_flush_commit(&flush);
	test_port_forget(bare->port);
	end(bare, &space);
	/* The flush first, then the readers, then the pages. */
	assert_int_equal(bare->port->events[0].kind, TEST_SHOOTDOWN);
	assert_true(bare->port->events[0].request.flags & KELP_FLUSH_ALL);
	assert_int_equal(bare->port->events[1].kind, TEST_WAIT);
	for (size_t i = 2; i < bare->port->event_count; i++)
		assert_int_equal(bare->port->events[i].kind, TEST_GIVE);
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"init takes the root only", init_takes_the_root_only, NULL},
		{"init fails cleanly", init_fails_cleanly, NULL},
		{"adopt keeps", adopts_and_keeps, NULL},
		{"destroy leaves nothing dangling", destroy_leaves_nothing_dangling, NULL},
		{"foreign tables do not coalesce", foreign_tables_do_not_coalesce, NULL},
		{"rights that tables deny", inherited_rights, has_hierarchy},
		{"split under inherited rights", split_under_inherited_rights,
		 has_large_hierarchy},
		{"marks of another Kelp", marks_of_another_kelp, NULL},
		{"a loop is refused", a_loop_is_refused, NULL},
		{"reserved bits are refused", reserved_bits_are_refused, NULL},
		{"uneven groups are refused", uneven_groups_are_refused, has_groups},
		{"bad roots are refused", bad_roots_are_refused, NULL},
		{"opaque entries are kept", opaque_entries_are_kept, NULL},
		{"destroy leaves no page", destroy_leaves_no_page, NULL},
	};

	return bare_cases_run("conformance: init, adopt, destroy", cases, COUNT_OF(cases));
}
