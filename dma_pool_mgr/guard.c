// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VTL0 guard: a buffer of a VTL0 client is opened after its pages were zeroed,
 * and closed before they are scrubbed and can serve anyone else.
 *
 * A page that can't be closed is lost for good, and nothing else is: pool pages
 * are quarantined in their allocator, and saved as such; locked pages are kept
 * from the kernel.
 *
 * Protections belong to the partition, not to this kernel. So a load closes the
 * state region before it is read, and every page of the private pool, but for the
 * buffers that its generation says are open, before that is spent and anything is
 * handed out; and the end of this kernel closes what no generation names.
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

/* Pages that are opened or closed at a stretch. */
#define STRETCH_PAGES	(16ULL * DPMGR_HV_MODIFY_MAX_PAGES)

/**
 * struct guarded - a buffer being opened or closed
 * @mgr: its manager
 * @pool: where its pages come from, NULL for locked ones
 * @buf: the buffer
 * @first: the page of it that a stretch begins with
 * @rest: of a pool's, the run behind the last page that was quarantined
 * @nr_before: pages before the first that was quarantined
 */
struct guarded {
	struct dpmgr *mgr;
	struct dpmgr_pool *pool;
	struct dpmgr_buf *buf;
	u64 first;
	struct dpmgr_page_run rest;
	u32 nr_before;
};

static u64 locked_pfn_at(void *arg, u64 index)
{
	const struct guarded *guarded = arg;

	return dpmgr_locked_pfn(guarded->buf->locked, guarded->first + index);
}

static void keep_locked(void *arg, u64 index)
{
	struct guarded *guarded = arg;
	struct dpmgr_vtl0 *vtl0 = &guarded->mgr->vtl0;
	struct page *page = dpmgr_locked_keep(guarded->buf->locked,
					      guarded->first + index);

	pr_err_ratelimited("page %#llx can't be closed to VTL0: kept out of use\n",
			   (u64)page_to_phys(page));
	guard(raw_spinlock_irqsave)(&vtl0->lock);
	list_add(&page->lru, &vtl0->kept);
	vtl0->nr_kept++;
}

static void quarantine(void *arg, u64 index)
{
	struct guarded *guarded = arg;
	struct dpmgr_page_run *rest = &guarded->rest;
	u64 pfn = guarded->buf->base_pfn + guarded->first + index;

	pr_err_ratelimited("page %#llx can't be closed to VTL0: quarantined\n",
			   PFN_PHYS(pfn));
	WARN_ON_ONCE(dpmgr_pages_quarantine(&guarded->pool->pages, rest, pfn, 1));
	guarded->nr_before = min_t(u64, guarded->nr_before,
				   pfn - guarded->buf->base_pfn);
	rest->nr_pages -= pfn + 1 - rest->base_pfn;
	rest->base_pfn = pfn + 1;
}

static void describe(struct dpmgr *mgr, struct dpmgr_pool *pool,
		     struct dpmgr_buf *buf, struct guarded *guarded)
{
	*guarded = (struct guarded){
		.mgr = mgr,
		.pool = pool,
		.buf = buf,
		.nr_before = buf->nr_pages,
	};
}

/* What is quarantined from here on lies in the buffer's first run. */
static void begin_run(struct guarded *guarded)
{
	guarded->rest = (struct dpmgr_page_run){
		guarded->buf->base_pfn, guarded->nr_before, guarded->buf,
	};
}

/* The pages of a buffer from @guarded->first on, up to @end, that go at a stretch. */
static struct dpmgr_vtl_pages stretch(struct guarded *guarded, u64 end)
{
	struct dpmgr_vtl_pages pages = {
		.nr_pages = min(end - guarded->first, STRETCH_PAGES),
		.arg = guarded,
	};

	if (guarded->pool) {
		pages.base_pfn = guarded->buf->base_pfn + guarded->first;
		pages.stuck = quarantine;
	} else {
		pages.pfn_at = locked_pfn_at;
		pages.stuck = keep_locked;
	}
	return pages;
}

/*
 * Close a buffer's first pages, none of which is quarantined. How many can't be.
 * Context: process.
 */
static u64 close_first(struct guarded *guarded, u64 nr_pages)
{
	struct dpmgr_vtl_pages pages;
	u64 nr_stuck = 0;

	begin_run(guarded);
	for (guarded->first = 0; guarded->first < nr_pages;
	     guarded->first += pages.nr_pages) {
		pages = stretch(guarded, nr_pages);
		nr_stuck += dpmgr_vtl_close(guarded->mgr->vtl, &pages);
		cond_resched();
	}
	return nr_stuck;
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
	int ret;

	describe(client->mgr, client->backing.pool, buf, &guarded);
	begin_run(&guarded);
	for (; guarded.first < buf->nr_pages; guarded.first += pages.nr_pages) {
		pages = stretch(&guarded, buf->nr_pages);
		ret = dpmgr_vtl_open(client->mgr->vtl, &pages, client->vtl0_mask);
		if (ret) {
			close_first(&guarded, guarded.first);
			return ret;
		}
		cond_resched();
	}
	return 0;
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
	struct guarded guarded;
	u64 nr_stuck;

	describe(mgr, pool, buf, &guarded);
	nr_stuck = close_first(&guarded, buf->nr_pages);
	if (nr_stuck)
		pr_err("%llu of %u pages of a buffer stay open to VTL0\n",
		       nr_stuck, buf->nr_pages);
}

/**
 * struct closing - pages that no buffer owns, being closed
 * @pool: the private pool, or NULL
 * @base_pfn: the first of those that are closed at a stretch
 * @left: what is found to stay open
 */
struct closing {
	struct dpmgr_pool *pool;
	u64 base_pfn;
	struct dpmgr_guard_left *left;
};

static void add_left(struct dpmgr_guard_left *left, u64 pfn)
{
	if (!left->nr_pages++)
		left->first_pfn = pfn;
}

/* Quarantined pages are known already, and nobody gets them. */
static void count_left(void *arg, u64 index)
{
	struct closing *closing = arg;
	u64 pfn = closing->base_pfn + index;
	struct dpmgr_page_run run;

	if (closing->pool &&
	    dpmgr_pages_look(&closing->pool->pages, pfn, &run) ==
	    DPMGR_PAGE_QUARANTINED)
		return;
	add_left(closing->left, pfn);
}

/**
 * dpmgr_guard_close_pages() - keep VTL0 from pages that no buffer owns
 * @mgr: the manager
 * @base_pfn: the first page
 * @nr_pages: how many
 * @left: counts those that can't be closed and are not quarantined
 *
 * Every page is tried, whatever happens to others.
 *
 * Context: process.
 */
void dpmgr_guard_close_pages(struct dpmgr *mgr, u64 base_pfn, u64 nr_pages,
			     struct dpmgr_guard_left *left)
{
	struct closing closing = {
		.pool = mgr->pools[DPMGR_PRIVATE],
		.left = left,
	};
	struct dpmgr_vtl_pages pages = {
		.stuck = count_left,
		.arg = &closing,
	};

	while (nr_pages) {
		pages.base_pfn = base_pfn;
		pages.nr_pages = min(nr_pages, STRETCH_PAGES);
		closing.base_pfn = base_pfn;
		dpmgr_vtl_close(mgr->vtl, &pages);
		base_pfn += pages.nr_pages;
		nr_pages -= pages.nr_pages;
		cond_resched();
	}
}

/**
 * dpmgr_guard_check_left() - whether all that was to be closed is closed
 * @left: what dpmgr_guard_close_pages() has counted
 * @consequence: for the log
 *
 * Context: process.
 * Return: 0; -EIO if a page is open.
 */
int dpmgr_guard_check_left(const struct dpmgr_guard_left *left,
			   const char *consequence)
{
	if (!left->nr_pages)
		return 0;
	pr_err("%llu pages can't be closed to VTL0, the first at %#llx: %s\n",
	       left->nr_pages, PFN_PHYS(left->first_pfn), consequence);
	return -EIO;
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
static void close_range(struct dpmgr *mgr, const struct dpmgr_page_range_info *info,
			bool keep, struct dpmgr_guard_left *left)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	u64 end = info->base_pfn + info->nr_pages;
	u64 from = info->base_pfn, pfn = from;
	struct dpmgr_page_run run;

	while (keep && dpmgr_pages_next(&pool->pages, pfn, end, DPMGR_PAGE_USED,
					&run)) {
		bool stays = false;

		pfn = run.base_pfn + run.nr_pages;
		dpmgr_buf_look(&run, look_if_it_stays, &stays);
		if (!stays)
			continue;
		dpmgr_guard_close_pages(mgr, from, run.base_pfn - from, left);
		from = pfn;
	}
	dpmgr_guard_close_pages(mgr, from, end - from, left);
}

static void close_pool(struct dpmgr *mgr, bool keep, struct dpmgr_guard_left *left)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	struct dpmgr_page_range_info info;
	unsigned int i;

	for (i = 0; pool && i < pool->pages.nr_ranges; i++) {
		dpmgr_pages_info(&pool->pages, i, &info);
		close_range(mgr, &info, keep, left);
	}
}

static void close_region(struct dpmgr *mgr, struct dpmgr_guard_left *left)
{
	const struct dpmgr_range *range;

	if (!mgr->region)
		return;
	range = &mgr->region->mapping.range;
	dpmgr_guard_close_pages(mgr, PHYS_PFN(range->start), PHYS_PFN(range->size),
				left);
}

/**
 * dpmgr_guard_load_region() - close the state region, which is about to be read
 * @mgr: the manager, being created, whose region nobody has looked at
 *
 * VTL0 may have been able to write to it until now. From here on, what is checked is
 * what is used.
 *
 * Context: process.
 * Return: 0, or -EIO if some page can't be closed; the log names the first.
 */
int dpmgr_guard_load_region(struct dpmgr *mgr)
{
	struct dpmgr_guard_left left = {};

	if (!mgr->vtl)
		return 0;
	close_region(mgr, &left);
	return dpmgr_guard_check_left(&left, "the state region is not read");
}

/**
 * dpmgr_guard_load() - close what an earlier kernel may have left open of the pool
 * @mgr: the manager, being created, with everything restored and nothing spent
 *
 * Restored buffers of VTL0 clients stay as they are.
 *
 * Context: process.
 * Return: 0, or -EIO if some page can't be closed; the log names the first.
 */
int dpmgr_guard_load(struct dpmgr *mgr)
{
	struct dpmgr_guard_left left = {};

	if (!mgr->vtl)
		return 0;
	close_pool(mgr, true, &left);
	return dpmgr_guard_check_left(&left, "nothing is handed out");
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

/**
 * struct closing_locked - a buffer of locked pages, being closed at the end
 * @guarded: the buffer
 * @left: what is found to stay open
 */
struct closing_locked {
	struct guarded guarded;
	struct dpmgr_guard_left *left;
};

static u64 closing_pfn_at(void *arg, u64 index)
{
	struct closing_locked *closing = arg;

	return locked_pfn_at(&closing->guarded, index);
}

static void count_locked(void *arg, u64 index)
{
	struct closing_locked *closing = arg;

	add_left(closing->left, closing_pfn_at(arg, index));
}

static void close_locked_of(struct dpmgr_client *client, struct hlist_head *list,
			    struct dpmgr_guard_left *left)
{
	struct dpmgr_buf *buf;

	lockdep_assert_held(&client->buf_lock);
	hlist_for_each_entry(buf, list, node) {
		struct closing_locked closing = {
			.guarded.buf = buf,
			.left = left,
		};
		const struct dpmgr_vtl_pages pages = {
			.nr_pages = buf->nr_pages,
			.pfn_at = closing_pfn_at,
			.stuck = count_locked,
			.arg = &closing,
		};

		dpmgr_vtl_close(client->mgr->vtl, &pages);
	}
}

static void close_kept(struct dpmgr *mgr, struct dpmgr_guard_left *left)
{
	struct page *page;

	guard(raw_spinlock_irqsave)(&mgr->vtl0.lock);
	list_for_each_entry(page, &mgr->vtl0.kept, lru) {
		const struct dpmgr_vtl_pages pages = {
			.base_pfn = page_to_pfn(page),
			.nr_pages = 1,
		};

		if (dpmgr_vtl_close(mgr->vtl, &pages))
			add_left(left, pages.base_pfn);
	}
}

/**
 * dpmgr_guard_shutdown() - close what no generation names, at this kernel's end
 * @mgr: the manager
 *
 * Every page is tried, whatever happens to others: nobody tries again.
 *
 * Context: process, at the end of shutdown: devices are quiet.
 */
void dpmgr_guard_shutdown(struct dpmgr *mgr)
{
	struct dpmgr_guard_left left = {};
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
			close_locked_of(client, &client->bufs, &left);
			close_locked_of(client, &client->leaving, &left);
		}
	}
	close_kept(mgr, &left);
	/* Open buffers that a generation names are for the next kernel. */
	close_pool(mgr, mgr->phase == DPMGR_COMMITTED, &left);
	close_region(mgr, &left);
	dpmgr_guard_check_left(&left, "they stay open to VTL0");
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
