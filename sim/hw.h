/* SPDX-License-Identifier: MIT */
/*
 * hw.h, simulated: every load, store and invalidation of the library is an event of a simulated
 * machine. port/hosted/hw.h says what each must do; sim/kelp_port.c does it, with the same
 * instructions as the real hw.h of each architecture.
 *
 * Which machine and which of its CPUs runs the calling thread: sim_kelp_run_as().
 */
#ifndef KELP_HW_H
#define KELP_HW_H

#include <kelp/space.h>

/* Whether invalidations are broadcast depends on the machine; the port has no shootdown then. */
#define KELP_HW_BROADCAST 0

uint64_t sim_kelp_load(const void *slot, unsigned width);
void sim_kelp_store(void *slot, uint64_t value, unsigned width);
bool sim_kelp_swap(void *slot, uint64_t *expected, uint64_t desired, unsigned width);
void sim_kelp_fill(void *slot, unsigned count, uint64_t value, uint64_t step, unsigned width);
void sim_kelp_published(void);
void sim_kelp_invalidate_begin(void);
void sim_kelp_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va, unsigned shift,
			      uint32_t flags);
void sim_kelp_invalidate_all(const struct kelp_space *space, uint32_t flags);
void sim_kelp_invalidate_end(void);

static inline uint64_t kelp_hw_load64(const uint64_t *slot)
{
	return sim_kelp_load(slot, 8);
}

static inline void kelp_hw_store64(uint64_t *slot, uint64_t value)
{
	sim_kelp_store(slot, value, 8);
}

static inline bool kelp_hw_swap64(uint64_t *slot, uint64_t *expected, uint64_t desired)
{
	return sim_kelp_swap(slot, expected, desired, 8);
}

static inline void kelp_hw_fill64(uint64_t *slot, unsigned count, uint64_t value, uint64_t step)
{
	sim_kelp_fill(slot, count, value, step, 8);
}

static inline uint32_t kelp_hw_load32(const uint32_t *slot)
{
	return (uint32_t)sim_kelp_load(slot, 4);
}

static inline void kelp_hw_store32(uint32_t *slot, uint32_t value)
{
	sim_kelp_store(slot, value, 4);
}

static inline bool kelp_hw_swap32(uint32_t *slot, uint32_t *expected, uint32_t desired)
{
	uint64_t wide = *expected;
	bool done = sim_kelp_swap(slot, &wide, desired, 4);

	*expected = (uint32_t)wide;
	return done;
}

static inline void kelp_hw_fill32(uint32_t *slot, unsigned count, uint32_t value, uint32_t step)
{
	sim_kelp_fill(slot, count, value, step, 4);
}

static inline void kelp_hw_published(void)
{
	sim_kelp_published();
}

static inline void kelp_hw_invalidate_begin(const struct kelp_space *space)
{
	(void)space;
	sim_kelp_invalidate_begin();
}

static inline void kelp_hw_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va,
					   unsigned shift, uint32_t flags)
{
	sim_kelp_invalidate_page(space, va, shift, flags);
}

static inline void kelp_hw_invalidate_all(const struct kelp_space *space, uint32_t flags)
{
	sim_kelp_invalidate_all(space, flags);
}

static inline void kelp_hw_invalidate_end(const struct kelp_space *space)
{
	(void)space;
	sim_kelp_invalidate_end();
}

static inline uint32_t kelp_hw_count_add(uint32_t *counter, uint32_t n)
{
	return __atomic_add_fetch(counter, n, __ATOMIC_ACQ_REL);
}

static inline uint32_t kelp_hw_count_read(const uint32_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static inline void kelp_hw_local_add(uint32_t *counter, uint32_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}

static inline void kelp_hw_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void kelp_hw_relax(void)
{
}

#endif
