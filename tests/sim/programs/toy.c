/* SPDX-License-Identifier: MIT */
#include "toy.h"

#include <assert.h>

static unsigned index_bits(const struct toy *toy)
{
	return toy->arch == SIM_X86_TWO_LEVEL ? 10 : toy->page_shift - 3;
}

static unsigned width(const struct toy *toy)
{
	return toy->arch == SIM_X86_TWO_LEVEL ? 4 : 8;
}

static unsigned levels(const struct toy *toy, uint64_t va)
{
	const struct sim_registers *r = &sim_config(toy->sim)->registers;

	switch (toy->arch) {
	case SIM_X86_PAE: return 3;
	case SIM_X86_TWO_LEVEL: return 2;
	case SIM_ARM64:
		return (64 - (va >> 63 ? r->t1sz : r->t0sz) - toy->page_shift + index_bits(toy) - 1) /
		       index_bits(toy);
	default: return r->levels;
	}
}

uint64_t toy_leaf(const struct toy *toy, unsigned level, uint64_t pa, unsigned flags)
{
	uint64_t e;

	switch (toy->arch) {
	case SIM_ARM64:
		e = pa | 1 | (level == 0 ? 2 : 0) | UINT64_C(3) << 53;
		e |= flags & TOY_OLD ? 0 : 1u << 10;
		e |= flags & TOY_GLOBAL ? 0 : 1u << 11;
		e |= flags & TOY_USER ? 1u << 6 : 0;
		/* Writable and clean: DBM with AP[2] set. */
		e |= flags & TOY_WRITE ? UINT64_C(1) << 51 : 1u << 7;
		e |= (flags & TOY_WRITE) && (flags & TOY_CLEAN) ? 1u << 7 : 0;
		e |= flags & TOY_DEVICE ? 1u << 2 : 0;
		e |= flags & TOY_GROUP ? UINT64_C(1) << 52 : 0;
		e |= flags & TOY_NT ? 1u << 16 : 0;
		return e;
	case SIM_RISCV:
		e = pa >> 2 | 1 | 2 | (flags & TOY_WRITE ? 4 : 0) | (flags & TOY_USER ? 16 : 0);
		e |= flags & TOY_GLOBAL ? 32 : 0;
		e |= flags & TOY_OLD ? 0 : 64;
		e |= (flags & TOY_WRITE) && !(flags & TOY_CLEAN) ? 128 : 0;
		e |= flags & TOY_DEVICE ? UINT64_C(2) << 61 : 0;
		if (flags & TOY_GROUP)
			e = (e & ~(UINT64_C(0xf) << 10)) | UINT64_C(8) << 10 | UINT64_C(1) << 63;
		return e;
	default:
		e = pa | 1 | (flags & TOY_WRITE ? 2 : 0) | (flags & TOY_USER ? 4 : 0);
		e |= flags & TOY_OLD ? 0 : 0x20;
		e |= (flags & TOY_WRITE) && !(flags & TOY_CLEAN) ? 0x40 : 0;
		e |= level > 0 ? 0x80 : 0;
		e |= flags & TOY_GLOBAL ? 0x100 : 0;
		e |= flags & TOY_DEVICE ? 0x18 : 0;
		return e;
	}
}

uint64_t toy_table(const struct toy *toy, uint64_t pa)
{
	switch (toy->arch) {
	case SIM_ARM64: return pa | 3;
	case SIM_RISCV: return pa >> 2 | 1;
	case SIM_X86_PAE: return pa | 1;
	default: return pa | 0x27;
	}
}

static uint64_t table_address(const struct toy *toy, uint64_t entry)
{
	if (toy->arch == SIM_RISCV)
		return (entry >> 10 & ((UINT64_C(1) << 44) - 1)) << 12;
	return entry & UINT64_C(0x0000fffffffff000) & ~(toy->page - 1);
}

uint64_t toy_take(struct toy *toy)
{
	uint64_t limit = toy->arch == SIM_X86_PAE || toy->arch == SIM_X86_TWO_LEVEL ? UINT32_MAX
										    : UINT64_MAX;
	uint64_t pa;

	if (!sim_page_take(toy->sim, toy->page, limit, &pa))
		assert(!"the simulated machine has no page left");
	return pa;
}

uint64_t toy_slot_under(struct toy *toy, uint64_t root, uint64_t va, unsigned level)
{
	unsigned top = levels(toy, va) - 1;
	uint64_t table = root;

	for (unsigned at = top;; at--) {
		unsigned shift = toy->page_shift + index_bits(toy) * at;
		uint64_t index = va >> shift & ((UINT64_C(1) << index_bits(toy)) - 1);
		unsigned root_bits = 64 - sim_config(toy->sim)->registers.t1sz - shift;
		uint64_t slot, entry;

		if (toy->arch == SIM_X86_PAE && at == 2)
			index &= 3;
		if (toy->arch == SIM_ARM64 && at == top && root_bits < index_bits(toy))
			index &= (1u << root_bits) - 1;
		slot = table + index * width(toy);
		if (at == level)
			return slot;
		entry = sim_entry_read(toy->sim, 0, slot, width(toy));
		if (entry == 0) {
			entry = toy_table(toy, toy_take(toy));
			sim_entry_write(toy->sim, 0, slot, entry, width(toy));
		}
		table = table_address(toy, entry);
	}
}

uint64_t toy_slot(struct toy *toy, uint64_t va, unsigned level)
{
	return toy_slot_under(toy, toy->root, va, level);
}

void toy_write(struct toy *toy, unsigned cpu, uint64_t slot, uint64_t entry)
{
	sim_entry_write(toy->sim, cpu, slot, entry, width(toy));
}

static void publish(struct toy *toy, unsigned cpu)
{
	if (toy->arch == SIM_ARM64) {
		sim_arm64_dsb(toy->sim, cpu);
		sim_arm64_isb(toy->sim, cpu);
	} else if (toy->arch == SIM_RISCV) {
		sim_riscv_fence(toy->sim, cpu);
	}
}

void toy_map(struct toy *toy, uint64_t va, unsigned level, uint64_t pa, unsigned flags)
{
	toy_write(toy, 0, toy_slot(toy, va, level), toy_leaf(toy, level, pa, flags));
	publish(toy, 0);
}

void toy_run(struct toy *toy, unsigned cpu, uint64_t root, unsigned asid)
{
	switch (toy->arch) {
	case SIM_ARM64:
		sim_arm64_write_ttbr(toy->sim, cpu, 0, root, asid);
		break;
	case SIM_RISCV:
		sim_riscv_write_satp(toy->sim, cpu, root, asid);
		break;
	default:
		sim_x86_write_cr3(toy->sim, cpu, root | asid | (asid ? SIM_X86_CR3_NOFLUSH : 0));
		break;
	}
}

void toy_flush_page(struct toy *toy, unsigned cpu, uint64_t va)
{
	unsigned cpus = sim_config(toy->sim)->cpus;

	publish(toy, cpu);
	if (toy->arch == SIM_ARM64) {
		sim_arm64_tlbi(toy->sim, cpu, SIM_TLBI_VAAE1, va << 8 >> 20, true);
		publish(toy, cpu);
		return;
	}
	for (unsigned other = 0; other < cpus; other++) {
		if (toy->arch == SIM_RISCV)
			sim_riscv_sfence_vma(toy->sim, other, true, va, SIM_RISCV_ALL_ASIDS);
		else
			sim_x86_invlpg(toy->sim, other, va);
	}
}

void toy_flush_all(struct toy *toy, unsigned cpu)
{
	unsigned cpus = sim_config(toy->sim)->cpus;

	publish(toy, cpu);
	if (toy->arch == SIM_ARM64) {
		sim_arm64_tlbi(toy->sim, cpu, SIM_TLBI_VMALLE1, 0, true);
		publish(toy, cpu);
		return;
	}
	for (unsigned other = 0; other < cpus; other++) {
		if (toy->arch == SIM_RISCV) {
			sim_riscv_sfence_vma(toy->sim, other, false, 0, SIM_RISCV_ALL_ASIDS);
		} else {
			sim_x86_set_pge(toy->sim, other, false);
			sim_x86_set_pge(toy->sim, other, true);
		}
	}
}

void toy_read(struct toy *toy, unsigned cpu, uint64_t va)
{
	sim_access(toy->sim, cpu, va, SIM_READ, SIM_SUPERVISOR);
}

void toy_store(struct toy *toy, unsigned cpu, uint64_t va)
{
	sim_access(toy->sim, cpu, va, SIM_WRITE, SIM_SUPERVISOR);
}
