/* SPDX-License-Identifier: MIT */
/* arm64 with the 4K granule. Leaves: 4K, 2M, 1G; 512G with 52-bit addresses. */
#ifndef KELP_ARCH_ARM64_4K_H
#define KELP_ARCH_ARM64_4K_H

#include "arm64.h"

/*
 * Errors: ARGUMENT (a value outside the ranges of struct kelp_arm64_config), UNSUPPORTED (va_bits
 * too small for a tree of two levels). After an error *format is unusable.
 */
enum kelp_status
kelp_arm64_4k_format_init(struct kelp_format *format,
			  const struct kelp_arm64_config *config) KELP_WARN_UNUSED;

#define KELP_ARM64(name) kelp_arm64_4k_##name
#define KELP_ARM64_GRANULE 12u
#include "arm64_instance.h"

#endif
