/* SPDX-License-Identifier: MIT */
/* format: what can be said of an instance without knowing which format it is. */
#include <kelp/format.h>

bool kelp_format_is_canonical(const struct kelp_format *format, kelp_vaddr_t va)
{
	for (unsigned i = 0; i < format->va_ranges; i++)
		if (va >= format->va_first[i] && va <= format->va_last[i])
			return true;
	return false;
}

/* Not empty, ends on page boundaries, does not wrap around. The last address goes to *last. */
static enum kelp_status check(const struct kelp_format *format, uint64_t first, uint64_t size,
			      uint64_t *last)
{
	uint64_t page = UINT64_C(1) << format->page_shift;

	if (size == 0)
		return KELP_ERR_ARGUMENT;
	if ((first | size) & (page - 1u))
		return KELP_ERR_ALIGNMENT;
	*last = first + (size - 1u);
	return *last < first ? KELP_ERR_ADDRESS : KELP_OK;
}

enum kelp_status kelp_format_check_range(const struct kelp_format *format, kelp_vaddr_t va,
					 uint64_t size)
{
	kelp_vaddr_t last;
	enum kelp_status status = check(format, va, size, &last);

	if (status != KELP_OK)
		return status;
	/* Both ends in one range: else what lies between is not canonical. */
	for (unsigned i = 0; i < format->va_ranges; i++)
		if (va >= format->va_first[i] && last <= format->va_last[i])
			return KELP_OK;
	return KELP_ERR_ADDRESS;
}

enum kelp_status kelp_format_check_frames(const struct kelp_format *format, kelp_paddr_t pa,
					  uint64_t size)
{
	kelp_paddr_t last;
	enum kelp_status status = check(format, pa, size, &last);

	if (status != KELP_OK)
		return status;
	return last >> format->pa_bits ? KELP_ERR_ADDRESS : KELP_OK;
}

/*
 * The memory type that takes the place of a missing one: each step caches less, merges less or
 * acknowledges later. The last two stand for each other, so the walk is bounded by a count.
 */
static const uint8_t stricter[KELP_MEMORY_TYPES] = {
	[KELP_TYPE_TAGGED] = KELP_TYPE_NORMAL,
	[KELP_TYPE_NORMAL] = KELP_TYPE_WRITE_THROUGH,
	[KELP_TYPE_WRITE_PROTECT] = KELP_TYPE_WRITE_THROUGH,
	[KELP_TYPE_WRITE_THROUGH] = KELP_TYPE_WRITE_COMBINE,
	[KELP_TYPE_WRITE_COMBINE] = KELP_TYPE_UNCACHED,
	[KELP_TYPE_UNCACHED] = KELP_TYPE_DEVICE,
	[KELP_TYPE_DEVICE] = KELP_TYPE_DEVICE_STRICT,
	[KELP_TYPE_DEVICE_STRICT] = KELP_TYPE_DEVICE,
};

static kelp_attr_t closest_type(const struct kelp_format *format, kelp_attr_t wanted)
{
	unsigned type = (wanted & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;
	unsigned only = KELP_MEMORY_TYPES;
	unsigned count = 0;

	for (unsigned step = 0; step < KELP_MEMORY_TYPES; step++) {
		if (format->type_to_index[type] != KELP_TYPE_ABSENT)
			return KELP_ATTR_TYPE(type);
		type = stricter[type];
	}
	/* A format with a single type has no say in it: the type comes from elsewhere. */
	for (unsigned i = 0; i < KELP_MEMORY_TYPES; i++) {
		if (format->type_to_index[i] == KELP_TYPE_ABSENT)
			continue;
		only = i;
		count++;
	}
	return count == 1 ? KELP_ATTR_TYPE(only) : wanted & KELP_ATTR_TYPE_MASK;
}

static bool encodes(const struct kelp_format *format, kelp_attr_t attr)
{
	uint64_t entry;

	return format->ops->leaf(format, 0, 0, attr, false, &entry) == KELP_OK;
}

kelp_attr_t kelp_format_closest(const struct kelp_format *format, kelp_attr_t wanted)
{
	/* What may be dropped where it does not exist; any other would change the meaning. */
	const kelp_attr_t droppable = KELP_ATTR_SOFT | KELP_ATTR_GLOBAL | KELP_ATTR_ACCESSED |
				      KELP_ATTR_DIRTY;
	kelp_attr_t closest = wanted & ~(droppable & ~format->attr_mask) & ~KELP_ATTR_TYPE_MASK;

	closest |= format->attr_always | closest_type(format, wanted);
	/* Some rights do not come without READ, and some formats have no leaf without any right. */
	if (!encodes(format, closest) && encodes(format, closest | KELP_ATTR_READ))
		closest |= KELP_ATTR_READ;
	return closest;
}
