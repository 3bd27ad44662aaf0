/* SPDX-License-Identifier: MIT */
/* kexec_plan: where the parts of the next kernel may lie. */
#include <kexec.h>

bool kexec_is_ram(kelp_paddr_t first, uint64_t size)
{
	for (unsigned i = 0; i < boot_info.map.count; i++) {
		const struct memory_range *range = &boot_info.map.range[i];

		if (range->kind == MEMORY_RAM && first >= range->first &&
		    first - range->first < range->size &&
		    size <= range->size - (first - range->first))
			return true;
	}
	return false;
}

/* The first segment that touches the range; NULL: none. */
static const struct kelp_kexec_segment *in_the_way(const struct kexec_plan *p, kelp_paddr_t first,
						   uint64_t size)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct kelp_kexec_segment *segment = &p->segments[i];

		if (first < segment->destination + segment->size &&
		    segment->destination < first + size)
			return segment;
	}
	return NULL;
}

bool kexec_place(const struct kexec_plan *p, uint64_t size, uint64_t alignment, kelp_paddr_t first,
		 kelp_paddr_t last, kelp_paddr_t *address)
{
	size = align_up(size, PAGE_SIZE);
	for (unsigned i = 0; i < boot_info.map.count; i++) {
		const struct memory_range *range = &boot_info.map.range[i];
		uint64_t at = align_up(max_u64(range->first, first), alignment);
		const struct kelp_kexec_segment *segment;

		if (range->kind != MEMORY_RAM)
			continue;
		while ((segment = in_the_way(p, at, size)))
			at = align_up(segment->destination + segment->size, alignment);
		if (at + size - 1u <= last && kexec_is_ram(at, size)) {
			*address = at;
			return true;
		}
	}
	return false;
}

bool kexec_add(struct kexec_plan *p, kelp_paddr_t destination, uint64_t size, const void *data,
	       uint64_t data_size)
{
	if (p->count == KEXEC_SEGMENTS)
		return false;
	p->segments[p->count++] = (struct kelp_kexec_segment){
		.destination = destination,
		.size = align_up(size, PAGE_SIZE),
		.data_size = data_size,
		.data = data,
	};
	return true;
}

void *kexec_parameter_page(struct kexec_plan *p)
{
	return p->page_count < KEXEC_PAGES ? p->page[p->page_count++] : NULL;
}
