/* SPDX-License-Identifier: MIT */
/* The bytes of docs/IMAGE.md, as they are written there, and what a decoder refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <kelp/kelp.h>

#include <cmocka.h>

#define assert_status(status, expected)                                                            \
	assert_string_equal(kelp_status_name(status), kelp_status_name(expected))

static uint8_t block[KELP_IMAGE_BLOCK];

/* A field of the block: `size` bytes that count up from `first`, as a little-endian number does. */
static void expect(size_t at, size_t size, uint8_t first)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(block[at + i], (uint8_t)(first + i));
}

static void expect_zero(size_t at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(block[at + i], 0);
}

static uint64_t number(uint8_t first)
{
	uint64_t value = 0;

	for (unsigned i = 8; i-- > 0;)
		value = value << 8 | (uint8_t)(first + i);
	return value;
}

static void count_up(uint8_t *to, size_t size, uint8_t first)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(first + i);
}

static void state_block(void **state)
{
	struct kelp_image_state s = {.kind = KELP_IMAGE_COMPLETE,
				     .sequence = number(1),
				     .generation = number(11),
				     .end = number(21)};
	struct kelp_image_state back;
	uint8_t tag[KELP_IMAGE_TAG];

	(void)state;
	count_up(s.image, 16, 31);
	count_up(s.header_tag, 16, 51);
	count_up(s.nonce, 12, 71);
	count_up(tag, 16, 91);
	kelp_image_encode_state(block, &s);
	kelp_image_put_tag(block, KELP_IMAGE_STATE_AAD, tag);
	kelp_image_seal_block(block);
	assert_memory_equal(block, "KELPSTAT\1\0\0\0\2\0\0\0", 16);
	expect(16, 8, 1);
	expect(24, 8, 11);
	expect(32, 16, 31);
	expect(48, 16, 51);
	expect(64, 8, 21);
	expect(72, 12, 71);
	expect_zero(84, 12);
	expect(96, 16, 91);
	expect_zero(112, 3980);
	assert_status(kelp_image_decode_state(block, &back), KELP_OK);
	assert_memory_equal(back.image, s.image, 16);
	assert_memory_equal(back.header_tag, s.header_tag, 16);
	assert_memory_equal(back.nonce, s.nonce, 12);
	assert_memory_equal(back.tag, tag, 16);
	assert_true(back.kind == s.kind && back.sequence == s.sequence &&
		    back.generation == s.generation && back.end == s.end);
}

static struct kelp_image_header some_header(void)
{
	struct kelp_image_header h = {
		.generation = number(1),
		.page_shift = 12,
		.chunk_frames = 64,
		.codec = 1,
		.cipher = 1,
		.frames = 1000,
		.frame_limit = UINT64_C(0x1234567890),
		.records = 17,
		.identity = {.cpus = 0x04030201},
	};

	count_up(h.image, 16, 31);
	count_up(h.identity.kernel, 32, 51);
	count_up(h.identity.memory, 32, 91);
	count_up(h.identity.cpu_features, 32, 131);
	count_up(h.nonce, 12, 171);
	return h;
}

static void header_block(void **state)
{
	struct kelp_image_header h = some_header(), back;

	(void)state;
	kelp_image_encode_header(block, &h);
	kelp_image_seal_block(block);
	assert_memory_equal(block, "KELPIMAG\1\0\0\0\0\0\0\0", 16);
	expect(16, 16, 31);
	expect(32, 8, 1);
	assert_memory_equal(block + 40, "\14\0\0\0\100\0\0\0\1\0\0\0\1\0\0\0", 16);
	assert_memory_equal(block + 56, "\xe8\3\0\0\0\0\0\0\x90\x78\x56\x34\x12\0\0\0", 16);
	assert_memory_equal(block + 72, "\21\0\0\0\1\2\3\4", 8);
	expect(80, 32, 51);
	expect(112, 32, 91);
	expect(144, 32, 131);
	expect_zero(176, 308);
	expect(484, 12, 171);
	expect_zero(496, 3596);
	assert_status(kelp_image_decode_header(block, &back), KELP_OK);
	assert_memory_equal(&back.identity, &h.identity, sizeof(h.identity));
	assert_memory_equal(back.image, h.image, 16);
	assert_true(back.frames == h.frames && back.records == h.records &&
		    back.frame_limit == h.frame_limit && back.page_shift == h.page_shift);
}

static void sealed_part(void **state)
{
	struct kelp_image_secret secret = {.payload_size = 2048}, back;

	(void)state;
	assert_int_equal(KELP_IMAGE_SEALED, 512);
	assert_int_equal(KELP_IMAGE_SEALED_SIZE, 3580);
	count_up(secret.key, 32, 1);
	count_up(secret.nonce, 12, 41);
	count_up(secret.payload, 2048, 61);
	memset(block, 0xff, sizeof(block));
	kelp_image_encode_secret(block, &secret);
	expect(0, 32, 1);
	expect(32, 12, 41);
	assert_memory_equal(block + 44, "\0\10\0\0", 4);
	expect(48, 2048, 61);
	expect_zero(2096, 1484);
	assert_status(kelp_image_decode_secret(block, &back), KELP_OK);
	assert_memory_equal(back.payload, secret.payload, 2048);
	/* A size beyond the field; something behind the payload. */
	block[44] = 1;
	assert_status(kelp_image_decode_secret(block, &back), KELP_ERR_DAMAGED);
	block[44] = 0;
	block[3579] = 1;
	assert_status(kelp_image_decode_secret(block, &back), KELP_ERR_DAMAGED);
}

static void records_and_runs(void **state)
{
	struct kelp_image_header h = some_header();
	struct kelp_image_record r = {.index = 5, .size = 24 + 4096, .runs = 1, .data_frames = 1};
	struct kelp_image_record back;
	struct kelp_image_run run = {.first = {number(1) >> 16}, .frames = 7}, other;
	struct kelp_image_totals totals = {number(1), number(11), number(21), number(31),
					   number(41)};
	struct kelp_image_totals seen;

	(void)state;
	count_up(r.tag, 16, 91);
	kelp_image_encode_record(block, &r);
	assert_memory_equal(block, "\5\0\0\0\0\0\0\0\x18\x10\0\0\1\0\0\0\1\0\0\0\0\0\0\0", 24);
	expect(24, 16, 91);
	assert_status(kelp_image_decode_record(block, &h, 5, &back), KELP_OK);
	assert_status(kelp_image_decode_record(block, &h, 4, &back), KELP_ERR_DAMAGED);
	kelp_image_encode_run(block, &run);
	expect(0, 6, 3);
	assert_memory_equal(block + 6, "\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
	run.uniform = true;
	run.word = number(51);
	kelp_image_encode_run(block, &run);
	assert_memory_equal(block + 8, "\7\0\0\x80\0\0\0\0", 8);
	expect(16, 8, 51);
	assert_status(kelp_image_decode_run(block, UINT64_MAX, &other), KELP_OK);
	assert_true(other.uniform && other.word == run.word && other.frames == 7);
	/* Seven frames from the last but six on, and one further. */
	assert_status(kelp_image_decode_run(block, run.first.number + 7, &other), KELP_OK);
	assert_status(kelp_image_decode_run(block, run.first.number + 6, &other),
		      KELP_ERR_DAMAGED);
	assert_status(kelp_image_decode_run(block, run.first.number, &other), KELP_ERR_DAMAGED);
	assert_status(kelp_image_decode_run(block, 0, &other), KELP_ERR_DAMAGED);
	kelp_image_encode_totals(block, &totals);
	for (unsigned i = 0; i < 5; i++)
		expect(8 * i, 8, (uint8_t)(1 + 10 * i));
	kelp_image_decode_totals(block, &seen);
	assert_memory_equal(&seen, &totals, sizeof(totals));
}

/* Heads whose numbers no writer makes. */
static void impossible_records(void **state)
{
	static const struct kelp_image_record bad[] = {
		{.index = 5, .size = 4096, .runs = 0, .data_frames = 1},
		{.index = 5, .size = 24 + 4096, .runs = 65, .data_frames = 1},
		{.index = 5, .size = 24 + 4096, .runs = 1, .data_frames = 65},
		{.index = 5, .size = 23, .runs = 1},
		{.index = 5, .size = 24 + 4095, .runs = 1, .data_frames = 1},
		{.index = 5, .size = 24 + 4097, .runs = 1, .data_frames = 1},
		{.index = 5, .size = 24 + 4096, .runs = 1, .data_frames = 1, .codec = 1},
		{.index = 5, .size = 24, .runs = 1, .data_frames = 1, .codec = 1},
		{.index = 5, .size = 24 + 100, .runs = 1, .data_frames = 1, .codec = 2},
		{.index = 5, .size = UINT32_MAX, .runs = 64, .data_frames = 64},
		{.index = 5, .size = 24 + 4096, .runs = 1, .data_frames = 1, .flags = 1},
		{.index = 5, .size = 24 + 4096, .runs = 1, .data_frames = 1, .flags = 2},
		{.index = 16, .size = 40, .flags = 0},
		{.index = 16, .size = 41, .flags = 1},
		{.index = 16, .size = 40, .runs = 1, .flags = 1},
		{.index = 16, .size = 40, .codec = 1, .flags = 1},
	};
	struct kelp_image_header h = some_header();
	struct kelp_image_record back;
	struct kelp_image_record good = {.index = 16, .size = 40, .flags = 1};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		kelp_image_encode_record(block, &bad[i]);
		assert_status(kelp_image_decode_record(block, &h, bad[i].index, &back),
			      KELP_ERR_DAMAGED);
	}
	kelp_image_encode_record(block, &good);
	assert_status(kelp_image_decode_record(block, &h, 16, &back), KELP_OK);
}

/* Headers that a reader's arithmetic could not bear, with a right checksum. */
static void impossible_headers(void **state)
{
	struct kelp_image_header h, back;
	unsigned tried = 0;

	(void)state;
#define BAD(change)                                                                                \
	do {                                                                                       \
		h = some_header();                                                                 \
		change;                                                                            \
		kelp_image_encode_header(block, &h);                                               \
		kelp_image_seal_block(block);                                                      \
		assert_status(kelp_image_decode_header(block, &back), KELP_ERR_DAMAGED);           \
		tried++;                                                                           \
	} while (0)
	BAD(h.page_shift = 9);
	BAD(h.page_shift = 25);
	BAD(h.page_shift = 64);
	BAD(h.chunk_frames = 0);
	BAD(h.chunk_frames = 4097);
	BAD((h.page_shift = 20, h.chunk_frames = 65, h.records = 17));
	BAD(h.records = 0);
	BAD(h.records = 16);
	BAD(h.records = 18);
	BAD(h.frames = 0);
	BAD(h.frames = UINT64_MAX);
	BAD(h.frame_limit = 999);
	BAD(h.frame_limit = UINT64_MAX);
	assert_int_equal(tried, 13);
	h = some_header();
	kelp_image_encode_header(block, &h);
	block[8] = 2;
	kelp_image_seal_block(block);
	assert_status(kelp_image_decode_header(block, &back), KELP_ERR_VERSION);
	block[0] = 'k';
	kelp_image_seal_block(block);
	assert_status(kelp_image_decode_header(block, &back), KELP_ERR_DAMAGED);
}

static void checksum(void **state)
{
	uint8_t zeroes[32] = {0};

	(void)state;
	/* The check value of CRC-32C, and the first example of RFC 3720, B.4. */
	assert_int_equal(kelp_image_checksum((const uint8_t *)"123456789", 9), 0xe3069283);
	assert_int_equal(kelp_image_checksum(zeroes, 32), 0x8a9136aa);
}

static void digests_differ(void **state)
{
	uint8_t digest[64][KELP_IMAGE_DIGEST] = {{0}};
	uint8_t piece[16] = {0}, again[KELP_IMAGE_DIGEST] = {0};

	(void)state;
	/* Every single bit, another length, the same bytes cut elsewhere. */
	for (unsigned i = 0; i < 48; i++) {
		piece[i / 8] = (uint8_t)(1u << i % 8);
		kelp_image_digest(digest[i], piece, 16);
		piece[i / 8] = 0;
	}
	for (unsigned i = 48; i < 60; i++)
		kelp_image_digest(digest[i], piece, i - 44);
	kelp_image_digest(digest[60], "abcdefgh", 8);
	kelp_image_digest(digest[60], "ijklmnop", 8);
	kelp_image_digest(digest[61], "abcdefghijklmnop", 16);
	kelp_image_digest(digest[62], "abcdefg", 7);
	kelp_image_digest(digest[62], "hijklmnop", 9);
	kelp_image_digest(digest[63], "ijklmnop", 8);
	kelp_image_digest(digest[63], "abcdefgh", 8);
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(digest[i], digest[j], KELP_IMAGE_DIGEST);
	}
	kelp_image_digest(again, "abcdefghijklmnop", 16);
	assert_memory_equal(again, digest[61], KELP_IMAGE_DIGEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_block),        cmocka_unit_test(header_block),
		cmocka_unit_test(sealed_part),        cmocka_unit_test(records_and_runs),
		cmocka_unit_test(impossible_records), cmocka_unit_test(impossible_headers),
		cmocka_unit_test(checksum),           cmocka_unit_test(digests_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
