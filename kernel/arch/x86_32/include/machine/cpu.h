/* SPDX-License-Identifier: MIT */
/* cpu: the inlines and structs that <arch.h> asks for, on x86_32. */
#ifndef HOLDFAST_MACHINE_CPU_H
#define HOLDFAST_MACHINE_CPU_H

#include <base.h>
#include <machine/layout.h>
#include <x86/inlines.h>

struct cpu;
struct thread;
struct probe_state;

/*
 * As vectors.S builds it; from lower to higher addresses. Shared code knows the last two lines.
 * A trap out of the kernel pushes neither stack pointer nor SS: `sp` and `ss` are not there then.
 */
struct trap_frame {
	uint32_t di, si, bp, unused, bx, dx, cx, ax; /* PUSHA */
	uint32_t vector, code;
	uint32_t ip, cs, flags, sp, ss;
};

/* SDM volume 3A, 8.2.1, figure 8-2: the 32-bit TSS. */
struct tss {
	uint32_t link;
	struct {
		uint32_t sp, ss;
	} ring[3];
	uint32_t cr3;
	uint32_t ip, flags;
	uint32_t ax, cx, dx, bx, sp, bp, si, di;
	uint32_t es, cs, ss, ds, fs, gs;
	uint32_t ldt;
	uint16_t trap, io_map_base;
};

/*
 * Faults that must not use the stack they happened on come in through a task gate: the CPU leaves
 * all registers in the TSS of the interrupted code and loads others from the fault's own.
 */
enum fault_task {
	FAULT_TASK_DOUBLE,
	FAULT_TASK_NMI,
	FAULT_TASK_MACHINE_CHECK,
	FAULT_TASKS,
};
#define FAULT_STACK_SIZE 8192u

struct arch_cpu {
	uint64_t gdt[SELECTORS];
	struct tss tss;
	struct tss fault_task[FAULT_TASKS];
	void *fault_stack[FAULT_TASKS + 1]; /* lowest addresses; the last is for user mode's traps */
	struct probe_state *probe;          /* not NULL: a fault is expected */
	uint64_t timer_tick;                /* when the timer is set for */
	bool ready;                         /* started and in C */
};

struct arch_context {
	uint32_t sp;
};

/* Where the interrupted code's stack ended. */
uintptr_t trap_stack_pointer(const struct trap_frame *frame);

/* What user mode leaves for a probe. */
static inline uint64_t trap_value(const struct trap_frame *frame)
{
	return (uint64_t)frame->dx << 32 | frame->ax;
}

/* GS points to struct cpu, whose first members are itself and its thread. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__ volatile("movl %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

static inline struct thread *current_thread(void)
{
	struct thread *thread;

	__asm__ volatile("movl %%gs:4, %0" : "=r"(thread));
	return thread;
}

static inline void arch_set_current_thread(struct thread *thread)
{
	__asm__ volatile("movl %0, %%gs:4" ::"r"(thread) : "memory");
}

#endif
