/* SPDX-License-Identifier: MIT */
/* arm64, 4K granule: the instance, from a config. */
#include "arm64_4k.h"

#define KELP_FORMAT(name) kelp_arm64_4k_##name
#include "../../src/format_ops.h"

enum kelp_status kelp_arm64_4k_format_init(struct kelp_format *format,
					   const struct kelp_arm64_config *config)
{
	enum kelp_status status = kelp_arm64_configure(format, config, 12);

	if (status != KELP_OK)
		return status;
	format->ops = &kelp_arm64_4k_ops;
	format->space_ops = &kelp_arm64_4k_space_ops;
	return KELP_OK;
}
