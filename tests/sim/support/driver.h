/* SPDX-License-Identifier: MIT */
/*
 * Random operations of the library on a simulated machine: after every commit each CPU looks at
 * random places, and what the tables say is compared with what the library says of them.
 */
#ifndef TESTS_SIM_DRIVER_H
#define TESTS_SIM_DRIVER_H

#include "sim/kelp_port.h"
#include "tests/common/sequence.h"

struct driver {
	const struct kelp_format *format;
	struct sim *sim;
	struct sim_kelp_port port;
	struct kelp_space space;  /* what CPUs 0 to 2 run on, by turns */
	struct kelp_space other;  /* where they go in between */
	struct random random;
	uint64_t operations, done, accesses;
	bool away; /* CPU 2 runs on `other` */
	bool failed;
	char why[512];
	/* The last places touched: accesses look there. */
	struct {
		kelp_vaddr_t va;
		uint64_t size;
	} place[16];
	unsigned places;
};

/* False when the machine cannot be made. */
bool driver_begin(struct driver *driver, const struct kelp_format *format, uint64_t seed,
		  unsigned cpus);
/* Some operations in one gather, a commit, and looks at the result. False: driver->why. */
bool driver_round(struct driver *driver);
bool driver_end(struct driver *driver);

#endif
