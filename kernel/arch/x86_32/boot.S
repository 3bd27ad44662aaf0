/* SPDX-License-Identifier: MIT */
/*
 * boot: from what the loader leaves us in (32-bit protected mode, paging off, both for PVH and
 * for multiboot2) to C on static tables, PAE's or two-level ones: choose.c says which.
 *
 * PVH: Xen's docs/misc/pvh.pandoc, "x86/HVM direct boot ABI". Multiboot2: specification 2.0,
 * sections 3.1 (header) and 3.3 (machine state). Paging: Intel SDM volume 3A, 4.1.2, 4.3, 4.4.
 */
#include <machine/layout.h>

#include "boot_magic.h"

#define CR0_PE (1 << 0)
#define CR0_ET (1 << 4)
#define CR0_WP (1 << 16)
#define CR0_PG (1 << 31)
#define MSR_EFER 0xc0000080

#define ENTRY_P (1 << 0)
#define ENTRY_RW (1 << 1)
#define ENTRY_A (1 << 5)
#define ENTRY_D (1 << 6)
#define ENTRY_PS (1 << 7)
#define TABLE (ENTRY_P | ENTRY_RW | ENTRY_A)
#define LEAF (ENTRY_P | ENTRY_RW | ENTRY_A | ENTRY_D | ENTRY_PS)

	.section .boot.header, "a"
	.balign 8
multiboot2_header:
	.long 0xe85250d6
	.long 0                 /* i386, protected mode */
	.long multiboot2_header_end - multiboot2_header
	.long -(0xe85250d6 + (multiboot2_header_end - multiboot2_header))
	/* Information request, optional: command line, loader, memory map, ACPI old and new. */
	.balign 8
	.short 1, 1
	.long 8 + 5 * 4
	.long 1, 2, 6, 14, 15
	/* Entry address. */
	.balign 8
	.short 3, 0
	.long 12
	.long multiboot2_start
	/* End. */
	.balign 8
	.short 0, 0
	.long 8
multiboot2_header_end:

	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long pvh_start

	.section .boot.text, "ax"
	.globl pvh_start
pvh_start:
	movl $BOOT_MAGIC_PVH, %eax
	.globl multiboot2_start
multiboot2_start:
	cli
	cld
	movl %eax, boot_magic
	movl %ebx, boot_pointer
	movl $boot_low_stack_end, %esp

	/* Whether there is CPUID: without it EFLAGS.ID is stuck. */
	pushfl
	popl %eax
	movl %eax, %ecx
	xorl $(1 << 21), %eax
	pushl %eax
	popfl
	pushfl
	popl %eax
	xorl %ecx, %eax
	pushl boot_pointer
	pushl boot_magic
	pushl %eax
	/* choose.c: sets boot_cr3, boot_cr4 and boot_efer, or says why it cannot. */
	call boot_choose
	testl %eax, %eax
	jnz no_paging

	.globl boot_join
boot_join:
	/* Also where other CPUs arrive, with flat segments and no stack. */
	movl boot_cr4, %eax
	movl %eax, %cr4
	movl boot_cr3, %eax
	movl %eax, %cr3
	movl boot_efer, %eax
	testl %eax, %eax
	jz 1f
	movl $MSR_EFER, %ecx
	xorl %edx, %edx
	wrmsr
1:	movl $(CR0_PG | CR0_WP | CR0_PE | CR0_ET), %eax
	movl %eax, %cr0
	lgdt boot_gdt_pointer
	ljmp $SELECTOR_KERNEL_CODE, $2f
2:	movl $SELECTOR_KERNEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl $start_high, %eax
	jmp *%eax

	/*
	 * Says why on COM1 (no UART set-up: loaders and QEMU leave one that can send), then ends
	 * QEMU if its exit device is where we put it, then halts.
	 */
no_paging:
	movl %eax, %esi
3:	movw $0x3fd, %dx
4:	inb %dx, %al
	testb $0x20, %al
	jz 4b
	lodsb
	testb %al, %al
	jz 5f
	movw $0x3f8, %dx
	outb %al, %dx
	jmp 3b
5:	movw $BOOT_EXIT_PORT, %dx
	movl $BOOT_EXIT_FAILURE, %eax
	outl %eax, %dx
6:	cli
	hlt
	jmp 6b

	.section .boot.data, "aw"
	.balign 4
	.globl boot_magic, boot_pointer, boot_cr3, boot_cr4, boot_efer
boot_magic:	.long 0
boot_pointer:	.long 0
boot_cr3:	.long 0
boot_cr4:	.long 0
boot_efer:	.long 0 /* 0: it is not written, and may not exist */
	/* Stack and root for the CPU being started; a stack of 0: this is the boot CPU. */
	.globl boot_other_stack, boot_other_root
boot_other_stack: .long 0
boot_other_root: .long 0

	.balign 8
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff /* code */
	.quad 0x00cf93000000ffff /* data */
	.quad 0
boot_gdt_pointer:
	.short . - boot_gdt - 1
	.long boot_gdt

	.balign 16
	.skip 1024
boot_low_stack_end:

	/*
	 * The tables we start on, as data: the image where it lies and at IMAGE_BASE, and BOOT_REACH
	 * at DIRECT_BASE, all with the largest leaves. Everything is writable and executable; Kelp
	 * adopts them and builds better ones.
	 */
	.section .boot.tables, "aw"

	/* `bytes` from physical 0 on, in leaves of `size`; entries of `words` words each. */
	.macro leaves bytes, size, words
	.set frame, 0
	.rept \bytes / \size
	.long frame + LEAF
	.fill \words - 1, 4, 0
	.set frame, frame + \size
	.endr
	.endm

	.balign 4096
	.globl boot_root_two_level, boot_root_pae
boot_root_two_level:
	leaves IMAGE_LIMIT, 0x400000, 1
	.fill (DIRECT_BASE >> 22) - (IMAGE_LIMIT >> 22), 4, 0
	leaves BOOT_REACH, 0x400000, 1
	.fill (IMAGE_BASE >> 22) - ((DIRECT_BASE + BOOT_REACH) >> 22), 4, 0
	leaves IMAGE_LIMIT, 0x400000, 1
	.fill 1024 - ((IMAGE_BASE + IMAGE_LIMIT) >> 22), 4, 0

boot_directory_low:
	leaves IMAGE_LIMIT, 0x200000, 2
	.fill 512 - (IMAGE_LIMIT >> 21), 8, 0
boot_directory_direct:
	leaves BOOT_REACH, 0x200000, 2
	.fill 512 - (BOOT_REACH >> 21), 8, 0
boot_directory_image:
	.fill (IMAGE_BASE >> 21) & 511, 8, 0
	leaves IMAGE_LIMIT, 0x200000, 2
	.fill 512 - ((IMAGE_BASE >> 21) & 511) - (IMAGE_LIMIT >> 21), 8, 0
	/*
	 * Rights and the accessed bit are reserved in these four (SDM table 4-8). QEMU's CPU sets the
	 * accessed bit in them all the same: the second copy is for Kelp to adopt, and no CPU walks it.
	 */
	.globl boot_root_pae_unused
	.macro root_pae
	.long boot_directory_low + ENTRY_P, 0
	.long 0, 0
	.long boot_directory_direct + ENTRY_P, 0
	.long boot_directory_image + ENTRY_P, 0
	.endm
boot_root_pae:
	root_pae
boot_root_pae_unused:
	root_pae
	.fill 504, 8, 0

	.text
start_high:
	/* Upper addresses from here on, for good. */
	xorl %ebp, %ebp
	movl boot_other_stack, %esp
	movl boot_other_root, %eax
	testl %esp, %esp
	jnz 1f
	movl $boot_stack_end, %esp
	pushl $0
	jmp kernel_main
1:	movl %eax, %cr3
	pushl $0
	jmp other_cpu_main

	.bss
	/* Its lowest page is left unmapped by the final tables. */
	.balign 4096
	.globl boot_stack_guard, boot_stack, boot_stack_end
boot_stack_guard:
	.skip 4096
boot_stack:
	.skip 16384
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
