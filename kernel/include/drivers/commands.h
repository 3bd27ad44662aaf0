/* SPDX-License-Identifier: MIT */
/* commands: what the monitor can do with devices; rows for its table of commands. */
#ifndef HOLDFAST_DRIVERS_COMMANDS_H
#define HOLDFAST_DRIVERS_COMMANDS_H

#include <base.h>

/* Each as `run` of struct monitor_command. */
bool run_pci(unsigned count, char **word);    /* [details] */
bool run_disk(unsigned count, char **word);   /* [<n> <block> [<count>]] */
bool run_random(unsigned count, char **word); /* [<bytes>] */

#endif
