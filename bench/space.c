/* SPDX-License-Identifier: MIT */
/* bench: floor 1. Every figure includes its share of opening and committing the gather. */
#include <string.h>

#include "bench.h"

/* Where everything is mapped: 1 GiB aligned, and the frames at an odd page beside it. */
#define VA   (4u * BENCH_GIB)
#define PA   (UINT64_C(8) * BENCH_GIB)
#define PAGE UINT64_C(4096)
#define LARGE (2u * BENCH_MIB)

/* Table bytes of 1 GiB in 4 KiB pages, with 8-byte entries. */
#define TABLE_BYTES (BENCH_PAGES * 8u)

static void map(struct bench *b, uint64_t size, uint32_t flags)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, &b->space);
	bench_check(kelp_space_map(&flush, VA, PA, size, b->attributes, flags), "map");
	kelp_flush_commit(&flush);
}

static void unmap(struct bench *b, uint64_t size)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, &b->space);
	bench_check(kelp_space_unmap(&flush, VA, size, 0), "unmap");
	kelp_flush_commit(&flush);
}

/* Tables that single-page calls leave behind. */
static void release(struct bench *b)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, &b->space);
	bench_check(kelp_space_release(&flush, VA, BENCH_GIB, NULL), "release");
	kelp_flush_commit(&flush);
}

static double memset_limit(struct bench *b, size_t bytes)
{
	double start = bench_now();

	memset(b->limit_memory, 0x5a, bytes);
	bench_use(b->limit_memory);
	return bench_now() - start;
}

static double memcpy_limit(struct bench *b, size_t bytes)
{
	char *memory = b->limit_memory;
	double start = bench_now();

	memcpy(memory + BENCH_LIMIT_MEMORY / 2, memory, bytes);
	bench_use(memory);
	return bench_now() - start;
}

static void map_4k_range(struct bench *b, struct bench_sample *s)
{
	double start = bench_now();

	map(b, BENCH_GIB, KELP_LEAF_SHIFT(12));
	s->value = (bench_now() - start) / BENCH_PAGES;
	s->limit = memset_limit(b, TABLE_BYTES) / BENCH_PAGES;
	unmap(b, BENCH_GIB);
}

static void map_4k_call(struct bench *b, struct bench_sample *s)
{
	struct kelp_flush flush = {0};
	unsigned status = 0;
	double start;

	/* The tables stand; what is measured is the call, not the port. */
	kelp_flush_begin(&flush, &b->space);
	bench_check(kelp_space_populate(&flush, VA, BENCH_GIB, 12, 0), "populate");
	kelp_flush_commit(&flush);

	start = bench_now();
	kelp_flush_begin(&flush, &b->space);
	for (uint64_t at = 0; at < BENCH_GIB; at += PAGE)
		status |= kelp_space_map(&flush, VA + at, PA + at, PAGE, b->attributes, 0);
	kelp_flush_commit(&flush);
	s->value = (bench_now() - start) / BENCH_PAGES;
	bench_check((enum kelp_status)status, "map one page");

	start = bench_now();
	for (uint64_t at = 0; at < BENCH_GIB; at += PAGE)
		status |= bench_empty_map(&flush, VA + at, PA + at, PAGE, b->attributes, 0);
	s->limit = (bench_now() - start) / BENCH_PAGES;
	bench_check((enum kelp_status)status, "empty call");
	unmap(b, BENCH_GIB);
}

static void map_2m_range(struct bench *b, struct bench_sample *s)
{
	uint64_t leaves = 64u * BENCH_GIB / LARGE;
	double start = bench_now();

	map(b, 64u * BENCH_GIB, KELP_LEAF_SHIFT(21));
	s->value = (bench_now() - start) / (double)leaves;
	s->limit = memset_limit(b, leaves * 8u) / (double)leaves;
	unmap(b, 64u * BENCH_GIB);
}

/* 4 x 4 KiB, 1 x 2 MiB, 64 x 1 GiB in one call: largest leaves that alignment allows. */
static void map_mixed(struct bench *b, struct bench_sample *s)
{
	kelp_vaddr_t va = VA - LARGE - 4u * PAGE;
	kelp_paddr_t pa = PA - LARGE - 4u * PAGE;
	uint64_t size = 4u * PAGE + LARGE + 64u * BENCH_GIB;
	const unsigned calls = 64;
	double spent = 0, limit = 0;

	for (unsigned i = 0; i < calls; i++) {
		struct kelp_flush flush = {0};
		double start = bench_now();

		kelp_flush_begin(&flush, &b->space);
		bench_check(kelp_space_map(&flush, va, pa, size, b->attributes, 0), "map");
		kelp_flush_commit(&flush);
		spent += bench_now() - start;
		kelp_flush_begin(&flush, &b->space);
		bench_check(kelp_space_unmap(&flush, va, size, 0), "unmap");
		bench_check(kelp_space_release(&flush, va, size, NULL), "release");
		kelp_flush_commit(&flush);
		/* Two table pages are written: that of the 4 KiB leaves and the one above. */
		limit += memset_limit(b, 2u * PAGE);
	}
	s->value = spent / calls;
	s->limit = limit / calls;
}

static void translate_random(struct bench *b, struct bench_sample *s)
{
	const uint64_t *memory = b->limit_memory;
	kelp_paddr_t pa = 0, sum = 0;
	unsigned status = 0;
	double start;

	map(b, BENCH_GIB, KELP_LEAF_SHIFT(12));
	start = bench_now();
	for (uint64_t i = 0; i < BENCH_PAGES; i++) {
		status |= kelp_space_translate(&b->space, VA + b->order[i] * PAGE, &pa);
		sum += pa;
	}
	s->value = (bench_now() - start) / BENCH_PAGES;
	bench_use(&sum);
	bench_check((enum kelp_status)status, "translate");

	/* The same loads as the lowest level's, in memory of the same size, after a call. */
	start = bench_now();
	for (uint64_t i = 0; i < BENCH_PAGES; i++) {
		status |= bench_empty_translate(&b->space, VA, &pa);
		sum += memory[b->order[i]];
	}
	s->limit = (bench_now() - start) / BENCH_PAGES;
	bench_use(&sum);
	unmap(b, BENCH_GIB);
}

static void unmap_4k_range(struct bench *b, struct bench_sample *s)
{
	double start;

	map(b, BENCH_GIB, KELP_LEAF_SHIFT(12));
	start = bench_now();
	unmap(b, BENCH_GIB);
	s->value = (bench_now() - start) / BENCH_PAGES;
	s->limit = memset_limit(b, TABLE_BYTES) / BENCH_PAGES;
}

static void unmap_4k_call(struct bench *b, struct bench_sample *s)
{
	struct kelp_flush flush = {0};
	unsigned status = 0;
	double start;

	map(b, BENCH_GIB, KELP_LEAF_SHIFT(12));
	start = bench_now();
	kelp_flush_begin(&flush, &b->space);
	for (uint64_t at = 0; at < BENCH_GIB; at += PAGE)
		status |= kelp_space_unmap(&flush, VA + at, PAGE, 0);
	kelp_flush_commit(&flush);
	s->value = (bench_now() - start) / BENCH_PAGES;
	bench_check((enum kelp_status)status, "unmap one page");

	start = bench_now();
	for (uint64_t at = 0; at < BENCH_GIB; at += PAGE)
		status |= bench_empty_unmap(&flush, VA + at, PAGE, 0);
	s->limit = (bench_now() - start) / BENCH_PAGES;
	bench_check((enum kelp_status)status, "empty call");
	release(b);
}

static void protect_4k_range(struct bench *b, struct bench_sample *s)
{
	struct kelp_flush flush = {0};
	double start;

	map(b, BENCH_GIB, KELP_LEAF_SHIFT(12));
	start = bench_now();
	kelp_flush_begin(&flush, &b->space);
	bench_check(kelp_space_protect(&flush, VA, BENCH_GIB, 0, KELP_ATTR_WRITE, 0), "protect");
	kelp_flush_commit(&flush);
	s->value = (bench_now() - start) / BENCH_PAGES;
	s->limit = memcpy_limit(b, TABLE_BYTES) / BENCH_PAGES;
	unmap(b, BENCH_GIB);
}

/* 512 leaves of 2 MiB, each in a call of its own. */
static void split_2m(struct bench *b, struct bench_sample *s)
{
	const unsigned calls = 512;
	struct kelp_flush flush = {0};
	double start;

	map(b, BENCH_GIB, KELP_LEAF_SHIFT(21));
	start = bench_now();
	kelp_flush_begin(&flush, &b->space);
	for (unsigned i = 0; i < calls; i++)
		bench_check(kelp_space_split(&flush, VA + (uint64_t)i * LARGE, LARGE, 12, 0),
			    "split");
	kelp_flush_commit(&flush);
	s->value = (bench_now() - start) / calls;
	s->limit = memset_limit(b, calls * PAGE) / calls;
	unmap(b, BENCH_GIB);
}

static void coalesce_2m(struct bench *b, struct bench_sample *s)
{
	const unsigned calls = 512;
	struct kelp_flush flush = {0};
	uint64_t merged = 0, all = 0;
	double start;

	map(b, BENCH_GIB, KELP_LEAF_SHIFT(12));
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		kelp_flush_begin(&flush, &b->space);
		bench_check(kelp_space_coalesce(&flush, VA + (uint64_t)i * LARGE, LARGE, 21, 0,
						&merged),
			    "coalesce");
		kelp_flush_commit(&flush);
		all += merged;
	}
	s->value = (bench_now() - start) / calls;
	bench_check(all == calls ? KELP_OK : KELP_ERR_NOT_MAPPED, "coalesce: all of them");
	s->limit = memcpy_limit(b, calls * PAGE) / calls;
	unmap(b, BENCH_GIB);
}

static enum kelp_visit count_bytes(void *context, const struct kelp_mapping *mapping)
{
	*(uint64_t *)context += mapping->size;
	return KELP_VISIT_CONTINUE;
}

static void walk_range(struct bench *b, struct bench_sample *s)
{
	uint64_t bytes = 0;
	double start;

	map(b, BENCH_GIB, KELP_LEAF_SHIFT(12));
	start = bench_now();
	bench_check(kelp_space_walk(&b->space, VA, BENCH_GIB, KELP_WALK_RUNS, count_bytes, &bytes),
		    "walk");
	s->value = (bench_now() - start) / BENCH_PAGES;
	bench_check(bytes == BENCH_GIB ? KELP_OK : KELP_ERR_NOT_MAPPED, "walk: all of it");
	s->limit = memcpy_limit(b, TABLE_BYTES) / BENCH_PAGES;
	unmap(b, BENCH_GIB);
}

const struct bench_case bench_space_cases[] = {
	{"map_4k_call", "ns/page", "empty_call", map_4k_call},
	{"map_4k_range", "ns/page", "memset_tables", map_4k_range},
	{"map_2m_range", "ns/leaf", "memset_tables", map_2m_range},
	{"map_mixed", "ns/call", "memset_tables", map_mixed},
	{"translate_random", "ns/call", "empty_call_random_load", translate_random},
	{"unmap_4k_call", "ns/page", "empty_call", unmap_4k_call},
	{"unmap_4k_range", "ns/page", "memset_tables", unmap_4k_range},
	{"protect_4k_range", "ns/page", "memcpy_tables", protect_4k_range},
	{"split_2m", "ns/leaf", "memset_table", split_2m},
	{"coalesce_2m", "ns/leaf", "memcpy_table", coalesce_2m},
	{"walk_range", "ns/page", "memcpy_tables", walk_range},
};
const size_t bench_space_count = sizeof(bench_space_cases) / sizeof(bench_space_cases[0]);
