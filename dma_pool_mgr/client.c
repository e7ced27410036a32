// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients: created under a name, served by one pool, and outlived by the
 * buffers that they leave to the next client of that name.
 *
 * A name is live (a driver has the client), absent (nobody has it, but something is
 * left under it: buffers, parked or restored from an earlier kernel, or driver state) or
 * unknown.
 * Creating a client claims an absent name; destroying it makes the name absent
 * again with every persistent buffer pending, or unknown if there is none.
 *
 * Locking: see struct dpmgr and struct dpmgr_client. Order: a client's lock,
 * the manager's lock, its drain_lock, a pool's scrub_lock, then the raw ones.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/export.h>
#include <linux/instruction_pointer.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "client.h"
#include "core/export.h"
#include "guard.h"
#include "map.h"
#include "platform.h"
#include "policy.h"
#include "pool.h"
#include "stream.h"
#include "sysfs.h"
#include "turn.h"

/* Buffers that are looked at before interrupts are let in again. */
#define GIVE_UP_BATCH	64

static int compare_client_name(const void *name, const struct rb_node *node)
{
	return strcmp(name, rb_entry(node, struct dpmgr_client, node)->name);
}

static bool client_less(struct rb_node *a, const struct rb_node *b)
{
	return compare_client_name(rb_entry(a, struct dpmgr_client, node)->name,
				   b) < 0;
}

static struct dpmgr_client *find_client(struct dpmgr *mgr, const char *name)
{
	struct rb_node *node;

	lockdep_assert_held(&mgr->lock);
	node = rb_find(name, &mgr->clients, compare_client_name);
	return node ? dpmgr_client_at(node) : NULL;
}

/**
 * dpmgr_client_next() - walk clients while they come and go
 * @mgr: the manager
 * @name: of the last one, which need not be there any more; "" for the first
 *
 * Context: process, with the manager's @lock held.
 * Return: the one with the lowest name above @name, or NULL.
 */
struct dpmgr_client *dpmgr_client_next(struct dpmgr *mgr, const char *name)
{
	struct rb_node *node = mgr->clients.rb_node;
	struct dpmgr_client *next = NULL;

	lockdep_assert_held(&mgr->lock);
	while (node) {
		if (compare_client_name(name, node) >= 0) {
			node = node->rb_right;
			continue;
		}
		next = dpmgr_client_at(node);
		node = node->rb_left;
	}
	return next;
}

/**
 * dpmgr_client_hold_module() - whether a client keeps the manager's module
 * @client: the client
 * @hold: whether it does; if so, somebody else holds it now
 *
 * Context: process, with the manager's @lock held or nobody else about.
 */
void dpmgr_client_hold_module(struct dpmgr_client *client, bool hold)
{
	if (client->holds_module == hold)
		return;
	client->holds_module = hold;
	if (hold)
		__module_get(client->mgr->module);
	else
		module_put(client->mgr->module);
}

static int client_show(struct dpmgr_client *client)
{
	struct dpmgr *mgr = client->mgr;

	if (!mgr->sysfs_clients)
		return 0;
	return kobject_add(&client->kobj, mgr->sysfs_clients, "%s", client->name);
}

/* A new client is on the manager's list. -ENOMEM, -ENOSPC, -EEXIST. */
static struct dpmgr_client *client_new(struct dpmgr *mgr, const char *name,
				       bool persistent)
{
	struct dpmgr_client *client;
	int ret;

	client = kzalloc(sizeof(*client), GFP_KERNEL);
	if (!client)
		return ERR_PTR(-ENOMEM);
	if (persistent &&
	    dpmgr_state_charge(mgr, dpmgr_client_state_bytes(name))) {
		kfree(client);
		return ERR_PTR(-ENOSPC);
	}
	client->mgr = mgr;
	strscpy(client->name, name);
	client->persistent = persistent;
	client->keepalive = true;
	mutex_init(&client->lock);
	dpmgr_turn_init(&client->turn);
	raw_spin_lock_init(&client->buf_lock);
	INIT_LIST_HEAD(&client->pending_tags);
	INIT_LIST_HEAD(&client->kept);
	kobject_init(&client->kobj, &dpmgr_client_ktype);
	ret = client_show(client);
	if (ret) {
		if (persistent)
			dpmgr_state_uncharge(mgr, dpmgr_client_state_bytes(name));
		kobject_put(&client->kobj);
		return ERR_PTR(ret);
	}
	/* As long as there is something to look after, live or not. */
	dpmgr_client_hold_module(client, true);
	rb_add(&client->node, &mgr->clients, client_less);
	return client;
}

static void client_free(struct dpmgr_client *client)
{
	lockdep_assert_held(&client->mgr->lock);
	rb_erase(&client->node, &client->mgr->clients);
	dpmgr_tag_drop_idle(client);
	dpmgr_client_drop_state(client);
	if (client->persistent)
		dpmgr_state_uncharge(client->mgr,
				     dpmgr_client_state_bytes(client->name));
	/* Its attributes' handlers, for which this waits, take none of our mutexes. */
	if (client->kobj.state_in_sysfs)
		kobject_del(&client->kobj);
	dpmgr_client_hold_module(client, false);
	kobject_put(&client->kobj);
}

/* Nobody refers to it any more, but for readers: see dpmgr_buf_look(). */
void dpmgr_client_release(struct kobject *kobj)
{
	struct dpmgr_client *client =
		container_of(kobj, struct dpmgr_client, kobj);

	mutex_destroy(&client->lock);
	kfree_rcu(client, rcu);
}

/**
 * dpmgr_device_has_client() - has anybody created a client for a device?
 * @mgr: the manager
 * @dev: the device
 *
 * Context: may sleep.
 * Return: whether there is one that was not destroyed.
 */
bool dpmgr_device_has_client(struct dpmgr *mgr, const struct device *dev)
{
	struct rb_node *node;

	guard(mutex)(&mgr->lock);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node))
		if (rb_entry(node, struct dpmgr_client, node)->dev == dev)
			return true;
	return false;
}

/**
 * dpmgr_clients_cut_off() - a device leaves its IOMMU target
 * @mgr: the manager
 * @dev: the device
 *
 * Its clients get no streams any more.
 *
 * Context: process, holding the map's lock.
 * Return: whether there are any.
 */
bool dpmgr_clients_cut_off(struct dpmgr *mgr, const struct device *dev)
{
	struct rb_node *node;
	bool has_client = false;

	lockdep_assert_held(&mgr->map->lock);
	guard(mutex)(&mgr->lock);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		struct dpmgr_client *client = dpmgr_client_at(node);

		if (client->dev != dev)
			continue;
		WRITE_ONCE(client->is_cut_off, true);
		has_client = true;
	}
	return has_client;
}

static const char *difference(const struct dpmgr_client *absent,
			      const struct dpmgr_client_params *params,
			      const struct dpmgr_identity *identity)
{
	if (absent->visibility != params->visibility)
		return "its pending buffers have another visibility";
	if (absent->lower_vtl != params->lower_vtl)
		return "its pending buffers have another lower VTL policy";
	if (absent->persistent != params->persistent)
		return "it has pending buffers, so it must be persistent";
	if (absent->vtl0_mask != dpmgr_params_vtl0_mask(params))
		return "its pending buffers are open to VTL0 in another way";
	if (dpmgr_identity_differs(&absent->identity, identity))
		return "its pending buffers are another device's; see debugfs clients";
	return NULL;
}

/* Claim the absent client of that name, or make one. */
static struct dpmgr_client *claim_name(struct dpmgr *mgr,
				       const struct dpmgr_client_params *params,
				       const struct dpmgr_identity *identity,
				       const char **rule)
{
	struct dpmgr_client *client;

	lockdep_assert_held(&mgr->lock);
	*rule = "this kernel is about to end, or the manager's state is committed";
	if (params->persistent && mgr->ended)
		return ERR_PTR(-EBUSY);

	client = find_client(mgr, params->name);
	if (client) {
		*rule = "a client of that name is live";
		if (client->dev)
			return ERR_PTR(-EEXIST);
		*rule = difference(client, params, identity);
		return *rule ? ERR_PTR(-EINVAL) : client;
	}

	*rule = "no memory, or no room in the state region; see debugfs state";
	client = client_new(mgr, params->name, params->persistent);
	if (client == ERR_PTR(-ENOSPC)) {
		/* What was freed may still be charged. */
		dpmgr_drain(mgr);
		dpmgr_open_stock_flush(mgr);
		client = client_new(mgr, params->name, params->persistent);
	}
	if (client == ERR_PTR(-ENOSPC))
		dpmgr_state_report(mgr, dpmgr_client_state_bytes(params->name));
	if (IS_ERR(client))
		return client;
	client->visibility = params->visibility;
	client->lower_vtl = params->lower_vtl;
	client->vtl0_mask = dpmgr_params_vtl0_mask(params);
	return client;
}

/* What is left of an earlier client counts, and may still be going. */
static void set_quota(struct dpmgr_client *client, u64 quota)
{
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	client->quota = quota;
	atomic64_set(&client->room, min_t(u64, quota, S64_MAX) - client->nr_pages);
}

/* From here on, a device that is to be attached or detached has the client. */
static struct dpmgr_client *enter(struct dpmgr *mgr, struct device *dev,
				  const struct dpmgr_client_params *params,
				  const struct dpmgr_backing *backing, const char **rule)
{
	struct dpmgr_identity identity;
	struct dpmgr_client *client;
	struct dpmgr_reach reach;
	int ret;

	ret = dpmgr_reach_check(mgr, dev, backing, params, &reach, rule);
	if (ret)
		return ERR_PTR(ret);
	dpmgr_identity_of(dev, &identity);

	guard(mutex)(&mgr->lock);
	client = claim_name(mgr, params, &identity, rule);
	if (IS_ERR(client))
		return client;
	client->dev = get_device(dev);
	client->stop = NULL;
	client->hides_memory = mgr->streams.hides_memory || reach.in_target ||
			       params->lower_vtl == DPMGR_LOWER_VTL_VTL0;
	client->in_target = reach.in_target;
	client->lacks_bounces = !reach.has_bounces;
	WRITE_ONCE(client->is_cut_off, false);
	client->identity = identity;
	client->owner = params->owner;
	client->freeze = params->freeze;
	client->thaw = params->thaw;
	client->bad_page = params->bad_page;
	client->refused = false;
	/* Whoever was here before: it is an earlier driver's. */
	client->state_is_old = client->state;
	scoped_guard(raw_spinlock_irqsave, &client->buf_lock)
		WRITE_ONCE(client->keepalive, true);
	client->backing = *backing;
	client->node_id = params->node;
	client->end_pfn = reach.end_pfn;
	client->max_pages = reach.max_pages;
	set_quota(client, params->quota);
	client->finished = false;
	return client;
}

static struct dpmgr_client *
try_create(struct dpmgr *mgr, struct device *dev,
	   const struct dpmgr_client_params *params, const char **rule)
{
	struct dpmgr_backing backing;
	int ret;

	ret = dpmgr_policy_decide(mgr, params, &backing, rule);
	if (ret)
		return ERR_PTR(ret);
	*rule = "a persistent client needs a state region; load with state=SIZE@START";
	if (params->persistent && !mgr->state_limit)
		return ERR_PTR(-ENODEV);
	*rule = dpmgr_platform_dma_rule(dev);
	if (*rule)
		return ERR_PTR(-EOPNOTSUPP);
	/* Its first allocation may be one that can't sleep. */
	dpmgr_refill_stocks(mgr, GFP_KERNEL);
	if (!device_iommu_mapped(dev))
		return enter(mgr, dev, params, &backing, rule);
	/* Its device is attached to an IOMMU target, or detached, before this or after it. */
	guard(mutex)(&mgr->map->lock);
	return enter(mgr, dev, params, &backing, rule);
}

/**
 * dpmgr_client_create() - create a client
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @dev: the device whose buffers these will be; its DMA mask must be set
 * @params: what is asked for; copied
 *
 * If an earlier client of that name has left something, @params must ask for the same
 * visibility, lower VTL policy, VTL0 mask and persistence, for the same device.
 *
 * Context: may sleep.
 * Return: the client; an ERR_PTR of -EINVAL, -ENAMETOOLONG, -E2BIG, -EEXIST,
 * -ENODEV, -EOPNOTSUPP, -ENOSPC, -ENOMEM, -EBUSY or -EDEADLK, see the table of errors.
 */
struct dpmgr_client *
dpmgr_client_create(struct dpmgr *mgr, struct device *dev,
		    const struct dpmgr_client_params *params)
{
	struct dpmgr_client_params copy = {};
	struct dpmgr_client *client;
	const char *rule;
	int ret;

	if (IS_ERR(mgr))
		return ERR_CAST(mgr);
	if (!mgr || !dev) {
		pr_err("client refused: it needs a manager and a device\n");
		return ERR_PTR(-EINVAL);
	}
	ret = dpmgr_params_copy(&copy, params, &rule);
	if (!ret && READ_ONCE(mgr->map->caller) == current) {
		rule = "a target's operation may not create a client, which looks at the map";
		ret = -EDEADLK;
	}
	client = ret ? ERR_PTR(ret) : try_create(mgr, dev, &copy, &rule);
	if (IS_ERR(client))
		dev_err(dev, "dma_pool_mgr: client \"%*pE\" refused: %s (%pe)\n",
			copy.name ? (int)strnlen(copy.name, DPMGR_NAME_MAX + 1) : 0,
			copy.name, rule, client);
	return client;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_create, DMA_POOL_MGR);

/*
 * Give up some of what a client being destroyed still holds: persistent buffers
 * to the next client of its name, others for good. Returns whether there was
 * anything.
 */
static bool give_up_some(struct dpmgr_client *client, unsigned long by)
{
	unsigned int i;

	guard(raw_spinlock_irqsave)(&client->buf_lock);
	for (i = 0; i < GIVE_UP_BATCH; i++) {
		struct dpmgr_buf *buf;

		buf = hlist_entry_safe(client->bufs.first, struct dpmgr_buf, node);
		if (!buf)
			break;
		hlist_del(&buf->node);
		if (client->persistent &&
		    (dpmgr_buf_give_up(buf, DPMGR_BUF_LIVE, DPMGR_BUF_PENDING,
				       by) ||
		     dpmgr_buf_give_up(buf, DPMGR_BUF_PARKED,
				       DPMGR_BUF_PENDING, by))) {
			/* The newest comes first here, and last in the end. */
			dpmgr_buf_pend(buf, true);
			continue;
		}
		hlist_add_head(&buf->node, &client->leaving);
		if (dpmgr_buf_give_up(buf, DPMGR_BUF_LIVE, DPMGR_BUF_DRAINING,
				      by))
			dpmgr_buf_release(buf);
	}
	return i;
}

/**
 * dpmgr_client_set_frozen() - whether a client's runs may come and go
 * @client: the client
 * @frozen: if not, what it has freed meanwhile is put back now
 *
 * Allocations that have looked before may still be under way; they end within an RCU
 * grace period, or before a write lock of vtl0.sem is had.
 *
 * Context: process, holding the manager's lock.
 */
void dpmgr_client_set_frozen(struct dpmgr_client *client, bool frozen)
{
	struct dpmgr *mgr = client->mgr;

	lockdep_assert_held(&mgr->lock);
	guard(mutex)(&mgr->drain_lock);
	if (client->frozen && !frozen)
		dpmgr_drain_held(mgr);
	WRITE_ONCE(client->frozen, frozen);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	client->freezing = frozen;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_client_set_frozen);

/*
 * A client becomes absent. What was held for it because it was frozen is done,
 * unless a generation that names it is to be restored.
 */
static void leave(struct dpmgr_client *client)
{
	struct dpmgr *mgr = client->mgr;

	lockdep_assert_held(&mgr->lock);
	client->dev = NULL;
	client->owner = NULL;
	client->freeze = NULL;
	client->thaw = NULL;
	client->bad_page = NULL;
	client->is_devm = false;
	client->is_quiet = false;
	if (mgr->phase == DPMGR_COMMITTED && client->persistent)
		dpmgr_client_hold_module(client, false);
	if (mgr->ended)
		return;
	client->refused = false;
	dpmgr_client_set_frozen(client, false);
}

/**
 * dpmgr_client_destroy() - destroy a client
 * @client: the client, NULL or an ERR_PTR
 *
 * Buffers of a persistent client that were not freed are parked; those of any
 * other are freed, and so are all streams. No handle may be used any more, nor any
 * call be under way.
 *
 * Context: may sleep.
 */
void dpmgr_client_destroy(struct dpmgr_client *client)
{
	struct dpmgr *mgr;
	struct device *dev;

	if (IS_ERR_OR_NULL(client))
		return;
	mgr = client->mgr;
	dev = client->dev;

	/* Once it is absent, anybody may prune it. */
	kobject_get(&client->kobj);
	scoped_guard(mutex, &client->lock) {
		dpmgr_streams_give_up(client);
		while (give_up_some(client, _RET_IP_))
			cond_resched();
		scoped_guard(mutex, &mgr->lock)
			leave(client);
	}
	kobject_put(&client->kobj);
	put_device(dev);
	dpmgr_drain(mgr);
	dpmgr_clients_prune(mgr);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_client_destroy, DMA_POOL_MGR);

static void devm_client_destroy(void *client)
{
	dpmgr_client_destroy(client);
}

/**
 * devm_dpmgr_client_create() - create a client that goes with its driver
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @dev: the device
 * @params: what is asked for; copied
 *
 * dpmgr_client_create() with dpmgr_client_destroy() when @dev's driver is
 * unbound. Don't call the latter as well.
 *
 * Context: may sleep.
 * Return: as dpmgr_client_create().
 */
struct dpmgr_client *
devm_dpmgr_client_create(struct dpmgr *mgr, struct device *dev,
			 const struct dpmgr_client_params *params)
{
	struct dpmgr_client *client = dpmgr_client_create(mgr, dev, params);
	int ret;

	if (IS_ERR(client))
		return client;
	ret = devm_add_action_or_reset(dev, devm_client_destroy, client);
	if (ret)
		return ERR_PTR(ret);
	client->is_devm = true;
	return client;
}
EXPORT_SYMBOL_NS_GPL(devm_dpmgr_client_create, DMA_POOL_MGR);

/**
 * dpmgr_client_restore() - make a saved client absent instead of unknown
 * @mgr: the manager, being created
 * @saved: what was saved of it; its name is not there yet
 *
 * Context: may sleep.
 * Return: the client; -ENOSPC if the state region is too small to save it
 * again; -ENOMEM.
 */
struct dpmgr_client *dpmgr_client_restore(struct dpmgr *mgr,
					  const struct dpmgr_client_saved *saved)
{
	struct dpmgr_client *client;
	int ret;

	guard(mutex)(&mgr->lock);
	client = client_new(mgr, saved->name, true);
	if (IS_ERR(client))
		return client;
	client->visibility = saved->visibility;
	client->lower_vtl = saved->lower_vtl;
	client->vtl0_mask = saved->vtl0_mask;
	client->backing.pool = mgr->pools[saved->visibility];
	client->backing.guarded = saved->vtl0_mask;
	client->quota = DPMGR_QUOTA_NONE;
	client->identity = saved->identity;
	/* On failure the manager is destroyed, and with it the client. */
	ret = dpmgr_client_restore_state(client, saved->state, saved->state_len);
	return ret ? ERR_PTR(ret) : client;
}

/**
 * dpmgr_clients_prune() - forget absent clients that have nothing any more
 * @mgr: the manager
 *
 * Context: may sleep.
 */
void dpmgr_clients_prune(struct dpmgr *mgr)
{
	struct rb_node *node, *next;

	guard(mutex)(&mgr->lock);
	for (node = rb_first(&mgr->clients); node; node = next) {
		struct dpmgr_client *client =
			rb_entry(node, struct dpmgr_client, node);

		next = rb_next(node);
		if (client->dev || READ_ONCE(client->nr_bufs) || client->state)
			continue;
		client_free(client);
	}
}

/**
 * dpmgr_clients_forget() - drop all clients and handles; pages keep their owners
 * @mgr: the manager, which nobody else uses any more
 *
 * What module and state region were charged stays charged: both go too.
 *
 * Context: may sleep.
 */
void dpmgr_clients_forget(struct dpmgr *mgr)
{
	struct dpmgr_client *client, *next;

	cancel_work_sync(&mgr->drain_work);
	dpmgr_guard_forget(mgr);
	rbtree_postorder_for_each_entry_safe(client, next, &mgr->clients, node) {
		WARN_ON(client->dev);
		kvfree(client->state);
		kobject_put(&client->kobj);
	}
	mgr->clients = RB_ROOT;
	dpmgr_stock_destroy(&mgr->handles);
	dpmgr_stock_destroy(&mgr->tags);
}
