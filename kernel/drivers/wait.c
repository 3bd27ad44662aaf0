/* SPDX-License-Identifier: MIT */
/* wait: until a device has done something, or somebody is done with it. */
#include <drivers/wait.h>

#include <thread.h>

uint64_t device_look_microseconds = 50000;

bool device_may_sleep(void)
{
	return arch_irqs_enabled() && !current_thread()->preempt_off &&
	       !this_cpu()->interrupt_depth && current_thread() != this_cpu()->idle;
}

bool device_wait(bool (*done)(void *context), void *context, bool interrupts,
		 uint64_t microseconds)
{
	uint64_t end = arch_ticks() + microseconds_to_ticks(microseconds);
	uint64_t look = microseconds_to_ticks(device_look_microseconds);
	bool sleep = device_may_sleep();

	while (!done(context)) {
		uint64_t now = arch_ticks();

		if (now >= end)
			return done(context);
		if (sleep && interrupts)
			thread_block_until(min_u64(end, now + look));
		else if (sleep)
			thread_yield();
		arch_relax();
	}
	return true;
}

struct device_lock_waiter {
	struct device_lock_waiter *next;
	struct thread *thread;
	bool granted;
};

static bool is_granted(void *context)
{
	struct device_lock_waiter *me = context;

	return __atomic_load_n(&me->granted, __ATOMIC_ACQUIRE);
}

void device_lock_take(struct device_lock *lock)
{
	struct device_lock_waiter me = {.thread = current_thread()};
	unsigned long flags = spin_lock_irqsave(&lock->guard);

	if (lock->taken) {
		*lock->last = &me;
		lock->last = &me.next;
	} else {
		lock->taken = me.granted = true;
	}
	spin_unlock_irqrestore(&lock->guard, flags);
	while (!device_wait(is_granted, &me, true, 1000000))
		;
	/* The giver has let go of `me` only when it releases the guard. */
	spin_unlock_irqrestore(&lock->guard, spin_lock_irqsave(&lock->guard));
}

void device_lock_give(struct device_lock *lock)
{
	unsigned long flags = spin_lock_irqsave(&lock->guard);
	struct device_lock_waiter *next = lock->first;

	lock->taken = next != NULL;
	if (next) {
		lock->first = next->next;
		if (!lock->first)
			lock->last = &lock->first;
		__atomic_store_n(&next->granted, true, __ATOMIC_RELEASE);
		thread_wake(next->thread);
	}
	spin_unlock_irqrestore(&lock->guard, flags);
}
