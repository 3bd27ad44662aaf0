/* SPDX-License-Identifier: MIT */
#include "raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static uint64_t entry_at(const struct kelp_format *format, const void *memory, unsigned index)
{
	if (format->entry_bytes == 4)
		return ((const uint32_t *)memory)[index];
	return ((const uint64_t *)memory)[index];
}

uint64_t raw_read(const struct kelp_format *format, struct test_port *port, kelp_paddr_t table,
		  unsigned index)
{
	return entry_at(format, test_port_memory(port, table), index);
}

void raw_write(const struct kelp_format *format, struct test_port *port, kelp_paddr_t table,
	       unsigned index, uint64_t entry)
{
	(void)format;
	test_port_write(port, table, index, entry);
}

bool raw_canonical(const struct kelp_format *format, uint64_t bits, kelp_vaddr_t *va)
{
	uint64_t mask = (UINT64_C(1) << format->va_bits) - 1u;

	for (unsigned r = 0; r < format->va_ranges; r++) {
		kelp_vaddr_t candidate = (format->va_first[r] & ~mask) | bits;

		if (candidate >= format->va_first[r] && candidate <= format->va_last[r]) {
			*va = candidate;
			return true;
		}
	}
	return false;
}

static struct raw_entry *append(struct raw_list *list)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? 2 * list->capacity : 1024;
		list->items = realloc(list->items, list->capacity * sizeof(*list->items));
		if (!list->items)
			abort();
	}
	return &list->items[list->count++];
}

static void collect(struct raw_list *list, const struct kelp_format *format,
		    struct test_port *port, kelp_paddr_t table, unsigned level, uint64_t bits,
		    kelp_attr_t denied)
{
	const struct kelp_format_ops *ops = format->ops;
	const void *memory = test_port_memory(port, table);
	unsigned entries = 1u << format->index_bits[level];

	for (unsigned i = 0; i < entries; i++) {
		uint64_t entry = entry_at(format, memory, i);
		uint64_t here = bits | (uint64_t)i << format->shift[level];
		struct raw_entry *item;
		kelp_vaddr_t va;

		if (!entry)
			continue;
		if (!raw_canonical(format, here, &va)) {
			if (level == format->levels - 1u) {
				test_fail("%s: root entry %u is outside the address space",
					  format->name, i);
				continue;
			}
			continue;
		}
		item = append(list);
		*item = (struct raw_entry){
			.va = va,
			.last = va + (UINT64_C(1) << format->shift[level]) - 1u,
			.entry = entry,
			.table = table,
			.level = (uint8_t)level,
			.shift = format->shift[level],
			.kind = ops->kind(format, level, entry),
		};
		switch (item->kind) {
		case KELP_ENTRY_LEAF:
		case KELP_ENTRY_INVALID:
			item->target = ops->address(format, level, entry);
			item->grouped = ops->grouped(format, level, entry);
			if (item->grouped) {
				uint64_t group;

				item->shift = (uint8_t)(item->shift + format->group_order[level]);
				group = UINT64_C(1) << item->shift;
				item->target += va & (group - 1u);
			}
			item->attributes = ops->attributes(format, level, entry) & ~denied;
			break;
		case KELP_ENTRY_TABLE:
			item->target = ops->address(format, level, entry);
			item->owned = ops->owned(format, level, entry);
			if (level == 0) {
				test_fail("%s: a table entry at level 0", format->name);
				break;
			}
			collect(list, format, port, item->target, level - 1u, here,
				denied | ops->denied(format, level, entry));
			break;
		case KELP_ENTRY_OPAQUE:
			break;
		case KELP_ENTRY_NONE:
			test_fail("%s: entry 0x%llx of level %u is not zero and yet NONE",
				  format->name, (unsigned long long)entry, level);
			break;
		}
	}
}

void raw_collect(struct raw_list *list, const struct kelp_format *format, struct test_port *port,
		 kelp_paddr_t root)
{
	list->count = 0;
	collect(list, format, port, root, format->levels - 1u, 0, 0);
}

void raw_free(struct raw_list *list)
{
	free(list->items);
	*list = (struct raw_list){0};
}

void raw_copy(struct raw_list *to, const struct raw_list *from)
{
	if (to->capacity < from->count) {
		to->items = realloc(to->items, from->capacity * sizeof(*to->items));
		if (!to->items)
			abort();
		to->capacity = from->capacity;
	}
	to->count = from->count;
	if (from->count)
		memcpy(to->items, from->items, from->count * sizeof(*to->items));
}

size_t raw_lower_bound(const struct raw_list *list, kelp_vaddr_t va)
{
	size_t low = 0, high = list->count;

	/* The first item that starts at or after `va` ... */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->items[middle].va < va)
			low = middle + 1;
		else
			high = middle;
	}
	/* ... or one before it that reaches over it: only leaves and tables just above. */
	while (low > 0 && list->items[low - 1].last >= va)
		low--;
	return low;
}

const struct raw_entry *raw_leaf(const struct raw_list *list, kelp_vaddr_t va)
{
	for (size_t i = raw_lower_bound(list, va); i < list->count; i++) {
		const struct raw_entry *item = &list->items[i];

		if (item->va > va)
			return NULL;
		if (item->last >= va &&
		    (item->kind == KELP_ENTRY_LEAF || item->kind == KELP_ENTRY_INVALID))
			return item;
	}
	return NULL;
}

bool raw_translate(const struct kelp_format *format, struct test_port *port, kelp_paddr_t root,
		   kelp_vaddr_t va, kelp_paddr_t *pa, kelp_attr_t *attributes)
{
	const struct kelp_format_ops *ops = format->ops;
	kelp_paddr_t table = root;
	kelp_attr_t denied = 0;

	for (unsigned level = format->levels; level-- > 0;) {
		uint64_t size = UINT64_C(1) << format->shift[level];
		unsigned index = (unsigned)(va >> format->shift[level]) &
				 ((1u << format->index_bits[level]) - 1u);
		uint64_t entry = raw_read(format, port, table, index);

		switch (ops->kind(format, level, entry)) {
		case KELP_ENTRY_TABLE:
			denied |= ops->denied(format, level, entry);
			table = ops->address(format, level, entry);
			continue;
		case KELP_ENTRY_LEAF:
			if (ops->grouped(format, level, entry))
				size <<= format->group_order[level];
			*pa = ops->address(format, level, entry) + (va & (size - 1u));
			*attributes = ops->attributes(format, level, entry) & ~denied;
			return true;
		default:
			return false;
		}
	}
	return false;
}

bool raw_touch(const struct kelp_format *format, struct test_port *port,
	       const struct raw_entry *leaf, bool write)
{
	const struct kelp_format_ops *ops = format->ops;
	unsigned index = (unsigned)(leaf->va >> format->shift[leaf->level]) &
			 ((1u << format->index_bits[leaf->level]) - 1u);
	kelp_attr_t attributes = ops->attributes(format, leaf->level, leaf->entry);
	uint64_t entry;
	void *memory;

	if (leaf->kind != KELP_ENTRY_LEAF || !format->hardware_accessed)
		return false;
	attributes |= KELP_ATTR_ACCESSED & format->attr_mask;
	if (write && format->hardware_dirty && (attributes & KELP_ATTR_WRITE))
		attributes |= KELP_ATTR_DIRTY & format->attr_mask;
	if (ops->leaf(format, leaf->level, leaf->target, attributes, leaf->grouped, &entry) !=
	    KELP_OK)
		return false;
	memory = test_port_memory(port, leaf->table);
	if (format->entry_bytes == 4)
		((uint32_t *)memory)[index] = (uint32_t)entry;
	else
		((uint64_t *)memory)[index] = entry;
	return true;
}

static uint64_t digest(const struct kelp_format *format, struct test_port *port,
		       kelp_paddr_t table, unsigned level, uint64_t sum)
{
	const void *memory = test_port_memory(port, table);
	unsigned entries = 1u << format->index_bits[level];

	sum = (sum ^ table) * UINT64_C(0x100000001b3);
	for (unsigned i = 0; i < entries; i++) {
		uint64_t entry = entry_at(format, memory, i);

		if (!entry)
			continue;
		sum = (sum ^ i) * UINT64_C(0x100000001b3);
		sum = (sum ^ (entry & UINT32_MAX)) * UINT64_C(0x100000001b3);
		sum = (sum ^ entry >> 32) * UINT64_C(0x100000001b3);
		if (level && format->ops->kind(format, level, entry) == KELP_ENTRY_TABLE)
			sum = digest(format, port, format->ops->address(format, level, entry),
				     level - 1u, sum);
	}
	return sum;
}

uint64_t raw_digest(const struct kelp_format *format, struct test_port *port, kelp_paddr_t root)
{
	return digest(format, port, root, format->levels - 1u, UINT64_C(0xcbf29ce484222325));
}

unsigned raw_tables(const struct raw_list *list, bool owned_only)
{
	unsigned count = 0;

	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].kind == KELP_ENTRY_TABLE &&
		    (!owned_only || list->items[i].owned))
			count++;
	return count;
}
