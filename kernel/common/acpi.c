/* SPDX-License-Identifier: MIT */
/* acpi: finds tables. */
#include <acpi.h>

#include <fixmap.h>
#include <print.h>
#include <vm.h>

/* 5.2.5.3 */
struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
#define RSDP_LENGTH_1 20u

#define TABLES_MAX 32u
#define TABLE_SIZE_MAX (1u * 1024u * 1024u)

static const struct acpi_header *tables[TABLES_MAX];
static unsigned table_count;

static bool sum_is_zero(const void *data, size_t size)
{
	const uint8_t *byte = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + byte[i]);
	return sum == 0;
}

const struct acpi_header *acpi_map_table(kelp_paddr_t address)
{
	const struct acpi_header *table = vm_map_physical(address, sizeof(*table), VM_FIRMWARE);
	uint32_t length;

	if (!table)
		return NULL;
	length = table->length;
	vm_unmap((void *)(uintptr_t)table, sizeof(*table), false);
	if (length < sizeof(*table) || length > TABLE_SIZE_MAX)
		return NULL;
	table = vm_map_physical(address, length, VM_FIRMWARE);
	if (table && !sum_is_zero(table, length)) {
		kprintf("acpi: table at 0x%llx has a wrong checksum, not used\n",
			(unsigned long long)address);
		vm_unmap((void *)(uintptr_t)table, length, false);
		return NULL;
	}
	return table;
}

/* Entries of the root table are not aligned: 4 bytes each in an RSDT, 8 in an XSDT. */
static void map_listed(const struct acpi_header *root, size_t entry_size)
{
	const uint8_t *entry = (const uint8_t *)(root + 1);
	const uint8_t *end = (const uint8_t *)root + root->length;

	for (; (size_t)(end - entry) >= entry_size; entry += entry_size) {
		const struct acpi_header *table;
		uint64_t address = 0;

		memcpy(&address, entry, entry_size);
		table = acpi_map_table(address);
		if (table && table_count < TABLES_MAX)
			tables[table_count++] = table;
	}
}

/* What acpi_look() found: the root table and the bytes of an address in it. */
static kelp_paddr_t root_address;
static size_t root_entry;

void acpi_look(kelp_paddr_t address)
{
	struct rsdp rsdp;
	size_t length;
	bool extended;

	if (!address)
		return;
	/* Two pages: it may lie across the end of one. */
	memcpy(&rsdp, fixmap_set(FIX_FIRMWARE, address, VM_FIRMWARE), sizeof(rsdp));
	fixmap_clear(FIX_FIRMWARE);
	extended = rsdp.revision >= 2 && rsdp.xsdt;
	length = extended ? sizeof(rsdp) : RSDP_LENGTH_1;
	if (memcmp(rsdp.signature, "RSD PTR ", 8) || !sum_is_zero(&rsdp, length)) {
		kprintf("acpi: no valid RSDP at 0x%llx\n", (unsigned long long)address);
		return;
	}
	root_address = extended ? rsdp.xsdt : rsdp.rsdt;
	root_entry = extended ? 8 : 4;
}

void acpi_init(void)
{
	const struct acpi_header *root = root_address ? acpi_map_table(root_address) : NULL;

	if (root)
		map_listed(root, root_entry);
}

const struct acpi_header *acpi_find(const char *signature)
{
	for (unsigned i = 0; i < table_count; i++)
		if (!memcmp(tables[i]->signature, signature, 4))
			return tables[i];
	return NULL;
}
