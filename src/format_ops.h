/* SPDX-License-Identifier: MIT */
/*
 * Makes the table of out-of-line functions (struct kelp_format_ops) of one format from its
 * inlines. Include once per format, after the format's header, with KELP_FORMAT(name) defined.
 */
#ifndef KELP_FORMAT
#error "define KELP_FORMAT(name) and include the format's header first"
#endif

/* Defined where src/space_template.h is instantiated for this format. */
extern const struct kelp_space_ops KELP_FORMAT(space_ops);

static enum kelp_entry_kind KELP_FORMAT(ops_kind)(const struct kelp_format *f, unsigned level,
						  uint64_t e)
{
	return KELP_FORMAT(kind)(f, level, e);
}

static enum kelp_status KELP_FORMAT(ops_leaf)(const struct kelp_format *f, unsigned level,
					      kelp_paddr_t pa, kelp_attr_t attr, bool grouped,
					      uint64_t *entry)
{
	enum kelp_status status;
	uint64_t bits;

	if (level >= f->levels || !KELP_FORMAT(leaf_ok)(f, level))
		return KELP_ERR_UNSUPPORTED;
	status = KELP_FORMAT(encode)(f, level, attr, grouped, &bits);
	if (status != KELP_OK)
		return status;
	status = kelp_format_check_frames(f, pa, UINT64_C(1) << KELP_FORMAT(shift)(level));
	if (status != KELP_OK)
		return status;
	if (pa & ((UINT64_C(1) << KELP_FORMAT(shift)(level)) - 1u))
		return KELP_ERR_ALIGNMENT;
	if (pa > KELP_FORMAT(reach)(f, level))
		return KELP_ERR_ADDRESS;
	*entry = KELP_FORMAT(entry)(f, level, bits, pa);
	return KELP_OK;
}

static uint64_t KELP_FORMAT(ops_table)(const struct kelp_format *f, unsigned level,
				       kelp_paddr_t pa, bool owned)
{
	return KELP_FORMAT(table)(f, level, pa, owned);
}

static kelp_paddr_t KELP_FORMAT(ops_address)(const struct kelp_format *f, unsigned level,
					     uint64_t e)
{
	return KELP_FORMAT(address)(f, level, e);
}

static kelp_attr_t KELP_FORMAT(ops_attributes)(const struct kelp_format *f, unsigned level,
					       uint64_t e)
{
	return KELP_FORMAT(decode)(f, level, e);
}

static kelp_attr_t KELP_FORMAT(ops_denied)(const struct kelp_format *f, unsigned level,
					   uint64_t e)
{
	return KELP_FORMAT(denied)(f, level, e);
}

static bool KELP_FORMAT(ops_grouped)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return KELP_FORMAT(grouped)(f, level, e);
}

static bool KELP_FORMAT(ops_owned)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return KELP_FORMAT(owned)(f, level, e);
}

static bool KELP_FORMAT(ops_can_replace)(const struct kelp_format *f, unsigned level,
					 uint64_t old, uint64_t new)
{
	return KELP_FORMAT(can_replace)(f, level, old, new);
}

static bool KELP_FORMAT(ops_well_formed)(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return KELP_FORMAT(well_formed)(f, level, e);
}

static const struct kelp_format_ops KELP_FORMAT(ops) = {
	.kind = KELP_FORMAT(ops_kind),
	.leaf = KELP_FORMAT(ops_leaf),
	.table = KELP_FORMAT(ops_table),
	.address = KELP_FORMAT(ops_address),
	.attributes = KELP_FORMAT(ops_attributes),
	.denied = KELP_FORMAT(ops_denied),
	.grouped = KELP_FORMAT(ops_grouped),
	.owned = KELP_FORMAT(ops_owned),
	.can_replace = KELP_FORMAT(ops_can_replace),
	.well_formed = KELP_FORMAT(ops_well_formed),
};
