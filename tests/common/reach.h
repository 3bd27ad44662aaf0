/* SPDX-License-Identifier: MIT */
/*
 * reach: what the tests of floor 3 share: a space under the judge's eyes, comparisons of tables
 * to the bit, and physical memory that is reached through the tables and nothing else.
 */
#ifndef TESTS_COMMON_REACH_H
#define TESTS_COMMON_REACH_H

#include "cases.h"

/* Frames of RAM, made when they are first touched. */
struct reach_frame {
	kelp_paddr_t pa;
	unsigned char *memory;
};

/*
 * A TLB per CPU that never forgets by itself: what an access used stays until an invalidation of
 * that CPU covers it (slot_double.h), or a shootdown.
 */
struct reach_cached {
	uint32_t cpu;
	kelp_vaddr_t va;
	kelp_paddr_t pa;
	kelp_attr_t attributes;
};

struct reach {
	const struct kelp_format *format;
	struct test_port *port;
	struct kelp_space space;
	struct judge judge;
	bool unjudged;
	struct raw_list saved;
	struct reach_frame frames[64];
	unsigned frame_count;
	struct reach_cached cached[256];
	unsigned cached_count;
	uint32_t cpu; /* that executes now */
	unsigned local_flushes;
	/* quiesce hook */
	unsigned quiesced;
	bool quiesce_refuses;
	bool inside; /* the hook's work runs */
};

void reach_begin(struct reach *reach, struct bare *bare);
/* Destroys the space and checks that every page is back. */
void reach_end(struct reach *reach);

/* For tests with several spaces on one port: the judge knows of one. */
void reach_dismiss_judge(struct reach *reach);

/* Looks at the tables; then everything must be flushed. */
void reach_settled(struct reach *reach);

/* The tables below a root as they are, but for where table pages lie. */
void reach_save(struct reach *reach);
/* True when they are again what reach_save() saw, bit for bit. */
bool reach_is_as_saved(struct reach *reach);

/* kelp_directmap_config.quiesce; the context is the struct reach. */
enum kelp_status reach_quiesce(void *context, void (*work)(void *argument), void *argument);

/* The frame at `pa`, a page-aligned address. */
unsigned char *reach_frame(struct reach *reach, kelp_paddr_t pa);
/*
 * An access of reach->cpu: through its TLB, else by walking the space as hardware does. NULL when
 * `va` is not translated, or not writable and `write`.
 */
unsigned char *reach_access(struct reach *reach, kelp_vaddr_t va, bool write);

/* No CPU holds anything of what was accessed and is not mapped any more. */
bool reach_holds_nothing(struct reach *reach);

/* ---- the TLB: reach_tlb.c, or the simulated machine's ------------------------------------- */

void reach_tlb_begin(struct reach *reach);
void reach_tlb_park(struct reach *reach);
void reach_tlb_unpark(struct reach *reach);
/* Invalidation on reach->cpu of the reach that began last. */
void reach_flush_local(const struct kelp_flush_request *request);

#endif
