/* SPDX-License-Identifier: MIT */
/*
 * resume: leaving a kernel for the one that is loaded, and what a CPU needs when it comes back
 * in a machine that was switched off: nothing of it survived but memory.
 */
#include "machine.h"

#include <print.h>
#include <thread.h>
#include <vm.h>

extern const uint8_t resume_entry[];

/* resume_entry.S knows the order. */
struct arch_jump {
	uint64_t tables;
	uint64_t list;
	uint64_t moves;
	uint64_t direct;
	uint64_t root;
	uint64_t entry;
	uint64_t frozen;
};

_Static_assert(offsetof(struct arch_frozen, rsp) == 48 && offsetof(struct arch_frozen, rip) == 56,
	       "resume_entry.S");
_Static_assert(offsetof(struct arch_jump, frozen) == 48, "resume_entry.S");

void arch_entry_here(struct arch_entry *entry)
{
	entry->code = (uintptr_t)resume_entry;
	entry->root = kelp_space_root(&kernel_space);
	entry->frozen = 0;
}

void arch_leave(const void *code, kelp_paddr_t tables, const struct kelp_snapshot_relocation *list, uint64_t moves,
		const struct arch_entry *entry)
{
	const struct arch_jump jump = {
		.tables = tables,
		.list = (uintptr_t)list,
		.moves = moves,
		.direct = DIRECT_BASE,
		.root = entry->root,
		.entry = entry->code,
		.frozen = entry->frozen,
	};
	void (*relocate)(const struct arch_jump *jump);

	arch_irq_disable();
	memcpy(&relocate, &code, sizeof(relocate));
	relocate(&jump);
	panic("the code that leaves this kernel came back");
}

/*
 * INIT puts a CPU where it waits for its startup IPI, whatever it was doing (SDM 8.4.2). It may
 * take a moment to get there.
 */
void arch_reset_other_cpus(void)
{
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i] != this_cpu())
			apic_send_init(cpus[i]->hardware_id);
	time_spin(10000);
}

void arch_resumed(void)
{
	cpu_registers_load(&boot_cpu);
	mask_legacy();
	apic_init_cpu();
	serial_restart();
}

bool arch_thaw_cpu(struct cpu *cpu, struct arch_frozen *frozen)
{
	bool started;

	cpu->arch.frozen = frozen;
	/* Its own stack, below what it still needs of it. */
	started = start_cpu_on(cpu, align_down(frozen->rsp - 256u, 16));
	cpu->arch.frozen = NULL;
	return started;
}

void arch_ticks_continue(uint64_t tick)
{
	arch_ticks_offset += tick - arch_ticks();
}

/* The modes that tables and interrupts are in are kept; what is merely used must be there. */
void arch_cpu_set(uint8_t set[ARCH_CPU_SET])
{
	const bool has[] = {
		features.la57, !features.la57, features.x2apic, !features.x2apic,
		features.nx, features.gigabyte_leaves, features.global, features.smep,
		features.smap, features.umip, features.tsc_deadline,
	};

	memset(set, 0, ARCH_CPU_SET);
	for (unsigned i = 0; i < ARRAY_COUNT(has); i++)
		if (has[i])
			set[i / 8u] |= (uint8_t)(1u << i % 8u);
	/* One bit for each width that it reaches. */
	for (unsigned bits = 32; bits <= features.physical_bits && bits < 64; bits++)
		set[8u + bits / 8u] |= (uint8_t)(1u << bits % 8u);
}
