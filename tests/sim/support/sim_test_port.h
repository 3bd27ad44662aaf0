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
	struct {
		kelp_vaddr_t va;
		uint64_t size;
	} place[SIM_TEST_PLACES];
	unsigned places;
};

#endif
