/* SPDX-License-Identifier: MIT */
/*
 * flush: the gather. Nothing in a space can be changed without an open gather, and whoever
 * opened one must commit it: so the flush cannot be forgotten.
 *
 *	struct kelp_flush flush;
 *	kelp_flush_begin(&flush, &space);
 *	status = kelp_space_unmap(&flush, va, size, 0);
 *	kelp_flush_commit(&flush);
 *	... only now may the frames that were mapped there be reused.
 *
 * A gather collects, over any number of operations: address ranges with the size of the leaves
 * in them, whether a global leaf or a table pointer is among them, and the table pages that were
 * unlinked. Commit invalidates once, locally and on every other CPU, and only then gives the
 * table pages back to the port (INV-1.1).
 *
 * Locking: a gather belongs to one context at a time; it is not shared. It allocates nothing.
 * It may stay open across any code that does not assume the flush has happened.
 */
#ifndef KELP_FLUSH_H
#define KELP_FLUSH_H

#include <kelp/status.h>
#include <kelp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kelp_space;

/* Ranges a gather keeps apart before the two nearest are joined. */
#define KELP_FLUSH_RANGES 8
/* Tables a gather can retire without touching their contents; see kelp_flush.intact. */
#define KELP_FLUSH_INTACT 8

/* What else a request must invalidate besides the ranges. */
#define KELP_FLUSH_GLOBAL (UINT32_C(1) << 0) /* global translations are among them */
#define KELP_FLUSH_TABLES (UINT32_C(1) << 1) /* table pointers changed: walk caches too */
#define KELP_FLUSH_ALL    (UINT32_C(1) << 2) /* everything of the space; the ranges are moot */
#define KELP_FLUSH_ROOT   (UINT32_C(1) << 3) /* the root's entries: reload (PAE's PDPTEs) */

/* Both ends belong to the range, so the last page of the address space needs no special case. */
struct kelp_flush_range {
	kelp_vaddr_t first;
	kelp_vaddr_t last;
	uint32_t stride_shift; /* log2 of the smallest leaf in it: the step of invalidation */
};

/* What one CPU has to do; see kelp_flush_execute(). */
struct kelp_flush_request {
	const struct kelp_space *space;
	uint32_t flags;
	uint32_t count;
	struct kelp_flush_range range[KELP_FLUSH_RANGES];
};

/* A table page that keeps its contents until the flush: hardware may still walk it. */
struct kelp_flush_intact {
	kelp_paddr_t table;
	kelp_vaddr_t va;   /* first address it translated */
	uint32_t level;    /* of the entries IN it */
	kelp_attr_t harvest; /* bits to collect into the leaf that replaced it, once they appear */
};

/* All members are private. The caller provides the memory, usually its stack. */
struct kelp_flush {
	struct kelp_space *space;
	uint32_t state;
	uint32_t intact_count;
	/*
	 * Where the last single-page operation worked: a table of `cursor_entries` leaves for the
	 * addresses from `cursor_first` on (0 entries: nowhere), good while `cursor_epoch` is the
	 * space's; and how the attributes of the last map are encoded.
	 */
	kelp_vaddr_t cursor_first;
	uint32_t cursor_entries;
	uint32_t cursor_epoch;
	void *cursor_table;
	kelp_paddr_t cursor_unfit; /* address bits that a frame must not have */
	uint64_t cursor_bits;
	uint64_t cursor_attr; /* kelp_attr_t; UINT64_MAX, which none equals: not known */
	/*
	 * A run of single pages, not in the request yet: [run_first, run_next). run_next is where
	 * it would go on; 1, which no page begins at, when there is none.
	 */
	kelp_vaddr_t run_first;
	kelp_vaddr_t run_next;
	/* Unlinked tables that need not translate any more, linked through their first entry. */
	kelp_paddr_t retired;
	/* Page of further `intact` records, reserved while preparing; 0 = none. */
	kelp_paddr_t overflow;
	struct kelp_flush_request request;
	struct kelp_flush_intact intact[KELP_FLUSH_INTACT];
};

/*
 * Opens a gather on a space. Phase: any. Locking: none. Cannot fail. In debug builds, opening a
 * gather over one that was never committed is a panic, and a space remembers how many are open:
 * kelp_space_destroy() panics when one was dropped.
 */
void kelp_flush_begin(struct kelp_flush *flush, struct kelp_space *space);

/*
 * Invalidates everything gathered, on this CPU and through port->shootdown on the others, waits
 * for readers if tables were unlinked, gives the table pages back, and closes the gather.
 * After it returns, frames and tables that were unmapped are reachable by nobody.
 * Phase: any. Context: whatever port->shootdown, wait_for_readers and table_give allow; the
 * caller holds no lock that another CPU could spin on with shootdowns blocked. The caller stays
 * on its CPU: one that moved between the local and the remote half would leave a CPU out.
 * Order: barrier that publishes the entries; local and remote invalidation; readers; give back.
 */
void kelp_flush_commit(struct kelp_flush *flush);

/*
 * As commit, but leaves the gather open and empty for further operations: for long loops that
 * want to bound what is pending.
 */
void kelp_flush_now(struct kelp_flush *flush);

/* True while nothing is gathered: commit would do no invalidation. */
bool kelp_flush_is_empty(const struct kelp_flush *flush);

/*
 * Adds a range by hand: for an embedder that changed something Kelp does not see (an alias, a
 * memory-type register). `first` and `last` belong to the range; 2^stride_shift is the smallest
 * leaf in it; flags are KELP_FLUSH_*.
 */
void kelp_flush_add(struct kelp_flush *flush, kelp_vaddr_t first, kelp_vaddr_t last,
		    uint32_t stride_shift, uint32_t flags);

/*
 * Executes a request on the calling CPU, nothing else: what the port's shootdown makes the
 * other CPUs call. Context: interrupts may be off; takes no lock, allocates nothing.
 */
void kelp_flush_execute(const struct kelp_flush_request *request);

/*
 * A gather that must be committed before the scope ends; in debug builds leaving the scope with
 * it open is a panic. Usage: KELP_FLUSH_SCOPE(flush, &space); ... kelp_flush_commit(&flush);
 */
void kelp_flush_scope_end(struct kelp_flush *flush);
#define KELP_FLUSH_SCOPE(name, space_pointer)                                                      \
	__attribute__((cleanup(kelp_flush_scope_end))) struct kelp_flush name = {0};               \
	kelp_flush_begin(&(name), (space_pointer))

#ifdef __cplusplus
}
#endif

#endif
