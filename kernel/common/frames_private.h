/* SPDX-License-Identifier: MIT */
/* What the two allocators share when one hands over to the other. */
#ifndef HOLDFAST_FRAMES_PRIVATE_H
#define HOLDFAST_FRAMES_PRIVATE_H

#include <frames.h>
#include <print.h>

/* Takings are joined where they touch, so few are enough. */
#define EARLY_TAKEN 64

/*
 * The first stretch of [at, end) that the early allocator did not give away: returns where it
 * begins (`end` or more: there is none) and *free_end.
 */
uint64_t early_frames_next_free(kelp_paddr_t at, kelp_paddr_t end, uint64_t *free_end);

/* ---- debug_pagealloc: frames_debug.c ----------------------------------------------------- */

/* It is on. */
extern bool frames_debug;

/* Takes what it needs from the early allocator, for `count` descriptors. */
void frames_debug_init(uint32_t count);

/*
 * Interrupts are off. A block goes out of the direct map, whose first frame has the descriptor
 * `number`; comes back into it; is free from the start.
 */
void frames_debug_give(kelp_paddr_t address, uint64_t frames, uint32_t number);
void frames_debug_take(kelp_paddr_t address, uint64_t frames);
void frames_debug_free(kelp_paddr_t address, uint64_t frames);

/* The number of a frame's descriptor; UINT32_MAX: it is none of ours. */
uint32_t frames_number(kelp_paddr_t address);

/* ------------------------------------------------------------------------------------------ */

/* From now on early_frames_take() finds nothing. */
void early_frames_end(void);

#endif
