/* SPDX-License-Identifier: MIT */
/*
 * lock: ticket spin locks with debug checks.
 *
 * A lock is taken either always with interrupts off (irqsave) or never from an interrupt.
 * A CPU that waits for a lock answers TLB shootdowns meanwhile, so a holder may commit a gather.
 * Checked: taking it twice on one CPU, releasing what one does not hold, waiting without end.
 */
#ifndef HOLDFAST_LOCK_H
#define HOLDFAST_LOCK_H

#include <base.h>

struct spinlock {
	uint32_t next;    /* ticket for the next to come */
	uint32_t serving; /* ticket of the holder */
	uint32_t holder;  /* index of the holding CPU + 1, for the checks; 0 = free */
	const char *name;
};

#define SPINLOCK(text) {.name = (text)}

/* Preemption is off while a lock is held. */
void spin_lock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);

/* The same with interrupts off; `flags` brings the former state back. */
unsigned long spin_lock_irqsave(struct spinlock *lock);
void spin_unlock_irqrestore(struct spinlock *lock, unsigned long flags);

#endif
