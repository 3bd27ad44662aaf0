/* SPDX-License-Identifier: MIT */
/* frame: the registers at a trap. */
#include "machine.h"

#include <print.h>

/* vectors.S knows them as FRAME_IP and FRAME_CS. */
_Static_assert(offsetof(struct trap_frame, ip) == 40, "FRAME_IP");
_Static_assert(offsetof(struct trap_frame, cs) == 44, "FRAME_CS");

static bool comes_by_task(const struct trap_frame *frame)
{
	return frame->vector == VECTOR_DOUBLE_FAULT || frame->vector == VECTOR_NMI ||
	       frame->vector == VECTOR_MACHINE_CHECK;
}

uintptr_t trap_stack_pointer(const struct trap_frame *frame)
{
	if ((frame->cs & 3u) || comes_by_task(frame))
		return frame->sp;
	return (uintptr_t)&frame->sp; /* what lies above the frame is the interrupted stack */
}

void print_registers(const struct trap_frame *f)
{
	kprintf("  eax %08x  ebx %08x  ecx %08x  edx %08x\n"
		"  esi %08x  edi %08x  ebp %08x  esp %08x\n",
		f->ax, f->bx, f->cx, f->dx, f->si, f->di, f->bp,
		(unsigned)trap_stack_pointer(f));
	kprintf("  cr0 %08lx  cr2 %08lx  cr3 %08lx  cr4 %08lx\n"
		"  eflags %08x  cs %04x\n",
		read_cr0(), read_cr2(), read_cr3(), read_cr4(), f->flags, f->cs & 0xffffu);
}

_Noreturn void fault_task_main(unsigned vector);
_Noreturn void fault_task_main(unsigned vector)
{
	const struct tss *tss = &this_cpu()->arch.tss;
	struct trap_frame frame = {
		.di = tss->di, .si = tss->si, .bp = tss->bp, .bx = tss->bx,
		.dx = tss->dx, .cx = tss->cx, .ax = tss->ax,
		.vector = vector,
		.ip = tss->ip, .cs = tss->cs, .flags = tss->flags, .sp = tss->sp, .ss = tss->ss,
	};

	trap_dispatch(&frame);
	panic("a fault that cannot be resumed was");
}
