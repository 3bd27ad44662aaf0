/* SPDX-License-Identifier: MIT */
/*
 * frames: who gets which page of RAM.
 *
 * First an early allocator, which cuts from the clean memory map and never takes back. Once the
 * direct map stands, frames_init() hands what is left to the page allocator: a buddy system over
 * the descriptors of Kelp's memmap (free memory itself is never written), free lists per order
 * and zone, and a cache of single pages on each CPU.
 *
 * Memory that comes and goes while the kernel runs is added and removed by <hotplug.h>.
 */
#ifndef HOLDFAST_FRAMES_H
#define HOLDFAST_FRAMES_H

#include <kelp/kelp.h>

#include <boot.h>
#include <machine/layout.h>

/* Which frames exist, and the descriptor of each: floor 2 of Kelp. */
extern struct kelp_memmap kernel_memmap;

enum frame_zone {
	FRAME_ZONE_LOW,     /* in the direct map and below 4 GiB */
	FRAME_ZONE_HIGH,
	/* Only frames_take_movable() takes here, so that all of it can be emptied again. */
	FRAME_ZONE_MOVABLE,
	FRAME_ZONE_DEVICE,  /* memory of devices: nobody is given any */
	FRAME_ZONES,
};
const char *frame_zone_name(unsigned zone);

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

/*
 * Movable pages. Whoever can do without a page staying where it is takes it as its owner, and
 * gives it a name, the cookie, that stays good for ever (an index, say). When the page's memory
 * is to go, move() is called.
 */
struct frame_owner {
	const char *name;
	/*
	 * `from`, the owner's page under this cookie when somebody looked, shall be empty: the
	 * owner copies the contents to `to`, remembers `to` in its place, and returns true; then
	 * `from` is given back for it and `to` is its page. False: it has given the page back
	 * meanwhile, or needs it where it is just now; then `to` was never its. Called from a
	 * thread without locks; may sleep.
	 */
	bool (*move)(const struct frame_owner *owner, uintptr_t cookie, kelp_paddr_t from,
		     kelp_paddr_t to);
};

/* One page, anywhere. Given back by frames_give(0, ...). Any context. False: no memory. */
bool frames_take_movable(const struct frame_owner *owner, uintptr_t cookie, kelp_paddr_t *address);

/* Smallest order that holds `size` bytes. */
unsigned frames_order(uint64_t size);

/* Gives every page in this CPU's cache back to the buddy system. */
void frames_drain(void);

struct frame_stats {
	uint64_t total;   /* frames the allocator was given, those early users took left out */
	uint64_t free;    /* of these, in the buddy lists */
	uint64_t isolated; /* of these, free and out of reach: memory that is going */
	uint64_t cached;  /* of these, in the caches of CPUs */
	uint64_t lowest;  /* least that `free` ever was */
	uint64_t high, high_free; /* of `total` and `free`, those beyond the direct map */
	uint64_t takes, gives, cache_hits, refills, drains, failures;
	uint64_t blocks[FRAME_ORDERS]; /* free blocks by order, but for movable memory */
	uint64_t movable_total, movable_free; /* of `total` and `free` */
	uint64_t moved, moves_refused; /* pages that were moved, and that their owners kept */
};

void frames_stats(struct frame_stats *stats);

/* debug_pagealloc=on: free frames are absent from the direct map. */
extern bool frames_debug;

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

/* What is known of one frame, as it was at some moment of the call. Any context. */
enum frame_use {
	FRAME_USE_NONE,    /* no descriptor, or nothing that the allocator has to do with */
	FRAME_USE_FREE,
	FRAME_USE_CACHED,
	FRAME_USE_ISOLATED,
	FRAME_USE_TAKEN,
	FRAME_USE_MOVABLE,
	FRAME_USE_DEVICE,
	FRAME_USE_MEMMAP,  /* holds descriptors of the range that it lies in */
};
struct frame_look {
	enum frame_use use;
	unsigned order;        /* of the block ... */
	kelp_paddr_t first;    /* ... and where it begins */
	const void *code;      /* taken: the code that took it; NULL: before the allocator stood */
	const struct frame_owner *owner; /* movable */
	uintptr_t cookie;
};
void frames_look(kelp_paddr_t address, struct frame_look *look);
const char *frame_use_name(enum frame_use use);

/*
 * For whoever holds it: NULL, or what is wrong with the descriptor `page` of frame `number`; above
 * all that it was never initialised.
 */
const char *frames_check(const void *page, uint64_t number);

/* The same for all frames of a subsection; which one is in *number, how many were in *checked. */
const char *frames_check_held(const struct kelp_subsection_hold *hold, uint64_t *number,
			      uint64_t *checked);

/* The cache of single pages, part of struct cpu. */
#define FRAME_CACHE 64
struct frame_cache {
	unsigned count;
	uint64_t takes, gives, hits, refills, drains;
	kelp_paddr_t page[FRAME_CACHE];
};

#endif
