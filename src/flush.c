/* SPDX-License-Identifier: MIT */
/* flush: the gather. See kelp/flush.h. */
#include "flush.h"

#include "debug.h"
#include "pages.h"
#include "space_ops.h"

static void clear_request(struct kelp_flush *flush)
{
	flush->request.space = flush->space;
	flush->request.flags = 0;
	flush->request.count = 0;
}

void kelp_flush_begin(struct kelp_flush *flush, struct kelp_space *space)
{
	KELP_ASSERT_DEBUG(space->port, flush->state != KELP_FLUSH_OPEN,
			  "kelp_flush_begin: this gather is open already: a commit was forgotten");
	flush->space = space;
	flush->state = KELP_FLUSH_OPEN;
	flush->intact_count = 0;
	flush->cursor_entries = 0;
	flush->run_next = KELP_FLUSH_NO_RUN;
	flush->retired = 0;
	flush->overflow = 0;
	clear_request(flush);
	if (KELP_DEBUG)
		kelp_hw_count_add(&space->open_flushes, 1);
}

bool kelp_flush_is_empty(const struct kelp_flush *flush)
{
	return flush->request.count == 0 && flush->request.flags == 0 &&
	       flush->run_next == KELP_FLUSH_NO_RUN && flush->retired == 0 &&
	       flush->intact_count == 0;
}

/* Joins a range into the one that is nearest, so that the least is invalidated in vain. */
static void join_nearest(struct kelp_flush_request *request, kelp_vaddr_t first,
			 kelp_vaddr_t last, uint32_t stride_shift)
{
	struct kelp_flush_range *nearest = &request->range[0];
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < request->count; i++) {
		struct kelp_flush_range *range = &request->range[i];
		uint64_t gap = first > range->last ? first - range->last
			     : range->first > last ? range->first - last
						   : 0;

		if (gap < least) {
			least = gap;
			nearest = range;
		}
	}
	if (first < nearest->first)
		nearest->first = first;
	if (last > nearest->last)
		nearest->last = last;
	if (stride_shift < nearest->stride_shift)
		nearest->stride_shift = stride_shift;
}

/* [first, last] joins the range it touches, or becomes one of its own. */
static void add_range(struct kelp_flush *flush, kelp_vaddr_t first, kelp_vaddr_t last,
		      uint32_t stride_shift)
{
	struct kelp_flush_request *request = &flush->request;

	if (request->flags & KELP_FLUSH_ALL)
		return;
	for (uint32_t i = 0; i < request->count; i++) {
		struct kelp_flush_range *range = &request->range[i];

		if (range->stride_shift != stride_shift)
			continue;
		if (first >= range->first && last <= range->last)
			return;
		if (range->last + 1u == first && first != 0) {
			range->last = last;
			return;
		}
		if (last + 1u == range->first && range->first != 0) {
			range->first = first;
			return;
		}
	}
	if (request->count == KELP_FLUSH_RANGES) {
		join_nearest(request, first, last, stride_shift);
		return;
	}
	request->range[request->count++] = (struct kelp_flush_range){
		.first = first, .last = last, .stride_shift = stride_shift};
}

static void end_run(struct kelp_flush *flush)
{
	kelp_vaddr_t first = flush->run_first;
	kelp_vaddr_t last = flush->run_next - 1u;

	if (flush->run_next == KELP_FLUSH_NO_RUN)
		return;
	flush->run_next = KELP_FLUSH_NO_RUN;
	add_range(flush, first, last, flush->space->format->page_shift);
}

enum kelp_status kelp_flush_begin_run(struct kelp_flush *flush, kelp_vaddr_t va, uint32_t flags)
{
	end_run(flush);
	flush->run_first = va;
	flush->run_next = va + (UINT64_C(1) << flush->space->format->page_shift);
	flush->request.flags |= flags;
	return KELP_OK;
}

void kelp_flush_add(struct kelp_flush *flush, kelp_vaddr_t first, kelp_vaddr_t last,
		    uint32_t stride_shift, uint32_t flags)
{
	KELP_ASSERT_ALWAYS(flush->space->port, flush->state == KELP_FLUSH_OPEN,
			   "kelp_flush_add: the gather is not open");
	flush->request.flags |= flags;
	add_range(flush, first, last, stride_shift);
}

bool kelp_flush_overlaps(struct kelp_flush *flush, kelp_vaddr_t first, kelp_vaddr_t last)
{
	const struct kelp_flush_request *request = &flush->request;

	end_run(flush);
	if (request->flags & KELP_FLUSH_ALL)
		return true;
	for (uint32_t i = 0; i < request->count; i++) {
		uint64_t step = UINT64_C(1) << request->range[i].stride_shift;

		if (first <= (request->range[i].last | (step - 1u)) &&
		    last >= (request->range[i].first & ~(step - 1u)))
			return true;
	}
	return false;
}

/* True when single invalidations would cost more than starting over. */
static bool beyond_threshold(const struct kelp_flush_request *request)
{
	uint64_t single = 0;

	for (uint32_t i = 0; i < request->count; i++) {
		const struct kelp_flush_range *range = &request->range[i];

		single += ((range->last - range->first) >> range->stride_shift) + 1u;
		if (single > request->space->flush_threshold)
			return true;
	}
	return false;
}

void kelp_flush_execute(const struct kelp_flush_request *request)
{
	const struct kelp_space *space = request->space;

	kelp_hw_invalidate_begin(space);
	if (request->flags & (KELP_FLUSH_ALL | KELP_FLUSH_ROOT)) {
		kelp_hw_invalidate_all(space, request->flags);
	} else {
		for (uint32_t i = 0; i < request->count; i++) {
			const struct kelp_flush_range *range = &request->range[i];
			kelp_vaddr_t step = UINT64_C(1) << range->stride_shift;
			kelp_vaddr_t va = range->first & ~(step - 1u);

			for (;;) {
				kelp_hw_invalidate_page(space, va, range->stride_shift,
							request->flags);
				if (range->last - va < step)
					break;
				va += step;
			}
		}
	}
	kelp_hw_invalidate_end(space);
}

static bool has_tables(const struct kelp_flush *flush)
{
	return flush->retired != 0 || flush->intact_count != 0;
}

/* What hardware recorded in an unlinked table until just now goes into the leaf instead of it;
 * then the table has no reader left, and joins the pages to give back. */
static void settle_intact(struct kelp_flush *flush, const struct kelp_flush_intact *table)
{
	if (table->harvest)
		KELP_SPACE_CALL(flush->space, harvest, flush->space, table);
	KELP_SPACE_CALL(flush->space, retire_intact, flush, table);
}

static void give_back_tables(struct kelp_flush *flush)
{
	struct kelp_space *space = flush->space;
	size_t width = space->format->entry_bytes;

	for (uint32_t i = 0; i < flush->intact_count; i++)
		settle_intact(flush, &flush->intact[i]);
	flush->intact_count = 0;
	while (flush->overflow != 0) {
		kelp_paddr_t page = flush->overflow;
		struct kelp_flush_overflow *overflow = kelp_table_pointer(space, page);

		for (uint64_t i = 0; i < overflow->count; i++)
			settle_intact(flush, &overflow->record[i]);
		flush->overflow = overflow->next;
		kelp_pages_give(space, page);
		kelp_hw_count_add(&space->tables, UINT32_MAX);
	}
	while (flush->retired != 0) {
		kelp_paddr_t page = flush->retired;

		flush->retired = kelp_entry_load(kelp_table_pointer(space, page), 0, width);
		kelp_pages_give(space, page);
		kelp_hw_count_add(&space->tables, UINT32_MAX);
	}
}

void kelp_flush_now(struct kelp_flush *flush)
{
	struct kelp_flush_request *request = &flush->request;
	const struct kelp_port *port = flush->space->port;

	KELP_ASSERT_ALWAYS(port, flush->state == KELP_FLUSH_OPEN,
			   "kelp_flush: the gather is not open: begin it, and commit it once");
	end_run(flush);
	if (request->count > 0 || request->flags != 0) {
		bool tables = request->flags & KELP_FLUSH_TABLES;

		if (beyond_threshold(request) ||
		    (tables && flush->space->format->tables_flush_all))
			request->flags |= KELP_FLUSH_ALL;
		kelp_flush_execute(request);
		if (port->shootdown)
			port->shootdown(port->context, request);
		clear_request(flush);
	}
	/* INV-1.1: only now that every CPU was told may the pages go. */
	if (has_tables(flush)) {
		if (port->wait_for_readers)
			port->wait_for_readers(port->context);
		give_back_tables(flush);
	}
}

void kelp_flush_commit(struct kelp_flush *flush)
{
	kelp_flush_now(flush);
	flush->state = KELP_FLUSH_CLOSED;
	flush->cursor_entries = 0;
	if (KELP_DEBUG)
		kelp_hw_count_add(&flush->space->open_flushes, UINT32_MAX);
}

void kelp_flush_scope_end(struct kelp_flush *flush)
{
	if (flush->space)
		KELP_ASSERT_DEBUG(flush->space->port, flush->state != KELP_FLUSH_OPEN,
				  "KELP_FLUSH_SCOPE: the scope ends with the gather uncommitted");
}

uint64_t kelp_flush_intact_pages(const struct kelp_flush *flush, uint64_t count)
{
	uint64_t capacity =
		kelp_flush_overflow_capacity((size_t)1 << flush->space->format->page_shift);
	uint64_t room = KELP_FLUSH_INTACT - flush->intact_count;
	uint64_t pages = 0;

	if (count <= room)
		return 0;
	count -= room;
	if (flush->overflow != 0) {
		const struct kelp_flush_overflow *overflow =
			kelp_table_pointer(flush->space, flush->overflow);

		room = capacity - overflow->count;
		if (count <= room)
			return 0;
		count -= room;
	}
	for (; count > capacity; count -= capacity)
		pages++;
	return pages + 1u;
}

void kelp_flush_retire_intact(struct kelp_flush *flush, struct kelp_change *change,
			      const struct kelp_flush_intact *table)
{
	size_t page_size = (size_t)1 << flush->space->format->page_shift;
	struct kelp_flush_overflow *overflow = NULL;

	kelp_flush_note_unlink(flush->space);
	if (flush->intact_count < KELP_FLUSH_INTACT) {
		flush->intact[flush->intact_count++] = *table;
		return;
	}
	if (flush->overflow != 0)
		overflow = kelp_table_pointer(flush->space, flush->overflow);
	if (!overflow || overflow->count == kelp_flush_overflow_capacity(page_size)) {
		kelp_paddr_t page = kelp_pages_take(flush->space, change);

		overflow = kelp_table_pointer(flush->space, page);
		overflow->next = flush->overflow;
		overflow->count = 0;
		flush->overflow = page;
	}
	overflow->record[overflow->count++] = *table;
}
