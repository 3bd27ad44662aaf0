/* SPDX-License-Identifier: MIT */
/* What main.c needs of the port. */
#ifndef MINIMAL_PORT_H
#define MINIMAL_PORT_H

#include <kelp/kelp.h>

void port_init(struct kelp_port *port);

/* Table pages that are out: what a leak is seen by. */
unsigned port_tables_in_use(void);

#endif
