// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams: whose bytes are seen by whom, and when; which calls are refused; how they end.
 */
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/sched.h>
#include <linux/scatterlist.h>
#include <linux/vmalloc.h>

#include "guard.h"
#include "stream_fixture.h"

static void what_the_device_reaches_and_sees_is_direct(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	u8 *bytes = stream_memory(test, 3 * PAGE_SIZE);
	enum dma_data_direction direction;

	for (direction = DMA_BIDIRECTIONAL; direction <= DMA_FROM_DEVICE; direction++) {
		struct dpmgr_stream *stream = stream_map(test, client, bytes + 77, 5000, direction);
		size_t len;

		KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), 5000);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 10, &len),
				virt_to_phys(bytes + 87));
		KUNIT_EXPECT_EQ(test, len, 4990);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	}
	KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 3 * PAGE_SIZE));
	stream_unload(test, client);
}

/* VTL0 is to reach what the device works on: shared memory it does, the kernel's it doesn't. */
static void what_is_for_vtl0_bounces(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("vtl0");
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, 3 * PAGE_SIZE);
	struct page *page = virt_to_page(bytes);
	struct dpmgr_stream *streams[4];
	struct dpmgr_client *client, *other;
	struct dpmgr_buf *buf;
	unsigned int i;

	fixture_emulate(test, f);
	other = stream_load(test, &stream_direct);
	params.lower_vtl = DPMGR_LOWER_VTL_VTL0;
	client = stream_create(test, &stream_direct, &params);
	buf = fixture_alloc(test, client, 100, "tag");
	streams[0] = stream_map(test, client, bytes, 5000, DMA_BIDIRECTIONAL);
	streams[1] = dpmgr_stream_map_pages(client, &page, 1, 0, 1, DMA_BIDIRECTIONAL,
					    GFP_KERNEL);
	streams[2] = dpmgr_stream_alloc(client, 1, DMA_BIDIRECTIONAL, GFP_KERNEL);
	for (i = 0; i < 3; i++) {
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, streams[i]);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(streams[i]), i < 2);
		KUNIT_EXPECT_TRUE(test, is_pools(f, dpmgr_stream_dma_addr(streams[i], 0, NULL)));
	}
	/* Its own buffer is open to VTL0 as it is. */
	streams[3] = dpmgr_stream_map_buf(buf, 0, 100, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, streams[3]);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(streams[3], 0, NULL),
			dpmgr_buf_dma_addr(buf));
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[i]));
	dpmgr_free(buf);
	dpmgr_client_destroy(client);
	dpmgr_open_stock_flush(f->mgr);
	stream_unload(test, other);
}

static void what_it_cannot_reach_or_see_bounces_through_the_shared_pool(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	static const size_t sizes[] = { 1, 77, PAGE_SIZE, 5000, SZ_64K, SZ_256K };
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, SZ_256K + 2 * PAGE_SIZE);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t size = sizes[i];
		const size_t offset = PAGE_SIZE + (i & 1 ? 77 : 0);
		struct dpmgr_stream *stream;
		dma_addr_t dma_addr;
		size_t len;

		stream_write_pattern(bytes + offset, size);
		stream = stream_map(test, client, bytes + offset, size, DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_TRUE(test, dpmgr_stream_is_bounced(stream));
		dma_addr = dpmgr_stream_dma_addr(stream, 0, &len);
		KUNIT_EXPECT_EQ(test, len, min(size, dma_get_max_seg_size(f->dev)));
		KUNIT_ASSERT_TRUE(test, is_pools(f, dma_addr));
		KUNIT_EXPECT_EQ(test, !!(dma_addr & BIT_ULL(VTOM_BIT)),
				platform->vtom_bit == VTOM_BIT);
		KUNIT_EXPECT_EQ(test, offset_in_page(dma_addr),
				offset_in_page(bytes + offset));
		KUNIT_EXPECT_EQ(test, stream_pattern_end(device(stream, 0), size, 0), size);

		/* It changes a byte, and the CPU another. */
		device(stream, 0)[size - 1] ^= 0xff;
		KUNIT_EXPECT_EQ(test, bytes[offset + size - 1], pattern(size - 1));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, size - 1, 1,
								   DMA_BIDIRECTIONAL));
		KUNIT_EXPECT_EQ(test, bytes[offset + size - 1],
				(u8)~pattern(size - 1));
		bytes[offset] = 0x11;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 0, 1,
								      DMA_BIDIRECTIONAL));
		KUNIT_EXPECT_EQ(test, device(stream, 0)[0], 0x11);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, offset));
		KUNIT_EXPECT_TRUE(test, is_all(bytes + offset + size, POISON, 77));
		memset(bytes, POISON, offset + size);
	}
	stream_unload(test, client);
}

static void only_the_bytes_that_were_asked_for_are_synced(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, test->param_value);
	u8 *bytes = stream_memory(test, 3 * PAGE_SIZE);
	struct dpmgr_stream *stream;

	stream = stream_map(test, client, bytes, 3 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	memset(device(stream, 0), 0xdd, 3 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 4000, 200,
							   DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 4000));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 4000, 0xdd, 200));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 4200, POISON, 3 * PAGE_SIZE - 4200));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 100, 5,
							      DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 0), 0xdd, 100));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 100), POISON, 5));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 105), 0xdd, 3 * PAGE_SIZE - 105));
	/* Freeing moves nothing. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 4000));
	stream_unload(test, client);
}

/* The one difference between direct and bounced. */
static void bytes_that_the_device_did_not_write(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	u8 *bytes = stream_memory(test, 2 * PAGE_SIZE);
	struct dpmgr_stream *stream;

	stream = stream_map(test, client, bytes, PAGE_SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 0),
				       platform->unwritten_is_zero ? 0 : POISON, PAGE_SIZE));
	memset(device(stream, 0), 0xdd, 100);
	/* The length that it reports leaves the others alone. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, 100, DMA_FROM_DEVICE));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, 0xdd, 100));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 100, POISON, 2 * PAGE_SIZE - 100));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, PAGE_SIZE,
							   DMA_FROM_DEVICE));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, 0xdd, 100));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 100, platform->unwritten_is_zero ? 0 : POISON,
				       PAGE_SIZE - 100));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + PAGE_SIZE, POISON, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream_unload(test, client);
}

static void a_direct_stream_leaves_what_the_device_did_not_write(struct kunit *test)
{
	bytes_that_the_device_did_not_write(test);
}

static void allocated_streams_are_zero_and_need_no_copy(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;
	u8 byte;

	stream = dpmgr_stream_alloc(client, 5000, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), 5000));
	/* The kernel may have memory within reach. */
	if (!platform->low_mask)
		KUNIT_EXPECT_EQ(test, stream->choice, DPMGR_STREAM_POOL);
	KUNIT_EXPECT_EQ(test, is_pools(f, dpmgr_stream_dma_addr(stream, 0, NULL)),
			stream->choice == DPMGR_STREAM_POOL);
	KUNIT_EXPECT_LE(test, dpmgr_stream_dma_addr(stream, 4999, NULL), f->streaming_mask);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_to(stream, 4999, "x", 1,
						      DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, device(stream, 4999)[0], 'x');
	device(stream, 17)[0] = 'y';
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_from(stream, 17, &byte, 1,
							DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, byte, 'y');
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream = dpmgr_stream_alloc_uninit(client, SZ_64K, DMA_FROM_DEVICE, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), SZ_64K);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream_unload(test, client);
}

/* What the kernel gives out next has been used before. */
static void leave_dirty_pages(struct kunit *test, unsigned int order)
{
	enum { NR = 32 };
	unsigned long pages[NR];
	unsigned int i;

	for (i = 0; i < NR; i++) {
		pages[i] = __get_free_pages(GFP_KERNEL, order);
		KUNIT_EXPECT_NE(test, pages[i], 0);
		if (pages[i])
			memset((void *)pages[i], 0xa5, PAGE_SIZE << order);
	}
	for (i = 0; i < NR; i++)
		free_pages(pages[i], order);
}

static void allocated_streams_are_of_the_kernel_where_it_is_seen(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;

	leave_dirty_pages(test, get_order(3 * PAGE_SIZE));
	stream = dpmgr_stream_alloc(client, 3 * PAGE_SIZE, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_FALSE(test, is_pools(f, dpmgr_stream_dma_addr(stream, 0, NULL)));
	KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), 3 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(stream, 1, 0x33, 5000, DMA_TO_DEVICE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 0, 6000, DMA_TO_DEVICE));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 1), 0x33, 5000));
	KUNIT_EXPECT_EQ(test, device(stream, 0)[0], 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream_unload(test, client);
}

static void a_stream_is_used_in_its_direction_only(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *client = stream_load(test, platform);
	u8 *bytes = stream_memory(test, 100);
	enum dma_data_direction is, said;
	size_t len;

	for (is = DMA_BIDIRECTIONAL; is <= DMA_FROM_DEVICE; is++) {
		struct dpmgr_stream *stream = stream_map(test, client, bytes, 100, is);

		for (said = DMA_BIDIRECTIONAL; said <= DMA_NONE; said++) {
			/* Whether there is anything to move or not, or even a range. */
			for (len = 0; len <= 8; len += 8) {
				int write = said == is && is != DMA_FROM_DEVICE ? 0 : -EACCES;
				int read = said == is && is != DMA_TO_DEVICE ? 0 : -EACCES;

				stream_expect_write(test, stream, 5, len, any(said), write);
				stream_expect_read(test, stream, 5, len, any(said), read);
			}
			if (said == is)
				continue;
			stream_expect_write(test, stream, 101, 0, any(said), -EACCES);
			stream_expect_read(test, stream, 101, 0, any(said), -EACCES);
		}
		dpmgr_stream_free(stream);
	}
	KUNIT_EXPECT_EQ(test, -EACCES,
			PTR_ERR(dpmgr_stream_alloc(client, 1, any(DMA_FROM_DEVICE),
						   GFP_KERNEL)));
	stream_unload(test, client);
}

static void a_range_that_is_not_within_the_stream_is_refused(struct kunit *test)
{
	static const struct {
		size_t offset;
		size_t len;
	} outside[] = {
		{ 100, 1 }, { 101, 0 }, { 0, 101 }, { 99, 2 }, { SIZE_MAX, 1 },
		{ 1, SIZE_MAX }, { SIZE_MAX, SIZE_MAX }, { 50, SIZE_MAX - 10 },
	};
	struct dpmgr_client *client = stream_load(test, test->param_value);
	u8 *bytes = stream_memory(test, 100);
	struct dpmgr_stream *stream = stream_map(test, client, bytes, 100, DMA_BIDIRECTIONAL);
	unsigned int i;
	size_t len;

	for (i = 0; i < ARRAY_SIZE(outside); i++) {
		stream_expect_write(test, stream, outside[i].offset, outside[i].len,
				    DMA_BIDIRECTIONAL, -EINVAL);
		stream_expect_read(test, stream, outside[i].offset, outside[i].len,
				   DMA_BIDIRECTIONAL, -EINVAL);
	}
	stream_expect_write(test, stream, 100, 0, DMA_BIDIRECTIONAL, 0);
	stream_expect_read(test, stream, 100, 0, DMA_BIDIRECTIONAL, 0);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 100, &len), DMA_MAPPING_ERROR);
	KUNIT_EXPECT_EQ(test, len, 0);
	dpmgr_stream_free(stream);
	stream_unload(test, client);
}

static void bad_input_is_refused(struct kunit *test)
{
	static const size_t huge[] = {
		SIZE_MAX, SIZE_MAX - PAGE_SIZE + 1, SIZE_MAX - PAGE_SIZE, SIZE_MAX / 2, SZ_1T,
	};
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	u8 *bytes = stream_memory(test, 2 * PAGE_SIZE);
	struct page *pages[3] = { virt_to_page(bytes), NULL, virt_to_page(bytes) };
	struct sg_table table;
	unsigned int i;

	stream_expect_map(test, client, -EINVAL, bytes, 0, DMA_TO_DEVICE, GFP_KERNEL);
	stream_expect_map(test, client, -EINVAL, bytes, 1, DMA_NONE, GFP_KERNEL);
	stream_expect_map(test, client, -EINVAL, bytes, 1, 7, GFP_KERNEL);
	stream_expect_map(test, client, -EINVAL, bytes, 1, -1, GFP_KERNEL);
	stream_expect_map(test, client, -EINVAL, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL | __GFP_COMP);
	stream_expect_map(test, client, -EINVAL, NULL, 1, DMA_TO_DEVICE, GFP_KERNEL);
	stream_expect_map(test, client, -EINVAL, (void *)PAGE_SIZE, 1, DMA_TO_DEVICE, GFP_KERNEL);
	/* It begins as memory. */
	stream_expect_map(test, client, -EINVAL, high_memory - PAGE_SIZE, 2 * PAGE_SIZE,
			  DMA_TO_DEVICE, GFP_KERNEL);
	stream_expect_map(test, client, -EINVAL, bytes, SIZE_MAX, DMA_TO_DEVICE, GFP_KERNEL);
	/* It is mapped, but it is the firmware's. */
	stream_expect_map(test, client, -EINVAL, (void *)VMALLOC_START, 1, DMA_TO_DEVICE,
			  GFP_KERNEL);
#define MAP_PAGES(array, nr, offset, size)						\
	PTR_ERR(dpmgr_stream_map_pages(client, array, nr, offset, size, DMA_TO_DEVICE,	\
				       GFP_KERNEL))
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 0, 0, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 1, 0, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(NULL, 1, 0, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 1, 1, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 1, PAGE_SIZE, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 1, 2, SIZE_MAX));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 3, 0, 2 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, sg_alloc_table(&table, 2, GFP_KERNEL));
	sg_set_buf(table.sgl, bytes, 10);
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(dpmgr_stream_map_sg(client, &table, DMA_TO_DEVICE,
								   GFP_KERNEL)));
	sg_free_table(&table);
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(dpmgr_stream_alloc(client, 0, DMA_TO_DEVICE,
								  GFP_KERNEL)));
	for (i = 0; i < ARRAY_SIZE(huge); i++)
		KUNIT_EXPECT_EQ(test, -E2BIG, PTR_ERR(dpmgr_stream_alloc(client, huge[i],
									 DMA_TO_DEVICE,
									 GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(dpmgr_stream_alloc(client, 1, any(DMA_NONE),
								  GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(NULL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(ERR_PTR(-ENOMEM)));
	stream_unload(test, client);
}

static void bad_input_is_refused_where_streams_are_direct(struct kunit *test)
{
	bad_input_is_refused(test);
}

static void a_freed_stream_is_stale(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, test->param_value);
	u8 *bytes = stream_memory(test, 2 * PAGE_SIZE);
	struct dpmgr_stream own, *streams[2];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes, 100,
						       DMA_BIDIRECTIONAL, GFP_KERNEL));
	streams[0] = &own;
	streams[1] = stream_map(test, client, bytes, 100, DMA_BIDIRECTIONAL);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[i]));
		KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(streams[i]));
		stream_expect_write(test, streams[i], 0, 8, DMA_BIDIRECTIONAL, -ESTALE);
		stream_expect_read(test, streams[i], 0, 8, DMA_BIDIRECTIONAL, -ESTALE);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(streams[i]), 0);
		KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(streams[i]));
		KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(streams[i], 0, NULL),
				DMA_MAPPING_ERROR);
		KUNIT_EXPECT_EQ(test, -ESTALE, PTR_ERR(dpmgr_stream_split(streams[i], PAGE_SIZE,
									  GFP_KERNEL)));
	}
	stream_unload(test, client);
}

static void destroying_a_client_ends_its_streams(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, test->param_value ?: &stream_direct);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, 3 * PAGE_SIZE);
	struct dpmgr_stream *stream = stream_map(test, client, bytes, 3 * PAGE_SIZE, DMA_TO_DEVICE);
	struct dpmgr_stream *own = kunit_kcalloc(test, 2, sizeof(*own), GFP_KERNEL);
	struct dpmgr_stream *rest, *plain = &own[0], *stays = &own[1];
	struct dpmgr_client *other;

	KUNIT_ASSERT_NOT_NULL(test, own);
	f->streaming_mask = DMA_BIT_MASK(64);
	other = fixture_client(test, f, "other");
	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(plain, client, bytes, 5, DMA_TO_DEVICE,
						       GFP_KERNEL));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(stays, other, bytes, 5, DMA_TO_DEVICE,
						       GFP_KERNEL));
	if (!test->param_value)
		KUNIT_EXPECT_NOT_NULL(test, stays->slot);
	rest = dpmgr_stream_split(stream, PAGE_SIZE - offset_in_page(bytes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(rest));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(plain));
	KUNIT_EXPECT_EQ(test, 5, dpmgr_stream_size(stays));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stays));
	stream_unload(test, other);
}

/* They are in slots, which clients share. */
static void destroying_a_client_ends_its_direct_streams_only(struct kunit *test)
{
	destroying_a_client_ends_its_streams(test);
}

/* On one CPU, all of whose slots are taken. */
static void a_stream_that_finds_no_slot_is_known_all_the_same(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct dpmgr_stream *streams, *old, *stream;
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	unsigned int i;

	streams = kunit_kcalloc(test, DPMGR_STREAM_SLOTS, sizeof(*streams), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streams);
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(0)));
	/* The first comes from elsewhere, and then it is at hand. */
	for (i = 0; i < 2; i++) {
		old = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(old));
	}
	for (i = 0; i < DPMGR_STREAM_SLOTS; i++)
		KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&streams[i], client, bytes, 1,
							       DMA_TO_DEVICE, GFP_KERNEL));
	stream = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_NULL(test, stream->slot);
	KUNIT_EXPECT_PTR_NE(test, stream, old);
	/* Taken for a moment, and given back: it must not look live. */
	KUNIT_EXPECT_NE(test, READ_ONCE(old->state), DPMGR_STREAM_LIVE);
	if (READ_ONCE(old->state) != DPMGR_STREAM_LIVE)
		KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(old));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	for (i = 0; i < DPMGR_STREAM_SLOTS; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&streams[i]));
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	stream_unload(test, client);
}

/* More than fit where the lock isn't needed, and one that is split. */
static void many_streams_of_the_callers_are_direct_at_once(struct kunit *test)
{
	enum { NR = 3 * DPMGR_STREAM_SLOTS };
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct dpmgr_stream *streams, *rest;
	u8 *bytes = stream_memory(test, (NR + 1) * PAGE_SIZE);
	u8 *first = PTR_ALIGN(bytes, PAGE_SIZE);
	unsigned int i, nr_in_slots = 0;

	streams = kunit_kcalloc(test, NR, sizeof(*streams), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streams);
	for (i = 0; i < NR - 1; i++) {
		KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&streams[i], client,
							       first + i * PAGE_SIZE, PAGE_SIZE,
							       DMA_TO_DEVICE, GFP_KERNEL));
		nr_in_slots += !!streams[i].slot;
		KUNIT_EXPECT_PTR_EQ(test, device(&streams[i], 0), first + i * PAGE_SIZE);
	}
	KUNIT_EXPECT_GE(test, nr_in_slots, DPMGR_STREAM_SLOTS / 2);
	for (i = 0; i < NR - 1; i += 2)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&streams[i]));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&streams[0], client, first, 2 * PAGE_SIZE,
						       DMA_TO_DEVICE, GFP_KERNEL));
	KUNIT_EXPECT_NOT_NULL(test, streams[0].slot);
	rest = dpmgr_stream_split(&streams[0], PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&streams[0]));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(rest, 0, 1, PAGE_SIZE, DMA_TO_DEVICE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	/* The others go with their client. */
	dpmgr_client_destroy(client);
	for (i = 1; i < NR - 1; i++)
		KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(&streams[i]));
	fixture_expect_all_free(test, test->priv);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_the_device_reaches_and_sees_is_direct),
	KUNIT_CASE(what_is_for_vtl0_bounces),
	BOUNCING(what_it_cannot_reach_or_see_bounces_through_the_shared_pool),
	BOUNCING(only_the_bytes_that_were_asked_for_are_synced),
	BOUNCING(bytes_that_the_device_did_not_write),
	KUNIT_CASE(a_direct_stream_leaves_what_the_device_did_not_write),
	BOUNCING(allocated_streams_are_zero_and_need_no_copy),
	KUNIT_CASE(allocated_streams_are_of_the_kernel_where_it_is_seen),
	BOUNCING(a_stream_is_used_in_its_direction_only),
	BOUNCING(a_range_that_is_not_within_the_stream_is_refused),
	BOUNCING(bad_input_is_refused),
	KUNIT_CASE(bad_input_is_refused_where_streams_are_direct),
	BOUNCING(a_freed_stream_is_stale),
	BOUNCING(destroying_a_client_ends_its_streams),
	KUNIT_CASE(destroying_a_client_ends_its_direct_streams_only),
	KUNIT_CASE(a_stream_that_finds_no_slot_is_known_all_the_same),
	KUNIT_CASE(many_streams_of_the_callers_are_direct_at_once),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
