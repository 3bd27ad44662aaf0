/* SPDX-License-Identifier: MIT */
/* hibernate_bench: what the parts of writing and reading an image cost on this CPU. */
#include "hibernate_private.h"

#include <fill.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

#include <kelp_codecs.h>

#define SAMPLE (256u * 1024u)
/* The best of so many: what disturbs only lengthens. */
#define ROUNDS 12u

struct bench {
	uint8_t *from, *to, *workspace;
	size_t size;
	uint64_t sum;
};

static uint64_t time_of(void (*work)(struct bench *bench), struct bench *bench)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned long flags = arch_irq_save();
		uint64_t start = arch_ticks();

		work(bench);
		best = min_u64(best, arch_ticks() - start);
		arch_irq_restore(flags);
	}
	return best;
}

static void tell(const char *what, uint64_t ticks)
{
	uint64_t ns = max_u64(1, ticks_to_nanoseconds(ticks));

	kprintf("  %-34s %6llu MiB/s\n", what,
		(unsigned long long)(UINT64_C(1000000000) * SAMPLE / MIB / ns));
}

static void look(struct bench *bench)
{
	const uint64_t *word = (const uint64_t *)(const void *)bench->from;

	for (unsigned n = 0; n < SAMPLE / 8u; n += 4)
		bench->sum |= word[n] | word[n + 1] | word[n + 2] | word[n + 3];
}

static void copy(struct bench *bench)
{
	memcpy(bench->to, bench->from, SAMPLE);
}

static void compress(struct bench *bench)
{
	const struct kelp_snapshot_codec *codec = &kelp_codec_lz4;

	bench->size = codec->compress(codec->context, bench->workspace, bench->to, SAMPLE, bench->from,
				      SAMPLE);
}

static void expand(struct bench *bench)
{
	const struct kelp_snapshot_codec *codec = &kelp_codec_lz4;

	(void)codec->expand(codec->context, bench->from, SAMPLE, bench->to, bench->size);
}

static void seal(struct bench *bench)
{
	const struct kelp_snapshot_cipher *cipher = &kelp_cipher_chacha20_poly1305;
	static const uint8_t key[KELP_IMAGE_KEY] = {1}, nonce[KELP_IMAGE_NONCE] = {2};
	uint8_t tag[KELP_IMAGE_TAG];

	cipher->seal(cipher->context, key, nonce, nonce, sizeof(nonce), bench->from, SAMPLE, tag);
}

static void sample(struct bench *bench, enum fill_kind kind)
{
	uint64_t page = 0;

	for (unsigned i = 0; i < SAMPLE / FILL_PAGE; page++)
		if (fill_kind(1, page) == kind)
			fill_page(1, page, (uint64_t *)(void *)bench->from + i++ * FILL_WORDS);
}

static void time_codec(const char *name, struct bench *bench, enum fill_kind kind)
{
	char text[48];
	uint64_t ticks;

	sample(bench, kind);
	ticks = time_of(compress, bench);
	format_text(text, sizeof(text), "%s, to %u %%", name,
		    (unsigned)(bench->size * 100u / SAMPLE));
	tell(text, ticks);
	if (bench->size)
		tell("  and back", time_of(expand, bench));
}

bool hibernate_bench(void)
{
	unsigned order = frames_order(4 * SAMPLE);
	struct bench bench = {0};
	kelp_paddr_t address;

	if (!frames_take(order, FRAME_DIRECT, &address))
		return false;
	bench.from = direct_pointer(address);
	bench.to = bench.from + SAMPLE;
	bench.workspace = bench.from + 3 * SAMPLE;
	sample(&bench, FILL_ZERO);
	tell("looking for zeroes", time_of(look, &bench));
	tell("memcpy", time_of(copy, &bench));
	time_codec("LZ4, text", &bench, FILL_TEXT);
	time_codec("LZ4, random", &bench, FILL_RANDOM);
	tell("ChaCha20-Poly1305", time_of(seal, &bench));
	frames_give(order, address);
	return true;
}
