/* SPDX-License-Identifier: MIT */
/* pci_config: the ways into configuration space; for pci*.c only. */
#ifndef HOLDFAST_DRIVERS_PCI_CONFIG_H
#define HOLDFAST_DRIVERS_PCI_CONFIG_H

#include <drivers/pci.h>

/* Chooses a way. False: there is none. */
bool pci_config_init(void);
/* Makes the configuration space of a bus reachable. False: out of range or no memory. */
bool pci_config_open(unsigned bus);

#endif
