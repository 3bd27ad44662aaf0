/* SPDX-License-Identifier: MIT */
/* gdt: descriptor tables, and the stacks that faults switch to. */
#include "machine.h"

#include <vm.h>

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* SDM figure 6-8: a 64-bit gate. */
struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t stack;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

#define GATE_INTERRUPT      0x8eu
#define GATE_INTERRUPT_USER 0xeeu

#define ENTRY_STRIDE 16u
extern const uint8_t vector_entries[];
static struct gate idt[256];

void gdt_load(struct cpu *cpu)
{
	struct arch_cpu *arch = &cpu->arch;
	uint64_t tss = (uintptr_t)&arch->tss;
	struct table_pointer pointer = {sizeof(arch->gdt) - 1u, (uintptr_t)arch->gdt};

	arch->gdt[0] = 0;
	arch->gdt[SELECTOR_KERNEL_CODE / 8] = UINT64_C(0x00af9b000000ffff);
	arch->gdt[SELECTOR_KERNEL_DATA / 8] = UINT64_C(0x00cf93000000ffff);
	arch->gdt[SELECTOR_USER_DATA / 8] = UINT64_C(0x00cff3000000ffff);
	arch->gdt[SELECTOR_USER_CODE / 8] = UINT64_C(0x00affb000000ffff);
	/* SDM figure 8-4; type 9 = available 64-bit TSS. */
	arch->gdt[SELECTOR_TSS / 8] = (sizeof(arch->tss) - 1u) | (tss & 0xffffffu) << 16 |
				      UINT64_C(0x89) << 40 | (tss >> 24 & 0xffu) << 56;
	arch->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
	arch->tss.io_map_base = sizeof(arch->tss);
	__asm__ volatile("lgdt %0\n\t"
			 "pushq %1\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmovl %2, %%ds\n\t"
			 "movl %2, %%es\n\t"
			 "movl %2, %%ss\n\t"
			 "ltr %w3"
			 ::"m"(pointer), "i"(SELECTOR_KERNEL_CODE), "r"(SELECTOR_KERNEL_DATA),
			   "r"(SELECTOR_TSS)
			 : "rax", "memory");
	/* Loading a null selector may clear the base, so the base comes after it. */
	__asm__ volatile("movl %0, %%fs; movl %0, %%gs" ::"r"(0));
	write_msr(MSR_GS_BASE, (uintptr_t)cpu);
}

/* Takes the stacks for faults; once per CPU, when the window is there. */
static bool take_fault_stacks(struct cpu *cpu)
{
	struct tss *tss = &cpu->arch.tss;

	for (unsigned i = 0; i < FAULT_STACKS; i++) {
		uint8_t *stack = vm_allocate(FAULT_STACK_SIZE);

		if (!stack)
			return false;
		cpu->arch.fault_stack[i] = stack;
		tss->ist[i] = (uintptr_t)(stack + FAULT_STACK_SIZE);
	}
	tss->rsp[0] = tss->ist[FAULT_STACK_FROM_USER];
	return true;
}

static void set_gate(unsigned vector, unsigned stack, unsigned type)
{
	uintptr_t entry = (uintptr_t)vector_entries + ENTRY_STRIDE * vector;

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)entry,
		.selector = SELECTOR_KERNEL_CODE,
		.stack = (uint8_t)stack,
		.type = (uint8_t)type,
		.offset_middle = (uint16_t)(entry >> 16),
		.offset_high = (uint32_t)(entry >> 32),
	};
}

void idt_init(void)
{
	for (unsigned vector = 0; vector < 256; vector++)
		set_gate(vector, 0, GATE_INTERRUPT);
	set_gate(VECTOR_BREAKPOINT, 0, GATE_INTERRUPT_USER);
}

void idt_load(void)
{
	struct table_pointer pointer = {sizeof(idt) - 1u, (uintptr_t)idt};

	__asm__ volatile("lidt %0" ::"m"(pointer));
}

/* A double fault, an NMI or a machine check may find any stack: they bring their own. */
bool arch_init_cpu(struct cpu *cpu)
{
	if (!take_fault_stacks(cpu))
		return false;
	if (cpu == &boot_cpu) {
		set_gate(VECTOR_DOUBLE_FAULT, FAULT_STACK_DOUBLE + 1, GATE_INTERRUPT);
		set_gate(VECTOR_NMI, FAULT_STACK_NMI + 1, GATE_INTERRUPT);
		set_gate(VECTOR_MACHINE_CHECK, FAULT_STACK_MACHINE_CHECK + 1, GATE_INTERRUPT);
	}
	return true;
}

