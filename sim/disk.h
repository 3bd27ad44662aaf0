/* SPDX-License-Identifier: MIT */
/*
 * disk: a disk whose power goes at the worst moment. What was written since the last flush is in a
 * volatile cache: at a power cut each of these writes may have reached the medium, or not, or in
 * part, in any order. What a flush has returned for is permanent.
 *
 *	sim_disk_cut_after(&disk, 17);       the 18th write or flush from now on fails, and all later
 *	... what is under test runs into it ...
 *	sim_disk_restart(&disk, seed);       power is back; the seed says what became of the cache
 *
 * The pair of numbers replays a failure. Seeds below SIM_DISK_RANDOM are the extreme cases, the
 * others random ones. Parts are multiples of `sector` bytes: what a disk writes as a whole.
 *
 * It knows nothing of snapshots: an embedder tries its own commit protocol on it. Not for several
 * threads.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a restart makes of the writes in the cache, in the order in which they were made. */
enum sim_disk_seed {
	SIM_DISK_KEEP_ALL = 0,
	SIM_DISK_LOSE_ALL = 1,
	SIM_DISK_KEEP_LAST = 2,  /* reordered: the last one came first */
	SIM_DISK_LOSE_FIRST = 3,
	SIM_DISK_TEAR_LAST = 4,  /* its first half, all before it kept */
	SIM_DISK_TEAR_TAIL = 5,  /* its second half, all before it lost */
	SIM_DISK_TEAR_ALL = 6,   /* every other sector of each */
	SIM_DISK_RANDOM = 8,     /* from here on: kept, lost or torn, in any order */
};

struct sim_disk_write {
	uint64_t offset;
	size_t size;
	uint8_t *data;
};

struct sim_disk {
	uint8_t *medium;
	uint64_t size;
	uint32_t sector; /* bytes; 512 unless changed */
	/* The cache, oldest first. */
	struct sim_disk_write *cache;
	size_t cached, capacity;
	uint64_t operations; /* writes and flushes since init, failed ones not among them */
	uint64_t cut_at;     /* operations that still succeed; UINT64_MAX: all */
	bool off;
};

/* The medium is all zeroes. Ends the program when the host has no memory. */
void sim_disk_init(struct sim_disk *disk, uint64_t size);
void sim_disk_free(struct sim_disk *disk);
/* The same medium and an empty cache. */
void sim_disk_copy(struct sim_disk *to, const struct sim_disk *from);

/* False: the power is off, or it goes now, or it is beyond the end. */
bool sim_disk_read(void *disk, uint64_t offset, void *buffer, size_t size);
bool sim_disk_write(void *disk, uint64_t offset, const void *buffer, size_t size);
bool sim_disk_flush(void *disk);

void sim_disk_cut_after(struct sim_disk *disk, uint64_t operations);
void sim_disk_restart(struct sim_disk *disk, uint64_t seed);

#endif
