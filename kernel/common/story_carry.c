/* SPDX-License-Identifier: MIT */
/*
 * story_carry: the second half of the story. Memory is filled, threads run, the machine goes to
 * disk and comes back in another one, and every byte and every thread is looked at.
 */
#include "story_private.h"

#include <boot.h>
#include <cpu.h>
#include <drivers/block.h>
#include <drivers/virtio_mem.h>
#include <fill.h>
#include <frames.h>
#include <hibernate.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

#define FILL_SEED UINT64_C(0x4b656c70)

/* ---- threads that can be asked afterwards ------------------------------------------------ */

struct actor {
	const char *name;
	void (*function)(void *argument);
	struct thread *thread;
	uint64_t steps, before;
	uint64_t state;
	bool stop;
	bool ended;        /* it touches no other actor any more */
	const char *wrong; /* what it found; NULL: nothing */
};

static bool goes_on(struct actor *actor)
{
	__atomic_fetch_add(&actor->steps, 1, __ATOMIC_RELEASE);
	return !__atomic_load_n(&actor->stop, __ATOMIC_ACQUIRE);
}

/* Its state is a function of how far it is: see check_sum(). */
static void sums(void *argument)
{
	struct actor *actor = argument;

	do {
		for (unsigned i = 0; i < 1000; i++)
			actor->state = actor->state * UINT64_C(6364136223846793005) + 1u;
		thread_yield();
	} while (goes_on(actor));
}

static bool check_sum(const struct actor *actor)
{
	uint64_t state = 0;

	for (uint64_t i = 0; i < actor->steps * 1000u; i++)
		state = state * UINT64_C(6364136223846793005) + 1u;
	return state == actor->state;
}

/* Time may stand still for it, but neither go back nor jump. */
static void sleeps(void *argument)
{
	struct actor *actor = argument;

	do {
		uint64_t before = arch_ticks(), slept;

		thread_sleep(2000);
		slept = ticks_to_microseconds(arch_ticks() - before);
		if (slept < 2000u || slept > 600000000u)
			actor->wrong = "the clock jumped";
	} while (goes_on(actor));
}

/* Two that wake each other: a wake-up that is lost ends both. */
static struct actor ping, pong;

static void plays(void *argument)
{
	struct actor *me = argument, *other = me == &ping ? &pong : &ping;

	do {
		/* Mine is at most one ahead. */
		while (__atomic_load_n(&me->steps, __ATOMIC_ACQUIRE) >
			       __atomic_load_n(&other->steps, __ATOMIC_ACQUIRE) &&
		       !__atomic_load_n(&me->stop, __ATOMIC_ACQUIRE))
			thread_block_until(arch_ticks() + microseconds_to_ticks(1000000));
		if (other->thread)
			thread_wake(other->thread);
	} while (goes_on(me));
}

/* Reads the same blocks of a disk again and again; what it read once it always reads. */
static void reads(void *argument)
{
	struct actor *actor = argument;
	struct block_device *disk = block_device(0);
	uint64_t size = 4u * KIB, first = 0;
	kelp_paddr_t address;

	if (!disk || !frames_take(frames_order(size), FRAME_DIRECT, &address))
		return;
	do {
		enum block_status status = block_read(disk, 0, address, size);
		const uint64_t *word = direct_pointer(address);
		uint64_t sum = 1;

		if (status != BLOCK_OK)
			actor->wrong = block_status_text(status);
		for (unsigned i = 0; i < size / sizeof(*word); i++)
			sum = sum * 31u + word[i];
		/* Of the disk for images, too, the first blocks stay: its label. */
		if (first && sum != first)
			actor->wrong = "the disk holds something else";
		first = sum;
		thread_sleep(1000);
	} while (goes_on(actor));
	frames_give(frames_order(size), address);
}

static struct actor sum[2] = {
	{.name = "sums", .function = sums}, {.name = "sums", .function = sums},
};
static struct actor sleeper = {.name = "sleeps", .function = sleeps};
static struct actor ping = {.name = "ping", .function = plays};
static struct actor pong = {.name = "pong", .function = plays};
static struct actor reader = {.name = "reads", .function = reads};
static struct actor *const actors[] = {&sum[0], &sum[1], &sleeper, &ping, &pong, &reader};

static void act(void *argument)
{
	struct actor *actor = argument;

	actor->function(actor);
	__atomic_store_n(&actor->ended, true, __ATOMIC_RELEASE);
}

static bool start_actors(void)
{
	for (unsigned i = 0; i < ARRAY_COUNT(actors); i++) {
		actors[i]->thread = thread_start(actors[i]->name, act, actors[i], THREAD_ANY_CPU);
		if (!actors[i]->thread)
			return false;
	}
	thread_sleep(20000);
	for (unsigned i = 0; i < ARRAY_COUNT(actors); i++)
		actors[i]->before = __atomic_load_n(&actors[i]->steps, __ATOMIC_ACQUIRE);
	return true;
}

/* True when it got further than it was, in the time that we give it. */
static bool advanced(const struct actor *actor)
{
	for (unsigned i = 0; i < 500; i++) {
		if (__atomic_load_n(&actor->steps, __ATOMIC_ACQUIRE) > actor->before)
			return true;
		thread_sleep(10000);
	}
	return false;
}

static bool end_actors(void)
{
	unsigned good = 0;

	for (unsigned i = 0; i < ARRAY_COUNT(actors); i++) {
		struct actor *actor = actors[i];

		if (!advanced(actor))
			actor->wrong = "it does not go on";
	}
	for (unsigned i = 0; i < ARRAY_COUNT(actors); i++)
		__atomic_store_n(&actors[i]->stop, true, __ATOMIC_RELEASE);
	/* They wake each other: none is freed before all have ended. */
	for (unsigned i = 0, tries = 0; i < ARRAY_COUNT(actors) && tries < 1000; tries++) {
		if (__atomic_load_n(&actors[i]->ended, __ATOMIC_ACQUIRE))
			i++;
		else
			thread_sleep(10000);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(actors); i++) {
		struct actor *actor = actors[i];

		if (__atomic_load_n(&actor->ended, __ATOMIC_ACQUIRE))
			thread_join(actor->thread);
		else
			actor->wrong = "it does not end";
		if (actor->function == sums && !check_sum(actor))
			actor->wrong = "its sum is not what it must be";
		if (actor->wrong)
			kprintf("thread \"%s\": %s\n", actor->name, actor->wrong);
		else
			good++;
	}
	kprintf("%u of %u threads went on where they were\n", good, (unsigned)ARRAY_COUNT(actors));
	story_report("resume_threads", good);
	return good == ARRAY_COUNT(actors);
}

/* ---- memory ------------------------------------------------------------------------------ */

static bool fill(unsigned percent, struct fill_counts *counts)
{
	uint64_t start;
	struct frame_stats stats;
	char text[SIZE_TEXT];

	/* What the host means to give is there first. */
	(void)virtio_mem_settle(10000);
	start = time_microseconds();
	if (!fill_memory(percent, FILL_SEED, counts)) {
		kprintf("memory could not be filled\n");
		return false;
	}
	frames_stats(&stats);
	kprintf("%llu frames (%s) filled in %llu ms: %llu zero, %llu uniform, %llu text, "
		"%llu random\n", (unsigned long long)counts->frames,
		size_text(text, counts->frames << PAGE_SHIFT),
		(unsigned long long)(time_microseconds() - start) / 1000u,
		(unsigned long long)counts->kind[FILL_ZERO],
		(unsigned long long)counts->kind[FILL_UNIFORM],
		(unsigned long long)counts->kind[FILL_TEXT],
		(unsigned long long)counts->kind[FILL_RANDOM]);
	kprintf("of these %llu are out of the direct map, %llu of them secret; %llu lie in memory that "
		"was added\n", (unsigned long long)counts->absent,
		(unsigned long long)counts->secret, (unsigned long long)counts->hot_added);
	kprintf("%s of memory free\n",
		size_text(text, (stats.free + stats.cached) << PAGE_SHIFT));
	story_report("fill_frames", counts->frames);
	story_report("fill_absent", counts->absent);
	story_report("fill_secret", counts->secret);
	story_report("fill_hot_added", counts->hot_added);
	return counts->absent > 0 && counts->secret > 0;
}

static bool verify(const struct fill_counts *before)
{
	uint64_t start = time_microseconds();
	struct fill_counts counts;

	fill_verify(&counts);
	kprintf("%llu frames verified in %llu ms, %llu differ\n", (unsigned long long)counts.frames,
		(unsigned long long)(time_microseconds() - start) / 1000u,
		(unsigned long long)counts.differ);
	story_report("resume_frames_verified", counts.frames);
	story_report("resume_differ", counts.differ);
	return counts.differ == 0 && counts.frames == before->frames &&
	       counts.absent == before->absent && counts.secret == before->secret &&
	       counts.hot_added == before->hot_added;
}

/* ---- to disk and back -------------------------------------------------------------------- */

/* The last that is heard of this machine. */
static void written(const struct hibernate_result *result)
{
	story_report("hibernate_frames", result->frames);
	story_report("hibernate_zero_frames", result->zero_frames);
	story_report("hibernate_uniform_frames", result->uniform_frames);
	story_report("hibernate_bytes_in", result->bytes_in);
	story_report("hibernate_bytes_on_disk", result->bytes_on_disk);
	story_report("hibernate_us", result->write_microseconds);
}

static bool carry(enum hibernate_end end)
{
	struct hibernate_result result;
	uint64_t before = arch_ticks();

	if (!hibernate(end, written, &result))
		return false;
	/* The clock stood still while the machine was off: neither back nor far ahead. */
	if (arch_ticks() < before || ticks_to_microseconds(arch_ticks() - before) > 60000000u) {
		kprintf("the clock jumped from %llu to %llu\n", (unsigned long long)before,
			(unsigned long long)arch_ticks());
		return false;
	}
	/* Here is another machine. */
	story_report("resume_frames", result.frames);
	story_report("resume_frames_moved", result.frames_moved);
	story_report("resume_verify_us", result.verify_microseconds);
	story_report("resume_us", result.read_microseconds);
	return true;
}

bool story_carry(unsigned percent)
{
	bool test = command_line_has("carry_end=test", NULL, 0), held;
	struct fill_counts counts;

	story_chapter("Memory filled with what can be computed again");
	if (!fill(percent, &counts) || !start_actors())
		return false;
	story_chapter("To disk");
	held = carry(test ? HIBERNATE_TEST_RESUME : HIBERNATE_POWER_OFF);
	story_chapter(held ? "Back, in another machine" : "Still in the same machine");
	/* It can be seen to fail. */
	if (command_line_has("carry_spoil", NULL, 0))
		fill_spoil();
	held &= verify(&counts);
	held &= end_actors();
	fill_end();
	return held;
}
