/* SPDX-License-Identifier: MIT */
/*
 * A complete port, in the order of docs/PORTING.md: the pieces between "PORTING n" marks are
 * what that page shows at its step n.
 */
#include "port.h"

#include <string.h>

#include "machine.h"

/* PORTING 3 */
#define TABLE_SIZE  4096
#define TABLE_COUNT 64

static _Alignas(TABLE_SIZE) unsigned char table_pool[TABLE_COUNT][TABLE_SIZE];
static bool table_in_use[TABLE_COUNT];

static bool table_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address)
{
	(void)context;
	for (unsigned i = 0; i < TABLE_COUNT; i++) {
		kelp_paddr_t page = machine_physical_of(table_pool[i]);

		if (table_in_use[i] || page + size - 1 > limit)
			continue;
		table_in_use[i] = true;
		memset(table_pool[i], 0, size);
		*address = page;
		return true;
	}
	return false;
}

static void table_give(void *context, size_t size, kelp_paddr_t address)
{
	(void)context;
	table_in_use[(address - machine_physical_of(table_pool[0])) / size] = false;
}
/* PORTING end */

/* PORTING 5 */
static void flush_on_this_cpu(void *request)
{
	kelp_flush_execute(request);
}

static void shootdown(void *context, const struct kelp_flush_request *request)
{
	(void)context;
	machine_call_other_cpus(flush_on_this_cpu, (void *)request);
}
/* PORTING end */

/* PORTING 6 */
static void wait_for_readers(void *context)
{
	(void)context;
	machine_wait_for_readers();
}
/* PORTING end */

/* PORTING 7 */
static void log_line(void *context, const char *line)
{
	(void)context;
	machine_print(line);
}

static void panic(void *context, const char *what, const char *where)
{
	(void)context;
	machine_print(what);
	machine_print(where);
	machine_halt();
}
/* PORTING end */

/* PORTING 4 */
void port_init(struct kelp_port *port)
{
	*port = (struct kelp_port){
		.table_offset = (uintptr_t)table_pool - machine_physical_of(table_pool[0]),
		.table_take = table_take,
		.table_give = table_give,
		.shootdown = shootdown,
		.wait_for_readers = wait_for_readers,
		.log = log_line,
		.panic = panic,
	};
}
/* PORTING end */

unsigned port_tables_in_use(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < TABLE_COUNT; i++)
		count += table_in_use[i];
	return count;
}
