// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs of pages in a set of physical ranges: two-level segregated fit with
 * boundary tags kept out of band.
 *
 * Each range has a table with one 16-byte tag a page, because the pages
 * themselves may be unmapped, unscrubbed or visible to others. Only the first
 * and the last tag of a run mean anything: every tag in between is INTERIOR.
 * Neighbours are therefore found in O(1), a free run merges with both of them
 * at once, and a bogus free can be told from a good one.
 *
 * A run is USED (it has an owner), FREE (zeroed; in one of the range's size
 * classes), or DIRTY (never used since the range was added, contents unknown;
 * on the range's dirty list). Runs of different states never merge, so dirty
 * pages can't be handed out: a scrubber takes them with
 * dpmgr_pages_take_dirty(), zeroes them, and puts them, which makes them FREE.
 *
 * Size classes: sizes below 32 pages have a class each; above, each power of
 * two is divided into 32 classes. A request looks at the first few runs of its
 * own class, then takes any run from the next class that has one.
 *
 * Nothing is allocated after dpmgr_pages_init(). The cost of every operation
 * but claim is independent of how many runs there are.
 *
 * Locking: one raw spinlock a range protects that range's tags, lists and
 * counters. It is never held across scrubbing or allocation. dpmgr_pages.ranges
 * and what dpmgr_page_range_info describes never change after init.
 */
#include <kunit/visibility.h>
#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/kconfig.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/numa.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "page_alloc.h"

#define SL_BITS		5
#define SL_COUNT	BIT(SL_BITS)
#define FL_COUNT	(32 - SL_BITS + 1)
#define NONE		U32_MAX

/* Runs of the request's own class that are looked at before the next class. */
#define FIT_SCAN	8

/* Tags that dpmgr_pages_visit() steps over before it lets go of the lock. */
#define VISIT_BATCH	1024

enum run_state {
	RUN_INTERIOR,
	RUN_USED,
	RUN_FREE,
	RUN_DIRTY,
};

struct page_tag {
	u32 nr_pages;
	u16 state;
	u16 is_tail;	/* the last page of a run of two or more */
	union {
		struct {
			u32 prev;
			u32 next;
		};
		void *owner;
	};
};

static_assert(sizeof(struct page_tag) == 16);

struct dpmgr_page_range {
	raw_spinlock_t lock;
	u32 nr_pages;
	u64 base_pfn;
	int node;
	bool persistent;
	struct page_tag *tags;

	u64 nr_free;
	u64 nr_used;		/* these two: only of runs with an owner */
	u64 nr_runs;
	u64 nr_used_max;
	u32 dirty;		/* first run of the dirty list */
	u32 cursor;		/* where the last claim ended its walk */

	u32 first_level;	/* bit i: second_level[i] is not 0 */
	u32 second_level[FL_COUNT];
	u32 classes[FL_COUNT][SL_COUNT];
};

static_assert(sizeof(struct dpmgr_page_range) <= 4096);

struct size_class {
	unsigned int fl;
	unsigned int sl;
};

/* The class whose runs have @nr_pages or slightly more. */
static struct size_class class_of(u32 nr_pages)
{
	unsigned int msb;

	if (nr_pages < SL_COUNT)
		return (struct size_class){ 0, nr_pages };
	msb = fls(nr_pages) - 1;
	return (struct size_class){
		.fl = msb - SL_BITS + 1,
		.sl = (nr_pages >> (msb - SL_BITS)) & (SL_COUNT - 1),
	};
}

static u32 *list_of(struct dpmgr_page_range *range, u32 index)
{
	const struct page_tag *tag = &range->tags[index];
	struct size_class class;

	if (tag->state == RUN_DIRTY)
		return &range->dirty;
	class = class_of(tag->nr_pages);
	return &range->classes[class.fl][class.sl];
}

static void write_run(struct dpmgr_page_range *range, u32 index, u32 nr_pages,
		      enum run_state state)
{
	struct page_tag *first = &range->tags[index];
	struct page_tag *last = first + nr_pages - 1;

	last->nr_pages = nr_pages;
	last->state = state;
	last->is_tail = true;
	first->nr_pages = nr_pages;
	first->state = state;
	first->is_tail = false;
}

/* The tags at both ends of a run that is about to be split or merged away. */
static void erase_run(struct dpmgr_page_range *range, u32 index)
{
	struct page_tag *first = &range->tags[index];

	first[first->nr_pages - 1].state = RUN_INTERIOR;
	first->state = RUN_INTERIOR;
}

static void link_run(struct dpmgr_page_range *range, u32 index, u32 nr_pages,
		     enum run_state state)
{
	struct page_tag *tag = &range->tags[index];
	u32 *list;

	write_run(range, index, nr_pages, state);
	list = list_of(range, index);
	tag->prev = NONE;
	tag->next = *list;
	if (*list != NONE)
		range->tags[*list].prev = index;
	*list = index;

	if (state == RUN_FREE) {
		struct size_class class = class_of(nr_pages);

		range->second_level[class.fl] |= BIT(class.sl);
		range->first_level |= BIT(class.fl);
		range->nr_free += nr_pages;
	}
}

static void unlink_run(struct dpmgr_page_range *range, u32 index)
{
	struct page_tag *tag = &range->tags[index];
	u32 *list = list_of(range, index);

	if (tag->next != NONE)
		range->tags[tag->next].prev = tag->prev;
	if (tag->prev != NONE)
		range->tags[tag->prev].next = tag->next;
	else
		*list = tag->next;

	if (tag->state == RUN_FREE) {
		struct size_class class = class_of(tag->nr_pages);

		if (*list == NONE) {
			range->second_level[class.fl] &= ~BIT(class.sl);
			if (!range->second_level[class.fl])
				range->first_level &= ~BIT(class.fl);
		}
		range->nr_free -= tag->nr_pages;
	}
	erase_run(range, index);
}

/*
 * Turn @nr_pages at @index into a used run. They lie inside the free or dirty
 * run at @run; what is left on either side keeps its state.
 */
static void carve(struct dpmgr_page_range *range, u32 run, u32 index,
		  u32 nr_pages, void *owner)
{
	enum run_state state = range->tags[run].state;
	u32 end = run + range->tags[run].nr_pages;

	unlink_run(range, run);
	if (index > run)
		link_run(range, run, index - run, state);
	if (index + nr_pages < end)
		link_run(range, index + nr_pages, end - index - nr_pages, state);

	write_run(range, index, nr_pages, RUN_USED);
	range->tags[index].owner = owner;
	if (owner) {
		range->nr_runs++;
		range->nr_used += nr_pages;
		range->nr_used_max = max(range->nr_used_max, range->nr_used);
	}
}

/* A free run of at least @nr_pages, or NONE. */
static u32 find_fit(struct dpmgr_page_range *range, u32 nr_pages)
{
	struct size_class class = class_of(nr_pages);
	unsigned int looked = 0;
	u32 index, map;

	for (index = range->classes[class.fl][class.sl];
	     index != NONE && looked < FIT_SCAN;
	     index = range->tags[index].next, looked++)
		if (range->tags[index].nr_pages >= nr_pages)
			return index;

	/* Shifting twice: a shift by 32 would be undefined. */
	map = range->second_level[class.fl] & (~0U << class.sl << 1);
	if (!map) {
		map = range->first_level & (~0U << class.fl << 1);
		if (!map)
			return NONE;
		class.fl = __ffs(map);
		map = range->second_level[class.fl];
	}
	return range->classes[class.fl][__ffs(map)];
}

static bool range_serves(const struct dpmgr_page_range *range,
			 const struct dpmgr_page_request *request)
{
	return (range->persistent || !request->persistent) &&
	       range->base_pfn + range->nr_pages <= request->end_pfn;
}

static bool take_from(struct dpmgr_page_range *range,
		      const struct dpmgr_page_request *request, void *owner,
		      struct dpmgr_page_run *run)
{
	u32 index;

	guard(raw_spinlock_irqsave)(&range->lock);
	index = find_fit(range, request->nr_pages);
	if (index == NONE)
		return false;
	carve(range, index, index, request->nr_pages, owner);
	*run = (struct dpmgr_page_run){
		.base_pfn = range->base_pfn + index,
		.nr_pages = request->nr_pages,
		.owner = owner,
	};
	return true;
}

/*
 * How willingly a range serves a request: the preferred node comes first, and
 * for memory that need not survive a kexec, so do ranges that would not.
 */
static unsigned int range_cost(const struct dpmgr_page_range *range,
			       const struct dpmgr_page_request *request)
{
	unsigned int cost = 0;

	if (request->node != NUMA_NO_NODE && range->node != request->node)
		cost += 2;
	if (range->persistent && !request->persistent)
		cost += 1;
	return cost;
}

#define RANGE_COST_MAX	3

/**
 * dpmgr_pages_take() - allocate a run of clean pages
 * @pages: the allocator
 * @request: what is asked for
 * @owner: remembered with the run, not NULL
 * @run: filled in on success
 *
 * Context: any but NMI.
 * Return: 0, or -ENOSPC if no suitable range has a clean run found to fit.
 */
int dpmgr_pages_take(struct dpmgr_pages *pages,
		     const struct dpmgr_page_request *request, void *owner,
		     struct dpmgr_page_run *run)
{
	unsigned int cost, i;

	for (cost = 0; cost <= RANGE_COST_MAX; cost++) {
		for (i = 0; i < pages->nr_ranges; i++) {
			struct dpmgr_page_range *range = pages->ranges[i];

			if (range_serves(range, request) &&
			    range_cost(range, request) == cost &&
			    take_from(range, request, owner, run))
				return 0;
		}
	}
	return -ENOSPC;
}

/**
 * dpmgr_pages_take_dirty() - allocate dirty pages, to scrub and put them
 * @pages: the allocator
 * @max_pages: most pages to take
 * @run: filled in on success; has no owner
 *
 * Context: any but NMI.
 * Return: whether there were any.
 */
bool dpmgr_pages_take_dirty(struct dpmgr_pages *pages, u32 max_pages,
			    struct dpmgr_page_run *run)
{
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++) {
		struct dpmgr_page_range *range = pages->ranges[i];
		u32 index, nr_pages;

		guard(raw_spinlock_irqsave)(&range->lock);
		index = range->dirty;
		if (index == NONE)
			continue;
		nr_pages = min(range->tags[index].nr_pages, max_pages);
		carve(range, index, index, nr_pages, NULL);
		*run = (struct dpmgr_page_run){
			.base_pfn = range->base_pfn + index,
			.nr_pages = nr_pages,
		};
		return true;
	}
	return false;
}

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

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;
		const struct dpmgr_page_range *range = pages->ranges[mid];

		if (pfn < range->base_pfn)
			high = mid;
		else if (pfn - range->base_pfn >= range->nr_pages)
			low = mid + 1;
		else
			return mid;
	}
	return -ENOENT;
}

/* The range that holds a whole run, or NULL. */
static struct dpmgr_page_range *find_whole(const struct dpmgr_pages *pages,
					   u64 base_pfn, u32 nr_pages)
{
	int i = dpmgr_pages_find(pages, base_pfn);
	struct dpmgr_page_range *range;

	if (i < 0 || !nr_pages)
		return NULL;
	range = pages->ranges[i];
	if (nr_pages > range->nr_pages - (base_pfn - range->base_pfn))
		return NULL;
	return range;
}

static bool is_head(const struct dpmgr_page_range *range, u32 index)
{
	return range->tags[index].state != RUN_INTERIOR &&
	       !range->tags[index].is_tail;
}

/**
 * dpmgr_pages_claim() - allocate a given run
 * @pages: the allocator
 * @base_pfn: its first page
 * @nr_pages: its length
 * @owner: remembered with the run
 *
 * The pages keep their contents. Claims in ascending address order cost
 * amortised O(1) in a range whose free pages are in few runs; in any other
 * order, O(runs in the range).
 *
 * Context: any but NMI; meant for restoring, before anything is handed out.
 * Return: 0; -EINVAL if the run is empty or not inside one range that survives
 * a kexec; -EBUSY if a page of it is used.
 */
int dpmgr_pages_claim(struct dpmgr_pages *pages, u64 base_pfn, u32 nr_pages,
		      void *owner)
{
	struct dpmgr_page_range *range = find_whole(pages, base_pfn, nr_pages);
	u32 index, run;

	if (!range || !range->persistent)
		return -EINVAL;
	index = base_pfn - range->base_pfn;

	guard(raw_spinlock_irqsave)(&range->lock);
	run = range->cursor;
	if (run > index || !is_head(range, run))
		run = 0;
	while (run + range->tags[run].nr_pages <= index)
		run += range->tags[run].nr_pages;
	if (range->tags[run].state == RUN_USED ||
	    index + nr_pages > run + range->tags[run].nr_pages)
		return -EBUSY;
	carve(range, run, index, nr_pages, owner);
	range->cursor = index;
	return 0;
}

/**
 * dpmgr_pages_put() - free a run, which must be clean
 * @pages: the allocator
 * @run: as it was allocated
 *
 * Merges with the free runs on both sides.
 *
 * Context: any but NMI.
 * Return: 0; -EINVAL, and nothing has changed, unless exactly this run is
 * allocated and has this owner.
 */
int dpmgr_pages_put(struct dpmgr_pages *pages, const struct dpmgr_page_run *run)
{
	struct dpmgr_page_range *range;
	const struct page_tag *tag;
	u32 index, nr_pages;

	range = find_whole(pages, run->base_pfn, run->nr_pages);
	if (!range)
		return -EINVAL;
	index = run->base_pfn - range->base_pfn;
	nr_pages = run->nr_pages;

	guard(raw_spinlock_irqsave)(&range->lock);
	tag = &range->tags[index];
	if (!is_head(range, index) || tag->state != RUN_USED ||
	    tag->nr_pages != nr_pages || tag->owner != run->owner)
		return -EINVAL;

	if (tag->owner) {
		range->nr_runs--;
		range->nr_used -= nr_pages;
	}
	erase_run(range, index);
	if (index + nr_pages < range->nr_pages &&
	    tag[nr_pages].state == RUN_FREE) {
		nr_pages += tag[nr_pages].nr_pages;
		unlink_run(range, index + run->nr_pages);
	}
	if (index && tag[-1].state == RUN_FREE) {
		index -= tag[-1].nr_pages;
		nr_pages += tag[-1].nr_pages;
		unlink_run(range, index);
	}
	link_run(range, index, nr_pages, RUN_FREE);
	return 0;
}

/**
 * dpmgr_pages_visit() - call back for the next allocated run with an owner
 * @pages: the allocator
 * @from_pfn: where to start looking
 * @end_pfn: where to end: runs that begin there or above are not looked at
 * @visit: called once, under the range's lock, so that the owner can't go away
 * @arg: passed on
 *
 * Goes through all runs in address order when called again with what it
 * returned, also while others allocate and free.
 *
 * Context: any but NMI.
 * Return: the page after the run, or U64_MAX if there was no such run.
 */
u64 dpmgr_pages_visit(struct dpmgr_pages *pages, u64 from_pfn, u64 end_pfn,
		      void (*visit)(const struct dpmgr_page_run *run, void *arg),
		      void *arg)
{
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++) {
		struct dpmgr_page_range *range = pages->ranges[i];
		u32 index = 0, end;

		if (range->base_pfn + range->nr_pages <= from_pfn ||
		    range->base_pfn >= end_pfn)
			continue;
		if (from_pfn > range->base_pfn)
			index = from_pfn - range->base_pfn;
		end = min(end_pfn - range->base_pfn, (u64)range->nr_pages);

		while (index < end) {
			unsigned int steps;

			guard(raw_spinlock_irqsave)(&range->lock);
			for (steps = 0; steps < VISIT_BATCH && index < end;
			     steps++) {
				const struct page_tag *tag = &range->tags[index];
				struct dpmgr_page_run run;

				/* Others merged or split where we stood. */
				if (!is_head(range, index)) {
					index++;
					continue;
				}
				run = (struct dpmgr_page_run){
					.base_pfn = range->base_pfn + index,
					.nr_pages = tag->nr_pages,
				};
				index += tag->nr_pages;
				if (tag->state != RUN_USED || !tag->owner)
					continue;
				run.owner = tag->owner;
				visit(&run, arg);
				return run.base_pfn + run.nr_pages;
			}
		}
	}
	return U64_MAX;
}
EXPORT_SYMBOL_IF_KUNIT(dpmgr_pages_visit);

/**
 * dpmgr_pages_owner() - who owns a run
 * @pages: the allocator
 * @base_pfn: its first page
 * @nr_pages: its length
 *
 * Context: any but NMI. The caller keeps the owner from going away.
 * Return: the owner, or NULL if exactly this run is not allocated.
 */
void *dpmgr_pages_owner(struct dpmgr_pages *pages, u64 base_pfn, u32 nr_pages)
{
	struct dpmgr_page_range *range = find_whole(pages, base_pfn, nr_pages);
	const struct page_tag *tag;

	if (!range)
		return NULL;
	guard(raw_spinlock_irqsave)(&range->lock);
	tag = &range->tags[base_pfn - range->base_pfn];
	if (!is_head(range, base_pfn - range->base_pfn) ||
	    tag->state != RUN_USED || tag->nr_pages != nr_pages)
		return NULL;
	return tag->owner;
}

/**
 * dpmgr_pages_count() - counters of one range
 * @pages: the allocator
 * @range: index of the range
 * @counts: filled in, consistent in itself
 *
 * Context: any but NMI.
 */
void dpmgr_pages_count(struct dpmgr_pages *pages, unsigned int range,
		       struct dpmgr_page_counts *counts)
{
	struct dpmgr_page_range *r = pages->ranges[range];

	guard(raw_spinlock_irqsave)(&r->lock);
	*counts = (struct dpmgr_page_counts){
		.total = r->nr_pages,
		.free = r->nr_free,
		.dirty = r->nr_pages - r->nr_free - r->nr_used,
		.used = r->nr_used,
		.used_max = r->nr_used_max,
		.runs = r->nr_runs,
	};
}
EXPORT_SYMBOL_IF_KUNIT(dpmgr_pages_count);

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
	const struct dpmgr_page_range *r = pages->ranges[range];

	*info = (struct dpmgr_page_range_info){
		.base_pfn = r->base_pfn,
		.nr_pages = r->nr_pages,
		.node = r->node,
		.persistent = r->persistent,
	};
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

	for (i = 0; i < pages->nr_ranges; i++)
		if (range_serves(pages->ranges[i], request))
			largest = max_t(u64, largest,
					pages->ranges[i]->nr_pages);
	return largest;
}

static struct dpmgr_page_range *
range_create(const struct dpmgr_page_range_info *info)
{
	struct dpmgr_page_range *range;

	range = kzalloc(sizeof(*range), GFP_KERNEL);
	if (!range)
		return NULL;
	/* Not kvcalloc(), which warns above 2 GiB. */
	range->tags = vcalloc(info->nr_pages, sizeof(*range->tags));
	if (!range->tags) {
		kfree(range);
		return NULL;
	}
	raw_spin_lock_init(&range->lock);
	range->base_pfn = info->base_pfn;
	range->nr_pages = info->nr_pages;
	range->node = info->node;
	range->persistent = info->persistent;
	range->dirty = NONE;
	memset(range->classes, 0xff, sizeof(range->classes));
	link_run(range, 0, range->nr_pages, RUN_DIRTY);
	return range;
}

/**
 * dpmgr_pages_init() - set up an allocator; every page starts dirty
 * @pages: the allocator
 * @infos: the ranges, in ascending address order and not overlapping
 * @nr_ranges: entries in @infos
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for a range that is empty, too long or out of order;
 * -ENOMEM.
 */
int dpmgr_pages_init(struct dpmgr_pages *pages,
		     const struct dpmgr_page_range_info *infos,
		     unsigned int nr_ranges)
{
	u64 end_pfn = 0;
	unsigned int i;

	*pages = (struct dpmgr_pages){};
	for (i = 0; i < nr_ranges; i++) {
		if (!infos[i].nr_pages || infos[i].nr_pages > DPMGR_PAGES_MAX ||
		    infos[i].base_pfn < end_pfn ||
		    check_add_overflow(infos[i].base_pfn, infos[i].nr_pages,
				       &end_pfn))
			return -EINVAL;
	}

	pages->ranges = kcalloc(nr_ranges, sizeof(*pages->ranges), GFP_KERNEL);
	if (!pages->ranges)
		return -ENOMEM;
	for (; pages->nr_ranges < nr_ranges; pages->nr_ranges++) {
		pages->ranges[pages->nr_ranges] =
			range_create(&infos[pages->nr_ranges]);
		if (!pages->ranges[pages->nr_ranges]) {
			dpmgr_pages_destroy(pages);
			return -ENOMEM;
		}
	}
	return 0;
}

/**
 * dpmgr_pages_destroy() - forget every run; the pages are not touched
 * @pages: the allocator, or one whose init failed or that is all zero
 *
 * Context: may sleep. Nobody else may use @pages any more.
 */
void dpmgr_pages_destroy(struct dpmgr_pages *pages)
{
	while (pages->nr_ranges) {
		struct dpmgr_page_range *range =
			pages->ranges[--pages->nr_ranges];

		vfree(range->tags);
		kfree(range);
	}
	kfree(pages->ranges);
	pages->ranges = NULL;
}

#if IS_ENABLED(CONFIG_KUNIT)
static bool on_its_list(struct dpmgr_page_range *range, u32 index)
{
	const struct page_tag *tag = &range->tags[index];

	if (tag->next != NONE && range->tags[tag->next].prev != index)
		return false;
	if (tag->prev != NONE)
		return range->tags[tag->prev].next == index;
	return *list_of(range, index) == index;
}

static const char *verify_range(struct dpmgr_page_range *range)
{
	u64 nr_free = 0, nr_used = 0, nr_runs = 0;
	enum run_state left = RUN_INTERIOR;
	u32 index, nr_pages, i;
	unsigned int fl, sl;

	guard(raw_spinlock_irqsave)(&range->lock);
	for (index = 0; index < range->nr_pages; index += nr_pages) {
		const struct page_tag *tag = &range->tags[index];

		nr_pages = tag->nr_pages;
		if (!is_head(range, index))
			return "a run does not start where its left neighbour ends";
		if (!nr_pages || nr_pages > range->nr_pages - index)
			return "a run's length is impossible";
		if (nr_pages > 1 &&
		    (tag[nr_pages - 1].state != tag->state ||
		     tag[nr_pages - 1].nr_pages != nr_pages ||
		     !tag[nr_pages - 1].is_tail))
			return "a run's two ends differ";
		for (i = 1; i + 1 < nr_pages; i++)
			if (tag[i].state != RUN_INTERIOR)
				return "there is an end inside a run";
		if (tag->state != RUN_USED && !on_its_list(range, index))
			return "a run is not on the list of its size";
		if (tag->state == RUN_FREE && left == RUN_FREE)
			return "two free neighbours are not merged";
		left = tag->state;
		nr_free += tag->state == RUN_FREE ? nr_pages : 0;
		if (tag->state == RUN_USED && tag->owner) {
			nr_used += nr_pages;
			nr_runs++;
		}
	}
	if (nr_free != range->nr_free || nr_used != range->nr_used ||
	    nr_runs != range->nr_runs)
		return "the counters differ from a recount";
	for (fl = 0; fl < FL_COUNT; fl++) {
		for (sl = 0; sl < SL_COUNT; sl++) {
			bool empty = range->classes[fl][sl] == NONE;

			if (empty == !!(range->second_level[fl] & BIT(sl)))
				return "a second-level bit differs from its list";
		}
		if (!!range->second_level[fl] != !!(range->first_level & BIT(fl)))
			return "a first-level bit differs from its second level";
	}
	return NULL;
}

const char *dpmgr_pages_verify(struct dpmgr_pages *pages)
{
	const char *broken = NULL;
	unsigned int i;

	for (i = 0; i < pages->nr_ranges && !broken; i++)
		broken = verify_range(pages->ranges[i]);
	return broken;
}
EXPORT_SYMBOL_IF_KUNIT(dpmgr_pages_verify);
#endif
