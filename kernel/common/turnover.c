/* SPDX-License-Identifier: MIT */
/* turnover: everybody uses memory while it comes and goes. */
#include <turnover.h>

#include <cpu.h>
#include <frames.h>
#include <holds.h>
#include <lock.h>
#include <memmap.h>
#include <print.h>
#include <reach.h>
#include <thread.h>
#include <vm.h>

#define THREADS 4u
#define SLOTS   1024u /* movable pages of one thread */
#define HOLDS   3u    /* kept over some rounds by one thread */
#define PAUSE_MICROSECONDS 3000u
#define OPERATIONS 6u
#define WORDS   (PAGE_SIZE / sizeof(uint64_t))

/* A movable page and what it must hold: 0 in `stamp`, nothing. */
struct slot {
	kelp_paddr_t address;
	uint64_t stamp;
};

struct counts {
	uint64_t walks, descriptors, holds, refused, pages, moved, kernel_pages, no_memory;
};

struct worker {
	struct spinlock lock; /* over the slots: whoever moves a page takes it too */
	struct slot *slot;
	struct counts counts;
	uint64_t random;
	kelp_paddr_t walk;    /* how far it has got */
	struct kelp_hold hold[HOLDS];
	kelp_paddr_t held[HOLDS];
	bool holds[HOLDS];
	unsigned turn;
	struct thread *thread;
};

static struct worker workers[THREADS];
static bool stop, running;
static uint32_t failures;
static uint64_t used_before;

static void fail(const char *what, uint64_t number)
{
	if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) < 8)
		kprintf("turnover: frame 0x%llx: %s\n", (unsigned long long)number, what);
}

/* Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t random_number(struct worker *worker)
{
	uint64_t value = worker->random;

	value ^= value << 13;
	value ^= value >> 7;
	value ^= value << 17;
	return worker->random = value;
}

/* ---- contents ---------------------------------------------------------------------------- */

static uint64_t word_of(uint64_t stamp, uint64_t index)
{
	return (stamp + index) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(kelp_paddr_t address, uint64_t stamp)
{
	uint64_t *word = kmap_local(address);

	for (unsigned i = 0; i < WORDS; i++)
		word[i] = word_of(stamp, i);
	kunmap_local(word);
}

static void check(kelp_paddr_t address, uint64_t stamp)
{
	const uint64_t *word = kmap_local(address);
	bool lost = false;

	for (unsigned i = 0; i < WORDS; i++)
		lost |= word[i] != word_of(stamp, i);
	kunmap_local(word);
	if (lost)
		fail("its contents are lost", address >> PAGE_SHIFT);
}

/* ---- movable pages ----------------------------------------------------------------------- */

static bool move(const struct frame_owner *owner, uintptr_t cookie, kelp_paddr_t from,
		 kelp_paddr_t to)
{
	struct worker *worker = &workers[cookie / SLOTS];
	struct slot *slot = &worker->slot[cookie % SLOTS];
	bool mine;

	(void)owner;
	spin_lock(&worker->lock);
	mine = slot->stamp && slot->address == from;
	if (mine) {
		const void *source = kmap_local(from);
		void *target = kmap_local(to);

		memcpy(target, source, PAGE_SIZE);
		kunmap_local(target);
		kunmap_local(source);
		slot->address = to;
		worker->counts.moved++;
	}
	spin_unlock(&worker->lock);
	return mine;
}

static const struct frame_owner owner = {"turnover", move};

/* Fills an empty slot, or checks a full one and, now and then, empties it. The lock is held. */
static kelp_paddr_t use_slot(struct worker *worker, unsigned index, bool empty)
{
	struct slot *slot = &worker->slot[index];
	kelp_paddr_t given = 0;

	if (slot->stamp) {
		check(slot->address, slot->stamp);
		if (empty) {
			given = slot->address;
			slot->stamp = 0;
		}
	} else if (!empty) {
		uintptr_t cookie = (uintptr_t)(worker - workers) * SLOTS + index;

		if (frames_take_movable(&owner, cookie, &slot->address)) {
			slot->stamp = random_number(worker) | 1u;
			fill(slot->address, slot->stamp);
			worker->counts.pages++;
		} else {
			worker->counts.no_memory++;
		}
	}
	return given;
}

static void use_slots(struct worker *worker)
{
	for (unsigned i = 0; i < OPERATIONS; i++) {
		uint64_t random = random_number(worker);
		kelp_paddr_t given;

		spin_lock(&worker->lock);
		given = use_slot(worker, (unsigned)(random >> 8) % SLOTS, (uint32_t)random % 3u == 0);
		spin_unlock(&worker->lock);
		if (given)
			frames_give(0, given);
	}
}

/* ---- pages of the kernel ----------------------------------------------------------------- */

static void use_kernel_pages(struct worker *worker)
{
	unsigned order = (uint32_t)random_number(worker) % 4u;
	uint64_t stamp = random_number(worker);
	kelp_paddr_t block;

	if (!frames_take(order, FRAME_ANYWHERE, &block)) {
		worker->counts.no_memory++;
		return;
	}
	fill(block, stamp);
	thread_yield();
	check(block, stamp);
	frames_give(order, block);
	worker->counts.kernel_pages += UINT64_C(1) << order;
}

/* ---- walking and holding ----------------------------------------------------------------- */

/* A subsection further; all of its descriptors are looked at while it is held. */
static void walk(struct worker *worker)
{
	const uint64_t size = UINT64_C(1) << MEMMAP_SUBSECTION_SHIFT;
	kelp_pfn_t from = {worker->walk >> PAGE_SHIFT}, first, last;
	struct kelp_subsection_hold hold;
	const char *wrong;
	uint64_t number;

	if (!kelp_memmap_next(&kernel_memmap, KELP_FRAMES_ONLINE, from, &first, &last)) {
		worker->walk = 0;
		worker->counts.walks++;
		return;
	}
	worker->walk = align_down(first.number << PAGE_SHIFT, size) + size;
	if (frames_hold_subsection(first.number << PAGE_SHIFT, &hold) != KELP_OK) {
		worker->counts.refused++;
		return;
	}
	wrong = frames_check_held(&hold, &number, &worker->counts.descriptors);
	frames_release_subsection(&hold);
	if (wrong)
		fail(wrong, number);
}

/* Frames that may have descriptors, or had some, lie below. */
#define FRAMES_TRIED (uint32_t)((UINT64_C(6) * GIB) >> PAGE_SHIFT)

/* Half of the time any frame, which need not exist, else one of an online range. */
static bool some_frame(struct worker *worker, kelp_paddr_t *address)
{
	kelp_pfn_t from = {(uint32_t)random_number(worker) % FRAMES_TRIED}, first, last;

	if (random_number(worker) & 1u) {
		*address = from.number << PAGE_SHIFT;
		return true;
	}
	if (!kelp_memmap_next(&kernel_memmap, KELP_FRAMES_ONLINE, from, &first, &last))
		return false;
	first.number += (uint32_t)random_number(worker) %
			(uint32_t)(last.number - first.number + 1u);
	*address = first.number << PAGE_SHIFT;
	return true;
}

/* Held since some rounds: the descriptor is as sane as then, and the memory can be read. */
static void let_go(struct worker *worker, unsigned i)
{
	uint64_t number = worker->held[i] >> PAGE_SHIFT;
	const char *wrong = frames_check(kelp_hold_page(&worker->hold[i]), number);
	const volatile uint64_t *word;

	if (wrong)
		fail(wrong, number);
	if (!kelp_pfn_valid(&kernel_memmap, (kelp_pfn_t){number}))
		fail("it is held and lost its descriptor", number);
	word = kmap_local(worker->held[i]);
	(void)*word;
	kunmap_local((const void *)(uintptr_t)word);
	frame_release(&worker->hold[i]);
	worker->holds[i] = false;
}

static void hold_frames(struct worker *worker)
{
	unsigned i = worker->turn++ % HOLDS;

	/* Each lasts over a pause and a round of all else: on another CPU, perhaps, at its end. */
	if (worker->holds[i]) {
		let_go(worker, i);
	} else if (some_frame(worker, &worker->held[i])) {
		worker->holds[i] =
			frame_hold_online(worker->held[i], &worker->hold[i]) == KELP_OK;
		worker->counts.holds += worker->holds[i];
		worker->counts.refused += !worker->holds[i];
	}
}

/* ---- the threads ------------------------------------------------------------------------- */

static void work(void *argument)
{
	struct worker *worker = argument;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		use_slots(worker);
		use_kernel_pages(worker);
		walk(worker);
		hold_frames(worker);
		/*
		 * A host with less processors than we have CPUs stops some of them, and those that
		 * wait for their locks spin: leave it some time.
		 */
		thread_sleep(PAUSE_MICROSECONDS);
	}
	for (unsigned i = 0; i < HOLDS; i++)
		if (worker->holds[i])
			let_go(worker, i);
	for (unsigned i = 0; i < SLOTS; i++) {
		kelp_paddr_t given;

		spin_lock(&worker->lock);
		given = use_slot(worker, i, true);
		spin_unlock(&worker->lock);
		if (given)
			frames_give(0, given);
	}
}

/* Frames that are neither free nor tables nor the memmap's: the same before and after. */
static uint64_t frames_used(void)
{
	struct frame_stats stats;

	frames_stats(&stats);
	return stats.total - stats.free - stats.cached - stats.isolated - kernel_space.tables -
	       memmap_pages();
}

static void forget_worker(struct worker *worker)
{
	if (worker->slot)
		vm_unmap(worker->slot, SLOTS * sizeof(struct slot), true);
	worker->slot = NULL;
	/* A start that fails half-way stops all of them, those of an earlier run too. */
	worker->thread = NULL;
}

bool turnover_start(void)
{
	if (running) {
		kprintf("turnover: it runs already\n");
		return false;
	}
	used_before = frames_used();
	stop = false;
	failures = 0;
	running = true;
	for (unsigned i = 0; i < THREADS; i++) {
		struct worker *worker = &workers[i];

		*worker = (struct worker){
			.lock = SPINLOCK("turnover"),
			.slot = vm_allocate(SLOTS * sizeof(struct slot)),
			.random = UINT64_C(0x6a09e667f3bcc909) * (i + 1u),
		};
		if (worker->slot)
			worker->thread = thread_start("turnover", work, worker, THREAD_ANY_CPU);
		if (worker->thread)
			continue;
		kprintf("turnover: no memory for its threads\n");
		(void)turnover_stop();
		return false;
	}
	return true;
}

bool turnover_stop(void)
{
	uint64_t used;

	if (!running) {
		kprintf("turnover: it does not run\n");
		return false;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < THREADS; i++)
		if (workers[i].thread)
			thread_join(workers[i].thread);
	turnover_print();
	for (unsigned i = 0; i < THREADS; i++)
		forget_worker(&workers[i]);
	running = false;
	/* Nobody else holds anything for long. */
	for (uint32_t bucket = 0; bucket <= kernel_memmap.holds.bucket_mask; bucket++) {
		uint32_t left = kelp_holds_count(&kernel_memmap.holds, bucket);

		if (!left)
			continue;
		failures++;
		kprintf("turnover: %d holds were not released\n", (int)left);
	}
	used = frames_used();
	if (used != used_before) {
		failures++;
		kprintf("turnover: %lld frames are missing\n", (long long)(used - used_before));
	}
	kprintf("turnover: %s\n", failures ? "FAILED" : "nothing was lost");
	return !failures;
}

bool turnover_runs(void)
{
	return running;
}

void turnover_print(void)
{
	struct counts sum = {0};

	for (unsigned i = 0; i < THREADS; i++) {
		const struct counts *one = &workers[i].counts;

		sum.walks += one->walks;
		sum.descriptors += one->descriptors;
		sum.holds += one->holds;
		sum.refused += one->refused;
		sum.pages += one->pages;
		sum.moved += one->moved;
		sum.kernel_pages += one->kernel_pages;
		sum.no_memory += one->no_memory;
	}
	kprintf("turnover: %llu walks over %llu descriptors, %llu holds, %llu refused\n",
		(unsigned long long)sum.walks, (unsigned long long)sum.descriptors,
		(unsigned long long)sum.holds, (unsigned long long)sum.refused);
	kprintf("turnover: %llu movable pages, %llu moved, %llu of the kernel, %llu times no memory\n",
		(unsigned long long)sum.pages, (unsigned long long)sum.moved,
		(unsigned long long)sum.kernel_pages, (unsigned long long)sum.no_memory);
}
