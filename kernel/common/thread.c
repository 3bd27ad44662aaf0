/* SPDX-License-Identifier: MIT */
/*
 * thread: round robin on each CPU. A thread that does not run is in one CPU's queue, or blocked.
 *
 * A switch is made under the queue lock of its CPU, which the next thread releases. Until then
 * the old thread's `on_cpu` is true, and a CPU that was quick to take it up waits for that.
 */
#include <thread.h>

#include <print.h>
#include <reach.h>
#include <vm.h>

#define SLICE_MICROSECONDS 10000u
#define NEVER UINT64_MAX

static struct thread boot_thread = {
	.name = "main",
	.bound_cpu = 0,
	.on_cpu = true,
	.last_cpu = &boot_cpu,
};

static struct spinlock sleep_lock = SPINLOCK("sleepers");
static struct thread *sleepers; /* in order of wake_tick */
static unsigned existing;
static struct thread *dead;     /* detached and ended; freed by the next start */

/* ---- timers ------------------------------------------------------------------------------ */

/* Interrupts are off. The slice's end or the first of our sleepers, whichever is sooner. */
static void program_timer(struct cpu *cpu)
{
	uint64_t tick = cpu->slice_end;

	if (__atomic_load_n(&sleepers, __ATOMIC_RELAXED)) {
		unsigned long flags = spin_lock_irqsave(&sleep_lock);
		const struct thread *first = sleepers;

		while (first && first->sleep_cpu != cpu)
			first = first->sleep_next;
		if (first)
			tick = min_u64(tick, first->wake_tick);
		spin_unlock_irqrestore(&sleep_lock, flags);
	}
	if (tick != cpu->timer_tick) {
		cpu->timer_tick = tick;
		arch_timer_set(tick);
	}
}

static void start_slice(struct cpu *cpu)
{
	cpu->slice_end = arch_ticks() + microseconds_to_ticks(SLICE_MICROSECONDS);
}

/* ---- queues ------------------------------------------------------------------------------ */

static void enqueue(struct cpu *cpu, struct thread *thread)
{
	thread->next = NULL;
	*cpu->queue_last = thread;
	cpu->queue_last = &thread->next;
	cpu->queue_length++;
}

static struct thread *dequeue(struct cpu *cpu, struct thread **link)
{
	struct thread *thread = *link;

	*link = thread->next;
	if (cpu->queue_last == &thread->next)
		cpu->queue_last = link;
	cpu->queue_length--;
	return thread;
}

static unsigned load_of(const struct cpu *cpu)
{
	return cpu->queue_length + (cpu->current != cpu->idle);
}

/* Interrupts are off. Puts a thread that may run into the shortest queue it may be in. */
static void make_ready(struct thread *thread)
{
	struct cpu *cpu = this_cpu();
	unsigned long flags;

	if (thread->bound_cpu != THREAD_ANY_CPU)
		cpu = cpus[thread->bound_cpu];
	else if (__atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE) || thread->kmap.depth)
		/* Its CPU has not let go of it: elsewhere two CPUs could wait for each other. */
		cpu = thread->last_cpu;
	else
		for (unsigned i = 0; i < cpu_count; i++)
			if (cpus[i]->online && load_of(cpus[i]) < load_of(cpu))
				cpu = cpus[i];
	flags = spin_lock_irqsave(&cpu->queue_lock);
	enqueue(cpu, thread);
	cpu->reschedule = true;
	spin_unlock_irqrestore(&cpu->queue_lock, flags);
	if (cpu != this_cpu()) {
		arch_interrupt_cpu(cpu);
	} else if (cpu->slice_end == NEVER) {
		start_slice(cpu);
		program_timer(cpu);
	}
}

/* For an idle CPU: the first thread that may move, of the longest queue. Interrupts are off. */
static struct thread *steal(struct cpu *thief)
{
	struct cpu *victim = NULL;
	struct thread *thread = NULL;
	unsigned long flags;

	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i] != thief && cpus[i]->queue_length &&
		    (!victim || cpus[i]->queue_length > victim->queue_length))
			victim = cpus[i];
	if (!victim)
		return NULL;
	flags = spin_lock_irqsave(&victim->queue_lock);
	for (struct thread **link = &victim->queue_first; *link; link = &(*link)->next) {
		if ((*link)->bound_cpu == THREAD_ANY_CPU && !(*link)->kmap.depth) {
			thread = dequeue(victim, link);
			break;
		}
	}
	spin_unlock_irqrestore(&victim->queue_lock, flags);
	thief->stats.migrations += thread != NULL;
	return thread;
}

/* ---- the switch -------------------------------------------------------------------------- */

/* On the new thread's stack, interrupts off: what the old one could not do for itself. */
static void finish_switch(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *previous = cpu->previous;

	kelp_kmap_switch_in(&kernel_kmap, &current_thread()->kmap, cpu->index);
	if (cpu->requeue_previous)
		enqueue(cpu, previous);
	__atomic_store_n(&previous->on_cpu, false, __ATOMIC_RELEASE);
	spin_unlock_irqrestore(&cpu->queue_lock, 0);
}

/*
 * Runs the next thread of this CPU. Interrupts are off. With `requeue` the current thread goes on
 * when its turn comes; without, somebody else has or will put it into a queue.
 */
static void schedule(bool requeue)
{
	struct cpu *cpu = this_cpu();
	struct thread *from = current_thread(), *to = NULL;

	assert(from->preempt_off == 0 && cpu->interrupt_depth == 0);
	if (from == cpu->idle) {
		requeue = false;
		if (!cpu->queue_first)
			to = steal(cpu);
	}
	(void)spin_lock_irqsave(&cpu->queue_lock);
	cpu->reschedule = false;
	if (!to && cpu->queue_first)
		to = dequeue(cpu, &cpu->queue_first);
	if (!to)
		to = requeue ? from : cpu->idle;
	if (cpu->queue_first || (requeue && to != from))
		start_slice(cpu);
	else
		cpu->slice_end = NEVER;
	program_timer(cpu);
	if (to == from) {
		spin_unlock_irqrestore(&cpu->queue_lock, 0);
		return;
	}
	while (__atomic_load_n(&to->on_cpu, __ATOMIC_ACQUIRE))
		arch_relax();
	to->on_cpu = true;
	to->last_cpu = cpu;
	to->runs++;
	cpu->previous = from;
	cpu->requeue_previous = requeue;
	cpu->stats.switches++;
	kelp_kmap_switch_out(&kernel_kmap, &from->kmap);
	arch_set_current_thread(to);
	arch_context_switch(&from->context, &to->context);
	finish_switch();
}

void thread_begin(void)
{
	struct thread *me = current_thread();

	finish_switch();
	arch_irq_enable();
	me->function(me->argument);
	thread_exit();
}

void cpu_idle(void)
{
	for (;;) {
		arch_irq_disable();
		schedule(false);
		arch_wait();
	}
}

static void idle(void *argument)
{
	(void)argument;
	cpu_idle();
}

void preempt_disable(void)
{
	current_thread()->preempt_off++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void preempt_enable(void)
{
	struct thread *me = current_thread();

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (--me->preempt_off || !arch_irqs_enabled())
		return;
	arch_irq_disable();
	if (this_cpu()->reschedule && !this_cpu()->interrupt_depth)
		schedule(true);
	arch_irq_enable();
}

void preempt_at_interrupt_end(void)
{
	struct cpu *cpu = this_cpu();

	if (!cpu->reschedule || cpu->interrupt_depth || panicking)
		return;
	if (!current_thread()->preempt_off) {
		schedule(true);
	} else if (cpu->slice_end == NEVER) {
		/* preempt_enable() does it, or, called with interrupts off, not: ask again. */
		start_slice(cpu);
		program_timer(cpu);
	}
}

void thread_yield(void)
{
	unsigned long flags = arch_irq_save();

	schedule(true);
	arch_irq_restore(flags);
}

/* ---- sleeping and waking ----------------------------------------------------------------- */

static void unlink_sleeper(struct thread *thread)
{
	struct thread **link = &sleepers;

	while (*link && *link != thread)
		link = &(*link)->sleep_next;
	if (*link)
		*link = thread->sleep_next;
	thread->sleep_cpu = NULL;
}

void thread_block_until(uint64_t tick)
{
	unsigned long flags = spin_lock_irqsave(&sleep_lock);
	struct thread *me = current_thread(), **link = &sleepers;

	if (me->wake_pending) {
		me->wake_pending = false;
		spin_unlock_irqrestore(&sleep_lock, flags);
		return;
	}
	me->blocked = true;
	me->wake_tick = tick;
	if (tick != NEVER) {
		while (*link && (*link)->wake_tick <= tick)
			link = &(*link)->sleep_next;
		me->sleep_next = *link;
		me->sleep_cpu = this_cpu();
		*link = me;
	}
	spin_unlock_irqrestore(&sleep_lock, 0);
	schedule(false);
	arch_irq_restore(flags);
}

void thread_block(void)
{
	thread_block_until(NEVER);
}

void thread_wake(struct thread *thread)
{
	unsigned long flags = spin_lock_irqsave(&sleep_lock);
	bool ready = thread->blocked;

	if (ready)
		unlink_sleeper(thread);
	thread->blocked = false;
	thread->wake_pending = !ready;
	spin_unlock_irqrestore(&sleep_lock, 0);
	if (ready)
		make_ready(thread);
	arch_irq_restore(flags);
}

void thread_sleep(uint64_t microseconds)
{
	uint64_t end = arch_ticks() + microseconds_to_ticks(microseconds);

	while (arch_ticks() < end)
		thread_block_until(end);
}

/* The first of this CPU's sleepers whose time has come, taken out of the list. */
static struct thread *take_due(struct cpu *cpu, uint64_t now)
{
	unsigned long flags = spin_lock_irqsave(&sleep_lock);
	struct thread *thread = sleepers;

	while (thread && thread->wake_tick <= now && thread->sleep_cpu != cpu)
		thread = thread->sleep_next;
	if (thread && thread->wake_tick <= now) {
		unlink_sleeper(thread);
		thread->blocked = false;
	} else {
		thread = NULL;
	}
	spin_unlock_irqrestore(&sleep_lock, flags);
	return thread;
}

void timer_interrupt(void)
{
	struct cpu *cpu = this_cpu();
	uint64_t now = arch_ticks();
	struct thread *thread;

	cpu->stats.timer_interrupts++;
	cpu->timer_tick = NEVER;
	while ((thread = take_due(cpu, now)))
		make_ready(thread);
	if (now >= cpu->slice_end) {
		cpu->reschedule = true;
		cpu->slice_end = NEVER;
		/* Somebody waits here while another CPU may have nothing to do. */
		for (unsigned i = 0; cpu->queue_length && i < cpu_count; i++) {
			if (cpus[i]->online && cpus[i]->current == cpus[i]->idle) {
				cpus[i]->reschedule = true;
				arch_interrupt_cpu(cpus[i]);
				break;
			}
		}
	}
	program_timer(cpu);
}

/* ---- beginning and ending ---------------------------------------------------------------- */

static struct thread *new_thread(const char *name, void (*function)(void *argument),
				 void *argument, uint32_t cpu)
{
	/* The stack lies in the window, between unmapped pages; the struct at its top. */
	uint8_t *stack = vm_allocate(THREAD_STACK);
	struct thread *thread;

	if (!stack)
		return NULL;
	thread = (struct thread *)(void *)(stack + THREAD_STACK) - 1;
	*thread = (struct thread){
		.name = name,
		.function = function,
		.argument = argument,
		.stack = stack,
		.bound_cpu = cpu,
	};
	arch_context_init(&thread->context, thread_stack_top(thread));
	__atomic_fetch_add(&existing, 1, __ATOMIC_RELAXED);
	return thread;
}

void *thread_stack_top(const struct thread *thread)
{
	return (void *)align_down((uintptr_t)thread, 16);
}

static void free_thread(struct thread *thread)
{
	while (__atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE))
		arch_relax();
	vm_unmap(thread->stack, THREAD_STACK, true);
	__atomic_fetch_sub(&existing, 1, __ATOMIC_RELAXED);
}

static void free_dead(void)
{
	for (;;) {
		unsigned long flags = spin_lock_irqsave(&sleep_lock);
		struct thread *thread = dead;

		if (thread)
			dead = thread->next;
		spin_unlock_irqrestore(&sleep_lock, flags);
		if (!thread)
			return;
		free_thread(thread);
	}
}

struct thread *thread_start(const char *name, void (*function)(void *argument), void *argument,
			    uint32_t cpu)
{
	struct thread *thread;
	unsigned long flags;

	free_dead();
	thread = new_thread(name, function, argument, cpu);
	if (!thread)
		return NULL;
	flags = arch_irq_save();
	make_ready(thread);
	arch_irq_restore(flags);
	return thread;
}

unsigned threads_existing(void)
{
	return __atomic_load_n(&existing, __ATOMIC_RELAXED);
}

void thread_exit(void)
{
	struct thread *me = current_thread(), *joiner;

	assert(me->kmap.depth == 0);
	(void)spin_lock_irqsave(&sleep_lock);
	me->ended = true;
	joiner = me->joiner;
	if (me->detached) {
		me->next = dead;
		dead = me;
	}
	spin_unlock_irqrestore(&sleep_lock, 0);
	if (joiner)
		thread_wake(joiner);
	schedule(false);
	panic("a thread that has ended runs on");
}

void thread_join(struct thread *thread)
{
	for (;;) {
		unsigned long flags = spin_lock_irqsave(&sleep_lock);
		bool ended = thread->ended;

		thread->joiner = current_thread();
		spin_unlock_irqrestore(&sleep_lock, flags);
		if (ended)
			break;
		thread_block();
	}
	free_thread(thread);
}

void thread_detach(struct thread *thread)
{
	unsigned long flags = spin_lock_irqsave(&sleep_lock);
	bool ended = thread->ended;

	thread->detached = true;
	spin_unlock_irqrestore(&sleep_lock, flags);
	if (ended)
		free_thread(thread);
}

void threads_init_boot(void)
{
	boot_cpu.current = &boot_thread;
	boot_cpu.queue_lock.name = "run queue";
	boot_cpu.queue_last = &boot_cpu.queue_first;
	boot_cpu.slice_end = NEVER;
	boot_cpu.timer_tick = NEVER;
}

void threads_move_boot(void (*entry)(void))
{
	boot_thread.stack = vm_allocate(THREAD_STACK);
	if (!boot_thread.stack)
		panic("no memory for the main thread's stack");
	arch_call_on_stack(boot_thread.stack + THREAD_STACK, entry);
}

bool threads_init_cpu(struct cpu *cpu)
{
	cpu->idle = new_thread("idle", idle, NULL, cpu->index);
	if (!cpu->idle)
		return false;
	if (cpu == &boot_cpu)
		return true;
	cpu->queue_lock.name = "run queue";
	cpu->queue_last = &cpu->queue_first;
	cpu->slice_end = NEVER;
	cpu->timer_tick = NEVER;
	cpu->idle->on_cpu = true;
	cpu->idle->last_cpu = cpu;
	cpu->current = cpu->idle;
	return true;
}
