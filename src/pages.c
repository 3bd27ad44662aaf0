/* SPDX-License-Identifier: MIT */
/* pages: table pages between the port and the tables. See pages.h. */
#include "pages.h"

#include "debug.h"
#include "entry.h"

/* Odd, so never an address of a page, and never zero. */
#define RESERVE_END UINT64_C(1)

static uint64_t *words(const struct kelp_space *space, kelp_paddr_t page)
{
	return kelp_table_pointer(space, page);
}

static size_t page_size(const struct kelp_space *space)
{
	return (size_t)1 << space->format->page_shift;
}

static void zero(const struct kelp_space *space, kelp_paddr_t page)
{
	uint64_t *word = words(space, page);

	for (size_t i = 0; i < page_size(space) / sizeof(*word); i++)
		word[i] = 0;
}

static bool is_zero(const struct kelp_space *space, kelp_paddr_t page)
{
	const uint64_t *word = words(space, page);
	uint64_t any = 0;

	for (size_t i = 0; i < page_size(space) / sizeof(*word); i++)
		any |= word[i];
	return any == 0;
}

/* Highest address that an entry above a table can name. */
static kelp_paddr_t table_limit(const struct kelp_format *format)
{
	kelp_paddr_t limit = (UINT64_C(1) << format->pa_bits) - 1u;

	return format->entry_bytes == 4 && limit > UINT32_MAX ? UINT32_MAX : limit;
}

static bool take_checked(struct kelp_space *space, kelp_paddr_t limit, kelp_paddr_t *page)
{
	const struct kelp_port *port = space->port;
	size_t size = page_size(space);

	if (!port->table_take(port->context, size, limit, page))
		return false;
	KELP_ASSERT_ALWAYS(port, (*page & (size - 1u)) == 0 && *page <= limit,
			   "port: a table page is not aligned to its size or beyond the limit");
	KELP_ASSERT_DEBUG(port, is_zero(space, *page),
			  "port: a table page is not all zero, or was handed out twice");
	return true;
}

enum kelp_status kelp_pages_reserve(struct kelp_space *space, struct kelp_change *change,
				    uint64_t count)
{
	kelp_paddr_t limit = table_limit(space->format);
	kelp_paddr_t page;

	while (change->reserved < count) {
		if (!take_checked(space, limit, &page)) {
			kelp_pages_cancel(space, change);
			return KELP_ERR_NO_MEMORY;
		}
		/* A root without entries is all zero: its contents do not give it away. */
		KELP_ASSERT_DEBUG(space->port, page != space->root,
				  "port: the root was handed out twice");
		*words(space, page) = change->reserved ? change->reserve : RESERVE_END;
		change->reserve = page;
		change->reserved++;
	}
	return KELP_OK;
}

kelp_paddr_t kelp_pages_take(struct kelp_space *space, struct kelp_change *change)
{
	kelp_paddr_t page = change->reserve;

	KELP_ASSERT_ALWAYS(space->port, change->reserved > 0,
			   "kelp: a commit needs more table pages than were prepared: the range "
			   "was changed by somebody else meanwhile");
	change->reserve = *words(space, page);
	change->reserved--;
	*words(space, page) = 0;
	kelp_hw_count_add(&space->tables, 1);
	return page;
}

void kelp_pages_put(struct kelp_space *space, struct kelp_change *change, kelp_paddr_t page)
{
	zero(space, page);
	*words(space, page) = change->reserved ? change->reserve : RESERVE_END;
	change->reserve = page;
	change->reserved++;
	kelp_hw_count_add(&space->tables, UINT32_MAX);
}

void kelp_pages_cancel(struct kelp_space *space, struct kelp_change *change)
{
	while (change->reserved > 0) {
		kelp_paddr_t page = change->reserve;

		change->reserve = *words(space, page);
		change->reserved--;
		kelp_pages_give(space, page);
	}
}

enum kelp_status kelp_pages_take_root(struct kelp_space *space, kelp_paddr_t limit,
				      kelp_paddr_t *page)
{
	return take_checked(space, limit, page) ? KELP_OK : KELP_ERR_NO_MEMORY;
}

void kelp_pages_give(struct kelp_space *space, kelp_paddr_t page)
{
	space->port->table_give(space->port->context, page_size(space), page);
}
