// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool that bounces come from: what CPUs keep of it in stock, and what is found when
 * it is nearly exhausted.
 */
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/pfn.h>
#include <linux/sched.h>

#include "stream_fixture.h"

static const gfp_t gfps[] = { GFP_KERNEL, GFP_ATOMIC };

/* Clean, and its stocks empty. */
static struct dpmgr_client *load_big_pool(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	stream_take_big_pool(test);
	client = stream_load(test, &stream_bouncing[0]);
	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_SHARED]))
		;
	return client;
}

static void run_anywhere(void *unused)
{
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

static void run_on(struct kunit *test, unsigned int cpu)
{
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(cpu)));
}

static u32 nr_in_stocks(const struct dpmgr *mgr)
{
	u32 nr = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		nr += per_cpu_ptr(mgr->streams.homes, cpu)->nr_pages;
	return nr;
}

/* The same pages come again, clean, if the device reaches them. */
static void bounces_come_from_a_stock_of_their_length(struct kunit *test)
{
	u8 *bytes = PTR_ALIGN(stream_memory(test, SZ_32K), PAGE_SIZE);
	struct dpmgr_client *client = load_big_pool(test);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream, *before;
	unsigned int i, nr_again = 0;
	dma_addr_t last = 0;

	before = stream_map(test, client, bytes, 4 * PAGE_SIZE, DMA_FROM_DEVICE);
	for (i = 0; i < 100; i++) {
		stream = stream_map(test, client, bytes, 3 * PAGE_SIZE, DMA_FROM_DEVICE);
		nr_again += dpmgr_stream_dma_addr(stream, 0, NULL) == last;
		last = dpmgr_stream_dma_addr(stream, 0, NULL);
		KUNIT_EXPECT_EQ(test, stream->bounce_buf->nr_pages, 4);
		KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), 3 * PAGE_SIZE));
		memset(device(stream, 0), 0xdd, 3 * PAGE_SIZE);
		dpmgr_stream_free(stream);
	}
	/* It may have moved to another CPU meanwhile. */
	KUNIT_EXPECT_GT(test, nr_again, 50);
	KUNIT_EXPECT_GE(test, nr_in_stocks(f->mgr), 4);
	/* All that is reached of the last is three pages: it is no help as it is. */
	f->streaming_mask = last + 4 * PAGE_SIZE - 2;
	stream = stream_map(test, client, bytes, 3 * PAGE_SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_LE(test, PFN_PHYS(stream->bounce_buf->base_pfn +
				       stream->bounce_buf->nr_pages), f->streaming_mask + 1);
	KUNIT_EXPECT_LE(test, dpmgr_stream_dma_addr(stream, 3 * PAGE_SIZE - 1, NULL),
			f->streaming_mask);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(before));
	/* Nor is any, of whatever length, to who reaches none. */
	f->streaming_mask = f->shared.start + PAGE_SIZE - 2;
	for (i = 1; i <= 4; i++)
		stream_expect_map(test, client, -EOPNOTSUPP, bytes, i * PAGE_SIZE,
				  DMA_FROM_DEVICE, GFP_KERNEL);
	stream_unload(test, client);
}

static void stocks_have_a_sixteenth_of_the_pool_at_most(struct kunit *test)
{
	enum { NR = 64 };
	struct dpmgr_client *client = load_big_pool(test);
	struct dpmgr_stream *streams[NR];
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, 8 * PAGE_SIZE);
	unsigned int i, nr_pages;
	int cpu;

	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, run_anywhere, NULL));
	for (nr_pages = 1; nr_pages <= 8; nr_pages *= 2) {
		for_each_online_cpu(cpu) {
			run_on(test, cpu);
			for (i = 0; i < NR; i++)
				streams[i] = stream_map(test, client, bytes, nr_pages * PAGE_SIZE,
							DMA_TO_DEVICE);
			for (i = 0; i < NR; i++)
				KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[i]));
			KUNIT_EXPECT_LE(test, 16 * nr_in_stocks(f->mgr),
					STREAM_BIG_SIZE / PAGE_SIZE);
		}
		/* All else is the pool's again. */
		KUNIT_EXPECT_GT(test, nr_in_stocks(f->mgr), 0);
		KUNIT_EXPECT_EQ(test, nr_in_stocks(f->mgr),
				fixture_used(f->mgr->pools[DPMGR_SHARED]));
	}
	stream_unload(test, client);
}

/* A buffer has all the others, so that these are no more than what is asked for. */
static struct dpmgr_buf *leave_pages(struct kunit *test, struct dpmgr_client *shared,
				     unsigned int nr_left)
{
	struct fixture *f = test->priv;

	return fixture_alloc(test, shared, f->shared.size - nr_left * PAGE_SIZE, "all but some");
}

/* Fewer than a stock would take. */
static void the_last_pages_of_the_pool_are_enough(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_bouncing[0]);
	struct dpmgr_client *shared = stream_client(test, "shared", DPMGR_SHARED, false);
	u8 *bytes = PTR_ALIGN(stream_memory(test, SZ_64K), PAGE_SIZE);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;
	struct dpmgr_buf *buf;
	unsigned int nr, i;

	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_SHARED]))
		;
	for (nr = 1; nr <= 7; nr++) {
		buf = leave_pages(test, shared, nr);
		for (i = 0; i < ARRAY_SIZE(gfps); i++) {
			stream_expect_map(test, client, -ENOSPC, bytes, nr * PAGE_SIZE + 1,
					  DMA_TO_DEVICE, gfps[i]);
			stream = dpmgr_stream_map(client, bytes, nr * PAGE_SIZE, DMA_TO_DEVICE,
						  gfps[i]);
			KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
			stream_expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, gfps[i]);
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		}
		dpmgr_free(buf);
		dpmgr_drain(f->mgr);
	}
	dpmgr_client_destroy(shared);
	stream_unload(test, client);
}

/* Of another CPU, and of another length. */
static void what_is_in_stock_is_had_before_a_bounce_is_refused(struct kunit *test)
{
	enum { NR = 4 };
	struct dpmgr_client *client = load_big_pool(test);
	struct dpmgr_client *shared = stream_client(test, "shared", DPMGR_SHARED, false);
	u8 *bytes = PTR_ALIGN(stream_memory(test, SZ_32K), PAGE_SIZE);
	const unsigned int last = cpumask_last(cpu_online_mask);
	struct fixture *f = test->priv;
	struct dpmgr_stream *streams[NR], *stream;
	struct dpmgr_buf *buf;
	unsigned int i, n;

	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, run_anywhere, NULL));
	for (i = 0; i < ARRAY_SIZE(gfps); i++) {
		run_on(test, 0);
		for (n = 0; n < NR; n++)
			streams[n] = stream_map(test, client, bytes, PAGE_SIZE, DMA_TO_DEVICE);
		for (n = 0; n < NR; n++)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[n]));
		buf = leave_pages(test, shared, NR);
		KUNIT_ASSERT_EQ(test, nr_in_stocks(f->mgr), NR);
		run_on(test, last);
		stream = dpmgr_stream_map(client, bytes, NR * PAGE_SIZE, DMA_TO_DEVICE, gfps[i]);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		dpmgr_free(buf);
		dpmgr_drain(f->mgr);
		dpmgr_streams_flush(f->mgr);
	}
	dpmgr_client_destroy(shared);
	stream_unload(test, client);
}

/* Neither another pool's pages nor room in a quota are in stock. */
static void nobody_else_empties_the_stocks(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("with-quota");
	struct dpmgr_client *client = load_big_pool(test);
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct fixture *f = test->priv;
	struct dpmgr_client *shared;
	struct dpmgr_buf *bufs[64];
	unsigned int i, n;

	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	params.quota = 1;
	shared = stream_create(test, &stream_bouncing[0], &params);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream_map(test, client, bytes, 1,
							      DMA_TO_DEVICE)));
	KUNIT_EXPECT_GT(test, nr_in_stocks(f->mgr), 0);
	for (i = 0; i < ARRAY_SIZE(gfps); i++) {
		KUNIT_EXPECT_EQ(test, -EDQUOT, PTR_ERR(dpmgr_alloc(shared, 2 * PAGE_SIZE, gfps[i],
								   "tag")));
		KUNIT_EXPECT_GT(test, nr_in_stocks(f->mgr), 0);
		/* All of the private pool, and one more. */
		for (n = 0; n < ARRAY_SIZE(bufs); n++) {
			bufs[n] = dpmgr_alloc(client, client->max_pages * PAGE_SIZE, gfps[i],
					      "all");
			if (IS_ERR(bufs[n]))
				break;
		}
		KUNIT_EXPECT_LT(test, n, ARRAY_SIZE(bufs));
		KUNIT_EXPECT_GT(test, nr_in_stocks(f->mgr), 0);
		while (n--)
			dpmgr_free(bufs[n]);
		dpmgr_drain(f->mgr);
	}
	dpmgr_client_destroy(shared);
	stream_unload(test, client);
}

/* As if it had just been loaded: nothing of the pool is clean yet. */
static void make_all_dirty(struct kunit *test, struct dpmgr_pool *pool)
{
	struct fixture *f = test->priv;
	const struct dpmgr_page_range_info info = {
		.base_pfn = PHYS_PFN(f->shared.start),
		.nr_pages = PHYS_PFN(f->shared.size),
		.node = NUMA_NO_NODE,
		.persistent = true,
	};

	dpmgr_pages_destroy(&pool->pages);
	KUNIT_ASSERT_EQ(test, 0, dpmgr_pages_init(&pool->pages, &info, 1, true));
}

/* Who can't wait is told that waiting would help; who can does so. */
static void what_is_not_clean_yet_is_not_missing(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_bouncing[0]);
	struct fixture *f = test->priv;
	struct dpmgr_pool *pool = f->mgr->pools[DPMGR_SHARED];
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct dpmgr_stream *stream;
	struct dpmgr_page_run run;

	/* Of all else that it takes there is enough. */
	stream = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	dpmgr_streams_flush(f->mgr);
	flush_work(&pool->scrub_work);
	make_all_dirty(test, pool);
	stream_expect_map(test, client, -ENOMEM, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	/* Nor is what is being scrubbed. */
	KUNIT_ASSERT_TRUE(test, dpmgr_pages_take_dirty(&pool->pages, U32_MAX, &run));
	KUNIT_EXPECT_EQ(test, run.nr_pages, SHARED_SIZE / PAGE_SIZE);
	stream_expect_map(test, client, -ENOMEM, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	memset(phys_to_virt(f->shared.start), 0, SHARED_SIZE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_put(&pool->pages, &run));
	stream = dpmgr_stream_map(client, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	dpmgr_streams_flush(f->mgr);

	make_all_dirty(test, pool);
	stream = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream_unload(test, client);
}

/* While the worker can't, what was freed is not lost. */
static void what_is_not_put_back_yet_is_not_missing(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_bouncing[0]);
	struct dpmgr_client *shared = stream_client(test, "shared", DPMGR_SHARED, false);
	struct fixture *f = test->priv;
	u8 *bytes = PTR_ALIGN(stream_memory(test, SHARED_SIZE + PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream *stream;
	struct dpmgr_buf *buf;

	stream = stream_map(test, client, bytes, SHARED_SIZE, DMA_TO_DEVICE);
	stream_expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	scoped_guard(mutex, &f->mgr->drain_lock) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		stream_expect_map(test, client, -ENOMEM, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	}
	stream = stream_map(test, client, bytes, SHARED_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));

	buf = fixture_alloc(test, shared, SHARED_SIZE, "all");
	stream_expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	scoped_guard(mutex, &f->mgr->drain_lock) {
		dpmgr_free(buf);
		stream_expect_map(test, client, -ENOMEM, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	}
	stream = stream_map(test, client, bytes, SHARED_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	dpmgr_client_destroy(shared);
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(bounces_come_from_a_stock_of_their_length),
	KUNIT_CASE(stocks_have_a_sixteenth_of_the_pool_at_most),
	KUNIT_CASE(the_last_pages_of_the_pool_are_enough),
	KUNIT_CASE(what_is_in_stock_is_had_before_a_bounce_is_refused),
	KUNIT_CASE(nobody_else_empties_the_stocks),
	KUNIT_CASE(what_is_not_clean_yet_is_not_missing),
	KUNIT_CASE(what_is_not_put_back_yet_is_not_missing),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_stock",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
