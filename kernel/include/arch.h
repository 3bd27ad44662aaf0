/* SPDX-License-Identifier: MIT */
/*
 * arch: everything the shared code asks of an architecture. A port of Holdfast is this header
 * implemented in kernel/arch/<a>, plus <machine/cpu.h> with the inlines named below.
 *
 * <machine/cpu.h> defines:
 *   struct arch_cpu                 what a CPU needs beyond struct cpu
 *   struct arch_context             a thread that is not running
 *   struct trap_frame               registers at an exception or interrupt
 *   arch_irq_save/restore/enable/disable, arch_irqs_enabled
 *   arch_relax                      in a spinning loop
 *   arch_wait                       interrupts are off: enable them and wait for one, no gap
 *   this_cpu, current_thread        need interrupts or preemption off, and nothing, respectively
 *   arch_set_current_thread
 *   arch_ticks                      a counter that all CPUs agree on
 *   arch_device_fence               orders memory and device registers, see drivers/mmio.h
 *   arch_stack_frame                the current frame pointer, for backtraces
 *
 * <machine/layout.h> defines where things lie: DIRECT_BASE, DIRECT_SIZE, WINDOW_BASE,
 * WINDOW_SIZE, TEST_BASE, TEST_SIZE, USER_BASE, USER_SIZE; for <reach.h> KMAP_LOCAL_BASE (64 CPUs
 * of 33 pages), KMAP_GLOBAL_BASE, KMAP_GLOBAL_PAGES (a power of two), COPYWIN_BASE (130 pages),
 * FIXMAP_BASE, and ARCH_FIXMAP(X) for <fixmap.h>; IMAGE_BASE, the address of physical 0 in the image's mapping; BOOT_REACH, what the
 * boot tables show of memory at DIRECT_BASE. DIRECT_SIZE may be less than all RAM: the rest is
 * reached through kmap. DIRECT_BASE and DIRECT_SIZE are aligned to the largest leaf.
 *
 * The linker script defines text_start, text_end, rodata_start, rodata_end, data_start, data_end
 * (whole pages) and image_end; the boot code boot_stack_guard, the page below its stack.
 */
#ifndef HOLDFAST_ARCH_H
#define HOLDFAST_ARCH_H

#include <kelp/kelp.h>

#include <base.h>
#include <boot.h>
#include <machine/cpu.h>
#include <machine/layout.h>

struct cpu;
struct thread;
struct arch_frozen;
struct kelp_snapshot_relocation;

/* ---- starting, in the order of the calls ------------------------------------------------- */

/* Console, boot CPU's struct, exception vectors. Nothing allocated, nothing printed. */
void arch_init_early(void);

/* Takes early frames that must lie at special places (x86: below 1 MiB to start CPUs). */
void arch_take_early_frames(void);

/* Translates what the loader left into neutral form. The map need not be clean. */
void arch_boot_info(struct boot_info *info);

/* The format of this machine's tables as they must be from now on. */
void arch_format_init(struct kelp_format *format);

/*
 * The boot tables are adopted: sets the fixmap slots that devices are reached through from now on,
 * ARCH_FIXMAP in <machine/layout.h>.
 */
void arch_look_around(void);

/*
 * The highest physical address of RAM that this kernel can use, and what ends there, for people.
 * Known from the start.
 */
kelp_paddr_t arch_ram_last(const char **limit);

/* Root of the tables the machine runs on at this moment. */
kelp_paddr_t arch_table_root(void);

/* Runs on `space` from the next instruction on, with nothing of the old tables cached. */
void arch_switch_tables(const struct kelp_space *space);

/*
 * Turns on what the CPU offers to keep the kernel from its own mistakes (x86: WP, SMEP, SMAP,
 * UMIP). Every CPU calls it once it runs on the final tables.
 */
void arch_protect_cpu(void);

/* Interrupt controller, clock and timer of the boot CPU. ACPI is readable. */
void arch_init_interrupts(void);

/* One line per fact about the CPU worth telling: name, paging mode, protections. */
void arch_describe_cpu(void);

/* ---- CPUs -------------------------------------------------------------------------------- */

/* Hardware ids of the CPUs that may be started, the boot CPU first. Returns how many. */
unsigned arch_list_cpus(uint32_t *hardware_id, unsigned limit);

/* Starts `cpu`, which enters cpu_main() on cpu->idle's stack. False when it does not answer. */
bool arch_start_cpu(struct cpu *cpu);

/* Takes what `cpu` needs of memory before it runs: stacks for faults. False: there is none. */
bool arch_init_cpu(struct cpu *cpu);

/* Makes `cpu` call cpu_interrupted(). */
void arch_interrupt_cpu(struct cpu *cpu);

/* Stops all others for good, from whatever they do. For panic. */
void arch_stop_other_cpus(void);

/* ---- memory ------------------------------------------------------------------------------ */

/*
 * Prints every leaf and every joined range as QEMU's monitor does for this architecture, from
 * Kelp's walk, and a sample of translations: tests/qemu/differential.sh compares.
 */
void arch_dump_tables(void);

/* Instruction fetches see what was stored in [start, start + size). */
void arch_sync_code(void *start, size_t size);

/* ---- threads ----------------------------------------------------------------------------- */

/* A new thread begins in thread_begin() with interrupts off. */
void arch_context_init(struct arch_context *context, void *stack_top);
void arch_context_switch(struct arch_context *from, struct arch_context *to);

/* Continues in `entry` on another stack and never returns. */
_Noreturn void arch_call_on_stack(void *stack_top, void (*entry)(void));

/* ---- carrying over, where HOLDFAST_HIBERNATES is defined --------------------------------- */

/*
 * Puts the registers of this CPU aside in memory and returns false. When they are taken up again,
 * in a machine that was overwritten with this one's memory, it returns true. The function that
 * calls it does not return in between.
 */
bool arch_freeze(struct arch_frozen *frozen) __attribute__((returns_twice));
_Noreturn void arch_thaw(const struct arch_frozen *frozen);

/* What a resumed machine is entered with. */
struct arch_entry {
	uint64_t code;   /* address of resume_entry in the kernel that was saved */
	uint64_t root;   /* its tables */
	uint64_t frozen; /* address of its boot CPU's registers */
};
void arch_entry_here(struct arch_entry *entry);

/* Code that runs while memory is overwritten; it is copied to a frame of its own. */
extern const uint8_t resume_relocate[], resume_relocate_end[];

/*
 * Leaves this kernel: makes the moves of `list` on `tables`, which map RAM at DIRECT_BASE,
 * writable, the page of `code` (a copy of resume_relocate, executable at the same address in both
 * tables) and the page of entry->code; then enters. Interrupts are off, no other CPU runs.
 */
_Noreturn void arch_leave(const void *code, kelp_paddr_t tables, const struct kelp_snapshot_relocation *list,
			  uint64_t moves, const struct arch_entry *entry);

/* Every other CPU is made to wait for its start, as after power-on. */
void arch_reset_other_cpus(void);

/* On the boot CPU of the resumed machine, interrupts off: registers, controllers, the console. */
void arch_resumed(void);
/* The same for another CPU: starts it, and it returns true from arch_freeze(). */
bool arch_thaw_cpu(struct cpu *cpu, struct arch_frozen *frozen);
/* Ticks go on from `tick`, on all CPUs. */
void arch_ticks_continue(uint64_t tick);

/* What this kernel uses of the CPU, as a set: a machine that it is carried to must have it all. */
#define ARCH_CPU_SET 32u
void arch_cpu_set(uint8_t set[ARCH_CPU_SET]);

/* ---- time -------------------------------------------------------------------------------- */

/* Ticks of arch_ticks() in a second. Known after arch_init_interrupts(). */
uint64_t arch_ticks_per_second(void);

/* This CPU calls timer_interrupt() at the given tick or soon after; UINT64_MAX: not at all. */
void arch_timer_set(uint64_t tick);

/* ---- traps ------------------------------------------------------------------------------- */

enum probe_kind {
	PROBE_LOAD,
	PROBE_STORE,
	PROBE_FETCH, /* calls the address; there is arch_return_code there */
};

enum probe_result {
	PROBE_OK,
	PROBE_NOT_PRESENT, /* no valid translation */
	PROBE_DENIED,      /* a translation, but not for this */
	PROBE_MALFORMED,   /* a reserved bit is set in an entry */
	PROBE_OTHER,       /* another exception; see `code` */
};

struct probe {
	enum probe_result result;
	uintptr_t address; /* as reported by hardware */
	unsigned vector;
	unsigned code;     /* as reported by hardware */
};

/*
 * Accesses one address, 1, 2, 4 or 8 bytes, and comes back whatever happens. `value` is loaded
 * to or stored from. Any context; nothing else is changed.
 */
struct probe arch_probe(enum probe_kind kind, uintptr_t address, unsigned size, uint64_t *value);

/*
 * The same from user mode, 8 bytes. `user_code` is a user page that holds arch_user_code. A fetch
 * finds arch_user_stop_code at the address. Thread context.
 */
struct probe arch_probe_user(enum probe_kind kind, uintptr_t address, uintptr_t user_code,
			     uint64_t *value);
extern const uint8_t arch_user_code[], arch_user_code_end[];

/* Allows the kernel's own accesses to user leaves until closed (x86: SMAP's AC). */
void arch_user_access(bool allow);
/* True when the CPU withholds user leaves from kernel loads and stores / fetches. */
bool arch_guards_user_access(void);
bool arch_guards_user_fetch(void);

/* One instruction each: a function that returns at once; what ends a fetch from user mode. */
extern const uint8_t arch_return_code[], arch_user_stop_code[];
#define ARCH_CODE_SIZE 8u

/* Brings about a fault for real: "page", "stack", "divide", "invalid", ...; false: no such. */
bool arch_provoke_fault(const char *kind);
extern const char arch_fault_kinds[];

/* ---- devices ----------------------------------------------------------------------------- */

/* I/O ports of 1, 2 or 4 bytes. Where an architecture has none the last two do nothing. */
bool arch_has_ports(void);
uint32_t arch_port_read(uint16_t port, unsigned size);
void arch_port_write(uint16_t port, unsigned size, uint32_t value);

/* ---- ending ------------------------------------------------------------------------------ */

/* Tells QEMU's exit device, if the command line says there is one. Returns if there is not. */
void arch_exit_to_host(bool success);
/* Each returns only when nothing worked. */
void arch_power_off(void);
void arch_reboot(void);

#endif
