/* SPDX-License-Identifier: MIT */
/*
 * Part of space_template.h: mapping and populating.
 *
 * Preparing decides for every entry what committing will do and counts the pages that takes;
 * both ask the same questions of the same tables, so they agree. Between the two, other writers
 * can only add tables that both would have added: then a page is left over.
 */

/* Which levels take leaves, and with which bits. Errors: those of encode(), at level 0. */
static enum kelp_status map_plan(struct edit *edit)
{
	const struct kelp_format *f = edit->format;
	unsigned limit = KELP_LEAF_SHIFT_OF(edit->flags);
	bool groups = f->groups && !(edit->space->flags & KELP_SPACE_NO_GROUPS) &&
		      !(edit->set & KELP_ATTR_INVALID);

	for (unsigned level = 0; level < f->levels; level++) {
		enum kelp_status status;

		if (!F(leaf_ok)(f, level) || (edit->delta & (span(level) - 1u)))
			continue;
		if (limit != 0 && F(shift)(level) > limit)
			continue;
		status = F(encode)(f, level, edit->set, false, &edit->bits[level]);
		if (status != KELP_OK && level == 0)
			return status;
		if (status != KELP_OK)
			continue;
		edit->leafable |= 1u << level;
		if (groups && F(group_order)(level) > 0 &&
		    (edit->delta & (group_span(level) - 1u)) == 0 &&
		    (limit == 0 || F(shift)(level) + F(group_order)(level) <= limit) &&
		    F(encode)(f, level, edit->set, true, &edit->group_bits[level]) == KELP_OK)
			edit->groupable |= 1u << level;
	}
	return KELP_OK;
}

static inline bool leafable(const struct edit *edit, unsigned level)
{
	return edit->leafable >> level & 1u;
}

/* Tables needed below one entry of each level that the range covers wholly. */
static void plan_tables(struct edit *edit)
{
	const struct kelp_format *f = edit->format;

	edit->full_need[0] = 0;
	for (unsigned level = 1; level < f->levels; level++)
		edit->full_need[level] =
			leafable(edit, level)
				? 0
				: 1u + ((uint64_t)edit->full_need[level - 1]
					<< f->index_bits[level - 1]);
}

/* Tables needed below an entry of `level` that holds nothing, for its part [va, last]. */
static uint64_t tables_below(const struct edit *edit, unsigned level, kelp_vaddr_t va,
			     kelp_vaddr_t last)
{
	unsigned child = level - 1u;
	uint64_t need = 1;

	/* At level 0 every entry is covered wholly. */
	if (va == first_of(level, va) && last == last_of(level, va))
		return edit->full_need[level];
	/* A partial child at either end, full ones between. */
	if (va != first_of(child, va) || last < last_of(child, va)) {
		kelp_vaddr_t end = last < last_of(child, va) ? last : last_of(child, va);

		need += tables_below(edit, child, va, end);
		if (end == last)
			return need;
		va = end + 1u;
	}
	if (last != last_of(child, last)) {
		need += tables_below(edit, child, first_of(child, last), last);
		if (va == first_of(child, last))
			return need;
		last = first_of(child, last) - 1u;
	}
	return need + edit->full_need[child] * (((last - va) >> F(shift)(child)) + 1u);
}

/* The leaf that `va` gets at `level`; `run_first` to `run_last` get leaves of this level too. */
static inline uint64_t leaf_for(const struct edit *edit, unsigned level, kelp_vaddr_t va,
				kelp_vaddr_t run_first, kelp_vaddr_t run_last)
{
	uint64_t bits = edit->bits[level];

	if (F(group_order)(level) > 0 && (edit->groupable >> level & 1u)) {
		kelp_vaddr_t group = va & ~(group_span(level) - 1u);

		if (group >= run_first && group + (group_span(level) - 1u) <= run_last)
			bits = edit->group_bits[level];
	}
	return F(entry)(edit->format, level, bits, va + edit->delta);
}

/* The last address up to which [va, last] covers whole entries of the table that holds `va`. */
static kelp_vaddr_t run_end(const struct edit *edit, unsigned level, kelp_vaddr_t va,
			    kelp_vaddr_t last)
{
	uint64_t rest = (last - va) >> F(shift)(level);
	unsigned size = 1u << edit->format->index_bits[level];
	unsigned room = size - 1u - F(index)(edit->format, level, va);

	if (last != last_of(level, last))
		rest--;
	return va + ((rest < room ? rest : room) << F(shift)(level)) + (span(level) - 1u);
}

/*
 * May every valid leaf in a table become, without a break, its part of the leaf that takes the
 * table's place? Where sizes may change in one store, frames and types still may not (INV-1.2).
 */
static bool can_replace_leaves(const struct edit *edit, const void *table, unsigned level,
			       kelp_vaddr_t va)
{
	const struct kelp_format *f = edit->format;

	for (unsigned i = 0; i < 1u << f->index_bits[level]; i++, va += span(level)) {
		uint64_t entry = load(table, i);
		enum kelp_entry_kind kind = F(kind)(f, level, entry);

		if (kind == KELP_ENTRY_TABLE) {
			if (!can_replace_leaves(edit, table_of(edit->space, level, entry),
						level - 1, va))
				return false;
		} else if (kind == KELP_ENTRY_LEAF) {
			uint64_t part = F(entry)(f, level, edit->bits[level], va + edit->delta);

			if (!leafable(edit, level) ||
			    !F(can_replace)(f, level, alone(f, level, entry, va), part))
				return false;
		}
	}
	return true;
}

/* Must the table be broken before the leaf can stand in its place? */
static bool table_breaks(const struct edit *edit, unsigned level, uint64_t entry, uint64_t leaf,
			 kelp_vaddr_t va)
{
	return !F(can_replace)(edit->format, level, entry, leaf) ||
	       !can_replace_leaves(edit, table_of(edit->space, level, entry), level - 1,
				   first_of(level, va));
}

/* What happens to a table that stands where one leaf could: see map_covered(). */
static bool table_gives_way(const struct edit *edit, unsigned level, uint64_t entry, uint64_t leaf,
			    kelp_vaddr_t va)
{
	if (!may_unlink(edit->space, level, entry))
		return false;
	if (!(edit->flags & KELP_REPLACE) &&
	    !is_empty(edit->space, table_of(edit->space, level, entry), level - 1))
		return false;
	return may_break(edit) || !table_breaks(edit, level, entry, leaf, va);
}

/*
 * The leaf that `va` gets in `table`. A group is marked only if all of its entries become
 * leaves: a table among them that stays leaves its neighbours without the mark.
 */
static uint64_t leaf_in(const struct edit *edit, const void *table, unsigned level,
			kelp_vaddr_t va, kelp_vaddr_t run_first, kelp_vaddr_t run_last)
{
	const struct kelp_format *f = edit->format;
	uint64_t leaf = leaf_for(edit, level, va, run_first, run_last);
	kelp_vaddr_t at;

	if (level == 0 || F(group_order)(level) == 0 || !F(grouped)(f, level, leaf))
		return leaf;
	at = va & ~(group_span(level) - 1u);
	for (unsigned i = 0; i < 1u << F(group_order)(level); i++, at += span(level)) {
		uint64_t entry = load(table, F(index)(f, level, at));

		if (F(kind)(f, level, entry) == KELP_ENTRY_TABLE &&
		    !table_gives_way(edit, level, entry,
				     leaf_for(edit, level, at, run_first, run_last), at))
			return F(entry)(f, level, edit->bits[level], va + edit->delta);
	}
	return leaf;
}

static enum kelp_status map_scan(struct edit *edit, const void *table, unsigned level,
				 kelp_vaddr_t va, kelp_vaddr_t last);

static bool leaf_breaks(const struct edit *edit, unsigned level, uint64_t entry, kelp_vaddr_t va,
			kelp_vaddr_t last);

/*
 * A valid leaf of which [va, last] is to be replaced: once it is split, may each of the leaves
 * in the range become what it shall be, in one store?
 */
static bool can_replace_part(const struct edit *edit, unsigned level, uint64_t entry,
			     kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	uint64_t first_child = F(child)(f, level, alone(f, level, entry, va));
	unsigned child = level - 1u;
	uint64_t bits = F(strip)(f, child, first_child);
	kelp_paddr_t frame = F(address)(f, child, first_child);
	kelp_vaddr_t run_first = 0;
	kelp_vaddr_t run_last = 0;
	bool run = false;

	for (;;) {
		kelp_vaddr_t end = last_of(child, va) < last ? last_of(child, va) : last;
		uint64_t offset = first_of(child, va) - first_of(level, va);
		uint64_t old = F(entry)(f, child, bits, frame + offset);
		bool full = va == first_of(child, va) && end == last_of(child, va);

		if (full && leafable(edit, child) && !run) {
			run = true;
			run_first = va;
			run_last = run_end(edit, child, va, last);
		}
		if (full && leafable(edit, child)) {
			uint64_t next = leaf_for(edit, child, va, run_first, run_last);

			if (!F(can_replace)(f, child, old, next))
				return false;
		} else if (leaf_breaks(edit, child, old, va, end)) {
			return false;
		}
		if (end == last)
			return true;
		va = end + 1u;
	}
}

/* Must the leaf be broken before a table with smaller leaves stands in its place? */
static bool leaf_breaks(const struct edit *edit, unsigned level, uint64_t entry, kelp_vaddr_t va,
			kelp_vaddr_t last)
{
	uint64_t pointer = F(table)(edit->format, level, 0, true);

	return !F(can_replace)(edit->format, level, entry, pointer) ||
	       !can_replace_part(edit, level, entry, va, last);
}

/* One entry that is in use already. */
static enum kelp_status map_scan_used(struct edit *edit, unsigned level, uint64_t entry,
				      kelp_vaddr_t va, kelp_vaddr_t last, uint64_t leaf)
{
	const struct kelp_format *f = edit->format;
	enum kelp_entry_kind kind = F(kind)(f, level, entry);
	bool full = va == first_of(level, va) && last == last_of(level, va);

	if (kind == KELP_ENTRY_TABLE) {
		if (full && leafable(edit, level) &&
		    table_gives_way(edit, level, entry, leaf, va)) {
			edit->intact++;
			return KELP_OK;
		}
		if (F(denied)(f, level, entry) & edit->set & DENIABLE)
			return KELP_ERR_RESTRICTED;
		return map_scan(edit, table_of(edit->space, level, entry), level - 1, va, last);
	}
	/* Of somebody else's mark a part cannot be replaced: what would the rest mean? */
	if (!(edit->flags & KELP_REPLACE) || (kind == KELP_ENTRY_OPAQUE && !full))
		return KELP_ERR_EXISTS;
	if (kind == KELP_ENTRY_LEAF && !may_break(edit)) {
		if (full && leafable(edit, level) ? !F(can_replace)(f, level, entry, leaf)
						  : leaf_breaks(edit, level, entry, va, last))
			return KELP_ERR_BBM;
	}
	edit->tables += tables_below(edit, level, va, last);
	return KELP_OK;
}

static enum kelp_status map_scan(struct edit *edit, const void *table, unsigned level,
				 kelp_vaddr_t va, kelp_vaddr_t last)
{
	kelp_vaddr_t run_first = 0;
	kelp_vaddr_t run_last = 0;
	bool run = false;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		uint64_t entry = load(table, F(index)(edit->format, level, va));
		bool full = va == first_of(level, va) && end == last_of(level, va);

		/* The run that committing writes at once, whether or not its entries are used. */
		if (full && leafable(edit, level) && !run) {
			run = true;
			run_first = va;
			run_last = run_end(edit, level, va, last);
		}
		/* Smaller leaves may not reach as far as large ones. */
		if (F(kind)(edit->format, level, entry) != KELP_ENTRY_TABLE &&
		    end + edit->delta >
			    F(reach)(edit->format,
				     level - (level > 0 && !(full && leafable(edit, level)))))
			return KELP_ERR_UNSUPPORTED;
		if (entry == 0) {
			if (level > 0)
				edit->tables += tables_below(edit, level, va, end);
		} else {
			enum kelp_status status;
			uint64_t leaf = 0;

			if (full && leafable(edit, level))
				leaf = leaf_in(edit, table, level, va, run_first, run_last);
			status = map_scan_used(edit, level, entry, va, end, leaf);
			if (status != KELP_OK)
				return status;
		}
		if (end == last)
			return KELP_OK;
		va = end + 1u;
	}
}

/* Fills entries of a table that is not published yet: whole entries [va, last] of `level`. */
static void fill_leaves(const struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			kelp_vaddr_t last)
{
	unsigned index = F(index)(edit->format, level, va);
	unsigned count = (unsigned)((last - va) >> F(shift)(level)) + 1u;

	if (F(group_order)(level) == 0 || !(edit->groupable >> level & 1u)) {
		fill_run(edit->format, table, level, index, count, edit->bits[level],
			 va + edit->delta);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		kelp_entry_fill(table, index + i, 1,
				leaf_for(edit, level, va + i * span(level), va, last), 0,
				sizeof(slot_t));
}

/* Fills a whole table that is not published yet, and what it needs below. */
static void fill_table(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va)
{
	const struct kelp_format *f = edit->format;
	unsigned count = 1u << f->index_bits[level];

	if (leafable(edit, level)) {
		fill_leaves(edit, table, level, va, va + (count * span(level) - 1u));
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		kelp_paddr_t page = kelp_pages_take(edit->space, edit->change);

		fill_table(edit, kelp_table_pointer(edit->space, page), level - 1,
			   va + i * span(level));
		kelp_entry_fill(table, i, 1, F(table)(f, level, page, true), 0, sizeof(slot_t));
	}
}

static void map_commit(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
		       kelp_vaddr_t last);

/* First pass over a covered run: what must be broken is, all of it with one flush. */
static void map_break(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
		      kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	bool any = false;

	for (kelp_vaddr_t at = va;; at += span(level)) {
		unsigned index = F(index)(f, level, at);
		uint64_t old = load(table, index);
		uint64_t leaf = leaf_in(edit, table, level, at, va, last);
		enum kelp_entry_kind kind = F(kind)(f, level, old);
		bool breaks = !F(can_replace)(f, level, old, leaf);

		if (kind == KELP_ENTRY_TABLE && table_gives_way(edit, level, old, leaf, at) &&
		    table_breaks(edit, level, old, leaf, at)) {
			store(table, index, 0);
			unlink_intact(edit, level, at, old, false);
			any = true;
		} else if (kind == KELP_ENTRY_LEAF && breaks) {
			store(table, index, 0);
			gather_leaf(edit, level, at, old);
			any = true;
		}
		if (last - at < span(level))
			break;
	}
	if (any)
		kelp_flush_now(edit->flush);
}

/* Whole entries [va, last] of one live table become leaves. */
static void map_covered(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;

	if (may_break(edit))
		map_break(edit, table, level, va, last);
	for (kelp_vaddr_t at = va;; at += span(level)) {
		unsigned index = F(index)(f, level, at);
		uint64_t leaf = leaf_in(edit, table, level, at, va, last);
		uint64_t old = load(table, index);
		enum kelp_entry_kind kind = F(kind)(f, level, old);

		if (kind == KELP_ENTRY_TABLE && !table_gives_way(edit, level, old, leaf, at)) {
			/* Smaller leaves in the table that stays. */
			map_commit(edit, table_of(edit->space, level, old), level - 1, at,
				   last_of(level, at));
		} else {
			store(table, index, leaf);
			if (kind == KELP_ENTRY_TABLE)
				unlink_intact(edit, level, at, old, false);
			else if (kind == KELP_ENTRY_LEAF)
				gather_leaf(edit, level, at, old);
			else
				gather_made_valid(edit, at, last_of(level, at), level, 0);
		}
		if (last - at < span(level))
			return;
	}
}

/* The common case of the above at the lowest level: preparing has seen that all are none. */
static void map_into_none(struct edit *edit, void *table, kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	unsigned index = F(index)(f, 0, va);
	unsigned count = (unsigned)((last - va) >> F(shift)(0)) + 1u;

	for (unsigned i = 0; i < count; i++)
		store(table, index + i, leaf_for(edit, 0, va + i * span(0), va, last));
	gather_made_valid(edit, va, last, 0, 0);
}

/* An entry that will point to a table: [va, last] is all or a part of what it spans. */
static void map_below(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
		      kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	unsigned index = F(index)(f, level, va);
	uint64_t entry = load(table, index);
	bool full = va == first_of(level, va) && last == last_of(level, va);
	enum kelp_entry_kind kind = F(kind)(f, level, entry);
	kelp_paddr_t page;
	uint64_t pointer;

	if (kind == KELP_ENTRY_TABLE) {
		map_commit(edit, table_of(edit->space, level, entry), level - 1, va, last);
		return;
	}
	if (kind == KELP_ENTRY_LEAF && F(group_order)(level) > 0 && F(grouped)(f, level, entry)) {
		struct cut cut = {table, index, level, entry};

		/* Else the rest of the group would go on answering for this entry's addresses. */
		ungroup_leaves(edit, &cut, va);
		entry = load(table, index);
	}
	page = kelp_pages_take(edit->space, edit->change);
	pointer = F(table)(f, level, page, true);
	if (full) {
		/* Nobody else may write here: fill first, publish once. */
		fill_table(edit, kelp_table_pointer(edit->space, page), level - 1, va);
		if (kind == KELP_ENTRY_LEAF && leaf_breaks(edit, level, entry, va, last)) {
			store(table, index, 0);
			break_entry(edit, level, va, entry);
		} else if (kind == KELP_ENTRY_LEAF) {
			gather_split(edit, level, va, entry);
		}
		store(table, index, pointer);
	} else {
		uint64_t none = 0;

		if (!swap(table, index, &none, pointer)) {
			/* Another writer put a table here first: it serves both. */
			kelp_pages_put(edit->space, edit->change, page);
			pointer = none;
		}
		map_commit(edit, table_of(edit->space, level, pointer), level - 1, va, last);
	}
	gather_pieces(edit, level, va);
	gather_made_valid(edit, first_of(level, va), last_of(level, va), level, KELP_FLUSH_TABLES);
	gather_root(edit->flush, level);
}

static void map_commit(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
		       kelp_vaddr_t last)
{
	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		bool full = va == first_of(level, va) && end == last_of(level, va);

		if (full && leafable(edit, level)) {
			end = run_end(edit, level, va, last);
			if (level == 0 && !(edit->flags & KELP_REPLACE))
				map_into_none(edit, table, va, end);
			else
				map_covered(edit, table, level, va, end);
		} else {
			map_below(edit, table, level, va, end);
		}
		if (end == last)
			return;
		va = end + 1u;
	}
}

static enum kelp_status map_prepare(struct edit *edit)
{
	enum kelp_status status = map_plan(edit);

	if (status != KELP_OK)
		return status;
	plan_tables(edit);
	/* The tables that cutting takes are among those that tables_below() counts. */
	if (edit->flags & KELP_REPLACE)
		status = cut_ends_prepare(edit, false);
	if (status == KELP_OK)
		status = map_scan(edit, root_table(edit->space), root_level(edit->format),
				  edit->va, edit->last);
	return status;
}

static void map_make(struct edit *edit)
{
	note_global(edit->space, edit->set);
	flush_pending(edit);
	if (edit->flags & KELP_REPLACE)
		cut_ends(edit);
	map_commit(edit, root_table(edit->space), root_level(edit->format), edit->va, edit->last);
}

/* ---- populate: the same with no leaves at the end ---------------------------------------- */

static void populate_scan(struct edit *edit, const void *table, unsigned level, unsigned target,
			  kelp_vaddr_t va, kelp_vaddr_t last)
{
	while (level > target) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		uint64_t entry = load(table, F(index)(edit->format, level, va));

		if (entry == 0)
			edit->tables += tables_below(edit, level, va, end);
		else if (F(kind)(edit->format, level, entry) == KELP_ENTRY_TABLE)
			populate_scan(edit, table_of(edit->space, level, entry), level - 1, target,
				      va, end);
		if (end == last)
			return;
		va = end + 1u;
	}
}

static void populate_commit(struct edit *edit, void *table, unsigned level, unsigned target,
			    kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;

	while (level > target) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		unsigned index = F(index)(f, level, va);
		uint64_t entry = load(table, index);

		if (entry == 0) {
			kelp_paddr_t page = kelp_pages_take(edit->space, edit->change);
			uint64_t pointer = F(table)(f, level, page, true);

			if (swap(table, index, &entry, pointer)) {
				entry = pointer;
				gather_pieces(edit, level, va);
				gather_made_valid(edit, first_of(level, va), last_of(level, va),
						  level, KELP_FLUSH_TABLES);
				gather_root(edit->flush, level);
			} else {
				kelp_pages_put(edit->space, edit->change, page);
			}
		}
		if (F(kind)(f, level, entry) == KELP_ENTRY_TABLE)
			populate_commit(edit, table_of(edit->space, level, entry), level - 1,
					target, va, end);
		if (end == last)
			return;
		va = end + 1u;
	}
}
