/* SPDX-License-Identifier: MIT */
/* symbols: names of functions, and backtraces along the chain of frame pointers. */
#include <symbols.h>

#include <arch.h>
#include <print.h>

/*
 * Made by mksymbols.awk from the first link: `count` records sorted by address, and the names
 * one after the other. In the first link itself the count is 0.
 */
struct symbol {
	uint64_t address;
	uint32_t name; /* offset into symbol_names */
	uint32_t reserved;
};
extern const uint32_t symbol_table_count;
extern const struct symbol symbol_table[];
extern const char symbol_names[];

extern const char text_start[], text_end[];

unsigned symbol_count(void)
{
	return symbol_table_count;
}

const char *symbol_text(char buffer[SYMBOL_TEXT], uintptr_t address)
{
	unsigned low = 0, high = symbol_table_count;

	if (address < (uintptr_t)text_start || address >= (uintptr_t)text_end || !high) {
		format_text(buffer, SYMBOL_TEXT, "0x%llx", (unsigned long long)address);
		return buffer;
	}
	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (symbol_table[middle].address <= address)
			low = middle;
		else
			high = middle;
	}
	format_text(buffer, SYMBOL_TEXT, "%.56s+0x%llx", symbol_names + symbol_table[low].name,
		    (unsigned long long)(address - symbol_table[low].address));
	return buffer;
}

/* Lines, and frames behind one line: recursion that ran over its stack is one line. */
#define LINES  24u
#define FRAMES 10000u

/* Reads a frame: its caller's frame and address. Either may be damaged: then the chain ends. */
static bool read_frame(uintptr_t frame_pointer, uintptr_t *next, uintptr_t *caller)
{
	uint64_t word[2] = {0};

	if (!frame_pointer || frame_pointer % sizeof(uintptr_t) ||
	    arch_probe(PROBE_LOAD, frame_pointer, sizeof(uintptr_t), &word[0]).result ||
	    arch_probe(PROBE_LOAD, frame_pointer + sizeof(uintptr_t), sizeof(uintptr_t), &word[1])
		    .result)
		return false;
	*next = (uintptr_t)word[0];
	*caller = (uintptr_t)word[1];
	/* Frames lie higher and higher up one stack. */
	return *caller && (!*next || *next > frame_pointer);
}

void backtrace_from(uintptr_t pc, uintptr_t frame_pointer)
{
	char text[SYMBOL_TEXT];
	unsigned lines = 0, same = 0;

	kprintf("  called from:\n    [0] %p %s\n", (void *)pc, symbol_text(text, pc));
	for (unsigned frames = 0; frames < FRAMES && lines < LINES; frames++) {
		uintptr_t next, caller;

		if (!read_frame(frame_pointer, &next, &caller))
			break;
		/* A return address points behind the call, which may be another function's. */
		caller--;
		frame_pointer = next;
		if (caller == pc) {
			same++;
			continue;
		}
		if (same)
			kprintf("        ... %u times\n", same + 1u);
		same = 0;
		pc = caller;
		kprintf("    [%u] %p %s\n", ++lines, (void *)pc, symbol_text(text, pc));
	}
}

unsigned backtrace_collect(uintptr_t *caller, unsigned limit)
{
	/* Our frame leads to our caller's, that to where it was called from. */
	uintptr_t frame = *(const uintptr_t *)arch_stack_frame();
	unsigned count = 0;

	while (count < limit && read_frame(frame, &frame, &caller[count]))
		caller[count++]--;
	return count;
}

void backtrace(void)
{
	uintptr_t frame = arch_stack_frame();

	backtrace_from((uintptr_t)__builtin_return_address(0), *(const uintptr_t *)frame);
}
