/* SPDX-License-Identifier: MIT */
/*
 * words: what compilers call on a CPU of 32 bits for numbers of 64: division, and atomics on
 * numbers that the ABI aligns to 4 bytes only.
 */
#include "machine.h"

/* ---- division ---------------------------------------------------------------------------- */

uint64_t __udivdi3(uint64_t dividend, uint64_t divisor);
uint64_t __umoddi3(uint64_t dividend, uint64_t divisor);

/* The quotient must fit 32 bits: `high` is less than the divisor. */
static uint32_t divide_words(uint32_t high, uint32_t low, uint32_t divisor, uint32_t *remainder)
{
	uint32_t quotient;

	__asm__("divl %4" : "=a"(quotient), "=d"(*remainder) : "a"(low), "d"(high), "r"(divisor));
	return quotient;
}

static uint64_t divide(uint64_t dividend, uint64_t divisor, uint64_t *remainder)
{
	uint32_t high, low, rest, small = (uint32_t)divisor;
	uint64_t shifted, quotient = 0;
	unsigned shift = 0;

	if (divisor >> 32 == 0) {
		high = divide_words(0, (uint32_t)(dividend >> 32), small, &rest);
		low = divide_words(rest, (uint32_t)dividend, small, &rest);
		*remainder = rest;
		return (uint64_t)high << 32 | low;
	}
	/* The quotient has less than 32 bits: one after the other. */
	for (shifted = divisor; shifted <= dividend && !(shifted >> 63); shifted <<= 1)
		shift++;
	for (;; shift--, shifted >>= 1) {
		quotient <<= 1;
		if (dividend >= shifted) {
			dividend -= shifted;
			quotient |= 1;
		}
		if (!shift)
			break;
	}
	*remainder = dividend;
	return quotient;
}

uint64_t __udivdi3(uint64_t dividend, uint64_t divisor)
{
	uint64_t remainder;

	return divide(dividend, divisor, &remainder);
}

uint64_t __umoddi3(uint64_t dividend, uint64_t divisor)
{
	uint64_t remainder;

	(void)divide(dividend, divisor, &remainder);
	return remainder;
}

int64_t __divdi3(int64_t dividend, int64_t divisor);
int64_t __moddi3(int64_t dividend, int64_t divisor);

static uint64_t magnitude(int64_t value)
{
	return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* The quotient is rounded to zero, the remainder has the dividend's sign (C11 6.5.5). */
int64_t __divdi3(int64_t dividend, int64_t divisor)
{
	uint64_t quotient = __udivdi3(magnitude(dividend), magnitude(divisor));

	return (int64_t)((dividend < 0) != (divisor < 0) ? 0 - quotient : quotient);
}

int64_t __moddi3(int64_t dividend, int64_t divisor)
{
	uint64_t remainder = __umoddi3(magnitude(dividend), magnitude(divisor));

	return (int64_t)(dividend < 0 ? 0 - remainder : remainder);
}

/* ---- atomics ----------------------------------------------------------------------------- */

/*
 * Named in assembler: as C functions they would be builtins with other types. With LOCK an access
 * may cross a cache line and is atomic all the same (SDM 9.1.2.2), and orders everything: the order
 * that is asked for makes no difference.
 */
#define NAMED(name) __asm__("__atomic_" #name "_8")

static bool swap(uint64_t *at, uint64_t *expected, uint64_t desired)
{
	bool done;

	__asm__ volatile("lock; cmpxchg8b %1"
			 : "=@ccz"(done), "+m"(*at), "+A"(*expected)
			 : "b"((uint32_t)desired), "c"((uint32_t)(desired >> 32))
			 : "memory");
	return done;
}

uint64_t word_load(const uint64_t *at, int order) NAMED(load);
void word_store(uint64_t *at, uint64_t value, int order) NAMED(store);
bool word_compare_exchange(uint64_t *at, uint64_t *expected, uint64_t desired, int success,
			   int failure) NAMED(compare_exchange);

/* Zero is replaced by zero, or nothing happens; but the page must be writable. */
uint64_t word_load(const uint64_t *at, int order)
{
	uint64_t value = 0;

	(void)order;
	(void)swap((uint64_t *)(uintptr_t)at, &value, 0);
	return value;
}

bool word_compare_exchange(uint64_t *at, uint64_t *expected, uint64_t desired, int success,
			   int failure)
{
	(void)success, (void)failure;
	return swap(at, expected, desired);
}

/* Replaces what is there by `result`, and returns what was there. */
#define WORD_OPERATION(name, result)                                                               \
	uint64_t word_##name(uint64_t *at, uint64_t value, int order) NAMED(name);                 \
	uint64_t word_##name(uint64_t *at, uint64_t value, int order)                              \
	{                                                                                          \
		uint64_t seen = word_load(at, order);                                              \
												   \
		while (!swap(at, &seen, result))                                                   \
			;                                                                          \
		return seen;                                                                       \
	}
WORD_OPERATION(exchange, value)
WORD_OPERATION(fetch_add, seen + value)
WORD_OPERATION(fetch_sub, seen - value)
WORD_OPERATION(fetch_and, seen & value)
WORD_OPERATION(fetch_or, seen | value)
WORD_OPERATION(fetch_xor, seen ^ value)

void word_store(uint64_t *at, uint64_t value, int order)
{
	(void)word_exchange(at, value, order);
}
