/* SPDX-License-Identifier: MIT */
/*
 * Kelp on the simulated machine: a kelp_port whose table pages are the machine's, whose shootdowns
 * run on the machine's other CPUs, and whose hooks can be made to fail or to be late.
 */
#ifndef SIM_KELP_PORT_H
#define SIM_KELP_PORT_H

#include <kelp/kelp.h>

#include "sim.h"

/* The calling thread is this CPU of this machine from now on: hw.h reports to it. */
void sim_kelp_run_as(struct sim *sim, unsigned cpu);
unsigned sim_kelp_cpu(void);

/*
 * Sites at which an invalidation can be left out on purpose, to see that the oracle notices:
 * counted over all calls of hw.h's invalidations and of the port's shootdown.
 */
enum sim_kelp_fault {
	SIM_KELP_NO_FAULT,
	SIM_KELP_SKIP_LOCAL,     /* the local invalidation does nothing */
	SIM_KELP_SKIP_REMOTE,    /* the shootdown does nothing */
	SIM_KELP_SKIP_ONE_CPU,   /* the shootdown forgets the last CPU */
	SIM_KELP_EARLY_RETURN,   /* the shootdown returns before the CPUs have done it */
	SIM_KELP_SKIP_TABLES,    /* KELP_FLUSH_TABLES is dropped from requests */
	SIM_KELP_SKIP_GLOBAL,    /* KELP_FLUSH_GLOBAL is dropped from requests */
	SIM_KELP_SKIP_BARRIER,   /* begin, end and published do nothing */
	SIM_KELP_HALF_RANGE,     /* only the first half of single invalidations is done */
	SIM_KELP_FAULTS,
};

struct sim_kelp_port {
	struct kelp_port port;  /* what kelp_space_init() gets */
	struct sim *sim;
	/* The take that fails, counted from now: 1 is the next; 0: none. */
	unsigned fail_at;
	bool fail_for_ever;
	unsigned takes, gives, shootdowns, failed;
	unsigned live;          /* table pages the library has */

	/* Remote CPUs execute a shootdown in an order of the machine's choice; between two of them
	 * this is called, with the next CPU to answer: others may run meanwhile. */
	void (*between)(void *context, unsigned next_cpu);
	void *between_context;
	enum sim_kelp_fault fault;
	/* EARLY_RETURN: what is still to be delivered; sim_kelp_deliver() does. */
	struct kelp_flush_request late;
	bool is_late;
	bool panicked;
	char panic[256];
	void (*on_panic)(void *context);
	void *panic_context;
};

void sim_kelp_port_init(struct sim_kelp_port *port, struct sim *sim);
void sim_kelp_deliver(struct sim_kelp_port *port);
void sim_kelp_set_fault(struct sim_kelp_port *port, enum sim_kelp_fault fault);

/* Configures a machine for a format: same levels, widths, granule, half, BBM level. */
bool sim_kelp_config(struct sim_config *config, const struct kelp_format *format);
/* Makes a CPU of the machine run on the space's root, under its asid. */
void sim_kelp_enter(struct sim *sim, unsigned cpu, const struct kelp_space *space);

#endif
