// SPDX-License-Identifier: GPL-2.0-only
#include <linux/completion.h>
#include <linux/module.h>

#include "lifecycle.h"

struct lifecycle_driver lifecycle_driver;

u8 lifecycle_state[DPMGR_DRIVER_STATE_MAX + 1];

int lifecycle_freeze(struct dpmgr_client *client)
{
	lifecycle_driver.nr_freezes++;
	lifecycle_driver.dev = dpmgr_client_dev(client);
	if (lifecycle_driver.entered) {
		complete(lifecycle_driver.entered);
		wait_for_completion(lifecycle_driver.leave);
	}
	if (lifecycle_driver.frees)
		dpmgr_free(lifecycle_driver.to_free);
	if (lifecycle_driver.freeze_error)
		return lifecycle_driver.freeze_error;
	return dpmgr_client_set_state(client, lifecycle_state, lifecycle_driver.state_len);
}

static void lifecycle_thaw(struct dpmgr_client *client)
{
	lifecycle_driver.nr_thaws++;
	/* By now everything works again. */
	dpmgr_free(dpmgr_alloc(client, 1, GFP_KERNEL, "thawed"));
}

int lifecycle_init(struct kunit *test)
{
	unsigned int i;

	memset(&lifecycle_driver, 0, sizeof(lifecycle_driver));
	for (i = 0; i < sizeof(lifecycle_state); i++)
		lifecycle_state[i] = i * 13 + (i >> 8);
	return fixture_init(test);
}

struct dpmgr_client *lifecycle_create(struct kunit *test, struct fixture *f,
				      const char *name, bool callbacks)
{
	struct dpmgr_client_params params = fixture_params(name);
	struct dpmgr_client *client;

	if (callbacks) {
		params.owner = THIS_MODULE;
		params.freeze = lifecycle_freeze;
		params.thaw = lifecycle_thaw;
	}
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

void lifecycle_expect_retrieved(struct kunit *test, struct dpmgr_client *client,
				unsigned int nr)
{
	unsigned int found = 0;

	while (!IS_ERR(dpmgr_retrieve_next(client)))
		found++;
	KUNIT_EXPECT_EQ(test, found, nr);
}

void lifecycle_restart(struct kunit *test, struct fixture *f,
		       enum dpmgr_region_status status)
{
	fixture_unload(f);
	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.status, status);
}
