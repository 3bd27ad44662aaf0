/* SPDX-License-Identifier: MIT */
/* frames: the buddy system and the caches of single pages on each CPU. */
#include "frames_private.h"

#include <arch.h>
#include <cpu.h>
#include <holds.h>
#include <memmap.h>
#include <reach.h>
#include <vm.h>

/* Low: in the direct map and within the reach of devices that know 32 bits. */
#define LOW_LAST (FRAME_DIRECT < FRAME_BELOW_4G ? FRAME_DIRECT : FRAME_BELOW_4G)

/* Blocks up to this order lie in one subsection, which they pin; buddies beyond must be held. */
#define SUBSECTION_ORDER (MEMMAP_SUBSECTION_SHIFT - PAGE_SHIFT)

struct spinlock frames_lock = SPINLOCK("frames");
struct frame_stats frames_counts;
uint64_t frames_isolated;
kelp_paddr_t frames_last_address;

size_t frame_size = sizeof(struct frame);

static struct frame *free_list[FRAME_ZONES][FRAME_ORDERS];

static uint64_t number_of(const struct frame *frame)
{
	return kelp_page_to_pfn(&kernel_memmap, frame).number;
}

/* The descriptor of an address that a caller gave us; NULL: that is no RAM of ours. */
static struct frame *frame_of(kelp_paddr_t address)
{
	kelp_pfn_t pfn = {address >> PAGE_SHIFT};

	return kelp_pfn_online(&kernel_memmap, pfn) ? frame_at(pfn.number) : NULL;
}

void frames_initialise(void *context, void *pages, kelp_pfn_t first, uint64_t frames,
		       kelp_zone_t zone, bool device)
{
	(void)context, (void)first, (void)device;
	for (uint64_t i = 0; i < frames; i++) {
		struct frame *frame = frame_plus(pages, i);

		frame->state = FRAME_NONE;
		frame->zone = (uint8_t)zone;
		frame->mark = FRAME_MARK;
	}
}

/* ---- the buddy system -------------------------------------------------------------------- */

static uint64_t *count_of_blocks(const struct frame *frame, unsigned order)
{
	static uint64_t movable_blocks[FRAME_ORDERS];

	return frame->zone == FRAME_ZONE_MOVABLE ? &movable_blocks[order]
						 : &frames_counts.blocks[order];
}

static void count_free(const struct frame *frame, unsigned order, bool more)
{
	uint64_t pages = UINT64_C(1) << order, blocks = 1;

	if (!more) {
		pages = -pages;
		blocks = -blocks;
	}
	*count_of_blocks(frame, order) += blocks;
	frames_counts.free += pages;
	if (frame->zone == FRAME_ZONE_MOVABLE)
		frames_counts.movable_free += pages;
	if (frames_is_high(number_of(frame)))
		frames_counts.high_free += pages;
}

void frames_push(struct frame *frame, unsigned order)
{
	struct frame **head = &free_list[frame->zone][order];

	frame->next = *head;
	frame->previous = NULL;
	frame->state = FRAME_FREE;
	frame->order = (uint8_t)order;
	if (*head)
		(*head)->previous = frame;
	*head = frame;
	count_free(frame, order, true);
}

void frames_unlink(struct frame *frame)
{
	if (frame->previous)
		frame->previous->next = frame->next;
	else
		free_list[frame->zone][frame->order] = frame->next;
	if (frame->next)
		frame->next->previous = frame->previous;
	count_free(frame, frame->order, false);
	frame->state = FRAME_NONE;
}

/* Takes the block's buddy out of the lists. False: it is not free, or no block of that size. */
static bool take_buddy(uint64_t buddy, unsigned order, unsigned zone)
{
	kelp_paddr_t address = buddy << PAGE_SHIFT;
	struct kelp_hold hold;
	struct frame *frame;
	bool joins;

	/* A buddy in the block's own subsection stays as long as the block is not in the lists. */
	if (order < SUBSECTION_ORDER) {
		if (!kelp_pfn_valid(&kernel_memmap, (kelp_pfn_t){buddy}))
			return false;
		frame = frame_at(buddy);
	} else {
		if (frame_hold_online(address, &hold) != KELP_OK)
			return false;
		frame = kelp_hold_page(&hold);
	}
	joins = frame->state == FRAME_FREE && frame->order == order && frame->zone == zone;
	if (joins)
		frames_unlink(frame);
	if (order >= SUBSECTION_ORDER)
		frame_release(&hold);
	return joins;
}

void frames_free_block(uint64_t number, unsigned order)
{
	struct frame *frame = frame_at(number);

	if (frames_isolated && order > SUBSECTION_ORDER) {
		frame->state = FRAME_NONE;
		frames_free_block(number, order - 1u);
		frames_free_block(number + (UINT64_C(1) << (order - 1u)), order - 1u);
		return;
	}
	frame->flags &= (uint8_t)~FRAME_IS_MOVABLE;
	if (frame->flags & FRAME_IN_ISOLATED) {
		frame->state = FRAME_ISOLATED;
		frame->order = (uint8_t)order;
		frames_counts.isolated += UINT64_C(1) << order;
		return;
	}
	for (; order + 1 < FRAME_ORDERS; order++) {
		if (!take_buddy(number ^ UINT64_C(1) << order, order, frame->zone))
			break;
		frame->state = FRAME_NONE;
		number &= ~(UINT64_C(1) << order);
		frame = frame_at(number);
	}
	frames_push(frame, order);
}

/* A free block of at least `order` whose first 2^order pages end at or below `limit`. */
static struct frame *find_free(unsigned zone, unsigned order, kelp_paddr_t limit)
{
	for (unsigned larger = order; larger < FRAME_ORDERS; larger++) {
		for (struct frame *at = free_list[zone][larger]; at; at = at->next) {
			uint64_t last = number_of(at) + (UINT64_C(1) << order) - 1u;

			if (last <= limit >> PAGE_SHIFT &&
			    (last << PAGE_SHIFT | (PAGE_SIZE - 1u)) <= limit)
				return at;
		}
	}
	return NULL;
}

/* A block from the first of the zones, from `zone` downwards, that has one. */
static struct frame *take_block(unsigned zone, unsigned order, kelp_paddr_t limit,
				const void *owner)
{
	struct frame *frame = NULL;
	uint64_t number;
	unsigned larger;

	for (unsigned i = zone + 1u; i-- > 0 && !frame;)
		frame = find_free(i, order, limit);
	if (!frame) {
		frames_counts.failures++;
		return NULL;
	}
	number = number_of(frame);
	larger = frame->order;
	frames_unlink(frame);
	while (larger > order) {
		larger--;
		frames_push(frame_at(number + (UINT64_C(1) << larger)), larger);
	}
	frame->state = FRAME_TAKEN;
	frame->order = (uint8_t)order;
	frame->owner = owner;
	frames_counts.lowest = min_u64(frames_counts.lowest, frames_counts.free);
	return frame;
}

/* Low memory is kept for those who need it. */
static unsigned best_zone(kelp_paddr_t limit)
{
	return limit > LOW_LAST ? FRAME_ZONE_HIGH : FRAME_ZONE_LOW;
}

static kelp_paddr_t address_of(const struct frame *frame)
{
	return number_of(frame) << PAGE_SHIFT;
}

static void give_block(unsigned order, kelp_paddr_t address, enum frame_state expected)
{
	static const char *const what[FRAME_STATES] = {
		[FRAME_NONE] = "inside another block", [FRAME_FREE] = "a free block",
		[FRAME_TAKEN] = "a taken block",       [FRAME_CACHED] = "a cached page",
		[FRAME_ISOLATED] = "an isolated block",
	};
	struct frame *frame = frame_of(address);

	if (!frame)
		panic("frames: 0x%llx was given back but is no RAM of ours",
		      (unsigned long long)address);
	if (frame->state != expected || frame->order != order)
		panic("frames: 0x%llx was given back with order %u, but is %s of order %u",
		      (unsigned long long)address, order,
		      frame->state < FRAME_STATES ? what[frame->state] : "garbage", frame->order);
	frames_free_block(address >> PAGE_SHIFT, order);
}

/* ---- the cache of single pages ----------------------------------------------------------- */

static bool refill(struct frame_cache *cache)
{
	spin_lock(&frames_lock);
	while (cache->count < FRAME_CACHE / 2) {
		struct frame *frame = take_block(best_zone(FRAME_ANYWHERE), 0, FRAME_ANYWHERE, NULL);

		if (!frame)
			break;
		frame->state = FRAME_CACHED;
		cache->page[cache->count++] = address_of(frame);
	}
	spin_unlock(&frames_lock);
	cache->refills++;
	return cache->count > 0;
}

static void drain(struct frame_cache *cache, unsigned keep)
{
	spin_lock(&frames_lock);
	while (cache->count > keep)
		give_block(0, cache->page[--cache->count], FRAME_CACHED);
	spin_unlock(&frames_lock);
	cache->drains++;
}

/* Interrupts are off. */
static bool take_cached(struct frame_cache *cache, const void *owner, kelp_paddr_t *address)
{
	while (cache->count || refill(cache)) {
		struct frame *frame = frame_at(cache->page[--cache->count] >> PAGE_SHIFT);

		*address = cache->page[cache->count];
		if (frame->flags & FRAME_IN_ISOLATED) {
			/* Its memory is going: nobody is given it any more. */
			spin_lock(&frames_lock);
			give_block(0, *address, FRAME_CACHED);
			spin_unlock(&frames_lock);
			continue;
		}
		frame->owner = owner;
		frame->state = FRAME_TAKEN;
		return true;
	}
	return false;
}

/* Interrupts are off. A free frame is absent from the direct map: a taken one is not. */
static bool debug_take(unsigned order, kelp_paddr_t address)
{
	if (frames_debug)
		frames_debug_take(address, UINT64_C(1) << order);
	return true;
}

static bool take(unsigned order, kelp_paddr_t limit, const void *owner, kelp_paddr_t *address)
{
	unsigned long flags = arch_irq_save();
	struct frame_cache *cache = &this_cpu()->frames;
	bool done;

	cache->takes++;
	if (order == 0 && limit >= frames_last_address) {
		if (cache->count)
			cache->hits++;
		done = take_cached(cache, owner, address);
	} else {
		struct frame *frame;

		spin_lock(&frames_lock);
		frame = take_block(best_zone(limit), order, limit, owner);
		spin_unlock(&frames_lock);
		done = frame != NULL;
		if (done)
			*address = address_of(frame);
	}
	done = done && debug_take(order, *address);
	arch_irq_restore(flags);
	return done;
}

bool frames_take(unsigned order, kelp_paddr_t limit, kelp_paddr_t *address)
{
	return take(order, limit, __builtin_return_address(0), address);
}

bool frames_take_zeroed(unsigned order, kelp_paddr_t limit, kelp_paddr_t *address)
{
	if (!take(order, limit, __builtin_return_address(0), address))
		return false;
	frames_zero(*address, PAGE_SIZE << order);
	return true;
}

bool frames_take_movable(const struct frame_owner *owner, uintptr_t cookie, kelp_paddr_t *address)
{
	unsigned long flags = arch_irq_save();
	struct frame *frame;

	spin_lock(&frames_lock);
	frame = take_block(FRAME_ZONE_MOVABLE, 0, FRAME_ANYWHERE, owner);
	if (frame) {
		frame->cookie = cookie;
		frame->flags |= FRAME_IS_MOVABLE;
		*address = address_of(frame);
	}
	spin_unlock(&frames_lock);
	this_cpu()->frames.takes++;
	if (frame)
		(void)debug_take(0, *address);
	arch_irq_restore(flags);
	return frame != NULL;
}

/* Pages that may have to be moved, or are on their way out, are not for caches. */
static bool may_be_cached(const struct frame *frame)
{
	return frame && frame->state == FRAME_TAKEN && frame->order == 0 && frame->flags == 0 &&
	       frame->zone != FRAME_ZONE_MOVABLE;
}

void frames_give(unsigned order, kelp_paddr_t address)
{
	unsigned long flags = arch_irq_save();
	struct frame_cache *cache = &this_cpu()->frames;
	struct frame *frame = frame_of(address);

	cache->gives++;
	/* What is wrong about it is said below. */
	if (frames_debug && frame && frame->state == FRAME_TAKEN && frame->order == order)
		frames_debug_give(address, UINT64_C(1) << order);
	if (order == 0 && may_be_cached(frame)) {
		if (cache->count == FRAME_CACHE)
			drain(cache, FRAME_CACHE / 2);
		frame->state = FRAME_CACHED;
		cache->page[cache->count++] = address;
	} else {
		spin_lock(&frames_lock);
		give_block(order, address, FRAME_TAKEN);
		spin_unlock(&frames_lock);
	}
	arch_irq_restore(flags);
}

void frames_drain(void)
{
	unsigned long flags = arch_irq_save();

	drain(&this_cpu()->frames, 0);
	arch_irq_restore(flags);
}

unsigned frames_order(uint64_t size)
{
	unsigned order = 0;

	while (PAGE_SIZE << order < size)
		order++;
	return order;
}

bool frames_manages(kelp_paddr_t address)
{
	return kelp_pfn_online(&kernel_memmap, (kelp_pfn_t){address >> PAGE_SHIFT});
}

void frames_stats(struct frame_stats *result)
{
	unsigned long flags = spin_lock_irqsave(&frames_lock);

	*result = frames_counts;
	spin_unlock_irqrestore(&frames_lock, flags);
	/* Other CPUs' counters are read as they are: statistics, not accounts. */
	for (unsigned i = 0; i < cpu_count; i++) {
		const struct frame_cache *cache = &cpus[i]->frames;

		result->cached += cache->count;
		result->takes += cache->takes;
		result->gives += cache->gives;
		result->cache_hits += cache->hits;
		result->refills += cache->refills;
		result->drains += cache->drains;
	}
}

/* ---- start ------------------------------------------------------------------------------- */

void frames_init(const struct boot_info *info)
{
	frame_size += frames_debug_init();
	memmap_init(info);
	for (unsigned i = 0; i < info->map.count; i++) {
		const struct memory_range *range = &info->map.range[i];
		kelp_paddr_t at = range->first, end = range->first + range->size, stop;

		if (range->kind != MEMORY_RAM)
			continue;
		frames_last_address = max_u64(frames_last_address, end - 1u);
		/* What the early allocator gave may come back page by page. */
		for (uint64_t number = at >> PAGE_SHIFT; number < end >> PAGE_SHIFT; number++)
			frame_at(number)->state = FRAME_TAKEN;
		for (; (at = early_frames_next_free(at, end, &stop)) < end; at = stop)
			frames_add_free(at >> PAGE_SHIFT, stop >> PAGE_SHIFT);
	}
	early_frames_end();
	frames_counts.lowest = frames_counts.free;
}
