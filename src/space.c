/* SPDX-License-Identifier: MIT */
/* space: the public functions. The work is done per format; see space_template.h. */
#include <kelp/space.h>

#include "debug.h"
#include "entry.h"
#include "flush.h"
#include "pages.h"
#include "space_ops.h"

static void setup(struct kelp_space *space, const struct kelp_format *format,
		  const struct kelp_port *port, uint32_t flags)
{
	*space = (struct kelp_space){
		.format = format,
		.ops = format->space_ops,
		.port = port,
		.table_offset = port->table_offset,
		.pointer_hook = port->table_pointer,
		.flags = flags,
		.flush_threshold = KELP_FLUSH_THRESHOLD_DEFAULT,
	};
}

enum kelp_status kelp_space_init(struct kelp_space *space, const struct kelp_format *format,
				 const struct kelp_port *port, uint32_t flags)
{
	enum kelp_status status;

	if (flags & ~(KELP_SPACE_NO_GROUPS | KELP_SPACE_KEEP_ROOT))
		return KELP_ERR_ARGUMENT;
	setup(space, format, port, flags);
	status = kelp_pages_take_root(space, format->root_limit, &space->root);
	if (status == KELP_OK)
		space->tables = 1;
	return status;
}

enum kelp_status kelp_space_adopt(struct kelp_space *space, const struct kelp_format *format,
				  const struct kelp_port *port, kelp_paddr_t root,
				  uint64_t table_limit, uint32_t flags)
{
	uint64_t alignment = (uint64_t)format->entry_bytes
			     << format->index_bits[format->levels - 1];

	if (flags & ~(KELP_SPACE_NO_GROUPS | KELP_SPACE_KEEP_ROOT | KELP_SPACE_DISOWN))
		return KELP_ERR_ARGUMENT;
	if (root & (alignment - 1u))
		return KELP_ERR_ALIGNMENT;
	if (root > format->root_limit)
		return KELP_ERR_ADDRESS;
	setup(space, format, port, flags | KELP_SPACE_ADOPTED_ROOT);
	space->root = root;
	return KELP_SPACE_CALL(space, check_adopted, space, table_limit);
}

void kelp_space_destroy(struct kelp_space *space)
{
	struct kelp_flush flush = {0};

	KELP_ASSERT_DEBUG(space->port, kelp_hw_count_read(&space->open_flushes) == 0,
			  "kelp_space_destroy: a gather was begun and never committed");
	kelp_flush_begin(&flush, space);
	KELP_SPACE_CALL(space, retire_all, &flush);
	kelp_flush_add(&flush, 0, 0, space->format->page_shift,
		       KELP_FLUSH_ALL | KELP_FLUSH_GLOBAL | KELP_FLUSH_TABLES);
	kelp_flush_commit(&flush);
	if (!(space->flags & KELP_SPACE_ADOPTED_ROOT)) {
		kelp_pages_give(space, space->root);
		kelp_hw_count_add(&space->tables, UINT32_MAX);
	}
	space->root = 0;
}

void kelp_space_set_asid(struct kelp_space *space, uint32_t asid)
{
	KELP_ASSERT_DEBUG(space->port, kelp_hw_count_read(&space->open_flushes) == 0,
			  "kelp_space_set_asid: a gather is open");
	space->asid = asid;
}

void kelp_space_set_flush_threshold(struct kelp_space *space, uint32_t pages)
{
	space->flush_threshold = pages;
}

void kelp_space_cancel(struct kelp_change *change)
{
	kelp_pages_cancel(change->flush->space, change);
}

#ifndef KELP_SINGLE_FORMAT
/* The instantiations define these themselves when there is only one. */

enum kelp_status kelp_space_map(struct kelp_flush *flush, kelp_vaddr_t va, kelp_paddr_t pa,
				uint64_t size, kelp_attr_t attributes, uint32_t flags)
{
	return KELP_SPACE_CALL(flush->space, map, flush, va, pa, size, attributes, flags);
}

enum kelp_status kelp_space_unmap(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				  uint32_t flags)
{
	return KELP_SPACE_CALL(flush->space, unmap, flush, va, size, flags);
}

enum kelp_status kelp_space_protect(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				    kelp_attr_t set, kelp_attr_t clear, uint32_t flags)
{
	return KELP_SPACE_CALL(flush->space, protect, flush, va, size, set, clear, flags);
}

enum kelp_status kelp_space_populate(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				     unsigned leaf_shift, uint32_t flags)
{
	return KELP_SPACE_CALL(flush->space, populate, flush, va, size, leaf_shift, flags);
}

enum kelp_status kelp_space_split(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				  unsigned leaf_shift, uint32_t flags)
{
	return KELP_SPACE_CALL(flush->space, split, flush, va, size, leaf_shift, flags);
}

enum kelp_status kelp_space_coalesce(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				     unsigned leaf_shift, uint32_t flags, uint64_t *merged)
{
	return KELP_SPACE_CALL(flush->space, coalesce, flush, va, size, leaf_shift, flags, merged);
}

enum kelp_status kelp_space_release(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				    uint64_t *released)
{
	return KELP_SPACE_CALL(flush->space, release, flush, va, size, released);
}

enum kelp_status kelp_space_share(struct kelp_flush *flush, const struct kelp_space *from,
				  kelp_vaddr_t va, uint64_t size)
{
	return KELP_SPACE_CALL(flush->space, share, flush, from, va, size);
}

enum kelp_status kelp_space_prepare(struct kelp_flush *flush, struct kelp_change *change)
{
	return KELP_SPACE_CALL(flush->space, prepare, flush, change);
}

void kelp_space_commit(struct kelp_change *change)
{
	KELP_SPACE_CALL(change->flush->space, commit, change);
}

enum kelp_status kelp_space_query(const struct kelp_space *space, kelp_vaddr_t va,
				  struct kelp_mapping *mapping)
{
	return KELP_SPACE_CALL(space, query, space, va, mapping);
}

enum kelp_status kelp_space_translate(const struct kelp_space *space, kelp_vaddr_t va,
				      kelp_paddr_t *pa)
{
	return KELP_SPACE_CALL(space, translate, space, va, pa);
}

enum kelp_status kelp_space_walk(const struct kelp_space *space, kelp_vaddr_t va, uint64_t size,
				 uint32_t flags, kelp_visitor_t *visitor, void *context)
{
	return KELP_SPACE_CALL(space, walk, space, va, size, flags, visitor, context);
}

#endif
