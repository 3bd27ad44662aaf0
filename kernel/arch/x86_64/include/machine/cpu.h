/* SPDX-License-Identifier: MIT */
/* cpu: the inlines and structs that <arch.h> asks for, on x86_64. */
#ifndef HOLDFAST_MACHINE_CPU_H
#define HOLDFAST_MACHINE_CPU_H

#include <base.h>
#include <x86/inlines.h>

struct cpu;
struct thread;

/* As vectors.S builds it; from lower to higher addresses. Shared code knows the last two lines. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t bp, di, si, dx, cx, bx, ax;
	uint64_t vector, code;
	uint64_t ip, cs, flags, sp, ss;
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

/* What the interrupted code's stack pointer was, and what user mode leaves for a probe. */
static inline uintptr_t trap_stack_pointer(const struct trap_frame *frame)
{
	return frame->sp;
}

static inline uint64_t trap_value(const struct trap_frame *frame)
{
	return frame->ax;
}

struct probe_state;

/* A CPU's registers while its machine is being carried over; resume_entry.S knows the order. */
struct arch_frozen {
	uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

struct arch_cpu {
	uint64_t gdt[7];
	struct tss tss;
	void *fault_stack[FAULT_STACKS]; /* lowest addresses */
	struct probe_state *probe;       /* not NULL: a fault is expected */
	uint64_t timer_tick;             /* when the timer is set for */
	bool ready;                      /* started and in C */
	struct arch_frozen *frozen;      /* not NULL: where it goes on when it starts */
};

struct arch_context {
	uint64_t rsp;
};

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

#endif
