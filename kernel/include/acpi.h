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

/*
 * Finds the root table: reads the RSDP through the fixmap, before the final tables stand, and lets
 * go of the slot. `rsdp` 0: there is none.
 */
void acpi_look(kelp_paddr_t rsdp);

/* Maps the root table and those it lists. Without one, nothing is found later. */
void acpi_init(void);

/* The table with this signature, mapped and with a correct checksum; NULL if there is none. */
const struct acpi_header *acpi_find(const char *signature);

/* Maps the table at a physical address; NULL when it is damaged. */
const struct acpi_header *acpi_map_table(kelp_paddr_t address);

#endif
