/* SPDX-License-Identifier: MIT */
/*
 * The reader of images, fed with anything. The first byte says how: with a cipher that authenticates
 * nothing, so that the parsers behind it are reached, or with one that does; checksums made right or
 * not; which layer the rest of the bytes goes to. No input makes it write a frame that is not its
 * own, loop, or crash; and what was refused left no frame behind.
 */
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define FRAMES 64u
#define SIZE   (64u * KELP_IMAGE_BLOCK)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct machine machine;
static uint8_t *image, *class;

static bool open_anything(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
			  size_t aad_size, void *bytes, size_t size, const uint8_t *tag)
{
	(void)context, (void)key, (void)nonce, (void)aad, (void)aad_size, (void)bytes, (void)size;
	(void)tag;
	return true;
}

static void seal_nothing(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
			 size_t aad_size, void *bytes, size_t size, uint8_t *tag)
{
	(void)context, (void)key, (void)nonce, (void)aad, (void)aad_size, (void)bytes, (void)size;
	memset(tag, 0, KELP_IMAGE_TAG);
}

static const struct kelp_snapshot_cipher accepts = {
	.id = KELP_IMAGE_CHACHA20_POLY1305,
	.seal = seal_nothing,
	.open = open_anything,
};

/* A good image, in the clear, to start from. */
static void prepare(void)
{
	machine_init(&machine, FRAMES, SIZE);
	machine.config.chunk_frames = 8;
	machine.config.cipher = &accepts;
	machine_buffer(&machine);
	machine_fill(&machine, 3, 70);
	if (machine_save(&machine, NULL, NULL) != KELP_OK)
		abort();
	machine_reset(&machine, 3, 8);
	image = malloc(SIZE);
	class = malloc(FRAMES);
	memcpy(image, machine.disk.bytes, SIZE);
	memcpy(class, machine.class, FRAMES);
}

/* Bytes of the input over the image: pairs of a place and what stands there. */
static void overlay(uint64_t base, uint64_t span, const uint8_t *data, size_t size)
{
	while (size >= 4) {
		uint64_t place = base + (data[0] | (uint64_t)data[1] << 8) % span;
		size_t length = data[2] % 32u + 1u;

		length = length < size - 3 ? length : size - 3;
		for (size_t i = 0; i < length && place + i < SIZE; i++)
			machine.disk.bytes[place + i] = data[3 + i];
		data += 3 + length;
		size -= 3 + length;
	}
}

static enum kelp_status visit(void *context, kelp_pfn_t frame, const void *page, bool uniform,
			      uint64_t word)
{
	uint64_t *last = context;
	uint8_t seen;

	(void)word;
	/* Ascending, and each page is really there. */
	if (frame.number < *last || (page == NULL) != uniform)
		abort();
	*last = frame.number + 1;
	if (page)
		memcpy(&seen, (const uint8_t *)page + MACHINE_PAGE - 1, 1);
	return KELP_OK;
}

/* As large as it must be and no larger, so that a bit behind its end is noticed. */
static void *exact_maps(size_t size)
{
	free(machine.maps);
	machine.maps = malloc(size ? size : 1);
	if (!machine.maps)
		abort();
	return machine.maps;
}

static void read_it(bool load)
{
	struct kelp_snapshot_reader reader;
	uint64_t last = 0;

	if (kelp_snapshot_open(&reader, &machine.config) != KELP_OK)
		return;
	if (reader.map_size > 1u << 20) {
		kelp_snapshot_close(&reader);
		return;
	}
	if (!load) {
		(void)!kelp_snapshot_each(&reader, visit, &last);
	} else if (kelp_snapshot_maps(&reader, exact_maps(reader.map_size), reader.map_size) ==
		   KELP_OK) {
		machine.forbid_store = true;
		if (kelp_snapshot_verify(&reader, 0) == KELP_OK &&
		    kelp_snapshot_claim(&reader) == KELP_OK &&
		    kelp_snapshot_place(&reader, machine.list, FRAMES) == KELP_OK) {
			machine.forbid_store = false;
			if (kelp_snapshot_load(&reader, 0) == KELP_OK)
				(void)!kelp_snapshot_consume(&reader);
		}
		machine.forbid_store = false;
	}
	kelp_snapshot_close(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		uint64_t base, span;
	} layers[4] = {
		{0, 2 * KELP_IMAGE_BLOCK},
		{KELP_IMAGE_HEADER, KELP_IMAGE_BLOCK},
		{KELP_IMAGE_RECORDS, 256},
		{KELP_IMAGE_RECORDS, 32768},
	};
	uint8_t how = size ? data[0] : 0;

	if (!image)
		prepare();
	if (size < 2)
		return 0;
	memcpy(machine.disk.bytes, image, SIZE);
	memcpy(machine.class, class, FRAMES);
	memset(machine.taken, 0, FRAMES);
	machine.config.cipher = how & 1 ? &machine.cipher : &accepts;
	overlay(layers[how >> 1 & 3].base, layers[how >> 1 & 3].span, data + 1, size - 1);
	if (how & 8) {
		for (unsigned block = 0; block < 3; block++)
			kelp_image_seal_block(machine.disk.bytes + block * KELP_IMAGE_BLOCK);
	}
	read_it(how & 16);
	for (uint32_t i = 0; i < FRAMES; i++) {
		if (machine.taken[i] || machine.class[i] != class[i])
			abort();
	}
	if (machine.violated)
		abort();
	return 0;
}
