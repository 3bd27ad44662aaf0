/* SPDX-License-Identifier: MIT */
/* kexec_loaders: the kinds of kernels that can be started on x86_64. */
#ifndef HOLDFAST_KEXEC_LOADERS_H
#define HOLDFAST_KEXEC_LOADERS_H

#include <kexec.h>

bool kexec_is_linux(const struct kexec_file *file);
bool kexec_is_pvh(const struct kexec_file *file);

/* NULL, or why it cannot be started. */
const char *kexec_plan_linux(struct kexec_plan *plan);
const char *kexec_plan_pvh(struct kexec_plan *plan);

/* ACPI 6.4, 15.4, table 15-6: the numbers of e820, PVH and multiboot2. */
uint32_t kexec_range_type(enum memory_kind kind);

/* The first megabyte is the firmware's and Linux's own trampolines'. */
#define KEXEC_LOWEST (1 * MIB)

#endif
