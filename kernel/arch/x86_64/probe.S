/* SPDX-License-Identifier: MIT */
/*
 * probe: accesses that may fault, and what becomes of them.
 *
 * A load or store that may fault has an entry in the table of fixups: the address of the
 * instruction and where to go on. A fetch faults at its target, and user mode anywhere; those two
 * leave where to go on, with which stack, in the probe_state. See traps.c.
 *
 *	void probe_load(state, uintptr_t address, unsigned size, uint64_t *value)
 *	void probe_store(the same)
 *	void probe_fetch(state, uintptr_t address)
 *	void probe_user(state, uintptr_t ip, uintptr_t kind, uintptr_t address, uint64_t value)
 */
#include <machine/layout.h>

	.macro may_fault instruction:vararg
77:	\instruction
	.pushsection .fixups, "a"
	.quad 77b, 9f
	.popsection
	.endm

	.text
	.globl probe_load
probe_load:
	xorl %eax, %eax
	cmpl $8, %edx
	je 8f
	cmpl $4, %edx
	je 4f
	cmpl $2, %edx
	je 2f
	may_fault movb (%rsi), %al
	jmp 1f
2:	may_fault movw (%rsi), %ax
	jmp 1f
4:	may_fault movl (%rsi), %eax
	jmp 1f
8:	may_fault movq (%rsi), %rax
1:	movq %rax, (%rcx)
9:	ret

	.globl probe_store
probe_store:
	movq (%rcx), %rax
	cmpl $8, %edx
	je 8f
	cmpl $4, %edx
	je 4f
	cmpl $2, %edx
	je 2f
	may_fault movb %al, (%rsi)
	ret
2:	may_fault movw %ax, (%rsi)
	ret
4:	may_fault movl %eax, (%rsi)
	ret
8:	may_fault movq %rax, (%rsi)
9:	ret

	.macro save_and_set_resume
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	leaq 9f(%rip), %rax
	movq %rax, 0(%rdi)
	movq %rsp, 8(%rdi)
	.endm

	.macro resume_here
9:	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.endm

	.globl probe_fetch
probe_fetch:
	save_and_set_resume
	call *%rsi
	resume_here

	/* Ring 3 with interrupts off. Whatever exception follows is what the probe reports. */
	.globl probe_user
probe_user:
	save_and_set_resume
	pushq $SELECTOR_USER_DATA
	pushq $0 /* no stack */
	pushq $2
	pushq $SELECTOR_USER_CODE
	pushq %rsi
	movq %rdx, %rdi
	movq %rcx, %rsi
	movq %r8, %rdx
	iretq
	resume_here

	/*
	 * What runs in ring 3, copied into a user page. rdi: enum probe_kind; rsi: address; rdx:
	 * value. Ends with INT3, the value in rax.
	 */
	.section .rodata
	.globl arch_user_code, arch_user_code_end
arch_user_code:
	cmpq $1, %rdi
	je 1f
	ja 2f
	movq (%rsi), %rax
	int3
1:	movq %rdx, (%rsi)
	int3
2:	jmp *%rsi
arch_user_code_end:

	/* For the kernel to fetch, and for user mode. */
	.globl arch_return_code, arch_user_stop_code
arch_return_code:
	ret
arch_user_stop_code:
	int3
	.section .note.GNU-stack, "", @progbits
