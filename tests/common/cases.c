/* SPDX-License-Identifier: MIT */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats.h"

struct instance {
	const struct kelp_format *format;
	const struct test_case *test;
	const struct bare_case *bare;
	char name[160];
};

void assert_no_failure(void)
{
	if (test_failed())
		fail_msg("%s", test_failure());
}

static void run_instance(void **state)
{
	const struct instance *instance = *state;
	struct run run;

	test_report_reset();
	if (!run_begin(&run, instance->format, instance->test->space_flags))
		assert_no_failure();
	run.exact = true;
	instance->test->body(&run);
	assert_no_failure();
	run_end(&run);
	assert_no_failure();
}

static void run_bare(void **state)
{
	const struct instance *instance = *state;
	struct bare bare = {instance->format, test_port_new(instance->format)};

	test_report_reset();
	instance->bare->body(&bare);
	assert_no_failure();
	test_port_free(bare.port);
}

/* KELP_TEST_FORMATS: names, with spaces around each; unset: all. */
static bool is_wanted(const char *name)
{
	const char *wanted = getenv("KELP_TEST_FORMATS");
	char padded[96];

	snprintf(padded, sizeof(padded), " %s ", name);
	return !wanted || strstr(wanted, padded);
}

/* cmocka wants one array; it lives as long as the program. */
static int run_all(const char *group, const struct test_case *cases, const struct bare_case *bare,
		   size_t count)
{
	const struct test_format *formats;
	size_t format_count = test_formats(&formats), n = 0;
	struct instance *instances = calloc(count * format_count, sizeof(*instances));
	struct CMUnitTest *tests = calloc(count * format_count, sizeof(*tests));
	int failed;

	if (!instances || !tests)
		abort();
	for (size_t c = 0; c < count; c++)
		for (size_t f = 0; f < format_count; f++) {
			const struct kelp_format *format = &formats[f].format;
			bool (*applies)(const struct kelp_format *) =
				cases ? cases[c].applies : bare[c].applies;
			struct instance *instance = &instances[n];

			if ((applies && !applies(format)) || !is_wanted(formats[f].name))
				continue;
			instance->format = format;
			instance->test = cases ? &cases[c] : NULL;
			instance->bare = bare ? &bare[c] : NULL;
			snprintf(instance->name, sizeof(instance->name), "%s: %s",
				 cases ? cases[c].name : bare[c].name, formats[f].name);
			tests[n++] = (struct CMUnitTest){
				.name = instance->name,
				.test_func = cases ? run_instance : run_bare,
				.initial_state = instance,
			};
		}
	failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
	free(instances);
	free(tests);
	return failed != 0;
}

int cases_run(const char *group, const struct test_case *cases, size_t count)
{
	return run_all(group, cases, NULL, count);
}

int bare_cases_run(const char *group, const struct bare_case *cases, size_t count)
{
	return run_all(group, NULL, cases, count);
}

/* ---- operations -------------------------------------------------------------------------- */

static enum kelp_status do_one(struct run *run, const struct step *step)
{
	run_step(run, step);
	assert_no_failure();
	return run->last_status;
}

enum kelp_status do_map(struct run *run, kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size,
			kelp_attr_t attributes, uint32_t flags)
{
	return do_one(run, &(struct step){.kind = STEP_MAP, .va = va, .pa = pa, .size = size,
					  .set = attributes, .flags = flags});
}

enum kelp_status do_unmap(struct run *run, kelp_vaddr_t va, uint64_t size, uint32_t flags)
{
	return do_one(run, &(struct step){.kind = STEP_UNMAP, .va = va, .size = size,
					  .flags = flags});
}

enum kelp_status do_protect(struct run *run, kelp_vaddr_t va, uint64_t size, kelp_attr_t set,
			    kelp_attr_t clear, uint32_t flags)
{
	return do_one(run, &(struct step){.kind = STEP_PROTECT, .va = va, .size = size,
					  .set = set, .clear = clear, .flags = flags});
}

enum kelp_status do_populate(struct run *run, kelp_vaddr_t va, uint64_t size, unsigned leaf_shift)
{
	return do_one(run, &(struct step){.kind = STEP_POPULATE, .va = va, .size = size,
					  .leaf_shift = leaf_shift});
}

enum kelp_status do_split(struct run *run, kelp_vaddr_t va, uint64_t size, unsigned leaf_shift,
			  uint32_t flags)
{
	return do_one(run, &(struct step){.kind = STEP_SPLIT, .va = va, .size = size,
					  .leaf_shift = leaf_shift, .flags = flags});
}

enum kelp_status do_coalesce(struct run *run, kelp_vaddr_t va, uint64_t size,
			     unsigned leaf_shift, uint32_t flags)
{
	return do_one(run, &(struct step){.kind = STEP_COALESCE, .va = va, .size = size,
					  .leaf_shift = leaf_shift, .flags = flags});
}

enum kelp_status do_release(struct run *run, kelp_vaddr_t va, uint64_t size)
{
	return do_one(run, &(struct step){.kind = STEP_RELEASE, .va = va, .size = size});
}

void do_commit(struct run *run)
{
	do_one(run, &(struct step){.kind = STEP_COMMIT});
}

void do_touch(struct run *run, kelp_vaddr_t va, bool write)
{
	do_one(run, &(struct step){.kind = STEP_TOUCH, .va = va,
				   .set = write ? KELP_ATTR_DIRTY : 0});
}

/* ---- what a format has ------------------------------------------------------------------- */

uint64_t page_of(const struct kelp_format *format)
{
	return UINT64_C(1) << format->page_shift;
}

unsigned leaf_at(const struct kelp_format *format, unsigned level)
{
	unsigned shift = format->shift[level];

	return format->leaf_sizes >> shift & 1 ? shift : 0;
}

unsigned large_level(const struct kelp_format *format)
{
	for (unsigned level = 1; level < format->levels; level++)
		if (leaf_at(format, level))
			return level;
	return 0;
}

unsigned largest_shift(const struct kelp_format *format)
{
	return 63u - (unsigned)__builtin_clzll(format->leaf_sizes);
}

kelp_vaddr_t some_va(const struct kelp_format *format, unsigned n)
{
	unsigned shift = largest_shift(format);
	uint64_t unit = UINT64_C(1) << shift;

	/* At least a large page, so that places of tests stay apart. */
	if (large_level(format) == 0 && format->levels > 1)
		unit = UINT64_C(1) << format->shift[1];
	return format->va_first[format->va_ranges - 1] + unit * (n + 1u);
}

kelp_paddr_t some_pa(const struct kelp_format *format, unsigned n)
{
	unsigned shift = largest_shift(format);

	if (large_level(format) == 0 && format->levels > 1)
		shift = format->shift[1];
	return (UINT64_C(1) << shift) * (n + 1u) & ((UINT64_C(1) << format->pa_bits) - 1u);
}

kelp_attr_t data_of(const struct kelp_format *format)
{
	return kelp_format_closest(format, KELP_ATTR_READ | KELP_ATTR_WRITE);
}

kelp_attr_t rodata_of(const struct kelp_format *format)
{
	return kelp_format_closest(format, KELP_ATTR_READ);
}

kelp_attr_t text_of(const struct kelp_format *format)
{
	return kelp_format_closest(format, KELP_ATTR_READ | KELP_ATTR_EXEC);
}

bool has_large(const struct kelp_format *format)
{
	return large_level(format) != 0;
}

bool has_groups(const struct kelp_format *format)
{
	return format->groups && format->group_order[0];
}

bool has_hardware_bits(const struct kelp_format *format)
{
	return format->hardware_accessed;
}

const struct raw_entry *leaf_of(struct run *run, kelp_vaddr_t va)
{
	judge_observe(&run->judge);
	return raw_leaf(&run->judge.now, va);
}

unsigned shift_at(struct run *run, kelp_vaddr_t va)
{
	const struct raw_entry *leaf = leaf_of(run, va);

	return leaf ? leaf->shift : 0;
}

unsigned tables_of(struct run *run)
{
	judge_observe(&run->judge);
	return raw_tables(&run->judge.now, false) + 1u;
}
