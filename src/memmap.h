/* SPDX-License-Identifier: MIT */
/*
 * memmap: what memmap.c and hotplug.c share: records of subsections, and how they come and go.
 *
 * root -> directory -> section -> subsections. A directory begins with a bitmap of the sections in
 * which anything is valid, a section with one of its valid subsections, and the root has one of
 * its directories; each bitmap carries its own summaries (present.h).
 */
#ifndef KELP_SRC_MEMMAP_H
#define KELP_SRC_MEMMAP_H

#include <kelp/memmap.h>

#include "shared.h"

/* Fills a descriptor while its frame is offline: it looks like no pointer, count or state. */
#define KELP_MEMMAP_POISON 0xa5

struct kelp_directory {
	uint32_t present[1];
};

struct kelp_section {
	uint32_t present[1];
};

/* A subsection, by number. */
static inline uint64_t kelp_subsection_number(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	return pfn.number >> map->subsection_order;
}

static inline void *kelp_memmap_at(const void *base, size_t offset)
{
	return (void *)(uintptr_t)((uintptr_t)base + offset);
}

static inline uintptr_t *kelp_memmap_root_slot(const struct kelp_memmap *map, uint64_t section)
{
	return (uintptr_t *)(void *)&map->root[section >> map->directory_bits];
}

static inline uintptr_t *kelp_memmap_section_slot(const struct kelp_memmap *map,
						  const struct kelp_directory *directory,
						  uint64_t section)
{
	return (uintptr_t *)kelp_memmap_at(directory, map->sections_at) +
	       ((uint32_t)section & map->directory_mask);
}

static inline struct kelp_directory *kelp_memmap_directory(const struct kelp_memmap *map,
							   uint64_t section)
{
	return (struct kelp_directory *)kelp_shared_load_word(kelp_memmap_root_slot(map, section));
}

static inline struct kelp_section *kelp_memmap_section(const struct kelp_memmap *map,
						       uint64_t section)
{
	struct kelp_directory *directory = kelp_memmap_directory(map, section);

	if (!directory)
		return NULL;
	return (struct kelp_section *)kelp_shared_load_word(
		kelp_memmap_section_slot(map, directory, section));
}

static inline struct kelp_subsection *kelp_memmap_record_of(const struct kelp_memmap *map,
							    const struct kelp_section *section,
							    uint64_t subsection)
{
	struct kelp_subsection *record = kelp_memmap_at(section, map->records_at);

	return record + ((uint32_t)subsection & map->record_mask);
}

/* NULL: there is no section. The subsection is within the physical width. */
static inline struct kelp_subsection *kelp_memmap_record(const struct kelp_memmap *map,
							 uint64_t subsection)
{
	struct kelp_section *section =
		kelp_memmap_section(map, subsection >> map->record_bits);

	return section ? kelp_memmap_record_of(map, section, subsection) : NULL;
}

/* A record's words, as its readers see them. */
static inline uint32_t kelp_subsection_state(const struct kelp_subsection *record)
{
	return kelp_shared_load(&record->state);
}

static inline void kelp_subsection_set_state(struct kelp_subsection *record, uint32_t state)
{
	kelp_shared_store(&record->state, state);
}

static inline void *kelp_subsection_pages(const struct kelp_subsection *record)
{
	return (void *)kelp_shared_load_word((const uintptr_t *)(const void *)&record->pages);
}

static inline void kelp_subsection_set_pages(struct kelp_subsection *record, void *pages)
{
	kelp_shared_store_word((uintptr_t *)(void *)&record->pages, (uintptr_t)pages);
}

static inline bool kelp_memmap_is_hole(const struct kelp_memmap *map,
				       const struct kelp_subsection *record, uint32_t state,
				       kelp_pfn_t pfn)
{
	uint32_t n = (uint32_t)pfn.number & map->subsection_mask;

	return (state & KELP_SUBSECTION_PARTIAL) &&
	       !(record->more.present[n / 32u] & (UINT32_C(1) << n % 32u));
}

/* The same where a subsection is known to be. */
static inline struct kelp_subsection *kelp_memmap_known(const struct kelp_memmap *map,
							uint64_t subsection)
{
	uint64_t section = subsection >> map->record_bits;
	const struct kelp_directory *directory = kelp_memmap_directory(map, section);

	return kelp_memmap_record_of(
		map,
		(const struct kelp_section *)kelp_shared_load_word(
			kelp_memmap_section_slot(map, directory, section)),
		subsection);
}

/* Bytes of the descriptors of one subsection. */
static inline size_t kelp_memmap_descriptors_size(const struct kelp_memmap *map)
{
	return map->descriptor_size << map->subsection_order;
}

/* ---- changes; under the lock -------------------------------------------------------------- */

/* Sections and directories that a change will need, nobody's yet: chained through themselves. */
struct kelp_memmap_reserve {
	struct kelp_memmap_reserved *first;
};

/* For the subsections [first, last]. NO_MEMORY: nothing is reserved. */
enum kelp_status kelp_memmap_reserve(struct kelp_memmap *map, uint64_t first, uint64_t last,
				     struct kelp_memmap_reserve *reserve) KELP_WARN_UNUSED;
/* Puts them in their places, for ever. */
void kelp_memmap_publish(struct kelp_memmap *map, struct kelp_memmap_reserve *reserve);
void kelp_memmap_cancel(struct kelp_memmap *map, struct kelp_memmap_reserve *reserve);

/* Of one subsection, from the take hook. */
void *kelp_memmap_take(struct kelp_memmap *map, enum kelp_memmap_memory what, size_t size);

/*
 * Enters one subsection whose record's fields but the state are set: valid, and found by
 * kelp_memmap_next().
 */
void kelp_memmap_enter(struct kelp_memmap *map, uint64_t subsection, uint32_t state);
/* The reverse; the record is all zero afterwards. Its descriptors are the caller's. */
void kelp_memmap_leave(struct kelp_memmap *map, uint64_t subsection);

/* Initialises all descriptors of a subsection; nobody else can look at them. */
void kelp_memmap_initialise(struct kelp_memmap *map, uint64_t subsection);

/* Gives the descriptors of a subsection back, wherever they came from. */
void kelp_memmap_give_descriptors(struct kelp_memmap *map, uint64_t subsection);

/* Hosting frames at the beginning of this subsection. */
uint64_t kelp_memmap_hosting(const struct kelp_memmap *map, uint64_t subsection);

#endif
