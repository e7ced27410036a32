// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dma-mapping.h>
#include <linux/irq_work.h>
#include <linux/pfn.h>

#include "fixture.h"

static void a_buffer_is_what_was_asked_for(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	static const size_t sizes[] = {
		1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 5000, SZ_64K, 100001,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t nr_pages = DIV_ROUND_UP(sizes[i], PAGE_SIZE);
		struct dpmgr_buf *buf = fixture_alloc(test, client, sizes[i], "a tag");

		KUNIT_EXPECT_EQ(test, dpmgr_buf_size(buf), sizes[i]);
		KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_pages(buf), nr_pages);
		KUNIT_EXPECT_STREQ(test, dpmgr_buf_tag(buf), "a tag");
		KUNIT_EXPECT_TRUE(test, dpmgr_buf_is_contiguous(buf));
		KUNIT_EXPECT_EQ(test, dpmgr_buf_dma_addr(buf),
				virt_to_phys(dpmgr_buf_vaddr(buf)));
		KUNIT_EXPECT_EQ(test, dpmgr_buf_pfn(buf, nr_pages - 1),
				PHYS_PFN(dpmgr_buf_dma_addr(buf)) + nr_pages - 1);
		KUNIT_EXPECT_EQ(test, dpmgr_buf_pfn(buf, nr_pages), U64_MAX);
		KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf),
						    nr_pages * PAGE_SIZE));
		memset(dpmgr_buf_vaddr(buf), 0xff, nr_pages * PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, dpmgr_free(buf), 0);
	}
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void a_used_page_is_zero_for_its_next_holder(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf *buf;
	unsigned int round;

	/* All of the first range, twice. */
	for (round = 0; round < 2; round++) {
		buf = fixture_alloc(test, client, f->private[0].size, "all");
		KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf),
						    f->private[0].size));
		memset(dpmgr_buf_vaddr(buf), 0x5a, f->private[0].size);
		dpmgr_free(buf);
	}
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static int alloc_error(struct dpmgr_client *client, size_t size, gfp_t gfp,
		       const char *tag)
{
	struct dpmgr_buf *buf = dpmgr_alloc(client, size, gfp, tag);

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	dpmgr_free(buf);
	return 0;
}

static void each_bad_argument_of_an_allocation_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	static const char thirty_two[] = "01234567890123456789012345678901";

	KUNIT_EXPECT_EQ(test, -EINVAL, alloc_error(client, 0, GFP_KERNEL, "tag"));
	KUNIT_EXPECT_EQ(test, -E2BIG,
			alloc_error(client, SIZE_MAX, GFP_KERNEL, "tag"));
	KUNIT_EXPECT_EQ(test, -E2BIG,
			alloc_error(client, f->private[0].size + 1, GFP_KERNEL,
				    "tag"));
	KUNIT_EXPECT_EQ(test, 0, alloc_error(client, f->private[0].size,
					     GFP_KERNEL, "tag"));
	KUNIT_EXPECT_EQ(test, 0, alloc_error(client, 1, GFP_NOIO, "tag"));
	KUNIT_EXPECT_EQ(test, 0, alloc_error(client, 1, GFP_KERNEL | __GFP_ZERO,
					     "tag"));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			alloc_error(client, 1, GFP_KERNEL | __GFP_DMA, "tag"));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			alloc_error(client, 1, GFP_HIGHUSER, "tag"));
	KUNIT_EXPECT_EQ(test, -EINVAL, alloc_error(client, 1, GFP_KERNEL, NULL));
	KUNIT_EXPECT_EQ(test, -EINVAL, alloc_error(client, 1, GFP_KERNEL, ""));
	KUNIT_EXPECT_EQ(test, -EINVAL, alloc_error(client, 1, GFP_KERNEL, "a\tb"));
	KUNIT_EXPECT_EQ(test, -ENAMETOOLONG,
			alloc_error(client, 1, GFP_KERNEL, thirty_two));
	KUNIT_EXPECT_EQ(test, 0,
			alloc_error(client, 1, GFP_KERNEL, thirty_two + 1));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void an_exhausted_pool_says_so_and_recovers(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf *all[2], *again;

	all[0] = fixture_alloc(test, client, f->private[0].size, "first range");
	all[1] = fixture_alloc(test, client, f->private[1].size, "second range");
	KUNIT_EXPECT_EQ(test, -ENOSPC, alloc_error(client, 1, GFP_KERNEL, "tag"));
	KUNIT_EXPECT_EQ(test, -ENOMEM, alloc_error(client, 1, GFP_ATOMIC, "tag"));

	/* Not drained yet, perhaps: an allocation that may sleep sees to it. */
	dpmgr_free(all[0]);
	again = fixture_alloc(test, client, f->private[0].size, "again");
	dpmgr_free(again);
	dpmgr_free(all[1]);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void a_quota_is_kept(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("client");
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;
	unsigned int i;

	params.quota = 4;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	KUNIT_EXPECT_EQ(test, -EDQUOT,
			alloc_error(client, 5 * PAGE_SIZE, GFP_KERNEL, "tag"));
	buf = fixture_alloc(test, client, 4 * PAGE_SIZE, "tag");
	KUNIT_EXPECT_EQ(test, -EDQUOT, alloc_error(client, 1, GFP_KERNEL, "tag"));
	dpmgr_free(buf);
	/* What was freed may still be draining: who may sleep sees to it. */
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_EQ(test, 0, alloc_error(client, 4 * PAGE_SIZE,
						     GFP_KERNEL, "tag"));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void expect_stale(struct kunit *test, struct dpmgr_buf *buf)
{
	KUNIT_EXPECT_EQ(test, dpmgr_free(buf), -ESTALE);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_park(buf), -ESTALE);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_buf_vaddr(buf)), -ESTALE);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_buf_tag(buf)), -ESTALE);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_dma_addr(buf), DMA_MAPPING_ERROR);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_size(buf), 0);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_pages(buf), 0);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_pfn(buf, 0), U64_MAX);
	KUNIT_EXPECT_FALSE(test, dpmgr_buf_is_contiguous(buf));
}

static void a_stale_handle_is_told_and_changes_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf *freed = fixture_alloc(test, client, 1, "freed");
	struct dpmgr_buf *parked = fixture_alloc(test, client, 1, "parked");
	struct dpmgr_buf *other;

	KUNIT_EXPECT_EQ(test, dpmgr_free(freed), 0);
	expect_stale(test, freed);
	dpmgr_drain(f->mgr);
	expect_stale(test, freed);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_park(parked), 0);
	expect_stale(test, parked);

	/* The freed page has another holder now, whom a stale free spares. */
	other = fixture_alloc(test, client, 1, "other");
	expect_stale(test, freed);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_size(other), 1);

	dpmgr_client_destroy(client);
	expect_stale(test, parked);
	expect_stale(test, other);
}

static void freeing_nothing_is_nothing(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, dpmgr_free(NULL), 0);
	KUNIT_EXPECT_EQ(test, dpmgr_free(ERR_PTR(-ENOSPC)), 0);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_park(NULL), 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_buf_vaddr(NULL)), -ESTALE);
}

static void only_persistent_buffers_can_be_parked(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("client");
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;

	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	buf = fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, dpmgr_buf_park(buf), -EINVAL);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_size(buf), 1);
	KUNIT_EXPECT_EQ(test, dpmgr_free(buf), 0);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void parked_buffers_wait_for_the_next_client(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf *buf;
	u64 pfn[3];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		buf = fixture_alloc(test, client, 5000, "tag");
		pfn[i] = dpmgr_buf_pfn(buf, 0);
		memset(dpmgr_buf_vaddr(buf), 0x10 + i, 5000);
		if (i == 1)
			KUNIT_EXPECT_EQ(test, dpmgr_buf_park(buf), 0);
	}
	/* This client's own parked buffer is not for itself. */
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_next(client)), -ENOENT);
	KUNIT_EXPECT_EQ(test, dpmgr_client_finish(client), 0);
	dpmgr_client_destroy(client);

	client = fixture_client(test, f, "client");
	buf = dpmgr_retrieve_pfn(client, pfn[1], 2);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, *(u8 *)dpmgr_buf_vaddr(buf), 0x11);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_size(buf), 5000);
	KUNIT_EXPECT_STREQ(test, dpmgr_buf_tag(buf), "tag");
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(client, pfn[1], 2)),
			-ENOENT);
	buf = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_pfn(buf, 0), pfn[0]);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_next(client)), -ENOENT);
	dpmgr_client_destroy(client);
}

static void only_exactly_the_buffer_that_is_named_is_retrieved(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_client *other = fixture_client(test, f, "other");
	u64 pfn = dpmgr_buf_pfn(fixture_alloc(test, client, SZ_16K, "tag"), 0);
	u64 live = dpmgr_buf_pfn(fixture_alloc(test, other, SZ_16K, "tag"), 0);

	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(other, pfn, 4)), -ENOENT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(other, live, 4)), -ENOENT);
	client = fixture_client(test, f, "client");
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(client, pfn, 3)), -ENOENT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(client, pfn + 1, 3)),
			-ENOENT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(client, pfn, 0)), -ENOENT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(client, pfn,
							 (1ULL << 32) + 4)),
			-ENOENT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(client, U64_MAX, 4)),
			-ENOENT);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_pfn(client, pfn, 4));
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(other);
}

static void finish_frees_what_was_not_retrieved(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf *kept;
	unsigned int i;

	for (i = 0; i < 100; i++)
		fixture_alloc(test, client, PAGE_SIZE, "tag");
	dpmgr_client_destroy(client);

	client = fixture_client(test, f, "client");
	kept = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, kept);
	KUNIT_EXPECT_EQ(test, dpmgr_client_finish(client), 0);
	KUNIT_EXPECT_EQ(test, dpmgr_client_finish(client), -ESTALE);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_next(client)), -ESTALE);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(client, 0, 1)), -ESTALE);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, fixture_used(f->mgr->pools[DPMGR_PRIVATE]), 1);
	dpmgr_free(kept);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void pending_buffers_fix_a_clients_parameters(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("client");
	struct dpmgr_client *client = fixture_client(test, f, "client");

	fixture_alloc(test, client, 1, "tag");
	dpmgr_client_destroy(client);

	params.visibility = DPMGR_SHARED;
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR(dpmgr_client_create(f->mgr, f->dev, &params)));
	params.persistent = false;
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR(dpmgr_client_create(f->mgr, f->dev, &params)));

	client = fixture_client(test, f, "client");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	dpmgr_client_destroy(client);
}

/* An allocation and a free, with interrupts off or from an interrupt. */
struct irq_job {
	struct irq_work work;
	struct dpmgr_client *client;
	struct dpmgr_buf *to_free;
	struct dpmgr_buf *allocated;
	int ret;
	bool was_hard_irq;
};

static void irq_job(struct irq_work *work)
{
	struct irq_job *job = container_of(work, struct irq_job, work);

	job->was_hard_irq = in_hardirq();
	job->ret = dpmgr_free(job->to_free);
	job->allocated = dpmgr_alloc(job->client, 3 * PAGE_SIZE, GFP_ATOMIC,
				     "a tag of its own");
}

static void hard_irq_can_allocate_and_free(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct irq_job job = { .work = IRQ_WORK_INIT_HARD(irq_job) };

	job.client = fixture_client(test, f, "client");
	job.to_free = fixture_alloc(test, job.client, PAGE_SIZE, "tag");
	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_PRIVATE]))
		;
	irq_work_queue(&job.work);
	irq_work_sync(&job.work);

	KUNIT_EXPECT_TRUE(test, job.was_hard_irq);
	KUNIT_EXPECT_EQ(test, job.ret, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, job.allocated);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_pages(job.allocated), 3);
	KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(job.allocated),
					    3 * PAGE_SIZE));
	dpmgr_free(job.allocated);
	dpmgr_client_destroy(job.client);
	fixture_expect_all_free(test, f);
}

static void the_first_allocation_may_be_one_that_cannot_sleep(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_PRIVATE]))
		;
	client = fixture_client(test, f, "client");
	KUNIT_EXPECT_EQ(test, 0, alloc_error(client, 1, GFP_ATOMIC, "tag"));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void an_atomic_allocation_runs_out_of_handles_and_they_come_back(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf **bufs, *buf = NULL;
	unsigned int nr = 0;

	bufs = kunit_kcalloc(test, 512, sizeof(*bufs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bufs);
	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_PRIVATE]))
		;
	/* Faster than the worker, on another CPU, can refill the stock. */
	local_irq_disable();
	while (nr < 200) {
		buf = dpmgr_alloc(client, 1, GFP_ATOMIC | __GFP_NOWARN, "tag");
		if (IS_ERR(buf))
			break;
		bufs[nr++] = buf;
	}
	local_irq_enable();
	KUNIT_EXPECT_GE(test, nr, DPMGR_STOCK_LOW);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(buf), nr < 200 ? -ENOMEM : 0);

	/* The worker that the shortage woke refills the stock. */
	while (IS_ERR(buf = dpmgr_alloc(client, 1, GFP_ATOMIC | __GFP_NOWARN, "tag")))
		msleep(20);
	dpmgr_free(buf);
	while (nr)
		dpmgr_free(bufs[--nr]);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void tags_are_copied_and_may_be_many(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf *bufs[150];
	unsigned int i;
	char tag[16];

	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		snprintf(tag, sizeof(tag), "tag %u", i);
		bufs[i] = fixture_alloc(test, client, 1, tag);
	}
	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		snprintf(tag, sizeof(tag), "tag %u", i);
		KUNIT_EXPECT_STREQ(test, dpmgr_buf_tag(bufs[i]), tag);
		dpmgr_free(bufs[i]);
	}
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_buffer_is_what_was_asked_for),
	KUNIT_CASE(a_used_page_is_zero_for_its_next_holder),
	KUNIT_CASE(each_bad_argument_of_an_allocation_is_refused),
	KUNIT_CASE(an_exhausted_pool_says_so_and_recovers),
	KUNIT_CASE(a_quota_is_kept),
	KUNIT_CASE(a_stale_handle_is_told_and_changes_nothing),
	KUNIT_CASE(freeing_nothing_is_nothing),
	KUNIT_CASE(only_persistent_buffers_can_be_parked),
	KUNIT_CASE(parked_buffers_wait_for_the_next_client),
	KUNIT_CASE(only_exactly_the_buffer_that_is_named_is_retrieved),
	KUNIT_CASE(finish_frees_what_was_not_retrieved),
	KUNIT_CASE(pending_buffers_fix_a_clients_parameters),
	KUNIT_CASE(hard_irq_can_allocate_and_free),
	KUNIT_CASE(the_first_allocation_may_be_one_that_cannot_sleep),
	KUNIT_CASE(an_atomic_allocation_runs_out_of_handles_and_they_come_back),
	KUNIT_CASE(tags_are_copied_and_may_be_many),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_buffer",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
