/* SPDX-License-Identifier: MIT */
/* hotplug: Kelp's hotplug with this kernel's direct map and page allocator under it. */
#include <hotplug.h>

#include "frames_private.h"

#include <boot.h>
#include <drivers/wait.h>
#include <holds.h>
#include <reach.h>
#include <symbols.h>
#include <thread.h>
#include <vm.h>

uint64_t hotplug_patience = 2000000;

/* The memmap's lock: whoever has it may sleep. */
static struct device_lock map_lock = DEVICE_LOCK(map_lock, "memmap");

static struct kelp_hotplug plug;
static unsigned plug_zone = FRAME_ZONE_MOVABLE;
static struct hotplug_stats stats;

static kelp_pfn_t pfn(kelp_paddr_t address)
{
	return (kelp_pfn_t){address >> PAGE_SHIFT};
}

/* ---- the direct map ---------------------------------------------------------------------- */

/* What lies beyond the direct map is reached through kmap_local(). */
static uint64_t direct_part(kelp_pfn_t first, uint64_t frames)
{
	uint64_t end = (direct_last() >> PAGE_SHIFT) + 1u;

	return first.number >= end ? 0 : min_u64(frames, end - first.number);
}

static enum kelp_status reach_add(void *context, kelp_pfn_t first, uint64_t frames)
{
	uint64_t part = direct_part(first, frames);
	enum kelp_status status;
	unsigned long flags;

	(void)context;
	if (!part)
		return KELP_OK;
	flags = direct_lock();
	status = kelp_directmap_add(&kernel_direct, first, part);
	direct_unlock(flags);
	return status;
}

static enum kelp_status reach_remove(void *context, kelp_pfn_t first, uint64_t frames)
{
	uint64_t part = direct_part(first, frames);
	enum kelp_status status;
	unsigned long flags;

	(void)context;
	if (!part)
		return KELP_OK;
	flags = direct_lock();
	status = kelp_directmap_remove(&kernel_direct, first, part);
	direct_unlock(flags);
	return status;
}

static void *pointer(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)frames;
	return direct_pointer(first.number << PAGE_SHIFT);
}

/* Descriptors in the range itself, where the direct map shows all of it. */
static uint32_t hosted(kelp_paddr_t first, uint64_t size)
{
	return first + size - 1u <= direct_last() ? KELP_HOTPLUG_SELF_HOSTED : 0;
}

void hotplug_init(void)
{
	static const struct kelp_hotplug_hooks hooks = {
		.reach_add = reach_add,
		.reach_remove = reach_remove,
		.pointer = pointer,
		.isolate = frames_isolate,
		.evacuate = frames_evacuate,
		.give_back = frames_give_back,
	};
	enum kelp_status status = kelp_hotplug_init(&plug, &kernel_memmap, &hooks);

	if (status != KELP_OK)
		panic("hotplug: %s", kelp_status_text(status));
	if (command_line_has("plug=kernel", NULL, 0))
		plug_zone = FRAME_ZONE_HIGH;
}

/* ---- waiting for holders ----------------------------------------------------------------- */

struct patience {
	uint64_t end; /* microseconds */
	bool given_up;
};

static bool again(void *context, uint32_t looks)
{
	struct patience *patience = context;

	if (time_microseconds() >= patience->end) {
		patience->given_up = true;
		return false;
	}
	/* Most holds are short. */
	if (looks < 16)
		thread_yield();
	else
		thread_sleep(500);
	return true;
}

static struct kelp_holder last_holder;
static bool holder_is_known;
static enum { NEVER, BY_USE, BY_HOLD } last_blocked;

static void note_holder(void *context, const struct kelp_holder *holder)
{
	const struct kelp_memmap_range *range = context;

	if (holder->pfn.number < range->first.number || holder->pfn.number > range->last.number)
		return;
	last_holder = *holder;
	holder_is_known = true;
}

static void note_blocked(kelp_paddr_t first, uint64_t size, const struct patience *patience)
{
	struct kelp_memmap_range range = {pfn(first), pfn(first + size - 1u), 0};

	stats.busy++;
	last_blocked = patience->given_up ? BY_HOLD : BY_USE;
	if (!patience->given_up)
		return;
	stats.held++;
	holder_is_known = false;
	(void)kelp_holds_report(&kernel_memmap.holds, note_holder, &range);
}

void hotplug_print_blocker(void)
{
	char text[SYMBOL_TEXT];
	struct frame_look look;

	device_lock_take(&map_lock);
	if (last_blocked == BY_HOLD && holder_is_known) {
		kprintf("    the last unplug was given up: frame 0x%llx is held by %s\n",
			(unsigned long long)last_holder.pfn.number,
			symbol_text(text, last_holder.where));
	} else if (last_blocked == BY_HOLD) {
		kprintf("    the last unplug was given up: somebody holds the frames\n");
	} else if (last_blocked == BY_USE) {
		frames_look(frames_blocker(), &look);
		kprintf("    the last unplug was given up: frame 0x%llx was in use; now it is %s%s%s\n",
			(unsigned long long)(frames_blocker() >> PAGE_SHIFT),
			frame_use_name(look.use), look.code ? ", by " : "",
			look.code ? symbol_text(text, (uintptr_t)look.code) : "");
	}
	device_lock_give(&map_lock);
}

/* ---- the steps --------------------------------------------------------------------------- */

/*
 * Unit by unit: what was added in one call and hosts its own descriptors can only go in one piece.
 */
static enum kelp_status add(kelp_paddr_t first, uint64_t size, unsigned zone, bool host)
{
	for (uint64_t at = 0; at < size; at += HOTPLUG_UNIT) {
		enum kelp_status status =
			kelp_hotplug_add(&plug, pfn(first + at), HOTPLUG_UNIT >> PAGE_SHIFT,
					 (kelp_zone_t)zone,
					 host ? hosted(first + at, HOTPLUG_UNIT) : 0);

		if (status == KELP_OK)
			continue;
		while (at) {
			at -= HOTPLUG_UNIT;
			if (kelp_hotplug_remove(&plug, pfn(first + at),
						HOTPLUG_UNIT >> PAGE_SHIFT) != KELP_OK)
				panic("hotplug: what was added cannot be removed");
		}
		return status;
	}
	return KELP_OK;
}

static enum kelp_status offline(kelp_paddr_t first, uint64_t size)
{
	struct patience patience = {.end = time_microseconds() + hotplug_patience};
	const struct kelp_hold_wait wait = {&patience, again};
	enum kelp_status status = kelp_hotplug_offline(&plug, pfn(first), size >> PAGE_SHIFT, &wait);

	if (status == KELP_ERR_BUSY)
		note_blocked(first, size, &patience);
	return status;
}

static bool is_whole(kelp_paddr_t first, uint64_t size)
{
	return size && !((first | size) & (HOTPLUG_UNIT - 1u)) && first + size - 1u > first;
}

enum kelp_status hotplug_add(kelp_paddr_t first, uint64_t size, unsigned zone, bool host)
{
	enum kelp_status status;

	if (!is_whole(first, size))
		return KELP_ERR_ALIGNMENT;
	device_lock_take(&map_lock);
	status = add(first, size, zone, host);
	device_lock_give(&map_lock);
	return status;
}

enum kelp_status hotplug_online(kelp_paddr_t first, uint64_t size)
{
	enum kelp_status status;

	device_lock_take(&map_lock);
	status = kelp_hotplug_online(&plug, pfn(first), size >> PAGE_SHIFT);
	device_lock_give(&map_lock);
	return status;
}

enum kelp_status hotplug_offline(kelp_paddr_t first, uint64_t size)
{
	enum kelp_status status;

	device_lock_take(&map_lock);
	status = offline(first, size);
	device_lock_give(&map_lock);
	return status;
}

enum kelp_status hotplug_remove(kelp_paddr_t first, uint64_t size)
{
	enum kelp_status status;

	device_lock_take(&map_lock);
	status = kelp_hotplug_remove(&plug, pfn(first), size >> PAGE_SHIFT);
	device_lock_give(&map_lock);
	return status;
}

enum kelp_status hotplug_plug(kelp_paddr_t first, uint64_t size)
{
	enum kelp_status status;

	if (!is_whole(first, size))
		return KELP_ERR_ALIGNMENT;
	device_lock_take(&map_lock);
	status = add(first, size, plug_zone, true);
	if (status == KELP_OK) {
		status = kelp_hotplug_online(&plug, pfn(first), size >> PAGE_SHIFT);
		if (status != KELP_OK &&
		    kelp_hotplug_remove(&plug, pfn(first), size >> PAGE_SHIFT) != KELP_OK)
			panic("hotplug: what was added cannot be removed");
	}
	stats.plugged += status == KELP_OK ? size : 0;
	device_lock_give(&map_lock);
	return status;
}

enum kelp_status hotplug_unplug(kelp_paddr_t first, uint64_t size)
{
	enum kelp_status status;

	device_lock_take(&map_lock);
	status = offline(first, size);
	if (status == KELP_OK) {
		status = kelp_hotplug_remove(&plug, pfn(first), size >> PAGE_SHIFT);
		/* Back into use: who plugged it may try again. */
		if (status != KELP_OK &&
		    kelp_hotplug_online(&plug, pfn(first), size >> PAGE_SHIFT) != KELP_OK)
			panic("hotplug: what was taken offline cannot go online");
	}
	stats.unplugged += status == KELP_OK ? size : 0;
	device_lock_give(&map_lock);
	return status;
}

enum kelp_status hotplug_attach(kelp_paddr_t first, uint64_t size)
{
	enum kelp_status status;

	if (!is_whole(first, size))
		return KELP_ERR_ALIGNMENT;
	device_lock_take(&map_lock);
	/* Its contents are somebody's: no descriptors are put there. */
	status = kelp_hotplug_attach(&plug, pfn(first), size >> PAGE_SHIFT, FRAME_ZONE_DEVICE, 0);
	stats.attached += status == KELP_OK ? size : 0;
	device_lock_give(&map_lock);
	return status;
}

enum kelp_status hotplug_detach(kelp_paddr_t first, uint64_t size)
{
	struct patience patience = {0};
	const struct kelp_hold_wait wait = {&patience, again};
	enum kelp_status status;

	device_lock_take(&map_lock);
	/* From here: others may have kept the lock for as long as our patience lasts. */
	patience.end = time_microseconds() + hotplug_patience;
	status = kelp_hotplug_detach(&plug, pfn(first), size >> PAGE_SHIFT, &wait);
	if (status == KELP_ERR_BUSY)
		note_blocked(first, size, &patience);
	stats.detached += status == KELP_OK ? size : 0;
	device_lock_give(&map_lock);
	return status;
}

void hotplug_stats(struct hotplug_stats *result)
{
	device_lock_take(&map_lock);
	*result = stats;
	device_lock_give(&map_lock);
}

/* ---- for people -------------------------------------------------------------------------- */

#define SECTION_BYTES (UINT64_C(1) << (PAGE_SHIFT + kernel_memmap.subsection_order + \
				      kernel_memmap.record_bits))

static char picture_of(kelp_paddr_t address)
{
	kelp_pfn_t at = pfn(address), first, last;
	uint32_t state;
	kelp_zone_t zone;

	/* The first frames of a subsection may be a hole. */
	if (!kelp_memmap_next(&kernel_memmap, KELP_FRAMES_VALID, at, &first, &last) ||
	    first.number >= at.number + (HOTPLUG_UNIT >> PAGE_SHIFT))
		return '.';
	state = kelp_pfn_state(&kernel_memmap, first);
	if (!(state & KELP_SUBSECTION_ACTIVE))
		return 'o';
	if (state & KELP_SUBSECTION_DEVICE)
		return 'd';
	if (kelp_pfn_zone(&kernel_memmap, first, &zone) == KELP_OK && zone == FRAME_ZONE_MOVABLE)
		return 'm';
	return state & KELP_SUBSECTION_PARTIAL ? '%' : '#';
}

void hotplug_print_sections(void)
{
	struct kelp_memmap_cost cost;
	kelp_pfn_t first, last, from = {0};
	char line[66];

	kprintf("  a line is %llu MiB, a character 2 MiB: # online, %% online with holes, m movable, "
		"o offline,\n  d device, . nothing\n", (unsigned long long)(SECTION_BYTES / MIB));
	while (kelp_memmap_next(&kernel_memmap, KELP_FRAMES_VALID, from, &first, &last)) {
		kelp_paddr_t section = align_down(first.number << PAGE_SHIFT, SECTION_BYTES);
		unsigned count = 0;

		for (uint64_t at = 0; at < SECTION_BYTES && count < sizeof(line) - 1;
		     at += HOTPLUG_UNIT)
			line[count++] = picture_of(section + at);
		line[count] = '\0';
		kprintf("  %012llx %s\n", (unsigned long long)section, line);
		from.number = (section + SECTION_BYTES) >> PAGE_SHIFT;
	}
	kelp_memmap_cost(&kernel_memmap, &cost);
	kprintf("  %llu frames; descriptors %llu KiB (%llu in their own ranges), map %llu KiB, "
		"counters %llu KiB: %llu KiB per GiB\n", (unsigned long long)cost.frames,
		(unsigned long long)(cost.descriptors / KIB),
		(unsigned long long)(cost.hosted / KIB), (unsigned long long)(cost.map / KIB),
		(unsigned long long)(cost.counters / KIB), (unsigned long long)(cost.per_gib / KIB));
}

static const char *hold_text(enum kelp_status (*hold)(kelp_paddr_t address, struct kelp_hold *hold),
			     kelp_paddr_t address)
{
	struct kelp_hold held;

	if (hold(address, &held) != KELP_OK)
		return "no";
	frame_release(&held);
	return "yes";
}

/* The contents of the descriptor, while it is held. */
static void print_descriptor(kelp_paddr_t address)
{
	struct kelp_hold hold;
	const char *wrong;

	if (frame_hold_any(address, &hold) != KELP_OK)
		return;
	wrong = frames_check(kelp_hold_page(&hold), address >> PAGE_SHIFT);
	kprintf("  descriptor at 0x%llx: %s\n",
		(unsigned long long)(uintptr_t)kelp_hold_page(&hold), wrong ? wrong : "in order");
	frame_release(&hold);
}

static void print_use(kelp_paddr_t address)
{
	char size[SIZE_TEXT], text[SYMBOL_TEXT];
	struct frame_look look;

	frames_look(address, &look);
	kprintf("  allocator: %s", frame_use_name(look.use));
	if (look.use >= FRAME_USE_FREE && look.use <= FRAME_USE_MOVABLE)
		kprintf(", in a block of %s at 0x%llx", size_text(size, PAGE_SIZE << look.order),
			(unsigned long long)look.first);
	if (look.use == FRAME_USE_MOVABLE)
		kprintf(", by %s as %llu", look.owner->name, (unsigned long long)look.cookie);
	else if (look.use == FRAME_USE_TAKEN)
		kprintf(", by %s", look.code ? symbol_text(text, (uintptr_t)look.code)
					     : "the boot or a CPU's cache");
	kprintf("\n");
}

void hotplug_print_frame(kelp_paddr_t address)
{
	const struct kelp_memmap *map = &kernel_memmap;
	kelp_pfn_t at = pfn(address);
	kelp_zone_t zone;
	unsigned long flags;
	bool present;

	kprintf("frame 0x%llx, physical 0x%llx\n", (unsigned long long)at.number,
		(unsigned long long)(at.number << PAGE_SHIFT));
	kprintf("  valid %s, active %s: online %s, device %s; zone %s\n",
		kelp_pfn_valid(map, at) ? "yes" : "no", kelp_pfn_active(map, at) ? "yes" : "no",
		kelp_pfn_online(map, at) ? "yes" : "no", kelp_pfn_device(map, at) ? "yes" : "no",
		kelp_pfn_zone(map, at, &zone) == KELP_OK ? frame_zone_name(zone) : "none");
	kprintf("  held as online %s, as device %s, as any %s\n",
		hold_text(frame_hold_online, address), hold_text(frame_hold_device, address),
		hold_text(frame_hold_any, address));
	print_descriptor(at.number << PAGE_SHIFT);
	flags = vm_read_begin();
	present = kelp_directmap_present(&kernel_direct, at);
	vm_read_end(flags);
	kprintf("  direct map: %s\n",
		!kelp_directmap_has_frame(&kernel_direct, at) ? "has no place for it"
		: present ? "present" : "absent");
	print_use(at.number << PAGE_SHIFT);
}
