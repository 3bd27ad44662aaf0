/* SPDX-License-Identifier: MIT */
/* lz4: kelp_codec_lz4, on LZ4's block functions with the caller's memory. */
#include "kelp_codecs.h"

#define LZ4_STATIC_LINKING_ONLY
#include <lz4.h>

static size_t compress(void *context, void *workspace, void *to, size_t room, const void *from,
		       size_t size)
{
	int packed;

	(void)context;
	if (size > LZ4_MAX_INPUT_SIZE || room > LZ4_MAX_INPUT_SIZE)
		return 0;
	packed = LZ4_compress_fast_extState(workspace, from, to, (int)size, (int)room, 1);
	return packed > 0 ? (size_t)packed : 0;
}

static bool expand(void *context, void *to, size_t size, const void *from, size_t from_size)
{
	(void)context;
	return size <= LZ4_MAX_INPUT_SIZE && from_size <= LZ4_MAX_INPUT_SIZE &&
	       LZ4_decompress_safe(from, to, (int)from_size, (int)size) == (int)size;
}

const struct kelp_snapshot_codec kelp_codec_lz4 = {
	.id = KELP_IMAGE_LZ4,
	.workspace = sizeof(LZ4_stream_t),
	.compress = compress,
	.expand = expand,
};
