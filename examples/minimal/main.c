/* SPDX-License-Identifier: MIT */
/*
 * The smallest complete embedding of Kelp: docs/PORTING.md builds it step by step. It maps the
 * address space of a small kernel, looks at it, changes it, and takes it down again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "port.h"

/* PORTING 1 */
#include <arch/x86_64/format.h>

static struct kelp_format format;

static enum kelp_status choose_format(void)
{
	/* In a kernel these come from CPUID, EFER and CR4. */
	const struct kelp_x86_64_config config = {
		.levels = 4,
		.physical_bits = 46,
		.no_execute = true,
		.gigabyte_leaves = true,
	};

	return kelp_x86_64_format_init(&format, &config);
}
/* PORTING end */

static struct kelp_port port;
static struct kelp_space space;

#define KERNEL_VA UINT64_C(0xffffffff80000000)
#define KERNEL_PA UINT64_C(0x200000)
#define DIRECT_VA UINT64_C(0xffff800000000000)
#define UART_VA   UINT64_C(0xffffc00000000000)
#define UART_PA   UINT64_C(0xfe001000)

#define TEXT KELP_ATTR_READ | KELP_ATTR_EXEC
#define DATA KELP_ATTR_READ | KELP_ATTR_WRITE

#define CHECK(call) check((call), #call)

static void check(enum kelp_status status, const char *call)
{
	if (status == KELP_OK)
		return;
	printf("%s\n  failed: %s: %s\n", call, kelp_status_name(status), kelp_status_text(status));
	exit(EXIT_FAILURE);
}

/* PORTING 9 */
static void first_map(void)
{
	struct kelp_flush flush;

	CHECK(kelp_space_init(&space, &format, &port, 0));
	kelp_flush_begin(&flush, &space);
	/* All of memory, with the largest leaves that fit. */
	CHECK(kelp_space_map(&flush, DIRECT_VA, 0, UINT64_C(4) << 30, DATA | KELP_ATTR_GLOBAL, 0));
	/* The image: 2 MiB of text, then 2 MiB of data. */
	CHECK(kelp_space_map(&flush, KERNEL_VA, KERNEL_PA, 2 << 20, TEXT | KELP_ATTR_GLOBAL, 0));
	CHECK(kelp_space_map(&flush, KERNEL_VA + (2 << 20), KERNEL_PA + (2 << 20), 2 << 20,
			     DATA | KELP_ATTR_GLOBAL, 0));
	/* A device's registers. */
	CHECK(kelp_space_map(&flush, UART_VA, UART_PA, 4096,
			     DATA | KELP_ATTR_TYPE(KELP_TYPE_DEVICE), 0));
	kelp_flush_commit(&flush);
}
/* PORTING end */

/* PORTING 10 */
static enum kelp_visit print_mapping(void *context, const struct kelp_mapping *m)
{
	(void)context;
	printf("  %016" PRIx64 " + %9" PRIx64 " -> %012" PRIx64
	       "  %c%c%c%c type %u, leaves of %u KiB\n",
	       m->va, m->size, m->pa, m->attributes & KELP_ATTR_READ ? 'r' : '-',
	       m->attributes & KELP_ATTR_WRITE ? 'w' : '-',
	       m->attributes & KELP_ATTR_EXEC ? 'x' : '-',
	       m->attributes & KELP_ATTR_GLOBAL ? 'g' : '-',
	       (unsigned)((m->attributes & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT),
	       1u << (m->shift - 10));
	return KELP_VISIT_CONTINUE;
}

static void print_tables(const char *title)
{
	printf("%s\n", title);
	/* Both halves; a size of the whole upper half ends at the top of the address space. */
	CHECK(kelp_space_walk(&space, 0, UINT64_C(1) << 47, KELP_WALK_RUNS, print_mapping, NULL));
	CHECK(kelp_space_walk(&space, DIRECT_VA, UINT64_C(1) << 47, KELP_WALK_RUNS, print_mapping,
			      NULL));
	printf("  %u table pages\n", port_tables_in_use());
}
/* PORTING end */

/* One page of text becomes writable and is then taken away: a 2 MiB leaf is split for it. */
static void change_one_page(void)
{
	struct kelp_mapping mapping;
	struct kelp_flush flush;
	kelp_paddr_t pa;

	kelp_flush_begin(&flush, &space);
	CHECK(kelp_space_protect(&flush, KERNEL_VA + 0x3000, 4096, KELP_ATTR_WRITE, KELP_ATTR_EXEC,
				 0));
	CHECK(kelp_space_unmap(&flush, KERNEL_VA + 0x5000, 4096, 0));
	kelp_flush_commit(&flush);

	CHECK(kelp_space_query(&space, KERNEL_VA + 0x3000, &mapping));
	CHECK(kelp_space_translate(&space, KERNEL_VA + 0x3123, &pa));
	printf("page at %" PRIx64 ": %u bytes, translates to %" PRIx64 "\n", mapping.va,
	       (unsigned)mapping.size, pa);
	printf("page at %" PRIx64 ": %s\n", KERNEL_VA + 0x5000,
	       kelp_status_name(kelp_space_translate(&space, KERNEL_VA + 0x5000, &pa)));
}

/* Bad input changes nothing and says what is wrong. */
static void show_an_error(void)
{
	struct kelp_flush flush;
	enum kelp_status status;

	kelp_flush_begin(&flush, &space);
	status = kelp_space_map(&flush, UART_VA, 0, 4096, DATA, 0);
	kelp_flush_commit(&flush);
	printf("mapping over the device: %s\n", kelp_status_name(status));
}

/* PORTING 11 */
/* One per frame: what your kernel keeps of it, and eight bytes of Kelp's. */
struct page {
	uint64_t frame;
	uint32_t users;
	uint32_t flags;
};

static struct kelp_memmap memmap;

/* In a kernel: boot memory first, the allocator's later. */
static void *take_memory(void *context, enum kelp_memmap_memory what, size_t size)
{
	(void)context, (void)what;
	return aligned_alloc(64, (size + 63) & ~(size_t)63);
}

static void give_memory(void *context, enum kelp_memmap_memory what, void *memory, size_t size)
{
	(void)context, (void)what, (void)size;
	free(memory);
}

static enum kelp_status frames_exist(void)
{
	/* What the firmware says is RAM, to the single frame. */
	static const struct kelp_memmap_range ram[] = {
		{{0x000}, {0x09e}, 0},
		{{0x100}, {0xfff}, 0},
	};
	struct kelp_memmap_config config = {
		.port = &port,
		.page_shift = 12,
		.physical_bits = 46,
		.descriptor_size = sizeof(struct page),
		.frame_offset = offsetof(struct page, frame),
		.frame_bytes = 8,
		.holds = {.cpus = 1},
		.take = take_memory,
		.give = give_memory,
	};
	enum kelp_status status;
	size_t size;

	status = kelp_memmap_size(&config, &size);
	if (status != KELP_OK)
		return status;
	config.memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (!config.memory)
		return KELP_ERR_NO_MEMORY;
	status = kelp_memmap_init(&memmap, &config);
	if (status != KELP_OK)
		return status;
	return kelp_memmap_add_early(&memmap, ram, 2);
}
/* PORTING end */

/* PORTING 11 */
/* On CPU 0. The frame cannot go offline, nor lose its descriptor, until it is released. */
static void look_at_frame(kelp_pfn_t pfn)
{
	struct kelp_hold hold;
	struct page *page;

	if (kelp_page_hold_online(&memmap, 0, pfn, &hold) != KELP_OK) {
		printf("frame %03" PRIx64 ": not online\n", pfn.number);
		return;
	}
	page = kelp_hold_page(&hold);
	printf("frame %03" PRIx64 ": online, %u users, its descriptor says %03" PRIx64 "\n",
	       pfn.number, page->users, kelp_page_to_pfn(&memmap, page).number);
	kelp_page_release(&memmap, 0, &hold);
}
/* PORTING end */

int main(void)
{
	CHECK(choose_format());
	port_init(&port);
	first_map();
	print_tables("after the first map");
	change_one_page();
	show_an_error();
	print_tables("after one page was changed and one taken away");
	kelp_space_destroy(&space);
	printf("%u table pages after destroy\n", port_tables_in_use());
	CHECK(frames_exist());
	look_at_frame((kelp_pfn_t){0x9e});
	look_at_frame((kelp_pfn_t){0x9f});
	look_at_frame((kelp_pfn_t){0x100});
	kelp_memmap_destroy(&memmap);
	free(memmap.config.memory);
	return 0;
}
