/* SPDX-License-Identifier: MIT */
/*
 * bench: snapshots to and from memory. A third of the frames is zero, some are uniform, the others
 * compress by about a third. The limit is the codec and the cipher alone, on the same chunks of the
 * pages that have data, on as many threads: elided pages cost it nothing.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <port/codecs/kelp_codecs.h>

#include "bench.h"

#define PAGE        4096u
#define FRAMES      8192u
#define AREA        (FRAMES * (size_t)PAGE + (1u << 20))
#define THREADS_MAX 2u

struct machine {
	uint8_t *memory, *area, *list;
	uint8_t *data; /* pages with data, in a row: what the limit works on */
	uint32_t data_frames;
	void *maps;
	uint8_t key[KELP_IMAGE_KEY];
	uint64_t random;
	struct kelp_port port;
	struct kelp_snapshot_disk disk;
	struct kelp_snapshot_memory hooks;
	struct kelp_snapshot_config config;
	struct kelp_snapshot_writer writer;
	struct kelp_snapshot_reader reader;
	unsigned threads;
};

static struct machine machine;

/* ---- hooks --------------------------------------------------------------------------------- */

static bool area_read(void *context, uint64_t offset, void *buffer, size_t size)
{
	(void)context;
	memcpy(buffer, machine.area + offset, size);
	return true;
}

static bool area_write(void *context, uint64_t offset, const void *buffer, size_t size)
{
	(void)context;
	memcpy(machine.area + offset, buffer, size);
	return true;
}

static bool area_flush(void *context)
{
	(void)context;
	return true;
}

static enum kelp_snapshot_class classify(void *context, kelp_pfn_t first, uint64_t *frames)
{
	(void)context, (void)first, (void)frames;
	return KELP_SNAPSHOT_SAVE;
}

static const void *view(void *context, kelp_pfn_t first, uint64_t *frames)
{
	(void)context, (void)frames;
	return machine.memory + first.number * PAGE;
}

static void *view_writable(void *context, kelp_pfn_t first, uint64_t *frames)
{
	(void)context, (void)frames;
	return machine.memory + first.number * PAGE;
}

static enum kelp_snapshot_home claim(void *context, kelp_pfn_t frame)
{
	(void)context, (void)frame;
	return KELP_SNAPSHOT_HOME_TAKEN;
}

static void give(void *context, kelp_pfn_t frame)
{
	(void)context, (void)frame;
}

static uint64_t next_random(void)
{
	machine.random ^= machine.random << 13;
	machine.random ^= machine.random >> 7;
	return machine.random ^= machine.random << 17;
}

static bool random_bytes(void *context, void *buffer, size_t size)
{
	(void)context;
	for (size_t i = 0; i < size; i++)
		((uint8_t *)buffer)[i] = (uint8_t)next_random();
	return true;
}

static void relax(void *context)
{
	(void)context;
	sched_yield();
}

/* ---- the machine --------------------------------------------------------------------------- */

static void *pages(size_t size)
{
	void *memory = aligned_alloc(1u << 21, (size + (1u << 21) - 1) >> 21 << 21);

	bench_check(memory ? KELP_OK : KELP_ERR_NO_MEMORY, "memory");
	memset(memory, 1, size);
	return memory;
}

static void fill_page(uint8_t *page, uint32_t number)
{
	uint64_t word = next_random();

	if (number / 5 % 3 == 0)
		word = 0;
	else if (number % 29 != 0) {
		/* New words and words seen before, about half each. */
		for (unsigned i = 0; i < PAGE / 8; i++) {
			if (i < 64 || next_random() % 2)
				word = next_random();
			else
				memcpy(&word, page + 8 * (i - 1 - next_random() % 60), 8);
			memcpy(page + 8 * i, &word, 8);
		}
		memcpy(machine.data + (size_t)machine.data_frames++ * PAGE, page, PAGE);
		return;
	}
	for (unsigned i = 0; i < PAGE / 8; i++)
		memcpy(page + 8 * i, &word, 8);
}

static void begin(unsigned threads)
{
	if (!machine.memory) {
		machine.random = 1;
		machine.memory = pages((size_t)FRAMES * PAGE);
		machine.data = pages((size_t)FRAMES * PAGE);
		machine.area = pages(AREA);
		machine.maps = pages(FRAMES);
		for (uint32_t i = 0; i < FRAMES; i++)
			fill_page(machine.memory + (size_t)i * PAGE, i);
	}
	machine.disk = (struct kelp_snapshot_disk){
		.size = AREA, .read = area_read, .write = area_write, .flush = area_flush};
	machine.hooks = (struct kelp_snapshot_memory){
		.page_shift = 12,
		.frame_limit = FRAMES,
		.classify = classify,
		.view = view,
		.view_writable = view_writable,
		.claim = claim,
		.give = give,
	};
	machine.threads = threads;
	machine.config = (struct kelp_snapshot_config){
		.port = &machine.port,
		.disk = &machine.disk,
		.memory = &machine.hooks,
		.codec = &kelp_codec_lz4,
		.cipher = &kelp_cipher_chacha20_poly1305,
		.random = random_bytes,
		.key = machine.key,
		.workers = threads,
		.relax = relax,
	};
	machine.config.buffer_size = kelp_snapshot_memory_size(&machine.config);
	machine.config.buffer = pages(machine.config.buffer_size);
}

static void end(void)
{
	free(machine.config.buffer);
}

/* ---- threads ------------------------------------------------------------------------------- */

struct job {
	void (*work)(unsigned number);
	unsigned number;
};

static void *run_job(void *argument)
{
	const struct job *job = argument;

	job->work(job->number);
	return NULL;
}

static void on_threads(void (*work)(unsigned number))
{
	pthread_t thread[THREADS_MAX];
	struct job job[THREADS_MAX];

	for (unsigned i = 1; i < machine.threads; i++) {
		job[i] = (struct job){work, i};
		if (pthread_create(&thread[i], NULL, run_job, &job[i]) != 0)
			bench_check(KELP_ERR_NO_MEMORY, "thread");
	}
	work(0);
	for (unsigned i = 1; i < machine.threads; i++)
		pthread_join(thread[i], NULL);
}

/* MiB of memory per second. */
static double rate(double started)
{
	return (double)FRAMES * PAGE / (double)BENCH_MIB / ((bench_now() - started) / 1e9);
}

/* ---- the limit ----------------------------------------------------------------------------- */

#define CHUNK (64u * PAGE)

/* Sealed chunks, for the way back. */
static uint8_t *sealed;
static size_t sealed_size[FRAMES / 64 + 1];
static uint8_t sealed_tag[FRAMES / 64 + 1][KELP_IMAGE_TAG];
static const uint8_t zero_nonce[KELP_IMAGE_NONCE];

static uint32_t chunks(void)
{
	return (machine.data_frames + 63u) / 64u;
}

static size_t chunk_size(uint32_t chunk)
{
	size_t left = ((size_t)machine.data_frames - chunk * 64u) * PAGE;

	return left < CHUNK ? left : CHUNK;
}

static void pack(unsigned number)
{
	const struct kelp_snapshot_cipher *cipher = machine.config.cipher;
	void *workspace = pages(kelp_codec_lz4.workspace);

	for (uint32_t i = number; i < chunks(); i += machine.threads) {
		uint8_t *to = sealed + (size_t)i * CHUNK;
		size_t size = chunk_size(i);

		sealed_size[i] = kelp_codec_lz4.compress(NULL, workspace, to, size - 1,
							 machine.data + (size_t)i * CHUNK, size);
		bench_check(sealed_size[i] ? KELP_OK : KELP_ERR_NO_MEMORY, "does not compress");
		cipher->seal(NULL, machine.key, zero_nonce, NULL, 0, to, sealed_size[i],
			     sealed_tag[i]);
	}
	free(workspace);
}

static void unpack(unsigned number, bool all)
{
	const struct kelp_snapshot_cipher *cipher = machine.config.cipher;
	uint8_t *to = pages(CHUNK), *from = pages(CHUNK);

	for (uint32_t i = number; i < chunks(); i += machine.threads) {
		size_t size = sealed_size[i];
		bool good;

		/* In place: from a copy, as it comes from a disk. */
		memcpy(from, sealed + (size_t)i * CHUNK, size);
		good = all ? cipher->open(NULL, machine.key, zero_nonce, NULL, 0, from, size,
					  sealed_tag[i]) &&
				     kelp_codec_lz4.expand(NULL, to, chunk_size(i), from, size)
			   : cipher->check(NULL, machine.key, zero_nonce, NULL, 0, from, size, 0,
					   sealed_tag[i]);
		bench_check(good ? KELP_OK : KELP_ERR_DAMAGED, "the limit's chunks");
	}
	free(to);
	free(from);
}

static void unpack_all(unsigned number)
{
	unpack(number, true);
}

static void unpack_tags(unsigned number)
{
	unpack(number, false);
}

static double limit(void (*work)(unsigned number))
{
	double started;

	if (!sealed) {
		sealed = pages((size_t)(FRAMES / 64 + 1) * CHUNK);
		on_threads(pack);
	}
	started = bench_now();
	on_threads(work);
	return rate(started);
}

/* ---- cases --------------------------------------------------------------------------------- */

static void work_write(unsigned number)
{
	bench_check(kelp_snapshot_write(&machine.writer, number), "write");
}

static void work_verify(unsigned number)
{
	bench_check(kelp_snapshot_verify(&machine.reader, number), "verify");
}

static void work_load(unsigned number)
{
	bench_check(kelp_snapshot_load(&machine.reader, number), "load");
}

/* From the freeze to the last flush. */
static double write_image(void)
{
	double started;

	bench_check(kelp_snapshot_begin(&machine.writer, &machine.config, NULL, 0), "begin");
	started = bench_now();
	bench_check(kelp_snapshot_freeze(&machine.writer), "freeze");
	on_threads(work_write);
	bench_check(kelp_snapshot_commit(&machine.writer, NULL), "commit");
	return rate(started);
}

static void open_image(void)
{
	bench_check(kelp_snapshot_open(&machine.reader, &machine.config), "open");
	bench_check(kelp_snapshot_maps(&machine.reader, machine.maps, machine.reader.map_size),
		    "maps");
}

static void write_on(unsigned threads, struct bench_sample *s)
{
	begin(threads);
	s->value = write_image();
	kelp_snapshot_end(&machine.writer);
	s->limit = limit(pack);
	end();
}

static void verify_on(unsigned threads, struct bench_sample *s)
{
	double started;

	begin(threads);
	write_image();
	kelp_snapshot_end(&machine.writer);
	open_image();
	started = bench_now();
	on_threads(work_verify);
	s->value = rate(started);
	kelp_snapshot_close(&machine.reader);
	s->limit = limit(unpack_tags);
	end();
}

/* The second pass: to the frames. */
static void load_on(unsigned threads, struct bench_sample *s)
{
	double started;

	begin(threads);
	write_image();
	kelp_snapshot_end(&machine.writer);
	open_image();
	on_threads(work_verify);
	bench_check(kelp_snapshot_claim(&machine.reader), "claim");
	bench_check(kelp_snapshot_place(&machine.reader, NULL, 0), "place");
	started = bench_now();
	on_threads(work_load);
	s->value = rate(started);
	bench_check(kelp_snapshot_consume(&machine.reader), "consume");
	s->limit = limit(unpack_all);
	end();
}

#define CASES(what)                                                                                \
	static void what##_1(struct bench *b, struct bench_sample *s)                              \
	{                                                                                          \
		(void)b;                                                                           \
		what##_on(1, s);                                                                   \
	}                                                                                          \
	static void what##_2(struct bench *b, struct bench_sample *s)                              \
	{                                                                                          \
		(void)b;                                                                           \
		what##_on(2, s);                                                                   \
	}
CASES(write)
CASES(verify)
CASES(load)

const struct bench_case bench_snapshot_cases[] = {
	{"snapshot_write", "MiB/s", "LZ4 + cipher", write_1},
	{"snapshot_write_2", "MiB/s", "LZ4 + cipher, 2 threads", write_2},
	{"snapshot_verify", "MiB/s", "tags alone", verify_1},
	{"snapshot_verify_2", "MiB/s", "tags alone, 2 threads", verify_2},
	{"snapshot_load", "MiB/s", "cipher + LZ4", load_1},
	{"snapshot_load_2", "MiB/s", "cipher + LZ4, 2 threads", load_2},
};
const size_t bench_snapshot_count = sizeof(bench_snapshot_cases) / sizeof(bench_snapshot_cases[0]);
