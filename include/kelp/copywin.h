/* SPDX-License-Identifier: MIT */
/*
 * copywin: reserved pages of address space, two per CPU, through which any frame can be read,
 * written, copied and zeroed, whatever the direct map holds at that moment and whatever its leaf
 * sizes.
 *
 * The tables are set up by init. From then on an access costs two stores and a local
 * invalidation beside the bytes it moves. It needs no memory, sends nothing to other CPUs, leaves
 * the direct map as it is to the bit, never fails for a frame that exists, and never skips one
 * (INV-3.4).
 *
 * CONTEXT of read, write, copy, zero: on CPU `cpu`, which the caller does not leave meanwhile,
 * with interrupts off: a CPU's two pages serve one access at a time. Who must get in at any moment
 * (a crash dump out of an NMI) has a number of its own past those of the CPUs. Locking: none.
 *
 * MEMORY TYPE. The window's attributes are the config's. Frames that must be seen otherwise (an
 * uncached alias, frames shared with a host) have a second window with attributes of its own.
 */
#ifndef KELP_COPYWIN_H
#define KELP_COPYWIN_H

#include <kelp/slot.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * How the bytes are moved. A kernel gives NULL for plain memory accesses, or routines that
 * survive a memory error; a machine that is simulated does its accesses here. Each moves all of
 * the bytes.
 */
struct kelp_copywin_access {
	void *context;
	void (*load)(void *context, void *buffer, kelp_vaddr_t from, size_t size);
	void (*store)(void *context, kelp_vaddr_t to, const void *buffer, size_t size);
	void (*copy)(void *context, kelp_vaddr_t to, kelp_vaddr_t from, size_t size);
	void (*zero)(void *context, kelp_vaddr_t to, size_t size);
};

/* One CPU's pages; private. */
struct kelp_copywin_cpu {
	struct kelp_slot from;
	struct kelp_slot to;
	bool busy;
};

/* Pages of address space for `cpus` CPUs. */
#define KELP_COPYWIN_PAGES(cpus) (UINT64_C(2) * (cpus))

struct kelp_copywin_config {
	struct kelp_space *space;
	kelp_vaddr_t base; /* KELP_COPYWIN_PAGES(cpus) pages that are nobody else's */
	uint32_t cpus;
	/* READ and WRITE and whatever else the format needs; a source is mapped without WRITE.
	 * ACCESSED and DIRTY are added where the format has them. */
	kelp_attr_t attributes;
	struct kelp_copywin_cpu *cpu; /* memory for `cpus` of them */
	const struct kelp_copywin_access *access; /* NULL: plain accesses */
};

/* The caller provides the memory; the members are private. */
struct kelp_copywin {
	struct kelp_space *space;
	kelp_vaddr_t base;
	uint32_t cpus;
	uint32_t page_shift;
	kelp_attr_t read_attributes;
	kelp_attr_t write_attributes;
	struct kelp_copywin_cpu *cpu;
	const struct kelp_copywin_access *access;
};

/*
 * Makes the tables of the window and finds its entries. Allocates table pages, the only function
 * here that does. Errors: ARGUMENT (no CPUs, a memory type that is none), ADDRESS, ALIGNMENT,
 * EXISTS (something is mapped in the window), UNSUPPORTED, RESTRICTED (the attributes),
 * NO_MEMORY.
 */
enum kelp_status kelp_copywin_init(struct kelp_copywin *window,
				   const struct kelp_copywin_config *config) KELP_WARN_UNUSED;

/* Gives the window's tables back. No access is going on. */
void kelp_copywin_destroy(struct kelp_copywin *window);

/*
 * Moves `size` bytes at `offset` of the frame; the buffer is the caller's. KELP_OK, or the frame
 * cannot exist here: ADDRESS (beyond the physical width, or beyond what the smallest leaf
 * reaches), ARGUMENT (not inside one frame; a CPU that init was not told of).
 */
enum kelp_status kelp_copywin_read(struct kelp_copywin *window, uint32_t cpu, kelp_pfn_t frame,
				   size_t offset, void *buffer, size_t size) KELP_WARN_UNUSED;
enum kelp_status kelp_copywin_write(struct kelp_copywin *window, uint32_t cpu, kelp_pfn_t frame,
				    size_t offset, const void *buffer,
				    size_t size) KELP_WARN_UNUSED;

/* Whole frames. */
enum kelp_status kelp_copywin_copy(struct kelp_copywin *window, uint32_t cpu, kelp_pfn_t to,
				   kelp_pfn_t from) KELP_WARN_UNUSED;
enum kelp_status kelp_copywin_zero(struct kelp_copywin *window, uint32_t cpu,
				   kelp_pfn_t frame) KELP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif

#endif
