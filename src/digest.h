/* SPDX-License-Identifier: MIT */
/*
 * digest: XXH64 with seed 0, as its specification (XXH64 in "xxHash fast digest algorithm", format
 * description 0.2.0) defines it. Two 64-bit multiplications per 8 bytes and no tables: it runs at
 * the speed of memory on 64-bit machines.
 */
#ifndef KELP_SRC_DIGEST_H
#define KELP_SRC_DIGEST_H

#include <kelp/types.h>

struct kelp_digest {
	uint64_t lane[4];
	uint64_t length;
};

void kelp_digest_begin(struct kelp_digest *digest);

/* Adds whole stripes: `size` is a multiple of 32, `data` aligned to 8. */
void kelp_digest_add(struct kelp_digest *digest, const void *data, size_t size);

/* The value; `tail` are the last `size` bytes, fewer than 32. */
uint64_t kelp_digest_end(const struct kelp_digest *digest, const void *tail, size_t size);

#endif
