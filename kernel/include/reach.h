/* SPDX-License-Identifier: MIT */
/*
 * reach: how this kernel gets at the contents of a frame. Floor 3 of Kelp, set up once.
 *
 *   direct_pointer()   frames that were asked for with FRAME_DIRECT: table pages, what devices
 *                      and pointers share for long. In <vm.h>
 *   kmap_local()       any frame, for a moment, on this CPU: last in, first out
 *   kmap()             any frame, for as long as one likes, on all CPUs
 *   copywin_*()        any frame, even one that was taken out of the direct map: moves bytes
 *
 * Where all RAM is in the direct map, kmap_local() and kmap() cost one compare. The command line's
 * `kmap=force` maps always, which finds code that keeps an address for too long.
 */
#ifndef HOLDFAST_REACH_H
#define HOLDFAST_REACH_H

#include <kelp/kelp.h>

#include <base.h>
#include <boot.h>

extern struct kelp_directmap kernel_direct;
extern struct kelp_kmap kernel_kmap;
extern struct kelp_copywin kernel_copywin;

/*
 * Puts the direct map of all RAM and the ranges of the others into kernel_space, which nobody
 * runs on yet. Panics when memory does not suffice.
 */
void reach_init(const struct boot_info *info);

/* ---- the direct map ---------------------------------------------------------------------- */

/*
 * The lock under which kelp_directmap_*() is called on kernel_direct. Interrupts are off; the
 * immediate forms may be used, because a CPU that waits for the lock answers shootdowns.
 * Not inside a read section, nor while holding the lock of the page allocator.
 */
unsigned long direct_lock(void);
void direct_unlock(unsigned long flags);
/* Interrupts are off: does this CPU hold it? */
bool direct_lock_is_mine(void);

/* Leaves by size, absent frames, counts since the start: two lines. */
void direct_print_statistics(void);

/* The monitor's commands. */
bool run_directmap(unsigned count, char **word);
bool run_reach(unsigned count, char **word);

/* ---- an address for a frame -------------------------------------------------------------- */

/* What the inlines below do for a frame that is not in the direct map. */
void *kmap_local_mapped(kelp_paddr_t address);
void kunmap_local_mapped(const void *pointer);
void *kmap_mapped(kelp_paddr_t address);
void kunmap_mapped(const void *pointer);

static inline bool kmap_is_direct(kelp_paddr_t address)
{
	return address - kernel_kmap.direct_first < kernel_kmap.direct_size;
}

static inline bool kmap_pointer_is_direct(const void *pointer)
{
	return (kelp_vaddr_t)(uintptr_t)pointer - kernel_kmap.direct_offset -
		       kernel_kmap.direct_first < kernel_kmap.direct_size;
}

/*
 * The byte at a physical address, and what follows it up to the end of its frame. Any context but
 * an NMI; at most KELP_KMAP_DEPTH at once in a thread and the interrupts on top of it. The thread
 * stays on its CPU meanwhile; it may be preempted and may sleep.
 */
static inline void *kmap_local(kelp_paddr_t address)
{
	if (__builtin_expect(kmap_is_direct(address), 1))
		return (void *)(uintptr_t)(address + kernel_kmap.direct_offset);
	return kmap_local_mapped(address);
}

/* The last one first; any pointer into the frame will do. */
static inline void kunmap_local(const void *pointer)
{
	if (__builtin_expect(!kmap_pointer_is_direct(pointer), 0))
		kunmap_local_mapped(pointer);
}

/* The same for every CPU, until as many kunmap(). May sleep: thread context. */
static inline void *kmap(kelp_paddr_t address)
{
	if (__builtin_expect(kmap_is_direct(address), 1))
		return (void *)(uintptr_t)(address + kernel_kmap.direct_offset);
	return kmap_mapped(address);
}

/* Thread context; does not sleep. */
static inline void kunmap(const void *pointer)
{
	if (__builtin_expect(!kmap_pointer_is_direct(pointer), 0))
		kunmap_mapped(pointer);
}

/* Zeroes [address, address + size), whole frames or not. Any context but an NMI. */
void frames_zero(kelp_paddr_t address, uint64_t size);

/* ---- moving bytes, whatever the direct map holds ----------------------------------------- */

/*
 * Of one frame or of several that follow each other. Any context but an NMI; no memory needed,
 * nobody is asked; interrupts are off for one frame at a time. An address that no frame of this
 * machine can have is a panic.
 */
void copywin_read(kelp_paddr_t from, void *buffer, size_t size);
void copywin_write(kelp_paddr_t to, const void *buffer, size_t size);
/* Whole frames. */
void copywin_copy(kelp_paddr_t to, kelp_paddr_t from);
void copywin_zero(kelp_paddr_t address);

#endif
