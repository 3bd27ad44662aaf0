/* SPDX-License-Identifier: MIT */
/*
 * The smallest kernel that can get page tables wrong: raw entries, by hand, no library. Each
 * program is one deed, right or wrong, and says what the oracle must call it.
 */
#ifndef TESTS_SIM_TOY_H
#define TESTS_SIM_TOY_H

#include "sim/sim.h"

struct toy {
	struct sim *sim;
	enum sim_arch arch;
	unsigned page_shift;
	uint64_t root;
	uint64_t page;  /* 4 KiB, 16 KiB or 64 KiB */
	uint64_t frame[4]; /* of 2 MiB each, aligned */
};

struct toy_program {
	const char *name;
	const char *what;
	enum sim_error expected;
	enum sim_arch arch;
	void (*configure)(struct sim_config *config);
	void (*run)(struct toy *toy);
};

/* What a leaf is to be. */
enum {
	TOY_WRITE = 1,
	TOY_USER = 2,
	TOY_GLOBAL = 4,
	TOY_DEVICE = 8,    /* memory type */
	TOY_CLEAN = 16,    /* dirty bit clear */
	TOY_OLD = 32,      /* accessed bit clear */
	TOY_GROUP = 64,    /* contiguous or NAPOT mark */
	TOY_NT = 128,      /* arm64 */
};

#define TOY_VA   UINT64_C(0x40000000)
#define TOY_VA2  UINT64_C(0x40001000)
#define TOY_KERNEL UINT64_C(0xffff800000000000)

uint64_t toy_leaf(const struct toy *toy, unsigned level, uint64_t pa, unsigned flags);
uint64_t toy_table(const struct toy *toy, uint64_t pa);
uint64_t toy_take(struct toy *toy);
/* The slot for `va` at `level` under a root; tables on the way are made. */
uint64_t toy_slot_under(struct toy *toy, uint64_t root, uint64_t va, unsigned level);
uint64_t toy_slot(struct toy *toy, uint64_t va, unsigned level);
void toy_write(struct toy *toy, unsigned cpu, uint64_t slot, uint64_t entry);
/* Maps while nobody runs on the tables yet, or with the barriers that it takes. */
void toy_map(struct toy *toy, uint64_t va, unsigned level, uint64_t pa, unsigned flags);
void toy_run(struct toy *toy, unsigned cpu, uint64_t root, unsigned asid);
/* A whole flush of this CPU and one that the others execute: what good programs do. */
void toy_flush_page(struct toy *toy, unsigned cpu, uint64_t va);
void toy_flush_all(struct toy *toy, unsigned cpu);
void toy_read(struct toy *toy, unsigned cpu, uint64_t va);
void toy_store(struct toy *toy, unsigned cpu, uint64_t va);

extern const struct toy_program toy_programs_x86[], toy_programs_x86_record[];
extern const struct toy_program toy_programs_arm64[], toy_programs_riscv[];

#endif
