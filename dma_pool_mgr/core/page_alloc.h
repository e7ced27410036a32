/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs of pages in a set of physical ranges.
 */
#ifndef DPMGR_CORE_PAGE_ALLOC_H
#define DPMGR_CORE_PAGE_ALLOC_H

#include <linux/types.h>

struct dpmgr_page_range;

/**
 * struct dpmgr_pages - a page allocator
 * @nr_ranges: entries in @ranges
 * @ranges: in ascending address order; fixed after dpmgr_pages_init()
 */
struct dpmgr_pages {
	unsigned int nr_ranges;
	struct dpmgr_page_range **ranges;
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

/**
 * struct dpmgr_page_request - what an allocation asks for
 * @nr_pages: length of the run
 * @node: preferred node, or NUMA_NO_NODE
 * @persistent: only ranges that survive a kexec will do
 * @end_pfn: only ranges that end at or below this page will do
 */
struct dpmgr_page_request {
	u32 nr_pages;
	int node;
	bool persistent;
	u64 end_pfn;
};

/**
 * struct dpmgr_page_run - an allocated run
 * @base_pfn: first page
 * @nr_pages: length
 * @owner: as given when it was allocated; NULL for a scrubber's
 */
struct dpmgr_page_run {
	u64 base_pfn;
	u32 nr_pages;
	void *owner;
};

/**
 * struct dpmgr_page_counts - a snapshot, each field in pages but @runs
 * @total: all pages
 * @free: clean and allocatable at once
 * @dirty: allocatable once scrubbed, or being scrubbed
 * @used: in runs that have an owner
 * @used_max: the most that @used has ever been
 * @runs: runs that have an owner
 */
struct dpmgr_page_counts {
	u64 total;
	u64 free;
	u64 dirty;
	u64 used;
	u64 used_max;
	u64 runs;
};

int dpmgr_pages_init(struct dpmgr_pages *pages,
		     const struct dpmgr_page_range_info *infos,
		     unsigned int nr_ranges);
void dpmgr_pages_destroy(struct dpmgr_pages *pages);

int dpmgr_pages_take(struct dpmgr_pages *pages,
		     const struct dpmgr_page_request *request, void *owner,
		     struct dpmgr_page_run *run);
int dpmgr_pages_claim(struct dpmgr_pages *pages, u64 base_pfn, u32 nr_pages,
		      void *owner);
int dpmgr_pages_put(struct dpmgr_pages *pages,
		    const struct dpmgr_page_run *run);
bool dpmgr_pages_take_dirty(struct dpmgr_pages *pages, u32 max_pages,
			    struct dpmgr_page_run *run);

u64 dpmgr_pages_visit(struct dpmgr_pages *pages, u64 from_pfn, u64 end_pfn,
		      void (*visit)(const struct dpmgr_page_run *run, void *arg),
		      void *arg);
void *dpmgr_pages_owner(struct dpmgr_pages *pages, u64 base_pfn, u32 nr_pages);
void dpmgr_pages_count(struct dpmgr_pages *pages, unsigned int range,
		       struct dpmgr_page_counts *counts);
void dpmgr_pages_info(const struct dpmgr_pages *pages, unsigned int range,
		      struct dpmgr_page_range_info *info);
int dpmgr_pages_find(const struct dpmgr_pages *pages, u64 pfn);
u64 dpmgr_pages_largest(const struct dpmgr_pages *pages,
			const struct dpmgr_page_request *request);

/* For tests: recount everything; NULL, or the invariant that is broken. */
const char *dpmgr_pages_verify(struct dpmgr_pages *pages);

#endif /* DPMGR_CORE_PAGE_ALLOC_H */
