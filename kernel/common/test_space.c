/* SPDX-License-Identifier: MIT */
/*
 * test_space: structure: leaves split and joined under use, leaves taken away and given back,
 * errors that change nothing, and a second root made from a walk of the first.
 */
#include <test.h>

#include <cpu.h>
#include <frames.h>
#include <port.h>
#include <print.h>
#include <reach.h>
#include <thread.h>

#define RW (KELP_ATTR_READ | KELP_ATTR_WRITE)

/* The smallest leaf above a page. */
static uint64_t large(void)
{
	return kelp_format_span(&kernel_format, 1);
}

static kelp_attr_t closest(kelp_attr_t attributes)
{
	return kelp_format_closest(&kernel_format, attributes);
}

/* Maps one large leaf of zeroed frames at TEST_BASE, each page holding its number. */
static kelp_paddr_t map_large(kelp_attr_t attributes)
{
	kelp_paddr_t pa = test_frames(frames_order(large()));

	for (uint64_t at = 0; at < large(); at += PAGE_SIZE)
		test_put(pa + at, at / PAGE_SIZE);
	CHECK(test_map(TEST_BASE, pa, large(), closest(attributes), 0) == KELP_OK);
	CHECK(test_query(TEST_BASE).level == 1);
	return pa;
}

static void check_contents(uint64_t first, uint64_t end)
{
	for (uint64_t at = first; at < end; at += PAGE_SIZE) {
		uint64_t value;

		test_note("offset", at);
		CHECK(test_load(TEST_BASE + at, &value) == PROBE_OK && value == at / PAGE_SIZE);
	}
}

static void unmap_inside_a_large_leaf(void)
{
	uint64_t hole = 5 * PAGE_SIZE, value;

	map_large(RW | KELP_ATTR_GLOBAL);
	CHECK(test_load(TEST_BASE + hole, &value) == PROBE_OK);
	CHECK(test_unmap(TEST_BASE + hole, PAGE_SIZE, KELP_STRICT) == KELP_OK);
	CHECK(test_load(TEST_BASE + hole, &value) == PROBE_NOT_PRESENT);
	check_contents(0, hole);
	check_contents(hole + PAGE_SIZE, large());
}

static void protect_inside_a_large_leaf(void)
{
	uint64_t first = 100 * PAGE_SIZE, end = 164 * PAGE_SIZE;

	map_large(RW);
	CHECK(test_protect(TEST_BASE + first, end - first, 0, KELP_ATTR_WRITE, 0) == KELP_OK);
	CHECK(test_store(TEST_BASE + first - 8, 1) == PROBE_OK);
	CHECK(test_store(TEST_BASE + first + 8, 1) == PROBE_DENIED);
	CHECK(test_store(TEST_BASE + end - 8, 1) == PROBE_DENIED);
	CHECK(test_store(TEST_BASE + end + 8, 1) == PROBE_OK);
	check_contents(0, large());
}

/* Split, use, coalesce: the entry is what it was. */
static void split_and_coalesce(void)
{
	uint64_t before, merged = 0;
	struct kelp_flush flush;

	map_large(RW | KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);
	before = test_query(TEST_BASE).entry;
	kelp_flush_begin(&flush, &kernel_space);
	CHECK(kelp_space_split(&flush, TEST_BASE, large(), PAGE_SHIFT, 0) == KELP_OK);
	vm_commit(&flush);
	CHECK(test_query(TEST_BASE).level == 0);
	check_contents(0, large());
	kelp_flush_begin(&flush, &kernel_space);
	CHECK(kelp_space_coalesce(&flush, TEST_BASE, large(), kernel_format.shift[1], 0, &merged) ==
	      KELP_OK);
	vm_commit(&flush);
	CHECK(merged == 1);
	CHECK(test_query(TEST_BASE).level == 1);
	CHECK(test_query(TEST_BASE).entry == before);
	check_contents(0, large());
}

static void taken_away_and_given_back(void)
{
	uint64_t first = 7 * PAGE_SIZE, size = 3 * PAGE_SIZE, value;
	kelp_paddr_t pa = map_large(RW | KELP_ATTR_GLOBAL);

	CHECK(test_load(TEST_BASE + first, &value) == PROBE_OK);
	CHECK(test_protect(TEST_BASE + first, size, KELP_ATTR_INVALID, 0, 0) == KELP_OK);
	CHECK(test_load(TEST_BASE + first, &value) == PROBE_NOT_PRESENT);
	CHECK(test_query(TEST_BASE + first).kind == KELP_ENTRY_INVALID);
	CHECK(test_query(TEST_BASE + first).pa == pa + first);
	check_contents(0, first);
	check_contents(first + size, large());
	CHECK(test_protect(TEST_BASE + first, size, 0, KELP_ATTR_INVALID, 0) == KELP_OK);
	check_contents(0, large());
}

/* A large leaf put over the table of small ones: the table comes back, nothing stale remains. */
static void large_leaf_over_a_table(void)
{
	kelp_paddr_t other = test_frames(0);
	uint64_t tables, value;

	test_put(other, 12345);
	REQUIRE(test_map(TEST_BASE + 9 * PAGE_SIZE, other, PAGE_SIZE, closest(RW), 0) == KELP_OK);
	CHECK(test_load(TEST_BASE + 9 * PAGE_SIZE, &value) == PROBE_OK && value == 12345);
	tables = kernel_space.tables;
	CHECK(test_map(TEST_BASE, 0, large(), closest(RW), 0) == KELP_ERR_EXISTS);
	CHECK(test_unmap(TEST_BASE + 9 * PAGE_SIZE, PAGE_SIZE, 0) == KELP_OK);
	map_large(RW);
	CHECK(kernel_space.tables == tables - 1);
	check_contents(0, large());
}

/* ---- errors ------------------------------------------------------------------------------ */

struct comparison {
	uint64_t sum;
	uint64_t leaves;
};

static enum kelp_visit add_up(void *context, const struct kelp_mapping *mapping)
{
	struct comparison *c = context;

	/* Accessed and dirty may change by themselves; nothing else may. */
	c->sum = c->sum * 1099511628211u ^ mapping->va ^ mapping->pa << 1 ^
		 (mapping->attributes & ~(KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)) ^ mapping->size;
	c->leaves++;
	return KELP_VISIT_CONTINUE;
}

static struct comparison test_area(void)
{
	struct comparison c = {0};

	CHECK(kelp_space_walk(&kernel_space, TEST_BASE, TEST_SIZE, 0, add_up, &c) == KELP_OK);
	return c;
}

static void errors_change_nothing(void)
{
	struct comparison before, after;
	kelp_vaddr_t no_address = kernel_format.va_last[0] + 1u;
	kelp_paddr_t beyond = UINT64_C(1) << kernel_format.pa_bits, pa = map_large(RW);

	before = test_area();
	CHECK(test_map(TEST_BASE + PAGE_SIZE, pa, PAGE_SIZE, closest(RW), 0) == KELP_ERR_EXISTS);
	CHECK(test_map(TEST_BASE + large() - PAGE_SIZE, pa, 2 * PAGE_SIZE, closest(RW), 0) ==
	      KELP_ERR_EXISTS);
	CHECK(test_map(TEST_BASE + 1, pa, PAGE_SIZE, closest(RW), 0) == KELP_ERR_ALIGNMENT);
	CHECK(test_map(TEST_BASE + large(), pa + 1, PAGE_SIZE, closest(RW), 0) ==
	      KELP_ERR_ALIGNMENT);
	CHECK(test_map(no_address, pa, PAGE_SIZE, closest(RW), 0) == KELP_ERR_ADDRESS);
	CHECK(test_map(TEST_BASE + large(), beyond, PAGE_SIZE, closest(RW), 0) == KELP_ERR_ADDRESS);
	CHECK(test_map(TEST_BASE + large(), pa, 0, closest(RW), 0) == KELP_ERR_ARGUMENT);
	CHECK(test_protect(TEST_BASE, 2 * large(), 0, KELP_ATTR_WRITE, 0) == KELP_ERR_NOT_MAPPED);
	CHECK(test_unmap(TEST_BASE, 2 * large(), KELP_STRICT) == KELP_ERR_NOT_MAPPED);
	after = test_area();
	CHECK(before.sum == after.sum && before.leaves == after.leaves);
	check_contents(0, large());
}

/* Table pages run out at the first, the second, ... one: refused, unchanged, nothing lost. */
static void no_table_pages(void)
{
	struct comparison before, after;
	uint64_t tables, fails = 0;

	map_large(RW);
	before = test_area();
	tables = kernel_space.tables;
	for (unsigned n = 0; n < 16; n++) {
		enum kelp_status status;

		test_note("pages given", n);
		port_fail_after(n);
		status = test_protect(TEST_BASE + PAGE_SIZE, PAGE_SIZE, 0, KELP_ATTR_WRITE, 0);
		if (status == KELP_OK) {
			port_fail_after(PORT_NEVER_FAIL);
			break;
		}
		CHECK(status == KELP_ERR_NO_MEMORY);
		CHECK(test_unmap(TEST_BASE + PAGE_SIZE, PAGE_SIZE, 0) == KELP_ERR_NO_MEMORY);
		port_fail_after(n);
		status = test_map(TEST_BASE + TEST_SIZE / 2, 0, 4 * PAGE_SIZE, closest(RW), 0);
		port_fail_after(PORT_NEVER_FAIL);
		if (status == KELP_OK)
			CHECK(test_unmap(TEST_BASE + TEST_SIZE / 2, TEST_SIZE / 2, 0) == KELP_OK);
		else
			CHECK(status == KELP_ERR_NO_MEMORY);
		after = test_area();
		CHECK(before.sum == after.sum && before.leaves == after.leaves);
		CHECK(kernel_space.tables == tables);
		check_contents(0, 2 * PAGE_SIZE);
		fails++;
	}
	CHECK(fails >= 1);
	CHECK(test_store(TEST_BASE + PAGE_SIZE, 1) == PROBE_DENIED);
}

/* ---- random edits against a model -------------------------------------------------------- */

enum { MODEL_PAGES = 64 };

/* Everything a random edit did is what loads and stores find. */
static void random_edits(void)
{
	static struct {
		uint32_t frame; /* index + 1; 0 = none */
		bool writable, invalid;
	} model[MODEL_PAGES];
	kelp_paddr_t block = test_frames(4);
	uint64_t state = 0x9e3779b97f4a7c15, start = time_microseconds();

	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < 16; i++)
		test_put(block + i * PAGE_SIZE, 500 + i);
	/* On a crowded host each shootdown takes its time. */
	for (unsigned round = 0;
	     round < 2000 && !test_failed() &&
	     (round < 100 || time_microseconds() - start < 500000); round++) {
		unsigned page = (unsigned)test_random(&state) % MODEL_PAGES;
		unsigned count = (unsigned)(test_random(&state) >> 8) % 8u + 1u;
		unsigned frame = (unsigned)(test_random(&state) >> 8) % 8u;
		bool writable = test_random(&state) >> 9 & 1u;
		kelp_vaddr_t va = TEST_BASE + page * PAGE_SIZE;
		uint64_t value, size;
		enum probe_result load, store;

		count = (unsigned)min_u64(count, MODEL_PAGES - page);
		size = count * PAGE_SIZE;
		test_note("round", round);
		switch (test_random(&state) >> 16 & 3u) {
		case 0:
			CHECK(test_unmap(va, size, 0) == KELP_OK);
			for (unsigned i = page; i < page + count; i++)
				model[i].frame = 0;
			break;
		case 1:
			CHECK(test_protect(va, size, writable ? KELP_ATTR_WRITE : 0,
					   writable ? 0 : KELP_ATTR_WRITE, KELP_SKIP_HOLES) ==
			      KELP_OK);
			for (unsigned i = page; i < page + count; i++)
				model[i].writable = writable;
			break;
		case 2:
			CHECK(test_protect(va, size, writable ? KELP_ATTR_INVALID : 0,
					   writable ? 0 : KELP_ATTR_INVALID, KELP_SKIP_HOLES) ==
			      KELP_OK);
			for (unsigned i = page; i < page + count; i++)
				model[i].invalid = writable;
			break;
		default:
			CHECK(test_map(va, block + frame * PAGE_SIZE, size,
				       closest(writable ? RW : KELP_ATTR_READ), KELP_REPLACE) ==
			      KELP_OK);
			for (unsigned i = 0; i < count; i++) {
				model[page + i].frame = frame + i + 1u;
				model[page + i].writable = writable;
				model[page + i].invalid = false;
			}
		}
		page = (unsigned)test_random(&state) % MODEL_PAGES;
		va = TEST_BASE + page * PAGE_SIZE;
		load = test_load(va, &value);
		store = test_store(va + 8, round);
		if (!model[page].frame || model[page].invalid) {
			CHECK(load == PROBE_NOT_PRESENT && store == PROBE_NOT_PRESENT);
			continue;
		}
		CHECK(load == PROBE_OK && value == 500 + model[page].frame - 1u);
		CHECK(store == (model[page].writable ? PROBE_OK : PROBE_DENIED));
	}
}

/* ---- another root ------------------------------------------------------------------------ */

struct copy {
	struct kelp_space *to;
	enum kelp_status status;
};

static enum kelp_visit copy_leaf(void *context, const struct kelp_mapping *mapping)
{
	struct copy *copy = context;
	struct kelp_flush flush;

	/* Frames that are absent now may be taken for this very copy before it is in use. */
	if (mapping->kind == KELP_ENTRY_INVALID && mapping->va - DIRECT_BASE >= DIRECT_SIZE)
		return KELP_VISIT_CONTINUE;
	kelp_flush_begin(&flush, copy->to);
	copy->status = kelp_space_map(&flush, mapping->va, mapping->pa, mapping->size,
				      mapping->attributes & ~KELP_ATTR_INVALID, 0);
	vm_commit(&flush);
	return copy->status == KELP_OK ? KELP_VISIT_CONTINUE : KELP_VISIT_STOP;
}

static void copy_space(struct kelp_space *to, struct copy *copy)
{
	*copy = (struct copy){to, KELP_OK};
	for (unsigned i = 0; i < kernel_format.va_ranges && copy->status == KELP_OK; i++)
		CHECK(kelp_space_walk(&kernel_space, kernel_format.va_first[i],
				      kernel_format.va_last[i] - kernel_format.va_first[i] + 1u,
				      KELP_WALK_RUNS, copy_leaf, copy) == KELP_OK);
}

/*
 * A second tree with everything that the kernel's has, and one page more; run on it, use the
 * page, and come back. Nobody else runs on it, so its shootdowns would reach nobody: they do
 * no harm either.
 */
static void a_second_root(void)
{
	static struct kelp_space second;
	struct kelp_directmap_statistics direct;
	struct vm_census ours, theirs;
	kelp_paddr_t frame = test_frames(0);
	enum probe_result inside, outside;
	struct kelp_flush flush;
	unsigned long flags;
	uint64_t value = 0;
	struct copy copy;

	test_put(frame, 2222);
	REQUIRE(kelp_space_init(&second, &kernel_format, &kernel_port, 0) == KELP_OK);
	copy_space(&second, &copy);
	CHECK(copy.status == KELP_OK);
	vm_census(&kernel_space, &ours);
	vm_census(&second, &theirs);
	kelp_directmap_statistics(&kernel_direct, &direct);
	CHECK(ours.bytes + (direct.absent << PAGE_SHIFT) == theirs.bytes);
	kelp_flush_begin(&flush, &second);
	CHECK(kelp_space_map(&flush, TEST_BASE, frame, PAGE_SIZE, closest(RW), 0) == KELP_OK);
	vm_commit(&flush);

	if (!test_failed()) {
		/* Interrupts off: what others map meanwhile in the first is not in the second. */
		flags = arch_irq_save();
		arch_switch_tables(&second);
		inside = test_load(TEST_BASE, &value);
		arch_switch_tables(&kernel_space);
		outside = test_load(TEST_BASE, &value);
		arch_irq_restore(flags);
		CHECK(inside == PROBE_OK && value == 2222);
		CHECK(outside == PROBE_NOT_PRESENT);
	}
	/* It flushes, too: as in vm_commit(). */
	preempt_disable();
	kelp_space_destroy(&second);
	preempt_enable();
}

const struct test space_tests[] = {
	{"space: unmap inside a large leaf", unmap_inside_a_large_leaf, 0},
	{"space: protect inside a large leaf", protect_inside_a_large_leaf, 0},
	{"space: split and coalesce", split_and_coalesce, 0},
	{"space: taken away and given back", taken_away_and_given_back, 0},
	{"space: a large leaf over a table", large_leaf_over_a_table, 0},
	{"space: errors change nothing", errors_change_nothing, 0},
	{"space: no table pages", no_table_pages, 0},
	{"space: random edits", random_edits, 0},
	{"space: a second root", a_second_root, 0},
};
const unsigned space_test_count = ARRAY_COUNT(space_tests);
