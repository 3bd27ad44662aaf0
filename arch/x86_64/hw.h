/* SPDX-License-Identifier: MIT */
/*
 * hw.h, x86_64: the hot primitives. port/hosted/hw.h says what each must do. Citations: Intel
 * SDM volume 3A, revision 081, and volume 2 for instructions.
 *
 * ORDER. x86 stores become visible in program order and loads happen in program order (9.2.2),
 * so entries need plain moves and the compiler kept from moving them.
 *
 * INVALIDATION. INVLPG reaches the current PCID's entries for the address, the global ones, and
 * ALL paging-structure caches of the current PCID (4.10.4.1). What is cached under other PCIDs
 * it does not reach. A space may be cached
 *
 *  - under the current PCID, whatever CR3 says, because its tables may hang in several roots;
 *  - under its own, space->asid, when CR4.PCIDE is set and another one is current: INVPCID, or
 *    without it a toggle of CR4.PGE, which drops everything of all PCIDs;
 *  - under every PCID, when its tables hang in the roots of all address spaces. Then its leaves
 *    are global, or the embedder gives it the asid KELP_ASID_ANY. Global leaves are dropped
 *    by INVLPG, but pointers to their tables are cached under each PCID that used them: with
 *    KELP_FLUSH_TABLES everything goes.
 *
 * KELP_HW_INVPCID, defined to 1 by an embedder whose every CPU has it (CPUID.07H:EBX[10]), uses
 * INVPCID. The default, 0, needs no such CPU and is exact too, only slower with PCIDs.
 */
#ifndef KELP_HW_H
#define KELP_HW_H

#include <kelp/space.h>

#define KELP_HW_BROADCAST 0

#ifndef KELP_HW_INVPCID
#define KELP_HW_INVPCID 0
#endif

#define KELP_HW_CR4_PGE   (UINT64_C(1) << 7)
#define KELP_HW_CR4_PCIDE (UINT64_C(1) << 17)
#define KELP_HW_CR3_PCID  UINT64_C(0xfff)

/* Types of INVPCID (volume 2, INVPCID). */
#define KELP_HW_INVPCID_ADDRESS UINT64_C(0)
#define KELP_HW_INVPCID_CONTEXT UINT64_C(1)
#define KELP_HW_INVPCID_ALL     UINT64_C(2) /* global ones too */

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

static inline uint64_t kelp_hw_read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value) : : "memory");
	return value;
}

static inline uint64_t kelp_hw_read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value) : : "memory");
	return value;
}

static inline void kelp_hw_write_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline void kelp_hw_write_cr4(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static inline void kelp_hw_invpcid(uint64_t type, uint64_t pcid, kelp_vaddr_t va)
{
	const struct {
		uint64_t pcid;
		uint64_t va;
	} descriptor = {pcid, va};

	__asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(type) : "memory");
}

/*
 * Everything of every PCID, global entries included: any change of CR4.PGE does that
 * (4.10.4.1). Interrupts are off between read and last write, else a handler's change of CR4
 * would be undone.
 */
static inline void kelp_hw_invalidate_everything(void)
{
	uint64_t flags, cr4;

	if (KELP_HW_INVPCID) {
		kelp_hw_invpcid(KELP_HW_INVPCID_ALL, 0, 0);
		return;
	}
	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	cr4 = kelp_hw_read_cr4();
	kelp_hw_write_cr4(cr4 ^ KELP_HW_CR4_PGE);
	kelp_hw_write_cr4(cr4);
	__asm__ volatile("pushq %0; popfq" : : "r"(flags) : "memory", "cc");
}

/* May other PCIDs than the current one and the space's hold something that flags ask for? */
static inline bool kelp_hw_in_every_pcid(const struct kelp_space *space, uint32_t flags)
{
	const uint32_t shared_tables = KELP_FLUSH_GLOBAL | KELP_FLUSH_TABLES;

	return space->asid == KELP_ASID_ANY || (flags & shared_tables) == shared_tables;
}

/* INVLPG and the moves to control registers are serializing (9.3), INVPCID is not said to be. */
static inline void kelp_hw_invalidate_begin(const struct kelp_space *space)
{
	(void)space;
	if (KELP_HW_INVPCID)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__asm__ volatile("" ::: "memory");
}

/* One INVLPG drops a large leaf whole, however many entries the TLB keeps for it (4.10.4.1). */
static inline void kelp_hw_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va,
					   unsigned shift, uint32_t flags)
{
	(void)shift;
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
	if (!(kelp_hw_read_cr4() & KELP_HW_CR4_PCIDE))
		return;
	if (kelp_hw_in_every_pcid(space, flags))
		kelp_hw_invalidate_everything();
	else if (space->asid == (kelp_hw_read_cr3() & KELP_HW_CR3_PCID))
		return;
	else if (KELP_HW_INVPCID)
		kelp_hw_invpcid(KELP_HW_INVPCID_ADDRESS, space->asid, va);
	else
		kelp_hw_invalidate_everything();
}

/*
 * A move to CR3 with bit 63 clear drops all but global entries of the PCID that it loads, here
 * the current one (4.10.4.1; bit 63 of CR3 reads as 0).
 */
static inline void kelp_hw_invalidate_all(const struct kelp_space *space, uint32_t flags)
{
	uint64_t cr3 = kelp_hw_read_cr3();
	bool pcids = kelp_hw_read_cr4() & KELP_HW_CR4_PCIDE;
	bool elsewhere = pcids && space->asid != (cr3 & KELP_HW_CR3_PCID);

	if ((flags & KELP_FLUSH_GLOBAL) || (pcids && kelp_hw_in_every_pcid(space, flags)) ||
	    (elsewhere && !KELP_HW_INVPCID)) {
		kelp_hw_invalidate_everything();
		return;
	}
	kelp_hw_write_cr3(cr3);
	if (elsewhere)
		kelp_hw_invpcid(KELP_HW_INVPCID_CONTEXT, space->asid, 0);
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
	__asm__ volatile("lock; orl $0, (%%rsp)" : : : "memory", "cc");
}

static inline void kelp_hw_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#endif
