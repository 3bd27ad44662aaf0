/* SPDX-License-Identifier: MIT */
/* reach_look: the direct map as a picture, and how the CPU gets to one frame at this moment. */
#include <reach.h>

#include <arch.h>
#include <cpu.h>
#include <fixmap.h>
#include <frames.h>
#include <holds.h>
#include <monitor.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

/* ---- the picture ------------------------------------------------------------------------- */

#define COLUMNS 64u
#define ROWS    8u

/* What one character stands for. */
struct cell {
	bool hole, present, absent;
	unsigned shift; /* of the smallest leaf */
};

static enum kelp_visit look(void *context, const struct kelp_mapping *mapping)
{
	struct cell *cell = context;

	if (mapping->kind == KELP_ENTRY_NONE) {
		cell->hole = true;
		return KELP_VISIT_CONTINUE;
	}
	cell->present |= mapping->kind == KELP_ENTRY_LEAF;
	cell->absent |= mapping->kind == KELP_ENTRY_INVALID;
	if (!cell->shift || mapping->shift < cell->shift)
		cell->shift = mapping->shift;
	return KELP_VISIT_CONTINUE;
}

static char letter(const struct cell *cell)
{
	if (cell->absent)
		return cell->present ? 'o' : 'x';
	if (!cell->present)
		return '_';
	return cell->shift >= 30 ? 'G' : cell->shift >= 20 ? 'M' : 'k';
}

/* [first, end) of physical memory in rows of characters; the same step for all of them. */
static void draw(kelp_paddr_t first, kelp_paddr_t end, uint64_t step)
{
	char row[COLUMNS + 1u];

	while (first < end) {
		kelp_paddr_t start = first;
		unsigned column = 0;

		for (; column < COLUMNS && first < end; column++, first += step) {
			uint64_t size = min_u64(step, kernel_direct.size - first);
			unsigned long flags = vm_read_begin();
			struct cell cell = {0};

			if (kelp_space_walk(&kernel_space, DIRECT_BASE + first, size,
					    KELP_WALK_RUNS | KELP_WALK_HOLES, look,
					    &cell) != KELP_OK)
				cell.hole = true;
			vm_read_end(flags);
			row[column] = letter(&cell);
		}
		row[column] = '\0';
		kprintf("  %012llx  %s\n", (unsigned long long)start, row);
	}
}

static enum kelp_visit note_end(void *context, const struct kelp_mapping *mapping)
{
	*(kelp_paddr_t *)context = mapping->va + mapping->size - DIRECT_BASE;
	return KELP_VISIT_CONTINUE;
}

/* The end of what the direct map shows, memory that came later included. */
static kelp_paddr_t direct_end(void)
{
	unsigned long flags = vm_read_begin();
	kelp_paddr_t end = 0;

	if (kelp_space_walk(&kernel_space, DIRECT_BASE, kernel_direct.size, KELP_WALK_RUNS,
			    note_end, &end) != KELP_OK)
		end = 0;
	vm_read_end(flags);
	return end;
}

void direct_print_statistics(void)
{
	struct kelp_directmap_statistics s;
	unsigned long flags = vm_read_begin();
	char text[SIZE_TEXT];

	kelp_directmap_statistics(&kernel_direct, &s);
	vm_read_end(flags);
	kprintf("  leaves:");
	for (unsigned level = kernel_format.levels; level-- > 0;)
		if (s.leaves[level])
			kprintf(" %llu x %s", (unsigned long long)s.leaves[level],
				size_text(text, kelp_format_span(&kernel_format, level)));
	kprintf("; %s, absent %llu frames\n", size_text(text, s.frames << PAGE_SHIFT),
		(unsigned long long)s.absent);
	kprintf("  splits %llu, restorations %llu, refused %llu, pinned ranges %u\n",
		(unsigned long long)s.counts.splits, (unsigned long long)s.counts.restorations,
		(unsigned long long)s.counts.refused, kernel_direct.pin_count);
}

bool run_directmap(unsigned count, char **word)
{
	uint64_t first = 0, size = 0;
	uint64_t step = PAGE_SIZE;
	char text[SIZE_TEXT];
	kelp_paddr_t end;

	if (count > 3 || (count > 1 && !monitor_number(word[1], &first)) ||
	    (count > 2 && !monitor_number(word[2], &size)))
		return false;
	first = align_down(first, PAGE_SIZE);
	end = count > 2 ? align_up(first + size, PAGE_SIZE) : direct_end();
	if (end > kernel_direct.size || first >= end) {
		kprintf("the direct map has no place for that\n");
		return true;
	}
	/* The whole of it: nothing finer than what one table of pages shows. */
	if (count == 1)
		step = kelp_format_span(&kernel_format, 1);
	while ((end - first + step - 1u) / step > (uint64_t)COLUMNS * ROWS)
		step <<= 1;
	kprintf("direct map at 0x%llx, %s to a character: G M k leaves of that size, o some absent, "
		"x all absent, _ no RAM\n",
		(unsigned long long)DIRECT_BASE, size_text(text, step));
	draw(align_down(first, step), end, step);
	direct_print_statistics();
	return true;
}

/* ---- one frame --------------------------------------------------------------------------- */

static const char *kind_of(kelp_paddr_t address)
{
	for (unsigned i = 0; i < boot_info.map.count; i++) {
		const struct memory_range *range = &boot_info.map.range[i];

		if (address - range->first < range->size)
			return memory_kind_name(range->kind);
	}
	return frames_manages(address) ? "RAM that came later" : "nothing the firmware knows of";
}

struct places {
	kelp_paddr_t address;
	unsigned count;
};

/* Every place where the frame is mapped, told while the walk meets it. */
static enum kelp_visit tell_place(void *context, const struct kelp_mapping *m)
{
	struct places *places = context;
	char size[SIZE_TEXT], attributes[ATTR_TEXT];
	uint64_t offset = places->address - m->pa;

	if ((m->kind != KELP_ENTRY_LEAF && m->kind != KELP_ENTRY_INVALID) || offset >= m->size)
		return KELP_VISIT_CONTINUE;
	places->count++;
	kprintf("  %016llx in %s, %s leaf, %s%s\n", (unsigned long long)(m->va + offset),
		vm_describe(m->va + offset), size_text(size, UINT64_C(1) << m->shift),
		attr_text(attributes, m->attributes),
		m->kind == KELP_ENTRY_LEAF ? "" : ": not translated");
	return KELP_VISIT_CONTINUE;
}

static void tell_places(kelp_paddr_t address)
{
	struct places places = {.address = address};

	for (unsigned i = 0; i < kernel_format.va_ranges; i++) {
		unsigned long flags = vm_read_begin();
		enum kelp_status status = kelp_space_walk(
			&kernel_space, kernel_format.va_first[i],
			kernel_format.va_last[i] - kernel_format.va_first[i] + 1u, KELP_WALK_RUNS,
			tell_place, &places);

		vm_read_end(flags);
		if (status != KELP_OK)
			kprintf("  no walk: %s\n", kelp_status_text(status));
	}
	if (!places.count)
		kprintf("  mapped nowhere\n");
}

static void tell_bytes(const char *way, const uint8_t *bytes)
{
	kprintf("  %s:", way);
	for (unsigned i = 0; i < 16; i++)
		kprintf(" %02x", bytes[i]);
	kprintf("\n");
}

/* Read in the way that fits: RAM as other code does, firmware's memory through the fixmap. */
static void tell_contents(kelp_paddr_t address)
{
	struct kelp_hold hold;
	kelp_pfn_t pfn = {address >> PAGE_SHIFT};
	uint8_t bytes[16];

	/* Held: memory that is unplugged must not be touched. */
	if (frame_hold_online(address, &hold) == KELP_OK) {
		unsigned long flags = vm_read_begin();
		bool absent = kelp_directmap_has_frame(&kernel_direct, pfn) &&
			      !kelp_directmap_present(&kernel_direct, pfn);

		vm_read_end(flags);
		/* It may become absent at any moment: what is read does not depend on it. */
		copywin_read(address, bytes, sizeof(bytes));
		frame_release(&hold);
		tell_bytes(absent ? "only the copy window reaches it"
			   : kmap_is_direct(address) ? "kmap_local, by one compare"
						     : "kmap_local, in a slot", bytes);
	} else if (!strncmp(kind_of(address), "ACPI", 4)) {
		preempt_disable();
		memcpy(bytes, fixmap_set_local(FIX_PEEK, address, VM_FIRMWARE), sizeof(bytes));
		fixmap_clear_local(FIX_PEEK);
		preempt_enable();
		tell_bytes("the fixmap's slot of this CPU", bytes);
	} else {
		kprintf("  not read: it may be a device's\n");
	}
}

bool run_reach(unsigned count, char **word)
{
	uint64_t pfn;
	kelp_paddr_t address;

	if (count != 2 || !monitor_number(word[1], &pfn))
		return false;
	address = pfn << PAGE_SHIFT;
	if (address >> PAGE_SHIFT != pfn || address >> kernel_format.pa_bits) {
		kprintf("no frame: this CPU has %u physical bits\n", kernel_format.pa_bits);
		return true;
	}
	kprintf("frame 0x%llx, physical 0x%llx: %s, %s\n", (unsigned long long)pfn,
		(unsigned long long)address, kind_of(address), frames_state_text(address));
	tell_places(address);
	tell_contents(address);
	return true;
}
