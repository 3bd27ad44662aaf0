/* SPDX-License-Identifier: MIT */
/*
 * cpu: starting the others, and asking them to do something.
 *
 * A call is mail: the asker fills its own cpu_call, sets its bit in each target's mail, and
 * interrupts only those whose mail was empty; one interrupt then serves all askers. A CPU that
 * spins with interrupts off (for a lock, or for its own answers) reads its mail too, so nobody
 * waits for somebody who waits.
 */
#include <cpu.h>

#include <fixmap.h>
#include <print.h>
#include <thread.h>
#include <vm.h>

struct cpu boot_cpu;
struct cpu *cpus[CPUS_MAX] = {&boot_cpu};
unsigned cpu_count = 1;

#define PATIENCE_SECONDS 60u

static unsigned long mail_bit(unsigned index, unsigned *word)
{
	*word = index / CPUSET_WORD_BITS;
	return 1ul << (index % CPUSET_WORD_BITS);
}

static bool post(struct cpu *target, unsigned from)
{
	unsigned word;
	unsigned long bit = mail_bit(from, &word), before = 0;

	/* Release: the call's fields are visible to whoever sees the bit. */
	before = __atomic_fetch_or(&target->mail.word[word], bit, __ATOMIC_ACQ_REL);
	/* With more than one word the second's mail may get an interrupt too many: harmless. */
	return before == 0;
}

void cpu_answer_calls(bool spinning)
{
	struct cpu *cpu = this_cpu();

	if (cpu->reading)
		return;
	for (unsigned word = 0; word < CPUSET_WORDS; word++) {
		unsigned long mail;

		if (!__atomic_load_n(&cpu->mail.word[word], __ATOMIC_RELAXED))
			continue;
		mail = __atomic_exchange_n(&cpu->mail.word[word], 0, __ATOMIC_ACQ_REL);
		for (unsigned bit = 0; mail; bit++, mail >>= 1) {
			struct cpu_call *call;

			if (!(mail & 1u))
				continue;
			call = &cpus[word * CPUSET_WORD_BITS + bit]->call;
			call->function(call->argument);
			cpu->stats.calls_answered++;
			cpu->stats.answered_spinning += spinning;
			__atomic_fetch_sub(&call->waiting, 1, __ATOMIC_ACQ_REL);
		}
	}
}

void cpu_interrupted(void)
{
	cpu_answer_calls(false);
}

static void wait_for_answers(struct cpu_call *call)
{
	uint64_t start = arch_ticks(), patience = PATIENCE_SECONDS * arch_ticks_per_second();
	uint32_t waiting;

	for (unsigned spins = 1; (waiting = __atomic_load_n(&call->waiting, __ATOMIC_ACQUIRE));
	     spins++) {
		cpu_answer_calls(true);
		arch_relax();
		if (panicking)
			break;
		if (spins % 65536u == 0 && arch_ticks() - start > patience)
			panic("%u CPUs do not answer a call", waiting);
	}
}

unsigned cpus_call(void (*function)(void *argument), void *argument)
{
	unsigned long flags = arch_irq_save();
	struct cpu *me = this_cpu();
	unsigned targets = 0;

	/* From inside an answer `call` is in use: functions that are called do not call. */
	assert(__atomic_load_n(&me->call.waiting, __ATOMIC_RELAXED) == 0);
	me->call.function = function;
	me->call.argument = argument;
	for (unsigned i = 0; i < cpu_count; i++)
		targets += cpus[i] != me && cpus[i]->online;
	__atomic_store_n(&me->call.waiting, targets, __ATOMIC_RELEASE);
	for (unsigned i = 0; targets && i < cpu_count; i++) {
		if (cpus[i] == me || !cpus[i]->online)
			continue;
		if (post(cpus[i], me->index)) {
			me->stats.interrupts_sent++;
			arch_interrupt_cpu(cpus[i]);
		} else {
			me->stats.interrupts_saved++;
		}
	}
	wait_for_answers(&me->call);
	arch_irq_restore(flags);
	return targets;
}

/* ---- starting ---------------------------------------------------------------------------- */

void cpu_main(void)
{
	struct cpu *cpu = this_cpu();

	arch_timer_set(UINT64_MAX);
	__atomic_store_n(&cpu->online, true, __ATOMIC_SEQ_CST);
	/* What was cached while nobody knew that we have to be told goes. */
	arch_switch_tables(&kernel_space);
	cpu_idle();
}

static struct cpu *new_cpu(unsigned index, uint32_t hardware_id)
{
	/* Each in pages of its own in the window, with a guard page on either side. */
	struct cpu *cpu = vm_allocate(sizeof(struct cpu));

	if (!cpu)
		return NULL;
	cpu->self = cpu;
	cpu->index = index;
	cpu->hardware_id = hardware_id;
	/* Out of memory here is as good as the end of CPUs: what was taken stays taken. */
	return fixmap_add_cpu(index) && threads_init_cpu(cpu) && arch_init_cpu(cpu) ? cpu : NULL;
}

unsigned cpus_start(unsigned limit)
{
	uint32_t hardware_id[CPUS_MAX];
	unsigned found = arch_list_cpus(hardware_id, CPUS_MAX), online = 1;

	boot_cpu.online = true;
	for (unsigned i = 1; i < found && cpu_count < limit; i++) {
		struct cpu *cpu = new_cpu(cpu_count, hardware_id[i]);

		if (!cpu) {
			kprintf("cpus: no memory for more than %u\n", cpu_count);
			break;
		}
		cpus[cpu->index] = cpu;
		__atomic_store_n(&cpu_count, cpu_count + 1u, __ATOMIC_RELEASE);
		if (!arch_start_cpu(cpu)) {
			kprintf("cpus: the one with hardware id %u does not start\n",
				hardware_id[i]);
			/* Its memory stays: it may yet wake up there. */
			continue;
		}
		while (!__atomic_load_n(&cpu->online, __ATOMIC_ACQUIRE))
			arch_relax();
		online++;
	}
	return online;
}
