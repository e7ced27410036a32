// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that hold a memory error, in each state that a page can have. That a machine check
 * gets here is seen in QEMU.
 */
#include <linux/irqflags.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/reboot.h>

#include "bad.h"
#include "fixture.h"
#include "stream.h"

static struct dpmgr_pool *private_pool(struct fixture *f)
{
	return f->mgr->pools[DPMGR_PRIVATE];
}

static enum dpmgr_page_state state_of(struct fixture *f, u64 pfn)
{
	struct dpmgr_page_run run;

	return dpmgr_pages_look(&private_pool(f)->pages, pfn, &run);
}

/* Quarantined, and its contents what they were: it was not touched. */
static void expect_quarantined(struct kunit *test, u64 pfn, u8 byte)
{
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, state_of(f, pfn), DPMGR_PAGE_QUARANTINED);
	KUNIT_EXPECT_NULL(test, memchr_inv(dpmgr_pool_vaddr(private_pool(f), pfn), byte,
					   PAGE_SIZE));
}

/* All that the client can get, page by page, is not @pfn; and all of it is @nr_pages. */
static void expect_never_handed_out(struct kunit *test, struct dpmgr_client *client, u64 pfn,
				    u64 nr_pages)
{
	struct dpmgr_buf *buf;
	u64 nr = 0;

	for (;;) {
		buf = dpmgr_alloc(client, 1, GFP_KERNEL | __GFP_NOWARN, "tag");
		if (IS_ERR(buf))
			break;
		KUNIT_ASSERT_NE(test, dpmgr_buf_pfn(buf, 0), pfn);
		nr++;
	}
	KUNIT_EXPECT_PTR_EQ(test, buf, ERR_PTR(-ENOSPC));
	KUNIT_EXPECT_EQ(test, nr, nr_pages);
}

static u64 nr_pages(struct fixture *f)
{
	return private_pool(f)->pages.nr_pages;
}

static struct dpmgr_client *plain_client(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client_params params = fixture_params("plain");
	struct dpmgr_client *client;

	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

static void scrub_all(struct dpmgr_pool *pool)
{
	while (dpmgr_pool_scrub(pool))
		;
}

static void a_free_page_is_quarantined_at_once(struct kunit *test)
{
	struct fixture *f = test->priv;
	/* Of the second range's first page: the first range is full. */
	u64 pfn = PHYS_PFN(f->private[1].start);
	struct dpmgr_client *client = fixture_client(test, f, "disk");

	scrub_all(private_pool(f));
	fixture_alloc(test, client, f->private[0].size, "tag");
	KUNIT_EXPECT_EQ(test, state_of(f, pfn), DPMGR_PAGE_FREE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn));
	expect_quarantined(test, pfn, 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn));
	KUNIT_EXPECT_EQ(test, dpmgr_bad_count(f->mgr), 1);
	expect_never_handed_out(test, client, pfn, 15);
	dpmgr_client_destroy(client);
}

static void a_page_outside_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_bad_page(f->mgr, 0));
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_bad_page(f->mgr, U64_MAX));
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_bad_page(f->mgr, PHYS_PFN(virt_to_phys(f))));
	KUNIT_EXPECT_EQ(test, dpmgr_bad_count(f->mgr), 0);
	fixture_expect_all_free(test, f);
}

static void a_page_in_a_front_is_taken_out(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct dpmgr_page_run run;
	u64 pfn, base;

	scrub_all(private_pool(f));
	dpmgr_free(fixture_alloc(test, client, 1, "tag"));
	base = PHYS_PFN(f->private[0].start);
	for (pfn = base; pfn < base + nr_pages(f); pfn++)
		if (dpmgr_pages_look(&private_pool(f)->pages, pfn, &run) == DPMGR_PAGE_PARKED)
			break;
	if (pfn == base + nr_pages(f)) {
		dpmgr_client_destroy(client);
		kunit_skip(test, "no front has a page: the pool is too small for so many CPUs");
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn));
	expect_quarantined(test, pfn, 0);
	expect_never_handed_out(test, client, pfn, nr_pages(f) - 1);
	dpmgr_client_destroy(client);
}

/* Pages of a buffer, longer than what is scrubbed at a stretch: where, and how many. */
static const struct {
	u32 at;
	u32 nr;
} in_a_buffer[] = { { 0, 1 }, { 20, 1 }, { 39, 1 }, { 15, 2 }, { 0, 40 } };

static void a_page_in_a_buffer_is_quarantined_when_that_is_freed(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct dpmgr_page_counts counts;
	u64 pfn, quarantined = 0;
	struct dpmgr_buf *buf;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(in_a_buffer); i++) {
		buf = fixture_alloc(test, client, 40 * PAGE_SIZE, "tag");
		pfn = dpmgr_buf_pfn(buf, 0);
		memset(dpmgr_buf_vaddr(buf), 0xa5, dpmgr_buf_size(buf));
		for (j = 0; j < in_a_buffer[i].nr; j++)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr,
								pfn + in_a_buffer[i].at + j));
		KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_bad_pages(buf), in_a_buffer[i].nr);
		KUNIT_EXPECT_EQ(test, state_of(f, pfn + in_a_buffer[i].at), DPMGR_PAGE_USED);
		dpmgr_free(buf);
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_bad_pages(buf), 0);
		for (j = 0; j < 40; j++) {
			bool is_bad = j - in_a_buffer[i].at < in_a_buffer[i].nr;
			u8 *page = dpmgr_pool_vaddr(private_pool(f), pfn + j);

			KUNIT_EXPECT_EQ(test, *page, is_bad ? 0xa5 : 0);
			if (is_bad)
				expect_quarantined(test, pfn + j, 0xa5);
		}
		quarantined += in_a_buffer[i].nr;
		dpmgr_pages_count(&private_pool(f)->pages, 0, &counts);
		KUNIT_EXPECT_EQ(test, counts.quarantined, quarantined);
		KUNIT_EXPECT_EQ(test, counts.used, 0);
		KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&private_pool(f)->pages, false));
	}
	dpmgr_client_destroy(client);
}

static void a_small_buffer_is_freed_around_its_bad_page_at_once(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct dpmgr_buf *buf = fixture_alloc(test, client, 3 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 1);
	unsigned long flags;

	memset(dpmgr_buf_vaddr(buf), 0x5a, dpmgr_buf_size(buf));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn));
	local_irq_save(flags);
	dpmgr_free(buf);
	local_irq_restore(flags);
	expect_quarantined(test, pfn, 0x5a);
	KUNIT_EXPECT_EQ(test, fixture_used(private_pool(f)), 0);
	expect_never_handed_out(test, client, pfn, nr_pages(f) - 1);
	dpmgr_client_destroy(client);
}

static void a_parked_and_a_pending_buffer_keep_their_bad_page(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct dpmgr_buf *buf = fixture_alloc(test, client, 2 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 0);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_buf_park(buf));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn));
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn + 1));
	KUNIT_EXPECT_EQ(test, state_of(f, pfn), DPMGR_PAGE_USED);
	flush_work(&f->mgr->bad_work);
	client = fixture_client(test, f, "disk");
	buf = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_bad_pages(buf), 2);
	dpmgr_free(buf);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, state_of(f, pfn), DPMGR_PAGE_QUARANTINED);
	KUNIT_EXPECT_EQ(test, state_of(f, pfn + 1), DPMGR_PAGE_QUARANTINED);
	dpmgr_client_destroy(client);
}

static void a_bounce_in_stock_is_given_up_and_one_in_use_later(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_pool *pool = f->mgr->pools[DPMGR_SHARED];
	u8 *bytes = kunit_kzalloc(test, SZ_8K, GFP_KERNEL);
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	struct dpmgr_page_run run;
	size_t len;
	u64 pfn;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	scrub_all(pool);
	f->mgr->streams.hides_memory = true;
	client = plain_client(test, f);
	stream = dpmgr_stream_map(client, bytes, 100, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	pfn = PHYS_PFN(dpmgr_stream_dma_addr(stream, 0, &len));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn));
	KUNIT_EXPECT_EQ(test, dpmgr_pages_look(&pool->pages, pfn, &run), DPMGR_PAGE_USED);
	dpmgr_stream_free(stream);
	KUNIT_EXPECT_EQ(test, dpmgr_pages_look(&pool->pages, pfn, &run),
			DPMGR_PAGE_QUARANTINED);

	stream = dpmgr_stream_map(client, bytes, 100, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	pfn = PHYS_PFN(dpmgr_stream_dma_addr(stream, 0, &len));
	dpmgr_stream_free(stream);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn));
	KUNIT_EXPECT_EQ(test, dpmgr_pages_look(&pool->pages, pfn, &run),
			DPMGR_PAGE_QUARANTINED);
	dpmgr_client_destroy(client);
}

static struct {
	struct dpmgr_client *client;
	u64 pfn;
	unsigned int calls;
} told;

static void hear(struct dpmgr_client *client, u64 pfn)
{
	told.client = client;
	told.pfn = pfn;
	told.calls++;
}

static void the_holder_is_told_once_and_only_of_its_own(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("disk");
	struct fixture *f = test->priv;
	struct dpmgr_client *client, *deaf;
	struct kmsg_dump_iter log;
	struct dpmgr_buf *buf;

	memset(&told, 0, sizeof(told));
	params.bad_page = hear;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	deaf = fixture_client(test, f, "deaf");
	buf = fixture_alloc(test, client, 4 * PAGE_SIZE, "a ring");
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, dpmgr_buf_pfn(buf, 2)));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, dpmgr_buf_pfn(buf, 2)));
	flush_work(&f->mgr->bad_work);
	KUNIT_EXPECT_EQ(test, told.calls, 1);
	KUNIT_EXPECT_PTR_EQ(test, told.client, client);
	KUNIT_EXPECT_EQ(test, told.pfn, dpmgr_buf_pfn(buf, 2));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"holds a memory error: it is in a live buffer \"a ring\" of client \"disk\"", NULL,
	}));
	buf = fixture_alloc(test, deaf, PAGE_SIZE, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, dpmgr_buf_pfn(buf, 0)));
	flush_work(&f->mgr->bad_work);
	KUNIT_EXPECT_EQ(test, told.calls, 1);
	dpmgr_client_destroy(deaf);
	dpmgr_client_destroy(client);
}

static void bad_pages_are_bad_in_the_next_kernel_in_buffers_or_not(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct dpmgr_buf *buf = fixture_alloc(test, client, 5 * PAGE_SIZE, "tag");
	u64 held = dpmgr_buf_pfn(buf, 3), loose = PHYS_PFN(f->private[1].start) + 15;
	u64 shared = PHYS_PFN(f->shared.start);
	struct dpmgr_page_run run;

	memset(dpmgr_buf_vaddr(buf), 0xc3, dpmgr_buf_size(buf));
	scrub_all(private_pool(f));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, held));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, loose));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, loose - 1));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, shared));
	memset(dpmgr_pool_vaddr(private_pool(f), loose), 0x3c, PAGE_SIZE);
	fixture_kexec(test, f, client, NULL);
	KUNIT_EXPECT_EQ(test, dpmgr_bad_count(f->mgr), 4);
	expect_quarantined(test, loose, 0x3c);
	KUNIT_EXPECT_EQ(test, state_of(f, loose - 1), DPMGR_PAGE_QUARANTINED);
	KUNIT_EXPECT_EQ(test, DPMGR_PAGE_QUARANTINED,
			dpmgr_pages_look(&f->mgr->pools[DPMGR_SHARED]->pages, shared, &run));
	client = fixture_client(test, f, "disk");
	buf = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_bad_pages(buf), 1);
	dpmgr_free(buf);
	dpmgr_drain(f->mgr);
	expect_quarantined(test, held, 0xc3);
	/* And in the one after that. */
	fixture_kexec(test, f, client, NULL);
	KUNIT_EXPECT_EQ(test, dpmgr_bad_count(f->mgr), 4);
	expect_quarantined(test, held, 0xc3);
}

static void discarding_what_was_saved_keeps_bad_pages_out(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct dpmgr_buf *buf = fixture_alloc(test, client, 5 * PAGE_SIZE, "tag");
	u64 pfn = dpmgr_buf_pfn(buf, 3);

	memset(dpmgr_buf_vaddr(buf), 0xc3, dpmgr_buf_size(buf));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_bad_page(f->mgr, pfn));
	f->config.restore = DPMGR_RESTORE_DISCARD;
	fixture_kexec(test, f, client, NULL);
	expect_quarantined(test, pfn, 0xc3);
	client = fixture_client(test, f, "disk");
	expect_never_handed_out(test, client, pfn, nr_pages(f) - 1);
	dpmgr_client_destroy(client);
}

static void locked_pages_are_the_kernels(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("locked");
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;
	struct page *page;

	params.persistent = false;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	buf = fixture_alloc(test, client, 2 * PAGE_SIZE, "tag");
	page = pfn_to_page(dpmgr_buf_pfn(buf, 1));
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_bad_page(f->mgr, page_to_pfn(page)));
	KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_bad_pages(buf), 0);
	dpmgr_free(buf);
	dpmgr_client_destroy(client);
}

static void a_bad_page_of_the_state_region_fails_each_save(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_bad_page(f->mgr, PHYS_PFN(f->state.start) - 1));
	KUNIT_EXPECT_EQ(test, -ENOENT,
			dpmgr_bad_page(f->mgr, PHYS_PFN(f->state.start + f->state.size)));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_preserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 0,
			dpmgr_bad_page(f->mgr, PHYS_PFN(f->state.start + f->state.size) - 1));
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_preserve(f->mgr));
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_servicing_save(f->mgr));
	dpmgr_client_destroy(client);
	fixture_unload(f);
	KUNIT_EXPECT_PTR_EQ(test, dpmgr_create(&f->config), ERR_PTR(-EBADMSG));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_free_page_is_quarantined_at_once),
	KUNIT_CASE(a_page_outside_is_refused),
	KUNIT_CASE(a_page_in_a_front_is_taken_out),
	KUNIT_CASE(a_page_in_a_buffer_is_quarantined_when_that_is_freed),
	KUNIT_CASE(a_small_buffer_is_freed_around_its_bad_page_at_once),
	KUNIT_CASE(a_parked_and_a_pending_buffer_keep_their_bad_page),
	KUNIT_CASE(a_bounce_in_stock_is_given_up_and_one_in_use_later),
	KUNIT_CASE(the_holder_is_told_once_and_only_of_its_own),
	KUNIT_CASE(bad_pages_are_bad_in_the_next_kernel_in_buffers_or_not),
	KUNIT_CASE(discarding_what_was_saved_keeps_bad_pages_out),
	KUNIT_CASE(locked_pages_are_the_kernels),
	KUNIT_CASE(a_bad_page_of_the_state_region_fails_each_save),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_bad",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
