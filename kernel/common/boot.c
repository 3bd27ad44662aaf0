/* SPDX-License-Identifier: MIT */
/* boot: the memory map made clean, the command line. */
#include <boot.h>

#include <print.h>

struct boot_info boot_info;

static const struct {
	const char *name;
	unsigned care; /* where ranges overlap the greater wins */
	bool ours;
} kinds[MEMORY_KINDS] = {
	[MEMORY_RAM] = {"usable RAM", 0, true},
	[MEMORY_ACPI] = {"ACPI tables", 1, false},
	[MEMORY_NVS] = {"ACPI storage", 2, false},
	[MEMORY_PERSISTENT] = {"persistent memory", 3, false},
	[MEMORY_RESERVED] = {"reserved", 4, false},
	[MEMORY_UNUSABLE] = {"defective RAM", 5, false},
};

const char *memory_kind_name(enum memory_kind kind)
{
	return kinds[kind].name;
}

void memory_map_add(struct memory_map *map, kelp_paddr_t first, uint64_t size,
		    enum memory_kind kind)
{
	if (size > UINT64_MAX - first)
		size = UINT64_MAX - first;
	if (size == 0)
		return;
	if (map->count == BOOT_RANGES) {
		map->lost++;
		return;
	}
	map->range[map->count++] = (struct memory_range){first, size, kind};
}

/* RAM inwards, everything else outwards; false when nothing remains. */
static bool cut_to_pages(struct memory_range *range)
{
	uint64_t end = range->first + range->size;

	if (kinds[range->kind].ours) {
		if (range->first > UINT64_MAX - PAGE_SIZE)
			return false;
		range->first = align_up(range->first, PAGE_SIZE);
		end = align_down(end, PAGE_SIZE);
	} else {
		range->first = align_down(range->first, PAGE_SIZE);
		end = end > UINT64_MAX - PAGE_SIZE ? align_down(end, PAGE_SIZE)
						   : align_up(end, PAGE_SIZE);
	}
	if (end <= range->first)
		return false;
	range->size = end - range->first;
	return true;
}

static void insert_boundary(uint64_t *boundary, unsigned *count, uint64_t value)
{
	unsigned at = *count;

	for (; at > 0 && boundary[at - 1] > value; at--)
		boundary[at] = boundary[at - 1];
	boundary[at] = value;
	(*count)++;
}

/* The most careful kind that covers the piece starting at `first`; false when none does. */
static bool kind_at(const struct memory_map *map, uint64_t first, enum memory_kind *kind)
{
	bool found = false;

	for (unsigned i = 0; i < map->count; i++) {
		const struct memory_range *range = &map->range[i];

		if (range->first > first || range->first + range->size <= first)
			continue;
		if (!found || kinds[range->kind].care > kinds[*kind].care)
			*kind = range->kind;
		found = true;
	}
	return found;
}

void memory_map_clean(struct memory_map *map)
{
	/* Static: too large for a boot stack, and this runs once at a time. */
	static uint64_t boundary[2 * BOOT_RANGES];
	static struct memory_map clean;
	unsigned boundaries = 0, kept = 0;

	for (unsigned i = 0; i < map->count; i++)
		if (cut_to_pages(&map->range[i]))
			map->range[kept++] = map->range[i];
	map->count = kept;
	for (unsigned i = 0; i < map->count; i++) {
		insert_boundary(boundary, &boundaries, map->range[i].first);
		insert_boundary(boundary, &boundaries, map->range[i].first + map->range[i].size);
	}

	clean.count = 0;
	clean.lost = map->lost;
	for (unsigned i = 0; i + 1 < boundaries; i++) {
		uint64_t first = boundary[i], size = boundary[i + 1] - first;
		struct memory_range *last = clean.count ? &clean.range[clean.count - 1] : NULL;
		enum memory_kind kind;

		if (size == 0 || !kind_at(map, first, &kind))
			continue;
		if (last && last->kind == kind && last->first + last->size == first)
			last->size += size;
		else
			memory_map_add(&clean, first, size, kind);
	}
	*map = clean;
}

uint64_t memory_map_limit(struct memory_map *map, kelp_paddr_t last)
{
	uint64_t dropped = 0;
	unsigned kept = 0;

	for (unsigned i = 0; i < map->count; i++) {
		struct memory_range range = map->range[i];

		if (range.kind == MEMORY_RAM && range.first + range.size - 1u > last) {
			uint64_t size = range.first > last ? 0 : last - range.first + 1u;

			dropped += range.size - size;
			range.size = size;
		}
		if (range.size)
			map->range[kept++] = range;
	}
	map->count = kept;
	return dropped;
}

uint64_t memory_map_total(const struct memory_map *map, enum memory_kind kind)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < map->count; i++)
		if (map->range[i].kind == kind)
			total += map->range[i].size;
	return total;
}

void boot_print_map(void)
{
	char text[SIZE_TEXT];

	for (unsigned i = 0; i < boot_info.map.count; i++) {
		const struct memory_range *range = &boot_info.map.range[i];

		kprintf("  0x%012llx - 0x%012llx  %10s  %s\n", (unsigned long long)range->first,
			(unsigned long long)(range->first + range->size - 1u),
			size_text(text, range->size), memory_kind_name(range->kind));
	}
}

bool command_line_has(const char *word, char *value, size_t size)
{
	size_t length = strlen(word);
	const char *at = boot_info.command_line;

	while (*at) {
		size_t span = 0;

		while (*at == ' ')
			at++;
		while (at[span] && at[span] != ' ')
			span++;
		if (span >= length && strncmp(at, word, length) == 0 &&
		    (span == length || word[length - 1] == '=')) {
			if (value && size) {
				size_t rest = (size_t)min_u64(span - length, size - 1);

				memcpy(value, at + length, rest);
				value[rest] = '\0';
			}
			return true;
		}
		at += span;
	}
	return false;
}

uint64_t command_line_number(const char *word, uint64_t otherwise)
{
	char text[24];
	uint64_t number = 0;

	if (!command_line_has(word, text, sizeof(text)) || !text[0])
		return otherwise;
	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9')
			return otherwise;
		number = number * 10u + (unsigned)(*at - '0');
	}
	return number;
}
