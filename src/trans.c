/* SPDX-License-Identifier: MIT */
/*
 * trans: transitional tables. See kelp/trans.h.
 *
 * The tables are a space like any other, written by the one code that writes entries. What is
 * here decides which extents they hold. Copy and build hand extents to a sink in ascending order;
 * it joins them, and maps them or only counts the tables they need. So the size that is announced
 * and the tables that are made come from the same decisions.
 */
#include <kelp/trans.h>

/* Consecutive addresses and frames with equal attributes and leaves no larger than 2^shift. */
struct extent {
	kelp_vaddr_t va;
	uint64_t size; /* 0: nothing yet */
	kelp_paddr_t pa;
	kelp_attr_t attributes;
	unsigned shift; /* 0: as large as the format has */
};

struct sink {
	const struct kelp_format *format;
	struct kelp_trans *trans; /* NULL: count */
	struct extent pending;
	struct kelp_mapping *failed; /* may be NULL */
	enum kelp_status status;
	/* Counting: tables so far, and per level of their entries the last one. */
	uint64_t pages;
	uint64_t last_table[KELP_LEVELS_MAX];
	bool has_table[KELP_LEVELS_MAX];
};

static void fail(struct sink *sink, enum kelp_status status, const struct kelp_mapping *where)
{
	sink->status = status;
	if (sink->failed)
		*sink->failed = *where;
}

/*
 * INV-5.1: attributes of a leaf of transitional tables. The hardware bits are set, not left to
 * hardware or to a fault handler: there is none.
 */
static kelp_attr_t transitional(const struct kelp_format *format, kelp_attr_t attributes)
{
	kelp_attr_t kept = attributes & (KELP_ATTR_TYPE_MASK | KELP_ATTR_SHARED);

	return kelp_format_closest(format, kept | KELP_ATTR_READ | KELP_ATTR_WRITE |
						   KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);
}

/* ---- counting ---------------------------------------------------------------------------- */

/* Leaves of `level` stand in all of [va, last]: the tables above them, each counted once. */
static void count_tables(struct sink *sink, unsigned level, kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *format = sink->format;

	for (unsigned i = level; i + 1u < format->levels; i++) {
		uint64_t first_table = va >> format->shift[i + 1];
		uint64_t last_table = last >> format->shift[i + 1];

		sink->pages += last_table - first_table + 1u;
		if (sink->has_table[i] && sink->last_table[i] == first_table)
			sink->pages--;
		sink->last_table[i] = last_table;
		sink->has_table[i] = true;
	}
}

/* The whole leaves of `level` inside [va, last]; false when there are none. */
static bool whole_leaves(const struct kelp_format *format, unsigned level, kelp_vaddr_t va,
			 kelp_vaddr_t last, uint64_t delta, kelp_vaddr_t *first_leaf,
			 kelp_vaddr_t *last_leaf)
{
	uint64_t mask = kelp_format_span(format, level) - 1u;

	if (level > 0 && (!(format->leaf_sizes >> format->shift[level] & 1u) || (delta & mask)))
		return false;
	*first_leaf = (va + mask) & ~mask;
	*last_leaf = (last + 1u) & ~mask;
	if (*first_leaf < va || (*last_leaf == 0 && last != UINT64_MAX))
		return false;
	*last_leaf -= 1u;
	return *first_leaf <= *last_leaf && *last_leaf <= last && *last_leaf >= va;
}

/* Bounded recursion: each step goes down at least one level. */
static void count_extent(struct sink *sink, unsigned level, kelp_vaddr_t va, kelp_vaddr_t last,
			 uint64_t delta)
{
	kelp_vaddr_t first_leaf, last_leaf;

	while (!whole_leaves(sink->format, level, va, last, delta, &first_leaf, &last_leaf))
		level--;
	if (first_leaf > va)
		count_extent(sink, level - 1u, va, first_leaf - 1u, delta);
	count_tables(sink, level, first_leaf, last_leaf);
	if (last_leaf < last)
		count_extent(sink, level - 1u, last_leaf + 1u, last, delta);
}

static void count_pending(struct sink *sink)
{
	const struct extent *extent = &sink->pending;
	unsigned level = sink->format->levels - 1u;

	while (level > 0 && extent->shift != 0 && sink->format->shift[level] > extent->shift)
		level--;
	count_extent(sink, level, extent->va, extent->va + (extent->size - 1u),
		     extent->pa - extent->va);
}

/* ---- the sink ---------------------------------------------------------------------------- */

static enum kelp_status map(struct kelp_trans *trans, const struct extent *extent)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, &trans->space);
	status = kelp_space_map(&flush, extent->va, extent->pa, extent->size, extent->attributes,
				KELP_LEAF_SHIFT(extent->shift));
	kelp_flush_commit(&flush);
	return status;
}

/* What the caller of map would be told, without tables to ask. */
static enum kelp_status check(const struct kelp_format *format, const struct extent *extent)
{
	enum kelp_status status = kelp_format_check_range(format, extent->va, extent->size);
	uint64_t entry;

	if (status == KELP_OK)
		status = kelp_format_check_frames(format, extent->pa, extent->size);
	if (status == KELP_OK)
		status = format->ops->leaf(format, 0, 0, extent->attributes, false, &entry);
	return status;
}

static void sink_drain(struct sink *sink)
{
	const struct extent *extent = &sink->pending;
	enum kelp_status status;

	if (extent->size == 0 || sink->status != KELP_OK)
		return;
	status = check(sink->format, extent);
	if (status == KELP_OK && sink->trans)
		status = map(sink->trans, extent);
	else if (status == KELP_OK)
		count_pending(sink);
	if (status != KELP_OK)
		fail(sink, status,
		     &(struct kelp_mapping){.va = extent->va, .size = extent->size,
					    .pa = extent->pa, .attributes = extent->attributes,
					    .kind = KELP_ENTRY_LEAF,
					    .shift = (uint8_t)extent->shift});
	sink->pending.size = 0;
}

static void sink_add(struct sink *sink, const struct extent *extent)
{
	struct extent *pending = &sink->pending;

	if (pending->size != 0 && pending->va + pending->size == extent->va &&
	    pending->pa + pending->size == extent->pa && pending->shift == extent->shift &&
	    pending->attributes == extent->attributes) {
		pending->size += extent->size;
		return;
	}
	sink_drain(sink);
	*pending = *extent;
}

static struct sink sink_into(struct kelp_trans *trans)
{
	trans->failed = (struct kelp_mapping){0};
	return (struct sink){.format = trans->space.format, .trans = trans,
			     .failed = &trans->failed};
}

/* Counts from the root on. */
static struct sink sink_counting(const struct kelp_format *format, struct kelp_mapping *where)
{
	return (struct sink){.format = format, .failed = where, .pages = 1};
}

/* ---- copying ----------------------------------------------------------------------------- */

struct copying {
	struct sink *sink;
	const struct kelp_trans_policy *policy;
	kelp_vaddr_t first, last;
};

/* INV-5.2: the one place where it is decided whether what stands in the source is copied. */
static enum kelp_status admit(const struct kelp_format *format,
			      const struct kelp_trans_policy *policy,
			      const struct kelp_mapping *part)
{
	kelp_pfn_t first = {part->pa >> format->page_shift};

	switch (part->kind) {
	case KELP_ENTRY_LEAF:
		return KELP_OK;
	case KELP_ENTRY_INVALID:
		if (!policy || !(policy->flags & KELP_TRANS_REVIVE))
			return KELP_ERR_NOT_MAPPED;
		if (!policy->active || !policy->active(policy->context, first,
						       part->size >> format->page_shift))
			return KELP_ERR_RESTRICTED;
		return KELP_OK;
	default:
		/* Somebody's own mark: not known what for, so not left out in silence. */
		return KELP_ERR_MALFORMED;
	}
}

static enum kelp_visit copy_leaves(void *context, const struct kelp_mapping *mapping)
{
	const struct copying *copying = context;
	struct sink *sink = copying->sink;
	struct kelp_mapping part = *mapping;
	kelp_vaddr_t last = mapping->va + (mapping->size - 1u);
	enum kelp_status status;

	if (mapping->kind == KELP_ENTRY_NONE)
		return KELP_VISIT_CONTINUE;
	if (part.va < copying->first) {
		part.pa += copying->first - part.va;
		part.va = copying->first;
	}
	if (last > copying->last)
		last = copying->last;
	part.size = last - part.va + 1u;
	status = admit(sink->format, copying->policy, &part);
	if (status == KELP_OK)
		sink_add(sink, &(struct extent){
				       .va = part.va,
				       .size = part.size,
				       .pa = part.pa,
				       .attributes = transitional(sink->format, part.attributes),
				       .shift = part.shift,
			       });
	else
		fail(sink, status, &part);
	return sink->status == KELP_OK ? KELP_VISIT_CONTINUE : KELP_VISIT_STOP;
}

static enum kelp_status copy_into(struct sink *sink, const struct kelp_space *source,
				  kelp_vaddr_t va, uint64_t size,
				  const struct kelp_trans_policy *policy)
{
	struct copying copying = {sink, policy, va, va + (size - 1u)};
	enum kelp_status status;

	if (policy && (policy->flags & ~KELP_TRANS_REVIVE))
		return KELP_ERR_ARGUMENT;
	status = kelp_space_walk(source, va, size, KELP_WALK_RUNS | KELP_WALK_HOLES, copy_leaves,
				 &copying);
	if (status != KELP_OK)
		return status;
	sink_drain(sink);
	return sink->status;
}

enum kelp_status kelp_trans_copy(struct kelp_trans *trans, const struct kelp_space *source,
				 kelp_vaddr_t va, uint64_t size,
				 const struct kelp_trans_policy *policy)
{
	struct sink sink = sink_into(trans);

	if (source->format != trans->space.format)
		return KELP_ERR_ARGUMENT;
	return copy_into(&sink, source, va, size, policy);
}

enum kelp_status kelp_trans_size(const struct kelp_space *source, kelp_vaddr_t va, uint64_t size,
				 const struct kelp_trans_policy *policy, uint64_t *pages,
				 struct kelp_mapping *where)
{
	struct sink sink = sink_counting(source->format, where);
	enum kelp_status status = copy_into(&sink, source, va, size, policy);

	*pages = status == KELP_OK ? sink.pages : 0;
	return status;
}

/* ---- building ---------------------------------------------------------------------------- */

#define RANGE_ATTRIBUTES (KELP_ATTR_TYPE_MASK | KELP_ATTR_SHARED | KELP_ATTR_EXEC)

static enum kelp_status check_range(const struct kelp_format *format,
				    const struct kelp_trans_range *range, uint64_t next)
{
	uint64_t frames = UINT64_C(1) << (format->pa_bits - format->page_shift);

	if (range->frames == 0 || range->first.number < next ||
	    (range->attributes & ~RANGE_ATTRIBUTES))
		return KELP_ERR_ARGUMENT;
	if (range->first.number >= frames || range->frames > frames - range->first.number)
		return KELP_ERR_ADDRESS;
	return KELP_OK;
}

static enum kelp_status build_into(struct sink *sink, uint64_t offset,
				   const struct kelp_trans_range *ranges, size_t count)
{
	const struct kelp_format *format = sink->format;
	uint64_t next = 0;

	for (size_t i = 0; i < count && sink->status == KELP_OK; i++) {
		const struct kelp_trans_range *range = &ranges[i];
		kelp_paddr_t pa = range->first.number << format->page_shift;
		enum kelp_status status = check_range(format, range, next);

		if (status != KELP_OK) {
			fail(sink, status,
			     &(struct kelp_mapping){.va = pa + offset, .pa = pa,
						    .attributes = range->attributes});
			break;
		}
		next = range->first.number + range->frames;
		sink_add(sink, &(struct extent){
				       .va = pa + offset,
				       .size = range->frames << format->page_shift,
				       .pa = pa,
				       .attributes = transitional(format, range->attributes) |
						     (range->attributes & KELP_ATTR_EXEC),
			       });
	}
	sink_drain(sink);
	return sink->status;
}

enum kelp_status kelp_trans_build(struct kelp_trans *trans, uint64_t offset,
				  const struct kelp_trans_range *ranges, size_t count)
{
	struct sink sink = sink_into(trans);

	return build_into(&sink, offset, ranges, count);
}

enum kelp_status kelp_trans_build_size(const struct kelp_format *format, uint64_t offset,
				       const struct kelp_trans_range *ranges, size_t count,
				       uint64_t *pages, struct kelp_mapping *where)
{
	struct sink sink = sink_counting(format, where);
	enum kelp_status status = build_into(&sink, offset, ranges, count);

	*pages = status == KELP_OK ? sink.pages : 0;
	return status;
}

/* ---- the tables themselves ----------------------------------------------------------------- */

enum kelp_status kelp_trans_init(struct kelp_trans *trans, const struct kelp_format *format,
				 const struct kelp_port *port, uint32_t flags)
{
	if (flags & ~KELP_SPACE_NO_GROUPS)
		return KELP_ERR_ARGUMENT;
	*trans = (struct kelp_trans){.port = *port};
	/* Nobody runs on these tables, and the other CPUs may be stopped for good already. */
	trans->port.shootdown = NULL;
	trans->port.wait_for_readers = NULL;
	return kelp_space_init(&trans->space, format, &trans->port, flags);
}

enum kelp_status kelp_trans_map_page(struct kelp_trans *trans, kelp_vaddr_t va, kelp_pfn_t pfn,
				     kelp_attr_t attributes)
{
	const struct kelp_format *format = trans->space.format;
	kelp_attr_t hardware = format->attr_mask & (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);

	/* DIRTY means that it may be written without hardware noting it: not of what is read. */
	if (!(attributes & KELP_ATTR_WRITE))
		hardware &= ~KELP_ATTR_DIRTY;
	return map(trans, &(struct extent){
				  .va = va,
				  .size = UINT64_C(1) << format->page_shift,
				  .pa = pfn.number << format->page_shift,
				  .attributes = attributes | hardware,
				  .shift = format->page_shift,
			  });
}

void kelp_trans_destroy(struct kelp_trans *trans)
{
	kelp_space_destroy(&trans->space);
}
