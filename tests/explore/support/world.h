/* SPDX-License-Identifier: MIT */
/*
 * world: a space of the tiny format in explored memory, a port that hands out pages which must
 * not be touched before they are taken or after they are given back, read sections, and a table
 * of programs to run. Included by the programs that put the library under the explorer.
 */
#ifndef TESTS_EXPLORE_WORLD_H
#define TESTS_EXPLORE_WORLD_H

#include "tiny.h"

#include "sim/explore.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define WORLD_ARENA 8 /* pages each thread can take, and setup too */
#define WORLD_PAGES (WORLD_ARENA * (EXPLORE_THREADS_MAX + 1))
#define WORLD_TABLES UINT64_C(0x10000) /* address of the first table page */
#define FRAME(n) (UINT64_C(0x80000) + (n) * TINY_HUGE)

struct world {
	struct kelp_format format;
	struct kelp_port port;
	struct kelp_space space;
	_Alignas(64) uint64_t page[WORLD_PAGES][8];
	bool used[WORLD_PAGES];
	uint64_t reading[EXPLORE_THREADS_MAX];
	bool no_memory;
};

static struct world world;

/* ---- the port --------------------------------------------------------------------------------- */

static bool world_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address)
{
	uint32_t self = explore_self();
	unsigned arena = self == UINT32_MAX ? EXPLORE_THREADS_MAX : self;

	(void)context, (void)limit;
	explore_check(size == 64, "a table page of %zu bytes is asked for", size);
	for (unsigned i = arena * WORLD_ARENA; i < (arena + 1) * WORLD_ARENA; i++) {
		if (world.used[i])
			continue;
		world.used[i] = true;
		explore_claim(world.page[i]);
		explore_plain_fill(world.page[i], 8, 8, 0, 0);
		*address = WORLD_TABLES + i * 64u;
		return true;
	}
	explore_fail("the arena of thread %u is empty", arena);
}

/* A page given back is not taken again: what touches it is caught. */
static void world_give(void *context, size_t size, kelp_paddr_t address)
{
	uint64_t i = (address - WORLD_TABLES) / 64u;

	(void)context, (void)size;
	explore_check(i < WORLD_PAGES && world.used[i], "a page is given back that was not taken");
	explore_retire(world.page[i]);
}

static void world_panic(void *context, const char *what, const char *where)
{
	(void)context;
	explore_fail("%s (%s)", what, where);
}

/* ---- read sections ---------------------------------------------------------------------------- */

static inline void read_begin(void)
{
	explore_store(&world.reading[explore_self()], 8, 1, EXPLORE_RELAXED);
	/* The flag before the tables: against the fence in wait_for_readers(). */
	explore_fence(EXPLORE_SEQ_CST);
}

static inline void read_end(void)
{
	explore_store(&world.reading[explore_self()], 8, 0, EXPLORE_RELEASE);
}

static uint32_t world_readers; /* mask of threads that read */

static void world_wait(void *context)
{
	(void)context;
	explore_fence(EXPLORE_SEQ_CST);
	for (unsigned t = 0; t < EXPLORE_THREADS_MAX; t++)
		if (world_readers & (1u << t))
			explore_await(&world.reading[t], 8, UINT64_MAX, 0, EXPLORE_ACQUIRE);
}

/* ---- setup and finish ------------------------------------------------------------------------- */

static inline void world_setup(unsigned bbm_level, bool hardware_ad)
{
	static char name[WORLD_PAGES][8];

	memset(&world, 0, sizeof(world));
	world.format = tiny_format(bbm_level, hardware_ad);
	world.port = (struct kelp_port){
		.table_offset = (uintptr_t)world.page - WORLD_TABLES,
		.table_take = world_take,
		.table_give = world_give,
		.wait_for_readers = world_wait,
		.panic = world_panic,
	};
	for (unsigned i = 0; i < WORLD_PAGES; i++) {
		snprintf(name[i], sizeof(name[i]), "page%u", i);
		explore_region_free(world.page[i], 64, 8, name[i]);
	}
	explore_region(world.reading, sizeof(world.reading), 8, "reading");
	explore_region(&world.space, sizeof(world.space), 4, "space");
	explore_check(kelp_space_init(&world.space, &world.format, &world.port, 0) == KELP_OK,
		      "kelp_space_init fails");
}

#define EDIT_FAILS "an edit fails: %s"

static inline void map(kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size, kelp_attr_t attr,
		       uint32_t flags)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, &world.space);
	status = kelp_space_map(&flush, va, pa, size, attr | world.format.attr_always, flags);
	explore_check(status == KELP_OK, EDIT_FAILS, kelp_status_name(status));
	kelp_flush_commit(&flush);
}

static inline void unmap(kelp_vaddr_t va, uint64_t size, uint32_t flags)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, &world.space);
	status = kelp_space_unmap(&flush, va, size, flags);
	explore_check(status == KELP_OK, EDIT_FAILS, kelp_status_name(status));
	kelp_flush_commit(&flush);
}

static inline void protect(kelp_vaddr_t va, uint64_t size, kelp_attr_t set, kelp_attr_t clear,
			   uint32_t flags)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, &world.space);
	status = kelp_space_protect(&flush, va, size, set, clear, flags);
	explore_check(status == KELP_OK, EDIT_FAILS, kelp_status_name(status));
	kelp_flush_commit(&flush);
}

static inline void split(kelp_vaddr_t va, uint64_t size, uint32_t flags)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, &world.space);
	status = kelp_space_split(&flush, va, size, 6, flags);
	explore_check(status == KELP_OK, EDIT_FAILS, kelp_status_name(status));
	kelp_flush_commit(&flush);
}

static inline void coalesce(kelp_vaddr_t va, uint64_t size, uint32_t flags)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, &world.space);
	status = kelp_space_coalesce(&flush, va, size, 8, flags, NULL);
	explore_check(status == KELP_OK, EDIT_FAILS, kelp_status_name(status));
	kelp_flush_commit(&flush);
}

/* What a query says, in a read section. */
static inline struct kelp_mapping look(kelp_vaddr_t va)
{
	struct kelp_mapping mapping;

	read_begin();
	explore_check(kelp_space_query(&world.space, va, &mapping) == KELP_OK, "a query fails");
	read_end();
	explore_note("query %#llx: kind %u, frame %#llx, attributes %#x, level %u",
		     (unsigned long long)va, mapping.kind, (unsigned long long)mapping.pa,
		     mapping.attributes, mapping.level);
	return mapping;
}

/* The frame of `va` by itself, whatever the leaf's size. */
static inline kelp_paddr_t frame_of(const struct kelp_mapping *mapping, kelp_vaddr_t va)
{
	return mapping->pa + (va - mapping->va);
}

static inline void check_leaf(const struct kelp_mapping *m, kelp_vaddr_t va, kelp_paddr_t pa)
{
	explore_check(m->kind == KELP_ENTRY_LEAF && frame_of(m, va) == pa,
		      "%#llx: kind %u and frame %#llx instead of a leaf to %#llx",
		      (unsigned long long)va, m->kind, (unsigned long long)frame_of(m, va),
		      (unsigned long long)pa);
}

static inline void check_hole(const struct kelp_mapping *m, kelp_vaddr_t va)
{
	explore_check(m->kind == KELP_ENTRY_NONE, "%#llx: kind %u (entry %#llx) instead of a hole",
		      (unsigned long long)va, m->kind, (unsigned long long)m->entry);
}

/* A leaf to `pa`, or a hole, and nothing else. */
static inline void check_leaf_or_hole(const struct kelp_mapping *m, kelp_vaddr_t va,
				      kelp_paddr_t pa)
{
	if (m->kind == KELP_ENTRY_NONE)
		return;
	check_leaf(m, va, pa);
}

/* In finish: every table page that was taken is in the tree or was given back. */
static uint32_t count_tables(kelp_paddr_t page, unsigned level)
{
	const uint64_t *table = world.page[(page - WORLD_TABLES) / 64u];
	uint32_t count = 1;

	for (unsigned i = 0; level > 0 && i < TINY_ENTRIES; i++)
		if (kelp_tiny_kind(&world.format, level, table[i]) == KELP_ENTRY_TABLE)
			count += count_tables(table[i] & TINY_FRAME, level - 1);
	return count;
}

static inline void check_pages(uint32_t expected)
{
	uint32_t count = count_tables(world.space.root, TINY_LEVELS - 1);
	uint32_t live = 0;

	for (unsigned i = 0; i < WORLD_PAGES; i++)
		live += explore_is_live(world.page[i]);
	explore_check(count == expected, "%u tables are in the tree instead of %u", count, expected);
	explore_check(world.space.tables == count, "the space counts %u tables and has %u",
		      world.space.tables, count);
	explore_check(live == count, "%u pages are taken and %u are in the tree: a leak", live,
		      count);
}

static inline void check_final(kelp_vaddr_t va, kelp_paddr_t pa)
{
	struct kelp_mapping m;

	explore_check(kelp_space_query(&world.space, va, &m) == KELP_OK, "a query fails");
	if (pa)
		check_leaf(&m, va, pa);
	else
		check_hole(&m, va);
}

/* ---- programs ---------------------------------------------------------------------------------- */

struct world_case {
	const char *name;
	void (*setup)(void *context);
	void (*thread[4])(void *context);
	void (*finish)(void *context);
	void (*interrupt)(void *context, uint32_t thread);
	/* NULL: passes. Otherwise it fails with a message that contains this. */
	const char *fails;
	/* 0: all models; otherwise 1 << model of those in which it must do so. */
	unsigned models;
	/* 0: every schedule. Otherwise the schedules after which to stop. */
	uint64_t bound;
	const char *thread_name[4];
};

static inline unsigned world_run(const struct world_case *c, enum explore_model model)
{
	struct explore_program program = {
		.name = c->name, .setup = c->setup, .finish = c->finish, .interrupt = c->interrupt};
	struct explore_options options = {
		.model = model, .output = c->fails && !getenv("EXPLORE_VERBOSE") ? NULL : stdout,
		.schedules_max = c->bound};
	struct explore_result result;

	for (; program.threads < 4 && c->thread[program.threads]; program.threads++) {
		program.thread[program.threads] = c->thread[program.threads];
		program.thread_name[program.threads] = c->thread_name[program.threads];
	}
	explore_run(&options, &program, &result);
	explore_report(stdout, &program, &options, &result);
	if (!c->fails)
		return result.verdict != EXPLORE_PASSED || (!result.exhaustive && !c->bound);
	if (result.verdict == EXPLORE_FAILED && strstr(result.message, c->fails)) {
		struct explore_options again = {.model = model, .replay = result.id};
		struct explore_result replayed;

		/* The id alone leads to the same failure. */
		explore_run(&again, &program, &replayed);
		return replayed.verdict != EXPLORE_FAILED ||
		       strcmp(replayed.message, result.message) != 0;
	}
	printf("   it must fail with \"%s\"\n", c->fails);
	return 1;
}

static inline unsigned world_run_all(const struct world_case *cases, size_t count)
{
	const char *only = getenv("EXPLORE_ONLY");
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++)
		for (unsigned model = 0; model < 3; model++)
			if ((!cases[i].models || (cases[i].models & (1u << model))) &&
			    (!only || strstr(cases[i].name, only)))
				wrong += world_run(&cases[i], (enum explore_model)model);
	return wrong;
}

#endif
