/* SPDX-License-Identifier: MIT */
/* sequence_random: steps at random, the same again for the same seed. */
#include "sequence.h"

uint64_t random_next(struct random *random)
{
	/* splitmix64: every seed is as good as any other. */
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(struct random *random, uint64_t n)
{
	return n ? random_next(random) % n : 0;
}

bool random_chance(struct random *random, unsigned percent)
{
	return random_below(random, 100) < percent;
}

/* One of the leaf sizes; small ones more often. */
static unsigned random_leaf_shift(struct random *random, const struct kelp_format *format)
{
	unsigned shifts[64], count = 0, pick;

	for (unsigned shift = 0; shift < 64; shift++)
		if (format->leaf_sizes >> shift & 1)
			shifts[count++] = shift;
	pick = (unsigned)random_below(random, count);
	if (random_chance(random, 40))
		pick = (unsigned)random_below(random, pick + 1u);
	return shifts[pick];
}

/* Windows of the address space where everything happens: its ends, and a table's border. */
static kelp_vaddr_t random_window(struct random *random, const struct kelp_format *format,
				  uint64_t length)
{
	unsigned r = (unsigned)random_below(random, format->va_ranges);
	kelp_vaddr_t first = format->va_first[r], last = format->va_last[r];
	unsigned top = format->levels - 1u;
	uint64_t root_span = UINT64_C(1) << format->shift[top];

	if (last - first <= length)
		return first;
	switch (random_below(random, 3)) {
	case 0: return first;
	case 1: return last - (length - 1u);
	default:
		if (last - first <= 4 * root_span)
			return first + root_span - length / 2;
		return first + 2 * root_span - length / 2;
	}
}

static kelp_attr_t random_attributes(struct random *random, const struct kelp_format *format)
{
	kelp_attr_t attributes = KELP_ATTR_READ;

	/* Few different ones, so that neighbours are often equal. */
	switch (random_below(random, 4)) {
	case 0: attributes |= KELP_ATTR_WRITE; break;
	case 1: attributes |= KELP_ATTR_WRITE | KELP_ATTR_EXEC; break;
	case 2: attributes |= KELP_ATTR_EXEC; break;
	default: break;
	}
	if (random_chance(random, 20))
		attributes |= KELP_ATTR_GLOBAL;
	if (random_chance(random, 20))
		attributes |= KELP_ATTR_USER;
	if (random_chance(random, 15))
		attributes |= KELP_ATTR_INVALID;
	if (random_chance(random, 10))
		attributes |= KELP_ATTR_ACCESSED;
	if (random_chance(random, 5))
		attributes |= KELP_ATTR_DIRTY;
	if (random_chance(random, 10))
		attributes |= KELP_ATTR_SOFT0 << random_below(random, 4);
	if (random_chance(random, 15))
		attributes |= KELP_ATTR_TYPE(random_below(random, 8));
	if (random_chance(random, 5))
		attributes |= KELP_ATTR_SHARED;
	if (random_chance(random, 90))
		attributes = kelp_format_closest(format, attributes);
	else if (random_chance(random, 10))
		attributes ^= UINT32_C(1) << random_below(random, 32);
	return attributes;
}

static void random_protect(struct random *random, const struct kelp_format *format,
			   struct step *step)
{
	static const kelp_attr_t choices[] = {
		KELP_ATTR_WRITE, KELP_ATTR_EXEC, KELP_ATTR_INVALID, KELP_ATTR_INVALID,
		KELP_ATTR_GLOBAL, KELP_ATTR_ACCESSED, KELP_ATTR_DIRTY, KELP_ATTR_SOFT1,
		KELP_ATTR_USER, KELP_ATTR_WRITE | KELP_ATTR_INVALID,
	};
	kelp_attr_t choice = choices[random_below(random, sizeof(choices) / sizeof(choices[0]))];

	if (random_chance(random, 8)) {
		step->set = random_attributes(random, format) & KELP_ATTR_TYPE_MASK;
		step->clear = KELP_ATTR_TYPE_MASK;
	} else if (random_chance(random, 50)) {
		step->set = choice;
	} else {
		step->clear = choice;
	}
	if (random_chance(random, 2))
		step->clear |= UINT32_C(1) << random_below(random, 32);
	if (random_chance(random, 60))
		step->flags |= KELP_SKIP_HOLES;
}

/* Frames: in step with the addresses, so that neighbours continue; or just aligned; or the last. */
static kelp_paddr_t random_frame(struct random *random, kelp_vaddr_t va, uint64_t length,
				 uint64_t unit, kelp_paddr_t mask)
{
	kelp_paddr_t pa;

	if (random_chance(random, 70))
		pa = (va & (length - 1u)) & mask;
	else
		pa = (random_below(random, 64) * unit + (va & (unit - 1u))) & mask;
	if (random_chance(random, 10))
		pa = (mask & ~(length - 1u)) | (va & (length - 1u) & mask);
	return pa;
}

/* No step may make more entries than a test has time for. */
static void limit_entries(struct step *step)
{
	unsigned limit = KELP_LEAF_SHIFT_OF(step->flags);
	unsigned small = limit ? limit : step->leaf_shift;

	if (step->kind != STEP_SPLIT && step->kind != STEP_POPULATE && limit == 0)
		return;
	if (small < 63 && step->size >> small > 1024)
		step->size = UINT64_C(1024) << small;
}

void step_random(struct random *random, const struct kelp_format *format, struct step *step)
{
	static const enum step_kind kinds[] = {
		STEP_MAP, STEP_MAP, STEP_MAP, STEP_MAP, STEP_MAP, STEP_MAP, STEP_UNMAP,
		STEP_UNMAP, STEP_UNMAP, STEP_PROTECT, STEP_PROTECT, STEP_PROTECT, STEP_POPULATE,
		STEP_SPLIT, STEP_COALESCE, STEP_COALESCE, STEP_COALESCE, STEP_RELEASE, STEP_COMMIT,
		STEP_COMMIT, STEP_COMMIT, STEP_NOW, STEP_TOUCH, STEP_TOUCH, STEP_TOUCH, STEP_LOOK,
	};
	uint64_t page = UINT64_C(1) << format->page_shift;
	unsigned largest = 63u - (unsigned)__builtin_clzll(format->leaf_sizes);
	uint64_t length = UINT64_C(4) << largest;
	unsigned shift = random_leaf_shift(random, format);
	uint64_t unit = UINT64_C(1) << shift, pa_mask = (UINT64_C(1) << format->pa_bits) - 1u;
	kelp_vaddr_t window = random_window(random, format, length);
	uint64_t offset;

	*step = (struct step){.kind = kinds[random_below(random, sizeof(kinds) / sizeof(*kinds))]};
	step->size = unit * (random_chance(random, 70) ? 1u : 1u + random_below(random, 6));
	/* Places come back often: small offsets within few units. */
	offset = random_below(random, 6) * unit;
	if (shift != largest && random_chance(random, 30))
		offset += random_below(random, 3) * (UINT64_C(1) << random_leaf_shift(random,
										     format));
	if (random_chance(random, 25))
		step->size += random_below(random, 4) * page;
	if (random_chance(random, 20))
		offset += random_below(random, 4) * page;
	if (random_chance(random, 20) && step->size > page)
		step->size -= page * random_below(random, 2);
	if (offset + step->size > length && random_chance(random, 95))
		offset = step->size < length ? length - step->size : 0;
	/* From the window's end backwards as often as forwards. */
	step->va = random_chance(random, 50) ? window + offset
					     : window + (length - 1u) - offset - (step->size - 1u);
	step->pa = random_frame(random, step->va, length, unit, pa_mask);
	if (random_chance(random, 1)) {
		uint64_t bad[] = {step->va ^ page / 2, step->va ^ UINT64_C(1) << 62,
				  step->va + format->va_last[0], UINT64_MAX - page + 1u};

		step->va = bad[random_below(random, 4)];
	}
	if (random_chance(random, 1))
		step->size = random_chance(random, 50) ? 0 : step->size | 1u;
	if (random_chance(random, 1))
		step->pa |= random_chance(random, 50) ? UINT64_C(1) << 63 : 1;
	step->leaf_shift = random_leaf_shift(random, format);
	step->way = random_chance(random, 70) ? STEP_DIRECT
		  : random_chance(random, 60) ? STEP_PREPARED : STEP_CANCELLED;
	if (random_chance(random, 10)) {
		step->fail_at = 1u + (unsigned)random_below(random, 4);
		step->fail_for_ever = random_chance(random, 50);
	}
	switch (step->kind) {
	case STEP_MAP:
		step->set = random_attributes(random, format);
		if (random_chance(random, 60))
			step->flags |= KELP_REPLACE;
		if (random_chance(random, 20))
			step->flags |= KELP_LEAF_SHIFT(random_leaf_shift(random, format));
		break;
	case STEP_UNMAP:
		if (random_chance(random, 10))
			step->flags |= KELP_STRICT;
		break;
	case STEP_PROTECT:
		random_protect(random, format, step);
		break;
	case STEP_TOUCH:
		step->set = random_chance(random, 50) ? KELP_ATTR_DIRTY : 0;
		break;
	case STEP_LOOK:
		step->flags = (uint32_t)random_below(random, 8);
		break;
	default:
		break;
	}
	if (step->kind < STEP_RELEASE && step->kind != STEP_POPULATE && random_chance(random, 15))
		step->flags |= KELP_ALLOW_BREAK;
	if (random_chance(random, 1) && step->kind < STEP_RELEASE)
		step->flags |= UINT32_C(1) << random_below(random, 24);
	/* Everything goes now and then: long sequences stay small, and large ranges are met. */
	if (step->kind == STEP_UNMAP && random_chance(random, 20)) {
		unsigned r = (unsigned)random_below(random, format->va_ranges);

		step->va = format->va_first[r];
		step->size = format->va_last[r] - format->va_first[r] + 1u;
		step->way = STEP_DIRECT;
		step->flags &= KELP_ALLOW_BREAK;
	}
	limit_entries(step);
}

/* The page after or before the last one, or the same again, by the same call or the other. */
static bool next_page(struct random *random, const struct kelp_format *format, struct step *step,
		      const struct step *last)
{
	uint64_t page = UINT64_C(1) << format->page_shift;
	uint64_t distance = page * random_below(random, 3) - page;

	if (last->size == 0 || (last->kind != STEP_MAP && last->kind != STEP_UNMAP))
		return false;
	*step = *last;
	if (!step->set)
		step->set = kelp_format_closest(format, KELP_ATTR_READ);
	step->kind = random_chance(random, 70) ? STEP_MAP : STEP_UNMAP;
	step->way = STEP_DIRECT;
	step->size = page;
	step->va += distance;
	step->pa += distance;
	step->flags = 0;
	step->fail_at = 0;
	return true;
}

void step_random_in_rows(struct random *random, const struct kelp_format *format,
			 struct step *step, struct step *last)
{
	if (random_chance(random, 25) && next_page(random, format, step, last)) {
		*last = *step;
		return;
	}
	step_random(random, format, step);
	/* Something else in between, and the row goes on where it was. */
	if (last->size == 0 || random_chance(random, 60))
		*last = *step;
}
