/* SPDX-License-Identifier: MIT */
/* What the parts of the page allocator share. */
#ifndef HOLDFAST_FRAMES_PRIVATE_H
#define HOLDFAST_FRAMES_PRIVATE_H

#include <kelp/kelp.h>

#include <frames.h>
#include <lock.h>
#include <print.h>

/* Takings are joined where they touch, so few are enough. */
#define EARLY_TAKEN 64

/*
 * The first stretch of [at, end) that the early allocator did not give away: returns where it
 * begins (`end` or more: there is none) and *free_end.
 */
uint64_t early_frames_next_free(kelp_paddr_t at, kelp_paddr_t end, uint64_t *free_end);

/* From now on early_frames_take() finds nothing. */
void early_frames_end(void);

/* ---- the buddy system: frames.c ---------------------------------------------------------- */

enum frame_state {
	FRAME_NONE,     /* inside a larger block, or nothing that the allocator gives away */
	FRAME_FREE,     /* first of a free block of `order` */
	FRAME_TAKEN,    /* first of a taken block of `order` */
	FRAME_CACHED,   /* a single page in the cache of some CPU */
	FRAME_ISOLATED, /* first of a free block of `order` that nobody is given */
	FRAME_STATES,
};

#define FRAME_IS_MOVABLE  1u /* taken, by an owner that can move it */
#define FRAME_IN_ISOLATED 2u /* lies in a range that is isolated */

/* What is in every descriptor once it is initialised: poison is something else. */
#define FRAME_MARK 0x6d617246u

/*
 * This kernel's descriptor of a frame, one for each in the memmap. States change under the
 * frames lock, but for those of single pages between a cache of a CPU and a taker on that CPU.
 */
struct frame {
	union {
		struct {
			struct frame *next, *previous; /* of a free block */
		};
		struct {
			const void *owner; /* of a taken block: code that took it, or who can move it */
			uintptr_t cookie;  /* the owner's name for it, if it can be moved */
		};
	};
	uint64_t number __attribute__((aligned(8))); /* Kelp's: the frame */
	uint8_t state;
	uint8_t order;
	uint8_t zone;
	uint8_t flags;
	uint32_t mark;
} __attribute__((aligned(32)));
/* A power of two: those of a subsection fill a block of pages. */
_Static_assert(sizeof(struct frame) == 32, "descriptors have 32 bytes");

/* Bytes of a descriptor: with debug_pagealloc=on its history follows it. */
extern size_t frame_size;

extern struct spinlock frames_lock;
extern struct frame_stats frames_counts;
/* Frames in isolated ranges; while there are none nothing looks for them. */
extern uint64_t frames_isolated;
extern kelp_paddr_t frames_last_address; /* of all that were ever managed */

static inline struct frame *frame_at(uint64_t number)
{
	return kelp_pfn_to_page(&kernel_memmap, (kelp_pfn_t){number});
}

/* Beyond the direct map: kmap's. */
static inline bool frames_is_high(uint64_t number)
{
	return number > FRAME_DIRECT >> PAGE_SHIFT;
}

/* In the descriptors of one subsection, the one of the frame `n` further. */
static inline struct frame *frame_plus(const void *frame, uint64_t n)
{
	return (struct frame *)((uintptr_t)frame + (uintptr_t)n * frame_size);
}

/* The frames lock is held for all of these. */
void frames_push(struct frame *frame, unsigned order);
void frames_unlink(struct frame *frame);
/* Puts a block that is free now into the lists, joined with its buddies, or out of reach. */
void frames_free_block(uint64_t number, unsigned order);

/*
 * frames_move.c. Hands [first, end) to the allocator, cut into the largest aligned blocks; each is
 * FRAME_NONE or a taken block. Takes the lock itself.
 */
void frames_add_free(uint64_t first, uint64_t end);

/* The hooks of kelp/hotplug.h. */
enum kelp_status frames_isolate(void *context, kelp_pfn_t first, uint64_t frames);
enum kelp_status frames_evacuate(void *context, kelp_pfn_t first, uint64_t frames);
void frames_give_back(void *context, kelp_pfn_t first, uint64_t frames);

/* Why the last evacuation failed: a frame that stays in use. */
kelp_paddr_t frames_blocker(void);

/* ---- debug_pagealloc: frames_debug.c ----------------------------------------------------- */

/* Reads the command line. Returns how many bytes it keeps behind each descriptor. */
size_t frames_debug_init(void);

/*
 * Interrupts are off, the frames lock is not held. A block that is given back goes out of the
 * direct map; one that was taken comes into it; one is free from the start.
 */
void frames_debug_give(kelp_paddr_t address, uint64_t frames);
void frames_debug_take(kelp_paddr_t address, uint64_t frames);
void frames_debug_free(kelp_paddr_t address, uint64_t frames);

/* ------------------------------------------------------------------------------------------ */

/* The descriptors' own fields, before anybody sees them: hook of the memmap. */
void frames_initialise(void *context, void *pages, kelp_pfn_t first, uint64_t frames,
		       kelp_zone_t zone, bool device);

#endif
