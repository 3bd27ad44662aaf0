/* SPDX-License-Identifier: MIT */
/* memmap: the sparse map of subsections, lookups, walks and holds. */
#include <kelp/memmap.h>

#include "debug.h"
#include "hold.h"
#include "memmap.h"
#include "present.h"

/* ---- setting up --------------------------------------------------------------------------- */

#define PHYSICAL_BITS_MAX 52u
#define RECORD_BITS_MAX   10u
#define SECTION_BITS_MAX  31u

static void copy_shifts(struct kelp_memmap *map, const struct kelp_memmap_config *config)
{
	unsigned section = config->section_shift, sections;

	if (section == 0)
		section = config->physical_bits < 27u ? config->physical_bits : 27u;
	map->page_shift = config->page_shift;
	map->subsection_order =
		(config->subsection_shift ? config->subsection_shift : 21u) - config->page_shift;
	map->record_bits = section - config->page_shift - map->subsection_order;
	sections = config->physical_bits - section;
	map->directory_bits = sections / 2u;
	map->root_bits = sections - map->directory_bits;
	map->subsection_mask = (UINT32_C(1) << map->subsection_order) - 1u;
	map->record_mask = (UINT32_C(1) << map->record_bits) - 1u;
	map->directory_mask = (UINT32_C(1) << map->directory_bits) - 1u;
	map->frames = UINT64_C(1) << (config->physical_bits - config->page_shift);
	/* Pointers behind the bitmaps, aligned. */
	map->sections_at = (uint32_t)(kelp_present_size(map->directory_bits) + 7u) & ~7u;
	map->records_at = (uint32_t)(kelp_present_size(map->record_bits) + 7u) & ~7u;
}

static bool shifts_are_right(const struct kelp_memmap_config *config)
{
	unsigned section = config->section_shift, subsection = config->subsection_shift;

	if (config->physical_bits > PHYSICAL_BITS_MAX)
		return false;
	if (section == 0)
		section = config->physical_bits < 27u ? config->physical_bits : 27u;
	if (subsection == 0)
		subsection = 21u;
	return config->page_shift <= subsection && subsection <= section &&
	       section <= config->physical_bits && section - subsection <= RECORD_BITS_MAX &&
	       config->physical_bits - section <= SECTION_BITS_MAX &&
	       config->physical_bits - subsection < 32u && subsection - config->page_shift < 20u;
}

/* A descriptor has to have room for the frame's number, where no array makes it arithmetic. */
static bool field_is_right(const struct kelp_memmap_config *config)
{
	size_t size = config->descriptor_size;

	if (size == 0 || size % 4u != 0 || size > 4096u)
		return false;
	/* Until a change commits, the descriptors of a subsection hold a pointer. */
	if (size << ((config->subsection_shift ? config->subsection_shift : 21u) -
		     config->page_shift) < sizeof(void *))
		return false;
	if (config->array)
		return config->frame_bytes == 0 && config->array_back && config->array_unback;
	if (config->frame_bytes == 4) {
		if (config->physical_bits - config->page_shift > 32u)
			return false;
	} else if (config->frame_bytes != 8) {
		return false;
	}
	return config->frame_offset % config->frame_bytes == 0 && size % config->frame_bytes == 0 &&
	       size >= config->frame_bytes && config->frame_offset <= size - config->frame_bytes;
}

static size_t root_size(const struct kelp_memmap *map)
{
	return sizeof(uintptr_t) << map->root_bits;
}

static size_t directory_size(const struct kelp_memmap *map)
{
	return map->sections_at + (sizeof(uintptr_t) << map->directory_bits);
}

static size_t section_size(const struct kelp_memmap *map)
{
	return map->records_at + (sizeof(struct kelp_subsection) << map->record_bits);
}

enum kelp_status kelp_memmap_size(const struct kelp_memmap_config *config, size_t *size)
{
	struct kelp_memmap map;
	struct kelp_holds_config holds = config->holds;
	size_t counters;
	enum kelp_status status = kelp_holds_size(&holds, &counters);

	if (status != KELP_OK || !shifts_are_right(config))
		return KELP_ERR_ARGUMENT;
	copy_shifts(&map, config);
	/* Counters first, aligned to cache lines, unless they have memory of their own. */
	*size = (config->holds.memory ? 0 : counters) + root_size(&map) +
		kelp_present_size(map.root_bits);
	return KELP_OK;
}

/* The inverse of an odd number modulo 2^bits of a pointer, each step doubling the right bits. */
static uintptr_t inverse(uintptr_t odd)
{
	uintptr_t x = odd;

	for (unsigned i = 0; i < 6; i++)
		x *= 2u - odd * x;
	return x;
}

enum kelp_status kelp_memmap_init(struct kelp_memmap *map, const struct kelp_memmap_config *config)
{
	struct kelp_holds_config holds = config->holds;
	unsigned char *memory = config->memory;
	size_t size, counters;
	enum kelp_status status = kelp_memmap_size(config, &size);

	if (status != KELP_OK)
		return status;
	if (!config->port || !memory || ((uintptr_t)memory & 63u) || !config->take ||
	    !config->give || !field_is_right(config))
		return KELP_ERR_ARGUMENT;
	if (!holds.port)
		holds.port = config->port;
	if (kelp_holds_size(&holds, &counters) != KELP_OK)
		return KELP_ERR_ARGUMENT;
	if (!holds.memory && counters > 0) {
		holds.memory = memory;
		memory += counters;
		size -= counters;
	}
	*map = (struct kelp_memmap){.config = *config};
	copy_shifts(map, config);
	status = kelp_holds_init(&map->holds, &holds);
	if (status != KELP_OK)
		return status;
	__builtin_memset(memory, 0, size);
	map->root = (struct kelp_directory **)(void *)memory;
	map->root_present = (uint32_t *)(void *)(memory + root_size(map));
	map->map_bytes = size;
	map->descriptor_size = config->descriptor_size;
	map->frame_offset = config->frame_offset;
	map->frame_bytes = config->frame_bytes;
	map->array = (uintptr_t)config->array;
	if (map->array) {
		map->array_shift = (uint32_t)__builtin_ctzl((unsigned long)config->descriptor_size);
		map->array_inverse = inverse(config->descriptor_size >> map->array_shift);
	}
	return KELP_OK;
}

/* ---- reserving ---------------------------------------------------------------------------- */

/* Lies at the beginning of the memory that is reserved. */
struct kelp_memmap_reserved {
	struct kelp_memmap_reserved *next;
	uint64_t section;
	bool is_directory;
};

void *kelp_memmap_take(struct kelp_memmap *map, enum kelp_memmap_memory what, size_t size)
{
	void *memory = map->config.take(map->config.context, what, size);

	KELP_ASSERT_ALWAYS(map->config.port, ((uintptr_t)memory & 63u) == 0,
			   "the take hook of a memmap gives memory that is not aligned");
	return memory;
}

static bool reserve_one(struct kelp_memmap *map, struct kelp_memmap_reserve *reserve,
			uint64_t section, bool is_directory)
{
	size_t size = is_directory ? directory_size(map) : section_size(map);
	struct kelp_memmap_reserved *node = kelp_memmap_take(
		map, is_directory ? KELP_MEMMAP_DIRECTORY : KELP_MEMMAP_SECTION,
		size < sizeof(*node) ? sizeof(*node) : size);

	if (!node)
		return false;
	__builtin_memset(node, 0, size);
	*node = (struct kelp_memmap_reserved){reserve->first, section, is_directory};
	reserve->first = node;
	return true;
}

enum kelp_status kelp_memmap_reserve(struct kelp_memmap *map, uint64_t first, uint64_t last,
				     struct kelp_memmap_reserve *reserve)
{
	uint64_t directory = UINT64_MAX;

	reserve->first = NULL;
	first >>= map->record_bits;
	last >>= map->record_bits;
	for (uint64_t section = first; section <= last; section++) {
		bool missing = !kelp_memmap_directory(map, section);
		bool ok = kelp_memmap_section(map, section) ||
			  reserve_one(map, reserve, section, false);

		if (ok && missing && directory != section >> map->directory_bits) {
			directory = section >> map->directory_bits;
			ok = reserve_one(map, reserve, section, true);
		}
		if (!ok) {
			kelp_memmap_cancel(map, reserve);
			return KELP_ERR_NO_MEMORY;
		}
	}
	return KELP_OK;
}

static size_t reserved_size(const struct kelp_memmap *map, bool is_directory)
{
	size_t size = is_directory ? directory_size(map) : section_size(map);

	return size < sizeof(struct kelp_memmap_reserved) ? sizeof(struct kelp_memmap_reserved)
							   : size;
}

static void give_map_memory(struct kelp_memmap *map, void *memory, bool is_directory)
{
	map->config.give(map->config.context,
			 is_directory ? KELP_MEMMAP_DIRECTORY : KELP_MEMMAP_SECTION, memory,
			 reserved_size(map, is_directory));
}

void kelp_memmap_cancel(struct kelp_memmap *map, struct kelp_memmap_reserve *reserve)
{
	while (reserve->first) {
		struct kelp_memmap_reserved *node = reserve->first;

		reserve->first = node->next;
		give_map_memory(map, node, node->is_directory);
	}
}

static void publish_kind(struct kelp_memmap *map, struct kelp_memmap_reserve *reserve,
			 bool directories)
{
	struct kelp_memmap_reserved **link = &reserve->first;

	while (*link) {
		struct kelp_memmap_reserved *node = *link;
		uint64_t section = node->section;

		if (node->is_directory != directories) {
			link = &node->next;
			continue;
		}
		*link = node->next;
		__builtin_memset(node, 0, sizeof(*node));
		map->map_bytes += reserved_size(map, directories);
		kelp_shared_store_word(
			directories ? kelp_memmap_root_slot(map, section)
				    : kelp_memmap_section_slot(
					      map, kelp_memmap_directory(map, section), section),
			(uintptr_t)node);
	}
}

void kelp_memmap_publish(struct kelp_memmap *map, struct kelp_memmap_reserve *reserve)
{
	publish_kind(map, reserve, true);
	publish_kind(map, reserve, false);
}

/* ---- one subsection comes and goes -------------------------------------------------------- */

void kelp_memmap_enter(struct kelp_memmap *map, uint64_t subsection, uint32_t state)
{
	uint64_t number = subsection >> map->record_bits;
	struct kelp_directory *directory = kelp_memmap_directory(map, number);
	struct kelp_section *section = kelp_memmap_section(map, number);
	struct kelp_subsection *record = kelp_memmap_record_of(map, section, subsection);

	kelp_subsection_set_state(record, state);
	kelp_present_set(section->present, map->record_bits,
			 (uint32_t)subsection & map->record_mask);
	kelp_present_set(directory->present, map->directory_bits,
			 (uint32_t)number & map->directory_mask);
	kelp_present_set(map->root_present, map->root_bits,
			 (uint32_t)(number >> map->directory_bits));
}

void kelp_memmap_leave(struct kelp_memmap *map, uint64_t subsection)
{
	uint64_t number = subsection >> map->record_bits;
	struct kelp_directory *directory = kelp_memmap_directory(map, number);
	struct kelp_section *section = kelp_memmap_section(map, number);
	struct kelp_subsection *record = kelp_memmap_record_of(map, section, subsection);
	uint32_t any;

	kelp_subsection_set_state(record, 0);
	kelp_subsection_set_pages(record, NULL);
	record->home = 0;
	__builtin_memset(&record->more, 0, sizeof(record->more));
	kelp_present_clear(section->present, map->record_bits,
			   (uint32_t)subsection & map->record_mask);
	if (kelp_present_next(section->present, map->record_bits, 0, &any))
		return;
	kelp_present_clear(directory->present, map->directory_bits,
			   (uint32_t)number & map->directory_mask);
	if (!kelp_present_next(directory->present, map->directory_bits, 0, &any))
		kelp_present_clear(map->root_present, map->root_bits,
				   (uint32_t)(number >> map->directory_bits));
}

static void initialise_run(struct kelp_memmap *map, const struct kelp_subsection *record,
			   kelp_pfn_t first, uint64_t frames)
{
	uint32_t state = kelp_subsection_state(record);
	unsigned char *page = kelp_memmap_at(
		kelp_subsection_pages(record),
		((uint32_t)first.number & map->subsection_mask) * map->descriptor_size);

	__builtin_memset(page, 0, (size_t)frames * map->descriptor_size);
	for (uint64_t i = 0; i < frames && map->frame_bytes; i++) {
		unsigned char *field = page + i * map->descriptor_size + map->frame_offset;

		if (map->frame_bytes == 4)
			*(uint32_t *)(void *)field = (uint32_t)(first.number + i);
		else
			*(uint64_t *)(void *)field = first.number + i;
	}
	if (map->config.initialise)
		map->config.initialise(map->config.context, page, first, frames,
				       (kelp_zone_t)(state >> KELP_SUBSECTION_ZONE_SHIFT),
				       (state & KELP_SUBSECTION_DEVICE) != 0);
}

void kelp_memmap_initialise(struct kelp_memmap *map, uint64_t subsection)
{
	struct kelp_subsection *record = kelp_memmap_known(map, subsection);
	uint32_t state = kelp_subsection_state(record);
	kelp_pfn_t run = {subsection << map->subsection_order};
	uint64_t end = run.number + map->subsection_mask + 1u;

	if (!(state & KELP_SUBSECTION_PARTIAL)) {
		initialise_run(map, record, run, end - run.number);
		return;
	}
	for (uint64_t i = run.number; i <= end; i++) {
		if (i < end && !kelp_memmap_is_hole(map, record, state, (kelp_pfn_t){i}))
			continue;
		if (run.number < i)
			initialise_run(map, record, run, i - run.number);
		run.number = i + 1u;
	}
}

/* A bit per frame, in words. */
static size_t holes_size(const struct kelp_memmap *map)
{
	return map->subsection_order > 5 ? (size_t)1 << (map->subsection_order - 3u) : 4u;
}

void kelp_memmap_give_descriptors(struct kelp_memmap *map, uint64_t subsection)
{
	struct kelp_subsection *record = kelp_memmap_known(map, subsection);
	void *pages = kelp_subsection_pages(record);
	size_t size = kelp_memmap_descriptors_size(map);

	if (map->array) {
		kelp_pfn_t host = {(uint64_t)(record->home - 1u) << map->subsection_order};

		map->config.array_unback(map->config.context, pages, size,
					 record->home ? &host : NULL);
	} else if (!record->home) {
		map->config.give(map->config.context, KELP_MEMMAP_DESCRIPTORS, pages, size);
	}
	if (kelp_subsection_state(record) & KELP_SUBSECTION_PARTIAL)
		map->config.give(map->config.context, KELP_MEMMAP_HOLES, record->more.present,
				 holes_size(map));
}

uint64_t kelp_memmap_hosting(const struct kelp_memmap *map, uint64_t subsection)
{
	const struct kelp_subsection *record = kelp_memmap_record(map, subsection);
	uint64_t frames = UINT64_C(1) << map->subsection_order, before, hosting;

	if (!record || !record->home)
		return 0;
	before = (subsection - (record->home - 1u)) << map->subsection_order;
	hosting = kelp_memmap_known(map, record->home - 1u)->more.hosting.frames;
	if (hosting <= before)
		return 0;
	return hosting - before < frames ? hosting - before : frames;
}

/* ---- early memory ------------------------------------------------------------------------- */

/* Descriptors of one subsection, while nobody else is there. */
static enum kelp_status take_early_pages(struct kelp_memmap *map, uint64_t subsection, void **pages)
{
	size_t size = kelp_memmap_descriptors_size(map);

	if (map->array) {
		*pages = (void *)(map->array + (uintptr_t)(subsection * size));
		return map->config.array_back(map->config.context, *pages, size, NULL);
	}
	*pages = kelp_memmap_take(map, KELP_MEMMAP_DESCRIPTORS, size);
	return *pages ? KELP_OK : KELP_ERR_NO_MEMORY;
}

static enum kelp_status take_early(struct kelp_memmap *map, uint64_t subsection, kelp_zone_t zone,
				   bool whole)
{
	struct kelp_memmap_reserve reserve;
	struct kelp_subsection *record;
	enum kelp_status status = kelp_memmap_reserve(map, subsection, subsection, &reserve);
	uint32_t *present = NULL;
	void *pages = NULL;

	if (status != KELP_OK)
		return status;
	if (!whole) {
		present = kelp_memmap_take(map, KELP_MEMMAP_HOLES, holes_size(map));
		status = present ? KELP_OK : KELP_ERR_NO_MEMORY;
	}
	if (status == KELP_OK)
		status = take_early_pages(map, subsection, &pages);
	if (status != KELP_OK) {
		if (present)
			map->config.give(map->config.context, KELP_MEMMAP_HOLES, present,
					 holes_size(map));
		kelp_memmap_cancel(map, &reserve);
		return status;
	}
	kelp_memmap_publish(map, &reserve);
	record = kelp_memmap_known(map, subsection);
	kelp_subsection_set_pages(record, pages);
	__builtin_memset(pages, KELP_MEMMAP_POISON, kelp_memmap_descriptors_size(map));
	if (!whole) {
		__builtin_memset(present, 0, holes_size(map));
		record->more.present = present;
	}
	kelp_memmap_enter(map, subsection,
			  KELP_SUBSECTION_VALID | (whole ? 0 : KELP_SUBSECTION_PARTIAL) |
				  KELP_SUBSECTION_EARLY | KELP_SUBSECTION_REACHED |
				  (uint32_t)zone << KELP_SUBSECTION_ZONE_SHIFT);
	return KELP_OK;
}

/* Marks the frames of a range that lie in one subsection; a whole one needs no marks. */
static enum kelp_status add_early_part(struct kelp_memmap *map, uint64_t subsection,
				       const struct kelp_memmap_range *range)
{
	struct kelp_subsection *record = kelp_memmap_record(map, subsection);
	uint64_t first = subsection << map->subsection_order;
	uint64_t last = first + map->subsection_mask;
	bool whole = range->first.number <= first && last <= range->last.number;

	if (!record || kelp_subsection_state(record) == 0) {
		enum kelp_status status = take_early(map, subsection, range->zone, whole);

		if (status != KELP_OK || whole)
			return status;
		record = kelp_memmap_known(map, subsection);
	}
	if (whole || !(kelp_subsection_state(record) & KELP_SUBSECTION_PARTIAL))
		return KELP_ERR_EXISTS;
	if (kelp_subsection_state(record) >> KELP_SUBSECTION_ZONE_SHIFT != range->zone)
		return KELP_ERR_UNSUPPORTED;
	if (first < range->first.number)
		first = range->first.number;
	if (last > range->last.number)
		last = range->last.number;
	for (; first <= last; first++) {
		uint32_t n = (uint32_t)first & map->subsection_mask;
		uint32_t *word = &record->more.present[n / 32u];

		if (*word & UINT32_C(1) << n % 32u)
			return KELP_ERR_EXISTS;
		*word |= UINT32_C(1) << n % 32u;
	}
	return KELP_OK;
}

static bool is_whole(const struct kelp_memmap *map, const uint32_t *present)
{
	uint32_t frames = UINT32_C(1) << map->subsection_order;

	for (uint32_t n = 0; n < frames; n++)
		if (!(present[n / 32u] & UINT32_C(1) << n % 32u))
			return false;
	return true;
}

/* All marks are made: forget those of whole subsections, initialise, and activate. */
static void finish_early(struct kelp_memmap *map, uint64_t subsection)
{
	struct kelp_subsection *record = kelp_memmap_known(map, subsection);
	uint32_t state = kelp_subsection_state(record);

	if (state & KELP_SUBSECTION_ACTIVE)
		return;
	if ((state & KELP_SUBSECTION_PARTIAL) && is_whole(map, record->more.present)) {
		map->config.give(map->config.context, KELP_MEMMAP_HOLES, record->more.present,
				 holes_size(map));
		record->more.present = NULL;
		state &= ~KELP_SUBSECTION_PARTIAL;
		kelp_subsection_set_state(record, state);
		__builtin_memset(&record->more, 0, sizeof(record->more));
	}
	kelp_memmap_initialise(map, subsection);
	kelp_subsection_set_state(record, state | KELP_SUBSECTION_ACTIVE);
}

/* Everything that exists, and the map itself. */
static void give_everything(struct kelp_memmap *map)
{
	kelp_pfn_t first = {0}, last;

	while (kelp_memmap_next(map, KELP_FRAMES_VALID, first, &first, &last)) {
		uint64_t subsection = kelp_subsection_number(map, first);

		kelp_memmap_give_descriptors(map, subsection);
		kelp_memmap_leave(map, subsection);
	}
	for (uint64_t d = 0; d < UINT64_C(1) << map->root_bits; d++) {
		struct kelp_directory *directory = map->root[d];

		for (uint64_t s = 0; directory && s < UINT64_C(1) << map->directory_bits; s++) {
			uintptr_t *slot = kelp_memmap_section_slot(map, directory, s);

			if (*slot)
				give_map_memory(map, (void *)*slot, false);
		}
		if (directory)
			give_map_memory(map, directory, true);
		map->root[d] = NULL;
	}
	map->map_bytes = root_size(map) + kelp_present_size(map->root_bits);
}

void kelp_memmap_destroy(struct kelp_memmap *map)
{
	give_everything(map);
}

static bool is_empty(const struct kelp_memmap *map)
{
	for (uint64_t d = 0; d < UINT64_C(1) << map->root_bits; d++)
		if (map->root[d])
			return false;
	return true;
}

enum kelp_status kelp_memmap_add_early(struct kelp_memmap *map,
				       const struct kelp_memmap_range *ranges, size_t count)
{
	enum kelp_status status = KELP_OK;

	for (size_t i = 0; i < count; i++) {
		if (ranges[i].last.number >= map->frames)
			return KELP_ERR_ADDRESS;
		if (ranges[i].last.number < ranges[i].first.number)
			return KELP_ERR_ARGUMENT;
	}
	if (!is_empty(map))
		return KELP_ERR_EXISTS;
	for (size_t i = 0; i < count && status == KELP_OK; i++)
		for (uint64_t s = kelp_subsection_number(map, ranges[i].first);
		     s <= kelp_subsection_number(map, ranges[i].last) && status == KELP_OK; s++)
			status = add_early_part(map, s, &ranges[i]);
	if (status != KELP_OK) {
		give_everything(map);
		return status;
	}
	for (size_t i = 0; i < count; i++)
		for (uint64_t s = kelp_subsection_number(map, ranges[i].first);
		     s <= kelp_subsection_number(map, ranges[i].last); s++)
			finish_early(map, s);
	return KELP_OK;
}

/* ---- lookups ------------------------------------------------------------------------------ */

struct kelp_subsection *kelp_memmap_subsection(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	if (pfn.number >= map->frames)
		return NULL;
	return kelp_memmap_record(map, kelp_subsection_number(map, pfn));
}

uint32_t kelp_pfn_state(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	const struct kelp_subsection *record = kelp_memmap_subsection(map, pfn);
	uint32_t state = record ? kelp_subsection_state(record) : 0;

	return state != 0 && kelp_memmap_is_hole(map, record, state, pfn) ? 0 : state;
}

enum kelp_status kelp_pfn_zone(const struct kelp_memmap *map, kelp_pfn_t pfn, kelp_zone_t *zone)
{
	uint32_t state = kelp_pfn_state(map, pfn);

	if (!(state & KELP_SUBSECTION_VALID))
		return KELP_ERR_NO_FRAME;
	*zone = (kelp_zone_t)(state >> KELP_SUBSECTION_ZONE_SHIFT);
	return KELP_OK;
}

bool kelp_pfn_hosts(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	uint64_t in = pfn.number & ((UINT64_C(1) << map->subsection_order) - 1u);

	return kelp_pfn_valid(map, pfn) &&
	       in < kelp_memmap_hosting(map, kelp_subsection_number(map, pfn));
}

/* ---- walks -------------------------------------------------------------------------------- */

static bool matches(enum kelp_frames which, uint32_t state)
{
	const uint32_t both = KELP_SUBSECTION_ACTIVE | KELP_SUBSECTION_DEVICE;

	switch (which) {
	case KELP_FRAMES_VALID: return state & KELP_SUBSECTION_VALID;
	case KELP_FRAMES_ACTIVE: return state & KELP_SUBSECTION_ACTIVE;
	case KELP_FRAMES_ONLINE: return (state & both) == KELP_SUBSECTION_ACTIVE;
	case KELP_FRAMES_DEVICE: return (state & both) == both;
	case KELP_FRAMES_OFFLINE:
		return (state & (both & ~KELP_SUBSECTION_DEVICE)) == 0 &&
		       (state & KELP_SUBSECTION_VALID);
	}
	return false;
}

/* The first section at or after *number in which anything is valid. */
static struct kelp_section *next_section(const struct kelp_memmap *map, uint64_t *number)
{
	uint64_t in = *number & ((UINT64_C(1) << map->directory_bits) - 1u);
	uint64_t at = *number >> map->directory_bits;

	for (;;) {
		struct kelp_directory *directory;
		uint32_t n;

		if (!kelp_present_next(map->root_present, map->root_bits, at, &n))
			return NULL;
		if (n != at)
			in = 0;
		at = n;
		directory = kelp_memmap_directory(map, at << map->directory_bits);
		if (kelp_present_next(directory->present, map->directory_bits, in, &n)) {
			*number = at << map->directory_bits | n;
			return (struct kelp_section *)kelp_shared_load_word(
				kelp_memmap_section_slot(map, directory, *number));
		}
		at++;
		in = 0;
	}
}

struct walk {
	const struct kelp_memmap *map;
	enum kelp_frames which;
	kelp_pfn_t first, last;
	bool found;
};

/* Adds the frames of one subsection from `from` on; false: the run has ended before its end. */
static bool walk_subsection(struct walk *walk, const struct kelp_subsection *record,
			    uint64_t subsection, uint64_t from)
{
	const struct kelp_memmap *map = walk->map;
	uint64_t first = subsection << map->subsection_order;
	uint64_t end = first + (UINT64_C(1) << map->subsection_order);
	uint32_t state = kelp_subsection_state(record);

	if (!matches(walk->which, state))
		return !walk->found;
	if (walk->found && first != walk->last.number + 1u)
		return false;
	if (first < from)
		first = from;
	if (!(state & KELP_SUBSECTION_PARTIAL)) {
		if (!walk->found)
			walk->first.number = first;
		walk->found = true;
		walk->last.number = end - 1u;
		return true;
	}
	for (; first < end; first++) {
		if (kelp_memmap_is_hole(map, record, state, (kelp_pfn_t){first})) {
			if (walk->found)
				return false;
			continue;
		}
		if (!walk->found)
			walk->first.number = first;
		walk->found = true;
		walk->last.number = first;
	}
	return true;
}

bool kelp_memmap_next(const struct kelp_memmap *map, enum kelp_frames which, kelp_pfn_t from,
		      kelp_pfn_t *first, kelp_pfn_t *last)
{
	unsigned bits = map->record_bits;
	struct walk walk = {.map = map, .which = which};
	uint64_t subsection = kelp_subsection_number(map, from), number;
	const struct kelp_section *section;

	if (from.number >= map->frames)
		return false;
	for (number = subsection >> bits; (section = next_section(map, &number)); number++) {
		uint64_t base = number << bits, in = 0;
		uint32_t n;

		if (subsection > base)
			in = subsection - base;
		while (kelp_present_next(section->present, bits, in, &n)) {
			if (!walk_subsection(&walk, kelp_memmap_record_of(map, section, base + n),
					     base + n, from.number))
				goto out;
			in = n + UINT64_C(1);
		}
		/* The run goes on only if it reaches the end of the section. */
		if (walk.found &&
		    (walk.last.number + 1u) >> map->subsection_order != (number + 1u) << bits)
			break;
	}
out:
	if (walk.found) {
		*first = walk.first;
		*last = walk.last;
	}
	return walk.found;
}

void kelp_memmap_cost(const struct kelp_memmap *map, struct kelp_memmap_cost *cost)
{
	uint64_t per_subsection = kelp_memmap_descriptors_size(map), total, mib;
	kelp_pfn_t first = {0}, last;
	size_t counters = 0;
	struct kelp_holds_config holds = map->config.holds;

	*cost = (struct kelp_memmap_cost){.map = map->map_bytes};
	if (kelp_holds_size(&holds, &counters) == KELP_OK)
		cost->counters = counters;
	while (kelp_memmap_next(map, KELP_FRAMES_VALID, first, &first, &last)) {
		cost->frames += last.number - first.number + 1u;
		first.number = last.number + 1u;
	}
	first.number = 0;
	while (kelp_memmap_next(map, KELP_FRAMES_VALID, first, &first, &last)) {
		const struct kelp_subsection *record = kelp_memmap_subsection(map, first);

		if (record && record->home)
			cost->hosted += per_subsection;
		else
			cost->descriptors += per_subsection;
		/* To the next subsection, as the run may go on in it. */
		first.number = (kelp_subsection_number(map, first) + 1u) << map->subsection_order;
	}
	total = cost->map + cost->descriptors + cost->hosted + cost->counters;
	mib = (cost->frames << map->page_shift) >> 20;
	/* Bits of the quotient one by one: no 64-bit division here. */
	for (unsigned bit = 63; mib > 0 && bit-- > 10;)
		if (mib <= total >> (bit - 10u)) {
			total -= mib << (bit - 10u);
			cost->per_gib |= UINT64_C(1) << bit;
		}
}

/* ---- holds -------------------------------------------------------------------------------- */

#define BOTH (KELP_SUBSECTION_ACTIVE | KELP_SUBSECTION_DEVICE)

/* The descriptor of a frame in that state; NULL: there is none. */
static inline void *look(const struct kelp_memmap *map, kelp_pfn_t pfn, uint32_t mask,
			 uint32_t wanted)
{
	const struct kelp_subsection *record = kelp_memmap_subsection(map, pfn);
	uint32_t state;
	uintptr_t page;

	if (!KELP_LIKELY(record))
		return NULL;
	state = kelp_subsection_state(record);
	if (!KELP_LIKELY((state & mask) == wanted) ||
	    !KELP_LIKELY(!kelp_memmap_is_hole(map, record, state, pfn)))
		return NULL;
	page = (uintptr_t)kelp_subsection_pages(record);
	return (void *)(page + ((uint32_t)pfn.number & map->subsection_mask) *
				       map->descriptor_size);
}

static uint32_t bucket_of(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	return (uint32_t)kelp_subsection_number(map, pfn) & map->holds.bucket_mask;
}

/* With a fence, an atomic addition, a record, or a domain of the embedder's. */
__attribute__((noinline)) static enum kelp_status
hold_page_slowly(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn, uint32_t mask,
		 uint32_t wanted, uintptr_t where, struct kelp_hold *hold)
{
	kelp_hold_enter_slowly(&map->holds, cpu, bucket_of(map, pfn), pfn, where, hold);
	hold->page = look(map, pfn, mask, wanted);
	if (hold->page)
		return KELP_OK;
	kelp_hold_leave_slowly(&map->holds, cpu, hold);
	return KELP_ERR_NO_FRAME;
}

/* INV-2.1: counted first, looked at second. No call on the way, so no register is saved. */
__attribute__((always_inline)) static inline enum kelp_status
hold_page(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn, uint32_t mask, uint32_t wanted,
	  uintptr_t where, struct kelp_hold *hold)
{
	if (__builtin_expect(map->holds.mode != 0, 0))
		return hold_page_slowly(map, cpu, pfn, mask, wanted, where, hold);
	kelp_hold_enter_fast(&map->holds, cpu, bucket_of(map, pfn), hold);
	hold->page = look(map, pfn, mask, wanted);
	if (KELP_LIKELY(hold->page))
		return KELP_OK;
	kelp_hold_leave_fast(&map->holds, cpu, hold);
	return KELP_ERR_NO_FRAME;
}

enum kelp_status kelp_page_hold_online(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn,
				       struct kelp_hold *hold)
{
	return hold_page(map, cpu, pfn, BOTH, KELP_SUBSECTION_ACTIVE,
			 (uintptr_t)__builtin_return_address(0), hold);
}

enum kelp_status kelp_page_hold_device(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn,
				       struct kelp_hold *hold)
{
	return hold_page(map, cpu, pfn, BOTH, BOTH, (uintptr_t)__builtin_return_address(0), hold);
}

enum kelp_status kelp_page_hold_any(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn,
				    struct kelp_hold *hold)
{
	return hold_page(map, cpu, pfn, KELP_SUBSECTION_ACTIVE, KELP_SUBSECTION_ACTIVE,
			 (uintptr_t)__builtin_return_address(0), hold);
}

void kelp_page_release(struct kelp_memmap *map, uint32_t cpu, struct kelp_hold *hold)
{
	KELP_ASSERT_DEBUG(map->config.port, hold->page, "a hold is released that is none");
	if (KELP_DEBUG)
		hold->page = NULL;
	if (__builtin_expect(map->holds.mode != 0, 0))
		kelp_hold_leave_slowly(&map->holds, cpu, hold);
	else
		kelp_hold_leave_fast(&map->holds, cpu, hold);
}

enum kelp_status kelp_subsection_hold(struct kelp_memmap *map, uint32_t cpu, enum kelp_frames which,
				      kelp_pfn_t pfn, struct kelp_subsection_hold *s)
{
	const struct kelp_subsection *record;

	if (which != KELP_FRAMES_ACTIVE && which != KELP_FRAMES_ONLINE &&
	    which != KELP_FRAMES_DEVICE)
		return KELP_ERR_ARGUMENT;
	kelp_hold_enter_slowly(&map->holds, cpu, bucket_of(map, pfn), pfn,
			       (uintptr_t)__builtin_return_address(0), &s->hold);
	record = kelp_memmap_subsection(map, pfn);
	s->state = record ? kelp_subsection_state(record) : 0;
	if (!matches(which, s->state)) {
		kelp_hold_leave_slowly(&map->holds, cpu, &s->hold);
		s->hold.page = NULL;
		return KELP_ERR_NO_FRAME;
	}
	s->hold.page = kelp_subsection_pages(record);
	s->first.number = pfn.number & ~(uint64_t)map->subsection_mask;
	s->frames = UINT64_C(1) << map->subsection_order;
	s->present = s->state & KELP_SUBSECTION_PARTIAL ? record->more.present : NULL;
	return KELP_OK;
}
