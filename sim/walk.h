/* SPDX-License-Identifier: MIT */
/*
 * A walk, one entry at a time, so that the same code serves the walker of an access, which reads
 * memory, and the oracle, which tries every value an entry may have had.
 *
 * Written from the manuals. Nothing here may include what a library encodes entries with.
 */
#ifndef SIM_WALK_H
#define SIM_WALK_H

#include "sim.h"

#define SIM_WALK_DEPTH 5

enum sim_step { SIM_STEP_TABLE, SIM_STEP_LEAF, SIM_STEP_FAULT };

/* Rights gathered on the way; each architecture uses those it has. */
enum {
	SIM_RIGHT_WRITE = 1,       /* x86: R/W at every level; riscv W */
	SIM_RIGHT_USER = 2,        /* x86: U/S at every level; riscv U */
	SIM_RIGHT_EXEC = 4,        /* x86: XD at no level; riscv X */
	SIM_RIGHT_READ = 8,        /* riscv R */
	SIM_RIGHT_PRIV_EXEC = 16,  /* arm64: EXEC is EL0's, this is EL1's */
	SIM_RIGHT_READ_ONLY = 32,  /* arm64: AP[2] or APTable[1] */
	SIM_RIGHT_DIRTY_MODIFIER = 64, /* arm64: DBM set and honoured */
};

struct sim_walk {
	uint64_t va;
	uint64_t table;  /* the table to read next */
	uint64_t pa;     /* after a leaf: where va leads */
	uint64_t entry;  /* the entry last taken */
	uint32_t index;  /* of the entry to read next */
	uint8_t level;   /* of that entry */
	uint8_t half;
	uint8_t fault;   /* enum sim_fault */
	uint8_t shift;   /* of the entry last taken: what it spans */
	uint8_t fault_level;
	uint8_t type;    /* enum sim_type */
	uint8_t rights;
	uint8_t key;     /* x86 protection key */
	uint8_t group;   /* log2 of entries the leaf's group mark covers; 0: none */
	bool global;
	bool accessed, dirty;
	bool cacheable;  /* hardware may keep what it learnt from the entry last taken */
};

struct sim_walker {
	unsigned width; /* bytes of an entry */
	bool caches_faults;
	/* An invalid entry that became a table pointer is a table's to invalidate, not a leaf's. */
	bool faults_of_pointers;
	bool invalidate_reaches_superpage; /* one address invalidates the whole leaf around it */
	/* Which half; the highest level; SIM_FAULT_ADDRESS. `root` is not set. */
	enum sim_fault (*start)(const struct sim_registers *registers, uint64_t va,
				struct sim_walk *walk);
	/* Takes the entry of walk->level. Sets level, index and table for the next, or pa. */
	enum sim_step (*step)(const struct sim_registers *registers, struct sim_walk *walk,
			      uint64_t entry);
	/* After a leaf: may it be accessed so. */
	enum sim_fault (*permit)(const struct sim_registers *registers, const struct sim_walk *walk,
				 enum sim_access access, enum sim_privilege privilege);
	/* What hardware makes of an entry it used: A, and D of the leaf on a write. */
	uint64_t (*touch)(const struct sim_registers *registers, unsigned level, uint64_t entry,
			  bool leaf, enum sim_access access);
	/* log2 of what an entry of a level spans; entries in a table; highest level. */
	unsigned (*span)(const struct sim_registers *registers, unsigned level);
	unsigned (*entries)(const struct sim_registers *registers, unsigned level);
	unsigned (*levels)(const struct sim_registers *registers, unsigned half);
	/* log2 of the entries a group mark covers at a level; NULL: no groups. */
	unsigned (*group)(const struct sim_registers *registers, unsigned level);
	/* Does every CPU keep the root's entries in registers, loaded with the root? NULL: no. */
	bool (*root_in_registers)(const struct sim_registers *registers);
	/* Bytes of a table below the root. */
	uint64_t (*table_size)(const struct sim_registers *registers);
	/* Does replacing `old` by `new` in a live table demand a break? NULL: never. */
	bool (*needs_break)(const struct sim_registers *registers, unsigned level, uint64_t old,
			    uint64_t new);
	/* Bits that hardware sets or clears by itself. */
	uint64_t (*hardware_bits)(const struct sim_registers *registers, unsigned level);
};

extern const struct sim_walker sim_walker_x86_64, sim_walker_x86_pae, sim_walker_x86_two_level;
extern const struct sim_walker sim_walker_arm64, sim_walker_riscv, sim_walker_fake;

static inline uint64_t sim_walk_slot(const struct sim_walk *walk, unsigned width)
{
	return walk->table + (uint64_t)walk->index * width;
}

#endif
