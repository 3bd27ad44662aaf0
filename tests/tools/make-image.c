/* SPDX-License-Identifier: MIT */
/*
 * make-image DIRECTORY: an image as a kernel writes it, for the tests of `kelp image`:
 * disk (the area), disk.offset (the same, 1 MiB into a file), key, memory (what extract must give),
 * consumed (after a resume), empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <port/codecs/kelp_codecs.h>

#include "machine.h"

#define FRAMES 1000u
#define SIZE   (8u << 20)

static void save(const char *directory, const char *name, size_t hole, const void *bytes,
		 size_t size)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	if (!file || fseek(file, (long)hole, SEEK_SET) != 0 ||
	    fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	static struct machine machine;
	uint8_t *before = malloc((size_t)FRAMES * MACHINE_PAGE);
	uint8_t *class = malloc(FRAMES);
	uint64_t limit = 0;

	if (argc != 2)
		return 2;
	machine_init(&machine, FRAMES, SIZE);
	memset(machine.disk.bytes, 0, SIZE);
	save(argv[1], "empty", 0, machine.disk.bytes, SIZE);
	machine.config.cipher = &kelp_cipher_chacha20_poly1305;
	machine.config.codec = &kelp_codec_lz4;
	machine_buffer(&machine);
	machine_fill(&machine, 2026, 70);
	memcpy(class, machine.class, FRAMES);
	if (machine_save(&machine, NULL, before) != KELP_OK)
		return 1;
	save(argv[1], "disk", 0, machine.disk.bytes, SIZE);
	save(argv[1], "disk.offset", 1u << 20, machine.disk.bytes, SIZE);
	save(argv[1], "key", 0, machine.key, sizeof(machine.key));
	/* What is not in the image is a hole. */
	for (uint64_t i = 0; i < FRAMES; i++) {
		bool saved = class[i] == KELP_SNAPSHOT_SAVE || class[i] == KELP_SNAPSHOT_HOT ||
			     class[i] == KELP_SNAPSHOT_SECRET;

		if (saved)
			limit = i + 1;
		else
			memset(before + i * MACHINE_PAGE, 0, MACHINE_PAGE);
	}
	save(argv[1], "memory", 0, before, (size_t)limit * MACHINE_PAGE);
	machine_reset(&machine, 1, 20);
	if (machine_resume(&machine) != KELP_OK)
		return 1;
	save(argv[1], "consumed", 0, machine.disk.bytes, SIZE);
	return 0;
}
