/* SPDX-License-Identifier: MIT */
/* x86_32 PAE: the instance, from a config. */
#include "pae.h"

#define KELP_FORMAT(name) kelp_x86_pae_##name
#include "../../src/format_ops.h"

enum kelp_status kelp_x86_pae_format_init(struct kelp_format *format,
					  const struct kelp_x86_pae_config *config)
{
	uint64_t width;

	if (config->physical_bits < 36 || config->physical_bits > 52)
		return KELP_ERR_ARGUMENT;
	width = UINT64_C(1) << config->physical_bits;

	*format = (struct kelp_format){
		.name = "x86_pae",
		.ops = &kelp_x86_pae_ops,
		.space_ops = &kelp_x86_pae_space_ops,
		.levels = 3,
		.page_shift = 12,
		.va_bits = 32,
		.pa_bits = (uint8_t)config->physical_bits,
		.entry_bytes = 8,
		.bbm_level = 2,
		.root_in_registers = true,
		.hardware_accessed = true,
		.hardware_dirty = true,
		.split_flushes_pages = true,
		.shift = {12, 21, 30},
		.index_bits = {9, 9, 2},
		.leaf_sizes = UINT64_C(1) << 12 | UINT64_C(1) << 21,
		/* Bits 62:52 are reserved here, so only two of the soft bits exist. */
		.attr_mask = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER |
			     KELP_ATTR_GLOBAL | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY |
			     KELP_ATTR_INVALID | KELP_ATTR_SOFT0 | KELP_ATTR_SOFT1,
		.attr_always = KELP_ATTR_READ,
		.va_ranges = 1,
		.va_first = {0},
		.va_last = {UINT32_MAX},
		.root_limit = UINT32_MAX,
		.address_mask = (width - 1u) & ~UINT64_C(0xfff),
	};
	if (config->no_execute)
		format->features |= KELP_X86_NX;
	else
		format->attr_always |= KELP_ATTR_EXEC;
	kelp_x86_set_pat(format, config->pat);
	return KELP_OK;
}
