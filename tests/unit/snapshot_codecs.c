/* SPDX-License-Identifier: MIT */
/* The shipped codec and cipher: known answers, whole images, and what is not theirs refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <port/codecs/kelp_codecs.h>

#include "machine.h"

#include <cmocka.h>

#define assert_status(status, expected)                                                            \
	assert_string_equal(kelp_status_name(status), kelp_status_name(expected))

/* RFC 8439, 2.8.2. */
static const char plain[] = "Ladies and Gentlemen of the class of '99: If I could offer you only "
			    "one tip for the future, sunscreen would be it.";
static const uint8_t nonce[12] = {0x07, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
static const uint8_t aad[12] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
				0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
static const uint8_t first[16] = {0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb,
				  0x7b, 0x86, 0xaf, 0xbc, 0x53, 0xef, 0x7e, 0xc2};
static const uint8_t expected_tag[16] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
					 0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};

static void cipher_gives_the_known_answer(void **state)
{
	const struct kelp_snapshot_cipher *cipher = &kelp_cipher_chacha20_poly1305;
	uint8_t key[32], data[sizeof(plain) - 1], tag[16], bad[16];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		key[i] = (uint8_t)(0x80 + i);
	memcpy(data, plain, sizeof(data));
	cipher->seal(cipher->context, key, nonce, aad, sizeof(aad), data, sizeof(data), tag);
	assert_memory_equal(data, first, sizeof(first));
	assert_memory_equal(tag, expected_tag, sizeof(tag));
	for (unsigned bit = 0; bit < 128; bit++) {
		uint8_t copy[sizeof(data)];

		memcpy(copy, data, sizeof(copy));
		memcpy(bad, tag, sizeof(bad));
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(cipher->open(cipher->context, key, nonce, aad, sizeof(aad), copy,
					  sizeof(copy), bad));
	}
	assert_true(cipher->open(cipher->context, key, nonce, aad, sizeof(aad), data, sizeof(data),
				 tag));
	assert_memory_equal(data, plain, sizeof(data));
	/* Authenticated and not deciphered, but for the beginning. */
	cipher->seal(cipher->context, key, nonce, aad, sizeof(aad), data, sizeof(data), tag);
	assert_true(cipher->check(cipher->context, key, nonce, aad, sizeof(aad), data,
				  sizeof(data), 7, tag));
	assert_memory_equal(data, plain, 7);
	assert_memory_equal(data + 7, first + 7, sizeof(first) - 7);
	memcpy(data, first, 7);
	for (unsigned bit = 0; bit < sizeof(data) * 8; bit++) {
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(cipher->check(cipher->context, key, nonce, aad, sizeof(aad), data,
					   sizeof(data), sizeof(data), tag));
		data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(cipher->open(cipher->context, key, nonce, aad, sizeof(aad), data, sizeof(data),
				 tag));
	/* Nothing but AAD, as with state blocks. */
	cipher->seal(cipher->context, key, nonce, aad, sizeof(aad), NULL, 0, tag);
	assert_true(cipher->open(cipher->context, key, nonce, aad, sizeof(aad), NULL, 0, tag));
	assert_false(cipher->open(cipher->context, key, nonce, aad, 11, NULL, 0, tag));
}

static void codec_gives_back_what_it_got(void **state)
{
	const struct kelp_snapshot_codec *codec = &kelp_codec_lz4;
	void *workspace = aligned_alloc(64, (codec->workspace + 63) / 64 * 64);
	uint8_t *from = malloc(65536), *to = malloc(65536), *back = malloc(65536 + 8);
	size_t packed;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		machine_scribble(from + 4096 * i, i);
	packed = codec->compress(NULL, workspace, to, 65535, from, 65536);
	assert_in_range(packed, 1000, 60000);
	assert_true(codec->expand(NULL, back, 65536, to, packed));
	assert_memory_equal(back, from, 65536);
	/* No room, another size, cut short: each is an answer and not an accident. */
	assert_int_equal(codec->compress(NULL, workspace, to, 100, from, 65536), 0);
	packed = codec->compress(NULL, workspace, to, 65535, from, 65536);
	assert_false(codec->expand(NULL, back, 65535, to, packed));
	assert_false(codec->expand(NULL, back, 65536 + 8, to, packed));
	assert_false(codec->expand(NULL, back, 65536, to, packed - 1));
	memset(to, 0xff, 1000);
	assert_false(codec->expand(NULL, back, 65536, to, packed));
	free(workspace);
	free(from);
	free(to);
	free(back);
}

static void images_go_through_both(void **state)
{
	struct kelp_image_totals totals;
	struct machine machine;
	uint8_t *before, *class;

	(void)state;
	machine_init(&machine, 500, 4u << 20);
	machine.config.codec = &kelp_codec_lz4;
	machine.config.cipher = &kelp_cipher_chacha20_poly1305;
	machine.config.chunk_frames = 0;
	machine.config.io_size = 0;
	machine_buffer(&machine);
	machine_fill(&machine, 3, 85);
	before = malloc(500 * MACHINE_PAGE);
	class = malloc(500);
	memcpy(class, machine.class, 500);
	assert_status(machine_save(&machine, &totals, before), KELP_OK);
	assert_in_range(totals.sealed_bytes, 1, totals.data_frames * MACHINE_PAGE * 9 / 10);
	machine_reset(&machine, 3, 40);
	machine.key[31] ^= 0x80;
	assert_status(machine_resume(&machine), KELP_ERR_KEY);
	machine.key[31] ^= 0x80;
	assert_status(machine_resume(&machine), KELP_OK);
	assert_int_equal(machine_compare(&machine, before, class), 500);
	free(before);
	free(class);
	machine_free(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cipher_gives_the_known_answer),
		cmocka_unit_test(codec_gives_back_what_it_got),
		cmocka_unit_test(images_go_through_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
