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
		gather_root(edit->flush, level);
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
		kelp_flush_add(edit->flush, run_first, run_last, F(shift)(level),
				  run_global ? KELP_FLUSH_GLOBAL : 0);
}

static void unmap_make(struct edit *edit)
{
	struct cut cut;

	/* Only a cut makes something valid. */
	if (cut_find(edit, edit->va, &cut) || cut_find(edit, edit->last + 1u, &cut))
		flush_pending(edit);
	cut_ends(edit);
	unmap_commit(edit, root_table(edit->space), root_level(edit->format), edit->va,
		     edit->last);
}

/* ---- protect ----------------------------------------------------------------------------- */

/* Attributes whose change no cache of hardware ever sees. */
#define UNSEEN KELP_ATTR_SOFT

/* What the leaf `entry` becomes; remembered, because neighbours are mostly alike. */
static const struct memo *protect_memo(struct edit *edit, unsigned level, uint64_t entry,
				       kelp_vaddr_t va)
{
	const struct kelp_format *f = edit->format;
	struct memo *memo = &edit->memo[level];
	kelp_attr_t before, after, gained, lost;
	uint64_t from = F(strip)(f, level, entry);
	uint64_t next = 0;

	if (memo->known && memo->from == from)
		return memo;
	before = F(decode)(f, level, entry);
	after = (before & ~edit->clear) | edit->set;
	lost = before & ~after;
	/* Where hardware sets accessed and dirty itself, it may be told late that they are. */
	gained = after & ~before;
	if (f->hardware_accessed)
		gained &= ~KELP_ATTR_ACCESSED;
	if (f->hardware_dirty)
		gained &= ~KELP_ATTR_DIRTY;
	*memo = (struct memo){
		.from = from,
		.known = true,
		.grouped = F(grouped)(f, level, entry),
		.busy = F(busy)(f, level, entry),
		.global = F(is_global)(f, level, entry),
		.status = reshape(f, level, entry, va, edit->set, edit->clear, &next),
	};
	if (memo->status != KELP_OK)
		return memo;
	memo->to = F(strip)(f, level, next);
	memo->flip = entry ^ next;
	memo->global = memo->global || F(is_global)(f, level, next);
	if (F(kind)(f, level, entry) == KELP_ENTRY_LEAF) {
		memo->must_break = !F(can_replace)(f, level, entry, next);
		memo->must_flush = ((lost | gained) & ~UNSEEN) != 0;
	} else {
		memo->must_flush = F(caches_invalid)(f) && (lost & KELP_ATTR_INVALID);
	}
	return memo;
}

/* The entry that the memo says this one becomes. */
static inline uint64_t protect_entry(const struct edit *edit, const struct memo *memo,
				     unsigned level, uint64_t entry, kelp_vaddr_t va)
{
	if (!memo->grouped)
		return entry ^ memo->flip;
	return F(entry)(edit->format, level, memo->to, frame_at(edit->format, level, entry, va));
}

/*
 * The last address up to which the entries of the table that holds `va` are, but for their
 * addresses, the entry at `va` again; not beyond `last`.
 */
static kelp_vaddr_t alike_end(const struct edit *edit, const void *table, unsigned level,
			      kelp_vaddr_t va, kelp_vaddr_t last, uint64_t from)
{
	const struct kelp_format *f = edit->format;
	kelp_vaddr_t base = first_of(level, va);
	unsigned index = F(index)(f, level, base);
	unsigned room = (1u << f->index_bits[level]) - 1u - index;
	uint64_t rest = (last - base) >> F(shift)(level);
	unsigned count = rest < room ? (unsigned)rest : room;
	unsigned i = 0;

	while (i < count && F(strip)(f, level, load(table, index + i + 1u)) == from)
		i++;
	return last_of(level, base + i * span(level));
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
			if (status == KELP_OK && memo->must_break && !may_break(edit))
				status = KELP_ERR_BBM;
			if (end != last)
				end = alike_end(edit, table, level, va, last, memo->from);
		} else if (kind == KELP_ENTRY_TABLE) {
			if (F(denied)(f, level, entry) & edit->set & DENIABLE)
				status = KELP_ERR_RESTRICTED;
			else
				status = protect_scan(edit, table_of(edit->space, level, entry),
						      level - 1, va, end);
		} else if (!(edit->flags & KELP_SKIP_HOLES)) {
			status = KELP_ERR_NOT_MAPPED;
		}
		if (status != KELP_OK || end >= last)
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

/*
 * A run of valid leaves that must be broken: all become invalid, one flush, all become what they
 * shall be. Returns the last address of the run.
 */
static kelp_vaddr_t protect_broken_run(struct edit *edit, void *table, unsigned level,
				       kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;
	kelp_attr_t back = edit->set & KELP_ATTR_INVALID ? 0 : KELP_ATTR_INVALID;
	bool grouped = F(grouped)(f, level, load(table, F(index)(f, level, va)));
	unsigned size = 1u << f->index_bits[level];
	unsigned first = F(index)(f, level, va);
	unsigned count = 0;

	for (kelp_vaddr_t at = va; first + count < size; at += span(level)) {
		uint64_t entry = load(table, first + count);

		if (F(kind)(f, level, entry) != KELP_ENTRY_LEAF ||
		    F(grouped)(f, level, entry) != grouped ||
		    !protect_memo(edit, level, entry, at)->must_break)
			break;
		while (!swap(table, first + count, &entry, broken(edit, level, entry, at)))
			;
		gather_leaf(edit, level, at, entry);
		count++;
		if (last - at < span(level))
			break;
	}
	kelp_flush_now(edit->flush);
	make_broken(edit, table, level, first_of(level, va), count,
		    &(struct making){edit->set, edit->clear | back, grouped});
	return va + (count - 1u) * span(level) + (span(level) - 1u);
}

/* Leaves that are alike, [va, last] of one table, become what the memo says. */
static void protect_alike(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			  kelp_vaddr_t last, const struct memo *memo)
{
	unsigned index = F(index)(edit->format, level, va);
	unsigned count = (unsigned)((last - va) >> F(shift)(level)) + 1u;
	struct memo is = *memo;

	/* Read once: `memo` is rewritten where hardware changes an entry meanwhile. */
	for (unsigned i = 0; i < count; i++) {
		kelp_vaddr_t at = va + i * span(level);
		uint64_t entry = load(table, index + i);
		uint64_t next;

		if (!is.busy) {
			store(table, index + i, protect_entry(edit, &is, level, entry, at));
			continue;
		}
		/* Hardware may set accessed or dirty until the swap succeeds. */
		do {
			memo = protect_memo(edit, level, entry, at);
			next = protect_entry(edit, memo, level, entry, at);
			is.must_flush = is.must_flush || memo->must_flush;
		} while (!swap(table, index + i, &entry, next));
	}
	if (is.must_flush)
		kelp_flush_add(edit->flush, first_of(level, va), last_of(level, last),
				  F(shift)(level), is.global ? KELP_FLUSH_GLOBAL : 0);
}

static void protect_commit(struct edit *edit, void *table, unsigned level, kelp_vaddr_t va,
			   kelp_vaddr_t last)
{
	const struct kelp_format *f = edit->format;

	for (;;) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		uint64_t entry = load(table, F(index)(f, level, va));
		enum kelp_entry_kind kind = F(kind)(f, level, entry);

		if (kind == KELP_ENTRY_TABLE) {
			protect_commit(edit, table_of(edit->space, level, entry), level - 1, va,
				       end);
		} else if (is_leaf(kind)) {
			const struct memo *memo = protect_memo(edit, level, entry, va);

			if (memo->must_break) {
				end = protect_broken_run(edit, table, level, va, last);
			} else {
				end = alike_end(edit, table, level, va, last, memo->from);
				protect_alike(edit, table, level, va, end, memo);
			}
		}
		if (end >= last)
			return;
		va = end + 1u;
	}
}

static void protect_make(struct edit *edit)
{
	note_global(edit->space, edit->set);
	flush_pending(edit);
	cut_ends(edit);
	protect_commit(edit, root_table(edit->space), root_level(edit->format), edit->va,
		       edit->last);
}
