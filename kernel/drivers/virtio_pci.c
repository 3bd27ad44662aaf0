/* SPDX-License-Identifier: MIT */
/* virtio_pci: the registers of a virtio device on PCI (V4.1), and its life cycle (V3.1). */
#include "virtio_private.h"

#include <drivers/mmio.h>
#include <drivers/wait.h>

#include <boot.h>
#include <print.h>

/* V4.1.4: a vendor-specific capability for each structure. */
enum {
	CAPABILITY_TYPE = 3,
	CAPABILITY_BAR = 4,
	CAPABILITY_OFFSET = 8,
	CAPABILITY_LENGTH = 12,
	CAPABILITY_MULTIPLIER = 16,
};
enum {
	STRUCTURE_COMMON = 1,
	STRUCTURE_NOTIFY = 2,
	STRUCTURE_DEVICE = 4,
};

/* V4.1.4.3 */
enum common_register {
	COMMON_DEVICE_FEATURE_SELECT = 0x00,
	COMMON_DEVICE_FEATURE = 0x04,
	COMMON_DRIVER_FEATURE_SELECT = 0x08,
	COMMON_DRIVER_FEATURE = 0x0c,
	COMMON_CONFIG_VECTOR = 0x10,
	COMMON_QUEUES = 0x12,
	COMMON_STATUS = 0x14,
	COMMON_GENERATION = 0x15,
	COMMON_QUEUE_SELECT = 0x16,
	COMMON_QUEUE_SIZE = 0x18,
	COMMON_QUEUE_VECTOR = 0x1a,
	COMMON_QUEUE_ENABLE = 0x1c,
	COMMON_QUEUE_NOTIFY_OFFSET = 0x1e,
	COMMON_QUEUE_DESCRIPTORS = 0x20,
	COMMON_QUEUE_DRIVER = 0x28,
	COMMON_QUEUE_DEVICE = 0x30,
	COMMON_SIZE = 0x38,
};
#define NO_VECTOR 0xffffu

/* V2.1 */
#define STATUS_ACKNOWLEDGE  1u
#define STATUS_DRIVER       2u
#define STATUS_DRIVER_OK    4u
#define STATUS_FEATURES_OK  8u
#define STATUS_NEEDS_RESET 64u
#define STATUS_FAILED     128u

#define RESET_MICROSECONDS 5000000u

/* ---- finding ----------------------------------------------------------------------------- */

/* V4.1.2.1: 1040h + type; devices that are also of version 0 have numbers of their own. */
unsigned virtio_type(const struct pci_device *pci)
{
	static const struct {
		uint16_t device;
		uint8_t type;
	} transitional[] = {
		{0x1000, VIRTIO_NETWORK}, {0x1001, VIRTIO_BLOCK}, {0x1002, VIRTIO_BALLOON},
		{0x1003, VIRTIO_CONSOLE}, {0x1004, VIRTIO_SCSI},  {0x1005, VIRTIO_ENTROPY},
		{0x1009, VIRTIO_9P},
	};

	if (pci->vendor != VIRTIO_VENDOR)
		return 0;
	if (pci->device >= 0x1040u && pci->device <= 0x107fu)
		return pci->device - 0x1040u;
	for (unsigned i = 0; i < ARRAY_COUNT(transitional); i++)
		if (transitional[i].device == pci->device)
			return transitional[i].type;
	return 0;
}

const char *virtio_type_name(unsigned type)
{
	switch (type) {
	case VIRTIO_NETWORK: return "virtio-net";
	case VIRTIO_BLOCK: return "virtio-blk";
	case VIRTIO_CONSOLE: return "virtio-console";
	case VIRTIO_ENTROPY: return "virtio-rng";
	case VIRTIO_BALLOON: return "virtio-balloon";
	case VIRTIO_SCSI: return "virtio-scsi";
	case VIRTIO_9P: return "virtio-9p";
	case VIRTIO_GPU: return "virtio-gpu";
	case VIRTIO_INPUT: return "virtio-input";
	case VIRTIO_SOCKET: return "virtio-vsock";
	case VIRTIO_IOMMU: return "virtio-iommu";
	case VIRTIO_MEMORY: return "virtio-mem";
	case VIRTIO_FILESYSTEM: return "virtio-fs";
	case VIRTIO_PMEM: return "virtio-pmem";
	default: return "virtio";
	}
}

/* The structure that a capability describes, mapped; NULL when it lies outside of its BAR. */
static volatile uint8_t *map_structure(struct pci_device *pci, unsigned capability,
				       uint32_t *length)
{
	unsigned index = pci_read(pci->address, capability + CAPABILITY_BAR, 1);
	uint32_t offset = pci_read(pci->address, capability + CAPABILITY_OFFSET, 4);
	volatile uint8_t *bar;

	*length = pci_read(pci->address, capability + CAPABILITY_LENGTH, 4);
	if (index >= PCI_BARS || (uint64_t)offset + *length > pci->bar[index].size)
		return NULL;
	bar = pci_map_bar(pci, index);
	return bar ? bar + offset : NULL;
}

static void find_structures(struct virtio_device *device)
{
	struct pci_device *pci = device->pci;
	uint32_t length;

	for (unsigned at = 0; (at = pci_find_capability(pci, PCI_CAPABILITY_VENDOR, at));) {
		volatile uint8_t **found = NULL;

		switch (pci_read(pci->address, at + CAPABILITY_TYPE, 1)) {
		case STRUCTURE_COMMON: found = &device->common; break;
		case STRUCTURE_NOTIFY: found = &device->notify; break;
		case STRUCTURE_DEVICE: found = &device->config; break;
		default: continue;
		}
		/* The first that we can use is the one that the device prefers (V4.1.4.1). */
		if (*found)
			continue;
		*found = map_structure(pci, at, &length);
		if (found == &device->common && length < COMMON_SIZE)
			*found = NULL;
		if (found == &device->notify) {
			device->notify_size = length;
			device->notify_multiplier =
				pci_read(pci->address, at + CAPABILITY_MULTIPLIER, 4);
		}
		if (found == &device->config)
			device->config_size = length;
	}
}

static void config_interrupt(void *context)
{
	struct virtio_device *device = context;

	if (device->config_changed)
		device->config_changed(device);
}

bool virtio_open(struct virtio_device *device, struct pci_device *pci)
{
	char text[PCI_ADDRESS_TEXT];

	device->pci = pci;
	device->type = virtio_type(pci);
	format_text(device->name_text, sizeof(device->name_text), "%s %s",
		    virtio_type_name(device->type), pci_address_text(text, pci->address));
	device->name = device->name_text;
	find_structures(device);
	if (!device->common || !device->notify) {
		kprintf("%s: its registers of version 1 are %s; start QEMU with "
			"disable-legacy=on for it\n", device->name,
			pci_find_capability(pci, PCI_CAPABILITY_VENDOR, 0) ? "out of reach"
									   : "missing");
		return false;
	}
	pci_enable(pci);
	device->interrupts = !command_line_has("irq=poll", NULL, 0) && pci_msix_enable(pci);
	if (device->interrupts && device->config_changed)
		device->has_config_irq = irq_allocate(device->name, config_interrupt, device,
						      &device->config_irq);
	pci->driver = virtio_type_name(device->type);
	return true;
}

/* ---- status ------------------------------------------------------------------------------ */

static uint8_t status(const struct virtio_device *device)
{
	return mmio_read8(device->common + COMMON_STATUS);
}

static void add_status(struct virtio_device *device, unsigned bits)
{
	mmio_write8(device->common + COMMON_STATUS, (uint8_t)(status(device) | bits));
}

bool virtio_is_broken(const struct virtio_device *device)
{
	/* All ones: nothing answers there any more. */
	return status(device) & STATUS_NEEDS_RESET;
}

void virtio_fail(struct virtio_device *device, const char *why)
{
	kprintf("%s: %s; it is not used any more\n", device->name, why);
	device->running = false;
	add_status(device, STATUS_FAILED);
}

static bool is_reset(void *context)
{
	return status(context) == 0;
}

/* V4.1.4.3.2: the reset is done when the status reads 0. */
static bool reset(struct virtio_device *device)
{
	mmio_write8(device->common + COMMON_STATUS, 0);
	return device_wait(is_reset, device, false, RESET_MICROSECONDS);
}

void virtio_stop(struct virtio_device *device)
{
	device->running = false;
	if (reset(device))
		return;
	pci_disable_master(device->pci);
	kprintf("%s: no answer to a reset; cut off from memory\n", device->name);
}

/* ---- features ---------------------------------------------------------------------------- */

static uint64_t offered_features(struct virtio_device *device)
{
	uint64_t features;

	mmio_write32(device->common + COMMON_DEVICE_FEATURE_SELECT, 1);
	features = (uint64_t)mmio_read32(device->common + COMMON_DEVICE_FEATURE) << 32;
	mmio_write32(device->common + COMMON_DEVICE_FEATURE_SELECT, 0);
	return features | mmio_read32(device->common + COMMON_DEVICE_FEATURE);
}

static void accept_features(struct virtio_device *device, uint64_t features)
{
	mmio_write32(device->common + COMMON_DRIVER_FEATURE_SELECT, 0);
	mmio_write32(device->common + COMMON_DRIVER_FEATURE, (uint32_t)features);
	mmio_write32(device->common + COMMON_DRIVER_FEATURE_SELECT, 1);
	mmio_write32(device->common + COMMON_DRIVER_FEATURE, (uint32_t)(features >> 32));
}

static bool set_config_vector(struct virtio_device *device)
{
	if (device->has_config_irq)
		pci_msix_set(device->pci, 0, irq_message(device->config_irq));
	mmio_write16(device->common + COMMON_CONFIG_VECTOR,
		     device->has_config_irq ? 0 : NO_VECTOR);
	return mmio_read16(device->common + COMMON_CONFIG_VECTOR) ==
	       (device->has_config_irq ? 0 : NO_VECTOR);
}

bool virtio_negotiate(struct virtio_device *device, uint64_t wanted, uint64_t required)
{
	uint64_t offered;

	pci_enable(device->pci);
	if (device->interrupts)
		device->interrupts = pci_msix_enable(device->pci);
	if (!reset(device)) {
		kprintf("%s: no answer to a reset\n", device->name);
		return false;
	}
	add_status(device, STATUS_ACKNOWLEDGE);
	add_status(device, STATUS_DRIVER);
	offered = offered_features(device);
	required |= VIRTIO_F_VERSION_1;
	if (required & ~offered) {
		kprintf("%s: it lacks the features 0x%llx that we cannot do without\n",
			device->name, (unsigned long long)(required & ~offered));
		add_status(device, STATUS_FAILED);
		return false;
	}
	device->features = offered & (wanted | required);
	accept_features(device, device->features);
	add_status(device, STATUS_FEATURES_OK);
	if (!(status(device) & STATUS_FEATURES_OK)) {
		kprintf("%s: it does not work with the features 0x%llx alone%s\n", device->name,
			(unsigned long long)device->features,
			offered & VIRTIO_F_ACCESS_PLATFORM
				? "; it wants addresses of an IOMMU (iommu_platform)" : "");
		add_status(device, STATUS_FAILED);
		return false;
	}
	if (!set_config_vector(device))
		kprintf("%s: changes of its configuration will go unnoticed\n", device->name);
	return true;
}

void virtio_start(struct virtio_device *device)
{
	device->running = true;
	add_status(device, STATUS_DRIVER_OK);
}

/* ---- queues ------------------------------------------------------------------------------ */

unsigned virtio_queue_limit(struct virtio_device *device, unsigned index)
{
	if (index >= mmio_read16(device->common + COMMON_QUEUES))
		return 0;
	mmio_write16(device->common + COMMON_QUEUE_SELECT, (uint16_t)index);
	return mmio_read16(device->common + COMMON_QUEUE_SIZE);
}

/* Entry 0 is for changes of the configuration, entry n + 1 for queue n. */
static void set_queue_vector(struct virtio_queue *queue)
{
	struct virtio_device *device = queue->device;
	unsigned entry = queue->index + 1u;

	if (queue->has_irq && entry < device->pci->msix_entries) {
		pci_msix_set(device->pci, entry, irq_message(queue->irq));
		mmio_write16(device->common + COMMON_QUEUE_VECTOR, (uint16_t)entry);
		/* It reads back as none when the device has no resources (V4.1.5.1.2). */
		if (mmio_read16(device->common + COMMON_QUEUE_VECTOR) == entry)
			return;
	}
	mmio_write16(device->common + COMMON_QUEUE_VECTOR, NO_VECTOR);
	if (queue->has_irq)
		kprintf("%s: no interrupt for queue %u, it is polled\n", device->name,
			queue->index);
	virtio_queue_silence(queue);
}

bool virtio_queue_attach(struct virtio_queue *queue, kelp_paddr_t descriptors,
			 kelp_paddr_t available, kelp_paddr_t used)
{
	struct virtio_device *device = queue->device;
	volatile uint8_t *common = device->common;
	uint32_t offset;

	mmio_write16(common + COMMON_QUEUE_SELECT, queue->index);
	mmio_write16(common + COMMON_QUEUE_SIZE, queue->size);
	mmio_write64(common + COMMON_QUEUE_DESCRIPTORS, descriptors);
	mmio_write64(common + COMMON_QUEUE_DRIVER, available);
	mmio_write64(common + COMMON_QUEUE_DEVICE, used);
	set_queue_vector(queue);
	offset = mmio_read16(common + COMMON_QUEUE_NOTIFY_OFFSET) * device->notify_multiplier;
	if (offset + 2u > device->notify_size) {
		kprintf("%s: queue %u is notified outside of its BAR\n", device->name,
			queue->index);
		return false;
	}
	queue->notify = device->notify + offset;
	mmio_write16(common + COMMON_QUEUE_ENABLE, 1);
	return true;
}

/* ---- the device's own configuration ------------------------------------------------------ */

uint32_t virtio_config32(const struct virtio_device *device, unsigned offset)
{
	return device->config && offset + 4u <= device->config_size
		       ? mmio_read32(device->config + offset) : 0;
}

uint64_t virtio_config64(const struct virtio_device *device, unsigned offset)
{
	uint8_t generation;
	uint64_t value;

	do {
		generation = mmio_read8(device->common + COMMON_GENERATION);
		value = virtio_config32(device, offset) |
			(uint64_t)virtio_config32(device, offset + 4u) << 32;
	} while (mmio_read8(device->common + COMMON_GENERATION) != generation);
	return value;
}
