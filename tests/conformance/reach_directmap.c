/* SPDX-License-Identifier: MIT */
/*
 * The direct map on every format: INV-3.1, INV-3.2 and INV-3.3, under the judge of flushes and
 * with a port that never gives adjacent pages.
 */
#include "reach.h"

#include <stdlib.h>
#include <string.h>

/*
 * The window: one entry of the largest leaf size (or a few tables), then a tail of tables whose
 * frames the tests change, whose end is not the end of a table, and a hole before its last frames.
 */
struct fixture {
	struct reach reach;
	struct kelp_directmap map;
	struct kelp_directmap_config config;
	struct kelp_frame_range ranges[2];
	struct kelp_frame_range pins[4];
	uint64_t page;
	uint64_t table;    /* frames that one table of pages spans */
	uint64_t hot;      /* first frame of those that the tests change */
	uint64_t hot_frames;
};

static uint64_t big_bytes(const struct kelp_format *format)
{
	return format->levels > 2 && leaf_at(format, 2) ? UINT64_C(1) << format->shift[2]
							: UINT64_C(4) << format->shift[1];
}

static void configure(struct fixture *f, struct bare *bare)
{
	const struct kelp_format *format = bare->format;
	uint64_t big = big_bytes(format), unit = UINT64_C(1) << format->shift[1], first, frames;

	memset(f, 0, sizeof(*f));
	reach_begin(&f->reach, bare);
	f->page = page_of(format);
	f->table = unit / f->page;
	first = some_pa(format, 0) / f->page;
	frames = big / f->page + 2u * f->table + 40u;
	if ((first + frames) * f->page >> format->pa_bits)
		first = 0;
	f->ranges[0] = (struct kelp_frame_range){{first}, {first + frames - 30u}};
	f->ranges[1] = (struct kelp_frame_range){{first + frames - 20u}, {first + frames - 1u}};
	f->hot = first + big / f->page - f->table;
	f->hot_frames = f->ranges[0].last.number + 1u - f->hot;
	f->config = (struct kelp_directmap_config){
		.space = &f->reach.space,
		.base = some_va(format, 0),
		.first = {first},
		.frames = frames + 16u,
		.attributes = data_of(format) & ~(KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY),
		.pins = f->pins,
		.pin_capacity = COUNT_OF(f->pins),
		.quiesce = reach_quiesce,
		.quiesce_context = &f->reach,
	};
	if (largest_shift(format) > format->shift[1] && format->levels > 2)
		f->config.base = some_va(format, 1);
}

static void start(struct fixture *f)
{
	assert_status(kelp_directmap_init(&f->map, &f->config, f->ranges, 2), KELP_OK);
	reach_settled(&f->reach);
	reach_save(&f->reach);
}

static void begin(struct fixture *f, struct bare *bare)
{
	configure(f, bare);
	start(f);
}

static void end(struct fixture *f)
{
	reach_end(&f->reach);
}

static kelp_pfn_t pfn(uint64_t number)
{
	return (kelp_pfn_t){number};
}

/* Does hardware translate the frame, and to itself? */
static bool reaches(struct fixture *f, uint64_t number, kelp_attr_t *attributes)
{
	kelp_paddr_t pa;

	if (!raw_translate(f->reach.format, f->reach.port, f->reach.space.root,
			   kelp_directmap_address(&f->map, pfn(number)), &pa, attributes))
		return false;
	assert_int_equal(pa, number * f->page);
	return true;
}

static struct kelp_directmap_statistics look(struct fixture *f)
{
	struct kelp_directmap_statistics s;

	kelp_directmap_statistics(&f->map, &s);
	return s;
}

/* ---- building ---------------------------------------------------------------------------- */

static void is_built_with_the_largest_leaves(struct bare *bare)
{
	struct kelp_directmap_statistics s;
	struct fixture f;
	uint64_t frames;

	begin(&f, bare);
	s = look(&f);
	frames = f.ranges[0].last.number - f.ranges[0].first.number + 1u + 20u;
	assert_int_equal(s.frames, frames);
	assert_int_equal(s.absent, 0);
	if (bare->format->levels > 2 && leaf_at(bare->format, 2)) {
		assert_int_equal(s.leaves[2], 1);
		assert_int_equal(s.leaves[1], 2);
	} else if (leaf_at(bare->format, 1)) {
		assert_int_equal(s.leaves[1], 6);
	}
	assert_int_equal(s.leaves[0], leaf_at(bare->format, 1) ? 31 : frames);
	for (uint64_t i = f.hot; i < f.hot + f.hot_frames; i += 7) {
		kelp_attr_t attributes;

		assert_true(reaches(&f, i, &attributes));
		assert_true(kelp_directmap_present(&f.map, pfn(i)));
	}
	/* Holes, and what lies outside the window at either end. */
	assert_false(kelp_directmap_present(&f.map, pfn(f.ranges[0].last.number + 1u)));
	assert_false(kelp_directmap_present(&f.map, pfn(f.ranges[1].last.number + 1u)));
	assert_true(kelp_directmap_has_frame(&f.map, f.config.first));
	assert_false(kelp_directmap_has_frame(&f.map, pfn(f.config.first.number - 1u)));
	assert_false(kelp_directmap_has_frame(
		&f.map, pfn(f.config.first.number + f.config.frames)));
	assert_false(kelp_directmap_has_address(&f.map, f.config.base - 1u));
	assert_true(kelp_directmap_has_address(&f.map, f.config.base));
	assert_int_equal(kelp_directmap_frame(&f.map, f.config.base + f.page + 5u).number,
			 f.config.first.number + 1u);
	end(&f);
}

static void leaf_sizes_can_be_limited(struct bare *bare)
{
	struct fixture f;

	configure(&f, bare);
	f.config.leaf_shift = bare->format->page_shift;
	/* All of a large window in pages would be many: the tail alone. */
	f.ranges[0].first.number = f.hot;
	start(&f);
	assert_int_equal(look(&f).leaves[0], f.hot_frames + 20u);
	for (unsigned level = 0; level < bare->format->levels; level++)
		assert_int_equal(look(&f).grouped[level], 0);
	end(&f);
}

static void building_is_all_or_nothing(struct bare *bare)
{
	struct kelp_directmap_config config;
	struct fixture f;
	unsigned n = 0;
	enum kelp_status status;

	configure(&f, bare);
	reach_save(&f.reach);
	config = f.config;
	/* Overlapping ranges, a range outside the window, one that is upside down. */
	f.ranges[1].first = f.ranges[0].last;
	assert_status(kelp_directmap_init(&f.map, &config, f.ranges, 2), KELP_ERR_EXISTS);
	assert_true(reach_is_as_saved(&f.reach));
	f.ranges[1].first.number += 100;
	assert_status(kelp_directmap_init(&f.map, &config, f.ranges, 2), KELP_ERR_ARGUMENT);
	f.ranges[1].last.number = f.ranges[1].first.number;
	assert_status(kelp_directmap_init(&f.map, &config, f.ranges, 2), KELP_ERR_ADDRESS);
	assert_true(reach_is_as_saved(&f.reach));
	f.ranges[1].first.number = f.ranges[1].last.number = f.ranges[0].last.number + 5u;
	do {
		test_port_fail(f.reach.port, ++n, false);
		status = kelp_directmap_init(&f.map, &config, f.ranges, 2);
		if (status != KELP_OK) {
			assert_status(status, KELP_ERR_NO_MEMORY);
			assert_true(reach_is_as_saved(&f.reach));
			reach_settled(&f.reach);
		}
	} while (status != KELP_OK);
	assert_true(n >= 2);
	config.flags = 64;
	assert_status(kelp_directmap_init(&f.map, &config, f.ranges, 0), KELP_ERR_ARGUMENT);
	config.flags = 0;
	config.leaf_shift = 13;
	if (!(bare->format->leaf_sizes >> 13 & 1))
		assert_status(kelp_directmap_init(&f.map, &config, f.ranges, 0),
			      KELP_ERR_ARGUMENT);
	end(&f);
}

/* ---- taking away and giving back --------------------------------------------------------- */

static void one_frame_goes_and_comes_back(struct bare *bare)
{
	struct kelp_directmap_statistics s;
	kelp_attr_t attributes;
	struct fixture f;

	begin(&f, bare);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t frame = f.hot + i * f.table + (i == 1 ? 0 : i == 2 ? f.table - 1 : 77);

		assert_status(kelp_directmap_set_invalid(&f.map, pfn(frame), 1), KELP_OK);
		reach_settled(&f.reach);
		assert_false(reaches(&f, frame, &attributes));
		assert_false(kelp_directmap_present(&f.map, pfn(frame)));
		assert_true(reaches(&f, frame - 1u, &attributes));
		assert_true(reaches(&f, frame + 1u, &attributes));
		assert_int_equal(look(&f).absent, 1);
		/* Again: it is what was asked for. */
		assert_status(kelp_directmap_set_invalid(&f.map, pfn(frame), 1), KELP_OK);
		assert_status(kelp_directmap_set_default(&f.map, pfn(frame), 1), KELP_OK);
		reach_settled(&f.reach);
		/* INV-3.2: nobody asked for the large leaf, and it is there. */
		assert_true(reach_is_as_saved(&f.reach));
	}
	s = look(&f);
	if (leaf_at(bare->format, 1)) {
		assert_true(s.counts.splits >= 3);
		assert_int_equal(s.counts.splits, s.counts.restorations);
	}
	if (bare->format->bbm_level < 2 && leaf_at(bare->format, 1))
		assert_true(f.reach.quiesced > 0);
	if (bare->format->bbm_level == 2)
		assert_int_equal(f.reach.quiesced, 0);
	end(&f);
}

static void gathered_changes_wait_for_the_commit(struct bare *bare)
{
	struct kelp_flush flush = {0};
	kelp_attr_t attributes;
	struct fixture f;
	unsigned before;

	begin(&f, bare);
	before = f.reach.port->shootdowns;
	kelp_flush_begin(&flush, &f.reach.space);
	assert_status(kelp_directmap_set_invalid_gather(&f.map, &flush, pfn(f.hot + 3), 5),
		      KELP_OK);
	assert_false(reaches(&f, f.hot + 3, &attributes));
	if (f.reach.quiesced == 0)
		assert_int_equal(f.reach.port->shootdowns, before);
	assert_false(kelp_flush_is_empty(&flush));
	kelp_flush_now(&flush);
	reach_settled(&f.reach);
	assert_true(f.reach.port->shootdowns > before);
	assert_status(kelp_directmap_protect_gather(&f.map, &flush, pfn(f.hot + 9), 2, 0,
						    KELP_ATTR_WRITE),
		      KELP_OK);
	assert_true(reaches(&f, f.hot + 9, &attributes));
	assert_false(attributes & KELP_ATTR_WRITE);
	assert_status(kelp_directmap_set_default_gather(&f.map, &flush, pfn(f.hot), 64), KELP_OK);
	kelp_flush_commit(&flush);
	reach_settled(&f.reach);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);
}

/* INV-3.1: the table runs out at every N; nothing has changed. */
static void a_failed_change_changes_nothing(struct bare *bare)
{
	struct fixture f;
	unsigned failures = 0;

	begin(&f, bare);
	for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
		enum kelp_status status;
		unsigned n = 0;

		do {
			test_port_fail(f.reach.port, ++n, for_ever);
			status = kelp_directmap_set_invalid(&f.map, pfn(f.hot + 5u), f.table);
			if (status != KELP_OK) {
				assert_status(status, KELP_ERR_NO_MEMORY);
				reach_settled(&f.reach);
				assert_true(reach_is_as_saved(&f.reach));
				failures++;
			}
		} while (status != KELP_OK);
		test_port_fail(f.reach.port, 0, false);
		assert_status(kelp_directmap_set_default(&f.map, pfn(f.hot + 5u), f.table),
			      KELP_OK);
		assert_true(reach_is_as_saved(&f.reach));
	}
	if (leaf_at(bare->format, 1))
		assert_true(failures >= 2);
	/* A hole among them; frames that the window does not have; none; a bit in both. */
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.ranges[0].last.number), 2),
		      KELP_ERR_NOT_MAPPED);
	assert_status(kelp_directmap_set_default(
			      &f.map, pfn(f.config.first.number + f.config.frames), 1),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_directmap_set_default(&f.map, pfn(UINT64_MAX), 1), KELP_ERR_ADDRESS);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot), UINT64_MAX),
		      KELP_ERR_ADDRESS);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot), 0), KELP_ERR_ARGUMENT);
	assert_status(kelp_directmap_protect(&f.map, pfn(f.hot), 1, KELP_ATTR_WRITE,
					     KELP_ATTR_WRITE), KELP_ERR_ARGUMENT);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);
}

/* Each way to change the map, where it takes tables; `prepare`: what comes before it. */
enum change { TAKE_AWAY, PROTECT, REMOVE, GIVE_BACK_A_PART, ADD, CHANGES };

static enum kelp_status change_map(struct fixture *f, enum change change, bool prepare)
{
	uint64_t whole = f->hot + f->table, part = whole + 3u;

	switch (change) {
	case TAKE_AWAY:
		return prepare ? KELP_OK : kelp_directmap_set_invalid(&f->map, pfn(part), f->table);
	case PROTECT:
		return prepare ? KELP_OK : kelp_directmap_protect(&f->map, pfn(part), f->table, 0,
								  KELP_ATTR_WRITE);
	case REMOVE:
		return prepare ? KELP_OK : kelp_directmap_remove(&f->map, pfn(part), f->table);
	case GIVE_BACK_A_PART:
		return prepare ? kelp_directmap_set_invalid(&f->map, pfn(whole), f->table)
			       : kelp_directmap_set_default(&f->map, pfn(part), 1);
	default:
		return prepare ? kelp_directmap_remove(&f->map, pfn(f->hot), 3u * f->table)
			       : kelp_directmap_add(&f->map, pfn(part), f->table);
	}
}

/* INV-3.1: no table page for the Nth, from every N on and for one time. */
static void every_change_may_run_out_of_tables(struct bare *bare)
{
	for (unsigned kind = 0; kind < 2u * CHANGES; kind++) {
		enum change change = (enum change)(kind / 2u);
		enum kelp_status status;
		struct fixture f;
		unsigned n = 0;

		begin(&f, bare);
		assert_status(change_map(&f, change, true), KELP_OK);
		reach_save(&f.reach);
		do {
			test_port_fail(bare->port, ++n, kind % 2u);
			status = change_map(&f, change, false);
			if (status != KELP_OK) {
				assert_status(status, KELP_ERR_NO_MEMORY);
				reach_settled(&f.reach);
				assert_true(reach_is_as_saved(&f.reach));
			}
		} while (status != KELP_OK);
		/* Where a large leaf is cut, or there is none yet, one failed at least. */
		if (leaf_at(bare->format, 1) || change == ADD)
			assert_true(n >= 2);
		assert_false(reach_is_as_saved(&f.reach));
		end(&f);
	}
}

static void what_cannot_change_says_so(struct bare *bare)
{
	struct fixture f;
	uint64_t pinned;

	begin(&f, bare);
	pinned = f.hot + 10u;
	assert_status(kelp_directmap_pin(&f.map, pfn(pinned), 4), KELP_OK);
	/* INV-3.1: touching one pinned frame refuses all of it. */
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(pinned - 1u), 2),
		      KELP_ERR_UNSUPPORTED);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(pinned + 3u), 9),
		      KELP_ERR_UNSUPPORTED);
	assert_status(kelp_directmap_set_default(&f.map, pfn(pinned), 1), KELP_ERR_UNSUPPORTED);
	assert_status(kelp_directmap_protect(&f.map, pfn(pinned + 1u), 1, 0, KELP_ATTR_WRITE),
		      KELP_ERR_UNSUPPORTED);
	assert_status(kelp_directmap_remove(&f.map, pfn(f.hot), f.table), KELP_ERR_UNSUPPORTED);
	assert_int_equal(look(&f).counts.refused, 5);
	assert_true(reach_is_as_saved(&f.reach));
	/* Beside it all is well. */
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(pinned + 4u), 1), KELP_OK);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(pinned - 1u), 1), KELP_OK);
	assert_status(kelp_directmap_set_default(&f.map, pfn(pinned + 4u), 1), KELP_OK);
	assert_status(kelp_directmap_set_default(&f.map, pfn(pinned - 1u), 1), KELP_OK);
	assert_true(reach_is_as_saved(&f.reach));
	assert_status(kelp_directmap_unpin(&f.map, pfn(pinned), 3), KELP_ERR_NOT_MAPPED);
	for (unsigned i = 1; i < COUNT_OF(f.pins); i++)
		assert_status(kelp_directmap_pin(&f.map, pfn(pinned + i), 1), KELP_OK);
	assert_status(kelp_directmap_pin(&f.map, pfn(f.hot), 1), KELP_ERR_NO_MEMORY);
	assert_status(kelp_directmap_unpin(&f.map, pfn(pinned), 4), KELP_OK);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(pinned), 1), KELP_OK);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(pinned + 3u), 1),
		      KELP_ERR_UNSUPPORTED);
	/* A right that no leaf has here. */
	if (!(bare->format->attr_mask & KELP_ATTR_SOFT3))
		assert_status(kelp_directmap_protect(&f.map, pfn(f.hot), 1, KELP_ATTR_SOFT3, 0),
			      KELP_ERR_UNSUPPORTED);
	end(&f);
}

static bool demands_breaks(const struct kelp_format *format)
{
	return format->bbm_level < 2 && leaf_at(format, 1);
}

static void without_a_quiet_moment_a_live_leaf_stays(struct bare *bare)
{
	struct fixture f;

	configure(&f, bare);
	f.config.quiesce = NULL;
	start(&f);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot + 1u), 1),
		      KELP_ERR_UNSUPPORTED);
	assert_status(kelp_directmap_protect(&f.map, pfn(f.hot + 1u), 1, 0, KELP_ATTR_WRITE),
		      KELP_ERR_UNSUPPORTED);
	assert_true(reach_is_as_saved(&f.reach));
	/* Whole leaves need no break. */
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot + f.table), 2u * f.table),
		      KELP_OK);
	reach_settled(&f.reach);
	assert_status(kelp_directmap_set_default(&f.map, pfn(f.hot + f.table), 2u * f.table),
		      KELP_OK);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);
}

static void a_quiet_moment_may_be_refused(struct bare *bare)
{
	struct fixture f;

	begin(&f, bare);
	f.reach.quiesce_refuses = true;
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot + 1u), 1), KELP_ERR_BUSY);
	reach_settled(&f.reach);
	assert_true(reach_is_as_saved(&f.reach));
	f.reach.quiesce_refuses = false;
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot + 1u), 1), KELP_OK);
	/* Merging is given up, not the change. */
	f.reach.quiesce_refuses = true;
	assert_status(kelp_directmap_set_default(&f.map, pfn(f.hot + 1u), 1), KELP_OK);
	assert_int_equal(look(&f).absent, 0);
	assert_false(reach_is_as_saved(&f.reach));
	f.reach.quiesce_refuses = false;
	assert_status(kelp_directmap_set_default(&f.map, pfn(f.hot + 1u), 1), KELP_OK);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);
}

/* The gather holds a table that was merged away; it must go back before all CPUs are parked. */
static void a_quiet_moment_gives_no_table_back(struct bare *bare)
{
	struct kelp_flush flush = {0};
	struct fixture f;
	unsigned gives;

	begin(&f, bare);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot + f.table + 1u), 1), KELP_OK);
	kelp_flush_begin(&flush, &f.reach.space);
	assert_status(kelp_directmap_set_default_gather(&f.map, &flush, pfn(f.hot + f.table + 1u),
							1), KELP_OK);
	assert_false(kelp_flush_is_empty(&flush));
	gives = bare->port->gives;
	assert_status(kelp_directmap_set_invalid_gather(&f.map, &flush,
							pfn(f.hot + 2u * f.table + 1u), 1),
		      KELP_OK);
	assert_true(bare->port->gives > gives);
	kelp_flush_commit(&flush);
	reach_settled(&f.reach);
	assert_status(kelp_directmap_set_default(&f.map, pfn(f.hot + 2u * f.table + 1u), 1),
		      KELP_OK);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);
}

static bool has_another_type(const struct kelp_format *format)
{
	uint64_t entry;

	return format->ops->leaf(format, 0, 0,
				 data_of(format) | KELP_ATTR_TYPE(KELP_TYPE_WRITE_COMBINE), false,
				 &entry) == KELP_OK;
}


static bool has_another_type_to_break_for(const struct kelp_format *format)
{
	return has_another_type(format) && format->demands_break;
}

/* Quiet moments that are granted before all others are refused. */
struct few {
	struct reach *reach;
	unsigned left;
};

static enum kelp_status quiesce_a_few(void *context, void (*work)(void *argument), void *argument)
{
	struct few *few = context;

	if (few->left == 0)
		return KELP_ERR_BUSY;
	few->left--;
	return reach_quiesce(few->reach, work, argument);
}

/* INV-3.1: the leaf is not left split when its type could not change in the end. */
static void a_type_changes_or_nothing_does(struct bare *bare)
{
	const kelp_attr_t combine = KELP_ATTR_TYPE(KELP_TYPE_WRITE_COMBINE);
	enum kelp_status status;
	struct fixture f;
	struct few few = {&f.reach, 0};

	configure(&f, bare);
	f.config.quiesce = quiesce_a_few;
	f.config.quiesce_context = &few;
	start(&f);
	for (unsigned n = 0;; n++) {
		assert_true(n < 5);
		few.left = n;
		status = kelp_directmap_protect(&f.map, pfn(f.hot + 4), 3, combine,
						KELP_ATTR_TYPE_MASK);
		reach_settled(&f.reach);
		if (status == KELP_OK)
			break;
		assert_status(status, KELP_ERR_BUSY);
		assert_true(reach_is_as_saved(&f.reach));
	}
	few.left = 100;
	assert_status(kelp_directmap_set_default(&f.map, pfn(f.hot + 4), 3), KELP_OK);
	reach_settled(&f.reach);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);
}

/* PSE-36: beyond 4 GiB large leaves reach a frame, and small ones do not. */
static bool has_frames_for_large_leaves_only(const struct kelp_format *format)
{
	uint64_t entry;

	return leaf_at(format, 1) &&
	       format->ops->leaf(format, 1, UINT64_C(1) << 32, data_of(format), false, &entry) ==
		       KELP_OK &&
	       format->ops->leaf(format, 0, UINT64_C(1) << 32, data_of(format), false, &entry) !=
		       KELP_OK;
}

static void what_small_leaves_do_not_reach_stays_whole(struct bare *bare)
{
	kelp_attr_t attributes;
	struct fixture f;

	configure(&f, bare);
	f.config.first.number = (UINT64_C(1) << 32) / f.page;
	f.config.base = some_va(bare->format, 0) & ~((f.table * f.page) - 1u);
	f.config.frames = 2u * f.table;
	f.ranges[0].first.number = f.config.first.number;
	f.ranges[0].last.number = f.config.first.number + 2u * f.table - 1u;
	assert_status(kelp_directmap_init(&f.map, &f.config, f.ranges, 1), KELP_OK);
	reach_save(&f.reach);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.config.first.number + 5u), 1),
		      KELP_ERR_UNSUPPORTED);
	assert_status(kelp_directmap_protect(&f.map, pfn(f.config.first.number + 5u), f.table, 0,
					     KELP_ATTR_WRITE), KELP_ERR_UNSUPPORTED);
	assert_status(kelp_directmap_remove(&f.map, pfn(f.config.first.number + 5u), 1),
		      KELP_ERR_UNSUPPORTED);
	assert_int_equal(look(&f).counts.refused, 3);
	assert_true(reach_is_as_saved(&f.reach));
	/* A whole leaf goes and comes back. */
	assert_status(kelp_directmap_set_invalid(&f.map, f.config.first, f.table), KELP_OK);
	assert_false(reaches(&f, f.config.first.number, &attributes));
	assert_status(kelp_directmap_set_default(&f.map, f.config.first, f.table), KELP_OK);
	reach_settled(&f.reach);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);
}

/* A memory type and a leaf's size never change between two flushes. */
static void a_type_changes_after_the_split_is_flushed(struct bare *bare)
{
	const kelp_attr_t combine = KELP_ATTR_TYPE(KELP_TYPE_WRITE_COMBINE);
	kelp_attr_t attributes;
	struct fixture f;
	unsigned before;

	begin(&f, bare);
	before = f.reach.port->shootdowns;
	assert_status(kelp_directmap_protect(&f.map, pfn(f.hot + 4), 3, combine,
					     KELP_ATTR_TYPE_MASK), KELP_OK);
	reach_settled(&f.reach);
	assert_true(reaches(&f, f.hot + 6, &attributes));
	assert_int_equal(attributes & KELP_ATTR_TYPE_MASK, combine);
	/* Where the leaves are broken nobody holds any when the new ones come. */
	if (leaf_at(bare->format, 1) && !bare->format->demands_break)
		assert_true(f.reach.port->shootdowns >= before + 2);
	else
		assert_true(f.reach.port->shootdowns > before);
	assert_status(kelp_directmap_set_default(&f.map, pfn(f.hot), 16), KELP_OK);
	reach_settled(&f.reach);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);
}

/* ---- coalescing -------------------------------------------------------------------------- */

static void coalescing_can_wait_or_be_off(struct bare *bare)
{
	struct fixture f;

	configure(&f, bare);
	f.config.flags = KELP_DIRECTMAP_DEFER;
	start(&f);
	for (unsigned i = 0; i < 20; i++) {
		kelp_pfn_t frame = pfn(f.hot + f.table / 8u * i);

		assert_status(kelp_directmap_set_invalid(&f.map, frame, 1), KELP_OK);
		assert_status(kelp_directmap_set_default(&f.map, frame, 1), KELP_OK);
	}
	if (leaf_at(bare->format, 1)) {
		unsigned calls = 0;

		assert_false(reach_is_as_saved(&f.reach));
		/* Bounded: one table each time. */
		while (kelp_directmap_coalesce_some(&f.map, 1)) {
			assert_true(++calls < 4000);
			reach_settled(&f.reach);
		}
		reach_settled(&f.reach);
	} else {
		(void)kelp_directmap_coalesce_some(&f.map, 100);
	}
	assert_true(reach_is_as_saved(&f.reach));
	assert_false(kelp_directmap_coalesce_some(&f.map, 1));

	f.map.flags = KELP_DIRECTMAP_NO_COALESCE;
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot + 1u), 1), KELP_OK);
	assert_status(kelp_directmap_set_default(&f.map, pfn(f.hot + 1u), 1), KELP_OK);
	assert_false(kelp_directmap_coalesce_some(&f.map, 100));
	assert_int_equal(reach_is_as_saved(&f.reach),
			 !leaf_at(bare->format, 1) && !has_groups(bare->format));
	end(&f);
}

/*
 * The window begins in the middle of a table, and what stands in front of it would make one leaf
 * with it: it is somebody else's, and stays as it is.
 */
static void what_lies_beyond_the_window_stays(struct bare *bare)
{
	const struct kelp_format *format = bare->format;
	struct kelp_flush flush = {0};
	uint64_t half, before;
	struct fixture f;

	configure(&f, bare);
	half = f.table / 2u;
	/* The last of the hot tables that is full, from its middle on. */
	before = f.hot + f.table;
	f.config.base += (before + half - f.config.first.number) * f.page;
	f.config.first.number = before + half;
	f.config.frames = f.table + half;
	f.ranges[0].first.number = before + half;
	f.ranges[0].last.number = before + 2u * f.table - 1u;
	kelp_flush_begin(&flush, &f.reach.space);
	assert_status(kelp_space_map(&flush, f.config.base - half * f.page, before * f.page,
				     half * f.page, data_of(format),
				     KELP_LEAF_SHIFT(format->page_shift)), KELP_OK);
	kelp_flush_commit(&flush);
	assert_status(kelp_directmap_init(&f.map, &f.config, f.ranges, 1), KELP_OK);
	reach_settled(&f.reach);
	reach_save(&f.reach);
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(before + half), 1), KELP_OK);
	assert_status(kelp_directmap_set_default(&f.map, pfn(before + half), 1), KELP_OK);
	reach_settled(&f.reach);
	assert_true(reach_is_as_saved(&f.reach));
	assert_int_equal(look(&f).counts.restorations, 0);
	end(&f);
}

/* ---- hot-plug ---------------------------------------------------------------------------- */

static void memory_comes_and_goes(struct bare *bare)
{
	struct fixture f;
	struct kelp_directmap_statistics s;
	unsigned tables;

	begin(&f, bare);
	tables = f.reach.port->live;
	/* The middle of a table goes: what lies around it is split and stays. */
	assert_status(kelp_directmap_remove(&f.map, pfn(f.hot + 8u), 16), KELP_OK);
	reach_settled(&f.reach);
	s = look(&f);
	assert_false(kelp_directmap_present(&f.map, pfn(f.hot + 8u)));
	assert_true(kelp_directmap_present(&f.map, pfn(f.hot + 7u)));
	assert_true(kelp_directmap_present(&f.map, pfn(f.hot + 24u)));
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot + 7u), 2),
		      KELP_ERR_NOT_MAPPED);
	assert_status(kelp_directmap_remove(&f.map, pfn(f.hot + 7u), 2), KELP_ERR_NOT_MAPPED);
	/* Back in two parts, one of which touches what is there: EXISTS and no change. */
	assert_status(kelp_directmap_add(&f.map, pfn(f.hot + 8u), 17), KELP_ERR_EXISTS);
	assert_int_equal(look(&f).frames, s.frames);
	assert_status(kelp_directmap_add(&f.map, pfn(f.hot + 8u), 9), KELP_OK);
	assert_status(kelp_directmap_add(&f.map, pfn(f.hot + 17u), 7), KELP_OK);
	reach_settled(&f.reach);
	/* INV-3.2. */
	assert_true(reach_is_as_saved(&f.reach));
	/* Whole tables, absent frames among them; table pages come back. */
	assert_status(kelp_directmap_set_invalid(&f.map, pfn(f.hot + f.table + 3u), 2), KELP_OK);
	assert_status(kelp_directmap_remove(&f.map, pfn(f.hot + f.table), 2u * f.table), KELP_OK);
	assert_status(kelp_directmap_remove(&f.map, f.ranges[1].first, 20), KELP_OK);
	assert_status(kelp_directmap_add(&f.map, f.ranges[1].first, 20), KELP_OK);
	assert_status(kelp_directmap_add(&f.map, pfn(f.hot + f.table), 2u * f.table), KELP_OK);
	reach_settled(&f.reach);
	assert_true(reach_is_as_saved(&f.reach));
	assert_int_equal(f.reach.port->live, tables);
	end(&f);
}

/* ---- debug page allocation (INV-3.3) ----------------------------------------------------- */

static void free_frames_are_absent(struct bare *bare)
{
	struct kelp_flush flush = {0};
	kelp_attr_t attributes;
	struct fixture f;

	begin(&f, bare);
	/* Where a free could need memory it is refused. */
	assert_status(kelp_debug_pages_free(&f.map, pfn(f.hot), 1), KELP_ERR_UNSUPPORTED);
	assert_true(reach_is_as_saved(&f.reach));
	end(&f);

	bare->port->forbid_take = false;
	configure(&f, bare);
	f.config.leaf_shift = bare->format->page_shift;
	f.config.quiesce = NULL;
	f.ranges[0].first.number = f.hot;
	start(&f);
	/* The last free page is gone. */
	test_port_fail(bare->port, 1, true);
	for (unsigned order = 0; order < 4; order++) {
		uint64_t frame = f.hot + (UINT64_C(8) << order), count = UINT64_C(1) << order;

		assert_status(kelp_debug_pages_free(&f.map, pfn(frame), count), KELP_OK);
		reach_settled(&f.reach);
		assert_false(reaches(&f, frame, &attributes));
		assert_status(kelp_debug_pages_free(&f.map, pfn(frame), count),
			      KELP_ERR_NOT_MAPPED);
		assert_status(kelp_debug_pages_allocate(&f.map, pfn(frame - 1u), count + 1u),
			      KELP_ERR_EXISTS);
		assert_status(kelp_debug_pages_allocate(&f.map, pfn(frame), count), KELP_OK);
		assert_true(reaches(&f, frame, &attributes));
		assert_true(attributes & KELP_ATTR_WRITE);
	}
	assert_status(kelp_debug_pages_allocate(&f.map, pfn(f.ranges[0].last.number + 1u), 1),
		      KELP_ERR_NOT_MAPPED);
	kelp_flush_begin(&flush, &f.reach.space);
	assert_status(kelp_debug_pages_free_gather(&f.map, &flush, pfn(f.hot), 3), KELP_OK);
	assert_false(kelp_flush_is_empty(&flush));
	assert_status(kelp_debug_pages_allocate_gather(&f.map, &flush, pfn(f.hot), 3), KELP_OK);
	kelp_flush_commit(&flush);
	assert_true(reach_is_as_saved(&f.reach));
	assert_int_equal(bare->port->failed, 0);
	end(&f);
}

/* ---- against a plain array --------------------------------------------------------------- */

enum { DEFAULT, ABSENT, CONSTANT };

static void check_array(struct fixture *f, const unsigned char *state, uint64_t first,
			uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		kelp_attr_t attributes = 0;
		bool there = reaches(f, f->hot + i, &attributes);

		if (there == (state[i] & ABSENT) ||
		    (there && !(attributes & KELP_ATTR_WRITE) != !!(state[i] & CONSTANT)))
			fail_msg("frame %llu of the hot ones: state %u, translated %d, 0x%x",
				 (unsigned long long)i, state[i], there, (unsigned)attributes);
	}
}

/* Frames anywhere below the hot ones: a few at a time are out, from the midst of the largest leaves. */
#define COLD_FRAMES 6u
struct cold {
	uint64_t frame;
	bool out;
};

static void change_cold(struct fixture *f, struct cold *cold, uint64_t frame)
{
	kelp_attr_t attributes;

	if (cold->out) {
		assert_status(kelp_directmap_set_default(&f->map, pfn(cold->frame), 1), KELP_OK);
		assert_true(reaches(f, cold->frame, &attributes));
		assert_true(attributes & KELP_ATTR_WRITE);
	} else {
		cold->frame = frame;
		assert_status(kelp_directmap_set_invalid(&f->map, pfn(frame), 1), KELP_OK);
		assert_false(reaches(f, frame, &attributes));
	}
	cold->out = !cold->out;
	reach_settled(&f->reach);
}

static void change_some_cold(struct fixture *f, struct random *random, struct cold *cold)
{
	uint64_t first = f->ranges[0].first.number;
	uint64_t frame = first + random_below(random, f->hot - first);
	unsigned at = (unsigned)random_below(random, COLD_FRAMES);
	kelp_attr_t attributes;

	for (unsigned i = 0; i < COLD_FRAMES; i++)
		if (cold[i].out && cold[i].frame == frame)
			at = i;
	change_cold(f, &cold[at], frame);
	for (unsigned i = 0; i < COLD_FRAMES; i++)
		if (cold[i].out)
			assert_false(reaches(f, cold[i].frame, &attributes));
}

static void random_changes_agree_with_an_array(struct bare *bare)
{
	struct cold cold[COLD_FRAMES] = {{0, false}};
	struct random random = {bare->format->va_bits * 131u + bare->format->page_shift};
	const char *scale = getenv("KELP_TEST_SCALE");
	unsigned steps = 120u * (scale ? (unsigned)atoi(scale) : 1u);
	unsigned char *state;
	struct fixture f;
	uint64_t absent = 0, chunk, chunks;

	begin(&f, bare);
	/* Tables of thousands of entries (16 KiB and 64 KiB granules) take less of each. */
	chunk = f.table > 512u ? f.table / 64u : 1u;
	chunks = (f.hot_frames + chunk - 1u) / chunk;
	if (chunk > 1u)
		steps /= 5u;
#ifdef TESTS_ON_MACHINE
	/* Each change is judged at all that any CPU holds of it. */
	steps /= 3u;
	chunk = f.table / (chunk > 1u && demands_breaks(bare->format) ? 16u : 64u);
	chunks = (f.hot_frames + chunk - 1u) / chunk;
#endif
	state = calloc(f.hot_frames, 1);
	assert_non_null(state);
	for (unsigned step = 0; step < steps; step++) {
		uint64_t first = random_below(&random, f.hot_frames);
		uint64_t count = 1u + random_below(&random, random_chance(&random, 70) ? 24
								 : 2u * f.table);
		unsigned kind = (unsigned)random_below(&random, 4);
		bool fails = random_chance(&random, 20);
		enum kelp_status status;

		if (count > f.hot_frames - first)
			count = f.hot_frames - first;
		test_port_fail(f.reach.port, fails ? 1 : 0, fails);
		if (kind == 0)
			status = kelp_directmap_set_invalid(&f.map, pfn(f.hot + first), count);
		else if (kind == 1)
			status = kelp_directmap_protect(&f.map, pfn(f.hot + first), count, 0,
							KELP_ATTR_WRITE);
		else
			status = kelp_directmap_set_default(&f.map, pfn(f.hot + first), count);
		test_port_fail(f.reach.port, 0, false);
		if (status != KELP_OK)
			assert_status(status, KELP_ERR_NO_MEMORY);
		assert_true(status == KELP_OK || fails);
		for (uint64_t i = first; status == KELP_OK && i < first + count; i++)
			state[i] = (unsigned char)(kind == 0 ? state[i] | ABSENT
						   : kind == 1 ? state[i] | (CONSTANT)
							       : DEFAULT);
		reach_settled(&f.reach);
		if (step % 8 == 0)
			change_some_cold(&f, &random, cold);
		if (step % 16 == 15)
			check_array(&f, state, 0, f.hot_frames);
		else
			check_array(&f, state, first, count < 64 ? count : 64);
	}
	for (unsigned i = 0; i < COLD_FRAMES; i++)
		if (cold[i].out)
			change_cold(&f, &cold[i], 0);
	for (uint64_t i = 0; i < f.hot_frames; i++)
		absent += !!(state[i] & ABSENT);
	assert_int_equal(look(&f).absent, absent);
	/* Given back in random order, chunk by chunk, mostly of one frame: bit-identical to the start (INV-3.2). */
	memset(state, 0, chunks);
	for (uint64_t i = 0; i < chunks; i++) {
		uint64_t at = (i * 2654435761u) % chunks;

		for (; state[at]; at = (at + 1u) % chunks)
			;
		assert_status(kelp_directmap_set_default(
				      &f.map, pfn(f.hot + at * chunk),
				      f.hot_frames - at * chunk < chunk
					      ? f.hot_frames - at * chunk : chunk), KELP_OK);
		state[at] = 1;
	}
	while (kelp_directmap_coalesce_some(&f.map, 16))
		;
	reach_settled(&f.reach);
	assert_true(reach_is_as_saved(&f.reach));
	free(state);
	end(&f);
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"INV-3.2 built with the largest leaves", is_built_with_the_largest_leaves, NULL},
		{"leaf sizes can be limited", leaf_sizes_can_be_limited, NULL},
		{"INV-3.1 building is all or nothing", building_is_all_or_nothing, NULL},
		{"INV-3.2 one frame goes and comes back", one_frame_goes_and_comes_back, NULL},
		{"gathered changes wait for the commit", gathered_changes_wait_for_the_commit,
		 NULL},
		{"INV-3.1 a failed change changes nothing", a_failed_change_changes_nothing, NULL},
		{"INV-3.1 every change may run out of tables", every_change_may_run_out_of_tables,
		 NULL},
		{"INV-3.1 what cannot change says so", what_cannot_change_says_so, NULL},
		{"INV-3.1 without a quiet moment a live leaf stays",
		 without_a_quiet_moment_a_live_leaf_stays, demands_breaks},
		{"INV-3.1 a quiet moment may be refused", a_quiet_moment_may_be_refused,
		 demands_breaks},
		{"a quiet moment gives no table back", a_quiet_moment_gives_no_table_back,
		 demands_breaks},
		{"INV-3.1 what small leaves do not reach stays whole",
		 what_small_leaves_do_not_reach_stays_whole, has_frames_for_large_leaves_only},
		{"a type changes after the split is flushed",
		 a_type_changes_after_the_split_is_flushed, has_another_type},
		{"INV-3.1 a type changes or nothing does", a_type_changes_or_nothing_does,
		 has_another_type_to_break_for},
		{"INV-3.2 coalescing can wait or be off", coalescing_can_wait_or_be_off, NULL},
		{"INV-3.2 what lies beyond the window stays", what_lies_beyond_the_window_stays, NULL},
		{"INV-3.2 memory comes and goes", memory_comes_and_goes, NULL},
		{"INV-3.3 free frames are absent", free_frames_are_absent, NULL},
		{"INV-3.1 INV-3.2 random changes agree with an array",
		 random_changes_agree_with_an_array, NULL},
	};

	return bare_cases_run("reach_directmap", cases, COUNT_OF(cases));
}
