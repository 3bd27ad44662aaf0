/* SPDX-License-Identifier: MIT */
/*
 * The switch is written by hand for x86_64, i386 and arm64 (System V and AAPCS64 callee-saved
 * registers); swapcontext() elsewhere, which costs a system call for the signal mask.
 */
#include "explore_fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if (defined(__x86_64__) && defined(__LP64__)) || defined(__i386__) || defined(__aarch64__)
#define SWITCH_IN_ASSEMBLY 1
#endif

#ifdef SWITCH_IN_ASSEMBLY
/* Saves the callee-saved registers on the stack, *from = stack pointer, and the reverse of `to`. */
void explore_fiber_switch(void **from, void *to);
/* What a fresh stack returns into: calls the entry. */
void explore_fiber_trampoline(void);
#endif

#if defined(__x86_64__) && defined(__LP64__)
#define SAVED_WORDS 7
__asm__(".text\n"
	".globl explore_fiber_switch\n"
	".type explore_fiber_switch,@function\n"
	"explore_fiber_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size explore_fiber_switch,.-explore_fiber_switch\n"
	".globl explore_fiber_trampoline\n"
	".type explore_fiber_trampoline,@function\n"
	"explore_fiber_trampoline:\n"
	"	movq %r12, %rdi\n"
	"	callq *%rbx\n"
	"	ud2\n"
	".size explore_fiber_trampoline,.-explore_fiber_trampoline\n");

static void *first_frame(void *stack_end, void (*entry)(void *), void *argument)
{
	uint64_t *top = stack_end;
	/* r15 r14 r13 r12 rbx rbp return; the trampoline starts with an aligned stack. */
	uint64_t *frame = top - SAVED_WORDS;

	memset(frame, 0, SAVED_WORDS * sizeof(*frame));
	frame[3] = (uint64_t)(uintptr_t)argument;
	frame[4] = (uint64_t)(uintptr_t)entry;
	frame[6] = (uint64_t)(uintptr_t)explore_fiber_trampoline;
	return frame;
}
#elif defined(__i386__)
#define SAVED_WORDS 5
__asm__(".text\n"
	".globl explore_fiber_switch\n"
	".type explore_fiber_switch,@function\n"
	"explore_fiber_switch:\n"
	"	movl 4(%esp), %eax\n"
	"	movl 8(%esp), %ecx\n"
	"	pushl %ebp\n"
	"	pushl %ebx\n"
	"	pushl %esi\n"
	"	pushl %edi\n"
	"	movl %esp, (%eax)\n"
	"	movl %ecx, %esp\n"
	"	popl %edi\n"
	"	popl %esi\n"
	"	popl %ebx\n"
	"	popl %ebp\n"
	"	ret\n"
	".size explore_fiber_switch,.-explore_fiber_switch\n"
	".globl explore_fiber_trampoline\n"
	".type explore_fiber_trampoline,@function\n"
	"explore_fiber_trampoline:\n"
	"	subl $12, %esp\n"
	"	pushl %esi\n"
	"	calll *%ebx\n"
	"	ud2\n"
	".size explore_fiber_trampoline,.-explore_fiber_trampoline\n");

static void *first_frame(void *stack_end, void (*entry)(void *), void *argument)
{
	/* edi esi ebx ebp return; the trampoline starts with an aligned stack. */
	uint32_t *frame = (uint32_t *)stack_end - SAVED_WORDS;

	memset(frame, 0, SAVED_WORDS * sizeof(*frame));
	frame[1] = (uint32_t)(uintptr_t)argument;
	frame[2] = (uint32_t)(uintptr_t)entry;
	frame[4] = (uint32_t)(uintptr_t)explore_fiber_trampoline;
	return frame;
}
#elif defined(__aarch64__)
#define SAVED_WORDS 20
__asm__(".text\n"
	".globl explore_fiber_switch\n"
	".type explore_fiber_switch,%function\n"
	"explore_fiber_switch:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	mov sp, x1\n"
	"	ldp x19, x20, [sp, #0]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	ret\n"
	".size explore_fiber_switch,.-explore_fiber_switch\n"
	".globl explore_fiber_trampoline\n"
	".type explore_fiber_trampoline,%function\n"
	"explore_fiber_trampoline:\n"
	"	mov x0, x20\n"
	"	blr x19\n"
	"	brk #1\n"
	".size explore_fiber_trampoline,.-explore_fiber_trampoline\n");

static void *first_frame(void *stack_end, void (*entry)(void *), void *argument)
{
	uint64_t *frame = (uint64_t *)stack_end - SAVED_WORDS;

	memset(frame, 0, SAVED_WORDS * sizeof(*frame));
	frame[0] = (uint64_t)(uintptr_t)entry;
	frame[1] = (uint64_t)(uintptr_t)argument;
	frame[11] = (uint64_t)(uintptr_t)explore_fiber_trampoline;
	return frame;
}
#else
#include <ucontext.h>
#endif

/* Where the resumer continues. One exploration at a time per host thread. */
#ifdef SWITCH_IN_ASSEMBLY
static _Thread_local void *resumer;
#else
static _Thread_local ucontext_t resumer;
#endif

bool explore_fiber_init(struct explore_fiber *fiber)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, guard + EXPLORE_FIBER_STACK, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(fiber, 0, sizeof(*fiber));
	if (memory == MAP_FAILED)
		return false;
	if (mprotect(memory, guard, PROT_NONE) != 0) {
		munmap(memory, guard + EXPLORE_FIBER_STACK);
		return false;
	}
	fiber->stack = memory + guard;
#ifndef SWITCH_IN_ASSEMBLY
	fiber->saved = calloc(1, sizeof(ucontext_t));
	if (!fiber->saved) {
		munmap(memory, guard + EXPLORE_FIBER_STACK);
		return false;
	}
#endif
	return true;
}

void explore_fiber_destroy(struct explore_fiber *fiber)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);

	if (!fiber->stack)
		return;
	munmap((char *)fiber->stack - guard, guard + EXPLORE_FIBER_STACK);
#ifndef SWITCH_IN_ASSEMBLY
	free(fiber->saved);
#endif
	memset(fiber, 0, sizeof(*fiber));
}

#ifdef WITH_ASAN
static void asan_entry(void *argument)
{
	struct explore_fiber *fiber = argument;

	__sanitizer_finish_switch_fiber(NULL, &fiber->return_stack, &fiber->return_size);
	fiber->entry(fiber->argument);
}
#endif

#ifndef SWITCH_IN_ASSEMBLY
static _Thread_local struct explore_fiber *starting;

static void begin(void)
{
#ifdef WITH_ASAN
	asan_entry(starting);
#else
	starting->entry(starting->argument);
#endif
}
#endif

void explore_fiber_start(struct explore_fiber *fiber, void (*entry)(void *argument),
			 void *argument)
{
	fiber->entry = entry;
	fiber->argument = argument;
#ifdef WITH_ASAN
	char *poisoned = fiber->stack;

#ifdef SWITCH_IN_ASSEMBLY
	/* Below the stack pointer where it was left nothing is. */
	if (fiber->saved)
		poisoned = fiber->saved;
#endif
	/* The frames of an abandoned run left their red zones behind. */
	__asan_unpoison_memory_region(
		poisoned, (size_t)((char *)fiber->stack + EXPLORE_FIBER_STACK - poisoned));
#ifdef SWITCH_IN_ASSEMBLY
	entry = asan_entry;
	argument = fiber;
#endif
#endif
#ifdef SWITCH_IN_ASSEMBLY
	fiber->saved = first_frame((char *)fiber->stack + EXPLORE_FIBER_STACK, entry, argument);
#else
	getcontext(fiber->saved);
	((ucontext_t *)fiber->saved)->uc_stack.ss_sp = fiber->stack;
	((ucontext_t *)fiber->saved)->uc_stack.ss_size = EXPLORE_FIBER_STACK;
	((ucontext_t *)fiber->saved)->uc_link = NULL;
	makecontext(fiber->saved, begin, 0);
#endif
}

void explore_fiber_resume(struct explore_fiber *fiber)
{
#ifdef WITH_ASAN
	void *fake;

	__sanitizer_start_switch_fiber(&fake, fiber->stack, EXPLORE_FIBER_STACK);
#endif
#ifdef SWITCH_IN_ASSEMBLY
	explore_fiber_switch(&resumer, fiber->saved);
#else
	starting = fiber;
	swapcontext(&resumer, fiber->saved);
#endif
#ifdef WITH_ASAN
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

void explore_fiber_suspend(struct explore_fiber *fiber)
{
#ifdef WITH_ASAN
	void *fake;

	__sanitizer_start_switch_fiber(&fake, fiber->return_stack, fiber->return_size);
#endif
#ifdef SWITCH_IN_ASSEMBLY
	explore_fiber_switch(&fiber->saved, resumer);
#else
	swapcontext(fiber->saved, &resumer);
#endif
#ifdef WITH_ASAN
	__sanitizer_finish_switch_fiber(fake, &fiber->return_stack, &fiber->return_size);
#endif
}
