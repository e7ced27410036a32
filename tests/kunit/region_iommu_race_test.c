// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets and clients of one IOMMU group, made and taken away at once: what a client has
 * been told of its device holds for as long as there is the client.
 */
#include <linux/cleanup.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "region_iommu.h"

/* ---- one waits at a step while the other comes ---------------------------------- */

/**
 * struct actor - a driver in a thread
 * @act: what it does
 * @mgr: fixed
 * @dev: its device
 * @peer: the one whose target it joins
 * @target: what it has, or gets
 * @client: what it has, or gets
 * @ret: what @act returned
 * @done: after that
 * @task: held
 */
struct actor {
	int (*act)(struct actor *actor);
	struct dpmgr *mgr;
	struct device *dev;
	const struct device *peer;
	struct dpmgr_iommu_target *target;
	struct dpmgr_client *client;
	int ret;
	struct completion done;
	struct task_struct *task;
};

static int create_target(struct actor *actor)
{
	actor->target = dpmgr_iommu_target_create(actor->mgr, actor->dev);
	return PTR_ERR_OR_ZERO(actor->target);
}

static int attach(struct actor *actor)
{
	actor->target = dpmgr_iommu_target_attach(actor->mgr, actor->dev, actor->peer);
	return PTR_ERR_OR_ZERO(actor->target);
}

static int detach(struct actor *actor)
{
	dpmgr_iommu_target_detach(actor->target, actor->dev);
	return 0;
}

static int create_client(struct actor *actor)
{
	struct dpmgr_client_params params = fixture_params("disk");

	actor->client = dpmgr_client_create(actor->mgr, actor->dev, &params);
	return PTR_ERR_OR_ZERO(actor->client);
}

static int destroy_client(struct actor *actor)
{
	dpmgr_client_destroy(actor->client);
	actor->client = NULL;
	return 0;
}

static int run(void *data)
{
	struct actor *actor = data;

	actor->ret = actor->act(actor);
	complete(&actor->done);
	return 0;
}

static void start(struct kunit *test, struct actor *actor)
{
	struct fixture *f = test->priv;

	actor->mgr = f->mgr;
	init_completion(&actor->done);
	actor->task = kthread_create(run, actor, "dpmgr-actor");
	KUNIT_ASSERT_FALSE(test, IS_ERR(actor->task));
	get_task_struct(actor->task);
	wake_up_process(actor->task);
}

/* Wait until the actor is done, or waits for a lock. */
static void settle(const struct actor *actor)
{
	while (!completion_done((struct completion *)&actor->done) &&
	       READ_ONCE(actor->task->__state) != TASK_UNINTERRUPTIBLE)
		schedule_timeout_idle(1);
}

static void finish(struct actor *actor)
{
	wait_for_completion(&actor->done);
	put_task_struct(actor->task);
}

/* Start @second while @first waits at a step; then let both go on to their end. */
static void race(struct kunit *test, char step, struct actor *first, struct actor *second)
{
	struct mock_gate gate;

	mock_gate_set(&gate, step);
	start(test, first);
	wait_for_completion(&gate.reached);
	start(test, second);
	settle(second);
	complete(&gate.open);
	finish(first);
	finish(second);
	mock_gate_set(NULL, '\0');
}

/* A client that is there sees its device's target, and nothing else. */
static void expect_in_target(struct kunit *test, const struct actor *actor)
{
	if (actor->ret)
		return;
	KUNIT_EXPECT_TRUE(test, actor->client->in_target);
	KUNIT_EXPECT_TRUE(test, actor->client->hides_memory);
}

static void a_client_comes_before_its_target_or_after_it(struct kunit *test)
{
	struct actor target = { .act = create_target }, client = { .act = create_client };
	struct mock_device *device;
	const char *step;

	region_iommu_load_pools(test);
	device = mock_device_new(test, NULL, 0, 0);
	target.dev = device->dev;
	client.dev = device->dev;
	/* From the claim on it waits. */
	for (step = "+BPm"; *step; step++) {
		race(test, *step, &target, &client);
		KUNIT_EXPECT_EQ(test, 0, target.ret);
		KUNIT_EXPECT_EQ(test, *step == '+' ? -EOPNOTSUPP : 0, client.ret);
		expect_in_target(test, &client);
		dpmgr_client_destroy(client.client);
		dpmgr_iommu_target_detach(target.target, target.dev);
	}
}

static void a_client_of_the_group_that_is_being_claimed_is_refused(struct kunit *test)
{
	struct actor target = { .act = create_target }, client = { .act = create_client };
	struct mock_device *device;
	const char *step;

	region_iommu_load_pools(test);
	device = mock_device_new(test, NULL, 0, 0);
	target.dev = device->dev;
	client.dev = mock_device_new(test, device, 0, 0)->dev;
	for (step = "+BPm"; *step; step++) {
		race(test, *step, &target, &client);
		KUNIT_EXPECT_EQ(test, 0, target.ret);
		KUNIT_EXPECT_EQ(test, *step == '+' ? -EOPNOTSUPP : -EBUSY, client.ret);
		dpmgr_iommu_target_detach(target.target, target.dev);
	}
}

static void a_client_comes_before_its_device_joins_or_after_it(struct kunit *test)
{
	struct actor joiner = { .act = attach }, client = { .act = create_client };
	struct dpmgr_iommu_target *target;
	struct mock_device *peer;
	const char *step;

	region_iommu_load_pools(test);
	peer = mock_device_new(test, NULL, 0, 0);
	joiner.dev = mock_device_new(test, NULL, 0, 0)->dev;
	joiner.peer = peer->dev;
	client.dev = joiner.dev;
	target = target_new(test, peer);
	for (step = "BP"; *step; step++) {
		race(test, *step, &joiner, &client);
		KUNIT_EXPECT_EQ(test, 0, joiner.ret);
		KUNIT_EXPECT_EQ(test, 0, client.ret);
		expect_in_target(test, &client);
		dpmgr_client_destroy(client.client);
		dpmgr_iommu_target_detach(joiner.target, joiner.dev);
	}
	dpmgr_iommu_target_detach(target, peer->dev);
}

static void a_client_of_a_device_that_is_leaving_is_refused(struct kunit *test)
{
	struct actor leaver = { .act = detach }, client = { .act = create_client };
	struct mock_device *device;
	const char *step;

	region_iommu_load_pools(test);
	device = mock_device_new(test, NULL, 0, 0);
	leaver.dev = device->dev;
	client.dev = device->dev;
	/* Up to where it is in its default domain again. */
	for (step = "Bu-I"; *step; step++) {
		leaver.target = target_new(test, device);
		race(test, *step, &leaver, &client);
		KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, client.ret);
	}
}

static void a_client_is_destroyed_while_its_device_comes_or_goes(struct kunit *test)
{
	struct actor target = { .act = create_target }, client = { .act = create_client };
	struct mock_device *device;
	const char *step;

	region_iommu_load_pools(test);
	device = mock_device_new(test, NULL, 0, 0);
	target.dev = device->dev;
	client.dev = device->dev;
	/* It has outlived its driver. */
	KUNIT_ASSERT_EQ(test, 0, mock_bind(device, MOCK_DMA_API));
	start(test, &client);
	finish(&client);
	KUNIT_EXPECT_EQ(test, 0, client.ret);
	KUNIT_ASSERT_EQ(test, 0, mock_bind(device, MOCK_MANAGED_DMA));
	client.act = destroy_client;
	race(test, '+', &target, &client);
	KUNIT_EXPECT_TRUE(test, target.ret == 0 || target.ret == -EBUSY);
	if (target.ret)
		target.target = target_new(test, device);
	/* Its device leaves before it does. */
	for (step = "Bu-I"; *step; step++) {
		client.act = create_client;
		start(test, &client);
		finish(&client);
		KUNIT_EXPECT_EQ(test, 0, client.ret);
		client.act = destroy_client;
		target.act = detach;
		race(test, *step, &target, &client);
		target.target = target_new(test, device);
	}
	detach(&target);
}

/* ---- many at once -------------------------------------------------------------- */

static bool is_attached(struct dpmgr *mgr, const struct device *dev)
{
	guard(mutex)(&mgr->map->lock);
	return dpmgr_iommu_targets_have(mgr->map, dev);
}

struct comer {
	int (*what)(void *comer);
	struct dpmgr *mgr;
	struct device *dev;
	struct device *peer;
	struct dpmgr_map_region *region;
	struct completion done;
	const char *broken;
};

#define NR_ROUNDS	40

/* A driver that is bound and unbound. */
static int come_and_go(void *data)
{
	struct comer *comer = data;
	unsigned int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		struct dpmgr_iommu_target *target;

		target = dpmgr_iommu_target_create(comer->mgr, comer->dev);
		/* It has left before its client. */
		if (PTR_ERR_OR_ZERO(target) == -EBUSY)
			continue;
		if (IS_ERR(target)) {
			comer->broken = "a target could not be made";
			break;
		}
		if (!is_attached(comer->mgr, comer->dev))
			comer->broken = "its target is not known";
		cond_resched();
		dpmgr_iommu_target_detach(target, comer->dev);
	}
	complete(&comer->done);
	return 0;
}

/* A driver that joins another's target, if there is one. */
static int join_and_leave(void *data)
{
	struct comer *comer = data;
	unsigned int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		struct dpmgr_iommu_target *target;

		target = dpmgr_iommu_target_attach(comer->mgr, comer->dev, comer->peer);
		if (PTR_ERR_OR_ZERO(target) == -ENODEV)
			continue;
		if (IS_ERR(target)) {
			comer->broken = "a target could not be joined";
			break;
		}
		if (!is_attached(comer->mgr, comer->dev))
			comer->broken = "its target is not known";
		cond_resched();
		dpmgr_iommu_target_detach(target, comer->dev);
	}
	complete(&comer->done);
	return 0;
}

static int add_and_remove(void *data)
{
	struct comer *comer = data;
	unsigned int i;

	for (i = 0; i < 4 * NR_ROUNDS; i++) {
		if (add(comer->region, SZ_2M, SZ_4M) ||
		    dpmgr_map_remove(comer->region, 0, SZ_1G))
			comer->broken = "a change was refused";
		cond_resched();
	}
	complete(&comer->done);
	return 0;
}

/* What a client of a device that comes and goes sees is a target, or nothing. */
static int create_and_destroy(void *data)
{
	struct comer *comer = data;
	unsigned int i;

	for (i = 0; i < NR_ROUNDS; i++) {
		struct dpmgr_client_params params = fixture_params("disk");
		struct dpmgr_client *client = dpmgr_client_create(comer->mgr, comer->dev, &params);

		if (!IS_ERR(client)) {
			if (!client->in_target || !client->hides_memory)
				comer->broken = "a client sees all memory";
			dpmgr_client_destroy(client);
		} else if (PTR_ERR(client) != -EOPNOTSUPP) {
			comer->broken = "a client is refused for something else";
		}
		cond_resched();
	}
	complete(&comer->done);
	return 0;
}

static void targets_and_clients_come_and_go_while_the_map_changes(struct kunit *test)
{
	struct dpmgr_map_region *region;
	static struct comer comers[] = {
		{ .what = come_and_go }, { .what = come_and_go },
		{ .what = join_and_leave }, { .what = add_and_remove },
		{ .what = create_and_destroy },
	};
	struct fixture *f = test->priv;
	struct comer *comer;

	region_iommu_load_pools(test);
	region = region_at(test, SZ_1T / 2, SZ_1G, DPMGR_MAP_RAM);
	for (comer = comers; comer < comers + ARRAY_SIZE(comers); comer++) {
		comer->mgr = f->mgr;
		comer->dev = comer->what == create_and_destroy ? comers[0].dev :
			     mock_device_new(test, NULL, 0, 0)->dev;
		comer->peer = comers[0].dev;
		comer->region = region;
		comer->broken = NULL;
		init_completion(&comer->done);
	}
	for (comer = comers; comer < comers + ARRAY_SIZE(comers); comer++)
		KUNIT_ASSERT_FALSE(test, IS_ERR(kthread_run(comer->what, comer, "targets/%zd",
							    comer - comers)));
	for (comer = comers; comer < comers + ARRAY_SIZE(comers); comer++) {
		wait_for_completion(&comer->done);
		KUNIT_EXPECT_NULL(test, comer->broken);
	}
	KUNIT_EXPECT_EQ(test, 0, mock_iommu.nr_domains);
	dpmgr_map_region_destroy(region);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_client_comes_before_its_target_or_after_it),
	KUNIT_CASE(a_client_of_the_group_that_is_being_claimed_is_refused),
	KUNIT_CASE(a_client_comes_before_its_device_joins_or_after_it),
	KUNIT_CASE(a_client_of_a_device_that_is_leaving_is_refused),
	KUNIT_CASE(a_client_is_destroyed_while_its_device_comes_or_goes),
	KUNIT_CASE_SLOW(targets_and_clients_come_and_go_while_the_map_changes),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_iommu_race",
	.init = region_iommu_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
