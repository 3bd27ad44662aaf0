/* SPDX-License-Identifier: MIT */
/* arm64, 64K granule: the instance, from a config. */
#include "arm64_64k.h"

#define KELP_FORMAT(name) kelp_arm64_64k_##name
#include "../../src/format_ops.h"

enum kelp_status kelp_arm64_64k_format_init(struct kelp_format *format,
					   const struct kelp_arm64_config *config)
{
	enum kelp_status status = kelp_arm64_configure(format, config, 16);

	if (status != KELP_OK)
		return status;
	format->ops = &kelp_arm64_64k_ops;
	format->space_ops = &kelp_arm64_64k_space_ops;
	return KELP_OK;
}
