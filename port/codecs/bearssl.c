/* SPDX-License-Identifier: MIT */
/*
 * bearssl: kelp_cipher_chacha20_poly1305 (RFC 8439), on BearSSL's constant-time implementations:
 * the one with 64-bit multiplications where the compiler has 128-bit integers, and SSE2 where the
 * build may use those registers, which a kernel's may not.
 */
#include "kelp_codecs.h"

#include <bearssl_block.h>

#if defined(__SSE2__)
#define CHACHA20 br_chacha20_sse2_run
#else
#define CHACHA20 br_chacha20_ct_run
#endif

#if defined(__SIZEOF_INT128__)
#define POLY1305 br_poly1305_ctmulq_run
#else
#define POLY1305 br_poly1305_ctmul_run
#endif

static void seal(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		 size_t aad_size, void *data, size_t size, uint8_t *tag)
{
	(void)context;
	POLY1305(key, nonce, data, size, aad, aad_size, tag, CHACHA20, 1);
}

static bool open(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		 size_t aad_size, void *data, size_t size, const uint8_t *tag)
{
	uint8_t expected[KELP_IMAGE_TAG];
	uint8_t differ = 0;

	(void)context;
	POLY1305(key, nonce, data, size, aad, aad_size, expected, CHACHA20, 0);
	/* All of it, whatever the first bytes say. */
	for (size_t i = 0; i < sizeof(expected); i++)
		differ |= (uint8_t)(expected[i] ^ tag[i]);
	return differ == 0;
}

const struct kelp_snapshot_cipher kelp_cipher_chacha20_poly1305 = {
	.id = KELP_IMAGE_CHACHA20_POLY1305,
	.seal = seal,
	.open = open,
};
