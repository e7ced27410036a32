// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: which of several places serves a request.
 */
#include "page_fixture.h"

#define BASE		big_range.base_pfn
#define NEARLY_FULL	(BIG_PAGES - BIG_PAGES / 16)

static u8 owner;

static u64 all_parked(void)
{
	unsigned int i;
	u64 parked = 0;

	for (i = 0; i < pages.nr_ranges; i++)
		parked += counts_of(i).parked;
	return parked;
}

/*
 * Two free runs: the victim at @BASE, which was cut last and has @nr_victim pages left,
 * and a listed one of 50 at BASE + 1000.
 */
static void setup_victim(u32 nr_victim)
{
	struct dpmgr_page_run run;

	setup_clean(&big_range, 1, false);
	CHECK(!claim(BASE + 600, 400, &owner));
	CHECK(!claim(BASE + 1050, BIG_PAGES - 1050, &owner));
	CHECK(!take(600 - nr_victim, &owner, &run));
	CHECK(is_run(&run, BASE + nr_victim, 600 - nr_victim));
}

/* A request of 40 pages has no class of its own in either. */
TEST(the_run_that_was_cut_last_is_cut_again_where_it_fits_no_worse)
{
	static const struct {
		u32 nr_victim;
		u64 expected;
	} cases[] = {
		{ 40, 0 },
		{ 45, 5 },
		{ 50, 10 },
		{ 51, 1010 },
		{ 100, 1010 },
	};
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		setup_victim(cases[i].nr_victim);
		CHECK(!take(40, &owner, &run));
		CHECK(is_run(&run, BASE + cases[i].expected, 40));
		dpmgr_pages_destroy(&pages);
	}
}

/* With one page more it would be; and 15/16 are the bound, not 7/8 or so. */
TEST(a_range_is_nearly_full_above_fifteen_sixteenths)
{
	u32 nr_used;

	for (nr_used = NEARLY_FULL; nr_used <= NEARLY_FULL + 1; nr_used++) {
		struct dpmgr_page_run run;

		setup_clean(&big_range, 1, true);
		CHECK(!claim(BASE, 1, &owner));
		CHECK(!claim(BASE + 1, nr_used - 1, &owner));
		CHECK(!put_pages(BASE, 1, &owner));
		CHECK(all_parked() == (nr_used == NEARLY_FULL));
		CHECK(!take(1, &owner, &run));
		dpmgr_pages_destroy(&pages);
	}
}

static const struct dpmgr_page_range_info two_nodes[] = {
	{ .base_pfn = 0, .nr_pages = 8192, .node = 0, .persistent = true },
	{ .base_pfn = 8192, .nr_pages = 8192, .node = 1, .persistent = true },
};

/* Several at once would be parked, and no longer merge with what is freed. */
TEST(from_a_range_that_is_nearly_full_one_run_is_taken_at_a_time)
{
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 1, };
	struct dpmgr_page_run run;

	setup_clean(two_nodes, 2, true);
	CHECK(!claim(0, 8192 - 100, &owner));
	request.node = 0;
	CHECK(!take_as(&request, &owner, &run) && run.base_pfn == 8191);
	CHECK(!counts_of(0).parked);
	request.node = 1;
	CHECK(!take_as(&request, &owner, &run) && run.base_pfn >= 8192);
	CHECK(counts_of(1).parked);
	dpmgr_pages_destroy(&pages);
}

/* Its front has what nobody may have who persists, and there is no other range. */
TEST(a_front_serves_no_persistent_request_where_nothing_survives)
{
	const struct dpmgr_page_range_info lost = { .base_pfn = 7, .nr_pages = BIG_PAGES, };
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 1, };
	struct dpmgr_page_run run;

	setup_clean(&lost, 1, true);
	CHECK(!take_as(&request, &owner, &run) && !put(&run));
	CHECK(all_parked());
	request.persistent = true;
	CHECK(take_as(&request, &owner, &run) == -ENOSPC);
	CHECK(search_as(&request, &owner, &run) == -ENOSPC);
	request.persistent = false;
	CHECK(!take_as(&request, &owner, &run));
	dpmgr_pages_destroy(&pages);
}

/* Whichever of them comes first in memory. */
TEST(the_right_node_comes_before_memory_that_need_not_survive)
{
	static const struct dpmgr_page_range_info ranges[2][2] = {
		{ { .base_pfn = 0, .nr_pages = 64, .node = 0, .persistent = true },
		  { .base_pfn = 64, .nr_pages = 64, .node = 1 } },
		{ { .base_pfn = 0, .nr_pages = 64, .node = 1 },
		  { .base_pfn = 64, .nr_pages = 64, .node = 0, .persistent = true } },
	};
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 64, };
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		setup_clean(ranges[i], 2, false);
		request.node = 0;
		CHECK(!take_as(&request, &owner, &run));
		CHECK(run.base_pfn == 64 * i);
		dpmgr_pages_destroy(&pages);

		/* On neither's node, what need not survive comes first. */
		setup_clean(ranges[i], 2, false);
		request.node = 2;
		CHECK(!take_as(&request, &owner, &run));
		CHECK(run.base_pfn == 64 * !i);
		dpmgr_pages_destroy(&pages);
	}
}

static void flush_once(void)
{
	shim_cpu = 1;
	dpmgr_pages_flush(&pages);
	shim_cpu = 0;
}

/* The parked ones are counted first; here they are free when the rest is counted. */
TEST(what_is_flushed_while_it_is_counted_is_not_counted_below_nothing)
{
	struct dpmgr_page_counts counts;

	setup_clean(&big_range, 1, true);
	CHECK(!claim(BASE, 4, &owner) && !put_pages(BASE, 4, &owner));
	CHECK(all_parked() == 4);
	shim_at_gap = flush_once;
	dpmgr_pages_count(&pages, 0, &counts);
	shim_at_gap = NULL;
	CHECK(!counts.used && !counts.runs && !counts.parked);
	CHECK(counts.free == BIG_PAGES);
	CHECK(!all_parked());
	dpmgr_pages_destroy(&pages);
}
