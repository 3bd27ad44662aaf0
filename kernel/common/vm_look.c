/* SPDX-License-Identifier: MIT */
/* vm_look: the address space as people want to see it. Everything is read through Kelp. */
#include <vm.h>

#include <arch.h>
#include <cpu.h>
#include <fixmap.h>
#include <frames.h>
#include <print.h>
#include <reach.h>

const char *attr_text(char buffer[ATTR_TEXT], kelp_attr_t attributes)
{
	static const char *const type[KELP_MEMORY_TYPES] = {
		"", " write-through", " write-combine", " device",
		" device-strict", " write-protect", " uncached", " tagged",
	};

	format_text(buffer, ATTR_TEXT, "%c%c%c %s%s%s%s%s%s",
		    attributes & KELP_ATTR_READ ? 'r' : '-',
		    attributes & KELP_ATTR_WRITE ? 'w' : '-',
		    attributes & KELP_ATTR_EXEC ? 'x' : '-',
		    attributes & KELP_ATTR_USER ? "user" : "kernel",
		    attributes & KELP_ATTR_GLOBAL ? " global" : "",
		    attributes & KELP_ATTR_ACCESSED ? " accessed" : "",
		    attributes & KELP_ATTR_DIRTY ? " dirty" : "",
		    type[(attributes & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT],
		    attributes & KELP_ATTR_INVALID ? " INVALID" : "");
	return buffer;
}

static enum kelp_visit count(void *context, const struct kelp_mapping *mapping)
{
	struct vm_census *census = context;
	const kelp_attr_t both = KELP_ATTR_WRITE | KELP_ATTR_EXEC;

	if (mapping->kind == KELP_ENTRY_TABLE) {
		census->tables++;
	} else if (mapping->kind == KELP_ENTRY_LEAF) {
		census->leaves[mapping->level]++;
		census->bytes += mapping->size;
		census->writable_and_executable += (mapping->attributes & both) == both;
	} else if (mapping->kind == KELP_ENTRY_INVALID) {
		census->invalid++;
	}
	return KELP_VISIT_CONTINUE;
}

void vm_census(const struct kelp_space *space, struct vm_census *census)
{
	const struct kelp_format *format = space->format;

	unsigned long flags = vm_read_begin();

	*census = (struct vm_census){.tables = 1};
	for (unsigned i = 0; i < format->va_ranges; i++) {
		enum kelp_status status =
			kelp_space_walk(space, format->va_first[i],
					format->va_last[i] - format->va_first[i] + 1u,
					KELP_WALK_TABLES, count, census);

		if (status != KELP_OK)
			panic("the tables cannot be walked: %s", kelp_status_text(status));
	}
	vm_read_end(flags);
}

const char *vm_describe(kelp_vaddr_t va)
{
	extern const char text_start[], text_end[], rodata_start[], rodata_end[], data_start[],
		data_end[], boot_stack_guard[];
	kelp_paddr_t pa = va - DIRECT_BASE;

	if (va < PAGE_SIZE)
		return "the first page: a null pointer";
	if (pa < DIRECT_SIZE)
		return frames_manages(pa) ? "the direct map" : "the direct map, where no RAM is";
	if (va - WINDOW_BASE < WINDOW_SIZE)
		return vm_window_is_used(va) ? "the window"
					     : "the window, a guard page or what was given back";
	if (kelp_is_kmap_address(&kernel_kmap, va))
		return va - KMAP_GLOBAL_BASE < KMAP_GLOBAL_PAGES * PAGE_SIZE
			       ? "kmap" : "kmap_local, a slot or a guard page";
	if (va - FIXMAP_BASE < FIXMAP_PAGES * PAGE_SIZE)
		return "the fixmap";
	if (va - COPYWIN_BASE < KELP_COPYWIN_PAGES(kernel_copywin.cpus) * PAGE_SIZE)
		return "the copy window";
	if (va - TEST_BASE < TEST_SIZE)
		return "the area of the tests";
	if (va - (uintptr_t)boot_stack_guard < PAGE_SIZE)
		return "the guard page of the boot stack";
	if (va >= (uintptr_t)text_start && va < (uintptr_t)text_end)
		return "the kernel's text";
	if (va >= (uintptr_t)rodata_start && va < (uintptr_t)rodata_end)
		return "the kernel's constants";
	if (va >= (uintptr_t)data_start && va < (uintptr_t)data_end)
		return "the kernel's data";
	return kelp_format_is_canonical(&kernel_format, va) ? "no area of the kernel"
							    : "no address: not canonical";
}

void vm_explain_fault(kelp_vaddr_t va)
{
	kelp_paddr_t pa = va - DIRECT_BASE;
	char text[FRAMES_EXPLAIN];

	if (pa >= DIRECT_SIZE || !frames_manages(pa) ||
	    kelp_directmap_present(&kernel_direct, (kelp_pfn_t){pa >> PAGE_SHIFT}))
		return;
	if (strncmp(frames_state_text(pa), "free", 4))
		kprintf("  the frame was taken out of the direct map\n");
	else if (frames_explain_free(pa, text, sizeof(text)))
		kprintf("  %s", text);
}

static enum kelp_visit print_level(void *context, const struct kelp_mapping *mapping)
{
	static const char *const kind[] = {
		[KELP_ENTRY_NONE] = "nothing",
		[KELP_ENTRY_TABLE] = "table",
		[KELP_ENTRY_LEAF] = "leaf",
		[KELP_ENTRY_INVALID] = "invalid leaf",
		[KELP_ENTRY_OPAQUE] = "opaque",
	};
	const struct kelp_space *space = context;
	kelp_vaddr_t va = mapping->va;
	char text[ATTR_TEXT] = "";

	kprintf("    level %u [%3u]: %016llx %s", mapping->level,
		kelp_format_index(space->format, mapping->level, va),
		(unsigned long long)mapping->entry, kind[mapping->kind]);
	if (mapping->kind == KELP_ENTRY_LEAF || mapping->kind == KELP_ENTRY_INVALID)
		kprintf(" -> 0x%llx, %s", (unsigned long long)mapping->pa,
			attr_text(text, mapping->attributes));
	if (mapping->kind != KELP_ENTRY_TABLE)
		kprintf(", %s", size_text(text, UINT64_C(1) << mapping->shift));
	kprintf("\n");
	return KELP_VISIT_CONTINUE;
}

void vm_print_walk(const struct kelp_space *space, kelp_vaddr_t va)
{
	unsigned long flags = vm_read_begin();
	enum kelp_status status = kelp_space_walk(
		space, align_down(va, PAGE_SIZE), PAGE_SIZE,
		KELP_WALK_TABLES | KELP_WALK_HOLES, print_level, (void *)(uintptr_t)space);

	vm_read_end(flags);
	if (status != KELP_OK)
		kprintf("    no walk: %s\n", kelp_status_text(status));
}
