/* SPDX-License-Identifier: MIT */
/* slot: one entry of the lowest level. See kelp/slot.h. */
#include <kelp/slot.h>

#include "debug.h"
#include "entry.h"

static uint64_t load_slot(const struct kelp_slot *slot)
{
	return kelp_entry_load(slot->table, slot->index, slot->space->format->entry_bytes);
}

static void store_slot(const struct kelp_slot *slot, uint64_t entry)
{
	kelp_entry_store(slot->table, slot->index, entry, slot->space->format->entry_bytes);
}

enum kelp_status kelp_slot_find(struct kelp_space *space, kelp_vaddr_t va, struct kelp_slot *slot)
{
	const struct kelp_format *f = space->format;
	const struct kelp_format_ops *ops = f->ops;
	void *table = kelp_table_pointer(space, space->root);
	kelp_attr_t denied = 0;
	uint64_t entry;

	if (!kelp_format_is_canonical(f, va))
		return KELP_ERR_ADDRESS;
	if (va & ((UINT64_C(1) << f->page_shift) - 1u))
		return KELP_ERR_ALIGNMENT;
	for (unsigned level = f->levels - 1u; level > 0; level--) {
		entry = kelp_entry_load(table, kelp_format_index(f, level, va), f->entry_bytes);
		switch (ops->kind(f, level, entry)) {
		case KELP_ENTRY_TABLE:
			break;
		case KELP_ENTRY_NONE:
			return KELP_ERR_NOT_MAPPED;
		default:
			return KELP_ERR_EXISTS;
		}
		denied |= ops->denied(f, level, entry);
		table = kelp_table_pointer(space, ops->address(f, level, entry));
	}
	entry = kelp_entry_load(table, kelp_format_index(f, 0, va), f->entry_bytes);
	if (ops->kind(f, 0, entry) == KELP_ENTRY_LEAF && ops->grouped(f, 0, entry))
		return KELP_ERR_EXISTS;
	*slot = (struct kelp_slot){space, table, va, denied, kelp_format_index(f, 0, va)};
	return KELP_OK;
}

/* Rights that a table above can deny. */
#define DENIABLE (KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER)

static enum kelp_status encode(const struct kelp_slot *slot, kelp_paddr_t pa,
			       kelp_attr_t attributes, uint64_t *entry)
{
	const struct kelp_format *f = slot->space->format;

	if (slot->denied & attributes & DENIABLE)
		return KELP_ERR_RESTRICTED;
	return f->ops->leaf(f, 0, pa, attributes, false, entry);
}

enum kelp_status kelp_slot_check(const struct kelp_slot *slot, kelp_paddr_t pa,
				 kelp_attr_t attributes)
{
	uint64_t entry;

	return encode(slot, pa, attributes, &entry);
}

enum kelp_status kelp_slot_set(const struct kelp_slot *slot, kelp_paddr_t pa,
			       kelp_attr_t attributes)
{
	struct kelp_space *space = slot->space;
	const struct kelp_format *f = space->format;
	uint64_t old = load_slot(slot);
	bool was_valid = false;
	uint64_t entry;
	enum kelp_status status = encode(slot, pa, attributes, &entry);

	if (status != KELP_OK)
		return status;
	if ((attributes & KELP_ATTR_GLOBAL) && !kelp_hw_load32(&space->holds_global))
		kelp_hw_store32(&space->holds_global, 1);
	if (old != 0 && f->ops->kind(f, 0, old) == KELP_ENTRY_LEAF) {
		was_valid = true;
		/* INV-1.2. */
		if (!f->ops->can_replace(f, 0, old, entry)) {
			kelp_slot_clear(slot);
			was_valid = false;
		}
	}
	store_slot(slot, entry);
	/* An invalidation orders the store too. */
	if (was_valid || f->caches_invalid)
		kelp_slot_invalidate(space, slot->va, slot->va);
	else
		kelp_hw_published();
	return KELP_OK;
}

void kelp_slot_announce(struct kelp_space *space, kelp_vaddr_t first, kelp_vaddr_t last)
{
	struct kelp_flush flush = {0};

	if (!space->format->caches_invalid)
		return;
	kelp_flush_begin(&flush, space);
	kelp_flush_add(&flush, first,
		       last | ((UINT64_C(1) << space->format->page_shift) - 1u),
		       space->format->page_shift, 0);
	kelp_flush_commit(&flush);
}

void kelp_slot_drop(const struct kelp_slot *slot)
{
	store_slot(slot, 0);
}

void kelp_slot_clear(const struct kelp_slot *slot)
{
	store_slot(slot, 0);
	kelp_slot_invalidate(slot->space, slot->va, slot->va);
}

bool kelp_slot_is_none(const struct kelp_slot *slot)
{
	return load_slot(slot) == 0;
}

bool kelp_slot_read(const struct kelp_slot *slot, kelp_paddr_t *pa, kelp_attr_t *attributes)
{
	const struct kelp_format *f = slot->space->format;
	uint64_t entry = load_slot(slot);
	enum kelp_entry_kind kind = f->ops->kind(f, 0, entry);

	if (kind != KELP_ENTRY_LEAF && kind != KELP_ENTRY_INVALID)
		return false;
	*pa = f->ops->address(f, 0, entry);
	*attributes = f->ops->attributes(f, 0, entry);
	return true;
}

void kelp_slot_invalidate(const struct kelp_space *space, kelp_vaddr_t first, kelp_vaddr_t last)
{
	struct kelp_flush_request request;

	/* Most of the request is never looked at: what is, is set. */
	request.space = space;
	request.flags = kelp_hw_load32(&space->holds_global) ? KELP_FLUSH_GLOBAL : 0;
	request.count = 1;
	request.range[0].first = first;
	request.range[0].last = last | ((UINT64_C(1) << space->format->page_shift) - 1u);
	request.range[0].stride_shift = space->format->page_shift;
	kelp_flush_execute(&request);
}
