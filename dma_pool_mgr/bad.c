// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that hold a memory error: found by a machine check, named by the administrator, or
 * by the generation that was restored.
 *
 * A bad page is marked, once and for good. If nobody has it, it is quarantined at once. If
 * somebody has, it stays where it is: only its holder knows what a device still does with
 * it. The holder is told, the page is not scrubbed when it is freed, and is quarantined
 * then; see pool.c. What can serve again without going through the pool, stocks of bounces
 * and of open buffers, takes in no run with a bad page.
 *
 * A mark comes first, then a grace period, then a look at who has the page: a free that
 * didn't see the mark is over by then.
 *
 * Marks of ranges that survive a kexec are saved, whoever has the pages, and restored
 * before a page is scrubbed or handed out.
 *
 * Locking, from the outside: the device's lock and the client's, to call a driver; apart
 * from these the drain_lock, and then a pool's scrub_lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/errno.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "bad.h"
#include "client.h"
#include "core/export.h"
#include "guard.h"
#include "pool.h"
#include "servicing.h"
#include "stream.h"

/**
 * struct holder - which client's buffer a page is in
 * @client: pinned; NULL if the page is in no client's
 * @state: of the buffer
 * @tag: of the buffer
 */
struct holder {
	struct dpmgr_client *client;
	enum dpmgr_buf_state state;
	char tag[DPMGR_TAG_MAX + 1];
};

static void look(const struct dpmgr_buf *buf, void *arg)
{
	struct holder *holder = arg;

	if (!kobject_get_unless_zero(&buf->client->kobj))
		return;
	holder->client = buf->client;
	holder->state = READ_ONCE(buf->state);
	strscpy(holder->tag, buf->tag->name);
}

static struct dpmgr_pool *pool_of(const struct dpmgr *mgr, u64 pfn)
{
	unsigned int v;

	for (v = 0; v < DPMGR_VISIBILITIES; v++)
		if (mgr->pools[v] && dpmgr_pages_find(&mgr->pools[v]->pages, pfn) >= 0)
			return mgr->pools[v];
	return NULL;
}

/* Call the driver of a client that is live, and stays so for the call. */
static void tell(struct dpmgr_client *client, struct device *dev, u64 pfn)
{
	void (*bad_page)(struct dpmgr_client *client, u64 pfn);
	struct module *owner;

	guard(mutex)(&client->lock);
	scoped_guard(mutex, &client->mgr->lock) {
		bad_page = client->dev == dev ? client->bad_page : NULL;
		owner = client->owner;
	}
	if (!bad_page || !try_module_get(owner))
		return;
	bad_page(client, pfn);
	module_put(owner);
}

static void tell_holder(struct dpmgr *mgr, struct dpmgr_client *client, u64 pfn)
{
	struct device *dev;

	scoped_guard(mutex, &mgr->lock)
		dev = get_device(client->dev);
	if (!dev)
		return;
	/* Neither is its driver being bound, nor unbound. */
	device_lock(dev);
	tell(client, dev, pfn);
	device_unlock(dev);
	put_device(dev);
}

/* The holder of @run, which has the bad page, is told. */
static void find_holder(struct dpmgr *mgr, const struct dpmgr_page_run *run, u64 pfn)
{
	struct holder holder = {};

	if (run->owner)
		dpmgr_buf_look(run, look, &holder);
	if (!holder.client) {
		pr_warn("page %#llx holds a memory error and is in use: quarantined when it is freed\n",
			PFN_PHYS(pfn));
		return;
	}
	pr_err("page %#llx holds a memory error: it is in a %s buffer \"%s\" of client \"%s\", and quarantined when that is freed\n",
	       PFN_PHYS(pfn), dpmgr_buf_state_name(holder.state), holder.tag,
	       holder.client->name);
	tell_holder(mgr, holder.client, pfn);
	kobject_put(&holder.client->kobj);
}

/* Tell holders. A worker of its own, since a device's lock may be held for long. */
void dpmgr_bad_work(struct work_struct *work)
{
	struct dpmgr *mgr = container_of(work, struct dpmgr, bad_work);
	struct dpmgr_page_run run;
	unsigned int v;
	u64 pfn;

	for (v = 0; v < DPMGR_VISIBILITIES; v++) {
		struct dpmgr_pool *pool = mgr->pools[v];

		if (!pool)
			continue;
		for (pfn = 0; (pfn = dpmgr_pages_next_bad(&pool->pages, pfn, U64_MAX)) !=
			      U64_MAX; pfn++)
			if (dpmgr_pages_handle_bad(&pool->pages, pfn) &&
			    dpmgr_pool_retire(pool, pfn, &run) == -EBUSY)
				find_holder(mgr, &run, pfn);
	}
}

/* Quarantine a page, just marked, if nobody has it; else let its holder be told. */
static void quarantine(struct dpmgr *mgr, struct dpmgr_pool *pool, u64 pfn)
{
	struct dpmgr_page_run run;

	synchronize_rcu();
	/* What is in stock is nobody's. */
	dpmgr_streams_flush(mgr);
	dpmgr_open_stock_flush(mgr);
	dpmgr_drain(mgr);
	switch (dpmgr_pool_retire(pool, pfn, &run)) {
	case 0:
		pr_warn("page %#llx holds a memory error: quarantined\n", PFN_PHYS(pfn));
		fallthrough;
	case -EALREADY:
		dpmgr_pages_handle_bad(&pool->pages, pfn);
		return;
	default:
		queue_work(system_unbound_wq, &mgr->bad_work);
	}
}

/* Is it a page of the state region? Then nothing can be saved any more. */
static bool is_in_region(struct dpmgr *mgr, u64 pfn)
{
	struct dpmgr_region *region = mgr->region;

	if (!region || PFN_PHYS(pfn) < region->mapping.range.start ||
	    PFN_PHYS(pfn) > dpmgr_range_last(&region->mapping.range))
		return false;
	WRITE_ONCE(region->is_bad, true);
	pr_err("page %#llx of the state region holds a memory error: nothing can be saved; stop the devices and reboot\n",
	       PFN_PHYS(pfn));
	return true;
}

/**
 * dpmgr_bad_page() - a page holds a memory error
 * @mgr: the manager
 * @pfn: the page
 *
 * If nobody has it, it is quarantined when this returns. Its holder is told by a worker.
 *
 * Context: may sleep; holding no lock of the manager's, a client's or a device's.
 * Return: 0, also if the page is known as bad; -ENOENT if it is neither in a pool nor in
 * the state region.
 */
int dpmgr_bad_page(struct dpmgr *mgr, u64 pfn)
{
	struct dpmgr_pool *pool = pool_of(mgr, pfn);

	if (!pool)
		return is_in_region(mgr, pfn) ? 0 : -ENOENT;
	if (!dpmgr_pages_set_bad(&pool->pages, pfn))
		quarantine(mgr, pool, pfn);
	return 0;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_bad_page);

/* A page that is bad as an earlier kernel says. Nobody is there yet to be told. */
static void restore_page(struct dpmgr *mgr, u64 pfn)
{
	struct dpmgr_pool *pool = pool_of(mgr, pfn);
	struct holder holder = {};
	struct dpmgr_page_run run;

	/* A pool that is smaller now doesn't hand it out. */
	if (!pool || dpmgr_pages_set_bad(&pool->pages, pfn))
		return;
	dpmgr_pages_handle_bad(&pool->pages, pfn);
	if (dpmgr_pool_retire(pool, pfn, &run) != -EBUSY)
		return;
	dpmgr_buf_look(&run, look, &holder);
	if (!holder.client)
		return;
	pr_warn("page %#llx, in the restored buffer \"%s\" of client \"%s\", holds a memory error\n",
		PFN_PHYS(pfn), holder.tag, holder.client->name);
	kobject_put(&holder.client->kobj);
}

/**
 * dpmgr_bad_restore() - mark pages that a generation names as bad
 * @mgr: the manager, being created, whose saved runs are claimed
 * @base_pfn: the first page
 * @nr_pages: how many
 *
 * Context: may sleep.
 */
void dpmgr_bad_restore(struct dpmgr *mgr, u64 base_pfn, u64 nr_pages)
{
	for (; nr_pages; nr_pages--, base_pfn++) {
		restore_page(mgr, base_pfn);
		cond_resched();
	}
}

/* How many pages of all pools are bad. Context: any. */
u64 dpmgr_bad_count(const struct dpmgr *mgr)
{
	unsigned int v;
	u64 nr = 0;

	for (v = 0; v < DPMGR_VISIBILITIES; v++)
		if (mgr->pools[v])
			nr += atomic64_read(&mgr->pools[v]->pages.nr_bad);
	return nr;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_bad_count);
