/* SPDX-License-Identifier: MIT */
/* console: output in whole pieces, input through a ring that the interrupt fills. */
#include <console.h>

#include <lock.h>
#include <print.h>
#include <thread.h>

static struct console *console;
static struct spinlock output_lock = SPINLOCK("console");
static bool unlocked;

#define INPUT_SIZE 256u
static char input[INPUT_SIZE];
static uint32_t input_head, input_tail;
static struct spinlock input_lock = SPINLOCK("console input");
static struct thread *reader;

void console_set(struct console *chosen)
{
	console = chosen;
}

static void write_lines(const char *text, size_t length)
{
	size_t start = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] != '\n')
			continue;
		console->write(console, text + start, i - start);
		console->write(console, "\r\n", 2);
		start = i + 1;
	}
	console->write(console, text + start, length - start);
}

void console_write(const char *text, size_t length)
{
	unsigned long flags;

	if (!console)
		return;
	if (unlocked) {
		write_lines(text, length);
		return;
	}
	flags = spin_lock_irqsave(&output_lock);
	write_lines(text, length);
	spin_unlock_irqrestore(&output_lock, flags);
}

void print_unlocked(bool on)
{
	unlocked = on;
}

void kprintf(const char *format, ...)
{
	char text[512];
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = format_text_va(text, sizeof(text), format, arguments);
	va_end(arguments);
	console_write(text, length);
}

void console_input(void)
{
	unsigned long flags = spin_lock_irqsave(&input_lock);
	struct thread *waiting = reader;
	int c;

	while ((c = console->read(console)) >= 0)
		if (input_head - input_tail < INPUT_SIZE)
			input[input_head++ % INPUT_SIZE] = (char)c;
	spin_unlock_irqrestore(&input_lock, flags);
	if (waiting)
		thread_wake(waiting);
}

int console_read(void)
{
	for (;;) {
		unsigned long flags = spin_lock_irqsave(&input_lock);
		int c = -1;

		reader = current_thread();
		if (input_head != input_tail)
			c = (unsigned char)input[input_tail++ % INPUT_SIZE];
		spin_unlock_irqrestore(&input_lock, flags);
		if (c >= 0)
			return c;
		/* The interrupt wakes us; where there is none, look ten times a second. */
		thread_block_until(arch_ticks() + microseconds_to_ticks(100000));
		console_input();
	}
}
