/* SPDX-License-Identifier: MIT */
/* string.h where there is none: what every kernel has for its compiler, for LZ4 and BearSSL. */
#ifndef KELP_CODECS_STRING_H
#define KELP_CODECS_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
void *memmove(void *to, const void *from, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

#endif
