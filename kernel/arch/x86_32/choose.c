/* SPDX-License-Identifier: MIT */
/*
 * choose: which tables this CPU starts on: PAE's where it has them, unless the command line says
 * `nopae`, else two-level ones.
 *
 * It runs at the image's physical addresses with paging off: all its code and data are in the
 * .boot sections, it calls nothing, and jump tables are switched off for it (kernel/build.mk).
 */
#include "boot_magic.h"
#include "machine.h"

#define BOOT_CODE __attribute__((section(".boot.text")))
#define BOOT_DATA __attribute__((section(".boot.data")))

extern uint32_t boot_cr3, boot_cr4, boot_efer;
extern const uint8_t boot_root_two_level[], boot_root_pae[];

/* SDM volume 2A, CPUID leaf 1, EDX. */
#define HAS_PSE  (1u << 3)
#define HAS_TSC  (1u << 4)
#define HAS_MSR  (1u << 5)
#define HAS_PAE  (1u << 6)
#define HAS_CX8  (1u << 8)
#define HAS_APIC (1u << 9)
#define HAS_SSE2 (1u << 26) /* for LFENCE and MFENCE */
#define NEEDED   (HAS_PSE | HAS_TSC | HAS_MSR | HAS_CX8 | HAS_APIC | HAS_SSE2)

#define CR4_PSE (1u << 4)

static char no_cpu[] BOOT_DATA =
	"\r\nHoldfast: this CPU is too old. It takes one with PSE, TSC, MSRs, CMPXCHG8B, a local APIC "
	"and SSE2 (QEMU: -cpu qemu32 or better).\r\n";
static char option[] BOOT_DATA = "nopae";

/* Is `option` one of the words in the text? */
static BOOT_CODE bool has_option(const char *text)
{
	while (*text) {
		const char *word = option;

		while (*text == ' ')
			text++;
		while (*word && *text == *word) {
			text++;
			word++;
		}
		if (!*word && (!*text || *text == ' '))
			return true;
		while (*text && *text != ' ')
			text++;
	}
	return false;
}

/* Field of 32 bits at an offset in what the loader left. */
static BOOT_CODE uint32_t field(uint32_t address, uint32_t offset)
{
	return *(const volatile uint32_t *)(address + offset);
}

/* PVH: the command line's address at 24. Multiboot2: a tag of type 1. Both as in bootinfo.c. */
static BOOT_CODE const char *command_line(uint32_t magic, uint32_t pointer)
{
	if (magic == BOOT_MAGIC_PVH)
		return (const char *)field(pointer, 24);
	if (magic != BOOT_MAGIC_MULTIBOOT2)
		return NULL;
	for (uint32_t tag = pointer + 8; field(tag, 0) && field(tag, 4) >= 8;
	     tag += (field(tag, 4) + 7u) & ~7u)
		if (field(tag, 0) == 1)
			return (const char *)tag + 8;
	return NULL;
}

static BOOT_CODE bool has_no_execute(void)
{
	uint32_t extended = cpuid(0x80000000, 0).eax;

	return extended >= 0x80000001 && extended <= 0x8000ffff &&
	       (cpuid(0x80000001, 0).edx & (1u << 20));
}

const char *boot_choose(uint32_t has_cpuid, uint32_t magic, uint32_t pointer);

/* Returns NULL, or why this machine will not do. */
BOOT_CODE const char *boot_choose(uint32_t has_cpuid, uint32_t magic, uint32_t pointer)
{
	uint32_t features_1 = has_cpuid ? cpuid(1, 0).edx : 0;
	const char *words = command_line(magic, pointer);

	if ((features_1 & NEEDED) != NEEDED)
		return no_cpu;
	if ((features_1 & HAS_PAE) && !(words && has_option(words))) {
		boot_cr3 = (uint32_t)boot_root_pae;
		boot_cr4 = CR4_PAE;
		boot_efer = has_no_execute() ? EFER_NXE : 0;
	} else {
		boot_cr3 = (uint32_t)boot_root_two_level;
		boot_cr4 = CR4_PSE;
	}
	return NULL;
}
