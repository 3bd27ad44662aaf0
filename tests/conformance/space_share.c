/* SPDX-License-Identifier: MIT */
/*
 * Conformance: root entries that two spaces share. In the simulator every CPU runs on the space
 * that is edited, and looks at what changed.
 */
#include "cases.h"

#include <string.h>

struct pair {
	struct kelp_space kernel, process;
	struct kelp_flush flush;
	kelp_vaddr_t va; /* of the root entry */
	uint64_t size;
	uint64_t page;
	kelp_attr_t attributes; /* global, if the format has it */
};

static void begin(struct pair *p, struct bare *bare)
{
	const struct kelp_format *f = bare->format;

	memset(p, 0, sizeof(*p));
	p->size = UINT64_C(1) << f->shift[f->levels - 1u];
	p->page = page_of(f);
	p->va = some_va(f, 0) & ~(p->size - 1u);
	p->attributes = kelp_format_closest(f, data_of(f) | KELP_ATTR_GLOBAL |
						       KELP_ATTR_ACCESSED | KELP_ATTR_DIRTY);
	assert_status(kelp_space_init(&p->kernel, f, &bare->port->hooks, KELP_SPACE_KEEP_ROOT),
		      KELP_OK);
	kelp_flush_begin(&p->flush, &p->kernel);
	assert_status(kelp_space_map(&p->flush, p->va, some_pa(f, 0), 2u * p->page, p->attributes,
				     KELP_LEAF_SHIFT(f->page_shift)), KELP_OK);
	kelp_flush_commit(&p->flush);
	assert_status(kelp_space_init(&p->process, f, &bare->port->hooks, 0), KELP_OK);
	kelp_flush_begin(&p->flush, &p->process);
	assert_status(kelp_space_share(&p->flush, &p->kernel, p->va, p->size), KELP_OK);
	kelp_flush_commit(&p->flush);
}

static void end(struct pair *p, struct bare *bare)
{
	kelp_space_destroy(&p->process);
	kelp_space_destroy(&p->kernel);
	assert_int_equal(bare->port->live, 0);
}

static void appears_in_both(struct bare *bare)
{
	struct pair p;
	kelp_paddr_t pa;

	begin(&p, bare);
	assert_status(kelp_space_translate(&p.process, p.va + p.page + 3u, &pa), KELP_OK);
	assert_int_equal(pa, some_pa(bare->format, 0) + p.page + 3u);
	kelp_flush_begin(&p.flush, &p.kernel);
	assert_status(kelp_space_unmap(&p.flush, p.va, p.page, 0), KELP_OK);
	kelp_flush_commit(&p.flush);
	assert_status(kelp_space_translate(&p.process, p.va, &pa), KELP_ERR_NOT_MAPPED);
	end(&p, bare);
}

/* Who edits through the process's root meets what the kernel mapped as global. */
static void global_leaves_are_known(struct bare *bare)
{
	uint64_t table = UINT64_C(1) << bare->format->shift[1];
	struct pair p;
	kelp_paddr_t pa;

	begin(&p, bare);
	kelp_flush_begin(&p.flush, &p.process);
	assert_status(kelp_space_unmap(&p.flush, p.va, table, 0), KELP_OK);
	kelp_flush_commit(&p.flush);
	assert_status(kelp_space_translate(&p.kernel, p.va, &pa), KELP_ERR_NOT_MAPPED);
	end(&p, bare);
}

int main(void)
{
	static const struct bare_case cases[] = {
		{"what is shared appears in both", appears_in_both, NULL},
		{"global leaves are known", global_leaves_are_known, NULL},
	};

	return bare_cases_run("space_share", cases, COUNT_OF(cases));
}
