/* SPDX-License-Identifier: MIT */
/*
 * judge: plays every other CPU's TLB and paging-structure caches. After each operation it
 * compares the tables with what they were: whatever hardware could have cached and is no longer
 * true is remembered until a shootdown request covers it. A commit that leaves anything
 * remembered is a failure, and so is a table page that goes back to the port before a request
 * covered it and readers were waited for (INV-1.1).
 */
#ifndef TESTS_COMMON_JUDGE_H
#define TESTS_COMMON_JUDGE_H

#include <kelp/kelp.h>

#include "raw.h"
#include "test_port.h"

/* Something a CPU may still hold although the tables say otherwise. */
struct stale {
	/* What must lie in the request's ranges: addresses whose translation changed. */
	kelp_vaddr_t first, last;
	bool changed;
	/* At least one single invalidation must hit what was cached. */
	kelp_vaddr_t span_first, span_last;
	bool global;
	bool pointer;       /* a table pointer: walk caches too */
	bool root;          /* an entry of a root that lives in registers */
	const char *why;
};

/* A table page that was reachable and is not any more. */
struct unlinked {
	kelp_paddr_t table;
	kelp_vaddr_t va, last;
	unsigned level; /* of the entries in it */
	bool flushed;
	bool waited;
};

struct judge {
	const struct kelp_format *format;
	struct test_port *port;
	const struct kelp_space *space;

	struct raw_list now;    /* the tables when they were last looked at */
	struct raw_list before; /* scratch */
	struct stale *stale;
	size_t stale_count, stale_capacity;
	struct unlinked *unlinked;
	size_t unlinked_count, unlinked_capacity;

	/* Requests seen since judge_forget(); what was covered. */
	unsigned requests;
	bool destroying;
};

/* Watches `space`, which is set up already; all of its tables count as cached everywhere. */
void judge_init(struct judge *judge, const struct kelp_space *space, struct test_port *port);
void judge_free(struct judge *judge);

/* Looks at the tables and remembers what became stale. After every operation. */
void judge_observe(struct judge *judge);
/* The test itself (hardware, or a stranger) changed the tables: nothing became stale. */
void judge_accept(struct judge *judge);
/* After a commit: nothing stale may be left, and no table may be unlinked and kept. */
void judge_check_clean(struct judge *judge);
/* kelp_space_destroy() is next: everything must be flushed before pages are given back. */
void judge_destroying(struct judge *judge);

/*
 * INV-1.2: every translation of `now` that differs from `before` may replace it without a break:
 * the entries themselves, and where leaves changed their size the parts they have in common.
 */
bool judge_replaceable(const struct kelp_format *format, const struct raw_list *before,
		       const struct raw_list *now, struct raw_entry *offender);

#endif
