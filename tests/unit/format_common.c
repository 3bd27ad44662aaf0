/* SPDX-License-Identifier: MIT */
/* src/format.c and src/status.c: ranges, frames, closest attributes, texts; over every instance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define R    KELP_ATTR_READ
#define W    KELP_ATTR_WRITE
#define X    KELP_ATTR_EXEC
#define U    KELP_ATTR_USER
#define G    KELP_ATTR_GLOBAL
#define T(t) KELP_ATTR_TYPE(KELP_TYPE_##t)

static void expect(const char *name, const char *what, uint64_t argument, unsigned is,
		   unsigned wanted)
{
	if (is != wanted)
		fail_msg("%s: %s(%#llx): %s, expected %s", name, what, (unsigned long long)argument,
			 kelp_status_name(is), kelp_status_name(wanted));
}

static void test_ranges(void **state)
{
	const struct test_format *formats;
	size_t count = test_formats(&formats);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct kelp_format *f = &formats[i].format;
		const char *name = formats[i].name;
		uint64_t page = UINT64_C(1) << f->page_shift;

		for (unsigned r = 0; r < f->va_ranges; r++) {
			uint64_t first = f->va_first[r];
			uint64_t last = f->va_last[r];
			uint64_t top = last + 1u - page;

			expect(name, "first", first, kelp_format_check_range(f, first, page),
			       KELP_OK);
			expect(name, "last", top, kelp_format_check_range(f, top, page),
			       KELP_OK);
			/* The whole range, the one that ends at 2^64 included. */
			expect(name, "all", first,
			       kelp_format_check_range(f, first, last - first + 1u), KELP_OK);
			expect(name, "beyond", top, kelp_format_check_range(f, top, 2 * page),
			       KELP_ERR_ADDRESS);
			if (first != 0)
				expect(name, "before", first - page,
				       kelp_format_check_range(f, first - page, 2 * page),
				       KELP_ERR_ADDRESS);
			expect(name, "empty", first, kelp_format_check_range(f, first, 0),
			       KELP_ERR_ARGUMENT);
			expect(name, "unaligned", first,
			       kelp_format_check_range(f, first + 1, page), KELP_ERR_ALIGNMENT);
			expect(name, "size", first, kelp_format_check_range(f, first, page / 2),
			       KELP_ERR_ALIGNMENT);
			expect(name, "wrap", top, kelp_format_check_range(f, top, 0 - page),
			       KELP_ERR_ADDRESS);
			assert_true(kelp_format_is_canonical(f, first));
			assert_true(kelp_format_is_canonical(f, last));
			assert_true(kelp_format_is_canonical(f, first + (last - first) / 2));
			if (last != UINT64_MAX)
				assert_false(kelp_format_is_canonical(f, last + 1));
			if (first != 0)
				assert_false(kelp_format_is_canonical(f, first - 1));
		}
		/* Over the hole between two halves. */
		if (f->va_ranges == 2) {
			uint64_t hole = f->va_first[1] - f->va_last[0] - 1u;

			expect(name, "hole", hole,
			       kelp_format_check_range(f, f->va_last[0] + 1u - page,
						       hole + 2 * page),
			       KELP_ERR_ADDRESS);
		}
	}
}

static void test_frames(void **state)
{
	const struct test_format *formats;
	size_t count = test_formats(&formats);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct kelp_format *f = &formats[i].format;
		const char *name = formats[i].name;
		uint64_t page = UINT64_C(1) << f->page_shift;
		uint64_t end = UINT64_C(1) << f->pa_bits;

		expect(name, "0", 0, kelp_format_check_frames(f, 0, page), KELP_OK);
		expect(name, "all", 0, kelp_format_check_frames(f, 0, end), KELP_OK);
		expect(name, "last", end - page, kelp_format_check_frames(f, end - page, page),
		       KELP_OK);
		expect(name, "beyond", end - page,
		       kelp_format_check_frames(f, end - page, 2 * page), KELP_ERR_ADDRESS);
		expect(name, "end", end, kelp_format_check_frames(f, end, page), KELP_ERR_ADDRESS);
		expect(name, "wrap", page, kelp_format_check_frames(f, page, 0 - page),
		       KELP_ERR_ADDRESS);
		expect(name, "empty", 0, kelp_format_check_frames(f, 0, 0), KELP_ERR_ARGUMENT);
		expect(name, "unaligned", 8, kelp_format_check_frames(f, 8, page),
		       KELP_ERR_ALIGNMENT);
		expect(name, "size", 0, kelp_format_check_frames(f, 0, page + 8),
		       KELP_ERR_ALIGNMENT);
	}
}

static bool encodes(const struct kelp_format *f, kelp_attr_t attr)
{
	uint64_t entry;

	return f->ops->leaf(f, 0, 0, attr, false, &entry) == KELP_OK;
}

/*
 * Of every attribute set: what can be expressed is left alone; WRITE, USER, SHARED and INVALID
 * are never added nor dropped, READ and EXEC never dropped; and what comes out is expressed,
 * unless it cannot be for something that may not be dropped.
 */
static void test_closest_laws(void **state)
{
	const kelp_attr_t kept = W | U | KELP_ATTR_SHARED | KELP_ATTR_INVALID;
	const struct test_format *formats;
	size_t count = test_formats(&formats);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct kelp_format *f = &formats[i].format;

		for (unsigned n = 0; n < 1u << 16; n++) {
			kelp_attr_t wanted = (n & 0x1ffu) | (n >> 9 & 0xfu) << 12 | (n >> 13) << 16;
			kelp_attr_t closest = kelp_format_closest(f, wanted);
			bool cannot = (wanted & KELP_ATTR_SHARED) &&
				      !(f->attr_mask & KELP_ATTR_SHARED);

			if (encodes(f, wanted) && closest != wanted)
				fail_msg("%s: %#x became %#x", formats[i].name, wanted, closest);
			if ((closest ^ wanted) & kept)
				fail_msg("%s: %#x became %#x", formats[i].name, wanted, closest);
			if (wanted & (R | X) & ~closest)
				fail_msg("%s: %#x lost a right: %#x", formats[i].name, wanted,
					 closest);
			if (encodes(f, closest) == cannot)
				fail_msg("%s: %#x became %#x, which is %sexpressed",
					 formats[i].name, wanted, closest, cannot ? "" : "not ");
		}
	}
}

static void test_closest_cases(void **state)
{
	static const struct {
		const char *format;
		kelp_attr_t wanted, closest;
	} cases[] = {
		/* Rights that cannot be withheld. */
		{"x86_64-4level", W, R | W},
		{"x86_64-4level", 0, R},
		{"x86_64-4level-nonx", R | W, R | W | X},
		{"x86_two_level", 0, R | X},
		{"riscv64-sv39", W, R | W},
		{"riscv64-sv39", X, X},
		{"riscv64-sv39", W | X, R | W | X},
		{"riscv64-sv39", 0, R},
		{"arm64-4k-48-low", U | X, U | X},
		{"arm64-4k-48-low", X, R | X},
		{"arm64-4k-48-low", U | W, U | R | W},
		{"fake", 0, 0},
		/* Memory types: a stricter one, or the only one. */
		{"x86_64-4level", R | T(WRITE_COMBINE), R | T(UNCACHED)},
		{"x86_64-4level-pat", R | T(WRITE_COMBINE), R | T(WRITE_COMBINE)},
		{"x86_64-4level", R | T(DEVICE_STRICT), R | T(DEVICE)},
		{"x86_64-4level", R | T(WRITE_PROTECT), R | T(WRITE_THROUGH)},
		{"x86_64-4level", R | T(TAGGED), R},
		{"riscv64-sv39", R | T(WRITE_THROUGH), R | T(WRITE_COMBINE)},
		{"riscv64-sv39", R | T(UNCACHED), R | T(DEVICE)},
		{"riscv64-sv39-bare", R | T(DEVICE), R},
		{"arm64-4k-48-low", R | T(UNCACHED), R | T(DEVICE)},
		{"arm64-4k-48-low", R | T(DEVICE_STRICT), R | T(DEVICE_STRICT)},
		{"fake", R | T(WRITE_PROTECT), R | T(WRITE_THROUGH)},
		/* Bits that do not exist. */
		{"x86_pae", R | X | KELP_ATTR_SOFT, R | X | KELP_ATTR_SOFT0 | KELP_ATTR_SOFT1},
		{"riscv64-sv39", R | G | KELP_ATTR_SOFT3, R | G},
		/* What may not be dropped stays, and map refuses it. */
		{"x86_64-4level", R | KELP_ATTR_SHARED, R | KELP_ATTR_SHARED},
		{"x86_64-4level-sev", W | KELP_ATTR_SHARED, R | W | KELP_ATTR_SHARED},
		{"x86_64-4level", R | UINT32_C(0x80000000), R | UINT32_C(0x80000000)},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		kelp_attr_t closest =
			kelp_format_closest(test_format_named(cases[i].format), cases[i].wanted);

		if (closest != cases[i].closest)
			fail_msg("%s: closest to %#x is %#x, expected %#x", cases[i].format,
				 cases[i].wanted, closest, cases[i].closest);
	}
}

/* What no instance of the list lacks: history, GLOBAL, and every type that a chain ends in. */
static void test_closest_poor(void **state)
{
	const kelp_attr_t gone = G | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY | KELP_ATTR_SOFT3;
	struct kelp_format f = *test_format_named("fake");

	(void)state;
	f.attr_mask &= ~gone;
	assert_int_equal(kelp_format_closest(&f, R | W | gone), R | W);
	assert_int_equal(kelp_format_closest(&f, R | KELP_ATTR_SOFT2 | gone), R | KELP_ATTR_SOFT2);
	f.type_to_index[KELP_TYPE_DEVICE] = KELP_TYPE_ABSENT;
	assert_int_equal(kelp_format_closest(&f, R | T(DEVICE)), R | T(DEVICE_STRICT));
	f.type_to_index[KELP_TYPE_DEVICE_STRICT] = KELP_TYPE_ABSENT;
	assert_int_equal(kelp_format_closest(&f, R | G | T(DEVICE)), R | T(DEVICE));
}

static void test_status(void **state)
{
	static const char *const names[] = {
		"KELP_OK",
		"KELP_ERR_ARGUMENT",
		"KELP_ERR_ALIGNMENT",
		"KELP_ERR_ADDRESS",
		"KELP_ERR_EXISTS",
		"KELP_ERR_NOT_MAPPED",
		"KELP_ERR_NO_MEMORY",
		"KELP_ERR_UNSUPPORTED",
		"KELP_ERR_BBM",
		"KELP_ERR_RESTRICTED",
		"KELP_ERR_MALFORMED",
		"KELP_ERR_BUSY",
		"KELP_ERR_IO",
		"KELP_ERR_NO_SPACE",
		"KELP_ERR_NO_IMAGE",
		"KELP_ERR_DAMAGED",
		"KELP_ERR_KEY",
		"KELP_ERR_VERSION",
		"KELP_ERR_OTHER_KERNEL",
		"KELP_ERR_OTHER_MEMORY",
		"KELP_ERR_OTHER_CPU",
		"KELP_ERR_CPU_COUNT",
		"KELP_ERR_REPLAYED",
		"KELP_ERR_SECRET",
		"KELP_ERR_CANCELLED",
		"KELP_ERR_NO_RANDOM",
		"KELP_ERR_NO_FRAME",
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(names); i++) {
		assert_string_equal(kelp_status_name((enum kelp_status)i), names[i]);
		assert_true(strlen(kelp_status_text((enum kelp_status)i)) > 3);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(kelp_status_text((enum kelp_status)i),
						kelp_status_text((enum kelp_status)j));
	}
	/* Beyond the end, before the beginning. */
	assert_string_equal(kelp_status_name((enum kelp_status)COUNT(names)), "KELP_ERR_unknown");
	assert_string_equal(kelp_status_name((enum kelp_status)-1), "KELP_ERR_unknown");
	assert_non_null(kelp_status_text((enum kelp_status)-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),        cmocka_unit_test(test_frames),
		cmocka_unit_test(test_closest_laws),  cmocka_unit_test(test_closest_cases),
		cmocka_unit_test(test_closest_poor),  cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests_name("format common", tests, NULL, NULL);
}
