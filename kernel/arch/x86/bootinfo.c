/* SPDX-License-Identifier: MIT */
/*
 * bootinfo: what PVH and multiboot2 say, in neutral form. Everything they leave in memory is
 * reached through the boot stub's direct map of BOOT_REACH and kept from the allocator.
 */
#include "boot_magic.h"
#include "machine.h"

#include <boot.h>
#include <print.h>
#include <vm.h>

extern const uint32_t boot_magic, boot_pointer; /* physical addresses: boot.S */

static const void *reach(uint64_t address, uint64_t size)
{
	if (address >= BOOT_REACH || size > BOOT_REACH - address)
		panic("the loader left data at 0x%llx, beyond what the boot tables show",
		      (unsigned long long)address);
	return direct_pointer(address);
}

static void keep(struct boot_info *info, uint64_t address, uint64_t size)
{
	if (info->keep_count == ARRAY_COUNT(info->keep))
		panic("the loader left more pieces than we can remember");
	info->keep[info->keep_count++] = (struct memory_range){address, size, MEMORY_RESERVED};
}

static void add_module(struct boot_info *info, uint64_t address, uint64_t size, const char *name)
{
	struct boot_module *module = &info->module[info->module_count];

	keep(info, address, size);
	if (info->module_count == ARRAY_COUNT(info->module))
		return;
	info->module_count++;
	*module = (struct boot_module){.first = address, .size = size};
	copy_string(module->name, name, sizeof(module->name));
}

/* ACPI 6.4, 15.4, table 15-6: address range types, the same numbers everywhere. */
static enum memory_kind kind_of(uint32_t type)
{
	switch (type) {
	case 1: return MEMORY_RAM;
	case 3: return MEMORY_ACPI;
	case 4: return MEMORY_NVS;
	case 5: return MEMORY_UNUSABLE;
	case 7: return MEMORY_PERSISTENT;
	default: return MEMORY_RESERVED;
	}
}

/* ---- PVH (Xen's public/arch-x86/hvm/start_info.h) ---------------------------------------- */

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t command_line;
	uint64_t rsdp;
	uint64_t map; /* from version 1 on */
	uint32_t map_entries;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t address;
	uint64_t size;
	uint64_t command_line;
	uint64_t reserved;
};

struct pvh_map_entry {
	uint64_t address;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

static void read_pvh(struct boot_info *info, uint64_t address)
{
	const struct pvh_start_info *start = reach(address, sizeof(*start));
	const struct pvh_map_entry *entry;

	info->protocol = "PVH";
	if (start->magic != BOOT_MAGIC_PVH || start->version < 1 || !start->map_entries)
		panic("the PVH start info has no memory map (version %u)", start->version);
	keep(info, address, sizeof(*start));
	entry = reach(start->map, start->map_entries * sizeof(*entry));
	keep(info, start->map, start->map_entries * sizeof(*entry));
	for (uint32_t i = 0; i < start->map_entries; i++)
		memory_map_add(&info->map, entry[i].address, entry[i].size, kind_of(entry[i].type));
	if (start->module_count) {
		uint64_t size = start->module_count * sizeof(struct pvh_module);
		const struct pvh_module *module = reach(start->modules, size);

		keep(info, start->modules, size);
		for (uint32_t i = 0; i < start->module_count; i++)
			add_module(info, module[i].address, module[i].size,
				   module[i].command_line ? reach(module[i].command_line, 32) : "");
	}
	if (start->command_line)
		copy_string(info->command_line, reach(start->command_line, BOOT_COMMAND_LINE),
			    sizeof(info->command_line));
	info->acpi_rsdp = start->rsdp;
}

/* ---- multiboot2 (specification 2.0, section 3.6) ----------------------------------------- */

struct multiboot2_tag {
	uint32_t type;
	uint32_t size;
};

enum {
	TAG_END = 0,
	TAG_COMMAND_LINE = 1,
	TAG_LOADER = 2,
	TAG_MODULE = 3,
	TAG_MAP = 6,
	TAG_RSDP_1 = 14,
	TAG_RSDP_2 = 15,
};

static void read_multiboot2_map(struct boot_info *info, const struct multiboot2_tag *tag)
{
	const uint8_t *at = (const uint8_t *)(tag + 1), *end = (const uint8_t *)tag + tag->size;
	uint32_t entry_size;

	memcpy(&entry_size, at, sizeof(entry_size));
	if (entry_size < 24)
		panic("the multiboot2 memory map has entries of %u bytes", entry_size);
	for (at += 8; end - at >= (ptrdiff_t)entry_size; at += entry_size) {
		uint64_t first, size;
		uint32_t type;

		memcpy(&first, at, 8);
		memcpy(&size, at + 8, 8);
		memcpy(&type, at + 16, 4);
		memory_map_add(&info->map, first, size, kind_of(type));
	}
}

/* First and last + 1 address, 32 bits each, and a text. */
static void add_multiboot2_module(struct boot_info *info, const struct multiboot2_tag *tag)
{
	uint32_t bound[2];

	memcpy(bound, tag + 1, sizeof(bound));
	if (bound[1] > bound[0])
		add_module(info, bound[0], bound[1] - bound[0],
			   tag->size > 16 ? (const char *)(tag + 2) : "");
}

static void read_multiboot2(struct boot_info *info, uint64_t address)
{
	const uint32_t *total = reach(address, 8);
	const uint8_t *at = (const uint8_t *)reach(address, *total) + 8;
	const uint8_t *end = at + *total - 8;

	info->protocol = "multiboot2";
	keep(info, address, *total);
	for (;;) {
		const struct multiboot2_tag *tag = (const struct multiboot2_tag *)(const void *)at;
		const char *text = (const char *)(tag + 1);

		if ((size_t)(end - at) < sizeof(*tag) || tag->size < sizeof(*tag) ||
		    tag->size > (size_t)(end - at) || tag->type == TAG_END)
			break;
		if (tag->type == TAG_COMMAND_LINE)
			copy_string(info->command_line, text, sizeof(info->command_line));
		else if (tag->type == TAG_LOADER)
			copy_string(info->loader, text, sizeof(info->loader));
		else if (tag->type == TAG_MODULE)
			add_multiboot2_module(info, tag);
		else if (tag->type == TAG_MAP)
			read_multiboot2_map(info, tag);
		else if (tag->type == TAG_RSDP_2 || (tag->type == TAG_RSDP_1 && !info->acpi_rsdp))
			info->acpi_rsdp = direct_address(text); /* a copy, in the tag itself */
		at += align_up(tag->size, 8);
	}
}

void arch_boot_info(struct boot_info *info)
{
	extern const char image_end[];
	const uint32_t *magic = direct_pointer((uintptr_t)&boot_magic);
	const uint32_t *pointer = direct_pointer((uintptr_t)&boot_pointer);

	keep(info, IMAGE_LOAD, (uintptr_t)image_end - IMAGE_BASE - IMAGE_LOAD);
	if (*magic == BOOT_MAGIC_PVH)
		read_pvh(info, *pointer);
	else if (*magic == BOOT_MAGIC_MULTIBOOT2)
		read_multiboot2(info, *pointer);
	else
		panic("started by neither PVH nor multiboot2 (eax was 0x%x)", *magic);
}
