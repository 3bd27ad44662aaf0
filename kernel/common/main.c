/* SPDX-License-Identifier: MIT */
/* main: the order in which everything starts, and what the command line asks for then. */
#include <acpi.h>
#include <arch.h>
#include <boot.h>
#include <cpu.h>
#include <frames.h>
#include <port.h>
#include <print.h>
#include <test.h>
#include <thread.h>
#include <vm.h>

static void read_boot_info(void)
{
	uint64_t dropped;
	char text[SIZE_TEXT];

	arch_boot_info(&boot_info);
	memory_map_clean(&boot_info.map);
	kprintf("boot: %s%s%s, command line \"%s\"\n", boot_info.protocol,
		boot_info.loader[0] ? " by " : "", boot_info.loader, boot_info.command_line);
	dropped = memory_map_limit(&boot_info.map, direct_last());
	if (dropped)
		kprintf("boot: %s of RAM lie beyond the direct map and go unused\n",
			size_text(text, dropped));
	if (boot_info.map.lost)
		kprintf("boot: %u ranges of the memory map were too many, their memory goes unused\n",
			boot_info.map.lost);
	for (unsigned i = 0; i < boot_info.map.count; i++) {
		const struct memory_range *range = &boot_info.map.range[i];

		kprintf("  0x%012llx - 0x%012llx  %10s  %s\n", (unsigned long long)range->first,
			(unsigned long long)(range->first + range->size - 1u),
			size_text(text, range->size), memory_kind_name(range->kind));
	}
	if (!memory_map_total(&boot_info.map, MEMORY_RAM))
		panic("the loader's memory map has no usable RAM");
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

	threads_init_cpu(&boot_cpu);
	arch_init_cpu(&boot_cpu);
	acpi_init(boot_info.acpi_rsdp);
	arch_init_interrupts();
	/* On to a stack of its own in the window, with a guard page. */
	threads_move_boot(main_thread);
}

static void report_start(void)
{
	struct frame_stats frames;
	struct vm_census census;
	char a[SIZE_TEXT], b[SIZE_TEXT];

	frames_stats(&frames);
	kprintf("frames: %s in use by the page allocator, %s free, %llu descriptors' worth taken early\n",
		size_text(a, frames.total << PAGE_SHIFT), size_text(b, frames.free << PAGE_SHIFT),
		(unsigned long long)(early_frames_taken() >> PAGE_SHIFT));
	vm_census(&kernel_space, &census);
	kprintf("tables: %llu, mapping %s with", (unsigned long long)census.tables,
		size_text(a, census.bytes));
	for (unsigned level = kernel_format.levels; level-- > 0;)
		if (census.leaves[level])
			kprintf(" %llu x %s", (unsigned long long)census.leaves[level],
				size_text(b, kelp_format_span(&kernel_format, level)));
	kprintf("; writable and executable: %llu\n",
		(unsigned long long)census.writable_and_executable);
}

static void main_thread(void)
{
	unsigned online = cpus_start((unsigned)command_line_number("cpus=", CPUS_MAX));

	kprintf("cpus: %u of %u online\n", online, cpu_count);
	report_start();
	if (command_line_has("test", NULL, 0)) {
		struct test_result result = tests_run(NULL);

		arch_exit_to_host(result.failed == 0);
	}
	arch_power_off();
	panic("nothing ends this machine");
}
