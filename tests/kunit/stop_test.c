// SPDX-License-Identifier: GPL-2.0-only
/*
 * What proves that a PCI device has stopped, rule by rule; and how reclaim has devices
 * stopped: once each, without the manager's lock, and for clients that are still absent.
 */
#include <linux/dma-mapping.h>
#include <linux/mutex.h>
#include <linux/pci_regs.h>

#include "fault.h"
#include "fixture.h"
#include "stop.h"
#include "stop_pci.h"

/* ---- rules ----------------------------------------------------------------- */

static void what_may_be_reset(struct kunit *test)
{
	static const struct {
		struct dpmgr_pci_function function;
		const char *why;
	} rules[] = {
		{ { .command = 0 }, NULL },
		{ { .command = PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE }, NULL },
		{ { .command = PCI_COMMAND_MASTER }, "bus master" },
		{ { .command = U16_MAX }, "doesn't answer" },
		{ { .has_driver = true }, "a driver is bound" },
		{ { .has_vfs = true }, "virtual functions are enabled" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		const char *why = dpmgr_pci_may_be_reset(&rules[i].function);

		if (rules[i].why)
			KUNIT_EXPECT_NOT_NULL(test, strstr(why ?: "", rules[i].why));
		else
			KUNIT_EXPECT_NULL(test, why);
	}
}

static void what_shows_that_a_reset_took_place(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, dpmgr_pci_was_reset(0));
	KUNIT_EXPECT_NULL(test, dpmgr_pci_was_reset(PCI_COMMAND_MEMORY));
	KUNIT_EXPECT_NOT_NULL(test, dpmgr_pci_was_reset(U16_MAX));
	KUNIT_EXPECT_NOT_NULL(test, dpmgr_pci_was_reset(PCI_COMMAND_MASTER));
	KUNIT_EXPECT_NOT_NULL(test, dpmgr_pci_was_reset(PCI_COMMAND_INTX_DISABLE));
}

#define NOT_FOUND	"nor is a port above it"
#define NOT_NATIVE	"no slot of the kernel's"
#define SOMETHING	"says that there is something"

static void what_shows_that_a_device_is_gone(struct kunit *test)
{
	static const struct {
		struct dpmgr_pci_place place;
		const char *why;
	} rules[] = {
		{ {}, NOT_FOUND },
		/* A port that doesn't answer tells nothing. */
		{ { .slot_is_native = true }, NOT_FOUND },
		{ { .has_port = true }, NOT_NATIVE },
		{ { .has_port = true, .slot_is_full = true }, NOT_NATIVE },
		{ { .has_port = true, .slot_is_native = true }, NULL },
		{ { .has_port = true, .slot_is_native = true, .slot_is_full = true }, SOMETHING },
		{ { .has_port = true, .slot_is_native = true, .link_is_up = true }, SOMETHING },
		{ { .is_disabled_vf = true }, NULL },
		{ { .may_be_vf = true }, "may be a virtual function" },
		{ { .is_disabled_vf = true, .may_be_vf = true }, "may be a virtual function" },
		{ { .may_be_vf = true, .has_port = true, .slot_is_native = true },
		  "may be a virtual function" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		const char *why = dpmgr_pci_is_gone(&rules[i].place);

		if (rules[i].why)
			KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(why ?: "", rules[i].why),
						  "rule %u: %s", i, why);
		else
			KUNIT_EXPECT_NULL_MSG(test, why, "rule %u: %s", i, why);
	}
}

/* ---- how devices are stopped ---------------------------------------------------- */

/* What stop_here() is told by a case, and tells it. */
static struct {
	struct kunit *test;
	unsigned int nr;
	bool refuses;
	void (*meanwhile)(struct kunit *test);
} told;

static void stop_here(const struct rb_root *stops, struct dpmgr_stop *stop)
{
	struct fixture *f = told.test->priv;

	told.nr++;
	/* Allocations, probes and the ends of drivers don't wait for a reset. */
	KUNIT_EXPECT_FALSE(told.test, mutex_is_locked(&f->mgr->lock));
	KUNIT_EXPECT_TRUE(told.test, mutex_is_locked(&f->mgr->servicing_lock));
	KUNIT_EXPECT_PTR_EQ(told.test, stop, dpmgr_stop_find(stops, &stop->identity));
	if (told.meanwhile)
		told.meanwhile(told.test);
	dpmgr_stop_refuse(stop, "%s", told.refuses ? "the test says so" : "");
}

static int reclaim(struct kunit *test, void (*meanwhile)(struct kunit *test))
{
	struct fixture *f = test->priv;

	told.test = test;
	told.nr = 0;
	told.meanwhile = meanwhile;
	return dpmgr_finish_by(f->mgr, DPMGR_FINISH_RECLAIM, stop_here);
}

static void leave_one(struct kunit *test, const char *name)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, name);

	fixture_alloc(test, client, SZ_8K, "left");
	dpmgr_client_destroy(client);
}

static u64 used(struct kunit *test)
{
	struct fixture *f = test->priv;

	dpmgr_drain(f->mgr);
	return fixture_used(f->mgr->pools[DPMGR_PRIVATE]);
}

static struct dpmgr_client *claimed;

static void claim(struct kunit *test)
{
	claimed = fixture_client(test, test->priv, "b");
}

/* The device may have been told of its buffers again. */
static void claim_and_leave(struct kunit *test)
{
	dpmgr_client_destroy(fixture_client(test, test->priv, "b"));
}

static void end_kernel(struct kunit *test)
{
	struct fixture *f = test->priv;

	WRITE_ONCE(f->mgr->ending, true);
}

static void leave_another(struct kunit *test)
{
	leave_one(test, "c");
}

static void one_device_is_stopped_once_for_all_its_clients(struct kunit *test)
{
	leave_one(test, "a");
	leave_one(test, "b");
	leave_one(test, "c");
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	KUNIT_EXPECT_EQ(test, told.nr, 1);
	fixture_expect_all_free(test, test->priv);
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	KUNIT_EXPECT_EQ(test, told.nr, 0);
}

/* As leave_one(), for another device. */
static void leave_others(struct kunit *test, const char *name)
{
	struct device *other = kunit_device_register(test, "dpmgr-other");
	struct dpmgr_client_params params = fixture_params(name);
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
	other->coherent_dma_mask = DMA_BIT_MASK(64);
	other->dma_mask = &f->streaming_mask;
	client = dpmgr_client_create(f->mgr, other, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fixture_alloc(test, client, SZ_8K, "left");
	dpmgr_client_destroy(client);
}

static void each_device_is_stopped(struct kunit *test)
{
	leave_one(test, "a");
	leave_others(test, "b");
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	KUNIT_EXPECT_EQ(test, told.nr, 2);
	fixture_expect_all_free(test, test->priv);
}

static void what_is_not_stopped_is_not_reclaimed(struct kunit *test)
{
	struct fixture *f = test->priv;

	leave_one(test, "a");
	told.refuses = true;
	KUNIT_EXPECT_EQ(test, -EBUSY, reclaim(test, NULL));
	KUNIT_EXPECT_EQ(test, used(test), 2);
	told.refuses = false;
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	fixture_expect_all_free(test, f);
}

static void a_client_that_is_claimed_meanwhile_is_its_drivers(struct kunit *test)
{
	struct fixture *f = test->priv;

	leave_one(test, "a");
	leave_one(test, "b");
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, claim));
	KUNIT_EXPECT_EQ(test, used(test), 2);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(claimed));
	dpmgr_client_destroy(claimed);
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	fixture_expect_all_free(test, f);
}

static void a_client_that_was_live_meanwhile_is_not_reclaimed(struct kunit *test)
{
	static const char * const said[] = {
		"\"b\": not reclaimed: ", "a driver came meanwhile", NULL
	};
	struct fixture *f = test->priv;
	struct kmsg_dump_iter log;

	leave_one(test, "a");
	leave_one(test, "b");
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EBUSY, reclaim(test, claim_and_leave));
	KUNIT_EXPECT_EQ(test, used(test), 2);
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, said));
	KUNIT_EXPECT_EQ(test, -EBUSY, reclaim(test, leave_another));
	KUNIT_EXPECT_EQ(test, used(test), 2);
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	fixture_expect_all_free(test, f);
}

static void a_device_with_a_live_client_is_not_stopped(struct kunit *test)
{
	static const char * const names[] = { "a", "c" };
	struct fixture *f = test->priv;
	struct dpmgr_client *live;
	unsigned int i;

	leave_one(test, "b");
	/* Before and behind it in the order of names. */
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		live = fixture_client(test, f, names[i]);
		KUNIT_EXPECT_EQ(test, -EBUSY, reclaim(test, NULL));
		KUNIT_EXPECT_EQ(test, told.nr, 0);
		KUNIT_EXPECT_EQ(test, used(test), 2);
		dpmgr_client_destroy(live);
	}
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	fixture_expect_all_free(test, f);
}

static void a_kernel_that_ends_stops_no_more_devices(struct kunit *test)
{
	struct fixture *f = test->priv;

	leave_one(test, "a");
	leave_others(test, "b");
	KUNIT_EXPECT_EQ(test, -EBUSY, reclaim(test, end_kernel));
	KUNIT_EXPECT_EQ(test, told.nr, 1);
	KUNIT_EXPECT_EQ(test, used(test), 2);
	WRITE_ONCE(f->mgr->ending, false);
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	fixture_expect_all_free(test, f);
}

static void other_policies_stop_no_device(struct kunit *test)
{
	static const enum dpmgr_finish_policy policies[] = {
		DPMGR_FINISH_FAIL, DPMGR_FINISH_LEAK, DPMGR_FINISH_RECLAIM_FORCED,
	};
	struct fixture *f = test->priv;
	unsigned int i;

	leave_one(test, "a");
	told.test = test;
	told.nr = 0;
	for (i = 0; i < ARRAY_SIZE(policies); i++)
		dpmgr_finish_by(f->mgr, policies[i], stop_here);
	KUNIT_EXPECT_EQ(test, told.nr, 0);
	fixture_expect_all_free(test, f);
}

static void without_memory_nothing_is_reclaimed(struct kunit *test)
{
	struct fixture *f = test->priv;

	if (!slab_fails())
		kunit_skip(test, "no fault injection");
	leave_one(test, "a");
	fail_nth(1);
	KUNIT_EXPECT_EQ(test, -ENOMEM, reclaim(test, NULL));
	KUNIT_EXPECT_TRUE(test, has_failed());
	KUNIT_EXPECT_EQ(test, told.nr, 0);
	KUNIT_EXPECT_EQ(test, used(test), 2);
	KUNIT_EXPECT_EQ(test, 0, reclaim(test, NULL));
	fixture_expect_all_free(test, f);
}

static int init(struct kunit *test)
{
	memset(&told, 0, sizeof(told));
	return fixture_init(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_may_be_reset),
	KUNIT_CASE(what_shows_that_a_reset_took_place),
	KUNIT_CASE(what_shows_that_a_device_is_gone),
	KUNIT_CASE(one_device_is_stopped_once_for_all_its_clients),
	KUNIT_CASE(each_device_is_stopped),
	KUNIT_CASE(what_is_not_stopped_is_not_reclaimed),
	KUNIT_CASE(a_client_that_is_claimed_meanwhile_is_its_drivers),
	KUNIT_CASE(a_client_that_was_live_meanwhile_is_not_reclaimed),
	KUNIT_CASE(a_device_with_a_live_client_is_not_stopped),
	KUNIT_CASE(a_kernel_that_ends_stops_no_more_devices),
	KUNIT_CASE(other_policies_stop_no_device),
	KUNIT_CASE(without_memory_nothing_is_reclaimed),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stop",
	.init = init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
