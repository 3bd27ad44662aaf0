/* SPDX-License-Identifier: MIT */
/*
 * fill: memory with contents that can be computed again, so that every byte of it can be verified
 * after it went to disk and came back.
 *
 * The contents of page n are a function of a seed and n alone, the same on every system: the
 * comparison with another kernel fills that one's memory with them too. Of twelve pages four
 * are zero, one is a word repeated, six look like text, one is random.
 */
#ifndef HOLDFAST_FILL_H
#define HOLDFAST_FILL_H

#include <stdbool.h>
#include <stdint.h>

#define FILL_PAGE  4096u
#define FILL_WORDS (FILL_PAGE / 8u)

enum fill_kind {
	FILL_ZERO,
	FILL_UNIFORM,
	FILL_TEXT,
	FILL_RANDOM,
	FILL_KINDS,
};

/* SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t fill_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint64_t fill_state(uint64_t seed, uint64_t page)
{
	uint64_t state = seed ^ page * UINT64_C(0xd1342543de82ef95);

	return fill_random(&state);
}

static inline enum fill_kind fill_kind(uint64_t seed, uint64_t page)
{
	unsigned part = (unsigned)(fill_state(seed, page) >> 40) % 12u;

	return part < 4 ? FILL_ZERO : part < 5 ? FILL_UNIFORM : part < 11 ? FILL_TEXT : FILL_RANDOM;
}

/* Eight letters at a time out of 64 pieces of words: what compresses to about a half. */
static inline void fill_text(uint64_t state, uint64_t *word)
{
	static const char pieces[64][9] = {
		"the fram", "e of a m", "apping, ", "whose le", "aves are", " invalid", "; and it",
		"s table ", "is freed", ".\n\nWhen ", "another ", "kernel r", "uns on t", "he machi",
		"ne that ", "was left", " behind,", " nothing", " of what", " it knew", " is ther",
		"e any mo", "re but m", "emory.  ", "        ", "\tif (sta", "tus != O", "K)\n\t\tret",
		"urn stat", "us;\n\tfor", " (unsign", "ed i = 0", "; i < co", "unt; i++", ")\n\t\tmemc",
		"py(to, f", "rom, siz", "e);\n}\n\ns", "tatic vo", "id flush", "(struct ", "space *s",
		"pace)\n{\n", "\tuint64_", "t addres", "s = 0x00", "00000000", "ffff8000", "\n * Cont",
		"ext: any", ". Lockin", "g: none.", " Errors:", " no memo", "ry.\n */\n", "#include",
		" <kelp/s", "pace.h>\n", "12345678", "90abcdef", "one page", " of four", " KiB and",
		" more.\n\n",
	};
	uint64_t bits = 0;

	for (unsigned i = 0; i < FILL_WORDS; i++, bits >>= 6) {
		if (i % 10u == 0)
			bits = fill_random(&state);
		__builtin_memcpy(&word[i], pieces[bits & 63u], 8);
	}
}

static inline void fill_page(uint64_t seed, uint64_t page, uint64_t *word)
{
	uint64_t state = fill_state(seed, page), value = 0;

	switch (fill_kind(seed, page)) {
	case FILL_TEXT:
		fill_text(state, word);
		return;
	case FILL_RANDOM:
		for (unsigned i = 0; i < FILL_WORDS; i++)
			word[i] = fill_random(&state);
		return;
	case FILL_UNIFORM:
		value = fill_random(&state) | 1u;
		break;
	case FILL_ZERO:
	case FILL_KINDS:
		break;
	}
	for (unsigned i = 0; i < FILL_WORDS; i++)
		word[i] = value;
}

/* ---- in this kernel ---------------------------------------------------------------------- */

struct fill_counts {
	uint64_t frames;
	uint64_t kind[FILL_KINDS];
	uint64_t absent;  /* of all, taken out of the direct map */
	uint64_t secret;  /* of these, secret */
	uint64_t hot_added;
	uint64_t differ;  /* after a verification */
};

/*
 * Takes frames until `percent` of memory is in use, and fills them. Some are taken out of the
 * direct map afterwards, some of these are secret. False: not that much could be had.
 */
bool fill_memory(unsigned percent, uint64_t seed, struct fill_counts *counts);
/* Looks at every byte of all of them. */
void fill_verify(struct fill_counts *counts);
/* Changes one bit, for the test of the verification. */
void fill_spoil(void);
/* Gives everything back. */
void fill_end(void);

#endif
