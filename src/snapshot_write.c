/* SPDX-License-Identifier: MIT */
/*
 * snapshot_write: saving. Frames are read where they lie and go through a worker's buffers into
 * the stream; which frames a record has depends on their classes alone, so the output does not
 * depend on the number of workers.
 */
#include "snapshot_private.h"

enum writer_phase {
	WRITER_NEW = 0,
	WRITER_BEGUN = 1,
	WRITER_FROZEN = 2,
	WRITER_COMMITTED = 3,
};

static void expect_phase(const struct kelp_snapshot_writer *writer, uint32_t phase)
{
	KELP_ASSERT_ALWAYS(writer->config.port, writer->phase == phase,
			   "kelp_snapshot: begin, freeze, write, commit, in this order");
}

/* ---- classes ------------------------------------------------------------------------------- */

static bool is_saved(enum kelp_snapshot_class class)
{
	return class == KELP_SNAPSHOT_SAVE || class == KELP_SNAPSHOT_HOT ||
	       class == KELP_SNAPSHOT_SECRET;
}

/* The class of a frame below the limit, and where its run ends. */
static enum kelp_snapshot_class class_at(const struct kelp_snapshot_memory *memory, uint64_t frame,
					 uint64_t *run_end)
{
	uint64_t left = memory->frame_limit - frame, run = left;
	kelp_pfn_t first = {frame};
	enum kelp_snapshot_class class = memory->classify(memory->context, first, &run);

	if (run > left)
		run = left;
	*run_end = frame + (run ? run : 1u);
	return (unsigned)class < KELP_SNAPSHOT_CLASSES ? class : KELP_SNAPSHOT_NONE;
}

/* Records without the trailer; the division that 32-bit machines lack, by subtraction of powers. */
static uint64_t divide_up(uint64_t value, uint32_t divisor)
{
	uint64_t quotient = 0;

	for (unsigned bit = 51; bit-- > 0;) {
		if (value >> bit >= divisor) {
			value -= (uint64_t)divisor << bit;
			quotient += UINT64_C(1) << bit;
		}
	}
	return quotient + (value > 0);
}

static enum kelp_status count(const struct kelp_snapshot_config *config,
			      const struct snapshot_sizes *sizes,
			      struct kelp_snapshot_counts *counts, uint64_t *limit)
{
	const struct kelp_snapshot_memory *memory = config->memory;
	uint64_t end, records;

	*counts = (struct kelp_snapshot_counts){0};
	*limit = 0;
	for (uint64_t frame = 0; frame < memory->frame_limit; frame = end) {
		enum kelp_snapshot_class class = class_at(memory, frame, &end);

		counts->of_class[class] += end - frame;
		if (!is_saved(class))
			continue;
		counts->frames += end - frame;
		*limit = end;
	}
	records = divide_up(counts->frames, sizes->chunk_frames);
	if (records >= UINT32_MAX)
		return KELP_ERR_UNSUPPORTED;
	counts->bytes_at_most = KELP_IMAGE_RECORDS + KELP_IMAGE_BLOCK +
				(records + 1u) * KELP_IMAGE_RECORD_HEAD + KELP_IMAGE_TRAILER +
				counts->frames * (sizes->page + KELP_IMAGE_RUN);
	if ((config->flags & KELP_SNAPSHOT_REFUSE_SECRET) &&
	    counts->of_class[KELP_SNAPSHOT_SECRET] > 0)
		return KELP_ERR_SECRET;
	return KELP_OK;
}

enum kelp_status kelp_snapshot_plan(const struct kelp_snapshot_config *config,
				    struct kelp_snapshot_counts *counts)
{
	struct snapshot_sizes sizes;
	enum kelp_status status = snapshot_sizes(config, 0, &sizes);
	uint64_t limit;

	return status == KELP_OK ? count(config, &sizes, counts, &limit) : status;
}

/* ---- frames that change -------------------------------------------------------------------- */

static void give_hot(struct kelp_snapshot_writer *writer)
{
	const struct kelp_snapshot_memory *memory = writer->config.memory;

	while (writer->hot_count > 0)
		memory->give(memory->context, writer->config.hot[--writer->hot_count].from);
}

static enum kelp_status take_hot(struct kelp_snapshot_writer *writer)
{
	const struct kelp_snapshot_config *config = &writer->config;
	const struct kelp_snapshot_memory *memory = config->memory;
	uint64_t end;

	for (uint64_t frame = 0; frame < memory->frame_limit; frame = end) {
		if (class_at(memory, frame, &end) != KELP_SNAPSHOT_HOT)
			continue;
		for (; frame < end; frame++) {
			struct kelp_snapshot_relocation *hot = &config->hot[writer->hot_count];

			if (!config->hot || writer->hot_count == config->hot_capacity ||
			    !memory->take(memory->context, &hot->from))
				return KELP_ERR_NO_MEMORY;
			hot->to.number = frame;
			writer->hot_count++;
		}
	}
	return KELP_OK;
}

/* The frame that holds a HOT one as it was. */
static uint64_t shadow_of(const struct kelp_snapshot_writer *writer, uint64_t frame)
{
	uint32_t low = 0, high = writer->hot_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2u;

		if (writer->config.hot[middle].to.number < frame)
			low = middle + 1u;
		else
			high = middle;
	}
	KELP_ASSERT_ALWAYS(writer->config.port,
			   low < writer->hot_count && writer->config.hot[low].to.number == frame,
			   "kelp_snapshot: classify called a frame HOT after begin()");
	return writer->config.hot[low].from.number;
}

enum kelp_status kelp_snapshot_freeze(struct kelp_snapshot_writer *writer)
{
	const struct kelp_snapshot_memory *memory = writer->config.memory;
	size_t page = (size_t)1 << memory->page_shift;

	expect_phase(writer, WRITER_BEGUN);
	for (uint32_t i = 0; i < writer->hot_count; i++) {
		const struct kelp_snapshot_relocation *hot = &writer->config.hot[i];
		uint64_t one = 1;
		const void *from = memory->view(memory->reach_context, hot->to, &one);
		enum kelp_status status = KELP_OK;
		void *to;

		if (!from) {
			status = memory->read(memory->reach_context, 0, hot->to,
					      writer->worker_memory);
			from = writer->worker_memory;
		}
		if (status != KELP_OK)
			return status;
		one = 1;
		to = memory->view_writable(memory->reach_context, hot->from, &one);
		if (to)
			memcpy(to, from, page);
		else
			status = memory->write(memory->reach_context, 0, hot->from, from);
		if (status != KELP_OK)
			return status;
	}
	writer->phase = WRITER_FROZEN;
	return KELP_OK;
}

/* ---- beginning ----------------------------------------------------------------------------- */

static enum kelp_status make_header(struct kelp_snapshot_writer *writer,
				    const struct snapshot_sizes *sizes, const void *payload,
				    size_t payload_size)
{
	const struct kelp_snapshot_config *config = &writer->config;
	struct kelp_image_header *header = &writer->header;
	struct kelp_snapshot_counts counts;
	uint64_t limit;
	enum kelp_status status = count(config, sizes, &counts, &limit);

	if (status != KELP_OK)
		return status;
	*header = (struct kelp_image_header){
		.generation = config->generation,
		.page_shift = config->memory->page_shift,
		.chunk_frames = sizes->chunk_frames,
		.codec = config->codec ? config->codec->id : KELP_IMAGE_STORED,
		.cipher = config->cipher->id,
		.frames = counts.frames,
		.frame_limit = limit,
		.records = (uint32_t)divide_up(counts.frames, sizes->chunk_frames) + 1u,
		.identity = config->identity,
	};
	memcpy(writer->secret.payload, payload, payload_size);
	writer->secret.payload_size = (uint32_t)payload_size;
	if (!snapshot_random(config, header->image, sizeof(header->image)) ||
	    !snapshot_random(config, header->nonce, sizeof(header->nonce)) ||
	    !snapshot_random(config, writer->secret.key, sizeof(writer->secret.key)) ||
	    !snapshot_random(config, writer->secret.nonce, sizeof(writer->secret.nonce)))
		return KELP_ERR_NO_RANDOM;
	return KELP_OK;
}

static enum kelp_status write_header(struct kelp_snapshot_writer *writer, uint8_t *block)
{
	const struct kelp_snapshot_config *config = &writer->config;
	const struct kelp_snapshot_disk *disk = config->disk;

	kelp_image_encode_header(block, &writer->header);
	kelp_image_encode_secret(block + KELP_IMAGE_SEALED, &writer->secret);
	config->cipher->seal(config->cipher->context, config->key, writer->header.nonce, block,
			     KELP_IMAGE_HEADER_AAD, block + KELP_IMAGE_SEALED,
			     KELP_IMAGE_SEALED_SIZE, writer->header.tag);
	kelp_image_put_tag(block, KELP_IMAGE_HEADER_AAD, writer->header.tag);
	kelp_image_seal_block(block);
	return disk->write(disk->context, KELP_IMAGE_HEADER, block, KELP_IMAGE_BLOCK)
		       ? KELP_OK
		       : KELP_ERR_IO;
}

/* Everything of begin() that can fail, once the frames for HOT ones may have been taken. */
static enum kelp_status begin(struct kelp_snapshot_writer *writer,
			      const struct snapshot_sizes *sizes, const void *payload,
			      size_t payload_size)
{
	const struct kelp_snapshot_config *config = &writer->config;
	uint8_t *block = config->buffer;
	enum kelp_status status = take_hot(writer);

	if (status == KELP_OK)
		status = make_header(writer, sizes, payload, payload_size);
	if (status == KELP_OK)
		status = snapshot_store_read(&writer->store, config, block);
	if (status == KELP_OK && !writer->store.settled)
		status = snapshot_store_settle(&writer->store, config, KELP_IMAGE_EMPTY, false,
					       block);
	if (status == KELP_OK)
		status = write_header(writer, block);
	return status;
}

enum kelp_status kelp_snapshot_begin(struct kelp_snapshot_writer *writer,
				     const struct kelp_snapshot_config *config,
				     const void *payload, size_t payload_size)
{
	struct snapshot_sizes sizes;
	enum kelp_status status;

	memset(writer, 0, sizeof(*writer));
	writer->config = *config;
	status = snapshot_check(config, 0, &sizes);
	if (status == KELP_OK && payload_size > KELP_IMAGE_PAYLOAD)
		status = KELP_ERR_ARGUMENT;
	if (status != KELP_OK)
		return status;
	writer->worker_memory = (uint8_t *)config->buffer + KELP_SNAPSHOT_SLOTS * sizes.io_size;
	writer->worker_size = sizes.worker;
	status = begin(writer, &sizes, payload, payload_size);
	if (status != KELP_OK) {
		kelp_snapshot_end(writer);
		return status;
	}
	snapshot_stream_begin(&writer->stream, config, &sizes, KELP_IMAGE_RECORDS, 0);
	writer->finished = snapshot_finished(config, &sizes);
	writer->finished_count = sizes.workers * SNAPSHOT_AHEAD;
	memset(writer->finished, 0, writer->finished_count * sizeof(struct snapshot_finished));
	writer->phase = WRITER_BEGUN;
	return KELP_OK;
}

/* ---- records ------------------------------------------------------------------------------- */

/* A record under way. */
struct piece {
	struct snapshot_worker worker;
	unsigned number;
	uint32_t index;
	uint32_t segments;
	uint32_t frames;
	uint32_t data_frames;
	uint32_t runs;
	uint32_t zero_frames;
	uint32_t uniform_frames;
	uint32_t size; /* of the record, head and all */
	/* Which records are in the worker's buffers, or were. */
	uint32_t held[SNAPSHOT_AHEAD];
	bool used[SNAPSHOT_AHEAD];
};

/* The next chunk_frames frames that are saved. False: there are no more. */
static bool next_piece(struct kelp_snapshot_writer *writer, struct piece *piece)
{
	const struct kelp_snapshot_memory *memory = writer->config.memory;
	uint32_t room = writer->header.chunk_frames;

	piece->segments = piece->frames = 0;
	while (room > 0 && writer->next_frame < memory->frame_limit) {
		uint64_t left;
		uint32_t frames;

		if (writer->next_frame >= writer->run_end)
			writer->run_class = class_at(memory, writer->next_frame, &writer->run_end);
		if (!is_saved(writer->run_class)) {
			writer->next_frame = writer->run_end;
			continue;
		}
		left = writer->run_end - writer->next_frame;
		frames = left < room ? (uint32_t)left : room;
		piece->worker.segment[piece->segments++] = (struct snapshot_segment){
			.first = writer->next_frame,
			.frames = frames,
			.hot = writer->run_class == KELP_SNAPSHOT_HOT,
		};
		writer->next_frame += frames;
		piece->frames += frames;
		room -= frames;
	}
	writer->taken += piece->frames;
	/* The header has promised a number: more or fewer, and memory was not frozen. */
	if (piece->frames == 0 ? writer->taken != writer->header.frames
			       : writer->taken > writer->header.frames)
		snapshot_fail(&writer->status, KELP_ERR_BUSY);
	if (piece->frames == 0 || snapshot_status(&writer->status) != KELP_OK)
		return false;
	piece->index = writer->next_record++;
	return true;
}

typedef uint64_t __attribute__((may_alias)) word_t;

/* Is the page one word over and over? Most pages are told by three words. */
static bool is_uniform(const void *page, size_t size, uint64_t *word)
{
	const word_t *at = page, *end = at + size / sizeof(word_t);
	uint64_t first = at[0];

	if (at[1] != first || end[-1] != first || at[size / sizeof(word_t) / 2u] != first)
		return false;
	for (; at < end; at += 8) {
		if ((at[0] ^ first) | (at[1] ^ first) | (at[2] ^ first) | (at[3] ^ first) |
		    (at[4] ^ first) | (at[5] ^ first) | (at[6] ^ first) | (at[7] ^ first))
			return false;
	}
	*word = first;
	return true;
}

/* One more frame: it extends the last run or begins one. */
static void add_frame(struct piece *piece, uint64_t frame, const void *page, size_t size)
{
	struct kelp_image_run *run = &piece->worker.run[piece->runs];
	uint64_t word = 0;
	bool uniform = is_uniform(page, size, &word);

	if (uniform && word == 0)
		piece->zero_frames++;
	else if (uniform)
		piece->uniform_frames++;
	else
		piece->worker.source[piece->data_frames++] = page;
	if (piece->runs > 0 && run[-1].uniform == uniform && run[-1].word == word &&
	    run[-1].first.number + run[-1].frames == frame) {
		run[-1].frames++;
		return;
	}
	*run = (struct kelp_image_run){
		.first = {frame},
		.frames = 1,
		.uniform = uniform,
		.word = word,
	};
	piece->runs++;
}

/* Where each frame can be read: in place, or copied to its place among the pages. */
static enum kelp_status look_at_frames(struct kelp_snapshot_writer *writer, struct piece *piece)
{
	const struct kelp_snapshot_memory *memory = writer->config.memory;
	size_t size = (size_t)1 << memory->page_shift;

	for (uint32_t i = 0; i < piece->segments; i++) {
		const struct snapshot_segment *segment = &piece->worker.segment[i];
		uint64_t got;

		for (uint32_t done = 0; done < segment->frames; done += (uint32_t)got) {
			uint64_t frame = segment->first + done;
			kelp_pfn_t source = {segment->hot ? shadow_of(writer, frame) : frame};
			const uint8_t *page;
			enum kelp_status status;

			got = segment->hot ? 1u : segment->frames - done;
			page = memory->view(memory->reach_context, source, &got);
			if (!page) {
				uint8_t *copy = piece->worker.pages +
						((size_t)piece->data_frames << memory->page_shift);

				got = 1;
				status = memory->read(memory->reach_context, piece->number, source,
						      copy);
				if (status != KELP_OK)
					return status;
				page = copy;
			}
			if (got > segment->frames - done)
				got = segment->frames - done;
			for (uint32_t n = 0; n < got; n++)
				add_frame(piece, frame + n, page + n * size, size);
		}
	}
	return KELP_OK;
}

/* The pages in a row: as they lie, when they do, else copied together. */
static const uint8_t *gather(const struct piece *piece, size_t size)
{
	const uint8_t *first = piece->worker.source[0];
	bool in_a_row = true;

	for (uint32_t i = 1; i < piece->data_frames; i++)
		in_a_row &= piece->worker.source[i] == first + i * size;
	if (in_a_row)
		return first;
	for (uint32_t i = 0; i < piece->data_frames; i++) {
		uint8_t *to = piece->worker.pages + i * size;

		if (piece->worker.source[i] != to)
			memcpy(to, piece->worker.source[i], size);
	}
	return piece->worker.pages;
}

/* Runs, then pages, compressed if that makes them smaller; sealed. */
static void make_record(struct kelp_snapshot_writer *writer, struct piece *piece)
{
	const struct kelp_snapshot_codec *codec = writer->config.codec;
	unsigned shift = writer->config.memory->page_shift;
	size_t pages = (size_t)piece->data_frames << shift, packed = 0;
	uint8_t *to = piece->worker.sealed + KELP_IMAGE_RECORD_HEAD;
	struct kelp_image_record record = {
		.index = piece->index,
		.runs = piece->runs,
		.data_frames = piece->data_frames,
		.codec = KELP_IMAGE_STORED,
	};

	for (uint32_t i = 0; i < piece->runs; i++, to += KELP_IMAGE_RUN)
		kelp_image_encode_run(to, &piece->worker.run[i]);
	if (pages > 0) {
		const uint8_t *from = gather(piece, (size_t)1 << shift);

		if (codec)
			packed = codec->compress(codec->context, piece->worker.workspace, to,
						 pages - 1u, from, pages);
		if (packed > 0 && packed < pages) {
			record.codec = codec->id;
		} else {
			memcpy(to, from, pages);
			packed = pages;
		}
	}
	record.size = (uint32_t)(piece->runs * KELP_IMAGE_RUN + packed);
	piece->size = (uint32_t)KELP_IMAGE_RECORD_HEAD + record.size;
	snapshot_seal_record(&writer->config, &writer->header, &writer->secret, &record,
			     piece->worker.sealed);
}

/* ---- their order --------------------------------------------------------------------------- */

static struct snapshot_finished *finished(struct kelp_snapshot_writer *writer, uint32_t index)
{
	/* As many buffers as there are entries hold the records from the turn on: all differ. */
	return (struct snapshot_finished *)writer->finished + index % writer->finished_count;
}

static enum kelp_status append(struct kelp_snapshot_writer *writer,
			       const struct snapshot_finished *record)
{
	const struct kelp_snapshot_config *config = &writer->config;
	struct kelp_snapshot_progress progress;
	enum kelp_status status;

	status = snapshot_stream_put(&writer->stream, config->disk, record->sealed, record->size);
	if (status != KELP_OK)
		return status;
	writer->totals.frames += record->frames;
	writer->totals.zero_frames += record->zero_frames;
	writer->totals.uniform_frames += record->uniform_frames;
	writer->totals.data_frames += record->data_frames;
	writer->totals.sealed_bytes += record->size;
	progress.frames = writer->totals.frames;
	progress.frames_total = writer->header.frames;
	progress.bytes = KELP_IMAGE_RECORDS + writer->totals.sealed_bytes;
	if (config->progress && !config->progress(config->progress_context, &progress))
		return KELP_ERR_CANCELLED;
	return KELP_OK;
}

static uint32_t turn_of(const struct kelp_snapshot_writer *writer)
{
	return __atomic_load_n(&writer->turn, __ATOMIC_SEQ_CST);
}

static bool is_ready(struct kelp_snapshot_writer *writer, uint32_t index)
{
	return __atomic_load_n(&finished(writer, index)->ready, __ATOMIC_SEQ_CST);
}

/*
 * Appends what is finished and whose turn has come, whoever made it. One worker at a time; when
 * another is at it, that one looks again after it has let go.
 */
static void append_finished(struct kelp_snapshot_writer *writer)
{
	while (is_ready(writer, turn_of(writer)) &&
	       snapshot_status(&writer->status) == KELP_OK) {
		uint32_t turn;

		if (__atomic_exchange_n(&writer->output, 1, __ATOMIC_SEQ_CST) != 0)
			return;
		turn = turn_of(writer);
		while (is_ready(writer, turn)) {
			struct snapshot_finished *record = finished(writer, turn);
			enum kelp_status status = append(writer, record);

			if (status != KELP_OK) {
				snapshot_fail(&writer->status, status);
				break;
			}
			__atomic_store_n(&record->ready, 0, __ATOMIC_RELAXED);
			__atomic_store_n(&writer->turn, ++turn, __ATOMIC_SEQ_CST);
		}
		__atomic_store_n(&writer->output, 0, __ATOMIC_SEQ_CST);
	}
}

static void hand_in(struct kelp_snapshot_writer *writer, const struct piece *piece)
{
	struct snapshot_finished *record = finished(writer, piece->index);

	record->frames = piece->frames;
	record->zero_frames = piece->zero_frames;
	record->uniform_frames = piece->uniform_frames;
	record->data_frames = piece->data_frames;
	record->size = piece->size;
	record->sealed = piece->worker.sealed;
	__atomic_store_n(&record->ready, 1, __ATOMIC_SEQ_CST);
	append_finished(writer);
}

/* A buffer whose record was appended. False: the attempt has failed. */
static bool find_buffer(struct kelp_snapshot_writer *writer, struct piece *piece,
			unsigned *buffer)
{
	for (;;) {
		uint32_t turn = turn_of(writer);

		for (*buffer = 0; *buffer < SNAPSHOT_AHEAD; ++*buffer) {
			if (!piece->used[*buffer] || piece->held[*buffer] < turn)
				return true;
		}
		if (snapshot_status(&writer->status) != KELP_OK)
			return false;
		snapshot_relax(&writer->config);
		append_finished(writer);
	}
}

static bool wait_for_all(struct kelp_snapshot_writer *writer)
{
	while (turn_of(writer) != writer->header.records - 1u) {
		if (snapshot_status(&writer->status) != KELP_OK)
			return false;
		append_finished(writer);
		snapshot_relax(&writer->config);
	}
	return snapshot_status(&writer->status) == KELP_OK;
}

static bool one_record(struct kelp_snapshot_writer *writer, struct piece *piece)
{
	enum kelp_status status;
	unsigned buffer;
	bool more;

	if (!find_buffer(writer, piece, &buffer))
		return false;
	snapshot_lock(&writer->config, &writer->lock);
	more = snapshot_status(&writer->status) == KELP_OK && next_piece(writer, piece);
	snapshot_unlock(&writer->lock);
	if (!more)
		return false;
	piece->used[buffer] = true;
	piece->held[buffer] = piece->index;
	piece->worker.sealed = piece->worker.records + buffer * piece->worker.stride;
	piece->data_frames = piece->runs = 0;
	piece->zero_frames = piece->uniform_frames = 0;
	/* Failing with a record in hand: nobody can have returned KELP_OK yet. */
	status = __atomic_load_n(&writer->cancelled, __ATOMIC_RELAXED)
			 ? KELP_ERR_CANCELLED
			 : look_at_frames(writer, piece);
	if (status != KELP_OK) {
		snapshot_fail(&writer->status, status);
		return false;
	}
	make_record(writer, piece);
	hand_in(writer, piece);
	return true;
}

enum kelp_status kelp_snapshot_write(struct kelp_snapshot_writer *writer, unsigned number)
{
	struct piece piece = {.number = number};
	struct snapshot_sizes sizes;
	enum kelp_status status = snapshot_sizes(&writer->config, 0, &sizes);

	expect_phase(writer, WRITER_FROZEN);
	if (status != KELP_OK || number >= sizes.workers)
		return KELP_ERR_ARGUMENT;
	snapshot_worker(&writer->config, &sizes, number, &piece.worker);
	while (one_record(writer, &piece))
		;
	return wait_for_all(writer) ? KELP_OK : snapshot_status(&writer->status);
}

/* ---- the end ------------------------------------------------------------------------------- */

static enum kelp_status put_trailer(struct kelp_snapshot_writer *writer)
{
	uint8_t sealed[KELP_IMAGE_RECORD_HEAD + KELP_IMAGE_TRAILER];
	struct kelp_image_record record = {
		.index = writer->header.records - 1u,
		.flags = KELP_IMAGE_RECORD_LAST,
		.size = KELP_IMAGE_TRAILER,
	};

	kelp_image_encode_totals(sealed + KELP_IMAGE_RECORD_HEAD, &writer->totals);
	snapshot_seal_record(&writer->config, &writer->header, &writer->secret, &record, sealed);
	return snapshot_stream_put(&writer->stream, writer->config.disk, sealed, sizeof(sealed));
}

/* All of it is permanent before the state block says so (INV-5.6). */
static enum kelp_status commit(struct kelp_snapshot_writer *writer)
{
	const struct kelp_snapshot_disk *disk = writer->config.disk;
	struct kelp_image_state state = {
		.kind = KELP_IMAGE_COMPLETE,
		.generation = writer->header.generation,
	};
	enum kelp_status status = put_trailer(writer);

	memcpy(state.image, writer->header.image, sizeof(state.image));
	memcpy(state.header_tag, writer->header.tag, sizeof(state.header_tag));
	state.end = snapshot_stream_place(&writer->stream);
	if (status == KELP_OK)
		status = snapshot_stream_drain(&writer->stream, disk);
	if (status != KELP_OK)
		return status;
	if (!disk->flush(disk->context))
		return KELP_ERR_IO;
	if (__atomic_load_n(&writer->cancelled, __ATOMIC_RELAXED))
		return KELP_ERR_CANCELLED;
	return snapshot_store_write(&writer->store, &writer->config, &state,
				    writer->config.buffer);
}

enum kelp_status kelp_snapshot_commit(struct kelp_snapshot_writer *writer,
				      struct kelp_image_totals *totals)
{
	enum kelp_status status = snapshot_status(&writer->status);

	expect_phase(writer, WRITER_FROZEN);
	KELP_ASSERT_ALWAYS(writer->config.port,
			   status != KELP_OK || writer->turn == writer->header.records - 1u,
			   "kelp_snapshot_commit: a worker has not returned");
	if (status == KELP_OK)
		status = commit(writer);
	if (status != KELP_OK) {
		snapshot_fail(&writer->status, status);
		snapshot_stream_stop(&writer->stream, writer->config.disk);
		return status;
	}
	writer->phase = WRITER_COMMITTED;
	if (totals)
		*totals = writer->totals;
	return KELP_OK;
}

void kelp_snapshot_cancel(struct kelp_snapshot_writer *writer)
{
	__atomic_store_n(&writer->cancelled, 1, __ATOMIC_RELAXED);
}

void kelp_snapshot_end(struct kelp_snapshot_writer *writer)
{
	if (writer->phase != WRITER_NEW)
		snapshot_stream_stop(&writer->stream, writer->config.disk);
	give_hot(writer);
	snapshot_scrub(&writer->secret, sizeof(writer->secret));
	if (writer->worker_memory)
		snapshot_scrub(writer->config.buffer, writer->config.buffer_size);
	writer->phase = WRITER_NEW;
}
