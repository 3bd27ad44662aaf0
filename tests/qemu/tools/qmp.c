/* SPDX-License-Identifier: MIT */
/*
 * qmp: asks a running QEMU over its QMP socket. What tests need of it: properties of devices, and
 * memory that is plugged and unplugged. `qmp --help`.
 *
 * QMP is a line of JSON each way; answers to commands and events come on the same line of bytes.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES (1u << 20)

static const char *socket_path;
static int connection = -1;
static char line[LINE_MAX_BYTES]; /* the last that came */

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "qmp: %s: ", socket_path);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

/* ---- JSON, read in place ------------------------------------------------------------------ */

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')
		at++;
	return at;
}

/* Behind the string that begins at `at`; NULL when it does not end. */
static const char *skip_string(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && !*++at)
			return NULL;
	return *at ? at + 1 : NULL;
}

/* Behind the value that begins at `at`; NULL when it does not end. */
static const char *skip_value(const char *at)
{
	unsigned depth = 0;

	do {
		at = skip_blanks(at);
		if (*at == '"') {
			at = skip_string(at);
			if (!at)
				return NULL;
		} else if (*at == '{' || *at == '[') {
			depth++;
			at++;
		} else if (*at == '}' || *at == ']') {
			if (!depth--)
				return NULL;
			at++;
		} else if (*at == ',' || *at == ':') {
			at++;
		} else if (*at) {
			at += strcspn(at, ",:]}\" \t\r\n");
		} else {
			return NULL;
		}
	} while (depth);
	return at;
}

/* The value of a member of the object at `at`; NULL: it has none of that name. */
static const char *member(const char *at, const char *name)
{
	size_t length = strlen(name);

	at = skip_blanks(at);
	if (*at++ != '{')
		return NULL;
	for (;;) {
		const char *key = skip_blanks(at), *value;

		if (*key != '"' || !(value = skip_string(key)))
			return NULL;
		value = skip_blanks(value);
		if (*value++ != ':')
			return NULL;
		value = skip_blanks(value);
		if (!strncmp(key + 1, name, length) && key[1 + length] == '"')
			return value;
		at = skip_value(value);
		if (!at)
			return NULL;
		at = skip_blanks(at);
		if (*at++ != ',')
			return NULL;
	}
}

/* Element `index` of the array at `at`; NULL behind the last. */
static const char *element(const char *at, unsigned index)
{
	at = skip_blanks(at);
	if (*at++ != '[' || *skip_blanks(at) == ']')
		return NULL;
	for (; index; index--) {
		at = skip_value(at);
		if (!at)
			return NULL;
		at = skip_blanks(at);
		if (*at++ != ',')
			return NULL;
	}
	return skip_blanks(at);
}

static bool is_string(const char *at, const char *text)
{
	size_t length = strlen(text);

	return at && *at == '"' && !strncmp(at + 1, text, length) && at[1 + length] == '"';
}

static uint64_t number(const char *at, const char *what)
{
	char *end;
	unsigned long long value;

	if (!at || *at < '0' || *at > '9')
		die("no number for %s in: %s", what, line);
	errno = 0;
	value = strtoull(at, &end, 10);
	if (errno || end == at)
		die("no number for %s in: %s", what, line);
	return value;
}

/* ---- the line ----------------------------------------------------------------------------- */

static void read_line(void)
{
	static char pending[LINE_MAX_BYTES];
	static size_t have;
	char *end;

	while (!(end = memchr(pending, '\n', have))) {
		ssize_t got;

		if (have == sizeof(pending) - 1)
			die("an answer longer than %u bytes", LINE_MAX_BYTES);
		got = read(connection, pending + have, sizeof(pending) - 1 - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			die("no answer in time");
		if (got <= 0)
			die("QEMU is gone");
		have += (size_t)got;
	}
	memcpy(line, pending, (size_t)(end - pending));
	line[end - pending] = '\0';
	have -= (size_t)(end + 1 - pending);
	memmove(pending, end + 1, have);
}

/* Sends a command; its "return" value. Events in between are left out. */
__attribute__((format(printf, 1, 2))) static const char *execute(const char *format, ...)
{
	char command[4096];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(command, sizeof(command) - 1, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(command) - 1)
		die("a command that is too long");
	command[length++] = '\n';
	for (int done = 0; done < length;) {
		ssize_t sent = send(connection, command + done, (size_t)(length - done),
				    MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			die("QEMU is gone");
		done += sent > 0 ? (int)sent : 0;
	}
	for (;;) {
		const char *value;

		read_line();
		value = member(line, "error");
		if (value)
			die("%.*s: %s", length - 1, command, value);
		value = member(line, "return");
		if (value)
			return value;
	}
}

/* QEMU makes the socket some time after it starts. */
static void open_connection(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = 30};
	const struct timespec nap = {.tv_nsec = 20000000};

	if (strlen(socket_path) >= sizeof(address.sun_path))
		die("the path is too long for a socket");
	strcpy(address.sun_path, socket_path);
	for (unsigned tries = 0;; tries++) {
		connection = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connection < 0)
			die("%s", strerror(errno));
		if (!connect(connection, (struct sockaddr *)&address, sizeof(address)))
			break;
		if (tries == 500)
			die("%s", strerror(errno));
		close(connection);
		nanosleep(&nap, NULL);
	}
	if (setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		die("%s", strerror(errno));
	read_line();
	if (!member(line, "QMP"))
		die("it does not greet as QMP does: %s", line);
	(void)execute("{\"execute\": \"qmp_capabilities\"}");
}

/* ---- memory devices ----------------------------------------------------------------------- */

struct memory_device {
	uint64_t requested, size, first, block;
};

static struct memory_device look(const char *id)
{
	const char *list = execute("{\"execute\": \"query-memory-devices\"}"), *device;

	for (unsigned i = 0; (device = element(list, i)); i++) {
		const char *data = member(device, "data");

		if (!is_string(member(device, "type"), "virtio-mem") || !data ||
		    !is_string(member(data, "id"), id))
			continue;
		return (struct memory_device){
			.requested = number(member(data, "requested-size"), "requested-size"),
			.size = number(member(data, "size"), "size"),
			.first = number(member(data, "memaddr"), "memaddr"),
			.block = number(member(data, "block-size"), "block-size"),
		};
	}
	die("no virtio-mem device \"%s\"", id);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Asks for `bytes` to be plugged, and waits until it is so. */
static void plug(const char *id, uint64_t bytes, unsigned seconds)
{
	const struct timespec nap = {.tv_nsec = 4000000};
	double end = now() + seconds;
	uint64_t size;

	(void)execute("{\"execute\": \"qom-set\", \"arguments\": {\"path\": \"/machine/peripheral/%s\", "
		      "\"property\": \"requested-size\", \"value\": %llu}}",
		      id, (unsigned long long)bytes);
	while ((size = look(id).size) != bytes) {
		if (now() > end)
			die("%s: %llu MiB wanted, %llu MiB plugged after %u s", id,
			    (unsigned long long)(bytes >> 20), (unsigned long long)(size >> 20),
			    seconds);
		nanosleep(&nap, NULL);
	}
}

/* However slow the host is, so many. */
#define ROUNDS_LEAST 20u

/*
 * Up and down, to sizes that differ from round to round. When the budget, in seconds, is used up
 * it ends before all rounds are done.
 */
static void cycle(const char *id, unsigned rounds, uint64_t low, uint64_t high, unsigned seconds,
		  unsigned budget)
{
	double start = now(), told = start;
	struct memory_device device = look(id);
	uint64_t moved = 0, at = device.size;

	if (low % device.block || high % device.block || high < low)
		die("%s: its blocks have %llu bytes", id, (unsigned long long)device.block);
	for (unsigned round = 0; round < rounds; round++) {
		/* From all of it to half of it; the odd factor visits every number of blocks. */
		uint64_t steps = (high - low) / device.block / 2u;
		uint64_t up = high - round * 7u % (steps + 1u) * device.block;

		plug(id, up, seconds);
		moved += up > at ? up - at : at - up;
		plug(id, low, seconds);
		moved += up - low;
		at = low;
		if (now() - start > budget && round + 1 >= ROUNDS_LEAST)
			rounds = round + 1;
		if (now() - told > 1 || round + 1 == rounds) {
			told = now();
			printf("# %s: %u of %u rounds, %llu MiB moved, %.1f s\n", id, round + 1,
			       rounds, (unsigned long long)(moved >> 20), told - start);
			fflush(stdout);
		}
	}
}

/* ---- arguments ---------------------------------------------------------------------------- */

static void usage(FILE *to)
{
	fputs("qmp <socket> get <id> <property>             prints it\n"
	      "qmp <socket> set <id> <property> <number>\n"
	      "qmp <socket> size <id>                       plugged bytes, by query-memory-devices\n"
	      "qmp <socket> first <id>                      where the device's region begins\n"
	      "qmp <socket> plug <id> <size> <seconds>      asks for so much, waits until it is there\n"
	      "qmp <socket> cycle <id> <rounds> <low> <high> <seconds> <budget>\n"
	      "                                             up and down, again and again; fewer rounds, but\n"
	      "                                             20 at least, when the seconds of the budget are up\n"
	      "qmp <socket> execute <command>               without arguments; prints the answer\n"
	      "Sizes: bytes, or with M or G behind. Status: 0, or 1 with a message.\n",
	      to);
}

static uint64_t size_argument(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (end == text)
		die("not a number: %s", text);
	if (*end == 'M')
		value <<= 20, end++;
	else if (*end == 'G')
		value <<= 30, end++;
	if (*end)
		die("not a number: %s", text);
	return value;
}

static bool run(int count, char **word)
{
	if (count == 3 && !strcmp(word[0], "get")) {
		const char *value = execute(
			"{\"execute\": \"qom-get\", \"arguments\": {\"path\": "
			"\"/machine/peripheral/%s\", \"property\": \"%s\"}}", word[1], word[2]);
		const char *end = skip_value(value);

		printf("%.*s\n", (int)(end ? end - value : 0), value);
	} else if (count == 4 && !strcmp(word[0], "set")) {
		(void)execute("{\"execute\": \"qom-set\", \"arguments\": {\"path\": "
			      "\"/machine/peripheral/%s\", \"property\": \"%s\", \"value\": %llu}}",
			      word[1], word[2], (unsigned long long)size_argument(word[3]));
	} else if (count == 2 && !strcmp(word[0], "size")) {
		printf("%llu\n", (unsigned long long)look(word[1]).size);
	} else if (count == 2 && !strcmp(word[0], "first")) {
		printf("0x%llx\n", (unsigned long long)look(word[1]).first);
	} else if (count == 4 && !strcmp(word[0], "plug")) {
		plug(word[1], size_argument(word[2]), (unsigned)size_argument(word[3]));
	} else if (count == 7 && !strcmp(word[0], "cycle")) {
		cycle(word[1], (unsigned)size_argument(word[2]), size_argument(word[3]),
		      size_argument(word[4]), (unsigned)size_argument(word[5]),
		      (unsigned)size_argument(word[6]));
	} else if (count == 2 && !strcmp(word[0], "execute")) {
		puts(execute("{\"execute\": \"%s\"}", word[1]));
	} else {
		return false;
	}
	return true;
}

int main(int count, char **word)
{
	if (count == 2 && !strcmp(word[1], "--help")) {
		usage(stdout);
		return 0;
	}
	if (count < 3) {
		usage(stderr);
		return 2;
	}
	socket_path = word[1];
	open_connection();
	if (run(count - 2, word + 2))
		return 0;
	usage(stderr);
	return 2;
}
