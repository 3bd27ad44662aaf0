/* SPDX-License-Identifier: MIT */
/* fake: the instance, from a config. */
#include "format.h"

#define KELP_FORMAT(name) kelp_fake_##name
#include "../../src/format_ops.h"

enum kelp_status kelp_fake_format_init(struct kelp_format *format,
				       const struct kelp_fake_config *config)
{
	uint64_t bottom = (UINT64_C(1) << KELP_FAKE_VA_BITS) - 1u;

	if (config->bbm_level > 2)
		return KELP_ERR_ARGUMENT;

	*format = (struct kelp_format){
		.name = "fake",
		.ops = &kelp_fake_ops,
		.space_ops = &kelp_fake_space_ops,
		.levels = KELP_FAKE_LEVELS,
		.page_shift = 12,
		.va_bits = KELP_FAKE_VA_BITS,
		.pa_bits = KELP_FAKE_PA_BITS,
		.entry_bytes = 8,
		.bbm_level = (uint8_t)config->bbm_level,
		.demands_break = true,
		.caches_invalid = config->caches_invalid,
		.root_in_registers = config->root_in_registers,
		.hardware_accessed = config->hardware_ad,
		.hardware_dirty = config->hardware_ad,
		.groups = config->groups,
		.attr_mask = KELP_ATTR_ALL & ~KELP_ATTR_TYPE_MASK,
		.va_ranges = 1,
		.va_first = {config->high_half ? ~bottom : 0},
		.va_last = {config->high_half ? UINT64_MAX : bottom},
		.root_limit = (UINT64_C(1) << KELP_FAKE_PA_BITS) - 1u,
	};
	for (unsigned level = 0; level < KELP_FAKE_LEVELS; level++) {
		unsigned shift = kelp_fake_shift(level);

		format->shift[level] = (uint8_t)shift;
		format->index_bits[level] = kelp_fake_level[level].index_bits;
		if (!kelp_fake_leaf_ok(format, level))
			continue;
		format->leaf_sizes |= UINT64_C(1) << shift;
		if (config->groups && kelp_fake_group_order(level)) {
			format->group_order[level] = (uint8_t)kelp_fake_group_order(level);
			format->leaf_sizes |= UINT64_C(1) << (shift + kelp_fake_group_order(level));
		}
	}
	/* One type is missing, so that what is refused and what is closest can be told. */
	for (unsigned i = 0; i < KELP_MEMORY_TYPES; i++) {
		format->type_to_index[i] = (uint8_t)i;
		format->index_to_type[i] = (uint8_t)i;
	}
	format->type_to_index[KELP_TYPE_WRITE_PROTECT] = KELP_TYPE_ABSENT;
	format->index_to_type[KELP_TYPE_WRITE_PROTECT] = KELP_TYPE_DEVICE_STRICT;

	if (config->hardware_ad)
		format->features |= KELP_FAKE_AD;
	if (config->hierarchical)
		format->features |= KELP_FAKE_HIERARCHICAL;
	return KELP_OK;
}
