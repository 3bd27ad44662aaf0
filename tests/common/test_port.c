/* SPDX-License-Identifier: MIT */
#include "test_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#endif
#ifdef TEST_ASAN
#include <sanitizer/asan_interface.h>
#else
#define __asan_poison_memory_region(memory, size) ((void)(memory), (void)(size))
#define __asan_unpoison_memory_region(memory, size) ((void)(memory), (void)(size))
#endif

/* Two pages of nothing between any two tables: code that counts on adjacency reads elsewhere. */
#define PAGE_DISTANCE 3u
#define POISON 0xa5

static void *must(void *memory)
{
	if (!memory) {
		fprintf(stderr, "the host has no memory for the test\n");
		abort();
	}
	return memory;
}

static kelp_paddr_t page_address(const struct test_port *port, const struct test_arena *arena,
				 unsigned index)
{
	return arena->top - ((uint64_t)index * PAGE_DISTANCE + 1u) * port->page_size;
}

static struct test_page *page_at(const struct test_port *port, kelp_paddr_t address)
{
	for (unsigned a = 0; a < 2; a++) {
		const struct test_arena *arena = &port->arena[a];
		uint64_t index;

		if (address >= arena->top || address % port->page_size)
			continue;
		index = ((arena->top - address) / port->page_size - 1u) / PAGE_DISTANCE;
		if (index < arena->used && page_address(port, arena, (unsigned)index) == address)
			return (struct test_page *)&arena->pages[index];
	}
	return NULL;
}

static void log_event(struct test_port *port, const struct test_event *event)
{
	if (port->event_count == port->event_capacity) {
		port->event_capacity = port->event_capacity ? 2 * port->event_capacity : 256;
		port->events = must(realloc(port->events,
					    port->event_capacity * sizeof(*port->events)));
	}
	port->events[port->event_count++] = *event;
	/* Long runs look at the recent past only. */
	if (port->event_count > 65536) {
		memmove(port->events, port->events + 32768, 32768 * sizeof(*port->events));
		port->event_count -= 32768;
	}
}

void test_port_forget(struct test_port *port)
{
	port->event_count = 0;
}

/* The free page that was given back longest ago; NULL when the arena is full. */
static struct test_page *allocate(struct test_port *port, struct test_arena *arena,
				  kelp_paddr_t *address)
{
	unsigned index = arena->used;

	if (arena->used == TEST_PAGES_MAX) {
		for (unsigned i = 0; i < TEST_PAGES_MAX; i++) {
			unsigned candidate = (arena->next + i) % TEST_PAGES_MAX;

			if (arena->pages[candidate].state == TEST_PAGE_FREE) {
				index = candidate;
				break;
			}
		}
		if (index == TEST_PAGES_MAX)
			return NULL;
		arena->next = (index + 1u) % TEST_PAGES_MAX;
	} else {
		/* Reuse now and then, so that stale contents and pointers have a victim. */
		if (arena->used > 64 && arena->used % 4 == 0) {
			unsigned candidate = arena->next++ % arena->used;

			if (arena->pages[candidate].state == TEST_PAGE_FREE)
				index = candidate;
		}
		if (index == arena->used) {
			arena->pages[index].memory =
				must(aligned_alloc(port->page_size, port->page_size));
			arena->used++;
		}
	}
	*address = page_address(port, arena, index);
	return &arena->pages[index];
}

static bool take_page(struct test_port *port, kelp_paddr_t limit, enum test_page_state state,
		      kelp_paddr_t *address)
{
	unsigned which = port->arena[0].top - 1u > limit;
	struct test_arena *arena = &port->arena[which];
	struct test_page *page;

	if (which && !arena->top)
		arena->top = (limit & ~((uint64_t)port->page_size - 1u)) +
			     ((limit & (port->page_size - 1u)) == port->page_size - 1u
				      ? port->page_size : 0);
	if (arena->top - 1u > limit) {
		test_fail("table_take: two limits below the physical width, 0x%llx now",
			  (unsigned long long)limit);
		return false;
	}
	page = allocate(port, arena, address);
	if (!page) {
		/* A failure like those that are asked for. */
		port->failed++;
		return false;
	}
	__asan_unpoison_memory_region(page->memory, port->page_size);
	memset(page->memory, 0, port->page_size);
	page->state = state;
	return true;
}

static bool hook_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address)
{
	struct test_port *port = context;
	struct test_event event = {.kind = TEST_TAKE};

	port->takes++;
	if (port->forbid_take)
		test_fail("table_take where nothing may be allocated");
	if (size != port->page_size)
		test_fail("table_take asks for %zu bytes, a table has %zu", size, port->page_size);
	if (port->take_hook)
		port->take_hook(port->take_context);
	if (port->fail_at && (--port->fail_at == 0)) {
		port->failed++;
		if (port->fail_for_ever)
			port->fail_at = 1;
		return false;
	}
	if (port->give_duplicate) {
		port->give_duplicate = false;
		*address = port->last_page;
		return true;
	}
	if (!take_page(port, limit, TEST_PAGE_TAKEN, address))
		return false;
	if (port->give_dirty) {
		port->give_dirty = false;
		((unsigned char *)test_port_memory(port, *address))[port->page_size - 3] = 0x40;
	}
	port->last_page = *address;
	port->live++;
	event.page = *address;
	log_event(port, &event);
	return true;
}

static void hook_give(void *context, size_t size, kelp_paddr_t address)
{
	struct test_port *port = context;
	struct test_page *page = page_at(port, address);
	struct test_event event = {.kind = TEST_GIVE, .page = address};

	port->gives++;
	log_event(port, &event);
	if (size != port->page_size)
		test_fail("table_give returns %zu bytes, a table has %zu", size, port->page_size);
	if (!page || page->state != TEST_PAGE_TAKEN) {
		test_fail("table_give of 0x%llx, %s", (unsigned long long)address,
			  !page ? "which is no page of the port"
			  : page->state == TEST_PAGE_FREE ? "which was given back before"
							  : "which is somebody else's table");
		return;
	}
	if (port->on_give)
		port->on_give(port->observer, address);
	page->state = TEST_PAGE_FREE;
	memset(page->memory, POISON, port->page_size);
	__asan_poison_memory_region(page->memory, port->page_size);
	port->live--;
}

static void *hook_pointer(void *context, kelp_paddr_t address)
{
	return test_port_memory(context, address);
}

static void hook_shootdown(void *context, const struct kelp_flush_request *request)
{
	struct test_port *port = context;
	struct test_event event = {.kind = TEST_SHOOTDOWN, .request = *request};

	port->shootdowns++;
	port->last_request = *request;
	log_event(port, &event);
	if (port->on_shootdown)
		port->on_shootdown(port->observer, request);
	/* What another CPU does with it. */
	kelp_flush_execute(request);
}

static void hook_wait(void *context)
{
	struct test_port *port = context;
	struct test_event event = {.kind = TEST_WAIT};

	port->waits++;
	log_event(port, &event);
	if (port->on_wait)
		port->on_wait(port->observer);
}

static void hook_panic(void *context, const char *what, const char *where)
{
	struct test_port *port = context;

	snprintf(port->panic_what, sizeof(port->panic_what), "%s (%s)", what, where);
	if (port->panic_armed) {
		port->panic_armed = false;
		longjmp(port->panic_jump, 1);
	}
	fprintf(stderr, "kelp panic: %s\n", port->panic_what);
	abort();
}

struct test_port *test_port_new(const struct kelp_format *format)
{
	struct test_port *port = must(calloc(1, sizeof(*port)));

	port->format = format;
	port->page_size = (size_t)1 << format->page_shift;
	port->arena[0].top = UINT64_C(1) << format->pa_bits;
	port->hooks = (struct kelp_port){
		.context = port,
		.table_pointer = hook_pointer,
		.table_take = hook_take,
		.table_give = hook_give,
		.shootdown = hook_shootdown,
		.wait_for_readers = hook_wait,
		.panic = hook_panic,
	};
	return port;
}

void test_port_free(struct test_port *port)
{
	if (!port)
		return;
	for (unsigned a = 0; a < 2; a++)
		for (unsigned i = 0; i < port->arena[a].used; i++) {
			unsigned char *memory = port->arena[a].pages[i].memory;

			__asan_unpoison_memory_region(memory, port->page_size);
			free(memory);
		}
	free(port->events);
	free(port);
}

void test_port_fail(struct test_port *port, unsigned nth, bool for_ever)
{
	port->fail_at = nth;
	port->fail_for_ever = for_ever;
	port->failed = 0;
}

kelp_paddr_t test_port_foreign(struct test_port *port, kelp_paddr_t limit)
{
	kelp_paddr_t address = 0;

	if (!take_page(port, limit, TEST_PAGE_FOREIGN, &address)) {
		fprintf(stderr, "the test port is out of pages\n");
		abort();
	}
	return address;
}

void *test_port_memory(struct test_port *port, kelp_paddr_t address)
{
	struct test_page *page = page_at(port, address);

	if (!page || page->state == TEST_PAGE_FREE) {
		static unsigned char nothing[1u << 16] __attribute__((aligned(1u << 16)));

		test_fail("physical address 0x%llx is used as a table and is none",
			  (unsigned long long)address);
		memset(nothing, 0, sizeof(nothing));
		return nothing;
	}
	return page->memory;
}

void test_port_write(struct test_port *port, kelp_paddr_t page, unsigned index, uint64_t entry)
{
	void *memory = test_port_memory(port, page);

	if (port->format->entry_bytes == 4)
		((uint32_t *)memory)[index] = (uint32_t)entry;
	else
		((uint64_t *)memory)[index] = entry;
}

enum test_page_state test_port_state(const struct test_port *port, kelp_paddr_t address)
{
	const struct test_page *page = page_at(port, address);

	return page ? page->state : TEST_PAGE_FREE;
}
