/* SPDX-License-Identifier: MIT */
/*
 * snapshot_private: what saving and resuming share. snapshot.c has it.
 *
 *	snapshot.c        configs, memory of workers, the stream of blocks, keys and nonces
 *	snapshot_store.c  the two state blocks: what the disk says at every moment (INV-5.6)
 *	snapshot_write.c  saving
 *	snapshot_read.c   resuming (INV-5.5)
 *	snapshot_reach.c  frames through direct map and copy window
 */
#ifndef KELP_SRC_SNAPSHOT_PRIVATE_H
#define KELP_SRC_SNAPSHOT_PRIVATE_H

#include <kelp/snapshot.h>

#include "bytes.h"
#include "debug.h"

/* A config with its defaults filled in. */
struct snapshot_sizes {
	uint32_t workers;
	uint32_t chunk_frames;
	size_t page;
	size_t io_size;
	size_t worker;
	size_t total;
};

/* Consecutive frames that a worker was given. */
struct snapshot_segment {
	uint64_t first;
	uint32_t frames;
	uint32_t hot;
};

/*
 * Records that a writing worker may have finished before their turn has come: one that was
 * interrupted, or whose CPU a hypervisor took away, does not stop the others at once.
 */
#define SNAPSHOT_AHEAD 3u

/* A finished record that waits for its turn. */
struct snapshot_finished {
	uint32_t ready;
	uint32_t frames;
	uint32_t zero_frames;
	uint32_t uniform_frames;
	uint32_t data_frames;
	uint32_t size; /* head and all */
	const uint8_t *sealed;
};

/* One worker's part of config.buffer. */
struct snapshot_worker {
	uint8_t *records;      /* SNAPSHOT_AHEAD buffers, `stride` bytes apart */
	size_t stride;
	uint8_t *sealed;       /* one of them: head, runs, pages as they go to the disk */
	uint8_t *pages;        /* a chunk's pages */
	uint8_t *page;         /* one */
	uint8_t *workspace;    /* the codec's */
	const void **source;   /* of the chunk's data frames, in order */
	struct snapshot_segment *segment;
	struct kelp_image_run *run;
};

/* Errors: ARGUMENT. `chunk_frames` 0: the config's own. */
enum kelp_status snapshot_sizes(const struct kelp_snapshot_config *config, uint32_t chunk_frames,
				struct snapshot_sizes *sizes) KELP_WARN_UNUSED;
/* Also checks what both sides need: ARGUMENT, NO_MEMORY. */
enum kelp_status snapshot_check(const struct kelp_snapshot_config *config, uint32_t chunk_frames,
				struct snapshot_sizes *sizes) KELP_WARN_UNUSED;

void snapshot_worker(const struct kelp_snapshot_config *config,
		     const struct snapshot_sizes *sizes, unsigned number,
		     struct snapshot_worker *worker);
/* Of all workers: SNAPSHOT_AHEAD entries each. */
struct snapshot_finished *snapshot_finished(const struct kelp_snapshot_config *config,
					    const struct snapshot_sizes *sizes);
/* Zeroes what held keys or memory, so that the compiler does not leave it out. */
void snapshot_scrub(void *memory, size_t size);
bool snapshot_random(const struct kelp_snapshot_config *config, void *buffer, size_t size);

/* ---- workers among themselves -------------------------------------------------------------- */

static inline void snapshot_relax(const struct kelp_snapshot_config *config)
{
	if (config->relax)
		config->relax(config->relax_context);
}

static inline void snapshot_lock(const struct kelp_snapshot_config *config, uint32_t *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0)
		snapshot_relax(config);
}

static inline void snapshot_unlock(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/* The first failure stays. */
static inline void snapshot_fail(uint32_t *status, enum kelp_status failure)
{
	uint32_t ok = KELP_OK;

	__atomic_compare_exchange_n(status, &ok, (uint32_t)failure, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_ACQUIRE);
}

static inline enum kelp_status snapshot_status(const uint32_t *status)
{
	return (enum kelp_status)__atomic_load_n(status, __ATOMIC_ACQUIRE);
}

/* ---- records ------------------------------------------------------------------------------- */

/*
 * Seals or opens a record in place: `sealed` points to its head. With `tables_only` its pages may
 * stay sealed.
 */
void snapshot_seal_record(const struct kelp_snapshot_config *config,
			  const struct kelp_image_header *header,
			  const struct kelp_image_secret *secret,
			  struct kelp_image_record *record, uint8_t *sealed);
bool snapshot_open_record(const struct kelp_snapshot_config *config,
			  const struct kelp_image_header *header,
			  const struct kelp_image_secret *secret,
			  const struct kelp_image_record *record, uint8_t *sealed,
			  bool tables_only);

/* ---- the stream ---------------------------------------------------------------------------- */

void snapshot_stream_begin(struct kelp_snapshot_stream *stream,
			   const struct kelp_snapshot_config *config,
			   const struct snapshot_sizes *sizes, uint64_t offset, uint64_t end);
enum kelp_status snapshot_stream_put(struct kelp_snapshot_stream *stream,
				     const struct kelp_snapshot_disk *disk, const uint8_t *bytes,
				     size_t size) KELP_WARN_UNUSED;
/* Pads to a block, writes what is left and waits for all. No flush. */
enum kelp_status snapshot_stream_drain(struct kelp_snapshot_stream *stream,
				       const struct kelp_snapshot_disk *disk) KELP_WARN_UNUSED;
/* Bytes in order; DAMAGED behind the end. */
enum kelp_status snapshot_stream_get(struct kelp_snapshot_stream *stream,
				     const struct kelp_snapshot_disk *disk, uint8_t *bytes,
				     size_t size) KELP_WARN_UNUSED;
/* Waits for accesses under way, whatever they answer. */
void snapshot_stream_stop(struct kelp_snapshot_stream *stream,
			  const struct kelp_snapshot_disk *disk);
/* Where the next byte is in the area. */
uint64_t snapshot_stream_place(const struct kelp_snapshot_stream *stream);

/* ---- the store (INV-5.6) ------------------------------------------------------------------- */

/* `block` is KELP_IMAGE_BLOCK bytes of scratch memory. Errors: NO_SPACE. */
enum kelp_status snapshot_store_read(struct kelp_snapshot_store *store,
				     const struct kelp_snapshot_config *config,
				     uint8_t *block) KELP_WARN_UNUSED;
/* One state block, flushed. Errors: IO, NO_RANDOM. */
enum kelp_status snapshot_store_write(struct kelp_snapshot_store *store,
				      const struct kelp_snapshot_config *config,
				      const struct kelp_image_state *state,
				      uint8_t *block) KELP_WARN_UNUSED;
/* Both state blocks say `kind`, permanently; then the header is destroyed if asked to. */
enum kelp_status snapshot_store_settle(struct kelp_snapshot_store *store,
				       const struct kelp_snapshot_config *config,
				       enum kelp_image_state_kind kind, bool destroy_header,
				       uint8_t *block) KELP_WARN_UNUSED;

#endif
