/* SPDX-License-Identifier: MIT */
/* The operations as the explored program calls them: each posts itself and waits its turn. */
#include "explore_internal.h"

#include <stdarg.h>
#include <stdlib.h>

_Thread_local struct explorer *explore_current;

/* In a thread of the program, not in setup, finish or invariant. */
static struct explorer *running(void)
{
	struct explorer *x = explore_current;

	return x && x->self != UINT32_MAX ? x : NULL;
}

/* Waits until the scheduler has performed `op`; takes interrupts meanwhile. */
static void issue(struct explorer *x, struct op *op)
{
	uint32_t t = x->self;
	struct thread *thread = &x->thread[t];

	explore_memory_prepare(x, t, op);
	thread->pending = op;
	explore_fiber_suspend(&thread->fiber);
	while (thread->take_interrupt) {
		thread->take_interrupt = false;
		thread->interrupts_on = false;
		x->program->interrupt(x->program->context, t);
		thread->interrupts_on = true;
		thread->pending = op;
		explore_fiber_suspend(&thread->fiber);
	}
}

void explore_program_thread(void *argument)
{
	struct explorer *x = explore_current;
	struct op end = {.kind = OP_END};

	x->program->thread[(uintptr_t)argument](x->program->context);
	x->thread[x->self].ended = true;
	x->thread[x->self].interrupts_on = true;
	for (;;)
		issue(x, &end);
}

/* Outside of threads: at once. */
static uint64_t direct(struct op *op)
{
	uintptr_t address = (uintptr_t)op->address;
	uint64_t old = explore_memory_raw_load(address, op->size);

	op->result = old;
	switch (op->kind) {
	case OP_STORE:
	case OP_EXCHANGE: explore_memory_raw_store(address, op->size, op->value); break;
	case OP_ADD:
	case OP_COUNT_ADD: explore_memory_raw_store(address, op->size, old + op->value); break;
	case OP_OR: explore_memory_raw_store(address, op->size, old | op->value); break;
	case OP_AND: explore_memory_raw_store(address, op->size, old & op->value); break;
	case OP_SWAP:
	case OP_AWAIT_SWAP:
		op->success = old == op->expected;
		if (op->success)
			explore_memory_raw_store(address, op->size, op->value);
		break;
	default: break;
	}
	return old;
}

static uint64_t access(struct op *op)
{
	struct explorer *x = running();

	if (!x)
		return direct(op);
	issue(x, op);
	return op->result;
}

uint64_t explore_load(const void *address, unsigned size, enum explore_order order)
{
	struct op op = {.kind = OP_LOAD, .size = (uint8_t)size, .order = (uint8_t)order,
			.address = (void *)(uintptr_t)address};

	return access(&op);
}

void explore_store(void *address, unsigned size, uint64_t value, enum explore_order order)
{
	struct op op = {.kind = OP_STORE, .size = (uint8_t)size, .order = (uint8_t)order,
			.address = address, .value = value};

	access(&op);
}

bool explore_swap(void *address, unsigned size, uint64_t *expected, uint64_t desired,
		  enum explore_order success, enum explore_order failure)
{
	struct op op = {.kind = OP_SWAP, .size = (uint8_t)size, .order = (uint8_t)success,
			.failure_order = (uint8_t)failure, .address = address, .value = desired,
			.expected = *expected};

	*expected = access(&op);
	return op.success;
}

static uint64_t modify(enum op_kind kind, void *address, unsigned size, uint64_t value,
		       enum explore_order order)
{
	struct op op = {.kind = (uint8_t)kind, .size = (uint8_t)size, .order = (uint8_t)order,
			.address = address, .value = value};

	return access(&op);
}

uint64_t explore_exchange(void *address, unsigned size, uint64_t value, enum explore_order order)
{
	return modify(OP_EXCHANGE, address, size, value, order);
}

uint64_t explore_add(void *address, unsigned size, uint64_t n, enum explore_order order)
{
	return modify(OP_ADD, address, size, n, order);
}

uint64_t explore_or(void *address, unsigned size, uint64_t bits, enum explore_order order)
{
	return modify(OP_OR, address, size, bits, order);
}

uint64_t explore_and(void *address, unsigned size, uint64_t bits, enum explore_order order)
{
	return modify(OP_AND, address, size, bits, order);
}

void explore_fence(enum explore_order order)
{
	struct explorer *x = running();
	struct op op = {.kind = OP_FENCE, .order = (uint8_t)order};

	/* Fences of other orders do nothing under SC and TSO but order plain accesses. */
	if (x)
		issue(x, &op);
}

void explore_count_add(void *address, unsigned size, uint64_t n)
{
	modify(OP_COUNT_ADD, address, size, n, EXPLORE_RELAXED);
}

uint64_t explore_count_read(const void *address, unsigned size)
{
	struct op op = {.kind = OP_COUNT_READ, .size = (uint8_t)size,
			.address = (void *)(uintptr_t)address};

	return access(&op);
}

static uint64_t await(struct op *op)
{
	uint64_t value = access(op);

	if (!running() && (op->kind == OP_AWAIT_SWAP
				   ? !op->success
				   : ((value & op->mask) == (op->expected & op->mask)) ==
					     op->negated))
		explore_fail("waits outside of a thread for what nobody can do");
	return value;
}

uint64_t explore_await(const void *address, unsigned size, uint64_t mask, uint64_t wanted,
		       enum explore_order order)
{
	struct op op = {.kind = OP_AWAIT, .size = (uint8_t)size, .order = (uint8_t)order,
			.address = (void *)(uintptr_t)address, .mask = mask, .expected = wanted};

	return await(&op);
}

uint64_t explore_await_not(const void *address, unsigned size, uint64_t mask, uint64_t unwanted,
			   enum explore_order order)
{
	struct op op = {.kind = OP_AWAIT, .size = (uint8_t)size, .order = (uint8_t)order,
			.address = (void *)(uintptr_t)address, .mask = mask, .expected = unwanted,
			.negated = true};

	return await(&op);
}

void explore_await_swap(void *address, unsigned size, uint64_t wanted, uint64_t desired,
			enum explore_order order)
{
	struct op op = {.kind = OP_AWAIT_SWAP, .size = (uint8_t)size, .order = (uint8_t)order,
			.address = address, .expected = wanted, .value = desired};

	await(&op);
}

/* ---- plain accesses and regions --------------------------------------------------------------- */

uint64_t explore_plain_load(const void *address, unsigned size)
{
	struct explorer *x = running();

	return x ? explore_memory_plain_load(x, x->self, (uintptr_t)address, size)
		 : explore_memory_raw_load((uintptr_t)address, size);
}

void explore_plain_store(void *address, unsigned size, uint64_t value)
{
	struct explorer *x = running();

	if (x)
		explore_memory_plain_store(x, x->self, (uintptr_t)address, size, value);
	else
		explore_memory_raw_store((uintptr_t)address, size, value);
}

void explore_plain_fill(void *address, unsigned size, unsigned count, uint64_t value,
			uint64_t step)
{
	struct explorer *x = running();

	if (x) {
		explore_memory_plain_fill(x, x->self, (uintptr_t)address, size, count, value, step);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		explore_memory_raw_store((uintptr_t)address + (uintptr_t)i * size, size,
					 value + step * i);
}

static void declare_region(void *base, size_t size, unsigned element_size, const char *name,
			   bool free_at_start)
{
	struct explorer *x = explore_current;
	struct region *region;

	if (!x || !x->in_setup)
		explore_misuse("a region is declared outside of setup");
	if (x->regions == REGIONS_MAX)
		explore_misuse("more than %u regions", REGIONS_MAX);
	region = &x->region[x->regions++];
	*region = (struct region){
		.base = (uintptr_t)base,
		.size = size,
		.element_size = element_size ? element_size : 1u,
		.name = name,
		.free_at_start = free_at_start,
	};
}

void explore_region(void *base, size_t size, unsigned element_size, const char *name)
{
	declare_region(base, size, element_size, name, false);
}

void explore_region_free(void *base, size_t size, unsigned element_size, const char *name)
{
	declare_region(base, size, element_size, name, true);
}

static void change_life(enum op_kind kind, void *base)
{
	struct explorer *x = explore_current;
	struct op op = {.kind = (uint8_t)kind, .address = base};
	struct region *region;

	if (running()) {
		issue(x, &op);
		return;
	}
	region = x ? explore_memory_region(x, (uintptr_t)base) : NULL;
	if (!region || region->base != (uintptr_t)base)
		explore_misuse("%p is not the base of a region", base);
	if (x->in_setup)
		region->free_at_start = kind == OP_RETIRE;
	region->live = kind == OP_CLAIM;
}

void explore_retire(void *base)
{
	change_life(OP_RETIRE, base);
}

void explore_claim(void *base)
{
	change_life(OP_CLAIM, base);
}

bool explore_is_live(const void *base)
{
	struct explorer *x = explore_current;
	const struct region *region = x ? explore_memory_region(x, (uintptr_t)base) : NULL;

	return region && region->live;
}

/* ---- everything else --------------------------------------------------------------------------- */

void explore_step(const void *object, bool changes, const char *what)
{
	struct explorer *x = running();
	struct op op = {.kind = OP_STEP, .address = (void *)(uintptr_t)object, .what = what,
			.success = changes};

	if (x)
		issue(x, &op);
}

uint32_t explore_choose(uint32_t count, const char *what)
{
	struct explorer *x = running();
	struct op op = {.kind = OP_CHOOSE, .value = count, .what = what};

	if (!x)
		return 0;
	if (count == 0 || count > UINT16_MAX)
		explore_misuse("explore_choose() among %u", count);
	issue(x, &op);
	return (uint32_t)op.result;
}

void explore_interrupt_send(uint32_t thread)
{
	struct explorer *x = running();
	struct op op = {.kind = OP_SEND, .value = thread};

	if (!x || !x->program->interrupt || thread >= x->program->threads)
		explore_misuse("an interrupt is sent to thread %u: there is no handler, no such "
			       "thread, or no thread sends it", thread);
	issue(x, &op);
}

bool explore_interrupts_off(void)
{
	struct explorer *x = running();
	bool were_on = x && x->thread[x->self].interrupts_on;

	if (x)
		x->thread[x->self].interrupts_on = false;
	return were_on;
}

void explore_interrupts_on(void)
{
	struct explorer *x = running();

	if (x)
		x->thread[x->self].interrupts_on = true;
}

uint32_t explore_self(void)
{
	return explore_current ? explore_current->self : UINT32_MAX;
}

void explore_note(const char *format, ...)
{
	struct explorer *x = explore_current;
	va_list arguments;

	if (!x || !x->tracing || x->notes == NOTES_MAX)
		return;
	x->note[x->notes].event = x->events;
	x->note[x->notes].thread = (uint8_t)(x->self == UINT32_MAX ? NO_ACTOR : x->self);
	va_start(arguments, format);
	vsnprintf(x->note[x->notes].text, sizeof(x->note[0].text), format, arguments);
	va_end(arguments);
	x->notes++;
}

/* Leaves the program for good: a fiber is abandoned where it stands. */
static _Noreturn void stop(struct explorer *x)
{
	x->stopped = true;
	if (x->self != UINT32_MAX) {
		struct thread *thread = &x->thread[x->self];

		for (;;)
			explore_fiber_suspend(&thread->fiber);
	}
	longjmp(x->escape, 1);
}

static _Noreturn void stop_with(enum end end, const char *format, va_list arguments)
{
	struct explorer *x = explore_current;

	if (!x) {
		vfprintf(stderr, format, arguments);
		fputc('\n', stderr);
		abort();
	}
	if (!x->stopped) {
		vsnprintf(x->why, sizeof(x->why), format, arguments);
		x->end = end;
	}
	stop(x);
}

_Noreturn void explore_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	stop_with(END_FAILED, format, arguments);
}

_Noreturn void explore_misuse(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	stop_with(END_MISUSED, format, arguments);
}
