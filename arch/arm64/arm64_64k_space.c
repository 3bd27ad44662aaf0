/* SPDX-License-Identifier: MIT */
/* arm64, 64K granule: the range operations, instantiated for this format. */
#include "arm64_64k.h"

#define KELP_FORMAT(name) kelp_arm64_64k_##name
#include "../../src/space_template.h"
