/* SPDX-License-Identifier: MIT */
/*
 * compare-init: the user space of the stock Linux that `make compare-linux` measures. Fills memory
 * to a percentage with the contents of kernel/include/fill.h, as Holdfast's story does, hibernates
 * through the kernel's own interface, and verifies every page once it is back.
 *
 * The command line of the kernel says what to do:
 *	compare=save percent=70 seed=N   makes the swap area, fills, hibernates; after that it is the
 *	                                 resumed machine, which verifies
 *	compare=resume                   asks the kernel to resume; only a failure comes back here
 * Every line for the script begins with "compare: ". Ends the machine through the exit device.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../../../kernel/include/fill.h"

#define DISK "/dev/vda"

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list arguments;

	printf("compare: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
	tcdrain(1);
}

/* boot_magic.h: what QEMU's exit device takes for success and failure. */
static void __attribute__((noreturn)) end(int good)
{
	tcdrain(1);
	if (iopl(3) == 0)
		outl(good ? 0x10 : 0x11, 0xf4);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) fail_with(const char *what)
{
	say("FAILED: %s: %s", what, strerror(errno));
	end(0);
}

static void put(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);

	if (file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text))
		fail_with(path);
	close(file);
}

/* A number out of a file of lines "name   number": /proc/meminfo, or words of the command line. */
static uint64_t number_in(const char *path, const char *name)
{
	static char buffer[8192];
	int file = open(path, O_RDONLY);
	ssize_t size = file < 0 ? -1 : read(file, buffer, sizeof(buffer) - 1);
	char *at;

	if (size < 0)
		fail_with(path);
	close(file);
	buffer[size] = '\0';
	at = strstr(buffer, name);
	return at ? strtoull(at + strlen(name), NULL, 0) : 0;
}

static int says(const char *word)
{
	char line[1024] = "";
	FILE *file = fopen("/proc/cmdline", "r");

	if (!file || !fgets(line, sizeof(line), file))
		fail_with("/proc/cmdline");
	fclose(file);
	return strstr(line, word) != NULL;
}

/* In the order of their names; debian-kernel.sh numbered them. */
static void load_modules(void)
{
	struct dirent **names;
	int count = scandir("/modules", &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char path[300];
		int file;

		if (names[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/modules/%s", names[i]->d_name);
		file = open(path, O_RDONLY);
		if (file < 0 || syscall(SYS_finit_module, file, "", 0) != 0)
			fail_with(path);
		close(file);
	}
	for (unsigned tries = 0; access(DISK, R_OK | W_OK) != 0; tries++) {
		if (tries == 1000)
			fail_with(DISK);
		usleep(10000);
	}
}

/* "254:0", as /sys/power/resume takes it. */
static void device_number(char text[32])
{
	struct stat status;

	if (stat(DISK, &status) != 0)
		fail_with(DISK);
	snprintf(text, 32, "%u:%u", (unsigned)(status.st_rdev >> 8 & 0xfff),
		 (unsigned)(status.st_rdev & 0xff));
}

static void make_swap(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		execl("/busybox", "busybox", "mkswap", DISK, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		fail_with("mkswap");
	if (swapon(DISK, 0) != 0)
		fail_with("swapon");
}

static uint64_t verify(uint64_t seed, const uint64_t *memory, uint64_t pages)
{
	static uint64_t expected[FILL_WORDS];
	uint64_t differ = 0;

	for (uint64_t page = 0; page < pages; page++) {
		fill_page(seed, page, expected);
		differ += memcmp(memory + page * FILL_WORDS, expected, FILL_PAGE) != 0;
	}
	return differ;
}

static void save(void)
{
	uint64_t percent = number_in("/proc/cmdline", "percent=");
	uint64_t seed = number_in("/proc/cmdline", "seed=");
	uint64_t total, used, pages, differ;
	uint64_t *memory;
	char device[32];

	make_swap();
	total = number_in("/proc/meminfo", "MemTotal:") * 1024u;
	used = total - number_in("/proc/meminfo", "MemFree:") * 1024u;
	pages = (total / 100u * percent - used) / FILL_PAGE;
	memory = mmap(NULL, pages * FILL_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail_with("memory");
	/* Every page is written, zero ones too: each has a frame of its own, as in Holdfast. */
	for (uint64_t page = 0; page < pages; page++) {
		memory[page * FILL_WORDS] = 1;
		fill_page(seed, page, memory + page * FILL_WORDS);
	}
	say("total_bytes %llu", (unsigned long long)total);
	say("filled_frames %llu", (unsigned long long)pages);
	device_number(device);
	put("/sys/power/resume", device);
	put("/sys/power/disk", "shutdown");
	say("hibernating");
	put("/sys/power/state", "disk");
	say("resumed");
	/* What did not fit into half of memory went to the same disk first. */
	say("swapped_frames %llu", (unsigned long long)number_in("/proc/vmstat", "pswpout "));
	differ = verify(seed, memory, pages);
	say("verified_frames %llu", (unsigned long long)pages);
	say("differing_frames %llu", (unsigned long long)differ);
	end(differ == 0);
}

int main(void)
{
	char device[32];

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) != 0 ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL) != 0)
		fail_with("mount");
	if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) != 0 && errno != EBUSY)
		fail_with("/dev");
	load_modules();
	if (says("compare=save"))
		save();
	say("resuming");
	device_number(device);
	put("/sys/power/resume", device);
	say("FAILED: the kernel found nothing to resume");
	end(0);
}
