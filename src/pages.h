/* SPDX-License-Identifier: MIT */
/*
 * pages: table pages between the port and the tables.
 *
 * A change reserves what it may need before it changes anything, and gives back what it did not
 * use. Reserved pages are linked through their first 64 bits; the last one holds RESERVE_END, so
 * that no reserved page is all zero, and a port that hands one out twice is seen.
 */
#ifndef KELP_SRC_PAGES_H
#define KELP_SRC_PAGES_H

#include <kelp/space.h>

/* Makes the reserve hold at least `count` pages. NO_MEMORY: the whole reserve was given back. */
enum kelp_status kelp_pages_reserve(struct kelp_space *space, struct kelp_change *change,
				    uint64_t count) KELP_WARN_UNUSED;

/* Takes one page, all zero, out of a reserve that is known to hold one. */
kelp_paddr_t kelp_pages_take(struct kelp_space *space, struct kelp_change *change);

/* Puts a page back that take gave; its contents do not matter. */
void kelp_pages_put(struct kelp_space *space, struct kelp_change *change, kelp_paddr_t page);

/* Gives the whole reserve back to the port. */
void kelp_pages_cancel(struct kelp_space *space, struct kelp_change *change);

/* One page straight from the port, checked: the root. `limit` as in port->table_take. */
enum kelp_status kelp_pages_take_root(struct kelp_space *space, kelp_paddr_t limit,
				      kelp_paddr_t *page) KELP_WARN_UNUSED;

/* One page straight to the port. */
void kelp_pages_give(struct kelp_space *space, kelp_paddr_t page);

#endif
