/* SPDX-License-Identifier: MIT */
/* start: what the CPU can do, the switch of tables, protections, and the other CPUs. */
#include "machine.h"

#include <boot.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

struct cpu_features features;
bool has_smap;

/* ---- what there is ----------------------------------------------------------------------- */

static void read_names(void)
{
	struct cpuid r = cpuid(0, 0);

	memcpy(features.vendor, &r.ebx, 4);
	memcpy(features.vendor + 4, &r.edx, 4);
	memcpy(features.vendor + 8, &r.ecx, 4);
	if (cpuid(0x80000000, 0).eax >= 0x80000004 && cpuid(0x80000000, 0).eax <= 0x8000ffff)
		for (uint32_t i = 0; i < 3; i++) {
			r = cpuid(0x80000002 + i, 0);
			memcpy(features.brand + 16 * i, &r, sizeof(r));
		}
	if (cpuid(1, 0).ecx & (1u << 31)) {
		r = cpuid(0x40000000, 0);
		memcpy(features.hypervisor, &r.ebx, 12);
	}
}

void features_init(void)
{
	uint32_t max = cpuid(0, 0).eax, extended = cpuid(0x80000000, 0).eax;
	struct cpuid one = cpuid(1, 0), seven = {0}, r = {0};

	if (max >= 7)
		seven = cpuid(7, 0);
	/* Without extended leaves whatever the last basic one says is answered. */
	if (extended >= 0x80000001 && extended <= 0x8000ffff)
		r = cpuid(0x80000001, 0);
	else
		extended = 0;
	features.nx = r.edx & (1u << 20);
	features.gigabyte_leaves = r.edx & (1u << 26);
	features.la57 = read_cr4() & CR4_LA57;
	features.global = one.edx & (1u << 13);
	features.pat = one.edx & (1u << 16);
	features.pse36 = one.edx & (1u << 17);
	features.smep = seven.ebx & (1u << 7);
	features.smap = seven.ebx & (1u << 20);
	features.umip = seven.ecx & (1u << 2);
	features.x2apic = one.ecx & (1u << 21);
	features.tsc_deadline = one.ecx & (1u << 24);
	/*
	 * A CPU that does not say has 36 with PAE (SDM 4.1.4). QEMU's qemu32 faults beyond 32 and
	 * shows it by the absence of PSE-36, which every real CPU with PAE and SSE2 has.
	 */
	features.physical_bits = extended >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xffu
				 : features.pse36 ? 36 : 32;
	has_smap = features.smap;
	read_names();
}

void arch_describe_cpu(void)
{
	kprintf("cpu: %s%s%s%s, %s, %u physical bits\n",
		features.brand[0] ? features.brand : features.vendor,
		features.hypervisor[0] ? " (" : "", features.hypervisor,
		features.hypervisor[0] ? ")" : "", paging_name(), features.physical_bits);
	kprintf("cpu: protections on: WP%s%s%s%s; missing here:%s%s%s%s%s\n",
		features.nx ? " NX" : "", features.smep ? " SMEP" : "",
		features.smap ? " SMAP" : "", features.umip ? " UMIP" : "",
		features.nx ? "" : " NX", features.smep ? "" : " SMEP",
		features.smap ? "" : " SMAP", features.umip ? "" : " UMIP",
		features.nx && features.smep && features.smap && features.umip ? " none" : "");
}

/* ---- tables ------------------------------------------------------------------------------ */

void arch_switch_tables(const struct kelp_space *space)
{
	/* Globals off while loading: nothing of the old tables survives (SDM 4.10.4.1). */
	write_cr4(read_cr4() & ~CR4_PGE);
	write_cr3((unsigned long)kelp_space_root(space));
	if (features.global)
		write_cr4(read_cr4() | CR4_PGE);
}

void arch_protect_cpu(void)
{
	write_cr0(read_cr0() | CR0_WP);
	write_cr4(read_cr4() | (features.smep ? CR4_SMEP : 0) | (features.smap ? CR4_SMAP : 0) |
		  (features.umip ? CR4_UMIP : 0));
}

void arch_user_access(bool allow)
{
	if (!features.smap)
		return;
	if (allow)
		__asm__ volatile("stac" ::: "memory");
	else
		__asm__ volatile("clac" ::: "memory");
}

bool arch_guards_user_access(void)
{
	return features.smap;
}

bool arch_guards_user_fetch(void)
{
	return features.smep;
}

/* Instruction caches follow stores by themselves; the CPU serialises on the next branch. */
void arch_sync_code(void *start, size_t size)
{
	(void)start, (void)size;
	cpuid(0, 0);
}

/* ---- CPUs -------------------------------------------------------------------------------- */

void arch_init_early(void)
{
	serial_init();
	boot_cpu.self = &boot_cpu;
	gdt_load(&boot_cpu);
	idt_init();
	idt_load();
	features_init();
}

extern const uint8_t trampoline[], trampoline_end[];

/* Below 640 KiB: a startup IPI names its page with 8 bits. */
#define TRAMPOLINE_LIMIT UINT64_C(0x9ffff)
/* A crowded host may leave a CPU of its guest without a processor for long. */
#define START_MICROSECONDS 10000000u
static kelp_paddr_t trampoline_page;
static struct cpu *starting;

void arch_take_early_frames(void)
{
	/* Without one, only this CPU runs. */
	if (!early_frames_take(PAGE_SIZE, PAGE_SIZE, TRAMPOLINE_LIMIT, &trampoline_page))
		trampoline_page = 0;
}

void cpu_registers_load(struct cpu *cpu)
{
	gdt_load(cpu);
	idt_load();
	if (features.pat)
		write_msr(MSR_PAT, PAT_VALUE);
	arch_switch_tables(&kernel_space);
	arch_protect_cpu();
}

_Noreturn void other_cpu_main(void);
_Noreturn void other_cpu_main(void)
{
	struct cpu *cpu = starting;
#ifdef HOLDFAST_HIBERNATES
	const struct arch_frozen *frozen = cpu->arch.frozen;
#endif

	cpu_registers_load(cpu);
	apic_init_cpu();
	__atomic_store_n(&cpu->arch.ready, true, __ATOMIC_RELEASE);
#ifdef HOLDFAST_HIBERNATES
	if (frozen)
		arch_thaw(frozen);
#endif
	cpu_main();
}

static bool wait_ready(const struct cpu *cpu, uint64_t microseconds)
{
	uint64_t start = time_microseconds();

	while (!__atomic_load_n(&cpu->arch.ready, __ATOMIC_ACQUIRE))
		if (time_microseconds() - start > microseconds)
			return false;
		else
			arch_relax();
	return true;
}

/* INIT, a pause, startup, and once more if there is no answer (SDM 8.4.4.1). */
bool start_cpu_on(struct cpu *cpu, uintptr_t stack_top)
{
	uintptr_t *stack = direct_pointer((uintptr_t)&boot_other_stack);
	uintptr_t *root = direct_pointer((uintptr_t)&boot_other_root);

	if (!trampoline_page)
		return false;
	memcpy(direct_pointer(trampoline_page), trampoline, (size_t)(trampoline_end - trampoline));
	starting = cpu;
	*stack = stack_top;
	__atomic_store_n(&cpu->arch.ready, false, __ATOMIC_RELEASE);
	*root = (uintptr_t)kelp_space_root(&kernel_space);
	apic_send_init(cpu->hardware_id);
	time_spin(200);
	apic_send_startup(cpu->hardware_id, trampoline_page);
	if (wait_ready(cpu, 10000))
		return true;
	apic_send_startup(cpu->hardware_id, trampoline_page);
	if (wait_ready(cpu, START_MICROSECONDS))
		return true;
	/* It must not come later, when the next one is meant: back to waiting. */
	apic_send_init(cpu->hardware_id);
	return false;
}

bool arch_start_cpu(struct cpu *cpu)
{
	return start_cpu_on(cpu, (uintptr_t)thread_stack_top(cpu->idle));
}

void arch_interrupt_cpu(struct cpu *cpu)
{
	apic_send(cpu->hardware_id, VECTOR_CALL);
}

void arch_stop_other_cpus(void)
{
	/* One by one: QEMU delivers an NMI even to a CPU that still waits for its startup IPI. */
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i] != this_cpu() && cpus[i]->online)
			apic_send_nmi(cpus[i]->hardware_id);
}
