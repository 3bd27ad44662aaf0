/* SPDX-License-Identifier: MIT */
/* arm64, 16K granule: the range operations, instantiated for this format. */
#include "arm64_16k.h"

#define KELP_FORMAT(name) kelp_arm64_16k_##name
#include "../../src/space_template.h"
