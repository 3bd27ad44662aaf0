/* SPDX-License-Identifier: MIT */
/*
 * test_mmu: what Kelp maps is what the hardware does. Loads, stores and fetches, by the kernel
 * and by user mode, through leaves of every size; what is expected comes from the rights alone.
 */
#include <test.h>

#include <cpu.h>
#include <frames.h>
#include <print.h>
#include <reach.h>

#define RW (KELP_ATTR_READ | KELP_ATTR_WRITE)
#define RX (KELP_ATTR_READ | KELP_ATTR_EXEC)

/* Without NX every leaf is executable, and must be asked for so. */
static kelp_attr_t closest(kelp_attr_t attributes)
{
	return kelp_format_closest(&kernel_format, attributes);
}

static bool level_has_leaves(unsigned level)
{
	return kernel_format.leaf_sizes & kelp_format_span(&kernel_format, level);
}

/*
 * A leaf of `level` in the test area (or the user half) whose span contains the frame: only the
 * frame itself is ever touched through it. Returns the address of the frame in it.
 *
 * Each call uses the next address. QEMU's translated code survives the invalidation of a large
 * leaf through another address than the code's (docs/HOLDFAST.md), so code is never fetched
 * where other rights allowed it before.
 */
static kelp_vaddr_t map_around(kelp_paddr_t frame, unsigned level, kelp_attr_t attributes)
{
	static unsigned place;
	uint64_t span = kelp_format_span(&kernel_format, level);
	kelp_vaddr_t base = (attributes & KELP_ATTR_USER ? USER_BASE : TEST_BASE) +
			    (4 + place++ % 64) * span;

	CHECK(test_map(base, align_down(frame, span), span,
		       closest(attributes), KELP_REPLACE) == KELP_OK);
	CHECK(test_query(base).level == level);
	return base + (frame & (span - 1u));
}

/* ---- mapping ----------------------------------------------------------------------------- */

static void stores_reach_the_frame(void)
{
	kelp_paddr_t frame = test_frames(0);
	uint64_t value;

	for (unsigned level = 0; level < kernel_format.levels; level++) {
		kelp_vaddr_t va;

		if (!level_has_leaves(level))
			continue;
		test_note("level", level);
		va = map_around(frame, level, RW);
		CHECK(test_store(va + 8, 0x1111 + level) == PROBE_OK);
		CHECK(test_get(frame + 8) == 0x1111 + level);
		test_put(frame + 4088, 0x2222 + level);
		CHECK(test_load(va + 4088, &value) == PROBE_OK && value == 0x2222 + level);
	}
}

/* Scattered frames next to each other: each page shows its own. */
static void pages_in_any_order(void)
{
	enum { PAGES = 48 };
	kelp_paddr_t frame[PAGES];
	uint64_t value;

	for (unsigned i = 0; i < PAGES; i++) {
		frame[i] = test_frames(0);
		test_put(frame[i], 1000 + i);
	}
	for (unsigned i = PAGES; i-- > 0;)
		REQUIRE(test_map(TEST_BASE + i * PAGE_SIZE, frame[i], PAGE_SIZE, closest(RW),
				 0) == KELP_OK);
	for (unsigned i = 0; i < PAGES; i++) {
		test_note("page", i);
		CHECK(test_load(TEST_BASE + i * PAGE_SIZE, &value) == PROBE_OK);
		CHECK(value == 1000 + i);
	}
	CHECK(test_load(TEST_BASE + PAGES * PAGE_SIZE, &value) == PROBE_NOT_PRESENT);
}

static void nothing_after_unmap(void)
{
	kelp_paddr_t frame = test_frames(0);
	uint64_t value;

	for (unsigned level = 0; level < kernel_format.levels; level++) {
		uint64_t span = kelp_format_span(&kernel_format, level);
		kelp_vaddr_t va;

		if (!level_has_leaves(level))
			continue;
		test_note("level", level);
		va = map_around(frame, level, RW | KELP_ATTR_GLOBAL);
		CHECK(test_load(va, &value) == PROBE_OK);
		CHECK(test_unmap(align_down(va, span), span, KELP_STRICT) == KELP_OK);
		CHECK(test_load(va, &value) == PROBE_NOT_PRESENT);
		CHECK(test_store(va, 1) == PROBE_NOT_PRESENT);
		CHECK(test_fetch(va) == PROBE_NOT_PRESENT);
	}
}

static void replaced_at_once(void)
{
	kelp_paddr_t frame[2] = {test_frames(0), test_frames(0)};
	uint64_t value;

	test_put(frame[0], 100);
	test_put(frame[1], 101);
	for (unsigned round = 0; round < 64; round++) {
		CHECK(test_map(TEST_BASE, frame[round % 2], PAGE_SIZE,
			       closest(RW | KELP_ATTR_GLOBAL), KELP_REPLACE) == KELP_OK);
		CHECK(test_load(TEST_BASE, &value) == PROBE_OK && value == 100 + round % 2);
	}
}

/* The first and the last page of each range of addresses, wherever they are free. */
static void ends_of_the_address_space(void)
{
	kelp_paddr_t frame = test_frames(0);
	const unsigned last = kernel_format.va_ranges - 1u;
	kelp_vaddr_t ends[] = {
		align_down(kernel_format.va_last[0], PAGE_SIZE),
		last ? kernel_format.va_first[1] : 0,
		align_down(kernel_format.va_last[last], PAGE_SIZE),
		PAGE_SIZE,
	};
	uint64_t value;

	test_put(frame, 77);
	for (unsigned i = 0; i < ARRAY_COUNT(ends); i++) {
		if (test_query(ends[i]).kind != KELP_ENTRY_NONE)
			continue;
		test_note("address", ends[i]);
		CHECK(test_map(ends[i], frame, PAGE_SIZE, closest(RW), 0) == KELP_OK);
		CHECK(test_load(ends[i], &value) == PROBE_OK && value == 77);
		CHECK(test_unmap(ends[i], PAGE_SIZE, KELP_STRICT) == KELP_OK);
		CHECK(test_load(ends[i], &value) == PROBE_NOT_PRESENT);
		/* Tables made for one page stay until asked for. */
		struct kelp_flush flush;

		kelp_flush_begin(&flush, &kernel_space);
		CHECK(kelp_space_release(&flush, ends[i], PAGE_SIZE, NULL) == KELP_OK);
		vm_commit(&flush);
	}
}

/* ---- rights ------------------------------------------------------------------------------ */

struct expectation {
	bool load, store, fetch;
};

/* What the attributes promise to the kernel, given what the CPU withholds of user leaves. */
static struct expectation kernel_may(kelp_attr_t attributes)
{
	bool data = !(attributes & KELP_ATTR_USER) || !arch_guards_user_access();
	bool code = !(attributes & KELP_ATTR_USER) || !arch_guards_user_fetch();

	return (struct expectation){
		.load = data,
		.store = data && (attributes & KELP_ATTR_WRITE),
		.fetch = code && (attributes & KELP_ATTR_EXEC),
	};
}

static struct expectation user_may(kelp_attr_t attributes)
{
	bool user = attributes & KELP_ATTR_USER;

	return (struct expectation){
		.load = user,
		.store = user && (attributes & KELP_ATTR_WRITE),
		.fetch = user && (attributes & KELP_ATTR_EXEC),
	};
}

static const kelp_attr_t combinations[] = {
	KELP_ATTR_READ,
	RW,
	RX,
	RW | KELP_ATTR_EXEC,
	KELP_ATTR_READ | KELP_ATTR_GLOBAL,
	RW | KELP_ATTR_GLOBAL,
	KELP_ATTR_READ | KELP_ATTR_USER,
	RW | KELP_ATTR_USER,
	RX | KELP_ATTR_USER,
	RW | KELP_ATTR_EXEC | KELP_ATTR_USER,
};

static enum probe_result allowed(bool yes)
{
	return yes ? PROBE_OK : PROBE_DENIED;
}

static void rights_of_the_kernel(void)
{
	kelp_paddr_t frame = test_frames(0);
	uint64_t value;

	copywin_write(frame, arch_return_code, ARCH_CODE_SIZE);
	for (unsigned level = 0; level < kernel_format.levels; level++) {
		if (!level_has_leaves(level))
			continue;
		for (unsigned i = 0; i < ARRAY_COUNT(combinations); i++) {
			kelp_attr_t attributes = closest(combinations[i]);
			struct expectation may = kernel_may(attributes);
			kelp_vaddr_t va = map_around(frame, level, attributes);

			test_note("level << 32 | attributes", (uint64_t)level << 32 | attributes);
			CHECK(test_load(va + 64, &value) == allowed(may.load));
			CHECK(test_store(va + 64, i) == allowed(may.store));
			CHECK(test_fetch(va) == allowed(may.fetch));
		}
	}
}

/* The page that user mode executes from, and what it may then do elsewhere. */
static void rights_of_user_mode(void)
{
	kelp_paddr_t code = test_frames(0), frame = test_frames(0);
	kelp_vaddr_t user_code = USER_BASE;
	size_t size = (size_t)(arch_user_code_end - arch_user_code);

	copywin_write(code, arch_user_code, size);
	copywin_write(frame, arch_user_stop_code, ARCH_CODE_SIZE);
	test_put(frame + 64, 4711);
	REQUIRE(test_map(user_code, code, PAGE_SIZE, closest(RX | KELP_ATTR_USER), 0) == KELP_OK);
	arch_sync_code((void *)(uintptr_t)user_code, size);
	for (unsigned level = 0; level < kernel_format.levels; level++) {
		if (!level_has_leaves(level))
			continue;
		for (unsigned i = 0; i < ARRAY_COUNT(combinations); i++) {
			kelp_attr_t attributes = closest(combinations[i]);
			struct expectation may = user_may(attributes);
			uintptr_t va = (uintptr_t)map_around(frame, level, attributes);
			uint64_t value = 4711;

			test_note("level << 32 | attributes", (uint64_t)level << 32 | attributes);
			CHECK(arch_probe_user(PROBE_STORE, va + 64, (uintptr_t)user_code, &value)
				      .result == allowed(may.store));
			value = 0;
			CHECK(arch_probe_user(PROBE_LOAD, va + 64, (uintptr_t)user_code, &value)
				      .result == allowed(may.load));
			CHECK(value == (may.load ? 4711 : 0));
			CHECK(arch_probe_user(PROBE_FETCH, va, (uintptr_t)user_code, NULL)
				      .result == allowed(may.fetch));
		}
	}
}

static void user_access_is_opened_and_closed(void)
{
	kelp_paddr_t frame = test_frames(0);
	unsigned long flags;
	uint64_t value;

	if (!arch_guards_user_access()) {
		test_skip("this CPU does not guard user memory");
		return;
	}
	REQUIRE(test_map(USER_BASE, frame, PAGE_SIZE, closest(RW | KELP_ATTR_USER), 0) == KELP_OK);
	flags = arch_irq_save();
	CHECK(test_load(USER_BASE, &value) == PROBE_DENIED);
	arch_user_access(true);
	CHECK(test_load(USER_BASE, &value) == PROBE_OK);
	CHECK(test_store(USER_BASE, 1) == PROBE_OK);
	arch_user_access(false);
	CHECK(test_store(USER_BASE, 2) == PROBE_DENIED);
	arch_irq_restore(flags);
}

static void rights_change_at_once(void)
{
	kelp_paddr_t frame = test_frames(0);
	bool nx = !(kernel_format.attr_always & KELP_ATTR_EXEC);
	uint64_t value;

	copywin_write(frame, arch_return_code, ARCH_CODE_SIZE);
	REQUIRE(test_map(TEST_BASE, frame, PAGE_SIZE, closest(RW), 0) ==
		KELP_OK);
	for (unsigned round = 0; round < 16; round++) {
		test_note("round", round);
		CHECK(test_store(TEST_BASE + 8, round) == PROBE_OK);
		CHECK(test_protect(TEST_BASE, PAGE_SIZE, 0, KELP_ATTR_WRITE, 0) == KELP_OK);
		CHECK(test_store(TEST_BASE + 8, 99) == PROBE_DENIED);
		CHECK(test_load(TEST_BASE + 8, &value) == PROBE_OK && value == round);
		if (nx) {
			CHECK(test_fetch(TEST_BASE) == PROBE_DENIED);
			CHECK(test_protect(TEST_BASE, PAGE_SIZE, KELP_ATTR_EXEC, 0, 0) == KELP_OK);
			CHECK(test_fetch(TEST_BASE) == PROBE_OK);
			CHECK(test_protect(TEST_BASE, PAGE_SIZE, 0, KELP_ATTR_EXEC, 0) == KELP_OK);
			CHECK(test_fetch(TEST_BASE) == PROBE_DENIED);
		}
		CHECK(test_protect(TEST_BASE, PAGE_SIZE, KELP_ATTR_WRITE, 0, 0) == KELP_OK);
	}
}

/* ---- what hardware writes ---------------------------------------------------------------- */

static void accessed_and_dirty(void)
{
	kelp_paddr_t frame = test_frames(0);
	uint64_t value;

	if (!kernel_format.hardware_accessed || !kernel_format.hardware_dirty) {
		test_skip("hardware does not set them");
		return;
	}
	for (unsigned level = 0; level < kernel_format.levels; level++) {
		kelp_vaddr_t va;

		if (!level_has_leaves(level))
			continue;
		test_note("level", level);
		va = map_around(frame, level, RW);
		CHECK(!(test_query(va).attributes & (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)));
		CHECK(test_load(va, &value) == PROBE_OK);
		CHECK((test_query(va).attributes & (KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY)) ==
		      KELP_ATTR_ACCESSED);
		CHECK(test_store(va, 1) == PROBE_OK);
		CHECK(test_query(va).attributes & KELP_ATTR_DIRTY);
		/* Taken away, they are set anew: the cached translation is gone, too. */
		CHECK(test_protect(align_down(va, PAGE_SIZE), PAGE_SIZE, 0,
				   KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY, 0) == KELP_OK);
		CHECK(test_store(va, 2) == PROBE_OK);
		CHECK(test_query(va).attributes & KELP_ATTR_DIRTY);
	}
}

static void every_memory_type(void)
{
	kelp_paddr_t frame = test_frames(0);
	unsigned types = 0;
	uint64_t value;

	for (unsigned level = 0; level < kernel_format.levels; level++) {
		if (!level_has_leaves(level))
			continue;
		for (unsigned type = 0; type < KELP_MEMORY_TYPES; type++) {
			kelp_attr_t wanted = RW | KELP_ATTR_TYPE(type);
			kelp_vaddr_t va;

			if (kernel_format.type_to_index[type] == KELP_TYPE_ABSENT) {
				CHECK(test_map(TEST_BASE, frame, PAGE_SIZE,
					       closest(RW) |
						       KELP_ATTR_TYPE(type), 0) ==
				      KELP_ERR_UNSUPPORTED);
				continue;
			}
			test_note("type", type);
			va = map_around(frame, level, wanted);
			CHECK((test_query(va).attributes & KELP_ATTR_TYPE_MASK) ==
			      KELP_ATTR_TYPE(type));
			CHECK(test_store(va, type) == PROBE_OK);
			CHECK(test_load(va, &value) == PROBE_OK && value == type);
			types++;
		}
	}
	CHECK(types >= 4);
}

/* ---- five levels ------------------------------------------------------------------------- */

static void beyond_48_bits(void)
{
	kelp_paddr_t frame = test_frames(0);
	kelp_vaddr_t places[] = {UINT64_C(1) << 48, UINT64_C(0x00ffffffffe00000),
				 UINT64_C(0xff00000000000000), UINT64_C(0xff7ffffffffff000)};
	uint64_t value;

	test_put(frame, 57);
	for (unsigned i = 0; i < ARRAY_COUNT(places); i++) {
		struct kelp_flush flush;

		test_note("address", places[i]);
		if (kernel_format.va_bits <= 48) {
			/* No address here: refused, and hardware agrees, if it can be asked. */
			CHECK(test_map(places[i], frame, PAGE_SIZE, closest(RW), 0) ==
			      KELP_ERR_ADDRESS);
			CHECK((uintptr_t)places[i] != places[i] ||
			      test_load(places[i], &value) == PROBE_OTHER);
			continue;
		}
		CHECK(test_map(places[i], frame, PAGE_SIZE, closest(RW), 0) == KELP_OK);
		CHECK(test_load(places[i], &value) == PROBE_OK && value == 57);
		kelp_flush_begin(&flush, &kernel_space);
		CHECK(kelp_space_unmap(&flush, places[i], PAGE_SIZE, KELP_STRICT) == KELP_OK);
		CHECK(kelp_space_release(&flush, places[i], PAGE_SIZE, NULL) == KELP_OK);
		vm_commit(&flush);
		CHECK(test_load(places[i], &value) == PROBE_NOT_PRESENT);
	}
}

const struct test mmu_tests[] = {
	{"mmu: stores reach the frame", stores_reach_the_frame, 0},
	{"mmu: pages in any order", pages_in_any_order, 0},
	{"mmu: nothing after unmap", nothing_after_unmap, 0},
	{"mmu: replaced at once", replaced_at_once, 0},
	{"mmu: ends of the address space", ends_of_the_address_space, 0},
	{"mmu: rights of the kernel", rights_of_the_kernel, 0},
	{"mmu: rights of user mode", rights_of_user_mode, 0},
	{"mmu: user access is opened and closed", user_access_is_opened_and_closed, 0},
	{"mmu: rights change at once", rights_change_at_once, 0},
	{"mmu: accessed and dirty", accessed_and_dirty, 0},
	{"mmu: every memory type", every_memory_type, 0},
	{"mmu: beyond 48 bits", beyond_48_bits, 0},
};
const unsigned mmu_test_count = ARRAY_COUNT(mmu_tests);
