// SPDX-License-Identifier: GPL-2.0-only
/*
 * One range of pages: two-level segregated fit with boundary tags kept out of
 * band.
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
 * Size classes: sizes below 32 pages have a class each; above, each power of
 * two is divided into 32 classes. A request takes the first run that fits,
 * looking at the smallest first; after FIT_SCAN of them it goes on where every
 * run is long enough. An allocated run is cut from the high end of a free one,
 * which keeps low pages for devices that reach no others.
 *
 * Nothing is allocated after creation. The cost of every operation but search,
 * next and claim is independent of how many runs there are.
 */
#include <linux/bitops.h>
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "page_range.h"

/* Runs that are looked at before only longer ones are. */
#define FIT_SCAN	8

/* Runs that are looked at for the longest of the highest class. */
#define LARGEST_SCAN	1024

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

static void write_run(struct dpmgr_page_range *range, u32 index, u32 nr_pages,
		      enum dpmgr_page_state state)
{
	union page_end end = page_head(nr_pages, state);
	struct page_tag *tag = &range->tags[index];

	/* Those whose runs are next to this one look at either end. */
	if (nr_pages > 1) {
		WRITE_ONCE(tag->end.word, end.word);
		end.is_tail = true;
		tag += nr_pages - 1;
	}
	WRITE_ONCE(tag->end.word, end.word);
}

/* The tags at both ends of a run that is about to be split or merged away. */
static void erase_run(struct dpmgr_page_range *range, u32 index, u32 nr_pages)
{
	struct page_tag *tag = &range->tags[index];

	tag[nr_pages - 1].end.state = DPMGR_PAGE_INSIDE;
	tag->end.state = DPMGR_PAGE_INSIDE;
}

static void push(struct dpmgr_page_range *range, u32 *list, u32 index)
{
	struct page_tag *tag = &range->tags[index];

	tag->prev = NONE;
	tag->next = *list;
	if (*list != NONE)
		range->tags[*list].prev = index;
	*list = index;
}

/* Whether @list has become empty. */
static bool pull(struct dpmgr_page_range *range, u32 *list, u32 index)
{
	struct page_tag *tag = &range->tags[index];

	if (tag->next != NONE)
		range->tags[tag->next].prev = tag->prev;
	if (tag->prev != NONE) {
		range->tags[tag->prev].next = tag->next;
		return false;
	}
	*list = tag->next;
	return *list == NONE;
}

static void add_free(struct dpmgr_page_range *range, u32 index, u32 nr_pages)
{
	struct size_class class = class_of(nr_pages);

	write_run(range, index, nr_pages, DPMGR_PAGE_FREE);
	push(range, &range->classes[class.fl][class.sl], index);
	range->second_level[class.fl] |= BIT(class.sl);
	range->first_level |= BIT(class.fl);
	range->nr_free += nr_pages;
	range->nr_free_runs++;
}

static void remove_free(struct dpmgr_page_range *range, u32 index, u32 nr_pages)
{
	struct size_class class = class_of(nr_pages);

	if (pull(range, &range->classes[class.fl][class.sl], index)) {
		range->second_level[class.fl] &= ~BIT(class.sl);
		if (!range->second_level[class.fl])
			range->first_level &= ~BIT(class.fl);
	}
	erase_run(range, index, nr_pages);
	range->nr_free -= nr_pages;
	range->nr_free_runs--;
}

static void add_dirty(struct dpmgr_page_range *range, u32 index, u32 nr_pages)
{
	write_run(range, index, nr_pages, DPMGR_PAGE_DIRTY);
	push(range, &range->dirty, index);
}

static void remove_dirty(struct dpmgr_page_range *range, u32 index, u32 nr_pages)
{
	pull(range, &range->dirty, index);
	erase_run(range, index, nr_pages);
}

static void count_used(struct dpmgr_page_range *range, u32 nr_pages)
{
	range->nr_runs++;
	range->nr_used += nr_pages;
	range->nr_used_max = max(range->nr_used_max, range->nr_used);
}

static void uncount_used(struct dpmgr_page_range *range, u32 nr_pages)
{
	range->nr_runs--;
	range->nr_used -= nr_pages;
}

/*
 * Cut @nr_pages at @first out of the free or dirty run at @index, and write
 * them as a used run. What is left on either side keeps its state.
 */
static void carve(struct dpmgr_page_range *range, u32 index, u32 first,
		  u32 nr_pages)
{
	union page_end end = range->tags[index].end;
	u32 after = index + end.nr_pages - (first + nr_pages);

	if (end.state == DPMGR_PAGE_FREE) {
		remove_free(range, index, end.nr_pages);
		if (first > index)
			add_free(range, index, first - index);
		if (after)
			add_free(range, first + nr_pages, after);
	} else {
		remove_dirty(range, index, end.nr_pages);
		if (first > index)
			add_dirty(range, index, first - index);
		if (after)
			add_dirty(range, first + nr_pages, after);
	}
	write_run(range, first, nr_pages, DPMGR_PAGE_USED);
}

/* A run that is on no list becomes free, merged with its free neighbours. */
static void release(struct dpmgr_page_range *range, u32 index, u32 nr_pages)
{
	const struct page_tag *tag = &range->tags[index];
	union page_end end;

	erase_run(range, index, nr_pages);
	if (index + nr_pages < range->info.nr_pages) {
		/* A used neighbour may be parked or unparked at this moment. */
		end.word = READ_ONCE(tag[nr_pages].end.word);
		if (end.state == DPMGR_PAGE_FREE) {
			remove_free(range, index + nr_pages, end.nr_pages);
			nr_pages += end.nr_pages;
		}
	}
	if (index) {
		end.word = READ_ONCE(tag[-1].end.word);
		if (end.state == DPMGR_PAGE_FREE) {
			index -= end.nr_pages;
			nr_pages += end.nr_pages;
			remove_free(range, index, end.nr_pages);
		}
	}
	add_free(range, index, nr_pages);
}

/* Does the free run at @index hold what is requested, and @first where? */
static bool fits(const struct dpmgr_page_range *range, u32 index,
		 const struct dpmgr_page_request *request, u32 *first)
{
	u64 base_pfn = range->info.base_pfn + index;
	u64 end_pfn = min(base_pfn + range->tags[index].end.nr_pages,
			  request->end_pfn);
	u64 pfn;

	if (end_pfn < base_pfn + request->nr_pages)
		return false;
	pfn = round_down(end_pfn - request->nr_pages,
			 1ULL << request->align_order);
	if (pfn < base_pfn)
		return false;
	*first = pfn - range->info.base_pfn;
	return true;
}

/* The first run of the next class above @class that has one, or NONE. */
static u32 next_class(const struct dpmgr_page_range *range,
		      struct size_class *class)
{
	/* Shifting twice: a shift by 32 would be undefined. */
	u32 map = range->second_level[class->fl] & (~0U << class->sl << 1);

	if (!map) {
		map = range->first_level & (~0U << class->fl << 1);
		if (!map)
			return NONE;
		class->fl = __ffs(map);
		map = range->second_level[class->fl];
	}
	class->sl = __ffs(map);
	return range->classes[class->fl][class->sl];
}

/* A free run that fits, from that at @index on, upwards in size; or NONE. */
static u32 scan(const struct dpmgr_page_range *range, u32 index,
		struct size_class class,
		const struct dpmgr_page_request *request, u32 *first)
{
	unsigned int looked;

	for (looked = 0; looked < FIT_SCAN; looked++) {
		if (index == NONE)
			index = next_class(range, &class);
		if (index == NONE || fits(range, index, request, first))
			return index;
		index = range->tags[index].next;
	}
	return NONE;
}

static u32 find_fit(const struct dpmgr_page_range *range,
		    const struct dpmgr_page_request *request, u32 *first)
{
	struct size_class class = class_of(request->nr_pages);
	u64 enough;
	u32 index;

	index = scan(range, range->classes[class.fl][class.sl], class, request,
		     first);
	if (index != NONE)
		return index;

	/* Above this class, every run holds an aligned one. */
	enough = request->nr_pages + (1ULL << request->align_order) - 1;
	if (enough > range->info.nr_pages)
		return NONE;
	return scan(range, NONE, class_of(enough), request, first);
}

static void allocate(struct dpmgr_page_range *range, u32 index, u32 first,
		     u32 nr_pages, void *owner)
{
	carve(range, index, first, nr_pages);
	count_used(range, nr_pages);
	range->tags[first].owner = owner;
}

static void set_run(struct dpmgr_page_run *run,
		    const struct dpmgr_page_range *range, u32 index,
		    u32 nr_pages, void *owner)
{
	run->base_pfn = range->info.base_pfn + index;
	run->nr_pages = nr_pages;
	run->owner = owner;
}

/*
 * Allocate a clean run. It is found if there is one, unless more than FIT_SCAN
 * runs are in the way that are about as long as the request, or that are misfits
 * for their alignment or height.
 */
bool dpmgr_page_range_take(struct dpmgr_page_range *range,
			   const struct dpmgr_page_request *request, void *owner,
			   struct dpmgr_page_run *run)
{
	u32 index, first;

	guard(raw_spinlock_irqsave)(&range->lock);
	index = find_fit(range, request, &first);
	if (index == NONE)
		return false;
	allocate(range, index, first, request->nr_pages, owner);
	set_run(run, range, first, request->nr_pages, owner);
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
	u32 next = 0, index, first;
	unsigned int steps;

	while (next < range->info.nr_pages) {
		guard(raw_spinlock_irqsave)(&range->lock);
		for (steps = 0; steps < WALK_BATCH && next < range->info.nr_pages;
		     steps++) {
			index = next;
			if (step(range, &next).state != DPMGR_PAGE_FREE ||
			    !fits(range, index, request, &first))
				continue;
			allocate(range, index, first, request->nr_pages, owner);
			set_run(run, range, first, request->nr_pages, owner);
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
	u32 index, first;

	guard(raw_spinlock_irqsave)(&range->lock);
	for (parked = 0; parked < count; parked++) {
		index = find_fit(range, &request, &first);
		if (index == NONE)
			break;
		allocate(range, index, first, nr_pages, NULL);
		WRITE_ONCE(range->tags[first].end.word,
			   page_parked(nr_pages, *list).word);
		*list = first;
	}
	return parked;
}

/* Free all parked runs of @list. */
void dpmgr_page_range_unpark(struct dpmgr_page_range *range, u32 list)
{
	guard(raw_spinlock_irqsave)(&range->lock);
	while (list != NONE) {
		union page_end end = range->tags[list].end;

		uncount_used(range, end.parked_pages);
		release(range, list, end.parked_pages);
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
	carve(range, index, index, nr_pages);
	range->tags[index].owner = NULL;
	set_run(run, range, index, nr_pages, NULL);
	return true;
}

/*
 * The run that holds page @index. Walks from where the last call ended, so the
 * cost is the number of runs in between.
 */
static u32 walk_to(struct dpmgr_page_range *range, u32 index)
{
	u32 run = range->cursor;

	if (!page_is_head(range, run))
		run = 0;
	while (run > index)
		run -= page_length(range->tags[run - 1].end);
	while (run + page_length(range->tags[run].end) <= index)
		run += page_length(range->tags[run].end);
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
	end = range->tags[run].end;
	if ((end.state != DPMGR_PAGE_FREE && end.state != DPMGR_PAGE_DIRTY) ||
	    end.nr_pages - (index - run) < nr_pages)
		return -EBUSY;
	allocate(range, run, index, nr_pages, owner);
	range->cursor = index;
	return 0;
}

/* Is exactly this run allocated, to its owner? Call it under the lock. */
static bool is_used(const struct dpmgr_page_range *range,
		    const struct dpmgr_page_run *run)
{
	const struct page_tag *tag =
		&range->tags[run->base_pfn - range->info.base_pfn];

	return READ_ONCE(tag->end.word) ==
	       page_head(run->nr_pages, DPMGR_PAGE_USED).word &&
	       READ_ONCE(tag->owner) == run->owner;
}

/* 0, or -EINVAL if exactly this run is not allocated. */
int dpmgr_page_range_put(struct dpmgr_page_range *range,
			 const struct dpmgr_page_run *run)
{
	guard(raw_spinlock_irqsave)(&range->lock);
	if (!is_used(range, run))
		return -EINVAL;
	if (run->owner)
		uncount_used(range, run->nr_pages);
	release(range, run->base_pfn - range->info.base_pfn, run->nr_pages);
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
	if (!is_used(range, run))
		return -EINVAL;
	erase_run(range, index, run->nr_pages);
	if (run->owner)
		uncount_used(range, run->nr_pages);
	if (before) {
		write_run(range, index, before, DPMGR_PAGE_USED);
		if (run->owner)
			count_used(range, before);
	}
	write_run(range, first, nr_pages, DPMGR_PAGE_QUARANTINED);
	range->nr_quarantined += nr_pages;
	if (after) {
		range->tags[first + nr_pages].owner = run->owner;
		write_run(range, first + nr_pages, after, DPMGR_PAGE_USED);
		if (run->owner)
			count_used(range, after);
	}
	return 0;
}

/* The next run of @state that begins in [@index, @end). */
bool dpmgr_page_range_next(struct dpmgr_page_range *range, u32 index, u32 end,
			   enum dpmgr_page_state state,
			   struct dpmgr_page_run *run)
{
	unsigned int steps;

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
			set_run(run, range, this, found.nr_pages, owner);
			return true;
		}
	}
	return false;
}

static u32 longest_free(const struct dpmgr_page_range *range)
{
	unsigned int looked = 0, fl, sl;
	u32 longest = 0, index;

	if (!range->first_level)
		return 0;
	fl = fls(range->first_level) - 1;
	sl = fls(range->second_level[fl]) - 1;
	for (index = range->classes[fl][sl];
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
		.free = range->nr_free,
		.dirty = range->info.nr_pages - range->nr_free -
			 range->nr_used - range->nr_quarantined,
		.used = range->nr_used,
		.used_max = range->nr_used_max,
		.quarantined = range->nr_quarantined,
		.runs = range->nr_runs,
		.free_runs = range->nr_free_runs,
		.largest = longest_free(range),
	};
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
	range->tags = vcalloc(info->nr_pages, sizeof(*range->tags));
	if (!range->tags) {
		kfree(range);
		return NULL;
	}
	raw_spin_lock_init(&range->lock);
	range->info = *info;
	range->dirty = NONE;
	memset(range->classes, 0xff, sizeof(range->classes));
	add_dirty(range, 0, info->nr_pages);
	return range;
}

void dpmgr_page_range_destroy(struct dpmgr_page_range *range)
{
	vfree(range->tags);
	kfree(range);
}
