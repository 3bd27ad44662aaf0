/* SPDX-License-Identifier: MIT */
/* virtio_blk: disks (V5.2). */
#include "drivers_private.h"

#include <drivers/block.h>
#include <drivers/virtio.h>

#include <frames.h>
#include <hibernate.h>
#include <print.h>
#include <vm.h>

#define FEATURE_SIZE_MAX    (UINT64_C(1) << 1)
#define FEATURE_SEG_MAX     (UINT64_C(1) << 2)
#define FEATURE_READ_ONLY   (UINT64_C(1) << 5)
#define FEATURE_BLOCK_SIZE  (UINT64_C(1) << 6)
#define FEATURE_FLUSH       (UINT64_C(1) << 9)
#define FEATURES (FEATURE_SIZE_MAX | FEATURE_SEG_MAX | FEATURE_READ_ONLY | FEATURE_BLOCK_SIZE | \
		  FEATURE_FLUSH)

/* V5.2.4: offsets in the configuration. */
enum {
	CONFIG_CAPACITY = 0,
	CONFIG_SIZE_MAX = 8,
	CONFIG_SEG_MAX = 12,
	CONFIG_BLOCK_SIZE = 20,
};

/* Addresses on the disk count in these, whatever its block size is (V5.2.6). */
#define SECTOR_SIZE 512u

/* V5.2.6 */
enum { TYPE_READ = 0, TYPE_WRITE = 1, TYPE_FLUSH = 4 };
enum { STATUS_OK = 0, STATUS_ERROR = 1, STATUS_UNSUPPORTED = 2, STATUS_NONE = 0xff };

/* What frames a request's data, in memory that the device sees. */
struct frame {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
	uint8_t status;
	uint8_t padding[15];
};

/* Each request takes a descriptor for its header, one for its status, and its segments'. */
#define REQUESTS_MAX (VIRTIO_QUEUE_MAX / 2u)
#define SEGMENTS_MAX 62u
#define NO_SLOT UINT16_MAX

struct virtio_blk {
	struct virtio_device virtio;
	struct virtio_queue queue;
	struct block_device block;
	struct frame *frames;
	kelp_paddr_t frames_address;
	uint16_t slot_next[REQUESTS_MAX];
	uint16_t slot_first;
};

static struct virtio_blk *blk_of(struct block_device *block)
{
	return container_of(block, struct virtio_blk, block);
}

/* ---- requests ---------------------------------------------------------------------------- */

static uint32_t request_type(enum block_operation operation)
{
	switch (operation) {
	case BLOCK_READ: return TYPE_READ;
	case BLOCK_WRITE: return TYPE_WRITE;
	case BLOCK_FLUSH: break;
	}
	return TYPE_FLUSH;
}

static bool blk_start(struct block_device *block, struct block_request *request)
{
	struct virtio_blk *blk = blk_of(block);
	struct virtio_buffer buffer[SEGMENTS_MAX + 2u];
	unsigned count = 0, readable, slot = blk->slot_first;
	kelp_paddr_t address = blk->frames_address + slot * sizeof(struct frame);

	if (slot == NO_SLOT)
		return false;
	blk->frames[slot] = (struct frame){
		.type = request_type(request->operation),
		.sector = request->first * (block->block_size / SECTOR_SIZE),
		.status = STATUS_NONE,
	};
	buffer[count++] = (struct virtio_buffer){address, offsetof(struct frame, status)};
	for (unsigned i = 0; i < request->segments; i++)
		buffer[count++] = (struct virtio_buffer){request->segment[i].address,
							 request->segment[i].length};
	readable = request->operation == BLOCK_WRITE ? count : 1;
	buffer[count++] = (struct virtio_buffer){address + offsetof(struct frame, status), 1};
	if (!virtio_queue_add(&blk->queue, buffer, readable, count - readable, request))
		return false;
	blk->slot_first = blk->slot_next[slot];
	request->slot = slot;
	return true;
}

static void blk_notify(struct block_device *block)
{
	virtio_queue_notify(&blk_of(block)->queue);
}

static void end(struct virtio_blk *blk, struct block_request *request, enum block_status status)
{
	blk->slot_next[request->slot] = blk->slot_first;
	blk->slot_first = (uint16_t)request->slot;
	block_ended(&blk->block, request, status);
}

static bool blk_reap(struct block_device *block)
{
	struct virtio_blk *blk = blk_of(block);
	struct block_request *request;
	uint32_t written;

	while ((request = virtio_queue_take(&blk->queue, &written))) {
		/* A device that wrote nothing did not even write the status. */
		switch (written ? blk->frames[request->slot].status : STATUS_NONE) {
		case STATUS_OK: end(blk, request, BLOCK_OK); break;
		case STATUS_UNSUPPORTED: end(blk, request, BLOCK_UNSUPPORTED); break;
		default: end(blk, request, BLOCK_IO); break;
		}
	}
	return blk->virtio.running;
}

static void blk_stop(struct block_device *block, enum block_status status)
{
	struct virtio_blk *blk = blk_of(block);
	struct block_request *request;

	virtio_stop(&blk->virtio);
	while ((request = virtio_queue_abandon(&blk->queue)))
		end(blk, request, status);
}

static void interrupt(void *context)
{
	struct virtio_blk *blk = context;

	block_interrupt(&blk->block);
}

/*
 * The device says that its size changed, or that it is broken. What is under way beyond a new end
 * the device refuses itself.
 */
static void config_changed(struct virtio_device *virtio)
{
	struct virtio_blk *blk = container_of(virtio, struct virtio_blk, virtio);
	struct block_device *block = &blk->block;
	uint64_t blocks = virtio_config64(virtio, CONFIG_CAPACITY) >>
			  (block_shift(block->block_size) - 9u);
	char text[SIZE_TEXT];

	if (!virtio->running)
		return;
	if (virtio_is_broken(virtio)) {
		virtio_fail(virtio, "it says that it needs a reset");
		block_interrupt(block);
	} else if (blocks != block->blocks) {
		kprintf("%s: now %s, %llu blocks\n", virtio->name,
			size_text(text, blocks << block_shift(block->block_size)),
			(unsigned long long)blocks);
		block->blocks = blocks;
	}
}

/* ---- the disk ---------------------------------------------------------------------------- */

static bool read_geometry(struct virtio_blk *blk)
{
	const struct virtio_device *virtio = &blk->virtio;
	struct block_device *block = &blk->block;
	uint32_t size_max = virtio_config32(virtio, CONFIG_SIZE_MAX);
	uint32_t seg_max = virtio_config32(virtio, CONFIG_SEG_MAX);

	block->block_size = SECTOR_SIZE;
	if (virtio->features & FEATURE_BLOCK_SIZE)
		block->block_size = virtio_config32(virtio, CONFIG_BLOCK_SIZE);
	if (block->block_size < SECTOR_SIZE || (block->block_size & (block->block_size - 1u))) {
		kprintf("%s: blocks of %u bytes cannot be\n", virtio->name, block->block_size);
		return false;
	}
	block->blocks = virtio_config64(virtio, CONFIG_CAPACITY) >>
			(block_shift(block->block_size) - 9u);
	block->read_only = virtio->features & FEATURE_READ_ONLY;
	/* One that cannot be asked to flush has no cache (V5.2.5.2). */
	block->cached = virtio->features & FEATURE_FLUSH;
	block->segment_max = UINT32_C(1) << 30;
	if ((virtio->features & FEATURE_SIZE_MAX) && size_max < block->segment_max)
		block->segment_max = size_max;
	/* Without a word about it a device need not take more than one (V5.2.5.1). */
	block->segments_max = virtio->features & FEATURE_SEG_MAX ? seg_max : 1;
	block->segments_max = (uint32_t)min_u64(block->segments_max, SEGMENTS_MAX);
	block->segments_max = (uint32_t)min_u64(block->segments_max, blk->queue.size - 2u);
	if (block->segments_max == 0 || block->segment_max < block->block_size) {
		kprintf("%s: it takes no whole block at a time\n", virtio->name);
		return false;
	}
	return true;
}

/* From reset to work, the first time and every other. */
static bool bring_up(struct virtio_blk *blk)
{
	if (!virtio_negotiate(&blk->virtio, FEATURES, 0) ||
	    !virtio_queue_open(&blk->queue, &blk->virtio, 0, VIRTIO_QUEUE_MAX, interrupt, blk))
		return false;
	if (blk->queue.size < 4) {
		kprintf("%s: a queue of %u is too short\n", blk->virtio.name, blk->queue.size);
		return false;
	}
	for (unsigned i = 0; i < REQUESTS_MAX; i++)
		blk->slot_next[i] = i + 1u < REQUESTS_MAX ? (uint16_t)(i + 1u) : NO_SLOT;
	blk->slot_first = 0;
	blk->block.interrupts = blk->queue.has_irq;
	return true;
}

static bool blk_restart(struct block_device *block)
{
	struct virtio_blk *blk = blk_of(block);
	uint64_t blocks = block->blocks;
	uint32_t block_size = block->block_size;

	if (!bring_up(blk) || !read_geometry(blk))
		return false;
	if (block->blocks != blocks || block->block_size != block_size) {
		virtio_fail(&blk->virtio, "it is another disk than before");
		return false;
	}
	virtio_start(&blk->virtio);
	return true;
}

static const struct block_driver driver = {
	.start = blk_start,
	.notify = blk_notify,
	.reap = blk_reap,
	.stop = blk_stop,
	.restart = blk_restart,
};

/* The frames of all requests in one block. */
static bool take_frames(struct virtio_blk *blk)
{
	if (!frames_take(frames_order(REQUESTS_MAX * sizeof(struct frame)), FRAME_DIRECT,
			 &blk->frames_address)) {
		kprintf("%s: no memory for its requests\n", blk->virtio.name);
		return false;
	}
	blk->frames = direct_pointer(blk->frames_address);
	hibernate_changing(blk->frames_address, REQUESTS_MAX * sizeof(struct frame));
	return true;
}

static void announce(const struct virtio_blk *blk)
{
	const struct block_device *block = &blk->block;
	char text[SIZE_TEXT];

	kprintf("%s: %s, %llu blocks of %u bytes%s, %s, %u descriptors, %s\n", blk->virtio.name,
		size_text(text, block->blocks << block_shift(block->block_size)),
		(unsigned long long)block->blocks, block->block_size,
		block->read_only ? ", read-only" : "", block->cached ? "cached" : "uncached",
		blk->queue.size, block->interrupts ? "MSI-X" : "polled");
}

void virtio_blk_probe(struct pci_device *pci)
{
	static struct virtio_blk blks[BLOCK_DEVICES_MAX];
	static unsigned count;
	struct virtio_blk *blk = &blks[count];

	if (count == BLOCK_DEVICES_MAX) {
		kprintf("virtio-blk: more than %u disks, the others are not used\n",
			BLOCK_DEVICES_MAX);
		return;
	}
	blk->virtio.config_changed = config_changed;
	if (!virtio_open(&blk->virtio, pci) || !take_frames(blk) || !bring_up(blk) ||
	    !read_geometry(blk)) {
		/* What was taken stays with it: a device that half works may still write there. */
		count++;
		return;
	}
	block_init(&blk->block, blk->virtio.name, &driver);
	virtio_start(&blk->virtio);
	count++;
	if (block_add(&blk->block))
		announce(blk);
}
