/* SPDX-License-Identifier: MIT */
/*
 * The memory of the explored program: what each operation does and in how many ways, under
 * sequential consistency, TSO, and release/acquire by views.
 *
 * TSO is the machine of Owens, Sarkar and Sewell, "A Better x86 Memory Model: x86-TSO" (2009):
 * a first-in first-out store buffer per CPU, locked operations and MFENCE wait until it is empty.
 *
 * RA is the view machine for RC11 without sequentially consistent accesses (Lahav, Vafeiadis,
 * Kang, Hur, Dreyer, "Repairing Sequential Consistency in C/C++11", 2017; the machine of Kang,
 * Hur, Lahav, Vafeiadis, Dreyer, "A Promising Semantics for Relaxed-Memory Concurrency", 2017,
 * without promises). Each location keeps its stores in modification order. A view says, for each
 * location, the oldest store that may still be read. Release stores carry their thread's view,
 * acquire loads join it.
 */
#include "explore_internal.h"

#include <string.h>

/* ---- raw memory ----------------------------------------------------------------------------- */

uint64_t explore_memory_raw_load(uintptr_t address, unsigned size)
{
	const void *p = (const void *)address;

	switch (size) {
	case 1: return *(const uint8_t *)p;
	case 2: return *(const uint16_t *)p;
	case 4: return *(const uint32_t *)p;
	default: return *(const uint64_t *)p;
	}
}

void explore_memory_raw_store(uintptr_t address, unsigned size, uint64_t value)
{
	void *p = (void *)address;

	switch (size) {
	case 1: *(uint8_t *)p = (uint8_t)value; break;
	case 2: *(uint16_t *)p = (uint16_t)value; break;
	case 4: *(uint32_t *)p = (uint32_t)value; break;
	default: *(uint64_t *)p = value; break;
	}
}

static uint64_t truncated(uint64_t value, unsigned size)
{
	return size == 8 ? value : value & ((UINT64_C(1) << (8u * size)) - 1u);
}

/* ---- objects, locations, regions ------------------------------------------------------------ */

uint16_t explore_memory_object(struct explorer *x)
{
	if (x->objects == OBJECTS_MAX)
		explore_misuse("more than %u objects in one schedule", OBJECTS_MAX);
	memset(&x->object[x->objects], 0, sizeof(x->object[0]));
	return (uint16_t)x->objects++;
}

static uint32_t hash_address(uintptr_t address)
{
	uint64_t h = (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(h >> 32);
}

uint16_t explore_memory_named(struct explorer *x, const void *address)
{
	const uint32_t slots = sizeof(x->named) / sizeof(x->named[0]);
	uint32_t i = hash_address((uintptr_t)address) & (slots - 1u);

	for (uint32_t probes = 0; x->named[i].run == x->run; probes++) {
		if (x->named[i].address == (uintptr_t)address)
			return x->named[i].object;
		if (probes == slots - 1u)
			explore_misuse("more than %u objects named by explore_step()", slots);
		i = (i + 1u) & (slots - 1u);
	}
	x->named[i].run = x->run;
	x->named[i].address = (uintptr_t)address;
	x->named[i].object = explore_memory_object(x);
	return x->named[i].object;
}

struct region *explore_memory_region(struct explorer *x, uintptr_t address)
{
	for (uint32_t i = 0; i < x->regions; i++)
		if (address - x->region[i].base < x->region[i].size)
			return &x->region[i];
	return NULL;
}

static uint16_t make_location(struct explorer *x, uintptr_t address, unsigned size)
{
	struct region *region = explore_memory_region(x, address);
	struct location *l = &x->location[x->locations];

	if (x->locations == LOCATIONS_MAX)
		explore_misuse("more than %u locations in one schedule", LOCATIONS_MAX);
	l->address = address;
	l->size = (uint8_t)size;
	l->object = explore_memory_object(x);
	l->region = region ? (uint16_t)(region - x->region) : NO_REGION;
	l->initial = explore_memory_raw_load(address, size);
	memset(&l->sync, 0, sizeof(l->sync));
	memset(&l->atomic_read, 0, sizeof(l->atomic_read));
	memset(&l->atomic_write, 0, sizeof(l->atomic_write));
	memset(&l->plain_read, 0, sizeof(l->plain_read));
	memset(&l->plain_write, 0, sizeof(l->plain_write));
	l->history[0] = INITIAL;
	l->history_count = 1;
	l->last_message = INITIAL;
	l->last_event = 0;
	return (uint16_t)x->locations++;
}

/* The location at an address, or UINT32_MAX. Locations lie at 8-byte cells: see overlap(). */
static uint32_t find_location(struct explorer *x, uintptr_t address, uint32_t *slot)
{
	uint32_t i = hash_address(address) & (LOCATION_SLOTS - 1u);

	while (x->slot[i].run == x->run) {
		if (x->location[x->slot[i].location].address == address) {
			*slot = i;
			return x->slot[i].location;
		}
		i = (i + 1u) & (LOCATION_SLOTS - 1u);
	}
	*slot = i;
	return UINT32_MAX;
}

/* A smaller or larger location that shares bytes with a new one makes no sense in any model. */
static void refuse_overlap(struct explorer *x, uintptr_t address, unsigned size)
{
	uintptr_t cell = address & ~(uintptr_t)7;
	uint32_t unused;

	for (uintptr_t a = cell; a < cell + 8u; a++) {
		uint32_t other = find_location(x, a, &unused);

		if (other == UINT32_MAX || a == address)
			continue;
		if (a < address + size && address < a + x->location[other].size)
			explore_misuse("an access of %u bytes at %p overlaps one of %u bytes at %p",
				       size, (void *)address, x->location[other].size, (void *)a);
	}
}

static uint16_t get_location(struct explorer *x, uintptr_t address, unsigned size)
{
	uint32_t slot;
	uint32_t found;

	if ((size != 1 && size != 2 && size != 4 && size != 8) || (address & (size - 1u)))
		explore_misuse("an access of %u bytes at %p: not 1, 2, 4 or 8, or not aligned", size,
			       (void *)address);
	found = find_location(x, address, &slot);
	if (found != UINT32_MAX) {
		if (x->location[found].size != size)
			explore_misuse("%p is accessed with %u and with %u bytes", (void *)address,
				       x->location[found].size, size);
		return (uint16_t)found;
	}
	refuse_overlap(x, address, size);
	x->slot[slot].run = x->run;
	x->slot[slot].location = make_location(x, address, size);
	return x->slot[slot].location;
}

/* ---- C11 happens-before and data races ------------------------------------------------------ */

static void known_join(struct known *to, const struct known *from)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (from->step[i] > to->step[i])
			to->step[i] = from->step[i];
}

/* The first other thread whose last access in `accesses` is not known to t; THREADS: none. */
static unsigned unordered(const struct known *accesses, const struct known *now, uint32_t t)
{
	for (unsigned i = 0; i < THREADS; i++)
		if (i != t && accesses->step[i] > now->step[i])
			return i;
	return THREADS;
}

static void race(struct explorer *x, uint32_t t, unsigned other, uintptr_t address,
		 const char *mine, const char *others)
{
	char name[64], me[32], them[32];

	explore_trace_address(x, address, name, sizeof(name));
	explore_fail("data race on %s: %s of %s and %s of %s are not ordered", name, mine,
		     explore_trace_thread(x, t, me, sizeof(me)), others,
		     explore_trace_thread(x, other, them, sizeof(them)));
}

static void check_region(struct explorer *x, uint32_t t, uint16_t number, uintptr_t address)
{
	struct region *region = &x->region[number];
	struct thread *thread = &x->thread[t];
	char name[64];
	unsigned other;

	if (!region->live) {
		explore_trace_address(x, address, name, sizeof(name));
		explore_fail("%s is touched after its memory was given back", name);
	}
	other = unordered(&region->exclusive, &thread->now.known, t);
	if (other < THREADS)
		race(x, t, other, address, "an access", "filling or giving back its memory");
	region->touched.step[t] = thread->now.known.step[t];
}

static void check_atomic(struct explorer *x, uint32_t t, struct location *l, bool reads,
			 bool writes)
{
	struct thread *thread = &x->thread[t];
	unsigned other = unordered(&l->plain_write, &thread->now.known, t);

	if (l->region != NO_REGION)
		check_region(x, t, l->region, l->address);
	if (other < THREADS)
		race(x, t, other, l->address, "an atomic access", "a plain store");
	if (writes) {
		other = unordered(&l->plain_read, &thread->now.known, t);
		if (other < THREADS)
			race(x, t, other, l->address, "an atomic store", "a plain load");
		l->atomic_write.step[t] = thread->now.known.step[t];
	}
	if (reads)
		l->atomic_read.step[t] = thread->now.known.step[t];
}

static void check_plain(struct explorer *x, uint32_t t, struct location *l, bool writes)
{
	struct thread *thread = &x->thread[t];
	const char *mine = writes ? "a plain store" : "a plain load";
	unsigned other;

	if (l->region != NO_REGION)
		check_region(x, t, l->region, l->address);
	other = unordered(&l->plain_write, &thread->now.known, t);
	if (other < THREADS)
		race(x, t, other, l->address, mine, "a plain store");
	other = unordered(&l->atomic_write, &thread->now.known, t);
	if (other < THREADS)
		race(x, t, other, l->address, mine, "an atomic store");
	if (writes) {
		other = unordered(&l->plain_read, &thread->now.known, t);
		if (other < THREADS)
			race(x, t, other, l->address, mine, "a plain load");
		other = unordered(&l->atomic_read, &thread->now.known, t);
		if (other < THREADS)
			race(x, t, other, l->address, mine, "an atomic load");
		l->plain_write.step[t] = thread->now.known.step[t];
	} else {
		l->plain_read.step[t] = thread->now.known.step[t];
	}
}

/* Everything of the region must be known to be over: fill, claim, retire. */
static void check_exclusive(struct explorer *x, uint32_t t, struct region *region,
			    const char *mine)
{
	struct thread *thread = &x->thread[t];
	unsigned other = unordered(&region->touched, &thread->now.known, t);

	if (other < THREADS)
		race(x, t, other, region->base, mine, "an access");
	other = unordered(&region->exclusive, &thread->now.known, t);
	if (other < THREADS)
		race(x, t, other, region->base, mine, "filling, claiming or giving back");
	region->exclusive.step[t] = thread->now.known.step[t];
}

/* What is published from now on is later than what was. */
static void next_step(struct thread *thread, uint32_t t)
{
	thread->now.known.step[t]++;
}

/* ---- views ---------------------------------------------------------------------------------- */

static uint16_t view_at(const struct view *view, uint32_t location)
{
	return location < view->count ? view->message[location] : INITIAL;
}

static uint32_t rank_of(const struct explorer *x, uint16_t message)
{
	return message == INITIAL ? 0 : x->message[message].rank;
}

/* `to` is a thread's: it has room for every location. */
static void view_extend(struct view *to, uint32_t count)
{
	while (to->count < count)
		to->message[to->count++] = INITIAL;
}

static void view_join(struct explorer *x, struct view *to, const struct view *from)
{
	known_join(&to->known, &from->known);
	view_extend(to, from->count);
	for (uint32_t i = 0; i < from->count; i++)
		if (to->message[i] != from->message[i] &&
		    rank_of(x, from->message[i]) > rank_of(x, to->message[i]))
			to->message[i] = from->message[i];
}

static void view_copy(struct view *to, const struct view *from)
{
	to->known = from->known;
	to->count = from->count;
	if (from->count)
		memcpy(to->message, from->message, from->count * sizeof(uint16_t));
}

/* A copy that will not change. */
static struct view view_freeze(struct explorer *x, const struct view *from)
{
	struct view frozen = {.known = from->known, .count = from->count};

	if (x->view_used + from->count > VIEW_POOL)
		explore_misuse("a schedule so long that its views do not fit");
	frozen.message = x->view_pool + x->view_used;
	x->view_used += from->count;
	if (from->count)
		memcpy(frozen.message, from->message, from->count * sizeof(uint16_t));
	return frozen;
}

static void view_raise(struct explorer *x, struct view *view, uint32_t location,
		       uint16_t message)
{
	view_extend(view, location + 1u);
	if (rank_of(x, message) > rank_of(x, view->message[location]))
		view->message[location] = message;
}

/* Room after those of the threads; see explore_memory_reset(). */
static struct view scratch_view(struct explorer *x)
{
	return (struct view){.message = x->thread_views + 3u * THREADS * LOCATIONS_MAX};
}

static bool acquires(unsigned order)
{
	return order == EXPLORE_ACQUIRE || order == EXPLORE_ACQ_REL || order == EXPLORE_SEQ_CST;
}

static bool releases(unsigned order)
{
	return order == EXPLORE_RELEASE || order == EXPLORE_ACQ_REL || order == EXPLORE_SEQ_CST;
}

/* ---- SC and TSO: what synchronises with what ------------------------------------------------- */

static void sync_read(struct thread *thread, const struct known *sync, unsigned order)
{
	known_join(acquires(order) ? &thread->now.known : &thread->unacquired.known, sync);
}

static struct known sync_write(const struct thread *thread, unsigned order)
{
	return releases(order) ? thread->now.known : thread->released.known;
}

/* The newest of t's own buffered stores to an address, or NULL. */
static struct buffered *own_store(struct thread *thread, uintptr_t address)
{
	for (uint32_t i = thread->buffer_count; i-- > 0;) {
		struct buffered *b = &thread->buffer[(thread->buffer_first + i) % BUFFER_MAX];

		if (b->address == address)
			return b;
	}
	return NULL;
}

static uint64_t visible(struct thread *thread, const struct location *l)
{
	struct buffered *own = thread->buffer_count ? own_store(thread, l->address) : NULL;

	return own ? own->value : explore_memory_raw_load(l->address, l->size);
}

static void buffer_store(struct explorer *x, struct thread *thread, const struct location *l,
			 uint64_t value, struct known sync)
{
	struct buffered *b;

	if (thread->buffer_count == BUFFER_MAX)
		explore_misuse("more than %u stores in a store buffer", BUFFER_MAX);
	b = &thread->buffer[(thread->buffer_first + thread->buffer_count++) % BUFFER_MAX];
	b->address = l->address;
	b->size = l->size;
	b->location = (uint16_t)(l - x->location);
	b->region = l->region;
	b->value = value;
	b->sync = sync;
	b->event = x->events;
}

/* ---- what the operations have in common ----------------------------------------------------- */

static bool is_modify(unsigned kind)
{
	return kind == OP_SWAP || kind == OP_EXCHANGE || kind == OP_ADD || kind == OP_OR ||
	       kind == OP_AND || kind == OP_AWAIT_SWAP;
}

static bool is_access(unsigned kind)
{
	return kind <= OP_AND || kind == OP_AWAIT || kind == OP_AWAIT_SWAP;
}

/* May the operation go on with this value? */
static bool satisfied(const struct op *op, uint64_t value)
{
	if (op->kind == OP_AWAIT)
		return ((value & op->mask) == (op->expected & op->mask)) != op->negated;
	if (op->kind == OP_AWAIT_SWAP)
		return value == op->expected;
	return true;
}

/* Does a read-modify-write that reads `value` write, and what? */
static bool modified(const struct op *op, uint64_t value, uint64_t *to)
{
	switch (op->kind) {
	case OP_SWAP:
	case OP_AWAIT_SWAP: *to = op->value; return value == op->expected;
	case OP_EXCHANGE: *to = op->value; return true;
	case OP_ADD: *to = truncated(value + op->value, op->size); return true;
	case OP_OR: *to = value | op->value; return true;
	case OP_AND: *to = value & op->value; return true;
	default: return false;
	}
}

/* Sequentially consistent accesses of the RA model have a fence before them. */
static bool fenced(const struct op *op)
{
	return op->order == EXPLORE_SEQ_CST;
}

/* TSO: what waits until the CPU's own stores are in memory. */
bool explore_memory_waits_for_buffer(const struct op *op)
{
	return is_modify(op->kind) || (op->kind == OP_STORE && fenced(op)) ||
	       (op->kind == OP_FENCE && fenced(op));
}

static void add_footprint(struct op *op, uint16_t object, enum touch touch)
{
	op->footprint[op->footprints].object = object;
	op->footprint[op->footprints].touch = (uint8_t)touch;
	op->footprints++;
}

void explore_memory_prepare(struct explorer *x, uint32_t t, struct op *op)
{
	op->footprints = 0;
	op->location = 0;
	op->region = NO_REGION;
	if (is_access(op->kind) && op->kind != OP_FENCE) {
		bool writes = op->kind != OP_LOAD && op->kind != OP_AWAIT;

		op->location = get_location(x, (uintptr_t)op->address, op->size);
		op->region = x->location[op->location].region;
		op->value = truncated(op->value, op->size);
		op->expected = truncated(op->expected, op->size);
		/* A buffered store meets nobody before it drains. */
		if (!(x->options.model == EXPLORE_TSO && op->kind == OP_STORE && !fenced(op)))
			add_footprint(op, x->location[op->location].object,
				      writes ? TOUCH_CHANGES : TOUCH_READS);
		if (op->region != NO_REGION)
			add_footprint(op, x->region[op->region].object, TOUCH_READS);
	} else if (op->kind == OP_COUNT_ADD || op->kind == OP_COUNT_READ) {
		add_footprint(op, explore_memory_named(x, op->address),
			      op->kind == OP_COUNT_ADD ? TOUCH_ADDS : TOUCH_READS);
	} else if (op->kind == OP_RETIRE || op->kind == OP_CLAIM) {
		struct region *region = explore_memory_region(x, (uintptr_t)op->address);

		if (!region || region->base != (uintptr_t)op->address)
			explore_misuse("%p is not the base of a region", op->address);
		op->region = (uint16_t)(region - x->region);
		add_footprint(op, region->object, TOUCH_CHANGES);
	} else if (op->kind == OP_STEP) {
		add_footprint(op, explore_memory_named(x, op->address),
			      op->success ? TOUCH_CHANGES : TOUCH_READS);
	} else if (op->kind == OP_SEND) {
		add_footprint(op, x->thread[op->value].line.object, TOUCH_CHANGES);
	}
	if (x->options.model == EXPLORE_RA && fenced(op) &&
	    (op->kind == OP_FENCE || is_access(op->kind)))
		add_footprint(op, x->fence_object, TOUCH_CHANGES);
	if (x->options.model == EXPLORE_TSO && explore_memory_waits_for_buffer(op))
		add_footprint(op, x->thread[t].buffer_object, TOUCH_READS);
	if (x->program->interrupt && x->thread[t].interrupts_on)
		add_footprint(op, x->thread[t].line.object, TOUCH_READS);
}

void explore_memory_prepare_drain(struct explorer *x, uint32_t t, struct op *op)
{
	const struct thread *thread = &x->thread[t];
	const struct buffered *b = &thread->buffer[thread->buffer_first % BUFFER_MAX];

	*op = (struct op){.kind = OP_DRAIN, .size = b->size, .location = b->location,
			  .region = b->region, .address = (void *)b->address, .value = b->value};
	add_footprint(op, x->location[b->location].object, TOUCH_CHANGES);
	add_footprint(op, thread->buffer_object, TOUCH_CHANGES);
	if (b->region != NO_REGION)
		add_footprint(op, x->region[b->region].object, TOUCH_READS);
}

/* ---- RA -------------------------------------------------------------------------------------- */

static uint64_t message_value(const struct explorer *x, const struct location *l, uint32_t rank)
{
	uint16_t m = l->history[rank];

	return m == INITIAL ? l->initial : x->message[m].value;
}

/* The lowest rank t may read; above it a store may go. */
static uint32_t floor_rank(const struct explorer *x, uint32_t t, const struct op *op)
{
	uint32_t rank = rank_of(x, view_at(&x->thread[t].now, op->location));

	if (fenced(op)) {
		uint32_t fence = rank_of(x, view_at(&x->fence_view, op->location));

		rank = fence > rank ? fence : rank;
	}
	return rank;
}

/* Nothing may come between a store and the read-modify-write that read it. */
static bool taken(const struct explorer *x, const struct location *l, uint32_t rank)
{
	return rank + 1u < l->history_count && x->message[l->history[rank + 1u]].modifies;
}

/* Can the operation read (or, a store, follow) the message at this rank? */
static bool possible(const struct explorer *x, const struct location *l, const struct op *op,
		     uint32_t rank)
{
	uint64_t value, to;

	if (op->kind == OP_STORE)
		return !taken(x, l, rank);
	value = message_value(x, l, rank);
	if (!satisfied(op, value))
		return false;
	return !modified(op, value, &to) || !taken(x, l, rank);
}

static uint32_t ra_choices(const struct explorer *x, uint32_t t, const struct op *op)
{
	const struct location *l = &x->location[op->location];
	uint32_t lowest = floor_rank(x, t, op);
	uint32_t count = 0;

	for (uint32_t rank = l->history_count; rank-- > lowest;)
		count += possible(x, l, op, rank);
	return count;
}

/* Choice 0 is the newest. */
static uint32_t ra_pick(const struct explorer *x, uint32_t t, const struct op *op,
			uint32_t choice)
{
	const struct location *l = &x->location[op->location];
	uint32_t lowest = floor_rank(x, t, op);

	for (uint32_t rank = l->history_count; rank-- > lowest;)
		if (possible(x, l, op, rank) && choice-- == 0)
			return rank;
	explore_misuse("the program is not deterministic: a choice of %s is gone",
		       x->program->name);
}

uint64_t explore_memory_newest(struct explorer *x, uint32_t t)
{
	const struct op *op = x->thread[t].pending;
	const struct location *l = &x->location[op->location];
	uint32_t lowest = floor_rank(x, t, op);
	uint32_t last = rank_of(x, l->last_message);
	uint64_t mask = 0;
	uint32_t choice = 0;

	for (uint32_t rank = l->history_count; rank-- > lowest;) {
		uint64_t to;
		bool writes = op->kind == OP_STORE || modified(op, message_value(x, l, rank), &to);

		if (!possible(x, l, op, rank))
			continue;
		/* What writes may come anywhere after it; what only reads, reads it. */
		if (rank == last || (writes && rank > last))
			mask |= UINT64_C(1) << choice;
		choice++;
	}
	return mask;
}

static void ra_fence(struct explorer *x, struct thread *thread, unsigned order)
{
	if (acquires(order))
		view_join(x, &thread->now, &thread->unacquired);
	if (order == EXPLORE_SEQ_CST) {
		struct known own = thread->now.known;

		/* The order of fences forbids old values; it does not synchronise (RC11). */
		view_join(x, &thread->now, &x->fence_view);
		thread->now.known = own;
		view_copy(&x->fence_view, &thread->now);
	}
	if (releases(order))
		view_copy(&thread->released, &thread->now);
}

static void ra_read(struct explorer *x, struct thread *thread, struct op *op, uint32_t rank,
		    unsigned order)
{
	struct location *l = &x->location[op->location];
	uint16_t m = l->history[rank];

	op->result = message_value(x, l, rank);
	op->stale = rank + 1u < l->history_count;
	op->newest = message_value(x, l, l->history_count - 1u);
	view_raise(x, &thread->now, op->location, m);
	view_raise(x, &thread->unacquired, op->location, m);
	if (m == INITIAL)
		return;
	view_join(x, &thread->unacquired, &x->message[m].view);
	if (acquires(order))
		view_join(x, &thread->now, &x->message[m].view);
}

/* Puts a store right after `rank`. */
static void ra_write(struct explorer *x, uint32_t t, struct op *op, uint32_t rank,
		     uint64_t value, bool modifies)
{
	struct thread *thread = &x->thread[t];
	struct location *l = &x->location[op->location];
	uint16_t before = l->history[rank];
	uint16_t m = (uint16_t)x->messages;
	struct view both;

	if (l->history_count == HISTORY_MAX || x->messages == MESSAGES_MAX)
		explore_misuse("more than %u stores to one location in a schedule", HISTORY_MAX);
	x->messages++;
	for (uint32_t i = l->history_count++; i > rank + 1u; i--) {
		l->history[i] = l->history[i - 1u];
		x->message[l->history[i]].rank = (uint16_t)i;
	}
	l->history[rank + 1u] = m;
	x->message[m] = (struct message){.value = value, .location = op->location,
					 .rank = (uint16_t)(rank + 1u), .modifies = modifies,
					 .thread = (uint8_t)t};
	l->last_message = m;
	/* A plain store happens in the event before it. */
	l->last_event = x->events + x->performing;
	op->inserted = rank + 2u < l->history_count;
	if (!op->inserted)
		explore_memory_raw_store(l->address, l->size, value);
	view_raise(x, &thread->now, op->location, m);
	view_raise(x, &thread->unacquired, op->location, m);
	if (releases(op->order) && (!modifies || before == INITIAL)) {
		x->message[m].view = view_freeze(x, &thread->now);
		return;
	}
	both = scratch_view(x);
	view_copy(&both, releases(op->order) ? &thread->now : &thread->released);
	/* A read-modify-write continues the release sequence of what it read. */
	if (modifies && before != INITIAL)
		view_join(x, &both, &x->message[before].view);
	view_raise(x, &both, op->location, m);
	x->message[m].view = view_freeze(x, &both);
}

static void ra_access(struct explorer *x, uint32_t t, struct op *op, uint32_t choice)
{
	struct thread *thread = &x->thread[t];
	uint32_t rank = ra_pick(x, t, op, choice);
	unsigned order = op->order;
	uint64_t to = op->value;
	bool writes;

	if (fenced(op))
		ra_fence(x, thread, EXPLORE_SEQ_CST);
	if (op->kind == OP_STORE) {
		ra_write(x, t, op, rank, op->value, false);
		return;
	}
	writes = modified(op, message_value(x, &x->location[op->location], rank), &to);
	if (op->kind == OP_SWAP && !writes)
		order = op->failure_order;
	ra_read(x, thread, op, rank, order);
	op->success = writes;
	if (writes)
		ra_write(x, t, op, rank, to, true);
}

/* ---- SC and TSO ------------------------------------------------------------------------------ */

static void sc_access(struct explorer *x, uint32_t t, struct op *op)
{
	struct thread *thread = &x->thread[t];
	struct location *l = &x->location[op->location];
	unsigned order = op->order;
	uint64_t to = op->value;
	struct buffered *own;
	struct known sync;

	if (op->kind == OP_STORE) {
		sync = sync_write(thread, order);
		if (x->options.model == EXPLORE_TSO && !fenced(op)) {
			buffer_store(x, thread, l, op->value, sync);
			return;
		}
		l->sync = sync;
		explore_memory_raw_store(l->address, l->size, op->value);
		return;
	}
	own = thread->buffer_count ? own_store(thread, l->address) : NULL;
	op->result = visible(thread, l);
	op->success = modified(op, op->result, &to);
	if (op->kind == OP_SWAP && !op->success)
		order = op->failure_order;
	if (!own)
		sync_read(thread, &l->sync, order);
	if (op->success) {
		sync = sync_write(thread, op->order);
		known_join(&l->sync, &sync);
		explore_memory_raw_store(l->address, l->size, to);
	}
}

void explore_memory_drain(struct explorer *x, uint32_t t)
{
	struct thread *thread = &x->thread[t];
	struct buffered *b = &thread->buffer[thread->buffer_first % BUFFER_MAX];
	struct location *l = &x->location[b->location];

	if (b->region != NO_REGION) {
		struct region *region = &x->region[b->region];
		char name[64];

		/* Its own CPU may give memory back behind a store; nobody else may have it yet. */
		if (!region->live ? region->retired_by != t
				  : region->claimed_by != t && region->retired_event > b->event + 1u) {
			explore_trace_address(x, b->address, name, sizeof(name));
			explore_fail("a store to %s leaves the store buffer after its memory was "
				     "given back", name);
		}
	}
	l->sync = b->sync;
	explore_memory_raw_store(b->address, b->size, b->value);
	thread->buffer_first++;
	thread->buffer_count--;
}

/* ---- any model ------------------------------------------------------------------------------- */

uint32_t explore_memory_choices(struct explorer *x, uint32_t t)
{
	struct thread *thread = &x->thread[t];
	const struct op *op = thread->pending;

	if (op->kind == OP_END)
		return 0;
	if (op->kind == OP_CHOOSE)
		return (uint32_t)op->value;
	if (x->options.model == EXPLORE_TSO && thread->buffer_count && explore_memory_waits_for_buffer(op))
		return 0;
	if (!is_access(op->kind) || op->kind == OP_FENCE)
		return 1;
	if (x->options.model == EXPLORE_RA)
		return ra_choices(x, t, op);
	return satisfied(op, visible(thread, &x->location[op->location]));
}

static void fence(struct explorer *x, struct thread *thread, unsigned order)
{
	if (x->options.model == EXPLORE_RA) {
		ra_fence(x, thread, order);
		return;
	}
	if (acquires(order))
		known_join(&thread->now.known, &thread->unacquired.known);
	if (releases(order))
		thread->released.known = thread->now.known;
}

/* A new life: what was stored in the old one is nobody's any more. */
static void forget_locations(struct explorer *x, uint16_t region)
{
	for (uint32_t i = 0; i < x->locations; i++)
		if (x->location[i].region == region)
			x->location[i].address = 0;
}

static void change_life(struct explorer *x, uint32_t t, struct op *op)
{
	struct region *region = &x->region[op->region];
	bool claim = op->kind == OP_CLAIM;

	if (region->live == claim)
		explore_fail(claim ? "%s is claimed and was not free"
				   : "%s is given back a second time", region->name);
	check_exclusive(x, t, region, claim ? "claiming it" : "giving it back");
	region->live = claim;
	if (claim) {
		region->claimed_by = (uint8_t)t;
		forget_locations(x, op->region);
	} else {
		region->retired_by = (uint8_t)t;
		region->retired_event = x->events + 1u;
	}
}

static void send_interrupt(struct explorer *x, struct thread *thread, uint32_t target)
{
	struct line *line = &x->thread[target].line;

	line->pending = true;
	if (x->options.model == EXPLORE_RA) {
		struct view both = scratch_view(x);

		view_copy(&both, &line->view);
		view_join(x, &both, &thread->released);
		line->view = view_freeze(x, &both);
	} else {
		known_join(&line->view.known, &thread->released.known);
	}
}

void explore_memory_take_interrupt(struct explorer *x, uint32_t t)
{
	struct thread *thread = &x->thread[t];
	struct line *line = &thread->line;

	line->pending = false;
	if (x->options.model == EXPLORE_RA) {
		view_join(x, &thread->unacquired, &line->view);
		view_join(x, &thread->now, &line->view);
	} else {
		known_join(&thread->now.known, &line->view.known);
	}
}

void explore_memory_perform(struct explorer *x, uint32_t t, struct op *op, uint32_t choice)
{
	struct thread *thread = &x->thread[t];

	op->stale = false;
	op->inserted = false;
	if (is_access(op->kind) && op->kind != OP_FENCE) {
		struct location *l = &x->location[op->location];

		/* Before: an acquire makes no access of its own legal. After: it knows the rest. */
		if (op->kind == OP_STORE) {
			check_atomic(x, t, l, false, true);
		} else if (l->region != NO_REGION && !x->region[l->region].live) {
			check_region(x, t, l->region, l->address);
		}
		if (x->options.model == EXPLORE_RA)
			ra_access(x, t, op, choice);
		else
			sc_access(x, t, op);
		if (op->kind != OP_STORE)
			check_atomic(x, t, l, true, is_modify(op->kind));
	} else if (op->kind == OP_COUNT_ADD || op->kind == OP_COUNT_READ) {
		op->result = explore_memory_raw_load((uintptr_t)op->address, op->size);
		if (op->kind == OP_COUNT_ADD)
			explore_memory_raw_store((uintptr_t)op->address, op->size,
						 op->result + op->value);
	} else if (op->kind == OP_FENCE) {
		fence(x, thread, op->order);
	} else if (op->kind == OP_RETIRE || op->kind == OP_CLAIM) {
		change_life(x, t, op);
	} else if (op->kind == OP_CHOOSE) {
		op->result = choice;
	} else if (op->kind == OP_SEND) {
		send_interrupt(x, thread, (uint32_t)op->value);
	}
	next_step(thread, t);
}

uint64_t explore_memory_plain_load(struct explorer *x, uint32_t t, uintptr_t address,
				   unsigned size)
{
	uint16_t number = get_location(x, address, size);
	struct location *l = &x->location[number];

	check_plain(x, t, l, false);
	/* No race, so what t knows of is the newest. */
	if (x->options.model == EXPLORE_RA)
		return message_value(x, l, l->history_count - 1u);
	return visible(&x->thread[t], l);
}

static void plain_write(struct explorer *x, uint32_t t, struct location *l, uint64_t value)
{
	struct thread *thread = &x->thread[t];
	struct op op = {.kind = OP_STORE, .size = l->size, .order = EXPLORE_RELAXED,
			.location = (uint16_t)(l - x->location)};

	value = truncated(value, l->size);
	if (x->options.model == EXPLORE_RA)
		ra_write(x, t, &op, l->history_count - 1u, value, false);
	else if (thread->buffer_count && own_store(thread, l->address))
		buffer_store(x, thread, l, value, thread->released.known);
	else
		explore_memory_raw_store(l->address, l->size, value);
}

void explore_memory_plain_store(struct explorer *x, uint32_t t, uintptr_t address, unsigned size,
				uint64_t value)
{
	struct location *l = &x->location[get_location(x, address, size)];

	check_plain(x, t, l, true);
	plain_write(x, t, l, value);
}

void explore_memory_plain_fill(struct explorer *x, uint32_t t, uintptr_t address, unsigned size,
			       unsigned count, uint64_t value, uint64_t step)
{
	struct region *region = explore_memory_region(x, address);

	if (!region || (uintptr_t)size * count > region->base + region->size - address) {
		for (unsigned i = 0; i < count; i++)
			explore_memory_plain_store(x, t, address + (uintptr_t)i * size, size,
						   value + step * i);
		return;
	}
	if (!region->live)
		check_region(x, t, (uint16_t)(region - x->region), address);
	check_exclusive(x, t, region, "filling");
	for (unsigned i = 0; i < count; i++) {
		uint32_t unused;
		uint32_t number = find_location(x, address + (uintptr_t)i * size, &unused);

		if (number == UINT32_MAX)
			explore_memory_raw_store(address + (uintptr_t)i * size, size,
						 truncated(value + step * i, size));
		else
			plain_write(x, t, &x->location[number], value + step * i);
	}
}

/* ---- a new schedule --------------------------------------------------------------------------- */

static void reset_view(struct view *view, uint16_t *room)
{
	memset(&view->known, 0, sizeof(view->known));
	view->count = 0;
	view->message = room;
}

void explore_memory_reset(struct explorer *x)
{
	uint16_t *room = x->thread_views;

	x->run++;
	x->locations = x->objects = x->view_used = 0;
	x->messages = 1;
	x->fence_object = explore_memory_object(x);
	for (uint32_t t = 0; t < THREADS; t++) {
		struct thread *thread = &x->thread[t];

		thread->buffer_first = thread->buffer_count = 0;
		reset_view(&thread->now, room);
		reset_view(&thread->unacquired, room + LOCATIONS_MAX);
		reset_view(&thread->released, room + 2u * LOCATIONS_MAX);
		room += 3u * LOCATIONS_MAX;
		thread->now.known.step[t] = 1;
		thread->line.pending = false;
		thread->buffer_object = explore_memory_object(x);
		thread->line.object = explore_memory_object(x);
		reset_view(&thread->line.view, NULL);
	}
	/* `room` is now what scratch_view() uses. */
	reset_view(&x->fence_view, room + LOCATIONS_MAX);
	for (uint32_t i = 0; i < x->regions; i++) {
		struct region *region = &x->region[i];

		region->object = explore_memory_object(x);
		region->live = !region->free_at_start;
		region->claimed_by = region->retired_by = 0;
		region->retired_event = 0;
		memset(&region->touched, 0, sizeof(region->touched));
		memset(&region->exclusive, 0, sizeof(region->exclusive));
	}
}
