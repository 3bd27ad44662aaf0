/* SPDX-License-Identifier: MIT */
/*
 * The machine and its CPUs: configuration, registers, and which roots and tags each CPU ran with
 * and when.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static const struct sim_walker *walker_of(enum sim_arch arch)
{
	switch (arch) {
	case SIM_X86_64: return &sim_walker_x86_64;
	case SIM_X86_PAE: return &sim_walker_x86_pae;
	case SIM_X86_TWO_LEVEL: return &sim_walker_x86_two_level;
	case SIM_ARM64: return &sim_walker_arm64;
	case SIM_RISCV: return &sim_walker_riscv;
	case SIM_FAKE: return &sim_walker_fake;
	}
	return NULL;
}

void sim_config_init(struct sim_config *config, enum sim_arch arch)
{
	struct sim_registers *r = &config->registers;

	*config = (struct sim_config){
		.arch = arch,
		.cpus = 1,
		.memory = UINT64_C(1) << 40,
		.seed = 1,
	};
	config->policy.judge_dirty_flush = true;
	switch (arch) {
	case SIM_X86_64:
	case SIM_X86_PAE:
	case SIM_X86_TWO_LEVEL:
		r->levels = arch == SIM_X86_64 ? 4 : arch == SIM_X86_PAE ? 3 : 2;
		r->physical_bits = arch == SIM_X86_TWO_LEVEL ? 40 : 46;
		if (arch == SIM_X86_TWO_LEVEL)
			config->memory = UINT64_C(1) << 32;
		r->nxe = arch != SIM_X86_TWO_LEVEL;
		r->pse = r->pse36 = r->gigabyte_leaves = true;
		r->pcide = arch == SIM_X86_64;
		r->pge = r->wp = true;
		r->pat = UINT64_C(0x0007040600070406);
		break;
	case SIM_ARM64:
		r->physical_bits = 48;
		r->granule_shift = 12;
		r->t0sz = r->t1sz = 16;
		r->ha = r->hd = true;
		/* attributes 0 to 5: write-back, device nGnRE, nGnRnE, non-cacheable,
		 * write-through, tagged */
		r->mair = UINT64_C(0x0000f0bb440004ff);
		break;
	case SIM_RISCV:
		r->levels = 4;
		r->physical_bits = 56;
		r->svnapot = r->svpbmt = r->svinval = r->adue = true;
		r->sum = true;
		break;
	case SIM_FAKE:
		r->levels = 4;
		r->physical_bits = 44;
		r->ha = r->fake_hierarchical = true;
		config->memory = UINT64_C(1) << 44;
		break;
	}
}

static const char *config_error(const struct sim_config *c)
{
	const struct sim_registers *r = &c->registers;

	if (c->cpus < 1 || c->cpus > 4096)
		return "cpus must be 1 to 4096";
	if (c->devices > 64)
		return "devices must be at most 64";
	if (c->memory < (UINT64_C(1) << 20) || c->memory > SIM_MEMORY_LIMIT)
		return "memory must be 1 MiB to 64 TiB";
	if (!walker_of(c->arch))
		return "this architecture does not exist";
	if (c->arch == SIM_X86_64 && r->levels != 4 && r->levels != 5)
		return "x86_64 has 4 or 5 levels";
	if (c->arch == SIM_RISCV && (r->levels < 3 || r->levels > 5))
		return "riscv has 3, 4 or 5 levels";
	if (c->arch == SIM_ARM64) {
		unsigned least = (r->ds && r->granule_shift != 16) ||
				 (r->granule_shift == 16 && r->lpa) ? 12 : 16;

		if (r->granule_shift != 12 && r->granule_shift != 14 && r->granule_shift != 16)
			return "granule_shift must be 12, 14 or 16";
		if (r->t0sz < least || r->t0sz > 39 || r->t1sz < least || r->t1sz > 39)
			return "t0sz and t1sz must be 16 to 39 (12 to 39 with 52-bit addresses)";
		if (r->bbm_level > 2)
			return "bbm_level must be 0, 1 or 2";
		if (r->hd && !r->ha)
			return "hd needs ha";
	}
	return NULL;
}

struct sim *sim_create(const struct sim_config *config)
{
	const char *error = config_error(config);
	struct sim *sim;

	if (error) {
		fprintf(stderr, "sim_create: %s\n", error);
		return NULL;
	}
	sim = calloc(1, sizeof(*sim));
	if (!sim)
		return NULL;
	sim->config = *config;
	sim->walker = walker_of(config->arch);
	sim->width = sim->walker->width;
	sim->random = config->seed * UINT64_C(0x9e3779b97f4a7c15) + 1u;
	sim->agents = config->cpus + config->devices;
	sim->now = 1;
	sim->lazy_stores = config->arch == SIM_ARM64 || config->arch == SIM_RISCV;
	sim->record_free = SIM_NONE;
	sim->prune_at = 1024;
	sim->trace_size = 64;
	while (sim->trace_size < (config->trace_events ? config->trace_events : 4096))
		sim->trace_size *= 2;
	sim->trace = calloc((size_t)sim->trace_size, sizeof(*sim->trace));
	sim->cpu = calloc(sim->agents, sizeof(*sim->cpu));
	if (!sim->trace || !sim->cpu || !sim_memory_create(sim)) {
		sim_destroy(sim);
		return NULL;
	}
	for (unsigned i = 0; i < sim->agents; i++) {
		sim->cpu[i].registers = config->registers;
		sim->cpu[i].device = i >= config->cpus;
		sim->cpu[i].unsynchronised = SIM_FOREVER;
	}
	return sim;
}

void sim_destroy(struct sim *sim)
{
	if (!sim)
		return;
	for (unsigned i = 0; sim->cpu && i < sim->agents; i++) {
		free(sim->cpu[i].tags);
		free(sim->cpu[i].contexts);
		free(sim->cpu[i].log.entries);
		free(sim->cpu[i].unseen);
		free(sim->cpu[i].pending.list);
		free(sim->cpu[i].half_done.list);
	}
	if (sim->top)
		sim_memory_destroy(sim);
	free(sim->cpu);
	free(sim->records);
	free(sim->frames);
	free(sim->broadcast_tags);
	free(sim->broadcast_log.entries);
	free(sim->trace);
	free(sim);
}

bool sim_root_in_registers(const struct sim *sim)
{
	return sim->walker->root_in_registers &&
	       sim->walker->root_in_registers(&sim->config.registers);
}

const struct sim_config *sim_config(const struct sim *sim)
{
	return &sim->config;
}

struct sim_registers *sim_registers(struct sim *sim, unsigned cpu)
{
	return &sim->cpu[cpu].registers;
}

uint64_t sim_steps(const struct sim *sim)
{
	return sim->steps;
}

uint64_t sim_now(const struct sim *sim)
{
	return sim->now;
}

uint64_t sim_random(struct sim *sim)
{
	/* xorshift64* */
	sim->random ^= sim->random >> 12;
	sim->random ^= sim->random << 25;
	sim->random ^= sim->random >> 27;
	return sim->random * UINT64_C(0x2545f4914f6cdd1d);
}

/* ---- spans of time ----------------------------------------------------------------------- */

static void interval_open(struct sim_intervals *active, uint64_t now)
{
	if (active->count && active->end[active->count - 1u] == SIM_FOREVER)
		return;
	if (active->count == SIM_INTERVALS) {
		/* The two oldest become one: more than there was, never less. */
		active->end[0] = active->end[1];
		memmove(&active->start[1], &active->start[2],
			(SIM_INTERVALS - 2u) * sizeof(active->start[0]));
		memmove(&active->end[1], &active->end[2],
			(SIM_INTERVALS - 2u) * sizeof(active->end[0]));
		active->count--;
	}
	active->start[active->count] = now;
	active->end[active->count++] = SIM_FOREVER;
}

static void interval_close(struct sim_intervals *active, uint64_t now)
{
	if (active->count && active->end[active->count - 1u] == SIM_FOREVER)
		active->end[active->count - 1u] = now;
}

/* The first moment not before t that lies in one of the spans; SIM_FOREVER: none. */
uint64_t sim_active_from(const struct sim_intervals *active, uint64_t t)
{
	for (uint32_t i = 0; i < active->count; i++)
		if (active->end[i] > t)
			return active->start[i] > t ? active->start[i] : t;
	return SIM_FOREVER;
}

/* ---- roots and tags ---------------------------------------------------------------------- */

static void *grow(void *array, uint32_t *room, size_t size)
{
	*room = *room ? 2 * *room : 4;
	array = realloc(array, *room * size);
	if (!array) {
		fprintf(stderr, "sim: the host is out of memory\n");
		abort();
	}
	return array;
}

struct sim_tag *sim_tag_of(struct sim_cpu *cpu, uint32_t asid)
{
	if (cpu->tag_current < cpu->tag_count && cpu->tags[cpu->tag_current].asid == asid)
		return &cpu->tags[cpu->tag_current];
	for (uint32_t i = 0; i < cpu->tag_count; i++)
		if (cpu->tags[i].asid == asid)
			return &cpu->tags[i];
	if (cpu->tag_count == cpu->tag_room)
		cpu->tags = grow(cpu->tags, &cpu->tag_room, sizeof(*cpu->tags));
	cpu->tags[cpu->tag_count] = (struct sim_tag){.asid = asid};
	return &cpu->tags[cpu->tag_count++];
}

/* A context that is not current and of which nothing can be left: what was cached under it was
 * invalidated since it last ran. */
static bool context_dead(const struct sim *sim, struct sim_cpu *cpu,
			 const struct sim_context *context)
{
	const struct sim_intervals *active = &context->active;
	uint64_t end = active->count ? active->end[active->count - 1u] : 0;
	uint64_t gone = cpu->all_global.latest;

	if (!cpu->device && sim->broadcast_all_global.latest > gone)
		gone = sim->broadcast_all_global.latest;
	if (end == SIM_FOREVER)
		return false;
	if (!sim->any_global) {
		struct sim_tag *tag = sim_tag_of(cpu, context->tag);

		if (cpu->all.latest > gone)
			gone = cpu->all.latest;
		if (tag->all.latest > gone)
			gone = tag->all.latest;
	}
	return end <= gone;
}

static uint32_t context_of(struct sim *sim, struct sim_cpu *cpu, unsigned half, uint64_t root,
			   uint32_t asid)
{
	for (uint32_t i = 0; i < cpu->context_count; i++) {
		struct sim_context *context = &cpu->contexts[i];

		if (context->root == root && context->tag == asid && context->half == half)
			return i;
	}
	for (uint32_t i = 0; i < cpu->context_count;) {
		if (context_dead(sim, cpu, &cpu->contexts[i])) {
			cpu->contexts[i] = cpu->contexts[--cpu->context_count];
			/* The other half's may have been the one that moved. */
			for (unsigned h = 0; h < 2; h++)
				if (cpu->context_current[h] == cpu->context_count)
					cpu->context_current[h] = i;
		} else {
			i++;
		}
	}
	if (cpu->context_count == cpu->context_room)
		cpu->contexts = grow(cpu->contexts, &cpu->context_room, sizeof(*cpu->contexts));
	cpu->contexts[cpu->context_count] =
		(struct sim_context){.root = root, .tag = asid, .half = half};
	return cpu->context_count++;
}

static void leave(struct sim *sim, struct sim_cpu *cpu, unsigned half)
{
	if (!cpu->running[half])
		return;
	interval_close(&cpu->contexts[cpu->context_current[half]].active, sim->now);
	cpu->running[half] = false;
}

static void enter(struct sim *sim, struct sim_cpu *cpu, unsigned half, uint64_t root)
{
	uint32_t index = context_of(sim, cpu, half, root, cpu->asid);

	cpu->context_current[half] = index;
	cpu->root[half] = root;
	cpu->running[half] = true;
	interval_open(&cpu->contexts[index].active, sim->now);
}

/* From this moment the CPU walks `root`. A tag change of one half is one of both. */
void sim_cpu_switch(struct sim *sim, unsigned number, unsigned half, uint64_t root, uint32_t asid)
{
	struct sim_cpu *cpu = &sim->cpu[number];
	unsigned other = !half;
	bool retag = cpu->asid != asid && cpu->running[other];
	struct sim_event *event;

	sim->now++;
	sim->steps++;
	sim->pointer_death = sim->now;
	event = sim_trace(sim, SIM_EVENT_ROOT, number);
	event->a = root;
	event->b = asid;
	event->d = (uint8_t)half;
	sim_table_register(sim, root, sim->walker->levels(&cpu->registers, half) - 1u,
			   half ? ~UINT64_C(0) << (64 - cpu->registers.t1sz)
				: sim->config.arch == SIM_FAKE && cpu->registers.fake_high_half
					  ? ~UINT64_C(0) << 42
					  : 0);
	leave(sim, cpu, half);
	if (retag)
		leave(sim, cpu, other);
	if (cpu->asid != asid) {
		if (cpu->tag_count)
			interval_close(&sim_tag_of(cpu, cpu->asid)->active, sim->now);
		cpu->asid = asid;
	}
	interval_open(&sim_tag_of(cpu, asid)->active, sim->now);
	cpu->tag_current = (uint32_t)(sim_tag_of(cpu, asid) - cpu->tags);
	enter(sim, cpu, half, root);
	if (retag)
		enter(sim, cpu, other, cpu->root[other]);
}

/* ---- stores that walkers do not see yet -------------------------------------------------- */

/* The CPU's earlier stores are visible to its own walker from now on. */
void sim_stores_seen_here(struct sim *sim, unsigned number)
{
	struct sim_cpu *cpu = &sim->cpu[number];

	if (cpu->unseen_here < cpu->unseen_count)
		sim->pointer_death = sim->now;
	for (; cpu->unseen_here < cpu->unseen_count; cpu->unseen_here++) {
		struct sim_record *record = &sim->records[cpu->unseen[cpu->unseen_here]];

		if (record->live && record->to_here == SIM_FOREVER)
			record->to_here = sim->now;
	}
}

/* The CPU's earlier stores are visible to every walker from now on. */
void sim_stores_seen(struct sim *sim, unsigned number)
{
	struct sim_cpu *cpu = &sim->cpu[number];

	if (cpu->unseen_count)
		sim->pointer_death = sim->now;
	for (uint32_t i = 0; i < cpu->unseen_count; i++) {
		struct sim_record *record = &sim->records[cpu->unseen[i]];

		if (!record->live || record->to != SIM_FOREVER)
			continue;
		record->to = sim->now;
		if (record->to_here == SIM_FOREVER)
			record->to_here = sim->now;
		/* Seen by walkers at most until now, and not kept by any. */
		if (!record->cacheable)
			sim_record_release(sim, cpu->unseen[i]);
	}
	cpu->unseen_count = 0;
	cpu->unseen_here = 0;
}

void sim_riscv_fence(struct sim *sim, unsigned cpu)
{
	struct sim_event *event;

	sim->now++;
	event = sim_trace(sim, SIM_EVENT_BARRIER, cpu);
	event->d = 'F';
	sim_stores_seen(sim, cpu);
}

void sim_on_error(struct sim *sim, void (*hook)(void *context, struct sim *sim), void *context)
{
	sim->on_error = hook;
	sim->on_error_context = context;
}

void sim_share_range(struct sim *sim, uint64_t first, uint64_t last)
{
	if (sim->shares < 8) {
		sim->shared[sim->shares].first = first;
		sim->shared[sim->shares++].last = last;
	}
}

void sim_reader_enter(struct sim *sim, unsigned cpu)
{
	if (sim->cpu[cpu].readers++ == 0) {
		sim->cpu[cpu].reader_since = ++sim->now;
		sim_trace(sim, SIM_EVENT_READER, cpu)->d = 1;
	}
}

void sim_reader_exit(struct sim *sim, unsigned cpu)
{
	if (--sim->cpu[cpu].readers == 0) {
		sim->now++;
		sim_trace(sim, SIM_EVENT_READER, cpu)->d = 0;
	}
}

bool sim_reader_active(const struct sim *sim, uint64_t since)
{
	for (unsigned i = 0; i < sim->config.cpus; i++)
		if (sim->cpu[i].readers && sim->cpu[i].reader_since <= since)
			return true;
	return false;
}
