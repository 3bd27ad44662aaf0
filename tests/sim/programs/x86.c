/* SPDX-License-Identifier: MIT */
/* The rules of x86, one program each. */
#include "toy.h"

/* Both CPUs run on the root; TOY_VA leads to frame 0. */
static void start(struct toy *t, unsigned flags)
{
	toy_map(t, TOY_VA, 0, t->frame[0], flags);
	toy_run(t, 0, t->root, 0);
	toy_run(t, 1, t->root, 0);
}

static void remap(struct toy *t, unsigned flags)
{
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), toy_leaf(t, 0, t->frame[1], flags));
}

static void bad_missing_local_flush(struct toy *t)
{
	start(t, TOY_WRITE);
	remap(t, TOY_WRITE);
	sim_x86_invlpg(t->sim, 1, TOY_VA);
	toy_read(t, 0, TOY_VA);
}

static void bad_missing_remote_flush(struct toy *t)
{
	start(t, TOY_WRITE);
	remap(t, TOY_WRITE);
	sim_x86_invlpg(t->sim, 0, TOY_VA);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void good_flush_everywhere(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_read(t, 1, TOY_VA);
	remap(t, TOY_WRITE);
	toy_flush_page(t, 0, TOY_VA);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void bad_flush_before_write(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_read(t, 0, TOY_VA);
	toy_flush_page(t, 0, TOY_VA);
	remap(t, TOY_WRITE);
	toy_read(t, 0, TOY_VA);
}

static void bad_unmapped_and_still_reached(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), 0);
	toy_store(t, 0, TOY_VA);
}

static void bad_wrong_pcid(struct toy *t)
{
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 5);
	remap(t, TOY_WRITE);
	sim_x86_invpcid(t->sim, 0, 1, 6, 0);
	toy_read(t, 0, TOY_VA);
}

static void good_inactive_pcid_flushed(struct toy *t)
{
	uint64_t other = toy_take(t);

	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 5);
	toy_run(t, 0, other, 6);
	remap(t, TOY_WRITE);
	sim_x86_invpcid(t->sim, 0, 0, 5, TOY_VA);
	toy_run(t, 0, t->root, 5);
	toy_read(t, 0, TOY_VA);
}

static void bad_inactive_pcid_forgotten(struct toy *t)
{
	uint64_t other = toy_take(t);

	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 5);
	toy_run(t, 0, other, 6);
	remap(t, TOY_WRITE);
	sim_x86_invlpg(t->sim, 0, TOY_VA); /* reaches PCID 6 only */
	toy_run(t, 0, t->root, 5);
	toy_read(t, 0, TOY_VA);
}

/* A value that came and went while the CPU was elsewhere was never cached there. */
static void good_changed_while_away(struct toy *t)
{
	uint64_t other = toy_take(t);

	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, other, 6);
	remap(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), toy_leaf(t, 0, t->frame[2], TOY_WRITE));
	toy_run(t, 0, t->root, 5);
	toy_read(t, 0, TOY_VA);
}

static void bad_pcid_reused(struct toy *t)
{
	uint64_t other = toy_take(t);

	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_write(t, 0, toy_slot_under(t, other, TOY_VA, 0),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_run(t, 0, t->root, 5);
	toy_run(t, 0, other, 5);
	toy_read(t, 0, TOY_VA);
}

static void good_pcid_reused_after_flush(struct toy *t)
{
	uint64_t other = toy_take(t);

	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_write(t, 0, toy_slot_under(t, other, TOY_VA, 0),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_run(t, 0, t->root, 5);
	sim_x86_write_cr3(t->sim, 0, other | 5);
	toy_read(t, 0, TOY_VA);
}

static void bad_cr3_noflush(struct toy *t)
{
	start(t, TOY_WRITE);
	remap(t, TOY_WRITE);
	sim_x86_write_cr3(t->sim, 0, t->root | SIM_X86_CR3_NOFLUSH);
	toy_read(t, 0, TOY_VA);
}

static void good_cr3_reload(struct toy *t)
{
	start(t, TOY_WRITE);
	remap(t, TOY_WRITE);
	sim_x86_write_cr3(t->sim, 0, t->root);
	toy_read(t, 0, TOY_VA);
}

static void bad_global_not_flushed(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	remap(t, TOY_WRITE | TOY_GLOBAL);
	sim_x86_write_cr3(t->sim, 0, t->root);
	toy_read(t, 0, TOY_VA);
}

static void good_global_by_invlpg(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	remap(t, TOY_WRITE | TOY_GLOBAL);
	toy_flush_page(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void good_global_by_pge(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	remap(t, TOY_WRITE | TOY_GLOBAL);
	toy_flush_all(t, 0);
	toy_read(t, 1, TOY_VA);
}

static void bad_global_made_private(struct toy *t)
{
	uint64_t other = toy_take(t);

	/* Cached as global under one root, it serves the other root too. */
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE | TOY_GLOBAL);
	toy_write(t, 0, toy_slot_under(t, other, TOY_VA, 0),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_run(t, 0, t->root, 0);
	sim_x86_write_cr3(t->sim, 0, other);
	toy_read(t, 0, TOY_VA);
}

static void bad_faulty_invlpg_keeps_globals(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	remap(t, TOY_WRITE | TOY_GLOBAL);
	toy_flush_page(t, 0, TOY_VA);
	toy_read(t, 0, TOY_VA);
}

static void good_faulty_invlpg_worked_around(struct toy *t)
{
	start(t, TOY_WRITE | TOY_GLOBAL);
	remap(t, TOY_WRITE | TOY_GLOBAL);
	toy_flush_all(t, 0);
	toy_read(t, 0, TOY_VA);
}

static void faulty_invlpg(struct sim_config *config)
{
	config->faulty.invlpg_keeps_globals = true;
}

static void bad_permission_narrowed(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), toy_leaf(t, 0, t->frame[0], 0));
	toy_store(t, 0, TOY_VA);
}

static void good_permission_widened(struct toy *t)
{
	start(t, 0);
	toy_read(t, 0, TOY_VA);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), toy_leaf(t, 0, t->frame[0], TOY_WRITE));
	toy_store(t, 0, TOY_VA); /* at worst a spurious fault, which is retried */
}

static void bad_widened_and_must_not_fault(struct toy *t)
{
	good_permission_widened(t);
}

static void no_spurious(struct sim_config *config)
{
	config->policy.no_spurious_faults = true;
}

static void good_invalid_to_valid(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_read(t, 1, TOY_VA2);
	toy_map(t, TOY_VA2, 0, t->frame[1], TOY_WRITE);
	toy_store(t, 0, TOY_VA2);
	toy_store(t, 1, TOY_VA2);
}

/* A 2 MiB leaf becomes a table; fragments of it are cached page by page. */
static void split(struct toy *t, uint64_t change)
{
	uint64_t table = toy_take(t);

	toy_map(t, TOY_VA, 1, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_run(t, 1, t->root, 0);
	for (unsigned i = 0; i < 512; i++)
		toy_write(t, 0, table + 8 * i,
			  toy_leaf(t, 0, t->frame[0] + 4096 * i + (i == 7 ? change : 0), TOY_WRITE));
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), toy_table(t, table));
}

static void bad_split_one_invlpg(struct toy *t)
{
	split(t, 0x100000);
	/* The large page may be cached in pieces; only the piece at this address goes. */
	toy_flush_page(t, 0, TOY_VA);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 0, TOY_VA + 0x7000);
}

static void good_split_flush_all(struct toy *t)
{
	split(t, 0);
	toy_flush_all(t, 0);
	toy_write(t, 0, toy_slot(t, TOY_VA + 0x7000, 0), 0);
	toy_flush_page(t, 0, TOY_VA + 0x7000);
	toy_read(t, 0, TOY_VA + 0x7000);
	toy_read(t, 1, TOY_VA + 0x6000);
}

static void bad_split_changes_frame(struct toy *t)
{
	split(t, 0x100000);
	toy_read(t, 0, TOY_VA + 0x7000);
}

static void good_large_leaf_one_invlpg(struct toy *t)
{
	toy_map(t, TOY_VA, 1, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	/* The address is mapped by a large page when INVLPG runs: all of it goes. */
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), toy_leaf(t, 1, t->frame[1], TOY_WRITE));
	sim_x86_invlpg(t->sim, 0, TOY_VA + 0x5000);
	toy_read(t, 0, TOY_VA + 0x123456);
}

static void bad_walk_cache_after_table_replaced(struct toy *t)
{
	uint64_t table = toy_take(t);

	start(t, TOY_WRITE);
	toy_write(t, 0, table + 8 * (TOY_VA >> 12 & 511), toy_leaf(t, 0, t->frame[0], TOY_WRITE));
	toy_write(t, 0, table + 8 * (TOY_VA2 >> 12 & 511),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), toy_table(t, table));
	/* The old table says nothing at TOY_VA2, the new one does: a walk through the cached
	 * pointer faults. */
	toy_read(t, 0, TOY_VA2);
}

static void good_walk_cache_flushed(struct toy *t)
{
	uint64_t table = toy_take(t);

	start(t, TOY_WRITE);
	toy_write(t, 0, table + 8 * (TOY_VA2 >> 12 & 511),
		  toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), toy_table(t, table));
	/* INVLPG of any address drops all paging-structure caches of the PCID, but the leaf at
	 * TOY_VA goes only with its own. */
	toy_flush_page(t, 0, TOY_VA);
	toy_read(t, 0, TOY_VA2);
	toy_read(t, 1, TOY_VA);
}

static void bad_walk_cache_of_another_pcid(struct toy *t)
{
	uint64_t other = toy_take(t), table = toy_take(t);

	/* A kernel table that both roots share is replaced, and only one PCID is told. */
	toy_map(t, TOY_KERNEL, 0, t->frame[0], TOY_WRITE | TOY_GLOBAL);
	toy_write(t, 0, toy_slot_under(t, other, TOY_KERNEL, 3),
		  sim_entry_read(t->sim, 0, toy_slot(t, TOY_KERNEL, 3), 8));
	toy_run(t, 0, other, 6);
	toy_run(t, 0, t->root, 5);
	toy_write(t, 0, table, toy_leaf(t, 0, t->frame[1], TOY_WRITE | TOY_GLOBAL));
	toy_write(t, 0, toy_slot(t, TOY_KERNEL, 1), toy_table(t, table));
	sim_x86_invlpg(t->sim, 0, TOY_KERNEL);
	toy_read(t, 0, TOY_KERNEL);
	toy_run(t, 0, other, 6);
	toy_read(t, 0, TOY_KERNEL);
}

static void bad_memory_type_changed(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), toy_leaf(t, 0, t->frame[0], TOY_WRITE | TOY_DEVICE));
	toy_read(t, 0, TOY_VA);
}

static void bad_dirty_lost(struct toy *t)
{
	uint64_t slot, entry;

	start(t, TOY_WRITE | TOY_CLEAN);
	slot = toy_slot(t, TOY_VA, 0);
	entry = sim_entry_read(t->sim, 0, slot, 8);
	toy_store(t, 1, TOY_VA); /* hardware sets D */
	toy_write(t, 0, slot, entry & ~UINT64_C(2));
}

static void good_dirty_compare_and_swap(struct toy *t)
{
	uint64_t slot, entry, read_only;

	start(t, TOY_WRITE | TOY_CLEAN);
	slot = toy_slot(t, TOY_VA, 0);
	entry = sim_entry_read(t->sim, 0, slot, 8);
	toy_store(t, 1, TOY_VA);
	do
		read_only = entry & ~UINT64_C(2);
	while (!sim_entry_swap(t->sim, 0, slot, &entry, read_only, 8));
	toy_flush_page(t, 0, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void bad_dirty_window(struct toy *t)
{
	uint64_t slot;

	start(t, TOY_WRITE | TOY_CLEAN);
	slot = toy_slot(t, TOY_VA, 0);
	toy_write(t, 0, slot, sim_entry_read(t->sim, 0, slot, 8) & ~UINT64_C(2));
}

static void dirty_window(struct sim_config *config)
{
	config->policy.judge_dirty_window = true;
}

static void bad_dirty_cleared_without_flush(struct toy *t)
{
	uint64_t slot, entry;

	start(t, TOY_WRITE);
	toy_store(t, 0, TOY_VA);
	slot = toy_slot(t, TOY_VA, 0);
	entry = sim_entry_read(t->sim, 0, slot, 8);
	sim_entry_swap(t->sim, 0, slot, &entry, entry & ~UINT64_C(0x40), 8);
	toy_store(t, 1, TOY_VA); /* may go unrecorded: the cached entry says dirty already */
}

static void good_dirty_cleared_and_flushed(struct toy *t)
{
	uint64_t slot, entry;

	start(t, TOY_WRITE);
	toy_store(t, 0, TOY_VA);
	slot = toy_slot(t, TOY_VA, 0);
	entry = sim_entry_read(t->sim, 0, slot, 8);
	sim_entry_swap(t->sim, 0, slot, &entry, entry & ~UINT64_C(0x40), 8);
	toy_flush_page(t, 0, TOY_VA);
	toy_store(t, 1, TOY_VA);
}

static void bad_pae_root_not_reloaded(struct toy *t)
{
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_map(t, UINT64_C(0xc0000000), 0, t->frame[1], TOY_WRITE);
	toy_read(t, 0, UINT64_C(0xc0000000));
}

static void good_pae_root_reloaded(struct toy *t)
{
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_map(t, UINT64_C(0xc0000000), 0, t->frame[1], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_read(t, 0, UINT64_C(0xc0000000));
}

/* The table's pointer went first: what hardware noted in it is given up, and its first entry may
 * become a link of a list. */
static void good_dirty_in_an_unlinked_table(struct toy *t)
{
	uint64_t slot;

	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE | TOY_CLEAN);
	toy_run(t, 0, t->root, 0);
	slot = toy_slot(t, TOY_VA, 0);
	toy_store(t, 0, TOY_VA);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	toy_write(t, 0, slot, UINT64_C(0x5000));
	toy_flush_page(t, 0, TOY_VA);
}

/* A PDPTE is gone from memory; INVLPG leaves the register that has it. */
static void bad_pae_root_entry_removed(struct toy *t)
{
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_write(t, 0, toy_slot(t, TOY_VA, 2), 0);
	sim_x86_invlpg(t->sim, 0, TOY_VA);
	toy_read(t, 0, TOY_VA);
}

static void good_pae_pge_toggle_loads_root(struct toy *t)
{
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_map(t, UINT64_C(0xc0000000), 0, t->frame[1], TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 2), 0);
	sim_x86_set_pge(t->sim, 0, false);
	sim_x86_set_pge(t->sim, 0, true);
	toy_read(t, 0, UINT64_C(0xc0000000));
	toy_read(t, 0, TOY_VA);
}

static void bad_two_level_remote(struct toy *t)
{
	bad_missing_remote_flush(t);
}

static void good_two_level_large(struct toy *t)
{
	toy_map(t, TOY_VA, 1, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	sim_x86_invlpg(t->sim, 0, TOY_VA);
	toy_read(t, 0, TOY_VA);
}

#define P(arch, expected, name, configure, what)                                                   \
	{#name, what, expected, arch, configure, name}

const struct toy_program toy_programs_x86[] = {
	P(SIM_X86_64, SIM_MISSING_LOCAL_FLUSH, bad_missing_local_flush, NULL,
	  "a remap without INVLPG on the CPU that did it"),
	P(SIM_X86_64, SIM_MISSING_REMOTE_FLUSH, bad_missing_remote_flush, NULL,
	  "a remap flushed on the local CPU only"),
	P(SIM_X86_64, SIM_OK, good_flush_everywhere, NULL, "a remap flushed on all CPUs"),
	P(SIM_X86_64, SIM_FLUSH_BEFORE_WRITE, bad_flush_before_write, NULL,
	  "INVLPG first, then the store"),
	P(SIM_X86_64, SIM_MISSING_LOCAL_FLUSH, bad_unmapped_and_still_reached, NULL,
	  "an unmap without flush, then a store"),
	P(SIM_X86_64, SIM_WRONG_ASID, bad_wrong_pcid, NULL, "INVPCID of another PCID"),
	P(SIM_X86_64, SIM_OK, good_inactive_pcid_flushed, NULL,
	  "a PCID that does not run is flushed by INVPCID"),
	P(SIM_X86_64, SIM_WRONG_ASID, bad_inactive_pcid_forgotten, NULL,
	  "INVLPG reaches the current PCID only"),
	P(SIM_X86_64, SIM_OK, good_changed_while_away, NULL,
	  "what never was current while the CPU ran there is in no cache"),
	P(SIM_X86_64, SIM_ASID_REUSED, bad_pcid_reused, NULL, "a PCID given to another root"),
	P(SIM_X86_64, SIM_OK, good_pcid_reused_after_flush, NULL,
	  "MOV to CR3 without the no-flush bit clears the PCID first"),
	P(SIM_X86_64, SIM_MISSING_LOCAL_FLUSH, bad_cr3_noflush, NULL,
	  "MOV to CR3 with the no-flush bit does not flush"),
	P(SIM_X86_64, SIM_OK, good_cr3_reload, NULL, "MOV to CR3 flushes what is not global"),
	P(SIM_X86_64, SIM_GLOBAL_NOT_FLUSHED, bad_global_not_flushed, NULL,
	  "MOV to CR3 leaves global entries"),
	P(SIM_X86_64, SIM_OK, good_global_by_invlpg, NULL, "INVLPG removes global entries"),
	P(SIM_X86_64, SIM_OK, good_global_by_pge, NULL, "toggling CR4.PGE removes all"),
	P(SIM_X86_64, SIM_GLOBAL_NOT_FLUSHED, bad_global_made_private, NULL,
	  "a global translation of one root seen under another"),
	P(SIM_X86_64, SIM_HARDWARE_FAULTY, bad_faulty_invlpg_keeps_globals, faulty_invlpg,
	  "INVLPG that leaves global entries under PCID"),
	P(SIM_X86_64, SIM_OK, good_faulty_invlpg_worked_around, faulty_invlpg,
	  "the same machine, flushed by CR4.PGE"),
	P(SIM_X86_64, SIM_MISSING_LOCAL_FLUSH, bad_permission_narrowed, NULL,
	  "made read-only without flush"),
	P(SIM_X86_64, SIM_OK, good_permission_widened, NULL,
	  "made writable without flush: a spurious fault at worst"),
	P(SIM_X86_64, SIM_SPURIOUS_FAULT, bad_widened_and_must_not_fault, no_spurious,
	  "the same where software cannot take a fault"),
	P(SIM_X86_64, SIM_OK, good_invalid_to_valid, NULL, "x86 does not cache absent entries"),
	P(SIM_X86_64, SIM_WRONG_ADDRESS, bad_split_one_invlpg, NULL,
	  "a split flushed at one address leaves fragments of the large page"),
	P(SIM_X86_64, SIM_OK, good_split_flush_all, NULL, "a split flushed as a whole"),
	P(SIM_X86_64, SIM_MISSING_LOCAL_FLUSH, bad_split_changes_frame, NULL,
	  "a split whose table says something else, not flushed"),
	P(SIM_X86_64, SIM_OK, good_large_leaf_one_invlpg, NULL,
	  "INVLPG anywhere in a large page removes all of it"),
	P(SIM_X86_64, SIM_STALE_WALK_CACHE, bad_walk_cache_after_table_replaced, NULL,
	  "a table replaced: the cached pointer leads to the old one"),
	P(SIM_X86_64, SIM_OK, good_walk_cache_flushed, NULL,
	  "INVLPG drops the paging-structure caches"),
	P(SIM_X86_64, SIM_WRONG_ASID, bad_walk_cache_of_another_pcid, NULL,
	  "INVLPG leaves the paging-structure caches of other PCIDs"),
	P(SIM_X86_64, SIM_MISSING_LOCAL_FLUSH, bad_memory_type_changed, NULL,
	  "a memory type changed without flush"),
	P(SIM_X86_64, SIM_DIRTY_LOST, bad_dirty_lost, NULL,
	  "read, changed, stored back: hardware's dirty bit is gone"),
	P(SIM_X86_64, SIM_OK, good_dirty_compare_and_swap, NULL, "the same by compare-and-swap"),
	P(SIM_X86_64, SIM_DIRTY_LOST, bad_dirty_window, dirty_window,
	  "the same where hardware only might have set it"),
	P(SIM_X86_64, SIM_DIRTY_UNFLUSHED, bad_dirty_cleared_without_flush, NULL,
	  "dirty cleared, not flushed: the next store is not recorded"),
	P(SIM_X86_64, SIM_OK, good_dirty_cleared_and_flushed, NULL, "dirty cleared and flushed"),
	P(SIM_X86_PAE, SIM_ROOT_NOT_RELOADED, bad_pae_root_not_reloaded, NULL,
	  "a PDPTE of PAE is read from memory at MOV to CR3 only"),
	P(SIM_X86_64, SIM_OK, good_dirty_in_an_unlinked_table, NULL,
	  "the table of an entry that hardware made dirty was unlinked before the entry was written"),
	P(SIM_X86_PAE, SIM_OK, good_pae_root_reloaded, NULL, "CR3 loaded again"),
	P(SIM_X86_PAE, SIM_ROOT_NOT_RELOADED, bad_pae_root_entry_removed, NULL,
	  "INVLPG after a PDPTE was removed: the register keeps it"),
	P(SIM_X86_PAE, SIM_OK, good_pae_pge_toggle_loads_root, NULL,
	  "a toggle of CR4.PGE loads the PDPTEs too"),
	P(SIM_X86_TWO_LEVEL, SIM_MISSING_REMOTE_FLUSH, bad_two_level_remote, NULL,
	  "two-level tables, remote CPU not told"),
	P(SIM_X86_TWO_LEVEL, SIM_OK, good_two_level_large, NULL, "a 4 MiB leaf unmapped and flushed"),
	{0},
};
