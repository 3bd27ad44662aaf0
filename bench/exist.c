/* SPDX-License-Identifier: MIT */
/* bench: floor 2. No table format is in it. */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define PAGE_SHIFT 12u
#define SUBSECTION UINT64_C(512) /* frames */
#define READERS_MAX 2u

/* A descriptor of the usual size. */
struct page {
	uint64_t frame;
	uint64_t mine[7];
};

struct exist {
	struct kelp_memmap map;
	struct kelp_hotplug plug;
	struct kelp_port port;
	void *memory;
};

/* ---- a small embedder ---------------------------------------------------------------------- */

static void *take(void *context, enum kelp_memmap_memory what, size_t size)
{
	(void)context, (void)what;
	return aligned_alloc(64, (size + 63u) & ~(size_t)63u);
}

static void give(void *context, enum kelp_memmap_memory what, void *memory, size_t size)
{
	(void)context, (void)what, (void)size;
	free(memory);
}

static enum kelp_status isolate(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)first, (void)frames;
	return KELP_OK;
}

static void give_back(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)first, (void)frames;
}

static void panic(void *context, const char *what, const char *where)
{
	(void)context;
	fprintf(stderr, "kelp-bench: %s (%s)\n", what, where);
	abort();
}

/* Every thread of this process executes a full fence. */
static void barrier(void *context)
{
	(void)context;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
		fprintf(stderr, "kelp-bench: membarrier: %s\n", strerror(errno));
		exit(1);
	}
}

static bool have_membarrier(void)
{
	static int have = -1;

	if (have < 0)
		have = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) ==
		       0;
	return have;
}

static void exist_begin(struct exist *e, size_t descriptor_size, bool asymmetric)
{
	struct kelp_memmap_config config = {
		.port = &e->port,
		.page_shift = PAGE_SHIFT,
		.physical_bits = 46,
		.descriptor_size = descriptor_size,
		.frame_bytes = 8,
		.holds = {.cpus = 1 + READERS_MAX},
		.take = take,
		.give = give,
	};
	const struct kelp_hotplug_hooks hooks = {.isolate = isolate, .give_back = give_back};
	size_t size;

	e->port = (struct kelp_port){.panic = panic};
	if (asymmetric && have_membarrier())
		config.holds.barrier = barrier;
	bench_check(kelp_memmap_size(&config, &size), "memmap");
	e->memory = aligned_alloc(64, (size + 63u) & ~(size_t)63u);
	bench_check(e->memory ? KELP_OK : KELP_ERR_NO_MEMORY, "memmap");
	config.memory = e->memory;
	bench_check(kelp_memmap_init(&e->map, &config), "memmap");
	bench_check(kelp_hotplug_init(&e->plug, &e->map, &hooks), "hotplug");
}

static void exist_end(struct exist *e)
{
	kelp_memmap_destroy(&e->map);
	free(e->memory);
}

static kelp_pfn_t frame(uint64_t number)
{
	return (kelp_pfn_t){number};
}

static void add_online(struct exist *e, uint64_t first, uint64_t frames)
{
	bench_check(kelp_hotplug_add(&e->plug, frame(first), frames, 0, 0), "add");
	bench_check(kelp_hotplug_online(&e->plug, frame(first), frames), "online");
}

/* ---- frame and descriptor ------------------------------------------------------------------- */

/* Frames of 1 GiB in random order; the limit: the same with one flat array. */
static void pfn_to_page(struct bench *b, struct bench_sample *s)
{
	const unsigned calls = 1u << 16;
	struct page *flat = b->limit_memory;
	struct exist e;
	uintptr_t sum = 0;
	double start;

	exist_begin(&e, sizeof(struct page), false);
	add_online(&e, 0, BENCH_PAGES);
	start = bench_now();
	for (unsigned i = 0; i < calls; i++)
		sum += (uintptr_t)kelp_pfn_to_page(&e.map, frame(b->order[i]));
	s->value = (bench_now() - start) / calls;
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		sum += (uintptr_t)&flat[b->order[i]];
		__asm__ volatile("" : "+r"(sum));
	}
	s->limit = (bench_now() - start) / calls;
	bench_use(&sum);
	exist_end(&e);
}

/* Descriptors of 2 MiB, in the cache; the limit: a load from each. */
static void page_to_pfn(struct bench *b, struct bench_sample *s)
{
	const unsigned calls = 1u << 16;
	struct exist e;
	const struct page *first;
	uint64_t sum = 0;
	double start;

	exist_begin(&e, sizeof(struct page), false);
	add_online(&e, 0, SUBSECTION);
	first = kelp_pfn_to_page(&e.map, frame(0));
	start = bench_now();
	for (unsigned i = 0; i < calls; i++)
		sum += kelp_page_to_pfn(&e.map, &first[b->order[i] % SUBSECTION]).number;
	s->value = (bench_now() - start) / calls;
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		sum += first[b->order[i] % SUBSECTION].mine[0];
		__asm__ volatile("" : "+r"(sum));
	}
	s->limit = (bench_now() - start) / calls;
	bench_use(&sum);
	exist_end(&e);
}

/* ---- holds ------------------------------------------------------------------------------------- */

#define PAIRS (1u << 17)

static double empty_pairs(struct exist *e, unsigned calls)
{
	struct kelp_hold hold = {0};
	unsigned status = 0;
	double start = bench_now(), spent;

	for (unsigned i = 0; i < calls; i++) {
		status |= bench_empty_hold(&e->map, 0, frame(i & 511u), &hold);
		bench_empty_release(&e->map, 0, &hold);
	}
	spent = bench_now() - start;
	bench_check((enum kelp_status)status, "empty call");
	return spent / calls;
}

static double pairs(struct exist *e, uint32_t cpu, unsigned calls)
{
	struct kelp_hold hold;
	unsigned status = 0;
	double start = bench_now(), spent;

	for (unsigned i = 0; i < calls; i++) {
		status |= kelp_page_hold_online(&e->map, cpu, frame(i & 511u), &hold);
		kelp_page_release(&e->map, cpu, &hold);
	}
	spent = bench_now() - start;
	bench_check((enum kelp_status)status, "hold");
	return spent / calls;
}

static void hold_one(struct bench_sample *s, bool asymmetric)
{
	struct exist e;

	exist_begin(&e, sizeof(struct page), asymmetric);
	add_online(&e, 0, SUBSECTION);
	s->value = pairs(&e, 0, PAIRS);
	s->limit = empty_pairs(&e, PAIRS);
	exist_end(&e);
}

/* Where the remover has every CPU execute a fence (membarrier). */
static void hold_release(struct bench *b, struct bench_sample *s)
{
	(void)b;
	hold_one(s, true);
}

/* Where every reader executes one. */
static void hold_release_fence(struct bench *b, struct bench_sample *s)
{
	(void)b;
	hold_one(s, false);
}

struct reader {
	struct exist *e;
	pthread_t thread;
	uint32_t cpu;
	uint32_t *ready;
	uint32_t *stop; /* NULL: PAIRS pairs */
	double spent;
};

static void *read_pairs(void *argument)
{
	struct reader *r = argument;
	struct kelp_hold hold;

	__atomic_add_fetch(r->ready, 1, __ATOMIC_ACQ_REL);
	if (!r->stop) {
		while (__atomic_load_n(r->ready, __ATOMIC_ACQUIRE) < 2)
			;
		r->spent = pairs(r->e, r->cpu, PAIRS);
		return NULL;
	}
	while (!__atomic_load_n(r->stop, __ATOMIC_RELAXED))
		for (unsigned i = 0; i < 512; i++)
			if (kelp_page_hold_online(&r->e->map, r->cpu, frame(i), &hold) == KELP_OK)
				kelp_page_release(&r->e->map, r->cpu, &hold);
	return NULL;
}

static void start_reader(struct reader *r)
{
	if (pthread_create(&r->thread, NULL, read_pairs, r) != 0)
		bench_check(KELP_ERR_NO_MEMORY, "a thread");
}

/* Two threads at once, the slower of them; the limit: empty calls of one. */
static void hold_release_2(struct bench *b, struct bench_sample *s)
{
	struct reader r[2];
	uint32_t ready = 0;
	struct exist e;

	(void)b;
	exist_begin(&e, sizeof(struct page), true);
	add_online(&e, 0, SUBSECTION);
	for (unsigned i = 0; i < 2; i++) {
		r[i] = (struct reader){.e = &e, .cpu = 1 + i, .ready = &ready};
		start_reader(&r[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(r[i].thread, NULL);
	s->value = r[0].spent > r[1].spent ? r[0].spent : r[1].spent;
	s->limit = empty_pairs(&e, PAIRS);
	exist_end(&e);
}

/* ---- offline ------------------------------------------------------------------------------------- */

/* With more threads than CPUs the remover would wait for a reader that it keeps from running. */
static bool yield(void *context, uint32_t looks)
{
	(void)context, (void)looks;
	sched_yield();
	return true;
}

/*
 * A subsection goes offline and comes back while `readers` threads hold and release its frames;
 * the limit: its descriptors written twice, as they are poisoned and initialised.
 */
static void offline(struct bench *b, struct bench_sample *s, unsigned readers)
{
	const unsigned rounds = 64;
	const struct kelp_hold_wait wait = {NULL, yield};
	struct reader r[READERS_MAX];
	uint32_t ready = 0, stop = 0;
	struct exist e;
	double start;

	exist_begin(&e, sizeof(struct page), true);
	add_online(&e, 0, SUBSECTION);
	for (unsigned i = 0; i < readers; i++) {
		r[i] = (struct reader){.e = &e, .cpu = 1 + i, .ready = &ready, .stop = &stop};
		start_reader(&r[i]);
	}
	while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < readers)
		sched_yield();
	start = bench_now();
	for (unsigned i = 0; i < rounds; i++) {
		bench_check(kelp_hotplug_offline(&e.plug, frame(0), SUBSECTION, &wait), "offline");
		bench_check(kelp_hotplug_online(&e.plug, frame(0), SUBSECTION), "online");
	}
	s->value = (bench_now() - start) / rounds;
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < readers; i++)
		pthread_join(r[i].thread, NULL);
	start = bench_now();
	for (unsigned i = 0; i < rounds; i++) {
		memset(b->limit_memory, (int)i, SUBSECTION * sizeof(struct page));
		bench_use(b->limit_memory);
		memset(b->limit_memory, 0, SUBSECTION * sizeof(struct page));
		bench_use(b->limit_memory);
	}
	s->limit = (bench_now() - start) / rounds;
	exist_end(&e);
}

static void offline_subsection(struct bench *b, struct bench_sample *s)
{
	offline(b, s, 0);
}

static void offline_subsection_1(struct bench *b, struct bench_sample *s)
{
	offline(b, s, 1);
}

static void offline_subsection_2(struct bench *b, struct bench_sample *s)
{
	offline(b, s, 2);
}

/* ---- walks ----------------------------------------------------------------------------------------- */

/* One subsection in 64 of 1 TiB is there; the limit: a list of them, read. */
static void scan_1tib(struct bench *b, struct bench_sample *s)
{
	const uint64_t tib = (UINT64_C(1) << 40) >> PAGE_SHIFT;
	const uint64_t step = 64 * SUBSECTION;
	struct range {
		kelp_pfn_t first, last;
	} *list = calloc(tib / step, sizeof(*list));
	kelp_pfn_t first = {0}, last;
	uint64_t frames = 0, count = 0;
	struct exist e;
	double start;

	bench_check(list ? KELP_OK : KELP_ERR_NO_MEMORY, "list");
	exist_begin(&e, 8, false);
	for (uint64_t at = 0; at < tib; at += step)
		bench_check(kelp_hotplug_add(&e.plug,
					     frame(at + (b->order[at / step] % 60u + 1u) * SUBSECTION),
					     SUBSECTION, 0, 0), "add");
	/* The adding left the caches full of descriptors: the map is read once before. */
	while (kelp_memmap_next(&e.map, KELP_FRAMES_VALID, first, &first, &last))
		first.number = last.number + 1u;
	first.number = 0;
	start = bench_now();
	while (kelp_memmap_next(&e.map, KELP_FRAMES_VALID, first, &first, &last)) {
		list[count++] = (struct range){first, last};
		frames += last.number - first.number + 1u;
		first.number = last.number + 1u;
	}
	s->value = (bench_now() - start) / (double)count;
	bench_check(count == tib / step && frames == count * SUBSECTION ? KELP_OK
								       : KELP_ERR_MALFORMED,
		    "scan_1tib: as many as were added");
	start = bench_now();
	for (uint64_t i = 0; i < count; i++) {
		frames += list[i].last.number - list[i].first.number + 1u;
		bench_use(&frames);
	}
	s->limit = (bench_now() - start) / (double)count;
	exist_end(&e);
	free(list);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* What 4 GiB of RAM cost with descriptors of 64 bytes; the limit: the descriptors. */
static void memmap_per_gib(struct bench *b, struct bench_sample *s)
{
	const struct kelp_memmap_range boot = {{0}, {4 * BENCH_PAGES - 1}, 0};
	struct kelp_memmap_cost cost;
	struct exist e;

	(void)b;
	exist_begin(&e, sizeof(struct page), false);
	bench_check(kelp_memmap_add_early(&e.map, &boot, 1), "early memory");
	kelp_memmap_cost(&e.map, &cost);
	s->value = (double)cost.per_gib / 1024;
	s->limit = (double)cost.descriptors / 4 / 1024;
	exist_end(&e);
}

const struct bench_case bench_exist_cases[] = {
	{"pfn_to_page", "ns/call", "flat_array", pfn_to_page},
	{"page_to_pfn", "ns/call", "load", page_to_pfn},
	{"hold_release", "ns/pair", "empty_calls", hold_release},
	{"hold_release_2", "ns/pair", "empty_calls", hold_release_2},
	{"hold_release_fence", "ns/pair", "empty_calls", hold_release_fence},
	{"offline_subsection", "ns/cycle", "memset_descriptors", offline_subsection},
	{"offline_subsec_1rd", "ns/cycle", "memset_descriptors", offline_subsection_1},
	{"offline_subsec_2rd", "ns/cycle", "memset_descriptors", offline_subsection_2},
	{"scan_1tib", "ns/subsec", "list", scan_1tib},
	{"memmap_per_gib", "KiB/GiB", "descriptors", memmap_per_gib},
};
const size_t bench_exist_count = sizeof(bench_exist_cases) / sizeof(bench_exist_cases[0]);
