/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void sim_disk_init(struct sim_disk *disk, uint64_t size)
{
	*disk = (struct sim_disk){
		.medium = must(calloc(1, (size_t)size)),
		.size = size,
		.sector = 512,
		.cut_at = UINT64_MAX,
	};
}

static void drop_cache(struct sim_disk *disk)
{
	while (disk->cached > 0)
		free(disk->cache[--disk->cached].data);
}

void sim_disk_free(struct sim_disk *disk)
{
	drop_cache(disk);
	free(disk->cache);
	free(disk->medium);
}

void sim_disk_copy(struct sim_disk *to, const struct sim_disk *from)
{
	if (to->size != from->size)
		abort();
	drop_cache(to);
	memcpy(to->medium, from->medium, (size_t)from->size);
	to->sector = from->sector;
	to->operations = 0;
	to->cut_at = UINT64_MAX;
	to->off = false;
}

static bool is_inside(const struct sim_disk *disk, uint64_t offset, size_t size)
{
	return offset <= disk->size && size <= disk->size - offset;
}

/* True while there is power for one more write or flush. */
static bool step(struct sim_disk *disk)
{
	if (disk->operations >= disk->cut_at)
		disk->off = true;
	disk->operations += !disk->off;
	return !disk->off;
}

/* Reads see the cache, the newest write last. */
bool sim_disk_read(void *context, uint64_t offset, void *buffer, size_t size)
{
	struct sim_disk *disk = context;

	if (disk->off || !is_inside(disk, offset, size))
		return false;
	memcpy(buffer, disk->medium + offset, size);
	for (size_t i = 0; i < disk->cached; i++) {
		const struct sim_disk_write *write = &disk->cache[i];
		uint64_t first = write->offset > offset ? write->offset : offset;
		uint64_t end = write->offset + write->size < offset + size
				       ? write->offset + write->size
				       : offset + size;

		if (first < end)
			memcpy((uint8_t *)buffer + (first - offset),
			       write->data + (first - write->offset), (size_t)(end - first));
	}
	return true;
}

/* The write during which power goes is in the cache too: it may reach the medium as well. */
bool sim_disk_write(void *context, uint64_t offset, const void *buffer, size_t size)
{
	struct sim_disk *disk = context;
	struct sim_disk_write *write;

	if (disk->off || !is_inside(disk, offset, size))
		return false;
	if (disk->cached == disk->capacity) {
		disk->capacity = disk->capacity * 2 + 16;
		disk->cache =
			must(realloc(disk->cache, disk->capacity * sizeof(*disk->cache)));
	}
	write = &disk->cache[disk->cached++];
	*write = (struct sim_disk_write){offset, size, must(malloc(size ? size : 1))};
	memcpy(write->data, buffer, size);
	return step(disk);
}

static void apply(struct sim_disk *disk, const struct sim_disk_write *write, size_t first,
		  size_t size)
{
	memcpy(disk->medium + write->offset + first, write->data + first, size);
}

bool sim_disk_flush(void *context)
{
	struct sim_disk *disk = context;

	/* A flush that power cuts short may have got anywhere: restart decides. */
	if (disk->off || !step(disk))
		return false;
	for (size_t i = 0; i < disk->cached; i++)
		apply(disk, &disk->cache[i], 0, disk->cache[i].size);
	drop_cache(disk);
	return true;
}

void sim_disk_cut_after(struct sim_disk *disk, uint64_t operations)
{
	disk->operations = 0;
	disk->cut_at = operations;
}

/* ---- what is left of the cache --------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* Sectors of a write, each kept or not as the bits of `mask` say, which repeat. */
static void tear(struct sim_disk *disk, const struct sim_disk_write *write, uint64_t mask)
{
	size_t sector = disk->sector;

	for (size_t at = 0, n = 0; at < write->size; at += sector, n++) {
		size_t size = write->size - at < sector ? write->size - at : sector;

		if (mask >> (n & 63u) & 1u)
			apply(disk, write, at, size);
	}
}

/* One half of a write, in whole sectors. */
static void keep_half(struct sim_disk *disk, const struct sim_disk_write *write, bool second)
{
	size_t half = write->size / 2 / disk->sector * disk->sector;

	apply(disk, write, second ? half : 0, second ? write->size - half : half);
}

static void restart_extreme(struct sim_disk *disk, uint64_t seed, size_t i, bool last)
{
	const struct sim_disk_write *write = &disk->cache[i];

	if (seed == SIM_DISK_KEEP_ALL || (seed == SIM_DISK_KEEP_LAST && last) ||
	    (seed == SIM_DISK_LOSE_FIRST && i > 0) || (seed == SIM_DISK_TEAR_LAST && !last))
		apply(disk, write, 0, write->size);
	else if (seed == SIM_DISK_TEAR_LAST)
		keep_half(disk, write, false);
	else if (seed == SIM_DISK_TEAR_TAIL && last)
		keep_half(disk, write, true);
	else if (seed == SIM_DISK_TEAR_ALL)
		tear(disk, write, UINT64_C(0x5555555555555555) << (i & 1u));
}

static void restart_random(struct sim_disk *disk, uint64_t seed)
{
	uint64_t state = seed;

	/* Any order: each is swapped with one of those behind it. */
	for (size_t i = 0; i < disk->cached; i++) {
		size_t other = i + (size_t)(next_random(&state) % (disk->cached - i));
		struct sim_disk_write write = disk->cache[i];

		disk->cache[i] = disk->cache[other];
		disk->cache[other] = write;
	}
	for (size_t i = 0; i < disk->cached; i++) {
		uint64_t fate = next_random(&state);

		if (fate % 3 == 0)
			apply(disk, &disk->cache[i], 0, disk->cache[i].size);
		else if (fate % 3 == 1)
			tear(disk, &disk->cache[i], next_random(&state));
	}
}

void sim_disk_restart(struct sim_disk *disk, uint64_t seed)
{
	if (seed >= SIM_DISK_RANDOM)
		restart_random(disk, seed);
	for (size_t i = 0; i < disk->cached && seed < SIM_DISK_RANDOM; i++)
		restart_extreme(disk, seed, i, i + 1 == disk->cached);
	drop_cache(disk);
	disk->off = false;
	disk->cut_at = UINT64_MAX;
}
