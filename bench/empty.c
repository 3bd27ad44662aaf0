/* SPDX-License-Identifier: MIT */
/* bench: functions that do nothing, as calls to compare with. */
#include "bench.h"

enum kelp_status bench_empty_map(struct kelp_flush *flush, kelp_vaddr_t va, kelp_paddr_t pa,
				 uint64_t size, kelp_attr_t attributes, uint32_t flags)
{
	(void)flush, (void)va, (void)pa, (void)size, (void)attributes, (void)flags;
	return KELP_OK;
}

enum kelp_status bench_empty_unmap(struct kelp_flush *flush, kelp_vaddr_t va, uint64_t size,
				   uint32_t flags)
{
	(void)flush, (void)va, (void)size, (void)flags;
	return KELP_OK;
}

enum kelp_status bench_empty_translate(const struct kelp_space *space, kelp_vaddr_t va,
				       kelp_paddr_t *pa)
{
	(void)space, (void)va, (void)pa;
	return KELP_OK;
}

enum kelp_status bench_empty_hold(struct kelp_memmap *map, uint32_t cpu, kelp_pfn_t pfn,
				  struct kelp_hold *hold)
{
	(void)map, (void)cpu, (void)pfn, (void)hold;
	return KELP_OK;
}

void bench_empty_release(struct kelp_memmap *map, uint32_t cpu, struct kelp_hold *hold)
{
	(void)map, (void)cpu, (void)hold;
}

void bench_use(const void *pointer)
{
	(void)pointer;
}
