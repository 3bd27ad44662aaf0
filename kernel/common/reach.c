/* SPDX-License-Identifier: MIT */
/* reach: the kernel's direct map, its kmap and its copy window. */
#include <reach.h>

#include <arch.h>
#include <cpu.h>
#include <frames.h>
#include <lock.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

struct kelp_directmap kernel_direct;
struct kelp_kmap kernel_kmap;
struct kelp_copywin kernel_copywin;

extern const char text_start[], rodata_end[], data_end[];

static void must(enum kelp_status status, const char *what)
{
	if (status == KELP_ERR_NO_MEMORY)
		panic("not enough memory for the page tables of %s: %llu KiB taken so far; "
		      "give this machine at least 32 MiB", what,
		      (unsigned long long)early_frames_taken() / 1024u);
	if (status != KELP_OK)
		panic("%s: %s", what, kelp_status_text(status));
}

static kelp_pfn_t pfn(kelp_paddr_t address)
{
	return (kelp_pfn_t){address >> PAGE_SHIFT};
}

/* ---- the direct map ---------------------------------------------------------------------- */

/*
 * With five levels the direct map shares its root entry with everything else. What coalescing
 * takes away lies inside the direct map, and the tables above it are never empty: so nobody
 * else's edits need this lock.
 */
static struct spinlock map_lock = SPINLOCK("direct map");

/* The image is the only range that is never changed; see pin_image(). */
static struct kelp_frame_range pins[4];

unsigned long direct_lock(void)
{
	return spin_lock_irqsave(&map_lock);
}

void direct_unlock(unsigned long flags)
{
	spin_unlock_irqrestore(&map_lock, flags);
}

bool direct_lock_is_mine(void)
{
	return map_lock.holder == this_cpu()->index + 1u;
}

/*
 * The image is seen in the direct map a second time. What must not be written in the one place
 * must not be in the other either, and stays so: nobody can protect it otherwise or take it away.
 */
static void pin_image(void)
{
	kelp_paddr_t text = (uintptr_t)text_start - IMAGE_BASE;
	uint64_t constant = (uint64_t)(rodata_end - text_start) >> PAGE_SHIFT;
	uint64_t whole = (uint64_t)(data_end - text_start) >> PAGE_SHIFT;

	must(kelp_directmap_protect(&kernel_direct, pfn(text), constant, 0,
				    KELP_ATTR_WRITE | KELP_ATTR_DIRTY),
	     "the rights of the image in the direct map");
	must(kelp_directmap_pin(&kernel_direct, pfn(text), whole), "the image");
}

static unsigned list_ram(const struct boot_info *info, struct kelp_frame_range *ranges)
{
	unsigned count = 0;

	for (unsigned i = 0; i < info->map.count; i++) {
		const struct memory_range *range = &info->map.range[i];
		kelp_paddr_t last = range->first + range->size - 1u;

		if (range->kind != MEMORY_RAM || range->first > direct_last())
			continue;
		ranges[count].first = pfn(range->first);
		ranges[count++].last = pfn(min_u64(last, direct_last()));
	}
	return count;
}

static void init_direct(const struct boot_info *info)
{
	/* Static: too large for a boot stack, and this runs once. */
	static struct kelp_frame_range ranges[BOOT_RANGES];
	const struct kelp_directmap_config config = {
		.space = &kernel_space,
		.base = DIRECT_BASE,
		.frames = min_u64(DIRECT_SIZE, UINT64_C(1) << kernel_format.pa_bits) >> PAGE_SHIFT,
		.attributes = kelp_format_closest(&kernel_format, VM_DATA),
		/* Taking single frames away must never need memory then. */
		.leaf_shift = command_line_has("debug_pagealloc=on", NULL, 0) ? PAGE_SHIFT : 0,
		.pins = pins,
		.pin_capacity = ARRAY_COUNT(pins),
	};

	must(kelp_directmap_init(&kernel_direct, &config, ranges, list_ram(info, ranges)),
	     "the direct map");
	pin_image();
}

/* ---- kmap -------------------------------------------------------------------------------- */

/* Guard pages between a CPU's slots: running over the end of a frame is seen at once. */
#define LOCAL_FLAGS KELP_KMAP_GUARDS

static struct kelp_kmap_cpu local_slots[CPUS_MAX];
static struct kelp_kmap_page global_slots[KMAP_GLOBAL_PAGES];

static struct spinlock global_lock = SPINLOCK("kmap");

struct waiter {
	struct waiter *next;
	struct thread *thread;
	bool woken; /* no longer in the list */
};
static struct spinlock waiters_lock = SPINLOCK("kmap waiters");
static struct waiter *waiters;

static void global_take(void *context)
{
	(void)context;
	spin_lock(&global_lock);
}

static void global_give(void *context)
{
	(void)context;
	spin_unlock(&global_lock);
}

static void global_sleep(void *context)
{
	struct waiter me = {.thread = current_thread()};
	unsigned long flags = spin_lock_irqsave(&waiters_lock);

	(void)context;
	me.next = waiters;
	waiters = &me;
	spin_unlock_irqrestore(&waiters_lock, flags);
	spin_unlock(&global_lock);
	while (!__atomic_load_n(&me.woken, __ATOMIC_ACQUIRE))
		thread_block();
	/* Whoever woke us lets go of `me` only when it releases the lock of the list. */
	spin_unlock_irqrestore(&waiters_lock, spin_lock_irqsave(&waiters_lock));
	spin_lock(&global_lock);
}

static void global_wake(void *context)
{
	unsigned long flags = spin_lock_irqsave(&waiters_lock);

	(void)context;
	while (waiters) {
		struct waiter *waiter = waiters;

		waiters = waiter->next;
		__atomic_store_n(&waiter->woken, true, __ATOMIC_RELEASE);
		thread_wake(waiter->thread);
	}
	spin_unlock_irqrestore(&waiters_lock, flags);
}

static void init_kmap(void)
{
	static const struct kelp_kmap_hooks hooks = {
		.lock = global_take,
		.unlock = global_give,
		.sleep = global_sleep,
		.wake = global_wake,
	};
	const struct kelp_kmap_config config = {
		.space = &kernel_space,
		.directmap = &kernel_direct,
		.attributes = kelp_format_closest(&kernel_format, VM_DATA),
		.flags = LOCAL_FLAGS | (command_line_has("kmap=force", NULL, 0) ? KELP_KMAP_FORCE : 0),
		.local_base = KMAP_LOCAL_BASE,
		.cpus = CPUS_MAX,
		.cpu = local_slots,
		.global_base = KMAP_GLOBAL_BASE,
		.pages = KMAP_GLOBAL_PAGES,
		.page = global_slots,
		.hooks = &hooks,
	};

	must(kelp_kmap_init(&kernel_kmap, &config), "kmap");
}

static _Noreturn void no_such_frame(const char *what, kelp_paddr_t address, enum kelp_status status)
{
	panic("%s of 0x%llx: %s", what, (unsigned long long)address, kelp_status_text(status));
}

static void *pointer(kelp_vaddr_t page, kelp_paddr_t address)
{
	return (void *)(uintptr_t)(page | (address & (PAGE_SIZE - 1u)));
}

void *kmap_local_mapped(kelp_paddr_t address)
{
	enum kelp_status status;
	kelp_vaddr_t va;

	preempt_disable();
	status = kelp_kmap_local_mapped(&kernel_kmap, &current_thread()->kmap, this_cpu()->index,
					pfn(address), kernel_kmap.attributes, &va);
	preempt_enable();
	if (status != KELP_OK)
		no_such_frame("kmap_local", address, status);
	return pointer(va, address);
}

void kunmap_local_mapped(const void *mapped)
{
	preempt_disable();
	kelp_kunmap_local_mapped(&kernel_kmap, &current_thread()->kmap, this_cpu()->index,
				 (uintptr_t)mapped);
	preempt_enable();
}

void *kmap_mapped(kelp_paddr_t address)
{
	kelp_vaddr_t va;
	enum kelp_status status = kelp_kmap_mapped(&kernel_kmap, pfn(address), &va);

	if (status != KELP_OK)
		no_such_frame("kmap", address, status);
	return pointer(va, address);
}

void kunmap_mapped(const void *mapped)
{
	kelp_kunmap_mapped(&kernel_kmap, (uintptr_t)mapped);
}

/* Bytes of [address, address + size) that lie in the first frame of it. */
static size_t in_frame(kelp_paddr_t address, uint64_t size)
{
	return (size_t)min_u64(size, PAGE_SIZE - (address & (PAGE_SIZE - 1u)));
}

void frames_zero(kelp_paddr_t address, uint64_t size)
{
	while (size) {
		size_t piece = in_frame(address, size);
		void *bytes = kmap_local(address);

		memset(bytes, 0, piece);
		kunmap_local(bytes);
		address += piece;
		size -= piece;
	}
}

/* ---- the copy window --------------------------------------------------------------------- */

/* One number more than there are CPUs: for a panic, which may come in the midst of a copy. */
#define COPYWIN_CPUS (CPUS_MAX + 1u)

static struct kelp_copywin_cpu copywin_cpus[COPYWIN_CPUS];

/* Each range finds its slots empty, so none would notice another in the same place. */
_Static_assert(KMAP_LOCAL_BASE + CPUS_MAX * KELP_KMAP_LOCAL_PAGES(LOCAL_FLAGS) * PAGE_SIZE <=
		       KMAP_GLOBAL_BASE, "the slots of that many CPUs end before the next range");
_Static_assert(KMAP_GLOBAL_BASE + KMAP_GLOBAL_PAGES * PAGE_SIZE <= COPYWIN_BASE,
	       "global maps end before the next range");
_Static_assert(COPYWIN_BASE + KELP_COPYWIN_PAGES(COPYWIN_CPUS) * PAGE_SIZE <= FIXMAP_BASE,
	       "the windows of that many CPUs end before the next range");

static void init_copywin(void)
{
	const struct kelp_copywin_config config = {
		.space = &kernel_space,
		.base = COPYWIN_BASE,
		.cpus = COPYWIN_CPUS,
		.attributes = kelp_format_closest(&kernel_format, VM_DATA),
		.cpu = copywin_cpus,
	};

	must(kelp_copywin_init(&kernel_copywin, &config), "the copy window");
}

/* Interrupts are off. CPUs that are not stopped yet keep theirs: the panic's has one user. */
static uint32_t copywin_number(void)
{
	return panic_is_mine() ? CPUS_MAX : this_cpu()->index;
}

void copywin_read(kelp_paddr_t from, void *buffer, size_t size)
{
	uint8_t *to = buffer;

	while (size) {
		size_t piece = in_frame(from, size);
		unsigned long flags = arch_irq_save();
		enum kelp_status status =
			kelp_copywin_read(&kernel_copywin, copywin_number(), pfn(from),
					  (size_t)(from & (PAGE_SIZE - 1u)), to, piece);

		arch_irq_restore(flags);
		if (status != KELP_OK)
			no_such_frame("copywin_read", from, status);
		from += piece;
		to += piece;
		size -= piece;
	}
}

void copywin_write(kelp_paddr_t to, const void *buffer, size_t size)
{
	const uint8_t *from = buffer;

	while (size) {
		size_t piece = in_frame(to, size);
		unsigned long flags = arch_irq_save();
		enum kelp_status status =
			kelp_copywin_write(&kernel_copywin, copywin_number(), pfn(to),
					   (size_t)(to & (PAGE_SIZE - 1u)), from, piece);

		arch_irq_restore(flags);
		if (status != KELP_OK)
			no_such_frame("copywin_write", to, status);
		to += piece;
		from += piece;
		size -= piece;
	}
}

void copywin_copy(kelp_paddr_t to, kelp_paddr_t from)
{
	unsigned long flags = arch_irq_save();
	enum kelp_status status = kelp_copywin_copy(&kernel_copywin, copywin_number(), pfn(to),
						    pfn(from));

	arch_irq_restore(flags);
	if (status != KELP_OK)
		no_such_frame("copywin_copy", to, status);
}

void copywin_zero(kelp_paddr_t address)
{
	unsigned long flags = arch_irq_save();
	enum kelp_status status = kelp_copywin_zero(&kernel_copywin, copywin_number(),
						    pfn(address));

	arch_irq_restore(flags);
	if (status != KELP_OK)
		no_such_frame("copywin_zero", address, status);
}

/* ------------------------------------------------------------------------------------------ */

void reach_init(const struct boot_info *info)
{
	init_direct(info);
	init_kmap();
	init_copywin();
}
