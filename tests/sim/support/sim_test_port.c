/* SPDX-License-Identifier: MIT */
#include "sim_test_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "sim/hw.h"
#include "tests/common/report.h"

unsigned sim_test_cpus = 3;

static void *must(void *memory)
{
	if (!memory) {
		fprintf(stderr, "the host has no memory for the test\n");
		abort();
	}
	return memory;
}

static struct sim_test_port *of(const struct test_port *port)
{
	return (struct sim_test_port *)(uintptr_t)port;
}

/* ---- which pages are whose ------------------------------------------------------------------ */

/* Its page, or where it would stand: address 0 is never given out. */
static struct sim_test_page *page_slot(const struct sim_test_port *port, kelp_paddr_t address)
{
	uint64_t at = (address >> 12) * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	for (;; at++) {
		struct sim_test_page *page = &port->pages[at & (port->page_capacity - 1u)];

		if (page->address == address || page->address == 0)
			return page;
	}
}

static void page_set(struct sim_test_port *port, kelp_paddr_t address, enum test_page_state state)
{
	struct sim_test_page *page;

	if (2u * (port->page_count + 1u) > port->page_capacity) {
		struct sim_test_page *old = port->pages;
		unsigned capacity = port->page_capacity;

		port->page_capacity = capacity ? 2u * capacity : 256u;
		port->pages = must(calloc(port->page_capacity, sizeof(*port->pages)));
		for (unsigned i = 0; i < capacity; i++)
			if (old[i].address)
				*page_slot(port, old[i].address) = old[i];
		free(old);
	}
	page = page_slot(port, address);
	port->page_count += page->address == 0;
	*page = (struct sim_test_page){address, state};
}

enum test_page_state test_port_state(const struct test_port *port, kelp_paddr_t address)
{
	const struct sim_test_page *page =
		of(port)->page_capacity ? page_slot(of(port), address) : NULL;

	return page && page->address ? page->state : TEST_PAGE_FREE;
}

static bool take_page(struct sim_test_port *port, kelp_paddr_t limit, enum test_page_state state,
		      kelp_paddr_t *address)
{
	if (!sim_page_take(port->sim, port->test.page_size, limit, address))
		return false;
	page_set(port, *address, state);
	return true;
}

/* ---- hooks ------------------------------------------------------------------------------------ */

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
	if (port->give_dirty || port->give_duplicate) {
		fprintf(stderr, "the machine's test port hands out clean pages only\n");
		abort();
	}
	if (!take_page(of(port), limit, TEST_PAGE_TAKEN, address))
		return false;
	port->last_page = *address;
	port->live++;
	event.page = *address;
	log_event(port, &event);
	return true;
}

static void hook_give(void *context, size_t size, kelp_paddr_t address)
{
	struct test_port *port = context;
	struct test_event event = {.kind = TEST_GIVE, .page = address};

	port->gives++;
	log_event(port, &event);
	if (size != port->page_size)
		test_fail("table_give returns %zu bytes, a table has %zu", size, port->page_size);
	if (test_port_state(port, address) != TEST_PAGE_TAKEN) {
		test_fail("table_give of 0x%llx, which the library does not have",
			  (unsigned long long)address);
		return;
	}
	if (port->on_give)
		port->on_give(port->observer, address);
	page_set(of(port), address, TEST_PAGE_FREE);
	port->live--;
	sim_page_free(of(port)->sim, sim_kelp_cpu(), address, port->page_size);
}

static void *hook_pointer(void *context, kelp_paddr_t address)
{
	return test_port_memory(context, address);
}

static void hook_shootdown(void *context, const struct kelp_flush_request *request)
{
	struct test_port *port = context;
	struct sim_test_port *machine = of(port);
	struct test_event event = {.kind = TEST_SHOOTDOWN, .request = *request};

	port->shootdowns++;
	port->last_request = *request;
	log_event(port, &event);
	if (port->on_shootdown)
		port->on_shootdown(port->observer, request);
	/* None where the invalidation itself is broadcast: the CPUs have done it. */
	if (machine->kelp.port.shootdown)
		machine->kelp.port.shootdown(&machine->kelp, request);
}

void sim_test_readers_leave(struct sim_test_port *machine)
{
	for (; machine->readers; machine->readers--)
		sim_reader_exit(machine->sim, machine->reader);
}

static void hook_wait(void *context)
{
	struct test_port *port = context;
	struct test_event event = {.kind = TEST_WAIT};

	port->waits++;
	log_event(port, &event);
	/* Who read the tables when a gather began is done now. */
	sim_test_readers_leave(of(port));
	if (port->on_wait)
		port->on_wait(port->observer);
}

static void hook_panic(void *context, const char *what, const char *where)
{
	struct test_port *port = context;

	snprintf(port->panic_what, sizeof(port->panic_what), "%s (%s)", what, where);
	of(port)->nested = 0;
	if (port->panic_armed) {
		port->panic_armed = false;
		longjmp(port->panic_jump, 1);
	}
	fprintf(stderr, "kelp panic: %s\n", port->panic_what);
	abort();
}

static void on_verdict(void *context, struct sim *sim)
{
	const struct sim_verdict *verdict = sim_verdict(sim);
	const struct test_port *port = context;

	sim_report(sim, stderr);
	test_fail("%s: %s at 0x%llx: %s", port->format->name, sim_error_name(verdict->error),
		  (unsigned long long)verdict->va, verdict->missing);
}

/* ---- the interface of tests/common/test_port.h ------------------------------------------------ */

struct test_port *test_port_new(const struct kelp_format *format)
{
	struct sim_test_port *machine = must(calloc(1, sizeof(*machine)));
	struct test_port *port = &machine->test;

	machine->sim = must(machine_new(format, 1, sim_test_cpus));
	sim_kelp_port_init(&machine->kelp, machine->sim);
	sim_on_error(machine->sim, on_verdict, port);
	port->format = format;
	port->page_size = (size_t)1 << format->page_shift;
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
	sim_destroy(of(port)->sim);
	sim_kelp_run_as(NULL, 0);
	free(of(port)->pages);
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

	if (!take_page(of(port), limit, TEST_PAGE_FOREIGN, &address)) {
		fprintf(stderr, "the machine is out of pages\n");
		abort();
	}
	return address;
}

void *test_port_memory(struct test_port *port, kelp_paddr_t address)
{
	if (test_port_state(port, address) == TEST_PAGE_FREE) {
		static unsigned char nothing[1u << 16] __attribute__((aligned(1u << 16)));

		test_fail("physical address 0x%llx is used as a table and is none",
			  (unsigned long long)address);
		memset(nothing, 0, sizeof(nothing));
		return nothing;
	}
	return sim_pointer(of(port)->sim, address);
}

void test_port_write(struct test_port *port, kelp_paddr_t page, unsigned index, uint64_t entry)
{
	unsigned width = port->format->entry_bytes;

	sim_entry_write(of(port)->sim, sim_kelp_cpu(), page + (uint64_t)index * width, entry,
			width);
	sim_kelp_published();
}
