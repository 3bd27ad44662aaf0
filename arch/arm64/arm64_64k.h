/* SPDX-License-Identifier: MIT */
/* arm64 with the 64K granule. Leaves: 64K, 512M; 4T with 52-bit addresses. */
#ifndef KELP_ARCH_ARM64_64K_H
#define KELP_ARCH_ARM64_64K_H

#include "arm64.h"

/*
 * Errors: ARGUMENT (a value outside the ranges of struct kelp_arm64_config), UNSUPPORTED (va_bits
 * too small for a tree of two levels). After an error *format is unusable.
 */
enum kelp_status
kelp_arm64_64k_format_init(struct kelp_format *format,
			  const struct kelp_arm64_config *config) KELP_WARN_UNUSED;

#define KELP_ARM64(name) kelp_arm64_64k_##name
#define KELP_ARM64_GRANULE 16u
#include "arm64_instance.h"

#endif
