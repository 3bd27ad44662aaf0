/* SPDX-License-Identifier: MIT */
/* kexec: the way out of this kernel on x86_64: tables, pages, the jump. */
#include <kexec.h>

#include "kexec_loaders.h"
#include "kexec_relocate.h"
#include "machine.h"

#include <arch.h>
#include <cpu.h>
#include <frames.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

_Static_assert(KEXEC_ENTRY_64 == 0, "kexec_relocate.S compares with 0");

static struct kelp_trans trans;
static bool has_tables;
static kelp_paddr_t code_page, data_page; /* 0: not taken */

bool arch_can_kexec(void)
{
	return true;
}

const char *arch_kexec_plan(struct kexec_plan *plan)
{
	if (kexec_is_linux(&plan->kernel))
		return kexec_plan_linux(plan);
	if (kexec_is_pvh(&plan->kernel))
		return kexec_plan_pvh(plan);
	return "neither a Linux kernel (bzImage) nor an ELF file with a PVH entry";
}

/* ---- tables ------------------------------------------------------------------------------ */

/*
 * All RAM where it is, without the one page that is executed. From the memmap, not from the
 * live tables: frames that were taken out of the direct map are reached like all others, and so is
 * memory that was added, in which the list or a table may lie.
 */
static const char *build(const struct kexec_plan *plan)
{
	static struct kelp_trans_range ranges[BOOT_RANGES + 1];
	kelp_attr_t attributes = plan->executable ? KELP_ATTR_EXEC : 0;
	uint64_t code = code_page >> PAGE_SHIFT;
	kelp_pfn_t from = {0}, last;
	size_t count = 0;

	for (; kelp_memmap_next(&kernel_memmap, KELP_FRAMES_ONLINE, from, &from, &last);
	     from.number = last.number + 1u) {
		uint64_t first = from.number, end = last.number + 1u;

		if (count + 2u > ARRAY_COUNT(ranges))
			return "memory lies in too many pieces";
		if (code >= first && code < end) {
			if (code > first)
				ranges[count++] = (struct kelp_trans_range){
					{first}, code - first, attributes};
			first = code + 1u;
		}
		if (first < end)
			ranges[count++] =
				(struct kelp_trans_range){{first}, end - first, attributes};
	}
	return kelp_trans_build(&trans, 0, ranges, count) == KELP_OK
		       ? NULL : "no tables for the way there";
}

/* The code at its physical address, and the one page of this kernel that jumps to it. */
static bool map_code(void)
{
	uintptr_t here = (uintptr_t)kexec_switch & ~(uintptr_t)(PAGE_SIZE - 1u);
	kelp_attr_t rights = kelp_format_closest(&kernel_format, KELP_ATTR_READ | KELP_ATTR_EXEC);

	return kelp_trans_map_page(&trans, code_page, (kelp_pfn_t){code_page >> PAGE_SHIFT},
				   rights) == KELP_OK &&
	       kelp_trans_map_page(&trans, here, (kelp_pfn_t){(here - IMAGE_BASE) >> PAGE_SHIFT},
				   rights) == KELP_OK;
}

const char *arch_kexec_prepare(const struct kexec_plan *plan, struct kelp_kexec *kexec,
			       uint64_t *tables)
{
	struct kelp_port port;
	kelp_paddr_t bad;
	const char *why = "no memory outside of what will be overwritten";

	kelp_kexec_port(kexec, &port);
	/* Protected mode without paging reaches 4 GiB. */
	if (kelp_kexec_safe_page(kexec, FRAME_BELOW_4G, &code_page) == KELP_OK &&
	    kelp_kexec_safe_page(kexec, FRAME_BELOW_4G, &data_page) == KELP_OK &&
	    kelp_trans_init(&trans, &kernel_format, &port, 0) == KELP_OK) {
		has_tables = true;
		why = build(plan);
		if (!why && !map_code())
			why = "no tables for the code of the way there";
		if (!why && kelp_kexec_check_tables(kexec, &trans, &bad) != KELP_OK)
			why = "a table lies where the next kernel is to lie";
	}
	if (why)
		arch_kexec_cancel(kexec);
	*tables = has_tables ? kelp_trans_pages(&trans) : 0;
	return why;
}

const char *arch_kexec_check(const struct kelp_kexec *kexec)
{
	kelp_paddr_t page, code, data;

	if (kelp_space_translate(&trans.space, code_page, &code) != KELP_OK || code != code_page ||
	    kelp_space_translate(&trans.space, data_page, &data) != KELP_OK || data != data_page)
		return "its own last code is not in the tables";
	if (kelp_kexec_check_reach(kexec, &trans, 0, &page) != KELP_OK)
		return "a page of what is to be moved is not in the tables";
	return NULL;
}

void arch_kexec_cancel(struct kelp_kexec *kexec)
{
	if (has_tables)
		kelp_trans_destroy(&trans);
	if (code_page)
		kexec->config.page_give(kexec->config.context, code_page);
	if (data_page)
		kexec->config.page_give(kexec->config.context, data_page);
	has_tables = false;
	code_page = data_page = 0;
}

/* ---- the end ----------------------------------------------------------------------------- */

/*
 * Back to where they wait for a startup IPI, which needs no memory: a CPU that merely halts would
 * do so in text that is overwritten. SDM 8.4.1. They get as long for it as a resume gives them
 * (arch_reset_other_cpus()): an emulated CPU may have to wait for the host's.
 */
void arch_kexec_stop_cpus(void)
{
	arch_timer_set(UINT64_MAX);
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i] != this_cpu() && cpus[i]->online)
			apic_send_init(cpus[i]->hardware_id);
	time_spin(10000);
}

uint64_t arch_kexec_tick(void)
{
	return arch_ticks() - arch_ticks_offset;
}

static void set_table_register(uint16_t reg[8], uint64_t base, uint16_t limit)
{
	reg[0] = limit;
	memcpy(&reg[1], &base, sizeof(base));
}

_Noreturn void arch_kexec_jump(const struct kexec_plan *plan, kelp_paddr_t list)
{
	struct relocate_data *data = direct_pointer(data_page);
	size_t size = (size_t)(kexec_relocate_end - kexec_relocate);

	memcpy(direct_pointer(code_page), kexec_relocate, size);
	*data = (struct relocate_data){
		.list = list,
		.entry = plan->entry,
		.argument = plan->argument,
		.mode = plan->mode,
		.gdt = {0, 0,
			UINT64_C(0x00af9b000000ffff),  /* 64-bit code */
			UINT64_C(0x00cf93000000ffff),  /* data */
			UINT64_C(0x00cf9b000000ffff)}, /* 32-bit code */
	};
	set_table_register(data->gdtr, data_page + RELOCATE_GDT, sizeof(data->gdt) - 1u);
	arch_sync_code(direct_pointer(code_page), size);
	kexec_switch(kelp_trans_root(&trans), code_page, data_page);
}
