/* SPDX-License-Identifier: MIT */
/*
 * hw.h, riscv64: the hot primitives. port/hosted/hw.h says what each must do. Citations: The
 * RISC-V Instruction Set Manual, volume II, version 20240411, section "Supervisor Memory-
 * Management Fence Instruction" and chapters Svinval, Svnapot, Svvptc; volume I, chapter RVWMO.
 *
 * INVALIDATION. SFENCE.VMA rs1, rs2:
 *
 *  - rs2 = x0 reaches every ASID and global entries; another register reaches the ASID in it and
 *    no global entries. Which register it is decides, not the value: zero must be in a real one.
 *  - rs1 = x0 reaches every level of the tables; another register reaches only leaf entries for
 *    the address in it. A changed pointer to a table needs rs1 = x0.
 *  - A hart may keep a 64 KiB group as sixteen small entries, so each of the sixteen pages is
 *    fenced (chapter Svnapot). A large page needs one address within it.
 *
 * An address-space tag is private to its hart, and so is the fence: other harts are told by the
 * port's shootdown (SBI RFENCE or an interrupt). A space whose tables hang in the roots of all
 * address spaces has global leaves, or the asid KELP_ASID_ANY.
 *
 * KELP_HW_SVINVAL, defined to 1 by an embedder whose every hart has Svinval, splits the fence:
 * order once, invalidate each, order once.
 */
#ifndef KELP_HW_H
#define KELP_HW_H

#include <kelp/space.h>

#define KELP_HW_BROADCAST 0

#ifndef KELP_HW_SVINVAL
#define KELP_HW_SVINVAL 0
#endif

/*
 * The walk continues at the address that was loaded, and loads whose address depends on a load
 * are ordered after it (RVWMO, preserved program order, rule 9): no fence is needed.
 */
static inline uint64_t kelp_hw_load64(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
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
	for (unsigned i = 0; i < count; i++, value += step)
		slot[i] = value;
}

static inline uint32_t kelp_hw_load32(const uint32_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
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

/*
 * Only SFENCE.VMA orders a store before this hart's walker, and the gather issues it: a format
 * without Svvptc says caches_invalid, so that even a plain map gathers. With Svvptc an entry
 * that became valid is seen within a bounded time, and the embedder retries a fault that comes
 * earlier. What is left to do here is to order the entries before whatever tells others.
 */
static inline void kelp_hw_published(void)
{
	__asm__ volatile("fence w, rw" ::: "memory");
}

/* Keeps the compiler from using x0 for a value that it knows to be zero. */
static inline uint64_t kelp_hw_in_register(uint64_t value)
{
	__asm__("" : "+r"(value));
	return value;
}

static inline void kelp_hw_fence_address(uint64_t va, uint64_t asid)
{
	va = kelp_hw_in_register(va);
	asid = kelp_hw_in_register(asid);
	if (KELP_HW_SVINVAL) /* sinval.vma rs1, rs2 */
		__asm__ volatile(".insn r 0x73, 0, 0x0b, x0, %0, %1"
				 : : "r"(va), "r"(asid) : "memory");
	else
		__asm__ volatile("sfence.vma %0, %1" : : "r"(va), "r"(asid) : "memory");
}

static inline void kelp_hw_fence_address_all(uint64_t va)
{
	va = kelp_hw_in_register(va);
	if (KELP_HW_SVINVAL)
		__asm__ volatile(".insn r 0x73, 0, 0x0b, x0, %0, x0" : : "r"(va) : "memory");
	else
		__asm__ volatile("sfence.vma %0, x0" : : "r"(va) : "memory");
}

/*
 * SFENCE.VMA orders for its own hart only: before other harts are asked to execute theirs, the
 * hart that wrote executes a data fence (section "Supervisor Memory-Management Fence
 * Instruction").
 */
static inline void kelp_hw_invalidate_begin(const struct kelp_space *space)
{
	(void)space;
	kelp_hw_published();
	if (KELP_HW_SVINVAL) /* sfence.w.inval */
		__asm__ volatile(".insn r 0x73, 0, 0x0c, x0, x0, x0" ::: "memory");
	else
		__asm__ volatile("" ::: "memory");
}

static inline void kelp_hw_invalidate_all(const struct kelp_space *space, uint32_t flags)
{
	bool every = (flags & KELP_FLUSH_GLOBAL) || space->asid == KELP_ASID_ANY;
	uint64_t asid = kelp_hw_in_register(space->asid);

	if (KELP_HW_SVINVAL && every)
		__asm__ volatile(".insn r 0x73, 0, 0x0b, x0, x0, x0" ::: "memory");
	else if (KELP_HW_SVINVAL)
		__asm__ volatile(".insn r 0x73, 0, 0x0b, x0, x0, %0" : : "r"(asid) : "memory");
	else if (every)
		__asm__ volatile("sfence.vma x0, x0" ::: "memory");
	else
		__asm__ volatile("sfence.vma x0, %0" : : "r"(asid) : "memory");
}

static inline void kelp_hw_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va,
					   unsigned shift, uint32_t flags)
{
	/* No leaf is of 64 KiB but a group of sixteen. */
	unsigned pages = shift == 16 ? 16 : 1;

	if (flags & KELP_FLUSH_TABLES) {
		kelp_hw_invalidate_all(space, flags);
		return;
	}
	for (unsigned i = 0; i < pages; i++, va += 4096) {
		if ((flags & KELP_FLUSH_GLOBAL) || space->asid == KELP_ASID_ANY)
			kelp_hw_fence_address_all(va);
		else
			kelp_hw_fence_address(va, space->asid);
	}
}

static inline void kelp_hw_invalidate_end(const struct kelp_space *space)
{
	(void)space;
	if (KELP_HW_SVINVAL) /* sfence.inval.ir */
		__asm__ volatile(".insn r 0x73, 0, 0x0c, x0, x0, x1" ::: "memory");
	else
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

static inline void kelp_hw_local_add(uint32_t *counter, uint32_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}

static inline void kelp_hw_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* PAUSE of Zihintpause, a FENCE that is a hint elsewhere (unprivileged ISA, Zihintpause). */
static inline void kelp_hw_relax(void)
{
	__asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory");
}

#endif
