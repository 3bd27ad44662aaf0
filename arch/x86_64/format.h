/* SPDX-License-Identifier: MIT */
/*
 * x86_64: 4-level and 5-level paging (Intel SDM volume 3A, section 4.5).
 *
 * The root's depth, physical width, NX, 1 GiB leaves, the PAT and the encryption bit are known
 * only at run time, so they come from a config.
 */
#ifndef KELP_ARCH_X86_64_FORMAT_H
#define KELP_ARCH_X86_64_FORMAT_H

#include "x86.h"

struct kelp_x86_64_config {
	unsigned levels;       /* 4, or 5 with CR4.LA57 */
	unsigned physical_bits; /* CPUID 80000008H:EAX[7:0], 36 to 52; less the bits SEV takes */
	bool no_execute;       /* EFER.NXE is set */
	bool gigabyte_leaves;  /* CPUID 80000001H:EDX[26] */
	uint64_t pat;          /* IA32_PAT; 0 = its value at power-on (SDM table 11-12) */
	unsigned encryption_bit;  /* position of the C-bit or shared bit; 0 = none */
	bool encryption_bit_shared; /* set means shared (TDX) instead of private (SEV) */
};

/* The PAT at power-on: WB, WT, UC-, UC, twice. */
#define KELP_X86_PAT_POWER_ON UINT64_C(0x0007040600070406)

/* Errors: ARGUMENT (a value outside the ranges above). After an error *format is unusable. */
enum kelp_status kelp_x86_64_format_init(struct kelp_format *format,
					 const struct kelp_x86_64_config *config) KELP_WARN_UNUSED;

/*
 * Shared by the x86 formats: reads a PAT value (SDM 11.12.2) into the type tables. An index
 * whose encoding is reserved is read as DEVICE and never chosen.
 */
void kelp_x86_format_set_pat(struct kelp_format *format, uint64_t pat);

/* The functions src/space_template.h is instantiated with; see there for what each must do. */
typedef uint64_t kelp_x86_64_slot_t;

static inline unsigned kelp_x86_64_shift(unsigned level)
{
	return kelp_x86_shift(level, KELP_X86_LONG);
}

static inline unsigned kelp_x86_64_index(const struct kelp_format *f, unsigned level,
					 kelp_vaddr_t va)
{
	(void)f;
	return kelp_x86_index(level, va, KELP_X86_LONG);
}

static inline unsigned kelp_x86_64_group_order(unsigned level)
{
	(void)level;
	return 0;
}

static inline bool kelp_x86_64_leaf_ok(const struct kelp_format *f, unsigned level)
{
	return kelp_x86_leaf_ok(f, level, KELP_X86_LONG);
}

static inline enum kelp_entry_kind kelp_x86_64_kind(const struct kelp_format *f, unsigned level,
						    uint64_t e)
{
	return kelp_x86_kind(f, level, e, KELP_X86_LONG);
}

static inline kelp_paddr_t kelp_x86_64_address(const struct kelp_format *f, unsigned level,
					       uint64_t e)
{
	return kelp_x86_address(f, level, e, KELP_X86_LONG);
}

static inline uint64_t kelp_x86_64_entry(const struct kelp_format *f, unsigned level,
					 uint64_t bits, kelp_paddr_t pa)
{
	return kelp_x86_entry(f, level, bits, pa, KELP_X86_LONG);
}

static inline uint64_t kelp_x86_64_strip(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_x86_strip(f, level, e, KELP_X86_LONG);
}

static inline uint64_t kelp_x86_64_modelled(const struct kelp_format *f, unsigned level)
{
	return kelp_x86_modelled(f, level, KELP_X86_LONG);
}

static inline enum kelp_status kelp_x86_64_encode(const struct kelp_format *f, unsigned level,
						  kelp_attr_t attr, bool grouped, uint64_t *bits)
{
	if (grouped)
		return KELP_ERR_UNSUPPORTED;
	return kelp_x86_encode(f, level, attr, bits, KELP_X86_LONG);
}

static inline kelp_attr_t kelp_x86_64_decode(const struct kelp_format *f, unsigned level,
					     uint64_t e)
{
	return kelp_x86_decode(f, level, e, KELP_X86_LONG);
}

static inline uint64_t kelp_x86_64_table(const struct kelp_format *f, unsigned level,
					 kelp_paddr_t pa, bool owned)
{
	return kelp_x86_table(f, level, pa, owned, KELP_X86_LONG);
}

static inline bool kelp_x86_64_owned(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return kelp_x86_owned(e);
}

static inline kelp_attr_t kelp_x86_64_denied(const struct kelp_format *f, unsigned level,
					     uint64_t e)
{
	return kelp_x86_denied(f, level, e, KELP_X86_LONG);
}

static inline bool kelp_x86_64_grouped(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level, (void)e;
	return false;
}

static inline uint64_t kelp_x86_64_group(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return e;
}

static inline uint64_t kelp_x86_64_ungroup(const struct kelp_format *f, unsigned level,
					   uint64_t e, unsigned position)
{
	(void)f, (void)level, (void)position;
	return e;
}

static inline uint64_t kelp_x86_64_child(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_x86_child(f, level, e, KELP_X86_LONG);
}

static inline uint64_t kelp_x86_64_parent(const struct kelp_format *f, unsigned level, uint64_t e)
{
	return kelp_x86_parent(f, level, e, KELP_X86_LONG);
}

static inline bool kelp_x86_64_is_global(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return kelp_x86_is_global(e);
}

/* x86 demands no break: size changes need care with attributes only (SDM 4.10.2.4), and every
 * change is followed by the gather's flush. */
static inline bool kelp_x86_64_can_replace(const struct kelp_format *f, unsigned level,
					   uint64_t old, uint64_t new)
{
	(void)f, (void)level, (void)old, (void)new;
	return true;
}

static inline bool kelp_x86_64_busy(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return kelp_x86_busy(e);
}

static inline uint64_t kelp_x86_64_absorb(const struct kelp_format *f, unsigned level, uint64_t e,
					  uint64_t other)
{
	(void)f, (void)level;
	return kelp_x86_absorb(e, other);
}

static inline uint64_t kelp_x86_64_neutral(const struct kelp_format *f, unsigned level, uint64_t e)
{
	(void)f, (void)level;
	return kelp_x86_neutral(e);
}

static inline bool kelp_x86_64_well_formed(const struct kelp_format *f, unsigned level,
					   uint64_t e)
{
	return kelp_x86_well_formed(f, level, e, KELP_X86_LONG);
}

#endif
