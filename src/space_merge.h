/* SPDX-License-Identifier: MIT */
/*
 * Part of space_template.h: splitting on request, coalescing, releasing, and what a gather calls
 * when it commits.
 */

/* ---- split ------------------------------------------------------------------------------- */

/* Are there leaves or groups of `level` that are larger than 2^shift? */
static inline bool level_exceeds(unsigned level, unsigned shift)
{
	return F(shift)(level) + F(group_order)(level) > shift;
}

/* Leaves and groups larger than 2^shift in the range: each is cut as often as it takes. */
static enum kelp_status split_scan(struct edit *edit, const void *table, unsigned level,
				   unsigned shift, kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		uint64_t entry = load(table, F(index)(f, level, va));
		enum kelp_entry_kind kind = F(kind)(f, level, entry);

		if (kind == KELP_ENTRY_TABLE && level_exceeds(level - 1, shift)) {
			enum kelp_status status =
				split_scan(edit, table_of(edit->space, level, entry), level - 1,
					   shift, va, end);

			if (status != KELP_OK)
				return status;
		} else if (is_leaf(kind)) {
			struct cut cut = {.level = level, .entry = entry};
			bool grouped = F(group_order)(level) > 0 && F(grouped)(f, level, entry);
			/* A boundary inside: the leaf itself is at stake, or only its group. */
			kelp_vaddr_t inside = first_of(level, va) + (F(shift)(level) > shift);

			if (F(shift)(level) > shift && !can_split(edit, level, entry))
				return KELP_ERR_UNSUPPORTED;
			if ((F(shift)(level) > shift ||
			     (grouped && F(shift)(level) + F(group_order)(level) > shift)) &&
			    cut_needs_break(edit, &cut, inside) && !may_break(edit))
				return KELP_ERR_BBM;
			if (F(shift)(level) > shift)
				edit->tables += tables_below(edit, level, va, end);
		}
		if (end == last)
			return KELP_OK;
		va = end + 1u;
	}
}

static void split_commit(struct edit *edit, void *table, unsigned level, unsigned shift,
			 kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		unsigned index = F(index)(f, level, va);
		struct cut cut = {table, index, level, load(table, index)};
		enum kelp_entry_kind kind = F(kind)(f, level, cut.entry);
		bool again = kind == KELP_ENTRY_TABLE && level_exceeds(level - 1, shift);

		if (is_leaf(kind) && F(group_order)(level) > 0 && F(grouped)(f, level, cut.entry) &&
		    F(shift)(level) + F(group_order)(level) > shift) {
			ungroup_leaves(edit, &cut, va);
			cut.entry = load(table, index);
		}
		if (is_leaf(kind) && F(shift)(level) > shift) {
			split_leaf(edit, &cut, va);
			cut.entry = load(table, index);
			/* What came out of it bears no group mark. */
			again = F(shift)(level - 1) > shift;
		}
		if (again)
			split_commit(edit, table_of(edit->space, level, cut.entry), level - 1,
				     shift, va, end);
		if (end == last)
			return;
		va = end + 1u;
	}
}

/* ---- coalesce ---------------------------------------------------------------------------- */

/* Consecutive equal leaves, as they are met one after the other. */
struct uniform {
	uint64_t expected; /* neutral form of the next one */
	uint64_t bits;
	uint64_t used; /* the first, with accessed and dirty of all */
	kelp_paddr_t frame;
};

/* Begins with the first leaf, ungrouped; false when its frame does not fit `alignment`. */
static inline bool uniform_begin(const struct kelp_format *f, unsigned level, uint64_t leaf,
				 uint64_t alignment, struct uniform *u)
{
	u->used = leaf;
	u->expected = F(neutral)(f, level, leaf);
	u->bits = F(strip)(f, level, u->expected);
	u->frame = F(address)(f, level, leaf);
	return (u->frame & (alignment - 1u)) == 0;
}

/* True when the leaf number `i` says the same as the first. */
static inline bool uniform_next(const struct kelp_format *f, unsigned level, uint64_t leaf,
				unsigned i, struct uniform *u)
{
	if (F(neutral)(f, level, leaf) != F(entry)(f, level, u->bits, u->frame + i * span(level)))
		return false;
	u->used = F(absorb)(f, level, u->used, leaf);
	return true;
}

/*
 * The leaf of `level` that the entry there says or could say: itself, or what its table merges
 * to. False: it cannot be one leaf. Only Kelp's own tables merge.
 */
static bool merged_leaf(const struct edit *edit, unsigned level, uint64_t entry, kelp_vaddr_t va,
			uint64_t *leaf)
{
	const struct kelp_format *f = edit->format;
	enum kelp_entry_kind kind = F(kind)(f, level, entry);
	unsigned child = level - 1u;
	struct uniform u = {0};
	const void *table;

	if (is_leaf(kind)) {
		*leaf = alone(f, level, entry, va);
		return true;
	}
	if (kind != KELP_ENTRY_TABLE || !F(leaf_ok)(f, level) ||
	    !may_unlink(edit->space, level, entry))
		return false;
	table = table_of(edit->space, level, entry);
	for (unsigned i = 0; i < 1u << f->index_bits[child]; i++) {
		uint64_t current = load(table, i);

		if (child > 0) {
			if (!merged_leaf(edit, child, current, va + i * span(child), &current))
				return false;
		} else if (i == 0 || F(group_order)(0) > 0) {
			/* That the others are leaves, equality shows. */
			if (!is_leaf(F(kind)(f, 0, current)))
				return false;
			current = alone(f, 0, current, va + i * span(0));
		}
		if (!(i == 0 ? uniform_begin(f, child, current, span(level), &u)
			     : uniform_next(f, child, current, i, &u)))
			return false;
	}
	*leaf = F(parent)(f, level, u.used);
	return true;
}

/* Entries of one group that could bear the mark. */
static bool group_fits(const struct edit *edit, const void *table, unsigned level,
		       kelp_vaddr_t va, uint64_t *first)
{
	const struct kelp_format *f = edit->format;
	unsigned index = F(index)(f, level, va);
	struct uniform u = {0};

	for (unsigned i = 0; i < 1u << F(group_order)(level); i++) {
		uint64_t entry = load(table, index + i);

		if (F(kind)(f, level, entry) != KELP_ENTRY_LEAF || F(grouped)(f, level, entry))
			return false;
		if (!(i == 0 ? uniform_begin(f, level, entry, group_span(level), &u)
			     : uniform_next(f, level, entry, i, &u)))
			return false;
	}
	*first = u.used;
	return true;
}

struct coalescing {
	unsigned shift; /* the largest leaf wanted */
	bool commit;
	uint64_t merged;
};

/* Accessed and dirty, as far as the leaf does not have them: what a harvest may still add. */
static kelp_attr_t unused(const struct kelp_format *f, unsigned level, uint64_t leaf)
{
	return ~F(decode)(f, level, leaf) & (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);
}

/* The table at this entry becomes `leaf`. */
static enum kelp_status merge_table(struct edit *edit, struct coalescing *work, void *table,
				    unsigned level, kelp_vaddr_t va, uint64_t entry, uint64_t leaf)
{
	const struct kelp_format *f = edit->format;
	unsigned index = F(index)(f, level, va);
	/* What hardware may yet note in the old table belongs into the leaf. */
	bool harvest = (f->hardware_accessed || f->hardware_dirty) && F(busy)(f, level, leaf);
	bool still;

	if (!work->commit) {
		if (!F(can_replace)(f, level, entry, leaf) && !may_break(edit))
			return KELP_ERR_BBM;
		edit->intact++;
		return KELP_OK;
	}
	work->merged++;
	if (F(can_replace)(f, level, entry, leaf)) {
		store(table, index, leaf);
		unlink_intact(edit, level, va, entry, harvest ? unused(f, level, leaf) : 0);
		return KELP_OK;
	}
	/* Broken: nothing reaches the old table after the flush, so what it says then is final. */
	store(table, index, 0);
	gather_table(edit->flush, level, va);
	kelp_flush_now(edit->flush);
	still = merged_leaf(edit, level, entry, va, &leaf);
	KELP_ASSERT_ALWAYS(edit->space->port, still,
			   "kelp_space_coalesce: somebody else changed a table meanwhile");
	store(table, index, leaf);
	retire_intact(edit, level, va, entry, 0);
	gather_made_valid(edit, first_of(level, va), last_of(level, va), level, 0);
	return KELP_OK;
}

/* A group gets its mark: all entries are written again. */
static enum kelp_status mark_group(struct edit *edit, struct coalescing *work, void *table,
				   unsigned level, kelp_vaddr_t va, uint64_t used)
{
	const struct kelp_format *f = edit->format;
	unsigned index = F(index)(f, level, va);
	unsigned count = 1u << F(group_order)(level);
	uint64_t bits = F(strip)(f, level, used);
	kelp_paddr_t frame = F(address)(f, level, used);
	bool breaks = !F(can_replace)(f, level, used, F(group)(f, level, used));

	if (!work->commit)
		return breaks && !may_break(edit) ? KELP_ERR_BBM : KELP_OK;
	/* Leaves that only just came out of tables: preparing could not ask. */
	if (breaks && !may_break(edit))
		return KELP_OK;
	work->merged++;
	for (unsigned i = 0; i < count; i++) {
		kelp_vaddr_t at = va + i * span(level);
		uint64_t entry = load(table, index + i);
		uint64_t next;

		/* What hardware notes in one entry of a group it may not note in another. */
		do {
			next = F(entry)(f, level, bits, frame + i * span(level));
			next = F(absorb)(f, level, next, entry);
			next = breaks ? broken(edit, level, next, at) : F(group)(f, level, next);
		} while (!swap(table, index + i, &entry, next));
		gather_leaf(edit, level, at, entry);
	}
	if (!breaks)
		return KELP_OK;
	kelp_flush_now(edit->flush);
	make_broken(edit, table, level, va, count,
		    &(struct making){.clear = KELP_ATTR_INVALID, .grouped = true});
	return KELP_OK;
}

static enum kelp_status coalesce_table(struct edit *edit, struct coalescing *work, void *table,
				       unsigned level, kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	bool groups = F(group_order)(level) > 0 && f->groups &&
		      !(edit->space->flags & KELP_SPACE_NO_GROUPS) &&
		      F(shift)(level) + F(group_order)(level) <= work->shift;
	kelp_vaddr_t begin = va;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		uint64_t entry = load(table, F(index)(f, level, va));
		bool full = va == first_of(level, va) && end == last_of(level, va);
		enum kelp_status status = KELP_OK;
		uint64_t leaf;

		if (F(kind)(f, level, entry) == KELP_ENTRY_TABLE) {
			if (full && F(shift)(level) <= work->shift &&
			    merged_leaf(edit, level, entry, va, &leaf))
				status = merge_table(edit, work, table, level, va, entry, leaf);
			else
				status = coalesce_table(edit, work,
							table_of(edit->space, level, entry),
							level - 1, va, end);
		}
		if (status != KELP_OK)
			return status;
		/* The last entry of a group, once its neighbours are what they will be. */
		if (groups && ((end + 1u) & (group_span(level) - 1u)) == 0) {
			kelp_vaddr_t group = end & ~(group_span(level) - 1u);

			if (group >= begin && group_fits(edit, table, level, group, &leaf))
				status = mark_group(edit, work, table, level, group, leaf);
			if (status != KELP_OK)
				return status;
		}
		if (end == last)
			return KELP_OK;
		va = end + 1u;
	}
}

/* ---- release ----------------------------------------------------------------------------- */

static uint64_t release_table(struct kelp_flush *flush, void *table, unsigned level,
			      kelp_vaddr_t va, kelp_vaddr_t last)
{
	struct kelp_space *space = flush->space;
	const struct kelp_format *f = space->format;
	uint64_t released = 0;

	for (; level > 0;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		unsigned index = F(index)(f, level, va);
		uint64_t entry = load(table, index);

		if (F(kind)(f, level, entry) == KELP_ENTRY_TABLE) {
			void *below = table_of(space, level, entry);

			released += release_table(flush, below, level - 1, va, end);
			if (may_unlink(space, level, entry) && is_empty(space, below, level - 1)) {
				store(table, index, 0);
				gather_root(flush, level);
				released += unlink_table(flush, level, va, entry);
			}
		}
		if (end == last)
			break;
		va = end + 1u;
	}
	return released;
}

/* ---- what a committing gather calls ------------------------------------------------------ */

/* Accessed and dirty, of any leaf below. */
static kelp_attr_t used_below(const struct kelp_space *space, const void *table, unsigned level)
{
	const struct kelp_format *f = space->format;
	kelp_attr_t used = 0;

	for (unsigned i = 0; i < 1u << f->index_bits[level]; i++) {
		uint64_t entry = load(table, i);
		enum kelp_entry_kind kind = F(kind)(f, level, entry);

		if (kind == KELP_ENTRY_TABLE)
			used |= used_below(space, table_of(space, level, entry), level - 1);
		else if (is_leaf(kind))
			used |= F(decode)(f, level, entry);
	}
	return used & (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);
}

/* The frame that the first leaf in an unlinked table translates to. */
static kelp_paddr_t frame_below(const struct kelp_space *space, const void *table, unsigned level,
				kelp_vaddr_t va)
{
	const struct kelp_format *f = space->format;
	uint64_t entry = load(table, 0);

	while (F(kind)(f, level, entry) == KELP_ENTRY_TABLE) {
		entry = load(table_of(space, level, entry), 0);
		level--;
	}
	return frame_at(f, level, entry, va);
}

/*
 * Adds `used` to the leaf at `va`, or to those that it was split into since, as far as they
 * translate to `frame` and what follows it. A leaf may be gone again or map another frame now.
 */
static void harvest_into(struct kelp_space *space, void *table, unsigned level, kelp_vaddr_t va,
			 kelp_paddr_t frame, kelp_attr_t used)
{
	const struct kelp_format *f = space->format;
	unsigned index = F(index)(f, level, va);
	uint64_t entry = load(table, index);
	uint64_t next;

	if (F(kind)(f, level, entry) == KELP_ENTRY_TABLE) {
		table = table_of(space, level, entry);
		for (unsigned i = 0; i < 1u << f->index_bits[level - 1]; i++)
			harvest_into(space, table, level - 1, va + i * span(level - 1),
				     frame + i * span(level - 1), used);
		return;
	}
	while (is_leaf(F(kind)(f, level, entry)) &&
	       frame_at(f, level, entry, va) + (va & (span(level) - 1u)) == frame) {
		if (reshape(f, level, entry, va, used, 0, &next) != KELP_OK || next == entry ||
		    swap(table, index, &entry, next))
			return;
	}
}

/*
 * Adds to what took a table's place what hardware noted in the table until the flush: of
 * `record->harvest`, the bits that nobody had noted before. What was known then is in the leaf
 * already, or was taken from it since.
 */
static void harvest_table(struct kelp_space *space, const struct kelp_flush_intact *record)
{
	const struct kelp_format *f = space->format;
	const void *old = kelp_table_pointer(space, record->table);
	kelp_attr_t used = used_below(space, old, record->level) & record->harvest;
	kelp_paddr_t frame = frame_below(space, old, record->level, record->va);
	unsigned level = root_level(f);
	void *table = root_table(space);

	/* Down to the level of the leaf, or to where it became part of a larger one. */
	for (; used != 0 && level > record->level + 1u; level--) {
		uint64_t entry = load(table, F(index)(f, level, record->va));

		if (F(kind)(f, level, entry) != KELP_ENTRY_TABLE)
			break;
		table = table_of(space, level, entry);
	}
	if (used != 0)
		harvest_into(space, table, level, record->va, frame, used);
}
