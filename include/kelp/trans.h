/* SPDX-License-Identifier: MIT */
/*
 * trans: transitional tables, for the moment when the memory of a running kernel is overwritten
 * by the next one, its own tables among it. Hibernation and kexec use the same functions.
 *
 *	kelp_trans_size(source, va, size, policy, &pages);       how much memory it will take
 *	kelp_trans_init(&trans, format, port, 0);
 *	kelp_trans_copy(&trans, source, va, size, policy);       or kelp_trans_build()
 *	kelp_trans_map_page(&trans, code_va, code, rights);      the code that does the overwriting
 *	... that code loads kelp_trans_root() and never comes back ...
 *
 * WHAT IS PROMISED
 *  - INV-5.1 Every valid translation of the source in the range has the same frame and the same
 *    memory type in the copy. A leaf is as large there as it was, unless the range cuts it. It
 *    is writable in the hardware's own bits, whatever rights or hierarchical restrictions the
 *    source had, and ACCESSED and DIRTY are set: hardware has no reason to write into the tables
 *    or to fault. Not user, not global, not executable (where the format can say so). Nothing
 *    exists outside the range.
 *  - INV-5.2 An invalid leaf becomes valid only when the policy allows it and all of its frames
 *    are active; otherwise the call fails. An empty entry stays empty.
 *  - INV-5.4 When a table page is not to be had: NO_MEMORY, the source was only read, and every
 *    page that was taken can be had back by kelp_trans_destroy().
 *
 * MEMORY. Table pages come from port->table_take, one zeroed page at a time, wherever it lies:
 * the caller's port decides which frames are safe (kelp_kexec_port() of kelp/kexec.h, or frames
 * that an image will not be restored to). No other hook of the port is called, except panic, and
 * table_give by destroy; no other CPU is told anything, because none uses these tables.
 *
 * STATE AFTER FAILURE. Copy, build and map_page add to the tables step by step. When one fails,
 * what it had added so far stays: the tables are not good for anything but destroy. `failed` says
 * where. An embedder whose allocator forgets all of its pages at once need not call destroy.
 *
 * PHASE AND LOCKING. Any phase in which the port gives pages. A kelp_trans belongs to one context;
 * nobody edits the source's range during copy and size. Flush duty: none, as no CPU runs on the
 * tables before they are finished; the code that switches to them flushes everything, global
 * translations included.
 */
#ifndef KELP_TRANS_H
#define KELP_TRANS_H

#include <kelp/space.h>

#ifdef __cplusplus
extern "C" {
#endif

/* kelp_trans_policy.flags. */
#define KELP_TRANS_REVIVE (UINT32_C(1) << 0) /* invalid leaves over active frames become valid */

/* What may be made of the source. NULL in its place: nothing is revived. */
struct kelp_trans_policy {
	uint32_t flags;
	void *context;
	/*
	 * True when every one of the frames is real, initialised memory: active in the memory map.
	 * Asked for invalid leaves only. NULL: none is.
	 */
	bool (*active)(void *context, kelp_pfn_t first, uint64_t frames);
};

/* For kelp_trans_build(): frames that are there. */
struct kelp_trans_range {
	kelp_pfn_t first;
	uint64_t frames;
	/*
	 * What the leaves have besides READ, WRITE, ACCESSED and DIRTY: a memory type, SHARED, and
	 * EXEC where the next kernel begins. Other bits are ARGUMENT.
	 */
	kelp_attr_t attributes;
};

/*
 * The caller provides the memory and does not move it; the members are private except `failed`.
 * It is not needed any more once the tables are in use.
 */
struct kelp_trans {
	struct kelp_space space;
	struct kelp_port port;      /* the caller's, less the hooks that reach other CPUs */
	struct kelp_mapping failed; /* after an error of copy or build: where, what stands there */
};

/*
 * Takes the root from the port. `flags`: KELP_SPACE_NO_GROUPS or 0. The port structure may go
 * afterwards, its context may not. Errors: NO_MEMORY; ARGUMENT (unknown flag).
 */
enum kelp_status kelp_trans_init(struct kelp_trans *trans, const struct kelp_format *format,
				 const struct kelp_port *port, uint32_t flags) KELP_WARN_UNUSED;

/*
 * Copies what `source` maps in [va, va + size), to the same addresses; INV-5.1, INV-5.2. A leaf
 * that reaches beyond the range is copied as far as the range goes, in smaller leaves.
 * Errors: ARGUMENT (another struct kelp_format), ALIGNMENT, ADDRESS (of the range); NOT_MAPPED (an
 * invalid leaf, and the policy does not revive); RESTRICTED (it does, and the frames are not all
 * active); MALFORMED (an entry that is neither empty nor a leaf nor a table); EXISTS (something
 * was mapped in these tables already); UNSUPPORTED (a cut leaf whose frame smaller ones do not
 * reach); NO_MEMORY.
 */
enum kelp_status kelp_trans_copy(struct kelp_trans *trans, const struct kelp_space *source,
				 kelp_vaddr_t va, uint64_t size,
				 const struct kelp_trans_policy *policy) KELP_WARN_UNUSED;

/*
 * The same kind of tables from a list of frames instead of from live tables, so that holes in the
 * latter do not matter: the frame at physical address p appears at p + offset (modulo 2^64), with
 * the largest leaves that alignment allows; `offset` 0 is an identity map. Ranges are in ascending
 * order and do not overlap; neighbours with equal attributes share leaves. What is not listed is
 * not mapped, not even by a large leaf.
 * Of the ranges that a direct map shows, this and kelp_trans_copy() of that direct map make the
 * same tables, bit for bit, while its leaves are whole; where some were split, the translations.
 * Errors: ARGUMENT (order, attributes, no frames), ADDRESS, UNSUPPORTED, EXISTS, NO_MEMORY.
 */
enum kelp_status kelp_trans_build(struct kelp_trans *trans, uint64_t offset,
				  const struct kelp_trans_range *ranges,
				  size_t count) KELP_WARN_UNUSED;

/*
 * Maps one page with exactly these attributes (ACCESSED and DIRTY are added where they exist):
 * the code that overwrites, its stack, registers of a console. Takes at most one table page per
 * level below the root. Errors: those of kelp_space_map().
 */
enum kelp_status kelp_trans_map_page(struct kelp_trans *trans, kelp_vaddr_t va, kelp_pfn_t pfn,
				     kelp_attr_t attributes) KELP_WARN_UNUSED;

/*
 * Table pages that kelp_trans_init() and one kelp_trans_copy() (kelp_trans_build()) of the same
 * arguments take together; exact for empty tables, and the sum over several calls is never too
 * small. Allocates nothing and says everything that the call itself would refuse, NO_MEMORY and
 * EXISTS aside; *where, unless NULL, is then what `failed` would be.
 */
enum kelp_status kelp_trans_size(const struct kelp_space *source, kelp_vaddr_t va, uint64_t size,
				 const struct kelp_trans_policy *policy, uint64_t *pages,
				 struct kelp_mapping *where) KELP_WARN_UNUSED;
enum kelp_status kelp_trans_build_size(const struct kelp_format *format, uint64_t offset,
				       const struct kelp_trans_range *ranges, size_t count,
				       uint64_t *pages,
				       struct kelp_mapping *where) KELP_WARN_UNUSED;

/* The root's address, for the register that hardware reads it from. */
static inline kelp_paddr_t kelp_trans_root(const struct kelp_trans *trans)
{
	return trans->space.root;
}

/* Table pages taken so far, the root included. */
static inline uint64_t kelp_trans_pages(const struct kelp_trans *trans)
{
	return trans->space.tables;
}

/*
 * Gives every page back to the port. The tables are in use by nobody. For the attempt that was
 * given up; tables that did their work lie in memory that belongs to the next kernel.
 */
void kelp_trans_destroy(struct kelp_trans *trans);

#ifdef __cplusplus
}
#endif

#endif
