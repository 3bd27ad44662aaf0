/* SPDX-License-Identifier: MIT */
/*
 * hibernate_disk: the disk that images are written to.
 *
 *	0      label: "HOLDFAST IMAGES", zeroes up to 4096
 *	4096   the area of kelp/snapshot.h (docs/IMAGE.md), up to the disk's end
 *
 * A disk without the label is never written to.
 */
#include "hibernate_private.h"

#include <drivers/block.h>

#include <print.h>
#include <vm.h>

#define LABEL_SIZE 4096u
static const char label[16] = "HOLDFAST IMAGES";

/* One request per slot, of one piece of memory each. */
static struct {
	struct block_device *device;
	unsigned shift;
	struct block_request request[KELP_SNAPSHOT_SLOTS];
	struct block_segment segment[KELP_SNAPSHOT_SLOTS];
} disk;

static uint64_t block_of(uint64_t offset)
{
	return (offset + LABEL_SIZE) >> disk.shift;
}

static bool disk_read(void *context, uint64_t offset, void *buffer, size_t size)
{
	(void)context;
	return block_read(disk.device, block_of(offset), direct_address(buffer), size) == BLOCK_OK;
}

static bool disk_write(void *context, uint64_t offset, const void *buffer, size_t size)
{
	(void)context;
	return block_write(disk.device, block_of(offset), direct_address(buffer), size) == BLOCK_OK;
}

static bool disk_flush(void *context)
{
	(void)context;
	return block_flush(disk.device) == BLOCK_OK;
}

static bool disk_start(void *context, unsigned slot, bool write, uint64_t offset, void *buffer,
		       size_t size)
{
	(void)context;
	disk.segment[slot] = (struct block_segment){direct_address(buffer), (uint32_t)size};
	disk.request[slot] = (struct block_request){
		.operation = write ? BLOCK_WRITE : BLOCK_READ,
		.first = block_of(offset),
		.segment = &disk.segment[slot],
		.segments = 1,
	};
	return block_submit(disk.device, &disk.request[slot]) == BLOCK_PENDING;
}

static bool disk_finish(void *context, unsigned slot)
{
	(void)context;
	return block_wait(disk.device, &disk.request[slot]) == BLOCK_OK;
}

static bool has_label(struct block_device *device)
{
	kelp_paddr_t page;
	bool found;

	if (device->block_size > LABEL_SIZE || !frames_take(0, FRAME_ANYWHERE, &page))
		return false;
	found = block_read(device, 0, page, LABEL_SIZE) == BLOCK_OK &&
		!memcmp(direct_pointer(page), label, sizeof(label));
	frames_give(0, page);
	return found;
}

const struct kelp_snapshot_disk *hibernate_disk(void)
{
	static struct kelp_snapshot_disk result;
	struct block_device *device;

	for (unsigned i = 0; (device = block_device(i)); i++)
		if (has_label(device))
			break;
	if (!device)
		return NULL;
	disk.device = device;
	disk.shift = block_shift(device->block_size);
	result = (struct kelp_snapshot_disk){
		.size = align_down((device->blocks << disk.shift) - LABEL_SIZE, KELP_IMAGE_BLOCK),
		.read = disk_read,
		.write = disk_write,
		.flush = disk_flush,
	};
	/* A device that takes small pieces only is cut to measure by block_write(). */
	if (device->segment_max >= HIBERNATE_IO_SIZE) {
		result.start = disk_start;
		result.finish = disk_finish;
	}
	return &result;
}

const char *hibernate_disk_name(void)
{
	return disk.device->name;
}

bool hibernate_disk_writable(void)
{
	return !disk.device->read_only;
}
