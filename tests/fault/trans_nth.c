/* SPDX-License-Identifier: MIT */
/*
 * INV-5.4: every table page that making transitional tables takes, on every format, is not to be
 * had once, then for ever. The answer is NO_MEMORY, not a byte of the source has changed, and every
 * page that was taken comes back; with the page there the same call then succeeds.
 */
#include <string.h>

#include "cases.h"

enum way {
	COPY,
	BUILD,
	MAP_PAGE,
	WAYS,
};

struct source {
	const struct kelp_format *format;
	struct kelp_space space;
	kelp_vaddr_t va;
	uint64_t size;
	struct kelp_trans_range ranges[2];
};

static void make_source(struct source *source, struct bare *bare)
{
	const struct kelp_format *f = bare->format;
	uint64_t page = page_of(f), unit = UINT64_C(1) << f->shift[1];
	struct kelp_flush flush = {0};

	*source = (struct source){.format = f, .va = some_va(f, 0)};
	source->size = some_va(f, 4) - source->va + 2u * unit;
	source->ranges[0] = (struct kelp_trans_range){{some_pa(f, 0) / page}, 3, 0};
	source->ranges[1] = (struct kelp_trans_range){
		{some_pa(f, 0) / page + unit / page + 1u}, unit / page, 0};
	assert_status(kelp_space_init(&source->space, f, &bare->port->hooks, 0), KELP_OK);
	kelp_flush_begin(&flush, &source->space);
	assert_status(kelp_space_map(&flush, source->va, some_pa(f, 0), 2u * unit + page,
				     rodata_of(f), 0), KELP_OK);
	assert_status(kelp_space_map(&flush, some_va(f, 4), some_pa(f, 1), 3u * page, data_of(f),
				     0), KELP_OK);
	kelp_flush_commit(&flush);
}

static enum kelp_status make(struct kelp_trans *trans, const struct source *source,
			     struct test_port *safe, enum way way)
{
	const struct kelp_format *f = source->format;
	enum kelp_status status = kelp_trans_init(trans, f, &safe->hooks, 0);

	if (status != KELP_OK) {
		assert_int_equal(safe->live, 0);
		return status;
	}
	if (way == COPY)
		status = kelp_trans_copy(trans, &source->space, source->va, source->size, NULL);
	else if (way == BUILD)
		status = kelp_trans_build(trans, some_va(f, 0) - some_pa(f, 0), source->ranges, 2);
	else
		status = kelp_trans_map_page(trans, source->va, (kelp_pfn_t){5}, text_of(f));
	if (status != KELP_OK)
		kelp_trans_destroy(trans);
	assert_int_equal(status == KELP_OK, safe->live > 0);
	return status;
}

static void fails_at(const struct source *source, struct bare *bare, enum way way)
{
	uint64_t digest = raw_digest(source->format, bare->port, source->space.root);
	unsigned takes = bare->port->takes, live = bare->port->live;

	for (unsigned n = 1;; n++) {
		struct test_port *safe = test_port_new(source->format);
		struct kelp_trans trans;
		enum kelp_status status;
		bool failed;

		for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
			test_port_fail(safe, n, for_ever);
			status = make(&trans, source, safe, way);
			failed = safe->failed > 0;
			test_port_fail(safe, 0, false);
			assert_status(status, failed ? KELP_ERR_NO_MEMORY : KELP_OK);
			assert_int_equal(raw_digest(source->format, bare->port,
						    source->space.root), digest);
			assert_int_equal(bare->port->takes, takes);
			assert_int_equal(bare->port->live, live);
			if (!failed)
				kelp_trans_destroy(&trans);
			assert_int_equal(safe->live, 0);
		}
		if (failed) {
			assert_status(make(&trans, source, safe, way), KELP_OK);
			kelp_trans_destroy(&trans);
		}
		assert_int_equal(safe->live, 0);
		test_port_free(safe);
		assert_no_failure();
		if (!failed) {
			/* The root and what is below it. */
			assert_true(n > source->format->levels);
			return;
		}
		assert_true(n < 100);
	}
}

static void every_page_can_be_missing(struct bare *bare)
{
	struct source source;

	make_source(&source, bare);
	for (enum way way = COPY; way < WAYS; way++)
		fails_at(&source, bare, way);
	kelp_space_destroy(&source.space);
	assert_int_equal(bare->port->live, 0);
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"INV-5.4 every page can be missing", every_page_can_be_missing, NULL},
	};

	return bare_cases_run("trans_nth", cases, COUNT_OF(cases));
}
