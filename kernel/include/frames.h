/* SPDX-License-Identifier: MIT */
/*
 * frames: who gets which page of RAM.
 *
 * First an early allocator, which cuts from the clean memory map and never takes back. Once the
 * direct map stands, frames_init() hands what is left to the page allocator: a buddy system
 * with one small descriptor per frame (free memory itself is never written), free lists per
 * order for low and for other memory, and a cache of single pages on each CPU.
 */
#ifndef HOLDFAST_FRAMES_H
#define HOLDFAST_FRAMES_H

#include <boot.h>
#include <machine/layout.h>

/* ---- early ------------------------------------------------------------------------------- */

/* Cuts from `map`, which is clean and stays in place; `keep` ranges are never given. */
void early_frames_init(const struct boot_info *info);

/*
 * Takes `size` bytes aligned to `alignment`, all below or at `limit`, lowest address first.
 * The memory is not zeroed. False when there is none.
 */
bool early_frames_take(uint64_t size, uint64_t alignment, kelp_paddr_t limit,
		       kelp_paddr_t *address);

/* Bytes taken so far. */
uint64_t early_frames_taken(void);

/* ---- pages ------------------------------------------------------------------------------- */

#define FRAME_ORDERS 19 /* 4 KiB << 18 = 1 GiB */
#define FRAME_ANYWHERE UINT64_MAX
#define FRAME_BELOW_4G UINT64_C(0xffffffff)
/* In the direct map: for table pages, and for memory that a direct_pointer() is kept to. */
#define FRAME_DIRECT   (DIRECT_SIZE - 1u)

/*
 * Ends the early allocator. Needs the direct map: the descriptors are reached through it.
 * Panics if there is no room for them.
 */
void frames_init(const struct boot_info *info);

/*
 * Takes 2^order pages, aligned to their size, that end at or below `limit`. Not zeroed. With
 * FRAME_ANYWHERE they need not be in the direct map: kmap_local() reaches them.
 * Any context. False when there is no such block.
 */
bool frames_take(unsigned order, kelp_paddr_t limit, kelp_paddr_t *address);
bool frames_take_zeroed(unsigned order, kelp_paddr_t limit, kelp_paddr_t *address);

/*
 * Gives back a block as it was taken. A frame that is not taken, or another order than it was
 * taken with, is a panic. Any context.
 */
void frames_give(unsigned order, kelp_paddr_t address);

/* Smallest order that holds `size` bytes. */
unsigned frames_order(uint64_t size);

/* Gives every page in this CPU's cache back to the buddy system. */
void frames_drain(void);

struct frame_stats {
	uint64_t total;   /* frames the allocator was given */
	uint64_t free;    /* of these, in the buddy lists */
	uint64_t cached;  /* of these, in the caches of CPUs */
	uint64_t lowest;  /* least that `free` ever was */
	uint64_t high, high_free; /* of `total` and `free`, those beyond the direct map */
	uint64_t takes, gives, cache_hits, refills, drains, failures;
	uint64_t blocks[FRAME_ORDERS]; /* free blocks by order */
};

void frames_stats(struct frame_stats *stats);

/*
 * debug_pagealloc=on: what is known of a free frame, and who gave it back, as lines of text. False
 * when nothing is.
 */
#define FRAMES_EXPLAIN 512
bool frames_explain_free(kelp_paddr_t address, char *text, size_t size);

/* How a frame stands with the allocator, in words: "free", "taken", "not ours", ... */
const char *frames_state_text(kelp_paddr_t address);

/* True when the frame is one the page allocator manages (free or taken). */
bool frames_manages(kelp_paddr_t address);

/* The cache of single pages, part of struct cpu. */
#define FRAME_CACHE 64
struct frame_cache {
	unsigned count;
	uint64_t takes, gives, hits, refills, drains;
	kelp_paddr_t page[FRAME_CACHE];
};

#endif
