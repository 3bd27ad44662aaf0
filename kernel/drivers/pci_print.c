/* SPDX-License-Identifier: MIT */
/* pci_print: the list of devices, for people. Class codes: PCI Code and ID Assignment 1.11. */
#include <drivers/pci.h>

#include <print.h>

const char *pci_address_text(char buffer[PCI_ADDRESS_TEXT], pci_address_t address)
{
	format_text(buffer, PCI_ADDRESS_TEXT, "%02x:%02x.%u", address >> 8, address >> 3 & 31u,
		    address & 7u);
	return buffer;
}

const char *pci_class_name(const struct pci_device *device)
{
	static const struct {
		uint8_t class_code, subclass;
		const char *name;
	} names[] = {
		{0x01, 0x00, "SCSI controller"}, {0x01, 0x01, "IDE controller"},
		{0x01, 0x06, "SATA controller"}, {0x01, 0x08, "NVMe controller"},
		{0x01, 0x80, "storage"},         {0x02, 0x00, "Ethernet controller"},
		{0x03, 0x00, "VGA display"},     {0x06, 0x00, "host bridge"},
		{0x06, 0x01, "ISA bridge"},      {0x06, 0x04, "PCI bridge"},
		{0x06, 0x80, "bridge"},          {0x08, 0x06, "IOMMU"},
		{0x0c, 0x03, "USB controller"},  {0x0c, 0x05, "SMBus"},
	};
	static const char *const classes[] = {
		"unclassified", "storage", "network", "display", "multimedia", "memory", "bridge",
		"communication", "system device", "input", "docking", "processor", "serial bus",
	};

	for (unsigned i = 0; i < ARRAY_COUNT(names); i++)
		if (names[i].class_code == device->class_code &&
		    names[i].subclass == device->subclass)
			return names[i].name;
	return device->class_code < ARRAY_COUNT(classes) ? classes[device->class_code] : "other";
}

static const char *capability_name(unsigned id)
{
	switch (id) {
	case 0x01: return "power management";
	case 0x05: return "MSI";
	case PCI_CAPABILITY_VENDOR: return "vendor-specific";
	case PCI_CAPABILITY_EXPRESS: return "PCI Express";
	case PCI_CAPABILITY_MSIX: return "MSI-X";
	case 0x12: return "SATA";
	case 0x13: return "advanced features";
	default: return NULL;
	}
}

static void print_details(const struct pci_device *device)
{
	unsigned listed = 0;
	char text[SIZE_TEXT];

	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *bar = &device->bar[i];

		if (bar->size)
			kprintf("         BAR %u: %s 0x%llx, %s%s%s%s\n", i,
				bar->memory ? "memory" : "ports", (unsigned long long)bar->address,
				size_text(text, bar->size), bar->wide ? ", 64-bit" : "",
				bar->prefetchable ? ", prefetchable" : "",
				bar->mapping ? ", mapped" : "");
	}
	for (unsigned at = 0x40; at < 0x100; at += 4) {
		unsigned id = pci_read(device->address, at, 1);

		/* Only what the list leads to is a capability. */
		for (unsigned found = 0; (found = pci_find_capability(device, id, found));)
			if (found == at) {
				const char *name = capability_name(id);

				kprintf("%s%s", listed++ ? ", " : "         capabilities: ",
					name ? name : "other");
				if (id == PCI_CAPABILITY_MSIX)
					kprintf(" (%u entries)", device->msix_entries);
				break;
			}
	}
	if (listed)
		kprintf("\n");
}

void pci_print(bool details)
{
	char text[PCI_ADDRESS_TEXT];
	struct pci_device *device;

	for (unsigned i = 0; (device = pci_device(i)); i++) {
		kprintf("  %s  %04x:%04x  %02x.%02x.%02x  %-20s%s%s\n",
			pci_address_text(text, device->address), device->vendor, device->device,
			device->class_code, device->subclass, device->interface,
			pci_class_name(device), device->driver ? "  " : "",
			device->driver ? device->driver : "");
		if (details)
			print_details(device);
	}
}
