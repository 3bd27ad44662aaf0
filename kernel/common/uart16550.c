/* SPDX-License-Identifier: MIT */
/*
 * uart16550: the serial port that every machine of ours has. National Semiconductor PC16550D
 * data sheet, section 8 (registers).
 */
#include <console.h>

enum {
	REGISTER_DATA = 0,
	REGISTER_INTERRUPT_ENABLE = 1,
	REGISTER_FIFO_CONTROL = 2,
	REGISTER_LINE_CONTROL = 3,
	REGISTER_MODEM_CONTROL = 4,
	REGISTER_LINE_STATUS = 5,
};

#define LINE_STATUS_RECEIVED (1u << 0)
#define LINE_STATUS_FREE     (1u << 5) /* transmit FIFO is empty */
#define FIFO_LENGTH 16u

static struct uart16550 *uart_of(struct console *console)
{
	return container_of(console, struct uart16550, console);
}

static uint8_t status(struct uart16550 *uart)
{
	return uart->read_register(uart->base, REGISTER_LINE_STATUS);
}

static void uart_write(struct console *console, const char *text, size_t length)
{
	struct uart16550 *uart = uart_of(console);
	unsigned room = 0;

	while (length) {
		if (!room) {
			/* A dead line must not hang the kernel: after long enough, go on. */
			for (unsigned i = 0; i < 1000000 && !(status(uart) & LINE_STATUS_FREE); i++)
				;
			room = FIFO_LENGTH;
		}
		uart->write_register(uart->base, REGISTER_DATA, (uint8_t)*text++);
		length--;
		room--;
	}
}

static int uart_read(struct console *console)
{
	struct uart16550 *uart = uart_of(console);

	if (!(status(uart) & LINE_STATUS_RECEIVED))
		return -1;
	return uart->read_register(uart->base, REGISTER_DATA);
}

void uart16550_init(struct uart16550 *uart)
{
	uart->console.write = uart_write;
	uart->console.read = uart_read;
	uart->write_register(uart->base, REGISTER_INTERRUPT_ENABLE, 0);
	uart->write_register(uart->base, REGISTER_LINE_CONTROL, 0x80); /* divisor latch */
	uart->write_register(uart->base, 0, 1);                        /* 115200 baud */
	uart->write_register(uart->base, 1, 0);
	uart->write_register(uart->base, REGISTER_LINE_CONTROL, 0x03); /* 8 bits, no parity */
	uart->write_register(uart->base, REGISTER_FIFO_CONTROL, 0x07); /* on, both cleared */
	/* DTR, RTS, and OUT2: on a PC that lets the interrupt out. */
	uart->write_register(uart->base, REGISTER_MODEM_CONTROL, 0x0b);
}

void uart16550_enable_receive_interrupt(struct uart16550 *uart)
{
	uart->write_register(uart->base, REGISTER_INTERRUPT_ENABLE, 0x01);
}
