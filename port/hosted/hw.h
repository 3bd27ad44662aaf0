/* SPDX-License-Identifier: MIT */
/*
 * hw.h, hosted: the hot primitives where there is no translation hardware to talk to.
 *
 * Exactly one "hw.h" is on the include path of a build: this one (tools, benches, tests),
 * arch/<a>/hw.h (a kernel) or sim/hw.h (the simulated machine). All define the same functions,
 * and this file is where their contract is written:
 *
 *  kelp_hw_load32/64     single-copy atomic load of a live entry; what was stored into the table
 *                        it points to before it was published is visible through it
 *  kelp_hw_store32/64    single-copy atomic store of a live entry, ordered after all earlier
 *                        stores to tables of the calling CPU (release)
 *  kelp_hw_swap32/64     compare-and-swap of a live entry; on failure *expected is what is there
 *  kelp_hw_fill32/64     plain stores of `count` entries value, value + step, ... into a table
 *                        that is not published yet: nobody else can see it
 *  kelp_hw_published     after an entry was made valid, where no invalidation follows, and before
 *                        anybody relies on it: walkers see the stores (arm64: DSB ISHST, ISB)
 *  kelp_hw_invalidate_begin / _page / _all / _end
 *                        invalidation of the calling CPU, or of all of them where
 *                        KELP_HW_BROADCAST is 1. begin orders earlier entry stores before it, and
 *                        before whatever tells other CPUs to do the same; end returns when it is
 *                        complete, for later accesses of this CPU too.
 *      _page(space, va, shift, flags)  whatever may be cached for the leaf of 2^shift bytes at
 *                        `va`; flags KELP_FLUSH_GLOBAL: it may be global; KELP_FLUSH_TABLES:
 *                        walk caches above it too (else the last level suffices)
 *      _all(space, flags)  everything cached for the space; with KELP_FLUSH_GLOBAL global
 *                        entries too; with KELP_FLUSH_ROOT root registers are reloaded
 *  kelp_hw_count_add     adds to a 32-bit counter that several CPUs add to; returns the new value
 *  kelp_hw_count_read    reads it, ordered before later reads
 *  kelp_hw_local_add     adds to a 32-bit counter that only the calling CPU adds to: no
 *                        interrupt of this CPU can come within; ordered after all earlier accesses
 *                        of the caller (release). Other CPUs read the counter at any time
 *  kelp_hw_fence         full fence: earlier accesses of the CPU to memory before later ones
 *  kelp_hw_relax         in a loop that waits for another CPU: spares power and its sibling
 */
#ifndef KELP_HW_H
#define KELP_HW_H

#include <kelp/space.h>

#define KELP_HW_BROADCAST 0

static inline uint64_t kelp_hw_load64(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline void kelp_hw_store64(uint64_t *slot, uint64_t value)
{
	__atomic_store_n(slot, value, __ATOMIC_RELEASE);
}

static inline bool kelp_hw_swap64(uint64_t *slot, uint64_t *expected, uint64_t desired)
{
	return __atomic_compare_exchange_n(slot, expected, desired, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline void kelp_hw_fill64(uint64_t *slot, unsigned count, uint64_t value, uint64_t step)
{
	for (unsigned i = 0; i < count; i++)
		slot[i] = value + step * i;
}

static inline uint32_t kelp_hw_load32(const uint32_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline void kelp_hw_store32(uint32_t *slot, uint32_t value)
{
	__atomic_store_n(slot, value, __ATOMIC_RELEASE);
}

static inline bool kelp_hw_swap32(uint32_t *slot, uint32_t *expected, uint32_t desired)
{
	return __atomic_compare_exchange_n(slot, expected, desired, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static inline void kelp_hw_fill32(uint32_t *slot, unsigned count, uint32_t value, uint32_t step)
{
	for (unsigned i = 0; i < count; i++)
		slot[i] = value + step * i;
}

static inline void kelp_hw_published(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void kelp_hw_invalidate_begin(const struct kelp_space *space)
{
	(void)space;
}

static inline void kelp_hw_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va,
					   unsigned shift, uint32_t flags)
{
	(void)space, (void)va, (void)shift, (void)flags;
}

static inline void kelp_hw_invalidate_all(const struct kelp_space *space, uint32_t flags)
{
	(void)space, (void)flags;
}

static inline void kelp_hw_invalidate_end(const struct kelp_space *space)
{
	(void)space;
}

static inline uint32_t kelp_hw_count_add(uint32_t *counter, uint32_t n)
{
	return __atomic_add_fetch(counter, n, __ATOMIC_ACQ_REL);
}

static inline uint32_t kelp_hw_count_read(const uint32_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

/* A sanitizer of threads does not see what assembly does. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KELP_HW_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define KELP_HW_SANITIZED 1
#endif

static inline void kelp_hw_local_add(uint32_t *counter, uint32_t n)
{
#if (defined(__x86_64__) || defined(__i386__)) && !defined(KELP_HW_SANITIZED)
	/* One instruction: an interrupt, or a signal, comes before or after it. */
	__asm__ volatile("addl %1, %0" : "+m"(*counter) : "ri"(n) : "memory", "cc");
#else
	__atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
#endif
}

/* x86: a locked instruction orders as MFENCE does and costs less. */
static inline void kelp_hw_fence(void)
{
#if defined(__x86_64__) && !defined(KELP_HW_SANITIZED)
	__asm__ volatile("lock; orl $0, (%%rsp)" : : : "memory", "cc");
#elif defined(__i386__) && !defined(KELP_HW_SANITIZED)
	__asm__ volatile("lock; orl $0, (%%esp)" : : : "memory", "cc");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static inline void kelp_hw_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__asm__ volatile("pause" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

#endif
