// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model of the page allocator: what looks and counts.
 */
#include "page_model.h"

struct page_model_range *page_model_range_of(struct page_model *model, u64 pfn)
{
	unsigned int i;

	for (i = 0; i < model->nr_ranges; i++) {
		struct page_model_range *range = &model->ranges[i];

		if (pfn >= range->info.base_pfn &&
		    pfn - range->info.base_pfn < range->info.nr_pages)
			return range;
	}
	return NULL;
}

u32 page_model_index(const struct page_model_range *range, u64 pfn)
{
	return range->first + (pfn - range->info.base_pfn);
}

/* The used run whose first page is that of @index. */
struct dpmgr_page_run page_model_run(const struct page_model *model, u32 index)
{
	const struct page_model_range *range = model->ranges;

	while (index >= range->first + range->info.nr_pages)
		range++;
	return (struct dpmgr_page_run){
		.base_pfn = range->info.base_pfn + (index - range->first),
		.nr_pages = model->length[index],
		.owner = model->owner[index],
	};
}

/*
 * The next longest span of pages of @state in @range, at @*from or above; @*from
 * is then behind it.
 */
bool page_model_next_span(const struct page_model *model,
			  const struct page_model_range *range,
			  enum dpmgr_page_state state, u32 *from,
			  struct dpmgr_page_run *span)
{
	const u32 end = range->first + range->info.nr_pages;
	u32 first = *from, last;

	while (first < end && model->state[first] != state)
		first++;
	for (last = first; last < end && model->state[last] == state; last++)
		;
	*from = last;
	*span = (struct dpmgr_page_run){
		.base_pfn = range->info.base_pfn + (first - range->first),
		.nr_pages = last - first,
	};
	return last > first;
}

void page_model_verify(struct page_model *model)
{
	const char *broken = dpmgr_pages_verify(&model->pages, true);

	if (broken)
		printf("    %s\n", broken);
	CHECK(!broken);
}

/* What next() says of free runs that are in no front. */
static void count_free_runs(struct page_model *model,
			    const struct page_model_range *range,
			    struct dpmgr_page_counts *counts)
{
	u64 end = range->info.base_pfn + range->info.nr_pages;
	u64 pfn = range->info.base_pfn;
	struct dpmgr_page_run run;

	*counts = (struct dpmgr_page_counts){};
	while (dpmgr_pages_next(&model->pages, pfn, end, DPMGR_PAGE_FREE, &run)) {
		counts->free_runs++;
		counts->free += run.nr_pages;
		counts->largest = max_t(u64, counts->largest, run.nr_pages);
		pfn = run.base_pfn + run.nr_pages;
	}
	if (counts->free)
		counts->fragmentation = 1000 - counts->largest * 1000 / counts->free;
}

static void count_range(struct page_model *model, unsigned int nr)
{
	const struct page_model_range *range = &model->ranges[nr];
	u64 used = 0, runs = 0, other[DPMGR_PAGE_QUARANTINED + 1] = {};
	struct dpmgr_page_counts counts, free;
	u32 i;

	for (i = range->first; i < range->first + range->info.nr_pages; i++) {
		if (model->state[i] != DPMGR_PAGE_USED) {
			other[model->state[i]]++;
		} else if (!model->owner[model->head[i]]) {
			other[DPMGR_PAGE_DIRTY]++;
		} else {
			used++;
			runs += model->head[i] == i;
		}
	}
	CHECK(range->used == used);

	dpmgr_pages_count(&model->pages, nr, &counts);
	CHECK(counts.total == range->info.nr_pages);
	CHECK(counts.free == other[DPMGR_PAGE_FREE]);
	CHECK(counts.dirty == other[DPMGR_PAGE_DIRTY]);
	CHECK(counts.quarantined == other[DPMGR_PAGE_QUARANTINED]);
	CHECK(counts.used == used);
	CHECK(counts.runs == runs);
	CHECK(counts.used_max >= range->used_max);
	CHECK(counts.used_max <= range->used_max + model->nr_pages / 64);
	if (!model->pages.fronts)
		CHECK(counts.used_max == range->used_max && !counts.parked);

	count_free_runs(model, range, &free);
	CHECK(counts.free - counts.parked == free.free);
	CHECK(counts.free_runs == free.free_runs);
	CHECK(counts.largest == free.largest);
	CHECK(counts.fragmentation == free.fragmentation);
}

void page_model_count(struct page_model *model)
{
	struct dpmgr_page_counts counts;
	u64 parked = 0;
	unsigned int i;

	for (i = 0; i < model->nr_ranges; i++) {
		count_range(model, i);
		dpmgr_pages_count(&model->pages, i, &counts);
		parked += counts.parked;
	}
	CHECK(parked <= model->nr_pages / 64);
}

/* Is what the allocator says of a clean page's run possible? */
static void check_clean(struct page_model *model, enum dpmgr_page_state state,
			const struct dpmgr_page_run *run)
{
	const struct page_model_range *range =
		page_model_range_of(model, run->base_pfn);
	u32 index, i;

	CHECK(state == DPMGR_PAGE_FREE || state == DPMGR_PAGE_PARKED);
	CHECK(range && run->nr_pages);
	CHECK(run->nr_pages <=
	      range->info.base_pfn + range->info.nr_pages - run->base_pfn);
	CHECK(!run->owner);
	index = page_model_index(range, run->base_pfn);
	for (i = index; i < index + run->nr_pages; i++)
		CHECK(model->state[i] == DPMGR_PAGE_FREE);
	if (state != DPMGR_PAGE_FREE || model->pages.fronts)
		return;
	/* Without fronts, all that is clean side by side is one run. */
	CHECK(index == range->first || model->state[index - 1] != DPMGR_PAGE_FREE);
	CHECK(i == range->first + range->info.nr_pages ||
	      model->state[i] != DPMGR_PAGE_FREE);
}

void page_model_look(struct page_model *model, u64 pfn)
{
	const struct page_model_range *range = page_model_range_of(model, pfn);
	int found = dpmgr_pages_find(&model->pages, pfn);
	struct dpmgr_page_run run, expected;
	enum dpmgr_page_state state;
	u32 index, from;

	state = dpmgr_pages_look(&model->pages, pfn, &run);
	if (!range) {
		CHECK(found == -ENOENT);
		CHECK(state == DPMGR_PAGE_INSIDE && !run.nr_pages && !run.owner);
		return;
	}
	CHECK(found == range - model->ranges);
	CHECK(run.base_pfn <= pfn && pfn - run.base_pfn < run.nr_pages);
	index = page_model_index(range, pfn);
	if (model->state[index] == DPMGR_PAGE_FREE) {
		check_clean(model, state, &run);
		return;
	}
	CHECK(state == model->state[index]);
	if (state == DPMGR_PAGE_DIRTY) {
		for (from = range->first; from <= index;)
			page_model_next_span(model, range, state, &from, &expected);
	} else {
		expected = page_model_run(model, model->head[index]);
	}
	CHECK(run.base_pfn == expected.base_pfn);
	CHECK(run.nr_pages == expected.nr_pages);
	CHECK(run.owner == (state == DPMGR_PAGE_USED ? expected.owner : NULL));
	CHECK(dpmgr_pages_owner(&model->pages, run.base_pfn, run.nr_pages) ==
	      run.owner);
	CHECK(!dpmgr_pages_owner(&model->pages, run.base_pfn, run.nr_pages + 1));
	CHECK(!dpmgr_pages_owner(&model->pages, run.base_pfn + 1, run.nr_pages - 1));
}

/* Is the page the first of a run of @state that next() tells of? */
static bool begins(const struct page_model *model,
		   const struct page_model_range *range, u32 index,
		   enum dpmgr_page_state state)
{
	if (model->state[index] != state)
		return false;
	if (state == DPMGR_PAGE_DIRTY)
		return index == range->first ||
		       model->state[index - 1] != DPMGR_PAGE_DIRTY;
	return model->head[index] == index &&
	       (state != DPMGR_PAGE_USED || model->owner[index]);
}

static bool expect_next(const struct page_model *model, u64 from_pfn, u64 end_pfn,
			enum dpmgr_page_state state, struct dpmgr_page_run *run)
{
	unsigned int i;
	u32 index;

	for (i = 0; i < model->nr_ranges; i++) {
		const struct page_model_range *range = &model->ranges[i];
		u64 end = min(end_pfn, range->info.base_pfn + range->info.nr_pages);
		u64 pfn;

		for (pfn = max(from_pfn, range->info.base_pfn); pfn < end; pfn++) {
			index = page_model_index(range, pfn);
			if (!begins(model, range, index, state))
				continue;
			if (state == DPMGR_PAGE_DIRTY)
				return page_model_next_span(model, range, state,
							    &index, run);
			*run = page_model_run(model, index);
			return true;
		}
	}
	return false;
}

void page_model_next(struct page_model *model, u64 from_pfn, u64 end_pfn,
		     enum dpmgr_page_state state)
{
	struct dpmgr_page_run run, expected;
	bool found = dpmgr_pages_next(&model->pages, from_pfn, end_pfn, state, &run);

	if (state == DPMGR_PAGE_FREE || state == DPMGR_PAGE_PARKED) {
		if (!found)
			return;
		CHECK(run.base_pfn >= from_pfn && run.base_pfn < end_pfn);
		check_clean(model, state, &run);
		return;
	}
	CHECK(found == expect_next(model, from_pfn, end_pfn, state, &expected));
	if (!found)
		return;
	CHECK(run.base_pfn == expected.base_pfn);
	CHECK(run.nr_pages == expected.nr_pages);
	CHECK(run.owner == expected.owner);
}

/* Go through all runs of a state; returns how many pages they have. */
static u32 walk(struct page_model *model, enum dpmgr_page_state state)
{
	struct dpmgr_page_run run;
	u32 nr_pages = 0;
	u64 pfn = 0;

	while (dpmgr_pages_next(&model->pages, pfn, U64_MAX, state, &run)) {
		page_model_next(model, pfn, U64_MAX, state);
		CHECK(run.base_pfn >= pfn);
		pfn = run.base_pfn + run.nr_pages;
		nr_pages += run.nr_pages;
	}
	page_model_next(model, pfn, U64_MAX, state);
	return nr_pages;
}

/* Every run of every state, in address order, and nothing else. */
void page_model_walk(struct page_model *model)
{
	u32 nr_free = 0, i;

	for (i = 0; i < model->nr_pages; i++)
		nr_free += model->state[i] == DPMGR_PAGE_FREE;
	CHECK(walk(model, DPMGR_PAGE_FREE) + walk(model, DPMGR_PAGE_PARKED) ==
	      nr_free);
	walk(model, DPMGR_PAGE_USED);
	walk(model, DPMGR_PAGE_DIRTY);
	CHECK(walk(model, DPMGR_PAGE_QUARANTINED) == model->nr_quarantined);
}

/* With nothing in use or in a front, each clean span is one run. */
static void check_merged(struct page_model *model)
{
	struct dpmgr_page_run run, span;
	unsigned int i;
	u64 pfn = 0;
	u32 from;

	for (i = 0; i < model->nr_ranges; i++) {
		from = model->ranges[i].first;
		while (page_model_next_span(model, &model->ranges[i],
					    DPMGR_PAGE_FREE, &from, &span)) {
			CHECK(dpmgr_pages_next(&model->pages, pfn, U64_MAX,
					       DPMGR_PAGE_FREE, &run));
			CHECK(run.base_pfn == span.base_pfn);
			CHECK(run.nr_pages == span.nr_pages);
			pfn = run.base_pfn + run.nr_pages;
		}
	}
}

/* The longest first: it fits nowhere else. */
static void take_whole_ranges(struct page_model *model)
{
	struct dpmgr_page_request request = {
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
	struct dpmgr_page_run run;
	unsigned int i, left;

	for (left = model->nr_ranges; left; left--) {
		request.nr_pages = 0;
		for (i = 0; i < model->nr_ranges; i++)
			if (!model->ranges[i].used)
				request.nr_pages = max_t(u32, request.nr_pages,
							 model->ranges[i].info.nr_pages);
		CHECK(page_model_take(model, &request, model, &run));
		CHECK(page_model_range_of(model, run.base_pfn)->info.nr_pages ==
		      run.nr_pages);
	}
}

/*
 * Scrub and free everything: whatever happened, what is not in quarantine can be
 * had again, each range in one piece.
 */
void page_model_end(struct page_model *model)
{
	struct dpmgr_page_run run;
	u32 index;

	shim_cpu = 0;
	for (index = 0; index < model->nr_pages; index++) {
		if (model->state[index] != DPMGR_PAGE_USED)
			continue;
		run = page_model_run(model, index);
		CHECK(page_model_put(model, &run));
	}
	while (page_model_take_dirty(model, U32_MAX, &run))
		CHECK(page_model_put(model, &run));
	page_model_verify(model);
	page_model_count(model);
	if (!model->nr_quarantined) {
		take_whole_ranges(model);
	} else {
		dpmgr_pages_flush(&model->pages);
		check_merged(model);
	}
	page_model_verify(model);
	dpmgr_pages_destroy(&model->pages);
}
