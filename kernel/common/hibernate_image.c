/* SPDX-License-Identifier: MIT */
/*
 * hibernate_image: what Kelp's snapshots ask of a kernel: its frames by class, workers, random
 * bytes, a key, and what tells this machine from another.
 */
#include "hibernate_private.h"

#include <kelp_codecs.h>

#include <drivers/pci.h>
#include <drivers/random.h>

#include <print.h>
#include <reach.h>
#include <thread.h>
#include <vm.h>

extern const char text_start[], rodata_end[];

/* ---- frames ------------------------------------------------------------------------------ */

struct frame_set hibernate_hot;

static enum kelp_snapshot_class class_of(uint64_t frame)
{
	if (held_has((kelp_pfn_t){frame}))
		return KELP_SNAPSHOT_FREE;
	if (frames_secret(frame))
		return KELP_SNAPSHOT_SECRET;
	return frame_set_has(&hibernate_hot, frame) ? KELP_SNAPSHOT_HOT : KELP_SNAPSHOT_SAVE;
}

static enum kelp_snapshot_class classify(void *context, kelp_pfn_t first, uint64_t *frames)
{
	uint64_t ram = first.number, end, at;
	enum kelp_snapshot_class class;

	(void)context;
	if (!frames_next_ram(&ram, &end)) {
		*frames = UINT64_MAX - first.number;
		return KELP_SNAPSHOT_NONE;
	}
	if (ram > first.number) {
		*frames = ram - first.number;
		return KELP_SNAPSHOT_NONE;
	}
	class = class_of(ram);
	for (at = ram + 1u; at < end && class_of(at) == class; at++)
		;
	*frames = at - ram;
	return class;
}

static enum kelp_snapshot_home claim(void *context, kelp_pfn_t frame)
{
	(void)context;
	if (!kelp_pfn_online(&kernel_memmap, frame))
		return KELP_SNAPSHOT_HOME_MISSING;
	return held_claim(frame) ? KELP_SNAPSHOT_HOME_TAKEN : KELP_SNAPSHOT_HOME_IN_USE;
}

static bool take(void *context, kelp_pfn_t *frame)
{
	(void)context;
	return held_take_frame(frame);
}

static void give(void *context, kelp_pfn_t frame)
{
	(void)context;
	held_release(frame);
}

static struct kelp_snapshot_memory memory = {
	.page_shift = PAGE_SHIFT,
	.classify = classify,
	.claim = claim,
	.take = take,
	.give = give,
};

/* Through the direct map where a frame is in it, else through the copy window. */
static struct kelp_snapshot_reach reach;

const void *hibernate_look(kelp_pfn_t frame, void *buffer)
{
	uint64_t frames = 1;
	const void *page = memory.view(memory.reach_context, frame, &frames);

	if (page)
		return page;
	return memory.read(memory.reach_context, 0, frame, buffer) == KELP_OK ? buffer : NULL;
}

/* ---- random bytes ------------------------------------------------------------------------ */

/*
 * Drawn in advance, while threads run: one of them could be stopped in the middle of asking the
 * device. Ids, keys and nonces of one image take less than a tenth of it.
 */
static struct {
	uint8_t byte[1024];
	size_t used;
} pool;

static bool pool_take(void *context, void *buffer, size_t size)
{
	(void)context;
	if (size > sizeof(pool.byte) - pool.used)
		return false;
	memcpy(buffer, pool.byte + pool.used, size);
	memset(pool.byte + pool.used, 0, size);
	pool.used += size;
	return true;
}

/* ---- identity ---------------------------------------------------------------------------- */

/* Its text and constants: another build differs there. */
static void kernel_digest(uint8_t digest[KELP_IMAGE_DIGEST])
{
	memset(digest, 0, KELP_IMAGE_DIGEST);
	kelp_image_digest(digest, text_start, (size_t)(rodata_end - text_start));
}

static void memory_digest(uint8_t digest[KELP_IMAGE_DIGEST])
{
	memset(digest, 0, KELP_IMAGE_DIGEST);
	for (unsigned i = 0; i < boot_info.map.count; i++) {
		const struct memory_range *range = &boot_info.map.range[i];
		const uint64_t facts[] = {range->first, range->size, range->kind};

		kelp_image_digest(digest, facts, sizeof(facts));
	}
	kelp_image_digest(digest, &boot_info.acpi_rsdp, sizeof(boot_info.acpi_rsdp));
}

/* Which devices there are and where their registers lie: drivers go on as if nothing had been. */
static void device_digest(uint8_t digest[KELP_IMAGE_DIGEST])
{
	const struct pci_device *pci;

	memset(digest, 0, KELP_IMAGE_DIGEST);
	for (unsigned i = 0; (pci = pci_device(i)); i++) {
		uint64_t facts[3 + PCI_BARS] = {pci->address, pci->vendor, pci->device};

		for (unsigned bar = 0; bar < PCI_BARS; bar++)
			facts[3 + bar] = pci->bar[bar].address;
		kelp_image_digest(digest, facts, sizeof(facts));
	}
}

static unsigned cpus_online(uint32_t hardware_id[CPUS_MAX])
{
	unsigned online = 0;

	memset(hardware_id, 0, CPUS_MAX * sizeof(hardware_id[0]));
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i]->online)
			hardware_id[online++] = cpus[i]->hardware_id;
	return online;
}

/* A page of its own, so that a move can replace it as a whole. */
static union {
	struct hibernate_handover handover;
	uint8_t page[PAGE_SIZE];
} handover_page __attribute__((aligned(4096)));
struct hibernate_handover *const hibernate_handover = &handover_page.handover;

bool hibernate_payload(struct hibernate_payload *payload)
{
	unsigned added;
	bool fits;

	memset(payload, 0, sizeof(*payload));
	payload->version = HIBERNATE_PAYLOAD_VERSION;
	arch_entry_here(&payload->entry);
	payload->entry.frozen = (uintptr_t)frozen_boot_registers();
	payload->handover = ((uintptr_t)&handover_page - IMAGE_BASE) >> PAGE_SHIFT;
	payload->cpus = cpus_online(payload->hardware_id);
	device_digest(payload->devices);
	fits = frames_added(payload->added, HIBERNATE_ADDED_MAX, &added);
	payload->added_count = added;
	return fits;
}

_Static_assert(sizeof(struct hibernate_payload) <= KELP_IMAGE_PAYLOAD, "the payload");

const char *hibernate_payload_differs(const struct hibernate_payload *payload)
{
	struct hibernate_payload here;

	(void)hibernate_payload(&here);
	if (payload->version != here.version)
		return "it was made by another version of this kernel";
	if (payload->cpus != here.cpus ||
	    memcmp(payload->hardware_id, here.hardware_id, sizeof(here.hardware_id)))
		return "its CPUs had other hardware ids";
	if (memcmp(payload->devices, here.devices, sizeof(here.devices)))
		return "it had other devices, or elsewhere";
	return NULL;
}

/* ---- the configuration ------------------------------------------------------------------- */

static uint8_t key[KELP_IMAGE_KEY];

/*
 * The key of this machine's images: 64 hexadecimal digits behind `hibernate_key=` on the command
 * line. A demonstration: a real machine asks a person or a TPM, and does not keep the key where
 * everybody can read it.
 */
static bool read_key(void)
{
	char text[2 * KELP_IMAGE_KEY + 2];

	if (!command_line_has("hibernate_key=", text, sizeof(text)) ||
	    strlen(text) != 2 * KELP_IMAGE_KEY)
		return false;
	for (unsigned i = 0; i < 2 * KELP_IMAGE_KEY; i++) {
		unsigned digit = (unsigned char)text[i];

		if (digit >= '0' && digit <= '9')
			digit -= '0';
		else if ((digit | 32) >= 'a' && (digit | 32) <= 'f')
			digit = (digit | 32) - 'a' + 10u;
		else
			return false;
		key[i / 2u] = (uint8_t)((unsigned)key[i / 2u] << 4 | digit);
	}
	memset(text, 0, sizeof(text));
	return true;
}

static void relax(void *context)
{
	(void)context;
	frozen_nap();
}

#define IO_SIZE_MIN (64u * 1024u)
#define BAR_LENGTH 40u
static unsigned bar;

void hibernate_bar_begin(const char *title)
{
	kprintf("%-22s [", title);
	bar = 0;
}

void hibernate_bar_end(void)
{
	kprintf("%.*s]\n", (int)(BAR_LENGTH - bar), "                                        ");
}

static bool progress(void *context, const struct kelp_snapshot_progress *now)
{
	(void)context;
	while (bar < BAR_LENGTH && now->frames_total &&
	       now->frames * BAR_LENGTH >= (bar + 1u) * now->frames_total) {
		bar++;
		kprintf("#");
	}
	return true;
}

bool hibernate_config(struct kelp_snapshot_config *config, const struct kelp_snapshot_disk *disk)
{
	uint32_t hardware_id[CPUS_MAX];

	if (!read_key()) {
		kprintf("hibernate: no key: give hibernate_key=<64 hexadecimal digits> on the "
			"command line\n");
		return false;
	}
	if (!random_bytes(pool.byte, sizeof(pool.byte))) {
		kprintf("hibernate: no random bytes for a key: %s\n", random_source());
		return false;
	}
	pool.used = 0;
	reach = (struct kelp_snapshot_reach){&kernel_direct, &kernel_copywin};
	kelp_snapshot_reach_hooks(&reach, &memory);
	memory.frame_limit = frames_limit();
	*config = (struct kelp_snapshot_config){
		.port = &kernel_port,
		.disk = disk,
		.memory = &memory,
		.codec = &kelp_codec_lz4,
		.cipher = &kelp_cipher_chacha20_poly1305,
		.random = pool_take,
		.key = key,
		.io_size = HIBERNATE_IO_SIZE,
		.progress = progress,
		.flags = command_line_has("hibernate_secrets=refuse", NULL, 0)
				 ? KELP_SNAPSHOT_REFUSE_SECRET : 0,
		.relax = relax,
	};
	kernel_digest(config->identity.kernel);
	memory_digest(config->identity.memory);
	arch_cpu_set(config->identity.cpu_features);
	config->identity.cpus = cpus_online(hardware_id);
	return true;
}

bool hibernate_config_buffers(struct kelp_snapshot_config *config)
{
	kelp_paddr_t address;

	config->workers = frozen_cpus();
	/* Where memory is nearly full a slower way is better than none. */
	for (; config->io_size >= IO_SIZE_MIN; config->io_size /= 2u) {
		config->buffer_size = kelp_snapshot_memory_size(config);
		if (config->buffer_size > (held_frames() << PAGE_SHIFT) / 2u ||
		    !held_take(config->buffer_size, &address))
			continue;
		config->buffer = direct_pointer(address);
		return true;
	}
	return false;
}

void hibernate_config_end(void)
{
	memset(key, 0, sizeof(key));
	memset(&pool, 0, sizeof(pool));
}
