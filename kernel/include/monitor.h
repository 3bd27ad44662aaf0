/* SPDX-License-Identifier: MIT */
/*
 * monitor: a console to look around with: `help` lists what it can do.
 */
#ifndef HOLDFAST_MONITOR_H
#define HOLDFAST_MONITOR_H

#include <base.h>

#define MONITOR_LINE 128
#define MONITOR_WORDS 8

struct monitor_command {
	const char *name;
	const char *arguments; /* for help */
	const char *help;
	/* `word[0]` is the name. Returns false when the arguments make no sense. */
	bool (*run)(unsigned count, char **word);
};

extern const struct monitor_command monitor_commands[];
extern const unsigned monitor_command_count;

/* Reads and runs commands for ever. */
_Noreturn void monitor(void);

/* Runs one line as if it had been typed. False: no such command, or wrong arguments. */
bool monitor_run(const char *line);

/*
 * A line typed on the console, with editing: arrows, Home, End, Backspace, Delete, ^A ^E ^U ^K
 * ^W ^C, history with up and down, completion of the first word with Tab.
 */
void monitor_read_line(char line[MONITOR_LINE]);

/* A number as typed: 0x..., or decimal, with k, m, g behind it. */
bool monitor_number(const char *text, uint64_t *number);

#endif
