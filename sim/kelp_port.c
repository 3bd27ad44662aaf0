/* SPDX-License-Identifier: MIT */
/*
 * Kelp on the simulated machine. This is the only file of the simulator that knows the library.
 */
#include "kelp_port.h"

#include <stdlib.h>
#include <string.h>

#include "../arch/arm64/arm64.h"
#include "../arch/fake/format.h"
#include "hw.h"
#include "internal.h"

static _Thread_local struct {
	struct sim *sim;
	unsigned cpu;
	enum sim_kelp_fault fault;
	unsigned pages; /* single invalidations in the current batch */
} current;

void sim_kelp_run_as(struct sim *sim, unsigned cpu)
{
	current.sim = sim;
	current.cpu = cpu;
}

unsigned sim_kelp_cpu(void)
{
	return current.cpu;
}

/* ---- entries -------------------------------------------------------------------------------- */

/* Not every word that the library goes to with these is an entry: its own counters are the
 * host's memory and nothing to the machine. */
static bool is_entry(const void *slot, uint64_t *pa)
{
	return current.sim && sim_physical(current.sim, slot, pa);
}

uint64_t sim_kelp_load(const void *slot, unsigned width)
{
	uint64_t pa;

	if (is_entry(slot, &pa))
		return sim_entry_read(current.sim, current.cpu, pa, width);
	return width == 4 ? __atomic_load_n((const uint32_t *)slot, __ATOMIC_ACQUIRE)
			  : __atomic_load_n((const uint64_t *)slot, __ATOMIC_ACQUIRE);
}

void sim_kelp_store(void *slot, uint64_t value, unsigned width)
{
	uint64_t pa;

	if (is_entry(slot, &pa))
		sim_entry_write(current.sim, current.cpu, pa, value, width);
	else if (width == 4)
		__atomic_store_n((uint32_t *)slot, (uint32_t)value, __ATOMIC_RELEASE);
	else
		__atomic_store_n((uint64_t *)slot, value, __ATOMIC_RELEASE);
}

bool sim_kelp_swap(void *slot, uint64_t *expected, uint64_t desired, unsigned width)
{
	uint32_t narrow = (uint32_t)*expected;
	uint64_t pa;
	bool done;

	if (is_entry(slot, &pa))
		return sim_entry_swap(current.sim, current.cpu, pa, expected, desired, width);
	if (width != 4)
		return __atomic_compare_exchange_n((uint64_t *)slot, expected, desired, false,
						   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	done = __atomic_compare_exchange_n((uint32_t *)slot, &narrow, (uint32_t)desired, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	*expected = narrow;
	return done;
}

void sim_kelp_fill(void *slot, unsigned count, uint64_t value, uint64_t step, unsigned width)
{
	uint64_t pa;

	if (is_entry(slot, &pa)) {
		sim_entry_fill(current.sim, current.cpu, pa, count, value, step, width);
		return;
	}
	for (unsigned i = 0; i < count; i++, value += step)
		sim_kelp_store((uint8_t *)slot + (size_t)i * width, value, width);
}

/* ---- invalidation: the instructions that arch/<a>/hw.h uses --------------------------------- */

static enum sim_arch arch(void)
{
	return current.sim->config.arch;
}

static const struct sim_cpu *cpu(void)
{
	return &current.sim->cpu[current.cpu];
}

void sim_kelp_published(void)
{
	if (!current.sim || current.fault == SIM_KELP_SKIP_BARRIER)
		return;
	if (arch() == SIM_ARM64) {
		sim_arm64_dsb(current.sim, current.cpu);
		sim_arm64_isb(current.sim, current.cpu);
	} else if (arch() == SIM_RISCV) {
		sim_riscv_fence(current.sim, current.cpu);
	}
}

void sim_kelp_invalidate_begin(void)
{
	current.pages = 0;
	if (current.fault == SIM_KELP_SKIP_BARRIER)
		return;
	if (arch() == SIM_ARM64) {
		sim_arm64_dsb(current.sim, current.cpu);
	} else if (arch() == SIM_RISCV) {
		sim_riscv_fence(current.sim, current.cpu);
		if (cpu()->registers.svinval)
			sim_riscv_sfence_w_inval(current.sim, current.cpu);
	}
}

void sim_kelp_invalidate_end(void)
{
	if (current.fault == SIM_KELP_SKIP_BARRIER)
		return;
	if (arch() == SIM_ARM64) {
		sim_arm64_dsb(current.sim, current.cpu);
		sim_arm64_isb(current.sim, current.cpu);
	} else if (arch() == SIM_RISCV && cpu()->registers.svinval) {
		sim_riscv_sfence_inval_ir(current.sim, current.cpu);
	}
}

static void x86_everything(void)
{
	sim_x86_invpcid(current.sim, current.cpu, 2, 0, 0);
}

/* Tables that hang in every root are cached under every PCID. */
static bool x86_in_every_pcid(const struct kelp_space *space, uint32_t flags)
{
	const uint32_t shared = KELP_FLUSH_GLOBAL | KELP_FLUSH_TABLES;

	return space->asid == UINT32_MAX || (flags & shared) == shared;
}

static void x86_page(const struct kelp_space *space, kelp_vaddr_t va, uint32_t flags)
{
	sim_x86_invlpg(current.sim, current.cpu, va);
	if (!cpu()->registers.pcide)
		return;
	if (x86_in_every_pcid(space, flags))
		x86_everything();
	else if (space->asid != cpu()->asid)
		sim_x86_invpcid(current.sim, current.cpu, 0, space->asid, va);
}

static void x86_all(const struct kelp_space *space, uint32_t flags)
{
	uint64_t cr3 = cpu()->root[0] | (cpu()->registers.pcide ? cpu()->asid : 0);

	if (arch() == SIM_X86_64 && !cpu()->running[0])
		return;
	if (flags & KELP_FLUSH_GLOBAL || x86_in_every_pcid(space, flags)) {
		if (arch() == SIM_X86_64) {
			x86_everything();
		} else {
			sim_x86_set_pge(current.sim, current.cpu, false);
			sim_x86_set_pge(current.sim, current.cpu, true);
		}
		if (!(flags & KELP_FLUSH_ROOT))
			return;
	}
	if (cpu()->running[0])
		sim_x86_write_cr3(current.sim, current.cpu, cr3);
	if (cpu()->registers.pcide && space->asid != cpu()->asid)
		sim_x86_invpcid(current.sim, current.cpu, 1, space->asid, 0);
}

/* The address translates through TTBR1_EL1: walked under whatever ASID runs. */
static bool arm64_every_asid(const struct kelp_space *space, uint32_t flags)
{
	return (flags & KELP_FLUSH_GLOBAL) || space->format->va_first[0] >> 63;
}

/* The largest entry that is no larger than 2^shift. */
static unsigned leaf_shift(const struct kelp_format *format, unsigned shift)
{
	unsigned level = 0;

	while (level + 1u < format->levels && format->shift[level + 1u] <= shift)
		level++;
	return format->shift[level];
}

static void arm64_page(const struct kelp_space *space, kelp_vaddr_t va, unsigned shift,
		       uint32_t flags)
{
	const struct kelp_format *format = space->format;
	bool every = arm64_every_asid(space, flags);
	bool tables = flags & KELP_FLUSH_TABLES;
	unsigned leaf = leaf_shift(format, shift);

	for (uint64_t i = 0; i < UINT64_C(1) << (shift - leaf); i++) {
		uint64_t at = va + (i << leaf);
		uint64_t operand = (every ? 0 : (uint64_t)space->asid << 48) |
				   (at >> 12 & ((UINT64_C(1) << 44) - 1u));

		sim_arm64_tlbi(current.sim, current.cpu,
			       every ? (tables ? SIM_TLBI_VAAE1 : SIM_TLBI_VAALE1)
				     : (tables ? SIM_TLBI_VAE1 : SIM_TLBI_VALE1),
			       operand, true);
	}
}

static void riscv_fence(bool has_va, kelp_vaddr_t va, uint32_t asid)
{
	if (cpu()->registers.svinval)
		sim_riscv_sinval_vma(current.sim, current.cpu, has_va, va, asid);
	else
		sim_riscv_sfence_vma(current.sim, current.cpu, has_va, va, asid);
}

static void riscv_page(const struct kelp_space *space, kelp_vaddr_t va, unsigned shift,
		       uint32_t flags)
{
	bool every = (flags & KELP_FLUSH_GLOBAL) || space->asid == UINT32_MAX;
	uint32_t asid = every ? SIM_RISCV_ALL_ASIDS : space->asid;

	if (flags & KELP_FLUSH_TABLES) {
		riscv_fence(false, 0, asid);
		return;
	}
	for (unsigned i = 0; i < (shift == 16 ? 16u : 1u); i++)
		riscv_fence(true, va + 4096u * i, asid);
}

/* One for a leaf, whatever its size; one for each entry of a group. */
static void fake_page(const struct kelp_space *space, kelp_vaddr_t va, unsigned shift,
		      uint32_t flags)
{
	unsigned leaf = leaf_shift(space->format, shift);

	for (uint64_t i = 0; i < UINT64_C(1) << (shift - leaf); i++) {
		if (flags & KELP_FLUSH_TABLES)
			sim_fake_invalidate_page(current.sim, current.cpu, va + (i << leaf));
		else
			sim_fake_invalidate_leaf(current.sim, current.cpu, va + (i << leaf));
	}
}

static uint32_t weakened(uint32_t flags)
{
	if (current.fault == SIM_KELP_SKIP_TABLES)
		flags &= ~KELP_FLUSH_TABLES;
	if (current.fault == SIM_KELP_SKIP_GLOBAL)
		flags &= ~KELP_FLUSH_GLOBAL;
	return flags;
}

void sim_kelp_invalidate_page(const struct kelp_space *space, kelp_vaddr_t va, unsigned shift,
			      uint32_t flags)
{
	flags = weakened(flags);
	if (current.fault == SIM_KELP_HALF_RANGE && current.pages++ % 2u)
		return;
	switch (arch()) {
	case SIM_X86_64:
	case SIM_X86_PAE:
	case SIM_X86_TWO_LEVEL:
		x86_page(space, va, flags);
		break;
	case SIM_ARM64:
		arm64_page(space, va, shift, flags);
		break;
	case SIM_RISCV:
		riscv_page(space, va, shift, flags);
		break;
	case SIM_FAKE:
		fake_page(space, va, shift, flags);
		break;
	}
}

void sim_kelp_invalidate_all(const struct kelp_space *space, uint32_t flags)
{
	bool every = (flags & KELP_FLUSH_GLOBAL) || space->asid == UINT32_MAX;

	flags = weakened(flags);
	switch (arch()) {
	case SIM_X86_64:
	case SIM_X86_PAE:
	case SIM_X86_TWO_LEVEL:
		x86_all(space, flags);
		break;
	case SIM_ARM64:
		sim_arm64_tlbi(current.sim, current.cpu,
			       arm64_every_asid(space, flags) ? SIM_TLBI_VMALLE1 : SIM_TLBI_ASIDE1,
			       (uint64_t)space->asid << 48, true);
		break;
	case SIM_RISCV:
		riscv_fence(false, 0, every ? SIM_RISCV_ALL_ASIDS : space->asid);
		break;
	case SIM_FAKE:
		/* First the root: what a register still had could be cached again. */
		if (flags & KELP_FLUSH_ROOT && cpu()->running[0])
			sim_fake_write_root(current.sim, current.cpu, cpu()->root[0], cpu()->asid);
		sim_fake_invalidate_all(current.sim, current.cpu);
		break;
	}
}

/* ---- the port ------------------------------------------------------------------------------- */

static void *table_pointer(void *context, kelp_paddr_t address)
{
	struct sim_kelp_port *port = context;

	return sim_pointer(port->sim, address);
}

static bool table_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address)
{
	struct sim_kelp_port *port = context;

	port->takes++;
	if (port->fail_at && (--port->fail_at == 0)) {
		port->failed++;
		if (port->fail_for_ever)
			port->fail_at = 1;
		return false;
	}
	if (!sim_page_take(port->sim, size, limit, address))
		return false;
	port->live++;
	return true;
}

static void table_give(void *context, size_t size, kelp_paddr_t address)
{
	struct sim_kelp_port *port = context;

	port->gives++;
	port->live--;
	sim_page_free(port->sim, current.cpu, address, size);
}

static void execute_on(struct sim_kelp_port *port, unsigned number,
		       const struct kelp_flush_request *request)
{
	unsigned self = current.cpu;

	current.cpu = number;
	if (port->fault != SIM_KELP_SKIP_LOCAL || number != self)
		kelp_flush_execute(request);
	current.cpu = self;
}

static void shootdown(void *context, const struct kelp_flush_request *request)
{
	struct sim_kelp_port *port = context;
	unsigned cpus = port->sim->config.cpus, self = current.cpu;
	/* Acknowledgements come in any order: start anywhere, go either way. */
	unsigned start = (unsigned)(sim_random(port->sim) % cpus);
	bool back = sim_random(port->sim) & 1u;

	port->shootdowns++;
	if (port->fault == SIM_KELP_SKIP_REMOTE)
		return;
	if (port->fault == SIM_KELP_EARLY_RETURN) {
		port->late = *request;
		port->is_late = true;
		return;
	}
	for (unsigned i = 0; i < cpus; i++) {
		unsigned target = (start + (back ? cpus - i : i)) % cpus;

		if (target == self ||
		    (port->fault == SIM_KELP_SKIP_ONE_CPU && target == (self + 1u) % cpus))
			continue;
		if (port->between) {
			port->between(port->between_context, target);
			sim_kelp_run_as(port->sim, self);
		}
		execute_on(port, target, request);
	}
}

void sim_kelp_deliver(struct sim_kelp_port *port)
{
	if (!port->is_late)
		return;
	port->is_late = false;
	for (unsigned i = 0; i < port->sim->config.cpus; i++)
		if (i != current.cpu)
			execute_on(port, i, &port->late);
}

static void log_line(void *context, const char *line)
{
	(void)context;
	fprintf(stderr, "kelp: %s\n", line);
}

static void panic(void *context, const char *what, const char *where)
{
	struct sim_kelp_port *port = context;

	snprintf(port->panic, sizeof(port->panic), "%s (%s)", what, where);
	port->panicked = true;
	if (port->on_panic)
		port->on_panic(port->panic_context);
	fprintf(stderr, "kelp panics: %s\n", port->panic);
	abort();
}

void sim_kelp_port_init(struct sim_kelp_port *port, struct sim *sim)
{
	*port = (struct sim_kelp_port){
		.sim = sim,
		.port = {
			.context = port,
			.table_pointer = table_pointer,
			.table_take = table_take,
			.table_give = table_give,
			.shootdown = sim->config.arch == SIM_ARM64 ? NULL : shootdown,
			.log = log_line,
			.panic = panic,
		},
	};
	current.fault = SIM_KELP_NO_FAULT;
	sim_kelp_run_as(sim, 0);
}

void sim_kelp_set_fault(struct sim_kelp_port *port, enum sim_kelp_fault fault)
{
	port->fault = fault;
	current.fault = fault;
}

/* ---- formats ---------------------------------------------------------------------------------- */

static enum sim_arch arch_of(const struct kelp_format *format)
{
	static const struct {
		const char *prefix;
		enum sim_arch arch;
	} names[] = {
		{"x86_64", SIM_X86_64}, {"x86_pae", SIM_X86_PAE},
		{"x86_two_level", SIM_X86_TWO_LEVEL}, {"arm64", SIM_ARM64},
		{"riscv64", SIM_RISCV}, {"fake", SIM_FAKE},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(format->name, names[i].prefix, strlen(names[i].prefix)) == 0)
			return names[i].arch;
	return SIM_FAKE;
}

/* Memory types: the registers that give the format's indices their meaning. */
static uint64_t pat_of(const struct kelp_format *format)
{
	static const uint8_t fields[KELP_MEMORY_TYPES] = {
		[KELP_TYPE_NORMAL] = 6, [KELP_TYPE_WRITE_THROUGH] = 4,
		[KELP_TYPE_WRITE_COMBINE] = 1, [KELP_TYPE_DEVICE] = 0,
		[KELP_TYPE_WRITE_PROTECT] = 5, [KELP_TYPE_UNCACHED] = 7,
	};
	uint64_t pat = 0;

	for (unsigned i = 0; i < 8; i++)
		pat |= (uint64_t)fields[format->index_to_type[i] & 7u] << (8 * i);
	return pat;
}

static uint64_t mair_of(const struct kelp_format *format)
{
	static const uint8_t fields[KELP_MEMORY_TYPES] = {
		[KELP_TYPE_NORMAL] = 0xff, [KELP_TYPE_WRITE_THROUGH] = 0xbb,
		[KELP_TYPE_WRITE_COMBINE] = 0x44, [KELP_TYPE_DEVICE] = 0x04,
		[KELP_TYPE_DEVICE_STRICT] = 0x00, [KELP_TYPE_TAGGED] = 0xf0,
	};
	uint64_t mair = 0;

	for (unsigned i = 0; i < 8; i++)
		mair |= (uint64_t)fields[format->index_to_type[i] & 7u] << (8 * i);
	return mair;
}

bool sim_kelp_config(struct sim_config *config, const struct kelp_format *format)
{
	enum sim_arch which = arch_of(format);
	struct sim_registers *r = &config->registers;
	uint64_t memory;

	sim_config_init(config, which);
	memory = UINT64_C(1) << (format->pa_bits < 46 ? format->pa_bits : 46);
	config->memory = memory;
	r->levels = format->levels;
	r->physical_bits = format->pa_bits;
	r->encryption_mask = format->encryption_bit;
	switch (which) {
	case SIM_X86_64:
	case SIM_X86_PAE:
	case SIM_X86_TWO_LEVEL:
		r->nxe = !(format->attr_always & KELP_ATTR_EXEC);
		r->gigabyte_leaves = format->leaf_sizes >> 30 & 1u;
		r->pse = format->leaf_sizes >> 22 & 1u;
		r->pse36 = which == SIM_X86_TWO_LEVEL && format->pa_bits > 32;
		r->pat = pat_of(format);
		break;
	case SIM_ARM64:
		r->granule_shift = format->page_shift;
		r->t0sz = r->t1sz = 64u - format->va_bits;
		r->ds = format->page_shift != 16 && (format->features & KELP_ARM64_WIDE);
		r->lpa = format->page_shift == 16 && (format->features & KELP_ARM64_WIDE);
		r->mair = mair_of(format);
		r->bbm_level = format->bbm_level;
		r->ha = format->hardware_accessed;
		r->hd = format->hardware_dirty;
		break;
	case SIM_RISCV:
		r->svnapot = format->groups;
		r->svpbmt = format->type_to_index[KELP_TYPE_WRITE_COMBINE] != KELP_TYPE_ABSENT;
		r->svvptc = !format->caches_invalid;
		r->adue = format->hardware_accessed;
		break;
	case SIM_FAKE:
		r->ha = format->hardware_accessed;
		r->bbm_level = format->bbm_level;
		r->svvptc = !format->caches_invalid;
		r->fake_hierarchical = format->features & KELP_FAKE_HIERARCHICAL;
		r->fake_high_half = format->va_first[0] >> 63;
		r->fake_root_in_registers = format->root_in_registers;
		break;
	}
	return true;
}

void sim_kelp_enter(struct sim *sim, unsigned number, const struct kelp_space *space)
{
	unsigned half = space->format->va_first[0] >> 63;
	uint32_t asid = space->asid == UINT32_MAX ? 0 : space->asid;

	switch (sim->config.arch) {
	case SIM_X86_64:
	case SIM_X86_PAE:
	case SIM_X86_TWO_LEVEL:
		sim_x86_write_cr3(sim, number,
				  kelp_space_root(space) |
					  (sim->cpu[number].registers.pcide ? asid : 0));
		break;
	case SIM_ARM64:
		sim_arm64_write_ttbr(sim, number, half, kelp_space_root(space), asid);
		break;
	case SIM_RISCV:
		sim_riscv_write_satp(sim, number, kelp_space_root(space), asid);
		break;
	case SIM_FAKE:
		sim_fake_write_root(sim, number, kelp_space_root(space), asid);
		break;
	}
}
