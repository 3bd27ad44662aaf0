/* SPDX-License-Identifier: MIT */
/*
 * The search: depth first over schedules, each run from the beginning.
 *
 * EXPLORE_DPOR is the source-set algorithm of Abdulla, Aronis, Jonsson and Sagonas, "Optimal
 * Dynamic Partial Order Reduction" (POPL 2014), section 5, with sleep sets. Where the second
 * operation of a race could not run at the earlier point (it waits for something), the rule of
 * Flanagan and Godefroid (POPL 2005) is used: then everything that could run there is tried.
 * Operations that wait are also checked while they wait. An actor's step may have several
 * outcomes (RA: which store is read; interrupts: now or later); all are tried wherever the step
 * is, and two steps count as independent only if all their outcomes are. docs/EXPLORER.md says
 * why that is sound.
 */
#include "explore_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Events that can conflict with one operation. */
#define FOUND_MAX (FOOTPRINT_MAX * (TOUCHES_THAT_COMMUTE * ACTORS + 1u))

#define DEFAULT_SCHEDULES UINT64_C(10000000)
#define DEFAULT_STEPS 2000u
#define MINIMISE_STEPS UINT64_C(3000000)

static uint16_t bit(unsigned actor)
{
	return (uint16_t)(1u << actor);
}

static unsigned lowest(uint16_t mask)
{
	return (unsigned)__builtin_ctz(mask);
}

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Fair enough for a few: the bias is below 2^-48. */
static uint32_t random_below(uint64_t *state, uint32_t count)
{
	return (uint32_t)(((random_next(state) >> 16) * count) >> 48);
}

/* ---- actors ----------------------------------------------------------------------------------- */

static bool interruptible(const struct explorer *x, uint32_t t)
{
	return x->thread[t].line.pending && x->thread[t].interrupts_on;
}

static uint32_t actor_choices(struct explorer *x, unsigned actor)
{
	if (actor >= THREADS)
		return x->thread[actor_cpu(actor)].buffer_count > 0;
	return explore_memory_choices(x, actor) + interruptible(x, actor);
}

/* What an actor would do next. */
static const struct op *actor_op(struct explorer *x, unsigned actor, struct op *room)
{
	if (actor < THREADS)
		return x->thread[actor].pending;
	explore_memory_prepare_drain(x, actor_cpu(actor), room);
	return room;
}

static bool conflicts(const struct op *a, const struct op *b)
{
	for (unsigned i = 0; i < a->footprints; i++)
		for (unsigned j = 0; j < b->footprints; j++)
			if (a->footprint[i].object == b->footprint[j].object &&
			    (a->footprint[i].touch == TOUCH_CHANGES ||
			     a->footprint[i].touch != b->footprint[j].touch))
				return true;
	return false;
}

/* ---- happens-before of the reduction ---------------------------------------------------------- */

static void clock_join(struct clock *to, const struct clock *from)
{
	for (unsigned i = 0; i < ACTORS; i++)
		if (from->event[i] > to->event[i])
			to->event[i] = from->event[i];
}

static bool clock_knows(const struct explorer *x, const struct clock *clock, uint32_t event)
{
	return clock->event[x->event[event].actor] > event;
}

/* What comes before the actor's next step whatever the schedule. */
static struct clock clock_before(const struct explorer *x, unsigned actor)
{
	struct clock clock = {{0}};

	if (x->last_event[actor])
		clock = x->event[x->last_event[actor] - 1u].clock;
	if (actor >= THREADS) {
		const struct thread *thread = &x->thread[actor_cpu(actor)];
		uint32_t put = thread->buffer[thread->buffer_first % BUFFER_MAX].event;

		clock_join(&clock, &x->event[put].clock);
	}
	return clock;
}

/* Events that conflict with the operation and that no later conflicting one on the object hides. */
static unsigned conflicting_events(const struct explorer *x, const struct op *op, uint32_t *found)
{
	unsigned count = 0;

	for (unsigned i = 0; i < op->footprints; i++) {
		const struct object *object = &x->object[op->footprint[i].object];

		if (object->last_change)
			found[count++] = object->last_change - 1u;
		for (unsigned touch = 0; touch < TOUCHES_THAT_COMMUTE; touch++) {
			uint16_t left = object->present[touch];

			if (op->footprint[i].touch == touch)
				continue;
			for (; left; left &= (uint16_t)(left - 1u))
				found[count++] = object->last[touch][lowest(left)] - 1u;
		}
	}
	return count;
}

static void clock_event(struct explorer *x, struct event *event, uint32_t index)
{
	uint32_t found[FOUND_MAX];
	unsigned count = conflicting_events(x, &event->op, found);

	event->clock = clock_before(x, event->actor);
	for (unsigned i = 0; i < count; i++)
		clock_join(&event->clock, &x->event[found[i]].clock);
	event->clock.event[event->actor] = (uint16_t)(index + 1u);
	for (unsigned i = 0; i < event->op.footprints; i++) {
		struct object *object = &x->object[event->op.footprint[i].object];

		unsigned touch = event->op.footprint[i].touch;

		if (touch == TOUCH_CHANGES) {
			object->last_change = index + 1u;
			object->present[TOUCH_READS] = object->present[TOUCH_ADDS] = 0;
		} else {
			object->last[touch][event->actor] = index + 1u;
			object->present[touch] |= bit(event->actor);
		}
	}
	x->last_event[event->actor] = index + 1u;
}

/* ---- what can run ----------------------------------------------------------------------------- */

static bool is_access(const struct op *op)
{
	return op->kind <= OP_AND || op->kind == OP_AWAIT || op->kind == OP_AWAIT_SWAP;
}

/*
 * RA: must the last store to the location come before the operation in every schedule that
 * orders everything else in the same way?
 */
static bool store_is_forced(const struct explorer *x, unsigned actor, const struct op *op)
{
	const struct location *l = &x->location[op->location];
	uint32_t found[FOUND_MAX];
	struct clock clock;
	struct op others;
	unsigned count;

	if (l->last_event == 0)
		return true;
	clock = clock_before(x, actor);
	if (clock_knows(x, &clock, l->last_event - 1u))
		return true;
	others = *op;
	others.footprints = 0;
	for (unsigned i = 0; i < op->footprints; i++)
		if (op->footprint[i].object != l->object)
			others.footprint[others.footprints++] = op->footprint[i];
	count = conflicting_events(x, &others, found);
	for (unsigned i = 0; i < count; i++)
		if (clock_knows(x, &x->event[found[i]].clock, l->last_event - 1u))
			return true;
	return false;
}

/*
 * Which of the choices are to be tried, as a mask. All; but under RA an operation that is not
 * bound to come after the last store to its location has nothing to do here unless it goes on
 * from that store: what else it could do, it does in a schedule in which it comes before.
 */
static uint64_t allowed_choices(struct explorer *x, unsigned actor, uint32_t choices)
{
	uint64_t all = choices >= 64 ? UINT64_MAX : (UINT64_C(1) << choices) - 1u;
	const struct op *op;

	if (x->reduction != EXPLORE_DPOR || x->options.model != EXPLORE_RA || !choices)
		return all;
	op = x->thread[actor].pending;
	if (!is_access(op) || store_is_forced(x, actor, op))
		return all;
	if (interruptible(x, actor))
		return explore_memory_newest(x, actor) | UINT64_C(1) << (choices - 1u);
	return explore_memory_newest(x, actor);
}

static uint16_t enabled_actors(struct explorer *x)
{
	uint16_t enabled = 0;

	for (uint32_t t = 0; t < x->program->threads; t++) {
		if (allowed_choices(x, t, actor_choices(x, t)))
			enabled |= bit(t);
		if (x->thread[t].buffer_count)
			enabled |= bit(t + THREADS);
	}
	return enabled;
}

/* Waiting for a value or for another store, not for an interrupt or for its own store buffer. */
static bool waits_for_value(struct explorer *x, uint32_t t)
{
	const struct op *op = x->thread[t].pending;

	if (!is_access(op) || op->kind == OP_FENCE)
		return false;
	if (x->thread[t].buffer_count && explore_memory_waits_for_buffer(op))
		return false;
	return allowed_choices(x, t, explore_memory_choices(x, t)) == 0;
}

/* ---- races ------------------------------------------------------------------------------------- */

/* An operation that could not come before event `e` of its own CPU. (An interrupt could.) */
static bool ordered_by_buffer(const struct explorer *x, uint32_t e, unsigned actor,
			      const struct op *op)
{
	return actor < THREADS && x->event[e].actor == actor + THREADS &&
	       explore_memory_waits_for_buffer(op);
}

/*
 * The actors that can come first when what follows event `e` without depending on it runs in
 * its place, and then `actor`. *moved: `actor` has a step of its own among them.
 */
static uint16_t initials(const struct explorer *x, uint32_t e, unsigned actor,
			 const struct clock *before, const uint32_t *found, unsigned count,
			 bool *moved)
{
	uint32_t first[ACTORS];
	uint16_t present = 0, initial = 0;
	struct clock clock = *before;

	for (uint32_t j = e + 1u; j < x->events; j++) {
		const struct event *event = &x->event[j];
		bool later = false;

		if (clock_knows(x, &event->clock, e) || (present & bit(event->actor)))
			continue;
		for (uint16_t left = present; left && !later; left &= (uint16_t)(left - 1u))
			later = clock_knows(x, &event->clock, first[lowest(left)]);
		first[event->actor] = j;
		present |= bit(event->actor);
		if (!later)
			initial |= bit(event->actor);
	}
	*moved = present & bit(actor);
	if (*moved)
		return initial;
	for (unsigned i = 0; i < count; i++)
		if (found[i] > e && !clock_knows(x, &x->event[found[i]].clock, e))
			clock_join(&clock, &x->event[found[i]].clock);
	for (uint16_t left = present; left; left &= (uint16_t)(left - 1u))
		if (clock_knows(x, &clock, first[lowest(left)]))
			return initial;
	return initial | bit(actor);
}

/* Event `e` and the next step of `actor` race: makes sure the other order is explored. */
static void reverse(struct explorer *x, uint32_t e, unsigned actor, const struct op *op,
		    const struct clock *before, const uint32_t *found, unsigned count)
{
	struct node *node = &x->node[e];
	bool moved;
	uint16_t first = initials(x, e, actor, before, found, count, &moved);
	bool could_run = moved || (node->enabled & bit(actor));

	if (!could_run && op->kind == OP_END)
		return; /* no interrupt was there to be taken */
	if (!could_run && (x->options.model == EXPLORE_RA || op->kind == OP_AWAIT ||
			   op->kind == OP_AWAIT_SWAP))
		first = 0;
	first &= node->enabled;
	if (!first) {
		node->todo |= node->enabled;
		return;
	}
	if (first & (node->todo | node->sleep))
		return;
	node->todo |= first & bit(actor) ? bit(actor) : bit(lowest(first));
}

static void find_races(struct explorer *x, unsigned actor, const struct op *op, bool interrupted)
{
	uint32_t found[FOUND_MAX];
	unsigned count = conflicting_events(x, op, found);
	struct clock before;

	if (!count)
		return;
	before = clock_before(x, actor);
	for (unsigned i = 0; i < count; i++) {
		bool direct = !clock_knows(x, &before, found[i]) &&
			      (interrupted || !ordered_by_buffer(x, found[i], actor, op));

		for (unsigned j = 0; j < count && direct; j++)
			direct = found[j] == found[i] ||
				 !clock_knows(x, &x->event[found[j]].clock, found[i]);
		if (direct)
			reverse(x, found[i], actor, op, &before, found, count);
	}
}

/* The rule for operations that wait: they race although they do not run. */
static void find_races_of_waiting(struct explorer *x, const struct event *event)
{
	for (uint32_t t = 0; t < x->program->threads; t++)
		if ((t == event->actor || conflicts(&event->op, x->thread[t].pending)) &&
		    waits_for_value(x, t))
			find_races(x, t, x->thread[t].pending, false);
}

/* What would have run next races all the same: a loop that spins must not hide it. */
static void find_races_of_cut(struct explorer *x, uint16_t enabled)
{
	struct op room;

	if (x->reduction != EXPLORE_DPOR)
		return;
	for (; enabled; enabled &= (uint16_t)(enabled - 1u))
		find_races(x, lowest(enabled), actor_op(x, lowest(enabled), &room), false);
}

/* ---- one step ---------------------------------------------------------------------------------- */

/* Who may be chosen without exceeding the limit of preemptions. */
static uint16_t within_limit(const struct explorer *x, uint16_t enabled)
{
	uint16_t drains = enabled & (uint16_t)~((1u << THREADS) - 1u);

	if (!x->options.limit_preemptions || x->last_thread == NO_ACTOR ||
	    !(enabled & bit(x->last_thread)) || x->preemptions < x->options.preemptions_max)
		return enabled;
	return drains | bit(x->last_thread);
}

/* Asleep after `actor` has run: what was tried here and does not depend on it. */
static uint16_t sleep_after(struct explorer *x, const struct node *node, const struct op *op)
{
	uint16_t asleep = 0;
	struct op room;

	for (uint16_t left = (uint16_t)((node->sleep | node->done) & ~bit(node->actor)); left;
	     left &= (uint16_t)(left - 1u))
		if (!conflicts(op, actor_op(x, lowest(left), &room)))
			asleep |= bit(lowest(left));
	return asleep;
}

/* Makes the node of a new point. False: nothing new starts here. */
static bool decide(struct explorer *x, struct node *node, uint16_t enabled)
{
	uint16_t candidates = within_limit(x, enabled);

	*node = (struct node){.enabled = enabled};
	if (x->options.search == EXPLORE_RANDOM && !x->by_id) {
		uint32_t pick = random_below(&x->random,
					     (uint32_t)__builtin_popcount(candidates));

		while (pick--)
			candidates &= (uint16_t)(candidates - 1u);
		node->actor = (uint8_t)lowest(candidates);
		return true;
	}
	if (x->reduction != EXPLORE_PLAIN) {
		node->sleep = x->next_sleep;
		candidates &= (uint16_t)~node->sleep;
	}
	if (!candidates)
		return false;
	if (x->last_thread != NO_ACTOR && (candidates & bit(x->last_thread)))
		node->actor = x->last_thread;
	else
		node->actor = (uint8_t)lowest(candidates);
	node->todo = x->reduction == EXPLORE_DPOR ? bit(node->actor) : candidates;
	return true;
}

static void fail_deadlock(struct explorer *x)
{
	char text[200] = "", name[32], address[64];
	size_t used = 0;

	for (uint32_t t = 0; t < x->program->threads; t++) {
		const struct op *op = x->thread[t].pending;
		int n;

		if (op->kind == OP_END)
			continue;
		explore_trace_address(x, (uintptr_t)op->address, address, sizeof(address));
		n = snprintf(text + used, sizeof(text) - used, "%s%s for %s", used ? ", " : "",
			     explore_trace_thread(x, t, name, sizeof(name)), address);
		used += n > 0 ? (size_t)n : 0;
		if (used >= sizeof(text))
			break;
	}
	explore_fail("all threads wait for ever: %s", text);
}

/* Nothing can run. */
static enum end how_it_ended(struct explorer *x)
{
	bool waiting = false;

	for (uint32_t t = 0; t < x->program->threads; t++) {
		if (actor_choices(x, t))
			return END_PRUNED; /* it could, and does in another schedule */
		waiting = waiting || x->thread[t].pending->kind != OP_END;
	}
	if (waiting)
		fail_deadlock(x);
	return END_COMPLETE;
}

static void check_repeats(struct explorer *x, struct node *node, const struct op *op,
			  uint32_t choices)
{
	uint32_t signature = (uint32_t)op->kind << 24 ^ (uint32_t)op->order << 20 ^
			     (uint32_t)(uintptr_t)op->address;

	if (node->choices == 0) {
		node->choices = (uint16_t)choices;
		node->signature = signature;
	} else if (node->signature != signature || node->choices != choices) {
		explore_misuse("%s is not deterministic: step %u differs from the same step of the "
			       "schedule before", x->program->name, x->events + 1u);
	}
}

static void resume(struct explorer *x, uint32_t t)
{
	x->self = t;
	explore_fiber_resume(&x->thread[t].fiber);
	x->self = UINT32_MAX;
}

/* The last alternative of a thread that can be interrupted. */
static bool takes_interrupt(const struct explorer *x, const struct node *node)
{
	return node->actor < THREADS && node->choice + 1u == node->choices &&
	       interruptible(x, node->actor);
}

/* Performs the decision of the node. */
static void perform(struct explorer *x, struct node *node)
{
	uint32_t index = x->events;
	struct event *event = &x->event[index];
	uint32_t t = actor_cpu(node->actor);
	struct thread *thread = &x->thread[t];
	bool interrupt = takes_interrupt(x, node);

	event->actor = node->actor;
	event->choice = node->choice;
	event->op = *actor_op(x, node->actor, &event->op);
	event->kind = interrupt ? OP_INTERRUPT : event->op.kind;
	clock_event(x, event, index);
	x->performing = true;
	if (node->actor >= THREADS) {
		explore_memory_drain(x, t);
	} else if (interrupt) {
		explore_memory_take_interrupt(x, t);
		thread->take_interrupt = true;
		thread->interrupts_taken++;
	} else {
		explore_memory_perform(x, t, thread->pending, node->choice);
		event->op = *thread->pending;
	}
	x->performing = false;
	x->events++;
	if (node->actor < THREADS)
		resume(x, t);
}

static void count_preemption(struct explorer *x, const struct node *node)
{
	if (node->actor >= THREADS)
		return;
	if (x->last_thread != NO_ACTOR && x->last_thread != node->actor &&
	    (node->enabled & bit(x->last_thread)))
		x->preemptions++;
	x->last_thread = node->actor;
}

/* One step of the schedule. False when it is over; x->end says how. */
static bool step(struct explorer *x)
{
	uint32_t index = x->events;
	struct node *node = &x->node[index];
	uint16_t enabled = enabled_actors(x);
	bool fresh = index >= x->replay;
	const struct op *op;
	struct op room;
	uint32_t choices;

	if (!enabled) {
		x->end = how_it_ended(x);
		return false;
	}
	if (index == x->steps_max) {
		find_races_of_cut(x, enabled);
		x->end = END_CUT;
		return false;
	}
	if (fresh && !decide(x, node, enabled)) {
		x->end = END_PRUNED;
		return false;
	}
	if (fresh || x->by_id)
		node->enabled = enabled;
	if (node->enabled != enabled || !(enabled & bit(node->actor)))
		explore_misuse("%s: step %u of the schedule cannot be repeated: the id is of another "
			       "program or the program is not deterministic", x->program->name,
			       index + 1u);
	op = actor_op(x, node->actor, &room);
	choices = actor_choices(x, node->actor);
	if (x->by_id && node->choice >= choices)
		explore_misuse("%s: step %u of the id has no choice %u", x->program->name, index + 1u,
			       node->choice);
	if (node->choices == 0 && !x->by_id) {
		node->allowed = allowed_choices(x, node->actor, choices);
		if (choices <= 64)
			node->choice = (uint16_t)__builtin_ctzll(node->allowed);
	}
	check_repeats(x, node, op, choices);
	if (fresh && x->options.search == EXPLORE_RANDOM && !x->by_id)
		node->choice = (uint16_t)random_below(&x->random, choices);
	count_preemption(x, node);
	if (x->reduction != EXPLORE_PLAIN && index + 1u >= x->replay)
		x->next_sleep = sleep_after(x, node, op);
	if (x->reduction == EXPLORE_DPOR && index + 1u >= x->replay)
		find_races(x, node->actor, op, takes_interrupt(x, node));
	perform(x, node);
	if (x->stopped)
		return false;
	if (x->reduction == EXPLORE_DPOR && index + 1u >= x->replay)
		find_races_of_waiting(x, &x->event[index]);
	if (x->program->invariant)
		x->program->invariant(x->program->context);
	return true;
}

/* ---- one schedule ------------------------------------------------------------------------------ */

static void set_up(struct explorer *x)
{
	const struct explore_program *program = x->program;

	x->in_setup = true;
	if (x->snapshot && x->snapshot_taken) {
		memcpy(program->state, x->snapshot, program->state_size);
	} else {
		x->regions = 0;
		if (program->setup)
			program->setup(program->context);
		if (x->snapshot)
			memcpy(x->snapshot, program->state, program->state_size);
		x->snapshot_taken = true;
	}
	x->in_setup = false;
	explore_memory_reset(x);
}

static void run_inside(struct explorer *x)
{
	set_up(x);
	for (uint32_t t = 0; t < x->program->threads && !x->stopped; t++) {
		struct thread *thread = &x->thread[t];

		thread->ended = false;
		thread->interrupts_on = true;
		thread->take_interrupt = false;
		explore_fiber_start(&thread->fiber, explore_program_thread, (void *)(uintptr_t)t);
		resume(x, t);
	}
	while (!x->stopped && step(x))
		;
	if (!x->stopped && x->end == END_COMPLETE && x->program->finish)
		x->program->finish(x->program->context);
}

/* Runs one schedule: the decisions of nodes 0 .. replay-1, then new ones. */
static enum end run_schedule(struct explorer *x)
{
	struct explore_result *result = x->result;

	x->events = 0;
	x->notes = 0;
	x->self = UINT32_MAX;
	x->stopped = false;
	x->performing = false;
	x->last_thread = NO_ACTOR;
	x->preemptions = 0;
	x->next_sleep = 0;
	x->end = END_COMPLETE;
	memset(x->last_event, 0, sizeof(x->last_event));
	if (setjmp(x->escape) == 0)
		run_inside(x);
	x->self = UINT32_MAX;
	x->depth = x->events + x->performing;
	result->steps += x->events;
	if (x->events > result->longest)
		result->longest = x->events;
	return x->end;
}

static bool next_choice(struct node *node)
{
	uint64_t left = node->choice >= 63 ? 0 : node->allowed >> (node->choice + 1u);

	if (node->choices > 64)
		return ++node->choice < node->choices;
	if (!left)
		return false;
	node->choice = (uint16_t)(node->choice + 1u + (unsigned)__builtin_ctzll(left));
	return true;
}

/* The next decisions in depth-first order. False: there are none. */
static bool backtrack(struct explorer *x)
{
	while (x->depth > 0) {
		struct node *node = &x->node[x->depth - 1u];
		uint16_t left;

		x->replay = x->depth;
		if (next_choice(node))
			return true;
		node->done |= bit(node->actor);
		left = node->todo & node->enabled & (uint16_t)~(node->done | node->sleep);
		if (left) {
			node->actor = (uint8_t)lowest(left);
			node->choice = node->choices = 0;
			return true;
		}
		x->depth--;
	}
	return false;
}

static void keep_failure(struct explorer *x, struct explore_result *result)
{
	explore_trace_id(x, result->id, sizeof(result->id));
	memcpy(result->message, x->why, sizeof(result->message));
	result->failing_steps = x->depth;
	result->failing_preemptions = x->preemptions;
}

/* Counts a schedule; true: go on. */
static bool account(struct explorer *x, enum end end)
{
	struct explore_result *result = x->result;

	switch (end) {
	case END_COMPLETE: result->schedules++; break;
	case END_PRUNED: result->pruned++; break;
	case END_CUT: result->cut++; break;
	case END_FAILED:
		result->schedules++;
		if (result->failures++ == 0)
			keep_failure(x, result);
		if (!x->options.count_failures || x->minimising)
			return false;
		break;
	case END_MISUSED: return false;
	}
	return result->schedules + result->pruned + result->cut < x->options.schedules_max;
}

/* How a search ended: the first failure counts, if there was one. */
static enum end search_end(const struct explorer *x, enum end last)
{
	return last == END_MISUSED ? END_MISUSED : x->result->failures ? END_FAILED : END_COMPLETE;
}

static enum end run_and_trace(struct explorer *x)
{
	enum end end = run_schedule(x);

	if (x->options.trace_all && x->options.output && !x->minimising)
		explore_trace_print(x, x->options.output);
	return end;
}

static enum end search_all(struct explorer *x)
{
	x->replay = 0;
	for (;;) {
		enum end end = run_and_trace(x);
		bool more = account(x, end);

		if (end == END_MISUSED || (end == END_FAILED && !more))
			return search_end(x, end);
		if (!backtrack(x)) {
			x->result->exhaustive = !x->result->cut && !x->options.limit_preemptions;
			return search_end(x, end);
		}
		if (!more || (x->minimising && x->result->steps > MINIMISE_STEPS))
			return search_end(x, end);
	}
}

static enum end search_random(struct explorer *x)
{
	for (uint64_t i = 0;; i++) {
		enum end end;

		x->random = x->options.seed ^ (i * UINT64_C(0xd1342543de82ef95));
		x->replay = 0;
		end = run_and_trace(x);
		if (!account(x, end))
			return search_end(x, end);
	}
}

/* ---- a failure --------------------------------------------------------------------------------- */

/*
 * Looks for a failing schedule with fewer preemptions: people read it more easily. Tries limits
 * from 0 up for a bounded time and keeps what it finds first.
 */
static void minimise(struct explorer *x)
{
	struct explore_result *kept = x->result;
	struct explore_result *trial = calloc(1, sizeof(*trial));
	struct explore_options options = x->options;
	uint32_t limit = kept->failing_preemptions;

	if (!trial)
		return;
	x->result = trial;
	x->minimising = true;
	x->reduction = EXPLORE_PLAIN;
	x->options.search = EXPLORE_ALL;
	x->options.limit_preemptions = true;
	x->options.schedules_max = UINT64_MAX;
	for (uint32_t n = 0; n < limit && trial->steps <= MINIMISE_STEPS; n++) {
		x->options.preemptions_max = n;
		if (search_all(x) != END_FAILED)
			continue;
		keep_failure(x, kept);
		break;
	}
	x->options = options;
	x->minimising = false;
	x->result = kept;
	free(trial);
}

/* Runs one schedule by its id and prints it. */
static enum end replay(struct explorer *x, const char *id)
{
	const char *wrong = explore_trace_parse(x, id);
	enum end end;

	if (wrong) {
		snprintf(x->why, sizeof(x->why), "the id \"%.60s\": %s", id, wrong);
		return END_MISUSED;
	}
	x->by_id = true;
	x->tracing = true;
	x->reduction = EXPLORE_PLAIN;
	end = run_schedule(x);
	if (x->options.output && end != END_MISUSED)
		explore_trace_print(x, x->options.output);
	x->tracing = false;
	x->by_id = false;
	return end;
}

/* Proves that the failure repeats, and prints it. */
static enum end show_failure(struct explorer *x)
{
	struct explore_result *result = x->result;
	uint64_t steps = result->steps;
	uint32_t longest = result->longest;
	enum end end = replay(x, result->id);

	result->steps = steps;
	result->longest = longest;
	if (end == END_FAILED)
		return end;
	if (end != END_MISUSED)
		snprintf(x->why, sizeof(x->why),
			 "%s is not deterministic: a failing schedule passes when repeated (%.120s)",
			 x->program->name, result->message);
	return END_MISUSED;
}

/* ---- in and out -------------------------------------------------------------------------------- */

static void explorer_free(struct explorer *x)
{
	if (!x)
		return;
	for (uint32_t t = 0; t < THREADS; t++)
		explore_fiber_destroy(&x->thread[t].fiber);
	free(x->message);
	free(x->view_pool);
	free(x->thread_views);
	free(x->node);
	free(x->event);
	free(x->snapshot);
	free(x);
}

static struct explorer *explorer_new(const struct explore_options *options,
				     const struct explore_program *program)
{
	struct explorer *x = calloc(1, sizeof(*x));
	bool ok = x != NULL;

	if (!x)
		return NULL;
	x->options = *options;
	x->program = program;
	x->steps_max = options->steps_max ? options->steps_max : DEFAULT_STEPS;
	if (!x->options.schedules_max)
		x->options.schedules_max = DEFAULT_SCHEDULES;
	x->node = calloc(x->steps_max + 1u, sizeof(*x->node));
	x->event = calloc(x->steps_max + 1u, sizeof(*x->event));
	x->thread_views = calloc((3u * THREADS + 2u) * LOCATIONS_MAX, sizeof(uint16_t));
	ok = x->node && x->event && x->thread_views;
	if (options->model == EXPLORE_RA) {
		x->message = malloc(MESSAGES_MAX * sizeof(*x->message));
		x->view_pool = malloc(VIEW_POOL * sizeof(*x->view_pool));
		ok = ok && x->message && x->view_pool;
	}
	if (program->state_size) {
		x->snapshot = malloc(program->state_size);
		ok = ok && x->snapshot;
	}
	for (uint32_t t = 0; t < program->threads && ok; t++)
		ok = explore_fiber_init(&x->thread[t].fiber);
	if (!ok) {
		explorer_free(x);
		return NULL;
	}
	return x;
}

static const char *wrong_arguments(const struct explore_options *options,
				   const struct explore_program *program)
{
	if (program->threads < 1 || program->threads > THREADS)
		return "a program has 1 to 8 threads";
	for (uint32_t t = 0; t < program->threads; t++)
		if (!program->thread[t])
			return "a thread has no function";
	if (options->steps_max > STEPS_LIMIT)
		return "steps_max is above 20000";
	if (options->model > EXPLORE_RA || options->search > EXPLORE_RANDOM ||
	    options->reduction > EXPLORE_PLAIN)
		return "no such model, search or reduction";
	if (options->search == EXPLORE_RANDOM && !options->schedules_max && !options->replay)
		return "a random search needs schedules_max";
	if (explore_current)
		return "one exploration at a time";
	return NULL;
}

static void choose_reduction(struct explorer *x)
{
	x->reduction = x->options.reduction;
	if (x->program->invariant && x->reduction == EXPLORE_DPOR)
		x->reduction = EXPLORE_SLEEP;
	if (x->options.limit_preemptions || x->options.search == EXPLORE_RANDOM)
		x->reduction = EXPLORE_PLAIN;
	x->result->reduction = x->reduction;
}

enum explore_verdict explore_run(const struct explore_options *options,
				 const struct explore_program *program,
				 struct explore_result *result)
{
	const char *wrong = wrong_arguments(options, program);
	struct timespec from, to;
	struct explorer *x;
	enum end end;

	memset(result, 0, sizeof(*result));
	clock_gettime(CLOCK_MONOTONIC, &from);
	x = wrong ? NULL : explorer_new(options, program);
	if (!x) {
		snprintf(result->message, sizeof(result->message), "%s: %s",
			 program->name ? program->name : "a program",
			 wrong ? wrong : "no memory for the explorer");
		return result->verdict = EXPLORE_MISUSED;
	}
	explore_current = x;
	x->result = result;
	choose_reduction(x);
	if (options->replay) {
		end = replay(x, options->replay);
		account(x, end);
	} else {
		end = options->search == EXPLORE_RANDOM ? search_random(x) : search_all(x);
		if (end == END_FAILED) {
			if (!options->keep_first_failure)
				minimise(x);
			end = show_failure(x);
		}
	}
	if (end == END_MISUSED)
		memcpy(result->message, x->why, sizeof(result->message));
	result->verdict = end == END_FAILED ? EXPLORE_FAILED
			: end == END_MISUSED ? EXPLORE_MISUSED : EXPLORE_PASSED;
	explore_current = NULL;
	explorer_free(x);
	clock_gettime(CLOCK_MONOTONIC, &to);
	result->seconds = (double)(to.tv_sec - from.tv_sec) +
			  (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	return result->verdict;
}
