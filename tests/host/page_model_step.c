// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model of the page allocator: bytes are read as operations.
 */
#include "page_model.h"

/* A history may quarantine one page in so many. */
#define QUARANTINE_SHARE	8

static u8 owners[4];

const struct page_model_config page_model_configs[] = {
	{
		.name = "one range, no fronts",
		.ranges = {
			{ .base_pfn = 4093, .nr_pages = 300, .persistent = true },
		},
	}, {
		.name = "four ranges, two of which touch, no fronts, quarantine",
		.ranges = {
			{ .base_pfn = 100, .nr_pages = 64, .node = 0, .persistent = true },
			{ .base_pfn = 164, .nr_pages = 1, .node = 1, .persistent = true },
			{ .base_pfn = 1000, .nr_pages = 33, .node = NUMA_NO_NODE },
			{ .base_pfn = 5000, .nr_pages = 410, .node = 1 },
		},
		.quarantine = true,
	}, {
		.name = "one CPU, one range, fronts, quarantine",
		.ranges = {
			{ .base_pfn = 77, .nr_pages = 1100, .persistent = true },
		},
		.nr_cpus = 1,
		.quarantine = true,
	}, {
		.name = "two CPUs, three ranges, fronts",
		.ranges = {
			{ .base_pfn = 1, .nr_pages = 500, .node = 0, .persistent = true },
			{ .base_pfn = 501, .nr_pages = 700, .node = 1, .persistent = true },
			{ .base_pfn = 2048, .nr_pages = 1400, .node = 1 },
		},
		.nr_cpus = 2,
	}, {
		.name = "two CPUs, two large ranges, all sizes in fronts",
		.ranges = {
			{ .base_pfn = 1 << 20, .nr_pages = 12001, .persistent = true },
			{ .base_pfn = 3 << 20, .nr_pages = 8200, .node = 1 },
		},
		.nr_cpus = 2,
		.quarantine = true,
	},
};

const unsigned int page_model_nr_configs = ARRAY_SIZE(page_model_configs);

static u32 byte(struct page_bytes *bytes)
{
	if (!bytes->left)
		return 0;
	bytes->left--;
	return *bytes->next++;
}

static u32 word(struct page_bytes *bytes)
{
	u32 low = byte(bytes);

	return low | byte(bytes) << 8;
}

static u32 any_index(const struct page_model *model, struct page_bytes *bytes)
{
	return (u64)word(bytes) * model->nr_pages >> 16;
}

/* Mostly one of the pool's. */
static u64 any_pfn(const struct page_model *model, struct page_bytes *bytes)
{
	const struct page_model_range *range = model->ranges;
	u32 index = any_index(model, bytes);
	u32 where = byte(bytes);

	switch (where) {
	case 0:
		return U64_MAX - index;
	case 1:
		return range->info.base_pfn - 1;
	case 2:
		range += model->nr_ranges - 1;
		return range->info.base_pfn + range->info.nr_pages;
	}
	while (index >= range->first + range->info.nr_pages)
		range++;
	return range->info.base_pfn + (index - range->first);
}

/* Mostly a small one, or one that a front has a list for. */
static u32 any_length(const struct page_model *model, struct page_bytes *bytes)
{
	u32 kind = byte(bytes);

	if (kind < 128)
		return 1 + kind % 8;
	if (kind < 176)
		return 1 + kind % 48;
	if (kind < 216)
		return 1 << kind % 10;
	if (kind < 240)
		return 1 + word(bytes) % 700;
	return model->ranges[kind % model->nr_ranges].info.nr_pages + kind % 2;
}

static void *any_owner(struct page_bytes *bytes)
{
	return &owners[byte(bytes) % ARRAY_SIZE(owners)];
}

/* A used run, one that is being scrubbed included. */
static bool any_used(const struct page_model *model, struct page_bytes *bytes,
		     struct dpmgr_page_run *run)
{
	u32 index = any_index(model, bytes), i;

	for (i = 0; i < model->nr_pages; i++, index++) {
		if (index == model->nr_pages)
			index = 0;
		if (model->state[index] == DPMGR_PAGE_USED) {
			*run = page_model_run(model, model->head[index]);
			return true;
		}
	}
	return false;
}

/* Make it another run, or another's. */
static void perturb(struct dpmgr_page_run *run, struct page_bytes *bytes)
{
	switch (byte(bytes) % 8) {
	case 0:
		run->nr_pages++;
		break;
	case 1:
		run->nr_pages--;
		break;
	case 2:
		run->base_pfn++;
		break;
	case 3:
		run->base_pfn--;
		break;
	case 4:
		run->owner = any_owner(bytes);
		break;
	case 5:
		run->owner = NULL;
		break;
	case 6:
		run->base_pfn += run->nr_pages - 1;
		run->nr_pages = 1;
		break;
	case 7:
		run->base_pfn++;
		run->nr_pages--;
		break;
	}
}

static struct dpmgr_page_request plain_request(u32 nr_pages)
{
	return (struct dpmgr_page_request){
		.nr_pages = nr_pages,
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
}

static struct dpmgr_page_request any_request(const struct page_model *model,
					     struct page_bytes *bytes)
{
	struct dpmgr_page_request request =
		plain_request(any_length(model, bytes));
	u32 which = byte(bytes);

	request.persistent = which & 1;
	request.node = (int)(which >> 1) % 4 - 1;
	if (which & 0x10)
		request.align_order = which & 0x80 ? byte(bytes) % 32 : byte(bytes) % 8;
	if (which & 0x20)
		request.end_pfn = any_pfn(model, bytes);
	return request;
}

static void take_op(struct page_model *model, struct page_bytes *bytes)
{
	struct dpmgr_page_request request =
		plain_request(any_length(model, bytes));
	struct dpmgr_page_run run;

	page_model_take(model, &request, any_owner(bytes), &run);
}

static void take_special_op(struct page_model *model, struct page_bytes *bytes)
{
	struct dpmgr_page_request request = any_request(model, bytes);
	struct dpmgr_page_run run;

	page_model_take(model, &request, any_owner(bytes), &run);
}

/* What a search is for: when nothing was found otherwise. */
static void search_op(struct page_model *model, struct page_bytes *bytes)
{
	struct dpmgr_page_request request = any_request(model, bytes);
	struct dpmgr_page_run run;

	page_model_search(model, &request, any_owner(bytes), &run);
}

static void claim_op(struct page_model *model, struct page_bytes *bytes)
{
	u64 base_pfn = any_pfn(model, bytes);
	u32 nr_pages = any_length(model, bytes);

	page_model_claim(model, base_pfn, nr_pages % 64, any_owner(bytes));
}

static void put_op(struct page_model *model, struct page_bytes *bytes)
{
	struct dpmgr_page_run run;

	if (any_used(model, bytes, &run))
		CHECK(page_model_put(model, &run));
}

static void bogus_put_op(struct page_model *model, struct page_bytes *bytes)
{
	struct dpmgr_page_run run;

	if (!any_used(model, bytes, &run))
		return;
	perturb(&run, bytes);
	if (!page_model_put(model, &run))
		page_model_look(model, run.base_pfn);
}

static void foreign_put_op(struct page_model *model, struct page_bytes *bytes)
{
	struct dpmgr_page_run run = {
		.base_pfn = any_pfn(model, bytes),
		.nr_pages = any_length(model, bytes),
	};

	run.owner = any_owner(bytes);
	page_model_put(model, &run);
}

static void double_put_op(struct page_model *model, struct page_bytes *bytes)
{
	struct dpmgr_page_run run;

	if (!any_used(model, bytes, &run))
		return;
	CHECK(page_model_put(model, &run));
	CHECK(!page_model_put(model, &run));
	page_model_look(model, run.base_pfn);
}

/* Free all that is in a part of the pool. */
static void put_many_op(struct page_model *model, struct page_bytes *bytes)
{
	u32 first = any_index(model, bytes);
	u32 last = first + model->nr_pages * (1 + byte(bytes) % 64) / 128;
	struct dpmgr_page_run run;
	u32 index;

	for (index = first; index < min(last, model->nr_pages); index++) {
		if (model->state[index] != DPMGR_PAGE_USED)
			continue;
		run = page_model_run(model, model->head[index]);
		CHECK(page_model_put(model, &run));
	}
}

static void quarantine_op(struct page_model *model, struct page_bytes *bytes)
{
	u32 before = byte(bytes), nr_pages = byte(bytes) % 16;
	struct dpmgr_page_run run;
	u64 base_pfn;

	if (!any_used(model, bytes, &run))
		return;
	base_pfn = run.base_pfn + before % 4 * run.nr_pages / 4;
	if (before & 0x80)
		perturb(&run, bytes);
	/* What is out of bounds is refused, which uses nothing up. */
	if (!model->config->quarantine ||
	    model->nr_quarantined + nr_pages > model->nr_pages / QUARANTINE_SHARE)
		nr_pages = before & 0x40 ? 0 : U32_MAX;
	page_model_quarantine(model, &run, base_pfn, nr_pages);
}

static void take_dirty_op(struct page_model *model, struct page_bytes *bytes)
{
	u32 kind = byte(bytes);
	struct dpmgr_page_run run;

	if (!page_model_take_dirty(model, kind & 1 ? U32_MAX : 1 + kind, &run))
		return;
	if (kind & 2)
		CHECK(page_model_put(model, &run));
}

static void flush_op(struct page_model *model, struct page_bytes *bytes)
{
	struct dpmgr_page_counts counts;
	u64 parked = 0;
	unsigned int i;

	for (i = 0; i < model->nr_ranges; i++) {
		dpmgr_pages_count(&model->pages, i, &counts);
		parked += counts.parked;
	}
	CHECK(dpmgr_pages_flush(&model->pages) == !!parked);
	CHECK(!dpmgr_pages_flush(&model->pages));
	if (byte(bytes) & 1)
		page_model_count(model);
}

static void look_op(struct page_model *model, struct page_bytes *bytes)
{
	page_model_look(model, any_pfn(model, bytes));
}

static void next_op(struct page_model *model, struct page_bytes *bytes)
{
	u64 from_pfn = any_pfn(model, bytes);
	u64 end_pfn = any_pfn(model, bytes);

	page_model_next(model, from_pfn, end_pfn,
			DPMGR_PAGE_FREE + byte(bytes) % DPMGR_PAGE_QUARANTINED);
}

static void cpu_op(struct page_model *model, struct page_bytes *bytes)
{
	shim_cpu = byte(bytes) % shim_nr_cpus;
}

/* One operation on both. It may or may not succeed; both agree on that. */
void page_model_step(struct page_model *model, struct page_bytes *bytes)
{
	static void (* const ops[32])(struct page_model *, struct page_bytes *) = {
		take_op, take_op, take_op, take_op, take_op, take_op, take_op, take_op,
		take_special_op, take_special_op, take_special_op, search_op,
		claim_op, claim_op,
		put_op, put_op, put_op, put_op, put_op, put_op, put_op, put_op, put_op,
		double_put_op, bogus_put_op, foreign_put_op, put_many_op,
		quarantine_op, take_dirty_op, look_op, next_op, cpu_op,
	};
	u32 which = byte(bytes);

	if (which >= 252)
		flush_op(model, bytes);
	else
		ops[which % ARRAY_SIZE(ops)](model, bytes);
}
