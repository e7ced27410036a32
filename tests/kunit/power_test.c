// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sleep states that would lose the pools' contents. That the power-management core calls
 * what is tested here is seen in QEMU.
 */
#include <linux/suspend.h>

#include "fixture.h"
#include "power.h"

static struct dpmgr_power *create(struct kunit *test)
{
	struct dpmgr_power *power = dpmgr_power_create("dpmgr_power_test");

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, power);
	return power;
}

/* What the notifier says to @event, as an errno. */
static int tell(struct dpmgr_power *power, unsigned long event)
{
	return notifier_to_errno(power->notifier.notifier_call(&power->notifier, event,
							       NULL));
}

/* What the device says when it is frozen: for an image, or to be replaced by one. */
static int freeze(struct dpmgr_power *power)
{
	return power->dev.type->pm->freeze_late(&power->dev);
}

static void hibernation_is_refused_whatever_the_pools_hold(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_power *power = create(test);
	struct kmsg_dump_iter log;

	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EBUSY, tell(power, PM_HIBERNATION_PREPARE));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"hibernation refused: ", "unload ", "dma_pool_mgr", NULL,
	}));
	dpmgr_power_watch(power, f->mgr);
	KUNIT_EXPECT_EQ(test, -EBUSY, tell(power, PM_HIBERNATION_PREPARE));
	KUNIT_EXPECT_EQ(test, -EBUSY, freeze(power));
	dpmgr_power_destroy(power);
}

static void suspend_to_ram_is_nobodys_business(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_power *power = create(test);
	const struct dev_pm_ops *ops = power->dev.type->pm;

	dpmgr_power_watch(power, f->mgr);
	KUNIT_EXPECT_EQ(test, 0, tell(power, PM_SUSPEND_PREPARE));
	KUNIT_EXPECT_EQ(test, 0, tell(power, PM_POST_SUSPEND));
	KUNIT_EXPECT_EQ(test, 0, tell(power, PM_POST_HIBERNATION));
	KUNIT_EXPECT_TRUE(test, !ops->prepare && !ops->suspend);
	KUNIT_EXPECT_TRUE(test, !ops->suspend_late && !ops->suspend_noirq);
	/* The image is written by then, without us. */
	KUNIT_EXPECT_TRUE(test, !ops->poweroff && !ops->poweroff_late);
	/* After an error there, a kexec jump of 6.12 leaves devices suspended. */
	KUNIT_EXPECT_NULL(test, ops->freeze);
	dpmgr_power_destroy(power);
}

static void an_image_replaces_only_a_kernel_that_holds_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_power *power = create(test);
	struct dpmgr_client *client;

	KUNIT_EXPECT_EQ(test, -EBUSY, tell(power, PM_RESTORE_PREPARE));
	KUNIT_EXPECT_EQ(test, -EBUSY, freeze(power));
	dpmgr_power_watch(power, f->mgr);
	KUNIT_EXPECT_EQ(test, 0, tell(power, PM_RESTORE_PREPARE));
	KUNIT_EXPECT_EQ(test, 0, freeze(power));
	/* A driver came after the notifier. */
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_EQ(test, -EBUSY, freeze(power));
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, 0, freeze(power));
	KUNIT_EXPECT_EQ(test, 0, tell(power, PM_POST_RESTORE));
	KUNIT_EXPECT_EQ(test, -EBUSY, freeze(power));
	dpmgr_power_destroy(power);
}

static void an_image_does_not_replace_what_is_committed_or_absent(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_power *power = create(test);
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct kmsg_dump_iter log;

	dpmgr_power_watch(power, f->mgr);
	fixture_alloc(test, client, 1, "tag");
	dpmgr_client_destroy(client);
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EBUSY, tell(power, PM_RESTORE_PREPARE));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"resume from hibernation refused: ", "load dma_pool_mgr", NULL,
	}));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));
	KUNIT_EXPECT_EQ(test, 0, tell(power, PM_RESTORE_PREPARE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, -EBUSY, tell(power, PM_RESTORE_PREPARE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	dpmgr_power_destroy(power);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(hibernation_is_refused_whatever_the_pools_hold),
	KUNIT_CASE(suspend_to_ram_is_nobodys_business),
	KUNIT_CASE(an_image_replaces_only_a_kernel_that_holds_nothing),
	KUNIT_CASE(an_image_does_not_replace_what_is_committed_or_absent),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_power",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
