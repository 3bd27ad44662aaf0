/* SPDX-License-Identifier: MIT */
/*
 * vectors: 256 entries that build a struct trap_frame and call trap_dispatch().
 *
 * The kernel runs with its GS base always; user mode is entered by tests only, with a selector
 * of 0 in GS untouched, so there is no SWAPGS. Direction and AC are cleared for C (SDM 6.14).
 */
#include <machine/layout.h>

/* Bits 8, 10 to 14, 17, 21, 29, 30: exceptions that push an error code (SDM table 6-1; APM 8.2). */
#define WITH_ERROR_CODE 0x60227d00

/* offsetof(struct trap_frame, ip) */
#define FRAME_IP 136

	.text
	.balign 16
	.globl vector_entries
vector_entries:
	.set vector, 0
	.rept 256
	.balign 16
	.if !((vector < 32) && (WITH_ERROR_CODE >> vector & 1))
	pushq $0
	.endif
	pushq $vector
	jmp vector_common
	.set vector, vector + 1
	.endr

vector_common:
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	cmpb $0, has_smap(%rip)
	je 1f
	clac
	/* For backtraces it looks as if the interrupted code had called us. */
1:	movq %rsp, %rdi
	pushq FRAME_IP(%rdi)
	pushq %rbp
	movq %rsp, %rbp
	call trap_dispatch
	addq $16, %rsp
	.globl trap_return
trap_return:
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq

/* void arch_context_switch(struct arch_context *from, struct arch_context *to) */
	.globl arch_context_switch
arch_context_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq (%rsi), %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret

/* void arch_call_on_stack(void *stack_top, void (*entry)(void)) */
	.globl arch_call_on_stack
arch_call_on_stack:
	movq %rdi, %rsp
	xorl %ebp, %ebp
	pushq $0
	jmp *%rsi
	.section .note.GNU-stack, "", @progbits
