/* SPDX-License-Identifier: MIT */
/*
 * The machine's own structures.
 *
 * TIME. Every event (a store to a live table, an invalidation, a switch) has a number, sim->now.
 * An entry with value v "lives" over [from, to): a walker may have read it at any moment t with
 * from <= t < to. An invalidation at T removes what was inserted at t < T.
 *
 * What a CPU may hold is never stored as a set. It follows from three histories: the values each
 * slot of a live table had, the roots and tags each CPU ran with, and when each CPU last
 * invalidated what. cache.c enumerates, for one address, the members of the set.
 */
#ifndef SIM_INTERNAL_H
#define SIM_INTERNAL_H

#include "sim.h"
#include "walk.h"

#define SIM_FOREVER UINT64_MAX
#define SIM_NONE UINT32_MAX
#define SIM_MEMORY_LIMIT (UINT64_C(1) << 46)
#define SIM_BLOCK_SHIFT 16
#define SIM_BLOCK_SIZE (UINT64_C(1) << SIM_BLOCK_SHIFT)

/* ---- memory ------------------------------------------------------------------------------ */

/* One entry of a live table: since when it has its value, who wrote it, and the values before. */
struct sim_slot {
	uint64_t from;
	uint32_t records; /* newest dead value, or SIM_NONE */
	uint16_t writer;
	uint16_t unread_dirty; /* hardware set the dirty bit and software has not looked since */
};

/* One way in which a page is or was reachable as a table. */
struct sim_role {
	uint64_t va;   /* first address the page translates */
	uint32_t next;
	uint8_t level; /* of the entries in it */
};

enum {
	SIM_PAGE_TABLE = 1,     /* live: has a role */
	SIM_PAGE_FREED = 2,
	SIM_PAGE_TYPED = 4,     /* last_* say through which mapping it was accessed */
	SIM_PAGE_FORBID = 8,    /* shifted left by enum sim_access */
};

struct sim_page {
	struct sim_slot *slots; /* NULL until the first write while live */
	uint64_t born;          /* when it became live */
	uint64_t unlinked;      /* when the last pointer to it that went away did */
	uint64_t last_va;
	uint32_t roles;
	uint16_t last_cpu;
	uint8_t last_type;
	uint8_t flags;
};

struct sim_block {
	uint64_t pa;
	uint8_t *data;
	struct sim_page page[16];
};

/* ---- the past ---------------------------------------------------------------------------- */

/* A value that a slot no longer has. */
struct sim_record {
	uint64_t slot;
	uint64_t value;
	uint64_t from;
	uint64_t to;     /* when no walker could read it any more; SIM_FOREVER: store not visible yet */
	uint64_t to_here; /* the same for the walker of the CPU that replaced it */
	uint64_t killed; /* the write that replaced it */
	uint64_t cut;    /* no walk goes on through it after this: the table was freed */
	uint64_t va;
	uint32_t older;
	uint32_t next_of_frame;
	uint32_t killer;
	uint8_t level;
	uint8_t indexed; /* entered in the frame index: a leaf, or a pointer to a table */
	uint8_t pointer;
	uint8_t cacheable; /* hardware may have kept it */
	uint8_t to_pointer; /* a table pointer replaced it */
	uint8_t live;
};

#define SIM_INTERVALS 8
/* Spans of time, ascending; the last one may still be open (end SIM_FOREVER). */
struct sim_intervals {
	uint32_t count;
	uint64_t start[SIM_INTERVALS];
	uint64_t end[SIM_INTERVALS];
};

/*
 * When something was invalidated: the last time, and of the times before only those that matter
 * to a walk cache. A walk-cache entry that could last be read at e dies with the first
 * invalidation from e on; so a time is kept when a pointer died (or a CPU switched) since the
 * one kept before it, and the others can never be the first.
 */
#define SIM_TIMES 8
struct sim_times {
	uint64_t latest;
	uint32_t next;
	uint64_t kept[SIM_TIMES];
};

/* A root that a CPU ran on under a tag, and may still hold something of. */
struct sim_context {
	uint64_t root;
	uint32_t tag;
	uint32_t half;
	struct sim_intervals active;
};

/* What a CPU invalidated for one ASID or PCID. */
struct sim_tag {
	uint32_t asid;
	struct sim_times all;   /* everything not global */
	struct sim_times walks; /* x86: all paging-structure caches */
	struct sim_intervals active;
};

/* The last invalidation of one region: what to find is in `key`. */
struct sim_log_entry {
	uint64_t region; /* va >> shift, shift in the low bits */
	uint32_t tag;
	uint32_t used;
	struct sim_times times;
};

struct sim_log {
	struct sim_log_entry *entries;
	uint32_t size; /* a power of two, 0: nothing allocated */
	uint32_t count;
	uint32_t collect_at;
};

enum sim_scope { SIM_SCOPE_PAGE, SIM_SCOPE_TAG, SIM_SCOPE_ALL, SIM_SCOPE_RANGE };

/* An invalidation as a CPU executes it. */
struct sim_invalidation {
	uint64_t time;
	uint64_t va;      /* PAGE, RANGE: first */
	uint64_t last;    /* RANGE */
	uint32_t asid;    /* SIM_ANY_TAG: all */
	uint8_t scope;
	bool tables;      /* walk caches too */
	bool globals;     /* global leaves too */
	bool broadcast;
	bool manual_globals; /* what the manual says of `globals`, if this machine is faulty */
	bool incomplete;  /* faulty.tlbi_needs_repeating: had no effect */
	uint8_t level;    /* arm64 TTL: only leaves of this level; 0xff: any */
	uint16_t cpu;
};
/* Tags that are no ASID. */
#define SIM_ANY_TAG UINT32_MAX
#define SIM_GLOBAL_TAG UINT32_C(0x7ffffffe) /* in a log: global leaves */
#define SIM_EVERY_TAG UINT32_C(0x7ffffffd)  /* in a log: whatever the ASID */
#define SIM_WALK_TAG UINT32_C(0x80000000)   /* added in a log: walk caches, not leaves */

#define SIM_RECENT 16

struct sim_invalidations {
	struct sim_invalidation *list;
	uint32_t count, room;
};

struct sim_cpu {
	struct sim_registers registers;
	uint64_t root[2];
	uint32_t asid;
	bool device;
	bool running[2];
	struct sim_times root_loads; /* where the root's entries live in registers */

	struct sim_times all;        /* invalidations of everything that is not global */
	struct sim_times all_global; /* of everything */
	struct sim_tag *tags;
	uint32_t tag_count, tag_room, tag_current;
	struct sim_context *contexts;
	uint32_t context_count, context_room;
	uint32_t context_current[2];
	struct sim_log log;

	/* arm64, Svinval: issued and not complete. */
	struct sim_invalidations pending;
	struct sim_invalidations half_done; /* faulty.tlbi_needs_repeating */
	/* Stores that walkers may not see yet: records with to == SIM_FOREVER. */
	uint32_t *unseen;
	uint32_t unseen_count, unseen_room;
	uint32_t unseen_here; /* of those, the CPU's own walker sees so many */
	/* arm64: invalidations from here on were completed without an ISB yet. */
	uint64_t unsynchronised;

	/* For diagnosis only. */
	struct sim_invalidation recent[SIM_RECENT];
	uint32_t recent_next;

	uint32_t readers;
	uint64_t reader_since;
};

struct sim_watchpoint {
	bool used;
	uint64_t va, pa;
	uint8_t access, privilege;
};

struct sim_event {
	uint64_t time;
	uint64_t a, b, c;
	uint16_t cpu;
	uint8_t kind;
	uint8_t d;
	uint32_t e;
};

struct sim {
	struct sim_config config;
	const struct sim_walker *walker;
	uint64_t now;
	uint64_t steps;
	uint64_t random;
	unsigned agents; /* CPUs and devices */
	unsigned width;  /* bytes of an entry */

	/* memory.c */
	uint8_t *arena;
	uint64_t arena_size;
	uint64_t blocks_used;
	struct sim_block **block_of_arena;
	struct sim_block ****top;
	struct sim_block *last_block;
	struct sim_role *roles;
	uint32_t role_count, role_room, role_free;
	uint64_t *free_pages; /* stack of pages given back */
	uint64_t free_count, free_room;
	uint64_t next_page;

	/* record.c */
	struct sim_record *records;
	uint32_t record_count, record_room, record_free, records_live, prune_at;
	uint32_t pointer_records;
	uint32_t *frames; /* heads of the frame index: leaves by frame, pointers by table */
	uint32_t frames_size;
	uint64_t forbidden; /* frames under sim_frame_forbid() */

	/* invalidate.c: what broadcast did to every CPU */
	struct sim_cpu *cpu;
	struct sim_times broadcast_all;
	struct sim_times broadcast_all_global;
	struct sim_tag *broadcast_tags;
	uint32_t broadcast_tag_count, broadcast_tag_room;
	struct sim_log broadcast_log;
	struct sim_invalidation recent[SIM_RECENT];
	uint32_t recent_next;
	uint64_t pointer_death; /* when a table pointer was last replaced, or a CPU switched */
	uint64_t root_change;   /* when an entry of a root was last written */
	bool any_global; /* a global leaf was ever seen in a live table */
	bool lazy_stores; /* stores become visible to walkers at a barrier only */

	struct sim_watchpoint watch[64];
	unsigned watches;
	struct { uint64_t first, last; } shared[8];
	unsigned shares;

	struct sim_verdict verdict;
	void (*on_error)(void *context, struct sim *sim);
	void *on_error_context;
	bool judging; /* guards against judging from within judging */

	struct sim_event *trace;
	uint64_t trace_size, trace_count;
};

/* An address with the bits above the translated ones as the architecture wants them. */
static inline uint64_t sim_canonical(const struct sim *sim, uint64_t va)
{
	const struct sim_registers *r = &sim->config.registers;
	unsigned bits;

	switch (sim->config.arch) {
	case SIM_X86_64: bits = r->levels == 5 ? 57 : 48; break;
	case SIM_RISCV: bits = 12 + 9 * r->levels; break;
	default: return va;
	}
	return (uint64_t)((int64_t)(va << (64 - bits)) >> (64 - bits));
}

/* memory.c */
bool sim_memory_create(struct sim *sim);
void sim_memory_destroy(struct sim *sim);
struct sim_block *sim_block_at(struct sim *sim, uint64_t pa);       /* makes it */
struct sim_block *sim_block_find(const struct sim *sim, uint64_t pa); /* or NULL */
uint64_t sim_peek(const struct sim *sim, uint64_t pa, unsigned width);
void sim_poke(struct sim *sim, uint64_t pa, uint64_t value, unsigned width);
void sim_page_recycle(struct sim *sim, uint64_t pa, uint64_t size);
void sim_table_register(struct sim *sim, uint64_t pa, unsigned level, uint64_t va);
void sim_table_forget(struct sim *sim, uint64_t pa, uint64_t size);
struct sim_slot *sim_slot_make(struct sim *sim, struct sim_page *page, unsigned index);

static inline struct sim_page *sim_page_of(struct sim_block *block, uint64_t pa)
{
	return &block->page[(pa >> 12) & 15u];
}

static inline struct sim_slot *sim_slot_find(const struct sim *sim, const struct sim_page *page,
					     uint64_t pa)
{
	return page->slots ? &page->slots[(pa & 4095u) / sim->width] : NULL;
}

/* record.c */
uint32_t sim_record_add(struct sim *sim, const struct sim_record *record);
void sim_record_kill(struct sim *sim, struct sim_page *page, uint64_t slot, uint64_t old,
		     unsigned cpu, bool visible);
/* What an entry at one address of one level is, by itself. */
enum sim_step sim_look(const struct sim *sim, uint64_t va, unsigned level, uint64_t entry,
		       struct sim_walk *walk);
void sim_records_prune(struct sim *sim);
uint64_t sim_flushed_everywhere(const struct sim *sim);
void sim_slot_prune(struct sim *sim, struct sim_page *page, uint64_t slot);
void sim_record_release(struct sim *sim, uint32_t index);
uint32_t sim_frame_chain(const struct sim *sim, uint64_t frame, unsigned shift);
uint64_t sim_oldest_death(const struct sim *sim);

/* cpu.c */
void sim_cpu_switch(struct sim *sim, unsigned cpu, unsigned half, uint64_t root, uint32_t asid);
uint64_t sim_active_from(const struct sim_intervals *active, uint64_t t);
struct sim_tag *sim_tag_of(struct sim_cpu *cpu, uint32_t asid);
void sim_stores_seen(struct sim *sim, unsigned cpu);
void sim_stores_seen_here(struct sim *sim, unsigned cpu);
bool sim_root_in_registers(const struct sim *sim);

/* invalidate.c */
void sim_invalidate(struct sim *sim, unsigned cpu, const struct sim_invalidation *what);
void sim_invalidate_pending(struct sim *sim, unsigned cpu);
uint64_t sim_leaf_invalidated(const struct sim *sim, const struct sim_cpu *cpu, uint32_t asid,
			      bool global, uint64_t va, unsigned shift);
uint64_t sim_walk_invalidated(const struct sim *sim, const struct sim_cpu *cpu, uint32_t asid,
			      bool global, uint64_t va, unsigned shift, uint64_t since);

void sim_root_load(struct sim *sim, unsigned cpu);
uint64_t sim_root_loaded(const struct sim_cpu *cpu, uint64_t since);

/* cache.c: the members of the set */
struct sim_member {
	const struct sim_walk *walk;   /* after the last entry */
	const struct sim_context *context;
	uint32_t asid;
	enum sim_step step;            /* LEAF, or FAULT: the walk would end there */
	bool cached_fault;             /* an invalid entry held in the cache */
	unsigned depth;                /* entries on the path */
	const uint64_t *slot;          /* their slots, root first */
	const uint64_t *value;
	const uint32_t *record;        /* SIM_NONE: the slot's current value */
	uint64_t lo;                   /* earliest moment it may have been cached */
	bool pointer;                  /* a table pointer held by a walk cache, not a translation */
	bool stale_root;               /* another root than the CPU has now */
	bool foreign_tag;              /* global, cached under another tag */
};
typedef bool sim_member_fn(void *context, const struct sim_member *member); /* true: stop */
/* All members that CPU `cpu` may use for `va`. `pointers`: table pointers are visited too. */
bool sim_cache_members(struct sim *sim, unsigned cpu, uint64_t va, bool pointers,
		       sim_member_fn *fn, void *context);
/* May the CPU hold, at any address below it, something that came through this record? */
bool sim_record_held(struct sim *sim, unsigned cpu, const struct sim_record *record);

/* judge.c */
void sim_judge_watches(struct sim *sim, unsigned cpu);
struct sim_result sim_result_of(const struct sim_walk *walk, enum sim_fault fault);
enum sim_fault sim_walk_now(const struct sim *sim, const struct sim_cpu *cpu, uint64_t va,
			    struct sim_walk *walk, uint64_t *slots, uint64_t *values,
			    unsigned *depth);

/* verdict.c */
void sim_fail(struct sim *sim, const struct sim_verdict *verdict);
void sim_diagnose(struct sim *sim, unsigned cpu, const struct sim_member *member,
		  struct sim_verdict *verdict);

/* trace.c */
enum sim_event_kind {
	SIM_EVENT_WRITE, SIM_EVENT_SWAP, SIM_EVENT_HARDWARE, SIM_EVENT_ROOT, SIM_EVENT_INVALIDATE,
	SIM_EVENT_BARRIER, SIM_EVENT_ACCESS, SIM_EVENT_FREE, SIM_EVENT_TAKE, SIM_EVENT_REUSE,
	SIM_EVENT_NOTE, SIM_EVENT_READER, SIM_EVENT_ERROR,
};
void sim_trace_line(const struct sim *sim, const struct sim_event *event, char *text, size_t size);

static inline struct sim_event *sim_trace(struct sim *sim, enum sim_event_kind kind, unsigned cpu)
{
	struct sim_event *event = &sim->trace[sim->trace_count++ & (sim->trace_size - 1u)];

	event->time = sim->now;
	event->kind = (uint8_t)kind;
	event->cpu = (uint16_t)cpu;
	return event;
}

static inline uint64_t sim_hash(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	return x;
}

#endif
