/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

static char failure[1024];

void test_report_reset(void)
{
	failure[0] = 0;
}

void test_fail(const char *format, ...)
{
	va_list arguments;

	if (failure[0])
		return;
	va_start(arguments, format);
	vsnprintf(failure, sizeof(failure), format, arguments);
	va_end(arguments);
}

bool test_failed(void)
{
	return failure[0];
}

const char *test_failure(void)
{
	return failure;
}
