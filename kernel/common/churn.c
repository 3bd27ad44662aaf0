/* SPDX-License-Identifier: MIT */
/* churn: frames out of the direct map and back, in random order. */
#include <churn.h>

#include <arch.h>
#include <frames.h>
#include <port.h>
#include <print.h>
#include <reach.h>
#include <thread.h>
#include <vm.h>

/* Frames are changed in one gather up to this many, as somebody would who has many at hand. */
#define BATCH 32u

#define BLOCKS 1024u
static struct block {
	kelp_paddr_t address;
	uint64_t first; /* number of its first frame in the churn */
	unsigned order;
} blocks[BLOCKS];
static unsigned block_count;

/* ---- the frames -------------------------------------------------------------------------- */

/* Takes blocks from the largest order down until there are `wanted` frames or no more. */
static uint64_t take_blocks(uint64_t wanted)
{
	uint64_t frames = 0;

	block_count = 0;
	for (unsigned order = FRAME_ORDERS; order-- > 0;) {
		while (block_count < BLOCKS && frames + (UINT64_C(1) << order) <= wanted) {
			struct block *block = &blocks[block_count];

			if (!frames_take(order, FRAME_DIRECT, &block->address))
				break;
			block->first = frames;
			block->order = order;
			frames += UINT64_C(1) << order;
			block_count++;
		}
	}
	return frames;
}

static void give_blocks(void)
{
	while (block_count) {
		block_count--;
		frames_give(blocks[block_count].order, blocks[block_count].address);
	}
}

static kelp_pfn_t frame_number(uint64_t number)
{
	unsigned low = 0, high = block_count;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (number < blocks[middle].first)
			high = middle;
		else
			low = middle;
	}
	return (kelp_pfn_t){(blocks[low].address >> PAGE_SHIFT) + (number - blocks[low].first)};
}

/* ---- the order --------------------------------------------------------------------------- */

/* Each number below 2^bits once: both steps can be undone. */
static uint64_t permute(uint64_t number, unsigned bits, uint64_t seed)
{
	uint64_t mask = (UINT64_C(1) << bits) - 1u;

	number = (number * UINT64_C(0x9e3779b97f4a7c15) + seed) & mask;
	number ^= number >> (bits / 2u + 1u);
	return number * UINT64_C(0xd1342543de82ef95) & mask;
}

/* Calls `change` for every frame in an order of its own; batches of them in one gather. */
static enum kelp_status for_all(uint64_t frames, uint64_t seed,
				enum kelp_status (*change)(struct kelp_flush *flush,
							   kelp_pfn_t frame))
{
	enum kelp_status status = KELP_OK;
	uint64_t number = 0;
	unsigned bits = 1;

	while (UINT64_C(1) << bits < frames)
		bits++;
	while (number < UINT64_C(1) << bits && status == KELP_OK) {
		unsigned long flags = direct_lock();
		struct kelp_flush flush = {0};
		unsigned batch = 0;

		kelp_flush_begin(&flush, &kernel_space);
		for (; batch < BATCH && number < UINT64_C(1) << bits; number++) {
			uint64_t index = permute(number, bits, seed);

			if (index >= frames)
				continue;
			status = change(&flush, frame_number(index));
			if (status != KELP_OK)
				break;
			batch++;
		}
		vm_commit(&flush);
		direct_unlock(flags);
	}
	return status;
}

static enum kelp_status out(struct kelp_flush *flush, kelp_pfn_t frame)
{
	return kelp_directmap_set_invalid_gather(&kernel_direct, flush, frame, 1);
}

static enum kelp_status back(struct kelp_flush *flush, kelp_pfn_t frame)
{
	return kelp_directmap_set_default_gather(&kernel_direct, flush, frame, 1);
}

/* ---- marks ------------------------------------------------------------------------------- */

static uint64_t mark_of(kelp_pfn_t frame)
{
	return frame.number * UINT64_C(0x9e3779b97f4a7c15) ^ UINT64_C(0x6b656c70);
}

static void put_marks(uint64_t frames)
{
	for (uint64_t i = 0; i < frames; i++) {
		kelp_pfn_t frame = frame_number(i);
		uint64_t *word = kmap_local(frame.number << PAGE_SHIFT);

		*word = mark_of(frame);
		kunmap_local(word);
	}
}

static bool marks_are_there(uint64_t frames, bool absent)
{
	bool good = true;

	for (uint64_t i = 0; i < frames; i++) {
		kelp_pfn_t frame = frame_number(i);
		uint64_t word;

		if (absent) {
			good &= !kelp_directmap_present(&kernel_direct, frame);
			copywin_read(frame.number << PAGE_SHIFT, &word, sizeof(word));
		} else {
			word = *(const uint64_t *)direct_pointer(frame.number << PAGE_SHIFT);
		}
		good &= word == mark_of(frame);
	}
	return good;
}

/* ---- all of it --------------------------------------------------------------------------- */

static void statistics(struct kelp_directmap_statistics *s)
{
	unsigned long flags = vm_read_begin();

	kelp_directmap_statistics(&kernel_direct, s);
	vm_read_end(flags);
}

/* Nobody else takes frames out meanwhile, unless every free one is absent. */
static bool absent_are(const struct kelp_directmap_statistics *s, uint64_t absent)
{
	return s->absent == absent || frames_debug;
}

static const char *run(struct churn *c)
{
	uint64_t start = arch_ticks();

	if (for_all(c->frames, start, out) != KELP_OK)
		return "a frame could not be taken out";
	c->ticks_out = arch_ticks() - start;
	statistics(&c->between);
	c->tables_between = kernel_space.tables;
	if (!absent_are(&c->between, c->before.absent + c->frames))
		return "frames are absent that nobody took out, or the other way round";
	if (!marks_are_there(c->frames, true))
		return "an absent frame is not what it was";
	start = arch_ticks();
	if (for_all(c->frames, start, back) != KELP_OK)
		return "a frame could not be given back";
	c->ticks_back = arch_ticks() - start;
	statistics(&c->after);
	c->tables_after = kernel_space.tables;
	if (memcmp(c->before.leaves, c->after.leaves, sizeof(c->before.leaves)) ||
	    !absent_are(&c->after, c->before.absent) || c->tables_before != c->tables_after)
		return "the direct map is not what it was before";
	if (!marks_are_there(c->frames, false))
		return "a frame is not what it was";
	return NULL;
}

void churn(uint64_t frames_max, struct churn *c)
{
	struct frame_stats stats;
	kelp_paddr_t reserve;
	unsigned order;

	*c = (struct churn){.shootdowns = port_stats.shootdowns,
			    .shootdown_ticks = port_stats.shootdown_ticks};
	frames_stats(&stats);
	/* In the worst case every page lies in a table that was not there before. */
	order = frames_order((min_u64(stats.free, frames_max) / 256u + 64u) << PAGE_SHIFT);
	if (!frames_take(order, FRAME_DIRECT, &reserve)) {
		c->failure = "there is no memory for tables";
		return;
	}
	c->frames = take_blocks(frames_max);
	frames_give(order, reserve);
	frames_drain();
	if (c->frames) {
		put_marks(c->frames);
		statistics(&c->before);
		c->tables_before = kernel_space.tables;
		c->failure = run(c);
	} else {
		c->failure = "there are no free frames";
	}
	give_blocks();
	c->shootdowns = port_stats.shootdowns - c->shootdowns;
	c->shootdown_ticks = port_stats.shootdown_ticks - c->shootdown_ticks;
}

/* ---- for people -------------------------------------------------------------------------- */

const char *leaves_text(char text[CHURN_LEAVES], const struct kelp_directmap_statistics *s)
{
	char size[SIZE_TEXT];
	size_t length = 0;

	text[0] = '\0';
	for (unsigned level = kernel_format.levels; level-- > 0;)
		if (s->leaves[level])
			length += format_text(text + length, CHURN_LEAVES - length, "%s%llu x %s",
					      length ? ", " : "",
					      (unsigned long long)s->leaves[level],
					      size_text(size,
							kelp_format_span(&kernel_format, level)));
	return text;
}

static uint64_t each(uint64_t ticks, uint64_t count)
{
	return count ? ticks_to_nanoseconds(ticks) / count : 0;
}

void churn_print(const struct churn *c, const char *prefix)
{
	char before[CHURN_LEAVES], between[CHURN_LEAVES], after[CHURN_LEAVES];

	kprintf("%s%llu frames out of the direct map and back, in random order: %s\n", prefix,
		(unsigned long long)c->frames, c->failure ? c->failure : "as it was before");
	kprintf("%sbefore: %s; between: %s; after: %s\n", prefix, leaves_text(before, &c->before),
		leaves_text(between, &c->between), leaves_text(after, &c->after));
	kprintf("%s%llu ns to take one out, %llu to give one back; %llu shootdowns, %llu ns each; "
		"%u tables, %u between\n", prefix,
		(unsigned long long)each(c->ticks_out, c->frames),
		(unsigned long long)each(c->ticks_back, c->frames),
		(unsigned long long)c->shootdowns,
		(unsigned long long)each(c->shootdown_ticks, c->shootdowns), c->tables_before,
		c->tables_between);
}
