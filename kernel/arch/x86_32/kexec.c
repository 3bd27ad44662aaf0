/* SPDX-License-Identifier: MIT */
/* kexec: not on this architecture; the monitor's command says so. */
#include <kexec.h>

#include <arch.h>
#include <print.h>

bool arch_can_kexec(void)
{
	return false;
}

const char *arch_kexec_plan(struct kexec_plan *plan)
{
	(void)plan;
	return "this architecture has no relocation code: use the x86_64 kernel";
}

const char *arch_kexec_prepare(const struct kexec_plan *plan, struct kelp_kexec *kexec,
			       uint64_t *tables)
{
	(void)plan, (void)kexec;
	*tables = 0;
	return "not on this architecture";
}

const char *arch_kexec_check(const struct kelp_kexec *kexec)
{
	(void)kexec;
	return "not on this architecture";
}

void arch_kexec_cancel(struct kelp_kexec *kexec)
{
	(void)kexec;
}

uint64_t arch_kexec_tick(void)
{
	return arch_ticks();
}

void arch_kexec_stop_cpus(void)
{
}

_Noreturn void arch_kexec_jump(const struct kexec_plan *plan, kelp_paddr_t list)
{
	(void)plan, (void)list;
	panic("kexec: not on this architecture");
}
