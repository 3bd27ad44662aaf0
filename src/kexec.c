/* SPDX-License-Identifier: MIT */
/*
 * kexec: the next kernel, loaded into pages of ours, and the list that moves it. See kelp/kexec.h.
 *
 * Every page of every destination has an index, in ascending order of address over all segments,
 * and a word that says where its contents are meanwhile. The allocator may hand out a frame that
 * is the destination of page j:
 *   - j is not loaded yet: the frame is reserved for it, and j is loaded in place;
 *   - j lies elsewhere: it moves home now, and the page it leaves is what was asked for.
 * Only when the allocator has nothing more is a reserved frame used for another page; the order of
 * the list takes care of it then.
 */
#include <kelp/kexec.h>

#include <kelp/trans.h>

#include "debug.h"
#include "digest.h"

/* A word: the address of a page, and what it is. Index NONE: no page of any destination. */
#define LOADED   UINT64_C(1) /* its contents are at the address */
#define RESERVED UINT64_C(2) /* not loaded; the address is its own destination */
#define ZERO     UINT64_C(4) /* with LOADED: no page, all zero */
#define READ     UINT64_C(8) /* its destination is another page's source */
#define EMITTED  UINT64_C(16)
#define FLAGS    UINT64_C(31)
#define NONE     UINT64_MAX

static size_t page_size(const struct kelp_kexec *kexec)
{
	return (size_t)1 << kexec->config.page_shift;
}

static void *pointer(const struct kelp_kexec *kexec, kelp_paddr_t page)
{
	return kexec->config.pointer(kexec->config.context, page);
}

static void copy_page(const struct kelp_kexec *kexec, kelp_paddr_t to, kelp_paddr_t from)
{
	__builtin_memcpy(pointer(kexec, to), pointer(kexec, from), page_size(kexec));
}

static void clear_page(const struct kelp_kexec *kexec, kelp_paddr_t page)
{
	__builtin_memset(pointer(kexec, page), 0, page_size(kexec));
}

static void give(const struct kelp_kexec *kexec, kelp_paddr_t page)
{
	kexec->config.page_give(kexec->config.context, page);
}

/* ---- indexes and words ------------------------------------------------------------------- */

static uint64_t index_of(const struct kelp_kexec *kexec, kelp_paddr_t page)
{
	uint64_t before = 0;

	for (size_t i = 0; i < kexec->count; i++) {
		const struct kelp_kexec_segment *segment = &kexec->segments[i];

		if (page < segment->destination)
			return NONE;
		if (page - segment->destination < segment->size)
			return (before + page - segment->destination) >>
			       kexec->config.page_shift;
		before += segment->size;
	}
	return NONE;
}

/* Words in a page, as a power of two. */
static unsigned words_shift(const struct kelp_kexec *kexec)
{
	return kexec->config.page_shift - 3u;
}

static uint64_t *word_of(const struct kelp_kexec *kexec, uint64_t index)
{
	const uint64_t *directory = pointer(kexec, kexec->directory);
	uint64_t *words = pointer(kexec, directory[index >> words_shift(kexec)]);

	return &words[index & ((UINT64_C(1) << words_shift(kexec)) - 1u)];
}

static bool is_loaded(uint64_t word)
{
	return word & LOADED;
}

static kelp_paddr_t source_of(uint64_t word)
{
	return word & ~FLAGS;
}

/* ---- segments ---------------------------------------------------------------------------- */

static void sort(struct kelp_kexec_segment *segments, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j > 0 && segments[j].destination < segments[j - 1].destination;
		     j--) {
			struct kelp_kexec_segment other = segments[j];

			segments[j] = segments[j - 1];
			segments[j - 1] = other;
		}
}

static enum kelp_status check_segment(const struct kelp_kexec *kexec, size_t i)
{
	const struct kelp_kexec_segment *segment = &kexec->segments[i];
	const struct kelp_kexec_segment *before = i > 0 ? segment - 1 : NULL;
	unsigned shift = kexec->config.page_shift;
	kelp_pfn_t first = {segment->destination >> shift};

	if (segment->size == 0 || segment->data_size > segment->size ||
	    (segment->data_size > 0 && !segment->data && !segment->read))
		return KELP_ERR_ARGUMENT;
	if ((segment->destination | segment->size) & (page_size(kexec) - 1u))
		return KELP_ERR_ALIGNMENT;
	if (segment->destination + (segment->size - 1u) < segment->destination)
		return KELP_ERR_ADDRESS;
	if (before && segment->destination - before->destination < before->size)
		return KELP_ERR_EXISTS;
	if (!kexec->config.usable(kexec->config.context, first, segment->size >> shift))
		return KELP_ERR_RESTRICTED;
	return KELP_OK;
}

enum kelp_status kelp_kexec_init(struct kelp_kexec *kexec, const struct kelp_kexec_config *config,
				 struct kelp_kexec_segment *segments, size_t count)
{
	*kexec = (struct kelp_kexec){.config = *config, .segments = segments, .count = count};
	if (count == 0)
		return KELP_ERR_ARGUMENT;
	sort(segments, count);
	for (size_t i = 0; i < count; i++) {
		enum kelp_status status = check_segment(kexec, i);

		kexec->failed_segment = i;
		if (status != KELP_OK)
			return status;
		kexec->pages += segments[i].size >> config->page_shift;
		/* A directory of one page. */
		if ((kexec->pages - 1u) >> (2u * words_shift(kexec)))
			return KELP_ERR_UNSUPPORTED;
	}
	return KELP_OK;
}

bool kelp_kexec_is_destination(const struct kelp_kexec *kexec, kelp_paddr_t address, uint64_t size)
{
	for (size_t i = 0; i < kexec->count; i++) {
		const struct kelp_kexec_segment *segment = &kexec->segments[i];

		if (address - segment->destination < segment->size ||
		    segment->destination - address < size)
			return true;
	}
	return false;
}

/* ---- pages ------------------------------------------------------------------------------- */

/* Keeps a frame for page `index`, which will be loaded in place. */
static void reserve(struct kelp_kexec *kexec, uint64_t index, kelp_paddr_t frame)
{
	*word_of(kexec, index) = frame | RESERVED;
	if (index >= kexec->reserve_end)
		kexec->reserve_end = index + 1u;
}

/* A frame that is reserved, taken away from the page it is for. */
static bool take_reserved(struct kelp_kexec *kexec, kelp_paddr_t limit, kelp_paddr_t *page)
{
	for (; kexec->reserve_end > 0; kexec->reserve_end--) {
		uint64_t *word = word_of(kexec, kexec->reserve_end - 1u);

		if (!(*word & RESERVED))
			continue;
		if (source_of(*word) + (page_size(kexec) - 1u) > limit)
			return false;
		*page = source_of(*word);
		*word = 0;
		return true;
	}
	return false;
}

/*
 * The frame is the destination of page `index`, and ours now. True when another page came free for
 * it, which goes to *page: `index` is at home from now on.
 */
static bool settle(struct kelp_kexec *kexec, uint64_t index, kelp_paddr_t frame,
		   kelp_paddr_t *page)
{
	uint64_t *word = word_of(kexec, index), before = *word;

	if (!is_loaded(before)) {
		reserve(kexec, index, frame);
		return false;
	}
	*word = frame | LOADED;
	if (before & ZERO) {
		clear_page(kexec, frame);
		return false;
	}
	copy_page(kexec, frame, source_of(before));
	*page = source_of(before);
	return true;
}

/*
 * A page for the contents of `index`, or, with NONE, one that will not be overwritten: INV-5.3.
 * Bounded: each turn takes a page from the allocator or brings a page home for good.
 */
static bool take(struct kelp_kexec *kexec, uint64_t index, kelp_paddr_t limit, kelp_paddr_t *page)
{
	const struct kelp_kexec_config *config = &kexec->config;

	while (config->page_take(config->context, limit, page)) {
		for (;;) {
			uint64_t home = index_of(kexec, *page);

			if (home == NONE) {
				/* A page that was another's source may lie beyond the limit. */
				if (*page + (page_size(kexec) - 1u) <= limit)
					return true;
				give(kexec, *page);
				break;
			}
			if (home == index)
				return true;
			/* No words yet, or the list was made from them: kept, and not used. */
			if (!kexec->directory || kexec->planned) {
				*(uint64_t *)pointer(kexec, *page) = kexec->held;
				kexec->held = *page;
				break;
			}
			if (!settle(kexec, home, *page, page))
				break;
		}
	}
	return index != NONE && take_reserved(kexec, limit, page);
}

enum kelp_status kelp_kexec_safe_page(struct kelp_kexec *kexec, kelp_paddr_t limit,
				      kelp_paddr_t *page)
{
	if (!take(kexec, NONE, limit, page))
		return KELP_ERR_NO_MEMORY;
	KELP_ASSERT_ALWAYS(&kexec->config, !kelp_kexec_is_destination(kexec, *page,
								     page_size(kexec)),
			   "kexec: a page that will be overwritten was about to be used");
	clear_page(kexec, *page);
	return KELP_OK;
}

static bool table_take(void *context, size_t size, kelp_paddr_t limit, kelp_paddr_t *address)
{
	struct kelp_kexec *kexec = context;

	return size == page_size(kexec) &&
	       kelp_kexec_safe_page(kexec, limit, address) == KELP_OK;
}

static void table_give(void *context, size_t size, kelp_paddr_t address)
{
	(void)size;
	give(context, address);
}

static void *table_pointer(void *context, kelp_paddr_t address)
{
	return pointer(context, address);
}

static void port_panic(void *context, const char *what, const char *where)
{
	struct kelp_kexec *kexec = context;

	kexec->config.panic(kexec->config.context, what, where);
}

void kelp_kexec_port(struct kelp_kexec *kexec, struct kelp_port *port)
{
	*port = (struct kelp_port){
		.context = kexec,
		.table_pointer = table_pointer,
		.table_take = table_take,
		.table_give = table_give,
		.panic = port_panic,
	};
}

/* ---- loading ----------------------------------------------------------------------------- */

static enum kelp_status make_directory(struct kelp_kexec *kexec)
{
	uint64_t count = ((kexec->pages - 1u) >> words_shift(kexec)) + 1u;
	kelp_paddr_t directory;
	enum kelp_status status = kelp_kexec_safe_page(kexec, UINT64_MAX, &directory);

	if (status != KELP_OK)
		return status;
	for (uint64_t i = 0; i < count && status == KELP_OK; i++) {
		kelp_paddr_t page;

		status = kelp_kexec_safe_page(kexec, UINT64_MAX, &page);
		if (status == KELP_OK)
			((uint64_t *)pointer(kexec, directory))[i] = page;
	}
	kexec->directory = directory;
	if (status != KELP_OK)
		return status;
	while (kexec->held) {
		kelp_paddr_t frame = kexec->held;

		kexec->held = *(uint64_t *)pointer(kexec, frame);
		reserve(kexec, index_of(kexec, frame), frame);
	}
	return KELP_OK;
}

static enum kelp_status fill_page(const struct kelp_kexec_segment *segment, uint64_t offset,
				  void *to, size_t size)
{
	uint64_t rest = segment->data_size - offset;
	size_t part = rest < size ? (size_t)rest : size;

	if (part < size)
		__builtin_memset((char *)to + part, 0, size - part);
	if (!segment->data)
		return segment->read(segment->context, offset, to, part);
	__builtin_memcpy(to, (const char *)segment->data + (size_t)offset, part);
	return KELP_OK;
}

static enum kelp_status load_page(struct kelp_kexec *kexec,
				  const struct kelp_kexec_segment *segment, uint64_t offset,
				  uint64_t index, struct kelp_digest *digest)
{
	uint64_t *word = word_of(kexec, index);
	enum kelp_status status;
	kelp_paddr_t page;

	if (offset >= segment->data_size && !(*word & RESERVED)) {
		*word = LOADED | ZERO;
		return KELP_OK;
	}
	if (*word & RESERVED)
		page = source_of(*word);
	else if (!take(kexec, index, UINT64_MAX, &page))
		return KELP_ERR_NO_MEMORY;
	*word = page | LOADED;
	if (offset >= segment->data_size) {
		clear_page(kexec, page);
		return KELP_OK;
	}
	status = fill_page(segment, offset, pointer(kexec, page), page_size(kexec));
	if (status == KELP_OK)
		kelp_digest_add(digest, pointer(kexec, page), page_size(kexec));
	return status;
}

typedef enum kelp_status page_visitor_t(struct kelp_kexec *kexec,
					const struct kelp_kexec_segment *segment, uint64_t offset,
					uint64_t index, struct kelp_digest *digest);

/* Calls `visit` for every page that has data, in order of index. */
static enum kelp_status each_page(struct kelp_kexec *kexec, struct kelp_digest *digest,
				  page_visitor_t *visit)
{
	uint64_t index = 0;

	for (size_t i = 0; i < kexec->count; i++) {
		const struct kelp_kexec_segment *segment = &kexec->segments[i];

		for (uint64_t offset = 0; offset < segment->size;
		     offset += page_size(kexec), index++) {
			enum kelp_status status = visit(kexec, segment, offset, index, digest);

			kexec->failed_segment = i;
			if (status != KELP_OK)
				return status;
		}
	}
	return KELP_OK;
}

enum kelp_status kelp_kexec_load(struct kelp_kexec *kexec)
{
	struct kelp_digest digest;
	enum kelp_status status = make_directory(kexec);

	if (status != KELP_OK)
		return status;
	kelp_digest_begin(&digest);
	status = each_page(kexec, &digest, load_page);
	if (status != KELP_OK)
		return status;
	kexec->digest = kelp_digest_end(&digest, NULL, 0);
	kexec->loaded = true;
	return KELP_OK;
}

static enum kelp_status verify_page(struct kelp_kexec *kexec,
				    const struct kelp_kexec_segment *segment, uint64_t offset,
				    uint64_t index, struct kelp_digest *digest)
{
	uint64_t word = *word_of(kexec, index);

	if (!is_loaded(word))
		return KELP_ERR_MALFORMED;
	if (offset < segment->data_size)
		kelp_digest_add(digest, pointer(kexec, source_of(word)), page_size(kexec));
	return KELP_OK;
}

enum kelp_status kelp_kexec_verify(const struct kelp_kexec *kexec)
{
	/* Shared with load, which changes words; verify_page does not. */
	struct kelp_kexec copy = *kexec;
	struct kelp_digest digest;
	enum kelp_status status;

	if (!kexec->loaded)
		return KELP_ERR_MALFORMED;
	kelp_digest_begin(&digest);
	status = each_page(&copy, &digest, verify_page);
	if (status == KELP_OK && kelp_digest_end(&digest, NULL, 0) != kexec->digest)
		status = KELP_ERR_MALFORMED;
	return status;
}

/* ---- the list ---------------------------------------------------------------------------- */

static struct kelp_kexec_step *step_at(const struct kelp_kexec *kexec, unsigned i)
{
	return (struct kelp_kexec_step *)pointer(kexec, kexec->list_page) + i;
}

static unsigned steps_per_page(const struct kelp_kexec *kexec)
{
	unsigned count = 0;

	for (size_t rest = page_size(kexec); rest >= sizeof(struct kelp_kexec_step);
	     rest -= sizeof(struct kelp_kexec_step))
		count++;
	return count;
}

static enum kelp_status emit(struct kelp_kexec *kexec, kelp_paddr_t destination,
			     kelp_paddr_t source)
{
	size_t size = page_size(kexec);
	enum kelp_status status;
	kelp_paddr_t page;

	if (kexec->list_used > 0) {
		struct kelp_kexec_step *last = step_at(kexec, kexec->list_used - 1u);
		bool zero = source == KELP_KEXEC_ZERO;

		if (last->destination + last->size == destination &&
		    (zero ? last->source == KELP_KEXEC_ZERO
			  : last->source != KELP_KEXEC_ZERO &&
				    last->source + last->size == source)) {
			last->size += size;
			return KELP_OK;
		}
	}
	/* The last place of a page is for the way to the next one, or for the end. */
	if (!kexec->list_page || kexec->list_used + 1u == steps_per_page(kexec)) {
		status = kelp_kexec_safe_page(kexec, UINT64_MAX, &page);
		if (status != KELP_OK)
			return status;
		if (kexec->list_page)
			step_at(kexec, kexec->list_used)->source = page;
		else
			kexec->list = page;
		kexec->list_page = page;
		kexec->list_used = 0;
	}
	*step_at(kexec, kexec->list_used++) =
		(struct kelp_kexec_step){destination, source, size};
	kexec->steps++;
	return KELP_OK;
}

/* The page whose destination `index` lies in, so that it must move first: index overwrites it. */
static uint64_t overwrites_source_of(const struct kelp_kexec *kexec, uint64_t word)
{
	return word & ZERO ? NONE : index_of(kexec, source_of(word));
}

static kelp_paddr_t destination_of(const struct kelp_kexec *kexec, uint64_t index)
{
	uint64_t offset = index << kexec->config.page_shift;

	for (size_t i = 0; i < kexec->count; i++) {
		if (offset < kexec->segments[i].size)
			return kexec->segments[i].destination + offset;
		offset -= kexec->segments[i].size;
	}
	return 0; /* not reached: index < pages */
}

/*
 * Emits `index` and what may move once it has: the page whose destination its source was, and so
 * on. Every source is read by one page, so this is a path. `from` replaces the last source.
 */
static enum kelp_status emit_path(struct kelp_kexec *kexec, uint64_t index, uint64_t end,
				  kelp_paddr_t from)
{
	enum kelp_status status = KELP_OK;

	while (index != NONE && status == KELP_OK) {
		uint64_t *word = word_of(kexec, index);
		uint64_t next = overwrites_source_of(kexec, *word);
		kelp_paddr_t source = *word & ZERO ? KELP_KEXEC_ZERO : source_of(*word);

		if (next == end && end != NONE) {
			source = from;
			next = NONE;
		}
		*word |= EMITTED;
		status = emit(kexec, destination_of(kexec, index), source);
		index = next;
	}
	return status;
}

/* Pages at home need no step; the others' sources that are destinations are marked. */
static void find_readers(struct kelp_kexec *kexec)
{
	for (uint64_t i = 0; i < kexec->pages; i++) {
		uint64_t *word = word_of(kexec, i);
		uint64_t other = overwrites_source_of(kexec, *word);

		if (other == i)
			*word |= EMITTED;
		else if (other != NONE)
			*word_of(kexec, other) |= READ;
	}
}

/*
 * No step overwrites what a later one reads: first every page whose destination
 * nobody reads, each followed by its path. What is left then are cycles: the contents of one
 * destination go to a spare page, and the cycle is a path that ends there.
 */
static enum kelp_status plan(struct kelp_kexec *kexec)
{
	enum kelp_status status = KELP_OK;

	find_readers(kexec);
	for (uint64_t i = 0; i < kexec->pages && status == KELP_OK; i++)
		if (!(*word_of(kexec, i) & (READ | EMITTED)))
			status = emit_path(kexec, i, NONE, 0);
	for (uint64_t i = 0; i < kexec->pages && status == KELP_OK; i++) {
		if (*word_of(kexec, i) & EMITTED)
			continue;
		if (!kexec->spare)
			status = kelp_kexec_safe_page(kexec, UINT64_MAX, &kexec->spare);
		if (status == KELP_OK)
			status = emit(kexec, kexec->spare, destination_of(kexec, i));
		if (status == KELP_OK)
			status = emit_path(kexec, i, i, kexec->spare);
	}
	return status;
}

enum kelp_status kelp_kexec_finish(struct kelp_kexec *kexec, kelp_paddr_t *list)
{
	enum kelp_status status;

	KELP_ASSERT_ALWAYS(&kexec->config, kexec->loaded && !kexec->planned,
			   "kelp_kexec_finish: load comes before it, and it is called once");
	kexec->planned = true;
	status = plan(kexec);
	/* Nothing moves: a list all the same. */
	if (status == KELP_OK && !kexec->list)
		status = kelp_kexec_safe_page(kexec, UINT64_MAX, &kexec->list);
	*list = kexec->list;
	return status;
}

void kelp_kexec_execute(kelp_paddr_t list, unsigned page_shift,
			void *(*reach)(void *context, kelp_paddr_t page), void *context)
{
	size_t size = (size_t)1 << page_shift;
	const struct kelp_kexec_step *step = reach(context, list);

	for (;;) {
		if (step->size == 0) {
			if (step->source == 0)
				return;
			step = reach(context, step->source);
			continue;
		}
		for (uint64_t at = 0; at < step->size; at += size) {
			void *to = reach(context, step->destination + at);

			if (step->source == KELP_KEXEC_ZERO)
				__builtin_memset(to, 0, size);
			else
				__builtin_memcpy(to, reach(context, step->source + at), size);
		}
		step++;
	}
}

/* ---- INV-5.3 ----------------------------------------------------------------------------- */

struct table_check {
	const struct kelp_kexec *kexec;
	kelp_paddr_t page;
	bool found;
};

static enum kelp_visit check_table(void *context, const struct kelp_mapping *mapping)
{
	struct table_check *check = context;

	if (mapping->kind != KELP_ENTRY_TABLE ||
	    !kelp_kexec_is_destination(check->kexec, mapping->pa, page_size(check->kexec)))
		return KELP_VISIT_CONTINUE;
	check->page = mapping->pa;
	check->found = true;
	return KELP_VISIT_STOP;
}

enum kelp_status kelp_kexec_check_tables(const struct kelp_kexec *kexec,
					 const struct kelp_trans *trans, kelp_paddr_t *page)
{
	const struct kelp_format *format = trans->space.format;
	struct table_check check = {.kexec = kexec, .page = kelp_trans_root(trans)};

	check.found = kelp_kexec_is_destination(kexec, check.page, page_size(kexec));
	for (unsigned i = 0; i < format->va_ranges && !check.found; i++) {
		enum kelp_status status = kelp_space_walk(
			&trans->space, format->va_first[i],
			format->va_last[i] - format->va_first[i] + 1u,
			KELP_WALK_TABLES | KELP_WALK_RUNS, check_table, &check);

		if (status != KELP_OK)
			return status;
	}
	*page = check.page;
	return check.found ? KELP_ERR_RESTRICTED : KELP_OK;
}

/* Every page of [first, first + size) is translated to itself; *page: one that is not. */
static bool reaches(const struct kelp_kexec *kexec, const struct kelp_trans *trans, uint64_t offset,
		    kelp_paddr_t first, uint64_t size, kelp_paddr_t *page)
{
	for (uint64_t at = 0; at < size; at += page_size(kexec)) {
		kelp_paddr_t pa;

		*page = first + at;
		if (kelp_space_translate(&trans->space, *page + offset, &pa) != KELP_OK ||
		    pa != *page)
			return false;
	}
	return true;
}

enum kelp_status kelp_kexec_check_reach(const struct kelp_kexec *kexec,
					const struct kelp_trans *trans, uint64_t offset,
					kelp_paddr_t *page)
{
	kelp_paddr_t list = kexec->list;
	const struct kelp_kexec_step *step = NULL;

	KELP_ASSERT_ALWAYS(&kexec->config, list != 0,
			   "kelp_kexec_check_reach: there is no list before kelp_kexec_finish");
	for (;;) {
		if (!step || step->size == 0) {
			if (step)
				list = step->source;
			if (list == 0)
				return KELP_OK;
			if (!reaches(kexec, trans, offset, list, page_size(kexec), page))
				return KELP_ERR_NOT_MAPPED;
			step = pointer(kexec, list);
			continue;
		}
		if (!reaches(kexec, trans, offset, step->destination, step->size, page) ||
		    (step->source != KELP_KEXEC_ZERO &&
		     !reaches(kexec, trans, offset, step->source, step->size, page)))
			return KELP_ERR_NOT_MAPPED;
		step++;
	}
}

/* ---- giving up --------------------------------------------------------------------------- */

static void give_words(struct kelp_kexec *kexec)
{
	uint64_t *directory = pointer(kexec, kexec->directory);
	uint64_t per_page = UINT64_C(1) << words_shift(kexec);

	for (uint64_t i = 0; i < per_page && directory[i]; i++) {
		const uint64_t *words = pointer(kexec, directory[i]);

		for (uint64_t w = 0; w < per_page; w++)
			if ((words[w] & (LOADED | RESERVED)) && !(words[w] & ZERO))
				give(kexec, source_of(words[w]));
		give(kexec, directory[i]);
	}
	give(kexec, kexec->directory);
}

static void give_list(struct kelp_kexec *kexec)
{
	unsigned last = steps_per_page(kexec) - 1u;
	kelp_paddr_t page = kexec->list;

	while (page) {
		const struct kelp_kexec_step *steps = pointer(kexec, page);
		kelp_paddr_t next = steps[last].source;

		give(kexec, page);
		page = next;
	}
}

void kelp_kexec_unload(struct kelp_kexec *kexec)
{
	if (kexec->directory)
		give_words(kexec);
	while (kexec->held) {
		kelp_paddr_t page = kexec->held;

		kexec->held = *(uint64_t *)pointer(kexec, page);
		give(kexec, page);
	}
	give_list(kexec);
	if (kexec->spare)
		give(kexec, kexec->spare);
	kexec->directory = 0;
	kexec->list = 0;
	kexec->list_page = 0;
	kexec->list_used = 0;
	kexec->spare = 0;
	kexec->steps = 0;
	kexec->reserve_end = 0;
	kexec->loaded = false;
	kexec->planned = false;
}
