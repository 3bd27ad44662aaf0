/* SPDX-License-Identifier: MIT */
/*
 * churn: free frames are taken out of the direct map and given back in random order, and the map
 * must end as it began (INV-3.2).
 */
#ifndef HOLDFAST_CHURN_H
#define HOLDFAST_CHURN_H

#include <kelp/kelp.h>

#include <base.h>

struct churn {
	uint64_t frames; /* taken out and given back */
	struct kelp_directmap_statistics before, between, after;
	uint32_t tables_before, tables_between, tables_after; /* of the whole space */
	uint64_t ticks_out, ticks_back;
	uint64_t shootdowns, shootdown_ticks;
	const char *failure; /* NULL: all held */
};

/*
 * As many frames as there are free ones in the direct map, or `frames_max`. Each bears a mark that
 * is looked for through the copy window while it is absent, and through the map at the end.
 * Thread context; meanwhile little memory is left for others.
 */
void churn(uint64_t frames_max, struct churn *result);

/* "125 x 2 MiB, 1407 x 4 KiB" */
#define CHURN_LEAVES 96
const char *leaves_text(char text[CHURN_LEAVES], const struct kelp_directmap_statistics *s);

/* Three lines: the leaves before, between and after, and what it cost. */
void churn_print(const struct churn *churn, const char *prefix);

#endif
