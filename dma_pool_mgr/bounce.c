// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounce memory: pages of the shared pool that streams work on for a while.
 *
 * A bounce has a handle, as a buffer has, but no client: whoever walks the pool's
 * runs passes over it. Short ones are kept in stock by each CPU, so that a mapped stream
 * costs little more than the copy; they are scrubbed by who gives them up, as far as the
 * stream went. A device may have written beside it, in what is left of its first page and
 * of its last: these pages are scrubbed before another client has them, or the pool. Longer
 * ones are left to the manager's worker, as a whole. All stocks together have at most a
 * sixteenth of the pool, and are flushed before an allocation fails.
 *
 * What a stream needs, and no more, is charged to its client's quota while it has it: that
 * a stock's is longer, or that there is a stock, is nobody's charge.
 *
 * Locking: see struct dpmgr_stream_home.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "client.h"
#include "core/export.h"
#include "pool.h"
#include "stream.h"

#define STOCK_PAGES_MAX		128U

/* The part of the pool that all stocks together may have. */
#define STOCKS_SHARE		16

/* Which list bounces of @nr_pages are on. */
static unsigned int order_of(u32 nr_pages)
{
	return nr_pages > 1 ? ilog2(nr_pages - 1) + 1 : 0;
}

/**
 * dpmgr_bounce_take() - a bounce from a CPU's stock
 * @home: the CPU's
 * @request: what is needed
 *
 * Context: any but NMI, holding @home's lock.
 * Return: a bounce, or NULL.
 */
struct dpmgr_buf *dpmgr_bounce_take(struct dpmgr_stream_home *home,
				    const struct dpmgr_bounce_request *request)
{
	struct dpmgr_buf *buf;
	struct hlist_head *list;

	lockdep_assert_held(&home->lock);
	if (request->nr_pages > DPMGR_BOUNCE_PAGES)
		return NULL;
	list = &home->bounces[order_of(request->nr_pages)];
	buf = hlist_entry_safe(list->first, struct dpmgr_buf, node);
	if (!buf || buf->base_pfn + buf->nr_pages > request->end_pfn ||
	    unlikely(!IS_ALIGNED(buf->base_pfn, 1ULL << request->align_order)))
		return NULL;
	hlist_del(&buf->node);
	home->nr_pages -= buf->nr_pages;
	return buf;
}

/* Put a scrubbed bounce in stock, if it belongs there. Context: holding @home's lock. */
bool dpmgr_bounce_stock(struct dpmgr *mgr, struct dpmgr_stream_home *home,
			struct dpmgr_buf *buf)
{
	lockdep_assert_held(&home->lock);
	if (buf->nr_pages > DPMGR_BOUNCE_PAGES || !is_power_of_2(buf->nr_pages) ||
	    home->nr_pages + buf->nr_pages > mgr->streams.max_pages ||
	    dpmgr_pool_is_bad(mgr->pools[DPMGR_SHARED], buf->base_pfn, buf->nr_pages))
		return false;
	hlist_add_head(&buf->node, &home->bounces[order_of(buf->nr_pages)]);
	home->nr_pages += buf->nr_pages;
	return true;
}

/**
 * dpmgr_bounce_clean() - leave nothing in a short bounce that was written beside streams
 * @mgr: the manager
 * @buf: the bounce; the bytes of its last stream are scrubbed already
 *
 * Context: any but NMI.
 */
void dpmgr_bounce_clean(struct dpmgr *mgr, struct dpmgr_buf *buf)
{
	const unsigned long pages = buf->beside;
	unsigned int i;

	for_each_set_bit(i, &pages, DPMGR_BOUNCE_PAGES)
		dpmgr_pool_clear(mgr->pools[DPMGR_SHARED], buf->base_pfn + i, 1);
	this_cpu_add(mgr->streams.homes->scrubbed, PFN_PHYS(hweight32(buf->beside)));
	buf->beside = 0;
}

/* Of a short one, to the pool, whose pages are clean. Context: any but NMI. */
static void put_back(struct dpmgr *mgr, struct dpmgr_buf *buf)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_SHARED];
	const struct dpmgr_page_run run = {
		.base_pfn = buf->base_pfn,
		.nr_pages = buf->nr_pages,
		.owner = buf,
	};

	if (buf->beside)
		dpmgr_bounce_clean(mgr, buf);
	/* What was used of it was not scrubbed, or not all. */
	if (dpmgr_pool_is_bad(pool, run.base_pfn, run.nr_pages))
		dpmgr_pool_clear(pool, run.base_pfn, run.nr_pages);
	if (!WARN_ON_ONCE(dpmgr_pool_put_clean(pool, &run)))
		dpmgr_handle_forget(mgr, buf, false);
}

/**
 * dpmgr_bounces_disown() - a client is gone: no bounce in stock is taken for its own
 * @home: whose stock
 * @client: the client; another may be at its address soon
 *
 * Context: any but NMI, holding @home's lock.
 */
void dpmgr_bounces_disown(struct dpmgr_stream_home *home, const struct dpmgr_client *client)
{
	struct dpmgr_buf *buf;
	unsigned int i;

	lockdep_assert_held(&home->lock);
	for (i = 0; i < DPMGR_BOUNCE_ORDERS; i++)
		hlist_for_each_entry(buf, &home->bounces[i], node)
			if (buf->charged == client)
				buf->charged = NULL;
}

/* Its client uses it no more; a long one it has until that is scrubbed. Context: any. */
void dpmgr_bounce_uncharge(const struct dpmgr_buf *buf)
{
	if (buf->nr_pages <= DPMGR_BOUNCE_PAGES)
		dpmgr_quota_uncharge(buf->charged, buf->nr_pages - buf->slack);
}

/*
 * Nobody refers to a bounce any more; a short one is scrubbed. A long one is its client's
 * until it is scrubbed. Context: any but NMI.
 */
void dpmgr_bounce_put(struct dpmgr *mgr, struct dpmgr_buf *buf)
{
	if (buf->nr_pages <= DPMGR_BOUNCE_PAGES)
		put_back(mgr, buf);
	else if (llist_add(&buf->draining, &mgr->streams.draining))
		queue_work(system_unbound_wq, &mgr->drain_work);
}

/*
 * Scrub and put back the long bounces. Context: may sleep; holding the drain_lock, or
 * nobody else is about.
 */
void dpmgr_streams_drain(struct dpmgr *mgr)
{
	struct dpmgr_buf *buf, *next;
	struct llist_node *freed;

	freed = llist_reverse_order(llist_del_all(&mgr->streams.draining));
	llist_for_each_entry_safe(buf, next, freed, draining) {
		const struct dpmgr_page_run run = {
			.base_pfn = buf->base_pfn,
			.nr_pages = buf->nr_pages,
			.owner = buf,
		};

		this_cpu_add(mgr->streams.homes->scrubbed, PFN_PHYS(buf->nr_pages));
		if (WARN_ON_ONCE(dpmgr_pool_put(mgr->pools[DPMGR_SHARED], &run)))
			continue;
		dpmgr_quota_uncharge(buf->charged, buf->nr_pages);
		dpmgr_handle_forget(mgr, buf, false);
	}
}

/**
 * dpmgr_streams_flush_cpu() - give a CPU's stock of bounces back to the pool
 * @mgr: the manager
 * @cpu: the CPU
 *
 * It has at most STOCK_PAGES_MAX pages; some of them may have to be scrubbed.
 *
 * Context: any but NMI.
 * Return: whether there was anything.
 */
bool dpmgr_streams_flush_cpu(struct dpmgr *mgr, int cpu)
{
	struct dpmgr_stream_home *home;
	bool any = false;
	unsigned int i;

	if (!mgr->streams.homes)
		return false;
	home = per_cpu_ptr(mgr->streams.homes, cpu);
	for (i = 0; i < DPMGR_BOUNCE_ORDERS; i++) {
		struct hlist_node *next;
		struct hlist_head list;
		struct dpmgr_buf *buf;

		scoped_guard(raw_spinlock_irqsave, &home->lock) {
			hlist_move_list(&home->bounces[i], &list);
			hlist_for_each_entry(buf, &list, node)
				home->nr_pages -= buf->nr_pages;
		}
		hlist_for_each_entry_safe(buf, next, &list, node) {
			put_back(mgr, buf);
			any = true;
		}
	}
	return any;
}

/* The same for all CPUs. Context: may sleep, or nobody minds how long it takes. */
bool dpmgr_streams_flush(struct dpmgr *mgr)
{
	bool any = false;
	int cpu;

	for_each_possible_cpu(cpu)
		any |= dpmgr_streams_flush_cpu(mgr, cpu);
	return any;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_streams_flush);

static bool has_dirty(struct dpmgr_pool *pool)
{
	struct dpmgr_page_counts counts;
	unsigned int i;

	for (i = 0; i < pool->pages.nr_ranges; i++) {
		dpmgr_pages_count(&pool->pages, i, &counts);
		if (counts.dirty)
			return true;
	}
	return false;
}

/* The pool seems to have no clean run: make one. 0, -ENOSPC, -ENOMEM. */
static noinline int
take_under_pressure(struct dpmgr *mgr, const struct dpmgr_page_request *request,
		    gfp_t gfp, struct dpmgr_buf *buf, struct dpmgr_page_run *run)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_SHARED];
	bool more;
	int cpu;

	if (!dpmgr_pages_take(&pool->pages, request, buf, run))
		return 0;
	for_each_possible_cpu(cpu)
		if (dpmgr_streams_flush_cpu(mgr, cpu) &&
		    !dpmgr_pages_take(&pool->pages, request, buf, run))
			return 0;
	if (!gfpflags_allow_blocking(gfp))
		return has_dirty(pool) || !llist_empty(&mgr->streams.draining) ||
		       !llist_empty(&mgr->draining) ? -ENOMEM : -ENOSPC;
	dpmgr_drain(mgr);
	do {
		more = dpmgr_pool_scrub(pool);
		if (!dpmgr_pages_take(&pool->pages, request, buf, run))
			return 0;
	} while (more);
	return dpmgr_pages_search(&pool->pages, request, buf, run);
}

static int take(const struct dpmgr_client *client,
		const struct dpmgr_page_request *needed, gfp_t gfp,
		struct dpmgr_buf *buf, struct dpmgr_page_run *run)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_pool *pool = mgr->pools[DPMGR_SHARED];
	struct dpmgr_page_request request = *needed;

	/* Some more than what is needed, for the stock, if there is plenty. */
	if (request.nr_pages <= DPMGR_BOUNCE_PAGES)
		request.nr_pages = roundup_pow_of_two(request.nr_pages);
	if (!dpmgr_pages_take(&pool->pages, &request, buf, run))
		return 0;
	return take_under_pressure(mgr, needed, gfp, buf, run);
}

/**
 * dpmgr_bounce_get() - a bounce from the pool
 * @client: for whom; its manager has a shared pool
 * @needed: what is needed
 * @gfp: whether to sleep
 * @rule: set on failure
 *
 * Context: any but NMI if @gfp does not allow blocking; may sleep otherwise.
 * Return: a bounce, all zero; -EOPNOTSUPP if the pool is out of the device's reach;
 * -E2BIG if it is too small; -ENOSPC if it is exhausted; -ENOMEM.
 */
struct dpmgr_buf *dpmgr_bounce_get(const struct dpmgr_client *client,
				   const struct dpmgr_bounce_request *needed, gfp_t gfp,
				   const char **rule)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_pool *pool = mgr->pools[DPMGR_SHARED];
	struct dpmgr_page_request request = {
		.nr_pages = needed->nr_pages,
		.align_order = needed->align_order,
		.node = client->node_id,
		.end_pfn = needed->end_pfn,
	};
	struct dpmgr_page_run run;
	struct dpmgr_buf *buf;
	int ret;

	if (gfpflags_allow_blocking(gfp))
		dpmgr_refill_stocks(mgr, gfp);
	else if (dpmgr_stock_is_low(&mgr->handles))
		queue_work(system_unbound_wq, &mgr->drain_work);
	*rule = "no memory just now";
	buf = dpmgr_stock_get(&mgr->handles);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	/* It has no client, so nobody looks at it. */
	WRITE_ONCE(buf->state, DPMGR_BUF_NEW);
	ret = take(client, &request, gfp, buf, &run);
	if (!ret) {
		buf->base_pfn = run.base_pfn;
		buf->nr_pages = run.nr_pages;
		buf->slack = 0;
		buf->beside = 0;
		buf->vaddr = dpmgr_pool_vaddr(pool, run.base_pfn);
		return buf;
	}
	dpmgr_handle_forget(mgr, buf, false);
	if (ret == -ENOMEM)
		return ERR_PTR(ret);
	*rule = "it must bounce, and the shared pool lies above the device's DMA mask";
	request.align_order = 0;
	if (!dpmgr_pages_largest(&pool->pages, &request))
		return ERR_PTR(-EOPNOTSUPP);
	*rule = DPMGR_BOUNCE_TOO_LONG;
	request.align_order = needed->align_order;
	if (dpmgr_pages_largest(&pool->pages, &request) < needed->nr_pages)
		return ERR_PTR(-E2BIG);
	*rule = "the shared pool is exhausted; see debugfs pools and streams";
	return ERR_PTR(ret);
}

/* 0 or -ENOMEM. Context: may sleep. The pools are there. */
int dpmgr_streams_init(struct dpmgr *mgr)
{
	const struct dpmgr_pool *pool = mgr->pools[DPMGR_SHARED];
	int cpu;

	mgr->streams.homes = alloc_percpu(struct dpmgr_stream_home);
	if (!mgr->streams.homes)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		raw_spin_lock_init(&per_cpu_ptr(mgr->streams.homes, cpu)->lock);
	mgr->streams.hides_memory = mgr->isolation != DPMGR_ISOLATION_NONE ||
				    mgr->vtom_bit != DPMGR_NO_VTOM;
	if (pool)
		mgr->streams.max_pages =
			min_t(u64, pool->pages.nr_pages / STOCKS_SHARE / num_possible_cpus(),
			      STOCK_PAGES_MAX);
	return 0;
}

/* Context: may sleep. No stream is there any more; the pools are. */
void dpmgr_streams_destroy(struct dpmgr *mgr)
{
	dpmgr_streams_drain(mgr);
	dpmgr_streams_flush(mgr);
	free_percpu(mgr->streams.homes);
	mgr->streams.homes = NULL;
	dpmgr_stock_destroy(&mgr->streams.idle);
}
