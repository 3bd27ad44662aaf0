/* SPDX-License-Identifier: MIT */
/*
 * format: one table format as data plus pure functions. Nothing here touches hardware, so one
 * host binary holds every format.
 *
 * Levels count from the leaves: level 0 holds the smallest leaves, level `levels - 1` is the
 * root. An entry is carried as uint64_t whatever its width in memory. An entry of zero is
 * KELP_ENTRY_NONE in every format.
 */
#ifndef KELP_FORMAT_H
#define KELP_FORMAT_H

#include <kelp/status.h>
#include <kelp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KELP_LEVELS_MAX 5

enum kelp_entry_kind {
	KELP_ENTRY_NONE = 0,    /* nothing: all bits zero */
	KELP_ENTRY_TABLE = 1,   /* points to a table of the level below */
	KELP_ENTRY_LEAF = 2,    /* hardware translates through it */
	KELP_ENTRY_INVALID = 3, /* a leaf that hardware does not translate; keeps its address */
	KELP_ENTRY_OPAQUE = 4,  /* not translated, not zero, not ours: somebody's own mark */
};

struct kelp_format;
struct kelp_space_ops;

/* The pure functions of a format, for whoever looks at entries one at a time. */
struct kelp_format_ops {
	/* What `entry` is at `level`. */
	enum kelp_entry_kind (*kind)(const struct kelp_format *format, unsigned level,
				     uint64_t entry);
	/*
	 * Encodes a leaf. UNSUPPORTED: the format has no such leaf or cannot express exactly
	 * these attributes. ARGUMENT: contradictory or unknown attributes. ADDRESS, ALIGNMENT:
	 * the frame address does not fit. `grouped` asks for the format's mark that this entry
	 * is one of 2^group_order equal neighbours (contiguous hint, NAPOT).
	 */
	enum kelp_status (*leaf)(const struct kelp_format *format, unsigned level,
				 kelp_paddr_t address, kelp_attr_t attributes, bool grouped,
				 uint64_t *entry);
	/* Encodes a pointer to a table; `owned` marks it as given by the port. */
	uint64_t (*table)(const struct kelp_format *format, unsigned level, kelp_paddr_t address,
			  bool owned);
	/*
	 * The frame of a leaf (valid or not; of a grouped one: the group's first frame), or the
	 * table of a table entry.
	 */
	kelp_paddr_t (*address)(const struct kelp_format *format, unsigned level, uint64_t entry);
	/* The attributes of a leaf by itself. */
	kelp_attr_t (*attributes)(const struct kelp_format *format, unsigned level,
				  uint64_t entry);
	/* What a table entry takes away from every leaf below it (hierarchical attributes). */
	kelp_attr_t (*denied)(const struct kelp_format *format, unsigned level, uint64_t entry);
	/* True when a grouped leaf. */
	bool (*grouped)(const struct kelp_format *format, unsigned level, uint64_t entry);
	/* True when the table of this table entry was given by the port. */
	bool (*owned)(const struct kelp_format *format, unsigned level, uint64_t entry);
	/*
	 * May the live `old_entry` become `new_entry` in one store? False where the architecture
	 * demands break-before-make (INV-1.2).
	 */
	bool (*can_replace)(const struct kelp_format *format, unsigned level,
			    uint64_t old_entry, uint64_t new_entry);
	/* True when no bit is set that the format reserves: what an adopted table must hold. */
	bool (*well_formed)(const struct kelp_format *format, unsigned level, uint64_t entry);
};

/*
 * An instance of a format: set up by kelp_<format>_format_init() from a config that says what
 * this machine has, read-only afterwards, shared by any number of spaces.
 */
struct kelp_format {
	const char *name; /* "x86_64-4level", "arm64-16k-47", ... */
	const struct kelp_format_ops *ops;
	const struct kelp_space_ops *space_ops;

	uint8_t levels;      /* 2 to KELP_LEVELS_MAX */
	uint8_t page_shift;  /* log2 of the smallest leaf and of a table page */
	uint8_t va_bits;     /* translated bits of a virtual address */
	uint8_t pa_bits;     /* physical width */
	uint8_t entry_bytes; /* 4 or 8 */
	uint8_t bbm_level;   /* arm64 FEAT_BBM 0, 1, 2; 2 where no break is ever demanded */

	/*
	 * Break-before-make exists here, whatever the level. An edit then flushes first what its
	 * gather still holds of the range: an earlier edit's leaves may be cached.
	 */
	bool demands_break;
	/* Hardware may cache that an entry is NOT valid: making one valid needs a flush. */
	bool caches_invalid;
	/* Invalidating one address does not reach table pointers: their change needs all of it. */
	bool tables_flush_all;
	/*
	 * Invalidating one address drops the large leaf that maps it NOW. What is cached of a large
	 * leaf that became a table goes page by page only (SDM 4.10.4.1).
	 */
	bool split_flushes_pages;
	/* The CPU holds the root's entries in registers: changing one needs a reload. */
	bool root_in_registers;
	/* Hardware sets the accessed (dirty) bit by itself, at any time. */
	bool hardware_accessed;
	bool hardware_dirty;
	/* Leaves carry a group mark when alignment allows (contiguous hint, NAPOT). */
	bool groups;

	uint8_t shift[KELP_LEVELS_MAX];       /* log2 of what one entry of a level spans */
	uint8_t index_bits[KELP_LEVELS_MAX];  /* log2 of the entries in one table of a level */
	uint8_t group_order[KELP_LEVELS_MAX]; /* log2 of the entries of a group; 0 = none */

	/* Bit n set: leaves of 2^n bytes exist, groups included. */
	uint64_t leaf_sizes;
	/* Attributes a leaf can carry, and those that every valid leaf has whatever is asked. */
	kelp_attr_t attr_mask;
	kelp_attr_t attr_always;

	/*
	 * Canonical addresses: one or two ranges, both ends inside. A space of an arm64 half has
	 * one.
	 */
	uint8_t va_ranges;
	kelp_vaddr_t va_first[2];
	kelp_vaddr_t va_last[2];

	/* Highest physical address the root may lie at. */
	kelp_paddr_t root_limit;

	/* Private to the format. */
	uint64_t address_mask;            /* address bits inside an entry */
	uint64_t encryption_bit;          /* SEV C-bit, TDX or CCA shared bit; 0 = none */
	uint32_t features;                /* KELP_<FORMAT>_* of its config */
	uint8_t type_to_index[KELP_MEMORY_TYPES];
	uint8_t index_to_type[KELP_MEMORY_TYPES];
};

#define KELP_TYPE_ABSENT UINT8_C(0xff)

/*
 * Checks a range of virtual addresses: page-aligned ends, not empty, no wrap-around (a range
 * may end exactly at the top of the address space), canonical throughout.
 * Errors: ALIGNMENT, ADDRESS, ARGUMENT (size 0).
 */
enum kelp_status kelp_format_check_range(const struct kelp_format *format, kelp_vaddr_t va,
					 uint64_t size) KELP_WARN_UNUSED;

/* The same for a range of physical addresses: page-aligned, inside the physical width. */
enum kelp_status kelp_format_check_frames(const struct kelp_format *format, kelp_paddr_t pa,
					  uint64_t size) KELP_WARN_UNUSED;

/* True when `va` is one that hardware would translate through this format's tables. */
bool kelp_format_is_canonical(const struct kelp_format *format, kelp_vaddr_t va);

/*
 * The attributes of a mapping in which nobody handles a fault: ACCESSED is added, and DIRTY to
 * what is writable, where the format has them. Else the first access would fault where software
 * is to set them (arm64 before Armv8.1, riscv64 with Svade).
 */
static inline kelp_attr_t kelp_format_used(const struct kelp_format *format,
					   kelp_attr_t attributes)
{
	kelp_attr_t used = KELP_ATTR_ACCESSED;

	if (attributes & KELP_ATTR_WRITE)
		used |= KELP_ATTR_DIRTY;
	return attributes | (used & format->attr_mask);
}

/*
 * The attributes nearest to `wanted` that the format can express: rights that cannot be withheld
 * are added (READ on x86; EXEC without NX); a memory type that is missing becomes a stricter one
 * (DEVICE_STRICT falls back to DEVICE, TAGGED to NORMAL; a format that has one type yields it);
 * software bits, GLOBAL, ACCESSED and DIRTY that do not exist are dropped. Never adds WRITE or
 * USER, never drops SHARED or INVALID: what remains inexpressible is still refused by map.
 * Pure; any phase.
 */
kelp_attr_t kelp_format_closest(const struct kelp_format *format, kelp_attr_t wanted);

/* Entries in one table of a level, and bytes one entry of a level spans. */
static inline unsigned kelp_format_entries(const struct kelp_format *format, unsigned level)
{
	return 1u << format->index_bits[level];
}

static inline uint64_t kelp_format_span(const struct kelp_format *format, unsigned level)
{
	return UINT64_C(1) << format->shift[level];
}

static inline unsigned kelp_format_index(const struct kelp_format *format, unsigned level,
					 kelp_vaddr_t va)
{
	return (unsigned)(va >> format->shift[level]) & (kelp_format_entries(format, level) - 1u);
}

#ifdef __cplusplus
}
#endif

#endif
