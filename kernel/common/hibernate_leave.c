/* SPDX-License-Identifier: MIT */
/*
 * hibernate_leave: the step that cannot be undone: other memory over this kernel's, and into the
 * kernel that is there then.
 */
#include "hibernate_private.h"

#include <kelp/trans.h>

#include <print.h>
#include <thread.h>
#include <vm.h>

/* Those who make the tables and the code ask here for frames that stay as they are. */
static const struct leave *leaving;

/* INV-5.3, frame by frame. */
static void assert_safe(kelp_pfn_t frame, const char *what)
{
	if (leaving->is_overwritten(leaving->context, frame))
		panic("hibernate: %s lies in frame 0x%llx, which will be overwritten", what,
		      (unsigned long long)frame.number);
}

static bool take_safe(kelp_paddr_t *address, const char *what)
{
	kelp_pfn_t frame;

	if (!leaving->take(leaving->context, &frame))
		return false;
	assert_safe(frame, what);
	*address = frame.number << PAGE_SHIFT;
	memset(direct_pointer(*address), 0, PAGE_SIZE);
	return true;
}

static bool table_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address)
{
	(void)context;
	return size == PAGE_SIZE && take_safe(address, "a table") && *address <= limit;
}

/* All of it goes when the attempt is given up, or with this kernel. */
static void table_give(void *context, size_t size, kelp_paddr_t address)
{
	(void)context, (void)size, (void)address;
}

/* All RAM where the direct map has it. The frames of the list are in it. */
static enum kelp_status build(struct kelp_trans *trans)
{
	static struct kelp_trans_range range[BOOT_RANGES];
	uint64_t first = 0, end;
	unsigned count = 0;

	for (; frames_next_ram(&first, &end); first = end) {
		if (count == BOOT_RANGES)
			return KELP_ERR_NO_SPACE;
		range[count++] = (struct kelp_trans_range){{first}, end - first, 0};
	}
	return kelp_trans_build(trans, DIRECT_BASE, range, count);
}

static enum kelp_status make_tables(struct kelp_trans *trans, const void *code,
				    kelp_paddr_t code_frame)
{
	const kelp_attr_t rights = KELP_ATTR_READ | KELP_ATTR_EXEC;
	struct kelp_port port = kernel_port;
	kelp_vaddr_t entry = align_down(leaving->entry.code, PAGE_SIZE);
	enum kelp_status status;

	port.table_take = table_take;
	port.table_give = table_give;
	status = kelp_trans_init(trans, &kernel_format, &port, 0);
	if (status == KELP_OK)
		status = build(trans);
	if (status == KELP_OK)
		status = kelp_trans_map_page(trans, (uintptr_t)code,
					     (kelp_pfn_t){code_frame >> PAGE_SHIFT}, rights);
	/* There the saved kernel's first instruction is, once it has been copied. */
	if (status == KELP_OK)
		status = kelp_trans_map_page(trans, entry,
					     (kelp_pfn_t){(entry - IMAGE_BASE) >> PAGE_SHIFT}, rights);
	return status;
}

/* The list is in frames that are read till the end; what it copies from must not be copied to. */
static void check_list(void)
{
	kelp_paddr_t first = direct_address(leaving->moves);
	uint64_t size = leaving->count * sizeof(struct kelp_snapshot_relocation);

	for (uint64_t at = first >> PAGE_SHIFT; at <= (first + size - 1u) >> PAGE_SHIFT; at++)
		assert_safe((kelp_pfn_t){at}, "the list");
	for (uint64_t i = 0; i < leaving->count; i++)
		assert_safe(leaving->moves[i].from, "a page that is to be moved");
}

const char *leave_prepare(struct leave *plan)
{
	leaving = plan;
	if (!take_safe(&plan->code_frame, "the code"))
		return "no safe frame for the code";
	memcpy(direct_pointer(plan->code_frame), resume_relocate,
	       (size_t)(resume_relocate_end - resume_relocate));
	plan->code = vm_map_physical(plan->code_frame, PAGE_SIZE, VM_TEXT);
	return plan->code ? NULL : "the code cannot be mapped";
}

void leave_cancel(struct leave *plan)
{
	if (plan->code)
		vm_unmap(plan->code, PAGE_SIZE, false);
	plan->code = NULL;
}

const char *leave(const struct leave *plan)
{
	static struct kelp_trans trans;
	enum kelp_status status;

	leaving = plan;
	status = make_tables(&trans, plan->code, plan->code_frame);
	if (status != KELP_OK)
		return kelp_status_text(status);
	check_list();
	if (plan->last && !plan->last(plan->context))
		return "the disk could not be told";
	arch_irq_disable();
	arch_reset_other_cpus();
	arch_leave(plan->code, kelp_trans_root(&trans), plan->moves, plan->count, &plan->entry);
}
