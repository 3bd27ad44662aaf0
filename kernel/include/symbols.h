/* SPDX-License-Identifier: MIT */
/*
 * symbols: names for code addresses, from a table that the second link pass puts in.
 */
#ifndef HOLDFAST_SYMBOLS_H
#define HOLDFAST_SYMBOLS_H

#include <base.h>

/* "name+0x12", or the bare number; into `buffer`, which is returned. */
#define SYMBOL_TEXT 80
const char *symbol_text(char buffer[SYMBOL_TEXT], uintptr_t address);

unsigned symbol_count(void);

/* Return addresses of the callers of the caller, the nearest first. Returns how many. */
unsigned backtrace_collect(uintptr_t *caller, unsigned limit);

/* Prints the callers of the code at `pc` whose frame pointer is given. */
void backtrace_from(uintptr_t pc, uintptr_t frame_pointer);
void backtrace(void);

#endif
