// SPDX-License-Identifier: GPL-2.0-only
/*
 * A client's quota, when threads stream for it and allocate buffers at once.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/prandom.h>

#include "stream_fixture.h"

#define QUOTA		6
#define MOST_PAGES	3
#define NR_THREADS	4
#define NR_STEPS	2000
#define LEAST		11

struct holder {
	struct dpmgr_client *client;
	atomic_t *nr_held;	/* pages, by all of them */
	u8 *bytes;
	bool allocates;
	struct rnd_state rnd;
	unsigned int nr_got;
	unsigned int nr_refused;
	const char *broken;
	struct completion done;
};

static void *get(struct holder *h, unsigned int nr_pages, gfp_t gfp)
{
	if (h->allocates)
		return dpmgr_alloc(h->client, nr_pages * PAGE_SIZE, gfp, "held");
	return dpmgr_stream_map(h->client, h->bytes, nr_pages * PAGE_SIZE,
				DMA_BIDIRECTIONAL, gfp);
}

static int put(struct holder *h, void *held)
{
	return h->allocates ? dpmgr_free(held) : dpmgr_stream_free(held);
}

static void step(struct holder *h)
{
	u32 random = prandom_u32_state(&h->rnd);
	unsigned int nr_pages = 1 + random % MOST_PAGES;
	void *held = get(h, nr_pages,
			 (random & BIT(31) ? GFP_KERNEL : GFP_ATOMIC) | __GFP_NOWARN);

	if (held == ERR_PTR(-EDQUOT)) {
		h->nr_refused++;
		cond_resched();
		return;
	}
	/* Handles are made by a worker. */
	if (held == ERR_PTR(-ENOMEM))
		return;
	if (IS_ERR(held)) {
		h->broken = "refused for another reason";
		return;
	}
	h->nr_got++;
	if (atomic_add_return(nr_pages, h->nr_held) > QUOTA)
		h->broken = "more is held than the quota";
	if (random & BIT(30))
		usleep_range(10, 50);
	atomic_sub(nr_pages, h->nr_held);
	if (put(h, held))
		h->broken = "what was held was stale";
}

static int holder_thread(void *data)
{
	struct holder *h = data;
	unsigned int i;

	/* Others may have the quota all the while, until they have come to their end. */
	for (i = 0; (i < NR_STEPS || h->nr_got < LEAST) && !h->broken; i++)
		step(h);
	kthread_complete_and_exit(&h->done, 0);
}

static void threads_keep_their_clients_quota(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client_params params = fixture_params("with-quota");
	struct dpmgr_client *other = stream_load(test, platform);
	unsigned int i, nr_refused = 0;
	atomic_t nr_held = ATOMIC_INIT(0);
	struct dpmgr_client *client;
	struct fixture *f = test->priv;
	struct holder *holders;

	params.visibility = DPMGR_SHARED;
	params.quota = QUOTA;
	client = stream_create(test, platform, &params);
	holders = kunit_kcalloc(test, NR_THREADS, sizeof(*holders), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, holders);
	for (i = 0; i < NR_THREADS; i++) {
		struct holder *h = &holders[i];
		struct task_struct *task;

		h->client = client;
		h->nr_held = &nr_held;
		h->allocates = !i;
		h->bytes = PTR_ALIGN(stream_memory(test, 2 * MOST_PAGES * PAGE_SIZE), PAGE_SIZE);
		prandom_seed_state(&h->rnd, i + 1);
		init_completion(&h->done);
		task = kthread_run(holder_thread, h, "dpmgr-holder/%u", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	}
	for (i = 0; i < NR_THREADS; i++) {
		wait_for_completion(&holders[i].done);
		KUNIT_EXPECT_NULL(test, holders[i].broken);
		if (holders[i].broken)
			kunit_info(test, "%s", holders[i].broken);
		KUNIT_EXPECT_GE(test, holders[i].nr_got, LEAST);
		nr_refused += holders[i].nr_refused;
	}
	KUNIT_EXPECT_GT(test, nr_refused, 0);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, atomic64_read(&client->room), QUOTA);
	dpmgr_client_destroy(client);
	stream_unload(test, other);
}

static struct kunit_case cases[] = {
	BOUNCING(threads_keep_their_clients_quota),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_quota",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
