/* SPDX-License-Identifier: MIT */
/* panic: the end of the road. */
#include <arch.h>
#include <cpu.h>
#include <print.h>
#include <symbols.h>

bool panicking;
bool exception_reported;
static uint32_t owner; /* index of the panicking CPU + 1 */

bool panic_is_mine(void)
{
	return panicking && __atomic_load_n(&owner, __ATOMIC_RELAXED) == this_cpu()->index + 1u;
}

void panic(const char *format, ...)
{
	char text[256];
	va_list arguments;
	uint32_t expected = 0;

	arch_irq_disable();
	if (!__atomic_compare_exchange_n(&owner, &expected, this_cpu()->index + 1u, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		/* A panic within the report: give up. On another CPU: that one is being stopped. */
		if (expected == this_cpu()->index + 1u)
			arch_exit_to_host(false);
		for (;;)
			arch_relax();
	}
	panicking = true;
	arch_stop_other_cpus();
	print_unlocked(true);
	va_start(arguments, format);
	format_text_va(text, sizeof(text), format, arguments);
	va_end(arguments);
	kprintf("\npanic on CPU %u: %s\n", this_cpu()->index, text);
	if (!exception_reported)
		backtrace();
	kprintf("Holdfast has stopped.\n");
	arch_exit_to_host(false);
	for (;;) {
		arch_irq_disable();
		arch_relax();
	}
}
