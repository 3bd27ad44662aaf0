/* SPDX-License-Identifier: MIT */
/* story: memory map, tables, leaf counts, shootdowns, tests, and a verdict. */
#include "story_private.h"

#include <boot.h>
#include <churn.h>
#include <cpu.h>
#include <frames.h>
#include <port.h>
#include <print.h>
#include <test.h>
#include <thread.h>
#include <vm.h>

void story_report(const char *key, uint64_t value)
{
	kprintf("report: %s %llu\n", key, (unsigned long long)value);
}

void story_chapter(const char *title)
{
	kprintf("\n== %s\n", title);
}

static bool tell_memory(void)
{
	struct frame_stats s;
	char a[SIZE_TEXT], b[SIZE_TEXT];

	story_chapter("Memory, as the firmware gave it");
	boot_print_map();
	frames_stats(&s);
	kprintf("%s for the page allocator, %s of it free; %s taken before it stood\n",
		size_text(a, s.total << PAGE_SHIFT), size_text(b, s.free << PAGE_SHIFT),
		size_text((char[SIZE_TEXT]){0}, early_frames_taken()));
	story_report("ram_bytes", memory_map_total(&boot_info.map, MEMORY_RAM));
	story_report("free_bytes", s.free << PAGE_SHIFT);
	return s.free > 0;
}

static void tell_census(const char *what, const char *key, const struct kelp_space *space,
			struct vm_census *census)
{
	char a[SIZE_TEXT], text[48];

	vm_census(space, census);
	kprintf("%s: %llu tables map %s with", what, (unsigned long long)census->tables,
		size_text(a, census->bytes));
	for (unsigned level = kernel_format.levels; level-- > 0;)
		if (census->leaves[level])
			kprintf(" %llu x %s", (unsigned long long)census->leaves[level],
				size_text(a, kelp_format_span(&kernel_format, level)));
	kprintf("\n");
	for (unsigned level = 0; level < kernel_format.levels; level++) {
		format_text(text, sizeof(text), "%s_leaves_level_%u", key, level);
		story_report(text, census->leaves[level]);
	}
	format_text(text, sizeof(text), "%s_tables", key);
	story_report(text, census->tables);
}

/* W^X holds over every leaf, except where the CPU cannot withhold execution. */
static bool tell_tables(void)
{
	bool can_withhold = !(kernel_format.attr_always & KELP_ATTR_EXEC);
	struct vm_census boot, final;

	story_chapter("Tables: adopted from the boot, then built anew");
	tell_census("adopted", "boot", &boot_space, &boot);
	tell_census("final", "final", &kernel_space, &final);
	kprintf("writable and executable at once: %llu leaves before, %llu now\n",
		(unsigned long long)boot.writable_and_executable,
		(unsigned long long)final.writable_and_executable);
	story_report("final_writable_and_executable", final.writable_and_executable);
	kprintf("one address walked, level by level: the first instruction of kprintf\n");
	vm_print_walk(&kernel_space, (uintptr_t)kprintf);
	return !can_withhold || final.writable_and_executable == 0;
}

/* Maps, touches and unmaps, so that there are shootdowns to count. */
static bool tell_shootdowns(void)
{
	uint64_t before = port_stats.shootdowns, ticks = port_stats.shootdown_ticks, count;
	enum { ROUNDS = 100 };

	story_chapter("Shootdowns");
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t *page = vm_allocate(4 * PAGE_SIZE);

		if (!page)
			return false;
		page[i] = i;
		vm_unmap(page, 4 * PAGE_SIZE, true);
	}
	count = port_stats.shootdowns - before;
	ticks = port_stats.shootdown_ticks - ticks;
	kprintf("%u times 4 pages mapped, written and unmapped: %llu shootdowns, %llu us each\n",
		ROUNDS, (unsigned long long)count,
		(unsigned long long)(count ? ticks_to_microseconds(ticks) / count : 0));
	story_report("shootdowns", count);
	/* Alone there is nobody to tell; otherwise every unmap tells, and free frames may. */
	return cpu_count == 1 ? count == 0 : frames_debug ? count >= ROUNDS : count == ROUNDS;
}

static void report_leaves(const char *key, const struct kelp_directmap_statistics *s)
{
	char text[48];

	for (unsigned level = 0; level < kernel_format.levels; level++) {
		format_text(text, sizeof(text), "%s_leaves_level_%u", key, level);
		story_report(text, s->leaves[level]);
	}
}

/* Most of memory out of the direct map and back: as many leaves of each size as before. */
#define STORY_CHURN_FRAMES 32768u

static bool tell_churn(void)
{
	static struct churn c;

	story_chapter("The direct map under churn");
	churn(STORY_CHURN_FRAMES, &c);
	churn_print(&c, "");
	story_report("churn_frames", c.frames);
	report_leaves("churn_before", &c.before);
	report_leaves("churn_between", &c.between);
	report_leaves("churn_after", &c.after);
	if (c.frames) {
		story_report("churn_out_ns", ticks_to_nanoseconds(c.ticks_out) / c.frames);
		story_report("churn_back_ns", ticks_to_nanoseconds(c.ticks_back) / c.frames);
	}
	story_report("churn_shootdowns", c.shootdowns);
	return c.failure == NULL;
}

/* One interrupt serves every CPU whose mail was there when it came. */
static void report_interrupts(void)
{
	uint64_t sent = 0, saved = 0, spinning = 0;

	for (unsigned i = 0; i < cpu_count; i++) {
		sent += cpus[i]->stats.interrupts_sent;
		saved += cpus[i]->stats.interrupts_saved;
		spinning += cpus[i]->stats.answered_spinning;
	}
	kprintf("interrupts for shootdowns: %llu sent, %llu saved; %llu answered while spinning\n",
		(unsigned long long)sent, (unsigned long long)saved, (unsigned long long)spinning);
	story_report("interrupts_sent", sent);
	story_report("interrupts_saved", saved);
}

static bool tell_tests(void)
{
	struct test_result result;

	story_chapter("Tests, on this machine's own translation hardware");
	result = tests_run(NULL);
	report_interrupts();
	story_report("first_test_ms", result.first_microseconds / 1000u);
	story_report("tests_passed", result.passed);
	story_report("tests_failed", result.failed);
	story_report("tests_skipped", result.skipped);
	return result.failed == 0 && result.passed > 0;
}

bool story(void)
{
	bool held = true;

	story_report("cpus", cpu_count);
	story_report("paging_levels", kernel_format.levels);
#ifdef HOLDFAST_HIBERNATES
	story_report("carries", 1);
#endif
	held &= tell_memory();
	held &= tell_tables();
	held &= tell_shootdowns();
	held &= tell_churn();
	held &= tell_tests();
#ifdef HOLDFAST_HIBERNATES
	/* The last step: what is told from here on is told by another machine. */
	held &= story_carry(70);
#endif
	story_chapter(held ? "All held" : "NOT all held");
	story_report("verdict", held);
	return held;
}
