/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t value)
{
	value += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static bool fails(struct machine *machine, enum machine_hook hook)
{
	uint64_t call = __atomic_add_fetch(&machine->calls[hook], 1, __ATOMIC_RELAXED);

	if (machine->fail_at == 0 || hook != machine->fail_hook || call < machine->fail_at ||
	    (call > machine->fail_at && !machine->fail_for_ever))
		return false;
	machine->failed = true;
	return true;
}

/* ---- frames -------------------------------------------------------------------------------- */

uint8_t *machine_page(const struct machine *machine, uint64_t number)
{
	if (number >= machine->frames)
		abort();
	return machine->memory + number * MACHINE_PAGE;
}

void machine_scribble(uint8_t *page, uint64_t seed)
{
	/* Half of it is the same words again, as in much of memory. */
	for (unsigned i = 0; i < MACHINE_PAGE / 8; i++) {
		uint64_t word = mix(seed * 512 + (i & 1u ? i : i / 16));

		memcpy(page + 8 * i, &word, 8);
	}
}

static enum kelp_snapshot_class classify(void *context, kelp_pfn_t first, uint64_t *frames)
{
	struct machine *machine = context;
	uint64_t n = 1;

	while (first.number + n < machine->frames &&
	       machine->class[first.number + n] == machine->class[first.number])
		n++;
	*frames = n;
	return (enum kelp_snapshot_class)machine->class[first.number];
}

static void *look(struct machine *machine, kelp_pfn_t first, uint64_t *frames)
{
	uint64_t n = 0;

	while (n < *frames && first.number + n < machine->frames &&
	       !machine->hidden[first.number + n])
		n++;
	*frames = n;
	return n ? machine_page(machine, first.number) : NULL;
}

static const void *view(void *context, kelp_pfn_t first, uint64_t *frames)
{
	return look(context, first, frames);
}

static void check_store(struct machine *machine, uint64_t number)
{
	__atomic_add_fetch(&machine->stores, 1, __ATOMIC_RELAXED);
	if (machine->forbid_store || !machine->taken[number])
		machine->violated = true;
}

static void *view_writable(void *context, kelp_pfn_t first, uint64_t *frames)
{
	void *page = look(context, first, frames);

	if (page)
		check_store(context, first.number);
	return page;
}

static enum kelp_status read_frame(void *context, unsigned worker, kelp_pfn_t frame, void *buffer)
{
	(void)worker;
	if (fails(context, MACHINE_FRAME_READ))
		return KELP_ERR_ADDRESS;
	memcpy(buffer, machine_page(context, frame.number), MACHINE_PAGE);
	return KELP_OK;
}

static enum kelp_status write_frame(void *context, unsigned worker, kelp_pfn_t frame,
				    const void *buffer)
{
	(void)worker;
	if (fails(context, MACHINE_FRAME_WRITE))
		return KELP_ERR_ADDRESS;
	check_store(context, frame.number);
	memcpy(machine_page(context, frame.number), buffer, MACHINE_PAGE);
	return KELP_OK;
}

static enum kelp_snapshot_home claim(void *context, kelp_pfn_t frame)
{
	struct machine *machine = context;

	if (fails(machine, MACHINE_CLAIM) || frame.number >= machine->frames ||
	    machine->class[frame.number] == KELP_SNAPSHOT_NONE)
		return KELP_SNAPSHOT_HOME_MISSING;
	if (machine->class[frame.number] != KELP_SNAPSHOT_FREE)
		return KELP_SNAPSHOT_HOME_IN_USE;
	machine->class[frame.number] = KELP_SNAPSHOT_NO_SAVE;
	machine->taken[frame.number] = 1;
	return KELP_SNAPSHOT_HOME_TAKEN;
}

static bool take(void *context, kelp_pfn_t *frame)
{
	struct machine *machine = context;

	if (fails(machine, MACHINE_TAKE))
		return false;
	for (uint32_t i = 0; i < machine->frames; i++) {
		if (machine->class[i] != KELP_SNAPSHOT_FREE)
			continue;
		machine->class[i] = KELP_SNAPSHOT_NO_SAVE;
		machine->taken[i] = 1;
		frame->number = i;
		return true;
	}
	return false;
}

static void give(void *context, kelp_pfn_t frame)
{
	struct machine *machine = context;

	if (!machine->taken[frame.number])
		machine->violated = true;
	machine->taken[frame.number] = 0;
	machine->class[frame.number] = KELP_SNAPSHOT_FREE;
}

/* ---- the disk ------------------------------------------------------------------------------ */

static bool disk_read(void *context, uint64_t offset, void *buffer, size_t size)
{
	struct machine *machine = context;
	struct machine_disk *disk = &machine->disk;

	disk->reads++;
	if (offset % KELP_IMAGE_BLOCK || size % KELP_IMAGE_BLOCK || offset > disk->size ||
	    size > disk->size - offset || fails(machine, MACHINE_DISK_READ))
		return false;
	memcpy(buffer, disk->bytes + offset, size);
	return true;
}

static bool disk_write(void *context, uint64_t offset, const void *buffer, size_t size)
{
	struct machine *machine = context;
	struct machine_disk *disk = &machine->disk;

	disk->writes++;
	if (offset % KELP_IMAGE_BLOCK || size % KELP_IMAGE_BLOCK || offset > disk->size ||
	    size > disk->size - offset || fails(machine, MACHINE_DISK_WRITE))
		return false;
	memcpy(disk->bytes + offset, buffer, size);
	return true;
}

static bool disk_flush(void *context)
{
	struct machine *machine = context;

	machine->disk.flushes++;
	return !fails(machine, MACHINE_DISK_FLUSH);
}

/* Carried out at once; what matters is that each start has its finish. */
static bool disk_start(void *context, unsigned slot, bool write, uint64_t offset, void *buffer,
		       size_t size)
{
	struct machine *machine = context;

	if (slot >= KELP_SNAPSHOT_SLOTS || machine->disk.pending[slot])
		machine->violated = true;
	if (fails(machine, MACHINE_DISK_START))
		return false;
	machine->disk.pending[slot] = true;
	machine->disk.result[slot] = write ? disk_write(machine, offset, buffer, size)
					   : disk_read(machine, offset, buffer, size);
	return true;
}

static bool disk_finish(void *context, unsigned slot)
{
	struct machine *machine = context;

	if (!machine->disk.pending[slot])
		machine->violated = true;
	machine->disk.pending[slot] = false;
	return !fails(machine, MACHINE_DISK_FINISH) && machine->disk.result[slot];
}

/* ---- codec and cipher ---------------------------------------------------------------------- */

/* Words that repeat the one 16 words before become a count: enough to have both kinds of records. */
static size_t compress(void *context, void *workspace, void *to, size_t room, const void *from,
		       size_t size)
{
	const uint8_t *at = from;
	uint8_t *out = to;
	size_t used = 0;

	(void)context;
	memset(workspace, 0x5a, 64);
	for (size_t i = 0; i < size; i += 8) {
		bool again = i >= 16 && memcmp(at + i, at + i - 16, 8) == 0;

		if (used + (again ? 1u : 9u) > room)
			return 0;
		out[used++] = again;
		if (again)
			continue;
		memcpy(out + used, at + i, 8);
		used += 8;
	}
	return used;
}

static bool expand(void *context, void *to, size_t size, const void *from, size_t from_size)
{
	const uint8_t *in = from;
	uint8_t *out = to;
	size_t done = 0, at = 0;

	if (fails(context, MACHINE_EXPAND))
		return false;
	while (at < from_size) {
		bool again = in[at++];

		if (done + 8 > size || (again && done < 16) || (!again && from_size - at < 8))
			return false;
		memmove(out + done, again ? out + done - 16 : in + at, 8);
		at += again ? 0 : 8;
		done += 8;
	}
	return done == size;
}

static uint64_t absorb(uint64_t state, const uint8_t *bytes, size_t size)
{
	uint64_t word;

	for (; size >= 8; bytes += 8, size -= 8) {
		memcpy(&word, bytes, 8);
		state = mix(state ^ word);
	}
	for (; size > 0; bytes++, size--)
		state = mix(state ^ *bytes ^ 0x100u);
	return state;
}

static void make_tag(const uint8_t *key, const uint8_t *nonce, const void *aad, size_t aad_size,
		     const void *data, size_t size, uint8_t *tag)
{
	uint64_t a = absorb(mix(size), key, KELP_IMAGE_KEY), b;

	a = absorb(a, nonce, KELP_IMAGE_NONCE);
	a = absorb(a, aad, aad_size);
	a = absorb(mix(a ^ aad_size), data, size);
	b = mix(a);
	memcpy(tag, &a, 8);
	memcpy(tag + 8, &b, 8);
}

static void crypt(const uint8_t *key, const uint8_t *nonce, uint8_t *data, size_t size)
{
	uint64_t state = absorb(absorb(7, key, KELP_IMAGE_KEY), nonce, KELP_IMAGE_NONCE);
	size_t i = 0;

	for (; i + 8 <= size; i += 8) {
		uint64_t word;

		memcpy(&word, data + i, 8);
		word ^= state += UINT64_C(0x9e3779b97f4a7c15);
		memcpy(data + i, &word, 8);
	}
	for (; i < size; i++)
		data[i] ^= (uint8_t)(state >> (8 * (i & 7)));
}

static void seal(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		 size_t aad_size, void *data, size_t size, uint8_t *tag)
{
	(void)context;
	crypt(key, nonce, data, size);
	make_tag(key, nonce, aad, aad_size, data, size, tag);
}

static bool open(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		 size_t aad_size, void *data, size_t size, const uint8_t *tag)
{
	uint8_t expected[KELP_IMAGE_TAG];

	(void)context;
	make_tag(key, nonce, aad, aad_size, data, size, expected);
	if (memcmp(expected, tag, sizeof(expected)) != 0)
		return false;
	crypt(key, nonce, data, size);
	return true;
}

static bool check(void *context, const uint8_t *key, const uint8_t *nonce, const void *aad,
		  size_t aad_size, void *data, size_t size, size_t clear, const uint8_t *tag)
{
	uint8_t expected[KELP_IMAGE_TAG];

	(void)context;
	make_tag(key, nonce, aad, aad_size, data, size, expected);
	if (clear % 8 != 0 || memcmp(expected, tag, sizeof(expected)) != 0)
		return false;
	crypt(key, nonce, data, clear);
	return true;
}

static bool random_bytes(void *context, void *buffer, size_t size)
{
	struct machine *machine = context;
	uint8_t *byte = buffer;

	if (fails(machine, MACHINE_RANDOM))
		return false;
	for (size_t i = 0; i < size; i++)
		byte[i] = (uint8_t)(machine->random = mix(machine->random));
	return true;
}

static bool progress(void *context, const struct kelp_snapshot_progress *at)
{
	struct machine *machine = context;

	if (at->frames > at->frames_total)
		machine->violated = true;
	return !fails(machine, MACHINE_PROGRESS);
}

/* ---- the machine --------------------------------------------------------------------------- */

static void panicked(void *context, const char *what, const char *where)
{
	struct machine *machine = context;

	machine->panic_what = what;
	if (machine->panic_armed) {
		machine->panic_armed = false;
		longjmp(machine->panic_jump, 1);
	}
	fprintf(stderr, "panic: %s (%s)\n", what, where);
	abort();
}

static void *allocate(size_t size)
{
	size_t whole = (size + KELP_IMAGE_BLOCK - 1u) / KELP_IMAGE_BLOCK * KELP_IMAGE_BLOCK;
	void *memory = aligned_alloc(KELP_IMAGE_BLOCK, whole ? whole : KELP_IMAGE_BLOCK);

	if (!memory)
		abort();
	memset(memory, 0xee, whole);
	return memory;
}

void machine_buffer(struct machine *machine)
{
	free(machine->buffer);
	machine->config.buffer_size = kelp_snapshot_memory_size(&machine->config);
	machine->buffer = allocate(machine->config.buffer_size);
	machine->config.buffer = machine->buffer;
}

static void init_hooks(struct machine *machine)
{
	machine->port = (struct kelp_port){.context = machine, .panic = panicked};
	machine->hooks = (struct kelp_snapshot_memory){
		.context = machine,
		.page_shift = 12,
		.frame_limit = machine->frames,
		.classify = classify,
		.reach_context = machine,
		.view = view,
		.view_writable = view_writable,
		.read = read_frame,
		.write = write_frame,
		.claim = claim,
		.take = take,
		.give = give,
	};
	machine->disk_hooks = (struct kelp_snapshot_disk){
		.context = machine,
		.size = machine->disk.size,
		.read = disk_read,
		.write = disk_write,
		.flush = disk_flush,
		.start = disk_start,
		.finish = disk_finish,
	};
	machine->cipher = (struct kelp_snapshot_cipher){
		.context = machine, .id = KELP_IMAGE_CHACHA20_POLY1305, .seal = seal, .open = open,
		.check = check};
	machine->codec = (struct kelp_snapshot_codec){
		.context = machine,
		.id = KELP_IMAGE_LZ4,
		.workspace = 64,
		.compress = compress,
		.expand = expand,
	};
}

void machine_init(struct machine *machine, uint32_t frames, uint64_t disk_size)
{
	memset(machine, 0, sizeof(*machine));
	machine->frames = frames;
	machine->memory = allocate((size_t)frames * MACHINE_PAGE);
	machine->class = calloc(frames, 1);
	machine->hidden = calloc(frames, 1);
	machine->taken = calloc(frames, 1);
	machine->disk.size = disk_size;
	machine->disk.bytes = allocate((size_t)disk_size);
	machine->list = calloc(frames, sizeof(*machine->list));
	machine->random = 1;
	for (unsigned i = 0; i < sizeof(machine->key); i++)
		machine->key[i] = (uint8_t)(i * 7 + 1);
	init_hooks(machine);
	machine->config = (struct kelp_snapshot_config){
		.port = &machine->port,
		.disk = &machine->disk_hooks,
		.memory = &machine->hooks,
		.codec = &machine->codec,
		.cipher = &machine->cipher,
		.random = random_bytes,
		.random_context = machine,
		.key = machine->key,
		.identity = {.kernel = "kernel", .memory = "memory", .cpu_features = "a",
			     .cpus = 2},
		.generation = 5,
		.chunk_frames = 8,
		.io_size = 8192,
		.hot = machine->hot,
		.hot_capacity = 64,
		.progress = progress,
		.progress_context = machine,
	};
	machine_buffer(machine);
}

void machine_free(struct machine *machine)
{
	free(machine->memory);
	free(machine->class);
	free(machine->hidden);
	free(machine->taken);
	free(machine->disk.bytes);
	free(machine->buffer);
	free(machine->maps);
	free(machine->list);
}

static void fill_page(struct machine *machine, uint32_t number, uint64_t choice)
{
	uint8_t *page = machine_page(machine, number);
	uint64_t word = choice >> 20;

	switch (choice % 10) {
	case 0:
	case 1:
	case 2:
		memset(page, 0, MACHINE_PAGE);
		break;
	case 3:
		for (unsigned i = 0; i < MACHINE_PAGE / 8; i++)
			memcpy(page + 8 * i, &word, 8);
		break;
	case 4: /* all but one byte */
		memset(page, 0, MACHINE_PAGE);
		page[word % MACHINE_PAGE] = 1;
		break;
	case 5: /* nothing repeats */
		for (unsigned i = 0; i < MACHINE_PAGE / 8; i++) {
			word = mix(word);
			memcpy(page + 8 * i, &word, 8);
		}
		break;
	default:
		machine_scribble(page, choice);
	}
}

void machine_fill(struct machine *machine, uint64_t seed, unsigned percent)
{
	static const uint8_t others[] = {
		KELP_SNAPSHOT_HOT, KELP_SNAPSHOT_SECRET, KELP_SNAPSHOT_NO_SAVE,
		KELP_SNAPSHOT_DEVICE, KELP_SNAPSHOT_NONE,
	};
	unsigned hot = 0;

	for (uint32_t i = 0; i < machine->frames; i++) {
		uint64_t choice = mix(seed * 1000003 + i / 3), own = mix(choice + i);

		machine->taken[i] = 0;
		machine->class[i] = choice % 100 < percent ? KELP_SNAPSHOT_SAVE
							   : KELP_SNAPSHOT_FREE;
		if (own % 11 == 0)
			machine->class[i] = others[own / 11 % sizeof(others)];
		if (machine->class[i] == KELP_SNAPSHOT_HOT && ++hot > 40)
			machine->class[i] = KELP_SNAPSHOT_SAVE;
		machine->hidden[i] = own % 7 == 0 || machine->class[i] == KELP_SNAPSHOT_SECRET;
		fill_page(machine, i, own);
	}
}

void machine_reset(struct machine *machine, uint64_t seed, uint32_t used)
{
	for (uint32_t i = 0; i < machine->frames; i++) {
		machine->taken[i] = 0;
		machine->hidden[i] = mix(seed + i) % 5 == 0;
		memset(machine_page(machine, i), 0xd0, MACHINE_PAGE);
		if (machine->class[i] != KELP_SNAPSHOT_NONE &&
		    machine->class[i] != KELP_SNAPSHOT_DEVICE)
			machine->class[i] = KELP_SNAPSHOT_FREE;
	}
	for (uint32_t n = 0; n < used; n++) {
		uint32_t i = (uint32_t)(mix(seed ^ (n + 1000)) % machine->frames);

		if (machine->class[i] == KELP_SNAPSHOT_FREE)
			machine->class[i] = KELP_SNAPSHOT_SAVE;
	}
}

/* ---- whole runs ---------------------------------------------------------------------------- */

enum kelp_status machine_save(struct machine *machine, struct kelp_image_totals *totals,
			      uint8_t *before)
{
	static const char payload[] = "where the registers are";
	struct kelp_snapshot_writer writer;
	struct kelp_snapshot_counts counts;
	enum kelp_status status;

	status = kelp_snapshot_plan(&machine->config, &counts);
	if (status == KELP_OK)
		status = kelp_snapshot_begin(&writer, &machine->config, payload, sizeof(payload));
	if (status != KELP_OK)
		return status;
	if (before)
		memcpy(before, machine->memory, (size_t)machine->frames * MACHINE_PAGE);
	status = kelp_snapshot_freeze(&writer);
	/* What is hot goes on to change. */
	for (uint32_t i = 0; i < machine->frames; i++) {
		if (machine->class[i] == KELP_SNAPSHOT_HOT)
			memset(machine_page(machine, i), 0x77, MACHINE_PAGE);
	}
	if (status == KELP_OK)
		status = kelp_snapshot_write(&writer, 0);
	if (status == KELP_OK)
		status = kelp_snapshot_commit(&writer, totals);
	kelp_snapshot_end(&writer);
	return status;
}

enum kelp_status machine_resume(struct machine *machine)
{
	struct kelp_snapshot_reader reader;
	enum kelp_status status = kelp_snapshot_open(&reader, &machine->config);

	if (status != KELP_OK)
		return status;
	free(machine->maps);
	machine->maps = allocate(reader.map_size);
	status = kelp_snapshot_maps(&reader, machine->maps, reader.map_size);
	machine->forbid_store = true;
	if (status == KELP_OK)
		status = kelp_snapshot_verify(&reader, 0);
	if (status == KELP_OK)
		status = kelp_snapshot_claim(&reader);
	if (status == KELP_OK)
		status = kelp_snapshot_place(&reader, machine->list, machine->frames);
	machine->forbid_store = false;
	if (status == KELP_OK)
		status = kelp_snapshot_load(&reader, 0);
	if (status == KELP_OK)
		status = kelp_snapshot_consume(&reader);
	if (status != KELP_OK) {
		kelp_snapshot_close(&reader);
		return status;
	}
	for (uint64_t i = 0; i < reader.relocations; i++)
		memcpy(machine_page(machine, reader.relocation[i].to.number),
		       machine_page(machine, reader.relocation[i].from.number), MACHINE_PAGE);
	return KELP_OK;
}

uint32_t machine_compare(const struct machine *machine, const uint8_t *before,
			 const uint8_t *class)
{
	for (uint32_t i = 0; i < machine->frames; i++) {
		if (class[i] != KELP_SNAPSHOT_SAVE && class[i] != KELP_SNAPSHOT_HOT &&
		    class[i] != KELP_SNAPSHOT_SECRET)
			continue;
		if (memcmp(machine_page(machine, i), before + (size_t)i * MACHINE_PAGE,
			   MACHINE_PAGE) != 0)
			return i;
	}
	return machine->frames;
}
