/* SPDX-License-Identifier: MIT */
/* arm64: a format's data from a config, the same for the three granules. */
#include "arm64.h"

#define VA_BITS_MIN 25u /* 64 - TnSZ = 39; smaller ones need FEAT_TTST and have no user */
#define VA_BITS_MAX 52u

/* "arm64-4k-48": a table of text, no pointers, so that it needs no relocation. */
#define NAMES(granule)                                                                             \
	{                                                                                          \
		granule "25", granule "26", granule "27", granule "28", granule "29",              \
		granule "30", granule "31", granule "32", granule "33", granule "34",              \
		granule "35", granule "36", granule "37", granule "38", granule "39",              \
		granule "40", granule "41", granule "42", granule "43", granule "44",              \
		granule "45", granule "46", granule "47", granule "48", granule "49",              \
		granule "50", granule "51", granule "52",                                          \
	}

static const char names[3][VA_BITS_MAX - VA_BITS_MIN + 1u][sizeof("arm64-16k-48")] = {
	NAMES("arm64-4k-"),
	NAMES("arm64-16k-"),
	NAMES("arm64-64k-"),
};

static bool is_write_back(unsigned nibble)
{
	return (nibble >= 5 && nibble <= 7) || nibble >= 0xd;
}

static bool is_write_through(unsigned nibble)
{
	return (nibble >= 1 && nibble <= 3) || (nibble >= 8 && nibble <= 0xb);
}

/*
 * The register's own description, MAIR_EL1.Attr<n>: high nibble outer, low nibble inner; a high
 * nibble of 0 is device memory, with bit 0 for XS = 0 (FEAT_XS; also 0x40 and 0xa0). Device
 * memory that gathers or reorders is read as DEVICE.
 */
static uint8_t type_of_mair_field(unsigned field)
{
	unsigned outer = field >> 4;
	unsigned inner = field & 15u;

	if (field == 0xf0)
		return KELP_TYPE_TAGGED;
	if (outer == 0) {
		if (inner & 2u)
			return KELP_TYPE_ABSENT;
		return inner >> 2 == 0 ? KELP_TYPE_DEVICE_STRICT : KELP_TYPE_DEVICE;
	}
	if (field == 0x44 || field == 0x40)
		return KELP_TYPE_WRITE_COMBINE;
	if (field == 0xa0)
		return KELP_TYPE_WRITE_THROUGH;
	if (is_write_back(outer) && is_write_back(inner))
		return KELP_TYPE_NORMAL;
	if (is_write_through(outer) && is_write_through(inner))
		return KELP_TYPE_WRITE_THROUGH;
	return KELP_TYPE_ABSENT;
}

/* What a type means exactly; an index that says just this is preferred. */
static bool is_exact(unsigned field)
{
	return field == 0xff || field == 0xbb || field == 0x44 || field == 0x04 ||
	       field == 0x00 || field == 0xf0;
}

/* The strictest type that the register offers. */
static uint8_t strictest(const struct kelp_format *format)
{
	static const uint8_t order[] = {
		KELP_TYPE_DEVICE, KELP_TYPE_DEVICE_STRICT, KELP_TYPE_WRITE_COMBINE,
		KELP_TYPE_WRITE_THROUGH, KELP_TYPE_NORMAL, KELP_TYPE_TAGGED,
	};

	for (unsigned i = 0; i < sizeof(order); i++)
		if (format->type_to_index[order[i]] != KELP_TYPE_ABSENT)
			return order[i];
	return KELP_TYPE_DEVICE;
}

/*
 * An index whose encoding is reserved or mixed is never chosen, and read as the strictest type
 * there is: what is read must be a type that can be written, or an adopted leaf could not change.
 */
static void set_mair(struct kelp_format *format, uint64_t mair)
{
	for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++)
		format->type_to_index[type] = KELP_TYPE_ABSENT;
	/* Counting down, inexact ones first: the lowest index of the best kind is what stays. */
	for (unsigned exact = 0; exact < 2; exact++) {
		for (unsigned i = 8; i-- > 0;) {
			unsigned field = (unsigned)(mair >> (8u * i)) & 0xffu;
			uint8_t type = type_of_mair_field(field);

			format->index_to_type[i] = type;
			if (type != KELP_TYPE_ABSENT && is_exact(field) == (exact == 1))
				format->type_to_index[type] = (uint8_t)i;
		}
	}
	for (unsigned i = 0; i < 8; i++)
		if (format->index_to_type[i] == KELP_TYPE_ABSENT)
			format->index_to_type[i] = strictest(format);
}

/* Levels, and what can stand at each. Only the root may have less than a page of entries. */
static void set_levels(struct kelp_format *format, unsigned va_bits, unsigned granule)
{
	for (unsigned level = 0; level < format->levels; level++) {
		unsigned shift = kelp_arm64_shift(level, granule);
		unsigned order = kelp_arm64_group_order(level, granule);
		unsigned bits = granule - 3u;

		if (shift + bits > va_bits)
			bits = va_bits - shift;
		format->shift[level] = (uint8_t)shift;
		format->index_bits[level] = (uint8_t)bits;
		if (!kelp_arm64_leaf_ok(format, level, granule))
			continue;
		format->leaf_sizes |= UINT64_C(1) << shift;
		/* A group that reaches beyond the table is a programming error (D8.7.1.3). */
		if (!format->groups || order > bits)
			continue;
		format->group_order[level] = (uint8_t)order;
		if (order)
			format->leaf_sizes |= UINT64_C(1) << (shift + order);
	}
}

static enum kelp_status check(const struct kelp_arm64_config *config, unsigned granule)
{
	unsigned pa_most = config->wide ? 52 : 48;
	unsigned va_most = config->wide || granule == 16 ? 52 : 48;

	if (config->half != KELP_ARM64_LOW && config->half != KELP_ARM64_HIGH)
		return KELP_ERR_ARGUMENT;
	if (config->va_bits < VA_BITS_MIN || config->va_bits > va_most)
		return KELP_ERR_ARGUMENT;
	if (config->pa_bits < 32 || config->pa_bits > pa_most || config->bbm_level > 2)
		return KELP_ERR_ARGUMENT;
	if (config->hardware_dirty && !config->hardware_accessed)
		return KELP_ERR_ARGUMENT;
	if (config->shared_bit &&
	    (config->shared_bit < config->pa_bits || config->shared_bit >= pa_most))
		return KELP_ERR_ARGUMENT;
	/* One level: the root would hold pages only. */
	if (config->va_bits <= granule + (granule - 3u))
		return KELP_ERR_UNSUPPORTED;
	return KELP_OK;
}

static uint32_t features_of(const struct kelp_arm64_config *config)
{
	uint32_t features = 0;

	features |= config->wide ? KELP_ARM64_WIDE : 0;
	features |= config->contiguous ? KELP_ARM64_CONTIGUOUS : 0;
	features |= config->no_hierarchical ? KELP_ARM64_NO_HIERARCHICAL : 0;
	features |= config->half == KELP_ARM64_HIGH ? KELP_ARM64_HIGH_HALF : 0;
	return features;
}

enum kelp_status kelp_arm64_configure(struct kelp_format *format,
				      const struct kelp_arm64_config *config, unsigned granule)
{
	enum kelp_status status = check(config, granule);
	uint64_t span = UINT64_C(1) << (config->va_bits & 63u);
	bool high = config->half == KELP_ARM64_HIGH;
	unsigned levels = 2;

	if (status != KELP_OK)
		return status;
	while (granule + (granule - 3u) * levels < config->va_bits)
		levels++;

	*format = (struct kelp_format){
		.name = names[(granule - 12u) / 2u][config->va_bits - VA_BITS_MIN],
		.levels = (uint8_t)levels,
		.page_shift = (uint8_t)granule,
		.va_bits = (uint8_t)config->va_bits,
		.pa_bits = (uint8_t)config->pa_bits,
		.entry_bytes = 8,
		.bbm_level = (uint8_t)config->bbm_level,
		.demands_break = true,
		.hardware_accessed = config->hardware_accessed,
		.hardware_dirty = config->hardware_dirty,
		.groups = config->contiguous,
		.attr_mask = KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_EXEC | KELP_ATTR_USER |
			     KELP_ATTR_GLOBAL | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY |
			     KELP_ATTR_INVALID | KELP_ATTR_SOFT0 | KELP_ATTR_SOFT1 |
			     KELP_ATTR_SOFT2,
		.va_ranges = 1,
		.va_first = {high ? 0 - span : 0},
		.va_last = {high ? UINT64_MAX : span - 1u},
		.root_limit = kelp_arm64_low_bits(config->pa_bits),
		.address_mask =
			kelp_arm64_low_bits(config->pa_bits) & ~kelp_arm64_low_bits(granule),
		.features = features_of(config),
	};
	if (config->shared_bit) {
		format->encryption_bit =
			kelp_arm64_pack(format, UINT64_C(1) << config->shared_bit, granule);
		format->attr_mask |= KELP_ATTR_SHARED;
	}
	set_levels(format, config->va_bits, granule);
	set_mair(format, config->mair ? config->mair : KELP_ARM64_MAIR_DEFAULT);
	return KELP_OK;
}
