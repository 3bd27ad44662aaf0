/* SPDX-License-Identifier: MIT */
/*
 * model: what a space means, said as simply as possible: a sorted array of ranges, each with a
 * frame and attributes. No tables, no leaves, no levels. The library is held against it.
 *
 * Accessed and dirty bits are the one thing it cannot know exactly, because a large leaf has one
 * of each for all of its pages: `attributes` has those that must be there, `may` those that may.
 */
#ifndef TESTS_COMMON_MODEL_H
#define TESTS_COMMON_MODEL_H

#include <kelp/kelp.h>

#define MODEL_HARDWARE_BITS (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)

struct model_extent {
	kelp_vaddr_t first, last;
	kelp_paddr_t pa;
	kelp_attr_t attributes;
	kelp_attr_t may;
};

struct model {
	const struct kelp_format *format;
	struct model_extent *extents;
	size_t count, capacity;
};

/* A set of statuses: bit n is enum kelp_status n. */
typedef uint32_t status_set_t;
#define STATUS(status) (UINT32_C(1) << (status))

void model_init(struct model *model, const struct kelp_format *format);
void model_free(struct model *model);
void model_copy(struct model *to, const struct model *from);

/* The extent that covers `va`; NULL: a hole. */
const struct model_extent *model_find(const struct model *model, kelp_vaddr_t va);
/* True when nothing is mapped in [first, last]. */
bool model_is_hole(const struct model *model, kelp_vaddr_t first, kelp_vaddr_t last);
/* True when everything is mapped in [first, last]. */
bool model_is_full(const struct model *model, kelp_vaddr_t first, kelp_vaddr_t last);
/* Bytes mapped. */
uint64_t model_mapped(const struct model *model);

/*
 * What each operation may answer; KELP_OK is in the set only when nothing is wrong with it.
 * BBM, RESTRICTED and NO_MEMORY depend on tables and are not the model's business.
 */
status_set_t model_expect_map(const struct model *model, kelp_vaddr_t va, kelp_paddr_t pa,
			      uint64_t size, kelp_attr_t attributes, uint32_t flags);
status_set_t model_expect_unmap(const struct model *model, kelp_vaddr_t va, uint64_t size,
				uint32_t flags);
status_set_t model_expect_protect(const struct model *model, kelp_vaddr_t va, uint64_t size,
				  kelp_attr_t set, kelp_attr_t clear, uint32_t flags);
/* populate, split, coalesce: `allowed` are the flags that the operation takes. */
status_set_t model_expect_shape(const struct model *model, kelp_vaddr_t va, uint64_t size,
				unsigned leaf_shift, uint32_t flags, uint32_t allowed);
status_set_t model_expect_range(const struct model *model, kelp_vaddr_t va, uint64_t size);

/* What each does. The range is right. */
void model_map(struct model *model, kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size,
	       kelp_attr_t attributes);
void model_unmap(struct model *model, kelp_vaddr_t va, uint64_t size);
void model_protect(struct model *model, kelp_vaddr_t va, uint64_t size, kelp_attr_t set,
		   kelp_attr_t clear);
/* Hardware used the leaf at [va, va + size): its pages have `bits` for certain, and [around,
 * around + around_size) may show them too (a group). */
void model_touch(struct model *model, kelp_vaddr_t va, uint64_t size, kelp_vaddr_t around,
		 uint64_t around_size, kelp_attr_t bits);
/* Leaves in the range may have been joined: every page may show what any page there has. */
void model_blur(struct model *model, kelp_vaddr_t va, uint64_t size);

/*
 * Groups may be cut around both ends of the range; `all`: and anywhere in it. Where hardware sets
 * the bits by itself it does so in any entry of a group at any time, so all of the group's pages
 * may count as used.
 */
void model_doubt(struct model *model, kelp_vaddr_t va, uint64_t size, bool all);

/*
 * Is [va, va + size) mapped to [pa, ...) with these attributes? False after test_fail().
 */
bool model_agrees(const struct model *model, kelp_vaddr_t va, uint64_t size, kelp_paddr_t pa,
		  kelp_attr_t attributes, const char *who);

#endif
