/* SPDX-License-Identifier: MIT */
/* fixmap: the kernel's slots, on the boot tables first and then on its own. */
#include <fixmap.h>

#include <arch.h>
#include <cpu.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

_Static_assert(FIXMAP_BASE + FIXMAP_PAGES * PAGE_SIZE <= IMAGE_BASE,
	       "the banks of that many CPUs end before the image");

struct kelp_fixmap kernel_fixmap;
static struct kelp_fixmap early_fixmap;

/* What is set through: the early one until the switch is over; it sets in both. */
static struct kelp_fixmap *current = &early_fixmap;

static void must(enum kelp_status status, const char *what)
{
	if (status != KELP_OK)
		panic("fixmap: %s: %s", what, kelp_status_text(status));
}

static struct kelp_fixmap_config config_on(struct kelp_space *space)
{
	return (struct kelp_fixmap_config){
		.space = space,
		.base = FIXMAP_BASE,
		KELP_FIXMAP_OF(holdfast_fixmap),
		.cpus = CPUS_MAX,
	};
}

/* The boot CPU's bank comes with the fixmap, those of the others with them. */
void fixmap_init_early(void)
{
	struct kelp_fixmap_config config = config_on(&boot_space);

	must(kelp_fixmap_init(&early_fixmap, &config, 1), "on the boot tables");
}

void fixmap_carry(void)
{
	struct kelp_fixmap_config config = config_on(&kernel_space);

	must(kelp_fixmap_init(&kernel_fixmap, &config, 1), "on the final tables");
	must(kelp_fixmap_carry(&early_fixmap, &kernel_fixmap), "its permanent slots");
}

void fixmap_switched(void)
{
	kelp_fixmap_switched(&early_fixmap);
	current = &kernel_fixmap;
}

bool fixmap_add_cpu(unsigned index)
{
	return kelp_fixmap_populate(&kernel_fixmap, index, 1) == KELP_OK;
}

static void set(enum holdfast_fixmap_slot slot, uint32_t cpu, kelp_paddr_t pa,
		kelp_attr_t attributes)
{
	must(kelp_fixmap_set(current, (uint32_t)slot, cpu, 0, holdfast_fixmap_slots[slot].pages,
			     align_down(pa, PAGE_SIZE),
			     kelp_format_closest(&kernel_format, attributes)),
	     holdfast_fixmap_slots[slot].name);
}

static void *at(kelp_vaddr_t page, kelp_paddr_t pa)
{
	return (void *)(uintptr_t)(page | (pa & (PAGE_SIZE - 1u)));
}

void *fixmap_set(enum holdfast_fixmap_slot slot, kelp_paddr_t pa, kelp_attr_t attributes)
{
	set(slot, 0, pa, attributes);
	return at(kelp_fixmap_address(current, (uint32_t)slot), pa);
}

void fixmap_clear(enum holdfast_fixmap_slot slot)
{
	preempt_disable();
	must(kelp_fixmap_clear(current, (uint32_t)slot, 0), holdfast_fixmap_slots[slot].name);
	preempt_enable();
}

void *fixmap_set_local(enum holdfast_fixmap_slot slot, kelp_paddr_t pa, kelp_attr_t attributes)
{
	uint32_t cpu = this_cpu()->index;

	set(slot, cpu, pa, attributes);
	return at(kelp_fixmap_cpu_address(current, (uint32_t)slot, cpu), pa);
}

void fixmap_clear_local(enum holdfast_fixmap_slot slot)
{
	must(kelp_fixmap_clear(current, (uint32_t)slot, this_cpu()->index),
	     holdfast_fixmap_slots[slot].name);
}
