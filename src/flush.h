/* SPDX-License-Identifier: MIT */
/* flush, inside the library: what operations put into a gather. */
#ifndef KELP_SRC_FLUSH_H
#define KELP_SRC_FLUSH_H

#include <kelp/flush.h>

#include "entry.h"

#define KELP_FLUSH_OPEN   UINT32_C(0x6b656c70)
#define KELP_FLUSH_CLOSED UINT32_C(0)

/* The common case of kelp_flush_add(): true when the range continued the last one. */
static inline bool kelp_flush_continue(struct kelp_flush *flush, kelp_vaddr_t first,
				       kelp_vaddr_t last, uint32_t stride_shift, uint32_t flags)
{
	struct kelp_flush_range *range = &flush->request.range[flush->request.count - 1u];

	if (__builtin_expect(flush->request.count == 0 || range->last + 1u != first ||
				     first == 0 || range->stride_shift != stride_shift,
			     0))
		return false;
	range->last = last;
	flush->request.flags |= flags;
	return true;
}

/* kelp_flush_add() of one leaf; returns KELP_OK, so that an operation can end with it. */
enum kelp_status kelp_flush_add_leaf(struct kelp_flush *flush, kelp_vaddr_t va,
				     uint32_t stride_shift, uint32_t flags);

static inline void kelp_flush_gather(struct kelp_flush *flush, kelp_vaddr_t first,
				     kelp_vaddr_t last, uint32_t stride_shift, uint32_t flags)
{
	if (!kelp_flush_continue(flush, first, last, stride_shift, flags))
		kelp_flush_add(flush, first, last, stride_shift, flags);
}

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
