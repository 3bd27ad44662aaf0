/* SPDX-License-Identifier: MIT */
/*
 * apic: the local APIC in either mode, its timer, and the I/O APIC. Intel SDM volume 3A,
 * chapter 10; 82093AA data sheet (I/O APIC). CPUs come from ACPI's MADT (ACPI 6.4, 5.2.12).
 */
#include "machine.h"

#include <acpi.h>
#include <fixmap.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

enum apic_register {
	APIC_ID = 0x20,
	APIC_EOI = 0xb0,
	APIC_SPURIOUS = 0xf0,
	APIC_COMMAND = 0x300,
	APIC_COMMAND_HIGH = 0x310,
	APIC_TIMER = 0x320,
	APIC_LINT0 = 0x350,
	APIC_LINT1 = 0x360,
	APIC_ERROR = 0x370,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
};

#define SPURIOUS_ENABLE    (1u << 8)
#define COMMAND_NMI        (4u << 8)
#define COMMAND_INIT       (5u << 8)
#define COMMAND_STARTUP    (6u << 8)
#define COMMAND_PENDING    (1u << 12)
#define COMMAND_ASSERT     (1u << 14)
#define LVT_MASKED         (1u << 16)
#define LVT_NMI            (4u << 8)
#define TIMER_DEADLINE     (2u << 17)
#define TIMER_DIVIDE_BY_1  0xbu

static bool x2apic;
static volatile uint32_t *registers;
static uint64_t timer_per_second;

static uint32_t apic_read(enum apic_register index)
{
	if (x2apic)
		return (uint32_t)read_msr(MSR_X2APIC + ((uint32_t)index >> 4));
	return registers[(unsigned)index / 4u];
}

static void apic_write(enum apic_register index, uint32_t value)
{
	if (x2apic)
		write_msr(MSR_X2APIC + ((uint32_t)index >> 4), value);
	else
		registers[(unsigned)index / 4u] = value;
}

/* Two IPIs of one CPU must not interleave their halves: interrupts off. */
static void command(uint32_t target, uint32_t value)
{
	unsigned long flags = arch_irq_save();

	if (x2apic) {
		/* An MSR write orders nothing: earlier stores must be seen by the target. */
		__asm__ volatile("mfence; lfence" ::: "memory");
		write_msr(MSR_X2APIC + (APIC_COMMAND >> 4), (uint64_t)target << 32 | value);
	} else {
		while (apic_read(APIC_COMMAND) & COMMAND_PENDING)
			arch_relax();
		apic_write(APIC_COMMAND_HIGH, target << 24);
		apic_write(APIC_COMMAND, value);
	}
	arch_irq_restore(flags);
}

void apic_send(uint32_t target, unsigned vector)
{
	command(target, vector | COMMAND_ASSERT);
}

void apic_send_init(uint32_t target)
{
	command(target, COMMAND_INIT | COMMAND_ASSERT);
}

void apic_send_startup(uint32_t target, kelp_paddr_t page)
{
	command(target, COMMAND_STARTUP | COMMAND_ASSERT | (uint32_t)(page >> PAGE_SHIFT));
}

void apic_send_nmi(uint32_t target)
{
	command(target, COMMAND_NMI | COMMAND_ASSERT);
}

uint32_t apic_id(void)
{
	return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_end_of_interrupt(void)
{
	apic_write(APIC_EOI, 0);
}

const char *apic_mode(void)
{
	return x2apic ? "x2APIC" : "xAPIC";
}

/* Bit 11 enables, bit 10 extends; extending happens from the enabled state only. */
static void enable(uint64_t base)
{
	write_msr(MSR_APIC_BASE, base | 0x800u);
	if (x2apic)
		write_msr(MSR_APIC_BASE, base | 0xc00u);
}

void apic_init_cpu(void)
{
	enable(read_msr(MSR_APIC_BASE));
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_LINT0, LVT_MASKED);
	apic_write(APIC_LINT1, LVT_NMI);
	apic_write(APIC_ERROR, LVT_MASKED);
	apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
	apic_write(APIC_TIMER, VECTOR_TIMER | (features.tsc_deadline ? TIMER_DEADLINE : 0));
	/* SDM 10.5.4.1: orders the switch to deadline mode before the first deadline. */
	__asm__ volatile("mfence" ::: "memory");
	this_cpu()->arch.timer_tick = UINT64_MAX;
}

/* What the timer counted, and the least and the most ticks of the clock that it took for that. */
struct measurement {
	uint32_t counted;
	uint64_t least, most;
};

/*
 * 5 ms of the timer. Each of its registers is accessed between two looks at the clock: a host that
 * takes the CPU away between them makes `most` larger than `least`, and that shows.
 */
static struct measurement measure(void)
{
	uint64_t wait = arch_ticks_per_second() / 200u, before, begin, end, after;
	uint32_t left;

	before = arch_ticks();
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	begin = arch_ticks();
	while (arch_ticks() - begin < wait)
		arch_relax();
	end = arch_ticks();
	left = apic_read(APIC_TIMER_CURRENT);
	after = arch_ticks();
	return (struct measurement){UINT32_MAX - left, end - begin, after - before};
}

#define MEASUREMENTS_MAX 40u

/* The best of several measurements; one that is known to a thousandth is good enough. */
static void calibrate_timer(void)
{
	struct measurement best = {0, 0, UINT64_MAX};

	if (features.tsc_deadline)
		return;
	apic_write(APIC_TIMER, VECTOR_TIMER | LVT_MASKED);
	for (unsigned i = 0; i < MEASUREMENTS_MAX; i++) {
		struct measurement m = measure();

		if (m.counted == 0 || m.counted == UINT32_MAX)
			continue;
		if (m.most - m.least < best.most - best.least)
			best = m;
		if (best.most - best.least <= best.least >> 10)
			break;
	}
	apic_write(APIC_TIMER_INITIAL, 0);
	apic_write(APIC_TIMER, VECTOR_TIMER);
	if (!best.counted)
		panic("the APIC timer does not count");
	/* A few milliseconds of counting: the product is far from 64 bits. */
	timer_per_second = best.counted * arch_ticks_per_second() /
			   (best.least + (best.most - best.least) / 2u);
}

void arch_timer_set(uint64_t tick)
{
	unsigned long flags = arch_irq_save();
	uint64_t now = arch_ticks(), delta, second = arch_ticks_per_second();

	this_cpu()->arch.timer_tick = tick;
	if (features.tsc_deadline) {
		/* The deadline is compared with the counter as it is. */
		write_msr(MSR_TSC_DEADLINE, tick == UINT64_MAX ? 0 : tick - arch_ticks_offset);
	} else if (tick == UINT64_MAX) {
		apic_write(APIC_TIMER_INITIAL, 0);
	} else {
		/* At most a second at a time: apic_timer_interrupt() goes on. 0 would stop it. */
		delta = tick > now ? min_u64(tick - now, second) : 0;
		delta = delta * (timer_per_second >> 10) / (second >> 10);
		apic_write(APIC_TIMER_INITIAL,
			   (uint32_t)max_u64(1, min_u64(UINT32_MAX, delta)));
	}
	arch_irq_restore(flags);
}

uint64_t apic_timer_per_second(void)
{
	return timer_per_second;
}

void apic_timer_interrupt(void)
{
	uint64_t tick = this_cpu()->arch.timer_tick;

	if (tick != UINT64_MAX && tick > arch_ticks())
		arch_timer_set(tick);
}

/* ---- the MADT ---------------------------------------------------------------------------- */

struct madt_entry {
	uint8_t type;
	uint8_t length;
	uint8_t data[];
};

enum madt_type {
	MADT_LOCAL_APIC = 0,
	MADT_IO_APIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LOCAL_X2APIC = 9,
};

/* Entries start 8 bytes behind the header: local APIC address and flags. */
static const struct madt_entry *madt_next(const struct acpi_header *madt,
					  const struct madt_entry *entry)
{
	const uint8_t *end = (const uint8_t *)madt + madt->length;
	const uint8_t *at = entry ? (const uint8_t *)entry + entry->length
				  : (const uint8_t *)(madt + 1) + 8;

	if (end - at < 2 || at[1] < 2 || end - at < at[1])
		return NULL;
	return (const struct madt_entry *)at;
}

static uint32_t read_32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

unsigned arch_list_cpus(uint32_t *hardware_id, unsigned limit)
{
	const struct acpi_header *madt = acpi_find("APIC");
	const struct madt_entry *entry = NULL;
	unsigned count = 0, left_out = 0;

	hardware_id[count++] = apic_id();
	while (madt && (entry = madt_next(madt, entry))) {
		uint32_t id;
		bool enabled;

		if (entry->type == MADT_LOCAL_APIC && entry->length >= 8) {
			id = entry->data[1];
			enabled = read_32(entry->data + 2) & 1u;
		} else if (entry->type == MADT_LOCAL_X2APIC && entry->length >= 16) {
			id = read_32(entry->data + 2);
			enabled = read_32(entry->data + 6) & 1u;
		} else {
			continue;
		}
		if (!enabled || id == hardware_id[0])
			continue;
		if ((id > 254 && !x2apic) || count == limit)
			left_out++;
		else
			hardware_id[count++] = id;
	}
	if (left_out)
		kprintf("cpus: %u more than we can use (limit %u, %s)\n", left_out, limit,
			apic_mode());
	return count;
}

/* ---- the I/O APIC ------------------------------------------------------------------------ */

#define IOAPIC_REDIRECTION 0x10u
#define REDIRECTION_LOW_ACTIVE (1u << 13)
#define REDIRECTION_LEVEL      (1u << 15)

static void ioapic_write(volatile uint32_t *ioapic, uint32_t index, uint32_t value)
{
	ioapic[0] = index;
	ioapic[4] = value;
}

bool ioapic_route_isa(unsigned line, unsigned vector)
{
	const struct acpi_header *madt = acpi_find("APIC");
	const struct madt_entry *entry = NULL;
	uint32_t global = line, base = 0, address = 0, mode = 0;
	/* Mapped once: a machine that comes back routes the same lines again. */
	static volatile uint32_t *ioapic;
	static uint32_t mapped;

	while (madt && (entry = madt_next(madt, entry))) {
		if (entry->type == MADT_OVERRIDE && entry->length >= 10 && entry->data[1] == line) {
			unsigned flags = entry->data[6];

			global = read_32(entry->data + 2);
			/* MPS INTI flags: polarity in bits 1:0, trigger in 3:2; 3 = low, level. */
			mode = ((flags & 3u) == 3u ? REDIRECTION_LOW_ACTIVE : 0) |
			       ((flags >> 2 & 3u) == 3u ? REDIRECTION_LEVEL : 0);
		}
	}
	/* Of several the one that begins last at or below the interrupt. */
	while (madt && (entry = madt_next(madt, entry))) {
		uint32_t first;

		if (entry->type != MADT_IO_APIC || entry->length < 12)
			continue;
		first = read_32(entry->data + 6);
		if (first <= global && (!address || first > base)) {
			address = read_32(entry->data + 2);
			base = first;
		}
	}
	if (!address)
		return false;
	if (!ioapic || mapped != address)
		ioapic = vm_map_physical(address, PAGE_SIZE, VM_DEVICE);
	mapped = address;
	if (!ioapic)
		return false;
	ioapic_write(ioapic, IOAPIC_REDIRECTION + 2u * (global - base) + 1u,
		     boot_cpu.hardware_id << 24);
	ioapic_write(ioapic, IOAPIC_REDIRECTION + 2u * (global - base), vector | mode);
	return true;
}

/* ---- start ------------------------------------------------------------------------------- */

/* Its registers have the same address before and after the switch of tables. */
void arch_look_around(void)
{
	uint64_t base = read_msr(MSR_APIC_BASE);

	x2apic = features.x2apic || (base & 0x400u);
	if (!x2apic)
		registers = fixmap_set(FIX_LOCAL_APIC, base & ~UINT64_C(0xfff), VM_DEVICE);
	else
		enable(base);
	boot_cpu.hardware_id = apic_id();
}

void apic_init_boot(void)
{
	apic_init_cpu();
	if (apic_id() != boot_cpu.hardware_id)
		panic("the local APIC is another one since the tables were switched");
	calibrate_timer();
}
