/* SPDX-License-Identifier: MIT */
/*
 * Part of space_template.h: cutting. An edit of a range first makes sure that no leaf and no
 * group reaches across its two ends; after that it meets whole leaves only. Cutting never
 * changes what an address translates to (INV-1.3).
 */

/*
 * `entry` with other attributes. Only the bits change in which the two encodings differ: what
 * the library does not model, and what an adopted leaf says in a way of its own (a second index
 * of the same memory type, say), stays. Setting INVALID takes the group mark off. Errors: those
 * of encode().
 */
static enum kelp_status reshape(const struct kelp_format *f, unsigned level, uint64_t entry,
				kelp_vaddr_t va, kelp_attr_t set, kelp_attr_t clear,
				uint64_t *result)
{
	kelp_attr_t before = F(decode)(f, level, entry);
	kelp_attr_t after = (before & ~clear) | set;
	bool grouped = F(group_order)(level) > 0 && F(grouped)(f, level, entry);
	kelp_paddr_t frame = frame_at(f, level, entry, va);
	enum kelp_status status;
	uint64_t is, was, to;

	if (grouped && (after & KELP_ATTR_INVALID)) {
		entry = alone(f, level, entry, va);
		grouped = false;
	}
	status = F(encode)(f, level, after, grouped, &to);
	if (status != KELP_OK)
		return status;
	is = F(strip)(f, level, entry);
	if (F(encode)(f, level, before, grouped, &was) == KELP_OK) {
		uint64_t changed = was ^ to;

		*result = F(entry)(f, level, (is & ~changed) | (to & changed), frame);
		if (F(decode)(f, level, *result) == after)
			return KELP_OK;
	}
	*result = F(entry)(f, level, (is & ~F(modelled)(f, level)) | to, frame);
	return KELP_OK;
}

/* The break of break-before-make: the entry as an invalid leaf, which keeps everything. What
 * follows is a flush, which orders this store before it, and only then the make. */
static uint64_t broken(const struct edit *edit, unsigned level, uint64_t entry, kelp_vaddr_t va)
{
	uint64_t result = 0;
	enum kelp_status status =
		reshape(edit->format, level, entry, va, KELP_ATTR_INVALID, 0, &result);

	KELP_ASSERT_DEBUG(edit->space->port, status == KELP_OK,
			  "kelp: a format has no invalid form of a leaf it has");
	(void)status;
	return result;
}

/*
 * Where breaks are demanded: what this gather took away in the range may still be cached, and
 * nothing valid may be written over that. The caller that begins a second edit of the same
 * addresses in one gather gets its flush here (INV-1.2). Coalescing needs none: what it writes
 * translates as what it finds, which is valid already, or is invalid.
 */
static void flush_pending(struct edit *edit)
{
	if (!F(demands_break)(edit->format) ||
	    !kelp_flush_overlaps(edit->flush, edit->va, edit->last))
		return;
	kelp_flush_now(edit->flush);
}

struct cut {
	void *table;
	unsigned index;
	unsigned level;
	uint64_t entry;
};

/* Finds the leaf, or the group, that begins below `boundary` and reaches across it. */
static bool cut_find(const struct edit *edit, kelp_vaddr_t boundary, struct cut *cut)
{
	const struct kelp_format *f = edit->format;
	unsigned level = root_level(f);
	void *table;

	/*
	 * Nothing reaches across what the root's entries, or groups of them, span; the end of
	 * the space included, which has no entry to look at.
	 */
	if ((boundary & (group_span(level) - 1u)) == 0)
		return false;
	table = root_table(edit->space);
	for (;;) {
		unsigned index = F(index)(f, level, boundary);
		uint64_t entry = load(table, index);
		enum kelp_entry_kind kind = F(kind)(f, level, entry);

		if (kind == KELP_ENTRY_TABLE) {
			/* Here begins a table that may be another writer's, who may give it back:
			 * and nothing below it reaches across its own begin. */
			if ((boundary & (span(level) - 1u)) == 0)
				return false;
			table = table_of(edit->space, level, entry);
			level--;
			continue;
		}
		if (!is_leaf(kind))
			return false;
		*cut = (struct cut){table, index, level, entry};
		if (F(group_order)(level) > 0 && F(grouped)(f, level, entry))
			return (boundary & (group_span(level) - 1u)) != 0;
		return (boundary & (span(level) - 1u)) != 0;
	}
}

/* May the leaf of `cut` become a table, or its group single leaves, in one store? */
static bool cut_needs_break(const struct edit *edit, const struct cut *cut, kelp_vaddr_t va)
{
	const struct kelp_format *f = edit->format;
	uint64_t next;

	if (F(kind)(f, cut->level, cut->entry) != KELP_ENTRY_LEAF)
		return false;
	next = alone(f, cut->level, cut->entry, va);
	if (next != cut->entry && !F(can_replace)(f, cut->level, cut->entry, next))
		return true;
	if ((va & (span(cut->level) - 1u)) == 0)
		return false;
	return !F(can_replace)(f, cut->level, next, F(table)(f, cut->level, 0, true));
}

/* Can leaves one level down reach the frames of this leaf? */
static bool can_split(const struct edit *edit, unsigned level, uint64_t entry)
{
	return F(address)(edit->format, level, entry) + (span(level) - 1u) <=
	       F(reach)(edit->format, level - 1u);
}

/*
 * What cutting at `boundary` takes. `other` is a boundary cut before, whose tables are shared;
 * pass `boundary` itself when there is none.
 */
static enum kelp_status cut_prepare(struct edit *edit, kelp_vaddr_t boundary, kelp_vaddr_t other,
				    bool count_tables)
{
	struct cut cut;

	if (!cut_find(edit, boundary, &cut))
		return KELP_OK;
	if ((boundary & (span(cut.level) - 1u)) && !can_split(edit, cut.level, cut.entry))
		return KELP_ERR_UNSUPPORTED;
	if (cut_needs_break(edit, &cut, boundary) && !may_break(edit))
		return KELP_ERR_BBM;
	if (!count_tables)
		return KELP_OK;
	for (unsigned level = cut.level; boundary & (span(level) - 1u); level--) {
		bool shared = other != boundary &&
			      first_of(level, other) == first_of(level, boundary) &&
			      (other & (span(level) - 1u)) != 0;

		if (!shared)
			edit->tables++;
	}
	return KELP_OK;
}

/* Takes a valid entry away and makes sure that nobody caches it: the break. */
static void break_entry(struct edit *edit, unsigned level, kelp_vaddr_t va, uint64_t old)
{
	gather_leaf(edit, level, va, old);
	kelp_flush_now(edit->flush);
}

/* What broken leaves become: their attributes changed so, with a group mark or without. */
struct making {
	kelp_attr_t set;
	kelp_attr_t clear;
	bool grouped;
};

/* The make: `count` leaves from `va` on, broken and flushed, become what they shall be. */
static void make_broken(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			unsigned count, const struct making *making)
{
	const struct kelp_format *f = edit->format;
	unsigned index = F(index)(f, level, va);

	for (unsigned i = 0; i < count; i++) {
		uint64_t next = 0;
		enum kelp_status status =
			reshape(f, level, load(table, index + i), va + i * span(level),
				making->set, making->clear, &next);

		KELP_ASSERT_DEBUG(edit->space->port, status == KELP_OK,
				  "kelp: a leaf cannot be made valid again");
		(void)status;
		store(table, index + i, making->grouped ? F(group)(f, level, next) : next);
	}
	if (making->clear & KELP_ATTR_INVALID)
		gather_made_valid(edit, va, va + (count * span(level) - 1u), level, 0);
}

/* One leaf becomes a table of leaves one level down that say the same. */
static void split_leaf(struct edit *edit, const struct cut *cut, kelp_vaddr_t va)
{
	const struct kelp_format *f = edit->format;
	unsigned level = cut->level;
	uint64_t entry = cut->entry;
	kelp_paddr_t page = kelp_pages_take(edit->space, edit->change);
	void *table = kelp_table_pointer(edit->space, page);
	uint64_t pointer = F(table)(f, level, page, true);
	unsigned count = 1u << f->index_bits[level - 1];

	/* Hardware may set accessed or dirty between the load and the swap: then once more. */
	while (F(kind)(f, level, entry) != KELP_ENTRY_TABLE) {
		uint64_t child = F(child)(f, level, entry);
		bool valid = F(kind)(f, level, entry) == KELP_ENTRY_LEAF;

		fill_run(f, table, level - 1, 0, count, F(strip)(f, level - 1, child),
			 F(address)(f, level - 1, child));
		if (valid && !F(can_replace)(f, level, entry, pointer)) {
			if (!swap(cut->table, cut->index, &entry, broken(edit, level, entry, va)))
				continue;
			break_entry(edit, level, va, entry);
			store(cut->table, cut->index, pointer);
			gather_made_valid(edit, first_of(level, va), last_of(level, va), level,
					  KELP_FLUSH_TABLES);
			return;
		}
		if (!swap(cut->table, cut->index, &entry, pointer))
			continue;
		if (valid) {
			gather_split(edit, level, va, entry);
			return;
		}
		gather_pieces(edit, level, va);
		gather_made_valid(edit, first_of(level, va), last_of(level, va), level,
				  KELP_FLUSH_TABLES);
		return;
	}
	/* Another writer, on the other side of the boundary, split it first. */
	kelp_pages_put(edit->space, edit->change, page);
}

/* A leaf with accessed and dirty set as far as hardware could set them in it. */
static uint64_t used_up(const struct kelp_format *f, unsigned level, uint64_t entry,
			kelp_vaddr_t va)
{
	kelp_attr_t set = 0;
	uint64_t next;

	if (f->hardware_accessed)
		set |= KELP_ATTR_ACCESSED;
	if (f->hardware_dirty && (F(decode)(f, level, entry) & KELP_ATTR_WRITE))
		set |= KELP_ATTR_DIRTY;
	return reshape(f, level, entry, va, set, 0, &next) == KELP_OK ? next : entry;
}

/*
 * Every entry of the group loses its mark. Hardware may note accesses to any page of a group in
 * any one of its entries, so all get what one has; and while it still may, all count as used.
 */
static void ungroup_leaves(struct edit *edit, const struct cut *cut, kelp_vaddr_t va)
{
	const struct kelp_format *f = edit->format;
	unsigned level = cut->level;
	unsigned count = 1u << F(group_order)(level);
	unsigned first = cut->index & ~(count - 1u);
	kelp_vaddr_t base = va & ~(group_span(level) - 1u);
	bool needs_break = false;
	bool busy = false;
	uint64_t used = load(cut->table, first);

	for (unsigned i = 0; i < count; i++) {
		uint64_t entry = load(cut->table, first + i);

		busy = busy || F(busy)(f, level, entry);
		used = F(absorb)(f, level, used, entry);
	}
	for (unsigned i = 0; i < count; i++) {
		kelp_vaddr_t page = base + i * span(level);
		uint64_t entry = load(cut->table, first + i);
		uint64_t next;

		do {
			next = F(absorb)(f, level, alone(f, level, entry, page), used);
			if (busy)
				next = used_up(f, level, next, page);
			needs_break = !F(can_replace)(f, level, entry, next);
			if (needs_break)
				next = broken(edit, level, next, page);
		} while (!swap(cut->table, first + i, &entry, next));
		gather_leaf(edit, level, page, entry);
	}
	if (!needs_break)
		return;
	kelp_flush_now(edit->flush);
	make_broken(edit, cut->table, level, base, count,
		    &(struct making){.clear = KELP_ATTR_INVALID});
}

/* Afterwards no leaf and no group reaches across `boundary`. */
static void cut_commit(struct edit *edit, kelp_vaddr_t boundary)
{
	struct cut cut;

	while (cut_find(edit, boundary, &cut)) {
		if (F(group_order)(cut.level) > 0 &&
		    F(grouped)(edit->format, cut.level, cut.entry))
			ungroup_leaves(edit, &cut, boundary);
		else
			split_leaf(edit, &cut, boundary);
	}
}

/* Both ends of the edit's range. */
static enum kelp_status cut_ends_prepare(struct edit *edit, bool count_tables)
{
	enum kelp_status status = cut_prepare(edit, edit->va, edit->va, count_tables);

	if (status != KELP_OK)
		return status;
	return cut_prepare(edit, edit->last + 1u, edit->va, count_tables);
}

static void cut_ends(struct edit *edit)
{
	cut_commit(edit, edit->va);
	cut_commit(edit, edit->last + 1u);
}
