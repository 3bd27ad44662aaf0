/* SPDX-License-Identifier: MIT */
/* frames: the buddy system and the caches of single pages on each CPU. */
#include "frames_private.h"

#include <arch.h>
#include <cpu.h>
#include <lock.h>
#include <reach.h>
#include <vm.h>

enum frame_state {
	FRAME_RESERVED, /* never given to the allocator, or inside a larger block */
	FRAME_FREE,     /* first of a free block of `order` */
	FRAME_TAKEN,    /* first of a taken block of `order` */
	FRAME_CACHED,   /* a single page in the cache of some CPU */
};

/* One per frame of RAM. Links are descriptor numbers, so 4 bytes each reach 16 TiB. */
struct frame {
	uint32_t next;
	uint32_t previous;
	uint8_t state;
	uint8_t order;
	uint16_t reserved;
};

#define NONE UINT32_MAX

/* A stretch of RAM without holes; its descriptors follow each other. */
struct region {
	uint64_t first_pfn;
	uint64_t count;
	uint32_t base; /* number of its first descriptor */
};

/* Low: in the direct map and within the reach of devices that know 32 bits. */
enum { ZONE_LOW, ZONE_HIGH, ZONES };
#define ZONE_LOW_LAST (FRAME_DIRECT < FRAME_BELOW_4G ? FRAME_DIRECT : FRAME_BELOW_4G)

static struct spinlock lock = SPINLOCK("frames");
static struct frame *frames;
static struct region regions[BOOT_RANGES];
static unsigned region_count;
static uint32_t free_list[ZONES][FRAME_ORDERS];
static struct frame_stats stats;
static kelp_paddr_t last_address; /* of all frames that are managed */

/* The region of a frame, by halving: regions are sorted. */
static const struct region *region_of(uint64_t pfn)
{
	unsigned low = 0, high = region_count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct region *region = &regions[middle];

		if (pfn < region->first_pfn)
			high = middle;
		else if (pfn - region->first_pfn >= region->count)
			low = middle + 1;
		else
			return region;
	}
	return NULL;
}

static const struct region *region_of_number(uint32_t number)
{
	unsigned low = 0, high = region_count;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (number < regions[middle].base)
			high = middle;
		else
			low = middle;
	}
	return &regions[low];
}

static uint32_t number_of(const struct region *region, uint64_t pfn)
{
	return region->base + (uint32_t)(pfn - region->first_pfn);
}

static uint64_t pfn_of(uint32_t number)
{
	const struct region *region = region_of_number(number);

	return region->first_pfn + (number - region->base);
}

static unsigned zone_of(uint64_t pfn)
{
	return pfn <= ZONE_LOW_LAST >> PAGE_SHIFT ? ZONE_LOW : ZONE_HIGH;
}

/* Beyond the direct map: kmap's. */
static bool is_high_memory(uint64_t pfn)
{
	return pfn > FRAME_DIRECT >> PAGE_SHIFT;
}

static void push_free(uint64_t pfn, uint32_t number, unsigned order)
{
	uint32_t *head = &free_list[zone_of(pfn)][order];

	frames[number] = (struct frame){*head, NONE, FRAME_FREE, (uint8_t)order, 0};
	if (*head != NONE)
		frames[*head].previous = number;
	*head = number;
	stats.blocks[order]++;
	stats.free += UINT64_C(1) << order;
	stats.high_free += is_high_memory(pfn) ? UINT64_C(1) << order : 0;
}

static void unlink_free(uint64_t pfn, uint32_t number)
{
	struct frame *frame = &frames[number];

	if (frame->previous == NONE)
		free_list[zone_of(pfn)][frame->order] = frame->next;
	else
		frames[frame->previous].next = frame->next;
	if (frame->next != NONE)
		frames[frame->next].previous = frame->previous;
	stats.blocks[frame->order]--;
	stats.free -= UINT64_C(1) << frame->order;
	stats.high_free -= is_high_memory(pfn) ? UINT64_C(1) << frame->order : 0;
	frame->state = FRAME_RESERVED;
}

/* Joins the block with its free buddies and lists the result. */
static void free_block(uint64_t pfn, unsigned order)
{
	const struct region *region = region_of(pfn);

	for (; order + 1 < FRAME_ORDERS; order++) {
		uint64_t buddy = pfn ^ UINT64_C(1) << order;
		struct frame *frame;

		if (buddy < region->first_pfn || buddy - region->first_pfn >= region->count ||
		    zone_of(buddy) != zone_of(pfn))
			break;
		frame = &frames[number_of(region, buddy)];
		if (frame->state != FRAME_FREE || frame->order != order)
			break;
		unlink_free(buddy, number_of(region, buddy));
		frames[number_of(region, pfn)].state = FRAME_RESERVED;
		pfn &= ~(UINT64_C(1) << order);
	}
	push_free(pfn, number_of(region, pfn), order);
}

/* A free block of at least `order` whose first 2^order pages end at or below `limit`. */
static uint32_t find_free(unsigned zone, unsigned order, kelp_paddr_t limit)
{
	for (unsigned larger = order; larger < FRAME_ORDERS; larger++) {
		for (uint32_t at = free_list[zone][larger]; at != NONE; at = frames[at].next) {
			uint64_t last = pfn_of(at) + (UINT64_C(1) << order) - 1u;

			if (last <= limit >> PAGE_SHIFT &&
			    (last << PAGE_SHIFT | (PAGE_SIZE - 1u)) <= limit)
				return at;
		}
	}
	return NONE;
}

static bool take_block(unsigned order, kelp_paddr_t limit, kelp_paddr_t *address)
{
	uint32_t number = NONE;
	unsigned larger;
	uint64_t pfn;

	/* Low memory is kept for those who need it. */
	if (limit > ZONE_LOW_LAST)
		number = find_free(ZONE_HIGH, order, limit);
	if (number == NONE)
		number = find_free(ZONE_LOW, order, limit);
	if (number == NONE) {
		stats.failures++;
		return false;
	}
	pfn = pfn_of(number);
	larger = frames[number].order;
	unlink_free(pfn, number);
	while (larger > order) {
		larger--;
		push_free(pfn + (UINT64_C(1) << larger), number + (UINT32_C(1) << larger), larger);
	}
	frames[number] = (struct frame){NONE, NONE, FRAME_TAKEN, (uint8_t)order, 0};
	stats.lowest = min_u64(stats.lowest, stats.free);
	*address = pfn << PAGE_SHIFT;
	return true;
}

static void give_block(unsigned order, kelp_paddr_t address, enum frame_state expected)
{
	const struct region *region = region_of(address >> PAGE_SHIFT);
	struct frame *frame;

	if (!region)
		panic("frames: 0x%llx was given back but is no RAM of ours",
		      (unsigned long long)address);
	frame = &frames[number_of(region, address >> PAGE_SHIFT)];
	if (frame->state != expected || frame->order != order)
		panic("frames: 0x%llx was given back with order %u, but is %s of order %u",
		      (unsigned long long)address, order,
		      frame->state == FRAME_TAKEN ? "a taken block"
		      : frame->state == FRAME_FREE ? "a free block"
		      : frame->state == FRAME_CACHED ? "a cached page" : "inside another block",
		      frame->order);
	free_block(address >> PAGE_SHIFT, order);
}

/* ---- the cache of single pages ----------------------------------------------------------- */

static struct frame *frame_of(kelp_paddr_t address)
{
	const struct region *region = region_of(address >> PAGE_SHIFT);

	return region ? &frames[number_of(region, address >> PAGE_SHIFT)] : NULL;
}

static bool refill(struct frame_cache *cache)
{
	spin_lock(&lock);
	while (cache->count < FRAME_CACHE / 2) {
		kelp_paddr_t page;

		if (!take_block(0, FRAME_ANYWHERE, &page))
			break;
		frame_of(page)->state = FRAME_CACHED;
		cache->page[cache->count++] = page;
	}
	spin_unlock(&lock);
	cache->refills++;
	return cache->count > 0;
}

static void drain(struct frame_cache *cache, unsigned keep)
{
	spin_lock(&lock);
	while (cache->count > keep)
		give_block(0, cache->page[--cache->count], FRAME_CACHED);
	spin_unlock(&lock);
	cache->drains++;
}

static bool debug_take(unsigned order, kelp_paddr_t address)
{
	if (frames_debug)
		frames_debug_take(address, UINT64_C(1) << order);
	return true;
}

bool frames_take(unsigned order, kelp_paddr_t limit, kelp_paddr_t *address)
{
	unsigned long flags = arch_irq_save();
	struct frame_cache *cache = &this_cpu()->frames;
	bool done;

	cache->takes++;
	if (order == 0 && limit >= last_address) {
		if (cache->count)
			cache->hits++;
		done = cache->count || refill(cache);
		if (done) {
			*address = cache->page[--cache->count];
			frame_of(*address)->state = FRAME_TAKEN;
		}
	} else {
		spin_lock(&lock);
		done = take_block(order, limit, address);
		spin_unlock(&lock);
	}
	done = done && debug_take(order, *address);
	arch_irq_restore(flags);
	return done;
}

bool frames_take_zeroed(unsigned order, kelp_paddr_t limit, kelp_paddr_t *address)
{
	if (!frames_take(order, limit, address))
		return false;
	frames_zero(*address, PAGE_SIZE << order);
	return true;
}

void frames_give(unsigned order, kelp_paddr_t address)
{
	unsigned long flags = arch_irq_save();
	struct frame_cache *cache = &this_cpu()->frames;
	struct frame *frame = frame_of(address);

	cache->gives++;
	/* What is wrong about it is said below. */
	if (frames_debug && frame && frame->state == FRAME_TAKEN && frame->order == order)
		frames_debug_give(address, UINT64_C(1) << order, frames_number(address));
	if (order == 0 && frame && frame->state == FRAME_TAKEN && frame->order == 0) {
		if (cache->count == FRAME_CACHE)
			drain(cache, FRAME_CACHE / 2);
		frame->state = FRAME_CACHED;
		cache->page[cache->count++] = address;
	} else {
		spin_lock(&lock);
		give_block(order, address, FRAME_TAKEN);
		spin_unlock(&lock);
	}
	arch_irq_restore(flags);
}

void frames_drain(void)
{
	unsigned long flags = arch_irq_save();

	drain(&this_cpu()->frames, 0);
	arch_irq_restore(flags);
}

uint32_t frames_number(kelp_paddr_t address)
{
	const struct region *region = region_of(address >> PAGE_SHIFT);

	return region ? number_of(region, address >> PAGE_SHIFT) : NONE;
}

/* Of a block only the first frame's descriptor tells; the blocks that could hold it are few. */
const char *frames_state_text(kelp_paddr_t address)
{
	uint64_t pfn = address >> PAGE_SHIFT;
	const struct region *region = region_of(pfn);

	if (!region)
		return "not the page allocator's";
	for (unsigned order = 0; order < FRAME_ORDERS; order++) {
		uint64_t first = pfn & ~((UINT64_C(1) << order) - 1u);
		const struct frame *frame;

		if (first < region->first_pfn)
			break;
		frame = &frames[number_of(region, first)];
		if (frame->state == FRAME_RESERVED || frame->order < order)
			continue;
		return frame->state == FRAME_FREE ? "free"
		       : frame->state == FRAME_TAKEN ? "taken" : "free, in a CPU's cache";
	}
	return "unknown";
}

unsigned frames_order(uint64_t size)
{
	unsigned order = 0;

	while (PAGE_SIZE << order < size)
		order++;
	return order;
}

bool frames_manages(kelp_paddr_t address)
{
	return region_of(address >> PAGE_SHIFT) != NULL;
}

void frames_stats(struct frame_stats *result)
{
	unsigned long flags = spin_lock_irqsave(&lock);

	*result = stats;
	spin_unlock_irqrestore(&lock, flags);
	/* Other CPUs' counters are read as they are: statistics, not accounts. */
	for (unsigned i = 0; i < cpu_count; i++) {
		const struct frame_cache *cache = &cpus[i]->frames;

		result->cached += cache->count;
		result->takes += cache->takes;
		result->gives += cache->gives;
		result->cache_hits += cache->hits;
		result->refills += cache->refills;
		result->drains += cache->drains;
	}
}

/* ---- start ------------------------------------------------------------------------------- */

/* Lists [first, end), cut into the largest aligned blocks. */
static void add_free(uint64_t first, uint64_t end)
{
	const struct region *region = region_of(first);
	uint64_t start = first;

	memset(&frames[number_of(region, first)], 0, (size_t)(end - first) * sizeof(struct frame));
	while (first < end) {
		unsigned order = 0;

		while (order + 1 < FRAME_ORDERS && !(first & ((UINT64_C(2) << order) - 1u)) &&
		       end - first >= UINT64_C(2) << order &&
		       zone_of(first) == zone_of(first + (UINT64_C(2) << order) - 1u))
			order++;
		free_block(first, order);
		stats.total += UINT64_C(1) << order;
		stats.high += is_high_memory(first) ? UINT64_C(1) << order : 0;
		first += UINT64_C(1) << order;
	}
	if (frames_debug)
		frames_debug_free(start << PAGE_SHIFT, end - start);
}

void frames_init(const struct boot_info *info)
{
	uint64_t count = 0;
	kelp_paddr_t table;

	for (unsigned i = 0; i < info->map.count; i++) {
		const struct memory_range *range = &info->map.range[i];

		if (range->kind != MEMORY_RAM)
			continue;
		last_address = max_u64(last_address, range->first + range->size - 1u);
		regions[region_count++] = (struct region){
			.first_pfn = range->first >> PAGE_SHIFT,
			.count = range->size >> PAGE_SHIFT,
			.base = (uint32_t)count,
		};
		count += range->size >> PAGE_SHIFT;
	}
	if (count >= NONE)
		panic("frames: this machine has more RAM than the 16 TiB we can number");
	if (!early_frames_take(count * sizeof(struct frame), PAGE_SIZE, FRAME_DIRECT, &table))
		panic("frames: no %llu KiB in one piece for the descriptors of all frames",
		      (unsigned long long)(count * sizeof(struct frame) / KIB));
	frames_debug_init((uint32_t)count);
	frames = direct_pointer(table);
	for (unsigned zone = 0; zone < ZONES; zone++)
		for (unsigned order = 0; order < FRAME_ORDERS; order++)
			free_list[zone][order] = NONE;

	for (unsigned i = 0; i < region_count; i++) {
		kelp_paddr_t at = regions[i].first_pfn << PAGE_SHIFT;
		kelp_paddr_t end = at + (regions[i].count << PAGE_SHIFT), stop;

		/* What the early allocator gave may come back page by page. */
		for (uint64_t j = 0; j < regions[i].count; j++)
			frames[regions[i].base + j] = (struct frame){.state = FRAME_TAKEN};
		for (; (at = early_frames_next_free(at, end, &stop)) < end; at = stop)
			add_free(at >> PAGE_SHIFT, stop >> PAGE_SHIFT);
	}
	early_frames_end();
	stats.lowest = stats.free;
}
