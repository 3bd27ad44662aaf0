/* SPDX-License-Identifier: MIT */
/*
 * debug: how a caller's bug is reported. The checks marked DEBUG cost nothing when KELP_DEBUG
 * is 0; those marked ALWAYS are cheap and guard against silent corruption.
 */
#ifndef KELP_SRC_DEBUG_H
#define KELP_SRC_DEBUG_H

#include <kelp/port.h>

#ifndef KELP_DEBUG
#define KELP_DEBUG 0
#endif

/* Keeps the path that is taken nearly always free of jumps. */
#define KELP_LIKELY(condition) __builtin_expect(!!(condition), 1)

#define KELP_LINE_TEXT_(line) #line
#define KELP_LINE_TEXT(line)  KELP_LINE_TEXT_(line)

#define KELP_ASSERT_ALWAYS(port, condition, what)                                                  \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0))                                             \
			(port)->panic((port)->context, (what),                                     \
				      __FILE__ ":" KELP_LINE_TEXT(__LINE__));                      \
	} while (0)

#define KELP_ASSERT_DEBUG(port, condition, what)                                                   \
	do {                                                                                       \
		if (KELP_DEBUG)                                                                    \
			KELP_ASSERT_ALWAYS(port, condition, what);                                 \
	} while (0)

#endif
