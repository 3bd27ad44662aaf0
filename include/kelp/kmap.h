/* SPDX-License-Identifier: MIT */
/*
 * kmap: an address for a frame, for a short time. A frame that lies in the direct map's window
 * has one already: then each call is one compare. Every other frame is mapped.
 *
 * kelp_kmap_local() maps into slots of the CPU: a stack, strictly last in, first out (INV-3.7).
 * It costs one store, and unmapping one store and one local invalidation; nobody else is told.
 * kelp_kmap() maps for everybody, with a count per slot, waits when all slots are in use, and
 * flushes once per wrap around its range.
 *
 * LOCAL MAPS. A kelp_kmap_context holds the stack: one per thread. Interrupts use that of the
 * thread they interrupt, and leave it as they found it; so maps nest, KELP_KMAP_DEPTH deep in
 * all. While a context holds a map it stays on its CPU. It may be switched out: the embedder's
 * context switch calls kelp_kmap_switch_out() and, when the thread runs again on the same CPU,
 * kelp_kmap_switch_in(); both with interrupts off. The addresses stay the same.
 *
 * WHAT IS NOT HERE. Whether the frame may be touched is floor 4's question. A frame that was taken
 * out of the direct map on purpose is absent there, and its address faults: kelp_copywin_read()
 * reaches it. KELP_KMAP_FORCE maps always, which finds code that keeps an address too long.
 */
#ifndef KELP_KMAP_H
#define KELP_KMAP_H

#include <kelp/directmap.h>
#include <kelp/slot.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Maps that a context can hold at once, its interrupts included. */
#define KELP_KMAP_DEPTH 16u

/* kelp_kmap_config.flags. */
#define KELP_KMAP_FORCE  (UINT32_C(1) << 0) /* the direct map is not used */
#define KELP_KMAP_GUARDS (UINT32_C(1) << 1) /* a page between any two slots is never mapped */

/* Pages of address space of one CPU's local slots. */
#define KELP_KMAP_LOCAL_PAGES(flags)                                                               \
	((flags) & KELP_KMAP_GUARDS ? 2u * KELP_KMAP_DEPTH + 1u : KELP_KMAP_DEPTH)

/* One CPU's slots; private. */
struct kelp_kmap_cpu {
	struct kelp_slot slot[KELP_KMAP_DEPTH];
};

/* The stack of local maps of a thread; all zero: empty. Private. */
struct kelp_kmap_context {
	uint32_t depth;
	uint32_t cpu; /* while depth > 0 */
	struct {
		kelp_paddr_t pa;
		kelp_attr_t attributes; /* 0: not mapped yet, or no longer */
	} map[KELP_KMAP_DEPTH];
};

/* One slot of the global range; private. */
struct kelp_kmap_page {
	kelp_pfn_t pfn;
	/* 0: none; 1: mapped, unused, in need of a flush; n: n - 1 users. */
	uint32_t count;
	uint32_t chain; /* next slot of the same hash, plus 1 */
	uint32_t head;  /* hash table: first slot of this hash, plus 1 */
};

/*
 * What global maps need of the embedder. lock and unlock: a lock that kmap's callers may wait
 * for, with shootdowns getting through meanwhile (not with interrupts off). sleep: called with
 * the lock held, releases it, waits for a wake, takes it again; may return early. NULL: a full
 * range is KELP_ERR_BUSY. wake: all that sleep.
 */
struct kelp_kmap_hooks {
	void *context;
	void (*lock)(void *context);
	void (*unlock)(void *context);
	void (*sleep)(void *context);
	void (*wake)(void *context);
};

struct kelp_kmap_config {
	struct kelp_space *space;
	const struct kelp_directmap *directmap; /* NULL: there is none */
	/* Of a map: READ, WRITE, ... ACCESSED and DIRTY are added where the format has them. */
	kelp_attr_t attributes;
	uint32_t flags;

	/* cpus * KELP_KMAP_LOCAL_PAGES(flags) pages; memory for `cpus` CPUs. */
	kelp_vaddr_t local_base;
	uint32_t cpus;
	struct kelp_kmap_cpu *cpu;

	/* `pages` pages, a power of two, or 0 for no global maps; memory for as many. */
	kelp_vaddr_t global_base;
	uint32_t pages;
	struct kelp_kmap_page *page;
	const struct kelp_kmap_hooks *hooks; /* with global maps */
};

/* The caller provides the memory; the members are private. */
struct kelp_kmap {
	/* What a compare is made with; sizes of 0: nothing is in the direct map. */
	uint64_t direct_first_frame;
	uint64_t direct_frames;
	kelp_paddr_t direct_first;
	uint64_t direct_size;
	uint64_t direct_offset;
	uint32_t page_shift;
	uint32_t flags;
	struct kelp_space *space;
	kelp_attr_t attributes;
	kelp_vaddr_t local_base;
	uint64_t local_size;
	uint32_t cpus;
	struct kelp_kmap_cpu *cpu;
	kelp_vaddr_t global_base;
	uint64_t global_size;
	uint32_t pages;
	uint32_t last;     /* global slot handed out last */
	uint32_t sleepers;
	struct kelp_kmap_page *page;
	struct kelp_kmap_hooks hooks;
	uint64_t wraps;    /* flushes of the global range */
};

/*
 * Makes the tables of both ranges and finds the entries. Nothing later allocates.
 * Errors: ARGUMENT (no CPUs, `pages` not a power of two, hooks missing, unknown flag, the two
 * ranges overlap), ADDRESS, ALIGNMENT, EXISTS (something is mapped there, or it is in the direct
 * map's window), UNSUPPORTED, RESTRICTED (the attributes), NO_MEMORY. After an error nothing is
 * left behind.
 */
enum kelp_status kelp_kmap_init(struct kelp_kmap *kmap,
				const struct kelp_kmap_config *config) KELP_WARN_UNUSED;

/* Gives the tables back, after a flush. No map is left, no CPU uses an address of the ranges. */
void kelp_kmap_destroy(struct kelp_kmap *kmap);

/* ---- local --------------------------------------------------------------------------------- */

/* For frames that are not in the direct map. */
enum kelp_status kelp_kmap_local_mapped(struct kelp_kmap *kmap, struct kelp_kmap_context *context,
					uint32_t cpu, kelp_pfn_t pfn, kelp_attr_t attributes,
					kelp_vaddr_t *va) KELP_WARN_UNUSED;
void kelp_kunmap_local_mapped(struct kelp_kmap *kmap, struct kelp_kmap_context *context,
			      uint32_t cpu, kelp_vaddr_t va);

/* True, with its address, when the frame is in the direct map's window: one compare. */
static inline bool kelp_kmap_is_direct(const struct kelp_kmap *kmap, kelp_pfn_t pfn,
				       kelp_vaddr_t *va)
{
	*va = (pfn.number << kmap->page_shift) + kmap->direct_offset;
	/* Of numbers: an address that does not fit would be another frame's. */
	return __builtin_expect(pfn.number - kmap->direct_first_frame < kmap->direct_frames, 1);
}

/*
 * Maps a frame on CPU `cpu`, on which the context stays until it unmaps. Any context, interrupts
 * included (with the interrupted thread's stack). Never sleeps. More than KELP_KMAP_DEPTH at once
 * is a caller's bug. Errors: ADDRESS (there can be no such frame; the smallest leaf does not
 * reach it).
 */
static inline enum kelp_status kelp_kmap_local(struct kelp_kmap *kmap,
					       struct kelp_kmap_context *context, uint32_t cpu,
					       kelp_pfn_t pfn, kelp_vaddr_t *va)
{
	if (kelp_kmap_is_direct(kmap, pfn, va))
		return KELP_OK;
	return kelp_kmap_local_mapped(kmap, context, cpu, pfn, kmap->attributes, va);
}

/*
 * Undoes the last kelp_kmap_local() of the context that is not undone yet; `va` is any address in
 * its page. Another order is a caller's bug, and a panic (INV-3.7).
 */
static inline void kelp_kunmap_local(struct kelp_kmap *kmap, struct kelp_kmap_context *context,
				     uint32_t cpu, kelp_vaddr_t va)
{
	if (__builtin_expect(va - kmap->direct_offset - kmap->direct_first < kmap->direct_size, 1))
		return;
	kelp_kunmap_local_mapped(kmap, context, cpu, va);
}

/* The context leaves the CPU with its maps, and comes back to the same CPU; see above. */
void kelp_kmap_switch_out(struct kelp_kmap *kmap, struct kelp_kmap_context *context);
void kelp_kmap_switch_in(struct kelp_kmap *kmap, struct kelp_kmap_context *context, uint32_t cpu);

/* ---- global -------------------------------------------------------------------------------- */

enum kelp_status kelp_kmap_mapped(struct kelp_kmap *kmap, kelp_pfn_t pfn,
				  kelp_vaddr_t *va) KELP_WARN_UNUSED;
void kelp_kunmap_mapped(struct kelp_kmap *kmap, kelp_vaddr_t va);

/*
 * Maps a frame for every CPU until as many kelp_kunmap(); maps of one frame share an address. May
 * sleep. Errors: ADDRESS; BUSY (all slots are in use and there is no sleep hook), UNSUPPORTED
 * (init made no global range).
 */
static inline enum kelp_status kelp_kmap(struct kelp_kmap *kmap, kelp_pfn_t pfn, kelp_vaddr_t *va)
{
	if (kelp_kmap_is_direct(kmap, pfn, va))
		return KELP_OK;
	return kelp_kmap_mapped(kmap, pfn, va);
}

/*
 * Undoes one kelp_kmap(); `va` is any address in its page. Does not sleep; but it takes the lock
 * of the hooks, and wakes: not from an interrupt.
 */
static inline void kelp_kunmap(struct kelp_kmap *kmap, kelp_vaddr_t va)
{
	if (__builtin_expect(va - kmap->direct_offset - kmap->direct_first < kmap->direct_size, 1))
		return;
	kelp_kunmap_mapped(kmap, va);
}

/* ---- looking ------------------------------------------------------------------------------- */

/* Is the address in one of kmap's two ranges, both ends of each, guard pages included? */
static inline bool kelp_is_kmap_address(const struct kelp_kmap *kmap, kelp_vaddr_t va)
{
	return va - kmap->local_base < kmap->local_size ||
	       va - kmap->global_base < kmap->global_size;
}

/*
 * The frame of an address that a map gave, direct or not. Lock-free. Errors: NOT_MAPPED (in the
 * ranges, and nothing is mapped there now), ADDRESS (neither in the ranges nor in the direct map;
 * with KELP_KMAP_FORCE no map is in the direct map).
 */
enum kelp_status kelp_kmap_to_frame(const struct kelp_kmap *kmap, kelp_vaddr_t va,
				    kelp_pfn_t *pfn) KELP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif

#endif
