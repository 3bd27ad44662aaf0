/* SPDX-License-Identifier: MIT */
/*
 * vectors: 256 entries that build a struct trap_frame and call trap_dispatch().
 *
 * The kernel's segments stay loaded while it runs. User mode is entered by tests only; a trap out
 * of it loads them again. Direction and AC are cleared for C (SDM 6.12.1).
 */
#include <machine/layout.h>

/* Bits 8, 10 to 14, 17, 21, 29, 30: exceptions that push an error code (SDM table 6-1; APM 8.2). */
#define WITH_ERROR_CODE 0x60227d00

/* offsetof(struct trap_frame, ip) and cs */
#define FRAME_IP 40
#define FRAME_CS 44

	.text
	.balign 16
	.globl vector_entries
vector_entries:
	.set vector, 0
	.rept 256
	.balign 16
	.if !((vector < 32) && (WITH_ERROR_CODE >> vector & 1))
	pushl $0
	.endif
	pushl $vector
	jmp vector_common
	.set vector, vector + 1
	.endr

vector_common:
	pushal
	cld
	testb $3, FRAME_CS(%esp)
	jz 1f
	movl $SELECTOR_KERNEL_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl $SELECTOR_CPU, %eax
	movl %eax, %gs
1:	cmpb $0, has_smap
	je 2f
	clac
	/* For backtraces it looks as if the interrupted code had called us. */
2:	movl %esp, %eax
	pushl FRAME_IP(%eax)
	pushl %ebp
	movl %esp, %ebp
	pushl %eax
	call trap_dispatch
	addl $12, %esp
	.globl trap_return
trap_return:
	popal
	addl $8, %esp
	iretl

/*
 * Where a task gate leads: the vector in EAX, and, of a double fault, an error code on the stack
 * that is always 0. It never comes back.
 */
	.globl fault_task_entry
fault_task_entry:
	xorl %ebp, %ebp
	pushl %eax
	call fault_task_main

/* void trap_go_on(struct trap_frame *frame, uintptr_t ip, uintptr_t sp) */
	.globl trap_go_on
trap_go_on:
	/* Without IRET: within one ring it would not change stacks. Interrupts are off here. */
	movl 8(%esp), %eax
	movl 12(%esp), %esp
	jmp *%eax

/* void arch_context_switch(struct arch_context *from, struct arch_context *to) */
	.globl arch_context_switch
arch_context_switch:
	movl 4(%esp), %eax
	movl 8(%esp), %edx
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl %esp, (%eax)
	movl (%edx), %esp
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret

/* void arch_call_on_stack(void *stack_top, void (*entry)(void)) */
	.globl arch_call_on_stack
arch_call_on_stack:
	movl 8(%esp), %eax
	movl 4(%esp), %esp
	xorl %ebp, %ebp
	pushl $0
	jmp *%eax
	.section .note.GNU-stack, "", @progbits
