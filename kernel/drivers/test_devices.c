/* SPDX-License-Identifier: MIT */
/* test_devices: PCI, virtqueues against a device made of memory, and the entropy device. */
#include <test.h>

#include <drivers/pci.h>
#include <drivers/random.h>
#include <drivers/virtio.h>

#include <cpu.h>
#include <frames.h>
#include <thread.h>

/* ---- PCI --------------------------------------------------------------------------------- */

static void config_space_reads_the_same(void)
{
	struct pci_device *device;
	uint32_t value;

	if (!pci_device(0)) {
		test_skip("there is no PCI");
		return;
	}
	for (unsigned i = 0; (device = pci_device(i)); i++) {
		uint32_t id = (uint32_t)device->device << 16 | device->vendor;

		test_note("device", device->address);
		CHECK(pci_read(device->address, PCI_VENDOR, 4) == id);
		CHECK(pci_read(device->address, PCI_VENDOR, 2) == device->vendor);
		CHECK(pci_read(device->address, PCI_DEVICE, 2) == device->device);
		CHECK(pci_read(device->address, PCI_REVISION + 3u, 1) == device->class_code);
		/* Both ways where there are two; the header's type and its BARs alike. */
		for (unsigned at = 0; at < 0x28; at += 4) {
			if (at == PCI_COMMAND ||
			    !pci_read_by_ports(device->address, at, 4, &value))
				continue;
			CHECK(pci_read(device->address, at, 4) == value);
		}
	}
}

static void absent_devices_read_ones(void)
{
	pci_address_t nobody = PCI_ADDRESS(0, 30, 7);

	for (unsigned slot = 31; slot > 0; slot--) {
		bool used = false;

		for (unsigned i = 0; pci_device(i); i++)
			used |= pci_device(i)->address >> 3 == slot;
		nobody = PCI_ADDRESS(0, slot, 7);
		if (!used)
			break;
	}
	CHECK(pci_read(nobody, PCI_VENDOR, 4) == UINT32_MAX);
	CHECK(pci_read(nobody, PCI_VENDOR, 2) == 0xffff);
	CHECK(pci_read(nobody, PCI_VENDOR, 1) == 0xff);
	/* A bus that no bridge leads to. */
	CHECK(pci_read(PCI_ADDRESS(255, 31, 7), PCI_VENDOR, 4) == UINT32_MAX);
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static void check_bar(const struct pci_bar *bar)
{
	test_note("BAR at", bar->address);
	CHECK((bar->size & (bar->size - 1u)) == 0);
	CHECK((bar->address & (bar->size - 1u)) == 0);
	for (unsigned i = 0; i < boot_info.map.count; i++) {
		const struct memory_range *range = &boot_info.map.range[i];

		if (bar->memory && range->kind == MEMORY_RAM)
			CHECK(!overlap(bar->address, bar->size, range->first, range->size));
	}
}

static void bars_are_apart(void)
{
	struct pci_device *a, *b;

	for (unsigned i = 0; (a = pci_device(i)); i++) {
		for (unsigned n = 0; n < PCI_BARS; n++) {
			const struct pci_bar *bar = &a->bar[n];

			if (!bar->size)
				continue;
			check_bar(bar);
			for (unsigned j = 0; (b = pci_device(j)); j++)
				for (unsigned m = 0; m < PCI_BARS; m++)
					if (&b->bar[m] != bar && b->bar[m].size &&
					    b->bar[m].memory == bar->memory)
						CHECK(!overlap(bar->address, bar->size,
							       b->bar[m].address, b->bar[m].size));
		}
	}
}

/* Device memory is mapped as such: uncached, not executable. */
static void bars_are_device_memory(void)
{
	unsigned found = 0;
	struct pci_device *device;

	for (unsigned i = 0; (device = pci_device(i)); i++) {
		for (unsigned n = 0; n < PCI_BARS; n++) {
			struct kelp_mapping mapping;

			if (!device->bar[n].mapping)
				continue;
			mapping = test_query((uintptr_t)device->bar[n].mapping);
			CHECK(mapping.pa == device->bar[n].address);
			CHECK((mapping.attributes & KELP_ATTR_TYPE_MASK) ==
			      KELP_ATTR_TYPE(KELP_TYPE_DEVICE));
			CHECK(!(mapping.attributes & KELP_ATTR_EXEC) ||
			      (kernel_format.attr_always & KELP_ATTR_EXEC));
			found++;
		}
	}
	if (!found)
		test_skip("no device's memory is in use");
}

/* ---- virtqueues -------------------------------------------------------------------------- */

/* Registers in plain memory (V4.1.4.3), and the test plays the device. */
static struct {
	struct virtio_device device;
	struct virtio_queue queue;
	struct pci_device pci;
	uint8_t common[0x38];
	uint8_t notify[4];
} fake __attribute__((aligned(8)));

static void never(void *context)
{
	(void)context;
	test_fail(__FILE__, __LINE__, "an interrupt that nobody asked for");
}

static bool open_fake_queue(uint16_t size)
{
	memset(&fake, 0, sizeof(fake));
	fake.device.name = "a device made of memory (for this test)";
	fake.device.pci = &fake.pci;
	fake.device.common = fake.common;
	fake.device.notify = fake.notify;
	fake.device.notify_size = sizeof(fake.notify);
	fake.device.running = true;
	fake.common[0x12] = 1; /* queues */
	memcpy(&fake.common[0x18], &size, 2);
	return virtio_queue_open(&fake.queue, &fake.device, 0, 64, never, NULL);
}

static void close_fake_queue(void)
{
	frames_give(fake.queue.order, fake.queue.memory);
}

/* As the device does it. */
static void use(uint32_t id, uint32_t written)
{
	struct virtq_used *used = fake.queue.used;

	used->ring[used->index % fake.queue.size] = (struct virtq_used_element){id, written};
	used->index++;
}

static void chains_come_back(void)
{
	const struct virtio_buffer buffer[3] = {{0x1000, 16}, {0x123456789000, 512}, {0x3000, 1}};
	unsigned tokens[6];
	struct virtq_descriptor *d;
	uint32_t written = 0;
	uint16_t head[5];

	REQUIRE(open_fake_queue(100));
	CHECK(fake.queue.size == 64); /* a power of two below both */
	CHECK(fake.queue.free_count == 64);
	for (unsigned round = 0; round < 50; round++) {
		test_note("round", round);
		for (unsigned i = 0; i < 5; i++) {
			CHECK(virtio_queue_add(&fake.queue, buffer, 1, i % 3u, &tokens[i]));
			head[i] = fake.queue.available->ring[(uint16_t)(
				fake.queue.available->index - 1u) % 64u];
		}
		CHECK(fake.queue.free_count == 64 - 1 - 2 - 3 - 1 - 2);
		d = &fake.queue.descriptors[head[2]];
		CHECK(d->address == 0x1000 && d->length == 16 && d->flags == 1);
		d = &fake.queue.descriptors[d->next];
		CHECK(d->address == 0x123456789000 && d->length == 512 && d->flags == 3);
		d = &fake.queue.descriptors[d->next];
		CHECK(d->address == 0x3000 && d->length == 1 && d->flags == 2);
		/* In any order, with what was written. */
		for (unsigned i = 0; i < 5; i++) {
			unsigned which = (i * 3u + round) % 5u;

			CHECK(!virtio_queue_take(&fake.queue, &written));
			use(head[which], which + 100u);
			CHECK(virtio_queue_take(&fake.queue, &written) == &tokens[which]);
			CHECK(written == which + 100u);
		}
		CHECK(fake.queue.free_count == 64);
	}
	for (unsigned i = 0; i < 64; i++)
		CHECK(virtio_queue_add(&fake.queue, buffer, 0, 1, &tokens[5]));
	CHECK(!virtio_queue_add(&fake.queue, buffer, 0, 1, &tokens[5]));
	fake.device.running = false;
	for (unsigned i = 0; i < 64; i++)
		CHECK(virtio_queue_abandon(&fake.queue) == &tokens[5]);
	CHECK(!virtio_queue_abandon(&fake.queue) && fake.queue.free_count == 64);
	close_fake_queue();
}

/* What a broken or hostile device may write into the used ring. */
static void lying_devices_are_failed(void)
{
	static const uint32_t lies[] = {0, 1, 63, 64, 65, 0x10000, UINT32_MAX};
	const struct virtio_buffer buffer = {0x1000, 16};
	unsigned token;
	uint32_t written;

	for (unsigned i = 0; i < ARRAY_COUNT(lies); i++) {
		test_note("id", lies[i]);
		REQUIRE(open_fake_queue(64));
		CHECK(virtio_queue_add(&fake.queue, &buffer, 0, 1, &token));
		use(0, 1);
		CHECK(virtio_queue_take(&fake.queue, &written) == &token);
		/* Twice the same, or one that was never given. */
		use(lies[i], 1);
		CHECK(!virtio_queue_take(&fake.queue, &written));
		CHECK(!fake.device.running);
		CHECK(fake.common[0x14] & 128); /* FAILED */
		close_fake_queue();
	}
}

/* Notified once per announcement, unless the device says that it looks by itself. */
static void notifications(void)
{
	const struct virtio_buffer buffer = {0x1000, 16};
	unsigned token;

	REQUIRE(open_fake_queue(8));
	memset(fake.notify, 0xff, sizeof(fake.notify));
	CHECK(virtio_queue_add(&fake.queue, &buffer, 1, 0, &token));
	CHECK(fake.notify[0] == 0xff);
	fake.queue.used->flags = 1;
	virtio_queue_notify(&fake.queue);
	CHECK(fake.notify[0] == 0xff);
	fake.queue.used->flags = 0;
	virtio_queue_notify(&fake.queue);
	CHECK(fake.notify[0] == 0 && fake.notify[1] == 0);
	CHECK(fake.queue.notified == 1 && fake.queue.notifications_saved == 1);
	close_fake_queue();
}

/* ---- random bytes ------------------------------------------------------------------------ */

static void random_does_not_repeat(void)
{
	enum { BLOCK = 16, BLOCKS = 256 };
	kelp_paddr_t page = test_direct_frames(0);
	uint8_t *bytes = direct_pointer(page);
	unsigned ones = 0;

	if (!random_available()) {
		test_skip(random_source());
		return;
	}
	REQUIRE(random_bytes(bytes, PAGE_SIZE));
	for (unsigned i = 0; i < BLOCKS; i++)
		for (unsigned j = 0; j < i; j++)
			CHECK(memcmp(bytes + BLOCK * i, bytes + BLOCK * j, BLOCK));
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		ones += (unsigned)__builtin_popcount(bytes[i]);
	/* 32768 bits, sigma 90.5: eight sigmas on either side. */
	test_note("ones", ones);
	CHECK(ones > 16384 - 724 && ones < 16384 + 724);
}

static void random_of_any_size(void)
{
	uint8_t bytes[70];
	struct random_stats before, after;

	if (!random_available()) {
		test_skip(random_source());
		return;
	}
	for (unsigned size = 0; size <= 64; size += 13) {
		memset(bytes, 0x5a, sizeof(bytes));
		random_stats(&before);
		CHECK(random_bytes(bytes, size));
		random_stats(&after);
		CHECK(after.bytes == before.bytes + size);
		for (unsigned i = size; i < sizeof(bytes); i++)
			CHECK(bytes[i] == 0x5a);
	}
	random_stop();
	CHECK(!random_available() && !random_bytes(bytes, 8));
	CHECK(random_restart() && random_bytes(bytes, 8));
}

static void draw(void *argument)
{
	uint8_t bytes[48];

	for (unsigned i = 0; i < 8; i++)
		if (!random_bytes(bytes, sizeof(bytes)))
			*(bool *)argument = true;
}

static void random_for_many_threads(void)
{
	struct thread *thread[8];
	bool failed = false;

	if (!random_available()) {
		test_skip(random_source());
		return;
	}
	for (unsigned i = 0; i < ARRAY_COUNT(thread); i++) {
		thread[i] = thread_start("draw", draw, &failed, i % cpu_count);
		REQUIRE(thread[i]);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(thread); i++)
		thread_join(thread[i]);
	CHECK(!failed);
}

/* The health tests are of use only if they notice. */
static void bad_random_is_noticed(void)
{
	struct random_health health = {0};
	uint8_t bytes[2 * RANDOM_WINDOW];
	uint64_t state = 0x9876543210abcdef;

	/* One value, again and again: not before the sixth. */
	memset(bytes, 7, sizeof(bytes));
	CHECK(random_health_check(&health, bytes, RANDOM_REPETITIONS_MAX - 1u));
	CHECK(!random_health_check(&health, bytes, 1));

	/* One value at every 16th place: 32 in a window, where 2 are due. */
	health = (struct random_health){0};
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = i % 16u ? (uint8_t)(test_random(&state) >> 11) : 0x42;
	CHECK(!random_health_check(&health, bytes, sizeof(bytes)));

	/* And what is random passes, in pieces of any size. */
	health = (struct random_health){0};
	for (unsigned round = 0; round < 64; round++) {
		for (unsigned i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(test_random(&state) >> 11);
		CHECK(random_health_check(&health, bytes, 17u * round % sizeof(bytes)));
	}
}

const struct test device_tests[] = {
	{"pci: configuration space reads the same", config_space_reads_the_same, 0},
	{"pci: absent devices read ones", absent_devices_read_ones, 0},
	{"pci: BARs are apart", bars_are_apart, 0},
	{"pci: BARs are mapped as device memory", bars_are_device_memory, 0},
	{"virtqueue: chains come back in any order", chains_come_back, 0},
	{"virtqueue: lying devices are failed", lying_devices_are_failed, 0},
	{"virtqueue: notifications", notifications, 0},
	{"random: does not repeat", random_does_not_repeat, 0},
	{"random: of any size, stopped and started", random_of_any_size, 0},
	{"random: for many threads", random_for_many_threads, 0},
	{"random: bad bytes are noticed", bad_random_is_noticed, 0},
};
const unsigned device_test_count = ARRAY_COUNT(device_tests);
