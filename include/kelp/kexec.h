/* SPDX-License-Identifier: MIT */
/*
 * kexec: puts the next kernel where it wants to lie, over everything that lies there now.
 *
 *	kelp_kexec_init(&kexec, &config, segments, count);   checks; takes nothing
 *	kelp_kexec_load(&kexec);                             the next kernel is in pages of ours
 *	kelp_kexec_port(&kexec, &port);                      safe pages for kelp_trans_init()
 *	kelp_trans_build(&trans, ...);
 *	kelp_kexec_safe_page(&kexec, limit, &page);          safe pages for code and stack
 *	kelp_kexec_finish(&kexec, &list);                    the list of moves
 *	kelp_kexec_check_tables(&kexec, &trans, &page);
 *	kelp_kexec_check_reach(&kexec, &trans, offset, &page);
 *	... other CPUs and devices stopped, interrupts off ...
 *	kelp_kexec_verify(&kexec);                           last chance to refuse
 *	... the machine's code (arch/x86_64/relocate.S) works the list off and jumps ...
 *
 * Until that code runs everything can be undone: kelp_kexec_unload().
 *
 * WHAT IS PROMISED
 *  - INV-5.3 No table, stack, code or list that is used while memory is overwritten lies in a frame
 *    that will be overwritten. kelp_kexec_safe_page() and the port give no such frame, whatever
 *    the allocator hands out; the list lies in safe pages and check_tables looks at every table.
 *  - Executing the list from its beginning to its end moves every page of every segment to its
 *    destination: no step overwrites what a later step still reads. Pages that the allocator gave
 *    at their own destination are not moved at all. Where pages lie in each other's places, a
 *    cycle, one safe page takes one of them meanwhile.
 *  - What is jumped to is what was loaded: a 64-bit digest of every page, taken while it was
 *    loaded, is compared before anything is overwritten. It is XXH64, which sees any accident (a
 *    device that still writes, a stray store) with near certainty at the speed of memory. It is no
 *    signature: whoever can forge memory of the running kernel need not forge a digest. Whether a
 *    kernel may be started is for the embedder to say when it reads the image.
 *
 * SEGMENTS lie in RAM that `usable` names, do not overlap, and begin and end at pages. All
 * destinations are known before the first page is taken; so no page is taken twice.
 *
 * MEMORY. One page per page of data, less those that are zero as a whole; one word per page of
 * destination; the list: 24 bytes per run of consecutive pages. Nothing is allocated otherwise.
 * Up to 2^(2 * page_shift - 6) pages of destination: 1 GiB with pages of 4 KiB.
 *
 * PHASE AND LOCKING. Any in which the hooks work. A struct kelp_kexec belongs to one context.
 * STATE AFTER FAILURE. Of load, finish: kelp_kexec_unload() is what remains to be called.
 */
#ifndef KELP_KEXEC_H
#define KELP_KEXEC_H

#include <kelp/port.h>
#include <kelp/status.h>
#include <kelp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kelp_trans;

struct kelp_kexec_segment {
	kelp_paddr_t destination;
	uint64_t size;      /* bytes at the destination, whole pages */
	uint64_t data_size; /* of these, from the beginning: data. The rest is zero. */
	/*
	 * The data: in memory, or, when `data` is NULL, read piece by piece in ascending order.
	 * What `read` answers other than KELP_OK ends kelp_kexec_load() with the same answer.
	 */
	const void *data;
	enum kelp_status (*read)(void *context, uint64_t offset, void *to, size_t size);
	void *context;
};

struct kelp_kexec_config {
	void *context;
	unsigned page_shift;
	/* True when all of these frames are RAM that the next kernel may be put to. */
	bool (*usable)(void *context, kelp_pfn_t first, uint64_t frames);
	/* One page that ends at or below `limit`, with any contents. False: there is none. */
	bool (*page_take)(void *context, kelp_paddr_t limit, kelp_paddr_t *page);
	void (*page_give)(void *context, kelp_paddr_t page);
	/* To write and read a page that was taken, until it is given back. */
	void *(*pointer)(void *context, kelp_paddr_t page);
	/* As in struct kelp_port. */
	void (*panic)(void *context, const char *what, const char *where);
};

/*
 * One step of the list: `size` bytes, whole pages, go from `source` to `destination`, page by page
 * in ascending order. All addresses are physical.
 *   source == KELP_KEXEC_ZERO   zeros instead
 *   size == 0                   the list goes on at the page `source`; 0: it ends
 */
struct kelp_kexec_step {
	kelp_paddr_t destination;
	kelp_paddr_t source;
	uint64_t size;
};
#define KELP_KEXEC_ZERO UINT64_C(1)

/* The caller provides the memory; the members are private, except `failed_segment`. */
struct kelp_kexec {
	struct kelp_kexec_config config;
	struct kelp_kexec_segment *segments;
	size_t count;
	size_t failed_segment; /* which one init refused, load could not read */
	uint64_t pages;        /* of all destinations */
	kelp_paddr_t directory; /* of pages of words, one per page of destination; 0 = none */
	kelp_paddr_t held;     /* destination frames that came before there was a directory */
	uint64_t reserve_end;  /* no page from here on is reserved */
	uint64_t digest;
	bool loaded;
	bool planned;          /* the list is made from the words, which stay as they are */
	/* The list. */
	kelp_paddr_t list;
	kelp_paddr_t list_page; /* the last one, that steps are added to */
	unsigned list_used;
	kelp_paddr_t spare;
	uint64_t steps;
};

/*
 * Checks the segments, which are sorted by destination in place and stay in use until unload.
 * Takes nothing. Errors: ARGUMENT (no segment, no bytes, more data than bytes, no data), ALIGNMENT,
 * ADDRESS (wraps around), EXISTS (two overlap), RESTRICTED (not all usable), UNSUPPORTED (too
 * large). `failed_segment` is the index after sorting.
 */
enum kelp_status kelp_kexec_init(struct kelp_kexec *kexec, const struct kelp_kexec_config *config,
				 struct kelp_kexec_segment *segments,
				 size_t count) KELP_WARN_UNUSED;

/* Takes pages and fills them. Errors: NO_MEMORY, what `read` answers. */
enum kelp_status kelp_kexec_load(struct kelp_kexec *kexec) KELP_WARN_UNUSED;

/*
 * One page, all zero, that ends at or below `limit` and that no step will overwrite. It belongs to
 * the caller, who gives it back to config.page_give or never. After init, before finish or after.
 * Errors: NO_MEMORY.
 */
enum kelp_status kelp_kexec_safe_page(struct kelp_kexec *kexec, kelp_paddr_t limit,
				      kelp_paddr_t *page) KELP_WARN_UNUSED;

/* Fills in a port whose table_take is the function above: for kelp_trans_init(). */
void kelp_kexec_port(struct kelp_kexec *kexec, struct kelp_port *port);

/*
 * Makes the list. Once, after load.
 * *list is the physical address of its first page. Errors: NO_MEMORY.
 */
enum kelp_status kelp_kexec_finish(struct kelp_kexec *kexec, kelp_paddr_t *list) KELP_WARN_UNUSED;

/* Reads every page again. Errors: MALFORMED (not what was loaded). Takes nothing. */
enum kelp_status kelp_kexec_verify(const struct kelp_kexec *kexec) KELP_WARN_UNUSED;

/* Does [address, address + size) touch a frame that will be overwritten? */
bool kelp_kexec_is_destination(const struct kelp_kexec *kexec, kelp_paddr_t address,
			       uint64_t size);

/* INV-5.3, looked at: RESTRICTED when the root or a table lies in such a frame, at *page. */
enum kelp_status kelp_kexec_check_tables(const struct kelp_kexec *kexec,
					 const struct kelp_trans *trans,
					 kelp_paddr_t *page) KELP_WARN_UNUSED;

/*
 * What the last code touches is there: every page of the list, and every source and destination
 * that it names, is translated at its physical address + offset (modulo 2^64) to itself. After
 * finish. Errors: NOT_MAPPED, the first that is not at *page.
 */
enum kelp_status kelp_kexec_check_reach(const struct kelp_kexec *kexec,
					const struct kelp_trans *trans, uint64_t offset,
					kelp_paddr_t *page) KELP_WARN_UNUSED;

/*
 * Works a list off in C, reaching frames through `pointer`: what the machine's code must do, for
 * tests and for embedders whose machine lets C run there.
 */
void kelp_kexec_execute(kelp_paddr_t list, unsigned page_shift,
			void *(*pointer)(void *context, kelp_paddr_t page), void *context);

/* Gives back every page that load and finish took. */
void kelp_kexec_unload(struct kelp_kexec *kexec);

#ifdef __cplusplus
}
#endif

#endif
