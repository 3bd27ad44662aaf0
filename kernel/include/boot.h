/* SPDX-License-Identifier: MIT */
/*
 * boot: what the loader told us, in neutral form, and the memory map made clean.
 */
#ifndef HOLDFAST_BOOT_H
#define HOLDFAST_BOOT_H

#include <base.h>

enum memory_kind {
	MEMORY_RAM,        /* ours */
	MEMORY_RESERVED,   /* firmware or devices: never touched */
	MEMORY_ACPI,       /* ACPI tables: RAM that is kept */
	MEMORY_NVS,        /* ACPI non-volatile storage: kept */
	MEMORY_UNUSABLE,   /* RAM that does not work */
	MEMORY_PERSISTENT, /* non-volatile DIMMs */
	MEMORY_KINDS,
};

struct memory_range {
	kelp_paddr_t first;
	uint64_t size;
	enum memory_kind kind;
};

#define BOOT_RANGES 256
#define BOOT_COMMAND_LINE 512

struct memory_map {
	unsigned count;
	/* Ranges that did not fit; told to the user, and their memory goes unused. */
	unsigned lost;
	struct memory_range range[BOOT_RANGES];
};

/* What the loader brought along besides the kernel: initrds, messages. */
struct boot_module {
	kelp_paddr_t first;
	uint64_t size;
	char name[32]; /* its command line, as far as it goes */
};

struct boot_info {
	const char *protocol;         /* "PVH", "multiboot2" */
	char loader[64];              /* the loader's own name, if it gave one */
	char command_line[BOOT_COMMAND_LINE];
	kelp_paddr_t acpi_rsdp;       /* 0 = not given */
	struct memory_map map;
	/* Memory the loader left things in, taken out of what the early allocator gives. */
	unsigned keep_count;
	struct memory_range keep[32];
	unsigned module_count; /* those that did not fit are kept too, but not known */
	struct boot_module module[8];
};

extern struct boot_info boot_info;

/* Appends a range; empty ones and ones that wrap around are dropped or cut. */
void memory_map_add(struct memory_map *map, kelp_paddr_t first, uint64_t size,
		    enum memory_kind kind);

/*
 * Makes the map what the rest of the kernel relies on: sorted, without overlaps (the more
 * careful kind wins: anything over RAM), neighbours of one kind joined, RAM cut inwards to whole
 * pages and everything else outwards.
 */
void memory_map_clean(struct memory_map *map);

/* Drops RAM above `last`; returns how many bytes that were. */
uint64_t memory_map_limit(struct memory_map *map, kelp_paddr_t last);

const char *memory_kind_name(enum memory_kind kind);
uint64_t memory_map_total(const struct memory_map *map, enum memory_kind kind);

/* One line per range of boot_info.map. */
void boot_print_map(void);

/*
 * Command line: words separated by blanks. True if `word` is there, or, when it ends with '=',
 * begins one; the rest of that word is copied to `value` if that is not NULL.
 */
bool command_line_has(const char *word, char *value, size_t size);
/* The number after `word=`, or `otherwise`. */
uint64_t command_line_number(const char *word, uint64_t otherwise);

#endif
