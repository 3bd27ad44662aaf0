/* SPDX-License-Identifier: MIT */
/* The hosted port: that it keeps the port's contract, and breaks it when asked to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "port/hosted/kelp_hosted.h"

#define PAGES 64

static struct kelp_hosted hosted;
static jmp_buf panicked;
static const char *panic_text;

static void catch_panic(void *context, const char *what, const char *where)
{
	(void)context, (void)where;
	panic_text = what;
	longjmp(panicked, 1);
}

#define ASSERT_PANICS(call)                                                                        \
	do {                                                                                       \
		panic_text = NULL;                                                                 \
		if (setjmp(panicked) == 0) {                                                       \
			call;                                                                      \
		}                                                                                  \
		assert_non_null(panic_text);                                                       \
	} while (0)

static void open_port(uint32_t flags)
{
	const struct kelp_hosted_config config = {
		.pages = PAGES, .base = 0x100000, .flags = flags, .seed = 7};

	assert_int_equal(kelp_hosted_init(&hosted, &config), KELP_OK);
	hosted.port.panic = catch_panic;
}

static bool take(kelp_paddr_t limit, kelp_paddr_t *address)
{
	return hosted.port.table_take(hosted.port.context, 4096, limit, address);
}

static void give(kelp_paddr_t address)
{
	hosted.port.table_give(hosted.port.context, 4096, address);
}

static bool all_bytes(kelp_paddr_t address, int byte)
{
	const unsigned char *bytes = kelp_hosted_pointer(&hosted, address);

	for (size_t i = 0; i < 4096; i++) {
		if (bytes[i] != byte)
			return false;
	}
	return true;
}

static void test_config(void **state)
{
	const struct kelp_hosted_config bad[] = {
		{.pages = 0},
		{.pages = 1, .page_size = 4097},
		{.pages = 1, .page_size = 8},
		{.pages = 1, .base = 1},
		{.pages = 1, .flags = UINT32_C(1) << 31},
		{.pages = SIZE_MAX / 4096},
	};
	struct kelp_hosted h;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(kelp_hosted_init(&h, &bad[i]), KELP_ERR_ARGUMENT);
}

static void test_pages_are_zero_aligned_and_distinct(void **state)
{
	static const uint32_t orders[] = {0, KELP_HOSTED_DESCENDING, KELP_HOSTED_SHUFFLED,
					  KELP_HOSTED_POISON | KELP_HOSTED_POINTERS,
					  KELP_HOSTED_HUGE};

	(void)state;
	for (size_t order = 0; order < sizeof(orders) / sizeof(orders[0]); order++) {
		kelp_paddr_t address[PAGES], more;
		struct kelp_hosted_counts counts;

		open_port(orders[order]);
		for (int round = 0; round < 2; round++) {
			for (int i = 0; i < PAGES; i++) {
				assert_true(take(UINT64_MAX, &address[i]));
				assert_int_equal(address[i] % 4096, 0);
				assert_true(all_bytes(address[i], 0));
				memset(kelp_hosted_pointer(&hosted, address[i]), 0xff, 4096);
				for (int j = 0; j < i; j++)
					assert_int_not_equal(address[i], address[j]);
			}
			assert_false(take(UINT64_MAX, &more));
			for (int i = 0; i < PAGES; i++)
				give(address[i]);
		}
		kelp_hosted_counts(&hosted, &counts);
		assert_int_equal(counts.taken, 2 * PAGES);
		assert_int_equal(counts.given, 2 * PAGES);
		assert_int_equal(counts.refused, 2);
		assert_int_equal(counts.in_use, 0);
		assert_int_equal(counts.peak, PAGES);
		kelp_hosted_destroy(&hosted);
	}
}

static void test_orders(void **state)
{
	kelp_paddr_t address[PAGES];
	unsigned ascents = 0;

	(void)state;
	open_port(0);
	for (int i = 0; i < 4; i++) {
		assert_true(take(UINT64_MAX, &address[i]));
		assert_int_equal(address[i], 0x100000 + i * 4096);
	}
	kelp_hosted_destroy(&hosted);

	open_port(KELP_HOSTED_DESCENDING);
	for (int i = 0; i < 4; i++) {
		assert_true(take(UINT64_MAX, &address[i]));
		assert_int_equal(address[i], 0x100000 + (PAGES - 1 - i) * 4096);
	}
	kelp_hosted_destroy(&hosted);

	open_port(KELP_HOSTED_SHUFFLED);
	for (int i = 0; i < PAGES; i++) {
		assert_true(take(UINT64_MAX, &address[i]));
		ascents += i > 0 && address[i] > address[i - 1];
	}
	assert_in_range(ascents, PAGES / 4, 3 * PAGES / 4);
	kelp_hosted_destroy(&hosted);
}

static void test_scattered_pages_are_never_adjacent(void **state)
{
	kelp_paddr_t address[PAGES];
	int count = 0;

	(void)state;
	open_port(KELP_HOSTED_SCATTERED | KELP_HOSTED_SHUFFLED);
	while (take(UINT64_MAX, &address[count]))
		count++;
	assert_int_equal(count, PAGES / 2);
	for (int i = 0; i < count; i++) {
		for (int j = 0; j < count; j++)
			assert_int_not_equal(address[i], address[j] + 4096);
	}
	kelp_hosted_destroy(&hosted);
}

static void test_limit(void **state)
{
	kelp_paddr_t address;

	(void)state;
	open_port(KELP_HOSTED_DESCENDING);
	assert_true(take(0x101fff, &address));
	assert_int_equal(address, 0x101000);
	assert_true(take(0x101fff, &address));
	assert_int_equal(address, 0x100000);
	assert_false(take(0x101fff, &address));
	kelp_hosted_destroy(&hosted);
}

static void test_pointer_is_offset(void **state)
{
	kelp_paddr_t address;

	(void)state;
	open_port(0);
	assert_true(take(UINT64_MAX, &address));
	assert_null(hosted.port.table_pointer);
	assert_ptr_equal(kelp_hosted_pointer(&hosted, address),
			 (void *)(uintptr_t)(address + hosted.port.table_offset));
	assert_int_equal(kelp_hosted_address(&hosted, kelp_hosted_pointer(&hosted, address + 8)),
			 address + 8);
	kelp_hosted_destroy(&hosted);
	open_port(KELP_HOSTED_POINTERS);
	assert_non_null(hosted.port.table_pointer);
	kelp_hosted_destroy(&hosted);
}

static void test_failing_takes(void **state)
{
	kelp_paddr_t address;

	(void)state;
	open_port(0);
	kelp_hosted_inject(&hosted, KELP_HOSTED_FAIL, 2, false);
	assert_true(take(UINT64_MAX, &address));
	assert_false(take(UINT64_MAX, &address));
	assert_true(take(UINT64_MAX, &address));
	kelp_hosted_inject(&hosted, KELP_HOSTED_FAIL, 2, true);
	assert_true(take(UINT64_MAX, &address));
	assert_false(take(UINT64_MAX, &address));
	assert_false(take(UINT64_MAX, &address));
	kelp_hosted_inject(&hosted, KELP_HOSTED_OK, 0, false);
	assert_true(take(UINT64_MAX, &address));
	kelp_hosted_destroy(&hosted);
}

static void test_bad_pages_on_purpose(void **state)
{
	kelp_paddr_t first, second;

	(void)state;
	open_port(0);
	kelp_hosted_inject(&hosted, KELP_HOSTED_DIRTY, 1, false);
	assert_true(take(UINT64_MAX, &first));
	assert_false(all_bytes(first, 0));
	kelp_hosted_inject(&hosted, KELP_HOSTED_DUPLICATE_DIRTY, 1, false);
	assert_true(take(UINT64_MAX, &second));
	assert_int_equal(first, second);
	assert_false(all_bytes(second, 0));
	kelp_hosted_inject(&hosted, KELP_HOSTED_DUPLICATE, 1, false);
	assert_true(take(UINT64_MAX, &second));
	assert_int_equal(first, second);
	assert_true(all_bytes(second, 0));
	assert_true(take(UINT64_MAX, &second));
	assert_int_not_equal(first, second);
	kelp_hosted_destroy(&hosted);
}

static void test_what_is_not_in_use_is_not_taken_back(void **state)
{
	kelp_paddr_t address;

	(void)state;
	open_port(0);
	assert_true(take(UINT64_MAX, &address));
	give(address);
	ASSERT_PANICS(give(address));
	ASSERT_PANICS(give(address + 8));
	ASSERT_PANICS(give(0));
	ASSERT_PANICS(give(0x100000 + PAGES * 4096));
	ASSERT_PANICS(take(UINT64_MAX, &address);
		      hosted.port.table_give(&hosted, 8192, address));
	ASSERT_PANICS(kelp_hosted_pointer(&hosted, 0x100000 + PAGES * 4096));
	ASSERT_PANICS(kelp_hosted_address(&hosted, &address));
	kelp_hosted_destroy(&hosted);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif

static void test_a_write_after_give_is_seen(void **state)
{
	kelp_paddr_t address;
	unsigned char *bytes;

	(void)state;
#ifdef UNDER_ASAN
	print_message("skipped: AddressSanitizer itself stops this write\n");
	skip();
#endif
	open_port(KELP_HOSTED_POISON);
	assert_true(take(UINT64_MAX, &address));
	bytes = kelp_hosted_pointer(&hosted, address);
	give(address);
	assert_true(all_bytes(address, 0xa5));
	bytes[100] = 1;
	ASSERT_PANICS(take(UINT64_MAX, &address));
	kelp_hosted_destroy(&hosted);
}

static uint32_t reader_is_in, reader_may_leave, reader_left;

static void *reader(void *unused)
{
	unsigned token = kelp_hosted_read_begin(&hosted);

	(void)unused;
	__atomic_store_n(&reader_is_in, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&reader_may_leave, __ATOMIC_SEQ_CST))
		;
	__atomic_store_n(&reader_left, 1, __ATOMIC_SEQ_CST);
	kelp_hosted_read_end(&hosted, token);
	return NULL;
}

static void *waiter(void *left)
{
	hosted.port.wait_for_readers(hosted.port.context);
	*(uint32_t *)left = __atomic_load_n(&reader_left, __ATOMIC_SEQ_CST);
	return NULL;
}

static void test_waiting_for_readers(void **state)
{
	pthread_t reading, waiting;
	struct kelp_hosted_counts counts;
	uint32_t left_before = 0;

	(void)state;
	open_port(0);
	/* Nobody reads: no wait, on either side. */
	hosted.port.wait_for_readers(hosted.port.context);
	hosted.port.wait_for_readers(hosted.port.context);
	assert_int_equal(pthread_create(&reading, NULL, reader, NULL), 0);
	while (!__atomic_load_n(&reader_is_in, __ATOMIC_SEQ_CST))
		;
	assert_int_equal(pthread_create(&waiting, NULL, waiter, &left_before), 0);
	do
		kelp_hosted_counts(&hosted, &counts);
	while (counts.waits != 3);
	__atomic_store_n(&reader_may_leave, 1, __ATOMIC_SEQ_CST);
	pthread_join(waiting, NULL);
	pthread_join(reading, NULL);
	assert_int_equal(left_before, 1);
	kelp_hosted_destroy(&hosted);
}

#define THREADS 4
#define ROUNDS 2000

static void *taker(void *unused)
{
	(void)unused;
	for (int round = 0; round < ROUNDS; round++) {
		kelp_paddr_t address;
		unsigned char *bytes;

		if (!take(UINT64_MAX, &address))
			return (void *)1;
		bytes = kelp_hosted_pointer(&hosted, address);
		for (size_t i = 0; i < 4096; i += 512) {
			if (bytes[i] != 0)
				return (void *)1;
			bytes[i] = 1;
		}
		give(address);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	open_port(KELP_HOSTED_SHUFFLED);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, taker, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	kelp_hosted_destroy(&hosted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_pages_are_zero_aligned_and_distinct),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_scattered_pages_are_never_adjacent),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_pointer_is_offset),
		cmocka_unit_test(test_failing_takes),
		cmocka_unit_test(test_bad_pages_on_purpose),
		cmocka_unit_test(test_what_is_not_in_use_is_not_taken_back),
		cmocka_unit_test(test_a_write_after_give_is_seen),
		cmocka_unit_test(test_waiting_for_readers),
		cmocka_unit_test(test_threads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("hosted port", tests, NULL, NULL);
}
