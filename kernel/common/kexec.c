/* SPDX-License-Identifier: MIT */
/* kexec: loads the next kernel through Kelp, stops this one, and goes. */
#include <kexec.h>

#include <arch.h>
#include <cpu.h>
#include <drivers/devices.h>
#include <frames.h>
#include <monitor.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

/* Too large for a stack; one at a time. */
static struct kexec_plan plan;
static struct kelp_kexec kexec;
static char command_line[BOOT_COMMAND_LINE];
static char message[128];

/* ---- Kelp's hooks ------------------------------------------------------------------------ */

static bool usable(void *context, kelp_pfn_t first, uint64_t frames)
{
	(void)context;
	return kexec_is_ram(first.number << PAGE_SHIFT, frames << PAGE_SHIFT);
}

static bool page_take(void *context, kelp_paddr_t limit, kelp_paddr_t *page)
{
	(void)context;
	return frames_take(0, min_u64(limit, FRAME_DIRECT), page);
}

static void page_give(void *context, kelp_paddr_t page)
{
	(void)context;
	frames_give(0, page);
}

static void *page_pointer(void *context, kelp_paddr_t page)
{
	(void)context;
	return direct_pointer(page);
}

static void hook_panic(void *context, const char *what, const char *where)
{
	(void)context;
	panic("%s (%s)", what, where);
}

const struct kelp_kexec_config kexec_config = {
	.page_shift = PAGE_SHIFT,
	.usable = usable,
	.page_take = page_take,
	.page_give = page_give,
	.pointer = page_pointer,
	.panic = hook_panic,
};

/* ---- the steps --------------------------------------------------------------------------- */

static void say_segment(const struct kelp_kexec_segment *segment)
{
	char a[SIZE_TEXT], b[SIZE_TEXT];

	kprintf("  0x%012llx - 0x%012llx  %10s, %s of data\n",
		(unsigned long long)segment->destination,
		(unsigned long long)(segment->destination + segment->size - 1u),
		size_text(a, segment->size), size_text(b, segment->data_size));
}

static const char *refused(enum kelp_status status)
{
	kprintf("kexec: segment %u:\n", (unsigned)kexec.failed_segment);
	say_segment(&plan.segments[kexec.failed_segment]);
	return kelp_status_text(status);
}

/* Until everything is in place. NULL, or why not. */
static const char *load(kelp_paddr_t *list)
{
	uint64_t start = time_microseconds(), tables, moved;
	char size[SIZE_TEXT];
	const char *why;
	enum kelp_status status = kelp_kexec_init(&kexec, &kexec_config, plan.segments, plan.count);

	if (status != KELP_OK)
		return refused(status);
	status = kelp_kexec_load(&kexec);
	if (status != KELP_OK)
		return refused(status);
	why = arch_kexec_prepare(&plan, &kexec, &tables);
	if (why)
		return why;
	status = kelp_kexec_finish(&kexec, list);
	why = status == KELP_OK ? arch_kexec_check(&kexec) : kelp_status_text(status);
	if (why) {
		arch_kexec_cancel(&kexec);
		return why;
	}
	moved = time_microseconds() - start;
	kprintf("kexec: %s in %llu segments, loaded in %llu us; %llu steps will move it, through "
		"%llu table pages\n",
		size_text(size, kexec.pages << PAGE_SHIFT), (unsigned long long)plan.count,
		(unsigned long long)moved, (unsigned long long)kexec.steps,
		(unsigned long long)tables);
	for (size_t i = 0; i < plan.count; i++)
		say_segment(&plan.segments[i]);
	return NULL;
}

/* On the boot CPU: the others can be sent back to where they wait for a startup, it cannot. */
static void leave(void *argument)
{
	kelp_paddr_t list = *(const kelp_paddr_t *)argument;
	enum kelp_status status;

	status = kelp_kexec_verify(&kexec);
	if (status != KELP_OK) {
		kprintf("kexec: what was loaded has changed since: nothing was overwritten\n");
		return;
	}
	kprintf("kexec: stopping devices and CPUs; on to %s\n", plan.what);
	if (!devices_stop()) {
		(void)devices_restart();
		return;
	}
	preempt_disable();
	arch_irq_disable();
	arch_kexec_stop_cpus();
	/* A device that did not stop would be seen here. Nobody is left to be told but the line. */
	if (kelp_kexec_verify(&kexec) != KELP_OK) {
		print_unlocked(true);
		kprintf("kexec: memory changed after the devices were stopped\n");
		arch_exit_to_host(false);
		arch_reboot();
	}
	arch_kexec_jump(&plan, list);
}

static const char *go(void)
{
	kelp_paddr_t list;
	struct thread *thread;
	const char *why = load(&list);

	if (!why) {
		thread = thread_start("kexec", leave, &list, 0);
		if (thread) {
			thread_join(thread);
			why = "this machine goes on";
		} else {
			why = "no memory for a thread";
		}
		arch_kexec_cancel(&kexec);
	}
	kelp_kexec_unload(&kexec);
	return why;
}

/* In a message, before the time at which it was written. */
#define TICK "tick "

/* ---- the command ------------------------------------------------------------------------- */

static void list_files(void)
{
	struct kexec_file file;
	char size[SIZE_TEXT];
	unsigned n = 0;

	for (; kexec_file(n, &file); n++)
		kprintf("  %-24s %10s\n", file.name, size_text(size, file.size));
	if (n == 0)
		kprintf("no files: give this kernel a cpio archive (newc) with some "
			"(QEMU: -initrd)\n");
}

static void join_words(unsigned count, char **word)
{
	size_t used = 0;

	command_line[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		size_t length = strlen(word[i]);

		if (used + length + 2 > sizeof(command_line))
			return;
		if (used)
			command_line[used++] = ' ';
		memcpy(command_line + used, word[i], length + 1);
		used += length;
	}
}

bool run_kexec(unsigned count, char **word)
{
	unsigned next = 2;
	const char *why;

	if (count == 1) {
		list_files();
		return true;
	}
	memset(&plan, 0, sizeof(plan));
	if (!kexec_find(word[1], &plan.kernel)) {
		kprintf("kexec: there is no file \"%s\"; there are:\n", word[1]);
		list_files();
		return false;
	}
	if (count > 2 && kexec_find(word[2], &plan.initrd))
		next = 3;
	join_words(count - next, word + next);
	format_text(message, sizeof(message), "from a Holdfast of %u CPUs and %u-level tables, "
		    "%llu ms after its start, at " TICK "%llu", cpu_count, kernel_format.levels,
		    (unsigned long long)(time_microseconds() / 1000u),
		    (unsigned long long)arch_kexec_tick());
	plan.command_line = command_line;
	plan.message = message;
	why = arch_kexec_plan(&plan);
	if (!why)
		why = go();
	kprintf("kexec: %s: %s\n", plan.kernel.name, why);
	return false;
}

/* The message that the loader brought; false: none. */
static bool find_message(char text[128])
{
	for (unsigned i = 0; i < boot_info.module_count; i++) {
		const struct boot_module *module = &boot_info.module[i];

		if (strcmp(module->name, "message") ||
		    module->first + module->size - 1u > direct_last())
			continue;
		copy_string(text, direct_pointer(module->first),
			    (size_t)min_u64(128, module->size + 1u));
		return true;
	}
	return false;
}

void kexec_print_message(void)
{
	char text[128];

	if (find_message(text))
		kprintf("kexec: a message %s\n", text);
}

bool kexec_next(void)
{
	struct kexec_file next;
	char line[] = "kexec next exit=qemu arrived";

	if (!arch_can_kexec() || !kexec_find("next", &next))
		return true;
	kprintf("\n== On to the next kernel\n");
	return monitor_run(line);
}

/* The number behind the last TICK; 0: there is none. */
static uint64_t tick_in(const char *text)
{
	uint64_t tick = 0;

	for (; *text; text++) {
		if (strncmp(text, TICK, strlen(TICK)))
			continue;
		text += strlen(TICK);
		for (tick = 0; *text >= '0' && *text <= '9'; text++)
			tick = tick * 10u + (unsigned)(*text - '0');
		break;
	}
	return tick;
}

bool kexec_arrived(void)
{
	uint64_t now = arch_ticks(), tick;
	char text[128];

	if (!find_message(text))
		return false;
	/* The counter of the CPU goes on from kernel to kernel. */
	tick = tick_in(text);
	if (tick == 0 || tick > now)
		return false;
	kprintf("report: kexec_us %llu\n", (unsigned long long)ticks_to_microseconds(now - tick));
	return true;
}
