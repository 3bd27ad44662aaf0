/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: bytes are an archive of files, as a loader may bring one along, and each file a kernel
 * that Holdfast is asked to start, once with itself as the initrd. Whatever they say, every plan
 * stays inside of the files and of RAM, and Kelp takes it or refuses it.
 */
#include <stdio.h>
#include <stdlib.h>

/* The parsers themselves, with nothing of the kernel around them. */
#include "../../kernel/arch/x86_64/kexec_linux.c"
#undef HEADER
#include "../../kernel/arch/x86_64/kexec_pvh.c"
#include "../../kernel/common/kexec_files.c"
#include "../../kernel/common/kexec_plan.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct boot_info boot_info = {
	.acpi_rsdp = 0xf5a00,
	.map = {
		.count = 4,
		.range = {
			{0, 0x9f000, MEMORY_RAM},
			{0x9f000, 0x61000, MEMORY_RESERVED},
			{0x100000, 0xff00000, MEMORY_RAM},
			{UINT64_C(1) << 32, 0x8000000, MEMORY_RAM},
		},
	},
};
struct kelp_format kernel_format = {.levels = 4};

void copy_string(char *to, const char *from, size_t size)
{
	snprintf(to, size, "%s", from);
}

size_t format_text(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(buffer, size, format, arguments);
	va_end(arguments);
	return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1u;
}

static bool usable(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context;
	return kexec_is_ram(first.number << PAGE_SHIFT, frames << PAGE_SHIFT);
}

static bool lies_in(const void *data, uint64_t size, const void *from, uint64_t limit)
{
	uint64_t offset = (uint64_t)((uintptr_t)data - (uintptr_t)from);

	return offset <= limit && size <= limit - offset;
}

/* Reads what a segment is made of, all of it: AddressSanitizer looks on. */
static void use(const struct kexec_plan *plan, const struct kelp_kexec_segment *segment)
{
	static uint8_t page[PAGE_SIZE];

	if (segment->data_size > segment->size || (segment->size & (PAGE_SIZE - 1u)))
		abort();
	if (segment->data) {
		if (!lies_in(segment->data, segment->data_size, plan->kernel.data,
			     plan->kernel.size) &&
		    !lies_in(segment->data, segment->data_size, plan->page, sizeof(plan->page)))
			abort();
		return;
	}
	for (uint64_t at = 0; at < segment->data_size && at < 64u * PAGE_SIZE; at += PAGE_SIZE)
		if (segment->read(segment->context, at, page,
				  (size_t)min_u64(PAGE_SIZE, segment->data_size - at)) != KELP_OK)
			abort();
}

static void start(const struct kexec_file *file)
{
	static struct kexec_plan plan;
	struct kelp_kexec_config config = {.page_shift = PAGE_SHIFT, .usable = usable};
	struct kelp_kexec kexec;
	const char *why;

	plan = (struct kexec_plan){.kernel = *file, .initrd = *file, .command_line = "words",
				   .message = "a message"};
	if (kexec_is_linux(file))
		why = kexec_plan_linux(&plan);
	else if (kexec_is_pvh(file))
		why = kexec_plan_pvh(&plan);
	else
		return;
	if (why)
		return;
	for (size_t i = 0; i < plan.count; i++)
		use(&plan, &plan.segments[i]);
	if (kelp_kexec_init(&kexec, &config, plan.segments, plan.count) == KELP_OK &&
	    kexec.pages > (UINT64_C(1) << 18))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Memory of its own, so that one byte too far is seen; a loader's modules are aligned. */
	uint8_t *archive = aligned_alloc(16, size ? (size + 15u) / 16u * 16u : 16);
	struct kexec_file file;
	uint64_t at = 0;

	if (!archive)
		abort();
	memcpy(archive, data, size);
	for (unsigned files = 0; files < 16 && read_file(archive, size, &at, &file); files++)
		start(&file);
	/* Files that are no archive are kernels, too: the fuzzer gets there sooner. */
	file = (struct kexec_file){.data = archive, .size = size};
	start(&file);
	free(archive);
	return 0;
}
