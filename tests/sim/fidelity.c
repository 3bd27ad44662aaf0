/* SPDX-License-Identifier: MIT */
/*
 * The walkers against a second statement of the manuals: tables of rules, read from top to
 * bottom, the first row that matches decides. Every combination of the rights bits over the levels
 * and of the registers is tried.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/walk.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { ALLOW, DENY, KEY, AF };

/* A row: one character per column; '-' matches both, 0 and 1 themselves, letters themselves. */
struct rule {
	const char *pattern;
	int verdict;
};

static int decide(const struct rule *rules, const char *situation)
{
	for (; rules->pattern; rules++) {
		unsigned i = 0;

		while (situation[i] &&
		       (rules->pattern[i] == '-' || rules->pattern[i] == situation[i]))
			i++;
		if (!situation[i])
			return rules->verdict;
	}
	return DENY;
}

static char bit(bool b)
{
	return b ? '1' : '0';
}

static int verdict_of(enum sim_fault fault)
{
	switch (fault) {
	case SIM_FAULT_NONE: return ALLOW;
	case SIM_FAULT_KEY: return KEY;
	case SIM_FAULT_ACCESS_FLAG: return AF;
	default: return DENY;
	}
}

static void progress(const char *what, uint64_t cases)
{
	printf("# %s: %llu cases\n", what, (unsigned long long)cases);
}

/* ---- x86, SDM volume 3A 4.6.1 and 4.6.2 ------------------------------------------------------ */

/*
 * who (U, S) | access (R, W, X) | address (u: U/S set at every level, s) | R/W at every level |
 * XD at some level | CR0.WP | CR4.SMEP | CR4.SMAP | EFLAGS.AC | key denies access | denies writes
 */
static const struct rule x86_rules[] = {
	/* User mode: supervisor-mode addresses never. */
	{"U-s--------", DENY},
	{"UWu0-------", DENY},
	{"UXu-1------", DENY},
	{"UXu--------", ALLOW}, /* keys do not control fetches */
	{"URu------1-", KEY},
	{"UWu------1-", KEY},
	{"UWu-------1", KEY},
	{"U-u--------", ALLOW},
	/* Supervisor mode, fetches. */
	{"SXu---1----", DENY},
	{"SX--1------", DENY},
	{"SX---------", ALLOW},
	/* Supervisor mode, data at user-mode addresses: SMAP unless AC. */
	{"S-u----10--", DENY},
	/* Writes where R/W is clear somewhere, only if WP is set. */
	{"SW-0-1-----", DENY},
	{"S--------1-", KEY},
	{"SW---1----1", KEY},
	{"S----------", ALLOW},
	{0},
};

/* All combinations of R/W, U/S, XD over `levels` entries and of the registers. */
static uint64_t x86_all(const struct sim_walker *walker, struct sim_registers *r, unsigned levels,
			unsigned leaf_level, bool keys)
{
	unsigned depth = levels - leaf_level;
	uint64_t cases = 0;

	for (uint32_t rights = 0; rights < 1u << (3 * depth); rights++) {
		uint64_t entry[5];
		bool writable = true, user = true, xd = false;
		int first_xd = -1;

		for (unsigned i = 0; i < depth; i++) {
			unsigned bits = rights >> (3 * i) & 7u;

			entry[i] = UINT64_C(0x200000) * (i + 1) | 1 | (bits & 1 ? 2 : 0) |
				   (bits & 2 ? 4 : 0) | (bits & 4 ? BIT(63) : 0);
			if (i == depth - 1) {
				entry[i] = UINT64_C(0x40000000) | (entry[i] & UINT64_C(0x8000000000000007));
				entry[i] |= UINT64_C(5) << 59 | (leaf_level ? 0x80 : 0);
			}
			writable &= bits & 1;
			user &= bits >> 1 & 1;
			xd |= bits >> 2;
			if ((bits & 4) && first_xd < 0)
				first_xd = (int)i;
		}
		for (unsigned control = 0; control < (keys ? 256u : 32u); control++) {
			struct sim_walk walk;
			enum sim_step step = SIM_STEP_TABLE;
			unsigned i;

			r->wp = control & 1;
			r->smep = control & 2;
			r->smap = control & 4;
			r->ac = control & 8;
			r->nxe = control & 16;
			r->pke = r->pks = keys && (control & 32);
			r->pkru = r->pkrs = (control >> 6 & 3u) << 10; /* key 5 */
			walker->start(r, 0, &walk);
			for (i = 0; i < depth && step == SIM_STEP_TABLE; i++)
				step = walker->step(r, &walk, entry[i]);
			if (xd && !r->nxe) {
				/* Bit 63 is reserved then; the first entry that has it faults. */
				if (step != SIM_STEP_FAULT || walk.fault != SIM_FAULT_RESERVED ||
				    walk.fault_level != levels - 1u - (unsigned)first_xd)
					fail_msg("rights %x control %x: no reserved-bit fault",
						 rights, control);
				cases += 6;
				continue;
			}
			if (step != SIM_STEP_LEAF)
				fail_msg("rights %x control %x: no leaf", rights, control);
			for (unsigned a = 0; a < 6; a++) {
				bool key = r->pke;
				const char situation[] = {
					a & 1 ? 'U' : 'S', "RWX"[a / 2], user ? 'u' : 's',
					bit(writable), bit(xd), bit(r->wp), bit(r->smep),
					bit(r->smap), bit(r->ac), bit(key && (control & 64)),
					bit(key && (control & 128)), 0,
				};
				int want = decide(x86_rules, situation);
				int got = verdict_of(walker->permit(r, &walk, (enum sim_access)(a / 2),
								    a & 1 ? SIM_USER
									  : SIM_SUPERVISOR));

				if (got != want)
					fail_msg("rights %x, %s: the table says %d, the walker %d",
						 rights, situation, want, got);
				cases++;
			}
		}
	}
	return cases;
}

static void x86_every_combination(void **state)
{
	struct sim_registers r = {
		.levels = 4, .physical_bits = 46, .gigabyte_leaves = true, .pse = true,
		.pat = UINT64_C(0x0007040600070406),
	};
	uint64_t cases = 0;

	(void)state;
	cases += x86_all(&sim_walker_x86_64, &r, 4, 0, true);
	cases += x86_all(&sim_walker_x86_64, &r, 4, 1, true);
	cases += x86_all(&sim_walker_x86_64, &r, 4, 2, true);
	r.levels = 5;
	cases += x86_all(&sim_walker_x86_64, &r, 5, 0, false);
	cases += x86_all(&sim_walker_x86_64, &r, 5, 1, true);
	progress("x86_64", cases);
	assert_true(cases > 19000000);
}

/* PAE: the PDPTE gives no rights; 32-bit paging: no XD at all. */
static void x86_32_every_combination(void **state)
{
	struct sim_registers r = {.physical_bits = 40, .pse = true, .pse36 = true};
	uint64_t cases = 0;

	(void)state;
	for (unsigned control = 0; control < 32; control++) {
		for (unsigned rights = 0; rights < 64; rights++) {
			for (unsigned mode = 0; mode < 2; mode++) {
				const struct sim_walker *walker = mode ? &sim_walker_x86_two_level
								       : &sim_walker_x86_pae;
				bool xd = !mode && (rights & 48);
				struct sim_walk walk;
				enum sim_step step = SIM_STEP_TABLE;

				r.wp = control & 1;
				r.smep = control & 2;
				r.smap = control & 4;
				r.ac = control & 8;
				r.nxe = control & 16;
				walker->start(&r, 0x1234, &walk);
				if (!mode)
					step = walker->step(&r, &walk, 0x1001);
				if (step == SIM_STEP_TABLE)
					step = walker->step(&r, &walk,
							    0x2001 | (rights & 3u) << 1 |
								    (xd && (rights & 16) ? BIT(63) : 0));
				if (step == SIM_STEP_TABLE)
					step = walker->step(&r, &walk,
							    0x3001 | (rights >> 2 & 3u) << 1 |
								    (xd && (rights & 32) ? BIT(63) : 0));
				if (xd && !r.nxe) {
					assert_int_equal(step, SIM_STEP_FAULT);
					assert_int_equal(walk.fault, SIM_FAULT_RESERVED);
					continue;
				}
				assert_int_equal(step, SIM_STEP_LEAF);
				assert_true(walk.pa == 0x3234);
				for (unsigned a = 0; a < 6; a++) {
					const char situation[] = {
						a & 1 ? 'U' : 'S', "RWX"[a / 2],
						(rights & 10) == 10 ? 'u' : 's',
						bit((rights & 5) == 5), bit(xd), bit(r.wp),
						bit(r.smep), bit(r.smap), bit(r.ac), '0', '0', 0,
					};

					assert_int_equal(
						verdict_of(walker->permit(
							&r, &walk, (enum sim_access)(a / 2),
							a & 1 ? SIM_USER : SIM_SUPERVISOR)),
						decide(x86_rules, situation));
					cases++;
				}
			}
		}
	}
	progress("x86 PAE and 32-bit", cases);
}

/* ---- arm64, Arm ARM D8.4 --------------------------------------------------------------------- */

/*
 * who (0, 1: EL) | access | AP[2:1] after APTable (0: EL1 RW, 1: both RW, 2: EL1 RO, 3: both RO),
 * with AP[2] taken as 0 where hardware keeps dirty state | UXN | PXN | PAN | WXN
 */
static const struct rule arm64_rules[] = {
	{"0X-1---", DENY},
	{"0X10--1", DENY}, /* WXN: EL0 may write it */
	{"0X-----", ALLOW},
	{"1X--1--", DENY},
	{"1X1----", DENY}, /* what EL0 may write EL1 never executes */
	{"1X0---1", DENY}, /* WXN: EL1 may write it */
	{"1X-----", ALLOW},
	{"0-0----", DENY},
	{"0-2----", DENY},
	{"0W3----", DENY},
	{"0------", ALLOW},
	{"1-1--1-", DENY}, /* PAN: EL0 may reach it */
	{"1-3--1-", DENY},
	{"1W2----", DENY},
	{"1W3----", DENY},
	{"1------", ALLOW},
	{0},
};

static void arm64_every_combination(void **state)
{
	struct sim_registers r = {
		.physical_bits = 48, .granule_shift = 12, .t0sz = 16, .t1sz = 16, .mair = 0xff,
	};
	uint64_t cases = 0;

	(void)state;
	for (uint32_t tables = 0; tables < 4096; tables++) {
		bool no_user = false, no_write = false, uxn_table = false, pxn_table = false;
		uint64_t table[3];

		for (unsigned i = 0; i < 3; i++) {
			unsigned bits = tables >> (4 * i) & 15u;

			table[i] = UINT64_C(0x1000) * (i + 1) | 3 | (uint64_t)bits << 59;
			pxn_table |= bits & 1;
			uxn_table |= bits >> 1 & 1;
			no_user |= bits >> 2 & 1;
			no_write |= bits >> 3;
		}
		for (unsigned leaf = 0; leaf < 64; leaf++) {
			uint64_t entry = UINT64_C(0x5000) | 3 | (leaf & 1 ? BIT(6) : 0) |
					 (leaf & 2 ? BIT(7) : 0) | (leaf & 4 ? BIT(10) : 0) |
					 (leaf & 8 ? BIT(51) : 0) | (leaf & 16 ? BIT(53) : 0) |
					 (leaf & 32 ? BIT(54) : 0);

			for (unsigned control = 0; control < 12; control++) {
				bool read_only, user = (leaf & 1) && !no_user;
				struct sim_walk walk;
				enum sim_step step = SIM_STEP_TABLE;

				r.ha = control % 3 > 0;
				r.hd = control % 3 > 1;
				r.pan = control / 3 & 1;
				r.wxn = control / 6;
				read_only = no_write || ((leaf & 2) && !(r.hd && (leaf & 8)));
				sim_walker_arm64.start(&r, 0x678, &walk);
				for (unsigned i = 0; i < 3 && step == SIM_STEP_TABLE; i++)
					step = sim_walker_arm64.step(&r, &walk, table[i]);
				step = sim_walker_arm64.step(&r, &walk, entry);
				if (!(leaf & 4) && !r.ha) {
					if (step != SIM_STEP_FAULT ||
					    walk.fault != SIM_FAULT_ACCESS_FLAG || walk.cacheable)
						fail_msg("leaf %x control %u: no access flag fault",
							 leaf, control);
					cases += 6;
					continue;
				}
				if (step != SIM_STEP_LEAF || walk.pa != 0x5678)
					fail_msg("leaf %x control %u: no leaf", leaf, control);
				for (unsigned a = 0; a < 6; a++) {
					const char situation[] = {
						a & 1 ? '0' : '1', "RWX"[a / 2],
						(char)('0' + (user ? 1 : 0) + (read_only ? 2 : 0)),
						bit((leaf & 32) || uxn_table),
						bit((leaf & 16) || pxn_table), bit(r.pan),
						bit(r.wxn), 0,
					};
					int want = decide(arm64_rules, situation);
					int got = verdict_of(sim_walker_arm64.permit(
						&r, &walk, (enum sim_access)(a / 2),
						a & 1 ? SIM_USER : SIM_SUPERVISOR));

					if (got != want)
						fail_msg("tables %x leaf %x %s: the table says %d, "
							 "the walker %d", tables, leaf, situation,
							 want, got);
					cases++;
				}
			}
		}
	}
	progress("arm64", cases);
	assert_true(cases > 18000000);
}

/* ---- riscv, privileged architecture "Virtual Address Translation Process" --------------------- */

/* who (U, S) | access | R | W | X | U | A | D | SUM | MXR | ADUE; a table for each access */
static const struct rule riscv_read[] = {
	{"U----0-----", DENY}, {"S----1--0--", DENY},
	{"--0-0------", DENY}, {"--0-1----0-", DENY},
	{"------0---0", AF},   {"-----------", ALLOW}, {0},
};
static const struct rule riscv_write[] = {
	{"U----0-----", DENY}, {"S----1--0--", DENY}, {"---0-------", DENY},
	{"------0---0", AF},   {"-------0--0", AF},   {"-----------", ALLOW}, {0},
};
static const struct rule riscv_fetch[] = {
	{"U----0-----", DENY}, {"S----1-----", DENY}, {"----0------", DENY},
	{"------0---0", AF},   {"-----------", ALLOW}, {0},
};

static void riscv_every_combination(void **state)
{
	static const struct rule *const rules[] = {riscv_read, riscv_write, riscv_fetch};
	struct sim_registers r = {.levels = 3, .physical_bits = 56};
	uint64_t cases = 0;

	(void)state;
	for (unsigned control = 0; control < 128; control++) {
		r.sum = control & 1;
		r.mxr = control & 2;
		r.adue = control & 4;
		r.svnapot = control & 8;
		r.svpbmt = control & 16;
		r.svvptc = control & 32;
		r.svinval = control & 64;
		for (unsigned leaf_level = 0; leaf_level < 3; leaf_level++) {
			for (unsigned low = 0; low < 256; low++) {
				for (unsigned high = 0; high < 8; high++) {
					uint64_t entry = low | (uint64_t)high << 61 |
							 UINT64_C(0x40000000) >> 2 | (high & 4 ? 8 << 10 : 0);
					bool v = low & 1, read = low & 2, write = low & 4;
					bool exec = low & 8, pointer = !read && !exec;
					bool bad = !v || (write && !read) ||
						   (!r.svpbmt && (high & 3)) || (high & 3) == 3 ||
						   (!r.svnapot && (high & 4)) ||
						   ((high & 4) && leaf_level > 0);
					struct sim_walk walk;
					enum sim_step step = SIM_STEP_TABLE;

					sim_walker_riscv.start(&r, 0, &walk);
					for (unsigned i = 2; i > leaf_level; i--)
						step = sim_walker_riscv.step(&r, &walk, 0x401);
					step = sim_walker_riscv.step(&r, &walk, entry);
					if (!bad && pointer && (leaf_level == 0 || (low & 0xd0) || high))
						bad = true;
					if (bad) {
						assert_int_equal(step, SIM_STEP_FAULT);
						assert_int_equal(walk.cacheable, !r.svvptc);
						continue;
					}
					if (pointer) {
						assert_int_equal(step, SIM_STEP_TABLE);
						continue;
					}
					assert_int_equal(step, SIM_STEP_LEAF);
					for (unsigned a = 0; a < 6; a++) {
						const char situation[] = {
							a & 1 ? 'U' : 'S', "RWX"[a / 2], bit(read),
							bit(write), bit(exec), bit(low & 16),
							bit(low & 64), bit(low & 128), bit(r.sum),
							bit(r.mxr), bit(r.adue), 0,
						};
						int want = decide(rules[a / 2], situation);
						int got = verdict_of(sim_walker_riscv.permit(
							&r, &walk, (enum sim_access)(a / 2),
							a & 1 ? SIM_USER : SIM_SUPERVISOR));

						if (got != want)
							fail_msg("entry %llx %s: the table says %d, "
								 "the walker %d",
								 (unsigned long long)entry,
								 situation, want, got);
						cases++;
					}
				}
			}
		}
	}
	progress("riscv", cases);
	assert_true(cases > 400000);
}

/* Canonical addresses, both sides of every border. */
static void canonical_addresses(void **state)
{
	static const struct {
		const struct sim_walker *walker;
		unsigned levels, t0sz, t1sz;
		uint64_t va;
		bool ok;
	} cases[] = {
		{&sim_walker_x86_64, 4, 0, 0, UINT64_C(0x00007fffffffffff), true},
		{&sim_walker_x86_64, 4, 0, 0, UINT64_C(0x0000800000000000), false},
		{&sim_walker_x86_64, 4, 0, 0, UINT64_C(0xffff7fffffffffff), false},
		{&sim_walker_x86_64, 4, 0, 0, UINT64_C(0xffff800000000000), true},
		{&sim_walker_x86_64, 5, 0, 0, UINT64_C(0x00ffffffffffffff), true},
		{&sim_walker_x86_64, 5, 0, 0, UINT64_C(0x0100000000000000), false},
		{&sim_walker_x86_64, 5, 0, 0, UINT64_C(0xff00000000000000), true},
		{&sim_walker_x86_pae, 3, 0, 0, UINT64_C(0xffffffff), true},
		{&sim_walker_x86_pae, 3, 0, 0, UINT64_C(0x100000000), false},
		{&sim_walker_riscv, 3, 0, 0, UINT64_C(0x0000003fffffffff), true},
		{&sim_walker_riscv, 3, 0, 0, UINT64_C(0x0000004000000000), false},
		{&sim_walker_riscv, 3, 0, 0, UINT64_C(0xffffffc000000000), true},
		{&sim_walker_riscv, 5, 0, 0, UINT64_C(0x00ffffffffffffff), true},
		{&sim_walker_riscv, 5, 0, 0, UINT64_C(0xfeffffffffffffff), false},
		{&sim_walker_arm64, 0, 16, 25, UINT64_C(0x0000ffffffffffff), true},
		{&sim_walker_arm64, 0, 16, 25, UINT64_C(0x0001000000000000), false},
		{&sim_walker_arm64, 0, 16, 25, UINT64_C(0xffffff8000000000), true},
		{&sim_walker_arm64, 0, 16, 25, UINT64_C(0xffffff7fffffffff), false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sim_registers r = {
			.levels = cases[i].levels, .t0sz = cases[i].t0sz, .t1sz = cases[i].t1sz,
			.granule_shift = 12, .physical_bits = 48,
		};
		struct sim_walk walk;

		assert_int_equal(cases[i].walker->start(&r, cases[i].va, &walk) == SIM_FAULT_NONE,
				 cases[i].ok);
	}
}

/* Reserved bits of x86 one by one. */
static void x86_reserved_bits(void **state)
{
	struct sim_registers r = {.levels = 4, .physical_bits = 40, .nxe = true,
				  .gigabyte_leaves = true};
	unsigned faults[4] = {0};

	(void)state;
	for (unsigned level = 0; level < 4; level++) {
		for (unsigned n = 1; n < 64; n++) {
			uint64_t entry = BIT(n) | 1 | (level == 1 || level == 2 ? 0x80 : 0);
			struct sim_walk walk = {.level = (uint8_t)level, .rights = 7};
			bool fault = sim_walker_x86_64.step(&r, &walk, entry) == SIM_STEP_FAULT;
			bool want = (n >= 40 && n <= 51) || (level == 3 && n == 7) ||
				    (level == 1 && n >= 13 && n <= 20) ||
				    (level == 2 && n >= 13 && n <= 29);

			if (fault != want)
				fail_msg("level %u bit %u: fault %d", level, n, fault);
			faults[level] += fault;
		}
	}
	assert_int_equal(faults[0], 12);
	assert_int_equal(faults[1], 20);
	assert_int_equal(faults[2], 29);
	assert_int_equal(faults[3], 13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(x86_every_combination),
		cmocka_unit_test(x86_32_every_combination),
		cmocka_unit_test(arm64_every_combination),
		cmocka_unit_test(riscv_every_combination),
		cmocka_unit_test(canonical_addresses),
		cmocka_unit_test(x86_reserved_bits),
	};

	return cmocka_run_group_tests_name("fidelity", tests, NULL, NULL);
}
