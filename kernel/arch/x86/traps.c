/* SPDX-License-Identifier: MIT */
/* traps: exceptions explained, expected ones resumed, interrupts handed on. */
#include "machine.h"

#include <print.h>
#include <symbols.h>
#include <thread.h>
#include <vm.h>

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

static void print_page_fault(unsigned code, uintptr_t address)
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
	vm_explain_fault(address);
}

/* ---- expected faults --------------------------------------------------------------------- */

struct fixup {
	uintptr_t fault_ip;
	uintptr_t resume_ip;
};
extern const struct fixup fixups_start[], fixups_end[];

/* True when the fault was expected and the frame now leads to where it goes on. */
static bool resume(struct trap_frame *frame, uintptr_t address)
{
	struct probe_state *probe = this_cpu()->arch.probe;
	const struct fixup *fixup = fixups_start;

	if (!probe || frame->vector == VECTOR_NMI || frame->vector == VECTOR_DOUBLE_FAULT ||
	    frame->vector == VECTOR_MACHINE_CHECK)
		return false;
	while (fixup < fixups_end && fixup->fault_ip != frame->ip)
		fixup++;
	if (fixup == fixups_end && !probe->resume_ip)
		return false;
	probe->faulted = true;
	probe->vector = (unsigned)frame->vector;
	probe->code = (unsigned)frame->code;
	probe->address = address;
	probe->value = trap_value(frame);
	if (fixup < fixups_end)
		frame->ip = fixup->resume_ip;
	else
		trap_go_on(frame, probe->resume_ip, probe->resume_sp);
	return true;
}

static struct probe probe_of(const struct probe_state *state)
{
	struct probe probe = {PROBE_OK, state->address, state->vector, state->code};

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
	probe_user(&state, user_code, (uintptr_t)kind, address, value ? *value : 0);
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
	uintptr_t address = frame->vector == VECTOR_PAGE_FAULT ? read_cr2() : 0;
	char where[SYMBOL_TEXT];

	if (resume(frame, address))
		return;
	if (frame->vector == VECTOR_NMI && panicking)
		for (;;)
			__asm__ volatile("cli; hlt");
	print_unlocked(true);
	kprintf("\n*** CPU %u: %s (vector %u, code 0x%llx) at %s\n", this_cpu()->index,
		name ? name : "reserved exception", (unsigned)frame->vector,
		(unsigned long long)frame->code, symbol_text(where, frame->ip));
	print_registers(frame);
	if (frame->vector == VECTOR_PAGE_FAULT)
		print_page_fault((unsigned)frame->code, address);
	if (frame->vector == VECTOR_DOUBLE_FAULT) {
		uintptr_t word = trap_stack_pointer(frame) - sizeof(uintptr_t);

		kprintf("  the stack's next word is in: %s\n", vm_describe(word));
		vm_print_walk(&kernel_space, word);
	}
	backtrace_from(frame->ip, frame->bp);
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
		__asm__ volatile("xorl %%esp, %%esp; push $0" :::);
	else
		return false;
	return true;
}
