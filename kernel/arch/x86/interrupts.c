/* SPDX-License-Identifier: MIT */
/* interrupts: vectors for devices, and the order in which it all starts. */
#include "machine.h"

#include <irq.h>
#include <print.h>

#define DEVICES (VECTOR_DEVICES_END - VECTOR_DEVICES)

static struct device_irq {
	const char *name;
	void (*handler)(void *context);
	void *context;
	uint64_t count;
} devices[DEVICES];
static struct spinlock lock = SPINLOCK("irq");

bool irq_allocate(const char *name, void (*handler)(void *context), void *context,
		  unsigned *number)
{
	unsigned long flags = spin_lock_irqsave(&lock);
	unsigned i = 0;

	while (i < DEVICES && devices[i].handler)
		i++;
	if (i < DEVICES) {
		devices[i] = (struct device_irq){name, NULL, context, 0};
		__atomic_store_n(&devices[i].handler, handler, __ATOMIC_RELEASE);
		*number = VECTOR_DEVICES + i;
	}
	spin_unlock_irqrestore(&lock, flags);
	return i < DEVICES;
}

void irq_free(unsigned number)
{
	__atomic_store_n(&devices[number - VECTOR_DEVICES].handler, NULL, __ATOMIC_RELEASE);
}

void irq_dispatch(unsigned vector)
{
	struct device_irq *device = &devices[vector - VECTOR_DEVICES];
	void (*handler)(void *context) = __atomic_load_n(&device->handler, __ATOMIC_ACQUIRE);

	device->count++;
	if (handler)
		handler(device->context);
}

/* SDM 10.11: address FEE00000h plus the target in bits 19:12, data = the vector, edge. */
struct irq_message irq_message(unsigned number)
{
	return (struct irq_message){UINT64_C(0xfee00000) | boot_cpu.hardware_id << 12, number};
}

void irq_print(void)
{
	for (unsigned i = 0; i < DEVICES; i++)
		if (devices[i].handler)
			kprintf("  vector 0x%02x  %-12s %llu\n", VECTOR_DEVICES + i,
				devices[i].name, (unsigned long long)devices[i].count);
}

/* The two 8259s: moved away from the exceptions, then masked for good. */
void mask_legacy(void)
{
	out8(0x20, 0x11);
	out8(0xa0, 0x11);
	out8(0x21, VECTOR_PIC);
	out8(0xa1, VECTOR_PIC + 8);
	out8(0x21, 4);
	out8(0xa1, 2);
	out8(0x21, 1);
	out8(0xa1, 1);
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
}

void arch_init_interrupts(void)
{
	mask_legacy();
	clock_init();
	apic_init_boot();
	kprintf("clock: %llu MHz, %s; %s, timer %llu kHz\n",
		(unsigned long long)(arch_ticks_per_second() / 1000000u), clock_source(),
		apic_mode(), (unsigned long long)(apic_timer_per_second() / 1000u));
	arch_irq_enable();
	serial_enable_input();
}
