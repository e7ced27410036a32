// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs of pages in a set of physical ranges: which range, or which CPU's front,
 * serves a request. What happens inside a range is in page_range.c, the fronts
 * are in page_front.c.
 *
 * Nothing is allocated after dpmgr_pages_init().
 *
 * Locking: one raw spinlock a range protects that range, one a front protects
 * that front; a range's is taken inside a front's. Neither is ever held across
 * scrubbing or allocation.
 */
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/numa.h>
#include <linux/overflow.h>
#include <linux/prefetch.h>
#include <linux/slab.h>

#include "export.h"
#include "page_fit.h"

#define RANGE_COST_MAX	3

/*
 * How unwillingly a range serves a request: the preferred node comes first, and
 * for memory that need not survive a kexec, so do ranges that would not. Up to
 * RANGE_COST_MAX; negative if it can't serve it at all.
 */
static int range_cost(const struct dpmgr_pages *pages,
		      const struct dpmgr_page_range *range,
		      const struct dpmgr_page_request *request)
{
	const struct dpmgr_page_range_info *info = &range->info;
	int cost = 0;

	if (info->base_pfn + request->nr_pages > request->end_pfn ||
	    (request->persistent && !info->persistent))
		return -1;
	if (request->node != NUMA_NO_NODE && info->node != request->node)
		cost += 2;
	if (pages->has_volatile && info->persistent && !request->persistent)
		cost += 1;
	return cost;
}

/* The range to try first, or -ENOSPC if none can serve @request. */
int dpmgr_page_best_range(const struct dpmgr_pages *pages,
			  const struct dpmgr_page_request *request)
{
	int lowest = RANGE_COST_MAX + 1, best = -ENOSPC;
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++) {
		int cost = range_cost(pages, pages->ranges[i], request);

		if (cost >= 0 && cost < lowest) {
			lowest = cost;
			best = i;
		}
	}
	return best;
}

typedef bool (*take_fn)(struct dpmgr_page_range *range,
			const struct dpmgr_page_request *request, void *owner,
			struct dpmgr_page_run *run);

static bool take_from_any(const struct dpmgr_pages *pages, take_fn take,
			  const struct dpmgr_page_request *request, void *owner,
			  struct dpmgr_page_run *run)
{
	unsigned int i;
	int cost;

	for (cost = 0; cost <= RANGE_COST_MAX; cost++) {
		for (i = 0; i < pages->nr_ranges; i++) {
			struct dpmgr_page_range *range = pages->ranges[i];

			if (range_cost(pages, range, request) == cost &&
			    take(range, request, owner, run))
				return true;
		}
	}
	return false;
}

/* The best range has nothing: try the others, and then what is parked. */
static noinline int take_elsewhere(struct dpmgr_pages *pages,
				   const struct dpmgr_page_request *request,
				   void *owner, struct dpmgr_page_run *run)
{
	if (!pages->is_simple &&
	    take_from_any(pages, dpmgr_page_range_take, request, owner, run))
		return 0;
	if (dpmgr_pages_flush(pages) &&
	    take_from_any(pages, dpmgr_page_range_take, request, owner, run))
		return 0;
	return -ENOSPC;
}

/**
 * dpmgr_pages_take() - allocate a run of clean pages
 * @pages: the allocator
 * @request: what is asked for
 * @owner: remembered with the run, not NULL
 * @run: filled in on success
 *
 * The cost does not depend on how much is allocated. That has a price: with eight
 * or more free runs in the way that are about as long as the request and do
 * not hold it (they are shorter by less than 1/32, or not where the alignment or
 * the limit needs them), it may not be found. dpmgr_pages_search() finds it.
 *
 * Context: any but NMI.
 * Return: 0, or -ENOSPC if no suitable range has a clean run found to fit.
 */
int dpmgr_pages_take(struct dpmgr_pages *pages,
		     const struct dpmgr_page_request *request, void *owner,
		     struct dpmgr_page_run *run)
{
	struct dpmgr_page_range *range;
	unsigned long flags;
	struct page_fit fit;
	int best = 0;

	if (page_front_is_in_use(pages) &&
	    dpmgr_page_front_take(pages, request, owner, run))
		return 0;
	if (unlikely(!pages->is_simple)) {
		best = dpmgr_page_best_range(pages, request);
		if (best < 0)
			return best;
	}
	range = pages->ranges[best];
	raw_spin_lock_irqsave(&range->lock, flags);
	fit = page_find_fit(range, request);
	if (unlikely(fit.index == NONE)) {
		raw_spin_unlock_irqrestore(&range->lock, flags);
		return take_elsewhere(pages, request, owner, run);
	}
	page_allocate(range, fit, request->nr_pages,
		      page_head(request->nr_pages, DPMGR_PAGE_USED), owner);
	raw_spin_unlock_irqrestore(&range->lock, flags);
	page_set_run(run, range, fit.first, request->nr_pages, owner);
	return 0;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_take);

/**
 * dpmgr_pages_search() - allocate a run of clean pages if there is one at all
 * @pages: the allocator
 * @request: what is asked for
 * @owner: remembered with the run, not NULL
 * @run: filled in on success
 *
 * The cost grows with the number of runs; interrupts are let in now and then.
 *
 * Context: process.
 * Return: 0, or -ENOSPC.
 */
int dpmgr_pages_search(struct dpmgr_pages *pages,
		       const struct dpmgr_page_request *request, void *owner,
		       struct dpmgr_page_run *run)
{
	dpmgr_pages_flush(pages);
	return take_from_any(pages, dpmgr_page_range_search, request, owner, run) ?
		0 : -ENOSPC;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_search);

/**
 * dpmgr_pages_take_dirty() - allocate dirty pages, to scrub and put them
 * @pages: the allocator
 * @max_pages: most pages to take, not 0
 * @run: filled in on success; has no owner
 *
 * Context: any but NMI.
 * Return: whether there were any.
 */
bool dpmgr_pages_take_dirty(struct dpmgr_pages *pages, u32 max_pages,
			    struct dpmgr_page_run *run)
{
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++)
		if (dpmgr_page_range_take_dirty(pages->ranges[i], max_pages, run))
			return true;
	return false;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_take_dirty);

/**
 * dpmgr_pages_find() - the range that holds a page
 * @pages: the allocator
 * @pfn: the page
 *
 * Context: any.
 * Return: the range's index, or -ENOENT.
 */
int dpmgr_pages_find(const struct dpmgr_pages *pages, u64 pfn)
{
	unsigned int low = 0, high = pages->nr_ranges;

	if (likely(high && pfn - pages->ranges[0]->info.base_pfn <
		   pages->ranges[0]->info.nr_pages))
		return 0;
	while (low < high) {
		unsigned int mid = low + (high - low) / 2;
		const struct dpmgr_page_range *range = pages->ranges[mid];

		if (pfn < range->info.base_pfn)
			high = mid;
		else if (pfn >= page_end_pfn(range))
			low = mid + 1;
		else
			return mid;
	}
	return -ENOENT;
}

/* The range that holds a whole run, or -ENOENT. */
static __always_inline int find_whole(const struct dpmgr_pages *pages,
				      u64 base_pfn, u32 nr_pages)
{
	const struct dpmgr_page_range *range = pages->ranges[0];
	u64 index = base_pfn - range->info.base_pfn;
	int i = 0;

	if (unlikely(index >= range->info.nr_pages)) {
		i = dpmgr_pages_find(pages, base_pfn);
		if (i < 0)
			return i;
		range = pages->ranges[i];
		index = base_pfn - range->info.base_pfn;
	}
	/* A length of 0 is the longest here. */
	return nr_pages - 1 < range->info.nr_pages - index ? i : -ENOENT;
}

/**
 * dpmgr_pages_claim() - allocate a given run
 * @pages: the allocator
 * @base_pfn: its first page
 * @nr_pages: its length
 * @owner: remembered with the run, not NULL
 *
 * The pages keep their contents. The cost is the number of runs between the last
 * claim in that range and this one: amortised O(1) for claims in address order,
 * up or down, O(runs in the range) for one in any other.
 *
 * Context: any but NMI; meant for restoring, before anything is handed out.
 * Return: 0; -EINVAL if the run is empty or not inside one range that survives
 * a kexec; -EBUSY if a page of it is used or quarantined, or if some are free and
 * some dirty, which can't be before anything was handed out.
 */
int dpmgr_pages_claim(struct dpmgr_pages *pages, u64 base_pfn, u32 nr_pages,
		      void *owner)
{
	int i = find_whole(pages, base_pfn, nr_pages);
	struct dpmgr_page_range *range;
	u32 index;
	int ret;

	if (i < 0 || !pages->ranges[i]->info.persistent)
		return -EINVAL;
	range = pages->ranges[i];
	index = base_pfn - range->info.base_pfn;
	ret = dpmgr_page_range_claim(range, index, nr_pages, owner);
	if (ret && dpmgr_pages_flush(pages))
		ret = dpmgr_page_range_claim(range, index, nr_pages, owner);
	return ret;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_claim);

/**
 * dpmgr_pages_put() - free a run, which must be clean
 * @pages: the allocator
 * @run: as it was allocated
 *
 * Context: any but NMI.
 * Return: 0; -EINVAL, and nothing has changed, unless exactly this run is
 * allocated and has this owner: dpmgr_pages_look() says what is there instead.
 */
int dpmgr_pages_put(struct dpmgr_pages *pages, const struct dpmgr_page_run *run)
{
	int i = find_whole(pages, run->base_pfn, run->nr_pages);
	struct dpmgr_page_range *range;
	u32 index;

	if (i < 0)
		return -EINVAL;
	range = pages->ranges[i];
	index = run->base_pfn - range->info.base_pfn;
	if (pages->fronts && !page_is_nearly_full(range) &&
	    dpmgr_page_front_put(pages, i, run))
		return 0;

	/* Both neighbours' tags too, all at once, if they are in no cache. */
	prefetchw(&range->tags[index] - 1);
	prefetchw(&range->tags[index] + run->nr_pages);
	guard(raw_spinlock_irqsave)(&range->lock);
	if (!page_grab(&range->tags[index], run,
		       page_head(run->nr_pages, DPMGR_PAGE_INSIDE).word))
		return -EINVAL;
	if (likely(run->owner))
		page_uncount_used(range, run->nr_pages);
	else
		range->nr_dirty -= run->nr_pages;
	page_release(range, index, run->nr_pages);
	return 0;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_put);

/**
 * dpmgr_pages_quarantine() - keep pages of a run out for good
 * @pages: the allocator
 * @run: as it was allocated
 * @base_pfn: the first page to quarantine
 * @nr_pages: how many
 *
 * What is left of @run on either side is allocated as a run of its own, with the
 * same owner.
 *
 * Context: any but NMI.
 * Return: 0; -EINVAL, and nothing has changed, unless exactly this run is
 * allocated, has this owner and holds all these pages.
 */
int dpmgr_pages_quarantine(struct dpmgr_pages *pages,
			   const struct dpmgr_page_run *run, u64 base_pfn,
			   u32 nr_pages)
{
	int i = find_whole(pages, run->base_pfn, run->nr_pages);
	u64 offset = base_pfn - run->base_pfn;

	if (i < 0 || !nr_pages || offset >= run->nr_pages ||
	    nr_pages > run->nr_pages - offset)
		return -EINVAL;
	return dpmgr_page_range_quarantine(pages->ranges[i], run,
					   base_pfn - pages->ranges[i]->info.base_pfn,
					   nr_pages);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_quarantine);

/**
 * dpmgr_pages_next_some() - the next runs of a given state
 * @pages: the allocator
 * @from_pfn: where to start looking
 * @end_pfn: where to end: runs that begin there or above are not looked at
 * @state: DPMGR_PAGE_USED, of runs with an owner, or any other but
 *	DPMGR_PAGE_INSIDE
 * @runs: filled in, in address order
 * @max: room in @runs, not 0
 *
 * Goes through all runs in address order when called again with the page after
 * the last, also while others allocate and free: then @runs are what was there for
 * a moment, and it is for the caller to keep their owners' memory.
 *
 * Context: any but NMI. The cost is the number of runs passed over.
 * Return: how many were found; 0 if there are no more.
 */
unsigned int dpmgr_pages_next_some(struct dpmgr_pages *pages, u64 from_pfn,
				   u64 end_pfn, enum dpmgr_page_state state,
				   struct dpmgr_page_run *runs, unsigned int max)
{
	unsigned int nr = 0, i;

	for (i = 0; i < pages->nr_ranges && !nr; i++) {
		struct dpmgr_page_range *range = pages->ranges[i];
		u64 base_pfn = range->info.base_pfn;
		u64 from = max(from_pfn, base_pfn);
		u64 end = min(end_pfn, page_end_pfn(range));

		if (from < end)
			nr = dpmgr_page_range_next(range, from - base_pfn,
						   end - base_pfn, state, runs,
						   max);
	}
	return nr;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_next_some);

/**
 * dpmgr_pages_next() - the next run of a given state
 * @pages: the allocator
 * @from_pfn: where to start looking
 * @end_pfn: where to end: runs that begin there or above are not looked at
 * @state: as for dpmgr_pages_next_some()
 * @run: filled in on success
 *
 * Context: any but NMI. The cost is the number of runs passed over.
 * Return: whether there is one.
 */
bool dpmgr_pages_next(struct dpmgr_pages *pages, u64 from_pfn, u64 end_pfn,
		      enum dpmgr_page_state state, struct dpmgr_page_run *run)
{
	return dpmgr_pages_next_some(pages, from_pfn, end_pfn, state, run, 1);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_next);

/**
 * dpmgr_pages_look() - what a page is part of, for a report
 * @pages: the allocator
 * @pfn: the page
 * @run: filled in with the run that holds it
 *
 * Context: any. The cost is the run's length. While others allocate and free,
 * what is there may have changed since.
 * Return: the run's state; DPMGR_PAGE_INSIDE for a page of no range.
 */
enum dpmgr_page_state dpmgr_pages_look(struct dpmgr_pages *pages, u64 pfn,
				       struct dpmgr_page_run *run)
{
	int i = dpmgr_pages_find(pages, pfn);
	const struct dpmgr_page_range *range;
	union page_end end;
	u32 index;

	*run = (struct dpmgr_page_run){};
	if (i < 0)
		return DPMGR_PAGE_INSIDE;
	range = pages->ranges[i];
	index = pfn - range->info.base_pfn;
	for (;; index--) {
		end.word = READ_ONCE(range->tags[index].end.word);
		if ((end.state != DPMGR_PAGE_INSIDE && !end.is_tail) || !index)
			break;
	}
	run->base_pfn = range->info.base_pfn + index;
	run->nr_pages = page_length(end);
	if (end.state == DPMGR_PAGE_USED)
		run->owner = READ_ONCE(range->tags[index].owner);
	return end.state;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_look);

/**
 * dpmgr_pages_owner() - who owns a run
 * @pages: the allocator
 * @base_pfn: its first page
 * @nr_pages: its length
 *
 * Context: any. The caller keeps the owner from going away.
 * Return: the owner, or NULL if exactly this run is not allocated.
 */
void *dpmgr_pages_owner(const struct dpmgr_pages *pages, u64 base_pfn,
			u32 nr_pages)
{
	int i = find_whole(pages, base_pfn, nr_pages);
	const struct dpmgr_page_range *range;
	const struct page_tag *tag;

	if (i < 0)
		return NULL;
	range = pages->ranges[i];
	tag = &range->tags[base_pfn - range->info.base_pfn];
	/* Pairs with the release when a front makes a run used. */
	if (smp_load_acquire(&tag->end.word) !=
	    page_head(nr_pages, DPMGR_PAGE_USED).word)
		return NULL;
	return READ_ONCE(tag->owner);
}

/**
 * dpmgr_pages_count() - counters of one range
 * @pages: the allocator
 * @range: index of the range
 * @counts: filled in
 *
 * Context: any but NMI.
 */
void dpmgr_pages_count(struct dpmgr_pages *pages, unsigned int range,
		       struct dpmgr_page_counts *counts)
{
	u64 parked, parked_runs, in_runs;

	dpmgr_page_fronts_count(pages, range, &parked, &parked_runs);
	dpmgr_page_range_count(pages->ranges[range], counts);
	/* Some may have been unparked in between. */
	parked = min(parked, counts->used);
	in_runs = counts->free;
	counts->parked = parked;
	counts->used -= parked;
	counts->free += parked;
	counts->runs -= min(parked_runs, counts->runs);
	if (in_runs)
		counts->fragmentation = 1000 - counts->largest * 1000 / in_runs;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_count);

/**
 * dpmgr_pages_info() - what is fixed about one range
 * @pages: the allocator
 * @range: index of the range
 * @info: filled in
 *
 * Context: any.
 */
void dpmgr_pages_info(const struct dpmgr_pages *pages, unsigned int range,
		      struct dpmgr_page_range_info *info)
{
	*info = pages->ranges[range]->info;
}

/**
 * dpmgr_pages_largest() - the longest run that could ever be allocated
 * @pages: the allocator
 * @request: whose @nr_pages is ignored
 *
 * Context: any.
 * Return: pages; 0 if no range serves such a request.
 */
u64 dpmgr_pages_largest(const struct dpmgr_pages *pages,
			const struct dpmgr_page_request *request)
{
	u64 largest = 0;
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++) {
		const struct dpmgr_page_range_info *info =
			&pages->ranges[i]->info;
		u64 base_pfn = ALIGN(info->base_pfn, 1ULL << request->align_order);
		u64 end_pfn = min(request->end_pfn,
				  info->base_pfn + info->nr_pages);

		if (end_pfn > base_pfn &&
		    (info->persistent || !request->persistent))
			largest = max(largest, end_pfn - base_pfn);
	}
	return largest;
}

/**
 * dpmgr_pages_init() - set up an allocator; every page starts dirty
 * @pages: the allocator
 * @infos: the ranges, in ascending address order and not overlapping
 * @nr_ranges: entries in @infos, 1 to DPMGR_PAGE_RANGES_MAX
 * @fronts: whether CPUs may keep some clean runs for themselves
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for a range that is empty, too long or out of order, or
 * for too many; -ENOMEM.
 */
int dpmgr_pages_init(struct dpmgr_pages *pages,
		     const struct dpmgr_page_range_info *infos,
		     unsigned int nr_ranges, bool fronts)
{
	u64 end_pfn = 0;
	unsigned int i;
	int ret;

	*pages = (struct dpmgr_pages){};
	if (!nr_ranges || nr_ranges > DPMGR_PAGE_RANGES_MAX)
		return -EINVAL;
	for (i = 0; i < nr_ranges; i++) {
		if (!infos[i].nr_pages || infos[i].nr_pages > DPMGR_PAGES_MAX ||
		    infos[i].base_pfn < end_pfn ||
		    check_add_overflow(infos[i].base_pfn, infos[i].nr_pages,
				       &end_pfn))
			return -EINVAL;
		pages->nr_pages += infos[i].nr_pages;
		pages->has_volatile |= !infos[i].persistent;
	}

	pages->is_simple = nr_ranges == 1 && !pages->has_volatile;

	ret = -ENOMEM;
	pages->ranges = kcalloc(nr_ranges, sizeof(*pages->ranges), GFP_KERNEL);
	if (!pages->ranges)
		goto fail;
	for (; pages->nr_ranges < nr_ranges; pages->nr_ranges++) {
		pages->ranges[pages->nr_ranges] =
			dpmgr_page_range_create(&infos[pages->nr_ranges]);
		if (!pages->ranges[pages->nr_ranges])
			goto fail;
	}
	if (fronts) {
		ret = dpmgr_page_fronts_init(pages);
		if (ret)
			goto fail;
	}
	return 0;

fail:
	dpmgr_pages_destroy(pages);
	return ret;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_init);

/**
 * dpmgr_pages_destroy() - forget every run; the pages are not touched
 * @pages: the allocator, or one whose init failed or that is all zero
 *
 * Context: may sleep. Nobody else may use @pages any more.
 */
void dpmgr_pages_destroy(struct dpmgr_pages *pages)
{
	dpmgr_page_fronts_destroy(pages);
	while (pages->nr_ranges)
		dpmgr_page_range_destroy(pages->ranges[--pages->nr_ranges]);
	kfree(pages->ranges);
	*pages = (struct dpmgr_pages){};
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_destroy);
