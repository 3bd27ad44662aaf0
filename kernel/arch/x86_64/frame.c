/* SPDX-License-Identifier: MIT */
/* frame: the registers at a trap. */
#include "machine.h"

#include <print.h>

/* vectors.S knows it as FRAME_IP. */
_Static_assert(offsetof(struct trap_frame, ip) == 136, "FRAME_IP");

void print_registers(const struct trap_frame *f)
{
	kprintf("  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n"
		"  rsi %016llx  rdi %016llx  rbp %016llx  rsp %016llx\n",
		(unsigned long long)f->ax, (unsigned long long)f->bx, (unsigned long long)f->cx,
		(unsigned long long)f->dx, (unsigned long long)f->si, (unsigned long long)f->di,
		(unsigned long long)f->bp, (unsigned long long)f->sp);
	kprintf("  r8  %016llx  r9  %016llx  r10 %016llx  r11 %016llx\n"
		"  r12 %016llx  r13 %016llx  r14 %016llx  r15 %016llx\n",
		(unsigned long long)f->r8, (unsigned long long)f->r9, (unsigned long long)f->r10,
		(unsigned long long)f->r11, (unsigned long long)f->r12, (unsigned long long)f->r13,
		(unsigned long long)f->r14, (unsigned long long)f->r15);
	kprintf("  cr0 %016llx  cr2 %016llx  cr3 %016llx  cr4 %016llx\n"
		"  rflags %08llx  cs %04llx  ss %04llx\n",
		(unsigned long long)read_cr0(), (unsigned long long)read_cr2(),
		(unsigned long long)read_cr3(), (unsigned long long)read_cr4(),
		(unsigned long long)f->flags, (unsigned long long)f->cs,
		(unsigned long long)f->ss);
}

void trap_go_on(struct trap_frame *frame, uintptr_t ip, uintptr_t sp)
{
	frame->ip = ip;
	frame->sp = sp;
	frame->cs = SELECTOR_KERNEL_CODE;
	frame->ss = SELECTOR_KERNEL_DATA;
	frame->flags &= ~(FLAGS_IF | FLAGS_AC);
}
