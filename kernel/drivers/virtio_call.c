/* SPDX-License-Identifier: MIT */
/* virtio_call: one request and its answer. */
#include "virtio_call.h"

#include <drivers/wait.h>

#include <frames.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

static bool reap(void *context)
{
	struct virtio_call *call = context;
	unsigned long flags = spin_lock_irqsave(&call->lock);
	uint32_t written;
	bool over;

	if (call->queue.device->running && virtio_queue_take(&call->queue, &written)) {
		call->written = written;
		call->done = true;
		if (call->waiter)
			thread_wake(call->waiter);
	}
	/* A device that has been failed answers no more. */
	over = call->done || !call->queue.device->running;
	spin_unlock_irqrestore(&call->lock, flags);
	return over;
}

static void interrupt(void *context)
{
	(void)reap(context);
}

bool virtio_call_open(struct virtio_call *call, struct virtio_device *device)
{
	if (!call->page && !frames_take_zeroed(0, FRAME_DIRECT, &call->page)) {
		kprintf("%s: no memory for its requests\n", device->name);
		return false;
	}
	if (!virtio_queue_open(&call->queue, device, 0, 2, interrupt, call))
		return false;
	if (call->queue.size >= 2)
		return true;
	kprintf("%s: a queue of %u is too short\n", device->name, call->queue.size);
	return false;
}

static void start(struct virtio_call *call, size_t request_size, size_t answer_size)
{
	const struct virtio_buffer buffer[] = {
		{call->page, (uint32_t)request_size},
		{call->page + VIRTIO_CALL_BYTES, (uint32_t)answer_size},
	};
	unsigned long flags = spin_lock_irqsave(&call->lock);

	call->done = false;
	call->waiter = current_thread();
	(void)virtio_queue_add(&call->queue, buffer, 1, 1, call);
	virtio_queue_notify(&call->queue);
	spin_unlock_irqrestore(&call->lock, flags);
}

bool virtio_call(struct virtio_call *call, const void *request, size_t request_size, void *answer,
		 size_t answer_size, size_t answer_least, unsigned seconds)
{
	struct virtio_device *device = call->queue.device;
	uint8_t *page = direct_pointer(call->page);
	bool answered;

	assert(request_size <= VIRTIO_CALL_BYTES && answer_size <= VIRTIO_CALL_BYTES);
	if (!device->running)
		return false;
	memcpy(page, request, request_size);
	memset(page + VIRTIO_CALL_BYTES, 0, answer_size);
	start(call, request_size, answer_size);
	answered = device_wait(reap, call, call->queue.has_irq, seconds * UINT64_C(1000000));
	call->waiter = NULL;
	if (!device->running)
		return false;
	if (!answered || call->written < answer_least) {
		virtio_fail(device, answered ? "its answer is too short" : "no answer");
		virtio_call_stop(call);
		return false;
	}
	memcpy(answer, page + VIRTIO_CALL_BYTES, answer_size);
	return true;
}

void virtio_call_stop(struct virtio_call *call)
{
	unsigned long flags = spin_lock_irqsave(&call->lock);

	virtio_stop(call->queue.device);
	while (virtio_queue_abandon(&call->queue))
		;
	spin_unlock_irqrestore(&call->lock, flags);
}
