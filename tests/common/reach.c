/* SPDX-License-Identifier: MIT */
#include "reach.h"

#include <stdlib.h>
#include <string.h>

void reach_begin(struct reach *reach, struct bare *bare)
{
	memset(reach, 0, sizeof(*reach));
	reach->format = bare->format;
	reach->port = bare->port;
	reach_tlb_begin(reach);
	assert_status(kelp_space_init(&reach->space, bare->format, &bare->port->hooks, 0), KELP_OK);
	judge_init(&reach->judge, &reach->space, bare->port);
}

void reach_end(struct reach *reach)
{
	test_port_fail(reach->port, 0, false);
	reach_settled(reach);
	if (!reach->unjudged)
		judge_destroying(&reach->judge);
	kelp_space_destroy(&reach->space);
	assert_int_equal(reach->port->live, 0);
	judge_free(&reach->judge);
	raw_free(&reach->saved);
	for (unsigned i = 0; i < reach->frame_count; i++)
		free(reach->frames[i].memory);
	assert_no_failure();
}

void reach_dismiss_judge(struct reach *reach)
{
	reach->port->on_give = NULL;
	reach->port->on_shootdown = NULL;
	reach->port->on_wait = NULL;
	reach->unjudged = true;
}

void reach_settled(struct reach *reach)
{
	if (reach->unjudged)
		return;
	judge_observe(&reach->judge);
	judge_check_clean(&reach->judge);
	assert_no_failure();
}

void reach_save(struct reach *reach)
{
	raw_collect(&reach->saved, reach->format, reach->port, reach->space.root);
}

bool reach_is_as_saved(struct reach *reach)
{
	struct raw_list now = {0};
	bool same;

	raw_collect(&now, reach->format, reach->port, reach->space.root);
	same = now.count == reach->saved.count;
	for (size_t i = 0; same && i < now.count; i++) {
		const struct raw_entry *a = &now.items[i], *b = &reach->saved.items[i];

		same = a->va == b->va && a->level == b->level && a->kind == b->kind &&
		       a->owned == b->owned &&
		       (a->kind == KELP_ENTRY_TABLE || a->entry == b->entry);
	}
	raw_free(&now);
	return same;
}

enum kelp_status reach_quiesce(void *context, void (*work)(void *argument), void *argument)
{
	struct reach *reach = context;
	bool forbidden = reach->port->forbid_take;
	unsigned gives = reach->port->gives;

	if (reach->quiesce_refuses)
		return KELP_ERR_BUSY;
	assert_false(reach->inside);
	reach->inside = true;
	reach->port->forbid_take = true;
	reach_tlb_park(reach);
	work(argument);
	reach_tlb_unpark(reach);
	reach->port->forbid_take = forbidden;
	reach->inside = false;
	reach->quiesced++;
	/* The allocator's lock may be held by a CPU that is parked. */
	assert_int_equal(reach->port->gives, gives);
	return KELP_OK;
}

unsigned char *reach_frame(struct reach *reach, kelp_paddr_t pa)
{
	size_t size = (size_t)1 << reach->format->page_shift;
	struct reach_frame *frame;

	assert_int_equal(pa & (size - 1u), 0);
	for (unsigned i = 0; i < reach->frame_count; i++)
		if (reach->frames[i].pa == pa)
			return reach->frames[i].memory;
	assert_true(reach->frame_count < COUNT_OF(reach->frames));
	frame = &reach->frames[reach->frame_count++];
	frame->pa = pa;
	frame->memory = malloc(size);
	assert_non_null(frame->memory);
	for (size_t i = 0; i < size; i++)
		frame->memory[i] = (unsigned char)((pa >> reach->format->page_shift) ^ i);
	return frame->memory;
}
