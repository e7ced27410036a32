// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams that others look at meanwhile: who reads debugfs, and a host that changes what
 * a device has written.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>

#include "stream_fixture.h"

/* What the table of streams has in a line of these. */
static void expect_line(struct kunit *test, const char *table, const char *choice,
			const char *direction, const struct dpmgr_stream *stream)
{
	const dma_addr_t dma_addr = dpmgr_stream_dma_addr(stream, 0, NULL);
	unsigned int nr_found = 0;
	const char *line;

	for (line = table; line && *line; line = strchr(line, '\n') + 1) {
		char is_choice[16], is_direction[16], is_client[16];
		unsigned long long is_addr;
		size_t is_size;

		if (sscanf(line, "%15s %15s %llx %zu %15s", is_choice, is_direction, &is_addr,
			   &is_size, is_client) != 5 || is_addr != dma_addr)
			continue;
		nr_found++;
		KUNIT_EXPECT_STREQ(test, is_choice, choice);
		KUNIT_EXPECT_STREQ(test, is_direction, direction);
		KUNIT_EXPECT_EQ(test, is_size, dpmgr_stream_size(stream));
		KUNIT_EXPECT_STREQ(test, is_client, "client");
	}
	KUNIT_EXPECT_EQ(test, nr_found, 1);
}

static unsigned int nr_lines(const char *table)
{
	unsigned int nr = 0;

	while ((table = strchr(table, '\n'))) {
		table++;
		nr++;
	}
	return nr;
}

static void debugfs_says_where_each_stream_is_and_which_way_it_goes(struct kunit *test)
{
	static const char * const directions[] = { "both", "to", "from" };
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	const bool is_direct = platform == &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	struct dpmgr_stream *mapped[3], *allocated[3], *rest;
	u8 *bytes = PTR_ALIGN(stream_memory(test, 7 * PAGE_SIZE), PAGE_SIZE);
	unsigned int i, nr = 0;
	char *table;

	for (i = 0; i < 3; i++) {
		mapped[i] = stream_map(test, client, bytes + 2 * i * PAGE_SIZE, 2 * PAGE_SIZE, i);
		allocated[i] = dpmgr_stream_alloc_uninit(client, 100 + i, i, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, allocated[i]);
		nr += 2;
	}
	rest = dpmgr_stream_split(mapped[DMA_TO_DEVICE], PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	nr++;
	dpmgr_debugfs_create(f->mgr, "dpmgr_look");
	table = stream_read_debugfs(test, "dpmgr_look/streams");
	if (table) {
		/* And a heading. */
		KUNIT_EXPECT_EQ(test, nr_lines(table), 1 + nr);
		for (i = 0; i < 3; i++) {
			expect_line(test, table, is_direct ? "direct" : "bounced", directions[i],
				    mapped[i]);
			expect_line(test, table, allocated[i]->choice == DPMGR_STREAM_POOL ?
				    "pool" : "direct", directions[i], allocated[i]);
			if (!platform->low_mask)
				KUNIT_EXPECT_EQ(test, allocated[i]->choice == DPMGR_STREAM_DIRECT,
						is_direct);
		}
		expect_line(test, table, is_direct ? "direct" : "bounced", "to", rest);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(mapped[i]));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(allocated[i]));
	}
	if (table) {
		table = stream_read_debugfs(test, "dpmgr_look/streams");
		KUNIT_EXPECT_EQ(test, nr_lines(table), 1);
	}
	dpmgr_debugfs_remove(f->mgr);
	stream_unload(test, client);
	if (!table)
		kunit_skip(test, "needs debugfs");
}

static void debugfs_says_so_of_direct_streams(struct kunit *test)
{
	debugfs_says_where_each_stream_is_and_which_way_it_goes(test);
}

/* A thread that ends a stream. */
struct ender {
	struct dpmgr_stream *stream;
	struct completion done;
	int ret;
};

static int end_thread(void *data)
{
	struct ender *ender = data;

	ender->ret = dpmgr_stream_free(ender->stream);
	kthread_complete_and_exit(&ender->done, 0);
}

/* Or its memory, which is the caller's, would be gone. */
static void a_stream_does_not_end_while_somebody_looks_at_it(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct dpmgr_stream own, *looked;
	struct dpmgr_stream **slot;
	struct task_struct *task;
	struct ender ender = { .stream = &own };

	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes, 1, DMA_TO_DEVICE,
						       GFP_KERNEL));
	slot = own.slot;
	KUNIT_ASSERT_NOT_NULL(test, slot);
	init_completion(&ender.done);
	task = kthread_create(end_thread, &ender, "dpmgr-ender");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	/* As debugfs does, but for much longer. */
	scoped_guard(irqsave)
		looked = dpmgr_stream_look(slot);
	KUNIT_EXPECT_PTR_EQ(test, looked, &own);
	wake_up_process(task);
	while (READ_ONCE(own.state) == DPMGR_STREAM_LIVE)
		msleep(20);
	/* If it went on, it would be done by then. */
	if (!wait_for_completion_timeout(&ender.done, HZ / 2)) {
		KUNIT_EXPECT_EQ(test, READ_ONCE(own.state), DPMGR_STREAM_LEAVING);
		dpmgr_stream_looked(slot, looked);
		wait_for_completion(&ender.done);
	} else {
		KUNIT_FAIL(test, "the stream has ended all the same");
	}
	KUNIT_EXPECT_EQ(test, ender.ret, 0);
	KUNIT_EXPECT_EQ(test, own.state, DPMGR_STREAM_STALE);
	KUNIT_EXPECT_NULL(test, READ_ONCE(*slot));
	stream_unload(test, client);
}

/* A host that never stops changing a byte, and sees how often the caller's changes. */
struct host {
	u8 *shared;
	const u8 *callers;
	unsigned long nr_polls;
	unsigned int nr_changes;
	bool stop;
	struct completion done;
};

static int host_thread(void *data)
{
	struct host *host = data;
	u8 now, last = READ_ONCE(*host->callers), next = 0;

	while (!READ_ONCE(host->stop)) {
		WRITE_ONCE(*host->shared, ++next);
		now = READ_ONCE(*host->callers);
		if (now != last)
			WRITE_ONCE(host->nr_changes, host->nr_changes + 1);
		last = now;
		/* Pairs with nr_changes(). */
		smp_store_release(&host->nr_polls, host->nr_polls + 1);
		cond_resched();
	}
	kthread_complete_and_exit(&host->done, 0);
}

/* What it has seen by now. */
static unsigned int nr_changes(struct host *host)
{
	unsigned long nr_polls = READ_ONCE(host->nr_polls);

	/* One poll may have begun before; pairs with its end. */
	while (smp_load_acquire(&host->nr_polls) - nr_polls < 2)
		cond_resched();
	return READ_ONCE(host->nr_changes);
}

/* Two copies would give a host the time to change what the first has brought. */
static void expect_copied_once(struct kunit *test, struct dpmgr_stream *stream, u8 *callers,
			       size_t size, bool is_bounced)
{
	enum { NR = 100 };
	struct host host = { .shared = device(stream, 0), .callers = callers };
	unsigned int i, before, after, most = 0, nr = 0;
	struct task_struct *task;

	init_completion(&host.done);
	task = kthread_create(host_thread, &host, "dpmgr-host");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	kthread_bind(task, cpumask_last(cpu_online_mask));
	wake_up_process(task);
	for (i = 0; i < NR; i++) {
		before = nr_changes(&host);
		if (is_bounced)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, size,
									   DMA_FROM_DEVICE));
		else
			KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_from(stream, 0, callers, size,
									DMA_FROM_DEVICE));
		after = nr_changes(&host);
		most = max(most, after - before);
		nr += after - before;
	}
	WRITE_ONCE(host.stop, true);
	wait_for_completion(&host.done);
	KUNIT_EXPECT_EQ(test, most, 1);
	/* It does see them. */
	KUNIT_EXPECT_GT(test, nr, NR / 2);
}

static void what_the_device_wrote_is_copied_once(struct kunit *test)
{
	const size_t size = SZ_256K;
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	u8 *bytes;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	client = stream_load(test, test->param_value);
	bytes = stream_memory(test, size);
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(0)));
	stream = stream_map(test, client, bytes, size, DMA_FROM_DEVICE);
	expect_copied_once(test, stream, bytes, size, true);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream = dpmgr_stream_alloc_uninit(client, size, DMA_FROM_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
	if (!IS_ERR(stream))
		expect_copied_once(test, stream, bytes, size, false);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	stream_unload(test, client);
}

static struct kunit_case cases[] = {
	BOUNCING(debugfs_says_where_each_stream_is_and_which_way_it_goes),
	KUNIT_CASE(debugfs_says_so_of_direct_streams),
	KUNIT_CASE(a_stream_does_not_end_while_somebody_looks_at_it),
	BOUNCING(what_the_device_wrote_is_copied_once),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_look",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
