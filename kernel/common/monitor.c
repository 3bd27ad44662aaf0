/* SPDX-License-Identifier: MIT */
/* monitor: the console's commands. */
#include <monitor.h>

#include <acpi.h>
#include <cpu.h>
#include <drivers/commands.h>
#include <drivers/devices.h>
#include <frames.h>
#include <hibernate.h>
#include <irq.h>
#include <kexec.h>
#include <port.h>
#include <print.h>
#include <reach.h>
#include <story.h>
#include <test.h>
#include <thread.h>
#include <vm.h>
#include <zoo.h>

bool monitor_number(const char *text, uint64_t *number)
{
	uint64_t value = 0, base = 10;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned digit;

		if (*text >= '0' && *text <= '9')
			digit = (unsigned)(*text - '0');
		else if (base == 16 && (*text | 32) >= 'a' && (*text | 32) <= 'f')
			digit = (unsigned)((*text | 32) - 'a') + 10u;
		else
			break;
		value = value * base + digit;
	}
	switch (*text | 32) {
	case 'g': value <<= 10; /* fall through */
	case 'm': value <<= 10; /* fall through */
	case 'k': value <<= 10; text++;
	}
	*number = value;
	return *text == '\0';
}

/* ---- looking ----------------------------------------------------------------------------- */

static bool run_help(unsigned count, char **word)
{
	(void)count, (void)word;
	for (unsigned i = 0; i < monitor_command_count; i++) {
		const struct monitor_command *c = &monitor_commands[i];

		kprintf("  %-9s %-16s %s\n", c->name, c->arguments, c->help);
	}
	kprintf("Numbers: 4096, 0x1000, 4k. Up and down recall lines, Tab completes.\n");
	return true;
}

static bool run_mem(unsigned count, char **word)
{
	struct frame_stats s;
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT];

	(void)count, (void)word;
	boot_print_map();
	frames_stats(&s);
	kprintf("pages: %s managed, %s free (lowest ever %s), %llu in CPUs' caches\n",
		size_text(a, s.total << PAGE_SHIFT), size_text(b, s.free << PAGE_SHIFT),
		size_text(c, s.lowest << PAGE_SHIFT), (unsigned long long)s.cached);
	if (s.high)
		kprintf("  of these beyond the direct map: %s managed, %s free\n",
			size_text(a, s.high << PAGE_SHIFT), size_text(b, s.high_free << PAGE_SHIFT));
	kprintf("  taken %llu, given back %llu, from a cache %llu, refills %llu, drains %llu, "
		"failures %llu\n  free blocks:",
		(unsigned long long)s.takes, (unsigned long long)s.gives,
		(unsigned long long)s.cache_hits, (unsigned long long)s.refills,
		(unsigned long long)s.drains, (unsigned long long)s.failures);
	for (unsigned order = 0; order < FRAME_ORDERS; order++)
		if (s.blocks[order])
			kprintf(" %llu x %s", (unsigned long long)s.blocks[order],
				size_text(a, PAGE_SIZE << order));
	kprintf("\n");
	return true;
}

static bool run_map(unsigned count, char **word)
{
	uint64_t va;
	kelp_paddr_t pa;
	unsigned long flags;
	enum kelp_status status;

	if (count != 2 || !monitor_number(word[1], &va))
		return false;
	kprintf("0x%llx is in: %s\n", (unsigned long long)va, vm_describe(va));
	vm_print_walk(&kernel_space, va);
	flags = vm_read_begin();
	status = kelp_space_translate(&kernel_space, va, &pa);
	vm_read_end(flags);
	if (status == KELP_OK)
		kprintf("  physical 0x%llx\n", (unsigned long long)pa);
	return true;
}

static enum kelp_visit print_run(void *context, const struct kelp_mapping *m)
{
	char size[SIZE_TEXT], leaf[SIZE_TEXT], attributes[ATTR_TEXT];

	kprintf("  %016llx -> %012llx %10s in %7s  %s\n", (unsigned long long)m->va,
		(unsigned long long)m->pa, size_text(size, m->size),
		size_text(leaf, UINT64_C(1) << m->shift), attr_text(attributes, m->attributes));
	return ++*(unsigned *)context < 200 ? KELP_VISIT_CONTINUE : KELP_VISIT_STOP;
}

static bool run_tables(unsigned count, char **word)
{
	uint64_t first = 0, size = 0;
	unsigned shown = 0;
	enum kelp_status status = KELP_OK;
	unsigned long flags;

	if (count > 3 || (count > 1 && !monitor_number(word[1], &first)) ||
	    (count > 2 && !monitor_number(word[2], &size)))
		return false;
	flags = vm_read_begin();
	if (count > 1) {
		status = kelp_space_walk(&kernel_space, align_down(first, PAGE_SIZE),
					 max_u64(PAGE_SIZE, align_up(size, PAGE_SIZE)),
					 KELP_WALK_RUNS, print_run, &shown);
	} else {
		for (unsigned i = 0; i < kernel_format.va_ranges && status == KELP_OK; i++)
			status = kelp_space_walk(
				&kernel_space, kernel_format.va_first[i],
				kernel_format.va_last[i] - kernel_format.va_first[i] + 1u,
				KELP_WALK_RUNS, print_run, &shown);
	}
	vm_read_end(flags);
	if (status != KELP_OK)
		kprintf("%s\n", kelp_status_text(status));
	else if (shown >= 200)
		kprintf("  ... more: give a range\n");
	return true;
}

static void print_census(const char *name, const struct kelp_space *space)
{
	struct vm_census c;
	char text[SIZE_TEXT];

	vm_census(space, &c);
	kprintf("  %-22s %4llu tables, %s:", name, (unsigned long long)c.tables,
		size_text(text, c.bytes));
	for (unsigned level = kernel_format.levels; level-- > 0;)
		if (c.leaves[level])
			kprintf(" %llu x %s", (unsigned long long)c.leaves[level],
				size_text(text, kelp_format_span(&kernel_format, level)));
	kprintf("; invalid %llu, writable and executable %llu\n", (unsigned long long)c.invalid,
		(unsigned long long)c.writable_and_executable);
}

static bool run_leaves(unsigned count, char **word)
{
	(void)count, (void)word;
	kprintf("format %s\n", kernel_format.name);
	print_census("the kernel's tables", &kernel_space);
	print_census("the tables of the boot", &boot_space);
	return true;
}

static bool run_cpus(unsigned count, char **word)
{
	(void)count, (void)word;
	kprintf("  cpu id  state   thread     queue  switches  migrations  timer  "
		" answered (spinning)\n");
	for (unsigned i = 0; i < cpu_count; i++) {
		const struct cpu *c = cpus[i];

		kprintf("  %3u %3u  %-7s %-10s %5u %9llu %11llu %6llu %10llu (%llu)\n", i,
			c->hardware_id, c->online ? "online" : "dead",
			c->current ? c->current->name : "-", c->queue_length,
			(unsigned long long)c->stats.switches,
			(unsigned long long)c->stats.migrations,
			(unsigned long long)c->stats.timer_interrupts,
			(unsigned long long)c->stats.calls_answered,
			(unsigned long long)c->stats.answered_spinning);
	}
	kprintf("interrupts of devices:\n");
	irq_print();
	return true;
}

static bool run_flushes(unsigned count, char **word)
{
	const struct port_stats *p = &port_stats;
	uint64_t sent = 0, saved = 0;

	(void)count, (void)word;
	for (unsigned i = 0; i < cpu_count; i++) {
		sent += cpus[i]->stats.interrupts_sent;
		saved += cpus[i]->stats.interrupts_saved;
	}
	kprintf("shootdowns %llu, ranges in them %llu, of everything %llu, with tables %llu\n",
		(unsigned long long)p->shootdowns, (unsigned long long)p->ranges,
		(unsigned long long)p->flushes_of_everything,
		(unsigned long long)p->flushes_of_tables);
	kprintf("interrupts sent %llu, saved by mail already waiting %llu, "
		"%llu us each on average\n",
		(unsigned long long)sent, (unsigned long long)saved,
		(unsigned long long)(p->shootdowns
			? ticks_to_microseconds(p->shootdown_ticks) / p->shootdowns : 0));
	kprintf("table pages: taken %llu, given back %llu, in the kernel's tables %u\n",
		(unsigned long long)p->tables_taken, (unsigned long long)p->tables_given,
		kernel_space.tables);
	return true;
}

/* ---- touching ---------------------------------------------------------------------------- */

static const char *const probe_text[] = {
	[PROBE_OK] = "done",
	[PROBE_NOT_PRESENT] = "no translation",
	[PROBE_DENIED] = "not allowed",
	[PROBE_MALFORMED] = "a reserved bit in an entry",
	[PROBE_OTHER] = "another exception",
};

static bool run_peek(unsigned count, char **word)
{
	uint64_t va, number = 1;

	if (count < 2 || count > 3 || !monitor_number(word[1], &va) ||
	    (count == 3 && !monitor_number(word[2], &number)))
		return false;
	va = align_down(va, 8);
	for (uint64_t i = 0; i < min_u64(number, 512); i++, va += 8) {
		uint64_t value = 0;
		struct probe probe = arch_probe(PROBE_LOAD, (uintptr_t)va, 8, &value);

		if (probe.result != PROBE_OK) {
			kprintf("  %016llx: %s\n", (unsigned long long)va,
				probe_text[probe.result]);
			break;
		}
		kprintf("  %016llx: %016llx\n", (unsigned long long)va, (unsigned long long)value);
	}
	return true;
}

static bool run_poke(unsigned count, char **word)
{
	uint64_t va, value;

	if (count != 3 || !monitor_number(word[1], &va) || !monitor_number(word[2], &value))
		return false;
	va = align_down(va, 8);
	kprintf("  %016llx: %s\n", (unsigned long long)va,
		probe_text[arch_probe(PROBE_STORE, (uintptr_t)va, 8, &value).result]);
	return true;
}

/* Uses a frame after it was given back: a fault with debug_pagealloc=on. */
static __attribute__((noinline)) void use_after_free(void)
{
	kelp_paddr_t frame;

	if (!frames_take(0, FRAME_DIRECT, &frame))
		return;
	frames_give(0, frame);
	*(volatile uint64_t *)direct_pointer(frame) = 1;
}

static bool run_fault(unsigned count, char **word)
{
	if (count == 2 && !strcmp(word[1], "freed")) {
		use_after_free();
		kprintf("nothing happened: debug_pagealloc=on makes it a fault\n");
		return true;
	}
	if (count == 2 && arch_provoke_fault(word[1])) {
		kprintf("nothing happened\n");
		return true;
	}
	kprintf("kinds: %s freed\n", arch_fault_kinds);
	return count == 1;
}

/* ---- doing ------------------------------------------------------------------------------- */

static bool run_test(unsigned count, char **word)
{
	if (count > 2)
		return false;
	(void)tests_run(count == 2 ? word[1] : NULL);
	return true;
}

static bool run_bench(unsigned count, char **word)
{
	(void)count, (void)word;
	bench_run();
	return true;
}

static bool run_dump(unsigned count, char **word)
{
	bool zoo = count == 2 && !strcmp(word[1], "zoo");

	if (count > 1 && !zoo)
		return false;
	if (zoo)
		zoo_map();
	arch_dump_tables();
	return true;
}

static bool run_poweroff(unsigned count, char **word)
{
	(void)count, (void)word;
	kprintf("powering off\n");
	(void)devices_stop();
	arch_power_off();
	(void)devices_restart();
	kprintf("this machine cannot be switched off by us\n");
	return true;
}

static bool run_reboot(unsigned count, char **word)
{
	(void)count, (void)word;
	kprintf("rebooting\n");
	(void)devices_stop();
	arch_reboot();
	(void)devices_restart();
	kprintf("this machine cannot be reset by us\n");
	return true;
}

const struct monitor_command monitor_commands[] = {
	{"help", "", "this list", run_help},
	{"mem", "", "the memory map and the page allocator", run_mem},
	{"map", "<va>", "walks one address, level by level", run_map},
	{"tables", "[<va> [<size>]]", "what is mapped, in runs", run_tables},
	{"leaves", "", "leaves by size, tables, forbidden rights", run_leaves},
	{"directmap", "[<pa> [<size>]]", "the direct map as a picture: leaf sizes and holes", run_directmap},
	{"reach", "<pfn>", "how the CPU gets to a frame at this moment", run_reach},
	{"cpus", "", "CPUs, threads, interrupts", run_cpus},
	{"flushes", "", "shootdowns and table pages", run_flushes},
	{"peek", "<va> [<count>]", "loads 8-byte words; survives faults", run_peek},
	{"poke", "<va> <value>", "stores one; survives faults", run_poke},
	{"fault", "<kind>", "brings a fault about for real (ends in panic)", run_fault},
	{"pci", "[details]", "devices on PCI", run_pci},
	{"disk", "[<n> <block> [<count>]]", "disks, or blocks of one in hexadecimal", run_disk},
	{"random", "[<bytes>]", "bytes from the entropy device", run_random},
	{"plug", "[fill | settle]", "memory of the host: all written to, waited for", run_plug},
	{"sections", "", "which memory exists: a picture", run_sections},
	{"frame", "<number>", "every answer about one frame", run_frame},
	{"pmem", "[<n> <verb> [<seed>]]", "persistent memory: fill, check, detach, attach", run_pmem},
	{"devices", "stop | restart", "as for hibernation: none of them touches memory", run_devices},
	{"turnover", "[start | stop]", "everybody uses memory while it comes and goes", run_turnover},
	{"bench", "", "times the mapping operations", run_bench},
	{"test", "[<part of name>]", "runs the tests", run_test},
	{"dump", "[zoo]", "leaves as QEMU prints them; zoo: one of each kind more", run_dump},
#ifdef HOLDFAST_HIBERNATES
	{"hibernate", "[test_resume|memory|bench]", "to disk and off; to disk and on; without a disk",
	 run_hibernate},
#endif
	{"kexec", "[<kernel> [<initrd>] ...]", "starts another kernel; alone: which there are", run_kexec},
	{"poweroff", "", "switches the machine off", run_poweroff},
	{"reboot", "", "resets it", run_reboot},
};
const unsigned monitor_command_count = ARRAY_COUNT(monitor_commands);

bool monitor_run(const char *text)
{
	char line[MONITOR_LINE], *word[MONITOR_WORDS] = {0}, *at = line;
	unsigned count = 0;

	copy_string(line, text, sizeof(line));
	for (;;) {
		while (*at == ' ')
			*at++ = '\0';
		if (!*at || count == MONITOR_WORDS)
			break;
		word[count++] = at;
		while (*at && *at != ' ')
			at++;
	}
	if (!count)
		return true;
	for (unsigned i = 0; i < monitor_command_count; i++) {
		const struct monitor_command *c = &monitor_commands[i];

		if (strcmp(c->name, word[0]))
			continue;
		if (c->run(count, word))
			return true;
		kprintf("usage: %s %s\n", c->name, c->arguments);
		return false;
	}
	kprintf("no command \"%s\": `help` lists them\n", word[0]);
	return false;
}

void monitor(void)
{
	char line[MONITOR_LINE];

	kprintf("Type `help`.\n");
	for (;;) {
		monitor_read_line(line);
		(void)monitor_run(line);
	}
}
