/* SPDX-License-Identifier: MIT */
/* traps: exceptions explained, expected ones resumed, interrupts handed on. */
#include "machine.h"

#include <print.h>
#include <symbols.h>
#include <thread.h>
#include <vm.h>

/* vectors.S knows it as FRAME_RIP. */
_Static_assert(offsetof(struct trap_frame, rip) == 136, "FRAME_RIP");

/* SDM volume 3A, table 6-1. */
static const char *const exception_names[VECTOR_EXCEPTIONS] = {
	[0] = "divide error",
	[1] = "debug exception",
	[2] = "non-maskable interrupt",
	[3] = "breakpoint",
	[4] = "overflow",
	[5] = "bound range exceeded",
	[6] = "invalid opcode",
	[7] = "no FPU",
	[8] = "double fault",
	[10] = "invalid TSS",
	[11] = "segment not present",
	[12] = "stack-segment fault",
	[13] = "general protection",
	[14] = "page fault",
	[16] = "x87 floating-point error",
	[17] = "alignment check",
	[18] = "machine check",
	[19] = "SIMD floating-point exception",
	[20] = "virtualization exception",
	[21] = "control protection exception",
};

/* SDM 4.7, figure 4-12: the error code of a page fault. */
#define CODE_PRESENT  (1u << 0)
#define CODE_WRITE    (1u << 1)
#define CODE_USER     (1u << 2)
#define CODE_RESERVED (1u << 3)
#define CODE_FETCH    (1u << 4)

static void print_page_fault(uint64_t code, uint64_t address)
{
	const char *access = code & CODE_FETCH ? "instruction fetch"
			     : code & CODE_WRITE ? "store" : "load";
	const char *why = code & CODE_RESERVED ? "a reserved bit is set in an entry"
			  : code & CODE_PRESENT ? "the translation does not allow it"
			  : "there is no translation";

	kprintf("  %s by %s mode at 0x%016llx: %s\n", access,
		code & CODE_USER ? "user" : "kernel", (unsigned long long)address, why);
	kprintf("  the address is in: %s\n", vm_describe(address));
	vm_print_walk(&kernel_space, address);
}

static void print_registers(const struct trap_frame *f)
{
	kprintf("  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n"
		"  rsi %016llx  rdi %016llx  rbp %016llx  rsp %016llx\n",
		(unsigned long long)f->rax, (unsigned long long)f->rbx, (unsigned long long)f->rcx,
		(unsigned long long)f->rdx, (unsigned long long)f->rsi, (unsigned long long)f->rdi,
		(unsigned long long)f->rbp, (unsigned long long)f->rsp);
	kprintf("  r8  %016llx  r9  %016llx  r10 %016llx  r11 %016llx\n"
		"  r12 %016llx  r13 %016llx  r14 %016llx  r15 %016llx\n",
		(unsigned long long)f->r8, (unsigned long long)f->r9, (unsigned long long)f->r10,
		(unsigned long long)f->r11, (unsigned long long)f->r12, (unsigned long long)f->r13,
		(unsigned long long)f->r14, (unsigned long long)f->r15);
	kprintf("  cr0 %016llx  cr2 %016llx  cr3 %016llx  cr4 %016llx\n"
		"  rflags %08llx  cs %04llx  ss %04llx\n",
		(unsigned long long)read_cr0(), (unsigned long long)read_cr2(),
		(unsigned long long)read_cr3(), (unsigned long long)read_cr4(),
		(unsigned long long)f->rflags, (unsigned long long)f->cs,
		(unsigned long long)f->ss);
}

/* ---- expected faults --------------------------------------------------------------------- */

struct fixup {
	uint64_t fault_rip;
	uint64_t resume_rip;
};
extern const struct fixup fixups_start[], fixups_end[];

/* True when the fault was expected and the frame now leads to where it goes on. */
static bool resume(struct trap_frame *frame, uint64_t address)
{
	struct probe_state *probe = this_cpu()->arch.probe;
	const struct fixup *fixup = fixups_start;

	if (!probe || frame->vector == VECTOR_NMI || frame->vector == VECTOR_DOUBLE_FAULT ||
	    frame->vector == VECTOR_MACHINE_CHECK)
		return false;
	while (fixup < fixups_end && fixup->fault_rip != frame->rip)
		fixup++;
	if (fixup < fixups_end) {
		frame->rip = fixup->resume_rip;
	} else if (probe->resume_rip) {
		frame->rip = probe->resume_rip;
		frame->rsp = probe->resume_rsp;
		frame->cs = SELECTOR_KERNEL_CODE;
		frame->ss = SELECTOR_KERNEL_DATA;
		frame->rflags &= ~(RFLAGS_IF | RFLAGS_AC);
	} else {
		return false;
	}
	probe->faulted = true;
	probe->vector = frame->vector;
	probe->code = frame->code;
	probe->address = address;
	probe->value = frame->rax;
	return true;
}

void probe_load(struct probe_state *state, uintptr_t address, unsigned size, uint64_t *value);
void probe_store(struct probe_state *state, uintptr_t address, unsigned size, uint64_t *value);
void probe_fetch(struct probe_state *state, uintptr_t address);
void probe_user(struct probe_state *state, uint64_t rip, uint64_t rsp, uint64_t kind,
		uint64_t address, uint64_t value);

static struct probe probe_of(const struct probe_state *state)
{
	struct probe probe = {PROBE_OK, state->address, (unsigned)state->vector,
			      (unsigned)state->code};

	if (!state->faulted)
		return probe;
	probe.result = PROBE_OTHER;
	if (state->vector == VECTOR_PAGE_FAULT)
		probe.result = state->code & CODE_RESERVED ? PROBE_MALFORMED
			       : state->code & CODE_PRESENT ? PROBE_DENIED : PROBE_NOT_PRESENT;
	return probe;
}

struct probe arch_probe(enum probe_kind kind, uintptr_t address, unsigned size, uint64_t *value)
{
	struct probe_state state = {0};
	unsigned long flags = arch_irq_save();
	struct arch_cpu *arch = &this_cpu()->arch;

	arch->probe = &state;
	if (kind == PROBE_LOAD)
		probe_load(&state, address, size, value);
	else if (kind == PROBE_STORE)
		probe_store(&state, address, size, value);
	else
		probe_fetch(&state, address);
	arch->probe = NULL;
	arch_irq_restore(flags);
	return probe_of(&state);
}

struct probe arch_probe_user(enum probe_kind kind, uintptr_t address, uintptr_t user_code,
			     uint64_t *value)
{
	struct probe_state state = {0};
	unsigned long flags = arch_irq_save();
	struct arch_cpu *arch = &this_cpu()->arch;
	struct probe probe;

	arch->probe = &state;
	probe_user(&state, user_code, 0, (uint64_t)kind, address, value ? *value : 0);
	arch->probe = NULL;
	arch_irq_restore(flags);
	probe = probe_of(&state);
	/* INT3 is how user code says that it got through. */
	if (state.vector == VECTOR_BREAKPOINT) {
		probe.result = PROBE_OK;
		if (kind == PROBE_LOAD && value)
			*value = state.value;
	}
	return probe;
}

/* ---- dispatch ---------------------------------------------------------------------------- */

static void exception(struct trap_frame *frame)
{
	const char *name = exception_names[frame->vector];
	uint64_t address = frame->vector == VECTOR_PAGE_FAULT ? read_cr2() : 0;
	char where[SYMBOL_TEXT];

	if (resume(frame, address))
		return;
	if (frame->vector == VECTOR_NMI && panicking)
		for (;;)
			__asm__ volatile("cli; hlt");
	print_unlocked(true);
	kprintf("\n*** CPU %u: %s (vector %u, code 0x%llx) at %s\n", this_cpu()->index,
		name ? name : "reserved exception", (unsigned)frame->vector,
		(unsigned long long)frame->code, symbol_text(where, frame->rip));
	print_registers(frame);
	if (frame->vector == VECTOR_PAGE_FAULT)
		print_page_fault(frame->code, address);
	if (frame->vector == VECTOR_DOUBLE_FAULT) {
		kprintf("  the stack's next word is in: %s\n", vm_describe(frame->rsp - 8u));
		vm_print_walk(&kernel_space, frame->rsp - 8u);
	}
	backtrace_from(frame->rip, frame->rbp);
	exception_reported = true;
	panic("%s", name ? name : "reserved exception");
}

static void interrupt(unsigned vector)
{
	struct cpu *cpu = this_cpu();

	cpu->interrupt_depth++;
	if (vector == VECTOR_TIMER) {
		apic_timer_interrupt();
		apic_end_of_interrupt();
		timer_interrupt();
	} else if (vector == VECTOR_CALL) {
		apic_end_of_interrupt();
		cpu_interrupted();
	} else if (vector >= VECTOR_DEVICES && vector < VECTOR_DEVICES_END) {
		irq_dispatch(vector);
		apic_end_of_interrupt();
	}
	/* Spurious ones, of either controller, are not acknowledged (SDM 10.9). */
	cpu->interrupt_depth--;
	preempt_at_interrupt_end();
}

void trap_dispatch(struct trap_frame *frame)
{
	if (frame->vector < VECTOR_EXCEPTIONS)
		exception(frame);
	else
		interrupt((unsigned)frame->vector);
}

/* ---- faults on request ------------------------------------------------------------------- */

const char arch_fault_kinds[] = "page stack text fetch divide invalid breakpoint double";

static __attribute__((noinline)) unsigned recurse(unsigned depth)
{
	volatile char room[256];

	room[0] = (char)depth;
	return depth == UINT32_MAX ? 0u : recurse(depth + 1u) + (unsigned)room[0];
}

bool arch_provoke_fault(const char *kind)
{
	if (!strcmp(kind, "page"))
		*(volatile uint64_t *)(uintptr_t)(TEST_BASE + TEST_SIZE - 8u) = 1;
	else if (!strcmp(kind, "stack"))
		kprintf("%u\n", recurse(0));
	else if (!strcmp(kind, "text"))
		*(volatile uint8_t *)(uintptr_t)&trap_dispatch = 0;
	else if (!strcmp(kind, "fetch"))
		((void (*)(void))(uintptr_t)&this_cpu()->arch.gdt)();
	else if (!strcmp(kind, "divide"))
		__asm__ volatile("xorl %%edx, %%edx; divl %%edx" ::: "eax", "edx");
	else if (!strcmp(kind, "invalid"))
		__asm__ volatile("ud2");
	else if (!strcmp(kind, "breakpoint"))
		__asm__ volatile("int3");
	else if (!strcmp(kind, "double"))
		__asm__ volatile("xorl %%esp, %%esp; pushq $0" :::);
	else
		return false;
	return true;
}
