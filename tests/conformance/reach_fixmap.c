/* SPDX-License-Identifier: MIT */
/*
 * The fixmap on every format: INV-3.5 with an observer between every two writes of an entry,
 * INV-3.6 with a port that never gives adjacent pages and with any number of CPUs.
 */
#include "reach.h"
#include "slot_double.h"

#include <stdlib.h>
#include <string.h>

#define TEST_FIXMAP(X)               \
	X(FIX_CONSOLE, 1, PERMANENT) \
	X(FIX_EARLY_IO, 4, EARLY)    \
	X(FIX_PROBE, 2, PER_CPU)     \
	X(FIX_CLOCK, 3, PERMANENT)   \
	X(FIX_NMI, 1, PER_CPU)       \
	X(FIX_LOG, 1, EARLY)

KELP_FIXMAP(test_fixmap, TEST_FIXMAP);

static const uint32_t cpu_counts[] = {1, 8, 15, 16, 32, 33, 64, 512, 4096};

struct fixture {
	struct reach reach;
	struct kelp_fixmap fixmap;
	struct kelp_fixmap_config config;
	uint64_t page;
	kelp_attr_t attributes;
};

static void begin(struct fixture *f, struct bare *bare, uint32_t cpus)
{
	memset(f, 0, sizeof(*f));
	reach_begin(&f->reach, bare);
	f->page = page_of(bare->format);
	f->attributes = kelp_format_closest(bare->format,
					    data_of(bare->format) | KELP_ATTR_GLOBAL);
	f->config = (struct kelp_fixmap_config){
		.space = &f->reach.space,
		/* Three pages before the end of a table, and of all above it. */
		.base = some_va(bare->format, 6) - 3u * f->page,
		.cpus = cpus,
		KELP_FIXMAP_OF(test_fixmap),
	};
}

static void end(struct fixture *f)
{
	reach_end(&f->reach);
}

static bool translates(struct fixture *f, kelp_paddr_t root, kelp_vaddr_t va, kelp_paddr_t *pa)
{
	kelp_attr_t attributes;

	return raw_translate(f->reach.format, f->reach.port, root, va, pa, &attributes);
}

static bool maps(struct fixture *f, kelp_paddr_t root, kelp_vaddr_t va, kelp_paddr_t expected)
{
	kelp_paddr_t pa;

	return translates(f, root, va, &pa) && pa == expected;
}

/* ---- the list ---------------------------------------------------------------------------- */

static void list_becomes_a_table(struct bare *bare)
{
	struct fixture f;
	uint32_t slot;

	assert_int_equal(test_fixmap_slot_count, 6);
	assert_int_equal(test_fixmap_slots[FIX_CONSOLE].first, 1);
	assert_int_equal(test_fixmap_slots[FIX_EARLY_IO].first, 2);
	assert_int_equal(test_fixmap_slots[FIX_CLOCK].first, 6);
	assert_int_equal(test_fixmap_slots[FIX_LOG].first, 9);
	assert_int_equal(test_fixmap_shared_pages, 10);
	assert_int_equal(test_fixmap_slots[FIX_PROBE].first, 1);
	assert_int_equal(test_fixmap_slots[FIX_NMI].first, 3);
	assert_int_equal(test_fixmap_bank_pages, 4);
	begin(&f, bare, 3);
	assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 3), KELP_OK);
	assert_int_equal(kelp_fixmap_bytes(bare->format, &f.config), 22u * f.page);
	assert_int_equal(kelp_fixmap_address(&f.fixmap, FIX_CLOCK), f.config.base + 6u * f.page);
	assert_int_equal(kelp_fixmap_cpu_address(&f.fixmap, FIX_NMI, 2),
			 f.config.base + 21u * f.page);
	assert_status(kelp_fixmap_find(&f.fixmap, "FIX_CLOCK", &slot), KELP_OK);
	assert_int_equal(slot, FIX_CLOCK);
	assert_status(kelp_fixmap_find(&f.fixmap, "FIX_CLOC", &slot), KELP_ERR_NOT_MAPPED);
	assert_status(kelp_fixmap_find(&f.fixmap, "FIX_CLOCKS", &slot), KELP_ERR_NOT_MAPPED);
	end(&f);
}

/* ---- setting and clearing ---------------------------------------------------------------- */

static void slots_are_set_and_cleared(struct bare *bare)
{
	struct fixture f;
	kelp_attr_t attributes;
	kelp_paddr_t pa, frame;
	unsigned shootdowns;

	begin(&f, bare, 2);
	frame = 8u * f.page;
	assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 1), KELP_OK);
	/* Everything from here on works with no memory. */
	test_port_fail(bare->port, 1, true);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_CLOCK, 0, 1, 2, frame, f.attributes), KELP_OK);
	assert_status(kelp_fixmap_lookup(&f.fixmap, FIX_CLOCK, 0, 0, &pa, &attributes),
		      KELP_ERR_NOT_MAPPED);
	assert_status(kelp_fixmap_lookup(&f.fixmap, FIX_CLOCK, 0, 2, &pa, &attributes), KELP_OK);
	assert_int_equal(pa, frame + f.page);
	assert_int_equal(attributes, kelp_format_used(bare->format, f.attributes));
	assert_true(maps(&f, f.reach.space.root,
			 kelp_fixmap_address(&f.fixmap, FIX_CLOCK) + f.page, frame));
	/* All or none: the second page is in use. */
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_CLOCK, 0, 0, 2, frame, f.attributes),
		      KELP_ERR_EXISTS);
	assert_status(kelp_fixmap_lookup(&f.fixmap, FIX_CLOCK, 0, 0, &pa, &attributes),
		      KELP_ERR_NOT_MAPPED);
	/* A shared slot is everybody's: cleared by a shootdown, seen by a CPU that used it. */
	f.reach.cpu = 1;
	assert_ptr_equal(reach_access(&f.reach, kelp_fixmap_address(&f.fixmap, FIX_CLOCK) + f.page,
				      true), reach_frame(&f.reach, frame));
	f.reach.cpu = 0;
	shootdowns = bare->port->shootdowns;
	assert_status(kelp_fixmap_clear(&f.fixmap, FIX_CLOCK, 0), KELP_OK);
	f.reach.cpu = 1;
	assert_null(reach_access(&f.reach, kelp_fixmap_address(&f.fixmap, FIX_CLOCK) + f.page,
				 false));
	assert_int_equal(bare->port->shootdowns, shootdowns + 1);
	assert_status(kelp_fixmap_clear(&f.fixmap, FIX_CLOCK, 0), KELP_OK);
	assert_int_equal(bare->port->shootdowns, shootdowns + 1);
	/* A CPU's own is its own business. */
	f.reach.cpu = 0;
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_NMI, 0, 0, 1, frame, f.attributes), KELP_OK);
	assert_non_null(reach_access(&f.reach, kelp_fixmap_cpu_address(&f.fixmap, FIX_NMI, 0),
				     true));
	assert_status(kelp_fixmap_clear(&f.fixmap, FIX_NMI, 0), KELP_OK);
	assert_null(reach_access(&f.reach, kelp_fixmap_cpu_address(&f.fixmap, FIX_NMI, 0), true));
	assert_int_equal(bare->port->shootdowns, shootdowns + 1);
	test_port_fail(bare->port, 0, false);
	/* What is wrong. */
	assert_status(kelp_fixmap_set(&f.fixmap, 6, 0, 0, 1, frame, f.attributes),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_CLOCK, 0, 2, 2, frame, f.attributes),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_CLOCK, 0, 0, 0, frame, f.attributes),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_NMI, 2, 0, 1, frame, f.attributes),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_CLOCK, 0, 0, 1, frame + 1, f.attributes),
		      KELP_ERR_ALIGNMENT);
	assert_status(kelp_fixmap_clear(&f.fixmap, 6, 0), KELP_ERR_ARGUMENT);
	end(&f);
}

/* A slot by itself: from one frame to another, with a break where that is demanded. */
static void a_slot_changes_its_frame(struct bare *bare)
{
	struct kelp_flush flush = {0};
	struct kelp_slot slot;
	struct fixture f;

	begin(&f, bare, 1);
	kelp_flush_begin(&flush, &f.reach.space);
	assert_status(kelp_space_populate(&flush, f.config.base, f.page, bare->format->page_shift,
					  0), KELP_OK);
	kelp_flush_commit(&flush);
	assert_status(kelp_slot_find(&f.reach.space, f.config.base, &slot), KELP_OK);
	for (unsigned i = 0; i < 3; i++) {
		assert_status(kelp_slot_set(&slot, (8u + i) * f.page,
					    kelp_format_used(bare->format, f.attributes)), KELP_OK);
		assert_ptr_equal(reach_access(&f.reach, f.config.base, true),
				 reach_frame(&f.reach, (8u + i) * f.page));
	}
	kelp_slot_clear(&slot);
	assert_null(reach_access(&f.reach, f.config.base, false));
	end(&f);
}

static void any_number_of_cpus(struct bare *bare)
{
	for (size_t i = 0; i < COUNT_OF(cpu_counts); i++) {
		uint32_t cpus = cpu_counts[i];
		struct fixture f;
		kelp_paddr_t pa;

		begin(&f, bare, cpus);
		assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 1), KELP_OK);
		if (cpus > 1)
			assert_status(kelp_fixmap_populate(&f.fixmap, 1, cpus - 1), KELP_OK);
		bare->port->forbid_take = true;
		for (uint32_t cpu = 0; cpu < cpus; cpu++) {
			assert_status(kelp_fixmap_set(&f.fixmap, FIX_PROBE, cpu, 0, 2,
						      (2u * cpu + 64u) * f.page, f.attributes),
				      KELP_OK);
			assert_status(kelp_fixmap_set(&f.fixmap, FIX_NMI, cpu, 0, 1, f.page,
						      f.attributes), KELP_OK);
		}
		for (uint32_t cpu = 0; cpu < cpus; cpu++) {
			kelp_vaddr_t va = kelp_fixmap_cpu_address(&f.fixmap, FIX_PROBE, cpu);

			assert_true(maps(&f, f.reach.space.root, va, (2u * cpu + 64u) * f.page));
			assert_true(maps(&f, f.reach.space.root, va + f.page,
					 (2u * cpu + 65u) * f.page));
			/* In front of a bank nothing is ever mapped. */
			assert_false(translates(&f, f.reach.space.root, va - f.page, &pa));
			assert_status(kelp_fixmap_clear(&f.fixmap, FIX_PROBE, cpu), KELP_OK);
			assert_status(kelp_fixmap_clear(&f.fixmap, FIX_NMI, cpu), KELP_OK);
			assert_false(translates(&f, f.reach.space.root, va, &pa));
		}
		bare->port->forbid_take = false;
		assert_status(kelp_fixmap_populate(&f.fixmap, cpus, 1), KELP_ERR_ARGUMENT);
		assert_status(kelp_fixmap_populate(&f.fixmap, 0, cpus + 1), KELP_ERR_ARGUMENT);
		end(&f);
	}
}

static void init_is_all_or_nothing(struct bare *bare)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;
	struct fixture f;
	unsigned n = 0;

	begin(&f, bare, 600);
	reach_save(&f.reach);
	do {
		test_port_fail(bare->port, ++n, false);
		status = kelp_fixmap_init(&f.fixmap, &f.config, 600);
		if (status != KELP_OK) {
			assert_status(status, KELP_ERR_NO_MEMORY);
			assert_true(reach_is_as_saved(&f.reach));
		}
	} while (status != KELP_OK);
	test_port_fail(bare->port, 0, false);
	assert_true(n >= 3);
	f.config.cpus = 0;
	assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 0), KELP_ERR_ARGUMENT);
	f.config.cpus = 1;
	assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 2), KELP_ERR_ARGUMENT);
	/* A large leaf in the way. */
	if (leaf_at(bare->format, 1)) {
		uint64_t span = UINT64_C(1) << bare->format->shift[1];

		f.config.base = some_va(bare->format, 9);
		kelp_flush_begin(&flush, &f.reach.space);
		assert_status(kelp_space_map(&flush, f.config.base, 0, span, f.attributes, 0),
			      KELP_OK);
		kelp_flush_commit(&flush);
		reach_save(&f.reach);
		assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 1), KELP_ERR_EXISTS);
		assert_true(reach_is_as_saved(&f.reach));
	}
	end(&f);
}

/* ---- the switch (INV-3.5) ---------------------------------------------------------------- */

/* Looks at both roots between every two writes of an entry. */
struct observer {
	struct fixture *f;
	kelp_paddr_t roots[2];
	/* A CPU may be on this root: 1 before, 2 after the switch, 3 while CPUs are on either. */
	unsigned live;
	struct raw_list last[2];
	unsigned looks, writes;
	struct expected {
		kelp_vaddr_t va;
		kelp_paddr_t pa;
	} expected[32];
	unsigned count;
	bool busy;
};

static struct observer *observing;
static void *(*plain_pointer)(void *context, kelp_paddr_t address);

static unsigned changes(const struct raw_list *a, const struct raw_list *b)
{
	unsigned count = 0;
	size_t i = 0, j = 0;

	while (i < a->count || j < b->count) {
		const struct raw_entry *x = i < a->count ? &a->items[i] : NULL;
		const struct raw_entry *y = j < b->count ? &b->items[j] : NULL;
		bool same = x && y && x->va == y->va && x->level == y->level;

		if (same) {
			count += x->entry != y->entry;
			i++;
			j++;
		} else if (!y || (x && (x->va < y->va ||
					(x->va == y->va && x->level > y->level)))) {
			count++;
			i++;
		} else {
			count++;
			j++;
		}
	}
	return count;
}

static void look(struct observer *o)
{
	unsigned written = 0;

	for (unsigned r = 0; r < 2; r++) {
		struct raw_list now = {0};

		raw_collect(&now, o->f->reach.format, o->f->reach.port, o->roots[r]);
		written += changes(&o->last[r], &now);
		raw_free(&o->last[r]);
		o->last[r] = now;
	}
	o->looks++;
	o->writes += written;
	/* Nothing happens unobserved: at most one entry is written between two looks. */
	if (written > 1)
		fail_msg("%u entries were written between two looks", written);
	for (unsigned i = 0; i < o->count; i++)
		for (unsigned r = 0; r < 2; r++)
			if ((o->live >> r & 1u) && !maps(o->f, o->roots[r], o->expected[i].va,
							 o->expected[i].pa))
				fail_msg("0x%llx is not valid in the %s tables at look %u",
					 (unsigned long long)o->expected[i].va,
					 r ? "final" : "early", o->looks);
}

static void *observed_pointer(void *context, kelp_paddr_t address)
{
	if (observing && !observing->busy) {
		observing->busy = true;
		look(observing);
		observing->busy = false;
	}
	return plain_pointer(context, address);
}

static void expect(struct observer *o, kelp_vaddr_t va, kelp_paddr_t pa)
{
	assert_true(o->count < COUNT_OF(o->expected));
	o->expected[o->count++] = (struct expected){va, pa};
}

/* Before anything that replaces the pointers that observe. */
static void observe_begin(struct bare *bare)
{
	plain_pointer = bare->port->hooks.table_pointer;
	bare->port->hooks.table_pointer = observed_pointer;
}

static void set_all(struct fixture *f, struct observer *o, uint32_t cpus)
{
	kelp_paddr_t pa = 32u * f->page;

	assert_status(kelp_fixmap_set(&f->fixmap, FIX_CONSOLE, 0, 0, 1, pa, f->attributes),
		      KELP_OK);
	expect(o, kelp_fixmap_address(&f->fixmap, FIX_CONSOLE), pa);
	assert_status(kelp_fixmap_set(&f->fixmap, FIX_CLOCK, 0, 1, 2, pa + f->page,
				      f->attributes), KELP_OK);
	expect(o, kelp_fixmap_address(&f->fixmap, FIX_CLOCK) + f->page, pa + f->page);
	expect(o, kelp_fixmap_address(&f->fixmap, FIX_CLOCK) + 2u * f->page, pa + 2u * f->page);
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		pa += 8u * f->page;
		assert_status(kelp_fixmap_set(&f->fixmap, FIX_PROBE, cpu, 1, 1, pa,
					      f->attributes), KELP_OK);
		expect(o, kelp_fixmap_cpu_address(&f->fixmap, FIX_PROBE, cpu) + f->page, pa);
	}
}

static void valid_at_every_instant(struct bare *bare)
{
	struct kelp_fixmap final;
	struct observer o = {0};
	struct kelp_space space;
	struct fixture f;
	kelp_paddr_t pa;

	observe_begin(bare);
	begin(&f, bare, 5);
	reach_dismiss_judge(&f.reach);
	assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 5), KELP_OK);
	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks, 0), KELP_OK);
	o.f = &f;
	o.roots[0] = f.reach.space.root;
	o.roots[1] = space.root;
	o.live = 1;
	raw_collect(&o.last[0], bare->format, bare->port, o.roots[0]);
	raw_collect(&o.last[1], bare->format, bare->port, o.roots[1]);
	observing = &o;
	set_all(&f, &o, 3);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_LOG, 0, 0, 1, 4096u * f.page, f.attributes),
		      KELP_OK);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_EARLY_IO, 0, 0, 1, f.page, f.attributes),
		      KELP_OK);
	/* The final tables, with the early ones in use. */
	f.config.space = &space;
	assert_status(kelp_fixmap_init(&final, &f.config, 5), KELP_OK);
	/* Early slots that nobody thought of: said, not lost. */
	assert_status(kelp_fixmap_carry(&f.fixmap, &final), KELP_ERR_BUSY);
	assert_false(translates(&f, space.root, kelp_fixmap_address(&final, FIX_CONSOLE), &pa));
	assert_status(kelp_fixmap_hand_over(&f.fixmap, &final, FIX_CONSOLE), KELP_ERR_ARGUMENT);
	assert_status(kelp_fixmap_hand_over(&f.fixmap, &final, FIX_LOG), KELP_OK);
	assert_status(kelp_fixmap_carry(&f.fixmap, &final), KELP_ERR_BUSY);
	assert_status(kelp_fixmap_clear(&f.fixmap, FIX_EARLY_IO, 0), KELP_OK);
	expect(&o, kelp_fixmap_address(&f.fixmap, FIX_LOG), 4096u * f.page);
	assert_status(kelp_fixmap_carry(&f.fixmap, &final), KELP_OK);
	/* From now on CPUs may be on either root. */
	o.live = 3;
	look(&o);
	assert_status(kelp_fixmap_carry(&f.fixmap, &final), KELP_ERR_ARGUMENT);
	/* What is set between carrying and switching is not lost; nor what is cleared. */
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_NMI, 4, 0, 1, 2u * f.page, f.attributes),
		      KELP_OK);
	expect(&o, kelp_fixmap_cpu_address(&f.fixmap, FIX_NMI, 4), 2u * f.page);
	look(&o);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_EARLY_IO, 0, 3, 1, f.page, f.attributes),
		      KELP_OK);
	assert_true(maps(&f, space.root, kelp_fixmap_address(&final, FIX_EARLY_IO) + 3u * f.page,
			 f.page));
	assert_status(kelp_fixmap_clear(&f.fixmap, FIX_EARLY_IO, 0), KELP_OK);
	assert_false(translates(&f, space.root,
				kelp_fixmap_address(&final, FIX_EARLY_IO) + 3u * f.page, &pa));
	kelp_fixmap_switched(&f.fixmap);
	o.live = 2;
	look(&o);
	assert_status(kelp_fixmap_set(&final, FIX_EARLY_IO, 0, 1, 1, f.page, f.attributes),
		      KELP_OK);
	observing = NULL;
	/* Each entry of both fixmaps was written under the observer's eyes. */
	assert_true(o.writes >= 2u * o.count);
	assert_true(o.looks > o.writes);
	raw_free(&o.last[0]);
	raw_free(&o.last[1]);
	kelp_space_destroy(&space);
	end(&f);
}

/* The last slot cannot be carried: nothing was. */
static void carry_is_all_or_nothing(struct bare *bare)
{
	struct kelp_fixmap final, other;
	struct kelp_space space;
	struct observer o = {0};
	struct fixture f;
	kelp_paddr_t pa;

	begin(&f, bare, 4);
	reach_dismiss_judge(&f.reach);
	assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 4), KELP_OK);
	set_all(&f, &o, 4);
	assert_status(kelp_space_init(&space, bare->format, &bare->port->hooks, 0), KELP_OK);
	f.config.space = &space;
	assert_status(kelp_fixmap_init(&final, &f.config, 3), KELP_OK);
	/* The fourth CPU's bank has no tables there, or lies in one that others needed too. */
	assert_status(kelp_fixmap_populate(&final, 3, 1), KELP_OK);
	assert_status(kelp_fixmap_set(&final, FIX_PROBE, 3, 1, 1, f.page, f.attributes), KELP_OK);
	assert_status(kelp_fixmap_carry(&f.fixmap, &final), KELP_ERR_EXISTS);
	for (unsigned i = 0; i + 1 < o.count; i++)
		assert_false(translates(&f, space.root, o.expected[i].va, &pa));
	f.config.base += f.page;
	assert_status(kelp_fixmap_init(&other, &f.config, 0), KELP_OK);
	assert_status(kelp_fixmap_carry(&f.fixmap, &other), KELP_ERR_ARGUMENT);
	assert_status(kelp_fixmap_carry(&f.fixmap, &f.fixmap), KELP_ERR_ARGUMENT);
	assert_status(kelp_fixmap_clear(&final, FIX_PROBE, 3), KELP_OK);
	assert_status(kelp_fixmap_carry(&f.fixmap, &final), KELP_OK);
	for (unsigned i = 0; i < o.count; i++)
		assert_true(maps(&f, space.root, o.expected[i].va, o.expected[i].pa));
	kelp_fixmap_switched(&f.fixmap);
	assert_true(test_panics(bare->port, kelp_fixmap_switched(&f.fixmap)));
	kelp_space_destroy(&space);
	end(&f);
}

/* ---- tables that somebody else prepared -------------------------------------------------- */

/* What a hypervisor prepared is valid in the final tables too, and stays so in its own. */
static void take_along(struct fixture *f, struct kelp_space *adopted, kelp_vaddr_t clock)
{
	struct kelp_fixmap final;
	struct kelp_space space;
	kelp_paddr_t pa;

	assert_status(kelp_space_init(&space, f->reach.format, &f->reach.port->hooks, 0), KELP_OK);
	f->config.space = &space;
	assert_status(kelp_fixmap_init(&final, &f->config, 1), KELP_OK);
	assert_status(kelp_fixmap_carry(&f->fixmap, &final), KELP_OK);
	assert_true(maps(f, space.root, clock, 9u * f->page));
	assert_true(maps(f, adopted->root, clock, 9u * f->page));
	kelp_fixmap_switched(&f->fixmap);
	assert_status(kelp_fixmap_clear(&final, FIX_CLOCK, 0), KELP_OK);
	assert_false(translates(f, space.root, clock, &pa));
	assert_true(maps(f, adopted->root, clock, 9u * f->page));
	kelp_space_destroy(&space);
}

static void adopted_slots_are_not_stomped_on(struct bare *bare)
{
	struct kelp_flush flush = {0};
	struct kelp_space adopted;
	kelp_attr_t attributes;
	kelp_vaddr_t clock;
	struct fixture f;
	kelp_paddr_t pa;
	unsigned live;

	/* The hypervisor's work: one page of the clock, and tables. */
	begin(&f, bare, 1);
	reach_dismiss_judge(&f.reach);
	clock = f.config.base + 7u * f.page;
	kelp_flush_begin(&flush, &f.reach.space);
	assert_status(kelp_space_map(&flush, clock, 9u * f.page, f.page, f.attributes, 0), KELP_OK);
	kelp_flush_commit(&flush);
	assert_status(kelp_space_adopt(&adopted, bare->format, &bare->port->hooks,
				       f.reach.space.root, 100, KELP_SPACE_DISOWN), KELP_OK);
	live = bare->port->live;
	f.config.space = &adopted;
	assert_status(kelp_fixmap_init(&f.fixmap, &f.config, 1), KELP_OK);
	assert_status(kelp_fixmap_lookup(&f.fixmap, FIX_CLOCK, 0, 1, &pa, &attributes), KELP_OK);
	assert_int_equal(pa, 9u * f.page);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_CLOCK, 0, 0, 3, f.page, f.attributes),
		      KELP_ERR_EXISTS);
	assert_true(maps(&f, adopted.root, clock, 9u * f.page));
	assert_false(translates(&f, adopted.root, clock - f.page, &pa));
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_CLOCK, 0, 2, 1, f.page, f.attributes),
		      KELP_OK);
	assert_status(kelp_fixmap_set(&f.fixmap, FIX_CONSOLE, 0, 0, 1, 2u * f.page, f.attributes),
		      KELP_OK);
	assert_true(maps(&f, adopted.root, clock, 9u * f.page));
	/* Clearing its neighbours leaves it; the final tables get it too. */
	assert_status(kelp_fixmap_clear(&f.fixmap, FIX_CONSOLE, 0), KELP_OK);
	assert_status(kelp_fixmap_clear(&f.fixmap, FIX_EARLY_IO, 0), KELP_OK);
	assert_true(maps(&f, adopted.root, clock, 9u * f.page));
	take_along(&f, &adopted, clock);
	kelp_space_destroy(&adopted);
	/* Only what we added went back. */
	assert_int_equal(bare->port->live, live);
	assert_true(maps(&f, f.reach.space.root, clock, 9u * f.page));
	judge_free(&f.reach.judge);
}

#ifndef TESTS_ON_MACHINE

/* ---- from the first line of C ------------------------------------------------------------ */

static void no_panic(void *context, const char *what, const char *where)
{
	(void)context;
	fail_msg("%s (%s)", what, where);
}

static void works_from_a_static_buffer(struct bare *bare)
{
	size_t page = (size_t)page_of(bare->format), count = 16;
	unsigned char *memory = aligned_alloc(page, count * page);
	kelp_paddr_t address = 16u * page, pa;
	struct kelp_fixmap_pool pool;
	struct kelp_space space;
	struct kelp_fixmap fixmap;
	struct fixture f;
	uint64_t needed;

	assert_non_null(memory);
	memset(memory, 0, count * page);
	begin(&f, bare, 1);
	reach_dismiss_judge(&f.reach);
	assert_status(kelp_fixmap_pool_init(&pool, memory + 1, count, bare->format->page_shift,
					    address, no_panic), KELP_ERR_ALIGNMENT);
	assert_status(kelp_fixmap_pool_init(&pool, memory, count, bare->format->page_shift,
					    address + 1, no_panic), KELP_ERR_ALIGNMENT);
	assert_status(kelp_fixmap_pool_init(&pool, memory, 0, bare->format->page_shift, address,
					    no_panic), KELP_ERR_ARGUMENT);
	assert_status(kelp_fixmap_pool_init(&pool, memory, count, bare->format->page_shift,
					    address, no_panic), KELP_OK);
	assert_status(kelp_space_init(&space, bare->format, &pool.port, 0), KELP_OK);
	f.config.space = &space;
	assert_status(kelp_fixmap_init(&fixmap, &f.config, 1), KELP_OK);
	assert_status(kelp_fixmap_set(&fixmap, FIX_CONSOLE, 0, 0, 1, 5u * page, f.attributes),
		      KELP_OK);
	assert_status(kelp_space_translate(&space, kelp_fixmap_address(&fixmap, FIX_CONSOLE) + 3u,
					   &pa), KELP_OK);
	assert_int_equal(pa, 5u * page + 3u);
	needed = pool.used;
	kelp_space_destroy(&space);
	assert_int_equal(pool.free_count, needed);
	/* Pages that came back are zero again, and enough; one less is not. */
	assert_status(kelp_space_init(&space, bare->format, &pool.port, 0), KELP_OK);
	assert_status(kelp_fixmap_init(&fixmap, &f.config, 1), KELP_OK);
	assert_int_equal(pool.used, needed);
	kelp_space_destroy(&space);
	memset(memory, 0, count * page);
	assert_status(kelp_fixmap_pool_init(&pool, memory, needed - 1, bare->format->page_shift,
					    address, no_panic), KELP_OK);
	assert_status(kelp_space_init(&space, bare->format, &pool.port, 0), KELP_OK);
	assert_status(kelp_fixmap_init(&fixmap, &f.config, 1), KELP_ERR_NO_MEMORY);
	kelp_space_destroy(&space);
	free(memory);
	end(&f);
}

#endif

int main(void)
{
	static const struct bare_case cases[] = {
		{"the list becomes a table", list_becomes_a_table, NULL},
		{"slots are set and cleared", slots_are_set_and_cleared, NULL},
		{"INV-3.6 any number of CPUs", any_number_of_cpus, NULL},
		{"init is all or nothing", init_is_all_or_nothing, NULL},
		{"INV-3.5 valid at every instant of the switch", valid_at_every_instant, NULL},
		{"a slot changes its frame", a_slot_changes_its_frame, NULL},
		{"INV-3.5 carry is all or nothing", carry_is_all_or_nothing, NULL},
		{"adopted slots are not stomped on", adopted_slots_are_not_stomped_on, NULL},
#ifndef TESTS_ON_MACHINE /* its tables are in the program's own memory, which no machine walks */
		{"works from a static buffer", works_from_a_static_buffer, NULL},
#endif
	};

	return bare_cases_run("reach_fixmap", cases, COUNT_OF(cases));
}
