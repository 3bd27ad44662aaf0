/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "report.h"

void model_init(struct model *model, const struct kelp_format *format)
{
	*model = (struct model){.format = format};
}

void model_free(struct model *model)
{
	free(model->extents);
	*model = (struct model){0};
}

void model_copy(struct model *to, const struct model *from)
{
	struct model_extent *extents = calloc(from->count + 1, sizeof(*extents));

	if (!extents)
		abort();
	if (from->count)
		memcpy(extents, from->extents, from->count * sizeof(*extents));
	free(to->extents);
	*to = *from;
	to->extents = extents;
	to->capacity = from->count + 1;
}

/* The first extent that ends at or after `va`. */
static size_t lower_bound(const struct model *model, kelp_vaddr_t va)
{
	size_t low = 0, high = model->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (model->extents[middle].last < va)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct model_extent *insert_at(struct model *model, size_t at)
{
	if (model->count == model->capacity) {
		model->capacity = model->capacity ? 2 * model->capacity : 64;
		model->extents = realloc(model->extents,
					 model->capacity * sizeof(*model->extents));
		if (!model->extents)
			abort();
	}
	memmove(&model->extents[at + 1], &model->extents[at],
		(model->count - at) * sizeof(*model->extents));
	model->count++;
	return &model->extents[at];
}

/* Afterwards no extent reaches over the border just before `va`. */
static void cut(struct model *model, kelp_vaddr_t va)
{
	size_t at = lower_bound(model, va);
	struct model_extent *lower, *upper;

	if (at == model->count || model->extents[at].first >= va)
		return;
	lower = insert_at(model, at);
	upper = lower + 1;
	*lower = *upper;
	lower->last = va - 1u;
	upper->pa += va - upper->first;
	upper->first = va;
}

static void cut_range(struct model *model, kelp_vaddr_t first, kelp_vaddr_t last)
{
	cut(model, first);
	if (last != UINT64_MAX)
		cut(model, last + 1u);
}

static void remove_range(struct model *model, kelp_vaddr_t first, kelp_vaddr_t last)
{
	size_t from, to;

	cut_range(model, first, last);
	from = to = lower_bound(model, first);
	while (to < model->count && model->extents[to].last <= last)
		to++;
	if (to < model->count)
		memmove(&model->extents[from], &model->extents[to],
			(model->count - to) * sizeof(*model->extents));
	model->count -= to - from;
}

/* Joins what is one: keeps the array short. */
static void tidy(struct model *model)
{
	size_t kept = 0;

	for (size_t i = 0; i < model->count; i++) {
		struct model_extent *extent = &model->extents[i];
		struct model_extent *previous = kept ? &model->extents[kept - 1] : NULL;

		if (previous && previous->last + 1u == extent->first &&
		    previous->attributes == extent->attributes && previous->may == extent->may &&
		    previous->pa + (extent->first - previous->first) == extent->pa)
			previous->last = extent->last;
		else
			model->extents[kept++] = *extent;
	}
	model->count = kept;
}

const struct model_extent *model_find(const struct model *model, kelp_vaddr_t va)
{
	size_t at = lower_bound(model, va);

	return at < model->count && model->extents[at].first <= va ? &model->extents[at] : NULL;
}

bool model_is_hole(const struct model *model, kelp_vaddr_t first, kelp_vaddr_t last)
{
	size_t at = lower_bound(model, first);

	return at == model->count || model->extents[at].first > last;
}

bool model_is_full(const struct model *model, kelp_vaddr_t first, kelp_vaddr_t last)
{
	for (size_t at = lower_bound(model, first); at < model->count; at++) {
		if (model->extents[at].first > first)
			return false;
		if (model->extents[at].last >= last)
			return true;
		first = model->extents[at].last + 1u;
	}
	return false;
}

uint64_t model_mapped(const struct model *model)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < model->count; i++)
		bytes += model->extents[i].last - model->extents[i].first + 1u;
	return bytes;
}

/* ---- what may be answered --------------------------------------------------------------- */

static status_set_t settle(status_set_t errors)
{
	return errors ? errors : STATUS(KELP_OK);
}

static status_set_t range_errors(const struct model *model, kelp_vaddr_t va, uint64_t size)
{
	const struct kelp_format *format = model->format;
	uint64_t page = UINT64_C(1) << format->page_shift;
	status_set_t errors = 0;
	kelp_vaddr_t last = va + (size - 1u);
	bool found = false;

	if (size == 0)
		return STATUS(KELP_ERR_ARGUMENT);
	if ((va | size) & (page - 1u))
		errors |= STATUS(KELP_ERR_ALIGNMENT);
	for (unsigned r = 0; r < format->va_ranges; r++)
		if (va >= format->va_first[r] && last >= va && last <= format->va_last[r])
			found = true;
	if (!found)
		errors |= STATUS(KELP_ERR_ADDRESS);
	return errors;
}

static bool range_is_canonical(const struct model *model, kelp_vaddr_t va, uint64_t size)
{
	return !range_errors(model, va, size);
}

static status_set_t attribute_errors(const struct kelp_format *format, kelp_attr_t attributes,
				     bool large_too)
{
	uint64_t entry;
	status_set_t errors = 0;

	if (attributes & ~KELP_ATTR_ALL)
		return STATUS(KELP_ERR_ARGUMENT);
	for (unsigned level = 0; level < format->levels; level++) {
		enum kelp_status status;

		if (!(format->leaf_sizes >> format->shift[level] & 1))
			continue;
		if (level > 0 && !large_too)
			break;
		status = format->ops->leaf(format, level, 0, attributes, false, &entry);
		if (status != KELP_OK)
			errors |= STATUS(status);
	}
	return errors;
}

status_set_t model_expect_range(const struct model *model, kelp_vaddr_t va, uint64_t size)
{
	return settle(range_errors(model, va, size));
}

status_set_t model_expect_map(const struct model *model, kelp_vaddr_t va, kelp_paddr_t pa,
			      uint64_t size, kelp_attr_t attributes, uint32_t flags)
{
	const struct kelp_format *format = model->format;
	status_set_t errors = range_errors(model, va, size);
	uint64_t page = UINT64_C(1) << format->page_shift;
	uint32_t known = KELP_REPLACE | KELP_ALLOW_BREAK | KELP_LEAF_SHIFT(0xff);
	unsigned leaf_shift = KELP_LEAF_SHIFT_OF(flags);

	if (flags & ~known)
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if (leaf_shift && (leaf_shift > 63 || !(format->leaf_sizes >> leaf_shift & 1)))
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if (pa & (page - 1u))
		errors |= STATUS(KELP_ERR_ALIGNMENT);
	if (size && (pa + (size - 1u) < pa || (pa + (size - 1u)) >> format->pa_bits))
		errors |= STATUS(KELP_ERR_ADDRESS);
	errors |= attribute_errors(format, attributes, false);
	if (size && range_is_canonical(model, va, size) && !(flags & KELP_REPLACE) &&
	    !model_is_hole(model, va, va + (size - 1u)))
		errors |= STATUS(KELP_ERR_EXISTS);
	return settle(errors);
}

status_set_t model_expect_unmap(const struct model *model, kelp_vaddr_t va, uint64_t size,
				uint32_t flags)
{
	status_set_t errors = range_errors(model, va, size);

	if (flags & ~(KELP_STRICT | KELP_ALLOW_BREAK))
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if ((flags & KELP_STRICT) && range_is_canonical(model, va, size) &&
	    !model_is_full(model, va, va + (size - 1u)))
		errors |= STATUS(KELP_ERR_NOT_MAPPED);
	return settle(errors);
}

static kelp_attr_t protected(kelp_attr_t attributes, kelp_attr_t set, kelp_attr_t clear)
{
	return (attributes & ~clear) | set;
}

status_set_t model_expect_protect(const struct model *model, kelp_vaddr_t va, uint64_t size,
				  kelp_attr_t set, kelp_attr_t clear, uint32_t flags)
{
	status_set_t errors = range_errors(model, va, size);
	status_set_t doubtful = 0;
	kelp_vaddr_t last = va + (size - 1u);

	if (flags & ~(KELP_SKIP_HOLES | KELP_ALLOW_BREAK))
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if ((set | clear) & ~KELP_ATTR_ALL)
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if (set & clear & ~KELP_ATTR_TYPE_MASK)
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if ((set & KELP_ATTR_TYPE_MASK) &&
	    (clear & KELP_ATTR_TYPE_MASK) != KELP_ATTR_TYPE_MASK)
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if ((clear & KELP_ATTR_TYPE_MASK) &&
	    (clear & KELP_ATTR_TYPE_MASK) != KELP_ATTR_TYPE_MASK)
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if (errors)
		return errors;
	if (!(flags & KELP_SKIP_HOLES) && !model_is_full(model, va, last))
		errors |= STATUS(KELP_ERR_NOT_MAPPED);
	for (size_t at = lower_bound(model, va);
	     at < model->count && model->extents[at].first <= last; at++) {
		const struct model_extent *extent = &model->extents[at];
		kelp_attr_t least = protected(extent->attributes, set, clear);
		kelp_attr_t most = protected(extent->attributes | extent->may, set, clear);
		status_set_t a = attribute_errors(model->format, least, false);
		status_set_t b = attribute_errors(model->format, most, false);

		if (a == b)
			errors |= a;
		else
			doubtful |= a | b;
	}
	return errors ? errors | doubtful : STATUS(KELP_OK) | doubtful;
}

status_set_t model_expect_shape(const struct model *model, kelp_vaddr_t va, uint64_t size,
				unsigned leaf_shift, uint32_t flags, uint32_t allowed)
{
	status_set_t errors = range_errors(model, va, size);

	if (flags & ~allowed)
		errors |= STATUS(KELP_ERR_ARGUMENT);
	if (leaf_shift > 63 || !(model->format->leaf_sizes >> leaf_shift & 1))
		errors |= STATUS(KELP_ERR_ARGUMENT);
	return settle(errors);
}

/* ---- what is done ------------------------------------------------------------------------ */

void model_map(struct model *model, kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size,
	       kelp_attr_t attributes)
{
	kelp_vaddr_t last = va + (size - 1u);
	struct model_extent *extent;

	remove_range(model, va, last);
	extent = insert_at(model, lower_bound(model, va));
	*extent = (struct model_extent){va, last, pa, attributes, 0};
	tidy(model);
}

void model_unmap(struct model *model, kelp_vaddr_t va, uint64_t size)
{
	remove_range(model, va, va + (size - 1u));
}

void model_protect(struct model *model, kelp_vaddr_t va, uint64_t size, kelp_attr_t set,
		   kelp_attr_t clear)
{
	kelp_vaddr_t last = va + (size - 1u);

	cut_range(model, va, last);
	for (size_t at = lower_bound(model, va);
	     at < model->count && model->extents[at].last <= last; at++) {
		struct model_extent *extent = &model->extents[at];

		extent->attributes = protected(extent->attributes, set, clear);
		extent->may &= ~clear;
	}
	tidy(model);
}

void model_touch(struct model *model, kelp_vaddr_t va, uint64_t size, kelp_vaddr_t around,
		 uint64_t around_size, kelp_attr_t bits)
{
	kelp_vaddr_t last = va + (size - 1u), around_last = around + (around_size - 1u);

	cut_range(model, va, last);
	cut_range(model, around, around_last);
	for (size_t at = lower_bound(model, around);
	     at < model->count && model->extents[at].last <= around_last; at++) {
		struct model_extent *extent = &model->extents[at];

		extent->may |= bits;
		if (extent->first >= va && extent->last <= last)
			extent->attributes |= bits;
	}
	tidy(model);
}

void model_blur(struct model *model, kelp_vaddr_t va, uint64_t size)
{
	kelp_vaddr_t last = va + (size - 1u);
	kelp_attr_t all = 0;

	for (size_t at = lower_bound(model, va);
	     at < model->count && model->extents[at].first <= last; at++)
		all |= (model->extents[at].attributes | model->extents[at].may) &
		       MODEL_HARDWARE_BITS;
	cut_range(model, va, last);
	for (size_t at = lower_bound(model, va);
	     at < model->count && model->extents[at].last <= last; at++)
		model->extents[at].may |= all;
	tidy(model);
}

static void doubt(struct model_extent *extent)
{
	extent->may |= KELP_ATTR_ACCESSED;
	if (extent->attributes & KELP_ATTR_WRITE)
		extent->may |= KELP_ATTR_DIRTY;
}

void model_doubt(struct model *model, kelp_vaddr_t va, uint64_t size, bool all)
{
	kelp_vaddr_t last = va + (size - 1u);

	/* Taken apart everywhere: as if every page had been used. */
	if (all) {
		cut_range(model, va, last);
		for (size_t at = lower_bound(model, va);
		     at < model->count && model->extents[at].last <= last; at++)
			doubt(&model->extents[at]);
	}

	for (unsigned level = 0; level < model->format->levels; level++) {
		uint64_t mask;
		kelp_vaddr_t ends[2] = {va, last};

		if (!model->format->group_order[level])
			continue;
		mask = (UINT64_C(1) << (model->format->shift[level] +
					model->format->group_order[level])) - 1u;
		for (unsigned end = 0; end < 2; end++) {
			kelp_vaddr_t group = ends[end] & ~mask;

			cut_range(model, group, group | mask);
			for (size_t at = lower_bound(model, group);
			     at < model->count && model->extents[at].last <= (group | mask); at++)
				doubt(&model->extents[at]);
		}
	}
	tidy(model);
}

bool model_agrees(const struct model *model, kelp_vaddr_t va, uint64_t size, kelp_paddr_t pa,
		  kelp_attr_t attributes, const char *who)
{
	kelp_vaddr_t last = va + (size - 1u);
	kelp_vaddr_t at = va;

	for (;;) {
		const struct model_extent *extent = model_find(model, at);
		kelp_attr_t must, may;

		if (!extent) {
			test_fail("%s has a leaf at 0x%llx where nothing is mapped", who,
				  (unsigned long long)at);
			return false;
		}
		if (extent->pa + (at - extent->first) != pa + (at - va)) {
			test_fail("%s maps 0x%llx to 0x%llx instead of 0x%llx", who,
				  (unsigned long long)at, (unsigned long long)(pa + (at - va)),
				  (unsigned long long)(extent->pa + (at - extent->first)));
			return false;
		}
		must = extent->attributes;
		may = must | extent->may;
		if ((attributes & ~MODEL_HARDWARE_BITS) != (must & ~MODEL_HARDWARE_BITS) ||
		    (must & ~attributes) || (attributes & ~may)) {
			test_fail("%s has attributes 0x%x at 0x%llx; they must be 0x%x and may "
				  "be 0x%x", who, (unsigned)attributes, (unsigned long long)at,
				  (unsigned)must, (unsigned)may);
			return false;
		}
		if (extent->last >= last)
			return true;
		at = extent->last + 1u;
	}
}
