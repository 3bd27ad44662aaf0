/* SPDX-License-Identifier: MIT */
/*
 * cases: a test case is written once and run over every format. It gets a fresh space with the
 * model beside it and the judge watching; what it does through do_*() is checked in every way
 * sequence.h knows, and what the case itself asserts comes on top.
 */
#ifndef TESTS_COMMON_CASES_H
#define TESTS_COMMON_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raw.h"
#include "report.h"
#include "sequence.h"

struct test_case {
	const char *name;
	void (*body)(struct run *run);
	uint32_t space_flags;
	/* NULL: every format. */
	bool (*applies)(const struct kelp_format *format);
};

/* All cases over all formats, as one cmocka group. Returns the exit status of main(). */
int cases_run(const char *group, const struct test_case *cases, size_t count);

/* For cases that make spaces of their own: only the format and a port. */
struct bare {
	const struct kelp_format *format;
	struct test_port *port;
};
struct bare_case {
	const char *name;
	void (*body)(struct bare *bare);
	bool (*applies)(const struct kelp_format *format);
};
int bare_cases_run(const char *group, const struct bare_case *cases, size_t count);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Fails the cmocka test with what the shared code reported. */
void assert_no_failure(void);

/* Operations on space and model, with every check. They return what the library answered. */
enum kelp_status do_map(struct run *run, kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size,
			kelp_attr_t attributes, uint32_t flags);
enum kelp_status do_unmap(struct run *run, kelp_vaddr_t va, uint64_t size, uint32_t flags);
enum kelp_status do_protect(struct run *run, kelp_vaddr_t va, uint64_t size, kelp_attr_t set,
			    kelp_attr_t clear, uint32_t flags);
enum kelp_status do_populate(struct run *run, kelp_vaddr_t va, uint64_t size,
			     unsigned leaf_shift);
enum kelp_status do_split(struct run *run, kelp_vaddr_t va, uint64_t size, unsigned leaf_shift,
			  uint32_t flags);
enum kelp_status do_coalesce(struct run *run, kelp_vaddr_t va, uint64_t size,
			     unsigned leaf_shift, uint32_t flags);
enum kelp_status do_release(struct run *run, kelp_vaddr_t va, uint64_t size);
void do_commit(struct run *run);
void do_touch(struct run *run, kelp_vaddr_t va, bool write);

/* OK, or BBM where the architecture demands breaks; then done again with ALLOW_BREAK. */
#define assert_done(status)                                                                        \
	do {                                                                                       \
		enum kelp_status done_ = (status);                                                 \
		assert_true(done_ == KELP_OK || done_ == KELP_ERR_BBM);                            \
	} while (0)
#define assert_status(status, expected)                                                            \
	assert_string_equal(kelp_status_name(status), kelp_status_name(expected))

/* ---- what a format has ------------------------------------------------------------------- */

uint64_t page_of(const struct kelp_format *format);
/* log2 of the leaf at a level, groups aside; 0 when there is none. */
unsigned leaf_at(const struct kelp_format *format, unsigned level);
/* The lowest level above 0 with leaves; 0 when there is none. */
unsigned large_level(const struct kelp_format *format);
unsigned largest_shift(const struct kelp_format *format);
/* Aligned to the largest leaf, in the nth stretch of that size after the start of a range. */
kelp_vaddr_t some_va(const struct kelp_format *format, unsigned n);
kelp_paddr_t some_pa(const struct kelp_format *format, unsigned n);
/* Data and code as the format can express them; another that differs in rights. */
kelp_attr_t data_of(const struct kelp_format *format);
kelp_attr_t rodata_of(const struct kelp_format *format);
kelp_attr_t text_of(const struct kelp_format *format);
bool has_large(const struct kelp_format *format);
bool has_groups(const struct kelp_format *format);
bool has_hardware_bits(const struct kelp_format *format);

/* The leaf at `va` as it stands in the tables; NULL: none. Valid until the next operation. */
const struct raw_entry *leaf_of(struct run *run, kelp_vaddr_t va);
/* log2 of the leaf (group) at `va`; 0: none. */
unsigned shift_at(struct run *run, kelp_vaddr_t va);
/* Tables of the space, the root included. */
unsigned tables_of(struct run *run);

#endif
