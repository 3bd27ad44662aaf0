/* SPDX-License-Identifier: MIT */
/* The fake format: that it is sound, and that no two of its levels agree. */
#include "arch/fake/format.h"

#define LAWS(name)  kelp_fake_##name
#define LAWS_PREFIX "fake"
#include "format_golden.h"
#include "format_laws.h"

static bool has_groups(const char *name)
{
	return strcmp(name, "fake-bbm0-soft") != 0 && strcmp(name, "fake-registers") != 0;
}

static bool is_hierarchical(const char *name)
{
	return strcmp(name, "fake-bbm0") == 0 || strcmp(name, "fake-caches-invalid") == 0;
}

static bool laws_allowed(const char *name, const struct kelp_format *f, unsigned level,
			 kelp_attr_t attr, bool grouped)
{
	(void)f;
	if (grouped && (level > 1 || !has_groups(name) || (attr & I)))
		return false;
	return level < 3 && (attr & KELP_ATTR_TYPE_MASK) != T(WRITE_PROTECT);
}

static uint64_t laws_reserved(const char *name, const struct kelp_format *f, unsigned level,
			      bool table, bool grouped)
{
	uint64_t frame = UINT64_C(0xffffffff) << (level == 0 ? 24 : level == 1 ? 32
						  : level == 2 ? 13 : 28);
	/* valid, leaf, mark, ignored; then what denies; per level */
	static const uint64_t tables[] = {
		0,
		1u << 11 | 1u << 9 | 1u << 25 | 1u << 24,
		1u << 6 | UINT64_C(1) << 63 | 1u << 7 | 1u << 8,
		1u << 3 | UINT64_C(1) << 60 | 1u << 14 | 1u << 15,
	};
	static const uint64_t denials[] = {
		0,
		1u << 8 | 1u << 10 | 1u << 31,
		UINT64_C(3) << 54 | 1u << 0,
		7u << 6,
	};
	uint64_t used;

	(void)f;
	if (table)
		return ~(frame | tables[level] | (is_hierarchical(name) ? denials[level] : 0));
	switch (level) {
	case 0:
		used = frame | 0x5ffff | UINT64_C(1) << 63;
		return ~(used | (has_groups(name) ? 1u << 17 : 0));
	case 1:
		/* Low frame bits, and of a group the three that say how large it is. */
		used = (frame & ~(UINT64_C(0xff) << 32)) | 0xfff | UINT64_C(0xfb000000);
		used &= grouped ? ~(UINT64_C(7) << 40) : UINT64_MAX;
		return ~(used | (has_groups(name) ? 1u << 26 : 0));
	default:
		used = (frame & ~(UINT64_C(0x1ffff) << 13)) | 0x1df;
		return ~(used | UINT64_C(0x3ff) << 46 | UINT64_C(1) << 63);
	}
}

static uint64_t laws_dropped(const char *name, unsigned level)
{
	(void)name, (void)level;
	return 0;
}

static void test_golden(void **state)
{
	static const struct golden golden[] = {
		{"fake", 0, 0x5000, R | W, false, 0x500000f, "level 0"},
		{"fake", 1, 0x300000, X, false, 0x30020000a28,
		 "level 1: WRITE inverted, type + 1"},
		{"fake", 1, 0x800000, X, true, 0xc0024000a28,
		 "level 1: frame 0x800, group bits 100"},
		{"fake", 2, 0x20000000, W | KELP_ATTR_TYPE(1), false,
		 0x8001c0004000004c, "level 2: READ and EXEC inverted, type + 2"},
	};

	(void)state;
	check_golden(golden, COUNT(golden));
}

/* Every bit of a level has one meaning, and VALID lies where a page address is zero. */
static void test_layout(void **state)
{
	(void)state;
	for (unsigned level = 0; level < KELP_FAKE_LEVELS; level++) {
		uint64_t taken = KELP_FAKE_FRAME_MASK << kelp_fake_level[level].frame_at;

		assert_true(kelp_fake_level[level].at[KELP_FAKE_VALID] < 12);
		for (unsigned bit = 0; bit < KELP_FAKE_BITS; bit++) {
			assert_int_equal(taken & kelp_fake_bit(level, bit), 0);
			taken |= kelp_fake_bit(level, bit);
		}
	}
}

/* A leaf of one level, read as one of another, is not the same leaf. */
static void test_levels_differ(void **state)
{
	const struct kelp_format *f = test_format_named("fake");

	(void)state;
	for (unsigned level = 0; level < 3; level++) {
		for (unsigned other = 0; other < 3; other++) {
			unsigned shift = f->shift[level > other ? level : other];

			for (unsigned n = 0; other != level && n < ATTR_SETS; n++) {
				kelp_attr_t attr = nth_attr(n);
				kelp_paddr_t pa = UINT64_C(3) << shift;
				uint64_t e;

				if (f->ops->leaf(f, level, pa, attr, false, &e) != KELP_OK)
					continue;
				assert_false(f->ops->kind(f, other, e) ==
						     f->ops->kind(f, level, e) &&
					     f->ops->attributes(f, other, e) == attr &&
					     f->ops->address(f, other, e) == pa);
			}
		}
	}
}

static void test_denied(void **state)
{
	const struct kelp_format *f = test_format_named("fake-bbm0");
	const struct kelp_format *flat = test_format_named("fake");

	(void)state;
	for (unsigned level = 1; level < 4; level++) {
		uint64_t e = f->ops->table(f, level, 0x5000, true);
		uint64_t write = e | kelp_fake_bit(level, KELP_FAKE_DENY_WRITE);
		uint64_t exec = e | kelp_fake_bit(level, KELP_FAKE_DENY_EXEC);
		uint64_t user = e | kelp_fake_bit(level, KELP_FAKE_DENY_USER);

		assert_int_equal(f->ops->denied(f, level, write), W);
		assert_int_equal(f->ops->denied(f, level, exec), X);
		assert_int_equal(f->ops->denied(f, level, user), U);
		assert_int_equal(f->ops->denied(f, level, write | exec | user), W | X | U);
		assert_true(f->ops->well_formed(f, level, write | exec | user));
		assert_int_equal(flat->ops->denied(flat, level, write), 0);
		assert_false(flat->ops->well_formed(flat, level, write));
	}
}

/* One frame of a group, another memory type, another table: never without a break. */
static void test_always_broken(void **state)
{
	static const char *const names[] = {"fake", "fake-bbm0", "fake-bbm1"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct kelp_format *f = test_format_named(names[i]);
		uint64_t a, b;

		for (unsigned level = 0; level < 3; level++) {
			kelp_paddr_t span = UINT64_C(1) << f->shift[level];

			assert_int_equal(f->ops->leaf(f, level, 0, R, false, &a), KELP_OK);
			assert_int_equal(f->ops->leaf(f, level, span, R, false, &b), KELP_OK);
			assert_false(f->ops->can_replace(f, level, a, b));
			for (unsigned type = 1; type < KELP_MEMORY_TYPES; type++) {
				if (f->ops->leaf(f, level, 0, R | KELP_ATTR_TYPE(type), false,
						 &b) == KELP_OK)
					assert_false(f->ops->can_replace(f, level, a, b));
			}
		}
		assert_int_equal(f->ops->leaf(f, 0, 0, R, true, &a), KELP_OK);
		assert_int_equal(f->ops->leaf(f, 0, 0x1000, R, true, &b), KELP_OK);
		assert_false(f->ops->can_replace(f, 0, a, b));
		a = f->ops->table(f, 2, 0x1000, true);
		b = f->ops->table(f, 2, 0x2000, true);
		assert_false(f->ops->can_replace(f, 2, a, b));
	}
}

static void test_config(void **state)
{
	static const struct kelp_fake_config bad = {.bbm_level = 3};
	struct kelp_format format;

	(void)state;
	assert_int_equal(kelp_fake_format_init(&format, &bad), KELP_ERR_ARGUMENT);
	assert_int_equal(test_format_named("fake-bbm1")->va_first[0], 0xfffffc0000000000);
	assert_true(test_format_named("fake-registers")->root_in_registers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAWS_TESTS,
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_levels_differ),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_always_broken),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests_name("format fake", tests, NULL, NULL);
}
