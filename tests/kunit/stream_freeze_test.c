// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of clients that are frozen.
 */
#include "stream_fixture.h"

static void a_frozen_client_maps_nothing(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct dpmgr_stream *stream = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);

	KUNIT_ASSERT_EQ(test, 0, dpmgr_preserve(f->mgr));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_freeze(f->mgr));
	stream_expect_map(test, client, -EBUSY, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	stream = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_frozen_client_maps_nothing),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_freeze",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
