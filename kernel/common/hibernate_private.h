/* SPDX-License-Identifier: MIT */
/* What the parts of hibernation share. */
#ifndef HOLDFAST_HIBERNATE_PRIVATE_H
#define HOLDFAST_HIBERNATE_PRIVATE_H

#include <hibernate.h>

#include <kelp/snapshot.h>

#include <cpu.h>

/* ---- hibernate.c ------------------------------------------------------------------------- */

/* The last thing that is saved as it is: ticks will go on from here. */
void hibernate_stop_clock(void);
/* What needs threads to come to rest, before they are frozen; and back. */
void hibernate_stop_devices(void);
void hibernate_restart_devices(void);

/*
 * Instead of switching off: reads the image back, compares it with memory, and resumes it here.
 * Returns only why not.
 */
const char *hibernate_test_resume(const struct kelp_snapshot_config *config);
/* What that needs of memory which is saved, before the machine is stopped in its state; and back. */
const char *hibernate_test_prepare(void);
void hibernate_test_end(void);
/* The first thing in the resumed machine, interrupts off. */
void hibernate_come_back(void);

/* ---- hibernate_freeze.c ------------------------------------------------------------------ */

/*
 * Every thread but the caller's stops where it may be preempted; every other CPU waits in
 * freeze_work() with interrupts off. The caller's preemption is off afterwards. False with a
 * message: there is no memory for it; nothing is frozen.
 */
bool freeze(void);
/* Everything goes on, in this machine or in the resumed one. */
void unfreeze(void);

/* Between the two: `function` runs on every CPU at once, this one among them, which is worker 0. */
void frozen_run(void (*function)(void *argument, unsigned worker), void *argument);

/* While true the others do nothing at all, interrupts included. */
void frozen_be_still(bool still);

/* For those who wait for another worker. Interrupts are off, and on for a moment. */
void frozen_nap(void);

/* In the resumed machine, on the boot CPU: the others come back to where they were frozen. */
bool frozen_resume_cpus(void);

unsigned frozen_cpus(void);
/* Where the registers of the boot CPU belong, and its place among the others' in the list. */
struct arch_frozen *frozen_boot_registers(void);

/* ---- hibernate_leave.c ------------------------------------------------------------------- */

/* All that the last step needs. */
struct leave {
	/* From frames to frames; in an array in frames that stay, seen through the direct map. */
	const struct kelp_snapshot_relocation *moves;
	uint64_t count;
	struct arch_entry entry;
	/* Gives a frame that stays. */
	bool (*take)(void *context, kelp_pfn_t *frame);
	/* True for frames that moves go to. Asked for all that is used meanwhile: INV-5.3. */
	bool (*is_overwritten)(void *context, kelp_pfn_t frame);
	/* After everything that can fail: the last chance to say no. May be NULL. */
	bool (*last)(void *context);
	void *context;

	/* Private. */
	void *code;
	kelp_paddr_t code_frame;
};

/*
 * What of it needs the kernel's own memory: done before that is put aside, where it is this kernel
 * that comes back. NULL, or what is missing.
 */
const char *leave_prepare(struct leave *plan);
void leave_cancel(struct leave *plan);
/* Leaves this kernel for the other one. Returns only why it did not; nothing has changed then. */
const char *leave(const struct leave *plan);

/* ---- hibernate_held.c -------------------------------------------------------------------- */

/*
 * Takes all memory that is free. What is held is not part of the machine that is saved; from it
 * everything is taken that is needed meanwhile. False: no memory for the list of it.
 */
bool held_take_all(void);
/* Gives all of it back, what was taken from it too. */
void held_give_all(void);
/* Whole frames in a row, `size` bytes of them; false: there is no such run. */
bool held_take(uint64_t size, kelp_paddr_t *address);
/* True when the frame is held: free, or taken from what was free. */
bool held_has(kelp_pfn_t frame);
uint64_t held_frames(void);
/* One that nobody has; for hooks. */
bool held_take_frame(kelp_pfn_t *frame);
/* Takes this very frame, if it is held and was not taken yet. */
bool held_claim(kelp_pfn_t frame);
/* Takes it back. */
void held_release(kelp_pfn_t frame);

/* ---- hibernate_frames.c ------------------------------------------------------------------ */

/* One bit for every frame below a limit, in held memory. */
struct frame_set {
	uint64_t *bits;
	uint64_t limit;
};
bool frame_set_make(struct frame_set *set, uint64_t limit);
void frame_set_add(struct frame_set *set, uint64_t first, uint64_t count);

static inline bool frame_set_has(const struct frame_set *set, uint64_t frame)
{
	return frame < set->limit && (set->bits[frame / 64u] >> frame % 64u & 1u);
}

/* Above every frame of RAM. */
uint64_t frames_limit(void);
/* The RAM at or behind *first: moved to where it begins, and its end. False: there is none. */
bool frames_next_ram(uint64_t *first, uint64_t *end);

/* Memory that was added since the boot. False: in more pieces than that. */
struct hibernate_range {
	uint64_t first, size; /* bytes */
};
bool frames_added(struct hibernate_range *range, unsigned limit, unsigned *count);
/* True for frames of hibernate_secret(). */
bool frames_secret(uint64_t frame);
/* The frames that running code writes, of any CPU, thread or device, while all is frozen. */
bool frames_find_hot(struct frame_set *hot);

/* ---- hibernate_disk.c -------------------------------------------------------------------- */

#define HIBERNATE_IO_SIZE (1u * 1024u * 1024u)

/* The first disk with our label; NULL: there is none. Thread context. */
const struct kelp_snapshot_disk *hibernate_disk(void);
const char *hibernate_disk_name(void);
bool hibernate_disk_writable(void);

/* ---- hibernate_bench.c ------------------------------------------------------------------- */

/* Prints the speed of each part. False: no memory. */
bool hibernate_bench(void);

/* ---- hibernate_image.c ------------------------------------------------------------------- */

#define HIBERNATE_ADDED_MAX 64u

/* What the saved kernel tells the one that resumes it, sealed in the image. */
struct hibernate_payload {
	uint32_t version;
	uint32_t cpus;
	struct arch_entry entry;
	uint64_t handover;        /* frame of struct hibernate_handover */
	uint8_t devices[KELP_IMAGE_DIGEST];
	uint32_t hardware_id[CPUS_MAX];
	uint32_t added_count;
	uint32_t reserved;
	struct hibernate_range added[HIBERNATE_ADDED_MAX]; /* must be there before frames go home */
};
#define HIBERNATE_PAYLOAD_VERSION 1u

/* And the other way round: the last page that is moved. */
struct hibernate_handover {
	uint64_t resumed;         /* 0 in the image itself */
	uint64_t frames, moved;
	uint64_t bytes_on_disk;
	uint64_t read_microseconds, verify_microseconds, boot_microseconds;
};
extern struct hibernate_handover *const hibernate_handover;

/* The frame's contents, wherever it is mapped; `buffer` is a page. NULL: it cannot be. */
const void *hibernate_look(kelp_pfn_t frame, void *buffer);

/* False: memory was added in more pieces than it has room for. */
bool hibernate_payload(struct hibernate_payload *payload);
/* Is it of this machine? NULL, or what is not as it was. */
const char *hibernate_payload_differs(const struct hibernate_payload *payload);

/*
 * The parts of a configuration that saving and resuming share. False with a message: there is no
 * key on the command line, or no random bytes. Thread context, before anything is frozen.
 */
bool hibernate_config(struct kelp_snapshot_config *config, const struct kelp_snapshot_disk *disk);
/* When memory is held: buffers for as many workers as there are CPUs. */
bool hibernate_config_buffers(struct kelp_snapshot_config *config);
/* Forgets the key. */
void hibernate_config_end(void);

/* The frames that change, for the writer. */
extern struct frame_set hibernate_hot;

/* A line that grows: from `begin` to `end` 40 characters. */
void hibernate_bar_begin(const char *title);
void hibernate_bar_end(void);

#endif
