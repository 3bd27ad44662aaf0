/* SPDX-License-Identifier: MIT */
/* riscv64: the range operations, instantiated for this format. */
#include "format.h"

#define KELP_FORMAT(name) kelp_riscv64_##name
#include "../../src/space_template.h"
