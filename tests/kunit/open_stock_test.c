// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stock of pages that stay open to VTL0 between one buffer and the next.
 */
#include <linux/io.h>

#include "guard.h"
#include "guard_fixture.h"

static void a_driver_that_goes_on_makes_no_calls(struct kunit *test)
{
	static const u32 sizes[] = { 1, 8, 100 };
	struct dpmgr_client *client = guard_create(test, true);
	unsigned int i, round;
	u64 before;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		dpmgr_free(fixture_alloc(test, client, sizes[i] * PAGE_SIZE, "tag"));
		before = guard_nr_calls();
		for (round = 0; round < 100; round++) {
			struct dpmgr_buf *buf = fixture_alloc(test, client,
							      sizes[i] * PAGE_SIZE,
							      "tag");

			KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf),
							    sizes[i] * PAGE_SIZE));
			*(u8 *)dpmgr_buf_vaddr(buf) = 0xff;
			dpmgr_free(buf);
		}
		KUNIT_EXPECT_EQ(test, guard_nr_calls(), before);
		guard_drop_stock(test);
	}
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static void the_stock_is_bounded_and_can_be_off(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *bufs[STOCK_PAGES / 8 + 2];
	unsigned int i;
	u64 before;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = fixture_alloc(test, client, 8 * PAGE_SIZE, "tag");
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		dpmgr_free(bufs[i]);
	dpmgr_drain(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), STOCK_PAGES);
	dpmgr_client_destroy(client);

	fixture_unload(guarded.f);
	guarded.f->config.open_stock_pages = 0;
	fixture_load(test, guarded.f);
	client = guard_create(test, true);
	before = guard_nr_calls();
	for (i = 0; i < 10; i++) {
		dpmgr_free(fixture_alloc(test, client, PAGE_SIZE, "tag"));
		dpmgr_drain(guarded.f->mgr);
	}
	KUNIT_EXPECT_EQ(test, guard_nr_calls() - before, 20);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static struct dpmgr_buf *alloc_with_bad_tag(struct dpmgr_client *client, size_t size)
{
	return dpmgr_alloc(client, size, GFP_KERNEL | __GFP_NOWARN, "bad\ttag");
}

static void what_goes_back_to_the_stock_counts_again(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
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
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), ARRAY_SIZE(bufs));
	for (i = STOCK_PAGES; i < ARRAY_SIZE(bufs); i++)
		dpmgr_free(bufs[i]);
	dpmgr_drain(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), STOCK_PAGES);
	guard_drop_stock(test);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static void a_stock_beyond_its_bound_takes_nothing_in(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *bufs[STOCK_PAGES];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = fixture_alloc(test, client, PAGE_SIZE, "tag");
	for (i = 0; i < ARRAY_SIZE(bufs) / 2; i++)
		dpmgr_free(bufs[i]);
	/* As if others had filled it before something was returned to it. */
	guarded.f->mgr->vtl0.max_open_pages = STOCK_PAGES / 4;
	for (; i < ARRAY_SIZE(bufs); i++)
		dpmgr_free(bufs[i]);
	dpmgr_drain(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), STOCK_PAGES / 2);
	guard_drop_stock(test);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static void an_allocation_that_may_not_sleep_is_served_from_the_stock(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *buf;

	buf = dpmgr_alloc(client, PAGE_SIZE, GFP_ATOMIC | __GFP_NOWARN, "tag");
	KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR(buf));
	dpmgr_free(fixture_alloc(test, client, PAGE_SIZE, "tag"));
	local_irq_disable();
	buf = dpmgr_alloc(client, PAGE_SIZE, GFP_ATOMIC, "tag");
	local_irq_enable();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	guard_expect_open(test, buf, RW);
	local_irq_disable();
	dpmgr_free(buf);
	local_irq_enable();
	dpmgr_client_destroy(client);
}

static void under_pressure_the_stock_is_given_back(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_client *plain;
	struct dpmgr_buf *buf;

	dpmgr_free(fixture_alloc(test, client, STOCK_PAGES * PAGE_SIZE, "tag"));
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), STOCK_PAGES);
	plain = fixture_client(test, guarded.f, "plain");
	buf = fixture_alloc(test, plain, guarded.f->private[0].size, "all");
	KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf),
					    guarded.f->private[0].size));
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	dpmgr_free(buf);
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(plain);
	fixture_expect_all_free(test, guarded.f);
}

/* In stock, where they take up all the room that is left in the state region. */
#define NR_CHARGED	40

static void fill_state_region(struct kunit *test, struct dpmgr_client **vtl0,
			      struct dpmgr_client **plain)
{
	struct dpmgr_buf *bufs[NR_CHARGED], *buf;
	unsigned int i;

	fixture_unload(guarded.f);
	guarded.f->state.size = DPMGR_REGION_MIN;
	memset(phys_to_virt(guarded.f->state.start), 0, STATE_SIZE);
	fixture_load(test, guarded.f);
	*vtl0 = guard_create(test, true);
	for (i = 0; i < NR_CHARGED; i++)
		bufs[i] = fixture_alloc(test, *vtl0, PAGE_SIZE, "tag");
	*plain = fixture_client(test, guarded.f, "plain");
	do {
		buf = dpmgr_alloc(*plain, 1, GFP_KERNEL | __GFP_NOWARN, "tag");
	} while (!IS_ERR(buf));
	KUNIT_EXPECT_EQ(test, -ENOSPC, PTR_ERR(buf));
	/* For want of room in the region, not of pages. */
	KUNIT_EXPECT_LT(test, fixture_used(guarded.f->mgr->pools[DPMGR_PRIVATE]),
			PRIVATE_SIZE / PAGE_SIZE);
	for (i = 0; i < NR_CHARGED; i++)
		dpmgr_free(bufs[i]);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), NR_CHARGED);
}

static void room_that_the_stock_takes_up_serves_an_allocation(struct kunit *test)
{
	struct dpmgr_client *vtl0, *plain;

	fill_state_region(test, &vtl0, &plain);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_alloc(plain, 1, GFP_KERNEL, "tag"));
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	dpmgr_client_destroy(vtl0);
	dpmgr_client_destroy(plain);
}

static void room_that_the_stock_takes_up_serves_a_new_client(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("newcomer");
	struct dpmgr_client *vtl0, *plain;

	fill_state_region(test, &vtl0, &plain);
	KUNIT_EXPECT_EQ(test, 0, guard_create_error(&params));
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	dpmgr_client_destroy(vtl0);
	dpmgr_client_destroy(plain);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_driver_that_goes_on_makes_no_calls),
	KUNIT_CASE(the_stock_is_bounded_and_can_be_off),
	KUNIT_CASE(what_goes_back_to_the_stock_counts_again),
	KUNIT_CASE(a_stock_beyond_its_bound_takes_nothing_in),
	KUNIT_CASE(an_allocation_that_may_not_sleep_is_served_from_the_stock),
	KUNIT_CASE(under_pressure_the_stock_is_given_back),
	KUNIT_CASE(room_that_the_stock_takes_up_serves_an_allocation),
	KUNIT_CASE(room_that_the_stock_takes_up_serves_a_new_client),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_open_stock",
	.init = guard_init,
	.exit = guard_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
