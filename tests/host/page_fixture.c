// SPDX-License-Identifier: GPL-2.0-only
#include "page_fixture.h"

const struct dpmgr_page_range_info three_ranges[3] = {
	{ .base_pfn = 100, .nr_pages = 64, .node = 0, .persistent = true },
	{ .base_pfn = 164, .nr_pages = 1, .node = 1, .persistent = true },
	{ .base_pfn = 1000, .nr_pages = 700, .node = 1, .persistent = false },
};

const struct dpmgr_page_range_info big_range = {
	.base_pfn = 1 << 20, .nr_pages = BIG_PAGES, .persistent = true,
};

struct dpmgr_pages pages;

void check_pages(void)
{
	const char *broken = dpmgr_pages_verify(&pages, true);

	if (broken)
		printf("    %s\n", broken);
	CHECK(!broken);
}

void setup_dirty(const struct dpmgr_page_range_info *infos, unsigned int nr,
		 bool fronts)
{
	CHECK(!dpmgr_pages_init(&pages, infos, nr, fronts));
	check_pages();
}

/* Everything clean, as after scrubbing. */
void setup_clean(const struct dpmgr_page_range_info *infos, unsigned int nr,
		 bool fronts)
{
	struct dpmgr_page_run run;

	setup_dirty(infos, nr, fronts);
	while (dpmgr_pages_take_dirty(&pages, 1000, &run))
		CHECK(!dpmgr_pages_put(&pages, &run));
	check_pages();
}

int take_as(const struct dpmgr_page_request *request, void *owner,
	    struct dpmgr_page_run *run)
{
	int ret = dpmgr_pages_take(&pages, request, owner, run);

	check_pages();
	return ret;
}

int take(u32 nr_pages, void *owner, struct dpmgr_page_run *run)
{
	const struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = nr_pages };

	return take_as(&request, owner, run);
}

int search_as(const struct dpmgr_page_request *request, void *owner,
	      struct dpmgr_page_run *run)
{
	int ret = dpmgr_pages_search(&pages, request, owner, run);

	check_pages();
	return ret;
}

int claim(u64 base_pfn, u32 nr_pages, void *owner)
{
	int ret = dpmgr_pages_claim(&pages, base_pfn, nr_pages, owner);

	check_pages();
	return ret;
}

int put(const struct dpmgr_page_run *run)
{
	int ret = dpmgr_pages_put(&pages, run);

	check_pages();
	return ret;
}

int put_pages(u64 base_pfn, u32 nr_pages, void *owner)
{
	return put(&(struct dpmgr_page_run){ base_pfn, nr_pages, owner });
}

int quarantine(const struct dpmgr_page_run *run, u64 base_pfn, u32 nr_pages)
{
	int ret = dpmgr_pages_quarantine(&pages, run, base_pfn, nr_pages);

	check_pages();
	return ret;
}

struct dpmgr_page_counts counts_of(unsigned int range)
{
	struct dpmgr_page_counts counts;

	dpmgr_pages_count(&pages, range, &counts);
	return counts;
}

bool is_run(const struct dpmgr_page_run *run, u64 base_pfn, u32 nr_pages)
{
	return run->base_pfn == base_pfn && run->nr_pages == nr_pages;
}
