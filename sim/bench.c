/* SPDX-License-Identifier: MIT */
/*
 * How fast the machine judges, and how that grows with CPUs and memory.
 *
 *	bench [--json FILE] [--svg FILE] [--quick]
 *
 * Prints a table; with --json also one JSON object per line:
 * {"name","cpus","unit","value"}; with --svg the cost of a shootdown over the CPUs, drawn.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim.h"

#define VA UINT64_C(0x40000000)
#define PAGES 4096u

static FILE *json;

/* What the figure shows: microseconds of a judged shootdown, by CPUs. */
static struct {
	unsigned cpus;
	double us;
} points[16];
static unsigned point_count;

/* Of this process: what else the host does is not the machine's cost. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void say(const char *name, unsigned cpus, const char *unit, double value)
{
	printf("%-34s %5u CPUs  %14.1f %s\n", name, cpus, value, unit);
	if (json)
		fprintf(json, "{\"name\":\"%s\",\"cpus\":%u,\"unit\":\"%s\",\"value\":%.1f}\n", name,
			cpus, unit, value);
}

struct tables {
	struct sim *sim;
	uint64_t root;
};

static uint64_t take(struct sim *sim)
{
	uint64_t pa;

	if (!sim_page_take(sim, 4096, UINT64_MAX, &pa))
		abort();
	return pa;
}

static uint64_t slot(struct tables *t, uint64_t va, unsigned level)
{
	uint64_t table = t->root;

	for (unsigned at = 3;; at--) {
		uint64_t where = table + 8 * (va >> (12 + 9 * at) & 511);
		uint64_t entry;

		if (at == level)
			return where;
		entry = sim_entry_read(t->sim, 0, where, 8);
		if (!entry) {
			entry = take(t->sim) | 0x27;
			sim_entry_write(t->sim, 0, where, entry, 8);
		}
		table = entry & UINT64_C(0x000ffffffffff000);
	}
}

static void begin(struct tables *t, unsigned cpus)
{
	struct sim_config config;

	sim_config_init(&config, SIM_X86_64);
	config.cpus = cpus;
	config.memory = UINT64_C(1) << 46;
	t->sim = sim_create(&config);
	if (!t->sim)
		exit(1);
	t->root = take(t->sim);
	for (unsigned i = 0; i < PAGES; i++)
		sim_entry_write(t->sim, 0, slot(t, VA + 4096 * (uint64_t)i, 0),
				UINT64_C(0x100000063) + 4096 * (uint64_t)i, 8);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		sim_x86_write_cr3(t->sim, cpu, t->root);
}

static void end(struct tables *t)
{
	if (sim_error(t->sim) != SIM_OK) {
		sim_report(t->sim, stderr);
		exit(1);
	}
	sim_destroy(t->sim);
}

/* Accesses only: what is not stale is quick to judge. */
static void accesses(unsigned cpus, uint64_t count)
{
	struct tables t;
	double start;

	begin(&t, cpus);
	start = seconds();
	for (uint64_t i = 0; i < count; i++) {
		uint64_t r = sim_random(t.sim);

		sim_access(t.sim, (unsigned)(r >> 40) % cpus, VA + (r & (PAGES * 4096u - 1u)),
			   r >> 60 ? SIM_READ : SIM_WRITE, SIM_SUPERVISOR);
	}
	say("judged accesses per second", cpus, "1/s", (double)count / (seconds() - start));
	end(&t);
}

/* A mix as a test makes it: unmap, flush on every CPU, look, map again, look. */
static void mixed(unsigned cpus, uint64_t rounds)
{
	struct tables t;
	uint64_t steps;
	double start;

	begin(&t, cpus);
	steps = sim_steps(t.sim);
	start = seconds();
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t r = sim_random(t.sim);
		uint64_t va = VA + (r & (PAGES - 1u)) * 4096u;
		uint64_t where = slot(&t, va, 0), entry = sim_entry_read(t.sim, 0, where, 8);

		sim_entry_swap(t.sim, 0, where, &entry, 0, 8);
		for (unsigned cpu = 0; cpu < cpus; cpu++)
			sim_x86_invlpg(t.sim, cpu, va);
		sim_frame_reuse(t.sim, 0, entry & UINT64_C(0x000ffffffffff000), 4096);
		for (unsigned k = 0; k < 8; k++)
			sim_access(t.sim, (unsigned)(r >> (8 + k)) % cpus, va + 4096u * k, SIM_READ,
				   SIM_SUPERVISOR);
		sim_entry_write(t.sim, 0, where, entry, 8);
		for (unsigned k = 0; k < 8; k++)
			sim_access(t.sim, (unsigned)(r >> (16 + k)) % cpus, va, SIM_WRITE,
				   SIM_SUPERVISOR);
	}
	steps = sim_steps(t.sim) - steps;
	say("judged steps per second, mixed", cpus, "1/s", (double)steps / (seconds() - start));
	end(&t);
}

/* One shootdown: unmap a page, every CPU invalidates, the frame is given away. */
static void shootdown(unsigned cpus, uint64_t rounds)
{
	struct tables t;
	double start;

	begin(&t, cpus);
	start = seconds();
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t va = VA + (i & (PAGES - 1u)) * 4096u;
		uint64_t where = slot(&t, va, 0), entry = sim_entry_read(t.sim, 0, where, 8);

		sim_entry_swap(t.sim, 0, where, &entry, 0, 8);
		for (unsigned cpu = 0; cpu < cpus; cpu++)
			sim_x86_invlpg(t.sim, cpu, va);
		sim_frame_reuse(t.sim, 0, entry & UINT64_C(0x000ffffffffff000), 4096);
		sim_entry_write(t.sim, 0, where, entry, 8);
	}
	points[point_count].cpus = cpus;
	points[point_count].us = (seconds() - start) * 1e6 / (double)rounds;
	say("shootdown of one page, judged", cpus, "us", points[point_count++].us);
	end(&t);
}

/* All of 64 TiB in leaves of 1 GiB under live roots, then freed tables and judged accesses. */
static void vast(unsigned cpus)
{
	struct tables t;
	double start = seconds();
	uint64_t base = UINT64_C(0xffff888000000000), end_of_memory = UINT64_C(1) << 46;

	begin(&t, cpus);
	for (uint64_t pa = 0; pa < end_of_memory; pa += UINT64_C(1) << 30)
		sim_entry_write(t.sim, 0, slot(&t, base + pa, 2), pa | 0x1e3, 8);
	for (uint64_t i = 0; i < 1000000; i++) {
		uint64_t r = sim_random(t.sim);

		sim_access(t.sim, (unsigned)(r >> 50) % cpus, base + (r & (end_of_memory - 1u)),
			   SIM_READ, SIM_SUPERVISOR);
	}
	for (uint64_t pa = 0; pa < end_of_memory; pa += UINT64_C(1) << 39) {
		uint64_t where = slot(&t, base + pa, 3);
		uint64_t table = sim_entry_read(t.sim, 0, where, 8) & UINT64_C(0x000ffffffffff000);

		sim_entry_write(t.sim, 0, where, 0, 8);
		for (unsigned cpu = 0; cpu < cpus; cpu++) {
			sim_x86_set_pge(t.sim, cpu, false);
			sim_x86_set_pge(t.sim, cpu, true);
		}
		sim_page_free(t.sim, 0, table, 4096);
	}
	say("64 TiB mapped, looked at, unmapped", cpus, "ms", (seconds() - start) * 1e3);
	say("  host memory behind it", cpus, "KiB", (double)sim_memory_touched(t.sim) / 1024);
	end(&t);
}

/* Both axes are logarithmic: a straight line at 45 degrees is a cost per CPU that stays. */
static double x_of(unsigned cpus)
{
	double x = 70;

	for (unsigned c = 1; c < cpus; c *= 2)
		x += 40;
	return x;
}

static double y_of(double us)
{
	return 300 - 60 * log10(us < 1 ? 1 : us);
}

static bool draw(const char *path)
{
	FILE *svg = fopen(path, "w");

	if (!svg)
		return false;
	fprintf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 360\" "
		     "font-family=\"sans-serif\" font-size=\"12\">\n"
		     "<rect width=\"600\" height=\"360\" fill=\"white\"/>\n"
		     "<text x=\"70\" y=\"24\" font-size=\"14\">One judged shootdown of a page: "
		     "microseconds, by CPUs</text>\n");
	for (unsigned i = 0; i < 5; i++)
		fprintf(svg, "<line x1=\"70\" x2=\"570\" y1=\"%u\" y2=\"%u\" stroke=\"#ddd\"/>"
			     "<text x=\"60\" y=\"%u\" text-anchor=\"end\">1%.*s</text>\n",
			300 - 60 * i, 300 - 60 * i, 304 - 60 * i, (int)i, "0000");
	fprintf(svg, "<polyline fill=\"none\" stroke=\"#1f6fb2\" stroke-width=\"2\" points=\"");
	for (unsigned i = 0; i < point_count; i++)
		fprintf(svg, "%.1f,%.1f ", x_of(points[i].cpus), y_of(points[i].us));
	fprintf(svg, "\"/>\n");
	for (unsigned i = 0; i < point_count; i++)
		fprintf(svg, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"#1f6fb2\"/>"
			     "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.1f</text>"
			     "<text x=\"%.1f\" y=\"320\" text-anchor=\"middle\">%u</text>\n",
			x_of(points[i].cpus), y_of(points[i].us), x_of(points[i].cpus) - 6,
			y_of(points[i].us) - 6, points[i].us, x_of(points[i].cpus), points[i].cpus);
	fprintf(svg, "<text x=\"570\" y=\"345\" text-anchor=\"end\">CPUs</text>\n</svg>\n");
	return fclose(svg) == 0;
}

int main(int argc, char **argv)
{
	const char *svg = NULL;
	static const unsigned counts[] = {1, 4, 16, 64, 256, 1024, 4096};
	unsigned quick = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			quick = 10;
		} else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
			json = fopen(argv[++i], "w");
			if (!json) {
				perror(argv[i]);
				return 1;
			}
		} else if (strcmp(argv[i], "--svg") == 0 && i + 1 < argc) {
			svg = argv[++i];
		} else {
			fprintf(stderr, "usage: bench [--json FILE] [--svg FILE] [--quick]\n");
			return strcmp(argv[i], "--help") != 0 ? 2 : 0;
		}
	}
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		unsigned cpus = counts[i];

		accesses(cpus, 4000000 / quick);
		mixed(cpus, 200000 / quick / (cpus < 32 ? 1 : cpus / 32));
		shootdown(cpus, 400000 / quick / (cpus < 8 ? 1 : cpus / 8));
	}
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i += 3)
		vast(counts[i]);
	if (json)
		fclose(json);
	if (svg && !draw(svg)) {
		perror(svg);
		return 1;
	}
	printf("done\n");
	return 0;
}
