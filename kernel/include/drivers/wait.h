/* SPDX-License-Identifier: MIT */
/* wait: until a device has done something, or somebody is done with it, in whatever context. */
#ifndef HOLDFAST_DRIVERS_WAIT_H
#define HOLDFAST_DRIVERS_WAIT_H

#include <base.h>
#include <lock.h>

/* True where the caller may sleep: a thread with interrupts and preemption on. */
bool device_may_sleep(void);

/*
 * Waits until `done` says so, at most `microseconds`. With `interrupts` an interrupt handler
 * wakes the caller with thread_wake(); should one be lost, `done` is asked now and then all the
 * same. Without, or where the caller may not sleep, `done` is asked again and again, other
 * threads running in between if they can. Returns what `done` said last.
 */
bool device_wait(bool (*done)(void *context), void *context, bool interrupts,
		 uint64_t microseconds);

/* How long a lost interrupt goes unnoticed; a test makes it long, to see that none is lost. */
extern uint64_t device_look_microseconds;

/* A lock that may be held while one waits for the device; first come, first served. */
struct device_lock {
	struct spinlock guard;
	bool taken;
	struct device_lock_waiter *first, **last;
};

#define DEVICE_LOCK(name, text) {.guard = SPINLOCK(text), .last = &(name).first}

/* Not from interrupts. */
void device_lock_take(struct device_lock *lock);
void device_lock_give(struct device_lock *lock);

#endif
