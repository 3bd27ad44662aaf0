/* SPDX-License-Identifier: MIT */
/* x86_32 PAE: the range operations, instantiated for this format. */
#include "pae.h"

#define KELP_FORMAT(name) kelp_x86_pae_##name
#include "../../src/space_template.h"
