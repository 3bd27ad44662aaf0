/* SPDX-License-Identifier: MIT */
/* One CPU, a console, and an image that was loaded at 2 MiB. */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>

#define LOAD_ADDRESS UINT64_C(0x200000)

uint64_t machine_physical_of(const void *object)
{
	/* The first object that is asked for stands for the start of the image. */
	static uintptr_t image_start;

	if (image_start == 0)
		image_start = (uintptr_t)object;
	return LOAD_ADDRESS + ((uintptr_t)object - image_start);
}

void machine_call_other_cpus(void (*function)(void *argument), void *argument)
{
	/* There are none. */
	(void)function, (void)argument;
}

void machine_wait_for_readers(void)
{
	/* Nobody reads while this single CPU is in here. */
}

void machine_print(const char *line)
{
	puts(line);
}

void machine_halt(void)
{
	exit(EXIT_FAILURE);
}
