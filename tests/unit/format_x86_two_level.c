/* SPDX-License-Identifier: MIT */
/* x86_32 two-level entries, against Intel SDM volume 3A, revision 081, section 4.3. */
#include "arch/x86_32/two_level.h"

#define LAWS(name)  kelp_x86_two_level_##name
#define LAWS_PREFIX "x86_two_level"
#include "format_golden.h"
#include "format_laws.h"

static bool is(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}

/* Tables 4-4 and 4-6. Everything can be read and executed. */
static bool laws_allowed(const char *name, const struct kelp_format *f, unsigned level,
			 kelp_attr_t attr, bool grouped)
{
	unsigned type = (attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;
	bool in_pat = type == KELP_TYPE_NORMAL || type == KELP_TYPE_WRITE_THROUGH ||
		      type == KELP_TYPE_UNCACHED || type == KELP_TYPE_DEVICE ||
		      (is(name, "pse36") &&
		       (type == KELP_TYPE_WRITE_COMBINE || type == KELP_TYPE_WRITE_PROTECT));

	(void)f;
	if (grouped || (level == 1 && is(name, "nopse")))
		return false;
	if (attr & (S | KELP_ATTR_SOFT2 | KELP_ATTR_SOFT3))
		return false;
	return (attr & R) && (attr & X) && in_pat;
}

/* Table 4-4: bits 21:(M-19) of a 4 MiB leaf, M the physical width; all of 21:13 with M = 32. */
static uint64_t laws_reserved(const char *name, const struct kelp_format *f, unsigned level,
			      bool table, bool grouped)
{
	unsigned lowest = is(name, "pse40") ? 21 : is(name, "pse36") ? 17 : 13;

	(void)f, (void)grouped;
	if (level == 0 || table)
		return 0;
	return UINT64_C(0x3fffff) & ~((UINT64_C(1) << lowest) - 1u);
}

static uint64_t laws_dropped(const char *name, unsigned level)
{
	(void)name, (void)level;
	return 0;
}

static void test_golden(void **state)
{
	static const struct golden golden[] = {
		{"x86_two_level", 0, 0xabcde000, R | W | X | U, false, 0xabcde007,
		 "P, R/W, U/S: table 4-6"},
		{"x86_two_level", 1, 0xffc00000, R | X | G | D, false, 0xffc001c1,
		 "P, D, PS, G: table 4-4"},
		{"x86_two_level-pse36", 1, 0xfffc00000, R | X, false, 0xffc1e081,
		 "frame bits 35:32 in bits 16:13"},
		{"x86_two_level-pse36", 1, 0x500400000, R | X | I, false, 0xff814880,
		 "P clear, frame bits inverted, 35:32 in place"},
		{"x86_two_level-pse36", 1, 0x400000, R | X | T(WRITE_COMBINE), false, 0x401081,
		 "PAT is bit 12 of a PDE; entry 4"},
		{"x86_two_level-pse36", 0, 0x1000, R | X | T(WRITE_PROTECT), false, 0x1089,
		 "PAT is bit 7 of a PTE; entry 5"},
		{"x86_two_level-pse40", 1, 0xaa00400000, R | X, false, 0x554081,
		 "frame bits 39:32 in bits 20:13"},
	};
	static const struct golden_table tables[] = {
		{"x86_two_level", 1, 0x3000, true, 0x3827},
		{"x86_two_level-pse36", 1, 0xfffff000, false, 0xfffff027},
	};

	(void)state;
	check_golden(golden, COUNT(golden));
	check_golden_tables(tables, COUNT(tables));
}

/* Table 4-5: without CR4.PSE bit 7 of a PDE is ignored, and it points to a table. */
static void test_ps_without_pse(void **state)
{
	const struct kelp_format *f = test_format_named("x86_two_level-nopse");

	(void)state;
	assert_int_equal(f->ops->kind(f, 1, 0x12345087), KELP_ENTRY_TABLE);
	assert_int_equal(f->ops->address(f, 1, 0x12345087), 0x12345000);
	assert_true(f->ops->well_formed(f, 1, 0x12345087));
}

static void test_denied(void **state)
{
	const struct kelp_format *f = test_format_named("x86_two_level");

	(void)state;
	assert_int_equal(f->ops->denied(f, 1, 0x5007), 0);
	assert_int_equal(f->ops->denied(f, 1, 0x5001), W | U);
}

static void test_config(void **state)
{
	static const struct kelp_x86_two_level_config bad[] = {
		{.physical_bits = 31, .large_leaves = true},
		{.physical_bits = 41, .large_leaves = true},
		{.physical_bits = 36},
	};
	const struct kelp_format *f = test_format_named("x86_two_level-pse36");
	struct kelp_format format;
	uint64_t entry;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(kelp_x86_two_level_format_init(&format, &bad[i]),
				 KELP_ERR_ARGUMENT);
	assert_int_equal(f->root_limit, UINT32_MAX);
	assert_int_equal(kelp_x86_two_level_reach(f, 0), UINT32_MAX);
	assert_int_equal(kelp_x86_two_level_reach(f, 1), 0xfffffffff);
	/* Within the physical width, yet no 4 KiB leaf gets there. */
	assert_int_equal(f->ops->leaf(f, 0, 0x500000000, R | X, false, &entry), KELP_ERR_ADDRESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAWS_TESTS,
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_ps_without_pse),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests_name("format x86_two_level", tests, NULL, NULL);
}
