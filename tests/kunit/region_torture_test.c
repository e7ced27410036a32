// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region map with many threads at once: some add and remove, one overlays and
 * changes permissions, some register and unregister, while maps and unmaps fail now and
 * then. Each target finds by itself what it should not have been told.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/sched.h>

#include "region.h"

#define NR_CHANGERS	3
#define NR_JOINERS	3
#define NR_ROUNDS	1500
#define SUBS		16

struct torturer {
	struct fixture *f;
	struct dpmgr_map_region *region;
	struct dpmgr_map_region *overlay;
	struct recorder *recorder;
	struct faults faults;
	struct rnd_state rnd;
	struct completion done;
	const char *broken;
};

static u32 pick(struct torturer *t, u32 end)
{
	return prandom_u32_state(&t->rnd) % end;
}

/* Legal results: 0, a fault, or what comes of one. */
static void judge(struct torturer *t, int ret)
{
	if (ret && ret != -ENOSPC && ret != -EBUSY && ret != -ENOTRECOVERABLE &&
	    ret != -EEXIST && ret != -ENOENT && ret != -EINVAL)
		t->broken = "an unexpected errno";
}

static int change(void *data)
{
	struct torturer *t = data;
	unsigned int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		u32 page = pick(t, SUBS);

		switch (pick(t, 12)) {
		case 0:
			judge(t, dpmgr_map_region_disable(t->region));
			break;
		case 1:
			judge(t, dpmgr_map_region_enable(t->region, pick(t, 2)));
			break;
		case 2:
			judge(t, dpmgr_map_region_enable(t->overlay, pick(t, 2)));
			break;
		case 3:
			judge(t, dpmgr_map_region_disable(t->overlay));
			break;
		case 4 ... 7:
			judge(t, region_add(t->region, page, 1 + pick(t, 2)));
			break;
		default:
			judge(t, region_remove(t->region, page, 1));
			break;
		}
		cond_resched();
	}
	complete(&t->done);
	return 0;
}

static int join(void *data)
{
	struct torturer *t = data;
	unsigned int i;

	for (i = 0; i < NR_ROUNDS / 4; i++) {
		int ret;

		ret = recorder_register(t->f, t->recorder, 0);
		judge(t, ret);
		cond_resched();
		if (ret) {
			if (t->recorder->nr_held)
				t->broken = "a replay that failed has left something";
			continue;
		}
		if (!pick(t, 4))
			schedule_timeout_uninterruptible(1);
		if (recorder_unregister(t->recorder))
			t->broken = "a target could not be unregistered";
		if (t->recorder->nr_held)
			t->broken = "something is left of a target";
	}
	complete(&t->done);
	return 0;
}

static void threads_change_and_join_at_once(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct torturer *torturers;
	struct recorder *stays;
	struct faults faults = { NEVER, NEVER };
	unsigned int i;

	torturers = kunit_kcalloc(test, NR_CHANGERS + NR_JOINERS, sizeof(*torturers),
				  GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, torturers);
	stays = recorder_new(test, &faults);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, stays, 0));
	for (i = 0; i < NR_CHANGERS + NR_JOINERS; i++) {
		struct torturer *t = &torturers[i];

		t->f = f;
		t->faults = (struct faults){ NEVER, NEVER };
		t->recorder = recorder_new(test, &t->faults);
		prandom_seed_state(&t->rnd, i + 1);
		init_completion(&t->done);
		if (i >= NR_CHANGERS)
			continue;
		t->region = region_new(f, 0, 64 * i, SUBS + 2, i % 2 ? DPMGR_MAP_DEVICE :
							       DPMGR_MAP_RAM);
		t->overlay = region_new(f, 1, 64 * i, 32, DPMGR_MAP_RAM);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->region);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->overlay);
		KUNIT_EXPECT_EQ(test, 0, region_add(t->overlay, 4, 20));
	}
	for (i = 0; i < NR_CHANGERS + NR_JOINERS; i++)
		KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(i < NR_CHANGERS ? change : join,
							    &torturers[i], "regions/%u", i)));
	for (i = 0; i < NR_CHANGERS + NR_JOINERS; i++) {
		/* Look on, and let something fail, while they are at it. */
		while (!wait_for_completion_timeout(&torturers[i].done, 1)) {
			scoped_guard(mutex, &f->mgr->map->lock) {
				faults.maps = 3;
				faults.unmaps = 7;
			}
			recorder_expect(test, f, stays);
		}
		KUNIT_EXPECT_NULL(test, torturers[i].broken);
		KUNIT_EXPECT_NULL(test, torturers[i].recorder->broken);
	}
	faults = (struct faults){ NEVER, NEVER };
	recorder_expect(test, f, stays);
	for (i = 0; i < NR_CHANGERS; i++) {
		dpmgr_map_region_destroy(torturers[i].region);
		dpmgr_map_region_destroy(torturers[i].overlay);
	}
	recorder_expect(test, f, stays);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(stays));
	KUNIT_EXPECT_EQ(test, 0, stays->nr_held);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(threads_change_and_join_at_once),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_torture",
	.init = region_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
