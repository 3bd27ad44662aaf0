/* SPDX-License-Identifier: MIT */
/*
 * thread: preemptible kernel threads, round robin on each CPU; an idle CPU takes from the
 * longest queue.
 */
#ifndef HOLDFAST_THREAD_H
#define HOLDFAST_THREAD_H

#include <kelp/kelp.h>

#include <arch.h>
#include <cpu.h>

#define THREAD_STACK   (16u * 1024u)
#define THREAD_ANY_CPU UINT32_MAX

/* All members are private to thread.c, but name, stack, runs, preempt_off, kmap. */
struct thread {
	struct arch_context context;
	const char *name;
	void (*function)(void *argument);
	void *argument;
	uint8_t *stack;         /* lowest address; NULL: the boot stack */
	uint32_t bound_cpu;     /* THREAD_ANY_CPU or the only CPU it may run on */
	unsigned preempt_off;   /* nesting */
	struct kelp_kmap_context kmap; /* while it holds a map the thread stays on its CPU */
	uint64_t runs;

	struct thread *next;    /* in a run queue, or among the dead */
	bool on_cpu;            /* its registers are not all in `context` */
	struct cpu *last_cpu;

	/* Under the sleep lock. */
	struct thread *sleep_next;
	struct cpu *sleep_cpu;  /* whose timer wakes it; NULL: none */
	uint64_t wake_tick;
	bool blocked;
	bool wake_pending;      /* woken before it slept */
	bool ended;
	bool detached;
	struct thread *joiner;
};

/* Before anything else: the code that runs becomes a thread, on the boot CPU. */
void threads_init_boot(void);
/* Continues the boot thread in `entry`, on a stack like every thread's. */
_Noreturn void threads_move_boot(void (*entry)(void));
/* Gives a CPU its idle thread; all but the boot CPU begin with it. False: no memory. */
bool threads_init_cpu(struct cpu *cpu);

/*
 * Starts a thread; NULL when there is no memory. `cpu`: THREAD_ANY_CPU or an index. Whoever
 * starts it joins or detaches it. Thread context.
 */
struct thread *thread_start(const char *name, void (*function)(void *argument), void *argument,
			    uint32_t cpu);
/* Waits until it has ended, and frees it. */
void thread_join(struct thread *thread);
/* Nobody will join: freed some time after it ends. */
void thread_detach(struct thread *thread);
/* Threads that take memory: running, waiting, or ended and not yet freed; idle ones too. */
unsigned threads_existing(void);
/* Thread context; does not return. */
_Noreturn void thread_exit(void);

void thread_yield(void);
void thread_sleep(uint64_t microseconds);
/* Sleeps until thread_wake(); returns at once if that came first. May wake without reason. */
void thread_block(void);
/* The same, but at the given tick at the latest. */
void thread_block_until(uint64_t tick);
/* Any context. */
void thread_wake(struct thread *thread);

/* Where its stack begins, downwards. */
void *thread_stack_top(const struct thread *thread);

void preempt_disable(void);
void preempt_enable(void);

/* From the architecture: at the timer's tick, and at the end of an interrupt. */
void timer_interrupt(void);
void preempt_at_interrupt_end(void);

/* First code of every new thread; last code of every CPU. */
_Noreturn void thread_begin(void);
_Noreturn void cpu_idle(void);

/* ---- time -------------------------------------------------------------------------------- */

uint64_t time_microseconds(void); /* of the clock; 0 while its speed is not known */
uint64_t microseconds_to_ticks(uint64_t microseconds);
uint64_t ticks_to_microseconds(uint64_t ticks);
uint64_t ticks_to_nanoseconds(uint64_t ticks);
/* Spins; any context after arch_init_interrupts(). */
void time_spin(uint64_t microseconds);

#endif
