/* SPDX-License-Identifier: MIT */
/*
 * test_port: a hostile port. Its pages are never adjacent, come in descending order from the
 * very top of physical memory (or of what the library asks for), are poisoned when they are
 * given back, and are handed out again as late as possible. It counts and logs every call, fails
 * the Nth take once or for ever, and can be told to misbehave.
 */
#ifndef TESTS_COMMON_TEST_PORT_H
#define TESTS_COMMON_TEST_PORT_H

#include <setjmp.h>
#include <stdbool.h>

#include <kelp/kelp.h>

enum test_event_kind {
	TEST_TAKE,
	TEST_GIVE,
	TEST_SHOOTDOWN,
	TEST_WAIT,
};

struct test_event {
	enum test_event_kind kind;
	kelp_paddr_t page;                  /* TAKE, GIVE */
	struct kelp_flush_request request;  /* SHOOTDOWN */
};

enum test_page_state {
	TEST_PAGE_FREE,
	TEST_PAGE_TAKEN,   /* the library has it */
	TEST_PAGE_FOREIGN, /* somebody else's table: must never be given to the port */
};

struct test_page {
	unsigned char *memory;
	enum test_page_state state;
};

#define TEST_PAGES_MAX 4096u

/* Pages below one limit. A PAE root needs a low one, everything else comes from the top. */
struct test_arena {
	kelp_paddr_t top; /* first address past the highest page */
	unsigned used;    /* pages that were ever handed out */
	unsigned next;    /* where the search for a free one starts */
	struct test_page pages[TEST_PAGES_MAX];
};

struct test_port {
	struct kelp_port hooks;
	const struct kelp_format *format;
	size_t page_size;
	struct test_arena arena[2];

	/* Counts of calls, and of pages that the library has. */
	unsigned takes, gives, shootdowns, waits;
	unsigned live;
	struct kelp_flush_request last_request;

	struct test_event *events;
	size_t event_count, event_capacity;

	/* The take that fails, counted from the next one: 1 is the next; 0 = none. */
	unsigned fail_at;
	bool fail_for_ever;
	unsigned failed;
	bool forbid_take; /* a take is a bug of the library now */

	/* Misbehaviour, each for the next take. */
	bool give_dirty;
	bool give_duplicate;
	kelp_paddr_t last_page;

	/* Called in the middle of hooks. */
	void (*take_hook)(void *context);
	void *take_context;
	void *observer;
	void (*on_give)(void *observer, kelp_paddr_t page);
	void (*on_shootdown)(void *observer, const struct kelp_flush_request *request);
	void (*on_wait)(void *observer);

	bool panic_armed;
	jmp_buf panic_jump;
	char panic_what[256];
};

/* Aborts the test program when the host has no memory. */
struct test_port *test_port_new(const struct kelp_format *format);
void test_port_free(struct test_port *port);

/* The Nth take from now fails, once or for ever; 0 clears. */
void test_port_fail(struct test_port *port, unsigned nth, bool for_ever);

/* A zeroed page at or below `limit` that does not belong to the library. */
kelp_paddr_t test_port_foreign(struct test_port *port, kelp_paddr_t limit);

/* The memory of a page in use; NULL, and a failure, when it is not. */
void *test_port_memory(struct test_port *port, kelp_paddr_t page);
/* Writes one entry of a page in use, as other software would. */
void test_port_write(struct test_port *port, kelp_paddr_t page, unsigned index, uint64_t entry);
enum test_page_state test_port_state(const struct test_port *port, kelp_paddr_t page);

/* Forgets the log of events. */
void test_port_forget(struct test_port *port);

/* True when `statement` made the library panic; port->panic_what then says why. */
#define test_panics(port, statement)                                                               \
	(setjmp((port)->panic_jump) == 0                                                           \
		 ? ((port)->panic_armed = true, (void)(statement), (port)->panic_armed = false,    \
		    false)                                                                         \
		 : true)

#endif
