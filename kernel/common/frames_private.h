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

/* From now on early_frames_take() finds nothing. */
void early_frames_end(void);

#endif
