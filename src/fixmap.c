/* SPDX-License-Identifier: MIT */
/* fixmap: pages with names fixed at build time. See kelp/fixmap.h. */
#include <kelp/fixmap.h>

#include "debug.h"

/* ---- table pages from a buffer ----------------------------------------------------------- */

static void *pool_pointer(void *context, kelp_paddr_t address)
{
	struct kelp_fixmap_pool *pool = context;

	return pool->pages + (size_t)(address - pool->address);
}

static bool pool_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address)
{
	struct kelp_fixmap_pool *pool = context;
	unsigned char *page;
	uint64_t number;

	if (size != (size_t)1 << pool->page_shift)
		return false;
	if (pool->free_count > 0)
		number = pool->free_head;
	else if (pool->used < pool->count)
		number = pool->used;
	else
		return false;
	*address = pool->address + (number << pool->page_shift);
	if (*address + (size - 1u) > limit)
		return false;
	page = pool_pointer(pool, *address);
	if (pool->free_count > 0) {
		pool->free_head = *(uint64_t *)(void *)page;
		pool->free_count--;
		for (size_t i = 0; i < size; i++)
			page[i] = 0;
	} else {
		pool->used++;
	}
	return true;
}

static void pool_give(void *context, size_t size, kelp_paddr_t address)
{
	struct kelp_fixmap_pool *pool = context;

	(void)size;
	*(uint64_t *)pool_pointer(pool, address) = pool->free_head;
	pool->free_head = (address - pool->address) >> pool->page_shift;
	pool->free_count++;
}

enum kelp_status kelp_fixmap_pool_init(struct kelp_fixmap_pool *pool, void *pages, uint64_t count,
				       uint32_t page_shift, kelp_paddr_t address,
				       void (*panic)(void *context, const char *what,
						     const char *where))
{
	uint64_t mask;

	if (count == 0 || page_shift < 3 || page_shift > 30)
		return KELP_ERR_ARGUMENT;
	mask = (UINT64_C(1) << page_shift) - 1u;
	if (((uintptr_t)pages & mask) || (address & mask))
		return KELP_ERR_ALIGNMENT;
	*pool = (struct kelp_fixmap_pool){
		.port = {.context = pool,
			 .table_pointer = pool_pointer,
			 .table_take = pool_take,
			 .table_give = pool_give,
			 .panic = panic},
		.pages = pages,
		.count = count,
		.page_shift = page_shift,
		.address = address,
	};
	return KELP_OK;
}

/* ---- setting up -------------------------------------------------------------------------- */

static uint64_t page_of_bank(const struct kelp_fixmap *fixmap, uint32_t cpu)
{
	return fixmap->shared_pages + (uint64_t)cpu * fixmap->bank_pages;
}

uint64_t kelp_fixmap_bytes(const struct kelp_format *format,
			   const struct kelp_fixmap_config *config)
{
	return (config->shared_pages + (uint64_t)config->cpus * config->bank_pages)
	       << format->page_shift;
}

/*
 * Tables down to every page of the range. populate keeps a large leaf in the way: then there is
 * no entry for a page, and nothing that setting one could do.
 */
static enum kelp_status populate(struct kelp_fixmap *fixmap, uint64_t first, uint64_t pages)
{
	const struct kelp_format *f = fixmap->space->format;
	kelp_vaddr_t va = fixmap->base + (first << fixmap->page_shift);
	uint64_t size = pages << fixmap->page_shift;
	struct kelp_flush flush = {0};
	enum kelp_status status = kelp_format_check_range(f, va, size);
	kelp_vaddr_t at = va;

	while (status == KELP_OK) {
		struct kelp_mapping found;

		status = kelp_space_query(fixmap->space, at, &found);
		if (status != KELP_OK)
			break;
		if (found.level > 0 && found.kind != KELP_ENTRY_NONE)
			return KELP_ERR_EXISTS;
		/* What a hole or a page spans, both ends inside. */
		at = found.va + (found.size - 1u);
		if (at >= va + (size - 1u))
			break;
		at++;
	}
	if (status != KELP_OK)
		return status;
	kelp_flush_begin(&flush, fixmap->space);
	status = kelp_space_populate(&flush, va, size, fixmap->page_shift, 0);
	kelp_flush_commit(&flush);
	return status;
}

enum kelp_status kelp_fixmap_init(struct kelp_fixmap *fixmap,
				  const struct kelp_fixmap_config *config, uint32_t banks)
{
	enum kelp_status status;

	*fixmap = (struct kelp_fixmap){
		.space = config->space,
		.base = config->base,
		.slots = config->slots,
		.slot_count = config->slot_count,
		.shared_pages = config->shared_pages,
		.bank_pages = config->bank_pages,
		.cpus = config->cpus,
		.page_shift = config->space->format->page_shift,
	};
	if (config->cpus == 0 || banks > config->cpus || config->shared_pages == 0)
		return KELP_ERR_ARGUMENT;
	status = kelp_format_check_range(fixmap->space->format, fixmap->base,
					 kelp_fixmap_bytes(fixmap->space->format, config));
	if (status != KELP_OK)
		return status;
	return populate(fixmap, 0, page_of_bank(fixmap, banks));
}

enum kelp_status kelp_fixmap_populate(struct kelp_fixmap *fixmap, uint32_t first_cpu,
				      uint32_t count)
{
	if (count == 0 || first_cpu >= fixmap->cpus || count > fixmap->cpus - first_cpu)
		return KELP_ERR_ARGUMENT;
	return populate(fixmap, page_of_bank(fixmap, first_cpu),
			(uint64_t)count * fixmap->bank_pages);
}

/* ---- slots ------------------------------------------------------------------------------- */

/* Pages of one slot: where, and whether all CPUs use them. */
struct run {
	kelp_vaddr_t va;
	uint32_t pages;
	bool shared;
};

static enum kelp_status run_of(const struct kelp_fixmap *fixmap, uint32_t number, uint32_t cpu,
			       struct run *run)
{
	const struct kelp_fixmap_slot *slot;

	if (number >= fixmap->slot_count)
		return KELP_ERR_ARGUMENT;
	slot = &fixmap->slots[number];
	if (slot->kind != KELP_FIXMAP_PER_CPU) {
		*run = (struct run){kelp_fixmap_address(fixmap, number), slot->pages, true};
		return KELP_OK;
	}
	if (cpu >= fixmap->cpus)
		return KELP_ERR_ARGUMENT;
	*run = (struct run){kelp_fixmap_cpu_address(fixmap, number, cpu), slot->pages, false};
	return KELP_OK;
}

/* INV-3.6: walks from the root each time, so where tables lie does not matter. */
static enum kelp_status find_page(const struct kelp_fixmap *fixmap, const struct run *run,
				  uint32_t page, struct kelp_slot *slot)
{
	return kelp_slot_find(fixmap->space, run->va + ((uint64_t)page << fixmap->page_shift),
			      slot);
}

static enum kelp_status can_set(const struct kelp_fixmap *fixmap, const struct run *run,
				uint32_t page, kelp_paddr_t pa, kelp_attr_t attributes)
{
	struct kelp_slot slot;
	enum kelp_status status = find_page(fixmap, run, page, &slot);

	if (status != KELP_OK)
		return status;
	if (!kelp_slot_is_none(&slot))
		return KELP_ERR_EXISTS;
	return kelp_slot_check(&slot, pa, attributes);
}

/* After can_set(): nothing is left to fail. */
static void set_page(struct kelp_fixmap *fixmap, const struct run *run, uint32_t page,
		     kelp_paddr_t pa, kelp_attr_t attributes)
{
	struct kelp_slot slot;
	enum kelp_status status = find_page(fixmap, run, page, &slot);

	if (status == KELP_OK)
		status = kelp_slot_set(&slot, pa, attributes);
	KELP_ASSERT_ALWAYS(fixmap->space->port, status == KELP_OK,
			   "kelp_fixmap: the tables of a slot changed meanwhile");
}

/* Shared pages that were set: every CPU may use them. */
static void announce(struct kelp_fixmap *fixmap, const struct run *run, uint32_t page,
		     uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++) {
		struct kelp_slot slot;

		if (find_page(fixmap, run, page + i, &slot) == KELP_OK)
			kelp_slot_announce(fixmap->space, slot.va, slot.va);
	}
}

enum kelp_status kelp_fixmap_set(struct kelp_fixmap *fixmap, uint32_t number, uint32_t cpu,
				 uint32_t page, uint32_t pages, kelp_paddr_t pa,
				 kelp_attr_t attributes)
{
	struct run run;
	enum kelp_status status = run_of(fixmap, number, cpu, &run);

	attributes = kelp_format_used(fixmap->space->format, attributes);
	if (status != KELP_OK)
		return status;
	if (pages == 0 || page >= run.pages || pages > run.pages - page ||
	    (attributes & KELP_ATTR_INVALID))
		return KELP_ERR_ARGUMENT;
	for (uint32_t i = 0; i < pages; i++) {
		kelp_paddr_t at = pa + ((uint64_t)i << fixmap->page_shift);

		status = can_set(fixmap, &run, page + i, at, attributes);
		if (status == KELP_OK && fixmap->next)
			status = can_set(fixmap->next, &run, page + i, at, attributes);
		if (status != KELP_OK)
			return status;
	}
	/* INV-3.5: in the final tables first. A CPU that uses the slot may be on them already. */
	for (uint32_t i = 0; i < pages; i++) {
		kelp_paddr_t at = pa + ((uint64_t)i << fixmap->page_shift);

		if (fixmap->next)
			set_page(fixmap->next, &run, page + i, at, attributes);
		set_page(fixmap, &run, page + i, at, attributes);
	}
	if (run.shared && fixmap->next)
		announce(fixmap->next, &run, page, pages);
	if (run.shared)
		announce(fixmap, &run, page, pages);
	return KELP_OK;
}

static void clear_run(struct kelp_fixmap *fixmap, const struct run *run)
{
	struct kelp_flush flush = {0};

	kelp_flush_begin(&flush, fixmap->space);
	for (uint32_t i = 0; i < run->pages; i++) {
		struct kelp_slot slot;

		if (find_page(fixmap, run, i, &slot) != KELP_OK || kelp_slot_is_none(&slot))
			continue;
		if (!run->shared) {
			kelp_slot_clear(&slot);
			continue;
		}
		kelp_slot_drop(&slot);
		kelp_flush_add(&flush, slot.va,
			       slot.va | ((UINT64_C(1) << fixmap->page_shift) - 1u),
			       fixmap->page_shift, KELP_FLUSH_GLOBAL);
	}
	kelp_flush_commit(&flush);
}

enum kelp_status kelp_fixmap_clear(struct kelp_fixmap *fixmap, uint32_t number, uint32_t cpu)
{
	struct run run;
	enum kelp_status status = run_of(fixmap, number, cpu, &run);

	if (status != KELP_OK)
		return status;
	clear_run(fixmap, &run);
	if (fixmap->next)
		clear_run(fixmap->next, &run);
	return KELP_OK;
}

enum kelp_status kelp_fixmap_lookup(const struct kelp_fixmap *fixmap, uint32_t number,
				    uint32_t cpu, uint32_t page, kelp_paddr_t *pa,
				    kelp_attr_t *attributes)
{
	struct kelp_slot slot;
	struct run run;
	enum kelp_status status = run_of(fixmap, number, cpu, &run);

	if (status == KELP_OK && page >= run.pages)
		return KELP_ERR_ARGUMENT;
	if (status == KELP_OK)
		status = find_page(fixmap, &run, page, &slot);
	if (status != KELP_OK)
		return status;
	return kelp_slot_read(&slot, pa, attributes) ? KELP_OK : KELP_ERR_NOT_MAPPED;
}

static bool same_name(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

enum kelp_status kelp_fixmap_find(const struct kelp_fixmap *fixmap, const char *name,
				  uint32_t *slot)
{
	for (uint32_t i = 0; i < fixmap->slot_count; i++) {
		if (!same_name(fixmap->slots[i].name, name))
			continue;
		*slot = i;
		return KELP_OK;
	}
	return KELP_ERR_NOT_MAPPED;
}

/* ---- the switch (INV-3.5) ---------------------------------------------------------------- */

static bool are_alike(const struct kelp_fixmap *a, const struct kelp_fixmap *b)
{
	return a != b && a->base == b->base && a->slots == b->slots &&
	       a->slot_count == b->slot_count && a->page_shift == b->page_shift &&
	       a->shared_pages == b->shared_pages && a->bank_pages == b->bank_pages;
}

/* Does the slot translate to this already? What hardware noted of its use does not count. */
static bool says(const struct kelp_slot *slot, kelp_paddr_t pa, kelp_attr_t attributes)
{
	kelp_attr_t have;
	kelp_paddr_t at;

	return kelp_slot_read(slot, &at, &have) && at == pa &&
	       ((have ^ attributes) & ~(KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)) == 0;
}

/*
 * Copies the pages of a run that are set in `from`; with `commit` off only asks whether it would
 * work. A page that says the same already is done.
 */
static enum kelp_status copy_run(struct kelp_fixmap *from, struct kelp_fixmap *to,
				 const struct run *run, bool commit)
{
	for (uint32_t page = 0; page < run->pages; page++) {
		kelp_attr_t attributes;
		kelp_paddr_t pa;
		struct kelp_slot slot;
		enum kelp_status status = find_page(from, run, page, &slot);

		/* A bank that was never populated holds nothing. */
		if (status == KELP_ERR_NOT_MAPPED ||
		    (status == KELP_OK && !kelp_slot_read(&slot, &pa, &attributes)))
			continue;
		if (status == KELP_OK)
			status = find_page(to, run, page, &slot);
		if (status != KELP_OK)
			return status;
		if (says(&slot, pa, attributes))
			continue;
		status = can_set(to, run, page, pa, attributes);
		if (status != KELP_OK)
			return status;
		if (commit)
			set_page(to, run, page, pa, attributes);
	}
	return KELP_OK;
}

/* True when some page of the slot is set in `from` and not, or otherwise, in `to`. */
static bool is_left_behind(struct kelp_fixmap *from, struct kelp_fixmap *to,
			   const struct run *run)
{
	for (uint32_t page = 0; page < run->pages; page++) {
		kelp_attr_t attributes;
		kelp_paddr_t pa;
		struct kelp_slot slot;

		if (find_page(from, run, page, &slot) != KELP_OK ||
		    !kelp_slot_read(&slot, &pa, &attributes))
			continue;
		if (find_page(to, run, page, &slot) != KELP_OK || !says(&slot, pa, attributes))
			return true;
	}
	return false;
}

enum kelp_status kelp_fixmap_hand_over(struct kelp_fixmap *from, struct kelp_fixmap *to,
				       uint32_t number)
{
	struct run run;
	enum kelp_status status = run_of(from, number, 0, &run);

	if (status != KELP_OK)
		return status;
	if (!are_alike(from, to) || from->slots[number].kind != KELP_FIXMAP_EARLY)
		return KELP_ERR_ARGUMENT;
	status = copy_run(from, to, &run, false);
	return status == KELP_OK ? copy_run(from, to, &run, true) : status;
}

static enum kelp_status carry_slots(struct kelp_fixmap *from, struct kelp_fixmap *to, bool commit)
{
	for (uint32_t number = 0; number < from->slot_count; number++) {
		enum kelp_fixmap_kind kind = from->slots[number].kind;
		uint32_t cpus = kind == KELP_FIXMAP_PER_CPU ? from->cpus : 1;

		for (uint32_t cpu = 0; cpu < cpus; cpu++) {
			struct run run;
			enum kelp_status status = run_of(from, number, cpu, &run);

			if (status == KELP_OK && kind == KELP_FIXMAP_EARLY) {
				if (is_left_behind(from, to, &run))
					return KELP_ERR_BUSY;
			} else if (status == KELP_OK) {
				status = copy_run(from, to, &run, commit);
			}
			if (status != KELP_OK)
				return status;
		}
	}
	return KELP_OK;
}

enum kelp_status kelp_fixmap_carry(struct kelp_fixmap *from, struct kelp_fixmap *to)
{
	enum kelp_status status;

	if (!are_alike(from, to) || from->next || to->next || to->cpus < from->cpus)
		return KELP_ERR_ARGUMENT;
	status = carry_slots(from, to, false);
	if (status == KELP_OK)
		status = carry_slots(from, to, true);
	if (status == KELP_OK)
		from->next = to;
	return status;
}

void kelp_fixmap_switched(struct kelp_fixmap *from)
{
	KELP_ASSERT_ALWAYS(from->space->port, from->next,
			   "kelp_fixmap_switched: nothing was carried");
	from->next = NULL;
}
