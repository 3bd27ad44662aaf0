/* SPDX-License-Identifier: MIT */
/*
 * bench: floor 5, transitional tables and the moves of kexec.
 *
 * Tables of a terabyte in pages of 4 KiB take 2 GiB: that copy is measured over 2 GiB of address
 * space, 512 times less, with a cost per leaf that does not depend on how many there are.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define PAGE    UINT64_C(4096)
#define LARGE   (UINT64_C(2) * BENCH_MIB)
#define TIB     (UINT64_C(1024) * BENCH_GIB)
#define VA      (UINT64_C(1) << 45)
#define ENTRIES 512u

/* The limit: memcpy of as many bytes as the tables have. */
static double memcpy_tables(struct bench *b, uint64_t bytes)
{
	const uint64_t half = BENCH_LIMIT_MEMORY / 2;
	char *memory = b->limit_memory;
	double start = bench_now();

	for (uint64_t done = 0; done < bytes; done += half) {
		uint64_t part = bytes - done < half ? bytes - done : half;

		memcpy(memory + half, memory, part);
		bench_use(memory);
	}
	return bench_now() - start;
}

/* Copies a linear map of `size` bytes in leaves of 2^shift; nanoseconds per leaf. */
static void copy_linear(struct bench *b, struct bench_sample *s, uint64_t size, unsigned shift)
{
	uint64_t leaves = size >> shift, bytes = leaves * sizeof(uint64_t), pages;
	struct kelp_flush flush = {0};
	struct kelp_trans trans;
	double start;

	kelp_flush_begin(&flush, &b->space);
	bench_check(kelp_space_map(&flush, VA, 0, size, b->attributes, KELP_LEAF_SHIFT(shift)),
		    "the direct map");
	kelp_flush_commit(&flush);
	start = bench_now();
	bench_check(kelp_trans_init(&trans, &b->format, &b->hosted.port, 0), "root");
	bench_check(kelp_trans_copy(&trans, &b->space, VA, size, NULL), "copy");
	s->value = (bench_now() - start) / (double)leaves;
	pages = kelp_trans_pages(&trans);
	bench_check(pages >= leaves / ENTRIES ? KELP_OK : KELP_ERR_NOT_MAPPED, "all of it");
	s->limit = memcpy_tables(b, bytes) / (double)leaves;
	kelp_trans_destroy(&trans);
	kelp_flush_begin(&flush, &b->space);
	bench_check(kelp_space_unmap(&flush, VA, size, 0), "unmap");
	kelp_flush_commit(&flush);
}

static void trans_copy_1tib(struct bench *b, struct bench_sample *s)
{
	copy_linear(b, s, TIB, 21);
}

static void trans_copy_4k(struct bench *b, struct bench_sample *s)
{
	copy_linear(b, s, 2u * BENCH_GIB, 12);
}

static void trans_build_1tib(struct bench *b, struct bench_sample *s)
{
	const struct kelp_trans_range range = {{0}, TIB / PAGE, 0};
	struct kelp_trans trans;
	uint64_t pages;
	double start = bench_now();

	bench_check(kelp_trans_init(&trans, &b->format, &b->hosted.port, 0), "root");
	bench_check(kelp_trans_build(&trans, VA, &range, 1), "build");
	pages = kelp_trans_pages(&trans);
	s->value = (bench_now() - start) / (double)pages;
	s->limit = memcpy_tables(b, pages * PAGE) / (double)pages;
	kelp_trans_destroy(&trans);
}

const struct bench_case bench_trans_cases[] = {
	{"trans_copy_1tib", "ns/leaf", "memcpy_tables", trans_copy_1tib},
	{"trans_copy_4k", "ns/leaf", "memcpy_tables", trans_copy_4k},
	{"trans_build_1tib", "ns/table", "memcpy_tables", trans_build_1tib},
};
const size_t bench_trans_count = sizeof(bench_trans_cases) / sizeof(bench_trans_cases[0]);

/* ---- kexec --------------------------------------------------------------------------------- */

/* Pages of one block of memory: first the destination, behind it what the allocator gives. */
#define MOVED  (UINT64_C(32) * BENCH_MIB)
#define MEMORY (2u * MOVED + BENCH_MIB)

struct memory {
	char *bytes;
	kelp_paddr_t next;
};

static bool usable(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context;
	return first.number + frames <= MEMORY / PAGE;
}

static bool page_take(void *context, kelp_paddr_t limit, kelp_paddr_t *page)
{
	struct memory *memory = context;

	*page = memory->next;
	memory->next += PAGE;
	return memory->next <= MEMORY && *page + PAGE - 1u <= limit;
}

static void page_give(void *context, kelp_paddr_t page)
{
	(void)context, (void)page;
}

static void *pointer(void *context, kelp_paddr_t page)
{
	return ((struct memory *)context)->bytes + page;
}

static void panic(void *context, const char *what, const char *where)
{
	(void)context, (void)where;
	bench_check(KELP_ERR_MALFORMED, what);
}

/* The list of a kernel of 32 MiB, worked off by the library's own C. */
static void kexec_relocate(struct bench *b, struct bench_sample *s)
{
	static struct memory memory;
	struct kelp_kexec_segment segment = {.size = MOVED, .data_size = MOVED};
	struct kelp_kexec_config config = {
		.context = &memory, .page_shift = 12, .usable = usable, .page_take = page_take,
		.page_give = page_give, .pointer = pointer, .panic = panic};
	struct kelp_kexec kexec;
	kelp_paddr_t list;
	double start;

	(void)b;
	if (!memory.bytes)
		memory.bytes = aligned_alloc(LARGE, (MEMORY + LARGE - 1u) / LARGE * LARGE);
	bench_check(memory.bytes ? KELP_OK : KELP_ERR_NO_MEMORY, "memory");
	memset(memory.bytes, 1, MEMORY);
	memory.next = MOVED;
	segment.data = memory.bytes;
	bench_check(kelp_kexec_init(&kexec, &config, &segment, 1), "init");
	bench_check(kelp_kexec_load(&kexec), "load");
	bench_check(kelp_kexec_finish(&kexec, &list), "finish");
	bench_check(kelp_kexec_verify(&kexec), "verify");
	start = bench_now();
	kelp_kexec_execute(list, 12, pointer, &memory);
	s->value = (double)(MOVED / BENCH_MIB) / ((bench_now() - start) / 1e9);
	start = bench_now();
	memcpy(memory.bytes, memory.bytes + MOVED, MOVED);
	bench_use(memory.bytes);
	s->limit = (double)(MOVED / BENCH_MIB) / ((bench_now() - start) / 1e9);
	kelp_kexec_unload(&kexec);
}

const struct bench_case bench_kexec_cases[] = {
	{"kexec_relocate", "MiB/s", "memcpy", kexec_relocate},
};
const size_t bench_kexec_count = sizeof(bench_kexec_cases) / sizeof(bench_kexec_cases[0]);
