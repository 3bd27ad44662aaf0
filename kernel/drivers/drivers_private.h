/* SPDX-License-Identifier: MIT */
/* drivers_private: what devices.c calls for each device it finds. */
#ifndef HOLDFAST_DRIVERS_PRIVATE_H
#define HOLDFAST_DRIVERS_PRIVATE_H

#include <drivers/pci.h>

/* Each takes the device into use, or says why not. */
void virtio_blk_probe(struct pci_device *pci);
void virtio_rng_probe(struct pci_device *pci);
void virtio_mem_probe(struct pci_device *pci);
void virtio_pmem_probe(struct pci_device *pci);

#endif
