/* SPDX-License-Identifier: MIT */
/* commands: what the monitor can do with devices. */
#include <drivers/commands.h>

#include <drivers/block.h>
#include <drivers/pci.h>
#include <drivers/random.h>

#include <frames.h>
#include <monitor.h>
#include <print.h>
#include <vm.h>

#define SHOWN_MAX PAGE_SIZE

static void print_bytes(uint64_t offset, const uint8_t *bytes, size_t size)
{
	for (size_t line = 0; line < size; line += 16) {
		char text[17] = {0}, numbers[3 * 16 + 1] = {0};

		for (size_t i = 0; i < 16 && line + i < size; i++) {
			uint8_t byte = bytes[line + i];

			format_text(numbers + 3 * i, 4, "%02x ", byte);
			text[i] = byte >= ' ' && byte < 0x7f ? (char)byte : '.';
		}
		kprintf("  %08llx  %-48s %s\n", (unsigned long long)(offset + line), numbers, text);
	}
}

bool run_pci(unsigned count, char **word)
{
	if (count > 2 || (count == 2 && strcmp(word[1], "details")))
		return false;
	if (!pci_device(0))
		kprintf("no devices on PCI (configuration space through: %s)\n", pci_access_name());
	pci_print(count == 2);
	return true;
}

static void print_disk(unsigned index, const struct block_device *disk)
{
	static const char *const states[] = {
		[BLOCK_RUNS] = "runs", [BLOCK_STOPS] = "is being stopped",
		[BLOCK_HAS_STOPPED] = "is stopped", [BLOCK_HAS_FAILED] = "has failed",
	};
	char a[SIZE_TEXT], b[SIZE_TEXT];

	kprintf("  disk %u: %s, %llu blocks of %u bytes (%s)%s%s, %s; %s\n", index, disk->name,
		(unsigned long long)disk->blocks, disk->block_size,
		size_text(a, disk->blocks * disk->block_size), disk->read_only ? ", read-only" : "",
		disk->cached ? ", cached" : "", disk->interrupts ? "MSI-X" : "polled",
		states[disk->state]);
	kprintf("    reads %llu (%s), writes %llu (%s), flushes %llu, failures %llu\n",
		(unsigned long long)disk->stats.reads, size_text(a, disk->stats.bytes_read),
		(unsigned long long)disk->stats.writes, size_text(b, disk->stats.bytes_written),
		(unsigned long long)disk->stats.flushes, (unsigned long long)disk->stats.failures);
	kprintf("    under way %u, at most %u at a time; had to wait for room %llu, interrupts %llu\n",
		disk->in_flight, disk->stats.most_in_flight,
		(unsigned long long)disk->stats.waited_for_room,
		(unsigned long long)disk->stats.interrupts);
}

static void show_blocks(struct block_device *disk, uint64_t first, uint64_t size)
{
	enum block_status status;
	kelp_paddr_t page;

	if (!frames_take_zeroed(frames_order(size), FRAME_DIRECT, &page)) {
		kprintf("no memory for that\n");
		return;
	}
	status = block_read(disk, first, page, size);
	if (status == BLOCK_OK)
		print_bytes(first * disk->block_size, direct_pointer(page), (size_t)size);
	else
		kprintf("block %llu of %llu: %s\n", (unsigned long long)first,
			(unsigned long long)disk->blocks, block_status_text(status));
	frames_give(frames_order(size), page);
}

bool run_disk(unsigned count, char **word)
{
	uint64_t index, first, blocks = 1;
	struct block_device *disk;

	if (count == 1) {
		for (unsigned i = 0; (disk = block_device(i)); i++)
			print_disk(i, disk);
		if (!block_device(0))
			kprintf("no disks\n");
		return true;
	}
	if (count < 3 || count > 4 || !monitor_number(word[1], &index) ||
	    !monitor_number(word[2], &first) || (count == 4 && !monitor_number(word[3], &blocks)))
		return false;
	disk = block_device((unsigned)min_u64(index, BLOCK_DEVICES_MAX));
	if (!disk) {
		kprintf("no disk %llu\n", (unsigned long long)index);
		return true;
	}
	/* At least one, at most what one wants to see at a time. */
	blocks = min_u64(max_u64(1, blocks), SHOWN_MAX >> block_shift(disk->block_size));
	show_blocks(disk, first, blocks * disk->block_size);
	return true;
}

bool run_random(unsigned count, char **word)
{
	struct random_stats stats;
	uint8_t bytes[256];
	uint64_t size = 64;

	if (count > 2 || (count == 2 && !monitor_number(word[1], &size)))
		return false;
	size = min_u64(size, sizeof(bytes));
	if (!random_bytes(bytes, (size_t)size)) {
		kprintf("no random bytes: %s\n", random_source());
		return true;
	}
	print_bytes(0, bytes, (size_t)size);
	random_stats(&stats);
	kprintf("  from %s: %llu bytes in %llu requests so far\n", random_source(),
		(unsigned long long)stats.bytes, (unsigned long long)stats.requests);
	return true;
}
