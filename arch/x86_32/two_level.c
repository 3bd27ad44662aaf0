/* SPDX-License-Identifier: MIT */
/* x86_32, two levels: the instance, from a config. */
#include "two_level.h"

#define KELP_FORMAT(name) kelp_x86_two_level_##name
#include "../../src/format_ops.h"

enum kelp_status kelp_x86_two_level_format_init(struct kelp_format *format,
						const struct kelp_x86_two_level_config *config)
{
	unsigned pa_bits = config->physical_bits;

	if (pa_bits < 32 || pa_bits > KELP_X86_PSE36_BITS)
		return KELP_ERR_ARGUMENT;
	if (pa_bits > 32 && !config->large_leaves)
		return KELP_ERR_ARGUMENT;

	*format = (struct kelp_format){
		.name = "x86_two_level",
		.ops = &kelp_x86_two_level_ops,
		.space_ops = &kelp_x86_two_level_space_ops,
		.levels = 2,
		.page_shift = 12,
		.va_bits = 32,
		.pa_bits = (uint8_t)pa_bits,
		.entry_bytes = 4,
		.bbm_level = 2,
		.hardware_accessed = true,
		.hardware_dirty = true,
		.split_flushes_pages = true,
		.shift = {12, 22},
		.index_bits = {10, 10},
		.leaf_sizes = UINT64_C(1) << 12,
		.attr_mask = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER |
			     KELP_ATTR_GLOBAL | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY |
			     KELP_ATTR_INVALID | KELP_ATTR_SOFT0 | KELP_ATTR_SOFT1,
		.attr_always = KELP_ATTR_READ | KELP_ATTR_EXEC,
		.va_ranges = 1,
		.va_first = {0},
		.va_last = {UINT32_MAX},
		.root_limit = UINT32_MAX,
		.address_mask = UINT32_MAX & ~UINT64_C(0xfff),
	};
	if (config->large_leaves) {
		format->features |= KELP_X86_PSE;
		format->leaf_sizes |= UINT64_C(1) << 22;
	}
	if (pa_bits > 32)
		format->features |= KELP_X86_PSE36;
	kelp_x86_set_pat(format, config->pat);
	return KELP_OK;
}
