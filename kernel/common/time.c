/* SPDX-License-Identifier: MIT */
/* time: ticks as people count. */
#include <thread.h>

/*
 * Two steps, so that neither a long time nor a fast counter overflows 64 bits: whole seconds,
 * then the rest.
 */
static uint64_t scale(uint64_t value, uint64_t from, uint64_t to)
{
	return value / from * to + value % from * to / from;
}

uint64_t ticks_to_microseconds(uint64_t ticks)
{
	return arch_ticks_per_second() ? scale(ticks, arch_ticks_per_second(), 1000000u) : 0;
}

uint64_t ticks_to_nanoseconds(uint64_t ticks)
{
	return arch_ticks_per_second() ? scale(ticks, arch_ticks_per_second(), 1000000000u) : 0;
}

uint64_t microseconds_to_ticks(uint64_t microseconds)
{
	return scale(microseconds, 1000000u, arch_ticks_per_second());
}

uint64_t time_microseconds(void)
{
	return ticks_to_microseconds(arch_ticks());
}

void time_spin(uint64_t microseconds)
{
	uint64_t start = arch_ticks(), ticks = microseconds_to_ticks(microseconds);

	while (arch_ticks() - start < ticks)
		arch_relax();
}
