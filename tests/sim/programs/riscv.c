/* SPDX-License-Identifier: MIT */
/* The rules of RISC-V, one program each. */
#include "toy.h"

#define ALL SIM_RISCV_ALL_ASIDS

static void start(struct toy *t, unsigned flags)
{
	toy_map(t, TOY_VA, 0, t->frame[0], flags);
	toy_run(t, 0, t->root, 5);
	toy_run(t, 1, t->root, 5);
	toy_flush_all(t, 0);
}

static void unmap(struct toy *t)
{
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), 0);
}

static void bad_missing_fence_after_map(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_map(t, TOY_VA2, 0, t->frame[1], TOY_WRITE);
	toy_read(t, 0, TOY_VA2);
}

static void good_fence_after_map(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_map(t, TOY_VA2, 0, t->frame[1], TOY_WRITE);
	toy_flush_page(t, 0, TOY_VA2);
	toy_read(t, 0, TOY_VA2);
	toy_read(t, 1, TOY_VA2);
}

static void bad_fence_after_map_local_only(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_map(t, TOY_VA2, 0, t->frame[1], TOY_WRITE);
	sim_riscv_sfence_vma(t->sim, 0, true, TOY_VA2, ALL);
	toy_read(t, 0, TOY_VA2);
	toy_read(t, 1, TOY_VA2);
}

static void good_svvptc(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_map(t, TOY_VA2, 0, t->frame[1], TOY_WRITE);
	toy_read(t, 0, TOY_VA2);
	toy_read(t, 1, TOY_VA2);
}

static void svvptc(struct sim_config *config)
{
	config->registers.svvptc = true;
}

static void bad_no_fence_after_unmap(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_fence(t->sim, 0);
	toy_read(t, 0, TOY_VA);
}

static void bad_remote_hart_not_fenced(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_fence(t->sim, 0);
	sim_riscv_sfence_vma(t->sim, 0, true, TOY_VA, ALL);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

/* SFENCE.VMA orders for its own hart. The other's may come before the store does. */
static void bad_remote_fence_without_data_fence(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_sfence_vma(t->sim, 0, true, TOY_VA, ALL);
	sim_riscv_sfence_vma(t->sim, 1, true, TOY_VA, ALL);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void good_one_hart_without_data_fence(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_sfence_vma(t->sim, 0, true, TOY_VA, ALL);
	toy_read(t, 0, TOY_VA);
}

/* The other hart's SFENCE.VMA orders its own walks, not our store. */
static void bad_remote_fence_before_store_is_visible(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_sfence_vma(t->sim, 1, true, TOY_VA, ALL);
	toy_read(t, 1, TOY_VA);
}

static void good_remote_fence(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	toy_flush_page(t, 0, TOY_VA);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void bad_address_fence_for_a_table(struct toy *t)
{
	uint64_t table = toy_take(t);

	start(t, TOY_WRITE);
	toy_write(t, 0, table + 8 * (TOY_VA2 >> 12 & 511),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), toy_table(t, table));
	/* rs1 != x0 orders leaf entries only. */
	toy_flush_page(t, 0, TOY_VA);
	toy_flush_page(t, 0, TOY_VA2);
	toy_read(t, 0, TOY_VA2);
}

/* An invalid entry that becomes a pointer: what is modified is no leaf. */
static void bad_address_fence_for_a_new_table(struct toy *t)
{
	uint64_t table = toy_take(t);
	uint64_t va = TOY_VA + (UINT64_C(2) << 20);

	start(t, TOY_WRITE);
	toy_write(t, 0, table, toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_write(t, 0, toy_slot(t, va, 1), toy_table(t, table));
	toy_flush_page(t, 0, va);
	toy_read(t, 0, va);
}

static void good_full_fence_for_a_new_table(struct toy *t)
{
	uint64_t table = toy_take(t);
	uint64_t va = TOY_VA + (UINT64_C(2) << 20);

	start(t, TOY_WRITE);
	toy_write(t, 0, table, toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_write(t, 0, toy_slot(t, va, 1), toy_table(t, table));
	toy_flush_all(t, 0);
	toy_read(t, 0, va);
	toy_read(t, 1, va);
}

static void good_full_fence_for_a_table(struct toy *t)
{
	uint64_t table = toy_take(t);

	start(t, TOY_WRITE);
	toy_write(t, 0, table + 8 * (TOY_VA2 >> 12 & 511),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), toy_table(t, table));
	toy_flush_all(t, 0);
	toy_read(t, 0, TOY_VA2);
	toy_read(t, 1, TOY_VA2);
}

static void bad_table_freed_after_address_fence(struct toy *t)
{
	uint64_t table;

	start(t, TOY_WRITE);
	table = toy_slot(t, TOY_VA, 0) & ~UINT64_C(4095);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	toy_flush_page(t, 0, TOY_VA);
	sim_page_free(t->sim, 0, table, 4096);
}

static void bad_global_by_asid(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	unmap(t);
	sim_riscv_sfence_vma(t->sim, 0, false, 0, 5);
	toy_read(t, 0, TOY_VA);
}

static void good_global_by_all(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	unmap(t);
	sim_riscv_sfence_vma(t->sim, 0, false, 0, ALL);
	toy_read(t, 0, TOY_VA);
}

static void bad_wrong_asid(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_sfence_vma(t->sim, 0, true, TOY_VA, 6);
	toy_read(t, 0, TOY_VA);
}

static void good_own_asid(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_sfence_vma(t->sim, 0, true, TOY_VA, 5);
	toy_read(t, 0, TOY_VA);
}

static void bad_asid_reused(struct toy *t)
{
	uint64_t other = toy_take(t);

	toy_write(t, 0, toy_slot_under(t, other, TOY_VA, 0),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	start(t, TOY_WRITE);
	toy_run(t, 1, other, 5);
	toy_read(t, 1, TOY_VA);
}

static void bad_svinval_not_completed(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_sfence_w_inval(t->sim, 0);
	sim_riscv_sinval_vma(t->sim, 0, true, TOY_VA, ALL);
	toy_read(t, 0, TOY_VA);
}

static void bad_svinval_not_ordered(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_sinval_vma(t->sim, 0, true, TOY_VA, ALL);
	sim_riscv_sfence_inval_ir(t->sim, 0);
	toy_read(t, 0, TOY_VA);
}

static void good_svinval(struct toy *t)
{
	start(t, TOY_WRITE);
	unmap(t);
	sim_riscv_sfence_w_inval(t->sim, 0);
	sim_riscv_sinval_vma(t->sim, 0, true, TOY_VA, ALL);
	sim_riscv_sfence_inval_ir(t->sim, 0);
	toy_read(t, 0, TOY_VA);
}

static void good_superpage_any_address(struct toy *t)
{
	toy_map(t, TOY_VA, 1, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 5);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), toy_leaf(t, 1, t->frame[1], TOY_WRITE));
	sim_riscv_sfence_vma(t->sim, 0, true, TOY_VA + 0x6000, ALL);
	toy_read(t, 0, TOY_VA + 0x123000);
}

static void napot(struct toy *t)
{
	for (unsigned i = 0; i < 16; i++)
		toy_map(t, TOY_VA + 4096 * i, 0, t->frame[0], TOY_WRITE | TOY_GROUP);
	toy_run(t, 0, t->root, 5);
	toy_flush_all(t, 0);
	toy_read(t, 0, TOY_VA + 0x4000);
}

static void bad_napot_partial_change(struct toy *t)
{
	napot(t);
	unmap(t);
	toy_flush_all(t, 0);
	toy_read(t, 0, TOY_VA);
}

static void good_napot_whole_change(struct toy *t)
{
	napot(t);
	for (unsigned i = 0; i < 16; i++)
		toy_write(t, 0, toy_slot(t, TOY_VA + 4096 * i, 0), 0);
	toy_flush_all(t, 0);
	toy_read(t, 0, TOY_VA);
}

#define P(expected, name, configure, what) {#name, what, expected, SIM_RISCV, configure, name}

const struct toy_program toy_programs_riscv[] = {
	P(SIM_MISSING_FENCE, bad_missing_fence_after_map, NULL,
	  "made valid without SFENCE.VMA: the invalid entry may be cached"),
	P(SIM_OK, good_fence_after_map, NULL, "SFENCE.VMA after it"),
	P(SIM_MISSING_FENCE, bad_fence_after_map_local_only, NULL, "on one hart only"),
	P(SIM_OK, good_svvptc, svvptc, "Svvptc: no fence needed"),
	P(SIM_MISSING_LOCAL_FLUSH, bad_no_fence_after_unmap, NULL, "unmapped, not fenced"),
	P(SIM_MISSING_REMOTE_FLUSH, bad_remote_hart_not_fenced, NULL, "remote hart not fenced"),
	P(SIM_MISSING_BARRIER, bad_remote_fence_without_data_fence, NULL,
	  "every hart fenced, and no FENCE before the others were"),
	P(SIM_OK, good_one_hart_without_data_fence, NULL, "a hart's own SFENCE.VMA is enough for it"),
	P(SIM_MISSING_BARRIER, bad_remote_fence_before_store_is_visible, NULL,
	  "remote hart fenced before the store was visible"),
	P(SIM_OK, good_remote_fence, NULL, "FENCE, then SFENCE.VMA on every hart"),
	P(SIM_LAST_LEVEL_ONLY, bad_address_fence_for_a_table, NULL,
	  "SFENCE.VMA with an address after a table pointer changed"),
	P(SIM_OK, good_full_fence_for_a_table, NULL, "SFENCE.VMA x0"),
	P(SIM_LAST_LEVEL_ONLY, bad_address_fence_for_a_new_table, NULL,
	  "SFENCE.VMA with an address after an invalid entry became a pointer"),
	P(SIM_OK, good_full_fence_for_a_new_table, NULL, "SFENCE.VMA x0 for a new table"),
	P(SIM_TABLE_FREED, bad_table_freed_after_address_fence, NULL,
	  "a table freed after an SFENCE.VMA with an address"),
	P(SIM_GLOBAL_NOT_FLUSHED, bad_global_by_asid, NULL, "a global entry fenced by ASID"),
	P(SIM_OK, good_global_by_all, NULL, "a global entry fenced for all ASIDs"),
	P(SIM_WRONG_ASID, bad_wrong_asid, NULL, "SFENCE.VMA with another ASID"),
	P(SIM_OK, good_own_asid, NULL, "SFENCE.VMA with the ASID it runs under"),
	P(SIM_ASID_REUSED, bad_asid_reused, NULL, "an ASID given to another root"),
	P(SIM_MISSING_DSB, bad_svinval_not_completed, NULL, "SINVAL.VMA without SFENCE.INVAL.IR"),
	P(SIM_MISSING_BARRIER, bad_svinval_not_ordered, NULL, "SINVAL.VMA without SFENCE.W.INVAL"),
	P(SIM_OK, good_svinval, NULL, "Svinval as it should be"),
	P(SIM_OK, good_superpage_any_address, NULL, "any address in a superpage reaches its leaf"),
	P(SIM_MALFORMED_TABLES, bad_napot_partial_change, NULL, "one entry of a NAPOT group changed"),
	P(SIM_OK, good_napot_whole_change, NULL, "all of a NAPOT group changed"),
	{0},
};
