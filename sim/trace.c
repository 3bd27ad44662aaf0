/* SPDX-License-Identifier: MIT */
/*
 * The trace: the last events, as a timeline people read.
 */
#include "internal.h"

#include <string.h>

static const char *invalidation_name(const struct sim_event *event)
{
	return (const char *)(uintptr_t)event->a;
}

static void describe_invalidation(const struct sim_event *event, char *text, size_t size)
{
	char asid[32] = "";

	if (event->c != SIM_ANY_TAG)
		snprintf(asid, sizeof(asid), ", tag %llu", (unsigned long long)event->c);
	if (event->d == SIM_SCOPE_PAGE || event->d == SIM_SCOPE_RANGE)
		snprintf(text, size, "%s 0x%llx%s", invalidation_name(event),
			 (unsigned long long)event->b, asid);
	else
		snprintf(text, size, "%s%s", invalidation_name(event), asid);
}

static void describe_access(const struct sim_event *event, char *text, size_t size)
{
	static const char *const names[] = {"reads", "writes", "fetches", "?"};
	static const char *const faults[] = {
		"no fault", "address fault", "not present", "reserved bit", "address size",
		"access flag", "permission", "protection key",
	};
	const char *who = event->d & 4u ? "user " : "";

	if (event->d & 8u)
		snprintf(text, size, "%s%s 0x%llx: fault, %s", who, names[event->d & 3u],
			 (unsigned long long)event->a, faults[event->b & 7u]);
	else
		snprintf(text, size, "%s%s 0x%llx -> 0x%llx", who, names[event->d & 3u],
			 (unsigned long long)event->a, (unsigned long long)event->b);
}

static const char *barrier_name(unsigned which)
{
	switch (which) {
	case 'D': return "DSB";
	case 'I': return "ISB";
	case 'F': return "FENCE";
	case 'W': return "SFENCE.W.INVAL";
	case 'R': return "SFENCE.INVAL.IR";
	default: return "barrier";
	}
}

static void describe(const struct sim_event *event, char *text, size_t size)
{
	unsigned long long a = event->a, b = event->b, c = event->c;

	switch (event->kind) {
	case SIM_EVENT_WRITE:
	case SIM_EVENT_SWAP:
		snprintf(text, size, "%s [0x%llx] 0x%llx -> 0x%llx%s",
			 event->kind == SIM_EVENT_SWAP ? "swaps" : "stores", a, c, b,
			 event->d & SIM_PAGE_TABLE ? "" : " (not live)");
		break;
	case SIM_EVENT_HARDWARE:
		snprintf(text, size, "hardware sets [0x%llx] to 0x%llx", a, b);
		break;
	case SIM_EVENT_ROOT:
		snprintf(text, size, "runs on root 0x%llx, tag %llu%s", a, b,
			 event->d ? ", upper half" : "");
		break;
	case SIM_EVENT_INVALIDATE:
		describe_invalidation(event, text, size);
		break;
	case SIM_EVENT_BARRIER:
		snprintf(text, size, "%s", barrier_name(event->d));
		break;
	case SIM_EVENT_ACCESS:
		describe_access(event, text, size);
		break;
	case SIM_EVENT_FREE:
		snprintf(text, size, "frees table page 0x%llx", a);
		break;
	case SIM_EVENT_TAKE:
		snprintf(text, size, "takes page 0x%llx", a);
		break;
	case SIM_EVENT_REUSE:
		snprintf(text, size, "gives frame 0x%llx, %llu bytes, to a new owner", a, b);
		break;
	case SIM_EVENT_NOTE: {
		char note[25] = {0};

		memcpy(note, &event->a, 8);
		memcpy(note + 8, &event->b, 8);
		memcpy(note + 16, &event->c, 8);
		snprintf(text, size, "-- %s", note);
		break;
	}
	case SIM_EVENT_READER:
		snprintf(text, size, "%s a read section", event->d ? "enters" : "leaves");
		break;
	case SIM_EVENT_ERROR:
		snprintf(text, size, "*** %s", sim_error_name((enum sim_error)a));
		break;
	default:
		snprintf(text, size, "?");
		break;
	}
}

void sim_trace_line(const struct sim *sim, const struct sim_event *event, char *text, size_t size)
{
	char what[160];
	unsigned indent = event->cpu < 8 ? event->cpu * 2u : 16u;

	describe(event, what, sizeof(what));
	if (event->cpu >= sim->config.cpus)
		snprintf(text, size, "%8llu  %*sdevice %u: %s", (unsigned long long)event->time,
			 (int)indent, "", event->cpu - sim->config.cpus, what);
	else
		snprintf(text, size, "%8llu  %*sCPU %u: %s", (unsigned long long)event->time,
			 (int)indent, "", event->cpu, what);
}

void sim_trace_print(const struct sim *sim, FILE *file)
{
	uint64_t kept = sim->trace_count < sim->trace_size ? sim->trace_count : sim->trace_size;
	char line[200];

	if (kept < sim->trace_count)
		fprintf(file, "(the first %llu events are no longer kept)\n",
			(unsigned long long)(sim->trace_count - kept));
	for (uint64_t i = sim->trace_count - kept; i < sim->trace_count; i++) {
		sim_trace_line(sim, &sim->trace[i & (sim->trace_size - 1u)], line, sizeof(line));
		fprintf(file, "%s\n", line);
	}
}

void sim_trace_note(struct sim *sim, unsigned cpu, const char *text)
{
	struct sim_event *event = sim_trace(sim, SIM_EVENT_NOTE, cpu);
	char note[24] = {0};

	memcpy(note, text, strnlen(text, sizeof(note) - 1u));
	memcpy(&event->a, note, 8);
	memcpy(&event->b, note + 8, 8);
	memcpy(&event->c, note + 16, 8);
}
