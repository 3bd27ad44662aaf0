/* SPDX-License-Identifier: MIT */
/* devices: finds them all and takes into use those that we have drivers for. */
#ifndef HOLDFAST_DRIVERS_DEVICES_H
#define HOLDFAST_DRIVERS_DEVICES_H

#include <base.h>

/* Once, from a thread, when interrupts work and ACPI is readable. */
void devices_init(void);

/*
 * No device touches memory afterwards, and everything that was written is permanent; and back.
 * False with a message when one does not follow.
 */
bool devices_stop(void);
bool devices_restart(void);

#endif
