/* SPDX-License-Identifier: MIT */
/*
 * vm: the kernel's address space. Every page-table entry of Holdfast but those of the boot
 * stub's static tables is written by Kelp, through the functions here or in the tests.
 *
 * One root serves all CPUs. Where things lie is <machine/layout.h>:
 *   DIRECT_BASE   RAM up to DIRECT_SIZE, at one offset: <reach.h>
 *   WINDOW_BASE   stacks, per-CPU areas, devices: pages with unmapped neighbours
 *   KMAP_*, COPYWIN_BASE   other RAM, and RAM that is absent from the direct map: <reach.h>
 *   TEST_BASE     left to the tests
 *   the image     text, read-only data, data: each with its own rights
 */
#ifndef HOLDFAST_VM_H
#define HOLDFAST_VM_H

#include <kelp/kelp.h>

#include <base.h>
#include <boot.h>
#include <machine/layout.h>

extern struct kelp_format kernel_format;
extern struct kelp_port kernel_port;
extern struct kelp_space kernel_space;
/* The loader's or boot stub's tables, adopted: what one ran on before. */
extern struct kelp_space boot_space;

/*
 * Adopts the tables that we run on, builds the final ones from the early allocator's frames and
 * switches to them. The console and the fixmap's permanent slots work all the while. Panics when memory does not
 * suffice; the message says how much would.
 */
void vm_init(const struct boot_info *info);

/*
 * kelp_flush_commit(), with preemption off: Kelp invalidates on this CPU and then asks the others.
 * A thread that changed CPUs in between would leave one out.
 */
void vm_commit(struct kelp_flush *flush);

/*
 * A read section: between the two calls every table that a lock-free lookup finds stays a table.
 * Interrupts are off, and the CPU answers no shootdown, not even while it spins for a lock; so
 * no commit that unlinked a table completes meanwhile. Inside, take only locks whose holders
 * never commit (the console's), and do not commit.
 */
unsigned long vm_read_begin(void);
void vm_read_end(unsigned long flags);

/* Counts of leaves by size, and of tables, in a space: for people and reports. */
struct vm_census {
	uint64_t leaves[KELP_LEVELS_MAX];
	uint64_t bytes;
	uint64_t tables;
	uint64_t invalid;
	uint64_t writable_and_executable;
};
void vm_census(const struct kelp_space *space, struct vm_census *census);

/*
 * Virtual address of RAM in the direct map, and back: for frames that were asked for with
 * FRAME_DIRECT. Whatever frame it may be: kmap_local() in <reach.h>.
 */
static inline void *direct_pointer(kelp_paddr_t address)
{
	return (void *)(uintptr_t)(DIRECT_BASE + address);
}

static inline kelp_paddr_t direct_address(const void *pointer)
{
	return (kelp_paddr_t)(uintptr_t)pointer - DIRECT_BASE;
}

/* Highest physical address the direct map can reach. */
static inline kelp_paddr_t direct_last(void)
{
	return DIRECT_SIZE - 1u;
}

/*
 * Maps [pa, pa + size), which need not be page-aligned, in the window, with an unmapped page on
 * either side. Returns the address of `pa`, NULL when the window or memory is exhausted.
 * For devices: attributes = VM_DEVICE; for firmware tables: VM_FIRMWARE.
 */
void *vm_map_physical(kelp_paddr_t pa, uint64_t size, kelp_attr_t attributes);

/* Maps fresh zeroed pages the same way (stacks, per-CPU areas). NULL as above. */
void *vm_allocate(uint64_t size);

/* True when the page of this address was given out by one of the two above. */
bool vm_window_is_used(kelp_vaddr_t va);

/* Undoes either; `pointer` and `size` as given or returned there. */
void vm_unmap(void *pointer, uint64_t size, bool free_frames);

/* Accessed and dirty are set in advance: nobody asks for them here, and hardware need not. */
#define VM_RODATA   (KELP_ATTR_READ | KELP_ATTR_GLOBAL | KELP_ATTR_ACCESSED)
#define VM_TEXT     (VM_RODATA | KELP_ATTR_EXEC)
#define VM_DATA     (VM_RODATA | KELP_ATTR_WRITE | KELP_ATTR_DIRTY)
#define VM_DEVICE   (VM_DATA | KELP_ATTR_TYPE(KELP_TYPE_DEVICE))
#define VM_FIRMWARE VM_RODATA

/* Name of a place in the address space, for reports: "direct map", "guard page of a stack". */
const char *vm_describe(kelp_vaddr_t va);

/* Prints what else is known of an address that faulted: who gave its frame back. */
void vm_explain_fault(kelp_vaddr_t va);

/* Prints the walk of one address, level by level, as Kelp reads it. */
void vm_print_walk(const struct kelp_space *space, kelp_vaddr_t va);

/* Attributes as a short text: "r-x kernel global". */
#define ATTR_TEXT 64
const char *attr_text(char buffer[ATTR_TEXT], kelp_attr_t attributes);

#endif
