/* SPDX-License-Identifier: MIT */
/*
 * hibernate: the machine's memory to disk and back.
 *
 * SAVING. All threads are frozen where they can be preempted, holding no lock; the other CPUs put
 * their registers aside and become workers. All free memory is taken: it is not saved, and it is
 * where everything is done. What the writing itself changes (stacks, the kernel's data, the queues
 * of devices) is copied there first; everything else stays as it is, because nothing else runs. So
 * the image is streamed from memory, which may be nearly full.
 *
 * RESUMING. A kernel that was started normally looks at its disks. An image that is whole, of the
 * key, of this build and of this machine is loaded: pages whose frames are free go home, the
 * others to frames that the image does not use, with a list. Then the disk is told that the image
 * is used up, the other CPUs are reset, and code in a safe frame makes the moves of the list on
 * transitional tables and enters the saved kernel, which starts its other CPUs and devices.
 *
 * INV-5.3 (no table, stack, code or list used while memory is overwritten lies in a frame that
 * will be) is asserted for every one of them before the step that cannot be undone.
 */
#ifndef HOLDFAST_HIBERNATE_H
#define HOLDFAST_HIBERNATE_H

#include <arch.h>
#include <base.h>

enum hibernate_end {
	HIBERNATE_POWER_OFF,
	HIBERNATE_TEST_RESUME, /* no power-off: the image is read back, compared, and resumed */
};

/* What came of it; times in microseconds. */
struct hibernate_result {
	bool resumed;
	uint64_t frames, zero_frames, uniform_frames;
	uint64_t bytes_in, bytes_on_disk;
	uint64_t write_microseconds, verify_microseconds, read_microseconds;
	uint64_t frames_moved; /* of those loaded: not at home before the last step */
};

/*
 * Saves the machine and ends it. Returns in the resumed machine (true), or when it could not be
 * saved, with a message, and everything goes on. `written`, unless NULL, is called when the image
 * is complete: what it changes is lost with the machine. From the main thread.
 */
bool hibernate(enum hibernate_end end, void (*written)(const struct hibernate_result *result),
	       struct hibernate_result *result);

/*
 * At boot, when the devices work: resumes if there is something to resume. Returns if there is
 * not, or if it was refused, with a message.
 */
void hibernate_resume(void);

/*
 * Drivers tell of memory that they or their devices write whenever a disk is used: it is not
 * saved as it was at one instant unless it is copied first. Any time before hibernate().
 */
#ifdef HOLDFAST_HIBERNATES
void hibernate_changing(kelp_paddr_t address, uint64_t size);
#else
static inline void hibernate_changing(kelp_paddr_t address, uint64_t size)
{
	(void)address, (void)size;
}
#endif

/*
 * These frames are secret: saved, sealed like everything else, or, with hibernate_secrets=refuse on
 * the command line, a reason not to save at all. False: too many ranges.
 */
#ifdef HOLDFAST_HIBERNATES
bool hibernate_secret(kelp_paddr_t address, uint64_t frames);
void hibernate_secret_end(kelp_paddr_t address);
#endif

/*
 * All of it but the disk: what changes is put aside, the CPUs are reset, memory is overwritten with
 * itself, and the machine comes back. NULL, or why not. From the main thread.
 */
const char *hibernate_in_memory(void);

/* For the monitor. */
bool run_hibernate(unsigned count, char **word);

#endif
