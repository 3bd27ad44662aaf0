/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer: bytes become operations on a space of some format, beside the model and under the
 * judge of flushes. The first byte is the format; every 12 that follow are an operation.
 */
#include <stdio.h>
#include <stdlib.h>

#include "formats.h"
#include "report.h"
#include "sequence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *data;
	size_t left;
};

static unsigned next(struct bytes *bytes)
{
	if (bytes->left == 0)
		return 0;
	bytes->left--;
	return *bytes->data++;
}

static unsigned leaf_shift(const struct kelp_format *f, unsigned byte)
{
	unsigned shifts[64], count = 0;

	for (unsigned shift = 0; shift < 64; shift++)
		if (f->leaf_sizes >> shift & 1)
			shifts[count++] = shift;
	/* Now and then one that does not exist. */
	return byte >= 250 ? byte - 186u : shifts[byte % count];
}

/* Places: three windows per range of addresses, offsets in units of a leaf size and in pages. */
static kelp_vaddr_t place(const struct kelp_format *f, unsigned where, unsigned units,
			  unsigned pages, uint64_t unit, uint64_t length)
{
	unsigned r = where % f->va_ranges;
	kelp_vaddr_t first = f->va_first[r], last = f->va_last[r];
	uint64_t offset = (units % 8u) * unit + ((uint64_t)(pages % 16u) << f->page_shift);

	switch (where / 2u % 3u) {
	case 0: return first + offset;
	case 1: return last - length + 1u + offset;
	default: return first + ((last - first) / 2u + 1u) - length / 2u + offset;
	}
}

static void decode(struct bytes *bytes, const struct kelp_format *f, struct step *step)
{
	unsigned largest = 63u - (unsigned)__builtin_clzll(f->leaf_sizes);
	uint64_t length = UINT64_C(4) << largest, unit;
	unsigned op = next(bytes), where = next(bytes), units = next(bytes), pages = next(bytes);
	unsigned count = next(bytes), frame = next(bytes), how = next(bytes);
	kelp_attr_t bits = next(bytes);

	bits |= (kelp_attr_t)next(bytes) << 8;
	bits = (bits & 0x1ff) | (bits & 0x600) << 3 | (bits & 0x3800) << 5;
	step->leaf_shift = leaf_shift(f, next(bytes));
	unit = UINT64_C(1) << (step->leaf_shift > largest ? f->page_shift : step->leaf_shift);
	step->kind = (enum step_kind)(op % STEP_KINDS);
	step->way = (enum step_way)(how % 3u);
	step->va = place(f, where, units, pages, unit, length);
	step->size = (count % 6u) * unit + ((uint64_t)(count / 8u) << f->page_shift);
	step->pa = ((step->va & (length - 1u)) + (uint64_t)(frame % 4u) * length +
		    ((uint64_t)(frame >> 4) << f->page_shift)) &
		   ((UINT64_C(1) << f->pa_bits) - 1u);
	step->flags = how >> 2 & 15u;
	if (how & 0x40)
		step->flags |= KELP_LEAF_SHIFT(leaf_shift(f, next(bytes)));
	if (how & 0x80) {
		step->fail_at = 1u + next(bytes) % 8u;
		step->fail_for_ever = op & 0x80;
	}
	switch (step->kind) {
	case STEP_MAP:
		step->set = bits & 0x100 ? bits & ~UINT32_C(0x100)
					 : kelp_format_closest(f, bits & KELP_ATTR_ALL);
		if (op & 0x40)
			step->set |= KELP_ATTR_INVALID;
		break;
	case STEP_PROTECT:
		if (op & 0x40)
			step->set = bits;
		else
			step->clear = bits;
		if (bits & KELP_ATTR_TYPE_MASK)
			step->clear |= KELP_ATTR_TYPE_MASK;
		break;
	case STEP_TOUCH:
		step->set = bits & KELP_ATTR_DIRTY;
		break;
	default:
		break;
	}
	/* No operation may make more entries than an input has time for. */
	for (unsigned limit = 0; limit < 2; limit++) {
		unsigned small = limit ? KELP_LEAF_SHIFT_OF(step->flags)
				 : step->kind == STEP_SPLIT || step->kind == STEP_POPULATE
					 ? step->leaf_shift : 0;

		if (small && small < 63 && step->size >> small > 600)
			step->size = UINT64_C(600) << small;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = {data, size};
	const struct test_format *formats;
	size_t count = test_formats(&formats);
	const struct test_format *entry;
	struct step_list list = {0};
	size_t at = 0;

	if (size < 2 || size > 1024)
		return 0;
	entry = &formats[next(&bytes) % count];
	while (bytes.left > 0) {
		struct step step = {0};

		decode(&bytes, &entry->format, &step);
		step_append(&list, &step);
	}
	if (!sequence_run(&entry->format, 0, &list, &at)) {
		fprintf(stderr, "%s, step %zu: %s\n", entry->name, at, test_failure());
		sequence_shrink(&entry->format, 0, &list);
		fprintf(stderr, "shrunk to %zu steps: %s\n", list.count, test_failure());
		for (size_t i = 0; i < list.count; i++) {
			fprintf(stderr, "\t");
			step_print(stderr, &entry->format, &list.steps[i]);
			fprintf(stderr, "\n");
		}
		abort();
	}
	step_list_free(&list);
	return 0;
}
