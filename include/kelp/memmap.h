/* SPDX-License-Identifier: MIT */
/*
 * memmap: which frames exist. One descriptor per frame, of the embedder's own kind, in SECTIONS
 * (128 MiB) of SUBSECTIONS (2 MiB), sparse over up to 52 bits of physical address. It needs no
 * direct map: every pointer comes from the embedder.
 *
 * THREE QUESTIONS, three answers:
 *  - kelp_pfn_valid(): the frame has a descriptor, which may hold garbage. Holes, also those of
 *    single frames in early memory, have none.
 *  - kelp_pfn_active(): the descriptor is initialised and sane. online = active and not device;
 *    device = active and device.
 *  - kelp_pfn_zone(): the zone that the range was added to.
 *
 * Without a hold each answer is a HINT: it was true when it was given. A HOLD makes it last:
 *  - INV-2.1 When kelp_page_hold_*() succeeds the descriptor is initialised, and it, and the
 *    frame's being online (or device), stay so until kelp_page_release(). The hints need not say
 *    so: kelp_pfn_active(), _online() and _device() answer no, and further holds are refused, from
 *    the moment a remover begins to wait, whether or not it gives up. Only the hold counts.
 *  - INV-2.2 Adding or removing one subsection changes nothing that is answered for any other,
 *    device and RAM in one section included.
 *  - INV-2.3 Nothing is marked reserved for having been added later: added memory is like early
 *    memory, wherever its descriptors lie.
 *
 * LOCKING. One lock of the embedder's per map covers what changes it (kelp_memmap_add_early(),
 * kelp_memmap_destroy(), kelp/hotplug.h). Everything else is lock-free and for any context,
 * interrupts included. Sections that were made stay until destroy: a lookup never meets freed
 * memory.
 *
 * FROM DESCRIPTOR TO FRAME. Where the embedder has a virtually contiguous array of descriptors
 * (config.array) it is arithmetic. Elsewhere Kelp keeps the frame's number in the descriptor, 4
 * bytes (physical_bits - page_shift <= 32) or 8, at config.frame_offset: one load.
 */
#ifndef KELP_MEMMAP_H
#define KELP_MEMMAP_H

#include <kelp/hold.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What kelp_memmap_config.take is asked for. */
enum kelp_memmap_memory {
	KELP_MEMMAP_DIRECTORY,   /* kept until destroy */
	KELP_MEMMAP_SECTION,     /* kept until destroy */
	KELP_MEMMAP_DESCRIPTORS, /* of one subsection; kept until it is removed */
	KELP_MEMMAP_HOLES,       /* of one early subsection; kept while it has any */
};

/* Zones are the embedder's; all 16 bits are its own. */
typedef uint16_t kelp_zone_t;

struct kelp_memmap_config {
	const struct kelp_port *port; /* panic, log */
	unsigned page_shift;
	unsigned physical_bits;    /* at most 52 */
	unsigned section_shift;    /* log2 of bytes; 0: 27, or physical_bits where that is less */
	unsigned subsection_shift; /* log2 of bytes; 0: 21. A section has 1 to 1024 of them */

	size_t descriptor_size;    /* of the embedder's descriptor, a multiple of 4 up to 4096 */
	size_t frame_offset;       /* in it: where Kelp keeps the frame's number ... */
	unsigned frame_bytes;      /* ... in 4 or 8 aligned bytes; 0 with an array */

	/* The descriptor of frame 0, of an array that has a place for every frame; NULL: there is
	 * none. Backed by array_back. */
	void *array;

	void *memory; /* kelp_memmap_size() bytes, aligned to 64 */

	/* Holds. */
	struct kelp_holds_config holds; /* .port may be NULL: that of the map */

	/* Handed to the hooks below. */
	void *context;
	/*
	 * Gives memory, aligned to 64 bytes, contents of no matter; boot memory while there is
	 * nothing else. NULL: no memory. Called while a change is being prepared, never while it
	 * commits. give takes it back.
	 */
	void *(*take)(void *context, enum kelp_memmap_memory what, size_t size);
	void (*give)(void *context, enum kelp_memmap_memory what, void *memory, size_t size);
	/*
	 * With an array, instead of take and give for descriptors: makes its bytes [at, at + size)
	 * usable. host: NULL, or the first of the frames that shall stand there (the descriptors
	 * live in the range itself). Pages that descriptors of two subsections share (when their
	 * size is no multiple of a page) are the embedder's to count.
	 */
	enum kelp_status (*array_back)(void *context, void *at, size_t size,
				       const kelp_pfn_t *host);
	void (*array_unback)(void *context, void *at, size_t size, const kelp_pfn_t *host);
	/*
	 * Fills the embedder's fields of `frames` descriptors which are zero but for Kelp's, before
	 * anybody can hold them. NULL: zero is right.
	 */
	void (*initialise)(void *context, void *pages, kelp_pfn_t first, uint64_t frames,
			   kelp_zone_t zone, bool device);
};

/* Bits of kelp_subsection.state; the zone lies in the upper half. */
#define KELP_SUBSECTION_VALID   (UINT32_C(1) << 0)
#define KELP_SUBSECTION_ACTIVE  (UINT32_C(1) << 1)
#define KELP_SUBSECTION_DEVICE  (UINT32_C(1) << 2)
#define KELP_SUBSECTION_PARTIAL (UINT32_C(1) << 3) /* early memory with holes */
#define KELP_SUBSECTION_EARLY   (UINT32_C(1) << 4)
#define KELP_SUBSECTION_REACHED (UINT32_C(1) << 5) /* hotplug's reach_add made it reachable */
#define KELP_SUBSECTION_ZONE_SHIFT 16

/* All about one subsection; private. All zero: there is none. */
struct kelp_subsection {
	void *pages;      /* descriptor of its first frame */
	uint32_t state;
	uint32_t home; /* self-hosted: number of the range's first subsection, plus 1 */
	union {
		/* In the first subsection of a self-hosted range. */
		struct kelp_subsection_hosting {
			uint32_t members; /* subsections of the range that exist */
			uint32_t frames;  /* from its first on, that hold the descriptors */
		} hosting;
		uint32_t *present; /* PARTIAL: a bit per frame */
	} more;
};

/* Private. */
struct kelp_section;
struct kelp_directory;

struct kelp_memmap_cost {
	uint64_t map;         /* bytes: root, directories, sections */
	uint64_t descriptors; /* bytes taken for descriptors */
	uint64_t hosted;      /* bytes of descriptors in the ranges themselves */
	uint64_t counters;    /* bytes of hold counters */
	uint64_t frames;      /* valid ones */
	uint64_t per_gib;     /* bytes of all of these per GiB of valid frames */
};

/* The caller provides the memory; the members are private. */
struct kelp_memmap {
	struct kelp_directory **root;
	uint64_t frames; /* the physical width, in frames */
	uint32_t subsection_order; /* log2 of frames */
	uint32_t record_bits;      /* log2 of the subsections of a section */
	uint32_t directory_bits;   /* log2 of the sections of a directory */
	uint32_t root_bits;
	uint32_t subsection_mask; /* 2^x - 1 of the first three */
	uint32_t record_mask;
	uint32_t directory_mask;
	uint32_t sections_at; /* offset in a directory of its sections */
	uint32_t records_at;  /* offset in a section of its subsections */
	size_t descriptor_size;
	size_t frame_offset;
	uint32_t frame_bytes;
	uint32_t page_shift;
	uintptr_t array;
	uintptr_t array_inverse; /* of the odd part of descriptor_size */
	uint32_t array_shift;
	uint32_t *root_present;
	uint64_t map_bytes;
	struct kelp_holds holds;
	struct kelp_memmap_config config;
};

/* Bytes of kelp_memmap_config.memory. Errors: ARGUMENT (what is wrong: kelp_memmap_init()). */
enum kelp_status kelp_memmap_size(const struct kelp_memmap_config *config,
				  size_t *size) KELP_WARN_UNUSED;

/*
 * An empty map. Phase: any; allocates nothing.
 * Errors: ARGUMENT: shifts that do not nest (page <= subsection <= section <= physical_bits), more
 * than 2^31 subsections in all or 2^19 frames in one, a descriptor_size that cannot be, a frame
 * field outside of the descriptor or too narrow, a hook missing.
 */
enum kelp_status kelp_memmap_init(struct kelp_memmap *map,
				  const struct kelp_memmap_config *config) KELP_WARN_UNUSED;

/* Gives all memory back. Nobody uses the map any more. */
void kelp_memmap_destroy(struct kelp_memmap *map);

/* A range of early memory, both ends inside. */
struct kelp_memmap_range {
	kelp_pfn_t first;
	kelp_pfn_t last;
	kelp_zone_t zone;
};

/*
 * The memory that was there at boot, in any order, to the single frame: valid, initialised and
 * active from now on. Phase: boot, before anybody looks; once, while the map is empty. All of it or
 * nothing.
 * Errors: ADDRESS (beyond the physical width), ARGUMENT (last < first), EXISTS (two overlap; the
 * map is not empty), UNSUPPORTED (two zones in one subsection), NO_MEMORY.
 */
enum kelp_status kelp_memmap_add_early(struct kelp_memmap *map,
				       const struct kelp_memmap_range *ranges,
				       size_t count) KELP_WARN_UNUSED;

/* Walks everything. Exact under the lock only; any other time an estimate. */
void kelp_memmap_cost(const struct kelp_memmap *map, struct kelp_memmap_cost *cost);

/* ---- lookups: hints ----------------------------------------------------------------------- */

/* NULL: there is no section. */
struct kelp_subsection *kelp_memmap_subsection(const struct kelp_memmap *map, kelp_pfn_t pfn);

/* Bits of the frame's subsection, 0 when the frame is a hole. */
uint32_t kelp_pfn_state(const struct kelp_memmap *map, kelp_pfn_t pfn);

static inline bool kelp_pfn_valid(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	return (kelp_pfn_state(map, pfn) & KELP_SUBSECTION_VALID) != 0;
}

/* A hint, and no more: hold the frame to rely on it. So are the next two. */
static inline bool kelp_pfn_active(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	return (kelp_pfn_state(map, pfn) & KELP_SUBSECTION_ACTIVE) != 0;
}

static inline bool kelp_pfn_online(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	return (kelp_pfn_state(map, pfn) & (KELP_SUBSECTION_ACTIVE | KELP_SUBSECTION_DEVICE)) ==
	       KELP_SUBSECTION_ACTIVE;
}

static inline bool kelp_pfn_device(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	const uint32_t both = KELP_SUBSECTION_ACTIVE | KELP_SUBSECTION_DEVICE;

	return (kelp_pfn_state(map, pfn) & both) == both;
}

/* Errors: NO_FRAME (not valid). */
enum kelp_status kelp_pfn_zone(const struct kelp_memmap *map, kelp_pfn_t pfn,
			       kelp_zone_t *zone) KELP_WARN_UNUSED;

/*
 * Does the frame hold descriptors of the range that it lies in? Then nobody else uses it. The
 * frame is held, or the caller has the lock.
 */
bool kelp_pfn_hosts(const struct kelp_memmap *map, kelp_pfn_t pfn);

/*
 * Between frame and descriptor. The frame is valid and stays so (it is held, or the caller has
 * the lock); the descriptor is initialised.
 */
static inline void *kelp_pfn_to_page(const struct kelp_memmap *map, kelp_pfn_t pfn);
static inline kelp_pfn_t kelp_page_to_pfn(const struct kelp_memmap *map, const void *page);

/* ---- walking over ranges ------------------------------------------------------------------ */

enum kelp_frames {
	KELP_FRAMES_VALID,
	KELP_FRAMES_ACTIVE,
	KELP_FRAMES_ONLINE,
	KELP_FRAMES_DEVICE,
	KELP_FRAMES_OFFLINE, /* valid and not active */
};

/*
 * Finds the first frames at or after `from` that are such, as many as follow each other. A hole
 * costs the same however large it is. Lock-free: a hint of what was there at some moment of the
 * call. Returns false when there are none.
 */
bool kelp_memmap_next(const struct kelp_memmap *map, enum kelp_frames which, kelp_pfn_t from,
		      kelp_pfn_t *first, kelp_pfn_t *last);

/* ---- holds -------------------------------------------------------------------------------- */

/*
 * Holds a frame that is active: online, device, or either. `cpu` is the one the caller runs on
 * (KELP_HOLDS_SHARED says how exactly). Wait-free; any context. The descriptor is
 * kelp_hold_page(hold). Errors: NO_FRAME (it is not such a frame now), and nothing is held.
 */
enum kelp_status kelp_page_hold_online(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn,
				       struct kelp_hold *hold) KELP_WARN_UNUSED;
enum kelp_status kelp_page_hold_device(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn,
				       struct kelp_hold *hold) KELP_WARN_UNUSED;
enum kelp_status kelp_page_hold_any(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn,
				    struct kelp_hold *hold) KELP_WARN_UNUSED;

/* Ends it, on any CPU; the descriptor may be gone when it returns. */
void kelp_page_release(struct kelp_memmap *map, uint32_t cpu, struct kelp_hold *hold);

/* A whole subsection that is held. */
struct kelp_subsection_hold {
	struct kelp_hold hold;
	kelp_pfn_t first;
	uint64_t frames;
	uint32_t state;
	/* NULL: all are valid; else a bit per frame, lowest first (early memory with holes). */
	const uint32_t *present;
};

/*
 * For walkers: holds every active frame of the subsection of `pfn` at the price of one;
 * kelp_hold_page(&s->hold) is the descriptor of s->first, the others follow.
 * which: ACTIVE, ONLINE or DEVICE. Errors: NO_FRAME, ARGUMENT (another which).
 */
enum kelp_status kelp_subsection_hold(struct kelp_memmap *map, uint32_t cpu, enum kelp_frames which,
				      kelp_pfn_t pfn,
				      struct kelp_subsection_hold *s) KELP_WARN_UNUSED;

static inline void kelp_subsection_release(struct kelp_memmap *map, uint32_t cpu,
					   struct kelp_subsection_hold *s)
{
	kelp_page_release(map, cpu, &s->hold);
}

/* ---- inlines ------------------------------------------------------------------------------ */

static inline void *kelp_pfn_to_page(const struct kelp_memmap *map, kelp_pfn_t pfn)
{
	/* Less than 2^32 subsections exist. */
	uint32_t subsection = (uint32_t)(pfn.number >> map->subsection_order);
	uint32_t section = subsection >> map->record_bits;
	const unsigned char *at;
	const struct kelp_subsection *record;
	uintptr_t page;

	if (map->array)
		return (void *)(map->array + (uintptr_t)pfn.number * map->descriptor_size);
	at = (const unsigned char *)__atomic_load_n(&map->root[section >> map->directory_bits],
						    __ATOMIC_ACQUIRE);
	at += map->sections_at + (section & map->directory_mask) * sizeof(void *);
	at = (const unsigned char *)__atomic_load_n(
		(struct kelp_section *const *)(const void *)at, __ATOMIC_ACQUIRE);
	record = (const struct kelp_subsection *)(const void *)(at + map->records_at);
	record += subsection & map->record_mask;
	page = (uintptr_t)__atomic_load_n(&record->pages, __ATOMIC_RELAXED);
	return (void *)(page + ((uint32_t)pfn.number & map->subsection_mask) *
				       map->descriptor_size);
}

static inline kelp_pfn_t kelp_page_to_pfn(const struct kelp_memmap *map, const void *page)
{
	const unsigned char *field = (const unsigned char *)page + map->frame_offset;
	kelp_pfn_t pfn;

	if (map->array)
		pfn.number = (((uintptr_t)page - map->array) >> map->array_shift) *
			     map->array_inverse;
	else if (map->frame_bytes == 4)
		pfn.number = *(const uint32_t *)(const void *)field;
	else
		pfn.number = *(const uint64_t *)(const void *)field;
	return pfn;
}

#ifdef __cplusplus
}
#endif

#endif
