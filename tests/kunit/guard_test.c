// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VTL0 guard against an emulated hypervisor whose pages all start open.
 */
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/pfn.h>
#include <linux/reboot.h>

#include "core/hv_abi.h"
#include "fixture.h"
#include "guard.h"

#define RW		(DPMGR_VTL_READ | DPMGR_VTL_WRITE)
#define STOCK_PAGES	128

/* The fixture's first, so that its functions do. */
struct guard_fixture {
	struct fixture *f;
	struct dpmgr_emul *emul;
};

static struct guard_fixture gf;

static int guard_init(struct kunit *test)
{
	gf.f = fixture_memory(test);
	gf.emul = fixture_emulate(test, gf.f);
	gf.f->config.open_stock_pages = STOCK_PAGES;
	test->priv = gf.f;
	fixture_load(test, gf.f);
	return 0;
}

static u64 nr_open(const struct dpmgr_range *range)
{
	u64 pfn = PHYS_PFN(range->start), end = pfn + PHYS_PFN(range->size);
	u64 nr = 0;

	while ((pfn = dpmgr_emul_next_open(gf.emul, pfn, end)) < end) {
		nr++;
		pfn++;
	}
	return nr;
}

/* Of the private pool's memory, both ranges, and the state region. */
static u64 nr_private_open(void)
{
	return nr_open(&gf.f->private[0]) + nr_open(&gf.f->private[1]) +
	       nr_open(&gf.f->state);
}

static void inject(struct dpmgr_emul_faults faults)
{
	dpmgr_emul_inject(gf.emul, &faults);
}

/* Whatever is open is a VTL0 client's buffer, in stock, or quarantined. */
static bool is_accounted_for(u64 pfn)
{
	struct dpmgr_pages *pages = &gf.f->mgr->pools[DPMGR_PRIVATE]->pages;
	const struct dpmgr_client *client;
	const struct dpmgr_buf *buf;
	struct dpmgr_page_run run;

	switch (dpmgr_pages_look(pages, pfn, &run)) {
	case DPMGR_PAGE_QUARANTINED:
		return true;
	case DPMGR_PAGE_USED:
		buf = run.owner;
		client = buf->client;
		return buf->state == DPMGR_BUF_OPEN ||
		       (client && client->backing.guarded);
	default:
		return false;
	}
}

static void expect_all_accounted_for(struct kunit *test)
{
	unsigned int i;

	for (i = 0; gf.f->mgr && i < ARRAY_SIZE(gf.f->private); i++) {
		u64 pfn = PHYS_PFN(gf.f->private[i].start);
		u64 end = pfn + PHYS_PFN(gf.f->private[i].size);

		while ((pfn = dpmgr_emul_next_open(gf.emul, pfn, end)) < end)
			KUNIT_EXPECT_TRUE(test, is_accounted_for(pfn++));
	}
}

static void guard_exit(struct kunit *test)
{
	if (!gf.emul)
		return;
	expect_all_accounted_for(test);
	inject((struct dpmgr_emul_faults){});
	fixture_exit(test);
	/* Shared pages are nobody's to close. */
	KUNIT_EXPECT_EQ(test, nr_open(&gf.f->shared), PHYS_PFN(SHARED_SIZE));
	gf = (struct guard_fixture){};
}

static struct dpmgr_client_params vtl0_params(const char *name, bool persistent)
{
	struct dpmgr_client_params params = fixture_params(name);

	params.persistent = persistent;
	params.lower_vtl = DPMGR_LOWER_VTL_VTL0;
	return params;
}

static struct dpmgr_client *create(struct kunit *test, bool persistent)
{
	struct dpmgr_client_params params = vtl0_params("vtl0", persistent);
	struct dpmgr_client *client;

	client = dpmgr_client_create(gf.f->mgr, gf.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

static int create_error(const struct dpmgr_client_params *params)
{
	struct dpmgr_client *client;

	client = dpmgr_client_create(gf.f->mgr, gf.f->dev, params);
	if (IS_ERR(client))
		return PTR_ERR(client);
	dpmgr_client_destroy(client);
	return 0;
}

static void expect_open(struct kunit *test, const struct dpmgr_buf *buf, int mask)
{
	size_t i;

	for (i = 0; i < dpmgr_buf_nr_pages(buf); i++)
		KUNIT_EXPECT_EQ(test, mask,
				dpmgr_emul_check(gf.emul, dpmgr_buf_pfn(buf, i)));
}

static u64 calls(void)
{
	return atomic64_read(&gf.emul->vtl.open_calls) +
	       atomic64_read(&gf.emul->vtl.close_calls);
}

static void drop_stock(struct kunit *test)
{
	dpmgr_drain(gf.f->mgr);
	dpmgr_open_stock_flush(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, gf.f->mgr->vtl0.nr_open_pages, 0);
}

static void a_load_closes_what_it_finds_open(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
	fixture_unload(gf.f);
	inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = PHYS_PFN(gf.f->private[0].start) + 3,
		.nr_unclosable = 1,
	});
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_create(&gf.f->config)));
	inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = PHYS_PFN(gf.f->state.start),
		.nr_unclosable = 1,
	});
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_create(&gf.f->config)));
}

static void a_buffer_is_open_while_it_is_held(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 3 * PAGE_SIZE, "tag");

	expect_open(test, buf, RW);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 3);
	memset(dpmgr_buf_vaddr(buf), 0x5a, 3 * PAGE_SIZE);
	dpmgr_free(buf);
	/* In stock. */
	KUNIT_EXPECT_EQ(test, nr_private_open(), 3);
	KUNIT_EXPECT_EQ(test, client->nr_bufs, 0);
	KUNIT_EXPECT_EQ(test, client->nr_pages, 0);
	drop_stock(test);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, gf.f);
}

static void the_mask_is_what_the_client_asks_for(struct kunit *test)
{
	static const u32 bad[] = { DPMGR_VTL0_READ, DPMGR_VTL0_WRITE, 0x7, 0x13, 0x80000003 };
	struct dpmgr_client_params params = vtl0_params("exec", true);
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		params.vtl0_mask = bad[i];
		KUNIT_EXPECT_EQ(test, -EINVAL, create_error(&params));
	}
	params.vtl0_mask = DPMGR_VTL0_MASK_ALL;
	client = dpmgr_client_create(gf.f->mgr, gf.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	buf = fixture_alloc(test, client, 1, "tag");
	expect_open(test, buf, DPMGR_VTL_ALL);
	dpmgr_free(buf);

	/* What is in stock with another mask is none for this one. */
	dpmgr_client_destroy(client);
	client = create(test, true);
	buf = fixture_alloc(test, client, 1, "tag");
	expect_open(test, buf, RW);
	dpmgr_client_destroy(client);

	params = fixture_params("any");
	params.vtl0_mask = RW;
	KUNIT_EXPECT_EQ(test, -EINVAL, create_error(&params));
}

static void vtl0_clients_are_refused_where_vtl0_cannot_be_let_in(struct kunit *test)
{
	struct dpmgr_client_params params = vtl0_params("vtl0", true);
	enum dpmgr_isolation isolation;

	for (isolation = DPMGR_ISOLATION_NONE; isolation <= DPMGR_ISOLATION_TDX;
	     isolation++) {
		int expected = isolation < DPMGR_ISOLATION_SNP ? 0 : -EOPNOTSUPP;

		fixture_unload(gf.f);
		gf.f->config.isolation = isolation;
		fixture_load(test, gf.f);
		params.persistent = false;
		KUNIT_EXPECT_EQ(test, expected, create_error(&params));
		params.persistent = true;
		KUNIT_EXPECT_EQ(test, expected, create_error(&params));
	}
}

static void a_driver_that_goes_on_makes_no_calls(struct kunit *test)
{
	static const u32 sizes[] = { 1, 8, 100 };
	struct dpmgr_client *client = create(test, true);
	unsigned int i, round;
	u64 before;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		dpmgr_free(fixture_alloc(test, client, sizes[i] * PAGE_SIZE, "tag"));
		before = calls();
		for (round = 0; round < 100; round++) {
			struct dpmgr_buf *buf = fixture_alloc(test, client,
							      sizes[i] * PAGE_SIZE,
							      "tag");

			KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf),
							    sizes[i] * PAGE_SIZE));
			*(u8 *)dpmgr_buf_vaddr(buf) = 0xff;
			dpmgr_free(buf);
		}
		KUNIT_EXPECT_EQ(test, calls(), before);
		drop_stock(test);
	}
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, gf.f);
}

static void the_stock_is_bounded_and_can_be_off(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *bufs[STOCK_PAGES / 8 + 2];
	unsigned int i;
	u64 before;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = fixture_alloc(test, client, 8 * PAGE_SIZE, "tag");
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		dpmgr_free(bufs[i]);
	dpmgr_drain(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, nr_private_open(), STOCK_PAGES);
	dpmgr_client_destroy(client);

	fixture_unload(gf.f);
	gf.f->config.open_stock_pages = 0;
	fixture_load(test, gf.f);
	client = create(test, true);
	before = calls();
	for (i = 0; i < 10; i++) {
		dpmgr_free(fixture_alloc(test, client, PAGE_SIZE, "tag"));
		dpmgr_drain(gf.f->mgr);
	}
	KUNIT_EXPECT_EQ(test, calls() - before, 20);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, gf.f);
}

static struct dpmgr_buf *alloc_with_bad_tag(struct dpmgr_client *client, size_t size)
{
	return dpmgr_alloc(client, size, GFP_KERNEL | __GFP_NOWARN, "bad\ttag");
}

static void what_goes_back_to_the_stock_counts_again(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *bufs[STOCK_PAGES + 8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = fixture_alloc(test, client, PAGE_SIZE, "tag");
	for (i = 0; i < STOCK_PAGES; i++)
		dpmgr_free(bufs[i]);
	/* Taken out of the full stock, and returned. */
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR(alloc_with_bad_tag(client, PAGE_SIZE)));
	KUNIT_EXPECT_EQ(test, nr_private_open(), ARRAY_SIZE(bufs));
	for (i = STOCK_PAGES; i < ARRAY_SIZE(bufs); i++)
		dpmgr_free(bufs[i]);
	dpmgr_drain(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, nr_private_open(), STOCK_PAGES);
	drop_stock(test);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, gf.f);
}

static void a_stock_beyond_its_bound_takes_nothing_in(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *bufs[STOCK_PAGES];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = fixture_alloc(test, client, PAGE_SIZE, "tag");
	for (i = 0; i < ARRAY_SIZE(bufs) / 2; i++)
		dpmgr_free(bufs[i]);
	/* As if others had filled it before something was returned to it. */
	gf.f->mgr->vtl0.max_open_pages = STOCK_PAGES / 4;
	for (; i < ARRAY_SIZE(bufs); i++)
		dpmgr_free(bufs[i]);
	dpmgr_drain(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, nr_private_open(), STOCK_PAGES / 2);
	drop_stock(test);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, gf.f);
}

static void an_allocation_that_may_not_sleep_is_served_from_the_stock(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *buf;

	buf = dpmgr_alloc(client, PAGE_SIZE, GFP_ATOMIC | __GFP_NOWARN, "tag");
	KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR(buf));
	dpmgr_free(fixture_alloc(test, client, PAGE_SIZE, "tag"));
	local_irq_disable();
	buf = dpmgr_alloc(client, PAGE_SIZE, GFP_ATOMIC, "tag");
	local_irq_enable();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	expect_open(test, buf, RW);
	local_irq_disable();
	dpmgr_free(buf);
	local_irq_enable();
	dpmgr_client_destroy(client);
}

static void under_pressure_the_stock_is_given_back(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_client *plain;
	struct dpmgr_buf *buf;

	dpmgr_free(fixture_alloc(test, client, STOCK_PAGES * PAGE_SIZE, "tag"));
	KUNIT_EXPECT_EQ(test, nr_private_open(), STOCK_PAGES);
	plain = fixture_client(test, gf.f, "plain");
	buf = fixture_alloc(test, plain, gf.f->private[0].size, "all");
	KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf),
					    gf.f->private[0].size));
	KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
	dpmgr_free(buf);
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(plain);
	fixture_expect_all_free(test, gf.f);
}

/* In stock, where they take up all the room that is left in the state region. */
#define NR_CHARGED	40

static void fill_state_region(struct kunit *test, struct dpmgr_client **vtl0,
			      struct dpmgr_client **plain)
{
	struct dpmgr_buf *bufs[NR_CHARGED], *buf;
	unsigned int i;

	fixture_unload(gf.f);
	gf.f->state.size = DPMGR_REGION_MIN;
	memset(phys_to_virt(gf.f->state.start), 0, STATE_SIZE);
	fixture_load(test, gf.f);
	*vtl0 = create(test, true);
	for (i = 0; i < NR_CHARGED; i++)
		bufs[i] = fixture_alloc(test, *vtl0, PAGE_SIZE, "tag");
	*plain = fixture_client(test, gf.f, "plain");
	do {
		buf = dpmgr_alloc(*plain, 1, GFP_KERNEL | __GFP_NOWARN, "tag");
	} while (!IS_ERR(buf));
	KUNIT_EXPECT_EQ(test, -ENOSPC, PTR_ERR(buf));
	/* For want of room in the region, not of pages. */
	KUNIT_EXPECT_LT(test, fixture_used(gf.f->mgr->pools[DPMGR_PRIVATE]),
			PRIVATE_SIZE / PAGE_SIZE);
	for (i = 0; i < NR_CHARGED; i++)
		dpmgr_free(bufs[i]);
	KUNIT_EXPECT_EQ(test, nr_private_open(), NR_CHARGED);
}

static void room_that_the_stock_takes_up_serves_an_allocation(struct kunit *test)
{
	struct dpmgr_client *vtl0, *plain;

	fill_state_region(test, &vtl0, &plain);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_alloc(plain, 1, GFP_KERNEL, "tag"));
	KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
	dpmgr_client_destroy(vtl0);
	dpmgr_client_destroy(plain);
}

static void room_that_the_stock_takes_up_serves_a_new_client(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("newcomer");
	struct dpmgr_client *vtl0, *plain;

	fill_state_region(test, &vtl0, &plain);
	KUNIT_EXPECT_EQ(test, 0, create_error(&params));
	KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
	dpmgr_client_destroy(vtl0);
	dpmgr_client_destroy(plain);
}

static void an_opening_that_fails_leaves_nothing_open(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_client *locked;
	struct dpmgr_client_params params = vtl0_params("locked", false);
	struct dpmgr_buf *buf;
	unsigned int page;

	locked = dpmgr_client_create(gf.f->mgr, gf.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, locked);
	for (page = 1; page <= 100; page += 11) {
		struct dpmgr_client *which = page % 2 ? client : locked;

		inject((struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_ACCESS_DENIED,
			.page = page,
			.nr_attempts = 1,
		});
		buf = dpmgr_alloc(which, 100 * PAGE_SIZE,
				  GFP_KERNEL | __GFP_NOWARN, "tag");
		KUNIT_EXPECT_EQ(test, -EACCES, PTR_ERR_OR_ZERO(buf));
		KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
		KUNIT_EXPECT_EQ(test, which->nr_pages, 0);
	}
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(locked);
	fixture_expect_all_free(test, gf.f);
}

static void a_hypervisor_without_memory_fails_the_allocation(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *buf;

	inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_INSUFFICIENT_MEMORY,
		.nr_calls = U64_MAX,
	});
	buf = dpmgr_alloc(client, PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN, "tag");
	KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR_OR_ZERO(buf));
	inject((struct dpmgr_emul_faults){});
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, gf.f);
}

static void what_is_freed_after_the_save_is_still_open(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 2 * PAGE_SIZE, "tag");

	dpmgr_servicing_prepare(gf.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(gf.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_free(buf);
	dpmgr_guard_shutdown(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 2);
	dpmgr_client_destroy(client);
	fixture_unload(gf.f);
	fixture_load(test, gf.f);
	client = create(test, true);
	buf = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	expect_open(test, buf, RW);
	dpmgr_free(buf);
	dpmgr_client_destroy(client);
}

static u64 nr_quarantined(void)
{
	struct dpmgr_pages *pages = &gf.f->mgr->pools[DPMGR_PRIVATE]->pages;
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
	struct dpmgr_pages *pages = &gf.f->mgr->pools[DPMGR_PRIVATE]->pages;
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 20 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 5);
	unsigned int i;

	inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = pfn,
		.nr_unclosable = 3,
	});
	dpmgr_free(buf);
	drop_stock(test);
	KUNIT_EXPECT_EQ(test, nr_quarantined(), 3);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 3);
	KUNIT_EXPECT_EQ(test, fixture_used(gf.f->mgr->pools[DPMGR_PRIVATE]), 0);
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(pages, true));
	for (i = 0; i < 2; i++) {
		fixture_kexec(test, gf.f, client, NULL);
		client = NULL;
		KUNIT_EXPECT_EQ(test, nr_quarantined(), 3);
		KUNIT_EXPECT_EQ(test, nr_private_open(), 3);
	}
	client = create(test, true);
	buf = dpmgr_alloc(client, gf.f->private[0].size,
			  GFP_KERNEL | __GFP_NOWARN, "all");
	KUNIT_EXPECT_EQ(test, -ENOSPC, PTR_ERR_OR_ZERO(buf));
	dpmgr_client_destroy(client);
}

static void a_roll_back_that_fails_quarantines_too(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 20 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 0);

	dpmgr_free(buf);
	drop_stock(test);
	/* The same pages again: all open but the last, and the first sticks. */
	inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.page = 20,
		.nr_attempts = 1,
		.unclosable_pfn = pfn,
		.nr_unclosable = 1,
	});
	buf = dpmgr_alloc(client, 20 * PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN, "tag");
	KUNIT_EXPECT_LT(test, PTR_ERR_OR_ZERO(buf), 0);
	KUNIT_EXPECT_EQ(test, nr_quarantined(), 1);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 1);
	KUNIT_EXPECT_EQ(test, fixture_used(gf.f->mgr->pools[DPMGR_PRIVATE]), 0);
	KUNIT_EXPECT_EQ(test, client->nr_pages, 0);
	dpmgr_client_destroy(client);
}

static void locked_pages_that_cannot_be_closed_are_kept(struct kunit *test)
{
	struct dpmgr_client *client = create(test, false);
	struct dpmgr_buf *buf = fixture_alloc(test, client, 4 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 1);
	struct page *page = pfn_to_page(pfn);

	expect_open(test, buf, RW);
	inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = pfn,
		.nr_unclosable = 1,
	});
	dpmgr_free(buf);
	dpmgr_drain(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, gf.f->mgr->vtl0.nr_kept, 1);
	KUNIT_EXPECT_EQ(test, page_count(page), 1);
	/* The end of the kernel tries again. */
	inject((struct dpmgr_emul_faults){});
	dpmgr_guard_shutdown(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(gf.emul, pfn));
	dpmgr_client_destroy(client);
	__free_page(page);
}

static void open_buffers_are_open_in_the_next_kernel_and_nothing_else(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);
	struct dpmgr_client *locked;
	struct dpmgr_client_params params = vtl0_params("locked", false);
	struct dpmgr_buf *keep, *late, *gone;
	u64 pfn, locked_pfn;

	locked = dpmgr_client_create(gf.f->mgr, gf.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, locked);
	keep = fixture_alloc(test, client, 4 * PAGE_SIZE, "keep");
	late = fixture_alloc(test, client, 2 * PAGE_SIZE, "late");
	dpmgr_free(fixture_alloc(test, client, PAGE_SIZE, "in stock"));
	gone = fixture_alloc(test, locked, PAGE_SIZE, "locked");
	pfn = dpmgr_buf_pfn(keep, 0);
	locked_pfn = dpmgr_buf_pfn(gone, 0);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(gf.f->mgr));
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_alloc(client, 1, GFP_KERNEL,
							  "frozen")));
	/* Too late to be closed: must be, by the next kernel. */
	dpmgr_free(late);
	dpmgr_servicing_prepare(gf.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(gf.f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_EQ(test, nr_private_open(), 6);
	dpmgr_guard_shutdown(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 6);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(gf.emul, locked_pfn));
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(locked);
	fixture_unload(gf.f);

	/* Without a backend nobody could close them. */
	gf.f->config.vtl = NULL;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
			PTR_ERR_OR_ZERO(dpmgr_create(&gf.f->config)));
	gf.f->config.vtl = &gf.emul->vtl;

	fixture_load(test, gf.f);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 4);
	params = vtl0_params("vtl0", true);
	params.vtl0_mask = DPMGR_VTL0_MASK_ALL;
	KUNIT_EXPECT_EQ(test, -EINVAL, create_error(&params));
	client = create(test, true);
	keep = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, keep);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_pfn(keep, 0), pfn);
	expect_open(test, keep, RW);
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_next(client)));
	dpmgr_free(keep);
	drop_stock(test);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, gf.f);
}

static void a_restart_that_is_no_kexec_closes_all(struct kunit *test)
{
	struct dpmgr_client *client = create(test, true);

	fixture_alloc(test, client, 4 * PAGE_SIZE, "tag");
	dpmgr_servicing_reboot(gf.f->mgr, SYS_RESTART, NULL);
	dpmgr_guard_shutdown(gf.f->mgr);
	KUNIT_EXPECT_EQ(test, nr_private_open(), 0);
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
		client = create(test, false);
		for (i = 0; i < ARRAY_SIZE(bufs); i++) {
			bufs[i] = fixture_alloc(test, client, 16 * PAGE_SIZE, "tag");
			pfns[i] = dpmgr_buf_pfn(bufs[i], 0);
		}
		/* So that the worker takes them all up at once; and it has begun. */
		scoped_guard(mutex, &gf.f->mgr->drain_lock)
			for (i = 0; i < ARRAY_SIZE(bufs); i++)
				dpmgr_free(bufs[i]);
		while (!llist_empty(&gf.f->mgr->draining))
			cond_resched();
		dpmgr_guard_shutdown(gf.f->mgr);
		for (i = 0; i < ARRAY_SIZE(bufs); i++)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(gf.emul, pfns[i]));
		dpmgr_client_destroy(client);
		fixture_expect_all_free(test, gf.f);
		fixture_unload(gf.f);
		fixture_load(test, gf.f);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_load_closes_what_it_finds_open),
	KUNIT_CASE(a_buffer_is_open_while_it_is_held),
	KUNIT_CASE(the_mask_is_what_the_client_asks_for),
	KUNIT_CASE(vtl0_clients_are_refused_where_vtl0_cannot_be_let_in),
	KUNIT_CASE(a_driver_that_goes_on_makes_no_calls),
	KUNIT_CASE(the_stock_is_bounded_and_can_be_off),
	KUNIT_CASE(what_goes_back_to_the_stock_counts_again),
	KUNIT_CASE(a_stock_beyond_its_bound_takes_nothing_in),
	KUNIT_CASE(an_allocation_that_may_not_sleep_is_served_from_the_stock),
	KUNIT_CASE(under_pressure_the_stock_is_given_back),
	KUNIT_CASE(room_that_the_stock_takes_up_serves_an_allocation),
	KUNIT_CASE(room_that_the_stock_takes_up_serves_a_new_client),
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
