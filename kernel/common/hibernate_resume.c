/* SPDX-License-Identifier: MIT */
/* hibernate_resume: an image verified, loaded, used up, and entered. */
#include "hibernate_private.h"

#include <drivers/block.h>
#include <drivers/devices.h>
#include <drivers/random.h>
#include <drivers/virtio_mem.h>

#include <print.h>
#include <thread.h>
#include <vm.h>

/* Of the kernel that goes. */
static struct {
	struct kelp_snapshot_config config;
	struct kelp_snapshot_reader reader;
	struct hibernate_payload payload;
	struct leave plan;
	struct kelp_snapshot_relocation *list;
	uint64_t moves;
	uint64_t verified, loaded; /* ticks that they took */
} resume;

static bool take(void *context, kelp_pfn_t *frame)
{
	(void)context;
	return held_take_frame(frame);
}

static bool is_overwritten(void *context, kelp_pfn_t frame)
{
	(void)context;
	return kelp_snapshot_is_home(&resume.reader, frame);
}

static bool used_up(enum kelp_status status)
{
	struct block_device *device;

	if (status != KELP_OK) {
		kprintf("hibernate: the image cannot be marked as used: %s\n",
			kelp_status_text(status));
		return false;
	}
	for (unsigned i = 0; (device = block_device(i)); i++)
		(void)block_stop(device);
	return true;
}

/* What cannot be undone begins with this: the disk says that the image is used up. */
static bool consume(void *context)
{
	(void)context;
	return used_up(kelp_snapshot_consume(&resume.reader));
}

/* ---- reading ----------------------------------------------------------------------------- */

static void verify_worker(void *argument, unsigned cpu)
{
	/* The verdict on all of it is asked for afterwards. */
	if (kelp_snapshot_verify(argument, cpu) != KELP_OK)
		return;
}

static void load_worker(void *argument, unsigned cpu)
{
	if (kelp_snapshot_load(argument, cpu) != KELP_OK)
		return;
}

static enum kelp_status verify(void)
{
	uint64_t start = arch_ticks();
	enum kelp_status status;

	hibernate_bar_begin("hibernate: verifying");
	frozen_run(verify_worker, &resume.reader);
	status = kelp_snapshot_verify(&resume.reader, 0);
	hibernate_bar_end();
	resume.verified = arch_ticks() - start;
	return status;
}

static enum kelp_status load(void)
{
	uint64_t start = arch_ticks();
	enum kelp_status status;

	hibernate_bar_begin("hibernate: loading");
	frozen_run(load_worker, &resume.reader);
	status = kelp_snapshot_load(&resume.reader, 0);
	hibernate_bar_end();
	resume.loaded = arch_ticks() - start;
	return status;
}

/* ---- entering ---------------------------------------------------------------------------- */

/* One move more: the page in which the resumed kernel looks for what we tell it. */
static bool add_handover(void)
{
	struct hibernate_handover *h;
	kelp_pfn_t frame;

	if (!held_take_frame(&frame))
		return false;
	h = direct_pointer(frame.number << PAGE_SHIFT);
	memset(h, 0, PAGE_SIZE);
	*h = (struct hibernate_handover){
		.resumed = 1,
		.frames = resume.reader.totals.frames,
		.moved = resume.moves,
		.bytes_on_disk = resume.reader.image_bytes,
		.verify_microseconds = ticks_to_microseconds(resume.verified),
		.read_microseconds = ticks_to_microseconds(resume.loaded),
		.boot_microseconds = time_microseconds(),
	};
	resume.list[resume.moves++] =
		(struct kelp_snapshot_relocation){frame, {resume.payload.handover}};
	return true;
}

static const char *enter(void)
{
	const char *why;

	resume.plan = (struct leave){
		.moves = resume.list,
		.entry = resume.payload.entry,
		.take = take,
		.is_overwritten = is_overwritten,
		.last = consume,
	};
	if (!add_handover())
		return "no frame for the hand-over";
	resume.plan.count = resume.moves;
	why = leave_prepare(&resume.plan);
	if (!why)
		why = leave(&resume.plan);
	leave_cancel(&resume.plan);
	return why;
}

static bool make_list(uint64_t moves)
{
	kelp_paddr_t list;

	/* And one for the hand-over. */
	if (!held_take((moves + 1u) * sizeof(struct kelp_snapshot_relocation), &list))
		return false;
	resume.list = direct_pointer(list);
	resume.moves = moves;
	return true;
}

/* ---- at boot ----------------------------------------------------------------------------- */

static const char *load_image(void)
{
	enum kelp_status status = verify();

	if (status == KELP_OK)
		status = kelp_snapshot_claim(&resume.reader);
	if (status != KELP_OK)
		return kelp_status_text(status);
	/* All homes that were free are taken now: what is still held is nobody's home. */
	if (!make_list(resume.reader.relocations))
		return "no memory for the list of moves";
	status = kelp_snapshot_place(&resume.reader, resume.list, resume.moves);
	if (status == KELP_OK)
		status = load();
	return status == KELP_OK ? NULL : kelp_status_text(status);
}

/* Is there an image, whole as far as its header goes, and of this machine? Nothing is changed. */
static const char *look(bool *nothing)
{
	enum kelp_status status = kelp_snapshot_open(&resume.reader, &resume.config);

	*nothing = status == KELP_ERR_NO_IMAGE;
	if (status != KELP_OK)
		return kelp_status_text(status);
	if (resume.reader.payload_size != sizeof(resume.payload))
		return "it was made by another version of this kernel";
	memcpy(&resume.payload, resume.reader.payload, sizeof(resume.payload));
	return hibernate_payload_differs(&resume.payload);
}

static const char *open_image(void)
{
	enum kelp_status status;
	const char *why;
	kelp_paddr_t maps;
	bool nothing;

	why = look(&nothing);
	if (why)
		return why;
	if (!held_take(resume.reader.map_size, &maps))
		return "no memory for its maps";
	status = kelp_snapshot_maps(&resume.reader, direct_pointer(maps), resume.reader.map_size);
	return status == KELP_OK ? NULL : kelp_status_text(status);
}

static void resume_frozen(void)
{
	unsigned long flags = arch_irq_save();
	const char *why = "not enough free memory to work in";

	if (held_take_all()) {
		if (hibernate_config_buffers(&resume.config))
			why = open_image();
		if (!why) {
			char a[SIZE_TEXT], b[SIZE_TEXT];

			kprintf("hibernate: an image of %llu frames (%s) on %s, %s\n",
				(unsigned long long)resume.reader.header.frames,
				size_text(a, resume.reader.header.frames << PAGE_SHIFT),
				hibernate_disk_name(), size_text(b, resume.reader.image_bytes));
			why = load_image();
			if (!why)
				why = enter();
		}
		if (resume.config.buffer)
			kelp_snapshot_close(&resume.reader);
		held_give_all();
	}
	arch_irq_restore(flags);
	kprintf("hibernate: not resumed: %s\n", why);
}

/* While everything runs: most boots find nothing, and that costs no more than three blocks read. */
static bool worth_while(void)
{
	kelp_paddr_t buffer;
	const char *why;
	bool nothing;
	unsigned order;

	resume.config.workers = 1;
	resume.config.io_size = KELP_IMAGE_BLOCK;
	resume.config.buffer_size = kelp_snapshot_memory_size(&resume.config);
	order = frames_order(resume.config.buffer_size);
	if (!frames_take(order, FRAME_DIRECT, &buffer)) {
		kprintf("hibernate: no memory to look for an image\n");
		return false;
	}
	resume.config.buffer = direct_pointer(buffer);
	why = look(&nothing);
	if (nothing)
		kprintf("hibernate: nothing to resume\n");
	else if (why)
		kprintf("hibernate: not resumed: %s\n", why);
	kelp_snapshot_close(&resume.reader);
	memset(direct_pointer(buffer), 0, resume.config.buffer_size);
	frames_give(order, buffer);
	resume.config.buffer = NULL;
	resume.config.io_size = HIBERNATE_IO_SIZE;
	return !why;
}

/* Memory that the saved machine had been given, where it had it. */
static bool require_memory(void)
{
	for (unsigned i = 0; i < resume.payload.added_count && i < HIBERNATE_ADDED_MAX; i++) {
		const struct hibernate_range *range = &resume.payload.added[i];

		if (virtio_mem_require(range->first, range->size))
			continue;
		kprintf("hibernate: not resumed: the host does not give us the memory from 0x%llx on "
			"again\n", (unsigned long long)range->first);
		return false;
	}
	return true;
}

void hibernate_resume(void)
{
	const struct kelp_snapshot_disk *disk = hibernate_disk();

	if (!disk)
		return;
	if (command_line_has("noresume", NULL, 0)) {
		kprintf("hibernate: noresume: %s is not looked at\n", hibernate_disk_name());
		return;
	}
	memset(&resume, 0, sizeof(resume));
	if (!hibernate_config(&resume.config, disk))
		return;
	if (worth_while() && require_memory()) {
		hibernate_stop_devices();
		if (freeze()) {
			resume_frozen();
			unfreeze();
		}
		hibernate_restart_devices();
	}
	hibernate_config_end();
}

/* ---- without switching off --------------------------------------------------------------- */

/*
 * The image holds what memory holds, but for what changed since: every frame is compared, and
 * those that differ are loaded beside and moved.
 */
static enum kelp_status compare(void *context, kelp_pfn_t frame, const void *page, bool uniform,
				uint64_t word)
{
	static uint64_t buffer[PAGE_SIZE / sizeof(uint64_t)];
	const uint64_t *here = hibernate_look(frame, buffer), *there = page;
	uint64_t different = 0, *copy;
	kelp_pfn_t safe;

	(void)context;
	if (!here)
		return KELP_ERR_ADDRESS;
	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*here); i++)
		different |= here[i] ^ (uniform ? word : there[i]);
	if (!different)
		return KELP_OK;
	if (!frame_set_has(&hibernate_hot, frame.number)) {
		kprintf("hibernate: frame 0x%llx is not in memory as it is in the image\n",
			(unsigned long long)frame.number);
		return KELP_ERR_DAMAGED;
	}
	if (resume.moves == resume.plan.count || !held_take_frame(&safe))
		return KELP_ERR_NO_MEMORY;
	copy = direct_pointer(safe.number << PAGE_SHIFT);
	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*here); i++)
		copy[i] = uniform ? word : there[i];
	resume.list[resume.moves++] = (struct kelp_snapshot_relocation){safe, frame};
	return KELP_OK;
}

static bool is_hot(void *context, kelp_pfn_t frame)
{
	(void)context;
	return frame_set_has(&hibernate_hot, frame.number);
}

/* Nothing was loaded by way of the reader, so it has nothing to consume. */
static bool discard(void *context)
{
	(void)context;
	return used_up(kelp_snapshot_discard(&resume.config));
}

const char *hibernate_test_prepare(void)
{
	kelp_paddr_t list;

	memset(&resume, 0, sizeof(resume));
	resume.plan = (struct leave){.take = take, .is_overwritten = is_hot, .last = discard};
	for (uint64_t frame = 0; frame < hibernate_hot.limit; frame++)
		resume.plan.count += frame_set_has(&hibernate_hot, frame);
	/* And one for the hand-over. */
	if (!held_take((resume.plan.count + 1u) *
				    sizeof(struct kelp_snapshot_relocation), &list))
		return "no memory for the list of moves";
	resume.list = direct_pointer(list);
	return leave_prepare(&resume.plan);
}

void hibernate_test_end(void)
{
	leave_cancel(&resume.plan);
}

/* NULL: the list of moves is complete, and all of memory as the image has it. */
static const char *compare_image(void)
{
	uint64_t start;
	enum kelp_status status;
	const char *why = open_image();

	if (why)
		return why;
	status = verify();
	if (status == KELP_OK) {
		start = arch_ticks();
		hibernate_bar_begin("hibernate: comparing");
		status = kelp_snapshot_each(&resume.reader, compare, NULL);
		hibernate_bar_end();
		resume.loaded = arch_ticks() - start;
	}
	if (status != KELP_OK)
		return kelp_status_text(status);
	return add_handover() ? NULL : "no frame for the hand-over";
}

const char *hibernate_test_resume(const struct kelp_snapshot_config *config)
{
	const char *why;

	resume.config = *config;
	why = compare_image();
	if (!why) {
		resume.plan.moves = resume.list;
		resume.plan.count = resume.moves;
		resume.plan.entry = resume.payload.entry;
		why = leave(&resume.plan);
	}
	/* Reads may be under way into the buffer, which is used again and given back now. */
	kelp_snapshot_close(&resume.reader);
	return why;
}
