/* SPDX-License-Identifier: MIT */
/*
 * probe: accesses that may fault, and what becomes of them.
 *
 * A load or store that may fault has an entry in the table of fixups: the address of the
 * instruction and where to go on. A fetch faults at its target, and user mode anywhere; those two
 * leave where to go on, with which stack, in the probe_state. See traps.c. 8 bytes are two
 * accesses, the lower half first.
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
	.long 77b, 9f
	.popsection
	.endm

	.text
	.globl probe_load
probe_load:
	movl 8(%esp), %ecx
	xorl %eax, %eax
	xorl %edx, %edx
	cmpl $8, 12(%esp)
	je 8f
	cmpl $4, 12(%esp)
	je 4f
	cmpl $2, 12(%esp)
	je 2f
	may_fault movb (%ecx), %al
	jmp 1f
2:	may_fault movw (%ecx), %ax
	jmp 1f
8:	may_fault movl (%ecx), %eax
	may_fault movl 4(%ecx), %edx
	jmp 1f
4:	may_fault movl (%ecx), %eax
1:	movl 16(%esp), %ecx
	movl %eax, (%ecx)
	movl %edx, 4(%ecx)
9:	ret

	.globl probe_store
probe_store:
	movl 16(%esp), %ecx
	movl (%ecx), %eax
	movl 4(%ecx), %edx
	movl 8(%esp), %ecx
	cmpl $8, 12(%esp)
	je 8f
	cmpl $4, 12(%esp)
	je 4f
	cmpl $2, 12(%esp)
	je 2f
	may_fault movb %al, (%ecx)
	ret
2:	may_fault movw %ax, (%ecx)
	ret
8:	may_fault movl %eax, (%ecx)
	may_fault movl %edx, 4(%ecx)
	ret
4:	may_fault movl %eax, (%ecx)
9:	ret

	/* Four words on the stack: arguments lie 16 bytes higher afterwards. */
	.macro save_and_set_resume
	movl 4(%esp), %ecx
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl $9f, 0(%ecx)
	movl %esp, 4(%ecx)
	.endm

	.macro resume_here
9:	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret
	.endm

	.globl probe_fetch
probe_fetch:
	save_and_set_resume
	call *(16 + 8)(%esp)
	resume_here

	/* Ring 3 with interrupts off. Whatever exception follows is what the probe reports. */
	.globl probe_user
probe_user:
	save_and_set_resume
	movl (16 + 8)(%esp), %ecx
	movl (16 + 12)(%esp), %edi
	movl (16 + 16)(%esp), %esi
	movl (16 + 20)(%esp), %eax
	movl (16 + 24)(%esp), %edx
	movl $SELECTOR_USER_DATA, %ebx
	movl %ebx, %ds
	movl %ebx, %es
	pushl $SELECTOR_USER_DATA
	pushl $0 /* no stack */
	pushl $2
	pushl $SELECTOR_USER_CODE
	pushl %ecx
	iretl
	resume_here

	/*
	 * What runs in ring 3, copied into a user page. edi: enum probe_kind; esi: address; eax and
	 * edx: value. Ends with INT3, the value in eax and edx.
	 */
	.section .rodata
	.globl arch_user_code, arch_user_code_end
arch_user_code:
	cmpl $1, %edi
	je 1f
	ja 2f
	movl (%esi), %eax
	movl 4(%esi), %edx
	int3
1:	movl %eax, (%esi)
	movl %edx, 4(%esi)
	int3
2:	jmp *%esi
arch_user_code_end:

	/* For the kernel to fetch, and for user mode. */
	.globl arch_return_code, arch_user_stop_code
arch_return_code:
	ret
arch_user_stop_code:
	int3
	.section .note.GNU-stack, "", @progbits
