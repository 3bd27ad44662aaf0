/* SPDX-License-Identifier: MIT */
/*
 * pci: finds the devices on PCI and PCI Express. PCI Local Bus Specification 3.0 (LB) and PCI
 * Express Base Specification 4.0; PCI Firmware Specification 3.2, 4.1.2 (MCFG).
 *
 * Configuration space is reached through memory (ECAM) where ACPI has an MCFG table, else
 * through I/O ports where the architecture has them. Windows into device memory are mapped by
 * vm_map_physical(), that is by Kelp, with the memory type DEVICE.
 *
 * The firmware has numbered the buses and placed the BARs; a BAR it left at 0 is not used, and
 * told. Segment group 0 only.
 */
#ifndef HOLDFAST_DRIVERS_PCI_H
#define HOLDFAST_DRIVERS_PCI_H

#include <base.h>
#include <irq.h>

#define PCI_DEVICES_MAX 64u
#define PCI_BARS 6u

/* LB chapter 6: offsets in configuration space. */
enum pci_register {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08, /* revision, interface, subclass, class: one byte each */
	PCI_HEADER_TYPE = 0x0e,
	PCI_BAR = 0x10,
	PCI_BUSES = 0x18, /* bridges: primary, secondary, subordinate */
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM = 0x2e,
	PCI_CAPABILITIES = 0x34,
};

#define PCI_COMMAND_IO     (1u << 0)
#define PCI_COMMAND_MEMORY (1u << 1)
#define PCI_COMMAND_MASTER (1u << 2)
#define PCI_COMMAND_NO_PIN (1u << 10) /* the interrupt pin stays silent */

#define PCI_CAPABILITY_VENDOR  0x09u
#define PCI_CAPABILITY_EXPRESS 0x10u
#define PCI_CAPABILITY_MSIX    0x11u

/* Bus, slot (0..31) and function (0..7) in the bits that every standard puts them in. */
typedef uint16_t pci_address_t;
#define PCI_ADDRESS(bus, slot, function) \
	((pci_address_t)((unsigned)(bus) << 8 | (unsigned)(slot) << 3 | (unsigned)(function)))

struct pci_bar {
	uint64_t address; /* physical, or the first port */
	uint64_t size;    /* 0: there is none, or it was not placed */
	bool memory;
	bool wide;        /* 64 bits: takes the next BAR's register too */
	bool prefetchable;
	void *mapping;    /* by pci_map_bar() */
};

struct pci_device {
	pci_address_t address;
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t class_code, subclass, interface, revision;
	uint8_t header_type;
	struct pci_bar bar[PCI_BARS];
	uint8_t msix;          /* where the capability is; 0: none */
	uint16_t msix_entries;
	volatile uint8_t *msix_table;
	const char *driver;    /* who uses it; NULL: nobody */
};

/* Looks once for all devices. Thread context, ACPI readable. Returns how many there are. */
unsigned pci_init(void);

/* The nth device, in order of address; NULL behind the last. */
struct pci_device *pci_device(unsigned index);

/* "ECAM" or "ports"; "none" when there is no PCI here. */
const char *pci_access_name(void);

/* 1, 2 or 4 bytes, aligned to their size. All ones where there is no device. */
uint32_t pci_read(pci_address_t address, unsigned offset, unsigned size);
void pci_write(pci_address_t address, unsigned offset, unsigned size, uint32_t value);

/* The same through the ports whatever the usual way is, to compare. False: no such ports. */
bool pci_read_by_ports(pci_address_t address, unsigned offset, unsigned size, uint32_t *value);

/* The next capability with this id behind `after` (0: the first). 0: there is none. */
unsigned pci_find_capability(const struct pci_device *device, unsigned id, unsigned after);

/* Memory of a BAR, mapped on first use and for good; NULL with a message when it cannot be. */
volatile uint8_t *pci_map_bar(struct pci_device *device, unsigned index);

/*
 * The device answers in memory, where it did when it was found, and may read and write ours; its
 * interrupt pin is off.
 */
void pci_enable(struct pci_device *device);
/* It may no longer read or write our memory. */
void pci_disable_master(struct pci_device *device);

/* True when message interrupts work now; the table is mapped and every entry masked. */
bool pci_msix_enable(struct pci_device *device);
void pci_msix_disable(struct pci_device *device);
/* Where entry `entry` (below msix_entries) sends its message. */
void pci_msix_set(struct pci_device *device, unsigned entry, struct irq_message message);

/* "00:02.0" */
#define PCI_ADDRESS_TEXT 12
const char *pci_address_text(char buffer[PCI_ADDRESS_TEXT], pci_address_t address);
/* What the class code means, for people. */
const char *pci_class_name(const struct pci_device *device);
/* The list, one device per line; BARs and capabilities below when `details`. */
void pci_print(bool details);

#endif
