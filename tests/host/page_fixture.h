/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the cases of the page allocator share. All that changes something recounts
 * everything afterwards.
 */
#ifndef PAGE_FIXTURE_H
#define PAGE_FIXTURE_H

#include "core/page_alloc.h"
#include "test.h"

/* Its members can be set after it. */
#define ANY_PLACE	.node = NUMA_NO_NODE, .end_pfn = U64_MAX

/* 16,384 pages: with four CPUs, a front has up to 64, one size of it up to 16. */
#define BIG_PAGES	16384
#define FRONT_PAGES	(BIG_PAGES / 64 / SHIM_CPUS)

extern const struct dpmgr_page_range_info three_ranges[3];
extern const struct dpmgr_page_range_info big_range;

extern struct dpmgr_pages pages;

void check_pages(void);
void setup_dirty(const struct dpmgr_page_range_info *infos, unsigned int nr,
		 bool fronts);
void setup_clean(const struct dpmgr_page_range_info *infos, unsigned int nr,
		 bool fronts);
int take_as(const struct dpmgr_page_request *request, void *owner,
	    struct dpmgr_page_run *run);
int take(u32 nr_pages, void *owner, struct dpmgr_page_run *run);
int search_as(const struct dpmgr_page_request *request, void *owner,
	      struct dpmgr_page_run *run);
int claim(u64 base_pfn, u32 nr_pages, void *owner);
int put(const struct dpmgr_page_run *run);
int put_pages(u64 base_pfn, u32 nr_pages, void *owner);
int quarantine(const struct dpmgr_page_run *run, u64 base_pfn, u32 nr_pages);
struct dpmgr_page_counts counts_of(unsigned int range);
bool is_run(const struct dpmgr_page_run *run, u64 base_pfn, u32 nr_pages);

#endif /* PAGE_FIXTURE_H */
