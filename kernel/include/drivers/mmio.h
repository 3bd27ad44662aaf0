/* SPDX-License-Identifier: MIT */
/*
 * mmio: registers of devices in memory. Little-endian, as PCI and virtio define them.
 *
 * Memory that was stored before a register is written, a device sees before the write; memory
 * loaded after a register was read is not loaded earlier. arch_device_fence() makes it so.
 */
#ifndef HOLDFAST_DRIVERS_MMIO_H
#define HOLDFAST_DRIVERS_MMIO_H

#include <arch.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "registers would need swapping");

#define MMIO_ACCESS(bits)                                                                          \
	static inline uint##bits##_t mmio_read##bits(const volatile void *address)                 \
	{                                                                                          \
		uint##bits##_t value = *(const volatile uint##bits##_t *)address;                  \
												   \
		arch_device_fence();                                                               \
		return value;                                                                      \
	}                                                                                          \
	static inline void mmio_write##bits(volatile void *address, uint##bits##_t value)          \
	{                                                                                          \
		arch_device_fence();                                                               \
		*(volatile uint##bits##_t *)address = value;                                       \
	}
MMIO_ACCESS(8)
MMIO_ACCESS(16)
MMIO_ACCESS(32)

/* Two halves: a device need not take 64 bits at once (virtio 1.2, 4.1.3.1). */
static inline void mmio_write64(volatile void *address, uint64_t value)
{
	mmio_write32(address, (uint32_t)value);
	mmio_write32((volatile uint8_t *)address + 4, (uint32_t)(value >> 32));
}

#endif
