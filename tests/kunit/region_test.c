// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region map: who hides whom, what targets are told and when, what becomes of it
 * when they can't do it.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "region.h"

#define RW	DPMGR_MAP_WRITABLE
#define RO	DPMGR_MAP_READ_ONLY

/* ---- overlay --------------------------------------------------------------- */

static int overlap_errno(struct fixture *f, int priority, u64 start, u64 nr_pages)
{
	return PTR_ERR_OR_ZERO(region_new(f, priority, start, nr_pages, DPMGR_MAP_RAM));
}

static void regions_overlap_only_where_the_higher_contains_the_lower(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *high, *low, *other;

	high = region_enabled(test, f, 1, 1, 2);
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 2, 2));
	low = region_enabled(test, f, 0, 1, 2);
	dpmgr_map_region_destroy(high);
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 1, 2, 2));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 1, 2, 1));
	high = region_enabled(test, f, 1, 0, 16);
	dpmgr_map_region_destroy(low);
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 0, 32));
	low = region_enabled(test, f, 0, 1, 7);
	/* Of equal priority, the same range only. */
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 1, 8));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 1, 6));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 4, 8));
	other = region_enabled(test, f, 0, 1, 7);
	dpmgr_map_region_destroy(other);
	/* Side by side is no overlap. */
	other = region_enabled(test, f, 0, 8, 8);
	dpmgr_map_region_destroy(other);
	dpmgr_map_region_destroy(low);
	dpmgr_map_region_destroy(high);
}

static void the_higher_hides_the_lower_until_it_leaves(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct recorder *r = recorder_new(test, NULL);
	struct dpmgr_map_region *low, *other, *mid, *high;

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	low = region_enabled(test, f, 0, 1, 2);
	other = region_enabled(test, f, 0, 4, 2);
	KUNIT_EXPECT_EQ(test, 0, region_add(low, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(other, 1, 1));
	recorder_expect_events(test, r, "+1 +5");

	high = region_new(f, 2, 0, 16, DPMGR_MAP_RAM);
	KUNIT_EXPECT_EQ(test, 0, region_add(high, 8, 1));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(high, RW));
	recorder_expect_events(test, r, "-1 -5 +8");
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(low));

	/* What comes in between below the high one changes nothing. */
	mid = region_enabled(test, f, 1, 0, 8);
	KUNIT_EXPECT_EQ(test, 0, region_add(mid, 2, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(low, 1, 1));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(high));
	recorder_expect_events(test, r, "-8 +2");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(mid));
	recorder_expect_events(test, r, "-2 +1 +2 +5");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(mid, RW));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(high, RW));
	recorder_expect_events(test, r, "-2 -1 -5 +2 -2 +8");
	/* One that is hidden goes unnoticed. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(mid));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(low));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(high));
	recorder_expect_events(test, r, "-8 +5");
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(other));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
}

static void of_equals_the_first_registered_is_active(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *first, *second;

	first = region_new(f, 0, 0, 4, DPMGR_MAP_RAM);
	second = region_enabled(test, f, 0, 0, 4);
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(second));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(first, RW));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(first));
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(second));
	dpmgr_map_region_destroy(first);
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(second));
	dpmgr_map_region_destroy(second);
}

/* ---- targets --------------------------------------------------------------- */

static void a_target_that_registers_gets_all_that_is_active(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 16);
	struct dpmgr_map_region *off = region_new(f, 0, 16, 16, DPMGR_MAP_RAM);
	struct recorder *r = recorder_new(test, NULL);

	KUNIT_EXPECT_EQ(test, 0, region_add(region, 8, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(off, 0, 4));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	recorder_expect_events(test, r, "+0 +8");
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, r->held[0].phys, SZ_1G);
	KUNIT_EXPECT_EQ(test, r->held[0].length, 4 * PAGE_SIZE);
	KUNIT_EXPECT_PTR_EQ(test, r->held[0].vaddr, (void *)SZ_2G);
	/* And unregistering takes it all away, last first. */
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	recorder_expect_events(test, r, "-8 -0");
	KUNIT_EXPECT_EQ(test, r->nr_held, 0);
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 4, 4));
	recorder_expect_events(test, r, "");
	dpmgr_map_region_destroy(region);
	dpmgr_map_region_destroy(off);
}

static void a_target_is_told_of_each_change_in_an_active_region(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 16);
	struct recorder *r = recorder_new(test, NULL);

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 8, 4));
	recorder_expect_events(test, r, "+0 +8");
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 4));
	recorder_expect_events(test, r, "-0");
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 2));
	recorder_expect_events(test, r, "+0");
	/* Exactly as they were given. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
	recorder_expect_events(test, r, "-8 -0");
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 2, 2));
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 2));
	recorder_expect_events(test, r, "");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	recorder_expect_events(test, r, "+2 +8");
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 16));
	recorder_expect_events(test, r, "-2 -8");
	KUNIT_EXPECT_EQ(test, r->nr_held, 0);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

static int add_without_vaddr(struct dpmgr_map_region *region, u64 offset)
{
	const struct dpmgr_map_sub_params params = {
		.size = sizeof(params),
		.offset = offset << PAGE_SHIFT,
		.length = PAGE_SIZE,
		.access = RW,
	};

	return dpmgr_map_add(region, &params);
}

static void a_target_that_needs_a_cpu_address_gets_one_or_fails(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *ram = region_enabled(test, f, 0, 0, 16);
	struct dpmgr_map_region *bar = region_new(f, 0, 16, 16, DPMGR_MAP_DEVICE);
	struct recorder *r = recorder_new(test, NULL);
	struct recorder *plain = recorder_new(test, NULL);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RW));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, plain, 0));
	/* There already. */
	KUNIT_EXPECT_EQ(test, 0, add_without_vaddr(ram, 0));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, recorder_register(f, r, DPMGR_MAP_NEEDS_VADDR));
	KUNIT_EXPECT_EQ(test, 0, region_remove(ram, 0, 1));
	/* To come. */
	KUNIT_EXPECT_EQ(test, 0, region_add(ram, 0, 1));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, DPMGR_MAP_NEEDS_VADDR));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, add_without_vaddr(ram, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(ram, 1, 1));
	/* Device memory it does without. */
	KUNIT_EXPECT_EQ(test, 0, add_without_vaddr(bar, 0));
	KUNIT_EXPECT_EQ(test, 2, r->nr_held);
	KUNIT_EXPECT_EQ(test, 3, plain->nr_held);
	recorder_expect(test, f, r);
	recorder_expect(test, f, plain);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(plain));
	dpmgr_map_region_destroy(ram);
	dpmgr_map_region_destroy(bar);
}

static void a_change_of_permission_is_unmap_then_map(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 16);
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);
	const struct dpmgr_map_sub_params read_only = {
		.size = sizeof(read_only),
		.offset = PAGE_SIZE,
		.length = PAGE_SIZE,
		.access = RO,
	};

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_add(region, &read_only));
	KUNIT_EXPECT_EQ(test, r->held[0].access, RW);
	KUNIT_EXPECT_EQ(test, r->held[1].access, RO);
	recorder_expect_events(test, r, "+0 +1");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RO));
	recorder_expect_events(test, r, "-1 -0 +0 +1");
	KUNIT_EXPECT_EQ(test, r->held[0].access, RO);
	KUNIT_EXPECT_EQ(test, r->held[1].access, RO);
	recorder_expect(test, f, r);

	/* It fails, and all is as before. */
	faults.maps = 1;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(region, RW));
	recorder_expect_events(test, r, "-1 -0 +0 -0 +0 +1");
	KUNIT_EXPECT_EQ(test, r->held[0].access, RO);
	recorder_expect(test, f, r);
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(region));
	/* It can't be undone either: stalled, and retriable. */
	faults.maps = 1;
	faults.go_on = true;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_map_region_enable(region, RW));
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(region));
	recorder_expect(test, f, r);
	faults.maps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RW));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(region));
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

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
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 4);
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

/* ---- failures -------------------------------------------------------------- */

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
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RW));
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, region_remove(bar, 1, 1));
	faults.unmaps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, region_remove(bar, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(bar));
	KUNIT_EXPECT_EQ(test, 1, r->nr_held);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	dpmgr_map_region_destroy(bar);
}

/* Nobody has a handle of it: it goes by itself. */
static void a_target_that_could_not_be_registered_goes_with_what_it_kept(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 4);
	struct faults faults = { 2, 0, true };
	struct recorder *r = recorder_new(test, &faults);

	KUNIT_EXPECT_EQ(test, 0, region_add(region, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 1, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 2, 1));
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 2, r->nr_held);
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(region));
	faults.unmaps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 1));
	KUNIT_EXPECT_EQ(test, 1, r->nr_held);
	KUNIT_EXPECT_FALSE(test, list_empty(&f->mgr->map->lost));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(region));
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	KUNIT_EXPECT_TRUE(test, list_empty(&f->mgr->map->lost));
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

/* ---- arguments ------------------------------------------------------------- */

static void part_of_a_sub_mapping_cannot_be_removed(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 16, 16);
	struct recorder *r = recorder_new(test, NULL);

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 2, 4));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 8, 4));
	KUNIT_EXPECT_EQ(test, -EEXIST, region_add(region, 5, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 2, 3));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 3, 3));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 3, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 0, 9));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 4, 12));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 0, 17));
	KUNIT_EXPECT_EQ(test, -EINVAL, region_remove(region, 0, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_map_remove(region, 1, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_map_remove(region, 0, 0 - PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -ENOENT, region_remove(region, 6, 2));
	recorder_expect_events(test, r, "+12 +18");
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 1, 5));
	recorder_expect_events(test, r, "-12");
	recorder_expect(test, f, r);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

static void addresses_that_overflow_are_refused(struct kunit *test)
{
	static const struct {
		u64 offset;
		u64 length;
		u64 phys;
		u64 vaddr;
	} subs[] = {
		{ 0, 0, 0, 0 },
		{ 1, PAGE_SIZE, 0, 0 },
		{ 0, PAGE_SIZE + 1, 0, 0 },
		{ 0, PAGE_SIZE, 1, 0 },
		{ 0, PAGE_SIZE, 0, 1 },
		{ 0, 5 * PAGE_SIZE, 0, 0 },
		{ 4 * PAGE_SIZE, PAGE_SIZE, 0, 0 },
		{ 0 - PAGE_SIZE, PAGE_SIZE, 0, 0 },
		{ PAGE_SIZE, 0 - PAGE_SIZE, 0, 0 },
		{ 0, 2 * PAGE_SIZE, 0 - PAGE_SIZE, 0 },
		{ 0, 2 * PAGE_SIZE, 0, 0 - PAGE_SIZE },
	};
	struct fixture *f = test->priv;
	const u64 top = U64_MAX >> PAGE_SHIFT;
	struct dpmgr_map_region *region;
	struct recorder *r = recorder_new(test, NULL);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 0, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, top - 3, 5));
	KUNIT_EXPECT_EQ(test, -EINVAL, overlap_errno(f, 0, 1, top + 1));
	/* The very last page is one like any other. */
	region = region_enabled(test, f, 0, top - 3, 4);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	KUNIT_EXPECT_EQ(test, 0, region_add(region, 3, 1));
	KUNIT_EXPECT_EQ(test, r->held[0].iova, 0 - PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, region_remove(region, 0, 4));
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		const struct dpmgr_map_sub_params params = {
			.size = sizeof(params),
			.offset = subs[i].offset,
			.length = subs[i].length,
			.phys = subs[i].phys,
			.vaddr = (void *)subs[i].vaddr,
			.access = RW,
		};

		KUNIT_EXPECT_EQ_MSG(test, -EINVAL, dpmgr_map_add(region, &params),
				    "sub-mapping %u", i);
	}
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_map_region_enable(region, 2));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	dpmgr_map_region_destroy(region);
}

/* ---- pools ----------------------------------------------------------------- */

static void pools_are_regions_by_themselves(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct recorder *r = recorder_new(test, NULL);
	const u64 bit = BIT_ULL(46);
	struct dpmgr_client *client;
	unsigned int kexec, i;

	fixture_unload(f);
	f->config.nr_ranges[DPMGR_SHARED] = 1;
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	f->config.state = &f->state;
	f->config.vtom_bit = 46;
	fixture_load(test, f);
	client = fixture_client(test, f, "disk");
	fixture_alloc(test, client, SZ_64K, "queue");
	for (kexec = 0; kexec < 2; kexec++) {
		u64 found = 0;

		KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, DPMGR_MAP_NEEDS_VADDR));
		KUNIT_ASSERT_EQ(test, 3, r->nr_held);
		for (i = 0; i < 3; i++) {
			const struct dpmgr_map_extent *held = &r->held[i];

			KUNIT_EXPECT_EQ(test, held->iova, held->phys);
			KUNIT_EXPECT_EQ(test, held->memory, DPMGR_MAP_RAM);
			KUNIT_EXPECT_EQ(test, held->access, RW);
			KUNIT_EXPECT_EQ(test, held->iova & ~bit,
					virt_to_phys(held->vaddr));
			if (held->iova == (f->shared.start | bit) &&
			    held->length == f->shared.size)
				found |= BIT(0);
			if (held->iova == f->private[0].start &&
			    held->length == f->private[0].size)
				found |= BIT(1);
			if (held->iova == f->private[1].start &&
			    held->length == f->private[1].size)
				found |= BIT(2);
		}
		KUNIT_EXPECT_EQ(test, found, 7);
		KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
		if (!kexec)
			fixture_kexec(test, f, client, NULL);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(regions_overlap_only_where_the_higher_contains_the_lower),
	KUNIT_CASE(the_higher_hides_the_lower_until_it_leaves),
	KUNIT_CASE(of_equals_the_first_registered_is_active),
	KUNIT_CASE(a_target_that_registers_gets_all_that_is_active),
	KUNIT_CASE(a_target_is_told_of_each_change_in_an_active_region),
	KUNIT_CASE(a_target_that_needs_a_cpu_address_gets_one_or_fails),
	KUNIT_CASE(a_change_of_permission_is_unmap_then_map),
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
	KUNIT_CASE(part_of_a_sub_mapping_cannot_be_removed),
	KUNIT_CASE(addresses_that_overflow_are_refused),
	KUNIT_CASE(pools_are_regions_by_themselves),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region",
	.init = region_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
