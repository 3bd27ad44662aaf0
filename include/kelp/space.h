/* SPDX-License-Identifier: MIT */
/*
 * space: one translation tree: a root, a format, a port. The only way in to its entries.
 *
 * CONCURRENCY. What the caller must lock is as little as possible:
 *
 *  - query, translate and walk take no lock and may run beside any writer. The caller is inside
 *    a read section that port->wait_for_readers waits for (its own RCU, interrupts off under
 *    IPI shootdown), or otherwise knows that no commit of a gather that unlinked tables
 *    completes meanwhile. What a reader sees of a range being changed is, entry by entry,
 *    either the old or the new state.
 *  - EDITS: map, unmap, protect, populate and the splits they imply may run in parallel on
 *    ranges that do not overlap. They install tables by compare-and-swap, and unmap unlinks
 *    only tables whose whole span lies inside its own range. "Range" is what is asked for; where
 *    a GROUPED leaf (contiguous hint, NAPOT) is cut, the group's whole span counts, and where a
 *    leaf is broken (KELP_ALLOW_BREAK), the whole span of that leaf.
 *  - RESTRUCTURING: coalesce, release and destroy take structure away at the edges of their
 *    range; no edit may run meanwhile whose range shares a root entry with theirs.
 *  - Two edits whose ranges overlap are the caller's to order, as are two walkers of which one
 *    must see all of the other's effect.
 *
 * ALL OR NOTHING. Every edit prepares (validates the whole range, reserves every table page it
 * may need) and then commits, and a commit cannot fail. After an error nothing has changed.
 * kelp_space_prepare/_commit/_cancel give the two halves separately, so that changes of several
 * spaces can be made to succeed together.
 *
 * BREAK-BEFORE-MAKE. Where the architecture demands that a valid entry be made invalid and
 * flushed before a different valid one is written, an edit fails with KELP_ERR_BBM, unless
 * KELP_ALLOW_BREAK is given: then it breaks, flushes through the gather at once, and makes;
 * meanwhile accesses to what the entry covered may fault. It is for ranges that nobody uses at
 * that moment or whose faults are retried; it is not for the stack one stands on.
 * A second edit of the same addresses in one gather also flushes at once there, before it writes:
 * what the first one took away may still be cached. What another gather took away is the caller's
 * to commit first.
 */
#ifndef KELP_SPACE_H
#define KELP_SPACE_H

#include <kelp/flush.h>
#include <kelp/format.h>
#include <kelp/port.h>
#include <kelp/status.h>
#include <kelp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kelp_space_ops;

/* The caller provides the memory; the members are private except where a function says so. */
struct kelp_space {
	const struct kelp_format *format;
	const struct kelp_space_ops *ops;
	const struct kelp_port *port;
	kelp_paddr_t root;
	uint64_t table_offset;    /* port->table_offset, when pointer_hook is NULL */
	void *(*pointer_hook)(void *context, kelp_paddr_t address);
	uint32_t epoch;           /* counts unlinked tables: invalidates cursors */
	uint32_t flags;           /* KELP_SPACE_* plus private ones */
	uint32_t asid;            /* PCID or ASID the embedder runs it under */
	uint32_t flush_threshold; /* single invalidations past which everything is flushed */
	uint32_t tables;          /* table pages taken from the port, root included */
	uint32_t holds_global;    /* a global leaf was ever mapped or adopted */
	uint32_t open_flushes;    /* debug builds: gathers begun and not committed */
};

/* kelp_space_init and kelp_space_adopt. */
#define KELP_SPACE_NO_GROUPS (UINT32_C(1) << 0) /* never set contiguous or NAPOT marks */
/* kelp_space_adopt: table entries that bear Kelp's ownership mark (another Kelp made them) lose
 * it; without this flag they are KELP_ERR_MALFORMED. */
#define KELP_SPACE_DISOWN    (UINT32_C(1) << 1)
/* The tables right below the root are never retired, so that root entries can stand in other
 * roots too (a kernel half that every process shares): see kelp_space_share(). */
#define KELP_SPACE_KEEP_ROOT (UINT32_C(1) << 2)

/* Flags of edits. Each function says which it takes; others are KELP_ERR_ARGUMENT. */
#define KELP_REPLACE        (UINT32_C(1) << 0) /* map: what is there goes */
#define KELP_ALLOW_BREAK    (UINT32_C(1) << 1) /* see above */
#define KELP_STRICT         (UINT32_C(1) << 2) /* unmap: a hole is KELP_ERR_NOT_MAPPED */
#define KELP_SKIP_HOLES     (UINT32_C(1) << 3) /* protect: holes are passed over */
/* map: no leaf larger than 2^shift bytes, one of the format's leaf_sizes. 0 = no limit. */
#define KELP_LEAF_SHIFT(n)  ((uint32_t)(n) << 24)
#define KELP_LEAF_SHIFT_OF(flags) ((flags) >> 24)

/*
 * Makes an empty space. Takes the root from the port, nothing else.
 * `flags`: KELP_SPACE_*. Phase: any in which the port can give a table page.
 * Errors: NO_MEMORY; ARGUMENT (unknown flag). After an error *space is unusable and owns nothing.
 */
enum kelp_status kelp_space_init(struct kelp_space *space, const struct kelp_format *format,
				 const struct kelp_port *port, uint32_t flags) KELP_WARN_UNUSED;

/*
 * Takes over tables that somebody else left: a bootloader, firmware, a hypervisor. They are
 * read and kept: their leaves are not replaced unless an edit asks for it, and their table
 * pages are never given to the port. Tables that edits add below them are Kelp's own.
 * Everything reachable is checked first, so it costs one walk of all of it.
 * Errors: MALFORMED (a reserved bit, a table outside the physical width, a group mark that not
 * all entries of the group bear alike, more tables than `table_limit`: a loop); ALIGNMENT, ADDRESS
 * (of the root); ARGUMENT.
 */
enum kelp_status kelp_space_adopt(struct kelp_space *space, const struct kelp_format *format,
				  const struct kelp_port *port, kelp_paddr_t root,
				  uint64_t table_limit, uint32_t flags) KELP_WARN_UNUSED;

/*
 * Gives back every table page the port gave, the root included; adopted ones are left to their
 * owner. The mapped frames are not touched. Flushes before it frees.
 * Precondition: no gather open, no reader, and no CPU runs on the root any more.
 */
void kelp_space_destroy(struct kelp_space *space);

/* Root address, for the register that hardware reads it from. */
static inline kelp_paddr_t kelp_space_root(const struct kelp_space *space)
{
	return space->root;
}

/*
 * The tag (PCID, ASID) the embedder runs this space under; flushes use it. Not while a gather is
 * open. KELP_ASID_ANY: its tables are reached under every tag, because other roots share them;
 * flushes then leave no tag out.
 */
#define KELP_ASID_ANY UINT32_MAX
void kelp_space_set_asid(struct kelp_space *space, uint32_t asid);

/*
 * Single invalidations past which a flush invalidates everything of the space instead.
 * Default: KELP_FLUSH_THRESHOLD_DEFAULT; docs/PORTING.md says how to measure one's own.
 */
#define KELP_FLUSH_THRESHOLD_DEFAULT 33u
void kelp_space_set_flush_threshold(struct kelp_space *space, uint32_t pages);

/*
 * Maps [va, va + size) to [pa, pa + size) with the largest leaves that alignment allows.
 * `flags`: REPLACE, ALLOW_BREAK, LEAF_SHIFT. With REPLACE whatever was there goes: smaller and
 * larger leaves (what of them lies outside the range stays as it was), tables that a large leaf
 * takes the place of are retired into the gather.
 * KELP_ATTR_INVALID maps leaves that hardware does not translate until protect clears it.
 * Allocates table pages. Flush duty: the gather; on formats that do not cache invalid entries a
 * map without REPLACE gathers nothing, unless a large leaf takes the place of an empty table.
 * Errors: ARGUMENT, ALIGNMENT, ADDRESS (of either address), UNSUPPORTED (attributes; or a frame
 * that only large leaves reach, PSE-36, where one does not fit), EXISTS,
 * RESTRICTED (an adopted table entry above denies a right asked for), BBM, NO_MEMORY.
 */
enum kelp_status kelp_space_map(struct kelp_flush *flush, kelp_vaddr_t va, kelp_paddr_t pa,
				uint64_t size, kelp_attr_t attributes,
				uint32_t flags) KELP_WARN_UNUSED;

/*
 * Removes every leaf in the range, valid or not. A large leaf that reaches beyond it is split,
 * and what lies outside stays as it was. Tables whose whole span lies inside the range are
 * retired into the gather. Holes are passed over; with STRICT one is NOT_MAPPED. Opaque entries of
 * adopted tables stay; in a table of Kelp's own that goes as a whole they go with it.
 * `flags`: STRICT, ALLOW_BREAK. Allocates only to split (at most two chains of tables).
 * Errors: ARGUMENT, ALIGNMENT, ADDRESS, NOT_MAPPED, BBM, NO_MEMORY; UNSUPPORTED (a leaf that
 * cannot be split, because only leaves of its size reach its frame: PSE-36).
 */
enum kelp_status kelp_space_unmap(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				  uint32_t flags) KELP_WARN_UNUSED;

/*
 * Changes the attributes of every leaf in the range: those of `set` are added, those of `clear`
 * taken away (a memory type is changed by putting the new one in `set` and KELP_ATTR_TYPE_MASK
 * in `clear`). Bits of an entry that the library does not model stay as they are. Large leaves
 * that reach beyond the range are split; accessed and dirty bits that hardware sets meanwhile
 * are not lost. set INVALID takes leaves away, clear INVALID gives them back.
 * `flags`: SKIP_HOLES (else a hole is NOT_MAPPED), ALLOW_BREAK.
 * Errors: ARGUMENT (a bit in both; TYPE bits in set without the mask in clear), ALIGNMENT,
 * ADDRESS, NOT_MAPPED, UNSUPPORTED, RESTRICTED, BBM, NO_MEMORY.
 */
enum kelp_status kelp_space_protect(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				    kelp_attr_t set, kelp_attr_t clear,
				    uint32_t flags) KELP_WARN_UNUSED;

/*
 * Makes sure that tables exist in the whole range down to leaves of 2^leaf_shift bytes, so that
 * mapping, unmapping and mapping again such leaves needs no memory. Large leaves in the way
 * stay. unmap of exactly the populated range would retire the tables again; unmap of less than
 * a table's span keeps it.
 * leaf_shift is the span of an entry of any level, or of a group. A later map of larger leaves
 * may put one in the place of an empty table.
 * `flags`: none. Errors: ARGUMENT (no level has such entries), ALIGNMENT, ADDRESS, NO_MEMORY.
 */
enum kelp_status kelp_space_populate(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				     unsigned leaf_shift, uint32_t flags) KELP_WARN_UNUSED;

/*
 * Splits: afterwards no leaf in the range is larger than 2^leaf_shift bytes (a group mark is
 * taken off where the group is larger). Every address translates all the while to the same
 * frame with the same attributes (INV-1.3).
 * `flags`: ALLOW_BREAK. Errors: ARGUMENT (no such leaf size), ALIGNMENT, ADDRESS, BBM, NO_MEMORY,
 * UNSUPPORTED (as for unmap).
 */
enum kelp_status kelp_space_split(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				  unsigned leaf_shift, uint32_t flags) KELP_WARN_UNUSED;

/*
 * The reverse: every table of Kelp's own whose whole span lies inside the range and whose leaves
 * are consecutive with equal attributes becomes one leaf, level by level upwards, up to
 * 2^leaf_shift bytes. Accessed and dirty bits may differ: the large leaf gets both, and those
 * that hardware sets until the flush are collected by the commit. Invalid leaves coalesce with
 * invalid ones. Groups are marked again where the space marks them.
 * `flags`: ALLOW_BREAK. *merged, if not NULL, counts the tables and groups that became a leaf.
 * Errors: ARGUMENT, ALIGNMENT, ADDRESS, BBM (checked before anything changes), NO_MEMORY (a
 * record page when very many tables go at once).
 */
enum kelp_status kelp_space_coalesce(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				     unsigned leaf_shift, uint32_t flags,
				     uint64_t *merged) KELP_WARN_UNUSED;

/*
 * Retires every table of Kelp's own that is empty and whose span touches the range.
 * *released, if not NULL, counts them. Errors: ALIGNMENT, ADDRESS, ARGUMENT.
 */
enum kelp_status kelp_space_release(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				    uint64_t *released) KELP_WARN_UNUSED;

/*
 * Lets root entries of `from` stand in this space too: what is mapped below them later appears
 * in both at once, so no new top-level entry can be missing from one root. `from` was made with
 * KEEP_ROOT, has tables at all of these root entries (populate() them once, down to the span of
 * a level below the root), has the same struct kelp_format and outlives this space. Edits of the
 * shared range go through `from`, under KELP_ASID_ANY where tags are used; this space's destroy
 * leaves the shared tables alone. Allocates nothing. Flush duty: the gather of this space.
 * Errors: ARGUMENT (another format, no KEEP_ROOT, this root is adopted); ALIGNMENT (not whole
 * root entries), ADDRESS; NOT_MAPPED (a root entry of `from` holds no table); EXISTS.
 */
enum kelp_status kelp_space_share(struct kelp_flush *flush, const struct kelp_space *from,
				  kelp_vaddr_t va, uint64_t size) KELP_WARN_UNUSED;

/* ---- prepare and commit, separately ---------------------------------------------------- */

enum kelp_change_kind {
	KELP_CHANGE_MAP,
	KELP_CHANGE_UNMAP,
	KELP_CHANGE_PROTECT,
};

/* The caller fills the first group; the rest is private. */
struct kelp_change {
	enum kelp_change_kind kind;
	uint32_t flags;
	kelp_vaddr_t va;
	uint64_t size;
	kelp_paddr_t pa;    /* MAP */
	kelp_attr_t set;    /* MAP: the attributes; PROTECT */
	kelp_attr_t clear;  /* PROTECT */

	struct kelp_flush *flush;
	kelp_paddr_t reserve; /* table pages, linked through their first bytes */
	uint64_t reserved;
};

/*
 * First half: validates and reserves. Errors: those of map, unmap, protect. After KELP_OK the
 * caller must commit or cancel, and until then keeps the lock it holds on the range.
 */
enum kelp_status kelp_space_prepare(struct kelp_flush *flush,
				    struct kelp_change *change) KELP_WARN_UNUSED;
/* Second half: makes the change. Cannot fail. Gives back what it did not need. */
void kelp_space_commit(struct kelp_change *change);
/* Gives back everything reserved. */
void kelp_space_cancel(struct kelp_change *change);

/* ---- looking ----------------------------------------------------------------------------- */

/* What is at an address: a leaf, or the hole around it. */
struct kelp_mapping {
	kelp_vaddr_t va;   /* first address of the leaf, the run of leaves, or the hole */
	uint64_t size;     /* bytes; 0 means 2^64 */
	kelp_paddr_t pa;   /* frame at `va`; 0 for a hole */
	kelp_attr_t attributes; /* effective: what tables above deny is already gone */
	uint8_t level;     /* of the entry */
	uint8_t shift;     /* log2 of the leaf (of the group, if grouped), or of the hole's span */
	uint8_t kind;      /* enum kelp_entry_kind; for a table visit KELP_ENTRY_TABLE */
	uint8_t reserved;
	uint64_t entry;    /* as it stands in the table (of a run: the first) */
};

/*
 * What the tables say of one address. For a hole *mapping tells the span of the empty entry.
 * Lock-free; see CONCURRENCY. Errors: ADDRESS (not canonical).
 * KELP_OK also for holes and invalid leaves: look at mapping->kind.
 */
enum kelp_status kelp_space_query(const struct kelp_space *space, kelp_vaddr_t va,
				  struct kelp_mapping *mapping) KELP_WARN_UNUSED;

/*
 * Virtual to physical through a valid leaf, and nothing else; `va` need not be aligned.
 * Lock-free. Errors: ADDRESS, NOT_MAPPED (a hole or an invalid leaf).
 */
enum kelp_status kelp_space_translate(const struct kelp_space *space, kelp_vaddr_t va,
				      kelp_paddr_t *pa) KELP_WARN_UNUSED;

enum kelp_visit {
	KELP_VISIT_CONTINUE,
	KELP_VISIT_STOP,
};

/*
 * Called with ascending addresses. It may open a gather and edit, on a table visit nothing inside
 * that table's span; but the walk is a read section: it must not commit, nor do what flushes.
 */
typedef enum kelp_visit kelp_visitor_t(void *context, const struct kelp_mapping *mapping);

#define KELP_WALK_RUNS   (UINT32_C(1) << 0) /* join consecutive leaves of equal size, attributes */
#define KELP_WALK_HOLES  (UINT32_C(1) << 1) /* visit holes too, joined */
#define KELP_WALK_TABLES (UINT32_C(1) << 2) /* visit each table entry before what is below it */

/*
 * Visits every leaf that touches the range (the first and the last may reach beyond it).
 * Lock-free. A visitor that stops ends the walk with KELP_OK.
 * Errors: ARGUMENT, ALIGNMENT, ADDRESS.
 */
enum kelp_status kelp_space_walk(const struct kelp_space *space, kelp_vaddr_t va, uint64_t size,
				 uint32_t flags, kelp_visitor_t *visitor,
				 void *context) KELP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif

#endif
