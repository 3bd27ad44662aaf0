/* SPDX-License-Identifier: MIT */
/* devices: which driver is for which device. */
#include <drivers/devices.h>

#include "drivers_private.h"

#include <drivers/block.h>
#include <drivers/pci.h>
#include <drivers/pmem.h>
#include <drivers/random.h>
#include <drivers/virtio.h>
#include <drivers/virtio_mem.h>

#include <print.h>

static const struct {
	enum virtio_type type;
	void (*probe)(struct pci_device *pci);
} drivers[] = {
	{VIRTIO_BLOCK, virtio_blk_probe},
	{VIRTIO_ENTROPY, virtio_rng_probe},
	{VIRTIO_MEMORY, virtio_mem_probe},
	{VIRTIO_PMEM, virtio_pmem_probe},
};

void devices_init(void)
{
	struct pci_device *pci;

	pci_init();
	for (unsigned i = 0; (pci = pci_device(i)); i++)
		for (unsigned j = 0; j < ARRAY_COUNT(drivers); j++)
			if (virtio_type(pci) == drivers[j].type)
				drivers[j].probe(pci);
	if (!block_device(0))
		kprintf("disks: none (QEMU: -drive if=none,id=d,... "
			"-device virtio-blk-pci,drive=d)\n");
	if (!random_available())
		kprintf("random: %s\n", random_source());
}

bool devices_stop(void)
{
	struct block_device *disk;
	bool stopped = true;

	/* First of all: no memory comes or goes while the others stop. */
	virtio_mem_stop();
	for (unsigned i = 0; (disk = block_device(i)); i++) {
		enum block_status status = block_stop(disk);

		if (status == BLOCK_OK)
			continue;
		kprintf("%s: stopping it: %s\n", disk->name, block_status_text(status));
		stopped = false;
	}
	random_stop();
	return pmem_stop() && stopped;
}

bool devices_restart(void)
{
	struct block_device *disk;
	bool works = true;

	for (unsigned i = 0; (disk = block_device(i)); i++)
		works &= block_restart(disk);
	works &= pmem_restart();
	works &= virtio_mem_restart();
	if (random_restart())
		return works;
	kprintf("random: %s\n", random_source());
	/* A machine that never had one has lost nothing. */
	return works;
}
