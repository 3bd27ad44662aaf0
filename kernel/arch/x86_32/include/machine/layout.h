/* SPDX-License-Identifier: MIT */
/*
 * layout: where things lie in the address space on x86_32, the same with PAE and with two-level
 * tables. Also read by the assembler and the linker script.
 *
 * PAE's root has four entries of 1 GiB each. User mode, the tests and the direct map have one
 * each; everything else of the kernel shares the last: the direct map splits and joins leaves
 * under its own lock, so nobody else edits under its root entry (see kelp/directmap.h).
 */
#ifndef HOLDFAST_MACHINE_LAYOUT_H
#define HOLDFAST_MACHINE_LAYOUT_H

#ifdef __ASSEMBLER__
#define ADDRESS(value) value
#else
#include <stdint.h>
#define ADDRESS(value) UINT64_C(value)
#endif

/* Only tests map something there. */
#define USER_BASE   ADDRESS(0x10000000)
#define USER_SIZE   ADDRESS(0x20000000) /* 512 MiB */
#define TEST_BASE   ADDRESS(0x40000000)
#define TEST_SIZE   ADDRESS(0x40000000) /* 1 GiB */
/* What lies higher in physical memory is high memory: reached through kmap alone. */
#define DIRECT_BASE ADDRESS(0x80000000)
#define DIRECT_SIZE ADDRESS(0x30000000) /* 768 MiB */
#define WINDOW_BASE ADDRESS(0xc0000000)
#define WINDOW_SIZE ADDRESS(0x10000000) /* 256 MiB */
/* Local and global kmap, the copy window, the fixmap; see <reach.h>. */
#define KMAP_LOCAL_BASE   ADDRESS(0xd0000000)
#define KMAP_GLOBAL_BASE  ADDRESS(0xd4000000)
#define KMAP_GLOBAL_PAGES 256
#define COPYWIN_BASE      ADDRESS(0xd5000000)
#define FIXMAP_BASE       ADDRESS(0xd6000000)

#define IMAGE_BASE  ADDRESS(0xf0000000) /* physical 0 of the image's own mapping */
#define IMAGE_LOAD  ADDRESS(0x00100000) /* where the loader puts it */
#define IMAGE_LIMIT ADDRESS(0x01000000) /* it ends below: what the boot tables show of it */

/* What the boot stub's static tables show at DIRECT_BASE. */
#define BOOT_REACH  DIRECT_SIZE

#define ARCH_FIXMAP(X) X(FIX_LOCAL_APIC, 1, PERMANENT)

/* Selectors of the GDT. */
#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_USER_DATA   0x1b
#define SELECTOR_USER_CODE   0x23
#define SELECTOR_TSS         0x28
#define SELECTOR_CPU         0x30 /* in GS: its base is the CPU's struct */
#define SELECTOR_FAULT_TASK  0x38 /* and the two behind it */
#define SELECTORS            10
/* In the boot stub's own GDT: what the trampoline enters protected mode with. */
#define SELECTOR_BOOT_CODE32 0x08

#endif
