// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams of clients that are to be frozen: while there are any, they can't be; and once
 * they are, there are none.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/reboot.h>

#include "stream_fixture.h"

static struct driver {
	unsigned int nr_freezes;
	unsigned int nr_thaws;
	struct dpmgr_stream *to_free;
} driver;

static int driver_freeze(struct dpmgr_client *client)
{
	driver.nr_freezes++;
	dpmgr_stream_free(driver.to_free);
	driver.to_free = NULL;
	return dpmgr_client_set_state(client, "state", 5);
}

static void driver_thaw(struct dpmgr_client *client)
{
	driver.nr_thaws++;
}

static int freeze_init(struct kunit *test)
{
	memset(&driver, 0, sizeof(driver));
	return stream_init(test);
}

/* One whose driver is asked. */
static struct dpmgr_client *asked_client(struct kunit *test,
					 const struct stream_platform *platform,
					 const char *name)
{
	struct dpmgr_client_params params = fixture_params(name);

	params.owner = THIS_MODULE;
	params.freeze = driver_freeze;
	params.thaw = driver_thaw;
	return stream_create(test, platform, &params);
}

static void expect_nothing_can_be_mapped(struct kunit *test, struct dpmgr_client *client)
{
	u8 *bytes = stream_memory(test, 2 * PAGE_SIZE);
	struct page *page = virt_to_page(bytes);

	stream_expect_map(test, client, -EBUSY, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	stream_expect_map(test, client, -EBUSY, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_stream_map_pages(client, &page, 1, 0, 1,
								     DMA_TO_DEVICE,
								     GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_stream_alloc(client, 1, DMA_TO_DEVICE,
								 GFP_KERNEL)));
	/* The same that an allocation says. */
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_alloc(client, 1, GFP_KERNEL, "tag")));
}

static void a_frozen_client_maps_nothing(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct dpmgr_stream *stream;
	struct dpmgr_buf *buf = fixture_alloc(test, client, 1, "tag");

	KUNIT_ASSERT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_TRUE(test, client->frozen);
	expect_nothing_can_be_mapped(test, client);
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_stream_map_buf(buf, 0, 1, DMA_TO_DEVICE,
								   GFP_KERNEL)));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	stream = stream_map(test, client, bytes, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	dpmgr_free(buf);
	stream_unload(test, client);
}

static void a_frozen_client_maps_nothing_directly(struct kunit *test)
{
	a_frozen_client_maps_nothing(test);
}

/* What a driver may have forgotten: NR_KINDS of them, made one at a time. */
enum { MAPPED, SPLIT, OF_PAGES, ALLOCATED, OF_BUFFER, NR_KINDS };

static struct dpmgr_stream *make(struct kunit *test, struct dpmgr_client *client,
				 struct dpmgr_buf *buf, unsigned int kind)
{
	u8 *bytes = stream_memory(test, 3 * PAGE_SIZE);
	u8 *page = PTR_ALIGN(bytes, PAGE_SIZE);
	struct page *pages[2] = { virt_to_page(page + PAGE_SIZE), virt_to_page(page) };
	struct dpmgr_stream *stream, *rest;

	switch (kind) {
	case MAPPED:
		return stream_map(test, client, bytes, 100, DMA_TO_DEVICE);
	case SPLIT:
		stream = stream_map(test, client, page, 2 * PAGE_SIZE, DMA_TO_DEVICE);
		rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		return rest;
	case OF_PAGES:
		return dpmgr_stream_map_pages(client, pages, 2, 0, 2 * PAGE_SIZE,
					      DMA_TO_DEVICE, GFP_KERNEL);
	case ALLOCATED:
		return dpmgr_stream_alloc(client, 100, DMA_TO_DEVICE, GFP_KERNEL);
	default:
		return dpmgr_stream_map_buf(buf, 0, 100, DMA_TO_DEVICE, GFP_KERNEL);
	}
}

static void a_client_with_a_stream_is_thawed_and_refused(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *idle = stream_load(test, platform);
	struct fixture *f = test->priv;
	static const char refusal[] =
		"client \"b-disk\" is not kept: 1 of its streams are still mapped";
	const struct dpmgr_client_params params = fixture_params("z");
	struct kmsg_dump_iter log;
	unsigned int kind;

	/* By name, it is not the first and not the last. */
	for (kind = 0; kind < NR_KINDS; kind++) {
		struct dpmgr_client *client = asked_client(test, platform, "b-disk");
		struct dpmgr_client *other = stream_create(test, platform, &params);
		struct dpmgr_buf *buf = fixture_alloc(test, client, 100, "tag");
		struct dpmgr_stream *stream = make(test, client, buf, kind);
		char state[5];

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		memset(&driver, 0, sizeof(driver));
		stream_read_log(&log);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
		KUNIT_EXPECT_TRUE(test, stream_log_says(&log, refusal));
		KUNIT_EXPECT_FALSE(test, client->frozen);
		KUNIT_EXPECT_TRUE(test, client->refused);
		KUNIT_EXPECT_TRUE(test, other->frozen);
		KUNIT_EXPECT_EQ(test, driver.nr_freezes, 1);
		KUNIT_EXPECT_EQ(test, driver.nr_thaws, 1);
		/* What it has handed over was for a freeze that was none. */
		KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(client, state, 5));
		/* It works on. */
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(make(test, client, buf, kind)));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_free(dpmgr_alloc(client, 1, GFP_KERNEL, "tag")));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, true));

		/* Asked once more, its driver does as it should. */
		driver.to_free = stream;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
		KUNIT_EXPECT_TRUE(test, client->frozen);
		KUNIT_EXPECT_FALSE(test, client->refused);
		KUNIT_EXPECT_EQ(test, driver.nr_freezes, 2);
		KUNIT_EXPECT_EQ(test, driver.nr_thaws, 1);
		KUNIT_EXPECT_EQ(test, 5, dpmgr_client_get_state(client, state, 5));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
		KUNIT_EXPECT_EQ(test, driver.nr_thaws, 2);
		dpmgr_free(buf);
		dpmgr_client_destroy(client);
		dpmgr_client_destroy(other);
	}
	stream_unload(test, idle);
}

static void a_client_with_a_direct_stream_is_thawed_and_refused(struct kunit *test)
{
	a_client_with_a_stream_is_thawed_and_refused(test);
}

static void all_streams_are_counted_and_no_others(struct kunit *test)
{
	enum { NR = DPMGR_STREAM_SLOTS + 20 };
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct dpmgr_client_params params = fixture_params("does-not-persist");
	struct dpmgr_client *others[2];
	struct fixture *f = test->priv;
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	struct dpmgr_stream *streams, *theirs[2];
	unsigned int i;

	others[0] = asked_client(test, platform, "other");
	params.persistent = false;
	others[1] = stream_create(test, platform, &params);
	for (i = 0; i < 2; i++)
		theirs[i] = stream_map(test, others[i], bytes, 1, DMA_TO_DEVICE);
	streams = kunit_kcalloc(test, NR, sizeof(*streams), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streams);
	for (i = 0; i < NR; i++) {
		KUNIT_EXPECT_EQ(test, dpmgr_streams_count(client), i);
		KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&streams[i], client, bytes, 1,
							       DMA_TO_DEVICE, GFP_KERNEL));
	}
	for (i = NR; i--;) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&streams[i]));
		KUNIT_EXPECT_EQ(test, dpmgr_streams_count(client), i);
	}
	/* So this one is frozen, and who doesn't persist isn't asked. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_TRUE(test, client->frozen);
	KUNIT_EXPECT_TRUE(test, others[0]->refused);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(theirs[i]));
		dpmgr_client_destroy(others[i]);
	}
	stream_unload(test, client);
}

static void all_direct_streams_are_counted_and_no_others(struct kunit *test)
{
	all_streams_are_counted_and_no_others(test);
}

/* Its parts would be on other CPUs, where they were looked for already. */
static void a_frozen_clients_stream_is_not_split(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	u8 *bytes = PTR_ALIGN(stream_memory(test, 4 * PAGE_SIZE), PAGE_SIZE);
	struct dpmgr_stream *stream, *rest;
	unsigned int i;

	stream = stream_map(test, client, bytes, 3 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	/* Without a mapping object that it shares, and with one. */
	for (i = 0; i < 2; i++) {
		const size_t size = dpmgr_stream_size(stream);

		scoped_guard(mutex, &f->mgr->lock)
			dpmgr_client_set_frozen(client, true);
		KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_stream_split(stream, PAGE_SIZE,
									 GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, dpmgr_streams_count(client), 1 + i);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), size);
		stream_expect_moves(test, stream, size);
		scoped_guard(mutex, &f->mgr->lock)
			dpmgr_client_set_frozen(client, false);
		if (i)
			break;
		rest = dpmgr_stream_split(stream, 2 * PAGE_SIZE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	KUNIT_EXPECT_EQ(test, dpmgr_streams_count(client), 0);
	stream_unload(test, client);
}

static void a_frozen_clients_direct_stream_is_not_split(struct kunit *test)
{
	a_frozen_clients_stream_is_not_split(test);
}

static void at_a_kexec_what_it_has_is_orphaned(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;

	dpmgr_client_destroy(client);
	client = asked_client(test, platform, "disk");
	fixture_alloc(test, client, 1, "tag");
	stream = stream_map(test, client, stream_memory(test, PAGE_SIZE), 1, DMA_FROM_DEVICE);
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_EQ(test, driver.nr_freezes, 1);
	KUNIT_EXPECT_EQ(test, driver.nr_thaws, 1);
	/* Its shutdown is to stop the device. */
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	expect_nothing_can_be_mapped(test, client);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	dpmgr_client_destroy(client);
	fixture_unload(f);
	f->streaming_mask = DMA_BIT_MASK(64);
	fixture_load(test, f);
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_EQ(test, dpmgr_client_nr_kept_out(client), 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_stopped(client));
	stream_unload(test, client);
}

static void at_a_kexec_it_is_so_for_direct_streams(struct kunit *test)
{
	at_a_kexec_what_it_has_is_orphaned(test);
}

static void it_stops_the_others_if_it_is_to_be_all_or_nothing(struct kunit *test)
{
	struct dpmgr_client *client = stream_load(test, &stream_direct);
	struct fixture *f = test->priv;
	struct dpmgr_client *asked = asked_client(test, &stream_direct, "asked");
	struct dpmgr_stream *stream;

	stream = stream_map(test, client, stream_memory(test, 1), 1, DMA_TO_DEVICE);
	f->mgr->all_or_nothing = true;
	KUNIT_EXPECT_EQ(test, -ECANCELED, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_FALSE(test, client->frozen);
	KUNIT_EXPECT_FALSE(test, asked->frozen);
	KUNIT_EXPECT_EQ(test, driver.nr_thaws, 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	dpmgr_client_destroy(asked);
	stream_unload(test, client);
}

/* ---- against each other --------------------------------------------------- */

#define NR_MAPPERS	2
#define NR_FREEZES	300

/* A worker scrubs so many. */
#define LATE_PAGES	(DPMGR_BOUNCE_PAGES + 8)

struct mapper {
	struct dpmgr_client *client;
	atomic_t *nr_held;
	u8 *bytes;
	bool stop;
	bool allocates;
	unsigned int nr_mapped;
	unsigned int nr_refused;
	const char *broken;
	struct completion done;
};

static int mapper_thread(void *data)
{
	struct mapper *m = data;

	while (!READ_ONCE(m->stop)) {
		struct dpmgr_stream *stream;

		if (m->allocates && m->nr_mapped % 2)
			stream = dpmgr_stream_alloc_uninit(m->client, PAGE_SIZE,
							   DMA_BIDIRECTIONAL,
							   GFP_KERNEL | __GFP_NOWARN);
		else
			stream = dpmgr_stream_map(m->client, m->bytes, PAGE_SIZE,
						  DMA_BIDIRECTIONAL,
						  GFP_KERNEL | __GFP_NOWARN);
		if (!IS_ERR(stream)) {
			m->nr_mapped++;
			atomic_inc(m->nr_held);
			if (!(m->nr_mapped % 8))
				usleep_range(10, 50);
			/* It is not held any more before it is not there any more. */
			atomic_dec(m->nr_held);
			if (dpmgr_stream_free(stream))
				m->broken = "a live stream was stale";
			usleep_range(10, 100);
		} else if (stream == ERR_PTR(-EBUSY)) {
			m->nr_refused++;
			cond_resched();
		} else {
			m->broken = "mapping failed";
		}
	}
	kthread_complete_and_exit(&m->done, 0);
}

static bool all_have_mapped(const struct mapper *mappers)
{
	unsigned int i;

	for (i = 0; i < NR_MAPPERS; i++)
		if (!READ_ONCE(mappers[i].nr_mapped) && !READ_ONCE(mappers[i].broken))
			return false;
	return true;
}

static void whoever_freezes_meets_whoever_maps(struct kunit *test)
{
	const struct stream_platform *platform = test->param_value ?: &stream_direct;
	struct dpmgr_client *client = stream_load(test, platform);
	struct fixture *f = test->priv;
	atomic_t nr_held = ATOMIC_INIT(0);
	unsigned int i, nr_frozen = 0;
	struct mapper *mappers;

	mappers = kunit_kcalloc(test, NR_MAPPERS, sizeof(*mappers), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mappers);
	for (i = 0; i < NR_MAPPERS; i++) {
		struct mapper *m = &mappers[i];
		struct task_struct *task;

		m->client = client;
		m->nr_held = &nr_held;
		m->allocates = i;
		m->bytes = stream_memory(test, PAGE_SIZE);
		init_completion(&m->done);
		task = kthread_run(mapper_thread, m, "dpmgr-mapper/%u", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	}
	for (i = 0; i < NR_FREEZES || !nr_frozen || !all_have_mapped(mappers); i++) {
		/* What the manager does, without the writing. */
		scoped_guard(mutex, &f->mgr->lock)
			dpmgr_client_set_frozen(client, true);
		if (!dpmgr_streams_count(client)) {
			nr_frozen++;
			KUNIT_EXPECT_EQ(test, atomic_read(&nr_held), 0);
			usleep_range(10, 50);
			KUNIT_EXPECT_EQ(test, atomic_read(&nr_held), 0);
		}
		scoped_guard(mutex, &f->mgr->lock)
			dpmgr_client_set_frozen(client, false);
		usleep_range(10, 100);
	}
	for (i = 0; i < NR_MAPPERS; i++) {
		WRITE_ONCE(mappers[i].stop, true);
		wait_for_completion(&mappers[i].done);
		KUNIT_EXPECT_NULL(test, mappers[i].broken);
	}
	KUNIT_EXPECT_EQ(test, dpmgr_streams_count(client), 0);
	stream_unload(test, client);
}

/* It has seen that the client isn't frozen, and waits for pages that are being scrubbed. */
static int late_mapper_thread(void *data)
{
	struct mapper *m = data;
	struct dpmgr_stream *stream;

	stream = dpmgr_stream_map(m->client, m->bytes, LATE_PAGES * PAGE_SIZE, DMA_TO_DEVICE,
				  GFP_KERNEL | __GFP_NOWARN);
	if (stream == ERR_PTR(-EBUSY))
		m->nr_refused++;
	if (!IS_ERR(stream))
		dpmgr_stream_free(stream);
	kthread_complete_and_exit(&m->done, 0);
}

static void who_is_late_is_charged_nothing(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("late");
	const struct stream_platform *platform = test->param_value;
	struct dpmgr_client *other = stream_load(test, platform);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;
	struct mapper m = {};
	struct task_struct *task;

	params.quota = LATE_PAGES;
	m.client = stream_create(test, platform, &params);
	m.bytes = PTR_ALIGN(stream_memory(test, (LATE_PAGES + 1) * PAGE_SIZE), PAGE_SIZE);
	init_completion(&m.done);
	stream = stream_map(test, m.client, m.bytes, LATE_PAGES * PAGE_SIZE, DMA_TO_DEVICE);
	mutex_lock(&f->mgr->drain_lock);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	task = kthread_run(late_mapper_thread, &m, "dpmgr-late");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, task);
	while (!IS_ERR(task) && READ_ONCE(task->__state) != TASK_UNINTERRUPTIBLE)
		usleep_range(100, 200);
	WRITE_ONCE(m.client->frozen, true);
	mutex_unlock(&f->mgr->drain_lock);
	if (!IS_ERR(task))
		wait_for_completion(&m.done);
	KUNIT_EXPECT_EQ(test, m.nr_refused, 1);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, atomic64_read(&m.client->room), LATE_PAGES);
	scoped_guard(mutex, &f->mgr->lock)
		dpmgr_client_set_frozen(m.client, false);
	dpmgr_client_destroy(m.client);
	stream_unload(test, other);
}

static void whoever_freezes_meets_whoever_maps_directly(struct kunit *test)
{
	whoever_freezes_meets_whoever_maps(test);
}

static struct kunit_case cases[] = {
	BOUNCING(a_frozen_client_maps_nothing),
	KUNIT_CASE(a_frozen_client_maps_nothing_directly),
	BOUNCING(a_client_with_a_stream_is_thawed_and_refused),
	KUNIT_CASE(a_client_with_a_direct_stream_is_thawed_and_refused),
	BOUNCING(all_streams_are_counted_and_no_others),
	KUNIT_CASE(all_direct_streams_are_counted_and_no_others),
	BOUNCING(a_frozen_clients_stream_is_not_split),
	KUNIT_CASE(a_frozen_clients_direct_stream_is_not_split),
	BOUNCING(at_a_kexec_what_it_has_is_orphaned),
	KUNIT_CASE(at_a_kexec_it_is_so_for_direct_streams),
	KUNIT_CASE(it_stops_the_others_if_it_is_to_be_all_or_nothing),
	BOUNCING(whoever_freezes_meets_whoever_maps),
	KUNIT_CASE(whoever_freezes_meets_whoever_maps_directly),
	BOUNCING(who_is_late_is_charged_nothing),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_freeze",
	.init = freeze_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
