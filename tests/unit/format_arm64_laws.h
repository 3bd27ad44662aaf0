/* SPDX-License-Identifier: MIT */
/*
 * What the laws need to know of arm64, from the Arm ARM (DDI 0487, chapter D8): tables D8-48 to
 * D8-52 (descriptors), D8-63 (access permissions), D8-104 (contiguous groups). The including
 * file defines LAWS, LAWS_PREFIX and GRANULE (12, 14 or 16).
 */
#include "format_laws.h"

static bool is(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}

/* The instance's address size is part of its name: 52 bits need wide descriptors. */
static bool is_wide(const char *name)
{
	return is(name, "k-52-");
}

static bool has_groups(const char *name)
{
	return !is(name, "4k-39-low-bbm0") && !is(name, "16k-36") && !is(name, "48-low-bbm1");
}

/* The realm's shared bit, as it lies in a descriptor. */
static uint64_t shared_bit(const char *name)
{
	return is(name, "realm") ? UINT64_C(1) << 47 : 0;
}

static unsigned highest_leaf(const char *name)
{
	return (GRANULE == 12 ? 2 : 1) + (is_wide(name) ? 1 : 0);
}

/* Table D8-104: 16 pages of 4K; 128 of 16K and 32 blocks of 32M; 32 of 64K and of 512M. */
static bool can_group(const char *name, unsigned level)
{
	return has_groups(name) && level <= (GRANULE == 12 ? 2 : 1);
}

static bool laws_allowed(const char *name, const struct kelp_format *f, unsigned level,
			 kelp_attr_t attr, bool grouped)
{
	unsigned type = (attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;

	(void)f;
	if (level > highest_leaf(name) || (grouped && (!can_group(name, level) || (attr & I))))
		return false;
	/* EL1 reads everything; EL0 reads what it may write, and may be left to execute only. */
	if (!(attr & R) && (attr & (U | X | W)) != (U | X))
		return false;
	if ((attr & KELP_ATTR_SOFT3) || ((attr & S) && !shared_bit(name)))
		return false;
	if (type == KELP_TYPE_TAGGED)
		return is(name, "high-bbm1") && GRANULE == 12;
	return type != KELP_TYPE_WRITE_PROTECT && type != KELP_TYPE_UNCACHED;
}

static uint64_t bits(unsigned high, unsigned low)
{
	if (high < low)
		return 0;
	return (UINT64_MAX >> (63 - high)) & ~((UINT64_C(1) << low) - 1u);
}

static uint64_t laws_reserved(const char *name, const struct kelp_format *f, unsigned level,
			      bool table, bool grouped)
{
	unsigned shift = GRANULE + (GRANULE - 3) * level;
	uint64_t reserved = 0;

	(void)grouped;
	/* 64K wide: 15:12 are address bits 51:48. Elsewhere nothing lies below the granule. */
	if (GRANULE == 14 || (GRANULE == 16 && !is_wide(name)))
		reserved |= bits(GRANULE - 1, 12);
	/* 4K and 16K wide: 49:48 are address. */
	if (GRANULE == 16 || !is_wide(name))
		reserved |= bits(49, 48);
	if (!is_wide(name))
		reserved |= bits(47, f->pa_bits) & ~shared_bit(name);
	if (table)
		return reserved | bits(50, 50);
	if (level > 0) {
		reserved |= bits(shift - 1, GRANULE == 16 ? 16 : 12);
		/* nT exists with FEAT_BBML1. */
		if (f->bbm_level >= 1)
			reserved &= ~bits(16, 16);
	}
	if (has_groups(name) && !can_group(name, level))
		reserved |= bits(52, 52);
	return reserved;
}

/* nT says how a block may be changed: it goes when the block does. */
static uint64_t laws_dropped(const char *name, unsigned level)
{
	(void)name, (void)level;
	return bits(16, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {LAWS_TESTS};

	return cmocka_run_group_tests_name("format " LAWS_PREFIX, tests, NULL, NULL);
}
