/* SPDX-License-Identifier: MIT */
/*
 * x86_32, 32-bit paging: two levels of 32-bit entries (Intel SDM volume 3A, revision 081,
 * section 4.3). There is no execute-disable.
 *
 * Tables and 4 KiB leaves reach 4 GiB of physical memory. With PSE-36, 4 MiB leaves reach up to
 * 1 TiB; such a leaf above 4 GiB cannot be split (kelp_x86_two_level_reach() says so).
 */
#ifndef KELP_ARCH_X86_32_TWO_LEVEL_H
#define KELP_ARCH_X86_32_TWO_LEVEL_H

#include "../x86_64/x86.h"

struct kelp_x86_two_level_config {
	/*
	 * 32; with PSE-36 (CPUID.01H:EDX[17], and large_leaves) the physical width, and 40 if it
	 * is more.
	 */
	unsigned physical_bits;
	bool large_leaves; /* CR4.PSE is set: 4 MiB leaves */
	uint64_t pat;      /* IA32_PAT; 0 = its value at power-on, or a CPU without one */
};

/* Errors: ARGUMENT (a value outside the ranges above). After an error *format is unusable. */
enum kelp_status kelp_x86_two_level_format_init(struct kelp_format *format,
						const struct kelp_x86_two_level_config *config)
	KELP_WARN_UNUSED;

#define KELP_X86_FORMAT(name) kelp_x86_two_level_##name
#define KELP_X86_FORMAT_MODE  KELP_X86_TWO_LEVEL
#define KELP_X86_FORMAT_SLOT  uint32_t
#include "../x86_64/x86_template.h"

#endif
