/* SPDX-License-Identifier: MIT */
/*
 * console: the serial line that a person or a test runner reads and types into.
 */
#ifndef HOLDFAST_CONSOLE_H
#define HOLDFAST_CONSOLE_H

#include <base.h>

/* A device that characters go to. `read` returns -1 when nothing has arrived. */
struct console {
	void (*write)(struct console *console, const char *text, size_t length);
	int (*read)(struct console *console);
};

/* Chooses the console. `console` may be replaced later, when the final tables are in use. */
void console_set(struct console *console);
void console_write(const char *text, size_t length);

/* Takes every character that has arrived into the input buffer; from the serial interrupt. */
void console_input(void);

/* The next character typed, waiting for it (thread context). */
int console_read(void);

/* ---- a 16550 UART, at ports or in memory ------------------------------------------------- */

struct uart16550 {
	struct console console;
	uint8_t (*read_register)(uintptr_t base, unsigned index);
	void (*write_register)(uintptr_t base, unsigned index, uint8_t value);
	uintptr_t base;
};

/* Sets 115200 baud, 8 data bits, FIFOs on, receive interrupt off. */
void uart16550_init(struct uart16550 *uart);
/* Raises the interrupt line when characters have arrived. */
void uart16550_enable_receive_interrupt(struct uart16550 *uart);

#endif
