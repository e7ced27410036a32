// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finishing: what becomes of saved buffers that nobody came back for.
 *
 * Reclaiming stops the devices first, with the servicing_lock alone: a reset takes a
 * tenth of a second or more, and allocations, probes and a driver's end wait for the
 * manager's lock. A client that is claimed meanwhile loses its mark, and is not
 * reclaimed: its driver may have given its buffers to the device anew.
 *
 * Locking, from the outside: servicing_lock, the manager's lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "client.h"
#include "core/export.h"
#include "servicing.h"
#include "stop.h"

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

/* What stands against reclaiming an absent client, or NULL. */
static const char *why_not(const struct dpmgr_client *client)
{
	if (!client->stop)
		return "a driver came meanwhile: try again";
	return *client->stop->why ? client->stop->why : NULL;
}

static int reclaim_client(struct dpmgr_client *client, bool forced)
{
	const char *why = forced ? NULL : why_not(client);

	if (why) {
		pr_err("client \"%s\": not reclaimed: device %s %s may still write: %s; if you know that it has stopped, reclaim-forced\n",
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
		return reclaim_client(client, policy == DPMGR_FINISH_RECLAIM_FORCED);
	}
}

/* Absent, and anything left under its name? */
static bool is_left(const struct dpmgr_client *client)
{
	return !client->dev && client->persistent && has_left(client);
}

/* Mark all absent clients with their devices, of which @stops then has each once. */
static int mark_all(struct dpmgr *mgr, struct rb_root *stops)
{
	char name[DPMGR_NAME_MAX + 1] = "";
	struct dpmgr_client *client;

	for (;;) {
		guard(mutex)(&mgr->lock);
		client = dpmgr_client_next(mgr, name);
		if (!client)
			return 0;
		strscpy(name, client->name);
		if (!is_left(client))
			continue;
		client->stop = dpmgr_stop_add(stops, &client->identity);
		if (!client->stop)
			return -ENOMEM;
	}
}

/* A device that a live client has, too, is in use, though no driver need be bound. */
static void spare_live(struct dpmgr *mgr, const struct rb_root *stops)
{
	char name[DPMGR_NAME_MAX + 1] = "";
	struct dpmgr_client *client;
	struct dpmgr_stop *stop;

	for (;;) {
		guard(mutex)(&mgr->lock);
		client = dpmgr_client_next(mgr, name);
		if (!client)
			return;
		strscpy(name, client->name);
		stop = client->dev ? dpmgr_stop_find(stops, &client->identity) : NULL;
		if (stop)
			dpmgr_stop_refuse(stop, "another client of it is live: destroy it");
	}
}

static void unmark_all(struct dpmgr *mgr, struct rb_root *stops)
{
	struct rb_node *node;

	scoped_guard(mutex, &mgr->lock)
		for (node = rb_first(&mgr->clients); node; node = rb_next(node))
			dpmgr_client_at(node)->stop = NULL;
	dpmgr_stops_free(stops);
}

/* Stop the devices of all absent clients. 0, -ENOMEM. */
static int stop_all(struct dpmgr *mgr, struct rb_root *stops, dpmgr_stop_fn stop_one)
{
	struct rb_node *node;
	int ret;

	ret = mark_all(mgr, stops);
	if (ret)
		return ret;
	spare_live(mgr, stops);
	for (node = rb_first(stops); node; node = rb_next(node)) {
		struct dpmgr_stop *stop = rb_entry(node, struct dpmgr_stop, node);

		if (stop->tried)
			continue;
		if (READ_ONCE(mgr->ending))
			dpmgr_stop_refuse(stop, "this kernel is about to end");
		else
			stop_one(stops, stop);
	}
	return 0;
}

static int finish_all(struct dpmgr *mgr, enum dpmgr_finish_policy policy)
{
	struct dpmgr_client *client;
	const char *name = "";
	int ret = 0, err;

	/* Under the lock nobody claims an absent client; no one else has it. */
	guard(mutex)(&mgr->lock);
	while ((client = dpmgr_client_next(mgr, name))) {
		name = client->name;
		if (!is_left(client))
			continue;
		err = finish_absent(client, policy);
		ret = ret ?: err;
	}
	return ret;
}

/**
 * dpmgr_finish_by() - decide about saved buffers, with another way to stop devices
 * @mgr: the manager
 * @policy: what to do with them
 * @stop_one: stops a device
 *
 * Context: as dpmgr_finish().
 * Return: as dpmgr_finish().
 */
int dpmgr_finish_by(struct dpmgr *mgr, enum dpmgr_finish_policy policy,
		    dpmgr_stop_fn stop_one)
{
	struct rb_root stops = RB_ROOT;
	int ret = 0;

	if (policy > DPMGR_FINISH_FAIL)
		return -EINVAL;
	guard(mutex)(&mgr->servicing_lock);
	if (READ_ONCE(mgr->ending) || mgr->phase == DPMGR_COMMITTED) {
		pr_err("finish refused: %s\n", READ_ONCE(mgr->ending) ?
		       "this kernel is about to end" :
		       "what is committed must stay as it is");
		return -EBUSY;
	}
	if (policy == DPMGR_FINISH_RECLAIM)
		ret = stop_all(mgr, &stops, stop_one);
	ret = ret ?: finish_all(mgr, policy);
	unmark_all(mgr, &stops);
	dpmgr_drain(mgr);
	dpmgr_clients_prune(mgr);
	return ret;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_finish_by);

/**
 * dpmgr_finish() - decide about saved buffers that nobody claimed
 * @mgr: the manager
 * @policy: what to do with them
 *
 * Clients whose driver is there are not touched. Each absent one, restored or left by
 * a driver of this kernel's, is dealt with by itself; those that were reclaimed or
 * leaked before another was refused stay so.
 *
 * DPMGR_FINISH_RECLAIM resets the devices of absent clients, once each. That takes a
 * tenth of a second for one, and up to a minute if it doesn't come back.
 *
 * Context: may sleep; holding no device's lock.
 * Return: 0; -EBUSY if a device may still write to what was to be reclaimed, or if
 * the state is committed; -ENOTEMPTY for DPMGR_FINISH_FAIL, if there are any; -EINVAL
 * for an unknown policy; -ENOMEM: nothing was reclaimed. The log names each client.
 */
int dpmgr_finish(struct dpmgr *mgr, enum dpmgr_finish_policy policy)
{
	return dpmgr_finish_by(mgr, policy, dpmgr_stop);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_finish, DMA_POOL_MGR);
