/* SPDX-License-Identifier: MIT */
/*
 * Part of space_template.h: unmapping and protecting.
 */

/* ---- unmap ------------------------------------------------------------------------------- */

/* STRICT: is there a leaf everywhere? */
static bool is_mapped(const struct edit *edit, const void *table, unsigned level, kelp_vaddr_t va,
		      kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		uint64_t entry = load(table, F(index)(f, level, va));
		enum kelp_entry_kind kind = F(kind)(f, level, entry);

		if (kind == KELP_ENTRY_TABLE) {
			if (!is_mapped(edit, table_of(edit->space, level, entry), level - 1, va,
				       end))
				return false;
		} else if (!is_leaf(kind)) {
			return false;
		}
		if (end == last)
			return true;
		va = end + 1u;
	}
}

static enum kelp_status unmap_prepare(struct edit *edit)
{
	if ((edit->flags & KELP_STRICT) &&
	    !is_mapped(edit, root_table(edit->space), root_level(edit->format), edit->va,
		       edit->last))
		return KELP_ERR_NOT_MAPPED;
	return cut_ends_prepare(edit, true);
}

static void unmap_commit(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			 kelp_vaddr_t last);

static void unmap_table(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			kelp_vaddr_t last, uint64_t entry)
{
	bool full = va == first_of(level, va) && last == last_of(level, va);

	if (full && may_unlink(edit->space, level, entry)) {
		store(table, F(index)(edit->format, level, va), 0);
		unlink_table(edit->flush, level, va, entry);
		gather_root(edit, level);
	} else {
		unmap_commit(edit, table_of(edit->space, level, entry), level - 1, va, last);
	}
}

static void unmap_commit(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			 kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	/* Valid leaves removed side by side, gathered at once. */
	kelp_vaddr_t run_first = 0;
	kelp_vaddr_t run_last = 0;
	bool run_global = false;
	bool run = false;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		unsigned index = F(index)(f, level, va);
		uint64_t entry = load(table, index);
		enum kelp_entry_kind kind = F(kind)(f, level, entry);

		if (kind == KELP_ENTRY_TABLE) {
			unmap_table(edit, table, level, va, end, entry);
		} else if (is_leaf(kind)) {
			store(table, index, 0);
			if (kind == KELP_ENTRY_LEAF) {
				run_first = run ? run_first : va;
				run_last = end;
				run_global = run_global || F(is_global)(f, level, entry);
				run = true;
			}
		}
		if (end == last)
			break;
		va = end + 1u;
	}
	if (run)
		kelp_flush_gather(edit->flush, run_first, run_last, F(shift)(level),
				  run_global ? KELP_FLUSH_GLOBAL : 0);
}

static void unmap_make(struct edit *edit)
{
	cut_ends(edit);
	unmap_commit(edit, root_table(edit->space), root_level(edit->format), edit->va,
		     edit->last);
}

/* ---- protect ----------------------------------------------------------------------------- */

/* Attributes whose change no cache of hardware ever sees. */
#define UNSEEN KELP_ATTR_SOFT

/* What `entry` becomes; remembered, because neighbours are mostly alike. */
static const struct memo *protect_memo(struct edit *edit, unsigned level, uint64_t entry,
				       kelp_vaddr_t va)
{
	const struct kelp_format *f = edit->format;
	uint64_t from = F(strip)(f, level, entry);
	struct memo *memo = &edit->memo[level];
	kelp_attr_t before, after, gained, lost;
	uint64_t next = 0;

	if (memo->known && memo->from == from)
		return memo;
	before = F(decode)(f, level, entry);
	after = (before & ~edit->clear) | edit->set;
	memo->status = reshape(f, level, entry, va, edit->set, edit->clear, &next);
	memo->from = from;
	memo->to = memo->status == KELP_OK ? F(strip)(f, level, next) : 0;
	/* Accessed and dirty may be set without telling anybody, not cleared. */
	lost = before & ~after;
	gained = after & ~before & ~(KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);
	memo->must_flush = ((lost | gained) & ~UNSEEN) != 0;
	memo->known = true;
	return memo;
}

/* The whole entry that the memo says; false when the format refuses (only while preparing). */
static inline uint64_t protect_entry(struct edit *edit, const struct memo *memo, unsigned level,
				     uint64_t entry, kelp_vaddr_t va)
{
	return F(entry)(edit->format, level, memo->to, frame_at(edit->format, level, entry, va));
}

static enum kelp_status protect_scan(struct edit *edit, const void *table, unsigned level,
				     kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		uint64_t entry = load(table, F(index)(f, level, va));
		enum kelp_entry_kind kind = F(kind)(f, level, entry);
		enum kelp_status status = KELP_OK;

		if (is_leaf(kind)) {
			const struct memo *memo = protect_memo(edit, level, entry, va);

			status = memo->status;
			if (status == KELP_OK && kind == KELP_ENTRY_LEAF && !may_break(edit) &&
			    !F(can_replace)(f, level, entry,
					    protect_entry(edit, memo, level, entry, va)))
				status = KELP_ERR_BBM;
		} else if (kind == KELP_ENTRY_TABLE) {
			if (F(denied)(f, level, entry) & edit->set & DENIABLE)
				status = KELP_ERR_RESTRICTED;
			else
				status = protect_scan(edit, table_of(edit->space, level, entry),
						      level - 1, va, end);
		} else if (!(edit->flags & KELP_SKIP_HOLES)) {
			status = KELP_ERR_NOT_MAPPED;
		}
		if (status != KELP_OK || end == last)
			return status;
		va = end + 1u;
	}
}

static enum kelp_status protect_prepare(struct edit *edit)
{
	enum kelp_status status = cut_ends_prepare(edit, true);

	if (status != KELP_OK)
		return status;
	return protect_scan(edit, root_table(edit->space), root_level(edit->format), edit->va,
			    edit->last);
}

/* True when the valid leaf there must be broken before it becomes what is asked. */
static bool protect_breaks(struct edit *edit, unsigned level, uint64_t entry, kelp_vaddr_t va)
{
	const struct memo *memo;

	if (F(kind)(edit->format, level, entry) != KELP_ENTRY_LEAF)
		return false;
	memo = protect_memo(edit, level, entry, va);
	return !F(can_replace)(edit->format, level, entry,
			       protect_entry(edit, memo, level, entry, va));
}

/*
 * A run of valid leaves that must be broken: all become invalid, one flush, all become what they
 * shall be. Returns the last address of the run.
 */
static kelp_vaddr_t protect_broken_run(struct edit *edit, void *table, unsigned level,
				       kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	bool grouped = F(grouped)(f, level, load(table, F(index)(f, level, va)));
	kelp_vaddr_t run_last = va;

	for (kelp_vaddr_t at = va;; at += span(level)) {
		unsigned index = F(index)(f, level, at);
		uint64_t entry = load(table, index);

		if (!protect_breaks(edit, level, entry, at) ||
		    F(grouped)(f, level, entry) != grouped)
			break;
		while (!swap(table, index, &entry, broken(edit, level, entry, at)))
			;
		gather_leaf(edit, level, at, entry);
		run_last = last_of(level, at);
		if (last - at < span(level))
			break;
	}
	kelp_hw_published();
	kelp_flush_now(edit->flush);
	for (kelp_vaddr_t at = va;; at += span(level)) {
		unsigned index = F(index)(f, level, at);
		kelp_attr_t back = edit->set & KELP_ATTR_INVALID ? 0 : KELP_ATTR_INVALID;
		uint64_t next = 0;
		enum kelp_status status = reshape(f, level, load(table, index), at, edit->set,
						  edit->clear | back, &next);

		KELP_ASSERT_DEBUG(edit->space->port, status == KELP_OK,
				  "kelp: a leaf cannot be made valid again");
		(void)status;
		store(table, index, grouped ? F(group)(f, level, next) : next);
		if (run_last - at < span(level))
			return run_last;
	}
}

static void protect_commit(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			   kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	kelp_vaddr_t run_first = 0;
	kelp_vaddr_t run_last = 0;
	bool run_global = false;
	bool run = false;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		unsigned index = F(index)(f, level, va);
		uint64_t entry = load(table, index);
		enum kelp_entry_kind kind = F(kind)(f, level, entry);

		if (kind == KELP_ENTRY_TABLE) {
			protect_commit(edit, table_of(edit->space, level, entry), level - 1, va,
				       end);
		} else if (kind == KELP_ENTRY_LEAF && protect_breaks(edit, level, entry, va)) {
			end = protect_broken_run(edit, table, level, va, last);
		} else if (is_leaf(kind)) {
			const struct memo *memo;
			uint64_t next;

			/* Hardware may set accessed or dirty until the swap succeeds. */
			for (;;) {
				memo = protect_memo(edit, level, entry, va);
				next = protect_entry(edit, memo, level, entry, va);
				if (!F(busy)(f, level, entry)) {
					store(table, index, next);
					break;
				}
				if (swap(table, index, &entry, next))
					break;
			}
			if (memo->must_flush &&
			    (kind == KELP_ENTRY_LEAF || f->caches_invalid)) {
				run_first = run ? run_first : va;
				run_last = end;
				run_global = run_global || F(is_global)(f, level, entry) ||
					     F(is_global)(f, level, next);
				run = true;
			}
		}
		if (end == last)
			break;
		va = end + 1u;
	}
	if (run)
		kelp_flush_gather(edit->flush, run_first, run_last, F(shift)(level),
				  run_global ? KELP_FLUSH_GLOBAL : 0);
}

static void protect_make(struct edit *edit)
{
	note_global(edit->space, edit->set);
	cut_ends(edit);
	protect_commit(edit, root_table(edit->space), root_level(edit->format), edit->va,
		       edit->last);
}
