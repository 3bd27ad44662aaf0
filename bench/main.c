/* SPDX-License-Identifier: MIT */
/* bench: runs the cases, takes medians, prints a table and writes JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../arch/arm64/arm64_4k.h"
#include "../arch/riscv64/format.h"
#include "../arch/x86_64/format.h"
#include "bench.h"

#define RUNS_DEFAULT 15u
#define RUNS_MIN     9u
#define RUNS_MAX     1001u
#define ARENA_PAGES  4096u
#define NO_FORMAT    "any" /* what floor 2's figures say instead of a format */

static const char usage[] =
	"Usage: kelp-bench [--runs N] [--format NAME] [--only NAME] [--json FILE]\n"
	"\n"
	"Measures the operations, each beside its limit in the same run: the memory's own\n"
	"speed over the table bytes, or an empty call. Figures are medians.\n"
	"\n"
	"  --runs N       runs per figure, 9 to 1001 (15)\n"
	"  --format NAME  x86_64, arm64, riscv64, or any: what has no format (all)\n"
	"  --only NAME    one case, as in the table\n"
	"  --json FILE    also write an array of\n"
	"                 {name, format, unit, value, limit, limit_name}\n"
	"\n"
	"Exit: 0 measured, 1 a case failed or the file could not be written, 2 usage.\n";

double bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

void bench_check(enum kelp_status status, const char *what)
{
	if (status == KELP_OK)
		return;
	fprintf(stderr, "kelp-bench: %s: %s\n", what, kelp_status_text(status));
	exit(1);
}

/* ---- the formats ------------------------------------------------------------------------- */

struct target {
	const char *name;
	enum kelp_status (*init)(struct kelp_format *format);
};

static enum kelp_status init_x86_64(struct kelp_format *format)
{
	return kelp_x86_64_format_init(format, &(struct kelp_x86_64_config){
						       .levels = 4,
						       .physical_bits = 48,
						       .no_execute = true,
						       .gigabyte_leaves = true,
					       });
}

static enum kelp_status init_arm64(struct kelp_format *format)
{
	return kelp_arm64_4k_format_init(format, &(struct kelp_arm64_config){
							 .half = KELP_ARM64_LOW,
							 .va_bits = 48,
							 .pa_bits = 48,
							 .hardware_accessed = true,
							 .hardware_dirty = true,
							 .bbm_level = 2,
						 });
}

static enum kelp_status init_riscv64(struct kelp_format *format)
{
	return kelp_riscv64_format_init(format, &(struct kelp_riscv64_config){
							.levels = 4,
							.hardware_ad = true,
							.prompt_valid = true,
						});
}

static const struct target targets[] = {
	{"x86_64", init_x86_64},
	{"arm64", init_arm64},
	{"riscv64", init_riscv64},
};

/* ---- one figure -------------------------------------------------------------------------- */

static void *huge_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		fprintf(stderr, "kelp-bench: no memory for the limits: %s\n", strerror(errno));
		exit(1);
	}
	madvise(memory, size, MADV_HUGEPAGE);
	memset(memory, 1, size);
	return memory;
}

static uint32_t *random_order(void)
{
	uint32_t *order = huge_memory(BENCH_PAGES * sizeof(*order));
	uint64_t seed = 0x9e3779b97f4a7c15u;

	for (uint32_t i = 0; i < BENCH_PAGES; i++)
		order[i] = i;
	for (uint32_t i = BENCH_PAGES - 1; i > 0; i--) {
		uint32_t j, other;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		j = (uint32_t)((seed >> 33) % (i + 1));
		other = order[j];
		order[j] = order[i];
		order[i] = other;
	}
	return order;
}

static void bench_begin(struct bench *bench, const struct target *target)
{
	struct kelp_hosted_config config = {.pages = ARENA_PAGES, .flags = KELP_HOSTED_HUGE};

	bench->format_name = target->name;
	bench_check(target->init(&bench->format), target->name);
	bench_check(kelp_hosted_init(&bench->hosted, &config), "table pages");
	bench_check(kelp_space_init(&bench->space, &bench->format, &bench->hosted.port, 0),
		    "space");
	bench->attributes =
		KELP_ATTR_READ | KELP_ATTR_WRITE | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY;
}

static void bench_end(struct bench *bench)
{
	struct kelp_hosted_counts counts;

	kelp_space_destroy(&bench->space);
	kelp_hosted_counts(&bench->hosted, &counts);
	bench_check(counts.in_use == 0 ? KELP_OK : KELP_ERR_BUSY, "table pages left over");
	kelp_hosted_destroy(&bench->hosted);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static struct bench_sample measure(struct bench *bench, const struct bench_case *item,
				   unsigned runs)
{
	double *values = calloc(runs, sizeof(*values));
	double *limits = calloc(runs, sizeof(*limits));
	struct bench_sample sample = {0};

	if (!values || !limits)
		bench_check(KELP_ERR_NO_MEMORY, "samples");
	/* Two runs warm the caches and do not count. */
	for (unsigned i = 0; i < runs + 2; i++) {
		item->run(bench, &sample);
		if (i >= 2) {
			values[i - 2] = sample.value;
			limits[i - 2] = sample.limit;
		}
	}
	sample.value = median(values, runs);
	sample.limit = median(limits, runs);
	free(values);
	free(limits);
	return sample;
}

/* ---- output ------------------------------------------------------------------------------ */

static void print_row(const struct bench *bench, const struct bench_case *item,
		      const struct bench_sample *sample)
{
	printf("%-18s %-8s %9.2f %-8s %9.2f  %-24s %6.2fx\n", item->name, bench->format_name,
	       sample->value, item->unit, sample->limit, item->limit_name,
	       sample->limit > 0 ? sample->value / sample->limit : 0.0);
	fflush(stdout);
}

static void write_json(FILE *file, const struct bench *bench, const struct bench_case *item,
		       const struct bench_sample *sample, bool first)
{
	fprintf(file,
		"%s  {\"name\": \"%s\", \"format\": \"%s\", \"unit\": \"%s\", \"value\": %.4f, "
		"\"limit\": %.4f, \"limit_name\": \"%s\"}",
		first ? "[\n" : ",\n", item->name, bench->format_name, item->unit, sample->value,
		sample->limit, item->limit_name);
}

struct options {
	unsigned runs;
	const char *format;
	const char *only;
	const char *json;
};

/* Cases that belong together. */
struct group {
	const struct bench_case *cases;
	const size_t *count;
	bool any_format;
};

static const struct group groups[] = {
	{bench_space_cases, &bench_space_count, false},
	{bench_reach_cases, &bench_reach_count, false},
	{bench_trans_cases, &bench_trans_count, false},
};
static const struct group any_format[] = {
	{bench_exist_cases, &bench_exist_count, true},
	{bench_kexec_cases, &bench_kexec_count, true},
	{bench_snapshot_cases, &bench_snapshot_count, true},
};

/* Returns how many figures were taken, beyond `done`. */
static unsigned measure_group(struct bench *bench, const struct group *group,
			      const struct target *target, const struct options *options,
			      FILE *json, unsigned done)
{
	unsigned before = done;

	for (size_t i = 0; i < *group->count; i++) {
		const struct bench_case *item = &group->cases[i];
		struct bench_sample sample;

		if (options->only && strcmp(options->only, item->name) != 0)
			continue;
		bench_begin(bench, target);
		if (group->any_format)
			bench->format_name = NO_FORMAT;
		sample = measure(bench, item, options->runs);
		bench_end(bench);
		print_row(bench, item, &sample);
		if (json)
			write_json(json, bench, item, &sample, done == 0);
		done++;
	}
	return done - before;
}

static int usage_error(const char *what, const char *argument)
{
	fprintf(stderr, "kelp-bench: %s: %s\n%s", what, argument, usage);
	return 2;
}

static int parse(int argc, char **argv, struct options *options)
{
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			exit(0);
		}
		if (!value)
			return usage_error("needs a value, or is not known", argv[i]);
		if (strcmp(argv[i], "--runs") == 0) {
			char *end;
			unsigned long runs = strtoul(value, &end, 10);

			if (*end || runs < RUNS_MIN || runs > RUNS_MAX)
				return usage_error("--runs is 9 to 1001", value);
			options->runs = (unsigned)runs;
		} else if (strcmp(argv[i], "--format") == 0) {
			options->format = value;
		} else if (strcmp(argv[i], "--only") == 0) {
			options->only = value;
		} else if (strcmp(argv[i], "--json") == 0) {
			options->json = value;
		} else {
			return usage_error("unknown option", argv[i]);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {.runs = RUNS_DEFAULT};
	struct bench bench = {0};
	FILE *json = NULL;
	unsigned done = 0;
	int code = parse(argc, argv, &options);

	if (code != 0)
		return code;
	if (options.json && !(json = fopen(options.json, "w"))) {
		fprintf(stderr, "kelp-bench: %s: %s\n", options.json, strerror(errno));
		return 1;
	}
	bench.limit_memory = huge_memory(BENCH_LIMIT_MEMORY);
	bench.order = random_order();
	printf("%-18s %-8s %9s %-8s %9s  %-24s %7s\n", "case", "format", "median", "unit", "limit",
	       "limit is", "ratio");
	for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++)
		if (!options.format || strcmp(options.format, targets[t].name) == 0)
			for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
				done += measure_group(&bench, &groups[g], &targets[t], &options,
						      json, done);
	if (!options.format || strcmp(options.format, NO_FORMAT) == 0)
		for (size_t g = 0; g < sizeof(any_format) / sizeof(any_format[0]); g++)
			done += measure_group(&bench, &any_format[g], &targets[0], &options, json,
					      done);
	if (json) {
		fputs(done ? "\n]\n" : "[]\n", json);
		if (fclose(json) != 0) {
			fprintf(stderr, "kelp-bench: %s: %s\n", options.json, strerror(errno));
			return 1;
		}
	}
	if (done == 0)
		return usage_error("nothing to measure for", options.only ? options.only
								  : options.format);
	printf("%u figures, medians of %u runs each\n", done, options.runs);
	return 0;
}
