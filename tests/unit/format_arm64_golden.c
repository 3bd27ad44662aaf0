/* SPDX-License-Identifier: MIT */
/*
 * arm64 entries against values put together by hand from the Arm ARM (DDI 0487 M.b), tables
 * D8-50 and D8-52 and figures D8-12 to D8-16, and the rules that are the architecture's alone:
 * break-before-make, reserved bits, operands of TLB maintenance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../arch/arm64/arm64_16k.h"
#include "../../arch/arm64/arm64_4k.h"
#include "../../arch/arm64/arm64_64k.h"

#define R KELP_ATTR_READ
#define W KELP_ATTR_WRITE
#define X KELP_ATTR_EXEC
#define U KELP_ATTR_USER
#define G KELP_ATTR_GLOBAL
#define A KELP_ATTR_ACCESSED
#define D KELP_ATTR_DIRTY
#define T(type) KELP_ATTR_TYPE(KELP_TYPE_##type)

static const struct kelp_arm64_config plain = {
	.va_bits = 48, .pa_bits = 48, .contiguous = true,
};

static struct kelp_format make(unsigned granule, struct kelp_arm64_config config)
{
	struct kelp_format format;
	enum kelp_status status =
		granule == 12   ? kelp_arm64_4k_format_init(&format, &config)
		: granule == 14 ? kelp_arm64_16k_format_init(&format, &config)
				: kelp_arm64_64k_format_init(&format, &config);

	assert_int_equal(status, KELP_OK);
	return format;
}

static struct kelp_format make_wide(unsigned granule)
{
	struct kelp_arm64_config config = plain;

	config.va_bits = 52;
	config.pa_bits = 52;
	config.wide = true;
	return make(granule, config);
}

static struct kelp_format make_tracking(unsigned granule)
{
	struct kelp_arm64_config config = plain;

	config.hardware_accessed = true;
	config.hardware_dirty = true;
	return make(granule, config);
}

/* One leaf, both ways. */
static void leaf_at(const struct kelp_format *f, unsigned level, kelp_paddr_t pa, kelp_attr_t attr,
		    bool grouped, uint64_t entry, unsigned line)
{
	uint64_t got = 0;
	unsigned shift = f->shift[level] + (grouped ? f->group_order[level] : 0u);
	enum kelp_status status = f->ops->leaf(f, level, pa, attr, grouped, &got);

	if (status != KELP_OK || got != entry)
		fail_msg("line %u: status %d, entry 0x%016llx, expected 0x%016llx", line,
			 (int)status, (unsigned long long)got, (unsigned long long)entry);
	assert_int_equal(f->ops->kind(f, level, entry),
			 attr & KELP_ATTR_INVALID ? KELP_ENTRY_INVALID : KELP_ENTRY_LEAF);
	assert_int_equal(f->ops->attributes(f, level, entry), attr);
	assert_true(f->ops->address(f, level, entry) == (pa >> shift << shift));
	assert_int_equal(f->ops->grouped(f, level, entry), grouped);
	assert_true(f->ops->well_formed(f, level, entry));
}

static void table_at(const struct kelp_format *f, unsigned level, kelp_paddr_t pa, bool owned,
		     uint64_t entry, unsigned line)
{
	uint64_t got = f->ops->table(f, level, pa, owned);

	if (got != entry)
		fail_msg("line %u: entry 0x%016llx, expected 0x%016llx", line,
			 (unsigned long long)got, (unsigned long long)entry);
	assert_int_equal(f->ops->kind(f, level, entry), KELP_ENTRY_TABLE);
	assert_true(f->ops->address(f, level, entry) == pa);
	assert_int_equal(f->ops->owned(f, level, entry), owned);
	assert_int_equal(f->ops->denied(f, level, entry), 0);
	assert_true(f->ops->well_formed(f, level, entry));
}

#define LEAF(level, pa, attr, entry) \
	leaf_at(&f, level, UINT64_C(pa), attr, false, UINT64_C(entry), __LINE__)
#define GROUPED(level, pa, attr, entry) \
	leaf_at(&f, level, UINT64_C(pa), attr, true, UINT64_C(entry), __LINE__)
#define TABLE(level, pa, owned, entry) \
	table_at(&f, level, UINT64_C(pa), owned, UINT64_C(entry), __LINE__)

static void good_4k(void **state)
{
	struct kelp_format f = make(12, plain);

	(void)state;
	LEAF(0, 0x123456789000, R | W | G | A, 0x0060123456789703);
	LEAF(0, 0x123456789000, R | W | G, 0x0060123456789303);
	LEAF(0, 0x80000000, R | X | U | A, 0x0020000080000fc3);
	LEAF(0, 0x80000000, X | U | A, 0x0020000080000f83);
	LEAF(0, 0x80000000, R | W | U | A, 0x0060000080000f43);
	LEAF(0, 0x80000000, R | W | U | A | D, 0x00e0000080000f43);
	LEAF(0, 0x09000000, R | W | G | A | T(DEVICE), 0x0060000009000407);
	LEAF(0, 0x09000000, R | W | G | A | T(DEVICE_STRICT), 0x0060000009000413);
	LEAF(0, 0x09000000, R | W | G | A | T(WRITE_COMBINE), 0x006000000900070b);
	LEAF(0, 0x09000000, R | W | G | A | T(WRITE_THROUGH), 0x006000000900070f);
	LEAF(0, 0x40000000, R | G | KELP_ATTR_SOFT0, 0x0160000040000383);
	LEAF(0, 0x40000000, R | G | KELP_ATTR_SOFT1, 0x0260000040000383);
	LEAF(0, 0x40000000, R | G | KELP_ATTR_SOFT2, 0x8060000040000383);
	LEAF(0, 0x40000000, R | W | G | KELP_ATTR_INVALID, 0x0460000040000302);
	LEAF(1, 0x40200000, R | X | G | A, 0x0040000040200781);
	LEAF(1, 0x40200000, R | X | G | A | KELP_ATTR_INVALID, 0x0440000040200780);
	LEAF(2, 0x40000000, R | W | G | A, 0x0060000040000701);
	GROUPED(0, 0x40010000, R | W | G | A, 0x0070000040010703);
	GROUPED(0, 0x4001f000, R | W | G | A, 0x007000004001f703);
	GROUPED(1, 0x44000000, R | W | G | A, 0x0070000044000701);
	GROUPED(2, 0x400000000, R | W | G | A, 0x0070000400000701);
	TABLE(1, 0x48001000, true, 0x0400000048001403);
	TABLE(3, 0xfffffffff000, false, 0x0000fffffffff403);
}

static void good_16k(void **state)
{
	struct kelp_format f = make(14, plain);

	(void)state;
	LEAF(0, 0x40004000, R | W | G | A, 0x0060000040004703);
	LEAF(0, 0x40004000, R | X | U | A, 0x0020000040004fc3);
	LEAF(0, 0x09000000, R | W | G | A | T(DEVICE), 0x0060000009000407);
	LEAF(1, 0x42000000, R | W | G | A, 0x0060000042000701);
	GROUPED(0, 0x40200000, R | W | G | A, 0x0070000040200703);
	GROUPED(1, 0x80000000, R | W | G | A, 0x0070000080000701);
	TABLE(2, 0x4800c000, true, 0x040000004800c403);
}

static void good_64k(void **state)
{
	struct kelp_format f = make(16, plain);

	(void)state;
	LEAF(0, 0x40010000, R | W | G | A, 0x0060000040010703);
	LEAF(0, 0x40010000, R | X | U | A, 0x0020000040010fc3);
	LEAF(0, 0x09000000, R | W | G | A | T(DEVICE), 0x0060000009000407);
	LEAF(1, 0x60000000, R | W | G | A, 0x0060000060000701);
	GROUPED(0, 0x40200000, R | W | G | A, 0x0070000040200703);
	GROUPED(1, 0x400000000, R | W | G | A, 0x0070000400000701);
	TABLE(1, 0x48010000, true, 0x0400000048010403);
}

/* Bits 9:8 hold address bits 51:50 and no shareability; 512G and 64G blocks exist. */
static void good_wide_4k_16k(void **state)
{
	struct kelp_format f = make_wide(12);

	(void)state;
	LEAF(0, 0x6edcba9876000, R | W | G | A, 0x0062edcba9876503);
	LEAF(0, 0x1000, R | W | G | A, 0x0060000000001403);
	LEAF(1, 0xc000000200000, R | W | G | A, 0x0060000000200701);
	LEAF(3, 0xb808000000000, R | W | G | A, 0x0063808000000601);
	GROUPED(2, 0x4000400000000, R | W | G | A, 0x0070000400000501);
	TABLE(4, 0x9000000001000, false, 0x0001000000001603);
	TABLE(1, 0xffffffffff000, true, 0x0403fffffffff703);

	f = make_wide(14);
	LEAF(0, 0x6edcba9874000, R | W | G | A, 0x0062edcba9874503);
	LEAF(2, 0x5001000000000, R | W | G | A, 0x0061001000000501);
	TABLE(3, 0xa000000004000, false, 0x0002000000004603);
}

/* Bits 15:12 hold address bits 51:48; shareability stays; 4T blocks exist. */
static void good_wide_64k(void **state)
{
	struct kelp_format f = make_wide(16);

	(void)state;
	LEAF(0, 0x9123456780000, R | W | G | A, 0x0060123456789703);
	LEAF(1, 0xb000020000000, R | W | G | A, 0x006000002000b701);
	LEAF(2, 0x3040000000000, R | W | G | A, 0x0060040000003701);
	GROUPED(0, 0xf000000200000, R | W | G | A, 0x007000000020f703);
	TABLE(1, 0xa000000010000, false, 0x000000000001a403);
}

static void good_hardware_dirty(void **state)
{
	struct kelp_format f = make_tracking(12);

	(void)state;
	LEAF(0, 0x50000000, R | W | U | A, 0x0068000050000fc3);     /* writable-clean */
	LEAF(0, 0x50000000, R | W | U | A | D, 0x0068000050000f43); /* writable-dirty */
	LEAF(0, 0x50000000, R | U | A, 0x0060000050000fc3);
	LEAF(0, 0x50000000, R | U | A | D, 0x00e0000050000fc3); /* was written, now read-only */
	LEAF(0, 0x50000000, R | W | G, 0x0068000050000383);
	/* Written by somebody who does not track: writable, and no one knows if clean. */
	assert_int_equal(f.ops->attributes(&f, 0, UINT64_C(0x0060000050000f43)),
			 R | W | U | A | D);
	/* Without TCR_EL1.HD the DBM bit means nothing to hardware. */
	f = make(12, plain);
	assert_int_equal(f.ops->attributes(&f, 0, UINT64_C(0x0068000050000fc3)), R | U | A);
}

static void good_accessed_and_dirty(void **state)
{
	struct kelp_format f = make_tracking(12);
	const uint64_t clean = UINT64_C(0x0068000050000bc3);
	const uint64_t dirty = UINT64_C(0x0068000050000f43);
	const uint64_t read_only = UINT64_C(0x0060000050000fc3);

	(void)state;
	assert_true(kelp_arm64_4k_busy(&f, 0, clean));
	assert_true(kelp_arm64_4k_busy(&f, 0, clean | KELP_ARM64_AF));
	assert_false(kelp_arm64_4k_busy(&f, 0, dirty));
	assert_false(kelp_arm64_4k_busy(&f, 0, read_only));
	assert_true(kelp_arm64_4k_busy(&f, 0, read_only & ~KELP_ARM64_AF));
	assert_false(kelp_arm64_4k_busy(&f, 0, clean & ~KELP_ARM64_VALID));
	assert_true(kelp_arm64_4k_neutral(&f, 0, clean) == dirty);
	assert_true(kelp_arm64_4k_neutral(&f, 0, dirty) == dirty);
	assert_true(kelp_arm64_4k_neutral(&f, 0, read_only) ==
		    (read_only | KELP_ARM64_SOFT_DIRTY));
	assert_true(kelp_arm64_4k_absorb(&f, 0, clean, dirty) == dirty);
	assert_true(kelp_arm64_4k_absorb(&f, 0, clean, read_only) == (clean | KELP_ARM64_AF));
	assert_true(kelp_arm64_4k_absorb(&f, 0, read_only, dirty) ==
		    (read_only | KELP_ARM64_SOFT_DIRTY));

	f = make(12, plain);
	assert_false(kelp_arm64_4k_busy(&f, 0, clean));
	assert_true(kelp_arm64_4k_absorb(&f, 0, clean, dirty | KELP_ARM64_SOFT_DIRTY) ==
		    (clean | KELP_ARM64_AF | KELP_ARM64_SOFT_DIRTY));
}

/* The Realm's shared bit is an address bit, wherever the format puts it. */
static void good_shared_bit(void **state)
{
	struct kelp_arm64_config config = {
		.va_bits = 48, .pa_bits = 40, .shared_bit = 40, .contiguous = true,
	};
	struct kelp_format f = make(12, config);

	(void)state;
	LEAF(0, 0x40000000, R | W | G | A | KELP_ATTR_SHARED, 0x0060010040000703);
	LEAF(0, 0xff40000000, R | W | G | A, 0x006000ff40000703);
	TABLE(1, 0x48001000, false, 0x0000000048001403);
	config.pa_bits = 48;
	config.shared_bit = 50;
	config.wide = true;
	f = make(16, config);
	LEAF(0, 0x40000000, R | W | G | A | KELP_ATTR_SHARED, 0x0060000040004703);
	f = make(14, config);
	LEAF(0, 0x40000000, R | W | G | A | KELP_ATTR_SHARED, 0x0060000040000503);
}

static void good_geometry(void **state)
{
	static const struct {
		unsigned granule, va_bits, levels, root_bits;
		bool wide;
		const char *name;
		uint64_t leaf_sizes;
	} row[] = {
		{12, 36, 3, 6, false, "arm64-4k-36", 0x442211000},
		{12, 39, 3, 9, false, "arm64-4k-39", 0x442211000},
		{12, 48, 4, 9, false, "arm64-4k-48", 0x442211000},
		{12, 52, 5, 4, true, "arm64-4k-52", 0x8442211000},
		{14, 36, 2, 11, false, "arm64-16k-36", 0x42204000},
		{14, 47, 3, 11, false, "arm64-16k-47", 0x42204000},
		{14, 48, 4, 1, false, "arm64-16k-48", 0x42204000},
		{14, 52, 4, 5, true, "arm64-16k-52", 0x1042204000},
		{16, 42, 2, 13, false, "arm64-64k-42", 0x420210000},
		{16, 48, 3, 6, false, "arm64-64k-48", 0x420210000},
		{16, 52, 3, 10, false, "arm64-64k-52", 0x420210000},
		{16, 52, 3, 10, true, "arm64-64k-52", 0x40420210000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct kelp_arm64_config config = {
			.half = KELP_ARM64_HIGH, .va_bits = row[i].va_bits, .pa_bits = 48,
			.wide = row[i].wide, .contiguous = true,
		};
		struct kelp_format f = make(row[i].granule, config);
		unsigned root = row[i].levels - 1;

		assert_string_equal(f.name, row[i].name);
		assert_int_equal(f.levels, row[i].levels);
		assert_int_equal(f.index_bits[root], row[i].root_bits);
		assert_int_equal(f.shift[root] + f.index_bits[root], row[i].va_bits);
		assert_true(f.va_first[0] == 0 - (UINT64_C(1) << row[i].va_bits));
		assert_true(f.va_last[0] == UINT64_MAX);
		assert_true(f.leaf_sizes == row[i].leaf_sizes);
		/* The root's last entry translates the last address. */
		assert_int_equal(kelp_format_index(&f, root, UINT64_MAX),
				 (1u << row[i].root_bits) - 1u);
		config.half = KELP_ARM64_LOW;
		f = make(row[i].granule, config);
		assert_true(f.va_first[0] == 0);
		assert_true(f.va_last[0] == (UINT64_C(1) << row[i].va_bits) - 1u);
	}
}

/* A group of 16 does not fit into a root of 4: no 16 GiB group in a 32-bit half. */
static void good_no_group_beyond_root(void **state)
{
	struct kelp_arm64_config config = plain;
	struct kelp_format f;
	uint64_t entry;

	(void)state;
	config.va_bits = 32;
	f = make(12, config);
	assert_int_equal(f.group_order[2], 0);
	assert_true(f.leaf_sizes == UINT64_C(0x42211000));
	assert_int_equal(f.ops->leaf(&f, 2, 0, R | W, true, &entry), KELP_ERR_UNSUPPORTED);
	assert_false(f.ops->well_formed(&f, 2, UINT64_C(0x0070000000000701)));
	config.contiguous = false;
	f = make(12, config);
	assert_int_equal(f.ops->leaf(&f, 0, 0, R | W, true, &entry), KELP_ERR_UNSUPPORTED);
	/* Bit 52 is then something else: neither a group nor reserved. */
	assert_false(f.ops->grouped(&f, 0, UINT64_C(0x0070000000010703)));
	assert_true(f.ops->well_formed(&f, 0, UINT64_C(0x0070000000010703)));
}

static void bad_configs(void **state)
{
	struct kelp_format f;
	struct kelp_arm64_config c = plain;

	(void)state;
	c.va_bits = 24;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	c.va_bits = 49;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	assert_int_equal(kelp_arm64_16k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	assert_int_equal(kelp_arm64_64k_format_init(&f, &c), KELP_OK);
	c.va_bits = 53;
	c.wide = true;
	assert_int_equal(kelp_arm64_64k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	c = plain;
	c.va_bits = 25;
	assert_int_equal(kelp_arm64_16k_format_init(&f, &c), KELP_ERR_UNSUPPORTED);
	c.va_bits = 29;
	assert_int_equal(kelp_arm64_64k_format_init(&f, &c), KELP_ERR_UNSUPPORTED);
	c = plain;
	c.pa_bits = 52;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	c.pa_bits = 31;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	c = plain;
	c.bbm_level = 3;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	c = plain;
	c.hardware_dirty = true;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	c = plain;
	c.pa_bits = 40;
	c.shared_bit = 39;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	c.shared_bit = 48;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
	c = plain;
	c.half = (enum kelp_arm64_half)2;
	assert_int_equal(kelp_arm64_4k_format_init(&f, &c), KELP_ERR_ARGUMENT);
}

static void bad_attributes(void **state)
{
	struct kelp_format f = make(12, plain);
	static const kelp_attr_t refused[] = {
		0, W, X, X | W, U, U | W, U | W | X, R | KELP_ATTR_SHARED, R | KELP_ATTR_SOFT3,
		R | T(UNCACHED), R | T(WRITE_PROTECT), R | T(TAGGED),
	};
	uint64_t entry;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(f.ops->leaf(&f, 0, 0, refused[i], false, &entry),
				 KELP_ERR_UNSUPPORTED);
	assert_int_equal(f.ops->leaf(&f, 0, 0, R | UINT32_C(1) << 31, false, &entry),
			 KELP_ERR_ARGUMENT);
	assert_int_equal(f.ops->leaf(&f, 3, 0, R, false, &entry), KELP_ERR_UNSUPPORTED);
	assert_int_equal(f.ops->leaf(&f, 0, 0, R | KELP_ATTR_INVALID, true, &entry),
			 KELP_ERR_UNSUPPORTED);
}

/* decode(encode(a)) == a for every attribute that is accepted, at every level. */
static void good_every_attribute(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 12; v++) {
		unsigned granule = 12 + 2 * (v % 3);
		struct kelp_format f = v < 3   ? make(granule, plain)
				       : v < 6 ? make_tracking(granule)
				       : v < 9 ? make_wide(granule)
					       : make(granule, (struct kelp_arm64_config){
							 .va_bits = 47, .pa_bits = 44,
							 .shared_bit = 47,
							 .hardware_accessed = true,
							 .mair = UINT64_C(0xf004bb44ff)});
		unsigned accepted = 0;

		for (unsigned level = 0; level < f.levels; level++) {
			for (uint32_t n = 0; n < 1u << 16; n++) {
				/* 9 flags, 4 software bits, 3 bits of type. */
				kelp_attr_t attr = (n & 0x1ffu) | (n >> 9 & 0xfu) << 12 |
						   (n >> 13) << 16;
				uint64_t entry;

				if (f.ops->leaf(&f, level, 0, attr, false, &entry) != KELP_OK)
					continue;
				accepted++;
				assert_int_equal(f.ops->attributes(&f, level, entry), attr);
				assert_true(entry != 0);
			}
		}
		/* Rights: 4 for the kernel, 5 for EL0. 4 other flags, 3 software bits, 5 types. */
		assert_true(accepted >= 2u * 9 * 16 * 8 * 5);
	}
}

/* A split leaf is what encoding one level down gives, unmodelled bits kept; and back. */
static void good_child_and_parent(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 6; v++) {
		unsigned granule = 12 + 2 * (v % 3);
		struct kelp_format f = v < 3 ? make(granule, plain) : make_wide(granule);

		for (unsigned level = 1; level < f.levels; level++) {
			kelp_paddr_t pa = (UINT64_C(1) << f.shift[level]) * 3;
			uint64_t e, first, expected;
			const kelp_attr_t a[] = {R | W | G | A, R | X | U,
						 R | W | KELP_ATTR_INVALID | D};

			if (v >= 3)
				pa |= UINT64_C(9) << 48;
			for (unsigned i = 0; i < 3; i++) {
				if (f.ops->leaf(&f, level, pa, a[i], false, &e) != KELP_OK)
					continue;
				assert_int_equal(f.ops->leaf(&f, level - 1, pa, a[i], false,
							     &expected), KELP_OK);
				e |= KELP_ARM64_GP;
				first = granule == 12   ? kelp_arm64_4k_child(&f, level, e)
					: granule == 14 ? kelp_arm64_16k_child(&f, level, e)
							: kelp_arm64_64k_child(&f, level, e);
				assert_true(first == (expected | KELP_ARM64_GP));
				first = granule == 12   ? kelp_arm64_4k_parent(&f, level, first)
					: granule == 14 ? kelp_arm64_16k_parent(&f, level, first)
							: kelp_arm64_64k_parent(&f, level, first);
				assert_true(first == e);
			}
		}
	}
}

static void good_groups(void **state)
{
	struct kelp_format f = make_wide(16);
	uint64_t e = UINT64_C(0x0060000000249703); /* 0x9000000240000, own frame */
	uint64_t grouped = kelp_arm64_64k_group(&f, 0, e);

	(void)state;
	assert_true(grouped == (e | KELP_ARM64_CONT));
	assert_true(f.ops->address(&f, 0, grouped) == UINT64_C(0x9000000200000));
	assert_true(kelp_arm64_64k_ungroup(&f, 0, grouped, 4) == e);
	assert_int_equal(kelp_arm64_4k_group_order(2), 4);
	assert_int_equal(kelp_arm64_4k_group_order(3), 0);
	assert_int_equal(kelp_arm64_16k_group_order(0), 7);
	assert_int_equal(kelp_arm64_16k_group_order(1), 5);
	assert_int_equal(kelp_arm64_16k_group_order(2), 0);
	assert_int_equal(kelp_arm64_64k_group_order(1), 5);
	assert_int_equal(kelp_arm64_64k_group_order(2), 0);
}

/* A page-aligned address is never an entry, and 0b01 is no page. */
static void good_kinds(void **state)
{
	(void)state;
	for (unsigned granule = 12; granule <= 16; granule += 2) {
		struct kelp_format f = make(granule, plain);
		struct kelp_format w = make_wide(granule);

		for (unsigned level = 0; level < f.levels; level++) {
			assert_int_equal(f.ops->kind(&f, level, 0), KELP_ENTRY_NONE);
			for (unsigned bit = 12; bit < 64; bit++) {
				enum kelp_entry_kind kind =
					f.ops->kind(&f, level, UINT64_C(1) << bit);

				assert_int_not_equal(kind, KELP_ENTRY_TABLE);
				assert_int_not_equal(kind, KELP_ENTRY_LEAF);
			}
		}
		assert_int_equal(f.ops->kind(&f, 0, UINT64_C(0x701)), KELP_ENTRY_OPAQUE);
		assert_int_equal(f.ops->kind(&f, f.levels - 1u, UINT64_C(0x701)),
				 KELP_ENTRY_OPAQUE);
		assert_int_equal(w.ops->kind(&w, granule == 12 ? 3 : 2, UINT64_C(0x701)),
				 KELP_ENTRY_LEAF);
	}
	struct kelp_format f = make(12, plain);
	/* Kelp's mark with the type of another level is not an invalid leaf of this one. */
	assert_int_equal(f.ops->kind(&f, 1, UINT64_C(0x0460000040000302)), KELP_ENTRY_OPAQUE);
	assert_int_equal(f.ops->kind(&f, 0, UINT64_C(0x0460000040000300)), KELP_ENTRY_OPAQUE);
}

static void good_adopted_rights(void **state)
{
	struct kelp_format f = make(12, plain);

	(void)state;
	/* Boot code's block: AP = 0, UXN = 0, PXN = 0. */
	assert_int_equal(f.ops->attributes(&f, 1, UINT64_C(0x40000701)), R | W | X | G | A);
	/* Read-only to both, executable by EL1 alone. */
	assert_int_equal(f.ops->attributes(&f, 0, UINT64_C(0x00400000400007c3)), R | U | G | A);
	/* EL1 may write what EL0 may only execute: the kernel's. */
	assert_int_equal(f.ops->attributes(&f, 0, UINT64_C(0x0020000040000703)), R | W | G | A);
}

static void good_denied(void **state)
{
	struct kelp_arm64_config config = plain;
	struct kelp_format f = make(12, plain);
	const uint64_t table = UINT64_C(0x48001403);

	(void)state;
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(1) << 61), U);
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(1) << 62), W);
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(3) << 61), U | W);
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(1) << 60), X);
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(1) << 59), 0);
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(1) << 63), 0);
	config.half = KELP_ARM64_HIGH;
	f = make(12, config);
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(1) << 60), 0);
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(1) << 59), X);
	config.no_hierarchical = true;
	f = make(12, config);
	assert_int_equal(f.ops->denied(&f, 1, table | UINT64_C(0xf) << 59), 0);
}

#define BBM(level, old, new, at_0, at_1, at_2)                                                     \
	do {                                                                                       \
		const bool expected_[] = {at_0, at_1, at_2};                                       \
		for (unsigned bbm_ = 0; bbm_ < 3; bbm_++) {                                        \
			struct kelp_arm64_config config_ = plain;                                  \
			struct kelp_format f_;                                                     \
			config_.bbm_level = bbm_;                                                  \
			f_ = make(12, config_);                                                    \
			if (f_.ops->can_replace(&f_, level, old, new) != expected_[bbm_])          \
				fail_msg("line %d, BBM level %u", __LINE__, bbm_);                 \
		}                                                                                  \
	} while (0)

static void good_break_before_make(void **state)
{
	const uint64_t page = UINT64_C(0x0060000040000f03); /* AF set, nG, kernel RW */
	const uint64_t block = UINT64_C(0x0060000040000f01);
	const uint64_t table = UINT64_C(0x0400000048001403);
	const uint64_t bit = 1;

	(void)state;
	/* Invalid on either side. */
	BBM(0, 0, page, true, true, true);
	BBM(0, page, 0, true, true, true);
	BBM(0, page & ~KELP_ARM64_VALID, page + 0x1000, true, true, true);
	BBM(0, block, page, true, true, true); /* 0b01 at level 0 is invalid */
	BBM(1, 0, table, true, true, true);
	BBM(1, table, 0, true, true, true);
	/* Permissions, accessed, dirty, software bits. */
	BBM(0, page, page, true, true, true);
	BBM(0, page, page ^ KELP_ARM64_AP2, true, true, true);
	BBM(0, page, page ^ KELP_ARM64_AP1, true, true, true);
	BBM(0, page, page ^ (KELP_ARM64_UXN | KELP_ARM64_PXN), true, true, true);
	BBM(0, page, page ^ (KELP_ARM64_AF | KELP_ARM64_DBM), true, true, true);
	BBM(0, page, page ^ (UINT64_C(0xf) << 55 | bit << 63), true, true, true);
	BBM(0, page, page ^ KELP_ARM64_GP, true, true, true);
	/* Output address, whatever AF and the rights are. */
	BBM(0, page, page + 0x1000, false, false, false);
	BBM(0, page & ~KELP_ARM64_AF, page + 0x1000, false, false, false);
	BBM(0, page & ~KELP_ARM64_AF, (page & ~KELP_ARM64_AF) + 0x1000, false, false, false);
	BBM(0, page | KELP_ARM64_AP2, (page | KELP_ARM64_AP2) + 0x1000, false, false, false);
	BBM(1, block, block + 0x200000, false, false, false);
	BBM(0, page, page ^ KELP_ARM64_NS, false, false, false);
	/* Memory type, shareability. */
	BBM(0, page, page ^ bit << 2, false, false, false);
	BBM(0, page, page ^ bit << 4, false, false, false);
	BBM(0, page, page ^ bit << 8, false, false, false);
	BBM(0, page, page ^ bit << 59, false, false, false);
	/* Non-global to global, and back. */
	BBM(0, page, page ^ KELP_ARM64_NG, false, false, false);
	BBM(0, page ^ KELP_ARM64_NG, page, true, true, true);
	/* Size. */
	BBM(1, block, table, false, false, true);
	BBM(1, table, block, false, false, true);
	BBM(0, page, page ^ KELP_ARM64_CONT, false, true, true);
	BBM(0, page ^ KELP_ARM64_CONT, page, false, true, true);
	BBM(0, page, (page ^ KELP_ARM64_CONT) + 0x1000, false, false, false);
	BBM(3, table, table + 0x1000, false, false, false);
	BBM(3, table, table ^ KELP_ARM64_MARK, true, true, true);
	BBM(3, table, table ^ KELP_ARM64_AP_TABLE1, false, false, false);
	BBM(1, block, block ^ KELP_ARM64_NT, false, true, true);
}

/* In wide descriptors bits 9:8 and 15:12 are address: no live change. */
static void good_break_before_make_wide(void **state)
{
	struct kelp_format f = make_wide(12);

	(void)state;
	assert_false(f.ops->can_replace(&f, 0, UINT64_C(0x0060000040000c03),
					UINT64_C(0x0060000040000d03)));
	assert_false(f.ops->can_replace(&f, 1, UINT64_C(0x40000403), UINT64_C(0x40000503)));
	f = make_wide(16);
	assert_false(f.ops->can_replace(&f, 0, UINT64_C(0x0060000040000f03),
					UINT64_C(0x0060000040001f03)));
	f = make(16, plain);
	assert_true(f.ops->can_replace(&f, 1, UINT64_C(0x40000403), UINT64_C(0x40000503)));
}

static void good_reserved_bits(void **state)
{
	struct kelp_arm64_config config = plain;
	struct kelp_format f;

	(void)state;
	config.pa_bits = 44;
	f = make(12, config);
	assert_true(f.ops->well_formed(&f, 0, UINT64_C(0x00600ffffffff703)));
	assert_false(f.ops->well_formed(&f, 0, UINT64_C(0x0060100000000703)));
	assert_false(f.ops->well_formed(&f, 0, UINT64_C(0x0061000000000703)));
	assert_false(f.ops->well_formed(&f, 0, UINT64_C(0x0062000000000703)));
	assert_true(f.ops->well_formed(&f, 0, UINT64_C(0x0064000000000703))); /* GP */
	assert_false(f.ops->well_formed(&f, 0, UINT64_C(0x701)));
	assert_false(f.ops->well_formed(&f, 3, UINT64_C(0x701)));
	assert_true(f.ops->well_formed(&f, 0, UINT64_C(0x0061000000000702))); /* invalid */
	assert_false(f.ops->well_formed(&f, 1, UINT64_C(0x0060000040001701)));
	assert_false(f.ops->well_formed(&f, 1, UINT64_C(0x0060000040010701))); /* nT */
	assert_false(f.ops->well_formed(&f, 1, UINT64_C(0x0004000040000403)));
	assert_false(f.ops->well_formed(&f, 1, UINT64_C(0x0000100040000403)));
	assert_true(f.ops->well_formed(&f, 1, UINT64_C(0x7ff8000040000fff)));
	config.bbm_level = 1;
	f = make(12, config);
	assert_true(f.ops->well_formed(&f, 1, UINT64_C(0x0060000040010701)));
	f = make(14, config);
	assert_false(f.ops->well_formed(&f, 0, UINT64_C(0x0060000040001703)));
	assert_false(f.ops->well_formed(&f, 1, UINT64_C(0x0000000040002403)));
	f = make(16, config);
	assert_false(f.ops->well_formed(&f, 0, UINT64_C(0x0060000040001703)));
	f = make_wide(16);
	assert_true(f.ops->well_formed(&f, 0, UINT64_C(0x0060000040001703)));
	assert_false(f.ops->well_formed(&f, 0, UINT64_C(0x0061000040001703)));
	assert_true(f.ops->well_formed(&f, 1, UINT64_C(0x006000004000f701)));
	/* A contiguous 4T block. */
	assert_false(f.ops->well_formed(&f, 2, UINT64_C(0x0070040000000701)));
}

static void good_memory_types(void **state)
{
	struct kelp_arm64_config config = plain;
	struct kelp_format f;

	(void)state;
	/* 0: nGnRE, 1: GRE, 2: write-back no-allocate hints, 3: exact write-back, 4: tagged,
	 * 5: XS = 0 non-cacheable, 6: mixed, 7: reserved device. */
	config.mair = UINT64_C(0x024f40f0ffee0c04);
	f = make(12, config);
	assert_int_equal(f.type_to_index[KELP_TYPE_NORMAL], 3);
	assert_int_equal(f.type_to_index[KELP_TYPE_DEVICE], 0);
	assert_int_equal(f.type_to_index[KELP_TYPE_TAGGED], 4);
	assert_int_equal(f.type_to_index[KELP_TYPE_WRITE_COMBINE], 5);
	assert_int_equal(f.type_to_index[KELP_TYPE_WRITE_THROUGH], KELP_TYPE_ABSENT);
	assert_int_equal(f.type_to_index[KELP_TYPE_DEVICE_STRICT], KELP_TYPE_ABSENT);
	assert_int_equal(f.index_to_type[1], KELP_TYPE_DEVICE);
	assert_int_equal(f.index_to_type[2], KELP_TYPE_NORMAL);
	assert_int_equal(f.index_to_type[6], KELP_TYPE_DEVICE);
	assert_int_equal(f.index_to_type[7], KELP_TYPE_DEVICE);
	/* Whatever is read can be written back, also where no index is nGnRE. */
	config.mair = UINT64_C(0x4f02ff0044ff44ff);
	f = make(12, config);
	assert_int_equal(f.index_to_type[7], KELP_TYPE_DEVICE_STRICT);
	for (unsigned i = 0; i < 8; i++)
		assert_int_not_equal(f.type_to_index[f.index_to_type[i]], KELP_TYPE_ABSENT);
}

static void good_tlbi_operands(void **state)
{
	struct kelp_format f = make(12, plain);
	uint64_t operand;

	(void)state;
	/* In units of 4 KiB whatever the granule; bits 63:56 of the address are not passed. */
	assert_true(kelp_arm64_tlbi_operand(UINT64_C(0xffff800012345000), 0) ==
		    UINT64_C(0x00000ff800012345));
	assert_true(kelp_arm64_tlbi_operand(UINT64_C(0x12340000), 0xabcd) ==
		    UINT64_C(0xabcd000000012340));
	/* 16 pages: (7 + 1) * 2^1. TG = 01. */
	assert_true(kelp_arm64_tlbi_range_operand(&f, UINT64_C(0x40010000), 4, 5, &operand));
	assert_true(operand == UINT64_C(0x0005438000040010));
	/* 8192 pages: (3 + 1) * 2^11. */
	assert_true(kelp_arm64_tlbi_range_operand(&f, UINT64_C(0x42000000), 13, 5, &operand));
	assert_true(operand == UINT64_C(0x0005618000042000));
	assert_false(kelp_arm64_tlbi_range_operand(&f, UINT64_C(0x40000000), 0, 5, &operand));
	assert_false(kelp_arm64_tlbi_range_operand(&f, 0, 22, 5, &operand));
	assert_true(kelp_arm64_tlbi_range_operand(&f, 0, 21, 5, &operand));
	assert_true(operand == UINT64_C(0x00057f8000000000));
	/* 16K: TG = 10, base in units of 16 KiB; 128 pages: (1 + 1) * 2^6. */
	f = make(14, plain);
	assert_true(kelp_arm64_tlbi_range_operand(&f, UINT64_C(0x40200000), 7, 0, &operand));
	assert_true(operand == UINT64_C(0x0000908000010080));
	/* 64K: TG = 11; 32 pages: (15 + 1) * 2^1. */
	f = make(16, plain);
	assert_true(kelp_arm64_tlbi_range_operand(&f, UINT64_C(0x40200000), 5, 0, &operand));
	assert_true(operand == UINT64_C(0x0000c78000004020));
	/* TCR_EL1.DS: the base is in units of 64 KiB. */
	f = make_wide(12);
	assert_true(kelp_arm64_tlbi_range_operand(&f, UINT64_C(0x40010000), 4, 0, &operand));
	assert_true(operand == UINT64_C(0x0000438000004001));
	assert_false(kelp_arm64_tlbi_range_operand(&f, UINT64_C(0x40011000), 4, 0, &operand));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_4k),
		cmocka_unit_test(good_16k),
		cmocka_unit_test(good_64k),
		cmocka_unit_test(good_wide_4k_16k),
		cmocka_unit_test(good_wide_64k),
		cmocka_unit_test(good_hardware_dirty),
		cmocka_unit_test(good_accessed_and_dirty),
		cmocka_unit_test(good_shared_bit),
		cmocka_unit_test(good_geometry),
		cmocka_unit_test(good_no_group_beyond_root),
		cmocka_unit_test(bad_configs),
		cmocka_unit_test(bad_attributes),
		cmocka_unit_test(good_every_attribute),
		cmocka_unit_test(good_child_and_parent),
		cmocka_unit_test(good_groups),
		cmocka_unit_test(good_kinds),
		cmocka_unit_test(good_adopted_rights),
		cmocka_unit_test(good_denied),
		cmocka_unit_test(good_break_before_make),
		cmocka_unit_test(good_break_before_make_wide),
		cmocka_unit_test(good_reserved_bits),
		cmocka_unit_test(good_memory_types),
		cmocka_unit_test(good_tlbi_operands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
