/* SPDX-License-Identifier: MIT */
/*
 * trampoline: what another CPU executes first, in real mode at a page below 1 MiB that the
 * boot CPU copied it to (SDM 10.4.4.1). It goes on to 32-bit mode and joins the boot stub.
 */
#include <machine/layout.h>

	.section .rodata
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	/* 32-bit operand and address: the pointer's base lies above 64 KiB. */
	lgdtl (trampoline_gdt_pointer - trampoline)
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl *(trampoline_target - trampoline)
trampoline_target:
	.long trampoline_32
	.short SELECTOR_BOOT_CODE32
	.globl trampoline_gdt_pointer
trampoline_gdt_pointer:
	.short 4 * 8 - 1
	.long boot_gdt
trampoline_end:

	.section .boot.text, "ax"
	.code32
trampoline_32:
	movl $SELECTOR_KERNEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	jmp boot_join
	.section .note.GNU-stack, "", @progbits
