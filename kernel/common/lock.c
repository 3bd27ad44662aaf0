/* SPDX-License-Identifier: MIT */
/* lock: ticket spin locks. */
#include <lock.h>

#include <cpu.h>
#include <print.h>
#include <thread.h>

/* Longer than any holder may take, also on a host that runs 64 CPUs on two. */
#define PATIENCE_SECONDS 60u

static void complain(const struct spinlock *lock, const char *what)
{
	panic("lock \"%s\": %s (holder: CPU %d, we are CPU %u)", lock->name, what,
	      (int)lock->holder - 1, this_cpu()->index);
}

static void acquire(struct spinlock *lock)
{
	uint32_t me = this_cpu()->index + 1u, ticket;
	uint64_t start = 0;

	if (lock->holder == me && !panicking)
		complain(lock, "taken twice by one CPU");
	ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
	for (unsigned spins = 0; __atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket;
	     spins++) {
		arch_relax();
		if (panicking)
			break;
		/* A holder may wait for our answer to a shootdown. */
		if (!arch_irqs_enabled())
			cpu_answer_calls(true);
		if (spins % 65536u == 65535u && arch_ticks_per_second()) {
			if (!start)
				start = arch_ticks();
			else if (arch_ticks() - start > PATIENCE_SECONDS * arch_ticks_per_second())
				complain(lock, "waited for too long");
		}
	}
	lock->holder = me;
}

static void release(struct spinlock *lock)
{
	if (lock->holder != this_cpu()->index + 1u && !panicking)
		complain(lock, "released by one who does not hold it");
	lock->holder = 0;
	__atomic_store_n(&lock->serving, lock->serving + 1u, __ATOMIC_RELEASE);
}

void spin_lock(struct spinlock *lock)
{
	preempt_disable();
	acquire(lock);
}

void spin_unlock(struct spinlock *lock)
{
	release(lock);
	preempt_enable();
}

unsigned long spin_lock_irqsave(struct spinlock *lock)
{
	unsigned long flags = arch_irq_save();

	acquire(lock);
	return flags;
}

void spin_unlock_irqrestore(struct spinlock *lock, unsigned long flags)
{
	release(lock);
	arch_irq_restore(flags);
}
