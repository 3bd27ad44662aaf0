/* SPDX-License-Identifier: MIT */
/* sabotaged: the library with one bug planted at a time in how it touches entries. */
#ifndef TESTS_EXPLORE_SABOTAGED_H
#define TESTS_EXPLORE_SABOTAGED_H

#include "tiny.h"

enum sabotage {
	SABOTAGE_NONE,
	SABOTAGE_SWAP_BY_STORE, /* compare, then a plain store: not one step */
	SABOTAGE_SWAP_RELAXED,  /* installs a table without publishing what is in it */
	SABOTAGE_STORE_RELAXED,
	SABOTAGE_LOAD_RELAXED, /* follows a pointer without seeing what it points to */
	SABOTAGE_FILL_LATE,    /* links a table, then fills it */
};

extern const struct kelp_space_ops kelp_sabotaged_space_ops;

/* Which bug it has from now on. To be called in setup. */
void sabotage_reset(enum sabotage how);

#endif
