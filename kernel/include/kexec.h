/* SPDX-License-Identifier: MIT */
/*
 * kexec: starts another kernel from this one. The kernel, and what it is given, are files in cpio
 * archives ("newc") that the loader brought along as modules; with QEMU, -initrd.
 *
 *	kexec_find()             a file
 *	arch_kexec_plan()        what has to lie where, from the kernel's own headers
 *	kelp_kexec_*(), kelp_trans_*()
 *	arch_kexec_prepare()     tables, code and stack outside of all that
 *	devices and other CPUs stopped
 *	arch_kexec_jump()
 */
#ifndef HOLDFAST_KEXEC_H
#define HOLDFAST_KEXEC_H

#include <kelp/kelp.h>

#include <base.h>
#include <boot.h>

struct kexec_file {
	const uint8_t *data;
	uint64_t size;
	char name[32];
};

/* The nth file of all archives. False: there are fewer. */
bool kexec_file(unsigned n, struct kexec_file *file);
bool kexec_find(const char *name, struct kexec_file *file);

#define KEXEC_SEGMENTS 8
#define KEXEC_PAGES    4

enum kexec_entry {
	KEXEC_ENTRY_64, /* long mode, identity map, argument in rsi */
	KEXEC_ENTRY_32, /* protected mode without paging, argument in ebx */
};

/* What the next kernel needs. The architecture fills it in. */
struct kexec_plan {
	char what[96];  /* for people: "Linux 6.1.0" */
	struct kexec_file kernel, initrd; /* initrd.size 0: none */
	const char *command_line;
	const char *message; /* carried across, where the next kernel understands it */
	enum kexec_entry mode;
	kelp_paddr_t entry;
	kelp_paddr_t argument;
	bool executable; /* it expects to find all RAM executable in the identity map */
	size_t count;
	struct kelp_kexec_segment segments[KEXEC_SEGMENTS];
	unsigned page_count;
	uint8_t page[KEXEC_PAGES][PAGE_SIZE] __attribute__((aligned(8)));
};

/* Adds a segment; false when there are too many. `size` is rounded up to pages. */
bool kexec_add(struct kexec_plan *plan, kelp_paddr_t destination, uint64_t size, const void *data,
	       uint64_t data_size);
/* A page of its own for parameters, to be filled in; NULL when there are too many. */
void *kexec_parameter_page(struct kexec_plan *plan);
/* Lowest place in RAM in [first, last] that is free of the plan's segments. */
bool kexec_place(const struct kexec_plan *plan, uint64_t size, uint64_t alignment,
		 kelp_paddr_t first, kelp_paddr_t last, kelp_paddr_t *address);
bool kexec_is_ram(kelp_paddr_t first, uint64_t size);

/* Kelp's hooks: frames of the page allocator, and RAM of the memory map. */
extern const struct kelp_kexec_config kexec_config;

/* ---- the architecture's part ------------------------------------------------------------- */

/* False where no code for the last step was written: everything else then refuses. */
bool arch_can_kexec(void);
/* NULL, or why it cannot be done, for people. */
const char *arch_kexec_plan(struct kexec_plan *plan);
const char *arch_kexec_prepare(const struct kexec_plan *plan, struct kelp_kexec *kexec,
			       uint64_t *tables);
/* When the list is there: everything that the last code touches is in the tables. NULL, or why. */
const char *arch_kexec_check(const struct kelp_kexec *kexec);
/* Gives back what prepare took, after it failed or was not used. */
void arch_kexec_cancel(struct kelp_kexec *kexec);
/* arch_ticks() as a kernel that starts now would count: without what hibernation made up for. */
uint64_t arch_kexec_tick(void);
/* Only the boot CPU can leave; interrupts are off, devices are stopped. */
void arch_kexec_stop_cpus(void);
_Noreturn void arch_kexec_jump(const struct kexec_plan *plan, kelp_paddr_t list);

/* ---- the monitor's ----------------------------------------------------------------------- */

bool run_kexec(unsigned count, char **word);
/* What the kernel before this one had to say, if there was one. */
void kexec_print_message(void);

/*
 * The last step of a story: goes on in the file "next", if there is one, and tells it that it is
 * the end. Returns true when there is none, or when this architecture has no kexec; false when it
 * cannot be started.
 */
bool kexec_next(void);
/* That next kernel: says how long the way took. False when nobody sent it. */
bool kexec_arrived(void);

#endif
