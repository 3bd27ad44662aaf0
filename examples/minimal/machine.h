/* SPDX-License-Identifier: MIT */
/*
 * What your kernel already has and the port builds on. machine.c is a machine that runs as an
 * ordinary program, so that the example can be run; nothing in it is Kelp's business.
 */
#ifndef MINIMAL_MACHINE_H
#define MINIMAL_MACHINE_H

#include <stdint.h>

/* Where in physical memory an object of the kernel's own image lies. */
uint64_t machine_physical_of(const void *object);

/* Calls `function` on every other CPU and returns when all have returned. */
void machine_call_other_cpus(void (*function)(void *argument), void *argument);

/* Returns when every read section that began before has ended. */
void machine_wait_for_readers(void);

void machine_print(const char *line);
_Noreturn void machine_halt(void);

#endif
