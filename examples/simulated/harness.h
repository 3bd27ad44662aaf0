/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_SIMULATED_HARNESS_H
#define EXAMPLES_SIMULATED_HARNESS_H

#include "sim/sim.h"

/* Runs the page-table code on a machine with four CPUs; returns what the oracle says of it, and
 * prints the verdict. */
enum sim_error simulate(bool fixed, uint64_t seed, FILE *file);

#endif
