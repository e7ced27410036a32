// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VTL0 guard against an emulated hypervisor whose pages all start open.
 */
#include <linux/cleanup.h>
#include <linux/io.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/pfn.h>
#include <linux/reboot.h>

#include "core/hv_abi.h"
#include "guard.h"
#include "guard_fixture.h"

static void a_load_closes_what_it_finds_open(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	fixture_unload(guarded.f);
	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = PHYS_PFN(guarded.f->private[0].start) + 3,
		.nr_unclosable = 1,
	});
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = PHYS_PFN(guarded.f->state.start),
		.nr_unclosable = 1,
	});
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
}

static void a_buffer_is_open_while_it_is_held(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 3 * PAGE_SIZE, "tag");

	guard_expect_open(test, buf, RW);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 3);
	memset(dpmgr_buf_vaddr(buf), 0x5a, 3 * PAGE_SIZE);
	dpmgr_free(buf);
	/* In stock. */
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 3);
	KUNIT_EXPECT_EQ(test, client->nr_bufs, 0);
	KUNIT_EXPECT_EQ(test, client->nr_pages, 0);
	guard_drop_stock(test);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static void the_mask_is_what_the_client_asks_for(struct kunit *test)
{
	static const u32 bad[] = { DPMGR_VTL0_READ, DPMGR_VTL0_WRITE, 0x7, 0x13, 0x80000003 };
	struct dpmgr_client_params params = guard_params("exec", true);
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		params.vtl0_mask = bad[i];
		KUNIT_EXPECT_EQ(test, -EINVAL, guard_create_error(&params));
	}
	params.vtl0_mask = DPMGR_VTL0_MASK_ALL;
	client = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	buf = fixture_alloc(test, client, 1, "tag");
	guard_expect_open(test, buf, DPMGR_VTL_ALL);
	dpmgr_free(buf);

	/* What is in stock with another mask is none for this one. */
	dpmgr_client_destroy(client);
	client = guard_create(test, true);
	buf = fixture_alloc(test, client, 1, "tag");
	guard_expect_open(test, buf, RW);
	dpmgr_client_destroy(client);

	params = fixture_params("any");
	params.vtl0_mask = RW;
	KUNIT_EXPECT_EQ(test, -EINVAL, guard_create_error(&params));
}

static void vtl0_clients_are_refused_where_vtl0_cannot_be_let_in(struct kunit *test)
{
	struct dpmgr_client_params params = guard_params("vtl0", true);
	enum dpmgr_isolation isolation;

	for (isolation = DPMGR_ISOLATION_NONE; isolation <= DPMGR_ISOLATION_TDX;
	     isolation++) {
		int expected = isolation < DPMGR_ISOLATION_SNP ? 0 : -EOPNOTSUPP;

		fixture_unload(guarded.f);
		guarded.f->config.isolation = isolation;
		fixture_load(test, guarded.f);
		params.persistent = false;
		KUNIT_EXPECT_EQ(test, expected, guard_create_error(&params));
		params.persistent = true;
		KUNIT_EXPECT_EQ(test, expected, guard_create_error(&params));
	}
}

static void an_opening_that_fails_leaves_nothing_open(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_client *locked;
	struct dpmgr_client_params params = guard_params("locked", false);
	struct dpmgr_buf *buf;
	unsigned int page;

	locked = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, locked);
	for (page = 1; page <= 100; page += 11) {
		struct dpmgr_client *which = page % 2 ? client : locked;

		guard_inject((struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_ACCESS_DENIED,
			.page = page,
			.nr_attempts = 1,
		});
		buf = dpmgr_alloc(which, 100 * PAGE_SIZE,
				  GFP_KERNEL | __GFP_NOWARN, "tag");
		KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR_OR_ZERO(buf));
		KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
		KUNIT_EXPECT_EQ(test, which->nr_pages, 0);
	}
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(locked);
	fixture_expect_all_free(test, guarded.f);
}

static void a_hypervisor_without_memory_fails_the_allocation(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *buf;

	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_INSUFFICIENT_MEMORY,
		.nr_calls = U64_MAX,
	});
	buf = dpmgr_alloc(client, PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN, "tag");
	KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR_OR_ZERO(buf));
	guard_inject((struct dpmgr_emul_faults){});
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static void what_is_freed_after_the_save_is_still_open(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 2 * PAGE_SIZE, "tag");

	dpmgr_servicing_prepare(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_free(buf);
	dpmgr_guard_shutdown(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 2);
	dpmgr_client_destroy(client);
	fixture_unload(guarded.f);
	fixture_load(test, guarded.f);
	client = guard_create(test, true);
	buf = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	guard_expect_open(test, buf, RW);
	dpmgr_free(buf);
	dpmgr_client_destroy(client);
}

static u64 nr_quarantined(void)
{
	struct dpmgr_pages *pages = &guarded.f->mgr->pools[DPMGR_PRIVATE]->pages;
	struct dpmgr_page_counts counts;
	u64 nr = 0;
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++) {
		dpmgr_pages_count(pages, i, &counts);
		nr += counts.quarantined;
	}
	return nr;
}

static void what_cannot_be_closed_is_quarantined_over_kexecs(struct kunit *test)
{
	struct dpmgr_pages *pages = &guarded.f->mgr->pools[DPMGR_PRIVATE]->pages;
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 20 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 5);
	unsigned int i;

	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = pfn,
		.nr_unclosable = 3,
	});
	dpmgr_free(buf);
	guard_drop_stock(test);
	KUNIT_EXPECT_EQ(test, nr_quarantined(), 3);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 3);
	KUNIT_EXPECT_EQ(test, fixture_used(guarded.f->mgr->pools[DPMGR_PRIVATE]), 0);
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(pages, true));
	for (i = 0; i < 2; i++) {
		fixture_kexec(test, guarded.f, client, NULL);
		client = NULL;
		KUNIT_EXPECT_EQ(test, nr_quarantined(), 3);
		KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 3);
	}
	client = guard_create(test, true);
	buf = dpmgr_alloc(client, guarded.f->private[0].size,
			  GFP_KERNEL | __GFP_NOWARN, "all");
	KUNIT_EXPECT_EQ(test, -ENOSPC, PTR_ERR_OR_ZERO(buf));
	dpmgr_client_destroy(client);
}

static void a_roll_back_that_fails_quarantines_too(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 20 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 0);

	dpmgr_free(buf);
	guard_drop_stock(test);
	/* The same pages again: all open but the last, and the first sticks. */
	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.page = 20,
		.nr_attempts = 1,
		.unclosable_pfn = pfn,
		.nr_unclosable = 1,
	});
	buf = dpmgr_alloc(client, 20 * PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN, "tag");
	KUNIT_EXPECT_LT(test, PTR_ERR_OR_ZERO(buf), 0);
	KUNIT_EXPECT_EQ(test, nr_quarantined(), 1);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 1);
	KUNIT_EXPECT_EQ(test, fixture_used(guarded.f->mgr->pools[DPMGR_PRIVATE]), 0);
	KUNIT_EXPECT_EQ(test, client->nr_pages, 0);
	dpmgr_client_destroy(client);
}

static void locked_pages_that_cannot_be_closed_are_kept(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, false);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 4 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 1);
	struct page *page = pfn_to_page(pfn);

	guard_expect_open(test, buf, RW);
	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = pfn,
		.nr_unclosable = 1,
	});
	dpmgr_free(buf);
	dpmgr_drain(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guarded.f->mgr->vtl0.nr_kept, 1);
	KUNIT_EXPECT_EQ(test, page_count(page), 1);
	/* The end of the kernel tries again. */
	guard_inject((struct dpmgr_emul_faults){});
	dpmgr_guard_shutdown(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(guarded.emul, pfn));
	dpmgr_client_destroy(client);
	__free_page(page);
}

static void open_buffers_are_open_in_the_next_kernel_and_nothing_else(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_client *locked;
	struct dpmgr_client_params params = guard_params("locked", false);
	struct dpmgr_buf *keep, *late, *gone;
	u64 pfn, locked_pfn;

	locked = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, locked);
	keep = fixture_alloc(test, client, 4 * PAGE_SIZE, "keep");
	late = fixture_alloc(test, client, 2 * PAGE_SIZE, "late");
	dpmgr_free(fixture_alloc(test, client, PAGE_SIZE, "in stock"));
	gone = fixture_alloc(test, locked, PAGE_SIZE, "locked");
	pfn = dpmgr_buf_pfn(keep, 0);
	locked_pfn = dpmgr_buf_pfn(gone, 0);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(guarded.f->mgr));
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_alloc(client, 1, GFP_KERNEL,
							  "frozen")));
	/* Too late to be closed: must be, by the next kernel. */
	dpmgr_free(late);
	dpmgr_servicing_prepare(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 6);
	dpmgr_guard_shutdown(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 6);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(guarded.emul, locked_pfn));
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(locked);
	fixture_unload(guarded.f);

	/* Without a backend nobody could close them. */
	guarded.f->config.vtl = NULL;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
	guarded.f->config.vtl = &guarded.emul->vtl;

	fixture_load(test, guarded.f);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 4);
	params = guard_params("vtl0", true);
	params.vtl0_mask = DPMGR_VTL0_MASK_ALL;
	KUNIT_EXPECT_EQ(test, -EINVAL, guard_create_error(&params));
	client = guard_create(test, true);
	keep = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, keep);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_pfn(keep, 0), pfn);
	guard_expect_open(test, keep, RW);
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_next(client)));
	dpmgr_free(keep);
	guard_drop_stock(test);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static void a_restart_that_is_no_kexec_closes_all(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);

	fixture_alloc(test, client, 4 * PAGE_SIZE, "tag");
	dpmgr_servicing_reboot(guarded.f->mgr, SYS_RESTART, NULL);
	dpmgr_guard_shutdown(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	KUNIT_EXPECT_EQ(test, -EBUSY,
			PTR_ERR(dpmgr_alloc(client, 1, GFP_KERNEL, "ended")));
	dpmgr_client_destroy(client);
}

/*
 * The worker puts back the oldest first, and the end of the kernel looks at the
 * newest first: by the time that it comes to the oldest, that has no pages any more
 * unless one waits for the other.
 */
static void the_end_of_the_kernel_waits_for_what_is_being_put_back(struct kunit *test)
{
	struct dpmgr_client *client;
	struct dpmgr_buf *bufs[100];
	unsigned int round, i;
	u64 *pfns;

	pfns = kunit_kcalloc(test, ARRAY_SIZE(bufs), sizeof(*pfns), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pfns);
	for (round = 0; round < 4; round++) {
		client = guard_create(test, false);
		for (i = 0; i < ARRAY_SIZE(bufs); i++) {
			bufs[i] = fixture_alloc(test, client, 16 * PAGE_SIZE, "tag");
			pfns[i] = dpmgr_buf_pfn(bufs[i], 0);
		}
		/* So that the worker takes them all up at once; and it has begun. */
		scoped_guard(mutex, &guarded.f->mgr->drain_lock)
			for (i = 0; i < ARRAY_SIZE(bufs); i++)
				dpmgr_free(bufs[i]);
		while (!llist_empty(&guarded.f->mgr->draining))
			cond_resched();
		dpmgr_guard_shutdown(guarded.f->mgr);
		for (i = 0; i < ARRAY_SIZE(bufs); i++)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(guarded.emul, pfns[i]));
		dpmgr_client_destroy(client);
		fixture_expect_all_free(test, guarded.f);
		fixture_unload(guarded.f);
		fixture_load(test, guarded.f);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_load_closes_what_it_finds_open),
	KUNIT_CASE(a_buffer_is_open_while_it_is_held),
	KUNIT_CASE(the_mask_is_what_the_client_asks_for),
	KUNIT_CASE(vtl0_clients_are_refused_where_vtl0_cannot_be_let_in),
	KUNIT_CASE(an_opening_that_fails_leaves_nothing_open),
	KUNIT_CASE(a_hypervisor_without_memory_fails_the_allocation),
	KUNIT_CASE(what_is_freed_after_the_save_is_still_open),
	KUNIT_CASE(what_cannot_be_closed_is_quarantined_over_kexecs),
	KUNIT_CASE(a_roll_back_that_fails_quarantines_too),
	KUNIT_CASE(locked_pages_that_cannot_be_closed_are_kept),
	KUNIT_CASE(open_buffers_are_open_in_the_next_kernel_and_nothing_else),
	KUNIT_CASE(a_restart_that_is_no_kexec_closes_all),
	KUNIT_CASE(the_end_of_the_kernel_waits_for_what_is_being_put_back),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_guard",
	.init = guard_init,
	.exit = guard_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
