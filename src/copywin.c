/* SPDX-License-Identifier: MIT */
/* copywin: any frame through reserved pages. See kelp/copywin.h. */
#include <kelp/copywin.h>

#include "debug.h"

/* ---- plain accesses ------------------------------------------------------------------------ */

/* The only functions of the C library that the library may call. */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);

static void *pointer(kelp_vaddr_t va)
{
	return (void *)(uintptr_t)va;
}

static void plain_load(void *context, void *buffer, kelp_vaddr_t from, size_t size)
{
	(void)context;
	memcpy(buffer, pointer(from), size);
}

static void plain_store(void *context, kelp_vaddr_t to, const void *buffer, size_t size)
{
	(void)context;
	memcpy(pointer(to), buffer, size);
}

static void plain_copy(void *context, kelp_vaddr_t to, kelp_vaddr_t from, size_t size)
{
	(void)context;
	memcpy(pointer(to), pointer(from), size);
}

static void plain_zero(void *context, kelp_vaddr_t to, size_t size)
{
	(void)context;
	memset(pointer(to), 0, size);
}

static const struct kelp_copywin_access plain = {
	.load = plain_load,
	.store = plain_store,
	.copy = plain_copy,
	.zero = plain_zero,
};

/* ---- the window ---------------------------------------------------------------------------- */

static uint64_t window_bytes(const struct kelp_copywin *window)
{
	return KELP_COPYWIN_PAGES(window->cpus) << window->page_shift;
}

/* One page: its entry, free and able to hold what it will. */
static enum kelp_status find_page(struct kelp_copywin *window, kelp_vaddr_t va,
				  kelp_attr_t attributes, struct kelp_slot *slot)
{
	enum kelp_status status = kelp_slot_find(window->space, va, slot);

	if (status != KELP_OK)
		return status;
	if (!kelp_slot_is_none(slot))
		return KELP_ERR_EXISTS;
	return kelp_slot_check(slot, 0, attributes);
}

static enum kelp_status find_pages(struct kelp_copywin *window)
{
	uint64_t page = UINT64_C(1) << window->page_shift;

	for (uint32_t i = 0; i < window->cpus; i++) {
		struct kelp_copywin_cpu *cpu = &window->cpu[i];
		kelp_vaddr_t va = window->base + 2u * i * page;
		enum kelp_status status;

		cpu->busy = false;
		status = find_page(window, va, window->read_attributes, &cpu->from);
		if (status == KELP_OK)
			status = find_page(window, va + page, window->write_attributes, &cpu->to);
		if (status != KELP_OK)
			return status;
	}
	return KELP_OK;
}

/* Tables that hold nothing go; others are not ours. */
static void release(struct kelp_copywin *window)
{
	struct kelp_flush flush = {0};
	enum kelp_status status;

	kelp_flush_begin(&flush, window->space);
	status = kelp_space_release(&flush, window->base, window_bytes(window), NULL);
	kelp_flush_commit(&flush);
	KELP_ASSERT_ALWAYS(window->space->port, status == KELP_OK,
			   "kelp_copywin: the window is not what init checked");
}

enum kelp_status kelp_copywin_init(struct kelp_copywin *window,
				   const struct kelp_copywin_config *config)
{
	const struct kelp_format *f = config->space->format;
	const kelp_attr_t source = config->attributes & ~(KELP_ATTR_WRITE | KELP_ATTR_DIRTY);
	struct kelp_flush flush = {0};
	enum kelp_status status;

	*window = (struct kelp_copywin){
		.space = config->space,
		.base = config->base,
		.cpus = config->cpus,
		.page_shift = f->page_shift,
		.read_attributes = kelp_format_used(f, source),
		.write_attributes = kelp_format_used(f, config->attributes),
		.cpu = config->cpu,
		.access = config->access ? config->access : &plain,
	};
	if (config->cpus == 0 || (config->attributes & KELP_ATTR_INVALID) ||
	    !(config->attributes & KELP_ATTR_WRITE))
		return KELP_ERR_ARGUMENT;
	kelp_flush_begin(&flush, window->space);
	status = kelp_space_populate(&flush, window->base, window_bytes(window),
				     window->page_shift, 0);
	kelp_flush_commit(&flush);
	if (status != KELP_OK)
		return status;
	status = find_pages(window);
	if (status != KELP_OK)
		release(window);
	return status;
}

void kelp_copywin_destroy(struct kelp_copywin *window)
{
	release(window);
}

/* ---- accesses (INV-3.4) -------------------------------------------------------------------- */

static kelp_paddr_t address(const struct kelp_copywin *window, kelp_pfn_t frame)
{
	kelp_paddr_t pa = frame.number << window->page_shift;

	/* A number that does not fit names no frame; the format refuses this address. */
	return pa >> window->page_shift == frame.number ? pa : UINT64_MAX << window->page_shift;
}

static struct kelp_copywin_cpu *enter(struct kelp_copywin *window, uint32_t number)
{
	struct kelp_copywin_cpu *cpu = &window->cpu[number];

	KELP_ASSERT_ALWAYS(window->space->port, !cpu->busy,
			   "kelp_copywin: this CPU is inside already: interrupts must be off");
	cpu->busy = true;
	return cpu;
}

static enum kelp_status open(struct kelp_copywin *window, const struct kelp_slot *slot,
			     kelp_pfn_t frame, kelp_attr_t attributes)
{
	enum kelp_status status = kelp_slot_set(slot, address(window, frame), attributes);

	/* The attributes were checked by init: what is left is the frame's address. */
	return status == KELP_OK ? status : KELP_ERR_ADDRESS;
}

static bool is_inside(const struct kelp_copywin *window, uint32_t cpu, size_t offset, size_t size)
{
	size_t page = (size_t)1 << window->page_shift;

	return cpu < window->cpus && size <= page && offset <= page - size;
}

enum kelp_status kelp_copywin_read(struct kelp_copywin *window, uint32_t number, kelp_pfn_t frame,
				   size_t offset, void *buffer, size_t size)
{
	const struct kelp_copywin_access *access = window->access;
	struct kelp_copywin_cpu *cpu;
	enum kelp_status status;

	if (!is_inside(window, number, offset, size))
		return KELP_ERR_ARGUMENT;
	cpu = enter(window, number);
	status = open(window, &cpu->from, frame, window->read_attributes);
	if (status == KELP_OK) {
		access->load(access->context, buffer, cpu->from.va + offset, size);
		kelp_slot_clear(&cpu->from);
	}
	cpu->busy = false;
	return status;
}

enum kelp_status kelp_copywin_write(struct kelp_copywin *window, uint32_t number, kelp_pfn_t frame,
				    size_t offset, const void *buffer, size_t size)
{
	const struct kelp_copywin_access *access = window->access;
	struct kelp_copywin_cpu *cpu;
	enum kelp_status status;

	if (!is_inside(window, number, offset, size))
		return KELP_ERR_ARGUMENT;
	cpu = enter(window, number);
	status = open(window, &cpu->to, frame, window->write_attributes);
	if (status == KELP_OK) {
		access->store(access->context, cpu->to.va + offset, buffer, size);
		kelp_slot_clear(&cpu->to);
	}
	cpu->busy = false;
	return status;
}

enum kelp_status kelp_copywin_copy(struct kelp_copywin *window, uint32_t number, kelp_pfn_t to,
				   kelp_pfn_t from)
{
	const struct kelp_copywin_access *access = window->access;
	struct kelp_copywin_cpu *cpu;
	enum kelp_status status;

	if (number >= window->cpus)
		return KELP_ERR_ARGUMENT;
	cpu = enter(window, number);
	status = open(window, &cpu->from, from, window->read_attributes);
	if (status == KELP_OK) {
		status = open(window, &cpu->to, to, window->write_attributes);
		if (status == KELP_OK) {
			access->copy(access->context, cpu->to.va, cpu->from.va,
				     (size_t)1 << window->page_shift);
			kelp_slot_clear(&cpu->to);
		}
		kelp_slot_clear(&cpu->from);
	}
	cpu->busy = false;
	return status;
}

enum kelp_status kelp_copywin_zero(struct kelp_copywin *window, uint32_t number, kelp_pfn_t frame)
{
	const struct kelp_copywin_access *access = window->access;
	struct kelp_copywin_cpu *cpu;
	enum kelp_status status;

	if (number >= window->cpus)
		return KELP_ERR_ARGUMENT;
	cpu = enter(window, number);
	status = open(window, &cpu->to, frame, window->write_attributes);
	if (status == KELP_OK) {
		access->zero(access->context, cpu->to.va, (size_t)1 << window->page_shift);
		kelp_slot_clear(&cpu->to);
	}
	cpu->busy = false;
	return status;
}
