// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers: allocated, freed in any context, drained, parked, looked at.
 *
 * dpmgr_free() only marks a buffer and links it into a lock-free list. A worker,
 * or an allocation that would otherwise fail and may sleep, takes the list up
 * and walks each buffer's way back: scrub, put back. Clean pages, handles and
 * tags are there beforehand, so an allocation that may not sleep needs nothing
 * else.
 *
 * While the manager is frozen, what a generation says about persistent clients
 * must stay true: they get nothing, and what they free stays as it is. An
 * allocation looks at the flag and becomes visible to the walk that saves runs
 * inside one RCU read section; the freeze waits for a grace period in between.
 *
 * Handles are never unmapped before the manager is, so a handle that was given
 * up is told from a live one by its state (until it is handed out again, which
 * the stock puts off as long as it can).
 *
 * Locking: see struct dpmgr, struct dpmgr_client and enum dpmgr_buf_state.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <kunit/visibility.h>
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr_abi.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "client.h"
#include "pool.h"

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
	size_t len, i;

	if (!text || !*text)
		return -EINVAL;
	len = strnlen(text, max_len + 1);
	if (len > max_len)
		return -ENAMETOOLONG;
	for (i = 0; i < len; i++)
		if (text[i] < lowest || text[i] > '~')
			return -EINVAL;
	return 0;
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

	guard(raw_spinlock_irqsave)(&client->buf_lock);
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

/* Count @nr_pages more against quota and, if persistent, region and module. */
static int charge(struct dpmgr_client *client, u32 nr_pages)
{
	if (!add_within(&client->nr_pages, nr_pages, client->quota))
		return -EDQUOT;
	if (!client->persistent)
		return 0;
	if (dpmgr_state_charge(client->mgr, sizeof(struct dpmgr_abi_run))) {
		atomic64_sub(nr_pages, &client->nr_pages);
		return -ENOSPC;
	}
	__module_get(client->mgr->module);
	return 0;
}

static void uncharge(struct dpmgr_client *client, u32 nr_pages)
{
	atomic64_sub(nr_pages, &client->nr_pages);
	if (!client->persistent)
		return;
	dpmgr_state_uncharge(client->mgr, sizeof(struct dpmgr_abi_run));
	module_put(client->mgr->module);
}

/* A handle with its tag and all charges, but no pages yet. */
static struct dpmgr_buf *buf_create(struct dpmgr_client *client, u32 nr_pages,
				    u16 slack, const char *tag_name)
{
	struct dpmgr_tag *tag;
	struct dpmgr_buf *buf;
	int ret;

	ret = charge(client, nr_pages);
	if (ret)
		return ERR_PTR(ret);
	tag = tag_get(client, tag_name);
	if (IS_ERR(tag)) {
		uncharge(client, nr_pages);
		return ERR_CAST(tag);
	}
	buf = dpmgr_stock_get(&client->mgr->handles);
	if (!buf) {
		scoped_guard(raw_spinlock_irqsave, &client->buf_lock)
			tag_put(client, tag);
		uncharge(client, nr_pages);
		return ERR_PTR(-ENOMEM);
	}
	buf->client = client;
	buf->tag = tag;
	buf->nr_pages = nr_pages;
	buf->slack = slack;
	WRITE_ONCE(buf->state, DPMGR_BUF_NEW);
	return buf;
}

/* Undo buf_create(). */
static void buf_discard(struct dpmgr_buf *buf)
{
	struct dpmgr_client *client = buf->client;
	struct dpmgr *mgr = client->mgr;

	scoped_guard(raw_spinlock_irqsave, &client->buf_lock)
		tag_put(client, buf->tag);
	uncharge(client, buf->nr_pages);
	buf->client = NULL;
	WRITE_ONCE(buf->state, DPMGR_BUF_UNUSED);
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

static void put_back(struct dpmgr_buf *buf)
{
	struct dpmgr_client *client = buf->client;
	struct dpmgr_page_run run = {
		.base_pfn = buf->base_pfn,
		.nr_pages = buf->nr_pages,
		.owner = buf,
	};

	if (WARN_ON_ONCE(dpmgr_pool_put(client->pool, &run)))
		return;
	scoped_guard(raw_spinlock_irqsave, &client->buf_lock) {
		list_del(&buf->link);
		client->nr_bufs--;
	}
	buf_discard(buf);
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
EXPORT_SYMBOL_IF_KUNIT(dpmgr_drain);

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
	const char *tag;
};

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
	if (dpmgr_pages_take(&client->pool->pages, &args->request, buf, &run)) {
		buf_discard(buf);
		return ERR_PTR(-EAGAIN);
	}
	buf_attach(buf, run.base_pfn, &client->bufs, DPMGR_BUF_LIVE);
	return buf;
}

/* Nothing was to be had at once: put back what was freed, scrub what is dirty. */
static struct dpmgr_buf *alloc_under_pressure(struct dpmgr_client *client,
					      const struct alloc_args *args)
{
	struct dpmgr_buf *buf;
	bool more;

	dpmgr_drain(client->mgr);
	buf = try_alloc(client, args);
	if (buf != ERR_PTR(-EAGAIN))
		return buf;
	do {
		more = dpmgr_pool_scrub(client->pool);
		buf = try_alloc(client, args);
	} while (buf == ERR_PTR(-EAGAIN) && more);
	return buf == ERR_PTR(-EAGAIN) ? ERR_PTR(-ENOSPC) : buf;
}

static struct dpmgr_buf *alloc_blocking(struct dpmgr_client *client,
					const struct alloc_args *args, gfp_t gfp)
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

/* Whether @buf was in state @from; it is in state @to now. */
bool dpmgr_buf_give_up(struct dpmgr_buf *buf, enum dpmgr_buf_state from,
		       enum dpmgr_buf_state to)
{
	return cmpxchg(&buf->state, from, to) == from;
}

static int report_stale(const struct dpmgr_buf *buf, const char *call)
{
	pr_err_ratelimited("%s: %p is not a live buffer: it was freed or parked before\n",
			   call, buf);
	return -ESTALE;
}

/**
 * dpmgr_free() - give up a buffer and its pages
 * @buf: the buffer, NULL or an ERR_PTR
 *
 * The device must not use the pages any more. They are scrubbed before anyone
 * gets them.
 *
 * Context: any but NMI.
 * Return: 0, or -ESTALE if the handle was given up before: nothing has changed.
 */
int dpmgr_free(struct dpmgr_buf *buf)
{
	if (IS_ERR_OR_NULL(buf))
		return 0;
	if (!dpmgr_buf_give_up(buf, DPMGR_BUF_LIVE, DPMGR_BUF_DRAINING))
		return report_stale(buf, "dpmgr_free");
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
	if (!dpmgr_buf_give_up(buf, DPMGR_BUF_LIVE, DPMGR_BUF_PARKED))
		return report_stale(buf, "dpmgr_buf_park");
	client = buf->client;
	if (client->persistent)
		return 0;
	WRITE_ONCE(buf->state, DPMGR_BUF_LIVE);
	dev_err(client->dev,
		"dma_pool_mgr: %s: only a persistent client's buffers can be parked\n",
		client->name);
	return -EINVAL;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_park, DMA_POOL_MGR);

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
		buf_discard(buf);
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
