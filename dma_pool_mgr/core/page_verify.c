// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: every invariant of the page allocator, recounted.
 */
#include <linux/cleanup.h>

#include "export.h"
#include "page_range.h"

static u32 *list_of(struct dpmgr_page_range *range, u32 index)
{
	const union page_end end = range->tags[index].end;
	u32 nr_pages = end.nr_pages, class = 0;

	if (end.state == DPMGR_PAGE_DIRTY)
		return &range->dirty;
	/* Halved until it has six bits: each time, 32 classes further up. */
	while (nr_pages >= 2 << CLASS_BITS) {
		nr_pages >>= 1;
		class += BIT(CLASS_BITS);
	}
	return &range->classes[class + nr_pages];
}

static bool is_where_it_belongs(struct dpmgr_page_range *range, u32 index)
{
	const struct page_tag *tag = &range->tags[index];

	if (index == range->victim)
		return tag->end.state == DPMGR_PAGE_FREE;
	if (tag->next != NONE && range->tags[tag->next].prev != index)
		return false;
	if (tag->prev != NONE)
		return range->tags[tag->prev].next == index;
	return *list_of(range, index) == index;
}

static bool ends_agree(const struct page_tag *head, u32 nr_pages)
{
	const union page_end tail = head[nr_pages - 1].end;
	const u8 state = READ_ONCE(head->end.state);

	/* A parked run is marked at its head only. */
	return tail.is_tail && tail.nr_pages == nr_pages && !tail.parked_pages &&
	       tail.state == (state == DPMGR_PAGE_PARKED ? DPMGR_PAGE_USED : state);
}

static const char *verify_classes(const struct dpmgr_page_range *range)
{
	u32 class, word;

	for (class = 0; class < NR_CLASSES; class++)
		if (range->classes[class] != NONE &&
		    !(range->class_map[class / 64] & BIT_ULL(class % 64)))
			return "a class has runs and no bit";
	for (word = 0; word < NR_CLASS_WORDS; word++)
		if (!!range->class_map[word] != !!(range->class_words & BIT(word)))
			return "a word's bit differs from its classes";
	return NULL;
}

static const char *verify_range(struct dpmgr_page_range *range, u64 *parked,
				u64 *parked_runs)
{
	u64 pages_of[DPMGR_PAGE_QUARANTINED + 1] = {};
	u64 runs_of[DPMGR_PAGE_QUARANTINED + 1] = {};
	enum dpmgr_page_state left = DPMGR_PAGE_INSIDE;
	u32 index, nr_pages, i;

	guard(raw_spinlock_irqsave)(&range->lock);
	for (index = 0; index < range->info.nr_pages; index += nr_pages) {
		const struct page_tag *tag = &range->tags[index];
		union page_end end;

		/* Pairs with the release that made it used. */
		end.word = smp_load_acquire(&tag->end.word);
		nr_pages = page_length(end);
		if (end.state == DPMGR_PAGE_INSIDE || end.is_tail)
			return "a run does not start where its left neighbour ends";
		if (end.state > DPMGR_PAGE_QUARANTINED)
			return "a run's state is impossible";
		if (!nr_pages || nr_pages > range->info.nr_pages - index)
			return "a run's length is impossible";
		if (nr_pages > 1 && !ends_agree(tag, nr_pages))
			return "a run's two ends differ";
		for (i = 1; i + 1 < nr_pages; i++)
			if (tag[i].end.state != DPMGR_PAGE_INSIDE)
				return "there is an end inside a run";
		if ((end.state == DPMGR_PAGE_FREE ||
		     end.state == DPMGR_PAGE_DIRTY) &&
		    !is_where_it_belongs(range, index))
			return "a run is neither the victim nor on the list of its size";
		if (end.state == DPMGR_PAGE_FREE && left == DPMGR_PAGE_FREE)
			return "two free neighbours are not merged";
		left = end.state;
		if (end.state == DPMGR_PAGE_USED && !READ_ONCE(tag->owner))
			continue;
		pages_of[end.state] += nr_pages;
		runs_of[end.state]++;
	}
	if (pages_of[DPMGR_PAGE_FREE] != page_nr_free(range) ||
	    runs_of[DPMGR_PAGE_FREE] != range->nr_free_runs)
		return "the counters of free runs differ from a recount";
	*parked = pages_of[DPMGR_PAGE_PARKED];
	*parked_runs = runs_of[DPMGR_PAGE_PARKED];
	if (pages_of[DPMGR_PAGE_USED] + *parked != range->nr_used ||
	    runs_of[DPMGR_PAGE_USED] + *parked_runs != range->nr_runs)
		return "the counters of used runs differ from a recount";
	if (pages_of[DPMGR_PAGE_QUARANTINED] != range->nr_quarantined)
		return "the counter of quarantined pages differs from a recount";
	return verify_classes(range);
}

/**
 * dpmgr_pages_verify() - recount everything
 * @pages: the allocator
 * @quiet: nobody else uses it meanwhile, so that even the fronts can be checked
 *
 * Context: process.
 * Return: NULL, or the invariant that is broken.
 */
const char *dpmgr_pages_verify(struct dpmgr_pages *pages, bool quiet)
{
	u64 held, held_runs, parked, parked_runs;
	const char *broken;
	u64 all_held = 0;
	unsigned int i;

	for (i = 0; i < pages->nr_ranges; i++) {
		broken = verify_range(pages->ranges[i], &parked, &parked_runs);
		if (broken)
			return broken;
		dpmgr_page_fronts_count(pages, i, &held, &held_runs);
		if (quiet && (held != parked || held_runs != parked_runs))
			return "the fronts hold other runs than those that are parked";
		all_held += held;
	}
	if (quiet && all_held > pages->nr_pages / 64)
		return "the fronts hold more than their share";
	return NULL;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pages_verify);
