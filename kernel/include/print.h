/* SPDX-License-Identifier: MIT */
/*
 * print: text for people, on the console; and the end of the road.
 */
#ifndef HOLDFAST_PRINT_H
#define HOLDFAST_PRINT_H

#include <stdarg.h>

#include <base.h>

/*
 * Formatted text to the console: %c %s %d %i %u %x %p %%, with -, 0, width, .precision (for %s,
 * also as *) and the sizes l, ll, z. One call comes out in one piece, whatever other CPUs print.
 * Any phase after console_init(), any context.
 */
void kprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same into a buffer; always ended. Returns the length, cut off at size - 1. */
size_t format_text(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
size_t format_text_va(char *buffer, size_t size, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

/* Prints a number of bytes as people read it ("1.5 GiB") into `buffer`, which it returns. */
#define SIZE_TEXT 16
const char *size_text(char buffer[SIZE_TEXT], uint64_t bytes);

/*
 * The kernel cannot go on: stops the other CPUs, says why with a backtrace, and ends the machine
 * with the exit status of a failure. Any context.
 */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define assert(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			panic("assertion failed: %s, %s:%d", #condition, __FILE__, __LINE__);      \
	} while (0)

/* True once a panic has begun: locks are then broken and nothing is waited for. */
extern bool panicking;

/* True on the CPU that panics; the others may go on for a moment, until they are stopped. */
bool panic_is_mine(void);

/* An exception has been reported already: panic() then leaves out the backtrace. */
extern bool exception_reported;

/* While true, printing goes to the console without its lock (panic, NMI). */
void print_unlocked(bool on);

#endif
