/* SPDX-License-Identifier: MIT */
/*
 * hold: readers that a remover waits for. Entering costs one addition to a counter of this CPU,
 * leaving another; no cache line is shared between readers, nothing is waited for, nothing can
 * fail. What is held and where the flag lies that the remover clears is the caller's business:
 * kelp/memmap.h holds frames with it.
 *
 * THE PROTOCOL. Each CPU has, per bucket, a pair of counters for each of two phases: how often
 * something was held and how often released. A reader adds to `held` of the current phase and
 * THEN looks at the flag; it adds to `released` of the same phase, on whatever CPU it runs by
 * then. The remover clears the flag and THEN looks at the counters: first of the phase that is
 * not current, then, after making that one current, of the other. A phase is drained when the sums
 * over all CPUs agree, `released` added up first. Readers that come meanwhile are counted in the
 * new phase and are not waited for.
 *
 * Both THENs are full fences. With a `barrier` hook the reader has none: the remover makes every
 * CPU execute one (membarrier(), an interrupt to each), which costs it microseconds and spares
 * every reader the nanoseconds.
 *
 * Holds nest, last while the reader sleeps, and may be released on another CPU and by another
 * thread. Interrupts may hold and release at any instant.
 *
 * BUCKETS. The remover waits for the holds of its own bucket only. More buckets cost memory (16
 * bytes per CPU) and make an unrelated long hold less likely to be in the way.
 *
 * COUNTERS. 32 bits on every machine: they wrap, and their difference is right as long as less
 * than 2^32 holds exist at once.
 */
#ifndef KELP_HOLD_H
#define KELP_HOLD_H

#include <kelp/port.h>
#include <kelp/status.h>
#include <kelp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One bucket of one CPU; private. */
struct kelp_hold_counters {
	uint32_t held[2];
	uint32_t released[2];
};

#define KELP_HOLD_BUCKETS_MAX 64u

/* One hold that exists, recorded for the report; private. Its state: 0 free, 1 being filled, 2. */
struct kelp_hold_record {
	uint32_t state;
	uint32_t low, high; /* of the frame's number */
	uintptr_t where;
};

/* kelp_holds_config.flags. */
/*
 * The `cpu` of a call is a hint: its caller may be moved to another CPU before the call is over,
 * or several callers share a number. Counters are then added to atomically. Without it, between
 * finding out the number and the end of the call the caller stays on that CPU (preemption off, or
 * a thread with a number of its own); interrupts may come in any case.
 */
#define KELP_HOLDS_SHARED (UINT32_C(1) << 0)

/* How long a remover waits. */
struct kelp_hold_wait {
	void *context;
	/*
	 * Called each time the counters were found not drained; `looks` counts from 1. Returns true
	 * to look again (after a pause of its own choice: it may sleep), false to give up.
	 */
	bool (*again)(void *context, uint32_t looks);
};

/* An embedder's own way to wait for readers (sleepable RCU, hazard eras), instead of counters. */
struct kelp_hold_domain {
	void *context;
	/* Begins a read section, in any context; what it returns is handed to leave. No fence. */
	uintptr_t (*enter)(void *context, uint32_t cpu);
	void (*leave)(void *context, uint32_t cpu, uintptr_t cookie);
	/*
	 * Returns KELP_OK when every section that began before the call has ended; what those
	 * readers did is then visible, and every later section sees what the caller stored before.
	 * KELP_ERR_BUSY: wait->again() said to give up (wait may be NULL: never).
	 */
	enum kelp_status (*wait)(void *context, const struct kelp_hold_wait *wait);
};

struct kelp_holds_config {
	const struct kelp_port *port; /* panic */
	uint32_t cpus;
	uint32_t buckets; /* a power of two up to KELP_HOLD_BUCKETS_MAX; 0: 4, one cache line */
	uint32_t flags;
	void *memory;     /* kelp_holds_size() bytes, aligned to 64; may be NULL with a domain */
	/*
	 * Returns after every CPU that may hold has executed a full fence, the calling one too.
	 * NULL: readers execute one each time.
	 */
	void (*barrier)(void *context);
	void *barrier_context;
	const struct kelp_hold_domain *domain; /* NULL: counters */
	/*
	 * For the report: `records` of them per CPU, cpus * records in all; NULL: none. With them
	 * holding costs a few nanoseconds more. Holds beyond them are counted, not recorded.
	 */
	struct kelp_hold_record *record;
	uint32_t records;
};

/* The caller provides the memory; the members are private. */
struct kelp_holds {
	unsigned char *counters;
	size_t cpu_size; /* bytes of one CPU */
	uint32_t bucket_mask;
	uint32_t mode; /* private flags; 0: the fastest way */
	uint32_t cpus;
	const struct kelp_port *port;
	void (*barrier)(void *context);
	void *barrier_context;
	const struct kelp_hold_domain *domain;
	struct kelp_hold_record *record;
	uint32_t records;
	uint32_t unrecorded; /* holds that found no free record */
	uint32_t phase[KELP_HOLD_BUCKETS_MAX];
};

/* What one hold is; private but for the caller's right to copy and pass it on. */
struct kelp_hold {
	void *page;       /* what is held: kelp_hold_page() */
	uintptr_t cookie; /* where it is counted */
	uint32_t record;  /* where it is recorded, plus 1 */
};

/* Bytes of counters. Errors: ARGUMENT. */
enum kelp_status kelp_holds_size(const struct kelp_holds_config *config,
				 size_t *size) KELP_WARN_UNUSED;

/* Clears the memory and the records. Phase: any. Errors: ARGUMENT (no CPUs, buckets, memory). */
enum kelp_status kelp_holds_init(struct kelp_holds *holds,
				 const struct kelp_holds_config *config) KELP_WARN_UNUSED;

/*
 * Begins and ends a hold. Any context, wait-free. `pfn` is for the report. After enter the caller
 * looks at its flag, and leaves again when that is clear.
 */
void kelp_hold_enter(struct kelp_holds *holds, uint32_t cpu, uint32_t bucket, kelp_pfn_t pfn,
		     struct kelp_hold *hold);
void kelp_hold_leave(struct kelp_holds *holds, uint32_t cpu, struct kelp_hold *hold);

/*
 * Waits until every hold of `buckets` buckets from `bucket` on (wrapping around) is released that
 * may have seen the flag set; the flag is cleared before, by the caller. wait NULL: for ever,
 * spinning. One caller at a time per `holds` (the lock of the embedder's that covers removing).
 * Errors: BUSY (wait->again() gave up; nothing has changed and it may be called again).
 */
enum kelp_status kelp_holds_wait(struct kelp_holds *holds, uint32_t bucket, uint32_t buckets,
				 const struct kelp_hold_wait *wait) KELP_WARN_UNUSED;

/* How many holds of a bucket exist. Exact only while nobody holds or releases. */
uint32_t kelp_holds_count(const struct kelp_holds *holds, uint32_t bucket);

/* One holder, as it was recorded. */
struct kelp_holder {
	kelp_pfn_t pfn;
	uintptr_t where; /* return address of the call that holds */
	uint32_t cpu;    /* on which it was made */
};

/*
 * Calls visit for every recorded hold. Lock-free; holds that come or go meanwhile may be missed.
 * Needs kelp_holds_config.record. Returns how many holds found no free record since init.
 */
uint32_t kelp_holds_report(const struct kelp_holds *holds,
			   void (*visit)(void *context, const struct kelp_holder *holder),
			   void *context);

/* The descriptor that is held. */
static inline void *kelp_hold_page(const struct kelp_hold *hold)
{
	return hold->page;
}

#ifdef __cplusplus
}
#endif

#endif
