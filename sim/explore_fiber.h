/* SPDX-License-Identifier: MIT */
/*
 * explore_fiber: stacks to switch between, all on one host thread. A fiber may be abandoned at
 * any switch and started again from its beginning.
 */
#ifndef SIM_EXPLORE_FIBER_H
#define SIM_EXPLORE_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#define EXPLORE_FIBER_STACK ((size_t)128 * 1024)

struct explore_fiber {
	void *stack; /* lowest usable byte; a guard page lies below it */
	void *saved; /* stack pointer, or ucontext_t where there is no switch in assembly */
	void (*entry)(void *argument);
	void *argument;
	const void *return_stack; /* for AddressSanitizer: the stack of who resumed it */
	size_t return_size;
};

/* Reserves a stack. False when the host has no memory. */
bool explore_fiber_init(struct explore_fiber *fiber);
void explore_fiber_destroy(struct explore_fiber *fiber);

/* Makes the next resume call entry(argument). `entry` must not return. */
void explore_fiber_start(struct explore_fiber *fiber, void (*entry)(void *argument),
			 void *argument);

/* Runs the fiber until it suspends itself. */
void explore_fiber_resume(struct explore_fiber *fiber);
/* From inside of `fiber`: returns to who resumed it. */
void explore_fiber_suspend(struct explore_fiber *fiber);

#endif
