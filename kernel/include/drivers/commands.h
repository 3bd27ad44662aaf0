/* SPDX-License-Identifier: MIT */
/* commands: what the monitor can do with devices; rows for its table of commands. */
#ifndef HOLDFAST_DRIVERS_COMMANDS_H
#define HOLDFAST_DRIVERS_COMMANDS_H

#include <base.h>

/* Each as `run` of struct monitor_command. */
bool run_pci(unsigned count, char **word);    /* [details] */
bool run_disk(unsigned count, char **word);   /* [<n> <block> [<count>]] */
bool run_random(unsigned count, char **word); /* [<bytes>] */

/* commands_memory.c */
bool run_plug(unsigned count, char **word);     /* [fill | settle] */
bool run_sections(unsigned count, char **word);
bool run_frame(unsigned count, char **word);    /* <number> */
bool run_turnover(unsigned count, char **word);    /* [start | stop] */
bool run_devices(unsigned count, char **word);  /* stop | restart */
bool run_pmem(unsigned count, char **word);     /* [<n> fill|check [<seed>] | detach | attach] */

#endif
