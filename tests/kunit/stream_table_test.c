// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scatter-gather tables that bounce: where each entry lies, what a device that writes whole
 * lines or pages leaves of the others, and what of it another client may find.
 */
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>

#include "stream_fixture.h"

/* An entry's place in memory that begins with a page. */
struct place {
	size_t offset;
	size_t size;
};

/* With gaps of all kinds; the fourth and the fifth continue the one before. */
static const struct place odd[] = {
	{ 100, 61 }, { SZ_4K + 7, 1 }, { 2 * SZ_4K + 4000, 96 }, { 3 * SZ_4K, 200 },
	{ 3 * SZ_4K + 200, 333 }, { 3 * SZ_4K + 1000, 5000 }, { 6 * SZ_4K, SZ_4K },
	{ 5 * SZ_4K + 200, 9 }, { 5 * SZ_4K + 1, 10 },
};

/* Pages of a bounce for these. */
#define ODD_PAGES	9
#define MEMORY_SIZE	(8 * SZ_4K)

struct table {
	struct sg_table sg;
	u8 *memory;
	const struct place *places;
	unsigned int nr;
	size_t size;
};

static void run_anywhere(void *unused)
{
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

/* On one CPU, so that each stream gets the bounce that was freed last. */
static struct dpmgr_client *load(struct kunit *test, const struct stream_platform *platform)
{
	struct dpmgr_client *client;
	struct fixture *f = test->priv;

	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, run_anywhere, NULL));
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(0)));
	if (!platform->low_mask)
		stream_take_big_pool(test);
	client = stream_load(test, platform);
	f->mgr->streams.max_pages = 4 * DPMGR_BOUNCE_PAGES;
	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_SHARED]))
		;
	return client;
}

static void free_table(void *data)
{
	struct table *table = data;

	sg_free_table(&table->sg);
}

static void fill_table(struct kunit *test, struct table *table, const struct place *places,
		       unsigned int nr, size_t memory_size)
{
	struct scatterlist *sg;
	unsigned int i;

	table->memory = PTR_ALIGN(stream_memory(test, memory_size + PAGE_SIZE), PAGE_SIZE);
	table->places = places;
	table->nr = nr;
	table->size = 0;
	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&table->sg, nr, GFP_KERNEL));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action(test, free_table, table));
	for_each_sgtable_sg(&table->sg, sg, i) {
		sg_set_buf(sg, table->memory + places[i].offset, places[i].size);
		table->size += places[i].size;
	}
}

static struct dpmgr_stream *map_table(struct kunit *test, struct dpmgr_client *client,
				      struct table *table, enum dma_data_direction direction)
{
	struct dpmgr_stream *stream;

	stream = dpmgr_stream_map_sg(client, &table->sg, direction, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_ASSERT_EQ(test, dpmgr_stream_size(stream), table->size);
	return stream;
}

/* What the device writes of an entry, and of all lines or pages in which it has a part. */
static void overrun(const struct table *table, u8 first_mark, size_t unit)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(&table->sg, sg, i) {
		const u64 begin = ALIGN_DOWN(sg_dma_address(sg), unit);
		const u64 end = ALIGN(sg_dma_address(sg) + sg_dma_len(sg), unit);

		/* A continued entry is written again: it shares its line with this one. */
		memset(device_at(begin), first_mark + i, end - begin);
		if (i && table->places[i].offset ==
			 table->places[i - 1].offset + table->places[i - 1].size)
			memset(device_at(sg_dma_address(sg) - table->places[i - 1].size),
			       first_mark + i - 1, table->places[i - 1].size);
	}
}

static void each_entry_lies_at_its_own_offset_in_a_page(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = load(test, platform);
	struct scatterlist *sg, *other;
	struct dpmgr_stream *stream;
	static struct table table;
	unsigned int i, j;
	size_t at = 0;

	fill_table(test, &table, odd, ARRAY_SIZE(odd), MEMORY_SIZE);
	stream = map_table(test, client, &table, DMA_BIDIRECTIONAL);
	for_each_sgtable_dma_sg(&table.sg, sg, i) {
		size_t len;

		KUNIT_EXPECT_EQ(test, sg_dma_len(sg), odd[i].size);
		KUNIT_EXPECT_EQ(test, offset_in_page(sg_dma_address(sg)),
				offset_in_page(odd[i].offset));
		KUNIT_EXPECT_EQ(test, sg_dma_address(sg), dpmgr_stream_dma_addr(stream, at, &len));
		KUNIT_EXPECT_GE(test, len, odd[i].size);
		/* Within it as well. */
		KUNIT_EXPECT_EQ(test, sg_dma_address(sg) + odd[i].size - 1,
				dpmgr_stream_dma_addr(stream, at + odd[i].size - 1, NULL));
		at += odd[i].size;
		if (platform == &stream_direct)
			continue;
		for_each_sgtable_dma_sg(&table.sg, other, j) {
			const u64 last = sg_dma_address(other) + sg_dma_len(other) - 1;

			if (j + 1 == i && odd[j].offset + odd[j].size == odd[i].offset)
				KUNIT_EXPECT_EQ(test, last + 1, sg_dma_address(sg));
			else if (j < i)
				KUNIT_EXPECT_LT(test, last >> PAGE_SHIFT,
						sg_dma_address(sg) >> PAGE_SHIFT);
		}
	}
	stream_expect_moves(test, stream, table.size);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream_unload(test, client);
}

static void so_does_each_of_a_direct_one(struct kunit *test)
{
	each_entry_lies_at_its_own_offset_in_a_page(test);
}

static void a_device_that_writes_more_spoils_no_other_entry(struct kunit *test)
{
	static const size_t units[] = { 4, 64, PAGE_SIZE };
	struct dpmgr_client *client = load(test, test->param_value);
	struct dpmgr_stream *stream;
	static struct table table;
	unsigned int u, i, direction;

	fill_table(test, &table, odd, ARRAY_SIZE(odd), MEMORY_SIZE);
	for (direction = DMA_BIDIRECTIONAL; direction <= DMA_FROM_DEVICE; direction += 2) {
		for (u = 0; u < ARRAY_SIZE(units); u++) {
			memset(table.memory, POISON, MEMORY_SIZE);
			stream = map_table(test, client, &table, any(direction));
			overrun(&table, 0x80, units[u]);
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, table.size,
									   any(direction)));
			for (i = 0; i < table.nr; i++) {
				u8 *entry = table.memory + odd[i].offset;

				KUNIT_EXPECT_TRUE_MSG(test, is_all(entry, 0x80 + i, odd[i].size),
						      "entry %u, written by %zu", i, units[u]);
				memset(entry, POISON, odd[i].size);
			}
			/* Nor what is beside the entries in the memory. */
			KUNIT_EXPECT_TRUE(test, is_all(table.memory, POISON, MEMORY_SIZE));
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		}
	}
	stream_unload(test, client);
}

/* Whoever has the pages next. */
static void expect_no_trace(struct kunit *test, struct dpmgr_client *shared)
{
	struct fixture *f = test->priv;
	struct dpmgr_buf *buf = dpmgr_alloc(shared, f->shared.size, GFP_ATOMIC, "all");

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf), f->shared.size));
	dpmgr_free(buf);
	dpmgr_drain(f->mgr);
}

static void what_a_device_writes_beside_entries_is_for_no_other_client(struct kunit *test)
{
	const struct dpmgr_client_params params = fixture_params("other");
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *client = load(test, platform), *other, *shared;
	u8 *bytes = PTR_ALIGN(stream_memory(test, (ODD_PAGES + 1) * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream *stream;
	static struct table table;
	dma_addr_t there;

	fill_table(test, &table, odd, ARRAY_SIZE(odd), MEMORY_SIZE);
	other = stream_create(test, platform, &params);
	shared = stream_client(test, "shared", DPMGR_SHARED, false);

	stream = map_table(test, client, &table, DMA_FROM_DEVICE);
	overrun(&table, 0x80, PAGE_SIZE);
	there = ALIGN_DOWN(dpmgr_stream_dma_addr(stream, 0, NULL), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream = stream_map(test, other, bytes, ODD_PAGES * PAGE_SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, there, dpmgr_stream_dma_addr(stream, 0, NULL));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 0),
				       platform->unwritten_is_zero ? 0 : POISON,
				       ODD_PAGES * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));

	stream = map_table(test, client, &table, DMA_BIDIRECTIONAL);
	overrun(&table, 0x80, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	expect_no_trace(test, shared);
	dpmgr_client_destroy(shared);
	dpmgr_client_destroy(other);
	stream_unload(test, client);
}

/* Half of a page, a whole one, the other half: each part has pages of its own. */
static const struct place halves[] = {
	{ SZ_2K, SZ_2K }, { SZ_4K, SZ_4K }, { SZ_8K, SZ_2K }, { 3 * SZ_4K, SZ_2K },
	{ 4 * SZ_4K, 100 }, { 5 * SZ_4K, SZ_4K },
};

static void parts_of_a_table_own_whole_pages(struct kunit *test)
{
	static const size_t cuts[] = { SZ_2K, SZ_4K, SZ_2K, SZ_2K, 100 };
	const struct dpmgr_client_params params = fixture_params("other");
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *client = load(test, platform), *other, *shared;
	struct dpmgr_stream *parts[ARRAY_SIZE(halves)];
	unsigned int round, i, j;
	static struct table table;

	fill_table(test, &table, halves, ARRAY_SIZE(halves), MEMORY_SIZE);
	other = stream_create(test, platform, &params);
	shared = stream_client(test, "shared", DPMGR_SHARED, false);
	for (round = 0; round < 3; round++) {
		parts[0] = map_table(test, client, &table, DMA_FROM_DEVICE);
		for (i = 0; i < ARRAY_SIZE(cuts); i++) {
			parts[i + 1] = dpmgr_stream_split(parts[i], cuts[i], GFP_KERNEL);
			KUNIT_ASSERT_NOT_ERR_OR_NULL(test, parts[i + 1]);
		}
		for (i = 0; i < ARRAY_SIZE(parts); i++)
			for (j = 0; j < i; j++)
				KUNIT_EXPECT_LT(test,
						dpmgr_stream_dma_addr(parts[j],
								      halves[j].size - 1, NULL) >>
						PAGE_SHIFT,
						dpmgr_stream_dma_addr(parts[i], 0, NULL) >>
						PAGE_SHIFT);
		/* The device goes on writing for some when others are gone. */
		for (i = 0; i < ARRAY_SIZE(parts); i++) {
			const unsigned int nth = (i * (round + 1) + round) % ARRAY_SIZE(parts);
			u8 *there;

			if (!parts[nth])
				continue;
			there = device(parts[nth], 0);
			memset((u8 *)((unsigned long)there & PAGE_MASK), 0x80 + nth, PAGE_SIZE);
			KUNIT_EXPECT_EQ(test, 0,
					dpmgr_stream_sync_for_cpu(parts[nth], 0, halves[nth].size,
								  DMA_FROM_DEVICE));
			KUNIT_EXPECT_TRUE(test, is_all(table.memory + halves[nth].offset,
						       0x80 + nth, halves[nth].size));
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(parts[nth]));
			KUNIT_EXPECT_TRUE(test, is_all_zero(there, halves[nth].size));
			parts[nth] = NULL;
		}
		for (i = 0; i < ARRAY_SIZE(parts); i++)
			dpmgr_stream_free(parts[i]);
		expect_no_trace(test, shared);
	}
	dpmgr_client_destroy(shared);
	dpmgr_client_destroy(other);
	stream_unload(test, client);
}

/* Two entries of one page, in an order in which the second doesn't continue the first. */
static void a_page_of_the_memory_is_not_split(struct kunit *test)
{
	static const struct place turned[] = { { SZ_2K, SZ_2K }, { 0, SZ_2K }, { SZ_4K, 100 } };
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = load(test, platform);
	struct dpmgr_stream *stream, *rest;
	static struct table table;

	fill_table(test, &table, turned, ARRAY_SIZE(turned), MEMORY_SIZE);
	stream = map_table(test, client, &table, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(dpmgr_stream_split(stream, SZ_2K, GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(dpmgr_stream_split(stream, SZ_1K, GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, table.size, dpmgr_stream_size(stream));
	rest = dpmgr_stream_split(stream, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	stream_expect_moves(test, stream, SZ_4K);
	stream_expect_moves(test, rest, 100);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream_expect_moves(test, rest, 100);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	stream_unload(test, client);
}

static void nor_is_one_of_a_direct_stream(struct kunit *test)
{
	a_page_of_the_memory_is_not_split(test);
}

static u64 nr_scrubbed(const struct dpmgr *mgr)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(mgr->streams.homes, cpu)->scrubbed;
	return sum;
}

/* The bytes, and the pages beside them for whoever is next; all are charged. */
static void the_pages_of_a_table_are_charged_and_scrubbed(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("with-quota");
	struct dpmgr_client *other = load(test, test->param_value), *client;
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;
	unsigned int direction;
	static struct table table;
	u64 before;

	fill_table(test, &table, odd, ARRAY_SIZE(odd), MEMORY_SIZE);
	params.quota = ODD_PAGES - 1;
	client = stream_create(test, test->param_value, &params);
	stream = dpmgr_stream_map_sg(client, &table.sg, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, -EDQUOT, PTR_ERR(stream));
	dpmgr_stream_free(stream);
	KUNIT_EXPECT_EQ(test, atomic64_read(&client->room), ODD_PAGES - 1);
	dpmgr_client_destroy(client);

	params.quota = ODD_PAGES;
	client = stream_create(test, test->param_value, &params);
	for (direction = DMA_BIDIRECTIONAL; direction <= DMA_FROM_DEVICE; direction++) {
		before = nr_scrubbed(f->mgr);
		stream = map_table(test, client, &table, any(direction));
		KUNIT_EXPECT_EQ(test, atomic64_read(&client->room), 0);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		KUNIT_EXPECT_EQ(test, atomic64_read(&client->room), ODD_PAGES);
		KUNIT_EXPECT_EQ(test, nr_scrubbed(f->mgr) - before, table.size);
		before = nr_scrubbed(f->mgr);
		dpmgr_streams_flush(f->mgr);
		/* One entry is a whole page, and another ends one and begins the next. */
		KUNIT_EXPECT_EQ(test, nr_scrubbed(f->mgr) - before,
				direction == DMA_TO_DEVICE ? 0 : (ODD_PAGES - 1) * PAGE_SIZE);
	}
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

/* ---- many entries --------------------------------------------------------- */

#define NR_MANY		300

static void make_places(struct place *places, unsigned int nr, unsigned int seed)
{
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, seed);
	for (i = 0; i < nr; i++) {
		const u32 offset = prandom_u32_state(&rnd) % (SZ_4K - 1);

		places[i].offset = i * SZ_4K + offset;
		places[i].size = 1 + prandom_u32_state(&rnd) % (SZ_4K - 1 - offset);
	}
}

/* A stream that leaves the first of two equal ranges no page. */
static struct dpmgr_stream *fill_first(struct kunit *test, struct dpmgr_client *client,
				       const struct dpmgr_range *ranges)
{
	struct dpmgr_stream *streams[2];
	unsigned int i, first;

	for (i = 0; i < 2; i++) {
		streams[i] = dpmgr_stream_alloc(client, ranges[0].size, DMA_BIDIRECTIONAL,
						GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, streams[i]);
	}
	first = dpmgr_stream_dma_addr(streams[0], 0, NULL) != ranges[0].start;
	KUNIT_ASSERT_EQ(test, dpmgr_stream_dma_addr(streams[first], 0, NULL), ranges[0].start);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[!first]));
	return streams[first];
}

static void a_long_table_of_odd_entries_bounces_in_the_second_range(struct kunit *test)
{
	struct place *places = kunit_kcalloc(test, NR_MANY, sizeof(*places), GFP_KERNEL);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream, *filler;
	struct dpmgr_range ranges[2];
	struct dpmgr_client *client;
	static struct table table;
	unsigned int i, round;

	KUNIT_ASSERT_NOT_NULL(test, places);
	make_places(places, NR_MANY, 1);
	stream_take_big_pool(test);
	ranges[0] = f->shared;
	ranges[0].size /= 2;
	ranges[1] = ranges[0];
	ranges[1].start += ranges[0].size;
	f->config.ranges[DPMGR_SHARED] = ranges;
	f->config.nr_ranges[DPMGR_SHARED] = 2;
	client = stream_load(test, &stream_bouncing[0]);
	fill_table(test, &table, places, NR_MANY, NR_MANY * SZ_4K);
	filler = fill_first(test, client, ranges);
	for (round = 0; round < 4; round++) {
		memset(table.memory, POISON, NR_MANY * SZ_4K);
		stream = map_table(test, client, &table, DMA_FROM_DEVICE);
		KUNIT_EXPECT_GE(test, dpmgr_stream_dma_addr(stream, 0, NULL), ranges[1].start);
		overrun(&table, round, round & 1 ? PAGE_SIZE : 64);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, table.size,
								   DMA_FROM_DEVICE));
		for (i = 0; i < NR_MANY; i++) {
			KUNIT_EXPECT_TRUE(test, is_all(table.memory + places[i].offset,
						       (u8)(round + i), places[i].size));
			memset(table.memory + places[i].offset, POISON, places[i].size);
		}
		KUNIT_EXPECT_TRUE(test, is_all(table.memory, POISON, NR_MANY * SZ_4K));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		dpmgr_drain(f->mgr);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(filler));
	stream_unload(test, client);
}

/* With as many bytes it would fit; and the log says that it is about pages. */
static void a_table_of_more_pages_than_the_pool_is_told_so(struct kunit *test)
{
	enum { NR = SHARED_SIZE / SZ_4K + 1 };
	static const char * const parts[] = {
		"refused: ", "129 pages, more than what the shared pool could ever hold", NULL,
	};
	struct place *places = kunit_kcalloc(test, NR, sizeof(*places), GFP_KERNEL);
	struct dpmgr_client *client = stream_load(test, &stream_bouncing[0]);
	struct kmsg_dump_iter log;
	struct dpmgr_stream *stream;
	static struct table table;
	bool said = false;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, places);
	make_places(places, NR, 2);
	fill_table(test, &table, places, NR, NR * SZ_4K);
	fixture_log_start(&log);
	/* Such messages are held back for five seconds at most. */
	for (i = 0; i < 100 && !said; i++) {
		stream = dpmgr_stream_map_sg(client, &table.sg, DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, -E2BIG, PTR_ERR(stream));
		said = fixture_log_has(test, &log, parts);
		if (!said)
			msleep(100);
	}
	KUNIT_EXPECT_TRUE(test, said);
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	BOUNCING(each_entry_lies_at_its_own_offset_in_a_page),
	KUNIT_CASE(so_does_each_of_a_direct_one),
	BOUNCING(a_device_that_writes_more_spoils_no_other_entry),
	BOUNCING(what_a_device_writes_beside_entries_is_for_no_other_client),
	BOUNCING(parts_of_a_table_own_whole_pages),
	BOUNCING(a_page_of_the_memory_is_not_split),
	KUNIT_CASE(nor_is_one_of_a_direct_stream),
	BOUNCING(the_pages_of_a_table_are_charged_and_scrubbed),
	KUNIT_CASE(a_long_table_of_odd_entries_bounces_in_the_second_range),
	KUNIT_CASE(a_table_of_more_pages_than_the_pool_is_told_so),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_table",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
