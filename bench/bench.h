/* SPDX-License-Identifier: MIT */
/*
 * bench: how figures are taken.
 *
 * A case times its own work and, in the same run, the limit it is compared with: what the
 * machine's memory or a call alone would cost. One run gives one pair; the figures printed are
 * the medians over all runs, so a slow moment of the machine hits both or neither.
 */
#ifndef KELP_BENCH_H
#define KELP_BENCH_H

#include <kelp/kelp.h>
#include <stdbool.h>
#include <stdio.h>

#include "kelp_hosted.h"

/* What one case works on: a space of one format over an arena of table pages. */
struct bench {
	const char *format_name;
	struct kelp_format format;
	struct kelp_hosted hosted;
	struct kelp_space space;
	kelp_attr_t attributes;
	void *limit_memory; /* 4 MiB, backed like the arena, for the limits */
	uint32_t *order;    /* the pages of 1 GiB in random order */
};

#define BENCH_GIB      (UINT64_C(1) << 30)
#define BENCH_MIB      (UINT64_C(1) << 20)
#define BENCH_PAGES    (BENCH_GIB >> 12)
#define BENCH_LIMIT_MEMORY (4u * BENCH_MIB)

/* One run, of the case and of its limit, in its unit. */
struct bench_sample {
	double value;
	double limit;
};

struct bench_case {
	const char *name;
	const char *unit; /* "ns/page", "ns/call"; "MiB/s", where more is better */
	const char *limit_name;
	void (*run)(struct bench *bench, struct bench_sample *sample);
};

extern const struct bench_case bench_space_cases[];
extern const size_t bench_space_count;
/* These are measured once, not per format. */
extern const struct bench_case bench_exist_cases[];
extern const size_t bench_exist_count;
extern const struct bench_case bench_snapshot_cases[];
extern const size_t bench_snapshot_count;
extern const struct bench_case bench_reach_cases[];
extern const size_t bench_reach_count;
extern const struct bench_case bench_trans_cases[];
extern const size_t bench_trans_count;
/* Once as well. */
extern const struct bench_case bench_kexec_cases[];
extern const size_t bench_kexec_count;

double bench_now(void); /* nanoseconds, monotonic */

/* Ends the program with a message: a bench that cannot do its work has no figure. */
void bench_check(enum kelp_status status, const char *what);

/* Functions that do nothing, in a file of their own so that nothing is optimised away. */
enum kelp_status bench_empty_map(struct kelp_flush *flush, kelp_vaddr_t va, kelp_paddr_t pa,
				 uint64_t size, kelp_attr_t attributes, uint32_t flags);
enum kelp_status bench_empty_unmap(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				   uint32_t flags);
enum kelp_status bench_empty_translate(const struct kelp_space *space, kelp_vaddr_t va,
				       kelp_paddr_t *pa);
enum kelp_status bench_empty_hold(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn,
				  struct kelp_hold *hold);
void bench_empty_release(struct kelp_memmap *map, uint32_t cpu, struct kelp_hold *hold);
/* Keeps the compiler from leaving out the work that made `pointer`'s contents. */
void bench_use(const void *pointer);

#endif
