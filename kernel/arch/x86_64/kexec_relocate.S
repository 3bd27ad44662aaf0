/* SPDX-License-Identifier: MIT */
/*
 * kexec_relocate: the last code of this kernel.
 *
 * kexec_switch runs in the kernel's text, which the transitional tables map at its address for
 * this one step. kexec_relocate is a copy in a safe page, at its physical address; it knows no
 * other address than those in its data page, uses no memory but that page's stack and the list,
 * and moves with paging and caches on. INV-5.3.
 */
#include "kexec_relocate.h"

#define CR4_PGE  (1 << 7)
#define CR4_PAE  (1 << 5)
#define CR4_LA57 (1 << 12)
/* PG, NE, ET, PE: without WP, as firmware leaves it. */
#define CR0_LONG 0x80000031
#define CR0_PG   0x80000000
#define MSR_EFER 0xc0000080

	.text
	.code64
	/* Within one page: all of it fits into its alignment. rdi: root, rsi: code, rdx: data. */
	.balign 64
	.globl kexec_switch
kexec_switch:
	cli
	movq %cr4, %rax
	andq $~CR4_PGE, %rax /* all cached translations go, global ones too: SDM 4.10.4.1 */
	movq %rax, %cr4
	movq %rdi, %cr3
	movq %rdx, %rdi
	jmp *%rsi

	.section .rodata
	.balign 16
	.globl kexec_relocate, kexec_relocate_end
kexec_relocate:
	movq %rdi, %rbp
	leaq 4096(%rdi), %rsp
	lgdt RELOCATE_GDTR(%rbp)
	lidt RELOCATE_IDTR(%rbp) /* no vectors: an exception resets the machine */
	pushq $RELOCATE_CODE64
	leaq 1f(%rip), %rax
	pushq %rax
	lretq
1:	movl $RELOCATE_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	cld

	/* struct kelp_kexec_step: destination, source, size. Whole pages, so words of 8 bytes. */
	movq RELOCATE_LIST(%rbp), %rbx
2:	movq (%rbx), %rdi
	movq 8(%rbx), %rsi
	movq 16(%rbx), %rcx
	testq %rcx, %rcx
	jz 4f
	addq $24, %rbx
	shrq $3, %rcx
	cmpq $1, %rsi /* KELP_KEXEC_ZERO */
	je 3f
	rep movsq
	jmp 2b
3:	xorl %eax, %eax
	rep stosq
	jmp 2b
4:	movq %rsi, %rbx
	testq %rsi, %rsi
	jnz 2b

	/* What was moved may be code: far jumps and CR writes below serialise. */
	movq RELOCATE_ENTRY(%rbp), %r8
	movq RELOCATE_ARGUMENT(%rbp), %rsi
	cmpq $0, RELOCATE_MODE(%rbp)
	jne 5f

	movq %cr4, %rax
	andq $(CR4_PAE | CR4_LA57), %rax
	movq %rax, %cr4
	movl $CR0_LONG, %eax
	movq %rax, %cr0
	movq %cr3, %rax
	movq %rax, %cr3
	xorl %eax, %eax
	xorl %ebx, %ebx
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %edi, %edi
	xorl %ebp, %ebp
	jmp *%r8

	/* Out of long mode: SDM 10.8.5.4. The page's address is physical and below 4 GiB. */
5:	movl %esi, %ebx
	movl %r8d, %edi
	pushq $RELOCATE_CODE32
	leaq 6f(%rip), %rax
	pushq %rax
	lretq
	.code32
6:	movl %cr0, %eax
	andl $~CR0_PG, %eax
	movl %eax, %cr0
	movl $MSR_EFER, %ecx
	xorl %eax, %eax
	xorl %edx, %edx
	wrmsr
	xorl %eax, %eax
	movl %eax, %cr4
	xorl %ecx, %ecx
	xorl %esi, %esi
	xorl %ebp, %ebp
	jmp *%edi
kexec_relocate_end:
	.section .note.GNU-stack, "", @progbits
