/* SPDX-License-Identifier: MIT */
/*
 * resume_entry: a CPU's registers put aside and taken up again, and the code that runs while one
 * kernel's memory is overwritten by another's.
 */

/* struct arch_frozen: machine/cpu.h. */
#define FROZEN_RBX 0
#define FROZEN_RBP 8
#define FROZEN_R12 16
#define FROZEN_R13 24
#define FROZEN_R14 32
#define FROZEN_R15 40
#define FROZEN_RSP 48
#define FROZEN_RIP 56

/* struct arch_jump: resume.c. */
#define JUMP_TABLES 0
#define JUMP_LIST   8
#define JUMP_MOVES  16
#define JUMP_DIRECT 24
#define JUMP_ROOT   32
#define JUMP_ENTRY  40
#define JUMP_FROZEN 48

#define CR4_PGE (1 << 7)
#define PAGE_SHIFT 12

	.text
	/* bool arch_freeze(struct arch_frozen *frozen) */
	.globl arch_freeze
arch_freeze:
	popq %rax
	movq %rbx, FROZEN_RBX(%rdi)
	movq %rbp, FROZEN_RBP(%rdi)
	movq %r12, FROZEN_R12(%rdi)
	movq %r13, FROZEN_R13(%rdi)
	movq %r14, FROZEN_R14(%rdi)
	movq %r15, FROZEN_R15(%rdi)
	movq %rsp, FROZEN_RSP(%rdi)
	movq %rax, FROZEN_RIP(%rdi)
	pushq %rax
	xorl %eax, %eax
	ret

	/* void arch_thaw(const struct arch_frozen *frozen) */
	.globl arch_thaw
arch_thaw:
	movq FROZEN_RBX(%rdi), %rbx
	movq FROZEN_RBP(%rdi), %rbp
	movq FROZEN_R12(%rdi), %r12
	movq FROZEN_R13(%rdi), %r13
	movq FROZEN_R14(%rdi), %r14
	movq FROZEN_R15(%rdi), %r15
	movq FROZEN_RSP(%rdi), %rsp
	movl $1, %eax
	jmp *FROZEN_RIP(%rdi)

	/*
	 * Where the resumed kernel begins: still on the transitional tables, which map this page
	 * as its own do. rax: its root, rdi: where its registers are. Global leaves are off, so
	 * the new root leaves nothing of the old tables.
	 */
	.globl resume_entry
	.balign 16
resume_entry:
	movq %rax, %cr3
	jmp arch_thaw

	/*
	 * Copied to a safe page, and run there: void resume_relocate(const struct arch_jump *).
	 * That page, the list and the tables lie in frames that are not overwritten; no stack is
	 * used. The first instructions run on the old tables, the others on the transitional
	 * ones, which map this page at the same address.
	 */
	.globl resume_relocate, resume_relocate_end
resume_relocate:
	cli
	cld
	movq JUMP_TABLES(%rdi), %rax
	movq JUMP_LIST(%rdi), %rbx
	movq JUMP_MOVES(%rdi), %r11
	movq JUMP_DIRECT(%rdi), %rdx
	movq JUMP_ROOT(%rdi), %r8
	movq JUMP_ENTRY(%rdi), %r9
	movq JUMP_FROZEN(%rdi), %r10
	/* Without global leaves nothing of the old tables stays cached. */
	movq %cr4, %rcx
	andq $~CR4_PGE, %rcx
	movq %rcx, %cr4
	movq %rax, %cr3
1:	testq %r11, %r11
	jz 3f
	movq (%rbx), %rsi
	movq 8(%rbx), %rdi
	shlq $PAGE_SHIFT, %rsi
	shlq $PAGE_SHIFT, %rdi
	addq %rdx, %rsi
	addq %rdx, %rdi
	movl $512, %ecx
	rep movsq
	addq $16, %rbx
	decq %r11
	jmp 1b
	/* Code may have been overwritten: CPUID orders what was stored before what is fetched. */
3:	xorl %eax, %eax
	xorl %ecx, %ecx
	cpuid
	movq %r8, %rax
	movq %r10, %rdi
	jmp *%r9
resume_relocate_end:
	.section .note.GNU-stack, "", @progbits
