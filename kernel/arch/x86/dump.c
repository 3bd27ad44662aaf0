/* SPDX-License-Identifier: MIT */
/*
 * dump: the tables as QEMU's monitor prints them, from what Kelp's walk says, for a comparison
 * entry by entry (QEMU 7.2, target/i386/monitor.c is what prints there).
 */
#include <arch.h>
#include <print.h>
#include <vm.h>

/* The range being joined, as `info mem` joins: neighbours with the same rights. */
struct dump {
	kelp_vaddr_t first, last;
	kelp_attr_t rights;
	bool open;
};

static char flag(const struct kelp_mapping *m, kelp_attr_t attribute, char letter)
{
	return m->attributes & attribute ? letter : '-';
}

/*
 * `info tlb` prints the bits of each leaf's own entry: P for a large leaf, C and T for PCD and
 * PWT, the low bits of the index into the PAT. The PAT bit itself it leaves out.
 */
static enum kelp_visit dump_leaf(void *context, const struct kelp_mapping *m)
{
	unsigned type = (m->attributes & KELP_ATTR_TYPE_MASK) >> KELP_ATTR_TYPE_SHIFT;
	unsigned index = kernel_format.type_to_index[type];

	(void)context;
	if (m->kind != KELP_ENTRY_LEAF)
		return KELP_VISIT_CONTINUE;
	kprintf("dump tlb %016llx: %016llx %c%c%c%c%c%c%c%c%c\n", (unsigned long long)m->va,
		(unsigned long long)m->pa, m->attributes & KELP_ATTR_EXEC ? '-' : 'X',
		flag(m, KELP_ATTR_GLOBAL, 'G'), m->level ? 'P' : '-',
		flag(m, KELP_ATTR_DIRTY, 'D'), flag(m, KELP_ATTR_ACCESSED, 'A'),
		index & 2u ? 'C' : '-', index & 1u ? 'T' : '-', flag(m, KELP_ATTR_USER, 'U'),
		flag(m, KELP_ATTR_WRITE, 'W'));
	return KELP_VISIT_CONTINUE;
}

static void end_range(struct dump *dump)
{
	if (dump->open)
		kprintf("dump mem %016llx-%016llx %016llx %cr%c\n", (unsigned long long)dump->first,
			(unsigned long long)(dump->last + 1u),
			(unsigned long long)(dump->last - dump->first + 1u),
			dump->rights & KELP_ATTR_USER ? 'u' : '-',
			dump->rights & KELP_ATTR_WRITE ? 'w' : '-');
	dump->open = false;
}

static enum kelp_visit dump_range(void *context, const struct kelp_mapping *m)
{
	struct dump *dump = context;
	kelp_attr_t rights = m->attributes & (KELP_ATTR_USER | KELP_ATTR_WRITE);

	if (m->kind != KELP_ENTRY_LEAF)
		return KELP_VISIT_CONTINUE;
	if (!dump->open || dump->last + 1u != m->va || dump->rights != rights) {
		end_range(dump);
		*dump = (struct dump){.first = m->va, .rights = rights, .open = true};
	}
	dump->last = m->va + m->size - 1u;
	return KELP_VISIT_CONTINUE;
}

/* The first and the last byte of every run. */
static enum kelp_visit dump_translations(void *context, const struct kelp_mapping *m)
{
	(void)context;
	if (m->kind == KELP_ENTRY_LEAF) {
		kprintf("dump gva %llx %llx\n", (unsigned long long)m->va,
			(unsigned long long)m->pa);
		kprintf("dump gva %llx %llx\n", (unsigned long long)(m->va + m->size - 1u),
			(unsigned long long)(m->pa + m->size - 1u));
	}
	return KELP_VISIT_CONTINUE;
}

static void walk_all(uint32_t flags, kelp_visitor_t *visitor, void *context)
{
	unsigned long section = vm_read_begin();

	for (unsigned i = 0; i < kernel_format.va_ranges; i++) {
		kelp_vaddr_t first = kernel_format.va_first[i];

		if (kelp_space_walk(&kernel_space, first, kernel_format.va_last[i] - first + 1u,
				    flags, visitor, context) != KELP_OK)
			panic("the tables cannot be walked");
	}
	vm_read_end(section);
}

void arch_dump_tables(void)
{
	struct dump dump = {0};

	walk_all(0, dump_leaf, NULL);
	walk_all(0, dump_range, &dump);
	end_range(&dump);
	walk_all(KELP_WALK_RUNS, dump_translations, NULL);
	kprintf("dump end\n");
}
