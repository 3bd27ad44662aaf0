/* SPDX-License-Identifier: MIT */
/*
 * block: disks. Requests name physical memory, so that a frame which is mapped nowhere can be
 * written or read like any other; any number of requests may be under way.
 *
 *	struct block_request request = {
 *		.operation = BLOCK_WRITE, .first = 8, .segment = segments, .segments = 2,
 *	};
 *	block_submit(disk, &request);
 *	...
 *	status = block_wait(disk, &request);
 *
 * Requests under way may be carried out in any order. A write that has ended may still be in the
 * disk's cache; a flush that is submitted after its end makes it permanent. Memory of a request
 * and the struct itself are left alone until block_wait() has returned.
 *
 * Functions may be called from any thread, and with interrupts off (then they poll), but not
 * from interrupts.
 */
#ifndef HOLDFAST_DRIVERS_BLOCK_H
#define HOLDFAST_DRIVERS_BLOCK_H

#include <base.h>
#include <lock.h>

enum block_operation {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH, /* no segments */
};

enum block_status {
	BLOCK_OK = 0,
	BLOCK_PENDING,     /* not ended yet */
	BLOCK_ARGUMENT,    /* no whole number of blocks, or too many segments: see the limits */
	BLOCK_RANGE,       /* beyond the end of the disk */
	BLOCK_READ_ONLY,   /* a write to a disk that cannot be written */
	BLOCK_IO,          /* the disk says that it failed */
	BLOCK_UNSUPPORTED, /* the disk does not know the operation */
	BLOCK_TIMEOUT,     /* no answer; the disk is not used any more */
	BLOCK_STOPPED,     /* block_stop() was called, or the disk has failed before */
};

const char *block_status_text(enum block_status status);

struct block_segment {
	kelp_paddr_t address;
	uint32_t length;
};

struct thread;

struct block_request {
	enum block_operation operation;
	uint64_t first; /* in blocks */
	const struct block_segment *segment;
	unsigned segments;

	/* Private. */
	enum block_status status;
	struct thread *waiter;
	struct block_request *next;
	unsigned slot;
};

struct block_device;

/* What a driver does. All but `notify` and `restart` are called with the device's lock held. */
struct block_driver {
	/* Hands it to the device. False: no room now; the request is offered again later. */
	bool (*start)(struct block_device *device, struct block_request *request);
	/* After one or more start(): the device may look. Any number may call it at a time. */
	void (*notify)(struct block_device *device);
	/*
	 * Calls block_ended() for every request that the device has finished. False: the device is
	 * broken, and what is under way will never end.
	 */
	bool (*reap)(struct block_device *device);
	/* Resets the device, then calls block_ended() for all that are under way. */
	void (*stop)(struct block_device *device, enum block_status status);
	/* After stop(): the device works again. Thread context, no lock held. */
	bool (*restart)(struct block_device *device);
};

struct block_stats {
	uint64_t reads, writes, flushes, failures;
	uint64_t bytes_read, bytes_written;
	uint64_t waited_for_room; /* requests that did not fit at once */
	uint64_t interrupts;
	uint32_t most_in_flight;
};

struct block_device {
	const char *name;
	const struct block_driver *driver;
	uint32_t block_size;   /* bytes: a power of two from 512 on */
	uint64_t blocks;
	bool read_only;
	bool cached;           /* what was written is permanent only after a flush */
	bool interrupts;       /* false: it is polled */
	uint32_t segments_max; /* per request */
	uint32_t segment_max;  /* bytes per segment */
	uint32_t patience;     /* milliseconds until a disk that does not answer is given up */

	/* Private, but for printing. */
	struct spinlock lock;
	enum { BLOCK_RUNS, BLOCK_STOPS, BLOCK_HAS_STOPPED, BLOCK_HAS_FAILED } state;
	uint32_t in_flight;
	uint32_t plugs;
	bool unannounced;      /* started while plugged */
	struct block_request *queue_first, **queue_last; /* for these there was no room */
	struct block_stats stats;
};

/* The power of two that the size of blocks is; cheaper than a division, which 32 bits lack here. */
static inline unsigned block_shift(uint32_t block_size)
{
	unsigned shift = 9;

	while (UINT32_C(1) << shift < block_size)
		shift++;
	return shift;
}

/* ---- for users --------------------------------------------------------------------------- */

/* The nth disk; NULL behind the last. */
struct block_device *block_device(unsigned index);

/* Checks and starts a request. Anything but BLOCK_PENDING: it was refused, nothing happened. */
enum block_status block_submit(struct block_device *device, struct block_request *request);

/*
 * Between the two the device is not told of new requests, and then of all at once: one
 * notification costs a virtual machine more than a request. Waiting for a request in between is
 * a mistake: it might wait for ever. May be nested.
 */
void block_plug(struct block_device *device);
void block_unplug(struct block_device *device);

/* Waits for the end of a request. May be called for one that was refused. */
enum block_status block_wait(struct block_device *device, struct block_request *request);

/* Submit and wait. `size` bytes at a physical address, any whole number of blocks. */
enum block_status block_read(struct block_device *device, uint64_t first, kelp_paddr_t address,
			     uint64_t size);
enum block_status block_write(struct block_device *device, uint64_t first, kelp_paddr_t address,
			      uint64_t size);
enum block_status block_flush(struct block_device *device);

/*
 * Refuses new requests, waits for those under way, flushes, and resets the device: from then on
 * it touches no memory. The result is that of the flush.
 */
enum block_status block_stop(struct block_device *device);
/* Undoes it. False with a message when the device does not come back. */
bool block_restart(struct block_device *device);

/* ---- for drivers ------------------------------------------------------------------------- */

#define BLOCK_DEVICES_MAX 8u

/* Prepares what all disks have in common; limits may be set before or after. */
void block_init(struct block_device *device, const char *name, const struct block_driver *driver);

/* Adds a disk that works. False: there are too many. */
bool block_add(struct block_device *device);

/* From the device's interrupt. */
void block_interrupt(struct block_device *device);

/* From reap() and stop(): the request is over. */
void block_ended(struct block_device *device, struct block_request *request,
		 enum block_status status);

#endif
