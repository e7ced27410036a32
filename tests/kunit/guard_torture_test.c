// SPDX-License-Identifier: GPL-2.0-only
/*
 * VTL0 clients on several CPUs at once, of a pool of two ranges and of locked pages,
 * while the hypervisor refuses now and then, clients are frozen and thawed, and in the
 * end the kernel ends under all of them.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/pfn.h>
#include <linux/prandom.h>
#include <linux/sched.h>

#include "core/hv_abi.h"
#include "guard.h"
#include "guard_fixture.h"

#define NR_THREADS	4
#define NR_ROUNDS	600
#define NR_HELD		8

struct torturer {
	struct dpmgr_client *client;
	struct rnd_state rnd;
	struct dpmgr_buf *held[NR_HELD];
	struct completion done;
	unsigned int nr_allocated;
	unsigned int nr_in_second;
	const char *broken;
	u8 mark;
};

/* Whether what is held is open; whether threads go on for as long as this is set. */
static bool is_open, goes_on;

static bool is_all_open(const struct dpmgr_buf *buf)
{
	size_t i;

	for (i = 0; i < dpmgr_buf_nr_pages(buf); i++)
		if (dpmgr_emul_check(guarded.emul, dpmgr_buf_pfn(buf, i)) != RW)
			return false;
	return true;
}

static void give_back(struct torturer *t, unsigned int i)
{
	struct dpmgr_buf *buf = t->held[i];

	if (!is_all_open(buf) && READ_ONCE(is_open))
		t->broken = "a held buffer was closed";
	if (memchr_inv(dpmgr_buf_vaddr(buf), t->mark, dpmgr_buf_size(buf)))
		t->broken = "somebody else wrote into a held buffer";
	if (dpmgr_free(buf))
		t->broken = "a live handle was stale";
	t->held[i] = NULL;
}

static void take_one(struct torturer *t, unsigned int i)
{
	u32 random = prandom_u32_state(&t->rnd);
	size_t size = (1 + random % (random & 0x10000 ? 3 : 24)) * PAGE_SIZE;
	struct dpmgr_buf *buf;

	buf = dpmgr_alloc(t->client, size, GFP_KERNEL | __GFP_NOWARN, "tag");
	if (IS_ERR(buf))
		return;
	if (!is_all_zero(dpmgr_buf_vaddr(buf), size))
		t->broken = "a new buffer was not zero";
	memset(dpmgr_buf_vaddr(buf), t->mark, size);
	t->held[i] = buf;
	WRITE_ONCE(t->nr_allocated, t->nr_allocated + 1);
	t->nr_in_second += PFN_PHYS(dpmgr_buf_pfn(buf, 0)) - guarded.f->private[1].start <
			   guarded.f->private[1].size;
}

static int torture_thread(void *data)
{
	struct torturer *t = data;
	unsigned int round;

	for (round = 0; !t->broken && (READ_ONCE(goes_on) || round < NR_ROUNDS); round++) {
		unsigned int i = prandom_u32_state(&t->rnd) % NR_HELD;

		if (t->held[i])
			give_back(t, i);
		else
			take_one(t, i);
		cond_resched();
	}
	/* Nothing of this module runs after the last step. */
	kthread_complete_and_exit(&t->done, 0);
}

static struct torturer *start(struct kunit *test)
{
	struct torturer *torturers;
	unsigned int i;

	torturers = kunit_kcalloc(test, NR_THREADS, sizeof(*torturers), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, torturers);
	WRITE_ONCE(is_open, true);
	for (i = 0; i < NR_THREADS; i++) {
		struct torturer *t = &torturers[i];
		struct dpmgr_client_params params;
		char name[16];

		snprintf(name, sizeof(name), "torturer-%u", i);
		/* One in four has locked pages. */
		params = guard_params(name, i != 3);
		t->client = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, &params);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->client);
		t->mark = 0x11 * (i + 1);
		prandom_seed_state(&t->rnd, i + 1);
		init_completion(&t->done);
	}
	for (i = 0; i < NR_THREADS; i++) {
		struct task_struct *task = kthread_create(torture_thread, &torturers[i],
							  "dpmgr-guard/%u", i);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		kthread_bind(task, cpumask_nth(i % num_online_cpus(), cpu_online_mask));
		wake_up_process(task);
	}
	return torturers;
}

static void finish(struct kunit *test, struct torturer *torturers)
{
	unsigned int i, j;

	for (i = 0; i < NR_THREADS; i++) {
		struct torturer *t = &torturers[i];

		wait_for_completion(&t->done);
		KUNIT_EXPECT_NULL_MSG(test, t->broken, "%s", t->broken);
		KUNIT_EXPECT_GT(test, t->nr_allocated, 0);
		for (j = 0; j < NR_HELD; j++)
			if (t->held[j])
				give_back(t, j);
		KUNIT_EXPECT_NULL_MSG(test, t->broken, "%s", t->broken);
		dpmgr_client_destroy(t->client);
	}
}

static u64 nr_quarantined(void)
{
	struct dpmgr_pages *pages = &guarded.f->mgr->pools[DPMGR_PRIVATE]->pages;
	struct dpmgr_page_counts counts;
	u64 nr = 0;
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++) {
		dpmgr_pages_count(pages, i, &counts);
		nr += counts.quarantined;
	}
	return nr;
}

/* An attempt in some fails; and a few pages, in either range, can't be closed. */
static void fail_some(unsigned int round)
{
	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.page = 1 + round * 7 % 60,
		.nr_attempts = 1,
		.unclosable_pfn = PHYS_PFN(guarded.f->private[1].start) - 2,
		.nr_unclosable = round % 2 ? 4 : 0,
	});
}

static void buffers_of_several_cpus_are_opened_and_closed_apart(struct kunit *test)
{
	struct dpmgr_pages *pages = &guarded.f->mgr->pools[DPMGR_PRIVATE]->pages;
	struct torturer *torturers;
	unsigned int round = 0, i, nr_in_second = 0;
	u64 nr_stuck;

	torturers = start(test);
	for (i = 0; i < NR_THREADS; i++)
		while (!completion_done(&torturers[i].done)) {
			fail_some(round++);
			/* It waits for who is at it, and lets them go on. */
			KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(guarded.f->mgr));
			KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(guarded.f->mgr));
			msleep(20);
		}
	guard_inject((struct dpmgr_emul_faults){});
	finish(test, torturers);
	for (i = 0; i < NR_THREADS; i++)
		nr_in_second += torturers[i].nr_in_second;
	KUNIT_EXPECT_GT(test, nr_in_second, 0);
	guard_drop_stock(test);
	nr_stuck = nr_quarantined();
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), nr_stuck);
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(pages, true));
	KUNIT_EXPECT_EQ(test, fixture_used(guarded.f->mgr->pools[DPMGR_PRIVATE]), 0);
	kunit_info(test, "%u freezes, %llu pages quarantined, %llu kept", round, nr_stuck,
		   guarded.f->mgr->vtl0.nr_kept);
}

static void the_end_of_the_kernel_closes_all_under_those_who_go_on(struct kunit *test)
{
	struct torturer *torturers;
	unsigned int i;

	WRITE_ONCE(goes_on, true);
	torturers = start(test);
	for (i = 0; i < NR_THREADS; i++)
		while (READ_ONCE(torturers[i].nr_allocated) < 20 && !torturers[i].broken)
			msleep(20);
	WRITE_ONCE(is_open, false);
	dpmgr_guard_shutdown(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	for (i = 0; i < 20; i++)
		cond_resched();
	WRITE_ONCE(goes_on, false);
	finish(test, torturers);
	guard_drop_stock(test);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
}

static int init(struct kunit *test)
{
	int ret;

	WRITE_ONCE(goes_on, false);
	ret = guard_init(test);
	/* As much as the other, so that either is full at times. */
	if (ret)
		return ret;
	fixture_unload(guarded.f);
	guarded.f->private[0].size = PRIVATE_SIZE / 4;
	guarded.f->private[1].start = guarded.f->private[0].start + PRIVATE_SIZE / 4;
	guarded.f->private[1].size = PRIVATE_SIZE / 4;
	fixture_load(test, guarded.f);
	return 0;
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(buffers_of_several_cpus_are_opened_and_closed_apart),
	KUNIT_CASE_SLOW(the_end_of_the_kernel_closes_all_under_those_who_go_on),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_guard_torture",
	.init = init,
	.exit = guard_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
