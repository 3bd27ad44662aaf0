/* SPDX-License-Identifier: MIT */
/*
 * cpu: one struct per CPU, calls from one to the others, and TLB shootdowns.
 */
#ifndef HOLDFAST_CPU_H
#define HOLDFAST_CPU_H

#include <kelp/kelp.h>

#include <arch.h>
#include <frames.h>
#include <lock.h>

#define CPUS_MAX 64

/* A set of CPUs. Words, because not every machine has 64-bit atomics. */
#define CPUSET_WORD_BITS (8u * (unsigned)sizeof(unsigned long))
#define CPUSET_WORDS     ((CPUS_MAX + CPUSET_WORD_BITS - 1u) / CPUSET_WORD_BITS)
struct cpuset {
	unsigned long word[CPUSET_WORDS];
};

/* What one CPU asks of others: everybody runs `function`, then counts `waiting` down. */
struct cpu_call {
	void (*function)(void *argument);
	void *argument;
	uint32_t waiting;
};

struct cpu_stats {
	uint64_t shootdowns;        /* asked of others */
	uint64_t interrupts_sent;
	uint64_t interrupts_saved;  /* the target had mail already: one interrupt serves both */
	uint64_t calls_answered;
	uint64_t answered_spinning; /* of these, while waiting for a lock or an answer */
	uint64_t timer_interrupts;
	uint64_t switches;
	uint64_t migrations;
};

struct cpu {
	struct cpu *self; /* first: arch reads it through its per-CPU register */
	struct thread *current;
	unsigned index;
	uint32_t hardware_id;
	bool online;
	unsigned reading; /* inside a read section of the tables: no shootdown is answered */

	/* Mail: bit n set = CPU n's `call` is for us. */
	struct cpuset mail cache_aligned;
	struct cpu_call call cache_aligned;

	struct spinlock queue_lock cache_aligned;
	struct thread *queue_first;
	struct thread **queue_last;
	unsigned queue_length;
	struct thread *idle;
	struct thread *previous; /* switched away from, not yet let go of */
	bool requeue_previous;
	bool reschedule;
	unsigned interrupt_depth;
	uint64_t slice_end;
	uint64_t timer_tick; /* what the timer is set to */

	struct frame_cache frames cache_aligned;
	struct cpu_stats stats;
	struct arch_cpu arch;
};

/* Filled in order of index; those below cpu_count exist, not all need be online. */
extern struct cpu *cpus[CPUS_MAX];
extern unsigned cpu_count;
extern struct cpu boot_cpu;

/* Starts every CPU the machine has, up to `limit`. Returns how many run. */
unsigned cpus_start(unsigned limit);

/* Where a started CPU enters the shared code: never returns. */
_Noreturn void cpu_main(void);

/*
 * Runs `function` on every other online CPU and returns when all have. On the others it runs
 * with interrupts off and takes no locks. Any context in which no lock is held that is taken
 * with interrupts off and without spin_lock(). Returns how many ran it.
 */
unsigned cpus_call(void (*function)(void *argument), void *argument);

/*
 * Interrupts are off: answers what other CPUs asked. From the interrupt, and from spinning, where
 * nothing is answered inside a read section: see vm_read_begin().
 */
void cpu_answer_calls(bool spinning);
void cpu_interrupted(void);

#endif
