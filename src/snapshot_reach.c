/* SPDX-License-Identifier: MIT */
/* snapshot_reach: frames through the direct map where it has them, else through the window. */
#include <kelp/snapshot.h>

/* The frames from `first` on that one leaf of the direct map translates. */
static void *leaf_view(const struct kelp_snapshot_reach *reach, kelp_pfn_t first, uint64_t *frames,
		       kelp_attr_t rights)
{
	const struct kelp_directmap *map = reach->directmap;
	struct kelp_mapping mapping;
	kelp_vaddr_t va;
	uint64_t left;

	if (!map || !kelp_directmap_has_frame(map, first))
		return NULL;
	va = kelp_directmap_address(map, first);
	/* An address that no pointer holds: the tables of another machine. */
	if ((uintptr_t)va != va)
		return NULL;
	if (kelp_space_query(map->space, va, &mapping) != KELP_OK ||
	    mapping.kind != KELP_ENTRY_LEAF || (mapping.attributes & KELP_ATTR_INVALID) ||
	    (mapping.attributes & rights) != rights)
		return NULL;
	left = (mapping.va + mapping.size - va) >> map->page_shift;
	if (left < *frames)
		*frames = left;
	return (void *)(uintptr_t)va;
}

static const void *view(void *context, kelp_pfn_t first, uint64_t *frames)
{
	return leaf_view(context, first, frames, KELP_ATTR_READ);
}

static void *view_writable(void *context, kelp_pfn_t first, uint64_t *frames)
{
	return leaf_view(context, first, frames, KELP_ATTR_READ | KELP_ATTR_WRITE);
}

static enum kelp_status read_frame(void *context, unsigned worker, kelp_pfn_t frame, void *buffer)
{
	const struct kelp_snapshot_reach *reach = context;

	return kelp_copywin_read(reach->window, worker, frame, 0, buffer,
				 (size_t)1 << reach->window->page_shift);
}

static enum kelp_status write_frame(void *context, unsigned worker, kelp_pfn_t frame,
				    const void *buffer)
{
	const struct kelp_snapshot_reach *reach = context;

	return kelp_copywin_write(reach->window, worker, frame, 0, buffer,
				  (size_t)1 << reach->window->page_shift);
}

void kelp_snapshot_reach_hooks(struct kelp_snapshot_reach *reach,
			       struct kelp_snapshot_memory *memory)
{
	memory->reach_context = reach;
	memory->view = view;
	memory->view_writable = view_writable;
	memory->read = read_frame;
	memory->write = write_frame;
}
