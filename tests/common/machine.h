/* SPDX-License-Identifier: MIT */
/*
 * machine: a machine for snapshots: frames of every class, a disk in memory, and hooks that fail
 * the nth time. The cipher here is a toy that authenticates well enough for tests and is fast; the
 * shipped one has tests of its own.
 */
#ifndef TESTS_COMMON_MACHINE_H
#define TESTS_COMMON_MACHINE_H

#include <setjmp.h>

#include <kelp/kelp.h>

#define MACHINE_PAGE 4096u

struct machine_disk {
	uint8_t *bytes;
	uint64_t size;
	uint64_t reads, writes, flushes;
	bool pending[KELP_SNAPSHOT_SLOTS];
	bool result[KELP_SNAPSHOT_SLOTS];
};

enum machine_hook {
	MACHINE_DISK_READ,
	MACHINE_DISK_WRITE,
	MACHINE_DISK_FLUSH,
	MACHINE_DISK_START,
	MACHINE_DISK_FINISH,
	MACHINE_RANDOM,
	MACHINE_TAKE,
	MACHINE_FRAME_READ,
	MACHINE_FRAME_WRITE,
	MACHINE_CLAIM,
	MACHINE_EXPAND,
	MACHINE_PROGRESS,
	MACHINE_HOOKS,
};

struct machine {
	uint32_t frames;
	uint8_t *memory;        /* of all frames */
	uint8_t *class;         /* enum kelp_snapshot_class */
	uint8_t *hidden;        /* not in the direct map: read and write alone reach it */
	uint8_t *taken;         /* by claim or take, and not given back */
	uint64_t stores;        /* frames handed out for writing, or written */
	bool forbid_store;      /* a store is a failure now */
	bool violated;

	struct kelp_port port;
	struct kelp_snapshot_memory hooks;
	struct kelp_snapshot_disk disk_hooks;
	struct kelp_snapshot_cipher cipher;
	struct kelp_snapshot_codec codec;
	struct machine_disk disk;
	uint8_t key[KELP_IMAGE_KEY];
	uint64_t random;        /* state of the generator: the same output for the same value */
	struct kelp_snapshot_relocation hot[64];
	struct kelp_snapshot_config config;
	void *buffer, *maps;
	struct kelp_snapshot_relocation *list;

	uint64_t calls[MACHINE_HOOKS];
	/* The call of `fail_hook` that fails, from 1; 0: none does. */
	enum machine_hook fail_hook;
	uint64_t fail_at;
	bool fail_for_ever;
	bool failed;

	bool panic_armed;
	jmp_buf panic_jump;
	const char *panic_what;
};

/* `frames` frames, all NONE; ends the program when the host has no memory. */
void machine_init(struct machine *machine, uint32_t frames, uint64_t disk_size);
void machine_free(struct machine *machine);

/* A mixture of classes and contents, made from `seed`, with `percent` of the frames in use. */
void machine_fill(struct machine *machine, uint64_t seed, unsigned percent);

/* The same hardware after a reset: memory is garbage, `used` frames are the new kernel's. */
void machine_reset(struct machine *machine, uint64_t seed, uint32_t used);

/* Gives config.buffer its memory, after a change of the config. */
void machine_buffer(struct machine *machine);

/* Page `number`'s memory. */
uint8_t *machine_page(const struct machine *machine, uint64_t number);
/* Contents that tell frames and words apart and compress a little. */
void machine_scribble(uint8_t *page, uint64_t seed);

/* plan to commit, on one worker. With `before`: a copy of memory as it was at the freeze. */
enum kelp_status machine_save(struct machine *machine, struct kelp_image_totals *totals,
			      uint8_t *before);
/* open to consume, on one worker; then relocates. */
enum kelp_status machine_resume(struct machine *machine);

/* Does the memory of every saved frame agree with `before`? The first that does not, or frames. */
uint32_t machine_compare(const struct machine *machine, const uint8_t *before,
			 const uint8_t *class);

#endif
