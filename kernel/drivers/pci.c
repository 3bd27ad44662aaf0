/* SPDX-License-Identifier: MIT */
/* pci: the devices: looking for them, their BARs, capabilities and message interrupts. */
#include "pci_config.h"

#include <drivers/mmio.h>

#include <arch.h>
#include <print.h>
#include <vm.h>

static struct pci_device devices[PCI_DEVICES_MAX];
static unsigned device_count;
static unsigned lost;

#define CLASS_BRIDGE 0x06u
#define SUBCLASS_HOST 0x00u
#define SUBCLASS_PCI  0x04u

#define HEADER_MANY_FUNCTIONS 0x80u
#define HEADER_LAYOUT         0x7fu
#define STATUS_CAPABILITIES   (1u << 4)

/* LB 6.2.5.1 */
#define BAR_IO           (1u << 0)
#define BAR_TYPE         (3u << 1)
#define BAR_TYPE_64      (2u << 1)
#define BAR_PREFETCHABLE (1u << 3)

/* LB 6.8.2 */
#define MSIX_CONTROL      2u
#define MSIX_TABLE        4u
#define MSIX_ENABLE       (1u << 15)
#define MSIX_MASK_ALL     (1u << 14)
#define MSIX_SIZE         0x7ffu
#define MSIX_ENTRY_SIZE   16u
#define MSIX_ENTRY_MASKED 1u

/* ---- looking ----------------------------------------------------------------------------- */

/* Where a BAR is, and how large: the address bits that do not take ones are the size. */
static void read_bar(struct pci_device *device, unsigned index, unsigned count)
{
	unsigned at = PCI_BAR + 4u * index;
	uint32_t low = pci_read(device->address, at, 4), high = 0;
	struct pci_bar *bar = &device->bar[index];
	uint64_t mask;

	bar->memory = !(low & BAR_IO);
	bar->wide = bar->memory && (low & BAR_TYPE) == BAR_TYPE_64 && index + 1u < count;
	bar->prefetchable = bar->memory && (low & BAR_PREFETCHABLE);
	pci_write(device->address, at, 4, UINT32_MAX);
	mask = pci_read(device->address, at, 4);
	pci_write(device->address, at, 4, low);
	if (bar->wide) {
		high = pci_read(device->address, at + 4u, 4);
		pci_write(device->address, at + 4u, 4, UINT32_MAX);
		mask |= (uint64_t)pci_read(device->address, at + 4u, 4) << 32;
		pci_write(device->address, at + 4u, 4, high);
	} else if (mask) {
		/* Ports may be decoded in 16 bits only. */
		mask |= bar->memory || mask >> 16 ? ~UINT64_C(0xffffffff) : ~UINT64_C(0xffff);
	}
	mask &= bar->memory ? ~UINT64_C(15) : ~UINT64_C(3);
	bar->size = mask ? ~mask + 1u : 0;
	bar->address = ((uint64_t)high << 32 | low) &
		       (bar->memory ? ~UINT64_C(15) : ~UINT64_C(3));
}

/* Sizes are read while the device does not answer: all ones are an address too. */
static void read_bars(struct pci_device *device)
{
	unsigned layout = device->header_type & HEADER_LAYOUT;
	unsigned count = layout == 0 ? 6 : layout == 1 ? 2 : 0;
	uint32_t command = pci_read(device->address, PCI_COMMAND, 2);
	unsigned long flags;
	char text[PCI_ADDRESS_TEXT];

	/* Host bridges decode more than their BARs: they are left alone. */
	if (device->class_code == CLASS_BRIDGE && device->subclass == SUBCLASS_HOST)
		return;
	flags = arch_irq_save();
	pci_write(device->address, PCI_COMMAND, 2,
		  command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	for (unsigned i = 0; i < count; i++) {
		read_bar(device, i, count);
		if (device->bar[i].wide)
			i++;
	}
	pci_write(device->address, PCI_COMMAND, 2, command);
	arch_irq_restore(flags);
	for (unsigned i = 0; i < count; i++) {
		if (!device->bar[i].size || device->bar[i].address)
			continue;
		kprintf("pci: %s: BAR %u was not placed by the firmware, not used\n",
			pci_address_text(text, device->address), i);
		device->bar[i].size = 0;
	}
}

unsigned pci_find_capability(const struct pci_device *device, unsigned id, unsigned after)
{
	unsigned at;

	if (!(pci_read(device->address, PCI_STATUS, 2) & STATUS_CAPABILITIES))
		return 0;
	at = pci_read(device->address, after ? after + 1u : PCI_CAPABILITIES, 1) & 0xfcu;
	/* A list that is longer than its space is a loop. */
	for (unsigned i = 0; at >= 0x40u && i < 48; i++) {
		if (pci_read(device->address, at, 1) == id)
			return at;
		at = pci_read(device->address, at + 1u, 1) & 0xfcu;
	}
	return 0;
}

static struct pci_device *add_device(pci_address_t address, uint32_t id)
{
	struct pci_device *device;

	if (device_count == PCI_DEVICES_MAX) {
		lost++;
		return NULL;
	}
	device = &devices[device_count++];
	*device = (struct pci_device){
		.address = address,
		.vendor = (uint16_t)id,
		.device = (uint16_t)(id >> 16),
		.revision = (uint8_t)pci_read(address, PCI_REVISION, 1),
		.interface = (uint8_t)pci_read(address, PCI_REVISION + 1u, 1),
		.subclass = (uint8_t)pci_read(address, PCI_REVISION + 2u, 1),
		.class_code = (uint8_t)pci_read(address, PCI_REVISION + 3u, 1),
		.header_type = (uint8_t)pci_read(address, PCI_HEADER_TYPE, 1),
	};
	if ((device->header_type & HEADER_LAYOUT) == 0) {
		device->subsystem_vendor = (uint16_t)pci_read(address, PCI_SUBSYSTEM_VENDOR, 2);
		device->subsystem = (uint16_t)pci_read(address, PCI_SUBSYSTEM, 2);
	}
	read_bars(device);
	device->msix = (uint8_t)pci_find_capability(device, PCI_CAPABILITY_MSIX, 0);
	if (device->msix)
		device->msix_entries = (uint16_t)(
			(pci_read(address, device->msix + MSIX_CONTROL, 2) & MSIX_SIZE) + 1u);
	return device;
}

/* Buses to look at: a bit per bus, so that a bridge that points back is no loop. */
static uint32_t known[8];
static uint8_t queue[256];
static unsigned queue_length;

static void look_at_bus_later(unsigned bus)
{
	if (known[bus / 32u] >> (bus % 32u) & 1u)
		return;
	known[bus / 32u] |= UINT32_C(1) << (bus % 32u);
	queue[queue_length++] = (uint8_t)bus;
}

static void look_at_slot(unsigned bus, unsigned slot)
{
	unsigned functions = 1;

	for (unsigned function = 0; function < functions; function++) {
		pci_address_t address = PCI_ADDRESS(bus, slot, function);
		uint32_t id = pci_read(address, PCI_VENDOR, 4);
		struct pci_device *device;

		/* LB 6.1: FFFFh is nobody's vendor id. */
		if ((id & 0xffffu) == 0xffffu)
			continue;
		if (function == 0 &&
		    (pci_read(address, PCI_HEADER_TYPE, 1) & HEADER_MANY_FUNCTIONS))
			functions = 8;
		device = add_device(address, id);
		if (device && device->class_code == CLASS_BRIDGE &&
		    device->subclass == SUBCLASS_PCI &&
		    (device->header_type & HEADER_LAYOUT) == 1)
			look_at_bus_later(pci_read(address, PCI_BUSES + 1u, 1));
	}
}

unsigned pci_init(void)
{
	if (!pci_config_init()) {
		kprintf("pci: there is none on this machine\n");
		return 0;
	}
	look_at_bus_later(0);
	for (unsigned i = 0; i < queue_length; i++) {
		if (!pci_config_open(queue[i])) {
			kprintf("pci: bus %u is out of reach\n", queue[i]);
			continue;
		}
		for (unsigned slot = 0; slot < 32; slot++)
			look_at_slot(queue[i], slot);
	}
	kprintf("pci: %u devices on %u %s, through %s\n", device_count, queue_length,
		queue_length == 1 ? "bus" : "buses", pci_access_name());
	if (lost)
		kprintf("pci: %u more than the %u we keep account of: not used\n", lost,
			PCI_DEVICES_MAX);
	return device_count;
}

struct pci_device *pci_device(unsigned index)
{
	return index < device_count ? &devices[index] : NULL;
}

/* ---- using them -------------------------------------------------------------------------- */

volatile uint8_t *pci_map_bar(struct pci_device *device, unsigned index)
{
	char text[PCI_ADDRESS_TEXT];
	struct pci_bar *bar;

	if (index >= PCI_BARS)
		return NULL;
	bar = &device->bar[index];
	if (!bar->memory || !bar->size)
		return NULL;
	if (!bar->mapping)
		bar->mapping = vm_map_physical(bar->address, bar->size, VM_DEVICE);
	if (!bar->mapping)
		kprintf("pci: %s: BAR %u (0x%llx, %llu bytes) cannot be mapped\n",
			pci_address_text(text, device->address), index,
			(unsigned long long)bar->address, (unsigned long long)bar->size);
	return bar->mapping;
}

static void place_bar(const struct pci_device *device, unsigned index)
{
	const struct pci_bar *bar = &device->bar[index];
	unsigned at = PCI_BAR + 4u * index;

	pci_write(device->address, at, 4, (uint32_t)bar->address);
	if (bar->wide)
		pci_write(device->address, at + 4u, 4, (uint32_t)(bar->address >> 32));
}

void pci_enable(struct pci_device *device)
{
	uint32_t command = pci_read(device->address, PCI_COMMAND, 2);
	unsigned long flags = arch_irq_save();

	/* As they were found: to a resumed kernel the firmware may have done it anew. */
	pci_write(device->address, PCI_COMMAND, 2,
		  command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (device->bar[i].memory && device->bar[i].size)
			place_bar(device, i);

	pci_write(device->address, PCI_COMMAND, 2,
		  command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_PIN);
	arch_irq_restore(flags);
}

void pci_disable_master(struct pci_device *device)
{
	uint32_t command = pci_read(device->address, PCI_COMMAND, 2);

	pci_write(device->address, PCI_COMMAND, 2, command & ~PCI_COMMAND_MASTER);
}

static void msix_control(const struct pci_device *device, uint32_t set)
{
	uint32_t control = pci_read(device->address, device->msix + MSIX_CONTROL, 2);

	pci_write(device->address, device->msix + MSIX_CONTROL, 2,
		  (control & ~(MSIX_ENABLE | MSIX_MASK_ALL)) | set);
}

bool pci_msix_enable(struct pci_device *device)
{
	uint32_t where;
	volatile uint8_t *bar;

	if (!device->msix)
		return false;
	where = pci_read(device->address, device->msix + MSIX_TABLE, 4);
	bar = pci_map_bar(device, where & 7u);
	where &= ~7u;
	if (!bar || where + device->msix_entries * MSIX_ENTRY_SIZE >
			    device->bar[pci_read(device->address, device->msix + MSIX_TABLE, 1) &
					7u].size)
		return false;
	device->msix_table = bar + where;
	/* Entries may be written once MSI-X is on; masked as a whole until none is stale. */
	msix_control(device, MSIX_ENABLE | MSIX_MASK_ALL);
	for (unsigned i = 0; i < device->msix_entries; i++)
		mmio_write32(device->msix_table + i * MSIX_ENTRY_SIZE + 12u, MSIX_ENTRY_MASKED);
	msix_control(device, MSIX_ENABLE);
	return true;
}

void pci_msix_disable(struct pci_device *device)
{
	if (device->msix)
		msix_control(device, 0);
}

void pci_msix_set(struct pci_device *device, unsigned entry, struct irq_message message)
{
	volatile uint8_t *at = device->msix_table + entry * MSIX_ENTRY_SIZE;

	assert(device->msix_table && entry < device->msix_entries);
	mmio_write32(at + 12, MSIX_ENTRY_MASKED);
	mmio_write64(at, message.address);
	mmio_write32(at + 8, message.data);
	mmio_write32(at + 12, 0);
}
