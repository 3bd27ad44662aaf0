/* SPDX-License-Identifier: MIT */
/* line: reading a line from a terminal (ECMA-48 sequences, as every terminal sends them). */
#include <console.h>
#include <monitor.h>
#include <print.h>

#define PROMPT "holdfast> "
#define HISTORY 16u

static char history[HISTORY][MONITOR_LINE];
static unsigned history_count; /* lines ever entered */

struct editor {
	char *line;
	size_t length;
	size_t cursor;
	unsigned back; /* how far back in history; 0 = the line being typed */
	char typed[MONITOR_LINE];
};

enum key {
	KEY_UP = 256,
	KEY_DOWN,
	KEY_LEFT,
	KEY_RIGHT,
	KEY_HOME,
	KEY_END,
	KEY_DELETE,
	KEY_NONE,
};
#define CONTROL(letter) ((letter) & 31)

/* ESC [ x, ESC O x, ESC [ n ~ */
static int read_sequence(void)
{
	int c = console_read();

	if (c != '[' && c != 'O')
		return KEY_NONE;
	c = console_read();
	switch (c) {
	case 'A': return KEY_UP;
	case 'B': return KEY_DOWN;
	case 'C': return KEY_RIGHT;
	case 'D': return KEY_LEFT;
	case 'H': return KEY_HOME;
	case 'F': return KEY_END;
	}
	if (c >= '0' && c <= '9') {
		int number = 0;

		for (; c >= '0' && c <= '9'; c = console_read())
			number = number * 10 + (c - '0');
		return number == 1 || number == 7 ? KEY_HOME
		       : number == 4 || number == 8 ? KEY_END
		       : number == 3 ? KEY_DELETE : KEY_NONE;
	}
	return KEY_NONE;
}

static void redraw(const struct editor *e)
{
	/* Return, the line, clear to its end, and back to the cursor. */
	kprintf("\r" PROMPT "%.*s\033[K", (int)e->length, e->line);
	if (e->length > e->cursor)
		kprintf("\033[%uD", (unsigned)(e->length - e->cursor));
}

static void replace(struct editor *e, const char *text)
{
	copy_string(e->line, text, MONITOR_LINE);
	e->length = e->cursor = strlen(e->line);
}

static void erase(struct editor *e, size_t first, size_t end)
{
	memmove(e->line + first, e->line + end, e->length - end + 1u);
	e->length -= end - first;
	e->cursor = first;
}

static void insert(struct editor *e, char c)
{
	if (e->length + 1u >= MONITOR_LINE)
		return;
	memmove(e->line + e->cursor + 1, e->line + e->cursor, e->length - e->cursor + 1u);
	e->line[e->cursor++] = c;
	e->length++;
}

static void recall(struct editor *e, unsigned back)
{
	if (back > history_count || back > HISTORY)
		return;
	if (e->back == 0)
		copy_string(e->typed, e->line, MONITOR_LINE);
	e->back = back;
	replace(e, back ? history[(history_count - back) % HISTORY] : e->typed);
}

/* Completes the command's name as far as it is unambiguous; lists the candidates otherwise. */
static void complete(struct editor *e)
{
	const char *common = NULL;
	size_t same = 0;
	unsigned found = 0;

	for (unsigned i = 0; i < monitor_command_count; i++) {
		const char *name = monitor_commands[i].name;

		if (strncmp(name, e->line, e->length))
			continue;
		if (!found++) {
			common = name;
			same = strlen(name);
		}
		for (size_t j = 0; j < same; j++)
			if (name[j] != common[j])
				same = j;
	}
	if (found > 1 && same == e->length) {
		kprintf("\n");
		for (unsigned i = 0; i < monitor_command_count; i++)
			if (!strncmp(monitor_commands[i].name, e->line, e->length))
				kprintf("%s  ", monitor_commands[i].name);
		kprintf("\n");
	}
	while (found && e->length < same)
		insert(e, common[e->length]);
	if (found == 1)
		insert(e, ' ');
}

static size_t word_start(const struct editor *e)
{
	size_t at = e->cursor;

	while (at && e->line[at - 1] == ' ')
		at--;
	while (at && e->line[at - 1] != ' ')
		at--;
	return at;
}

/* True when the line is finished. */
static bool edit(struct editor *e, int key)
{
	switch (key) {
	case '\r':
	case '\n':
		return true;
	case KEY_UP:
	case CONTROL('p'):
		recall(e, e->back + 1);
		break;
	case KEY_DOWN:
	case CONTROL('n'):
		if (e->back)
			recall(e, e->back - 1);
		break;
	case KEY_LEFT:
	case CONTROL('b'):
		e->cursor -= e->cursor > 0;
		break;
	case KEY_RIGHT:
	case CONTROL('f'):
		e->cursor += e->cursor < e->length;
		break;
	case KEY_HOME:
	case CONTROL('a'):
		e->cursor = 0;
		break;
	case KEY_END:
	case CONTROL('e'):
		e->cursor = e->length;
		break;
	case '\b':
	case 127:
		if (e->cursor)
			erase(e, e->cursor - 1, e->cursor);
		break;
	case KEY_DELETE:
	case CONTROL('d'):
		if (e->cursor < e->length)
			erase(e, e->cursor, e->cursor + 1);
		break;
	case CONTROL('u'):
		erase(e, 0, e->cursor);
		break;
	case CONTROL('k'):
		erase(e, e->cursor, e->length);
		break;
	case CONTROL('w'):
		erase(e, word_start(e), e->cursor);
		break;
	case CONTROL('c'):
		kprintf("^C\n");
		erase(e, 0, e->length);
		break;
	case CONTROL('l'):
		kprintf("\033[H\033[2J");
		break;
	case '\t':
		complete(e);
		break;
	default:
		if (key >= ' ' && key < 127)
			insert(e, (char)key);
	}
	return false;
}

void monitor_read_line(char line[MONITOR_LINE])
{
	struct editor e = {.line = line};
	int key;

	line[0] = '\0';
	do {
		redraw(&e);
		key = console_read();
		if (key == 27)
			key = read_sequence();
	} while (!edit(&e, key));
	kprintf("\n");
	if (line[0] && (!history_count ||
			strcmp(line, history[(history_count - 1) % HISTORY])))
		copy_string(history[history_count++ % HISTORY], line, MONITOR_LINE);
}
