/* SPDX-License-Identifier: MIT */
/* gdt: descriptor tables, the stacks of user mode's traps, and the tasks that faults switch to. */
#include "machine.h"

#include <vm.h>

struct table_pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

/* SDM volume 3A, figure 6-2. */
struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t reserved;
	uint8_t type;
	uint16_t offset_high;
};

#define GATE_TASK           0x85u
#define GATE_INTERRUPT      0x8eu
#define GATE_INTERRUPT_USER 0xeeu

#define FLAGS_ALWAYS 2u /* bit 1 of EFLAGS */

#define ENTRY_STRIDE 16u
extern const uint8_t vector_entries[];
/* vectors.S: where a fault's task begins, its vector in EAX. */
extern const uint8_t fault_task_entry[];
static struct gate idt[256];

static const unsigned fault_vector[FAULT_TASKS] = {
	[FAULT_TASK_DOUBLE] = VECTOR_DOUBLE_FAULT,
	[FAULT_TASK_NMI] = VECTOR_NMI,
	[FAULT_TASK_MACHINE_CHECK] = VECTOR_MACHINE_CHECK,
};

/* SDM figures 3-8 and 8-3. Base 0 and the granularity of pages, or a limit in bytes. */
static uint64_t segment(uint32_t base, uint32_t limit, uint64_t access, uint64_t flags)
{
	return (limit & 0xffffu) | (uint64_t)(base & 0xffffffu) << 16 | access << 40 |
	       (uint64_t)(limit >> 16 & 0xfu) << 48 | flags << 52 | (uint64_t)(base >> 24) << 56;
}

/* Type 9: an available 32-bit TSS. */
static uint64_t tss_segment(const struct tss *tss)
{
	return segment((uint32_t)tss, sizeof(*tss) - 1u, 0x89, 0);
}

void gdt_load(struct cpu *cpu)
{
	struct arch_cpu *arch = &cpu->arch;
	struct table_pointer pointer = {sizeof(arch->gdt) - 1u, (uint32_t)arch->gdt};

	arch->gdt[0] = 0;
	arch->gdt[SELECTOR_KERNEL_CODE / 8] = segment(0, 0xfffff, 0x9b, 0xc);
	arch->gdt[SELECTOR_KERNEL_DATA / 8] = segment(0, 0xfffff, 0x93, 0xc);
	arch->gdt[SELECTOR_USER_DATA / 8] = segment(0, 0xfffff, 0xf3, 0xc);
	arch->gdt[SELECTOR_USER_CODE / 8] = segment(0, 0xfffff, 0xfb, 0xc);
	arch->gdt[SELECTOR_TSS / 8] = tss_segment(&arch->tss);
	arch->gdt[SELECTOR_CPU / 8] = segment((uint32_t)cpu, sizeof(*cpu) - 1u, 0x93, 0x4);
	for (unsigned i = 0; i < FAULT_TASKS; i++)
		arch->gdt[SELECTOR_FAULT_TASK / 8 + i] = tss_segment(&arch->fault_task[i]);
	arch->tss.io_map_base = sizeof(arch->tss);
	__asm__ volatile("lgdt %0\n\t"
			 "ljmp %1, $1f\n"
			 "1:\tmovl %2, %%ds\n\t"
			 "movl %2, %%es\n\t"
			 "movl %2, %%ss\n\t"
			 "movl %3, %%gs\n\t"
			 "ltr %w4"
			 ::"m"(pointer), "i"(SELECTOR_KERNEL_CODE), "r"(SELECTOR_KERNEL_DATA),
			   "r"(SELECTOR_CPU), "r"(SELECTOR_TSS)
			 : "memory");
}

static void set_gate(unsigned vector, unsigned type)
{
	uintptr_t entry = (uintptr_t)vector_entries + ENTRY_STRIDE * vector;

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)entry,
		.selector = SELECTOR_KERNEL_CODE,
		.type = (uint8_t)type,
		.offset_high = (uint16_t)(entry >> 16),
	};
}

void idt_init(void)
{
	for (unsigned vector = 0; vector < 256; vector++)
		set_gate(vector, GATE_INTERRUPT);
	set_gate(VECTOR_BREAKPOINT, GATE_INTERRUPT_USER);
}

void idt_load(void)
{
	struct table_pointer pointer = {sizeof(idt) - 1u, (uint32_t)idt};

	__asm__ volatile("lidt %0" ::"m"(pointer));
}

/* Every CPU's own GDT has its own task behind the same selector. */
static struct tss fault_task(unsigned task, const uint8_t *stack)
{
	return (struct tss){
		/* A task switch loads CR3, and with it PAE's root entries (SDM 7.3, 4.4.1). */
		.cr3 = (uint32_t)kelp_space_root(&kernel_space),
		.ip = (uint32_t)fault_task_entry,
		.flags = FLAGS_ALWAYS,
		.ax = fault_vector[task],
		.sp = (uint32_t)stack + FAULT_STACK_SIZE,
		.es = SELECTOR_KERNEL_DATA,
		.cs = SELECTOR_KERNEL_CODE,
		.ss = SELECTOR_KERNEL_DATA,
		.ds = SELECTOR_KERNEL_DATA,
		.gs = SELECTOR_CPU,
		.io_map_base = sizeof(struct tss),
	};
}

/* A double fault, an NMI or a machine check may find any stack: they bring their own. */
bool arch_init_cpu(struct cpu *cpu)
{
	struct arch_cpu *arch = &cpu->arch;

	for (unsigned i = 0; i < ARRAY_COUNT(arch->fault_stack); i++) {
		arch->fault_stack[i] = vm_allocate(FAULT_STACK_SIZE);
		if (!arch->fault_stack[i])
			return false;
	}
	for (unsigned i = 0; i < FAULT_TASKS; i++)
		arch->fault_task[i] = fault_task(i, arch->fault_stack[i]);
	arch->tss.ring[0].ss = SELECTOR_KERNEL_DATA;
	arch->tss.ring[0].sp = (uint32_t)arch->fault_stack[FAULT_TASKS] + FAULT_STACK_SIZE;
	if (cpu == &boot_cpu)
		for (unsigned i = 0; i < FAULT_TASKS; i++)
			idt[fault_vector[i]] = (struct gate){
				.selector = (uint16_t)(SELECTOR_FAULT_TASK + 8u * i),
				.type = GATE_TASK,
			};
	return true;
}
