/* SPDX-License-Identifier: MIT */
/*
 * exist: an embedder for floor 2. Memory for the map is counted, poisoned, and comes from a place
 * of its own; a direct map and an allocator are tables of what each frame is, which check every
 * transition; every hook that may fail can be made to fail the Nth time.
 */
#ifndef TESTS_COMMON_EXIST_H
#define TESTS_COMMON_EXIST_H

#include <setjmp.h>
#include <stdbool.h>

#include <kelp/hotplug.h>

/* What the embedder keeps per frame. */
struct exist_page {
	uint32_t number[2]; /* Kelp's */
	uint32_t zone;
	uint32_t device;
	uint32_t sane; /* EXIST_SANE ^ low bits of the number, set by initialise */
	uint32_t users;
};

#define EXIST_SANE UINT32_C(0x5a11e57)

/* Frames that the tables of the world cover: from 0 on. */
#define EXIST_FRAMES 8192u

enum exist_owner {
	EXIST_NOBODY,
	EXIST_FREE,     /* the allocator's */
	EXIST_ISOLATED,
	EXIST_EMPTIED,  /* isolated and evacuated */
};

enum exist_hook {
	EXIST_TAKE,
	EXIST_BACK,
	EXIST_REACH_ADD,
	EXIST_REACH_REMOVE,
	EXIST_ISOLATE,
	EXIST_EVACUATE,
	EXIST_HOOKS,
};

struct exist_block {
	struct exist_block *next;
	enum kelp_memmap_memory what;
	size_t size;
	unsigned char *memory;
};

struct exist {
	struct kelp_port port;
	struct kelp_memmap map;
	struct kelp_hotplug plug;
	struct kelp_memmap_config config;
	struct kelp_hotplug_hooks hooks;
	void *memory;
	size_t memory_size;
	struct exist_block *blocks;
	unsigned live;      /* blocks */
	size_t bytes;
	unsigned char reached[EXIST_FRAMES];
	unsigned char owner[EXIST_FRAMES];
	unsigned char *frames;      /* contents of frames, for self-hosted ranges */
	size_t page_size;
	unsigned char *array;       /* of descriptors, with its backing per byte range */
	unsigned char *backed;      /* one per descriptor */

	/* The call that fails, counted over all hooks that may; 0: none. */
	unsigned fail_at;
	bool fail_for_ever;
	unsigned calls[EXIST_HOOKS];
	unsigned failed;
	enum exist_hook failed_hook;

	bool panic_armed;
	jmp_buf panic_jump;
	char panic_what[256];
};

/* Shapes: small subsections for small tests, the usual ones. */
#define EXIST_SMALL_SUBSECTION 16u /* frames, of 4 KiB */

/*
 * A map with small sections (16 subsections of 16 frames) over 2^32 bytes, or with an array, or
 * with what `change` makes of the config. Aborts the test when that fails.
 */
struct exist *exist_new(bool with_array, void (*change)(struct kelp_memmap_config *config));
/* Checks that nothing is left over. */
void exist_free(struct exist *world);

/* Everything that can be seen: of the map, its blocks, the direct map and the allocator. */
uint64_t exist_hash(const struct exist *world);

/* The Nth hook call from now on that may fail fails; 0: none. */
void exist_fail(struct exist *world, unsigned nth, bool for_ever);

/* Checks the map from outside: answers, descriptors, walks against single lookups. */
void exist_check(struct exist *world);

static inline kelp_pfn_t exist_pfn(uint64_t number)
{
	kelp_pfn_t pfn = {number};

	return pfn;
}

#define exist_panics(world, statement)                                                             \
	(setjmp((world)->panic_jump) == 0                                                          \
		 ? ((world)->panic_armed = true, (statement), (world)->panic_armed = false,        \
		    false)                                                                         \
		 : true)

#endif
