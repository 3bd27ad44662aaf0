/* SPDX-License-Identifier: MIT */
/* fake: the range operations, instantiated for this format. */
#include "format.h"

#define KELP_FORMAT(name) kelp_fake_##name
#include "../../src/space_template.h"
