// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounces: where they come from, and what is left in them; when there are none.
 */
#include <linux/kmsg_dump.h>
#include <linux/mm.h>

#include "stream_fixture.h"

static void what_is_left_in_a_bounce_is_scrubbed(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, test->param_value);
	struct fixture *f = test->priv;
	const u8 *pool = phys_to_virt(f->shared.start);
	u8 *bytes = stream_memory(test, SZ_256K);
	static const size_t sizes[] = { 1, 5000, SZ_64K, SZ_256K };
	unsigned int i;

	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_SHARED]))
		;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t size = sizes[i] - 3 * !!i;
		struct dpmgr_stream *stream = stream_map(test, client, bytes + 3, size,
							 DMA_TO_DEVICE);

		KUNIT_EXPECT_FALSE(test, is_all_zero(pool, f->shared.size));
		dpmgr_stream_free(stream);
		/* The long one is a worker's. */
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_TRUE(test, is_all_zero(pool, f->shared.size));
	}
	stream_unload(test, client);
}

static void without_a_shared_pool_nothing_bounces_and_the_log_names_it(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct kmsg_dump_iter log;
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	bool said = false;
	unsigned int i;

	f->config.isolation = platform->isolation;
	f->config.vtom_bit = platform->vtom_bit;
	f->config.nr_ranges[DPMGR_SHARED] = 0;
	fixture_load(test, f);
	client = fixture_client(test, f, "client");
	if (platform->low_mask)
		f->streaming_mask = PAGE_SIZE - 1;
	kmsg_dump_rewind(&log);
	while (kmsg_dump_get_line(&log, false, NULL, 0, NULL))
		;
	/* Such messages are held back for five seconds at most. */
	for (i = 0; i < 100 && !said; i++) {
		stream_expect_map(test, client, -EOPNOTSUPP, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
		said = stream_log_says(&log, "no shared pool; load with shared=");
		if (!said)
			msleep(100);
	}
	KUNIT_EXPECT_TRUE(test, said);
	dpmgr_client_destroy(client);
}

static void a_pool_out_of_the_devices_reach_is_no_help(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct fixture *f = test->priv;

	f->streaming_mask = f->shared.start - 1;
	stream_expect_map(test, client, -EOPNOTSUPP, phys_to_virt(f->shared.start), 1,
			  DMA_TO_DEVICE, GFP_KERNEL);
	stream_unload(test, client);
}

static void an_exhausted_pool_is_told_and_nothing_is_half_mapped(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, test->param_value);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, SHARED_SIZE + 1);
	static struct dpmgr_stream *streams[SHARED_SIZE / PAGE_SIZE + 1];
	unsigned int nr;

	stream_expect_map(test, client, -E2BIG, bytes, SHARED_SIZE + 1, DMA_TO_DEVICE, GFP_KERNEL);
	for (nr = 0; nr < ARRAY_SIZE(streams); nr++) {
		streams[nr] = dpmgr_stream_map(client, bytes + nr * PAGE_SIZE, PAGE_SIZE,
					       DMA_TO_DEVICE, GFP_KERNEL);
		if (IS_ERR(streams[nr]))
			break;
	}
	KUNIT_ASSERT_EQ(test, nr, SHARED_SIZE / PAGE_SIZE);
	stream_expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	stream_expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	KUNIT_EXPECT_EQ(test, -ENOSPC, PTR_ERR(dpmgr_stream_alloc(client, 1, DMA_TO_DEVICE,
								  GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, fixture_used(f->mgr->pools[DPMGR_SHARED]), nr);
	dpmgr_stream_free(streams[--nr]);
	streams[nr] = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
	nr++;
	while (nr--)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[nr]));
	stream_unload(test, client);
}

/* What streams keep in stock is not missing elsewhere. */
static void a_buffer_gets_the_pages_that_streams_have_in_stock(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("shared");
	static const gfp_t gfps[] = { GFP_KERNEL, GFP_ATOMIC };
	struct dpmgr_client *client, *shared;
	struct dpmgr_stream *stream;
	struct dpmgr_buf *buf;
	unsigned int i;
	u8 *bytes = stream_memory(test, PAGE_SIZE);

	client = stream_load(test, &stream_bouncing[0]);
	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	shared = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shared);
	for (i = 0; i < ARRAY_SIZE(gfps); i++) {
		stream = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
		dpmgr_stream_free(stream);
		buf = dpmgr_alloc(shared, SHARED_SIZE, gfps[i], "all");
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, buf);
		dpmgr_free(buf);
		dpmgr_drain(f->mgr);
	}
	dpmgr_client_destroy(shared);
	stream_unload(test, client);
}

#define BIG_SIZE	SZ_4M

static void free_big_pool(void *data)
{
	free_pages_exact(data, BIG_SIZE);
}

/* A large pool has stocks: the same pages come again, clean, if the device reaches them. */
static void bounces_come_from_a_stock_of_their_length(struct kunit *test)
{
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, 4 * PAGE_SIZE);
	void *pool = alloc_pages_exact(BIG_SIZE, GFP_KERNEL);
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	unsigned int i, nr_again = 0;
	dma_addr_t last = 0;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_big_pool, pool));
	f->shared.start = virt_to_phys(pool);
	f->shared.size = BIG_SIZE;
	client = stream_load(test, &stream_bouncing[0]);
	for (i = 0; i < 100; i++) {
		stream = stream_map(test, client, bytes, 3 * PAGE_SIZE, DMA_FROM_DEVICE);
		nr_again += dpmgr_stream_dma_addr(stream, 0, NULL) == last;
		last = dpmgr_stream_dma_addr(stream, 0, NULL);
		KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), 3 * PAGE_SIZE));
		memset(device(stream, 0), 0xdd, 3 * PAGE_SIZE);
		dpmgr_stream_free(stream);
	}
	/* It may have moved to another CPU meanwhile. */
	KUNIT_EXPECT_GT(test, nr_again, 50);
	f->streaming_mask = last - 1;
	stream = dpmgr_stream_map(client, bytes, 3 * PAGE_SIZE, DMA_FROM_DEVICE, GFP_KERNEL);
	if (!IS_ERR(stream))
		KUNIT_EXPECT_LT(test, dpmgr_stream_dma_addr(stream, 0, NULL), last);
	else
		KUNIT_EXPECT_EQ(test, PTR_ERR(stream), -EOPNOTSUPP);
	dpmgr_stream_free(stream);
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	BOUNCING(what_is_left_in_a_bounce_is_scrubbed),
	BOUNCING(without_a_shared_pool_nothing_bounces_and_the_log_names_it),
	KUNIT_CASE(a_pool_out_of_the_devices_reach_is_no_help),
	BOUNCING(an_exhausted_pool_is_told_and_nothing_is_half_mapped),
	KUNIT_CASE(a_buffer_gets_the_pages_that_streams_have_in_stock),
	KUNIT_CASE(bounces_come_from_a_stock_of_their_length),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_bounce",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
