// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of a device with DMA operations of its own: what it sees is kept apart from what
 * the CPU sees, until caches are looked after. And all that may fail there.
 */
#include <linux/cpumask.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>

#include "stream_device.h"
#include "stream_fixture.h"

static void caches_are_looked_after_where_that_is_asked_for(struct kunit *test)
{
	struct dpmgr_client *client;
	u8 *bytes = stream_memory(test, 2 * PAGE_SIZE);
	struct dpmgr_stream *stream;
	u8 *there;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	stream = stream_map(test, client, bytes + 10, 5000, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL),
			SEEN_BASE + offset_in_page(bytes + 10));
	there = stream_dev.bytes + offset_in_page(bytes + 10);
	KUNIT_EXPECT_TRUE(test, is_all(there, POISON, 5000));

	memset(there, 0xdd, 5000);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 64, 32, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 74));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 74, 0xdd, 32));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 106, POISON, 2 * PAGE_SIZE - 106));

	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(stream, 0, 0x11, 5000, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(there, 0xdd, 5000));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 4000, 1000,
							      DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(there, 0xdd, 4000));
	KUNIT_EXPECT_TRUE(test, is_all(there + 4000, 0x11, 1000));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 5, 0, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_syncs, 3);
	/* Freeing moves nothing here either. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_syncs, 3);
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, 1);
	KUNIT_EXPECT_EQ(test, stream_dev.nr_unmaps, 1);
	stream_unload(test, client);
}

/* From within the first of three pieces to within the last. */
static void caches_are_looked_after_in_each_piece(struct kunit *test)
{
	const size_t at = PAGE_SIZE - 100, size = 2 * PAGE_SIZE + 50;
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream;
	u8 *cpu[3], *there[3];
	unsigned int i;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	stream_scatter(test, pages);
	stream = dpmgr_stream_map_pages(client, pages, 3, 100, size, DMA_BIDIRECTIONAL,
					GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_ASSERT_EQ(test, stream_dev.nr_maps, 3);
	for (i = 0; i < 3; i++) {
		cpu[i] = page_address(pages[i]);
		there[i] = stream_seen(stream, i ? at + (i - 1) * PAGE_SIZE : 0);
		memset(there[i], 0xdd, !i ? at : i < 2 ? PAGE_SIZE : 150);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, at - 6, 6 + PAGE_SIZE + 8,
							   DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(cpu[0], POISON, PAGE_SIZE - 6));
	KUNIT_EXPECT_TRUE(test, is_all(cpu[0] + PAGE_SIZE - 6, 0xdd, 6));
	KUNIT_EXPECT_TRUE(test, is_all(cpu[1], 0xdd, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, is_all(cpu[2], 0xdd, 8));
	KUNIT_EXPECT_TRUE(test, is_all(cpu[2] + 8, POISON, PAGE_SIZE - 8));

	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(stream, 0, 0x11, size, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, at - 6, 6 + PAGE_SIZE + 8,
							      DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(there[0], 0xdd, at - 6));
	KUNIT_EXPECT_TRUE(test, is_all(there[0] + at - 6, 0x11, 6));
	KUNIT_EXPECT_TRUE(test, is_all(there[1], 0x11, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, is_all(there[2], 0x11, 8));
	KUNIT_EXPECT_TRUE(test, is_all(there[2] + 8, 0xdd, 150 - 8));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_syncs, 3 + 3 + 3);
	/* Freeing moves nothing here either, and the device's bytes are not the caller's. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_syncs, 3 + 3 + 3);
	KUNIT_EXPECT_TRUE(test, is_all(cpu[0] + 100, 0x11, at));
	KUNIT_EXPECT_TRUE(test, is_all(cpu[2], 0x11, 150));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_unmaps, 3);
	stream_unload(test, client);
}

static void expect_seen_in_short_pieces(struct kunit *test, struct dpmgr_stream *stream,
					size_t size)
{
	size_t at, len;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_LE(test, stream_dev.longest, stream_dev.max);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), size);
	for (at = 0; at < size; at += len) {
		dpmgr_stream_dma_addr(stream, at, &len);
		KUNIT_ASSERT_NE(test, len, 0);
		KUNIT_ASSERT_LE(test, len, stream_dev.max);
		KUNIT_ASSERT_EQ(test, stream_pattern_end(stream_seen(stream, at), len, at), len);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, stream_dev.nr_unmaps);
}

static void no_piece_is_longer_than_the_dma_api_maps_at_once(struct kunit *test)
{
	enum { NR_PAGES = 7 };
	const size_t size = 3 * SZ_64K - 123;
	struct page *pages[NR_PAGES];
	struct dpmgr_client *client;
	struct dpmgr_stream own;
	unsigned int i;
	u8 *bytes;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	bytes = PTR_ALIGN(stream_memory(test, 4 * SZ_64K), PAGE_SIZE);
	for (i = 0; i < NR_PAGES; i++)
		pages[i] = virt_to_page(bytes + i * PAGE_SIZE);

	stream_write_pattern(bytes + 50, size);
	stream_dev.max = SZ_64K;
	expect_seen_in_short_pieces(test, stream_map(test, client, bytes + 50, size,
						     DMA_TO_DEVICE), size);
	stream_watch_device(test);
	stream_dev.max = SZ_64K;
	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes + 50, size,
						       DMA_TO_DEVICE, GFP_KERNEL));
	expect_seen_in_short_pieces(test, &own, size);
	/* These lie side by side. */
	stream_watch_device(test);
	stream_dev.max = 2 * PAGE_SIZE;
	expect_seen_in_short_pieces(test,
				    dpmgr_stream_map_pages(client, pages, NR_PAGES, 50,
							   6 * PAGE_SIZE, DMA_TO_DEVICE,
							   GFP_KERNEL), 6 * PAGE_SIZE);
	stream_unload(test, client);
}

static void what_was_mapped_together_is_unmapped_with_the_last(struct kunit *test)
{
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream, *rest;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	stream_scatter(test, pages);
	stream = dpmgr_stream_map_pages(client, pages, 4, 0, 4 * PAGE_SIZE, DMA_TO_DEVICE,
					GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, 4);
	rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_unmaps, 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(rest, 0, 3 * PAGE_SIZE,
							      DMA_TO_DEVICE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_unmaps, 4);
	stream_unload(test, client);
}

static void what_the_dma_api_cannot_map_is_not_half_mapped(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_stream own;
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	u8 *bytes = stream_memory(test, SZ_128K);
	unsigned int n;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	stream_scatter(test, pages);
	for (n = 1; n <= 4; n++) {
		memset(&stream_dev, 0, sizeof(stream_dev));
		stream_dev.fail_at = n;
		KUNIT_EXPECT_EQ(test, -EIO,
				PTR_ERR(dpmgr_stream_map_pages(client, pages, 4, 0, 4 * PAGE_SIZE,
							       DMA_TO_DEVICE, GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, stream_dev.nr_unmaps, n - 1);
	}
	stream_dev.nr_maps = 0;
	stream_dev.fail_at = 1;
	/* With a stream of one's own as well, which may be gone by and by. */
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_stream_map_into(&own, client, bytes, 1, DMA_TO_DEVICE,
							  GFP_KERNEL));
	KUNIT_ASSERT_TRUE(test, stream_none_left(f->mgr));
	stream_expect_map(test, client, -EIO, page_address(pages[0]), 1, DMA_TO_DEVICE,
			  GFP_KERNEL);
	stream_expect_map(test, client, -EIO, bytes, SZ_128K, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR(dpmgr_stream_alloc(client, 1, DMA_TO_DEVICE,
							       GFP_KERNEL)));
	stream_unload(test, client);
}

/* What lies side by side is mapped together, but not more than that. */
static void no_more_is_mapped_at_once_than_the_device_can(struct kunit *test)
{
	u8 *bytes = PTR_ALIGN(stream_memory(test, 8 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	struct sg_table table;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&table, 2, GFP_KERNEL));
	sg_set_buf(table.sgl, bytes, 2 * PAGE_SIZE);
	sg_set_buf(sg_next(table.sgl), bytes + 2 * PAGE_SIZE, 2 * PAGE_SIZE);
	for (stream_dev.max = 2 * PAGE_SIZE; stream_dev.max <= 4 * PAGE_SIZE; stream_dev.max *= 2) {
		stream_dev.nr_maps = 0;
		stream = dpmgr_stream_map_sg(client, &table, DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, stream_dev.max == 2 * PAGE_SIZE ? 2 : 1);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	}
	sg_free_table(&table);
	stream_unload(test, client);
}

static void what_is_allocated_for_a_device_may_be_more_than_it_maps_at_once(struct kunit *test)
{
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	stream_dev.max = 2 * PAGE_SIZE;
	stream = dpmgr_stream_alloc(client, 5 * PAGE_SIZE, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, 3);
	KUNIT_EXPECT_EQ(test, stream_dev.longest, 2 * PAGE_SIZE);
	memset(stream->vaddr, 0x5a, 5 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 0, 5 * PAGE_SIZE,
							      DMA_TO_DEVICE));
	KUNIT_EXPECT_EQ(test, *stream_seen(stream, 5 * PAGE_SIZE - 1), 0x5a);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_unmaps, 3);

	stream_dev.nr_maps = 0;
	stream_dev.fail_at = 3;
	KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR(dpmgr_stream_alloc(client, 5 * PAGE_SIZE,
							       DMA_TO_DEVICE, GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, stream_dev.nr_unmaps, 5);
	stream_unload(test, client);
}

/* On one CPU, all of whose slots are taken. */
static void a_stream_that_finds_no_slot_is_mapped_once(struct kunit *test)
{
	struct dpmgr_stream *streams, own;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	unsigned int i;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	set_dma_ops(f->dev, NULL);
	streams = kunit_kcalloc(test, DPMGR_STREAM_SLOTS, sizeof(*streams), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streams);
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(0)));
	for (i = 0; i < DPMGR_STREAM_SLOTS; i++)
		KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&streams[i], client, bytes, 1,
							       DMA_TO_DEVICE, GFP_KERNEL));
	set_dma_ops(f->dev, &stream_dev_ops);
	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes, 1, DMA_TO_DEVICE,
						       GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, own.slot);
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, 1);
	KUNIT_EXPECT_EQ(test, stream_dev.nr_unmaps, 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&own));
	set_dma_ops(f->dev, NULL);
	for (i = 0; i < DPMGR_STREAM_SLOTS; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&streams[i]));
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	stream_unload(test, client);
}

static void a_client_that_is_frozen_while_it_maps_has_nothing_mapped(struct kunit *test)
{
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream own;
	void *bytes;

	client = stream_load(test, &stream_direct);
	stream_watch_device(test);
	stream_scatter(test, pages);
	bytes = page_address(pages[0]);
	stream_dev.freezes = client;
	/* Plain, with a stream of one's own and without; in pieces; allocated. */
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_stream_map(client, bytes, 1, DMA_TO_DEVICE,
							       GFP_KERNEL)));
	client->frozen = false;
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_stream_map_into(&own, client, bytes, 1,
							    DMA_TO_DEVICE, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(&own));
	client->frozen = false;
	KUNIT_EXPECT_EQ(test, -EBUSY,
			PTR_ERR(dpmgr_stream_map_pages(client, pages, 4, 0, 4 * PAGE_SIZE,
						       DMA_TO_DEVICE, GFP_KERNEL)));
	client->frozen = false;
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_stream_alloc(client, 1, DMA_TO_DEVICE,
								 GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, dpmgr_streams_count(client), 0);
	KUNIT_EXPECT_GE(test, stream_dev.nr_maps, 4);
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps, stream_dev.nr_unmaps);
	stream_dev.freezes = NULL;
	client->frozen = false;
	stream_unload(test, client);
}

static void a_bounce_never_meets_the_dma_api(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	bool checked = false;
	u8 *bytes = stream_memory(test, PAGE_SIZE);

	/* Operations of its own would decide what it reaches. */
	memset(&stream_dev, 0, sizeof(stream_dev));
	client = stream_load(test, platform);
	if (!platform->low_mask)
		stream_watch_device(test);
	if (platform->low_mask) {
		/* One that reaches it shows that the check is there. */
		const u64 mask = f->streaming_mask;

		f->streaming_mask = DMA_BIT_MASK(64);
		stream = stream_map(test, client, bytes, PAGE_SIZE, DMA_BIDIRECTIONAL);
		checked = stream_dma_api_knows(test);
		dpmgr_stream_free(stream);
		f->streaming_mask = mask;
	}
	stream = stream_map(test, client, bytes, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_FALSE(test, stream_dma_api_knows(test));
	stream_expect_moves(test, stream, PAGE_SIZE);
	dpmgr_stream_free(stream);
	stream = dpmgr_stream_alloc(client, 10, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	stream_expect_moves(test, stream, 10);
	KUNIT_EXPECT_EQ(test, stream_dma_api_knows(test),
			checked && stream->choice == DPMGR_STREAM_DIRECT);
	dpmgr_stream_free(stream);
	KUNIT_EXPECT_EQ(test, stream_dev.nr_maps + stream_dev.nr_unmaps + stream_dev.nr_syncs, 0);
	stream_unload(test, client);
	if (platform->low_mask && !checked)
		kunit_skip(test, "needs DMA_API_DEBUG");
}

static struct kunit_case cases[] = {
	KUNIT_CASE(caches_are_looked_after_where_that_is_asked_for),
	KUNIT_CASE(caches_are_looked_after_in_each_piece),
	KUNIT_CASE(no_piece_is_longer_than_the_dma_api_maps_at_once),
	KUNIT_CASE(what_was_mapped_together_is_unmapped_with_the_last),
	KUNIT_CASE(what_the_dma_api_cannot_map_is_not_half_mapped),
	KUNIT_CASE(no_more_is_mapped_at_once_than_the_device_can),
	KUNIT_CASE(what_is_allocated_for_a_device_may_be_more_than_it_maps_at_once),
	KUNIT_CASE(a_stream_that_finds_no_slot_is_mapped_once),
	KUNIT_CASE(a_client_that_is_frozen_while_it_maps_has_nothing_mapped),
	BOUNCING(a_bounce_never_meets_the_dma_api),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_coherence",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
