/* SPDX-License-Identifier: MIT */
/*
 * frames_move: ranges that come to the allocator and leave it again, and the pages that are moved
 * out of their way.
 *
 * A range that is to leave is isolated: its free blocks leave the lists, and what is given back
 * from now on goes to no list. Then it is evacuated: movable pages move, caches are drained; what
 * a kernel allocation holds stays, and the range with it. Each state of a block is in its first
 * frame; FRAME_IN_ISOLATED is set in every frame of the range, so that it meets each block
 * whatever its size.
 */
#include "frames_private.h"

#include <cpu.h>
#include <holds.h>
#include <memmap.h>
#include <reach.h>
#include <thread.h>

#define PAUSE_MICROSECONDS 500u
/* An owner that needs its page where it is has so long to get done with it. */
#define ROUNDS 40u

static kelp_paddr_t blocker;

kelp_paddr_t frames_blocker(void)
{
	return blocker;
}

static uint64_t pages_of(unsigned order)
{
	return UINT64_C(1) << order;
}

/* The largest order of a block that begins at `first` and ends at or before `end`. */
static unsigned largest_order(uint64_t first, uint64_t end)
{
	unsigned order = 0;

	while (order + 1 < FRAME_ORDERS && !(first & (pages_of(order + 1u) - 1u)) &&
	       end - first >= pages_of(order + 1u) &&
	       frame_at(first)->zone == frame_at(first + pages_of(order + 1u) - 1u)->zone)
		order++;
	return order;
}

/* Frames of one zone come to or leave the allocator. The lock is held. */
static void count_frames(uint64_t first, uint64_t end, bool more)
{
	uint64_t frames = more ? end - first : first - end;

	frames_counts.total += frames;
	if (frame_at(first)->zone == FRAME_ZONE_MOVABLE)
		frames_counts.movable_total += frames;
}

static bool is_present(uint64_t number)
{
	return kelp_directmap_present(&kernel_direct, (kelp_pfn_t){number});
}

/* What was free before, and offline meanwhile, is absent already; each subsection for itself. */
static void make_absent(uint64_t first, uint64_t end)
{
	const uint64_t unit = UINT64_C(1) << (MEMMAP_SUBSECTION_SHIFT - PAGE_SHIFT);

	while (first < end) {
		bool present = is_present(first);
		uint64_t stop = align_up(first + 1u, unit);

		while (stop < end && is_present(stop) == present)
			stop += unit;
		stop = min_u64(stop, end);
		if (present)
			frames_debug_free(first << PAGE_SHIFT, stop - first);
		first = stop;
	}
}

void frames_add_free(uint64_t first, uint64_t end)
{
	unsigned long flags;

	if (first == end)
		return;
	if (frames_debug)
		make_absent(first, end);
	flags = spin_lock_irqsave(&frames_lock);
	count_frames(first, end, true);
	for (uint64_t number = first; number < end; number++) {
		frame_at(number)->state = FRAME_NONE;
		frames_counts.high += frames_is_high(number);
	}
	while (first < end) {
		unsigned order = largest_order(first, end);

		frames_free_block(first, order);
		first += pages_of(order);
	}
	spin_unlock_irqrestore(&frames_lock, flags);
}

/* ---- isolation: the lock is held --------------------------------------------------------- */

/* A free block that was taken out of the lists: what lies outside of the range goes back. */
static void isolate_block(uint64_t number, unsigned order, uint64_t first, uint64_t end)
{
	struct frame *frame = frame_at(number);

	if (number >= end || number + pages_of(order) <= first) {
		frames_push(frame, order);
	} else if (number >= first && number + pages_of(order) <= end) {
		frame->state = FRAME_ISOLATED;
		frame->order = (uint8_t)order;
		frames_counts.isolated += pages_of(order);
	} else {
		isolate_block(number, order - 1u, first, end);
		isolate_block(number + pages_of(order - 1u), order - 1u, first, end);
	}
}

/* A free block that begins before the frame and covers it. False: there is none. */
static bool find_cover(uint64_t number, uint64_t *first)
{
	for (unsigned order = 1; order < FRAME_ORDERS; order++) {
		struct frame *frame;

		*first = number & ~(pages_of(order) - 1u);
		if (*first == number)
			continue;
		/* The memmap's lock is held too: what is online now stays. */
		if (!kelp_pfn_online(&kernel_memmap, (kelp_pfn_t){*first}))
			return false;
		frame = frame_at(*first);
		if (frame->state == FRAME_FREE)
			return *first + pages_of(frame->order) > number;
		if (frame->state != FRAME_NONE)
			return false;
	}
	return false;
}

enum kelp_status frames_isolate(void *context, kelp_pfn_t from, uint64_t frames)
{
	uint64_t first = from.number, end = first + frames, number = first, cover;
	unsigned long flags = spin_lock_irqsave(&frames_lock);

	(void)context;
	if (find_cover(first, &cover))
		number = cover;
	while (number < end) {
		struct frame *frame = frame_at(number);
		unsigned order = frame->order;

		if (frame->state != FRAME_FREE) {
			number++;
			continue;
		}
		frames_unlink(frame);
		isolate_block(number, order, first, end);
		number += pages_of(order);
	}
	for (number = first; number < end; number++)
		frame_at(number)->flags |= FRAME_IN_ISOLATED;
	frames_isolated += frames;
	spin_unlock_irqrestore(&frames_lock, flags);
	return KELP_OK;
}

void frames_give_back(void *context, kelp_pfn_t from, uint64_t frames)
{
	uint64_t first = from.number, end = first + frames;
	unsigned long flags;

	(void)context;
	flags = spin_lock_irqsave(&frames_lock);
	frames_last_address = max_u64(frames_last_address, (end << PAGE_SHIFT) - 1u);
	if (!(frame_at(first)->flags & FRAME_IN_ISOLATED)) {
		/* It was never ours, or evacuated and forgotten. */
		spin_unlock_irqrestore(&frames_lock, flags);
		frames_add_free(first, end);
		return;
	}
	frames_isolated -= frames;
	for (uint64_t number = first; number < end; number++)
		frame_at(number)->flags &= (uint8_t)~FRAME_IN_ISOLATED;
	for (uint64_t number = first; number < end;) {
		struct frame *frame = frame_at(number);
		unsigned order = frame->order;

		if (frame->state == FRAME_ISOLATED) {
			frames_counts.isolated -= pages_of(order);
			frame->state = FRAME_NONE;
			frames_free_block(number, order);
			number += pages_of(order);
		} else {
			number++;
		}
	}
	spin_unlock_irqrestore(&frames_lock, flags);
}

/* ---- evacuation -------------------------------------------------------------------------- */

/* The contents of a movable page go elsewhere. False: its owner needs it where it is. */
static bool move_page(uint64_t number, const struct frame_owner *owner, uintptr_t cookie)
{
	kelp_paddr_t from = number << PAGE_SHIFT, to;
	unsigned long flags;
	bool moved = false;

	if (frames_take_movable(owner, cookie, &to)) {
		moved = owner->move(owner, cookie, from, to);
		frames_give(0, moved ? from : to);
	}
	flags = spin_lock_irqsave(&frames_lock);
	frames_counts.moved += moved;
	frames_counts.moves_refused += !moved;
	spin_unlock_irqrestore(&frames_lock, flags);
	return moved;
}

struct survey {
	uint64_t isolated; /* pages that are free */
	bool cached;       /* there are pages in CPUs' caches */
	bool fixed;        /* there are pages that nobody can move */
};

/* One frame of the range: moved, if it can be. Returns how many frames are done with. */
static uint64_t clear_frame(uint64_t number, struct survey *survey)
{
	unsigned long flags = spin_lock_irqsave(&frames_lock);
	struct frame copy = *frame_at(number);

	spin_unlock_irqrestore(&frames_lock, flags);
	switch (copy.state) {
	case FRAME_ISOLATED:
		survey->isolated += pages_of(copy.order);
		return pages_of(copy.order);
	case FRAME_CACHED:
		survey->cached = true;
		return 1;
	case FRAME_TAKEN:
		break;
	default:
		return 1;
	}
	if (!(copy.flags & FRAME_IS_MOVABLE)) {
		survey->fixed = true;
		blocker = number << PAGE_SHIFT;
	} else if (!move_page(number, copy.owner, copy.cookie)) {
		blocker = number << PAGE_SHIFT;
	}
	return pages_of(copy.order);
}

static struct survey clear_range(uint64_t first, uint64_t end)
{
	struct survey survey = {0};

	while (first < end && !survey.fixed)
		first += clear_frame(first, &survey);
	return survey;
}

static void drain_here(void *argument)
{
	(void)argument;
	frames_drain();
}

/* Each CPU's cache is its own: a thread on each gives it back. */
static void drain_all(void)
{
	for (unsigned i = 0; i < cpu_count; i++) {
		struct thread *thread =
			cpus[i]->online ? thread_start("drain", drain_here, NULL, i) : NULL;

		if (thread)
			thread_join(thread);
	}
}

/* True when every frame is free: the allocator forgets them. */
static bool forget(uint64_t first, uint64_t frames)
{
	unsigned long flags = spin_lock_irqsave(&frames_lock);
	uint64_t end = first + frames, number = first;

	while (number < end && frame_at(number)->state == FRAME_ISOLATED)
		number += pages_of(frame_at(number)->order);
	if (number == end) {
		count_frames(first, end, false);
		frames_counts.isolated -= frames;
		frames_isolated -= frames;
		for (number = first; number < end; number++) {
			frame_at(number)->state = FRAME_NONE;
			frame_at(number)->flags = 0;
			frames_counts.high -= frames_is_high(number);
		}
	}
	spin_unlock_irqrestore(&frames_lock, flags);
	return number == end;
}

enum kelp_status frames_evacuate(void *context, kelp_pfn_t from, uint64_t frames)
{
	uint64_t first = from.number;

	(void)context;
	blocker = first << PAGE_SHIFT;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct survey survey = clear_range(first, first + frames);

		if (survey.fixed)
			return KELP_ERR_BUSY;
		if (survey.cached)
			drain_all();
		if (forget(first, frames))
			return KELP_OK;
		/* What was moved is free at once; who else there is needs time. */
		if (round)
			thread_sleep(PAUSE_MICROSECONDS);
	}
	return KELP_ERR_BUSY;
}

/* ---- looking ----------------------------------------------------------------------------- */

const char *frame_zone_name(unsigned zone)
{
	static const char *const name[FRAME_ZONES] = {
		[FRAME_ZONE_LOW] = "low",
		[FRAME_ZONE_HIGH] = "high",
		[FRAME_ZONE_MOVABLE] = "movable",
		[FRAME_ZONE_DEVICE] = "device",
	};

	return zone < FRAME_ZONES ? name[zone] : "no zone";
}

const char *frame_use_name(enum frame_use use)
{
	switch (use) {
	case FRAME_USE_NONE: return "not the allocator's";
	case FRAME_USE_FREE: return "free";
	case FRAME_USE_CACHED: return "free, in a CPU's cache";
	case FRAME_USE_ISOLATED: return "free, isolated";
	case FRAME_USE_TAKEN: return "taken";
	case FRAME_USE_MOVABLE: return "taken, movable";
	case FRAME_USE_DEVICE: return "device memory";
	case FRAME_USE_MEMMAP: return "descriptors of its own range";
	}
	return "unknown";
}

const char *frames_check(const void *page, uint64_t number)
{
	const struct frame *frame = page;

	if (frame->mark != FRAME_MARK)
		return "a descriptor that was never initialised";
	if (frame->number != number)
		return "the descriptor of another frame";
	if (frame->state >= FRAME_STATES)
		return "a state that does not exist";
	if (frame->order >= FRAME_ORDERS)
		return "an order that does not exist";
	return frame->zone < FRAME_ZONES ? NULL : "a zone that does not exist";
}

const char *frames_check_held(const struct kelp_subsection_hold *hold, uint64_t *number,
			      uint64_t *checked)
{
	for (uint64_t i = 0; i < hold->frames; i++) {
		const char *wrong;

		if (hold->present && !(hold->present[i / 32u] >> (i % 32u) & 1u))
			continue;
		*number = hold->first.number + i;
		++*checked;
		wrong = frames_check(frame_plus(kelp_hold_page(&hold->hold), i),
				     *number);
		if (wrong)
			return wrong;
	}
	return NULL;
}

/* Fills in what the first frame of a block says. */
static void look_at(const struct frame *frame, uint64_t number, struct frame_look *look)
{
	static const enum frame_use use[FRAME_STATES] = {
		[FRAME_FREE] = FRAME_USE_FREE,
		[FRAME_TAKEN] = FRAME_USE_TAKEN,
		[FRAME_CACHED] = FRAME_USE_CACHED,
		[FRAME_ISOLATED] = FRAME_USE_ISOLATED,
	};

	look->use = use[frame->state];
	look->order = frame->order;
	look->first = number << PAGE_SHIFT;
	if (frame->state != FRAME_TAKEN)
		return;
	if (frame->flags & FRAME_IS_MOVABLE) {
		look->use = FRAME_USE_MOVABLE;
		look->owner = frame->owner;
		look->cookie = frame->cookie;
	} else {
		look->code = frame->owner;
	}
}

/*
 * Is `first`, perhaps in another subsection, the first frame of the block that covers `number`, or
 * is there no such block? False: look further.
 */
static bool look_for_block(uint64_t number, uint64_t first, struct frame_look *look)
{
	struct kelp_hold hold;
	const struct frame *frame;
	bool found;

	if (frame_hold_online(first << PAGE_SHIFT, &hold) != KELP_OK)
		return true;
	frame = kelp_hold_page(&hold);
	found = frame->state != FRAME_NONE;
	if (found && first + pages_of(frame->order) > number)
		look_at(frame, first, look);
	frame_release(&hold);
	return found;
}

/* Without the lock states are hints, and owners no pointers. */
static void look(kelp_paddr_t address, struct frame_look *look)
{
	uint64_t number = address >> PAGE_SHIFT;
	struct kelp_hold hold;

	*look = (struct frame_look){.first = number << PAGE_SHIFT};
	if (frame_hold_any(address, &hold) != KELP_OK)
		return;
	if (kelp_pfn_device(&kernel_memmap, (kelp_pfn_t){number}))
		look->use = FRAME_USE_DEVICE;
	else if (kelp_pfn_hosts(&kernel_memmap, (kelp_pfn_t){number}))
		look->use = FRAME_USE_MEMMAP;
	for (unsigned order = 0; order < FRAME_ORDERS && look->use == FRAME_USE_NONE; order++)
		if (look_for_block(number, number & ~(pages_of(order) - 1u), look))
			break;
	frame_release(&hold);
}

void frames_look(kelp_paddr_t address, struct frame_look *result)
{
	unsigned long flags = spin_lock_irqsave(&frames_lock);

	look(address, result);
	spin_unlock_irqrestore(&frames_lock, flags);
}

const char *frames_state_text(kelp_paddr_t address)
{
	struct frame_look result;

	look(address, &result);
	return frame_use_name(result.use);
}
