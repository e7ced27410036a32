// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device reaches, to the byte: its DMA mask, its bus, the address bit of shared
 * memory, operations of its own.
 */
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "stream_device.h"
#include "stream_fixture.h"

/* Bounces are within reach wherever memory isn't. */
static const struct stream_platform low_pool = {
	"low_pool", DPMGR_ISOLATION_NONE, DPMGR_NO_VTOM, true,
};

static const struct stream_platform biased = {
	"biased", DPMGR_ISOLATION_NONE, VTOM_BIT,
};

static void expect_choice(struct kunit *test, struct dpmgr_stream *stream, const u8 *bytes,
			  bool is_direct)
{
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(stream), !is_direct);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL) == virt_to_phys((void *)bytes),
			is_direct);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
}

/* All ways to map @size bytes in one piece. */
static void expect_choices(struct kunit *test, struct dpmgr_client *client, u8 *bytes,
			   size_t size, bool is_direct)
{
	struct page *pages[2 + SZ_64K / PAGE_SIZE];
	struct dpmgr_stream own;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = virt_to_page(bytes + i * PAGE_SIZE);
	expect_choice(test, stream_map(test, client, bytes, size, DMA_TO_DEVICE), bytes,
		      is_direct);
	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes, size, DMA_TO_DEVICE,
						       GFP_KERNEL));
	expect_choice(test, &own, bytes, is_direct);
	expect_choice(test, dpmgr_stream_map_pages(client, pages, ARRAY_SIZE(pages), 0, size,
						   DMA_TO_DEVICE, GFP_KERNEL), bytes, is_direct);
}

/* Whether a short range or one that is longer than all devices map at once. */
static const size_t sizes[] = { 1, 100, PAGE_SIZE, 5000, SZ_64K, SZ_64K + 100 };

static void a_device_reaches_up_to_its_mask(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &low_pool);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, SZ_128K);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		f->streaming_mask = virt_to_phys(bytes) + sizes[i] - 1;
		expect_choices(test, client, bytes, sizes[i], true);
		/* All but the last byte is as good as nothing. */
		f->streaming_mask--;
		expect_choices(test, client, bytes, sizes[i], false);
	}
	stream_unload(test, client);
}

static void a_device_reaches_up_to_its_bus_limit(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &low_pool);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, SZ_128K);
	unsigned int i;

	f->streaming_mask = DMA_BIT_MASK(64);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		f->dev->bus_dma_limit = virt_to_phys(bytes) + sizes[i] - 1;
		expect_choices(test, client, bytes, sizes[i], true);
		f->dev->bus_dma_limit--;
		expect_choices(test, client, bytes, sizes[i], false);
	}
	/* And none of the pool. */
	f->dev->bus_dma_limit = f->shared.start - 1;
	stream_expect_map(test, client, -EOPNOTSUPP, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	f->dev->bus_dma_limit = 0;
	stream_unload(test, client);
}

static void one_piece_out_of_reach_makes_all_bounce(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &low_pool);
	struct fixture *f = test->priv;
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream;
	phys_addr_t highest = 0;
	unsigned int i;

	stream_scatter(test, pages);
	for (i = 0; i < NR_SCATTERED; i++)
		highest = max(highest, page_to_phys(pages[i]));
	for (i = 0; i < 2; i++) {
		f->streaming_mask = highest + PAGE_SIZE - 1 - i;
		stream = dpmgr_stream_map_pages(client, pages, NR_SCATTERED, 0,
						NR_SCATTERED * PAGE_SIZE, DMA_BIDIRECTIONAL,
						GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(stream), i);
		stream_expect_moves(test, stream, NR_SCATTERED * PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	}
	stream_unload(test, client);
}

/* A bounce's address has the bit that shared memory has. */
static void masks_are_compared_with_the_biased_address(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &biased);
	struct fixture *f = test->priv;
	const u64 first = f->shared.start | BIT_ULL(VTOM_BIT);
	const u64 too_low[] = {
		f->shared.start + f->shared.size - 1, DMA_BIT_MASK(40), DMA_BIT_MASK(VTOM_BIT),
		BIT_ULL(VTOM_BIT), first - 1, first + PAGE_SIZE - 2,
	};
	u8 *bytes = PTR_ALIGN(stream_memory(test, SZ_32K), PAGE_SIZE);
	struct dpmgr_stream *stream;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(too_low); i++) {
		f->streaming_mask = too_low[i];
		stream_expect_map(test, client, -EOPNOTSUPP, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	}
	/* So many pages, and no more: neither does one that is not all within reach count. */
	for (i = 1; i <= 4; i++) {
		f->streaming_mask = first + i * PAGE_SIZE - 1;
		stream = stream_map(test, client, bytes, i * PAGE_SIZE, DMA_TO_DEVICE);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL), first);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		f->streaming_mask += PAGE_SIZE - 1;
		stream_expect_map(test, client, -E2BIG, bytes, (i + 1) * PAGE_SIZE,
				  DMA_TO_DEVICE, GFP_KERNEL);
	}
	stream_unload(test, client);
}

static void operations_of_its_own_decide_what_a_device_reaches(struct kunit *test)
{
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream;
	u8 *bytes = stream_memory(test, SZ_128K);

	client = stream_load(test, &low_pool);
	stream_watch_device(test);
	stream_scatter(test, pages);
	stream_write_pattern(bytes, SZ_128K);
	stream = stream_map(test, client, bytes, SZ_128K, DMA_TO_DEVICE);
	KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, 1);
	KUNIT_EXPECT_EQ(test, stream_pattern_end(stream_seen(stream, 0), SZ_128K, 0), SZ_128K);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream = dpmgr_stream_map_pages(client, pages, 3, 0, 3 * PAGE_SIZE, DMA_TO_DEVICE,
					GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, 4);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream = dpmgr_stream_alloc(client, PAGE_SIZE, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, stream->choice, DPMGR_STREAM_DIRECT);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, stream_dev.nr_unmaps);
	stream_unload(test, client);
}

/* The pool's addresses would mean something else on its bus. */
static void a_device_whose_bus_translates_gets_no_bounce(struct kunit *test)
{
	static const struct bus_dma_region regions[] = {
		{ .dma_start = SZ_4G, .size = SZ_1T },
		{}
	};
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, PAGE_SIZE);

	f->dev->dma_range_map = regions;
	stream_expect_map(test, client, -EOPNOTSUPP, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	stream_expect_map(test, client, -EOPNOTSUPP, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	if (!platform->low_mask)
		KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
				PTR_ERR(dpmgr_stream_alloc(client, 1, DMA_TO_DEVICE, GFP_KERNEL)));
	f->dev->dma_range_map = NULL;
	stream_unload(test, client);
}

static void allocated_streams_are_of_the_zone_that_is_within_reach(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct fixture *f = test->priv;
	static const size_t lens[] = { 1, PAGE_SIZE, 5000, SZ_64K };
	struct dpmgr_stream *stream;
	unsigned int i;

	if (!IS_ENABLED(CONFIG_ZONE_DMA)) {
		stream_unload(test, client);
		kunit_skip(test, "needs ZONE_DMA");
	}
	f->streaming_mask = DMA_BIT_MASK(24);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		stream = dpmgr_stream_alloc(client, lens[i], DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, stream->choice, DPMGR_STREAM_DIRECT);
		KUNIT_EXPECT_LE(test, dpmgr_stream_dma_addr(stream, lens[i] - 1, NULL),
				DMA_BIT_MASK(24));
		KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), lens[i]));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	}
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_device_reaches_up_to_its_mask),
	KUNIT_CASE(a_device_reaches_up_to_its_bus_limit),
	KUNIT_CASE(one_piece_out_of_reach_makes_all_bounce),
	KUNIT_CASE(masks_are_compared_with_the_biased_address),
	KUNIT_CASE(operations_of_its_own_decide_what_a_device_reaches),
	BOUNCING(a_device_whose_bus_translates_gets_no_bounce),
	KUNIT_CASE(allocated_streams_are_of_the_zone_that_is_within_reach),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_reach",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
