/* SPDX-License-Identifier: MIT */
/*
 * zoo: one leaf of every kind in the test area: each size, each combination of rights, each memory
 * type, some of them taken away. For comparing what somebody else's walker says of them.
 */
#ifndef HOLDFAST_ZOO_H
#define HOLDFAST_ZOO_H

#include <base.h>

/*
 * Nothing is touched through the leaves. They stay until a test clears its area. Panics when
 * memory does not suffice.
 */
void zoo_map(void);

#endif
