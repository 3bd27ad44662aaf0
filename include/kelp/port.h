/* SPDX-License-Identifier: MIT */
/*
 * port: what an embedder implements. docs/PORTING.md walks through it step by step.
 *
 * These are the COLD hooks. The hot primitives (load and store an entry, barriers, local
 * invalidation) are inlines of "hw.h", chosen by include path.
 */
#ifndef KELP_PORT_H
#define KELP_PORT_H

#include <kelp/types.h>

struct kelp_space;
struct kelp_flush_request;

struct kelp_port {
	/* Handed back to every hook. */
	void *context;

	/*
	 * Physical to pointer for table pages, for the common case that all of them are mapped at
	 * one offset: pointer = (uintptr_t)(address + table_offset). Used when table_pointer is
	 * NULL, and then costs one addition.
	 */
	uint64_t table_offset;

	/*
	 * Physical to pointer for table pages, the general case. The pointer stays valid until the
	 * page is given back. Called from every operation, also from lock-free readers; must not
	 * fail, sleep or take locks a reader's context may hold.
	 */
	void *(*table_pointer)(void *context, kelp_paddr_t address);

	/*
	 * Gives one table page of `size` bytes (the format's granule), aligned to its size, every
	 * byte zero, not in use by anybody. Returns false when there is none; the operation then
	 * fails with KELP_ERR_NO_MEMORY and has changed nothing. Only called while an operation is
	 * being prepared, never while it commits, and never re-entered by the library.
	 * `limit` is the highest physical address the page may touch (UINT64_MAX: anywhere; the
	 * root of a PAE tree must lie below 4 GiB).
	 */
	bool (*table_take)(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address);

	/*
	 * Takes a table page back. Its contents are unspecified. Called from kelp_flush_commit()
	 * and _now(), from kelp_space_destroy(), and from operations that return what they reserved
	 * and did not use. Where break-before-make rules, an edit may flush in its midst (see
	 * kelp/space.h), so this hook and the two below are then called under the caller's lock of
	 * the range.
	 */
	void (*table_give)(void *context, size_t size, kelp_paddr_t address);

	/*
	 * Makes every OTHER CPU that may hold translations of request->space execute
	 * kelp_flush_execute(request), and returns when all have done so. NULL: one CPU, or the
	 * machine's invalidations are broadcast by hardware (hw.h says so).
	 */
	void (*shootdown)(void *context, const struct kelp_flush_request *request);

	/*
	 * Returns when every read section that began before the call has ended, so that table
	 * pages unlinked before it have no lock-free reader left. NULL: there are none, or
	 * `shootdown` implies it (readers run with interrupts off).
	 */
	void (*wait_for_readers)(void *context);

	/* One line of text, no newline at its end. NULL: silence. */
	void (*log)(void *context, const char *line);

	/*
	 * A caller's bug was found: `what` says which, `where` is file:line. Must not return.
	 */
	void (*panic)(void *context, const char *what, const char *where);
};

#endif
