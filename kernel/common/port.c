/* SPDX-License-Identifier: MIT */
/*
 * port: all that Kelp needs from this kernel. Porting it elsewhere means writing this file.
 */
#include <kelp/kelp.h>

#include <cpu.h>
#include <frames.h>
#include <port.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

struct port_stats port_stats;

static bool early = true;
/* Early table pages that were reserved and not needed, linked through their first bytes. */
static kelp_paddr_t spare;

static uint32_t remaining = PORT_NEVER_FAIL;

void port_fail_after(uint32_t n)
{
	remaining = n;
}

void port_use_page_allocator(void)
{
	early = false;
}

static bool take_spare(kelp_paddr_t *address)
{
	uint64_t *page;

	if (!spare)
		return false;
	*address = spare;
	page = direct_pointer(spare);
	spare = *page;
	return true;
}

/* Before the switch, only what the boot tables' direct map reaches can be written. */
static bool table_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address)
{
	bool done;

	(void)context;
	if (remaining != PORT_NEVER_FAIL && !remaining--) {
		remaining = 0;
		return false;
	}
	if (early) {
		done = (size == PAGE_SIZE && take_spare(address)) ||
		       early_frames_take(size, size, min_u64(limit, BOOT_REACH - 1u), address);
		if (done)
			memset(direct_pointer(*address), 0, size);
	} else {
		done = frames_take_zeroed(frames_order(size), min_u64(limit, FRAME_DIRECT),
					  address);
	}
	if (done)
		__atomic_fetch_add(&port_stats.tables_taken, 1, __ATOMIC_RELAXED);
	return done;
}

static void table_give(void *context, size_t size, kelp_paddr_t address)
{
	(void)context;
	__atomic_fetch_add(&port_stats.tables_given, 1, __ATOMIC_RELAXED);
	if (early) {
		*(uint64_t *)direct_pointer(address) = spare;
		spare = address;
	} else {
		frames_give(frames_order(size), address);
	}
}

static void execute(void *argument)
{
	kelp_flush_execute(argument);
}

/*
 * The kernel's one root is in use on every CPU, so all of them are asked. That also waits for
 * every reader of the tables: nobody answers inside a read section (vm_read_begin()).
 */
static void shootdown(void *context, const struct kelp_flush_request *request)
{
	uint64_t start = arch_ticks();

	(void)context;
	/* "Other" CPUs are those that are not the one that has invalidated: see vm_commit(). */
	assert(current_thread()->preempt_off || !arch_irqs_enabled());
	if (!cpus_call(execute, (void *)(uintptr_t)request))
		return;
	__atomic_fetch_add(&port_stats.shootdowns, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&port_stats.shootdown_ticks, arch_ticks() - start, __ATOMIC_RELAXED);
	if (request->flags & KELP_FLUSH_ALL)
		__atomic_fetch_add(&port_stats.flushes_of_everything, 1, __ATOMIC_RELAXED);
	if (request->flags & KELP_FLUSH_TABLES)
		__atomic_fetch_add(&port_stats.flushes_of_tables, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&port_stats.ranges, request->count, __ATOMIC_RELAXED);
}

static void log_line(void *context, const char *line)
{
	(void)context;
	kprintf("kelp: %s\n", line);
}

static void bug(void *context, const char *what, const char *where)
{
	(void)context;
	panic("kelp: %s (%s)", what, where);
}

struct kelp_port kernel_port = {
	.table_offset = DIRECT_BASE,
	.table_take = table_take,
	.table_give = table_give,
	.shootdown = shootdown,
	.wait_for_readers = NULL, /* implied by shootdown */
	.log = log_line,
	.panic = bug,
};
