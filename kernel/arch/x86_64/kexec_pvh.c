/* SPDX-License-Identifier: MIT */
/*
 * kexec_pvh: ELF files with a PVH entry, Holdfast itself among them. Xen's docs/misc/pvh.pandoc;
 * System V ABI, "Object Files" (ELF).
 */
#include "kexec_loaders.h"

#include "boot_magic.h"

#include <print.h>

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, program_headers, section_headers;
	uint32_t flags;
	uint16_t header_size, program_header_size, program_header_count;
};

struct elf_program_header {
	uint32_t type, flags;
	uint64_t offset, virtual, physical, file_size, memory_size, alignment;
};

enum { ELF_LOAD = 1, ELF_NOTE = 4, ELF_X86_64 = 62, NOTE_PHYS32_ENTRY = 18 };

/* As in bootinfo.c, which reads it. */
struct pvh_start {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp, map;
	uint32_t map_entries, reserved;
};

struct pvh_module {
	uint64_t address, size, command_line, reserved;
};

struct pvh_range {
	uint64_t address, size;
	uint32_t type, reserved;
};

/* The parameter page: the start info, a module, texts; the second holds the map. */
#define PAGE_MODULES      0x040
#define PAGE_NAME         0x080
#define PAGE_MESSAGE      0x100
#define PAGE_COMMAND_LINE 0x400
#define MAP_MAX           (PAGE_SIZE / sizeof(struct pvh_range))

static const struct kexec_file *loading;

static bool program_header(const struct kexec_file *file, unsigned n,
			   struct elf_program_header *header)
{
	struct elf_header elf;
	uint64_t at;

	/* The archive aligns files to 4 bytes only. */
	memcpy(&elf, file->data, sizeof(elf));
	at = elf.program_headers + (uint64_t)n * sizeof(*header);
	if (n >= elf.program_header_count || at < elf.program_headers || at > file->size ||
	    sizeof(*header) > file->size - at)
		return false;
	memcpy(header, file->data + at, sizeof(*header));
	return header->offset <= file->size && header->file_size <= file->size - header->offset &&
	       header->file_size <= header->memory_size;
}

/* The entry from the note; 0: there is none. */
static uint32_t find_entry(const struct kexec_file *file)
{
	struct elf_program_header header;

	for (unsigned n = 0; program_header(file, n, &header); n++) {
		const uint8_t *at = file->data + header.offset;
		uint64_t rest = header.file_size;

		while (header.type == ELF_NOTE && rest >= 16) {
			uint32_t note[3], entry;
			uint64_t size;

			memcpy(note, at, sizeof(note));
			size = 12u + align_up(note[0], 4) + align_up(note[1], 4);
			if (size > rest)
				break;
			if (note[0] == 4 && note[1] >= 4 && note[2] == NOTE_PHYS32_ENTRY &&
			    !memcmp(at + 12, "Xen", 4)) {
				memcpy(&entry, at + 16, sizeof(entry));
				return entry;
			}
			at += size;
			rest -= size;
		}
	}
	return 0;
}

bool kexec_is_pvh(const struct kexec_file *file)
{
	struct elf_header elf;

	if (file->size < sizeof(elf))
		return false;
	memcpy(&elf, file->data, sizeof(elf));
	return !memcmp(elf.ident, "\177ELF\2\1", 6) && elf.machine == ELF_X86_64 &&
	       elf.program_header_size == sizeof(struct elf_program_header) &&
	       find_entry(file) != 0;
}

/* From the first loaded byte to the last, in memory and with data. */
static bool extent(const struct kexec_file *file, kelp_paddr_t *first, kelp_paddr_t *data_end,
		   kelp_paddr_t *end)
{
	struct elf_program_header header;

	*first = UINT64_MAX;
	*data_end = *end = 0;
	for (unsigned n = 0; program_header(file, n, &header); n++) {
		if (header.type != ELF_LOAD || header.memory_size == 0)
			continue;
		if (header.physical + header.memory_size < header.physical)
			return false;
		*first = min_u64(*first, align_down(header.physical, PAGE_SIZE));
		*end = max_u64(*end, header.physical + header.memory_size);
		*data_end = max_u64(*data_end, header.physical + header.file_size);
	}
	return *first < *end && *end <= UINT32_MAX;
}

/* Parts may share pages and leave gaps: each page is put together when it is asked for. */
static enum kelp_status read_image(void *context, uint64_t offset, void *to, size_t size)
{
	kelp_paddr_t first = *(const kelp_paddr_t *)context + offset;
	struct elf_program_header header;

	memset(to, 0, size);
	for (unsigned n = 0; program_header(loading, n, &header); n++) {
		kelp_paddr_t from = max_u64(first, header.physical);
		kelp_paddr_t end = min_u64(first + size, header.physical + header.file_size);

		if (header.type == ELF_LOAD && from < end)
			memcpy((uint8_t *)to + (from - first),
			       loading->data + header.offset + (from - header.physical),
			       (size_t)(end - from));
	}
	return KELP_OK;
}

static void fill_ranges(struct pvh_start *start, struct pvh_range *map)
{
	unsigned count = 0;

	for (unsigned i = 0; i < boot_info.map.count && count < MAP_MAX; i++, count++)
		map[count] = (struct pvh_range){
			.address = boot_info.map.range[i].first,
			.size = boot_info.map.range[i].size,
			.type = kexec_range_type(boot_info.map.range[i].kind)};
	start->map_entries = count;
}

static void fill_start(const struct kexec_plan *plan, uint8_t *page, kelp_paddr_t at,
		       struct pvh_range *map, kelp_paddr_t initrd)
{
	struct pvh_start *start = (void *)page;
	struct pvh_module *module = (void *)(page + PAGE_MODULES);

	*start = (struct pvh_start){
		.magic = BOOT_MAGIC_PVH,
		.version = 1,
		.module_count = 1,
		.modules = at + PAGE_MODULES,
		.command_line = at + PAGE_COMMAND_LINE,
		.rsdp = boot_info.acpi_rsdp,
		.map = at + PAGE_SIZE,
	};
	fill_ranges(start, map);
	copy_string((char *)page + PAGE_NAME, "message", PAGE_MESSAGE - PAGE_NAME);
	copy_string((char *)page + PAGE_MESSAGE, plan->message, PAGE_COMMAND_LINE - PAGE_MESSAGE);
	copy_string((char *)page + PAGE_COMMAND_LINE, plan->command_line, BOOT_COMMAND_LINE);
	module[0] = (struct pvh_module){at + PAGE_MESSAGE, strlen(plan->message), at + PAGE_NAME, 0};
	if (plan->initrd.size) {
		module[1] = (struct pvh_module){initrd, plan->initrd.size, 0, 0};
		start->module_count = 2;
	}
}

const char *kexec_plan_pvh(struct kexec_plan *plan)
{
	static kelp_paddr_t first;
	kelp_paddr_t data_end, end, at, initrd = 0;
	uint8_t *page = kexec_parameter_page(plan);
	void *map = kexec_parameter_page(plan);
	uint32_t entry = find_entry(&plan->kernel);

	loading = &plan->kernel;
	if (!extent(loading, &first, &data_end, &end) || entry < first || entry >= end)
		return "its program headers make no sense";
	if (!page || !map || !kexec_add(plan, first, end - first, NULL, data_end - first))
		return "it has too many parts";
	plan->segments[plan->count - 1u].read = read_image;
	plan->segments[plan->count - 1u].context = &first;
	/* Both pages together, so that one segment does. */
	if (!kexec_place(plan, 2 * PAGE_SIZE, PAGE_SIZE, KEXEC_LOWEST, UINT32_MAX, &at) ||
	    !kexec_add(plan, at, 2 * PAGE_SIZE, page, 2 * PAGE_SIZE))
		return "there is no room for its parameters";
	if (plan->initrd.size &&
	    (!kexec_place(plan, plan->initrd.size, PAGE_SIZE, end, UINT32_MAX, &initrd) ||
	     !kexec_add(plan, initrd, plan->initrd.size, plan->initrd.data, plan->initrd.size)))
		return "there is no room for its initrd";
	fill_start(plan, page, at, map, initrd);
	plan->mode = KEXEC_ENTRY_32;
	plan->entry = entry;
	plan->argument = at;
	copy_string(plan->what, plan->kernel.name, sizeof(plan->what));
	return NULL;
}
