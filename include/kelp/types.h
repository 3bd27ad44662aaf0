/* SPDX-License-Identifier: MIT */
/*
 * types: addresses, frame numbers and neutral attributes, the same on every host and target.
 */
#ifndef KELP_TYPES_H
#define KELP_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 64-bit even where a pointer is not: PAE reaches more memory than a pointer can name. */
typedef uint64_t kelp_paddr_t;
typedef uint64_t kelp_vaddr_t;

/* A frame number. A struct, so that an address is never passed where a frame is meant. */
typedef struct {
	uint64_t number;
} kelp_pfn_t;

/*
 * Neutral attributes of a leaf. What a format cannot express exactly is refused with
 * KELP_ERR_UNSUPPORTED, never approximated in silence; kelp_format_closest() approximates
 * when asked.
 *
 * READ, WRITE and EXEC are the rights of the privilege that the leaf is for: of user mode when
 * USER is set, of the kernel otherwise. What the kernel may do to a USER leaf is the machine's
 * business (SMAP, SMEP, PAN, SUM).
 */
typedef uint32_t kelp_attr_t;

#define KELP_ATTR_READ     (UINT32_C(1) << 0)
#define KELP_ATTR_WRITE    (UINT32_C(1) << 1)
#define KELP_ATTR_EXEC     (UINT32_C(1) << 2)
#define KELP_ATTR_USER     (UINT32_C(1) << 3)
/* The translation is the same in every address space: address-space switches keep it cached. */
#define KELP_ATTR_GLOBAL   (UINT32_C(1) << 4)
#define KELP_ATTR_ACCESSED (UINT32_C(1) << 5)
#define KELP_ATTR_DIRTY    (UINT32_C(1) << 6)
/* Visible to the host of a confidential guest (SEV: C-bit clear; TDX, CCA: shared bit set). */
#define KELP_ATTR_SHARED   (UINT32_C(1) << 7)
/* The leaf keeps address and attributes, and hardware does not translate it. */
#define KELP_ATTR_INVALID  (UINT32_C(1) << 8)
/* Bits the library stores for the embedder; kelp_format.attr_mask tells which exist. */
#define KELP_ATTR_SOFT0    (UINT32_C(1) << 12)
#define KELP_ATTR_SOFT1    (UINT32_C(1) << 13)
#define KELP_ATTR_SOFT2    (UINT32_C(1) << 14)
#define KELP_ATTR_SOFT3    (UINT32_C(1) << 15)
#define KELP_ATTR_SOFT     (UINT32_C(0xf) << 12)

/* The memory type is a number in a field of the attributes, not a bit. */
#define KELP_ATTR_TYPE_SHIFT 16
#define KELP_ATTR_TYPE(type) ((kelp_attr_t)(type) << KELP_ATTR_TYPE_SHIFT)
#define KELP_ATTR_TYPE_MASK  KELP_ATTR_TYPE(7)

enum kelp_memory_type {
	KELP_TYPE_NORMAL = 0,        /* write-back cached memory */
	KELP_TYPE_WRITE_THROUGH = 1, /* cached, every store goes through */
	KELP_TYPE_WRITE_COMBINE = 2, /* not cached, stores may gather; arm64 Normal-NC, Svpbmt NC */
	KELP_TYPE_DEVICE = 3,        /* registers: x86 UC, arm64 Device-nGnRE, Svpbmt IO */
	KELP_TYPE_DEVICE_STRICT = 4, /* arm64 Device-nGnRnE: no early write acknowledgement */
	KELP_TYPE_WRITE_PROTECT = 5, /* x86 WP */
	KELP_TYPE_UNCACHED = 6,      /* x86 UC-: uncached unless an MTRR says write-combining */
	KELP_TYPE_TAGGED = 7,        /* arm64 Normal Tagged: write-back with allocation tags */
};
#define KELP_MEMORY_TYPES 8

/* Every attribute that exists; anything else in a kelp_attr_t is KELP_ERR_ARGUMENT. */
#define KELP_ATTR_ALL                                                                              \
	(UINT32_C(0x1ff) | KELP_ATTR_SOFT | KELP_ATTR_TYPE_MASK)

#endif
