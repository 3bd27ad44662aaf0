/* SPDX-License-Identifier: MIT */
/*
 * virtio_mem: memory that the host gives and takes while we run, in blocks (V5.15).
 *
 * The host says how much it wants us to have. A thread per device follows it: what is plugged
 * goes online as RAM at once (hotplug.h), what is to be unplugged is evacuated first. Memory that
 * cannot be evacuated stays, and is tried again later.
 */
#ifndef HOLDFAST_DRIVERS_VIRTIO_MEM_H
#define HOLDFAST_DRIVERS_VIRTIO_MEM_H

#include <base.h>

#define VIRTIO_MEM_DEVICES_MAX 4u

enum virtio_mem_state {
	VIRTIO_MEM_RUNS,
	VIRTIO_MEM_STOPPED,
	VIRTIO_MEM_FAILED,
};

struct virtio_mem_info {
	const char *name;
	enum virtio_mem_state state;
	const char *last;       /* the last thing that did not work; NULL: nothing */
	kelp_paddr_t first;     /* the region in which its blocks lie */
	uint64_t size;
	uint64_t block_size;    /* the device's */
	uint64_t unit;          /* what we plug at a time: blocks that make whole subsections */
	uint64_t usable;        /* bytes of the region in which blocks may be plugged now */
	uint64_t requested;     /* bytes the host wants plugged */
	uint64_t plugged;       /* bytes plugged, as the device counts them */
	uint64_t used;          /* of these, online here */
	uint64_t limbo;         /* of these, not used and not yet given back */
	/* How often units were plugged and unplugged; what was asked and refused. */
	uint64_t plugs, unplugs, requests, busy, evacuations_failed, add_failures;
};

/* The nth device. False behind the last. Any thread. */
bool virtio_mem_info(unsigned index, struct virtio_mem_info *info);

const char *virtio_mem_state_text(enum virtio_mem_state state);

/*
 * Plugs, and takes into use, all that is not plugged of [first, first + size): for a resume,
 * which needs memory where the old machine had it. True when all of the range in the regions of
 * devices is plugged and used; what lies in no device's region is not our affair. False with a
 * message: above all when the host wants us to have less.
 */
bool virtio_mem_require(kelp_paddr_t first, uint64_t size);

/*
 * Waits until every device has done what it can for now, at most `milliseconds`. True when each
 * that runs has as much as it was asked for.
 */
bool virtio_mem_settle(unsigned milliseconds);

/*
 * Stops the devices: the threads stand still and no device touches memory. What is plugged stays
 * plugged over a reset of the device (V5.15.6), so the memory is ours all the while. A restart
 * asks the device which blocks are plugged. False with a message when one that was in use is not:
 * then its contents are lost.
 */
void virtio_mem_stop(void);
bool virtio_mem_restart(void);

#endif
