/* SPDX-License-Identifier: MIT */
/*
 * test: tests that run inside the kernel, on real translation hardware, and report as TAP.
 *
 * A test works in the test area and on frames it takes. After each one the runner clears the
 * area and checks that every frame is back.
 */
#ifndef HOLDFAST_TEST_H
#define HOLDFAST_TEST_H

#include <kelp/kelp.h>

#include <arch.h>
#include <vm.h>

struct test {
	const char *name;
	void (*run)(void);
	unsigned cpus; /* needs at least so many online; 0 or 1: any */
};

/* Each file of tests has one of these; test.c lists them. */
extern const struct test mmu_tests[], space_tests[], smp_tests[], kernel_tests[];
extern const struct test reach_tests[], kmap_tests[], highmem_tests[];
extern const struct test device_tests[], disk_tests[], kexec_tests[];
extern const struct test hibernate_tests[];
extern const unsigned mmu_test_count, space_test_count, smp_test_count, kernel_test_count;
extern const unsigned reach_test_count, kmap_test_count, highmem_test_count;
extern const struct test hotplug_tests[];
extern const unsigned hotplug_test_count;
extern const unsigned device_test_count, disk_test_count, kexec_test_count;
extern const unsigned hibernate_test_count;

struct test_result {
	unsigned passed, failed, skipped;
	uint64_t first_microseconds; /* from power-on to the first test */
};

/* Runs those whose name contains `filter`, or one of several with commas between (NULL: all). */
struct test_result tests_run(const char *filter);

/* Notes a failure of the running test, any CPU. The test goes on. */
void test_fail(const char *file, int line, const char *what);
/* Adds one number to what the next failure says: which case it is. */
void test_note(const char *what, uint64_t value);
/* The test cannot be run here. */
void test_skip(const char *why);
bool test_failed(void);

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			test_fail(__FILE__, __LINE__, #condition);                                 \
	} while (0)

/* Leaves the test when it makes no sense to go on. Only in functions that return nothing. */
#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			test_fail(__FILE__, __LINE__, #condition);                                 \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* ---- help for tests ---------------------------------------------------------------------- */

/* Map, unmap and protect in the kernel's space, with a gather of their own. */
enum kelp_status test_map(kelp_vaddr_t va, kelp_paddr_t pa, uint64_t size, kelp_attr_t attributes,
			  uint32_t flags);
enum kelp_status test_unmap(kelp_vaddr_t va, uint64_t size, uint32_t flags);
enum kelp_status test_protect(kelp_vaddr_t va, uint64_t size, kelp_attr_t set, kelp_attr_t clear,
			      uint32_t flags);

/*
 * A block of frames that the runner gives back after the test. Panics when there is none.
 * The second: in the direct map.
 */
kelp_paddr_t test_frames(unsigned order);
kelp_paddr_t test_direct_frames(unsigned order);

/* A word of a frame, wherever that is. */
uint64_t test_get(kelp_paddr_t address);
void test_put(kelp_paddr_t address, uint64_t value);

/* Accesses that tell whether they were possible. */
enum probe_result test_load(kelp_vaddr_t va, uint64_t *value);
enum probe_result test_store(kelp_vaddr_t va, uint64_t value);
enum probe_result test_fetch(kelp_vaddr_t va);

/* kelp_space_query that must succeed. */
struct kelp_mapping test_query(kelp_vaddr_t va);

/*
 * Calls `hammer` in a loop on every other CPU, and returns when all are at it: how many. Stop ends
 * them and waits.
 */
#define TEST_HAMMERS 7u
unsigned test_hammers_start(void (*hammer)(unsigned index));
void test_hammers_stop(void);

/* A number that is different for every seed, and evenly spread. */
uint64_t test_random(uint64_t *state);

#endif
