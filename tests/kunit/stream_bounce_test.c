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
	stream_read_log(&log);
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

static u64 second_node_start;

static int two_nodes(u64 start)
{
	return start < second_node_start;
}

static void a_bounce_comes_from_its_clients_node(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("on-node-0");
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct fixture *f = test->priv;
	static struct dpmgr_mapping_ops ops;
	static struct dpmgr_range halves[2];
	struct dpmgr_client *other, *client;
	struct dpmgr_stream *stream;

	ops = *f->config.mapping;
	halves[0] = f->shared;
	halves[1] = f->shared;
	halves[0].size /= 2;
	halves[1].size /= 2;
	halves[1].start += halves[0].size;
	second_node_start = halves[1].start;
	ops.node = two_nodes;
	f->config.mapping = &ops;
	f->config.ranges[DPMGR_SHARED] = halves;
	f->config.nr_ranges[DPMGR_SHARED] = 2;
	other = stream_load(test, &stream_bouncing[0]);
	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_SHARED]))
		;
	params.node = 0;
	client = stream_create(test, &stream_bouncing[0], &params);
	stream = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_GE(test, dpmgr_stream_dma_addr(stream, 0, NULL), second_node_start);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

/* ---- quotas --------------------------------------------------------------- */

#define QUOTA	4

/* Its bounces and buffers come from the same pool. */
static struct dpmgr_client *quota_client(struct kunit *test,
					 const struct stream_platform *platform, u64 quota)
{
	struct dpmgr_client_params params = fixture_params("with-quota");

	params.visibility = DPMGR_SHARED;
	params.quota = quota;
	return stream_create(test, platform, &params);
}

static void expect_room(struct kunit *test, struct dpmgr_client *client, s64 room)
{
	KUNIT_EXPECT_EQ(test, atomic64_read(&client->room), room);
}

static void bounces_and_buffers_share_a_quota(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *other = stream_load(test, platform);
	struct dpmgr_client *client = quota_client(test, platform, QUOTA);
	u8 *bytes = stream_memory(test, 8 * PAGE_SIZE);
	struct dpmgr_stream *stream, *theirs, *own;
	struct dpmgr_buf *buf;

	bytes = PTR_ALIGN(bytes, PAGE_SIZE);
	theirs = stream_map(test, other, bytes, 4 * PAGE_SIZE, DMA_TO_DEVICE);
	stream_expect_map(test, client, -EDQUOT, bytes, QUOTA * PAGE_SIZE + 1, DMA_TO_DEVICE,
			  GFP_KERNEL);
	/* As many pages as it lies in, not as many as its bytes would need. */
	stream_expect_map(test, client, -EDQUOT, bytes + 1, QUOTA * PAGE_SIZE, DMA_TO_DEVICE,
			  GFP_ATOMIC);
	/* Nor as many as the bounce has. */
	stream = stream_map(test, client, bytes, 3 * PAGE_SIZE, DMA_TO_DEVICE);
	expect_room(test, client, 1);
	buf = fixture_alloc(test, client, 1, "tag");
	expect_room(test, client, 0);
	stream_expect_map(test, client, -EDQUOT, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	stream_expect_map(test, client, -EDQUOT, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	KUNIT_EXPECT_EQ(test, -EDQUOT, PTR_ERR(dpmgr_alloc(client, 1, GFP_KERNEL, "tag")));
	KUNIT_EXPECT_EQ(test, -EDQUOT, PTR_ERR(dpmgr_alloc(client, 1, GFP_ATOMIC, "tag")));
	/* It is in the pool already, and charged. */
	own = dpmgr_stream_map_buf(buf, 0, 1, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, own);
	expect_room(test, client, 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(own));

	dpmgr_free(buf);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	expect_room(test, client, QUOTA);
	buf = fixture_alloc(test, client, QUOTA * PAGE_SIZE, "tag");
	stream_expect_map(test, client, -EDQUOT, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	dpmgr_free(buf);
	stream = stream_map(test, client, bytes, QUOTA * PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(theirs));
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

static void the_log_names_the_quota(struct kunit *test)
{
	struct dpmgr_client *other = stream_load(test, &stream_bouncing[0]);
	struct dpmgr_client *client = quota_client(test, &stream_bouncing[0], 1);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 4 * PAGE_SIZE), PAGE_SIZE);
	static const char refusal[] =
		"8192 bytes refused: the client's quota would be exceeded";
	struct kmsg_dump_iter log;
	bool said = false;
	unsigned int i;

	stream_read_log(&log);
	/* Such messages are held back for five seconds at most. */
	for (i = 0; i < 100 && !said; i++) {
		stream_expect_map(test, client, -EDQUOT, bytes, 2 * PAGE_SIZE, DMA_TO_DEVICE,
				  GFP_KERNEL);
		said = stream_log_says(&log, refusal);
		if (!said)
			msleep(100);
	}
	KUNIT_EXPECT_TRUE(test, said);
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

static void a_split_bounce_is_charged_until_both_are_gone(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *other = stream_load(test, platform);
	struct dpmgr_client *client = quota_client(test, platform, QUOTA);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 8 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream *stream, *rest;
	unsigned int first;

	for (first = 0; first < 2; first++) {
		stream = stream_map(test, client, bytes, QUOTA * PAGE_SIZE, DMA_TO_DEVICE);
		rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
		expect_room(test, client, 0);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(first ? rest : stream));
		stream_expect_map(test, client, -EDQUOT, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(first ? stream : rest));
		expect_room(test, client, QUOTA);
	}
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

static void what_could_not_be_mapped_is_not_charged(struct kunit *test)
{
	enum { MOST = SHARED_SIZE / PAGE_SIZE + 5 };
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *other = stream_load(test, platform);
	struct dpmgr_client *client = quota_client(test, platform, MOST);
	u8 *bytes = PTR_ALIGN(stream_memory(test, SHARED_SIZE + 2 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream *stream;

	stream_expect_map(test, client, -E2BIG, bytes, SHARED_SIZE + 1, DMA_TO_DEVICE,
			  GFP_KERNEL);
	expect_room(test, client, MOST);
	stream = stream_map(test, client, bytes, SHARED_SIZE, DMA_TO_DEVICE);
	stream_expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	stream_expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	expect_room(test, client, 5);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	dpmgr_drain(((struct fixture *)test->priv)->mgr);
	expect_room(test, client, MOST);
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

/* A worker scrubs it; until then it is held. */
static void a_long_bounce_is_charged_until_it_is_put_back(struct kunit *test)
{
	enum { LONG = 2 * DPMGR_BOUNCE_PAGES };
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *other = stream_load(test, platform);
	struct dpmgr_client *client = quota_client(test, platform, LONG);
	struct fixture *f = test->priv;
	u8 *bytes = PTR_ALIGN(stream_memory(test, (LONG + 1) * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream *stream;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		stream = stream_map(test, client, bytes, LONG * PAGE_SIZE, DMA_TO_DEVICE);
		scoped_guard(mutex, &f->mgr->drain_lock) {
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
			stream_expect_map(test, client, -EDQUOT, bytes, 1, DMA_TO_DEVICE,
					  GFP_ATOMIC);
			expect_room(test, client, 0);
		}
		/* Who may sleep gets it back. */
	}
	stream = stream_map(test, client, bytes, LONG * PAGE_SIZE, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	/* Nobody is charged once it is gone. */
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_TRUE(test, llist_empty(&f->mgr->streams.draining));
	stream_unload(test, other);
}

static void what_was_left_to_a_client_counts(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *other = stream_load(test, platform);
	struct dpmgr_client *client = quota_client(test, platform, DPMGR_QUOTA_NONE);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 8 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream *stream;

	fixture_alloc(test, client, 5 * PAGE_SIZE, "left");
	dpmgr_client_destroy(client);
	client = quota_client(test, platform, QUOTA);
	expect_room(test, client, -1);
	stream_expect_map(test, client, -EDQUOT, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_finish(client));
	stream = stream_map(test, client, bytes, QUOTA * PAGE_SIZE, DMA_TO_DEVICE);
	expect_room(test, client, 0);
	/* Destroying it ends them. */
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(stream));
	client = quota_client(test, platform, QUOTA);
	expect_room(test, client, QUOTA);
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

static void what_is_not_of_the_pool_is_not_charged(struct kunit *test)
{
	struct dpmgr_client *other = stream_load(test, &stream_direct);
	struct dpmgr_client *client = quota_client(test, &stream_direct, 1);
	u8 *bytes = stream_memory(test, SZ_64K);
	struct dpmgr_stream *streams[2];

	streams[0] = stream_map(test, client, bytes, SZ_64K, DMA_TO_DEVICE);
	streams[1] = dpmgr_stream_alloc(client, SZ_64K, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, streams[1]);
	expect_room(test, client, 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[0]));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[1]));
	expect_room(test, client, 1);
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

static struct kunit_case cases[] = {
	BOUNCING(what_is_left_in_a_bounce_is_scrubbed),
	BOUNCING(without_a_shared_pool_nothing_bounces_and_the_log_names_it),
	KUNIT_CASE(a_pool_out_of_the_devices_reach_is_no_help),
	BOUNCING(an_exhausted_pool_is_told_and_nothing_is_half_mapped),
	KUNIT_CASE(a_buffer_gets_the_pages_that_streams_have_in_stock),
	KUNIT_CASE(a_bounce_comes_from_its_clients_node),
	BOUNCING(bounces_and_buffers_share_a_quota),
	KUNIT_CASE(the_log_names_the_quota),
	BOUNCING(a_split_bounce_is_charged_until_both_are_gone),
	BOUNCING(what_could_not_be_mapped_is_not_charged),
	BOUNCING(a_long_bounce_is_charged_until_it_is_put_back),
	BOUNCING(what_was_left_to_a_client_counts),
	KUNIT_CASE(what_is_not_of_the_pool_is_not_charged),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_bounce",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
