// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may sleep is not told that there is no memory because interrupts have just taken what
 * was put in stock.
 */
#include <linux/hrtimer.h>

#include "stream_fixture.h"

#define NR_ROUNDS	2000
#define MOST_STOLEN	20000

/* Takes all that is in stock, again and again, until there is nobody to steal from. */
static struct {
	struct hrtimer timer;
	struct dpmgr_stock *stocks[3];
	void *stolen[3];
	unsigned int nr_stolen;
	unsigned int nr_raids;
} thief;

static enum hrtimer_restart steal(struct hrtimer *timer)
{
	unsigned int i;
	void **object;

	for (i = 0; i < ARRAY_SIZE(thief.stocks); i++) {
		bool any = false;

		while (thief.nr_stolen < MOST_STOLEN &&
		       (object = dpmgr_stock_get(thief.stocks[i]))) {
			*object = thief.stolen[i];
			thief.stolen[i] = object;
			thief.nr_stolen++;
			any = true;
		}
		thief.nr_raids += any;
	}
	if (thief.nr_stolen >= MOST_STOLEN)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, 20 * NSEC_PER_USEC);
	return HRTIMER_RESTART;
}

static void start_thief(struct dpmgr *mgr)
{
	memset(&thief, 0, sizeof(thief));
	thief.stocks[0] = &mgr->handles;
	thief.stocks[1] = &mgr->tags;
	thief.stocks[2] = &mgr->streams.idle;
	hrtimer_init(&thief.timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	thief.timer.function = steal;
	hrtimer_start(&thief.timer, 0, HRTIMER_MODE_REL_HARD);
}

static void stop_thief(struct kunit *test)
{
	unsigned int i;
	void **object;

	hrtimer_cancel(&thief.timer);
	for (i = 0; i < ARRAY_SIZE(thief.stocks); i++) {
		while ((object = thief.stolen[i])) {
			thief.stolen[i] = *object;
			dpmgr_stock_put(thief.stocks[i], object);
		}
	}
	KUNIT_EXPECT_GT(test, thief.nr_raids, 0);
}

static void who_may_sleep_gets_a_buffer_though_interrupts_empty_the_stocks(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct fixture *f = test->priv;
	unsigned int i;
	char tag[20];

	start_thief(f->mgr);
	for (i = 0; i < NR_ROUNDS; i++) {
		struct dpmgr_buf *buf;

		snprintf(tag, sizeof(tag), "tag %u", i);
		buf = dpmgr_alloc(client, PAGE_SIZE, GFP_KERNEL, tag);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, buf);
		if (IS_ERR(buf))
			break;
		dpmgr_free(buf);
	}
	stop_thief(test);
	stream_unload(test, client);
}

static void who_may_sleep_gets_a_stream_though_interrupts_empty_the_stocks(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct dpmgr_stream **streams;
	unsigned int i, nr;

	streams = kunit_kcalloc(test, NR_ROUNDS, sizeof(*streams), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streams);
	start_thief(f->mgr);
	for (nr = 0; nr < NR_ROUNDS; nr++) {
		streams[nr] = dpmgr_stream_map(client, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, streams[nr]);
		if (IS_ERR(streams[nr]))
			break;
	}
	stop_thief(test);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[i]));
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(who_may_sleep_gets_a_buffer_though_interrupts_empty_the_stocks),
	KUNIT_CASE(who_may_sleep_gets_a_stream_though_interrupts_empty_the_stocks),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_theft",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
