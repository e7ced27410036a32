/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs of pages in a set of physical ranges.
 */
#ifndef DPMGR_CORE_PAGE_ALLOC_H
#define DPMGR_CORE_PAGE_ALLOC_H

#include <linux/atomic.h>
#include <linux/types.h>

struct dpmgr_page_front;
struct dpmgr_page_range;

/* Run lengths that fronts have a list for. */
#define DPMGR_PAGE_FRONT_SIZES	14

/**
 * struct dpmgr_pages - a page allocator
 * @nr_ranges: entries in @ranges
 * @ranges: in ascending address order
 * @nr_pages: of all ranges
 * @has_volatile: there is a range that does not survive a kexec
 * @is_simple: there is one range, and it does: no need to choose
 * @front_pages: most pages in one CPU's front
 * @front_runs: most runs on each of its lists
 * @fronts: per CPU; NULL if there are none
 * @nr_bad: pages that are marked as bad
 *
 * Nothing in it but @nr_bad changes after dpmgr_pages_init().
 */
struct dpmgr_pages {
	unsigned int nr_ranges;
	struct dpmgr_page_range **ranges;
	u64 nr_pages;
	bool has_volatile;
	bool is_simple;
	u32 front_pages;
	u16 front_runs[DPMGR_PAGE_FRONT_SIZES];
	struct dpmgr_page_front __percpu *fronts;
	atomic64_t nr_bad;
};

/**
 * struct dpmgr_page_range_info - what is fixed about a range
 * @base_pfn: first page
 * @nr_pages: 1 to DPMGR_PAGES_MAX
 * @node: NUMA node, or NUMA_NO_NODE
 * @persistent: whether its contents survive a kexec
 */
struct dpmgr_page_range_info {
	u64 base_pfn;
	u64 nr_pages;
	int node;
	bool persistent;
};

/* Pages are numbered with 32 bits inside a range; the last number is "none". */
#define DPMGR_PAGES_MAX		((u64)U32_MAX - 1)

/* Ranges are numbered with 16 bits. */
#define DPMGR_PAGE_RANGES_MAX	((unsigned int)U16_MAX)

/**
 * struct dpmgr_page_request - what an allocation asks for
 * @nr_pages: length of the run, not 0
 * @align_order: the run's first page is to be a multiple of 2^@align_order; 31
 *	at most
 * @node: preferred node, or NUMA_NO_NODE
 * @persistent: only ranges that survive a kexec will do
 * @end_pfn: the run is to end at or below this page
 */
struct dpmgr_page_request {
	u32 nr_pages;
	unsigned int align_order;
	int node;
	bool persistent;
	u64 end_pfn;
};

/**
 * enum dpmgr_page_state - what a run is
 * @DPMGR_PAGE_INSIDE: a tag's state only: the page is not at an end of its run
 * @DPMGR_PAGE_FREE: clean, and allocatable at once
 * @DPMGR_PAGE_DIRTY: never used since its range was added, contents unknown
 * @DPMGR_PAGE_PARKED: clean, and in a CPU's front: counts as free
 * @DPMGR_PAGE_USED: allocated
 * @DPMGR_PAGE_QUARANTINED: never to be allocated again
 */
enum dpmgr_page_state {
	DPMGR_PAGE_INSIDE,
	DPMGR_PAGE_FREE,
	DPMGR_PAGE_DIRTY,
	DPMGR_PAGE_PARKED,
	DPMGR_PAGE_USED,
	DPMGR_PAGE_QUARANTINED,
};

/**
 * struct dpmgr_page_run - a run of pages
 * @base_pfn: first page
 * @nr_pages: length
 * @owner: if it is used: as given when it was allocated, NULL for a scrubber's
 */
struct dpmgr_page_run {
	u64 base_pfn;
	u32 nr_pages;
	void *owner;
};

/**
 * struct dpmgr_page_counts - a snapshot of a range, in pages but @runs,
 *	@free_runs and @fragmentation
 * @total: all pages
 * @free: clean and allocatable, @parked included
 * @parked: in the fronts of CPUs
 * @dirty: allocatable once scrubbed, or being scrubbed
 * @used: in runs that have an owner
 * @used_max: the most that @used and @parked have ever been together
 * @quarantined: never to be allocated again
 * @runs: runs that have an owner
 * @free_runs: free runs, parked ones not included
 * @largest: the longest free run, parked ones not included; may be up to 1/32
 *	too small where very many free runs are about as long
 * @fragmentation: external fragmentation, in per mille: how much of the free
 *	pages, parked ones not included, is not in the longest free run
 *
 * While others allocate and free, the parked ones are counted a moment before
 * the rest.
 */
struct dpmgr_page_counts {
	u64 total;
	u64 free;
	u64 parked;
	u64 dirty;
	u64 used;
	u64 used_max;
	u64 quarantined;
	u64 runs;
	u64 free_runs;
	u64 largest;
	u32 fragmentation;
};

int dpmgr_pages_init(struct dpmgr_pages *pages,
		     const struct dpmgr_page_range_info *infos,
		     unsigned int nr_ranges, bool fronts);
void dpmgr_pages_destroy(struct dpmgr_pages *pages);

int dpmgr_pages_take(struct dpmgr_pages *pages,
		     const struct dpmgr_page_request *request, void *owner,
		     struct dpmgr_page_run *run);
int dpmgr_pages_search(struct dpmgr_pages *pages,
		       const struct dpmgr_page_request *request, void *owner,
		       struct dpmgr_page_run *run);
int dpmgr_pages_claim(struct dpmgr_pages *pages, u64 base_pfn, u32 nr_pages,
		      void *owner);
bool dpmgr_pages_take_dirty(struct dpmgr_pages *pages, u32 max_pages,
			    struct dpmgr_page_run *run);
int dpmgr_pages_put(struct dpmgr_pages *pages,
		    const struct dpmgr_page_run *run);
int dpmgr_pages_quarantine(struct dpmgr_pages *pages,
			   const struct dpmgr_page_run *run, u64 base_pfn,
			   u32 nr_pages);
bool dpmgr_pages_flush(struct dpmgr_pages *pages);

unsigned int dpmgr_pages_next_some(struct dpmgr_pages *pages, u64 from_pfn,
				   u64 end_pfn, enum dpmgr_page_state state,
				   struct dpmgr_page_run *runs, unsigned int max);
bool dpmgr_pages_next(struct dpmgr_pages *pages, u64 from_pfn, u64 end_pfn,
		      enum dpmgr_page_state state, struct dpmgr_page_run *run);
enum dpmgr_page_state dpmgr_pages_look(struct dpmgr_pages *pages, u64 pfn,
				       struct dpmgr_page_run *run);
void *dpmgr_pages_owner(const struct dpmgr_pages *pages, u64 base_pfn,
			u32 nr_pages);
void dpmgr_pages_count(struct dpmgr_pages *pages, unsigned int range,
		       struct dpmgr_page_counts *counts);
void dpmgr_pages_info(const struct dpmgr_pages *pages, unsigned int range,
		      struct dpmgr_page_range_info *info);
int dpmgr_pages_find(const struct dpmgr_pages *pages, u64 pfn);
u64 dpmgr_pages_largest(const struct dpmgr_pages *pages,
			const struct dpmgr_page_request *request);

/* page_bad.c */
int dpmgr_pages_set_bad(struct dpmgr_pages *pages, u64 pfn);
bool dpmgr_pages_handle_bad(struct dpmgr_pages *pages, u64 pfn);
u64 dpmgr_pages_next_bad(const struct dpmgr_pages *pages, u64 from_pfn, u64 end_pfn);
int dpmgr_pages_retire(struct dpmgr_pages *pages, u64 pfn, struct dpmgr_page_run *run);

/* page_verify.c, for tests */
const char *dpmgr_pages_verify(struct dpmgr_pages *pages, bool quiet);

#endif /* DPMGR_CORE_PAGE_ALLOC_H */
