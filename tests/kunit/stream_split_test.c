// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parts of parts of streams: each has the memory that it had in the whole.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>

#include "stream_fixture.h"

/* How a whole of NR_SCATTERED pages is taken apart. */
static const struct cut {
	u8 part;	/* which of those there are */
	u8 pages;	/* that it keeps */
} cuts[] = {
	/* Each from the rest of the one before. */
	{ 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 },
	/* In halves, and then both of these. */
	{ 0, 4 }, { 0, 2 }, { 0, 1 }, { 2, 1 }, { 1, 1 },
};

#define NR_CUTS	(NR_SCATTERED - 1)

struct part {
	struct dpmgr_stream *stream;
	unsigned int first;	/* page of the whole */
	unsigned int nr_pages;
};

static struct dpmgr_stream *map_pages(struct dpmgr_client *client, struct page **pages)
{
	return dpmgr_stream_map_pages(client, pages, NR_SCATTERED, 0, NR_SCATTERED * PAGE_SIZE,
				      DMA_BIDIRECTIONAL, GFP_KERNEL);
}

static struct dpmgr_stream *map_table(struct dpmgr_client *client, struct page **pages)
{
	struct dpmgr_stream *stream;
	struct scatterlist *sg;
	struct sg_table table;
	unsigned int i;

	if (sg_alloc_table(&table, NR_SCATTERED, GFP_KERNEL))
		return ERR_PTR(-ENOMEM);
	for_each_sgtable_sg(&table, sg, i)
		sg_set_page(sg, pages[i], PAGE_SIZE, 0);
	stream = dpmgr_stream_map_sg(client, &table, DMA_BIDIRECTIONAL, GFP_KERNEL);
	sg_free_table(&table);
	return stream;
}

/* The CPU's and the device's bytes are those of the pages that it has, and no others. */
static void expect_part(struct kunit *test, const struct part *part, struct page **pages,
			bool is_direct, u8 mark)
{
	const size_t size = part->nr_pages * PAGE_SIZE;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, dpmgr_stream_size(part->stream), size);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(part->stream), !is_direct);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(part->stream, 0, mark, size,
						   DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(part->stream, 0, size,
							      DMA_BIDIRECTIONAL));
	for (i = 0; i < part->nr_pages; i++) {
		struct page *page = pages[part->first + i];

		KUNIT_EXPECT_TRUE(test, is_all(page_address(page), mark, PAGE_SIZE));
		KUNIT_EXPECT_TRUE(test, is_all(device(part->stream, i * PAGE_SIZE), mark,
					       PAGE_SIZE));
		if (is_direct)
			KUNIT_EXPECT_EQ(test, page_to_phys(page),
					dpmgr_stream_dma_addr(part->stream, i * PAGE_SIZE, NULL));
	}
}

static void expect_parts(struct kunit *test, const struct part *parts, unsigned int nr,
			 struct page **pages, bool is_direct)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		expect_part(test, &parts[i], pages, is_direct, 0x10 + i);
	/* None of them has written into another. */
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_TRUE(test, is_all(device(parts[i].stream, 0), 0x10 + i, PAGE_SIZE));
		/* What the device writes arrives there as well. */
		memset(device(parts[i].stream, 0), 0x40 + i, PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(parts[i].stream, 0, PAGE_SIZE,
								   DMA_BIDIRECTIONAL));
		KUNIT_EXPECT_TRUE(test, is_all(page_address(pages[parts[i].first]), 0x40 + i,
					       PAGE_SIZE));
	}
}

static void take_apart(struct kunit *test, struct dpmgr_stream *whole, const struct cut *cut,
		       struct page **pages, bool is_direct)
{
	struct part parts[NR_SCATTERED] = { { whole, 0, NR_SCATTERED } };
	unsigned int nr;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, whole);
	for (nr = 1; nr < NR_SCATTERED; nr++, cut++) {
		struct part *part = &parts[cut->part], *rest = &parts[nr];

		rest->stream = dpmgr_stream_split(part->stream, cut->pages * PAGE_SIZE,
						  GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest->stream);
		rest->first = part->first + cut->pages;
		rest->nr_pages = part->nr_pages - cut->pages;
		part->nr_pages = cut->pages;
		expect_parts(test, parts, nr + 1, pages, is_direct);
	}
	/* The others are as they were. */
	while (nr--) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(parts[nr].stream));
		expect_parts(test, parts, nr, pages, is_direct);
	}
}

static void parts_of_parts_have_their_own_memory(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	const bool is_direct = platform == &stream_direct;
	struct page *pages[NR_SCATTERED];
	unsigned int i;

	static_assert(ARRAY_SIZE(cuts) % NR_CUTS == 0);
	stream_scatter(test, pages);
	for (i = 0; i < ARRAY_SIZE(cuts); i += NR_CUTS) {
		take_apart(test, map_pages(client, pages), &cuts[i], pages, is_direct);
		take_apart(test, map_table(client, pages), &cuts[i], pages, is_direct);
	}
	stream_unload(test, client);
}

static void parts_of_direct_parts_have_their_own_memory(struct kunit *test)
{
	parts_of_parts_have_their_own_memory(test);
}

/* Two of the pages are side by side, and so in one piece; the third makes a second. */
static void a_part_ends_where_it_was_cut_off(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 5 * PAGE_SIZE), PAGE_SIZE);
	struct page *pages[] = {
		virt_to_page(bytes), virt_to_page(bytes + PAGE_SIZE),
		virt_to_page(bytes + 3 * PAGE_SIZE),
	};
	struct dpmgr_stream *stream, *rest;
	size_t len;

	stream = dpmgr_stream_map_pages(client, pages, ARRAY_SIZE(pages), 0,
					ARRAY_SIZE(pages) * PAGE_SIZE, DMA_FROM_DEVICE,
					GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	dpmgr_stream_dma_addr(stream, 0, &len);
	KUNIT_EXPECT_EQ(test, len, PAGE_SIZE);
	dpmgr_stream_dma_addr(rest, 0, &len);
	KUNIT_EXPECT_EQ(test, len, platform == &stream_direct ? PAGE_SIZE : 2 * PAGE_SIZE);
	/* What is scrubbed with the first is its own. */
	memset(device(rest, 0), 0xdd, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_TRUE(test, is_all(device(rest, 0), 0xdd, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	stream_unload(test, client);
}

static void a_part_of_a_direct_stream_ends_where_it_was_cut_off(struct kunit *test)
{
	a_part_ends_where_it_was_cut_off(test);
}

/* Whatever was in a structure of the caller's. */
static void a_stream_of_ones_own_is_split_whatever_was_in_it(struct kunit *test)
{
	static const u8 rests[] = { 0, 0xff, POISON };
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 4 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream own, *rest;
	unsigned int i;

	stream_write_pattern(bytes, 3 * PAGE_SIZE);
	for (i = 0; i < 2 * ARRAY_SIZE(rests); i++) {
		memset(&own, rests[i / 2], sizeof(own));
		KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes, 3 * PAGE_SIZE,
							       DMA_BIDIRECTIONAL, GFP_KERNEL));
		rest = dpmgr_stream_split(&own, PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
		/* What wasn't set would be followed from here on. */
		KUNIT_ASSERT_EQ(test, !!own.bounce_buf, platform != &stream_direct);
		KUNIT_ASSERT_EQ(test, !!own.bounce, platform != &stream_direct);
		KUNIT_ASSERT_NULL(test, own.held);
		KUNIT_ASSERT_EQ(test, own.start, 0);
		KUNIT_EXPECT_EQ(test, PAGE_SIZE,
				stream_pattern_end(device(&own, 0), PAGE_SIZE, 0));
		KUNIT_EXPECT_EQ(test, 2 * PAGE_SIZE,
				stream_pattern_end(device(rest, 0), 2 * PAGE_SIZE, PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(i & 1 ? rest : &own));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(i & 1 ? &own : rest));
		KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(&own));
	}
	KUNIT_EXPECT_EQ(test, stream_pattern_end(bytes, 3 * PAGE_SIZE, 0), 3 * PAGE_SIZE);
	stream_unload(test, client);
}

static void a_direct_stream_of_ones_own_is_split_whatever_was_in_it(struct kunit *test)
{
	a_stream_of_ones_own_is_split_whatever_was_in_it(test);
}

static void a_split_takes_no_other_gfp(struct kunit *test)
{
	static const gfp_t gfps[] = {
		GFP_KERNEL | __GFP_COMP, GFP_KERNEL | __GFP_MOVABLE, GFP_ATOMIC | GFP_DMA,
	};
	struct dpmgr_client *client = stream_load(test, test->param_value ?: &stream_direct);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 4 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream *stream, *rest;
	unsigned int i;

	stream = stream_map(test, client, bytes, 2 * PAGE_SIZE, DMA_TO_DEVICE);
	for (i = 0; i < ARRAY_SIZE(gfps); i++) {
		rest = dpmgr_stream_split(stream, PAGE_SIZE, gfps[i]);
		KUNIT_EXPECT_EQ(test, PTR_ERR(rest), -EINVAL);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), 2 * PAGE_SIZE);
		dpmgr_stream_free(rest);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream_unload(test, client);
}

static void a_split_of_a_direct_stream_takes_no_other_gfp(struct kunit *test)
{
	a_split_takes_no_other_gfp(test);
}

static struct kunit_case cases[] = {
	BOUNCING(parts_of_parts_have_their_own_memory),
	KUNIT_CASE(parts_of_direct_parts_have_their_own_memory),
	BOUNCING(a_part_ends_where_it_was_cut_off),
	KUNIT_CASE(a_part_of_a_direct_stream_ends_where_it_was_cut_off),
	BOUNCING(a_stream_of_ones_own_is_split_whatever_was_in_it),
	KUNIT_CASE(a_direct_stream_of_ones_own_is_split_whatever_was_in_it),
	BOUNCING(a_split_takes_no_other_gfp),
	KUNIT_CASE(a_split_of_a_direct_stream_takes_no_other_gfp),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_split",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
