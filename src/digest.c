/* SPDX-License-Identifier: MIT */
/* digest: XXH64. See digest.h. */
#include "digest.h"

#define PRIME1 UINT64_C(0x9e3779b185ebca87)
#define PRIME2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define PRIME3 UINT64_C(0x165667b19e3779f9)
#define PRIME4 UINT64_C(0x85ebca77c2b2ae63)
#define PRIME5 UINT64_C(0x27d4eb2f165667c5)

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64u - by);
}

static uint64_t mix(uint64_t lane, uint64_t input)
{
	return rotate(lane + input * PRIME2, 31) * PRIME1;
}

/* The digest is of little-endian words, whatever the machine. */
static uint64_t word_at(const unsigned char *bytes, unsigned size)
{
	uint64_t word = 0;

	for (unsigned i = 0; i < size; i++)
		word |= (uint64_t)bytes[i] << (8u * i);
	return word;
}

void kelp_digest_begin(struct kelp_digest *digest)
{
	*digest = (struct kelp_digest){
		.lane = {PRIME1 + PRIME2, PRIME2, 0, UINT64_C(0) - PRIME1},
	};
}

void kelp_digest_add(struct kelp_digest *digest, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	uint64_t a = digest->lane[0], b = digest->lane[1];
	uint64_t c = digest->lane[2], d = digest->lane[3];

	for (size_t i = 0; i < size; i += 32) {
		a = mix(a, word_at(bytes + i, 8));
		b = mix(b, word_at(bytes + i + 8, 8));
		c = mix(c, word_at(bytes + i + 16, 8));
		d = mix(d, word_at(bytes + i + 24, 8));
	}
	*digest = (struct kelp_digest){.lane = {a, b, c, d}, .length = digest->length + size};
}

uint64_t kelp_digest_end(const struct kelp_digest *digest, const void *tail, size_t size)
{
	const unsigned char *bytes = tail;
	uint64_t sum = PRIME5;

	if (digest->length > 0) {
		sum = rotate(digest->lane[0], 1) + rotate(digest->lane[1], 7) +
		      rotate(digest->lane[2], 12) + rotate(digest->lane[3], 18);
		for (unsigned i = 0; i < 4; i++)
			sum = (sum ^ mix(0, digest->lane[i])) * PRIME1 + PRIME4;
	}
	sum += digest->length + size;
	for (; size >= 8; bytes += 8, size -= 8)
		sum = rotate(sum ^ mix(0, word_at(bytes, 8)), 27) * PRIME1 + PRIME4;
	if (size >= 4) {
		sum = rotate(sum ^ word_at(bytes, 4) * PRIME1, 23) * PRIME2 + PRIME3;
		bytes += 4;
		size -= 4;
	}
	for (; size > 0; bytes++, size--)
		sum = rotate(sum ^ *bytes * PRIME5, 11) * PRIME1;
	sum = (sum ^ sum >> 33) * PRIME2;
	sum = (sum ^ sum >> 29) * PRIME3;
	return sum ^ sum >> 32;
}
