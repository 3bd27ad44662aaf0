/* SPDX-License-Identifier: MIT */
/* Page-table code of a small kernel, with a bug; see pages.h. */
#include "pages.h"

#define PRESENT  UINT64_C(0x001)
#define WRITABLE UINT64_C(0x002)
#define USER     UINT64_C(0x004)
#define ADDRESS  UINT64_C(0x000ffffffffff000)

static uint64_t entry_of(uint64_t table, uint64_t va, unsigned level)
{
	return table + (va >> (12 + 9 * level) & 511) * 8;
}

bool pages_init(struct pages *pages, const struct pages_hooks *hooks)
{
	pages->hooks = hooks;
	pages->root = hooks->take_page(hooks->context);
	return pages->root != 0;
}

bool pages_map(struct pages *pages, uint64_t va, uint64_t pa, bool writable)
{
	const struct pages_hooks *h = pages->hooks;
	uint64_t table = pages->root;

	for (unsigned level = 3; level > 0; level--) {
		uint64_t entry = h->read(h->context, entry_of(table, va, level));

		if (!(entry & PRESENT)) {
			uint64_t page = h->take_page(h->context);

			if (!page)
				return false;
			entry = page | PRESENT | WRITABLE | USER;
			h->write(h->context, entry_of(table, va, level), entry);
		}
		table = entry & ADDRESS;
	}
	h->write(h->context, entry_of(table, va, 0), pa | PRESENT | (writable ? WRITABLE : 0));
	return true;
}

static bool is_empty(struct pages *pages, uint64_t table)
{
	for (unsigned i = 0; i < 512; i++)
		if (pages->hooks->read(pages->hooks->context, table + 8 * i) & PRESENT)
			return false;
	return true;
}

uint64_t pages_unmap(struct pages *pages, uint64_t va)
{
	const struct pages_hooks *h = pages->hooks;
	uint64_t above = 0, table = pages->root, entry;

	for (unsigned level = 3; level > 0; level--) {
		above = entry_of(table, va, level);
		entry = h->read(h->context, above);
		if (!(entry & PRESENT))
			return 0;
		table = entry & ADDRESS;
	}
	entry = h->read(h->context, entry_of(table, va, 0));
	if (!(entry & PRESENT))
		return 0;
	h->write(h->context, entry_of(table, va, 0), 0);
	if (!pages->fixed)
		h->flush_everywhere(h->context, va);
	if (is_empty(pages, table)) {
		h->write(h->context, above, 0);
		/* The bug: the flush above came too early for this pointer. A CPU may keep it in
		 * a paging-structure cache and walk a page that belongs to somebody else. */
		if (pages->fixed)
			h->flush_everywhere(h->context, va);
		h->give_page(h->context, table);
	} else if (pages->fixed) {
		h->flush_everywhere(h->context, va);
	}
	return entry & ADDRESS;
}
