/* SPDX-License-Identifier: MIT */
/*
 * scratch: a disk that tests may write to. The host prepares it and looks at it afterwards
 * (tests/qemu/tools/scratch.c); the layout is described there and here, and neither side takes the
 * other's code. Numbers are little-endian.
 *
 *	offset 0      struct scratch_header, by the host
 *	offset 4096   struct scratch_receipt, by the kernel when all its tests held
 *	work_first    for the tests, anything
 *	kernel_first  by the kernel: the pattern of seed + 1
 *	host_first    by the host: the pattern of seed; the kernel never writes there
 *
 * The pattern: the 64-bit word at byte n of the disk is the value number n / 8 of SplitMix64
 * (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) from the seed.
 */
#ifndef HOLDFAST_DRIVERS_SCRATCH_H
#define HOLDFAST_DRIVERS_SCRATCH_H

#include <base.h>

#define SCRATCH_MAGIC   "HOLDFAST SCRATCH"
#define SCRATCH_WRITTEN "HOLDFAST WRITTEN"
#define SCRATCH_RECEIPT 4096u

struct scratch_header {
	char magic[16];
	uint64_t seed;
	uint64_t work_first, work_size; /* all in bytes, multiples of 4096 */
	uint64_t kernel_first, kernel_size;
	uint64_t host_first, host_size;
};

struct scratch_receipt {
	char magic[16];
	uint64_t seed; /* of what was written */
	uint64_t first, size;
	uint64_t cpus;
};

static inline uint64_t scratch_word(uint64_t seed, uint64_t byte)
{
	uint64_t z = seed + (byte / 8u + 1u) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

#endif
