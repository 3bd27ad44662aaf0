/* SPDX-License-Identifier: MIT */
/* virtio_queue: split virtqueues (V2.7). */
#include "virtio_private.h"

#include <drivers/mmio.h>

#include <frames.h>
#include <hibernate.h>
#include <print.h>
#include <vm.h>

#define DESCRIPTOR_NEXT  1u
#define DESCRIPTOR_WRITE 2u
#define USED_NO_NOTIFY          1u
#define AVAILABLE_NO_INTERRUPT  1u

/* Alignments: 16 for descriptors, 2, 4 (V2.7). */
static uint64_t available_offset(unsigned size)
{
	return sizeof(struct virtq_descriptor) * size;
}

static uint64_t used_offset(unsigned size)
{
	uint64_t end = available_offset(size) + sizeof(struct virtq_available) +
		       sizeof(uint16_t) * (size + 1u);

	return align_up(end, 4);
}

static uint64_t queue_bytes(unsigned size)
{
	return used_offset(size) + sizeof(struct virtq_used) +
	       sizeof(struct virtq_used_element) * size + sizeof(uint16_t);
}

/* Empty, with every descriptor in the free list. */
static void clear(struct virtio_queue *queue)
{
	memset(queue->descriptors, 0, (size_t)(PAGE_SIZE << queue->order));
	if (!queue->has_irq)
		queue->available->flags = AVAILABLE_NO_INTERRUPT;
	for (unsigned i = 0; i < queue->size; i++)
		queue->slot[i] = (struct virtio_slot){NULL, (uint16_t)(i + 1u), 0};
	queue->free_first = 0;
	queue->free_count = queue->size;
	queue->available_index = queue->used_index = 0;
}

/* A power of two (V2.7), no more than the device, the driver and our own limit allow. */
static uint16_t choose_size(unsigned device_max, unsigned driver_max)
{
	unsigned limit = (unsigned)min_u64(min_u64(device_max, driver_max), VIRTIO_QUEUE_MAX);
	unsigned size = 1;

	while (size * 2u <= limit)
		size *= 2u;
	return (uint16_t)size;
}

static bool take_memory(struct virtio_queue *queue)
{
	uint8_t *base;

	queue->order = frames_order(queue_bytes(queue->size));
	if (!queue->memory) {
		if (!frames_take(queue->order, FRAME_DIRECT, &queue->memory)) {
			kprintf("%s: no memory for queue %u (%llu bytes)\n", queue->device->name,
				queue->index, (unsigned long long)(PAGE_SIZE << queue->order));
			return false;
		}
		/* Devices that tests play come and go; they are on no bus. */
		if (queue->device->pci->vendor)
			hibernate_changing(queue->memory, PAGE_SIZE << queue->order);
	}
	base = direct_pointer(queue->memory);
	queue->descriptors = (struct virtq_descriptor *)(void *)base;
	queue->available = (struct virtq_available *)(void *)(base + available_offset(queue->size));
	queue->used = (struct virtq_used *)(void *)(base + used_offset(queue->size));
	return true;
}

bool virtio_queue_open(struct virtio_queue *queue, struct virtio_device *device, unsigned index,
		       unsigned size_max, void (*interrupt)(void *context), void *context)
{
	unsigned device_max = index < VIRTIO_QUEUES_MAX ? virtio_queue_limit(device, index) : 0;

	if (device_max == 0) {
		kprintf("%s: it has no queue %u\n", device->name, index);
		return false;
	}
	/* On a restart the size is what it was, or the memory would not fit. */
	if (queue->memory && queue->size > device_max) {
		kprintf("%s: queue %u shrank from %u to %u\n", device->name, index, queue->size,
			device_max);
		return false;
	}
	if (!queue->memory)
		queue->size = choose_size(device_max, size_max);
	queue->device = device;
	queue->index = (uint16_t)index;
	if (!take_memory(queue))
		return false;
	if (device->interrupts && !queue->irq_taken)
		queue->irq_taken = irq_allocate(device->name, interrupt, context, &queue->irq);
	queue->has_irq = device->interrupts && queue->irq_taken;
	clear(queue);
	device->queue[index] = queue;
	return virtio_queue_attach(queue, queue->memory,
				   queue->memory + available_offset(queue->size),
				   queue->memory + used_offset(queue->size));
}

void virtio_queue_silence(struct virtio_queue *queue)
{
	queue->has_irq = false;
	queue->available->flags = AVAILABLE_NO_INTERRUPT;
}

bool virtio_queue_add(struct virtio_queue *queue, const struct virtio_buffer *buffer,
		      unsigned readable, unsigned writable, void *token)
{
	unsigned count = readable + writable;
	uint16_t head = queue->free_first, at = head;

	assert(token && count);
	if (queue->free_count < count)
		return false;
	for (unsigned i = 0; i < count; i++) {
		queue->descriptors[at] = (struct virtq_descriptor){
			.address = buffer[i].address,
			.length = buffer[i].length,
			.flags = (uint16_t)((i + 1u < count ? DESCRIPTOR_NEXT : 0) |
					    (i < readable ? 0 : DESCRIPTOR_WRITE)),
			.next = i + 1u < count ? queue->slot[at].next : (uint16_t)0,
		};
		at = queue->slot[at].next;
	}
	queue->free_first = at;
	queue->free_count = (uint16_t)(queue->free_count - count);
	queue->slot[head].token = token;
	queue->slot[head].count = (uint16_t)count;
	queue->available->ring[queue->available_index % queue->size] = head;
	queue->available_index++;
	/* The device may look at any time: the chain is complete before it is announced. */
	__atomic_store_n(&queue->available->index, queue->available_index, __ATOMIC_RELEASE);
	return true;
}

void virtio_queue_notify(struct virtio_queue *queue)
{
	/* Announced before asked whether it looks by itself, or both sides could wait (V2.7.13). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED) & USED_NO_NOTIFY) {
		__atomic_fetch_add(&queue->notifications_saved, 1, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_add(&queue->notified, 1, __ATOMIC_RELAXED);
	mmio_write16(queue->notify, queue->index);
}

/* The chain's descriptors are free again. */
static void *release(struct virtio_queue *queue, uint16_t head)
{
	struct virtio_slot *slot = &queue->slot[head];
	void *token = slot->token;
	uint16_t last = head;

	for (unsigned i = 1; i < slot->count; i++)
		last = queue->slot[last].next;
	queue->slot[last].next = queue->free_first;
	queue->free_first = head;
	queue->free_count = (uint16_t)(queue->free_count + slot->count);
	slot->token = NULL;
	return token;
}

void *virtio_queue_take(struct virtio_queue *queue, uint32_t *written)
{
	const struct virtq_used_element *element;
	uint32_t id;

	if (!queue->device->running)
		return NULL;
	/* Acquire: what the device wrote before it counted up is seen. */
	if (__atomic_load_n(&queue->used->index, __ATOMIC_ACQUIRE) == queue->used_index)
		return NULL;
	element = &queue->used->ring[queue->used_index % queue->size];
	id = __atomic_load_n(&element->id, __ATOMIC_RELAXED);
	if (id >= queue->size || !queue->slot[id].token) {
		virtio_fail(queue->device, "it returned a buffer that it was not given");
		return NULL;
	}
	*written = __atomic_load_n(&element->length, __ATOMIC_RELAXED);
	queue->used_index++;
	queue->completed++;
	return release(queue, (uint16_t)id);
}

void *virtio_queue_abandon(struct virtio_queue *queue)
{
	assert(!queue->device->running);
	for (uint16_t i = 0; i < queue->size; i++)
		if (queue->slot[i].token)
			return release(queue, i);
	return NULL;
}
