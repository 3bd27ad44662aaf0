/* SPDX-License-Identifier: MIT */
/*
 * hibernate_freeze: every thread stopped where it may be preempted, every other CPU a worker.
 *
 * A thread that is bound to each CPU takes it over and does not let go. It got there by a switch,
 * so the thread before it held no lock and is in a queue like any other that does not run.
 */
#include "hibernate_private.h"

#include <print.h>
#include <thread.h>

static struct {
	struct thread *thread[CPUS_MAX];
	struct arch_frozen registers[CPUS_MAX];
	uint32_t others;           /* CPUs that are to be parked */
	uint32_t parked;           /* of these, those that are */
	uint32_t back;             /* that came back in the resumed machine */
	uint32_t released;
	/* One job at a time. */
	void (*function)(void *argument, unsigned cpu);
	void *argument;
	uint32_t job;              /* its number */
	uint32_t seen[CPUS_MAX];   /* the last one that this CPU did */
	unsigned number[CPUS_MAX]; /* of a CPU among the workers: no gaps */
	uint32_t running;
	/* Asked to stand still, and those that do. */
	uint32_t still;
	uint32_t calm[CPUS_MAX];
} frozen;

/*
 * Who waits lets go of its processor: where CPUs are emulated another one may need it. Interrupts
 * come, calls are answered, and nothing is scheduled, because preemption is off.
 */
#define NAP_MICROSECONDS 50u

void frozen_nap(void)
{
	arch_timer_set(arch_ticks() + microseconds_to_ticks(NAP_MICROSECONDS));
	arch_wait();
	arch_irq_disable();
}

/* In memory and not in a register: it is read on either side of arch_freeze(). */
static void work(unsigned index)
{
	while (!__atomic_load_n(&frozen.released, __ATOMIC_ACQUIRE)) {
		uint32_t job = __atomic_load_n(&frozen.job, __ATOMIC_ACQUIRE);

		while (__atomic_load_n(&frozen.still, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&frozen.calm[index], 1, __ATOMIC_RELEASE);
			cpu_answer_calls(true);
			arch_relax();
		}
		__atomic_store_n(&frozen.calm[index], 0, __ATOMIC_RELEASE);
		if (job == frozen.seen[index]) {
			frozen_nap();
			continue;
		}
		frozen.seen[index] = job;
		frozen.function(frozen.argument, frozen.number[index]);
		__atomic_fetch_sub(&frozen.running, 1, __ATOMIC_ACQ_REL);
	}
}

/* The thread of one CPU. */
static void park(void *argument)
{
	unsigned index = (unsigned)(uintptr_t)argument;

	preempt_disable();
	arch_irq_disable();
	/* Pages in a cache are free, and free pages are not saved. */
	frames_drain();
	if (arch_freeze(&frozen.registers[index])) {
		/* The timer knows nothing any more. */
		arch_timer_set(this_cpu()->timer_tick);
		__atomic_fetch_add(&frozen.back, 1, __ATOMIC_ACQ_REL);
	} else {
		__atomic_fetch_add(&frozen.parked, 1, __ATOMIC_ACQ_REL);
	}
	work(index);
	/* The naps took the timer; nobody here knows what it was set for. */
	arch_timer_set(arch_ticks());
	arch_irq_enable();
	preempt_enable();
}

static void release(void)
{
	__atomic_store_n(&frozen.released, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < cpu_count; i++) {
		if (frozen.thread[i])
			thread_join(frozen.thread[i]);
		frozen.thread[i] = NULL;
	}
}

bool freeze(void)
{
	assert(this_cpu() == &boot_cpu);
	frozen.others = frozen.parked = frozen.released = frozen.running = frozen.job = 0;
	frozen.still = 0;
	memset(frozen.seen, 0, sizeof(frozen.seen));
	for (unsigned i = 1; i < cpu_count; i++) {
		if (!cpus[i]->online)
			continue;
		frozen.number[i] = frozen.others + 1u;
		frozen.thread[i] = thread_start("frozen", park, (void *)(uintptr_t)i, i);
		if (!frozen.thread[i]) {
			kprintf("hibernate: no memory to stop CPU %u\n", i);
			release();
			return false;
		}
		frozen.others++;
	}
	while (__atomic_load_n(&frozen.parked, __ATOMIC_ACQUIRE) < frozen.others)
		thread_sleep(1000);
	/* Those that are ready are in our queue, and we are not preempted any more. */
	preempt_disable();
	frames_drain();
	return true;
}

void unfreeze(void)
{
	preempt_enable();
	release();
}

void frozen_run(void (*function)(void *argument, unsigned cpu), void *argument)
{
	unsigned long flags = arch_irq_save();

	frozen.function = function;
	frozen.argument = argument;
	__atomic_store_n(&frozen.running, frozen.others, __ATOMIC_RELAXED);
	__atomic_fetch_add(&frozen.job, 1, __ATOMIC_ACQ_REL);
	function(argument, 0);
	while (__atomic_load_n(&frozen.running, __ATOMIC_ACQUIRE))
		frozen_nap();
	arch_timer_set(arch_ticks());
	arch_irq_restore(flags);
}

/*
 * A napping CPU may be in an interrupt, with a lock held and its depth counted: the state that is
 * saved must not be that.
 */
void frozen_be_still(bool still)
{
	__atomic_store_n(&frozen.still, still, __ATOMIC_RELEASE);
	for (unsigned i = 1; i < cpu_count; i++) {
		while (still && frozen.thread[i] &&
		       !__atomic_load_n(&frozen.calm[i], __ATOMIC_ACQUIRE)) {
			cpu_answer_calls(true);
			arch_relax();
		}
	}
}

unsigned frozen_cpus(void)
{
	return frozen.others + 1u;
}

struct arch_frozen *frozen_boot_registers(void)
{
	return &frozen.registers[0];
}

bool frozen_resume_cpus(void)
{
	frozen.back = 0;
	for (unsigned i = 1; i < cpu_count; i++) {
		uint32_t before = frozen.back;

		if (!frozen.thread[i])
			continue;
		if (!arch_thaw_cpu(cpus[i], &frozen.registers[i])) {
			kprintf("hibernate: CPU %u does not come back\n", i);
			return false;
		}
		while (__atomic_load_n(&frozen.back, __ATOMIC_ACQUIRE) == before)
			arch_relax();
	}
	return true;
}
