// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many threads at once, with interrupts that allocate and free, while one looks
 * on and another saves. What each holds is checked for being its own.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/sched.h>

#include "fixture.h"
#include "sysfs.h"

#define NR_THREADS	4
#define NR_ROUNDS	2000
#define NR_HELD		24
/* So many allocations say that a thread is at work. */
#define NR_BUSY		10
#define NR_STAYING	10

struct torturer {
	struct fixture *f;
	struct dpmgr_client *client;
	struct dpmgr_client_params params;
	struct rnd_state rnd;
	struct dpmgr_buf *held[NR_HELD];
	struct irq_work irq_work;
	struct dpmgr_buf *irq_buf;
	struct completion done;
	unsigned int nr_allocated;
	unsigned int nr_seen;
	unsigned int nr_walks;
	struct {
		u64 pfn;
		size_t size;
	} noted[NR_HELD + 1];
	unsigned int nr_noted;
	const char *broken;
	char name[16];
	u8 mark;
	bool stop;
	bool goes_on;
};

/* From hard IRQ: free what we have, and take another. */
static void torture_irq(struct irq_work *work)
{
	struct torturer *t = container_of(work, struct torturer, irq_work);
	struct dpmgr_buf *buf;

	if (t->irq_buf && dpmgr_free(t->irq_buf))
		t->broken = "a live handle was stale in an interrupt";
	buf = dpmgr_alloc(t->client, PAGE_SIZE, GFP_ATOMIC | __GFP_NOWARN, "irq");
	if (IS_ERR(buf)) {
		t->irq_buf = NULL;
		return;
	}
	if (!is_all_zero(dpmgr_buf_vaddr(buf), PAGE_SIZE))
		t->broken = "a new buffer was not zero in an interrupt";
	memset(dpmgr_buf_vaddr(buf), t->mark, PAGE_SIZE);
	t->irq_buf = buf;
}

static void give_back(struct torturer *t, unsigned int i)
{
	struct dpmgr_buf *buf = t->held[i];
	const u8 *bytes = dpmgr_buf_vaddr(buf);

	if (memchr_inv(bytes, t->mark, dpmgr_buf_size(buf)))
		t->broken = "somebody else wrote into a held buffer";
	if (dpmgr_free(buf))
		t->broken = "a live handle was stale";
	t->held[i] = NULL;
}

static void take_one(struct torturer *t, unsigned int i)
{
	static const char * const tags[] = { "one", "two", "three" };
	u32 random = prandom_u32_state(&t->rnd);
	size_t size = 1 + random % (random & 0x10000 ? 3 : 20) * PAGE_SIZE;
	gfp_t gfp = random & 0x20000 ? GFP_ATOMIC : GFP_KERNEL;
	struct dpmgr_buf *buf;

	buf = dpmgr_alloc(t->client, size, gfp | __GFP_NOWARN, tags[random % 3]);
	/* Frozen: keep what we have, to see it come back; or wait for the thaw. */
	if (buf == ERR_PTR(-EBUSY) && !t->goes_on)
		t->stop = true;
	if (IS_ERR(buf))
		return;
	if (!is_all_zero(dpmgr_buf_vaddr(buf),
			 dpmgr_buf_nr_pages(buf) * PAGE_SIZE))
		t->broken = "a new buffer was not zero";
	memset(dpmgr_buf_vaddr(buf), t->mark, size);
	t->held[i] = buf;
	t->nr_allocated++;
}

/* A new life under the same name: all comes back, at the same marks. */
static void start_anew(struct torturer *t)
{
	struct dpmgr_buf *buf;
	int ret;

	irq_work_sync(&t->irq_work);
	t->irq_buf = NULL;
	memset(t->held, 0, sizeof(t->held));
	dpmgr_client_destroy(t->client);
	/* Each refusal is a line of the log, which is slow. */
	while ((t->client = dpmgr_client_create(t->f->mgr, t->f->dev, &t->params)) ==
	       ERR_PTR(-EBUSY) && t->goes_on)
		msleep(20);
	if (IS_ERR(t->client)) {
		t->broken = "a client could not be created again";
		t->client = NULL;
		return;
	}
	while (!IS_ERR(buf = dpmgr_retrieve_next(t->client))) {
		if (memchr_inv(dpmgr_buf_vaddr(buf), t->mark,
			       dpmgr_buf_size(buf)))
			t->broken = "a pending buffer was written into";
		dpmgr_free(buf);
	}
	ret = dpmgr_client_finish(t->client);
	if (ret && !(ret == -EBUSY && t->goes_on))
		t->broken = "a client could not finish";
}

static int torture_thread(void *data)
{
	struct torturer *t = data;
	unsigned int round;

	for (round = 0; (t->goes_on || round < NR_ROUNDS) && !t->broken &&
	     !READ_ONCE(t->stop); round++) {
		u32 random = prandom_u32_state(&t->rnd);
		unsigned int i = random % NR_HELD;

		if (t->held[i])
			give_back(t, i);
		else
			take_one(t, i);
		if (random & 0x100)
			irq_work_queue(&t->irq_work);
		if (random >> 24 == 0)
			start_anew(t);
		cond_resched();
	}
	irq_work_sync(&t->irq_work);
	/* Nothing of this module runs after the last step. */
	kthread_complete_and_exit(&t->done, 0);
}

/* Looks at every run again and again, as debugfs and a save do. */
static void look_at_buffer(const struct dpmgr_buf *buf, void *arg)
{
	struct torturer *t = arg;

	if (!buf->client || buf->client->mgr != t->f->mgr || !buf->tag)
		t->broken = "a run's owner is not a buffer";
	if (buf->client == t->client)
		t->nr_seen++;
}

static int looking_thread(void *data)
{
	struct torturer *t = data;

	while (!READ_ONCE(t->stop)) {
		struct dpmgr_pool *pool = t->f->mgr->pools[DPMGR_PRIVATE];
		const char *broken = dpmgr_pages_verify(&pool->pages, false);
		struct dpmgr_page_run run = {};

		t->nr_seen = 0;
		while (dpmgr_pages_next(&pool->pages, run.base_pfn + run.nr_pages,
					U64_MAX, DPMGR_PAGE_USED, &run))
			dpmgr_buf_look(&run, look_at_buffer, t);
		if (t->nr_seen != NR_STAYING)
			t->broken = "a walk missed a buffer that was there all the while";
		if (broken)
			t->broken = broken;
		t->nr_walks++;
		cond_resched();
	}
	/* Nothing of this module runs after the last step. */
	kthread_complete_and_exit(&t->done, 0);
}

static void run_thread(struct kunit *test, int (*function)(void *),
		       struct torturer *t, int cpu)
{
	struct task_struct *task;

	init_completion(&t->done);
	task = kthread_create(function, t, "dpmgr-torture/%d", cpu);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	kthread_bind(task, cpumask_nth(cpu % num_online_cpus(), cpu_online_mask));
	wake_up_process(task);
}

static struct torturer *start_torture(struct kunit *test, struct fixture *f,
				      bool goes_on)
{
	struct torturer *torturers;
	unsigned int i;

	torturers = kunit_kcalloc(test, NR_THREADS, sizeof(*torturers),
				  GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, torturers);
	for (i = 0; i < NR_THREADS; i++) {
		struct torturer *t = &torturers[i];

		t->f = f;
		t->goes_on = goes_on;
		t->mark = 0x11 * (i + 1);
		t->irq_work = IRQ_WORK_INIT_HARD(torture_irq);
		prandom_seed_state(&t->rnd, i + 1);
		snprintf(t->name, sizeof(t->name), "torturer-%u", i);
		t->params = fixture_params(t->name);
		t->client = fixture_client(test, f, t->name);
	}
	for (i = 0; i < NR_THREADS; i++)
		run_thread(test, torture_thread, &torturers[i], i);
	return torturers;
}

/* Wait until each thread is busy, which takes as long as the machine lets it take. */
static void wait_for_allocations(const struct torturer *torturers)
{
	unsigned int i;

	for (i = 0; i < NR_THREADS; i++)
		while (READ_ONCE(torturers[i].nr_allocated) < NR_BUSY &&
		       !READ_ONCE(torturers[i].broken))
			msleep(20);
}

static void threads_and_interrupts_do_not_disturb_each_other(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct torturer *torturers, looking = { .f = f };
	unsigned int i, j, nr_allocated = 0;

	dpmgr_debugfs_create(f->mgr, "dpmgr_torture");
	looking.client = fixture_client(test, f, "staying");
	for (i = 0; i < NR_STAYING; i++)
		fixture_alloc(test, looking.client, 1 + i % 3 * PAGE_SIZE, "stays");
	torturers = start_torture(test, f, false);
	run_thread(test, looking_thread, &looking, NR_THREADS);
	for (i = 0; i < NR_THREADS; i++) {
		struct torturer *t = &torturers[i];

		wait_for_completion(&t->done);
		KUNIT_EXPECT_NULL_MSG(test, t->broken, "%s", t->broken);
		nr_allocated += t->nr_allocated;
	}
	WRITE_ONCE(looking.stop, true);
	wait_for_completion(&looking.done);
	KUNIT_EXPECT_NULL_MSG(test, looking.broken, "%s", looking.broken);
	KUNIT_EXPECT_GT(test, looking.nr_walks, 0);
	kunit_info(test, "%u allocations, %u walks", nr_allocated,
		   looking.nr_walks);
	KUNIT_EXPECT_GT(test, nr_allocated, NR_THREADS * NR_ROUNDS / 10);

	dpmgr_debugfs_remove(f->mgr);
	dpmgr_client_destroy(looking.client);
	looking.client = fixture_client(test, f, "staying");
	KUNIT_EXPECT_EQ(test, dpmgr_client_finish(looking.client), 0);
	dpmgr_client_destroy(looking.client);
	for (i = 0; i < NR_THREADS; i++) {
		for (j = 0; j < NR_HELD; j++)
			if (torturers[i].held[j])
				give_back(&torturers[i], j);
		dpmgr_free(torturers[i].irq_buf);
		dpmgr_client_destroy(torturers[i].client);
	}
	fixture_expect_all_free(test, f);
}

/* What a thread holds at its end, it held when the save was made. */
static void note_held(struct torturer *t)
{
	unsigned int i;

	for (i = 0; i <= NR_HELD; i++) {
		struct dpmgr_buf *buf = i < NR_HELD ? t->held[i] : t->irq_buf;

		if (buf && t->client) {
			t->noted[t->nr_noted].pfn = dpmgr_buf_pfn(buf, 0);
			t->noted[t->nr_noted++].size = dpmgr_buf_size(buf);
		}
	}
}

/* All of that comes back, where it was, and nobody wrote into it. */
static unsigned int check_held(struct kunit *test, struct fixture *f,
			       const struct torturer *t)
{
	struct dpmgr_client *client = fixture_client(test, f, t->name);
	unsigned int i;

	for (i = 0; i < t->nr_noted; i++) {
		size_t size = t->noted[i].size;
		struct dpmgr_buf *buf;

		buf = dpmgr_retrieve_pfn(client, t->noted[i].pfn,
					 DIV_ROUND_UP(size, PAGE_SIZE));
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
		KUNIT_EXPECT_EQ(test, dpmgr_buf_size(buf), size);
		KUNIT_EXPECT_NULL(test, memchr_inv(dpmgr_buf_vaddr(buf),
						   t->mark, size));
	}
	/* And perhaps what was freed after the save. */
	KUNIT_EXPECT_EQ(test, dpmgr_client_finish(client), 0);
	dpmgr_client_destroy(client);
	return t->nr_noted;
}

/* Threads stop by themselves once an allocation tells them of the freeze. */
static void a_save_in_full_flight_restores_to_whole_buffers(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct torturer *torturers = start_torture(test, f, false);
	struct dpmgr_pages *pages;
	unsigned int i, nr = 0;

	wait_for_allocations(torturers);
	KUNIT_EXPECT_EQ(test, dpmgr_servicing_save(f->mgr), 0);
	for (i = 0; i < NR_THREADS; i++) {
		wait_for_completion(&torturers[i].done);
		note_held(&torturers[i]);
		dpmgr_client_destroy(torturers[i].client);
	}
	fixture_unload(f);

	fixture_load(test, f);
	for (i = 0; i < NR_THREADS; i++)
		nr += check_held(test, f, &torturers[i]);
	kunit_info(test, "%u buffers held when all had stopped", nr);
	KUNIT_EXPECT_GT(test, nr, 0);
	pages = &f->mgr->pools[DPMGR_PRIVATE]->pages;
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(pages, true));
}

/* Each step by hand reads back what it wrote, and fails if that is not whole. */
static void servicing_that_is_called_off_disturbs_nobody(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct torturer *torturers;
	unsigned int i, j, round;

	KUNIT_ASSERT_EQ(test, 0, dpmgr_sysfs_create(f->mgr, "dpmgr_torture"));
	torturers = start_torture(test, f, true);
	for (round = 0; round < 30; round++) {
		int ret = dpmgr_finish(f->mgr, DPMGR_FINISH_FAIL);

		KUNIT_EXPECT_TRUE(test, !ret || ret == -ENOTEMPTY);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_preserve(f->mgr));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
		if (round % 2)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
		msleep(20);
	}
	wait_for_allocations(torturers);
	for (i = 0; i < NR_THREADS; i++) {
		struct torturer *t = &torturers[i];

		WRITE_ONCE(t->stop, true);
		wait_for_completion(&t->done);
		KUNIT_EXPECT_GT(test, t->nr_allocated, 0);
		KUNIT_EXPECT_NULL_MSG(test, t->broken, "%s", t->broken);
		for (j = 0; j < NR_HELD; j++)
			if (t->held[j])
				give_back(t, j);
		dpmgr_free(t->irq_buf);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_client_stopped(t->client));
		dpmgr_client_destroy(t->client);
	}
	dpmgr_sysfs_remove(f->mgr);
	fixture_expect_all_free(test, f);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(threads_and_interrupts_do_not_disturb_each_other),
	KUNIT_CASE_SLOW(a_save_in_full_flight_restores_to_whole_buffers),
	KUNIT_CASE_SLOW(servicing_that_is_called_off_disturbs_nobody),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_torture",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
