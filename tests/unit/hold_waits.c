/* SPDX-License-Identifier: MIT */
/* Holds without threads: who is waited for, who holds, and what a wait given up leaves (INV-2.1). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "exist.h"

#define SUB EXIST_SMALL_SUBSECTION
#define P(n) exist_pfn((n) * SUB)

#define assert_status(call, expected) assert_int_equal((call), (expected))

/* Gives up at once, or releases a hold at the Nth look. */
struct patience {
	struct exist *world;
	struct kelp_hold *hold;
	uint32_t release_at;
	uint32_t give_up_at;
	uint32_t looks;
};

static bool again(void *context, uint32_t looks)
{
	struct patience *p = context;

	assert_int_equal(looks, ++p->looks);
	/* What is held stays, and is still there; the hints say already that it is to go. */
	if (p->hold) {
		assert_true(kelp_pfn_valid(&p->world->map, P(2)));
		assert_false(kelp_pfn_active(&p->world->map, P(2)));
	}
	/* While it is tried nobody new gets in. */
	for (unsigned cpu = 0; cpu < 2 && p->hold; cpu++) {
		struct kelp_hold other;

		assert_status(kelp_page_hold_any(&p->world->map, cpu, P(2), &other),
			      KELP_ERR_NO_FRAME);
	}
	if (looks == p->release_at)
		kelp_page_release(&p->world->map, 1, p->hold);
	return looks != p->give_up_at;
}

static struct exist *world(void (*change)(struct kelp_memmap_config *config))
{
	struct exist *w = exist_new(false, change);

	assert_status(kelp_hotplug_add(&w->plug, P(2), 2 * SUB, 3, 0), KELP_OK);
	assert_status(kelp_hotplug_online(&w->plug, P(2), 2 * SUB), KELP_OK);
	return w;
}

static void the_remover_waits(void **state)
{
	struct exist *w = world(NULL);

	(void)state;
	/* Whatever phase it is: each wait that has to turns it over. */
	for (unsigned round = 0; round < 5; round++) {
		struct kelp_hold hold;
		struct patience p = {.world = w, .hold = &hold, .release_at = 3};
		const struct kelp_hold_wait wait = {&p, again};

		assert_status(kelp_page_hold_online(&w->map, 0, P(2), &hold), KELP_OK);
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_OK);
		assert_int_equal(p.looks, 3);
		assert_status(kelp_hotplug_online(&w->plug, P(2), SUB), KELP_OK);
		exist_check(w);
	}
	exist_free(w);
}

static void giving_up(void **state)
{
	struct exist *w = world(NULL);

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		struct kelp_hold hold, second;
		struct patience p = {.world = w, .hold = &hold, .give_up_at = 4};
		const struct kelp_hold_wait wait = {&p, again};
		uint64_t before;

		assert_status(kelp_page_hold_online(&w->map, 0, P(2), &hold), KELP_OK);
		before = exist_hash(w);
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_ERR_BUSY);
		assert_true(exist_hash(w) == before);
		/* It goes on as if nothing had been: others hold, and the next try waits again. */
		assert_status(kelp_page_hold_online(&w->map, 1, P(2), &second), KELP_OK);
		kelp_page_release(&w->map, 0, &second);
		p.looks = 0;
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_ERR_BUSY);
		p.looks = 0;
		p.give_up_at = 0;
		p.release_at = 2;
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_OK);
		assert_status(kelp_hotplug_online(&w->plug, P(2), SUB), KELP_OK);
		exist_check(w);
	}
	exist_free(w);
}

static void detaching_gives_up(void **state)
{
	struct exist *w = exist_new(false, NULL);
	struct kelp_hold hold;
	struct patience p = {.world = w, .hold = &hold, .give_up_at = 1};
	const struct kelp_hold_wait wait = {&p, again};
	uint64_t before;

	(void)state;
	assert_status(kelp_hotplug_attach(&w->plug, P(2), SUB, 3, 0), KELP_OK);
	assert_status(kelp_page_hold_device(&w->map, 0, P(2), &hold), KELP_OK);
	before = exist_hash(w);
	assert_status(kelp_hotplug_detach(&w->plug, P(2), SUB, &wait), KELP_ERR_BUSY);
	assert_true(exist_hash(w) == before);
	kelp_page_release(&w->map, 0, &hold);
	assert_status(kelp_hotplug_detach(&w->plug, P(2), SUB, &wait), KELP_OK);
	exist_free(w);
}

/* Holds of other buckets are not waited for; all buckets are by a range that spans them. */
static void buckets(void **state)
{
	struct exist *w = world(NULL);
	struct kelp_hold hold;
	struct patience p = {.world = w, .give_up_at = 1};
	const struct kelp_hold_wait wait = {&p, again};

	(void)state;
	assert_status(kelp_page_hold_online(&w->map, 0, P(3), &hold), KELP_OK);
	assert_int_equal(kelp_holds_count(&w->map.holds, 3), 1);
	assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_OK);
	assert_int_equal(p.looks, 0);
	assert_status(kelp_hotplug_online(&w->plug, P(2), SUB), KELP_OK);
	assert_status(kelp_hotplug_offline(&w->plug, P(2), 2 * SUB, &wait), KELP_ERR_BUSY);
	kelp_page_release(&w->map, 0, &hold);
	assert_status(kelp_hotplug_offline(&w->plug, P(2), 2 * SUB, &wait), KELP_OK);
	exist_free(w);
}

/* Somebody always holds a neighbour, who is in the same bucket: they come after the turn. */
struct stream {
	struct exist *world;
	struct kelp_hold hold;
	uint32_t looks;
};

static bool stream_again(void *context, uint32_t looks)
{
	struct stream *stream = context;
	struct kelp_hold next;

	stream->looks = looks;
	assert_status(kelp_page_hold_online(&stream->world->map, 0, P(3), &next), KELP_OK);
	kelp_page_release(&stream->world->map, 0, &stream->hold);
	stream->hold = next;
	return looks < 10;
}

static void one_bucket(struct kelp_memmap_config *config)
{
	config->holds.buckets = 1;
}

static void a_stream_of_holds(void **state)
{
	struct exist *w = world(one_bucket);
	struct stream stream = {.world = w};
	const struct kelp_hold_wait wait = {&stream, stream_again};

	(void)state;
	assert_status(kelp_page_hold_online(&w->map, 0, P(3), &stream.hold), KELP_OK);
	for (unsigned round = 0; round < 4; round++) {
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_OK);
		assert_true(stream.looks <= 2);
		assert_status(kelp_hotplug_online(&w->plug, P(2), SUB), KELP_OK);
	}
	kelp_page_release(&w->map, 1, &stream.hold);
	exist_check(w);
	exist_free(w);
}

/* Holds nest, and each is released on its own, in any order, anywhere. */
static void nesting(void **state)
{
	struct exist *w = world(NULL);
	struct kelp_hold hold[100];
	struct patience p = {.world = w};
	const struct kelp_hold_wait wait = {&p, again};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_status(kelp_page_hold_any(&w->map, i % 2, exist_pfn(2 * SUB + i % 16),
						 &hold[i]), KELP_OK);
	for (unsigned i = 0; i < 100; i++) {
		unsigned which = i * 37 % 100;

		p.looks = 0;
		p.give_up_at = 1;
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_ERR_BUSY);
		assert_int_equal(kelp_holds_count(&w->map.holds, 2), 100 - i);
		kelp_page_release(&w->map, i % 3 == 0, &hold[which]);
	}
	assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_OK);
	exist_free(w);
}

/* Counters wrap like any number of 32 bits. */
static void counters_wrap(void **state)
{
	struct exist *w = world(NULL);
	uint32_t *counter = (uint32_t *)(void *)w->map.holds.counters;
	struct kelp_hold hold[4];
	struct patience p = {.world = w, .give_up_at = 1};
	const struct kelp_hold_wait wait = {&p, again};

	(void)state;
	for (unsigned i = 0; i < w->map.holds.cpu_size / 4; i++)
		counter[i] = UINT32_MAX - 1;
	for (unsigned i = 0; i < 4; i++)
		assert_status(kelp_page_hold_any(&w->map, 0, P(2), &hold[i]), KELP_OK);
	assert_int_equal(kelp_holds_count(&w->map.holds, 2), 4);
	for (unsigned i = 0; i < 4; i++) {
		p.looks = 0;
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_ERR_BUSY);
		kelp_page_release(&w->map, 0, &hold[i]);
	}
	assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_OK);
	exist_free(w);
}

/* ---- whole subsections ---------------------------------------------------------------------------- */

static void subsections(void **state)
{
	struct exist *w = exist_new(false, NULL);
	const struct kelp_memmap_range early[] = {{{1}, {12}, 0}, {{16}, {31}, 0}};
	struct kelp_subsection_hold s;
	struct patience p = {.world = w, .give_up_at = 1};
	const struct kelp_hold_wait wait = {&p, again};

	(void)state;
	assert_status(kelp_memmap_add_early(&w->map, early, 2), KELP_OK);
	assert_status(kelp_subsection_hold(&w->map, 0, KELP_FRAMES_VALID, exist_pfn(5), &s),
		      KELP_ERR_ARGUMENT);
	assert_status(kelp_subsection_hold(&w->map, 0, KELP_FRAMES_DEVICE, exist_pfn(5), &s),
		      KELP_ERR_NO_FRAME);
	assert_status(kelp_subsection_hold(&w->map, 0, KELP_FRAMES_ONLINE, exist_pfn(900), &s),
		      KELP_ERR_NO_FRAME);
	assert_status(kelp_subsection_hold(&w->map, 0, KELP_FRAMES_ONLINE, exist_pfn(5), &s),
		      KELP_OK);
	assert_true(s.first.number == 0 && s.frames == SUB);
	assert_non_null(s.present);
	assert_int_equal(s.present[0], 0x1ffe);
	for (unsigned i = 1; i < 13; i++)
		assert_int_equal(((struct exist_page *)kelp_hold_page(&s.hold))[i].sane,
				 EXIST_SANE ^ i);
	kelp_subsection_release(&w->map, 1, &s);
	assert_status(kelp_subsection_hold(&w->map, 1, KELP_FRAMES_ACTIVE, exist_pfn(20), &s),
		      KELP_OK);
	assert_null(s.present);
	for (unsigned i = 16; i < 32; i++)
		w->owner[i] = EXIST_FREE;
	assert_status(kelp_hotplug_offline(&w->plug, P(1), SUB, &wait), KELP_ERR_BUSY);
	kelp_subsection_release(&w->map, 1, &s);
	assert_status(kelp_hotplug_offline(&w->plug, P(1), SUB, &wait), KELP_OK);
	exist_check(w);
	exist_free(w);
}

/* ---- who holds -------------------------------------------------------------------------------------- */

static struct kelp_hold_record records[2 * 3];

static void with_records(struct kelp_memmap_config *config)
{
	config->holds.record = records;
	config->holds.records = 3;
}

struct report {
	unsigned count;
	uint64_t sum;
	unsigned cpus;
	bool where;
};

static void visit(void *context, const struct kelp_holder *holder)
{
	struct report *report = context;

	report->count++;
	report->sum += holder->pfn.number;
	report->cpus |= 1u << holder->cpu;
	report->where |= holder->where != 0;
}

static void reports(void **state)
{
	struct exist *w = world(with_records);
	struct kelp_hold hold[5];
	struct report report = {0};

	(void)state;
	assert_int_equal(kelp_holds_report(&w->map.holds, visit, &report), 0);
	assert_int_equal(report.count, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_status(kelp_page_hold_any(&w->map, i == 4, exist_pfn(2 * SUB + i), &hold[i]),
			      KELP_OK);
	/* CPU 0 has room for three of its four. */
	assert_int_equal(kelp_holds_report(&w->map.holds, visit, &report), 1);
	assert_int_equal(report.count, 4);
	assert_int_equal(report.sum, 4 * 2 * SUB + 0 + 1 + 2 + 4);
	assert_int_equal(report.cpus, 3);
	assert_true(report.where);
	assert_int_equal(kelp_holds_count(&w->map.holds, 2), 5);
	for (unsigned i = 0; i < 5; i++)
		kelp_page_release(&w->map, 0, &hold[i]);
	report = (struct report){0};
	assert_int_equal(kelp_holds_report(&w->map.holds, visit, &report), 1);
	assert_int_equal(report.count, 0);
	exist_check(w);
	exist_free(w);
}

/* ---- other ways to count ------------------------------------------------------------------------------ */

static unsigned barriers;

static void barrier(void *context)
{
	(void)context;
	barriers++;
}

static void asymmetric(struct kelp_memmap_config *config)
{
	config->holds.barrier = barrier;
}

static void shared(struct kelp_memmap_config *config)
{
	config->holds.flags = KELP_HOLDS_SHARED;
	config->holds.buckets = 16;
	config->holds.cpus = 1;
}

/* An embedder's own: a count of sections, each waited for. */
static unsigned sections, waits;

static uintptr_t domain_enter(void *context, uint32_t cpu)
{
	(void)context, (void)cpu;
	return 4711u + ++sections;
}

static void domain_leave(void *context, uint32_t cpu, uintptr_t cookie)
{
	(void)context, (void)cpu;
	assert_true(cookie > 4711u);
	sections--;
}

static enum kelp_status domain_wait(void *context, const struct kelp_hold_wait *wait)
{
	(void)context;
	waits++;
	for (uint32_t looks = 1; sections > 0; looks++)
		if (!wait->again(wait->context, looks))
			return KELP_ERR_BUSY;
	return KELP_OK;
}

static const struct kelp_hold_domain domain = {NULL, domain_enter, domain_leave, domain_wait};

static void with_domain(struct kelp_memmap_config *config)
{
	config->holds.domain = &domain;
}

static void other_ways(void **state)
{
	void (*const ways[])(struct kelp_memmap_config *) = {asymmetric, shared, with_domain};

	(void)state;
	barriers = waits = 0;
	for (unsigned way = 0; way < 3; way++) {
		struct exist *w = world(ways[way]);
		struct kelp_hold hold;
		struct patience p = {.world = w, .hold = NULL, .give_up_at = 2};
		const struct kelp_hold_wait wait = {&p, again};

		assert_status(kelp_page_hold_any(&w->map, 0, P(2), &hold), KELP_OK);
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_ERR_BUSY);
		kelp_page_release(&w->map, 0, &hold);
		assert_status(kelp_page_hold_any(&w->map, 0, P(5), &hold), KELP_ERR_NO_FRAME);
		assert_status(kelp_hotplug_offline(&w->plug, P(2), SUB, &wait), KELP_OK);
		exist_free(w);
	}
	assert_int_equal(barriers, 2);
	assert_int_equal(waits, 2);
	assert_int_equal(sections, 0);
}

/* ---- bugs of callers ------------------------------------------------------------------------------------ */

#if defined(KELP_DEBUG) && KELP_DEBUG
static void double_release(void **state)
{
	struct exist *w = world(NULL);
	struct kelp_hold hold;

	(void)state;
	assert_status(kelp_page_hold_any(&w->map, 0, P(2), &hold), KELP_OK);
	kelp_page_release(&w->map, 0, &hold);
	assert_true(exist_panics(w, kelp_page_release(&w->map, 0, &hold)));
	assert_non_null(strstr(w->panic_what, "released"));
	assert_true(exist_panics(w, assert_int_equal(kelp_page_hold_any(&w->map, 2, P(2), &hold),
						     KELP_OK)));
	exist_free(w);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_remover_waits), cmocka_unit_test(giving_up),
		cmocka_unit_test(detaching_gives_up), cmocka_unit_test(buckets),
		cmocka_unit_test(a_stream_of_holds), cmocka_unit_test(nesting),          cmocka_unit_test(counters_wrap),
		cmocka_unit_test(subsections),       cmocka_unit_test(reports),
		cmocka_unit_test(other_ways),
#if defined(KELP_DEBUG) && KELP_DEBUG
		cmocka_unit_test(double_release),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
