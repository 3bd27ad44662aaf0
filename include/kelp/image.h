/* SPDX-License-Identifier: MIT */
/*
 * image: the bytes of a snapshot on its disk, as pure functions: no I/O, no cryptography, no
 * memory but the caller's. docs/IMAGE.md says the same byte by byte.
 *
 * An area of a disk holds two state blocks, one header block, and records one after another:
 *
 *	0      state block of even sequence numbers
 *	4096   state block of odd ones
 *	8192   header
 *	12288  records; the last one is the trailer; zeroes up to a whole block
 *
 * All fields are little-endian. What is reserved is zero, and is refused when it is not: no bit of
 * an image is free to change. The checksums here tell torn and foreign blocks from whole ones;
 * authenticity is the cipher's (kelp/snapshot.h).
 *
 * Phase and context: any. Locking: none.
 */
#ifndef KELP_IMAGE_H
#define KELP_IMAGE_H

#include <kelp/status.h>
#include <kelp/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KELP_IMAGE_VERSION 1u

#define KELP_IMAGE_BLOCK   4096u /* bytes; every access to the disk is of whole blocks */
#define KELP_IMAGE_HEADER  8192u /* where the header is */
#define KELP_IMAGE_RECORDS 12288u /* where the first record begins */

#define KELP_IMAGE_ID      16u
#define KELP_IMAGE_KEY     32u
#define KELP_IMAGE_NONCE   12u
#define KELP_IMAGE_TAG     16u
#define KELP_IMAGE_DIGEST  32u
#define KELP_IMAGE_PAYLOAD 2048u /* bytes that an embedder may put into the header */

/* Of a block: what is authenticated, and where the sealed part of a header begins. */
#define KELP_IMAGE_STATE_AAD   96u
#define KELP_IMAGE_HEADER_AAD  496u
#define KELP_IMAGE_SEALED      512u
#define KELP_IMAGE_SEALED_SIZE (KELP_IMAGE_BLOCK - 4u - KELP_IMAGE_SEALED)

/* Of a record: the fields, the tag behind them, and what each run takes. */
#define KELP_IMAGE_RECORD_FIELDS 24u
#define KELP_IMAGE_RECORD_HEAD   (KELP_IMAGE_RECORD_FIELDS + KELP_IMAGE_TAG)
#define KELP_IMAGE_RUN           24u
#define KELP_IMAGE_TRAILER       40u

/* Frames of one record at most, so that lengths fit 32 bits with every page size. */
#define KELP_IMAGE_CHUNK_FRAMES_MAX 4096u
#define KELP_IMAGE_CHUNK_BYTES_MAX  (UINT32_C(1) << 26)

enum kelp_image_codec {
	KELP_IMAGE_STORED = 0,
	KELP_IMAGE_LZ4 = 1, /* an LZ4 block (lz4_Block_format.md of LZ4 1.9.4) */
};
enum kelp_image_cipher {
	KELP_IMAGE_CHACHA20_POLY1305 = 1, /* RFC 8439 */
};

/* What an area's state block says. */
enum kelp_image_state_kind {
	KELP_IMAGE_EMPTY = 1,    /* nothing to resume; an image may be being written */
	KELP_IMAGE_COMPLETE = 2, /* the image that is named here is whole */
	KELP_IMAGE_CONSUMED = 3, /* it was resumed or given up */
};

struct kelp_image_state {
	enum kelp_image_state_kind kind;
	uint64_t sequence;    /* the higher one of two is what holds */
	uint64_t generation;
	uint8_t image[KELP_IMAGE_ID];
	uint8_t header_tag[KELP_IMAGE_TAG];
	uint64_t end;         /* bytes from the area's start past the last record */
	uint8_t nonce[KELP_IMAGE_NONCE];
	uint8_t tag[KELP_IMAGE_TAG];
};

/* Whose memory it is. Each part that differs has an answer of its own. */
struct kelp_snapshot_identity {
	uint8_t kernel[KELP_IMAGE_DIGEST]; /* of the build, in the embedder's way */
	uint8_t memory[KELP_IMAGE_DIGEST]; /* of the memory map: kelp_image_digest() */
	uint8_t cpu_features[32];          /* a set: what is in the image's must be here too */
	uint32_t cpus;
};

struct kelp_image_header {
	uint8_t image[KELP_IMAGE_ID];
	uint64_t generation;
	uint32_t page_shift;
	uint32_t chunk_frames; /* of one record at most */
	uint32_t codec;        /* enum kelp_image_codec */
	uint32_t cipher;       /* enum kelp_image_cipher */
	uint64_t frames;       /* saved, elided ones among them */
	uint64_t frame_limit;  /* above the highest number */
	uint32_t records;      /* the trailer among them */
	struct kelp_snapshot_identity identity;
	uint8_t nonce[KELP_IMAGE_NONCE];
	uint8_t tag[KELP_IMAGE_TAG];
};

/* What is sealed in the header. */
struct kelp_image_secret {
	uint8_t key[KELP_IMAGE_KEY];         /* of the records, of this image alone */
	uint8_t nonce[KELP_IMAGE_NONCE];     /* of record 0; each next one has the next */
	uint32_t payload_size;
	uint8_t payload[KELP_IMAGE_PAYLOAD]; /* the embedder's */
};

#define KELP_IMAGE_RECORD_LAST (UINT32_C(1) << 0) /* the trailer */

/* A record's plain part. Behind its tag: the runs, then the pages, compressed or not; sealed. */
struct kelp_image_record {
	uint32_t index;
	uint32_t flags;       /* KELP_IMAGE_RECORD_* */
	uint32_t size;        /* bytes sealed */
	uint32_t runs;
	uint32_t data_frames; /* frames whose pages are here */
	uint32_t codec;       /* STORED, or the header's */
	uint8_t tag[KELP_IMAGE_TAG];
};

/* Consecutive frames, either with pages in the record or all of one repeated 64-bit word. */
struct kelp_image_run {
	kelp_pfn_t first;
	uint32_t frames;
	bool uniform;
	uint64_t word; /* when uniform; little-endian in memory, as everything here */
};

/* The trailer's contents: what was written, for the reader to compare. */
struct kelp_image_totals {
	uint64_t frames;         /* all */
	uint64_t zero_frames;    /* of those, uniform with the word 0 */
	uint64_t uniform_frames; /* of those, uniform with another word */
	uint64_t data_frames;    /* of those, with pages in the image */
	uint64_t sealed_bytes;   /* of all records before the trailer, heads included */
};

/*
 * Blocks. encode fills `block` (KELP_IMAGE_BLOCK bytes) but for the checksum, which
 * kelp_image_seal_block() puts in when tag and sealed part are there. decode checks what can be
 * checked without a key: DAMAGED (magic, checksum, a reserved byte, a value that cannot be),
 * VERSION.
 */
void kelp_image_encode_state(uint8_t *block, const struct kelp_image_state *state);
void kelp_image_encode_header(uint8_t *block, const struct kelp_image_header *header);
void kelp_image_put_tag(uint8_t *block, size_t offset, const uint8_t *tag);
void kelp_image_seal_block(uint8_t *block);
enum kelp_status kelp_image_decode_state(const uint8_t *block,
					 struct kelp_image_state *state) KELP_WARN_UNUSED;
enum kelp_status kelp_image_decode_header(const uint8_t *block,
					  struct kelp_image_header *header) KELP_WARN_UNUSED;

/* The sealed part of a header, KELP_IMAGE_SEALED_SIZE bytes, in the clear. Error: DAMAGED. */
void kelp_image_encode_secret(uint8_t *sealed, const struct kelp_image_secret *secret);
enum kelp_status kelp_image_decode_secret(const uint8_t *sealed,
					  struct kelp_image_secret *secret) KELP_WARN_UNUSED;

/*
 * Records. decode checks a head against its header and the index that it must have, so that no
 * length in it exceeds what kelp_image_record_limit() says. Error: DAMAGED.
 */
void kelp_image_encode_record(uint8_t *head, const struct kelp_image_record *record);
enum kelp_status kelp_image_decode_record(const uint8_t *head,
					  const struct kelp_image_header *header, uint32_t index,
					  struct kelp_image_record *record) KELP_WARN_UNUSED;
/* The most sealed bytes that a record of this header has. */
size_t kelp_image_record_limit(uint32_t page_shift, uint32_t chunk_frames);

/* One run. decode: it has frames, and all of them below frame_limit. Error: DAMAGED. */
void kelp_image_encode_run(uint8_t *bytes, const struct kelp_image_run *run);
enum kelp_status kelp_image_decode_run(const uint8_t *bytes, uint64_t frame_limit,
				       struct kelp_image_run *run) KELP_WARN_UNUSED;

void kelp_image_encode_totals(uint8_t *bytes, const struct kelp_image_totals *totals);
void kelp_image_decode_totals(const uint8_t *bytes, struct kelp_image_totals *totals);

/* CRC-32C (RFC 3720, B.4) of `size` bytes. */
uint32_t kelp_image_checksum(const uint8_t *bytes, size_t size);

/*
 * A digest for identities: of `size` bytes, mixed into `digest`, which starts as zeroes and may
 * take any number of pieces. It tells machines and builds apart; it is no cryptographic hash, and
 * needs to be none: the header that carries it is authenticated.
 */
void kelp_image_digest(uint8_t digest[KELP_IMAGE_DIGEST], const void *bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif
