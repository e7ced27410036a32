// SPDX-License-Identifier: GPL-2.0-only
/*
 * One range of pages: runs with boundary tags kept out of band.
 *
 * A table has one 16-byte tag a page, because the pages themselves may be
 * unmapped, unscrubbed or visible to others. Only the first and the last tag of
 * a run mean anything, every tag in between is INSIDE. Neighbours are therefore
 * found in O(1), a free run merges with both of them at once, and a bogus free
 * can be told from a good one.
 *
 * Runs of different states never merge, so dirty pages can't be handed out: a
 * scrubber takes them with dpmgr_page_range_take_dirty(), zeroes them, and puts
 * them, which makes them free.
 *
 * Nothing is allocated after creation. The cost of every operation but search,
 * next and claim is independent of how many runs there are. What allocates and
 * frees is in page_fit.h.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "page_fit.h"

/* Runs that are looked at before only longer ones are. */
#define FIT_SCAN	8

/* Tags that are zeroed at a stretch. */
#define CLEAR_TAGS	((u64)SZ_1M)

/* Runs that are looked at for the longest of the highest class. */
#define LARGEST_SCAN	1024

/* For what is seldom: after a run, something is left. */
void dpmgr_page_add_free(struct dpmgr_page_range *range, u32 index, u32 nr_pages)
{
	page_add_free(range, range->tags, index, nr_pages);
}

static void add_dirty(struct dpmgr_page_range *range, u32 index, u32 nr_pages)
{
	struct page_tag *tag = &range->tags[index];

	page_write_run(tag, nr_pages, DPMGR_PAGE_DIRTY);
	WRITE_ONCE(tag->prev, NONE);
	WRITE_ONCE(tag->next, range->dirty);
	if (range->dirty != NONE)
		WRITE_ONCE(range->tags[range->dirty].prev, index);
	range->dirty = index;
}

/* Take @nr_pages at @first out of the dirty run at @index. */
void dpmgr_page_carve_dirty(struct dpmgr_page_range *range, u32 index, u32 first,
			    u32 nr_pages, void *owner)
{
	const struct page_tag *tag = &range->tags[index];
	u32 after = index + tag->end.nr_pages - (first + nr_pages);

	if (tag->next != NONE)
		WRITE_ONCE(range->tags[tag->next].prev, tag->prev);
	if (tag->prev != NONE)
		WRITE_ONCE(range->tags[tag->prev].next, tag->next);
	else
		range->dirty = tag->next;
	WRITE_ONCE(range->tags[first].owner, owner);
	page_write_run(&range->tags[first], nr_pages, DPMGR_PAGE_USED);
	if (first > index)
		add_dirty(range, index, first - index);
	if (after)
		add_dirty(range, first + nr_pages, after);
}

/* The run at @index, off its list, is cut now; what was cut before is listed. */
void dpmgr_page_change_victim(struct dpmgr_page_range *range, u32 index)
{
	const u32 old = range->victim;

	range->victim = index;
	range->nr_free_runs++;
	if (old == NONE)
		return;
	range->nr_free_runs--;
	page_add_free(range, range->tags, old, range->tags[old].end.nr_pages);
}

/* A class has a run, for the first time or again. */
void dpmgr_page_mark_class(struct dpmgr_page_range *range, u32 class)
{
	range->class_map[class / 64] |= BIT_ULL(class % 64);
	range->class_words |= BIT(class / 64);
}

/* A class that has no run is not to be looked at again until it has. */
void dpmgr_page_clear_class(struct dpmgr_page_range *range, u32 class)
{
	range->class_map[class / 64] &= ~BIT_ULL(class % 64);
	if (!range->class_map[class / 64])
		range->class_words &= ~BIT(class / 64);
}

/* The first run that fits, from that at @index on, upwards in size. */
static struct page_fit scan(struct dpmgr_page_range *range, u32 index, u32 class,
			    const struct dpmgr_page_request *request)
{
	struct page_fit fit = { NONE };
	unsigned int looked;

	for (looked = 0; looked < FIT_SCAN && fit.index == NONE; looked++) {
		if (index == NONE)
			index = page_next_class(range, class);
		if (index == NONE)
			break;
		class = range->tags[index].end.class;
		fit = page_fit_in(range, index, request);
		index = range->tags[index].next;
	}
	return fit;
}

/* What page_find_fit() does where the first look was in vain. */
struct page_fit dpmgr_page_find_other(struct dpmgr_page_range *range,
				      const struct dpmgr_page_request *request)
{
	u32 class = page_class(request->nr_pages);
	struct page_fit fit = { NONE };
	u64 enough;

	if (range->victim != NONE)
		fit = page_fit_in(range, range->victim, request);
	if (fit.index == NONE)
		fit = scan(range, range->classes[class], class, request);
	/* Above this class, every run holds an aligned one. */
	enough = request->nr_pages + (1ULL << request->align_order) - 1;
	if (fit.index == NONE && enough <= range->info.nr_pages)
		fit = scan(range, NONE, page_class(enough), request);
	return fit;
}

/* Allocate a clean run; see dpmgr_pages_take(). */
bool dpmgr_page_range_take(struct dpmgr_page_range *range,
			   const struct dpmgr_page_request *request, void *owner,
			   struct dpmgr_page_run *run)
{
	struct page_fit fit;

	guard(raw_spinlock_irqsave)(&range->lock);
	fit = page_find_fit(range, request);
	if (fit.index == NONE)
		return false;
	page_allocate(range, fit, request->nr_pages,
		      page_head(request->nr_pages, DPMGR_PAGE_USED), owner);
	page_set_run(run, range, fit.first, request->nr_pages, owner);
	return true;
}

/* Look at the run at @*index, and step on. Call it under the lock. */
static union page_end step(const struct dpmgr_page_range *range, u32 *index)
{
	union page_end end;

	/* Fronts park and unpark used runs without the lock. */
	end.word = smp_load_acquire(&range->tags[*index].end.word);
	/* Others merged or split where we stood. */
	if (end.is_tail)
		end.state = DPMGR_PAGE_INSIDE;
	*index += end.state == DPMGR_PAGE_INSIDE ? 1 : page_length(end);
	return end;
}

/*
 * Allocate a clean run, at a cost in proportion to the number of all runs: it
 * is found if there is one all the while. Lets go of the lock now and then.
 */
bool dpmgr_page_range_search(struct dpmgr_page_range *range,
			     const struct dpmgr_page_request *request,
			     void *owner, struct dpmgr_page_run *run)
{
	unsigned int steps;
	u32 next = 0, index;

	while (next < range->info.nr_pages) {
		guard(raw_spinlock_irqsave)(&range->lock);
		/* What we stopped before may be part of a longer run by now. */
		while (!page_is_head(range, next))
			next--;
		for (steps = 0; steps < WALK_BATCH && next < range->info.nr_pages;
		     steps++) {
			struct page_fit fit;

			index = next;
			if (step(range, &next).state != DPMGR_PAGE_FREE)
				continue;
			fit = page_fit_in(range, index, request);
			if (fit.index == NONE)
				continue;
			page_allocate(range, fit, request->nr_pages,
				      page_head(request->nr_pages,
						DPMGR_PAGE_USED), owner);
			page_set_run(run, range, fit.first, request->nr_pages,
				     owner);
			return true;
		}
	}
	return false;
}

/*
 * Allocate up to @count runs of @nr_pages as parked ones, put them before those
 * of @list, and return how many there were.
 */
u32 dpmgr_page_range_park(struct dpmgr_page_range *range, u32 nr_pages,
			  unsigned int count, u32 *list)
{
	const struct dpmgr_page_request request = {
		.nr_pages = nr_pages,
		.end_pfn = U64_MAX,
	};
	unsigned int parked;

	guard(raw_spinlock_irqsave)(&range->lock);
	for (parked = 0; parked < count; parked++) {
		struct page_fit fit = page_find_fit(range, &request);

		if (fit.index == NONE)
			break;
		/* Never used in between: it might be freed at that moment. */
		page_allocate(range, fit, nr_pages, page_parked(nr_pages, *list),
			      NULL);
		*list = fit.first;
	}
	return parked;
}

/* Free all parked runs of @list. */
void dpmgr_page_range_unpark(struct dpmgr_page_range *range, u32 list)
{
	guard(raw_spinlock_irqsave)(&range->lock);
	while (list != NONE) {
		union page_end end = range->tags[list].end;

		page_uncount_used(range, end.parked_pages);
		page_release(range, list, end.parked_pages);
		list = end.nr_pages;
	}
}

bool dpmgr_page_range_take_dirty(struct dpmgr_page_range *range, u32 max_pages,
				 struct dpmgr_page_run *run)
{
	u32 index, nr_pages;

	guard(raw_spinlock_irqsave)(&range->lock);
	index = range->dirty;
	if (index == NONE)
		return false;
	nr_pages = min(range->tags[index].end.nr_pages, max_pages);
	dpmgr_page_carve_dirty(range, index, index, nr_pages, NULL);
	page_set_run(run, range, index, nr_pages, NULL);
	return true;
}

static u32 length_at(const struct dpmgr_page_range *range, u32 index)
{
	union page_end end;

	end.word = READ_ONCE(range->tags[index].end.word);
	return page_length(end);
}

/*
 * The run that holds page @index. Walks from where the last call ended, or from the
 * start if that is nearer, so the cost is the number of runs in between.
 */
static u32 walk_to(struct dpmgr_page_range *range, u32 index)
{
	u32 run = range->cursor;

	if (!page_is_head(range, run) || index < run / 2)
		run = 0;
	while (run > index)
		run -= length_at(range, run - 1);
	while (run + length_at(range, run) <= index)
		run += length_at(range, run);
	range->cursor = run;
	return run;
}

/* 0, or -EBUSY if one of the pages is neither free nor dirty. */
int dpmgr_page_range_claim(struct dpmgr_page_range *range, u32 index,
			   u32 nr_pages, void *owner)
{
	union page_end end;
	u32 run;

	guard(raw_spinlock_irqsave)(&range->lock);
	run = walk_to(range, index);
	end.word = READ_ONCE(range->tags[run].end.word);
	if ((end.state != DPMGR_PAGE_FREE && end.state != DPMGR_PAGE_DIRTY) ||
	    end.nr_pages - (index - run) < nr_pages)
		return -EBUSY;
	if (end.state == DPMGR_PAGE_FREE) {
		page_allocate(range, (struct page_fit){ run, index }, nr_pages,
			      page_head(nr_pages, DPMGR_PAGE_USED), owner);
	} else {
		dpmgr_page_carve_dirty(range, run, index, nr_pages, owner);
		range->nr_dirty -= nr_pages;
		page_count_used(range, nr_pages);
	}
	range->cursor = index;
	return 0;
}

/*
 * Quarantine @nr_pages at @first, which are of @run. What is left of @run on
 * either side is a run of its own, with the same owner. 0, or -EINVAL if exactly
 * @run is not allocated.
 */
int dpmgr_page_range_quarantine(struct dpmgr_page_range *range,
				const struct dpmgr_page_run *run, u32 first,
				u32 nr_pages)
{
	u32 index = run->base_pfn - range->info.base_pfn;
	u32 before = first - index;
	u32 after = run->nr_pages - nr_pages - before;

	guard(raw_spinlock_irqsave)(&range->lock);
	if (!page_grab(&range->tags[index], run,
		       page_head(run->nr_pages, DPMGR_PAGE_INSIDE).word))
		return -EINVAL;
	if (run->owner)
		page_uncount_used(range, run->nr_pages);
	else
		range->nr_dirty -= nr_pages;
	if (before) {
		page_write_run(&range->tags[index], before, DPMGR_PAGE_USED);
		if (run->owner)
			page_count_used(range, before);
	}
	page_write_run(&range->tags[first], nr_pages, DPMGR_PAGE_QUARANTINED);
	range->nr_quarantined += nr_pages;
	if (after) {
		WRITE_ONCE(range->tags[first + nr_pages].owner, run->owner);
		page_write_run(&range->tags[first + nr_pages], after, DPMGR_PAGE_USED);
		if (run->owner)
			page_count_used(range, after);
	}
	return 0;
}

/* The next runs of @state that begin in [@index, @end): how many, up to @max. */
unsigned int dpmgr_page_range_next(struct dpmgr_page_range *range, u32 index,
				   u32 end, enum dpmgr_page_state state,
				   struct dpmgr_page_run *runs,
				   unsigned int max)
{
	unsigned int steps, nr = 0;

	while (index < end) {
		guard(raw_spinlock_irqsave)(&range->lock);
		for (steps = 0; steps < WALK_BATCH && index < end; steps++) {
			u32 this = index;
			union page_end found = step(range, &index);
			void *owner = NULL;

			if (found.state != state)
				continue;
			if (state == DPMGR_PAGE_USED) {
				owner = READ_ONCE(range->tags[this].owner);
				if (!owner)
					continue;
			}
			page_set_run(&runs[nr++], range, this,
				     page_length(found), owner);
			if (nr == max)
				return nr;
		}
	}
	return nr;
}

static u32 longest_free(const struct dpmgr_page_range *range)
{
	u32 longest = 0, class = NR_CLASSES, index;
	unsigned int looked = 0;

	while (class-- && range->classes[class] == NONE)
		;
	if (range->victim != NONE)
		longest = range->tags[range->victim].end.nr_pages;
	if (class == NONE)
		return longest;
	for (index = range->classes[class];
	     index != NONE && looked < LARGEST_SCAN;
	     index = range->tags[index].next, looked++)
		longest = max(longest, range->tags[index].end.nr_pages);
	return longest;
}

/* As if nothing were parked. */
void dpmgr_page_range_count(struct dpmgr_page_range *range,
			    struct dpmgr_page_counts *counts)
{
	guard(raw_spinlock_irqsave)(&range->lock);
	*counts = (struct dpmgr_page_counts){
		.total = range->info.nr_pages,
		.free = page_nr_free(range),
		.dirty = range->nr_dirty,
		.used = range->nr_used,
		.used_max = range->nr_used_max,
		.quarantined = range->nr_quarantined,
		.runs = range->nr_runs,
		.free_runs = range->nr_free_runs,
		.largest = longest_free(range),
	};
}

/* Here, through this mapping, so that no claim has to touch them first. */
static void clear_tags(struct page_tag *tags, u64 nr)
{
	u64 some;

	for (; nr; nr -= some, tags += some) {
		some = min(nr, CLEAR_TAGS);
		memset(tags, 0, some * sizeof(*tags));
		cond_resched();
	}
}

/* Every page starts dirty. NULL without memory. Context: may sleep. */
struct dpmgr_page_range *
dpmgr_page_range_create(const struct dpmgr_page_range_info *info)
{
	struct dpmgr_page_range *range;

	range = kzalloc(sizeof(*range), GFP_KERNEL);
	if (!range)
		return NULL;
	/* Not kvcalloc(), which warns above 2 GiB. */
	range->tags = vmalloc_array(info->nr_pages, sizeof(*range->tags));
	range->bad = vcalloc(BITS_TO_LONGS(info->nr_pages), sizeof(*range->bad));
	range->handled = vcalloc(BITS_TO_LONGS(info->nr_pages), sizeof(*range->handled));
	if (!range->tags || !range->bad || !range->handled) {
		dpmgr_page_range_destroy(range);
		return NULL;
	}
	clear_tags(range->tags, info->nr_pages);
	raw_spin_lock_init(&range->lock);
	range->info = *info;
	range->nearly_full = info->nr_pages - info->nr_pages / 16;
	range->dirty = NONE;
	range->victim = NONE;
	memset(range->classes, 0xff, sizeof(range->classes));
	range->nr_dirty = info->nr_pages;
	add_dirty(range, 0, info->nr_pages);
	return range;
}

void dpmgr_page_range_destroy(struct dpmgr_page_range *range)
{
	vfree(range->handled);
	vfree(range->bad);
	vfree(range->tags);
	kfree(range);
}
