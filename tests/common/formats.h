/* SPDX-License-Identifier: MIT */
/*
 * formats: every instance of every format that is worth a test: each depth, granule, half and
 * width, with and without what a machine may lack. Tests of portable code run over all of them.
 */
#ifndef TESTS_COMMON_FORMATS_H
#define TESTS_COMMON_FORMATS_H

#include <kelp/format.h>

struct test_format {
	const char *name; /* unique: "x86_64-4level+1g+nx" */
	struct kelp_format format;
};

/*
 * The list, in a fixed order; returns how many. Built at the first call, which is not to be
 * made by two threads at once; ends the program if an instance cannot be set up.
 */
size_t test_formats(const struct test_format **list);

/* One of them by name; ends the program if there is none. */
const struct kelp_format *test_format_named(const char *name);

#endif
