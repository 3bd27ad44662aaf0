/* SPDX-License-Identifier: MIT */
/*
 * kexec_linux: the boot protocol of Linux for x86, its 64-bit entry. Linux 6.1,
 * Documentation/x86/boot.rst ("The Real-Mode Kernel Header", "64-bit Boot Protocol") and
 * Documentation/x86/zero-page.rst.
 */
#include "kexec_loaders.h"

#include <print.h>
#include <vm.h>

/* The setup header, at the same offset in the file and in boot_params. */
#define HEADER            0x1f1
#define HEADER_LIMIT      0x290
#define SETUP_SECTORS     0x1f1
#define BOOT_FLAG         0x1fe
#define JUMP_LENGTH       0x201 /* the header ends that many bytes behind 0x202 */
#define MAGIC             0x202
#define VERSION           0x206
#define KERNEL_VERSION    0x20e /* where the version's text is, less 0x200 */
#define LOADER_TYPE       0x210
#define INITRD_ADDRESS    0x218
#define INITRD_SIZE       0x21c
#define COMMAND_LINE      0x228
#define INITRD_LAST       0x22c
#define KERNEL_ALIGNMENT  0x230
#define RELOCATABLE       0x234
#define XLOADFLAGS        0x236
#define COMMAND_LINE_SIZE 0x238
#define PREFERRED_ADDRESS 0x258
#define INIT_SIZE         0x260
/* boot_params alone. */
#define ACPI_RSDP         0x070
#define EXT_INITRD_ADDRESS 0x0c0
#define EXT_INITRD_SIZE   0x0c4
#define EXT_COMMAND_LINE  0x0c8
#define E820_ENTRIES      0x1e8
#define E820_TABLE        0x2d0
#define E820_MAX          128u

#define XLF_KERNEL_64     (1u << 0)
#define XLF_ABOVE_4G      (1u << 1)
#define XLF_5LEVEL        (1u << 5)
#define ENTRY_64          0x200
#define LOADER_UNKNOWN    0xff
#define VERSION_2_12      0x020c /* xloadflags */

static uint64_t get(const uint8_t *base, unsigned offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, base + offset, size);
	return value;
}

static void put(uint8_t *base, unsigned offset, unsigned size, uint64_t value)
{
	memcpy(base + offset, &value, size);
}

bool kexec_is_linux(const struct kexec_file *file)
{
	return file->size > 4096 && get(file->data, BOOT_FLAG, 2) == 0xaa55 &&
	       !memcmp(file->data + MAGIC, "HdrS", 4);
}

uint32_t kexec_range_type(enum memory_kind kind)
{
	switch (kind) {
	case MEMORY_RAM: return 1;
	case MEMORY_ACPI: return 3;
	case MEMORY_NVS: return 4;
	case MEMORY_UNUSABLE: return 5;
	case MEMORY_PERSISTENT: return 7;
	default: return 2;
	}
}

static const char *check(const struct kexec_file *file, uint64_t *setup_size)
{
	uint64_t sectors = get(file->data, SETUP_SECTORS, 1);
	uint64_t flags = get(file->data, XLOADFLAGS, 2);

	*setup_size = ((sectors ? sectors : 4) + 1u) * 512u;
	if (get(file->data, VERSION, 2) < VERSION_2_12)
		return "its boot protocol is older than 2.12";
	if (!(flags & XLF_KERNEL_64))
		return "it has no 64-bit entry";
	if (kernel_format.levels == 5 && !(flags & XLF_5LEVEL))
		return "it was built without 5-level paging, which this machine runs with: start "
		       "this kernel on a CPU without la57";
	if (*setup_size >= file->size || get(file->data, INIT_SIZE, 4) < file->size - *setup_size)
		return "its header and its size do not agree";
	return NULL;
}

/* Where it wants to be, or, if that is no RAM and it can be moved, somewhere else. */
static bool place_kernel(const struct kexec_plan *plan, uint64_t size, kelp_paddr_t *address)
{
	const uint8_t *header = plan->kernel.data;
	uint64_t alignment = get(header, KERNEL_ALIGNMENT, 4);

	*address = get(header, PREFERRED_ADDRESS, 8);
	if (kexec_is_ram(*address, align_up(size, PAGE_SIZE)))
		return true;
	return get(header, RELOCATABLE, 1) && alignment >= PAGE_SIZE &&
	       !(alignment & (alignment - 1u)) &&
	       kexec_place(plan, size, alignment, KEXEC_LOWEST, UINT32_MAX, address);
}

static void fill_map(uint8_t *params)
{
	unsigned count = 0;

	for (unsigned i = 0; i < boot_info.map.count && count < E820_MAX; i++, count++) {
		const struct memory_range *range = &boot_info.map.range[i];
		uint8_t *entry = params + E820_TABLE + 20u * count;

		put(entry, 0, 8, range->first);
		put(entry, 8, 8, range->size);
		put(entry, 16, 4, kexec_range_type(range->kind));
	}
	put(params, E820_ENTRIES, 1, count);
}

static void fill_params(const struct kexec_plan *plan, uint8_t *params, kelp_paddr_t line,
			kelp_paddr_t initrd)
{
	unsigned end = MAGIC + (unsigned)get(plan->kernel.data, JUMP_LENGTH, 1);

	if (end > HEADER_LIMIT)
		end = HEADER_LIMIT;
	memcpy(params + HEADER, plan->kernel.data + HEADER, end - HEADER);
	put(params, LOADER_TYPE, 1, LOADER_UNKNOWN);
	put(params, COMMAND_LINE, 4, line & UINT32_MAX);
	put(params, EXT_COMMAND_LINE, 4, line >> 32);
	put(params, INITRD_ADDRESS, 4, initrd & UINT32_MAX);
	put(params, EXT_INITRD_ADDRESS, 4, initrd >> 32);
	put(params, INITRD_SIZE, 4, plan->initrd.size & UINT32_MAX);
	put(params, EXT_INITRD_SIZE, 4, plan->initrd.size >> 32);
	put(params, ACPI_RSDP, 8, boot_info.acpi_rsdp);
	fill_map(params);
}

/* "6.1.0-56-amd64 (debian-kernel@...) ...": the first word. */
static void say_version(struct kexec_plan *plan)
{
	uint64_t at = get(plan->kernel.data, KERNEL_VERSION, 2) + 0x200u;
	char version[48] = "";

	if (at > 0x200 && at + sizeof(version) < plan->kernel.size)
		copy_string(version, (const char *)plan->kernel.data + at, sizeof(version));
	for (char *c = version; *c; c++)
		if (*c == ' ')
			*c = '\0';
	format_text(plan->what, sizeof(plan->what), "Linux %s", version);
}

const char *kexec_plan_linux(struct kexec_plan *plan)
{
	const struct kexec_file *file = &plan->kernel;
	uint64_t setup, size, initrd_last, flags = get(file->data, XLOADFLAGS, 2);
	kelp_paddr_t kernel, params_at, line_at, initrd = 0;
	const char *why = check(file, &setup);
	uint8_t *params, *line;

	if (why)
		return why;
	if (strlen(plan->command_line) > get(file->data, COMMAND_LINE_SIZE, 4))
		return "the command line is longer than it can take";
	size = get(file->data, INIT_SIZE, 4);
	if (!place_kernel(plan, size, &kernel) ||
	    !kexec_add(plan, kernel, size, file->data + setup, file->size - setup))
		return "there is no room for it";
	params = kexec_parameter_page(plan);
	line = kexec_parameter_page(plan);
	if (!params || !line ||
	    !kexec_place(plan, PAGE_SIZE, PAGE_SIZE, KEXEC_LOWEST, UINT32_MAX, &params_at) ||
	    !kexec_add(plan, params_at, PAGE_SIZE, params, PAGE_SIZE) ||
	    !kexec_place(plan, PAGE_SIZE, PAGE_SIZE, KEXEC_LOWEST, UINT32_MAX, &line_at) ||
	    !kexec_add(plan, line_at, PAGE_SIZE, line, PAGE_SIZE))
		return "there is no room for its parameters";
	initrd_last = flags & XLF_ABOVE_4G ? UINT64_MAX : get(file->data, INITRD_LAST, 4);
	if (plan->initrd.size &&
	    (!kexec_place(plan, plan->initrd.size, PAGE_SIZE, kernel + size, initrd_last, &initrd) ||
	     !kexec_add(plan, initrd, plan->initrd.size, plan->initrd.data, plan->initrd.size)))
		return "there is no room for its initrd";
	copy_string((char *)line, plan->command_line, PAGE_SIZE);
	fill_params(plan, params, line_at, initrd);
	plan->mode = KEXEC_ENTRY_64;
	plan->entry = kernel + ENTRY_64;
	plan->argument = params_at;
	/* Its first code runs there, and its trampoline in the first megabyte. */
	plan->executable = true;
	say_version(plan);
	return NULL;
}
