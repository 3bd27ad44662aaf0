/* SPDX-License-Identifier: MIT */
/*
 * shared: words in memory that are no table entries and that CPUs read while another writes: all
 * of them through hw.h, so that the explorer sees each.
 */
#ifndef KELP_SRC_SHARED_H
#define KELP_SRC_SHARED_H

#include <kelp/types.h>

#include "hw.h"

/* Acquire. */
static inline uint32_t kelp_shared_load(const uint32_t *word)
{
	return kelp_hw_load32(word);
}

/* Release. */
static inline void kelp_shared_store(uint32_t *word, uint32_t value)
{
	kelp_hw_store32(word, value);
}

static inline bool kelp_shared_swap(uint32_t *word, uint32_t *expected, uint32_t desired)
{
	return kelp_hw_swap32(word, expected, desired);
}

/* Pointers, and numbers as wide; acquire and release. */
static inline uintptr_t kelp_shared_load_word(const uintptr_t *word)
{
#if UINTPTR_MAX > UINT32_MAX
	return (uintptr_t)kelp_hw_load64((const uint64_t *)(const void *)word);
#else
	return (uintptr_t)kelp_hw_load32((const uint32_t *)(const void *)word);
#endif
}

static inline void kelp_shared_store_word(uintptr_t *word, uintptr_t value)
{
#if UINTPTR_MAX > UINT32_MAX
	kelp_hw_store64((uint64_t *)(void *)word, value);
#else
	kelp_hw_store32((uint32_t *)(void *)word, value);
#endif
}

#endif
