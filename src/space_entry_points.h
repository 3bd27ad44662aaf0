/* SPDX-License-Identifier: MIT */
/*
 * Part of space_template.h: the operations as the rest of the library calls them. Their contract
 * is in kelp/space.h.
 */

#ifdef KELP_SINGLE_FORMAT
#define OPERATION(result, name) result kelp_space_##name
#else
#define OPERATION(result, name) static result F(space_##name)
#endif

#define MAP_FLAGS     (KELP_REPLACE | KELP_ALLOW_BREAK | KELP_LEAF_SHIFT(0xff))
#define UNMAP_FLAGS   (KELP_STRICT | KELP_ALLOW_BREAK)
#define PROTECT_FLAGS (KELP_SKIP_HOLES | KELP_ALLOW_BREAK)

static void check_open(const struct kelp_flush *flush)
{
	KELP_ASSERT_ALWAYS(flush->space->port, flush->state == KELP_FLUSH_OPEN,
			   "kelp_space: the gather is not open: kelp_flush_begin() it first");
}

/* What can be said of a change without looking at the tables. */
static enum kelp_status check_change(const struct kelp_space *space,
				     const struct kelp_change *change)
{
	const struct kelp_format *f = space->format;
	uint32_t allowed = change->kind == KELP_CHANGE_MAP     ? MAP_FLAGS
			   : change->kind == KELP_CHANGE_UNMAP ? UNMAP_FLAGS
							       : PROTECT_FLAGS;
	unsigned limit = KELP_LEAF_SHIFT_OF(change->flags);
	enum kelp_status status;

	if (change->flags & ~allowed)
		return KELP_ERR_ARGUMENT;
	status = kelp_format_check_range(f, change->va, change->size);
	if (status != KELP_OK)
		return status;
	if (change->kind == KELP_CHANGE_MAP) {
		if (limit != 0 && (limit > 63 || !(f->leaf_sizes >> limit & 1u)))
			return KELP_ERR_ARGUMENT;
		return kelp_format_check_frames(f, change->pa, change->size);
	}
	if (change->kind == KELP_CHANGE_PROTECT) {
		kelp_attr_t set = change->set, clear = change->clear;

		if ((set | clear) & ~KELP_ATTR_ALL)
			return KELP_ERR_ARGUMENT;
		if (set & clear & ~KELP_ATTR_TYPE_MASK)
			return KELP_ERR_ARGUMENT;
		if ((clear & KELP_ATTR_TYPE_MASK) != 0 &&
		    (clear & KELP_ATTR_TYPE_MASK) != KELP_ATTR_TYPE_MASK)
			return KELP_ERR_ARGUMENT;
		if ((set & KELP_ATTR_TYPE_MASK) && !(clear & KELP_ATTR_TYPE_MASK))
			return KELP_ERR_ARGUMENT;
	}
	return KELP_OK;
}

static void edit_of_change(struct edit *edit, struct kelp_flush *flush, struct kelp_change *change)
{
	edit_begin(edit, flush, change, change->va, change->size);
	edit->set = change->set;
	edit->clear = change->clear;
	edit->delta = change->pa - change->va;
}

/* Reserves what preparing counted. */
static enum kelp_status reserve(struct edit *edit)
{
	return kelp_pages_reserve(edit->space, edit->change,
				  edit->tables +
					  kelp_flush_intact_pages(edit->flush, edit->intact));
}

/*
 * The same for a change that is committed later: what room the gather's records have now,
 * another change may take first.
 */
static enum kelp_status reserve_for_later(struct edit *edit)
{
	uint64_t capacity =
		kelp_flush_overflow_capacity((size_t)1 << edit->format->page_shift);
	uint64_t pages = 0;

	for (uint64_t records = edit->intact; records > 0; pages++)
		records -= records < capacity ? records : capacity;
	return kelp_pages_reserve(edit->space, edit->change, edit->tables + pages);
}

/* Everything of an edit that may fail, but the reserve. */
static enum kelp_status prepare_edit(struct edit *edit, struct kelp_flush *flush,
				     struct kelp_change *change)
{
	enum kelp_status status;

	change->flush = flush;
	change->reserve = 0;
	change->reserved = 0;
	status = check_change(flush->space, change);
	if (status != KELP_OK)
		return status;
	edit_of_change(edit, flush, change);
	switch (change->kind) {
	case KELP_CHANGE_MAP:
		status = map_prepare(edit);
		break;
	case KELP_CHANGE_UNMAP:
		status = unmap_prepare(edit);
		break;
	case KELP_CHANGE_PROTECT:
		status = protect_prepare(edit);
		break;
	}
	return status;
}

static void make_edit(struct edit *edit)
{
	switch (edit->change->kind) {
	case KELP_CHANGE_MAP:
		map_make(edit);
		break;
	case KELP_CHANGE_UNMAP:
		unmap_make(edit);
		break;
	case KELP_CHANGE_PROTECT:
		protect_make(edit);
		break;
	}
	kelp_hw_published();
	kelp_pages_cancel(edit->space, edit->change);
}

OPERATION(enum kelp_status, prepare)(struct kelp_flush *flush, struct kelp_change *change)
{
	enum kelp_status status;
	struct edit edit;

	check_open(flush);
	if (change->kind != KELP_CHANGE_MAP && change->kind != KELP_CHANGE_UNMAP &&
	    change->kind != KELP_CHANGE_PROTECT)
		return KELP_ERR_ARGUMENT;
	status = prepare_edit(&edit, flush, change);
	return status == KELP_OK ? reserve_for_later(&edit) : status;
}

OPERATION(void, commit)(struct kelp_change *change)
{
	struct edit edit;

	check_open(change->flush);
	edit_of_change(&edit, change->flush, change);
	if (change->kind == KELP_CHANGE_MAP) {
		enum kelp_status status = map_plan(&edit);

		/* Preparing planned the same. */
		KELP_ASSERT_ALWAYS(edit.space->port, status == KELP_OK,
				   "kelp_space_commit: the change was altered after prepare");
		plan_tables(&edit);
	}
	make_edit(&edit);
}

static enum kelp_status change_now(struct kelp_flush *flush, struct kelp_change *change)
{
	enum kelp_status status;
	struct edit edit;

	check_open(flush);
	status = prepare_edit(&edit, flush, change);
	if (status == KELP_OK)
		status = reserve(&edit);
	if (status == KELP_OK)
		make_edit(&edit);
	return status;
}

/*
 * Remembers in the gather where single pages of the same table go: the next call then neither
 * walks nor encodes. Not below tables that deny something.
 */
static void set_cursor(struct kelp_flush *flush, kelp_vaddr_t va)
{
	const struct kelp_space *space = flush->space;
	const struct kelp_format *f = space->format;
	void *table = root_table(space);

	flush->cursor_entries = 0;
	for (unsigned level = root_level(f); level > 0; level--) {
		uint64_t entry = load(table, F(index)(f, level, va));

		if (F(kind)(f, level, entry) != KELP_ENTRY_TABLE || F(denied)(f, level, entry))
			return;
		table = table_of(space, level, entry);
	}
	flush->cursor_table = table;
	flush->cursor_first = first_of(1, va);
	flush->cursor_entries = 1u << f->index_bits[0];
	flush->cursor_epoch = kelp_hw_count_read(&space->epoch);
	flush->cursor_unfit = ~(F(reach)(f, 0) & ~(span(0) - 1u));
}

/*
 * The index of the page at `va` in the table that the cursor holds, if it is one of it: rotating
 * brings the bits that an aligned address does not have to the top, so one comparison sees both
 * a misaligned address and one outside. A gather that is not open has no cursor.
 */
static inline uint64_t cursor_index(const struct kelp_flush *flush, kelp_vaddr_t va)
{
	uint64_t offset = va - flush->cursor_first;

	return offset >> F(shift)(0) | offset << (64u - F(shift)(0));
}

static inline bool cursor_fits(const struct kelp_flush *flush, uint64_t index, uint64_t size)
{
	return size == span(0) && index < flush->cursor_entries &&
	       flush->cursor_epoch == kelp_hw_count_read(&flush->space->epoch);
}

static __attribute__((noinline)) enum kelp_status map_slowly(struct kelp_flush *flush,
							     kelp_vaddr_t va, kelp_paddr_t pa,
							     uint64_t size, kelp_attr_t attributes,
							     uint32_t flags)
{
	struct kelp_change change = {
		.kind = KELP_CHANGE_MAP,
		.flags = flags,
		.va = va,
		.pa = pa,
		.size = size,
		.set = attributes,
	};
	enum kelp_status status = change_now(flush, &change);

	if (status == KELP_OK && size == span(0) && flags == 0 &&
	    F(encode)(flush->space->format, 0, attributes, false, &flush->cursor_bits) == KELP_OK) {
		flush->cursor_attr = attributes;
		set_cursor(flush, va);
	}
	return status;
}

OPERATION(enum kelp_status, map)(struct kelp_flush *flush, kelp_vaddr_t va, kelp_paddr_t pa,
				 uint64_t size, kelp_attr_t attributes, uint32_t flags)
{
	uint64_t index = cursor_index(flush, va);

	if (KELP_LIKELY(cursor_fits(flush, index, size) && (pa & flush->cursor_unfit) == 0 &&
			attributes == flush->cursor_attr && flags == 0 &&
			(!F(demands_break)(flush->space->format) || kelp_flush_is_empty(flush)))) {
		void *table = flush->cursor_table;
		uint64_t bits = flush->cursor_bits;

		if (KELP_LIKELY(load(table, (unsigned)index) == 0)) {
			const struct kelp_format *f = flush->space->format;

			store(table, (unsigned)index, F(entry)(f, 0, bits, pa));
			kelp_hw_published();
			if (F(caches_invalid)(f))
				return kelp_flush_continue(flush, va, span(0))
				       ? KELP_OK
				       : kelp_flush_begin_run(flush, va, 0);
			return KELP_OK;
		}
	}
	return map_slowly(flush, va, pa, size, attributes, flags);
}

static __attribute__((noinline)) enum kelp_status unmap_slowly(struct kelp_flush *flush,
							       kelp_vaddr_t va, uint64_t size,
							       uint32_t flags)
{
	struct kelp_change change = {
		.kind = KELP_CHANGE_UNMAP,
		.flags = flags,
		.va = va,
		.size = size,
	};
	enum kelp_status status = change_now(flush, &change);

	if (status == KELP_OK && size == span(0)) {
		/* No attributes come with unmap: a map that follows encodes its own. */
		flush->cursor_attr = UINT64_MAX;
		set_cursor(flush, va);
	}
	return status;
}

OPERATION(enum kelp_status, unmap)(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				   uint32_t flags)
{
	uint64_t index = cursor_index(flush, va);

	if (KELP_LIKELY(cursor_fits(flush, index, size) && flags == 0)) {
		const struct kelp_format *f = flush->space->format;
		void *table = flush->cursor_table;
		uint64_t entry = load(table, (unsigned)index);

		if (KELP_LIKELY(F(kind)(f, 0, entry) == KELP_ENTRY_LEAF &&
				!F(grouped)(f, 0, entry))) {
			uint32_t global = F(is_global)(f, 0, entry) ? KELP_FLUSH_GLOBAL : 0;

			store(table, (unsigned)index, 0);
			if (KELP_LIKELY(kelp_flush_continue(flush, va, span(0)))) {
				if (global)
					flush->request.flags |= global;
				return KELP_OK;
			}
			return kelp_flush_begin_run(flush, va, global);
		}
	}
	return unmap_slowly(flush, va, size, flags);
}

OPERATION(enum kelp_status, protect)(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				     kelp_attr_t set, kelp_attr_t clear, uint32_t flags)
{
	struct kelp_change change = {
		.kind = KELP_CHANGE_PROTECT,
		.flags = flags,
		.va = va,
		.size = size,
		.set = set,
		.clear = clear,
	};

	return change_now(flush, &change);
}

/* The level whose entries span 2^shift, or levels if there is none. */
static unsigned level_of_shift(const struct kelp_format *f, unsigned shift)
{
	unsigned level = 0;

	while (level < f->levels && F(shift)(level) != shift)
		level++;
	return level;
}

OPERATION(enum kelp_status, populate)(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				      unsigned leaf_shift, uint32_t flags)
{
	const struct kelp_format *f = flush->space->format;
	struct kelp_change change = {.va = va, .size = size};
	unsigned target = level_of_shift(f, leaf_shift);
	enum kelp_status status;
	struct edit edit;

	check_open(flush);
	/* The size of a group asks for the tables that its leaves stand in. */
	for (unsigned level = 0; target == f->levels && level < f->levels; level++)
		if (f->group_order[level] && f->shift[level] + f->group_order[level] == leaf_shift)
			target = level;
	if (target == f->levels || flags != 0)
		return KELP_ERR_ARGUMENT;
	status = kelp_format_check_range(f, va, size);
	if (status != KELP_OK)
		return status;
	edit_begin(&edit, flush, &change, va, size);
	edit.va = first_of(target, edit.va);
	edit.last = last_of(target, edit.last);
	edit.leafable = (2u << target) - 1u;
	plan_tables(&edit);
	populate_scan(&edit, root_table(edit.space), root_level(f), target, edit.va, edit.last);
	status = reserve(&edit);
	if (status != KELP_OK)
		return status;
	flush_pending(&edit);
	populate_commit(&edit, root_table(edit.space), root_level(f), target, edit.va, edit.last);
	kelp_hw_published();
	kelp_pages_cancel(edit.space, &change);
	return KELP_OK;
}

static enum kelp_status check_leaf_shift(const struct kelp_format *f, unsigned shift)
{
	return shift < 64 && (f->leaf_sizes >> shift & 1u) ? KELP_OK : KELP_ERR_ARGUMENT;
}

OPERATION(enum kelp_status, split)(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				   unsigned leaf_shift, uint32_t flags)
{
	const struct kelp_format *f = flush->space->format;
	struct kelp_change change = {.va = va, .size = size, .flags = flags};
	uint64_t granule;
	enum kelp_status status;
	struct edit edit;

	check_open(flush);
	if (flags & ~KELP_ALLOW_BREAK || check_leaf_shift(f, leaf_shift) != KELP_OK)
		return KELP_ERR_ARGUMENT;
	status = kelp_format_check_range(f, va, size);
	if (status != KELP_OK)
		return status;
	edit_begin(&edit, flush, &change, va, size);
	/* A leaf of the wanted size is not cut where the range ends inside it. */
	granule = UINT64_C(1) << leaf_shift;
	edit.va &= ~(granule - 1u);
	edit.last |= granule - 1u;
	for (unsigned level = 0; level < f->levels; level++)
		if (F(leaf_ok)(f, level) && F(shift)(level) <= leaf_shift)
			edit.leafable |= 1u << level;
	plan_tables(&edit);
	status = split_scan(&edit, root_table(edit.space), root_level(f), leaf_shift, edit.va,
			    edit.last);
	if (status == KELP_OK)
		status = reserve(&edit);
	if (status != KELP_OK)
		return status;
	flush_pending(&edit);
	split_commit(&edit, root_table(edit.space), root_level(f), leaf_shift, edit.va, edit.last);
	kelp_hw_published();
	kelp_pages_cancel(edit.space, &change);
	return KELP_OK;
}

OPERATION(enum kelp_status, coalesce)(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				      unsigned leaf_shift, uint32_t flags, uint64_t *merged)
{
	const struct kelp_format *f = flush->space->format;
	struct kelp_change change = {.va = va, .size = size, .flags = flags};
	struct coalescing work = {.shift = leaf_shift};
	enum kelp_status status;
	struct edit edit;

	check_open(flush);
	if (flags & ~KELP_ALLOW_BREAK || check_leaf_shift(f, leaf_shift) != KELP_OK)
		return KELP_ERR_ARGUMENT;
	status = kelp_format_check_range(f, va, size);
	if (status != KELP_OK)
		return status;
	edit_begin(&edit, flush, &change, va, size);
	/* Where nothing can fail, looking first would only cost time. */
	if (!(f->bbm_level >= 2 || may_break(&edit)) ||
	    kelp_flush_intact_pages(flush, ((edit.last - edit.va) >> F(shift)(1)) + 1u) > 0) {
		status = coalesce_table(&edit, &work, root_table(edit.space), root_level(f),
					edit.va, edit.last);
		if (status == KELP_OK)
			status = reserve(&edit);
		if (status != KELP_OK)
			return status;
	}
	work.commit = true;
	status = coalesce_table(&edit, &work, root_table(edit.space), root_level(f), edit.va,
				edit.last);
	kelp_hw_published();
	kelp_pages_cancel(edit.space, &change);
	if (merged)
		*merged = work.merged;
	return status;
}

OPERATION(enum kelp_status, release)(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				     uint64_t *released)
{
	struct kelp_space *space = flush->space;
	enum kelp_status status;
	uint64_t count;

	check_open(flush);
	status = kelp_format_check_range(space->format, va, size);
	if (status != KELP_OK)
		return status;
	count = release_table(flush, root_table(space), root_level(space->format), va,
			      va + (size - 1u));
	if (released)
		*released = count;
	return KELP_OK;
}

/* May the root entry at `va` of `from` stand in this root too? */
static enum kelp_status share_check(const struct edit *edit, const struct kelp_space *from,
				    kelp_vaddr_t va, uint64_t *entry)
{
	const struct kelp_format *f = edit->format;
	unsigned level = root_level(f);
	unsigned index = F(index)(f, level, va);
	uint64_t here = load(root_table(edit->space), index);

	*entry = load(root_table(from), index);
	if (F(kind)(f, level, *entry) != KELP_ENTRY_TABLE)
		return KELP_ERR_NOT_MAPPED;
	*entry = F(table)(f, level, F(table_address)(f, level, *entry), false);
	return here == 0 || here == *entry ? KELP_OK : KELP_ERR_EXISTS;
}

OPERATION(enum kelp_status, share)(struct kelp_flush *flush, const struct kelp_space *from,
				   kelp_vaddr_t va, uint64_t size)
{
	struct kelp_space *space = flush->space;
	const struct kelp_format *f = space->format;
	unsigned level = root_level(f);
	struct kelp_change change = {.va = va, .size = size};
	enum kelp_status status;
	struct edit edit;
	uint64_t entry;

	check_open(flush);
	if (from->format != f || !(from->flags & KELP_SPACE_KEEP_ROOT) ||
	    (space->flags & KELP_SPACE_ADOPTED_ROOT))
		return KELP_ERR_ARGUMENT;
	status = kelp_format_check_range(f, va, size);
	if (status == KELP_OK && ((va | size) & (span(level) - 1u)))
		status = KELP_ERR_ALIGNMENT;
	if (status != KELP_OK)
		return status;
	edit_begin(&edit, flush, &change, va, size);
	for (kelp_vaddr_t at = va; status == KELP_OK; at += span(level)) {
		status = share_check(&edit, from, at, &entry);
		if (last_of(level, at) == edit.last)
			break;
	}
	if (status != KELP_OK)
		return status;
	note_global(space, holds_global(from) ? KELP_ATTR_GLOBAL : 0);
	for (kelp_vaddr_t at = va;; at += span(level)) {
		if (share_check(&edit, from, at, &entry) == KELP_OK)
			store(root_table(space), F(index)(f, level, at), entry);
		gather_made_valid(&edit, at, last_of(level, at), level, KELP_FLUSH_TABLES);
		gather_root(flush, level);
		if (last_of(level, at) == edit.last)
			break;
	}
	kelp_hw_published();
	return KELP_OK;
}

OPERATION(enum kelp_status, query)(const struct kelp_space *space, kelp_vaddr_t va,
				   struct kelp_mapping *mapping)
{
	return look_query(space, va, mapping);
}

OPERATION(enum kelp_status, translate)(const struct kelp_space *space, kelp_vaddr_t va,
				       kelp_paddr_t *pa)
{
	return look_translate(space, va, pa);
}

OPERATION(enum kelp_status, walk)(const struct kelp_space *space, kelp_vaddr_t va, uint64_t size,
				  uint32_t flags, kelp_visitor_t *visitor, void *context)
{
	const struct kelp_format *f = space->format;
	struct looking look = {
		.space = space, .visitor = visitor, .context = context, .flags = flags};
	enum kelp_status status;

	if (flags & ~(KELP_WALK_RUNS | KELP_WALK_HOLES | KELP_WALK_TABLES))
		return KELP_ERR_ARGUMENT;
	status = kelp_format_check_range(f, va, size);
	if (status != KELP_OK)
		return status;
	look_walk(&look, root_table(space), root_level(f), va, va + (size - 1u), 0);
	if (!look.stopped)
		visit_run(&look);
	return KELP_OK;
}

/* Is the entry marked as the rest of its group is, and does it say the same? */
static bool fits_its_group(const struct kelp_format *f, const void *table, unsigned level,
			   unsigned index, uint64_t entry)
{
	unsigned count = 1u << F(group_order)(level);
	uint64_t first;

	if (count == 1u)
		return true;
	first = load(table, index & ~(count - 1u));
	if (F(grouped)(f, level, entry) != F(grouped)(f, level, first))
		return false;
	return !F(grouped)(f, level, entry) ||
	       (F(address)(f, level, entry) == F(address)(f, level, first) &&
		F(strip)(f, level, F(neutral)(f, level, entry)) ==
			F(strip)(f, level, F(neutral)(f, level, first)));
}

/* One table that somebody else left, and everything below it. */
static enum kelp_status adopt_table(struct kelp_space *space, kelp_paddr_t page, unsigned level,
				    bool commit, uint64_t *tables_left)
{
	const struct kelp_format *f = space->format;
	void *table = kelp_table_pointer(space, page);

	if (*tables_left == 0)
		return KELP_ERR_MALFORMED;
	--*tables_left;
	for (unsigned i = 0; i < 1u << f->index_bits[level]; i++) {
		uint64_t entry = load(table, i);
		enum kelp_entry_kind kind = F(kind)(f, level, entry);
		enum kelp_status status;

		if (!F(well_formed)(f, level, entry) ||
		    !fits_its_group(f, table, level, i, entry))
			return KELP_ERR_MALFORMED;
		/* A pointer may be global for all that is below it. */
		if ((kind == KELP_ENTRY_LEAF || kind == KELP_ENTRY_TABLE) &&
		    F(is_global)(f, level, entry))
			kelp_hw_store32(&space->holds_global, 1);
		if (kind != KELP_ENTRY_TABLE)
			continue;
		page = F(address)(f, level, entry);
		if (level == 0 || page >> f->pa_bits)
			return KELP_ERR_MALFORMED;
		if (F(owned)(f, level, entry)) {
			uint64_t mark = F(table)(f, level, 0, true) ^ F(table)(f, level, 0, false);

			if (!(space->flags & KELP_SPACE_DISOWN))
				return KELP_ERR_MALFORMED;
			if (commit)
				store(table, i, entry & ~mark);
		}
		status = adopt_table(space, page, level - 1, commit, tables_left);
		if (status != KELP_OK)
			return status;
	}
	return KELP_OK;
}

OPERATION(enum kelp_status, check_adopted)(struct kelp_space *space, uint64_t table_limit)
{
	unsigned level = root_level(space->format);
	uint64_t left = table_limit;
	enum kelp_status status = adopt_table(space, space->root, level, false, &left);

	if (status != KELP_OK || !(space->flags & KELP_SPACE_DISOWN))
		return status;
	left = table_limit;
	return adopt_table(space, space->root, level, true, &left);
}

/* destroy: every table of Kelp's own below the root goes onto the gather's list. */
static void retire_below(struct kelp_flush *flush, void *table, unsigned level)
{
	const struct kelp_space *space = flush->space;
	const struct kelp_format *f = space->format;

	for (unsigned i = 0; level > 0 && i < 1u << f->index_bits[level]; i++) {
		uint64_t entry = load(table, i);

		if (F(kind)(f, level, entry) != KELP_ENTRY_TABLE)
			continue;
		if (F(owned)(f, level, entry)) {
			store(table, i, 0);
			retire_table(flush, F(address)(f, level, entry), level - 1);
		} else if (space->flags & KELP_SPACE_ADOPTED_ROOT) {
			/* In a root of Kelp's own such an entry is shared, and another's. */
			retire_below(flush, table_of(space, level, entry), level - 1);
		}
	}
}

OPERATION(void, retire_all)(struct kelp_flush *flush)
{
	kelp_flush_note_unlink(flush->space);
	retire_below(flush, root_table(flush->space), root_level(flush->space->format));
}

OPERATION(void, harvest)(struct kelp_space *space, const struct kelp_flush_intact *table)
{
	harvest_table(space, table);
}

OPERATION(void, retire_intact)(struct kelp_flush *flush, const struct kelp_flush_intact *table)
{
	retire_table(flush, table->table, table->level);
}

#ifdef KELP_SINGLE_FORMAT
/* Nothing is called through it. */
const struct kelp_space_ops F(space_ops) = {.map = NULL};
#else
#define KELP_SPACE_OPERATION_ENTRY(result, name, parameters) .name = F(space_##name),

const struct kelp_space_ops F(space_ops) = {
	KELP_SPACE_PUBLIC_OPERATIONS(KELP_SPACE_OPERATION_ENTRY)
	KELP_SPACE_PRIVATE_OPERATIONS(KELP_SPACE_OPERATION_ENTRY)
};
#endif
