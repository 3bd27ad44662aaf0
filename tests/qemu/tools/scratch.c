/* SPDX-License-Identifier: MIT */
/*
 * scratch: the disk that Holdfast's tests write to, seen from the host.
 *
 *	scratch make FILE SEED     makes it, 16 MiB, with what the kernel is to read
 *	scratch check FILE SEED    is there what the kernel was to write, and nothing else changed?
 *	scratch order LOG          was what the kernel wrote flushed before it said so, and that then?
 *	scratch seed               prints a seed nobody can guess
 *
 * The layout is that of kernel/drivers/scratch.h, written down a second time on purpose: a mistake
 * in the one would otherwise be made in the other too.
 *
 * Exit status: 0 done, or as it should be; 1 the disk is not as it should be; 2 wrong arguments,
 * or a file that cannot be read or written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT 4096u
#define DISK (16u << 20)

/* In bytes: header, receipt, the tests' own, the kernel's, ours. */
#define RECEIPT_FIRST UNIT
#define WORK_FIRST    (2u * UNIT)
#define KERNEL_FIRST  (8u << 20)
#define KERNEL_SIZE   (1u << 20)
#define HOST_FIRST    (12u << 20)
#define HOST_SIZE     (1u << 20)

static const char usage[] = "usage: scratch make FILE SEED | check FILE SEED | order LOG | seed\n";

static void die(const char *what)
{
	fprintf(stderr, "scratch: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void put64(unsigned char *at, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		at[i] = (unsigned char)(value >> (8u * i));
}

static uint64_t get64(const unsigned char *at)
{
	uint64_t value = 0;

	for (unsigned i = 8; i-- > 0;)
		value = value << 8 | at[i];
	return value;
}

/* A stream of SplitMix64 values that starts at number `skip`. */
struct stream {
	uint64_t state;
};

static struct stream stream_at(uint64_t seed, uint64_t skip)
{
	return (struct stream){seed + skip * 0x9e3779b97f4a7c15u};
}

static uint64_t stream_next(struct stream *stream)
{
	uint64_t mixed = stream->state += 0x9e3779b97f4a7c15u;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
	return mixed ^ (mixed >> 31);
}

static void fill_header(unsigned char *disk, uint64_t seed)
{
	const uint64_t fields[] = {seed,        WORK_FIRST, KERNEL_FIRST - WORK_FIRST, KERNEL_FIRST,
				   KERNEL_SIZE, HOST_FIRST, HOST_SIZE};

	memset(disk, 0, UNIT);
	memcpy(disk, "HOLDFAST SCRATCH", 16);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		put64(disk + 16 + 8 * i, fields[i]);
}

static void fill_pattern(unsigned char *disk, uint64_t seed, size_t first, size_t size)
{
	struct stream stream = stream_at(seed, first / 8);

	for (size_t at = first; at < first + size; at += 8)
		put64(disk + at, stream_next(&stream));
}

static int make(const char *path, uint64_t seed)
{
	unsigned char *disk = calloc(1, DISK);
	FILE *file = fopen(path, "wb");

	if (!disk || !file)
		die(path);
	fill_header(disk, seed);
	fill_pattern(disk, seed, HOST_FIRST, HOST_SIZE);
	if (fwrite(disk, DISK, 1, file) != 1 || fclose(file) != 0)
		die(path);
	free(disk);
	return 0;
}

/* ---- checking ---------------------------------------------------------------------------- */

static unsigned wrong;

static void complain(const char *what, uint64_t at)
{
	printf("%s, at byte %" PRIu64 "\n", what, at);
	wrong++;
}

static void check_pattern(const unsigned char *disk, uint64_t seed, size_t first, size_t size,
			  const char *what)
{
	struct stream stream = stream_at(seed, first / 8);

	for (size_t at = first; at < first + size; at += 8) {
		if (get64(disk + at) != stream_next(&stream)) {
			complain(what, at);
			return;
		}
	}
}

static void check_zero(const unsigned char *disk, size_t first, size_t end)
{
	for (size_t at = first; at < end; at++) {
		if (disk[at] != 0) {
			complain("something was written where nobody should write", at);
			return;
		}
	}
}

static void check_receipt(const unsigned char *disk, uint64_t seed)
{
	const unsigned char *receipt = disk + RECEIPT_FIRST;

	if (memcmp(receipt, "HOLDFAST WRITTEN", 16) != 0) {
		complain("the kernel left no word that it has written", RECEIPT_FIRST);
		return;
	}
	if (get64(receipt + 16) != seed + 1 || get64(receipt + 24) != KERNEL_FIRST ||
	    get64(receipt + 32) != KERNEL_SIZE)
		complain("the kernel's word is about another disk", RECEIPT_FIRST + 16);
}

static int check(const char *path, uint64_t seed)
{
	unsigned char *disk = malloc(DISK + 1), *header = malloc(UNIT);
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!disk || !header || !file)
		die(path);
	size = fread(disk, 1, DISK + 1, file);
	if (ferror(file) || fclose(file) != 0)
		die(path);
	if (size != DISK) {
		printf("the disk has %zu bytes, %u were made\n", size, DISK);
		return 1;
	}
	fill_header(header, seed);
	if (memcmp(disk, header, UNIT) != 0)
		complain("the header was changed", 0);
	check_receipt(disk, seed);
	check_pattern(disk, seed + 1, KERNEL_FIRST, KERNEL_SIZE,
		      "what the kernel was to write is not there");
	check_zero(disk, KERNEL_FIRST + KERNEL_SIZE, HOST_FIRST);
	check_pattern(disk, seed, HOST_FIRST, HOST_SIZE, "what the host wrote was changed");
	check_zero(disk, HOST_FIRST + HOST_SIZE, DISK);
	free(header);
	free(disk);
	return wrong ? 1 : 0;
}

/* ---- order -------------------------------------------------------------------------------- */

/*
 * QEMU's blklogwrites, which writes the format of Linux's dm-log-writes: a sector that says how
 * many entries there are, then each entry as a sector of four numbers and its data.
 */
#define LOG_MAGIC   0x6a736677736872u
#define LOG_FLUSH   1u
#define LOG_DISCARD 4u

struct history {
	uint64_t written;  /* bytes of the kernel's area */
	bool unflushed;    /* some of these since the last flush */
	bool receipt, receipt_unflushed;
};

static void take_write(struct history *history, uint64_t first, uint64_t size)
{
	if (first < KERNEL_FIRST + KERNEL_SIZE && first + size > KERNEL_FIRST) {
		if (history->receipt)
			complain("written after the kernel had said that it was", first);
		history->written += size;
		history->unflushed = true;
	}
	if (first == RECEIPT_FIRST) {
		if (history->unflushed || history->written < KERNEL_SIZE)
			complain("the kernel says that it has written what was not flushed", first);
		history->receipt = history->receipt_unflushed = true;
	}
}

/* One entry; returns where the next one begins, in sectors of the log. */
static uint64_t take_entry(struct history *history, const unsigned char *entry, uint64_t at,
			   uint32_t sector)
{
	uint64_t first = get64(entry) * sector, size = get64(entry + 8) * sector;
	uint64_t flags = get64(entry + 16);

	if (flags & LOG_FLUSH)
		history->unflushed = history->receipt_unflushed = false;
	if (size != 0 && !(flags & LOG_DISCARD))
		take_write(history, first, size);
	return at + 1 + (flags & LOG_DISCARD ? 0 : size / sector);
}

static int order(const char *path)
{
	unsigned char head[32];
	struct history history = {0};
	FILE *file = fopen(path, "rb");
	uint64_t entries, at = 1;
	uint32_t sector;

	if (!file || fread(head, sizeof(head), 1, file) != 1)
		die(path);
	entries = get64(head + 16);
	sector = (uint32_t)get64(head + 24);
	if (get64(head) != LOG_MAGIC || sector < 512 || sector > 65536) {
		printf("%s is no log of writes: was nothing ever flushed?\n", path);
		return 2;
	}
	for (uint64_t i = 0; i < entries; i++) {
		if (fseeko(file, (off_t)(at * sector), SEEK_SET) != 0 ||
		    fread(head, sizeof(head), 1, file) != 1)
			die(path);
		at = take_entry(&history, head, at, sector);
	}
	fclose(file);
	if (!history.receipt)
		complain("the kernel left no word that it has written", RECEIPT_FIRST);
	else if (history.receipt_unflushed)
		complain("the kernel's word was not flushed", RECEIPT_FIRST);
	return wrong ? 1 : 0;
}

static int seed(void)
{
	unsigned char bytes[8];
	FILE *file = fopen("/dev/urandom", "rb");

	if (!file || fread(bytes, sizeof(bytes), 1, file) != 1)
		die("/dev/urandom");
	fclose(file);
	printf("%" PRIu64 "\n", get64(bytes));
	return 0;
}

int main(int argc, char **argv)
{
	char *end = "";
	uint64_t number = 0;

	if (argc == 2 && !strcmp(argv[1], "seed"))
		return seed();
	if (argc == 2 && !strcmp(argv[1], "--help"))
		return fputs(usage, stdout) < 0;
	if (argc == 3 && !strcmp(argv[1], "order"))
		return order(argv[2]);
	if (argc == 4) {
		errno = 0;
		number = strtoull(argv[3], &end, 0);
	}
	if (argc != 4 || *argv[3] == '\0' || *end != '\0' || errno != 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (!strcmp(argv[1], "make"))
		return make(argv[2], number);
	if (!strcmp(argv[1], "check"))
		return check(argv[2], number);
	fputs(usage, stderr);
	return 2;
}
