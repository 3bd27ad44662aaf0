/* SPDX-License-Identifier: MIT */
/* wait: until a device has done something. */
#include <drivers/wait.h>

#include <thread.h>

/* How long a lost interrupt goes unnoticed. */
#define LOOK_MICROSECONDS 50000u

bool device_may_sleep(void)
{
	return arch_irqs_enabled() && !current_thread()->preempt_off &&
	       !this_cpu()->interrupt_depth && current_thread() != this_cpu()->idle;
}

bool device_wait(bool (*done)(void *context), void *context, bool interrupts,
		 uint64_t microseconds)
{
	uint64_t end = arch_ticks() + microseconds_to_ticks(microseconds);
	uint64_t look = microseconds_to_ticks(LOOK_MICROSECONDS);
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
