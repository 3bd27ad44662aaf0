/* SPDX-License-Identifier: MIT */
/* hold: entering and leaving, as inlines; kelp/hold.h says what the protocol is. */
#ifndef KELP_SRC_HOLD_H
#define KELP_SRC_HOLD_H

#include <kelp/hold.h>

#include "shared.h"

/* kelp_holds.mode. */
#define KELP_HOLDS_FENCE  (UINT32_C(1) << 0) /* readers execute the fence */
#define KELP_HOLDS_ATOMIC (UINT32_C(1) << 1)
#define KELP_HOLDS_DOMAIN (UINT32_C(1) << 2)
#define KELP_HOLDS_RECORD (UINT32_C(1) << 3)

/* Everything but the fastest way; `where` is for the report. */
void kelp_hold_enter_slowly(struct kelp_holds *holds, uint32_t cpu, uint32_t bucket,
			    kelp_pfn_t pfn, uintptr_t where, struct kelp_hold *hold);
void kelp_hold_leave_slowly(struct kelp_holds *holds, uint32_t cpu, struct kelp_hold *hold);

/* The cookie: the offset of held[phase] of the bucket in a CPU's counters. */
static inline uintptr_t kelp_hold_cookie(const struct kelp_holds *holds, uint32_t bucket)
{
	uint32_t phase = kelp_shared_load(&holds->phase[bucket]);

	return bucket * sizeof(struct kelp_hold_counters) + phase * sizeof(uint32_t);
}

static inline uint32_t *kelp_hold_counter(const struct kelp_holds *holds, uint32_t cpu,
					  uintptr_t offset)
{
	return (uint32_t *)(void *)(holds->counters + cpu * holds->cpu_size + offset);
}

/* Where mode is 0. */
static inline void kelp_hold_enter_fast(struct kelp_holds *holds, uint32_t cpu, uint32_t bucket,
					struct kelp_hold *hold)
{
	uintptr_t cookie = kelp_hold_cookie(holds, bucket);

	hold->cookie = cookie;
	kelp_hw_local_add(kelp_hold_counter(holds, cpu, cookie), 1);
	/* The remover's barrier hook makes a full fence of this. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void kelp_hold_leave_fast(struct kelp_holds *holds, uint32_t cpu,
					const struct kelp_hold *hold)
{
	kelp_hw_local_add(kelp_hold_counter(holds, cpu,
					    hold->cookie + offsetof(struct kelp_hold_counters,
								    released)), 1);
}

#endif
