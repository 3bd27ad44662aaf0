/* SPDX-License-Identifier: MIT */
/* virtio_rng: the entropy device (V5.4): one queue; buffers come back with random bytes. */
#include "drivers_private.h"

#include <drivers/random.h>
#include <drivers/virtio.h>
#include <drivers/wait.h>

#include <frames.h>
#include <lock.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

#define PATIENCE_MICROSECONDS 30000000u

/* One request at a time: there is one page, and one health of the source. */
static struct device_lock turn = DEVICE_LOCK(turn, "rng turn");

static struct {
	struct virtio_device virtio;
	struct virtio_queue queue;
	const char *state;     /* NULL: it works */
	kelp_paddr_t page;     /* what the device writes */
	struct spinlock lock;  /* over the queue and all below */
	bool done;
	uint32_t length;       /* how much the device wrote */
	struct thread *waiter;
	struct random_health health;
	struct random_stats stats;
} rng = {
	.state = "there is no entropy device (QEMU: -device virtio-rng-pci)",
	.lock = SPINLOCK("rng"),
};

/* Takes what the device has finished. */
static bool reap(void *context)
{
	unsigned long flags = spin_lock_irqsave(&rng.lock);
	uint32_t length;
	bool done;

	(void)context;
	if (rng.virtio.running && virtio_queue_take(&rng.queue, &length)) {
		rng.length = length;
		rng.done = true;
		if (rng.waiter)
			thread_wake(rng.waiter);
	}
	done = rng.done;
	spin_unlock_irqrestore(&rng.lock, flags);
	return done;
}

static void interrupt(void *context)
{
	(void)reap(context);
}

static bool give_up(const char *why)
{
	unsigned long flags = spin_lock_irqsave(&rng.lock);

	rng.state = why;
	kprintf("%s: %s; it is not used any more\n", rng.virtio.name, why);
	virtio_stop(&rng.virtio);
	(void)virtio_queue_abandon(&rng.queue);
	spin_unlock_irqrestore(&rng.lock, flags);
	return false;
}

/* Asks for up to `size` bytes (at most a page) and waits. It is our turn. */
static bool ask(uint32_t size)
{
	const struct virtio_buffer buffer = {rng.page, size};
	unsigned long flags = spin_lock_irqsave(&rng.lock);

	rng.done = false;
	rng.waiter = current_thread();
	(void)virtio_queue_add(&rng.queue, &buffer, 0, 1, &rng);
	virtio_queue_notify(&rng.queue);
	spin_unlock_irqrestore(&rng.lock, flags);
	if (!device_wait(reap, NULL, rng.queue.has_irq, PATIENCE_MICROSECONDS))
		return give_up("no answer for 30 s");
	rng.waiter = NULL;
	if (rng.length == 0 || rng.length > size)
		return give_up("it says that it wrote more than it could, or nothing");
	if (!random_health_check(&rng.health, direct_pointer(rng.page), rng.length))
		return give_up("what it gives is not random (SP 800-90B 4.4)");
	rng.stats.requests++;
	rng.stats.bytes += rng.length;
	return true;
}

static bool fill(uint8_t *buffer, size_t size)
{
	uint8_t *page = direct_pointer(rng.page);

	while (size && !rng.state) {
		if (!ask((uint32_t)min_u64(size, PAGE_SIZE)))
			return false;
		memcpy(buffer, page, rng.length);
		memset(page, 0, rng.length);
		buffer += rng.length;
		size -= rng.length;
	}
	return size == 0 && !rng.state;
}

bool random_bytes(void *buffer, size_t size)
{
	bool filled;

	device_lock_take(&turn);
	filled = fill(buffer, size);
	device_lock_give(&turn);
	if (!filled)
		memset(buffer, 0, size);
	return filled;
}

bool random_available(void)
{
	return !rng.state;
}

const char *random_source(void)
{
	return rng.state ? rng.state : rng.virtio.name;
}

void random_stats(struct random_stats *stats)
{
	*stats = rng.stats;
}

/* ---- life -------------------------------------------------------------------------------- */

#define STOPPED "the entropy device is stopped"

static bool bring_up(void)
{
	if (!virtio_negotiate(&rng.virtio, 0, 0) ||
	    !virtio_queue_open(&rng.queue, &rng.virtio, 0, 1, interrupt, NULL))
		return false;
	virtio_start(&rng.virtio);
	return true;
}

void random_stop(void)
{
	device_lock_take(&turn);
	if (!rng.state) {
		rng.state = STOPPED;
		virtio_stop(&rng.virtio);
	}
	device_lock_give(&turn);
}

bool random_restart(void)
{
	bool works;

	device_lock_take(&turn);
	if (rng.state && !strcmp(rng.state, STOPPED))
		rng.state = bring_up() ? NULL : "the entropy device did not come back";
	works = !rng.state;
	device_lock_give(&turn);
	return works;
}

void virtio_rng_probe(struct pci_device *pci)
{
	if (rng.page)
		return; /* one is enough */
	if (!frames_take_zeroed(0, FRAME_DIRECT, &rng.page)) {
		rng.state = "no memory for the entropy device";
		return;
	}
	if (!virtio_open(&rng.virtio, pci) || !bring_up()) {
		rng.state = "the entropy device does not work";
		return;
	}
	rng.state = NULL;
	kprintf("%s: %s\n", rng.virtio.name, rng.queue.has_irq ? "MSI-X" : "polled");
}
