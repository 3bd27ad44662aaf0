/* SPDX-License-Identifier: MIT */
/*
 * directmap: RAM at one offset, with the largest leaves; frames can be taken out of it and given
 * back.
 *
 * WHAT IT PROMISES
 *  - INV-3.1 All or nothing: after an error nothing has changed. Where the map cannot be changed
 *    the answer is KELP_ERR_UNSUPPORTED, never success without effect: for frames that an owner
 *    has pinned, for frames that small leaves do not reach, and where the architecture demands a
 *    break of a live leaf and there is no quiesce hook.
 *  - INV-3.2 Large leaves come back by themselves. set_default and add look at the tables that
 *    they touched; a table whose leaves are uniform again becomes one leaf, and so on upwards.
 *    Taking away, giving back and coalescing ends bit-identical.
 *
 * The state is in the tables of the space, nowhere else: a frame is in the map when a leaf, valid
 * or not, stands at its address. So tables that somebody else left (kelp_space_adopt) can be
 * managed too: init with no ranges.
 *
 * LOCKING. One lock of the embedder's per direct map covers every function but present,
 * statistics and the inlines, which are lock-free (CONCURRENCY in kelp/space.h). As coalescing
 * and remove restructure, the direct map's addresses have root entries of their own, or the edits
 * of what shares one with it are under the same lock. Where that is too much (five levels, and
 * one root entry for the whole kernel), it suffices that the tables which span more than the
 * window are never empty: coalescing takes away only tables that lie inside the window.
 *
 * CONTEXT. The immediate forms commit a gather: whatever port->shootdown allows. The gathered
 * forms leave the commit to the caller: what was taken away may be used by other CPUs until then,
 * and must not be given to anybody. They may call kelp_flush_now() on the gather: before a leaf
 * is broken, and before leaves merge while something is pending, so that no CPU ever holds two
 * sizes with two meanings.
 *
 * RUNNING CODE. A split of the leaf that holds the running code, its stack or the tables is
 * invisible where the format can replace a leaf by an equal table in one store. Elsewhere the
 * quiesce hook runs the change while nobody stands on the map.
 */
#ifndef KELP_DIRECTMAP_H
#define KELP_DIRECTMAP_H

#include <kelp/space.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Frames, both ends inside. */
struct kelp_frame_range {
	kelp_pfn_t first;
	kelp_pfn_t last;
};

/* Ranges whose tables may be uniform again, kept apart before the two nearest are joined. */
#define KELP_DIRECTMAP_PENDING 8

/* kelp_directmap_config.flags. */
#define KELP_DIRECTMAP_NO_COALESCE (UINT32_C(1) << 0) /* what was split stays split */
/* Coalescing waits for kelp_directmap_coalesce_some(): for an idle thread. */
#define KELP_DIRECTMAP_DEFER       (UINT32_C(1) << 1)

struct kelp_directmap_config {
	struct kelp_space *space;
	/*
	 * The window: frames [first, first + frames) appear from `base` on. Large leaves need
	 * `base` and the address of `first` to agree modulo the leaf's size.
	 */
	kelp_vaddr_t base;
	kelp_pfn_t first;
	uint64_t frames;
	/*
	 * The default attributes. ACCESSED and DIRTY are added where the format has them: nobody
	 * asks for them here, and equal leaves stay equal.
	 */
	kelp_attr_t attributes;
	/* log2 of the largest leaf; 0: as large as the format has; page_shift: none ever splits. */
	unsigned leaf_shift;
	uint32_t flags;
	/* Tables looked at per call beyond those of the call's own range; 0: a default. */
	uint32_t coalesce_tables;
	/* Memory for pins; may be NULL when nothing is ever pinned. */
	struct kelp_frame_range *pins;
	uint32_t pin_capacity;
	/*
	 * Runs work(argument) while no CPU uses the direct map: every other one is parked, and all
	 * of them, the caller included, run on a transitional copy of the tables that the work does
	 * not touch, stacks and `argument` included. Afterwards every CPU drops all it has cached
	 * before it returns to the real tables. Needed on formats with bbm_level < 2 to change a
	 * part of a large leaf. The work takes and gives no table page and takes no lock; it calls
	 * port->shootdown, which need not reach parked CPUs.
	 * Returns KELP_OK after the work was done, or an error (BUSY) and has not begun it.
	 * NULL: there is no such way, and what needs it is KELP_ERR_UNSUPPORTED.
	 */
	enum kelp_status (*quiesce)(void *context, void (*work)(void *argument), void *argument);
	void *quiesce_context;
};

/* Counts since init. */
struct kelp_directmap_counts {
	uint64_t splits;       /* tables made in the place of leaves */
	uint64_t restorations; /* leaves put in the place of tables */
	uint64_t quiesced;     /* calls of the quiesce hook that did their work */
	uint64_t refused;      /* changes answered with UNSUPPORTED */
};

/* What the map looks like; see kelp_directmap_statistics(). */
struct kelp_directmap_statistics {
	uint64_t leaves[KELP_LEVELS_MAX];  /* valid or not, by level; groups counted by entry */
	uint64_t grouped[KELP_LEVELS_MAX]; /* of those, entries that bear a group mark */
	uint64_t frames;                   /* in the map */
	uint64_t absent;                   /* of those, not translated */
	struct kelp_directmap_counts counts;
};

/* The caller provides the memory; the members are private. */
struct kelp_directmap {
	struct kelp_space *space;
	uint64_t offset; /* virtual minus physical address */
	kelp_paddr_t first;
	uint64_t size; /* bytes of the window */
	unsigned page_shift;
	unsigned leaf_shift;
	kelp_attr_t attributes;
	uint32_t flags;
	uint32_t coalesce_tables;
	uint32_t pin_count;
	uint32_t pin_capacity;
	struct kelp_frame_range *pins;
	enum kelp_status (*quiesce)(void *context, void (*work)(void *argument), void *argument);
	void *quiesce_context;
	bool types_changed; /* a memory type or SHARED was ever changed */
	uint32_t pending_count;
	struct {
		kelp_vaddr_t first, last;
	} pending[KELP_DIRECTMAP_PENDING];
	struct kelp_directmap_counts counts;
};

/*
 * Sets up the map and maps `count` ranges of RAM, which must lie in the window, in any order.
 * Phase: any in which the port gives table pages. All of it or nothing.
 * Errors: ARGUMENT, ADDRESS (outside the window, the window not translatable), UNSUPPORTED (the
 * attributes), EXISTS (something is mapped there; two ranges overlap), RESTRICTED, NO_MEMORY.
 */
enum kelp_status kelp_directmap_init(struct kelp_directmap *map,
				     const struct kelp_directmap_config *config,
				     const struct kelp_frame_range *ranges,
				     size_t count) KELP_WARN_UNUSED;

/*
 * Hot-plug. add maps the frames with the default attributes; remove takes them out, absent ones
 * among them, and gives back the tables that are empty then. A leaf that reaches beyond a removed
 * range is split. Errors of add: ADDRESS, ARGUMENT (no frames), EXISTS, RESTRICTED, NO_MEMORY; of
 * remove: those, NOT_MAPPED (a hole among them), UNSUPPORTED (INV-3.1), what quiesce answers.
 */
enum kelp_status kelp_directmap_add(struct kelp_directmap *map, kelp_pfn_t first,
				    uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_directmap_remove(struct kelp_directmap *map, kelp_pfn_t first,
				       uint64_t frames) KELP_WARN_UNUSED;

/*
 * set_invalid takes frames away: they are not translated any more. set_default gives them back
 * with the default attributes, whatever was done to them. protect adds the attributes `set` and
 * takes away `clear`, as kelp_space_protect(). Each may be repeated; each is all or nothing over
 * the whole range. Errors: ADDRESS, ARGUMENT, NOT_MAPPED (a hole in the range), UNSUPPORTED
 * (INV-3.1; attributes that do not exist), RESTRICTED, NO_MEMORY (a split needs a table), what
 * quiesce answers.
 *
 * What was taken away page by page lies in small leaves: giving pages of it back needs no memory.
 * What was taken away whole, or as a large part, lies in large leaves that are invalid, and giving
 * back a part of one splits it: set_default of a part can answer NO_MEMORY. Who must not fail
 * there gives back what was taken away in one, or takes away page by page.
 */
enum kelp_status kelp_directmap_set_invalid(struct kelp_directmap *map, kelp_pfn_t first,
					    uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_directmap_set_default(struct kelp_directmap *map, kelp_pfn_t first,
					    uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_directmap_protect(struct kelp_directmap *map, kelp_pfn_t first,
					uint64_t frames, kelp_attr_t set,
					kelp_attr_t clear) KELP_WARN_UNUSED;

/* The same into a gather of the caller's, opened on the map's space. */
enum kelp_status kelp_directmap_set_invalid_gather(struct kelp_directmap *map,
						   struct kelp_flush *flush, kelp_pfn_t first,
						   uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_directmap_set_default_gather(struct kelp_directmap *map,
						   struct kelp_flush *flush, kelp_pfn_t first,
						   uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_directmap_protect_gather(struct kelp_directmap *map,
					       struct kelp_flush *flush, kelp_pfn_t first,
					       uint64_t frames, kelp_attr_t set,
					       kelp_attr_t clear) KELP_WARN_UNUSED;

/*
 * A pinned range cannot be taken away, given back, protected or removed: the kernel's own text
 * and constants, a range that firmware or a hypervisor reads through our tables. unpin takes back
 * one pin of exactly this range. Errors: ADDRESS, ARGUMENT; pin: NO_MEMORY (pin_capacity);
 * unpin: NOT_MAPPED (there is no such pin).
 */
enum kelp_status kelp_directmap_pin(struct kelp_directmap *map, kelp_pfn_t first,
				    uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_directmap_unpin(struct kelp_directmap *map, kelp_pfn_t first,
				      uint64_t frames) KELP_WARN_UNUSED;

/*
 * Looks at up to `tables` tables that may be uniform again, in its own gather. Returns true while
 * some are left to look at. What cannot be merged now (no memory for the record, the quiesce hook
 * refuses) stays as it is until the range is touched again.
 */
bool kelp_directmap_coalesce_some(struct kelp_directmap *map, uint32_t tables);

/* True when the frame is translated at this moment. A hint, unless the caller holds the lock. */
bool kelp_directmap_present(const struct kelp_directmap *map, kelp_pfn_t pfn);

/* Counts leaves by walking the whole window. */
void kelp_directmap_statistics(const struct kelp_directmap *map,
			       struct kelp_directmap_statistics *statistics);

/* The frame's address in the window, whether or not it is present; the window must have it. */
static inline kelp_vaddr_t kelp_directmap_address(const struct kelp_directmap *map, kelp_pfn_t pfn)
{
	return (pfn.number << map->page_shift) + map->offset;
}

/* Does the window have a place for the frame (an address)? */
static inline bool kelp_directmap_has_frame(const struct kelp_directmap *map, kelp_pfn_t pfn)
{
	return pfn.number - (map->first >> map->page_shift) < map->size >> map->page_shift;
}

static inline bool kelp_directmap_has_address(const struct kelp_directmap *map, kelp_vaddr_t va)
{
	return va - map->offset - map->first < map->size;
}

/* The frame of an address in the window. */
static inline kelp_pfn_t kelp_directmap_frame(const struct kelp_directmap *map, kelp_vaddr_t va)
{
	kelp_pfn_t pfn = {(va - map->offset) >> map->page_shift};

	return pfn;
}

/* ---- debug page allocation --------------------------------------------------------------- */

/*
 * INV-3.3 A call family of its own, for an allocator that wants every free frame absent, so that
 * a use after free faults. It needs no memory, because it works only on a map whose leaves are
 * pages (config.leaf_shift = page_shift), and says UNSUPPORTED of any other. It sees what an
 * allocator's bug looks like: freeing what is absent is KELP_ERR_NOT_MAPPED (freed twice), and
 * allocating what is present is KELP_ERR_EXISTS; then nothing has changed.
 *
 * The gathered form is for an allocator that may not send shootdowns where it frees: it commits
 * later, and a use after free on another CPU may go unseen until then. Giving frames back to
 * callers needs no flush where the format does not cache invalid entries.
 * Further errors: ADDRESS, ARGUMENT, UNSUPPORTED (pinned).
 */
enum kelp_status kelp_debug_pages_free(struct kelp_directmap *map, kelp_pfn_t first,
				       uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_debug_pages_allocate(struct kelp_directmap *map, kelp_pfn_t first,
					   uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_debug_pages_free_gather(struct kelp_directmap *map,
					      struct kelp_flush *flush, kelp_pfn_t first,
					      uint64_t frames) KELP_WARN_UNUSED;
enum kelp_status kelp_debug_pages_allocate_gather(struct kelp_directmap *map,
						  struct kelp_flush *flush, kelp_pfn_t first,
						  uint64_t frames) KELP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif

#endif
