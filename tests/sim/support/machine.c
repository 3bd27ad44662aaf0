/* SPDX-License-Identifier: MIT */
#include "machine.h"

struct sim *machine_new(const struct kelp_format *format, uint64_t seed, unsigned cpus)
{
	struct sim_config config;

	if (!sim_kelp_config(&config, format))
		return NULL;
	config.cpus = cpus;
	config.seed = seed;
	config.run_id = (unsigned)seed;
	config.registers.pcide = config.arch == SIM_X86_64;
	config.registers.pge = true;
	config.registers.sum = true;
	config.policy.allow_type_aliases = true;
	/* As strictly as the SDM can be read: what is left of a split leaf goes piece by piece. */
	config.policy.invlpg_reaches_former_leaf = false;
	config.policy.invalidate_reaches_group = false;
	return sim_create(&config);
}
