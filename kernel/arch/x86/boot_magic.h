/* SPDX-License-Identifier: MIT */
/* How the loader introduced itself; also read by the assembler. */
#ifndef HOLDFAST_BOOT_MAGIC_H
#define HOLDFAST_BOOT_MAGIC_H

#define BOOT_MAGIC_PVH        0x336ec578
#define BOOT_MAGIC_MULTIBOOT2 0x36d76289

/* QEMU's isa-debug-exit device: it ends with status (value << 1) | 1. */
#define BOOT_EXIT_PORT    0xf4
#define BOOT_EXIT_SUCCESS 0x10
#define BOOT_EXIT_FAILURE 0x11

#endif
