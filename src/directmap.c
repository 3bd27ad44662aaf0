/* SPDX-License-Identifier: MIT */
/* directmap: RAM at one offset. See kelp/directmap.h. */
#include <kelp/directmap.h>

#include "debug.h"

#define FLAGS (KELP_DIRECTMAP_NO_COALESCE | KELP_DIRECTMAP_DEFER)
#define COALESCE_TABLES_DEFAULT 4u

/* Frames as the address range that shows them. */
struct extent {
	kelp_vaddr_t va;
	uint64_t size;
};

static enum kelp_status extent_of(const struct kelp_directmap *map, kelp_pfn_t first,
				  uint64_t frames, struct extent *extent)
{
	kelp_paddr_t pa = first.number << map->page_shift;

	if (frames == 0)
		return KELP_ERR_ARGUMENT;
	if (pa >> map->page_shift != first.number || frames > map->size >> map->page_shift ||
	    pa - map->first > map->size - (frames << map->page_shift))
		return KELP_ERR_ADDRESS;
	*extent = (struct extent){pa + map->offset, frames << map->page_shift};
	return KELP_OK;
}

/* INV-3.1: counts the refusals, so that they can be seen. */
static enum kelp_status refuse(struct kelp_directmap *map)
{
	map->counts.refused++;
	return KELP_ERR_UNSUPPORTED;
}

/* ---- pins -------------------------------------------------------------------------------- */

static bool is_pinned(const struct kelp_directmap *map, const struct extent *extent)
{
	uint64_t first = kelp_directmap_frame(map, extent->va).number;
	uint64_t last = first + (extent->size >> map->page_shift) - 1u;

	for (uint32_t i = 0; i < map->pin_count; i++)
		if (first <= map->pins[i].last.number && last >= map->pins[i].first.number)
			return true;
	return false;
}

enum kelp_status kelp_directmap_pin(struct kelp_directmap *map, kelp_pfn_t first, uint64_t frames)
{
	struct extent extent;
	enum kelp_status status = extent_of(map, first, frames, &extent);

	if (status != KELP_OK)
		return status;
	if (map->pin_count == map->pin_capacity)
		return KELP_ERR_NO_MEMORY;
	map->pins[map->pin_count++] =
		(struct kelp_frame_range){first, {first.number + frames - 1u}};
	return KELP_OK;
}

enum kelp_status kelp_directmap_unpin(struct kelp_directmap *map, kelp_pfn_t first,
				      uint64_t frames)
{
	struct extent extent;
	enum kelp_status status = extent_of(map, first, frames, &extent);

	if (status != KELP_OK)
		return status;
	for (uint32_t i = 0; i < map->pin_count; i++) {
		if (map->pins[i].first.number != first.number ||
		    map->pins[i].last.number != first.number + frames - 1u)
			continue;
		map->pins[i] = map->pins[--map->pin_count];
		return KELP_OK;
	}
	return KELP_ERR_NOT_MAPPED;
}

/* ---- one change -------------------------------------------------------------------------- */

static void commit_quiesced(void *argument)
{
	kelp_space_commit(argument);
}

/*
 * Prepares and commits one change. Where it needs a break, and there is a way to do one while
 * nobody stands on the map, it is done there: what may fail or allocate before, nothing inside.
 */
static enum kelp_status change_entries(struct kelp_directmap *map, struct kelp_flush *flush,
				       struct kelp_change *change)
{
	enum kelp_status status = kelp_space_prepare(flush, change);
	uint64_t splits;

	if (status == KELP_OK) {
		map->counts.splits += change->reserved;
		kelp_space_commit(change);
		return KELP_OK;
	}
	if (status == KELP_ERR_UNSUPPORTED || (status == KELP_ERR_BBM && !map->quiesce))
		return refuse(map);
	if (status != KELP_ERR_BBM)
		return status;
	change->flags |= KELP_ALLOW_BREAK;
	status = kelp_space_prepare(flush, change);
	if (status != KELP_OK)
		return status;
	/* The break flushes; what the caller gathered may give tables back, so it goes first. */
	kelp_flush_now(flush);
	splits = change->reserved;
	status = map->quiesce(map->quiesce_context, commit_quiesced, change);
	if (status != KELP_OK) {
		kelp_space_cancel(change);
		return status;
	}
	map->counts.splits += splits;
	map->counts.quiesced++;
	return KELP_OK;
}

/*
 * Cuts the leaves at the two ends by a protect of nothing, and flushes what that gathered. After an
 * error nothing has changed; after KELP_OK the change itself needs no table and cannot fail.
 */
static enum kelp_status cut_ends(struct kelp_directmap *map, struct kelp_flush *flush,
				 const struct kelp_change *change)
{
	struct kelp_change cut = *change;
	enum kelp_status status;

	cut.set = cut.clear = 0;
	status = change_entries(map, flush, &cut);
	if (status == KELP_OK)
		kelp_flush_now(flush);
	return status;
}

/*
 * A change of attributes. A leaf's size and its memory type never change in one step: a CPU that
 * holds both sizes must find the same in them. So the leaves at the two ends are cut first; where
 * the change breaks the leaves, no CPU holds any, and it is one change, done or not (INV-3.1).
 */
static enum kelp_status protect_extent(struct kelp_directmap *map, struct kelp_flush *flush,
				       const struct extent *extent, kelp_attr_t set,
				       kelp_attr_t clear)
{
	struct kelp_change change = {
		.kind = KELP_CHANGE_PROTECT,
		.va = extent->va,
		.size = extent->size,
		.set = set,
		.clear = clear,
	};

	if ((set | clear) & (KELP_ATTR_TYPE_MASK | KELP_ATTR_SHARED)) {
		struct kelp_change probe = change;
		enum kelp_status status = kelp_space_prepare(flush, &probe);

		if (status == KELP_OK) {
			kelp_space_cancel(&probe);
			status = cut_ends(map, flush, &change);
		} else if (status == KELP_ERR_BBM) {
			status = KELP_OK;
		} else if (status == KELP_ERR_UNSUPPORTED) {
			return refuse(map);
		}
		if (status != KELP_OK)
			return status;
		map->types_changed = true;
	}
	return change_entries(map, flush, &change);
}

/* ---- large leaves come back (INV-3.2) ---------------------------------------------------- */

static bool size_allowed(const struct kelp_directmap *map, unsigned shift)
{
	return (map->space->format->leaf_sizes >> shift & 1u) &&
	       (map->leaf_shift == 0 || shift <= map->leaf_shift);
}

/* log2 of a group of leaves of this level, 0 where none is wanted. */
static unsigned group_shift(const struct kelp_directmap *map, unsigned level)
{
	const struct kelp_format *f = map->space->format;
	unsigned shift = f->shift[level] + f->group_order[level];

	if (!f->groups || f->group_order[level] == 0 ||
	    (map->space->flags & KELP_SPACE_NO_GROUPS) || !size_allowed(map, shift))
		return 0;
	return shift;
}

/* Valid leaves of one level, consecutive, with the same attributes, as they are met. */
struct uniform {
	unsigned level;
	bool begun;
	bool broken;
	kelp_paddr_t first;
	kelp_attr_t attributes;
	uint64_t size;
};

#define USED (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)

static enum kelp_visit uniform_visit(void *context, const struct kelp_mapping *mapping)
{
	struct uniform *u = context;

	if (mapping->kind == KELP_ENTRY_TABLE && mapping->level > u->level)
		return KELP_VISIT_CONTINUE;
	if (mapping->kind != KELP_ENTRY_LEAF || mapping->level != u->level)
		u->broken = true;
	if (!u->begun) {
		u->begun = true;
		u->first = mapping->pa;
		u->attributes = mapping->attributes & ~USED;
	}
	if (mapping->pa != u->first + u->size || (mapping->attributes & ~USED) != u->attributes)
		u->broken = true;
	u->size += mapping->size;
	return u->broken ? KELP_VISIT_STOP : KELP_VISIT_CONTINUE;
}

/* What lies beyond the window is somebody else's, under somebody else's lock. */
static bool is_in_window(const struct kelp_directmap *map, kelp_vaddr_t va, uint64_t size)
{
	kelp_vaddr_t offset = va - map->offset - map->first;

	return offset < map->size && size <= map->size - offset;
}

/*
 * Could [va, va + 2^shift) be one leaf or group made of valid leaves of `level`? Absent frames
 * are left in small leaves: giving one of them back then needs no memory.
 */
static bool is_uniform(const struct kelp_directmap *map, kelp_vaddr_t va, unsigned shift,
		       unsigned level)
{
	uint64_t size = UINT64_C(1) << shift;
	struct uniform u = {.level = level};

	if (!is_in_window(map, va, size) ||
	    kelp_space_walk(map->space, va, size,
			    KELP_WALK_RUNS | KELP_WALK_TABLES | KELP_WALK_HOLES, uniform_visit,
			    &u) != KELP_OK)
		return false;
	return !u.broken && u.size == size && (u.first & (size - 1u)) == 0;
}

struct merge {
	struct kelp_flush *flush;
	kelp_vaddr_t va;
	uint64_t size;
	unsigned shift;
	uint64_t merged;
	enum kelp_status status;
};

static void merge_quiesced(void *argument)
{
	struct merge *merge = argument;

	merge->status = kelp_space_coalesce(merge->flush, merge->va, merge->size, merge->shift,
					    KELP_ALLOW_BREAK, &merge->merged);
}

/* Coalesces [va, va + size) to leaves of 2^shift; returns whether any table or group was one. */
static bool merge(struct kelp_directmap *map, struct kelp_flush *flush, kelp_vaddr_t va,
		  uint64_t size, unsigned shift)
{
	struct merge merge = {.flush = flush, .va = va, .size = size, .shift = shift};

	/* What a CPU may still hold of the small leaves must say what the large one will. */
	if (!kelp_flush_is_empty(flush))
		kelp_flush_now(flush);
	merge.status = kelp_space_coalesce(flush, va, size, shift, 0, &merge.merged);
	if (merge.status == KELP_ERR_BBM && map->quiesce &&
	    map->quiesce(map->quiesce_context, merge_quiesced, &merge) == KELP_OK)
		map->counts.quiesced++;
	/* An error is no loss: the leaves say the same, and stay as small as they are. */
	return merge.status == KELP_OK && merge.merged > 0;
}

static kelp_vaddr_t align(kelp_vaddr_t va, unsigned shift)
{
	return va & ~((UINT64_C(1) << shift) - 1u);
}

static bool ends_at(kelp_vaddr_t last, unsigned shift)
{
	return ((last + 1u) & ((UINT64_C(1) << shift) - 1u)) == 0;
}

/* Groups of pages in the table at `va`, in what the window has of it. */
static void regroup_table(struct kelp_directmap *map, struct kelp_flush *flush, kelp_vaddr_t va,
			  unsigned shift)
{
	kelp_vaddr_t window = map->first + map->offset;
	kelp_vaddr_t last = va + ((UINT64_C(1) << map->space->format->shift[1]) - 1u);

	if (va < window)
		va = window;
	if (last > window + (map->size - 1u))
		last = window + (map->size - 1u);
	merge(map, flush, va, last - va + 1u, shift);
}

/*
 * Groups of pages in a table that stays. All of the table's are marked at once, but only if one
 * that was touched can be: else the flush before would be for nothing.
 */
static void regroup(struct kelp_directmap *map, struct kelp_flush *flush, kelp_vaddr_t va,
		    kelp_vaddr_t last, unsigned shift)
{
	unsigned table = map->space->format->shift[1];
	kelp_vaddr_t at = align(va, shift);

	for (;;) {
		struct kelp_mapping found;

		if (kelp_space_query(map->space, at, &found) == KELP_OK && found.shift < shift &&
		    is_uniform(map, at, shift, 0)) {
			regroup_table(map, flush, align(va, table), shift);
			return;
		}
		if (last - at < UINT64_C(1) << shift)
			return;
		at += UINT64_C(1) << shift;
	}
}

/*
 * Everything in front of `end` in the pending range has been looked at. Looks at what becomes
 * decidable there: the table of each level that ends at `end`, and the groups that do.
 */
static void look_up(struct kelp_directmap *map, struct kelp_flush *flush, kelp_vaddr_t va,
		    kelp_vaddr_t end, bool is_last, unsigned level, uint64_t *work)
{
	const struct kelp_format *f = map->space->format;

	for (unsigned at = level ? level : 1u; at < f->levels; at++) {
		unsigned shift = f->shift[at];
		unsigned group = group_shift(map, at);
		uint64_t cost = kelp_format_entries(f, at - 1u);

		if (!is_last && !ends_at(end, shift))
			return;
		if (at > level) {
			*work -= cost < *work ? cost : *work;
			if (size_allowed(map, shift) &&
			    is_uniform(map, align(va, shift), shift, at - 1u) &&
			    merge(map, flush, align(va, shift), UINT64_C(1) << shift, shift)) {
				map->counts.restorations++;
			} else {
				/* Still a table, so nothing above it is uniform either. */
				unsigned below = group_shift(map, 0);

				if (at == 1 && below)
					regroup(map, flush, va,
						is_last ? map->pending[0].last : end, below);
				return;
			}
		}
		if (group && (is_last || ends_at(end, group)) &&
		    is_uniform(map, align(va, group), group, at))
			merge(map, flush, align(va, group), UINT64_C(1) << group, group);
	}
}

/* One step through the first pending range: the table of pages at its start, or what is there. */
static void coalesce_step(struct kelp_directmap *map, struct kelp_flush *flush, uint64_t *work)
{
	kelp_vaddr_t va = map->pending[0].first;
	kelp_vaddr_t last = map->pending[0].last;
	struct kelp_mapping found;
	unsigned level = 0;
	kelp_vaddr_t end;

	if (kelp_space_query(map->space, va, &found) == KELP_OK)
		level = found.level;
	end = va | ((UINT64_C(1) << map->space->format->shift[level ? level : 1u]) - 1u);
	*work -= *work > 0;
	look_up(map, flush, va, end, end >= last, level, work);
	if (end < last)
		map->pending[0].first = end + 1u;
	else
		map->pending[0] = map->pending[--map->pending_count];
}

static uint64_t work_of(const struct kelp_directmap *map, uint64_t tables)
{
	return tables << map->space->format->index_bits[0];
}

static void coalesce(struct kelp_directmap *map, struct kelp_flush *flush, uint64_t work)
{
	while (map->pending_count > 0 && work > 0)
		coalesce_step(map, flush, &work);
}

/* Distance between a range and a pending one; 0 when they touch or overlap. */
static uint64_t gap(kelp_vaddr_t first, kelp_vaddr_t last, kelp_vaddr_t other_first,
		    kelp_vaddr_t other_last)
{
	if (first > other_last)
		return first - other_last - 1u;
	if (other_first > last)
		return other_first - last - 1u;
	return 0;
}

static void add_pending(struct kelp_directmap *map, kelp_vaddr_t first, kelp_vaddr_t last)
{
	uint64_t least = UINT64_MAX;
	uint32_t nearest = 0;

	for (uint32_t i = 0; i < map->pending_count; i++) {
		uint64_t distance = gap(first, last, map->pending[i].first, map->pending[i].last);

		if (distance < least) {
			least = distance;
			nearest = i;
		}
	}
	if (least > 0 && map->pending_count < KELP_DIRECTMAP_PENDING) {
		map->pending[map->pending_count].first = first;
		map->pending[map->pending_count++].last = last;
		return;
	}
	if (first < map->pending[nearest].first)
		map->pending[nearest].first = first;
	if (last > map->pending[nearest].last)
		map->pending[nearest].last = last;
}

/*
 * Leaves in the extent are again what their neighbours may be. The work done here is that of the
 * extent itself and a fixed number of tables more.
 */
static void touched(struct kelp_directmap *map, struct kelp_flush *flush,
		    const struct extent *extent)
{
	uint64_t tables = (extent->size >> map->space->format->shift[1]) + 2u;

	if (map->flags & KELP_DIRECTMAP_NO_COALESCE)
		return;
	add_pending(map, extent->va, extent->va + (extent->size - 1u));
	if (!(map->flags & KELP_DIRECTMAP_DEFER))
		coalesce(map, flush, work_of(map, tables + map->coalesce_tables));
}

bool kelp_directmap_coalesce_some(struct kelp_directmap *map, uint32_t tables)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, map->space);
	coalesce(map, &flush, work_of(map, tables));
	kelp_flush_commit(&flush);
	return map->pending_count > 0;
}

/* ---- the public changes ------------------------------------------------------------------ */

static enum kelp_status changeable(struct kelp_directmap *map, kelp_pfn_t first, uint64_t frames,
				   struct extent *extent)
{
	enum kelp_status status = extent_of(map, first, frames, extent);

	if (status == KELP_OK && is_pinned(map, extent))
		return refuse(map);
	return status;
}

enum kelp_status kelp_directmap_set_invalid_gather(struct kelp_directmap *map,
						   struct kelp_flush *flush, kelp_pfn_t first,
						   uint64_t frames)
{
	struct extent extent;
	enum kelp_status status = changeable(map, first, frames, &extent);

	if (status != KELP_OK)
		return status;
	return protect_extent(map, flush, &extent, KELP_ATTR_INVALID, 0);
}

/* What default attributes do not have and a protect may have added. */
#define RESETTABLE                                                                                 \
	(KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER | KELP_ATTR_GLOBAL |   \
	 KELP_ATTR_SHARED | KELP_ATTR_INVALID | KELP_ATTR_SOFT)

static enum kelp_status restore_extent(struct kelp_directmap *map, struct kelp_flush *flush,
				       const struct extent *extent)
{
	kelp_attr_t set = map->attributes & ~KELP_ATTR_TYPE_MASK;
	kelp_attr_t clear = RESETTABLE & ~map->attributes;

	if (map->types_changed) {
		set = map->attributes;
		clear |= KELP_ATTR_TYPE_MASK;
	} else {
		clear &= ~KELP_ATTR_SHARED;
		set &= ~KELP_ATTR_SHARED;
	}
	return protect_extent(map, flush, extent, set, clear);
}

enum kelp_status kelp_directmap_set_default_gather(struct kelp_directmap *map,
						   struct kelp_flush *flush, kelp_pfn_t first,
						   uint64_t frames)
{
	struct extent extent;
	enum kelp_status status = changeable(map, first, frames, &extent);

	if (status == KELP_OK)
		status = restore_extent(map, flush, &extent);
	if (status == KELP_OK)
		touched(map, flush, &extent);
	return status;
}

enum kelp_status kelp_directmap_protect_gather(struct kelp_directmap *map,
					       struct kelp_flush *flush, kelp_pfn_t first,
					       uint64_t frames, kelp_attr_t set, kelp_attr_t clear)
{
	struct extent extent;
	enum kelp_status status = changeable(map, first, frames, &extent);

	if (status == KELP_OK)
		status = protect_extent(map, flush, &extent, set, clear);
	if (status == KELP_OK)
		touched(map, flush, &extent);
	return status;
}

enum kelp_status kelp_directmap_set_invalid(struct kelp_directmap *map, kelp_pfn_t first,
					    uint64_t frames)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, map->space);
	status = kelp_directmap_set_invalid_gather(map, &flush, first, frames);
	kelp_flush_commit(&flush);
	return status;
}

enum kelp_status kelp_directmap_set_default(struct kelp_directmap *map, kelp_pfn_t first,
					    uint64_t frames)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, map->space);
	status = kelp_directmap_set_default_gather(map, &flush, first, frames);
	kelp_flush_commit(&flush);
	return status;
}

enum kelp_status kelp_directmap_protect(struct kelp_directmap *map, kelp_pfn_t first,
					uint64_t frames, kelp_attr_t set, kelp_attr_t clear)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, map->space);
	status = kelp_directmap_protect_gather(map, &flush, first, frames, set, clear);
	kelp_flush_commit(&flush);
	return status;
}

/* ---- adding and removing ----------------------------------------------------------------- */

static enum kelp_status map_extent(struct kelp_directmap *map, struct kelp_flush *flush,
				   const struct extent *extent)
{
	enum kelp_status status =
		kelp_space_map(flush, extent->va, extent->va - map->offset, extent->size,
			       map->attributes, KELP_LEAF_SHIFT(map->leaf_shift));

	return status == KELP_ERR_UNSUPPORTED ? refuse(map) : status;
}

enum kelp_status kelp_directmap_add(struct kelp_directmap *map, kelp_pfn_t first, uint64_t frames)
{
	struct kelp_flush flush = {0};
	struct extent extent;
	enum kelp_status status = extent_of(map, first, frames, &extent);

	if (status != KELP_OK)
		return status;
	kelp_flush_begin(&flush, map->space);
	status = map_extent(map, &flush, &extent);
	if (status == KELP_OK)
		touched(map, &flush, &extent);
	kelp_flush_commit(&flush);
	return status;
}

/* Takes out what map_extent() put in, or what remove asks for. */
static enum kelp_status unmap_extent(struct kelp_directmap *map, struct kelp_flush *flush,
				     const struct extent *extent)
{
	struct kelp_change change = {
		.kind = KELP_CHANGE_UNMAP,
		.flags = KELP_STRICT,
		.va = extent->va,
		.size = extent->size,
	};
	enum kelp_status status = change_entries(map, flush, &change);

	/* Empty tables go too; looking for them cannot fail on a range that was just unmapped. */
	if (status == KELP_OK)
		status = kelp_space_release(flush, extent->va, extent->size, NULL);
	return status;
}

enum kelp_status kelp_directmap_remove(struct kelp_directmap *map, kelp_pfn_t first,
				       uint64_t frames)
{
	struct kelp_flush flush = {0};
	struct extent extent;
	enum kelp_status status = changeable(map, first, frames, &extent);

	if (status != KELP_OK)
		return status;
	kelp_flush_begin(&flush, map->space);
	status = unmap_extent(map, &flush, &extent);
	kelp_flush_commit(&flush);
	return status;
}

static enum kelp_status setup(struct kelp_directmap *map,
			      const struct kelp_directmap_config *config)
{
	const struct kelp_format *f = config->space->format;
	kelp_paddr_t first = config->first.number << f->page_shift;
	uint64_t size = config->frames << f->page_shift;
	uint64_t entry;
	enum kelp_status status;

	*map = (struct kelp_directmap){
		.space = config->space,
		.offset = config->base - first,
		.first = first,
		.size = size,
		.page_shift = f->page_shift,
		.leaf_shift = config->leaf_shift,
		.attributes = kelp_format_used(f, config->attributes),
		.flags = config->flags,
		.coalesce_tables = config->coalesce_tables ? config->coalesce_tables
							   : COALESCE_TABLES_DEFAULT,
		.pin_capacity = config->pins ? config->pin_capacity : 0,
		.pins = config->pins,
		.quiesce = config->quiesce,
		.quiesce_context = config->quiesce_context,
	};
	if ((config->flags & ~FLAGS) || (config->attributes & KELP_ATTR_INVALID))
		return KELP_ERR_ARGUMENT;
	if (config->leaf_shift >= 64 ||
	    (config->leaf_shift && !(f->leaf_sizes >> config->leaf_shift & 1u)))
		return KELP_ERR_ARGUMENT;
	if (first >> f->page_shift != config->first.number ||
	    size >> f->page_shift != config->frames)
		return KELP_ERR_ADDRESS;
	status = kelp_format_check_range(f, config->base, size);
	if (status == KELP_OK)
		status = kelp_format_check_frames(f, first, size);
	if (status == KELP_OK)
		status = f->ops->leaf(f, 0, 0, map->attributes, false, &entry);
	return status;
}

enum kelp_status kelp_directmap_init(struct kelp_directmap *map,
				     const struct kelp_directmap_config *config,
				     const struct kelp_frame_range *ranges, size_t count)
{
	struct kelp_flush flush = {0};
	struct extent extent;
	enum kelp_status status = setup(map, config);
	size_t done;

	if (status != KELP_OK)
		return status;
	/* What is there already was made by somebody else, with whatever types. */
	map->types_changed = count == 0;
	kelp_flush_begin(&flush, map->space);
	for (done = 0; done < count; done++) {
		const struct kelp_frame_range *range = &ranges[done];

		status = KELP_ERR_ARGUMENT;
		if (range->last.number >= range->first.number)
			status = extent_of(map, range->first,
					   range->last.number - range->first.number + 1u, &extent);
		if (status == KELP_OK)
			status = map_extent(map, &flush, &extent);
		if (status != KELP_OK)
			break;
	}
	/* All or nothing: no leaf reaches across the end of a range, so this needs no memory. */
	while (status != KELP_OK && done-- > 0) {
		const struct kelp_frame_range *range = &ranges[done];
		enum kelp_status undone =
			extent_of(map, range->first,
				  range->last.number - range->first.number + 1u, &extent);

		if (undone == KELP_OK)
			undone = unmap_extent(map, &flush, &extent);
		KELP_ASSERT_ALWAYS(map->space->port, undone == KELP_OK,
				   "kelp_directmap_init: what was just mapped is not there");
	}
	/* Ranges that touch: what each has of a table may be one leaf together. */
	for (done = 0; status == KELP_OK && done < count; done++) {
		const struct kelp_frame_range *range = &ranges[done];

		if (extent_of(map, range->first, range->last.number - range->first.number + 1u,
			      &extent) == KELP_OK)
			touched(map, &flush, &extent);
	}
	kelp_flush_commit(&flush);
	return status;
}

/* ---- looking ----------------------------------------------------------------------------- */

bool kelp_directmap_present(const struct kelp_directmap *map, kelp_pfn_t pfn)
{
	struct kelp_mapping found;

	return kelp_directmap_has_frame(map, pfn) &&
	       kelp_space_query(map->space, kelp_directmap_address(map, pfn), &found) == KELP_OK &&
	       found.kind == KELP_ENTRY_LEAF;
}

struct counting {
	const struct kelp_format *format;
	struct kelp_directmap_statistics *statistics;
};

static enum kelp_visit count_leaf(void *context, const struct kelp_mapping *mapping)
{
	const struct counting *counting = context;
	const struct kelp_format *f = counting->format;
	struct kelp_directmap_statistics *s = counting->statistics;
	uint64_t frames = mapping->size >> f->page_shift;
	uint64_t entries = mapping->size >> f->shift[mapping->level];

	s->leaves[mapping->level] += entries;
	if (mapping->shift > f->shift[mapping->level])
		s->grouped[mapping->level] += entries;
	s->frames += frames;
	if (mapping->kind == KELP_ENTRY_INVALID)
		s->absent += frames;
	return KELP_VISIT_CONTINUE;
}

void kelp_directmap_statistics(const struct kelp_directmap *map,
			       struct kelp_directmap_statistics *statistics)
{
	struct counting counting = {map->space->format, statistics};
	enum kelp_status status;

	*statistics = (struct kelp_directmap_statistics){.counts = map->counts};
	status = kelp_space_walk(map->space, map->first + map->offset, map->size, KELP_WALK_RUNS,
				 count_leaf, &counting);
	KELP_ASSERT_DEBUG(map->space->port, status == KELP_OK,
			  "kelp_directmap_statistics: the window is not what init checked");
	(void)status;
}

/* ---- debug page allocation (INV-3.3) ----------------------------------------------------- */

/* Are all frames of the extent there, and all present or all absent? */
struct presence {
	enum kelp_entry_kind kind;
	bool other;
	uint64_t size;
};

static enum kelp_visit presence_visit(void *context, const struct kelp_mapping *mapping)
{
	struct presence *presence = context;

	if (mapping->kind != presence->kind) {
		presence->other = true;
		return KELP_VISIT_STOP;
	}
	presence->size += mapping->size;
	return KELP_VISIT_CONTINUE;
}

static enum kelp_status debug_pages(struct kelp_directmap *map, struct kelp_flush *flush,
				    kelp_pfn_t first, uint64_t frames, bool free)
{
	struct presence presence = {.kind = free ? KELP_ENTRY_LEAF : KELP_ENTRY_INVALID};
	struct extent extent;
	enum kelp_status status = changeable(map, first, frames, &extent);

	if (status != KELP_OK)
		return status;
	/* With larger leaves every free could need memory: from the allocator that calls. */
	if (map->leaf_shift != map->page_shift)
		return refuse(map);
	status = kelp_space_walk(map->space, extent.va, extent.size, KELP_WALK_RUNS,
				 presence_visit, &presence);
	if (status != KELP_OK)
		return status;
	if (presence.size != extent.size)
		return presence.other && !free ? KELP_ERR_EXISTS : KELP_ERR_NOT_MAPPED;
	if (free)
		return protect_extent(map, flush, &extent, KELP_ATTR_INVALID, 0);
	return restore_extent(map, flush, &extent);
}

enum kelp_status kelp_debug_pages_free_gather(struct kelp_directmap *map,
					      struct kelp_flush *flush, kelp_pfn_t first,
					      uint64_t frames)
{
	return debug_pages(map, flush, first, frames, true);
}

enum kelp_status kelp_debug_pages_allocate_gather(struct kelp_directmap *map,
						  struct kelp_flush *flush, kelp_pfn_t first,
						  uint64_t frames)
{
	return debug_pages(map, flush, first, frames, false);
}

enum kelp_status kelp_debug_pages_free(struct kelp_directmap *map, kelp_pfn_t first,
				       uint64_t frames)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, map->space);
	status = debug_pages(map, &flush, first, frames, true);
	kelp_flush_commit(&flush);
	return status;
}

enum kelp_status kelp_debug_pages_allocate(struct kelp_directmap *map, kelp_pfn_t first,
					   uint64_t frames)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, map->space);
	status = debug_pages(map, &flush, first, frames, false);
	kelp_flush_commit(&flush);
	return status;
}
