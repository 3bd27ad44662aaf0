/* SPDX-License-Identifier: MIT */
/*
 * machine: instructions and registers, for the files of this directory and of x86_64 and x86_32,
 * which share it. Bit positions: Intel SDM volume 3A 2.5 (control registers), volume 4 (MSRs),
 * volume 2A CPUID.
 */
#ifndef HOLDFAST_MACHINE_H
#define HOLDFAST_MACHINE_H

#include <arch.h>
#include <cpu.h>

#define CR0_WP   (1ul << 16)
#define CR4_PAE  (1ul << 5)
#define CR4_PGE  (1ul << 7)
#define CR4_UMIP (1ul << 11)
#define CR4_LA57 (1ul << 12)
#define CR4_SMEP (1ul << 20)
#define CR4_SMAP (1ul << 21)

#define MSR_APIC_BASE     0x1bu
#define MSR_TSC_DEADLINE  0x6e0u
#define MSR_PAT           0x277u
#define MSR_X2APIC        0x800u
#define MSR_EFER          0xc0000080u
#define MSR_GS_BASE       0xc0000101u
#define EFER_NXE          (UINT64_C(1) << 11)

#define FLAGS_IF (1ul << 9)
#define FLAGS_AC (1ul << 18)

/* The PAT as at power-on, with write-combining in place of the second write-through (11.12). */
#define PAT_VALUE UINT64_C(0x0007010600070406)

enum vector {
	VECTOR_DEBUG = 1,
	VECTOR_NMI = 2,
	VECTOR_BREAKPOINT = 3,
	VECTOR_DOUBLE_FAULT = 8,
	VECTOR_GENERAL_PROTECTION = 13,
	VECTOR_PAGE_FAULT = 14,
	VECTOR_MACHINE_CHECK = 18,
	VECTOR_EXCEPTIONS = 32,
	/* The 8259s, masked: only spurious ones arrive here. */
	VECTOR_PIC = 32,
	VECTOR_DEVICES = 48,
	VECTOR_DEVICES_END = 0xe0,
	VECTOR_TIMER = 0xf0,
	VECTOR_CALL = 0xf1,
	VECTOR_SPURIOUS = 0xff,
};

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

/* Inlined even where x86_32 runs at other addresses than it is linked for: choose.c. */
static inline __attribute__((always_inline)) struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

#define CONTROL_REGISTER(name)                                                                     \
	static inline unsigned long read_##name(void)                                                  \
	{                                                                                          \
		unsigned long value;                                                               \
												   \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value)::"memory");                   \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_##name(unsigned long value)                                       \
	{                                                                                          \
		__asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");                      \
	}
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)

/* What the CPU has, read once from CPUID. */
struct cpu_features {
	bool nx, gigabyte_leaves, la57, global, smep, smap, umip, x2apic, tsc_deadline, pat, pse36;
	unsigned physical_bits;
	char vendor[13];
	char brand[49];
	char hypervisor[13];
};
extern struct cpu_features features;
void features_init(void);

/* Read by vectors.S: CLAC exists. */
extern bool has_smap;

/* ---- what x86_64 and x86_32 each bring --------------------------------------------------- */
/* gdt.c */
void gdt_load(struct cpu *cpu);
void idt_init(void);
void idt_load(void);
/* frame.c */
void print_registers(const struct trap_frame *frame);
/* The frame's code goes on at `ip` with another stack, in the kernel and with interrupts off. May
 * or may not return. */
void trap_go_on(struct trap_frame *frame, uintptr_t ip, uintptr_t sp);
/* tables.c: "5-level paging, 1 GiB leaves" */
const char *paging_name(void);
/* boot.S: written through the direct map, at these physical addresses. */
extern uintptr_t boot_other_stack, boot_other_root;

/* ---- traps.c ----------------------------------------------------------------------------- */
/* An expected fault: where it goes unless there is a fixup, and what it was. See probe.S. */
struct probe_state {
	uintptr_t resume_ip;
	uintptr_t resume_sp;
	bool faulted;
	uint64_t value; /* from user mode */
	unsigned vector;
	unsigned code;
	uintptr_t address;
};

void trap_dispatch(struct trap_frame *frame);

/* probe.S */
void probe_load(struct probe_state *state, uintptr_t address, unsigned size, uint64_t *value);
void probe_store(struct probe_state *state, uintptr_t address, unsigned size, uint64_t *value);
void probe_fetch(struct probe_state *state, uintptr_t address);
void probe_user(struct probe_state *state, uintptr_t ip, uintptr_t kind, uintptr_t address,
		uint64_t value);

/* ---- interrupts.c ------------------------------------------------------------------------ */
/* Called with interrupts off for a device's vector. */
void irq_dispatch(unsigned vector);
void mask_legacy(void);

/* ---- apic.c ------------------------------------------------------------------------------ */
void apic_init_boot(void);
void apic_init_cpu(void);
uint32_t apic_id(void);
void apic_end_of_interrupt(void);
void apic_send(uint32_t target, unsigned vector);
void apic_send_nmi(uint32_t target);
void apic_send_init(uint32_t target);
void apic_send_startup(uint32_t target, kelp_paddr_t page);
void apic_timer_interrupt(void);
/* 0: it counts with the clock. */
uint64_t apic_timer_per_second(void);
const char *apic_mode(void);
/* Routes an ISA interrupt line to `vector` on the boot CPU. False: there is no I/O APIC. */
bool ioapic_route_isa(unsigned line, unsigned vector);

/* ---- serial.c ---------------------------------------------------------------------------- */
void serial_init(void);
void serial_enable_input(void);
/* The UART as serial_init() left it, after the power was off. */
void serial_restart(void);

/* ---- start.c ----------------------------------------------------------------------------- */
/* What a CPU needs beside its tables and its interrupt controller. */
void cpu_registers_load(struct cpu *cpu);
/* Starts `cpu` in other_cpu_main() on a stack that ends there. */
bool start_cpu_on(struct cpu *cpu, uintptr_t stack_top);

/* ---- clock.c ----------------------------------------------------------------------------- */
void clock_init(void);
const char *clock_source(void);

#endif
