/* SPDX-License-Identifier: MIT */
/*
 * sequence: lists of operations that are run on a space and on the model side by side, with
 * every check after each. A list that fails is shrunk to a short one that still fails.
 */
#ifndef TESTS_COMMON_SEQUENCE_H
#define TESTS_COMMON_SEQUENCE_H

#include <stdio.h>

#include <kelp/kelp.h>

#include "judge.h"
#include "model.h"
#include "test_port.h"

enum step_kind {
	STEP_MAP,
	STEP_UNMAP,
	STEP_PROTECT,
	STEP_POPULATE,
	STEP_SPLIT,
	STEP_COALESCE,
	STEP_RELEASE,
	STEP_COMMIT, /* commits the gather and opens the next */
	STEP_NOW,
	STEP_TOUCH,  /* hardware uses the leaf at va; set & DIRTY: it writes */
	STEP_LOOK,   /* query and translate at va, a walk of the range */
	STEP_KINDS,  /* how many; as a step it spoils the leaf at va: for tests of the tests */
};

/* How an edit is done. */
enum step_way {
	STEP_DIRECT,
	STEP_PREPARED,  /* prepare, then commit */
	STEP_CANCELLED, /* prepare, then cancel: nothing may change */
};

struct step {
	enum step_kind kind;
	enum step_way way;
	kelp_vaddr_t va;
	uint64_t size;
	kelp_paddr_t pa;
	kelp_attr_t set;
	kelp_attr_t clear;
	uint32_t flags;
	unsigned leaf_shift;
	unsigned fail_at;  /* the take of this step that fails; 0 = none */
	bool fail_for_ever;
};

struct step_list {
	struct step *steps;
	size_t count, capacity;
	/* Of the space: with a high one, every range of a request is looked at by itself. */
	uint32_t flush_threshold; /* 0 = the default */
};

void step_append(struct step_list *list, const struct step *step);
void step_list_free(struct step_list *list);
/* As calls that can be pasted into a test. */
void step_print(FILE *file, const struct kelp_format *format, const struct step *step);

/* A space, its model, its judge, and an open gather. */
struct run {
	const struct kelp_format *format;
	struct test_port *port;
	struct kelp_space space;
	struct kelp_flush flush;
	struct model model;
	struct judge judge;
	struct raw_list before;
	uint64_t steps;
	enum kelp_status last_status; /* what the last edit answered; BBM if it was retried */
	uint64_t last_count;          /* what coalesce or release counted */
	bool exact; /* BBM is the answer: no second try with ALLOW_BREAK */
	unsigned errors_seen[16]; /* how often each status was answered */
};

/* False, after test_fail(), when the space cannot be made. */
bool run_begin(struct run *run, const struct kelp_format *format, uint32_t space_flags);
/* Does one step with every check. False after test_fail(). */
bool run_step(struct run *run, const struct step *step);
/* The whole space against the model, through the library's eyes and through hardware's. */
bool run_compare(struct run *run);
/* Commits, destroys, and checks that every page is back. False after test_fail(). */
bool run_end(struct run *run);

/* Runs a list from nothing to destroy. False after test_fail(). *failed_at: the step. */
bool sequence_run(const struct kelp_format *format, uint32_t space_flags,
		  const struct step_list *list, size_t *failed_at);

/* Removes steps while the list still fails. */
void sequence_shrink(const struct kelp_format *format, uint32_t space_flags,
		     struct step_list *list);

/* ---- random steps ------------------------------------------------------------------------ */

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *random);
/* 0 to n - 1. */
uint64_t random_below(struct random *random, uint64_t n);
bool random_chance(struct random *random, unsigned percent);

/* A step that is right often enough to get somewhere and wrong often enough to hurt. */
void step_random(struct random *random, const struct kelp_format *format, struct step *step);
/*
 * The same, with single pages that come in rows mixed in: the library has a faster way for those.
 * *last is where the row is, all zero at first.
 */
void step_random_in_rows(struct random *random, const struct kelp_format *format,
			 struct step *step, struct step *last);

#endif
