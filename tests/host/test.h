/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Test cases in user space. A case's name is a sentence; its first failed CHECK
 * ends it.
 */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>

#include "shim.h"

struct test {
	const char *file;
	const char *name;
	void (*run)(void);
	struct test *next;
};

/* Printed with a failed CHECK: the seed, for one. */
extern char test_context[80];

void test_add(struct test *test);
void test_fail(const char *file, int line, const char *what)
	__attribute__((noreturn));

#define TEST(function)							\
	static void function(void);					\
	static struct test test_##function = {				\
		__FILE__, #function, function				\
	};								\
	static void __attribute__((constructor)) add_##function(void)	\
	{								\
		test_add(&test_##function);				\
	}								\
	static void function(void)

#define CHECK(condition)						\
	do {								\
		if (!(condition))					\
			test_fail(__FILE__, __LINE__, #condition);	\
	} while (0)

#endif /* TEST_H */
