/* SPDX-License-Identifier: MIT */
/* virtio_private: what the queues ask of the transport; for virtio_*.c only. */
#ifndef HOLDFAST_DRIVERS_VIRTIO_PRIVATE_H
#define HOLDFAST_DRIVERS_VIRTIO_PRIVATE_H

#include <drivers/virtio.h>

/* How many descriptors the device takes in its queue; 0: there is no such queue. */
unsigned virtio_queue_limit(struct virtio_device *device, unsigned index);

/* Tells the device where the parts of the queue are, and which interrupt it has. */
bool virtio_queue_attach(struct virtio_queue *queue, kelp_paddr_t descriptors,
			 kelp_paddr_t available, kelp_paddr_t used);

/* The device did not take the interrupt: the queue is polled. */
void virtio_queue_silence(struct virtio_queue *queue);

#endif
