/* SPDX-License-Identifier: MIT */
/*
 * Accesses through a TLB that never forgets by itself: the hosted double of the simulated
 * machine's (tests/sim/support/machine_reach.c).
 */
#include "reach.h"

/* The one that began last; slots know of no context. */
static struct reach *current;

static void drop(struct reach *reach, const struct kelp_flush_request *request, bool every_cpu)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < reach->cached_count; i++) {
		const struct reach_cached *cached = &reach->cached[i];
		bool hit = request->flags & (KELP_FLUSH_ALL | KELP_FLUSH_ROOT);

		for (uint32_t r = 0; r < request->count; r++)
			hit = hit || (cached->va >= request->range[r].first &&
				      cached->va <= request->range[r].last);
		/* A global translation survives a request that does not know of any. */
		if ((cached->attributes & KELP_ATTR_GLOBAL) &&
		    !(request->flags & KELP_FLUSH_GLOBAL))
			hit = false;
		if (!hit || !(every_cpu || cached->cpu == reach->cpu))
			reach->cached[kept++] = *cached;
	}
	reach->cached_count = kept;
}

void reach_flush_local(const struct kelp_flush_request *request)
{
	current->local_flushes++;
	drop(current, request, false);
}

static void (*port_shootdown)(void *context, const struct kelp_flush_request *request);

static void shootdown(void *context, const struct kelp_flush_request *request)
{
	port_shootdown(context, request);
	drop(current, request, true);
}

void reach_tlb_begin(struct reach *reach)
{
	struct kelp_port *hooks = &reach->port->hooks;

	current = reach;
	if (hooks->shootdown != shootdown) {
		port_shootdown = hooks->shootdown;
		hooks->shootdown = shootdown;
	}
}

/* Parked CPUs access nothing, and drop everything before they do again. */
void reach_tlb_park(struct reach *reach)
{
	(void)reach;
}

void reach_tlb_unpark(struct reach *reach)
{
	reach->cached_count = 0;
}

bool reach_holds_nothing(struct reach *reach)
{
	return reach->cached_count == 0;
}

unsigned char *reach_access(struct reach *reach, kelp_vaddr_t va, bool write)
{
	uint64_t offset = va & (page_of(reach->format) - 1u);
	struct reach_cached *cached = NULL;

	for (unsigned i = 0; !cached && i < reach->cached_count; i++)
		if (reach->cached[i].cpu == reach->cpu && reach->cached[i].va == va - offset)
			cached = &reach->cached[i];
	if (!cached) {
		struct reach_cached fresh = {.cpu = reach->cpu, .va = va - offset};

		if (!raw_translate(reach->format, reach->port, reach->space.root, fresh.va,
				   &fresh.pa, &fresh.attributes))
			return NULL;
		assert_true(reach->cached_count < COUNT_OF(reach->cached));
		cached = &reach->cached[reach->cached_count++];
		*cached = fresh;
	}
	if (write && !(cached->attributes & KELP_ATTR_WRITE))
		return NULL;
	return reach_frame(reach, cached->pa) + offset;
}
