/* SPDX-License-Identifier: MIT */
/*
 * turnover: everybody uses memory while it comes and goes. Threads walk all frames, hold them, take
 * pages, movable ones and others, fill them, look whether they still hold what they held, and give
 * them back; until told to stop. Meanwhile somebody plugs and unplugs.
 */
#ifndef HOLDFAST_TURNOVER_H
#define HOLDFAST_TURNOVER_H

#include <base.h>

/* False with a message: it runs already, or there is no memory for the threads. */
bool turnover_start(void);

/*
 * Ends the threads, gives everything back and prints what was done. True when no page lost its
 * contents, no descriptor was found wrong, and no frame is missing.
 */
bool turnover_stop(void);

bool turnover_runs(void);
void turnover_print(void);

#endif
