/* SPDX-License-Identifier: MIT */
/* x86_64: the instance, from a config. */
#include "format.h"

#define KELP_FORMAT(name) kelp_x86_64_##name
#include "../../src/format_ops.h"
#include "../../src/space_ops.h"

/* SDM table 11-10: the encodings of a PAT field. */
static uint8_t type_of_pat_field(unsigned field)
{
	switch (field) {
	case 0: return KELP_TYPE_DEVICE;
	case 1: return KELP_TYPE_WRITE_COMBINE;
	case 4: return KELP_TYPE_WRITE_THROUGH;
	case 5: return KELP_TYPE_WRITE_PROTECT;
	case 6: return KELP_TYPE_NORMAL;
	case 7: return KELP_TYPE_UNCACHED;
	default: return KELP_TYPE_ABSENT;
	}
}

void kelp_x86_format_set_pat(struct kelp_format *format, uint64_t pat)
{
	for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++)
		format->type_to_index[type] = KELP_TYPE_ABSENT;
	for (unsigned i = 8; i-- > 0;) {
		uint8_t type = type_of_pat_field((unsigned)(pat >> (8u * i)) & 7u);

		format->index_to_type[i] = type == KELP_TYPE_ABSENT ? KELP_TYPE_DEVICE : type;
		/* Counting down: the lowest index that has the type is the one used. */
		if (type != KELP_TYPE_ABSENT)
			format->type_to_index[type] = (uint8_t)i;
	}
}

enum kelp_status kelp_x86_64_format_init(struct kelp_format *format,
					 const struct kelp_x86_64_config *config)
{
	unsigned levels = config->levels;
	unsigned va_bits = levels == 5 ? 57 : 48;

	if ((levels != 4 && levels != 5) || config->physical_bits < 36 ||
	    config->physical_bits > 52)
		return KELP_ERR_ARGUMENT;
	if (config->encryption_bit &&
	    (config->encryption_bit < 32 || config->encryption_bit > 51))
		return KELP_ERR_ARGUMENT;

	*format = (struct kelp_format){
		.name = levels == 5 ? "x86_64-5level" : "x86_64-4level",
		.ops = &kelp_x86_64_ops,
		.space_ops = &kelp_x86_64_space_ops,
		.levels = (uint8_t)levels,
		.page_shift = 12,
		.va_bits = (uint8_t)va_bits,
		.pa_bits = (uint8_t)config->physical_bits,
		.entry_bytes = 8,
		.bbm_level = 2,
		.hardware_accessed = true,
		.hardware_dirty = true,
		.leaf_sizes = UINT64_C(1) << 12 | UINT64_C(1) << 21,
		.attr_mask = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER |
			     KELP_ATTR_GLOBAL | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY |
			     KELP_ATTR_INVALID | KELP_ATTR_SOFT,
		.attr_always = KELP_ATTR_READ,
		.va_ranges = 2,
		.va_first = {0, ~UINT64_C(0) << (va_bits - 1)},
		.va_last = {(UINT64_C(1) << (va_bits - 1)) - 1u, UINT64_MAX},
		.root_limit = (UINT64_C(1) << config->physical_bits) - 1u,
		.address_mask = ((UINT64_C(1) << config->physical_bits) - 1u) & ~UINT64_C(0xfff),
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
		format->address_mask &= ~format->encryption_bit;
		format->attr_mask |= KELP_ATTR_SHARED;
		if (config->encryption_bit_shared)
			format->features |= KELP_X86_SHARED_SET;
	}
	kelp_x86_format_set_pat(format, config->pat ? config->pat : KELP_X86_PAT_POWER_ON);
	return KELP_OK;
}
