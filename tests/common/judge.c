/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include <stdlib.h>
#include <string.h>

#include "report.h"

static void *grow(void *items, size_t *capacity, size_t count, size_t size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity ? 2 * *capacity : 256;
	items = realloc(items, *capacity * size);
	if (!items)
		abort();
	return items;
}

static void remember(struct judge *judge, const struct stale *stale)
{
	judge->stale = grow(judge->stale, &judge->stale_capacity, judge->stale_count,
			    sizeof(*judge->stale));
	judge->stale[judge->stale_count++] = *stale;
}

/* -1, 0, 1 as `a` comes before, with or after `b` in a list. */
static int compare(const struct raw_entry *a, const struct raw_entry *b)
{
	if (a->va != b->va)
		return a->va < b->va ? -1 : 1;
	if (a->level != b->level)
		return a->level > b->level ? -1 : 1;
	return 0;
}

/* Does a CPU that cached `old` act differently from one that reads `new`, at the same address? */
static bool translates_differently(const struct kelp_format *format, const struct raw_entry *old,
				   const struct raw_entry *new, kelp_vaddr_t va)
{
	kelp_attr_t late = 0;
	kelp_attr_t gone, came;

	if (new->kind != KELP_ENTRY_LEAF)
		return true;
	if (old->target + (va - old->va) != new->target + (va - new->va))
		return true;
	gone = old->attributes & ~new->attributes & ~KELP_ATTR_SOFT;
	came = new->attributes & ~old->attributes & ~KELP_ATTR_SOFT;
	/* Where hardware sets accessed or dirty by itself, it need not know that they are. */
	late |= format->hardware_accessed ? KELP_ATTR_ACCESSED : 0;
	late |= format->hardware_dirty ? KELP_ATTR_DIRTY : 0;
	return gone || (came & ~late);
}

/* What of the cached leaf `old` is no longer true in judge->now. */
static void observe_leaf(struct judge *judge, const struct raw_entry *old, bool resized)
{
	struct stale stale = {
		.span_first = old->va,
		.span_last = old->last,
		.global = old->attributes & KELP_ATTR_GLOBAL,
		.why = "a leaf of another size with the same translation",
	};
	const struct raw_list *now = &judge->now;
	kelp_vaddr_t at = old->va;
	bool any = false;

	if (old->grouped) {
		/* Hardware may have cached the group as one. */
		stale.span_first &= ~((UINT64_C(1) << old->shift) - 1u);
		stale.span_last = stale.span_first + ((UINT64_C(1) << old->shift) - 1u);
	}
	for (size_t i = raw_lower_bound(now, at); at <= old->last && at >= old->va; i++) {
		const struct raw_entry *new = i < now->count ? &now->items[i] : NULL;
		kelp_vaddr_t end;
		bool differs;

		if (new && new->va <= old->last &&
		    (new->kind == KELP_ENTRY_TABLE || new->last < at))
			continue;
		if (!new || new->va > old->last) {
			end = old->last;
			differs = true;
			i--;
		} else if (new->va > at) {
			end = new->va - 1u;
			differs = true;
			i--;
		} else {
			end = new->last < old->last ? new->last : old->last;
			differs = translates_differently(judge->format, old, new, at);
		}
		if (differs) {
			stale.changed = any = true;
			stale.first = at;
			stale.last = end;
			stale.why = "a translation that changed";
			remember(judge, &stale);
		}
		if (end == UINT64_MAX)
			break;
		at = end + 1u;
	}
	if (!any && resized)
		remember(judge, &stale);
}

static void observe_gone_table(struct judge *judge, const struct raw_entry *old)
{
	struct stale stale = {
		.span_first = old->va,
		.span_last = old->last,
		.pointer = true,
		.root = judge->format->root_in_registers &&
			old->level == judge->format->levels - 1u,
		.why = "a pointer to a table that was unlinked",
	};

	remember(judge, &stale);
	judge->unlinked = grow(judge->unlinked, &judge->unlinked_capacity, judge->unlinked_count,
			       sizeof(*judge->unlinked));
	judge->unlinked[judge->unlinked_count++] = (struct unlinked){
		.table = old->target,
		.va = old->va,
		.last = old->last,
		.level = old->level - 1u,
	};
}

/* Something is there where nothing that hardware uses was before. */
static void observe_new(struct judge *judge, const struct raw_entry *new)
{
	struct stale stale = {
		.span_first = new->va,
		.span_last = new->last,
		.first = new->va,
		.last = new->last,
		.why = "that nothing was there",
	};

	if (new->kind == KELP_ENTRY_TABLE && judge->format->root_in_registers &&
	    new->level == judge->format->levels - 1u) {
		stale.root = true;
		stale.why = "a root entry that hardware keeps in a register";
		remember(judge, &stale);
		stale.root = false;
	}
	if (!judge->format->caches_invalid)
		return;
	stale.pointer = new->kind == KELP_ENTRY_TABLE;
	stale.changed = new->kind == KELP_ENTRY_LEAF;
	if (stale.pointer || stale.changed)
		remember(judge, &stale);
}

static void observe_pair(struct judge *judge, const struct raw_entry *old,
			 const struct raw_entry *new)
{
	if (old->entry == new->entry && old->attributes == new->attributes)
		return;
	if (old->kind == KELP_ENTRY_LEAF)
		observe_leaf(judge, old,
			     new->kind != KELP_ENTRY_LEAF || old->grouped != new->grouped);
	if (old->kind == KELP_ENTRY_TABLE &&
	    (new->kind != KELP_ENTRY_TABLE || new->target != old->target))
		observe_gone_table(judge, old);
	if (old->kind != KELP_ENTRY_LEAF && old->kind != KELP_ENTRY_TABLE)
		observe_new(judge, new);
	else if (new->kind == KELP_ENTRY_TABLE && judge->format->root_in_registers &&
		 new->level == judge->format->levels - 1u && old->target != new->target)
		observe_new(judge, new);
}

/* True when `list` holds an entry of an upper level at the place of `item`: a resized leaf. */
static bool was_leaf(const struct raw_list *list, const struct raw_entry *item)
{
	const struct raw_entry *leaf = raw_leaf(list, item->va);

	return leaf && leaf->kind == KELP_ENTRY_LEAF && leaf->level > item->level;
}

void judge_observe(struct judge *judge)
{
	struct raw_list swap = judge->before;
	/* Below a table pointer that is new nothing can be cached: the pointer says it all. */
	const struct raw_entry *fresh = NULL;
	size_t i = 0, j = 0;

	judge->before = judge->now;
	judge->now = swap;
	raw_collect(&judge->now, judge->format, judge->port, judge->space->root);
	while (i < judge->before.count || j < judge->now.count) {
		const struct raw_entry *old = i < judge->before.count ? &judge->before.items[i]
								      : NULL;
		const struct raw_entry *new = j < judge->now.count ? &judge->now.items[j] : NULL;
		int order = !old ? 1 : !new ? -1 : compare(old, new);

		if (order == 0) {
			observe_pair(judge, old, new);
			if (new->kind == KELP_ENTRY_TABLE && old->kind != KELP_ENTRY_TABLE)
				fresh = new;
			i++, j++;
		} else if (order < 0) {
			if (old->kind == KELP_ENTRY_LEAF)
				observe_leaf(judge, old, true);
			else if (old->kind == KELP_ENTRY_TABLE)
				observe_gone_table(judge, old);
			i++;
		} else {
			bool below = fresh && new->va >= fresh->va && new->last <= fresh->last;

			if (!below && !was_leaf(&judge->before, new)) {
				observe_new(judge, new);
				if (new->kind == KELP_ENTRY_TABLE)
					fresh = new;
			}
			j++;
		}
	}
}

void judge_accept(struct judge *judge)
{
	raw_collect(&judge->now, judge->format, judge->port, judge->space->root);
}

/* The lowest single invalidation of a range that hits [first, last]; false: none does. */
static bool hits(const struct kelp_flush_range *range, kelp_vaddr_t first, kelp_vaddr_t last)
{
	uint64_t step = UINT64_C(1) << range->stride_shift;
	kelp_vaddr_t low = first > range->first ? first : range->first;
	kelp_vaddr_t high = last < range->last ? last : range->last;
	uint64_t distance;

	if (low > high)
		return false;
	distance = (low - range->first + step - 1u) & ~(step - 1u);
	return range->first + distance >= range->first && range->first + distance <= high;
}

/* Is [first, last] inside the union of the ranges? */
static bool inside(const struct kelp_flush_request *request, kelp_vaddr_t first,
		   kelp_vaddr_t last)
{
	for (unsigned guard = 0; guard <= request->count; guard++) {
		bool found = false;

		for (unsigned i = 0; i < request->count; i++) {
			const struct kelp_flush_range *range = &request->range[i];

			if (range->first > first || range->last < first)
				continue;
			if (range->last >= last)
				return true;
			first = range->last + 1u;
			found = true;
		}
		if (!found)
			return false;
	}
	return false;
}

static bool covers(const struct kelp_flush_request *request, const struct stale *stale)
{
	if (stale->global && !(request->flags & KELP_FLUSH_GLOBAL))
		return false;
	if (stale->root && !(request->flags & KELP_FLUSH_ROOT))
		return false;
	if (request->flags & KELP_FLUSH_ALL)
		return true;
	if (stale->root && !stale->pointer && !stale->changed)
		return true;
	if (stale->pointer && !(request->flags & KELP_FLUSH_TABLES))
		return false;
	if (stale->changed && !inside(request, stale->first, stale->last))
		return false;
	for (unsigned i = 0; i < request->count; i++)
		if (hits(&request->range[i], stale->span_first, stale->span_last))
			return true;
	return false;
}

static void check_request(const struct judge *judge, const struct kelp_flush_request *request)
{
	if (request->space != judge->space)
		test_fail("a request for another space");
	if (request->count > KELP_FLUSH_RANGES)
		test_fail("a request with %u ranges", (unsigned)request->count);
	if (request->flags & KELP_FLUSH_ALL)
		return;
	for (unsigned i = 0; i < request->count && i < KELP_FLUSH_RANGES; i++) {
		const struct kelp_flush_range *range = &request->range[i];
		uint64_t page = UINT64_C(1) << judge->format->page_shift;

		if (range->first > range->last || (range->first & (page - 1u)) ||
		    (~range->last & (page - 1u)))
			test_fail("a request's range 0x%llx-0x%llx",
				  (unsigned long long)range->first,
				  (unsigned long long)range->last);
		if (range->stride_shift < judge->format->page_shift || range->stride_shift > 63)
			test_fail("a request's stride of 2^%u", (unsigned)range->stride_shift);
	}
}

static void on_shootdown(void *observer, const struct kelp_flush_request *request)
{
	struct judge *judge = observer;
	size_t kept = 0;

	judge->requests++;
	check_request(judge, request);
	judge_observe(judge);
	for (size_t i = 0; i < judge->stale_count; i++)
		if (!covers(request, &judge->stale[i]))
			judge->stale[kept++] = judge->stale[i];
	judge->stale_count = kept;
	for (size_t i = 0; i < judge->unlinked_count; i++) {
		struct unlinked *table = &judge->unlinked[i];
		bool held = false;

		for (size_t k = 0; k < kept; k++)
			if (judge->stale[k].pointer && judge->stale[k].span_first == table->va &&
			    judge->stale[k].span_last == table->last)
				held = true;
		table->flushed = !held;
	}
	if (judge->destroying && (request->flags & KELP_FLUSH_ALL))
		judge->destroying = false;
}

static void on_wait(void *observer)
{
	struct judge *judge = observer;

	if (!judge->destroying)
		judge_observe(judge);
	for (size_t i = 0; i < judge->unlinked_count; i++)
		judge->unlinked[i].waited = true;
}

static void on_give(void *observer, kelp_paddr_t page)
{
	struct judge *judge = observer;

	if (!judge->space)
		return;
	for (size_t i = 0; i < judge->unlinked_count; i++) {
		struct unlinked *table = &judge->unlinked[i];

		if (table->table != page)
			continue;
		if (!table->flushed)
			test_fail("table 0x%llx goes back before a flush covered it",
				  (unsigned long long)page);
		if (!table->waited)
			test_fail("table 0x%llx goes back before readers were waited for",
				  (unsigned long long)page);
		*table = judge->unlinked[--judge->unlinked_count];
		return;
	}
	/* Never unlinked as far as anybody looked: it must not be reachable now either. */
	if (page == judge->space->root) {
		test_fail("the root goes back while the space lives");
		return;
	}
	for (size_t i = 0; i < judge->now.count; i++)
		if (judge->now.items[i].kind == KELP_ENTRY_TABLE &&
		    judge->now.items[i].target == page) {
			test_fail("table 0x%llx goes back and was linked when last looked at",
				  (unsigned long long)page);
			return;
		}
}

static void on_give_destroying(void *observer, kelp_paddr_t page)
{
	const struct judge *judge = observer;

	if (judge->destroying)
		test_fail("table 0x%llx goes back before destroy flushed everything",
			  (unsigned long long)page);
}

void judge_init(struct judge *judge, const struct kelp_space *space, struct test_port *port)
{
	*judge = (struct judge){.format = space->format, .port = port, .space = space};
	raw_collect(&judge->now, judge->format, port, space->root);
	port->observer = judge;
	port->on_give = on_give;
	port->on_shootdown = on_shootdown;
	port->on_wait = on_wait;
}

void judge_free(struct judge *judge)
{
	judge->port->observer = NULL;
	judge->port->on_give = NULL;
	judge->port->on_shootdown = NULL;
	judge->port->on_wait = NULL;
	raw_free(&judge->now);
	raw_free(&judge->before);
	free(judge->stale);
	free(judge->unlinked);
}

void judge_check_clean(struct judge *judge)
{
	judge_observe(judge);
	if (judge->stale_count) {
		const struct stale *stale = &judge->stale[0];

		test_fail("after commit a CPU may still hold %s: 0x%llx-0x%llx%s (%zu in all)",
			  stale->why,
			  (unsigned long long)(stale->changed ? stale->first : stale->span_first),
			  (unsigned long long)(stale->changed ? stale->last : stale->span_last),
			  stale->global ? ", global" : "", judge->stale_count);
	}
	for (size_t i = 0; i < judge->unlinked_count; i++)
		if (test_port_state(judge->port, judge->unlinked[i].table) == TEST_PAGE_TAKEN)
			test_fail("table 0x%llx was unlinked and is not given back by commit",
				  (unsigned long long)judge->unlinked[i].table);
	judge->stale_count = 0;
	judge->unlinked_count = 0;
}

void judge_destroying(struct judge *judge)
{
	judge->destroying = true;
	judge->port->on_give = on_give_destroying;
}

/* `leaf` as it would stand at `level`, for the part of it at `va`; false: it cannot. */
static bool as_at_level(const struct kelp_format *format, const struct raw_entry *leaf,
			unsigned level, kelp_vaddr_t va, uint64_t *entry)
{
	return format->ops->leaf(format, level, leaf->target + (va - leaf->va),
				 format->ops->attributes(format, leaf->level, leaf->entry), false,
				 entry) == KELP_OK;
}

/* A leaf of `now` where `before` had a larger one: what it was part of must permit it. */
static bool part_replaceable(const struct kelp_format *format, const struct raw_list *before,
			     const struct raw_entry *new)
{
	const struct raw_entry *old = raw_leaf(before, new->va);
	uint64_t part;

	if (new->kind != KELP_ENTRY_LEAF || !old || old->kind != KELP_ENTRY_LEAF ||
	    old->level <= new->level)
		return true;
	return !as_at_level(format, old, new->level, new->va, &part) ||
	       format->ops->can_replace(format, new->level, part, new->entry);
}

/* A leaf of `before` where `now` has a larger one. */
static bool whole_replaceable(const struct kelp_format *format, const struct raw_entry *old,
			      const struct raw_list *now)
{
	const struct raw_entry *new = raw_leaf(now, old->va);
	uint64_t part;

	if (old->kind != KELP_ENTRY_LEAF || !new || new->kind != KELP_ENTRY_LEAF ||
	    new->level <= old->level)
		return true;
	return !as_at_level(format, new, old->level, old->va, &part) ||
	       format->ops->can_replace(format, old->level, old->entry, part);
}

bool judge_replaceable(const struct kelp_format *format, const struct raw_list *before,
		       const struct raw_list *now, struct raw_entry *offender)
{
	size_t i = 0, j = 0;

	while (i < before->count || j < now->count) {
		const struct raw_entry *old = i < before->count ? &before->items[i] : NULL;
		const struct raw_entry *new = j < now->count ? &now->items[j] : NULL;
		int order = !old ? 1 : !new ? -1 : compare(old, new);
		bool fine = true;

		if (order < 0) {
			fine = whole_replaceable(format, old, now);
			i++;
		} else if (order > 0) {
			fine = part_replaceable(format, before, new);
			j++;
		} else {
			if (old->entry != new->entry && old->table == new->table)
				fine = format->ops->can_replace(format, old->level, old->entry,
								new->entry);
			i++, j++;
		}
		if (!fine) {
			*offender = order < 0 ? *old : *new;
			return false;
		}
	}
	return true;
}
