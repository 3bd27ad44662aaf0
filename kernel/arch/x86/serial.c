/* SPDX-License-Identifier: MIT */
/* serial: COM1 is the console. */
#include "machine.h"

#include <console.h>
#include <irq.h>

#define COM1_PORT 0x3f8
#define COM1_LINE 4

static uint8_t read_port(uintptr_t base, unsigned index)
{
	return in8((uint16_t)(base + index));
}

static void write_port(uintptr_t base, unsigned index, uint8_t value)
{
	out8((uint16_t)(base + index), value);
}

static struct uart16550 com1 = {
	.read_register = read_port,
	.write_register = write_port,
	.base = COM1_PORT,
};

void serial_init(void)
{
	uart16550_init(&com1);
	console_set(&com1.console);
}

static void input(void *context)
{
	(void)context;
	console_input();
}

static unsigned vector; /* 0: none was taken */

void serial_enable_input(void)
{
	if ((!vector && !irq_allocate("serial", input, NULL, &vector)) ||
	    !ioapic_route_isa(COM1_LINE, vector))
		return; /* console_read() polls then */
	uart16550_enable_receive_interrupt(&com1);
}

void serial_restart(void)
{
	uart16550_init(&com1);
}
