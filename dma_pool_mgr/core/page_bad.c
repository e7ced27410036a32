// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that hold a memory error.
 *
 * A bad page is marked once and for good, in any context, in a bit map beside the tags.
 * Marking moves nothing. dpmgr_pages_retire() then quarantines the page if nobody has it.
 * If somebody has, who frees the run looks at the marks, and quarantines what is marked.
 *
 * Locking: the marks are atomic. Retiring takes the range's lock for one run.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/sched.h>

#include "export.h"
#include "page_fit.h"

/* Tags that are passed over at a stretch. */
#define WALK_TAGS	65536

static struct dpmgr_page_range *range_of(const struct dpmgr_pages *pages, u64 pfn,
					 u32 *index)
{
	int i = dpmgr_pages_find(pages, pfn);

	if (i < 0)
		return NULL;
	*index = pfn - pages->ranges[i]->info.base_pfn;
	return pages->ranges[i];
}

/**
 * dpmgr_pages_set_bad() - mark a page that holds a memory error
 * @pages: the allocator
 * @pfn: the page
 *
 * Context: any.
 * Return: 0; -EALREADY if it is marked; -ENOENT if it is in no range.
 */
int dpmgr_pages_set_bad(struct dpmgr_pages *pages, u64 pfn)
{
	struct dpmgr_page_range *range;
	u32 index;

	range = range_of(pages, pfn, &index);
	if (!range)
		return -ENOENT;
	if (test_and_set_bit(index, range->bad))
		return -EALREADY;
	atomic64_inc(&pages->nr_bad);
	return 0;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_set_bad);

/**
 * dpmgr_pages_handle_bad() - see to it that a bad page is dealt with once
 * @pages: the allocator
 * @pfn: a page of a range
 *
 * Context: any.
 * Return: whether this is the first call for that page.
 */
bool dpmgr_pages_handle_bad(struct dpmgr_pages *pages, u64 pfn)
{
	struct dpmgr_page_range *range;
	u32 index;

	range = range_of(pages, pfn, &index);
	return range && !test_and_set_bit(index, range->handled);
}

/**
 * dpmgr_pages_next_bad() - the next page that is marked
 * @pages: the allocator
 * @from_pfn: where to start looking
 * @end_pfn: where to end
 *
 * Context: any. The cost is that of a bit for each page that is passed over.
 * Return: the page, or @end_pfn if there is none.
 */
u64 dpmgr_pages_next_bad(const struct dpmgr_pages *pages, u64 from_pfn, u64 end_pfn)
{
	unsigned int i;

	if (likely(!atomic64_read(&pages->nr_bad)))
		return end_pfn;
	for (i = 0; i < pages->nr_ranges; i++) {
		const struct dpmgr_page_range *range = pages->ranges[i];
		const u64 base_pfn = range->info.base_pfn;
		u64 from = max(from_pfn, base_pfn);
		u64 end = min(end_pfn, page_end_pfn(range));
		u64 pfn;

		if (from >= end)
			continue;
		pfn = base_pfn + find_next_bit(range->bad, end - base_pfn, from - base_pfn);
		if (pfn < end)
			return pfn;
	}
	return end_pfn;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_next_bad);

/* The first page of the run that seems to hold page @index. Context: may sleep. */
static u32 head_of(const struct dpmgr_page_range *range, u32 index)
{
	u32 steps = 0;

	while (index && !page_is_head(range, index)) {
		index--;
		if (!(++steps % WALK_TAGS))
			cond_resched();
	}
	return index;
}

/* Whether @run, which is free or dirty, has lost its page @index to the quarantine. */
static int retire(struct dpmgr_page_range *range, u32 head, u32 index,
		  struct dpmgr_page_run *run)
{
	union page_end end;
	u64 used_max;

	guard(raw_spinlock_irqsave)(&range->lock);
	used_max = range->nr_used_max;
	/* Fronts park and unpark used runs without the lock. */
	end.word = smp_load_acquire(&range->tags[head].end.word);
	/* What was there when the head was looked for may have merged or split since. */
	if (end.state == DPMGR_PAGE_INSIDE || end.is_tail ||
	    index - head >= page_length(end))
		return -EAGAIN;
	page_set_run(run, range, head, page_length(end), NULL);
	switch (end.state) {
	case DPMGR_PAGE_FREE:
		page_allocate(range, (struct page_fit){ head, index }, 1,
			      page_head(1, DPMGR_PAGE_USED), NULL);
		page_uncount_used(range, 1);
		range->nr_used_max = used_max;
		break;
	case DPMGR_PAGE_DIRTY:
		dpmgr_page_carve_dirty(range, head, index, 1, NULL);
		range->nr_dirty--;
		break;
	case DPMGR_PAGE_PARKED:
		return -EXDEV;
	case DPMGR_PAGE_USED:
		run->owner = READ_ONCE(range->tags[head].owner);
		return -EBUSY;
	default:
		return -EALREADY;
	}
	page_write_run(&range->tags[index], 1, DPMGR_PAGE_QUARANTINED);
	range->nr_quarantined++;
	return 0;
}

/**
 * dpmgr_pages_retire() - quarantine a page that nobody has
 * @pages: the allocator
 * @pfn: the page
 * @run: filled in with the run that holds it, or held it
 *
 * The cost is the length of that run, without a lock.
 *
 * Context: may sleep. The caller keeps scrubbers away.
 * Return: 0; -EBUSY if it is allocated, to @run's owner; -EALREADY if it is quarantined;
 * -ENOENT if it is in no range.
 */
int dpmgr_pages_retire(struct dpmgr_pages *pages, u64 pfn, struct dpmgr_page_run *run)
{
	struct dpmgr_page_range *range;
	u32 index;
	int ret;

	*run = (struct dpmgr_page_run){};
	range = range_of(pages, pfn, &index);
	if (!range)
		return -ENOENT;
	for (;;) {
		ret = retire(range, head_of(range, index), index, run);
		if (ret == -EXDEV)
			dpmgr_pages_flush(pages);
		else if (ret != -EAGAIN)
			return ret;
		/* Somebody else has got on. */
		cond_resched();
	}
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_retire);
