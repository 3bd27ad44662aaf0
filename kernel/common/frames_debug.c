/* SPDX-License-Identifier: MIT */
/*
 * frames_debug: `debug_pagealloc=on`. Every free frame is absent from the direct map, so that a
 * use after it was given back faults, and who gave it back is remembered.
 *
 * A frame goes out of the map, on every CPU, before the allocator has it, and into the map after
 * the allocator has given it. Where frames may be given back shootdowns may be sent; the one place
 * that needs care is a change of the direct map itself, which takes and gives table pages while
 * it holds the direct map's lock.
 */
#include "frames_private.h"

#include <arch.h>
#include <cpu.h>
#include <reach.h>
#include <symbols.h>
#include <thread.h>
#include <vm.h>

bool frames_debug;

/* Return addresses, as distances from IMAGE_BASE; 0: none. */
#define TRACE 5u
/* Behind the descriptor of each frame. */
struct history {
	uint32_t caller[TRACE];
	uint16_t cpu;
	uint16_t given; /* 1: somebody gave it back */
	uint64_t tick;
};
size_t frames_debug_init(void)
{
	frames_debug = command_line_has("debug_pagealloc=on", NULL, 0);
	return frames_debug ? sizeof(struct history) : 0;
}

static struct history *history_of(uint64_t number)
{
	return (struct history *)(frame_at(number) + 1);
}

/* The part of a block that the direct map has a place for; false: none of it. */
static bool direct_part(kelp_paddr_t address, uint64_t frames, kelp_pfn_t *first, uint64_t *count)
{
	uint64_t limit = kernel_direct.size >> PAGE_SHIFT;

	first->number = address >> PAGE_SHIFT;
	if (first->number >= limit)
		return false;
	*count = min_u64(frames, limit - first->number);
	return true;
}

/* Interrupts are off. Under the direct map's lock, which this CPU may hold already. */
static void change(bool give, kelp_paddr_t address, uint64_t frames)
{
	bool nested = direct_lock_is_mine();
	struct kelp_flush flush = {0};
	enum kelp_status status;
	unsigned long flags = 0;
	kelp_pfn_t first;
	uint64_t count;

	if (!direct_part(address, frames, &first, &count))
		return;
	assert(!this_cpu()->reading);
	if (!nested)
		flags = direct_lock();
	kelp_flush_begin(&flush, &kernel_space);
	if (give)
		status = kelp_debug_pages_free_gather(&kernel_direct, &flush, first, count);
	else
		status = kelp_debug_pages_allocate_gather(&kernel_direct, &flush, first, count);
	vm_commit(&flush);
	if (!nested)
		direct_unlock(flags);
	if (status != KELP_OK)
		panic("debug_pagealloc: %llu frames from 0x%llx on, %s: %s",
		      (unsigned long long)count, (unsigned long long)address,
		      give ? "given back" : "taken",
		      status == KELP_ERR_NOT_MAPPED ? "some are absent already"
		      : status == KELP_ERR_EXISTS ? "some are present although they were free"
						  : kelp_status_text(status));
}

void frames_debug_give(kelp_paddr_t address, uint64_t frames)
{
	struct history now = {.cpu = (uint16_t)this_cpu()->index, .given = 1, .tick = arch_ticks()};
	uintptr_t caller[1 + TRACE] = {0};
	unsigned callers = backtrace_collect(caller, ARRAY_COUNT(caller));

	/* The first is frames_give() itself. */
	for (unsigned i = 1; i < callers; i++)
		now.caller[i - 1u] = (uint32_t)(caller[i] - IMAGE_BASE);
	for (uint64_t i = 0; i < frames; i++)
		*history_of((address >> PAGE_SHIFT) + i) = now;
	change(true, address, frames);
}

void frames_debug_take(kelp_paddr_t address, uint64_t frames)
{
	change(false, address, frames);
}

/* Free from the start: nobody has given it. */
void frames_debug_free(kelp_paddr_t address, uint64_t frames)
{
	unsigned long flags = arch_irq_save();

	change(true, address, frames);
	arch_irq_restore(flags);
}

bool frames_explain_free(kelp_paddr_t address, char *text, size_t size)
{
	const struct history *h;
	char symbol[SYMBOL_TEXT];
	size_t length;

	if (!frames_debug || !frames_manages(address))
		return false;
	h = history_of(address >> PAGE_SHIFT);
	if (!h->given) {
		format_text(text, size, "the frame is free: nobody has taken it since the start\n");
		return true;
	}
	length = format_text(text, size,
			     "the frame is free: given back %llu us ago by CPU %u, called from\n",
			     (unsigned long long)ticks_to_microseconds(arch_ticks() - h->tick),
			     h->cpu);
	for (unsigned i = 0; i < TRACE && h->caller[i]; i++)
		length += format_text(text + length, size - length, "    %s\n",
				      symbol_text(symbol, IMAGE_BASE + h->caller[i]));
	return true;
}
