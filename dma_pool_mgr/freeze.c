// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freezing: drivers leave their devices as the next kernel is to find them, or go on.
 *
 * Clients are frozen one by one, by their drivers' callbacks. A callback is called with
 * its device's lock, which keeps that from being unbound, and its client's, which keeps
 * that from being destroyed; and with the servicing_lock, which no driver's call takes
 * but those of the manager's. A driver that can't be frozen doesn't stop the others: it
 * works on to the end, and its buffers are saved as orphaned.
 *
 * Locking, from the outside: servicing_lock, which all here is called with, the device's
 * lock, the client's lock, the manager's lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>

#include "client.h"
#include "guard.h"
#include "servicing.h"
#include "stream.h"

/* When the kernel ends: how long to wait for a device that is being bound or unbound. */
#define DEVICE_LOCK_TRIES	100
#define DEVICE_LOCK_MS		10

/*
 * Walk persistent clients while others come and go: the one after @previous, which
 * may be NULL, pinned until it is @previous.
 */
static struct dpmgr_client *next_client(struct dpmgr *mgr,
					struct dpmgr_client *previous)
{
	const char *name = previous ? previous->name : "";
	struct dpmgr_client *client;

	scoped_guard(mutex, &mgr->lock) {
		do {
			client = dpmgr_client_next(mgr, name);
			if (client)
				name = client->name;
		} while (client && !client->persistent);
		if (client)
			kobject_get(&client->kobj);
	}
	if (previous)
		kobject_put(&previous->kobj);
	return client;
}

/* What can't be kept is not to be taken up: nor is its driver's state. */
static void refuse(struct dpmgr_client *client, const char *why, int err)
{
	client->refused = true;
	pr_warn("client \"%s\" is not kept: %s (%pe); its buffers will be orphaned\n",
		client->name, why, ERR_PTR(err));
}

/*
 * At a kexec we are in a notifier chain, or are waited for there, and the lock's holder
 * may wait for that: not for ever, then.
 */
static bool lock_device(const struct dpmgr *mgr, struct device *dev)
{
	unsigned int tries = 0;

	while (!device_trylock(dev)) {
		tries = READ_ONCE(mgr->ending) ? tries + 1 : 0;
		if (tries > DEVICE_LOCK_TRIES)
			return false;
		msleep(DEVICE_LOCK_MS);
	}
	return true;
}

/* What a client is asked to do when it is frozen or thawed, and whether it can be. */
struct turn {
	struct module *owner;
	int (*freeze)(struct dpmgr_client *client);
	void (*thaw)(struct dpmgr_client *client);
	bool in_target;
};

/* Whether the client is still live with that device. */
static bool get_turn(struct dpmgr_client *client, const struct device *dev,
		     struct turn *turn)
{
	guard(mutex)(&client->mgr->lock);
	*turn = (struct turn){
		.owner = client->owner,
		.freeze = client->freeze,
		.thaw = client->thaw,
		.in_target = client->in_target,
	};
	return client->dev == dev;
}

/* From here on its keepalive stays as it is. */
static bool latch_keepalive(struct dpmgr_client *client)
{
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	client->freezing = client->keepalive;
	return client->keepalive;
}

static void unlatch_keepalive(struct dpmgr_client *client)
{
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	client->freezing = false;
}

static void thaw_live(struct dpmgr_client *client, const struct device *dev)
{
	struct dpmgr *mgr = client->mgr;
	struct turn turn;
	bool was_kept;

	lockdep_assert_held(&client->lock);
	was_kept = get_turn(client, dev, &turn) && client->frozen &&
		   !client->refused;
	client->refused = false;
	scoped_guard(mutex, &mgr->lock) {
		/* What such a driver has handed over is no longer so. */
		if (was_kept && turn.freeze && !client->state_is_old)
			dpmgr_client_drop_state(client);
		dpmgr_client_set_frozen(client, false);
	}
	/* A driver that is being unloaded has nothing to go on with. */
	if (!was_kept || !turn.thaw || !try_module_get(turn.owner))
		return;
	turn.thaw(client);
	module_put(turn.owner);
}

/* Whether its driver, if there is one to be asked, has frozen. */
static bool call_freeze(struct dpmgr_client *client, const struct turn *turn)
{
	int ret;

	if (!turn->freeze)
		return true;
	if (!try_module_get(turn->owner)) {
		refuse(client, "its driver is being unloaded", -ENODEV);
		return false;
	}
	ret = turn->freeze(client);
	module_put(turn->owner);
	if (!ret)
		return true;
	/* What it has handed over describes no frozen device. */
	scoped_guard(mutex, &client->mgr->lock)
		if (!client->state_is_old)
			dpmgr_client_drop_state(client);
	refuse(client, "its driver refused", ret);
	return false;
}

/*
 * Its driver says that it has frozen. If the device can still reach what no generation
 * names, it hasn't.
 */
static void check_streams(struct dpmgr_client *client, const struct device *dev)
{
	u32 nr_streams = dpmgr_streams_count(client);
	char why[64];

	if (!nr_streams)
		return;
	thaw_live(client, dev);
	snprintf(why, sizeof(why), "%u of its streams are still mapped", nr_streams);
	refuse(client, why, -EBUSY);
}

static void freeze_live(struct dpmgr_client *client, const struct device *dev)
{
	struct turn turn;

	lockdep_assert_held(&client->lock);
	if (!get_turn(client, dev, &turn) || client->frozen)
		return;
	if (turn.in_target) {
		refuse(client, "its device is attached to an IOMMU target, and will be cut off",
		       -EOPNOTSUPP);
		return;
	}
	if (!latch_keepalive(client)) {
		refuse(client, "its keepalive is off", -ECANCELED);
		return;
	}
	if (!call_freeze(client, &turn)) {
		unlatch_keepalive(client);
		return;
	}
	scoped_guard(mutex, &client->mgr->lock)
		dpmgr_client_set_frozen(client, true);
	check_streams(client, dev);
}

/* Freeze or thaw one client, pinned, whether it is live or absent. */
static void turn_client(struct dpmgr_client *client,
			void (*turn)(struct dpmgr_client *client,
				     const struct device *dev))
{
	struct device *dev;

	scoped_guard(mutex, &client->mgr->lock)
		dev = get_device(client->dev);
	if (dev && !lock_device(client->mgr, dev)) {
		refuse(client, "its driver is being bound or unbound", -EBUSY);
	} else {
		scoped_guard(mutex, &client->lock)
			turn(client, dev);
		if (dev)
			device_unlock(dev);
	}
	put_device(dev);
}

/* Absent ones have nothing to say to it. */
static void freeze_one(struct dpmgr_client *client, const struct device *dev)
{
	client->refused = false;
	if (dev)
		freeze_live(client, dev);
	else if (!dpmgr_client_keepalive(client))
		refuse(client, "its keepalive is off", -ECANCELED);
}

void dpmgr_thaw_all(struct dpmgr *mgr)
{
	struct dpmgr_client *client = NULL;

	while ((client = next_client(mgr, client)))
		turn_client(client, thaw_live);
}

/* Freeze all that can be. Whether one can't, and that was to stop the others. */
bool dpmgr_freeze_all(struct dpmgr *mgr)
{
	struct dpmgr_client *client = NULL;
	unsigned int nr_refused = 0;

	while ((client = next_client(mgr, client))) {
		if (!READ_ONCE(client->frozen))
			turn_client(client, freeze_one);
		nr_refused += client->refused;
	}
	if (!nr_refused || !READ_ONCE(mgr->all_or_nothing))
		return false;
	pr_err("%u clients can't be kept, and it is to be all or nothing\n",
	       nr_refused);
	dpmgr_thaw_all(mgr);
	return true;
}

/* No allocation that began before a client was frozen goes on after this. */
void dpmgr_freeze_settle(struct dpmgr *mgr)
{
	synchronize_rcu();
	dpmgr_guard_wait(mgr);
}

/* Everybody's runs come and go no more. */
void dpmgr_freeze_rest(struct dpmgr *mgr, bool nobody_is_kept)
{
	struct dpmgr_client *client = NULL;

	dpmgr_drain(mgr);
	while ((client = next_client(mgr, client))) {
		guard(mutex)(&mgr->lock);
		if (nobody_is_kept &&
		    (client->dev || !dpmgr_client_keepalive(client)))
			client->refused = true;
		dpmgr_client_set_frozen(client, true);
	}
	dpmgr_freeze_settle(mgr);
	dpmgr_open_stock_flush(mgr);
}
