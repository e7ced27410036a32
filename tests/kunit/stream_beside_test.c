// SPDX-License-Identifier: GPL-2.0-only
/*
 * What devices write beside their streams, in the pages of which these have a part: who
 * may see it, and what it costs that nobody else does.
 */
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/kmsg_dump.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched.h>

#include "stream_fixture.h"

static void run_anywhere(void *unused)
{
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

/*
 * On one CPU, with room in stock for bounces of any length, so that each stream gets the one
 * that was freed last.
 */
static struct dpmgr_client *load(struct kunit *test, const struct stream_platform *platform)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

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

static u64 nr_scrubbed(const struct dpmgr *mgr)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(mgr->streams.homes, cpu)->scrubbed;
	return sum;
}

/* Many a device writes whole words, or cache lines. */
static struct dpmgr_stream *overwritten(struct kunit *test, struct dpmgr_client *client,
					u8 *bytes, size_t size)
{
	struct dpmgr_stream *stream = stream_map(test, client, bytes, size, DMA_FROM_DEVICE);

	memset(device(stream, 0), 0xdd, round_up(size, 64));
	return stream;
}

static void overrun(struct kunit *test, struct dpmgr_client *client, u8 *bytes)
{
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(overwritten(test, client, bytes, 61)));
}

static void what_a_device_writes_beside_a_stream_is_for_no_other_client(struct kunit *test)
{
	const struct dpmgr_client_params params = fixture_params("other");
	const struct stream_platform *platform = &stream_bouncing[0];
	u8 *bytes = PTR_ALIGN(stream_memory(test, 2 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_client *client, *other, *shared;
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;
	struct dpmgr_buf *buf;
	dma_addr_t last;
	u8 byte;

	client = load(test, platform);
	other = stream_create(test, platform, &params);
	shared = stream_client(test, "shared", DPMGR_SHARED, false);

	/* From the stock; but zeros that are asked for are zeros for its own client, too. */
	overrun(test, client, bytes);
	stream = dpmgr_stream_alloc(client, PAGE_SIZE, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_from(stream, 62, &byte, 1,
							DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, byte, 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));

	overrun(test, client, bytes);
	stream = stream_map(test, other, bytes, PAGE_SIZE, DMA_FROM_DEVICE);
	last = dpmgr_stream_dma_addr(stream, 0, NULL);
	KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	/* It was the same. */
	overrun(test, client, bytes);
	stream = stream_map(test, client, bytes, 1, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL), last);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));

	/* Back in the pool, whichever way. */
	overrun(test, client, bytes);
	dpmgr_client_destroy(client);
	buf = dpmgr_alloc(shared, STREAM_BIG_SIZE, GFP_ATOMIC, "all");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf), STREAM_BIG_SIZE));
	dpmgr_free(buf);
	dpmgr_drain(f->mgr);
	overrun(test, other, bytes);
	buf = dpmgr_alloc(shared, STREAM_BIG_SIZE, GFP_ATOMIC, "all");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf), STREAM_BIG_SIZE));
	dpmgr_free(buf);
	dpmgr_drain(f->mgr);
	dpmgr_client_destroy(shared);
	stream_unload(test, other);
}

static void a_stream_from_the_device_starts_zeroed_for_its_own_client(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *client = load(test, platform);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 4 * PAGE_SIZE), PAGE_SIZE);
	static const struct {
		size_t offset;
		size_t size;
	} parts[] = {
		{ 0, 61 }, { PAGE_SIZE - 61, 61 }, { 61, 2 * PAGE_SIZE }, { 0, PAGE_SIZE + 1 },
		{ 4095, 2 * PAGE_SIZE },
	};
	struct dpmgr_stream *stream;
	unsigned int i, direction;

	for (direction = DMA_BIDIRECTIONAL; direction <= DMA_FROM_DEVICE; direction += 2) {
		for (i = 0; i < ARRAY_SIZE(parts); i++) {
			const size_t nr_pages = PFN_UP(parts[i].offset + parts[i].size);
			dma_addr_t last;
			u8 *there;

			stream = stream_map(test, client, bytes + parts[i].offset, parts[i].size,
					    any(direction));
			last = dpmgr_stream_dma_addr(stream, 0, NULL) - parts[i].offset;
			there = device_at(last);
			memset(there, 0xdd, nr_pages * PAGE_SIZE);
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
			/* All of the pages, so that nothing is beside it. */
			stream = stream_map(test, client, bytes, nr_pages * PAGE_SIZE,
					    DMA_FROM_DEVICE);
			KUNIT_EXPECT_EQ(test, last, dpmgr_stream_dma_addr(stream, 0, NULL));
			KUNIT_EXPECT_TRUE(test, is_all(there, platform->unwritten_is_zero ?
						       0 : POISON, nr_pages * PAGE_SIZE));
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		}
	}
	stream_unload(test, client);
}

/* It may be at the same address, as this one is. */
static void the_next_client_is_another_client(struct kunit *test)
{
	const struct dpmgr_client_params params = fixture_params("next");
	struct dpmgr_client *other = load(test, &stream_bouncing[0]);
	u8 *bytes = PTR_ALIGN(stream_memory(test, 2 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_client *client, *next;
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;
	unsigned int i;

	client = stream_create(test, &stream_bouncing[0], &params);
	fixture_alloc(test, client, 1, "left");
	/* What its streams had is in stock before it goes, and when it does. */
	for (i = 0; i < 4; i++) {
		const size_t before = i / 2 * PAGE_SIZE;

		stream = overwritten(test, client, bytes, before + 61);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		if (i % 2)
			overwritten(test, client, bytes, before + 61);
		dpmgr_client_destroy(client);
		next = stream_create(test, &stream_bouncing[0], &params);
		KUNIT_EXPECT_PTR_EQ(test, next, client);
		stream = stream_map(test, next, bytes, before + 1, DMA_TO_DEVICE);
		KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, before) + 1, PAGE_SIZE - 1));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_finish(next));
	dpmgr_client_destroy(next);
	dpmgr_drain(f->mgr);
	stream_unload(test, other);
}

/* As many bytes as are mapped, and the pages beside that the device may have written. */
static void clients_in_turn_scrub_what_they_must(struct kunit *test)
{
	const struct dpmgr_client_params params = fixture_params("other");
	struct dpmgr_client *clients[2] = { load(test, &stream_bouncing[0]) };
	u8 *bytes = PTR_ALIGN(stream_memory(test, SZ_128K), PAGE_SIZE);
	static const struct {
		size_t offset;
		size_t size;
		unsigned int nr_beside;
	} parts[] = {
		{ 0, SZ_4K, 0 }, { 0, SZ_64K, 0 }, { 0, 3 * SZ_4K, 0 }, { 0, 1500, 1 },
		{ 100, 1500, 1 }, { 100, SZ_4K, 2 }, { 100, SZ_64K, 2 }, { 0, SZ_64K + 1, 1 },
		{ 4095, SZ_4K + 1, 1 }, { 100, 31 * SZ_4K, 2 },
	};
	unsigned int i, round, direction;
	struct fixture *f = test->priv;
	u64 before;

	clients[1] = stream_create(test, &stream_bouncing[0], &params);
	for (direction = DMA_BIDIRECTIONAL; direction <= DMA_FROM_DEVICE; direction++) {
		for (i = 0; i < ARRAY_SIZE(parts); i++) {
			const unsigned int nr_beside =
				direction == DMA_TO_DEVICE ? 0 : parts[i].nr_beside;

			dpmgr_streams_flush(f->mgr);
			for (round = 0; round < 6; round++) {
				struct dpmgr_stream *stream;

				before = nr_scrubbed(f->mgr);
				stream = stream_map(test, clients[round & 1],
						    bytes + parts[i].offset, parts[i].size,
						    any(direction));
				KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
				KUNIT_EXPECT_EQ(test, nr_scrubbed(f->mgr) - before,
						parts[i].size +
						(round ? nr_beside * PAGE_SIZE : 0));
			}
			/* And when it goes back to the pool. */
			before = nr_scrubbed(f->mgr);
			KUNIT_EXPECT_TRUE(test, dpmgr_streams_flush(f->mgr));
			KUNIT_EXPECT_EQ(test, nr_scrubbed(f->mgr) - before,
					nr_beside * PAGE_SIZE);
		}
	}
	dpmgr_client_destroy(clients[1]);
	stream_unload(test, clients[0]);
}

/* Nobody may sleep there; and this kernel looks whether anybody might. */
static void bounces_go_back_to_the_pool_in_any_context(struct kunit *test)
{
	struct dpmgr_client *client = load(test, &stream_bouncing[0]);
	struct dpmgr_client *shared = stream_client(test, "shared", DPMGR_SHARED, false);
	u8 *bytes = PTR_ALIGN(stream_memory(test, SZ_256K), PAGE_SIZE);
	static const unsigned int lens[] = { 1, 15, 16, 17, 32 };
	struct dpmgr_stream *streams[20];
	struct fixture *f = test->priv;
	struct kmsg_dump_iter log;
	struct dpmgr_buf *buf;
	unsigned int i, n;

	stream_read_log(&log);
	/* It says so once a second. */
	msleep(1100);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		for (n = 0; n < ARRAY_SIZE(streams); n++) {
			streams[n] = stream_map(test, client, bytes, lens[i] * PAGE_SIZE - 1,
						DMA_FROM_DEVICE);
			memset(device(streams[n], 0), 0xdd, lens[i] * PAGE_SIZE);
		}
		/* More than the stock takes. */
		scoped_guard(irqsave)
			for (n = 0; n < ARRAY_SIZE(streams); n++)
				dpmgr_stream_free(streams[n]);
		/* And what it has taken. */
		scoped_guard(irqsave)
			buf = dpmgr_alloc(shared, STREAM_BIG_SIZE, GFP_ATOMIC, "all");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
		KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf), STREAM_BIG_SIZE));
		dpmgr_free(buf);
		dpmgr_drain(f->mgr);
	}
	KUNIT_EXPECT_FALSE(test, stream_log_says(&log, "sleeping function called"));
	dpmgr_client_destroy(shared);
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_a_device_writes_beside_a_stream_is_for_no_other_client),
	BOUNCING(a_stream_from_the_device_starts_zeroed_for_its_own_client),
	KUNIT_CASE(the_next_client_is_another_client),
	KUNIT_CASE(clients_in_turn_scrub_what_they_must),
	KUNIT_CASE(bounces_go_back_to_the_pool_in_any_context),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_beside",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
