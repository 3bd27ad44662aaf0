/* SPDX-License-Identifier: MIT */
/*
 * Every program: each bad_* is caught for its reason, each good_* passes.
 *
 *	programs            all, as tests
 *	programs --list     names, what each shows, and the diagnosis it must get
 *	programs --show X   runs X and prints the verdict and the timeline
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "programs/toy.h"

static const struct toy_program *const lists[] = {
	toy_programs_x86, toy_programs_x86_record, toy_programs_arm64, toy_programs_riscv,
};

#define LISTS (sizeof(lists) / sizeof(lists[0]))

static struct sim *run(const struct toy_program *program)
{
	struct sim_config config;
	struct toy toy = {.arch = program->arch};

	sim_config_init(&config, program->arch);
	config.cpus = 2;
	if (program->configure)
		program->configure(&config);
	toy.sim = sim_create(&config);
	if (!toy.sim)
		abort();
	toy.page_shift = program->arch == SIM_ARM64 ? config.registers.granule_shift : 12;
	toy.page = UINT64_C(1) << toy.page_shift;
	for (unsigned i = 0; i < 4; i++)
		toy.frame[i] = UINT64_C(0x20000000) + i * UINT64_C(0x20000000);
	toy.root = toy_take(&toy);
	program->run(&toy);
	return toy.sim;
}

static void check(void **state)
{
	const struct toy_program *program = *state;
	struct sim *sim = run(program);
	bool bad = strncmp(program->name, "bad_", 4) == 0;

	assert_true(bad || strncmp(program->name, "good_", 5) == 0);
	assert_int_equal(bad, program->expected != SIM_OK);
	if (sim_error(sim) != program->expected) {
		printf("%s: expected %s\n", program->name, sim_error_name(program->expected));
		sim_report(sim, stdout);
	}
	assert_int_equal(sim_error(sim), program->expected);
	/* A verdict says who should have done what. */
	if (bad)
		assert_true(sim_verdict(sim)->missing[0] != '\0');
	sim_destroy(sim);
}

static int show(const char *name)
{
	for (unsigned l = 0; l < LISTS; l++) {
		for (const struct toy_program *p = lists[l]; p->name; p++) {
			struct sim *sim;

			if (strcmp(p->name, name) != 0)
				continue;
			sim = run(p);
			printf("%s: %s\n", p->name, p->what);
			sim_report(sim, stdout);
			printf("timeline:\n");
			sim_trace_print(sim, stdout);
			sim_destroy(sim);
			return 0;
		}
	}
	fprintf(stderr, "programs: there is no program %s; --list names them\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[256];
	size_t count = 0;

	if (argc == 3 && strcmp(argv[1], "--show") == 0)
		return show(argv[2]);
	for (unsigned l = 0; l < LISTS; l++) {
		for (const struct toy_program *p = lists[l]; p->name; p++) {
			if (argc == 2 && strcmp(argv[1], "--list") == 0)
				printf("%-44s %-26s %s\n", p->name, sim_error_name(p->expected),
				       p->what);
			tests[count++] = (struct CMUnitTest){
				.name = p->name, .test_func = check, .initial_state = (void *)(uintptr_t)p,
			};
		}
	}
	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return 0;
	if (argc != 1) {
		fprintf(stderr, "usage: programs [--list | --show NAME]\n");
		return 2;
	}
	return _cmocka_run_group_tests("programs", tests, count, NULL, NULL);
}
