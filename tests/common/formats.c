/* SPDX-License-Identifier: MIT */
/* formats: the configurations. */
#include "formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/arm64_16k.h"
#include "arch/arm64/arm64_4k.h"
#include "arch/arm64/arm64_64k.h"
#include "arch/fake/format.h"
#include "arch/riscv64/format.h"
#include "arch/x86_32/pae.h"
#include "arch/x86_32/two_level.h"
#include "arch/x86_64/format.h"

#define LIST_MAX 128

static struct test_format list[LIST_MAX];
static size_t count;

static struct kelp_format *add(const char *name)
{
	if (count == LIST_MAX) {
		fprintf(stderr, "formats: more than %d instances: raise LIST_MAX\n", LIST_MAX);
		exit(2);
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0) {
			fprintf(stderr, "formats: two instances are called %s\n", name);
			exit(2);
		}
	}
	list[count].name = name;
	return &list[count++].format;
}

static void made(enum kelp_status status)
{
	if (status == KELP_OK)
		return;
	fprintf(stderr, "formats: %s: %s\n", list[count - 1].name, kelp_status_name(status));
	exit(2);
}

/* A PAT with all six types, in an order that no operating system uses. */
#define PAT_ALL UINT64_C(0x0006050100040706)

static void add_x86(void)
{
	static const struct {
		const char *name;
		struct kelp_x86_64_config config;
	} x86_64[] = {
		{"x86_64-4level",
		 {.levels = 4, .physical_bits = 46, .no_execute = true, .gigabyte_leaves = true}},
		{"x86_64-4level-no1g", {.levels = 4, .physical_bits = 40, .no_execute = true}},
		{"x86_64-4level-nonx",
		 {.levels = 4, .physical_bits = 36, .gigabyte_leaves = true}},
		{"x86_64-4level-pat",
		 {.levels = 4, .physical_bits = 52, .no_execute = true, .gigabyte_leaves = true,
		  .pat = PAT_ALL}},
		{"x86_64-4level-sev",
		 {.levels = 4, .physical_bits = 43, .no_execute = true, .gigabyte_leaves = true,
		  .encryption_bit = 47}},
		{"x86_64-4level-tdx",
		 {.levels = 4, .physical_bits = 52, .no_execute = true, .gigabyte_leaves = true,
		  .encryption_bit = 47, .encryption_bit_shared = true}},
		{"x86_64-5level",
		 {.levels = 5, .physical_bits = 52, .no_execute = true, .gigabyte_leaves = true}},
		{"x86_64-5level-no1g-nonx", {.levels = 5, .physical_bits = 46}},
		{"x86_64-5level-tdx",
		 {.levels = 5, .physical_bits = 52, .no_execute = true, .gigabyte_leaves = true,
		  .encryption_bit = 51, .encryption_bit_shared = true}},
	};
	static const struct {
		const char *name;
		struct kelp_x86_pae_config config;
	} pae[] = {
		{"x86_pae", {.physical_bits = 36, .no_execute = true}},
		{"x86_pae-nonx", {.physical_bits = 36}},
		{"x86_pae-52", {.physical_bits = 52, .no_execute = true, .pat = PAT_ALL}},
	};
	static const struct {
		const char *name;
		struct kelp_x86_two_level_config config;
	} two_level[] = {
		{"x86_two_level", {.physical_bits = 32, .large_leaves = true}},
		{"x86_two_level-nopse", {.physical_bits = 32}},
		{"x86_two_level-pse36",
		 {.physical_bits = 36, .large_leaves = true, .pat = PAT_ALL}},
		{"x86_two_level-pse40", {.physical_bits = 40, .large_leaves = true}},
	};

	for (size_t i = 0; i < sizeof(x86_64) / sizeof(x86_64[0]); i++)
		made(kelp_x86_64_format_init(add(x86_64[i].name), &x86_64[i].config));
	for (size_t i = 0; i < sizeof(pae) / sizeof(pae[0]); i++)
		made(kelp_x86_pae_format_init(add(pae[i].name), &pae[i].config));
	for (size_t i = 0; i < sizeof(two_level) / sizeof(two_level[0]); i++)
		made(kelp_x86_two_level_format_init(add(two_level[i].name),
						    &two_level[i].config));
}

/* MAIR with Device-nGnRnE, nGnRE, Normal-NC, WT, WB and Tagged, not in the default's order. */
#define MAIR_ALL UINT64_C(0x0000f0ffbb440400)

#define LOW  KELP_ARM64_LOW
#define HIGH KELP_ARM64_HIGH

static void add_arm64(void)
{
	static const struct {
		const char *name;
		unsigned granule;
		struct kelp_arm64_config config;
	} arm64[] = {
		{"arm64-4k-48-low", 12,
		 {.half = LOW, .va_bits = 48, .pa_bits = 48, .hardware_accessed = true,
		  .hardware_dirty = true, .contiguous = true, .bbm_level = 2}},
		{"arm64-4k-48-high-bbm0", 12,
		 {.half = HIGH, .va_bits = 48, .pa_bits = 48, .hardware_accessed = true,
		  .hardware_dirty = true, .contiguous = true}},
		{"arm64-4k-48-high-bbm1", 12,
		 {.half = HIGH, .va_bits = 48, .pa_bits = 44, .hardware_accessed = true,
		  .contiguous = true, .bbm_level = 1, .mair = MAIR_ALL}},
		{"arm64-4k-39-low-bbm0", 12, {.half = LOW, .va_bits = 39, .pa_bits = 40}},
		{"arm64-4k-39-high", 12,
		 {.half = HIGH, .va_bits = 39, .pa_bits = 40, .contiguous = true,
		  .bbm_level = 2}},
		{"arm64-4k-42-low-nohier", 12,
		 {.half = LOW, .va_bits = 42, .pa_bits = 36, .contiguous = true,
		  .no_hierarchical = true, .bbm_level = 2}},
		{"arm64-4k-52-low", 12,
		 {.half = LOW, .va_bits = 52, .pa_bits = 52, .wide = true,
		  .hardware_accessed = true, .hardware_dirty = true, .contiguous = true,
		  .bbm_level = 2}},
		{"arm64-4k-52-high-bbm0", 12,
		 {.half = HIGH, .va_bits = 52, .pa_bits = 52, .wide = true,
		  .contiguous = true}},
		{"arm64-4k-48-low-realm", 12,
		 {.half = LOW, .va_bits = 48, .pa_bits = 47, .hardware_accessed = true,
		  .hardware_dirty = true, .contiguous = true, .bbm_level = 2,
		  .shared_bit = 47}},
		{"arm64-16k-47-low", 14,
		 {.half = LOW, .va_bits = 47, .pa_bits = 48, .hardware_accessed = true,
		  .hardware_dirty = true, .contiguous = true, .bbm_level = 2}},
		{"arm64-16k-47-high-bbm0", 14,
		 {.half = HIGH, .va_bits = 47, .pa_bits = 48, .contiguous = true}},
		{"arm64-16k-48-high-bbm1", 14,
		 {.half = HIGH, .va_bits = 48, .pa_bits = 48, .contiguous = true,
		  .bbm_level = 1}},
		{"arm64-16k-36-low", 14, {.half = LOW, .va_bits = 36, .pa_bits = 36,
					  .bbm_level = 2}},
		{"arm64-16k-52-low", 14,
		 {.half = LOW, .va_bits = 52, .pa_bits = 52, .wide = true,
		  .hardware_accessed = true, .hardware_dirty = true, .contiguous = true,
		  .bbm_level = 2}},
		{"arm64-64k-42-low", 16,
		 {.half = LOW, .va_bits = 42, .pa_bits = 48, .hardware_accessed = true,
		  .hardware_dirty = true, .contiguous = true, .bbm_level = 2}},
		{"arm64-64k-48-high-bbm0", 16,
		 {.half = HIGH, .va_bits = 48, .pa_bits = 48, .contiguous = true}},
		{"arm64-64k-48-low-bbm1", 16,
		 {.half = LOW, .va_bits = 48, .pa_bits = 40, .bbm_level = 1}},
		{"arm64-64k-52-high", 16,
		 {.half = HIGH, .va_bits = 52, .pa_bits = 52, .wide = true,
		  .hardware_accessed = true, .hardware_dirty = true, .contiguous = true,
		  .bbm_level = 2}},
	};

	for (size_t i = 0; i < sizeof(arm64) / sizeof(arm64[0]); i++) {
		struct kelp_format *format = add(arm64[i].name);

		if (arm64[i].granule == 12)
			made(kelp_arm64_4k_format_init(format, &arm64[i].config));
		else if (arm64[i].granule == 14)
			made(kelp_arm64_16k_format_init(format, &arm64[i].config));
		else
			made(kelp_arm64_64k_format_init(format, &arm64[i].config));
	}
}

static void add_riscv64(void)
{
	static const struct {
		const char *name;
		struct kelp_riscv64_config config;
	} riscv64[] = {
		{"riscv64-sv39-bare", {.levels = 3}},
		{"riscv64-sv39",
		 {.levels = 3, .memory_types = true, .napot = true, .hardware_ad = true,
		  .prompt_valid = true}},
		{"riscv64-sv39-svnapot-svadu", {.levels = 3, .physical_bits = 39, .napot = true,
						.hardware_ad = true}},
		{"riscv64-sv48-bare", {.levels = 4, .physical_bits = 44}},
		{"riscv64-sv48",
		 {.levels = 4, .memory_types = true, .napot = true, .hardware_ad = true,
		  .prompt_valid = true}},
		{"riscv64-sv48-svpbmt", {.levels = 4, .memory_types = true}},
		{"riscv64-sv57-bare", {.levels = 5}},
		{"riscv64-sv57",
		 {.levels = 5, .memory_types = true, .napot = true, .hardware_ad = true,
		  .prompt_valid = true}},
		{"riscv64-sv57-svade", {.levels = 5, .memory_types = true, .napot = true,
					.prompt_valid = true}},
	};

	for (size_t i = 0; i < sizeof(riscv64) / sizeof(riscv64[0]); i++)
		made(kelp_riscv64_format_init(add(riscv64[i].name), &riscv64[i].config));
}

static void add_fake(void)
{
	static const struct {
		const char *name;
		struct kelp_fake_config config;
	} fake[] = {
		{"fake", {.bbm_level = 2, .hardware_ad = true, .groups = true}},
		{"fake-bbm0", {.bbm_level = 0, .hardware_ad = true, .hierarchical = true,
			       .groups = true}},
		{"fake-bbm1", {.bbm_level = 1, .hardware_ad = true, .groups = true,
			       .high_half = true}},
		{"fake-bbm0-soft", {.bbm_level = 0, .caches_invalid = true}},
		{"fake-caches-invalid",
		 {.bbm_level = 2, .caches_invalid = true, .hardware_ad = true, .groups = true,
		  .hierarchical = true}},
		{"fake-registers",
		 {.bbm_level = 2, .root_in_registers = true, .high_half = true}},
	};

	for (size_t i = 0; i < sizeof(fake) / sizeof(fake[0]); i++)
		made(kelp_fake_format_init(add(fake[i].name), &fake[i].config));
}

size_t test_formats(const struct test_format **formats)
{
	if (count == 0) {
		add_x86();
		add_arm64();
		add_riscv64();
		add_fake();
	}
	*formats = list;
	return count;
}

const struct kelp_format *test_format_named(const char *name)
{
	const struct test_format *formats;
	size_t n = test_formats(&formats);

	for (size_t i = 0; i < n; i++)
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i].format;
	fprintf(stderr, "formats: no instance is called %s\n", name);
	exit(2);
}
