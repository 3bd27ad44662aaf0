/* SPDX-License-Identifier: MIT */
/*
 * slot_double: the library's slots with local invalidations that reach the test's TLB. Include
 * once, in a test program's only file: its slots take the place of the library's. On the simulated
 * machine the library's own are what is tested.
 */
#ifndef TESTS_COMMON_SLOT_DOUBLE_H
#define TESTS_COMMON_SLOT_DOUBLE_H

#include <kelp/slot.h>

#include "reach.h"

#ifndef TESTS_ON_MACHINE

#include "src/debug.h"
#include "src/entry.h"

#define kelp_flush_execute reach_flush_local
#include "src/slot.c"
#undef kelp_flush_execute
#undef DENIABLE

#endif

#endif
