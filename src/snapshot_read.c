/* SPDX-License-Identifier: MIT */
/*
 * snapshot_read: resuming. Nothing that is read is used before it is authenticated, and no frame is
 * written before all of it is (INV-5.5).
 */
#include "snapshot_private.h"

enum reader_phase {
	READER_NEW = 0,
	READER_OPEN = 1,
	READER_MAPPED = 2,
	READER_CLAIMED = 3,
	READER_PLACED = 4,
	READER_CONSUMED = 5,
};

static void expect_phase(const struct kelp_snapshot_reader *reader, uint32_t phase)
{
	KELP_ASSERT_ALWAYS(reader->config.port, reader->phase == phase,
			   "kelp_snapshot: open, maps, verify, claim, place, load, consume");
}

/* ---- opening ------------------------------------------------------------------------------- */

static enum kelp_status check_identity(const struct kelp_snapshot_identity *image,
				       const struct kelp_snapshot_config *config)
{
	const struct kelp_snapshot_identity *here = &config->identity;

	if (memcmp(image->kernel, here->kernel, sizeof(here->kernel)) != 0)
		return KELP_ERR_OTHER_KERNEL;
	if (memcmp(image->memory, here->memory, sizeof(here->memory)) != 0)
		return KELP_ERR_OTHER_MEMORY;
	for (size_t i = 0; i < sizeof(here->cpu_features); i++) {
		if (image->cpu_features[i] & ~here->cpu_features[i])
			return KELP_ERR_OTHER_CPU;
	}
	if (image->cpus != here->cpus && !(config->flags & KELP_SNAPSHOT_ANY_CPU_COUNT))
		return KELP_ERR_CPU_COUNT;
	return KELP_OK;
}

/* The header that the state block names, authenticated. */
static enum kelp_status read_header(struct kelp_snapshot_reader *reader, uint8_t *block)
{
	const struct kelp_snapshot_config *config = &reader->config;
	const struct kelp_image_state *state = &reader->store.state;
	struct kelp_image_header *header = &reader->header;
	enum kelp_status status;

	if (!config->disk->read(config->disk->context, KELP_IMAGE_HEADER, block, KELP_IMAGE_BLOCK))
		return KELP_ERR_IO;
	status = kelp_image_decode_header(block, header);
	if (status != KELP_OK)
		return status;
	/* An older image's header is whole and not the one that the state was made for. */
	if (memcmp(header->image, state->image, sizeof(state->image)) != 0 ||
	    memcmp(header->tag, state->header_tag, sizeof(state->header_tag)) != 0 ||
	    header->generation != state->generation ||
	    !config->cipher->open(config->cipher->context, config->key, header->nonce, block,
				  KELP_IMAGE_HEADER_AAD, block + KELP_IMAGE_SEALED,
				  KELP_IMAGE_SEALED_SIZE, header->tag))
		return KELP_ERR_DAMAGED;
	status = kelp_image_decode_secret(block + KELP_IMAGE_SEALED, &reader->secret);
	snapshot_scrub(block, KELP_IMAGE_BLOCK);
	return status;
}

static enum kelp_status find_image(struct kelp_snapshot_reader *reader, uint8_t *block)
{
	const struct kelp_snapshot_config *config = &reader->config;
	const struct kelp_image_state *state = &reader->store.state;
	enum kelp_status status = snapshot_store_read(&reader->store, config, block);

	if (status != KELP_OK)
		return status;
	if (!reader->store.found || state->kind != KELP_IMAGE_COMPLETE) {
		/* What cannot be read might have said that there is one. */
		if (reader->store.unreadable)
			return KELP_ERR_IO;
		return !reader->store.found && reader->store.other_key ? KELP_ERR_KEY
								       : KELP_ERR_NO_IMAGE;
	}
	/* The area was made smaller, or the numbers are not from a writer. */
	if (state->end > config->disk->size || state->end < KELP_IMAGE_RECORDS)
		return KELP_ERR_DAMAGED;
	return read_header(reader, block);
}

static enum kelp_status is_for_us(const struct kelp_snapshot_reader *reader)
{
	const struct kelp_snapshot_config *config = &reader->config;
	const struct kelp_image_header *header = &reader->header;

	if (header->page_shift != config->memory->page_shift ||
	    header->cipher != config->cipher->id ||
	    (header->codec != KELP_IMAGE_STORED &&
	     (!config->codec || header->codec != config->codec->id)))
		return KELP_ERR_VERSION;
	if (header->generation < config->generation)
		return KELP_ERR_REPLAYED;
	return check_identity(&header->identity, config);
}

enum kelp_status kelp_snapshot_open(struct kelp_snapshot_reader *reader,
				    const struct kelp_snapshot_config *config)
{
	struct snapshot_sizes sizes;
	enum kelp_status status;

	memset(reader, 0, sizeof(*reader));
	reader->config = *config;
	/* With the smallest chunks: those of the image are not known yet. */
	status = snapshot_check(config, 1, &sizes);
	if (status == KELP_OK)
		status = find_image(reader, config->buffer);
	if (status == KELP_OK)
		status = is_for_us(reader);
	if (status == KELP_OK)
		status = snapshot_check(config, reader->header.chunk_frames, &sizes);
	if (status == KELP_OK && (reader->header.frame_limit > (UINT64_C(1) << 36) ||
				  reader->header.frame_limit >> 2 > SIZE_MAX - 8u))
		status = KELP_ERR_UNSUPPORTED;
	if (status != KELP_OK) {
		snapshot_scrub(&reader->secret, sizeof(reader->secret));
		return status;
	}
	reader->config.chunk_frames = reader->header.chunk_frames;
	reader->payload = reader->secret.payload;
	reader->payload_size = reader->secret.payload_size;
	reader->image_bytes = (reader->store.state.end + KELP_IMAGE_BLOCK - 1u) &
			      ~(uint64_t)(KELP_IMAGE_BLOCK - 1u);
	reader->worker_size = sizes.worker;
	/* Two maps of whole 32-bit words. */
	reader->map_size = (size_t)((reader->header.frame_limit + 31u) >> 5) * 8u;
	reader->phase = READER_OPEN;
	return KELP_OK;
}

/* ---- maps ---------------------------------------------------------------------------------- */

static bool bit(const uint32_t *map, uint64_t number)
{
	return map[(size_t)(number >> 5)] >> (number & 31u) & 1u;
}

static void set_bit(uint32_t *map, uint64_t number)
{
	map[(size_t)(number >> 5)] |= UINT32_C(1) << (number & 31u);
}

/* The next set bit from `number` on; the limit when there is none. */
static uint64_t next_bit(const uint32_t *map, uint64_t number, uint64_t limit)
{
	while (number < limit) {
		if ((number & 31u) == 0 && map[(size_t)(number >> 5)] == 0)
			number += 32;
		else if (bit(map, number))
			return number;
		else
			number++;
	}
	return limit;
}

/* ---- records ------------------------------------------------------------------------------- */

/* What is done with the frames of the image. */
enum pass {
	PASS_VERIFY,
	PASS_LOAD,
	PASS_VISIT,
};

/* A record under way. */
struct piece {
	struct snapshot_worker worker;
	unsigned number;
	enum pass pass;
	struct kelp_image_record record;
	uint64_t frames;
	uint64_t zero_frames;
	uint64_t uniform_frames;
	kelp_snapshot_visitor_t *visit;
	void *visit_context;
	uint64_t visited; /* frames below it were */
};

static enum kelp_status next_record(struct kelp_snapshot_reader *reader, struct piece *piece,
				    bool *more)
{
	const struct kelp_snapshot_disk *disk = reader->config.disk;
	uint8_t *sealed = piece->worker.sealed;
	enum kelp_status status;

	*more = reader->next_record < reader->header.records;
	if (!*more)
		return KELP_OK;
	status = snapshot_stream_get(&reader->stream, disk, sealed, KELP_IMAGE_RECORD_HEAD);
	if (status == KELP_OK)
		status = kelp_image_decode_record(sealed, &reader->header, reader->next_record,
						  &piece->record);
	if (status == KELP_OK)
		status = snapshot_stream_get(&reader->stream, disk,
					     sealed + KELP_IMAGE_RECORD_HEAD, piece->record.size);
	reader->next_record++;
	return status;
}

/* Runs ascend within a record and no frame comes twice in an image. */
static enum kelp_status check_runs(struct kelp_snapshot_reader *reader, struct piece *piece)
{
	const uint8_t *at = piece->worker.sealed + KELP_IMAGE_RECORD_HEAD;
	uint64_t behind = 0, data = 0;

	piece->frames = piece->zero_frames = piece->uniform_frames = 0;
	for (uint32_t i = 0; i < piece->record.runs; i++, at += KELP_IMAGE_RUN) {
		struct kelp_image_run *run = &piece->worker.run[i];
		enum kelp_status status =
			kelp_image_decode_run(at, reader->header.frame_limit, run);

		if (status != KELP_OK)
			return status;
		if (i > 0 && run->first.number < behind)
			return KELP_ERR_DAMAGED;
		behind = run->first.number + run->frames;
		piece->frames += run->frames;
		if (!run->uniform)
			data += run->frames;
		else if (run->word == 0)
			piece->zero_frames += run->frames;
		else
			piece->uniform_frames += run->frames;
	}
	if (data != piece->record.data_frames || piece->frames > reader->header.chunk_frames)
		return KELP_ERR_DAMAGED;
	return KELP_OK;
}

/* Every frame is new to verify() and known to load(), whatever the disk has become in between. */
static enum kelp_status note_homes(struct kelp_snapshot_reader *reader, const struct piece *piece)
{
	bool known = piece->pass == PASS_LOAD;

	for (uint32_t i = 0; i < piece->record.runs; i++) {
		const struct kelp_image_run *run = &piece->worker.run[i];

		for (uint32_t n = 0; n < run->frames; n++) {
			if (bit(reader->home, run->first.number + n) != known)
				return KELP_ERR_DAMAGED;
			if (!known)
				set_bit(reader->home, run->first.number + n);
		}
	}
	return KELP_OK;
}

/* For a visitor, who has no map: the frames of the image ascend. */
static enum kelp_status note_order(struct piece *piece)
{
	const struct kelp_image_run *run = piece->worker.run;
	const struct kelp_image_run *last = run + piece->record.runs - 1u;

	if (run->first.number < piece->visited)
		return KELP_ERR_DAMAGED;
	piece->visited = last->first.number + last->frames;
	return KELP_OK;
}

/* Behind the trailer nothing but zeroes up to the end of the block, and totals that agree. */
static enum kelp_status check_end(struct kelp_snapshot_reader *reader, const struct piece *piece)
{
	struct kelp_image_totals totals;
	uint64_t padding = reader->image_bytes - reader->store.state.end;
	enum kelp_status status;
	uint8_t byte = 0;

	kelp_image_decode_totals(piece->worker.sealed + KELP_IMAGE_RECORD_HEAD, &totals);
	if (snapshot_stream_place(&reader->stream) != reader->store.state.end ||
	    memcmp(&totals, &reader->seen, sizeof(totals)) != 0 ||
	    totals.frames != reader->header.frames)
		return KELP_ERR_DAMAGED;
	while (padding-- > 0) {
		status = snapshot_stream_get(&reader->stream, reader->config.disk, &byte, 1);
		if (status == KELP_OK && byte != 0)
			status = KELP_ERR_DAMAGED;
		if (status != KELP_OK)
			return status;
	}
	reader->totals = totals;
	return KELP_OK;
}

/* ---- frames -------------------------------------------------------------------------------- */

static kelp_pfn_t target_of(const struct kelp_snapshot_reader *reader, uint64_t frame)
{
	uint64_t low = 0, high = reader->relocations;
	kelp_pfn_t home = {frame};

	if (!bit(reader->away, frame))
		return home;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2u;

		if (reader->relocation[middle].to.number < frame)
			low = middle + 1u;
		else
			high = middle;
	}
	return reader->relocation[low].from;
}

static void fill_words(void *page, size_t size, uint64_t word)
{
	uint64_t __attribute__((may_alias)) *at = page;

	if (word == 0) {
		memset(page, 0, size);
		return;
	}
	for (size_t i = 0; i < size / sizeof(word); i++)
		at[i] = word;
}

static enum kelp_status store_page(const struct kelp_snapshot_reader *reader,
				   const struct piece *piece, uint64_t frame, const uint8_t *page)
{
	const struct kelp_snapshot_memory *memory = reader->config.memory;
	kelp_pfn_t target = target_of(reader, frame);
	uint64_t one = 1;
	void *to = memory->view_writable(memory->reach_context, target, &one);

	if (!to)
		return memory->write(memory->reach_context, piece->number, target, page);
	memcpy(to, page, (size_t)1 << memory->page_shift);
	return KELP_OK;
}

static enum kelp_status store_word(const struct kelp_snapshot_reader *reader,
				   const struct piece *piece, uint64_t frame, uint64_t word)
{
	const struct kelp_snapshot_memory *memory = reader->config.memory;
	size_t size = (size_t)1 << memory->page_shift;
	kelp_pfn_t target = target_of(reader, frame);
	uint64_t one = 1;
	void *to = memory->view_writable(memory->reach_context, target, &one);

	fill_words(to ? to : piece->worker.page, size, word);
	return to ? KELP_OK
		  : memory->write(memory->reach_context, piece->number, target,
				  piece->worker.page);
}

/* Where all data frames of the record lie in a row, in memory that is ours; NULL: nowhere. */
static uint8_t *in_a_row(const struct kelp_snapshot_reader *reader, const struct piece *piece)
{
	const struct kelp_snapshot_memory *memory = reader->config.memory;
	const struct kelp_image_run *data = NULL;
	uint64_t got;
	void *to;

	if (piece->pass != PASS_LOAD)
		return NULL;
	for (uint32_t i = 0; i < piece->record.runs; i++) {
		const struct kelp_image_run *run = &piece->worker.run[i];

		if (run->uniform)
			continue;
		if (data)
			return NULL;
		data = run;
	}
	for (uint32_t i = 0; data && i < data->frames; i++) {
		if (bit(reader->away, data->first.number + i))
			return NULL;
	}
	if (!data)
		return NULL;
	got = data->frames;
	to = memory->view_writable(memory->reach_context, data->first, &got);
	return to && got >= data->frames ? to : NULL;
}

/* The record's pages, expanded; *direct: they are at home already. */
static enum kelp_status expand(const struct kelp_snapshot_reader *reader,
			       const struct piece *piece, const uint8_t **pages, bool *direct)
{
	const struct kelp_snapshot_codec *codec = reader->config.codec;
	size_t runs = (size_t)piece->record.runs * KELP_IMAGE_RUN;
	const uint8_t *packed = piece->worker.sealed + KELP_IMAGE_RECORD_HEAD + runs;
	size_t size = (size_t)piece->record.data_frames << reader->header.page_shift;
	uint8_t *home = size ? in_a_row(reader, piece) : NULL;
	uint8_t *to = home ? home : piece->worker.pages;

	*direct = false;
	*pages = packed;
	if (piece->record.codec == KELP_IMAGE_STORED)
		return KELP_OK;
	if (!codec->expand(codec->context, to, size, packed, piece->record.size - runs))
		return KELP_ERR_DAMAGED;
	*direct = home;
	*pages = to;
	return KELP_OK;
}

static enum kelp_status hand_out(const struct kelp_snapshot_reader *reader,
				 const struct piece *piece)
{
	size_t size = (size_t)1 << reader->header.page_shift;
	const uint8_t *page;
	bool direct;
	enum kelp_status status = expand(reader, piece, &page, &direct);

	for (uint32_t i = 0; status == KELP_OK && i < piece->record.runs; i++) {
		const struct kelp_image_run *run = &piece->worker.run[i];

		for (uint32_t n = 0; status == KELP_OK && n < run->frames; n++) {
			uint64_t frame = run->first.number + n;

			if (piece->pass == PASS_VISIT)
				status = piece->visit(piece->visit_context, (kelp_pfn_t){frame},
						      run->uniform ? NULL : page, run->uniform,
						      run->word);
			else if (run->uniform)
				status = store_word(reader, piece, frame, run->word);
			else if (!direct)
				status = store_page(reader, piece, frame, page);
			page += run->uniform ? 0 : size;
		}
	}
	return status;
}

/* ---- passes -------------------------------------------------------------------------------- */

static enum kelp_status open_record(struct kelp_snapshot_reader *reader, struct piece *piece)
{
	if (!snapshot_open_record(&reader->config, &reader->header, &reader->secret,
				  &piece->record, piece->worker.sealed,
				  piece->pass == PASS_VERIFY))
		return KELP_ERR_DAMAGED;
	if (piece->record.flags & KELP_IMAGE_RECORD_LAST)
		return KELP_OK;
	return check_runs(reader, piece);
}

/* In the order in which workers come; the trailer after all others. */
static enum kelp_status account(struct kelp_snapshot_reader *reader, const struct piece *piece)
{
	enum kelp_status status = KELP_OK;
	const struct kelp_snapshot_config *config = &reader->config;
	struct kelp_snapshot_progress progress;

	if (piece->record.flags & KELP_IMAGE_RECORD_LAST)
		return check_end(reader, piece);
	if (piece->pass == PASS_VERIFY)
		status = note_homes(reader, piece);
	reader->seen.frames += piece->frames;
	reader->seen.zero_frames += piece->zero_frames;
	reader->seen.uniform_frames += piece->uniform_frames;
	reader->seen.data_frames += piece->record.data_frames;
	reader->seen.sealed_bytes += KELP_IMAGE_RECORD_HEAD + piece->record.size;
	progress.frames = reader->seen.frames;
	progress.frames_total = reader->header.frames;
	progress.bytes = KELP_IMAGE_RECORDS + reader->seen.sealed_bytes;
	if (status == KELP_OK && config->progress &&
	    !config->progress(config->progress_context, &progress))
		status = KELP_ERR_CANCELLED;
	return status;
}

/* Until the others have dealt with everything before the trailer. */
static bool wait_for_others(struct kelp_snapshot_reader *reader, uint32_t done)
{
	while (__atomic_load_n(&reader->done, __ATOMIC_ACQUIRE) < done) {
		if (snapshot_status(&reader->status) != KELP_OK)
			return false;
		snapshot_relax(&reader->config);
	}
	return true;
}

static bool one_record(struct kelp_snapshot_reader *reader, struct piece *piece)
{
	const struct kelp_snapshot_config *config = &reader->config;
	enum kelp_status status;
	bool more = false;

	snapshot_lock(config, &reader->lock);
	status = snapshot_status(&reader->status);
	if (status == KELP_OK)
		status = next_record(reader, piece, &more);
	snapshot_unlock(&reader->lock);
	if (status == KELP_OK && !more)
		return false;
	/* Failing with a record in hand: nobody can have returned KELP_OK yet. */
	if (status == KELP_OK && __atomic_load_n(&reader->cancelled, __ATOMIC_RELAXED))
		status = KELP_ERR_CANCELLED;
	if (status == KELP_OK)
		status = open_record(reader, piece);
	if (status == KELP_OK && (piece->record.flags & KELP_IMAGE_RECORD_LAST)) {
		if (!wait_for_others(reader, reader->header.records - 1u))
			return false;
	} else if (status == KELP_OK && piece->pass != PASS_VERIFY) {
		status = piece->pass == PASS_LOAD ? note_homes(reader, piece)
						  : note_order(piece);
		if (status == KELP_OK)
			status = hand_out(reader, piece);
	}
	if (status == KELP_OK) {
		snapshot_lock(config, &reader->lock);
		status = account(reader, piece);
		snapshot_unlock(&reader->lock);
	}
	if (status != KELP_OK) {
		snapshot_fail(&reader->status, status);
		return false;
	}
	__atomic_fetch_add(&reader->done, 1, __ATOMIC_ACQ_REL);
	return true;
}

static void start_pass(struct kelp_snapshot_reader *reader)
{
	struct snapshot_sizes sizes;
	enum kelp_status status = snapshot_sizes(&reader->config, 0, &sizes);

	KELP_ASSERT_ALWAYS(reader->config.port, status == KELP_OK && reader->working == 0,
			   "kelp_snapshot: a worker has not returned");
	snapshot_stream_stop(&reader->stream, reader->config.disk);
	snapshot_stream_begin(&reader->stream, &reader->config, &sizes, KELP_IMAGE_RECORDS,
			      reader->image_bytes);
	reader->next_record = reader->done = reader->complete = 0;
	reader->seen = (struct kelp_image_totals){0};
}

static enum kelp_status run_pass(struct kelp_snapshot_reader *reader, struct piece *piece)
{
	struct snapshot_sizes sizes;
	enum kelp_status status = snapshot_sizes(&reader->config, 0, &sizes);

	if (status != KELP_OK || piece->number >= sizes.workers)
		return KELP_ERR_ARGUMENT;
	snapshot_worker(&reader->config, &sizes, piece->number, &piece->worker);
	__atomic_fetch_add(&reader->working, 1, __ATOMIC_ACQ_REL);
	while (one_record(reader, piece))
		;
	if (wait_for_others(reader, reader->header.records))
		__atomic_store_n(&reader->complete, 1, __ATOMIC_RELEASE);
	__atomic_fetch_sub(&reader->working, 1, __ATOMIC_ACQ_REL);
	return snapshot_status(&reader->status);
}

/* A pass has gone through the whole image, and nobody is at work any more. */
static void expect_complete(const struct kelp_snapshot_reader *reader, uint32_t phase)
{
	expect_phase(reader, phase);
	KELP_ASSERT_ALWAYS(reader->config.port,
			   reader->complete && reader->working == 0 &&
				   snapshot_status(&reader->status) == KELP_OK,
			   "kelp_snapshot: the step before has not succeeded on every worker");
}

enum kelp_status kelp_snapshot_maps(struct kelp_snapshot_reader *reader, void *memory, size_t size)
{
	expect_phase(reader, READER_OPEN);
	if (size < reader->map_size || (!memory && reader->map_size > 0))
		return KELP_ERR_NO_MEMORY;
	if (reader->map_size > 0)
		memset(memory, 0, reader->map_size);
	reader->home = memory;
	reader->away = reader->home + reader->map_size / 8u;
	reader->phase = READER_MAPPED;
	start_pass(reader);
	return KELP_OK;
}

enum kelp_status kelp_snapshot_verify(struct kelp_snapshot_reader *reader, unsigned number)
{
	struct piece piece = {.number = number, .pass = PASS_VERIFY};

	expect_phase(reader, READER_MAPPED);
	return run_pass(reader, &piece);
}

enum kelp_status kelp_snapshot_load(struct kelp_snapshot_reader *reader, unsigned number)
{
	struct piece piece = {.number = number, .pass = PASS_LOAD};

	expect_phase(reader, READER_PLACED);
	return run_pass(reader, &piece);
}

void kelp_snapshot_reader_cancel(struct kelp_snapshot_reader *reader)
{
	__atomic_store_n(&reader->cancelled, 1, __ATOMIC_RELAXED);
}

enum kelp_status kelp_snapshot_each(struct kelp_snapshot_reader *reader,
				    kelp_snapshot_visitor_t *visit, void *context)
{
	struct piece piece = {.pass = PASS_VISIT, .visit = visit, .visit_context = context};
	enum kelp_status status;

	KELP_ASSERT_ALWAYS(reader->config.port,
			   reader->phase == READER_OPEN || reader->phase == READER_MAPPED,
			   "kelp_snapshot_each: after open or verify");
	start_pass(reader);
	status = run_pass(reader, &piece);
	/* What verify() found out is not true of this pass. */
	reader->complete = 0;
	return status;
}

/* ---- homes --------------------------------------------------------------------------------- */

bool kelp_snapshot_is_home(const struct kelp_snapshot_reader *reader, kelp_pfn_t frame)
{
	KELP_ASSERT_ALWAYS(reader->config.port,
			   reader->phase >= READER_CLAIMED || reader->complete,
			   "kelp_snapshot_is_home: before verify");
	return frame.number < reader->header.frame_limit && bit(reader->home, frame.number);
}

/* Gives back what was claimed below `limit`, scrubbed when it was written to. */
static void give_homes(struct kelp_snapshot_reader *reader, uint64_t limit)
{
	const struct kelp_snapshot_memory *memory = reader->config.memory;

	for (uint64_t frame = next_bit(reader->home, 0, limit); frame < limit;
	     frame = next_bit(reader->home, frame + 1u, limit)) {
		if (!bit(reader->away, frame))
			memory->give(memory->context, (kelp_pfn_t){frame});
	}
}

enum kelp_status kelp_snapshot_claim(struct kelp_snapshot_reader *reader)
{
	const struct kelp_snapshot_memory *memory = reader->config.memory;
	uint64_t limit = reader->header.frame_limit;

	expect_complete(reader, READER_MAPPED);
	reader->relocations = 0;
	memset(reader->away, 0, reader->map_size / 2u);
	for (uint64_t frame = next_bit(reader->home, 0, limit); frame < limit;
	     frame = next_bit(reader->home, frame + 1u, limit)) {
		switch (memory->claim(memory->context, (kelp_pfn_t){frame})) {
		case KELP_SNAPSHOT_HOME_TAKEN:
			break;
		case KELP_SNAPSHOT_HOME_IN_USE:
			set_bit(reader->away, frame);
			reader->relocations++;
			break;
		default:
			give_homes(reader, frame);
			return KELP_ERR_OTHER_MEMORY;
		}
	}
	reader->phase = READER_CLAIMED;
	return KELP_OK;
}

static void give_safe(struct kelp_snapshot_reader *reader)
{
	const struct kelp_snapshot_memory *memory = reader->config.memory;

	while (reader->placed > 0)
		memory->give(memory->context, reader->relocation[--reader->placed].from);
}

enum kelp_status kelp_snapshot_place(struct kelp_snapshot_reader *reader,
				     struct kelp_snapshot_relocation *list, uint64_t capacity)
{
	const struct kelp_snapshot_memory *memory = reader->config.memory;
	uint64_t limit = reader->header.frame_limit;

	expect_phase(reader, READER_CLAIMED);
	if (capacity < reader->relocations)
		return KELP_ERR_NO_MEMORY;
	reader->relocation = list;
	reader->placed = 0;
	for (uint64_t frame = next_bit(reader->away, 0, limit); frame < limit;
	     frame = next_bit(reader->away, frame + 1u, limit)) {
		kelp_pfn_t safe;

		if (!memory->take(memory->context, &safe)) {
			give_safe(reader);
			return KELP_ERR_NO_MEMORY;
		}
		list[reader->placed].from = safe;
		list[reader->placed++].to.number = frame;
		/* All free homes were claimed: what is free now is nobody's home (INV-5.3). */
		KELP_ASSERT_ALWAYS(reader->config.port, !kelp_snapshot_is_home(reader, safe),
				   "kelp_snapshot: the take hook gave a frame that was claimed");
	}
	reader->phase = READER_PLACED;
	start_pass(reader);
	return KELP_OK;
}

/* ---- the end ------------------------------------------------------------------------------- */

enum kelp_status kelp_snapshot_consume(struct kelp_snapshot_reader *reader)
{
	enum kelp_status status;

	expect_complete(reader, READER_PLACED);
	snapshot_stream_stop(&reader->stream, reader->config.disk);
	status = snapshot_store_settle(&reader->store, &reader->config, KELP_IMAGE_CONSUMED, true,
				       reader->config.buffer);
	if (status != KELP_OK)
		return status;
	reader->phase = READER_CONSUMED;
	return KELP_OK;
}

/* What load() may have written is memory of the machine: nobody else shall find it. */
static void scrub_frames(struct kelp_snapshot_reader *reader)
{
	uint64_t limit = reader->header.frame_limit;
	struct piece piece = {.number = 0};
	struct snapshot_sizes sizes;
	enum kelp_status status = snapshot_sizes(&reader->config, 0, &sizes);

	if (status == KELP_OK)
		snapshot_worker(&reader->config, &sizes, 0, &piece.worker);
	for (uint64_t frame = next_bit(reader->home, 0, limit); status == KELP_OK && frame < limit;
	     frame = next_bit(reader->home, frame + 1u, limit))
		status = store_word(reader, &piece, frame, 0);
}

void kelp_snapshot_close(struct kelp_snapshot_reader *reader)
{
	if (reader->phase >= READER_OPEN)
		snapshot_stream_stop(&reader->stream, reader->config.disk);
	if (reader->phase >= READER_PLACED)
		scrub_frames(reader);
	if (reader->phase >= READER_PLACED)
		give_safe(reader);
	if (reader->phase >= READER_CLAIMED)
		give_homes(reader, reader->header.frame_limit);
	if (reader->phase >= READER_OPEN)
		snapshot_scrub(reader->config.buffer, reader->config.buffer_size);
	snapshot_scrub(&reader->secret, sizeof(reader->secret));
	reader->payload_size = 0;
	reader->phase = READER_NEW;
}
