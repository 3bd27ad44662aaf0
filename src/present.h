/* SPDX-License-Identifier: MIT */
/*
 * present: a bitmap of 2^bits things with summaries on top of it: of each level a bit says that
 * the word below it is not zero. The next thing that is there is found in a time that grows with
 * the number of levels, whatever lies between.
 *
 * One writer at a time; readers at any time. A bit is set from below and cleared from below, so a
 * reader may meet a summary whose word is empty by now, and goes on.
 */
#ifndef KELP_SRC_PRESENT_H
#define KELP_SRC_PRESENT_H

#include "shared.h"

#define KELP_PRESENT_LEVELS 5u

/* Words of level `level`; the last level has one. */
static inline uint32_t kelp_present_words(unsigned bits, unsigned level)
{
	unsigned below = 5u * (level + 1u);

	return bits > below ? UINT32_C(1) << (bits - below) : 1u;
}

static inline size_t kelp_present_size(unsigned bits)
{
	size_t words = 0;

	for (unsigned level = 0; level == 0 || 5u * level < bits; level++)
		words += kelp_present_words(bits, level);
	return words * sizeof(uint32_t);
}

static inline void kelp_present_set(uint32_t *present, unsigned bits, uint32_t n)
{
	for (unsigned level = 0; level == 0 || 5u * level < bits; level++) {
		uint32_t *word = present + n / 32u;

		kelp_shared_store(word, kelp_shared_load(word) | UINT32_C(1) << n % 32u);
		present += kelp_present_words(bits, level);
		n /= 32u;
	}
}

static inline void kelp_present_clear(uint32_t *present, unsigned bits, uint32_t n)
{
	for (unsigned level = 0; level == 0 || 5u * level < bits; level++) {
		uint32_t *word = present + n / 32u;
		uint32_t left = kelp_shared_load(word) & ~(UINT32_C(1) << n % 32u);

		kelp_shared_store(word, left);
		if (left != 0)
			return;
		present += kelp_present_words(bits, level);
		n /= 32u;
	}
}

/* The first n at or after `from` that is there; false: none. from may be past the end. */
static inline bool kelp_present_next(const uint32_t *present, unsigned bits, uint64_t from,
				     uint32_t *n)
{
	const uint32_t *level[KELP_PRESENT_LEVELS] = {present};
	unsigned depth = 0, top = 0;

	while (5u * (top + 1u) < bits) {
		level[top + 1u] = level[top] + kelp_present_words(bits, top);
		top++;
	}
	for (;;) {
		uint32_t word = 0;

		if (from >> (bits > 5u * depth ? bits - 5u * depth : 0) == 0)
			word = kelp_shared_load(&level[depth][from / 32u]) &
			       ~UINT32_C(0) << from % 32u;
		if (word == 0) {
			if (depth == top)
				return false;
			from = from / 32u + 1u;
			depth++;
			continue;
		}
		from = (from & ~UINT64_C(31)) | (uint32_t)__builtin_ctz(word);
		if (depth == 0) {
			*n = (uint32_t)from;
			return true;
		}
		/* The word below, from its first bit; if it is empty by now, on from here. */
		from *= 32u;
		depth--;
	}
}

#endif
