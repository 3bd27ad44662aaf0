/* SPDX-License-Identifier: MIT */
/*
 * layout: where things lie in the address space on x86_64. The same with 4 and with 5 levels:
 * all of it is in the upper half of the 48-bit space. Also read by the assembler and the linker
 * script.
 */
#ifndef HOLDFAST_MACHINE_LAYOUT_H
#define HOLDFAST_MACHINE_LAYOUT_H

#ifdef __ASSEMBLER__
#define ADDRESS(value) value
#else
#include <stdint.h>
#define ADDRESS(value) UINT64_C(value)
#endif

/* One root entry of a 4-level tree spans 512 GiB; each area begins at its own. */
#define DIRECT_BASE ADDRESS(0xffff800000000000)
#define DIRECT_SIZE ADDRESS(0x0000400000000000) /* 64 TiB */
#define WINDOW_BASE ADDRESS(0xffffc00000000000)
#define WINDOW_SIZE ADDRESS(0x0000000040000000) /* 1 GiB */
#define TEST_BASE   ADDRESS(0xffffd00000000000)
#define TEST_SIZE   ADDRESS(0x0000010000000000) /* 1 TiB */
/* Beside the window: local and global kmap, the copy window, the fixmap; see <reach.h>. */
#define KMAP_LOCAL_BASE   ADDRESS(0xffffc00080000000)
#define KMAP_GLOBAL_BASE  ADDRESS(0xffffc00081000000)
#define KMAP_GLOBAL_PAGES 256
#define COPYWIN_BASE      ADDRESS(0xffffc00082000000)
#define FIXMAP_BASE       ADDRESS(0xffffc00083000000)
/* The lower half belongs to user mode; only tests map something there. */
#define USER_BASE   ADDRESS(0x0000100000000000)
#define USER_SIZE   ADDRESS(0x0000010000000000)

#define IMAGE_BASE  ADDRESS(0xffffffff80000000) /* physical 0 of the image's own mapping */
#define IMAGE_LOAD  ADDRESS(0x0000000000200000) /* where the loader puts it */

/* What the boot stub's static tables reach, identically and at DIRECT_BASE. */
#define BOOT_REACH  ADDRESS(0x0000000100000000) /* 4 GiB */

#define ARCH_FIXMAP(X) X(FIX_LOCAL_APIC, 1, PERMANENT)

/* Selectors of the GDT. */
#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_USER_DATA   0x1b
#define SELECTOR_USER_CODE   0x23
#define SELECTOR_TSS         0x28
/* In the boot stub's own GDT: what the trampoline enters protected mode with. */
#define SELECTOR_BOOT_CODE32 0x18

#endif
