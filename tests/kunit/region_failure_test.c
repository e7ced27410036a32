// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region map: what becomes of it when targets can't do what they are told.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "region.h"

#define RW	DPMGR_MAP_WRITABLE
#define RO	DPMGR_MAP_READ_ONLY

static void a_change_of_permission_that_fails_changes_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 16);
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 1, 1));
	/* The second unmap fails. */
	faults.unmaps = 1;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_enable(region, RO));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(region));
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 2, r->nr_held);
	KUNIT_EXPECT_EQ(test, r->held[0].access, RW);
	KUNIT_EXPECT_EQ(test, r->held[1].access, RW);
	KUNIT_EXPECT_EQ(test, 0, region->nr_stuck);
	/* Stalled, it is what it was; the access is what was asked for last with success. */
	faults.maps = 0;
	faults.go_on = true;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(region, RO));
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(region, RO));
	KUNIT_EXPECT_EQ(test, region->access, RW);
	faults.maps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(region));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, r->held[0].access, RW);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

static int says(void *context, const struct dpmgr_map_extent *extent)
{
	return *(int *)context;
}

static int takes(void *context, const struct dpmgr_map_extent *extent)
{
	return 0;
}

/* -ENOTRECOVERABLE is the map's, and who registers takes what isn't an errno for a pointer. */
static void what_a_target_says_is_an_errno_of_its_own(struct kunit *test)
{
	static const int said[][2] = {
		{ 1, -EIO }, { -ENOTRECOVERABLE, -EIO }, { -ENXIO, -ENXIO },
	};
	static const struct dpmgr_map_target_ops ops = { .map = says, .unmap = takes };
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 4);
	struct dpmgr_map_target *target;
	unsigned int i;
	int say = 0;
	const struct dpmgr_map_target_params params = {
		.size = sizeof(params),
		.name = "target",
		.ops = &ops,
		.context = &say,
	};

	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 1));
	for (i = 0; i < ARRAY_SIZE(said); i++) {
		say = said[i][0];
		target = dpmgr_map_target_register(f->mgr, &params);
		KUNIT_EXPECT_TRUE(test, IS_ERR(target));
		KUNIT_EXPECT_EQ(test, PTR_ERR(target), said[i][1]);
		say = 0;
		target = dpmgr_map_target_register(f->mgr, &params);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, target);
		say = said[i][0];
		KUNIT_EXPECT_EQ(test, said[i][1], region_add(region, 1, 1));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_target_unregister(target));
	}
	dpmgr_map_region_destroy(region);
}

static void targets_that_break_a_rule_are_refused(struct kunit *test)
{
	static const struct dpmgr_map_target_ops ops = { .map = says, .unmap = takes };
	static const struct dpmgr_map_target_ops no_map = { .unmap = takes };
	static const struct dpmgr_map_target_ops no_unmap = { .map = says };
	const struct dpmgr_map_target_params good = {
		.size = sizeof(good),
		.name = "target",
		.ops = &ops,
	};
	struct dpmgr_map_target_params bad[8];
	struct fixture *f = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].size--;
	bad[1].name = "";
	bad[2].ops = NULL;
	bad[3].ops = &no_map;
	bad[4].ops = &no_unmap;
	bad[5].needs = 2;
	bad[6].reserved32 = 1;
	bad[7].reserved[1] = 1;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    PTR_ERR_OR_ZERO(dpmgr_map_target_register(f->mgr, &bad[i])),
				    "parameters %u", i);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR_OR_ZERO(dpmgr_map_target_register(f->mgr, NULL)));
	KUNIT_EXPECT_EQ(test, -ENOENT,
			PTR_ERR_OR_ZERO(dpmgr_map_target_register(ERR_PTR(-ENOENT), &good)));
}

/* But for the pools' regions. */
static void regions_and_targets_hold_the_manager_s_module(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region;
	struct recorder *r = recorder_new(test, NULL);
	int before;

	if (!IS_MODULE(CONFIG_DMA_POOL_MGR_KUNIT_TEST))
		kunit_skip(test, "built in");
	f->mgr->map->module = THIS_MODULE;
	before = module_refcount(THIS_MODULE);
	region = region_enabled(test, f, 0, 0, 4);
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before + 1);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before + 2);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before + 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(region));
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before);
	f->mgr->map->module = NULL;
}

/* Their driver may be gone when it is called at last. */
static void what_is_stuck_holds_the_module_of_its_release(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region;
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);
	const struct dpmgr_map_sub_params sub = {
		.size = sizeof(sub),
		.length = PAGE_SIZE,
		.access = RW,
		.owner = THIS_MODULE,
	};
	int before;

	if (!IS_MODULE(CONFIG_DMA_POOL_MGR_KUNIT_TEST))
		kunit_skip(test, "built in");
	region = region_enabled(test, f, 0, 0, 4);
	before = module_refcount(THIS_MODULE);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_add(region, &sub));
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before);
	faults.unmaps = 0;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, region_remove(region, 0, 1));
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before + 1);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before);
	/* So does a target that could not be registered. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_add(region, &sub));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 1, 1));
	faults = (struct faults){ 1, 0 };
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before + 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(region));
	KUNIT_EXPECT_EQ(test, module_refcount(THIS_MODULE), before);
}

static void what_failed_at_one_target_is_undone_at_the_others(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 24);
	struct faults faults = { NEVER, NEVER };
	struct recorder *good = recorder_new(test, NULL);
	struct recorder *bad = recorder_new(test, &faults);

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, good, 0));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, bad, 0));
	/* An addition. */
	faults.maps = 0;
	KUNIT_EXPECT_EQ(test, -ENOSPC, region_add(region, 0, 4));
	recorder_expect_events(test, good, "+0 -0");
	recorder_expect_events(test, bad, "");
	/* A region, at its first sub-mapping. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 4));
	faults.maps = 0;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(region, RW));
	recorder_expect_events(test, good, "+0 -0");
	/* And at its third. */
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 4, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 8, 4));
	faults.maps = 2;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(region, RW));
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(region));
	recorder_expect_events(test, good, "+0 +4 +8 -8 -4 -0");
	recorder_expect_events(test, bad, "+0 +4 -4 -0");
	KUNIT_EXPECT_EQ(test, bad->target->nr_map_failures, 3);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	recorder_expect(test, f, good);
	recorder_expect(test, f, bad);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(good));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(bad));
	dpmgr_map_region_destroy(region);
}

static void targets_are_told_in_one_order_and_undone_in_reverse(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *low = region_enabled(test, f, 0, 0, 8);
	struct dpmgr_map_region *high = region_new(f, 1, 0, 8, DPMGR_MAP_RAM);
	struct faults faults = { NEVER, NEVER };
	struct recorder *r[3];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		r[i] = recorder_new(test, &faults);
		r[i]->name = 'a' + i;
		KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r[i], 0));
	}
	KUNIT_EXPECT_EQ(test, 0, region_add(low, 0, 1));
	faults_expect_journal(test, &faults, "+a0 +b0 +c0");
	faults.maps = 2;
	KUNIT_EXPECT_EQ(test, -ENOSPC, region_add(low, 1, 1));
	faults_expect_journal(test, &faults, "+a1 +b1 -b1 -a1");
	KUNIT_EXPECT_EQ(test, 0, region_add(high, 2, 1));
	/* All have lost what is hidden before one gets what hides it, and so back. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(high, RW));
	faults_expect_journal(test, &faults, "-c0 -b0 -a0 +a2 +b2 +c2");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(high));
	faults_expect_journal(test, &faults, "-c2 -b2 -a2 +a0 +b0 +c0");
	faults.maps = 1;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(high, RW));
	faults_expect_journal(test, &faults, "-c0 -b0 -a0 +a2 -a2 +a0 +b0 +c0");
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r[i]));
	dpmgr_map_region_destroy(high);
	dpmgr_map_region_destroy(low);
}

static void a_replay_that_fails_leaves_the_target_as_it_was(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *one = region_enabled(test, f, 0, 0, 2);
	struct dpmgr_map_region *two = region_enabled(test, f, 0, 4, 2);
	struct faults faults = { 2, NEVER };
	struct recorder *r = recorder_new(test, &faults);

	KUNIT_EXPECT_EQ(test, 0, region_add(one, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(two, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(two, 1, 1));
	KUNIT_EXPECT_EQ(test, -ENOSPC, recorder_register(f, r, 0));
	recorder_expect_events(test, r, "+0 +4 -4 -0");
	KUNIT_EXPECT_EQ(test, 0, recorder_register(f, r, 0));
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(one);
	dpmgr_map_region_destroy(two);
}

static void device_memory_that_a_target_cannot_map_it_does_without(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *bar = region_new(f, 0, 0, 8, DPMGR_MAP_DEVICE);
	struct faults faults = { NEVER, NEVER };
	struct recorder *good = recorder_new(test, NULL);
	struct recorder *bad = recorder_new(test, &faults);

	KUNIT_EXPECT_EQ(test, 0, region_add(bar, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(bar, 1, 1));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RW));
	/* At the replay. */
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, good, 0));
	faults.maps = 0;
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, bad, 0));
	recorder_expect_events(test, good, "+0 +1");
	recorder_expect_events(test, bad, "+1");
	KUNIT_EXPECT_EQ(test, bad->target->nr_skipped, 1);
	recorder_expect(test, f, bad);
	/* Live. */
	faults.maps = 0;
	KUNIT_EXPECT_EQ(test, 0, region_add(bar, 2, 1));
	recorder_expect_events(test, good, "+2");
	recorder_expect_events(test, bad, "");
	KUNIT_EXPECT_EQ(test, bad->target->nr_skipped, 2);
	KUNIT_EXPECT_EQ(test, bad->target->nr_map_failures, 2);
	recorder_expect(test, f, bad);
	/* What it doesn't have is not taken from it. */
	KUNIT_EXPECT_EQ(test, 0, region_remove(bar, 2, 1));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(bar));
	recorder_expect_events(test, good, "-2 -1 -0");
	recorder_expect_events(test, bad, "-1");
	KUNIT_EXPECT_EQ(test, bad->target->nr_skipped, 0);
	/* The next time it may have it. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RW));
	recorder_expect_events(test, bad, "+0 +1");
	faults.maps = 0;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RO));
	recorder_expect_events(test, bad, "-1 -0 +1");
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(bad));
	recorder_expect_events(test, bad, "-1");
	KUNIT_EXPECT_EQ(test, bad->nr_held, 0);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(good));
	dpmgr_map_region_destroy(bar);
}

static void a_removal_does_not_fail_for_want_of_what_is_beneath(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *low = region_enabled(test, f, 0, 0, 4);
	struct dpmgr_map_region *other = region_enabled(test, f, 0, 4, 4);
	struct dpmgr_map_region *high = region_enabled(test, f, 1, 0, 8);
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);

	KUNIT_EXPECT_EQ(test, 0, region_add(low, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(low, 1, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(other, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(high, 0, 8));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	faults.maps = 1;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(high));
	recorder_expect_events(test, r, "+0 -0 +0 -0 +4");
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(low));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(other));
	recorder_expect(test, f, r);
	/* Stalled, it takes changes, and tells nobody. */
	KUNIT_EXPECT_EQ(test, 0, region_add(low, 2, 1));
	KUNIT_EXPECT_EQ(test, 0, region_remove(low, 1, 1));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(low, RW));
	recorder_expect_events(test, r, "+0 +2");
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(low);
	dpmgr_map_region_destroy(other);
}

struct released {
	struct recorder *recorder;
	unsigned int nr;
	unsigned int nr_held;
};

static void released(void *data)
{
	struct released *released = data;

	released->nr++;
	released->nr_held = released->recorder->nr_held;
}

static int add_backed(struct dpmgr_map_region *region, struct released *backing)
{
	const struct dpmgr_map_sub_params params = {
		.size = sizeof(params),
		.length = PAGE_SIZE,
		.access = RW,
		.release = released,
		.data = backing,
	};

	return dpmgr_map_add(region, &params);
}

static void a_backing_goes_after_every_target_has_unmapped_it(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 4);
	struct recorder *first = recorder_new(test, NULL);
	struct faults faults = { NEVER, NEVER };
	struct recorder *second = recorder_new(test, &faults);
	struct released backing = { .recorder = first };

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, first, 0));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, second, 0));
	KUNIT_EXPECT_EQ(test, 0, add_backed(region, &backing));
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 1));
	KUNIT_EXPECT_EQ(test, 1, backing.nr);
	KUNIT_EXPECT_EQ(test, 0, backing.nr_held);
	/* Of what was never there, it is still the caller's. */
	faults.maps = 0;
	KUNIT_EXPECT_EQ(test, -ENOSPC, add_backed(region, &backing));
	KUNIT_EXPECT_EQ(test, 1, backing.nr);
	KUNIT_EXPECT_EQ(test, 0, add_backed(region, &backing));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(region));
	KUNIT_EXPECT_EQ(test, 2, backing.nr);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(first));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(second));
}

static void a_failing_unmap_is_counted_and_keeps_the_backing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 4);
	struct faults faults = { NEVER, NEVER };
	struct recorder *good = recorder_new(test, NULL);
	struct recorder *bad = recorder_new(test, &faults);
	struct released backing = { .recorder = bad };

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, good, 0));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, bad, 0));
	KUNIT_EXPECT_EQ(test, 0, add_backed(region, &backing));
	faults.unmaps = 0;
	faults.go_on = true;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, region_remove(region, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, good->nr_held);
	KUNIT_EXPECT_EQ(test, 1, bad->nr_held);
	KUNIT_EXPECT_EQ(test, 0, backing.nr);
	KUNIT_EXPECT_EQ(test, 1, bad->target->nr_unmap_failures);
	recorder_expect(test, f, bad);
	/* Nothing else is mapped there meanwhile. */
	KUNIT_EXPECT_EQ(test, -EBUSY, region_add(region, 0, 2));
	KUNIT_EXPECT_EQ(test, 2, bad->target->nr_unmap_failures);
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 1, 2));
	recorder_expect(test, f, bad);
	recorder_expect(test, f, good);
	/* Not even by leaving can it get rid of it; but it may try again. */
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, recorder_unregister(bad));
	KUNIT_EXPECT_EQ(test, 0, backing.nr);
	KUNIT_EXPECT_EQ(test, 2, bad->nr_held);
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 3, 1));
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, recorder_unregister(bad));
	faults.unmaps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(bad));
	KUNIT_EXPECT_EQ(test, 1, backing.nr);
	KUNIT_EXPECT_EQ(test, 0, bad->nr_held);
	recorder_expect(test, f, good);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(good));
	dpmgr_map_region_destroy(region);
}

static void what_is_stuck_goes_when_its_room_is_needed(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 4);
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);
	struct released backing = { .recorder = r };

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, add_backed(region, &backing));
	faults.unmaps = 0;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, region_remove(region, 0, 1));
	recorder_expect_events(test, r, "+0");
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 2));
	recorder_expect_events(test, r, "-0 +0");
	KUNIT_EXPECT_EQ(test, 1, backing.nr);
	recorder_expect(test, f, r);
	/* The very same comes back: nothing to do. */
	faults.unmaps = 0;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(region));
	KUNIT_EXPECT_EQ(test, 1, r->target->nr_stuck);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, r->target->nr_stuck);
	recorder_expect(test, f, r);
	/* Stuck in a region that is disabled, a removal tries again. */
	faults.unmaps = 0;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(region));
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 2));
	recorder_expect_events(test, r, "-0");
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

static void a_region_is_not_disabled_while_a_target_has_some_of_it(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *bar = region_new(f, 0, 0, 8, DPMGR_MAP_DEVICE);
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);

	KUNIT_EXPECT_EQ(test, 0, region_add(bar, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(bar, 1, 1));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RW));
	faults.unmaps = 1;
	faults.go_on = true;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(bar));
	/* As often as it is asked, and never with less than it has. */
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(bar));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_map_region_enable(bar, RO));
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(bar));
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(bar));
	KUNIT_EXPECT_EQ(test, 1, r->nr_held);
	recorder_expect(test, f, r);
	/* Until it can be unmapped. */
	faults.unmaps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(bar));
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	KUNIT_EXPECT_EQ(test, 0, bar->nr_stuck);

	/* A target that has left with something counts as well. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RW));
	faults.unmaps = 0;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(bar));
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_enable(bar, RW));
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, region_remove(bar, 1, 1));
	faults.unmaps = NEVER;
	/* Also what is in no region any more. */
	KUNIT_EXPECT_EQ(test, 0, region_remove(bar, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(bar));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(bar);
}

/* Nobody has a handle of it: it goes by itself. */
static void a_target_that_could_not_be_registered_goes_with_what_it_kept(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 4);
	struct dpmgr_map_region *other = region_enabled(test, f, 0, 4, 4);
	struct recorder *passer_by = recorder_new(test, NULL);
	struct faults faults = { };
	struct recorder *r = recorder_new(test, &faults);
	enum { REMOVE, DISABLE, UNREGISTER, ALL } how;
	struct kmsg_dump_iter log;

	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 2, 1));
	for (how = 0; how < ALL; how++) {
		KUNIT_EXPECT_EQ(test, 0, region_add(region, 1, 1));
		faults = (struct faults){ 2, 0, true };
		fixture_log_start(&log);
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, recorder_register(f, r, 0));
		KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
			"is not registered", NULL,
		}));
		KUNIT_EXPECT_EQ(test, 2, r->nr_held);
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, region_remove(region, 1, 1));
		KUNIT_EXPECT_EQ(test, 2, r->nr_held);
		KUNIT_EXPECT_FALSE(test, list_empty(&f->mgr->map->lost));
		KUNIT_EXPECT_EQ(test, 0, region_add(other, 0, 1));
		KUNIT_EXPECT_EQ(test, 0, recorder_register(f, passer_by, 0));
		faults.unmaps = NEVER;
		/* Whatever is done next, and though nobody has one of the two any more. */
		if (how == REMOVE)
			KUNIT_EXPECT_EQ(test, 0, region_remove(other, 0, 1));
		else if (how == DISABLE)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(other));
		else
			KUNIT_EXPECT_EQ(test, 0, recorder_unregister(passer_by));
		KUNIT_EXPECT_EQ(test, 0, r->nr_held);
		KUNIT_EXPECT_NULL(test, r->broken);
		KUNIT_EXPECT_TRUE(test, list_empty(&f->mgr->map->lost));
		KUNIT_EXPECT_EQ(test, 0, recorder_unregister(passer_by));
		dpmgr_map_remove(other, 0, SZ_16K);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(other, RW));
	}
	dpmgr_map_region_destroy(other);
	dpmgr_map_region_destroy(region);
}

static void what_is_stalled_is_tried_again_when_a_target_leaves(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *low = region_enabled(test, f, 0, 0, 4);
	struct dpmgr_map_region *high = region_enabled(test, f, 1, 0, 4);
	struct faults faults = { NEVER, NEVER };
	struct recorder *good = recorder_new(test, NULL);
	struct recorder *bad = recorder_new(test, &faults);

	KUNIT_EXPECT_EQ(test, 0, region_add(low, 0, 1));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, good, 0));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, bad, 0));
	faults.maps = 0;
	faults.go_on = true;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(high));
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(low));
	recorder_expect_events(test, good, "+0 -0");
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(bad));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(low));
	recorder_expect_events(test, good, "+0");
	recorder_expect(test, f, good);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(good));
	dpmgr_map_region_destroy(low);
	dpmgr_map_region_destroy(high);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_change_of_permission_that_fails_changes_nothing),
	KUNIT_CASE(what_a_target_says_is_an_errno_of_its_own),
	KUNIT_CASE(targets_that_break_a_rule_are_refused),
	KUNIT_CASE(regions_and_targets_hold_the_manager_s_module),
	KUNIT_CASE(what_is_stuck_holds_the_module_of_its_release),
	KUNIT_CASE(what_failed_at_one_target_is_undone_at_the_others),
	KUNIT_CASE(targets_are_told_in_one_order_and_undone_in_reverse),
	KUNIT_CASE(a_replay_that_fails_leaves_the_target_as_it_was),
	KUNIT_CASE(device_memory_that_a_target_cannot_map_it_does_without),
	KUNIT_CASE(a_removal_does_not_fail_for_want_of_what_is_beneath),
	KUNIT_CASE(a_backing_goes_after_every_target_has_unmapped_it),
	KUNIT_CASE(a_failing_unmap_is_counted_and_keeps_the_backing),
	KUNIT_CASE(what_is_stuck_goes_when_its_room_is_needed),
	KUNIT_CASE(a_region_is_not_disabled_while_a_target_has_some_of_it),
	KUNIT_CASE(a_target_that_could_not_be_registered_goes_with_what_it_kept),
	KUNIT_CASE(what_is_stalled_is_tried_again_when_a_target_leaves),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_failure",
	.init = region_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
