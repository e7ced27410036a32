// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finishing: what becomes of saved buffers that nobody came back for.
 *
 * Locking, from the outside: servicing_lock, the manager's lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/sched.h>

#include "client.h"
#include "identity.h"
#include "servicing.h"

/* Anything left under an absent name that its driver could have come back for? */
static bool has_left(const struct dpmgr_client *client)
{
	return client->nr_pending || client->nr_kept || client->state;
}

static void leak(struct dpmgr_client *client)
{
	pr_warn("client \"%s\": %u buffers leaked: kept out of use until they are reclaimed\n",
		client->name, client->nr_pending);
	while (dpmgr_client_leak_some(client))
		cond_resched();
	dpmgr_client_drop_state(client);
}

static int reclaim(struct dpmgr_client *client, bool forced)
{
	const char *why = dpmgr_identity_may_write(&client->identity);

	if (why && !forced) {
		pr_err("client \"%s\": not reclaimed: device %s %s: %s\n",
		       client->name, client->identity.bus,
		       client->identity.address, why);
		return -EBUSY;
	}
	pr_info("client \"%s\": %u buffers reclaimed\n", client->name,
		client->nr_pending + client->nr_kept);
	while (dpmgr_client_free_some(client, true) ||
	       dpmgr_client_free_some(client, false))
		cond_resched();
	dpmgr_client_drop_state(client);
	return 0;
}

static int finish_absent(struct dpmgr_client *client,
			 enum dpmgr_finish_policy policy)
{
	switch (policy) {
	case DPMGR_FINISH_LEAK:
		if (client->nr_pending || client->state)
			leak(client);
		return 0;
	case DPMGR_FINISH_FAIL:
		pr_warn("client \"%s\": not claimed: %u buffers, %u bytes of driver state; %u buffers more are kept out of use\n",
			client->name, client->nr_pending, client->state_len,
			client->nr_kept);
		return -ENOTEMPTY;
	default:
		return reclaim(client, policy == DPMGR_FINISH_RECLAIM_FORCED);
	}
}

/**
 * dpmgr_finish() - decide about saved buffers that nobody claimed
 * @mgr: the manager
 * @policy: what to do with them
 *
 * Clients whose driver is there are not touched. Each absent one, restored or left by
 * a driver of this kernel's, is dealt with by itself; those that were reclaimed or
 * leaked before another was refused stay so.
 *
 * Context: may sleep; holding no device's lock.
 * Return: 0; -EBUSY if a device may still write to what was to be reclaimed, or if
 * the state is committed; -ENOTEMPTY for DPMGR_FINISH_FAIL, if there are any; -EINVAL
 * for an unknown policy. The log names each client.
 */
int dpmgr_finish(struct dpmgr *mgr, enum dpmgr_finish_policy policy)
{
	struct dpmgr_client *client;
	const char *name = "";
	int ret = 0, err;

	if (policy > DPMGR_FINISH_FAIL)
		return -EINVAL;
	guard(mutex)(&mgr->servicing_lock);
	if (READ_ONCE(mgr->ending) || mgr->phase == DPMGR_COMMITTED) {
		pr_err("finish refused: %s\n", READ_ONCE(mgr->ending) ?
		       "this kernel is about to end" :
		       "what is committed must stay as it is");
		return -EBUSY;
	}
	/* Under the lock nobody claims an absent client; no one else has it. */
	scoped_guard(mutex, &mgr->lock) {
		while ((client = dpmgr_client_next(mgr, name))) {
			name = client->name;
			if (client->dev || !client->persistent || !has_left(client))
				continue;
			err = finish_absent(client, policy);
			ret = ret ?: err;
		}
	}
	dpmgr_drain(mgr);
	dpmgr_clients_prune(mgr);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_finish, DMA_POOL_MGR);
