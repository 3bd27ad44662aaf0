/* SPDX-License-Identifier: MIT */
/* cpu: the inlines and structs that <arch.h> asks for, on x86_64. */
#ifndef HOLDFAST_MACHINE_CPU_H
#define HOLDFAST_MACHINE_CPU_H

#include <base.h>

struct cpu;
struct thread;

/* As vectors.S builds it; from lower to higher addresses. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, code;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* SDM 8.7, figure 8-11: the 64-bit TSS. */
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map_base;
} __attribute__((packed));

/* Stacks for faults that must not use the one they happened on. */
enum fault_stack {
	FAULT_STACK_DOUBLE,
	FAULT_STACK_NMI,
	FAULT_STACK_MACHINE_CHECK,
	FAULT_STACK_FROM_USER, /* not for a fault: what user mode's exceptions come in on */
	FAULT_STACKS,
};
#define FAULT_STACK_SIZE 8192u

/* An expected fault: where it goes unless there is a fixup, and what it was. See probe.S. */
struct probe_state {
	uint64_t resume_rip;
	uint64_t resume_rsp;
	bool faulted;
	uint64_t value; /* rax, from user mode */
	uint64_t vector;
	uint64_t code;
	uint64_t address;
};

struct arch_cpu {
	uint64_t gdt[7];
	struct tss tss;
	void *fault_stack[FAULT_STACKS]; /* lowest addresses */
	struct probe_state *probe;       /* not NULL: a fault is expected */
	uint64_t timer_tick;             /* when the timer is set for */
	bool ready;                      /* started and in C */
};

struct arch_context {
	uint64_t rsp;
};

static inline bool arch_irqs_enabled(void)
{
	unsigned long flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
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

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
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

/* GS points to struct cpu, whose first members are itself and its thread. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

static inline struct thread *current_thread(void)
{
	struct thread *thread;

	__asm__ volatile("movq %%gs:8, %0" : "=r"(thread));
	return thread;
}

static inline void arch_set_current_thread(struct thread *thread)
{
	__asm__ volatile("movq %0, %%gs:8" ::"r"(thread) : "memory");
}

static inline uint64_t arch_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

static inline uintptr_t arch_stack_frame(void)
{
	return (uintptr_t)__builtin_frame_address(0);
}

#endif
