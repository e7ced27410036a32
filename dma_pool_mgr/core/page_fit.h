/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an allocation and a free are made of, inside a range: two-level segregated
 * fit. Inlined, since a pair of them is three hundred instructions, and calls
 * would be a good part of that.
 *
 * Size classes: sizes below 32 pages have a class each; above, each power of two
 * is divided into 32 classes. A request takes the first run that fits, looking at
 * the smallest first. The run that was cut last, the victim, is on no list, so that
 * neither cutting it again nor merging the piece with it moves anything from list
 * to list. A piece is cut from the high end, which keeps low pages for devices that
 * reach no others.
 *
 * Everything here is called under the range's lock.
 */
#ifndef DPMGR_CORE_PAGE_FIT_H
#define DPMGR_CORE_PAGE_FIT_H

#include <linux/bitops.h>
#include <linux/minmax.h>

#include "page_range.h"

/* The class whose runs have @nr_pages or slightly more. */
static __always_inline u32 page_class(u32 nr_pages)
{
	unsigned int shift = __fls(nr_pages | BIT(CLASS_BITS)) - CLASS_BITS;

	return (shift << CLASS_BITS) + (nr_pages >> shift);
}

static __always_inline void page_write_ends(struct page_tag *tag, u32 nr_pages,
					    union page_end head,
					    enum dpmgr_page_state tail_state)
{
	union page_end tail = page_head(nr_pages, tail_state);

	/* Those whose runs are next to this one look at either end. */
	tail.is_tail = true;
	if (nr_pages > 1)
		WRITE_ONCE(tag[nr_pages - 1].end.word, tail.word);
	/* Who sees it used, which takes no lock, sees its owner. */
	smp_store_release(&tag->end.word, head.word);
}

static __always_inline void page_write_run(struct page_tag *tag, u32 nr_pages,
					   enum dpmgr_page_state state)
{
	page_write_ends(tag, nr_pages, page_head(nr_pages, state), state);
}

/* The last tag of one run and the first of the next, which are merged. */
static __always_inline void page_erase_seam(struct page_tag *next)
{
	WRITE_ONCE(next[-1].end.word, 0);
	WRITE_ONCE(next->end.word, 0);
}

static __always_inline void page_add_free(struct dpmgr_page_range *range,
					  struct page_tag *tags, u32 index,
					  u32 nr_pages)
{
	const u32 class = page_class(nr_pages);
	const u32 next = range->classes[class];

	page_write_ends(&tags[index], nr_pages, (union page_end){
		.nr_pages = nr_pages,
		.state = DPMGR_PAGE_FREE,
		.class = class,
	}, DPMGR_PAGE_FREE);
	WRITE_ONCE(tags[index].prev, NONE);
	WRITE_ONCE(tags[index].next, next);
	range->classes[class] = index;
	range->nr_free_runs++;
	if (next != NONE)
		WRITE_ONCE(tags[next].prev, index);
	else if (!(range->class_map[class / 64] >> class % 64 & 1))
		dpmgr_page_mark_class(range, class);
}

/* Off its list. Its tags are for the caller to write or erase. */
static __always_inline void page_remove_free(struct dpmgr_page_range *range,
					     struct page_tag *tags, u32 index)
{
	const u32 next = tags[index].next, prev = tags[index].prev;

	range->nr_free_runs--;
	if (next != NONE)
		WRITE_ONCE(tags[next].prev, prev);
	if (prev != NONE)
		WRITE_ONCE(tags[prev].next, next);
	else
		range->classes[tags[index].end.class] = next;
}

static __always_inline void page_count_used(struct dpmgr_page_range *range,
					    u32 nr_pages)
{
	u64 nr_used = range->nr_used + nr_pages;

	WRITE_ONCE(range->nr_used, nr_used);
	if (nr_used > range->nr_used_max)
		range->nr_used_max = nr_used;
	range->nr_runs++;
}

static __always_inline void page_uncount_used(struct dpmgr_page_range *range,
					      u32 nr_pages)
{
	WRITE_ONCE(range->nr_used, range->nr_used - nr_pages);
	range->nr_runs--;
}

/* A run that is on no list becomes free, merged with its free neighbours. */
static __always_inline void page_release(struct dpmgr_page_range *range,
					 u32 index, u32 nr_pages)
{
	struct page_tag *tags = range->tags;
	struct page_tag *tag = &tags[index];
	union page_end end;

	if (index + nr_pages < range->info.nr_pages) {
		/* A used neighbour may be parked or unparked at this moment. */
		end.word = READ_ONCE(tag[nr_pages].end.word);
		if (end.state == DPMGR_PAGE_FREE) {
			if (index + nr_pages == range->victim) {
				range->victim = NONE;
				range->nr_free_runs--;
			} else {
				page_remove_free(range, tags, index + nr_pages);
			}
			page_erase_seam(&tag[nr_pages]);
			nr_pages += end.nr_pages;
		}
	}
	if (index) {
		end.word = READ_ONCE(tag[-1].end.word);
		if (end.state == DPMGR_PAGE_FREE) {
			index -= end.nr_pages;
			nr_pages += end.nr_pages;
			if (likely(index == range->victim)) {
				page_erase_seam(tag);
				page_write_run(&tags[index], nr_pages,
					       DPMGR_PAGE_FREE);
				return;
			}
			page_remove_free(range, tags, index);
			page_erase_seam(tag);
		}
	}
	page_add_free(range, tags, index, nr_pages);
}

/**
 * struct page_fit - where a request fits
 * @index: the free run, or NONE
 * @first: the first page in it to take
 */
struct page_fit {
	u32 index;
	u32 first;
};

/* Where in the free run at @index a request fits, if it does. */
static __always_inline struct page_fit
page_fit_in(const struct dpmgr_page_range *range, u32 index,
	    const struct dpmgr_page_request *request)
{
	const u32 len = range->tags[index].end.nr_pages;
	u64 base_pfn = range->info.base_pfn + index;
	u64 end_pfn = base_pfn + len, pfn;

	if (likely(!request->align_order && end_pfn <= request->end_pfn)) {
		if (len < request->nr_pages)
			return (struct page_fit){ NONE };
		return (struct page_fit){ index, index + len - request->nr_pages };
	}
	end_pfn = min(end_pfn, request->end_pfn);
	if (end_pfn < base_pfn + request->nr_pages)
		return (struct page_fit){ NONE };
	pfn = end_pfn - request->nr_pages;
	pfn &= ~0ULL << request->align_order;
	if (pfn < base_pfn)
		return (struct page_fit){ NONE };
	return (struct page_fit){ index, pfn - range->info.base_pfn };
}

/*
 * The first run of the first class above @class that has one, or NONE. Bits of
 * classes that have become empty are cleared here: a run that comes and goes
 * leaves them alone, and each is cleared once for each time that it was set.
 */
static __always_inline u32 page_next_class(struct dpmgr_page_range *range,
					   u32 class)
{
	/* Shifting twice: a shift by 64 would be undefined. */
	u64 above = ~0ULL << class % 64 << 1;
	u32 word = class / 64;

	for (;;) {
		u64 map = range->class_map[word] & above;
		u32 words, index;

		if (!map) {
			words = range->class_words & (~0U << word << 1);
			if (!words)
				return NONE;
			word = __ffs(words);
			above = ~0ULL;
			map = range->class_map[word];
		}
		class = word * 64 + __ffs64(map);
		index = range->classes[class];
		if (likely(index != NONE))
			return index;
		dpmgr_page_clear_class(range, class);
	}
}

/* Where a request fits, if that was found; see dpmgr_pages_take(). */
static __always_inline struct page_fit
page_find_fit(struct dpmgr_page_range *range,
	      const struct dpmgr_page_request *request)
{
	const u32 class = page_class(request->nr_pages);
	u32 index = range->classes[class];
	struct page_fit fit;

	if (index == NONE) {
		const u32 victim = range->victim;

		index = page_next_class(range, class);
		if (victim != NONE &&
		    (index == NONE || range->tags[victim].end.nr_pages <=
				      range->tags[index].end.nr_pages))
			index = victim;
	}
	if (likely(index != NONE)) {
		fit = page_fit_in(range, index, request);
		if (likely(fit.index != NONE))
			return fit;
	}
	/* The first that there is won't do: look at others. */
	return dpmgr_page_find_other(range, request);
}

/* Take @nr_pages out of a free run. What is left on either side stays free. */
static __always_inline void page_allocate(struct dpmgr_page_range *range,
					  struct page_fit fit, u32 nr_pages,
					  union page_end head, void *owner)
{
	struct page_tag *tags = range->tags;
	const u32 len = tags[fit.index].end.nr_pages;
	const u32 after = fit.index + len - (fit.first + nr_pages);

	const u32 before = fit.first - fit.index;

	if (fit.index != range->victim) {
		page_remove_free(range, tags, fit.index);
		if (before)
			dpmgr_page_change_victim(range, fit.index);
	} else if (!before) {
		range->victim = NONE;
		range->nr_free_runs--;
	}
	WRITE_ONCE(tags[fit.first].owner, owner);
	page_write_ends(&tags[fit.first], nr_pages, head, DPMGR_PAGE_USED);
	if (before)
		page_write_run(&tags[fit.index], before, DPMGR_PAGE_FREE);
	if (unlikely(after))
		dpmgr_page_add_free(range, fit.first + nr_pages, after);
	page_count_used(range, nr_pages);
}

/*
 * If exactly this run is allocated, to its owner, it is ours alone: its first
 * tag says @to.
 */
static __always_inline bool page_grab(struct page_tag *tag,
				      const struct dpmgr_page_run *run, u64 to)
{
	const u64 used = page_head(run->nr_pages, DPMGR_PAGE_USED).word;

	/* Pairs with the release that made it used: the owner is that one's. */
	if (smp_load_acquire(&tag->end.word) != used ||
	    READ_ONCE(tag->owner) != run->owner ||
	    cmpxchg(&tag->end.word, used, to) != used)
		return false;
	if (likely(READ_ONCE(tag->owner) == run->owner))
		return true;
	/* Freed and allocated again, by others, in between. */
	smp_store_release(&tag->end.word, used);
	return false;
}

static __always_inline void page_set_run(struct dpmgr_page_run *run,
					 const struct dpmgr_page_range *range,
					 u32 index, u32 nr_pages, void *owner)
{
	run->base_pfn = range->info.base_pfn + index;
	run->nr_pages = nr_pages;
	run->owner = owner;
}

#endif /* DPMGR_CORE_PAGE_FIT_H */
