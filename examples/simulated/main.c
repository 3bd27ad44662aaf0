/* SPDX-License-Identifier: MIT */
/*
 * Page-table code that is not Kelp's, on the simulated machine.
 *
 *	simulated            the code with its bug: the verdict, exit status 1
 *	simulated --fixed    without it: exit status 0
 */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

int main(int argc, char **argv)
{
	bool fixed = argc > 1 && strcmp(argv[1], "--fixed") == 0;

	if (argc > 2 || (argc == 2 && !fixed)) {
		fprintf(stderr, "usage: simulated [--fixed]\n");
		return 2;
	}
	return simulate(fixed, 1, stdout) != SIM_OK;
}
