// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VTL0 guard: a buffer of a VTL0 client is opened after its pages were zeroed,
 * and closed before they are scrubbed and can serve anyone else.
 *
 * A page that can't be closed is lost for good, and nothing else is: pool pages
 * are quarantined in their allocator, and saved as such; locked pages are kept
 * from the kernel.
 *
 * Protections belong to the partition, not to this kernel. So a load first closes
 * every page of the private pool, and the state region, but for the buffers that
 * a generation says are open; and the end of this kernel closes what no
 * generation names.
 *
 * Opening and closing takes hypercalls, which don't sleep, but are too long for
 * any context but a process. What was opened by an allocation under way is known
 * to nobody else: whoever must know of every open page waits for those by
 * vtl0.sem, which they hold for reading.
 *
 * Locking: see struct dpmgr_vtl0.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/sched.h>

#include "client.h"
#include "core/export.h"
#include "guard.h"
#include "locked.h"
#include "pool.h"
#include "servicing.h"
#include "vtl.h"

/* Pages that are closed at a stretch. */
#define CLOSE_PAGES	(16ULL * DPMGR_HV_MODIFY_MAX_PAGES)

/**
 * struct guarded - a buffer being opened or closed
 * @mgr: its manager
 * @pool: where its pages come from, NULL for locked ones
 * @buf: the buffer
 * @rest: what is not quarantined yet, of a pool's
 */
struct guarded {
	struct dpmgr *mgr;
	struct dpmgr_pool *pool;
	struct dpmgr_buf *buf;
	struct dpmgr_page_run rest;
};

static u64 locked_pfn_at(void *arg, u64 index)
{
	const struct guarded *guarded = arg;

	return dpmgr_locked_pfn(guarded->buf->locked, index);
}

static void keep_locked(void *arg, u64 index)
{
	struct guarded *guarded = arg;
	struct dpmgr_vtl0 *vtl0 = &guarded->mgr->vtl0;
	struct page *page = dpmgr_locked_keep(guarded->buf->locked, index);

	pr_err("page %#llx can't be closed to VTL0: kept out of use\n",
	       (u64)page_to_phys(page));
	guard(raw_spinlock_irqsave)(&vtl0->lock);
	list_add(&page->lru, &vtl0->kept);
	vtl0->nr_kept++;
}

static void quarantine(void *arg, u64 index)
{
	struct guarded *guarded = arg;
	struct dpmgr_page_run *rest = &guarded->rest;
	u64 pfn = guarded->buf->base_pfn + index;

	pr_err("page %#llx can't be closed to VTL0: quarantined\n", PFN_PHYS(pfn));
	WARN_ON_ONCE(dpmgr_pages_quarantine(&guarded->pool->pages, rest, pfn, 1));
	rest->nr_pages -= pfn + 1 - rest->base_pfn;
	rest->base_pfn = pfn + 1;
}

static void describe(struct dpmgr *mgr, struct dpmgr_pool *pool,
		     struct dpmgr_buf *buf, struct guarded *guarded,
		     struct dpmgr_vtl_pages *pages)
{
	*guarded = (struct guarded){ .mgr = mgr, .pool = pool, .buf = buf };
	*pages = (struct dpmgr_vtl_pages){
		.nr_pages = buf->nr_pages,
		.arg = guarded,
	};
	if (pool) {
		guarded->rest = (struct dpmgr_page_run){
			buf->base_pfn, buf->nr_pages, buf,
		};
		pages->base_pfn = buf->base_pfn;
		pages->stuck = quarantine;
	} else {
		pages->pfn_at = locked_pfn_at;
		pages->stuck = keep_locked;
	}
}

/**
 * dpmgr_guard_open() - let VTL0 at a buffer
 * @buf: of a VTL0 client, with its pages
 *
 * Context: process.
 * Return: 0; or a negative errno: then all is closed, but for pages that are now
 * out of use, and the others must be scrubbed.
 */
int dpmgr_guard_open(struct dpmgr_buf *buf)
{
	struct dpmgr_client *client = buf->client;
	struct dpmgr_vtl_pages pages;
	struct guarded guarded;

	describe(client->mgr, client->backing.pool, buf, &guarded, &pages);
	return dpmgr_vtl_open(client->mgr->vtl, &pages, client->vtl0_mask);
}

/**
 * dpmgr_guard_close() - keep VTL0 from a buffer
 * @mgr: its manager
 * @pool: where its pages come from, NULL for locked ones
 * @buf: the buffer
 *
 * What can't be closed is out of use, and none of the buffer's any more.
 *
 * Context: process.
 */
void dpmgr_guard_close(struct dpmgr *mgr, struct dpmgr_pool *pool,
		       struct dpmgr_buf *buf)
{
	struct dpmgr_vtl_pages pages;
	struct guarded guarded;
	u64 nr_stuck;

	describe(mgr, pool, buf, &guarded, &pages);
	nr_stuck = dpmgr_vtl_close(mgr->vtl, &pages);
	if (nr_stuck)
		pr_err("%llu of %u pages of a buffer stay open to VTL0\n",
		       nr_stuck, buf->nr_pages);
}

/* Quarantined pages were tried before. */
static void report_open(void *arg, u64 index)
{
	struct guarded *guarded = arg;
	u64 pfn = guarded->rest.base_pfn + index;
	struct dpmgr_page_run run;

	if (guarded->pool &&
	    dpmgr_pages_look(&guarded->pool->pages, pfn, &run) ==
	    DPMGR_PAGE_QUARANTINED)
		return;
	pr_err("page %#llx can't be closed to VTL0\n", PFN_PHYS(pfn));
	guarded->rest.nr_pages++;
}

/**
 * dpmgr_guard_close_pages() - keep VTL0 from pages that no buffer owns
 * @mgr: the manager
 * @base_pfn: the first page
 * @nr_pages: how many
 *
 * Context: process.
 * Return: 0, or -EIO if some can't be closed and are not quarantined.
 */
int dpmgr_guard_close_pages(struct dpmgr *mgr, u64 base_pfn, u64 nr_pages)
{
	/* Here, what rest counts is the pages that stay open. */
	struct guarded guarded = {
		.mgr = mgr,
		.pool = mgr->pools[DPMGR_PRIVATE],
	};
	struct dpmgr_vtl_pages pages = {
		.stuck = report_open,
		.arg = &guarded,
	};

	while (nr_pages) {
		pages.base_pfn = base_pfn;
		pages.nr_pages = min(nr_pages, CLOSE_PAGES);
		guarded.rest.base_pfn = base_pfn;
		if (dpmgr_vtl_close(mgr->vtl, &pages) && guarded.rest.nr_pages)
			return -EIO;
		base_pfn += pages.nr_pages;
		nr_pages -= pages.nr_pages;
		cond_resched();
	}
	return 0;
}

/*
 * Is this a buffer that a generation says is open? One that was freed before the
 * save, too, but held: the next load closes it.
 */
static void look_if_it_stays(const struct dpmgr_buf *buf, void *arg)
{
	bool *stays = arg;

	*stays = buf->client->backing.guarded;
}

/* Close a range but for its open buffers, if there are any to keep. */
static int close_range(struct dpmgr *mgr, const struct dpmgr_page_range_info *info,
		       bool keep)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	u64 end = info->base_pfn + info->nr_pages;
	u64 from = info->base_pfn, pfn = from;
	struct dpmgr_page_run run;
	int ret;

	while (keep && dpmgr_pages_next(&pool->pages, pfn, end, DPMGR_PAGE_USED,
					&run)) {
		bool stays = false;

		pfn = run.base_pfn + run.nr_pages;
		dpmgr_buf_look(&run, look_if_it_stays, &stays);
		if (!stays)
			continue;
		ret = dpmgr_guard_close_pages(mgr, from, run.base_pfn - from);
		if (ret)
			return ret;
		from = pfn;
	}
	return dpmgr_guard_close_pages(mgr, from, end - from);
}

static int close_private_pool(struct dpmgr *mgr, bool keep)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	struct dpmgr_page_range_info info;
	unsigned int i;
	int ret = 0, err;

	for (i = 0; pool && i < pool->pages.nr_ranges; i++) {
		dpmgr_pages_info(&pool->pages, i, &info);
		err = close_range(mgr, &info, keep);
		ret = ret ?: err;
	}
	return ret;
}

/**
 * dpmgr_guard_load() - close whatever an earlier kernel may have left open
 * @mgr: the manager, being created, with everything restored
 *
 * Restored buffers of VTL0 clients stay as they are.
 *
 * Context: process.
 * Return: 0, or -EIO if some page can't be closed; the log names it.
 */
int dpmgr_guard_load(struct dpmgr *mgr)
{
	int ret;

	if (!mgr->vtl)
		return 0;
	ret = close_private_pool(mgr, true);
	if (!ret && mgr->region) {
		const struct dpmgr_range *range = &mgr->region->mapping.range;

		ret = dpmgr_guard_close_pages(mgr, PHYS_PFN(range->start),
					      PHYS_PFN(range->size));
	}
	if (ret)
		pr_err("private pages are open to VTL0 and can't be closed: nothing is handed out\n");
	return ret;
}

/**
 * dpmgr_guard_wait() - see to it that no allocation has pages open unseen
 * @mgr: the manager; new allocations know already that they are to end
 *
 * Context: may sleep.
 */
void dpmgr_guard_wait(struct dpmgr *mgr)
{
	guard(rwsem_write)(&mgr->vtl0.sem);
}

static void close_locked_of(struct dpmgr_client *client, struct hlist_head *list)
{
	struct dpmgr_buf *buf;

	lockdep_assert_held(&client->buf_lock);
	hlist_for_each_entry(buf, list, node) {
		struct guarded guarded;
		struct dpmgr_vtl_pages pages;

		describe(client->mgr, NULL, buf, &guarded, &pages);
		/* Nobody uses them any more: what stays open is counted. */
		pages.stuck = NULL;
		if (dpmgr_vtl_close(client->mgr->vtl, &pages))
			pr_err("locked pages of %s stay open to VTL0\n",
			       client->name);
	}
}

static void close_kept(struct dpmgr *mgr)
{
	struct page *page;

	guard(raw_spinlock_irqsave)(&mgr->vtl0.lock);
	list_for_each_entry(page, &mgr->vtl0.kept, lru) {
		const struct dpmgr_vtl_pages pages = {
			.base_pfn = page_to_pfn(page),
			.nr_pages = 1,
		};

		if (dpmgr_vtl_close(mgr->vtl, &pages))
			pr_err("page %#llx stays open to VTL0\n",
			       (u64)page_to_phys(page));
	}
}

/**
 * dpmgr_guard_shutdown() - close what no generation names, at this kernel's end
 * @mgr: the manager
 *
 * Context: process, at the end of shutdown: devices are quiet.
 */
void dpmgr_guard_shutdown(struct dpmgr *mgr)
{
	struct rb_node *node;

	if (!mgr->vtl)
		return;
	WRITE_ONCE(mgr->vtl0.ended, true);
	dpmgr_guard_wait(mgr);
	scoped_guard(mutex, &mgr->lock) {
		/* What the worker puts back is not to be looked at meanwhile. */
		guard(mutex)(&mgr->drain_lock);
		for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
			struct dpmgr_client *client =
				rb_entry(node, struct dpmgr_client, node);

			if (!client->backing.guarded || client->backing.pool)
				continue;
			guard(raw_spinlock_irqsave)(&client->buf_lock);
			close_locked_of(client, &client->bufs);
			close_locked_of(client, &client->leaving);
		}
	}
	close_kept(mgr);
	/* Open buffers that a generation names are for the next kernel. */
	if (close_private_pool(mgr, mgr->phase == DPMGR_COMMITTED))
		pr_err("pool pages stay open to VTL0\n");
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_guard_shutdown);

/* Context: may sleep. */
void dpmgr_guard_init(struct dpmgr *mgr, u32 open_stock_pages)
{
	init_rwsem(&mgr->vtl0.sem);
	raw_spin_lock_init(&mgr->vtl0.lock);
	INIT_LIST_HEAD(&mgr->vtl0.kept);
	dpmgr_open_stock_init(mgr, open_stock_pages);
}

/**
 * dpmgr_guard_forget() - a manager ends before its kernel does
 * @mgr: the manager
 *
 * Locked pages that are open stay out of use for as long as the kernel runs.
 *
 * Context: process.
 */
void dpmgr_guard_forget(struct dpmgr *mgr)
{
	dpmgr_open_stock_flush(mgr);
	if (mgr->vtl0.nr_kept)
		pr_err("%llu pages that are open to VTL0 stay out of use\n",
		       mgr->vtl0.nr_kept);
}
