/* SPDX-License-Identifier: MIT */
/*
 * fixmap: pages of address space with names that are fixed at build time, usable from the first
 * line of C on.
 *
 * The embedder writes its slots as a list, and gets an enum and a table from it:
 *
 *	#define MY_FIXMAP(X)              \
 *		X(FIX_CONSOLE, 1, PERMANENT)  \
 *		X(FIX_EARLY_IO, 16, EARLY)    \
 *		X(FIX_PROBE, 2, PER_CPU)
 *	KELP_FIXMAP(my_fixmap, MY_FIXMAP)
 *
 * makes FIX_CONSOLE and so on enumerators, my_fixmap_slots[] the table, my_fixmap_slot_count,
 * my_fixmap_shared_pages and my_fixmap_bank_pages constants. The kinds:
 *
 *	PERMANENT  stays valid over the switch to the final tables, at every instant (INV-3.5)
 *	EARLY      for booting: before the switch it is handed over or released, by name
 *	PER_CPU    one bank of them per CPU, permanent
 *
 * In front of the shared slots and of each bank lies a page that is never mapped.
 *
 * EARLY. A fixmap needs a space and a port that gives a few table pages: early on that is a
 * kelp_fixmap_pool, over pages in the kernel's image or from the caller. Its pages need not be
 * adjacent, nor does anything here: every access to a slot walks from the root (INV-3.6).
 *
 * THE SWITCH. kelp_fixmap_carry(&early, &final) makes all permanent slots valid in the final
 * tables as well, and from then on what is set or cleared in `early` is so in both. Then the CPU
 * loads the new root, or all CPUs do one after the other, and kelp_fixmap_switched(&early) ends
 * it. At every instant, whichever root a CPU uses, a permanent slot that was set is valid.
 *
 * ADOPTED TABLES. What stands in a slot that we did not set (a hypervisor prepared it) is kept:
 * set answers EXISTS, address and lookup find it, and nobody stomps on it. carry takes it along.
 * Only kelp_fixmap_clear(), by the slot's name, lets go of it.
 *
 * LOCKING. Shared slots: the caller's lock, one per slot suffices. PER_CPU slots: the CPU itself,
 * which does not change meanwhile. init, populate, carry, hand over: nothing beside them.
 */
#ifndef KELP_FIXMAP_H
#define KELP_FIXMAP_H

#include <kelp/slot.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kelp_fixmap_kind {
	KELP_FIXMAP_PERMANENT,
	KELP_FIXMAP_EARLY,
	KELP_FIXMAP_PER_CPU,
};

struct kelp_fixmap_slot {
	const char *name;
	uint32_t first; /* page in the shared part, or in a CPU's bank */
	uint32_t pages;
	enum kelp_fixmap_kind kind;
};

/* ---- the list as enums and table ----------------------------------------------------------- */

#define KELP_FIXMAP_ENUMERATOR(name, pages, kind) name,
/* Pages are enumerators too: each continues where the one before ends. */
#define KELP_FIXMAP_RUN(name, pages) name##_PAGE, name##_LAST_PAGE = name##_PAGE + (pages) - 1,
#define KELP_FIXMAP_SHARED_PERMANENT(name, pages) KELP_FIXMAP_RUN(name, pages)
#define KELP_FIXMAP_SHARED_EARLY(name, pages)     KELP_FIXMAP_RUN(name, pages)
#define KELP_FIXMAP_SHARED_PER_CPU(name, pages)
#define KELP_FIXMAP_BANK_PERMANENT(name, pages)
#define KELP_FIXMAP_BANK_EARLY(name, pages)
#define KELP_FIXMAP_BANK_PER_CPU(name, pages) KELP_FIXMAP_RUN(name, pages)
#define KELP_FIXMAP_SHARED(name, pages, kind) KELP_FIXMAP_SHARED_##kind(name, pages)
#define KELP_FIXMAP_BANK(name, pages, kind)   KELP_FIXMAP_BANK_##kind(name, pages)
#define KELP_FIXMAP_ENTRY(name, pages, kind)  {#name, name##_PAGE, pages, KELP_FIXMAP_##kind},

/* Page 0 of each part is the one that is never mapped. */
#define KELP_FIXMAP(prefix, LIST)                                                                  \
	enum prefix##_slot { LIST(KELP_FIXMAP_ENUMERATOR) prefix##_slot_count };                   \
	enum prefix##_shared {                                                                     \
		prefix##_shared_guard = 0,                                                         \
		LIST(KELP_FIXMAP_SHARED) prefix##_shared_pages                                     \
	};                                                                                         \
	enum prefix##_bank {                                                                       \
		prefix##_bank_guard = 0,                                                           \
		LIST(KELP_FIXMAP_BANK) prefix##_bank_pages                                         \
	};                                                                                         \
	static const struct kelp_fixmap_slot prefix##_slots[] = {LIST(KELP_FIXMAP_ENTRY)}

/* ---- a port for the time before there is an allocator -------------------------------------- */

/*
 * Table pages from a buffer. `port` can be given to kelp_space_init(); its context is the pool.
 * Pages that come back are handed out again. The members are private but `port`.
 */
struct kelp_fixmap_pool {
	struct kelp_port port;
	unsigned char *pages;
	uint64_t count;
	uint64_t used;       /* pages that were ever handed out */
	uint64_t free_head;  /* list of those that came back, linked through their first bytes */
	uint64_t free_count;
	uint32_t page_shift;
	kelp_paddr_t address;
};

/*
 * `pages`: `count` pages of 2^page_shift bytes, aligned to their size, zero, at the physical
 * address `address`, reachable through the pointer for as long as tables lie in them. `panic` is
 * for callers' bugs, as in kelp_port. Phase: the first line of C. Errors: ALIGNMENT, ARGUMENT.
 */
enum kelp_status kelp_fixmap_pool_init(struct kelp_fixmap_pool *pool, void *pages, uint64_t count,
				       uint32_t page_shift, kelp_paddr_t address,
				       void (*panic)(void *context, const char *what,
						     const char *where)) KELP_WARN_UNUSED;

/* ---- the fixmap ---------------------------------------------------------------------------- */

struct kelp_fixmap_config {
	struct kelp_space *space;
	kelp_vaddr_t base; /* kelp_fixmap_bytes() of address space that is nobody else's */
	const struct kelp_fixmap_slot *slots; /* prefix_slots */
	uint32_t slot_count;   /* prefix_slot_count */
	uint32_t shared_pages; /* prefix_shared_pages */
	uint32_t bank_pages;   /* prefix_bank_pages */
	uint32_t cpus;         /* banks, 1 to 4096 and more */
};

/* config members from the names that KELP_FIXMAP(prefix, ...) made. */
#define KELP_FIXMAP_OF(prefix)                                                                     \
	.slots = prefix##_slots, .slot_count = prefix##_slot_count,                                \
	.shared_pages = prefix##_shared_pages, .bank_pages = prefix##_bank_pages

/* The caller provides the memory; the members are private. */
struct kelp_fixmap {
	struct kelp_space *space;
	kelp_vaddr_t base;
	const struct kelp_fixmap_slot *slots;
	uint32_t slot_count;
	uint32_t shared_pages;
	uint32_t bank_pages;
	uint32_t cpus;
	uint32_t page_shift;
	struct kelp_fixmap *next; /* between carry and switched: the final tables */
};

/* Bytes of address space. */
uint64_t kelp_fixmap_bytes(const struct kelp_format *format,
			   const struct kelp_fixmap_config *config);

/*
 * Sets up the fixmap and makes the tables of the shared slots and of the banks of the first
 * `banks` CPUs. Tables and entries that are there are kept.
 * Errors: ARGUMENT (no CPUs, more banks than CPUs), ALIGNMENT, ADDRESS, NO_MEMORY; EXISTS (a
 * large leaf lies in the range).
 */
enum kelp_status kelp_fixmap_init(struct kelp_fixmap *fixmap,
				  const struct kelp_fixmap_config *config,
				  uint32_t banks) KELP_WARN_UNUSED;

/* Makes the tables of further banks: when CPUs come. Errors: ARGUMENT, NO_MEMORY, EXISTS. */
enum kelp_status kelp_fixmap_populate(struct kelp_fixmap *fixmap, uint32_t first_cpu,
				      uint32_t count) KELP_WARN_UNUSED;

/* The address of a shared slot, and of a slot of a CPU's bank. */
static inline kelp_vaddr_t kelp_fixmap_address(const struct kelp_fixmap *fixmap, uint32_t slot)
{
	return fixmap->base + ((uint64_t)fixmap->slots[slot].first << fixmap->page_shift);
}

static inline kelp_vaddr_t kelp_fixmap_cpu_address(const struct kelp_fixmap *fixmap, uint32_t slot,
						   uint32_t cpu)
{
	uint64_t page = fixmap->shared_pages + (uint64_t)cpu * fixmap->bank_pages +
			fixmap->slots[slot].first;

	return fixmap->base + (page << fixmap->page_shift);
}

/*
 * Maps `pages` pages of a slot, from its page `page` on, to [pa, ...). `cpu` is looked at for
 * PER_CPU slots only. All of them or none. Allocates nothing. ACCESSED and DIRTY are added where
 * the format has them. Pages of a shared slot are announced to all CPUs where invalid entries are
 * cached (kelp_slot_announce()).
 * Errors: ARGUMENT (no such slot, page, CPU; KELP_ATTR_INVALID), EXISTS (one is set already, by
 * us or by somebody before), NOT_MAPPED (the CPU's bank was not populated), ALIGNMENT, ADDRESS,
 * UNSUPPORTED, RESTRICTED.
 */
enum kelp_status kelp_fixmap_set(struct kelp_fixmap *fixmap, uint32_t slot, uint32_t cpu,
				 uint32_t page, uint32_t pages, kelp_paddr_t pa,
				 kelp_attr_t attributes) KELP_WARN_UNUSED;

/*
 * Clears all pages of a slot and flushes: a shared one on all CPUs, one commit of a gather; a
 * CPU's on the CPU that calls. Clearing what is not set is no error. Errors: ARGUMENT.
 */
enum kelp_status kelp_fixmap_clear(struct kelp_fixmap *fixmap, uint32_t slot,
				   uint32_t cpu) KELP_WARN_UNUSED;

/* Frame and attributes of one page of a slot. Errors: ARGUMENT, NOT_MAPPED (it is not set). */
enum kelp_status kelp_fixmap_lookup(const struct kelp_fixmap *fixmap, uint32_t slot, uint32_t cpu,
				    uint32_t page, kelp_paddr_t *pa,
				    kelp_attr_t *attributes) KELP_WARN_UNUSED;

/* The slot of a name. Errors: NOT_MAPPED (there is none). */
enum kelp_status kelp_fixmap_find(const struct kelp_fixmap *fixmap, const char *name,
				  uint32_t *slot) KELP_WARN_UNUSED;

/* ---- the switch (INV-3.5) ------------------------------------------------------------------ */

/*
 * An EARLY slot goes on in the final tables, as it is. It may be set in `from` or not.
 * `from` and `to` have the same base and the same list. Errors: ARGUMENT (they have not, the slot
 * is not EARLY), and those of set on `to`.
 */
enum kelp_status kelp_fixmap_hand_over(struct kelp_fixmap *from, struct kelp_fixmap *to,
				       uint32_t slot) KELP_WARN_UNUSED;

/*
 * Makes every permanent slot that is set in `from`, the populated banks' among them, valid in
 * `to` as well, and couples the two: until kelp_fixmap_switched() what is set or cleared through
 * `from` is so in both, in an order that leaves no instant without.
 * "The same list" is the same prefix_slots[]: the one of the source file that made both.
 * Errors: ARGUMENT (other base or list, coupled already); BUSY (an EARLY slot is set and was
 * neither handed over nor released: kelp_fixmap_clear() it); those of set on `to`, but that a
 * page which is there with the same frame and attributes is fine. After an error `to` is as it
 * was.
 */
enum kelp_status kelp_fixmap_carry(struct kelp_fixmap *from,
				   struct kelp_fixmap *to) KELP_WARN_UNUSED;

/* Every CPU runs on the final tables: `from` is not used any more. */
void kelp_fixmap_switched(struct kelp_fixmap *from);

#ifdef __cplusplus
}
#endif

#endif
