/* SPDX-License-Identifier: MIT */
/*
 * memory: the functions that compilers call by themselves. Built with -fno-builtin, or they
 * would call themselves. Words at a time where both ends are aligned alike: as good as string
 * instructions on hardware and far better where a CPU is emulated.
 */
#include <base.h>

typedef uintptr_t word_t __attribute__((may_alias));
#define WORD sizeof(word_t)

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (((uintptr_t)d - (uintptr_t)s) % WORD == 0) {
		for (; size && (uintptr_t)d % WORD; size--)
			*d++ = *s++;
		for (; size >= 4 * WORD; size -= 4 * WORD, d += 4 * WORD, s += 4 * WORD) {
			word_t *dw = (word_t *)(void *)d;
			const word_t *sw = (const word_t *)(const void *)s;

			dw[0] = sw[0];
			dw[1] = sw[1];
			dw[2] = sw[2];
			dw[3] = sw[3];
		}
	}
	while (size--)
		*d++ = *s++;
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (d <= s || d >= s + size)
		return memcpy(to, from, size);
	while (size--)
		d[size] = s[size];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	word_t pattern = (uint8_t)byte * (~(word_t)0 / 255u);
	uint8_t *d = to;

	for (; size && (uintptr_t)d % WORD; size--)
		*d++ = (uint8_t)byte;
	for (; size >= 4 * WORD; size -= 4 * WORD, d += 4 * WORD) {
		word_t *dw = (word_t *)(void *)d;

		dw[0] = pattern;
		dw[1] = pattern;
		dw[2] = pattern;
		dw[3] = pattern;
	}
	while (size--)
		*d++ = (uint8_t)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < size; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}
