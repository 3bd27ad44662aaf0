/* SPDX-License-Identifier: MIT */
/* x86_64: the instance, from a config. */
#include "format.h"

#define KELP_FORMAT(name) kelp_x86_64_##name
#include "../../src/format_ops.h"

enum kelp_status kelp_x86_64_format_init(struct kelp_format *format,
					 const struct kelp_x86_64_config *config)
{
	unsigned levels = config->levels;
	unsigned va_bits = levels == 5 ? 57 : 48;
	unsigned pa_bits = config->physical_bits;

	if ((levels != 4 && levels != 5) || config->physical_bits < 36 ||
	    config->physical_bits > 52)
		return KELP_ERR_ARGUMENT;
	if (config->encryption_bit &&
	    (config->encryption_bit < 32 || config->encryption_bit > 51))
		return KELP_ERR_ARGUMENT;
	/* No frame lies at or above that bit: as part of an address it would change its meaning. */
	if (config->encryption_bit && pa_bits > config->encryption_bit)
		pa_bits = config->encryption_bit;

	*format = (struct kelp_format){
		.name = levels == 5 ? "x86_64-5level" : "x86_64-4level",
		.ops = &kelp_x86_64_ops,
		.space_ops = &kelp_x86_64_space_ops,
		.levels = (uint8_t)levels,
		.page_shift = 12,
		.va_bits = (uint8_t)va_bits,
		.pa_bits = (uint8_t)pa_bits,
		.entry_bytes = 8,
		.bbm_level = 2,
		.hardware_accessed = true,
		.hardware_dirty = true,
		.split_flushes_pages = true,
		.leaf_sizes = UINT64_C(1) << 12 | UINT64_C(1) << 21,
		.attr_mask = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER |
			     KELP_ATTR_GLOBAL | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY |
			     KELP_ATTR_INVALID | KELP_ATTR_SOFT,
		.attr_always = KELP_ATTR_READ,
		.va_ranges = 2,
		.va_first = {0, ~UINT64_C(0) << (va_bits - 1)},
		.va_last = {(UINT64_C(1) << (va_bits - 1)) - 1u, UINT64_MAX},
		.root_limit = (UINT64_C(1) << pa_bits) - 1u,
		.address_mask = ((UINT64_C(1) << pa_bits) - 1u) & ~UINT64_C(0xfff),
	};
	for (unsigned level = 0; level < levels; level++) {
		format->shift[level] = (uint8_t)kelp_x86_64_shift(level);
		format->index_bits[level] = 9;
	}
	if (config->no_execute)
		format->features |= KELP_X86_NX;
	else
		format->attr_always |= KELP_ATTR_EXEC;
	if (config->gigabyte_leaves) {
		format->features |= KELP_X86_LARGE_ROOT;
		format->leaf_sizes |= UINT64_C(1) << 30;
	}
	if (config->encryption_bit) {
		format->encryption_bit = UINT64_C(1) << config->encryption_bit;
		format->attr_mask |= KELP_ATTR_SHARED;
		if (config->encryption_bit_shared)
			format->features |= KELP_X86_SHARED_SET;
	}
	kelp_x86_set_pat(format, config->pat);
	return KELP_OK;
}
