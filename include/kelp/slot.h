/* SPDX-License-Identifier: MIT */
/*
 * slot: one entry of the lowest level, found once and then set and cleared at will: what a
 * reserved page of address space (a copy window, a fixmap page, a kmap page) is made of.
 *
 * The tables above the entry are made beforehand by kelp_space_populate(). From then on setting
 * and clearing needs no memory, walks nothing, and cannot fail for a frame and attributes that
 * the format can express. An entry is found by walking from the root: nothing depends on where
 * table pages lie (INV-3.6).
 *
 * OWNERSHIP. While a slot is used its address belongs to its owner: nobody else may map, unmap,
 * protect, coalesce or release there, and the tables above it stay. This is one more writer in
 * the sense of CONCURRENCY in kelp/space.h: it may run beside edits of other ranges.
 *
 * FLUSH DUTY. kelp_slot_set() and kelp_slot_clear() invalidate on the calling CPU alone, and
 * never call port->shootdown. That is enough where only one CPU uses the address: another may
 * have loaded the old translation on speculation, but never uses it. Where hardware broadcasts
 * invalidations it does so here too; an architecture that demands break-before-make wants just
 * that, since every CPU walks the same tables. For an address that several CPUs use, clear with
 * kelp_slot_drop() and put the page into a gather, and announce what was set.
 */
#ifndef KELP_SLOT_H
#define KELP_SLOT_H

#include <kelp/space.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller provides the memory; the members are private. Copying one is harmless. */
struct kelp_slot {
	struct kelp_space *space;
	void *table;
	kelp_vaddr_t va;
	kelp_attr_t denied; /* what tables above take away */
	uint32_t index;
};

/*
 * Finds the entry of the page at `va`. Allocates nothing. Phase: any; lock-free.
 * Errors: ADDRESS, ALIGNMENT; NOT_MAPPED (no table there: populate first); EXISTS (a larger
 * leaf, or a group of leaves, covers the page).
 */
enum kelp_status kelp_slot_find(struct kelp_space *space, kelp_vaddr_t va,
				struct kelp_slot *slot) KELP_WARN_UNUSED;

/*
 * Maps the page to a frame, whatever it was mapped to before; where the architecture demands a
 * break between the two, breaks. Context: any, interrupts on or off. Allocates nothing.
 * Errors: those of the format's leaf(): UNSUPPORTED, ARGUMENT, ALIGNMENT, ADDRESS (the smallest
 * leaf does not reach the frame); RESTRICTED. After an error the slot is as it was.
 */
enum kelp_status kelp_slot_set(const struct kelp_slot *slot, kelp_paddr_t pa,
			       kelp_attr_t attributes) KELP_WARN_UNUSED;

/*
 * Several CPUs use the pages first to last, which were just set: where a CPU may still hold that
 * an entry is not valid (kelp_format.caches_invalid), all are told, with port->shootdown.
 * Elsewhere does nothing. Context: whatever port->shootdown allows.
 */
void kelp_slot_announce(struct kelp_space *space, kelp_vaddr_t first, kelp_vaddr_t last);

/* What kelp_slot_set() would answer; changes nothing. */
enum kelp_status kelp_slot_check(const struct kelp_slot *slot, kelp_paddr_t pa,
				 kelp_attr_t attributes) KELP_WARN_UNUSED;

/* Makes the slot none, and invalidates it on this CPU. */
void kelp_slot_clear(const struct kelp_slot *slot);

/* Makes the slot none and invalidates nothing: the caller owes the flush. */
void kelp_slot_drop(const struct kelp_slot *slot);

/* True when the slot holds nothing at all: no leaf and nobody's mark. */
bool kelp_slot_is_none(const struct kelp_slot *slot);

/* Frame and attributes of the leaf in the slot, valid or not; false when there is none. */
bool kelp_slot_read(const struct kelp_slot *slot, kelp_paddr_t *pa, kelp_attr_t *attributes);

/* Invalidates the pages [first, last] on this CPU: after several drops. */
void kelp_slot_invalidate(const struct kelp_space *space, kelp_vaddr_t first, kelp_vaddr_t last);

#ifdef __cplusplus
}
#endif

#endif
