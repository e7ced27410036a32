// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs all cases, and holds what shim.h only declares.
 */
#include <setjmp.h>

#include "test.h"

unsigned int shim_fail_alloc;
void (*shim_at_barrier)(void);

static struct test *tests;
static jmp_buf failed;

char *strchrnul(const char *s, int c)
{
	while (*s && *s != (char)c)
		s++;
	return (char *)s;
}

/* Castagnoli's polynomial, bit by bit: slow, and plainly right. */
u32 __crc32c_le(u32 crc, const u8 *data, size_t len)
{
	int bit;

	for (; len; len--, data++) {
		crc ^= *data;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

void test_add(struct test *test)
{
	struct test **end = &tests;

	while (*end)
		end = &(*end)->next;
	*end = test;
}

void test_fail(const char *file, int line, const char *what)
{
	printf("    %s:%d: %s\n", file, line, what);
	longjmp(failed, 1);
}

static bool passes(const struct test *test)
{
	shim_fail_alloc = 0;
	shim_at_barrier = NULL;
	if (setjmp(failed))
		return false;
	test->run();
	return true;
}

int main(void)
{
	unsigned int nr_passed = 0, nr_failed = 0;
	const struct test *test;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (test = tests; test; test = test->next) {
		if (passes(test)) {
			printf("ok      %s\n", test->name);
			nr_passed++;
		} else {
			printf("FAILED  %s\n", test->name);
			nr_failed++;
		}
	}
	printf("%u passed, %u failed\n", nr_passed, nr_failed);
	return nr_failed ? 1 : 0;
}
