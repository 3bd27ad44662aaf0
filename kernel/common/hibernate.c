/* SPDX-License-Identifier: MIT */
/*
 * hibernate: the machine stopped, saved, and going on; here, or in the resumed machine, which
 * is this one as far as anybody can tell who lives in it.
 */
#include "hibernate_private.h"

#include <drivers/block.h>
#include <drivers/devices.h>
#include <drivers/pmem.h>
#include <drivers/random.h>
#include <drivers/virtio_mem.h>
#include <monitor.h>

#include <print.h>
#include <thread.h>
#include <vm.h>

/* When the machine was as it is saved; in memory that is saved like that. */
static uint64_t stopped_at;

/*
 * First in the resumed machine, on the boot CPU with interrupts off: all registers but those that
 * arch_freeze() put aside are as the other kernel left them.
 */
void hibernate_come_back(void)
{
	arch_resumed();
	arch_ticks_continue(stopped_at);
	arch_timer_set(this_cpu()->timer_tick);
	if (!frozen_resume_cpus())
		panic("the resumed machine has lost a CPU");
	frozen_be_still(false);
}

void hibernate_stop_clock(void)
{
	stopped_at = arch_ticks();
}

/* ---- devices ----------------------------------------------------------------------------- */

static uint32_t plugs[BLOCK_DEVICES_MAX]; /* of threads that were frozen in between */
static bool had_random;

/*
 * No device writes memory afterwards but those that the writer uses, and those have nothing
 * under way. In the resumed machine all of them are set up anew.
 */
static bool settle_devices(void)
{
	struct block_device *device;

	for (unsigned i = 0; (device = block_device(i)); i++) {
		/* A thread that plugged it and was frozen does not unplug it: see unsettle_devices(). */
		plugs[i] = device->plugs;
		device->plugs = 0;
		if (block_stop(device) != BLOCK_OK || !block_restart(device)) {
			kprintf("hibernate: %s does not come to rest\n", device->name);
			return false;
		}
	}
	return true;
}

/* Here and in the resumed machine: what frozen threads began they end. */
static void unsettle_devices(void)
{
	struct block_device *device;

	for (unsigned i = 0; (device = block_device(i)); i++)
		device->plugs += plugs[i];
}

/* In the resumed machine: all of them at once, before anybody asks them for anything. */
static void restart_disks(void)
{
	struct block_device *device;

	for (unsigned i = 0; (device = block_device(i)); i++)
		(void)block_restart(device);
}

/* The devices with threads or locks of their own, while these run. */
void hibernate_stop_devices(void)
{
	had_random = random_available();
	virtio_mem_stop();
	(void)pmem_stop();
	random_stop();
}

void hibernate_restart_devices(void)
{
	bool pmem = pmem_restart(), memory_device = virtio_mem_restart();

	if (!pmem || !memory_device || (had_random && !random_restart()))
		kprintf("hibernate: not all devices came back\n");
}

/* ---- carried over in memory -------------------------------------------------------------- */

static struct {
	struct frame_set hot;
	struct kelp_snapshot_relocation *moves;
	uint64_t count;
} memory;

static bool memory_take(void *context, kelp_pfn_t *frame)
{
	(void)context;
	return held_take_frame(frame);
}

static bool memory_is_overwritten(void *context, kelp_pfn_t frame)
{
	(void)context;
	return frame_set_has(&memory.hot, frame.number);
}

/* A safe frame for each hot one; the list lies in such frames as well. */
static const char *memory_prepare(void)
{
	uint64_t limit = frames_limit();
	kelp_paddr_t list;
	kelp_pfn_t frame;

	memory.count = 0;
	if (!frames_find_hot(&memory.hot))
		return "no memory for the set of frames that change";
	for (uint64_t i = 0; i < limit; i++)
		memory.count += frame_set_has(&memory.hot, i);
	if (!held_take(memory.count * sizeof(struct kelp_snapshot_relocation), &list))
		return "no memory for the list";
	memory.moves = direct_pointer(list);
	for (uint64_t i = 0, n = 0; i < limit; i++) {
		if (!frame_set_has(&memory.hot, i))
			continue;
		if (!held_take_frame(&frame))
			return "no memory for what changes";
		memory.moves[n++] = (struct kelp_snapshot_relocation){frame, {i}};
	}
	return NULL;
}

static struct leave memory_plan = {
	.take = memory_take,
	.is_overwritten = memory_is_overwritten,
};

/* From here on nothing but the hot frames and the held ones may change. */
static const char *memory_leave(void)
{
	arch_entry_here(&memory_plan.entry);
	memory_plan.entry.frozen = (uintptr_t)frozen_boot_registers();
	memory_plan.moves = memory.moves;
	memory_plan.count = memory.count;
	frozen_be_still(true);
	hibernate_stop_clock();
	for (uint64_t i = 0; i < memory.count; i++)
		memcpy(direct_pointer(memory.moves[i].from.number << PAGE_SHIFT),
		       direct_pointer(memory.moves[i].to.number << PAGE_SHIFT), PAGE_SIZE);
	return leave(&memory_plan);
}

/* In memory, for arch_freeze(). */
static const char *volatile memory_why;

static void memory_frozen(void)
{
	memory_why = memory_prepare();
	if (!memory_why)
		memory_why = leave_prepare(&memory_plan);
	if (!memory_why) {
		if (arch_freeze(frozen_boot_registers())) {
			hibernate_come_back();
			restart_disks();
		} else {
			memory_why = memory_leave();
		}
		frozen_be_still(false);
	}
	leave_cancel(&memory_plan);
}

const char *hibernate_in_memory(void)
{
	static unsigned long flags;

	memset(plugs, 0, sizeof(plugs));
	hibernate_stop_devices();
	if (!freeze()) {
		hibernate_restart_devices();
		return "the CPUs could not be stopped";
	}
	flags = arch_irq_save();
	if (!held_take_all())
		memory_why = "no memory for the list of what is free";
	else if (!settle_devices())
		memory_why = "a device does not come to rest";
	else
		memory_frozen();
	unsettle_devices();
	held_give_all();
	arch_irq_restore(flags);
	unfreeze();
	hibernate_restart_devices();
	return memory_why;
}

/* ---- saved to disk ----------------------------------------------------------------------- */

/* All of it is in memory that is saved: the resumed machine goes on with it. */
static struct {
	struct kelp_snapshot_config config;
	struct kelp_snapshot_writer writer;
	struct kelp_snapshot_counts counts;
	struct kelp_image_totals totals;
	struct hibernate_payload payload;
	struct hibernate_result result;
	enum hibernate_end end;
	void (*tell)(const struct hibernate_result *result);
	uint64_t written; /* ticks that writing took */
	const char *why;  /* it did not work */
	bool resumed;
} save;

static const char *text_of(enum kelp_status status)
{
	return kelp_status_text(status);
}

/* Everything that can fail before the machine is stopped in its state. */
static const char *prepare_image(void)
{
	enum kelp_status status;
	kelp_paddr_t list;

	if (!frames_find_hot(&hibernate_hot) || !hibernate_config_buffers(&save.config))
		return "not enough free memory to work in";
	status = kelp_snapshot_plan(&save.config, &save.counts);
	if (status != KELP_OK)
		return text_of(status);
	save.config.hot_capacity = (uint32_t)save.counts.of_class[KELP_SNAPSHOT_HOT];
	if (!held_take(save.config.hot_capacity *
				    sizeof(struct kelp_snapshot_relocation), &list))
		return "not enough free memory for what changes meanwhile";
	save.config.hot = direct_pointer(list);
	if (!hibernate_payload(&save.payload))
		return "memory was added in too many pieces";
	status = kelp_snapshot_begin(&save.writer, &save.config, &save.payload,
				     sizeof(save.payload));
	return status == KELP_OK ? NULL : text_of(status);
}

static void write_worker(void *argument, unsigned cpu)
{
	(void)argument;
	/* Every worker returns the same error, and commit() again. */
	if (kelp_snapshot_write(&save.writer, cpu) != KELP_OK)
		return;
}

/* From here on only hot frames and held ones change. */
static const char *write_image(void)
{
	enum kelp_status status;
	uint64_t start;

	frozen_be_still(true);
	hibernate_stop_clock();
	status = kelp_snapshot_freeze(&save.writer);
	frozen_be_still(false);
	if (status != KELP_OK)
		return text_of(status);
	start = arch_ticks();
	hibernate_bar_begin("hibernate: saving");
	frozen_run(write_worker, NULL);
	status = kelp_snapshot_commit(&save.writer, &save.totals);
	hibernate_bar_end();
	save.written = arch_ticks() - start;
	return status == KELP_OK ? NULL : text_of(status);
}

static uint64_t rate(uint64_t bytes, uint64_t microseconds)
{
	return microseconds ? bytes / microseconds * 1000000u / MIB +
				      bytes % microseconds * 1000000u / microseconds / MIB : 0;
}

static void tell_written(void)
{
	struct hibernate_result *r = &save.result;
	char a[SIZE_TEXT], b[SIZE_TEXT];

	r->frames = save.totals.frames;
	r->zero_frames = save.totals.zero_frames;
	r->uniform_frames = save.totals.uniform_frames;
	r->bytes_in = save.totals.frames << PAGE_SHIFT;
	r->bytes_on_disk = save.totals.sealed_bytes;
	r->write_microseconds = ticks_to_microseconds(save.written);
	kprintf("hibernate: %llu frames (%s), %llu of them zero, %llu uniform: %s on the disk\n",
		(unsigned long long)r->frames, size_text(a, r->bytes_in),
		(unsigned long long)r->zero_frames, (unsigned long long)r->uniform_frames,
		size_text(b, r->bytes_on_disk));
	kprintf("hibernate: %llu ms with %u CPUs, %llu MiB/s\n",
		(unsigned long long)r->write_microseconds / 1000u, frozen_cpus(),
		(unsigned long long)rate(r->bytes_in, r->write_microseconds));
}

/*
 * This machine goes on: no later boot may resume what it was (INV-5.6). The image is complete, or
 * may be: the last flush may have failed after the disk had written.
 */
static void void_image(bool complete)
{
	enum kelp_status status = kelp_snapshot_discard(&save.config);

	if (status == KELP_OK)
		return;
	if (complete)
		panic("hibernate: the image cannot be discarded, and this machine cannot go on "
		      "beside it: %s", text_of(status));
	kprintf("hibernate: %s may hold an image of this machine, and that cannot be discarded: %s; "
		"boot with noresume\n", hibernate_disk_name(), text_of(status));
}

/* The image is complete. Comes back only if this machine goes on after all. */
static const char *end_machine(void)
{
	if (save.end == HIBERNATE_TEST_RESUME)
		return hibernate_test_resume(&save.config);
	kprintf("hibernate: powering off\n");
	arch_power_off();
	return "this machine cannot be switched off by us";
}

/* In the machine that was saved, in whatever hardware it runs now. */
static void tell_resumed(void)
{
	const struct hibernate_handover *h = hibernate_handover;
	struct hibernate_result *r = &save.result;

	r->resumed = true;
	r->frames = h->frames;
	r->bytes_in = h->frames << PAGE_SHIFT;
	r->bytes_on_disk = h->bytes_on_disk;
	r->read_microseconds = h->read_microseconds;
	r->verify_microseconds = h->verify_microseconds;
	r->frames_moved = h->moved;
	kprintf("hibernate: resumed; %llu frames, %llu of them moved at the end; verified in %llu "
		"ms, loaded in %llu ms, %llu MiB/s\n", (unsigned long long)h->frames,
		(unsigned long long)h->moved, (unsigned long long)h->verify_microseconds / 1000u,
		(unsigned long long)h->read_microseconds / 1000u,
		(unsigned long long)rate(r->bytes_in, h->read_microseconds));
}

static void save_frozen(void)
{
	unsigned long flags = arch_irq_save();
	bool begun = false;

	if (!held_take_all()) {
		save.why = "no memory for the list of what is free";
	} else if (!settle_devices()) {
		save.why = "a device does not come to rest";
	} else {
		save.why = prepare_image();
		begun = !save.why;
		if (begun && save.end == HIBERNATE_TEST_RESUME)
			save.why = hibernate_test_prepare();
	}
	if (begun && !save.why) {
		if (arch_freeze(frozen_boot_registers())) {
			hibernate_come_back();
			save.resumed = true;
			restart_disks();
		} else {
			save.why = write_image();
			if (!save.why) {
				tell_written();
				if (save.tell)
					save.tell(&save.result);
				save.why = end_machine();
				void_image(true);
			} else {
				void_image(false);
			}
		}
	}
	/* In the resumed machine the frames that it would give back went with what was held. */
	if (begun && !save.resumed)
		kelp_snapshot_end(&save.writer);
	/* The records are still on the disk: nobody shall have their key any more. */
	if (save.resumed)
		memset(&save.writer.secret, 0, sizeof(save.writer.secret));
	if (begun && save.end == HIBERNATE_TEST_RESUME)
		hibernate_test_end();
	unsettle_devices();
	held_give_all();
	arch_irq_restore(flags);
}

bool hibernate(enum hibernate_end end, void (*written)(const struct hibernate_result *result),
	       struct hibernate_result *result)
{
	const struct kelp_snapshot_disk *disk = hibernate_disk();

	memset(&save, 0, sizeof(save));
	memset(plugs, 0, sizeof(plugs));
	memset(hibernate_handover, 0, sizeof(*hibernate_handover));
	save.end = end;
	save.tell = written;
	if (this_cpu() != &boot_cpu)
		save.why = "only the boot CPU can do it";
	else if (!disk)
		save.why = "there is no disk with the label for images";
	else if (!hibernate_disk_writable())
		save.why = "the disk is read-only";
	else if (!hibernate_config(&save.config, disk))
		save.why = "it could not be prepared";
	if (!save.why) {
		kprintf("hibernate: to %s\n", hibernate_disk_name());
		hibernate_stop_devices();
		if (freeze()) {
			save_frozen();
			unfreeze();
		} else {
			save.why = "the CPUs could not be stopped";
		}
		hibernate_restart_devices();
		hibernate_config_end();
	}
	if (save.why)
		kprintf("hibernate: %s\n", save.why);
	else
		tell_resumed();
	*result = save.result;
	return save.resumed;
}

bool run_hibernate(unsigned count, char **word)
{
	struct hibernate_result result;

	if (count > 3)
		return false;
	if (count == 2 && !strcmp(word[1], "memory")) {
		const char *why = hibernate_in_memory();

		kprintf("hibernate: %s\n", why ? why : "carried over in memory");
		return true;
	}
	if (count == 2 && !strcmp(word[1], "bench"))
		return hibernate_bench();
	/* On a command line blanks are written as underscores: `test_resume` arrives as two words. */
	if (count >= 2 && strcmp(word[1], "test_resume") && strcmp(word[1], "test"))
		return false;
	(void)hibernate(count >= 2 ? HIBERNATE_TEST_RESUME : HIBERNATE_POWER_OFF, NULL, &result);
	return true;
}
