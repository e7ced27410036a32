// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers: allocated, freed in any context, drained, parked, looked at.
 *
 * A buffer's way back is: scrub, put back. A small one goes it at once, inside
 * dpmgr_free(): zeroing a few pages costs less than to have somebody else do it,
 * and the pages are still in the cache when they are handed out again. A longer
 * one is only marked and linked into a lock-free list. A worker, or an
 * allocation that would otherwise fail and may sleep, takes the list up. Clean
 * pages, handles and tags are there beforehand, so an allocation that may not
 * sleep needs nothing else.
 *
 * While a client is frozen, what a generation says about it must stay true: it
 * gets nothing, and what it frees is held as it is. An allocation, or a free that
 * puts back, looks at the flag and becomes visible to the walk that saves runs
 * inside one RCU read section, or with preemption off, which is one too; the freeze
 * waits for a grace period in between.
 *
 * Locking: see struct dpmgr, struct dpmgr_client and enum dpmgr_buf_state.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr_abi.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/instruction_pointer.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "client.h"
#include "core/export.h"
#include "guard.h"
#include "locked.h"
#include "pool.h"
#include "stream.h"

/*
 * A buffer of so many pages is scrubbed by who frees it, perhaps with interrupts
 * off: some microseconds at most.
 */
#define SCRUB_AT_ONCE_PAGES	8

/* Scrub pages and give them back to where they came from. 0 or -EINVAL. */
static int put_pages(struct dpmgr_buf *buf)
{
	struct dpmgr_pool *pool = buf->client->backing.pool;
	struct dpmgr_page_run run = {
		.base_pfn = buf->base_pfn,
		.nr_pages = buf->nr_pages,
		.owner = buf,
	};

	if (!pool) {
		dpmgr_locked_free(buf->locked);
		return 0;
	}
	if (buf->client->backing.guarded)
		return dpmgr_pool_put_pieces(pool, buf->base_pfn, buf->nr_pages,
					     buf);
	return dpmgr_pool_put(pool, &run);
}

/*
 * Context: any but NMI for up to SCRUB_AT_ONCE_PAGES of a pool, unguarded; may
 * sleep otherwise.
 */
static void put_back(struct dpmgr_buf *buf)
{
	if (buf->client->backing.guarded)
		dpmgr_guard_close(buf->client->mgr, buf->client->backing.pool,
				  buf);
	if (!WARN_ON_ONCE(put_pages(buf)))
		dpmgr_handle_discard(buf);
}

/**
 * dpmgr_drain() - scrub and put back what was freed until now
 * @mgr: the manager
 *
 * Context: may sleep.
 */
void dpmgr_drain(struct dpmgr *mgr)
{
	struct dpmgr_buf *buf, *next;
	struct llist_node *freed;

	guard(mutex)(&mgr->drain_lock);
	dpmgr_streams_drain(mgr);
	freed = llist_reverse_order(llist_del_all(&mgr->draining));
	llist_for_each_entry_safe(buf, next, freed, draining) {
		if (!buf->client->frozen) {
			put_back(buf);
			continue;
		}
		/* What a generation may name stays as it is. */
		buf->draining.next = mgr->held;
		mgr->held = &buf->draining;
	}
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_drain);

/**
 * dpmgr_drain_held() - some client is frozen no more: look at what was held again
 * @mgr: the manager
 *
 * Context: may sleep; holding @drain_lock.
 */
void dpmgr_drain_held(struct dpmgr *mgr)
{
	struct llist_node *held;

	lockdep_assert_held(&mgr->drain_lock);
	while ((held = mgr->held)) {
		mgr->held = held->next;
		llist_add(held, &mgr->draining);
	}
	queue_work(system_unbound_wq, &mgr->drain_work);
}

/* Context: may sleep. */
void dpmgr_refill_stocks(struct dpmgr *mgr, gfp_t gfp)
{
	/* Who needs an object and finds none gets -ENOMEM: no need to here. */
	if (dpmgr_stock_is_low(&mgr->handles))
		dpmgr_stock_refill(&mgr->handles, gfp);
	if (dpmgr_stock_is_low(&mgr->tags))
		dpmgr_stock_refill(&mgr->tags, gfp);
}

void dpmgr_drain_work(struct work_struct *work)
{
	struct dpmgr *mgr = container_of(work, struct dpmgr, drain_work);

	dpmgr_drain(mgr);
	dpmgr_clients_prune(mgr);
	dpmgr_refill_stocks(mgr, GFP_KERNEL);
	if (dpmgr_stock_is_low(&mgr->streams.idle))
		dpmgr_stock_refill(&mgr->streams.idle, GFP_KERNEL);
}

/* A DRAINING buffer that nobody refers to. Context: any but NMI. */
static void drain_later(struct dpmgr_buf *buf)
{
	struct dpmgr *mgr = buf->client->mgr;

	if (llist_add(&buf->draining, &mgr->draining))
		queue_work(system_unbound_wq, &mgr->drain_work);
}

/**
 * dpmgr_buf_release() - give back a reference to a buffer
 * @buf: the buffer; its state is DRAINING if this is the last
 *
 * Context: any but NMI.
 */
void dpmgr_buf_release(struct dpmgr_buf *buf)
{
	if (atomic_dec_and_test(&buf->refs))
		drain_later(buf);
}

/* The most that dpmgr_pages_take() takes. */
#define ALIGN_ORDER_MAX	31

/* What an allocation asks for, worked out. */
struct alloc_args {
	struct dpmgr_page_request request;
	u16 slack;
	bool search;
	gfp_t gfp;
	const char *tag;
};

static int take_pages(struct dpmgr_pool *pool, const struct alloc_args *args,
		      struct dpmgr_buf *buf)
{
	struct dpmgr_page_run run;
	int ret;

	ret = unlikely(args->search) ?
		dpmgr_pages_search(&pool->pages, &args->request, buf, &run) :
		dpmgr_pages_take(&pool->pages, &args->request, buf, &run);
	if (ret)
		return -EAGAIN;
	buf->base_pfn = run.base_pfn;
	return 0;
}

static int take_locked(const struct dpmgr_client *client,
		       const struct alloc_args *args, struct dpmgr_buf *buf)
{
	struct dpmgr_locked *locked;

	locked = dpmgr_locked_alloc(buf->nr_pages, args->request.align_order,
				    client->node_id, client->end_pfn, args->gfp);
	if (IS_ERR(locked))
		return PTR_ERR(locked);
	buf->locked = locked;
	return 0;
}

/* Give up a handle with its pages, which nobody has seen yet. */
static noinline struct dpmgr_buf *undo(struct dpmgr_buf *buf, int err)
{
	const struct dpmgr_client *client = buf->client;
	const struct dpmgr_page_run run = {
		.base_pfn = buf->base_pfn,
		.nr_pages = buf->nr_pages,
		.owner = buf,
	};

	if (client->backing.pool)
		WARN_ON_ONCE(dpmgr_pool_put_clean(client->backing.pool, &run));
	else
		dpmgr_locked_release(buf->locked);
	dpmgr_handle_forget(client->mgr, buf, client->persistent);
	return ERR_PTR(err);
}

/* The same where VTL0 may have seen them; they are closed. May sleep. */
static struct dpmgr_buf *undo_seen(struct dpmgr_buf *buf, int err)
{
	const struct dpmgr_client *client = buf->client;

	WARN_ON_ONCE(put_pages(buf));
	dpmgr_handle_forget(client->mgr, buf, client->persistent);
	return ERR_PTR(err);
}

/*
 * A handle with its pages. Neither sleeps nor waits. -EAGAIN if there is no clean
 * run to fit; else as dpmgr_alloc().
 */
static struct dpmgr_buf *new_of_pool(struct dpmgr_client *client,
				     const struct alloc_args *args)
{
	struct dpmgr_buf *buf;
	int ret;

	buf = dpmgr_handle_create(client, args->request.nr_pages, args->slack);
	if (IS_ERR(buf))
		return buf;
	ret = take_pages(client->backing.pool, args, buf);
	if (ret) {
		dpmgr_handle_forget(client->mgr, buf, client->persistent);
		return ERR_PTR(ret);
	}
	return buf;
}

/* The same for locked pages; may sleep if @args->gfp allows blocking. */
static noinline struct dpmgr_buf *
new_locked(struct dpmgr_client *client, const struct alloc_args *args)
{
	struct dpmgr_buf *buf;
	int ret;

	buf = dpmgr_handle_create(client, args->request.nr_pages, args->slack);
	if (IS_ERR(buf))
		return buf;
	ret = take_locked(client, args, buf);
	if (ret) {
		dpmgr_handle_forget(client->mgr, buf, client->persistent);
		return ERR_PTR(ret);
	}
	return buf;
}

static struct dpmgr_buf *attach(struct dpmgr_buf *buf,
				const struct alloc_args *args)
{
	int ret = dpmgr_handle_attach(buf, args->tag);

	return likely(!ret) ? buf : undo(buf, ret);
}

static struct dpmgr_buf *try_pool(struct dpmgr_client *client,
				  const struct alloc_args *args)
{
	struct dpmgr_buf *buf;

	if (!client->persistent) {
		buf = new_of_pool(client, args);
		return IS_ERR(buf) ? buf : attach(buf, args);
	}
	/* Whoever freezes waits for us, so that this is all or nothing to it. */
	guard(preempt)();
	if (READ_ONCE(client->frozen))
		return ERR_PTR(-EBUSY);
	buf = new_of_pool(client, args);
	return IS_ERR(buf) ? buf : attach(buf, args);
}

/* One that is open already. NULL if there is none. Neither sleeps nor waits. */
static struct dpmgr_buf *try_open_stock(struct dpmgr_client *client,
					const struct alloc_args *args)
{
	struct dpmgr_buf *buf;
	int ret;

	guard(rcu)();
	if (READ_ONCE(client->frozen))
		return ERR_PTR(-EBUSY);
	buf = dpmgr_open_stock_get(client, &args->request);
	if (!buf)
		return NULL;
	dpmgr_pool_clear(client->backing.pool, buf->base_pfn, buf->nr_pages);
	buf->slack = args->slack;
	WRITE_ONCE(buf->state, DPMGR_BUF_NEW);
	WRITE_ONCE(buf->client, client);
	ret = dpmgr_handle_attach(buf, args->tag);
	if (!ret)
		return buf;
	WRITE_ONCE(buf->client, NULL);
	WRITE_ONCE(buf->state, DPMGR_BUF_OPEN);
	buf->slack = client->vtl0_mask;
	dpmgr_open_stock_return(client->mgr, buf);
	return ERR_PTR(ret);
}

/* Whatever the hypervisor refused, to the caller it is one condition. 0, -EIO, -ENOMEM. */
static int open_to_vtl0(struct dpmgr_buf *buf, const struct alloc_args *args)
{
	const struct dpmgr_client *client = buf->client;
	int ret = dpmgr_guard_open(buf);

	if (ret && !(args->gfp & __GFP_NOWARN))
		dev_warn_ratelimited(client->dev,
				     "dma_pool_mgr: %s: %u pages could not be opened to VTL0 (%pe)\n",
				     client->name, buf->nr_pages, ERR_PTR(ret));
	return ret && ret != -ENOMEM ? -EIO : ret;
}

/* Open what has its pages, and make it a buffer. May not be called in atomic. */
static struct dpmgr_buf *open_and_attach(struct dpmgr_buf *buf,
					 const struct alloc_args *args)
{
	struct dpmgr_client *client = buf->client;
	int ret = READ_ONCE(client->mgr->vtl0.ended) ? -EBUSY : open_to_vtl0(buf, args);

	if (ret)
		return undo_seen(buf, ret);
	ret = dpmgr_handle_attach(buf, args->tag);
	if (!ret)
		return buf;
	dpmgr_guard_close(client->mgr, client->backing.pool, buf);
	return undo_seen(buf, ret);
}

/* For a VTL0 client. May sleep if @args->gfp allows blocking. */
static noinline struct dpmgr_buf *
try_guarded(struct dpmgr_client *client, const struct alloc_args *args)
{
	struct dpmgr_buf *buf;

	if (client->backing.pool) {
		buf = try_open_stock(client, args);
		if (buf)
			return buf;
	}
	if (!gfpflags_allow_blocking(args->gfp))
		return ERR_PTR(-EAGAIN);
	if (!client->backing.pool) {
		/* Not with the semaphore held: this may wait for I/O. */
		buf = new_locked(client, args);
		if (IS_ERR(buf))
			return buf;
		guard(rwsem_read)(&client->mgr->vtl0.sem);
		return open_and_attach(buf, args);
	}
	guard(rwsem_read)(&client->mgr->vtl0.sem);
	/* Whoever freezes waits for us. */
	if (READ_ONCE(client->frozen))
		return ERR_PTR(-EBUSY);
	buf = new_of_pool(client, args);
	return IS_ERR(buf) ? buf : open_and_attach(buf, args);
}

/*
 * One attempt. -EAGAIN if no clean pages were at hand; -ENOBUFS if a stock was empty; else
 * as dpmgr_alloc().
 */
static struct dpmgr_buf *try_alloc(struct dpmgr_client *client,
				   const struct alloc_args *args)
{
	struct dpmgr_buf *buf;

	if (unlikely(client->backing.guarded))
		return try_guarded(client, args);
	if (likely(client->backing.pool))
		return try_pool(client, args);
	buf = new_locked(client, args);
	return IS_ERR(buf) ? buf : attach(buf, args);
}

/*
 * There is no clean run: what streams have in stock, and no more of it than it takes. That
 * is the shared pool's.
 */
static noinline struct dpmgr_buf *
alloc_from_streams(struct dpmgr_client *client, const struct alloc_args *args)
{
	struct dpmgr_buf *buf = ERR_PTR(-EAGAIN);
	int cpu;

	if (client->backing.pool != client->mgr->pools[DPMGR_SHARED])
		return buf;
	for_each_possible_cpu(cpu) {
		if (dpmgr_streams_flush_cpu(client->mgr, cpu))
			buf = try_alloc(client, args);
		if (buf != ERR_PTR(-EAGAIN))
			break;
	}
	return buf;
}

/*
 * Nothing was to be had at once: put back what was freed, scrub what is dirty,
 * and in the end look at every single run.
 */
static noinline struct dpmgr_buf *
alloc_under_pressure(struct dpmgr_client *client, struct alloc_args *args)
{
	struct dpmgr_buf *buf;
	bool more;

	dpmgr_drain(client->mgr);
	buf = try_alloc(client, args);
	if (buf == ERR_PTR(-EAGAIN))
		buf = alloc_from_streams(client, args);
	if (buf == ERR_PTR(-ENOSPC) && dpmgr_open_stock_flush(client->mgr))
		buf = try_alloc(client, args);
	if (buf != ERR_PTR(-EAGAIN))
		return buf;
	dpmgr_open_stock_flush(client->mgr);
	do {
		more = dpmgr_pool_scrub(client->backing.pool);
		args->search = !more;
		buf = try_alloc(client, args);
	} while (buf == ERR_PTR(-EAGAIN) && more);
	return buf == ERR_PTR(-EAGAIN) ? ERR_PTR(-ENOSPC) : buf;
}

static struct dpmgr_buf *alloc_blocking(struct dpmgr_client *client,
					struct alloc_args *args)
{
	const gfp_t gfp = args->gfp & ~__GFP_ZERO;
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_buf *buf;

	might_sleep();
	dpmgr_refill_stocks(mgr, gfp);
	/* Interrupts may take what we put in stock. */
	do {
		buf = try_alloc(client, args);
		if (buf == ERR_PTR(-EAGAIN) || buf == ERR_PTR(-ENOSPC) ||
		    buf == ERR_PTR(-EDQUOT))
			buf = alloc_under_pressure(client, args);
	} while (buf == ERR_PTR(-ENOBUFS) && !dpmgr_stock_refill(&mgr->handles, gfp) &&
		 !dpmgr_stock_refill(&mgr->tags, gfp));
	return buf;
}

static struct dpmgr_buf *alloc_atomic(struct dpmgr_client *client,
				      const struct alloc_args *args)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_buf *buf = try_alloc(client, args);

	if (buf == ERR_PTR(-EAGAIN))
		buf = alloc_from_streams(client, args);
	if (dpmgr_stock_is_low(&mgr->handles) || dpmgr_stock_is_low(&mgr->tags))
		queue_work(system_unbound_wq, &mgr->drain_work);
	return buf == ERR_PTR(-EAGAIN) ? ERR_PTR(-ENOMEM) : buf;
}

/* Is there no room in the state region to describe the buffer? Its tag may be new. */
static bool lacks_state_room(const struct dpmgr_client *client, const struct alloc_args *args)
{
	const struct dpmgr *mgr = client->mgr;

	return client->persistent &&
	       atomic64_read(&mgr->state_used) + sizeof(struct dpmgr_abi_run) +
	       strlen(args->tag) + 1 > mgr->state_limit;
}

static const char *refusal(const struct dpmgr_client *client, size_t size,
			   const struct alloc_args *args, int err)
{
	switch (err) {
	case -EINVAL:
		if (!size)
			return "the size must not be 0";
		if (args->gfp & ~DPMGR_GFP_KNOWN)
			return "gfp must be GFP_KERNEL, _NOIO, _NOFS, _ATOMIC or _NOWAIT";
		if (args->request.align_order > ALIGN_ORDER_MAX)
			return "align must be a power of two, and 2^31 pages at most";
		return "a tag has 1 to 31 printable ASCII bytes";
	case -E2BIG:
		return "above what could ever be had in one piece within the device's reach";
	case -EDQUOT:
		return "the client's quota would be exceeded";
	case -ENOSPC:
		return lacks_state_room(client, args) ?
		       "the state region has no room to describe it; see region_bytes_needed" :
		       "the pool has no free run found to fit; see debugfs pools";
	case -ENOMEM:
		return "no clean pages or no memory just now";
	case -EBUSY:
		return "the client is frozen, to be kept for the next kernel";
	case -ENAMETOOLONG:
		return "a tag has at most 31 bytes";
	case -EOPNOTSUPP:
		return "the kernel has no pages within the device's reach";
	case -EIO:
		return "the hypervisor did not open its pages to VTL0";
	default:
		return "unexpected";
	}
}

/* Whatever came in the way first: a bad argument is that. */
static noinline struct dpmgr_buf *refuse(struct dpmgr_client *client, size_t size,
					 const struct alloc_args *args,
					 struct dpmgr_buf *buf)
{
	const u64 nr_pages = (u64)(size >> PAGE_SHIFT) + !!offset_in_page(size);
	const char *tag = args->tag ?: "(null)";
	int ret = dpmgr_text_check(args->tag, DPMGR_TAG_MAX, ' ');

	if (!ret && (!size || args->gfp & ~DPMGR_GFP_KNOWN ||
		     args->request.align_order > ALIGN_ORDER_MAX))
		ret = -EINVAL;
	if (!ret && nr_pages > client->max_pages)
		ret = -E2BIG;
	if (ret)
		buf = ERR_PTR(ret);
	if (buf == ERR_PTR(-ENOBUFS))
		buf = ERR_PTR(-ENOMEM);
	if (args->gfp & __GFP_NOWARN)
		return buf;
	if (buf == ERR_PTR(-ENOSPC) && client->persistent)
		dpmgr_state_report(client->mgr, sizeof(struct dpmgr_abi_run));
	dev_warn_ratelimited(client->dev,
			     "dma_pool_mgr: %s: allocation of %zu bytes for \"%*pE\" refused: %s (%pe)\n",
			     client->name, size, (int)strnlen(tag, DPMGR_TAG_MAX + 1), tag,
			     refusal(client, size, args, PTR_ERR(buf)), buf);
	return buf;
}

static __always_inline struct dpmgr_buf *
alloc_buf(struct dpmgr_client *client, size_t size, unsigned int align_order,
	  gfp_t gfp, const char *tag)
{
	const u64 nr_pages = (u64)(size >> PAGE_SHIFT) + !!offset_in_page(size);
	struct alloc_args args = {
		.request.nr_pages = nr_pages,
		.request.align_order = align_order,
		.slack = PFN_PHYS(nr_pages) - size,
		.gfp = gfp,
		.tag = tag,
	};
	struct dpmgr_buf *buf;

	if (IS_ERR(client))
		return ERR_CAST(client);
	args.request.node = client->node_id;
	args.request.persistent = client->persistent;
	args.request.end_pfn = client->end_pfn;
	if (unlikely(!size || !tag || gfp & ~DPMGR_GFP_KNOWN ||
		     align_order > ALIGN_ORDER_MAX || nr_pages > client->max_pages))
		buf = ERR_PTR(-EINVAL);
	else if (gfpflags_allow_blocking(gfp))
		buf = alloc_blocking(client, &args);
	else
		buf = alloc_atomic(client, &args);
	return IS_ERR(buf) ? refuse(client, size, &args, buf) : buf;
}

/**
 * dpmgr_alloc() - allocate a buffer
 * @client: the client, or an ERR_PTR, which is returned
 * @size: bytes; rounded up to pages, 1 at least
 * @gfp: GFP_KERNEL, GFP_NOIO, GFP_NOFS, GFP_ATOMIC or GFP_NOWAIT, and
 *	__GFP_NOWARN
 * @tag: what it is for, 1 to DPMGR_TAG_MAX printable ASCII bytes; copied. The
 *	same tag may be used again
 *
 * The buffer's pages are zero. Those of a pool are physically contiguous; those
 * of a private client that doesn't persist may not be. It begins at a page, whatever
 * its length: see dpmgr_alloc_aligned().
 *
 * Context: any but NMI if @gfp does not allow blocking; may sleep otherwise.
 * Return: the buffer; -EINVAL, -ENAMETOOLONG, -E2BIG, -EDQUOT, -ENOSPC, -ENOMEM or
 * -EBUSY; -EOPNOTSUPP for locked pages; -EIO for a VTL0 client; see the table of errors.
 */
struct dpmgr_buf *dpmgr_alloc(struct dpmgr_client *client, size_t size,
			      gfp_t gfp, const char *tag)
{
	return alloc_buf(client, size, 0, gfp, tag);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_alloc, DMA_POOL_MGR);

/**
 * dpmgr_alloc_aligned() - allocate a buffer whose address is aligned
 * @client: as for dpmgr_alloc()
 * @size: as for dpmgr_alloc()
 * @align: bytes, a power of two, up to 2^31 pages: the buffer's physical address, and
 *	its DMA address, are a multiple of it
 * @gfp: as for dpmgr_alloc()
 * @tag: as for dpmgr_alloc()
 *
 * dma_alloc_coherent() aligns by roundup_pow_of_two(@size), which a driver may have
 * counted on. With an @align of more than a page, the pages of a private client that
 * doesn't persist are contiguous as well; the kernel may not have such.
 *
 * A buffer that is retrieved is where it was, and so aligned as it was.
 *
 * Context: as dpmgr_alloc().
 * Return: as dpmgr_alloc(); -EINVAL for another @align, too.
 */
struct dpmgr_buf *dpmgr_alloc_aligned(struct dpmgr_client *client, size_t size,
				      size_t align, gfp_t gfp, const char *tag)
{
	unsigned int align_order = ALIGN_ORDER_MAX + 1;

	if (is_power_of_2(align))
		align_order = get_order(align);
	return alloc_buf(client, size, align_order, gfp, tag);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_alloc_aligned, DMA_POOL_MGR);

/* Both parties: who gives it up now, and who had done so before. */
static int report_stale(const struct dpmgr_buf *buf, const char *call,
			unsigned long by)
{
	const u64 pfn = READ_ONCE(buf->base_pfn);
	char where[32] = "";

	/* No page has so high a number; where there is one, it is @locked. */
	if (!(pfn >> (BITS_PER_LONG_LONG - PAGE_SHIFT)))
		snprintf(where, sizeof(where), " at %#llx", PFN_PHYS(pfn));
	pr_err_ratelimited("%s by %pS: not a live buffer, given up before by %pS; it was %u pages%s\n",
			   call, (void *)by, READ_ONCE(buf->given_up_by), buf->nr_pages, where);
	return -ESTALE;
}

/*
 * Put a small buffer back, unless a generation may name it; or one that is open
 * to VTL0 to others that are.
 */
static bool put_back_at_once(struct dpmgr_buf *buf)
{
	const struct dpmgr_client *client = buf->client;

	if (!client->backing.pool ||
	    (buf->nr_pages > SCRUB_AT_ONCE_PAGES && !client->backing.guarded))
		return false;
	if (!client->persistent) {
		put_back(buf);
		return true;
	}
	/* Whoever freezes waits for us. */
	guard(preempt)();
	if (READ_ONCE(client->frozen))
		return false;
	if (client->backing.guarded)
		return dpmgr_open_stock_put(buf);
	put_back(buf);
	return true;
}

/**
 * dpmgr_free() - give up a buffer and its pages
 * @buf: the buffer, NULL or an ERR_PTR
 *
 * The device must not use the pages any more. They are scrubbed before anyone
 * gets them: at once if they are few, by a worker otherwise.
 *
 * Context: any but NMI.
 * Return: 0, or -ESTALE if the handle was given up before: nothing has changed,
 * and the log names both who did so.
 */
int dpmgr_free(struct dpmgr_buf *buf)
{
	if (IS_ERR_OR_NULL(buf))
		return 0;
	if (!dpmgr_buf_give_up(buf, DPMGR_BUF_LIVE, DPMGR_BUF_DRAINING, _RET_IP_))
		return report_stale(buf, "dpmgr_free", _RET_IP_);
	if (atomic_dec_and_test(&buf->refs) && !put_back_at_once(buf))
		drain_later(buf);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_free, DMA_POOL_MGR);

/**
 * dpmgr_buf_park() - give up a handle and leave the pages to the next client
 * @buf: a persistent client's buffer
 *
 * The device may go on using the pages. The next client of that name, in this
 * kernel or the next, retrieves them.
 *
 * Context: any but NMI.
 * Return: 0; -ESTALE if the handle was given up before; -EINVAL if the client
 * is not persistent. In both cases nothing has changed.
 */
int dpmgr_buf_park(struct dpmgr_buf *buf)
{
	const struct dpmgr_client *client;

	if (IS_ERR_OR_NULL(buf))
		return 0;
	if (!dpmgr_buf_give_up(buf, DPMGR_BUF_LIVE, DPMGR_BUF_PARKED, _RET_IP_))
		return report_stale(buf, "dpmgr_buf_park", _RET_IP_);
	client = buf->client;
	if (client->persistent)
		return 0;
	buf->vaddr = dpmgr_handle_vaddr(buf);
	WRITE_ONCE(buf->state, DPMGR_BUF_LIVE);
	dev_err(client->dev,
		"dma_pool_mgr: %s: only a persistent client's buffers can be parked\n",
		client->name);
	return -EINVAL;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_park, DMA_POOL_MGR);
