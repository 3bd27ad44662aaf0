/* SPDX-License-Identifier: MIT */
/* x86_32 PAE entries, against Intel SDM volume 3A, revision 081, section 4.4. */
#include "arch/x86_32/pae.h"

#define LAWS(name)  kelp_x86_pae_##name
#define LAWS_PREFIX "x86_pae"
#include "format_golden.h"
#include "format_laws.h"

static bool is(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}

/* Tables 4-9 and 4-11: 2 MiB and 4 KiB. Only bits 11:9 are ignored, one of which is Kelp's. */
static bool laws_allowed(const char *name, const struct kelp_format *f, unsigned level,
			 kelp_attr_t attr, bool grouped)
{
	unsigned type = (attr & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;
	bool in_pat = type == KELP_TYPE_NORMAL || type == KELP_TYPE_WRITE_THROUGH ||
		      type == KELP_TYPE_UNCACHED || type == KELP_TYPE_DEVICE ||
		      (is(name, "-52") &&
		       (type == KELP_TYPE_WRITE_COMBINE || type == KELP_TYPE_WRITE_PROTECT));

	(void)f;
	if (grouped || level > 1 || (attr & (S | KELP_ATTR_SOFT2 | KELP_ATTR_SOFT3)))
		return false;
	return (attr & R) && ((attr & X) || !is(name, "nonx")) && in_pat;
}

static uint64_t laws_reserved(const char *name, const struct kelp_format *f, unsigned level,
			      bool table, bool grouped)
{
	uint64_t beyond = ~((UINT64_C(1) << f->pa_bits) - 1u) & (UINT64_MAX >> 1); /* 62:M */

	(void)grouped;
	if (level == 2) /* table 4-8: bits 2:1, 8:5 and 63:M */
		return beyond | UINT64_C(1) << 63 | UINT64_C(0x1e6);
	if (is(name, "nonx"))
		beyond |= UINT64_C(1) << 63;
	if (level == 1 && !table)
		beyond |= UINT64_C(0x1fe000); /* 20:13, table 4-9 */
	return beyond;
}

static uint64_t laws_dropped(const char *name, unsigned level)
{
	(void)name, (void)level;
	return 0;
}

static void test_golden(void **state)
{
	static const struct golden golden[] = {
		{"x86_pae", 0, 0xfedcba000, R | W, false, 0x8000000fedcba003,
		 "P, R/W, XD: table 4-11"},
		{"x86_pae", 1, 0xfe0200000, R | X | G | A, false, 0xfe02001a1,
		 "P, A, PS, G: table 4-9"},
		{"x86_pae", 1, 0xfe0200000, R | X | I, false, 0x1fc00880,
		 "P clear, address bits 35:21 inverted"},
		{"x86_pae", 0, 0x1000, R | X | KELP_ATTR_SOFT0 | KELP_ATTR_SOFT1, false, 0x1601,
		 "ignored bits 9 and 10"},
		{"x86_pae-52", 1, 0x200000, R | X | U | T(WRITE_COMBINE), false, 0x201085,
		 "PAT is bit 12 of a PDE; entry 4"},
		{"x86_pae-52", 0, 0xffffffffff000, R | X | T(DEVICE), false, 0xffffffffff019,
		 "PWT, PCD: entry 3 is UC"},
	};
	static const struct golden_table tables[] = {
		{"x86_pae", 1, 0x7000, true, 0x7827},
		{"x86_pae", 1, 0xf00007000, false, 0xf00007027},
		/* Table 4-8: a PDPTE has P, PWT, PCD and nothing else. */
		{"x86_pae", 2, 0x7000, true, 0x7801},
		{"x86_pae", 2, 0x7000, false, 0x7001},
	};

	(void)state;
	check_golden(golden, COUNT(golden));
	check_golden_tables(tables, COUNT(tables));
}

static void test_denied(void **state)
{
	const struct kelp_format *f = test_format_named("x86_pae");

	(void)state;
	assert_int_equal(f->ops->denied(f, 1, 0x5007), 0);
	assert_int_equal(f->ops->denied(f, 1, 0x5001), W | U);
	assert_int_equal(f->ops->denied(f, 1, 0x8000000000005007), X);
	assert_int_equal(f->ops->denied(f, 2, 0x5001), 0);
}

static void test_config(void **state)
{
	static const struct kelp_x86_pae_config bad[] = {{.physical_bits = 35},
							 {.physical_bits = 53}};
	const struct kelp_format *f = test_format_named("x86_pae");
	struct kelp_format format;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(kelp_x86_pae_format_init(&format, &bad[i]), KELP_ERR_ARGUMENT);
	assert_int_equal(f->root_limit, UINT32_MAX);
	assert_true(f->root_in_registers);
	assert_int_equal(f->va_last[0], UINT32_MAX);
	/* Bit 7 of a PDPTE is reserved, not PS: it is never a leaf. */
	assert_int_equal(f->ops->kind(f, 2, 0x5081), KELP_ENTRY_TABLE);
	assert_false(f->ops->well_formed(f, 2, 0x5081));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAWS_TESTS,
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests_name("format x86_pae", tests, NULL, NULL);
}
