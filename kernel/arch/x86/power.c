/* SPDX-License-Identifier: MIT */
/* power: the ways to end. ACPI 6.4: 5.2.9 (FADT), 7.4.2 (\_S5), 4.8.3.7 (reset register). */
#include "boot_magic.h"
#include "machine.h"

#include <acpi.h>
#include <boot.h>
#include <print.h>

/* Offsets in the FADT. */
#define FADT_DSDT          40u
#define FADT_SMI_COMMAND   48u
#define FADT_ACPI_ENABLE   52u
#define FADT_PM1A_CONTROL  64u
#define FADT_PM1B_CONTROL  68u
#define FADT_RESET_ADDRESS 120u /* a generic address: space id at 116 */
#define FADT_RESET_VALUE   128u
#define FADT_X_DSDT        140u

#define PM1_SCI_ENABLE   (1u << 0)
#define PM1_SLEEP_ENABLE (1u << 13)

static uint64_t field(const struct acpi_header *table, unsigned offset, unsigned size)
{
	uint64_t value = 0;

	if (table->length >= offset + size)
		memcpy(&value, (const uint8_t *)table + offset, size);
	return value;
}

/*
 * The sleep types of \_S5 without an interpreter: the name, PackageOp, lengths, then two small
 * integers (20.2.5.4). Every firmware we know writes them as constants.
 */
static bool sleep_types(const struct acpi_header *dsdt, unsigned type[2])
{
	const uint8_t *at = (const uint8_t *)(dsdt + 1);
	const uint8_t *end = (const uint8_t *)dsdt + dsdt->length;

	for (; end - at >= 12; at++) {
		const uint8_t *p = at + 4;

		if (memcmp(at, "_S5_", 4) || *p++ != 0x12)
			continue;
		p += (*p >> 6) + 1u; /* PkgLength: the top bits count further bytes */
		p++;                 /* NumElements */
		for (unsigned i = 0; i < 2; i++) {
			if (p + 2 > end)
				return false;
			if (*p == 0x0a)
				p++; /* BytePrefix */
			type[i] = *p++ & 7u;
		}
		return true;
	}
	return false;
}

static void power_off_acpi(void)
{
	const struct acpi_header *fadt = acpi_find("FACP"), *dsdt;
	unsigned type[2];
	uint64_t address;
	uint16_t port[2];

	if (!fadt)
		return;
	address = field(fadt, FADT_X_DSDT, 8);
	if (!address)
		address = field(fadt, FADT_DSDT, 4);
	dsdt = acpi_map_table(address);
	if (!dsdt || !sleep_types(dsdt, type))
		return;
	port[0] = (uint16_t)field(fadt, FADT_PM1A_CONTROL, 4);
	port[1] = (uint16_t)field(fadt, FADT_PM1B_CONTROL, 4);
	if (port[0] && !(in16(port[0]) & PM1_SCI_ENABLE)) {
		uint16_t smi = (uint16_t)field(fadt, FADT_SMI_COMMAND, 4);

		if (smi)
			out8(smi, (uint8_t)field(fadt, FADT_ACPI_ENABLE, 1));
		for (unsigned i = 0; i < 100000 && !(in16(port[0]) & PM1_SCI_ENABLE); i++)
			arch_relax();
	}
	for (unsigned i = 0; i < 2; i++)
		if (port[i])
			out16(port[i], (uint16_t)(type[i] << 10 | PM1_SLEEP_ENABLE));
}

void arch_power_off(void)
{
	arch_irq_disable();
	power_off_acpi();
	for (unsigned i = 0; i < 1000000; i++)
		arch_relax();
}

void arch_reboot(void)
{
	const struct acpi_header *fadt = acpi_find("FACP");
	struct {
		uint16_t limit;
		uintptr_t base;
	} __attribute__((packed)) nothing = {0, 0};

	arch_irq_disable();
	/* Space id 1: an I/O port. */
	if (fadt && field(fadt, 116, 1) == 1)
		out8((uint16_t)field(fadt, FADT_RESET_ADDRESS, 8),
		     (uint8_t)field(fadt, FADT_RESET_VALUE, 1));
	for (unsigned i = 0; i < 1000000; i++)
		arch_relax();
	/* Without vectors the next exception resets the machine. */
	__asm__ volatile("lidt %0; int3" ::"m"(nothing));
}

/* The device cannot be found by looking: the command line says that it is there. */
void arch_exit_to_host(bool success)
{
	if (command_line_has("exit=qemu", NULL, 0))
		out32(BOOT_EXIT_PORT, success ? BOOT_EXIT_SUCCESS : BOOT_EXIT_FAILURE);
}
