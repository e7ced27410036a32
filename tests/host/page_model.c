// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model of the page allocator: what changes something.
 */
#include "page_model.h"

/* Everything dirty, and not a page known to be anybody's. */
void page_model_init(struct page_model *model,
		     const struct page_model_config *config)
{
	struct dpmgr_page_range_info infos[PAGE_MODEL_RANGES];
	unsigned int i;

	model->config = config;
	model->nr_ranges = 0;
	model->nr_pages = 0;
	model->nr_quarantined = 0;
	for (i = 0; i < PAGE_MODEL_RANGES && config->ranges[i].nr_pages; i++) {
		infos[i] = config->ranges[i];
		model->ranges[i] = (struct page_model_range){
			.info = infos[i],
			.first = model->nr_pages,
		};
		model->nr_ranges++;
		model->nr_pages += infos[i].nr_pages;
	}
	CHECK(model->nr_pages <= PAGE_MODEL_PAGES);
	memset(model->state, DPMGR_PAGE_DIRTY, model->nr_pages);

	shim_nr_cpus = max(config->nr_cpus, 1);
	shim_cpu = 0;
	CHECK(!dpmgr_pages_init(&model->pages, infos, model->nr_ranges,
				config->nr_cpus));
}

/* A run of @state, at @run->base_pfn of @range. */
static void set_run(struct page_model *model, struct page_model_range *range,
		    const struct dpmgr_page_run *run, enum dpmgr_page_state state)
{
	u32 head = page_model_index(range, run->base_pfn), i;

	for (i = head; i < head + run->nr_pages; i++) {
		model->state[i] = state;
		model->head[i] = head;
	}
	model->length[head] = run->nr_pages;
	model->owner[head] = run->owner;
	if (state != DPMGR_PAGE_USED || !run->owner)
		return;
	range->used += run->nr_pages;
	range->used_max = max(range->used_max, range->used);
}

/* The range that holds all of a run, or NULL. */
static struct page_model_range *whole_range_of(struct page_model *model,
					       u64 base_pfn, u32 nr_pages)
{
	struct page_model_range *range = page_model_range_of(model, base_pfn);

	if (!range || !nr_pages ||
	    nr_pages > range->info.nr_pages - (base_pfn - range->info.base_pfn))
		return NULL;
	return range;
}

/* Is exactly this run allocated, to its owner? */
static bool is_used(struct page_model *model, const struct dpmgr_page_run *run)
{
	struct page_model_range *range = whole_range_of(model, run->base_pfn,
							run->nr_pages);
	u32 index;

	if (!range)
		return false;
	index = page_model_index(range, run->base_pfn);
	return model->state[index] == DPMGR_PAGE_USED &&
	       model->head[index] == index &&
	       model->length[index] == run->nr_pages &&
	       model->owner[index] == run->owner;
}

/* The highest place in a free span for what is requested, if there is one. */
static bool place_in(const struct dpmgr_page_run *span,
		     const struct dpmgr_page_request *request, u64 *base_pfn)
{
	u64 pfn;

	for (pfn = span->base_pfn + span->nr_pages; pfn-- > span->base_pfn;) {
		if (pfn + request->nr_pages <= span->base_pfn + span->nr_pages &&
		    pfn + request->nr_pages <= request->end_pfn &&
		    !(pfn % (1ULL << request->align_order))) {
			*base_pfn = pfn;
			return true;
		}
	}
	return false;
}

/* How unwillingly a range serves a request; negative if it does not. */
static int cost_of(const struct page_model *model,
		   const struct page_model_range *range,
		   const struct dpmgr_page_request *request)
{
	bool has_volatile = false;
	unsigned int i;

	for (i = 0; i < model->nr_ranges; i++)
		if (!model->ranges[i].info.persistent)
			has_volatile = true;
	if (request->persistent && !range->info.persistent)
		return -1;
	return (request->node != NUMA_NO_NODE &&
		request->node != range->info.node ? 2 : 0) +
	       (has_volatile && !request->persistent && range->info.persistent);
}

/*
 * Must a run be found in this range: by a search if there is one; otherwise if
 * nothing but runs that fit could have been in the way, or no more than eight, or
 * if one is so long that others are not looked at.
 */
static bool must_find_in(const struct page_model *model,
			 const struct page_model_range *range,
			 const struct dpmgr_page_request *request, bool search)
{
	u64 enough = request->nr_pages + (1ULL << request->align_order) - 1;
	bool limited = request->end_pfn < range->info.base_pfn + range->info.nr_pages;
	unsigned int nr_fit = 0, nr_near = 0;
	struct dpmgr_page_run span;
	bool long_enough = false;
	u32 from = range->first;
	u64 base_pfn;

	while (page_model_next_span(model, range, DPMGR_PAGE_FREE, &from, &span)) {
		nr_fit += place_in(&span, request, &base_pfn);
		nr_near += span.nr_pages >= request->nr_pages - request->nr_pages / 32;
		if (!limited && span.nr_pages >= enough + max_t(u64, enough / 32, 1))
			long_enough = true;
	}
	if (search || nr_near <= 8)
		return nr_fit;
	if (request->nr_pages <= 31 && !request->align_order && !limited)
		return nr_fit;
	return long_enough;
}

static bool must_find(const struct page_model *model,
		      const struct dpmgr_page_request *request, bool search)
{
	unsigned int i;

	for (i = 0; i < model->nr_ranges; i++) {
		const struct page_model_range *range = &model->ranges[i];

		if (cost_of(model, range, request) >= 0 &&
		    must_find_in(model, range, request, search))
			return true;
	}
	return false;
}

/*
 * Without anything in a front, the range is the best that has a run that must be
 * found, and the place is the highest in its free run.
 */
static void check_place(const struct page_model *model,
			const struct page_model_range *range,
			const struct dpmgr_page_request *request, bool search,
			u64 base_pfn)
{
	int cost = cost_of(model, range, request);
	struct dpmgr_page_run span;
	u32 from = range->first;
	unsigned int i;
	u64 highest;

	for (i = 0; i < model->nr_ranges; i++) {
		const struct page_model_range *better = &model->ranges[i];
		int its_cost = cost_of(model, better, request);

		if (its_cost >= 0 && (its_cost < cost ||
				      (its_cost == cost && better < range)))
			CHECK(!must_find_in(model, better, request, search));
	}
	while (page_model_next_span(model, range, DPMGR_PAGE_FREE, &from, &span)) {
		if (base_pfn >= span.base_pfn + span.nr_pages)
			continue;
		CHECK(place_in(&span, request, &highest));
		CHECK(base_pfn == highest);
		return;
	}
	CHECK(false);
}

static void took(struct page_model *model,
		 const struct dpmgr_page_request *request, void *owner,
		 bool search, const struct dpmgr_page_run *run)
{
	struct page_model_range *range;
	u32 index, i;

	CHECK(run->nr_pages == request->nr_pages);
	CHECK(run->owner == owner);
	CHECK(!(run->base_pfn % (1ULL << request->align_order)));
	CHECK(run->base_pfn + run->nr_pages <= request->end_pfn);
	range = whole_range_of(model, run->base_pfn, run->nr_pages);
	CHECK(range);
	CHECK(cost_of(model, range, request) >= 0);
	index = page_model_index(range, run->base_pfn);
	for (i = 0; i < run->nr_pages; i++)
		CHECK(model->state[index + i] == DPMGR_PAGE_FREE);
	if (search || !model->pages.fronts)
		check_place(model, range, request, search, run->base_pfn);
	set_run(model, range, run, DPMGR_PAGE_USED);
}

bool page_model_take(struct page_model *model,
		     const struct dpmgr_page_request *request, void *owner,
		     struct dpmgr_page_run *run)
{
	int ret = dpmgr_pages_take(&model->pages, request, owner, run);

	if (ret) {
		CHECK(ret == -ENOSPC);
		CHECK(!must_find(model, request, false));
		return false;
	}
	took(model, request, owner, false, run);
	return true;
}

bool page_model_search(struct page_model *model,
		       const struct dpmgr_page_request *request, void *owner,
		       struct dpmgr_page_run *run)
{
	int ret = dpmgr_pages_search(&model->pages, request, owner, run);

	if (ret) {
		CHECK(ret == -ENOSPC);
		CHECK(!must_find(model, request, true));
		return false;
	}
	took(model, request, owner, true, run);
	return true;
}

bool page_model_claim(struct page_model *model, u64 base_pfn, u32 nr_pages,
		      void *owner)
{
	int ret = dpmgr_pages_claim(&model->pages, base_pfn, nr_pages, owner);
	const struct dpmgr_page_run run = { base_pfn, nr_pages, owner };
	struct page_model_range *range = whole_range_of(model, base_pfn, nr_pages);
	bool busy = false, mixed = false;
	u32 index, i;

	if (!range || !range->info.persistent) {
		CHECK(ret == -EINVAL);
		return false;
	}
	index = page_model_index(range, base_pfn);
	for (i = index; i < index + nr_pages; i++) {
		busy |= model->state[i] != DPMGR_PAGE_FREE &&
			model->state[i] != DPMGR_PAGE_DIRTY;
		mixed |= model->state[i] != model->state[index];
	}
	if (busy || mixed) {
		CHECK(ret == -EBUSY);
		return false;
	}
	CHECK(!ret);
	set_run(model, range, &run, DPMGR_PAGE_USED);
	return true;
}

bool page_model_take_dirty(struct page_model *model, u32 max_pages,
			   struct dpmgr_page_run *run)
{
	struct page_model_range *range;
	u32 index, i;

	if (!dpmgr_pages_take_dirty(&model->pages, max_pages, run)) {
		for (i = 0; i < model->nr_pages; i++)
			CHECK(model->state[i] != DPMGR_PAGE_DIRTY);
		return false;
	}
	CHECK(run->nr_pages <= max_pages);
	CHECK(!run->owner);
	range = whole_range_of(model, run->base_pfn, run->nr_pages);
	CHECK(range);
	index = page_model_index(range, run->base_pfn);
	for (i = 0; i < run->nr_pages; i++)
		CHECK(model->state[index + i] == DPMGR_PAGE_DIRTY);
	set_run(model, range, run, DPMGR_PAGE_USED);
	return true;
}

bool page_model_put(struct page_model *model, const struct dpmgr_page_run *run)
{
	int ret = dpmgr_pages_put(&model->pages, run);
	struct page_model_range *range;

	if (!is_used(model, run)) {
		CHECK(ret == -EINVAL);
		return false;
	}
	CHECK(!ret);
	range = page_model_range_of(model, run->base_pfn);
	if (run->owner)
		range->used -= run->nr_pages;
	set_run(model, range, run, DPMGR_PAGE_FREE);
	return true;
}

bool page_model_quarantine(struct page_model *model,
			   const struct dpmgr_page_run *run, u64 base_pfn,
			   u32 nr_pages)
{
	int ret = dpmgr_pages_quarantine(&model->pages, run, base_pfn, nr_pages);
	struct dpmgr_page_run part = { .owner = run->owner };
	struct page_model_range *range;

	if (!is_used(model, run) || !nr_pages || base_pfn < run->base_pfn ||
	    base_pfn - run->base_pfn + nr_pages > run->nr_pages) {
		CHECK(ret == -EINVAL);
		return false;
	}
	CHECK(!ret);
	range = page_model_range_of(model, run->base_pfn);
	if (run->owner)
		range->used -= run->nr_pages;
	model->nr_quarantined += nr_pages;

	part.base_pfn = run->base_pfn;
	part.nr_pages = base_pfn - run->base_pfn;
	if (part.nr_pages)
		set_run(model, range, &part, DPMGR_PAGE_USED);
	part.base_pfn = base_pfn + nr_pages;
	part.nr_pages = run->nr_pages - nr_pages - part.nr_pages;
	if (part.nr_pages)
		set_run(model, range, &part, DPMGR_PAGE_USED);
	part = (struct dpmgr_page_run){ base_pfn, nr_pages, NULL };
	set_run(model, range, &part, DPMGR_PAGE_QUARANTINED);
	return true;
}
