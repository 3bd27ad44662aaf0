/* SPDX-License-Identifier: MIT */
/*
 * A caller's bug is asserted through the port: each here is committed on purpose. The checks
 * that only builds with KELP_DEBUG have are asked for in those only.
 */
#include <string.h>

#include "cases.h"

#ifndef KELP_DEBUG
#define KELP_DEBUG 0
#endif

/* `statement` must panic, and say something of `what`. */
#define assert_panics(port_, statement, what)                                                      \
	do {                                                                                       \
		assert_true(test_panics((port_), (statement)));                                    \
		if (!strstr((port_)->panic_what, (what)))                                          \
			fail_msg("the panic says: %s", (port_)->panic_what);                       \
	} while (0)

/* The same for what returns a status: there is none to look at. */
static void ignored(enum kelp_status status)
{
	(void)status;
}
#define assert_call_panics(port_, call, what) assert_panics(port_, ignored(call), what)

static struct kelp_space space;
static struct kelp_flush flush;

static void begin(struct bare *bare)
{
	memset(&flush, 0, sizeof(flush));
	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks, 0), KELP_OK);
	kelp_flush_begin(&flush, &space);
}

static enum kelp_status map_page(struct bare *bare, unsigned place)
{
	const struct kelp_format *f = bare->format;

	return kelp_space_map(&flush, some_va(f, place), some_pa(f, 0), page_of(f), data_of(f),
			      KELP_REPLACE);
}

static void page_not_zeroed(struct bare *bare)
{
	begin(bare);
	bare->port->give_dirty = true;
	assert_panics(bare->port, map_page(bare, 0), "zero");
}

static void root_not_zeroed(struct bare *bare)
{
	struct kelp_space other;

	bare->port->give_dirty = true;
	assert_call_panics(bare->port, kelp_space_init(&other, bare->format, &bare->port->hooks, 0),
		      "zero");
}

/*
 * The same page twice: while it is a table in use, while it is reserved, while it is the root.
 * (An empty table that is not the root is all zero, as a page should be: it is seen when it is
 * handed out once more after that.)
 */
static void page_twice_that_is_in_use(struct bare *bare)
{
	const struct kelp_format *f = bare->format;

	begin(bare);
	assert_status(map_page(bare, 0), KELP_OK);
	bare->port->give_duplicate = true;
	assert_call_panics(bare->port,
		      kelp_space_populate(&flush, some_va(f, 1) - page_of(f), 2 * page_of(f),
					  f->page_shift, 0), "twice");
}

static void duplicate_next(void *context)
{
	struct test_port *port = context;

	if (port->live >= 2)
		port->give_duplicate = true;
}

static void page_twice_while_reserved(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t span = UINT64_C(1) << f->shift[1];

	begin(bare);
	bare->port->take_hook = duplicate_next;
	bare->port->take_context = bare->port;
	assert_call_panics(bare->port,
		      kelp_space_populate(&flush, some_va(f, 0) & ~(span - 1u), 3 * span,
					  f->page_shift, 0), "twice");
}

static void page_that_is_the_root(struct bare *bare)
{
	begin(bare);
	bare->port->give_duplicate = true;
	assert_panics(bare->port, map_page(bare, 0), "twice");
}

static kelp_paddr_t bad_page;

static bool take_bad(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *page)
{
	(void)context, (void)size, (void)limit;
	*page = bad_page;
	return true;
}

/* Always caught: a page that no entry can name would silently become another. */
static void page_not_aligned(struct bare *bare)
{
	begin(bare);
	bare->port->hooks.table_take = take_bad;
	bad_page = bare->port->page_size / 2;
	assert_panics(bare->port, map_page(bare, 0), "aligned");
	bad_page = (UINT64_C(1) << bare->format->pa_bits);
	assert_panics(bare->port, map_page(bare, 0), "limit");
}

/* ---- gathers ----------------------------------------------------------------------------- */

static void gather_begun_twice(struct bare *bare)
{
	begin(bare);
	assert_panics(bare->port, kelp_flush_begin(&flush, &space), "open");
}

static void gather_dropped_then_destroy(struct bare *bare)
{
	begin(bare);
	assert_status(map_page(bare, 0), KELP_OK);
	assert_panics(bare->port, kelp_space_destroy(&space), "never committed");
	kelp_flush_commit(&flush);
	kelp_space_destroy(&space);
	assert_int_equal(bare->port->live, 0);
}

static void leave_scope_early(struct bare *bare)
{
	KELP_FLUSH_SCOPE(scoped, &space);
	assert_status(kelp_space_map(&scoped, some_va(bare->format, 0), 0, page_of(bare->format),
				     data_of(bare->format), 0), KELP_OK);
}

static void leave_scope_committed(struct bare *bare)
{
	KELP_FLUSH_SCOPE(scoped, &space);
	assert_status(kelp_space_map(&scoped, some_va(bare->format, 1), 0, page_of(bare->format),
				     data_of(bare->format), 0), KELP_OK);
	kelp_flush_commit(&scoped);
}

static void gather_dropped_at_the_end_of_its_scope(struct bare *bare)
{
	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks, 0), KELP_OK);
	leave_scope_committed(bare);
	assert_panics(bare->port, leave_scope_early(bare), "uncommitted");
}

static void gather_used_after_commit(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f);
	kelp_vaddr_t va = some_va(f, 0);
	struct kelp_change change = {.kind = KELP_CHANGE_UNMAP, .va = va, .size = page};

	begin(bare);
	/* A warm cursor must not be a way around the check. */
	assert_status(kelp_space_map(&flush, va, 0, page, data_of(f), 0), KELP_OK);
	assert_status(kelp_space_map(&flush, va + page, 0, page, data_of(f), 0), KELP_OK);
	kelp_flush_commit(&flush);
	assert_call_panics(bare->port, kelp_space_map(&flush, va + 2 * page, 0, page, data_of(f), 0),
		      "open");
	assert_call_panics(bare->port, kelp_space_unmap(&flush, va, page, 0), "open");
	assert_call_panics(bare->port, kelp_space_protect(&flush, va, page, 0, KELP_ATTR_WRITE, 0),
		      "open");
	assert_call_panics(bare->port, kelp_space_populate(&flush, va, page, f->page_shift, 0), "open");
	assert_call_panics(bare->port, kelp_space_split(&flush, va, page, f->page_shift, 0), "open");
	assert_call_panics(bare->port, kelp_space_coalesce(&flush, va, page, f->page_shift, 0, NULL),
		      "open");
	assert_call_panics(bare->port, kelp_space_release(&flush, va, page, NULL), "open");
	assert_call_panics(bare->port, kelp_space_prepare(&flush, &change), "open");
	assert_panics(bare->port, kelp_flush_now(&flush), "open");
	assert_panics(bare->port, kelp_flush_commit(&flush), "open");
	assert_panics(bare->port, kelp_flush_add(&flush, va, va + page - 1u, f->page_shift, 0),
		      "open");
	kelp_space_destroy(&space);
	assert_int_equal(bare->port->live, 0);
}

static void committed_after_the_gather(struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	struct kelp_change change = {.kind = KELP_CHANGE_MAP, .va = some_va(f, 0),
				     .size = page_of(f), .set = data_of(f), .flush = NULL};

	begin(bare);
	assert_status(kelp_space_prepare(&flush, &change), KELP_OK);
	kelp_flush_commit(&flush);
	assert_panics(bare->port, kelp_space_commit(&change), "open");
	kelp_space_cancel(&change);
	kelp_space_destroy(&space);
	assert_int_equal(bare->port->live, 0);
}

static void asid_while_a_gather_is_open(struct bare *bare)
{
	begin(bare);
	assert_panics(bare->port, kelp_space_set_asid(&space, 5), "open");
	kelp_flush_commit(&flush);
	kelp_space_set_asid(&space, 5);
	kelp_space_destroy(&space);
}

/* The words of every status. */
static void statuses_have_words(void **state)
{
	(void)state;
	for (int status = KELP_OK; status <= KELP_ERR_BUSY; status++) {
		assert_non_null(kelp_status_name((enum kelp_status)status));
		assert_true(strncmp(kelp_status_name((enum kelp_status)status), "KELP_", 5) == 0);
		assert_true(strlen(kelp_status_text((enum kelp_status)status)) >= 5);
		for (int other = KELP_OK; other < status; other++) {
			assert_string_not_equal(kelp_status_name((enum kelp_status)status),
						kelp_status_name((enum kelp_status)other));
			assert_string_not_equal(kelp_status_text((enum kelp_status)status),
						kelp_status_text((enum kelp_status)other));
		}
	}
	assert_non_null(kelp_status_name((enum kelp_status)4711));
	assert_non_null(kelp_status_text((enum kelp_status)-1));
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"a page that is not aligned", page_not_aligned, NULL},
		{"a gather used after commit", gather_used_after_commit, NULL},
		{"a change committed after the gather", committed_after_the_gather, NULL},
	};
	static const struct bare_case checked[] = {
		{"a page that is not zeroed", page_not_zeroed, NULL},
		{"a root that is not zeroed", root_not_zeroed, NULL},
		{"a page twice: a table in use", page_twice_that_is_in_use, NULL},
		{"a page twice: reserved", page_twice_while_reserved, NULL},
		{"a page twice: the root", page_that_is_the_root, NULL},
		{"a gather begun twice", gather_begun_twice, NULL},
		{"a gather dropped, then destroy", gather_dropped_then_destroy, NULL},
		{"a gather dropped at the end of its scope",
		 gather_dropped_at_the_end_of_its_scope, NULL},
		{"a tag set while a gather is open", asid_while_a_gather_is_open, NULL},
	};
	const struct CMUnitTest words[] = {cmocka_unit_test(statuses_have_words)};
	int failed = bare_cases_run("callers' bugs", cases, COUNT_OF(cases));

	if (KELP_DEBUG)
		failed |= bare_cases_run("callers' bugs, checked builds", checked, COUNT_OF(checked));

	return cmocka_run_group_tests_name("status", words, NULL, NULL) || failed;
}
