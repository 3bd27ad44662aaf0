/* SPDX-License-Identifier: MIT */
/* tiny: the instance and the library's range operations for it. */
#include "tiny.h"

#define KELP_FORMAT(name) kelp_tiny_##name
#include "src/format_ops.h"
#include "src/space_template.h"

struct kelp_format tiny_format(unsigned bbm_level, bool hardware_ad)
{
	struct kelp_format f = {
		.name = "tiny",
		.ops = &kelp_tiny_ops,
		.space_ops = &kelp_tiny_space_ops,
		.levels = TINY_LEVELS,
		.page_shift = 6,
		.va_bits = 12,
		.pa_bits = 32,
		.entry_bytes = 8,
		.bbm_level = (uint8_t)bbm_level,
		.hardware_accessed = hardware_ad,
		.hardware_dirty = hardware_ad,
		.shift = {6, 8, 10},
		.index_bits = {2, 2, 2},
		.leaf_sizes = TINY_PAGE | TINY_LARGE,
		.attr_mask = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_GLOBAL |
			     KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY | KELP_ATTR_INVALID,
		.attr_always = KELP_ATTR_READ | KELP_ATTR_EXEC,
		.va_ranges = 1,
		.va_last = {4095},
		.root_limit = UINT32_MAX,
		.address_mask = TINY_FRAME,
		.features = hardware_ad ? TINY_AD : 0,
	};

	for (unsigned i = 1; i < KELP_MEMORY_TYPES; i++)
		f.type_to_index[i] = KELP_TYPE_ABSENT;
	return f;
}
