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
 * While the manager is frozen, what a generation says about persistent clients
 * must stay true: they get nothing, and what they free stays as it is. An
 * allocation, or a free that puts back, looks at the flag and becomes visible to
 * the walk that saves runs inside one RCU read section; the freeze waits for a
 * grace period in between.
 *
 * Handles are never unmapped before the manager is, so a handle that was given
 * up is told from a live one by its state (until it is handed out again, which
 * the stock puts off as long as it can).
 *
 * Locking: see struct dpmgr, struct dpmgr_client and enum dpmgr_buf_state.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr_abi.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/instruction_pointer.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "client.h"
#include "core/export.h"
#include "pool.h"

/*
 * A buffer of so many pages is scrubbed by who frees it, perhaps with interrupts
 * off: some microseconds at most.
 */
#define SCRUB_AT_ONCE_PAGES	8

/* What may be asked for; it says whether to sleep, to reclaim and to warn. */
#define GFP_KNOWN	(GFP_KERNEL | GFP_ATOMIC | __GFP_ZERO | __GFP_NOWARN | \
			 __GFP_NORETRY | __GFP_RETRY_MAYFAIL)

const char *dpmgr_buf_state_name(enum dpmgr_buf_state state)
{
	static const char * const names[] = {
		[DPMGR_BUF_UNUSED] = "unused",
		[DPMGR_BUF_NEW] = "new",
		[DPMGR_BUF_LIVE] = "live",
		[DPMGR_BUF_PARKED] = "parked",
		[DPMGR_BUF_PENDING] = "pending",
		[DPMGR_BUF_DRAINING] = "draining",
	};

	return names[state];
}

/*
 * Is @text a string of 1 to @max_len printable bytes, none below @lowest?
 * 0, -EINVAL or -ENAMETOOLONG.
 */
int dpmgr_text_check(const char *text, size_t max_len, char lowest)
{
	size_t i;

	if (!text || !*text)
		return -EINVAL;
	for (i = 0; i <= max_len; i++) {
		if (!text[i])
			return 0;
		if (text[i] < lowest || text[i] > '~')
			return -EINVAL;
	}
	return -ENAMETOOLONG;
}

/* Add @n to @counter unless that would exceed @limit. */
static bool add_within(atomic64_t *counter, u64 n, u64 limit)
{
	s64 held = atomic64_read(counter);

	do {
		if (n > limit || held > limit - n)
			return false;
	} while (!atomic64_try_cmpxchg(counter, &held, held + n));
	return true;
}

/* Keep room in the state region for @bytes more. 0 or -ENOSPC. */
int dpmgr_state_charge(struct dpmgr *mgr, u64 bytes)
{
	return add_within(&mgr->state_used, bytes, mgr->state_limit) ?
		0 : -ENOSPC;
}

void dpmgr_state_uncharge(struct dpmgr *mgr, u64 bytes)
{
	atomic64_sub(bytes, &mgr->state_used);
}

static int compare_tag_name(const void *name, const struct rb_node *node)
{
	return strcmp(name, rb_entry(node, struct dpmgr_tag, node)->name);
}

static bool tag_less(struct rb_node *a, const struct rb_node *b)
{
	return compare_tag_name(rb_entry(a, struct dpmgr_tag, node)->name, b) < 0;
}

/* The client's tag of that name, one buffer more; or -ENOMEM, -ENOSPC. */
static struct dpmgr_tag *tag_get(struct dpmgr_client *client, const char *name)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_tag *tag;
	struct rb_node *node;

	lockdep_assert_held(&client->buf_lock);
	node = rb_find(name, &client->tags, compare_tag_name);
	if (node) {
		tag = rb_entry(node, struct dpmgr_tag, node);
		tag->nr_bufs++;
		return tag;
	}

	if (client->persistent && dpmgr_state_charge(mgr, strlen(name) + 1))
		return ERR_PTR(-ENOSPC);
	tag = dpmgr_stock_get(&mgr->tags);
	if (!tag) {
		if (client->persistent)
			dpmgr_state_uncharge(mgr, strlen(name) + 1);
		return ERR_PTR(-ENOMEM);
	}
	strscpy(tag->name, name);
	tag->nr_bufs = 1;
	rb_add(&tag->node, &client->tags, tag_less);
	return tag;
}

static void tag_put(struct dpmgr_client *client, struct dpmgr_tag *tag)
{
	lockdep_assert_held(&client->buf_lock);
	if (--tag->nr_bufs)
		return;
	rb_erase(&tag->node, &client->tags);
	if (client->persistent)
		dpmgr_state_uncharge(client->mgr, strlen(tag->name) + 1);
	dpmgr_stock_put(&client->mgr->tags, tag);
}

/* A run of a persistent client takes room in the state region, and the module. */
static int charge_run(struct dpmgr_client *client)
{
	if (!client->persistent)
		return 0;
	if (dpmgr_state_charge(client->mgr, sizeof(struct dpmgr_abi_run)))
		return -ENOSPC;
	__module_get(client->mgr->module);
	return 0;
}

static void uncharge_run(struct dpmgr_client *client)
{
	if (!client->persistent)
		return;
	dpmgr_state_uncharge(client->mgr, sizeof(struct dpmgr_abi_run));
	module_put(client->mgr->module);
}

/* Give the handle its tag, and count its pages. -EDQUOT, -ENOMEM or -ENOSPC. */
static int charge_client(struct dpmgr_client *client, struct dpmgr_buf *buf,
			 const char *tag_name)
{
	struct dpmgr_tag *tag;

	guard(raw_spinlock_irqsave)(&client->buf_lock);
	if (buf->nr_pages > client->quota ||
	    client->nr_pages > client->quota - buf->nr_pages)
		return -EDQUOT;
	tag = tag_get(client, tag_name);
	if (IS_ERR(tag))
		return PTR_ERR(tag);
	client->nr_pages += buf->nr_pages;
	buf->tag = tag;
	return 0;
}

/* A handle with its tag and all charges, but no pages yet. */
static struct dpmgr_buf *buf_create(struct dpmgr_client *client, u32 nr_pages,
				    u16 slack, const char *tag_name)
{
	struct dpmgr_buf *buf;
	int ret;

	ret = charge_run(client);
	if (ret)
		return ERR_PTR(ret);
	ret = -ENOMEM;
	buf = dpmgr_stock_get(&client->mgr->handles);
	if (!buf)
		goto no_handle;
	buf->nr_pages = nr_pages;
	buf->slack = slack;
	ret = charge_client(client, buf, tag_name);
	if (ret)
		goto no_tag;
	WRITE_ONCE(buf->client, client);
	WRITE_ONCE(buf->state, DPMGR_BUF_NEW);
	return buf;

no_tag:
	dpmgr_stock_put(&client->mgr->handles, buf);
no_handle:
	uncharge_run(client);
	return ERR_PTR(ret);
}

/*
 * Undo buf_create(), and buf_attach() if that was called. Nothing of the client
 * may be touched afterwards.
 */
static void buf_discard(struct dpmgr_buf *buf, bool attached)
{
	struct dpmgr_client *client = buf->client;
	struct dpmgr *mgr = client->mgr;

	uncharge_run(client);
	scoped_guard(raw_spinlock_irqsave, &client->buf_lock) {
		client->nr_pages -= buf->nr_pages;
		tag_put(client, buf->tag);
		WRITE_ONCE(buf->state, DPMGR_BUF_UNUSED);
		WRITE_ONCE(buf->client, NULL);
		if (attached) {
			list_del(&buf->link);
			client->nr_bufs--;
		}
	}
	dpmgr_stock_put(&mgr->handles, buf);
}

/* The buffer has its pages: put it on @list in @state. */
static void buf_attach(struct dpmgr_buf *buf, u64 base_pfn,
		       struct list_head *list, enum dpmgr_buf_state state)
{
	struct dpmgr_client *client = buf->client;

	buf->base_pfn = base_pfn;
	buf->vaddr = dpmgr_pool_vaddr(client->pool, base_pfn);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	list_add_tail(&buf->link, list);
	client->nr_bufs++;
	client->nr_pending += state == DPMGR_BUF_PENDING;
	WRITE_ONCE(buf->state, state);
}

/* Context: any but NMI for up to SCRUB_AT_ONCE_PAGES, may sleep for more. */
static void put_back(struct dpmgr_buf *buf)
{
	struct dpmgr_page_run run = {
		.base_pfn = buf->base_pfn,
		.nr_pages = buf->nr_pages,
		.owner = buf,
	};

	if (!WARN_ON_ONCE(dpmgr_pool_put(buf->client->pool, &run)))
		buf_discard(buf, true);
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
	freed = llist_reverse_order(llist_del_all(&mgr->draining));
	llist_for_each_entry_safe(buf, next, freed, draining) {
		/* What a generation may name stays as it is, to the end. */
		if (!mgr->frozen || !buf->client->persistent)
			put_back(buf);
	}
}
DPMGR_EXPORT_FOR_TESTS(dpmgr_drain);

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
	dpmgr_refill_stocks(mgr, GFP_KERNEL);
}

/* A buffer whose state has just become DRAINING. Context: any but NMI. */
void dpmgr_buf_drain_later(struct dpmgr_buf *buf)
{
	struct dpmgr *mgr = buf->client->mgr;

	if (llist_add(&buf->draining, &mgr->draining))
		queue_work(system_unbound_wq, &mgr->drain_work);
}

/* What an allocation asks for, worked out. */
struct alloc_args {
	struct dpmgr_page_request request;
	u16 slack;
	bool search;
	const char *tag;
};

static int take_pages(struct dpmgr_pool *pool, const struct alloc_args *args,
		      struct dpmgr_buf *buf, struct dpmgr_page_run *run)
{
	if (unlikely(args->search))
		return dpmgr_pages_search(&pool->pages, &args->request, buf, run);
	return dpmgr_pages_take(&pool->pages, &args->request, buf, run);
}

/*
 * One attempt, which neither sleeps nor waits. -EAGAIN if there is no clean run
 * to fit; else as dpmgr_alloc().
 */
static struct dpmgr_buf *try_alloc(struct dpmgr_client *client,
				   const struct alloc_args *args)
{
	struct dpmgr_page_run run;
	struct dpmgr_buf *buf;

	/* Whoever freezes waits for us, so that this is all or nothing to it. */
	guard(rcu)();
	if (client->persistent && READ_ONCE(client->mgr->frozen))
		return ERR_PTR(-EBUSY);
	buf = buf_create(client, args->request.nr_pages, args->slack,
			 args->tag);
	if (IS_ERR(buf))
		return buf;
	if (take_pages(client->pool, args, buf, &run)) {
		buf_discard(buf, false);
		return ERR_PTR(-EAGAIN);
	}
	buf_attach(buf, run.base_pfn, &client->bufs, DPMGR_BUF_LIVE);
	return buf;
}

/*
 * Nothing was to be had at once: put back what was freed, scrub what is dirty,
 * and in the end look at every single run.
 */
static struct dpmgr_buf *alloc_under_pressure(struct dpmgr_client *client,
					      struct alloc_args *args)
{
	struct dpmgr_buf *buf;
	bool more;

	dpmgr_drain(client->mgr);
	buf = try_alloc(client, args);
	if (buf != ERR_PTR(-EAGAIN))
		return buf;
	do {
		more = dpmgr_pool_scrub(client->pool);
		args->search = !more;
		buf = try_alloc(client, args);
	} while (buf == ERR_PTR(-EAGAIN) && more);
	return buf == ERR_PTR(-EAGAIN) ? ERR_PTR(-ENOSPC) : buf;
}

static struct dpmgr_buf *alloc_blocking(struct dpmgr_client *client,
					struct alloc_args *args, gfp_t gfp)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_buf *buf;

	might_sleep();
	gfp &= ~__GFP_ZERO;
	dpmgr_refill_stocks(mgr, gfp);
	/* Interrupts may take what we put in stock. */
	do {
		buf = try_alloc(client, args);
	} while (buf == ERR_PTR(-ENOMEM) &&
		 !dpmgr_stock_refill(&mgr->handles, gfp) &&
		 !dpmgr_stock_refill(&mgr->tags, gfp));
	if (buf == ERR_PTR(-EAGAIN) || buf == ERR_PTR(-ENOSPC) ||
	    buf == ERR_PTR(-EDQUOT))
		buf = alloc_under_pressure(client, args);
	return buf;
}

static struct dpmgr_buf *alloc_atomic(struct dpmgr_client *client,
				      const struct alloc_args *args)
{
	struct dpmgr *mgr = client->mgr;
	struct dpmgr_buf *buf = try_alloc(client, args);

	if (dpmgr_stock_is_low(&mgr->handles) || dpmgr_stock_is_low(&mgr->tags))
		queue_work(system_unbound_wq, &mgr->drain_work);
	return buf == ERR_PTR(-EAGAIN) ? ERR_PTR(-ENOMEM) : buf;
}

static const char *refusal(int err)
{
	switch (err) {
	case -E2BIG:
		return "above the pool's largest range within the device's reach";
	case -EDQUOT:
		return "the client's quota would be exceeded";
	case -ENOSPC:
		return "no run found to fit, or no room in the state region; see debugfs";
	case -ENOMEM:
		return "no clean pages or no memory just now";
	case -EBUSY:
		return "frozen: a kexec is under way";
	case -ENAMETOOLONG:
		return "a tag has at most 31 bytes";
	default:
		return "size must not be 0, gfp GFP_KERNEL or GFP_ATOMIC, the tag printable";
	}
}

/**
 * dpmgr_alloc() - allocate a buffer
 * @client: the client
 * @size: bytes; rounded up to pages, 1 at least
 * @gfp: GFP_KERNEL, GFP_NOIO, GFP_NOFS, GFP_ATOMIC or GFP_NOWAIT, and
 *	__GFP_NOWARN
 * @tag: what it is for, 1 to DPMGR_TAG_MAX printable ASCII bytes; copied. The
 *	same tag may be used again
 *
 * The buffer's pages are zero and physically contiguous.
 *
 * Context: any but NMI if @gfp does not allow blocking; may sleep otherwise.
 * Return: the buffer; -EINVAL, -ENAMETOOLONG, -E2BIG, -EDQUOT, -ENOSPC, -ENOMEM
 * or -EBUSY, see the table of errors.
 */
struct dpmgr_buf *dpmgr_alloc(struct dpmgr_client *client, size_t size,
			      gfp_t gfp, const char *tag)
{
	u64 nr_pages = (u64)(size >> PAGE_SHIFT) + !!offset_in_page(size);
	struct alloc_args args = {
		.request = {
			.node = client->node_id,
			.persistent = client->persistent,
			.end_pfn = client->end_pfn,
		},
		.tag = tag,
	};
	struct dpmgr_buf *buf;
	int ret;

	ret = dpmgr_text_check(tag, DPMGR_TAG_MAX, ' ');
	if (!ret && (!size || gfp & ~GFP_KNOWN))
		ret = -EINVAL;
	if (!ret && nr_pages > dpmgr_pages_largest(&client->pool->pages,
						   &args.request))
		ret = -E2BIG;
	args.request.nr_pages = nr_pages;
	args.slack = PFN_PHYS(nr_pages) - size;

	if (ret)
		buf = ERR_PTR(ret);
	else if (gfpflags_allow_blocking(gfp))
		buf = alloc_blocking(client, &args, gfp);
	else
		buf = alloc_atomic(client, &args);
	if (IS_ERR(buf) && !(gfp & __GFP_NOWARN))
		dev_warn_ratelimited(client->dev,
				     "dma_pool_mgr: %s: allocation of %zu bytes for \"%.32s\" refused: %s (%pe)\n",
				     client->name, size, tag ?: "(null)",
				     refusal(PTR_ERR(buf)), buf);
	return buf;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_alloc, DMA_POOL_MGR);

/* Whether @buf was in state @from; it is in state @to now, because of @by. */
bool dpmgr_buf_give_up(struct dpmgr_buf *buf, enum dpmgr_buf_state from,
		       enum dpmgr_buf_state to, unsigned long by)
{
	if (cmpxchg(&buf->state, from, to) != from)
		return false;
	WRITE_ONCE(buf->given_up_by, (void *)by);
	return true;
}

/* Both parties: who gives it up now, and who had done so before. */
static int report_stale(const struct dpmgr_buf *buf, const char *call,
			unsigned long by)
{
	pr_err_ratelimited("%s by %pS: not a live buffer, given up before by %pS; it was %u pages at %#llx\n",
			   call, (void *)by, READ_ONCE(buf->given_up_by),
			   buf->nr_pages, PFN_PHYS(buf->base_pfn));
	return -ESTALE;
}

/* Put a small buffer back, unless a generation may name it. */
static bool put_back_at_once(struct dpmgr_buf *buf)
{
	const struct dpmgr_client *client = buf->client;

	if (buf->nr_pages > SCRUB_AT_ONCE_PAGES)
		return false;
	/* Whoever freezes waits for us. */
	guard(rcu)();
	if (client->persistent && READ_ONCE(client->mgr->frozen))
		return false;
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
	if (!put_back_at_once(buf))
		dpmgr_buf_drain_later(buf);
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
	buf->vaddr = dpmgr_pool_vaddr(client->pool, buf->base_pfn);
	WRITE_ONCE(buf->state, DPMGR_BUF_LIVE);
	dev_err(client->dev,
		"dma_pool_mgr: %s: only a persistent client's buffers can be parked\n",
		client->name);
	return -EINVAL;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_park, DMA_POOL_MGR);

/**
 * dpmgr_buf_look() - look at the buffer that owns a run
 * @run: as the allocator has just shown it
 * @look: called once if the buffer is still there, under its client's lock, so
 *	that neither goes away nor changes
 * @arg: passed on
 *
 * Context: any but NMI.
 */
void dpmgr_buf_look(const struct dpmgr_page_run *run,
		    void (*look)(const struct dpmgr_buf *buf, void *arg),
		    void *arg)
{
	const struct dpmgr_buf *buf = run->owner;
	struct dpmgr_client *client;

	/* A handle's memory stays; a client's, for a grace period. */
	guard(rcu)();
	client = READ_ONCE(buf->client);
	if (!client)
		return;
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	if (READ_ONCE(buf->client) == client && buf->base_pfn == run->base_pfn &&
	    READ_ONCE(buf->state) >= DPMGR_BUF_LIVE)
		look(buf, arg);
}
DPMGR_EXPORT_FOR_TESTS(dpmgr_buf_look);

/**
 * dpmgr_buf_restore() - make a saved run a pending buffer again
 * @client: absent, of the manager being created
 * @base_pfn: first page
 * @nr_pages: length
 * @slack: bytes
 * @tag: legal
 *
 * Context: may sleep.
 * Return: 0; -EBADMSG if the run can't be claimed in the client's pool;
 * -ENOSPC if the state region is too small to save it again; -ENOMEM.
 */
int dpmgr_buf_restore(struct dpmgr_client *client, u64 base_pfn, u32 nr_pages,
		      u16 slack, const char *tag)
{
	struct dpmgr_buf *buf;

	dpmgr_refill_stocks(client->mgr, GFP_KERNEL);
	buf = buf_create(client, nr_pages, slack, tag);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	if (dpmgr_pages_claim(&client->pool->pages, base_pfn, nr_pages, buf)) {
		buf_discard(buf, false);
		return -EBADMSG;
	}
	buf_attach(buf, base_pfn, &client->pending, DPMGR_BUF_PENDING);
	return 0;
}

/* Accessors tell a stale handle too, without a word: they are on fast paths. */
static bool is_live(const struct dpmgr_buf *buf)
{
	return !IS_ERR_OR_NULL(buf) && READ_ONCE(buf->state) == DPMGR_BUF_LIVE;
}

/**
 * dpmgr_buf_vaddr() - where the CPU finds a buffer
 * @buf: the buffer
 *
 * Context: any.
 * Return: the address, or ERR_PTR(-ESTALE).
 */
void *dpmgr_buf_vaddr(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? buf->vaddr : ERR_PTR(-ESTALE);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_vaddr, DMA_POOL_MGR);

/**
 * dpmgr_buf_size() - the size that was asked for
 * @buf: the buffer
 *
 * Context: any.
 * Return: bytes; 0 for a stale handle.
 */
size_t dpmgr_buf_size(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? PFN_PHYS(buf->nr_pages) - buf->slack : 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_size, DMA_POOL_MGR);

/**
 * dpmgr_buf_nr_pages() - the number of a buffer's pages
 * @buf: the buffer
 *
 * Context: any.
 * Return: pages; 0 for a stale handle.
 */
size_t dpmgr_buf_nr_pages(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? buf->nr_pages : 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_nr_pages, DMA_POOL_MGR);

/**
 * dpmgr_buf_dma_addr() - where the client's device finds a buffer
 * @buf: the buffer
 *
 * Context: any.
 * Return: the address of the first byte, or DMA_MAPPING_ERROR for a stale
 * handle.
 */
dma_addr_t dpmgr_buf_dma_addr(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? PFN_PHYS(buf->base_pfn) : DMA_MAPPING_ERROR;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_dma_addr, DMA_POOL_MGR);

/**
 * dpmgr_buf_pfn() - a buffer's physical page
 * @buf: the buffer
 * @i: which, from 0
 *
 * Context: any.
 * Return: the page frame number; U64_MAX beyond the end or for a stale handle.
 */
u64 dpmgr_buf_pfn(const struct dpmgr_buf *buf, size_t i)
{
	return is_live(buf) && i < buf->nr_pages ? buf->base_pfn + i : U64_MAX;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_pfn, DMA_POOL_MGR);

/**
 * dpmgr_buf_tag() - what a buffer is for
 * @buf: the buffer
 *
 * Context: any.
 * Return: the tag, valid as long as the buffer; ERR_PTR(-ESTALE) for a stale
 * handle.
 */
const char *dpmgr_buf_tag(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? buf->tag->name : ERR_PTR(-ESTALE);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_tag, DMA_POOL_MGR);

/**
 * dpmgr_buf_is_contiguous() - whether a buffer's pages follow each other
 * @buf: the buffer
 *
 * Context: any.
 * Return: true for every live buffer from a pool; false for a stale handle.
 */
bool dpmgr_buf_is_contiguous(const struct dpmgr_buf *buf)
{
	return is_live(buf);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_is_contiguous, DMA_POOL_MGR);
