/* SPDX-License-Identifier: MIT */
/* hotplug: each step checks, prepares what can fail, and then commits. */
#include <kelp/hotplug.h>

#include "debug.h"
#include "memmap.h"

/* Subsections, both ends inside. */
struct span {
	uint64_t first;
	uint64_t last;
	kelp_pfn_t pfn;
	uint64_t frames;
};

enum kelp_status kelp_hotplug_init(struct kelp_hotplug *plug, struct kelp_memmap *map,
				   const struct kelp_hotplug_hooks *hooks)
{
	if (!hooks->isolate || !hooks->give_back || !hooks->reach_add != !hooks->reach_remove)
		return KELP_ERR_ARGUMENT;
	plug->map = map;
	plug->hooks = *hooks;
	return KELP_OK;
}

/* ---- what a step starts from -------------------------------------------------------------- */

static enum kelp_status span_of(const struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				struct span *span)
{
	const struct kelp_memmap *map = plug->map;
	uint64_t mask = (UINT64_C(1) << map->subsection_order) - 1u;

	if (frames == 0)
		return KELP_ERR_ARGUMENT;
	if (first.number >= map->frames || frames > map->frames - first.number)
		return KELP_ERR_ADDRESS;
	if ((first.number | frames) & mask)
		return KELP_ERR_ALIGNMENT;
	span->first = first.number >> map->subsection_order;
	span->last = span->first + (frames >> map->subsection_order) - 1u;
	span->pfn = first;
	span->frames = frames;
	return KELP_OK;
}

static uint32_t state_of(const struct kelp_memmap *map, uint64_t subsection)
{
	const struct kelp_subsection *record = kelp_memmap_record(map, subsection);

	return record ? kelp_subsection_state(record) : 0;
}

static const uint32_t kind = KELP_SUBSECTION_VALID | KELP_SUBSECTION_ACTIVE |
			     KELP_SUBSECTION_DEVICE;

static const uint32_t offline = KELP_SUBSECTION_VALID;
static const uint32_t online = KELP_SUBSECTION_VALID | KELP_SUBSECTION_ACTIVE;
static const uint32_t device = KELP_SUBSECTION_VALID | KELP_SUBSECTION_ACTIVE |
			       KELP_SUBSECTION_DEVICE;

/* All of the span is of this kind; instead: the answer for those that are `other`. */
static enum kelp_status check_kind(const struct kelp_memmap *map, const struct span *span,
				   uint32_t wanted, uint32_t other, enum kelp_status instead)
{
	for (uint64_t s = span->first; s <= span->last; s++) {
		uint32_t state = state_of(map, s);

		if ((state & kind) != wanted)
			return (state & kind) == other ? instead : KELP_ERR_NO_FRAME;
	}
	return KELP_OK;
}

/*
 * May the span go? Not while descriptors of what stays lie in it; not with early holes; and what
 * goes in one step is reachable, or is not, as a whole.
 */
static enum kelp_status check_going(const struct kelp_memmap *map, const struct span *span)
{
	uint32_t reached = state_of(map, span->first) & KELP_SUBSECTION_REACHED;

	for (uint64_t s = span->first; s <= span->last; s++) {
		uint32_t state = state_of(map, s);
		uint32_t home, members, here = 0;

		if (state & KELP_SUBSECTION_PARTIAL)
			return KELP_ERR_UNSUPPORTED;
		if ((state & KELP_SUBSECTION_REACHED) != reached)
			return KELP_ERR_ARGUMENT;
		if (kelp_memmap_hosting(map, s) == 0)
			continue;
		home = kelp_memmap_known(map, s)->home;
		members = kelp_memmap_known(map, home - 1u)->more.hosting.members;
		/* Hosts come first in their range, so its members follow. */
		for (uint64_t other = s; other <= span->last && here < members; other++)
			here += kelp_memmap_known(map, other)->home == home;
		if (here != members)
			return KELP_ERR_BUSY;
		/* The rest of the range needs no look. */
		while (s < span->last && kelp_memmap_known(map, s + 1u)->home == home)
			s++;
	}
	return KELP_OK;
}

/* ---- runs of frames that are the allocator's ---------------------------------------------- */

/* The next run of frames in the span, at or after *pfn, that hosts no descriptors. */
static bool next_run(const struct kelp_memmap *map, const struct span *span, uint64_t *pfn,
		     kelp_pfn_t *first, uint64_t *frames)
{
	uint64_t end = span->pfn.number + span->frames;
	uint64_t size = UINT64_C(1) << map->subsection_order;
	uint64_t start = 0;

	*frames = 0;
	while (*pfn < end) {
		uint64_t hosting = kelp_memmap_hosting(map, *pfn >> map->subsection_order);

		if (hosting > 0 && *frames > 0)
			break;
		if (*frames == 0)
			start = *pfn + hosting;
		*frames += size - hosting;
		*pfn += size;
	}
	first->number = start;
	return *frames > 0;
}

static void give_back(struct kelp_hotplug *plug, const struct span *span, uint64_t until)
{
	uint64_t at = span->pfn.number, frames;
	kelp_pfn_t first;

	while (at < until && next_run(plug->map, span, &at, &first, &frames))
		plug->hooks.give_back(plug->hooks.context, first, frames);
}

/* ---- activating and deactivating ---------------------------------------------------------- */

static void activate(struct kelp_memmap *map, const struct span *span)
{
	for (uint64_t s = span->first; s <= span->last; s++) {
		struct kelp_subsection *record = kelp_memmap_known(map, s);

		kelp_subsection_set_state(record,
					  kelp_subsection_state(record) | KELP_SUBSECTION_ACTIVE);
	}
}

/* INV-2.1: nobody new from here on, and then nobody at all. BUSY: all is active again. */
static enum kelp_status deactivate(struct kelp_memmap *map, const struct span *span,
				   const struct kelp_hold_wait *wait)
{
	uint64_t count = span->last - span->first + 1u;
	enum kelp_status status;

	for (uint64_t s = span->first; s <= span->last; s++) {
		struct kelp_subsection *record = kelp_memmap_known(map, s);

		kelp_subsection_set_state(record,
					  kelp_subsection_state(record) & ~KELP_SUBSECTION_ACTIVE);
	}
	status = kelp_holds_wait(&map->holds, (uint32_t)span->first & map->holds.bucket_mask,
				 count > KELP_HOLD_BUCKETS_MAX ? KELP_HOLD_BUCKETS_MAX
							       : (uint32_t)count, wait);
	if (status != KELP_OK)
		activate(map, span);
	return status;
}

/* What a held descriptor never looks like. */
static void poison(struct kelp_memmap *map, const struct span *span)
{
	for (uint64_t s = span->first; s <= span->last; s++)
		__builtin_memset(kelp_subsection_pages(kelp_memmap_known(map, s)),
				 KELP_MEMMAP_POISON, kelp_memmap_descriptors_size(map));
}

/* ---- coming ------------------------------------------------------------------------------- */

/* Descriptors of a span before it exists. */
struct descriptors {
	void *first;          /* one array for all; NULL: blocks */
	struct block {
		struct block *next;
	} *block;             /* one per subsection, chained through itself, the last first */
	uint64_t host_frames; /* self-hosted */
};

static void give_blocks(struct kelp_memmap *map, struct descriptors *descriptors)
{
	while (descriptors->block) {
		struct block *block = descriptors->block;

		descriptors->block = block->next;
		map->config.give(map->config.context, KELP_MEMMAP_DESCRIPTORS, block,
				 kelp_memmap_descriptors_size(map));
	}
}

/* Frames that hold the descriptors of a self-hosted span: rounded up, without a division. */
static uint64_t frames_to_host(const struct kelp_memmap *map, const struct span *span)
{
	uint64_t bytes = span->frames * map->descriptor_size;

	return (bytes + ((UINT64_C(1) << map->page_shift) - 1u)) >> map->page_shift;
}

static enum kelp_status get_descriptors(struct kelp_hotplug *plug, const struct span *span,
					bool self_hosted, struct descriptors *descriptors)
{
	struct kelp_memmap *map = plug->map;
	uint64_t size = kelp_memmap_descriptors_size(map);

	*descriptors = (struct descriptors){0};
	if (self_hosted) {
		descriptors->host_frames = frames_to_host(map, span);
		if (descriptors->host_frames >= span->frames ||
		    descriptors->host_frames > UINT32_MAX || (!map->array && !plug->hooks.pointer))
			return KELP_ERR_ARGUMENT;
	}
	if (map->array) {
		descriptors->first = (void *)(map->array + (uintptr_t)(span->first * size));
		return map->config.array_back(map->config.context, descriptors->first,
					      (size_t)(size * (span->last - span->first + 1u)),
					      self_hosted ? &span->pfn : NULL);
	}
	for (uint64_t s = span->first; s <= span->last && !self_hosted; s++) {
		struct block *block =
			kelp_memmap_take(map, KELP_MEMMAP_DESCRIPTORS, (size_t)size);

		if (!block) {
			give_blocks(map, descriptors);
			return KELP_ERR_NO_MEMORY;
		}
		block->next = descriptors->block;
		descriptors->block = block;
	}
	return KELP_OK;
}

static void put_descriptors(struct kelp_hotplug *plug, const struct span *span,
			    struct descriptors *descriptors)
{
	struct kelp_memmap *map = plug->map;
	uint64_t size = kelp_memmap_descriptors_size(map);

	if (descriptors->first)
		map->config.array_unback(map->config.context, descriptors->first,
					 (size_t)(size * (span->last - span->first + 1u)),
					 descriptors->host_frames ? &span->pfn : NULL);
	give_blocks(map, descriptors);
}

/* Cannot fail. From the last subsection down, as the blocks are chained. */
static void enter_span(struct kelp_hotplug *plug, const struct span *span, uint32_t state,
		       struct descriptors *descriptors)
{
	struct kelp_memmap *map = plug->map;
	size_t size = kelp_memmap_descriptors_size(map);

	if (descriptors->host_frames && !map->array)
		descriptors->first = plug->hooks.pointer(plug->hooks.context, span->pfn,
							 descriptors->host_frames);
	for (uint64_t s = span->last + 1u; s-- > span->first;) {
		struct kelp_subsection *record = kelp_memmap_known(map, s);
		void *pages = descriptors->block;

		if (descriptors->first)
			pages = kelp_memmap_at(descriptors->first,
					       (size_t)(s - span->first) * size);
		else
			descriptors->block = descriptors->block->next;
		__builtin_memset(pages, KELP_MEMMAP_POISON, size);
		kelp_subsection_set_pages(record, pages);
		if (descriptors->host_frames)
			record->home = (uint32_t)span->first + 1u;
		if (descriptors->host_frames && s == span->first) {
			record->more.hosting.frames = (uint32_t)descriptors->host_frames;
			record->more.hosting.members = (uint32_t)(span->last - span->first + 1u);
		}
		kelp_memmap_enter(map, s, state);
	}
}

static enum kelp_status come(struct kelp_hotplug *plug, const struct span *span, uint32_t state,
			     uint32_t flags)
{
	struct kelp_memmap *map = plug->map;
	bool self_hosted = flags & KELP_HOTPLUG_SELF_HOSTED;
	bool reach = plug->hooks.reach_add && !(flags & KELP_HOTPLUG_NO_REACH);
	struct kelp_memmap_reserve reserve;
	struct descriptors descriptors;
	enum kelp_status status;

	for (uint64_t s = span->first; s <= span->last; s++)
		if (state_of(map, s) != 0)
			return KELP_ERR_EXISTS;
	status = kelp_memmap_reserve(map, span->first, span->last, &reserve);
	if (status != KELP_OK)
		return status;
	status = get_descriptors(plug, span, self_hosted, &descriptors);
	if (status == KELP_OK && reach) {
		status = plug->hooks.reach_add(plug->hooks.context, span->pfn, span->frames);
		if (status != KELP_OK)
			put_descriptors(plug, span, &descriptors);
	}
	if (status != KELP_OK) {
		kelp_memmap_cancel(map, &reserve);
		return status;
	}
	kelp_memmap_publish(map, &reserve);
	if (reach)
		state |= KELP_SUBSECTION_REACHED;
	enter_span(plug, span, state, &descriptors);
	return KELP_OK;
}

enum kelp_status kelp_hotplug_add(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				  kelp_zone_t zone, uint32_t flags)
{
	struct span span;
	enum kelp_status status = span_of(plug, first, frames, &span);

	if (status != KELP_OK)
		return status;
	if (flags & ~KELP_HOTPLUG_SELF_HOSTED)
		return KELP_ERR_ARGUMENT;
	return come(plug, &span, offline | (uint32_t)zone << KELP_SUBSECTION_ZONE_SHIFT, flags);
}

enum kelp_status kelp_hotplug_attach(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				     kelp_zone_t zone, uint32_t flags)
{
	const uint32_t both = KELP_HOTPLUG_SELF_HOSTED | KELP_HOTPLUG_NO_REACH;
	struct span span;
	enum kelp_status status = span_of(plug, first, frames, &span);

	if (status != KELP_OK)
		return status;
	if ((flags & ~both) || flags == both)
		return KELP_ERR_ARGUMENT;
	status = come(plug, &span,
		      offline | KELP_SUBSECTION_DEVICE |
			      (uint32_t)zone << KELP_SUBSECTION_ZONE_SHIFT, flags);
	if (status != KELP_OK)
		return status;
	for (uint64_t s = span.first; s <= span.last; s++)
		kelp_memmap_initialise(plug->map, s);
	activate(plug->map, &span);
	return KELP_OK;
}

enum kelp_status kelp_hotplug_online(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames)
{
	struct span span;
	enum kelp_status status = span_of(plug, first, frames, &span);

	if (status == KELP_OK)
		status = check_kind(plug->map, &span, offline, online, KELP_ERR_EXISTS);
	if (status != KELP_OK)
		return status;
	for (uint64_t s = span.first; s <= span.last; s++)
		kelp_memmap_initialise(plug->map, s);
	activate(plug->map, &span);
	give_back(plug, &span, UINT64_MAX);
	return KELP_OK;
}

/* ---- going -------------------------------------------------------------------------------- */

enum kelp_status kelp_hotplug_offline(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				      const struct kelp_hold_wait *wait)
{
	const struct kelp_hotplug_hooks *hooks = &plug->hooks;
	struct kelp_memmap *map = plug->map;
	struct span span;
	uint64_t at, count, isolated;
	kelp_pfn_t run;
	enum kelp_status status = span_of(plug, first, frames, &span);

	if (status == KELP_OK)
		status = check_kind(map, &span, online, online, KELP_OK);
	if (status != KELP_OK)
		return status;
	for (uint64_t s = span.first; s <= span.last; s++)
		if (state_of(map, s) & KELP_SUBSECTION_PARTIAL)
			return KELP_ERR_UNSUPPORTED;
	at = isolated = span.pfn.number;
	while (status == KELP_OK && next_run(map, &span, &at, &run, &count)) {
		status = hooks->isolate(hooks->context, run, count);
		if (status == KELP_OK)
			isolated = at;
	}
	at = span.pfn.number;
	while (status == KELP_OK && hooks->evacuate && next_run(map, &span, &at, &run, &count))
		status = hooks->evacuate(hooks->context, run, count);
	if (status == KELP_OK)
		status = deactivate(map, &span, wait);
	if (status == KELP_OK)
		poison(map, &span);
	else
		give_back(plug, &span, isolated);
	return status;
}

/* Out of reach first, as that can fail; nobody holds any of it. */
static enum kelp_status go(struct kelp_hotplug *plug, const struct span *span)
{
	struct kelp_memmap *map = plug->map;

	if (state_of(map, span->first) & KELP_SUBSECTION_REACHED && plug->hooks.reach_remove) {
		enum kelp_status status = plug->hooks.reach_remove(plug->hooks.context, span->pfn,
								   span->frames);

		if (status != KELP_OK)
			return status;
	}
	/* From the last down: what hosts goes last. */
	for (uint64_t s = span->last + 1u; s-- > span->first;) {
		struct kelp_subsection *record = kelp_memmap_known(map, s);

		kelp_subsection_set_state(record, 0);
		kelp_memmap_give_descriptors(map, s);
		if (record->home)
			kelp_memmap_known(map, record->home - 1u)->more.hosting.members--;
		kelp_memmap_leave(map, s);
	}
	return KELP_OK;
}

enum kelp_status kelp_hotplug_remove(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames)
{
	struct span span;
	enum kelp_status status = span_of(plug, first, frames, &span);

	if (status == KELP_OK)
		status = check_kind(plug->map, &span, offline, online, KELP_ERR_BUSY);
	if (status == KELP_OK)
		status = check_going(plug->map, &span);
	return status == KELP_OK ? go(plug, &span) : status;
}

enum kelp_status kelp_hotplug_detach(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				     const struct kelp_hold_wait *wait)
{
	struct span span;
	enum kelp_status status = span_of(plug, first, frames, &span);

	if (status == KELP_OK)
		status = check_kind(plug->map, &span, device, device, KELP_OK);
	if (status == KELP_OK)
		status = check_going(plug->map, &span);
	if (status == KELP_OK)
		status = deactivate(plug->map, &span, wait);
	if (status != KELP_OK)
		return status;
	status = go(plug, &span);
	if (status != KELP_OK)
		activate(plug->map, &span);
	return status;
}
