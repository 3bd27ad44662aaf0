/* SPDX-License-Identifier: MIT */
/*
 * Remote flush: CPUs with translation and paging-structure caches that never forget by
 * themselves, a port that shoots them down by interrupt and mailbox, and the library's gather.
 * Whoever was unmapped, narrowed or retired must be reachable by nobody once the commit is over.
 *
 * An instruction that accesses memory is atomic towards interrupts: the walk, the filling of the
 * caches and the use of the frame are one.
 */
#include "support/world.h"

#include "hw.h"

#define W     KELP_ATTR_WRITE
#define CPUS  3
#define PAGES 8

/* ---- CPUs ------------------------------------------------------------------------------------- */

struct cpu {
	uint64_t leaf[PAGES];      /* translation cache: the entry, 0 = none */
	kelp_vaddr_t base[PAGES];  /* first address of that leaf */
	kelp_paddr_t table[PAGES]; /* paging-structure cache: of each 256 bytes the table, 0 = none */
};

static struct machine {
	struct cpu cpu[CPUS];
	uint64_t frame[PAGES]; /* what is in the frames: FRAME(0) + n * 64 */
	/* Mailboxes: of each CPU one per sender. */
	uint64_t request[CPUS][CPUS];
	uint64_t pending[CPUS][CPUS];
	/* Stands for the memory of each sender's request: it writes it, the others read it. */
	uint64_t request_memory[CPUS];
	uint64_t running; /* mask of CPUs that run the space, where the port keeps one */
	uint32_t cpus;
	bool ack_early, no_fence, no_wait, uses_mask, last_level_only, interrupts_off;
} machine;

static struct cpu *this_cpu(void)
{
	return &machine.cpu[explore_self()];
}

/* The hardware's walk: from the cached table if there is one, else from the root. */
static uint64_t walk(struct cpu *cpu, kelp_vaddr_t va, unsigned *level)
{
	kelp_paddr_t page = cpu->table[va / TINY_LARGE];
	uint64_t entry = 0;

	*level = page ? 1 : TINY_LEVELS;
	if (!page)
		page = world.space.root;
	while ((*level)-- > 0) {
		const uint64_t *table = world.page[(page - WORLD_TABLES) / 64u];

		entry = explore_load(&table[kelp_tiny_index(&world.format, *level, va)], 8,
				     EXPLORE_ACQUIRE);
		if (kelp_tiny_kind(&world.format, *level, entry) != KELP_ENTRY_TABLE)
			return entry;
		page = entry & TINY_FRAME;
		if (*level == 1)
			cpu->table[va / TINY_LARGE] = page;
	}
	return entry;
}

/* One instruction that reads (or writes) memory at `va`; false: it faults. */
static bool touch(kelp_vaddr_t va, bool write)
{
	struct cpu *cpu = this_cpu();
	unsigned n = (unsigned)(va / TINY_PAGE);
	bool were_on, cached, done = false;

	/* Interrupts are taken before it, not within. */
	explore_step(cpu, true, write ? "an instruction writes" : "an instruction reads");
	were_on = explore_interrupts_off();
	cached = cpu->leaf[n] != 0;
	if (!cached) {
		unsigned level;
		uint64_t entry = walk(cpu, va, &level);

		if (entry & TINY_V) {
			cpu->leaf[n] = entry;
			cpu->base[n] = va & ~((UINT64_C(1) << kelp_tiny_shift(level)) - 1u);
		}
	}
	if (cpu->leaf[n] && (!write || (cpu->leaf[n] & TINY_W))) {
		uint64_t f = ((cpu->leaf[n] & TINY_FRAME) - FRAME(0) + va - cpu->base[n]) / TINY_PAGE;

		explore_note("%s frame %llu by a translation %s", write ? "writes" : "reads",
			     (unsigned long long)f, cached ? "from the cache" : "just walked");
		explore_check(f < PAGES, "%#llx is translated to no frame at all",
			      (unsigned long long)va);
		if (write)
			explore_plain_store(&machine.frame[f], 8, 1);
		else
			(void)explore_plain_load(&machine.frame[f], 8);
		done = true;
	}
	if (were_on)
		explore_interrupts_on();
	return done;
}

static void invalidate_page(void *context, const struct kelp_space *space, kelp_vaddr_t va,
			    unsigned shift, uint32_t flags)
{
	struct cpu *cpu = this_cpu();
	kelp_vaddr_t last = va + ((UINT64_C(1) << shift) - 1u);

	(void)context, (void)space;
	explore_note("invalidates %#llx", (unsigned long long)va);
	for (unsigned n = 0; n < PAGES; n++) {
		kelp_vaddr_t page = n * TINY_PAGE;

		if (page > last || page + TINY_PAGE <= va)
			continue;
		cpu->leaf[n] = 0;
		if ((flags & KELP_FLUSH_TABLES) && !machine.last_level_only)
			cpu->table[page / TINY_LARGE] = 0;
	}
}

static void invalidate_all(void *context, const struct kelp_space *space, uint32_t flags)
{
	(void)context, (void)space, (void)flags;
	memset(this_cpu(), 0, sizeof(struct cpu));
}

static const struct explore_hw hardware = {
	.invalidate_page = invalidate_page,
	.invalidate_all = invalidate_all,
};

/* ---- the port's shootdown ------------------------------------------------------------------------ */

static bool is_target(uint32_t cpu)
{
	return cpu != explore_self() && cpu < machine.cpus;
}

static void shootdown(void *context, const struct kelp_flush_request *request)
{
	uint32_t self = explore_self(), targets = 0;
	bool were_on = false;

	(void)context;
	for (uint32_t c = 0; c < CPUS; c++)
		targets |= is_target(c) ? 1u << c : 0;
	/* kelp_hw_invalidate_begin() has put a fence between the entries and this load. */
	if (machine.uses_mask)
		targets &= (uint32_t)explore_load(&machine.running, 8, EXPLORE_ACQUIRE);
	explore_plain_store(&machine.request_memory[self], 8, 1);
	for (uint32_t c = 0; c < CPUS; c++) {
		if (!(targets & (1u << c)))
			continue;
		explore_store(&machine.request[c][self], 8, (uintptr_t)request, EXPLORE_RELAXED);
		explore_store(&machine.pending[c][self], 8, 1, EXPLORE_RELEASE);
	}
	/* Sending is no barrier (x2APIC; arm64 wants a DSB before the SGI). */
	if (!machine.no_fence)
		explore_fence(EXPLORE_SEQ_CST);
	for (uint32_t c = 0; c < CPUS; c++)
		if (targets & (1u << c))
			explore_interrupt_send(c);
	if (machine.no_wait)
		targets = 0;
	if (machine.interrupts_off)
		were_on = explore_interrupts_off();
	for (uint32_t c = 0; c < CPUS; c++)
		if (targets & (1u << c))
			explore_await(&machine.pending[c][self], 8, UINT64_MAX, 0,
				      EXPLORE_ACQUIRE);
	if (were_on)
		explore_interrupts_on();
	/* It lay on the stack. */
	explore_plain_store(&machine.request_memory[self], 8, 0);
}

static void handler(void *context, uint32_t self)
{
	(void)context;
	for (uint32_t from = 0; from < machine.cpus; from++) {
		const struct kelp_flush_request *request;

		if (from == self ||
		    !explore_load(&machine.pending[self][from], 8, EXPLORE_ACQUIRE))
			continue;
		request = (const struct kelp_flush_request *)(uintptr_t)explore_load(
			&machine.request[self][from], 8, EXPLORE_RELAXED);
		if (machine.ack_early)
			explore_store(&machine.pending[self][from], 8, 0, EXPLORE_RELEASE);
		(void)explore_plain_load(&machine.request_memory[from], 8);
		kelp_flush_execute(request);
		if (!machine.ack_early)
			explore_store(&machine.pending[self][from], 8, 0, EXPLORE_RELEASE);
	}
}

/* ---- setup ------------------------------------------------------------------------------------------ */

static void setup_cpus(uint32_t cpus)
{
	memset(&machine, 0, sizeof(machine));
	machine.cpus = cpus;
	explore_hw = &hardware;
	world_setup(2, false);
	world_readers = 0;
	/* Readers run with interrupts off: the shootdown implies that they are through. */
	world.port.wait_for_readers = NULL;
	explore_region(machine.frame, sizeof(machine.frame), 8, "frame");
	explore_region(machine.request, sizeof(machine.request), 8, "request");
	explore_region(machine.pending, sizeof(machine.pending), 8, "pending");
	explore_region(machine.request_memory, sizeof(machine.request_memory), 8, "request_memory");
	explore_region(&machine.running, 8, 8, "running");
}

static void finish_setup(void)
{
	/* No CPU has run yet: nothing is cached. */
	memset(machine.cpu, 0, sizeof(machine.cpu));
	world.port.shootdown = shootdown;
}

static void setup_pages_of(uint32_t cpus)
{
	setup_cpus(cpus);
	map(0x000, FRAME(0), 2 * TINY_LARGE, W, KELP_LEAF_SHIFT(6));
	finish_setup();
}

/* The CPU that edits in setup is none. */
static void setup_pages(void *context)
{
	(void)context;
	setup_pages_of(2);
}

static void setup_pages_3(void *context)
{
	(void)context;
	setup_pages_of(3);
}

static void setup_large(void *context)
{
	(void)context;
	setup_cpus(2);
	map(0x000, FRAME(0), TINY_LARGE, W, 0);
	finish_setup();
}

static void setup_mask(void *context)
{
	setup_pages(context);
	machine.uses_mask = true;
}

/* ---- threads ------------------------------------------------------------------------------------------ */

/* Frame n belongs to somebody else now. */
static void reuse(unsigned n)
{
	explore_note("frame %u is used for something else", n);
	explore_plain_store(&machine.frame[n], 8, 77);
}

static void unmap_page(void *context)
{
	(void)context;
	touch(0x040, false);
	unmap(0x040, TINY_PAGE, 0);
	reuse(1);
}

static void unmap_other_page(void *context)
{
	(void)context;
	unmap(0x080, TINY_PAGE, 0);
	reuse(2);
}

static void unmap_first_table(void *context)
{
	(void)context;
	unmap(0x000, TINY_LARGE, 0);
	reuse(0);
	reuse(1);
}

static void read_page(void *context)
{
	(void)context;
	touch(0x040, false);
	touch(0x040, false);
}

static void read_two_pages(void *context)
{
	(void)context;
	touch(0x000, false);
	touch(0x040, false);
}

static void write_page(void *context)
{
	(void)context;
	touch(0x040, true);
	touch(0x040, true);
}

/* Takes the right to write, then reads what was written: nobody may write any more. */
static void write_protect(void *context)
{
	(void)context;
	protect(0x040, TINY_PAGE, 0, W, 0);
	(void)explore_plain_load(&machine.frame[1], 8);
}

/* A large leaf is split and a part replaced by another frame. */
static void move_page(void *context)
{
	(void)context;
	map(0x040, FRAME(0) + 5 * TINY_PAGE, TINY_PAGE, W, KELP_REPLACE);
	reuse(1);
}

static void coalesce_table(void *context)
{
	(void)context;
	coalesce(0x000, TINY_LARGE, 0);
}

static void query_interrupts_off(void *context)
{
	struct kelp_mapping m;

	(void)context;
	explore_interrupts_off();
	explore_check(kelp_space_query(&world.space, 0x000, &m) == KELP_OK, "a query fails");
	explore_interrupts_on();
	check_leaf_or_hole(&m, 0x000, FRAME(0));
}

static void query_interrupts_on(void *context)
{
	struct kelp_mapping m;

	(void)context;
	explore_check(kelp_space_query(&world.space, 0x000, &m) == KELP_OK, "a query fails");
	check_leaf_or_hole(&m, 0x000, FRAME(0));
}

/* Switches to the space, uses it, switches away. */
static void switch_in(void *context)
{
	(void)context;
	explore_or(&machine.running, 8, 1u << explore_self(), EXPLORE_RELAXED);
	/* The mask before the first walk. */
	explore_fence(EXPLORE_SEQ_CST);
	touch(0x040, false);
	touch(0x040, false);
}

/* ---- with a bug planted ---------------------------------------------------------------------------------- */

static void setup_local_only(void *context)
{
	setup_pages(context);
	world.port.shootdown = NULL;
}

static void setup_no_wait(void *context)
{
	setup_pages(context);
	machine.no_wait = true;
}

static void setup_ack_early(void *context)
{
	setup_pages(context);
	machine.ack_early = true;
}

static void setup_no_fence(void *context)
{
	setup_pages(context);
	machine.no_fence = true;
}

static void setup_last_level_only(void *context)
{
	setup_pages(context);
	machine.last_level_only = true;
}

static void setup_interrupts_off(void *context)
{
	setup_pages(context);
	machine.interrupts_off = true;
}

static void reuse_before_commit(void *context)
{
	struct kelp_flush flush = {0};

	(void)context;
	kelp_flush_begin(&flush, &world.space);
	explore_check(kelp_space_unmap(&flush, 0x040, TINY_PAGE, 0) == KELP_OK, "unmap fails");
	reuse(1);
	kelp_flush_commit(&flush);
}

static void flush_before_write(void *context)
{
	struct kelp_flush flush = {0};
	uint64_t *slot = NULL;

	(void)context;
	for (unsigned i = 0; i < WORLD_PAGES && !slot; i++)
		if ((world.page[i][1] & TINY_FRAME) == FRAME(0) + 0x40)
			slot = &world.page[i][1];
	kelp_flush_begin(&flush, &world.space);
	kelp_flush_add(&flush, 0x040, 0x07f, 6, 0);
	kelp_flush_commit(&flush);
	kelp_hw_store64(slot, 0);
	reuse(1);
}

static void switch_in_late(void *context)
{
	(void)context;
	touch(0x040, false);
	explore_or(&machine.running, 8, 1u << explore_self(), EXPLORE_RELAXED);
	explore_fence(EXPLORE_SEQ_CST);
	touch(0x040, false);
}

/* The mask by a plain store and no fence: the walk may come first (store buffering). */
static void switch_in_unfenced(void *context)
{
	(void)context;
	explore_store(&machine.running, 8, 1u << explore_self(), EXPLORE_RELEASE);
	touch(0x040, false);
	touch(0x040, false);
}

#define WEAK (1u << EXPLORE_TSO | 1u << EXPLORE_RA)

static const struct world_case cases[] = {
	{"unmap, one other CPU", setup_pages, {unmap_page, read_page}, NULL, handler,
	 .thread_name = {"cpu0", "cpu1"}},
	{"unmap, two other CPUs", setup_pages_3, {unmap_page, read_page, read_page}, NULL, handler,
	 .thread_name = {"cpu0", "cpu1", "cpu2"}},
	{"unmap of a table", setup_pages, {unmap_first_table, read_two_pages}, NULL, handler,
	 .thread_name = {"cpu0", "cpu1"}},
	{"write-protect", setup_pages, {write_protect, write_page}, NULL, handler,
	 .thread_name = {"cpu0", "cpu1"}},
	{"part of a large leaf moved", setup_large, {move_page, read_two_pages}, NULL, handler,
	 .thread_name = {"cpu0", "cpu1"}},
	{"coalesce", setup_pages, {coalesce_table, read_two_pages}, NULL, handler,
	 .thread_name = {"cpu0", "cpu1"}},
	{"two CPUs unmap", setup_pages, {unmap_page, unmap_other_page}, NULL, handler,
	 .thread_name = {"cpu0", "cpu1"}},
	{"query with interrupts off", setup_pages, {unmap_first_table, query_interrupts_off}, NULL,
	 handler, .thread_name = {"cpu0", "cpu1"}},
	{"only CPUs that run the space", setup_mask, {unmap_page, switch_in}, NULL, handler,
	 .thread_name = {"cpu0", "cpu1"}},

	{"bad: local flush only", setup_local_only, {unmap_page, read_page}, NULL, handler,
	 .fails = "data race on frame[1]", .thread_name = {"cpu0", "cpu1"}},
	{"bad: nobody waits for the answer", setup_no_wait, {unmap_page, read_page}, NULL, handler,
	 .fails = "data race on", .thread_name = {"cpu0", "cpu1"}},
	{"bad: answer before the flush", setup_ack_early, {unmap_first_table, read_two_pages}, NULL,
	 handler, .fails = "data race on request_memory", .thread_name = {"cpu0", "cpu1"}},
	{"bad: interrupt without a fence", setup_no_fence, {unmap_page, read_page}, NULL, handler,
	 .fails = "wait for ever", .models = WEAK, .thread_name = {"cpu0", "cpu1"}},
	{"good on SC: the same", setup_no_fence, {unmap_page, read_page}, NULL, handler,
	 .models = 1u << EXPLORE_SC, .thread_name = {"cpu0", "cpu1"}},
	{"bad: waits with interrupts off", setup_interrupts_off, {unmap_page, unmap_other_page}, NULL,
	 handler, .fails = "wait for ever", .thread_name = {"cpu0", "cpu1"}},
	{"bad: walk caches not flushed", setup_last_level_only, {unmap_first_table, read_two_pages},
	 NULL, handler, .fails = "back", .thread_name = {"cpu0", "cpu1"}},
	{"bad: frame reused before the commit", setup_pages, {reuse_before_commit, read_page}, NULL,
	 handler, .fails = "data race on frame[1]", .thread_name = {"cpu0", "cpu1"}},
	{"bad: flush before the write", setup_pages, {flush_before_write, read_page}, NULL, handler,
	 .fails = "data race on frame[1]", .thread_name = {"cpu0", "cpu1"}},
	{"bad: query with interrupts on", setup_pages, {unmap_first_table, query_interrupts_on}, NULL,
	 handler, .fails = "back", .thread_name = {"cpu0", "cpu1"}},
	{"bad: switches in, then says so", setup_mask, {unmap_page, switch_in_late}, NULL, handler,
	 .fails = "data race on frame[1]", .thread_name = {"cpu0", "cpu1"}},
	{"bad: switches in without a fence", setup_mask, {unmap_page, switch_in_unfenced}, NULL,
	 handler, .fails = "data race on frame[1]", .models = WEAK,
	 .thread_name = {"cpu0", "cpu1"}},
};

static void run_cases(void **state)
{
	(void)state;
	assert_int_equal(world_run_all(cases, sizeof(cases) / sizeof(cases[0])), 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(run_cases),
	};

	return cmocka_run_group_tests_name("explore/remote_flush", all, NULL, NULL);
}
