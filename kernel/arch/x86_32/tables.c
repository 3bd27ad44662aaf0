/* SPDX-License-Identifier: MIT */
/* tables: the format of this machine's tables, and how a thread's stack begins. */
#include "machine.h"

#include <arch/x86_32/pae.h>
#include <arch/x86_32/two_level.h>

#include <print.h>
#include <thread.h>

/* The boot stub has chosen: see choose.c. */
static bool pae(void)
{
	return read_cr4() & CR4_PAE;
}

const char *paging_name(void)
{
	return pae() ? "PAE paging" : features.pse36 ? "two-level paging with PSE-36"
						     : "two-level paging";
}

/* Some CPUs state 32 and have PAE: their entries still have room for 36. */
static unsigned pae_bits(void)
{
	return features.physical_bits < 36 ? 36 : features.physical_bits;
}

void arch_format_init(struct kelp_format *format)
{
	const uint64_t pat = features.pat ? PAT_VALUE : 0;
	const struct kelp_x86_pae_config pae_config = {
		.physical_bits = pae_bits(),
		.no_execute = features.nx,
		.pat = pat,
	};
	const struct kelp_x86_two_level_config two_level_config = {
		.physical_bits = !features.pse36 ? 32 : features.physical_bits < 40
				 ? pae_bits() : 40,
		.large_leaves = true,
		.pat = pat,
	};
	enum kelp_status status;

	/* Only entry 5 changes, which nothing has used yet: no caches to flush. */
	if (features.pat)
		write_msr(MSR_PAT, PAT_VALUE);
	if (pae())
		status = kelp_x86_pae_format_init(format, &pae_config);
	else
		status = kelp_x86_two_level_format_init(format, &two_level_config);
	if (status != KELP_OK)
		panic("the table format: %s", kelp_status_text(status));
}

/* Single pages must reach it, or kmap cannot. */
kelp_paddr_t arch_ram_last(const char **limit)
{
	if (!pae()) {
		*limit = "the 4 GiB that two-level tables reach (with PAE it would be used)";
		return UINT32_MAX;
	}
	*limit = "what this CPU can address";
	return (UINT64_C(1) << features.physical_bits) - 1u;
}

/*
 * The CPU has loaded PAE's four root entries into registers (SDM 4.4.1), so it makes no difference
 * which copy of them in memory is taken for the root: see boot.S.
 */
kelp_paddr_t arch_table_root(void)
{
	extern const uint8_t boot_root_pae_unused[];

	return pae() ? (uintptr_t)boot_root_pae_unused : read_cr3() & ~0xffful;
}

void arch_context_init(struct arch_context *context, void *stack_top)
{
	uint32_t *stack = stack_top;

	/* What arch_context_switch() pops, and a 0 that ends backtraces. */
	*--stack = 0;
	*--stack = (uint32_t)thread_begin;
	for (unsigned i = 0; i < 4; i++)
		*--stack = 0;
	context->sp = (uint32_t)stack;
}
