/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One range of pages: what page_alloc is made of, and private to it.
 */
#ifndef DPMGR_CORE_PAGE_RANGE_H
#define DPMGR_CORE_PAGE_RANGE_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "page_alloc.h"

/* Each power of two has 32 size classes; see page_fit.h. */
#define CLASS_BITS	5
#define NR_CLASSES	((32 - CLASS_BITS + 1) << CLASS_BITS)
#define NR_CLASS_WORDS	(NR_CLASSES / 64)
#define NONE		U32_MAX

/* Runs that are looked at before a lock is let go of for a moment. */
#define WALK_BATCH	1024

/**
 * union page_end - what is said at either end of a run
 * @nr_pages: its length; at the head of a parked run: the next on its list
 * @state: enum dpmgr_page_state; a parked run's tail says used
 * @is_tail: this is the last page of a run of two or more
 * @parked_pages: at the head of a parked run: its length
 * @class: at the head of a free run that is on a list: its size class; neither: 0
 * @word: all of it
 */
union page_end {
	struct {
		u32 nr_pages;
		u8 state;
		u8 is_tail;
		union {
			u16 parked_pages;
			u16 class;
		};
	};
	u64 word;
};

/**
 * struct page_tag - what is known about a page
 * @end: valid at both ends of a run; DPMGR_PAGE_INSIDE between them
 * @prev: free or dirty run's first page: the one before on its list
 * @next: free or dirty run's first page: the one after on its list
 * @owner: used run's first page; a parked one keeps its last
 */
struct page_tag {
	union page_end end;
	union {
		struct {
			u32 prev;
			u32 next;
		};
		void *owner;
	};
};

static_assert(sizeof(struct page_tag) == 16);

/**
 * struct dpmgr_page_range - a range
 * @info: fixed
 * @nearly_full: nothing goes through fronts while more pages are used; fixed
 * @tags: one for each page
 * @bad: a bit for each page: it holds a memory error. Set in any context, and for good
 * @handled: the same: what follows from that was done
 * @lock: protects all below and, but for what page_front.c says, the tags
 * @nr_free_runs: free runs
 * @nr_used: pages in used and parked runs that have or had an owner
 * @nr_used_max: the most that @nr_used has ever been
 * @nr_runs: such runs
 * @nr_dirty: pages in dirty runs, and those that a scrubber has
 * @nr_quarantined: pages in quarantined runs
 * @dirty: first of the dirty runs
 * @victim: the free run that was cut last, on no list; or NONE
 * @cursor: where the last claim ended its walk
 * @class_words: bit i: class_map[i] is not 0
 * @class_map: bit i % 64 of word i / 64: classes[i] is not empty, or was not; who
 *	finds it empty clears the bit
 * @classes: free runs by size
 */
struct dpmgr_page_range {
	struct dpmgr_page_range_info info;
	u64 nearly_full;
	struct page_tag *tags;
	unsigned long *bad;
	unsigned long *handled;

	raw_spinlock_t lock;
	u32 class_words;
	u32 victim;
	u32 nr_free_runs;
	u64 nr_used;
	u64 nr_used_max;
	u64 nr_runs;
	u64 nr_dirty;
	u64 nr_quarantined;
	u32 dirty;
	u32 cursor;
	u64 class_map[NR_CLASS_WORDS];
	u32 classes[NR_CLASSES];
};

static_assert(sizeof(struct dpmgr_page_range) <= 4096);

struct page_front_list {
	u32 head;
	u16 nr_runs;
	u16 range;
};

/**
 * struct dpmgr_page_front - a CPU's front
 * @lock: protects all below
 * @nr_pages: on all lists
 * @lists: parked runs by size
 */
struct dpmgr_page_front {
	raw_spinlock_t lock;
	u32 nr_pages;
	struct page_front_list lists[DPMGR_PAGE_FRONT_SIZES];
} ____cacheline_aligned;

static_assert(sizeof(struct dpmgr_page_front) <= 512);

static inline bool page_is_head(const struct dpmgr_page_range *range, u32 index)
{
	union page_end end;

	/* Fronts park and unpark used runs without the lock. */
	end.word = READ_ONCE(range->tags[index].end.word);
	return end.state != DPMGR_PAGE_INSIDE && !end.is_tail;
}

static inline union page_end page_head(u32 nr_pages, enum dpmgr_page_state state)
{
	return (union page_end){ .nr_pages = nr_pages, .state = state };
}

static inline union page_end page_parked(u32 nr_pages, u32 next)
{
	return (union page_end){
		.nr_pages = next,
		.state = DPMGR_PAGE_PARKED,
		.parked_pages = nr_pages,
	};
}

static inline u32 page_length(union page_end end)
{
	return end.state == DPMGR_PAGE_PARKED ? end.parked_pages : end.nr_pages;
}

static inline u64 page_nr_free(const struct dpmgr_page_range *range)
{
	return range->info.nr_pages - range->nr_used - range->nr_dirty -
	       range->nr_quarantined;
}

/* There, the right place for a run matters more than who is at hand. */
static inline bool page_is_nearly_full(const struct dpmgr_page_range *range)
{
	return READ_ONCE(range->nr_used) > range->nearly_full;
}

/* Is there anything in this CPU's front, or will there be? */
static inline bool page_front_is_in_use(const struct dpmgr_pages *pages)
{
	return pages->fronts &&
	       (!pages->is_simple || !page_is_nearly_full(pages->ranges[0]) ||
		READ_ONCE(raw_cpu_ptr(pages->fronts)->nr_pages));
}

static inline u64 page_end_pfn(const struct dpmgr_page_range *range)
{
	return range->info.base_pfn + range->info.nr_pages;
}

struct page_fit;

struct dpmgr_page_range *
dpmgr_page_range_create(const struct dpmgr_page_range_info *info);
void dpmgr_page_range_destroy(struct dpmgr_page_range *range);

/* page_range.c, for page_fit.h */
struct page_fit dpmgr_page_find_other(struct dpmgr_page_range *range,
				      const struct dpmgr_page_request *request);
void dpmgr_page_change_victim(struct dpmgr_page_range *range, u32 index);
void dpmgr_page_mark_class(struct dpmgr_page_range *range, u32 class);
void dpmgr_page_clear_class(struct dpmgr_page_range *range, u32 class);
void dpmgr_page_add_free(struct dpmgr_page_range *range, u32 index, u32 nr_pages);

/* page_range.c */
bool dpmgr_page_range_take(struct dpmgr_page_range *range,
			   const struct dpmgr_page_request *request, void *owner,
			   struct dpmgr_page_run *run);
bool dpmgr_page_range_search(struct dpmgr_page_range *range,
			     const struct dpmgr_page_request *request,
			     void *owner, struct dpmgr_page_run *run);
u32 dpmgr_page_range_park(struct dpmgr_page_range *range, u32 nr_pages,
			  unsigned int count, u32 *list);
void dpmgr_page_range_unpark(struct dpmgr_page_range *range, u32 list);
bool dpmgr_page_range_take_dirty(struct dpmgr_page_range *range, u32 max_pages,
				 struct dpmgr_page_run *run);
int dpmgr_page_range_claim(struct dpmgr_page_range *range, u32 index,
			   u32 nr_pages, void *owner);
void dpmgr_page_carve_dirty(struct dpmgr_page_range *range, u32 index, u32 first,
			    u32 nr_pages, void *owner);
int dpmgr_page_range_quarantine(struct dpmgr_page_range *range,
				const struct dpmgr_page_run *run, u32 first,
				u32 nr_pages);
unsigned int dpmgr_page_range_next(struct dpmgr_page_range *range, u32 index,
				   u32 end, enum dpmgr_page_state state,
				   struct dpmgr_page_run *runs,
				   unsigned int max);
void dpmgr_page_range_count(struct dpmgr_page_range *range,
			    struct dpmgr_page_counts *counts);

/* page_front.c */
int dpmgr_page_fronts_init(struct dpmgr_pages *pages);
void dpmgr_page_fronts_destroy(struct dpmgr_pages *pages);
bool dpmgr_page_front_take(struct dpmgr_pages *pages,
			   const struct dpmgr_page_request *request, void *owner,
			   struct dpmgr_page_run *run);
bool dpmgr_page_front_put(struct dpmgr_pages *pages, unsigned int range,
			  const struct dpmgr_page_run *run);
void dpmgr_page_fronts_count(struct dpmgr_pages *pages, unsigned int range,
			     u64 *nr_pages, u64 *nr_runs);

/* page_alloc.c */
int dpmgr_page_best_range(const struct dpmgr_pages *pages,
			  const struct dpmgr_page_request *request);

#endif /* DPMGR_CORE_PAGE_RANGE_H */
