/* SPDX-License-Identifier: MIT */
/*
 * hibernate_held: all memory that was free, in our hands.
 *
 * The list of blocks is part of the saved machine, so that the resumed one can give them back; the
 * bits that say which frame is held, and which of those was taken, lie in the memory they tell of.
 */
#include "hibernate_private.h"

#include <print.h>
#include <vm.h>

struct block {
	kelp_paddr_t address;
	uint32_t order;
	uint32_t reserved;
};

static struct {
	struct block *block;
	uint64_t list_bytes;
	unsigned count, limit;
	uint64_t frames;
	struct frame_set all;   /* held */
	struct frame_set taken; /* of those, in use meanwhile */
	uint64_t next;          /* where held_take_frame() looks on */
} held;

/* Blocks that the list must have room for: what is free now, and what its own making splits. */
#define SLACK 256u
/* What the kernel keeps for a table or two meanwhile. */
#define RESERVE_ORDER 5u

static bool make_list(void)
{
	struct frame_stats stats;
	uint64_t blocks = SLACK;

	frames_stats(&stats);
	for (unsigned order = 0; order < FRAME_ORDERS; order++)
		blocks += stats.blocks[order];
	blocks += stats.movable_free;
	held.list_bytes = blocks * sizeof(struct block);
	held.block = vm_allocate(held.list_bytes);
	held.limit = (unsigned)blocks;
	return held.block != NULL;
}

/* The bits themselves lie at the beginning of a block; they are taken, too. */
static bool make_sets(void)
{
	uint64_t limit = frames_limit(), bytes = max_u64(align_up(limit, 64) / 8u, 8);
	uint64_t pages = align_up(bytes, PAGE_SIZE) >> PAGE_SHIFT;
	const struct block *home = NULL;

	for (unsigned i = 0; i < held.count && !home; i++)
		if (UINT64_C(1) << held.block[i].order >= 2u * pages)
			home = &held.block[i];
	if (!home)
		return false;
	held.all = (struct frame_set){direct_pointer(home->address), limit};
	held.taken = (struct frame_set){direct_pointer(home->address + (pages << PAGE_SHIFT)), limit};
	memset(held.all.bits, 0, 2u * pages << PAGE_SHIFT);
	for (unsigned i = 0; i < held.count; i++)
		frame_set_add(&held.all, held.block[i].address >> PAGE_SHIFT,
			      UINT64_C(1) << held.block[i].order);
	frame_set_add(&held.taken, home->address >> PAGE_SHIFT, 2u * pages);
	return true;
}

static bool stay(const struct frame_owner *me, uintptr_t cookie, kelp_paddr_t from, kelp_paddr_t to)
{
	(void)me, (void)cookie, (void)from, (void)to;
	return false;
}

bool held_take_all(void)
{
	static const struct frame_owner owner = {"hibernation", stay};

	kelp_paddr_t address, reserve;

	memset(&held, 0, sizeof(held));
	if (!make_list() || !frames_take(RESERVE_ORDER, FRAME_ANYWHERE, &reserve)) {
		held_give_all();
		return false;
	}
	for (unsigned order = FRAME_ORDERS; order-- > 0;) {
		while (held.count < held.limit && frames_take(order, FRAME_ANYWHERE, &address)) {
			held.block[held.count++] = (struct block){address, order, 0};
			held.frames += UINT64_C(1) << order;
		}
	}
	/* What may be moved comes page by page; while all is frozen nobody wants it moved. */
	while (held.count < held.limit && frames_take_movable(&owner, 0, &address)) {
		held.block[held.count++] = (struct block){address, 0, 0};
		held.frames++;
	}
	frames_give(RESERVE_ORDER, reserve);
	if (make_sets())
		return true;
	held_give_all();
	return false;
}

void held_give_all(void)
{
	held.all.limit = held.taken.limit = 0;
	while (held.count) {
		const struct block *block = &held.block[--held.count];

		frames_give(block->order, block->address);
	}
	if (held.block)
		vm_unmap(held.block, held.list_bytes, true);
	held.block = NULL;
}

static bool is_free(uint64_t frame)
{
	return frame_set_has(&held.all, frame) && !frame_set_has(&held.taken, frame);
}

/* The highest run that fits: images begin at the bottom, and so do the frames they need. */
bool held_take(uint64_t size, kelp_paddr_t *address)
{
	uint64_t count = max_u64(1, align_up(size, PAGE_SIZE) >> PAGE_SHIFT), run = 0;

	for (uint64_t at = held.all.limit; at-- > 0;) {
		run = is_free(at) ? run + 1u : 0;
		if (run < count)
			continue;
		frame_set_add(&held.taken, at, count);
		*address = at << PAGE_SHIFT;
		return true;
	}
	return false;
}

bool held_take_frame(kelp_pfn_t *frame)
{
	for (uint64_t left = held.all.limit; left-- > 0;) {
		if (held.next == 0)
			held.next = held.all.limit;
		held.next--;
		if (!is_free(held.next))
			continue;
		frame_set_add(&held.taken, held.next, 1);
		frame->number = held.next;
		return true;
	}
	return false;
}

bool held_claim(kelp_pfn_t frame)
{
	if (!is_free(frame.number))
		return false;
	frame_set_add(&held.taken, frame.number, 1);
	return true;
}

void held_release(kelp_pfn_t frame)
{
	assert(frame_set_has(&held.all, frame.number) && frame_set_has(&held.taken, frame.number));
	held.taken.bits[frame.number / 64u] &= ~(UINT64_C(1) << frame.number % 64u);
}

bool held_has(kelp_pfn_t frame)
{
	return frame_set_has(&held.all, frame.number);
}

uint64_t held_frames(void)
{
	return held.frames;
}
