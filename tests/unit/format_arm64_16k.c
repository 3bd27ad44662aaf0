/* SPDX-License-Identifier: MIT */
/* The laws of formats over arm64's 16K granule; format_arm64_golden.c has entries by hand. */
#include "arch/arm64/arm64_16k.h"

#define LAWS(name)  kelp_arm64_16k_##name
#define LAWS_PREFIX "arm64-16k"
#define GRANULE     14
#include "format_arm64_laws.h"
