/* SPDX-License-Identifier: MIT */
/* bench: floor 3. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define PAGE  UINT64_C(4096)
#define TABLE 512u /* frames that one table of pages spans */

/* Where each module has its addresses; the direct map shows frames from 0 on. */
#define DIRECT_VA (4u * BENCH_GIB)
#define LOCAL_VA  (16u * BENCH_GIB)
#define GLOBAL_VA (17u * BENCH_GIB)
#define WINDOW_VA (18u * BENCH_GIB)

static kelp_pfn_t frame(uint64_t number)
{
	return (kelp_pfn_t){number};
}

/* ---- direct map ---------------------------------------------------------------------------- */

static void directmap_begin(struct bench *b, struct kelp_directmap *map)
{
	const struct kelp_directmap_config config = {
		.space = &b->space,
		.base = DIRECT_VA,
		.frames = BENCH_PAGES,
		.attributes = b->attributes,
	};
	const struct kelp_frame_range range = {{0}, {BENCH_PAGES - 1u}};

	bench_check(kelp_directmap_init(map, &config, &range, 1), "direct map");
}

static void directmap_end(struct kelp_directmap *map)
{
	bench_check(kelp_directmap_remove(map, frame(0), BENCH_PAGES), "remove");
}

/* One frame out of a large leaf that was split before, and back: the call without the churn. */
static void directmap_set_4k(struct bench *b, struct bench_sample *s)
{
	const unsigned calls = 2048;
	struct kelp_directmap map;
	unsigned status = 0;
	uint64_t entries[2] = {0};
	double start;

	directmap_begin(b, &map);
	bench_check(kelp_directmap_set_invalid(&map, frame(0), 1), "set_invalid");
	start = bench_now();
	for (unsigned i = 0; i < calls / 2; i++) {
		kelp_pfn_t pfn = frame(1u + i % (TABLE - 2u));

		status |= kelp_directmap_set_invalid(&map, pfn, 1);
		status |= kelp_directmap_set_default(&map, pfn, 1);
	}
	s->value = (bench_now() - start) / calls;
	bench_check((enum kelp_status)status, "set");
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		status |= bench_empty_unmap(NULL, i, PAGE, 0);
		memset(&entries[i & 1u], (int)i, sizeof(entries[0]));
		bench_use(entries);
	}
	s->limit = (bench_now() - start) / calls;
	bench_check(kelp_directmap_set_default(&map, frame(0), 1), "set_default");
	directmap_end(&map);
}

/* The whole way: a large leaf is split for one frame, and comes back by itself. */
static void directmap_restore(struct bench *b, struct bench_sample *s)
{
	const unsigned calls = 256;
	struct kelp_directmap_statistics look;
	struct kelp_directmap map;
	unsigned status = 0;
	double start, spent = 0, limit = 0;
	char *memory = b->limit_memory;

	directmap_begin(b, &map);
	for (unsigned i = 0; i < calls; i++) {
		kelp_pfn_t pfn = frame((uint64_t)i * TABLE + i);

		start = bench_now();
		status |= kelp_directmap_set_invalid(&map, pfn, 1);
		status |= kelp_directmap_set_default(&map, pfn, 1);
		spent += bench_now() - start;
		/* Two tables, for each way down from a leaf of 1 GiB, are written and read. */
		start = bench_now();
		memset(memory, (int)i, 2u * PAGE);
		memcpy(memory + BENCH_MIB, memory, 2u * PAGE);
		bench_use(memory);
		limit += bench_now() - start;
	}
	bench_check((enum kelp_status)status, "set");
	kelp_directmap_statistics(&map, &look);
	bench_check(look.leaves[0] == 0 && look.leaves[1] == 0 && look.leaves[2] == 1
			    ? KELP_OK : KELP_ERR_MALFORMED,
		    "directmap_restore: the large leaf is back");
	s->value = spent / calls;
	s->limit = limit / calls;
	directmap_end(&map);
}

/* ---- copy window --------------------------------------------------------------------------- */

/* There is no translation here: the frame is the memory itself, the slots are real. */
struct pages {
	char *from;
	char *to;
};

static void copy_page(void *context, kelp_vaddr_t to, kelp_vaddr_t from, size_t size)
{
	struct pages *pages = context;

	(void)to, (void)from;
	memcpy(pages->to, pages->from, size);
	bench_use(pages->to);
}

static void copywin_page(struct bench *b, struct bench_sample *s)
{
	const unsigned calls = 2048;
	char *memory = b->limit_memory;
	struct pages pages;
	const struct kelp_copywin_access access = {.context = &pages, .copy = copy_page};
	struct kelp_copywin_cpu cpu;
	const struct kelp_copywin_config config = {
		.space = &b->space,
		.base = WINDOW_VA,
		.cpus = 1,
		.attributes = b->attributes,
		.cpu = &cpu,
		.access = &access,
	};
	struct kelp_copywin window;
	unsigned status = 0;
	double start;

	bench_check(kelp_copywin_init(&window, &config), "copy window");
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		pages.from = memory + (i % 256u) * PAGE;
		pages.to = memory + 2u * BENCH_MIB + (i % 256u) * PAGE;
		status |= kelp_copywin_copy(&window, 0, frame(i + 512u), frame(i));
	}
	s->value = (bench_now() - start) / calls;
	bench_check((enum kelp_status)status, "copy");
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		memcpy(memory + 2u * BENCH_MIB + (i % 256u) * PAGE, memory + (i % 256u) * PAGE,
		       PAGE);
		bench_use(memory);
	}
	s->limit = (bench_now() - start) / calls;
	kelp_copywin_destroy(&window);
}

/* ---- kmap ---------------------------------------------------------------------------------- */

#define GLOBAL_PAGES 512u

struct mapping {
	struct kelp_directmap map;
	struct kelp_kmap kmap;
	struct kelp_kmap_cpu cpu;
	struct kelp_kmap_page *page;
};

static void no_lock(void *context)
{
	(void)context;
}

static void kmap_begin(struct bench *b, struct mapping *m)
{
	static const struct kelp_kmap_hooks hooks = {.lock = no_lock, .unlock = no_lock};
	struct kelp_kmap_config config = {
		.space = &b->space,
		.directmap = &m->map,
		.attributes = b->attributes,
		.local_base = LOCAL_VA,
		.cpus = 1,
		.cpu = &m->cpu,
		.global_base = GLOBAL_VA,
		.pages = GLOBAL_PAGES,
		.hooks = &hooks,
	};

	m->page = calloc(GLOBAL_PAGES, sizeof(*m->page));
	bench_check(m->page ? KELP_OK : KELP_ERR_NO_MEMORY, "kmap");
	config.page = m->page;
	directmap_begin(b, &m->map);
	bench_check(kelp_kmap_init(&m->kmap, &config), "kmap");
}

static void kmap_end(struct mapping *m)
{
	kelp_kmap_destroy(&m->kmap);
	directmap_end(&m->map);
	free(m->page);
}

static double empty_pairs(unsigned calls)
{
	unsigned status = 0;
	double start = bench_now(), spent;

	for (unsigned i = 0; i < calls; i++) {
		status |= bench_empty_unmap(NULL, i, PAGE, 0);
		status |= bench_empty_unmap(NULL, i, PAGE, 0);
	}
	spent = bench_now() - start;
	bench_check((enum kelp_status)status, "empty call");
	return spent / calls;
}

/* Map and unmap, frames from `first` on. */
static void local_pairs(struct bench *b, struct bench_sample *s, uint64_t first)
{
	const unsigned calls = 16384;
	struct kelp_kmap_context context = {0};
	struct mapping m;
	unsigned status = 0;
	uint64_t sum = 0;
	kelp_vaddr_t va;
	double start;

	kmap_begin(b, &m);
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		status |= kelp_kmap_local(&m.kmap, &context, 0, frame(first + i), &va);
		sum += va;
		bench_use(&sum);
		kelp_kunmap_local(&m.kmap, &context, 0, va);
	}
	s->value = (bench_now() - start) / calls;
	bench_check((enum kelp_status)status, "map");
	s->limit = empty_pairs(calls);
	kmap_end(&m);
}

static void kmap_local_direct(struct bench *b, struct bench_sample *s)
{
	local_pairs(b, s, 0);
}

static void kmap_local_mapped(struct bench *b, struct bench_sample *s)
{
	local_pairs(b, s, BENCH_PAGES);
}

/* Global maps of ever new frames, each given up at once: a wrap every GLOBAL_PAGES of them. */
static void kmap_wrap(struct bench *b, struct bench_sample *s)
{
	const unsigned calls = 8u * GLOBAL_PAGES;
	struct mapping m;
	unsigned status = 0;
	kelp_vaddr_t va;
	double start;

	kmap_begin(b, &m);
	start = bench_now();
	for (unsigned i = 0; i < calls; i++) {
		status |= kelp_kmap(&m.kmap, frame(BENCH_PAGES + i), &va);
		kelp_kunmap(&m.kmap, va);
	}
	s->value = (bench_now() - start) / calls;
	bench_check((enum kelp_status)status, "map");
	bench_check(m.kmap.wraps == calls / GLOBAL_PAGES - 1u ? KELP_OK : KELP_ERR_MALFORMED,
		    "kmap_wrap: one flush per wrap");
	s->limit = empty_pairs(calls);
	kmap_end(&m);
}

const struct bench_case bench_reach_cases[] = {
	{"directmap_set_4k", "ns/call", "empty_call_store", directmap_set_4k},
	{"directmap_restore", "ns/pair", "memset_memcpy_2_tables", directmap_restore},
	{"copywin_page", "ns/page", "memcpy_4k", copywin_page},
	{"kmap_local_direct", "ns/pair", "empty_calls", kmap_local_direct},
	{"kmap_local_mapped", "ns/pair", "empty_calls", kmap_local_mapped},
	{"kmap_wrap", "ns/pair", "empty_calls", kmap_wrap},
};
const size_t bench_reach_count = sizeof(bench_reach_cases) / sizeof(bench_reach_cases[0]);
