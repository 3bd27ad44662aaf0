/* SPDX-License-Identifier: MIT */
/*
 * Part of space_template.h: looking. No locks, no stores; see CONCURRENCY in kelp/space.h.
 */

/* What a lookup ends at: the first entry on the way down that is not a table. */
struct found {
	const void *table;
	uint64_t entry;
	unsigned level;
	kelp_attr_t denied;
};

/*
 * Walks down from the root. The levels are written out, so that everything that depends on the
 * level is a constant in its step; `hooked` is a constant too: whether the port's hook turns
 * addresses into pointers.
 */
static inline __attribute__((always_inline)) void look_down(const struct kelp_space *space,
							    kelp_vaddr_t va, bool hooked,
							    bool want_denied, struct found *found)
{
	const struct kelp_format *f = space->format;
	const uint64_t offset = space->table_offset;
	const void *table = hooked ? root_table(space) : (void *)(uintptr_t)(space->root + offset);
	kelp_attr_t denied = 0;
	unsigned level;
	uint64_t entry;

#define STEP(n)                                                                                    \
	level = (n);                                                                               \
	entry = load(table, F(index)(f, (n), va));                                                 \
	if (!KELP_LIKELY(F(kind)(f, (n), entry) == KELP_ENTRY_TABLE))                              \
		goto done;                                                                         \
	if (want_denied)                                                                           \
		denied |= F(denied)(f, (n), entry);                                                \
	table = hooked ? table_of(space, (n), entry)                                               \
		       : (void *)(uintptr_t)(F(table_address)(f, (n), entry) + offset);
	switch (root_level(f)) {
	case 4:
		STEP(4)
		__attribute__((fallthrough));
	case 3:
		STEP(3)
		__attribute__((fallthrough));
	case 2:
		STEP(2)
		__attribute__((fallthrough));
	default:
		STEP(1)
	}
#undef STEP
	level = 0;
	entry = load(table, F(index)(f, 0, va));
done:
	*found = (struct found){table, entry, level, denied};
}

/* The entry that a lookup ended at, when it is not a leaf of the lowest level. */
static __attribute__((noinline)) enum kelp_status
translate_above(const struct kelp_format *f, unsigned level, uint64_t entry, kelp_vaddr_t va,
		kelp_paddr_t *pa)
{
	if (F(kind)(f, level, entry) != KELP_ENTRY_LEAF)
		return KELP_ERR_NOT_MAPPED;
	*pa = frame_at(f, level, entry, va) + (va & (span(level) - 1u));
	return KELP_OK;
}

static inline __attribute__((always_inline)) enum kelp_status
translate_with(const struct kelp_space *space, kelp_vaddr_t va, kelp_paddr_t *pa, bool hooked)
{
	const struct kelp_format *f = space->format;
	struct found found;

	if (!(va >= f->va_first[0] && va <= f->va_last[0]) &&
	    !(f->va_ranges > 1 && va >= f->va_first[1] && va <= f->va_last[1]))
		return KELP_ERR_ADDRESS;
	look_down(space, va, hooked, false, &found);
	/* Nearly always the lowest level: with a constant there, the rest is a few instructions. */
	if (!KELP_LIKELY(found.level == 0))
		return translate_above(f, found.level, found.entry, va, pa);
	if (!KELP_LIKELY(F(kind)(f, 0, found.entry) == KELP_ENTRY_LEAF))
		return KELP_ERR_NOT_MAPPED;
	*pa = frame_at(f, 0, found.entry, va) + (va & (span(0) - 1u));
	return KELP_OK;
}

static __attribute__((noinline)) enum kelp_status
translate_hooked(const struct kelp_space *space, kelp_vaddr_t va, kelp_paddr_t *pa)
{
	return translate_with(space, va, pa, true);
}

static enum kelp_status look_translate(const struct kelp_space *space, kelp_vaddr_t va,
				       kelp_paddr_t *pa)
{
	if (!KELP_LIKELY(!space->pointer_hook))
		return translate_hooked(space, va, pa);
	return translate_with(space, va, pa, false);
}

/* Of a group hardware may note accesses in any one entry: all of them count for each. */
static kelp_attr_t group_used(const struct kelp_format *f, const void *table, unsigned level,
			      kelp_vaddr_t va)
{
	unsigned count = 1u << F(group_order)(level);
	unsigned first = F(index)(f, level, va) & ~(count - 1u);
	kelp_attr_t used = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t entry = load(table, first + i);

		if (F(kind)(f, level, entry) == KELP_ENTRY_LEAF)
			used |= F(decode)(f, level, entry);
	}
	return used & (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);
}

/* Describes a leaf, a hole or a table entry; `denied` is what the tables above take away. */
static void describe(const struct kelp_format *f, const void *table, unsigned level,
		     kelp_vaddr_t va, uint64_t entry, kelp_attr_t denied,
		     struct kelp_mapping *mapping)
{
	enum kelp_entry_kind kind = F(kind)(f, level, entry);
	unsigned shift = F(shift)(level);

	mapping->pa = 0;
	mapping->attributes = 0;
	if (is_leaf(kind)) {
		mapping->attributes = F(decode)(f, level, entry) & ~denied;
		mapping->pa = F(address)(f, level, entry);
		if (F(group_order)(level) > 0 && F(grouped)(f, level, entry)) {
			shift += F(group_order)(level);
			mapping->attributes |= group_used(f, table, level, va);
		}
	} else if (kind == KELP_ENTRY_TABLE) {
		mapping->attributes = F(denied)(f, level, entry) | denied;
		mapping->pa = F(address)(f, level, entry);
	}
	mapping->va = va & ~((UINT64_C(1) << shift) - 1u);
	mapping->size = UINT64_C(1) << shift;
	mapping->level = (uint8_t)level;
	mapping->shift = (uint8_t)shift;
	mapping->kind = (uint8_t)kind;
	mapping->reserved = 0;
	mapping->entry = entry;
}

static enum kelp_status look_query(const struct kelp_space *space, kelp_vaddr_t va,
				   struct kelp_mapping *mapping)
{
	struct found found;
	const void *table;

	if (!kelp_format_is_canonical(space->format, va))
		return KELP_ERR_ADDRESS;
	look_down(space, va, true, true, &found);
	/*
	 * Somebody's own mark, or the link of a gather's list in a table that was unlinked
	 * meanwhile: whoever walks again does not come to an unlinked table (unlinking is stored
	 * before the link).
	 */
	while (F(kind)(space->format, found.level, found.entry) == KELP_ENTRY_OPAQUE) {
		table = found.table;
		look_down(space, va, true, true, &found);
		if (found.table == table)
			break;
	}
	describe(space->format, found.table, found.level, va, found.entry, found.denied, mapping);
	return KELP_OK;
}

struct looking {
	const struct kelp_space *space;
	kelp_visitor_t *visitor;
	void *context;
	uint32_t flags;
	bool stopped;
	bool has_run;
	struct kelp_mapping run; /* joined so far, not yet visited */
};

static void visit(struct looking *look, const struct kelp_mapping *mapping)
{
	if (!look->stopped && look->visitor(look->context, mapping) == KELP_VISIT_STOP)
		look->stopped = true;
}

static void visit_run(struct looking *look)
{
	if (look->has_run)
		visit(look, &look->run);
	look->has_run = false;
}

/* A leaf or a hole was met: it continues the run, or ends it and begins one. */
static void join(struct looking *look, const struct kelp_mapping *mapping)
{
	struct kelp_mapping *run = &look->run;
	bool hole = !is_leaf((enum kelp_entry_kind)mapping->kind);

	if (look->has_run && run->kind == mapping->kind && run->va + run->size == mapping->va &&
	    (hole || (run->shift == mapping->shift && run->attributes == mapping->attributes &&
		      run->pa + run->size == mapping->pa))) {
		run->size += mapping->size;
		return;
	}
	visit_run(look);
	*run = *mapping;
	look->has_run = true;
}

/* Extends a leaf just described by the ones after it in the same table that continue it. */
static kelp_vaddr_t extend_run(const struct kelp_format *f, const void *table, unsigned level,
			       kelp_vaddr_t end, kelp_vaddr_t last, struct kelp_mapping *mapping)
{
	unsigned index = F(index)(f, level, mapping->va) + 1u;
	uint64_t bits = F(strip)(f, level, mapping->entry);

	while (end < last && index < 1u << f->index_bits[level] &&
	       load(table, index) ==
		       F(entry)(f, level, bits, mapping->pa + mapping->size)) {
		mapping->size += span(level);
		end += span(level);
		index++;
	}
	return end < last ? end : last;
}

static void look_walk(struct looking *look, const void *table, unsigned level, kelp_vaddr_t va,
		      kelp_vaddr_t last, kelp_attr_t denied)
{
	const struct kelp_format *f = look->space->format;

	while (!look->stopped) {
		kelp_vaddr_t end = last_of(level, va) < last ? last_of(level, va) : last;
		uint64_t entry = load(table, F(index)(f, level, va));
		enum kelp_entry_kind kind = F(kind)(f, level, entry);
		struct kelp_mapping mapping;

		/* A link in a table that was unlinked meanwhile: all of it is a hole now. */
		if (kind == KELP_ENTRY_OPAQUE) {
			struct found found;

			look_down(look->space, va, true, false, &found);
			if (found.table != table) {
				entry = 0;
				kind = KELP_ENTRY_NONE;
			}
		}
		if (kind == KELP_ENTRY_TABLE) {
			if (look->flags & KELP_WALK_TABLES) {
				visit_run(look);
				describe(f, table, level, va, entry, denied, &mapping);
				visit(look, &mapping);
			}
			if (!look->stopped)
				look_walk(look, table_of(look->space, level, entry), level - 1, va,
					  end, denied | F(denied)(f, level, entry));
		} else if (is_leaf(kind)) {
			describe(f, table, level, va, entry, denied, &mapping);
			/* The rest of a group says the same. */
			if (mapping.shift > F(shift)(level)) {
				end = mapping.va + (mapping.size - 1u);
				if (end > last)
					end = last;
			}
			if (look->flags & KELP_WALK_RUNS) {
				if (mapping.shift == F(shift)(level))
					end = extend_run(f, table, level, end, last, &mapping);
				join(look, &mapping);
			} else {
				visit_run(look);
				visit(look, &mapping);
			}
		} else if (look->flags & KELP_WALK_HOLES) {
			describe(f, table, level, va, entry, denied, &mapping);
			join(look, &mapping);
		} else {
			visit_run(look);
		}
		if (end == last)
			return;
		va = end + 1u;
	}
}
