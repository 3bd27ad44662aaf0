/* SPDX-License-Identifier: MIT */
/*
 * hw.h, explored: every primitive is an operation of the interleaving explorer (sim/explore.h).
 * The contract is written in port/hosted/hw.h; what is asked for there and nothing more is what
 * the orders below give. Outside of an exploration they act on memory at once.
 *
 * What an invalidation does is the business of the explored program: see struct explore_hw.
 */
#ifndef KELP_HW_H
#define KELP_HW_H

#include <kelp/space.h>

#include "../explore.h"

#define KELP_HW_BROADCAST 0

/* The model of the translation caches; NULL hooks do nothing. */
struct explore_hw {
	void *context;
	/* Drops from the caches of the calling thread's CPU what kelp_hw_invalidate_* says. */
	void (*invalidate_page)(void *context, const struct kelp_space *space, kelp_vaddr_t va,
				unsigned shift, uint32_t flags);
	void (*invalidate_all)(void *context, const struct kelp_space *space, uint32_t flags);
};

/* The one in use on this host thread; NULL: there are no translation caches. */
extern _Thread_local const struct explore_hw *explore_hw;

static inline uint64_t kelp_hw_load64(const uint64_t *slot)
{
	return explore_load(slot, sizeof(*slot), EXPLORE_ACQUIRE);
}

static inline void kelp_hw_store64(uint64_t *slot, uint64_t value)
{
	explore_store(slot, sizeof(*slot), value, EXPLORE_RELEASE);
}

static inline bool kelp_hw_swap64(uint64_t *slot, uint64_t *expected, uint64_t desired)
{
	return explore_swap(slot, sizeof(*slot), expected, desired, EXPLORE_ACQ_REL,
			    EXPLORE_ACQUIRE);
}

static inline void kelp_hw_fill64(uint64_t *slot, unsigned count, uint64_t value, uint64_t step)
{
	explore_plain_fill(slot, sizeof(*slot), count, value, step);
}

static inline uint32_t kelp_hw_load32(const uint32_t *slot)
{
	return (uint32_t)explore_load(slot, sizeof(*slot), EXPLORE_ACQUIRE);
}

static inline void kelp_hw_store32(uint32_t *slot, uint32_t value)
{
	explore_store(slot, sizeof(*slot), value, EXPLORE_RELEASE);
}

static inline bool kelp_hw_swap32(uint32_t *slot, uint32_t *expected, uint32_t desired)
{
	uint64_t value = *expected;
	bool done = explore_swap(slot, sizeof(*slot), &value, desired, EXPLORE_ACQ_REL,
				 EXPLORE_ACQUIRE);

	*expected = (uint32_t)value;
	return done;
}

static inline void kelp_hw_fill32(uint32_t *slot, unsigned count, uint32_t value, uint32_t step)
{
	explore_plain_fill(slot, sizeof(*slot), count, value, step);
}

static inline void kelp_hw_published(void)
{
	explore_fence(EXPLORE_RELEASE);
}

/* INVLPG serialises, TLBI stands between two DSB: all earlier stores are out. */
static inline void kelp_hw_invalidate_begin(const struct kelp_space *space)
{
	(void)space;
	explore_fence(EXPLORE_SEQ_CST);
}

static inline void kelp_hw_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va,
					   unsigned shift, uint32_t flags)
{
	if (explore_hw && explore_hw->invalidate_page)
		explore_hw->invalidate_page(explore_hw->context, space, va, shift, flags);
}

static inline void kelp_hw_invalidate_all(const struct kelp_space *space, uint32_t flags)
{
	if (explore_hw && explore_hw->invalidate_all)
		explore_hw->invalidate_all(explore_hw->context, space, flags);
}

static inline void kelp_hw_invalidate_end(const struct kelp_space *space)
{
	(void)space;
	explore_fence(EXPLORE_SEQ_CST);
}

/* Nobody may want the result: additions commute for the explorer. */
#define kelp_hw_count_add(counter, n) explore_count_add((counter), sizeof(*(counter)), (n))

static inline uint32_t kelp_hw_count_read(const uint32_t *counter)
{
	return (uint32_t)explore_count_read(counter, sizeof(*counter));
}

/*
 * The weakest that the contract allows: one towards this CPU's interrupts, a load and a store
 * towards other CPUs; the store may wait in a buffer. A thread of the program is a CPU.
 */
static inline void kelp_hw_local_add(uint32_t *counter, uint32_t n)
{
	bool were_on = explore_interrupts_off();
	uint64_t value = explore_load(counter, sizeof(*counter), EXPLORE_RELAXED);

	explore_store(counter, sizeof(*counter), (uint32_t)value + n, EXPLORE_RELEASE);
	if (were_on)
		explore_interrupts_on();
}

static inline void kelp_hw_fence(void)
{
	explore_fence(EXPLORE_SEQ_CST);
}

/* A loop that waits is to be written as explore_await() in the explored program's hook. */
static inline void kelp_hw_relax(void)
{
}

#endif
