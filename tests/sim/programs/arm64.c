/* SPDX-License-Identifier: MIT */
/* The rules of arm64, one program each. */
#include "toy.h"

static void start_at(struct toy *t, unsigned level, unsigned flags)
{
	toy_map(t, TOY_VA, level, t->frame[0], flags);
	toy_run(t, 0, t->root, 5);
	toy_run(t, 1, t->root, 5);
}

static void start(struct toy *t, unsigned flags)
{
	start_at(t, 0, flags);
}

static uint64_t operand(unsigned asid, uint64_t va)
{
	return (uint64_t)asid << 48 | (va >> 12 & ((UINT64_C(1) << 44) - 1));
}

static void write(struct toy *t, unsigned level, uint64_t entry)
{
	toy_write(t, 0, toy_slot(t, TOY_VA, level), entry);
}

static void flush(struct toy *t, enum sim_tlbi op, uint64_t with)
{
	sim_arm64_dsb(t->sim, 0);
	sim_arm64_tlbi(t->sim, 0, op, with, true);
	sim_arm64_dsb(t->sim, 0);
}

static void make(struct toy *t, unsigned level, uint64_t entry)
{
	write(t, level, entry);
	sim_arm64_dsb(t->sim, 0);
}

static void bad_no_tlbi(struct toy *t)
{
	start(t, TOY_WRITE);
	make(t, 0, 0);
	toy_read(t, 0, TOY_VA);
}

static void bad_no_tlbi_remote(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	sim_arm64_dsb(t->sim, 0);
	sim_arm64_tlbi(t->sim, 0, SIM_TLBI_VAE1, operand(5, TOY_VA), false);
	sim_arm64_dsb(t->sim, 0);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void good_broadcast(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	toy_read(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void bad_tlbi_without_dsb(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	sim_arm64_dsb(t->sim, 0);
	sim_arm64_tlbi(t->sim, 0, SIM_TLBI_VAE1, operand(5, TOY_VA), true);
	toy_read(t, 1, TOY_VA);
}

static void bad_tlbi_before_store_is_visible(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	/* No DSB here: a walker may read the old entry after the TLBI went by. */
	sim_arm64_tlbi(t->sim, 0, SIM_TLBI_VAE1, operand(5, TOY_VA), true);
	toy_read(t, 1, TOY_VA);
	sim_arm64_dsb(t->sim, 0);
}

static void bad_invalid_to_valid_without_dsb(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA2, 0), toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_read(t, 0, TOY_VA2);
}

static void good_invalid_to_valid(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_read(t, 1, TOY_VA2); /* a fault, and faults are not cached */
	toy_map(t, TOY_VA2, 0, t->frame[1], TOY_WRITE);
	toy_read(t, 0, TOY_VA2);
	toy_read(t, 1, TOY_VA2);
}

static void bad_missing_isb(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	toy_read(t, 0, TOY_VA);
}

static void good_with_isb(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	sim_arm64_isb(t->sim, 0);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void strict_isb(struct sim_config *config)
{
	config->policy.strict_isb = true;
}

/* ---- break before make --------------------------------------------------------------------- */

static void bad_live_output_address(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, toy_leaf(t, 0, t->frame[1], TOY_WRITE));
}

/* The access flag is set, so it may be in a TLB: a published checker lets this pass. */
static void bad_live_output_address_access_flag_set(struct toy *t)
{
	start(t, 0);
	write(t, 0, toy_leaf(t, 0, t->frame[1], 0));
}

static void good_output_address_access_flag_clear(struct toy *t)
{
	start(t, TOY_OLD);
	write(t, 0, toy_leaf(t, 0, t->frame[1], TOY_OLD));
	sim_arm64_dsb(t->sim, 0);
	write(t, 0, toy_leaf(t, 0, t->frame[1], 0));
	sim_arm64_dsb(t->sim, 0);
	toy_read(t, 0, TOY_VA);
}

static void software_access_flag(struct sim_config *config)
{
	config->registers.ha = config->registers.hd = false;
}

static void bad_access_flag_clear_but_hardware_sets_it(struct toy *t)
{
	start(t, TOY_OLD);
	write(t, 0, toy_leaf(t, 0, t->frame[1], TOY_OLD));
}

static void bad_live_memory_type(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, toy_leaf(t, 0, t->frame[0], TOY_WRITE | TOY_DEVICE));
}

static void bad_live_made_global(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, toy_leaf(t, 0, t->frame[0], TOY_WRITE | TOY_GLOBAL));
}

static void good_live_permission(struct toy *t)
{
	start(t, 0);
	make(t, 0, toy_leaf(t, 0, t->frame[0], TOY_WRITE));
	toy_store(t, 1, TOY_VA);
}

static void bad_permission_narrowed(struct toy *t)
{
	start(t, TOY_WRITE);
	make(t, 0, toy_leaf(t, 0, t->frame[0], 0));
	toy_store(t, 1, TOY_VA);
}

static void good_break_before_make(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	make(t, 0, toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_read(t, 1, TOY_VA);
}

static void bad_break_without_tlbi(struct toy *t)
{
	start(t, TOY_WRITE);
	make(t, 0, 0);
	make(t, 0, toy_leaf(t, 0, t->frame[1], TOY_WRITE));
}

static void bad_make_before_tlbi_completes(struct toy *t)
{
	start(t, TOY_WRITE);
	make(t, 0, 0);
	sim_arm64_tlbi(t->sim, 0, SIM_TLBI_VAE1, operand(5, TOY_VA), true);
	write(t, 0, toy_leaf(t, 0, t->frame[1], TOY_WRITE));
}

/* A 2 MiB block becomes a table that says the same, while it is in use. */
static void split(struct toy *t, unsigned flags)
{
	uint64_t table = toy_take(t);

	start_at(t, 1, TOY_WRITE | flags);
	for (unsigned i = 0; i < 512; i++)
		toy_write(t, 0, table + 8 * i,
			  toy_leaf(t, 0, t->frame[0] + 4096 * i, TOY_WRITE));
	sim_arm64_dsb(t->sim, 0);
	write(t, 1, toy_table(t, table));
	sim_arm64_dsb(t->sim, 0);
	toy_store(t, 1, TOY_VA + 0x5000);
}

static void bad_live_split_bbm0(struct toy *t)
{
	split(t, 0);
}

static void bad_live_split_bbm1_without_nt(struct toy *t)
{
	split(t, 0);
}

static void good_live_split_bbm1_with_nt(struct toy *t)
{
	split(t, TOY_NT);
}

static void good_live_split_bbm2(struct toy *t)
{
	split(t, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	toy_store(t, 1, TOY_VA + 0x5000);
}

static void bbm1(struct sim_config *config)
{
	config->registers.bbm_level = 1;
}

static void bbm2(struct sim_config *config)
{
	config->registers.bbm_level = 2;
}

static void bad_bbm2_split_changes_frame(struct toy *t)
{
	uint64_t table = toy_take(t);

	start_at(t, 1, TOY_WRITE);
	for (unsigned i = 0; i < 512; i++)
		toy_write(t, 0, table + 8 * i,
			  toy_leaf(t, 0, t->frame[1] + 4096 * i, TOY_WRITE));
	sim_arm64_dsb(t->sim, 0);
	write(t, 1, toy_table(t, table));
	sim_arm64_dsb(t->sim, 0);
	toy_read(t, 0, TOY_VA);
}

/* A table becomes a block again; leaves of the table may sit in TLBs. */
static void bad_live_merge_bbm0(struct toy *t)
{
	for (unsigned i = 0; i < 512; i++)
		toy_map(t, TOY_VA + 4096 * i, 0, t->frame[0] + 4096 * i, TOY_WRITE);
	start(t, TOY_WRITE);
	write(t, 1, toy_leaf(t, 1, t->frame[0], TOY_WRITE));
}

/* Broken and flushed at one address of the table: the others' leaves are still cached. */
static void bad_merge_after_one_address(struct toy *t)
{
	for (unsigned i = 0; i < 512; i++)
		toy_map(t, TOY_VA + 4096 * i, 0, t->frame[0] + 4096 * i, TOY_WRITE);
	start(t, TOY_WRITE);
	write(t, 1, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	write(t, 1, toy_leaf(t, 1, t->frame[0], TOY_WRITE));
}

static void good_merge_after_asid_flush(struct toy *t)
{
	for (unsigned i = 0; i < 512; i++)
		toy_map(t, TOY_VA + 4096 * i, 0, t->frame[0] + 4096 * i, TOY_WRITE);
	start(t, TOY_WRITE);
	write(t, 1, 0);
	flush(t, SIM_TLBI_ASIDE1, operand(5, 0));
	make(t, 1, toy_leaf(t, 1, t->frame[0], TOY_WRITE));
	toy_read(t, 1, TOY_VA + 0x3000);
}

/* ---- contiguous ---------------------------------------------------------------------------- */

static void contiguous(struct toy *t)
{
	for (unsigned i = 0; i < 16; i++)
		toy_map(t, TOY_VA + 4096 * i, 0, t->frame[0] + 4096 * i, TOY_WRITE | TOY_GROUP);
	toy_run(t, 0, t->root, 5);
	toy_run(t, 1, t->root, 5);
}

static void bad_contiguous_mark_removed_live(struct toy *t)
{
	contiguous(t);
	write(t, 0, toy_leaf(t, 0, t->frame[0], TOY_WRITE));
}

static void good_contiguous_mark_removed_bbm1(struct toy *t)
{
	contiguous(t);
	for (unsigned i = 0; i < 16; i++)
		toy_write(t, 0, toy_slot(t, TOY_VA + 4096 * i, 0),
			  toy_leaf(t, 0, t->frame[0] + 4096 * i, TOY_WRITE));
	sim_arm64_dsb(t->sim, 0);
	toy_store(t, 1, TOY_VA + 0x4000);
}

/* One entry of a group is unmapped; the others still translate its address. */
static void bad_contiguous_partial_unmap(struct toy *t)
{
	contiguous(t);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	toy_read(t, 1, TOY_VA);
}

static void good_contiguous_unmapped_as_a_whole(struct toy *t)
{
	contiguous(t);
	for (unsigned i = 0; i < 16; i++)
		toy_write(t, 0, toy_slot(t, TOY_VA + 4096 * i, 0), 0);
	sim_arm64_dsb(t->sim, 0);
	for (unsigned i = 0; i < 16; i++)
		sim_arm64_tlbi(t->sim, 0, SIM_TLBI_VAE1, operand(5, TOY_VA + 4096 * i), true);
	sim_arm64_dsb(t->sim, 0);
	toy_read(t, 1, TOY_VA + 0x3000);
}

/* ---- what a TLBI reaches ------------------------------------------------------------------- */

static void bad_last_level_for_a_table(struct toy *t)
{
	start(t, TOY_WRITE);
	uint64_t table = toy_slot(t, TOY_VA, 0) & ~UINT64_C(4095);

	write(t, 1, 0);
	flush(t, SIM_TLBI_VALE1, operand(5, TOY_VA));
	toy_write(t, 0, table + 8 * (TOY_VA >> 12 & 511) + 8,
		  toy_leaf(t, 0, t->frame[2], TOY_WRITE));
	sim_arm64_dsb(t->sim, 0);
	toy_read(t, 0, TOY_VA2);
}

static void bad_last_level_then_table_freed(struct toy *t)
{
	uint64_t table;

	start(t, TOY_WRITE);
	table = toy_slot(t, TOY_VA, 0) & ~UINT64_C(4095);
	write(t, 1, 0);
	flush(t, SIM_TLBI_VALE1, operand(5, TOY_VA));
	sim_page_free(t->sim, 0, table, 4096);
}

static void good_all_levels_then_table_freed(struct toy *t)
{
	uint64_t table;

	start(t, TOY_WRITE);
	table = toy_slot(t, TOY_VA, 0) & ~UINT64_C(4095);
	write(t, 1, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	sim_page_free(t->sim, 0, table, 4096);
	toy_read(t, 1, TOY_VA);
}

static void good_last_level_for_a_leaf(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VALE1, operand(5, TOY_VA));
	toy_read(t, 1, TOY_VA);
}

static void bad_wrong_asid(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(6, TOY_VA));
	toy_read(t, 1, TOY_VA);
}

static void bad_global_by_asid(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	write(t, 0, 0);
	flush(t, SIM_TLBI_ASIDE1, operand(5, 0));
	toy_read(t, 1, TOY_VA);
}

static void good_global_by_address(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAAE1, operand(0, TOY_VA));
	toy_read(t, 1, TOY_VA);
}

static void bad_asid_reused(struct toy *t)
{
	uint64_t other = toy_take(t);

	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot_under(t, other, TOY_VA, 0),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	sim_arm64_dsb(t->sim, 0);
	toy_run(t, 1, other, 5);
	toy_read(t, 1, TOY_VA);
}

static void good_asid_reused_after_flush(struct toy *t)
{
	uint64_t other = toy_take(t);

	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot_under(t, other, TOY_VA, 0),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_run(t, 1, other, 6);
	toy_run(t, 0, other, 6);
	flush(t, SIM_TLBI_ASIDE1, operand(5, 0));
	toy_run(t, 1, other, 5);
	toy_read(t, 1, TOY_VA);
}

/* 64 KiB granule: the operand still holds VA[55:12], not a page number. */
static void bad_granule_scaled_operand(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, UINT64_C(5) << 48 | TOY_VA >> 16);
	toy_read(t, 1, TOY_VA);
}

static void good_granule_operand(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	toy_read(t, 1, TOY_VA);
}

static void granule_64k(struct sim_config *config)
{
	config->registers.granule_shift = 16;
}

static void bad_ttl_of_another_level(struct toy *t)
{
	start_at(t, 1, TOY_WRITE);
	write(t, 1, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA) | UINT64_C(7) << 44); /* TTL: level 3 */
	toy_read(t, 1, TOY_VA);
}

static void good_ttl_of_its_level(struct toy *t)
{
	start_at(t, 1, TOY_WRITE);
	write(t, 1, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA) | UINT64_C(6) << 44);
	toy_read(t, 1, TOY_VA);
}

static void good_range_operation(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	/* TG 1 (4 KiB), SCALE 0, NUM 0: two pages. */
	flush(t, SIM_TLBI_RVAE1, UINT64_C(5) << 48 | UINT64_C(1) << 46 | TOY_VA >> 12);
	toy_read(t, 1, TOY_VA);
}

static void bad_range_too_short(struct toy *t)
{
	toy_map(t, TOY_VA + 0x2000, 0, t->frame[1], TOY_WRITE);
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA + 0x2000, 0), 0);
	flush(t, SIM_TLBI_RVAE1, UINT64_C(5) << 48 | UINT64_C(1) << 46 | TOY_VA >> 12);
	toy_read(t, 1, TOY_VA + 0x2000);
}

static void bad_faulty_tlbi_once(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	toy_read(t, 1, TOY_VA);
}

static void good_faulty_tlbi_repeated(struct toy *t)
{
	start(t, TOY_WRITE);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	toy_read(t, 1, TOY_VA);
}

static void faulty_tlbi(struct sim_config *config)
{
	config->faulty.tlbi_needs_repeating = true;
}

static void snooping_device(struct sim_config *config)
{
	config->devices = 1;
	config->devices_snoop = true;
}

static void good_device_hears_broadcast(struct toy *t)
{
	start(t, TOY_WRITE);
	sim_device_attach(t->sim, 0, 0, t->root, 5);
	write(t, 0, 0);
	flush(t, SIM_TLBI_VAE1, operand(5, TOY_VA));
	sim_access(t->sim, sim_config(t->sim)->cpus, TOY_VA, SIM_READ, SIM_SUPERVISOR);
}

#define P(expected, name, configure, what) {#name, what, expected, SIM_ARM64, configure, name}

const struct toy_program toy_programs_arm64[] = {
	P(SIM_MISSING_LOCAL_FLUSH, bad_no_tlbi, NULL, "unmapped, no TLBI"),
	P(SIM_MISSING_REMOTE_FLUSH, bad_no_tlbi_remote, NULL, "TLBI that is not broadcast"),
	P(SIM_OK, good_broadcast, NULL, "DSB, TLBI IS, DSB"),
	P(SIM_MISSING_DSB, bad_tlbi_without_dsb, NULL, "TLBI, and no DSB after it"),
	P(SIM_MISSING_BARRIER, bad_tlbi_before_store_is_visible, NULL, "no DSB before the TLBI"),
	P(SIM_MISSING_BARRIER, bad_invalid_to_valid_without_dsb, NULL,
	  "made valid, used before the store is visible"),
	P(SIM_OK, good_invalid_to_valid, NULL, "faults are not cached: no TLBI to make one valid"),
	P(SIM_MISSING_ISB, bad_missing_isb, strict_isb, "no ISB after the DSB"),
	P(SIM_OK, good_with_isb, strict_isb, "DSB and ISB"),
	P(SIM_BREAK_BEFORE_MAKE, bad_live_output_address, NULL, "output address changed live"),
	P(SIM_BREAK_BEFORE_MAKE, bad_live_output_address_access_flag_set, NULL,
	  "read-only, access flag already set, output address changed live"),
	P(SIM_OK, good_output_address_access_flag_clear, software_access_flag,
	  "with AF clear and no hardware update the entry is in no TLB"),
	P(SIM_BREAK_BEFORE_MAKE, bad_access_flag_clear_but_hardware_sets_it, NULL,
	  "AF clear does not help where hardware sets it"),
	P(SIM_BREAK_BEFORE_MAKE, bad_live_memory_type, NULL, "memory type changed live"),
	P(SIM_BREAK_BEFORE_MAKE, bad_live_made_global, NULL, "made global live"),
	P(SIM_OK, good_live_permission, NULL, "permission widened live"),
	P(SIM_MISSING_REMOTE_FLUSH, bad_permission_narrowed, NULL, "permission narrowed, no TLBI"),
	P(SIM_OK, good_break_before_make, NULL, "invalid, TLBI, DSB, new entry"),
	P(SIM_BREAK_BEFORE_MAKE, bad_break_without_tlbi, NULL, "invalid, then the new entry"),
	P(SIM_BREAK_BEFORE_MAKE, bad_make_before_tlbi_completes, NULL, "no DSB before the make"),
	P(SIM_BREAK_BEFORE_MAKE, bad_live_split_bbm0, NULL, "block to table live, BBM level 0"),
	P(SIM_BREAK_BEFORE_MAKE, bad_live_split_bbm1_without_nt, bbm1,
	  "block to table live, BBM level 1, nT clear"),
	P(SIM_OK, good_live_split_bbm1_with_nt, bbm1, "BBM level 1, nT set"),
	P(SIM_OK, good_live_split_bbm2, bbm2, "BBM level 2"),
	P(SIM_MISSING_LOCAL_FLUSH, bad_bbm2_split_changes_frame, bbm2,
	  "BBM level 2 and a table that says something else"),
	P(SIM_BREAK_BEFORE_MAKE, bad_live_merge_bbm0, NULL, "table to block live"),
	P(SIM_BREAK_BEFORE_MAKE, bad_merge_after_one_address, NULL,
	  "table to block, flushed at one address of the table"),
	P(SIM_OK, good_merge_after_asid_flush, NULL, "flushed as a whole"),
	P(SIM_BREAK_BEFORE_MAKE, bad_contiguous_mark_removed_live, NULL,
	  "contiguous mark removed live"),
	P(SIM_OK, good_contiguous_mark_removed_bbm1, bbm1, "BBM level 1 allows it"),
	P(SIM_MALFORMED_TABLES, bad_contiguous_partial_unmap, NULL,
	  "one entry of a contiguous group unmapped"),
	P(SIM_OK, good_contiguous_unmapped_as_a_whole, NULL, "all of the group unmapped"),
	P(SIM_LAST_LEVEL_ONLY, bad_last_level_for_a_table, NULL,
	  "a table unlinked and only the last level invalidated"),
	P(SIM_TABLE_FREED, bad_last_level_then_table_freed, NULL, "the same, and the table freed"),
	P(SIM_OK, good_all_levels_then_table_freed, NULL, "all levels, then freed"),
	P(SIM_OK, good_last_level_for_a_leaf, NULL, "last level suffices for a leaf"),
	P(SIM_WRONG_ASID, bad_wrong_asid, NULL, "TLBI with another ASID"),
	P(SIM_GLOBAL_NOT_FLUSHED, bad_global_by_asid, NULL, "a global entry flushed by ASID"),
	P(SIM_OK, good_global_by_address, NULL, "a global entry flushed by address"),
	P(SIM_ASID_REUSED, bad_asid_reused, NULL, "an ASID given to another root"),
	P(SIM_OK, good_asid_reused_after_flush, NULL, "flushed before it is given again"),
	P(SIM_WRONG_ADDRESS, bad_granule_scaled_operand, granule_64k,
	  "TLBI operand scaled by the granule"),
	P(SIM_OK, good_granule_operand, granule_64k, "TLBI operand VA[55:12]"),
	P(SIM_WRONG_ADDRESS, bad_ttl_of_another_level, NULL, "TTL hint of another level"),
	P(SIM_OK, good_ttl_of_its_level, NULL, "TTL hint of the leaf's level"),
	P(SIM_OK, good_range_operation, NULL, "TLBI RVAE1IS"),
	P(SIM_WRONG_ADDRESS, bad_range_too_short, NULL, "a range operation that ends too early"),
	P(SIM_HARDWARE_FAULTY, bad_faulty_tlbi_once, faulty_tlbi, "a machine that needs TLBI twice"),
	P(SIM_OK, good_faulty_tlbi_repeated, faulty_tlbi, "TLBI, DSB, TLBI, DSB"),
	P(SIM_OK, good_device_hears_broadcast, snooping_device,
	  "an SMMU that takes part in broadcast"),
	{0},
};
