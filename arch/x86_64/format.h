/* SPDX-License-Identifier: MIT */
/*
 * x86_64: 4-level and 5-level paging (Intel SDM volume 3A, section 4.5).
 *
 * The root's depth, physical width, NX, 1 GiB leaves, the PAT and the encryption bit are known
 * only at run time, so they come from a config.
 */
#ifndef KELP_ARCH_X86_64_FORMAT_H
#define KELP_ARCH_X86_64_FORMAT_H

#include "x86.h"

struct kelp_x86_64_config {
	unsigned levels;       /* 4, or 5 with CR4.LA57 */
	unsigned physical_bits; /* CPUID 80000008H:EAX[7:0], 36 to 52; less the bits SEV takes */
	bool no_execute;       /* EFER.NXE is set */
	bool gigabyte_leaves;  /* CPUID 80000001H:EDX[26] */
	uint64_t pat;          /* IA32_PAT; 0 = its value at power-on */
	/*
	 * Position of the C-bit or shared bit, 32 to 51; 0 = none. Frames lie below it, even if
	 * physical_bits counts it (TDX).
	 */
	unsigned encryption_bit;
	bool encryption_bit_shared; /* set means shared (TDX) instead of private (SEV) */
};

/* Errors: ARGUMENT (a value outside the ranges above). After an error *format is unusable. */
enum kelp_status kelp_x86_64_format_init(struct kelp_format *format,
					 const struct kelp_x86_64_config *config) KELP_WARN_UNUSED;

#define KELP_X86_FORMAT(name) kelp_x86_64_##name
#define KELP_X86_FORMAT_MODE  KELP_X86_LONG
#define KELP_X86_FORMAT_SLOT  uint64_t
#include "x86_template.h"

#endif
