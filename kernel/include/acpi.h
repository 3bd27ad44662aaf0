/* SPDX-License-Identifier: MIT */
/*
 * acpi: finds tables. ACPI specification 6.4, chapter 5. No interpreter: what needs AML is read
 * by pattern or not at all.
 */
#ifndef HOLDFAST_ACPI_H
#define HOLDFAST_ACPI_H

#include <base.h>

/* Every table begins with this (5.2.6). */
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem[6];
	char oem_table[8];
	uint32_t oem_revision;
	uint32_t creator;
	uint32_t creator_revision;
} __attribute__((packed));

/* Maps the root table. Without one, nothing is found later. Needs the final tables. */
void acpi_init(kelp_paddr_t rsdp);

/* The table with this signature, mapped and with a correct checksum; NULL if there is none. */
const struct acpi_header *acpi_find(const char *signature);

/* Maps the table at a physical address; NULL when it is damaged. */
const struct acpi_header *acpi_map_table(kelp_paddr_t address);

#endif
