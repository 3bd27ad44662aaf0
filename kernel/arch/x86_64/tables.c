/* SPDX-License-Identifier: MIT */
/* tables: the format of this machine's tables, and how a thread's stack begins. */
#include "machine.h"

#include <arch/x86_64/format.h>

#include <print.h>
#include <thread.h>

const char *paging_name(void)
{
	if (features.la57)
		return features.gigabyte_leaves ? "5-level paging, 1 GiB leaves" : "5-level paging";
	return features.gigabyte_leaves ? "4-level paging, 1 GiB leaves" : "4-level paging";
}

void arch_format_init(struct kelp_format *format)
{
	const struct kelp_x86_64_config config = {
		.levels = features.la57 ? 5 : 4,
		.physical_bits = features.physical_bits,
		.no_execute = features.nx,
		.gigabyte_leaves = features.gigabyte_leaves,
		.pat = PAT_VALUE,
	};
	enum kelp_status status;

	/* Only entry 5 changes, which nothing has used yet: no caches to flush. */
	write_msr(MSR_PAT, PAT_VALUE);
	status = kelp_x86_64_format_init(format, &config);
	if (status != KELP_OK)
		panic("the table format: %s", kelp_status_text(status));
}

kelp_paddr_t arch_ram_last(const char **limit)
{
	*limit = "the direct map";
	return DIRECT_SIZE - 1u;
}

kelp_paddr_t arch_table_root(void)
{
	return read_cr3() & UINT64_C(0x000ffffffffff000);
}

void arch_context_init(struct arch_context *context, void *stack_top)
{
	uint64_t *stack = stack_top;

	/* What arch_context_switch() pops, and a 0 that ends backtraces. */
	*--stack = 0;
	*--stack = (uintptr_t)thread_begin;
	for (unsigned i = 0; i < 6; i++)
		*--stack = 0;
	context->rsp = (uintptr_t)stack;
}
