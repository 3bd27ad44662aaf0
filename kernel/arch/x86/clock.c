/* SPDX-License-Identifier: MIT */
/*
 * clock: the time-stamp counter, and how fast it is. A hypervisor or CPUID may say; else it is
 * measured against channel 0 of the 8254 (data sheet; the PC runs it at 1193182 Hz). Channel 2
 * would need the gate of the PC's speaker, which small machines do not have.
 */
#include "machine.h"

#include <print.h>

uint64_t arch_ticks_offset;

static uint64_t per_second;
static const char *source;

#define PIT_HZ      1193182u
#define PIT_DATA_0  0x40
#define PIT_COMMAND 0x43
#define PIT_MODE_0  0x30  /* channel 0, both bytes: the output rises when it has counted down */
#define PIT_STATUS  0xe2  /* read-back: latches the status of channel 0 */
#define STATUS_OUT  0x80u /* its output */

/* On a host that has more to do than it can, nearly all are delayed. */
#define MEASUREMENTS_MAX 40u

/* Ticks in the time that the channel takes to count `count` down. */
static uint64_t measure(unsigned count)
{
	uint64_t start, end;
	bool risen;

	out8(PIT_COMMAND, PIT_MODE_0);
	out8(PIT_DATA_0, (uint8_t)count);
	/* Counting begins with the second byte: whatever delays us makes the result too large. */
	start = arch_ticks();
	out8(PIT_DATA_0, (uint8_t)(count >> 8));
	/* So does a delay at the end: the time is taken after the output was seen to be high. */
	do {
		out8(PIT_COMMAND, PIT_STATUS);
		risen = in8(PIT_DATA_0) & STATUS_OUT;
		end = arch_ticks();
	} while (!risen && end - start < UINT64_C(1) << 32);
	return end - start;
}

static bool stated_by_cpuid(void)
{
	struct cpuid r;

	/* The convention of several hypervisors: leaf 0x40000010 gives kHz. */
	if ((cpuid(1, 0).ecx & (1u << 31)) && cpuid(0x40000000, 0).eax >= 0x40000010) {
		per_second = cpuid(0x40000010, 0).eax * UINT64_C(1000);
		source = "stated by the hypervisor";
		if (per_second)
			return true;
	}
	/* SDM volume 2A, CPUID leaf 15H: ratio to a crystal of known frequency. */
	if (cpuid(0, 0).eax >= 0x15) {
		r = cpuid(0x15, 0);
		if (r.eax && r.ebx && r.ecx) {
			per_second = (uint64_t)r.ecx * r.ebx / r.eax;
			source = "stated by CPUID";
			return true;
		}
	}
	return false;
}

void clock_init(void)
{
	uint64_t best = UINT64_MAX;

	if (stated_by_cpuid())
		return;
	/* A delay only lengthens it: the shortest is right, once another agrees with it. */
	for (unsigned i = 0; i < MEASUREMENTS_MAX; i++) {
		uint64_t ticks = measure(PIT_HZ / 200u), shorter = min_u64(best, ticks);
		bool agree = max_u64(best, ticks) - shorter < shorter >> 10;

		best = shorter;
		if (agree)
			break;
	}
	per_second = best * 200u;
	source = "measured against the 8254";
	if (per_second < 1000000u || best >> 32)
		panic("the 8254 does not count, and nothing else tells the speed of the clock");
}

uint64_t arch_ticks_per_second(void)
{
	return per_second;
}

const char *clock_source(void)
{
	return source;
}
