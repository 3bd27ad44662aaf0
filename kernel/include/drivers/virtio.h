/* SPDX-License-Identifier: MIT */
/*
 * virtio: devices of the Virtual I/O Device specification 1.2 (cited as V), over PCI, version 1
 * or later; and their split virtqueues.
 *
 * A driver embeds struct virtio_device and its queues, and goes through
 *
 *	virtio_open(device, pci)              once: finds and maps the registers
 *	virtio_negotiate(device, ...)         reset, features
 *	virtio_queue_open(queue, ...)         for each queue
 *	virtio_start(device)                  the device works
 *
 * virtio_stop() resets the device: it has forgotten every buffer and touches no memory. After it
 * virtio_negotiate() and the rest bring the device back, on the same memory and interrupts: that
 * is what hibernation does around the moment in which memory must not change.
 *
 * Every failure is told on the console in one line that names the device and what it did.
 */
#ifndef HOLDFAST_DRIVERS_VIRTIO_H
#define HOLDFAST_DRIVERS_VIRTIO_H

#include <base.h>
#include <drivers/pci.h>

#define VIRTIO_VENDOR 0x1af4u

/* V5: device types. */
enum virtio_type {
	VIRTIO_NETWORK = 1,
	VIRTIO_BLOCK = 2,
	VIRTIO_CONSOLE = 3,
	VIRTIO_ENTROPY = 4,
	VIRTIO_BALLOON = 5,
	VIRTIO_SCSI = 8,
	VIRTIO_9P = 9,
	VIRTIO_GPU = 16,
	VIRTIO_INPUT = 18,
	VIRTIO_SOCKET = 19,
	VIRTIO_IOMMU = 23,
	VIRTIO_MEMORY = 24,
	VIRTIO_FILESYSTEM = 26,
	VIRTIO_PMEM = 27,
};

/* V6: features of every device. */
#define VIRTIO_F_VERSION_1       (UINT64_C(1) << 32)
#define VIRTIO_F_ACCESS_PLATFORM (UINT64_C(1) << 33)

#define VIRTIO_QUEUES_MAX 8u

struct virtio_queue;

struct virtio_device {
	struct pci_device *pci;
	const char *name;                /* "virtio-blk 00:03.0" */
	char name_text[32];
	enum virtio_type type;
	volatile uint8_t *common;        /* V4.1.4.3 */
	volatile uint8_t *notify;        /* V4.1.4.4 */
	uint32_t notify_size, notify_multiplier;
	volatile uint8_t *config;        /* V4.1.4.6; NULL: it has none */
	uint32_t config_size;
	uint64_t features;               /* agreed upon */
	bool interrupts;                 /* MSI-X works; false: its queues are polled */
	/* Called with interrupts off when the device changed its configuration; may be NULL. */
	void (*config_changed)(struct virtio_device *device);
	bool has_config_irq;
	unsigned config_irq;
	struct virtio_queue *queue[VIRTIO_QUEUES_MAX];
	bool running;
};

/* The type of a PCI device, 0 if it is not of virtio. */
unsigned virtio_type(const struct pci_device *pci);
const char *virtio_type_name(unsigned type);

/*
 * Finds and maps the device's registers and turns message interrupts on, unless the command line
 * says irq=poll. False with a message: it is not of version 1, or its registers are not there.
 */
bool virtio_open(struct virtio_device *device, struct pci_device *pci);

/*
 * Resets the device and agrees on features: of `wanted` those it offers. False with a message
 * when it lacks one of `required` or does not accept.
 */
bool virtio_negotiate(struct virtio_device *device, uint64_t wanted, uint64_t required);

/* The device may use its queues from here on. */
void virtio_start(struct virtio_device *device);

/* Resets it. When it does not answer, it is kept from memory by PCI's master enable bit. */
void virtio_stop(struct virtio_device *device);

/* True when the device says that it needs a reset (V2.1.2), or is gone. */
bool virtio_is_broken(const struct virtio_device *device);

/* The driver gives up: says why, and tells the device. */
void virtio_fail(struct virtio_device *device, const char *why);

/* Fields of the device's own configuration, read in one piece (V2.5.1). 0 beyond its end. */
uint32_t virtio_config32(const struct virtio_device *device, unsigned offset);
uint64_t virtio_config64(const struct virtio_device *device, unsigned offset);

/* ---- queues ------------------------------------------------------------------------------ */

#define VIRTIO_QUEUE_MAX 256u

/* V2.7: the three parts of a split virtqueue, in memory that the device reads and writes. */
struct virtq_descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};
struct virtq_available {
	uint16_t flags;
	uint16_t index;
	uint16_t ring[];
};
struct virtq_used_element {
	uint32_t id;
	uint32_t length;
};
struct virtq_used {
	uint16_t flags;
	uint16_t index;
	struct virtq_used_element ring[];
};

/* What we keep of each descriptor: nothing that the device says is needed to follow a chain. */
struct virtio_slot {
	void *token; /* of the chain that begins here; NULL: none does */
	uint16_t next;
	uint16_t count;
};

struct virtio_queue {
	struct virtio_device *device;
	uint16_t index;
	uint16_t size;
	struct virtq_descriptor *descriptors;
	struct virtq_available *available;
	struct virtq_used *used;
	volatile uint8_t *notify;
	uint16_t free_first, free_count;
	uint16_t available_index; /* ours; the device reads its copy */
	uint16_t used_index;      /* how far we have read */
	struct virtio_slot slot[VIRTIO_QUEUE_MAX];
	kelp_paddr_t memory;      /* the three parts; kept over a restart */
	unsigned order;
	bool irq_taken;           /* kept over a restart too */
	bool has_irq;             /* it comes; false: the queue is polled */
	unsigned irq;
	uint32_t notified, notifications_saved, completed; /* wrap around */
};

/* A piece of memory for the device. */
struct virtio_buffer {
	kelp_paddr_t address;
	uint32_t length;
};

/*
 * Sets queue `index` up with at most `size_max` descriptors. `interrupt` is called with
 * interrupts off when the device has used buffers; `context` is its argument. False with a
 * message: the device has no such queue, or there is no memory. The driver serialises all calls
 * on one queue.
 */
bool virtio_queue_open(struct virtio_queue *queue, struct virtio_device *device, unsigned index,
		       unsigned size_max, void (*interrupt)(void *context), void *context);

/*
 * Hands a chain of buffers to the device: `readable` ones that it reads, then `writable` ones
 * that it writes. `token` (not NULL) comes back when the device is done with them. False: not
 * enough free descriptors. The device need not look before virtio_queue_notify(), which, alone of
 * these, may run beside the others.
 */
bool virtio_queue_add(struct virtio_queue *queue, const struct virtio_buffer *buffer,
		      unsigned readable, unsigned writable, void *token);
void virtio_queue_notify(struct virtio_queue *queue);

/*
 * The token of the next chain that the device has finished, and how many bytes it wrote; NULL
 * when there is none. A device that returns what it was not given is failed.
 */
void *virtio_queue_take(struct virtio_queue *queue, uint32_t *written);

/* After virtio_stop(): the token of a chain that never came back; NULL when there are no more. */
void *virtio_queue_abandon(struct virtio_queue *queue);

#endif
