/* SPDX-License-Identifier: MIT */
/*
 * The test port on a simulated machine: one machine per port, made for the port's format. Pages
 * are the machine's, shootdowns run on all of its CPUs, and a verdict fails the test.
 */
#ifndef TESTS_SIM_TEST_PORT_H
#define TESTS_SIM_TEST_PORT_H

#include "sim/kelp_port.h"
#include "tests/common/test_port.h"

#define SIM_TEST_PLACES 64u

struct sim_test_page {
	kelp_paddr_t address;
	enum test_page_state state;
};

struct sim_test_place {
	kelp_vaddr_t va;
	uint64_t size;
};

struct sim_test_port {
	struct test_port test; /* first: the hooks' context is its address */
	struct sim *sim;
	struct sim_kelp_port kelp;
	struct sim_test_page *pages; /* open addressing, by address */
	unsigned page_count, page_capacity;

	/* watch.c: what the CPUs run, and where to look after the next commit. */
	struct kelp_space idle;
	const struct kelp_space *running;
	uint32_t asid;
	unsigned nested;       /* inside a call of the library */
	unsigned open;         /* gathers begun and not committed */
	unsigned commits;
	unsigned readers;      /* of tables, on CPU `reader`, since a gather began */
	unsigned reader;
	bool parked;
	struct sim_test_place place[SIM_TEST_PLACES];
	struct sim_test_place past[SIM_TEST_PLACES]; /* of the space, until it is destroyed */
	unsigned places;
};

/* CPUs of the machines made from now on; 3 unless set. */
extern unsigned sim_test_cpus;
/* The CPU that fills the next gather; NULL: one of the machine's choice. */
extern unsigned (*sim_test_cpu)(void);

/* All CPUs run on this space. */
void sim_test_run_on(struct sim_test_port *machine, const struct kelp_space *space);
/* All CPUs are away from every space that is tested, until they are not. */
void sim_test_park(struct sim_test_port *machine, bool parked);
/* Whoever was in a table is out of it. */
void sim_test_readers_leave(struct sim_test_port *machine);

#endif
