/* SPDX-License-Identifier: MIT */
/* kelp: finds the command. */
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kelp.h"

static const struct command *const commands[] = {
	&command_image,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(FILE *to)
{
	fputs("Usage: kelp COMMAND ...\n"
	      "\n"
	      "Looks into what kernels that embed Kelp leave behind.\n"
	      "\n"
	      "Commands\n",
	      to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n"
	      "kelp COMMAND --help tells more; kelp --version prints the version.\n"
	      "\n"
	      "Exit: 0 good, 1 refused (damaged, forged, another key), 2 usage, 3 nothing there,\n"
	      "4 a file cannot be read or written.\n",
	      to);
}

void complain(const char *format, ...)
{
	va_list arguments;

	fputs("kelp: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

/* ---- progress ---------------------------------------------------------------------------- */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void progress_begin(struct progress_bar *bar, const char *what)
{
	*bar = (struct progress_bar){.what = what, .started = now()};
}

void progress_step(struct progress_bar *bar, uint64_t done, uint64_t total, uint64_t bytes)
{
	static const char full[] = "##############################";
	double at = now(), passed = at - bar->started;
	unsigned percent = total ? (unsigned)(done * 100 / total) : 100;

	if (!isatty(STDERR_FILENO) || passed < 1 || at - bar->drawn < 0.1)
		return;
	bar->drawn = at;
	bar->shown = true;
	fprintf(stderr, "\r%s [%-30.*s] %3u %%  %s/s ", bar->what, (int)(percent * 30 / 100), full,
		percent, size_text((uint64_t)((double)bytes / passed)));
}

void progress_end(struct progress_bar *bar)
{
	if (bar->shown)
		fprintf(stderr, "\r%70s\r", "");
}

const char *size_text(uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
	static char ring[4][32];
	static unsigned next;
	double value = (double)bytes;
	char *text = ring[next++ % 4];
	unsigned unit = 0;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	snprintf(text, sizeof(ring[0]), unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help(stdout);
		return EXIT_GOOD;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("kelp " KELP_VERSION);
		return EXIT_GOOD;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i]->name) == 0)
			return commands[i]->run(argc - 1, argv + 1);
	}
	complain("there is no command '%s'; kelp --help lists them", argv[1]);
	return EXIT_USAGE;
}
