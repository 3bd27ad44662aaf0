/* SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* ---- lists ------------------------------------------------------------------------------- */

void step_append(struct step_list *list, const struct step *step)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? 2 * list->capacity : 256;
		list->steps = realloc(list->steps, list->capacity * sizeof(*list->steps));
		if (!list->steps)
			abort();
	}
	list->steps[list->count++] = *step;
}

void step_list_free(struct step_list *list)
{
	free(list->steps);
	*list = (struct step_list){0};
}

static void print_attributes(FILE *file, kelp_attr_t attributes)
{
	static const char *const names[] = {
		"READ", "WRITE", "EXEC", "USER", "GLOBAL", "ACCESSED", "DIRTY", "SHARED", "INVALID",
		NULL, NULL, NULL, "SOFT0", "SOFT1", "SOFT2", "SOFT3",
	};
	const char *between = "";
	unsigned type = (attributes & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;
	kelp_attr_t rest = attributes & ~KELP_ATTR_ALL;

	for (unsigned i = 0; i < 16; i++)
		if ((attributes >> i & 1) && names[i]) {
			fprintf(file, "%sKELP_ATTR_%s", between, names[i]);
			between = " | ";
		}
	if (type == 7 && (attributes & KELP_ATTR_ALL) == KELP_ATTR_TYPE_MASK) {
		fprintf(file, "%sKELP_ATTR_TYPE_MASK", between);
		between = " | ";
	} else if (type) {
		fprintf(file, "%sKELP_ATTR_TYPE(%u)", between, type);
		between = " | ";
	}
	if (rest || !attributes)
		fprintf(file, "%s0x%" PRIx32, between, rest);
}

static void print_flags(FILE *file, uint32_t flags)
{
	static const char *const names[] = {"KELP_REPLACE", "KELP_ALLOW_BREAK", "KELP_STRICT",
					    "KELP_SKIP_HOLES"};
	const char *between = "";

	for (unsigned i = 0; i < 4; i++)
		if (flags >> i & 1) {
			fprintf(file, "%s%s", between, names[i]);
			between = " | ";
		}
	if (KELP_LEAF_SHIFT_OF(flags)) {
		fprintf(file, "%sKELP_LEAF_SHIFT(%u)", between, KELP_LEAF_SHIFT_OF(flags));
		between = " | ";
	}
	if ((flags & 0xfffff0) || !flags)
		fprintf(file, "%s0x%" PRIx32, between, flags & 0xfffff0);
}

void step_print(FILE *file, const struct kelp_format *format, const struct step *step)
{
	static const char *const names[] = {"map", "unmap", "protect", "populate", "split",
					    "coalesce", "release"};

	(void)format;
	if (step->fail_at)
		fprintf(file, "test_port_fail(port, %u, %s);\n\t", step->fail_at,
			step->fail_for_ever ? "true" : "false");
	switch (step->kind) {
	case STEP_COMMIT:
		fprintf(file, "kelp_flush_commit(&flush); kelp_flush_begin(&flush, &space);");
		return;
	case STEP_NOW:
		fprintf(file, "kelp_flush_now(&flush);");
		return;
	case STEP_TOUCH:
		fprintf(file, "/* hardware %s 0x%" PRIx64 " */",
			step->set & KELP_ATTR_DIRTY ? "writes" : "reads", step->va);
		return;
	case STEP_KINDS:
		fprintf(file, "/* 0x%" PRIx64 " is spoiled */", step->va);
		return;
	case STEP_LOOK:
		fprintf(file, "/* look at 0x%" PRIx64 ", size 0x%" PRIx64 " */", step->va,
			step->size);
		return;
	default:
		break;
	}
	fprintf(file, "kelp_space_%s(&flush, UINT64_C(0x%" PRIx64 "), ", names[step->kind],
		step->va);
	if (step->kind == STEP_MAP)
		fprintf(file, "UINT64_C(0x%" PRIx64 "), ", step->pa);
	fprintf(file, "UINT64_C(0x%" PRIx64 ")", step->size);
	switch (step->kind) {
	case STEP_MAP:
		fprintf(file, ", ");
		print_attributes(file, step->set);
		fprintf(file, ", ");
		print_flags(file, step->flags);
		break;
	case STEP_UNMAP:
		fprintf(file, ", ");
		print_flags(file, step->flags);
		break;
	case STEP_PROTECT:
		fprintf(file, ", ");
		print_attributes(file, step->set);
		fprintf(file, ", ");
		print_attributes(file, step->clear);
		fprintf(file, ", ");
		print_flags(file, step->flags);
		break;
	case STEP_POPULATE:
	case STEP_SPLIT:
	case STEP_COALESCE:
		fprintf(file, ", %u, ", step->leaf_shift);
		print_flags(file, step->flags);
		fprintf(file, step->kind == STEP_COALESCE ? ", NULL" : "");
		break;
	default:
		fprintf(file, ", NULL");
		break;
	}
	fprintf(file, ");");
	if (step->way == STEP_PREPARED && step->kind <= STEP_PROTECT)
		fprintf(file, " /* by prepare and commit */");
	if (step->way == STEP_CANCELLED && step->kind <= STEP_PROTECT)
		fprintf(file, " /* prepared and cancelled */");
}

/* ---- running ----------------------------------------------------------------------------- */

bool run_begin(struct run *run, const struct kelp_format *format, uint32_t space_flags)
{
	enum kelp_status status;

	memset(run, 0, sizeof(*run));
	run->format = format;
	run->port = test_port_new(format);
	model_init(&run->model, format);
	status = kelp_space_init(&run->space, format, &run->port->hooks, space_flags);
	if (status != KELP_OK) {
		test_fail("kelp_space_init: %s", kelp_status_name(status));
		test_port_free(run->port);
		return false;
	}
	judge_init(&run->judge, &run->space, run->port);
	kelp_flush_begin(&run->flush, &run->space);
	return true;
}

static bool is_edit(enum step_kind kind)
{
	return kind <= STEP_PROTECT;
}

static enum kelp_status do_prepared(struct run *run, const struct step *step)
{
	struct kelp_change change = {
		.kind = step->kind == STEP_MAP	 ? KELP_CHANGE_MAP
			: step->kind == STEP_UNMAP ? KELP_CHANGE_UNMAP
						   : KELP_CHANGE_PROTECT,
		.flags = step->flags,
		.va = step->va,
		.size = step->size,
		.pa = step->pa,
		.set = step->set,
		.clear = step->kind == STEP_PROTECT ? step->clear : 0,
	};
	uint64_t digest = raw_digest(run->format, run->port, run->space.root);
	enum kelp_status status = kelp_space_prepare(&run->flush, &change);

	if (raw_digest(run->format, run->port, run->space.root) != digest)
		test_fail("prepare changed the tables");
	if (status != KELP_OK)
		return status;
	if (step->way == STEP_CANCELLED) {
		kelp_space_cancel(&change);
		return KELP_OK;
	}
	run->port->forbid_take = true;
	kelp_space_commit(&change);
	run->port->forbid_take = false;
	return KELP_OK;
}

static enum kelp_status do_step(struct run *run, const struct step *step, uint64_t *count)
{
	struct kelp_flush *flush = &run->flush;

	if (is_edit(step->kind) && step->way != STEP_DIRECT)
		return do_prepared(run, step);
	switch (step->kind) {
	case STEP_MAP:
		return kelp_space_map(flush, step->va, step->pa, step->size, step->set,
				      step->flags);
	case STEP_UNMAP:
		return kelp_space_unmap(flush, step->va, step->size, step->flags);
	case STEP_PROTECT:
		return kelp_space_protect(flush, step->va, step->size, step->set, step->clear,
					  step->flags);
	case STEP_POPULATE:
		return kelp_space_populate(flush, step->va, step->size, step->leaf_shift,
					   step->flags);
	case STEP_SPLIT:
		return kelp_space_split(flush, step->va, step->size, step->leaf_shift,
					step->flags);
	case STEP_COALESCE:
		return kelp_space_coalesce(flush, step->va, step->size, step->leaf_shift,
					   step->flags, count);
	case STEP_RELEASE:
		return kelp_space_release(flush, step->va, step->size, count);
	default:
		return KELP_OK;
	}
}

static status_set_t expect(const struct run *run, const struct step *step)
{
	const struct model *model = &run->model;

	switch (step->kind) {
	case STEP_MAP:
		return model_expect_map(model, step->va, step->pa, step->size, step->set,
					step->flags);
	case STEP_UNMAP:
		return model_expect_unmap(model, step->va, step->size, step->flags);
	case STEP_PROTECT:
		return model_expect_protect(model, step->va, step->size, step->set, step->clear,
					    step->flags);
	case STEP_POPULATE:
		return model_expect_shape(model, step->va, step->size, step->leaf_shift,
					  step->flags, 0);
	case STEP_SPLIT:
	case STEP_COALESCE:
		return model_expect_shape(model, step->va, step->size, step->leaf_shift,
					  step->flags, KELP_ALLOW_BREAK);
	case STEP_RELEASE:
		return model_expect_range(model, step->va, step->size);
	default:
		return STATUS(KELP_OK);
	}
}

static void apply(struct run *run, const struct step *step)
{
	struct model *model = &run->model;

	if (is_edit(step->kind) && step->way == STEP_CANCELLED)
		return;
	if (run->format->groups && run->format->hardware_accessed)
		model_doubt(model, step->va, step->size, step->kind == STEP_SPLIT);
	switch (step->kind) {
	case STEP_MAP:
		model_map(model, step->va, step->pa, step->size, step->set);
		break;
	case STEP_UNMAP:
		model_unmap(model, step->va, step->size);
		break;
	case STEP_PROTECT:
		model_protect(model, step->va, step->size, step->set, step->clear);
		break;
	case STEP_COALESCE:
		model_blur(model, step->va, step->size);
		break;
	default:
		break;
	}
}

static bool same_tables(const struct raw_list *a, const struct raw_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->items[i].entry != b->items[i].entry || a->items[i].va != b->items[i].va ||
		    a->items[i].table != b->items[i].table)
			return false;
	return true;
}

/* ---- what each operation leaves behind --------------------------------------------------- */

static bool is_leaf(const struct raw_entry *item)
{
	return item->kind == KELP_ENTRY_LEAF || item->kind == KELP_ENTRY_INVALID;
}

/* INV-1.4, and nothing else is mapped than what should be. */
static bool compare_raw(struct run *run)
{
	const struct raw_list *list = &run->judge.now;
	uint64_t mapped = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct raw_entry *item = &list->items[i];

		if (item->kind == KELP_ENTRY_OPAQUE) {
			test_fail("an opaque entry 0x%" PRIx64 " at 0x%" PRIx64, item->entry,
				  item->va);
			return false;
		}
		if (item->kind == KELP_ENTRY_TABLE && !item->owned) {
			test_fail("a table at 0x%" PRIx64 " without the mark of ownership",
				  item->va);
			return false;
		}
		if (!is_leaf(item))
			continue;
		mapped += item->last - item->va + 1u;
		if (!model_agrees(&run->model, item->va, item->last - item->va + 1u, item->target,
				  item->attributes, "the table"))
			return false;
	}
	if (mapped != model_mapped(&run->model)) {
		test_fail("the tables map 0x%" PRIx64 " bytes instead of 0x%" PRIx64, mapped,
			  model_mapped(&run->model));
		return false;
	}
	return true;
}

/* No leaf is larger than asked for. */
static void check_split(struct run *run, const struct step *step)
{
	const struct raw_list *list = &run->judge.now;
	kelp_vaddr_t last = step->va + (step->size - 1u);

	for (size_t i = raw_lower_bound(list, step->va); i < list->count; i++) {
		const struct raw_entry *item = &list->items[i];

		if (item->va > last)
			break;
		if (is_leaf(item) && item->shift > step->leaf_shift && item->last >= step->va)
			test_fail("after split a leaf of 2^%u bytes at 0x%" PRIx64, item->shift,
				  item->va);
	}
}

/* Could the table that `item` points to be one leaf? */
static bool is_mergeable(const struct run *run, size_t i)
{
	const struct raw_list *list = &run->judge.now;
	const struct raw_entry *item = &list->items[i];
	const struct raw_entry *first = i + 1 < list->count ? &list->items[i + 1] : NULL;
	uint64_t span = UINT64_C(1) << run->format->shift[item->level];
	kelp_vaddr_t at = item->va;

	if (!first || first->va != item->va || (first->target & (span - 1u)) || !is_leaf(first))
		return false;
	for (size_t k = i + 1; k < list->count && list->items[k].va <= item->last; k++) {
		const struct raw_entry *leaf = &list->items[k];

		if (!is_leaf(leaf) || leaf->va != at ||
		    leaf->target != first->target + (leaf->va - first->va) ||
		    ((leaf->attributes ^ first->attributes) & ~MODEL_HARDWARE_BITS))
			return false;
		at = leaf->last + 1u;
	}
	return at == item->last + 1u;
}

/* Every table that could have become a leaf did. */
static void check_coalesce(struct run *run, const struct step *step)
{
	const struct raw_list *list = &run->judge.now;
	kelp_vaddr_t last = step->va + (step->size - 1u);

	for (size_t i = raw_lower_bound(list, step->va); i < list->count; i++) {
		const struct raw_entry *item = &list->items[i];

		if (item->va > last)
			break;
		if (item->kind == KELP_ENTRY_TABLE && item->owned && item->va >= step->va &&
		    item->last <= last && run->format->shift[item->level] <= step->leaf_shift &&
		    (run->format->leaf_sizes >> run->format->shift[item->level] & 1) &&
		    is_mergeable(run, i))
			test_fail("coalesce left a table at 0x%" PRIx64 " of 2^%u bytes that "
				  "could be a leaf", item->va, item->shift);
	}
}

/* Tables that are empty; `whole`: only those that lie inside the range, empty or not. */
static void check_no_tables(struct run *run, const struct step *step, bool whole)
{
	const struct raw_list *list = &run->judge.now;
	kelp_vaddr_t last = step->va + (step->size - 1u);

	for (size_t i = 0; i < list->count; i++) {
		const struct raw_entry *item = &list->items[i];

		if (item->kind != KELP_ENTRY_TABLE || !item->owned || item->last < step->va ||
		    item->va > last)
			continue;
		if (whole ? item->va >= step->va && item->last <= last
			  : i + 1 == list->count || list->items[i + 1].va > item->last ||
				    list->items[i + 1].level >= item->level)
			test_fail("after %s a table at 0x%" PRIx64 ", size 2^%u",
				  whole ? "unmap" : "release an empty", item->va, item->shift);
	}
}

/* A map into nothing uses the largest leaves that alignment allows. */
static void check_map(struct run *run, const struct step *step)
{
	const struct raw_list *list = &run->judge.now;
	unsigned limit = KELP_LEAF_SHIFT_OF(step->flags);
	kelp_vaddr_t last = step->va + (step->size - 1u);
	bool groups = run->format->groups && !(run->space.flags & KELP_SPACE_NO_GROUPS) &&
		      !(step->set & KELP_ATTR_INVALID);

	/* Tables that were there before may stay. */
	for (size_t i = raw_lower_bound(&run->before, step->va); i < run->before.count; i++)
		if (run->before.items[i].va <= last)
			return;
	for (size_t i = raw_lower_bound(list, step->va); i < list->count; i++) {
		const struct raw_entry *item = &list->items[i];
		unsigned best = run->format->page_shift;

		if (item->va > last)
			break;
		if (!is_leaf(item))
			continue;
		if (limit && item->shift > limit)
			test_fail("map made a leaf of 2^%u bytes where 2^%u is the limit",
				  item->shift, limit);
		for (unsigned shift = best; shift < 64; shift++) {
			uint64_t mask = (UINT64_C(1) << shift) - 1u;
			bool group = true;

			if (!(run->format->leaf_sizes >> shift & 1) || (limit && shift > limit))
				continue;
			for (unsigned level = 0; level < run->format->levels; level++)
				if (run->format->shift[level] == shift)
					group = false;
			if (group && !groups)
				continue;
			if ((item->va & ~mask) >= step->va && (item->va | mask) <= last &&
			    !((item->target ^ item->va) & mask))
				best = shift;
		}
		if (item->shift < best)
			test_fail("map made a leaf of 2^%u bytes at 0x%" PRIx64
				  " where 2^%u fits", item->shift, item->va, best);
	}
}

/* Tables exist down to the leaves asked for, or a leaf is in the way. */
static void check_populate(struct run *run, const struct step *step)
{
	const struct kelp_format *format = run->format;
	kelp_vaddr_t last = step->va + (step->size - 1u);
	kelp_vaddr_t at = step->va;

	for (unsigned guard = 0; guard < 4096; guard++) {
		kelp_paddr_t table = run->space.root;
		unsigned level = format->levels - 1u;

		while (format->shift[level] > step->leaf_shift) {
			unsigned index = (unsigned)(at >> format->shift[level]) &
					 ((1u << format->index_bits[level]) - 1u);
			uint64_t entry = raw_read(format, run->port, table, index);
			enum kelp_entry_kind kind = format->ops->kind(format, level, entry);

			if (kind == KELP_ENTRY_NONE) {
				test_fail("populate left a hole at 0x%" PRIx64 ", level %u", at,
					  level);
				return;
			}
			if (kind != KELP_ENTRY_TABLE)
				break;
			table = format->ops->address(format, level, entry);
			level--;
		}
		at |= (UINT64_C(1) << format->shift[level]) - 1u;
		/* Skip to the end of this table: the entries of one table need no look each. */
		if (level < format->levels - 1u)
			at |= (UINT64_C(1) << format->shift[level + 1]) - 1u;
		if (at >= last)
			return;
		at++;
	}
}

static void check_result(struct run *run, const struct step *step)
{
	if (is_edit(step->kind) && step->way == STEP_CANCELLED) {
		if (!same_tables(&run->before, &run->judge.now))
			test_fail("prepare and cancel changed the tables");
		return;
	}
	switch (step->kind) {
	case STEP_MAP:
		check_map(run, step);
		break;
	case STEP_UNMAP:
		check_no_tables(run, step, true);
		break;
	case STEP_SPLIT:
		check_split(run, step);
		break;
	case STEP_COALESCE:
		check_coalesce(run, step);
		break;
	case STEP_RELEASE:
		check_no_tables(run, step, false);
		break;
	case STEP_POPULATE:
		check_populate(run, step);
		break;
	default:
		break;
	}
}

/* ---- looking ----------------------------------------------------------------------------- */

static void look_at(struct run *run, kelp_vaddr_t va)
{
	const struct model_extent *extent = model_find(&run->model, va);
	struct kelp_mapping mapping;
	kelp_attr_t attributes;
	kelp_paddr_t pa = 0, raw_pa;
	enum kelp_status status, expected;
	bool translated;

	status = kelp_space_query(&run->space, va, &mapping);
	if (status != KELP_OK) {
		test_fail("query of 0x%" PRIx64 ": %s", va, kelp_status_name(status));
		return;
	}
	if (va < mapping.va || va - mapping.va > mapping.size - 1u) {
		test_fail("query of 0x%" PRIx64 " answers 0x%" PRIx64 " size 0x%" PRIx64, va,
			  mapping.va, mapping.size);
		return;
	}
	if (extent) {
		if (mapping.kind != (extent->attributes & KELP_ATTR_INVALID ? KELP_ENTRY_INVALID
									    : KELP_ENTRY_LEAF))
			test_fail("query of 0x%" PRIx64 " says kind %u", va, mapping.kind);
		else if (mapping.size != UINT64_C(1) << mapping.shift)
			test_fail("query of 0x%" PRIx64 ": size 0x%" PRIx64 ", shift %u", va,
				  mapping.size, mapping.shift);
		else
			model_agrees(&run->model, mapping.va, mapping.size, mapping.pa,
				     mapping.attributes, "query");
	} else if (mapping.kind != KELP_ENTRY_NONE || mapping.pa != 0 || mapping.entry != 0 ||
		   !model_is_hole(&run->model, mapping.va, mapping.va + (mapping.size - 1u))) {
		test_fail("query of 0x%" PRIx64 ", a hole, says kind %u, 0x%" PRIx64
			  " size 0x%" PRIx64, va, mapping.kind, mapping.va, mapping.size);
	}
	expected = extent && !(extent->attributes & KELP_ATTR_INVALID) ? KELP_OK
								       : KELP_ERR_NOT_MAPPED;
	status = kelp_space_translate(&run->space, va, &pa);
	if (status != expected)
		test_fail("translate of 0x%" PRIx64 ": %s instead of %s", va,
			  kelp_status_name(status), kelp_status_name(expected));
	else if (status == KELP_OK && pa != extent->pa + (va - extent->first))
		test_fail("translate of 0x%" PRIx64 ": 0x%" PRIx64, va, pa);
	translated = raw_translate(run->format, run->port, run->space.root, va, &raw_pa,
				   &attributes);
	if (translated != (expected == KELP_OK) || (translated && raw_pa != pa))
		test_fail("hardware translates 0x%" PRIx64 " %sto 0x%" PRIx64, va,
			  translated ? "" : "not ", translated ? raw_pa : 0);
}

struct walk_check {
	struct run *run;
	const char *who;
	bool started, holes, tables, runs;
	kelp_vaddr_t next; /* holes: where the next visit must begin */
	kelp_vaddr_t last_end;
	uint64_t mapped;
	struct kelp_mapping previous;
};

static enum kelp_visit check_visit(void *context, const struct kelp_mapping *mapping)
{
	struct walk_check *check = context;
	struct run *run = check->run;
	kelp_vaddr_t last = mapping->va + (mapping->size - 1u);

	if (mapping->kind == KELP_ENTRY_TABLE) {
		if (!check->tables)
			test_fail("walk visits a table unasked");
		/* It comes before what is below it, so it ends runs and holes. */
		check->previous.kind = KELP_ENTRY_TABLE;
		return KELP_VISIT_CONTINUE;
	}
	if (check->started && mapping->va <= check->last_end)
		test_fail("walk visits 0x%" PRIx64 " after 0x%" PRIx64, mapping->va,
			  check->last_end);
	if (check->started && check->holes && mapping->va != check->last_end + 1u)
		test_fail("walk with holes jumps from 0x%" PRIx64 " to 0x%" PRIx64,
			  check->last_end, mapping->va);
	if (check->started && check->runs && mapping->kind != KELP_ENTRY_NONE &&
	    check->previous.kind == mapping->kind &&
	    check->previous.attributes == mapping->attributes &&
	    check->previous.shift == mapping->shift &&
	    check->previous.va + check->previous.size == mapping->va &&
	    check->previous.pa + check->previous.size == mapping->pa)
		test_fail("walk with runs visits two parts of one run at 0x%" PRIx64,
			  mapping->va);
	if (check->started && mapping->kind == KELP_ENTRY_NONE &&
	    check->previous.kind == KELP_ENTRY_NONE)
		test_fail("walk visits two holes in a row at 0x%" PRIx64, mapping->va);
	if (mapping->kind == KELP_ENTRY_NONE) {
		if (!check->holes)
			test_fail("walk visits a hole unasked");
		if (!model_is_hole(&run->model, mapping->va, last))
			test_fail("walk says hole at 0x%" PRIx64 " size 0x%" PRIx64, mapping->va,
				  mapping->size);
	} else {
		check->mapped += mapping->size;
		model_agrees(&run->model, mapping->va, mapping->size, mapping->pa,
			     mapping->attributes, check->who);
	}
	check->started = true;
	check->last_end = last;
	check->previous = *mapping;
	return test_failed() ? KELP_VISIT_STOP : KELP_VISIT_CONTINUE;
}

/* Bytes of the leaves that the walk of [va, last] must visit, read from the tables. */
static uint64_t mapped_around(const struct run *run, kelp_vaddr_t va, kelp_vaddr_t last)
{
	const struct raw_list *list = &run->judge.now;
	kelp_vaddr_t done = 0;
	uint64_t bytes = 0;
	bool any = false;

	for (size_t i = 0; i < list->count; i++) {
		const struct raw_entry *item = &list->items[i];
		kelp_vaddr_t first = item->va, end = item->last;

		if (!is_leaf(item))
			continue;
		if (item->grouped) {
			first &= ~((UINT64_C(1) << item->shift) - 1u);
			end = first | ((UINT64_C(1) << item->shift) - 1u);
		}
		if (end < va || first > last || (any && end <= done))
			continue;
		bytes += end - first + 1u;
		done = end;
		any = true;
	}
	return bytes;
}

static void look_walk(struct run *run, kelp_vaddr_t va, uint64_t size, uint32_t flags,
		      const char *who)
{
	struct walk_check check = {
		.run = run,
		.who = who,
		.holes = flags & KELP_WALK_HOLES,
		.tables = flags & KELP_WALK_TABLES,
		.runs = flags & KELP_WALK_RUNS,
	};
	enum kelp_status status =
		kelp_space_walk(&run->space, va, size, flags, check_visit, &check);
	status_set_t expected = model_expect_range(&run->model, va, size);

	if (!(expected & STATUS(status)))
		test_fail("walk of 0x%" PRIx64 " size 0x%" PRIx64 ": %s", va, size,
			  kelp_status_name(status));
	if (status != KELP_OK || test_failed())
		return;
	if (check.mapped != mapped_around(run, va, va + (size - 1u)))
		test_fail("walk (flags %u) of 0x%" PRIx64 " size 0x%" PRIx64 " visits 0x%" PRIx64
			  " bytes of leaves instead of 0x%" PRIx64, (unsigned)flags, va, size,
			  check.mapped, mapped_around(run, va, va + (size - 1u)));
}

bool run_compare(struct run *run)
{
	const struct kelp_format *format = run->format;

	judge_observe(&run->judge);
	if (!compare_raw(run))
		return false;
	for (unsigned r = 0; r < format->va_ranges; r++) {
		uint64_t size = format->va_last[r] - format->va_first[r] + 1u;

		if (size == 0)
			continue;
		look_walk(run, format->va_first[r], size, 0, "walk");
		look_walk(run, format->va_first[r], size, KELP_WALK_RUNS, "walk of runs");
		look_walk(run, format->va_first[r], size, KELP_WALK_HOLES, "walk with holes");
		look_walk(run, format->va_first[r], size,
			  KELP_WALK_RUNS | KELP_WALK_HOLES | KELP_WALK_TABLES, "walk with all");
	}
	return !test_failed();
}

static void look(struct run *run, const struct step *step)
{
	uint64_t size = step->size;
	kelp_paddr_t pa;
	struct kelp_mapping mapping;
	uint64_t page = UINT64_C(1) << run->format->page_shift;
	kelp_vaddr_t va = step->va & ~(page - 1u);

	if (model_expect_range(&run->model, va, page) != STATUS(KELP_OK)) {
		if (kelp_space_query(&run->space, step->va, &mapping) != KELP_ERR_ADDRESS)
			test_fail("query of 0x%" PRIx64 " that is not canonical", step->va);
		if (kelp_space_translate(&run->space, step->va, &pa) != KELP_ERR_ADDRESS)
			test_fail("translate of 0x%" PRIx64 " that is not canonical", step->va);
	} else {
		look_at(run, va);
		look_at(run, va + page - 1u);
		look_at(run, va + page / 2);
	}
	look_walk(run, step->va, size, step->flags & 7, "walk of a part");
}

/* ---- one step ---------------------------------------------------------------------------- */

static void touch(struct run *run, const struct step *step)
{
	const struct raw_entry *leaf = raw_leaf(&run->judge.now, step->va);
	bool write = step->set & KELP_ATTR_DIRTY;
	struct raw_entry copy;
	kelp_attr_t bits;
	uint64_t group;

	if (!leaf)
		return;
	copy = *leaf;
	if (!raw_touch(run->format, run->port, &copy, write && (copy.attributes & KELP_ATTR_WRITE)))
		return;
	judge_accept(&run->judge);
	leaf = raw_leaf(&run->judge.now, copy.va);
	bits = leaf->attributes & MODEL_HARDWARE_BITS;
	group = UINT64_C(1) << copy.shift;
	model_touch(&run->model, copy.va, copy.last - copy.va + 1u, copy.va & ~(group - 1u), group,
		    bits);
}

/* Somebody stomps on the leaf: every check must notice. */
static void spoil(struct run *run, const struct step *step)
{
	const struct raw_entry *leaf = raw_leaf(&run->judge.now, step->va);
	unsigned index;

	if (!leaf)
		return;
	index = (unsigned)(leaf->va >> run->format->shift[leaf->level]) &
		((1u << run->format->index_bits[leaf->level]) - 1u);
	raw_write(run->format, run->port, leaf->table, index, 0);
	judge_accept(&run->judge);
	compare_raw(run);
}

static void committed(struct run *run)
{
	unsigned tables;

	judge_check_clean(&run->judge);
	tables = raw_tables(&run->judge.now, true) + 1u;
	if (run->space.tables != tables || run->port->live != tables)
		test_fail("after commit the tree has %u tables, the space counts %u, the port %u",
			  tables, (unsigned)run->space.tables, run->port->live);
}

/* BBM without ALLOW_BREAK: it must have been necessary. */
static enum kelp_status retry_with_break(struct run *run, const struct step *step)
{
	struct step again = *step;
	struct raw_entry offender;
	enum kelp_status status;
	uint64_t count;

	if (step->flags & KELP_ALLOW_BREAK) {
		test_fail("BBM although a break is allowed");
		return KELP_ERR_BBM;
	}
	again.flags |= KELP_ALLOW_BREAK;
	status = do_step(run, &again, &count);
	judge_observe(&run->judge);
	if (status == KELP_OK && step->way != STEP_CANCELLED &&
	    judge_replaceable(run->format, &run->before, &run->judge.now, &offender))
		test_fail("BBM where every entry may be replaced");
	return status;
}

static void check_error(struct run *run, enum kelp_status status, unsigned live)
{
	judge_observe(&run->judge);
	if (!same_tables(&run->before, &run->judge.now))
		test_fail("after %s the tables are not what they were", kelp_status_name(status));
	if (run->port->live != live)
		test_fail("after %s the library has %u pages instead of %u",
			  kelp_status_name(status), run->port->live, live);
}

/*
 * PSE-36: large leaves reach frames that small ones do not. Whether an operation needs small
 * ones depends on tables; that it touches such frames at all is all that can be said here.
 */
static bool beyond_small_leaves(const struct run *run, const struct step *step)
{
	const struct kelp_format *format = run->format;
	kelp_vaddr_t last = step->va + (step->size - 1u);
	kelp_vaddr_t ends[2] = {step->va, last};

	if (format->entry_bytes != 4 || format->pa_bits <= 32)
		return false;
	if (step->kind == STEP_MAP && step->pa + (step->size - 1u) > UINT32_MAX)
		return true;
	for (unsigned i = 0; i < 2; i++) {
		const struct model_extent *extent = model_find(&run->model, ends[i]);

		if (extent && extent->pa + (ends[i] - extent->first) > UINT32_MAX)
			return true;
	}
	if (step->kind != STEP_SPLIT)
		return false;
	for (size_t i = 0; i < run->model.count; i++) {
		const struct model_extent *extent = &run->model.extents[i];

		if (extent->last >= step->va && extent->first <= last &&
		    extent->pa + (extent->last - extent->first) > UINT32_MAX)
			return true;
	}
	return false;
}

static void edit(struct run *run, const struct step *step)
{
	status_set_t expected = expect(run, step);
	unsigned live = run->port->live, requests = run->judge.requests;
	struct raw_entry offender;
	enum kelp_status status;
	bool broke = false;
	bool empty;
	uint64_t count = 0;

	empty = kelp_flush_is_empty(&run->flush);
	raw_copy(&run->before, &run->judge.now);
	test_port_fail(run->port, step->fail_at, step->fail_for_ever);
	status = do_step(run, step, &count);
	/* Or there are not as many tables as such a range needs. */
	if (status == KELP_ERR_NO_MEMORY &&
	    (run->port->failed || step->size >> run->format->page_shift > UINT64_C(1) << 20))
		expected |= STATUS(KELP_ERR_NO_MEMORY);
	else if (status == KELP_OK && run->port->failed)
		test_fail("a take failed and the operation says KELP_OK");
	if (status == KELP_ERR_UNSUPPORTED && beyond_small_leaves(run, step))
		expected |= STATUS(KELP_ERR_UNSUPPORTED);
	test_port_fail(run->port, 0, false);
	run->last_status = status;
	run->last_count = count;
	if (status == KELP_ERR_BBM) {
		check_error(run, status, live);
		if (run->exact) {
			if (step->flags & KELP_ALLOW_BREAK)
				test_fail("BBM although a break is allowed");
			return;
		}
		status = retry_with_break(run, step);
		broke = true;
	}
	run->errors_seen[status & 15]++;
	if (!(expected & STATUS(status))) {
		test_fail("%s; expected is the set 0x%x", kelp_status_name(status),
			  (unsigned)expected);
		return;
	}
	if (status != KELP_OK) {
		check_error(run, status, live);
		return;
	}
	apply(run, step);
	judge_observe(&run->judge);
	if (!broke && !(step->flags & KELP_ALLOW_BREAK)) {
		if (!judge_replaceable(run->format, &run->before, &run->judge.now, &offender))
			test_fail("INV-1.2: the entry at 0x%" PRIx64 ", level %u, was replaced "
				  "without a break", offender.va, offender.level);
		/* What the gather still held of the range may have to go first. */
		if (run->judge.requests != requests &&
		    (empty || !run->format->demands_break))
			test_fail("a flush in the middle without ALLOW_BREAK");
	}
	check_result(run, step);
	compare_raw(run);
}

bool run_step(struct run *run, const struct step *step)
{
	if (setjmp(run->port->panic_jump)) {
		test_fail("panic: %s", run->port->panic_what);
		return false;
	}
	run->port->panic_armed = true;
	run->steps++;
	switch (step->kind) {
	case STEP_COMMIT:
		kelp_flush_commit(&run->flush);
		committed(run);
		kelp_flush_begin(&run->flush, &run->space);
		break;
	case STEP_NOW:
		kelp_flush_now(&run->flush);
		if (!kelp_flush_is_empty(&run->flush))
			test_fail("a gather that was flushed is not empty");
		committed(run);
		break;
	case STEP_TOUCH:
		touch(run, step);
		break;
	case STEP_LOOK:
		look(run, step);
		break;
	case STEP_KINDS:
		spoil(run, step);
		break;
	default:
		edit(run, step);
		break;
	}
	if (run->steps % 64 == 0 && !test_failed())
		run_compare(run);
	run->port->panic_armed = false;
	return !test_failed();
}

bool run_end(struct run *run)
{
	if (!setjmp(run->port->panic_jump)) {
		run->port->panic_armed = true;
		if (!test_failed()) {
			run_compare(run);
			kelp_flush_commit(&run->flush);
			committed(run);
			judge_destroying(&run->judge);
			kelp_space_destroy(&run->space);
			if (run->port->live)
				test_fail("after destroy %u pages are not given back",
					  run->port->live);
		}
		run->port->panic_armed = false;
	} else {
		test_fail("panic: %s", run->port->panic_what);
	}
	judge_free(&run->judge);
	model_free(&run->model);
	raw_free(&run->before);
	test_port_free(run->port);
	return !test_failed();
}

bool sequence_run(const struct kelp_format *format, uint32_t space_flags,
		  const struct step_list *list, size_t *failed_at)
{
	struct run run;
	size_t i;

	test_report_reset();
	if (!run_begin(&run, format, space_flags))
		return false;
	if (list->flush_threshold)
		kelp_space_set_flush_threshold(&run.space, list->flush_threshold);
	for (i = 0; i < list->count; i++)
		if (!run_step(&run, &list->steps[i]))
			break;
	*failed_at = i;
	return run_end(&run);
}

/* The first list again without [from, to). */
static void without(struct step_list *out, const struct step_list *list, size_t from, size_t to)
{
	out->count = 0;
	out->flush_threshold = list->flush_threshold;
	for (size_t i = 0; i < list->count; i++)
		if (i < from || i >= to)
			step_append(out, &list->steps[i]);
}

void sequence_shrink(const struct kelp_format *format, uint32_t space_flags,
		     struct step_list *list)
{
	struct step_list candidate = {0};
	size_t at, chunk;
	unsigned runs = 0;

	if (sequence_run(format, space_flags, list, &at))
		return;
	if (at + 1 < list->count)
		list->count = at + 1;
	for (chunk = list->count / 2; chunk > 0;) {
		bool shorter = false;

		for (size_t from = 0; from < list->count && runs < 3000;) {
			size_t to = from + chunk < list->count ? from + chunk : list->count;
			struct step_list swap;

			runs++;
			without(&candidate, list, from, to);
			if (candidate.count &&
			    !sequence_run(format, space_flags, &candidate, &at)) {
				swap = *list;
				*list = candidate;
				candidate = swap;
				if (at + 1 < list->count)
					list->count = at + 1;
				shorter = true;
			} else {
				from = to;
			}
		}
		if (!shorter || runs >= 3000)
			chunk /= 2;
		else if (chunk > list->count)
			chunk = list->count / 2;
	}
	step_list_free(&candidate);
	/* The report is that of the short list. */
	sequence_run(format, space_flags, list, &at);
}
