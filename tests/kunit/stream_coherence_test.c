// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of a device with DMA operations of its own: what it sees is kept apart from what
 * the CPU sees, until caches are looked after. And all that may fail there.
 */
#include <linux/cpumask.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>

#include "stream_fixture.h"

#define SEEN_BASE	BIT_ULL(44)
#define SEEN_SIZE	SZ_64K

/* What the device sees of what was mapped for it, and what was called. */
static struct {
	u8 bytes[SEEN_SIZE];
	void *cpu[SEEN_SIZE / PAGE_SIZE];
	size_t used;
	unsigned int nr_maps;
	unsigned int nr_unmaps;
	unsigned int nr_syncs;
	unsigned int fail_at;
	size_t max;		/* most that is mapped at once, or 0 */
	struct dpmgr_client *freezes;	/* while something is mapped for it, or NULL */
} seen;

static u8 *cpu_side(dma_addr_t dma_addr)
{
	size_t at = dma_addr - SEEN_BASE;

	return seen.cpu[at >> PAGE_SHIFT] + offset_in_page(at);
}

static void seen_sync_for_device(struct device *dev, dma_addr_t dma_addr, size_t size,
				 enum dma_data_direction direction)
{
	seen.nr_syncs++;
	memcpy(seen.bytes + (dma_addr - SEEN_BASE), cpu_side(dma_addr), size);
}

static void seen_sync_for_cpu(struct device *dev, dma_addr_t dma_addr, size_t size,
			      enum dma_data_direction direction)
{
	seen.nr_syncs++;
	memcpy(cpu_side(dma_addr), seen.bytes + (dma_addr - SEEN_BASE), size);
}

static size_t seen_max(struct device *dev)
{
	return seen.max ?: SIZE_MAX;
}

static dma_addr_t seen_map(struct device *dev, struct page *page, unsigned long offset,
			   size_t size, enum dma_data_direction direction, unsigned long attrs)
{
	const size_t nr_pages = PFN_UP(offset + size);
	dma_addr_t dma_addr = SEEN_BASE + seen.used + offset;
	size_t i;

	if (seen.freezes)
		WRITE_ONCE(seen.freezes->frozen, true);
	if (size > seen_max(dev))
		return DMA_MAPPING_ERROR;
	if (seen.fail_at && ++seen.nr_maps >= seen.fail_at)
		return DMA_MAPPING_ERROR;
	seen.nr_maps += !seen.fail_at;
	for (i = 0; i < nr_pages; i++)
		seen.cpu[(seen.used >> PAGE_SHIFT) + i] = page_address(page) + i * PAGE_SIZE;
	seen.used += nr_pages * PAGE_SIZE;
	seen_sync_for_device(dev, dma_addr, size, direction);
	return dma_addr;
}

static void seen_unmap(struct device *dev, dma_addr_t dma_addr, size_t size,
		       enum dma_data_direction direction, unsigned long attrs)
{
	seen.nr_unmaps++;
	if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		seen_sync_for_cpu(dev, dma_addr, size, direction);
}

static const struct dma_map_ops seen_ops = {
	.max_mapping_size = seen_max,
	.map_page = seen_map,
	.unmap_page = seen_unmap,
	.sync_single_for_cpu = seen_sync_for_cpu,
	.sync_single_for_device = seen_sync_for_device,
};

static void watch_device(struct kunit *test)
{
	struct fixture *f = test->priv;

	memset(&seen, 0, sizeof(seen));
	set_dma_ops(f->dev, &seen_ops);
	if (!get_dma_ops(f->dev))
		kunit_skip(test, "needs ARCH_HAS_DMA_OPS");
}

static void caches_are_looked_after_where_that_is_asked_for(struct kunit *test)
{
	struct dpmgr_client *client;
	u8 *bytes = stream_memory(test, 2 * PAGE_SIZE);
	struct dpmgr_stream *stream;
	u8 *there;

	watch_device(test);
	client = stream_load(test, &stream_direct);
	stream = stream_map(test, client, bytes + 10, 5000, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL),
			SEEN_BASE + offset_in_page(bytes + 10));
	there = seen.bytes + offset_in_page(bytes + 10);
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
	KUNIT_EXPECT_EQ(test, seen.nr_syncs, 3);
	/* Freeing moves nothing here either. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, seen.nr_syncs, 3);
	KUNIT_EXPECT_EQ(test, seen.nr_maps, 1);
	KUNIT_EXPECT_EQ(test, seen.nr_unmaps, 1);
	stream_unload(test, client);
}

static void what_was_mapped_together_is_unmapped_with_the_last(struct kunit *test)
{
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream, *rest;

	watch_device(test);
	client = stream_load(test, &stream_direct);
	stream_scatter(test, pages);
	stream = dpmgr_stream_map_pages(client, pages, 4, 0, 4 * PAGE_SIZE, DMA_TO_DEVICE,
					GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, seen.nr_maps, 4);
	rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, seen.nr_unmaps, 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(rest, 0, 3 * PAGE_SIZE,
							      DMA_TO_DEVICE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	KUNIT_EXPECT_EQ(test, seen.nr_unmaps, 4);
	stream_unload(test, client);
}

static void what_the_dma_api_cannot_map_is_not_half_mapped(struct kunit *test)
{
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	unsigned int n;

	watch_device(test);
	client = stream_load(test, &stream_direct);
	stream_scatter(test, pages);
	for (n = 1; n <= 4; n++) {
		memset(&seen, 0, sizeof(seen));
		seen.fail_at = n;
		KUNIT_EXPECT_EQ(test, -EIO,
				PTR_ERR(dpmgr_stream_map_pages(client, pages, 4, 0, 4 * PAGE_SIZE,
							       DMA_TO_DEVICE, GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, seen.nr_unmaps, n - 1);
	}
	seen.nr_maps = 0;
	seen.fail_at = 1;
	KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR(dpmgr_stream_map(client, page_address(pages[0]), 1,
							     DMA_TO_DEVICE, GFP_KERNEL)));
	stream_unload(test, client);
}

/* What lies side by side is mapped together, but not more than that. */
static void no_more_is_mapped_at_once_than_the_device_can(struct kunit *test)
{
	u8 *bytes = PTR_ALIGN(stream_memory(test, 8 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	struct sg_table table;

	watch_device(test);
	client = stream_load(test, &stream_direct);
	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&table, 2, GFP_KERNEL));
	sg_set_buf(table.sgl, bytes, 2 * PAGE_SIZE);
	sg_set_buf(sg_next(table.sgl), bytes + 2 * PAGE_SIZE, 2 * PAGE_SIZE);
	for (seen.max = 2 * PAGE_SIZE; seen.max <= 4 * PAGE_SIZE; seen.max *= 2) {
		seen.nr_maps = 0;
		stream = dpmgr_stream_map_sg(client, &table, DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, seen.nr_maps, seen.max == 2 * PAGE_SIZE ? 2 : 1);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	}
	sg_free_table(&table);
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

	watch_device(test);
	set_dma_ops(f->dev, NULL);
	client = stream_load(test, &stream_direct);
	streams = kunit_kcalloc(test, DPMGR_STREAM_SLOTS, sizeof(*streams), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streams);
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(0)));
	for (i = 0; i < DPMGR_STREAM_SLOTS; i++)
		KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&streams[i], client, bytes, 1,
							       DMA_TO_DEVICE, GFP_KERNEL));
	set_dma_ops(f->dev, &seen_ops);
	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes, 1, DMA_TO_DEVICE,
						       GFP_KERNEL));
	KUNIT_EXPECT_NULL(test, own.slot);
	KUNIT_EXPECT_EQ(test, seen.nr_maps, 1);
	KUNIT_EXPECT_EQ(test, seen.nr_unmaps, 0);
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

	watch_device(test);
	client = stream_load(test, &stream_direct);
	stream_scatter(test, pages);
	bytes = page_address(pages[0]);
	seen.freezes = client;
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
	KUNIT_EXPECT_GE(test, seen.nr_maps, 4);
	KUNIT_EXPECT_EQ(test, seen.nr_maps, seen.nr_unmaps);
	seen.freezes = NULL;
	client->frozen = false;
	stream_unload(test, client);
}

static void a_bounce_never_meets_the_dma_api(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	u8 *bytes = stream_memory(test, PAGE_SIZE);

	watch_device(test);
	if (platform->low_mask)
		kunit_skip(test, "operations of its own decide what it reaches");
	client = stream_load(test, platform);
	stream = stream_map(test, client, bytes, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, dpmgr_stream_is_bounced(stream));
	stream_expect_moves(test, stream, PAGE_SIZE);
	dpmgr_stream_free(stream);
	stream = dpmgr_stream_alloc(client, 10, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	stream_expect_moves(test, stream, 10);
	dpmgr_stream_free(stream);
	KUNIT_EXPECT_EQ(test, seen.nr_maps + seen.nr_unmaps + seen.nr_syncs, 0);
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(caches_are_looked_after_where_that_is_asked_for),
	KUNIT_CASE(what_was_mapped_together_is_unmapped_with_the_last),
	KUNIT_CASE(what_the_dma_api_cannot_map_is_not_half_mapped),
	KUNIT_CASE(no_more_is_mapped_at_once_than_the_device_can),
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
