/* SPDX-License-Identifier: MIT */
/* kmap: an address for a frame, for a short time. See kelp/kmap.h. */
#include <kelp/kmap.h>

#include "debug.h"

/* A CPU's interrupts see the stores of what they interrupt in this order. */
static inline void in_order(void)
{
	__asm__ volatile("" ::: "memory");
}

/* ---- setting up ---------------------------------------------------------------------------- */

static kelp_vaddr_t local_address(const struct kelp_kmap *kmap, uint32_t cpu, uint32_t index)
{
	uint32_t place = kmap->flags & KELP_KMAP_GUARDS ? 2u * index + 1u : index;
	uint64_t page = (uint64_t)cpu * KELP_KMAP_LOCAL_PAGES(kmap->flags) + place;

	return kmap->local_base + (page << kmap->page_shift);
}

static enum kelp_status find_slot(struct kelp_kmap *kmap, kelp_vaddr_t va, struct kelp_slot *slot)
{
	enum kelp_status status = kelp_slot_find(kmap->space, va, slot);

	if (status != KELP_OK)
		return status;
	if (!kelp_slot_is_none(slot))
		return KELP_ERR_EXISTS;
	return kelp_slot_check(slot, 0, kmap->attributes);
}

static enum kelp_status find_slots(struct kelp_kmap *kmap)
{
	enum kelp_status status = KELP_OK;

	for (uint32_t cpu = 0; status == KELP_OK && cpu < kmap->cpus; cpu++)
		for (uint32_t i = 0; status == KELP_OK && i < KELP_KMAP_DEPTH; i++)
			status = find_slot(kmap, local_address(kmap, cpu, i),
					   &kmap->cpu[cpu].slot[i]);
	for (uint32_t i = 0; status == KELP_OK && i < kmap->pages; i++) {
		struct kelp_slot slot;

		status = find_slot(kmap, kmap->global_base + ((uint64_t)i << kmap->page_shift),
				   &slot);
		kmap->page[i] = (struct kelp_kmap_page){.count = 0};
	}
	return status;
}

static void release_range(struct kelp_kmap *kmap, struct kelp_flush *flush, kelp_vaddr_t base,
			  uint64_t size)
{
	enum kelp_status status;

	if (size == 0)
		return;
	status = kelp_space_release(flush, base, size, NULL);
	KELP_ASSERT_ALWAYS(kmap->space->port, status == KELP_OK,
			   "kelp_kmap: a range is not what init checked");
}

static void release(struct kelp_kmap *kmap)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, kmap->space);
	release_range(kmap, &flush, kmap->local_base, kmap->local_size);
	release_range(kmap, &flush, kmap->global_base, kmap->global_size);
	kelp_flush_commit(&flush);
}

static enum kelp_status check(const struct kelp_kmap_config *config)
{
	const struct kelp_kmap_hooks *hooks = config->hooks;

	if (config->cpus == 0 || (config->flags & ~(KELP_KMAP_FORCE | KELP_KMAP_GUARDS)) ||
	    (config->attributes & KELP_ATTR_INVALID) || config->attributes == 0)
		return KELP_ERR_ARGUMENT;
	if (config->pages & (config->pages - 1u))
		return KELP_ERR_ARGUMENT;
	if (config->pages && (!hooks || !hooks->lock || !hooks->unlock))
		return KELP_ERR_ARGUMENT;
	if (config->pages && hooks->sleep && !hooks->wake)
		return KELP_ERR_ARGUMENT;
	return KELP_OK;
}

static bool overlap(kelp_vaddr_t a, uint64_t a_size, kelp_vaddr_t b, uint64_t b_size)
{
	return b - a < a_size || a - b < b_size;
}

/* Two owners of one slot would not notice each other: each finds it none. */
static enum kelp_status check_ranges(const struct kelp_kmap *kmap,
				     const struct kelp_directmap *direct)
{
	kelp_vaddr_t window = direct ? direct->first + direct->offset : 0;
	uint64_t size = direct ? direct->size : 0;

	if (kmap->pages && overlap(kmap->local_base, kmap->local_size, kmap->global_base,
				   kmap->global_size))
		return KELP_ERR_ARGUMENT;
	if (size && (overlap(kmap->local_base, kmap->local_size, window, size) ||
		     (kmap->pages && overlap(kmap->global_base, kmap->global_size, window, size))))
		return KELP_ERR_EXISTS;
	return KELP_OK;
}

static enum kelp_status populate(struct kelp_kmap *kmap)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, kmap->space);
	status = kelp_space_populate(&flush, kmap->local_base, kmap->local_size, kmap->page_shift,
				     0);
	if (status == KELP_OK && kmap->global_size) {
		status = kelp_space_populate(&flush, kmap->global_base, kmap->global_size,
					     kmap->page_shift, 0);
		if (status != KELP_OK)
			release_range(kmap, &flush, kmap->local_base, kmap->local_size);
	}
	kelp_flush_commit(&flush);
	return status;
}

enum kelp_status kelp_kmap_init(struct kelp_kmap *kmap, const struct kelp_kmap_config *config)
{
	const struct kelp_directmap *direct = config->directmap;
	uint32_t page_shift = config->space->format->page_shift;
	enum kelp_status status = check(config);

	if (status != KELP_OK)
		return status;
	*kmap = (struct kelp_kmap){
		.page_shift = page_shift,
		.flags = config->flags,
		.space = config->space,
		.attributes = kelp_format_used(config->space->format, config->attributes),
		.local_base = config->local_base,
		.local_size = (uint64_t)config->cpus * KELP_KMAP_LOCAL_PAGES(config->flags)
			      << page_shift,
		.cpus = config->cpus,
		.cpu = config->cpu,
		.global_base = config->global_base,
		.global_size = (uint64_t)config->pages << page_shift,
		.pages = config->pages,
		.page = config->page,
	};
	if (config->pages) {
		kmap->hooks = *config->hooks;
		kmap->last = config->pages - 1u;
	}
	if (direct && !(config->flags & KELP_KMAP_FORCE)) {
		kmap->direct_first_frame = direct->first >> page_shift;
		kmap->direct_frames = direct->size >> page_shift;
		kmap->direct_first = direct->first;
		kmap->direct_size = direct->size;
		kmap->direct_offset = direct->offset;
	}
	status = check_ranges(kmap, direct);
	if (status == KELP_OK)
		status = populate(kmap);
	if (status != KELP_OK)
		return status;
	status = find_slots(kmap);
	if (status != KELP_OK)
		release(kmap);
	return status;
}

/* ---- local (INV-3.7) ----------------------------------------------------------------------- */

static kelp_paddr_t frame_address(const struct kelp_kmap *kmap, kelp_pfn_t pfn)
{
	kelp_paddr_t pa = pfn.number << kmap->page_shift;

	/* A number that does not fit names no frame; the format refuses this address. */
	return pa >> kmap->page_shift == pfn.number ? pa : UINT64_MAX << kmap->page_shift;
}

enum kelp_status kelp_kmap_local_mapped(struct kelp_kmap *kmap, struct kelp_kmap_context *context,
					uint32_t cpu, kelp_pfn_t pfn, kelp_attr_t attributes,
					kelp_vaddr_t *va)
{
	const struct kelp_port *port = kmap->space->port;
	kelp_paddr_t pa = frame_address(kmap, pfn);
	uint32_t index = context->depth;
	const struct kelp_slot *slot;
	enum kelp_status status;

	attributes = kelp_format_used(kmap->space->format, attributes);
	KELP_ASSERT_ALWAYS(port, index < KELP_KMAP_DEPTH && cpu < kmap->cpus,
			   "kelp_kmap_local: too many maps at once, or no such CPU");
	KELP_ASSERT_ALWAYS(port, index == 0 || context->cpu == cpu,
			   "kelp_kmap_local: the context has moved while it held a map");
	slot = &kmap->cpu[cpu].slot[index];
	/* The place is taken before it is used: an interrupt in between takes the next one. */
	context->cpu = cpu;
	context->map[index].attributes = 0;
	in_order();
	context->depth = index + 1u;
	in_order();
	KELP_ASSERT_DEBUG(port, kelp_slot_is_none(slot),
			  "kelp_kmap_local: the slot is in use: another context's maps were not "
			  "switched out");
	/* Recorded before it is mapped: a switch in between maps it, and so does what follows. */
	context->map[index].pa = pa;
	in_order();
	context->map[index].attributes = attributes;
	in_order();
	status = kelp_slot_set(slot, pa, attributes);
	if (status != KELP_OK) {
		context->map[index].attributes = 0;
		in_order();
		context->depth = index;
		/* With the attributes that init checked it can only be the frame's address. */
		return attributes == kmap->attributes ? KELP_ERR_ADDRESS : status;
	}
	*va = slot->va;
	return KELP_OK;
}

void kelp_kunmap_local_mapped(struct kelp_kmap *kmap, struct kelp_kmap_context *context,
			      uint32_t cpu, kelp_vaddr_t va)
{
	const struct kelp_port *port = kmap->space->port;
	uint32_t index = context->depth - 1u;
	const struct kelp_slot *slot;

	KELP_ASSERT_ALWAYS(port, context->depth > 0 && context->cpu == cpu,
			   "kelp_kunmap_local: nothing is mapped, or the context has moved");
	slot = &kmap->cpu[cpu].slot[index];
	/* INV-3.7: the last one first; an address inside the page will do. */
	KELP_ASSERT_ALWAYS(port, va >> kmap->page_shift == slot->va >> kmap->page_shift,
			   "kelp_kunmap_local: not the map that was made last");
	/* No longer recorded before it is none, none before the place is given up. */
	context->map[index].attributes = 0;
	in_order();
	kelp_slot_clear(slot);
	in_order();
	context->depth = index;
}

void kelp_kmap_switch_out(struct kelp_kmap *kmap, struct kelp_kmap_context *context)
{
	const struct kelp_kmap_cpu *cpu = &kmap->cpu[context->cpu];
	uint32_t depth = context->depth;

	if (depth == 0)
		return;
	for (uint32_t i = 0; i < depth; i++)
		kelp_slot_drop(&cpu->slot[i]);
	kelp_slot_invalidate(kmap->space, cpu->slot[0].va, cpu->slot[depth - 1u].va);
}

void kelp_kmap_switch_in(struct kelp_kmap *kmap, struct kelp_kmap_context *context, uint32_t cpu)
{
	const struct kelp_port *port = kmap->space->port;

	if (context->depth == 0)
		return;
	KELP_ASSERT_ALWAYS(port, context->cpu == cpu,
			   "kelp_kmap_switch_in: the context has moved while it held a map");
	for (uint32_t i = 0; i < context->depth; i++) {
		enum kelp_status status = KELP_OK;

		KELP_ASSERT_DEBUG(port, kelp_slot_is_none(&kmap->cpu[cpu].slot[i]),
				  "kelp_kmap_switch_in: another context's maps were not switched "
				  "out");
		if (context->map[i].attributes)
			status = kelp_slot_set(&kmap->cpu[cpu].slot[i], context->map[i].pa,
					       context->map[i].attributes);
		/* A frame that cannot be mapped is refused by the map that was interrupted. */
		(void)status;
	}
}

/* ---- global (INV-3.8) ---------------------------------------------------------------------- */

static kelp_vaddr_t page_address(const struct kelp_kmap *kmap, uint32_t index)
{
	return kmap->global_base + ((uint64_t)index << kmap->page_shift);
}

/* The chain of slots that a frame can be in begins at this slot's `head`. */
static uint32_t hash(const struct kelp_kmap *kmap, kelp_pfn_t pfn)
{
	uint32_t low = (uint32_t)pfn.number, high = (uint32_t)(pfn.number >> 32);

	low = (low ^ high * 0x85ebca6bu) * 0x9e3779b1u;
	return (low ^ low >> 15) & (kmap->pages - 1u);
}

static struct kelp_kmap_page *lookup(struct kelp_kmap *kmap, kelp_pfn_t pfn)
{
	uint32_t at = kmap->page[hash(kmap, pfn)].head;

	while (at) {
		struct kelp_kmap_page *page = &kmap->page[at - 1u];

		if (page->pfn.number == pfn.number)
			return page;
		at = page->chain;
	}
	return NULL;
}

static void enter_hash(struct kelp_kmap *kmap, uint32_t index)
{
	uint32_t *head = &kmap->page[hash(kmap, kmap->page[index].pfn)].head;

	kmap->page[index].chain = *head;
	*head = index + 1u;
}

static void leave_hash(struct kelp_kmap *kmap, uint32_t index)
{
	uint32_t *link = &kmap->page[hash(kmap, kmap->page[index].pfn)].head;

	while (*link != index + 1u)
		link = &kmap->page[*link - 1u].chain;
	*link = kmap->page[index].chain;
}

static void slot_of(struct kelp_kmap *kmap, uint32_t index, struct kelp_slot *slot)
{
	enum kelp_status status = kelp_slot_find(kmap->space, page_address(kmap, index), slot);

	KELP_ASSERT_ALWAYS(kmap->space->port, status == KELP_OK,
			   "kelp_kmap: the tables of the global range changed");
}

/* INV-3.8: every slot that lost its last user becomes none, all of them with one flush. */
static bool reclaim(struct kelp_kmap *kmap)
{
	struct kelp_flush flush = {0};
	uint64_t inside = (UINT64_C(1) << kmap->page_shift) - 1u;
	bool any = false;

	kelp_flush_begin(&flush, kmap->space);
	for (uint32_t i = 0; i < kmap->pages; i++) {
		struct kelp_slot slot;

		if (kmap->page[i].count != 1)
			continue;
		slot_of(kmap, i, &slot);
		kelp_slot_drop(&slot);
		kelp_flush_add(&flush, slot.va, slot.va | inside, kmap->page_shift,
			       KELP_FLUSH_GLOBAL);
		leave_hash(kmap, i);
		kmap->page[i].count = 0;
		any = true;
	}
	kelp_flush_commit(&flush);
	if (any)
		kmap->wraps++;
	return any;
}

/*
 * A slot that is none; false when all are in use. The range is flushed where it begins again,
 * and what that made free is looked at even if it lies behind where we began.
 */
static bool take(struct kelp_kmap *kmap, uint32_t *index)
{
	for (uint64_t step = 0; step < 2u * (uint64_t)kmap->pages; step++) {
		kmap->last = (kmap->last + 1u) & (kmap->pages - 1u);
		if (kmap->last == 0)
			reclaim(kmap);
		if (kmap->page[kmap->last].count == 0) {
			*index = kmap->last;
			return true;
		}
	}
	return false;
}

static enum kelp_status map_locked(struct kelp_kmap *kmap, kelp_pfn_t pfn, kelp_vaddr_t *va)
{
	struct kelp_kmap_page *page;
	enum kelp_status status;
	struct kelp_slot slot;
	uint32_t index;

	for (;;) {
		page = lookup(kmap, pfn);
		if (page) {
			page->count++;
			*va = page_address(kmap, (uint32_t)(page - kmap->page));
			return KELP_OK;
		}
		if (take(kmap, &index))
			break;
		if (!kmap->hooks.sleep)
			return KELP_ERR_BUSY;
		/* Somebody may have mapped the same frame meanwhile: look again. */
		kmap->sleepers++;
		kmap->hooks.sleep(kmap->hooks.context);
		kmap->sleepers--;
	}
	slot_of(kmap, index, &slot);
	status = kelp_slot_set(&slot, frame_address(kmap, pfn), kmap->attributes);
	/* The attributes were checked by init: what is left is the frame's address. */
	if (status != KELP_OK)
		return KELP_ERR_ADDRESS;
	kelp_slot_announce(kmap->space, slot.va, slot.va);
	page = &kmap->page[index];
	page->pfn = pfn;
	page->count = 2;
	enter_hash(kmap, index);
	*va = slot.va;
	return KELP_OK;
}

enum kelp_status kelp_kmap_mapped(struct kelp_kmap *kmap, kelp_pfn_t pfn, kelp_vaddr_t *va)
{
	enum kelp_status status;

	if (kmap->pages == 0)
		return KELP_ERR_UNSUPPORTED;
	kmap->hooks.lock(kmap->hooks.context);
	status = map_locked(kmap, pfn, va);
	kmap->hooks.unlock(kmap->hooks.context);
	return status;
}

void kelp_kunmap_mapped(struct kelp_kmap *kmap, kelp_vaddr_t va)
{
	struct kelp_kmap_page *page;
	bool wake;

	KELP_ASSERT_ALWAYS(kmap->space->port, va - kmap->global_base < kmap->global_size,
			   "kelp_kunmap: not an address of a global map");
	page = &kmap->page[(uint32_t)((va - kmap->global_base) >> kmap->page_shift)];
	kmap->hooks.lock(kmap->hooks.context);
	KELP_ASSERT_ALWAYS(kmap->space->port, page->count >= 2,
			   "kelp_kunmap: this map has no user left");
	/* INV-3.8: 1, not 0: a CPU may hold the translation until the next wrap. */
	page->count--;
	wake = page->count == 1 && kmap->sleepers > 0;
	kmap->hooks.unlock(kmap->hooks.context);
	if (wake)
		kmap->hooks.wake(kmap->hooks.context);
}

void kelp_kmap_destroy(struct kelp_kmap *kmap)
{
	for (uint32_t i = 0; i < kmap->pages; i++)
		KELP_ASSERT_ALWAYS(kmap->space->port, kmap->page[i].count < 2,
				   "kelp_kmap_destroy: somebody still uses a map");
	reclaim(kmap);
	release(kmap);
}

/* ---- looking ------------------------------------------------------------------------------- */

enum kelp_status kelp_kmap_to_frame(const struct kelp_kmap *kmap, kelp_vaddr_t va, kelp_pfn_t *pfn)
{
	uint64_t direct = va - kmap->direct_offset;
	enum kelp_status status;
	kelp_paddr_t pa;

	if (direct - kmap->direct_first < kmap->direct_size) {
		pfn->number = direct >> kmap->page_shift;
		return KELP_OK;
	}
	if (!kelp_is_kmap_address(kmap, va))
		return KELP_ERR_ADDRESS;
	status = kelp_space_translate(kmap->space, va, &pa);
	if (status == KELP_OK)
		pfn->number = pa >> kmap->page_shift;
	return status;
}
