/* SPDX-License-Identifier: MIT */
/*
 * x86_32, PAE paging: three levels of 64-bit entries under a 32-bit address (Intel SDM volume
 * 3A, revision 081, section 4.4).
 *
 * The root has four entries, in a table page of their own. The CPU loads them into registers at
 * MOV to CR3 (section 4.4.1) and does not look at them again, so a change to one needs a reload
 * (KELP_FLUSH_ROOT), and CR3 is 32 bits wide, so the root lies below 4 GiB.
 */
#ifndef KELP_ARCH_X86_32_PAE_H
#define KELP_ARCH_X86_32_PAE_H

#include "../x86_64/x86.h"

struct kelp_x86_pae_config {
	unsigned physical_bits; /* CPUID 80000008H:EAX[7:0], or 36 without it; 36 to 52 */
	bool no_execute;        /* EFER.NXE is set */
	uint64_t pat;           /* IA32_PAT; 0 = its value at power-on, or a CPU without one */
};

/* Errors: ARGUMENT (a value outside the ranges above). After an error *format is unusable. */
enum kelp_status kelp_x86_pae_format_init(struct kelp_format *format,
					  const struct kelp_x86_pae_config *config)
	KELP_WARN_UNUSED;

#define KELP_X86_FORMAT(name) kelp_x86_pae_##name
#define KELP_X86_FORMAT_MODE  KELP_X86_PAE
#define KELP_X86_FORMAT_SLOT  uint64_t
#include "../x86_64/x86_template.h"

#endif
