/* SPDX-License-Identifier: MIT */
/*
 * Physical memory: sparse to 64 TiB, backed in blocks of 64 KiB on first touch, with what the
 * oracle knows of each 4 KiB page beside it.
 *
 * The backing lies in one reserved arena, so that a pointer that library code hands us leads back
 * to its physical address by one subtraction.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* 30 bits of block number in three steps of 10. */
#define RADIX 10u
#define RADIX_SIZE (1u << RADIX)
#define RADIX_MASK (RADIX_SIZE - 1u)

#if UINTPTR_MAX > UINT32_MAX
#define ARENA_MOST (UINT64_C(16) << 30)
#else
#define ARENA_MOST (UINT64_C(256) << 20)
#endif

bool sim_memory_create(struct sim *sim)
{
	uint64_t blocks;

	sim->arena_size = sim->config.memory < ARENA_MOST ? sim->config.memory : ARENA_MOST;
	sim->arena_size = (sim->arena_size + SIM_BLOCK_SIZE - 1u) & ~(SIM_BLOCK_SIZE - 1u);
	sim->arena = mmap(NULL, (size_t)sim->arena_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sim->arena == MAP_FAILED) {
		sim->arena = NULL;
		return false;
	}
	blocks = sim->arena_size >> SIM_BLOCK_SHIFT;
	sim->block_of_arena = calloc((size_t)blocks, sizeof(*sim->block_of_arena));
	sim->top = calloc(RADIX_SIZE, sizeof(*sim->top));
	sim->role_free = SIM_NONE;
	sim->next_page = 1;
	return sim->block_of_arena && sim->top;
}

void sim_memory_destroy(struct sim *sim)
{
	for (uint64_t i = 0; i < sim->blocks_used; i++) {
		struct sim_block *block = sim->block_of_arena[i];

		for (unsigned p = 0; p < 16; p++)
			free(block->page[p].slots);
		free(block);
	}
	for (unsigned i = 0; sim->top && i < RADIX_SIZE; i++) {
		if (!sim->top[i])
			continue;
		for (unsigned k = 0; k < RADIX_SIZE; k++)
			free(sim->top[i][k]);
		free(sim->top[i]);
	}
	free(sim->top);
	free(sim->block_of_arena);
	free(sim->roles);
	free(sim->free_pages);
	if (sim->arena)
		munmap(sim->arena, (size_t)sim->arena_size);
}

struct sim_block *sim_block_find(const struct sim *sim, uint64_t pa)
{
	uint64_t number = pa >> SIM_BLOCK_SHIFT;
	struct sim_block ***middle;
	struct sim_block **low;

	if (sim->last_block && sim->last_block->pa >> SIM_BLOCK_SHIFT == number)
		return sim->last_block;
	if (number >> (3 * RADIX))
		return NULL;
	middle = sim->top[number >> (2 * RADIX)];
	if (!middle)
		return NULL;
	low = middle[number >> RADIX & RADIX_MASK];
	return low ? low[number & RADIX_MASK] : NULL;
}

static void *must(void *memory)
{
	if (!memory) {
		fprintf(stderr, "sim: the host is out of memory\n");
		abort();
	}
	return memory;
}

struct sim_block *sim_block_at(struct sim *sim, uint64_t pa)
{
	struct sim_block *block = sim_block_find(sim, pa);
	uint64_t number = pa >> SIM_BLOCK_SHIFT;
	struct sim_block ****top = sim->top;
	struct sim_block ***middle, **low;

	if (block) {
		sim->last_block = block;
		return block;
	}
	if (pa >= sim->config.memory) {
		fprintf(stderr, "sim: physical address 0x%llx lies beyond the %llu bytes of memory\n",
			(unsigned long long)pa, (unsigned long long)sim->config.memory);
		abort();
	}
	if (!top[number >> (2 * RADIX)])
		top[number >> (2 * RADIX)] = must(calloc(RADIX_SIZE, sizeof(**top)));
	middle = top[number >> (2 * RADIX)];
	if (!middle[number >> RADIX & RADIX_MASK])
		middle[number >> RADIX & RADIX_MASK] = must(calloc(RADIX_SIZE, sizeof(**middle)));
	low = middle[number >> RADIX & RADIX_MASK];

	if (sim->blocks_used == sim->arena_size >> SIM_BLOCK_SHIFT) {
		fprintf(stderr, "sim: more than %llu bytes of physical memory were touched\n",
			(unsigned long long)sim->arena_size);
		abort();
	}
	block = must(calloc(1, sizeof(*block)));
	block->pa = number << SIM_BLOCK_SHIFT;
	block->data = sim->arena + (sim->blocks_used << SIM_BLOCK_SHIFT);
	for (unsigned p = 0; p < 16; p++)
		block->page[p].roles = SIM_NONE;
	sim->block_of_arena[sim->blocks_used++] = block;
	low[number & RADIX_MASK] = block;
	sim->last_block = block;
	return block;
}

void *sim_pointer(struct sim *sim, uint64_t pa)
{
	return sim_block_at(sim, pa)->data + (pa & (SIM_BLOCK_SIZE - 1u));
}

bool sim_physical(const struct sim *sim, const void *pointer, uint64_t *pa)
{
	uint64_t offset = (uint64_t)((uintptr_t)pointer - (uintptr_t)sim->arena);
	uint64_t index = offset >> SIM_BLOCK_SHIFT;

	if ((uintptr_t)pointer < (uintptr_t)sim->arena || index >= sim->blocks_used)
		return false;
	*pa = sim->block_of_arena[index]->pa + (offset & (SIM_BLOCK_SIZE - 1u));
	return true;
}

uint64_t sim_memory_touched(const struct sim *sim)
{
	return sim->blocks_used << SIM_BLOCK_SHIFT;
}

/* Memory that was never touched is zero, and looking does not touch it. */
uint64_t sim_peek(const struct sim *sim, uint64_t pa, unsigned width)
{
	const struct sim_block *block = sim_block_find(sim, pa);
	const uint8_t *at;
	uint64_t value = 0;

	if (!block)
		return 0;
	at = block->data + (pa & (SIM_BLOCK_SIZE - 1u));
	if (width == 8)
		return __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
	memcpy(&value, at, width);
	return value;
}

void sim_poke(struct sim *sim, uint64_t pa, uint64_t value, unsigned width)
{
	memcpy(sim_pointer(sim, pa), &value, width);
}

/* ---- pages ------------------------------------------------------------------------------- */

static void zero_pages(struct sim *sim, uint64_t pa, uint64_t size)
{
	for (uint64_t done = 0; done < size; done += 4096) {
		struct sim_block *block = sim_block_at(sim, pa + done);
		struct sim_page *page = sim_page_of(block, pa + done);

		memset(block->data + ((pa + done) & (SIM_BLOCK_SIZE - 1u)), 0, 4096);
		page->flags &= (uint8_t)~SIM_PAGE_FREED;
		for (unsigned i = 0; page->slots && i < 4096 / sim->width; i++) {
			page->slots[i].from = sim->now;
			page->slots[i].writer = 0;
			page->slots[i].unread_dirty = 0;
		}
	}
}

void sim_page_used(struct sim *sim, uint64_t pa, uint64_t size)
{
	for (uint64_t done = 0; done < size; done += 4096)
		sim_page_of(sim_block_at(sim, pa + done), pa + done)->flags &=
			(uint8_t)~SIM_PAGE_FREED;
}

/* Given-back pages of one size are kept together by storing the size in the low bits. */
static void push_free(struct sim *sim, uint64_t pa, uint64_t size)
{
	if (sim->free_count == sim->free_room) {
		sim->free_room = sim->free_room ? 2 * sim->free_room : 256;
		sim->free_pages = must(realloc(sim->free_pages,
					       (size_t)sim->free_room * sizeof(uint64_t)));
	}
	sim->free_pages[sim->free_count++] = pa | (size >> 12);
}

void sim_page_recycle(struct sim *sim, uint64_t pa, uint64_t size)
{
	push_free(sim, pa, size);
}

bool sim_page_take(struct sim *sim, uint64_t size, uint64_t limit, uint64_t *pa)
{
	uint64_t areas = sim->config.memory / SIM_BLOCK_SIZE;
	uint64_t tag = size >> 12;

	if (size < 4096)
		size = 4096, tag = 1;
	/* One in two requests reuses the page that was freed last: what adversaries do. */
	for (uint64_t i = sim->free_count; i-- > 0 && i + 8 > sim->free_count;) {
		uint64_t page = sim->free_pages[i];

		if ((page & 4095u) != tag || (page & ~UINT64_C(4095)) + size - 1u > limit)
			continue;
		if (sim_random(sim) & 1u)
			continue;
		sim->free_pages[i] = sim->free_pages[--sim->free_count];
		*pa = page & ~UINT64_C(4095);
		zero_pages(sim, *pa, size);
		return true;
	}
	if (limit / SIM_BLOCK_SIZE < areas)
		areas = (limit + 1u) / SIM_BLOCK_SIZE;
	/*
	 * A page in the middle of every third block, and jumps of half the memory: no two pages
	 * that follow each other are neighbours, and each page offset inside a block occurs.
	 */
	for (uint64_t tries = 0; tries < areas; tries++) {
		uint64_t n = sim->next_page++;
		uint64_t block = n / 2u * 3u + 1u;
		uint64_t at;

		if (areas > 1024 && (n & 1u))
			block += areas / 2u;
		if (block >= areas)
			break;
		at = size >= SIM_BLOCK_SIZE ? 0 : (n * 5u % (SIM_BLOCK_SIZE / size)) * size;
		*pa = block * SIM_BLOCK_SIZE + at;
		zero_pages(sim, *pa, size);
		return true;
	}
	/* All taken once: whatever was given back, in any order. */
	for (uint64_t i = sim->free_count; i-- > 0;) {
		uint64_t page = sim->free_pages[i];

		if ((page & 4095u) != tag || (page & ~UINT64_C(4095)) + size - 1u > limit)
			continue;
		sim->free_pages[i] = sim->free_pages[--sim->free_count];
		*pa = page & ~UINT64_C(4095);
		zero_pages(sim, *pa, size);
		return true;
	}
	return false;
}

/* ---- tables ------------------------------------------------------------------------------ */

struct sim_slot *sim_slot_make(struct sim *sim, struct sim_page *page, unsigned index)
{
	if (!page->slots) {
		unsigned count = 4096 / sim->width;

		page->slots = must(malloc(count * sizeof(*page->slots)));
		for (unsigned i = 0; i < count; i++)
			page->slots[i] = (struct sim_slot){page->born, SIM_NONE, 0, 0};
	}
	return &page->slots[index];
}

static bool has_role(const struct sim *sim, const struct sim_page *page, unsigned level,
		     uint64_t va)
{
	for (uint32_t i = page->roles; i != SIM_NONE; i = sim->roles[i].next)
		if (sim->roles[i].level == level && sim->roles[i].va == va)
			return true;
	return false;
}

static void add_role(struct sim *sim, struct sim_page *page, unsigned level, uint64_t va)
{
	uint32_t index = sim->role_free;

	if (index != SIM_NONE) {
		sim->role_free = sim->roles[index].next;
	} else {
		if (sim->role_count == sim->role_room) {
			sim->role_room = sim->role_room ? 2 * sim->role_room : 1024;
			sim->roles = must(realloc(sim->roles,
						  sim->role_room * sizeof(*sim->roles)));
		}
		index = sim->role_count++;
	}
	sim->roles[index] = (struct sim_role){va, page->roles, (uint8_t)level};
	page->roles = index;
	if (!(page->flags & SIM_PAGE_TABLE)) {
		page->flags |= SIM_PAGE_TABLE;
		page->born = sim->now;
		for (unsigned i = 0; page->slots && i < 4096 / sim->width; i++)
			page->slots[i].from = sim->now;
	}
}

/*
 * The page at `pa` became reachable as a table of `level` whose first entry translates `va`: from
 * now on its writes are history. So are those of every table below it.
 */
void sim_table_register(struct sim *sim, uint64_t pa, unsigned level, uint64_t va)
{
	const struct sim_registers *r = &sim->config.registers;
	const struct sim_walker *walker = sim->walker;
	unsigned entries = walker->entries(r, level);
	unsigned span = walker->span(r, level);
	unsigned width = sim->width;
	/* A root shorter than a page (PAE's 32 bytes) starts inside it. */
	uint64_t first = pa & ~UINT64_C(4095);

	if (pa >= sim->config.memory)
		return;
	for (unsigned piece = 0; piece * 4096u < entries * width || piece == 0; piece++) {
		uint64_t at = first + 4096u * piece;
		uint64_t piece_va = va + ((uint64_t)(piece * (4096u / width)) << span) -
				    ((pa - first) / width << span);
		struct sim_page *page = sim_page_of(sim_block_at(sim, at), at);

		if (has_role(sim, page, level, piece_va))
			return;
		add_role(sim, page, level, piece_va);
	}
	for (unsigned i = 0; i < entries; i++) {
		uint64_t entry = sim_peek(sim, pa + (uint64_t)i * width, width);
		struct sim_walk walk;
		enum sim_step step;

		if (entry == 0)
			continue;
		step = sim_look(sim, va + ((uint64_t)i << span), level, entry, &walk);
		if (step == SIM_STEP_TABLE)
			sim_table_register(sim, walk.table, level - 1, walk.va);
		else if (step == SIM_STEP_LEAF && walk.global)
			sim->any_global = true;
	}
}

/* The pages are no tables any more; what they held is history already. */
void sim_table_forget(struct sim *sim, uint64_t pa, uint64_t size)
{
	for (uint64_t done = 0; done < size; done += 4096) {
		struct sim_page *page = sim_page_of(sim_block_at(sim, pa + done), pa + done);

		while (page->roles != SIM_NONE) {
			uint32_t index = page->roles;

			page->roles = sim->roles[index].next;
			sim->roles[index].next = sim->role_free;
			sim->role_free = index;
		}
		page->flags &= (uint8_t)~SIM_PAGE_TABLE;
	}
}
