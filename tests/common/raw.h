/* SPDX-License-Identifier: MIT */
/*
 * raw: the tables as hardware finds them. Reads and writes entries in memory with the format's
 * pure functions only, nothing of the space's code, so that each can be held against the other.
 */
#ifndef TESTS_COMMON_RAW_H
#define TESTS_COMMON_RAW_H

#include <kelp/kelp.h>

#include "test_port.h"

/* One entry that is not zero. Lists are in order of address, upper levels first. */
struct raw_entry {
	kelp_vaddr_t va;
	kelp_vaddr_t last;
	uint64_t entry;
	kelp_paddr_t table;  /* the table it stands in */
	kelp_paddr_t target; /* the table it points to, or the frame at `va` */
	kelp_attr_t attributes; /* of a leaf, less what the tables above deny */
	uint8_t level;
	uint8_t shift; /* log2 of the leaf, of its group if grouped */
	enum kelp_entry_kind kind;
	bool grouped;
	bool owned;    /* table: bears the mark of ownership */
};

struct raw_list {
	struct raw_entry *items;
	size_t count, capacity;
};

/* Everything below `root`; what the list held is replaced. */
void raw_collect(struct raw_list *list, const struct kelp_format *format, struct test_port *port,
		 kelp_paddr_t root);
void raw_free(struct raw_list *list);
void raw_copy(struct raw_list *to, const struct raw_list *from);

/* The first item that ends at or after `va`; upper levels first. */
size_t raw_lower_bound(const struct raw_list *list, kelp_vaddr_t va);
/* The leaf, valid or not, that covers `va`; NULL: none does. */
const struct raw_entry *raw_leaf(const struct raw_list *list, kelp_vaddr_t va);

/* Walks like hardware does, from the root by index. False: not translated. */
bool raw_translate(const struct kelp_format *format, struct test_port *port, kelp_paddr_t root,
		   kelp_vaddr_t va, kelp_paddr_t *pa, kelp_attr_t *attributes);

uint64_t raw_read(const struct kelp_format *format, struct test_port *port, kelp_paddr_t table,
		  unsigned index);
void raw_write(const struct kelp_format *format, struct test_port *port, kelp_paddr_t table,
	       unsigned index, uint64_t entry);

/* What hardware does on an access: sets accessed, and dirty when it writes, in one leaf entry. */
bool raw_touch(const struct kelp_format *format, struct test_port *port,
	       const struct raw_entry *leaf, bool write);

/* The bytes of every table below `root`, to prove that nothing changed. */
uint64_t raw_digest(const struct kelp_format *format, struct test_port *port, kelp_paddr_t root);

/* The table pages below the root, all or those that bear the mark of ownership. */
unsigned raw_tables(const struct raw_list *list, bool owned_only);

/* The canonical address whose translated bits are `bits`; false when there is none. */
bool raw_canonical(const struct kelp_format *format, uint64_t bits, kelp_vaddr_t *va);

#endif
