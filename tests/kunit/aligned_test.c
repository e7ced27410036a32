// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers that are aligned, wherever they come from.
 */
#include <linux/align.h>
#include <linux/log2.h>
#include <linux/mm.h>

#include "guard.h"
#include "guard_fixture.h"

static struct dpmgr_client *create(struct kunit *test, enum dpmgr_lower_vtl lower_vtl,
				   bool persistent)
{
	struct dpmgr_client_params params = fixture_params("client");
	struct dpmgr_client *client;

	params.lower_vtl = lower_vtl;
	params.persistent = persistent;
	client = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

static struct dpmgr_buf *alloc(struct kunit *test, struct dpmgr_client *client, size_t size,
			       size_t align, gfp_t gfp)
{
	struct dpmgr_buf *buf = dpmgr_alloc_aligned(client, size, align, gfp, "aligned");

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(dpmgr_buf_dma_addr(buf), align));
	KUNIT_EXPECT_EQ(test, dpmgr_buf_size(buf), size);
	KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf), size));
	return buf;
}

/* Between single pages, so that an aligned run is not what comes next. */
static void take_and_give_back(struct kunit *test, struct dpmgr_client *client, gfp_t gfp)
{
	struct dpmgr_buf *aligned[12], *between[12];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(aligned); i++) {
		size_t size = (1 + i % 5) * PAGE_SIZE - 5;

		between[i] = fixture_alloc(test, client, 1, "between");
		aligned[i] = alloc(test, client, size, roundup_pow_of_two(size), gfp);
		KUNIT_EXPECT_TRUE(test, dpmgr_buf_is_contiguous(aligned[i]));
	}
	for (i = 0; i < ARRAY_SIZE(aligned); i++) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_free(aligned[i]));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_free(between[i]));
	}
	/* More than the length, and less than a page. */
	dpmgr_free(alloc(test, client, PAGE_SIZE, 16 * PAGE_SIZE, gfp));
	dpmgr_free(alloc(test, client, 3 * PAGE_SIZE, 8, gfp));
}

static void buffers_of_a_pool_are_aligned(struct kunit *test)
{
	struct dpmgr_client *client = create(test, DPMGR_LOWER_VTL_ANY, true);

	while (dpmgr_pool_scrub(client->backing.pool))
		;
	take_and_give_back(test, client, GFP_KERNEL);
	take_and_give_back(test, client, GFP_ATOMIC);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static void buffers_of_locked_pages_are_aligned(struct kunit *test)
{
	struct dpmgr_client *client = create(test, DPMGR_LOWER_VTL_ANY, false);
	const size_t most = PAGE_SIZE << MAX_PAGE_ORDER;

	take_and_give_back(test, client, GFP_KERNEL);
	take_and_give_back(test, client, GFP_ATOMIC);
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			PTR_ERR_OR_ZERO(dpmgr_alloc_aligned(client, 1, 2 * most,
							    GFP_KERNEL | __GFP_NOWARN, "tag")));
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			PTR_ERR_OR_ZERO(dpmgr_alloc_aligned(client, most + 1, 2 * PAGE_SIZE,
							    GFP_KERNEL | __GFP_NOWARN, "tag")));
	/* Without more than a page asked for, it comes in pieces. */
	dpmgr_free(alloc(test, client, most + 1, PAGE_SIZE, GFP_KERNEL));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

/* What is in stock is not for a request that it isn't aligned for. */
static void buffers_that_stay_open_are_aligned(struct kunit *test)
{
	struct dpmgr_client *client = create(test, DPMGR_LOWER_VTL_VTL0, true);
	struct dpmgr_buf *bufs[4];
	unsigned int i;

	take_and_give_back(test, client, GFP_KERNEL);
	guard_drop_stock(test);
	/* Side by side: one in four at most is aligned so. */
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = fixture_alloc(test, client, 2 * PAGE_SIZE, "tag");
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		dpmgr_free(bufs[i]);
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = alloc(test, client, 2 * PAGE_SIZE, 8 * PAGE_SIZE, GFP_KERNEL);
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		dpmgr_free(bufs[i]);
	dpmgr_client_destroy(client);
	guard_drop_stock(test);
	fixture_expect_all_free(test, guarded.f);
}

static void an_alignment_that_cannot_be_is_refused(struct kunit *test)
{
	static const size_t bad[] = {
		0, 3, PAGE_SIZE + 1, 3 * PAGE_SIZE, SIZE_MAX, PAGE_SIZE << 32,
	};
	static const char * const parts[] = { "align must be a power of two", NULL };
	struct dpmgr_client *client = create(test, DPMGR_LOWER_VTL_ANY, true);
	struct kmsg_dump_iter log;
	unsigned int i, tries = 0;
	bool is_told;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR_OR_ZERO(dpmgr_alloc_aligned(client, 1, bad[i],
								    GFP_KERNEL, "tag")));
	/* The log's rate is limited. */
	do {
		fixture_log_start(&log);
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR_OR_ZERO(dpmgr_alloc_aligned(client, 1, 3, GFP_KERNEL,
								    "tag")));
		is_told = fixture_log_has(test, &log, parts);
	} while (!is_told && ++tries < 100 && !msleep_interruptible(100));
	KUNIT_EXPECT_TRUE(test, is_told);
	/* There is no such page here. */
	KUNIT_EXPECT_EQ(test, -ENOSPC,
			PTR_ERR_OR_ZERO(dpmgr_alloc_aligned(client, 1, PAGE_SIZE << 31,
							    GFP_KERNEL | __GFP_NOWARN, "tag")));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, guarded.f);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(buffers_of_a_pool_are_aligned),
	KUNIT_CASE(buffers_of_locked_pages_are_aligned),
	KUNIT_CASE(buffers_that_stay_open_are_aligned),
	KUNIT_CASE(an_alignment_that_cannot_be_is_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_aligned",
	.init = guard_init,
	.exit = guard_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
