/* SPDX-License-Identifier: MIT */
/*
 * boot: from what the loader leaves us in (32-bit protected mode, paging off, both for PVH and
 * for multiboot2) to C in long mode on static tables.
 *
 * PVH: Xen's docs/misc/pvh.pandoc, "x86/HVM direct boot ABI". Multiboot2: specification 2.0,
 * sections 3.1 (header) and 3.3 (machine state). Long mode: Intel SDM volume 3A, 10.8.5.
 */
#include <machine/layout.h>

#include "boot_magic.h"

#define PHYSICAL(symbol) ((symbol) - IMAGE_BASE)

#define CR0_PE (1 << 0)
#define CR0_WP (1 << 16)
#define CR0_PG (1 << 31)
#define CR4_PAE (1 << 5)
#define CR4_LA57 (1 << 12)
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define EFER_NXE (1 << 11)

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
	.code32
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

	/* CPUID exists on everything that can enter long mode; without it EFLAGS.ID is stuck. */
	pushfl
	popl %eax
	movl %eax, %ecx
	xorl $(1 << 21), %eax
	pushl %eax
	popfl
	pushfl
	popl %eax
	cmpl %eax, %ecx
	je no_long_mode
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb no_long_mode
	movl $0x80000001, %eax
	cpuid
	testl $(1 << 29), %edx
	jz no_long_mode

	/*
	 * What long mode is entered with; other CPUs read it from here. edi: CR4, esi: root,
	 * ebx: EFER.
	 */
	movl $EFER_LME, %ebx
	testl $(1 << 20), %edx
	jz 1f
	orl $EFER_NXE, %ebx
1:	movl $CR4_PAE, %edi
	movl $boot_root_4level, %esi
	xorl %eax, %eax
	pushl %ebx
	cpuid
	popl %ebx
	cmpl $7, %eax
	jb 2f
	pushl %ebx
	movl $7, %eax
	xorl %ecx, %ecx
	cpuid
	popl %ebx
	testl $(1 << 16), %ecx
	jz 2f
	orl $CR4_LA57, %edi
	movl $boot_root_5level, %esi
2:	movl %edi, boot_cr4
	movl %esi, boot_cr3
	movl %ebx, boot_efer

	.globl boot_join
boot_join:
	/* Also where other CPUs arrive, in 32-bit mode and with flat segments. */
	movl boot_cr4, %eax
	movl %eax, %cr4
	movl boot_cr3, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	movl boot_efer, %eax
	xorl %edx, %edx
	wrmsr
	movl $(CR0_PG | CR0_WP | CR0_PE | 0x10), %eax
	movl %eax, %cr0
	lgdt boot_gdt_pointer
	ljmp $SELECTOR_KERNEL_CODE, $1f

	.code64
1:	movl $SELECTOR_KERNEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movabsq $start64, %rax
	jmp *%rax

	.code32
	/*
	 * Says why on COM1 (no UART set-up: loaders and QEMU leave one that can send), then ends
	 * QEMU if its exit device is where we put it, then halts.
	 */
no_long_mode:
	movl $no_long_mode_text, %esi
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
5:	movw $0xf4, %dx
	movb $BOOT_EXIT_FAILURE, %al
	outb %al, %dx
6:	cli
	hlt
	jmp 6b

	.section .boot.data, "aw"
no_long_mode_text:
	.ascii "\r\nHoldfast: this CPU has no 64-bit mode. "
	.asciz "Use an x86-64 CPU (QEMU: -cpu qemu64 or better).\r\n"
	.balign 8
	.globl boot_magic, boot_pointer, boot_cr3, boot_cr4, boot_efer
boot_magic:	.long 0
boot_pointer:	.long 0
boot_cr3:	.long 0
boot_cr4:	.long 0
boot_efer:	.long 0
	/* Stack and root for the CPU being started; a stack of 0: this is the boot CPU. */
	.balign 8
	.globl boot_other_stack, boot_other_root
boot_other_stack: .quad 0
boot_other_root: .quad 0

	.balign 8
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 64-bit code */
	.quad 0x00cf93000000ffff /* data */
	.quad 0x00cf9b000000ffff /* 32-bit code, for the trampoline */
boot_gdt_pointer:
	.short . - boot_gdt - 1
	.long boot_gdt
	.long 0 /* read as the upper half in 64-bit mode */

	.balign 16
	.skip 64
boot_low_stack_end:

	/*
	 * The tables we start on, as data: 4 GiB with 2 MiB leaves, seen identically and at
	 * DIRECT_BASE, and 1 GiB at IMAGE_BASE through a directory of its own. Everything is
	 * writable and executable; Kelp adopts them and builds better ones.
	 */
	.section .boot.tables, "aw"
	.balign 4096
boot_directories:
	.set frame, 0
	.rept 4 * 512
	.quad frame + LEAF
	.set frame, frame + 0x200000
	.endr
boot_directory_image:
	.set frame, 0
	.rept 512
	.quad frame + LEAF
	.set frame, frame + 0x200000
	.endr
boot_pointers_low:
	.set i, 0
	.rept 4
	.quad boot_directories + 4096 * i + TABLE
	.set i, i + 1
	.endr
	.fill 508, 8, 0
boot_pointers_image:
	.fill 510, 8, 0
	.quad boot_directory_image + TABLE
	.quad 0
	/* 4 levels: this is the root. 5 levels: the upper half of it is used. */
boot_root_4level:
	.quad boot_pointers_low + TABLE
	.fill 255, 8, 0
	.quad boot_pointers_low + TABLE /* DIRECT_BASE */
	.fill 254, 8, 0
	.quad boot_pointers_image + TABLE
boot_low_5level:
	.quad boot_pointers_low + TABLE
	.fill 511, 8, 0
boot_root_5level:
	.quad boot_low_5level + TABLE
	.fill 510, 8, 0
	.quad boot_root_4level + TABLE

	.text
	.code64
start64:
	/* Upper half from here on, for good. */
	xorl %ebp, %ebp
	movq boot_other_stack, %rsp
	movq boot_other_root, %rax
	testq %rsp, %rsp
	jnz 1f
	leaq boot_stack_end(%rip), %rsp
	pushq $0
	jmp kernel_main
1:	movq %rax, %cr3
	pushq $0
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
