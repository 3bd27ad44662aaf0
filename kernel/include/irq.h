/* SPDX-License-Identifier: MIT */
/*
 * irq: interrupts of devices. A driver takes an interrupt, tells its device where to send it,
 * and gets its handler called with interrupts off.
 */
#ifndef HOLDFAST_IRQ_H
#define HOLDFAST_IRQ_H

#include <base.h>

/* What a message-signalled interrupt (PCI MSI, MSI-X) is told to write, and where. */
struct irq_message {
	uint64_t address;
	uint32_t data;
};

/*
 * Takes a free interrupt number for `handler`. The handler runs with interrupts off, on the boot
 * CPU. False when all are taken. Any context after arch_init_interrupts().
 */
bool irq_allocate(const char *name, void (*handler)(void *context), void *context,
		  unsigned *number);
void irq_free(unsigned number);

/* How a device raises it by message. */
struct irq_message irq_message(unsigned number);

/* One line for each that is taken, with how often it came. */
void irq_print(void);

#endif
