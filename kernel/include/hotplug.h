/* SPDX-License-Identifier: MIT */
/*
 * hotplug: memory that comes and goes while the kernel runs. What Kelp's hotplug asks for is
 * given here: the direct map grows and shrinks with the memory, the page allocator gives it away
 * and clears it again.
 */
#ifndef HOLDFAST_HOTPLUG_H
#define HOLDFAST_HOTPLUG_H

#include <kelp/kelp.h>

#include <base.h>
#include <memmap.h>

/* Ranges consist of these. */
#define HOTPLUG_UNIT (UINT64_C(1) << MEMMAP_SUBSECTION_SHIFT)

/* Once, when threads run. */
void hotplug_init(void);

/*
 * RAM that nobody knew of goes online: movable, or, with `plug=kernel` on the command line, for
 * the kernel's own use, which may then keep it from being unplugged. Its descriptors lie in the
 * memory itself, so that it costs no other memory. All or nothing. Thread context; may sleep.
 */
enum kelp_status hotplug_plug(kelp_paddr_t first, uint64_t size) KELP_WARN_UNUSED;

/*
 * Empties it, takes it offline and forgets it. BUSY: something there cannot be moved, or somebody
 * holds it and does not let go; then all of it is in use as before. Thread context; sleeps.
 */
enum kelp_status hotplug_unplug(kelp_paddr_t first, uint64_t size) KELP_WARN_UNUSED;

/* Memory of a device: reachable, with descriptors, never given to anybody. */
enum kelp_status hotplug_attach(kelp_paddr_t first, uint64_t size) KELP_WARN_UNUSED;
enum kelp_status hotplug_detach(kelp_paddr_t first, uint64_t size) KELP_WARN_UNUSED;

/*
 * The steps that plug and unplug consist of; for tests. The zone is one of enum frame_zone. With
 * `host` the descriptors lie in the range itself.
 */
enum kelp_status hotplug_add(kelp_paddr_t first, uint64_t size, unsigned zone,
			     bool host) KELP_WARN_UNUSED;
enum kelp_status hotplug_online(kelp_paddr_t first, uint64_t size) KELP_WARN_UNUSED;
enum kelp_status hotplug_offline(kelp_paddr_t first, uint64_t size) KELP_WARN_UNUSED;
enum kelp_status hotplug_remove(kelp_paddr_t first, uint64_t size) KELP_WARN_UNUSED;

/* For how long hotplug_unplug(), _offline() and _detach() wait for holders; microseconds. */
extern uint64_t hotplug_patience;

struct hotplug_stats {
	uint64_t plugged, unplugged; /* bytes, since the boot */
	uint64_t attached, detached;
	uint64_t busy;               /* unplugs that were given up: something was in use */
	uint64_t held;               /* of these, because of a holder */
};
void hotplug_stats(struct hotplug_stats *stats);

/* One line on what kept the last unplug from happening; nothing when none was given up. */
void hotplug_print_blocker(void);

/*
 * A picture of the memmap: a character for each subsection, a line for each section:
 *   .  nothing   o  offline   #  online   %  online, with holes   m  online and movable
 */
void hotplug_print_sections(void);

/* Every answer about one frame. */
void hotplug_print_frame(kelp_paddr_t address);

#endif
