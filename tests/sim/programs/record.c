/* SPDX-License-Identifier: MIT */
/*
 * The field's own record: bugs that were found in real kernels, each as the shortest program that
 * has it. Facts from their commit messages and advisories; the code is ours.
 */
#include "toy.h"

static void start(struct toy *t, unsigned flags)
{
	toy_map(t, TOY_VA, 0, t->frame[0], flags);
	toy_run(t, 0, t->root, 0);
	toy_run(t, 1, t->root, 0);
}

/* ---- table pages and the paging-structure caches ----------------------------------------- */

static uint64_t leaf_table(struct toy *t, uint64_t va)
{
	return toy_slot(t, va, 0) & ~UINT64_C(4095);
}

/* Linux 706a1ea65e: leaves flushed one by one, the table freed while its pointer is cached. */
static void bad_706a1ea65e_table_freed_before_flush(struct toy *t)
{
	uint64_t table;

	start(t, TOY_WRITE);
	table = leaf_table(t, TOY_VA);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), 0);
	toy_flush_page(t, 0, TOY_VA);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	sim_page_free(t->sim, 0, table, 4096);
}

static void good_706a1ea65e_table_freed_after_flush(struct toy *t)
{
	uint64_t table;

	start(t, TOY_WRITE);
	table = leaf_table(t, TOY_VA);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), 0);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	toy_flush_page(t, 0, TOY_VA);
	sim_page_free(t->sim, 0, table, 4096);
	toy_read(t, 1, TOY_VA);
}

static void bad_table_freed_local_flush_only(struct toy *t)
{
	uint64_t table;

	start(t, TOY_WRITE);
	table = leaf_table(t, TOY_VA);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	sim_x86_invlpg(t->sim, 0, TOY_VA);
	sim_page_free(t->sim, 0, table, 4096);
}

static void bad_table_freed_while_linked(struct toy *t)
{
	start(t, TOY_WRITE);
	sim_page_free(t->sim, 0, leaf_table(t, TOY_VA), 4096);
}

static void bad_root_freed_while_running(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_run(t, 0, toy_take(t), 0);
	sim_page_free(t->sim, 0, t->root, 4096);
}

/* ---- frames ------------------------------------------------------------------------------- */

static void bad_frame_freed_before_flush(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), 0);
	sim_frame_reuse(t->sim, 0, t->frame[0], 4096);
	toy_flush_page(t, 0, TOY_VA);
}

static void good_frame_freed_after_flush(struct toy *t)
{
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), 0);
	toy_flush_page(t, 0, TOY_VA);
	sim_frame_reuse(t->sim, 0, t->frame[0], 4096);
}

static void bad_frame_of_large_leaf_freed(struct toy *t)
{
	toy_map(t, TOY_VA, 1, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	sim_frame_reuse(t->sim, 0, t->frame[0] + 0x5000, 4096);
}

/*
 * CVE-2018-18281: CPU 0 moves a mapping to another address and drops the lock before it flushed.
 * CPU 1 now truncates the file: it finds the page at its new address, unmaps and flushes that,
 * and frees the frame, which CPU 0 still reaches at the old address.
 */
static void bad_cve_2018_18281_moved_mapping(struct toy *t)
{
	uint64_t from = toy_slot(t, TOY_VA, 0), to = toy_slot(t, TOY_VA2, 0);
	uint64_t entry;

	start(t, TOY_WRITE);
	toy_read(t, 0, TOY_VA);
	entry = sim_entry_read(t->sim, 0, from, 8);
	toy_write(t, 0, from, 0);
	toy_write(t, 0, to, entry);
	sim_trace_note(t->sim, 0, "drops the lock");
	toy_write(t, 1, to, 0);
	toy_flush_page(t, 1, TOY_VA2);
	sim_frame_reuse(t->sim, 1, t->frame[0], 4096);
}

static void good_cve_2018_18281_flushed_under_lock(struct toy *t)
{
	uint64_t from = toy_slot(t, TOY_VA, 0), to = toy_slot(t, TOY_VA2, 0);
	uint64_t entry;

	start(t, TOY_WRITE);
	entry = sim_entry_read(t->sim, 0, from, 8);
	toy_write(t, 0, from, 0);
	toy_write(t, 0, to, entry);
	toy_flush_page(t, 0, TOY_VA);
	sim_trace_note(t->sim, 0, "drops the lock");
	toy_write(t, 1, to, 0);
	toy_flush_page(t, 1, TOY_VA2);
	sim_frame_reuse(t->sim, 1, t->frame[0], 4096);
}

/*
 * CVE-2021-4002: two processes share a table of a huge mapping. One unhooks it, which takes
 * nothing from the table itself, and does not flush; the other unmaps, flushes itself and frees.
 */
static void shared_table(struct toy *t, bool flush)
{
	uint64_t other = toy_take(t), shared, entry;

	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	entry = sim_entry_read(t->sim, 0, toy_slot(t, TOY_VA, 1), 8);
	shared = toy_slot(t, TOY_VA, 0);
	toy_write(t, 0, toy_slot_under(t, other, TOY_VA, 1), entry);
	toy_run(t, 0, t->root, 0);
	toy_run(t, 1, other, 0);
	toy_write(t, 1, toy_slot_under(t, other, TOY_VA, 1), 0);
	if (flush)
		sim_x86_invlpg(t->sim, 1, TOY_VA);
	toy_write(t, 0, shared, 0);
	sim_x86_invlpg(t->sim, 0, TOY_VA); /* CPU 1 does not run this address space */
	sim_frame_reuse(t->sim, 0, t->frame[0], 4096);
}

static void bad_cve_2021_4002_shared_table_unhooked(struct toy *t)
{
	shared_table(t, false);
}

static void good_cve_2021_4002_flushed_at_unhook(struct toy *t)
{
	shared_table(t, true);
}

/* ---- who is told -------------------------------------------------------------------------- */

/* CPU 1 takes itself out of the set of CPUs to tell, and only then leaves the root. */
static void switch_window(struct toy *t, bool leave_first)
{
	uint64_t other = toy_take(t);
	bool told = true;

	start(t, TOY_WRITE);
	if (leave_first)
		toy_run(t, 1, other, 0);
	told = false;
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	sim_x86_invlpg(t->sim, 0, TOY_VA);
	if (told)
		sim_x86_invlpg(t->sim, 1, TOY_VA);
	if (!leave_first)
		toy_read(t, 1, TOY_VA); /* still on its way out */
	toy_run(t, 1, other, 0);
	toy_run(t, 1, t->root, 0);
	toy_read(t, 1, TOY_VA);
}

static void bad_flush_skipped_in_switch_window(struct toy *t)
{
	switch_window(t, false);
}

static void good_left_before_being_untold(struct toy *t)
{
	switch_window(t, true);
}

/*
 * Linux 38cf307c1f20: a kernel thread borrows an address space. The flush IPI arrives while the
 * thread says it borrows it and the registers say something else; the handler takes the CPU out
 * of the set, and then the thread runs on the space without being in it.
 */
static void borrowed_space(struct toy *t, bool interrupts_off)
{
	uint64_t slot, idle = toy_take(t);
	bool in_set = true, borrows = false;

	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	slot = toy_slot(t, TOY_VA, 0);
	toy_run(t, 0, t->root, 0);
	toy_run(t, 1, idle, 0);
	if (interrupts_off) {
		toy_run(t, 1, t->root, 0);
		borrows = true;
	} else {
		borrows = true; /* said before it is so */
	}
	/* The first flush: the handler on CPU 1 finds that no user task runs. */
	toy_write(t, 0, slot, toy_leaf(t, 0, t->frame[1], TOY_WRITE));
	sim_x86_invlpg(t->sim, 0, TOY_VA);
	if (borrows && interrupts_off)
		sim_x86_invlpg(t->sim, 1, TOY_VA);
	else
		in_set = false;
	if (!interrupts_off)
		toy_run(t, 1, t->root, 0);
	/* The second flush tells only those in the set. */
	toy_write(t, 0, slot, toy_leaf(t, 0, t->frame[2], TOY_WRITE));
	sim_x86_invlpg(t->sim, 0, TOY_VA);
	if (in_set)
		sim_x86_invlpg(t->sim, 1, TOY_VA);
	toy_read(t, 1, TOY_VA);
}

static void bad_38cf307c1f20_borrowed_space(struct toy *t)
{
	borrowed_space(t, false);
}

static void good_38cf307c1f20_interrupts_off(struct toy *t)
{
	borrowed_space(t, true);
}

static void bad_device_not_told(struct toy *t)
{
	start(t, TOY_WRITE);
	sim_device_attach(t->sim, 0, 0, t->root, 0);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), 0);
	toy_flush_page(t, 0, TOY_VA);
	sim_access(t->sim, sim_config(t->sim)->cpus, TOY_VA, SIM_WRITE, SIM_SUPERVISOR);
}

/* A device shares the kernel's tables: a kernel table is freed after all CPUs were told. */
static void bad_device_caches_kernel_tables(struct toy *t)
{
	uint64_t table;

	start(t, TOY_WRITE);
	sim_device_attach(t->sim, 0, 0, t->root, 0);
	table = leaf_table(t, TOY_VA);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	toy_flush_page(t, 0, TOY_VA);
	sim_page_free(t->sim, 0, table, 4096);
}

static void good_device_told(struct toy *t)
{
	uint64_t table;

	start(t, TOY_WRITE);
	sim_device_attach(t->sim, 0, 0, t->root, 0);
	table = leaf_table(t, TOY_VA);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	toy_flush_page(t, 0, TOY_VA);
	sim_device_invalidate_page(t->sim, 0, TOY_VA);
	sim_page_free(t->sim, 0, table, 4096);
	sim_access(t->sim, sim_config(t->sim)->cpus, TOY_VA, SIM_WRITE, SIM_SUPERVISOR);
}

static void with_device(struct sim_config *config)
{
	config->devices = 1;
}

/* ---- aliases and roots --------------------------------------------------------------------- */

#define ALIAS (TOY_KERNEL + UINT64_C(0x20000000))

static void bad_direct_map_alias_type(struct toy *t)
{
	toy_map(t, ALIAS, 0, t->frame[0], TOY_WRITE | TOY_GLOBAL);
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE | TOY_DEVICE);
	toy_run(t, 0, t->root, 0);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 0, ALIAS);
}

static void good_direct_map_alias_changed(struct toy *t)
{
	toy_map(t, ALIAS, 0, t->frame[0], TOY_WRITE | TOY_GLOBAL);
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE);
	toy_run(t, 0, t->root, 0);
	toy_read(t, 0, TOY_VA);
	toy_map(t, ALIAS, 0, t->frame[0], TOY_WRITE | TOY_GLOBAL | TOY_DEVICE);
	toy_map(t, TOY_VA, 0, t->frame[0], TOY_WRITE | TOY_DEVICE);
	toy_flush_page(t, 0, ALIAS);
	toy_flush_page(t, 0, TOY_VA);
	toy_read(t, 0, TOY_VA);
	toy_read(t, 0, ALIAS);
}

/* Text made read-only at its own address, and writable through the direct map. */
static void bad_direct_map_alias_writable(struct toy *t)
{
	toy_map(t, ALIAS, 0, t->frame[0], TOY_WRITE | TOY_GLOBAL);
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), toy_leaf(t, 0, t->frame[0], 0));
	toy_flush_page(t, 0, TOY_VA);
	sim_frame_forbid(t->sim, t->frame[0], 4096, SIM_WRITE);
	toy_store(t, 0, TOY_VA); /* faults, as it should */
	toy_store(t, 0, ALIAS);
}

static void good_direct_map_alias_read_only(struct toy *t)
{
	toy_map(t, ALIAS, 0, t->frame[0], TOY_WRITE | TOY_GLOBAL);
	start(t, TOY_WRITE);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), toy_leaf(t, 0, t->frame[0], 0));
	toy_write(t, 0, toy_slot(t, ALIAS, 0), toy_leaf(t, 0, t->frame[0], TOY_GLOBAL));
	toy_flush_page(t, 0, TOY_VA);
	toy_flush_page(t, 0, ALIAS);
	sim_frame_forbid(t->sim, t->frame[0], 4096, SIM_WRITE);
	toy_store(t, 0, ALIAS);
	toy_read(t, 0, ALIAS);
}

/* CVE-2025-39845: a new top-level entry of the kernel half in one root only. */
static void new_root_entry(struct toy *t, bool everywhere)
{
	uint64_t other = toy_take(t);

	sim_share_range(t->sim, TOY_KERNEL, UINT64_MAX);
	toy_run(t, 0, t->root, 0);
	toy_run(t, 1, other, 0);
	toy_map(t, TOY_KERNEL, 0, t->frame[0], TOY_WRITE);
	if (everywhere)
		toy_write(t, 0, toy_slot_under(t, other, TOY_KERNEL, 3),
			  sim_entry_read(t->sim, 0, toy_slot(t, TOY_KERNEL, 3), 8));
	toy_read(t, 0, TOY_KERNEL);
	toy_read(t, 1, TOY_KERNEL);
}

static void bad_cve_2025_39845_root_entry_missing(struct toy *t)
{
	new_root_entry(t, false);
}

static void good_cve_2025_39845_in_every_root(struct toy *t)
{
	new_root_entry(t, true);
}

/* ---- software walkers ---------------------------------------------------------------------- */

/* CVE-2026-74672: a walker of tables keeps a pointer into a table that is removed meanwhile. */
static void bad_cve_2026_74672_walk_of_freed_table(struct toy *t)
{
	uint64_t table, slot;

	start(t, TOY_WRITE);
	slot = toy_slot(t, TOY_VA, 0); /* the walker on CPU 1 has come this far */
	table = slot & ~UINT64_C(4095);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	toy_flush_page(t, 0, TOY_VA);
	sim_page_free(t->sim, 0, table, 4096);
	sim_entry_read(t->sim, 1, slot, 8);
}

static void reader(struct toy *t, bool wait)
{
	uint64_t table, slot;

	start(t, TOY_WRITE);
	slot = toy_slot(t, TOY_VA, 0);
	table = slot & ~UINT64_C(4095);
	sim_reader_enter(t->sim, 1);
	sim_entry_read(t->sim, 1, toy_slot(t, TOY_VA, 1), 8);
	toy_write(t, 0, toy_slot(t, TOY_VA, 1), 0);
	toy_flush_page(t, 0, TOY_VA);
	if (wait) {
		sim_entry_read(t->sim, 1, slot, 8);
		sim_reader_exit(t->sim, 1);
		/* A section that begins now cannot find the table. */
		sim_reader_enter(t->sim, 1);
	}
	sim_page_free(t->sim, 0, table, 4096);
	sim_reader_exit(t->sim, 1);
}

static void bad_freed_under_reader(struct toy *t)
{
	reader(t, false);
}

static void good_freed_after_readers(struct toy *t)
{
	reader(t, true);
}

static void bad_table_freed_twice(struct toy *t)
{
	uint64_t page = toy_take(t);

	sim_page_free(t->sim, 0, page, 4096);
	sim_page_free(t->sim, 0, page, 4096);
}

/* ---- kmap ---------------------------------------------------------------------------------- */

/* A kunmap that was handed an address inside the page, and rounds it the wrong way. */
static void kunmap(struct toy *t, uint64_t flushed)
{
	start(t, TOY_WRITE);
	toy_store(t, 0, TOY_VA + 0xe80);
	toy_write(t, 0, toy_slot(t, TOY_VA, 0), 0);
	toy_flush_page(t, 0, flushed);
	toy_map(t, TOY_VA, 0, t->frame[1], TOY_WRITE);
	toy_store(t, 0, TOY_VA + 0x10);
}

static void bad_kunmap_unrounded_address(struct toy *t)
{
	kunmap(t, (TOY_VA + 0xe80 + 0xfff) & ~UINT64_C(0xfff));
}

static void good_kunmap_rounded_address(struct toy *t)
{
	kunmap(t, TOY_VA);
}

static void good_kunmap_address_inside_the_page(struct toy *t)
{
	kunmap(t, TOY_VA + 0xe80);
}

#define P(expected, name, configure, what)                                                         \
	{#name, what, expected, SIM_X86_64, configure, name}

const struct toy_program toy_programs_x86_record[] = {
	P(SIM_TABLE_FREED, bad_706a1ea65e_table_freed_before_flush, NULL,
	  "a table freed before the paging-structure caches were shot down"),
	P(SIM_OK, good_706a1ea65e_table_freed_after_flush, NULL, "freed after"),
	P(SIM_TABLE_FREED, bad_table_freed_local_flush_only, NULL,
	  "a table freed after a local flush"),
	P(SIM_TABLE_LINKED, bad_table_freed_while_linked, NULL, "a table freed and still linked"),
	P(SIM_TABLE_LINKED, bad_root_freed_while_running, NULL, "a root freed under another CPU"),
	P(SIM_FRAME_REUSED, bad_frame_freed_before_flush, NULL, "a frame freed before the flush"),
	P(SIM_OK, good_frame_freed_after_flush, NULL, "freed after"),
	P(SIM_FRAME_REUSED, bad_frame_of_large_leaf_freed, NULL,
	  "a frame in the middle of a large leaf freed before the flush"),
	P(SIM_FRAME_REUSED, bad_cve_2018_18281_moved_mapping, NULL,
	  "a mapping moved and the lock dropped before the flush"),
	P(SIM_OK, good_cve_2018_18281_flushed_under_lock, NULL, "flushed under the lock"),
	P(SIM_FRAME_REUSED, bad_cve_2021_4002_shared_table_unhooked, NULL,
	  "a shared table unhooked without flush"),
	P(SIM_OK, good_cve_2021_4002_flushed_at_unhook, NULL, "flushed at the unhooking"),
	P(SIM_MISSING_REMOTE_FLUSH, bad_flush_skipped_in_switch_window, NULL,
	  "a CPU not told in the window of its context switch"),
	P(SIM_OK, good_left_before_being_untold, NULL, "told until it has left"),
	P(SIM_MISSING_REMOTE_FLUSH, bad_38cf307c1f20_borrowed_space, NULL,
	  "a flush IPI racing a borrowed address space"),
	P(SIM_OK, good_38cf307c1f20_interrupts_off, NULL, "borrowed with interrupts off"),
	P(SIM_DEVICE_NOT_TOLD, bad_device_not_told, with_device,
	  "a device still translates what CPUs were told to drop"),
	P(SIM_TABLE_FREED, bad_device_caches_kernel_tables, with_device,
	  "a kernel table freed while a device caches the pointer to it"),
	P(SIM_OK, good_device_told, with_device, "the device is told"),
	P(SIM_TYPE_ALIAS, bad_direct_map_alias_type, NULL,
	  "memory type changed, direct-map alias forgotten"),
	P(SIM_OK, good_direct_map_alias_changed, NULL, "alias changed too"),
	P(SIM_FORBIDDEN_FRAME, bad_direct_map_alias_writable, NULL,
	  "write-protected, direct-map alias forgotten"),
	P(SIM_OK, good_direct_map_alias_read_only, NULL, "alias protected too"),
	P(SIM_ROOT_NOT_PROPAGATED, bad_cve_2025_39845_root_entry_missing, NULL,
	  "a new top-level entry in one root only"),
	P(SIM_OK, good_cve_2025_39845_in_every_root, NULL, "in every root"),
	P(SIM_WALK_OF_FREED_TABLE, bad_cve_2026_74672_walk_of_freed_table, NULL,
	  "a software walker in a table that was removed"),
	P(SIM_FREED_UNDER_READER, bad_freed_under_reader, NULL,
	  "a table freed while a read section is open"),
	P(SIM_OK, good_freed_after_readers, NULL, "freed after the section ended"),
	P(SIM_WALK_OF_FREED_TABLE, bad_table_freed_twice, NULL, "a table page freed twice"),
	P(SIM_WRONG_ADDRESS, bad_kunmap_unrounded_address, NULL,
	  "kunmap flushes an address rounded the wrong way"),
	P(SIM_OK, good_kunmap_rounded_address, NULL, "kunmap rounds down"),
	P(SIM_OK, good_kunmap_address_inside_the_page, NULL,
	  "INVLPG takes any address inside the page"),
	{0},
};
