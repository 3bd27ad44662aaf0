/* SPDX-License-Identifier: MIT */
/*
 * Page-table code of a small kernel for x86_64. It is no part of Kelp and knows nothing of the
 * simulator: it stands for yours. All it needs of its surroundings comes through hooks, which in
 * a kernel are a pointer store, INVLPG and an IPI.
 *
 * It has a bug. docs/SIMULATOR.md shows how the simulator finds it.
 */
#ifndef EXAMPLES_SIMULATED_PAGES_H
#define EXAMPLES_SIMULATED_PAGES_H

#include <stdbool.h>
#include <stdint.h>

struct pages_hooks {
	void *context;
	uint64_t (*take_page)(void *context); /* zeroed; 0: none left */
	void (*give_page)(void *context, uint64_t page);
	uint64_t (*read)(void *context, uint64_t address);
	void (*write)(void *context, uint64_t address, uint64_t entry);
	void (*flush_everywhere)(void *context, uint64_t va);
};

struct pages {
	const struct pages_hooks *hooks;
	uint64_t root;
	bool fixed; /* without the bug */
};

bool pages_init(struct pages *pages, const struct pages_hooks *hooks);
bool pages_map(struct pages *pages, uint64_t va, uint64_t pa, bool writable);
/* The frame, which its owner may use again at once; 0: nothing was mapped. */
uint64_t pages_unmap(struct pages *pages, uint64_t va);

#endif
