/* SPDX-License-Identifier: MIT */
/*
 * INV-5.5: an image with any bit flipped, cut short, reordered, replayed or of somebody else is
 * refused before one frame has changed. With the shipped cipher: what refuses is the real thing.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <port/codecs/kelp_codecs.h>

#include "machine.h"

#include <cmocka.h>

#define FRAMES  96u
#define SIZE    (160u * KELP_IMAGE_BLOCK)
#define RECORDS 64u

#define assert_status(status, expected)                                                            \
	assert_string_equal(kelp_status_name(status), kelp_status_name(expected))

/* One image, whole, and where its parts are. */
struct image {
	struct machine machine;
	uint8_t *whole;
	uint8_t *memory; /* of the machine that shall not change */
	uint64_t end;
	uint32_t records;
	uint64_t at[RECORDS + 1]; /* of each record, and the end */
	uint32_t runs[RECORDS];
};

static struct image fixture;

static uint32_t field(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void find_records(struct image *image)
{
	uint64_t at = KELP_IMAGE_RECORDS;

	image->records = 0;
	for (bool last = false; !last;) {
		const uint8_t *head = image->whole + at;

		assert_true(image->records < RECORDS);
		last = field(head + 4) & KELP_IMAGE_RECORD_LAST;
		image->runs[image->records] = field(head + 12);
		image->at[image->records++] = at;
		at += KELP_IMAGE_RECORD_HEAD + field(head + 8);
	}
	image->at[image->records] = image->end = at;
}

static void save_image(struct image *image)
{
	assert_status(machine_save(&image->machine, NULL, NULL), KELP_OK);
	memcpy(image->whole, image->machine.disk.bytes, SIZE);
	find_records(image);
}

static int set_up(void **state)
{
	struct machine *machine = &fixture.machine;

	(void)state;
	machine_init(machine, FRAMES, SIZE);
	machine->config.cipher = &kelp_cipher_chacha20_poly1305;
	machine->config.codec = &kelp_codec_lz4;
	machine->config.chunk_frames = 4;
	machine_buffer(machine);
	machine_fill(machine, 4, 80);
	fixture.whole = malloc(SIZE);
	fixture.memory = malloc(FRAMES * MACHINE_PAGE);
	save_image(&fixture);
	machine_reset(machine, 5, 10);
	memcpy(fixture.memory, machine->memory, FRAMES * MACHINE_PAGE);
	machine->forbid_store = true;
	machine->stores = 0;
	memset(machine->calls, 0, sizeof(machine->calls));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(fixture.whole);
	free(fixture.memory);
	machine_free(&fixture.machine);
	return 0;
}

/* As far as verify(); then what the machine looks like. */
static enum kelp_status attempt(struct image *image)
{
	struct machine *machine = &image->machine;
	struct kelp_snapshot_reader reader;
	enum kelp_status status = kelp_snapshot_open(&reader, &machine->config);

	if (status == KELP_OK) {
		machine->maps = realloc(machine->maps, reader.map_size);
		status = kelp_snapshot_maps(&reader, machine->maps, reader.map_size);
		if (status == KELP_OK)
			status = kelp_snapshot_verify(&reader, 0);
		kelp_snapshot_close(&reader);
	}
	/* Not one frame written, not one taken. */
	assert_false(machine->violated);
	assert_int_equal(machine->stores, 0);
	assert_int_equal(machine->calls[MACHINE_CLAIM], 0);
	assert_int_equal(machine->calls[MACHINE_TAKE], 0);
	return status;
}

static uint8_t *disk_of(struct image *image)
{
	memcpy(image->machine.disk.bytes, image->whole, SIZE);
	return image->machine.disk.bytes;
}

static void expect_refused(struct image *image, const char *what, uint64_t where)
{
	enum kelp_status status = attempt(image);

	if (status != KELP_ERR_DAMAGED && status != KELP_ERR_NO_IMAGE && status != KELP_ERR_KEY &&
	    status != KELP_ERR_VERSION)
		fail_msg("%s at %llu: %s", what, (unsigned long long)where,
			 kelp_status_name(status));
}

static void the_image_is_good(void **state)
{
	(void)state;
	disk_of(&fixture);
	assert_status(attempt(&fixture), KELP_OK);
	assert_true(fixture.records > 12);
	assert_memory_equal(fixture.machine.memory, fixture.memory, FRAMES * MACHINE_PAGE);
}

/* ---- flipped bits -------------------------------------------------------------------------- */

static void flip(struct image *image, uint64_t byte, unsigned bit, const char *what)
{
	uint8_t *at = image->machine.disk.bytes + byte;

	*at ^= (uint8_t)(1u << bit);
	expect_refused(image, what, byte * 8 + bit);
	*at ^= (uint8_t)(1u << bit);
}

/* As flip, by somebody who knows how to make checksums. */
static void forge(struct image *image, uint64_t byte, unsigned bit, const char *what)
{
	uint8_t *block = image->machine.disk.bytes + byte / KELP_IMAGE_BLOCK * KELP_IMAGE_BLOCK;
	uint8_t saved[KELP_IMAGE_BLOCK];

	memcpy(saved, block, sizeof(saved));
	image->machine.disk.bytes[byte] ^= (uint8_t)(1u << bit);
	kelp_image_seal_block(block);
	expect_refused(image, what, byte * 8 + bit);
	memcpy(block, saved, sizeof(saved));
}

/* Which of the two state blocks says COMPLETE. */
static uint64_t state_block(const struct image *image)
{
	struct kelp_image_state state;

	if (kelp_image_decode_state(image->whole, &state) == KELP_OK &&
	    state.kind == KELP_IMAGE_COMPLETE)
		return 0;
	assert_status(kelp_image_decode_state(image->whole + KELP_IMAGE_BLOCK, &state), KELP_OK);
	assert_int_equal(state.kind, KELP_IMAGE_COMPLETE);
	return KELP_IMAGE_BLOCK;
}

static void every_bit_of_state_and_header(void **state)
{
	uint64_t block = state_block(&fixture);

	(void)state;
	disk_of(&fixture);
	for (uint64_t byte = 0; byte < KELP_IMAGE_BLOCK; byte++) {
		/* Every bit of what has fields, a bit of each byte of the rest. */
		for (unsigned bit = 0; bit < 8; bit++) {
			if (byte >= 640 && bit != byte % 8)
				continue;
			flip(&fixture, block + byte, bit, "state");
			flip(&fixture, KELP_IMAGE_HEADER + byte, bit, "header");
			if (byte >= KELP_IMAGE_BLOCK - 4)
				continue;
			forge(&fixture, block + byte, bit, "state, checksum made right");
			forge(&fixture, KELP_IMAGE_HEADER + byte, bit,
			      "header, checksum made right");
		}
	}
}

static void every_byte_of_tables(void **state)
{
	struct image *image = &fixture;

	(void)state;
	disk_of(image);
	for (uint32_t i = 0; i < image->records; i++) {
		uint64_t tables = KELP_IMAGE_RECORD_HEAD + image->runs[i] * KELP_IMAGE_RUN;
		uint64_t size = image->at[i + 1] - image->at[i];
		bool whole = i == 0 || i + 1 == image->records;

		if (i + 1 == image->records)
			tables = size;
		for (uint64_t byte = 0; byte < tables; byte++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				if (whole || bit == (byte * 5 + i) % 8)
					flip(image, image->at[i] + byte, bit, "table");
			}
		}
	}
}

static void random_bits_of_data(void **state)
{
	struct image *image = &fixture;
	uint64_t random = 12345;

	(void)state;
	disk_of(image);
	for (unsigned n = 0; n < 700; n++) {
		uint64_t span = (image->end - KELP_IMAGE_RECORDS) * 8;
		uint64_t bit;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		bit = (random >> 20) % span;
		flip(image, KELP_IMAGE_RECORDS + bit / 8, bit % 8, "data");
	}
	/* The padding of the last block, too. */
	for (uint64_t byte = image->end; byte % KELP_IMAGE_BLOCK != 0; byte += 1)
		flip(image, byte, byte % 8, "padding");
}

/* ---- missing, moved, old ------------------------------------------------------------------- */

static void cut_short(void **state)
{
	struct image *image = &fixture;
	uint64_t blocks = (image->end + KELP_IMAGE_BLOCK - 1) / KELP_IMAGE_BLOCK;

	(void)state;
	for (uint64_t block = 3; block < blocks; block++) {
		/* Never written; then an area that ends there. */
		memset(disk_of(image) + block * KELP_IMAGE_BLOCK, 0,
		       SIZE - (size_t)block * KELP_IMAGE_BLOCK);
		expect_refused(image, "cut short", block);
		disk_of(image);
		image->machine.disk_hooks.size = block * KELP_IMAGE_BLOCK;
		expect_refused(image, "a smaller area", block);
		image->machine.disk_hooks.size = SIZE;
	}
}

/* Records that stand in each other's place, or in place of those that are missing. */
static void reordered(void **state)
{
	struct image *image = &fixture;
	unsigned swapped = 0;

	(void)state;
	for (uint32_t i = 0; i + 1 < image->records; i++) {
		for (uint32_t j = i + 1; j + 1 < image->records; j++) {
			uint64_t size = image->at[i + 1] - image->at[i];
			uint8_t *bytes;

			if (image->at[j + 1] - image->at[j] != size)
				continue;
			bytes = disk_of(image);
			memcpy(bytes + image->at[i], image->whole + image->at[j], size);
			expect_refused(image, "a record twice", i * 100u + j);
			memcpy(bytes + image->at[j], image->whole + image->at[i], size);
			expect_refused(image, "swapped", i * 100u + j);
			/* With the index that belongs there. */
			memcpy(bytes + image->at[i], image->whole + image->at[i], 4);
			memcpy(bytes + image->at[j], image->whole + image->at[j], 4);
			expect_refused(image, "swapped, renumbered", i * 100u + j);
			swapped++;
		}
		/* One left out: all behind it move up. */
		memmove(disk_of(image) + image->at[i], image->whole + image->at[i + 1],
			image->end - image->at[i + 1]);
		expect_refused(image, "left out", i);
	}
	assert_true(swapped > 0);
}

/* A second image of the same machine under the same key: no part of it fits into the first. */
static void parts_of_another_image(void **state)
{
	struct image *image = &fixture, other = fixture;
	struct machine *machine = &other.machine;
	uint64_t block = state_block(image), other_block;

	(void)state;
	machine_init(machine, FRAMES, SIZE);
	machine->config.cipher = &kelp_cipher_chacha20_poly1305;
	machine->config.codec = &kelp_codec_lz4;
	machine->config.chunk_frames = 4;
	machine_buffer(machine);
	machine->random = 999;
	machine_fill(machine, 4, 80);
	other.whole = malloc(SIZE);
	save_image(&other);
	other_block = state_block(&other);
	/* Same memory: the same layout, to the byte. */
	assert_int_equal(other.end, image->end);
	for (uint32_t i = 0; i < image->records; i++) {
		memcpy(disk_of(image) + image->at[i], other.whole + image->at[i],
		       image->at[i + 1] - image->at[i]);
		expect_refused(image, "another image's record", i);
	}
	memcpy(disk_of(image) + KELP_IMAGE_HEADER, other.whole + KELP_IMAGE_HEADER,
	       KELP_IMAGE_BLOCK);
	expect_refused(image, "another image's header", 0);
	memcpy(disk_of(image) + block, other.whole + other_block, KELP_IMAGE_BLOCK);
	expect_refused(image, "another image's state", 0);
	memcpy(disk_of(image) + KELP_IMAGE_RECORDS, other.whole + KELP_IMAGE_RECORDS,
	       SIZE - KELP_IMAGE_RECORDS);
	expect_refused(image, "another image's records", 0);
	free(other.whole);
	machine_free(machine);
}

static void replayed(void **state)
{
	struct image *image = &fixture;
	uint64_t generation = image->machine.config.generation;

	(void)state;
	/* The whole disk put back: only a counter that is not on it can tell. */
	disk_of(image);
	image->machine.config.generation = generation + 1;
	assert_status(attempt(image), KELP_ERR_REPLAYED);
	image->machine.config.generation = generation;
	assert_status(attempt(image), KELP_OK);
	/* Where the newer state block stays, the older one does not count. */
	assert_status(kelp_snapshot_discard(&image->machine.config), KELP_OK);
	memcpy(image->machine.disk.bytes + KELP_IMAGE_HEADER, image->whole + KELP_IMAGE_HEADER,
	       SIZE - KELP_IMAGE_HEADER);
	assert_status(attempt(image), KELP_ERR_NO_IMAGE);
	memcpy(image->machine.disk.bytes + state_block(image), image->whole + state_block(image),
	       KELP_IMAGE_BLOCK);
	assert_status(attempt(image), KELP_ERR_NO_IMAGE);
}

static void of_somebody_else(void **state)
{
	struct image *image = &fixture;
	struct machine *machine = &image->machine;

	(void)state;
	disk_of(image);
	for (unsigned i = 0; i < 256; i++) {
		machine->key[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_status(attempt(image), KELP_ERR_KEY);
		machine->key[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	machine->config.identity.kernel[31] ^= 1;
	assert_status(attempt(image), KELP_ERR_OTHER_KERNEL);
	machine->config.identity.kernel[31] ^= 1;
	machine->config.identity.memory[0] ^= 1;
	assert_status(attempt(image), KELP_ERR_OTHER_MEMORY);
	machine->config.identity.memory[0] ^= 1;
	/* A feature less is refused, one more is not. */
	machine->config.identity.cpu_features[0] &= 0xfe;
	assert_status(attempt(image), KELP_ERR_OTHER_CPU);
	machine->config.identity.cpu_features[0] |= 0x03;
	machine->config.identity.cpu_features[31] = 0xff;
	assert_status(attempt(image), KELP_OK);
	machine->config.identity.cpus = 3;
	assert_status(attempt(image), KELP_ERR_CPU_COUNT);
	machine->config.flags |= KELP_SNAPSHOT_ANY_CPU_COUNT;
	assert_status(attempt(image), KELP_OK);
	machine->config.flags = 0;
	machine->config.identity.cpus = 2;
	/* Another codec, another page size. */
	machine->config.codec = NULL;
	assert_status(attempt(image), KELP_ERR_VERSION);
	machine->config.codec = &kelp_codec_lz4;
	machine->hooks.page_shift = 13;
	assert_status(attempt(image), KELP_ERR_VERSION);
	machine->hooks.page_shift = 12;
	assert_status(attempt(image), KELP_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_image_is_good),
		cmocka_unit_test(every_bit_of_state_and_header),
		cmocka_unit_test(every_byte_of_tables),
		cmocka_unit_test(random_bits_of_data),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(reordered),
		cmocka_unit_test(parts_of_another_image),
		cmocka_unit_test(replayed),
		cmocka_unit_test(of_somebody_else),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
