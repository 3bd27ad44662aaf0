/* SPDX-License-Identifier: MIT */
/* pci_config: configuration space through memory (ECAM) or through ports (mechanism 1). */
#include "pci_config.h"

#include <drivers/mmio.h>

#include <acpi.h>
#include <lock.h>
#include <print.h>
#include <vm.h>

/* PCI Firmware 3.2, 4.1.2: 44 bytes, then entries of 16. */
#define MCFG_ENTRIES 44u
struct mcfg_entry {
	uint64_t address;
	uint16_t segment;
	uint8_t first_bus;
	uint8_t last_bus;
	uint32_t reserved;
} __attribute__((packed));

#define ECAM_BUS_SIZE (1u * 1024u * 1024u)

/* LB 3.2.2.3.2 */
#define PORT_ADDRESS 0xcf8u
#define PORT_DATA    0xcfcu
#define PORT_ENABLE  (UINT32_C(1) << 31)

static struct mcfg_entry ecam;
static bool use_ecam, use_ports;
/* A bus's megabyte is mapped when a bridge leads to it: all 256 would cost tables for nothing. */
static volatile uint8_t *ecam_bus[256];
static struct spinlock port_lock = SPINLOCK("pci ports");

static bool find_ecam(void)
{
	const struct acpi_header *mcfg = acpi_find("MCFG");

	for (uint32_t at = MCFG_ENTRIES; mcfg && at + sizeof(ecam) <= mcfg->length;
	     at += (uint32_t)sizeof(ecam)) {
		memcpy(&ecam, (const uint8_t *)mcfg + at, sizeof(ecam));
		if (ecam.segment == 0 && ecam.address && ecam.first_bus == 0)
			return true;
	}
	return false;
}

/* The address register holds what was written, or there is no such mechanism. */
static bool find_ports(void)
{
	bool found;

	if (!arch_has_ports())
		return false;
	arch_port_write(PORT_ADDRESS, 4, PORT_ENABLE);
	found = arch_port_read(PORT_ADDRESS, 4) == PORT_ENABLE;
	arch_port_write(PORT_ADDRESS, 4, 0);
	return found;
}

bool pci_config_init(void)
{
	use_ports = find_ports();
	use_ecam = find_ecam();
	if (use_ecam && !pci_config_open(0)) {
		kprintf("pci: ECAM at 0x%llx cannot be mapped%s\n",
			(unsigned long long)ecam.address, use_ports ? ", using ports" : "");
		use_ecam = false;
	}
	return use_ecam || use_ports;
}

bool pci_config_open(unsigned bus)
{
	if (!use_ecam)
		return use_ports;
	if (bus > ecam.last_bus)
		return false;
	if (!ecam_bus[bus])
		ecam_bus[bus] = vm_map_physical(ecam.address + (uint64_t)bus * ECAM_BUS_SIZE,
						ECAM_BUS_SIZE, VM_DEVICE);
	return ecam_bus[bus] != NULL;
}

const char *pci_access_name(void)
{
	return use_ecam ? "ECAM" : use_ports ? "ports" : "none";
}

/* ---- ports ------------------------------------------------------------------------------- */

static uint32_t select(pci_address_t address, unsigned offset)
{
	return PORT_ENABLE | (uint32_t)address << 8 | (offset & 0xfcu);
}

bool pci_read_by_ports(pci_address_t address, unsigned offset, unsigned size, uint32_t *value)
{
	unsigned long flags;

	if (!use_ports || offset > 0xff)
		return false;
	flags = spin_lock_irqsave(&port_lock);
	arch_port_write(PORT_ADDRESS, 4, select(address, offset));
	*value = arch_port_read((uint16_t)(PORT_DATA + (offset & 3u)), size);
	spin_unlock_irqrestore(&port_lock, flags);
	return true;
}

static void write_by_ports(pci_address_t address, unsigned offset, unsigned size, uint32_t value)
{
	unsigned long flags;

	if (!use_ports || offset > 0xff)
		return;
	flags = spin_lock_irqsave(&port_lock);
	arch_port_write(PORT_ADDRESS, 4, select(address, offset));
	arch_port_write((uint16_t)(PORT_DATA + (offset & 3u)), size, value);
	spin_unlock_irqrestore(&port_lock, flags);
}

/* ---- either way -------------------------------------------------------------------------- */

static volatile uint8_t *ecam_register(pci_address_t address, unsigned offset)
{
	volatile uint8_t *bus = ecam_bus[address >> 8];

	return bus && offset < 4096u ? bus + ((address & 0xffu) << 12) + offset : NULL;
}

uint32_t pci_read(pci_address_t address, unsigned offset, unsigned size)
{
	uint32_t nothing = UINT32_MAX >> (32u - 8u * size), value = nothing;
	volatile uint8_t *at;

	if (!use_ecam)
		return pci_read_by_ports(address, offset, size, &value) ? value : nothing;
	at = ecam_register(address, offset);
	if (!at)
		return nothing;
	return size == 1 ? mmio_read8(at) : size == 2 ? mmio_read16(at) : mmio_read32(at);
}

void pci_write(pci_address_t address, unsigned offset, unsigned size, uint32_t value)
{
	volatile uint8_t *at;

	if (!use_ecam) {
		write_by_ports(address, offset, size, value);
		return;
	}
	at = ecam_register(address, offset);
	if (!at)
		return;
	if (size == 1)
		mmio_write8(at, (uint8_t)value);
	else if (size == 2)
		mmio_write16(at, (uint16_t)value);
	else
		mmio_write32(at, value);
}
