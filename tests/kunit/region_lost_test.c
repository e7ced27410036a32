// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets that have left with something that they can't unmap: devices may still reach it,
 * and each call that promises otherwise says so.
 */
#include "region.h"

#define RW	DPMGR_MAP_WRITABLE
#define RO	DPMGR_MAP_READ_ONLY

/* A target that has left with page 1. */
static struct recorder *lost(struct kunit *test, struct faults *faults)
{
	struct recorder *r = recorder_new(test, faults);

	*faults = (struct faults){ NEVER, NEVER };
	KUNIT_ASSERT_EQ(test, 0, recorder_register(test->priv, r, 0));
	faults->unmaps = 0;
	faults->go_on = true;
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, recorder_unregister(r));
	return r;
}

static void expect_not_enabled(struct kunit *test, struct dpmgr_map_region *region,
			       enum dpmgr_map_access access)
{
	const bool was_active = dpmgr_map_region_is_active(region);
	struct kmsg_dump_iter log;

	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_enable(region, access));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"region \"region\" not enabled: target \"recorder\" has left", NULL,
	}));
	KUNIT_EXPECT_EQ(test, was_active, dpmgr_map_region_is_active(region));
}

static void a_region_that_a_target_has_left_with_is_not_enabled(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *region = region_enabled(test, f, 0, 0, 4);
	struct dpmgr_map_region *beside = region_new(f, 0, 4, 4, DPMGR_MAP_RAM);
	struct recorder *r, *other = recorder_new(test, NULL);
	struct faults faults;

	KUNIT_EXPECT_EQ(test, 0, region_add(region, 1, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(beside, 0, 1));
	r = lost(test, &faults);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, other, 0));
	/* Neither is its access changed, nor said to be what it is. */
	expect_not_enabled(test, region, RO);
	expect_not_enabled(test, region, RW);
	recorder_expect_events(test, other, "+1");
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_disable(region));
	expect_not_enabled(test, region, RW);
	recorder_expect_events(test, other, "-1");
	/* What it hasn't got is none of its business. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(beside, RW));
	/* Each call tries again. */
	faults.unmaps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, RO));
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	recorder_expect(test, f, other);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(other));
	dpmgr_map_region_destroy(region);
	dpmgr_map_region_destroy(beside);
}

static void a_region_does_not_hide_what_a_target_has_left_with(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *low = region_enabled(test, f, 0, 0, 4);
	struct dpmgr_map_region *high = region_new(f, 1, 0, 8, DPMGR_MAP_RAM);
	struct recorder *r, *other = recorder_new(test, NULL);
	struct faults faults;

	KUNIT_EXPECT_EQ(test, 0, region_add(low, 1, 1));
	KUNIT_EXPECT_EQ(test, 0, region_add(high, 5, 1));
	r = lost(test, &faults);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, other, 0));
	expect_not_enabled(test, high, RW);
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(low));
	recorder_expect_events(test, other, "+1");
	/* Nor if it is in no region any more. */
	KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, region_remove(low, 1, 1));
	expect_not_enabled(test, high, RW);
	faults.unmaps = NEVER;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(high, RW));
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(other));
	dpmgr_map_region_destroy(high);
	dpmgr_map_region_destroy(low);
}

static void what_remains_of_a_map_is_stuck(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_map_region *ram = region_new(f, 0, 0, 4, DPMGR_MAP_RAM);
	struct dpmgr_map_region *bar = region_new(f, 0, 4, 4, DPMGR_MAP_DEVICE);
	struct dpmgr_map_region *regions[] = { ram, bar };
	struct recorder *good = recorder_new(test, NULL);
	struct faults faults = { NEVER, NEVER };
	struct recorder *r = recorder_new(test, &faults);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, good, 0));
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	for (i = 0; i < ARRAY_SIZE(regions); i++) {
		KUNIT_EXPECT_EQ(test, 0, region_add(regions[i], 0, 1));
		KUNIT_EXPECT_EQ(test, 0, region_add(regions[i], 1, 1));
		faults = (struct faults){ .maps = 1, .unmaps = NEVER, .remains = true };
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, dpmgr_map_region_enable(regions[i], RW));
		KUNIT_EXPECT_EQ(test, 1, r->target->nr_stuck);
		KUNIT_EXPECT_EQ(test, 1, regions[i]->nr_stuck);
		recorder_expect(test, f, r);
		recorder_expect(test, f, good);
		/* It is not all there: so it is unmapped before it is mapped. */
		r->events[0] = '\0';
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(regions[i], RW));
		recorder_expect_events(test, r, i ? "+4 -5 +5" : "+0 -1 +1");
		recorder_expect(test, f, r);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(regions[i]));
	}
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(good));
	dpmgr_map_region_destroy(ram);
	dpmgr_map_region_destroy(bar);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_region_that_a_target_has_left_with_is_not_enabled),
	KUNIT_CASE(a_region_does_not_hide_what_a_target_has_left_with),
	KUNIT_CASE(what_remains_of_a_map_is_stuck),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_lost",
	.init = region_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
