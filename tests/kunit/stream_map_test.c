// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of memory of all kinds: pages, tables, ranges that are mapped elsewhere, buffers;
 * parts of them; memory that runs out meanwhile.
 */
#include <linux/cleanup.h>
#include <linux/console.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/kmsg_dump.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/scatterlist.h>
#include <linux/vmalloc.h>

#include "fault.h"
#include "stream_fixture.h"

static void a_split_makes_two_streams_that_end_by_themselves(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream, *rest;
	u8 *device_rest;
	u8 *bytes = stream_memory(test, 5 * PAGE_SIZE);
	unsigned int first;

	stream_write_pattern(bytes, 5 * PAGE_SIZE);
	for (first = 0; first < 2; first++) {
		/* From byte 100 on; pages begin at bytes 3996, 8092 and so on. */
		stream = stream_map(test, client, bytes + 100, 3 * PAGE_SIZE, DMA_BIDIRECTIONAL);
#define SPLIT(offset)	PTR_ERR(dpmgr_stream_split(stream, offset, GFP_KERNEL))
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(0));
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(3 * PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(4 * PAGE_SIZE - 100));
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(SIZE_MAX - 99));
		rest = dpmgr_stream_split(stream, 2 * PAGE_SIZE - 100, GFP_ATOMIC);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), 2 * PAGE_SIZE - 100);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(rest), PAGE_SIZE + 100);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(rest), platform != &stream_direct);
		device_rest = device(rest, 0);
		KUNIT_EXPECT_PTR_EQ(test, device_rest, device(stream, 0) + 2 * PAGE_SIZE - 100);
		KUNIT_EXPECT_EQ(test, PAGE_SIZE + 100,
				stream_pattern_end(device_rest, PAGE_SIZE + 100, 2 * PAGE_SIZE));
		stream_expect_write(test, stream, 2 * PAGE_SIZE - 100, 1, DMA_BIDIRECTIONAL,
				    -EINVAL);
		stream_expect_read(test, rest, PAGE_SIZE + 100, 1, DMA_BIDIRECTIONAL, -EINVAL);

		device_rest[7] = 0xee;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(rest, 7, 1,
								   DMA_BIDIRECTIONAL));
		KUNIT_EXPECT_EQ(test, bytes[2 * PAGE_SIZE + 7], 0xee);
		bytes[2 * PAGE_SIZE + 7] = pattern(2 * PAGE_SIZE + 7);

		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(first ? rest : stream));
		if (platform != &stream_direct) {
			KUNIT_EXPECT_NE(test, fixture_used(f->mgr->pools[DPMGR_SHARED]), 0);
			/* What is over is scrubbed at once. */
			KUNIT_EXPECT_EQ(test, is_all_zero(device_rest, PAGE_SIZE + 100), first);
		}
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(first ? stream : rest));
	}
	KUNIT_EXPECT_EQ(test, stream_pattern_end(bytes, 5 * PAGE_SIZE, 0), 5 * PAGE_SIZE);
	stream_unload(test, client);
}

static void a_direct_stream_is_split_as_well(struct kunit *test)
{
	a_split_makes_two_streams_that_end_by_themselves(test);
}

static void halves_are_split_again(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, test->param_value);
	struct dpmgr_stream *streams[8];
	unsigned int i;

	streams[0] = dpmgr_stream_alloc(client, 8 * PAGE_SIZE, DMA_TO_DEVICE, GFP_KERNEL);
	for (i = 0; i < 7; i++) {
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, streams[i]);
		streams[i + 1] = dpmgr_stream_split(streams[i], PAGE_SIZE, GFP_KERNEL);
	}
	for (i = 0; i < 8; i++) {
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(streams[i]), PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(streams[i], 0, i + 1, PAGE_SIZE,
							   DMA_TO_DEVICE));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(streams[i], 0, PAGE_SIZE,
								      DMA_TO_DEVICE));
	}
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_TRUE(test, is_all(device(streams[i], 0), i + 1, PAGE_SIZE));
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[(i * 3) % 8]));
	stream_unload(test, client);
}

static void pages_are_mapped_from_any_offset_on(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct page *pages[NR_SCATTERED];
	const size_t size = 3 * PAGE_SIZE + 5;
	size_t offset;

	stream_scatter(test, pages);
	for (offset = 0; offset < 3 * PAGE_SIZE; offset += 1111) {
		struct dpmgr_stream *stream, *rest;
		size_t len;

		stream = dpmgr_stream_map_pages(client, pages, NR_SCATTERED, offset, size,
						DMA_BIDIRECTIONAL, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(stream), platform != &stream_direct);
		dpmgr_stream_dma_addr(stream, 0, &len);
		KUNIT_EXPECT_EQ(test, len, platform == &stream_direct ?
				PAGE_SIZE - offset_in_page(offset) : size);
		stream_expect_moves(test, stream, size);
		/* The same for its parts. */
		len = 2 * PAGE_SIZE - offset_in_page(offset);
		rest = dpmgr_stream_split(stream, len, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
		stream_expect_moves(test, stream, len);
		stream_expect_moves(test, rest, size - len);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		stream_expect_moves(test, rest, size - len);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	}
	stream_unload(test, client);
}

static void pages_that_are_seen_are_mapped_where_they_are(struct kunit *test)
{
	pages_are_mapped_from_any_offset_on(test);
}

static u8 module_data[PAGE_SIZE];

static void memory_that_is_mapped_elsewhere_can_be_streamed(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	const size_t size = 5 * PAGE_SIZE + 9;
	u8 *bytes = vmalloc(size + 3);
	struct dpmgr_stream *stream;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	memset(bytes, POISON, size + 3);
	stream = dpmgr_stream_map(client, bytes + 1, size, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
	if (!IS_ERR(stream))
		stream_expect_moves(test, stream, size);
	dpmgr_stream_free(stream);
	KUNIT_EXPECT_EQ(test, bytes[0], POISON);
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 1 + size, POISON, 2));
	vfree(bytes);
	stream = stream_map(test, client, module_data + 1, PAGE_SIZE - 1, DMA_BIDIRECTIONAL);
	stream_expect_moves(test, stream, PAGE_SIZE - 1);
	dpmgr_stream_free(stream);
	stream_unload(test, client);
}

static void such_memory_is_mapped_page_by_page_if_it_is_seen(struct kunit *test)
{
	memory_that_is_mapped_elsewhere_can_be_streamed(test);
}

/* Reserved for tests, and above their pools: see scripts/check-kunit. */
#define DEVICE_MEMORY	0x23000000

/* It has pages like any other, and only its driver knows how long it is there. */
static void a_devices_memory_is_not_streamed(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct dev_pagemap pagemap = {
		.type = MEMORY_DEVICE_GENERIC,
		.range = { .start = DEVICE_MEMORY, .end = DEVICE_MEMORY + SZ_2M - 1 },
		.nr_range = 1,
	};
	struct page *pages[] = { virt_to_page(stream_memory(test, 1)), NULL };
	struct dpmgr_stream *stream;
	struct scatterlist entries[2];
	struct sg_table table = { entries, 2, 2 };
	void *there = memremap_pages(&pagemap, NUMA_NO_NODE);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, there);
	pages[1] = virt_to_page(there);
	stream = dpmgr_stream_map_pages(client, pages, 2, 0, 2 * PAGE_SIZE, DMA_TO_DEVICE,
					GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR_OR_ZERO(stream));
	dpmgr_stream_free(stream);
	sg_init_table(entries, 2);
	sg_set_page(&entries[0], pages[0], PAGE_SIZE, 0);
	sg_set_page(&entries[1], pages[1], PAGE_SIZE, 0);
	stream = dpmgr_stream_map_sg(client, &table, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR_OR_ZERO(stream));
	dpmgr_stream_free(stream);
	memunmap_pages(&pagemap);
	stream_unload(test, client);
}

static void a_scatter_gather_table_is_one_stream(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream;
	struct scatterlist *sg;
	struct sg_table table;
	size_t size = 0;
	unsigned int i;

	stream_scatter(test, pages);
	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&table, NR_SCATTERED, GFP_KERNEL));
	for_each_sgtable_sg(&table, sg, i) {
		sg_set_page(sg, pages[i], 100 * (i + 1), 100 * i);
		size += sg->length;
	}
	stream = dpmgr_stream_map_sg(client, &table, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
	if (!IS_ERR(stream)) {
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), size);
		size = 0;
		for_each_sgtable_dma_sg(&table, sg, i) {
			KUNIT_EXPECT_EQ(test, sg_dma_len(sg), 100 * (i + 1));
			KUNIT_EXPECT_EQ(test, sg_dma_address(sg),
					dpmgr_stream_dma_addr(stream, size, NULL));
			size += sg_dma_len(sg);
		}
		KUNIT_EXPECT_EQ(test, size, dpmgr_stream_size(stream));
		stream_expect_moves(test, stream, size);
		for_each_sgtable_sg(&table, sg, i) {
			const u8 *bytes = page_address(pages[i]);

			KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 100 * i));
			KUNIT_EXPECT_TRUE(test, is_all(bytes + 100 * (2 * i + 1), POISON,
						       PAGE_SIZE - 100 * (2 * i + 1)));
		}
	}
	dpmgr_stream_free(stream);
	sg_free_table(&table);
	stream_unload(test, client);
}

static void a_table_that_is_seen_is_mapped_entry_by_entry(struct kunit *test)
{
	a_scatter_gather_table_is_one_stream(test);
}

static void a_stream_holds_its_buffer(struct kunit *test)
{
	static const struct {
		enum dpmgr_visibility visibility;
		bool persistent;
		bool bounces;
	} kinds[] = {
		{ DPMGR_SHARED, false, false },
		{ DPMGR_PRIVATE, true, true },
		{ DPMGR_PRIVATE, false, true },
	};
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *other = stream_load(test, platform);
	struct fixture *f = test->priv;
	unsigned int i;

	f->streaming_mask = DMA_BIT_MASK(64);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct dpmgr_client *client = stream_client(test, "owner", kinds[i].visibility,
							kinds[i].persistent);
		struct dpmgr_buf *buf = fixture_alloc(test, client, 5000, "tag");
		u8 *bytes = dpmgr_buf_vaddr(buf);
		struct dpmgr_stream *stream;

		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR(dpmgr_stream_map_buf(buf, 1, 5000, DMA_BIDIRECTIONAL,
							     GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR(dpmgr_stream_map_buf(buf, 2, SIZE_MAX, DMA_BIDIRECTIONAL,
							     GFP_KERNEL)));
		stream = dpmgr_stream_map_buf(buf, 100, 4900, DMA_BIDIRECTIONAL, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(stream),
				kinds[i].bounces && platform != &stream_direct &&
				!platform->low_mask);
		/* It is where the device has the buffer, address bit and all. */
		if (!dpmgr_stream_is_bounced(stream))
			KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL),
					dpmgr_buf_dma_addr(buf) + 100);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_free(buf));
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_EQ(test, client->nr_bufs, 1);
		stream_expect_moves(test, stream, 4900);
		KUNIT_EXPECT_TRUE(test, is_all_zero(bytes, 100));
		KUNIT_EXPECT_EQ(test, -ESTALE,
				PTR_ERR(dpmgr_stream_map_buf(buf, 0, 1, DMA_BIDIRECTIONAL,
							     GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_EQ(test, client->nr_bufs, 0);
		dpmgr_client_destroy(client);
	}
	stream_unload(test, other);
}

static void a_direct_stream_holds_its_buffer(struct kunit *test)
{
	a_stream_holds_its_buffer(test);
}

#define MOST_ALLOCATIONS	200

static struct dpmgr_stream *map_and_split(struct dpmgr_client *client, struct page **pages)
{
	struct dpmgr_stream *stream, *rest;

	stream = dpmgr_stream_map_pages(client, pages, NR_SCATTERED, 5, 4 * PAGE_SIZE,
					DMA_TO_DEVICE, GFP_KERNEL | __GFP_NOWARN);
	if (IS_ERR(stream))
		return stream;
	rest = dpmgr_stream_split(stream, PAGE_SIZE - 5, GFP_KERNEL | __GFP_NOWARN);
	dpmgr_stream_free(stream);
	return rest;
}

static struct dpmgr_stream *alloc_and_split(struct dpmgr_client *client, struct page **pages)
{
	struct dpmgr_stream *stream, *rest;

	stream = dpmgr_stream_alloc(client, 4 * PAGE_SIZE, DMA_TO_DEVICE,
				    GFP_KERNEL | __GFP_NOWARN);
	if (IS_ERR(stream))
		return stream;
	rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);
	dpmgr_stream_free(stream);
	return rest;
}

static void a_stream_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	static struct dpmgr_stream *(* const makes[])(struct dpmgr_client *client,
						      struct page **pages) = {
		map_and_split, alloc_and_split,
	};
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	unsigned int i, n, nr_failures;
	bool failed;

	if (!slab_fails() || !pages_fail())
		kunit_skip(test, "needs failslab and fail_page_alloc with ignore-gfp-wait=N");
	client = stream_load(test, platform);
	stream_scatter(test, pages);
	for (i = 0; i < ARRAY_SIZE(makes); i++) {
		nr_failures = 0;
		failed = true;
		for (n = 1; failed && n < MOST_ALLOCATIONS; n++) {
			struct dpmgr_stream *stream;

			fail_nth(n);
			stream = makes[i](client, pages);
			failed = has_failed();
			if (IS_ERR(stream)) {
				KUNIT_EXPECT_EQ(test, PTR_ERR(stream), -ENOMEM);
				KUNIT_EXPECT_TRUE(test, failed);
				nr_failures++;
			}
			dpmgr_stream_free(stream);
		}
		KUNIT_EXPECT_FALSE(test, failed);
		KUNIT_EXPECT_GT(test, nr_failures, 0);
	}
	stream_unload(test, client);
}

static void a_direct_stream_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	a_stream_that_runs_out_of_memory_can_be_tried_again(test);
}

/* Whether the kernel says that @gfp is not for a caller that may not sleep. */
static bool is_told_off(struct dpmgr_client *client, u8 *bytes, struct dpmgr_stream *own, gfp_t gfp)
{
	const int level = console_loglevel;
	struct dpmgr_stream *stream = own;
	struct kmsg_dump_iter log;

	/* It does so once a second; not on the console, where it would be somebody's mistake. */
	msleep(1100);
	stream_read_log(&log);
	console_loglevel = CONSOLE_LOGLEVEL_SILENT;
	scoped_guard(preempt) {
		if (!own)
			stream = dpmgr_stream_map(client, bytes, 1, DMA_TO_DEVICE, gfp);
		else if (dpmgr_stream_map_into(own, client, bytes, 1, DMA_TO_DEVICE, gfp))
			stream = NULL;
	}
	console_lock();
	console_unlock();
	console_loglevel = level;
	return !IS_ERR_OR_NULL(stream) && !dpmgr_stream_free(stream) &&
	       stream_log_says(&log, "sleeping function called");
}

/* Also where nothing would make it sleep just now. */
static void who_may_not_sleep_must_say_so(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct dpmgr_stream own;

	/* All that it takes is there. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream_map(test, client, bytes, 1,
							      DMA_TO_DEVICE)));
	if (IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP)) {
		KUNIT_EXPECT_TRUE(test, is_told_off(client, bytes, NULL, GFP_KERNEL));
		KUNIT_EXPECT_TRUE(test, is_told_off(client, bytes, &own, GFP_KERNEL));
	}
	KUNIT_EXPECT_FALSE(test, is_told_off(client, bytes, NULL, GFP_ATOMIC));
	KUNIT_EXPECT_FALSE(test, is_told_off(client, bytes, &own, GFP_ATOMIC));
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	BOUNCING(a_split_makes_two_streams_that_end_by_themselves),
	KUNIT_CASE(a_direct_stream_is_split_as_well),
	BOUNCING(halves_are_split_again),
	BOUNCING(pages_are_mapped_from_any_offset_on),
	KUNIT_CASE(pages_that_are_seen_are_mapped_where_they_are),
	BOUNCING(memory_that_is_mapped_elsewhere_can_be_streamed),
	KUNIT_CASE(a_devices_memory_is_not_streamed),
	KUNIT_CASE(such_memory_is_mapped_page_by_page_if_it_is_seen),
	BOUNCING(a_scatter_gather_table_is_one_stream),
	KUNIT_CASE(a_table_that_is_seen_is_mapped_entry_by_entry),
	BOUNCING(a_stream_holds_its_buffer),
	KUNIT_CASE(a_direct_stream_holds_its_buffer),
	BOUNCING(a_stream_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(a_direct_stream_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(who_may_not_sleep_must_say_so),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_map",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
