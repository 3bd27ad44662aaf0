/* SPDX-License-Identifier: MIT */
/*
 * Verdicts: why a stale translation could survive, who should have removed it, in words.
 */
#include "internal.h"

#include <string.h>

static const struct {
	const char *name, *text;
} errors[SIM_ERRORS] = {
#define E(error, text) [error] = {#error, text}
	E(SIM_OK, "nothing wrong was found"),
	E(SIM_MISSING_LOCAL_FLUSH,
	  "the CPU that changed the entry did not invalidate its own cached copy"),
	E(SIM_MISSING_REMOTE_FLUSH, "another CPU was not told to invalidate its cached copy"),
	E(SIM_FLUSH_BEFORE_WRITE,
	  "the invalidation came before the write, and the old entry was cached again in between"),
	E(SIM_WRONG_ASID, "the invalidation was for another ASID or PCID"),
	E(SIM_GLOBAL_NOT_FLUSHED,
	  "the translation is global, and the invalidation leaves global ones"),
	E(SIM_WRONG_ADDRESS, "the invalidation was for another address"),
	E(SIM_LAST_LEVEL_ONLY,
	  "a table pointer changed, and only last-level entries were invalidated"),
	E(SIM_STALE_WALK_CACHE, "a paging-structure cache still points to a table that was unlinked"),
	E(SIM_ASID_REUSED,
	  "an address space got a tag of which another one's translations are still cached"),
	E(SIM_MISSING_DSB, "the invalidation was issued and never completed by a barrier"),
	E(SIM_MISSING_BARRIER,
	  "the store to the table was not yet visible to walkers when it was relied on"),
	E(SIM_MISSING_ISB,
	  "the CPU did not synchronise its own context after the invalidation completed"),
	E(SIM_MISSING_FENCE, "the entry was made valid, and its invalid state may still be cached"),
	E(SIM_ROOT_NOT_RELOADED,
	  "the root's entries live in registers, which were not loaded again"),
	E(SIM_DEVICE_NOT_TOLD, "a device caches translations of these tables and was not told"),
	E(SIM_HARDWARE_FAULTY,
	  "the manual says that the translation is gone; this machine has a fault and keeps it"),
	E(SIM_TABLE_FREED, "a table page was freed while a CPU may still walk it"),
	E(SIM_TABLE_LINKED, "a table page was freed while the tables still point to it"),
	E(SIM_FREED_UNDER_READER, "a table page was freed while a software walker may stand in it"),
	E(SIM_WALK_OF_FREED_TABLE, "software touched a table page that is freed"),
	E(SIM_FRAME_REUSED,
	  "a frame got a new owner while a CPU may still reach it through an old translation"),
	E(SIM_BREAK_BEFORE_MAKE,
	  "a valid entry was made while a CPU may hold a different valid one: break before make"),
	E(SIM_DIRTY_LOST, "a store overwrote the dirty bit that hardware had set"),
	E(SIM_DIRTY_UNFLUSHED,
	  "the dirty bit was cleared without an invalidation: a later store is not recorded"),
	E(SIM_SPURIOUS_FAULT, "a cached translation permits less than the tables do"),
	E(SIM_NOT_EXPECTED, "the tables do not say what was to hold at every instant"),
	E(SIM_TYPE_ALIAS, "a frame is mapped twice with different memory types"),
	E(SIM_FORBIDDEN_FRAME, "a mapping gives an access that was declared forbidden"),
	E(SIM_ROOT_NOT_PROPAGATED, "an address range that all roots share differs between them"),
	E(SIM_MALFORMED_TABLES, "entries of a group contradict each other"),
#undef E
};

const char *sim_error_name(enum sim_error error)
{
	return error < SIM_ERRORS && errors[error].name ? errors[error].name : "SIM_?";
}

const char *sim_error_text(enum sim_error error)
{
	return error < SIM_ERRORS && errors[error].text ? errors[error].text
							: "this error does not exist";
}

enum sim_error sim_error(const struct sim *sim)
{
	return sim->verdict.error;
}

const struct sim_verdict *sim_verdict(const struct sim *sim)
{
	return &sim->verdict;
}

void sim_clear_error(struct sim *sim)
{
	sim->verdict = (struct sim_verdict){0};
}

void sim_fail(struct sim *sim, const struct sim_verdict *verdict)
{
	if (sim->verdict.error != SIM_OK)
		return;
	sim->verdict = *verdict;
	sim_trace(sim, SIM_EVENT_ERROR, verdict->cpu)->a = verdict->error;
	if (sim->on_error)
		sim->on_error(sim->on_error_context, sim);
}

/* ---- diagnosis ----------------------------------------------------------------------------- */

/* The stale entry on a member's path, and what is known of it. */
struct cause {
	struct sim *sim;
	const struct sim_cpu *cpu;
	const struct sim_member *member;
	const struct sim_record *record;
	unsigned level;
	unsigned shift; /* what the stale entry spans */
	bool pointer;
	bool global;
	enum sim_error error;
};

static void suspect(struct cause *cause, enum sim_error error)
{
	/* In the order of how much they explain. */
	static const uint8_t rank[SIM_ERRORS] = {
		[SIM_FLUSH_BEFORE_WRITE] = 1, [SIM_WRONG_ADDRESS] = 2, [SIM_WRONG_ASID] = 3,
		[SIM_LAST_LEVEL_ONLY] = 4, [SIM_GLOBAL_NOT_FLUSHED] = 5, [SIM_MISSING_ISB] = 6,
		[SIM_MISSING_DSB] = 7, [SIM_MISSING_BARRIER] = 8, [SIM_HARDWARE_FAULTY] = 9,
	};

	if (rank[error] > rank[cause->error])
		cause->error = error;
}

static bool reaches_address(const struct cause *cause, const struct sim_invalidation *what)
{
	uint64_t va = cause->member->walk->va;
	unsigned shift = cause->sim->walker->invalidate_reaches_superpage ? cause->shift : 12;

	switch (what->scope) {
	case SIM_SCOPE_PAGE:
		if (cause->pointer && !cause->sim->walker->invalidate_reaches_superpage)
			return true; /* x86: all paging-structure caches */
		return what->va >> shift == va >> shift;
	case SIM_SCOPE_RANGE:
		return va >= what->va && va <= what->last;
	default:
		return true;
	}
}

/* Was something written that this invalidation was meant for? Then it is not a wrong address. */
static bool meant_for_another(const struct cause *cause, const struct sim_invalidation *what)
{
	uint64_t slots[SIM_WALK_DEPTH], values[SIM_WALK_DEPTH];
	struct sim_walk walk;
	unsigned depth;

	sim_walk_now(cause->sim, cause->cpu, what->va, &walk, slots, values, &depth);
	for (unsigned i = 0; i < depth; i++) {
		const struct sim_block *block = sim_block_find(cause->sim, slots[i]);
		const struct sim_slot *slot;

		if (!block)
			continue;
		slot = sim_slot_find(cause->sim, &block->page[slots[i] >> 12 & 15u], slots[i]);
		if (slot && slots[i] != cause->record->slot && slot->from <= what->time &&
		    slot->from > block->page[slots[i] >> 12 & 15u].born &&
		    slot->from + 64u > cause->record->killed)
			return true;
	}
	return false;
}

static void weigh(struct cause *cause, const struct sim_invalidation *what, bool pending)
{
	const struct sim_record *record = cause->record;
	bool address = reaches_address(cause, what);
	bool tag = what->asid == SIM_ANY_TAG || what->asid == cause->member->asid ||
		   (cause->global && what->scope == SIM_SCOPE_PAGE);
	bool depth = !cause->pointer || what->tables;
	bool globals = !cause->global || what->globals;

	if (what->scope == 0xff || what->time == 0)
		return;
	if (what->level != 0xff && what->level != cause->level)
		address = false;
	if (what->time < record->killed) {
		/* Of one address: a flush of everything just before was meant for something else. */
		if (address && tag && depth && globals && !pending &&
		    what->scope != SIM_SCOPE_ALL && what->scope != SIM_SCOPE_TAG &&
		    record->killed - what->time <= 4u && what->time > record->from)
			suspect(cause, SIM_FLUSH_BEFORE_WRITE);
		return;
	}
	if (what->incomplete && address && tag) {
		suspect(cause, SIM_HARDWARE_FAULTY);
		return;
	}
	if (pending) {
		if (address && tag && depth && globals)
			suspect(cause, SIM_MISSING_DSB);
		return;
	}
	if (address && tag && depth && globals && what->time >= cause->cpu->unsynchronised)
		suspect(cause, SIM_MISSING_ISB);
	if (address && !globals)
		suspect(cause, what->manual_globals ? SIM_HARDWARE_FAULTY : SIM_GLOBAL_NOT_FLUSHED);
	else if (address && !tag)
		suspect(cause, SIM_WRONG_ASID);
	else if (address && !depth)
		suspect(cause, SIM_LAST_LEVEL_ONLY);
	else if (!address && what->scope != SIM_SCOPE_ALL && what->scope != SIM_SCOPE_TAG &&
		 !meant_for_another(cause, what))
		suspect(cause, SIM_WRONG_ADDRESS);
}

static void weigh_all(struct cause *cause)
{
	struct sim *sim = cause->sim;
	bool hears = !cause->cpu->device || sim->config.devices_snoop;

	for (unsigned i = 0; i < SIM_RECENT; i++) {
		if (i < cause->cpu->recent_next)
			weigh(cause, &cause->cpu->recent[i], false);
		if (hears && i < sim->recent_next)
			weigh(cause, &sim->recent[i], false);
	}
	for (unsigned c = 0; c < sim->agents; c++) {
		const struct sim_cpu *other = &sim->cpu[c];

		for (uint32_t i = 0; i < other->pending.count; i++)
			if (other == cause->cpu || (hears && other->pending.list[i].broadcast))
				weigh(cause, &other->pending.list[i], true);
	}
}

static const char *remedy(const struct cause *cause)
{
	switch (cause->sim->config.arch) {
	case SIM_X86_64:
	case SIM_X86_PAE:
	case SIM_X86_TWO_LEVEL:
		return cause->global ? "INVLPG of the address, or a toggle of CR4.PGE"
				     : "INVLPG of the address, or a reload of CR3 with this PCID";
	case SIM_ARM64:
		return cause->pointer ? "DSB ISHST, TLBI VAE1IS of the address (not last-level), DSB ISH"
				      : "DSB ISHST, TLBI VAE1IS or VALE1IS of the address, DSB ISH";
	case SIM_RISCV:
		return cause->pointer ? "SFENCE.VMA with rs1 = x0 (a table pointer changed)"
				      : "SFENCE.VMA of the address";
	default:
		return "an invalidation of the page";
	}
}

static void describe(const struct cause *cause, struct sim_verdict *verdict)
{
	const struct sim_record *record = cause->record;
	/* Whoever holds the old entry invalidates; whoever wrote the new one orders his store. */
	unsigned on = cause->error == SIM_MISSING_BARRIER && record ? record->killer
								    : verdict->holder;
	char who[96];

	if (!record) {
		snprintf(verdict->missing, sizeof(verdict->missing), "%s",
			 sim_error_text(verdict->error == SIM_OK ? cause->error : verdict->error));
		return;
	}
	if (cause->cpu->device)
		snprintf(who, sizeof(who), "an invalidation command to device %u",
			 (unsigned)(cause->cpu - cause->sim->cpu) - cause->sim->config.cpus);
	else if (cause->error == SIM_MISSING_BARRIER)
		snprintf(who, sizeof(who), "a barrier (DSB, FENCE)");
	else if (cause->error == SIM_MISSING_DSB)
		snprintf(who, sizeof(who), "the barrier that completes it (DSB, SFENCE.INVAL.IR)");
	else if (cause->error == SIM_MISSING_ISB)
		snprintf(who, sizeof(who), "an ISB");
	else
		snprintf(who, sizeof(who), "%s", remedy(cause));
	snprintf(verdict->missing, sizeof(verdict->missing),
		 "%s, on CPU %u, after step %llu, when CPU %u wrote the entry; CPU %u should have seen "
		 "to it",
		 who, on, (unsigned long long)record->killed, record->killer,
		 record->killer);
}

/* Which entry of the path is the stale one. */
static void find_cause(struct cause *cause, struct sim_verdict *verdict)
{
	const struct sim_member *member = cause->member;
	unsigned at = 0;
	bool found = false;

	/* The deepest: a stale leaf explains more than a stale pointer above it. */
	for (unsigned i = 0; i < member->depth; i++) {
		if (member->record[i] != SIM_NONE) {
			at = i;
			found = true;
		}
	}
	if (found) {
		cause->record = &cause->sim->records[member->record[at]];
		cause->level = cause->record->level;
		verdict->slot = cause->record->slot;
		verdict->level = cause->level;
		verdict->stale = cause->record->value;
		verdict->current = sim_peek(cause->sim, cause->record->slot, cause->sim->width);
		verdict->replaced_at = cause->record->killed;
		verdict->writer = cause->record->killer;
	} else if (member->depth) {
		at = member->depth - 1u;
		cause->level = member->walk->level;
		verdict->slot = member->slot[at];
		verdict->level = cause->level;
		verdict->stale = verdict->current = member->value[at];
	}
	verdict->cached_from = member->lo;
	verdict->depth = member->depth;
	for (unsigned i = 0; i < member->depth; i++) {
		verdict->path_slot[i] = member->slot[i];
		verdict->path_value[i] = member->value[i];
		verdict->path_until[i] = member->record[i] == SIM_NONE
						 ? 0
						 : cause->sim->records[member->record[i]].to;
	}
	cause->pointer = at + 1u < member->depth || member->pointer ||
			 (found && member->cached_fault && cause->record->to_pointer &&
			  cause->sim->walker->faults_of_pointers);
	cause->global = member->step == SIM_STEP_LEAF && member->walk->global && !cause->pointer;
	cause->shift = cause->sim->walker->span(&cause->sim->config.registers, cause->level);
}

static bool in_shared_range(const struct sim *sim, uint64_t va)
{
	for (unsigned i = 0; i < sim->shares; i++)
		if (va >= sim->shared[i].first && va <= sim->shared[i].last)
			return true;
	return false;
}

/* The root's entries live in registers, and the one on the way was replaced in memory only. */
static bool root_not_reloaded(const struct sim *sim, const struct sim_cpu *cpu,
			      const struct sim_member *member)
{
	return sim_root_in_registers(sim) && member->depth && member->record[0] != SIM_NONE &&
	       sim_root_loaded(cpu, sim->records[member->record[0]].killed) == SIM_FOREVER;
}

/* Names what let the member survive. Keeps verdict->error if it is set. */
void sim_diagnose(struct sim *sim, unsigned number, const struct sim_member *member,
		  struct sim_verdict *verdict)
{
	struct cause cause = {.sim = sim, .cpu = &sim->cpu[number], .member = member};

	verdict->holder = number;
	find_cause(&cause, verdict);
	if (cause.cpu->device) {
		cause.error = SIM_DEVICE_NOT_TOLD;
	} else if (!cause.record) {
		if (in_shared_range(sim, member->walk->va))
			cause.error = SIM_ROOT_NOT_PROPAGATED;
		else if (member->foreign_tag || cause.global)
			cause.error = SIM_GLOBAL_NOT_FLUSHED;
		else if (member->walk->group && !member->stale_root)
			cause.error = SIM_MALFORMED_TABLES;
		else
			cause.error = SIM_ASID_REUSED;
	} else {
		bool here = cause.record->killer == number;

		if ((here ? cause.record->to_here : cause.record->to) == SIM_FOREVER)
			suspect(&cause, SIM_MISSING_BARRIER);
		weigh_all(&cause);
		if (root_not_reloaded(sim, cause.cpu, member))
			cause.error = SIM_ROOT_NOT_RELOADED;
		if (cause.error == SIM_OK && member->stale_root && !member->foreign_tag &&
		    member->context->tag == cause.cpu->asid)
			cause.error = SIM_ASID_REUSED;
		if (cause.error == SIM_OK && member->cached_fault)
			cause.error = SIM_MISSING_FENCE;
		if (cause.error == SIM_OK && cause.pointer)
			cause.error = SIM_STALE_WALK_CACHE;
		if (cause.error == SIM_OK)
			cause.error = cause.record->killer == number ? SIM_MISSING_LOCAL_FLUSH
								     : SIM_MISSING_REMOTE_FLUSH;
	}
	describe(&cause, verdict);
	if (verdict->error == SIM_OK)
		verdict->error = cause.error;
}

/* ---- in words -------------------------------------------------------------------------------- */

static const char *const access_names[] = {"read", "write", "fetch"};
static const char *const fault_names[] = {
	"no fault", "address fault", "not-present fault", "reserved-bit fault",
	"address size fault", "access flag fault", "permission fault", "protection key fault",
};

static void print_result(FILE *file, const char *who, const struct sim_result *result)
{
	if (result->fault == SIM_FAULT_NONE)
		fprintf(file, "  %s: physical 0x%llx, memory type %u, level %u\n", who,
			(unsigned long long)result->pa, result->type, result->level);
	else
		fprintf(file, "  %s: %s at level %u\n", who, fault_names[result->fault],
			result->level);
}

/* Does an event belong to the story of the verdict? */
static bool related(const struct sim_event *event, const struct sim_verdict *v)
{
	switch (event->kind) {
	case SIM_EVENT_WRITE:
	case SIM_EVENT_SWAP:
	case SIM_EVENT_HARDWARE:
		for (unsigned i = 0; i < v->depth; i++)
			if (event->a == v->path_slot[i])
				return true;
		return event->a == v->slot;
	case SIM_EVENT_ACCESS:
		return event->a >> 12 == v->va >> 12;
	case SIM_EVENT_FREE:
	case SIM_EVENT_REUSE:
		return event->time + 8u > v->when;
	case SIM_EVENT_TAKE:
	case SIM_EVENT_READER:
		return false;
	default:
		return event->time + 100u > v->replaced_at;
	}
}

#define RELATED_MOST 40u

static void print_related(const struct sim *sim, FILE *file)
{
	uint64_t kept = sim->trace_count < sim->trace_size ? sim->trace_count : sim->trace_size;
	uint64_t first = sim->trace_count;
	unsigned count = 0;
	char line[200];

	/* The last ones count. */
	for (uint64_t i = 0; i < kept && count < RELATED_MOST; i++) {
		first = sim->trace_count - 1u - i;
		count += related(&sim->trace[first & (sim->trace_size - 1u)], &sim->verdict);
	}
	fprintf(file, "  what happened, as far as it concerns this:\n");
	for (uint64_t i = first; i < sim->trace_count; i++) {
		const struct sim_event *event = &sim->trace[i & (sim->trace_size - 1u)];

		if (!related(event, &sim->verdict))
			continue;
		sim_trace_line(sim, event, line, sizeof(line));
		fprintf(file, "    %s\n", line);
	}
}

void sim_report(const struct sim *sim, FILE *file)
{
	const struct sim_verdict *v = &sim->verdict;

	if (v->error == SIM_OK) {
		fprintf(file, "sim: no error in %llu steps\n", (unsigned long long)sim->steps);
		return;
	}
	fprintf(file, "sim: %s at step %llu: %s\n", sim_error_name(v->error),
		(unsigned long long)v->when, sim_error_text(v->error));
	if (v->access >= 0)
		fprintf(file, "  access: %s of 0x%llx on CPU %u\n", access_names[v->access],
			(unsigned long long)v->va, v->cpu);
	else
		fprintf(file, "  on CPU %u, concerning address 0x%llx\n", v->cpu,
			(unsigned long long)v->va);
	if (v->access >= 0) {
		print_result(file, "the tables say", &v->expected);
		if (v->cached_from)
			print_result(file, "hardware may do", &v->found);
	}
	if (v->slot)
		fprintf(file, "  entry: 0x%llx at level %u, in slot 0x%llx, which now holds 0x%llx\n",
			(unsigned long long)v->stale, v->level, (unsigned long long)v->slot,
			(unsigned long long)v->current);
	for (unsigned i = 0; i < v->depth; i++) {
		fprintf(file, "    walk: [0x%llx] = 0x%llx", (unsigned long long)v->path_slot[i],
			(unsigned long long)v->path_value[i]);
		if (v->path_until[i] == SIM_FOREVER)
			fprintf(file, ", replaced by a store that walkers may not see yet\n");
		else if (v->path_until[i])
			fprintf(file, ", until step %llu\n", (unsigned long long)v->path_until[i]);
		else
			fprintf(file, "\n");
	}
	if (v->cached_from)
		fprintf(file, "  %s %u may hold it since step %llu\n",
			v->holder >= sim->config.cpus ? "agent" : "CPU", v->holder,
			(unsigned long long)v->cached_from);
	if (v->replaced_at)
		fprintf(file, "  it was replaced at step %llu by CPU %u\n",
			(unsigned long long)v->replaced_at, v->writer);
	if (v->missing[0])
		fprintf(file, "  missing: %s\n", v->missing);
	fprintf(file, "  replay: seed %llu, run %u\n", (unsigned long long)sim->config.seed,
		sim->config.run_id);
	print_related(sim, file);
}
