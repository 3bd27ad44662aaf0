/* SPDX-License-Identifier: MIT */
/* kexec_relocate: what the relocation code is given; also read by the assembler. */
#ifndef HOLDFAST_KEXEC_RELOCATE_H
#define HOLDFAST_KEXEC_RELOCATE_H

/* The data page, whose end is the stack. Offsets. */
#define RELOCATE_LIST     0  /* physical address of the first page of the list */
#define RELOCATE_ENTRY    8
#define RELOCATE_ARGUMENT 16
#define RELOCATE_MODE     24 /* enum kexec_entry */
#define RELOCATE_GDTR     32 /* limit and base */
#define RELOCATE_IDTR     48
#define RELOCATE_GDT      64

/* The boot protocol of Linux names the first two: __BOOT_CS and __BOOT_DS. */
#define RELOCATE_CODE64   0x10
#define RELOCATE_DATA     0x18
#define RELOCATE_CODE32   0x20

#ifndef __ASSEMBLER__
#include <stdint.h>

struct relocate_data {
	uint64_t list;
	uint64_t entry;
	uint64_t argument;
	uint64_t mode;
	uint16_t gdtr[8];
	uint16_t idtr[8];
	uint64_t gdt[5];
};
_Static_assert(__builtin_offsetof(struct relocate_data, gdtr) == RELOCATE_GDTR, "GDTR");
_Static_assert(__builtin_offsetof(struct relocate_data, idtr) == RELOCATE_IDTR, "IDTR");
_Static_assert(__builtin_offsetof(struct relocate_data, gdt) == RELOCATE_GDT, "GDT");

extern const uint8_t kexec_relocate[], kexec_relocate_end[];
_Noreturn void kexec_switch(uint64_t root, uint64_t code, uint64_t data);
#endif

#endif
