/* SPDX-License-Identifier: MIT */
/*
 * The machine a format is tested on: architecture and registers as the format describes them,
 * the policy as strict as the manuals can be read.
 */
#ifndef TESTS_SIM_MACHINE_H
#define TESTS_SIM_MACHINE_H

#include "sim/kelp_port.h"

/* NULL when the machine cannot be made. */
struct sim *machine_new(const struct kelp_format *format, uint64_t seed, unsigned cpus);

#endif
