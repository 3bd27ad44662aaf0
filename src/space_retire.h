/* SPDX-License-Identifier: MIT */
/*
 * Part of space_template.h: taking tables out of the tree. What was unlinked stays in memory
 * until the gather commits (INV-1.1).
 */

/*
 * Puts a table whose translations are all gone, and every table of Kelp's own below it, onto the
 * gather's list; returns how many. The link goes into the first entry: the page's address has its
 * low bits clear, so it is an entry that hardware does not translate, in every format.
 */
static uint64_t retire_table(struct kelp_flush *flush, kelp_paddr_t page, unsigned level)
{
	const struct kelp_format *f = flush->space->format;
	void *table = kelp_table_pointer(flush->space, page);
	uint64_t retired = 1;

	for (unsigned i = 0; level > 0 && i < 1u << f->index_bits[level]; i++) {
		uint64_t entry = load(table, i);

		if (F(kind)(f, level, entry) == KELP_ENTRY_TABLE && F(owned)(f, level, entry))
			retired += retire_table(flush, F(address)(f, level, entry), level - 1);
	}
	store(table, 0, flush->retired);
	flush->retired = page;
	return retired;
}

/* The entry of `level` at `va` pointed to a table of Kelp's own and no longer does. */
static uint64_t unlink_table(struct kelp_flush *flush, unsigned level, kelp_vaddr_t va,
			     uint64_t entry)
{
	gather_table(flush, level, va);
	kelp_flush_note_unlink(flush->space);
	return retire_table(flush, F(address)(flush->space->format, level, entry), level - 1);
}

/* Tables that an edit may take out: Kelp's own, and not those that root entries share. */
static bool may_unlink(const struct kelp_space *space, unsigned level, uint64_t entry)
{
	if (!F(owned)(space->format, level, entry))
		return false;
	return !((space->flags & KELP_SPACE_KEEP_ROOT) && level == root_level(space->format));
}

/* A table that was unlinked goes with the gather, its contents first `harvest`ed. */
static void retire_intact(struct edit *edit, unsigned level, kelp_vaddr_t va, uint64_t entry,
			  kelp_attr_t harvest)
{
	struct kelp_flush_intact record = {
		.table = F(address)(edit->format, level, entry),
		.va = first_of(level, va),
		.level = level - 1u,
		.harvest = harvest,
	};

	kelp_flush_retire_intact(edit->flush, edit->change, &record);
}

/* A table that still translates: its contents stay until the flush. */
static void unlink_intact(struct edit *edit, unsigned level, kelp_vaddr_t va, uint64_t entry,
			  kelp_attr_t harvest)
{
	gather_table(edit->flush, level, va);
	retire_intact(edit, level, va, entry, harvest);
}

/* True when no entry below is anything but none or an empty table. */
static bool is_empty(const struct kelp_space *space, const void *table, unsigned level)
{
	const struct kelp_format *f = space->format;

	for (unsigned i = 0; i < 1u << f->index_bits[level]; i++) {
		uint64_t entry = load(table, i);

		if (entry == 0)
			continue;
		if (level == 0 || F(kind)(f, level, entry) != KELP_ENTRY_TABLE ||
		    !is_empty(space, table_of(space, level, entry), level - 1))
			return false;
	}
	return true;
}
