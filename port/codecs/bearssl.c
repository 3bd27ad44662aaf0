/* SPDX-License-Identifier: MIT */
/*
 * bearssl: kelp_cipher_chacha20_poly1305 (RFC 8439), on BearSSL's constant-time implementations. Of
 * Poly1305 the one with 64-bit multiplications where the compiler has 128-bit integers. Of ChaCha20
 * the portable one everywhere: with today's compilers it is twice as fast as the one for SSE2, and
 * kernels have no use for those registers.
 */
#include "kelp_codecs.h"

#include <bearssl_block.h>

#if defined(__SIZEOF_INT128__)
#define POLY1305 br_poly1305_ctmulq_run
#else
#define POLY1305 br_poly1305_ctmul_run
#endif

static void seal(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		 size_t aad_size, void *data, size_t size, uint8_t *tag)
{
	(void)context;
	POLY1305(key, nonce, data, size, aad, aad_size, tag, br_chacha20_ct_run, 1);
}

/* All of it, whatever the first bytes say. */
static bool is_equal(const uint8_t *a, const uint8_t *b)
{
	uint8_t differ = 0;

	for (size_t i = 0; i < KELP_IMAGE_TAG; i++)
		differ |= (uint8_t)(a[i] ^ b[i]);
	return differ == 0;
}

static bool open(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		 size_t aad_size, void *data, size_t size, const uint8_t *tag)
{
	uint8_t expected[KELP_IMAGE_TAG];

	(void)context;
	POLY1305(key, nonce, data, size, aad, aad_size, expected, br_chacha20_ct_run, 0);
	return is_equal(expected, tag);
}

/* Makes the key of Poly1305, block 0 of the key stream, and leaves the data alone. */
static uint32_t only_key(const void *key, const void *nonce, uint32_t block, void *data,
			 size_t size)
{
	return block == 0 ? br_chacha20_ct_run(key, nonce, block, data, size) : block;
}

static bool check(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		  size_t aad_size, void *data, size_t size, size_t clear, const uint8_t *tag)
{
	uint8_t expected[KELP_IMAGE_TAG];

	(void)context;
	POLY1305(key, nonce, data, size, aad, aad_size, expected, only_key, 0);
	if (!is_equal(expected, tag))
		return false;
	br_chacha20_ct_run(key, nonce, 1, data, clear);
	return true;
}

const struct kelp_snapshot_cipher kelp_cipher_chacha20_poly1305 = {
	.id = KELP_IMAGE_CHACHA20_POLY1305,
	.seal = seal,
	.open = open,
	.check = check,
};
