/* SPDX-License-Identifier: MIT */
/* What it takes to put page-table code on the simulated machine: five hooks and a workload. */
#include "harness.h"

#include "pages.h"

#define CPUS 4u

struct kernel {
	struct sim *sim;
	struct pages pages;
	unsigned cpu; /* the one that runs the page-table code at the moment */
};

/* ---- the hooks: each reports to the machine ------------------------------------------------- */

static uint64_t take_page(void *context)
{
	struct kernel *kernel = context;
	uint64_t page;

	return sim_page_take(kernel->sim, 4096, UINT64_MAX, &page) ? page : 0;
}

static void give_page(void *context, uint64_t page)
{
	struct kernel *kernel = context;

	sim_page_free(kernel->sim, kernel->cpu, page, 4096);
}

static uint64_t read_entry(void *context, uint64_t address)
{
	struct kernel *kernel = context;

	return sim_entry_read(kernel->sim, kernel->cpu, address, 8);
}

static void write_entry(void *context, uint64_t address, uint64_t entry)
{
	struct kernel *kernel = context;

	sim_entry_write(kernel->sim, kernel->cpu, address, entry, 8);
}

static void flush_everywhere(void *context, uint64_t va)
{
	struct kernel *kernel = context;

	/* In a kernel: INVLPG here, an IPI to the others, and a wait. */
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		sim_x86_invlpg(kernel->sim, cpu, va);
}

/* ---- the workload --------------------------------------------------------------------------- */

static void work(struct kernel *kernel)
{
	const uint64_t base = UINT64_C(0x10000000000);
	struct sim *sim = kernel->sim;

	for (unsigned round = 0; round < 2000 && sim_error(sim) == SIM_OK; round++) {
		uint64_t random = sim_random(sim);
		uint64_t va = base + (random % 4) * 4096 + (random >> 8 & 3u) * 0x200000;
		uint64_t frame = UINT64_C(0x2000000000) + (random >> 16 & 255u) * 4096;

		kernel->cpu = random >> 32 & (CPUS - 1u);
		if (random >> 40 & 1u) {
			uint64_t freed = pages_unmap(&kernel->pages, va);

			/* Whoever gets the frame next must be alone with it. */
			if (freed)
				sim_frame_reuse(sim, kernel->cpu, freed, 4096);
		} else if (sim_translate(sim, 0, va, SIM_READ, SIM_SUPERVISOR).fault) {
			pages_map(&kernel->pages, va, frame, true);
		}
		/* Every CPU looks somewhere: the oracle tries all it may have cached. */
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			sim_access(sim, cpu, base + (sim_random(sim) % 4) * 4096, SIM_READ,
				   SIM_SUPERVISOR);
	}
}

enum sim_error simulate(bool fixed, uint64_t seed, FILE *file)
{
	struct kernel kernel = {.pages = {.fixed = fixed}};
	const struct pages_hooks hooks = {
		&kernel, take_page, give_page, read_entry, write_entry, flush_everywhere,
	};
	struct sim_config config;
	enum sim_error error;

	sim_config_init(&config, SIM_X86_64);
	config.cpus = CPUS;
	config.seed = seed;
	kernel.sim = sim_create(&config);
	if (!kernel.sim || !pages_init(&kernel.pages, &hooks))
		return SIM_ERRORS;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		sim_x86_write_cr3(kernel.sim, cpu, kernel.pages.root);
	work(&kernel);
	error = sim_error(kernel.sim);
	sim_report(kernel.sim, file);
	sim_destroy(kernel.sim);
	return error;
}
