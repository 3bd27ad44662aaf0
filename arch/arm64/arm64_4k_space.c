/* SPDX-License-Identifier: MIT */
/* arm64, 4K granule: the range operations, instantiated for this format. */
#include "arm64_4k.h"

#define KELP_FORMAT(name) kelp_arm64_4k_##name
#include "../../src/space_template.h"
