/* SPDX-License-Identifier: MIT */
/*
 * Ids and printed schedules.
 *
 * An id is MODEL/TOKEN.TOKEN...: what ran, in order. A token is an actor, 0 to 7 for a thread and
 * a to h for the store buffer of thread 0 to 7; then :N if it took its Nth alternative and not
 * its first; then *N if that N times in a row.
 */
#include "explore_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *explore_model_name(enum explore_model model)
{
	static const char *const name[] = {"sc", "tso", "ra"};

	return name[model];
}

const char *explore_trace_thread(const struct explorer *x, uint32_t t, char *text, size_t size)
{
	if (x->program->thread_name[t])
		return x->program->thread_name[t];
	snprintf(text, size, "T%" PRIu32, t);
	return text;
}

void explore_trace_address(const struct explorer *x, uintptr_t address, char *text, size_t size)
{
	for (uint32_t i = 0; i < x->regions; i++) {
		const struct region *r = &x->region[i];

		if (address - r->base >= r->size)
			continue;
		if (r->size <= r->element_size)
			snprintf(text, size, "%s", r->name);
		else
			snprintf(text, size, "%s[%zu]", r->name,
				 (size_t)(address - r->base) / r->element_size);
		return;
	}
	snprintf(text, size, "*%p", (void *)address);
}

/* ---- ids --------------------------------------------------------------------------------------- */

static char actor_letter(unsigned actor)
{
	return (char)(actor < THREADS ? '0' + (int)actor : 'a' + (int)(actor - THREADS));
}

void explore_trace_id(const struct explorer *x, char *id, size_t size)
{
	int used = snprintf(id, size, "%s/", explore_model_name(x->options.model));

	for (uint32_t i = 0; i < x->depth && used >= 0 && (size_t)used < size;) {
		const struct node *node = &x->node[i];
		uint32_t run = 1;
		char choice[16] = "", times[16] = "";

		while (i + run < x->depth && x->node[i + run].actor == node->actor &&
		       x->node[i + run].choice == node->choice)
			run++;
		if (node->choice)
			snprintf(choice, sizeof(choice), ":%u", node->choice);
		if (run > 1)
			snprintf(times, sizeof(times), "*%" PRIu32, run);
		used += snprintf(id + used, size - (size_t)used, "%s%c%s%s", i ? "." : "",
				 actor_letter(node->actor), choice, times);
		i += run;
	}
	if (used < 0 || (size_t)used >= size)
		snprintf(id, size, "(the id is longer than %zu characters: limit the steps)", size);
}

static bool parse_number(const char **text, char mark, unsigned long *number)
{
	char *end;

	if (**text != mark)
		return true;
	if ((*text)[1] < '0' || (*text)[1] > '9')
		return false;
	*number = strtoul(*text + 1, &end, 10);
	*text = end;
	return true;
}

const char *explore_trace_parse(struct explorer *x, const char *id)
{
	const char *model = explore_model_name(x->options.model);
	size_t length = strlen(model);
	uint32_t count = 0;

	if (strncmp(id, model, length) != 0 || id[length] != '/')
		return "is of another memory model";
	for (id += length + 1u; *id; id += *id == '.') {
		unsigned long choice = 0, times = 1;
		unsigned actor;

		if (*id >= '0' && *id < '0' + THREADS)
			actor = (unsigned)(*id - '0');
		else if (*id >= 'a' && *id < 'a' + THREADS)
			actor = (unsigned)(*id - 'a') + THREADS;
		else
			return "names no thread 0 to 7 or store buffer a to h where it should";
		id++;
		if (!parse_number(&id, ':', &choice) || !parse_number(&id, '*', &times) ||
		    (*id && *id != '.'))
			return "has a token that is not ACTOR[:CHOICE][*TIMES]";
		if (actor_cpu(actor) >= x->program->threads || choice > UINT16_MAX)
			return "names a thread or a choice that the program does not have";
		if (times > x->steps_max - count)
			return "has more steps than steps_max allows";
		for (; times; times--)
			x->node[count++] = (struct node){.actor = (uint8_t)actor,
							 .choice = (uint16_t)choice};
	}
	x->replay = count;
	return NULL;
}

/* ---- schedules --------------------------------------------------------------------------------- */

static const char *order_name(unsigned order)
{
	static const char *const name[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};

	return name[order];
}

static const char *op_name(const struct event *event)
{
	static const char *const name[] = {
		[OP_LOAD] = "load",	  [OP_STORE] = "store",	  [OP_SWAP] = "swap",
		[OP_EXCHANGE] = "exchange", [OP_ADD] = "add",	  [OP_OR] = "or",
		[OP_AND] = "and",	  [OP_FENCE] = "fence",	  [OP_COUNT_ADD] = "count",
		[OP_COUNT_READ] = "count",	  [OP_AWAIT] = "await",
		[OP_AWAIT_SWAP] = "await-swap", [OP_RETIRE] = "retire", [OP_CLAIM] = "claim",
		[OP_STEP] = "step",	  [OP_CHOOSE] = "choose", [OP_SEND] = "send",
		[OP_END] = "end",	  [OP_DRAIN] = "drain",	  [OP_INTERRUPT] = "INTERRUPT",
	};

	return name[event->kind];
}

/* The middle column: what it was done to, and what came of it. */
static void describe(const struct explorer *x, const struct event *event, char *text, size_t size)
{
	const struct op *op = &event->op;
	char name[64], other[32];

	explore_trace_address(x, (uintptr_t)op->address, name, sizeof(name));
	switch (event->kind) {
	case OP_LOAD:
	case OP_COUNT_READ:
	case OP_AWAIT: snprintf(text, size, "%s -> %#" PRIx64, name, op->result); break;
	case OP_STORE:
	case OP_DRAIN: snprintf(text, size, "%s = %#" PRIx64, name, op->value); break;
	case OP_SWAP:
	case OP_AWAIT_SWAP:
		if (op->success)
			snprintf(text, size, "%s %#" PRIx64 " => %#" PRIx64, name, op->expected,
				 op->value);
		else
			snprintf(text, size, "%s fails: is %#" PRIx64 ", not %#" PRIx64, name,
				 op->result, op->expected);
		break;
	case OP_EXCHANGE:
		snprintf(text, size, "%s %#" PRIx64 " => %#" PRIx64, name, op->result, op->value);
		break;
	case OP_ADD:
	case OP_COUNT_ADD:
	case OP_OR:
	case OP_AND:
		snprintf(text, size, "%s was %#" PRIx64 ", by %#" PRIx64, name, op->result, op->value);
		break;
	case OP_RETIRE:
	case OP_CLAIM: snprintf(text, size, "%s", x->region[op->region].name); break;
	case OP_STEP: snprintf(text, size, "%s", op->what ? op->what : name); break;
	case OP_CHOOSE:
		snprintf(text, size, "%s: %" PRIu64 " of %" PRIu64, op->what ? op->what : "",
			 op->result, op->value);
		break;
	case OP_SEND:
		snprintf(text, size, "interrupt to %s",
			 explore_trace_thread(x, (uint32_t)op->value, other, sizeof(other)));
		break;
	default: text[0] = 0; break;
	}
}

static void print_notes(const struct explorer *x, FILE *output, uint32_t event, int width)
{
	char name[32];

	for (uint32_t i = 0; i < x->notes; i++)
		if (x->note[i].event == event)
			fprintf(output, "        %-*s  # %s\n", width,
				x->note[i].thread == NO_ACTOR
					? ""
					: explore_trace_thread(x, x->note[i].thread, name,
							       sizeof(name)),
				x->note[i].text);
}

static int name_width(const struct explorer *x)
{
	int width = 2;
	char name[32];

	for (uint32_t t = 0; t < x->program->threads; t++) {
		int length = (int)strlen(explore_trace_thread(x, t, name, sizeof(name)));

		width = length > width ? length : width;
	}
	return width;
}

static void print_event(const struct explorer *x, FILE *output, uint32_t index, int width)
{
	const struct event *event = &x->event[index];
	const struct op *op = &event->op;
	char what[160], name[32], tail[64] = "";
	bool ordered = event->kind <= OP_AWAIT_SWAP && event->kind != OP_COUNT_ADD &&
		       event->kind != OP_COUNT_READ;

	describe(x, event, what, sizeof(what));
	if (op->stale && ordered)
		snprintf(tail, sizeof(tail), ", OLD: the newest is %#" PRIx64, op->newest);
	else if (op->inserted && ordered)
		snprintf(tail, sizeof(tail), ", BEFORE a store that is there already");
	fprintf(output, "  %4" PRIu32 "  %-*s  %-9s %-36s %s%s\n", index + 1u, width,
		explore_trace_thread(x, actor_cpu(event->actor), name, sizeof(name)),
		op_name(event), what, ordered ? order_name(op->order) : "", tail);
}

void explore_trace_print(const struct explorer *x, FILE *output)
{
	static const char *const how[] = {"complete", "pruned", "cut", "FAILED", "misused"};
	uint32_t events = x->events + x->performing;
	int width = name_width(x);
	char *id = malloc(EXPLORE_ID_MAX);

	fprintf(output, "%s, %s, %s after %" PRIu32 " steps\n", x->program->name,
		explore_model_name(x->options.model), how[x->end], events);
	print_notes(x, output, 0, width);
	for (uint32_t i = 0; i < events; i++) {
		print_event(x, output, i, width);
		print_notes(x, output, i + 1u, width);
	}
	if (x->end == END_FAILED)
		fprintf(output, "  => %s\n", x->why);
	if (id) {
		explore_trace_id(x, id, EXPLORE_ID_MAX);
		fprintf(output, "  replay: %s\n", id);
		free(id);
	}
}

void explore_report(FILE *output, const struct explore_program *program,
		    const struct explore_options *options, const struct explore_result *result)
{
	static const char *const reduction[] = {"dpor", "sleep sets", "no reduction"};

	fprintf(output, "%-34s %-3s ", program->name, explore_model_name(options->model));
	if (result->verdict == EXPLORE_MISUSED) {
		fprintf(output, "MISUSED: %s\n", result->message);
		return;
	}
	fprintf(output,
		"%-6s %9" PRIu64 " schedules, %8" PRIu64 " pruned, %6" PRIu64 " cut, %10" PRIu64
		" steps, %6.2f s, %s, %s",
		result->verdict == EXPLORE_PASSED ? "passed" : "FAILED", result->schedules,
		result->pruned, result->cut, result->steps, result->seconds,
		reduction[result->reduction],
		result->verdict == EXPLORE_FAILED ? "stopped"
		: result->exhaustive		  ? "exhaustive"
						  : "BOUNDED");
	if (options->limit_preemptions)
		fprintf(output, " by %" PRIu32 " preemptions", options->preemptions_max);
	if (result->verdict == EXPLORE_FAILED)
		fprintf(output, ": %s", result->message);
	fputc('\n', output);
}
