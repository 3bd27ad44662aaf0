/* SPDX-License-Identifier: MIT */
/* arm64, 16K granule: the instance, from a config. */
#include "arm64_16k.h"

#define KELP_FORMAT(name) kelp_arm64_16k_##name
#include "../../src/format_ops.h"

enum kelp_status kelp_arm64_16k_format_init(struct kelp_format *format,
					   const struct kelp_arm64_config *config)
{
	enum kelp_status status = kelp_arm64_configure(format, config, 14);

	if (status != KELP_OK)
		return status;
	format->ops = &kelp_arm64_16k_ops;
	format->space_ops = &kelp_arm64_16k_space_ops;
	return KELP_OK;
}
