/* SPDX-License-Identifier: MIT */
/*
 * holds: frames held on the CPU that one is on (kelp/memmap.h). Inlines, so that a report of who
 * holds a frame names the caller. Any context.
 */
#ifndef HOLDFAST_HOLDS_H
#define HOLDFAST_HOLDS_H

#include <cpu.h>
#include <frames.h>
#include <thread.h>

/* Between asking for the CPU's number and the end of the call one stays on it. */
#define HOLDS_ON_THIS_CPU(call)                                                                    \
	do {                                                                                       \
		preempt_disable();                                                                 \
		call;                                                                              \
		preempt_enable();                                                                  \
	} while (0)

#define HOLDS_INLINE static inline __attribute__((always_inline))

HOLDS_INLINE enum kelp_status frame_hold_online(kelp_paddr_t address, struct kelp_hold *hold)
{
	kelp_pfn_t pfn = {address >> PAGE_SHIFT};
	enum kelp_status status;

	HOLDS_ON_THIS_CPU(status = kelp_page_hold_online(&kernel_memmap, this_cpu()->index, pfn,
							 hold));
	return status;
}

HOLDS_INLINE enum kelp_status frame_hold_device(kelp_paddr_t address, struct kelp_hold *hold)
{
	kelp_pfn_t pfn = {address >> PAGE_SHIFT};
	enum kelp_status status;

	HOLDS_ON_THIS_CPU(status = kelp_page_hold_device(&kernel_memmap, this_cpu()->index, pfn,
							 hold));
	return status;
}

HOLDS_INLINE enum kelp_status frame_hold_any(kelp_paddr_t address, struct kelp_hold *hold)
{
	kelp_pfn_t pfn = {address >> PAGE_SHIFT};
	enum kelp_status status;

	HOLDS_ON_THIS_CPU(status = kelp_page_hold_any(&kernel_memmap, this_cpu()->index, pfn,
						      hold));
	return status;
}

HOLDS_INLINE void frame_release(struct kelp_hold *hold)
{
	HOLDS_ON_THIS_CPU(kelp_page_release(&kernel_memmap, this_cpu()->index, hold));
}

/* All online frames of a subsection. */
HOLDS_INLINE enum kelp_status frames_hold_subsection(kelp_paddr_t address,
						     struct kelp_subsection_hold *hold)
{
	kelp_pfn_t pfn = {address >> PAGE_SHIFT};
	enum kelp_status status;

	HOLDS_ON_THIS_CPU(status = kelp_subsection_hold(&kernel_memmap, this_cpu()->index,
							KELP_FRAMES_ONLINE, pfn, hold));
	return status;
}

HOLDS_INLINE void frames_release_subsection(struct kelp_subsection_hold *hold)
{
	HOLDS_ON_THIS_CPU(kelp_subsection_release(&kernel_memmap, this_cpu()->index, hold));
}

#endif
