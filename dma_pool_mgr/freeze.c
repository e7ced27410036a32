// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freezing: drivers leave their devices as the next kernel is to find them, or go on.
 *
 * Clients are frozen in the order of their names, by their drivers' callbacks. A worker
 * (turn.c) calls a callback with its device's lock, which keeps that from being unbound,
 * and its client's, which keeps that from being destroyed. The step that waits for it holds
 * the servicing_lock, which no driver's call takes but those of the manager's. A driver
 * that can't be frozen, or not in time, doesn't stop the others: it works on to the end,
 * and its buffers are saved as orphaned.
 *
 * A client that was given up while its freeze runs is refused, and what comes of the freeze
 * changes nothing: a worker looks whether it is late under the manager's lock whenever it is
 * about to change what a save goes by, @frozen and @refused. Its driver may call what any
 * refused client's may. If the freeze succeeds in the end, the driver is thawed.
 *
 * Locking, from the outside: servicing_lock, which a step is called with; in its workers
 * the device's lock and the client's lock; the manager's lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>

#include "client.h"
#include "guard.h"
#include "servicing.h"
#include "stream.h"
#include "turn.h"

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

/*
 * What can't be kept is not to be taken up: nor is its driver's state. A client that was
 * given up is refused already, and its late worker has no say any more. With the manager's
 * lock held.
 */
static void refuse_locked(struct dpmgr_client *client, const char *why, int err)
{
	lockdep_assert_held(&client->mgr->lock);
	if (client->turn.state == DPMGR_TURN_LATE)
		return;
	client->refused = true;
	pr_warn("client \"%s\" is not kept: %s (%pe); its buffers will be orphaned\n",
		client->name, why, ERR_PTR(err));
}

static void refuse(struct dpmgr_client *client, const char *why, int err)
{
	guard(mutex)(&client->mgr->lock);
	refuse_locked(client, why, err);
}

static const struct dpmgr_turn_ops freeze_turn;

/* Whether the step that asked for the client's freeze has gone on without it. */
static bool is_late_freeze(const struct dpmgr_client *client)
{
	return READ_ONCE(client->turn.state) == DPMGR_TURN_LATE &&
	       client->turn.ops == &freeze_turn;
}

/*
 * At a kexec we are in a notifier chain, or are waited for there, and the lock's holder
 * may wait for that: not for ever, then.
 */
static bool lock_device(const struct dpmgr_client *client, struct device *dev)
{
	unsigned int tries = 0;

	while (!device_trylock(dev)) {
		tries = READ_ONCE(client->mgr->ending) ? tries + 1 : 0;
		if (tries > DEVICE_LOCK_TRIES || is_late_freeze(client))
			return false;
		msleep(DEVICE_LOCK_MS);
	}
	return true;
}

/* What a client is asked to do when it is frozen or thawed, and whether it can be. */
struct callbacks {
	struct module *owner;
	int (*freeze)(struct dpmgr_client *client);
	void (*thaw)(struct dpmgr_client *client);
	bool in_target;
};

/* Whether the client is still live with that device. With the manager's lock held. */
static bool get_callbacks(struct dpmgr_client *client, const struct device *dev,
			  struct callbacks *callbacks)
{
	lockdep_assert_held(&client->mgr->lock);
	*callbacks = (struct callbacks){
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

/* Unless a commit has frozen the client meanwhile. */
static void unlatch_keepalive(struct dpmgr_client *client)
{
	guard(mutex)(&client->mgr->lock);
	if (client->frozen)
		return;
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	client->freezing = false;
}

static void thaw_live(struct dpmgr_client *client, const struct device *dev)
{
	struct dpmgr *mgr = client->mgr;
	struct callbacks callbacks;
	bool was_quiet;

	lockdep_assert_held(&client->lock);
	scoped_guard(mutex, &mgr->lock) {
		was_quiet = get_callbacks(client, dev, &callbacks) && client->is_quiet;
		/* It was given up, and a generation names its runs, or is about to. */
		if (client->turn.state == DPMGR_TURN_LATE && client->frozen &&
		    mgr->ended && !mgr->is_called_off)
			return;
		/* What such a driver has handed over is no longer so. */
		if (was_quiet && callbacks.freeze && !client->state_is_old)
			dpmgr_client_drop_state(client);
		client->is_quiet = false;
		if (client->frozen)
			dpmgr_client_set_frozen(client, false);
	}
	/* A driver that is being unloaded has nothing to go on with. */
	if (!was_quiet || !callbacks.thaw || !try_module_get(callbacks.owner))
		return;
	callbacks.thaw(client);
	module_put(callbacks.owner);
}

/* Whether its driver, if there is one to be asked, has frozen. */
static bool call_freeze(struct dpmgr_client *client, const struct callbacks *callbacks)
{
	int ret;

	if (!callbacks->freeze)
		return true;
	if (!try_module_get(callbacks->owner)) {
		refuse(client, "its driver is being unloaded", -ENODEV);
		return false;
	}
	ret = callbacks->freeze(client);
	module_put(callbacks->owner);
	if (is_late_freeze(client))
		pr_warn("client \"%s\": freeze has returned after all, too late (%d)\n",
			client->name, ret);
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
	struct dpmgr *mgr = client->mgr;
	struct callbacks callbacks;
	bool is_late;

	lockdep_assert_held(&client->lock);
	scoped_guard(mutex, &mgr->lock)
		if (!get_callbacks(client, dev, &callbacks) || client->frozen ||
		    is_late_freeze(client))
			return;
	if (callbacks.in_target) {
		refuse(client, "its device is attached to an IOMMU target, and will be cut off",
		       -EOPNOTSUPP);
		return;
	}
	if (!latch_keepalive(client)) {
		refuse(client, "its keepalive is off", -ECANCELED);
		return;
	}
	if (!call_freeze(client, &callbacks)) {
		unlatch_keepalive(client);
		return;
	}
	scoped_guard(mutex, &mgr->lock) {
		client->is_quiet = true;
		is_late = is_late_freeze(client);
		if (!is_late)
			dpmgr_client_set_frozen(client, true);
	}
	if (!is_late)
		check_streams(client, dev);
}

/*
 * The end of a freeze's turn. A driver that has frozen too late works on like any that is
 * refused: it is thawed here, or with all others if a commit has frozen its client.
 */
static void end_freeze(struct dpmgr_client *client, const struct device *dev)
{
	for (;;) {
		scoped_guard(mutex, &client->mgr->lock) {
			if (!is_late_freeze(client) || !client->is_quiet || client->frozen) {
				dpmgr_turn_end_locked(client);
				return;
			}
		}
		thaw_live(client, dev);
		unlatch_keepalive(client);
	}
}

static void freeze_absent(struct dpmgr_client *client)
{
	if (!dpmgr_client_keepalive(client))
		refuse_locked(client, "its keepalive is off", -ECANCELED);
}

static struct device *get_client_device(struct dpmgr_client *client)
{
	guard(mutex)(&client->mgr->lock);
	return get_device(client->dev);
}

static void run_freeze(struct dpmgr_client *client)
{
	struct device *dev = get_client_device(client);

	if (dev && lock_device(client, dev)) {
		scoped_guard(mutex, &client->lock) {
			freeze_live(client, dev);
			end_freeze(client, dev);
		}
		device_unlock(dev);
		put_device(dev);
		return;
	}
	scoped_guard(mutex, &client->mgr->lock) {
		if (dev)
			refuse_locked(client, "its driver is being bound or unbound", -EBUSY);
		else
			freeze_absent(client);
		dpmgr_turn_end_locked(client);
	}
	put_device(dev);
}

/* What its driver does from now on, it does without being kept. */
static bool give_up_freeze(struct dpmgr_client *client)
{
	/* It has frozen, and is about to say so. */
	if (client->frozen)
		return false;
	refuse_locked(client, "its driver has not frozen within freeze_limit", -ETIMEDOUT);
	return true;
}

static const struct dpmgr_turn_ops freeze_turn = {
	.name = "freeze",
	.is_droppable = true,
	.run = run_freeze,
	.give_up = give_up_freeze,
};

static void run_thaw(struct dpmgr_client *client)
{
	struct device *dev = get_client_device(client);

	if (!dev || lock_device(client, dev)) {
		scoped_guard(mutex, &client->lock) {
			thaw_live(client, dev);
			dpmgr_turn_end(client);
		}
		if (dev)
			device_unlock(dev);
	} else {
		refuse(client, "its driver is being bound or unbound", -EBUSY);
		dpmgr_turn_end(client);
	}
	put_device(dev);
}

static bool give_up_thaw(struct dpmgr_client *client)
{
	pr_err("client \"%s\" has not thawed within freeze_limit; it is no longer waited for\n",
	       client->name);
	return true;
}

static const struct dpmgr_turn_ops thaw_turn = {
	.name = "thaw",
	.run = run_thaw,
	.give_up = give_up_thaw,
};

/* Whether the client is to have a turn; if not, all is done. */
static bool must_thaw(struct dpmgr_client *client)
{
	guard(mutex)(&client->mgr->lock);
	/* Only its late worker knows what to do when it comes back. */
	if (client->turn.state == DPMGR_TURN_LATE && !is_late_freeze(client))
		return false;
	client->refused = false;
	if (client->turn.state == DPMGR_TURN_NONE && client->dev && client->is_quiet)
		return true;
	dpmgr_client_set_frozen(client, false);
	return false;
}

void dpmgr_thaw_all(struct dpmgr *mgr)
{
	struct dpmgr_client *client = NULL;
	struct dpmgr_turns turns;

	dpmgr_turns_begin(&turns, mgr, &thaw_turn);
	while ((client = next_client(mgr, client)))
		if (must_thaw(client))
			dpmgr_turns_add(&turns, client);
	dpmgr_turns_wait(&turns);
}

/* Whether the client is to have a turn; if not, all is done. */
static bool must_freeze(struct dpmgr_client *client)
{
	guard(mutex)(&client->mgr->lock);
	if (client->turn.state == DPMGR_TURN_LATE) {
		client->refused = true;
		pr_warn("client \"%s\" is not kept: an earlier %s has not returned yet; its buffers will be orphaned\n",
			client->name, client->turn.ops->name);
		return false;
	}
	if (client->frozen)
		return false;
	client->refused = false;
	if (client->dev)
		return true;
	freeze_absent(client);
	return false;
}

/* Count the persistent clients by what a freeze has made of them. */
struct tally {
	unsigned int nr_refused;
	unsigned int nr_kept;
};

static struct tally count_clients(struct dpmgr *mgr)
{
	struct dpmgr_client *client = NULL;
	struct tally tally = {};

	while ((client = next_client(mgr, client))) {
		guard(mutex)(&mgr->lock);
		if (client->refused)
			tally.nr_refused++;
		else if (client->frozen || !client->dev)
			tally.nr_kept++;
	}
	return tally;
}

/* Whether there are clients to be kept, and none of them can be. */
bool dpmgr_freeze_keeps_nobody(struct dpmgr *mgr)
{
	struct tally tally = count_clients(mgr);

	if (!tally.nr_refused || tally.nr_kept)
		return false;
	pr_err("none of %u clients can be kept\n", tally.nr_refused);
	return true;
}

/* Freeze all that can be. Whether one can't, and that was to stop the others. */
bool dpmgr_freeze_all(struct dpmgr *mgr)
{
	struct dpmgr_client *client = NULL;
	struct dpmgr_turns turns;
	unsigned int nr_refused;

	dpmgr_turns_begin(&turns, mgr, &freeze_turn);
	while ((client = next_client(mgr, client)))
		if (must_freeze(client))
			dpmgr_turns_add(&turns, client);
	dpmgr_turns_wait(&turns);
	nr_refused = count_clients(mgr).nr_refused;
	if (!nr_refused || !READ_ONCE(mgr->all_or_nothing))
		return false;
	pr_err("%u clients can't be kept, and it is to be all or nothing\n",
	       nr_refused);
	dpmgr_thaw_all(mgr);
	return true;
}

/* Say whose devices' locks the end of this kernel will wait for. */
void dpmgr_freeze_warn_late(struct dpmgr *mgr)
{
	struct dpmgr_client *client = NULL;

	while ((client = next_client(mgr, client))) {
		struct device *dev;

		if (READ_ONCE(client->turn.state) != DPMGR_TURN_LATE)
			continue;
		dev = get_client_device(client);
		pr_crit("client \"%s\" (driver %s, device %s): its driver is still in a callback of freeze or thaw, which holds the device's lock. The kernel waits for that lock when it shuts devices down. If it doesn't come: a hardware watchdog, or sysrq-b, ends this kernel\n",
			client->name, dev ? dev_driver_string(dev) : "none",
			dev ? dev_name(dev) : "none");
		put_device(dev);
	}
}

/**
 * dpmgr_client_freeze_time_left() - a driver's deadline while its freeze or thaw runs
 * @client: the client
 *
 * Once it is over, the client is refused and the manager goes on without it: its buffers
 * are saved as orphaned. The administrator may move the deadline while it runs.
 *
 * Context: any.
 * Return: jiffies until then; 0 if it is over, and outside of the callbacks.
 */
unsigned long dpmgr_client_freeze_time_left(const struct dpmgr_client *client)
{
	long left;

	if (READ_ONCE(client->turn.state) != DPMGR_TURN_AWAITED)
		return 0;
	left = dpmgr_turns_deadline(client->mgr) - jiffies;
	return max(left, 0L);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_freeze_time_left, DMA_POOL_MGR);

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
