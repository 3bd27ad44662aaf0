/* SPDX-License-Identifier: MIT */
/* fill: frames taken, filled, verified. See fill.h. */
#include <fill.h>

#include <frames.h>
#include <hibernate.h>
#include <print.h>
#include <reach.h>
#include <thread.h>
#include <vm.h>

/* A block of frames; its pages are numbered from `page` on. */
struct piece {
	kelp_paddr_t address;
	uint32_t page;
	uint8_t order;
	uint8_t absent; /* not in the direct map */
	uint8_t secret;
	uint8_t hot_added;
};

/* Pieces are listed in pages that are taken like any other. */
#define PIECES ((PAGE_SIZE - 16u) / sizeof(struct piece))
struct list {
	struct list *next;
	uint64_t count;
	struct piece piece[PIECES];
};

static struct list *lists;
static uint64_t seed;

static struct piece *new_piece(void)
{
	kelp_paddr_t page;

	if (!lists || lists->count == PIECES) {
		struct list *list;

		if (!frames_take_zeroed(0, FRAME_ANYWHERE, &page))
			return NULL;
		list = direct_pointer(page);
		list->next = lists;
		lists = list;
	}
	return &lists->piece[lists->count++];
}

/* ---- one page ---------------------------------------------------------------------------- */

static void put(const struct piece *piece, uint64_t i)
{
	fill_page(seed, piece->page + i, direct_pointer(piece->address + (i << PAGE_SHIFT)));
}

/* What is there is what was put there. A frame that is in no map is read through the window. */
static bool holds(const struct piece *piece, uint64_t i, uint64_t *expected)
{
	kelp_paddr_t address = piece->address + (i << PAGE_SHIFT);
	const uint64_t *word = direct_pointer(address);
	uint64_t different = 0;

	if (piece->absent) {
		copywin_read(address, expected + FILL_WORDS, PAGE_SIZE);
		word = expected + FILL_WORDS;
	}
	fill_page(seed, piece->page + i, expected);
	for (unsigned n = 0; n < FILL_WORDS; n++)
		different |= word[n] ^ expected[n];
	return different == 0;
}

/* ---- all of them ------------------------------------------------------------------------- */

/* More do not help, and each has its pages in the image: there may be no others left. */
#define CREW_MAX 8u

/* The first CPUs take pieces in turn until there are none. */
struct crew {
	struct thread *thread[CREW_MAX];
	unsigned numbers;
	void (*work)(struct piece *piece, struct fill_counts *counts, uint64_t *page);
	struct list *list;
	uint64_t next;
	struct spinlock lock;
	struct fill_counts counts;
};

static struct piece *next_piece(struct crew *crew)
{
	struct piece *piece = NULL;

	spin_lock(&crew->lock);
	while (crew->list && crew->next == crew->list->count) {
		crew->list = crew->list->next;
		crew->next = 0;
	}
	if (crew->list)
		piece = &crew->list->piece[crew->next++];
	spin_unlock(&crew->lock);
	return piece;
}

static void add(struct fill_counts *sum, const struct fill_counts *part)
{
	sum->frames += part->frames;
	for (unsigned i = 0; i < FILL_KINDS; i++)
		sum->kind[i] += part->kind[i];
	sum->absent += part->absent;
	sum->secret += part->secret;
	sum->hot_added += part->hot_added;
	sum->differ += part->differ;
}

static void crew_main(void *argument)
{
	static uint64_t pages[CREW_MAX][2 * FILL_WORDS];
	struct crew *crew = argument;
	uint64_t *page = pages[__atomic_fetch_add(&crew->numbers, 1, __ATOMIC_RELAXED)];
	struct fill_counts counts = {0};
	struct piece *piece;

	while ((piece = next_piece(crew)))
		crew->work(piece, &counts, page);
	spin_lock(&crew->lock);
	add(&crew->counts, &counts);
	spin_unlock(&crew->lock);
}

static void run_crew(struct fill_counts *counts,
		     void (*work)(struct piece *piece, struct fill_counts *counts, uint64_t *page))
{
	static struct crew crew;

	crew = (struct crew){.work = work, .list = lists, .lock = SPINLOCK("fill")};
	for (unsigned i = 1; i < cpu_count && i < CREW_MAX; i++)
		if (cpus[i]->online)
			crew.thread[i] = thread_start("fill", crew_main, &crew, i);
	crew_main(&crew);
	for (unsigned i = 1; i < CREW_MAX; i++)
		if (crew.thread[i])
			thread_join(crew.thread[i]);
	*counts = crew.counts;
}

static void count(const struct piece *piece, struct fill_counts *counts)
{
	uint64_t frames = UINT64_C(1) << piece->order;

	counts->frames += frames;
	counts->absent += piece->absent ? frames : 0;
	counts->secret += piece->secret ? frames : 0;
	counts->hot_added += piece->hot_added ? frames : 0;
	for (uint64_t i = 0; i < frames; i++)
		counts->kind[fill_kind(seed, piece->page + i)]++;
}

static void fill_piece(struct piece *piece, struct fill_counts *counts, uint64_t *page)
{
	(void)page;
	(void)counts;
	for (uint64_t i = 0; i < UINT64_C(1) << piece->order; i++)
		put(piece, i);
}

static void verify_piece(struct piece *piece, struct fill_counts *counts, uint64_t *page)
{
	for (uint64_t i = 0; i < UINT64_C(1) << piece->order; i++)
		counts->differ += !holds(piece, i, page);
	count(piece, counts);
}

/* ---- out of the direct map --------------------------------------------------------------- */

static kelp_pfn_t first_of(const struct piece *piece)
{
	return (kelp_pfn_t){piece->address >> PAGE_SHIFT};
}

/* Secret memory is memory that nobody has a mapping of. */
static bool hide(struct piece *piece, bool secret)
{
	uint64_t frames = UINT64_C(1) << piece->order;
	unsigned long flags = direct_lock();
	enum kelp_status status = kelp_directmap_set_invalid(&kernel_direct, first_of(piece), frames);

	direct_unlock(flags);
	piece->absent = status == KELP_OK;
	if (piece->absent && secret)
		piece->secret = hibernate_secret(piece->address, frames);
	return piece->absent && piece->secret == secret;
}

static void show(struct piece *piece)
{
	unsigned long flags;
	enum kelp_status status;

	if (piece->secret)
		hibernate_secret_end(piece->address);
	if (!piece->absent)
		return;
	flags = direct_lock();
	status = kelp_directmap_set_default(&kernel_direct, first_of(piece),
					    UINT64_C(1) << piece->order);
	direct_unlock(flags);
	if (status != KELP_OK)
		panic("fill: a frame cannot be mapped again: %s", kelp_status_text(status));
	piece->absent = piece->secret = false;
}

/*
 * Large blocks and single frames among others. A third of what is hidden is secret, as long as there
 * is room in the list of secrets.
 */
#define SECRET_PIECES 48u

static bool hide_some(void)
{
	unsigned n = 0, hidden = 0, secret = 0;
	bool done = true;

	for (struct list *list = lists; list; list = list->next) {
		for (uint64_t i = 0; i < list->count; i++, n++) {
			struct piece *piece = &list->piece[i];
			bool is_secret;

			if (n % (piece->order ? 6u : 23u) != 3u)
				continue;
			is_secret = hidden++ % 3u == 1u && secret < SECRET_PIECES;
			secret += is_secret;
			done &= hide(piece, is_secret);
		}
	}
	return done;
}

/* Mostly large blocks; every eighth piece is a single frame, so that runs are of all lengths. */
#define LARGE_ORDER 9u

static uint64_t wanted_frames(unsigned percent)
{
	struct frame_stats stats;
	uint64_t used, want;

	frames_stats(&stats);
	used = stats.total - stats.free - stats.cached;
	want = stats.total / 100u * percent;
	return want > used ? want - used : 0;
}

/* Memory that the firmware knew nothing of was added later. */
static bool in_boot_map(kelp_paddr_t address)
{
	for (unsigned i = 0; i < boot_info.map.count; i++)
		if (boot_info.map.range[i].kind == MEMORY_RAM &&
		    address - boot_info.map.range[i].first < boot_info.map.range[i].size)
			return true;
	return false;
}

/* What of added memory may only be had page by page; nobody shall move it while it is looked at. */
static bool stay(const struct frame_owner *me, uintptr_t cookie, kelp_paddr_t from, kelp_paddr_t to)
{
	(void)me, (void)cookie, (void)from, (void)to;
	return false;
}

static bool take_added(unsigned percent, uint64_t *page)
{
	static const struct frame_owner owner = {"fill", stay};
	struct frame_stats stats;
	kelp_paddr_t address;

	frames_stats(&stats);
	for (uint64_t left = stats.movable_free / 100u * percent; left; left--) {
		struct piece *piece;

		if (!frames_take_movable(&owner, 0, &address))
			return false;
		piece = new_piece();
		if (!piece) {
			frames_give(0, address);
			return false;
		}
		*piece = (struct piece){.address = address, .page = (uint32_t)(*page)++,
					.hot_added = !in_boot_map(address)};
	}
	return true;
}

bool fill_memory(unsigned percent, uint64_t with, struct fill_counts *counts)
{
	unsigned order = LARGE_ORDER;
	uint64_t left, page = 0;

	seed = with;
	if (!take_added(percent, &page))
		return false;
	left = wanted_frames(percent);
	for (unsigned n = 0; left; n++) {
		struct piece *piece;
		kelp_paddr_t address;
		unsigned now = n % 8u == 7u ? 0 : order;

		while (now && UINT64_C(1) << now > left)
			now--;
		if (!frames_take(now, FRAME_ANYWHERE, &address)) {
			if (!now)
				return false;
			order = now - 1u;
			continue;
		}
		piece = new_piece();
		if (!piece) {
			frames_give(now, address);
			return false;
		}
		*piece = (struct piece){.address = address, .page = (uint32_t)page,
					.order = (uint8_t)now,
					.hot_added = !in_boot_map(address)};
		page += UINT64_C(1) << now;
		left -= UINT64_C(1) << now;
	}
	run_crew(counts, fill_piece);
	if (!hide_some())
		return false;
	*counts = (struct fill_counts){0};
	for (const struct list *list = lists; list; list = list->next)
		for (uint64_t i = 0; i < list->count; i++)
			count(&list->piece[i], counts);
	return true;
}

void fill_verify(struct fill_counts *counts)
{
	run_crew(counts, verify_piece);
}

void fill_spoil(void)
{
	for (const struct list *list = lists; list; list = list->next) {
		for (uint64_t i = 0; i < list->count; i++) {
			if (list->piece[i].absent)
				continue;
			((uint8_t *)direct_pointer(list->piece[i].address))[777] ^= 0x10u;
			return;
		}
	}
}

void fill_end(void)
{
	while (lists) {
		struct list *list = lists;

		for (uint64_t i = 0; i < list->count; i++) {
			show(&list->piece[i]);
			frames_give(list->piece[i].order, list->piece[i].address);
		}
		lists = list->next;
		frames_give(0, direct_address(list));
	}
}
