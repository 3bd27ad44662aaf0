/* SPDX-License-Identifier: MIT */
/*
 * fixmap: this kernel's slots of Kelp's fixmap: addresses with names, usable as soon as the boot
 * tables are adopted, and valid through the switch to the final tables.
 */
#ifndef HOLDFAST_FIXMAP_H
#define HOLDFAST_FIXMAP_H

#include <kelp/kelp.h>

#include <base.h>
#include <cpu.h>
#include <machine/layout.h>

/* ARCH_FIXMAP is the architecture's part of the list. */
#define HOLDFAST_FIXMAP(X)                                                                         \
	ARCH_FIXMAP(X)                                                                             \
	/* What the firmware left, looked at before the final tables stand. */                     \
	X(FIX_FIRMWARE, 2, EARLY)                                                                  \
	/* A frame that is no RAM, looked at by the CPU itself. */                                 \
	X(FIX_PEEK, 1, PER_CPU)
KELP_FIXMAP(holdfast_fixmap, HOLDFAST_FIXMAP);

#define FIXMAP_PAGES                                                                               \
	((unsigned)holdfast_fixmap_shared_pages + CPUS_MAX * (unsigned)holdfast_fixmap_bank_pages)

/* In the tables that the kernel runs on; kernel_space's once vm_init() has returned. */
extern struct kelp_fixmap kernel_fixmap;

/*
 * Maps all pages of a shared slot to what begins with the frame of `pa`, and returns the address
 * of `pa`. Panics when the slot is set. Phase: after the boot tables are adopted. The caller is
 * the slot's owner: there is no lock.
 */
void *fixmap_set(enum holdfast_fixmap_slot slot, kelp_paddr_t pa, kelp_attr_t attributes);
void fixmap_clear(enum holdfast_fixmap_slot slot);

/* The same for a slot of this CPU, which the caller does not leave. After vm_init(). */
void *fixmap_set_local(enum holdfast_fixmap_slot slot, kelp_paddr_t pa, kelp_attr_t attributes);
void fixmap_clear_local(enum holdfast_fixmap_slot slot);

/* Makes the tables of the CPU's bank. False: no memory. */
bool fixmap_add_cpu(unsigned index);

/* ---- for vm_init() ----------------------------------------------------------------------- */

/* On the adopted boot tables. */
void fixmap_init_early(void);
/* On kernel_space: every permanent slot becomes valid there too, and stays so. */
void fixmap_carry(void);
/* This CPU, the only one, runs on kernel_space. */
void fixmap_switched(void);

#endif
