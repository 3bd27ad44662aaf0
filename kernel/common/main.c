/* SPDX-License-Identifier: MIT */
/* main: the order in which everything starts, and what the command line asks for then. */
#include <acpi.h>
#include <arch.h>
#include <boot.h>
#include <cpu.h>
#include <drivers/devices.h>
#include <frames.h>
#include <hibernate.h>
#include <hotplug.h>
#include <kexec.h>
#include <monitor.h>
#include <port.h>
#include <print.h>
#include <story.h>
#include <test.h>
#include <thread.h>
#include <vm.h>

/* With less than this beside the image not even one CPU starts. */
#define MEMORY_MINIMUM (2 * MIB)

extern const char text_start[], image_end[];

static void read_boot_info(void)
{
	const char *limit;
	uint64_t dropped, ram;
	char text[SIZE_TEXT];

	arch_boot_info(&boot_info);
	memory_map_clean(&boot_info.map);
	kprintf("boot: %s%s%s, command line \"%s\"\n", boot_info.protocol,
		boot_info.loader[0] ? " by " : "", boot_info.loader, boot_info.command_line);
	dropped = memory_map_limit(&boot_info.map, arch_ram_last(&limit));
	if (dropped)
		kprintf("boot: %s of RAM lie beyond %s and go unused\n", size_text(text, dropped),
			limit);
	if (boot_info.map.lost)
		kprintf("boot: %u ranges of the memory map were too many and go unused\n",
			boot_info.map.lost);
	boot_print_map();
	ram = memory_map_total(&boot_info.map, MEMORY_RAM);
	if (ram < MEMORY_MINIMUM + (uint64_t)(image_end - text_start))
		panic("this machine has %s of usable RAM; Holdfast needs 32 MiB to be of any use",
		      size_text(text, ram));
}

_Noreturn static void main_thread(void);

_Noreturn void kernel_main(void);
_Noreturn void kernel_main(void)
{
	threads_init_boot();
	arch_init_early();
	kprintf("\nHoldfast, the reference kernel of Kelp\n");
	arch_describe_cpu();
	read_boot_info();

	early_frames_init(&boot_info);
	arch_take_early_frames();
	vm_init(&boot_info);
	frames_init(&boot_info);
	port_use_page_allocator();

	if (!threads_init_cpu(&boot_cpu) || !arch_init_cpu(&boot_cpu))
		panic("no memory for the boot CPU's stacks");
	acpi_init();
	arch_init_interrupts();
	/* On to a stack of its own in the window, with a guard page. */
	threads_move_boot(main_thread);
}

static void say_where_we_are(void)
{
	struct frame_stats frames;
	struct vm_census census;
	char a[SIZE_TEXT], b[SIZE_TEXT];

	frames_stats(&frames);
	vm_census(&kernel_space, &census);
	kprintf("Holdfast runs on %u CPUs, %u-level tables (%llu pages of them), %s free of %s\n",
		cpu_count, kernel_format.levels, (unsigned long long)census.tables,
		size_text(a, frames.free << PAGE_SHIFT), size_text(b, frames.total << PAGE_SHIFT));
	if (frames.high)
		kprintf("%s of it are high memory, reached through kmap\n",
			size_text(a, frames.high << PAGE_SHIFT));
}

_Noreturn static void end(bool success)
{
	success &= devices_stop();
	kprintf("\nHoldfast ends: %s\n", success ? "all is well" : "something failed");
	arch_exit_to_host(success);
	arch_power_off();
	panic("nothing ends this machine");
}

/*
 * The command line says what comes then: `story` and `test` run through and end; `arrived` is what
 * the story's last step starts the next kernel with; `run=<command>`
 * runs one of the monitor's (with _ for blanks) and ends, or, with `stay`, does not; then the
 * monitor waits for somebody.
 */
static void main_thread(void)
{
	char command[MONITOR_LINE];
	unsigned online = cpus_start((unsigned)command_line_number("cpus=", CPUS_MAX));

	kprintf("cpus: %u of %u online\n", online, cpu_count);
	hotplug_init();
	devices_init();
#ifdef HOLDFAST_HIBERNATES
	hibernate_resume();
#endif
	say_where_we_are();
	kexec_print_message();
	if (command_line_has("story", NULL, 0))
		end(story() && kexec_next());
	if (command_line_has("arrived", NULL, 0))
		end(kexec_arrived());
#ifdef HOLDFAST_HIBERNATES
	if (command_line_has("carry=", NULL, 0))
		end(story_carry((unsigned)command_line_number("carry=", 70)));
#endif
	if (command_line_has("test", NULL, 0))
		end(tests_run(NULL).failed == 0);
	if (command_line_has("test=", command, sizeof(command)))
		end(tests_run(command).failed == 0);
	if (command_line_has("run=", command, sizeof(command))) {
		for (char *at = command; *at; at++)
			*at = *at == '_' ? ' ' : *at;
		if (!command_line_has("stay", NULL, 0))
			end(monitor_run(command));
		(void)monitor_run(command);
	}
	monitor();
}
