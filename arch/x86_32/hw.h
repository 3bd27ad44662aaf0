/* SPDX-License-Identifier: MIT */
/*
 * hw.h, x86_32: the hot primitives, for both paging modes. port/hosted/hw.h says what each must
 * do. Citations: Intel SDM volume 3A, revision 081. Needs a Pentium or later (CMPXCHG8B).
 *
 * 64-BIT ENTRIES ON A 32-BIT CPU. PAE's entries are two words, and hardware and other CPUs may
 * look or write between two moves. The walker must never see a low word of one entry with the
 * high word of another while P is set, and neither may a lock-free reader: it would translate to
 * a frame that was never mapped there.
 *
 *  - Stores are CMPXCHG8B in a loop: one access of 8 bytes, aligned, atomic (9.1.2.2).
 *  - Loads too are CMPXCHG8B. Two moves with a check of the first would pass when the entry
 *    changes and changes back in between with another high word, and a reader that is
 *    interrupted gives it all the time for that. Comparing with zero and "replacing" by zero
 *    never changes what is there. It is a write cycle to the CPU, though: tables are mapped
 *    writable, readers of adopted ones included.
 *  - A fill writes a table that nobody sees yet: plain moves.
 *
 * The FPU's 64-bit loads would do as well, but a kernel does not own its registers.
 *
 * There are no PCIDs outside of IA-32e mode (4.10.1): what is cached is cached for the current
 * CR3, or global.
 */
#ifndef KELP_HW_H
#define KELP_HW_H

#include <kelp/space.h>

#define KELP_HW_BROADCAST 0

#define KELP_HW_CR4_PGE (UINT32_C(1) << 7)

/* On failure *expected is what is there. */
static inline bool kelp_hw_swap64(uint64_t *slot, uint64_t *expected, uint64_t desired)
{
	bool done;

	__asm__ volatile("lock; cmpxchg8b %1"
			 : "=@ccz"(done), "+m"(*slot), "+A"(*expected)
			 : "b"((uint32_t)desired), "c"((uint32_t)(desired >> 32))
			 : "memory");
	return done;
}

static inline uint64_t kelp_hw_load64(const uint64_t *slot)
{
	uint64_t value = 0;

	__asm__ volatile("lock; cmpxchg8b %0"
			 : "+m"(*(uint64_t *)(uintptr_t)slot), "+A"(value)
			 : "b"(0), "c"(0)
			 : "memory", "cc");
	return value;
}

static inline void kelp_hw_store64(uint64_t *slot, uint64_t value)
{
	/* The guess may be torn; the first comparison then fails and tells what is there. */
	const volatile uint32_t *half = (const volatile uint32_t *)slot;
	uint64_t seen = half[0] | (uint64_t)half[1] << 32;

	while (!kelp_hw_swap64(slot, &seen, value))
		;
}

static inline void kelp_hw_fill64(uint64_t *slot, unsigned count, uint64_t value, uint64_t step)
{
	for (unsigned i = 0; i < count; i++, value += step)
		slot[i] = value;
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
	for (unsigned i = 0; i < count; i++, value += step)
		slot[i] = value;
}

/* The walker takes part in the order of stores, and never caches an entry with P = 0 (4.10.2.3,
 * 4.10.4.3): nothing but the compiler has to be held. */
static inline void kelp_hw_published(void)
{
	__asm__ volatile("" ::: "memory");
}

/* INVLPG and the moves to control registers are serializing (9.3). */
static inline void kelp_hw_invalidate_begin(const struct kelp_space *space)
{
	(void)space;
	__asm__ volatile("" ::: "memory");
}

/*
 * INVLPG drops the translation, global or not, a large leaf whole, and all paging-structure
 * caches (4.10.4.1).
 */
static inline void kelp_hw_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va,
					   unsigned shift, uint32_t flags)
{
	(void)space, (void)shift, (void)flags;
	__asm__ volatile("invlpg (%0)" : : "r"((uintptr_t)va) : "memory");
}

/*
 * A move to CR3 drops all but global entries and loads PAE's PDPTEs (4.4.1), which serves
 * KELP_FLUSH_ROOT. Global ones go with a change of CR4.PGE (4.10.4.1); while PGE is 0 there are
 * none, and on a CPU without CR4.PGE it must not be touched. Interrupts are off between read
 * and last write, else a handler's change of CR4 would be undone.
 */
static inline void kelp_hw_invalidate_all(const struct kelp_space *space, uint32_t flags)
{
	uintptr_t eflags, cr3, cr4;

	(void)space;
	if (flags & KELP_FLUSH_GLOBAL) {
		__asm__ volatile("pushfl; popl %0; cli" : "=r"(eflags) : : "memory");
		__asm__ volatile("mov %%cr4, %0" : "=r"(cr4) : : "memory");
		if (cr4 & KELP_HW_CR4_PGE) {
			__asm__ volatile("mov %0, %%cr4"
					 : : "r"(cr4 & ~(uintptr_t)KELP_HW_CR4_PGE) : "memory");
			__asm__ volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
		}
		__asm__ volatile("pushl %0; popfl" : : "r"(eflags) : "memory", "cc");
	}
	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3) : : "memory");
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

static inline void kelp_hw_invalidate_end(const struct kelp_space *space)
{
	(void)space;
	__asm__ volatile("" ::: "memory");
}

static inline uint32_t kelp_hw_count_add(uint32_t *counter, uint32_t n)
{
	return __atomic_add_fetch(counter, n, __ATOMIC_ACQ_REL);
}

static inline uint32_t kelp_hw_count_read(const uint32_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

/* One instruction, and stores become visible in program order: nothing more is needed. */
static inline void kelp_hw_local_add(uint32_t *counter, uint32_t n)
{
	__asm__ volatile("addl %1, %0" : "+m"(*counter) : "ri"(n) : "memory", "cc");
}

/* A locked instruction orders write-back memory as MFENCE does (9.2.3.9), and costs less. */
static inline void kelp_hw_fence(void)
{
	__asm__ volatile("lock; orl $0, (%%esp)" : : : "memory", "cc");
}

static inline void kelp_hw_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#endif
