// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each memory allocation on a path is made to fail in turn: nothing may be
 * leaked (kmemleak looks on), half done or lost, and the next try succeeds.
 */
#include <linux/fault-inject.h>
#include <linux/reboot.h>
#include <linux/sched.h>

#include "fixture.h"

/* No path here allocates more often than that. */
#define MOST_ALLOCATIONS	200

#ifdef CONFIG_FAULT_INJECTION
static void fail_nth(unsigned int n)
{
	current->fail_nth = n;
}

/* Whether the allocation that was to fail was reached. */
static bool has_failed(void)
{
	bool failed = !current->fail_nth;

	current->fail_nth = 0;
	return failed;
}
#else
static void fail_nth(unsigned int n)
{
}

static bool has_failed(void)
{
	return false;
}
#endif

static bool slab_fails(void)
{
	void *memory;

	fail_nth(1);
	memory = kmalloc(8, GFP_KERNEL);
	kfree(memory);
	return has_failed() && !memory;
}

static bool pages_fail(void)
{
	unsigned long page;

	fail_nth(1);
	page = __get_free_page(GFP_KERNEL);
	free_page(page);
	return has_failed() && !page;
}

static int needs_fault_injection(struct kunit *test)
{
	if (!slab_fails() || !pages_fail())
		kunit_skip(test, "needs failslab and fail_page_alloc with ignore-gfp-wait=N");
	return fixture_init(test);
}

/* A manager in which one buffer is pending for "disk". */
static void leave_one_buffer(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client *client = fixture_client(test, f, "disk");

	fixture_alloc(test, client, 5000, "tag");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(client);
	fixture_unload(f);
}

static void a_load_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	unsigned int n, nr_failures = 0;

	leave_one_buffer(test, f);
	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		struct dpmgr *mgr;
		bool failed;

		fail_nth(n);
		mgr = dpmgr_create(&f->config);
		failed = has_failed();
		if (!IS_ERR(mgr)) {
			f->mgr = mgr;
			/* What failed had another way, or was not reached. */
			if (!failed)
				break;
			dpmgr_servicing_reboot(f->mgr, SYS_RESTART,
					       "kexec reboot");
			fixture_unload(f);
			continue;
		}
		KUNIT_EXPECT_EQ(test, PTR_ERR(mgr), -ENOMEM);
		KUNIT_EXPECT_TRUE(test, failed);
		nr_failures++;
	}
	KUNIT_EXPECT_GT(test, nr_failures, 10);
	KUNIT_ASSERT_NOT_NULL(test, f->mgr);
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	dpmgr_client_destroy(client);
}

static void a_range_that_cannot_be_mapped_fails_the_load(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int n;

	leave_one_buffer(test, f);
	for (n = 0; n < 4; n++) {
		fixture_maps_left = n;
		KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR(dpmgr_create(&f->config)));
	}
	fixture_maps_left = 4;
	fixture_load(test, f);
	fixture_maps_left = INT_MAX;
	KUNIT_EXPECT_EQ(test, f->mgr->region->nr_runs, 1);
}

/* One sweep over the allocations; how many failures after the first there were. */
static unsigned int fail_each_of_a_client(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client_params params = fixture_params("client");
	unsigned int n, nr_later = 0;
	bool failed = true;

	for (n = 1; failed && n < MOST_ALLOCATIONS; n++) {
		void *group = devres_open_group(f->dev, NULL, GFP_KERNEL);
		struct dpmgr_client *client;

		KUNIT_ASSERT_NOT_NULL(test, group);
		fail_nth(n);
		client = devm_dpmgr_client_create(f->mgr, f->dev, &params);
		failed = has_failed();
		if (IS_ERR(client)) {
			KUNIT_EXPECT_EQ(test, PTR_ERR(client), -ENOMEM);
			KUNIT_EXPECT_TRUE(test, failed);
			nr_later += n > 1;
		}
		devres_release_group(f->dev, group);
		fixture_expect_all_free(test, f);
	}
	KUNIT_EXPECT_FALSE(test, failed);
	return nr_later;
}

static void a_client_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int sweep, nr_later = 0;

	/* The slab allocator's own allocations, which may fail, differ at first. */
	for (sweep = 0; sweep < 5; sweep++)
		nr_later += fail_each_of_a_client(test, f);
	/* What destroys the client with its device could not be set up. */
	KUNIT_EXPECT_GT(test, nr_later, 0);
}

static void an_allocation_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	unsigned int n, i, nr_failures = 0;
	struct dpmgr_buf *buf;
	char tag[16];

	/* Every buffer wants a handle and a tag, so both stocks run out. */
	for (i = 0; i < 200; i++) {
		snprintf(tag, sizeof(tag), "tag %u", i);
		for (n = 1; n < MOST_ALLOCATIONS; n++) {
			fail_nth(n);
			buf = dpmgr_alloc(client, 1, GFP_KERNEL | __GFP_NOWARN,
					  tag);
			if (!has_failed() && !IS_ERR(buf))
				break;
			nr_failures++;
			if (!IS_ERR(buf)) {
				dpmgr_free(buf);
				continue;
			}
			KUNIT_EXPECT_EQ(test, PTR_ERR(buf), -ENOMEM);
		}
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, buf);
	}
	KUNIT_EXPECT_GT(test, nr_failures, 0);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, fixture_used(f->mgr->pools[DPMGR_PRIVATE]), 200);
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_load_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(a_range_that_cannot_be_mapped_fails_the_load),
	KUNIT_CASE(a_client_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(an_allocation_that_runs_out_of_memory_can_be_tried_again),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_fault",
	.init = needs_fault_injection,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
