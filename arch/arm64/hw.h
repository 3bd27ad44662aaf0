/* SPDX-License-Identifier: MIT */
/*
 * hw.h, arm64: the hot primitives of a kernel at EL1, or at EL2 with HCR_EL2.{E2H, TGE} = {1, 1}
 * (VHE), where the same instructions mean EL2&0. The contract is in port/hosted/hw.h. Citations
 * are to the Arm ARM, DDI 0487, issue M.b.
 *
 * ORDER
 *  - A store is STLR: what the CPU stored before, in program order, is observed before it
 *    (B2.3), so a table is filled before the pointer to it is seen, by CPUs and by walkers,
 *    which read the pointer before the table. Nothing weaker than DSB makes a store visible to
 *    the storing CPU's own walker: that is kelp_hw_published().
 *  - A load is LDR: the table's address is computed from the loaded value, and a load through an
 *    address dependency is ordered after the load it depends on (B2.3). The asm hides the value
 *    from the compiler, which cannot replace the dependency by a comparison.
 *  - Invalidation: DSB ISHST before (the entry is visible to all walkers), TLBI broadcast to the
 *    Inner Shareable domain, DSB ISH after (complete everywhere, with the accesses that used
 *    the old translation), ISB (for this CPU's own instruction stream); D8.17.1, RDDMVT.
 *
 * COMPARE-AND-SWAP needs exclusives (or LSE) to work on the tables' memory: Normal cacheable,
 * with the MMU and the data cache on. With the MMU off all data is Device-nGnRnE, where exclusives
 * are not guaranteed to succeed: a kernel turns the MMU on with tables it has at build time, and
 * makes its spaces after that.
 *
 * OPTIONS, defined by the embedder for the whole build:
 *   KELP_ARM64_LSE          FEAT_LSE is there (implied by -march=armv8.1-a and later)
 *   KELP_ARM64_TLBI_RANGE   FEAT_TLBIRANGE is there
 *   KELP_ARM64_REPEAT_TLBI  errata that ask for each TLBI and its DSB twice (Cortex-A76 1286807
 *                           and its relatives)
 */
#ifndef KELP_HW_H
#define KELP_HW_H

#include <kelp/space.h>

#include "arm64.h"

#define KELP_HW_BROADCAST 1

#if defined(__ARM_FEATURE_ATOMICS) && !defined(KELP_ARM64_LSE)
#define KELP_ARM64_LSE
#endif

/* `Q` is a memory operand with a base register and no offset: what LDAXR, STLR, CAS take. */

static inline uint64_t kelp_hw_load64(const uint64_t *slot)
{
	uint64_t value;

	__asm__ volatile("ldr %x0, %1" : "=r"(value) : "Q"(*slot) : "memory");
	return value;
}

static inline uint32_t kelp_hw_load32(const uint32_t *slot)
{
	uint32_t value;

	__asm__ volatile("ldr %w0, %1" : "=r"(value) : "Q"(*slot) : "memory");
	return value;
}

static inline void kelp_hw_store64(uint64_t *slot, uint64_t value)
{
	__asm__ volatile("stlr %x1, %0" : "=Q"(*slot) : "r"(value) : "memory");
}

static inline void kelp_hw_store32(uint32_t *slot, uint32_t value)
{
	__asm__ volatile("stlr %w1, %0" : "=Q"(*slot) : "r"(value) : "memory");
}

static inline bool kelp_hw_swap64(uint64_t *slot, uint64_t *expected, uint64_t desired)
{
	uint64_t wanted = *expected;
	uint64_t found;

#ifdef KELP_ARM64_LSE
	found = wanted;
	__asm__ volatile(".arch_extension lse\n\tcasal %x0, %x2, %1"
			 : "+r"(found), "+Q"(*slot)
			 : "r"(desired)
			 : "memory");
#else
	uint32_t failed;

	__asm__ volatile("1:	ldaxr	%x0, %2\n"
			 "	cmp	%x0, %x3\n"
			 "	b.ne	2f\n"
			 "	stlxr	%w1, %x4, %2\n"
			 "	cbnz	%w1, 1b\n"
			 "2:"
			 : "=&r"(found), "=&r"(failed), "+Q"(*slot)
			 : "r"(wanted), "r"(desired)
			 : "cc", "memory");
#endif
	*expected = found;
	return found == wanted;
}

static inline bool kelp_hw_swap32(uint32_t *slot, uint32_t *expected, uint32_t desired)
{
	uint32_t wanted = *expected;
	uint32_t found;

#ifdef KELP_ARM64_LSE
	found = wanted;
	__asm__ volatile(".arch_extension lse\n\tcasal %w0, %w2, %1"
			 : "+r"(found), "+Q"(*slot)
			 : "r"(desired)
			 : "memory");
#else
	uint32_t failed;

	__asm__ volatile("1:	ldaxr	%w0, %2\n"
			 "	cmp	%w0, %w3\n"
			 "	b.ne	2f\n"
			 "	stlxr	%w1, %w4, %2\n"
			 "	cbnz	%w1, 1b\n"
			 "2:"
			 : "=&r"(found), "=&r"(failed), "+Q"(*slot)
			 : "r"(wanted), "r"(desired)
			 : "cc", "memory");
#endif
	*expected = found;
	return found == wanted;
}

/* Nobody sees the table yet; the STLR that publishes it orders these. */
static inline void kelp_hw_fill64(uint64_t *slot, unsigned count, uint64_t value, uint64_t step)
{
	for (unsigned i = 0; i < count; i++)
		slot[i] = value + step * i;
}

static inline void kelp_hw_fill32(uint32_t *slot, unsigned count, uint32_t value, uint32_t step)
{
	for (unsigned i = 0; i < count; i++)
		slot[i] = value + step * i;
}

static inline void kelp_hw_published(void)
{
	__asm__ volatile("dsb ishst\n\tisb" : : : "memory");
}

/* ---- invalidation ---------------------------------------------------------------------------- */

#ifdef KELP_ARM64_REPEAT_TLBI
#define KELP_ARM64_TLBI(instruction, ...)                                                          \
	__asm__ volatile(instruction "\n\tdsb ish\n\t" instruction : : __VA_ARGS__ : "memory")
#else
#define KELP_ARM64_TLBI(instruction, ...) __asm__ volatile(instruction : : __VA_ARGS__ : "memory")
#endif

/*
 * Does the invalidation concern every ASID? VA and ASID forms reach global leaves and, of what is
 * cached above a leaf, only what bears the given ASID (RVMSWQ). What TTBR1_EL1 translates is
 * walked under whatever ASID the CPU runs at the moment, so a space of the high half always means
 * all of them.
 */
static inline bool kelp_arm64_every_asid(const struct kelp_space *space, uint32_t flags)
{
	return (flags & KELP_FLUSH_GLOBAL) || (space->format->features & KELP_ARM64_HIGH_HALF);
}

static inline void kelp_hw_invalidate_begin(const struct kelp_space *space)
{
	(void)space;
	__asm__ volatile("dsb ishst" : : : "memory");
}

/* One TLBI for one block or page. */
static inline void kelp_arm64_tlbi_page(uint64_t operand, bool every_asid, bool tables)
{
	if (every_asid && tables)
		KELP_ARM64_TLBI("tlbi vaae1is, %0", "r"(operand));
	else if (every_asid)
		KELP_ARM64_TLBI("tlbi vaale1is, %0", "r"(operand));
	else if (tables)
		KELP_ARM64_TLBI("tlbi vae1is, %0", "r"(operand));
	else
		KELP_ARM64_TLBI("tlbi vale1is, %0", "r"(operand));
}

#ifdef KELP_ARM64_TLBI_RANGE
/*
 * The same for a range (FEAT_TLBIRANGE): RVAAE1IS, RVAALE1IS, RVAE1IS, RVALE1IS, as SYS
 * instructions, which every assembler takes (op1 0, CRn 8, CRm 2, op2 3, 7, 1, 5).
 */
static inline void kelp_arm64_tlbi_range(uint64_t operand, bool every_asid, bool tables)
{
	if (every_asid && tables)
		KELP_ARM64_TLBI("sys #0, c8, c2, #3, %0", "r"(operand));
	else if (every_asid)
		KELP_ARM64_TLBI("sys #0, c8, c2, #7, %0", "r"(operand));
	else if (tables)
		KELP_ARM64_TLBI("sys #0, c8, c2, #1, %0", "r"(operand));
	else
		KELP_ARM64_TLBI("sys #0, c8, c2, #5, %0", "r"(operand));
}
#endif

static inline void kelp_hw_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va,
					   unsigned shift, uint32_t flags)
{
	const struct kelp_format *format = space->format;
	bool every_asid = kelp_arm64_every_asid(space, flags);
	bool tables = flags & KELP_FLUSH_TABLES;
	uint32_t asid = every_asid ? 0 : space->asid;
	unsigned level = 0;
	unsigned count;

	/* One TLBI covers one block or page; a contiguous group needs one for each (IJQPNP). */
	while (level + 1u < format->levels && format->shift[level + 1u] <= shift)
		level++;
	count = shift > format->shift[level] ? 1u << (shift - format->shift[level]) : 1u;
#ifdef KELP_ARM64_TLBI_RANGE
	uint64_t range;

	if (count > 1 && kelp_arm64_tlbi_range_operand(format, va, shift - format->page_shift,
						       asid, &range)) {
		kelp_arm64_tlbi_range(range, every_asid, tables);
		return;
	}
#endif
	for (unsigned i = 0; i < count; i++) {
		kelp_arm64_tlbi_page(kelp_arm64_tlbi_operand(va, asid), every_asid, tables);
		va += UINT64_C(1) << format->shift[level];
	}
}

/* ASIDE1IS reaches what is cached above the leaves too, if it bears the ASID. */
static inline void kelp_hw_invalidate_all(const struct kelp_space *space, uint32_t flags)
{
	if (kelp_arm64_every_asid(space, flags)) {
		__asm__ volatile("tlbi vmalle1is" : : : "memory");
#ifdef KELP_ARM64_REPEAT_TLBI
		__asm__ volatile("dsb ish\n\ttlbi vmalle1is" : : : "memory");
#endif
		return;
	}
	KELP_ARM64_TLBI("tlbi aside1is, %0", "r"(kelp_arm64_tlbi_operand(0, space->asid)));
}

static inline void kelp_hw_invalidate_end(const struct kelp_space *space)
{
	(void)space;
	__asm__ volatile("dsb ish\n\tisb" : : : "memory");
}

/* ---- counters -------------------------------------------------------------------------------- */

static inline uint32_t kelp_hw_count_add(uint32_t *counter, uint32_t n)
{
	uint32_t value;

#ifdef KELP_ARM64_LSE
	__asm__ volatile(".arch_extension lse\n\tldaddal %w2, %w0, %1"
			 : "=&r"(value), "+Q"(*counter)
			 : "r"(n)
			 : "memory");
	value += n;
#else
	uint32_t failed;

	__asm__ volatile("1:	ldaxr	%w0, %2\n"
			 "	add	%w0, %w0, %w3\n"
			 "	stlxr	%w1, %w0, %2\n"
			 "	cbnz	%w1, 1b"
			 : "=&r"(value), "=&r"(failed), "+Q"(*counter)
			 : "r"(n)
			 : "memory");
#endif
	return value;
}

static inline uint32_t kelp_hw_count_read(const uint32_t *counter)
{
	uint32_t value;

	__asm__ volatile("ldar %w0, %1" : "=r"(value) : "Q"(*counter) : "memory");
	return value;
}

/* An interrupt between the exclusives clears the monitor: the addition is tried again. */
static inline void kelp_hw_local_add(uint32_t *counter, uint32_t n)
{
#ifdef KELP_ARM64_LSE
	__asm__ volatile(".arch_extension lse\n\tstaddl %w1, %0"
			 : "+Q"(*counter)
			 : "r"(n)
			 : "memory");
#else
	uint32_t value, failed;

	__asm__ volatile("1:	ldxr	%w0, %2\n"
			 "	add	%w0, %w0, %w3\n"
			 "	stlxr	%w1, %w0, %2\n"
			 "	cbnz	%w1, 1b"
			 : "=&r"(value), "=&r"(failed), "+Q"(*counter)
			 : "r"(n)
			 : "memory");
#endif
}

static inline void kelp_hw_fence(void)
{
	__asm__ volatile("dmb ish" ::: "memory");
}

static inline void kelp_hw_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

#endif
