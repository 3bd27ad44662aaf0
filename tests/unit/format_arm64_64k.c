/* SPDX-License-Identifier: MIT */
/* The laws of formats over arm64's 64K granule; format_arm64_golden.c has entries by hand. */
#include "arch/arm64/arm64_64k.h"

#define LAWS(name)  kelp_arm64_64k_##name
#define LAWS_PREFIX "arm64-64k"
#define GRANULE     16
#include "format_arm64_laws.h"
