// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever can be saved, saved; and each step of restoring it made to fail in turn: the
 * region is as it was, nothing is handed out, and the next try restores all of it.
 */
#include <linux/io.h>
#include <linux/pfn.h>
#include <linux/reboot.h>

#include "core/hv_abi.h"
#include "fault.h"
#include "fixture.h"
#include "guard.h"
#include "vtl_emul.h"

#define MOST_ALLOCATIONS	400
#define STATE_LEN		100

/* Of every case. */
static struct dpmgr_emul *emul;
static u8 region_copy[STATE_SIZE];

static struct dpmgr_client *create(struct kunit *test, struct fixture *f,
				   const char *name, enum dpmgr_visibility visibility,
				   enum dpmgr_lower_vtl lower_vtl)
{
	struct dpmgr_client_params params = fixture_params(name);
	struct dpmgr_client *client;

	params.visibility = visibility;
	params.lower_vtl = lower_vtl;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

static struct dpmgr_client *create_private(struct kunit *test, struct fixture *f,
					   const char *name)
{
	return create(test, f, name, DPMGR_PRIVATE, DPMGR_LOWER_VTL_ANY);
}

static struct dpmgr_client *create_vtl0(struct kunit *test, struct fixture *f)
{
	return create(test, f, "vtl0", DPMGR_PRIVATE, DPMGR_LOWER_VTL_VTL0);
}

static void copy_region(struct fixture *f)
{
	memcpy(region_copy, phys_to_virt(f->state.start), STATE_SIZE);
}

static bool region_is_as_it_was(struct fixture *f)
{
	return !memcmp(region_copy, phys_to_virt(f->state.start), STATE_SIZE);
}

static u64 nr_quarantined(struct fixture *f)
{
	struct dpmgr_pages *pages = &f->mgr->pools[DPMGR_PRIVATE]->pages;
	struct dpmgr_page_counts counts;
	u64 nr = 0;
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++) {
		dpmgr_pages_count(pages, i, &counts);
		nr += counts.quarantined;
	}
	return nr;
}

/* One page that can't be closed. */
static void quarantine_one(struct kunit *test, struct fixture *f,
			   struct dpmgr_client *client)
{
	struct dpmgr_buf *buf = fixture_alloc(test, client, 1, "stuck");
	const struct dpmgr_emul_faults faults = {
		.status = DPMGR_HV_STATUS_ACCESS_DENIED,
		.unclosable_pfn = dpmgr_buf_pfn(buf, 0),
		.nr_unclosable = 1,
	};

	dpmgr_emul_inject(emul, &faults);
	dpmgr_free(buf);
	dpmgr_drain(f->mgr);
	dpmgr_emul_inject(emul, &(struct dpmgr_emul_faults){});
	KUNIT_ASSERT_EQ(test, 1, nr_quarantined(f));
}

static void leave_absent(struct kunit *test, struct fixture *f, const char *name)
{
	struct dpmgr_client *client = create_private(test, f, name);

	fixture_alloc(test, client, SZ_8K, "left");
	dpmgr_client_destroy(client);
}

static void save(struct fixture *f)
{
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
}

/* A client of each kind, runs and pages in every state: all in the region. */
static void save_everything(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client *vtl0 = create_vtl0(test, f);
	struct dpmgr_client *net = create(test, f, "net", DPMGR_SHARED,
					  DPMGR_LOWER_VTL_ANY);
	struct dpmgr_client *orphan = create_private(test, f, "orphan");
	struct dpmgr_buf *freed;
	u8 bytes[STATE_LEN];

	memset(bytes, 0x77, sizeof(bytes));
	quarantine_one(test, f, vtl0);
	leave_absent(test, f, "leaked");
	KUNIT_ASSERT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_LEAK));
	leave_absent(test, f, "pending");
	fixture_alloc(test, vtl0, SZ_16K, "open");
	fixture_alloc(test, vtl0, SZ_8K, "open");
	freed = fixture_alloc(test, vtl0, SZ_8K, "freed");
	fixture_alloc(test, net, 5000, "ring");
	KUNIT_ASSERT_EQ(test, 0, dpmgr_client_set_state(net, bytes, sizeof(bytes)));
	fixture_alloc(test, orphan, SZ_16K, "orphaned");
	KUNIT_ASSERT_EQ(test, 0, dpmgr_client_set_keepalive(orphan, false));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_freeze(f->mgr));
	dpmgr_free(freed);
	save(f);
	dpmgr_client_destroy(vtl0);
	dpmgr_client_destroy(net);
	dpmgr_client_destroy(orphan);
	fixture_unload(f);
	copy_region(f);
}

static void expect_buffers(struct kunit *test, struct dpmgr_client *client,
			   unsigned int nr_pending, unsigned int nr_kept)
{
	unsigned int nr = 0;

	while (!IS_ERR(dpmgr_retrieve_next(client)))
		nr++;
	KUNIT_EXPECT_EQ(test, nr, nr_pending);
	KUNIT_EXPECT_EQ(test, nr_kept, dpmgr_client_nr_kept_out(client));
	dpmgr_client_destroy(client);
}

static void expect_everything(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client *net = create(test, f, "net", DPMGR_SHARED,
					  DPMGR_LOWER_VTL_ANY);
	u8 bytes[STATE_LEN];

	KUNIT_EXPECT_EQ(test, 1, nr_quarantined(f));
	KUNIT_EXPECT_EQ(test, STATE_LEN, dpmgr_client_get_state(net, bytes, STATE_LEN));
	KUNIT_EXPECT_NULL(test, memchr_inv(bytes, 0x77, STATE_LEN));
	expect_buffers(test, net, 1, 0);
	expect_buffers(test, create_vtl0(test, f), 2, 0);
	expect_buffers(test, create_private(test, f, "orphan"), 0, 1);
	expect_buffers(test, create_private(test, f, "leaked"), 0, 1);
	expect_buffers(test, create_private(test, f, "pending"), 1, 0);
	/* What was freed is free: 4 + 2 open, 4 orphaned, 2 leaked, 2 pending. */
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, 14, fixture_used(f->mgr->pools[DPMGR_PRIVATE]));
	KUNIT_EXPECT_EQ(test, 2, fixture_used(f->mgr->pools[DPMGR_SHARED]));
}

static int fault_init(struct kunit *test)
{
	struct fixture *f;

	if (!slab_fails() || !pages_fail())
		kunit_skip(test, "needs failslab and fail_page_alloc with ignore-gfp-wait=N");
	f = fixture_memory(test);
	emul = fixture_emulate(test, f);
	test->priv = f;
	fixture_load(test, f);
	return 0;
}

static void everything_that_can_be_saved_comes_back(struct kunit *test)
{
	struct fixture *f = test->priv;

	save_everything(test, f);
	fixture_load(test, f);
	expect_everything(test, f);
	/* Twice, with nobody there. */
	save(f);
	fixture_unload(f);
	fixture_load(test, f);
	expect_everything(test, f);
}

static void a_load_that_runs_out_of_memory_leaves_everything(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int n, nr_failures = 0;
	struct dpmgr *mgr;
	bool failed;

	save_everything(test, f);
	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		fail_nth(n);
		mgr = dpmgr_create(&f->config);
		failed = has_failed();
		if (!IS_ERR(mgr)) {
			f->mgr = mgr;
			if (!failed)
				break;
			/* It had another way: save all of it again. */
			save(f);
			fixture_unload(f);
			copy_region(f);
			continue;
		}
		KUNIT_EXPECT_EQ(test, PTR_ERR(mgr), -ENOMEM);
		KUNIT_EXPECT_TRUE(test, region_is_as_it_was(f));
		nr_failures++;
	}
	kunit_info(test, "%u failures", nr_failures);
	KUNIT_EXPECT_GT(test, nr_failures, 15);
	KUNIT_ASSERT_NOT_NULL(test, f->mgr);
	expect_everything(test, f);
}

static void a_load_whose_hypercalls_fail_leaves_everything(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int n, nr_failures = 0, nr_succeeded = 0;
	struct dpmgr *mgr;

	save_everything(test, f);
	/* More pages than are to be closed. */
	for (n = 1; n < 2 * (PRIVATE_SIZE + STATE_SIZE) / PAGE_SIZE; n++) {
		const struct dpmgr_emul_faults faults = {
			.status = DPMGR_HV_STATUS_ACCESS_DENIED,
			.page = n,
			.nr_attempts = 2,
		};

		dpmgr_emul_inject(emul, &faults);
		mgr = dpmgr_create(&f->config);
		dpmgr_emul_inject(emul, &(struct dpmgr_emul_faults){});
		if (!IS_ERR(mgr)) {
			f->mgr = mgr;
			/* The quarantined page, or there are no more. */
			if (nr_succeeded++)
				break;
			save(f);
			fixture_unload(f);
			copy_region(f);
			continue;
		}
		KUNIT_EXPECT_EQ(test, PTR_ERR(mgr), -EIO);
		KUNIT_EXPECT_TRUE(test, region_is_as_it_was(f));
		nr_failures++;
	}
	kunit_info(test, "%u failures", nr_failures);
	/* All of the pool but its open and its quarantined pages, and the region. */
	KUNIT_EXPECT_GE(test, nr_failures, (PRIVATE_SIZE + STATE_SIZE) / PAGE_SIZE - 7);
	KUNIT_ASSERT_NOT_NULL(test, f->mgr);
	expect_everything(test, f);
}

static void a_commit_by_hand_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_private(test, f, "disk");
	unsigned int n, nr_failures = 0;
	int ret = -ENOMEM;

	fixture_alloc(test, client, SZ_8K, "tag");
	for (n = 1; ret && n < MOST_ALLOCATIONS; n++) {
		fail_nth(n);
		ret = dpmgr_commit(f->mgr);
		if (!has_failed())
			break;
		if (!ret) {
			KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
			ret = -ENOMEM;
			continue;
		}
		KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
		KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
		dpmgr_free(fixture_alloc(test, client, SZ_8K, "tag"));
		nr_failures++;
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_GT(test, nr_failures, 0);
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_COMMITTED);
	dpmgr_client_destroy(client);
	fixture_unload(f);
	fixture_load(test, f);
	expect_buffers(test, create_private(test, f, "disk"), 1, 0);
}

static void driver_state_that_finds_no_memory_leaves_the_old_one(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_private(test, f, "disk");
	s64 used;

	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, "old", 4));
	used = atomic64_read(&f->mgr->state_used);
	fail_nth(1);
	KUNIT_EXPECT_EQ(test, -ENOMEM, dpmgr_client_set_state(client, region_copy, 200));
	KUNIT_EXPECT_TRUE(test, has_failed());
	KUNIT_EXPECT_EQ(test, 4, dpmgr_client_get_state(client, NULL, 0));
	KUNIT_EXPECT_EQ(test, used, atomic64_read(&f->mgr->state_used));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, region_copy, 200));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, NULL, 0));
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(everything_that_can_be_saved_comes_back),
	KUNIT_CASE(a_load_that_runs_out_of_memory_leaves_everything),
	KUNIT_CASE_SLOW(a_load_whose_hypercalls_fail_leaves_everything),
	KUNIT_CASE(a_commit_by_hand_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(driver_state_that_finds_no_memory_leaves_the_old_one),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_servicing_fault",
	.init = fault_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
