/* SPDX-License-Identifier: MIT */
/* hosted: table pages out of an arena, and the ways in which a port can be a bad one. */
#include "kelp_hosted.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOSTED_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HOSTED_ASAN 1
#endif
#ifdef HOSTED_ASAN
#include <sanitizer/asan_interface.h>
#define hide_memory(pointer, size) __asan_poison_memory_region((pointer), (size))
#define show_memory(pointer, size) __asan_unpoison_memory_region((pointer), (size))
#else
#define hide_memory(pointer, size) ((void)(pointer), (void)(size))
#define show_memory(pointer, size) ((void)(pointer), (void)(size))
#endif

#define KNOWN_FLAGS                                                                                \
	(KELP_HOSTED_DESCENDING | KELP_HOSTED_SHUFFLED | KELP_HOSTED_SCATTERED |                   \
	 KELP_HOSTED_POISON | KELP_HOSTED_POINTERS | KELP_HOSTED_HUGE | KELP_HOSTED_LOG)

#define HUGE_PAGE (UINT64_C(2) << 20)
#define POISON_BYTE 0xa5
#define NO_PAGE UINT32_MAX

struct page {
	uint32_t users; /* more than one only after an injected duplicate */
	bool poisoned;
};

struct kelp_hosted_private {
	pthread_mutex_t lock;
	unsigned char *arena;
	size_t arena_size; /* of the mapping that holds it */
	void *mapping;
	size_t page_size;
	size_t page_count;
	kelp_paddr_t base;
	uint32_t flags;
	uint64_t random;

	/* Free pages; the last one is the next to be handed out. */
	uint32_t *stack;
	size_t depth;
	struct page *pages;
	uint32_t last_taken;

	enum kelp_hosted_fault fault;
	uint64_t fault_countdown; /* takes until it happens; 0 = it has begun */
	bool fault_for_ever;
	struct kelp_hosted_counts counts;
	uint64_t shootdowns, waits; /* counted outside the lock */

	/* Readers are counted on one of two sides; waiting turns the side over and waits twice. */
	pthread_mutex_t wait_lock;
	uint32_t side;
	uint32_t readers[2];
};

__attribute__((noreturn)) static void fail(struct kelp_hosted *hosted, const char *what,
					   const char *where)
{
	hosted->port.panic(hosted, what, where);
	abort();
}

#define HOSTED_TEXT(x) #x
#define HOSTED_LINE(x) HOSTED_TEXT(x)
#define PANIC(hosted, what) fail((hosted), (what), __FILE__ ":" HOSTED_LINE(__LINE__))

/* xorshift64*: any seed but zero. */
static uint64_t next_random(struct kelp_hosted_private *p)
{
	p->random ^= p->random >> 12;
	p->random ^= p->random << 25;
	p->random ^= p->random >> 27;
	return p->random * UINT64_C(2685821657736338717);
}

static unsigned char *page_pointer(const struct kelp_hosted_private *p, uint32_t page)
{
	return p->arena + (size_t)page * p->page_size;
}

/* ---- hooks -------------------------------------------------------------------------------- */

static void *hosted_table_pointer(void *context, kelp_paddr_t address)
{
	struct kelp_hosted *hosted = context;
	struct kelp_hosted_private *p = hosted->private_part;

	if (address < p->base || address - p->base >= p->page_count * (uint64_t)p->page_size)
		PANIC(hosted, "a table lies outside the arena");
	return p->arena + (size_t)(address - p->base);
}

/* What this take has to do; counts the takes until the injected fault. */
static enum kelp_hosted_fault fault_of_this_take(struct kelp_hosted_private *p)
{
	enum kelp_hosted_fault fault = p->fault;

	if (fault == KELP_HOSTED_OK)
		return KELP_HOSTED_OK;
	if (p->fault_countdown > 1) {
		p->fault_countdown--;
		return KELP_HOSTED_OK;
	}
	if (!p->fault_for_ever)
		p->fault = KELP_HOSTED_OK;
	return fault;
}

/* The first free page that lies at or below the limit. */
static uint32_t pop_free(struct kelp_hosted_private *p, kelp_paddr_t limit)
{
	for (size_t i = p->depth; i-- > 0;) {
		uint32_t page = p->stack[i];
		kelp_paddr_t last = p->base + ((uint64_t)page + 1) * p->page_size - 1;

		if (last > limit)
			continue;
		memmove(&p->stack[i], &p->stack[i + 1], (p->depth - i - 1) * sizeof(p->stack[0]));
		p->depth--;
		return page;
	}
	return NO_PAGE;
}

static void check_poison(struct kelp_hosted *hosted, uint32_t page)
{
	struct kelp_hosted_private *p = hosted->private_part;
	const unsigned char *bytes = page_pointer(p, page);

	if (!p->pages[page].poisoned)
		return;
	p->pages[page].poisoned = false;
	for (size_t i = 0; i < p->page_size; i++) {
		if (bytes[i] != POISON_BYTE) {
			pthread_mutex_unlock(&p->lock);
			PANIC(hosted, "a table page was written after it was given back");
		}
	}
}

static bool hosted_table_take(void *context, size_t size, kelp_paddr_t limit,
			      kelp_paddr_t *address)
{
	struct kelp_hosted *hosted = context;
	struct kelp_hosted_private *p = hosted->private_part;
	enum kelp_hosted_fault fault;
	uint32_t page = NO_PAGE;

	if (size != p->page_size)
		PANIC(hosted, "a table page of another size than the port's was asked for");
	pthread_mutex_lock(&p->lock);
	fault = fault_of_this_take(p);
	if (fault == KELP_HOSTED_DUPLICATE || fault == KELP_HOSTED_DUPLICATE_DIRTY)
		page = p->last_taken;
	if (page == NO_PAGE && fault != KELP_HOSTED_FAIL) {
		page = pop_free(p, limit);
		if (page != NO_PAGE) {
			show_memory(page_pointer(p, page), p->page_size);
			check_poison(hosted, page);
		}
	}
	if (page == NO_PAGE) {
		p->counts.refused++;
		pthread_mutex_unlock(&p->lock);
		return false;
	}
	p->pages[page].users++;
	p->last_taken = page;
	p->counts.taken++;
	if (++p->counts.in_use > p->counts.peak)
		p->counts.peak = p->counts.in_use;
	pthread_mutex_unlock(&p->lock);

	if (fault == KELP_HOSTED_DIRTY)
		memset(page_pointer(p, page), POISON_BYTE, p->page_size);
	else if (fault != KELP_HOSTED_DUPLICATE_DIRTY)
		memset(page_pointer(p, page), 0, p->page_size);
	*address = p->base + (uint64_t)page * p->page_size;
	return true;
}

static void push_free(struct kelp_hosted_private *p, uint32_t page)
{
	p->stack[p->depth++] = page;
	if (p->flags & KELP_HOSTED_SHUFFLED) {
		size_t other = (size_t)(next_random(p) % p->depth);

		p->stack[p->depth - 1] = p->stack[other];
		p->stack[other] = page;
	}
}

static void hosted_table_give(void *context, size_t size, kelp_paddr_t address)
{
	struct kelp_hosted *hosted = context;
	struct kelp_hosted_private *p = hosted->private_part;
	uint64_t offset = address - p->base;
	uint32_t page = (uint32_t)(offset / p->page_size);

	if (size != p->page_size || address < p->base || offset % p->page_size != 0 ||
	    offset / p->page_size >= p->page_count)
		PANIC(hosted, "what was given back is not a page of this port");
	pthread_mutex_lock(&p->lock);
	if (p->pages[page].users == 0) {
		pthread_mutex_unlock(&p->lock);
		PANIC(hosted, "a table page was given back that is not in use");
	}
	p->counts.given++;
	p->counts.in_use--;
	if (--p->pages[page].users == 0) {
		if (p->last_taken == page)
			p->last_taken = NO_PAGE;
		if (p->flags & KELP_HOSTED_POISON) {
			memset(page_pointer(p, page), POISON_BYTE, p->page_size);
			p->pages[page].poisoned = true;
		}
		hide_memory(page_pointer(p, page), p->page_size);
		push_free(p, page);
	}
	pthread_mutex_unlock(&p->lock);
}

/* A hosted process has no other CPU whose translations could be stale: the call is counted. */
static void hosted_shootdown(void *context, const struct kelp_flush_request *request)
{
	struct kelp_hosted *hosted = context;

	(void)request;
	__atomic_add_fetch(&hosted->private_part->shootdowns, 1, __ATOMIC_RELAXED);
}

static void hosted_wait_for_readers(void *context)
{
	struct kelp_hosted *hosted = context;
	struct kelp_hosted_private *p = hosted->private_part;

	__atomic_add_fetch(&p->waits, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&p->wait_lock);
	/*
	 * Twice: a reader that read `side` before a turn and counted itself after it is on the
	 * side that the next wait must look at.
	 */
	for (int turn = 0; turn < 2; turn++) {
		uint32_t side = __atomic_fetch_xor(&p->side, 1, __ATOMIC_SEQ_CST);

		while (__atomic_load_n(&p->readers[side], __ATOMIC_SEQ_CST) != 0)
			sched_yield();
	}
	pthread_mutex_unlock(&p->wait_lock);
}

static void hosted_log(void *context, const char *line)
{
	(void)context;
	fprintf(stderr, "kelp: %s\n", line);
}

static void hosted_panic(void *context, const char *what, const char *where)
{
	(void)context;
	fprintf(stderr, "kelp: panic: %s (%s)\n", what, where);
	abort();
}

/* ---- making and unmaking ------------------------------------------------------------------ */

/* The free pages, so that taking from the end gives the order asked for. */
static void fill_stack(struct kelp_hosted_private *p)
{
	size_t step = p->flags & KELP_HOSTED_SCATTERED ? 2 : 1;

	for (size_t page = 0; page < p->page_count; page += step)
		p->stack[p->depth++] = (uint32_t)page;
	if (p->flags & KELP_HOSTED_SHUFFLED) {
		for (size_t i = p->depth; i > 1; i--) {
			size_t other = (size_t)(next_random(p) % i);
			uint32_t page = p->stack[i - 1];

			p->stack[i - 1] = p->stack[other];
			p->stack[other] = page;
		}
	} else if (!(p->flags & KELP_HOSTED_DESCENDING)) {
		for (size_t i = 0; i < p->depth / 2; i++) {
			uint32_t page = p->stack[i];

			p->stack[i] = p->stack[p->depth - 1 - i];
			p->stack[p->depth - 1 - i] = page;
		}
	}
}

static bool map_arena(struct kelp_hosted_private *p)
{
	size_t size = p->page_count * p->page_size;
	size_t align = p->page_size > HUGE_PAGE ? p->page_size : (size_t)HUGE_PAGE;
	uintptr_t start;

	p->arena_size = size + align;
	p->mapping = mmap(NULL, p->arena_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->mapping == MAP_FAILED)
		return false;
	start = ((uintptr_t)p->mapping + align - 1) & ~(uintptr_t)(align - 1);
	p->arena = (unsigned char *)p->mapping + (start - (uintptr_t)p->mapping);
	if (p->flags & KELP_HOSTED_HUGE) {
		/* Where the host has no huge pages the arena is an ordinary one. */
		(void)madvise(p->arena, size, MADV_HUGEPAGE);
		memset(p->arena, 0, size);
	}
	hide_memory(p->arena, size);
	return true;
}

static void free_private(struct kelp_hosted_private *p)
{
	if (p->mapping != NULL && p->mapping != MAP_FAILED) {
		show_memory(p->arena, p->page_count * p->page_size);
		munmap(p->mapping, p->arena_size);
	}
	free(p->stack);
	free(p->pages);
	free(p);
}

static bool is_power_of_two(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

enum kelp_status kelp_hosted_init(struct kelp_hosted *hosted,
				  const struct kelp_hosted_config *config)
{
	size_t page_size = config->page_size ? config->page_size : 4096;
	struct kelp_hosted_private *p;

	if (!is_power_of_two(page_size) || page_size < 16 || config->pages == 0 ||
	    config->pages >= NO_PAGE || config->pages > SIZE_MAX / 2 / page_size ||
	    config->base % page_size != 0 || (config->flags & ~KNOWN_FLAGS))
		return KELP_ERR_ARGUMENT;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return KELP_ERR_NO_MEMORY;
	p->page_size = page_size;
	p->page_count = config->pages;
	p->base = config->base;
	p->flags = config->flags;
	p->random = config->seed ? config->seed : UINT64_C(0x9e3779b97f4a7c15);
	p->last_taken = NO_PAGE;
	p->stack = malloc(p->page_count * sizeof(p->stack[0]));
	p->pages = calloc(p->page_count, sizeof(p->pages[0]));
	if (p->stack == NULL || p->pages == NULL || !map_arena(p)) {
		free_private(p);
		return KELP_ERR_NO_MEMORY;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->wait_lock, NULL);
	fill_stack(p);

	*hosted = (struct kelp_hosted){
		.port = {
			.context = hosted,
			.table_offset = (uint64_t)(uintptr_t)p->arena - p->base,
			.table_pointer = p->flags & KELP_HOSTED_POINTERS ? hosted_table_pointer
									 : NULL,
			.table_take = hosted_table_take,
			.table_give = hosted_table_give,
			.shootdown = hosted_shootdown,
			.wait_for_readers = hosted_wait_for_readers,
			.log = p->flags & KELP_HOSTED_LOG ? hosted_log : NULL,
			.panic = hosted_panic,
		},
		.private_part = p,
	};
	return KELP_OK;
}

void kelp_hosted_destroy(struct kelp_hosted *hosted)
{
	struct kelp_hosted_private *p = hosted->private_part;

	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->wait_lock);
	free_private(p);
	hosted->private_part = NULL;
}

void kelp_hosted_counts(struct kelp_hosted *hosted, struct kelp_hosted_counts *counts)
{
	struct kelp_hosted_private *p = hosted->private_part;

	pthread_mutex_lock(&p->lock);
	*counts = p->counts;
	counts->shootdowns = __atomic_load_n(&p->shootdowns, __ATOMIC_RELAXED);
	counts->waits = __atomic_load_n(&p->waits, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&p->lock);
}

void *kelp_hosted_pointer(struct kelp_hosted *hosted, kelp_paddr_t address)
{
	return hosted_table_pointer(hosted, address);
}

kelp_paddr_t kelp_hosted_address(struct kelp_hosted *hosted, const void *pointer)
{
	struct kelp_hosted_private *p = hosted->private_part;
	uintptr_t offset = (uintptr_t)pointer - (uintptr_t)p->arena;

	if (offset >= p->page_count * p->page_size)
		PANIC(hosted, "a pointer lies outside the arena");
	return p->base + offset;
}

void kelp_hosted_inject(struct kelp_hosted *hosted, enum kelp_hosted_fault fault, uint64_t nth,
			bool for_ever)
{
	struct kelp_hosted_private *p = hosted->private_part;

	pthread_mutex_lock(&p->lock);
	p->fault = nth == 0 ? KELP_HOSTED_OK : fault;
	p->fault_countdown = nth;
	p->fault_for_ever = for_ever;
	pthread_mutex_unlock(&p->lock);
}

unsigned kelp_hosted_read_begin(struct kelp_hosted *hosted)
{
	struct kelp_hosted_private *p = hosted->private_part;
	uint32_t side = __atomic_load_n(&p->side, __ATOMIC_SEQ_CST);

	__atomic_add_fetch(&p->readers[side], 1, __ATOMIC_SEQ_CST);
	return side;
}

void kelp_hosted_read_end(struct kelp_hosted *hosted, unsigned token)
{
	__atomic_sub_fetch(&hosted->private_part->readers[token], 1, __ATOMIC_SEQ_CST);
}
