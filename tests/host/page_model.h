/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A trivially correct model of the page allocator: for every page, what it is and
 * where its run begins. Bytes are read as operations, each of which is done to
 * both, and what the allocator says is checked against the model.
 */
#ifndef PAGE_MODEL_H
#define PAGE_MODEL_H

#include "core/page_alloc.h"
#include "test.h"

#define PAGE_MODEL_RANGES	4
#define PAGE_MODEL_PAGES	20480

/**
 * struct page_model_config - a pool to try operations on
 * @name: what is special about it
 * @ranges: those with a length
 * @nr_cpus: how many there are; 0 for none that has a front
 * @quarantine: let a part of the pages be quarantined
 */
struct page_model_config {
	const char *name;
	struct dpmgr_page_range_info ranges[PAGE_MODEL_RANGES];
	int nr_cpus;
	bool quarantine;
};

extern const struct page_model_config page_model_configs[];
extern const unsigned int page_model_nr_configs;

/* Bytes to be read as operations; zeros follow the last. */
struct page_bytes {
	const u8 *next;
	size_t left;
};

struct page_model_range {
	struct dpmgr_page_range_info info;
	u32 first;
	u64 used;
	u64 used_max;
};

/**
 * struct page_model - the model, and the allocator
 * @pages: the allocator
 * @config: the pool
 * @nr_ranges: entries in @ranges
 * @ranges: by address; @first: where its pages begin in the tables below
 * @nr_pages: of all ranges
 * @nr_quarantined: of these
 * @state: of each page: free, dirty, used or quarantined
 * @head: first page of its run, if it is used or quarantined
 * @length: that run's, at its first page
 * @owner: that run's, at its first page
 */
struct page_model {
	struct dpmgr_pages pages;
	const struct page_model_config *config;
	unsigned int nr_ranges;
	struct page_model_range ranges[PAGE_MODEL_RANGES];
	u32 nr_pages;
	u32 nr_quarantined;
	u8 state[PAGE_MODEL_PAGES];
	u32 head[PAGE_MODEL_PAGES];
	u32 length[PAGE_MODEL_PAGES];
	void *owner[PAGE_MODEL_PAGES];
};

/* page_model.c: each operation on both */
void page_model_init(struct page_model *model,
		     const struct page_model_config *config);
bool page_model_take(struct page_model *model,
		     const struct dpmgr_page_request *request, void *owner,
		     struct dpmgr_page_run *run);
bool page_model_search(struct page_model *model,
		       const struct dpmgr_page_request *request, void *owner,
		       struct dpmgr_page_run *run);
bool page_model_claim(struct page_model *model, u64 base_pfn, u32 nr_pages,
		      void *owner);
bool page_model_take_dirty(struct page_model *model, u32 max_pages,
			   struct dpmgr_page_run *run);
bool page_model_put(struct page_model *model, const struct dpmgr_page_run *run);
bool page_model_quarantine(struct page_model *model,
			   const struct dpmgr_page_run *run, u64 base_pfn,
			   u32 nr_pages);

/* page_model_check.c: what is said without changing anything */
void page_model_verify(struct page_model *model);
void page_model_count(struct page_model *model);
void page_model_look(struct page_model *model, u64 pfn);
void page_model_next(struct page_model *model, u64 from_pfn, u64 end_pfn,
		     enum dpmgr_page_state state);
void page_model_walk(struct page_model *model);
void page_model_end(struct page_model *model);
struct page_model_range *page_model_range_of(struct page_model *model, u64 pfn);
u32 page_model_index(const struct page_model_range *range, u64 pfn);
struct dpmgr_page_run page_model_run(const struct page_model *model, u32 index);
bool page_model_next_span(const struct page_model *model,
			  const struct page_model_range *range,
			  enum dpmgr_page_state state, u32 *from,
			  struct dpmgr_page_run *span);

/* page_model_step.c: bytes to operations */
void page_model_step(struct page_model *model, struct page_bytes *bytes);

#endif /* PAGE_MODEL_H */
