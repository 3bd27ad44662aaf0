/* SPDX-License-Identifier: MIT */
/*
 * virtio_mem: memory that the host gives and takes in blocks (V5.15).
 *
 * A device has a region of physical addresses in which any block may be plugged or not. We count
 * in units: a block, or as many as fill a subsection, because less cannot be added to the memmap.
 * A unit is unplugged, used (online here), or in limbo: plugged, but not used. What is in limbo
 * is given back as soon as the device takes it.
 */
#include "drivers_private.h"
#include "virtio_call.h"

#include <drivers/virtio.h>
#include <drivers/virtio_mem.h>
#include <drivers/wait.h>

#include <hotplug.h>
#include <lock.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

/* V5.15.3 */
#define FEATURE_UNPLUGGED_INACCESSIBLE (UINT64_C(1) << 1)

/* V5.15.4: offsets in the configuration. */
enum {
	CONFIG_BLOCK_SIZE = 0,
	CONFIG_ADDRESS = 16,
	CONFIG_REGION_SIZE = 24,
	CONFIG_USABLE_SIZE = 32,
	CONFIG_PLUGGED_SIZE = 40,
	CONFIG_REQUESTED_SIZE = 48,
	CONFIG_SIZE = 56,
};

/* V5.15.6 */
enum { REQUEST_PLUG = 0, REQUEST_UNPLUG = 1, REQUEST_UNPLUG_ALL = 2, REQUEST_STATE = 3 };
enum answer { ANSWER_DONE = 0, ANSWER_REFUSED = 1, ANSWER_BUSY = 2, ANSWER_ERROR = 3 };
enum plug_state { STATE_PLUGGED = 0, STATE_UNPLUGGED = 1, STATE_MIXED = 2 };

struct request {
	uint16_t type, padding[3];
	uint64_t address;
	uint16_t blocks, padding_behind[3];
};
struct response {
	uint16_t type, padding[3];
	uint16_t state;
} __attribute__((packed));
_Static_assert(sizeof(struct request) == 24 && sizeof(struct response) == 10, "V5.15.6");

/* The host may have to look for memory, or wait for a migration. */
#define PATIENCE_SECONDS 60u
/* Plugged with one request at most: a table's worth of the largest pages elsewhere, 128 MiB here. */
#define RUN_MAX 64u
/* Emptied at a time; and how often that is tried before others get their turn. */
#define UNPLUG_MAX 16u
#define TRIES_MAX  32u
/* When something did not work it is tried again, after longer and longer. */
#define RETRY_FIRST_MICROSECONDS 50000u
#define RETRY_LAST_MICROSECONDS  5000000u
/* How often the configuration is looked at when no message interrupt tells of changes. */
#define LOOK_MICROSECONDS 20000u

enum unit { UNIT_UNPLUGGED, UNIT_USED, UNIT_LIMBO };

struct virtio_mem {
	struct virtio_device virtio;
	struct virtio_call call;
	struct device_lock turn; /* over all below; one may wait for the device under it */
	enum virtio_mem_state state;
	const char *last;
	kelp_paddr_t first;      /* of unit 0 */
	uint64_t region, region_size; /* what the device says */
	unsigned block_shift, unit_shift;
	uint8_t *unit;           /* enum unit, one each */
	uint64_t units, used, limbo;
	uint64_t lowest;         /* below it none is unplugged */
	unsigned run;            /* how many to plug at a time */
	uint64_t try_end;        /* the used ones from here on cannot be emptied just now */
	uint64_t retry;          /* microseconds; 0: nothing has failed */
	struct thread *worker;
	uint64_t plugs, unplugs, requests, busy, evacuations_failed, add_failures;
};

static struct virtio_mem devices[VIRTIO_MEM_DEVICES_MAX];
static unsigned device_count;

const char *virtio_mem_state_text(enum virtio_mem_state state)
{
	switch (state) {
	case VIRTIO_MEM_RUNS: return "runs";
	case VIRTIO_MEM_STOPPED: return "is stopped";
	case VIRTIO_MEM_FAILED: break;
	}
	return "has failed";
}

/* ---- requests: it is our turn ------------------------------------------------------------ */

static void fail(struct virtio_mem *mem, const char *why)
{
	if (mem->virtio.running) {
		virtio_fail(&mem->virtio, why);
		virtio_call_stop(&mem->call);
	}
	mem->state = VIRTIO_MEM_FAILED;
	mem->last = why;
}

/* `units` from unit `first` on. The answer, and with REQUEST_STATE the state. */
static enum answer ask(struct virtio_mem *mem, unsigned type, uint64_t first, uint64_t units,
		       enum plug_state *state)
{
	struct request request = {
		.type = (uint16_t)type,
		.address = mem->first + (first << mem->unit_shift),
		.blocks = (uint16_t)(units << (mem->unit_shift - mem->block_shift)),
	};
	struct response response;

	mem->requests++;
	/* A device may leave out the state where there is none. */
	if (!virtio_call(&mem->call, &request, sizeof(request), &response, sizeof(response),
			 state ? sizeof(response) : sizeof(response.type), PATIENCE_SECONDS)) {
		fail(mem, "it does not answer a request");
		return ANSWER_ERROR;
	}
	if (response.type > ANSWER_ERROR || (state && response.state > STATE_MIXED)) {
		fail(mem, "its answer to a request makes no sense");
		return ANSWER_ERROR;
	}
	mem->busy += response.type == ANSWER_BUSY;
	if (state)
		*state = (enum plug_state)response.state;
	return (enum answer)response.type;
}

/* The most units that fit into one request, whose count of blocks has 16 bits. */
static uint64_t request_max(const struct virtio_mem *mem)
{
	return 0xffffu >> (mem->unit_shift - mem->block_shift);
}

/* ---- units ------------------------------------------------------------------------------- */

static void mark(struct virtio_mem *mem, uint64_t first, uint64_t count, enum unit to)
{
	for (uint64_t i = first; i < first + count; i++) {
		mem->used -= mem->unit[i] == UNIT_USED;
		mem->limbo -= mem->unit[i] == UNIT_LIMBO;
		mem->unit[i] = (uint8_t)to;
		mem->used += to == UNIT_USED;
		mem->limbo += to == UNIT_LIMBO;
	}
	if (to == UNIT_UNPLUGGED)
		mem->lowest = min_u64(mem->lowest, first);
}

static kelp_paddr_t address_of(const struct virtio_mem *mem, uint64_t unit)
{
	return mem->first + (unit << mem->unit_shift);
}

static uint64_t bytes_of(const struct virtio_mem *mem, uint64_t units)
{
	return units << mem->unit_shift;
}

/* Units that lie in the part of the region that can be used now. */
static uint64_t usable_units(const struct virtio_mem *mem)
{
	uint64_t usable = min_u64(virtio_config64(&mem->virtio, CONFIG_USABLE_SIZE),
				  mem->region_size);
	uint64_t skipped = mem->first - mem->region;

	return usable < skipped ? 0 : min_u64(mem->units, (usable - skipped) >> mem->unit_shift);
}

static uint64_t requested_units(const struct virtio_mem *mem)
{
	return virtio_config64(&mem->virtio, CONFIG_REQUESTED_SIZE) >> mem->unit_shift;
}

/* Gives units that are plugged and not used back to the device. */
static bool give_back(struct virtio_mem *mem, uint64_t first, uint64_t count)
{
	switch (ask(mem, REQUEST_UNPLUG, first, count, NULL)) {
	case ANSWER_DONE:
		mark(mem, first, count, UNIT_UNPLUGGED);
		return true;
	case ANSWER_BUSY:
		mem->last = "the device is too busy to take blocks back";
		break;
	default:
		mem->last = "the device does not take blocks back";
		break;
	}
	mark(mem, first, count, UNIT_LIMBO);
	return false;
}

/* Plugs `count` unplugged units and puts them online. */
static bool plug_run(struct virtio_mem *mem, uint64_t first, uint64_t count)
{
	enum kelp_status status;

	switch (ask(mem, REQUEST_PLUG, first, count, NULL)) {
	case ANSWER_DONE: break;
	case ANSWER_REFUSED: mem->last = "the device refuses to plug"; return false;
	case ANSWER_BUSY: mem->last = "the device is too busy to plug"; return false;
	case ANSWER_ERROR: mem->last = "the device says that our request is wrong"; return false;
	}
	mark(mem, first, count, UNIT_LIMBO);
	status = hotplug_plug(address_of(mem, first), bytes_of(mem, count));
	if (status == KELP_OK) {
		mark(mem, first, count, UNIT_USED);
		mem->plugs += count;
		return true;
	}
	mem->add_failures++;
	(void)give_back(mem, first, count);
	mem->last = kelp_status_text(status);
	/* Fewer at a time may still fit. */
	mem->run = count > 1 ? (unsigned)count / 2u : 1;
	return false;
}

static bool plug_some(struct virtio_mem *mem, uint64_t missing)
{
	uint64_t usable = usable_units(mem), first = mem->lowest, count = 0;
	uint64_t most = min_u64(min_u64(missing, mem->run), request_max(mem));
	unsigned before = mem->run;

	while (first < usable && mem->unit[first] != UNIT_UNPLUGGED)
		first++;
	mem->lowest = first;
	while (count < most && first + count < usable &&
	       mem->unit[first + count] == UNIT_UNPLUGGED)
		count++;
	if (count == 0) {
		mem->last = "the host wants more than fits into the usable part of the region";
		return false;
	}
	if (plug_run(mem, first, count))
		return true;
	return mem->run < before;
}

/* Used units that follow each other, the highest below `end`, at most `most`. 0: there are none. */
static uint64_t find_used(const struct virtio_mem *mem, uint64_t end, uint64_t most,
			  uint64_t *first)
{
	uint64_t count = 0;

	while (end && mem->unit[end - 1u] != UNIT_USED)
		end--;
	while (count < most && count < end && mem->unit[end - 1u - count] == UNIT_USED)
		count++;
	*first = end - count;
	return count;
}

/*
 * Empties and gives back units from the highest down: several at a time, fewer where something is
 * in the way. False: none could be emptied; all were tried.
 */
static bool unplug_some(struct virtio_mem *mem, uint64_t excess)
{
	uint64_t most = min_u64(min_u64(excess, UNPLUG_MAX), request_max(mem)), first, count;

	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		enum kelp_status status;

		count = find_used(mem, mem->try_end, most, &first);
		if (count == 0) {
			mem->try_end = mem->units;
			return false;
		}
		status = hotplug_unplug(address_of(mem, first), bytes_of(mem, count));
		if (status == KELP_OK) {
			mem->unplugs += count;
			mem->try_end = mem->units;
			return give_back(mem, first, count);
		}
		mem->last = kelp_status_text(status);
		mem->evacuations_failed++;
		if (count == 1)
			mem->try_end = first;
		/* Each try may wait for a holder. */
		most = max_u64(1, count / 4u);
	}
	/* Others get their turn before it goes on with those further down. */
	return true;
}

static bool empty_limbo(struct virtio_mem *mem)
{
	for (uint64_t i = 0; i < mem->units && mem->limbo; i++)
		if (mem->unit[i] == UNIT_LIMBO && !give_back(mem, i, 1))
			return false;
	return true;
}

/*
 * One step towards what the host wants. True when there is more to do and no reason to wait. All
 * of the device's wishes may change in between, so they are read each time.
 */
static bool step(struct virtio_mem *mem)
{
	uint64_t requested;
	bool moved = true;

	if (virtio_is_broken(&mem->virtio)) {
		fail(mem, "it says that it needs a reset");
		return false;
	}
	requested = requested_units(mem);
	if (mem->limbo)
		moved = empty_limbo(mem);
	else if (mem->used < requested)
		moved = plug_some(mem, requested - mem->used);
	else if (mem->used > requested)
		moved = unplug_some(mem, mem->used - requested);
	if (mem->state != VIRTIO_MEM_RUNS)
		return false;
	if (!moved) {
		mem->retry = mem->retry ? min_u64(mem->retry * 2u, RETRY_LAST_MICROSECONDS)
					: RETRY_FIRST_MICROSECONDS;
		return false;
	}
	mem->retry = 0;
	if (mem->limbo || mem->used != requested)
		return true;
	mem->run = RUN_MAX;
	mem->last = NULL;
	return false;
}

/* ---- following the host ------------------------------------------------------------------ */

static void config_changed(struct virtio_device *virtio)
{
	struct virtio_mem *mem = container_of(virtio, struct virtio_mem, virtio);
	struct thread *worker = __atomic_load_n(&mem->worker, __ATOMIC_ACQUIRE);

	if (worker)
		thread_wake(worker);
}

static bool runs(const struct virtio_mem *mem)
{
	return mem->state == VIRTIO_MEM_RUNS;
}

static void follow(void *argument)
{
	struct virtio_mem *mem = argument;

	for (;;) {
		uint64_t pause = UINT64_MAX;
		bool more;

		device_lock_take(&mem->turn);
		more = runs(mem) && step(mem);
		if (!more && runs(mem) && mem->retry)
			pause = mem->retry;
		if (!more && runs(mem) && !mem->virtio.has_config_irq)
			pause = min_u64(pause, LOOK_MICROSECONDS);
		device_lock_give(&mem->turn);
		/* In between others get their turn. A change that came meanwhile ends the sleep. */
		if (!more && pause == UINT64_MAX)
			thread_block();
		else if (!more)
			thread_block_until(arch_ticks() + microseconds_to_ticks(pause));
	}
}

bool virtio_mem_settle(unsigned milliseconds)
{
	uint64_t end = time_microseconds() + milliseconds * UINT64_C(1000);
	bool all = true;

	for (unsigned i = 0; i < device_count; i++) {
		struct virtio_mem *mem = &devices[i];
		bool settled;

		do {
			device_lock_take(&mem->turn);
			settled = !runs(mem) || (!mem->limbo && mem->used == requested_units(mem));
			device_lock_give(&mem->turn);
			if (!settled)
				thread_sleep(2000);
		} while (!settled && time_microseconds() < end);
		all &= settled;
	}
	return all;
}

/* ---- life -------------------------------------------------------------------------------- */

static unsigned shift_of(uint64_t power)
{
	unsigned shift = 0;

	while (power >> shift > 1)
		shift++;
	return shift;
}

/* What the device is; on a restart it must be the same. */
static bool read_region(struct virtio_mem *mem)
{
	const struct virtio_device *virtio = &mem->virtio;
	uint64_t block = virtio_config64(virtio, CONFIG_BLOCK_SIZE);
	uint64_t unit = max_u64(block, HOTPLUG_UNIT);
	uint64_t region = virtio_config64(virtio, CONFIG_ADDRESS);
	uint64_t size = virtio_config64(virtio, CONFIG_REGION_SIZE), first;

	if (virtio->config_size < CONFIG_SIZE || block == 0 || (block & (block - 1u)) ||
	    ((region | size) & (block - 1u)) || region > UINT64_MAX - unit ||
	    size > UINT64_MAX - unit - region) {
		kprintf("%s: blocks of %llu bytes at 0x%llx cannot be\n", virtio->name,
			(unsigned long long)block, (unsigned long long)region);
		return false;
	}
	if (mem->unit)
		return mem->region == region && mem->region_size == size &&
		       mem->block_shift == shift_of(block);
	mem->block_shift = shift_of(block);
	mem->unit_shift = shift_of(unit);
	mem->region = region;
	mem->region_size = size;
	/* The ends of the region that make no whole unit stay unplugged. */
	mem->first = first = align_up(region, unit);
	mem->units = region + size > first ? (region + size - first) >> mem->unit_shift : 0;
	/* Beyond the direct map kmap() reaches it; beyond the tables nothing does. */
	if (mem->units == 0 || (first + size - 1u) >> kernel_format.pa_bits ||
	    request_max(mem) == 0) {
		kprintf("%s: no place for a unit of %llu MiB in %llu MiB at 0x%llx\n", virtio->name,
			(unsigned long long)(unit / MIB), (unsigned long long)(size / MIB),
			(unsigned long long)region);
		return false;
	}
	return true;
}

static bool bring_up(struct virtio_mem *mem)
{
	return virtio_negotiate(&mem->virtio, FEATURE_UNPLUGGED_INACCESSIBLE, 0) &&
	       virtio_call_open(&mem->call, &mem->virtio);
}

/*
 * Compares what the device says of [first, first + count) with what we have, by halves where it
 * is mixed. What is plugged and unknown to us goes to limbo. Counts used units that are gone.
 */
static void compare(struct virtio_mem *mem, uint64_t first, uint64_t count, uint64_t *gone)
{
	enum plug_state state;

	if (count == 0 || !mem->virtio.running)
		return;
	if (count > request_max(mem)) {
		compare(mem, first, count / 2u, gone);
		compare(mem, first + count / 2u, count - count / 2u, gone);
		return;
	}
	if (ask(mem, REQUEST_STATE, first, count, &state) != ANSWER_DONE) {
		fail(mem, "it does not say which blocks are plugged");
		return;
	}
	if (state == STATE_MIXED && count > 1) {
		compare(mem, first, count / 2u, gone);
		compare(mem, first + count / 2u, count - count / 2u, gone);
		return;
	}
	for (uint64_t i = first; i < first + count; i++) {
		bool plugged = state != STATE_UNPLUGGED;

		if (mem->unit[i] == UNIT_USED && state != STATE_PLUGGED)
			++*gone;
		else if (mem->unit[i] == UNIT_UNPLUGGED && plugged)
			mark(mem, i, 1, UNIT_LIMBO);
		else if (mem->unit[i] == UNIT_LIMBO && !plugged)
			mark(mem, i, 1, UNIT_UNPLUGGED);
	}
}

static bool restart(struct virtio_mem *mem)
{
	uint64_t usable, gone = 0;

	if (!bring_up(mem) || !read_region(mem)) {
		fail(mem, "it is another device than before");
		return false;
	}
	virtio_start(&mem->virtio);
	mem->state = VIRTIO_MEM_RUNS;
	usable = usable_units(mem);
	compare(mem, 0, usable, &gone);
	for (uint64_t i = usable; i < mem->units; i++)
		gone += mem->unit[i] == UNIT_USED;
	if (gone) {
		kprintf("%s: %llu MiB that were in use are gone\n", mem->virtio.name,
			(unsigned long long)(bytes_of(mem, gone) / MIB));
		fail(mem, "memory that was in use is gone");
	}
	if (runs(mem))
		config_changed(&mem->virtio);
	return runs(mem);
}

void virtio_mem_stop(void)
{
	for (unsigned i = 0; i < device_count; i++) {
		struct virtio_mem *mem = &devices[i];

		device_lock_take(&mem->turn);
		if (runs(mem)) {
			virtio_call_stop(&mem->call);
			mem->state = VIRTIO_MEM_STOPPED;
		}
		device_lock_give(&mem->turn);
	}
}

bool virtio_mem_restart(void)
{
	bool works = true;

	for (unsigned i = 0; i < device_count; i++) {
		struct virtio_mem *mem = &devices[i];

		device_lock_take(&mem->turn);
		if (mem->state == VIRTIO_MEM_STOPPED)
			works &= restart(mem);
		device_lock_give(&mem->turn);
	}
	return works;
}

/* It is our turn. Plugs every unit of [from, to) that is not used. */
static bool require_units(struct virtio_mem *mem, uint64_t from, uint64_t to)
{
	if (!runs(mem) || !empty_limbo(mem))
		return false;
	while (from < to) {
		uint64_t count = 0;

		while (from + count < to && count < min_u64(RUN_MAX, request_max(mem)) &&
		       mem->unit[from + count] == UNIT_UNPLUGGED)
			count++;
		if (count && !plug_run(mem, from, count))
			return false;
		from += max_u64(count, 1);
	}
	return true;
}

bool virtio_mem_require(kelp_paddr_t first, uint64_t size)
{
	bool all = true;

	for (unsigned i = 0; i < device_count; i++) {
		struct virtio_mem *mem = &devices[i];
		kelp_paddr_t low = max_u64(first, mem->first), high = first + size;
		bool done;

		high = min_u64(high, address_of(mem, mem->units));
		if (low >= high)
			continue;
		device_lock_take(&mem->turn);
		done = require_units(mem, (low - mem->first) >> mem->unit_shift,
				     (high - mem->first + bytes_of(mem, 1) - 1u) >> mem->unit_shift);
		if (!done)
			kprintf("%s: no memory at 0x%llx: %s\n", mem->virtio.name,
				(unsigned long long)low,
				mem->last ? mem->last : virtio_mem_state_text(mem->state));
		device_lock_give(&mem->turn);
		all &= done;
	}
	return all;
}

bool virtio_mem_info(unsigned index, struct virtio_mem_info *info)
{
	struct virtio_mem *mem = &devices[index];

	if (index >= device_count)
		return false;
	device_lock_take(&mem->turn);
	*info = (struct virtio_mem_info){
		.name = mem->virtio.name,
		.state = mem->state,
		.last = mem->last,
		.first = mem->first,
		.size = bytes_of(mem, mem->units),
		.block_size = UINT64_C(1) << mem->block_shift,
		.unit = UINT64_C(1) << mem->unit_shift,
		.usable = virtio_config64(&mem->virtio, CONFIG_USABLE_SIZE),
		.requested = virtio_config64(&mem->virtio, CONFIG_REQUESTED_SIZE),
		.plugged = virtio_config64(&mem->virtio, CONFIG_PLUGGED_SIZE),
		.used = bytes_of(mem, mem->used),
		.limbo = bytes_of(mem, mem->limbo),
		.plugs = mem->plugs,
		.unplugs = mem->unplugs,
		.requests = mem->requests,
		.busy = mem->busy,
		.evacuations_failed = mem->evacuations_failed,
		.add_failures = mem->add_failures,
	};
	device_lock_give(&mem->turn);
	return true;
}

/*
 * Blocks that somebody before us plugged (a kernel that started this one) hold what nobody knows:
 * V5.15.5 has us begin with none.
 */
static bool begin_with_none(struct virtio_mem *mem)
{
	if (virtio_config64(&mem->virtio, CONFIG_PLUGGED_SIZE) == 0)
		return true;
	if (ask(mem, REQUEST_UNPLUG_ALL, 0, 0, NULL) == ANSWER_DONE)
		return true;
	fail(mem, "it keeps blocks plugged that are not ours");
	return false;
}

void virtio_mem_probe(struct pci_device *pci)
{
	struct virtio_mem *mem = &devices[device_count];

	if (device_count == VIRTIO_MEM_DEVICES_MAX) {
		kprintf("virtio-mem: more than %u devices, the others are not used\n",
			VIRTIO_MEM_DEVICES_MAX);
		return;
	}
	mem->virtio.config_changed = config_changed;
	mem->call.lock.name = "virtio-mem";
	mem->turn = (struct device_lock)DEVICE_LOCK(mem->turn, "virtio-mem turn");
	mem->run = RUN_MAX;
	mem->state = VIRTIO_MEM_FAILED;
	if (!virtio_open(&mem->virtio, pci))
		return;
	/* What is taken below stays with it: a device that half works may still write there. */
	device_count++;
	if (!bring_up(mem) || !read_region(mem))
		return;
	mem->unit = vm_allocate(mem->units);
	if (!mem->unit) {
		kprintf("%s: no memory for the states of its blocks\n", mem->virtio.name);
		return;
	}
	mem->try_end = mem->units;
	virtio_start(&mem->virtio);
	mem->state = VIRTIO_MEM_RUNS;
	kprintf("%s: up to %llu MiB at 0x%llx in blocks of %llu MiB, %llu MiB wanted, %s\n",
		mem->virtio.name, (unsigned long long)(bytes_of(mem, mem->units) / MIB),
		(unsigned long long)mem->first,
		(unsigned long long)(bytes_of(mem, 1) / MIB),
		(unsigned long long)(bytes_of(mem, requested_units(mem)) / MIB),
		mem->virtio.has_config_irq ? "MSI-X" : "polled");
	if (!begin_with_none(mem))
		return;
	/* What is wanted from the beginning is there from the beginning. */
	while (step(mem))
		;
	mem->worker = thread_start(mem->virtio.name, follow, mem, THREAD_ANY_CPU);
	if (mem->worker)
		config_changed(&mem->virtio);
	else
		fail(mem, "no memory for its thread");
}
