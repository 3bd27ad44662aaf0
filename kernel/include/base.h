/* SPDX-License-Identifier: MIT */
/*
 * base: what every file of the kernel may assume.
 */
#ifndef HOLDFAST_BASE_H
#define HOLDFAST_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kelp/types.h>

#define PAGE_SHIFT 12u
#define PAGE_SIZE  (UINT64_C(1) << PAGE_SHIFT)

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024u)
#define GIB (MIB * 1024u)
#define TIB (GIB * 1024u)

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CACHE_LINE 64
#define cache_aligned __attribute__((aligned(CACHE_LINE)))

#define container_of(pointer, type, member)                                                        \
	((type *)(uintptr_t)((char *)(pointer) - offsetof(type, member)))

/* `alignment` is a power of two. align_up of the last page wraps to 0: callers check. */
static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
	return value & ~(alignment - 1u);
}

static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1u) & ~(alignment - 1u);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);

/* Copies at most size - 1 characters and always ends the string. */
void copy_string(char *to, const char *from, size_t size);

#endif
