/* SPDX-License-Identifier: MIT */
/* x86_64 entries, against Intel SDM volume 3A, revision 081, chapter 4 and section 12.12. */
#include "arch/x86_64/format.h"

#define LAWS(name)  kelp_x86_64_##name
#define LAWS_PREFIX "x86_64"
#include "format_golden.h"
#include "format_laws.h"

static bool is(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}

/* Bits 51:47 that are neither address nor reserved: the C-bit or the shared bit. */
static uint64_t encryption_bit(const char *name)
{
	if (is(name, "5level-tdx"))
		return UINT64_C(1) << 51;
	return is(name, "sev") || is(name, "tdx") ? UINT64_C(1) << 47 : 0;
}

/* Tables 4-14 to 4-20: no leaf above the 1 GiB page, no read-disable, XD only with NXE. */
static bool laws_allowed(const char *name, const struct kelp_format *f, unsigned level,
			 kelp_attr_t attr, bool grouped)
{
	unsigned type = (attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;
	/* The PAT at power-on holds WB, WT, UC- and UC; PAT_ALL adds WC and WP. */
	bool in_pat = type == KELP_TYPE_NORMAL || type == KELP_TYPE_WRITE_THROUGH ||
		      type == KELP_TYPE_UNCACHED || type == KELP_TYPE_DEVICE ||
		      (is(name, "-pat") &&
		       (type == KELP_TYPE_WRITE_COMBINE || type == KELP_TYPE_WRITE_PROTECT));

	(void)f;
	if (grouped || level > 2 || (level == 2 && is(name, "no1g")))
		return false;
	if (!(attr & R) || (!(attr & X) && is(name, "nonx")))
		return false;
	return in_pat && (!(attr & S) || encryption_bit(name));
}

static uint64_t laws_reserved(const char *name, const struct kelp_format *f, unsigned level,
			      bool table, bool grouped)
{
	uint64_t beyond = ~((UINT64_C(1) << f->pa_bits) - 1u) & ((UINT64_C(1) << 52) - 1u);
	uint64_t reserved = beyond & ~encryption_bit(name);

	(void)grouped;
	if (is(name, "nonx"))
		reserved |= UINT64_C(1) << 63;
	if (!table && level == 1)
		reserved |= UINT64_C(0x1fe000); /* 20:13, table 4-18 */
	if (!table && level == 2)
		reserved |= UINT64_C(0x3fffe000); /* 29:13, table 4-16 */
	return reserved;
}

static uint64_t laws_dropped(const char *name, unsigned level)
{
	(void)name, (void)level;
	return 0;
}

static void test_golden(void **state)
{
	static const struct golden golden[] = {
		{"x86_64-4level", 0, 0x12345000, R | W | A | D, false, 0x8000000012345063,
		 "P, R/W, A, D, XD: table 4-20"},
		{"x86_64-4level", 1, 0x40000000, R | X | U | G | T(WRITE_THROUGH), false,
		 0x4000018d, "P, U/S, PWT, PS, G: table 4-18; PAT entry 1 is WT"},
		{"x86_64-4level", 2, 0x200040000000, R | W | X | T(DEVICE), false, 0x20004000009b,
		 "P, R/W, PWT, PCD, PS: table 4-16; PAT entry 3 is UC"},
		{"x86_64-4level", 0, 0, R | X | KELP_ATTR_SOFT, false, 0x0030000000000601,
		 "ignored bits 9, 10, 52, 53: table 4-20"},
		{"x86_64-4level", 0, 0x12345000, R | W | I, false, 0x80003fffedcba802,
		 "P clear, address bits 45:12 inverted"},
		{"x86_64-4level-pat", 0, 0x1000, R | X | T(WRITE_COMBINE), false, 0x1081,
		 "PAT is bit 7 of a PTE; entry 4"},
		{"x86_64-4level-pat", 1, 0x200000, R | X | T(WRITE_PROTECT), false, 0x201089,
		 "PAT is bit 12 of a PDE, PS bit 7; entry 5"},
		{"x86_64-4level-pat", 2, 0x40000000, R | X | T(WRITE_COMBINE), false, 0x40001081,
		 "PAT is bit 12 of a PDPTE"},
		{"x86_64-4level-sev", 0, 0x1000, R | W | X, false, 0x0000800000001003,
		 "private: the C-bit is set"},
		{"x86_64-4level-sev", 0, 0x1000, R | W | X | S, false, 0x1003, "shared: it is not"},
		{"x86_64-4level-tdx", 0, 0x1000, R | W | X, false, 0x1003, "private"},
		{"x86_64-4level-tdx", 0, 0x1000, R | W | X | S, false, 0x0000800000001003,
		 "shared: the bit is set"},
		{"x86_64-5level", 0, 0xffffffffff000, R | X, false, 0xffffffffff001,
		 "address bits 51:12"},
	};
	static const struct golden_table tables[] = {
		{"x86_64-4level", 1, 0x5000, true, 0x5827},
		{"x86_64-4level", 3, 0x5000, false, 0x5027},
		{"x86_64-5level", 4, 0xffffffffff000, true, 0xffffffffff827},
		{"x86_64-4level-sev", 2, 0x5000, false, 0x0000800000005027},
		{"x86_64-4level-tdx", 2, 0x5000, false, 0x5027},
	};

	(void)state;
	check_golden(golden, COUNT(golden));
	check_golden_tables(tables, COUNT(tables));
}

/* Rights are the AND over the levels, XD the OR (section 4.6). */
static void test_denied(void **state)
{
	const struct kelp_format *f = test_format_named("x86_64-4level");
	const struct kelp_format *nonx = test_format_named("x86_64-4level-nonx");

	(void)state;
	for (unsigned level = 1; level < 4; level++) {
		assert_int_equal(f->ops->denied(f, level, 0x5007), 0);
		assert_int_equal(f->ops->denied(f, level, 0x5005), W);
		assert_int_equal(f->ops->denied(f, level, 0x5003), U);
		assert_int_equal(f->ops->denied(f, level, 0x8000000000005007), X);
		assert_int_equal(f->ops->denied(f, level, 0x8000000000005001), W | U | X);
		assert_int_equal(nonx->ops->denied(nonx, level, 0x5005), W);
	}
}

/* PS is reserved in a PML4E and a PML5E (tables 4-14, 4-15) and in a PDPTE without 1 GiB pages. */
static void test_no_leaf_up_there(void **state)
{
	const struct kelp_format *f = test_format_named("x86_64-5level");
	const struct kelp_format *no1g = test_format_named("x86_64-4level-no1g");

	(void)state;
	assert_int_equal(f->ops->kind(f, 2, 0x40000083), KELP_ENTRY_LEAF);
	assert_int_equal(f->ops->kind(f, 3, 0x83), KELP_ENTRY_OPAQUE);
	assert_int_equal(f->ops->kind(f, 4, 0x83), KELP_ENTRY_OPAQUE);
	assert_int_equal(no1g->ops->kind(no1g, 2, 0x40000083), KELP_ENTRY_OPAQUE);
	assert_false(f->ops->well_formed(f, 3, 0x83));
	assert_false(f->ops->well_formed(f, 4, 0x83));
	assert_false(no1g->ops->well_formed(no1g, 2, 0x40000083));
}

/*
 * Section 12.12.2: encodings 2, 3 and 8 to 255 are reserved. A type that no entry has is
 * refused; a reserved entry is read as the strictest type and not used for any.
 */
static void test_pat(void **state)
{
	/* Entries 0 to 7: UC, 2, WC, WC, 8, 3, 0xff, WT. */
	struct kelp_x86_64_config config = {.levels = 4, .physical_bits = 40, .no_execute = true,
					    .pat = UINT64_C(0x04ff030801010200)};
	struct kelp_format f;
	uint64_t e;

	(void)state;
	assert_int_equal(kelp_x86_64_format_init(&f, &config), KELP_OK);
	assert_int_equal(f.ops->leaf(&f, 0, 0, R, false, &e), KELP_ERR_UNSUPPORTED);
	assert_int_equal(f.ops->leaf(&f, 0, 0, R | T(UNCACHED), false, &e), KELP_ERR_UNSUPPORTED);
	assert_int_equal(f.ops->leaf(&f, 0, 0, R | X | T(DEVICE), false, &e), KELP_OK);
	assert_int_equal(e, 0x01);
	/* The lowest of two entries. */
	assert_int_equal(f.ops->leaf(&f, 0, 0, R | X | T(WRITE_COMBINE), false, &e), KELP_OK);
	assert_int_equal(e, 0x11);
	assert_int_equal(f.ops->leaf(&f, 0, 0, R | X | T(WRITE_THROUGH), false, &e), KELP_OK);
	assert_int_equal(e, 0x99);
	assert_int_equal(f.ops->attributes(&f, 0, 0x09), R | X | T(DEVICE));
	assert_int_equal(f.ops->attributes(&f, 0, 0x19), R | X | T(WRITE_COMBINE));
	assert_int_equal(f.ops->attributes(&f, 0, 0x81), R | X | T(DEVICE));
	assert_int_equal(f.ops->attributes(&f, 0, 0x91), R | X | T(DEVICE));
}

static void test_config(void **state)
{
	static const struct kelp_x86_64_config bad[] = {
		{.levels = 3, .physical_bits = 40},
		{.levels = 6, .physical_bits = 40},
		{.levels = 4, .physical_bits = 35},
		{.levels = 4, .physical_bits = 53},
		{.levels = 4, .physical_bits = 40, .encryption_bit = 31},
		{.levels = 4, .physical_bits = 40, .encryption_bit = 52},
	};
	const struct kelp_format *f;
	struct kelp_format format;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(kelp_x86_64_format_init(&format, &bad[i]), KELP_ERR_ARGUMENT);
	f = test_format_named("x86_64-4level");
	assert_int_equal(f->va_last[0], 0x00007fffffffffff);
	assert_int_equal(f->va_first[1], 0xffff800000000000);
	f = test_format_named("x86_64-5level");
	assert_int_equal(f->va_last[0], 0x00ffffffffffffff);
	assert_int_equal(f->va_first[1], 0xff00000000000000);
	/* The shared bit of a TD is no address bit, though the physical width counts it. */
	f = test_format_named("x86_64-4level-tdx");
	assert_int_equal(f->pa_bits, 47);
	assert_int_equal(f->root_limit, 0x00007fffffffffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAWS_TESTS,
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_no_leaf_up_there),
		cmocka_unit_test(test_pat),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests_name("format x86_64", tests, NULL, NULL);
}
