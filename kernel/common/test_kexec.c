/* SPDX-License-Identifier: MIT */
/*
 * test_kexec: floor 5 on this machine's memory and translation hardware, without leaving: running
 * on transitional tables for a moment, and a list of moves worked off.
 */
#include <test.h>

#include <frames.h>
#include <kexec.h>
#include <reach.h>
#include <thread.h>

extern const char text_start[], text_end[];

static bool is_active(void *context, kelp_pfn_t first, uint64_t frames)
{
	kelp_paddr_t last = (first.number + frames - 1u) << PAGE_SHIFT;

	(void)context;
	return kexec_is_ram(first.number << PAGE_SHIFT, frames << PAGE_SHIFT) ||
	       (frames_manages(first.number << PAGE_SHIFT) && frames_manages(last));
}

/* [first, last] as it is, writable. */
static enum kelp_status copy(struct kelp_trans *trans, kelp_vaddr_t first, kelp_vaddr_t last)
{
	const struct kelp_trans_policy policy = {KELP_TRANS_REVIVE, NULL, is_active};

	return kelp_trans_copy(trans, &kernel_space, first, last - first + 1u, &policy);
}

/* All of the kernel's half, and its text executable. */
static enum kelp_status copy_kernel(struct kelp_trans *trans)
{
	const struct kelp_format *f = &kernel_format;
	kelp_vaddr_t text = (uintptr_t)text_start, end = (uintptr_t)text_end;
	kelp_attr_t rights = kelp_format_closest(f, KELP_ATTR_READ | KELP_ATTR_EXEC);
	enum kelp_status status = copy(trans, f->va_first[f->va_ranges - 1], text - 1u);

	for (; status == KELP_OK && text < end; text += PAGE_SIZE)
		status = kelp_trans_map_page(trans, text,
					     (kelp_pfn_t){(text - IMAGE_BASE) >> PAGE_SHIFT},
					     rights);
	if (status == KELP_OK)
		status = copy(trans, end, f->va_last[f->va_ranges - 1]);
	return status;
}

/* INV-5.1, INV-5.2: a frame that is absent, and the read-only alias of the text, are writable. */
static void runs_on_transitional_tables(void)
{
	static struct kelp_trans trans;
	kelp_pfn_t frame = {test_direct_frames(0) >> PAGE_SHIFT};
	kelp_vaddr_t va = kelp_directmap_address(&kernel_direct, frame);
	kelp_vaddr_t alias = DIRECT_BASE + ((uintptr_t)text_start - IMAGE_BASE);
	uint64_t value = 0, before = 0, after = 0;
	enum probe_result absent, alone, load, store;
	enum kelp_status status;
	unsigned long flags;

	test_put(frame.number << PAGE_SHIFT, 1);
	flags = direct_lock();
	status = kelp_directmap_set_invalid(&kernel_direct, frame, 1);
	direct_unlock(flags);
	REQUIRE(status == KELP_OK);
	absent = test_load(va, &value);
	REQUIRE(kelp_trans_init(&trans, &kernel_format, &kernel_port, 0) == KELP_OK);
	status = copy_kernel(&trans);
	test_note("status", status);
	if (status == KELP_OK) {
		preempt_disable();
		flags = arch_irq_save();
		arch_switch_tables(&trans.space);
		store = test_store(va, UINT64_C(0x5a17));
		load = test_load(alias, &before);
		alone = test_store(alias, before);
		arch_switch_tables(&kernel_space);
		arch_irq_restore(flags);
		preempt_enable();
		CHECK(store == PROBE_OK);
		CHECK(load == PROBE_OK);
		CHECK(alone == PROBE_OK);
	}
	kelp_trans_destroy(&trans);
	CHECK(status == KELP_OK);
	CHECK(absent == PROBE_NOT_PRESENT);
	/* The real tables are as they were, and the store went to the frame. */
	CHECK(test_load(va, &value) == PROBE_NOT_PRESENT);
	CHECK(test_store(alias, before) == PROBE_DENIED);
	copywin_read(frame.number << PAGE_SHIFT, &after, sizeof(after));
	CHECK(after == UINT64_C(0x5a17));
	flags = direct_lock();
	status = kelp_directmap_set_default(&kernel_direct, frame, 1);
	direct_unlock(flags);
	CHECK(status == KELP_OK);
}

#define MOVED_ORDER 6u /* 64 pages */
#define DATA_PAGES  50u

static void *reach_page(void *context, kelp_paddr_t page)
{
	(void)context;
	return direct_pointer(page);
}

/* Loaded, checked, moved to frames of ours; and refused when a bit of it changed meanwhile. */
static void moves_what_was_loaded(void)
{
	static struct kelp_kexec kexec;
	kelp_paddr_t destination = test_direct_frames(MOVED_ORDER);
	uint64_t *data = direct_pointer(test_direct_frames(MOVED_ORDER));
	const uint64_t *moved = direct_pointer(destination);
	struct kelp_kexec_segment segment = {
		.destination = destination,
		.size = PAGE_SIZE << MOVED_ORDER,
		.data_size = DATA_PAGES * PAGE_SIZE,
		.data = data,
	};
	struct kelp_kexec_step *step;
	kelp_paddr_t list = 0;
	enum kelp_status status, changed = KELP_OK;
	uint8_t *byte;
	unsigned wrong = 0;

	for (unsigned i = 0; i < DATA_PAGES * PAGE_SIZE / 8u; i++)
		data[i] = i * UINT64_C(0x9e3779b97f4a7c15);
	if (!kexec_is_ram(destination, segment.size)) {
		test_skip("the frames lie in memory that the next kernel does not know of");
		return;
	}
	REQUIRE(kelp_kexec_init(&kexec, &kexec_config, &segment, 1) == KELP_OK);
	status = kelp_kexec_load(&kexec);
	if (status == KELP_OK)
		status = kelp_kexec_finish(&kexec, &list);
	if (status == KELP_OK) {
		CHECK(!kelp_kexec_is_destination(&kexec, list, PAGE_SIZE));
		status = kelp_kexec_verify(&kexec);
		step = direct_pointer(list);
		byte = direct_pointer(step->source + 1234u);
		*byte ^= 0x10;
		changed = kelp_kexec_verify(&kexec);
		*byte ^= 0x10;
		kelp_kexec_execute(list, PAGE_SHIFT, reach_page, NULL);
		for (unsigned i = 0; i < (PAGE_SIZE << MOVED_ORDER) / 8u; i++)
			wrong += moved[i] != (i < DATA_PAGES * PAGE_SIZE / 8u ? data[i] : 0);
	}
	kelp_kexec_unload(&kexec);
	CHECK(status == KELP_OK);
	CHECK(changed == KELP_ERR_MALFORMED);
	CHECK(wrong == 0);
}

const struct test kexec_tests[] = {
	{"kexec: the machine runs on transitional tables", runs_on_transitional_tables, 0},
	{"kexec: what was loaded is moved, or refused", moves_what_was_loaded, 0},
};
const unsigned kexec_test_count = ARRAY_COUNT(kexec_tests);
