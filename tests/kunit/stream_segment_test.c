// SPDX-License-Identifier: GPL-2.0-only
/*
 * The limits that a device sets for a piece of memory: its length, the boundaries that it
 * doesn't cross, the bits of an address that are kept. They hold however a stream was made.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/scatterlist.h>
#include <linux/vmalloc.h>

#include "stream_device.h"
#include "stream_fixture.h"

/* A piece's length and the mask of its boundary; 0 for what no driver has said. */
static const struct limits {
	unsigned int max_size;
	unsigned long boundary;
} limits[] = {
	{}, { SZ_4K }, { 4095 }, { 512 }, { SZ_64K - 1, SZ_64K - 1 }, { UINT_MAX, SZ_64K - 1 },
	{ UINT_MAX, SZ_4K - 1 }, { UINT_MAX, 511 }, { 1000, SZ_8K - 1 }, { UINT_MAX, U32_MAX },
};

static void set_limits(struct kunit *test, const struct limits *limits, unsigned int align_mask)
{
	struct fixture *f = test->priv;
	struct device_dma_parameters *parms;

	parms = kunit_kzalloc(test, sizeof(*parms), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, parms);
	f->dev->dma_parms = parms;
	parms->max_segment_size = limits->max_size;
	parms->segment_boundary_mask = limits->boundary;
	parms->min_align_mask = align_mask;
}

static void expect_piece(struct kunit *test, const struct limits *limits, dma_addr_t at,
			 size_t len)
{
	const unsigned long boundary = limits->boundary ?: ULONG_MAX;

	KUNIT_ASSERT_NE(test, len, 0);
	KUNIT_ASSERT_LE(test, len, limits->max_size ?: SZ_64K);
	KUNIT_ASSERT_EQ(test, at & ~boundary, (at + len - 1) & ~boundary);
}

/* In as few pieces as the limits let it be, if it could be in one. Frees it. */
static void expect_pieces(struct kunit *test, struct dpmgr_stream *stream,
			  const struct limits *limits, size_t size, bool is_one)
{
	const unsigned long boundary = limits->boundary ?: ULONG_MAX;
	dma_addr_t next = 0, dma_addr;
	size_t at, len, last = 0;
	bool is_full;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_ASSERT_EQ(test, size, dpmgr_stream_size(stream));
	for (at = 0; at < size; at += len) {
		dma_addr = dpmgr_stream_dma_addr(stream, at, &len);
		expect_piece(test, limits, dma_addr, len);
		if (is_one && at) {
			KUNIT_ASSERT_EQ(test, dma_addr, next);
			is_full = last == (limits->max_size ?: SZ_64K);
			KUNIT_ASSERT_TRUE(test, is_full || !(dma_addr & boundary));
		}
		/* Wherever one asks. */
		dma_addr = dpmgr_stream_dma_addr(stream, at + len / 2, &last);
		expect_piece(test, limits, dma_addr, last);
		last = len;
		next = dpmgr_stream_dma_addr(stream, at, NULL) + len;
	}
	KUNIT_EXPECT_EQ(test, at, size);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
}

#define LONG	(3 * SZ_64K + 5000)

static void expect_parts(struct kunit *test, struct dpmgr_stream *stream,
			 const struct limits *limits, size_t offset)
{
	struct dpmgr_stream *rest;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	rest = dpmgr_stream_split(stream, 20 * PAGE_SIZE - offset, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	expect_pieces(test, stream, limits, 20 * PAGE_SIZE - offset, true);
	expect_pieces(test, rest, limits, LONG - 20 * PAGE_SIZE + offset, true);
}

static void pieces_keep_within_the_limits_of_the_device(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	const bool bounces = platform != &stream_direct;
	struct page *pages[NR_SCATTERED];
	struct dpmgr_client *client;
	u8 *bytes = PTR_ALIGN(stream_memory(test, LONG + SZ_64K), PAGE_SIZE);
	u8 *vmalloced = vmalloc(LONG);
	struct dpmgr_stream own;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, vmalloced);
	stream_scatter(test, pages);
	client = stream_load(test, platform);
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct limits *l = &limits[i];

		set_limits(test, l, 0);
		expect_pieces(test, stream_map(test, client, bytes + 77, LONG, DMA_TO_DEVICE), l,
			      LONG, true);
		KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes + 1, 9999,
							       DMA_TO_DEVICE, GFP_KERNEL));
		expect_pieces(test, &own, l, 9999, true);
		expect_pieces(test, stream_map(test, client, vmalloced + 3, LONG - 3,
					       DMA_TO_DEVICE), l, LONG - 3, bounces);
		expect_pieces(test, dpmgr_stream_map_pages(client, pages, NR_SCATTERED, 5,
							   5 * PAGE_SIZE, DMA_TO_DEVICE,
							   GFP_KERNEL), l, 5 * PAGE_SIZE, bounces);
		expect_pieces(test, dpmgr_stream_alloc(client, LONG, DMA_TO_DEVICE, GFP_KERNEL), l,
			      LONG, true);
		expect_parts(test, stream_map(test, client, bytes + 77, LONG, DMA_TO_DEVICE), l,
			     77);
		expect_parts(test, dpmgr_stream_alloc(client, LONG, DMA_TO_DEVICE, GFP_KERNEL), l,
			     0);
	}
	vfree(vmalloced);
	stream_unload(test, client);
}

static void those_of_a_direct_stream_do(struct kunit *test)
{
	pieces_keep_within_the_limits_of_the_device(test);
}

static void those_of_buffers_do(struct kunit *test)
{
	static const struct {
		enum dpmgr_visibility visibility;
		bool persistent;
	} kinds[] = { { DPMGR_SHARED, false }, { DPMGR_PRIVATE, true }, { DPMGR_PRIVATE, false } };
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *other = stream_load(test, platform);
	struct fixture *f = test->priv;
	unsigned int i, k;

	f->streaming_mask = DMA_BIT_MASK(64);
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct dpmgr_client *client = stream_client(test, "owner", kinds[k].visibility,
							    kinds[k].persistent);
		struct dpmgr_buf *buf = fixture_alloc(test, client, SZ_128K, "tag");

		for (i = 0; i < ARRAY_SIZE(limits); i++) {
			set_limits(test, &limits[i], 0);
			expect_pieces(test, dpmgr_stream_map_buf(buf, 9, SZ_128K - 9,
								 DMA_BIDIRECTIONAL, GFP_KERNEL),
				      &limits[i], SZ_128K - 9, dpmgr_buf_is_contiguous(buf));
		}
		dpmgr_free(buf);
		dpmgr_client_destroy(client);
	}
	stream_unload(test, other);
}

/* ---- tables: an entry is a piece ------------------------------------------ */

struct entry {
	size_t offset;
	size_t size;
};

static struct dpmgr_stream *map_entries(struct kunit *test, struct dpmgr_client *client,
					u8 *bytes, const struct entry *entries, unsigned int nr,
					struct sg_table *table)
{
	struct dpmgr_stream *stream;
	struct scatterlist *sg;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(table, nr, GFP_KERNEL));
	for_each_sgtable_sg(table, sg, i)
		sg_set_buf(sg, bytes + entries[i].offset, entries[i].size);
	stream = dpmgr_stream_map_sg(client, table, DMA_BIDIRECTIONAL, GFP_KERNEL);
	if (IS_ERR(stream))
		sg_free_table(table);
	return stream;
}

static void expect_entries(struct kunit *test, struct dpmgr_client *client, u8 *bytes,
			   const struct limits *limits, const struct entry *entries,
			   unsigned int nr)
{
	struct dpmgr_stream *stream;
	struct scatterlist *sg;
	struct sg_table table;
	unsigned int i;

	stream = map_entries(test, client, bytes, entries, nr, &table);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	for_each_sgtable_dma_sg(&table, sg, i) {
		KUNIT_EXPECT_EQ(test, sg_dma_len(sg), entries[i].size);
		expect_piece(test, limits, sg_dma_address(sg), sg_dma_len(sg));
		KUNIT_EXPECT_EQ(test, offset_in_page(sg_dma_address(sg)),
				offset_in_page(bytes + entries[i].offset));
	}
	stream_expect_moves(test, stream, dpmgr_stream_size(stream));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	sg_free_table(&table);
}

/* None crosses 16 pages of the memory; some continue the one before. */
static const struct entry block_entries[] = {
	{ 100, 5000 }, { SZ_16K + 5, SZ_32K }, { SZ_32K + SZ_16K + 5, SZ_16K - 5 },
	{ SZ_64K, SZ_64K }, { 2 * SZ_64K, 17 }, { 2 * SZ_64K + 17, SZ_64K - 17 },
	{ 4 * SZ_64K - 100, 100 }, { 4 * SZ_64K, SZ_32K + 1 }, { 5 * SZ_64K - SZ_16K, SZ_8K + 3 },
};

/*
 * A pool through which boundaries go, at each place in it; bounces of all lengths in stock,
 * none of which happens to be aligned.
 */
static void no_entry_crosses_a_boundary_in_the_bounce(struct kunit *test)
{
	static const struct limits l = { UINT_MAX, SZ_64K - 1 };
	struct dpmgr_client *client;
	struct fixture *f = test->priv;
	struct dpmgr_stream *before;
	unsigned int i, first, nr;
	u8 *bytes;

	bytes = PTR_ALIGN(stream_memory(test, 6 * SZ_64K), SZ_64K);
	stream_take_big_pool(test);
	f->shared.start += PAGE_SIZE;
	f->shared.size -= PAGE_SIZE;
	client = stream_load(test, &stream_bouncing[0]);
	set_limits(test, &l, PAGE_SIZE - 1);
	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_SHARED]))
		;
	for (i = 1; i < 20; i += 5) {
		before = stream_map(test, client, bytes, i * PAGE_SIZE, DMA_TO_DEVICE);
		for (first = 0; first < ARRAY_SIZE(block_entries); first++)
			for (nr = 1; nr <= ARRAY_SIZE(block_entries) - first; nr++)
				expect_entries(test, client, bytes, &l, block_entries + first, nr);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(before));
	}
	stream_unload(test, client);
}

/* Where none goes through the pool, nothing is wasted for it. */
static void a_boundary_that_is_elsewhere_costs_no_page(struct kunit *test)
{
	static const struct limits l = { UINT_MAX, U32_MAX };
	struct dpmgr_client_params params = fixture_params("with-quota");
	struct dpmgr_client *other, *client;
	struct fixture *f = test->priv;
	u8 *bytes;

	bytes = PTR_ALIGN(stream_memory(test, 6 * SZ_64K), SZ_64K);
	other = stream_load(test, &stream_bouncing[0]);
	KUNIT_ASSERT_EQ(test, f->shared.start >> 32, (f->shared.start + f->shared.size - 1) >> 32);
	/* What these need: 2, 12, 16, 16, 1, 9, 3 pages, some in pages of the one before. */
	params.quota = 2 + 12 + 16 + 16 + 1 + 9 + 3;
	client = stream_create(test, &stream_bouncing[0], &params);
	set_limits(test, &l, PAGE_SIZE - 1);
	expect_entries(test, client, bytes, &l, block_entries, ARRAY_SIZE(block_entries));
	dpmgr_client_destroy(client);
	params.quota--;
	client = stream_create(test, &stream_bouncing[0], &params);
	KUNIT_EXPECT_EQ(test, -EDQUOT,
			PTR_ERR(map_entries(test, client, bytes, block_entries,
					    ARRAY_SIZE(block_entries), &(struct sg_table){})));
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

/* Pools that are just large enough, if no more is aligned than must be. */
static const struct tight {
	unsigned int first;	/* page after a multiple of 64 KiB */
	unsigned int nr_pages;
	unsigned long boundary;
	unsigned int nr;
	struct entry entries[3];
} tight[] = {
	/* No entry has more than a page. */
	{ 1, 3, SZ_8K - 1, 3, { { 100, 50 }, { SZ_4K, SZ_4K }, { SZ_8K + 5, 10 } } },
	/* The pool ends at a boundary. */
	{ 13, 3, SZ_64K - 1, 2, { { 0, SZ_8K }, { 3 * SZ_4K + 1, 5 } } },
	/* One goes through it, but the bounce is short. */
	{ 10, 7, SZ_64K - 1, 1, { { 0, SZ_8K } } },
};

static void no_more_is_aligned_than_must_be(struct kunit *test)
{
	struct fixture *f = test->priv;
	const u64 start = ALIGN(f->shared.start, SZ_64K);
	struct dpmgr_client *client;
	unsigned int i;
	u8 *bytes;

	bytes = PTR_ALIGN(stream_memory(test, 2 * SZ_64K), SZ_64K);
	for (i = 0; i < ARRAY_SIZE(tight); i++) {
		const struct limits l = { UINT_MAX, tight[i].boundary };

		f->shared.start = start + tight[i].first * PAGE_SIZE;
		f->shared.size = tight[i].nr_pages * PAGE_SIZE;
		client = stream_load(test, &stream_bouncing[0]);
		set_limits(test, &l, PAGE_SIZE - 1);
		expect_entries(test, client, bytes, &l, tight[i].entries, tight[i].nr);
		stream_unload(test, client);
		fixture_unload(f);
	}
}

/* Only an aligned run will do, and there never is one: that is no exhaustion. */
static void a_pool_without_an_aligned_run_is_too_small(struct kunit *test)
{
	static const struct limits l = { UINT_MAX, SZ_128K - 1 };
	static const struct entry entries[] = { { 0, SZ_128K } };
	struct dpmgr_client *client;
	struct fixture *f = test->priv;
	struct sg_table table;
	u8 *bytes;

	bytes = PTR_ALIGN(stream_memory(test, 2 * SZ_128K), SZ_128K);
	f->shared.start = ALIGN(f->shared.start, SZ_128K) + PAGE_SIZE;
	f->shared.size = 2 * SZ_128K - 2 * PAGE_SIZE;
	client = stream_load(test, &stream_bouncing[0]);
	set_limits(test, &l, 0);
	KUNIT_EXPECT_EQ(test, -E2BIG,
			PTR_ERR(map_entries(test, client, bytes, entries, 1, &table)));
	set_limits(test, &limits[0], 0);
	expect_pieces(test, stream_map(test, client, bytes, SZ_128K, DMA_TO_DEVICE), &limits[0],
		      SZ_128K, true);
	stream_unload(test, client);
}

static void expect_refused(struct kunit *test, struct dpmgr_client *client, u8 *bytes,
			   const struct entry *entries, unsigned int nr,
			   const char * const *parts)
{
	struct kmsg_dump_iter log;
	struct sg_table table;
	bool said = false;
	unsigned int i;

	fixture_log_start(&log);
	/* Such messages are held back for five seconds at most. */
	for (i = 0; i < 100 && !said; i++) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR(map_entries(test, client, bytes, entries, nr, &table)));
		said = fixture_log_has(test, &log, parts);
		if (!said)
			msleep(100);
	}
	KUNIT_EXPECT_TRUE(test, said);
}

static void an_entry_that_breaks_a_limit_is_refused_and_the_log_names_it(struct kunit *test)
{
	static const char * const too_long[] = {
		"refused: 4097 bytes in an entry", "dma_set_max_seg_size()", NULL,
	};
	static const char * const across[] = {
		"refused: 4097 bytes in an entry", "dma_set_seg_boundary()", NULL,
	};
	static const struct entry entries[] = { { 0, SZ_4K }, { SZ_8K, SZ_4K + 1 } };
	static const struct entry crossing[] = { { 0, SZ_4K }, { SZ_64K - SZ_4K, SZ_4K + 1 } };
	struct dpmgr_client *client = stream_load(test, test->param_value ?: &stream_direct);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 3 * SZ_64K), SZ_64K);

	set_limits(test, &(struct limits){ SZ_4K }, 0);
	expect_refused(test, client, bytes, entries, 2, too_long);
	expect_entries(test, client, bytes, &(struct limits){ SZ_4K }, entries, 1);
	set_limits(test, &(struct limits){ SZ_4K + 1 }, 0);
	expect_entries(test, client, bytes, &(struct limits){ SZ_4K + 1 }, entries, 2);
	set_limits(test, &(struct limits){ UINT_MAX, SZ_64K - 1 }, 0);
	expect_refused(test, client, bytes, crossing, 2, across);
	expect_entries(test, client, bytes, &(struct limits){ UINT_MAX, SZ_64K - 1 }, crossing, 1);
	expect_entries(test, client, bytes, &(struct limits){ UINT_MAX, SZ_64K - 1 }, entries, 2);
	stream_unload(test, client);
}

static void so_is_one_of_a_direct_stream(struct kunit *test)
{
	an_entry_that_breaks_a_limit_is_refused_and_the_log_names_it(test);
}

/* ---- bits of the address that are kept ------------------------------------ */

static void bits_of_the_address_are_kept_or_the_stream_refused(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	static const unsigned int masks[] = { 0, 3, 63, 511, PAGE_SIZE - 1 };
	u8 *bytes = PTR_ALIGN(stream_memory(test, 4 * SZ_64K), SZ_64K);
	const bool bounces = platform != &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream;
	unsigned int i, offset;

	stream_scatter(test, pages);
	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		set_limits(test, &limits[0], masks[i]);
		for (offset = 0; offset < SZ_8K; offset += 997) {
			stream = stream_map(test, client, bytes + offset, SZ_8K, DMA_TO_DEVICE);
			KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL) & masks[i],
					virt_to_phys(bytes + offset) & masks[i]);
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		}
	}
	/* More than a page's offset: by the kernel's DMA API only. */
	for (i = 0; i < 2; i++) {
		set_limits(test, &limits[0], i ? SZ_64K - 1 : 2 * PAGE_SIZE - 1);
		if (bounces) {
			stream_expect_map(test, client, -EOPNOTSUPP, bytes, SZ_8K, DMA_TO_DEVICE,
					  GFP_KERNEL);
			KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
					PTR_ERR(dpmgr_stream_map_pages(client, pages, 1, 0, 1,
								       DMA_TO_DEVICE,
								       GFP_KERNEL)));
		} else {
			stream = stream_map(test, client, bytes + 1, SZ_8K, DMA_TO_DEVICE);
			KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL),
					virt_to_phys(bytes + 1));
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		}
		/* What has no address yet has no bits of one. */
		stream = dpmgr_stream_alloc(client, SZ_8K, DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
		dpmgr_stream_free(stream);
	}
	stream_unload(test, client);
}

static void a_direct_stream_keeps_all_bits(struct kunit *test)
{
	bits_of_the_address_are_kept_or_the_stream_refused(test);
}

static struct kunit_case cases[] = {
	BOUNCING(pieces_keep_within_the_limits_of_the_device),
	KUNIT_CASE(those_of_a_direct_stream_do),
	BOUNCING(those_of_buffers_do),
	KUNIT_CASE(no_entry_crosses_a_boundary_in_the_bounce),
	KUNIT_CASE(a_boundary_that_is_elsewhere_costs_no_page),
	KUNIT_CASE(no_more_is_aligned_than_must_be),
	KUNIT_CASE(a_pool_without_an_aligned_run_is_too_small),
	BOUNCING(an_entry_that_breaks_a_limit_is_refused_and_the_log_names_it),
	KUNIT_CASE(so_is_one_of_a_direct_stream),
	BOUNCING(bits_of_the_address_are_kept_or_the_stream_refused),
	KUNIT_CASE(a_direct_stream_keeps_all_bits),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_segment",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
