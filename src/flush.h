/* SPDX-License-Identifier: MIT */
/* flush, inside the library: what operations put into a gather. */
#ifndef KELP_SRC_FLUSH_H
#define KELP_SRC_FLUSH_H

#include <kelp/flush.h>

#include "entry.h"

#define KELP_FLUSH_OPEN   UINT32_C(0x6b656c70)
#define KELP_FLUSH_CLOSED UINT32_C(0)

#define KELP_FLUSH_NO_RUN UINT64_C(1)

/*
 * True when the page at `va` continues the run of single pages: the whole cost of the gather for
 * a caller that unmaps page after page.
 */
static inline bool kelp_flush_continue(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size)
{
	/* A run that ended with the last page of the address space does not go on at 0. */
	if (__builtin_expect(flush->run_next != va || va == 0, 0))
		return false;
	flush->run_next = va + size;
	return true;
}

/*
 * Ends the run there is, and begins one with the page at `va`. Always KELP_OK: the entry points
 * for single pages end in this call, and it is theirs to return.
 */
enum kelp_status kelp_flush_begin_run(struct kelp_flush *flush, kelp_vaddr_t va, uint32_t flags);

/* Is anything gathered, and not flushed yet, that touches [first, last]? */
bool kelp_flush_overlaps(struct kelp_flush *flush, kelp_vaddr_t first, kelp_vaddr_t last);

/*
 * Notes that tables were unlinked: cursors into them are void. The pages themselves go onto
 * flush->retired or flush->intact.
 */
static inline void kelp_flush_note_unlink(struct kelp_space *space)
{
	kelp_hw_count_add(&space->epoch, 1);
}

/* Records that fit into one overflow page of `size` bytes, after its header. */
struct kelp_flush_overflow {
	kelp_paddr_t next;
	uint64_t count;
	struct kelp_flush_intact record[];
};

static inline uint64_t kelp_flush_overflow_capacity(size_t page_size)
{
	size_t room = page_size - sizeof(struct kelp_flush_overflow);
	uint64_t n = 0;

	/* A constant per format, but no division: 32-bit targets have none for 64 bits. */
	for (; room >= sizeof(struct kelp_flush_intact); n++)
		room -= sizeof(struct kelp_flush_intact);
	return n;
}

/* Pages to reserve so that `count` more intact tables can be retired. */
uint64_t kelp_flush_intact_pages(const struct kelp_flush *flush, uint64_t count);

/*
 * Retires a table (with everything below it) whose contents must stay until the flush; takes an
 * overflow page from the change's reserve when the inline records are full.
 */
void kelp_flush_retire_intact(struct kelp_flush *flush, struct kelp_change *change,
			      const struct kelp_flush_intact *table);

#endif
