/* SPDX-License-Identifier: MIT */
/* zoo: one leaf of every kind. */
#include <zoo.h>

#include <print.h>
#include <test.h>
#include <vm.h>

/* Rights, and what else a leaf carries beside its memory type. */
static const kelp_attr_t kinds[] = {
	KELP_ATTR_READ,
	KELP_ATTR_READ | KELP_ATTR_WRITE,
	KELP_ATTR_READ | KELP_ATTR_EXEC,
	KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC,
	KELP_ATTR_READ | KELP_ATTR_USER,
	KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_USER,
	KELP_ATTR_READ | KELP_ATTR_EXEC | KELP_ATTR_USER,
	KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_GLOBAL,
	KELP_ATTR_READ | KELP_ATTR_ACCESSED,
	KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY,
	KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_INVALID,
	KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_SOFT0 | KELP_ATTR_SOFT2,
};

static void map_level(kelp_vaddr_t base, unsigned level)
{
	uint32_t flags = KELP_REPLACE | KELP_LEAF_SHIFT(kernel_format.shift[level]);
	uint64_t span = kelp_format_span(&kernel_format, level), place = 0;

	for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++) {
		if (kernel_format.type_to_index[type] == KELP_TYPE_ABSENT)
			continue;
		for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++, place++) {
			kelp_attr_t attributes = kelp_format_closest(&kernel_format, kinds[i]) |
						 KELP_ATTR_TYPE(type);
			/* Frames go down while addresses go up: no leaf continues another. */
			enum kelp_status status =
				test_map(base + place * span, (200u - place) * span, span,
					 attributes, flags);

			if (status != KELP_OK)
				panic("zoo: level %u, kind %u, type %u: %s", level, i, type,
				      kelp_status_text(status));
		}
	}
}

void zoo_map(void)
{
	for (unsigned level = 0; level + 1u < kernel_format.levels; level++) {
		uint64_t span = kelp_format_span(&kernel_format, level);

		/* Each level under an entry of the next of its own. */
		if (kernel_format.leaf_sizes & span)
			map_level(TEST_BASE + level * (TEST_SIZE / 4u), level);
	}
}
