/* SPDX-License-Identifier: MIT */
/*
 * hotplug: memory that comes and goes, subsection by subsection.
 *
 *	RAM:     add -> online -> offline -> remove
 *	device:  attach -> detach
 *
 *	           valid  active  device   what it is
 *	           0      0       0        not there
 *	add        1      0       0        offline: reachable, its descriptors hold poison
 *	online     1      1       0        in the allocator's hands
 *	attach     1      1       1        device memory
 *
 * Each step takes a range of whole subsections that are all in the state that it starts from, and
 * is ALL OR NOTHING: what can fail comes first, and after an error every answer of the map, every
 * hook's account and every byte of the direct map is what it was.
 *
 * ORDER. Frames get reachable (the direct map) before they are valid, are initialised before they
 * are active, and active before the allocator gets them; the way back is the mirror image, with
 * the wait for holds between active and everything else (INV-2.1).
 *
 * SELF-HOSTED ranges keep their descriptors in their own first frames: adding memory then needs no
 * memory but for sections. Those frames are active with the others, never given to the allocator,
 * and not removed while any other subsection of the range exists. A range added in one call is one
 * range in this sense: who wants to remove subsections one by one adds them one by one.
 *
 * LOCKING. The map's lock covers every function, hooks included. A hook may hold and release
 * frames; it does not call hotplug, and a caller holds no frame of the range.
 */
#ifndef KELP_HOTPLUG_H
#define KELP_HOTPLUG_H

#include <kelp/memmap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the embedder gives. Frames are ranges of whole subsections, but for hosting frames. */
struct kelp_hotplug_hooks {
	void *context;
	/*
	 * Makes the frames reachable, or unreachable: kelp_directmap_add() and _remove(). All or
	 * nothing each. NULL, both: there is no direct map.
	 */
	enum kelp_status (*reach_add)(void *context, kelp_pfn_t first, uint64_t frames);
	enum kelp_status (*reach_remove)(void *context, kelp_pfn_t first, uint64_t frames);
	/*
	 * A pointer to frames that are reachable, contiguous, good until they are removed. Cannot
	 * fail. Needed for self-hosted ranges where the map has no array.
	 */
	void *(*pointer)(void *context, kelp_pfn_t first, uint64_t frames);

	/* ---- the allocator; each range is a run of frames that host no descriptors -------- */
	/*
	 * From now on nobody is given any of these frames; what gets free stays out of reach.
	 * Errors: BUSY or what it likes; then nothing is isolated.
	 */
	enum kelp_status (*isolate)(void *context, kelp_pfn_t first, uint64_t frames);
	/*
	 * Empties isolated frames: contents move elsewhere. OK: none is in use, and the allocator
	 * forgets them. An error: some stay in use; all go on being isolated. May sleep, hold and
	 * release frames. NULL: the isolated frames are free by then.
	 */
	enum kelp_status (*evacuate)(void *context, kelp_pfn_t first, uint64_t frames);
	/*
	 * The frames are the allocator's: after online, free; after an offline that failed, back
	 * from isolation: free where evacuate said OK, else with whatever uses them. Cannot fail.
	 */
	void (*give_back)(void *context, kelp_pfn_t first, uint64_t frames);
};

struct kelp_hotplug {
	struct kelp_memmap *map;
	struct kelp_hotplug_hooks hooks;
};

/* Flags of add and attach. */
#define KELP_HOTPLUG_SELF_HOSTED (UINT32_C(1) << 0)
/* attach: the frames are not made reachable (memory that the CPU must not touch). */
#define KELP_HOTPLUG_NO_REACH    (UINT32_C(1) << 1)

/*
 * Errors: ARGUMENT: a hook is missing (isolate and give_back are needed, reach_add and
 * reach_remove come together).
 */
enum kelp_status kelp_hotplug_init(struct kelp_hotplug *plug, struct kelp_memmap *map,
				   const struct kelp_hotplug_hooks *hooks) KELP_WARN_UNUSED;

/*
 * All: ALIGNMENT (not whole subsections), ARGUMENT (no frames, unknown flag), ADDRESS (beyond the
 * physical width).
 * add, attach: EXISTS (some of it is valid), ARGUMENT (self-hosted: nothing would be left, or
 * there is no pointer hook), NO_MEMORY, what reach_add or array_back answer.
 */
enum kelp_status kelp_hotplug_add(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				  kelp_zone_t zone, uint32_t flags) KELP_WARN_UNUSED;
enum kelp_status kelp_hotplug_attach(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				     kelp_zone_t zone, uint32_t flags) KELP_WARN_UNUSED;

/* Errors: NO_FRAME (some of it is not there, or device), EXISTS (some of it is online). */
enum kelp_status kelp_hotplug_online(struct kelp_hotplug *plug, kelp_pfn_t first,
				     uint64_t frames) KELP_WARN_UNUSED;

/*
 * Asks the allocator for the frames, then waits for holds. wait NULL: for ever.
 * Errors: NO_FRAME (some of it is not online), UNSUPPORTED (early memory with holes), what isolate
 * or evacuate answer, BUSY (wait->again() gave up: kelp_holds_report() says who holds). After an
 * error all of it is online and the allocator's again.
 */
enum kelp_status kelp_hotplug_offline(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				      const struct kelp_hold_wait *wait) KELP_WARN_UNUSED;

/*
 * Errors: NO_FRAME (some of it is not there, or device), BUSY (some of it is online; or it hosts
 * descriptors of subsections that would stay), what reach_remove answers. Then nothing is changed.
 */
enum kelp_status kelp_hotplug_remove(struct kelp_hotplug *plug, kelp_pfn_t first,
				     uint64_t frames) KELP_WARN_UNUSED;

/*
 * Errors: NO_FRAME (some of it is not device memory), BUSY (a hold, and wait->again() gave up; it
 * hosts descriptors of subsections that would stay), ARGUMENT (some of it is reachable and some is
 * not: KELP_HOTPLUG_NO_REACH), what reach_remove answers. After an error it is all device memory.
 */
enum kelp_status kelp_hotplug_detach(struct kelp_hotplug *plug, kelp_pfn_t first, uint64_t frames,
				     const struct kelp_hold_wait *wait) KELP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif

#endif
