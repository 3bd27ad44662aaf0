/* SPDX-License-Identifier: MIT */
/* vm: the kernel's address space, built and changed through Kelp. */
#include <vm.h>

#include <acpi.h>
#include <arch.h>
#include <cpu.h>
#include <fixmap.h>
#include <frames.h>
#include <lock.h>
#include <port.h>
#include <print.h>
#include <reach.h>
#include <thread.h>

struct kelp_format kernel_format;
struct kelp_space kernel_space;
struct kelp_space boot_space;

/* From the linker script. */
extern const char text_start[], text_end[], rodata_start[], rodata_end[], data_start[], data_end[];
extern const char boot_stack_guard[];

void vm_commit(struct kelp_flush *flush)
{
	preempt_disable();
	kelp_flush_commit(flush);
	preempt_enable();
}

/* ---- the final tables -------------------------------------------------------------------- */

static kelp_paddr_t image_address(const char *symbol)
{
	return (kelp_paddr_t)(uintptr_t)symbol - IMAGE_BASE;
}

/* Maps while booting; what does not work then ends the boot. */
static void must_map(kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size, kelp_attr_t attributes,
		     const char *what)
{
	enum kelp_status status;
	struct kelp_flush flush;

	if (size == 0)
		return;
	kelp_flush_begin(&flush, &kernel_space);
	status = kelp_space_map(&flush, va, pa, size,
				kelp_format_closest(&kernel_format, attributes), 0);
	vm_commit(&flush);
	if (status == KELP_ERR_NO_MEMORY)
		panic("not enough memory for the page tables of %s: %llu KiB taken so far; "
		      "give this machine at least 32 MiB", what,
		      (unsigned long long)early_frames_taken() / 1024u);
	if (status != KELP_OK)
		panic("mapping %s: %s", what, kelp_status_text(status));
}

static void must_map_image(const char *start, const char *end, kelp_attr_t attributes,
			   const char *what)
{
	must_map((uintptr_t)start, image_address(start), (uint64_t)(end - start), attributes, what);
}

static void build(const struct boot_info *info)
{
	enum kelp_status status = kelp_space_init(&kernel_space, &kernel_format, &kernel_port, 0);

	if (status != KELP_OK)
		panic("no root for the page tables: %s", kelp_status_text(status));
	reach_init(info);
	must_map_image(text_start, text_end, VM_TEXT, "the kernel's text");
	must_map_image(rodata_start, rodata_end, VM_RODATA, "the kernel's constants");
	/* The page below the boot stack stays unmapped. */
	must_map_image(data_start, boot_stack_guard, VM_DATA, "the kernel's data");
	must_map_image(boot_stack_guard + PAGE_SIZE, data_end, VM_DATA, "the kernel's data");
}

/* More tables than this in what a loader leaves is a loop. */
#define BOOT_TABLES_MAX 4096u

/*
 * The tables we were started on, taken over. The first thing done with them: the page below the
 * stack we stand on goes, so that running over it is seen from here on.
 */
static void adopt(void)
{
	struct kelp_flush flush;
	enum kelp_status status;

	arch_format_init(&kernel_format);
	status = kelp_space_adopt(&boot_space, &kernel_format, &kernel_port, arch_table_root(),
				  BOOT_TABLES_MAX, 0);
	if (status != KELP_OK)
		panic("the boot tables cannot be adopted: %s", kelp_status_text(status));
	kelp_flush_begin(&flush, &boot_space);
	status = kelp_space_unmap(&flush, (uintptr_t)boot_stack_guard, PAGE_SIZE, KELP_STRICT);
	vm_commit(&flush);
	if (status != KELP_OK)
		panic("no guard page under the boot stack: %s", kelp_status_text(status));
}

void vm_init(const struct boot_info *info)
{
	adopt();
	fixmap_init_early();
	arch_look_around();
	acpi_look(info->acpi_rsdp);
	build(info);
	fixmap_carry();
	arch_switch_tables(&kernel_space);
	fixmap_switched();
	arch_protect_cpu();
}

unsigned long vm_read_begin(void)
{
	unsigned long flags = arch_irq_save();

	this_cpu()->reading++;
	return flags;
}

void vm_read_end(unsigned long flags)
{
	this_cpu()->reading--;
	arch_irq_restore(flags);
}

/* ---- the window -------------------------------------------------------------------------- */

#define WINDOW_PAGES ((unsigned)(WINDOW_SIZE >> PAGE_SHIFT))

static struct spinlock window_lock = SPINLOCK("window");
static uint8_t window_used[WINDOW_PAGES / 8u];
static unsigned window_next;

static bool window_page_used(unsigned page)
{
	return window_used[page / 8u] >> (page % 8u) & 1u;
}

static void window_mark(unsigned page, unsigned count, bool used)
{
	for (; count; page++, count--) {
		if (used)
			window_used[page / 8u] |= (uint8_t)(1u << (page % 8u));
		else
			window_used[page / 8u] &= (uint8_t)~(1u << (page % 8u));
	}
}

/*
 * Addresses for `pages` pages with a free page before and after. Next fit: addresses come back
 * late, so a stale pointer meets a hole.
 */
static kelp_vaddr_t window_take(unsigned pages)
{
	unsigned long flags = spin_lock_irqsave(&window_lock);
	unsigned run = 0, page = window_next;
	kelp_vaddr_t va = 0;

	for (unsigned seen = 0; seen < WINDOW_PAGES + pages + 2u; seen++, page++) {
		if (page == WINDOW_PAGES)
			page = run = 0;
		run = window_page_used(page) ? 0 : run + 1u;
		if (run == pages + 2u) {
			unsigned first = page - pages;

			window_mark(first, pages, true);
			window_next = page;
			va = WINDOW_BASE + ((uint64_t)first << PAGE_SHIFT);
			break;
		}
	}
	spin_unlock_irqrestore(&window_lock, flags);
	return va;
}

static void window_give(kelp_vaddr_t va, unsigned pages)
{
	unsigned long flags = spin_lock_irqsave(&window_lock);

	window_mark((unsigned)((va - WINDOW_BASE) >> PAGE_SHIFT), pages, false);
	spin_unlock_irqrestore(&window_lock, flags);
}

bool vm_window_is_used(kelp_vaddr_t va)
{
	return va - WINDOW_BASE < WINDOW_SIZE &&
	       window_page_used((unsigned)((va - WINDOW_BASE) >> PAGE_SHIFT));
}

static enum kelp_status map_pages(kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size,
				  kelp_attr_t attributes)
{
	enum kelp_status status;
	struct kelp_flush flush;

	kelp_flush_begin(&flush, &kernel_space);
	status = kelp_space_map(&flush, va, pa, size,
				kelp_format_closest(&kernel_format, attributes), 0);
	vm_commit(&flush);
	return status;
}

void *vm_map_physical(kelp_paddr_t pa, uint64_t size, kelp_attr_t attributes)
{
	uint64_t offset = pa & (PAGE_SIZE - 1u);
	uint64_t whole = align_up(offset + size, PAGE_SIZE);
	kelp_vaddr_t va;

	if (size == 0 || size > WINDOW_SIZE || pa + size < pa)
		return NULL;
	va = window_take((unsigned)(whole >> PAGE_SHIFT));
	if (!va)
		return NULL;
	if (map_pages(va, pa - offset, whole, attributes) != KELP_OK) {
		window_give(va, (unsigned)(whole >> PAGE_SHIFT));
		return NULL;
	}
	return (void *)(uintptr_t)(va + offset);
}

/*
 * Unmaps in pieces whose frames fit a small array, and gives those back after the flush. What has
 * none goes in one: there may be large leaves in it, which pieces would split.
 */
#define PIECE_PAGES 32u

static void unmap_pages(kelp_vaddr_t va, uint64_t size, bool free_frames)
{
	while (size) {
		uint64_t piece = free_frames ? min_u64(size, PIECE_PAGES * PAGE_SIZE) : size;
		kelp_paddr_t frame[PIECE_PAGES];
		unsigned count = 0;
		struct kelp_flush flush;
		enum kelp_status status;

		for (uint64_t at = 0; free_frames && at < piece; at += PAGE_SIZE)
			if (kelp_space_translate(&kernel_space, va + at, &frame[count]) == KELP_OK)
				count++;
		kelp_flush_begin(&flush, &kernel_space);
		status = kelp_space_unmap(&flush, va, piece, 0);
		vm_commit(&flush);
		/* Single pages, or all of a mapping: nothing to split, so nothing to run out of. */
		if (status != KELP_OK)
			panic("unmapping in the window: %s", kelp_status_text(status));
		while (count)
			frames_give(0, frame[--count]);
		va += piece;
		size -= piece;
	}
}

void *vm_allocate(uint64_t size)
{
	uint64_t whole = align_up(size, PAGE_SIZE);
	kelp_vaddr_t va = window_take((unsigned)(whole >> PAGE_SHIFT));

	for (uint64_t at = 0; va && at < whole; at += PAGE_SIZE) {
		kelp_paddr_t frame;
		bool taken = frames_take_zeroed(0, FRAME_ANYWHERE, &frame);

		if (taken && map_pages(va + at, frame, PAGE_SIZE, VM_DATA) == KELP_OK)
			continue;
		if (taken)
			frames_give(0, frame);
		if (at)
			unmap_pages(va, at, true);
		window_give(va, (unsigned)(whole >> PAGE_SHIFT));
		return NULL;
	}
	return (void *)(uintptr_t)va;
}

void vm_unmap(void *pointer, uint64_t size, bool free_frames)
{
	uint64_t offset = (uintptr_t)pointer & (PAGE_SIZE - 1u);
	uint64_t whole = align_up(offset + size, PAGE_SIZE);
	kelp_vaddr_t va = (uintptr_t)pointer - offset;

	unmap_pages(va, whole, free_frames);
	window_give(va, (unsigned)(whole >> PAGE_SHIFT));
}
