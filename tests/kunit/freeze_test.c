// SPDX-License-Identifier: GPL-2.0-only
/*
 * How clients are frozen, kept and thawed, by hand and at a kexec, and what becomes of
 * what their drivers hand over.
 */
#include <linux/completion.h>
#include <linux/dma_pool_mgr_map.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/reboot.h>

#include "lifecycle.h"

static void driver_state_comes_back_byte_for_byte(struct kunit *test)
{
	static const size_t lens[] = { 1, 7, 8, 4095, 20000 };
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);
	u8 *bytes = kunit_kzalloc(test, sizeof(lifecycle_state), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	KUNIT_EXPECT_EQ(test, dpmgr_client_get_state(client, bytes, 10), -ENOENT);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		lifecycle_driver.state_len = lens[i];
		fixture_alloc(test, client, 1, "tag");
		fixture_kexec(test, f, client, NULL);
		client = lifecycle_create(test, f, "disk", true);
		KUNIT_EXPECT_EQ(test, dpmgr_client_get_state(client, NULL, 0), lens[i]);
		if (lens[i] > 1)
			KUNIT_EXPECT_EQ(test, -EMSGSIZE,
					dpmgr_client_get_state(client, bytes, lens[i] - 1));
		memset(bytes, 0, lens[i] + 1);
		KUNIT_EXPECT_EQ(test, lens[i],
				dpmgr_client_get_state(client, bytes, sizeof(lifecycle_state)));
		KUNIT_EXPECT_MEMEQ(test, bytes, lifecycle_state, lens[i]);
		KUNIT_EXPECT_EQ(test, bytes[lens[i]], 0);
		lifecycle_expect_retrieved(test, client, i + 1);
		KUNIT_EXPECT_EQ(test, dpmgr_client_finish(client), 0);
		KUNIT_EXPECT_EQ(test, dpmgr_client_get_state(client, NULL, 0), -ENOENT);
	}
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, ARRAY_SIZE(lens));
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, 0);
	KUNIT_EXPECT_PTR_EQ(test, lifecycle_driver.dev, f->dev);
	dpmgr_client_destroy(client);
}

static void driver_state_is_kept_until_somebody_wants_it(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);
	u8 bytes[100];

	/* No buffer: the state alone is worth a client. */
	lifecycle_driver.state_len = sizeof(bytes);
	fixture_kexec(test, f, client, NULL);
	fixture_kexec(test, f, NULL);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_EQ(test, sizeof(bytes),
			dpmgr_client_get_state(client, bytes, sizeof(bytes)));
	/* A probe that is deferred before it has finished. */
	dpmgr_client_destroy(client);
	fixture_kexec(test, f, NULL);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_EQ(test, sizeof(bytes),
			dpmgr_client_get_state(client, bytes, sizeof(bytes)));
	KUNIT_EXPECT_MEMEQ(test, bytes, lifecycle_state, sizeof(bytes));
	KUNIT_EXPECT_EQ(test, dpmgr_client_finish(client), 0);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void driver_state_has_its_limits(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("net");
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);
	struct dpmgr_client *other;
	u8 bytes[8] = {};
	s64 used;

	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	other = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_client_set_state(other, lifecycle_state, 8));
	dpmgr_client_destroy(other);

	used = atomic64_read(&f->mgr->state_used);
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_client_set_state(client, NULL, 8));
	KUNIT_EXPECT_EQ(test, -EMSGSIZE,
			dpmgr_client_set_state(client, lifecycle_state,
					       DPMGR_DRIVER_STATE_MAX + 1));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, lifecycle_state, 8));
	/* More than this region has room for: the old one still stands. */
	KUNIT_EXPECT_EQ(test, -ENOSPC,
			dpmgr_client_set_state(client, lifecycle_state + 8,
					       DPMGR_DRIVER_STATE_MAX));
	KUNIT_EXPECT_EQ(test, 8, dpmgr_client_get_state(client, bytes, 8));
	KUNIT_EXPECT_MEMEQ(test, bytes, lifecycle_state, 8);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, NULL, 0));
	KUNIT_EXPECT_EQ(test, used, atomic64_read(&f->mgr->state_used));
	dpmgr_client_destroy(client);
}

static void a_driver_that_refuses_is_orphaned_and_stops_nobody(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *refusing = lifecycle_create(test, f, "refusing", true);
	struct dpmgr_client *other = lifecycle_create(test, f, "other", false);
	struct dpmgr_buf *buf;
	unsigned int round;

	lifecycle_driver.freeze_error = -EIO;
	lifecycle_driver.state_len = 8;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(refusing, lifecycle_state, 8));
	fixture_alloc(test, refusing, SZ_16K, "orphan");
	memset(dpmgr_buf_vaddr(fixture_alloc(test, refusing, SZ_8K, "orphan")), 0x5c,
	       SZ_8K);
	fixture_alloc(test, other, SZ_16K, "kept");
	fixture_kexec(test, f, refusing, other, NULL);

	other = lifecycle_create(test, f, "other", false);
	lifecycle_expect_retrieved(test, other, 1);
	dpmgr_client_destroy(other);
	/* Over as many kexecs as it takes. */
	for (round = 0; round < 3; round++) {
		refusing = lifecycle_create(test, f, "refusing", false);
		KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_next(refusing)));
		KUNIT_EXPECT_EQ(test, -ENOENT,
				PTR_ERR(dpmgr_retrieve_tag(refusing, "orphan")));
		KUNIT_EXPECT_EQ(test, 2, dpmgr_client_nr_kept_out(refusing));
		KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(refusing, NULL, 0));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_client_finish(refusing));
		KUNIT_EXPECT_EQ(test, 2, dpmgr_client_nr_kept_out(refusing));
		/* Nothing of it is handed out. */
		while (!IS_ERR(buf = dpmgr_alloc(refusing, 1, GFP_KERNEL | __GFP_NOWARN,
						 "all")))
			;
		KUNIT_EXPECT_EQ(test, fixture_used(f->mgr->pools[DPMGR_PRIVATE]),
				PRIVATE_SIZE / PAGE_SIZE);
		fixture_kexec(test, f, refusing, NULL);
		refusing = lifecycle_create(test, f, "refusing", false);
		while (!IS_ERR(buf = dpmgr_retrieve_next(refusing)))
			dpmgr_free(buf);
		dpmgr_client_destroy(refusing);
		other = lifecycle_create(test, f, "other", false);
		while (!IS_ERR(buf = dpmgr_retrieve_next(other)))
			dpmgr_free(buf);
		dpmgr_client_destroy(other);
	}
	refusing = lifecycle_create(test, f, "refusing", false);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_stopped(refusing));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_nr_kept_out(refusing));
	dpmgr_client_destroy(refusing);
	fixture_expect_all_free(test, f);
}

static void without_keepalive_a_client_is_orphaned_unasked(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_TRUE(test, dpmgr_client_keepalive(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, false));
	fixture_kexec(test, f, client, NULL);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, 0);

	client = lifecycle_create(test, f, "disk", true);
	KUNIT_EXPECT_TRUE(test, dpmgr_client_keepalive(client));
	KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_stopped(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	/* What was decided stays so. */
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_client_set_keepalive(client, false));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, false));
	dpmgr_client_destroy(client);
}

static void what_was_pending_for_a_client_that_refuses_is_orphaned(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);

	fixture_alloc(test, client, 1, "tag");
	fixture_kexec(test, f, client, NULL);
	lifecycle_driver.freeze_error = -EIO;
	client = lifecycle_create(test, f, "disk", true);
	fixture_kexec(test, f, client, NULL);
	client = lifecycle_create(test, f, "disk", true);
	KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(client));
	dpmgr_client_destroy(client);
}

static void a_freeze_that_keeps_nobody_is_refused(struct kunit *test)
{
	static const char * const told[] = { "none of 1 clients can be kept", NULL };
	struct fixture *f = test->priv;
	struct dpmgr_client *client, *second;
	struct kmsg_dump_iter log;

	/* Without a client, no client is refused. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));

	client = lifecycle_create(test, f, "a", true);
	lifecycle_driver.freeze_error = -EIO;
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -ECANCELED, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, told));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, 0);
	dpmgr_free(fixture_alloc(test, client, 1, "tag"));

	/* With one that can, the step is taken. */
	second = lifecycle_create(test, f, "b", false);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_FROZEN);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	/* So it is with one that is absent, whose buffers wait. */
	fixture_alloc(test, second, 1, "tag");
	dpmgr_client_destroy(second);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	dpmgr_client_destroy(client);
	fixture_kexec(test, f, NULL);
	lifecycle_driver.freeze_error = 0;
	second = lifecycle_create(test, f, "b", false);
	lifecycle_expect_retrieved(test, second, 1);
	dpmgr_client_destroy(second);
}

static void all_or_nothing_by_hand_leaves_all_as_it_was(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *a = lifecycle_create(test, f, "a", true);
	struct dpmgr_client *b = lifecycle_create(test, f, "b", false);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(b, false));
	f->mgr->all_or_nothing = true;
	KUNIT_EXPECT_EQ(test, -ECANCELED, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, -ECANCELED, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, 2);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, 2);
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
	fixture_alloc(test, a, 1, "tag");
	fixture_alloc(test, b, 1, "tag");
	/* New clients, too. */
	dpmgr_client_destroy(lifecycle_create(test, f, "c", false));
	f->mgr->all_or_nothing = false;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	dpmgr_client_destroy(a);
	dpmgr_client_destroy(b);
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
}

static void all_or_nothing_at_a_kexec_keeps_nobody(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *a = lifecycle_create(test, f, "a", true);
	struct dpmgr_client *b = lifecycle_create(test, f, "b", false);

	fixture_alloc(test, a, 1, "tag");
	fixture_alloc(test, b, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(b, false));
	f->mgr->all_or_nothing = true;
	fixture_kexec(test, f, a, b, NULL);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, 1);
	/* So that its shutdown stops the device. */
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, 1);
	a = lifecycle_create(test, f, "a", false);
	KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(a));
	b = lifecycle_create(test, f, "b", false);
	KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(b));
	dpmgr_client_destroy(a);
	dpmgr_client_destroy(b);
}

static void a_frozen_client_waits_and_the_others_work_on(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *frozen = lifecycle_create(test, f, "frozen", true);
	struct dpmgr_client *refusing = lifecycle_create(test, f, "refusing", false);
	struct dpmgr_client *new;
	struct dpmgr_buf *early, *late;
	u64 used;

	early = fixture_alloc(test, frozen, SZ_8K, "freed by the callback");
	late = fixture_alloc(test, frozen, SZ_64K, "freed when frozen");
	lifecycle_driver.frees = true;
	lifecycle_driver.to_free = early;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(refusing, false));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));

	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_alloc(frozen, 1, GFP_KERNEL, "t")));
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_alloc(frozen, 1, GFP_ATOMIC, "t")));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_client_set_state(frozen, lifecycle_state, 1));
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_retrieve_next(frozen)));
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_retrieve_tag(frozen, "t")));
	KUNIT_EXPECT_EQ(test, -EBUSY, PTR_ERR(dpmgr_retrieve_pfn(frozen, 1, 1)));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_client_finish(frozen));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_client_stopped(frozen));
	used = fixture_used(f->mgr->pools[DPMGR_PRIVATE]);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(late));
	dpmgr_drain(f->mgr);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, used, fixture_used(f->mgr->pools[DPMGR_PRIVATE]));

	dpmgr_free(fixture_alloc(test, refusing, 1, "t"));
	new = lifecycle_create(test, f, "new", false);
	dpmgr_free(fixture_alloc(test, new, 1, "t"));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, 1);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, 0, fixture_used(f->mgr->pools[DPMGR_PRIVATE]));
	dpmgr_client_destroy(frozen);
	dpmgr_client_destroy(refusing);
	dpmgr_client_destroy(new);
	fixture_expect_all_free(test, f);
}

static void a_client_that_leaves_while_frozen_leaves_its_buffers(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);
	struct dpmgr_buf *freed;

	lifecycle_driver.state_len = 50;
	fixture_alloc(test, client, SZ_8K, "kept");
	freed = fixture_alloc(test, client, SZ_8K, "freed");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	dpmgr_free(freed);
	dpmgr_client_destroy(client);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, 2, fixture_used(f->mgr->pools[DPMGR_PRIVATE]));

	/* Its driver may even come back before the kexec. */
	client = lifecycle_create(test, f, "disk", true);
	KUNIT_EXPECT_EQ(test, 50, dpmgr_client_get_state(client, NULL, 0));
	lifecycle_expect_retrieved(test, client, 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	dpmgr_client_destroy(client);
	fixture_kexec(test, f, NULL);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, 0);
	client = lifecycle_create(test, f, "disk", true);
	KUNIT_EXPECT_EQ(test, 50, dpmgr_client_get_state(client, NULL, 0));
	lifecycle_expect_retrieved(test, client, 1);
	dpmgr_client_destroy(client);
}

static int freeze_thread(void *mgr)
{
	return dpmgr_freeze(mgr);
}

static void a_driver_is_not_unbound_during_its_callback(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("disk");
	DECLARE_COMPLETION_ONSTACK(entered);
	DECLARE_COMPLETION_ONSTACK(leave);
	struct dpmgr_client *client;
	struct task_struct *task;

	params.freeze = lifecycle_freeze;
	params.owner = THIS_MODULE;
	client = devm_dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fixture_alloc(test, client, 1, "tag");
	lifecycle_driver.entered = &entered;
	lifecycle_driver.leave = &leave;
	task = kthread_create(freeze_thread, f->mgr, "dpmgr-freeze");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	wake_up_process(task);
	wait_for_completion(&entered);
	/* This is what unbinding takes first. */
	KUNIT_EXPECT_FALSE(test, device_trylock(f->dev));
	complete(&leave);
	KUNIT_EXPECT_EQ(test, 0, kthread_stop(task));
	put_task_struct(task);
	/* Frozen; and now it goes. */
	kunit_device_unregister(test, f->dev);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, 0);
	KUNIT_EXPECT_EQ(test, 1, fixture_used(f->mgr->pools[DPMGR_PRIVATE]));
}

static void at_a_kexec_a_device_that_is_being_bound_is_not_waited_for(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);

	fixture_alloc(test, client, 1, "tag");
	device_lock(f->dev);
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	device_unlock(f->dev);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, 0);
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(client));
	dpmgr_client_destroy(client);
}

static void only_who_froze_is_thawed(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, false));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, true));
	lifecycle_driver.freeze_error = -EIO;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, lifecycle_driver.nr_thaws);
	lifecycle_driver.freeze_error = 0;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_TRUE(test, dpmgr_client_is_kept(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 1, lifecycle_driver.nr_thaws);
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	dpmgr_client_destroy(client);
}

static void keepalive_counts_for_absent_clients_and_begins_anew(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, false));
	dpmgr_client_destroy(client);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_TRUE(test, dpmgr_client_keepalive(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, false));
	dpmgr_client_destroy(client);
	fixture_kexec(test, f, NULL);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(client));
	dpmgr_client_destroy(client);
}

static void driver_state_that_is_replaced_needs_no_more_room(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);
	s64 used = atomic64_read(&f->mgr->state_used);
	size_t len = f->mgr->state_limit - used;
	unsigned int i;

	len &= ~7;
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, lifecycle_state, len));
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_client_set_state(client, lifecycle_state, len + 8));
	KUNIT_EXPECT_EQ(test, len, dpmgr_client_get_state(client, NULL, 0));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, lifecycle_state, 9));
	KUNIT_EXPECT_EQ(test, used + 16, atomic64_read(&f->mgr->state_used));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, NULL, 0));
	KUNIT_EXPECT_EQ(test, used, atomic64_read(&f->mgr->state_used));
	dpmgr_client_destroy(client);
}

static void driver_state_that_was_not_for_this_freeze_outlives_a_thaw(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, lifecycle_state, 16));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 16, dpmgr_client_get_state(client, NULL, 0));
	/* To the next driver, in this kernel too, it is an earlier one's. */
	dpmgr_client_destroy(client);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_EQ(test, 16, dpmgr_client_get_state(client, NULL, 0));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_finish(client));
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(client, NULL, 0));

	/* What was committed is there for the kexec, with its driver gone. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, lifecycle_state, 24));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_client_destroy(client);
	fixture_kexec(test, f, NULL);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_EQ(test, 24, dpmgr_client_get_state(client, NULL, 0));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_finish(client));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void an_absent_client_may_be_the_one_that_stops_all(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, false));
	dpmgr_client_destroy(client);
	f->mgr->all_or_nothing = true;
	KUNIT_EXPECT_EQ(test, -ECANCELED, dpmgr_freeze(f->mgr));
	fixture_kexec(test, f, NULL);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(client));
	dpmgr_client_destroy(client);
}

static void a_keepalive_that_is_switched_on_again_counts(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, false));
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, -ECANCELED, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, true));
	fixture_kexec(test, f, NULL);
	client = lifecycle_create(test, f, "disk", false);
	lifecycle_expect_retrieved(test, client, 1);
	dpmgr_client_destroy(client);
}

static void a_frozen_client_needs_no_device_lock_at_a_kexec(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	device_lock(f->dev);
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	device_unlock(f->dev);
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	client = lifecycle_create(test, f, "disk", false);
	lifecycle_expect_retrieved(test, client, 1);
	dpmgr_client_destroy(client);
}

/* Hands over state, and then finds out that it can't freeze. */
static int freeze_too_late(struct dpmgr_client *client)
{
	dpmgr_client_set_state(client, lifecycle_state, 8);
	return -EIO;
}

static void what_was_handed_over_by_who_refused_is_gone(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("disk");
	struct dpmgr_client *client;

	params.freeze = freeze_too_late;
	params.owner = THIS_MODULE;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, -ECANCELED, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(client, NULL, 0));
	dpmgr_client_destroy(client);
	fixture_kexec(test, f, NULL);
	client = lifecycle_create(test, f, "disk", false);
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(client, NULL, 0));
	lifecycle_expect_retrieved(test, client, 1);
	dpmgr_client_destroy(client);
}

static struct dpmgr_map_region *bar;

static int freeze_and_disable(struct dpmgr_client *client)
{
	return dpmgr_map_region_disable(bar);
}

static void thaw_and_enable(struct dpmgr_client *client)
{
	dpmgr_map_region_enable(bar, DPMGR_MAP_WRITABLE);
}

/* So the map's lock comes below a client's, which the lock checker is told here. */
static void a_driver_may_change_the_map_in_its_callbacks(struct kunit *test)
{
	const struct dpmgr_map_region_params region = {
		.size = sizeof(region),
		.name = "bar",
		.start = SZ_1T,
		.length = SZ_64K,
		.memory = DPMGR_MAP_DEVICE,
	};
	struct dpmgr_client_params params = fixture_params("disk");
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	params.owner = THIS_MODULE;
	params.freeze = freeze_and_disable;
	params.thaw = thaw_and_enable;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	bar = dpmgr_map_region_create(f->mgr, &region);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bar);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(bar, DPMGR_MAP_WRITABLE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_FALSE(test, dpmgr_map_region_is_active(bar));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_TRUE(test, dpmgr_map_region_is_active(bar));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(bar));
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_driver_may_change_the_map_in_its_callbacks),
	KUNIT_CASE(an_absent_client_may_be_the_one_that_stops_all),
	KUNIT_CASE(a_keepalive_that_is_switched_on_again_counts),
	KUNIT_CASE(a_frozen_client_needs_no_device_lock_at_a_kexec),
	KUNIT_CASE(what_was_handed_over_by_who_refused_is_gone),
	KUNIT_CASE(only_who_froze_is_thawed),
	KUNIT_CASE(keepalive_counts_for_absent_clients_and_begins_anew),
	KUNIT_CASE(driver_state_that_is_replaced_needs_no_more_room),
	KUNIT_CASE(driver_state_that_was_not_for_this_freeze_outlives_a_thaw),
	KUNIT_CASE(driver_state_comes_back_byte_for_byte),
	KUNIT_CASE(driver_state_is_kept_until_somebody_wants_it),
	KUNIT_CASE(driver_state_has_its_limits),
	KUNIT_CASE(a_freeze_that_keeps_nobody_is_refused),
	KUNIT_CASE(a_driver_that_refuses_is_orphaned_and_stops_nobody),
	KUNIT_CASE(without_keepalive_a_client_is_orphaned_unasked),
	KUNIT_CASE(what_was_pending_for_a_client_that_refuses_is_orphaned),
	KUNIT_CASE(all_or_nothing_by_hand_leaves_all_as_it_was),
	KUNIT_CASE(all_or_nothing_at_a_kexec_keeps_nobody),
	KUNIT_CASE(a_frozen_client_waits_and_the_others_work_on),
	KUNIT_CASE(a_client_that_leaves_while_frozen_leaves_its_buffers),
	KUNIT_CASE(a_driver_is_not_unbound_during_its_callback),
	KUNIT_CASE(at_a_kexec_a_device_that_is_being_bound_is_not_waited_for),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_freeze",
	.init = lifecycle_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
