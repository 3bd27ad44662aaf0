/* SPDX-License-Identifier: MIT */
/* image: fields to bytes and back. See kelp/image.h and docs/IMAGE.md. */
#include <kelp/image.h>

#include "bytes.h"

static const uint8_t state_magic[8] = {'K', 'E', 'L', 'P', 'S', 'T', 'A', 'T'};
static const uint8_t header_magic[8] = {'K', 'E', 'L', 'P', 'I', 'M', 'A', 'G'};

/* Where fields are; docs/IMAGE.md has the tables. */
enum {
	CHECKSUM = KELP_IMAGE_BLOCK - 4u, /* of both kinds of blocks */

	STATE_KIND = 12,
	STATE_SEQUENCE = 16,
	STATE_GENERATION = 24,
	STATE_IMAGE = 32,
	STATE_HEADER_TAG = 48,
	STATE_END = 64,
	STATE_NONCE = 72,
	STATE_RESERVED = 84,
	STATE_TAG = 96,

	HEADER_RESERVED = 12,
	HEADER_IMAGE = 16,
	HEADER_GENERATION = 32,
	HEADER_PAGE_SHIFT = 40,
	HEADER_CHUNK_FRAMES = 44,
	HEADER_CODEC = 48,
	HEADER_CIPHER = 52,
	HEADER_FRAMES = 56,
	HEADER_FRAME_LIMIT = 64,
	HEADER_RECORDS = 72,
	HEADER_CPUS = 76,
	HEADER_KERNEL = 80,
	HEADER_MEMORY = 112,
	HEADER_CPU_FEATURES = 144,
	HEADER_RESERVED_2 = 176,
	HEADER_NONCE = 484,
	HEADER_TAG = 496,

	SECRET_NONCE = 32,
	SECRET_SIZE = 44,
	SECRET_PAYLOAD = 48,
};

_Static_assert(STATE_TAG == KELP_IMAGE_STATE_AAD, "a state is authenticated up to its tag");
_Static_assert(HEADER_TAG == KELP_IMAGE_HEADER_AAD, "a header is authenticated up to its tag");
_Static_assert(SECRET_PAYLOAD + KELP_IMAGE_PAYLOAD <= KELP_IMAGE_SEALED_SIZE, "room");

/* ---- checksums ----------------------------------------------------------------------------- */

/* CRC-32C, reflected polynomial 0x82f63b78, four bits at a time. */
uint32_t kelp_image_checksum(const uint8_t *bytes, size_t size)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < size; i++) {
		crc ^= bytes[i];
		crc = crc >> 4 ^ table[crc & 15u];
		crc = crc >> 4 ^ table[crc & 15u];
	}
	return ~crc;
}

/* The finaliser of a 64-bit mixer: every bit of the input reaches every bit of the result. */
static uint64_t mix(uint64_t value)
{
	value ^= value >> 30;
	value *= UINT64_C(0xbf58476d1ce4e5b9);
	value ^= value >> 27;
	value *= UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

void kelp_image_digest(uint8_t digest[KELP_IMAGE_DIGEST], const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;
	uint64_t lane[4];

	for (unsigned i = 0; i < 4; i++)
		lane[i] = get64(digest + 8u * i);
	/* The length first, so that pieces cannot be shifted against each other. */
	lane[0] = mix(lane[0] + UINT64_C(0x9e3779b97f4a7c15) + size);
	for (size_t at = 0; at < size; at += 8) {
		uint64_t word = 0;

		for (size_t i = 0; i < 8 && at + i < size; i++)
			word |= (uint64_t)byte[at + i] << 8u * i;
		for (unsigned i = 0; i < 4; i++)
			lane[i] = mix(lane[i] + word + UINT64_C(0x9e3779b97f4a7c15) * (i + 1u));
	}
	for (unsigned i = 0; i < 4; i++)
		put64(digest + 8u * i, mix(lane[i] + lane[(i + 1u) & 3u]));
}

/* ---- blocks -------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *bytes, size_t size)
{
	uint8_t seen = 0;

	for (size_t i = 0; i < size; i++)
		seen |= bytes[i];
	return seen == 0;
}

static void begin_block(uint8_t *block, const uint8_t *magic)
{
	memset(block, 0, KELP_IMAGE_BLOCK);
	memcpy(block, magic, 8);
	put32(block + 8, KELP_IMAGE_VERSION);
}

/* The version is looked at before the rest, whose places it says. */
static enum kelp_status check_block(const uint8_t *block, const uint8_t *magic)
{
	if (memcmp(block, magic, 8) != 0 ||
	    get32(block + CHECKSUM) != kelp_image_checksum(block, CHECKSUM))
		return KELP_ERR_DAMAGED;
	return get32(block + 8) == KELP_IMAGE_VERSION ? KELP_OK : KELP_ERR_VERSION;
}

void kelp_image_put_tag(uint8_t *block, size_t offset, const uint8_t *tag)
{
	memcpy(block + offset, tag, KELP_IMAGE_TAG);
}

void kelp_image_seal_block(uint8_t *block)
{
	put32(block + CHECKSUM, kelp_image_checksum(block, CHECKSUM));
}

void kelp_image_encode_state(uint8_t *block, const struct kelp_image_state *state)
{
	begin_block(block, state_magic);
	put32(block + STATE_KIND, (uint32_t)state->kind);
	put64(block + STATE_SEQUENCE, state->sequence);
	put64(block + STATE_GENERATION, state->generation);
	memcpy(block + STATE_IMAGE, state->image, KELP_IMAGE_ID);
	memcpy(block + STATE_HEADER_TAG, state->header_tag, KELP_IMAGE_TAG);
	put64(block + STATE_END, state->end);
	memcpy(block + STATE_NONCE, state->nonce, KELP_IMAGE_NONCE);
}

enum kelp_status kelp_image_decode_state(const uint8_t *block, struct kelp_image_state *state)
{
	enum kelp_status status = check_block(block, state_magic);
	uint32_t kind = get32(block + STATE_KIND);

	if (status != KELP_OK)
		return status;
	if (kind < KELP_IMAGE_EMPTY || kind > KELP_IMAGE_CONSUMED ||
	    !is_zero(block + STATE_RESERVED, STATE_TAG - STATE_RESERVED) ||
	    !is_zero(block + STATE_TAG + KELP_IMAGE_TAG, CHECKSUM - STATE_TAG - KELP_IMAGE_TAG))
		return KELP_ERR_DAMAGED;
	*state = (struct kelp_image_state){
		.kind = (enum kelp_image_state_kind)kind,
		.sequence = get64(block + STATE_SEQUENCE),
		.generation = get64(block + STATE_GENERATION),
		.end = get64(block + STATE_END),
	};
	memcpy(state->image, block + STATE_IMAGE, KELP_IMAGE_ID);
	memcpy(state->header_tag, block + STATE_HEADER_TAG, KELP_IMAGE_TAG);
	memcpy(state->nonce, block + STATE_NONCE, KELP_IMAGE_NONCE);
	memcpy(state->tag, block + STATE_TAG, KELP_IMAGE_TAG);
	return KELP_OK;
}

void kelp_image_encode_header(uint8_t *block, const struct kelp_image_header *header)
{
	begin_block(block, header_magic);
	memcpy(block + HEADER_IMAGE, header->image, KELP_IMAGE_ID);
	put64(block + HEADER_GENERATION, header->generation);
	put32(block + HEADER_PAGE_SHIFT, header->page_shift);
	put32(block + HEADER_CHUNK_FRAMES, header->chunk_frames);
	put32(block + HEADER_CODEC, header->codec);
	put32(block + HEADER_CIPHER, header->cipher);
	put64(block + HEADER_FRAMES, header->frames);
	put64(block + HEADER_FRAME_LIMIT, header->frame_limit);
	put32(block + HEADER_RECORDS, header->records);
	put32(block + HEADER_CPUS, header->identity.cpus);
	memcpy(block + HEADER_KERNEL, header->identity.kernel, KELP_IMAGE_DIGEST);
	memcpy(block + HEADER_MEMORY, header->identity.memory, KELP_IMAGE_DIGEST);
	memcpy(block + HEADER_CPU_FEATURES, header->identity.cpu_features,
	       sizeof(header->identity.cpu_features));
	memcpy(block + HEADER_NONCE, header->nonce, KELP_IMAGE_NONCE);
}

/* Numbers that no writer makes, and that a reader's arithmetic could not bear. */
static bool is_possible(const struct kelp_image_header *header)
{
	/* Records but for the trailer: as many as the frames fill. */
	uint64_t full = (uint64_t)(header->records - 1u) * header->chunk_frames;

	return header->page_shift >= 10 && header->page_shift <= 24 && header->chunk_frames > 0 &&
	       header->chunk_frames <= KELP_IMAGE_CHUNK_FRAMES_MAX &&
	       header->chunk_frames <= KELP_IMAGE_CHUNK_BYTES_MAX >> header->page_shift &&
	       header->records > 0 && header->frames <= full &&
	       full - header->frames < header->chunk_frames &&
	       header->frames <= header->frame_limit &&
	       header->frame_limit <= UINT64_MAX >> header->page_shift;
}

enum kelp_status kelp_image_decode_header(const uint8_t *block, struct kelp_image_header *header)
{
	enum kelp_status status = check_block(block, header_magic);

	if (status != KELP_OK)
		return status;
	*header = (struct kelp_image_header){
		.generation = get64(block + HEADER_GENERATION),
		.page_shift = get32(block + HEADER_PAGE_SHIFT),
		.chunk_frames = get32(block + HEADER_CHUNK_FRAMES),
		.codec = get32(block + HEADER_CODEC),
		.cipher = get32(block + HEADER_CIPHER),
		.frames = get64(block + HEADER_FRAMES),
		.frame_limit = get64(block + HEADER_FRAME_LIMIT),
		.records = get32(block + HEADER_RECORDS),
		.identity.cpus = get32(block + HEADER_CPUS),
	};
	memcpy(header->image, block + HEADER_IMAGE, KELP_IMAGE_ID);
	memcpy(header->identity.kernel, block + HEADER_KERNEL, KELP_IMAGE_DIGEST);
	memcpy(header->identity.memory, block + HEADER_MEMORY, KELP_IMAGE_DIGEST);
	memcpy(header->identity.cpu_features, block + HEADER_CPU_FEATURES,
	       sizeof(header->identity.cpu_features));
	memcpy(header->nonce, block + HEADER_NONCE, KELP_IMAGE_NONCE);
	memcpy(header->tag, block + HEADER_TAG, KELP_IMAGE_TAG);
	if (!is_zero(block + HEADER_RESERVED, HEADER_IMAGE - HEADER_RESERVED) ||
	    !is_zero(block + HEADER_RESERVED_2, HEADER_NONCE - HEADER_RESERVED_2) ||
	    !is_possible(header))
		return KELP_ERR_DAMAGED;
	return KELP_OK;
}

void kelp_image_encode_secret(uint8_t *sealed, const struct kelp_image_secret *secret)
{
	memset(sealed, 0, KELP_IMAGE_SEALED_SIZE);
	memcpy(sealed, secret->key, KELP_IMAGE_KEY);
	memcpy(sealed + SECRET_NONCE, secret->nonce, KELP_IMAGE_NONCE);
	put32(sealed + SECRET_SIZE, secret->payload_size);
	memcpy(sealed + SECRET_PAYLOAD, secret->payload, secret->payload_size);
}

enum kelp_status kelp_image_decode_secret(const uint8_t *sealed, struct kelp_image_secret *secret)
{
	uint32_t size = get32(sealed + SECRET_SIZE);

	if (size > KELP_IMAGE_PAYLOAD ||
	    !is_zero(sealed + SECRET_PAYLOAD + size,
		     KELP_IMAGE_SEALED_SIZE - SECRET_PAYLOAD - size))
		return KELP_ERR_DAMAGED;
	memcpy(secret->key, sealed, KELP_IMAGE_KEY);
	memcpy(secret->nonce, sealed + SECRET_NONCE, KELP_IMAGE_NONCE);
	secret->payload_size = size;
	memcpy(secret->payload, sealed + SECRET_PAYLOAD, KELP_IMAGE_PAYLOAD);
	return KELP_OK;
}

/* ---- records ------------------------------------------------------------------------------- */

void kelp_image_encode_record(uint8_t *head, const struct kelp_image_record *record)
{
	put32(head, record->index);
	put32(head + 4, record->flags);
	put32(head + 8, record->size);
	put32(head + 12, record->runs);
	put32(head + 16, record->data_frames);
	put32(head + 20, record->codec);
	memcpy(head + KELP_IMAGE_RECORD_FIELDS, record->tag, KELP_IMAGE_TAG);
}

size_t kelp_image_record_limit(uint32_t page_shift, uint32_t chunk_frames)
{
	size_t limit = chunk_frames * (((size_t)1 << page_shift) + KELP_IMAGE_RUN);

	return limit < KELP_IMAGE_TRAILER ? KELP_IMAGE_TRAILER : limit;
}

enum kelp_status kelp_image_decode_record(const uint8_t *head,
					  const struct kelp_image_header *header, uint32_t index,
					  struct kelp_image_record *record)
{
	bool last = index == header->records - 1u;
	uint64_t pages, runs;

	*record = (struct kelp_image_record){
		.index = get32(head),
		.flags = get32(head + 4),
		.size = get32(head + 8),
		.runs = get32(head + 12),
		.data_frames = get32(head + 16),
		.codec = get32(head + 20),
	};
	memcpy(record->tag, head + KELP_IMAGE_RECORD_FIELDS, KELP_IMAGE_TAG);
	if (record->index != index || record->flags != (last ? KELP_IMAGE_RECORD_LAST : 0) ||
	    record->runs > header->chunk_frames || record->data_frames > header->chunk_frames)
		return KELP_ERR_DAMAGED;
	if (last) /* the trailer has totals alone */
		return record->runs == 0 && record->data_frames == 0 &&
				       record->codec == KELP_IMAGE_STORED &&
				       record->size == KELP_IMAGE_TRAILER
			       ? KELP_OK
			       : KELP_ERR_DAMAGED;
	pages = (uint64_t)record->data_frames << header->page_shift;
	runs = (uint64_t)record->runs * KELP_IMAGE_RUN;
	if (record->runs == 0 || record->size < runs)
		return KELP_ERR_DAMAGED;
	if (record->codec == KELP_IMAGE_STORED)
		return record->size - runs == pages ? KELP_OK : KELP_ERR_DAMAGED;
	/* Compressed: by the header's codec, and to something smaller. */
	if (record->codec != header->codec || record->size - runs >= pages ||
	    record->size == runs)
		return KELP_ERR_DAMAGED;
	return KELP_OK;
}

/* The kind of a run is in the top bit of its count. */
#define RUN_UNIFORM (UINT32_C(1) << 31)

void kelp_image_encode_run(uint8_t *bytes, const struct kelp_image_run *run)
{
	put64(bytes, run->first.number);
	put32(bytes + 8, run->frames | (run->uniform ? RUN_UNIFORM : 0));
	put32(bytes + 12, 0);
	put64(bytes + 16, run->uniform ? run->word : 0);
}

enum kelp_status kelp_image_decode_run(const uint8_t *bytes, uint64_t frame_limit,
				       struct kelp_image_run *run)
{
	uint32_t count = get32(bytes + 8);

	*run = (struct kelp_image_run){
		.first = {get64(bytes)},
		.frames = count & ~RUN_UNIFORM,
		.uniform = count & RUN_UNIFORM,
		.word = get64(bytes + 16),
	};
	if (run->frames == 0 || run->first.number >= frame_limit ||
	    run->frames > frame_limit - run->first.number || get32(bytes + 12) != 0 ||
	    (!run->uniform && run->word != 0))
		return KELP_ERR_DAMAGED;
	return KELP_OK;
}

/* ---- the trailer --------------------------------------------------------------------------- */

void kelp_image_encode_totals(uint8_t *bytes, const struct kelp_image_totals *totals)
{
	put64(bytes, totals->frames);
	put64(bytes + 8, totals->zero_frames);
	put64(bytes + 16, totals->uniform_frames);
	put64(bytes + 24, totals->data_frames);
	put64(bytes + 32, totals->sealed_bytes);
}

void kelp_image_decode_totals(const uint8_t *bytes, struct kelp_image_totals *totals)
{
	*totals = (struct kelp_image_totals){
		.frames = get64(bytes),
		.zero_frames = get64(bytes + 8),
		.uniform_frames = get64(bytes + 16),
		.data_frames = get64(bytes + 24),
		.sealed_bytes = get64(bytes + 32),
	};
}
