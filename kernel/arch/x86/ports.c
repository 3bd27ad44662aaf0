/* SPDX-License-Identifier: MIT */
/* ports: I/O ports, for drivers that every architecture shares. */
#include "machine.h"

bool arch_has_ports(void)
{
	return true;
}

uint32_t arch_port_read(uint16_t port, unsigned size)
{
	return size == 1 ? in8(port) : size == 2 ? in16(port) : in32(port);
}

void arch_port_write(uint16_t port, unsigned size, uint32_t value)
{
	if (size == 1)
		out8(port, (uint8_t)value);
	else if (size == 2)
		out16(port, (uint16_t)value);
	else
		out32(port, value);
}
