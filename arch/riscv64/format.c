/* SPDX-License-Identifier: MIT */
/* riscv64: the instance, from a config. */
#include "format.h"

#define KELP_FORMAT(name) kelp_riscv64_##name
#include "../../src/format_ops.h"

static void set_types(struct kelp_format *format, bool pbmt)
{
	for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++)
		format->type_to_index[type] = KELP_TYPE_ABSENT;
	/* Chapter Svpbmt: 0 PMA, 1 NC, 2 IO; 3 is reserved and reads as the strictest. */
	format->type_to_index[KELP_TYPE_NORMAL] = 0;
	format->index_to_type[0] = KELP_TYPE_NORMAL;
	if (!pbmt)
		return;
	format->features |= KELP_RISCV64_PBMT;
	format->type_to_index[KELP_TYPE_WRITE_COMBINE] = 1;
	format->type_to_index[KELP_TYPE_DEVICE] = 2;
	format->index_to_type[1] = KELP_TYPE_WRITE_COMBINE;
	format->index_to_type[2] = KELP_TYPE_DEVICE;
	format->index_to_type[3] = KELP_TYPE_DEVICE;
}

enum kelp_status kelp_riscv64_format_init(struct kelp_format *format,
					  const struct kelp_riscv64_config *config)
{
	static const char *const names[] = {"riscv64-sv39", "riscv64-sv48", "riscv64-sv57"};
	unsigned levels = config->levels;
	unsigned pa_bits = config->physical_bits ? config->physical_bits : 56;
	unsigned va_bits = 12 + 9 * levels;

	if (levels < 3 || levels > 5 || pa_bits < 32 || pa_bits > 56)
		return KELP_ERR_ARGUMENT;

	*format = (struct kelp_format){
		.name = names[levels - 3],
		.ops = &kelp_riscv64_ops,
		.space_ops = &kelp_riscv64_space_ops,
		.levels = (uint8_t)levels,
		.page_shift = 12,
		.va_bits = (uint8_t)va_bits,
		.pa_bits = (uint8_t)pa_bits,
		.entry_bytes = 8,
		.bbm_level = 2,
		.caches_invalid = !config->prompt_valid,
		/* SFENCE.VMA of an address orders leaf entries only (version 20240411, "Supervisor
		 * Memory-Management Fence Instruction"). */
		.tables_flush_all = true,
		.hardware_accessed = config->hardware_ad,
		.hardware_dirty = config->hardware_ad,
		.groups = config->napot,
		.attr_mask = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER |
			     KELP_ATTR_GLOBAL | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY |
			     KELP_ATTR_INVALID | KELP_ATTR_SOFT0 | KELP_ATTR_SOFT1,
		/* Bits 63 to va_bits equal bit va_bits - 1 (sections "Sv39", "Sv48", "Sv57"). */
		.va_ranges = 2,
		.va_first = {0, ~UINT64_C(0) << (va_bits - 1)},
		.va_last = {(UINT64_C(1) << (va_bits - 1)) - 1u, UINT64_MAX},
		.root_limit = (UINT64_C(1) << pa_bits) - 1u,
		.address_mask = (((UINT64_C(1) << pa_bits) - 1u) >> KELP_RISCV64_PA_SHIFT) &
				KELP_RISCV64_PPN,
	};
	for (unsigned level = 0; level < levels; level++) {
		unsigned shift = kelp_riscv64_shift(level);

		format->shift[level] = (uint8_t)shift;
		format->index_bits[level] = 9;
		format->leaf_sizes |= UINT64_C(1) << shift;
	}
	if (config->napot) {
		format->features |= KELP_RISCV64_NAPOT;
		format->group_order[0] = KELP_RISCV64_NAPOT_ORDER;
		format->leaf_sizes |= UINT64_C(1) << (12 + KELP_RISCV64_NAPOT_ORDER);
	}
	if (config->hardware_ad)
		format->features |= KELP_RISCV64_ADUE;
	set_types(format, config->memory_types);
	return KELP_OK;
}
