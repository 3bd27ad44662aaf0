/* SPDX-License-Identifier: MIT */
/* The laws of formats over arm64's 4K granule; format_arm64_golden.c has entries by hand. */
#include "arch/arm64/arm64_4k.h"

#define LAWS(name)  kelp_arm64_4k_##name
#define LAWS_PREFIX "arm64-4k"
#define GRANULE     12
#include "format_arm64_laws.h"
