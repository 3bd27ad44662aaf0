/* SPDX-License-Identifier: MIT */
/*
 * story: the whole of Holdfast in one go, without a keypress: `make run`.
 */
#ifndef HOLDFAST_STORY_H
#define HOLDFAST_STORY_H

#include <base.h>

/*
 * Tells it, and ends with lines "report: <key> <value>" that the host turns into report.json.
 * True if all held.
 */
bool story(void);

/*
 * Its last part: memory filled to `percent`, threads started, the machine carried over by way of a
 * disk (carry_end=test on the command line: without switching it off), all of it looked at.
 */
bool story_carry(unsigned percent);

/* Times the mapping operations and prints nanoseconds. */
void bench_run(void);

#endif
