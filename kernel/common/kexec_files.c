/* SPDX-License-Identifier: MIT */
/* kexec_files: cpio archives of the portable "newc" kind, as modules of the loader. */
#include <kexec.h>

#include <vm.h>

/*
 * A header is 110 characters: the magic number, then 13 numbers of 8 hexadecimal digits. The name
 * follows, then the contents, each filled up to a multiple of 4 bytes.
 */
#define HEADER_SIZE 110u
#define FIELD_SIZE  6u  /* the 7th number: the file's */
#define FIELD_NAME  11u /* the 12th: the name's, with the zero behind it */

static bool number(const uint8_t *header, unsigned field, uint32_t *value)
{
	const uint8_t *at = header + 6 + 8 * field;

	*value = 0;
	for (unsigned i = 0; i < 8; i++) {
		uint8_t c = at[i];
		uint8_t letter = (uint8_t)((c | 0x20u) - 'a');

		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint32_t)(c - '0');
		else if (letter < 6)
			*value = *value << 4 | (uint32_t)(letter + 10u);
		else
			return false;
	}
	return true;
}

/* The file that begins at `at`, or false at the end and where the archive makes no sense. */
static bool read_file(const uint8_t *archive, uint64_t size, uint64_t *at, struct kexec_file *file)
{
	const uint8_t *header = archive + *at;
	uint32_t file_size, name_size;
	uint64_t data;

	if (size - *at < HEADER_SIZE || memcmp(header, "070701", 6) ||
	    !number(header, FIELD_SIZE, &file_size) || !number(header, FIELD_NAME, &name_size))
		return false;
	data = align_up(*at + HEADER_SIZE + name_size, 4);
	if (name_size == 0 || data > size || file_size > size - data ||
	    header[HEADER_SIZE + name_size - 1u] != 0)
		return false;
	copy_string(file->name, (const char *)header + HEADER_SIZE, sizeof(file->name));
	file->data = archive + data;
	file->size = file_size;
	*at = min_u64(align_up(data + file_size, 4), size);
	return strcmp(file->name, "TRAILER!!!") != 0;
}

bool kexec_file(unsigned n, struct kexec_file *file)
{
	for (unsigned i = 0; i < boot_info.module_count; i++) {
		const struct boot_module *module = &boot_info.module[i];
		uint64_t at = 0;

		if (module->first + module->size - 1u > direct_last())
			continue;
		while (read_file(direct_pointer(module->first), module->size, &at, file)) {
			/* Directories and the like have no contents. */
			if (file->size > 0 && n-- == 0)
				return true;
		}
	}
	return false;
}

bool kexec_find(const char *name, struct kexec_file *file)
{
	for (unsigned i = 0; kexec_file(i, file); i++)
		if (!strcmp(file->name, name))
			return true;
	return false;
}
