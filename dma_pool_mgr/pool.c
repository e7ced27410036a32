// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools: reserved ranges of one visibility, mapped, with an allocator.
 *
 * Pages come out of the allocator clean and go back clean: dpmgr_pool_put()
 * zeroes them first. A range's pages start dirty, because nothing may be written
 * before it is known which of them hold saved buffers; once that is known, a
 * worker scrubs the others, and an allocation that finds no clean run and may
 * sleep does so itself.
 *
 * A page that holds a memory error is never touched again: scrubbing passes over it,
 * and who frees its run quarantines it. The look at the marks and the free that follows
 * are one RCU read section, so that who marks a page and then waits for a grace period
 * finds it free, or leaves it to who frees it.
 *
 * A pool is mapped once, as a whole, so that no allocation ever maps anything.
 * Pool pages have no struct page that may be relied on.
 *
 * Locking: see struct dpmgr_pool; the allocator has its own.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "core/export.h"
#include "pool.h"

/* Dirty pages that are scrubbed at a time. */
#define SCRUB_PAGES	((u32)(SZ_4M >> PAGE_SHIFT))

/* Pages that are zeroed at a stretch. */
#define RESCHED_PAGES	((u32)(SZ_64K >> PAGE_SHIFT))

const char *dpmgr_visibility_name(enum dpmgr_visibility visibility)
{
	return visibility == DPMGR_SHARED ? "shared" : "private";
}

/* Where a page of the pool is mapped. Context: any. */
void *dpmgr_pool_vaddr(const struct dpmgr_pool *pool, u64 pfn)
{
	int i = dpmgr_pages_find(&pool->pages, pfn);
	const struct dpmgr_mapping *mapping;

	if (WARN_ON_ONCE(i < 0))
		return NULL;
	mapping = &pool->mappings[i];
	return mapping->vaddr + (PFN_PHYS(pfn) - mapping->range.start);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pool_vaddr);

/* Zero pages at a stretch, but for bad ones. Context: any. */
void dpmgr_pool_clear(const struct dpmgr_pool *pool, u64 base_pfn, u32 nr_pages)
{
	void *vaddr;

	if (pool->ops->keep_contents)
		return;
	vaddr = dpmgr_pool_vaddr(pool, base_pfn);
	for (; nr_pages--; vaddr += PAGE_SIZE, base_pfn++)
		if (!dpmgr_pool_is_bad(pool, base_pfn, 1))
			clear_page(vaddr);
}

static void scrub(const struct dpmgr_pool *pool,
		  const struct dpmgr_page_run *run)
{
	u32 done, n;

	if (pool->ops->keep_contents)
		return;
	for (done = 0; done < run->nr_pages; done += n) {
		n = min(run->nr_pages - done, RESCHED_PAGES);
		dpmgr_pool_clear(pool, run->base_pfn + done, n);
		if (n == RESCHED_PAGES)
			cond_resched();
	}
}

/* What was to be freed, and what is there instead. */
static noinline int report_bad_put(struct dpmgr_pool *pool,
				   const struct dpmgr_page_run *run)
{
	static const char * const states[] = {
		[DPMGR_PAGE_INSIDE] = "not the pool's",
		[DPMGR_PAGE_FREE] = "free",
		[DPMGR_PAGE_DIRTY] = "dirty",
		[DPMGR_PAGE_PARKED] = "free, in a CPU's front",
		[DPMGR_PAGE_USED] = "allocated",
		[DPMGR_PAGE_QUARANTINED] = "quarantined",
	};
	enum dpmgr_page_state state;
	struct dpmgr_page_run there;

	state = dpmgr_pages_look(&pool->pages, run->base_pfn, &there);
	pr_err("%s pool: %u pages at %#llx can't be freed by %p: %u pages at %#llx are %s, owner %p\n",
	       dpmgr_visibility_name(pool->visibility), run->nr_pages,
	       PFN_PHYS(run->base_pfn), run->owner, there.nr_pages,
	       PFN_PHYS(there.base_pfn), states[state], there.owner);
	return -EINVAL;
}

/* Quarantine the bad pages of a clean run, and free the others. */
static noinline int put_around_bad(struct dpmgr_pool *pool,
				   const struct dpmgr_page_run *run)
{
	const u64 end = run->base_pfn + run->nr_pages;
	struct dpmgr_page_run rest = *run, piece;
	int ret = 0;
	u64 pfn;

	while (!ret && rest.nr_pages) {
		pfn = dpmgr_pages_next_bad(&pool->pages, rest.base_pfn, end);
		piece = rest;
		piece.nr_pages = pfn - rest.base_pfn;
		if (pfn < end) {
			ret = dpmgr_pages_quarantine(&pool->pages, &rest, pfn, 1);
			if (!ret)
				pr_warn("page %#llx holds a memory error and was freed: quarantined\n",
					PFN_PHYS(pfn));
			pfn++;
		}
		rest.base_pfn = pfn;
		rest.nr_pages = end - pfn;
		if (!ret && piece.nr_pages)
			ret = dpmgr_pages_put(&pool->pages, &piece);
	}
	return ret;
}

/**
 * dpmgr_pool_put_clean() - make a run allocatable that is clean but for bad pages
 * @pool: the pool
 * @run: as it was allocated; the caller alone has it
 *
 * Bad pages are quarantined.
 *
 * Context: any but NMI.
 * Return: 0, or -EINVAL if the run is not allocated like that.
 */
int dpmgr_pool_put_clean(struct dpmgr_pool *pool, const struct dpmgr_page_run *run)
{
	guard(rcu)();
	if (dpmgr_pool_is_bad(pool, run->base_pfn, run->nr_pages))
		return put_around_bad(pool, run);
	return dpmgr_pages_put(&pool->pages, run);
}

/**
 * dpmgr_pool_retire() - quarantine a bad page that nobody has
 * @pool: the pool
 * @pfn: the page, marked before the last grace period
 * @run: filled in with the run that holds it, or held it
 *
 * Context: may sleep.
 * Return: as dpmgr_pages_retire().
 */
int dpmgr_pool_retire(struct dpmgr_pool *pool, u64 pfn, struct dpmgr_page_run *run)
{
	guard(mutex)(&pool->scrub_lock);
	return dpmgr_pages_retire(&pool->pages, pfn, run);
}

/**
 * dpmgr_pool_put() - scrub a run and make it allocatable
 * @pool: the pool
 * @run: as it was allocated; the caller alone has it
 *
 * Context: any but NMI for fewer than RESCHED_PAGES, may sleep for more.
 * Return: 0, or -EINVAL if the run is not allocated like that, which the log
 * says.
 */
int dpmgr_pool_put(struct dpmgr_pool *pool, const struct dpmgr_page_run *run)
{
	scrub(pool, run);
	return likely(!dpmgr_pool_put_clean(pool, run)) ? 0 : report_bad_put(pool, run);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pool_put);

/**
 * dpmgr_pool_put_pieces() - scrub and free what is left of an allocated run
 * @pool: the pool
 * @base_pfn: the run's first page
 * @nr_pages: its length, quarantined pages included
 * @owner: its owner
 *
 * Context: as dpmgr_pool_put().
 * Return: 0, or -EINVAL if some of it is neither quarantined nor allocated to
 * @owner.
 */
int dpmgr_pool_put_pieces(struct dpmgr_pool *pool, u64 base_pfn, u32 nr_pages,
			  void *owner)
{
	struct dpmgr_page_run piece = { base_pfn, nr_pages, owner };
	const u64 end = base_pfn + nr_pages;
	int ret = 0;

	if (dpmgr_pages_owner(&pool->pages, base_pfn, nr_pages) == owner)
		return dpmgr_pool_put(pool, &piece);
	for (; !ret && dpmgr_pages_next(&pool->pages, base_pfn, end,
					DPMGR_PAGE_USED, &piece);
	     base_pfn = piece.base_pfn + piece.nr_pages) {
		piece.owner = owner;
		ret = dpmgr_pool_put(pool, &piece);
	}
	return ret;
}

/**
 * dpmgr_pool_scrub() - make some dirty pages allocatable
 * @pool: the pool
 *
 * Also waits for those that somebody else is scrubbing.
 *
 * Context: may sleep.
 * Return: whether there was anything to do.
 */
bool dpmgr_pool_scrub(struct dpmgr_pool *pool)
{
	struct dpmgr_page_run run;

	guard(mutex)(&pool->scrub_lock);
	if (!dpmgr_pages_take_dirty(&pool->pages, SCRUB_PAGES, &run))
		return false;
	scrub(pool, &run);
	WARN_ON_ONCE(dpmgr_pool_put_clean(pool, &run));
	return true;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pool_scrub);

static void scrub_work(struct work_struct *work)
{
	struct dpmgr_pool *pool =
		container_of(work, struct dpmgr_pool, scrub_work);

	/* One piece at a time, so that nobody waits long for the lock. */
	if (dpmgr_pool_scrub(pool))
		queue_work(system_unbound_wq, &pool->scrub_work);
}

/* What is not claimed by now will be handed out: make it clean. */
void dpmgr_pool_start_scrubbing(struct dpmgr_pool *pool)
{
	queue_work(system_unbound_wq, &pool->scrub_work);
}

static int compare_ranges(const void *a, const void *b)
{
	u64 left = ((const struct dpmgr_mapping *)a)->range.start;
	u64 right = ((const struct dpmgr_mapping *)b)->range.start;

	return left < right ? -1 : left > right;
}

static int map_ranges(struct dpmgr_pool *pool, unsigned int nr_ranges)
{
	const char *rule;
	int ret;

	for (; pool->nr_mapped < nr_ranges; pool->nr_mapped++) {
		struct dpmgr_mapping *mapping = &pool->mappings[pool->nr_mapped];

		ret = pool->ops->map(mapping, &rule);
		if (ret) {
			pr_err("%s=%.*s: %s\n",
			       dpmgr_visibility_name(pool->visibility),
			       mapping->range.text_len, mapping->range.text,
			       rule);
			return ret;
		}
	}
	return 0;
}

static int init_pages(struct dpmgr_pool *pool, unsigned int nr_ranges)
{
	struct dpmgr_page_range_info *infos;
	unsigned int i;
	int ret;

	infos = kcalloc(nr_ranges, sizeof(*infos), GFP_KERNEL);
	if (!infos)
		return -ENOMEM;
	for (i = 0; i < nr_ranges; i++) {
		const struct dpmgr_range *range = &pool->mappings[i].range;

		infos[i] = (struct dpmgr_page_range_info){
			.base_pfn = PHYS_PFN(range->start),
			.nr_pages = PHYS_PFN(range->size),
			.node = pool->ops->node(range->start),
			.persistent = !range->name[0],
		};
	}
	ret = dpmgr_pages_init(&pool->pages, infos, nr_ranges, true);
	kfree(infos);
	return ret;
}

/**
 * dpmgr_pool_create() - claim, map and manage ranges
 * @ops: where they come from
 * @visibility: of all of them
 * @bias: the vTOM bit if there is one and they are shared, else 0
 * @ranges: checked, in any order, not overlapping
 * @nr_ranges: at least 1
 *
 * Nothing is written to the ranges. On failure nothing stays claimed or mapped,
 * and the log says why.
 *
 * Context: may sleep.
 * Return: the pool, or an ERR_PTR.
 */
struct dpmgr_pool *dpmgr_pool_create(const struct dpmgr_mapping_ops *ops,
				     enum dpmgr_visibility visibility, u64 bias,
				     const struct dpmgr_range *ranges,
				     unsigned int nr_ranges)
{
	static const char * const labels[] = {
		[DPMGR_SHARED] = "dma_pool_mgr shared",
		[DPMGR_PRIVATE] = "dma_pool_mgr private",
	};
	struct dpmgr_pool *pool;
	unsigned int i;
	int ret;

	pool = kzalloc(sizeof(*pool), GFP_KERNEL);
	if (!pool)
		return ERR_PTR(-ENOMEM);
	pool->visibility = visibility;
	pool->bias = bias;
	pool->ops = ops;
	mutex_init(&pool->scrub_lock);
	INIT_WORK(&pool->scrub_work, scrub_work);

	ret = -ENOMEM;
	pool->mappings = kcalloc(nr_ranges, sizeof(*pool->mappings), GFP_KERNEL);
	if (!pool->mappings)
		goto fail;
	for (i = 0; i < nr_ranges; i++) {
		pool->mappings[i].range = ranges[i];
		pool->mappings[i].label = labels[visibility];
		pool->mappings[i].decrypted = visibility == DPMGR_SHARED;
		pool->mappings[i].bias = bias;
	}
	sort(pool->mappings, nr_ranges, sizeof(*pool->mappings), compare_ranges,
	     NULL);

	ret = map_ranges(pool, nr_ranges);
	if (ret)
		goto fail;
	ret = init_pages(pool, nr_ranges);
	if (ret) {
		pr_err("%s: no memory to keep account of the pool's pages\n",
		       dpmgr_visibility_name(visibility));
		goto fail;
	}
	return pool;

fail:
	dpmgr_pool_destroy(pool);
	return ERR_PTR(ret);
}

/**
 * dpmgr_pool_destroy() - unmap and release a pool's ranges
 * @pool: the pool, or NULL
 *
 * The pages' contents are left alone.
 *
 * Context: may sleep. Nobody else may use @pool any more.
 */
void dpmgr_pool_destroy(struct dpmgr_pool *pool)
{
	if (!pool)
		return;
	cancel_work_sync(&pool->scrub_work);
	dpmgr_pages_destroy(&pool->pages);
	while (pool->nr_mapped)
		pool->ops->unmap(&pool->mappings[--pool->nr_mapped]);
	mutex_destroy(&pool->scrub_lock);
	kfree(pool->mappings);
	kfree(pool);
}
