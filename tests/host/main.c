// SPDX-License-Identifier: GPL-2.0-only
/*
 * core-test [FILE...]: run all cases, or those of these files only.
 */
#include <setjmp.h>

#include "test.h"

char test_context[80];

static struct test *tests;
static jmp_buf failed;

void test_add(struct test *test)
{
	struct test **end = &tests;

	while (*end)
		end = &(*end)->next;
	*end = test;
}

void test_fail(const char *file, int line, const char *what)
{
	printf("    %s:%d: %s%s\n", file, line, what, test_context);
	longjmp(failed, 1);
}

static bool passes(const struct test *test)
{
	shim_fail_alloc = 0;
	shim_at_barrier = NULL;
	shim_at_write_back = NULL;
	shim_at_gap = NULL;
	shim_around_copy = NULL;
	shim_cpu = 0;
	shim_nr_cpus = SHIM_CPUS;
	*test_context = '\0';
	if (setjmp(failed))
		return false;
	test->run();
	return true;
}

static bool is_in(const struct test *test, char **files)
{
	const char *slash = strrchr(test->file, '/');
	const char *name = slash ? slash + 1 : test->file;

	for (; *files; files++)
		if (!strcmp(name, *files))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned int nr_passed = 0, nr_failed = 0;
	const struct test *test;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (test = tests; test; test = test->next) {
		if (argc > 1 && !is_in(test, argv + 1))
			continue;
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
