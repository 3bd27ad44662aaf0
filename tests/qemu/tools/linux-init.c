/* SPDX-License-Identifier: MIT */
/*
 * linux-init: the whole user space of the Linux that Holdfast hands over to. Without libc: says
 * on the console that it was reached, what the machine's memory is as Linux sees it, and ends QEMU
 * as Holdfast would, through its exit device.
 */
#include <stddef.h>

enum { SYS_READ = 0, SYS_WRITE = 1, SYS_OPEN = 2, SYS_IOCTL = 16, SYS_MOUNT = 165, SYS_REBOOT = 169,
       SYS_IOPL = 172, SYS_MKDIR = 83 };

static long call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall" : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

/* Compilers may call it. */
void *memset(void *to, int byte, size_t size);
void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile char *)to)[i] = (char)byte;
	return to;
}

static void say(const char *text, long size)
{
	if (size < 0)
		for (size = 0; text[size]; size++)
			;
	call(SYS_WRITE, 1, (long)text, size, 0, 0);
}

/* Each line that has `wanted` in it, or all of them. */
static void say_file(const char *path, const char *wanted)
{
	static char buffer[16384];
	long file = call(SYS_OPEN, (long)path, 0, 0, 0, 0), size = 0, got, line = 0;

	while ((got = call(SYS_READ, file, (long)buffer + size, (long)sizeof(buffer) - size, 0,
			   0)) > 0)
		size += got;
	for (long i = 0; i < size; i++) {
		long length = 0, at = line;

		if (buffer[i] != '\n')
			continue;
		while (wanted[length])
			length++;
		for (; at + length <= i; at++) {
			long same = 0;

			while (same < length && buffer[at + same] == wanted[same])
				same++;
			if (same == length)
				break;
		}
		if (at + length <= i) {
			say("linux: ", -1);
			say(buffer + line, i + 1 - line);
		}
		line = i + 1;
	}
}

void _start(void);
void __attribute__((force_align_arg_pointer)) _start(void)
{
	call(SYS_MKDIR, (long)"/proc", 0755, 0, 0, 0);
	if (call(SYS_MOUNT, (long)"proc", (long)"/proc", (long)"proc", 0, 0) != 0)
		say("linux: no /proc\n", -1);
	say("linux: user space reached\n", -1);
	say_file("/proc/version", "Linux");
	say_file("/proc/cmdline", "");
	say_file("/proc/meminfo", "MemTotal");
	say_file("/proc/iomem", "System RAM");
	say_file("/proc/cpuinfo", "processor");
	/* TCSBRK, 1: what was written has left the line, before the machine is gone. */
	call(SYS_IOCTL, 1, 0x5409, 1, 0, 0);
	/* The exit device's port: success. */
	if (call(SYS_IOPL, 3, 0, 0, 0, 0) == 0)
		__asm__ volatile("outl %0, %1" : : "a"(0x10), "d"((unsigned short)0xf4));
	/* LINUX_REBOOT_CMD_POWER_OFF */
	call(SYS_REBOOT, (long)0xfee1dead, 672274793, 0x4321fedc, 0, 0);
	for (;;)
		;
}
