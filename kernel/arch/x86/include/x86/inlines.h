/* SPDX-License-Identifier: MIT */
/* inlines: those of <arch.h> that are the same on x86_64 and on x86_32; for <machine/cpu.h>. */
#ifndef HOLDFAST_X86_INLINES_H
#define HOLDFAST_X86_INLINES_H

#include <base.h>

/* Without a suffix PUSHF and POP take the width of the mode. */
static inline bool arch_irqs_enabled(void)
{
	unsigned long flags;

	__asm__ volatile("pushf; pop %0" : "=r"(flags));
	return flags & 0x200u;
}

static inline void arch_irq_enable(void)
{
	__asm__ volatile("sti" ::: "memory");
}

static inline void arch_irq_disable(void)
{
	__asm__ volatile("cli" ::: "memory");
}

static inline unsigned long arch_irq_save(void)
{
	unsigned long flags;

	__asm__ volatile("pushf; pop %0; cli" : "=r"(flags)::"memory");
	return flags;
}

static inline void arch_irq_restore(unsigned long flags)
{
	if (flags & 0x200u)
		arch_irq_enable();
}

static inline void arch_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

/* The instruction after STI still runs with interrupts held off (SDM 2B, STI). */
static inline void arch_wait(void)
{
	__asm__ volatile("sti; hlt" ::: "memory");
}

/* Loads and stores of memory and of registers already keep the order we need (SDM 8.2.2). */
static inline void arch_device_fence(void)
{
	__asm__ volatile("" ::: "memory");
}

/* What is added to the counter, so that ticks go on where they were after the power was off. */
extern uint64_t arch_ticks_offset;

static inline uint64_t arch_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
	return ((uint64_t)high << 32 | low) + arch_ticks_offset;
}

static inline uintptr_t arch_stack_frame(void)
{
	return (uintptr_t)__builtin_frame_address(0);
}

#endif
