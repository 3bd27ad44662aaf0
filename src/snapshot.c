/* SPDX-License-Identifier: MIT */
/* snapshot: what saving and resuming share. See kelp/snapshot.h and snapshot_private.h. */
#include "snapshot_private.h"

#define CHUNK_BYTES_DEFAULT (UINT32_C(256) << 10)
#define IO_SIZE_DEFAULT     (UINT32_C(1) << 20)

/* ---- configs ------------------------------------------------------------------------------- */

static size_t round_up(size_t size)
{
	return (size + KELP_IMAGE_BLOCK - 1u) & ~(size_t)(KELP_IMAGE_BLOCK - 1u);
}

/* The pieces of a worker's memory, in order; each begins on a block. */
static size_t sealed_size(const struct snapshot_sizes *sizes, unsigned page_shift)
{
	return round_up(KELP_IMAGE_RECORD_HEAD +
			kelp_image_record_limit(page_shift, sizes->chunk_frames));
}

static size_t lists_size(const struct snapshot_sizes *sizes)
{
	return round_up(sizes->chunk_frames *
			(sizeof(void *) + sizeof(struct snapshot_segment) +
			 sizeof(struct kelp_image_run)));
}

enum kelp_status snapshot_sizes(const struct kelp_snapshot_config *config, uint32_t chunk_frames,
				struct snapshot_sizes *sizes)
{
	unsigned shift = config->memory->page_shift;

	if (shift < 10 || shift > 24)
		return KELP_ERR_ARGUMENT;
	*sizes = (struct snapshot_sizes){
		.workers = config->workers ? config->workers : 1u,
		.chunk_frames = chunk_frames ? chunk_frames : config->chunk_frames,
		.page = (size_t)1 << shift,
		.io_size = config->io_size ? config->io_size : IO_SIZE_DEFAULT,
	};
	if (sizes->chunk_frames == 0)
		sizes->chunk_frames = CHUNK_BYTES_DEFAULT >> shift ? CHUNK_BYTES_DEFAULT >> shift
								   : 1u;
	if (sizes->chunk_frames > KELP_IMAGE_CHUNK_FRAMES_MAX ||
	    sizes->chunk_frames > KELP_IMAGE_CHUNK_BYTES_MAX >> shift ||
	    sizes->io_size % KELP_IMAGE_BLOCK != 0 || sizes->workers > 4096 ||
	    (config->codec && config->codec->workspace > KELP_IMAGE_CHUNK_BYTES_MAX))
		return KELP_ERR_ARGUMENT;
	sizes->worker = SNAPSHOT_AHEAD * sealed_size(sizes, shift) +
			round_up((size_t)sizes->chunk_frames << shift) + round_up(sizes->page) +
			lists_size(sizes) +
			(config->codec ? round_up(config->codec->workspace) : 0);
	sizes->total = KELP_SNAPSHOT_SLOTS * sizes->io_size + sizes->workers * sizes->worker +
		       round_up(sizes->workers * SNAPSHOT_AHEAD *
				sizeof(struct snapshot_finished));
	return KELP_OK;
}

size_t kelp_snapshot_memory_size(const struct kelp_snapshot_config *config)
{
	struct snapshot_sizes sizes;

	return snapshot_sizes(config, 0, &sizes) == KELP_OK ? sizes.total : 0;
}

enum kelp_status snapshot_check(const struct kelp_snapshot_config *config, uint32_t chunk_frames,
				struct snapshot_sizes *sizes)
{
	enum kelp_status status = snapshot_sizes(config, chunk_frames, sizes);

	if (status != KELP_OK)
		return status;
	if (!config->cipher || !config->key || !config->random || !config->disk ||
	    (config->codec && config->codec->id == KELP_IMAGE_STORED) ||
	    ((uintptr_t)config->buffer & (KELP_IMAGE_BLOCK - 1u)) != 0)
		return KELP_ERR_ARGUMENT;
	return config->buffer && config->buffer_size >= sizes->total ? KELP_OK
								     : KELP_ERR_NO_MEMORY;
}

void snapshot_worker(const struct kelp_snapshot_config *config,
		     const struct snapshot_sizes *sizes, unsigned number,
		     struct snapshot_worker *worker)
{
	unsigned shift = config->memory->page_shift;
	uint8_t *at = (uint8_t *)config->buffer + KELP_SNAPSHOT_SLOTS * sizes->io_size +
		      number * sizes->worker;

	worker->records = worker->sealed = at;
	worker->stride = sealed_size(sizes, shift);
	at += SNAPSHOT_AHEAD * worker->stride;
	worker->pages = at;
	at += round_up((size_t)sizes->chunk_frames << shift);
	worker->page = at;
	at += round_up(sizes->page);
	/* The lists in the order of their alignment. */
	worker->run = (struct kelp_image_run *)(void *)at;
	worker->segment =
		(struct snapshot_segment *)(void *)(worker->run + sizes->chunk_frames);
	worker->source = (const void **)(void *)(worker->segment + sizes->chunk_frames);
	worker->workspace = at + lists_size(sizes);
}

struct snapshot_finished *snapshot_finished(const struct kelp_snapshot_config *config,
					    const struct snapshot_sizes *sizes)
{
	uint8_t *workers = (uint8_t *)config->buffer + KELP_SNAPSHOT_SLOTS * sizes->io_size;

	return (struct snapshot_finished *)(void *)(workers + sizes->workers * sizes->worker);
}

void snapshot_scrub(void *memory, size_t size)
{
	memset(memory, 0, size);
	__asm__ volatile("" : : "r"(memory) : "memory");
}

/* A source that gives nothing but one byte is broken, whatever it says. */
bool snapshot_random(const struct kelp_snapshot_config *config, void *buffer, size_t size)
{
	const uint8_t *byte = buffer;
	uint8_t differ = 0;

	if (!config->random(config->random_context, buffer, size))
		return false;
	for (size_t i = 1; i < size; i++)
		differ |= (uint8_t)(byte[0] ^ byte[i]);
	return differ != 0;
}

/* ---- records ------------------------------------------------------------------------------- */

#define RECORD_AAD (KELP_IMAGE_ID + KELP_IMAGE_TAG + KELP_IMAGE_RECORD_FIELDS)

/*
 * The image's id, its header's tag, and the record's plain fields: no record can stand in another
 * place, in another image, or under another header. The key is this image's own, so a nonce is
 * unique when it is unique within the image: base plus index.
 */
static void record_bindings(const struct kelp_image_header *header,
			    const struct kelp_image_secret *secret, uint32_t index,
			    const uint8_t *fields, uint8_t aad[RECORD_AAD],
			    uint8_t nonce[KELP_IMAGE_NONCE])
{
	memcpy(aad, header->image, KELP_IMAGE_ID);
	memcpy(aad + KELP_IMAGE_ID, header->tag, KELP_IMAGE_TAG);
	memcpy(aad + KELP_IMAGE_ID + KELP_IMAGE_TAG, fields, KELP_IMAGE_RECORD_FIELDS);
	memcpy(nonce, secret->nonce, KELP_IMAGE_NONCE);
	put64(nonce + 4, get64(secret->nonce + 4) + index);
}

void snapshot_seal_record(const struct kelp_snapshot_config *config,
			  const struct kelp_image_header *header,
			  const struct kelp_image_secret *secret,
			  struct kelp_image_record *record, uint8_t *sealed)
{
	uint8_t aad[RECORD_AAD], nonce[KELP_IMAGE_NONCE];

	kelp_image_encode_record(sealed, record);
	record_bindings(header, secret, record->index, sealed, aad, nonce);
	config->cipher->seal(config->cipher->context, secret->key, nonce, aad, sizeof(aad),
			     sealed + KELP_IMAGE_RECORD_HEAD, record->size, record->tag);
	memcpy(sealed + KELP_IMAGE_RECORD_FIELDS, record->tag, KELP_IMAGE_TAG);
}

bool snapshot_open_record(const struct kelp_snapshot_config *config,
			  const struct kelp_image_header *header,
			  const struct kelp_image_secret *secret,
			  const struct kelp_image_record *record, uint8_t *sealed,
			  bool tables_only)
{
	const struct kelp_snapshot_cipher *cipher = config->cipher;
	uint8_t aad[RECORD_AAD], nonce[KELP_IMAGE_NONCE];
	uint8_t *data = sealed + KELP_IMAGE_RECORD_HEAD;
	bool trailer = record->flags & KELP_IMAGE_RECORD_LAST;

	record_bindings(header, secret, record->index, sealed, aad, nonce);
	if (!tables_only || trailer || !cipher->check)
		return cipher->open(cipher->context, secret->key, nonce, aad, sizeof(aad), data,
				    record->size, record->tag);
	return cipher->check(cipher->context, secret->key, nonce, aad, sizeof(aad), data,
			     record->size, (size_t)record->runs * KELP_IMAGE_RUN, record->tag);
}

/* ---- the stream ---------------------------------------------------------------------------- */

void snapshot_stream_begin(struct kelp_snapshot_stream *stream,
			   const struct kelp_snapshot_config *config,
			   const struct snapshot_sizes *sizes, uint64_t offset, uint64_t end)
{
	*stream = (struct kelp_snapshot_stream){
		.io_size = sizes->io_size,
		.offset = offset,
		.next = offset,
		.end = end,
	};
	for (unsigned i = 0; i < KELP_SNAPSHOT_SLOTS; i++)
		stream->buffer[i] = (uint8_t *)config->buffer + i * sizes->io_size;
}

uint64_t snapshot_stream_place(const struct kelp_snapshot_stream *stream)
{
	return stream->offset + stream->fill;
}

static enum kelp_status finish(struct kelp_snapshot_stream *stream,
			       const struct kelp_snapshot_disk *disk, unsigned slot)
{
	if (!stream->busy[slot])
		return KELP_OK;
	stream->busy[slot] = false;
	return disk->finish(disk->context, slot) ? KELP_OK : KELP_ERR_IO;
}

void snapshot_stream_stop(struct kelp_snapshot_stream *stream,
			  const struct kelp_snapshot_disk *disk)
{
	for (unsigned i = 0; i < KELP_SNAPSHOT_SLOTS; i++) {
		/* Nobody wants to know any more. */
		enum kelp_status ignored = finish(stream, disk, i);

		(void)ignored;
	}
}

/* Writes `size` bytes of the slot in use and goes on to the next slot, which is free then. */
static enum kelp_status submit(struct kelp_snapshot_stream *stream,
			       const struct kelp_snapshot_disk *disk, size_t size)
{
	uint8_t *buffer = stream->buffer[stream->slot];

	if (stream->offset > disk->size || size > disk->size - stream->offset)
		return KELP_ERR_NO_SPACE;
	if (disk->start) {
		if (!disk->start(disk->context, stream->slot, true, stream->offset, buffer, size))
			return KELP_ERR_IO;
		stream->busy[stream->slot] = true;
	} else if (!disk->write(disk->context, stream->offset, buffer, size)) {
		return KELP_ERR_IO;
	}
	stream->offset += size;
	stream->fill = 0;
	stream->slot = (stream->slot + 1u) % KELP_SNAPSHOT_SLOTS;
	return finish(stream, disk, stream->slot);
}

enum kelp_status snapshot_stream_put(struct kelp_snapshot_stream *stream,
				     const struct kelp_snapshot_disk *disk, const uint8_t *bytes,
				     size_t size)
{
	while (size > 0) {
		size_t room = stream->io_size - stream->fill;
		size_t piece = size < room ? size : room;
		enum kelp_status status;

		memcpy(stream->buffer[stream->slot] + stream->fill, bytes, piece);
		stream->fill += piece;
		bytes += piece;
		size -= piece;
		if (stream->fill < stream->io_size)
			continue;
		status = submit(stream, disk, stream->io_size);
		if (status != KELP_OK)
			return status;
	}
	return KELP_OK;
}

enum kelp_status snapshot_stream_drain(struct kelp_snapshot_stream *stream,
				       const struct kelp_snapshot_disk *disk)
{
	enum kelp_status status = KELP_OK;
	size_t size = round_up(stream->fill);

	if (size > 0) {
		memset(stream->buffer[stream->slot] + stream->fill, 0, size - stream->fill);
		status = submit(stream, disk, size);
	}
	for (unsigned i = 0; i < KELP_SNAPSHOT_SLOTS; i++) {
		enum kelp_status finished = finish(stream, disk, i);

		status = status == KELP_OK ? finished : status;
	}
	return status;
}

/* How much the access at `offset` reads. */
static size_t piece_at(const struct kelp_snapshot_stream *stream, uint64_t offset)
{
	return stream->end - offset < stream->io_size ? (size_t)(stream->end - offset)
						      : stream->io_size;
}

/* Begins reads into every slot that is neither in use nor under way. */
static bool read_ahead(struct kelp_snapshot_stream *stream, const struct kelp_snapshot_disk *disk,
		       unsigned first)
{
	for (unsigned i = 0; i < KELP_SNAPSHOT_SLOTS && stream->next < stream->end; i++) {
		unsigned slot = (first + i) % KELP_SNAPSHOT_SLOTS;
		size_t size = piece_at(stream, stream->next);

		if (stream->busy[slot])
			continue;
		if (!disk->start(disk->context, slot, false, stream->next, stream->buffer[slot],
				 size))
			return false;
		stream->busy[slot] = true;
		stream->next += size;
	}
	return true;
}

/* The bytes behind those that the slot in use has. */
static enum kelp_status refill(struct kelp_snapshot_stream *stream,
			       const struct kelp_snapshot_disk *disk)
{
	uint64_t offset = stream->offset + stream->have;
	size_t size;

	if (offset >= stream->end)
		return KELP_ERR_DAMAGED;
	size = piece_at(stream, offset);
	if (disk->start) {
		/* The first time no slot was in use. */
		unsigned slot = stream->have ? (stream->slot + 1u) % KELP_SNAPSHOT_SLOTS : 0;
		enum kelp_status status;

		if (!read_ahead(stream, disk, slot))
			return KELP_ERR_IO;
		status = finish(stream, disk, slot);
		if (status != KELP_OK)
			return status;
		stream->slot = slot;
	} else if (!disk->read(disk->context, offset, stream->buffer[stream->slot], size)) {
		return KELP_ERR_IO;
	}
	stream->offset = offset;
	stream->have = size;
	stream->fill = 0;
	return KELP_OK;
}

enum kelp_status snapshot_stream_get(struct kelp_snapshot_stream *stream,
				     const struct kelp_snapshot_disk *disk, uint8_t *bytes,
				     size_t size)
{
	while (size > 0) {
		size_t piece = stream->have - stream->fill;
		enum kelp_status status;

		if (piece == 0) {
			status = refill(stream, disk);
			if (status != KELP_OK)
				return status;
			continue;
		}
		piece = size < piece ? size : piece;
		memcpy(bytes, stream->buffer[stream->slot] + stream->fill, piece);
		stream->fill += piece;
		bytes += piece;
		size -= piece;
	}
	return KELP_OK;
}
