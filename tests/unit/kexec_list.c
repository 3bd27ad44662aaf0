/* SPDX-License-Identifier: MIT */
/*
 * kexec against memory that is an array of pages: what is loaded arrives, whatever pages the
 * allocator hands out: those of the destinations first, in any order, and nothing else in the end.
 * INV-5.3 for every page that is read while the list is worked off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <kelp/kelp.h>

#include "../../src/digest.h"
#include "formats.h"

#define PAGE   4096u
#define FRAMES 4096u
/* Where RAM begins: index_of and its like must not depend on zero. */
#define BASE   (UINT64_C(0x7) << 32)

enum frame_state {
	FRAME_FREE,
	FRAME_TAKEN,
	FRAME_USED, /* by the old kernel: may be overwritten, is never handed out */
	FRAME_HOLE, /* no RAM */
};

struct machine {
	unsigned char *memory;
	enum frame_state state[FRAMES];
	unsigned order[FRAMES]; /* frames in the order they are handed out */
	unsigned next, count;   /* of `order` */
	unsigned late;          /* frames that come free only after loading */
	unsigned live, takes;
	unsigned fail_at;
	uint64_t random;
	struct kelp_kexec_segment segments[8];
	unsigned segment_count;
	unsigned char *expected[8];
	/* Working the list off. */
	bool watching;
	bool overwritten[FRAMES];
	struct kelp_kexec *kexec;
};

static uint64_t next_random(struct machine *m, uint64_t below)
{
	m->random = m->random * 6364136223846793005u + 1442695040888963407u;
	return (m->random >> 33) % below;
}

static unsigned frame_of(kelp_paddr_t page)
{
	assert_true(page >= BASE && page < BASE + (uint64_t)FRAMES * PAGE);
	assert_int_equal(page % PAGE, 0);
	return (unsigned)((page - BASE) / PAGE);
}

static kelp_paddr_t address_of(unsigned frame)
{
	return BASE + (uint64_t)frame * PAGE;
}

static bool usable(void *context, kelp_pfn_t first, uint64_t frames)
{
	struct machine *m = context;
	uint64_t low = BASE / PAGE;

	if (first.number < low || first.number + frames > low + FRAMES)
		return false;
	for (uint64_t i = 0; i < frames; i++)
		if (m->state[first.number - low + i] == FRAME_HOLE)
			return false;
	return true;
}

static bool page_take(void *context, kelp_paddr_t limit, kelp_paddr_t *page)
{
	struct machine *m = context;

	m->takes++;
	if (m->fail_at && --m->fail_at == 0)
		return false;
	for (; m->next < m->count; m->next++) {
		unsigned frame = m->order[m->next];

		if (m->state[frame] != FRAME_FREE || address_of(frame) + PAGE - 1u > limit)
			continue;
		m->state[frame] = FRAME_TAKEN;
		m->live++;
		*page = address_of(frame);
		memset(m->memory + (size_t)frame * PAGE, 0xa5, PAGE);
		m->next++;
		return true;
	}
	return false;
}

static void page_give(void *context, kelp_paddr_t page)
{
	struct machine *m = context;
	unsigned frame = frame_of(page);

	assert_int_equal(m->state[frame], FRAME_TAKEN);
	m->state[frame] = FRAME_FREE;
	m->live--;
	memset(m->memory + (size_t)frame * PAGE, 0x5a, PAGE);
}

static void *pointer(void *context, kelp_paddr_t page)
{
	struct machine *m = context;
	unsigned frame = frame_of(page);

	assert_int_equal(m->state[frame], FRAME_TAKEN);
	return m->memory + (size_t)frame * PAGE;
}

static void panic(void *context, const char *what, const char *where)
{
	(void)context;
	fail_msg("panic: %s (%s)", what, where);
	abort();
}

static struct machine *machine_new(uint64_t seed)
{
	struct machine *m = test_calloc(1, sizeof(*m));

	m->memory = test_malloc((size_t)FRAMES * PAGE);
	m->random = seed;
	for (unsigned i = 0; i < FRAMES; i++)
		m->order[i] = i;
	m->count = FRAMES;
	memset(m->memory, 0xee, (size_t)FRAMES * PAGE);
	return m;
}

static void machine_free(struct machine *m)
{
	for (unsigned i = 0; i < m->segment_count; i++)
		test_free(m->expected[i]);
	test_free(m->memory);
	test_free(m);
}

static struct kelp_kexec_config config_of(struct machine *m)
{
	return (struct kelp_kexec_config){
		.context = m, .page_shift = 12, .usable = usable, .page_take = page_take,
		.page_give = page_give, .pointer = pointer, .panic = panic};
}

/* A segment with data that says where it belongs. */
static void add(struct machine *m, unsigned frame, unsigned frames, uint64_t data_size)
{
	unsigned i = m->segment_count++;
	unsigned char *data = test_calloc(frames, PAGE);

	for (uint64_t at = 0; at < data_size; at++)
		data[at] = (unsigned char)(1u + at * 7u + at / PAGE * 13u + frame * 3u + i);
	m->expected[i] = data;
	m->segments[i] = (struct kelp_kexec_segment){
		.destination = address_of(frame), .size = (uint64_t)frames * PAGE,
		.data_size = data_size, .data = data};
}

static bool is_destination(const struct machine *m, unsigned frame)
{
	for (unsigned i = 0; i < m->segment_count; i++)
		if (address_of(frame) - m->segments[i].destination < m->segments[i].size)
			return true;
	return false;
}

/* What the machine's code sees: every page it touches is checked against INV-5.3. */
static void *moving_pointer(void *context, kelp_paddr_t page)
{
	struct machine *m = context;

	return m->memory + (size_t)frame_of(page) * PAGE;
}

/* The list as data: nothing is read after it was overwritten, and it lies in safe pages. */
static void judge_list(struct machine *m, kelp_paddr_t list)
{
	static bool overwritten[FRAMES];
	const struct kelp_kexec_step *step = moving_pointer(m, list);
	kelp_paddr_t step_page = list;
	uint64_t steps = 0;

	memset(overwritten, 0, sizeof(overwritten));
	for (;; step++) {
		assert_false(is_destination(m, frame_of(step_page)));
		assert_int_equal(m->state[frame_of(step_page)], FRAME_TAKEN);
		if (step->size == 0 && step->source == 0)
			break;
		if (step->size == 0) {
			step_page = step->source;
			step = moving_pointer(m, step_page);
			step--;
			continue;
		}
		steps++;
		for (uint64_t at = 0; at < step->size; at += PAGE) {
			unsigned to = frame_of(step->destination + at);

			if (step->source != KELP_KEXEC_ZERO) {
				unsigned from = frame_of(step->source + at);

				assert_int_not_equal(from, to);
				/* A spare page is read after it was written, in a destination
				 * never. */
				if (is_destination(m, from))
					assert_false(overwritten[from]);
			}
			if (!is_destination(m, to))
				assert_int_equal(m->state[to], FRAME_TAKEN);
			overwritten[to] = true;
		}
	}
	assert_int_equal(steps, m->kexec->steps);
}

/* Everything is where it belongs, and nothing else has changed. */
static void assert_arrived(struct machine *m)
{
	static unsigned char untouched[PAGE];

	for (unsigned i = 0; i < m->segment_count; i++) {
		const struct kelp_kexec_segment *segment = &m->segments[i];

		for (unsigned e = 0; e < m->segment_count; e++)
			if (segment->data == m->expected[e])
				assert_memory_equal(m->memory + (size_t)(segment->destination -
									 BASE),
						    m->expected[e], segment->size);
	}
	memset(untouched, 0xee, PAGE);
	for (unsigned frame = 0; frame < FRAMES; frame++)
		if (m->state[frame] == FRAME_USED && !is_destination(m, frame))
			assert_memory_equal(m->memory + (size_t)frame * PAGE, untouched, PAGE);
}

/* The whole way, with tables on the side as an embedder makes them. */
static void carry_over(struct machine *m, enum kelp_status expected)
{
	const struct kelp_format *format = test_format_named("x86_64-4level");
	struct kelp_kexec_config config = config_of(m);
	struct kelp_trans_range ranges[2] = {{{BASE / PAGE}, 700, 0},
					     {{BASE / PAGE + 1000}, 512 * 3 + 5, 0}};
	struct kelp_kexec kexec;
	struct kelp_trans trans;
	struct kelp_port port;
	enum kelp_status status;
	kelp_paddr_t list, stack, page;

	m->kexec = &kexec;
	assert_int_equal(kelp_kexec_init(&kexec, &config, m->segments, m->segment_count), KELP_OK);
	assert_int_equal(m->live, 0);
	status = kelp_kexec_load(&kexec);
	m->count += m->late;
	kelp_kexec_port(&kexec, &port);
	if (status == KELP_OK) {
		status = kelp_trans_init(&trans, format, &port, 0);
		if (status == KELP_OK) {
			status = kelp_trans_build(&trans, 0, ranges, 2);
			if (status == KELP_OK)
				status = kelp_kexec_safe_page(&kexec, UINT64_MAX, &stack);
			if (status == KELP_OK) {
				status = kelp_kexec_finish(&kexec, &list);
				if (status != KELP_OK)
					page_give(m, stack);
			}
			if (status != KELP_OK)
				kelp_trans_destroy(&trans);
		}
	}
	assert_int_equal(status, expected);
	if (status != KELP_OK) {
		kelp_kexec_unload(&kexec);
		assert_int_equal(m->live, 0);
		return;
	}
	assert_false(is_destination(m, frame_of(stack)));
	assert_int_equal(kelp_kexec_check_tables(&kexec, &trans, &page), KELP_OK);
	assert_int_equal(kelp_kexec_verify(&kexec), KELP_OK);
	judge_list(m, list);
	kelp_kexec_execute(list, 12, moving_pointer, m);
	assert_arrived(m);
}

/* ---- arrival ------------------------------------------------------------------------------- */

static void ordinary_memory(void **state)
{
	struct machine *m = machine_new(1);

	(void)state;
	for (unsigned i = 100; i < 1400; i++)
		m->state[i] = FRAME_USED;
	m->state[1500] = FRAME_HOLE;
	add(m, 100, 900, 600u * PAGE + 17u);
	add(m, 1200, 3, 3u * PAGE);
	add(m, 1100, 1, 0);
	carry_over(m, KELP_OK);
	/* Few steps, for what lies together. */
	assert_true(m->kexec->steps <= 8);
	machine_free(m);
}

/* Destination frames come first, in ascending, descending, random and shifted order. */
static void destinations_are_handed_out_first(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 8; way++) {
		struct machine *m = machine_new(way + 5u);
		const unsigned first = 64, frames = 1200;
		unsigned n = 0;

		add(m, first, 700, 700u * PAGE);
		add(m, first + 700, 500, 320u * PAGE);
		for (unsigned i = 0; i < frames; i++)
			m->order[n++] = way % 4 == 0   ? first + i
					: way % 4 == 1 ? first + frames - 1u - i
						       : first + (i + 37u) % frames;
		if (way % 4 == 3)
			for (unsigned i = frames - 1; i > 0; i--) {
				unsigned j = (unsigned)next_random(m, i + 1u), o = m->order[i];

				m->order[i] = m->order[j];
				m->order[j] = o;
			}
		for (unsigned i = 0; i < FRAMES; i++)
			if (i < first || i >= first + frames)
				m->order[n++] = i;
		carry_over(m, KELP_OK);
		/* All of them could be loaded in place. */
		if (way % 4 == 0)
			assert_true(m->kexec->steps <= 8);
		machine_free(m);
	}
}

static void shuffle(struct machine *m, unsigned n)
{
	for (unsigned i = n - 1; i > 0; i--) {
		unsigned j = (unsigned)next_random(m, i + 1u), other = m->order[i];

		m->order[i] = m->order[j];
		m->order[j] = other;
	}
}

/*
 * Hardly any other frame is free. First all of the segment is data: then every free destination
 * is loaded in place. Then half of it is zero, and its frames are needed for data meanwhile: the
 * data moves before they are cleared.
 */
static void memory_is_nearly_full(void **state)
{
	unsigned moved_out = 0;

	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct machine *m = machine_new(round + 1000u);
		bool half = round % 2;
		unsigned frames = 200u + (unsigned)next_random(m, 900);
		unsigned data = half ? frames / 2u : frames;
		unsigned others = half ? frames / 8u : frames / 3u + 100u, n = 0;

		for (unsigned i = 0; i < FRAMES; i++)
			m->state[i] = FRAME_USED;
		add(m, 500, frames, (uint64_t)data * PAGE - next_random(m, 4000));
		for (unsigned i = 0; i < frames; i++)
			if (half ? i >= data : next_random(m, 3) > 0) {
				m->state[500 + i] = FRAME_FREE;
				m->order[n++] = 500 + i;
			}
		for (unsigned i = 0; i < others; i++) {
			m->state[3000 + i] = FRAME_FREE;
			m->order[n++] = 3000 + i;
		}
		m->count = n;
		shuffle(m, n);
		/* Tables and list come from here, when all else is taken. */
		if (half)
			for (m->late = 0; m->late < 40; m->late++) {
				m->state[2000 + m->late] = FRAME_FREE;
				m->order[n++] = 2000 + m->late;
			}
		carry_over(m, KELP_OK);
		for (unsigned i = 0; half && i < data; i++) {
			uint64_t *words = pointer(m, *(uint64_t *)pointer(m, m->kexec->directory));

			moved_out += i < 512 && is_destination(m, frame_of(words[i] & ~0xfffull));
		}
		machine_free(m);
	}
	/* Data did lie where zeros were to go. */
	assert_true(moved_out > 1000);
}

/*
 * Permutations for the planner itself, as no allocator would bring them about: sources are set by
 * hand to the destinations in another order, so that all of it is cycles of every length.
 */
static void permutations(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		struct machine *m = machine_new(round);
		unsigned frames = round < 8 ? round + 1u : 1u + (unsigned)next_random(m, 700);
		struct kelp_kexec_config config = config_of(m);
		struct kelp_kexec kexec;
		unsigned *source = test_calloc(frames, sizeof(*source)), moved = 0;
		uint64_t *words;
		kelp_paddr_t list;

		add(m, 64, frames, (uint64_t)frames * PAGE);
		/* In place first: the allocator gives the destinations in order. */
		for (unsigned i = 0; i < FRAMES; i++)
			m->order[i] = i < frames ? 64 + i : i - frames < 64 ? i - frames : i;
		m->kexec = &kexec;
		assert_int_equal(kelp_kexec_init(&kexec, &config, m->segments, 1), KELP_OK);
		assert_int_equal(kelp_kexec_load(&kexec), KELP_OK);
		for (unsigned i = 0; i < frames; i++)
			source[i] = i;
		for (unsigned i = frames - 1; i > 0; i--) {
			unsigned j = (unsigned)next_random(m, round % 3 ? i + 1u : i), o;

			o = source[i];
			source[i] = source[j];
			source[j] = o;
		}
		for (unsigned i = 0; i < frames; i++) {
			const uint64_t *directory = pointer(m, kexec.directory);

			words = pointer(m, directory[i / 512]);
			assert_int_equal(words[i % 512] & ~UINT64_C(0xfff), address_of(64 + i));
			words[i % 512] = address_of(64 + source[i]) | (words[i % 512] & 0xfff);
			memcpy(pointer(m, address_of(64 + source[i])),
			       m->expected[0] + (size_t)i * PAGE, PAGE);
			moved += source[i] != i;
		}
		assert_int_equal(kelp_kexec_verify(&kexec), KELP_OK);
		assert_int_equal(kelp_kexec_finish(&kexec, &list), KELP_OK);
		if (moved == 0)
			assert_int_equal(kexec.steps, 0);
		judge_list(m, list);
		kelp_kexec_execute(list, 12, moving_pointer, m);
		assert_arrived(m);
		kelp_kexec_unload(&kexec);
		assert_int_equal(m->live, 0);
		test_free(source);
		machine_free(m);
	}
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void segments_are_checked(void **state)
{
	static unsigned char data[PAGE];
	const struct {
		struct kelp_kexec_segment segments[2];
		size_t count, failed;
		enum kelp_status status;
	} wrong[] = {
		{{{0}}, 0, 0, KELP_ERR_ARGUMENT},
		{{{BASE, 0, 0, data, NULL, NULL}}, 1, 0, KELP_ERR_ARGUMENT},
		{{{BASE, PAGE, PAGE + 1, data, NULL, NULL}}, 1, 0, KELP_ERR_ARGUMENT},
		{{{BASE, PAGE, 1, NULL, NULL, NULL}}, 1, 0, KELP_ERR_ARGUMENT},
		{{{BASE + 1, PAGE, 1, data, NULL, NULL}}, 1, 0, KELP_ERR_ALIGNMENT},
		{{{BASE, PAGE + 8, 1, data, NULL, NULL}}, 1, 0, KELP_ERR_ALIGNMENT},
		{{{UINT64_MAX - PAGE + 1, 2 * PAGE, 1, data, NULL, NULL}}, 1, 0, KELP_ERR_ADDRESS},
		{{{BASE + PAGE, PAGE, 1, data, NULL, NULL}, {BASE, 2 * PAGE, 1, data, NULL, NULL}},
		 2, 1, KELP_ERR_EXISTS},
		{{{BASE, PAGE, 1, data, NULL, NULL}, {BASE, PAGE, 1, data, NULL, NULL}}, 2, 1,
		 KELP_ERR_EXISTS},
		{{{BASE, PAGE, 1, data, NULL, NULL},
		  {BASE + 9 * PAGE, 2 * PAGE, 1, data, NULL, NULL}}, 2, 1, KELP_ERR_RESTRICTED},
		{{{BASE - PAGE, PAGE, 1, data, NULL, NULL}}, 1, 0, KELP_ERR_RESTRICTED},
	};
	struct machine *m = machine_new(3);
	struct kelp_kexec_config config = config_of(m);
	struct kelp_kexec kexec;

	(void)state;
	m->state[10] = FRAME_HOLE;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct kelp_kexec_segment segments[2];

		memcpy(segments, wrong[i].segments, sizeof(segments));
		assert_int_equal(kelp_kexec_init(&kexec, &config, segments, wrong[i].count),
				 wrong[i].status);
		assert_int_equal(kexec.failed_segment, wrong[i].failed);
		assert_int_equal(m->takes, 0);
	}
	machine_free(m);
}

static bool anything(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context, (void)first, (void)frames;
	return true;
}

static void size_has_a_limit(void **state)
{
	struct machine *m = machine_new(3);
	struct kelp_kexec_config config = config_of(m);
	struct kelp_kexec_segment segments[2] = {
		{0, UINT64_C(1) << 30, 0, NULL, NULL, NULL},
		{UINT64_C(1) << 40, PAGE, 0, NULL, NULL, NULL},
	};
	struct kelp_kexec kexec;

	(void)state;
	config.usable = anything;
	assert_int_equal(kelp_kexec_init(&kexec, &config, segments, 1), KELP_OK);
	assert_int_equal(kelp_kexec_init(&kexec, &config, segments, 2), KELP_ERR_UNSUPPORTED);
	segments[1].size = UINT64_C(1) << 62;
	assert_int_equal(kelp_kexec_init(&kexec, &config, segments, 2), KELP_ERR_UNSUPPORTED);
	machine_free(m);
}

/* ---- reading, failing ---------------------------------------------------------------------- */

struct reader {
	const unsigned char *data;
	uint64_t next;
	uint64_t fail_from;
};

static enum kelp_status read_data(void *context, uint64_t offset, void *to, size_t size)
{
	struct reader *reader = context;

	assert_int_equal(offset, reader->next);
	assert_true(size > 0);
	if (offset >= reader->fail_from)
		return KELP_ERR_BUSY;
	memcpy(to, reader->data + (size_t)offset, size);
	reader->next = offset + size;
	return KELP_OK;
}

static void data_can_be_read_piece_by_piece(void **state)
{
	struct machine *m = machine_new(9);
	struct kelp_kexec_config config = config_of(m);
	struct reader reader = {.fail_from = UINT64_MAX};
	struct kelp_kexec kexec;
	kelp_paddr_t list;

	(void)state;
	add(m, 30, 20, 17u * PAGE + 5u);
	reader.data = m->expected[0];
	m->segments[0].data = NULL;
	m->segments[0].read = read_data;
	m->segments[0].context = &reader;
	m->kexec = &kexec;
	assert_int_equal(kelp_kexec_init(&kexec, &config, m->segments, 1), KELP_OK);
	assert_int_equal(kelp_kexec_load(&kexec), KELP_OK);
	assert_int_equal(reader.next, 17u * PAGE + 5u);
	assert_int_equal(kelp_kexec_finish(&kexec, &list), KELP_OK);
	kelp_kexec_execute(list, 12, moving_pointer, m);
	assert_memory_equal(m->memory + 30u * PAGE, m->expected[0], 20u * PAGE);
	kelp_kexec_unload(&kexec);
	assert_int_equal(m->live, 0);

	/* A medium that fails half way. */
	reader.next = 0;
	reader.fail_from = 9u * PAGE;
	m->next = 0;
	assert_int_equal(kelp_kexec_load(&kexec), KELP_ERR_BUSY);
	kelp_kexec_unload(&kexec);
	assert_int_equal(m->live, 0);
	machine_free(m);
}

/* INV-5.4 for kexec: every page can be missing. */
static void every_page_can_be_missing(void **state)
{
	(void)state;
	for (unsigned n = 1;; n++) {
		struct machine *m = machine_new(77);

		add(m, 64, 40, 30u * PAGE);
		add(m, 300, 5, 5u * PAGE);
		/* Other frames are the old kernel's; enough are free, half of them destinations. */
		for (unsigned i = 0; i < FRAMES; i++)
			m->state[i] = i >= 50 && i < 180 ? FRAME_FREE : FRAME_USED;
		m->fail_at = n;
		/* The only one that can be done without: a reserved frame takes its place. */
		m->count = n % 2 ? FRAMES : 180;
		if (m->fail_at && n > 90) {
			carry_over(m, KELP_OK);
			assert_true(m->fail_at > 0);
			machine_free(m);
			return;
		}
		{
			struct kelp_kexec_config config = config_of(m);
			struct kelp_kexec kexec;
			kelp_paddr_t list, page;
			enum kelp_status status;

			m->kexec = &kexec;
			assert_int_equal(kelp_kexec_init(&kexec, &config, m->segments, 2), KELP_OK);
			status = kelp_kexec_load(&kexec);
			if (status == KELP_OK)
				status = kelp_kexec_safe_page(&kexec, UINT64_MAX, &page);
			if (status == KELP_OK) {
				status = kelp_kexec_finish(&kexec, &list);
				page_give(m, page);
			}
			assert_true(status == KELP_OK || status == KELP_ERR_NO_MEMORY);
			if (status == KELP_OK)
				judge_list(m, list);
			kelp_kexec_unload(&kexec);
			assert_int_equal(m->live, 0);
		}
		machine_free(m);
	}
}

/* One bit of one page, anywhere. */
static void changed_data_is_refused(void **state)
{
	struct machine *m = machine_new(13);
	struct kelp_kexec_config config = config_of(m);
	struct kelp_kexec kexec;
	unsigned changed = 0;

	(void)state;
	add(m, 1000, 60, 50u * PAGE + 100u);
	m->kexec = &kexec;
	assert_int_equal(kelp_kexec_init(&kexec, &config, m->segments, 1), KELP_OK);
	assert_int_equal(kelp_kexec_verify(&kexec), KELP_ERR_MALFORMED);
	assert_int_equal(kelp_kexec_load(&kexec), KELP_OK);
	for (unsigned frame = 0; frame < FRAMES; frame++) {
		unsigned char *byte = m->memory + (size_t)frame * PAGE + next_random(m, PAGE);
		unsigned bit = 1u << next_random(m, 8);
		enum kelp_status status;

		/* Data, by its contents; pages of words are not data. */
		if (m->state[frame] != FRAME_TAKEN || frame_of(kexec.directory) == frame ||
		    *(uint64_t *)pointer(m, kexec.directory) == address_of(frame))
			continue;
		*byte ^= (unsigned char)bit;
		status = kelp_kexec_verify(&kexec);
		*byte ^= (unsigned char)bit;
		assert_int_equal(status, KELP_ERR_MALFORMED);
		changed++;
	}
	assert_int_equal(changed, 51);
	assert_int_equal(kelp_kexec_verify(&kexec), KELP_OK);
	kelp_kexec_unload(&kexec);
	assert_int_equal(m->live, 0);
	machine_free(m);
}

/* INV-5.3: tables that were not made through the port are found. */
static void tables_in_the_way_are_found(void **state)
{
	const struct kelp_format *format = test_format_named("x86_64-4level");
	struct machine *m = machine_new(21);
	struct kelp_kexec_config config = config_of(m);
	struct kelp_trans_range range = {{BASE / PAGE}, 3, 0};
	struct kelp_port port;
	struct kelp_kexec kexec;
	struct kelp_trans trans;
	kelp_paddr_t page;
	unsigned victim;

	(void)state;
	m->kexec = &kexec;
	/* From frame 0 on: the root, then one table per level. */
	for (victim = 0; victim < 4; victim++) {
		m->segment_count = 0;
		add(m, 100 + victim, 1, 0);
		assert_int_equal(kelp_kexec_init(&kexec, &config, m->segments, 1), KELP_OK);
		kelp_kexec_port(&kexec, &port);
		/* As if the caller had forgotten: the destination is moved to a table's frame. */
		m->next = 0;
		assert_int_equal(kelp_trans_init(&trans, format, &port, 0), KELP_OK);
		assert_int_equal(kelp_trans_build(&trans, 0, &range, 1), KELP_OK);
		assert_int_equal(kelp_kexec_check_tables(&kexec, &trans, &page), KELP_OK);
		m->segments[0].destination = address_of(victim);
		assert_int_equal(kelp_kexec_check_tables(&kexec, &trans, &page),
				 KELP_ERR_RESTRICTED);
		assert_int_equal(page, address_of(victim));
		m->segments[0].destination = address_of(100 + victim);
		kelp_trans_destroy(&trans);
		assert_int_equal(m->live, 0);
		test_free(m->expected[0]);
	}
	m->segment_count = 0;
	machine_free(m);
}

/* What the list names and the tables lack is found, be it the list, a source or a destination. */
static void what_is_out_of_reach_is_found(void **state)
{
	const struct kelp_format *format = test_format_named("x86_64-4level");
	struct machine *m = machine_new(31);
	struct kelp_kexec_config config = config_of(m);
	struct kelp_port port;
	struct kelp_kexec kexec;
	kelp_paddr_t list, page;

	(void)state;
	add(m, 1000, 9, 8u * PAGE);
	m->kexec = &kexec;
	assert_int_equal(kelp_kexec_init(&kexec, &config, m->segments, 1), KELP_OK);
	assert_int_equal(kelp_kexec_load(&kexec), KELP_OK);
	assert_int_equal(kelp_kexec_finish(&kexec, &list), KELP_OK);
	kelp_kexec_port(&kexec, &port);
	/* Directory, words, 8 pages of data, the list: frames 0 to 10; 9 of destination. */
	for (unsigned missing = 0; missing < 1010; missing++) {
		struct kelp_trans_range ranges[2] = {
			{{BASE / PAGE}, missing, 0},
			{{BASE / PAGE + missing + 1u}, FRAMES - missing - 1u, 0}};
		bool used = (missing >= 2 && missing < 11) || (missing >= 1000 && missing < 1009);
		struct kelp_trans trans;

		if (missing > 20 && missing < 995)
			continue;
		assert_int_equal(kelp_trans_init(&trans, format, &port, 0), KELP_OK);
		assert_int_equal(kelp_trans_build(&trans, PAGE * 7u, ranges + !missing,
						  2u - !missing), KELP_OK);
		assert_int_equal(kelp_kexec_check_reach(&kexec, &trans, PAGE * 7u, &page),
				 used ? KELP_ERR_NOT_MAPPED : KELP_OK);
		if (used)
			assert_int_equal(page, address_of(missing));
		/* At another offset there is something, and not that. */
		assert_int_equal(kelp_kexec_check_reach(&kexec, &trans, PAGE * 6u, &page),
				 KELP_ERR_NOT_MAPPED);
		kelp_trans_destroy(&trans);
		m->next = 20;
	}
	kelp_kexec_unload(&kexec);
	assert_int_equal(m->live, 0);
	machine_free(m);
}

/* ---- the digest ---------------------------------------------------------------------------- */

static uint64_t digest_of(const void *data, size_t size)
{
	struct kelp_digest digest;
	size_t stripes = size / 32u * 32u;

	kelp_digest_begin(&digest);
	kelp_digest_add(&digest, data, stripes);
	return kelp_digest_end(&digest, (const char *)data + stripes, size - stripes);
}

static void digest_is_xxh64(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} known[] = {
		{"", UINT64_C(0xef46db3751d8e999)},
		{"a", UINT64_C(0xd24ec4f1a98c6e5b)},
		{"abc", UINT64_C(0x44bc2cf5ad770999)},
		{"Nobody inspects the spammish repetition", UINT64_C(0xfbcea83c8a378bf1)},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_int_equal(digest_of(known[i].text, strlen(known[i].text)), known[i].value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_memory),
		cmocka_unit_test(destinations_are_handed_out_first),
		cmocka_unit_test(memory_is_nearly_full),
		cmocka_unit_test(permutations),
		cmocka_unit_test(segments_are_checked),
		cmocka_unit_test(size_has_a_limit),
		cmocka_unit_test(data_can_be_read_piece_by_piece),
		cmocka_unit_test(every_page_can_be_missing),
		cmocka_unit_test(changed_data_is_refused),
		cmocka_unit_test(tables_in_the_way_are_found),
		cmocka_unit_test(what_is_out_of_reach_is_found),
		cmocka_unit_test(digest_is_xxh64),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
