/* SPDX-License-Identifier: MIT */
/* kelp: what the commands share. */
#ifndef KELP_TOOL_H
#define KELP_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses, of every command. */
enum {
	EXIT_GOOD = 0,
	EXIT_REFUSED = 1, /* what was looked at is damaged, forged, or not for this key */
	EXIT_USAGE = 2,
	EXIT_NOTHING = 3, /* there is nothing to look at: no image, or it was used */
	EXIT_IO = 4,      /* a file cannot be read or written */
};

struct command {
	const char *name;
	const char *summary;
	/* argv[0] is the command's name. */
	int (*run)(int argc, char **argv);
};

extern const struct command command_image;

/* Prints "kelp: ..." and a newline to stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* A bar on stderr, from the second second on, where stderr is a terminal. */
struct progress_bar {
	const char *what;
	double started, drawn;
	bool shown;
};
void progress_begin(struct progress_bar *bar, const char *what);
void progress_step(struct progress_bar *bar, uint64_t done, uint64_t total, uint64_t bytes);
void progress_end(struct progress_bar *bar);

/* "148.2 MiB" into a static ring of buffers. */
const char *size_text(uint64_t bytes);

#endif
