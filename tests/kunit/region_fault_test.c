// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region map: each map and each unmap fails in turn, and each allocation. What the
 * targets have must be what the map says that they have, every time.
 */
#include <linux/string.h>

#include "fault.h"
#include "region.h"

#define RW	DPMGR_MAP_WRITABLE
#define RO	DPMGR_MAP_READ_ONLY

#define NR_TARGETS	5
#define NR_SUBS		20

struct sweep {
	struct fixture *f;
	struct faults faults;
	struct recorder *recorders[NR_TARGETS];
	struct dpmgr_map_region *low;
	struct dpmgr_map_region *high;
};

static void sweep_fill(struct kunit *test, struct dpmgr_map_region *region)
{
	unsigned int i;

	for (i = 0; i < NR_SUBS; i++)
		KUNIT_ASSERT_EQ(test, 0, region_add(region, 2 * i, 1 + i % 2));
}

static void sweep_init(struct kunit *test, struct sweep *sweep,
		       enum dpmgr_map_memory memory)
{
	unsigned int i;

	memset(sweep, 0, sizeof(*sweep));
	sweep->f = test->priv;
	sweep->faults = (struct faults){ NEVER, NEVER };
	for (i = 0; i < NR_TARGETS; i++)
		sweep->recorders[i] = recorder_new(test, &sweep->faults);
	sweep->low = region_new(sweep->f, 0, 0, 2 * NR_SUBS, memory);
	sweep->high = region_new(sweep->f, 1, 0, 4 * NR_SUBS, memory);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sweep->low);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sweep->high);
}

static void sweep_expect(struct kunit *test, struct sweep *sweep)
{
	unsigned int i;

	for (i = 0; i < NR_TARGETS; i++)
		recorder_expect(test, sweep->f, sweep->recorders[i]);
}

static void sweep_register(struct kunit *test, struct sweep *sweep)
{
	unsigned int i;

	for (i = 0; i < NR_TARGETS; i++)
		KUNIT_ASSERT_EQ(test, 0, recorder_register(sweep->f, sweep->recorders[i], 0));
}

static void sweep_unregister(struct kunit *test, struct sweep *sweep)
{
	unsigned int i;

	sweep->faults = (struct faults){ NEVER, NEVER };
	for (i = 0; i < NR_TARGETS; i++) {
		if (IS_ERR(sweep->recorders[i]->target))
			continue;
		KUNIT_EXPECT_EQ(test, 0, recorder_unregister(sweep->recorders[i]));
		KUNIT_EXPECT_EQ(test, 0, sweep->recorders[i]->nr_held);
	}
}

static void sweep_exit(struct sweep *sweep)
{
	dpmgr_map_region_destroy(sweep->low);
	dpmgr_map_region_destroy(sweep->high);
}

#define NR_MAPS	(NR_TARGETS * NR_SUBS)

static bool is_ram(const struct sweep *sweep)
{
	return sweep->low->memory == DPMGR_MAP_RAM;
}

static void sweep_registration(struct kunit *test, struct sweep *sweep, bool go_on)
{
	unsigned int n, i, nr_failed;

	for (n = 0; n < NR_MAPS; n++) {
		sweep->faults = (struct faults){ n, NEVER, go_on };
		for (i = 0, nr_failed = 0; i < NR_TARGETS; i++)
			nr_failed += !!recorder_register(sweep->f, sweep->recorders[i], 0);
		KUNIT_EXPECT_EQ(test, nr_failed, !is_ram(sweep) ? 0 : !go_on ? 1 :
				NR_TARGETS - n / NR_SUBS);
		sweep_expect(test, sweep);
		sweep_unregister(test, sweep);
	}
}

static void sweep_enable(struct kunit *test, struct sweep *sweep, bool go_on)
{
	unsigned int n;
	int ret;

	sweep_register(test, sweep);
	for (n = 0; n < NR_MAPS; n++) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(sweep->low));
		sweep->faults = (struct faults){ n, NEVER, go_on };
		ret = dpmgr_map_region_enable(sweep->low, RW);
		KUNIT_EXPECT_EQ(test, ret, is_ram(sweep) ? -ENOSPC : 0);
		KUNIT_EXPECT_EQ(test, !ret, dpmgr_map_region_is_active(sweep->low));
		sweep_expect(test, sweep);
		sweep->faults.maps = NEVER;
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(sweep->low, RW));
	sweep_expect(test, sweep);
	sweep_unregister(test, sweep);
}

static void sweep_add(struct kunit *test, struct sweep *sweep, bool go_on)
{
	unsigned int n, i, nr_failed;

	sweep_register(test, sweep);
	for (n = 0; n < NR_MAPS; n++) {
		KUNIT_EXPECT_EQ(test, 0, region_remove(sweep->low, 0, 2 * NR_SUBS));
		sweep->faults = (struct faults){ n, NEVER, go_on };
		for (i = 0, nr_failed = 0; i < NR_SUBS; i++)
			nr_failed += !!region_add(sweep->low, 2 * i, 1 + i % 2);
		KUNIT_EXPECT_EQ(test, nr_failed, !is_ram(sweep) ? 0 : !go_on ? 1 :
				NR_SUBS - n / NR_TARGETS);
		/* One that failed has left room for itself: the next step is one more. */
		sweep_expect(test, sweep);
		sweep->faults.maps = NEVER;
		for (i = 0; i < NR_SUBS && nr_failed; i++)
			region_add(sweep->low, 2 * i, 1 + i % 2);
		KUNIT_EXPECT_EQ(test, NR_SUBS, sweep->low->nr_subs);
		sweep_expect(test, sweep);
	}
	sweep_unregister(test, sweep);
}

static void sweep_overlay(struct kunit *test, struct sweep *sweep, bool go_on)
{
	unsigned int n;
	int ret;

	sweep_fill(test, sweep->high);
	sweep_register(test, sweep);
	for (n = 0; n < NR_MAPS; n++) {
		sweep->faults = (struct faults){ n, NEVER, go_on };
		ret = dpmgr_map_region_enable(sweep->high, RW);
		KUNIT_EXPECT_EQ(test, ret, is_ram(sweep) ? -ENOSPC : 0);
		/* What was hidden is back, or known not to be. */
		KUNIT_EXPECT_EQ(test, ret && !go_on, dpmgr_map_region_is_active(sweep->low));
		sweep_expect(test, sweep);
		sweep->faults.maps = NEVER;
		if (ret && go_on)
			KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(sweep->low, RW));
		/* And the way back. */
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(sweep->high, RW));
		sweep->faults = (struct faults){ n, NEVER, go_on };
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(sweep->high));
		KUNIT_EXPECT_EQ(test, !is_ram(sweep), dpmgr_map_region_is_active(sweep->low));
		sweep_expect(test, sweep);
		sweep->faults.maps = NEVER;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(sweep->low, RW));
		sweep_expect(test, sweep);
	}
	sweep_unregister(test, sweep);
}

/* Of the unmaps: whatever is stuck, what targets have is what the map says. */
static void sweep_unmaps(struct kunit *test, struct sweep *sweep, bool go_on)
{
	unsigned int n;
	int ret;

	if (!sweep->high->nr_subs)
		sweep_fill(test, sweep->high);
	sweep_register(test, sweep);
	for (n = 0; n < NR_MAPS; n++) {
		sweep->faults = (struct faults){ NEVER, n, go_on };
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE,
				dpmgr_map_region_enable(sweep->high, RW));
		KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(sweep->low));
		sweep_expect(test, sweep);
		sweep->faults = (struct faults){ NEVER, n, go_on };
		ret = dpmgr_map_region_disable(sweep->low);
		KUNIT_EXPECT_EQ(test, -ENOTRECOVERABLE, ret);
		sweep_expect(test, sweep);
		/* With another permission it is something else that is to be there. */
		ret = dpmgr_map_region_enable(sweep->low, RO);
		KUNIT_EXPECT_EQ(test, ret, go_on ? -EBUSY : 0);
		sweep_expect(test, sweep);
		sweep->faults.unmaps = NEVER;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(sweep->low, RW));
		sweep_expect(test, sweep);
		/* What an addition that failed could not undo. */
		sweep->faults = (struct faults){ n % NR_TARGETS, 0, go_on };
		ret = region_add(sweep->low, 1, 1);
		KUNIT_EXPECT_EQ(test, ret, !is_ram(sweep) ? 0 : n % NR_TARGETS ?
				-ENOTRECOVERABLE : -ENOSPC);
		sweep_expect(test, sweep);
		sweep->faults = (struct faults){ NEVER, NEVER };
		if (ret)
			KUNIT_EXPECT_EQ(test, 0, region_add(sweep->low, 1, 1));
		sweep_expect(test, sweep);
		KUNIT_EXPECT_EQ(test, 0, region_remove(sweep->low, 1, 1));
		sweep_expect(test, sweep);
	}
	sweep_unregister(test, sweep);
}

static void sweep_all(struct kunit *test, enum dpmgr_map_memory memory)
{
	static struct sweep sweep;
	unsigned int go_on;

	for (go_on = 0; go_on < 2; go_on++) {
		sweep_init(test, &sweep, memory);
		sweep_fill(test, sweep.low);
		KUNIT_ASSERT_EQ(test, 0, dpmgr_map_region_enable(sweep.low, RW));
		sweep_registration(test, &sweep, go_on);
		sweep_enable(test, &sweep, go_on);
		sweep_add(test, &sweep, go_on);
		sweep_overlay(test, &sweep, go_on);
		sweep_unmaps(test, &sweep, go_on);
		sweep_exit(&sweep);
	}
}

static void each_map_of_ram_fails_in_turn(struct kunit *test)
{
	sweep_all(test, DPMGR_MAP_RAM);
}

static void each_map_of_device_memory_fails_in_turn(struct kunit *test)
{
	sweep_all(test, DPMGR_MAP_DEVICE);
}

/* ---- memory ---------------------------------------------------------------- */

static void what_runs_out_of_memory_changes_nothing(struct kunit *test)
{
	struct faults faults = { 0, NEVER, true };
	struct dpmgr_map_region *region = NULL, *bar;
	struct fixture *f = test->priv;
	enum { REGION, TARGET, SUB, ALL } step;
	unsigned int n, tries, seen = 0;
	struct recorder *r;
	bool failed;
	int ret;

	if (!slab_fails())
		kunit_skip(test, "needs failslab with ignore-gfp-wait=N");
	r = recorder_new(test, &faults);
	bar = region_new(f, 0, 0, 8, DPMGR_MAP_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, region_add(bar, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, RW));
	/* Checkers allocate too, now and then, so which is the Nth is not always the same. */
	for (tries = 0, n = 1; tries < 10 && seen != BIT(ALL) - 1; n = failed ? n + 1 : 1) {
		fail_nth(n);
		step = REGION;
		region = region_new(f, 0, 8, 8, DPMGR_MAP_RAM);
		ret = PTR_ERR_OR_ZERO(region);
		/* That it goes without something must be written down, come what may. */
		if (!ret) {
			step = TARGET;
			ret = recorder_register(f, r, 0);
		}
		if (!ret) {
			step = SUB;
			ret = region_add(bar, 1, 1);
		}
		failed = has_failed();
		tries += !failed;
		/* What failed inside of an allocation had another way. */
		KUNIT_EXPECT_TRUE(test, !ret || (failed && ret == -ENOMEM));
		if (ret)
			seen |= BIT(step);
		if (IS_ERR(region))
			continue;
		recorder_expect(test, f, r);
		KUNIT_EXPECT_EQ(test, ret ? 1 : 2, bar->nr_subs);
		if (!IS_ERR_OR_NULL(r->target))
			KUNIT_EXPECT_EQ(test, bar->nr_subs, r->target->nr_skipped);
		KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(region));
		region_remove(bar, 1, 1);
	}
	KUNIT_EXPECT_EQ(test, BIT(ALL) - 1, seen);
	dpmgr_map_region_destroy(bar);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_runs_out_of_memory_changes_nothing),
	KUNIT_CASE_SLOW(each_map_of_ram_fails_in_turn),
	KUNIT_CASE_SLOW(each_map_of_device_memory_fails_in_turn),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_fault",
	.init = region_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
