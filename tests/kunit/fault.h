/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The Nth memory allocation of this task fails.
 */
#ifndef FAULT_H
#define FAULT_H

#include <linux/fault-inject.h>
#include <linux/gfp.h>
#include <linux/sched.h>
#include <linux/slab.h>

#ifdef CONFIG_FAULT_INJECTION
static inline void fail_nth(unsigned int n)
{
	current->fail_nth = n;
}

/* Whether the allocation that was to fail was reached. */
static inline bool has_failed(void)
{
	bool failed = !current->fail_nth;

	current->fail_nth = 0;
	return failed;
}
#else
static inline void fail_nth(unsigned int n)
{
}

static inline bool has_failed(void)
{
	return false;
}
#endif

static inline bool slab_fails(void)
{
	void *memory;

	fail_nth(1);
	memory = kmalloc(8, GFP_KERNEL);
	kfree(memory);
	return has_failed() && !memory;
}

static inline bool pages_fail(void)
{
	unsigned long page;

	fail_nth(1);
	page = __get_free_page(GFP_KERNEL);
	free_page(page);
	return has_failed() && !page;
}

#endif /* FAULT_H */
