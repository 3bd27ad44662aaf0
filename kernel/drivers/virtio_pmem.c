/* SPDX-License-Identifier: MIT */
/*
 * virtio_pmem: persistent memory (V5.19). The device says where its memory is; that is read and
 * written like any other. Its one request makes permanent what was stored.
 */
#include "drivers_private.h"
#include "virtio_call.h"

#include <drivers/pmem.h>
#include <drivers/virtio.h>
#include <drivers/wait.h>

#include <hotplug.h>
#include <print.h>
#include <vm.h>

/* V5.19.4: offsets in the configuration. */
enum { CONFIG_START = 0, CONFIG_BYTES = 8, CONFIG_SIZE = 16 };

/* V5.19.6 */
enum { REQUEST_FLUSH = 0 };
enum { ANSWER_DONE = 0 };

/* A host flushes a whole file. */
#define PATIENCE_SECONDS 120u

struct virtio_pmem {
	struct pmem pmem;
	struct virtio_device virtio;
	struct virtio_call call;
	struct device_lock turn;
	uint64_t start, size; /* as the device says */
	bool attached;
};

static struct virtio_pmem devices[PMEM_DEVICES_MAX];
static unsigned device_count;

static const char stopped[] = "it is stopped";

/* Users look at it through pointers to const; the device behind it is ours. */
static struct virtio_pmem *device_of(const struct pmem *pmem)
{
	return container_of(pmem, struct virtio_pmem, pmem);
}

const struct pmem *pmem_device(unsigned index)
{
	return index < device_count ? &devices[index].pmem : NULL;
}

void *pmem_pointer(const struct pmem *pmem, uint64_t offset, uint64_t size)
{
	if (!device_of(pmem)->attached || offset > pmem->size || size > pmem->size - offset)
		return NULL;
	return direct_pointer(pmem->first + offset);
}

/* It is our turn. */
static bool flush(struct virtio_pmem *device)
{
	const uint32_t request = REQUEST_FLUSH;
	uint32_t answer = 0;

	/* What was stored is in the coherent caches: telling the device orders it. */
	if (!virtio_call(&device->call, &request, sizeof(request), &answer, sizeof(answer),
			 sizeof(answer), PATIENCE_SECONDS)) {
		device->pmem.state = "it does not answer";
		return false;
	}
	device->pmem.flushes++;
	return answer == ANSWER_DONE;
}

bool pmem_flush(const struct pmem *pmem)
{
	struct virtio_pmem *device = device_of(pmem);
	bool done;

	device_lock_take(&device->turn);
	done = !pmem->state && flush(device);
	device_lock_give(&device->turn);
	return done;
}

/* ---- life -------------------------------------------------------------------------------- */

static bool attach(struct virtio_pmem *device)
{
	struct pmem *pmem = &device->pmem;
	enum kelp_status status;

	if (device->attached)
		return true;
	status = hotplug_attach(pmem->first, pmem->size);
	device->attached = status == KELP_OK;
	if (!device->attached)
		kprintf("%s: its memory cannot be attached: %s\n", pmem->name,
			kelp_status_text(status));
	return device->attached;
}

bool pmem_attach(const struct pmem *pmem)
{
	struct virtio_pmem *device = device_of(pmem);
	bool done;

	device_lock_take(&device->turn);
	done = pmem->size && attach(device);
	device_lock_give(&device->turn);
	return done;
}

bool pmem_detach(const struct pmem *pmem)
{
	struct virtio_pmem *device = device_of(pmem);
	bool done;

	device_lock_take(&device->turn);
	done = device->attached && hotplug_detach(pmem->first, pmem->size) == KELP_OK;
	device->attached &= !done;
	device_lock_give(&device->turn);
	return done;
}

/* Where the memory is; on a restart it must be the same. */
static bool read_place(struct virtio_pmem *device)
{
	uint64_t start = virtio_config64(&device->virtio, CONFIG_START);
	uint64_t size = virtio_config64(&device->virtio, CONFIG_BYTES);
	kelp_paddr_t first = align_up(start, HOTPLUG_UNIT), end;

	if (device->virtio.config_size < CONFIG_SIZE || size == 0 || size > UINT64_MAX - start ||
	    first < start)
		return false;
	if (device->size)
		return device->start == start && device->size == size;
	end = align_down(start + size, HOTPLUG_UNIT);
	if (end <= first || end - 1u > direct_last())
		return false;
	device->start = start;
	device->size = size;
	device->pmem.first = first;
	device->pmem.size = end - first;
	return true;
}

static bool bring_up(struct virtio_pmem *device)
{
	if (!virtio_negotiate(&device->virtio, 0, 0) ||
	    !virtio_call_open(&device->call, &device->virtio))
		return false;
	if (!read_place(device)) {
		virtio_fail(&device->virtio, "its memory is not where it can be, or was");
		return false;
	}
	virtio_start(&device->virtio);
	return true;
}

bool pmem_stop(void)
{
	bool permanent = true;

	for (unsigned i = 0; i < device_count; i++) {
		struct virtio_pmem *device = &devices[i];

		device_lock_take(&device->turn);
		if (!device->pmem.state) {
			if (!flush(device)) {
				kprintf("%s: what was stored is not permanent\n",
					device->pmem.name);
				permanent = false;
			}
			virtio_call_stop(&device->call);
			device->pmem.state = stopped;
		}
		device_lock_give(&device->turn);
	}
	return permanent;
}

bool pmem_restart(void)
{
	bool works = true;

	for (unsigned i = 0; i < device_count; i++) {
		struct virtio_pmem *device = &devices[i];

		device_lock_take(&device->turn);
		if (device->pmem.state == stopped) {
			device->pmem.state = bring_up(device) ? NULL : "it did not come back";
			works &= !device->pmem.state;
		}
		device_lock_give(&device->turn);
	}
	return works;
}

void virtio_pmem_probe(struct pci_device *pci)
{
	struct virtio_pmem *device = &devices[device_count];
	char text[SIZE_TEXT];

	if (device_count == PMEM_DEVICES_MAX) {
		kprintf("virtio-pmem: more than %u devices, the others are not used\n",
			PMEM_DEVICES_MAX);
		return;
	}
	device->call.lock.name = "virtio-pmem";
	device->turn = (struct device_lock)DEVICE_LOCK(device->turn, "virtio-pmem turn");
	device->pmem.state = "it does not work";
	if (!virtio_open(&device->virtio, pci))
		return;
	device->pmem.name = device->virtio.name;
	/* What is taken below stays with it: a device that half works may still write there. */
	device_count++;
	if (!bring_up(device))
		return;
	if (!attach(device)) {
		virtio_call_stop(&device->call);
		return;
	}
	device->pmem.state = NULL;
	kprintf("%s: %s at 0x%llx, %s%s\n", device->pmem.name, size_text(text, device->pmem.size),
		(unsigned long long)device->pmem.first,
		device->call.queue.has_irq ? "MSI-X" : "polled",
		device->pmem.size == device->size ? "" : "; its ends that fill no subsection are "
							 "not used");
}
