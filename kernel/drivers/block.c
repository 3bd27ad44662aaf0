/* SPDX-License-Identifier: MIT */
/* block: what all disks have in common: checks, waiting, limits, stopping. */
#include <drivers/block.h>

#include <drivers/wait.h>

#include <print.h>
#include <thread.h>

/* Longer than a disk takes on a busy host, short enough that a person still waits. */
#define PATIENCE_MILLISECONDS 60000u

static struct block_device *disks[BLOCK_DEVICES_MAX];
static unsigned disk_count;

const char *block_status_text(enum block_status status)
{
	switch (status) {
	case BLOCK_OK: return "done";
	case BLOCK_PENDING: return "under way";
	case BLOCK_ARGUMENT: return "not a whole number of blocks, or too many segments";
	case BLOCK_RANGE: return "beyond the end of the disk";
	case BLOCK_READ_ONLY: return "the disk is read-only";
	case BLOCK_IO: return "the disk reports an error";
	case BLOCK_UNSUPPORTED: return "the disk does not know the operation";
	case BLOCK_TIMEOUT: return "no answer from the disk";
	case BLOCK_STOPPED: return "the disk is stopped";
	}
	return "unknown status";
}

void block_init(struct block_device *device, const char *name, const struct block_driver *driver)
{
	device->name = device->lock.name = name;
	device->driver = driver;
	device->patience = PATIENCE_MILLISECONDS;
	device->queue_last = &device->queue_first;
	device->state = BLOCK_RUNS;
}

bool block_add(struct block_device *device)
{
	if (disk_count == BLOCK_DEVICES_MAX)
		return false;
	disks[disk_count++] = device;
	return true;
}

struct block_device *block_device(unsigned index)
{
	return index < disk_count ? disks[index] : NULL;
}

/* ---- starting ---------------------------------------------------------------------------- */

static enum block_status check(const struct block_device *device,
			       const struct block_request *request)
{
	uint64_t bytes = 0;

	if (request->operation == BLOCK_FLUSH)
		return request->segments ? BLOCK_ARGUMENT : BLOCK_OK;
	if (request->operation == BLOCK_WRITE && device->read_only)
		return BLOCK_READ_ONLY;
	if (request->segments == 0 || request->segments > device->segments_max)
		return BLOCK_ARGUMENT;
	for (unsigned i = 0; i < request->segments; i++) {
		uint32_t length = request->segment[i].length;

		if (length == 0 || length > device->segment_max)
			return BLOCK_ARGUMENT;
		bytes += length;
	}
	if (bytes & (device->block_size - 1u))
		return BLOCK_ARGUMENT;
	bytes >>= block_shift(device->block_size);
	return request->first > device->blocks || bytes > device->blocks - request->first
		       ? BLOCK_RANGE : BLOCK_OK;
}

static void count(struct block_device *device, const struct block_request *request)
{
	uint64_t *operations = &device->stats.flushes, *bytes = NULL;

	if (request->operation != BLOCK_FLUSH) {
		bool read = request->operation == BLOCK_READ;

		operations = read ? &device->stats.reads : &device->stats.writes;
		bytes = read ? &device->stats.bytes_read : &device->stats.bytes_written;
	}
	(*operations)++;
	for (unsigned i = 0; i < request->segments; i++)
		*bytes += request->segment[i].length;
}

/*
 * The lock is held. Hands over what has been waiting for room, in order. True: notify() is due,
 * after the lock is released, because a virtual machine may spend long in it.
 */
static bool feed(struct block_device *device)
{
	bool due;

	while (device->queue_first && device->driver->start(device, device->queue_first)) {
		device->queue_first = device->queue_first->next;
		if (!device->queue_first)
			device->queue_last = &device->queue_first;
		device->in_flight++;
		device->unannounced = true;
	}
	if (device->in_flight > device->stats.most_in_flight)
		device->stats.most_in_flight = device->in_flight;
	due = device->unannounced && !device->plugs;
	if (due)
		device->unannounced = false;
	return due;
}

/* Starts a request that was checked, if the disk is in `state`. */
static enum block_status begin(struct block_device *device, struct block_request *request,
			       unsigned state)
{
	unsigned long flags = spin_lock_irqsave(&device->lock);
	enum block_status status;
	bool due = false;

	if (device->state != state) {
		request->status = BLOCK_STOPPED;
	} else if (request->operation == BLOCK_FLUSH && !device->cached) {
		request->status = BLOCK_OK;
	} else {
		request->status = BLOCK_PENDING;
		request->waiter = NULL;
		request->next = NULL;
		*device->queue_last = request;
		device->queue_last = &request->next;
		count(device, request);
		due = feed(device);
		device->stats.waited_for_room += device->queue_first != NULL;
	}
	status = request->status;
	spin_unlock_irqrestore(&device->lock, flags);
	if (due)
		device->driver->notify(device);
	return status;
}

enum block_status block_submit(struct block_device *device, struct block_request *request)
{
	request->status = check(device, request);
	return request->status == BLOCK_OK ? begin(device, request, BLOCK_RUNS) : request->status;
}

void block_plug(struct block_device *device)
{
	unsigned long flags = spin_lock_irqsave(&device->lock);

	device->plugs++;
	spin_unlock_irqrestore(&device->lock, flags);
}

void block_unplug(struct block_device *device)
{
	unsigned long flags = spin_lock_irqsave(&device->lock);
	bool due;

	assert(device->plugs);
	device->plugs--;
	due = feed(device);
	spin_unlock_irqrestore(&device->lock, flags);
	if (due)
		device->driver->notify(device);
}

/* ---- ending ------------------------------------------------------------------------------ */

/* The lock is held, so that whoever waits for the request still does. */
void block_ended(struct block_device *device, struct block_request *request,
		 enum block_status status)
{
	device->in_flight--;
	device->stats.failures += status != BLOCK_OK;
	request->status = status;
	if (request->waiter)
		thread_wake(request->waiter);
}

/* The lock is held. Nothing more will happen to any request. */
static void fail_all(struct block_device *device, enum block_status status)
{
	struct block_request *request;

	device->driver->stop(device, status);
	while ((request = device->queue_first)) {
		device->queue_first = request->next;
		device->in_flight++;
		block_ended(device, request, status);
	}
	device->queue_last = &device->queue_first;
}

/* The lock is held. */
static bool reap_and_feed(struct block_device *device)
{
	if (device->state != BLOCK_RUNS && device->state != BLOCK_STOPS)
		return false;
	if (device->driver->reap(device))
		return feed(device);
	device->state = BLOCK_HAS_FAILED;
	fail_all(device, BLOCK_IO);
	return false;
}

void block_interrupt(struct block_device *device)
{
	unsigned long flags = spin_lock_irqsave(&device->lock);
	bool due = reap_and_feed(device);

	device->stats.interrupts++;
	spin_unlock_irqrestore(&device->lock, flags);
	if (due)
		device->driver->notify(device);
}

struct waiting {
	struct block_device *device;
	struct block_request *request; /* NULL: for all of them */
};

static bool has_ended(void *context)
{
	struct waiting *waiting = context;
	struct block_device *device = waiting->device;
	struct block_request *request = waiting->request;
	unsigned long flags = spin_lock_irqsave(&device->lock);
	bool due = reap_and_feed(device), ended;

	ended = request ? request->status != BLOCK_PENDING
			: !device->in_flight && !device->queue_first;
	if (request)
		request->waiter = ended ? NULL : current_thread();
	spin_unlock_irqrestore(&device->lock, flags);
	if (due)
		device->driver->notify(device);
	return ended;
}

static void give_up(struct block_device *device)
{
	unsigned long flags = spin_lock_irqsave(&device->lock);

	if (device->state != BLOCK_HAS_FAILED) {
		kprintf("%s: no answer for %u ms, %u requests under way; it is not used any "
			"more\n", device->name, device->patience, device->in_flight);
		device->state = BLOCK_HAS_FAILED;
		fail_all(device, BLOCK_TIMEOUT);
	}
	spin_unlock_irqrestore(&device->lock, flags);
}

enum block_status block_wait(struct block_device *device, struct block_request *request)
{
	struct waiting waiting = {device, request};

	/* Refused: it was never under way. Else only block_ended() changes it, under the lock. */
	if (!device_wait(has_ended, &waiting, device->interrupts,
			 device->patience * UINT64_C(1000)))
		give_up(device);
	return request->status;
}

/* ---- whole transfers --------------------------------------------------------------------- */

/* Contiguous memory in pieces of one segment each, several under way at a time. */
#define PIECES 8u
#define PIECE_SIZE (256u * 1024u)

static enum block_status transfer(struct block_device *device, enum block_operation operation,
				  uint64_t first, kelp_paddr_t address, uint64_t size)
{
	uint32_t most = (uint32_t)align_down(min_u64(PIECE_SIZE, device->segment_max),
					     device->block_size);
	unsigned shift = block_shift(device->block_size);
	struct block_request request[PIECES];
	struct block_segment segment[PIECES];
	enum block_status status = size ? BLOCK_OK : BLOCK_ARGUMENT;
	unsigned started = 0, ended = 0;

	/* A range that is refused in its last piece must not have begun. */
	if (first > device->blocks || size >> shift > device->blocks - first)
		status = BLOCK_RANGE;
	if (size & (device->block_size - 1u))
		status = BLOCK_ARGUMENT;
	while (size && status == BLOCK_OK) {
		block_plug(device);
		for (; size && started - ended < PIECES; started++) {
			unsigned i = started % PIECES;
			uint32_t length = (uint32_t)min_u64(size, most);

			segment[i] = (struct block_segment){address, length};
			request[i] = (struct block_request){
				.operation = operation,
				.first = first,
				.segment = &segment[i],
				.segments = 1,
			};
			(void)block_submit(device, &request[i]);
			address += length;
			first += length >> shift;
			size -= length;
		}
		block_unplug(device);
		status = block_wait(device, &request[ended++ % PIECES]);
	}
	for (; ended != started; ended++) {
		enum block_status end = block_wait(device, &request[ended % PIECES]);

		if (status == BLOCK_OK)
			status = end;
	}
	return status;
}

enum block_status block_read(struct block_device *device, uint64_t first, kelp_paddr_t address,
			     uint64_t size)
{
	return transfer(device, BLOCK_READ, first, address, size);
}

enum block_status block_write(struct block_device *device, uint64_t first, kelp_paddr_t address,
			      uint64_t size)
{
	return transfer(device, BLOCK_WRITE, first, address, size);
}

enum block_status block_flush(struct block_device *device)
{
	struct block_request request = {.operation = BLOCK_FLUSH};

	(void)block_submit(device, &request);
	return block_wait(device, &request);
}

/* ---- stopping ---------------------------------------------------------------------------- */

enum block_status block_stop(struct block_device *device)
{
	struct block_request flush = {.operation = BLOCK_FLUSH};
	struct waiting all = {device, NULL};
	unsigned long flags = spin_lock_irqsave(&device->lock);
	bool ran = device->state == BLOCK_RUNS;

	if (ran)
		device->state = BLOCK_STOPS;
	spin_unlock_irqrestore(&device->lock, flags);
	if (!ran)
		return BLOCK_STOPPED;
	if (!device_wait(has_ended, &all, false, device->patience * UINT64_C(1000))) {
		give_up(device);
		return BLOCK_TIMEOUT;
	}
	(void)begin(device, &flush, BLOCK_STOPS);
	if (block_wait(device, &flush) == BLOCK_TIMEOUT)
		return BLOCK_TIMEOUT;
	flags = spin_lock_irqsave(&device->lock);
	device->state = BLOCK_HAS_STOPPED;
	fail_all(device, BLOCK_STOPPED);
	spin_unlock_irqrestore(&device->lock, flags);
	return flush.status;
}

bool block_restart(struct block_device *device)
{
	bool works = device->driver->restart(device);
	unsigned long flags = spin_lock_irqsave(&device->lock);

	device->state = works ? BLOCK_RUNS : BLOCK_HAS_FAILED;
	spin_unlock_irqrestore(&device->lock, flags);
	return works;
}
