/* SPDX-License-Identifier: MIT */
/*
 * report: where the shared test code says that something is wrong. The first failure is kept
 * and the run goes on to its next safe point, so that a failing sequence can be shrunk; a test
 * then fails on test_failed().
 */
#ifndef TESTS_COMMON_REPORT_H
#define TESTS_COMMON_REPORT_H

#include <stdbool.h>

void test_report_reset(void);
__attribute__((format(printf, 1, 2))) void test_fail(const char *format, ...);
bool test_failed(void);
/* The first failure, "" when there is none. */
const char *test_failure(void);

#endif
