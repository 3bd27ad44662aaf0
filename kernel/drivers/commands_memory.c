/* SPDX-License-Identifier: MIT */
/* commands_memory: what the monitor can do with memory that comes and goes. */
#include <drivers/commands.h>

#include <drivers/devices.h>
#include <drivers/pmem.h>
#include <drivers/virtio_mem.h>

#include <frames.h>
#include <hotplug.h>
#include <monitor.h>
#include <print.h>
#include <reach.h>
#include <turnover.h>
#include <vm.h>

/* Longer than it takes on a busy host, short enough that a person still waits. */
#define SETTLE_MILLISECONDS 20000u

static void print_device(const struct virtio_mem_info *info)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT];

	kprintf("  %s %s: requested %s, plugged %s, used %s%s%s\n", info->name,
		virtio_mem_state_text(info->state), size_text(a, info->requested),
		size_text(b, info->plugged), size_text(c, info->used), info->last ? "; " : "",
		info->last ? info->last : "");
	kprintf("    region 0x%llx, %s, usable %s, blocks of %s, plugged in units of",
		(unsigned long long)info->first, size_text(a, info->size),
		size_text(b, info->usable), size_text(c, info->block_size));
	kprintf(" %s, in limbo %s\n", size_text(a, info->unit), size_text(b, info->limbo));
	kprintf("    units plugged %llu, unplugged %llu; requests %llu, busy %llu; evacuations "
		"given up %llu, not added %llu\n", (unsigned long long)info->plugs,
		(unsigned long long)info->unplugs, (unsigned long long)info->requests,
		(unsigned long long)info->busy, (unsigned long long)info->evacuations_failed,
		(unsigned long long)info->add_failures);
}

/* Pages that stay where they are for the moment that somebody has them. */
static bool move_nothing(const struct frame_owner *owner, uintptr_t cookie, kelp_paddr_t from,
			 kelp_paddr_t to)
{
	(void)owner, (void)cookie, (void)from, (void)to;
	return false;
}

/* Writes to all free movable memory: a host gives pages only when they are touched. */
static bool fill_movable(void)
{
	static const struct frame_owner owner = {"plug fill", move_nothing};
	uint64_t count = 0, limit;
	struct frame_stats stats;
	kelp_paddr_t *page;
	char text[SIZE_TEXT];

	frames_stats(&stats);
	limit = stats.movable_free;
	page = limit ? vm_allocate(limit * sizeof(*page)) : NULL;
	if (limit && !page) {
		kprintf("no memory for the list of pages\n");
		return true;
	}
	while (count < limit && frames_take_movable(&owner, 0, &page[count])) {
		uint8_t *bytes = kmap_local(page[count++]);

		memset(bytes, 0x5a, PAGE_SIZE);
		kunmap_local(bytes);
	}
	for (uint64_t i = 0; i < count; i++)
		frames_give(0, page[i]);
	if (page)
		vm_unmap(page, limit * sizeof(*page), true);
	kprintf("filled %s\n", size_text(text, count << PAGE_SHIFT));
	return true;
}

bool run_plug(unsigned count, char **word)
{
	struct virtio_mem_info info;
	struct hotplug_stats stats;
	char a[SIZE_TEXT], b[SIZE_TEXT];

	if (count == 2 && !strcmp(word[1], "fill"))
		return fill_movable();
	if (count == 2 && !strcmp(word[1], "settle")) {
		kprintf("%s\n", virtio_mem_settle(SETTLE_MILLISECONDS)
			? "settled: every device has what it wants"
			: "not settled: some device cannot have what it wants");
		return true;
	}
	if (count != 1)
		return false;
	for (unsigned i = 0; virtio_mem_info(i, &info); i++)
		print_device(&info);
	if (!virtio_mem_info(0, &info))
		kprintf("no device gives memory (QEMU: -m 256M,maxmem=4G -object "
			"memory-backend-ram,id=m,size=1G -device virtio-mem-pci,memdev=m,id=v)\n");
	hotplug_stats(&stats);
	kprintf("  since the boot: plugged %s, unplugged %s; given up %llu times, %llu of these "
		"for a holder\n", size_text(a, stats.plugged), size_text(b, stats.unplugged),
		(unsigned long long)stats.busy, (unsigned long long)stats.held);
	hotplug_print_blocker();
	return true;
}

bool run_sections(unsigned count, char **word)
{
	(void)word;
	if (count == 1)
		hotplug_print_sections();
	return count == 1;
}

bool run_frame(unsigned count, char **word)
{
	uint64_t number;

	if (count != 2 || !monitor_number(word[1], &number) || number >> (64u - PAGE_SHIFT))
		return false;
	hotplug_print_frame(number << PAGE_SHIFT);
	return true;
}

bool run_turnover(unsigned count, char **word)
{
	if (count == 1) {
		turnover_print();
		return true;
	}
	if (count != 2)
		return false;
	if (!strcmp(word[1], "start"))
		return turnover_start();
	return !strcmp(word[1], "stop") && turnover_stop();
}

bool run_devices(unsigned count, char **word)
{
	bool stop = count == 2 && !strcmp(word[1], "stop"), done;

	if (count != 2 || (!stop && strcmp(word[1], "restart")))
		return false;
	done = stop ? devices_stop() : devices_restart();
	kprintf("devices: %s%s\n", stop ? "stopped" : "restarted",
		done ? "" : ", but not all of them");
	return true;
}

/* ---- persistent memory ------------------------------------------------------------------- */

/* The value number `index` of SplitMix64 from a seed: see scratch.h. */
static uint64_t pattern(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1u) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool fill_pmem(const struct pmem *pmem, uint64_t seed)
{
	uint64_t *word = pmem_pointer(pmem, 0, pmem->size);

	if (!word) {
		kprintf("%s: not attached\n", pmem->name);
		return false;
	}
	for (uint64_t i = 0; i < pmem->size / sizeof(*word); i++)
		word[i] = pattern(seed, i);
	kprintf("%s: filled%s\n", pmem->name, pmem_flush(pmem) ? ", and permanent" : "; the flush FAILED");
	return !pmem->state;
}

static bool check_pmem(const struct pmem *pmem, uint64_t seed)
{
	const uint64_t *word = pmem_pointer(pmem, 0, pmem->size);

	for (uint64_t i = 0; word && i < pmem->size / sizeof(*word); i++) {
		if (word[i] == pattern(seed, i))
			continue;
		kprintf("%s: byte 0x%llx is NOT what was stored\n", pmem->name,
			(unsigned long long)(i * sizeof(*word)));
		return false;
	}
	kprintf("%s: %s\n", pmem->name, word ? "all of it is what was stored" : "not attached");
	return word != NULL;
}

static void print_pmem(unsigned index, const struct pmem *pmem)
{
	char size[SIZE_TEXT];

	kprintf("  pmem %u: %s, %s at 0x%llx, %s, %llu flushes\n", index, pmem->name,
		size_text(size, pmem->size), (unsigned long long)pmem->first,
		pmem->state ? pmem->state : "works", (unsigned long long)pmem->flushes);
}

bool run_pmem(unsigned count, char **word)
{
	const struct pmem *pmem;
	uint64_t index, seed = 0;

	if (count == 1) {
		for (unsigned i = 0; (pmem = pmem_device(i)); i++)
			print_pmem(i, pmem);
		if (!pmem_device(0))
			kprintf("no persistent memory (QEMU: -object memory-backend-file,id=p,"
				"share=on,mem-path=FILE,size=16M -device virtio-pmem-pci,memdev=p)\n");
		return true;
	}
	if (count < 3 || count > 4 || !monitor_number(word[1], &index) ||
	    (count == 4 && !monitor_number(word[3], &seed)))
		return false;
	pmem = index < PMEM_DEVICES_MAX ? pmem_device((unsigned)index) : NULL;
	if (!pmem) {
		kprintf("there is no such persistent memory\n");
		return false;
	}
	if (!strcmp(word[2], "fill"))
		return fill_pmem(pmem, seed);
	if (!strcmp(word[2], "check"))
		return check_pmem(pmem, seed);
	if (!strcmp(word[2], "detach"))
		return pmem_detach(pmem);
	return !strcmp(word[2], "attach") && pmem_attach(pmem);
}
