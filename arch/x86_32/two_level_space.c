/* SPDX-License-Identifier: MIT */
/* x86_32, two levels: the range operations, instantiated for this format. */
#include "two_level.h"

#define KELP_FORMAT(name) kelp_x86_two_level_##name
#include "../../src/space_template.h"
