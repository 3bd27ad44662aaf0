/* SPDX-License-Identifier: MIT */
/* x86_64: the range operations, instantiated for this format. */
#include "format.h"

#define KELP_FORMAT(name) kelp_x86_64_##name
#include "../../src/space_template.h"
