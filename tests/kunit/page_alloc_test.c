// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator in the kernel, on pages that nobody touches. What needs no
 * kernel (the model, millions of operations) is tested in user space.
 */
#include <linux/completion.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/numa.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

#include "fixture.h"

/* Large enough for every CPU to have a front worth speaking of. */
#define NR_PAGES	65536U
#define BASE_PFN	0x100000

struct pages_fixture {
	struct dpmgr_pages pages;
	int owner;
};

static void exit_pages(void *pages)
{
	dpmgr_pages_destroy(pages);
}

static int pages_init(struct kunit *test)
{
	static const struct dpmgr_page_range_info infos[] = {
		{ BASE_PFN, NR_PAGES, 0, true },
		{ BASE_PFN + NR_PAGES, NR_PAGES, 1, true },
	};
	struct pages_fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct dpmgr_page_run run;
	int ret;

	if (!f)
		return -ENOMEM;
	ret = dpmgr_pages_init(&f->pages, infos, ARRAY_SIZE(infos), true);
	if (ret)
		return ret;
	ret = kunit_add_action_or_reset(test, exit_pages, &f->pages);
	if (ret)
		return ret;
	while (dpmgr_pages_take_dirty(&f->pages, NR_PAGES, &run))
		dpmgr_pages_put(&f->pages, &run);
	test->priv = f;
	return 0;
}

static int take(struct pages_fixture *f, u32 nr_pages, unsigned int align_order,
		u64 end_pfn, struct dpmgr_page_run *run)
{
	const struct dpmgr_page_request request = {
		.nr_pages = nr_pages,
		.align_order = align_order,
		.node = NUMA_NO_NODE,
		.persistent = true,
		.end_pfn = end_pfn,
	};

	return dpmgr_pages_take(&f->pages, &request, &f->owner, run);
}

static void expect_whole(struct kunit *test)
{
	struct pages_fixture *f = test->priv;
	struct dpmgr_page_run run[2];

	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&f->pages, true));
	KUNIT_EXPECT_EQ(test, 0, take(f, NR_PAGES, 0, U64_MAX, &run[0]));
	KUNIT_EXPECT_EQ(test, 0, take(f, NR_PAGES, 0, U64_MAX, &run[1]));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_put(&f->pages, &run[0]));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_put(&f->pages, &run[1]));
}

static void a_run_is_where_its_alignment_and_limit_want_it(struct kunit *test)
{
	struct pages_fixture *f = test->priv;
	struct dpmgr_page_run run[17];
	unsigned int order;

	for (order = 0; order <= 16; order++) {
		u64 end_pfn = BASE_PFN + (order & 1 ? NR_PAGES : 2 * NR_PAGES);

		KUNIT_ASSERT_EQ(test, 0, take(f, 1 + order, order % 15, end_pfn,
					      &run[order]));
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(run[order].base_pfn,
						   1ULL << order % 15));
		KUNIT_EXPECT_LE(test, run[order].base_pfn + 1 + order, end_pfn);
	}
	KUNIT_EXPECT_EQ(test, -ENOSPC, take(f, 1, 0, BASE_PFN, &run[0]));
	while (order--)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_put(&f->pages, &run[order]));
	expect_whole(test);
}

static void a_search_finds_what_a_quick_look_may_not(struct kunit *test)
{
	struct pages_fixture *f = test->priv;
	const struct dpmgr_page_request request = {
		.nr_pages = 101, .node = NUMA_NO_NODE, .end_pfn = U64_MAX,
	};
	struct dpmgr_page_run rest[2], run;
	unsigned int i;
	u64 pfn;

	/* One hole of 101 pages, and then twenty of 100, the last freed first. */
	KUNIT_ASSERT_EQ(test, 0, take(f, NR_PAGES, 0, U64_MAX, &rest[0]));
	KUNIT_ASSERT_EQ(test, 0, take(f, NR_PAGES, 0, U64_MAX, &rest[1]));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_pages_put(&f->pages, &rest[0]));
	pfn = rest[0].base_pfn;
	for (i = 0; i <= 20; i++, pfn += 102)
		KUNIT_ASSERT_EQ(test, 0, dpmgr_pages_claim(&f->pages, pfn, 1,
							   &f->owner));
	for (i = 1; i <= 20; i++)
		KUNIT_ASSERT_EQ(test, 0,
				dpmgr_pages_claim(&f->pages, rest[0].base_pfn +
						  102 * i + 101, 1, &f->owner));
	KUNIT_ASSERT_EQ(test, 0,
			dpmgr_pages_claim(&f->pages, pfn,
					  rest[0].base_pfn + NR_PAGES - pfn,
					  &f->owner));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_search(&f->pages, &request,
						    &f->owner, &run));
	KUNIT_EXPECT_EQ(test, run.base_pfn, rest[0].base_pfn + 1);
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_pages_search(&f->pages, &request,
							  &f->owner, &run));
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&f->pages, true));
}

static void a_bogus_free_changes_nothing(struct kunit *test)
{
	struct pages_fixture *f = test->priv;
	struct dpmgr_page_run run, bogus, there;

	KUNIT_ASSERT_EQ(test, 0, take(f, 8, 0, U64_MAX, &run));
	bogus = run;
	bogus.nr_pages = 7;
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_pages_put(&f->pages, &bogus));
	bogus = run;
	bogus.owner = f;
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_pages_put(&f->pages, &bogus));
	bogus = run;
	bogus.base_pfn = BASE_PFN - 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_pages_put(&f->pages, &bogus));
	bogus = run;
	bogus.base_pfn += 3;
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_pages_put(&f->pages, &bogus));
	KUNIT_EXPECT_EQ(test, DPMGR_PAGE_USED,
			dpmgr_pages_look(&f->pages, bogus.base_pfn, &there));
	KUNIT_EXPECT_EQ(test, there.base_pfn, run.base_pfn);
	KUNIT_EXPECT_PTR_EQ(test, there.owner, run.owner);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_put(&f->pages, &run));
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_pages_put(&f->pages, &run));
	KUNIT_EXPECT_EQ(test, DPMGR_PAGE_PARKED,
			dpmgr_pages_look(&f->pages, run.base_pfn, &there));
	KUNIT_EXPECT_TRUE(test, dpmgr_pages_flush(&f->pages));
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_pages_put(&f->pages, &run));
	expect_whole(test);
}

static void quarantined_pages_stay_out(struct kunit *test)
{
	struct pages_fixture *f = test->priv;
	struct dpmgr_page_run run, part;
	struct dpmgr_page_counts counts;

	KUNIT_ASSERT_EQ(test, 0, take(f, NR_PAGES, 0, BASE_PFN + NR_PAGES, &run));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			dpmgr_pages_quarantine(&f->pages, &run, BASE_PFN - 1, 2));
	KUNIT_EXPECT_EQ(test, 0,
			dpmgr_pages_quarantine(&f->pages, &run, BASE_PFN + 10, 2));
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_pages_put(&f->pages, &run));
	part = (struct dpmgr_page_run){ BASE_PFN, 10, &f->owner };
	KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_put(&f->pages, &part));
	part = (struct dpmgr_page_run){ BASE_PFN + 12, NR_PAGES - 12, &f->owner };
	KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_put(&f->pages, &part));
	dpmgr_pages_flush(&f->pages);
	dpmgr_pages_count(&f->pages, 0, &counts);
	KUNIT_EXPECT_EQ(test, counts.quarantined, 2);
	KUNIT_EXPECT_EQ(test, counts.free, NR_PAGES - 2);
	KUNIT_EXPECT_EQ(test, counts.largest, NR_PAGES - 12);
	KUNIT_EXPECT_EQ(test, counts.free_runs, 2);
	KUNIT_EXPECT_TRUE(test, dpmgr_pages_next(&f->pages, 0, U64_MAX,
						 DPMGR_PAGE_QUARANTINED, &part));
	KUNIT_EXPECT_EQ(test, part.base_pfn, BASE_PFN + 10);
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_pages_claim(&f->pages, BASE_PFN + 11,
							1, &f->owner));
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&f->pages, true));
}

static void what_fronts_hold_is_free_for_all(struct kunit *test)
{
	struct pages_fixture *f = test->priv;
	struct dpmgr_page_counts counts;
	struct dpmgr_page_run run[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(run); i++)
		KUNIT_ASSERT_EQ(test, 0, take(f, 1, 0, BASE_PFN + NR_PAGES,
					      &run[i]));
	for (i = 0; i < ARRAY_SIZE(run); i++)
		KUNIT_ASSERT_EQ(test, 0, dpmgr_pages_put(&f->pages, &run[i]));
	dpmgr_pages_count(&f->pages, 0, &counts);
	KUNIT_EXPECT_EQ(test, counts.free, NR_PAGES);
	KUNIT_EXPECT_EQ(test, counts.used, 0);
	KUNIT_EXPECT_GT(test, counts.parked, 0);
	expect_whole(test);
}

/*
 * Everybody takes and puts in one table of runs, so most are put on another CPU,
 * and in another context, than they were taken.
 */
#define NR_THREADS	4
#define NR_ROUNDS	20000
#define NR_SLOTS	512

struct page_torture {
	struct pages_fixture *f;
	raw_spinlock_t lock;		/* protects all below */
	struct dpmgr_page_run slots[NR_SLOTS];
	u8 held[2 * NR_PAGES];
	const char *broken;
	unsigned long nr_taken[3];
};

struct page_torturer {
	struct page_torture *torture;
	struct rnd_state rnd[3];
	struct irq_work irq_work;
	struct timer_list timer;
	struct completion done;
	bool stop;
};

/* Two holders of one page at once would be found out here. */
static void mark(struct page_torture *t, const struct dpmgr_page_run *run,
		 u8 from, u8 to)
{
	u32 i;

	for (i = 0; i < run->nr_pages; i++) {
		if (t->held[run->base_pfn - BASE_PFN + i] != from)
			t->broken = "a page has two holders";
		t->held[run->base_pfn - BASE_PFN + i] = to;
	}
}

/* Put what is in a slot, or fill it. @context: 0 thread, 1 softirq, 2 hard IRQ. */
static void torture_step(struct page_torturer *torturer, unsigned int context)
{
	static const u16 sizes[] = { 1, 1, 2, 3, 8, 8, 16, 33, 128, 512 };
	struct page_torture *t = torturer->torture;
	u32 random = prandom_u32_state(&torturer->rnd[context]);
	struct dpmgr_page_run *slot = &t->slots[random % NR_SLOTS];
	struct dpmgr_page_run mine = {};
	struct dpmgr_page_request request = {
		.nr_pages = sizes[(random >> 16) % ARRAY_SIZE(sizes)],
		.align_order = random >> 30 ? 0 : (random >> 20) % 4,
		.node = (random >> 24) % 3 - 1,
		.persistent = true,
		.end_pfn = U64_MAX,
	};

	scoped_guard(raw_spinlock_irqsave, &t->lock) {
		swap(*slot, mine);
		if (mine.nr_pages)
			mark(t, &mine, 1, 0);
	}
	if (mine.nr_pages) {
		if (dpmgr_pages_put(&t->f->pages, &mine))
			t->broken = "a held run could not be put";
		return;
	}
	if (dpmgr_pages_take(&t->f->pages, &request, &t->f->owner, &mine))
		return;
	scoped_guard(raw_spinlock_irqsave, &t->lock) {
		mark(t, &mine, 0, 1);
		t->nr_taken[context]++;
		swap(*slot, mine);
		if (mine.nr_pages)
			mark(t, &mine, 1, 0);
	}
	if (mine.nr_pages && dpmgr_pages_put(&t->f->pages, &mine))
		t->broken = "a held run could not be put";
}

static void torture_timer(struct timer_list *timer)
{
	struct page_torturer *torturer = from_timer(torturer, timer, timer);
	unsigned int i;

	for (i = 0; i < 50; i++)
		torture_step(torturer, 1);
	if (!READ_ONCE(torturer->stop))
		mod_timer(timer, jiffies + 1);
}

static void torture_irq(struct irq_work *work)
{
	torture_step(container_of(work, struct page_torturer, irq_work), 2);
}

static int torture_thread(void *data)
{
	struct page_torturer *torturer = data;
	unsigned int round;

	for (round = 0; round < NR_ROUNDS && !torturer->torture->broken; round++) {
		torture_step(torturer, 0);
		if (round % 4 == 0)
			irq_work_queue(&torturer->irq_work);
		if (round % 512 == 0) {
			dpmgr_pages_flush(&torturer->torture->f->pages);
			cond_resched();
		}
	}
	WRITE_ONCE(torturer->stop, true);
	timer_shutdown_sync(&torturer->timer);
	irq_work_sync(&torturer->irq_work);
	/* Nothing of this module runs after the last step. */
	kthread_complete_and_exit(&torturer->done, 0);
}

static void start_torturer(struct kunit *test, struct page_torturer *torturer,
			   unsigned int i)
{
	struct task_struct *task;
	unsigned int context;

	for (context = 0; context < 3; context++)
		prandom_seed_state(&torturer->rnd[context], 3 * i + context + 1);
	torturer->irq_work = IRQ_WORK_INIT_HARD(torture_irq);
	timer_setup(&torturer->timer, torture_timer, TIMER_PINNED);
	init_completion(&torturer->done);
	task = kthread_create(torture_thread, torturer, "dpmgr-pages/%u", i);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	kthread_bind(task, cpumask_nth(i % num_online_cpus(), cpu_online_mask));
	mod_timer(&torturer->timer, jiffies + 1);
	wake_up_process(task);
}

static void threads_softirqs_and_hard_irqs_share_the_pages(struct kunit *test)
{
	struct pages_fixture *f = test->priv;
	struct page_torturer *torturers;
	struct page_torture *t;
	unsigned int i, done = 0;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	torturers = kunit_kcalloc(test, NR_THREADS, sizeof(*torturers), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	KUNIT_ASSERT_NOT_NULL(test, torturers);
	t->f = f;
	raw_spin_lock_init(&t->lock);
	for (i = 0; i < NR_THREADS; i++) {
		torturers[i].torture = t;
		start_torturer(test, &torturers[i], i);
	}
	while (done < NR_THREADS) {
		const char *broken = dpmgr_pages_verify(&f->pages, false);

		if (broken)
			t->broken = broken;
		done += wait_for_completion_timeout(&torturers[done].done, 1) > 0;
	}
	KUNIT_EXPECT_NULL_MSG(test, t->broken, "%s", t->broken);
	for (i = 0; i < ARRAY_SIZE(t->nr_taken); i++)
		KUNIT_EXPECT_GT(test, t->nr_taken[i], 0);
	kunit_info(test, "runs taken: %lu by threads, %lu in softirq, %lu in hard IRQ",
		   t->nr_taken[0], t->nr_taken[1], t->nr_taken[2]);

	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&f->pages, true));
	for (i = 0; i < NR_SLOTS; i++)
		if (t->slots[i].nr_pages)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_pages_put(&f->pages,
								 &t->slots[i]));
	expect_whole(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_run_is_where_its_alignment_and_limit_want_it),
	KUNIT_CASE(a_search_finds_what_a_quick_look_may_not),
	KUNIT_CASE(a_bogus_free_changes_nothing),
	KUNIT_CASE(quarantined_pages_stay_out),
	KUNIT_CASE(what_fronts_hold_is_free_for_all),
	KUNIT_CASE_SLOW(threads_softirqs_and_hard_irqs_share_the_pages),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_page_alloc",
	.init = pages_init,
	.test_cases = cases,
};

kunit_test_suite(suite);
