// SPDX-License-Identifier: GPL-2.0-only
/*
 * Per-CPU fronts: short lists of clean runs of common sizes, so that CPUs that
 * allocate and free small runs don't meet at a range's lock.
 *
 * A run in a front is parked: to its range it is not free, so it does not merge
 * and nobody else is handed it, but it counts as free, and every front is
 * flushed before an allocation fails. All fronts together hold at most 1/64 of
 * the allocator's pages, and one size at most half of a front, so that no size
 * keeps all others out. The runs of one list are of one range.
 *
 * A front is filled by frees, and by taking several runs from their range at
 * once; a list that is full gives half of what it has back at once. So where one
 * CPU allocates and another frees, they meet at the lock once in many runs. Of a
 * range that is nearly full, nothing is parked: there, the best fit among all
 * free runs is worth more.
 *
 * Locking: a front's lock protects its lists and the links between parked runs;
 * inside it a range's lock is taken. A run goes from used to parked by one
 * cmpxchg on its first tag, without the range's lock, so that of two who free it
 * one is refused; whoever has brought that about, or has taken the run off its
 * list, alone may write that tag until the run is used or free again. The owner
 * in a tag is left as it was until there is a new one, so that whoever reads it
 * under the range's lock gets one of the two.
 */
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/cache.h>
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>

#include "export.h"
#include "page_fit.h"

/* One list each for 1 to 8 pages, and for each power of two up to 512. */
#define SIZES_EACH	8
#define SIZE_MAX_ORDER	9
#define NR_SIZES	DPMGR_PAGE_FRONT_SIZES

static_assert(SIZES_EACH + SIZE_MAX_ORDER - 3 == NR_SIZES);

/* The part of the allocator's pages that fronts may hold. */
#define FRONTS_SHARE	64

#define FRONT_PAGES_MAX	8192
#define LIST_RUNS_MAX	128

/* Most runs that are taken from a range at once. */
#define REFILL_RUNS	16U

/* Which list runs of @nr_pages are on, or -1 if there is none. */
static int list_of(u32 nr_pages)
{
	if (nr_pages <= SIZES_EACH)
		return nr_pages - 1;
	if (nr_pages > BIT(SIZE_MAX_ORDER) || !is_power_of_2(nr_pages))
		return -1;
	return SIZES_EACH - 4 + ilog2(nr_pages);
}

/* Take several runs from the range that is best for @request. */
static noinline bool refill(struct dpmgr_pages *pages,
			    struct dpmgr_page_front *front, int which,
			    const struct dpmgr_page_request *request)
{
	struct page_front_list *list = &front->lists[which];
	unsigned int count;
	int range;

	/* Half of a list; of a short one, that of long runs, all. */
	count = request->nr_pages > SIZES_EACH ? pages->front_runs[which] :
						  pages->front_runs[which] / 2U;
	count = min3(count, REFILL_RUNS,
		     (pages->front_pages - front->nr_pages) / request->nr_pages);
	range = count > 1 ? dpmgr_page_best_range(pages, request) : -1;
	if (range < 0 || page_is_nearly_full(pages->ranges[range]))
		return false;
	list->head = NONE;
	list->range = range;
	list->nr_runs = dpmgr_page_range_park(pages->ranges[range],
					      request->nr_pages, count,
					      &list->head);
	WRITE_ONCE(front->nr_pages,
		   front->nr_pages + list->nr_runs * request->nr_pages);
	return list->nr_runs;
}

/* Would the first run of @list be what a search of all ranges might give? */
static bool suits(const struct dpmgr_pages *pages, const struct page_front_list *list,
		  const struct dpmgr_page_request *request)
{
	const struct dpmgr_page_range *range = pages->ranges[list->range];
	u64 pfn = range->info.base_pfn + list->head;

	return pfn + request->nr_pages <= request->end_pfn &&
	       !(pfn & ((1ULL << request->align_order) - 1)) &&
	       (range->info.persistent || !request->persistent) &&
	       (pages->nr_ranges == 1 ||
		dpmgr_page_best_range(pages, request) == list->range);
}

/* Allocate from this CPU's front, if that has what is asked for. */
bool dpmgr_page_front_take(struct dpmgr_pages *pages,
			   const struct dpmgr_page_request *request, void *owner,
			   struct dpmgr_page_run *run)
{
	struct dpmgr_page_range *range;
	struct dpmgr_page_front *front;
	struct page_front_list *list;
	struct page_tag *tag;
	int which;

	which = list_of(request->nr_pages);
	if (which < 0)
		return false;

	/* Another CPU's would do as well, should we be moved to one. */
	front = raw_cpu_ptr(pages->fronts);
	scoped_guard(raw_spinlock_irqsave, &front->lock) {
		list = &front->lists[which];
		if (!list->nr_runs && !refill(pages, front, which, request))
			return false;
		if (!suits(pages, list, request))
			return false;
		range = pages->ranges[list->range];
		tag = &range->tags[list->head];
		run->base_pfn = range->info.base_pfn + list->head;
		list->head = tag->end.nr_pages;
		list->nr_runs--;
		WRITE_ONCE(front->nr_pages, front->nr_pages - request->nr_pages);
	}
	run->nr_pages = request->nr_pages;
	run->owner = owner;
	WRITE_ONCE(tag->owner, owner);
	/* Who sees the run used, sees its owner. */
	smp_store_release(&tag->end.word,
			  page_head(request->nr_pages, DPMGR_PAGE_USED).word);
	return true;
}

/* Give @count runs of @nr_pages, of the first on @list, back to their range. */
static void flush_list(struct dpmgr_pages *pages, struct dpmgr_page_front *front,
		       struct page_front_list *list, u32 nr_pages, unsigned int count)
{
	struct dpmgr_page_range *range = pages->ranges[list->range];
	u32 first = list->head, last = first;
	unsigned int i;

	if (!count)
		return;
	for (i = 1; i < count; i++)
		last = range->tags[last].end.nr_pages;
	list->head = range->tags[last].end.nr_pages;
	list->nr_runs -= count;
	WRITE_ONCE(front->nr_pages, front->nr_pages - count * nr_pages);
	WRITE_ONCE(range->tags[last].end.nr_pages, NONE);
	dpmgr_page_range_unpark(range, first);
}

/*
 * Park a used run in this CPU's front. If it is not used, or not by its owner,
 * nothing has changed.
 */
bool dpmgr_page_front_put(struct dpmgr_pages *pages, unsigned int range,
			  const struct dpmgr_page_run *run)
{
	const u64 parked = page_parked(run->nr_pages, NONE).word;
	struct dpmgr_page_front *front;
	struct page_front_list *list;
	unsigned int limit;
	struct page_tag *tag;
	int which;
	u32 index;

	which = list_of(run->nr_pages);
	if (which < 0 || !run->owner)
		return false;
	limit = pages->front_runs[which];
	if (!limit)
		return false;

	index = run->base_pfn - pages->ranges[range]->info.base_pfn;
	tag = &pages->ranges[range]->tags[index];
	if (!page_grab(tag, run, parked))
		return false;

	front = raw_cpu_ptr(pages->fronts);
	guard(raw_spinlock_irqsave)(&front->lock);
	list = &front->lists[which];
	if (list->nr_runs && list->range != range)
		flush_list(pages, front, list, run->nr_pages, list->nr_runs);
	else if (list->nr_runs >= limit)
		flush_list(pages, front, list, run->nr_pages,
			   DIV_ROUND_UP(list->nr_runs, 2));
	if (front->nr_pages + run->nr_pages > pages->front_pages) {
		dpmgr_page_range_unpark(pages->ranges[range], index);
		return true;
	}
	if (list->nr_runs)
		WRITE_ONCE(tag->end.nr_pages, list->head);
	list->head = index;
	list->range = range;
	list->nr_runs++;
	WRITE_ONCE(front->nr_pages, front->nr_pages + run->nr_pages);
	return true;
}

static u32 size_of(unsigned int which)
{
	return which < SIZES_EACH ? which + 1 : BIT(which - SIZES_EACH + 4);
}

/**
 * dpmgr_pages_flush() - make what is parked in the fronts of all CPUs free
 * @pages: the allocator
 *
 * Context: any but NMI.
 * Return: whether there was anything.
 */
bool dpmgr_pages_flush(struct dpmgr_pages *pages)
{
	bool flushed = false;
	unsigned int i;
	int cpu;

	if (!pages->fronts)
		return false;
	for_each_possible_cpu(cpu) {
		struct dpmgr_page_front *front = per_cpu_ptr(pages->fronts, cpu);

		/* What comes in later might as well have come in after us. */
		if (!READ_ONCE(front->nr_pages))
			continue;
		guard(raw_spinlock_irqsave)(&front->lock);
		for (i = 0; i < NR_SIZES; i++) {
			struct page_front_list *list = &front->lists[i];

			flushed |= list->nr_runs;
			flush_list(pages, front, list, size_of(i), list->nr_runs);
		}
	}
	return flushed;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_flush);

/* What is parked of one range. */
void dpmgr_page_fronts_count(struct dpmgr_pages *pages, unsigned int range,
			     u64 *nr_pages, u64 *nr_runs)
{
	unsigned int i;
	int cpu;

	*nr_pages = 0;
	*nr_runs = 0;
	if (!pages->fronts)
		return;
	for_each_possible_cpu(cpu) {
		struct dpmgr_page_front *front = per_cpu_ptr(pages->fronts, cpu);

		guard(raw_spinlock_irqsave)(&front->lock);
		for (i = 0; i < NR_SIZES; i++) {
			const struct page_front_list *list = &front->lists[i];

			if (list->range != range)
				continue;
			*nr_runs += list->nr_runs;
			*nr_pages += (u64)list->nr_runs * size_of(i);
		}
	}
}

/* Fronts, unless there are too few pages for them. 0 or -ENOMEM. */
int dpmgr_page_fronts_init(struct dpmgr_pages *pages)
{
	unsigned int i;
	int cpu;

	pages->front_pages = min_t(u64, FRONT_PAGES_MAX,
				   pages->nr_pages / FRONTS_SHARE /
				   num_possible_cpus());
	if (!pages->front_pages)
		return 0;
	pages->fronts = alloc_percpu(struct dpmgr_page_front);
	if (!pages->fronts)
		return -ENOMEM;
	for (i = 0; i < NR_SIZES; i++)
		pages->front_runs[i] = min(pages->front_pages / 2 / size_of(i),
					   (u32)LIST_RUNS_MAX);
	for_each_possible_cpu(cpu)
		raw_spin_lock_init(&per_cpu_ptr(pages->fronts, cpu)->lock);
	return 0;
}

void dpmgr_page_fronts_destroy(struct dpmgr_pages *pages)
{
	free_percpu(pages->fronts);
	pages->fronts = NULL;
}
