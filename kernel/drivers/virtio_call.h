/* SPDX-License-Identifier: MIT */
/*
 * virtio_call: for devices that are asked and answer: one queue, one request at a time, a few
 * bytes there and a few bytes back.
 */
#ifndef HOLDFAST_DRIVERS_VIRTIO_CALL_H
#define HOLDFAST_DRIVERS_VIRTIO_CALL_H

#include <drivers/virtio.h>
#include <lock.h>

struct thread;

struct virtio_call {
	struct virtio_queue queue;
	kelp_paddr_t page;     /* what the device reads, and in its second half what it writes */
	struct spinlock lock;  /* over the queue and all below */
	bool done;
	uint32_t written;
	struct thread *waiter;
};

#define VIRTIO_CALL(text) {.lock = SPINLOCK(text)}
#define VIRTIO_CALL_BYTES 2048u

/*
 * Sets up queue 0 of a device that has been negotiated with; also on a restart. False with a
 * message. Whoever uses it serialises all calls.
 */
bool virtio_call_open(struct virtio_call *call, struct virtio_device *device);

/*
 * Asks and waits, at most `seconds`. The device must write `answer_least` bytes of the answer; what
 * it leaves out reads as zero. False: it does not answer, or not enough; it is failed then, with a
 * message. Thread context.
 */
bool virtio_call(struct virtio_call *call, const void *request, size_t request_size, void *answer,
		 size_t answer_size, size_t answer_least, unsigned seconds);

/* Resets the device: it touches no memory any more. */
void virtio_call_stop(struct virtio_call *call);

#endif
