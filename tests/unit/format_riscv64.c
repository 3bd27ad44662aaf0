/* SPDX-License-Identifier: MIT */
/*
 * riscv64 entries, against The RISC-V Instruction Set Manual, volume II, version 20240411:
 * sections "Sv32" (bits and algorithm), "Sv39" and the chapters Svnapot and Svpbmt.
 */
#include "arch/riscv64/format.h"

#define LAWS(name)  kelp_riscv64_##name
#define LAWS_PREFIX "riscv64"
#include "format_golden.h"
#include "format_laws.h"

static bool is(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}

/* "riscv64-sv39" and its like, without a suffix, have everything. */
static bool has_everything(const char *name)
{
	return strlen(name) == strlen("riscv64-sv39");
}

static bool has_pbmt(const char *name)
{
	return has_everything(name) || is(name, "-svpbmt") || is(name, "-svade");
}

static bool has_napot(const char *name)
{
	return has_everything(name) || is(name, "-svnapot") || is(name, "-svade");
}

static bool laws_allowed(const char *name, const struct kelp_format *f, unsigned level,
			 kelp_attr_t attr, bool grouped)
{
	unsigned type = (attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;
	unsigned rwx = attr & (R | W | X);

	(void)f;
	/* Table "Encoding of PTE R/W/X fields": 000 is a pointer, 010 and 110 are reserved. */
	if (rwx == 0 || rwx == W || rwx == (W | X))
		return false;
	if (attr & (S | KELP_ATTR_SOFT2 | KELP_ATTR_SOFT3))
		return false;
	if (grouped && (level != 0 || !has_napot(name) || (attr & I)))
		return false;
	if (type == KELP_TYPE_WRITE_COMBINE || type == KELP_TYPE_DEVICE)
		return has_pbmt(name);
	return type == KELP_TYPE_NORMAL;
}

static uint64_t laws_reserved(const char *name, const struct kelp_format *f, unsigned level,
			      bool table, bool grouped)
{
	uint64_t reserved = UINT64_C(0x1fc0000000000000); /* 60:54 */

	/* The PPN begins at bit 10. */
	for (unsigned bit = 10 + f->pa_bits - 12; bit < 54; bit++)
		reserved |= UINT64_C(1) << bit;
	if (table) /* U, A, D; PBMT; N */
		return reserved | 0xd0 | UINT64_C(7) << 61;
	if (level > 0 || !has_napot(name))
		reserved |= UINT64_C(1) << 63;
	if (!has_pbmt(name))
		reserved |= UINT64_C(3) << 61;
	for (unsigned bit = 10; bit < 10 + 9 * level; bit++)
		reserved |= UINT64_C(1) << bit;
	return reserved | (grouped ? UINT64_C(0xf) << 10 : 0);
}

static uint64_t laws_dropped(const char *name, unsigned level)
{
	(void)name, (void)level;
	return 0;
}

static void test_golden(void **state)
{
	static const struct golden golden[] = {
		{"riscv64-sv39", 0, 0x80000000, R | W | A | D, false, 0x200000c7,
		 "V, R, W, A, D; PPN 0x80000 at bit 10"},
		{"riscv64-sv39", 1, 0x80200000, R | X | U | G, false, 0x2008003b, "V, R, X, U, G"},
		{"riscv64-sv39", 2, 0xc0000000, X, false, 0x30000009, "execute-only gigapage"},
		{"riscv64-sv39", 0, 0x10000000, R | W | A | D | T(DEVICE), false,
		 0x40000000040000c7, "PBMT 2 is IO"},
		{"riscv64-sv39", 0, 0x10000000, R | W | A | D | T(WRITE_COMBINE), false,
		 0x20000000040000c7, "PBMT 1 is NC"},
		{"riscv64-sv39", 0, 0x80010000, R, true, 0x8000000020006003,
		 "N, PPN 0x80018: low bits 1000"},
		{"riscv64-sv39", 0, 0x80000000, R | I, false, 0x1000000020000002, "V clear, mark"},
		{"riscv64-sv48", 3, 0x8000000000, R | KELP_ATTR_SOFT0 | KELP_ATTR_SOFT1, false,
		 0x2000000303, "RSW is bits 9:8; terapage"},
		{"riscv64-sv57", 0, 0x00fffffffffff000, R, false, 0x003ffffffffffc03,
		 "all 44 bits of the PPN"},
	};
	static const struct golden_table tables[] = {
		{"riscv64-sv39", 1, 0x80001000, true, 0x20000501},
		{"riscv64-sv57", 4, 0x00fffffffffff000, false, 0x003ffffffffffc01},
	};

	(void)state;
	check_golden(golden, COUNT(golden));
	check_golden_tables(tables, COUNT(tables));
}

/* What the translation algorithm refuses at step 3, 4 or 6. */
static void test_faulting(void **state)
{
	const struct kelp_format *f = test_format_named("riscv64-sv39");

	(void)state;
	assert_int_equal(f->ops->kind(f, 0, 0x20000005), KELP_ENTRY_OPAQUE); /* W alone */
	assert_int_equal(f->ops->kind(f, 1, 0x20000005), KELP_ENTRY_OPAQUE);
	assert_int_equal(f->ops->kind(f, 0, 0x20000001), KELP_ENTRY_OPAQUE); /* a pointer at 0 */
	assert_false(f->ops->well_formed(f, 0, 0x20000005));
	assert_false(f->ops->well_formed(f, 0, 0x20000001));
	assert_false(f->ops->well_formed(f, 1, 0x20000403));         /* misaligned megapage */
	assert_false(f->ops->well_formed(f, 0, 0x6000000020000003)); /* PBMT 3 */
	assert_false(f->ops->well_formed(f, 0, 0x8000000020000003)); /* N, PPN low bits 0000 */
	assert_false(f->ops->well_formed(f, 0, 0x8000000020006403)); /* 1001 */
	assert_true(f->ops->well_formed(f, 0, 0x8000000020006003));
	/* Bits of an invalid entry are nobody's business. */
	assert_true(f->ops->well_formed(f, 0, 0xfffffffffffffffe));
}

/* Of a pointer G covers everything below. */
static void test_global_pointer(void **state)
{
	const struct kelp_format *f = test_format_named("riscv64-sv39");

	(void)state;
	assert_int_equal(f->ops->kind(f, 1, 0x20000021), KELP_ENTRY_TABLE);
	assert_true(f->ops->well_formed(f, 1, 0x20000021));
	assert_true(kelp_riscv64_is_global(f, 1, 0x20000021));
}

static void test_config(void **state)
{
	static const struct kelp_riscv64_config bad[] = {
		{.levels = 2},
		{.levels = 6},
		{.levels = 3, .physical_bits = 31},
		{.levels = 3, .physical_bits = 57},
	};
	const struct kelp_format *f;
	struct kelp_format format;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(kelp_riscv64_format_init(&format, &bad[i]), KELP_ERR_ARGUMENT);
	f = test_format_named("riscv64-sv39");
	assert_int_equal(f->va_last[0], 0x0000003fffffffff);
	assert_int_equal(f->va_first[1], 0xffffffc000000000);
	assert_false(f->caches_invalid);
	assert_true(f->hardware_dirty);
	f = test_format_named("riscv64-sv57-bare");
	assert_int_equal(f->va_last[0], 0x00ffffffffffffff);
	assert_true(f->caches_invalid);
	assert_false(f->hardware_accessed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAWS_TESTS,
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_faulting),
		cmocka_unit_test(test_global_pointer),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests_name("format riscv64", tests, NULL, NULL);
}
